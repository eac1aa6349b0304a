"""cssync run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, example, shared

if TYPE_CHECKING:
    from cssync.runs.run import RunReport


@click.command(epilog=example("cssync run", "cssync run --json >> runs.jsonl"))
@shared
def run(call: Call) -> int:
    """Do the whole job once: pull, link, judge, plan, write. The command for cron.

    The first plan for a connection is never sent by itself: it waits for `cssync approve PLAN`, and so does one that
    changes more than `limits:` allow. Exit codes: 0 all done, 3 something is incomplete, 4 a plan waits for approval,
    5 another run is at work, 1 failed, 2 bad configuration.
    """
    from cssync.cli.progress import watched
    from cssync.runs.run import run as whole_job

    workspace = call.workspace()
    with watched(call) as watch:
        report = whole_job(workspace, watch=watch)
    call.show(report.as_dict(), lines(report))
    for name, fault in report.faults.items():
        call.say(f"{name}: {fault.message}")
        for label, text in (("kept", fault.kept), ("fix", fault.fix)):
            if text:
                call.say(f"  {label}: {text}")
    if (held := report.held) is not None:
        call.say(f"read it with `cssync plan --show {held.id}`, send it with `cssync approve {held.id}`")
    return report.exit_code


def lines(report: RunReport) -> Iterator[str]:
    """Yield the summary for people: a line a stage, and one for each thing that needs a look."""
    from cssync.runs.run import GOOD
    from cssync.sync.drift import told
    from cssync.views.plan import apply_lines, note_lines, totals

    read, new, changed = (sum(getattr(s, n) for s in report.streams) for n in ("read", "new", "changed"))
    yield f"Run {report.run_id}: {len(report.streams)} streams, {read:,} read, {new:,} new, {changed:,} changed"
    for stream in report.streams:
        if stream.outcome not in GOOD:
            stopped = [drift.message for drift in stream.drift if drift.stops]
            why = stream.error.message if stream.error else "; ".join(stopped) or f"{stream.quarantined:,} quarantined"
            yield f"  {stream.connection}.{stream.stream} {stream.outcome}: {why}"
    yield from told(drift for stream in report.streams for drift in stream.drift if not drift.stops)
    if report.links:
        yield f"Accounts: {report.links.accounts:,}"
    if report.resumed:
        yield "Resumed what an interrupted run had begun:"
        yield from (f"  {text}" for text in apply_lines(report.resumed))
    if report.plan:
        held = " It is held, nothing of it was sent." if report.plan.status == "held" else ""
        yield f"Plan {report.plan.id}: {totals(report.plan.totals)}.{held}"
        yield from (f"  held: {reason}" for reason in report.plan.held_by if held)
        for kind in ("misfit", "source", "partial", "later"):
            yield from (f"  {text}" for text in note_lines(report.plan, kind))
    if report.applied:
        yield from apply_lines(report.applied)
    if report.waiting:
        yield f"Plan {report.waiting.id}: {totals(report.waiting.totals)}. It is held, nothing of it was sent."
        yield from (f"  held: {reason}" for reason in report.waiting.held_by)
