"""The outbox: every change on its way, committed before anything is sent, settled only by proof.

planned --> sent --> verified             the answer or a read-back names the record as written
   |          |----> failed-retry         a passing fault; the next plan proposes it again, MAX_ATTEMPTS times
   |          |----> failed-permanent     the vendor will not have it; blocked until value or record changes
   |          '----> unknown --> verified | failed-retry | refused      settled by looking, never by sending; what was
   |                             accepted and is not shown, or not answered in time, stays so for an hour
   |----> waiting    its connection went away; taken up again, or overtaken by the next plan
   |----> refused    by us: the world moved
   '----> verified   the CRM held it already
sent, unknown --> planned                 looked for and not there, while its plan is still being carried out
failed-*, unknown, waiting --> dropped    by a person, with a reason
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from cssync.connectors.contract import TaskContent
from cssync.store import Store
from cssync.writeback.canonical import Kind, same
from cssync.writeback.changes import Plan, dump, load
from cssync.writeback.choices import owned_after, same_step

State = Literal[
    "planned", "waiting", "sent", "verified", "refused", "failed-retry", "failed-permanent", "unknown", "dropped"
]
MAX_ATTEMPTS = 5
"""Times that the same value is sent to the same place in vain before a person must say `failures retry`."""

UNDO = "undo"
"""Takes the place of the result's name in changes that take a run back."""

NOT_SHOWN = "the CRM does not show this record: deleted, merged, or hidden from cssync's user"
"""Error of a write to a record that was not there when we looked; it is lifted when a pull sees the record changed."""

TAKEN = "the CRM took it, but does not show it yet"
"""Error of a write that was accepted and is not proved: it stays `unknown`, and is not sent again, for `LATE`."""

FIGHTS = 3
"""Times that the same value goes in and is set back by somebody, most likely an automation, before we leave it."""

SILENT = "the CRM did not answer in time and may still do it"
"""Error of a write that we stopped waiting for: it, too, stays `unknown`, and is not sent again, for `LATE`."""

LATE = timedelta(hours=1)
"""How long a write that the vendor accepted, or may still be at, may take until its reads show it. Sending it again
before that would write twice, or fight with somebody who set the value back at once."""

JUST_WRITTEN = "the CRM shows the value from before a write that it took less than an hour ago; it is not repeated yet"
"""Error of a write that would only repeat the last one: its reads may lag, or an automation set the value back."""

OPEN: tuple[State, ...] = ("planned", "waiting", "sent", "unknown")
"""States that still ask for something to be done."""
FLYING: tuple[State, ...] = ("sent", "unknown")
"""States of a write whose outcome is not known."""
FINAL = ("verified", "refused", "failed-retry", "failed-permanent", "dropped")

BEFORE: dict[State, tuple[State, ...]] = {
    "planned": ("waiting", "sent", "unknown"),
    "waiting": ("planned",),
    "sent": ("planned", "waiting"),
    "verified": ("planned", "waiting", "sent", "unknown"),
    "refused": ("planned", "waiting", "sent", "unknown"),
    "unknown": ("sent",),
    "failed-retry": ("sent", "unknown", "failed-permanent", "failed-retry"),
    "failed-permanent": ("planned", "sent", "unknown"),
    "dropped": ("failed-retry", "failed-permanent", "unknown", "waiting"),
}
"""State -> states it may be reached from."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the outbox: a change of a plan and what became of it."""

    key: str
    plan_id: str
    seq: int
    connection: str
    stream: str
    source_id: str
    account_uid: str
    action: str
    field: str
    old: Any
    new: Any
    result_name: str
    because: str
    state: State
    attempts: int
    error: str
    correlation_id: str
    remote_id: str | None
    sent_at: str | None
    settled_at: str | None
    run_id: str

    @property
    def place(self) -> tuple[str, str, str, str]:
        """(connection, stream, source_id, field): what the write is about."""
        return (self.connection, self.stream, self.source_id, self.field)

    @property
    def is_task(self) -> bool:
        """Whether it is about a task rather than a field."""
        return self.action.endswith("_task")

    @property
    def content(self) -> TaskContent:
        """The task as it shall be."""
        return TaskContent(**self.new)

    def is_late(self, now: str) -> bool:
        """Whether it was accepted, or not answered, so short a time ago (`now`: UTC instant) that not being shown says
        nothing."""
        if self.error not in (TAKEN, SILENT) or self.sent_at is None:
            return False
        return datetime.fromisoformat(now) < datetime.fromisoformat(self.sent_at) + LATE

    @property
    def task_id(self) -> str | None:
        """The CRM's id of the task, as far as it is known."""
        return self.remote_id or (self.old or {}).get("remote_id")


