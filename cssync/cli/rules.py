"""cssync rules check | test | sql; the group of the other rules commands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, Group, columns, did_you_mean, example, shared

if TYPE_CHECKING:
    from cssync.rules import RuleSet
    from cssync.rules.packtests import CaseReport
    from cssync.rules.removal import Removed
    from cssync.rules.tree import Pack

FOLDER = click.argument(
    "folder",
    required=False,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="[FOLDER]",
    help="Folder of packs to look at instead of those of cssync.yaml.",
)


LATER = {
    "preview": ("cssync.cli.preview:preview", "Show what edited rules would change."),
    "simulate": ("cssync.cli.simulate:simulate", "Show an account with other facts."),
    "backtest": ("cssync.cli.backtest:backtest", "Show what scores were worth in the past."),
}
"""Commands with a module of their own, imported when they are called."""


@click.group(cls=Group, table=LATER)
def rules() -> None:
    """Check, test, try and read the rule packs.

    Without FOLDER the packs named under `rules:` in cssync.yaml are taken; with it every *.yaml in that folder alone.
    """


@rules.command(epilog=example("cssync rules check", "cssync rules check ./rules --json"))
@FOLDER
@shared
def check(call: Call, folder: Path | None) -> int:
    """Read every pack and report all faults at once, each with its place.

    Without FOLDER the rules are also compared with those that ran last: a feature or result that was removed or
    renamed, and that other rules or `writeback:` still need, is a fault that names all of them.
    """
    from dataclasses import asdict

    found, gone = _checked(call, folder)
    packs = [
        {
            "pack": p.name,
            "version": p.version,
            "hash": p.hash,
            "file": p.file,
            "features": len(p.features),
            "measures": len(p.score.measures) if p.score else 0,
            "signals": len(p.signals),
            "tasks": len(p.tasks),
            "tests": len(p.tests),
        }
        for p in found.packs
    ]
    headers = ("PACK", "VERSION", "HASH", "FILE", "FEATURES", "MEASURES", "SIGNALS", "TASKS", "TESTS")
    lines = [*columns(headers, [tuple(p.values()) for p in packs]), *(str(line) for line in _removed(gone, found))]
    call.show({"packs": packs, "removed": [asdict(r) for r in gone]}, lines)
    return 0


def _checked(call: Call, folder: Path | None) -> tuple[RuleSet, list[Removed]]:
    from cssync.rules.removal import check_rules

    if folder is not None:
        return _read(call, folder), []
    workspace = call.workspace(secrets=False)
    if not workspace.store.exists():
        return check_rules(workspace, None)
    with call.store(workspace) as store:
        return check_rules(workspace, store)


def _removed(gone: list[Removed], rules: RuleSet) -> Iterator[str]:
    from cssync.rules.removal import told

    yield from told(gone, rules)


@rules.command(epilog=example("cssync rules test", "cssync rules test ./rules"))
@FOLDER
@shared
def test(call: Call, folder: Path | None) -> int:
    """Run the tests that the packs carry; exit code 1 if one fails."""
    from dataclasses import asdict

    from cssync.rules.packtests import run_tests

    reports = list(run_tests(_read(call, folder)))
    failed = [r for r in reports if not r.ok]
    document = {"passed": len(reports) - len(failed), "failed": len(failed)}
    call.show({**document, "tests": [{**asdict(r), "ok": r.ok} for r in reports]}, _told(reports, failed))
    return 1 if failed else 0


def _told(reports: list[CaseReport], failed: list[CaseReport]) -> Iterator[str]:
    for report in failed:
        yield f"FAILED {report.pack}: {report.name} ({report.place})"
        yield from (f"  {difference}" for difference in report.differences)
    yield f"{len(reports) - len(failed)} passed, {len(failed)} failed"


@rules.command(epilog=example("cssync rules sql health", "cssync rules sql renewal --dialect duckdb"))
@click.argument("pack", help="Name of the pack.")
@click.option("--dialect", default="sqlite", show_default=True, help="Engine: sqlite, postgres, duckdb or spark.")
@shared
def sql(call: Call, pack: str, dialect: str) -> int:
    """Print the one SELECT that a pack is compiled to, as of now, with every source taken as fresh."""
    from cssync.cli.when import now
    from cssync.errors import ConfigError
    from cssync.rules import load
    from cssync.rules.calendar import calendar_of
    from cssync.rules.catalogue import SOURCES
    from cssync.rules.compiler import compile_pack
    from cssync.rules.dialects import DIALECTS
    from cssync.rules.freshness import Context, Freshness

    workspace = call.workspace(secrets=False)
    found = load(workspace)
    chosen = _pack(found, pack)
    if dialect not in DIALECTS:
        raise ConfigError(f"there is no dialect {dialect!r}", fix=f"known: {', '.join(DIALECTS)}")
    as_of: datetime = now().astimezone(UTC)
    fresh = {table.entity: Freshness("ok", as_of) for table in SOURCES.values()}
    context = Context(as_of, workspace.timezone, workspace.currency, fresh, calendar_of(workspace))
    statement = compile_pack(chosen, found.features, context, DIALECTS[dialect])
    call.show({"pack": chosen.name, "dialect": dialect, "sql": statement.sql}, statement.sql.splitlines())
    return 0


def _pack(found: RuleSet, name: str) -> Pack:
    from cssync.errors import ConfigError

    pack = found.pack(name)
    if pack is None:
        names = [p.name for p in found.packs]
        raise ConfigError(
            f"there is no pack {name!r}{did_you_mean(name, names)}", fix=f"loaded packs: {', '.join(names) or 'none'}"
        )
    return pack


def _read(call: Call, folder: Path | None) -> RuleSet:
    from cssync.rules import load, load_folders

    if folder is not None:
        return load_folders([(str(folder), folder)])
    return load(call.workspace(secrets=False))
