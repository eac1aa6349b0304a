"""A store with accounts whose scores are set by hand, evaluated day by day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.rules import RuleSet, evaluate
from cssync.rules.evaluate import EvaluationReport
from cssync.rules.explain import PackExplanation, explain
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.store.sqlite import Store

TOKYO = ZoneInfo("Asia/Tokyo")
FIRST = datetime(2026, 10, 1, 0, tzinfo=UTC)
"""09:00 in Tokyo; day 0."""
STREAMS = ("survey_response", "ticket", "contract", "contract_line")
LATE = tuple(s for s in STREAMS if s != "survey_response")
"""Everything but the answers is read on."""
SCORE = """
pack: health
features: {x: {last: surveys.score}, open: {count: tickets, where: status = 'open'}}
score:
  bands: {red: 0, yellow: 50, green: 75}
  measures: {x: {weight: 1, curve: {of: x, at: {0: 0, 100: 100}}}}
"""
"""The score is the newest answer, as it stands."""


def rules(*texts: str) -> RuleSet:
    return read_rules([Source(f"{n}.yaml", text) for n, text in enumerate(texts)])


def at(day: int, hours: float = 0) -> datetime:
    return FIRST + timedelta(days=day, hours=hours)


class World:
    """Accounts `a`, `b`, ... of one store, and the rules they are judged by."""

    def __init__(self, store: Store, text: str = SCORE, accounts: Iterable[str] = ("a",), locale: str = "en") -> None:
        self.store = store
        self.rules = rules(text)
        self.space = Workspace("t", store.path, TOKYO, "JPY", store.path, {}, locale=locale)
        with store.transaction() as conn:
            conn.executemany("INSERT INTO account (uid, name) VALUES (?, ?)", [(uid, uid) for uid in accounts])
            conn.executemany("INSERT INTO source_feed VALUES ('crm', ?, ?)", [(s, s) for s in STREAMS])
            conn.executemany("INSERT INTO source_state (connection, stream, outcome) VALUES ('crm', ?, 'ok')",
                             [(s,) for s in STREAMS])  # fmt: skip

    def edit(self, text: str) -> None:
        self.rules = rules(text)

    def account(self, uid: str = "a", **columns: Any) -> None:
        with self.store.transaction() as conn:
            for name, value in columns.items():
                conn.execute(f"UPDATE account SET {name} = ? WHERE uid = ?", (value, uid))

    def put(self, entity: str, uid: str, source_id: str, **values: Any) -> None:
        with self.store.transaction() as conn:
            self.store.upsert(conn, entity, "crm", [{"source_id": source_id, **values}], "2026-09-01T00:00:00Z")
            conn.execute(f"UPDATE {entity} SET account_uid = ? WHERE source_id = ?", (uid, source_id))

    def answer(self, value: float | None, uid: str = "a") -> None:
        """Let the newest answer of an account be this; None takes it away."""
        with self.store.transaction() as conn:
            conn.execute("DELETE FROM survey_response WHERE account_uid = ?", (uid,))
        if value is not None:
            self.put("survey_response", uid, uid, kind="csat", score=value, responded_at="2026-09-01T00:00:00Z")

    def fresh(self, day: int, streams: Iterable[str] = STREAMS, hours: float = 0) -> None:
        with self.store.transaction() as conn:
            conn.executemany("UPDATE source_state SET last_success_at = ? WHERE stream = ?",
                             [(at(day, hours).strftime("%Y-%m-%dT%H:%M:%SZ"), s) for s in streams])  # fmt: skip

    def run(self, day: int, hours: float = 0, *, fresh: Iterable[str] = STREAMS) -> dict[str, Any]:
        """Evaluate a day; returns the outputs of `a`."""
        self.judge(day, hours, fresh=fresh)
        return self.results()

    def judge(self, day: int, hours: float = 0, *, fresh: Iterable[str] = STREAMS) -> EvaluationReport:
        self.fresh(day, fresh, hours)
        return evaluate(self.store, self.rules, self.space, at(day, hours), run_id=f"d{day}")

    def walk(self, values: Iterable[float | None], first: int = 0) -> list[dict[str, Any]]:
        """Evaluate one answer of `a` per day."""
        found = []
        for day, value in enumerate(values, first):
            self.answer(value)
            found.append(self.run(day))
        return found

    def results(self, uid: str = "a") -> dict[str, Any]:
        import json

        rows = self.store.query("SELECT name, value FROM result WHERE account_uid = ?", (uid,))
        return {r["name"].partition(".")[2]: json.loads(r["value"]) for r in rows}

    def states(self, uid: str = "a") -> Mapping[str, str]:
        rows = self.store.query("SELECT name, state FROM result WHERE account_uid = ?", (uid,))
        return {r["name"].partition(".")[2]: r["state"] for r in rows}

    def explained(self, day: int, uid: str = "a", hours: float = 0) -> PackExplanation:
        found = explain(self.store, self.rules, self.space, uid, at(day, hours)).packs[0]
        assert found.covers
        return found

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.store.query(sql)]
