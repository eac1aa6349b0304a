"""Which rule files a workspace uses: installed sets by name, folders by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.reader import MAX_BYTES
from cssync.rules.tree import RuleSet


def load(workspace: Workspace) -> RuleSet:
    """Read every pack the workspace names.

    Raises:
        ConfigError: an unknown set or folder, or all faults of all files at once.
    """
    return load_folders(_folders(workspace.rules))


def _folders(names: Iterable[str | Path]) -> Iterator[tuple[str, Traversable]]:
    from cssync.plugins import plugins

    installed = plugins().rule_packs
    for name in names:
        if isinstance(name, str) and name in installed:
            yield name, installed[name]
            continue
        folder = Path(name)
        if not folder.is_dir():
            known = ", ".join(sorted(installed)) or "none"
            raise ConfigError(
                f"there is no rule set or folder {str(name)!r}",
                fix=f"correct `rules:` in cssync.yaml (installed sets: {known})",
            )
        yield str(name), folder


def load_folders(folders: Iterable[tuple[str, Traversable]]) -> RuleSet:
    """Read all `*.yaml` directly in some folders, each named by what messages shall call it.

    Raises:
        ConfigError: a folder holds none, a file cannot be read, or all faults of all files at once.
    """
    return read_rules([source for name, folder in folders for source in _sources(name, folder)])


def _sources(name: str, folder: Traversable) -> Iterator[Source]:
    found = [f for f in folder.iterdir() if f.name.endswith((".yaml", ".yml")) and f.is_file()]
    if not found:
        raise ConfigError(
            f"there is no rule pack (*.yaml) in {name}", fix="add one, or correct `rules:` in cssync.yaml"
        )
    for file in sorted(found, key=lambda f: f.name):
        yield Source(f"{name}/{file.name}", _text(file, f"{name}/{file.name}"))


def _text(file: Traversable, name: str) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        return data.decode("utf-8-sig") if len(data) <= MAX_BYTES else " " * (MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{name} cannot be read: {error.strerror}", fix="check the file and its permissions"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name} is not UTF-8 text", fix="save the file as UTF-8") from None
