"""cssync evaluate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from cssync.cli.context import Call, columns, example, shared
from cssync.views.terminal import line

if TYPE_CHECKING:
    from cssync.rules import EvaluationReport
    from cssync.rules.replay import Difference

SHOWN = 50
"""Differences listed for people."""


@click.command(
    epilog=example(
        "cssync evaluate", "cssync evaluate --as-of 2026-11-20 --json", "cssync evaluate --as-of 2026-11-20 --diff"
    )
)
@click.option(
    "--as-of", "day", metavar="DAY", help="Do the evaluation of this day (YYYY-MM-DD) again; nothing is kept."
)
@click.option("--known-as-of", "known", metavar="DAY", help="With --as-of: with what was known at the end of this day.")
@click.option(
    "--present-rules", is_flag=True, help="With --as-of: with the rules of today, not with those of that day."
)
@click.option(
    "--diff", is_flag=True, help="With --as-of: show what comes out otherwise than is on record for that day."
)
@shared
def evaluate(call: Call, day: str | None, known: str | None, present_rules: bool, diff: bool) -> int:
    """Compute scores, bands, signals and tasks.

    Nothing is pulled and nothing is sent: the rules run over what the store holds. What did not change is not written.
    A source that is not connected or too old makes its results unknown, never zero.

    With --as-of a day of the past is evaluated again in a private copy: with what was known then, and with the rules of
    that day where they are on record. It gives byte for byte what the last evaluation of that day gave. The results
    in the store stay as they are.
    """
    if day is not None:
        return _again(call, day, known, present_rules=present_rules, diff=diff)
    if known or present_rules or diff:
        raise click.UsageError("--known-as-of, --present-rules and --diff need --as-of DAY")
    from dataclasses import asdict

    from cssync.cli.when import as_of
    from cssync.cli.work import working
    from cssync.rules import evaluate as judge
    from cssync.rules import load

    workspace = call.workspace(secrets=False)
    rules, moment = load(workspace), as_of(None, workspace)
    call.store(workspace).close()
    with working(call, "evaluate") as work:
        report = judge(work.store, rules, work.workspace, moment, run_id=work.run_id, fence=work.lease)
        work.record.summary = asdict(report)
    call.show(asdict(report), lines(report))
    return 0


def _again(call: Call, day: str, known: str | None, *, present_rules: bool, diff: bool) -> int:
    from dataclasses import asdict

    from cssync.cli.when import as_of
    from cssync.rules import load
    from cssync.rules import replay as past

    workspace = call.workspace(secrets=False)
    rules, at = load(workspace), as_of(day, workspace)
    known_at = as_of(known, workspace) if known else None
    with call.store(workspace) as store:
        moment = past.moment_of(store, workspace, at, known_at, day=len(day) == len("2026-11-20"))
        used, same_rules = (rules, False) if present_rules else past.rules_then(store, moment, rules)
        with past.replay(store, used, workspace, moment) as (report, copy):
            found = list(past.differences(store, copy, moment)) if diff else None
            results = past.content(copy) if call.json else {}
    about = {
        "as_of": report.as_of,
        "known_as_of": past.instant(moment.known_at),
        "on_record": moment.on_record is not None,
        "rules": "then" if same_rules else "present",
    }
    document = {**asdict(report), "replay": about, **results}
    if found is not None:
        document["differences"] = [asdict(d) for d in found]
    call.show(document, _told(report, about, found))
    return 0


def _told(report: EvaluationReport, about: Mapping[str, Any], found: list[Difference] | None) -> Iterator[str]:
    rules = "the rules of that day" if about["rules"] == "then" else "the present rules"
    record = "" if about["on_record"] else "; no evaluation is on record for it"
    yield f"evaluated again as of {about['as_of']}, known by {about['known_as_of']}, with {rules}{record}"
    if not report.accounts:
        yield "no account was known then"
    yield from lines(report)
    if found is None:
        return
    yield f"{len(found):,} differences from what is on record" if found else "the same as on record, byte for byte"
    for d in found[:SHOWN]:
        was, now = d.then or {}, d.now or {}
        names = [n for n in {**was, **now} if was.get(n) != now.get(n)]
        state = "only on record" if d.now is None else "not on record" if d.then is None else ""
        told = state or "; ".join(f"{n}: {was.get(n)} -> {now.get(n)}" for n in names)
        yield f"  {d.table} {' '.join(map(str, d.key))}: {told}"
    if len(found) > SHOWN:
        yield f"  and {len(found) - SHOWN:,} more; --json has them all"


RATES = "name a file of rates in `fx:`, or set the limits of `tiers:` in your own currency"


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
    if report.partly:
        yield "Looked at the accounts of which something changed since the last evaluation of the day."
    yield "health: " + (
        ", ".join(f"{n:,} {band}" for band, n in sorted(report.bands.items())) or "no account is judged"
    )
    for path in dict.fromkeys(path for p in report.packs for path in p.circles):
        yield f"parents in a circle, so they have no roll-up: {line(path)}"
    for label, entities in (("too old", report.stale), ("not connected", report.missing)):
        if entities:
            yield f"{label}, so what rests on it is unknown: {', '.join(entities)}"
    if report.unrated:
        yield f"touch tiers are unknown, so rules for some tiers raise no task: {report.unrated}; {RATES}"
