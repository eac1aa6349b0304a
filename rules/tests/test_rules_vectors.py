"""The vectors of the domain model: dates, curves, scores, milestones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from standard_store import AS_OF, NEW_YEAR, TOKYO

from cssync.rules.calendar import Calendar, add_months, local_date
from cssync.rules.events import same_event
from cssync.rules.expressions import curve_value
from cssync.rules.faults import Source
from cssync.rules.interpreter import judge
from cssync.rules.packs import read_rules
from cssync.rules.tasks import due_date
from cssync.rules.texts import lost_points
from cssync.rules.tree import Expr
from cssync.store.sqlite import Store


@pytest.mark.parametrize(
    ("anchor", "months", "wanted"),
    [
        ("2026-01-31", 1, "2026-02-28"), ("2026-01-31", 2, "2026-03-31"), ("2026-01-31", 3, "2026-04-30"),
        ("2024-02-29", 12, "2025-02-28"), ("2024-02-29", 24, "2026-02-28"), ("2024-02-29", 36, "2027-02-28"),
        ("2024-02-29", 48, "2028-02-29"), ("2026-03-31", -1, "2026-02-28"),
    ],
)  # fmt: skip
def test_month_arithmetic_counts_from_the_anchor(store: Store, anchor: str, months: int, wanted: str) -> None:
    from cssync.rules.dialect import SQLITE

    assert add_months(date.fromisoformat(anchor), months).isoformat() == wanted
    sql = SQLITE.add_months(f"'{anchor}'", f"({months})")
    assert store.query(f"SELECT {sql}")[0][0] == wanted


def test_today_is_a_day_in_the_business_time_zone() -> None:
    assert local_date(datetime(2026, 11, 21, 20, 30, tzinfo=UTC), TOKYO) == date(2026, 11, 22)


@pytest.mark.parametrize(("x", "wanted"), [(18, 47.83), (5, 0), (35, 100)])
def test_linear_measures(x: float, wanted: float) -> None:
    assert curve_value([(7, 0), (30, 100)], x) == pytest.approx(wanted, abs=5e-3)


def test_an_inverted_measure() -> None:
    assert curve_value([(0, 100), (8, 0)], 3) == 62.5


@pytest.mark.parametrize(
    ("instant", "zone", "wanted"),
    [
        ("2026-11-14T14:59:59.999999Z", "Asia/Tokyo", "2026-11-14"),
        ("2026-11-14T15:00:00Z", "Asia/Tokyo", "2026-11-15"),
        ("2026-10-24T22:30:00Z", "Europe/Zurich", "2026-10-25"),
        ("2026-10-25T22:30:00Z", "Europe/Zurich", "2026-10-25"),
        ("2026-10-25T23:00:00Z", "Europe/Zurich", "2026-10-26"),
        ("1999-01-01T23:30:00Z", "Europe/Zurich", "1999-01-02"),
    ],
)
def test_instants_are_read_as_days_of_the_business_time_zone(
    store: Store, instant: str, zone: str, wanted: str
) -> None:
    from cssync.rules.calendar import offsets
    from cssync.rules.dialect import SQLITE

    sql = SQLITE.local_day(f"'{instant}'", offsets(ZoneInfo(zone), 2027))
    assert store.query(f"SELECT {sql}")[0][0] == wanted


TABLE = {
    "usage_growth": (20, 60), "seat_utilisation": (15, 84), "feature_breadth": (10, 70), "login_recency": (10, 100),
    "ticket_load": (10, 40), "resolution_time": (5, 80), "csat": (10, None), "nps": (5, None), "engagement": (10, 50),
    "payment": (5, 100),
}  # fmt: skip


def scored(values: Mapping[str, int | None], skip: tuple[str, ...] = ()) -> Any:
    measures = "".join(
        f"    {n}: {{weight: {w}, applies: seats > {999 if n in skip else 0}, "
        f"curve: {{of: {n}_given, at: {{0: 0, 100: 100}}}}}}\n"
        for n, (w, _) in TABLE.items()
    )
    features = "".join(f"  {n}_given: {{count: tickets}}\n" for n in TABLE)
    text = f"pack: p\nfeatures:\n{features}score:\n  bands: {{red: 0, yellow: 50, green: 75}}\n  measures:\n{measures}"
    rules = read_rules([Source("p.yaml", text)])
    given = {f"{n}_given": v for n, v in values.items()}
    context = context_for_test()
    outcome = judge(rules.packs[0], rules.features, context, {}, given={"seats": 50, **given})
    assert rules.packs[0].score is not None
    return outcome, lost_points(outcome.weights, outcome.measures)


def context_for_test() -> Any:
    from cssync.rules.freshness import Context

    return Context(AS_OF)


BASE = {n: v for n, (_, v) in TABLE.items()}


@pytest.mark.parametrize(
    ("values", "skip", "exact", "score", "coverage"),
    [
        (BASE, (), "70.12", 70, 85),
        (BASE | {"csat": 90, "nps": 20}, (), "69.60", 70, 100),
        (BASE, ("seat_utilisation",), "67.14", 67, 82),
        ({n: BASE[n] if n in ("ticket_load", "resolution_time", "engagement", "payment") else None for n in BASE}, (),
         "60.00", None, 30),
    ],
)  # fmt: skip
def test_score_and_coverage(
    values: dict[str, int | None], skip: tuple[str, ...], exact: str, score: int | None, coverage: int
) -> None:
    outcome, lost = scored(values, skip)
    assert f"{float(100 - sum((x.points for x in lost), Fraction(0))):.2f}" == exact
    assert (outcome.score, outcome.coverage) == (score, coverage)
    assert outcome.band == ("unknown" if score is None else "yellow")


def test_lost_points_add_up_to_what_the_score_lacks() -> None:
    _, lost = scored(BASE)
    assert {x.measure: f"{float(x.points):.2f}" for x in lost if x.points} == {
        "usage_growth": "9.41", "ticket_load": "7.06", "engagement": "5.88", "feature_breadth": "3.53",
        "seat_utilisation": "2.82", "resolution_time": "1.18",
    }  # fmt: skip
    assert sum((x.points for x in lost), Fraction(0)) == 100 - Fraction(5960, 85)


def test_the_order_of_measures_and_the_scale_of_weights_change_nothing() -> None:
    text = "pack: p\nscore:\n  bands: {{red: 0, yellow: 50, green: 75}}\n  measures:\n{}"
    lines = [
        f"    {n}: {{{{weight: {{}}, curve: {{{{of: {n}, at: {{{{0: 0, 100: 100}}}}}}}}}}}}\n"
        for n in ("seats", "term_days", "weeks_left_out")
    ]
    given = {"seats": 33, "term_days": 57, "weeks_left_out": 99}
    answers = set()
    for scale, order in ((1, lines), (7, lines[::-1])):
        weights = {"seats": 3 * scale, "term_days": 5 * scale, "weeks_left_out": 11 * scale}
        body = "".join(x.format(weights[x.split(":")[0].strip()]) for x in order)
        rules = read_rules([Source("p.yaml", text.format(body))])
        answers.add(judge(rules.packs[0], rules.features, context_for_test(), {}, given=given).score)
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("anchor", "before", "wanted"),
    [
        ("2027-04-01", 120, "2026-12-02"), ("2027-04-01", 90, "2026-12-28"), ("2027-04-01", 60, "2027-01-29"),
        ("2027-04-01", 30, "2027-03-02"), ("2027-03-01", 120, "2026-10-30"), ("2027-03-01", 60, "2026-12-28"),
    ],
)  # fmt: skip
def test_milestones_move_to_the_business_day_before(anchor: str, before: int, wanted: str) -> None:
    day = date.fromisoformat(anchor) - timedelta(days=before)
    calendar = Calendar(None, NEW_YEAR)
    rule = Expr("date-", "date")
    assert due_date(rule, day, date(2026, 10, 1), calendar).isoformat() == wanted


def test_a_task_discovered_late_leaves_two_business_days() -> None:
    late = due_date(Expr("date-", "date"), date(2026, 11, 5), date(2026, 11, 20), Calendar())
    assert late == date(2026, 11, 24)


@pytest.mark.parametrize(("end", "same"), [("2027-05-15", True), ("2028-03-31", False)])
def test_an_end_date_that_moves_by_less_than_half_a_term_is_the_same_event(end: str, same: bool) -> None:
    before = {"renewal_contracts": "crm:1", "term_end": "2027-03-31", "term_days": 365}
    assert same_event(before, {**before, "term_end": end}) is same
