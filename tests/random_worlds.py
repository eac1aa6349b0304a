"""Random worlds that change from step to step: vendors, links, sources that are late, people, rules; the same for the
same seed. What a step leaves in the store must not depend on how it is found."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.link import link
from cssync.model import TABLES
from cssync.rules import RuleSet, evaluate
from cssync.rules.evaluate import EvaluationReport
from cssync.store import Store
from cssync.sync.cast import stamp
from world_packs import choose, edit, rules

ZONES = ("Europe/Zurich", "Asia/Tokyo", "America/St_Johns")
BEGINS = (datetime(2026, 10, 20, 5, 30, tzinfo=UTC), datetime(2027, 3, 22, 22, 0, 7, tzinfo=UTC))
"""Days before clocks are changed, and a quarter ends."""
GAPS: Sequence[timedelta] = (
    *[timedelta(0)] * 2,
    *(timedelta(seconds=1), timedelta(minutes=1), timedelta(minutes=20), *[timedelta(hours=2)] * 2),
    *(timedelta(hours=5), timedelta(hours=14)),
    *[timedelta(days=1)] * 5,
    *(timedelta(days=2), timedelta(days=5), timedelta(days=33)),
)
"""Times between two evaluations: the same second, later that day, the next day, after days without any."""
STREAMS = (
    *(("crm", s, e) for s, e in (("companies", "account_source"), ("contracts", "contract"), ("staff", "user"),
      ("lines", "contract_line"), ("deals", "opportunity"), ("tasks", "crm_task"))),
    *(("desk", s, e) for s, e in (("organizations", "account_source"), ("tickets", "ticket"),
      ("answers", "survey_response"))),
    ("usage", "days", "usage_metric"),
)  # fmt: skip
COMPANIES = 5
NOT_RESULTS = {"evaluation", "pack_version", "setting", "changed_account", "portfolio_fact", "lease", "run"}
KEPT = tuple(t for t in TABLES if t.name not in NOT_RESULTS)
"""Tables that an evaluation done another way has to leave the same."""


def space(path: Path, zone: str, locale: str) -> Workspace:
    """The workspace as far as link and rules look at it."""
    connections = {n: SimpleNamespace(connector=SimpleNamespace(name=n)) for n in ("crm", "desk", "usage")}
    return Workspace(
        "world", path, ZoneInfo(zone), "EUR", path, cast(Any, connections), holidays="CH", locale=cast(Any, locale)
    )


def content(store: Store, tables: Sequence[Any] = KEPT) -> dict[str, list[str]]:
    """What tables hold, in an order of its own, but for sequences and the run that wrote it."""
    names = {t.name: [c.name for c in t.columns if c.name not in ("id", "run_id")] for t in tables}
    listed = {table: ", ".join(f'"{name}"' for name in columns) for table, columns in names.items()}
    return {n: sorted(map(repr, map(tuple, store.query(f'SELECT {c} FROM "{n}"')))) for n, c in listed.items()}


def saved(store: Store, path: Path) -> Path:
    """Copy a store to a file."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as target:
        store.db.conn.backup(target)
    return path


@dataclass(frozen=True)
class Step:
    """An evaluation. data: whether rows changed before it; edited: whether the rules did."""

    number: int
    as_of: datetime
    known_at: datetime
    rules: RuleSet
    report: EvaluationReport
    data: bool
    edited: bool


