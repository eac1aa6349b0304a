"""A page of records, a column at a time: the same as record by record, several times as fast.

A page on which anything is unusual (a record without id, a value that cannot be read, a column that some records hold
and others do not, one id twice) raises `Unusual`; the caller then takes it record by record, which says exactly what
is wrong with which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from itertools import compress
from typing import Any

from cssync.connectors import Field, Record
from cssync.sync.cast import instant, text
from cssync.sync.cells import ABSENT, Cast, among, first_of, path

Values = list[Any]
Column = Callable[["Records"], Values]
"""The values of a column for each record: in the column's type, None, or ABSENT."""
_TEXT, _TEXT_OR_NONE = {str}, {str, type(None)}


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


class Records:
    """The records of a page, and what was already picked out of them."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self._inside: dict[str, Values] = {}

    def inside(self, outer: str) -> Values:
        """Return the object that each record holds under a name; {} where it holds none."""
        found = self._inside.get(outer)
        if found is None:
            found = self._inside[outer] = [
                held if type(held := record.get(outer)) is dict else {} for record in self.records
            ]
        return found


def picked(source: str) -> Column:
    """Compile a dotted path, as `cells.path` does for one record."""
    steps = source.split(".")
    if source.startswith("^") or len(steps) > 2:
        find = path(source)
        return lambda page: [find(record) for record in page.records]
    if len(steps) == 1:
        return lambda page: [record.get(source, ABSENT) for record in page.records]
    outer, inner = steps
    return lambda page: [held.get(inner, ABSENT) for held in page.inside(outer)]


def column(field: Field, to_type: Cast, allowed: frozenset[str] = frozenset()) -> Column:
    """Compile a field, as `cells.cell` does for one record; what `cell` would raise, this raises."""
    if not field.source:
        constant = to_type(field.const)
        return lambda page: [constant] * len(page.records)
    finish = among(to_type, allowed) if allowed else to_type
    sources = (field.source,) if isinstance(field.source, str) else field.source
    if len(sources) > 1:
        return _several([picked(s) for s in sources], field.read or first_of, finish)
    pick, read = picked(sources[0]), field.read
    if read is not None:
        return lambda page: _each(lambda value: finish(read(value)), pick(page))
    if finish is text:
        return lambda page: _texts(pick(page))
    if finish is instant:
        return lambda page: [v if v is None or v is ABSENT else instant(v) for v in pick(page)]
    return lambda page: _each(lambda value: None if value is None else finish(value), pick(page))


def _each(function: Callable[[Any], Any], values: Values) -> Values:
    """Apply a function of one value; once for each different text where texts repeat."""
    if set(map(type, values)) <= _TEXT_OR_NONE:
        different = set(values)
        if len(different) * 2 <= len(values):
            known = {value: function(value) for value in different}
            return [known[value] for value in values]
        return [function(value) for value in values]
    return [value if value is ABSENT else function(value) for value in values]


def _several(picks: Sequence[Column], read: Callable[..., Any], finish: Cast) -> Column:
    def get(page: Records) -> Values:
        found = [pick(page) for pick in picks]
        present = dict(without_absent([(str(at), values) for at, values in enumerate(found)]))
        if not present:
            return found[0]
        if len(present) < len(found):
            nothing = [None] * len(page.records)
            found = [present.get(str(at), nothing) for at in range(len(found))]
        if all(set(map(type, values)) <= _TEXT_OR_NONE for values in found):
            given = list(zip(*found, strict=True))
            known: dict[tuple[Any, ...], Any] = {}
            if len(different := set(given)) * 2 <= len(given):
                known = {values: finish(read(*values)) for values in different}
                return [known[values] for values in given]
        return [finish(read(*values)) for values in zip(*found, strict=True)]

    return get


def _texts(values: Values) -> Values:
    kinds = set(map(type, values))
    if kinds <= _TEXT_OR_NONE and "\0" not in "".join(values if kinds <= _TEXT else filter(None, values)):
        return [value or None for value in values] if "" in values else values
    return [value if value is None or value is ABSENT else text(value) for value in values]


def keys(values: Values, prefix: str = "") -> list[str]:
    """Return the ids of a page's rows.

    Raises:
        Unusual: one is missing, of an odd type, or there twice.
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        values = list(map(str, values))
    elif kinds != _TEXT or "" in values:
        raise Unusual
    if len(set(values)) < len(values):
        raise Unusual
    return [prefix + value for value in values] if prefix else values


def without_absent(columns: Sequence[tuple[str, Values]]) -> list[tuple[str, Values]]:
    """Leave out the columns that no record holds.

    Raises:
        Unusual: some records hold a column and others do not.
    """
    kept = []
    for name, values in columns:
        if ABSENT not in values:
            kept.append((name, values))
        elif any(value is not ABSENT for value in values):
            raise Unusual
    return kept


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
