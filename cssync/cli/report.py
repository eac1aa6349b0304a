"""cssync report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.rules.reporting import Table


@click.command(
    epilog=example(
        "cssync report",
        "cssync report V02 --json",
        "cssync report voice --out voice.md",
        "cssync report voice --drafts ./drafts",
    )
)
@click.argument("name", required=False, metavar="[PACK|REPORT]", help="A pack or one report; all of them without it.")
@click.option("--as-of", "day", metavar="DAY", help="Report as of the end of this day (YYYY-MM-DD) instead of now.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the reports to a Markdown file.")
@click.option(
    "--drafts",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the messages and issues that reports draft into a folder.",
)
@shared
def report(call: Call, name: str | None, day: str | None, out: Path | None, drafts: Path | None) -> int:
    """Print the reports of the packs: tables over all accounts, computed from the store as it is now.

    --drafts writes what a report would say to others, once a month: one message of V01 for the people who make the
    product, an issue for each tag of V03. A file that is there already is left alone.
    """
    from cssync.cli.when import as_of
    from cssync.rules import load
    from cssync.rules.drafts import drafted
    from cssync.rules.reporting import chosen, run_report
    from cssync.views.report import document

    workspace = call.workspace(secrets=False)
    moment = as_of(day, workspace)
    rules = load(workspace)
    wanted = chosen(rules, name)
    with call.store(workspace) as store:
        tables = [run_report(store, workspace, rules, pack, one, moment) for pack, one in wanted]
    if out is not None:
        _write(out, tables)
        call.say(f"wrote {len(tables)} report{'s' if len(tables) != 1 else ''} to {out}")
    if drafts is not None:
        pairs = zip(wanted, tables, strict=True)
        written, there = _draft(drafts, [draft for (_, one), table in pairs for draft in drafted(one, table)])
        call.say(f"wrote {written} draft{'s' if written != 1 else ''} to {drafts}; {there} there already")
    quiet = out is not None or drafts is not None
    call.show({"reports": [document(table) for table in tables]}, () if quiet else _lines(tables))
    return 0


def _draft(folder: Path, drafts: list[tuple[str, Table]]) -> tuple[int, int]:
    """Write the drafts that are not there; returns how many were written, and how many were there."""
    from cssync.errors import ConfigError
    from cssync.views.report import markdown

    written = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in drafts:
            path = folder / name
            if not path.exists():
                path.write_text("\n".join(markdown([table])), encoding="utf-8")
                written += 1
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}", fix="name another folder") from None
    return written, len(drafts) - written


def _lines(tables: list[Table]) -> Iterator[str]:
    from cssync.views.report import cells, foot, head
    from cssync.views.terminal import fit

    for table in tables:
        yield head(table)
        if table.rows:
            rows = [[fit(c, 60) if isinstance(c, str) else c for c in row] for row in cells(table)]
            yield from columns([n.replace("_", " ").upper() for n in table.columns], rows)
        yield from foot(table)
        yield ""


def _write(path: Path, tables: list[Table]) -> None:
    from cssync.errors import ConfigError
    from cssync.views.report import markdown

    try:
        path.write_text("\n".join(markdown(tables)), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", fix="name another file") from None
