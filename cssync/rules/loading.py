"""Which rule files a workspace uses: installed sets by name, folders by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules.faults import Source
from cssync.rules.nodes import Scalar
from cssync.rules.packs import read_rules
from cssync.rules.reader import MAX_BYTES, glance
from cssync.rules.tree import RuleSet


def load(workspace: Workspace) -> RuleSet:
    """Read every pack the workspace names.

    Raises:
        ConfigError: an unknown set or folder, or all faults of all files at once.
    """
    return read_rules(sources_of(workspace))


def sources_of(workspace: Workspace) -> list[Source]:
    """Return the rule files that the workspace names, not yet read for meaning.

    Raises:
        ConfigError: an unknown set or folder, one without rule files, or a file that cannot be read.
    """
    return [source for name, folder in _folders(workspace.rules) for source in _sources(name, folder)]


def _folders(names: Iterable[str | Path]) -> Iterator[tuple[str, Traversable]]:
    from cssync.plugins import plugins

    installed = plugins().rule_packs
    named = list(names)
    for n, name in enumerate(named):
        if name in named[:n]:
            raise ConfigError(f"`rules:` names {str(name)!r} twice", fix="name it once in cssync.yaml")
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


def load_edited(base: Iterable[Source], edit: Path) -> RuleSet:
    """Read rule files with those of a file or folder in place of the ones that hold the same pack, or beside them.

    Raises:
        ConfigError: there is none, or all faults of all files at once.
    """
    name = str(edit)
    edited = list(_sources(name, edit)) if edit.is_dir() else [Source(name, _text(edit, name))]
    names = {pack_name(source) for source in edited}
    return read_rules([*(s for s in base if pack_name(s) not in names), *edited])


def pack_name(source: Source) -> str | None:
    """Return the name of the pack that a rule file holds, None where it says none."""
    top = glance(source)
    name = top.get("pack") if top else None
    return name.text if isinstance(name, Scalar) else None


def _sources(name: str, folder: Traversable) -> Iterator[Source]:
    found = [f for f in folder.iterdir() if f.name.lower().endswith((".yaml", ".yml")) and f.is_file()]
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
