"""The plan: what would be written, frozen, stored, and carried out as it stands or not at all.

Making one is pure: it reads the store, sends nothing, and the same store gives the same plan byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cssync.config.workspace import Workspace
from cssync.errors import ConfigError
from cssync.http.clock import SYSTEM, Clock
from cssync.store import Fence, Store
from cssync.writeback import brakes
from cssync.writeback.changes import Draft, Note, Plan, PlannedChange, Status, digest, dump, load
from cssync.writeback.desired import field_changes
from cssync.writeback.fit import Describe, fitting, lengths, must_have_one_source
from cssync.writeback.outbox import remember
from cssync.writeback.overrides import ended_overrides
from cssync.writeback.send import stamp
from cssync.writeback.sources import held_part, parted
from cssync.writeback.tasks import task_changes
from cssync.writeback.undo import draft_undo

if TYPE_CHECKING:
    from cssync.rules import RuleSet

__all__ = [
    "Note",
    "Plan",
    "PlannedChange",
    "approve_plan",
    "draft_plan",
    "latest_plan",
    "load_plan",
    "make_plan",
    "make_undo",
]

ALIVE = ("open", "held", "approved")
"""States of a plan that may still be carried out; there is at most one such plan."""
UNSTORED = "(not stored)"


def draft(store: Store, workspace: Workspace, types: Mapping[str, str], as_of: datetime) -> Draft:
    """Compare what the rules want with what the CRM holds, in the order (connection, account, uid, record, field).

    `types`: result name -> type of the written field, for comparing values.
    """
    must_have_one_source(workspace, store)
    fields = field_changes(store, workspace, types, lengths(store, workspace))
    tasks, task_notes = task_changes(store, workspace, as_of)
    ended, held = ended_overrides(store, workspace, as_of)
    return Draft(
        tuple(sorted((*fields.changes, *ended, *tasks), key=_order)),
        tuple(sorted((*fields.notes, *task_notes), key=lambda n: (n.connection, n.account, n.account_uid, n.field))),
        tuple(fields.agreed),
        dict(fields.records),
        fields.filled + held,
    )


def make_plan(
    store: Store,
    workspace: Workspace,
    rules: RuleSet,
    as_of: datetime,
    *,
    run_id: str,
    fence: Fence | None = None,
    attended: bool = True,
    describe: Describe | None = None,
    waiting: bool = False,
    clock: Clock = SYSTEM,
) -> Plan:
    """Make the plan of this moment and store it; an older one that was not carried out becomes `superseded`.

    Changes that rest on a source that was not read to its end are not in it. They are a plan of their own, held: the
    one made with `waiting`, or when there is nothing else to do.

    A plan whose changes are just those of the waiting one is that plan: its id and its approval stay. It is `held`
    when a brake applies; `attended=False` (a run without a person) also holds the first plan of each connection.
    A plan without changes is stored too. `describe` asks the vendors what their fields take, where anything would
    change; without it, only the lengths seen before are known, and `apply` asks.

    Raises:
        ConfigError: `writeback:` names results that no loaded pack has, or one field twice.
    """
    types = mapped_types(workspace, rules)
    found = draft(store, workspace, types, as_of)
    if describe is not None:
        known = lengths(store, workspace)
        fitted = fitting(found, describe)
        if lengths(store, workspace) != known:  # the first look at these fields: compare again, with texts cut to fit
            fitted = fitting(draft(store, workspace, types, as_of), describe)
        found = fitted
    found, why = _part(store, workspace, rules, found, as_of, waiting=waiting)
    if not attended:
        why = (*(f"{name}: first write to this connection" for name in brakes.first_writes(store, found)), *why)
    return _freeze(store, found, why, as_of, run_id=run_id, fence=fence, clock=clock)


def _part(
    store: Store, workspace: Workspace, rules: RuleSet, found: Draft, as_of: datetime, *, waiting: bool = False
) -> tuple[Draft, tuple[str, ...]]:
    """Return the part of a draft to be planned now, and what holds it."""
    whole = parted(store, rules, found, as_of)
    chosen, why = whole.ready, tuple[str, ...]()
    if whole.waiting and (waiting or not chosen.changes):
        chosen, why = held_part(whole), whole.why
    return chosen, (*why, *brakes.reasons(store, workspace, chosen, as_of))


def make_undo(
    store: Store,
    workspace: Workspace,
    rules: RuleSet,
    as_of: datetime,
    undone: str,
    *,
    run_id: str,
    fence: Fence | None = None,
    clock: Clock = SYSTEM,
) -> Plan:
    """Make and store the plan that takes run `undone` back; brakes and everything after it are those of any plan.

    Raises:
        ConfigError: that run wrote nothing.
    """
    found = draft_undo(store, workspace, mapped_types(workspace, rules), undone)
    found = replace(found, changes=tuple(sorted(found.changes, key=_order)))
    why = brakes.reasons(store, workspace, found, as_of)
    return _freeze(store, found, why, as_of, run_id=run_id, fence=fence, clock=clock)


def _freeze(
    store: Store, found: Draft, why: tuple[str, ...], as_of: datetime, *, run_id: str, fence: Fence | None, clock: Clock
) -> Plan:
    """Store a draft as the plan that is alive now, or return the waiting one when it is the same."""
    mark = digest(found.changes)
    status: Status = "held" if why else "open"
    waiting = latest_plan(store, ALIVE)
    if (
        waiting is not None
        and waiting.digest == mark
        and (waiting.status == "approved" or (waiting.status, waiting.held_by) == (status, why))
    ):
        _agree(store, found, fence, stamp(clock))
        return replace(waiting, notes=found.notes)
    plan = Plan(
        id="p-" + hashlib.blake2b(f"{run_id}/{mark}".encode(), digest_size=4).hexdigest(),
        as_of=as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        results_as_of=_results_as_of(store),
        created_at=stamp(clock),
        status=status,
        held_by=why,
        digest=mark,
        changes=found.changes,
        notes=found.notes,
    )
    _agree(store, found, fence, plan.created_at)
    _keep(store, plan, run_id, fence)
    return plan


def draft_plan(store: Store, workspace: Workspace, rules: RuleSet, as_of: datetime) -> Plan:
    """Make a plan to look at, without storing anything: for while another run is at work. Raises as `make_plan`."""
    found = draft(store, workspace, mapped_types(workspace, rules), as_of)
    found, why = _part(store, workspace, rules, found, as_of)
    at = as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status: Status = "held" if why else "open"
    return Plan(UNSTORED, at, _results_as_of(store), at, status, why, digest(found.changes), found.changes, found.notes)


def _results_as_of(store: Store) -> str:
    sql = "SELECT coalesce((SELECT max(as_of) FROM evaluation), (SELECT max(as_of) FROM result), '')"
    return str(store.query(sql)[0][0])


def written_types(rules: RuleSet) -> dict[str, str]:
    """Result name -> type of the field it is written to."""
    from cssync.rules import written_fields

    return {name: field.type for name, field in written_fields(rules).items()}


def mapped_types(workspace: Workspace, rules: RuleSet) -> dict[str, str]:
    """Result name -> type, after a look at the mapping: every result in it must exist.

    Raises:
        ConfigError: naming all that do not, by connection; or two mappings onto one field.
    """
    must_have_one_source(workspace)
    types = written_types(rules)
    missing = [
        f"{back.connection}.{field}: {name}"
        for back in workspace.writeback.values()
        for field, name in back.fields.items()
        if name not in types
    ]
    if missing:
        raise ConfigError(
            f"writeback: no loaded rule pack has {', '.join(missing)}",
            kept="nothing was created, planned or written",
            fix=f"results that can be written: {', '.join(sorted(types)) or 'none'}",
        )
    return types


def load_plan(store: Store, plan_id: str) -> Plan:
    """Return a stored plan.

    Raises:
        ConfigError: there is none of that id; names the newest.
    """
    rows = store.query("SELECT * FROM plan WHERE id = ?", (plan_id,))
    if not rows:
        newest = latest_plan(store, ALIVE) or latest_plan(store, ("applied",))
        told = f"the newest is {newest.id} ({newest.status})" if newest else "there is none yet: run `cssync plan`"
        raise ConfigError(f"there is no plan {plan_id}", kept="nothing was sent", fix=told)
    return _plan(store, rows[0])


def latest_plan(store: Store, statuses: tuple[str, ...]) -> Plan | None:
    """Return the newest plan in one of these states."""
    marks = ",".join("?" * len(statuses))
    rows = store.query(
        f"SELECT * FROM plan WHERE status IN ({marks}) ORDER BY created_at DESC, run_id DESC LIMIT 1", statuses
    )
    return _plan(store, rows[0]) if rows else None


def approve_plan(store: Store, plan_id: str, *, fence: Fence | None = None) -> Plan:
    """Release a plan that a brake holds; an open one is released too.

    Raises:
        ConfigError: no such plan, or it was carried out, refused or overtaken already.
    """
    plan = load_plan(store, plan_id)
    must_be_alive(store, plan)
    set_status(store, plan.id, "approved", fence)
    return replace(plan, status="approved")


def must_be_alive(store: Store, plan: Plan) -> None:
    """Raise ConfigError for a plan that cannot be carried out any more; says what became of it."""
    if plan.status in ALIVE:
        return
    newer = latest_plan(store, ALIVE)
    fate = {"applied": "was carried out already", "superseded": "was overtaken by a newer plan"}
    raise ConfigError(
        f"plan {plan.id} {fate.get(plan.status, 'was refused')}",
        kept="nothing was sent",
        fix=f"look at {newer.id}, which is the newest" if newer else "make a new one: `cssync plan`",
    )


def set_status(store: Store, plan_id: str, status: Status, fence: Fence | None) -> None:
    """Take a plan to its next state."""
    with store.transaction(fence) as conn:
        conn.execute("UPDATE plan SET status = ? WHERE id = ?", (status, plan_id))


def _order(change: PlannedChange) -> tuple[str, ...]:
    return (change.connection, change.account, change.account_uid, change.source_id, str(change.is_task), change.field)


def _agree(store: Store, found: Draft, fence: Fence | None, now: str) -> None:
    """Take over values on which the CRM and the rules agree: from now on they count as verified."""
    if not found.agreed:
        return
    with store.transaction(fence) as conn:
        for *place, value in found.agreed:
            remember(conn, (place[0], place[1], place[2], place[3]), value, now)


def _keep(store: Store, plan: Plan, run_id: str, fence: Fence | None) -> None:
    with store.transaction(fence) as conn:
        conn.execute(f"UPDATE plan SET status = 'superseded' WHERE status IN ({','.join('?' * len(ALIVE))})", ALIVE)
        conn.execute(
            "INSERT INTO plan (id, created_at, as_of, results_as_of, status, held_by, digest, totals, run_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (plan.id, plan.created_at, plan.as_of, plan.results_as_of, plan.status, "\n".join(plan.held_by) or None,
             plan.digest, dump({**plan.totals, "notes": [asdict(note) for note in plan.notes]}), run_id),
        )  # fmt: skip
        conn.executemany(
            "INSERT INTO plan_change (plan_id, seq, connection, stream, source_id, account_uid, action, field, old, "
            "new, result_name, because) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (plan.id, seq, c.connection, c.stream, c.source_id, c.account_uid, c.action, c.field, dump(c.old),
                 dump(c.new), c.result_name, c.because)
                for seq, c in enumerate(plan.changes)
            ),
        )  # fmt: skip


def _plan(store: Store, row: Any) -> Plan:
    changes = store.query(
        "SELECT c.*, coalesce(a.name, c.account_uid) AS account FROM plan_change c "
        "LEFT JOIN account a ON a.uid = c.account_uid WHERE c.plan_id = ? ORDER BY c.seq",
        (row["id"],),
    )
    names = [n for n in PlannedChange.__dataclass_fields__ if n not in ("old", "new")]
    return Plan(
        id=row["id"],
        as_of=row["as_of"],
        results_as_of=row["as_of"] if row["results_as_of"] is None else row["results_as_of"],  # NULL up to 0.5
        created_at=row["created_at"],
        status=row["status"],
        held_by=tuple((row["held_by"] or "").split("\n")) if row["held_by"] else (),
        digest=row["digest"],
        changes=tuple(
            PlannedChange(**{n: c[n] for n in names}, old=load(c["old"]), new=load(c["new"])) for c in changes
        ),
        notes=tuple(Note(**note) for note in (load(row["totals"]) or {}).get("notes", ())),
    )
