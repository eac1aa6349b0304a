"""The whole job, once: pull, link, judge, plan, write. Due or not is the caller's business; this runs and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cssync.config.workspace import Workspace
from cssync.errors import ConfigError, CssyncError
from cssync.http.clock import SYSTEM, Clock
from cssync.link import LinkReport, link
from cssync.runs.lease import Lease, hold_lease
from cssync.runs.record import new_run_id, recorded
from cssync.runs.retention import prune
from cssync.runs.sessions import open_sessions
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync.writeback.apply import ApplyReport, Sessions, apply_plan, settle, unfinished
from cssync.writeback.fit import Descriptions
from cssync.writeback.plan import Plan, approve_plan, load_plan, make_plan, mapped_types

if TYPE_CHECKING:
    from cssync.rules import EvaluationReport, RuleSet

Progress = Callable[[str], None]
GOOD = ("ok", "empty", "skipped-by-config")
"""Stream outcomes that are no reason to call a run partial."""


@dataclass(slots=True)
class RunReport:
    """What a run did, stage by stage; a stage that was not reached is None. `faults` are connections that could not be
    used, by name; `resumed` is a plan that an interrupted run had begun; `waiting` holds, beside a plan that was sent,
    what rests on a source that was not read to its end."""

    run_id: str
    as_of: datetime
    streams: list[StreamReport] = field(default_factory=list)
    links: LinkReport | None = None
    evaluation: EvaluationReport | None = None
    resumed: ApplyReport | None = None
    plan: Plan | None = None
    applied: ApplyReport | None = None
    waiting: Plan | None = None
    faults: dict[str, CssyncError] = field(default_factory=dict)

    @property
    def held(self) -> Plan | None:
        """The plan that waits for approval, if there is one."""
        return next((p for p in (self.plan, self.waiting) if p is not None and p.status == "held"), None)

    @property
    def exit_code(self) -> int:
        """4 when the plan waits for approval; 3 when anything is incomplete, a mapping stopped or a refused write still
        waits for a person; 0 otherwise. When no stream at all could be pulled: 2 if only the configuration or
        credentials are to blame, else 1."""
        if self.streams and all(stream.outcome == "failed" for stream in self.streams):
            errors = [stream.error for stream in self.streams]
            return 2 if all(isinstance(error, ConfigError) for error in errors) else 1
        if self.held is not None:
            return 4
        applies = [report for report in (self.resumed, self.applied) if report is not None]
        stopped = self.plan is not None and (self.plan.totals["misfit"] or self.plan.totals["blocked"])
        partial = self.faults or stopped or any(stream.outcome not in GOOD for stream in self.streams)
        return 3 if partial or any(report.exit_code for report in applies) else 0

    def as_dict(self) -> dict[str, Any]:
        """The summary of the run for `--json` and the run's row: counts per stage."""
        return {
            "run": self.run_id,
            "as_of": self.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "exit_code": self.exit_code,
            "streams": [_stream(stream) for stream in self.streams],
            "accounts": self.links.accounts if self.links else None,
            "links": dict(self.links.by_method) if self.links else None,
            "plan": _plan(self.plan),
            "resumed": self.resumed.as_dict() if self.resumed else None,
            "applied": self.applied.as_dict() if self.applied else None,
            "waiting": _plan(self.waiting),
            "faults": {name: fault.message for name, fault in self.faults.items()},
        }


