"""Look at the vendors again after the demo has written: is every field and task there, as planned?

This asks the vendors through the connectors' read functions only; it does not believe the outbox.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cssync.config import Workspace
from cssync.connectors import Session, TaskContent
from cssync.errors import CssyncError
from cssync.writeback import Plan, PlannedChange
from cssync.writeback.canonical import same

Sessions = Mapping[str, Session | CssyncError]
Face = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]
"""(label, value) of a record's fields, and the subjects of its tasks."""
TELLING = (
    ("name", "Name", "domain", "Website"),
    ("health.score", "health.band", "health.reasons", "risk.flags", "renewal.date"),
)
"""What a card shows of a record: the vendor's own fields where it has them, and the fields of these results."""


@dataclass(slots=True)
class Verified:
    """What was planned for a connection and how much of it the vendor holds: `equal` counts fields and tasks."""

    records: set[str] = field(default_factory=set)
    fields: int = 0
    tasks: int = 0
    equal: int = 0
    missing: list[str] = field(default_factory=list)


def verify(workspace: Workspace, sessions: Sessions, plan: Plan) -> dict[str, Verified]:
    """Compare every change of an applied plan with what the vendor holds now, by connection.

    Raises:
        CssyncError: a vendor could not be read.
    """
    found = {name: Verified() for name in workspace.connections}
    for change in plan.changes:
        found[change.connection].records.add(change.source_id)
    for (name, stream), changes in _grouped([c for c in plan.changes if not c.is_task]).items():
        held = _read(workspace, sessions, name, stream, changes)
        found[name].fields += len(changes)
        for change in changes:
            equal = same(change.new, held.get(change.source_id, {}).get(change.field))
            _count(found[name], equal, f"{name} {stream} {change.source_id}: {change.field}")
    for (name, _), changes in _grouped([c for c in plan.changes if c.action == "create_task"]).items():
        known = _tasks(workspace, sessions, name, changes)
        found[name].tasks += len(changes)
        for change in changes:
            held_task = known.get(change.field)
            equal = held_task is not None and (held_task.subject, held_task.due_on, held_task.status) == (
                change.new["subject"], change.new["due_on"], change.new["status"],
            )  # fmt: skip
            _count(found[name], equal, f"{name} task {change.field}")
    return found


def _grouped(changes: list[PlannedChange]) -> dict[tuple[str, str], list[PlannedChange]]:
    groups: dict[tuple[str, str], list[PlannedChange]] = defaultdict(list)
    for change in changes:
        groups[change.connection, change.stream].append(change)
    return groups


def _count(found: Verified, equal: bool, what: str) -> None:
    found.equal += equal
    if not equal:
        found.missing.append(what)


def _session(sessions: Sessions, name: str) -> Session:
    session = sessions[name]
    if isinstance(session, CssyncError):
        raise session
    return session


def _read(
    workspace: Workspace, sessions: Sessions, name: str, stream: str, changes: list[PlannedChange]
) -> dict[str, dict[str, Any]]:
    read = workspace.connections[name].connector.read
    if read is None:
        return {}
    ids = list(dict.fromkeys(change.source_id for change in changes))
    return read(_session(sessions, name), stream, ids, list(dict.fromkeys(change.field for change in changes)))


def _tasks(workspace: Workspace, sessions: Sessions, name: str, changes: list[PlannedChange]) -> dict[str, Any]:
    find = workspace.connections[name].connector.find_tasks
    return {} if find is None else dict(find(_session(sessions, name), [TaskContent(**c.new) for c in changes]))


def choose(plan: Plan) -> PlannedChange | None:
    """Return a change of the record to show: in the red if there is one, and with most tasks."""
    reds = {c.source_id for c in plan.changes if not c.is_task and c.result_name == "health.band" and c.new == "red"}
    tasks = Counter(c.source_id for c in plan.changes if c.action == "create_task")
    changes = [c for c in plan.changes if c.source_id in tasks] or plan.changes
    return min(changes, default=None, key=lambda c: (c.source_id not in reds, -tasks[c.source_id], c.account_uid))


def face(workspace: Workspace, sessions: Sessions, chosen: PlannedChange | None, plan: Plan) -> Face:
    """Return the chosen record as the vendor holds it now.

    Raises:
        CssyncError: the vendor could not be read.
    """
    if chosen is None:
        return (), ()
    connector = workspace.connections[chosen.connection].connector
    session = _session(sessions, chosen.connection)
    back = workspace.writeback[chosen.connection]
    by_result = {result: name for name, result in back.fields.items()}
    remote = {r.name: r for r in connector.describe(session, back.to)} if connector.describe else {}
    own = [name for name in TELLING[0] if name in remote]
    ours = [by_result[result] for result in TELLING[1] if result in by_result]
    read = connector.read
    held = read(session, back.to, [chosen.source_id], [*own, *ours]).get(chosen.source_id, {}) if read else {}
    labels = {name: remote[name].label if name in remote else name for name in (*own, *ours)}
    mine = [c for c in plan.changes if c.action == "create_task" and c.source_id == chosen.source_id]
    tasks = _tasks(workspace, sessions, chosen.connection, mine) if mine else {}
    return (
        tuple((labels[name], _shown(held.get(name))) for name in (*own, *ours)),
        tuple(f"{t.subject} (due {t.due_on})" for _, t in sorted(tasks.items())),
    )


def _shown(value: object) -> str:
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