@dataclass(frozen=True, slots=True)
class Failed:
    """The last word on a place that did not take its value."""

    entry: Entry

    @property
    def undone(self) -> bool:
        """Whether nothing failed, but a person took the value back."""
        return self.entry.result_name == UNDO and self.entry.state == "verified"

    def blocks(self, want: Any, kind: Kind | None = None, live: Any = None) -> bool:
        """Whether `want` must not be tried again without a reason: same value, and no tries left. Of several values,
        what was taken back is not done again upon what the field holds (`live`), whatever else people put in."""
        if self.undone and kind == "multi":
            return same_step(self.entry.new, self.entry.old, live, want)
        if self.undone:
            return same(self.entry.old, want, kind)
        tried_out = self.entry.state != "failed-retry" or self.entry.attempts >= MAX_ATTEMPTS
        return tried_out and same(self.entry.new, want, kind)

    def blocks_task(self, action: str, want: Mapping[str, Any]) -> bool:
        """The same for a task: what a reader sees of it is unchanged, apart from its text. An undo stands for as
        long as the rules want just what it took back."""
        if self.undone:
            undone, closing = self.entry.old or {}, self.entry.action == "reopen_task" and action == "close_task"
            alike = all(undone.get(name) == want.get(name) for name in ("subject", "due_on"))
            return closing or (action == "update_task" and alike)
        tried_out = self.entry.state != "failed-retry" or self.entry.attempts >= MAX_ATTEMPTS
        seen = ("subject", "due_on", "owner_source_id", "priority", "status")
        return tried_out and self.entry.action == action and all(self.entry.new.get(n) == want.get(n) for n in seen)

    @property
    def kind(self) -> Literal["blocked", "declined"]:
        """The kind of note by which a plan tells of it."""
        return "declined" if self.undone or self.entry.state == "dropped" else "blocked"

    @property
    def told(self) -> str:
        """One line for the plan."""
        if self.undone:
            return "a person took this back (undo); it is written again when the rules come to something else"
        if self.entry.state == "dropped":
            return f"dropped by a person: {self.entry.error}"
        return f"refused by the vendor before ({self.entry.error}); `cssync failures` shows it"


_LAST = """
SELECT o.* FROM (
  SELECT DISTINCT connection, source_id FROM outbox WHERE state IN ('failed-retry', 'failed-permanent', 'dropped')
  OR result_name = 'undo') f
JOIN outbox o ON o.connection = f.connection AND o.source_id = f.source_id
ORDER BY o.run_id, o.plan_id, o.seq
"""


_CHANGED_SINCE = """
SELECT o.key FROM outbox o JOIN account_source r ON r.connection = o.connection AND r.source_id = o.source_id
WHERE o.state = 'failed-permanent' AND r.synced_at > o.settled_at
"""
"""Permanent failures whose record a pull found changed, or back, since then: `synced_at` moves with nothing else."""


def failed(store: Store) -> dict[tuple[str, str, str, str], Failed]:
    """Return the places whose last write failed, was dropped, or took an earlier one back.

    Writes that we refused ourselves do not count, nor what the vendor would not have on a record that changed since:
    that is worth one more try.
    """
    again = {row["key"] for row in store.query(_CHANGED_SINCE)}
    last: dict[tuple[str, str, str, str], Entry] = {}
    for entry in entries(store.query(_LAST)):
        if entry.state != "refused" and entry.key not in again:
            last[entry.place] = entry
    found = {place: Failed(entry) for place, entry in last.items()}
    shut = ("failed-retry", "failed-permanent", "dropped")
    return {place: word for place, word in found.items() if word.entry.state in shut or word.undone}


