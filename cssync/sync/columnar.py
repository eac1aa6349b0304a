"""A page of records, a column at a time: the same as record by record, several times as fast.

A page on which anything is unusual (a record without id, a value that cannot be read, one id twice) raises `Unusual`;
the caller then takes it record by record, which says exactly what is wrong with which. Where some records hold a column
and others do not, the rows are parted into sheets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, compress
from operator import attrgetter, itemgetter
from typing import Any

from cssync.connectors import ABSENT, Absent, ByColumn, Field, Record
from cssync.sync.cast import INT64, boolean, instant, integer, jsonlines, jsontext, text
from cssync.sync.cells import Cast, among, first_of, path

Values = list[Any]
Column = Callable[["Records"], Values]
"""The values of a column for each record: in the column's type, None, or ABSENT."""
_PLAIN = {str, bool, type(None)}
"""Types of which no two values are equal without being the same."""
FEW = 32
"""Values of a column by which it is told whether it is worth looking for those that repeat."""
_zone, _before_hour, _before_second = attrgetter("tzinfo"), itemgetter(10), itemgetter(16)


class Unusual(Exception):  # noqa: N818 - steers the caller to the exact way
    """This page must be taken record by record."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of one entity that have the same columns.

    columns: names, the first one `source_id`. values: for each column its values, row by row. owners: for each row the
    key of the record it came from.
    """

    entity: str
    columns: tuple[str, ...]
    values: Sequence[Sequence[Any]]
    owners: Sequence[str]

    @property
    def ids(self) -> Sequence[str]:
        """The source_id of each row."""
        return self.values[0]


@dataclass(frozen=True, slots=True)
class Gone:
    """source_ids of rows of one entity that records no longer have, and the keys of those records."""

    entity: str
    ids: Sequence[str]
    owners: Sequence[str]


class Records:
    """The records of a page, and what was already worked out of them: the feeds of a stream share columns.

    torn: whether some record does not hold something that was looked for.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.torn = False
        self._inside: dict[str, Values] = {}
        self._done: dict[tuple[str, object], Values] = {}

    def inside(self, outer: str) -> Values:
        """Return the object that each record holds under a name; {} where it holds none."""
        found = self._inside.get(outer)
        if found is None:
            found = self._inside[outer] = [held if type(held) is dict else {} for held in self.held(outer)]
        return found

    def held(self, name: str) -> Values:
        """Return what each record holds under a name, ABSENT where it holds nothing."""
        if isinstance(self.records, ByColumn):
            self.torn = self.torn or not self.records.whole or name not in self.records.columns
            return self.records.column(name)
        return self.picked(name, self.records)

    def picked(self, name: str, objects: Sequence[Record]) -> Values:
        """Return what each of some objects holds under a name, ABSENT where it holds nothing."""
        try:
            return list(map(itemgetter(name), objects))
        except KeyError:
            self.torn = True
            return [each.get(name, ABSENT) for each in objects]

    def once(self, source: str, what: object, work: Callable[[], Values]) -> Values:
        """Return what `work` makes of the values at a path; it is done once a page."""
        found = self._done.get((source, what))
        if found is None:
            found = self._done[source, what] = work()
        return found


def picked(source: str) -> Column:
    """Compile a dotted path, as `cells.path` does for one record."""
    steps = source.split(".")
    if source.startswith("^") or len(steps) > 2:
        find = path(source)

        def walk(page: Records) -> Values:
            page.torn = True
            return [find(record) for record in page.records]

        return lambda page: page.once(source, picked, lambda: walk(page))
    *outer, name = steps

    def pick(page: Records) -> Values:
        return page.picked(name, page.inside(outer[0])) if outer else page.held(name)

    return lambda page: page.once(source, picked, lambda: pick(page))


def column(field: Field, to_type: Cast, allowed: frozenset[str] = frozenset()) -> Column:
    """Compile a field, as `cells.cell` does for one record; what `cell` would raise, this raises."""
    if not field.source:
        constant = to_type(field.const)
        return lambda page: [constant] * len(page.records)
    finish = among(to_type, allowed) if allowed else to_type
    sources = (field.source,) if isinstance(field.source, str) else field.source
    if len(sources) > 1:
        return _several([picked(s) for s in sources], field.read or first_of, finish)
    source, pick, whole = sources[0], picked(sources[0]), WHOLE.get(finish)
    if field.read is not None:
        return _read(pick, field.read, finish)
    if whole is not None:
        return lambda page: page.once(source, finish, lambda: whole(pick(page)))
    return lambda page: _each(lambda value: None if value is None else finish(value), pick(page))


def _read(pick: Column, read: Cast, finish: Cast) -> Column:
    """Compile a field that the vendor's own function reads first."""
    whole = WHOLE.get(finish)

    def get(page: Records) -> Values:
        values = pick(page)
        if whole is not None and not _different(values):
            return whole(_each(read, values))
        return _each(lambda value: finish(read(value)), values)

    return get


