"""A back-test knows only what was known 90 days before each renewal, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.errors import ConfigError
from cssync.link import link
from cssync.rules import backtest as module
from cssync.rules.backtest import backtest
from cssync.rules.faults import Source
from cssync.rules.outcomes import past_renewals
from cssync.rules.packs import read_rules
from cssync.store import Store
from cssync.sync.cast import stamp
from past_world import space

PACK = """pack: health
features:
  urgent: {count: tickets, where: status = 'open' and priority = 'urgent'}
score:
  measures:
    support: {weight: 10, curve: {of: urgent, at: {0: 100, 1: 20}}}
  bands: {red: 0, yellow: 50, green: 75}
"""
RULES = read_rules([Source("health.yaml", PACK)])
BEGIN = datetime(2026, 2, 1, 6, tzinfo=UTC)
RENEWS = date(2026, 7, 1)
TODAY = date(2026, 11, 20)
RED, CHURNED, LATE = ("0", "1", "2"), ("0", "1", "7"), "8"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Nine customers. 0 to 2 have an urgent ticket that is known long before; 7 has one from that time, too, which was
    learned only later; 8 itself was learned only later; 0, 1 and 7 did not renew; 6 renewed by itself."""
    with Store.open(tmp_path / "store.db") as found:
        live(found)
        yield found


def live(store: Store) -> None:
    feeds = [("crm", "companies", "account_source"), ("crm", "contracts", "contract"), ("crm", "tickets", "ticket")]
    with store.transaction() as conn:
        conn.executemany("INSERT INTO source_feed VALUES (?, ?, ?)", feeds)
    first = [str(n) for n in range(8)]
    customers(store, BEGIN, first)
    put(store, BEGIN, "ticket", *({"source_id": i, "account_source_id": i, "status": "open", "priority": "urgent",
                                  "opened_at": "2026-01-20T00:00:00Z"} for i in RED))  # fmt: skip
    for n in range(90):
        pulled(store, BEGIN + timedelta(days=n), feeds)
    later = BEGIN + timedelta(days=100)
    customers(store, later, [LATE])
    put(store, later, "ticket", {"source_id": "7", "account_source_id": "7", "status": "open", "priority": "urgent",
                                 "opened_at": "2026-01-20T00:00:00Z"})  # fmt: skip
    put(store, later, "ticket", {"source_id": "0", "status": "solved"})
    successors = [i for i in (*first, LATE) if i not in (*CHURNED, "6")]
    put(store, later, "contract", *(
        {"source_id": f"next-{i}", "account_source_id": i, "start_date": str(RENEWS + timedelta(days=20)),
         "end_date": "2027-06-30"} for i in successors))  # fmt: skip
    link(store, space(store.path), later)


def customers(store: Store, at: datetime, ids: list[str]) -> None:
    put(store, at, "account_source", *({"source_id": i, "name": f"Customer {i}"} for i in ids))
    put(store, at, "contract", *(
        {"source_id": i, "account_source_id": i, "start_date": "2025-07-01", "end_date": "2026-06-30",
         "auto_renew": int(i == "6")} for i in ids))  # fmt: skip
    link(store, space(store.path), at)


def put(store: Store, at: datetime, entity: str, *rows: dict[str, Any]) -> None:
    with store.transaction() as conn:
        store.upsert(conn, entity, "crm", rows, stamp(at))


def pulled(store: Store, at: datetime, feeds: list[tuple[str, str, str]]) -> None:
    with store.transaction() as conn:
        conn.executemany(
            "INSERT INTO source_state (connection, stream, last_attempt_at, last_success_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET last_attempt_at = excluded.last_attempt_at, "
            "last_success_at = excluded.last_success_at",
            [(connection, stream, stamp(at), stamp(at)) for connection, stream, _ in feeds],
        )


def test_what_became_of_renewals(store: Store) -> None:
    names = {r["uid"]: r["name"].split()[1] for r in store.query("SELECT uid, name FROM account")}
    outcomes = {names[r.account_uid]: r.outcome for r in past_renewals(store, TODAY)}
    assert outcomes == {
        **dict.fromkeys(CHURNED, "churned"), **dict.fromkeys(("2", "3", "4", "5", "8"), "renewed"), "6": "assumed",
    }  # fmt: skip
    assert past_renewals(store, RENEWS + timedelta(days=30)) == []
    assert len(past_renewals(store, RENEWS + timedelta(days=31))) == 9


def test_each_renewal_is_judged_by_what_was_known_then(store: Store) -> None:
    before = "\n".join(store.db.conn.iterdump())
    found = backtest(store, RULES, space(store.path), TODAY)
    bands = {b.band: (b.n, b.churned) for b in found.prediction.bands}
    assert bands == {"red": (3, 2), "yellow": (0, 0), "green": (5, 1)}
    assert (found.days, found.weekly, found.unscored, found.assumed) == (1, False, 1, 1)
    assert found.prediction.precision == pytest.approx(2 / 3)
    assert {c.day for c in found.cases} == {RENEWS - timedelta(days=90)}
    assert {c.measures.get("support") for c in found.cases} == {20, 100, None}
    assert "\n".join(store.db.conn.iterdump()) == before


def test_many_days_are_grouped_by_the_monday_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DAYS", 0)
    found = backtest(store, RULES, space(store.path), TODAY)
    assert found.weekly
    assert {c.day for c in found.cases} == {date(2026, 3, 30)}
    assert {b.band: b.n for b in found.prediction.bands} == {"red": 3, "yellow": 0, "green": 5}


def test_it_refuses_to_tune_on_few_churns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="3 judged renewals churned; below 30 nothing can be learned"):
        backtest(store, RULES, space(store.path), TODAY, tune=True)
    monkeypatch.setattr("cssync.rules.prediction.MIN_CHURNS", 3)
    (measure,) = backtest(store, RULES, space(store.path), TODAY, tune=True).tuning
    assert (measure.name, measure.n, measure.auc) == (
        "support",
        8,
        pytest.approx(11 / 15),
    )


def test_without_past_renewals_or_a_score_it_says_so(store: Store) -> None:
    with pytest.raises(ConfigError, match="no past renewal"):
        backtest(store, RULES, space(store.path), date(2026, 6, 1))
    with pytest.raises(ConfigError, match="there is no pack 'x' with a score"):
        backtest(store, RULES, space(store.path), TODAY, pack="x")
