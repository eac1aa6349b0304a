"""Recurring revenue: the vectors of the domain model, edge cases, and agreement with the SQL of the rules."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arr_of_rules import arr_facts
from cssync.metrics.fx import Rates, rounded
from cssync.metrics.measure import Setting, UnknownPriceError, measure
from cssync.metrics.options import Options, defaults
from cssync.metrics.periods import parse_period
from cssync.metrics.portfolio import Portfolio
from cssync.metrics.revenue import Contract, Line, annual, mrr, on, pro_rata, spans, terms
from cssync.model import ENTITY, TABLE
from cssync.store.schema import entity_ddl, table_ddl

TODAY = date(2026, 11, 20)


def key(name: str) -> tuple[str, str]:
    return ("crm", name)


def contract(name: str = "c", start: str = "2026-01-01", end: str | None = "2026-12-31", **more: Any) -> Contract:
    return Contract(key(name), date.fromisoformat(start), date.fromisoformat(end) if end else None, **more)


def line(of: str | None = "c", price: int | None = 1200, months: int = 12, **more: Any) -> Line:
    return Line(key(f"{of}-line"), price, "USD", key(of) if of else None, months, **more)


def arr(day: str, contracts: list[Contract], lines: list[Line] | None = None, today: date = TODAY) -> Decimal:
    """ARR of a day, each contract with a line of 1,200 a year unless lines are given."""
    listed = [line(c.key[1]) for c in contracts] if lines is None else lines
    found = spans(listed, terms(contracts, today))
    return sum((s.arr or Decimal(0) for s in on(found, date.fromisoformat(day))), Decimal(0))


@pytest.mark.parametrize(("price", "months", "monthly"), [(36_000, 12, 3_000), (9_000, 3, 3_000), (108_000, 36, 3_000)])
def test_mrr_is_the_price_by_the_month_and_arr_twelve_of_it(price: int, months: int, monthly: int) -> None:
    assert mrr(price, months) == monthly
    assert annual(line(price=price, months=months)) == 12 * monthly


def test_a_term_of_odd_length_counts_by_the_day() -> None:
    term = contract(start="2026-01-01", end="2027-02-04")
    assert annual(line(price=40_000, months=0), term) == 36_500  # 400 days
    assert annual(line(price=40_000, months=0)) is None


def test_seats_added_in_the_middle_of_a_term() -> None:
    start, end = date(2026, 9, 15), date(2027, 3, 31)
    assert (end - start).days + 1 == 198
    added = line(price=20 * 600_00, start=start)
    assert pro_rata(20 * 600_00, start, end) == 6_509_59
    held = contract(start="2026-04-01", end="2027-03-31")
    assert arr("2026-09-14", [held], [line(price=50_000_00), added]) == 50_000_00
    assert arr("2026-09-15", [held], [line(price=50_000_00), added]) == 50_000_00 + 12_000_00


def test_a_line_that_ends_early_is_contraction_on_the_day_after() -> None:
    reduced = [line(), line(price=300, end=date(2026, 6, 30))]
    assert arr("2026-06-30", [contract()], reduced) == 1500
    assert arr("2026-07-01", [contract()], reduced) == 1200


def test_one_off_fees_are_not_recurring() -> None:
    assert arr("2026-11-20", [contract()], [line(), line(price=9_999, recurring=False)]) == 1200


def test_a_line_counts_from_its_first_to_its_last_day() -> None:
    held = [contract(start="2025-03-01", end="2025-08-31")]
    assert [arr(day, held) for day in ("2025-02-28", "2025-03-01", "2025-08-31", "2025-09-01")] == [0, 1200, 1200, 0]


def test_early_renewal_counts_the_successor_once_per_day() -> None:
    held = [contract(), contract("d", "2026-12-15", "2027-12-31")]
    assert arr("2026-12-14", held) == 1200
    assert arr("2026-12-20", held, [line("c"), line("d", 5000)], today=date(2026, 12, 20)) == 5000


def test_late_signature_within_grace_leaves_no_gap() -> None:
    held = [contract(end="2026-06-30"), contract("d", "2026-07-25", "2027-07-24")]
    assert {arr(day, held) for day in ("2026-06-30", "2026-07-01", "2026-07-24", "2026-07-25")} == {1200}
    assert terms(held, TODAY)[key("c")].successor == key("d")


def test_a_signature_after_grace_is_a_gap() -> None:
    held = [contract(end="2026-06-30"), contract("d", "2026-08-01", "2027-07-31")]
    assert [arr(day, held) for day in ("2026-06-30", "2026-07-01", "2026-07-31", "2026-08-01")] == [1200, 0, 0, 1200]


def test_lapsed_counts_for_the_days_of_grace_and_then_churns_at_the_renewal_date() -> None:
    held = [contract(end="2026-10-31")]
    assert arr("2026-11-20", held) == 1200
    assert terms(held, TODAY)[key("c")].lapsed
    after = date(2026, 12, 1)
    assert arr("2026-11-20", held, today=after) == arr("2026-11-01", held, today=after) == 0
    assert arr("2026-10-31", held, today=after) == 1200


def test_a_line_that_ends_with_its_contract_has_its_grace_and_one_that_ended_before_has_none() -> None:
    held = [contract(end="2026-10-31")]
    assert arr("2026-11-20", held, [line(end=date(2026, 10, 31))]) == 1200
    assert arr("2026-11-20", held, [line(end=date(2026, 10, 30))]) == 0


def test_with_notice_there_is_no_grace() -> None:
    held = [contract(end="2026-10-31", notice_received_on=date(2026, 9, 1), auto_renew=True)]
    assert [arr(day, held) for day in ("2026-10-31", "2026-11-01")] == [1200, 0]


def test_a_contract_that_renews_by_itself_rolls_on_and_says_so() -> None:
    held = [contract(start="2024-01-31", end="2025-01-30", auto_renew=True)]
    term = terms(held, TODAY)[key("c")]
    assert (term.assumed, term.renews) == (True, date(2027, 1, 31))
    (span,) = spans([line()], {term.contract.key: term})
    assert span.assumed_from == date(2025, 1, 31)
    assert arr("2026-11-20", held) == 1200


def test_notice_ends_the_term_in_which_it_came() -> None:
    held = [contract(start="2023-04-01", end="2024-03-31", auto_renew=True, notice_received_on=date(2026, 2, 10))]
    assert terms(held, TODAY)[key("c")].renews == date(2026, 4, 1)
    assert [arr(day, held) for day in ("2025-12-31", "2026-03-31", "2026-04-01")] == [1200, 1200, 0]
    assert terms(held, date(2026, 2, 9))[key("c")].renews == date(2026, 4, 1)
    late = [contract(start="2023-04-01", end="2024-03-31", auto_renew=True, notice_received_on=date(2026, 11, 1))]
    assert arr("2026-11-20", late) == 1200


def test_a_month_end_anchor_never_slips() -> None:
    held = contract(start="2026-01-31", end="2026-02-27", auto_renew=True, term_months=1)
    term = terms([held], date(2026, 4, 29))[key("c")]
    assert term.renews == date(2026, 5, 28)
    clamped = contract(start="2025-12-31", end="2026-01-30", auto_renew=True, term_months=1)
    assert [terms([clamped], day)[key("c")].renews for day in (date(2026, 2, 5), date(2026, 3, 5))] == [
        date(2026, 2, 28),
        date(2026, 3, 31),
    ]


def test_month_to_month_is_flagged_and_counts() -> None:
    held = contract(start="2026-10-25", end="2026-11-24", term_months=1)
    (span,) = spans([line(months=1, price=100)], terms([held], TODAY))
    assert span.month_to_month
    assert span.arr == 1200
    open_ended = contract(end=None)
    assert spans([line(months=1)], terms([open_ended], TODAY))[0].month_to_month
    assert not spans([line(months=12)], terms([open_ended], TODAY))[0].month_to_month


def test_a_terminated_contract_counts_until_it_ended() -> None:
    stopped = [contract(status="terminated", changed_on=date(2026, 5, 10))]
    assert [arr(day, stopped) for day in ("2026-05-10", "2026-05-11")] == [1200, 0]
    assert arr("2026-11-20", [contract(status="terminated", changed_on=TODAY)]) == 0


def test_a_term_of_impossible_length_is_not_known() -> None:
    held = contract(start="2025-01-01", end="2025-12-31", term_months=10**9, auto_renew=True)
    assert terms([held], TODAY)[key("c")].renews == date(2027, 1, 1)


# --- the rules' own SQL is the oracle for the as-of day ---------------------------------------------------------------

ZONE = ZoneInfo("Asia/Tokyo")
AS_OF = datetime(2026, 11, 20, 6, tzinfo=UTC)
OPTIONS = Options(**defaults())
DAYS = st.integers(-420, 420).map(lambda n: (TODAY + timedelta(days=n)).isoformat())
CONTRACTS = st.lists(
    st.fixed_dictionaries(
        {
            "start_date": st.none() | DAYS,
            "end_date": st.none() | DAYS,
            "term_months": st.sampled_from([None, 0, 1, 3, 12, 24]),
            "auto_renew": st.sampled_from([None, 0, 1]),
            "status": st.sampled_from(
                [None, "active", "active", "draft", "notice", "renewed", "expired", "terminated"]
            ),
            "notice_received_on": st.none() | st.none() | DAYS,
            "renewed_by_source_id": st.sampled_from([None, None, None, "0", "1", "9"]),
            "billing_currency": st.sampled_from([None, "JPY"]),
            "deleted_at": st.sampled_from([None, None, None, "2026-01-01T00:00:00Z"]),
        }
    ),
    max_size=4,
)
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "contract_source_id": st.sampled_from(["0", "0", "1", "2", "3", "9", None]),
            "amount": st.sampled_from([None, 0, 100, 1_001, -300, 36_000]),
            "quantity": st.sampled_from([None, 0, 7]),
            "unit_price": st.sampled_from([None, 500, 13]),
            "billing_period_months": st.sampled_from([None, 0, 1, 3, 7, 12, 36]),
            "start_date": st.none() | DAYS,
            "end_date": st.none() | DAYS,
            "is_recurring": st.sampled_from([None, 1, 1, 0]),
        }
    ),
    max_size=5,
)


class Rows:
    """A store in memory."""

    def __init__(self) -> None:
        self.conn = sqlite3.connect(":memory:")
        self.conn.row_factory = sqlite3.Row

    def reader(self) -> sqlite3.Connection:
        return self.conn

    def query(self, sql: str, params: Any = ()) -> list[sqlite3.Row]:
        return self.conn.execute(sql, params).fetchall()

    def add(self, table: str, **row: Any) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.conn.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(row.values()))


@contextmanager
def rows() -> Iterator[Rows]:
    found = Rows()
    try:
        for name in ("contract", "contract_line", "usage_metric"):
            for statement in entity_ddl(ENTITY[name]):
                found.conn.execute(statement)
        for name in ("account", "history"):
            for statement in table_ddl(TABLE[name]):
                found.conn.execute(statement)
        yield found
    finally:
        found.conn.close()


def arr_measured(store: Any, master: str | None = None) -> dict[str, int | None]:
    """Account -> ARR as this module computes it, None where it is not known."""
    setting = Setting(parse_period("2027-01"), TODAY, OPTIONS, Rates("JPY"), {})
    found: dict[str, int | None] = {}
    for holding in Portfolio(store, TODAY, ZONE, "JPY", master).holdings():
        try:
            found[holding.account.uid] = rounded(measure(holding, setting).revenue.arr)
        except UnknownPriceError:
            found[holding.account.uid] = None
    return found


@settings(max_examples=150)
@given(CONTRACTS, LINES)
def test_arr_of_the_day_is_the_fact_of_the_rules(contracts: list[dict[str, Any]], lines: list[dict[str, Any]]) -> None:
    with rows() as store:
        store.add("account", uid="a", name="Acme")
        learned = {"connection": "crm", "synced_at": "2026-11-01T00:00:00Z", "account_uid": "a"}
        for n, row in enumerate(contracts):
            store.add("contract", source_id=str(n), **learned, **row)
        for n, row in enumerate(lines):
            store.add("contract_line", source_id=str(n), **learned, **row)
        expected = arr_facts(store.conn, AS_OF, ZONE, "JPY").get("a")
        try:
            found = arr_measured(store).get("a")
        except KeyError:
            found = None
        assert (found or 0) == (expected or 0)


def test_a_successor_signed_late_leaves_no_gap_in_the_fact_either() -> None:
    with rows() as store:
        store.add("account", uid="a", name="Acme")
        learned = {"connection": "crm", "synced_at": "2026-11-01T00:00:00Z", "account_uid": "a"}
        for source, start, end in (("0", "2025-11-11", "2026-11-10"), ("1", "2026-11-30", "2027-11-29")):
            store.add("contract", source_id=source, start_date=start, end_date=end, **learned)
            store.add("contract_line", source_id=source, contract_source_id=source, amount=500, **learned)
        assert arr_measured(store) == arr_facts(store.conn, AS_OF, ZONE, "JPY") == {"a": 500}


def test_active_lines_without_any_price_are_unknown_and_not_zero() -> None:
    with rows() as store:
        for uid, amounts in (("none", [None]), ("some", [None, 500]), ("ended", [])):
            store.add("account", uid=uid, name=uid)
            learned = {"connection": "crm", "synced_at": "2026-11-01T00:00:00Z", "account_uid": uid}
            store.add("contract", source_id=uid, end_date="2026-01-31" if uid == "ended" else None, **learned)
            for n, amount in enumerate(amounts or [100]):
                store.add("contract_line", source_id=f"{uid}{n}", contract_source_id=uid, amount=amount, **learned)
        assert (
            arr_measured(store) == arr_facts(store.conn, AS_OF, ZONE, "JPY") == {"none": None, "some": 500, "ended": 0}
        )


def test_the_master_of_contracts_counts_where_an_account_has_some_of_it() -> None:
    with rows() as store:
        for uid, connections in (("a", ("crm", "erp")), ("b", ("erp", "old")), ("c", ("crm",))):
            store.add("account", uid=uid, name=uid)
            for connection in connections:
                learned = {"connection": connection, "synced_at": "2026-11-01T00:00:00Z", "account_uid": uid}
                end = "2026-11-10" if connection == "erp" else "2027-11-10"
                start = "2026-01-01" if connection == "erp" else "2026-11-05"
                store.add("contract", source_id=uid, start_date=start, end_date=end, **learned)
                store.add("contract_line", source_id=uid, contract_source_id=uid, amount=100, **learned)
        facts = arr_facts(store.conn, AS_OF, ZONE, "JPY", {"contract": "crm"})
        assert arr_measured(store, "crm") == facts == {"a": 100, "b": 200, "c": 100}
        assert arr_measured(store) == arr_facts(store.conn, AS_OF, ZONE, "JPY") == {"a": 100, "b": 100, "c": 100}


def test_rows_that_only_some_accounts_have_are_read_right() -> None:
    """Merged and test accounts, contracts of another account, drafts, dates that mean never, sums beyond 64 bit."""
    learned = {"connection": "crm", "synced_at": "2026-11-01T00:00:00Z"}
    with rows() as store:
        store.add("account", uid="z", name="Survivor")
        store.add("account", uid="x", merged_into="y")
        store.add("account", uid="y", merged_into="z")
        store.add("account", uid="t", name="Test", is_test=1)
        store.add("account", uid="p", name="Partner")
        store.add("account", uid="r1", name="Ring", parent_uid="r2")
        store.add("account", uid="r2", name="Ring", parent_uid="r1")
        for uid in ("x", "y", "z", "t", "p"):
            end = "9999-12-31" if uid == "p" else "2026-12-31"
            store.add("contract", source_id=uid, start_date="2026-01-01", end_date=end, account_uid=uid, **learned)
            store.add("contract_line", source_id=uid, contract_source_id=uid, amount=100, account_uid=uid, **learned)
        store.add("contract_line", source_id="far", contract_source_id="z", amount=7, account_uid="p", **learned)
        store.add("contract", source_id="draft", status="draft", account_uid="p", **learned)
        store.add("contract_line", source_id="d", contract_source_id="draft", amount=9, account_uid="p", **learned)
        store.add("contract", source_id="big", account_uid="r1", **learned)
        store.add(
            "contract_line",
            **{
                "source_id": "big",
                "contract_source_id": "big",
                "quantity": 2**62,
                "unit_price": 4,
                "account_uid": "r1",
            },
            **learned,
        )
        assert arr_measured(store) == {"p": 107, "z": 300, "r1": 2**64}
        portfolio = Portfolio(store, TODAY, ZONE, "JPY")  # type: ignore[arg-type]
        assert portfolio.rings == {"r1": "r1 -> r2 -> r1", "r2": "r2 -> r1 -> r2"}
