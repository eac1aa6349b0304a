"""Dates that say "no date" and numbers beyond all measure end no run, and nobody is told of a renewal in 9999."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from cssync.rules import load_folders
from cssync.rules.backtest import backtest
from cssync.rules.explain import explain
from cssync.rules.statement import typed_value
from cssync.store import Store
from past_world import BEGIN, Still

RULES = load_folders([("standard", files("cssync_rules"))])
NO_DATE: tuple[dict[str, Any], ...] = (
    {"end_date": "9999-12-31"},
    {"start_date": "0001-01-01", "end_date": "0001-01-01"},
    {"start_date": "9999-12-31", "end_date": "9999-12-30", "auto_renew": 1},
    {"start_date": "9999-12-31", "end_date": "0001-01-01", "notice_received_on": "9999-12-31"},
)
ODD: tuple[dict[str, Any], ...] = (
    {"end_date": "2020-01-31", "term_months": 10**12, "auto_renew": 1},
    {"end_date": "2020-01-31", "term_months": -12, "auto_renew": 1},
    {"notice_days": 10**12, "auto_renew": 1},
    {"notice_months": 10**9, "auto_renew": 1},
)


class Extreme(Still):
    """The contracts of companies 0 to 7 are as above; some have amounts and usage that are no real ones."""

    def begin(self, now: datetime) -> None:
        super().begin(now)
        for n, contract in enumerate((*NO_DATE, *ODD)):
            self.put(now, "contract", "crm", {"source_id": f"k{n}", **contract})
        huge = {"quantity": 10**15, "unit_price": 2**62, "unit": "seat", "currency": "EUR", "billing_period_months": 1}
        self.put(now, "contract_line", "crm", {
            "source_id": "huge", "account_source_id": "4", "contract_source_id": "k4", **huge})  # fmt: skip
        self.put(now, "opportunity", "crm", *(
            {"source_id": f"d{day}", "account_source_id": "5", "type": "renewal", "close_date": day, "amount": -(2**62)}
            for day in ("0001-01-01", "9999-12-31")))  # fmt: skip
        self.put(now, "usage_metric", "usage", *(
            {"source_id": f"u{day}", "account_source_id": "6", "metric": "active_users", "grain": "day",
             "period_start": day, "value": 1e308} for day in ("0001-01-01", "2026-10-19", "9999-12-31")))  # fmt: skip
        self.put(now, "ticket", "desk", *(
            {"source_id": f"t{at}", "account_source_id": "o3", "status": "open", "priority": "urgent", "opened_at": at}
            for at in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")))  # fmt: skip


def test_no_date_is_none_and_no_number_ends_a_run(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store:
        world = Extreme(store, RULES)
        world.day()
        raised: dict[str, set[str]] = {}
        for row in store.query("SELECT a.name, t.rule FROM task t JOIN account a ON a.uid = t.account_uid"):
            raised.setdefault(row["name"], set()).add(row["rule"])
        assert all(
            raised[f"Company {n}"] & {"R01", "R02", "R03", "R04", "R05", "R07", "R08"} == {"R08"} for n in range(4)
        )
        known = store.query("SELECT DISTINCT value FROM result WHERE name = 'renewal.date' AND value <> 'null'")
        assert all('"2020' < row["value"] < '"2100' for row in known)
        for row in store.query("SELECT uid FROM account WHERE name IN ('Company 3', 'Company 6')"):
            assert explain(store, RULES, world.space, row["uid"], BEGIN).packs
        assert backtest(store, RULES, world.space, BEGIN.date() + timedelta(days=400)).cases


def test_a_day_before_the_first_year_is_none() -> None:
    assert typed_value("0000-12-02", "date") is None
    assert typed_value("-4713-11-24", "date") is None
    assert str(typed_value("0001-01-01", "date")) == "0001-01-01"
