"""Fields compiled into functions of a record: path, vendor's reading, cast and allowed values in one call.

A pull spends most of its own CPU here, so the usual shapes (one or two steps, no `read`) have functions of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cssync.connectors import ABSENT, Field, Record

Cell = Callable[[Record], Any]
Cast = Callable[[Any], Any]


def path(source: str) -> Cell:
    """Compile a dotted path. Inside `each`, a path is looked up in the item; `^` climbs to the record."""
    parts = source.removeprefix("^").split(".")
    climbs = source.startswith("^")

    def walk(record: Any) -> Any:
        if climbs:
            record = record.get("^", record)
        for part in parts:
            if type(record) is not dict or part not in record:
                return ABSENT
            record = record[part]
        return record

    if climbs or len(parts) > 1:
        return walk
    name = parts[0]
    return lambda record: record.get(name, ABSENT)


def cell(field: Field, to_type: Cast, allowed: frozenset[str] = frozenset()) -> Cell:
    """Compile a field: the function returns ABSENT, None or the value in its column's type, and raises on a bad one."""
    if not field.source:
        constant = to_type(field.const)
        return lambda record: constant
    finish = among(to_type, allowed) if allowed else to_type
    sources = (field.source,) if isinstance(field.source, str) else field.source
    if len(sources) > 1:
        return _several([path(s) for s in sources], field.read or first_of, finish)
    steps = sources[0].split(".")
    if field.read is not None or len(steps) > 2 or sources[0].startswith("^"):
        return _one(path(sources[0]), field.read, finish)
    return _two_steps(steps[0], steps[1], finish) if len(steps) == 2 else _one_step(steps[0], finish)


def _one_step(name: str, finish: Cast) -> Cell:
    def get(record: Record) -> Any:
        value = record.get(name, ABSENT)
        return value if value is ABSENT or value is None else finish(value)

    return get


def _two_steps(outer: str, inner: str, finish: Cast) -> Cell:
    def get(record: Record) -> Any:
        held = record.get(outer)
        if type(held) is not dict:
            return ABSENT
        value = held.get(inner, ABSENT)
        return value if value is ABSENT or value is None else finish(value)

    return get


def _one(find: Cell, read: Cast | None, finish: Cast) -> Cell:
    def get(record: Record) -> Any:
        value = find(record)
        if value is ABSENT:
            return value
        return finish(value if read is None else read(value))

    return get


def _several(finds: list[Cell], read: Callable[..., Any], finish: Cast) -> Cell:
    def get(record: Record) -> Any:
        values = [find(record) for find in finds]
        if ABSENT in values:
            if values.count(ABSENT) == len(values):
                return ABSENT
            values = [None if v is ABSENT else v for v in values]
        return finish(read(*values))

    return get


def first_of(*values: Any) -> Any:
    """Return the first value that is not empty."""
    return next((v for v in values if v is not None and v != ""), None)


def among(to_type: Cast, allowed: frozenset[str]) -> Cast:
    """Compile a cast whose result must be one of the allowed values, whatever its case."""

    def get(value: Any) -> Any:
        found = to_type(value)
        if found is None or found in allowed:
            return found
        folded = found.strip().casefold()
        if folded not in allowed:
            raise ValueError(f"not one of {', '.join(sorted(allowed))}")
        return folded

    return get
