"""A vendor's value -> the declared type of a column.

Each function returns None for an empty value and raises ValueError, in words for the admin, for one it cannot read.
Nothing is guessed: `5,0` is no number, `2026-13-01` is no date.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cssync.model import decimals

INT64 = 2**63


def text(value: Any) -> str | None:
    """Text without NUL; "" is None. Whole numbers become their digits."""
    if type(value) is str:
        return (value.replace("\0", "") if "\0" in value else value) or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    raise ValueError("a single value was expected, not a list or an object")


def number(value: Any) -> Decimal | None:
    """A finite decimal number of sane size, exactly as written."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool):
        raise ValueError("a number was expected, not true or false")
    try:
        found = Decimal(str(value).strip()) if not isinstance(value, (int, Decimal)) else Decimal(value)
    except (InvalidOperation, ValueError):
        raise ValueError("not a number") from None
    if not found.is_finite() or abs(found.adjusted()) > 30:
        raise ValueError("not a number of usable size")
    return found


def integer(value: Any) -> int | None:
    """A whole number that fits 64 bits; `5000.00` is 5000."""
    if type(value) is int and -INT64 <= value < INT64:
        return value
    if type(value) is str and len(value) < 19 and value.isascii() and value.isdigit():
        return int(value)
    found = number(value)
    if found is None:
        return None
    if found != found.to_integral_value() or not -INT64 <= found < INT64:
        raise ValueError("not a whole number")
    return int(found)


def real(value: Any) -> float | None:
    """A finite number."""
    if type(value) is float and math.isfinite(value):
        return value
    found = number(value)
    return None if found is None else float(found)


TRUTH = {"true": 1, "false": 0, "1": 1, "0": 0, "yes": 1, "no": 0}


def boolean(value: Any) -> int | None:
    """1 or 0."""
    if value is None or value == "":
        return None
    found = TRUTH.get(str(value).strip().lower())
    if found is None:
        raise ValueError("neither true nor false")
    return found


def moment(value: Any) -> datetime:
    """Read ISO 8601 with an offset, or epoch seconds or milliseconds, as an aware UTC datetime."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    raw = str(value).strip()
    if raw.isdecimal() and 9 <= len(raw) <= 14:
        return datetime.fromtimestamp(int(raw) / (1000 if len(raw) > 11 else 1), UTC)
    try:
        parsed = datetime.fromisoformat(raw)
    except ValueError:
        raise ValueError("not a point in time") from None
    if parsed.tzinfo is None:
        if len(raw) > 10:
            raise ValueError("a point in time without a time zone")
        parsed = parsed.replace(tzinfo=UTC)
    try:
        return parsed.astimezone(UTC)
    except OverflowError:  # in the first or last hours of the calendar
        raise ValueError("not a point in time") from None


def stamp(value: datetime) -> str:
    """Write an aware datetime the way the store does: UTC, whole seconds, `Z`."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def instant(value: Any) -> str | None:
    """A point in time in the store's form."""
    if type(value) is str and len(value) > 19 and value[10] == "T" and value.endswith(("Z", "+0000", "+00:00")):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("not a point in time") from None
        return value[:19] + "Z"
    return None if value is None or value == "" else stamp(moment(value))


def day(value: Any, zone: ZoneInfo) -> str | None:
    """A calendar date. A datetime at midnight UTC is that date; any other one is the date in `zone`."""
    if value is None or value == "":
        return None
    raw = str(value).strip()
    if len(raw) == 10:
        try:
            return date.fromisoformat(raw).isoformat()
        except ValueError:
            if not raw.isdigit():
                raise ValueError("not a date") from None
    found = moment(raw)
    if (found.hour, found.minute, found.second) == (0, 0, 0):
        return found.date().isoformat()
    try:
        return found.astimezone(zone).date().isoformat()
    except OverflowError:  # `9999-12-31T23:59:59Z`, a vendor's "for ever", has no next day
        return found.date().isoformat()


def minor_units(amount: Decimal | None, currency: str) -> int | None:
    """An amount in major units -> whole minor units of its currency, rounded half-up; raises for more than 64 bits."""
    if amount is None:
        return None
    found = int((amount * 10 ** decimals(currency)).to_integral_value(ROUND_HALF_UP))
    if not -INT64 <= found < INT64:
        raise ValueError("not an amount of usable size")
    return found


def jsontext(value: Any) -> str | None:
    """JSON text with sorted keys, so that equal values are equal text."""
    return None if value is None else _json.encode(value).decode()


def jsonlines(values: Sequence[Any]) -> list[Any]:
    """Write many values, none of them None, as `jsontext` does: no JSON text of ours holds a line break."""
    return _json.encode_lines(values).decode().split("\n")[:-1]


_json = msgspec.json.Encoder(order="sorted", enc_hook=str)

SIMPLE: dict[str, Callable[[Any], Any]] = {
    "text": text,
    "integer": integer,
    "real": real,
    "bool": boolean,
    "instant": instant,
    "json": jsontext,
}
"""Casts that need nothing but the value; dates need the zone, money its currency."""
