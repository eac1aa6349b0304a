"""How well a judgement told what came: pure statistics over (judgement, what happened), no store and no clock.

Sources: Wilson (1927) for the interval of a share; Hanley and McNeil (1982) for the error of an AUC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

Z95 = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""
MIN_CHURNS = 30
"""Churned renewals below which nothing may be tuned (domain.md 5.9)."""
ORDER = ("red", "yellow", "green")
"""Bands from the worst to the best."""

Interval = tuple[float, float]


def wilson(hits: int, n: int, z: float = Z95) -> Interval | None:
    """Return the Wilson interval of hits / n as fractions; None for n = 0."""
    if n == 0:
        return None
    share, zz = hits / n, z * z
    middle = (share + zz / (2 * n)) / (1 + zz / n)
    half = z * sqrt(share * (1 - share) / n + zz / (4 * n * n)) / (1 + zz / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def auc(churned: Sequence[float], renewed: Sequence[float]) -> float | None:
    """Return the chance that a churned one was judged lower than a renewed one, a tie counting one half.

    Both hold judgements of which lower means worse. None when one of them is empty.
    """
    if not churned or not renewed:
        return None
    ranked = sorted([(v, True) for v in churned] + [(v, False) for v in renewed])
    total, at = 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        lost = sum(gone for _, gone in ranked[at:end])
        above = len(renewed) - sum(not gone for _, gone in ranked[:end])
        total += lost * (above + (end - at - lost) / 2)
        at = end
    return total / (len(churned) * len(renewed))


def auc_interval(value: float, churned: int, renewed: int, z: float = Z95) -> Interval:
    """Return the 95 % interval of an AUC with so many of each, within 0 and 1."""
    q1, q2 = value / (2 - value), 2 * value * value / (1 + value)
    spread = value * (1 - value) + (churned - 1) * (q1 - value * value) + (renewed - 1) * (q2 - value * value)
    half = z * sqrt(max(0.0, spread) / (churned * renewed))
    return max(0.0, value - half), min(1.0, value + half)


@dataclass(frozen=True, slots=True)
class BandRate:
    """One band. rate: churned / n; interval: of the rate, 95 %."""

    band: str
    n: int
    churned: int
    rate: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What bands and scores were worth; fractions, None where nothing can be said.

    base: share of churned ones. precision: of the red ones that churned; recall: of the churned ones that were red;
    lift: precision / base. green_churned: of the churned ones that were green. auc: of the scores, with its interval;
    auc_bands: of the three bands. predicts: whether the interval lies above one half.
    """

    n: int
    churned: int
    base: float | None
    bands: tuple[BandRate, ...]
    precision: float | None
    precision_interval: Interval | None
    recall: float | None
    recall_interval: Interval | None
    lift: float | None
    green_churned: float | None
    auc: float | None
    auc_interval: Interval | None
    auc_bands: float | None
    predicts: bool

    @property
    def tunable(self) -> bool:
        """Whether there are enough churned renewals to learn from."""
        return self.churned >= MIN_CHURNS


def share(hits: int, n: int) -> float | None:
    """Return hits / n, None for n = 0."""
    return hits / n if n else None


def predict(cases: Iterable[tuple[str, float | None, bool]]) -> Prediction:
    """Return what (band, score, churned) cases say. Cases with another band than red, yellow and green are left out;
    scores may be missing, then the bands alone make the AUC."""
    known = [(band, score, churned) for band, score, churned in cases if band in ORDER]
    counts: Mapping[str, list[int]] = {band: [0, 0] for band in ORDER}
    for band, _, churned in known:
        counts[band][0] += 1
        counts[band][1] += churned
    n, lost = len(known), sum(c for _, c in counts.values())
    (red, red_lost), green_lost = counts["red"], counts["green"][1]
    base, precision = share(lost, n), share(red_lost, red)
    by_band = [(float(ORDER.index(band)), churned) for band, _, churned in known]
    scored = [(score, churned) for _, score, churned in known if score is not None]
    points = scored if len(scored) == n else by_band
    value, of_bands = _auc(points), _auc(by_band)
    interval = None if value is None else auc_interval(value, lost, n - lost)
    return Prediction(
        n,
        lost,
        base,
        tuple(BandRate(b, m, c, share(c, m), wilson(c, m)) for b, (m, c) in counts.items()),
        precision,
        wilson(red_lost, red),
        share(red_lost, lost),
        wilson(red_lost, lost),
        None if precision is None or not base else precision / base,
        share(green_lost, lost),
        value,
        interval,
        of_bands,
        interval is not None and interval[0] > 0.5,
    )


def _auc(points: Iterable[tuple[float, bool]]) -> float | None:
    listed = list(points)
    return auc([v for v, churned in listed if churned], [v for v, churned in listed if not churned])