def written_in_vain(store: Store, place: tuple[str, str, str, str], want: Any, kind: Kind) -> bool:
    """Whether the last `FIGHTS` writes to a place all were this value, went in, and did not stay."""
    rows = store.query(
        "SELECT new FROM outbox WHERE connection = ? AND stream = ? AND source_id = ? AND field = ? "
        "AND state = 'verified' AND sent_at IS NOT NULL ORDER BY run_id DESC, seq DESC LIMIT ?",
        (*place, FIGHTS),
    )
    return len(rows) == FIGHTS and all(same(load(row["new"]), want, kind) for row in rows)


def last_sent(store: Store, place: tuple[str, str, str, str]) -> tuple[Any] | None:
    """Return (value,) that was last sent to a place and verified; None when there was none."""
    rows = store.query(
        "SELECT new FROM outbox WHERE connection = ? AND stream = ? AND source_id = ? AND field = ? "
        "AND state = 'verified' ORDER BY run_id DESC, seq DESC LIMIT 1",
        place,
    )
    return (load(rows[0]["new"]),) if rows else None


@dataclass(frozen=True, slots=True)
class Sent:
    """The last value that went to a place, and the one it took the place of. awaited: nobody knows yet whether the
    vendor will still store it, so nothing else may go there."""

    old: Any
    new: Any
    awaited: bool


def written_lately(
    store: Store, connection: str, source_ids: Collection[str], now: str
) -> dict[tuple[str, str, str, str], Sent]:
    """Return place -> what was last written to each field and task of some records within `LATE` of `now` (UTC instant)
    and did arrive, or may have. A field that was made anew since is another one: what was written to it is
    forgotten."""
    since = (datetime.fromisoformat(now) - LATE).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = store.query(
        f"SELECT connection, stream, source_id, field, old, new, state, error FROM outbox WHERE connection = ? "
        f"AND source_id IN ({','.join('?' * len(source_ids))}) "
        "AND (state IN ('sent', 'unknown') OR (state = 'verified' AND EXISTS (SELECT 1 FROM written w "
        "WHERE w.connection = outbox.connection AND w.stream = outbox.stream AND w.source_id = outbox.source_id "
        "AND w.field = outbox.field))) AND sent_at > ? ORDER BY sent_at, run_id, seq",
        (connection, *source_ids, since),
    )
    return {
        tuple(row)[:4]: Sent(load(row["old"]), load(row["new"]), row["state"] == "unknown" and row["error"] == SILENT)
        for row in rows
    }


def entries(rows: Iterable[sqlite3.Row]) -> Iterator[Entry]:
    """Rows of the outbox as values."""
    for row in rows:
        found = {name: row[name] for name in Entry.__dataclass_fields__}
        found["old"], found["new"] = load(row["old"]), load(row["new"])
        for name in ("result_name", "because", "error", "correlation_id"):
            found[name] = found[name] or ""
        found["attempts"] = row["attempts"] or 0
        yield Entry(**found)


OF_PLAN = "key >= ? || '/' AND key < ? || '0'"
"""Rows of one plan by their key, `<plan>/<seq>`, which is indexed; bind the plan's id twice."""


def of_plan(store: Store, plan_id: str) -> list[Entry]:
    """Return what became of a plan's changes, in its order."""
    return list(entries(store.query(f"SELECT * FROM outbox WHERE {OF_PLAN} ORDER BY seq", (plan_id, plan_id))))


def pending(store: Store, plan_id: str | None = None, states: tuple[State, ...] = OPEN) -> list[Entry]:
    """Return what is open, of one plan or of all, in the order of the plans; or what is in some of these states."""
    told = ",".join(f"'{s}'" for s in states)
    only = "" if plan_id is None else " AND plan_id = ?"
    return list(
        entries(
            store.query(
                f"SELECT * FROM outbox WHERE state IN ({told}){only} ORDER BY run_id, plan_id, seq",
                () if plan_id is None else (plan_id,),
            )
        )
    )


