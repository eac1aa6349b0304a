"""Built-in facts on a real store: weeks of usage, outages, ARR, terms."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from standard_store import (
    AS_OF,
    DAYS,
    RULES,
    contract,
    facts,
    feed,
    put,
    results,
    run,
    tasks,
    weeks,
    workspace,
)

from cssync.rules.calendar import Calendar
from cssync.rules.evaluate import context_for
from cssync.rules.volume import Series, coverage, read_series
from cssync.store.sqlite import Store


def test_usage_growth_drops_the_holiday_week_and_the_outage(store: Store) -> None:
    put(store, "usage_metric", *weeks([100, 104, 98, 102, 30, 101, 99, 103, 82, 80, None, 78]))
    holiday = date(2026, 11, 16) - timedelta(weeks=8)
    closures = tuple((holiday + timedelta(days=n)).isoformat() for n in range(3))
    found = facts(store, closures=closures)
    assert (found["usage_recent"], found["usage_before"]) == (80, 101)
    assert round(found["usage_growth"] * 100, 1) == -20.8
    assert found["weeks_left_out"] == 2


@pytest.mark.parametrize(
    ("values", "growth"),
    [
        ([10] * 8 + [10, 10, None, None], None),
        ([10] * 4 + [None] * 4 + [10] * 4, None),
        ([4.9] * 8 + [10] * 4, None),
        ([5] * 8 + [10] * 4, 1.0),
        ([10] * 8 + [10, 30, 20, 40], 1.5),
    ],
)
def test_usage_growth_needs_weeks_and_a_base(store: Store, values: list[float | None], growth: float | None) -> None:
    put(store, "usage_metric", *weeks(values))
    assert facts(store)["usage_growth"] == growth


def test_weeks_without_a_record_are_real_zeros_while_others_have_some(store: Store) -> None:
    other = [{**row, "source_id": f"b{n}", "value": 10.0} for n, row in enumerate(weeks([10] * 12))]
    put(store, "usage_metric", *weeks([10] * 8 + [0] * 4)[:9], *other)
    with store.transaction() as conn:
        conn.execute("UPDATE usage_metric SET account_uid = 'b' WHERE source_id LIKE 'b%'")
    found = facts(store)
    assert (found["usage_recent"], found["usage_before"], found["usage_growth"]) == (0, 10, -1)


def test_a_day_below_half_of_its_weekdays_is_incomplete() -> None:
    day = date(2026, 11, 18)
    usual = {day - timedelta(weeks=n + 1): (v, 9) for n, v in enumerate((10050.0, 9980.0, 10210.0, 9900.0))}
    for volume, gaps in ((4100.0, [day]), (5007.4, [day]), (5007.5, []), (0.0, [day])):
        found = Series("crm", "logins", False, {**usual, day: (volume, 9)}).gaps(date(2026, 11, 19), Calendar())
        assert list(found) == [d for d in gaps if d == day]


@pytest.mark.parametrize("spike", [(9.0, 9.0), (1e9, 1e9), (9.0, 1e9)])
@pytest.mark.parametrize("over", [0, 7, 21])
def test_weeks_of_spikes_of_one_customer_are_no_reference_for_the_others(spike: tuple[float, float], over: int) -> None:
    """A customer's machine is busy for a month, every day or now and then; the other two go on as ever."""
    today = date(2026, 11, 19)

    def shown(ago: int) -> list[float]:
        return [20.0, 10.0, 9.0 if ago <= over else spike[ago % 2]]

    rows = [((today - timedelta(days=n)).isoformat(), "logins", "crm", sum(v), 3, "day", max(v))
            for n in range(1, 100) for v in [shown(n)]]  # fmt: skip
    assert coverage(read_series(lambda _: rows, today), today, Calendar()).gaps == {}
    out = [(day, *rest[:2], 0.2, 3, "day", 0.1) if day == "2026-11-10" else (day, *rest) for day, *rest in rows]
    gaps = coverage(read_series(lambda _: out, today), today, Calendar()).gaps
    assert gaps == {("crm", "logins"): (date(2026, 11, 10),)}


def test_one_accounts_zero_is_real_and_a_holiday_explains_a_low_day() -> None:
    day = date(2026, 11, 18)
    alone = {day - timedelta(weeks=n): (20.0 if n else 0.0, 1) for n in range(5)}
    assert list(Series("crm", "logins", False, alone).gaps(date(2026, 11, 19), Calendar())) == []
    many = {d: (v, 9) for d, (v, _) in alone.items()}
    assert list(Series("crm", "logins", False, many).gaps(date(2026, 11, 19), Calendar())) == [day]
    assert (
        list(Series("crm", "logins", False, many).gaps(date(2026, 11, 19), Calendar(None, frozenset({"11-18"})))) == []
    )


def test_a_partial_outage_is_no_ones_absence(store: Store) -> None:
    out = {d.isoformat(): 0.01 for d in DAYS[:20]}
    feed(store, {**out, DAYS[0].isoformat(): 1})
    found = facts(store)
    assert found["last_active_on"] == DAYS[0].isoformat()
    assert found["weeks_left_out"] == 3
    assert found["usage_recent"] is None
    assert found["usage_before"] == 20