def run(
    workspace: Workspace,
    *,
    as_of: datetime | None = None,
    approved: bool = False,
    progress: Progress | None = None,
    watch: Callable[[StreamReport], None] | None = None,
    clock: Clock = SYSTEM,
) -> RunReport:
    """Do the whole job under one lease and keep its record; leaves nothing half-known behind, wherever it stops.

    `as_of` is aware, now by default. `approved`: a person stands behind this run, so that neither the first write to a
    connection nor a brake holds it. A connection that is down stops alone.

    Raises:
        ConfigError: configuration, rules or store; or another organisation behind a connection's credentials.
        LeaseHeld: another run is at work.
    """
    from cssync import rules as language

    rules = language.load(workspace)
    mapped_types(workspace, rules)
    began = datetime.fromtimestamp(clock.time(), UTC)
    run_id = new_run_id(began)
    report = RunReport(run_id, as_of or began)
    tell = progress or (lambda text: None)
    with (
        Store.open(workspace.store, workspace=workspace.name) as store,
        hold_lease(store, owner=run_id, clock=clock) as lease,
        recorded(store, run_id, "run", fence=lease, clock=clock) as record,
        open_sessions(workspace, store, fence=lease, clock=clock) as sessions,
    ):
        report.faults = {name: found for name, found in sessions.items() if isinstance(found, CssyncError)}
        try:
            _stages(
                store, workspace, rules, sessions, lease, report, approved=approved, tell=tell, watch=watch, clock=clock
            )
        finally:
            record.summary = report.as_dict()
        record.exit_code = report.exit_code
    return report


def _stages(
    store: Store,
    workspace: Workspace,
    rules: RuleSet,
    sessions: Sessions,
    lease: Lease,
    report: RunReport,
    *,
    approved: bool,
    tell: Progress,
    watch: Callable[[StreamReport], None] | None,
    clock: Clock,
) -> None:
    from cssync import rules as language

    run_id, as_of = report.run_id, report.as_of
    report.streams = sync(
        store, workspace, sessions, run_id=run_id, fence=lease,
        progress=watch or (lambda s: tell(f"{s.connection}.{s.stream}: {s.read} read, {s.new + s.changed} changed")),
    )  # fmt: skip
    if report.exit_code in (1, 2):
        return  # nothing was pulled: there is nothing new to judge, and nowhere to write
    tell("linking records to accounts")
    report.links = link(store, workspace, datetime.fromtimestamp(clock.time(), UTC), lease)
    tell("judging accounts")
    known_at = datetime.fromtimestamp(clock.time(), UTC)
    report.evaluation = language.evaluate(store, rules, workspace, as_of, run_id=run_id, fence=lease, known_at=known_at)
    describe = Descriptions(store, workspace, sessions, lease)
    begun = unfinished(store)
    if begun is not None:
        tell(f"resuming plan {begun}")
        report.resumed = apply_plan(
            store, workspace, begun, sessions, run_id=run_id, fence=lease, describe=describe, clock=clock, progress=tell
        )
    else:
        settle(store, workspace, sessions, fence=lease, clock=clock)
    tell("planning")
    report.plan = make_plan(
        store, workspace, rules, as_of, run_id=run_id, fence=lease, attended=approved, describe=describe, clock=clock
    )
    if report.plan.status == "held" and approved:
        report.plan = approve_plan(store, report.plan.id, fence=lease)
    if report.plan.status != "held":
        report.applied = apply_plan(
            store, workspace, report.plan.id, sessions, run_id=run_id, fence=lease, describe=describe, clock=clock,
            progress=tell,
        )  # fmt: skip
        report.plan = replace(report.plan, status=load_plan(store, report.plan.id).status)
        if report.plan.totals["partial"] and report.plan.status in ("applied", "refused"):
            report.waiting = make_plan(
                store, workspace, rules, as_of, run_id=run_id, fence=lease, describe=describe, waiting=True, clock=clock
            )
    prune(store, datetime.fromtimestamp(clock.time(), UTC), fence=lease)


def _stream(stream: StreamReport) -> dict[str, Any]:
    counts = ("read", "new", "changed", "same", "echo", "tombstoned", "incomplete", "quarantined", "requests")
    return {
        "connection": stream.connection,
        "stream": stream.stream,
        "outcome": stream.outcome,
        **{name: getattr(stream, name) for name in counts},
        "seconds": stream.seconds,
        "error": stream.error.message if stream.error else None,
        "resumes_at": getattr(stream.error, "resumes_at", None),
        "drift": [drift.as_dict() for drift in stream.drift],
    }


def _plan(plan: Plan | None) -> Mapping[str, Any] | None:
    if plan is None:
        return None
    return {"id": plan.id, "status": plan.status, "held_by": list(plan.held_by), "totals": plan.totals}
