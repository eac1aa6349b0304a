"""A small world that changes from day to day, written straight into a store: what a replay must be able to undo."""

from __future__ import annotations

import copy
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.link import link
from cssync.rules import RuleSet, evaluate
from cssync.rules.evaluate import EvaluationReport
from cssync.store import Store
from cssync.sync.cast import stamp

ZURICH = ZoneInfo("Europe/Zurich")
BEGIN = datetime(2026, 10, 20, 5, 30, tzinfo=UTC)
"""Six days before the night on which Zurich's clocks go back."""
FEEDS = (
    ("crm", "companies", "account_source"),
    ("crm", "contracts", "contract"),
    ("crm", "lines", "contract_line"),
    ("crm", "deals", "opportunity"),
    ("desk", "organizations", "account_source"),
    ("desk", "tickets", "ticket"),
    ("usage", "days", "usage_metric"),
    ("crm", "tasks", "crm_task"),
)
COMPANIES = 9


def space(path: Path) -> Workspace:
    """The workspace as far as link and rules look at it."""
    connections = {n: SimpleNamespace(connector=SimpleNamespace(name=n)) for n in ("crm", "desk", "usage")}
    return Workspace("past", path, ZURICH, "EUR", path, cast(Any, connections), holidays="CH")


class PastWorld:
    """`day()` lives one day: the vendors change, everything is pulled and linked, the rules run."""

    def __init__(self, store: Store, rules: RuleSet, seed: int = 1) -> None:
        self.store, self.rules = store, rules
        self.space = space(store.path)
        self.at = BEGIN
        self.n = 0
        self.chance = random.Random(seed)
        self.tickets = 0
        self.gone: set[str] = set()

    def on(self, store: Store) -> PastWorld:
        """This world, going on in a copy of its store."""
        other = copy.copy(self)
        other.store, other.space = store, space(store.path)
        other.chance, other.gone = copy.deepcopy(self.chance), {*self.gone}
        return other

    def day(self) -> EvaluationReport:
        """Live a day; the as_of of its evaluation is before what it pulled, as in a run."""
        as_of = self.at + timedelta(days=self.n)
        now = as_of + timedelta(minutes=1)
        self.vendors(now)
        link(self.store, self.space, now + timedelta(minutes=1))
        report = evaluate(
            self.store, self.rules, self.space, as_of, run_id=f"run-{self.n}", known_at=now + timedelta(minutes=2)
        )
        self.n += 1
        return report

    def put(self, now: datetime, entity: str, connection: str, *rows: dict[str, Any]) -> None:
        with self.store.transaction() as conn:
            self.store.upsert(conn, entity, connection, rows, stamp(now))

    def bury(self, now: datetime, entity: str, connection: str, *ids: str) -> None:
        with self.store.transaction() as conn:
            self.store.tombstone(conn, entity, connection, ids, stamp(now))

    def vendors(self, now: datetime) -> None:
        if self.n == 0:
            self.begin(now)
        self.usage(now)
        self.desk(now)
        self.sales(now)
        self.pulled(now, *(["tickets"] if 4 <= self.n <= 7 else []))  # the desk is down for some days

    def pulled(self, now: datetime, *late: str) -> None:
        """Every stream but the late ones came to its end."""
        with self.store.transaction() as conn:
            for connection, stream, _ in FEEDS:
                done = None if stream in late else stamp(now)
                conn.execute(
                    "INSERT INTO source_state (connection, stream, last_attempt_at, last_success_at) "
                    "VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last_attempt_at = excluded.last_attempt_at, "
                    "last_success_at = coalesce(excluded.last_success_at, last_success_at)",
                    (connection, stream, stamp(now), done),
                )

    def begin(self, now: datetime) -> None:
        with self.store.transaction() as conn:
            conn.executemany("INSERT INTO source_feed VALUES (?, ?, ?)", sorted(FEEDS))
        ids = [str(n) for n in range(COMPANIES)]
        self.put(now, "account_source", "crm", *(
            {"source_id": i, "name": f"Company {i}", "domains": f'["c{i}.example"]', "status": "active",
             "csm_source_id": "7", "touch_tier_override": "low", "success_goals": i} for i in ids))  # fmt: skip
        self.put(now, "account_source", "desk", *(
            {"source_id": f"o{i}", "name": f"Desk {i}", "domains": f'["c{i}.example"]'} for i in ids[:6]))  # fmt: skip
        today = now.date()
        self.put(now, "contract", "crm", *(
            {"source_id": f"k{i}", "account_source_id": i, "start_date": str(today - timedelta(days=300)),
             "end_date": str(today + timedelta(days=20 + 12 * int(i))), "term_months": 12, "auto_renew": int(i) % 2,
             "notice_days": 30, "status": "active"} for i in ids))  # fmt: skip
        self.put(now, "contract", "crm", {  # a second renewal beside the first, 30 days later
            "source_id": "m5", "account_source_id": "5", "start_date": str(today - timedelta(days=255)),
            "end_date": str(today + timedelta(days=110)), "term_months": 12, "status": "active"})  # fmt: skip
        self.put(now, "contract_line", "crm", *(
            {"source_id": f"l{i}", "account_source_id": i, "contract_source_id": f"k{i}", "quantity": 10,
             "unit": "seat", "unit_price": 12_000, "currency": "EUR", "billing_period_months": 12}
            for i in ids))  # fmt: skip
        past = [today - timedelta(days=n) for n in range(1, 90)]
        self.put(now, "usage_metric", "usage", *(
            {"source_id": f"{i}-{day}", "account_source_id": i, "metric": "active_users", "grain": "day",
             "period_start": str(day), "value": 4 + int(i) % 5 + 0.1 + 0.2} for i in ids for day in past))  # fmt: skip
        self.map_usage(now, ids)

    def map_usage(self, now: datetime, ids: list[str]) -> None:
        self.put(now, "account_source", "usage", *(
            {"source_id": i, "name": f"Usage {i}", "external_id": i} for i in ids))  # fmt: skip

    def usage(self, now: datetime) -> None:
        day = now.date() - timedelta(days=1)
        rows = [
            {"source_id": f"{i}-{day}", "account_source_id": str(i), "metric": "active_users", "grain": "day",
             "period_start": str(day), "value": self.chance.choice([0, 3, 5, 9.3, 0.1 + 0.2])}
            for i in range(COMPANIES)
        ]  # fmt: skip
        self.put(now, "usage_metric", "usage", *rows)
        before = day - timedelta(days=2)  # the vendor corrects a day that was judged already
        self.put(now, "usage_metric", "usage", {"source_id": f"3-{before}", "value": float(self.chance.randint(0, 9))})

    def desk(self, now: datetime) -> None:
        for _ in range(self.chance.randint(1, 4)):
            self.tickets += 1
            self.put(now, "ticket", "desk", {
                "source_id": f"t{self.tickets}", "account_source_id": f"o{self.chance.randrange(6)}", "status": "open",
                "priority": self.chance.choice(["urgent", "normal"]),
                "opened_at": stamp(now - timedelta(hours=self.chance.randint(1, 100)))})  # fmt: skip
        for n in range(1, self.tickets + 1):
            if self.chance.random() < 0.3:
                self.put(now, "ticket", "desk", {
                    "source_id": f"t{n}", "status": self.chance.choice(["open", "solved"]),
                    "reopened_count": (n + self.n) // 4, "updated_at": stamp(now - timedelta(hours=n))})  # fmt: skip
            if self.chance.random() < 0.1:
                self.bury(now, "ticket", "desk", f"t{n}")  # some of them come back

    def sales(self, now: datetime) -> None:
        self.put(now, "contract_line", "crm", {"source_id": "l4", "quantity": self.chance.choice([4, 5, 6, 10])})
        if self.n == 2:
            self.bury(now, "account_source", "crm", "8")
        if self.n == 3:
            self.put(now, "contract", "crm", {"source_id": "k2", "notice_received_on": str(now.date())})
        if self.n == 4:
            self.put(now, "contract", "crm", {"source_id": "m5", "end_date": str(now.date() + timedelta(days=101))})
        if self.n == 5:
            self.put(now, "account_source", "crm", {"source_id": "8", "name": "Company 8 again"})
            with self.store.transaction() as conn:  # 6 and 7 are merged at the vendor: 6 survives
                self.store.tombstone(conn, "account_source", "crm", ["7"], stamp(now))
                self.store.tombstone(conn, "account_source", "usage", ["7"], stamp(now))
                conn.execute("UPDATE account_source SET merged_into = '6' WHERE connection = 'crm' AND source_id = '7'")
        if self.n == 7:
            self.put(now, "account_source", "crm", {"source_id": "1", "status": "churned", "is_test": 1})
        if self.n == 9:
            self.put(now, "account_source", "crm", {"source_id": "1", "status": "active", "is_test": 0})
            self.put(now, "account_source", "crm", {"source_id": "99", "name": "Late", "domains": '["late.example"]'})
        self.close_a_task(now)

    def close_a_task(self, now: datetime) -> None:
        open_ = self.store.query("SELECT key FROM task WHERE status = 'open' ORDER BY key")
        if open_ and self.n % 3 == 2:
            key = open_[0]["key"]
            self.put(now, "crm_task", "crm", {"source_id": f"T{key}", "task_key": key, "status": "done"})


class Still(PastWorld):
    """A world in which only what a test does happens; account 0 has as many urgent tickets as it says."""

    def vendors(self, now: datetime) -> None:
        if self.n == 0:
            self.begin(now)
        self.pulled(now)

    def tickets_of_0(self, n: int) -> None:
        now = self.at + timedelta(days=self.n)
        self.put(now, "ticket", "desk", *(
            {"source_id": f"x{k}", "account_source_id": "o0", "status": "open" if k < n else "solved",
             "priority": "urgent", "opened_at": "2026-10-01T00:00:00Z"} for k in range(9)))  # fmt: skip

    @property
    def uid(self) -> str:
        return str(self.store.query("SELECT uid FROM account WHERE name = 'Company 0'")[0][0])