def test_days_of_an_outage_count_neither_as_peak_nor_as_use(store: Store) -> None:
    feed(store, {d.isoformat(): 0.4 for d in DAYS[1:3]})
    with store.transaction() as conn:
        conn.execute("DELETE FROM usage_metric WHERE account_uid = 'a' AND period_start > '2026-11-12' "
                     "AND period_start < '2026-11-17'")  # fmt: skip
        conn.execute("UPDATE usage_metric SET value = 0 WHERE account_uid = 'a' AND period_start = '2026-11-19'")
    assert facts(store)["last_active_on"] == "2026-11-12"


def test_a_feed_that_brings_nothing_new_makes_nobody_red(store: Store) -> None:
    contract(store)
    feed(store, {}, DAYS[30:])
    report = run(store)
    assert report.stale == ("usage_metric",)
    found = results(store)
    assert found["health.band"][0] == "unknown"
    assert found["risk.flags"][0] in (None, [])
    assert [t for t in tasks(store) if t[0] in ("K01", "K07")] == []


@pytest.mark.parametrize(("last", "state"), [(1, "ok"), (3, "ok"), (4, "stale")])
def test_usage_is_as_old_as_its_newest_day(store: Store, last: int, state: str) -> None:
    feed(store, {}, DAYS[last - 1 :])
    context = context_for(store, workspace(store), RULES.packs[0], AS_OF)
    assert context.state("usage_metric.active_users") == context.state("usage_metric") == state


def test_silent_weekends_are_no_outage(store: Store) -> None:
    feed(store, {}, [d for d in DAYS if d.weekday() < 5 and d < date(2026, 11, 14)])
    monday_night = datetime(2026, 11, 17, 1, tzinfo=UTC)
    context = context_for(store, workspace(store), RULES.packs[0], monday_night)
    assert context.ok("usage_metric.active_users")
    assert context.gap_days(["active_users"]) == [date(2026, 11, 16)]


def test_an_account_that_never_had_usage_is_missing_not_zero(store: Store) -> None:
    found = facts(store)
    assert found["active_users_28d"] is None
    assert found["usage_growth"] is None


def test_seat_utilisation_takes_the_peak_of_28_complete_days_or_the_measured_number(store: Store) -> None:
    day = {"metric": "active_users", "grain": "day"}
    rows = [day | {"period_start": "2026-11-20", "value": 50}, day | {"period_start": "2026-10-23", "value": 42}]
    put(store, "usage_metric", *rows, day | {"period_start": "2026-10-22", "value": 49})
    assert facts(store)["active_users_28d"] == 42
    measured = {"source_id": "m", "metric": "active_users_28d", "period_start": "2026-11-19", "value": 44}
    put(store, "usage_metric", measured)
    assert facts(store)["active_users_28d"] == 44


@pytest.mark.parametrize(
    ("line", "arr"),
    [
        ({"amount": 36000, "billing_period_months": 12}, 36000),
        ({"amount": 9000, "billing_period_months": 3}, 36000),
        ({"amount": 108000, "billing_period_months": 36}, 36000),
        ({"amount": 40000, "billing_period_months": 0, "start_date": "2026-10-01", "end_date": "2027-11-04"}, 36500),
        ({"quantity": 20, "unit_price": 600}, 12000),
        ({"amount": 9000, "is_recurring": 0}, None),
        ({"amount": 9000, "start_date": "2026-11-21"}, 0),
        ({"amount": 9000, "end_date": "2026-11-20"}, 9000),
        ({"amount": 9000, "end_date": "2026-11-19"}, 0),
        ({"amount": 100, "billing_period_months": 7}, 171),
    ],
)
def test_arr_of_a_line(store: Store, line: dict[str, Any], arr: int | None) -> None:
    put(store, "contract_line", line)
    assert facts(store)["arr"] == arr


def test_two_currencies_give_no_arr(store: Store) -> None:
    put(store, "contract_line", {"amount": 1, "currency": "JPY"}, {"amount": 1, "currency": "USD"})
    assert facts(store)["arr"] is None


def test_contracts_within_two_weeks_are_one_event_and_others_are_not(store: Store) -> None:
    ends = ("2027-03-31", "2027-04-14", "2027-04-15")
    put(store, "contract", *({"start_date": "2026-04-15", "end_date": e} for e in ends))
    put(store, "contract_line", *({"contract_source_id": f"contract-{n}", "amount": 10**n} for n in range(3)))
    found = facts(store)
    assert found["renews_on"] == "2027-04-01"
    assert found["renewal_contracts"] == "crm:contract-0 crm:contract-1"
    assert (found["arr"], found["renewal_arr"]) == (111, 11)


def test_an_early_renewal_counts_a_line_once_a_day(store: Store) -> None:
    put(
        store,
        "contract",
        {"start_date": "2025-12-01", "end_date": "2026-11-30", "renewed_by_source_id": "contract-1"},
        {"start_date": "2026-11-15", "end_date": "2027-11-14"},
    )
    put(
        store,
        "contract_line",
        *({"contract_source_id": f"contract-{n}", "quantity": 5 + n, "unit": "seat"} for n in (0, 1)),
    )
    found = facts(store)
    assert (found["seats"], found["renews_on"]) == (6, "2027-11-15")
