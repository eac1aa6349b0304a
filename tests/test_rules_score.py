"""Scores over time, as domain.md section 5 says: hysteresis, models, holding, overrides, trends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.store.sqlite import Store
from score_world import LATE, SCORE, World, rules


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "x.db") as opened:
        yield opened


def bands(found: list[dict[str, Any]]) -> list[str]:
    return [r["band"] for r in found]


# --- hysteresis (5.4) -------------------------------------------------------------------------------------------------

FOLLOW = SCORE + "  hysteresis: {margin: 3, confirm: 3d}\n"
SERIES = (78, 76, 74, 76, 74, 74, 74, 71, 76, 78, 49, 46, 20)
WANTED = [
    "green",
    "green",
    "green",
    "green",
    "green",
    "green",
    "yellow",
    "yellow",
    "yellow",
    "green",
    "yellow",
    "red",
    "red",
]


def test_a_band_follows_its_score_with_hysteresis(store: Store) -> None:
    assert bands(World(store, FOLLOW).walk(SERIES)) == WANTED


def test_without_hysteresis_a_band_is_where_its_score_is(store: Store) -> None:
    assert bands(World(store).walk((75, 74, 75, 49, 50))) == ["green", "yellow", "green", "red", "yellow"]


def test_days_without_a_score_freeze_the_band_and_its_counter(store: Store) -> None:
    world = World(store, FOLLOW)
    found = world.walk((78, 74, 74, None, None, 74))
    assert bands(found) == ["green", "green", "green", "unknown", "unknown", "yellow"]
    assert world.rows("SELECT band, green_days FROM score_state WHERE until IS NULL") == [("yellow", 0)]


def test_the_last_evaluation_of_a_day_counts(store: Store) -> None:
    world = World(store, FOLLOW)
    world.walk((78, 74, 74))
    world.answer(74)
    assert world.run(3, 1)["band"] == "yellow"
    before = world.rows("SELECT * FROM score_state")
    world.answer(76)
    assert world.run(3, 2)["band"] == "green"
    assert world.run(3, 3)["band"] == "green"
    world.answer(74)
    world.run(3, 4)
    assert [r[:-1] for r in world.rows("SELECT * FROM score_state")] == [r[:-1] for r in before]


def test_a_cap_skips_the_hysteresis_and_leaves_no_trace(store: Store) -> None:
    world = World(store, FOLLOW + "  caps: [{at_most: 49, when: open > 0, because: open}]\n")
    world.walk((78, 76))
    world.put("ticket", "a", "t", status="open", opened_at="2026-10-01T00:00:00Z")
    assert {k: world.run(2)[k] for k in ("score", "band")} == {"score": 49, "band": "red"}
    world.put("ticket", "a", "t", status="solved", opened_at="2026-10-01T00:00:00Z")
    assert world.run(3)["band"] == "green"


# --- trend (5.6) ------------------------------------------------------------------------------------------------------

TREND = SCORE + "  trend: {window: 7d, before: 30d, improving: 5, declining: -5}\n"


def test_a_trend_compares_medians(store: Store) -> None:
    world = World(store, TREND)
    found = world.walk([72, 70, 74, 72, 90, 10, 72, *[65] * 23, 60, 61, 59, 60, 100, 0, 60])
    assert [found[-1][n] for n in ("trend", "trend_points")] == ["declining", -12]
    assert [found[day]["trend"] for day in (30, 31, 32)] == ["unknown", "unknown", "declining"]
    trend = world.explained(36).trend
    assert (trend.recent, trend.before, trend.recent_days, trend.before_days) == (60, 72, 7, 7)
    assert "Declining, 72 30 days ago." in found[-1]["reasons"]


@pytest.mark.parametrize(("now", "trend"), [(77, "improving"), (76, "stable"), (68, "stable"), (67, "declining")])
def test_the_bounds_of_a_trend_are_inclusive(store: Store, now: int, trend: str) -> None:
    assert World(store, TREND).walk([72] * 30 + [now] * 7)[-1]["trend"] == trend


def test_a_trend_needs_three_days_in_each_window(store: Store) -> None:
    world = World(store, TREND)
    for day in (0, 1, 34, 35, 36):
        world.answer(80 - day)
        found = world.run(day)
    assert found["trend"] == "unknown"
    for day in (37, 38, 39):
        world.run(day)
    assert world.results()["trend"] == "unknown"


def test_an_edit_of_the_rules_never_looks_like_customer_behaviour(store: Store) -> None:
    world = World(store, TREND)
    world.walk([60] * 36)
    world.edit(TREND.replace("100: 100", "100: 50"))
    found = world.walk([60], 36)[-1]
    assert (found["score"], found["trend"], found["trend_points"]) == (30, "stable", 0)
    assert len(world.rows("SELECT * FROM score_restated")) == 13
    world.walk([60], 37)
    assert len(world.rows("SELECT * FROM score_restated WHERE score = 30")) == 13


def test_days_that_cannot_be_judged_again_do_not_count(store: Store) -> None:
    world = World(store, TREND)
    world.walk([60] * 36)
    world.edit(TREND.replace("last: surveys", "max: surveys"))
    assert world.walk([60], 36)[-1]["trend"] == "unknown"
    assert world.explained(36).trend.why == "n/a (model changed)"


def test_texts_and_other_packs_change_no_version_of_a_score(store: Store) -> None:
    world = World(store, TREND)
    world.walk([60] * 36)
    world.edit(TREND.replace("weight: 1,", "weight: 1, label: answers,").replace("yellow: 50", "yellow: 55"))
    assert world.walk([60], 36)[-1]["trend"] == "stable"
    assert world.rows("SELECT * FROM score_restated") == []


# --- models (5.7) -----------------------------------------------------------------------------------------------------

MODELS = """
pack: health
features: {x: {last: surveys.score}, open: {count: tickets, where: status = 'open'}}
score:
  bands: {red: 0, yellow: 50, green: 75}
  measures:
    x: {weight: 10, curve: {of: x, at: {0: 0, 100: 100}}}
    load: {weight: 10, curve: {of: open, at: {0: 100, 10: 0}}}
    extra: {weight: 0, curve: {of: open, at: {0: 20, 1: 20}}}
  models:
    onboarding:
      when: days_since(first_contract_date) < 90
      weights: {load: 0, extra: 30}
      bands: {red: 0, yellow: 30, green: 40}
    strict: {when: segment = 'enterprise', coverage: 100%}
