"""The vectors of domain.md 5.9, and laws of the statistics behind a back-test."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.rules.prediction import auc, auc_interval, predict, wilson

VECTOR = {"red": (10, 6), "yellow": (30, 6), "green": (60, 3)}
CASES = [(band, None, k < churned) for band, (n, churned) in VECTOR.items() for k in range(n)]


def test_the_vector_of_the_domain_model() -> None:
    found = predict(CASES)
    assert (found.n, found.churned, found.base) == (100, 15, 0.15)
    assert (found.precision, found.recall, found.lift) == (0.6, 0.4, pytest.approx(4.0))
    assert found.green_churned == pytest.approx(0.20)
    assert found.auc == found.auc_bands == pytest.approx(0.782, abs=5e-4)
    assert [(b.band, b.n, b.churned) for b in found.bands] == [("red", 10, 6), ("yellow", 30, 6), ("green", 60, 3)]
    assert found.predicts
    assert not found.tunable


def test_wilson_of_one_in_five() -> None:
    low, high = wilson(1, 5) or (0, 0)
    assert (round(100 * low, 1), round(100 * high, 1)) == (3.6, 62.4)
    assert wilson(0, 0) is None


def test_nothing_is_said_of_nothing() -> None:
    found = predict([])
    assert (found.base, found.precision, found.recall, found.lift, found.auc, found.green_churned) == (None,) * 6
    assert not found.predicts
    assert predict([("red", 10, True), ("unknown", None, True)]).n == 1


def test_a_score_that_says_nothing_is_called_that() -> None:
    coin = [(band, None, churned) for band, churned in product(("red", "yellow", "green"), (True, False))] * 20
    found = predict(coin)
    assert found.auc == 0.5
    assert found.auc_interval is not None
    assert found.auc_interval[0] < 0.5 < found.auc_interval[1]
    assert not found.predicts
    assert found.tunable


scores = st.lists(st.integers(0, 100).map(float), min_size=1, max_size=30)


@given(scores, scores)
def test_auc_is_the_share_of_pairs_in_the_right_order(churned: list[float], renewed: list[float]) -> None:
    pairs = [1.0 if c < r else 0.5 if c == r else 0.0 for c, r in product(churned, renewed)]
    value = auc(churned, renewed)
    assert value == pytest.approx(sum(pairs) / len(pairs))
    assert value is not None
    low, high = auc_interval(value, len(churned), len(renewed))
    assert 0 <= low <= value <= high <= 1


@given(st.integers(1, 500), st.data())
def test_a_share_lies_in_its_interval(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits, n) or (1.0, 0.0)
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