def _each(function: Callable[[Any], Any], values: Values) -> Values:
    """Apply a function of one value; once for each different text where texts repeat."""
    if set(map(type, values)) <= _PLAIN:
        return _mapped(function, values)
    return [value if value is ABSENT else function(value) for value in values]


def _different(values: Sequence[Any]) -> Set[Any]:
    """Return the different values of a column where they repeat; the empty set where most stand there once."""
    try:
        if len(values) > 2 * FEW and len(set(values[:FEW])) == FEW:  # what repeats does so soon
            return frozenset()
        found = set(values)
    except TypeError:  # lists and objects
        return frozenset()
    return found if len(found) * 2 <= len(values) else frozenset()


def _mapped(function: Callable[[Any], Any], values: Sequence[Any]) -> Values:
    different = _different(values)
    if not different:
        return list(map(function, values))
    known = {value: function(value) for value in different}
    return list(map(known.__getitem__, values))


def _several(picks: Sequence[Column], read: Callable[..., Any], finish: Cast) -> Column:
    def get(page: Records) -> Values:
        found = [pick(page) for pick in picks]
        lacking = [page.torn and set(map(type, values)) == {Absent} for values in found]
        if all(lacking):
            return found[0]
        told = [values for values, lacks in zip(found, lacking, strict=True) if not lacks] if any(lacking) else found
        kinds = set[type]().union(*(map(type, values) for values in told))
        if Absent in kinds:
            return [
                ABSENT if all(v is ABSENT for v in row) else finish(read(*(None if v is ABSENT else v for v in row)))
                for row in zip(*found, strict=True)
            ]
        if any(lacking):  # a field that the vendor does not have at all
            nothing = [None] * len(page.records)
            found = [nothing if lacks else values for values, lacks in zip(found, lacking, strict=True)]
        if kinds <= _PLAIN and (different := _different(rows := list(zip(*found, strict=True)))):
            known = {row: finish(read(*row)) for row in different}
            return list(map(known.__getitem__, rows))
        whole = WHOLE.get(finish)
        return whole(list(map(read, *found))) if whole else list(map(finish, map(read, *found)))

    return get


def _texts(values: Values) -> Values:
    try:
        joined = "".join(values)
    except TypeError:  # not all of them are text
        kinds = set(map(type, values))
        if kinds == {int}:
            return list(map(str, values))
        if not kinds <= {str, type(None)}:
            return [value if value is None or value is ABSENT else text(value) for value in values]
        joined = "".join(filter(None, values))
    if "\0" in joined:
        return [text(value) for value in values]
    return [value or None for value in values] if "" in values else values


def _instants(values: Values) -> Values:
    """Read points in time; each once where they repeat (a date without a time, an import)."""
    different = _different(values)
    if not different or not set(map(type, values)) <= _PLAIN:
        return _cut(values)
    once = list(different)
    known = dict(zip(once, _cut(once), strict=True))
    return list(map(known.__getitem__, values))


def _cut(values: Values) -> Values:
    """Read points in time. Where all stand there in UTC with date, time and zone in full, they are but cut."""
    try:
        if (
            set(map(_zone, map(datetime.fromisoformat, values))) == {UTC}
            and set(map(_before_hour, values)) == {"T"}
            and set(map(_before_second, values)) == {":"}
        ):
            return [value[:19] + "Z" for value in values]
    except (TypeError, ValueError, IndexError):  # None, "", a number, or no point in time
        if None in values and ABSENT not in values:
            return _around_nulls(_cut, values)
    return [value if value is None or value is ABSENT else instant(value) for value in values]


