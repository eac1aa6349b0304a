"""The standard packs: their own tests, and the vectors of the domain model on a real store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Workspace
from cssync.rules import RuleSet, evaluate, explain, load_folders, written_fields
from cssync.rules.calendar import Calendar, add_months, local_date
from cssync.rules.compiler import compile_pack
from cssync.rules.evaluate import context_for
from cssync.rules.events import same_event
from cssync.rules.facts import GROUPS
from cssync.rules.faults import Source
from cssync.rules.interpreter import curve_value, judge
from cssync.rules.packs import read_rules
from cssync.rules.packtests import CaseReport, run_tests
from cssync.rules.tasks import due_date
from cssync.rules.texts import language, lost_points
from cssync.rules.tree import Expr
from cssync.rules.volume import Series
from cssync.store.sqlite import Store

RULES = load_folders([("standard", files("cssync_rules"))])
REPORTS = list(run_tests(RULES))
TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YEAR = frozenset({"12-29", "12-30", "12-31", "01-01", "01-02", "01-03"})
AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
ENTITIES = ("ticket", "contract", "contract_line", "usage_metric", "contact", "opportunity", "survey_response")


@pytest.mark.parametrize("report", REPORTS, ids=lambda r: f"{r.pack}: {r.name}")
def test_the_packs_own_tests(report: CaseReport) -> None:
    assert report.differences == ()


RULE_IDS = [f"{letter}{n:02}" for letter, last in (("H", 12), ("R", 11), ("U", 10), ("O", 7), ("K", 9))
            for n in range(1, last + 1)]  # fmt: skip


@pytest.mark.parametrize("rule", RULE_IDS)
def test_every_rule_of_the_catalogue_has_tests_of_its_boundary_and_of_stale_data(rule: str) -> None:
    own = [f"{t.name} {' '.join(t.stale)}" for p in RULES.packs for t in p.tests if rule in t.name.split()]
    assert len(own) >= 3
    assert any(name.count("stale") for name in own)


def test_every_text_is_there_in_english_and_japanese() -> None:
    for pack in RULES.packs:
        texts = [t for task in pack.tasks for t in (task.title, task.body)] + [s.because for s in pack.signals]
        texts += [m.because for m in pack.score.measures] + [c.because for c in pack.score.caps] if pack.score else []
        assert all(set(t) == {"en", "ja"} for t in texts)


def test_written_fields_name_every_result_and_their_options() -> None:
    fields = written_fields(RULES)
    assert fields["health.score"].type == "integer"
    assert fields["health.band"].options == ("green", "yellow", "red", "unknown")
    assert fields["risk.flags"].type == "multi"
    assert fields["risk.flags"].options == tuple(f"K{n:02}" for n in range(1, 10))
    assert fields["renewal.arr"].type == "money"
    assert fields["renewal.risk"].options == ("none", "low", "medium", "high", "notice", "lapsed")
    assert fields["renewal.date"].name == "cs_renewal_date"


def test_every_row_of_the_written_field_dictionary_has_a_result_and_is_offered_by_a_new_configuration() -> None:
    from cssync.cli.init import TEMPLATE

    wanted = {
        *(f"cs_health_{n}" for n in ("score", "band", "trend_30d", "reasons", "coverage", "data_status", "as_of")),
        *("cs_renewal_date", "cs_notice_deadline", "cs_renewal_risk", "cs_renewal_forecast", "cs_arr_at_risk"),
        *("cs_arr", "cs_touch_tier", "cs_upsell_signal", "cs_upsell_arr_potential", "cs_onboarding_stage"),
        *("cs_onboarding_risk", "cs_first_value_date", "cs_risk_flags"),
    }
    named = {field.name: result for result, field in written_fields(RULES).items()}
    assert wanted <= set(named)
    assert all(f"{name}: {named[name]}" in TEMPLATE for name in wanted)


# --- domain.md 1, 5: dates, curves, scores ----------------------------------------------------------------------------


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


# --- on a store -------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "x.db") as opened:
        with opened.transaction() as conn:
            conn.execute("INSERT INTO account (uid, name, status, csm_uid) VALUES ('a', 'Acme', 'active', 'u')")
            conn.executemany("INSERT INTO source_feed VALUES ('crm', ?, ?)", [(e, e) for e in ENTITIES])
            conn.executemany(
                "INSERT INTO source_state (connection, stream, last_success_at, outcome) VALUES ('crm', ?, ?, 'ok')",
                [(e, "2026-11-20T02:00:00Z") for e in ENTITIES],
            )
        yield opened


def workspace(store: Store, **more: Any) -> Workspace:
    return Workspace("t", store.path, TOKYO, "JPY", store.path, {}, **more)


def put(store: Store, entity: str, *rows: dict[str, Any], known_at: str = "2026-11-20T02:00:00Z") -> None:
    with store.transaction() as conn:
        keyed = [{"source_id": f"{entity}-{n}", **row} for n, row in enumerate(rows)]
        store.upsert(conn, entity, "crm", keyed, known_at)
        conn.execute(f"UPDATE {entity} SET account_uid = 'a'")


def succeed(store: Store, at: str, *streams: str) -> None:
    with store.transaction() as conn:
        conn.executemany(
            "UPDATE source_state SET last_success_at = ? WHERE stream = ?", [(at, s) for s in streams or ENTITIES]
        )


def facts(store: Store, as_of: datetime = AS_OF, **more: Any) -> dict[str, Any]:
    from cssync.rules.catalogue import FACTS

    pack = RULES.packs[0]
    ws = workspace(store, **more)
    statement = compile_pack(pack, RULES.features, context_for(store, ws, pack, as_of), also=tuple(FACTS))
    row = store.query(statement.sql)[0]
    return {n: row[f"f_{n}"] for n in FACTS}


def weeks(values: list[float | None]) -> list[dict[str, Any]]:
    """Weekly values, oldest first, the last one of the week before 2026-11-16; None is an outage."""
    start = date(2026, 11, 16) - timedelta(weeks=len(values))
    return [
        {"metric": "active_users", "grain": "week", "period_start": (start + timedelta(weeks=n)).isoformat(),
         "value": value or 0.0, "is_complete": 0 if value is None else 1}
        for n, value in enumerate(values)
    ]  # fmt: skip


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


DAYS = [date(2026, 11, 19) - timedelta(days=n) for n in range(84)]


def feed(store: Store, volume: dict[str, float], days: list[date] = DAYS, accounts: str = "abcde") -> None:
    """Daily users of five accounts, 20 each; `volume` gives the share of a day."""
    rows = [
        {"source_id": f"{a}{d}", "metric": "active_users", "grain": "day", "period_start": d.isoformat(),
         "value": 20 * volume.get(d.isoformat(), 1)} for a in accounts for d in days
    ]  # fmt: skip
    put(store, "usage_metric", *rows)
    with store.transaction() as conn:
        conn.execute("UPDATE usage_metric SET account_uid = substr(source_id, 1, 1)")


def test_a_day_below_half_of_its_weekdays_is_incomplete() -> None:
    day = date(2026, 11, 18)
    usual = {day - timedelta(weeks=n + 1): (v, 9) for n, v in enumerate((10050.0, 9980.0, 10210.0, 9900.0))}
    for volume, gaps in ((4100.0, [day]), (5007.4, [day]), (5007.5, []), (0.0, [day])):
        found = Series("crm", "logins", False, {**usual, day: (volume, 9)}).gaps(date(2026, 11, 19), Calendar())
        assert list(found) == [d for d in gaps if d == day]


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


def run(store: Store, as_of: datetime = AS_OF, rules: RuleSet = RULES, **more: Any) -> Any:
    return evaluate(store, rules, workspace(store, **more), as_of, run_id="r")


def results(store: Store) -> dict[str, tuple[Any, str]]:
    import json

    rows = store.query("SELECT name, value, state FROM result WHERE account_uid = 'a'")
    return {r["name"]: (json.loads(r["value"]), r["state"]) for r in rows}


def tasks(store: Store) -> list[tuple[str, str, str]]:
    return [(r["rule"], r["status"], r["due_on"]) for r in
            store.query("SELECT * FROM task WHERE pack <> 'upsell' ORDER BY created_at, rule")]  # fmt: skip


def contract(store: Store, **more: Any) -> None:
    put(store, "contract", {"start_date": "2026-04-01", "end_date": "2027-02-25", "term_months": 12, **more})
    put(store, "contract_line", {"contract_source_id": "contract-0", "amount": 1200050, "currency": "USD",
                                 "quantity": 10, "unit": "seat"})  # fmt: skip


def healthy(store: Store) -> None:
    contract(store)
    put(store, "usage_metric", *weeks([10] * 12), {"source_id": "d", "metric": "active_users", "grain": "day",
                                                   "period_start": "2026-11-19", "value": 10})  # fmt: skip


def test_the_same_instant_twice_writes_nothing_and_money_is_in_major_units(store: Store) -> None:
    healthy(store)
    first = run(store)
    assert first.changed > 10
    found = results(store)
    assert found["health.score"] == (96, "ok")
    assert found["health.as_of"] == ("2026-11-20", "ok")
    assert found["renewal.arr"] == (12000.5, "ok")
    with store.transaction() as conn:
        rows = [tuple(map(tuple, conn.execute(f"SELECT * FROM {t} ORDER BY 1, 2, 3")))
                for t in ("result", "signal", "task", "feature_row", "result_history")]  # fmt: skip
    again = run(store)
    assert again.changed == 0
    with store.transaction() as conn:
        assert rows == [tuple(map(tuple, conn.execute(f"SELECT * FROM {t} ORDER BY 1, 2, 3")))
                        for t in ("result", "signal", "task", "feature_row", "result_history")]  # fmt: skip


def test_a_stale_source_keeps_its_measures_a_week_the_score_thirty_days_and_ends_no_signal(store: Store) -> None:
    healthy(store)
    put(store, "ticket", {"status": "open", "priority": "urgent", "opened_at": "2026-11-10T00:00:00Z"})
    run(store)
    assert results(store)["risk.flags"] == (["K03"], "ok")
    score = results(store)["health.score"][0]
    run(store, AS_OF + timedelta(days=6))
    found = results(store)
    assert (found["health.score"], found["health.data_status"]) == ((score, "ok"), ("partial", "ok"))
    report = run(store, AS_OF + timedelta(days=11))
    found = results(store)
    assert found["health.score"] == (score, "stale")
    assert found["health.band"][1] == "stale"
    assert found["health.data_status"] == ("stale", "ok")
    assert found["risk.flags"] == (["K03"], "ok")
    assert "ticket" in report.stale
    run(store, AS_OF + timedelta(days=33))
    assert results(store)["health.score"] == (None, "unknown")
    assert results(store)["health.band"] == ("unknown", "unknown")


def test_a_former_value_goes_to_history(store: Store) -> None:
    healthy(store)
    run(store)
    put(store, "ticket", *({"status": "open", "opened_at": "2026-11-18T00:00:00Z"} for _ in range(8)))
    run(store, AS_OF + timedelta(hours=1))
    rows = store.query("SELECT value, since, until FROM result_history WHERE name = 'health.score'")
    assert [tuple(r) for r in rows] == [("96", "2026-11-20T03:00:00Z", "2026-11-20T04:00:00Z")]


def test_test_and_deleted_accounts_are_left_out_and_leave_nothing_behind(store: Store) -> None:
    healthy(store)
    run(store, AS_OF + timedelta(days=1))
    assert [t[:2] for t in tasks(store)] == [("R03", "open")]
    with store.transaction() as conn:
        conn.execute("UPDATE account SET is_test = 1")
    run(store, AS_OF + timedelta(days=1, hours=1))
    assert results(store) == {}
    assert [t[:2] for t in tasks(store)] == [("R03", "closed")]


def test_a_renewal_task_is_raised_once_moves_with_its_date_and_closes_when_renewed(store: Store) -> None:
    healthy(store)
    for day in range(1, 6):
        succeed(store, (AS_OF + timedelta(days=day)).isoformat().replace("+00:00", "Z"))
        run(store, AS_OF + timedelta(days=day))
    assert tasks(store) == [("R03", "open", "2026-11-27")]
    key = store.query("SELECT key FROM task")[0]["key"]
    put(
        store,
        "contract",
        {"start_date": "2026-04-01", "end_date": "2027-02-28", "term_months": 12},
        known_at="2026-11-26T00:00:00Z",
    )
    run(store, AS_OF + timedelta(days=6))
    assert tasks(store) == [("R03", "open", "2026-12-01")]
    put(
        store,
        "contract",
        {"start_date": "2026-04-01", "end_date": "2028-02-28", "term_months": 12},
        known_at="2026-11-27T00:00:00Z",
    )
    succeed(store, "2026-11-27T00:00:00Z")
    run(store, AS_OF + timedelta(days=7))
    assert [t[:2] for t in tasks(store)] == [("R03", "closed")]
    assert results(store)["renewal.renewal_event"] == (2, "ok")
    assert store.query("SELECT key FROM task")[0]["key"] == key


def test_a_task_closed_by_a_person_is_not_raised_again_in_its_term(store: Store) -> None:
    healthy(store)
    run(store, AS_OF + timedelta(days=1))
    key = store.query("SELECT key FROM task")[0]["key"]
    put(store, "crm_task", {"task_key": key, "status": "done"})
    run(store, AS_OF + timedelta(days=1, hours=1))
    run(store, AS_OF + timedelta(days=2))
    assert [t[:2] for t in tasks(store)] == [("R03", "done")]


def test_an_episode_ends_on_fresh_data_and_a_new_one_gets_a_new_task(store: Store) -> None:
    run(store)
    assert [t[:2] for t in tasks(store)] == [("R08", "open")]
    contract(store, end_date="2027-10-31")
    run(store, AS_OF + timedelta(hours=1))
    assert [t[:2] for t in tasks(store)] == [("R08", "closed")]
    with store.transaction() as conn:
        store.tombstone(conn, "contract", "crm", ["contract-0"], "2026-11-20T05:00:00Z")
    run(store, AS_OF + timedelta(hours=2))
    assert [t[:2] for t in tasks(store)] == [("R08", "closed"), ("R08", "open")]
    assert len({r["key"] for r in store.query("SELECT key FROM task")}) == 2


def test_missing_contract_data_is_named_as_unknown_and_the_end_date_as_what_it_is(store: Store) -> None:
    put(store, "contract", {"start_date": "2026-04-01"})
    put(store, "contract_line", {"contract_source_id": "contract-0", "quantity": 180, "unit": "seat"})
    run(store)
    assert store.query("SELECT body FROM task")[0]["body"].startswith("End date: unknown. ARR: unknown. Without both")
    put(store, "contract", {"start_date": "2026-04-01", "end_date": "2027-08-31"})
    run(store, AS_OF + timedelta(hours=1))
    bodies = [t["body"] for t in store.query("SELECT body FROM task WHERE rule = 'R08' AND status = 'open'")]
    assert all(body.startswith("End date: 2027-08-31. ARR: unknown.") for body in bodies)
    assert bodies


def test_reasons_are_in_the_language_of_the_workspace_and_stand_still_with_the_day(store: Store) -> None:
    healthy(store)
    run(store, locale="ja-JP")
    text = results(store)["health.reasons"][0]
    assert text.startswith("96点(緑)。")
    assert text.endswith("cssyncが作成。データ時点 2026-11-20。")
    succeed(store, "2026-11-21T02:00:00Z")
    run(store, AS_OF + timedelta(days=1), locale="ja-JP")
    assert results(store)["health.reasons"][0] == text
    assert results(store)["health.as_of"][0] == "2026-11-20"
    assert language("de-CH") == "en"


def test_explain_adds_up_and_names_state_and_source_of_every_input(store: Store) -> None:
    healthy(store)
    put(store, "ticket", *({"status": "open", "opened_at": "2026-11-18T00:00:00Z"} for _ in range(3)))
    with store.transaction() as conn:
        conn.execute("UPDATE contract SET source_url = 'https://crm.example/' || source_id")
        conn.execute("UPDATE ticket SET source_url = 'https://desk.example/' || source_id")
    run(store)
    found = explain(store, RULES, workspace(store), "a", AS_OF)
    health = found.pack("health")
    assert health is not None
    assert health.exact_score is not None
    assert sum((m.lost for m in health.measures if m.lost), Fraction(0)) == 100 - health.exact_score
    assert {m.name: m.state for m in health.measures}["payment"] == "missing"
    inputs = {i.name: i for i in health.inputs}
    assert (inputs["tickets_30d"].value, inputs["tickets_30d"].source, inputs["tickets_30d"].age_days) == (
        3,
        ("tickets",),
        0,
    )
    assert inputs["overdue_days"].reason == "missing: no source for invoice"
    assert inputs["notice_given"].record == "https://crm.example/contract-0"
    assert inputs["tickets_30d"].record is None
    assert health.score == results(store)["health.score"][0]


def test_explain_shows_how_old_the_usage_behind_an_input_is(store: Store) -> None:
    from cssync.views.explain import explain_document, explain_lines

    contract(store)
    feed(store, {}, DAYS[1:])
    run(store)
    found = explain(store, RULES, workspace(store), "a", AS_OF)
    health = found.pack("health")
    assert health is not None
    last = next(i for i in health.inputs if i.name == "last_active_on")
    assert (last.value, last.as_of, last.age_days) == (date(2026, 11, 18), "2026-11-18T14:59:59+00:00", 2)
    shown = "\n".join(explain_lines(explain_document(store, "a", AS_OF, found), TOKYO))
    assert "active_users_28d: 20 (from usage, 2 d old)" in shown or "idle_days: 2 (from usage, 2 d old)" in shown
    assert "(from contracts, lines, of today)" in shown


def test_an_earlier_as_of_never_touches_current_results(store: Store) -> None:
    from cssync.errors import ConfigError

    run(store)
    with pytest.raises(ConfigError, match="lies before"):
        run(store, AS_OF - timedelta(days=1))


def test_every_group_of_facts_is_built_for_a_whole_evaluation() -> None:
    assert set(GROUPS) == {"terms", "lines", "usage", "weeks", "deals", "contact", "burn", "ends", "peers"}


def test_an_unknown_score_reads_as_unknown_in_japanese() -> None:
    """A renewal task comes for accounts without a score, too: 不明点 would read as open questions."""
    renewal = next(p for p in RULES.packs if p.name == "renewal")
    told = [text["ja"] for task in renewal.tasks for text in (task.title, task.body)]
    assert len(told) > 10
    shown = ["".join(p if isinstance(p, str) else "不明" for p in text.parts) for text in told]
    assert not [text for text in shown if "不明点" in text]
