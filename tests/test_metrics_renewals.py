"""Renewal rates, forecast, lifetime value, time to first value, CSAT and NPS: vectors and edges."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.metrics.lifetime import Onset, first_value, historic_ltv, simple_ltv
from cssync.metrics.options import defaults
from cssync.metrics.renewals import Due, Outcome, Renewal, events, forecast, renewal_rates
from cssync.metrics.revenue import Contract, Line, spans, terms
from cssync.metrics.voice import Answer, csat, latest, nps

TODAY = date(2026, 11, 20)
CHANCES = defaults()["chances"]


def contract(name: str, start: str, end: str | None, **more: Any) -> Contract:
    return Contract(("crm", name), date.fromisoformat(start), date.fromisoformat(end) if end else None, **more)


def due(*contracts: Contract, prices: dict[str, int] | None = None, today: date = TODAY, year: int = 2026) -> list[Due]:
    lines = [Line(c.key, (prices or {}).get(c.key[1], 100), "USD", c.key) for c in contracts]
    known = terms(contracts, today)
    return list(events(known, spans(lines, known), date(year, 1, 1), date(year + 1, 1, 1), today))


def summed(found: Due) -> tuple[str, str, int, int]:
    return found.on.isoformat(), found.outcome, int(sum(a for _, a in found.due)), int(sum(a for _, a in found.renewed))


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([contract("a", "2025-12-15", "2026-12-14")], ("2026-12-15", "open", 100, 0)),
        ([contract("a", "2025-12-15", "2026-12-14", status="notice")], ("2026-12-15", "notice", 100, 0)),
        ([contract("a", "2025-11-01", "2026-10-31")], ("2026-11-01", "lapsed", 100, 0)),
        ([contract("a", "2025-07-01", "2026-06-30")], ("2026-07-01", "lost", 100, 0)),
        ([contract("a", "2025-11-01", "2026-10-31", status="notice")], ("2026-11-01", "lost", 100, 0)),
        ([contract("a", "2025-07-01", "2026-06-30", status="renewed")], ("2026-07-01", "unclear", 100, 0)),
        ([contract("a", "2025-07-01", "2026-06-30", auto_renew=True)], ("2026-07-01", "renewed", 100, 100)),
    ],
    ids=["open", "notice", "lapsed", "lost", "noticed", "unclear", "assumed"],
)
def test_what_came_of_a_renewal(held: list[Contract], expected: tuple[str, str, int, int]) -> None:
    assert [summed(event) for event in due(*held)] == [expected]


def test_a_successor_renews_at_its_own_price_and_early_does_not_shorten_what_was_due() -> None:
    held = [contract("a", "2025-07-01", "2026-06-30"), contract("b", "2026-06-10", "2027-06-30")]
    assert [summed(e) for e in due(*held, prices={"a": 100, "b": 130})] == [("2026-07-01", "renewed", 100, 130)]


def test_contracts_that_end_within_fourteen_days_are_one_event() -> None:
    near = [contract("a", "2025-12-15", "2026-12-14"), contract("b", "2025-12-15", "2026-12-28")]
    assert [summed(e) for e in due(*near)] == [("2026-12-15", "open", 200, 0)]
    far = [near[0], contract("b", "2025-12-15", "2026-12-29")]
    assert [e.on.isoformat() for e in due(*far)] == ["2026-12-15", "2026-12-30"]


def test_one_successor_of_two_contracts_counts_once() -> None:
    held = [
        contract("a", "2025-06-01", "2026-05-31", renewed_by="n"),
        contract("b", "2025-06-20", "2026-06-19", renewed_by="n"),
        contract("n", "2026-06-01", "2027-05-31"),
    ]
    assert [summed(e) for e in due(*held, prices={"a": 100, "b": 50, "n": 160})] == [
        ("2026-06-01", "renewed", 150, 160)
    ]


def test_month_to_month_and_open_ended_are_never_due_and_multi_year_only_at_its_end() -> None:
    assert due(contract("a", "2026-11-01", "2026-11-30", term_months=1)) == []
    assert due(contract("a", "2025-01-01", None)) == []
    long = contract("a", "2024-01-01", "2026-12-30", term_months=36)
    assert [len(due(long, year=year)) for year in (2025, 2026)] == [0, 1]


def test_each_turn_of_a_contract_that_renews_by_itself_is_due_once() -> None:
    held = contract("a", "2024-03-01", "2024-08-31", auto_renew=True)
    found = due(held)
    assert [summed(e) for e in found] == [("2026-03-01", "renewed", 100, 100), ("2026-09-01", "renewed", 100, 100)]
    assert all(e.assumed for e in found)
    assert [summed(e)[:2] for e in due(held, year=2027)] == [("2027-03-01", "open")]


def test_an_early_termination_was_not_up_for_renewal() -> None:
    assert due(contract("a", "2026-01-01", "2026-12-30", status="terminated", changed_on=date(2026, 5, 1))) == []
    ended = contract("a", "2025-07-01", "2026-06-30", status="terminated", changed_on=date(2026, 8, 1))
    assert [summed(e)[1] for e in due(ended)] == ["lost"]


def renewal(outcome: Outcome, amount: int, band: str = "unknown", renewed: int = 0, on: str = "2026-11-01") -> Renewal:
    return Renewal("a", "A", date.fromisoformat(on), outcome, Decimal(amount), Decimal(renewed), band)


def test_renewal_rates_rest_on_what_was_due_and_is_decided() -> None:
    found = renewal_rates(
        [
            renewal("renewed", 100, renewed=150),
            renewal("renewed", 100, renewed=80),
            renewal("lost", 200),
            renewal("lapsed", 70),
            renewal("unclear", 5),
            renewal("open", 999, on="2026-12-01"),
            renewal("renewed", 999, renewed=999, on="2026-12-01"),
        ],
        TODAY,
    )
    assert (found.gross, found.net) == (Decimal("0.45"), Decimal("0.575"))
    assert (found.due, found.events, found.undecided) == (400, 3, 75)
    assert renewal_rates([], TODAY).gross is None


def test_the_forecast_of_the_domain_model() -> None:
    found = forecast(
        [
            renewal("open", 120_000, "green"),
            renewal("open", 60_000, "yellow"),
            renewal("open", 40_000, "red"),
            renewal("notice", 30_000, "green"),
            renewal("open", 50_000),
            renewal("renewed", 999, renewed=999),
        ],
        CHANCES,
    )
    assert (found.due, found.expected, found.at_risk, found.weighted) == (300_000, 224_500, 70_000, 75_500)
    assert f"{found.expected / found.due * 100:.1f}" == "74.8"


def test_a_lapsed_renewal_is_at_risk_whatever_its_band() -> None:
    found = forecast([renewal("lapsed", 100, "green")], CHANCES)
    assert (found.at_risk, found.expected) == (100, 50)


def test_ltv() -> None:
    arpa, margin = Decimal(500), Decimal("0.80")
    found = simple_ltv(arpa, margin, Decimal("0.02"))
    assert (found.value, found.capped) == (20_000, False)
    for churn in (Decimal(0), None, Decimal("0.001")):
        found = simple_ltv(arpa, margin, churn)
        assert (found.value, found.months, found.capped) == (24_000, 60, True)
    assert historic_ltv([Decimal(100), Decimal(300)], margin) == 160
    assert historic_ltv([], margin) is None


def test_time_to_first_value() -> None:
    days = [5, 9, 12, 14, 21, 28, 33, None, None, None]
    tenures = [90, 90, 60, 60, 45, 45, 40, 50, 33, 12]
    onsets = [Onset(str(n), "x", t, d) for n, (d, t) in enumerate(zip(days, tenures, strict=True))]
    found = first_value(onsets, 30)
    assert (found.reached, found.base, f"{(found.share or 0) * 100:.1f}") == (6, 9, "66.7")
    assert found.median_days == 21
    assert first_value(onsets[7:]).median_days is None
    assert first_value([]).share is None


def answers(scores: list[float | None], scale: int | None = None) -> list[Answer]:
    return [Answer("a", s, f"2026-11-{n + 1:02}T00:00:00Z", scale, ("crm", str(n))) for n, s in enumerate(scores)]


def test_csat_leaves_unanswered_out() -> None:
    found = csat([*answers([1] * 18), *answers([0] * 6), *answers([None] * 10)])
    assert (found.value, found.rated, found.unanswered) == (Decimal("0.75"), 24, 10)
    assert csat(answers([1, 2, 3, 4, 5], 5)).value == Decimal("0.4")
    assert csat(answers([1, 1])).value is None


def test_nps() -> None:
    found = nps(answers([10, 9, 9, 8, 7, 7, 6, 5, 10, 3]))
    assert (found.value, found.promoters, found.detractors, found.answers) == (10, 4, 3, 10)
    assert nps(answers([10, 10])).value is None


def test_nps_counts_the_last_answer_of_a_contact_and_every_anonymous_one() -> None:
    found = [
        Answer("a", 10, "2026-11-02T00:00:00Z", 10, "x"),
        Answer("a", 0, "2026-11-01T00:00:00Z", 10, "x"),
        Answer("a", None, "2026-11-03T00:00:00Z", 10, "x"),
        Answer("a", 0, "2026-11-01T00:00:00Z", 10),
        Answer("a", 0, "2026-11-01T00:00:00Z", 10),
    ]
    assert sorted(a.score or 0 for a in latest(found)) == [0, 0, 10]
    assert f"{nps(found).value:.1f}" == "-33.3"


@given(st.lists(st.integers(0, 10), min_size=3))
def test_nps_stays_within_its_bounds(scores: list[int]) -> None:
    value = nps(answers([float(s) for s in scores][:28])).value
    assert value is not None
    assert -100 <= value <= 100
