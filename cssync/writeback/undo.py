"""Undo: plan the values back that one run replaced, wherever nobody has touched them since.

What was written later, by a person or by another run, is newer than what the undo would bring back: it is listed and
left alone. A value that was undone is not written again until the rules come to another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from cssync.config.workspace import Workspace
from cssync.connectors.contract import TaskContent
from cssync.errors import ConfigError
from cssync.store import Store
from cssync.writeback.canonical import KINDS, canonical, kind_of, same
from cssync.writeback.changes import Action, Draft, Note, NoteKind, PlannedChange, load
from cssync.writeback.choices import taken_back
from cssync.writeback.outbox import UNDO, Entry, entries
from cssync.writeback.overrides import ENDED
from cssync.writeback.send import said
from cssync.writeback.tasks import SIDE, Known, known_tasks

Place = tuple[str, str, str, str]

_OF_RUN = """
SELECT * FROM outbox WHERE (run_id = ? OR plan_id = ?) AND state IN ('verified', 'sent', 'unknown')
ORDER BY run_id, plan_id, seq
"""
_LATER = """
SELECT 1 FROM outbox WHERE connection = ? AND stream = ? AND source_id = ? AND field = ?
AND state IN ('verified', 'sent', 'unknown') AND (run_id, plan_id, seq) > (?, ?, ?) LIMIT 1
"""
_ALIVE = """
SELECT coalesce(a.name, a.uid) AS account, s.fields FROM account_source r
JOIN account_link l ON l.connection = r.connection AND l.source_id = r.source_id AND l.status = 'active'
JOIN account a ON a.uid = l.account_uid
LEFT JOIN crm_state s ON s.connection = r.connection AND s.source_id = r.source_id
WHERE r.connection = ? AND r.source_id = ? AND l.valid_to IS NULL AND r.deleted_at IS NULL AND r.merged_into IS NULL
"""


def draft_undo(store: Store, workspace: Workspace, types: Mapping[str, str], run: str) -> Draft:
    """Return the changes that take `run` back (a run id, or the id of a plan it sent), and notes on what stays.

    Fields: the value before the run, where the CRM still holds what the run left there; cleared ones are filled again.
    Untouched tasks: those that the run created are closed with a note, those that it changed get their former subject,
    date, priority and owner, those that it closed are opened again. Opportunities stay: they are the sales team's from
    their first day. `types`: result name -> type of the written field. Reads the store only.

    Raises:
        ConfigError: that run wrote nothing; names the newest that did.
    """
    done = list(entries(store.query(_OF_RUN, (run, run))))
    if not done:
        raise ConfigError(f"run {run} wrote nothing that could be undone", kept="nothing was planned", fix=_hint(store))
    walk = _Walk(store, workspace, types, run)
    byplace: dict[Place, list[Entry]] = {}
    for entry in done:
        byplace.setdefault(entry.place, []).append(entry)
    for written in byplace.values():
        walk.take_back(written)
    touched = {change.connection for change in walk.changes}
    return Draft(tuple(walk.changes), tuple(walk.notes), (), _records(store, touched), _filled(walk.changes))


class _Walk:
    """One pass over what a run wrote."""

    def __init__(self, store: Store, workspace: Workspace, types: Mapping[str, str], run: str) -> None:
        self.changes: list[PlannedChange] = []
        self.notes: list[Note] = []
        self.store, self.workspace, self.types, self.run = store, workspace, types, run
        self.tasks = known_tasks(store, workspace)

    def take_back(self, written: list[Entry]) -> None:
        """Decide about one place; `written` are the run's writes to it, oldest first."""
        first, last = written[0], written[-1]
        row = next(iter(self.store.query(_ALIVE, (last.connection, last.source_id))), None)
        account = row["account"] if row else last.account_uid
        if any(entry.state != "verified" for entry in written):
            self.note(
                "unsettled", last, account, "it is not known yet whether this arrived; undo it after the next run"
            )
        elif row is None:
            self.keep(last, account, "the record is gone")
        elif self.store.query(_LATER, (*last.place, last.run_id, last.plan_id, last.seq)):
            self.keep(last, account, "it was written again since")
        elif last.is_task:
            self.task(first, last, account)
        else:
            self.field(first, last, account, (load(row["fields"]) or {}).get(last.field))

    def field(self, first: Entry, last: Entry, account: str, live: Any) -> None:
        back = self.workspace.writeback.get(last.connection)
        if last.result_name == ENDED:
            self.keep(last, account, "an override whose last day is past is not brought back")
            return
        if back is None or back.to != last.stream or last.field not in back.fields:
            self.keep(last, account, "cssync.yaml maps no result to this field")
            return
        kind = KINDS.get(self.types.get(back.fields[last.field], "")) or kind_of(last.new, live)
        verified = self.store.query(
            "SELECT value FROM written WHERE connection = ? AND stream = ? AND source_id = ? AND field = ?", last.place
        )
        left, back_to = load(verified[0]["value"]) if verified else last.new, first.old
        if kind == "multi":  # what the run added and took out; what else people did with the field stays
            left, back_to = live, taken_back(live, first.old, last.new)
        if same(live, back_to, kind):
            self.keep(last, account, f"the CRM holds {said(back_to)} again already")
        elif not same(live, left, kind):
            self.keep(last, account, f"the CRM holds {said(live)} now, the run left {said(left)} there")
        else:
            action: Action = "clear" if back_to is None else "set"
            held = live if kind != "multi" or live is None else sorted(canonical(live, kind) or ())
            self.change(PlannedChange(
                last.connection, last.stream, last.source_id, last.account_uid, account, action, last.field, held,
                back_to, UNDO, f"undo of {self.run}, which wrote it: {last.because}",
            ))  # fmt: skip

    def task(self, first: Entry, last: Entry, account: str) -> None:
        known = self.tasks.get(last.field)
        closed = last.action == "close_task"
        if last.content.is_opportunity:
            self.keep(last, account, "an opportunity is the sales team's; close it in the CRM")
        elif known is None or known.status == "deleted" or (known.status == "done" and not closed):
            self.keep(last, account, "the task is closed or gone already")
        elif closed and known.status == "open":
            self.keep(last, account, "a person opened the task again already")
        elif known.edited() or known.content is None:
            self.keep(last, account, "a person changed the task since")
        elif first.action == "create_task" and closed:
            self.keep(last, account, "the run closed again what it had created")
        else:
            self.change(_taking_back(first, last, account, known, self.run))

    def change(self, change: PlannedChange) -> None:
        self.changes.append(change)

    def keep(self, entry: Entry, account: str, message: str) -> None:
        self.note("kept", entry, account, message)

    def note(self, kind: NoteKind, entry: Entry, account: str, message: str) -> None:
        told = f"task {entry.new.get('subject')!r}: {message}" if entry.is_task else message
        self.notes.append(Note(kind, entry.connection, entry.account_uid, account, entry.field, told))


