"""Scores of groups of companies (domain.md 5.8)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from cssync.rules.rollup import Member, circles, families, roll_up
from cssync.store.sqlite import Store
from score_world import SCORE, World


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "x.db") as opened:
        yield opened


def member(uid: str, arr: int | None, score: int | None, band: str) -> Member:
    return Member(uid, None if arr is None else Fraction(arr), score, band)


THREE = (member("a", 80_000, 82, "green"), member("b", 15_000, 40, "red"), member("c", 5_000, None, "unknown"))


def test_a_group_is_weighed_by_arr() -> None:
    found = roll_up("arr_weighted", THREE)
    assert found.score is not None
    assert round(float(found.score), 2) == 75.37
    assert (found.coverage, found.worst, found.worst_uid) == (Fraction(95, 100), "red", "b")


def test_the_other_ways() -> None:
    assert roll_up("simple_mean", THREE).score == 61
    assert roll_up("worst", THREE).score == 40
    assert roll_up("worst", THREE).coverage == Fraction(2, 3)


def test_an_account_without_arr_adds_nothing_but_its_band() -> None:
    found = roll_up("arr_weighted", (member("a", 10, 80, "green"), member("b", None, 20, "red")))
    assert (found.score, found.coverage, found.worst) == (80, 1, "red")
    assert roll_up("arr_weighted", (member("b", None, 20, "red"),)).score is None
    assert roll_up("arr_weighted", (member("b", 5, None, "unknown"),)).coverage == 0


def test_circles_are_found_once_with_their_path() -> None:
    parents = {"a": "b", "b": "c", "c": "a", "d": "a", "e": "e", "f": "g"}
    assert list(circles(parents)) == [("a", "b", "c", "a"), ("e", "e")]
    assert families(parents, {"a", "b", "c", "e"}) == {"g": ["f"]}
    assert families({"a": "b", "b": "c"}, set()) == {"b": ["a"], "c": ["a", "b"]}


GROUP = SCORE + "  roll_up: arr_weighted\n"


def group(store: Store, *, text: str = GROUP) -> World:
    """A parent `p` without a contract over `b` (80,000 at 82), `c` (15,000 at 40), and under it `d` (5,000)."""
    world = World(store, text, accounts=("p", "b", "c", "d", "x"))
    for uid, above in (("b", "p"), ("c", "p"), ("d", "c")):
        world.account(uid, parent_uid=above)
    for uid, amount in (("b", 80_000), ("c", 15_000), ("d", 5_000)):
        world.put("contract", uid, uid, status="active", start_date="2026-01-01", end_date="2027-12-31")
        world.put("contract_line", uid, uid, contract_source_id=uid, amount=amount,
                  currency="JPY", start_date="2026-01-01", end_date="2027-12-31")  # fmt: skip
    world.answer(82, "b")
    world.answer(40, "c")
    return world


def rolled(world: World, uid: str) -> list[object]:
    found = world.results(uid)
    return [found.get(f"rollup_{n}") for n in ("score", "coverage", "worst_band")]


def test_parents_carry_the_roll_up_of_all_below(store: Store) -> None:
    world = group(store)
    world.run(0)
    assert rolled(world, "p") == [75.37, 95, "red"]
    assert rolled(world, "c") == [40, 75, "red"]  # its own 15,000 and the 5,000 below
    assert "rollup_score" not in world.results("x")
    why = world.rows("SELECT because FROM result WHERE account_uid = 'p' AND name = 'health.rollup_score'")
    assert why == [("Over 3 accounts, weighed by ARR; the worst is c (red).",)]


def test_an_account_that_is_no_parent_any_more_has_no_roll_up(store: Store) -> None:
    world = group(store)
    world.run(0)
    world.account("d", parent_uid=None)
    world.run(1)
    assert "rollup_score" not in world.results("c")
    assert world.rows("SELECT count(*) FROM result_history WHERE name = 'health.rollup_score'") == [(1,)]


def test_parents_in_a_circle_have_none_and_are_named(store: Store) -> None:
    world = group(store)
    world.account("p", parent_uid="d")
    report = world.judge(0)
    assert report.packs[0].circles == ("c -> p -> d -> c",)
    assert rolled(world, "p") == [None, None, "unknown"]
    why = world.rows("SELECT because FROM result WHERE account_uid = 'p' AND name = 'health.rollup_score'")
    assert why == [("the parents run in a circle: c -> p -> d -> c",)]


def test_a_currency_without_a_rate_fails_its_group_only(store: Store) -> None:
    world = group(store)
    with store.transaction() as conn:
        conn.execute("UPDATE contract_line SET currency = 'USD' WHERE source_id = 'b'")
    world.run(0)
    assert rolled(world, "p")[0] is None
    assert rolled(world, "c")[0] == 40


def test_a_family_is_looked_at_when_one_of_it_changes_within_a_day(store: Store) -> None:
    world = group(store)
    world.run(0)
    world.answer(100, "d")
    assert world.judge(0, 1).partly
    assert rolled(world, "p") == [76.6, 100, "red"]
    world.account("d", parent_uid=None)
    assert world.judge(0, 2).partly
    assert rolled(world, "p") == [75.37, 100, "red"]
    assert "rollup_score" not in world.results("c")
    assert rolled(world, "x") == [None] * 3