def _around_nulls(whole: Callable[[Values], Values], values: Values) -> Values:
    """Apply a function of a column to what of it is not None."""
    done = iter(whole([value for value in values if value is not None]))
    return [None if value is None else next(done) for value in values]


def _integers(values: Values) -> Values:
    kinds = set(map(type, values))
    if kinds == {int} and min(values) >= -INT64 and max(values) < INT64:
        return values
    if kinds == {str} and "" not in values and max(map(len, values)) < 19:
        digits = "".join(values)
        if digits.isascii() and digits.isdigit():
            return list(map(int, values))
    return [value if value is None or value is ABSENT else integer(value) for value in values]


def _jsontexts(values: Values) -> Values:
    if None in values or ABSENT in values:
        return [value if value is ABSENT else jsontext(value) for value in values]
    return jsonlines(values)


def _truths(values: Values) -> Values:
    if set(map(type, values)) == {bool}:
        return list(map(int, values))
    return [value if value is None or value is ABSENT else boolean(value) for value in values]


WHOLE: Mapping[Cast, Callable[[Values], Values]] = {
    text: _texts, instant: _instants, integer: _integers, boolean: _truths, jsontext: _jsontexts,
}  # fmt: skip
"""Casts that a whole column goes through at once."""


def keys(values: Values, prefix: str = "") -> list[str]:
    """Return the ids of a page's rows.

    Raises:
        Unusual: one is missing, of an odd type, holds a NUL, or is there twice.
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        values = list(map(str, values))
    elif kinds != {str} or "" in values:
        raise Unusual
    if len(set(values)) < len(values) or "\0" in "".join(values):
        raise Unusual
    return [prefix + value for value in values] if prefix else values


def parted(columns: Sequence[tuple[str, Values]]) -> list[tuple[list[int] | None, list[str]]]:
    """Return which rows hold which columns, as (places of the rows, names); places None: all rows."""
    kinds = {name: set(map(type, values)) for name, values in columns}
    torn = {name: values for name, values in columns if Absent in kinds[name] and len(kinds[name]) > 1}
    names = [name for name, _ in columns if kinds[name] != {Absent}]
    places: dict[tuple[bool, ...], list[int]] = {}
    for at, held in enumerate(zip(*([v is not ABSENT for v in values] for values in torn.values()), strict=True)):
        places.setdefault(held, []).append(at)
    found: list[tuple[list[int] | None, list[str]]] = []
    for held, rows in places.items():
        without = {name for name, there in zip(torn, held, strict=True) if not there}
        found.append((None if len(places) == 1 else rows, [n for n in names if n not in without]))
    return found or [(None, names)]


def sheet_of(alike: Sequence[Sheet]) -> Sheet:
    """Return sheets of one entity with the same columns as one."""
    columns = zip(*(sheet.values for sheet in alike), strict=True)
    owners = [owner for sheet in alike for owner in sheet.owners]
    return Sheet(alike[0].entity, alike[0].columns, [list(chain.from_iterable(c)) for c in columns], owners)


def gone_of(lost: Iterable[Gone]) -> list[Gone]:
    """Return rows that are gone with those of one entity together."""
    found: dict[str, list[Gone]] = {}
    for gone in lost:
        found.setdefault(gone.entity, []).append(gone)
    return [
        Gone(entity, [i for gone in some for i in gone.ids], [o for gone in some for o in gone.owners])
        for entity, some in found.items()
    ]


def without(sheet: Sheet, owners: Set[str]) -> Sheet:
    """Return the sheet less the rows of these records."""
    if not owners:
        return sheet
    keep = [owner not in owners for owner in sheet.owners]
    return chosen(sheet, keep)


def chosen(sheet: Sheet, keep: Sequence[bool]) -> Sheet:
    """Return only the rows to keep."""
    values = tuple(list(compress(column, keep)) for column in sheet.values)
    return Sheet(sheet.entity, sheet.columns, values, list(compress(sheet.owners, keep)))


def at(sheet: Sheet, places: Sequence[int]) -> Sheet:
    """Return only the rows at these places."""
    values = tuple([column[place] for place in places] for column in sheet.values)
    return Sheet(sheet.entity, sheet.columns, values, [sheet.owners[place] for place in places])