def _taking_back(first: Entry, last: Entry, account: str, known: Known, run: str) -> PlannedChange:
    """The change of a task that takes the run's own back; `first` and `last` are the run's writes to it."""
    held = TaskContent(**dict(known.content or {}))
    action: Action
    if first.action == "create_task":
        action, did = "close_task", "created"
        told = f"Closed by cssync: a person took back run {run}, which had created this task."
        content = replace(held, status="done", note=told)
    else:
        action, did = ("reopen_task", "closed") if last.action == "close_task" else ("update_task", "changed")
        before = {name: value for name, value in (first.old or {}).items() if name in SIDE and value is not None}
        content = replace(held, **before, status="open")
    return PlannedChange(
        last.connection, last.stream, last.source_id, last.account_uid, account, action, last.field, known.side(),
        asdict(content), UNDO, f"undo of {run}, which {did} it",
    )  # fmt: skip


def _records(store: Store, connections: set[str]) -> Counter[str]:
    """Records that could be written to, for the brake that measures by share."""
    return Counter({
        name: store.query(
            "SELECT count(*) AS n FROM account_link l JOIN account_source r ON r.connection = l.connection "
            "AND r.source_id = l.source_id WHERE l.connection = ? AND l.status = 'active' AND l.valid_to IS NULL "
            "AND r.deleted_at IS NULL AND r.merged_into IS NULL",
            (name,),
        )[0]["n"]
        for name in connections
    })  # fmt: skip


def _filled(changes: list[PlannedChange]) -> Counter[tuple[str, str]]:
    """What the undo touches is all it knows to be filled: emptying more than a handful asks for approval."""
    return Counter((change.connection, change.field) for change in changes if change.old is not None)


def _hint(store: Store) -> str:
    rows = store.query("SELECT DISTINCT run_id FROM outbox WHERE state = 'verified' ORDER BY run_id DESC LIMIT 3")
    found = ", ".join(row["run_id"] for row in rows)
    return f"the newest runs that wrote something: {found}" if found else "no run has written anything yet"
