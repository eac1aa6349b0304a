"""Business days, ISO weeks and month arithmetic. Dates only; no clock."""

from __future__ import annotations

import calendar as _months
import functools
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays

from cssync.config import Workspace
from cssync.errors import ConfigError

EARLIEST, LATEST = date(1900, 1, 1), date(9899, 12, 31)
"""A contract's dates outside say "no date": systems write 0001-01-01 for an empty one, 9999-12-31 for no end."""


@dataclass(frozen=True)
class Calendar:
    """Working days: no weekend, no public holiday of `country`, no closing day (`MM-DD` or `YYYY-MM-DD`)."""

    country: str | None = None
    closures: frozenset[str] = frozenset()

    def is_holiday(self, day: date) -> bool:
        """Whether the day is a public holiday or a closing day."""
        iso = day.isoformat()
        return iso in self.closures or iso[5:] in self.closures or day in _public(self.country)

    def is_business_day(self, day: date) -> bool:
        """Whether people work on this day."""
        return day.weekday() < 5 and not self.is_holiday(day)

    def on_or_before(self, day: date) -> date:
        """Return the day itself or the last business day before it: a deadline must not slip later.

        After a year without any business day the day itself is returned.
        """
        for back in range(366):
            if self.is_business_day(day - timedelta(days=back)):
                return day - timedelta(days=back)
        return day

    def after(self, day: date, business_days: int) -> date:
        """Return the day so many business days later; 0 is the day itself."""
        found = day
        for _ in range(business_days):
            for _ in range(366):
                found += timedelta(days=1)
                if self.is_business_day(found):
                    break
        return found

    def full_of_holidays(self, monday: date) -> bool:
        """Whether three or more days of that ISO week are holidays or closing days (domain.md section 4)."""
        return sum(self.is_holiday(monday + timedelta(days=n)) for n in range(7)) >= 3


@functools.cache
def _public(country: str | None) -> Container[date]:
    if country is None:
        return ()
    try:
        return holidays.country_holidays(country)
    except NotImplementedError:  # what the library says of a country that it does not know
        raise ConfigError(
            f"there is no holiday calendar for {country!r}",
            fix="`holidays:` in cssync.yaml takes an ISO code such as JP",
        ) from None


def calendar_of(workspace: Workspace) -> Calendar:
    """Return the workspace's calendar.

    Raises:
        ConfigError: no public holidays are known for its country code.
    """
    _public(workspace.holidays)
    return Calendar(workspace.holidays, frozenset(workspace.closures))


def add_months(anchor: date, months: int) -> date:
    """Return anchor + n months, clamped to the month's end; count from the original anchor, never chain."""
    month = anchor.year * 12 + anchor.month - 1 + months
    year, index = divmod(month, 12)
    return date(year, index + 1, min(anchor.day, _months.monthrange(year, index + 1)[1]))


def monday(day: date) -> date:
    """Return the first day of the ISO week."""
    return day - timedelta(days=day.weekday())


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the calendar date of an aware instant in the business time zone."""
    return instant.astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant (UTC) of a local calendar date; where midnight does not exist, the first after it."""
    low = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=16)
    high = low + timedelta(hours=32)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (low, middle) if local_date(middle, zone) >= day else (middle, high)
    return high.replace(microsecond=0)


@functools.cache
def offsets(zone: ZoneInfo, until: int) -> tuple[tuple[str, int], ...]:
    """Return (first instant, minutes ahead of UTC) spans of a zone from 2000 to the end of year `until`, newest first.

    Instants before the oldest span use its offset.
    """

    def minutes(at: datetime) -> int:
        delta = at.astimezone(zone).utcoffset()
        return int(delta.total_seconds() // 60) if delta is not None else 0

    at = datetime(2000, 1, 1, tzinfo=UTC)
    spans = [("0000", minutes(at))]
    while at.year <= until:
        after = at + timedelta(days=1)
        if minutes(after) != minutes(at):
            low, high = at, after
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                low, high = (low, middle) if minutes(middle) != minutes(at) else (middle, high)
            spans.append((high.strftime("%Y-%m-%dT%H:%M:%S"), minutes(high)))
        at = after
    return tuple(reversed(spans))
