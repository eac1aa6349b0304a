"""Retention: the vectors of the domain model, the options, and the laws that hold for any portfolio."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.errors import ConfigError
from cssync.metrics.fx import Rate, Rates
from cssync.metrics.measure import Measured, Revenue, Setting, grouped, measure
from cssync.metrics.options import Options, defaults
from cssync.metrics.periods import DAYS_PER_MONTH, Period, fiscal_quarter, parse_period
from cssync.metrics.portfolio import Account, Holding
from cssync.metrics.retention import Position, Retention, retention
from cssync.metrics.revenue import Contract, Line
from cssync.rules.calendar import add_months

BOOK = {
    "A": (120_000, 150_000),
    "B": (60_000, 60_000),
    "C": (40_000, 25_000),
    "D": (30_000, 0),
    "G": (50_000, 50_000),
    "F": (0, 80_000),
}


def position(name: str, start: int, end: int, **more: Any) -> Position:
    return Position(name, name, Decimal(start), Decimal(end), Decimal(more.pop("reported", end)), **more)


def book(**changed: Position) -> list[Position]:
    return [changed.get(name) or position(name, *ends) for name, ends in BOOK.items()]


def percent(value: Decimal | None) -> str:
    return "-" if value is None else f"{value * 100:.2f}"


def ratios(found: Retention) -> tuple[str, str, str]:
    return percent(found.nrr), percent(found.grr), percent(found.logo_churn)


def test_the_book_of_the_domain_model() -> None:
    found = retention(book())
    assert ratios(found) == ("95.00", "85.00", "20.00")
    assert (found.accounts, found.start, found.end, found.new) == (5, 300_000, 285_000, 80_000)
    assert (found.expansion, found.contraction, found.churn, found.churned) == (30_000, 15_000, 30_000, 1)
    classes = {move.account: move.kind for move in found.moves}
    assert classes == {"A": "expansion", "B": "flat", "C": "contraction", "D": "churn", "G": "flat", "F": "new"}


def test_seventy_million_of_a_hundred_is_seventy_percent() -> None:
    assert percent(retention([position("all", 100_000_000, 70_000_000)]).nrr) == "70.00"


def test_who_left_and_came_back_counts_by_its_ends_or_as_new() -> None:
    back = book(D=position("D", 30_000, 20_000, interrupted=True))
    assert ratios(retention(back)) == ("101.67", "91.67", "0.00")
    as_new = retention(back, reactivation="new")
    assert ratios(as_new) == ("95.00", "85.00", "20.00")
    assert as_new.new == 100_000
    assert [m.kind for m in as_new.moves if m.account == "D"] == ["new", "churn"]


def test_an_empty_cohort_has_no_ratio() -> None:
    found = retention([position("F", 0, 80_000)])
    assert (found.nrr, found.grr, found.logo_churn, found.as_reported) == (None, None, None, None)
    assert found.new == 80_000


def test_contracted_price_steps_are_expansion_unless_excluded() -> None:
    stepped = [position("A", 100, 130, steps=Decimal(10)), position("B", 100, 80, steps=Decimal(10))]
    assert retention(stepped).expansion == 30
    excluded = retention(stepped, exclude_contracted_steps=True)
    assert (excluded.expansion, excluded.contraction, percent(excluded.grr)) == (20, 20, "90.00")


POSITIONS = st.lists(
    st.builds(
        Position,
        st.uuids().map(str),
        st.just("x"),
        st.integers(-5, 10**9).map(Decimal),
        st.integers(-5, 10**9).map(Decimal) | st.just(Decimal(0)),
        st.just(Decimal(0)),
        st.integers(0, 10**6).map(Decimal),
        st.booleans(),
    )
)


@given(POSITIONS, st.sampled_from(["point_to_point", "new"]), st.booleans())
def test_the_laws_of_retention(positions: list[Position], reactivation: Any, steps: bool) -> None:
    found = retention(positions, reactivation=reactivation, exclude_contracted_steps=steps)
    assert found.expansion - found.contraction - found.churn == found.end - found.start
    assert min(found.expansion, found.contraction, found.churn, found.new) >= 0
    again = retention(reversed(positions), reactivation=reactivation, exclude_contracted_steps=steps)
    assert (again.nrr, again.grr, again.logo_churn) == (found.nrr, found.grr, found.logo_churn)
    if found.nrr is None or found.grr is None or found.logo_churn is None:
        assert all(p.start <= 0 for p in positions)
        return
    assert found.grr <= min(Decimal(1), found.nrr)
    assert 0 <= found.logo_churn <= 1


# --- from contracts ---------------------------------------------------------------------------------------------------

YEAR = parse_period("2026")
OPTIONS = Options(**defaults())


def setting(today: date = date(2026, 12, 31), rates: Rates | None = None, **options: Any) -> Setting:
    return Setting(YEAR, today, Options(**{**defaults(), **options}), rates or Rates("USD"), {})


def customer(uid: str, *terms: tuple[str, str, int], currency: str = "USD", root: str | None = None) -> Holding:
    """An account with a contract and a line for each (first day, last day, price per year)."""
    keys = [("crm", f"{uid}{n}") for n in range(len(terms))]
    days = [(date.fromisoformat(start), date.fromisoformat(end)) for start, end, _ in terms]
    return Holding(
        Account(uid, uid, root or uid),
        tuple(Contract(key, start, end) for key, (start, end) in zip(keys, days, strict=True)),
        tuple(Line(key, price, currency, key) for key, (_, _, price) in zip(keys, terms, strict=True)),
    )


def of(*holdings: Holding, by: Setting) -> Retention:
    positions = [p for h in holdings if (p := measure(h, by).position) is not None]
    return retention(positions, reactivation=by.options.reactivation)


def test_both_ends_are_at_the_rate_of_the_first_day() -> None:
    rates = Rates.of(
        [Rate(YEAR.start, "JPY", "USD", Decimal("0.0070")), Rate(date(2026, 7, 1), "JPY", "USD", Decimal("0.0065"))],
        "USD",
    )
    found = of(
        customer("J", ("2025-01-01", "2027-12-31", 12_000_000), currency="JPY"),
        customer("U", ("2025-01-01", "2027-12-31", 100_000_00)),
        by=setting(rates=rates),
    )
    assert percent(found.nrr) == "100.00"
    assert found.start == 184_000_00
    assert percent(found.as_reported) == "96.74"


def test_a_late_signature_is_no_churn_and_a_lapse_beyond_grace_is() -> None:
    renewed = customer("L", ("2025-07-01", "2026-06-30", 100), ("2026-07-20", "2027-07-19", 100))
    assert ratios(of(renewed, by=setting(reactivation="new"))) == ("100.00", "100.00", "0.00")
    gone = customer("G", ("2025-07-01", "2026-06-30", 100))
    assert ratios(of(gone, by=setting())) == ("0.00", "0.00", "100.00")


def test_a_gap_in_the_period_is_seen_by_reactivation_new_only() -> None:
    back = customer("D", ("2025-04-01", "2026-03-31", 30_000), ("2026-06-01", "2027-05-31", 20_000))
    assert ratios(of(back, by=setting())) == ("66.67", "66.67", "0.00")
    assert ratios(of(back, by=setting(reactivation="new"))) == ("0.00", "0.00", "100.00")


def test_steps_of_one_contract_are_seen_where_they_were_agreed_before() -> None:
    key, days = ("crm", "c"), (date(2025, 7, 1), date(2026, 6, 30), date(2026, 7, 1))
    first = Line(("crm", "1"), 100, "USD", key, start=days[0], end=days[1], product="seats", quantity=1)
    for created, price, steps in (
        (date(2025, 7, 1), 110, 10), (None, 110, 10), (date(2026, 5, 1), 110, 0), (None, 90, 0),
    ):  # fmt: skip
        second = Line(("crm", "2"), price, "USD", key, start=days[2], product="seats", quantity=1, created_on=created)
        held = Holding(Account("a", "a", "a"), (Contract(key, days[0], date(2027, 6, 30)),), (first, second))
        found = measure(held, setting(exclude_contracted_steps=True)).position
        assert found is not None
        assert (found.start, found.end, found.steps) == (100, price, steps)


def test_merged_accounts_have_both_ends_under_the_survivor() -> None:
    merged = customer(
        "Z", ("2025-01-01", "2026-12-31", 20), ("2025-01-01", "2026-06-30", 10), ("2026-07-01", "2027-06-30", 13)
    )
    assert ratios(of(merged, by=setting())) == ("110.00", "100.00", "0.00")


def test_a_group_of_accounts_is_one_logo_where_asked() -> None:
    by = setting(logos="ultimate_parent")
    moved = [
        customer("c1", ("2025-01-01", "2026-05-31", 100), root="P"),
        customer("c2", ("2026-06-01", "2027-05-31", 90), root="P"),
        customer("solo", ("2025-01-01", "2026-12-31", 100)),
    ]
    assert ratios(of(*moved, by=by)) == ("50.00", "50.00", "50.00")
    positions = grouped([measure(h, by) for h in moved], {"P": Account("P", "Parent", "P")}, by)
    assert ratios(retention(positions)) == ("95.00", "95.00", "0.00")
    assert [(p.account, p.name) for p in positions] == [("P", "Parent"), ("solo", "solo")]


def test_a_group_is_interrupted_only_where_none_of_its_accounts_has_arr() -> None:
    by = setting(logos="ultimate_parent", reactivation="new")

    def one(cover: tuple[tuple[date, date], ...]) -> Measured:
        account = Account("x", "x", "P")
        return Measured(account, Revenue("x", "x", Decimal(0)), position("x", 1, 1), cover, (), None)

    first, second = (YEAR.start, date(2026, 5, 31)), (date(2026, 6, 1), YEAR.last)
    assert [p.interrupted for p in grouped([one((first,)), one((second,))], {}, by)] == [False]
    assert [p.interrupted for p in grouped([one((first,)), one(((date(2026, 6, 2), YEAR.last),))], {}, by)] == [True]


# --- periods ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", "2026-01-01", "2026-12-31"),
        ("2026-Q4", "2026-10-01", "2026-12-31"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("FY2026", "2026-04-01", "2027-03-31"),
        ("FY2026-Q4", "2027-01-01", "2027-03-31"),
        ("2026-03-15..2026-03-15", "2026-03-15", "2026-03-15"),
    ],
)
def test_what_a_period_is_called(text: str, first: str, last: str) -> None:
    found = parse_period(text, 4)
    assert (found.start.isoformat(), found.last.isoformat()) == (first, last)


NO_PERIODS = ["", "26", "2026-13", "2026-Q5", "2026-1", "FY26", "0000", "9999", "２０２６"]


@pytest.mark.parametrize("text", [*NO_PERIODS, "2026-02-30..2026-03-01", "2026-03-02..2026-03-01"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_period(text)


def test_a_fiscal_year_is_named_after_the_year_in_which_it_starts() -> None:
    assert fiscal_quarter(date(2027, 3, 31), 4) == (2026, 4)
    assert fiscal_quarter(date(2027, 4, 1), 4) == (2027, 1)
    assert fiscal_quarter(date(2026, 12, 31), 1) == (2026, 4)


def test_months_of_a_period_are_exact_where_they_are_whole() -> None:
    assert parse_period("2026-Q1").months == 3
    assert parse_period("2026-01-16..2026-02-15").months == 1
    assert Period("", date(2026, 1, 1), date(2026, 1, 11)).months == 10 / DAYS_PER_MONTH


def test_months_are_counted_from_the_anchor() -> None:
    january, leap = date(2026, 1, 31), date(2024, 2, 29)
    assert [add_months(january, n).isoformat() for n in (1, 2, 3)] == ["2026-02-28", "2026-03-31", "2026-04-30"]
    assert [add_months(leap, n).isoformat() for n in (12, 24, 36, 48)] == [
        "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29",
    ]  # fmt: skip


@given(st.integers(1900, 2100), st.integers(1, 12))
def test_four_fiscal_quarters_are_the_year(year: int, first_month: int) -> None:
    quarters = [parse_period(f"FY{year}-Q{n}", first_month) for n in (1, 2, 3, 4)]
    whole = parse_period(f"FY{year}", first_month)
    assert (quarters[0].start, quarters[-1].end) == (whole.start, whole.end)
    assert all(one.end == other.start for one, other in pairwise(quarters))
    assert {fiscal_quarter(q.last, first_month) for q in quarters} == {(year, n) for n in (1, 2, 3, 4)}
