"""Apply: send exactly one plan, and leave every change with exactly one outcome.

Before anything is sent, what an earlier run left behind is settled by looking. Then, per connection: commit the
intents, look at the live values, refuse what moved, mark as sent, send, record. What got no answer is looked for until
it shows, or had its time to; then it is sent once more. Killed at any point, the next apply knows from the outbox what
may have arrived, and finds out before it sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from cssync.config.workspace import Workspace
from cssync.connectors.session import Session
from cssync.errors import ApprovalNeeded, CssyncError, TransientFault
from cssync.http.clock import SYSTEM, Clock
from cssync.store import Fence, Store
from cssync.writeback import send_fields, send_tasks
from cssync.writeback.changes import Plan
from cssync.writeback.choices import added
from cssync.writeback.fit import Describe, Descriptions, refusals
from cssync.writeback.outbox import FLYING, TAKEN, Entry, enter, failed, move, of_plan, pending
from cssync.writeback.plan import load_plan, must_be_alive, set_status
from cssync.writeback.send import Work, look_until_shown, stamp

REASONS = 3
"""Reasons for which a plan is held that an error names; `cssync plan --show` has all of them."""

Sessions = Mapping[str, Session | CssyncError]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What became of a plan. `outcomes` counts its changes by write outcome; `open` are those that did not go through,
    with the vendor's words, and writes of earlier plans of which it is not known yet whether they did; `faults` says
    why a connection stopped; `settled` counts writes of earlier, interrupted runs whose fate was found out first."""

    plan_id: str
    outcomes: Mapping[str, int]
    open: tuple[Entry, ...] = ()
    altered: tuple[Entry, ...] = ()
    faults: Mapping[str, CssyncError] = field(default_factory=dict)
    settled: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 when every change is verified, 3 otherwise."""
        return 3 if self.open or self.faults else 0

    def as_dict(self) -> dict[str, object]:
        """JSON-able form, for run summaries and `--json`."""
        return {
            "plan": self.plan_id,
            "outcomes": dict(self.outcomes),
            "open": [_told(entry) for entry in self.open],
            "altered": [_told(entry) for entry in self.altered],
            "faults": {name: fault.message for name, fault in self.faults.items()},
            "settled": self.settled,
            "requests": dict(self.requests),
        }


def apply_plan(
    store: Store,
    workspace: Workspace,
    plan_id: str,
    sessions: Sessions,
    *,
    run_id: str,
    fence: Fence | None = None,
    describe: Describe | None = None,
    clock: Clock = SYSTEM,
    progress: Progress | None = None,
) -> ApplyReport:
    """Carry out a plan. One that was carried out already sends nothing and reports what it did then.

    What the vendors' fields take is asked once per connection (`describe` brings the answers of the plan along): a
    mapping whose field does not take its values is refused as a whole, the others go on.

    A connection that fails stops alone; its changes wait, the plan stays alive, and applying it again resumes.

    Raises:
        ApprovalNeeded: a brake holds the plan.
        ConfigError: no such plan, or a newer one took its place.
        LeaseLost: another run took over; the outbox tells it what was on its way.
    """
    plan = load_plan(store, plan_id)
    if plan.status == "applied":
        return _report(store, plan, {}, 0, {})
    must_be_alive(store, plan)
    if plan.status == "held":
        raise ApprovalNeeded(
            f"plan {plan.id} is held: {'; '.join(plan.held_by[:REASONS])}{_more(plan.held_by)}",
            kept="nothing was sent",
            fix=f"read it with `cssync plan --show {plan.id}`, then `cssync approve {plan.id}`",
        )
    settled, faults = _settle(store, workspace, sessions, plan.id, fence, clock)
    describe = describe or Descriptions(store, workspace, sessions, fence)
    if plan.changes:
        with store.transaction(fence) as conn:
            enter(conn, plan, run_id, failed(store))
    ready = [entry for entry in pending(store, plan.id) if entry.state in ("planned", "waiting")]
    requests: dict[str, int] = {}
    for name, group in groupby(ready, lambda entry: entry.connection):
        mine = list(group)
        session = sessions.get(name)
        if name not in faults and session is not None and not isinstance(session, CssyncError):
            before = session.requests
            told = progress or _quiet
            work = Work(store, workspace.connections[name], session, fence, clock, told, locale=workspace.locale)
            _carry_out(work, _refuse_misfits(work, mine, describe))
            requests[name] = session.requests - before
            if work.fault is not None:
                faults[name] = work.fault
        elif isinstance(session, CssyncError):
            faults.setdefault(name, session)
        if name in faults:
            _wait(store, plan.id, name, faults[name], fence, clock)
    report = _report(store, plan, faults, settled, requests)
    if not pending(store, plan.id):
        refused = bool(plan.changes) and set(report.outcomes) == {"refused"}
        set_status(store, plan.id, "refused" if refused else "applied", fence)
    return report


def settle(
    store: Store,
    workspace: Workspace,
    sessions: Sessions,
    *,
    fence: Fence | None = None,
    clock: Clock = SYSTEM,
) -> tuple[int, dict[str, CssyncError]]:
    """Find out what became of writes that an interrupted run left open, by looking; nothing is sent.

    Returns how many were settled, and the faults of connections where looking failed: theirs stay open.
    """
    return _settle(store, workspace, sessions, None, fence, clock)


def unfinished(store: Store) -> str | None:
    """Return the id of a plan that was released and is not through yet: a run takes it up before it makes a new one."""
    rows = store.query(
        "SELECT p.id FROM plan p WHERE p.status IN ('open', 'approved') AND EXISTS (SELECT 1 FROM outbox o "
        "WHERE o.plan_id = p.id AND o.state IN ('planned', 'waiting', 'sent', 'unknown')) "
        "ORDER BY p.created_at DESC LIMIT 1"
    )
    if rows:
        return str(rows[0]["id"])
    rows = store.query("SELECT id FROM plan WHERE status = 'approved' ORDER BY created_at DESC LIMIT 1")
    return str(rows[0]["id"]) if rows else None


def _settle(
    store: Store, workspace: Workspace, sessions: Sessions, resume: str | None, fence: Fence | None, clock: Clock
) -> tuple[int, dict[str, CssyncError]]:
    left = pending(store)
    faults: dict[str, CssyncError] = {}
    overtaken = [e for e in left if e.state in ("planned", "waiting") and e.plan_id != resume]
    if overtaken:
        now = stamp(clock)
        with store.transaction(fence) as conn:
            for entry in overtaken:
                move(conn, entry, "refused", now, error="a newer plan took its place before it was sent")
    flying = sorted((e for e in left if e.state in FLYING), key=lambda e: e.connection)
    for name, group in groupby(flying, lambda entry: entry.connection):
        session = sessions.get(name)
        if isinstance(session, CssyncError):
            faults[name] = session
        if session is None or isinstance(session, CssyncError) or name not in workspace.connections:
            continue
        mine = list(group)
        work = Work(store, workspace.connections[name], session, fence, clock, locale=workspace.locale)
        _look(work, {entry.key for entry in mine}, resume)
        if work.fault is not None:
            faults[name] = work.fault
    still = {entry.key for entry in pending(store, states=FLYING)}
    return sum(entry.key not in still for entry in flying), faults


def _look(work: Work, keys: set[str], resume: str | None) -> None:
    """Find out what became of writes that were sent, waiting for those that may still show."""

    def left(*, tasks: bool) -> list[Entry]:
        return [e for e in pending(work.store, states=FLYING) if e.key in keys and e.is_task is tasks]

    look_until_shown(work, lambda: left(tasks=False), send_fields.look, resume=resume)
    look_until_shown(work, lambda: left(tasks=True), send_tasks.look, resume=resume)


def _carry_out(work: Work, mine: list[Entry]) -> None:
    """Send; then find out what became of that which was not answered, and send once more what did not arrive."""
    keys = {entry.key for entry in mine}
    for last in (False, True):
        _send(work, mine)
        if work.fault is not None:
            return
        _not_shown(work, keys)
        if last:
            break
        _look(work, keys, mine[0].plan_id if mine else None)
        mine = [entry for entry in pending(work.store, states=("planned",)) if entry.key in keys]
        if work.fault is not None or not mine:
            return
        work.silent = ""
    if work.silent and any(entry.key in keys for entry in pending(work.store)):
        work.fault = TransientFault(
            f"{work.connection.name}: writes are not answered ({work.silent})",
            kept="what was sent is in the outbox and is looked up before anything is sent again",
            fix="nothing to do if the next run succeeds",
        )


def _not_shown(work: Work, keys: set[str]) -> None:
    """What was accepted and cannot be seen is not known to be written."""
    taken = [entry for entry in pending(work.store, states=("sent",)) if entry.key in keys]
    if taken:
        now = work.now()
        with work.store.transaction(work.fence) as conn:
            for entry in taken:
                move(conn, entry, "unknown", now, error=TAKEN)


def _send(work: Work, mine: list[Entry]) -> None:
    """Fields first, then tasks: whoever opens a task finds the score it speaks of."""
    fields = [entry for entry in mine if not entry.is_task]
    for _, group in groupby(sorted(fields, key=lambda e: (e.stream, e.seq)), lambda e: e.stream):
        if work.fault is None and not work.silent:
            send_fields.write_fields(work, list(group))
    tasks = [entry for entry in mine if entry.is_task]
    if tasks and work.fault is None and not work.silent:
        send_tasks.write_tasks(work, tasks)


def _refuse_misfits(work: Work, mine: list[Entry], describe: Describe) -> list[Entry]:
    """Refuse the changes of mappings that their field does not take; return the rest."""
    fields = [entry for entry in mine if not entry.is_task]
    if not fields:
        return mine
    work.shape = describe(work.connection.name)
    stopped = refusals(((e.connection, e.field, added(e.old, e.new)) for e in fields), describe)
    refused = [entry for entry in fields if (entry.connection, entry.field) in stopped]
    if refused:
        now = work.now()
        with work.store.transaction(work.fence) as conn:
            for entry in refused:
                told = f"the field {stopped[entry.connection, entry.field]}; this mapping stopped"
                move(conn, entry, "refused", now, error=told)
    gone = {entry.key for entry in refused}
    return [entry for entry in mine if entry.key not in gone]


def _wait(store: Store, plan_id: str, name: str, fault: CssyncError, fence: Fence | None, clock: Clock) -> None:
    """What could not be sent waits for its connection, with the reason."""
    now = stamp(clock)
    with store.transaction(fence) as conn:
        for entry in pending(store, plan_id):
            if entry.connection == name and entry.state == "planned":
                move(conn, entry, "waiting", now, error=fault.message)


def _report(
    store: Store, plan: Plan, faults: Mapping[str, CssyncError], settled: int, requests: Mapping[str, int]
) -> ApplyReport:
    rows = of_plan(store, plan.id)
    earlier = (entry for entry in pending(store, states=FLYING) if entry.plan_id != plan.id)
    return ApplyReport(
        plan.id,
        dict(sorted(Counter(entry.state for entry in rows).items())),
        (*earlier, *(entry for entry in rows if entry.state != "verified")),
        tuple(entry for entry in rows if entry.state == "verified" and entry.error),
        dict(faults),
        settled,
        dict(requests),
    )


def _told(entry: Entry) -> dict[str, object]:
    names: Iterable[str] = (
        "key",
        "connection",
        "source_id",
        "account_uid",
        "action",
        "field",
        "state",
        "error",
        "correlation_id",
    )
    return {name: getattr(entry, name) for name in names}


def _more(reasons: Sequence[str]) -> str:
    more = len(reasons) - REASONS
    return f"; and {more} reason{'' if more == 1 else 's'} more" if more > 0 else ""


def _quiet(text: str) -> None:
    """Progress that nobody watches."""
