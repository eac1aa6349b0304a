"""Cells as files and databases hold them -> values that the core casts: JSON types only, and no time without zone.

A value that cannot be understood is passed on as it is: the core quarantines its record and says why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, tzinfo
from typing import Any

import msgspec

from cssync.model import ENTITY

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?.*")
INT64 = 2**63
PLAIN = (str, int, bool, type(None))


def plain(value: Any) -> Any:
    """Return a cell as JSON can hold it, digits unchanged: decimals, times and ids become text."""
    if type(value) in PLAIN:
        return value if type(value) is not int or -INT64 <= value < INT64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        held = bytes(value)
        try:
            return held.decode()
        except UnicodeDecodeError:
            return held.hex()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value)


Reading = Callable[[Any], Any]


def reading(target: str, zone: tzinfo | None) -> Reading | None:
    """Return what is peculiar about values of `entity.column`, None where they are taken as they are."""
    entity, _, name = target.partition(".")
    column = ENTITY[entity].column(name)
    if column is None:
        return None
    if column.type == "instant" and zone is not None:
        return lambda value: zoned(value, zone)
    if column.type == "date":
        return wall_date
    if name == "domains":
        return domains
    if column.type == "json":
        return structure
    if name == "email":
        return lambda value: value.strip().lower() if isinstance(value, str) else value
    return None


def zoned(value: Any, zone: tzinfo) -> Any:
    """Give a time without zone the one of the settings."""
    found = instant(value)
    return found.replace(tzinfo=zone).isoformat() if found and found.tzinfo is None else value


def instant(value: Any) -> datetime | None:
    """Read ISO text with a time of day, aware or not; None for anything else."""
    if not isinstance(value, str) or not TIME.fullmatch(value.strip()):
        return None
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        return None


def wall_date(value: Any) -> Any:
    """The date of a time without zone is the one it shows."""
    found = instant(value)
    return found.date().isoformat() if found and found.tzinfo is None else value


def structure(value: Any) -> Any:
    """JSON text as what it says; other text as a list, parted at commas and semicolons."""
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            raise ValueError("looks like JSON and is none") from None
    return [part.strip() for part in re.split("[,;]", value) if part.strip()] or None


def domains(value: Any) -> Any:
    """Company domains, lower case and sorted; web addresses are cut to their host."""
    found = structure(value)
    if not isinstance(found, list):
        return found
    hosts = {re.sub(r"^[a-z]+://|[/:?#].*$", "", re.sub(r"^.*@", "", str(item).strip().lower())) for item in found}
    return sorted(h for h in hosts if h) or None


def truth(value: Any) -> bool:
    """Whether a mark of deletion is set."""
    return value is not None and str(value).strip().lower() not in ("", "0", "false", "no", "f", "n")
