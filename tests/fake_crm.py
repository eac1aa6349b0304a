"""A CRM in memory with fields and tasks, and a store made up to fit: for tests of the write-back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Connection, Limits, Workspace, Writeback
from cssync.connectors import (
    Change,
    ConnectionSettings,
    Connector,
    Feed,
    Identity,
    Outcome,
    Page,
    PullRequest,
    RemoteTask,
    Session,
    Stream,
    TaskContent,
    Vendor,
    Verdict,
)
from cssync.store import Store

AS_OF = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
KNOWN_AT = "2026-11-20T20:00:00Z"
FIELDS = {"cs_health_score": "health.score", "cs_health_band": "health.band"}
TYPES = {
    "health.score": "integer", "health.band": "enum", "health.as_of": "date", "upsell.signal": "multi",
    "health.reasons": "text",
    "renewal.arr": "money",
}  # fmt: skip


@dataclass
class FakeSession:
    """Counts requests, as a real one would."""

    settings: Any = None
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Tokyo"))
    requests: int = 0
    requests_here: int = 0

    def count(self) -> None:
        self.requests += 1
        self.requests_here += 1

    def now(self) -> datetime:
        return AS_OF

    def wait(self, seconds: float) -> None:
        """Time costs nothing here."""


@dataclass
class Crm:
    """Companies (`id -> fields`) and tasks (`id -> content`). `journal` has every write in order.

    before_push and before_read may change the world or raise; `answer` may replace the outcome of a change that took
    effect; returning None forgets it.
    """

    companies: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    journal: list[tuple[str, str, Any]] = field(default_factory=list)
    reads: int = 0
    before_push: Callable[[Sequence[Change]], None] = lambda changes: None
    before_read: Callable[[], None] = lambda: None
    answer: Callable[[Change, Outcome], Outcome | None] = lambda change, outcome: outcome
    keep: Callable[[Any], Any] = lambda value: value

    def read(self, session: Any, stream: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
        session.count()
        self.reads += 1
        self.before_read()
        return {i: {f: self.companies[i].get(f) for f in fields} for i in ids if i in self.companies}

    def push(self, session: Any, changes: Sequence[Change]) -> Iterator[Outcome]:
        session.count()
        self.before_push(changes)
        for change in reversed(changes):  # no order is promised
            outcome = self.answer(change, self._write(change))
            if outcome is not None:
                yield outcome

    def _write(self, change: Change) -> Outcome:
        if change.action == "update":
            if change.source_id not in self.companies:
                return Outcome(change.key, "failed-permanent", error="no such record")
            kept = {name: self.keep(value) for name, value in change.values.items()}
            self.companies[change.source_id].update(kept)
            self.journal.append(("update", change.source_id, dict(change.values)))
            return Outcome(change.key, "verified", change.source_id, values=kept)
        assert change.task is not None
        content = {"key": change.task.key, "subject": change.task.subject, "due_on": change.task.due_on}
        if change.action == "create_task":
            remote_id = f"T{len(self.tasks) + 1}"
            self.tasks[remote_id] = {**content, "status": "open", "company": change.task.account_source_id,
                                     "owner": change.task.owner_source_id}  # fmt: skip
        else:
            assert change.source_id is not None
            remote_id = change.source_id
            if change.task.comment_only:
                self.tasks[remote_id].setdefault("notes", []).append(change.task.note)
                self.journal.append(("comment", remote_id, change.task.note))
                return Outcome(change.key, "verified", remote_id)
            self.tasks[remote_id].update(content)
            if change.action in ("close_task", "reopen_task"):
                self.tasks[remote_id]["status"] = "done" if change.action == "close_task" else "open"
        self.journal.append((change.action, remote_id, change.task.key))
        return Outcome(change.key, "verified", remote_id)

    def find_tasks(self, session: Any, tasks: Sequence[TaskContent]) -> dict[str, RemoteTask]:
        session.count()
        self.reads += 1
        wanted = {task.key for task in tasks}
        return {
            held["key"]: RemoteTask(
                held["key"],
                remote_id,
                held["status"],
                held["subject"],
                held["due_on"],
                text=" ".join(held.get("notes", [])),
            )
            for remote_id, held in self.tasks.items()
            if held["key"] in wanted
        }

    def pages(self, session: Any, request: PullRequest) -> Iterator[Page]:
        session.count()
        self.before_read()
        records = [{"id": i, "name": f"Company {i}", **fields} for i, fields in self.companies.items()]
        yield Page(records, {"at": "now"}, last=True)

    def connector(self, **options: Any) -> Connector:
        told: dict[str, Any] = {"read": self.read, "push": self.push, "find_tasks": self.find_tasks, "tasks": True,
                                "identity": lambda session: Identity("1", "Fake", "sandbox")}  # fmt: skip
        return Connector(
            name="fake",
            title="Fake",
            config=ConnectionSettings,
            streams=(Stream("companies", (Feed("account_source", {"name": "name"}),), pages=self.pages),),
            hosts=r"crm\.example",
            vendor=lambda settings: Vendor("https://crm.example", lambda answer: Verdict("ok")),
            **{**told, **options},
        )


def workspace(
    tmp_path: Path, crms: Mapping[str, Crm], *, fields: Mapping[str, str] = FIELDS, limits: Limits | None = None,
    connector: Mapping[str, Any] | None = None, **back: Any,
) -> Workspace:  # fmt: skip
    """A workspace that writes `fields` and tasks to each CRM."""
    built = {name: crm.connector(**(connector or {})) for name, crm in crms.items()}
    settings = ConnectionSettings(connector="fake")
    connections = {name: Connection(name, found, settings, found.streams) for name, found in built.items()}
    return Workspace(
        name="test",
        path=tmp_path / "cssync.yaml",
        timezone=ZoneInfo("Asia/Tokyo"),
        currency="JPY",
        store=tmp_path / "store.db",
        connections=connections,
        writeback={name: Writeback(name, "companies", fields, **{"tasks": True, **back}) for name in crms},
        limits=limits or Limits(),
    )


def sessions(space: Workspace) -> dict[str, Session]:
    return {name: FakeSession() for name in space.connections}  # type: ignore[misc]


def account(store: Store, uid: str, *, crm: str = "crm", source_id: str | None = None, name: str | None = None) -> None:
    """An account with one linked record."""
    source_id = source_id or uid.removeprefix("a-")
    with store.transaction() as conn:
        conn.execute("INSERT OR IGNORE INTO account (uid, name) VALUES (?, ?)", (uid, name or f"Company {uid}"))
        store.upsert(conn, "account_source", crm, [{"source_id": source_id, "name": name or uid}], KNOWN_AT)
        conn.execute(
            "INSERT INTO account_link (connection, source_id, account_uid, method, confidence, status, valid_from) "
            "VALUES (?, ?, ?, 'single', 1.0, 'active', ?)",
            (crm, source_id, uid, KNOWN_AT),
        )


def result(store: Store, uid: str, name: str, value: Any, *, state: str = "ok", because: str = "of facts") -> None:
    """What the rules say, now."""
    with store.transaction() as conn:
        conn.execute(
            "INSERT OR REPLACE INTO result (account_uid, name, value, state, because, since, as_of, pack_hash, run_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 'h', 'r')",
            (uid, name, json.dumps(value), state, because, KNOWN_AT, KNOWN_AT),
        )


def pulled(store: Store, crm: Crm, connection: str = "crm") -> None:
    """What a pull would store of the CRM's fields."""
    with store.transaction() as conn:
        rows = [
            {"source_id": i, "stream": "companies", "fields": json.dumps(f, sort_keys=True, separators=(",", ":"))}
            for i, f in crm.companies.items()
        ]
        store.upsert(conn, "crm_state", connection, rows, KNOWN_AT)
        tasks = [
            {"source_id": i, "task_key": t["key"], "subject": t["subject"], "due_on": t["due_on"],
             "status": t["status"], "account_source_id": t["company"], "owner_source_id": t["owner"]}
            for i, t in crm.tasks.items()
        ]  # fmt: skip
        store.upsert(conn, "crm_task", connection, tasks, KNOWN_AT)


def task(store: Store, uid: str, key: str = "k1", **columns: Any) -> None:
    """What a rule wants somebody to do."""
    row: dict[str, Any] = {
        "key": key, "account_uid": uid, "pack": "renewal", "rule": "R03", "title": f"Renew {uid}", "body": "Why: facts",
        "due_on": "2026-12-28", "priority": "normal", "status": "open", "created_at": KNOWN_AT, **columns,
    }  # fmt: skip
    with store.transaction() as conn:
        conn.execute(
            f"INSERT OR REPLACE INTO task ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
        )


def user(store: Store, source_id: str, email: str, *, crm: str = "crm", **columns: Any) -> str:
    """A member of staff; returns the uid."""
    with store.transaction() as conn:
        store.upsert(conn, "user", crm, [{"source_id": source_id, "email": email, "is_active": 1, **columns}], KNOWN_AT)
    return f"{crm}:{source_id}"