def enter(
    conn: sqlite3.Connection, plan: Plan, run_id: str, before: Mapping[tuple[str, str, str, str], Failed]
) -> None:
    """Commit to a plan: one row for each change, `planned`. Rows that are there already (a crashed apply) stay.

    A value that failed before keeps its count of attempts.
    """
    for seq, change in enumerate(plan.changes):
        place = (change.connection, change.stream, change.source_id, change.field)
        earlier = before.get(place)
        again = earlier is not None and earlier.entry.action == change.action and same(earlier.entry.new, change.new)
        conn.execute(
            """INSERT OR IGNORE INTO outbox (key, plan_id, seq, connection, stream, source_id, account_uid, action,
               field, old, new, result_name, because, state, attempts, run_id)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'planned', ?, ?)""",
            (
                f"{plan.id}/{seq}", plan.id, seq, change.connection, change.stream, change.source_id,
                change.account_uid, change.action, change.field, dump(change.old), dump(change.new),
                change.result_name, change.because, earlier.entry.attempts if earlier and again else 0, run_id,
            ),
        )  # fmt: skip


def move(
    conn: sqlite3.Connection,
    entry: Entry,
    state: State,
    now: str,
    *,
    error: str = "",
    correlation_id: str = "",
    remote_id: str | None = None,
    counted: bool = True,
) -> None:
    """Take one change to its next state. `counted=False`: the last attempt says nothing about this change (we were
    killed, or the whole connection was down), so it does not use up one of MAX_ATTEMPTS.

    Raises:
        RuntimeError: the row is not in a state from which `state` can be reached; a bug, or a fence that failed.
    """
    marks = ",".join("?" * len(BEFORE[state]))
    moved = conn.execute(
        f"""UPDATE outbox SET state = ?, error = nullif(?, ''), correlation_id = nullif(?, ''),
            remote_id = coalesce(?, remote_id), attempts = max(0, attempts + ?),
            sent_at = CASE WHEN ? THEN ? ELSE sent_at END, settled_at = CASE WHEN ? THEN ? ELSE settled_at END
            WHERE key = ? AND state IN ({marks})""",
        (
            state, error, correlation_id, remote_id, (state == "sent") - (not counted),
            state == "sent", now, state in FINAL, now, entry.key, *BEFORE[state],
        ),
    ).rowcount  # fmt: skip
    if moved != 1:
        raise RuntimeError(f"outbox row {entry.key} cannot become {state}")


def prove(
    conn: sqlite3.Connection, entry: Entry, held: Any, now: str, *, remote_id: str | None = None, note: str = ""
) -> None:
    """Mark a change as verified and remember what the CRM now holds, in the caller's transaction.

    `held` is the field's value, or the task's content as a dict. Of several values those that are ours are remembered.
    """
    move(conn, entry, "verified", now, remote_id=remote_id, error=note)
    if isinstance(entry.new, list) or isinstance(entry.old, list):
        row = conn.execute(
            "SELECT value FROM written WHERE connection = ? AND stream = ? AND source_id = ? AND field = ?", entry.place
        ).fetchone()
        held = owned_after(load(row["value"]) if row else None, entry.old, entry.new)
    remember(conn, entry.place, held, now, remote_id=remote_id)


def remember(
    conn: sqlite3.Connection, place: tuple[str, str, str, str], held: Any, now: str, *, remote_id: str | None = None
) -> None:
    """Store what we know the CRM to hold by our doing."""
    conn.execute(
        """INSERT INTO written (connection, stream, source_id, field, value, remote_id, verified_at)
           VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (connection, stream, source_id, field) DO UPDATE SET
           value = excluded.value, remote_id = coalesce(excluded.remote_id, remote_id),
           verified_at = excluded.verified_at""",
        (*place, dump(held), remote_id, now),
    )


def observe(
    conn: sqlite3.Connection, connection: str, stream: str, live: Mapping[str, Mapping[str, Any]], now: str
) -> None:
    """Store live values of some records in `crm_state`; fields that were not read stay as they are."""
    for source_id, values in live.items():
        row = conn.execute(
            "SELECT fields FROM crm_state WHERE connection = ? AND source_id = ?", (connection, source_id)
        ).fetchone()
        stored = (load(row["fields"]) if row else None) or {}
        fields = stored | {n: v for n, v in values.items() if n not in stored or not same(stored[n], v)}
        if row is not None and fields == stored:
            continue
        conn.execute(
            """INSERT INTO crm_state (connection, source_id, stream, fields, synced_at) VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (connection, source_id) DO UPDATE SET fields = excluded.fields,
               synced_at = excluded.synced_at""",
            (connection, source_id, stream, dump(fields), now),
        )
