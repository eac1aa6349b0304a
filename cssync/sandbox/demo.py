"""The demo: the pipeline of a real workspace, over HTTP, against the connectors' own sandbox vendors.

First the unattended run that cron would make: it pulls, links, judges and plans, and stops there, because nothing was
ever written to these vendors. Then what a person would do: read the plan, approve it, apply it. Then everything is
read back, and the same run is made again over a world that stands still.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from cssync.config import Workspace
from cssync.config.load import load_workspace
from cssync.errors import CssyncError
from cssync.rules import RuleSet, load
from cssync.runs.lease import hold_lease
from cssync.runs.record import new_run_id, recorded
from cssync.runs.run import RunReport, run
from cssync.runs.sessions import open_sessions
from cssync.sandbox import demo_reading as reading
from cssync.sandbox.demo_report import Card, DemoReport, Pulled, SecondPass, Sent
from cssync.sandbox.demo_verify import Verified, choose, face, verify
from cssync.sandbox.vendors import Requests, Vendor
from cssync.store import Store
from cssync.writeback import ApplyReport, Plan, apply_plan, approve_plan, provision

Say = Callable[[str], None]
Counts = Mapping[str, Requests]


def demo(path: Path, running: Sequence[Vendor], *, companies: int, as_of: datetime, say: Say) -> DemoReport:
    """Run the whole job on the workspace at `path` (its cssync.yaml) and return what there is to tell.

    `running`: the vendors its connections point at. `as_of` is aware, and the same for both runs. `say` takes a line
    for each stage as it begins.

    Raises:
        CssyncError: as the stages do. What merely went otherwise than promised is in `DemoReport.faults`.
    """
    began = time.monotonic()
    workspace = load_workspace(path)
    titles = {v.connection: v.connector.title for v in running}
    say("creating the fields that will be written")
    rules = load(workspace)
    faults = list(_provision(workspace, rules))
    before = _count(running)
    say("first run, as cron would make it: pull, link, judge, plan")
    first = run(workspace, as_of=as_of)
    if first.plan is None:
        raise CssyncError("; ".join(_stream_faults(first)) or "nothing could be pulled", kept="nothing was written")
    pulled = tuple(_pulled(first, vendor, _since(running, before)) for vendor in running)
    with Store.open(workspace.store, workspace=workspace.name) as store:
        before = _count(running)
        say(f"plan {first.plan.id}: {len(first.plan.changes):,} changes; approved and applied")
        applied, verified, card = _carry_out(workspace, store, first.plan, titles, as_of)
        written = _since(running, before)
        say("second run, over a world that stands still")
        before, at = _count(running), time.monotonic()
        again = run(workspace, as_of=as_of)
        second = _second(again, _since(running, before), time.monotonic() - at)
        return DemoReport(
            as_of=as_of.astimezone(workspace.timezone),
            timezone=workspace.timezone.key,
            companies=companies,
            pulled=pulled,
            linked=reading.linked(store, titles),
            bands=reading.bands(store),
            at_risk=reading.at_risk(store),
            tasks=reading.tasks(store),
            signals=reading.signals(store, rules),
            planned=reading.planned(first.plan),
            sent=tuple(_sent(v, verified[v.connection], written[v.connection]) for v in running),
            card=card,
            second=second,
            seconds=time.monotonic() - began,
            faults=(*faults, *_stream_faults(first), *_faults(applied, verified, again, second)),
        )


def _provision(workspace: Workspace, rules: RuleSet) -> Iterator[str]:
    """Create the fields of the write-back; yield what went wrong."""
    with Store.open(workspace.store, workspace=workspace.name) as store, open_sessions(workspace, store) as sessions:
        for name, finding in provision(workspace, sessions, rules, dry_run=False):
            if finding.level == "error":
                yield f"{name}: {finding.subject}: {finding.message}"


def _carry_out(
    workspace: Workspace, store: Store, plan: Plan, titles: Mapping[str, str], as_of: datetime
) -> tuple[ApplyReport, Mapping[str, Verified], Card | None]:
    """Approve and apply a plan as `cssync approve` and `cssync apply` do, then look at what the vendors hold."""
    run_id = new_run_id(as_of)
    with (
        hold_lease(store, owner=run_id) as lease,
        recorded(store, run_id, "apply", fence=lease) as record,
        open_sessions(workspace, store, fence=lease) as sessions,
    ):
        chosen = choose(plan)
        before = face(workspace, sessions, chosen, plan)
        approve_plan(store, plan.id, fence=lease)
        applied = apply_plan(store, workspace, plan.id, sessions, run_id=run_id, fence=lease)
        record.exit_code, record.summary = applied.exit_code, applied.as_dict()
        verified = verify(workspace, sessions, plan)
        after = face(workspace, sessions, chosen, plan)
    card = None
    if chosen is not None:
        stream = workspace.writeback[chosen.connection].to
        card = Card(titles[chosen.connection], stream, chosen.source_id, chosen.account, before[0], after[0], before[1],
                    after[1])  # fmt: skip
    return applied, verified, card


def _count(running: Sequence[Vendor]) -> Counts:
    return {vendor.connection: vendor.requests() for vendor in running}


def _since(running: Sequence[Vendor], before: Counts) -> Counts:
    return {vendor.connection: vendor.requests() - before[vendor.connection] for vendor in running}


def _pulled(report: RunReport, vendor: Vendor, requests: Counts) -> Pulled:
    mine = [s for s in report.streams if s.connection == vendor.connection]
    asked = requests[vendor.connection]
    return Pulled(
        vendor.connection,
        vendor.connector.title,
        tuple((s.stream, s.read) for s in mine),
        asked.reads + asked.writes,
        max((s.seconds for s in mine), default=0.0),
    )


def _sent(vendor: Vendor, verified: Verified, requests: Requests) -> Sent:
    return Sent(vendor.connection, vendor.connector.title, len(verified.records), verified.fields, verified.tasks,
                verified.equal, requests.writes)  # fmt: skip


def _second(report: RunReport, requests: Counts, seconds: float) -> SecondPass:
    asked = sum(requests.values(), Requests())
    return SecondPass(asked.reads, len(report.plan.changes) if report.plan else 0, asked.writes, seconds)


def _stream_faults(report: RunReport) -> Iterator[str]:
    for stream in report.streams:
        if stream.outcome not in ("ok", "empty", "skipped-by-config"):
            why = stream.error.message if stream.error else f"{stream.quarantined} quarantined"
            yield f"{stream.connection}.{stream.stream} is {stream.outcome}: {why}"
    yield from (f"{name}: {fault.message}" for name, fault in report.faults.items())


def _faults(
    applied: ApplyReport, verified: Mapping[str, Verified], again: RunReport, second: SecondPass
) -> Iterator[str]:
    """Say what the demo promises and did not see; nothing when all is well."""
    for entry in applied.open[:5]:
        why = entry.error or "no reason given"
        yield f"{entry.connection} {entry.field} of {entry.source_id} is {entry.state}: {why}"
    for name, found in verified.items():
        if found.missing:
            yield f"{name}: {len(found.missing)} writes are not what the vendor holds now, such as {found.missing[0]}"
    yield from _stream_faults(again)
    if second.planned or second.writes:
        yield f"the second run planned {second.planned} changes and sent {second.writes} writes: none were due"
