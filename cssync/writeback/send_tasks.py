"""Task writes: look for the task by its key, then create, update or close it; a create is never repeated blindly.

What a person wrote into a task's text stays: the text is only replaced where it is still what we last wrote, and a task
that somebody wrote into is not closed but told, once, that it is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from cssync.connectors.contract import Change, RemoteTask, TaskContent
from cssync.writeback.canonical import altered, same
from cssync.writeback.outbox import (
    JUST_WRITTEN,
    MAX_ATTEMPTS,
    SILENT,
    Entry,
    Sent,
    State,
    move,
    prove,
    remember,
    written_lately,
)
from cssync.writeback.send import CHUNK, Work, chunks, is_outage, moved_on, push
from cssync.writeback.task_text import COMMENTED, commenting, whose

READ_OF_TASK = ("subject", "due_on", "status", "priority", "owner_source_id", "amount", "note")
"""What a write changes for the readers of a task; its text alone is no reason to write."""


def write_tasks(work: Work, entries: Sequence[Entry]) -> None:
    """Carry out task changes of one connection; `work.fault` ends it early."""
    for number, chunk in enumerate(chunks(entries)):
        _write(work, chunk)
        if work.fault is not None or work.silent:
            return
        work.progress(f"{work.connection.name}: {min((number + 1) * CHUNK, len(entries))} of {len(entries)} tasks")


def look(work: Work, entries: Sequence[Entry], *, resume: str | None = None, final: bool = True) -> None:
    """Settle task writes whose outcome is not known, by looking for the tasks; see `send_fields.look`.

    A create that cannot be looked for (the connector has no way to) stays unknown: better one task too few.
    """
    for chunk in chunks(entries):
        found = _find(work, chunk)
        if found is None:
            return
        now = work.now()
        with work.store.transaction(work.fence) as conn:
            for entry in chunk:
                task = found.get(entry.field)
                if task is not None and _arrived(entry, task):
                    _prove(conn, entry, task, now)
                elif not final or entry.is_late(now) or (task is None and work.connection.connector.find_tasks is None):
                    continue
                elif task is None and entry.action != "create_task":
                    move(conn, entry, "refused", now, error="the task is gone")
                else:
                    again = entry.plan_id == resume and entry.attempts < MAX_ATTEMPTS
                    state: State = "planned" if again else "failed-retry"
                    move(conn, entry, state, now, error="it did not arrive", counted=entry.state != "sent")


def _write(work: Work, entries: Sequence[Entry]) -> None:
    before = work.session.now()
    found = _find(work, entries)
    if found is None:
        return
    read_at = work.read_at(before)
    ready: list[Entry] = []
    now = work.now()
    lately = written_lately(work.store, work.connection.name, {entry.source_id for entry in entries}, now)
    with work.store.transaction(work.fence) as conn:
        for planned in entries:
            task = found.get(planned.field)
            entry = commenting(planned, task, work.locale)
            refusal = _refusal(conn, entry, task)
            if task is not None and refusal is None and _arrived(entry, task):
                _prove(conn, entry, task, now)
            elif refusal is not None:
                move(conn, entry, "refused", now, error=refusal)
                if entry.action == "update_task" and entry.content.is_opportunity:  # a person's from here on
                    theirs = asdict(replace(entry.content, status="done"))
                    remember(conn, entry.place, theirs, now, remote_id=entry.task_id)
                elif task is not None:
                    _observe(conn, entry, task, now)
            elif entry.place in lately and lately[entry.place].awaited:
                move(conn, entry, "refused", now, error=SILENT)
            elif _just_written(entry, lately):
                move(conn, entry, "refused", now, error=JUST_WRITTEN)
            else:
                move(conn, entry, "sent", now)
                ready.append(entry)
    if not ready:
        return
    outcomes = push(work, [_change(entry, found.get(entry.field), read_at) for entry in ready])
    outage = is_outage(work, outcomes.values())
    open_: list[Entry] = []
    guarded: list[Entry] = []
    now = work.now()
    with work.store.transaction(work.fence) as conn:
        for entry in ready:
            outcome = outcomes[entry.key]
            remote_id = outcome.remote_id or entry.task_id
            if outcome.state == "verified" and remote_id:
                _prove(conn, entry, RemoteTask(entry.field, remote_id, entry.content.status), now)
            elif outcome.state in ("verified", "sent"):
                open_.append(entry)
            elif outcome.state == "moved":
                guarded.append(entry)
            else:
                words = {"error": outcome.error, "correlation_id": outcome.correlation_id}
                move(conn, entry, outcome.state, now, **words, counted=not outage)
                if outcome.state == "unknown":
                    open_.append(entry)
    if open_ and work.fault is None:
        look(work, open_, final=False)
    if guarded and work.fault is None:
        look(work, [replace(entry, state="sent") for entry in guarded])


def _just_written(entry: Entry, lately: Mapping[tuple[str, str, str, str], Sent]) -> bool:
    """Whether the last write to this task would only be repeated, because the CRM does not show it, or somebody at once
    took it back. A create is never repeated anyway."""
    found = lately.get(entry.place)
    return (
        entry.action != "create_task"
        and found is not None
        and all(found.new.get(name) == entry.new.get(name) for name in READ_OF_TASK)
    )


def _refusal(conn: sqlite3.Connection, entry: Entry, task: RemoteTask | None) -> str | None:
    """Why a task must be left alone, as the CRM holds it now; None when it may be written."""
    if entry.action == "create_task":
        known = conn.execute(
            "SELECT 1 FROM written WHERE connection = ? AND field = ? AND remote_id IS NOT NULL",
            (entry.connection, entry.field),
        ).fetchone()
        return "the task was created before" if known and task is None else None
    if task is None:
        return "the task is gone"
    if task.status == "done" and entry.action == "update_task":
        moved = entry.content.is_opportunity
        return "a person moved or closed the opportunity" if moved else "a person closed the task meanwhile"
    if entry.action == "reopen_task" or entry.content.comment_only:
        return None
    old = entry.old or {}
    for name, held in (("subject", task.subject), ("due_on", task.due_on)):
        if (
            held
            and old.get(name)
            and not altered(old[name], held, "text")
            and not altered(entry.new[name], held, "text")
        ):
            return moved_on(old[name], held)
    if task.amount and old.get("amount") and not same(old["amount"], task.amount, "number"):
        return None if same(entry.new["amount"], task.amount, "number") else moved_on(old["amount"], task.amount)
    return None


def _arrived(entry: Entry, task: RemoteTask) -> bool:
    """Whether the task, as found, proves the write. An update counts only where the CRM shows what it changed."""
    if entry.action == "create_task":
        return True
    if entry.content.comment_only:
        return _plain(entry.content.note) in _plain(task.text)
    if entry.action in ("close_task", "reopen_task"):
        return task.status == ("done" if entry.action == "close_task" else "open")
    old, new = entry.old or {}, entry.new
    shown = [(old.get("subject"), new["subject"], task.subject), (old.get("due_on"), new["due_on"], task.due_on or "")]
    moved = [(wanted, held) for before, wanted, held in shown if before != wanted]
    proved = [altered(wanted, held, "text") for wanted, held in moved]
    if new.get("amount") is not None and not same(old.get("amount"), new["amount"], "number"):
        proved.append(same(new["amount"], task.amount, "number"))
    return bool(proved) and all(proved)


def _observe(conn: sqlite3.Connection, entry: Entry, task: RemoteTask, now: str) -> None:
    """Store what a person made of a task: of one from which they also took our key, no pull will tell."""
    conn.execute(
        "UPDATE crm_task SET status = ?, subject = ?, due_on = ?, synced_at = ? "
        "WHERE connection = ? AND source_id = ? AND task_key = ?",
        (task.status, task.subject, task.due_on, now, entry.connection, task.remote_id, entry.field),
    )


def _plain(text: str) -> str:
    return " ".join(text.split())


def _change(entry: Entry, task: RemoteTask | None, read_at: datetime) -> Change:
    remote_id = None if entry.action == "create_task" else (task.remote_id if task else entry.task_id)
    action: Any = "update_task" if entry.content.comment_only else entry.action
    return Change(
        entry.key,
        action,
        entry.stream,
        remote_id,
        task=entry.content,
        read_at=read_at,
        stamp=task.stamp if task else "",
        leaves_text=task is not None and whose(entry, task) != "ours",
    )


def _prove(conn: sqlite3.Connection, entry: Entry, task: RemoteTask, now: str) -> None:
    """Verified: remember the content, and the task as the CRM holds it, so that the next pull is an echo."""
    content = replace(entry.content, status=task.status)
    told = COMMENTED if entry.action == "close_task" and content.comment_only else ""
    prove(conn, entry, asdict(content), now, remote_id=task.remote_id, note=told)
    if content.is_opportunity or entry.content.comment_only:
        return  # the next pull brings it among the opportunities; a comment leaves the task as a person made it
    conn.execute(
        """INSERT INTO crm_task (connection, source_id, synced_at, account_source_id, account_uid, task_key, subject,
           status, due_on, owner_source_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (connection, source_id) DO UPDATE SET synced_at = excluded.synced_at,
           task_key = excluded.task_key, subject = excluded.subject, status = excluded.status,
           due_on = excluded.due_on, owner_source_id = coalesce(excluded.owner_source_id, owner_source_id)""",
        (
            entry.connection, task.remote_id, now, entry.source_id, entry.account_uid, entry.field, content.subject,
            content.status, content.due_on, content.owner_source_id,
        ),
    )  # fmt: skip


def _find(work: Work, entries: Sequence[Entry]) -> Mapping[str, RemoteTask] | None:
    """Our tasks among the entries as the CRM holds them, by key; None when the connection failed."""
    find = work.connection.connector.find_tasks
    contents: list[TaskContent] = [replace(entry.content, remote_id=entry.task_id) for entry in entries]
    if find is not None:
        return work.attempt(lambda: find(work.session, contents), "looking for tasks")
    rows = work.store.query(
        f"SELECT * FROM crm_task WHERE connection = ? AND deleted_at IS NULL "
        f"AND task_key IN ({','.join('?' * len(contents))})",
        (work.connection.name, *(content.key for content in contents)),
    )
    return {
        row["task_key"]: RemoteTask(
            row["task_key"], row["source_id"], row["status"] or "open", row["subject"] or "", row["due_on"]
        )
        for row in rows
    }
