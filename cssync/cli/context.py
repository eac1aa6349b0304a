"""What every command shares: its options, the workspace and store it works on, and how it talks."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from cssync.config import Workspace
    from cssync.store import Store

Function = TypeVar("Function", bound=Callable[..., Any])
DEFAULT_CONFIG = Path("cssync.yaml")
LINE_EVERY = 10.0
"""Seconds between two lines of progress where stderr is no terminal."""


class Call(NamedTuple):
    """How a command was called; the first argument of every command decorated with `@shared`."""

    config: Path = DEFAULT_CONFIG
    json: bool = False
    verbose: int = 0

    def workspace(self, *, secrets: bool = True) -> Workspace:
        """Load cssync.yaml. `secrets=False` where no vendor is called: then missing credentials do no harm.

        Raises:
            ConfigError: with all faults of the file.
        """
        from cssync.config.load import load_workspace

        return load_workspace(self.config, secrets=secrets)

    def store(self, workspace: Workspace, *, create: bool = False) -> Store:
        """Open the workspace's store (a context manager).

        Raises:
            ConfigError: it belongs to another workspace, has a newer schema, or does not exist and `create` is False.
        """
        from cssync.store import Store

        return Store.open(workspace.store, workspace=workspace.name, create=create)

    def show(self, document: Mapping[str, Any], lines: Iterable[str]) -> None:
        """Write the result to stdout: `{"version": 1, **document}` with --json, otherwise the lines."""
        if self.json:
            import json

            click.echo(json.dumps({"version": 1, **document}, ensure_ascii=False, indent=2, default=str))
            return
        for line in lines:
            click.echo(plain(line))

    def say(self, text: str) -> None:
        """Write one line for people to stderr."""
        click.echo(plain(text), err=True)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str | Callable[[], str]], None]]:
        """Yield a function that takes the present state of the work in some lines, as often as it likes to tell; or a
        function that makes them, where that costs something.

        A terminal shows the last one in place; otherwise it is written at most each LINE_EVERY seconds.
        """
        if self.json or not sys.stderr.isatty():
            from time import monotonic

            due = monotonic() + LINE_EVERY

            def write(text: str | Callable[[], str]) -> None:
                nonlocal due
                if monotonic() >= due:
                    due = monotonic() + LINE_EVERY
                    for line in _made(text).splitlines():
                        self.say(line)

            yield write
            return
        from rich.console import Console
        from rich.markup import escape

        with Console(stderr=True).status("") as status:
            yield lambda text: status.update(escape("\n".join(plain(line) for line in _made(text).splitlines())))


def _made(text: str | Callable[[], str]) -> str:
    return text if isinstance(text, str) else text()


def shared(function: Function) -> Function:
    """Give a command `--config`, `--json` and `--verbose`, and pass it a Call as its first argument."""

    @functools.wraps(function)
    def command(*args: Any, config: Path | None, json: bool, verbose: int, **kwargs: Any) -> Any:
        outer = click.get_current_context().find_root().obj or Call()
        call = Call(config or outer.config, json or outer.json, max(verbose, outer.verbose))
        from cssync.cli.logs import start

        start(call.verbose)
        return function(call, *args, **kwargs)

    return _options(command)  # type: ignore[return-value]


def root_options(function: Callable[[], None]) -> Callable[..., None]:
    """Accept the shared options before the command's name too."""

    def command(config: Path | None, json: bool, verbose: int) -> None:
        click.get_current_context().obj = Call(config or DEFAULT_CONFIG, json, verbose)

    command.__doc__, command.__name__ = function.__doc__, function.__name__
    return _options(command)


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    path = click.Path(path_type=Path, dir_okay=False)
    config = click.option("-c", "--config", type=path, help="Configuration file.  [default: cssync.yaml]")
    as_json = click.option("--json", "json", is_flag=True, help="Write one JSON document to stdout instead of text.")
    verbose = click.option("-v", "--verbose", count=True, help="Say more on stderr; -vv also what is for developers.")
    return config(as_json(verbose(function)))


class Group(click.Group):
    """A group that imports a command only when it is called, and suggests the right one for a wrong name.

    `table` maps a command's name to (`module:attribute`, short help).
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, in the table's order."""
        return [*self.table, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        if cmd_name not in self.table:
            return super().get_command(ctx, cmd_name)
        from importlib import import_module

        module, _, attribute = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command named by the first argument, or suggest one."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(f"there is no command {name!r}{did_you_mean(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known word nearest to `word`, or nothing."""
    from difflib import get_close_matches

    found = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def example(*lines: str) -> str:
    """Return the epilog that shows examples of a command, one per line as typed."""
    return "\b\n" + "\n".join(("Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)))


def columns(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of a table, aligned on the terminal also for wide characters; None prints as a dash.

    Columns of numbers stand to the right.
    """
    from rich.cells import cell_len

    listed = [list(row) for row in rows]
    right = [
        bool(listed) and all(isinstance(row[i], int | float | None) for row in listed) for i in range(len(headers))
    ]
    cells = [list(headers), *([("-" if v is None else plain(str(v))) for v in row] for row in listed)]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(headers))]
    for row in cells:
        padding = [" " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)]
        padded = (
            pad + text if to_right else text + pad for text, pad, to_right in zip(row, padding, right, strict=True)
        )
        yield "  ".join(padded).rstrip()


def plain(text: str) -> str:
    """Drop what could steer a terminal or turn a line around: vendors' data reaches it only through here."""
    if text.isascii() and text.isprintable():
        return text
    from cssync.views.terminal import plain as cleaned

    return cleaned(text)
