"""One account, its contracts and renewal tasks, evaluated day after day: for tests of renewal events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.rules import evaluate
from cssync.rules.tree import RuleSet
from cssync.store.sqlite import Store

CLOSURES = ("12-29", "12-30", "12-31", "01-01", "01-02", "01-03")


class Renewals:
    """One account; `contract` states its contracts, `run` evaluates a day."""

    def __init__(self, store: Store, rules: RuleSet) -> None:
        self.store = store
        self.rules = rules
        self.known_at = 0

    @property
    def workspace(self) -> Workspace:
        return Workspace("t", self.store.path, ZoneInfo("UTC"), "EUR", self.store.path, {}, closures=CLOSURES)

    def contract(self, end: str, name: str = "C1", *, start: str = "2026-04-01", **more: Any) -> None:
        self.known_at += 1
        row = {"source_id": name, "start_date": start, "end_date": end, "status": "active", **more}
        with self.store.transaction() as conn:
            self.store.upsert(conn, "contract", "crm", [row], f"2026-01-01T00:00:{self.known_at:02}Z")
            conn.execute("UPDATE contract SET account_uid = 'a'")

    def line(self, contract: str, price: int, **more: Any) -> None:
        row = {"source_id": f"line of {contract}", "contract_source_id": contract, "quantity": 1, "unit_price": price}
        with self.store.transaction() as conn:
            self.store.upsert(conn, "contract_line", "crm", [{**row, **more}], "2026-01-01T00:00:00Z")
            conn.execute("UPDATE contract_line SET account_uid = 'a'")

    def deal(self, name: str, **row: Any) -> None:
        self.known_at += 1
        with self.store.transaction() as conn:
            deal = {"source_id": name, "type": "renewal", **row}
            self.store.upsert(conn, "opportunity", "crm", [deal], f"2026-01-01T00:00:{self.known_at:02}Z")
            conn.execute("UPDATE opportunity SET account_uid = 'a'")

    def gone(self, name: str) -> None:
        with self.store.transaction() as conn:
            self.store.tombstone(conn, "contract", "crm", [name], "2026-09-01T00:00:00Z")

    def run(self, day: str, *, fresh: bool = True) -> list[tuple[str, str, str]]:
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        at = at.replace(hour=at.hour or 3)
        if fresh:
            with self.store.transaction() as conn:
                conn.execute("UPDATE source_state SET last_success_at = ?", (at.strftime("%Y-%m-%dT%H:%M:%SZ"),))
        evaluate(self.store, self.rules, self.workspace, at, run_id="r")
        return self.tasks()

    def tasks(self) -> list[tuple[str, str, str]]:
        rows = self.store.query("SELECT rule, status, due_on FROM task ORDER BY created_at, due_on, rule")
        return [tuple(row) for row in rows]

    def number(self) -> str:
        return str(self.store.query("SELECT value FROM result WHERE name = 'p.renewal_event'")[0][0])


@contextmanager
def world(folder: Path, rules: RuleSet, *fed: str) -> Iterator[Renewals]:
    """A store with one account. fed: what is fed beside contracts."""
    with Store.open(folder / "x.db") as opened:
        with opened.transaction() as conn:
            conn.execute(
                "INSERT INTO account (uid, name, status, created_at, updated_at) "
                "VALUES ('a', 'Acme', 'active', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')"
            )
            for entity in ("contract", *fed):
                conn.execute("INSERT INTO source_feed VALUES ('crm', ?, ?)", (entity, entity))
                conn.execute(
                    "INSERT INTO source_state (connection, stream, outcome) VALUES ('crm', ?, 'ok')", (entity,)
                )
        yield Renewals(opened, rules)
