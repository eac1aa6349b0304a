"""Records of a page by column: what a connector hands over where the vendor's answer gives them that way.

A record of a plain list is an object with the same fields as all others. To decode it into a dict, and to take the
values out again a column at a time, costs more than all that is done with the values. `Listing` decodes into columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any, overload

import msgspec

from cssync.connectors.session import Answer

Values = list[Any]


class Absent:
    """The type of ABSENT alone, so that a column's types tell whether some record lacks it."""


ABSENT: Any = Absent()
"""The record does not hold the field: the stored value stays."""


class ByColumn(Sequence[dict[str, Any]]):
    """The records of a page. As a sequence it gives them one by one, as dicts that are made when they are asked for.

    columns: field -> its value in each record, ABSENT where the record lacks it. whole: whether no record lacks any.
    """

    __slots__ = ("_size", "columns", "whole")

    def __init__(self, columns: Mapping[str, Values], size: int, *, whole: bool = True) -> None:
        self.columns = columns
        self.whole = whole
        self._size = size

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]]) -> ByColumn:
        """Take records that are there as dicts."""
        names = dict.fromkeys(name for record in records for name in record)
        whole = all(len(record) == len(names) for record in records)
        columns = {name: [record.get(name, ABSENT) for record in records] for name in names}
        return cls(columns, len(records), whole=whole)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[dict[str, Any]]: ...

    def __getitem__(self, at: int | slice) -> dict[str, Any] | Sequence[dict[str, Any]]:
        if isinstance(at, slice):
            return list(self)[at]
        return {name: held for name, values in self.columns.items() if (held := values[at]) is not ABSENT}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self.columns:
            return iter([{} for _ in range(self._size)])
        rows = zip(*self.columns.values(), strict=True)
        if self.whole:
            return (dict(zip(self.columns, row, strict=True)) for row in rows)
        return ({n: held for n, held in zip(self.columns, row, strict=True) if held is not ABSENT} for row in rows)

    def column(self, name: str) -> Values:
        """Return the value of a field in each record, ABSENT where the record lacks it."""
        found = self.columns.get(name)
        return [ABSENT] * self._size if found is None else found

    def having(self, **columns: Values) -> ByColumn:
        """Return the records with these fields set."""
        return ByColumn({**self.columns, **columns}, self._size, whole=self.whole)

    def only(self, keep: Sequence[bool]) -> ByColumn:
        """Return the records to keep."""
        columns = {name: list(compress(values, keep)) for name, values in self.columns.items()}
        return ByColumn(columns, sum(keep), whole=self.whole)


class Listing:
    """An answer that lists flat records, of which only these fields are wanted.

    key: under which the list stands. beside: what else of the answer is wanted.
    """

    def __init__(self, key: str, fields: Sequence[str], beside: Sequence[str] = ()) -> None:
        self.key = key
        self.fields = tuple(fields)
        self.beside = tuple(beside)
        # Names of our own, since a vendor's need not be one that Python takes.
        record = msgspec.defstruct(
            "Record", [(f"f{at}", Any, msgspec.field(name=name)) for at, name in enumerate(self.fields)], gc=False
        )
        self._get = {name: attrgetter(f"f{at}") for at, name in enumerate(self.fields)}
        optional = [(f"b{at}", Any, msgspec.field(name=name, default=ABSENT)) for at, name in enumerate(self.beside)]
        self._body = msgspec.defstruct("Body", [("listed", list[record], msgspec.field(name=key)), *optional])  # type: ignore[valid-type]

    def read(self, answer: Answer) -> tuple[Any, Sequence[Any]]:
        """Return what stands beside the list, and the records: by column where each is an object that holds all the
        fields. Any other body is decoded whole, and its records are taken as they are.

        Raises:
            ConnectionFault: as `Answer.json`.
        """
        found = answer.json(self._body)
        if not isinstance(found, self._body):
            return found, found.get(self.key, ()) if isinstance(found, Mapping) else ()
        records: list[Any] = found.listed  # type: ignore[attr-defined]
        beside = {name: held for at, name in enumerate(self.beside) if (held := getattr(found, f"b{at}")) is not ABSENT}
        return beside, ByColumn({name: list(map(get, records)) for name, get in self._get.items()}, len(records))
