"""What a score remembers of an account from the days before, and how a band follows a score with it.

The same rules stand in SQL in `score_sql`; the interpreter uses these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from cssync.rules.tree import Bounds, Hysteresis

OVERRIDE_DAYS = 30
"""Days after which a band set by hand ends, whatever its `until` says (domain.md 5.5)."""
REMEMBERED = ("band", "yellow_days", "green_days", "override_band", "override_until", "override_since", "caps")
"""Columns of `score_state` that the next day needs."""
SIDES = ("yellow", "green")
"""Bands with a bound below them, lowest first."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Where an account stood at the end of the last evaluated day before today.

    band: after hysteresis, without caps and overrides; None before the first score. yellow_days, green_days: days in a
    row that the score lay on the other side of that band's bound. override_since: first day on which the override
    (override_band, override_until) was seen. measures: last known values of measures that may be held. caps: for each
    cap 1 or 0 as it was when last known, or -; None before the first score.
    """

    band: str | None = None
    yellow_days: int = 0
    green_days: int = 0
    override_band: str | None = None
    override_until: date | None = None
    override_since: date | None = None
    measures: Mapping[str, int] = field(default_factory=dict)
    caps: str | None = None

    def cap(self, number: int) -> bool | None:
        """Whether a cap held when that was last known."""
        said = (self.caps or "")[number : number + 1]
        return said == "1" if said in ("0", "1") else None


FIRST_DAY = Memory()
"""Of an account that was never scored before."""


def caps_told(caps: Iterable[bool | None]) -> str:
    """Return what to remember of today's caps."""
    return "".join("-" if holds is None else "01"[holds] for holds in caps)


def follow(memory: Memory, score: int | None, bounds: Bounds, rules: Hysteresis) -> tuple[str | None, int, int]:
    """Return the band, yellow_days and green_days to remember after a day with this score, bound by bound.

    A day without a score changes nothing. Source: domain.md 5.4.
    """
    if score is None:
        return memory.band, memory.yellow_days, memory.green_days
    sides: list[bool] = []
    days: list[int] = []
    for name, count in (("yellow", memory.yellow_days), ("green", memory.green_days)):
        bound = dict(bounds)[name]
        above = score >= bound
        was = above if memory.band is None else memory.band in SIDES[SIDES.index(name) :]
        beyond = score < bound - rules.margin if was else score >= bound + rules.margin
        crossed = above != was and (beyond or count + 1 >= rules.confirm)
        sides.append(was != crossed)
        days.append(0 if crossed or above == was else count + 1)
    return ("green" if sides[1] else "yellow" if sides[0] else "red"), days[0], days[1]


def override_end(until: date | None, since: date) -> date:
    """Return the last day of an override."""
    latest = since + timedelta(days=OVERRIDE_DAYS)
    return latest if until is None else min(until, latest)