"""


def test_the_first_model_that_is_true_judges(store: Store) -> None:
    world = World(store, MODELS, accounts=("a", "b", "c", "d"))
    world.account("a", first_contract_date="2026-09-01")
    world.account("b", first_contract_date="2026-07-03", segment="enterprise")
    world.account("d", segment="enterprise", first_contract_date="2026-07-04")
    for uid in "abcd":
        world.answer(80, uid)
    world.run(0)
    found = {uid: (r["model"], r["score"], r["band"]) for uid in "abcd" if (r := world.results(uid))}
    # 10 x 80 + 30 x 20 over 40 is 35; 10 x 80 + 10 x 100 over 20 is 90; 1 July + 90 days is 1 October
    assert found == {
        "a": ("onboarding", 35, "yellow"),
        "b": ("strict", 90, "green"),
        "c": ("standard", 90, "green"),
        "d": ("onboarding", 35, "yellow"),
    }
    world.answer(None, "b")
    world.answer(None, "c")
    world.run(1)
    assert (world.results("b")["score"], world.results("c")["score"]) == (None, 100)


def test_a_change_of_model_is_no_trend(store: Store) -> None:
    world = World(store, MODELS + "  trend: {window: 7d, before: 30d, improving: 5, declining: -5}\n")
    world.account("a", segment="smb", first_contract_date="2026-08-07")  # 90 days on 5 November, day 35
    found = world.walk([80] * 37)
    assert [found[day]["model"] for day in (34, 35)] == ["onboarding", "standard"]
    assert [found[day]["score"] for day in (34, 35)] == [35, 90]
    assert (found[36]["trend"], found[36]["trend_points"]) == ("stable", 0)


def test_a_measure_without_weight_is_shown_and_not_counted(store: Store) -> None:
    world = World(store, MODELS)
    world.walk([80])
    lines = {m.name: m for m in world.explained(0).measures}
    assert (lines["extra"].value, lines["extra"].weight, lines["extra"].lost) == (20, 0, None)
    assert world.results()["coverage"] == 100


# --- holding (5.2) ----------------------------------------------------------------------------------------------------

HOLD = MODELS.replace("x: {weight: 10,", "x: {weight: 10, missing: hold 7d,").replace("coverage: 100%", "coverage: 60%")


def test_a_stale_measure_keeps_its_value_for_its_days(store: Store) -> None:
    world = World(store, HOLD)
    world.account("a", segment="enterprise")  # half of the weight is not enough there
    world.walk([60])
    seen = []
    for day in range(1, 13):
        world.answer(60 if day < 3 else 10)  # what a stale source says is not looked at
        found = world.run(day, fresh=LATE)
        seen.append((found["score"], found["data_status"]))
    # answers may be 2 days old: stale from the third on, held for 7 days; then the CRM keeps the score
    assert seen == [(80, "ok")] * 2 + [(80, "partial")] * 7 + [(80, "stale")] * 3


def test_what_is_held_is_named(store: Store) -> None:
    world = World(store, HOLD)
    world.walk([60])
    found = world.run(4, fresh=LATE)
    line = next(m for m in world.explained(4).measures if m.name == "x")
    assert (line.value, line.state) == (60, "held")
    assert "Last known values, source is stale: x." in found["reasons"]
    states = world.rows("SELECT states FROM feature_row ORDER BY as_of DESC LIMIT 1")[0][0]
    assert '"measure.x":"held: survey_response was last complete on 2026-10-01"' in states


def test_a_measure_that_never_had_a_value_is_not_held(store: Store) -> None:
    world = World(store, HOLD)
    world.walk([None])
    found = world.run(4, fresh=LATE)
    assert (found["score"], found["data_status"]) == (100, "partial")
    assert next(m for m in world.explained(4).measures if m.name == "x").state == "stale"


def test_the_score_of_a_stale_source_turns_unknown_after_thirty_days(store: Store) -> None:
    world = World(store)
    world.walk([60])
    for day, band, state in ((3, "yellow", "stale"), (30, "yellow", "stale"), (31, "unknown", "unknown")):
        found = world.run(day, fresh=LATE)
        assert (found["band"], world.states()["score"], found["data_status"]) == (band, state, "stale")


# --- override (5.5) ---------------------------------------------------------------------------------------------------

BY_HAND = SCORE + "  override: {band: override_band, reason: override_reason, until: override_until}\n"


def test_a_band_set_by_hand_holds_until_its_end(store: Store) -> None:
    world = World(store, BY_HAND)
    world.walk([20])
    world.account("a", override_band="green", override_reason="new sponsor.", override_until="2026-10-04")
    found = world.run(1)
    assert (found["band"], found["computed_band"], found["score"]) == ("green", "red", 20)
    told = "Band set to green by hand until 2026-10-04: new sponsor (computed red)."
    assert found["reasons"].startswith(told + " 20 (red).")
    assert world.explained(1).override == told
    assert [world.run(day)["band"] for day in (2, 3, 4)] == ["green", "green", "red"]


@pytest.mark.parametrize("until", ["2027-06-01", None])
def test_an_override_ends_after_thirty_days_at_the_latest(store: Store, until: str | None) -> None:
    world = World(store, BY_HAND)
    world.walk([20])
    world.account("a", override_band="green", override_until=until)
    assert [world.run(day)["band"] for day in (1, 15, 31, 32)] == ["green", "green", "green", "red"]
    world.account("a", override_until="2026-11-20")  # set anew
    assert world.run(33)["band"] == "green"


def test_an_override_speaks_the_language_of_the_workspace(store: Store) -> None:
    world = World(store, BY_HAND, locale="ja")
    world.account("a", override_band="green", override_reason="新任", override_until="2026-10-20")
    found = world.walk([20])[0]
    assert found["reasons"].startswith("2026-10-20まで手動で「緑」に設定: 新任(算出値は赤)。20点(赤)。")


def test_an_override_stands_in_for_a_score_that_is_not_known(store: Store) -> None:
    world = World(store, BY_HAND)
    world.account("a", override_band="yellow")
    found = world.walk([None])[0]
    assert (found["score"], found["band"], found["computed_band"]) == (None, "yellow", "unknown")


def test_what_other_packs_say_is_taken_as_it_is_today(store: Store) -> None:
    other = "pack: early\nresults: {word: {options: [big, small], first: [big if open > 0, small otherwise]}}\n"
    text = TREND.replace("weight: 1,", "weight: 1, applies: early.word = 'small',").replace("measures: {", "measures: {"
        "load: {weight: 1, curve: {of: open, at: {0: 90, 10: 0}}}, ")  # fmt: skip
    world = World(store)
    world.rules = rules(other, text)
    world.walk([60] * 36)
    world.rules = rules(other, text.replace("0: 90", "0: 80"))
    found = world.walk([60], 36)[-1]
    assert (found["score"], found["trend"], found["trend_points"]) == (70, "stable", 0)
