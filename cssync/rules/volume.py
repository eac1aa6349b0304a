"""What the usage source as a whole delivered each day: whether "no use" is a fact about a customer or about the feed.

A day on which all accounts together show less than half of what the same weekday usually shows is incomplete for every
account, and so is a day without any row between days that usually have some (domain.md section 4, volume guard).

The largest row of a day counts for no more than all others together, so that the spike of one customer moves nobody
else (domain.md section 8, huge spike): it can double what a weekday usually shows, and half of that is a usual day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from cssync.rules.calendar import Calendar
from cssync.rules.dialect import SQLITE, Dialect

WEEKS = 16
"""Weeks looked at: 12 that growth compares, and 4 before them as the oldest one's reference."""
REFERENCE_WEEKS = 4
REFERENCE_LEAST = 3
"""Same weekdays with rows, of the last four, that make a reference."""
LEAST_SHARE = 0.5
LEAST_ROWS = 3
"""Rows a day usually has: below that the volume is a single customer's own ups and downs."""
RETIRED_DAYS = 90
"""A metric that nobody measured for so long no longer feeds anything, as long as another one is measured."""

ENTITY = "usage_metric"
Query = Callable[[str], Iterable[Any]]


@dataclass(frozen=True)
class Series:
    """All accounts' complete rows of one metric of one connection. days: day -> (volume, rows)."""

    connection: str
    metric: str
    weekly: bool
    days: Mapping[date, tuple[float, int]]

    def reference(self, day: date) -> float | None:
        """Return the usual volume of the day: the median of the same weekday in the last four weeks."""
        before = [self.days.get(day - timedelta(weeks=n)) for n in range(1, REFERENCE_WEEKS + 1)]
        known = [found for found in before if found is not None]
        if len(known) < REFERENCE_LEAST or median(rows for _, rows in known) < LEAST_ROWS:
            return None
        return median(volume for volume, _ in known)

    def gaps(self, today: date, calendar: Calendar) -> Iterator[date]:
        """Yield the days before today that are incomplete for every account. A holiday explains its low volume."""
        lasts = 7 if self.weekly else 1
        silent: set[date] = set()
        for n in range((today - min(self.days)).days):
            day = min(self.days) + timedelta(days=n)
            if day + timedelta(days=lasts) > today or (not self.weekly and calendar.is_holiday(day)):
                continue
            if day not in self.days:
                # Weeks of silence leave no reference: a silent weekday goes on being silent.
                usual = self.reference(day)
                if (usual is not None and usual > 0) or day - timedelta(weeks=1) in silent:
                    silent.add(day)
                    yield day
            elif (usual := self.reference(day)) is not None and self.days[day][0] < LEAST_SHARE * usual:
                yield day

    def newest(self, gaps: set[date], today: date, calendar: Calendar) -> date:
        """Return the last day up to which the metric is complete; days on which it is usually silent count, too."""
        whole = [d for d in self.days if d not in gaps]
        if not whole:
            return min(self.days) - timedelta(days=1)
        last = max(whole)
        if self.weekly:
            return min(last + timedelta(days=6), today)
        seen = {d.weekday() for d in self.days if d > last - timedelta(weeks=REFERENCE_WEEKS)}
        while last < today - timedelta(days=1):
            after = last + timedelta(days=1)
            if after in gaps or (after.weekday() in seen and not calendar.is_holiday(after)):
                break
            last = after
        return last


@dataclass(frozen=True)
class Coverage:
    """What is known of the usage source. gaps: (connection, metric) -> incomplete days; newest: metric -> the last day
    up to which every connection that measures it is complete; weekly: metrics measured by the week."""

    gaps: Mapping[tuple[str, str], tuple[date, ...]]
    newest: Mapping[str, date]
    weekly: frozenset[str]


def series_sql(since: date, until: date, dialect: Dialect = SQLITE) -> str:
    """SELECT of day, metric, connection, sum of values, rows, grain and largest value over all accounts' complete
    rows."""
    return (
        "SELECT t.period_start, t.metric, t.connection, sum(t.value) AS total, count(*) AS counted, "
        "max(t.grain) AS grain, max(t.value) AS largest FROM usage_metric t "
        "WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.value IS NOT NULL AND t.metric IS NOT NULL "
        f"AND coalesce(t.is_complete, 1) = 1 AND t.period_start BETWEEN {dialect.day(since)} AND {dialect.day(until)} "
        "GROUP BY t.period_start, t.metric, t.connection"
    )


def newest_sql(until: date, dialect: Dialect = SQLITE) -> str:
    """SELECT of the newest day with a complete row."""
    return (
        f"SELECT max(t.period_start) FROM usage_metric t WHERE t.period_start <= {dialect.day(until)} AND "
        "t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.value IS NOT NULL AND coalesce(t.is_complete, 1) = 1"
    )


def read_series(query: Query, today: date) -> list[Series]:
    """Return the series of the last WEEKS weeks up to today; when there is none, but older rows, those of the newest
    day alone."""
    rows = list(query(series_sql(today - timedelta(weeks=WEEKS), today)))
    if not rows:
        newest = next(iter(query(newest_sql(today))))[0]
        last = date.fromisoformat(newest) if newest else None
        rows = list(query(series_sql(last, last))) if last else []
    found: dict[tuple[str, str], dict[date, tuple[float, int]]] = {}
    weekly: set[tuple[str, str]] = set()
    for day, metric, connection, total, count, grain, largest in rows:
        volume = min(total, 2 * (total - largest))
        found.setdefault((connection, metric), {})[date.fromisoformat(day)] = (volume, count)
        if grain == "week":
            weekly.add((connection, metric))
    return [Series(c, m, (c, m) in weekly, days) for (c, m), days in sorted(found.items())]


def coverage(series: Iterable[Series], today: date, calendar: Calendar) -> Coverage:
    """Return which days are incomplete for all accounts, and how far each metric reaches."""
    of = {(s.connection, s.metric): s for s in series}
    gaps = {key: tuple(s.gaps(today, calendar)) for key, s in of.items()}
    ends = {key: s.newest(set(gaps[key]), today, calendar) for key, s in of.items()}
    alive = {key: end for key, end in ends.items() if (today - end).days <= RETIRED_DAYS}
    newest: dict[str, date] = {}
    for (_, metric), end in (alive or ends).items():
        newest[metric] = min(end, newest.get(metric, end))
    weekly = frozenset(s.metric for s in of.values() if s.weekly)
    return Coverage({key: days for key, days in gaps.items() if days}, newest, weekly)
