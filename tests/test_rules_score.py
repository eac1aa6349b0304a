"""Scores over time, as domain.md section 5 says: hysteresis, models, holding, overrides, trends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.store.sqlite import Store
from score_world import SCORE, STREAMS, World

LATE = tuple(s for s in STREAMS if s != "survey_response")
"""Everything but the answers is read on."""


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
