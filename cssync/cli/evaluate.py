"""cssync evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.rules import EvaluationReport


@click.command(epilog=example("cssync evaluate", "cssync evaluate --as-of 2026-11-20 --json"))
@click.option("--as-of", "day", metavar="DAY", help="Judge as of the end of this day (YYYY-MM-DD) instead of now.")
@shared
def evaluate(call: Call, day: str | None) -> int:
    """Compute scores, bands, signals and tasks.

    Nothing is pulled and nothing is sent: the rules run over what the store holds. What did not change is not written.
    A source that is not connected or too old makes its results unknown, never zero.
    """
    from dataclasses import asdict

    from cssync.cli.when import as_of
    from cssync.cli.work import working
    from cssync.rules import evaluate as judge
    from cssync.rules import load

    workspace = call.workspace(secrets=False)
    rules, moment = load(workspace), as_of(day, workspace)
    call.store(workspace).close()
    with working(call, "evaluate") as work:
        report = judge(work.store, rules, work.workspace, moment, run_id=work.run_id, fence=work.lease)
        work.record.summary = asdict(report)
    call.show(asdict(report), lines(report))
    return 0


def lines(report: EvaluationReport) -> Iterator[str]:
    """Yield the report for people."""
    yield from columns(
        ("PACK", "ACCOUNTS", "RESULTS CHANGED", "SIGNALS STARTED", "ENDED", "TASKS RAISED", "CLOSED"),
        (
            (
                p.pack,
                p.accounts,
                sum(p.results.values()),
                p.signals_started,
                p.signals_ended,
                p.tasks.created,
                p.tasks.closed,
            )
            for p in report.packs
        ),
    )
    yield "health: " + (
        ", ".join(f"{n:,} {band}" for band, n in sorted(report.bands.items())) or "no account is judged"
    )
    for label, entities in (("too old", report.stale), ("not connected", report.missing)):
        if entities:
            yield f"{label}, so what rests on it is unknown: {', '.join(entities)}"
