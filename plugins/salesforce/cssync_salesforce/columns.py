"""Rows of a bulk job's CSV as the records that a query would give: typed by the description, parents nested."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import islice
from math import isfinite
from typing import Any

from cssync.connectors import ByColumn, Session
from cssync.errors import ConnectionFault, TransientFault
from cssync_salesforce.shape import Shape, shape

csv.field_size_limit(2**24)
COMPOUND = ("address", "location")
"""Kinds of fields that a bulk query refuses; their parts are read instead."""
AT_ONCE = 2_000
"""Rows whose columns are read together: as many as are handed on together."""
Read = Callable[[str], Any]
Values = list[Any]


def number(written: str) -> Any:
    """Return an integer of any size, a float where it keeps what was written, else a Decimal; no number: the text."""
    if written.removeprefix("-").isdecimal():
        return int(written)
    try:
        value, exact = float(written), Decimal(written)
    except (ValueError, InvalidOperation):
        return written
    return value if isfinite(value) and Decimal(repr(value)) == exact else exact if exact.is_finite() else written


def truth(written: str) -> Any:
    """Return true or false as a bool, anything else as it is."""
    return {"true": True, "false": False}.get(written, written)


READ: Mapping[str, Read] = {
    "boolean": truth, "int": number, "long": number, "double": number, "currency": number, "percent": number,
}  # fmt: skip
"""describe type -> how its text becomes a value; dates and instants are text in both APIs."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What a bulk query selects and where each value goes.

    names: columns. reads: those that are not text. nested: column -> path of two or more steps in the record.
    plain: columns that are wanted by their own name, nested or not.
    """

    names: tuple[str, ...]
    reads: Mapping[str, Read]
    nested: Mapping[str, tuple[str, ...]]
    plain: frozenset[str]

    def records(self, content: bytes, skip: int = 0) -> Iterator[ByColumn]:
        """Yield the records of a result page behind the first `skip`, AT_ONCE at a time; an empty cell is null.

        Raises:
            ValueError, csv.Error: it is not the CSV that was asked for. The text names no value.
        """
        rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), strict=True)
        header = next(rows, [])
        if sorted(header) != sorted(self.names):
            raise ValueError("its columns are not those of the query")
        for _ in islice(rows, skip):
            pass
        while part := list(islice(rows, AT_ONCE)):
            odd = next((row for row in part if len(row) != len(header)), None)
            if odd is not None:
                raise ValueError(f"a row up to line {rows.line_num} has {len(odd)} of {len(header)} columns")
            cells = zip(*part, strict=True)
            columns = {name: self._values(name, column) for name, column in zip(header, cells, strict=True)}
            yield ByColumn(self._nested(columns, len(part)), len(part))

    def _nested(self, columns: dict[str, Values], size: int) -> dict[str, Values]:
        """Put the fields of parents, and the parts of compound fields, where a query has them."""
        parents: dict[str, list[dict[str, Any]]] = {}
        for name, (head, *path, last) in self.nested.items():
            records = parents.setdefault(head, [{} for _ in range(size)])
            for record, value in zip(records, columns[name], strict=True):
                for step in path:
                    record = record.setdefault(step, {})
                record[last] = value
        inside = {name for name in self.nested if "." in name or name not in self.plain}
        return {**{name: held for name, held in columns.items() if name not in inside}, **parents}

    def _values(self, name: str, cells: Sequence[str]) -> Values:
        """Return the values of a column; each different text is read once."""
        read = self.reads.get(name)
        if read is None:
            return [cell or None for cell in cells] if "" in cells else list(cells)
        known = {cell: read(cell) if cell else None for cell in set(cells)}
        return list(map(known.__getitem__, cells))


def columns(session: Session, seen: Shape, system: Sequence[str], fields: Iterable[str]) -> Columns:
    """Return the columns for these fields; one request for each parent object whose fields are among them."""
    reads: dict[str, Read] = {}
    nested: dict[str, tuple[str, ...]] = {}
    names: dict[str, None] = {}
    parents: dict[str, Shape | None] = {}
    wanted = (*system, *fields)
    for field in wanted:
        head, _, rest = field.partition(".")
        if rest:
            parents.setdefault(head, None if head in parents else _parent(session, seen, head))
            kind = _kind(parents[head], rest)
            nested[field] = tuple(field.split("."))
            parts = {field: kind}
        elif seen.fields.get(field, {}).get("type") in COMPOUND:
            found = _parts(seen, field)
            nested.update((name, (field, part)) for name, part in found.items())
            parts = {name: seen.fields[name].get("type") for name in found}
        else:
            parts = {field: seen.fields.get(field, {}).get("type")}
        for name, kind in parts.items():
            names[name] = None
            if kind in READ:
                reads[name] = READ[kind]
    return Columns(tuple(names), reads, nested, frozenset(wanted))


def _parts(seen: Shape, compound: str) -> dict[str, str]:
    """Return the fields that a compound one consists of, and what each is called inside it (`postalCode`)."""
    stem = compound.removesuffix("__c") + "__" if compound.endswith("__c") else compound.removesuffix("Address")
    found = (n for n, f in seen.fields.items() if f.get("compoundFieldName") == compound and n != compound)
    inner = {name: name.removeprefix(stem).removesuffix("__s") for name in found}
    return {name: part[:1].lower() + part[1:] for name, part in inner.items()}


def _parent(session: Session, seen: Shape, relation: str) -> Shape | None:
    """Return the shape of the object that a relationship leads to; None for one that may not be described."""
    for field in seen.fields.values():
        if field.get("relationshipName") == relation and field.get("referenceTo"):
            try:
                return shape(session, str(field["referenceTo"][0]))
            except TransientFault:
                raise
            except ConnectionFault:
                return None
    return None


def _kind(parent: Shape | None, path: str) -> Any:
    return parent.fields.get(path, {}).get("type") if parent else None
