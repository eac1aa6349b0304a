"""Reporting periods: months, quarters, calendar and fiscal years, and ranges of days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from cssync.errors import ConfigError
from cssync.rules.calendar import add_months

DAYS_PER_MONTH = Decimal(365) / 12
FIX = "write 2026-11, 2026-Q4, 2026, FY2026, FY2026-Q4 or 2026-01-01..2026-12-31"
_QUARTER = re.compile(r"(FY)?([0-9]{4})-Q([1-4])")
_YEAR = re.compile(r"(FY)?([0-9]{4})")
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_RANGE = re.compile(rf"({_DAY})\.\.({_DAY})")


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `start` up to, not including, `end`, in the business time zone."""

    label: str
    start: date
    end: date

    @property
    def last(self) -> date:
        """The last day."""
        return self.end - timedelta(days=1)

    @property
    def months(self) -> Decimal:
        """Length in months: exact for whole months, else days / (365 / 12)."""
        whole = (self.end.year - self.start.year) * 12 + self.end.month - self.start.month
        if whole and add_months(self.start, whole) == self.end:
            return Decimal(whole)
        return (self.end - self.start).days / DAYS_PER_MONTH

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


def fiscal_quarter(day: date, first_month: int) -> tuple[int, int]:
    """Return (fiscal year, quarter) of a day; a fiscal year is named after the calendar year in which it starts."""
    months = day.year * 12 + day.month - first_month
    return months // 12, months % 12 // 3 + 1


def parse_period(text: str, first_month: int = 1) -> Period:
    """Return the period that a text names. `2026` and `2026-Q4` are calendar, `FY2026` and `FY2026-Q4` fiscal.

    Raises:
        ConfigError: it names none, or one that ends before it starts.
    """
    try:
        if found := _RANGE.fullmatch(text):
            start, last = (date.fromisoformat(part) for part in found.groups())
            if last < start:
                raise ConfigError(f"--period {text}: ends before it starts", fix=FIX)
            return Period(text, start, last + timedelta(days=1))
        if found := _MONTH.fullmatch(text):
            return _from(text, date(int(found[1]), int(found[2]), 1), 1)
        if found := _QUARTER.fullmatch(text):
            first = date(int(found[2]), first_month if found[1] else 1, 1)
            return _from(text, add_months(first, 3 * int(found[3]) - 3), 3)
        if found := _YEAR.fullmatch(text):
            return _from(text, date(int(found[2]), first_month if found[1] else 1, 1), 12)
    except (ValueError, OverflowError):
        pass
    raise ConfigError(f"--period {text!r} is no period", fix=FIX)


def _from(label: str, start: date, months: int) -> Period:
    return Period(label, start, add_months(start, months))
