"""Dated exchange rates from a CSV file, and conversion at the rate in force on a day.

The file has the header `date,from,to,rate`; a row says that from this day on 1 unit of `from` is `rate` units of `to`
(major units: 1 JPY is 0.0070 USD). The rate in force is the latest on or before the day; before the first row of a pair
there is none. A pair is quoted, in this order:

1. directly: its rows and those of the inverse pair are one series, the newest row wins, on one day the direct one;
2. over the reporting currency: from -> reporting -> to, both legs as in 1.

Nothing else is derived, and no rate is ever guessed: a missing one is a `MissingRateError`, for the caller to list.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

from cssync.config import Workspace
from cssync.config.reader import MAX_FAULTS, Fault, FaultyFileError
from cssync.errors import ConfigError, CssyncError
from cssync.model import decimals

HEADER = ("date", "from", "to", "rate")
MAX_BYTES = 50_000_000
"""A file beyond this is no table of rates: 30 pairs over 50 years of days are 15 MB."""
_CODE = re.compile(r"[A-Z]{3}")
_RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FIX = "correct the file named by `fx:` in cssync.yaml; its header is date,from,to,rate"


class MissingRateError(CssyncError):
    """No rate is known for a pair on a day: the account that needs it is left out and listed, the others go on."""

    def __init__(self, source: str, target: str, day: date) -> None:
        super().__init__(
            f"no exchange rate {source} -> {target} on or before {day}",
            fix=f"add a row `{day},{source},{target},RATE` to the file named by `fx:` in cssync.yaml",
        )
        self.source, self.target, self.day = source, target, day


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of the file: from `day` on, 1 `source` is `value` `target`."""

    day: date
    source: str
    target: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """Units of `target` for 1 `source` (major units). day: date of the (older) row it comes from; None for a currency
    against itself."""

    source: str
    target: str
    value: Decimal
    day: date | None


@dataclass(frozen=True, slots=True)
class _Series:
    days: tuple[date, ...]
    values: tuple[Decimal, ...]


@dataclass(frozen=True)
class Rates:
    """Every known rate, ready for lookup. reporting: the currency over which pairs without rows of their own cross."""

    reporting: str
    series: Mapping[tuple[str, str], _Series] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, rows: Iterable[Rate], reporting: str) -> Rates:
        """Index rows; of two rows for one day and pair the direct one wins over the inverse, the later over the
        earlier."""
        known: dict[tuple[str, str], dict[date, Decimal]] = {}
        listed = list(rows)
        for row in listed:
            known.setdefault((row.target, row.source), {})[row.day] = 1 / row.value
        for row in listed:
            known.setdefault((row.source, row.target), {})[row.day] = row.value
        return cls(
            reporting,
            {
                pair: _Series(tuple(days), tuple(found[day] for day in days))
                for pair, found in known.items()
                for days in (sorted(found),)
            },
        )

    def quote(self, source: str, target: str, day: date) -> Quote:
        """Return the rate in force on a day.

        Raises:
            MissingRateError: neither the pair nor its crossing over the reporting currency has a row by that day.
        """
        if source == target:
            return Quote(source, target, Decimal(1), None)
        found = self._direct(source, target, day)
        if found is not None:
            return Quote(source, target, found[1], found[0])
        first = self._direct(source, self.reporting, day)
        second = self._direct(self.reporting, target, day)
        if first is None or second is None:
            raise MissingRateError(source, target, day)
        return Quote(source, target, first[1] * second[1], min(first[0], second[0]))

    def convert(self, minor: int | Decimal, source: str, target: str, day: date) -> Decimal:
        """Return minor units of `source` as minor units of `target`, not rounded; see `rounded`.

        Raises:
            MissingRateError: as `quote`.
        """
        if source == target:
            return Decimal(minor)
        return minor * self.quote(source, target, day).value * Decimal(10) ** (decimals(target) - decimals(source))

    def _direct(self, source: str, target: str, day: date) -> tuple[date, Decimal] | None:
        series = self.series.get((source, target))
        if series is None:
            return None
        place = bisect_right(series.days, day)
        return (series.days[place - 1], series.values[place - 1]) if place else None


def rounded(amount: Decimal) -> int:
    """Round to whole minor units, halves up (-0.5 to 0, as the rules do in SQL): once, at output."""
    return int((amount + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def load_rates(workspace: Workspace) -> Rates:
    """Return the rates of the workspace's `fx:` file; without the key only a currency against itself has a rate.

    Raises:
        FaultyFileError: every fault of the file, each at its line.
        ConfigError: it cannot be opened.
    """
    if workspace.fx is None:
        return Rates(workspace.currency)
    return Rates.of(read_rates(workspace.fx), workspace.currency)


def read_rates(path: Path) -> tuple[Rate, ...]:
    """Return the rows of a file of rates, in its order; see `load_rates` for what is raised."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the exchange rates {path} cannot be read: {error.strerror}", fix=FIX) from None
    if len(raw) > MAX_BYTES:
        raise FaultyFileError([Fault(str(path), 1, 1, f"larger than {MAX_BYTES:,} bytes")], fix=FIX)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FaultyFileError([Fault(str(path), line, 1, "not UTF-8 text")], fix=FIX) from None
    reading = _Reading(str(path))
    rows = tuple(reading.rows(text))
    if reading.faults:
        raise FaultyFileError(reading.faults, fix=FIX)
    return rows


class _Reading:
    """Reads the rows of one file and notes its faults."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.seen: dict[tuple[str, str, date], int] = {}

    def rows(self, text: str) -> Iterator[Rate]:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = False
        try:
            for cells in reader:
                if not cells:
                    continue
                if not head:
                    head = True
                    if tuple(cells) != HEADER:
                        self._fault(reader.line_num, 1, f"the header must be {','.join(HEADER)}")
                        return
                    continue
                row = self._row(reader.line_num, cells)
                if row is not None:
                    yield row
                if len(self.faults) >= MAX_FAULTS:
                    return
        except csv.Error as error:
            self._fault(reader.line_num, 1, f"not readable as CSV: {error}")
        if not head:
            self._fault(1, 1, f"empty; the header must be {','.join(HEADER)}")

    def _row(self, line: int, cells: list[str]) -> Rate | None:
        if len(cells) != len(HEADER):
            self._fault(line, 1, f"{len(cells)} values where {','.join(HEADER)} are 4")
            return None
        before = len(self.faults)
        columns = [1 + sum(len(cell) + 1 for cell in cells[:n]) for n in range(len(HEADER))]
        day, source, target, rate = cells
        found = _day(day)
        if found is None:
            self._fault(line, columns[0], "date: write a day as YYYY-MM-DD")
        for column, name, code in ((columns[1], "from", source), (columns[2], "to", target)):
            if not _CODE.fullmatch(code):
                self._fault(line, column, f"{name}: write an ISO 4217 code of three capitals such as JPY")
        if source == target:
            self._fault(line, columns[2], "to: the same currency as `from`")
        if not _RATE.fullmatch(rate) or not Decimal(rate):
            self._fault(line, columns[3], "rate: write a number above 0 such as 0.0070, without grouping")
        if found is None or len(self.faults) > before:
            return None
        first = self.seen.setdefault((source, target, found), line)
        if first != line:
            self._fault(line, 1, f"{source} -> {target} has a rate for {day} already in line {first}")
            return None
        return Rate(found, source, target, Decimal(rate))

    def _fault(self, line: int, column: int, message: str) -> None:
        self.faults.append(Fault(self.file, max(line, 1), column, message))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None
