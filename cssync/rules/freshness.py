"""How fresh each entity is at as_of: the difference between "nothing happened" and "we do not know"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from cssync.rules.calendar import Calendar, local_date, monday
from cssync.rules.catalogue import MAX_AGE

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

HOLD_DAYS = 30
"""Days for which results that rest on a stale source keep their last value (domain.md 5.2)."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """state: ok, stale (the oldest feeding stream last succeeded before the allowed age) or missing (no stream feeds
    the entity, or one never succeeded). as_of: instant of that last success, None when never."""

    state: Literal["ok", "stale", "missing"]
    as_of: datetime | None = None


@dataclass(frozen=True)
class Context:
    """Everything outside the rows that a statement depends on; each becomes a literal in it.

    as_of: aware UTC. fresh: entity -> Freshness; an entity that is not in it is missing. only: one account's uid, to
    look at that account alone.
    """

    as_of: datetime
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    currency: str = "USD"
    fresh: Mapping[str, Freshness] = field(default_factory=dict)
    calendar: Calendar = field(default_factory=Calendar)
    only: str | None = None

    @property
    def today(self) -> date:
        """The as-of day in the business time zone."""
        return local_date(self.as_of, self.zone)

    def ok(self, entity: str) -> bool:
        """Whether an entity is connected and fresh."""
        return self.state(entity) == "ok"

    def state(self, entity: str) -> Literal["ok", "stale", "missing"]:
        """State of an entity."""
        found = self.fresh.get(entity)
        return found.state if found else "missing"

    @property
    def dropped_weeks(self) -> tuple[int, ...]:
        """Which of the last 12 complete ISO weeks (1 is the last one) are full of holidays."""
        start = monday(self.today)
        return tuple(n for n in range(1, 13) if self.calendar.full_of_holidays(start - timedelta(weeks=n)))

    def held(self, entity: str) -> bool:
        """Whether an entity is stale, but for at most HOLD_DAYS: results keep their last value."""
        found = self.fresh.get(entity)
        if found is None or found.state != "stale" or found.as_of is None:
            return False
        return self.as_of - found.as_of <= timedelta(days=HOLD_DAYS)


def parse_instant(text: str) -> datetime:
    """Return the aware UTC datetime of a stored instant."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def read_freshness(store: Store, as_of: datetime, max_age: Mapping[str, int] = MAX_AGE) -> dict[str, Freshness]:
    """Return the freshness of every entity that some stream feeds, at `as_of`; `max_age` in days per entity.

    With several streams the oldest counts. Entities without an age of their own may be 2 days old.
    """
    rows = store.query(
        "SELECT f.entity AS entity, count(*) AS streams, count(s.last_success_at) AS seen, "
        "min(s.last_success_at) AS oldest FROM source_feed f "
        "LEFT JOIN source_state s ON s.connection = f.connection AND s.stream = f.stream GROUP BY f.entity"
    )
    found: dict[str, Freshness] = {}
    for row in rows:
        if row["seen"] < row["streams"]:
            found[row["entity"]] = Freshness("missing")
            continue
        oldest = parse_instant(row["oldest"])
        stale = as_of - oldest > timedelta(days=max_age.get(row["entity"], 2))
        found[row["entity"]] = Freshness("stale" if stale else "ok", oldest)
    return found