class RandomWorld:
    """`step()` lets some time pass, something happen, and evaluates."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.choice = choose(self.chance)
        self.rules = rules(self.choice)
        self.space = space(store.path, self.chance.choice(ZONES), self.chance.choice(("en", "ja-JP")))
        self.as_of = self.chance.choice(BEGINS)
        self.known_at = self.as_of
        self.n = 0
        self.rows = 0
        self.data = self.edited = False
        self.silent: set[str] = set()
        self.begin()

    # --- time ---

    def days(self, count: int) -> Step:
        """Live days of one evaluation each; returns the last one."""
        for _ in range(count):
            self.as_of += timedelta(days=1)
            self.known_at = self.as_of
            self.happen()
            last = self.judge()
        return last

    def pass_time(self) -> None:
        gap = self.chance.choice(GAPS)
        if gap:  # a run begins when the one before it is over
            self.as_of = max(self.as_of + gap, self.known_at + timedelta(seconds=1))
        self.known_at = max(self.known_at, self.as_of) + timedelta(seconds=self.chance.choice((0, 1, 90)))

    def happen(self) -> None:
        """Let anything between nothing and a lot happen, before the evaluation of `as_of`."""
        self.data = self.edited = False
        for _ in range(self.chance.choice((0, 1, 1, 2, 6))):
            self.data = True
            self.chance.choice(self.EVENTS)(self)
        if self.chance.random() < 0.15:
            choice = edit(self.chance, self.choice)
            self.edited = choice != self.choice
            self.choice, self.rules = choice, rules(choice)
        if self.chance.random() < 0.8:
            self.pull()
        link(self.store, self.space, self.known_at)

    def judge(self) -> Step:
        report = evaluate(
            self.store, self.rules, self.space, self.as_of, run_id=f"run-{self.n}", known_at=self.known_at
        )
        self.n += 1
        return Step(self.n - 1, self.as_of, self.known_at, self.rules, report, self.data, self.edited)

    # --- what happens ---

    def put(self, entity: str, connection: str, *rows: Mapping[str, Any]) -> None:
        with self.store.transaction() as conn:
            self.store.upsert(conn, entity, connection, rows, stamp(self.known_at))

    def bury(self, entity: str, connection: str, *ids: str) -> None:
        with self.store.transaction() as conn:
            self.store.tombstone(conn, entity, connection, ids, stamp(self.known_at))

    def company(self) -> str:
        return str(self.chance.randrange(COMPANIES))

    def day(self, low: int, high: int) -> str:
        """A date so many days from today."""
        return (self.as_of + timedelta(days=self.chance.randint(low, high))).date().isoformat()

    def pull(self) -> None:
        """Most streams come to their end; now and then one does not, for some time."""
        if self.chance.random() < 0.3:
            self.silent = set(self.chance.sample(("tickets", "answers", "days", "lines"), self.chance.randrange(3)))
        late = self.silent
        with self.store.transaction() as conn:
            for connection, stream, _ in STREAMS:
                done = None if stream in late else stamp(self.known_at)
                conn.execute(
                    "INSERT INTO source_state (connection, stream, last_attempt_at, last_success_at) "
                    "VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last_attempt_at = excluded.last_attempt_at, "
                    "last_success_at = coalesce(excluded.last_success_at, last_success_at)",
                    (connection, stream, stamp(self.known_at), done),
                )
        if "days" not in late:
            self.use()

    def begin(self) -> None:
        with self.store.transaction() as conn:
            conn.executemany("INSERT INTO source_feed VALUES (?, ?, ?)", STREAMS)
        ids = [str(n) for n in range(COMPANIES)]
        self.put("account_source", "crm", *(
            {"source_id": i, "name": f"Company {i}", "domains": f'["c{i}.example"]', "status": "active",
             "csm_source_id": "u1", "parent_source_id": "0" if i in "12" else None,
             "segment": self.chance.choice(("smb", "big", None)), "first_contract_date": self.day(-130, -20)}
            for i in ids))  # fmt: skip
        self.put("account_source", "desk", *(
            {"source_id": f"o{i}", "name": f"Desk {i}", "domains": f'["c{i}.example"]'} for i in ids[:-1]))  # fmt: skip
        self.put("account_source", "usage", *({"source_id": i, "name": f"Usage {i}", "external_id": i} for i in ids))
        self.put("user", "crm", {"source_id": "u1", "name": "Ada", "manager_source_id": "u2"},
                 {"source_id": "u2", "name": "Bo"})  # fmt: skip
        for i in ids:
            self.sign(i)
        for _ in range(8):
            self.ask()
            self.answer()
        for back in range(60):
            self.use(back)
        self.pull()

    def sign(self, i: str | None = None) -> None:
        """A contract, new or changed, with a line."""
        i, k = i or self.company(), self.chance.choice(("", "b"))
        self.put("contract", "crm", {
            "source_id": f"k{i}{k}", "account_source_id": i, "start_date": self.day(-400, -300), "term_months": 12,
            "end_date": self.chance.choice((self.day(-40, 90), self.day(0, 30), None)),
            "auto_renew": self.chance.randrange(2), "notice_days": self.chance.choice((None, 14)),
            "status": "active"})  # fmt: skip
        self.put("contract_line", "crm", {
            "source_id": f"l{i}{k}", "account_source_id": i, "contract_source_id": f"k{i}{k}", "unit": "seat",
            "quantity": self.chance.choice((0, 4, 8)), "unit_price": self.chance.choice((12_000, 30_050)),
            "currency": "EUR", "product_code": self.chance.choice("AB"), "billing_period_months": 12})  # fmt: skip

    def notice(self) -> None:
        day = self.chance.choice((None, self.day(-2, 0)))
        self.put("contract", "crm", {"source_id": f"k{self.company()}", "notice_received_on": day})

    def deal(self) -> None:
        i = self.company()
        self.put("opportunity", "crm", {
            "source_id": f"d{i}", "account_source_id": i, "type": "renewal", "close_date": self.day(-10, 60),
            "contract_source_id": self.chance.choice((None, f"k{i}")), "is_won": self.chance.randrange(2)})  # fmt: skip

    def ask(self) -> None:
        """A ticket."""
        self.rows += 1
        hours = self.chance.choice((0, 1, 20, 40, 300))
        self.put("ticket", "desk", {
            "source_id": f"t{self.rows}", "account_source_id": f"o{self.chance.randrange(COMPANIES - 1)}",
            "status": "open", "priority": self.chance.choice(("urgent", "normal")),
            "subject": self.chance.choice(("please CANCEL", "解約したい", "hello", None, "a refund")),
            "opened_at": stamp(self.as_of - timedelta(hours=hours))})  # fmt: skip

    def solve(self) -> None:
        """Some tickets change, go or come back."""
        for n in self.chance.sample(range(1, self.rows + 1), min(4, self.rows)):
            self.put("ticket", "desk", {"source_id": f"t{n}", "status": self.chance.choice(("open", "solved"))})
            if self.chance.random() < 0.2:
                self.bury("ticket", "desk", f"t{n}")

    def calm(self) -> None:
        """All tickets are solved."""
        self.put("ticket", "desk", *({"source_id": f"t{n}", "status": "solved"} for n in range(1, self.rows + 1)))

    def answer(self) -> None:
        n = self.chance.randrange(COMPANIES - 1)
        self.put("survey_response", "desk", {
            "source_id": f"a{n}-{self.chance.randrange(3)}", "account_source_id": f"o{n}", "kind": "csat",
            "score": self.chance.choice((0, 40, 74, 76, 100)), "responded_at": stamp(self.as_of)})  # fmt: skip

    def use(self, back: int = 1) -> None:
        day = (self.as_of - timedelta(days=back)).date().isoformat()
        parts = ["active_users", *(["feature:a", "feature:b"] if back % 7 == 0 else [])]
        self.put("usage_metric", "usage", *(
            {"source_id": f"{i}-{m}-{day}", "account_source_id": str(i), "metric": m, "grain": "day",
             "period_start": day, "value": float(self.chance.randrange(9))}
            for i in range(COMPANIES) for m in parts))  # fmt: skip

    def people(self) -> None:
        """What people and vendors say of a company changes."""
        self.put("account_source", "crm", {"source_id": self.company(), **self.chance.choice((
            {"status": self.chance.choice(("active", "churned"))}, {"segment": self.chance.choice(("smb", "big"))},
            {"override_band": self.chance.choice(("green", "red", None)), "override_reason": "so",
             "override_until": self.chance.choice((None, self.day(0, 6)))},
            {"touch_tier_override": self.chance.choice(("high", None))}, {"is_test": self.chance.randrange(2)},
            {"name": "Renamed"}, {"csm_source_id": self.chance.choice(("u1", "u2", None))},
            {"parent_source_id": self.chance.choice((None, "0", "3"))}))})  # fmt: skip

    def merge(self) -> None:
        """A company goes, is merged into another, or comes back."""
        i = str(self.chance.randrange(1, COMPANIES))
        gone = self.store.query(
            "SELECT deleted_at FROM account_source WHERE connection = 'crm' AND source_id = ?", (i,)
        )
        if gone[0][0] is not None:
            self.put("account_source", "crm", {"source_id": i, "name": f"Company {i} again"})
            return
        self.bury("account_source", "crm", i)
        with self.store.transaction() as conn:
            into = self.chance.choice((None, "0"))
            conn.execute(
                "UPDATE account_source SET merged_into = ? WHERE connection = 'crm' AND source_id = ?", (into, i)
            )

    def close(self) -> None:
        """A person closes a task in the CRM."""
        open_ = self.store.query("SELECT key FROM task WHERE status = 'open' ORDER BY key")
        if open_:
            key = self.chance.choice(open_)["key"]
            self.put("crm_task", "crm", {"source_id": f"T{key}", "task_key": key, "status": "done"})

    def staff(self) -> None:
        self.put("user", "crm", {"source_id": "u1", "manager_source_id": self.chance.choice(("u2", None))})

    EVENTS: Sequence[Callable[[RandomWorld], None]] = (
        *(sign, sign, notice, deal, ask, ask, ask, solve, solve, calm, answer, answer),
        *(people, people, people, merge, close, close, staff),
    )
