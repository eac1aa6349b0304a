"""SOQL text and record ids: the one place where values become part of a query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter

from cssync.errors import ConnectionFault

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_zone = attrgetter("tzinfo")
_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def text(value: str) -> str:
    """Return `value` as a quoted SOQL literal that stands for exactly these characters in a comparison with `=`.

    Raises:
        ConnectionFault: a control character that SOQL cannot write.
    """
    found = "".join(_ESCAPES.get(char, char) for char in value)
    if any(ord(char) < 32 or char == "\x7f" for char in found):
        raise ConnectionFault(
            "a value with a control character cannot be looked up in Salesforce",
            kept="no query was sent",
            fix="remove the control character from the value in its source",
        )
    return f"'{found}'"


def instant(moment: datetime) -> str:
    """Return an aware datetime as a SOQL literal in UTC; milliseconds only where there are any."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S") + (f".{utc.microsecond // 1000:03d}Z" if utc.microsecond else "Z")


def moment(stamp: str) -> datetime:
    """Read `2026-05-01T07:25:37.000+0000` or a literal of `instant` as an aware UTC datetime; ValueError otherwise."""
    found = datetime.fromisoformat(stamp)
    if found.tzinfo is None:
        raise ValueError("a point in time without a time zone")
    return found if found.tzinfo is UTC else found.astimezone(UTC)


def moments(stamps: Sequence[str]) -> list[datetime]:
    """Read as `moment` does, many at once."""
    found = list(map(datetime.fromisoformat, stamps))
    return found if {*map(_zone, found)} <= {UTC} else [*map(moment, stamps)]


def name(value: str) -> str:
    """Return an object or field name unchanged.

    Raises:
        ConnectionFault: it is not one, so it must not reach a query or a path.
    """
    if not _NAME.fullmatch(value):
        raise ConnectionFault(
            f"{value[:60]!r} is not a Salesforce field or object name",
            kept="no request was sent",
            fix="write the API name from Setup > Object Manager, such as Account or CS_Health_Score__c",
        )
    return value


def is_id(value: object) -> bool:
    """True for something of the form of a record id."""
    return type(value) is str and len(value) in (15, 18) and value.isascii() and value.isalnum()


def id18(value: str | None) -> str | None:
    """Return a record id in its 18-character form; None for None or "".

    The 15-character form is case-sensitive: its three checksum characters say which letters are capitals.

    Raises:
        ValueError: it is no record id.
    """
    if not value:
        return None
    if type(value) is not str or len(value) not in (15, 18) or not value.isascii() or not value.isalnum():
        raise ValueError("not a Salesforce record id")
    return value if len(value) == 18 else value + checksum(value)


def are_long(ids: Sequence[object]) -> bool:
    """True when all are ids in the 18-character form."""
    try:
        joined = "".join(ids)  # type: ignore[arg-type]  # what is no text is told below
    except TypeError:
        return False
    return set(map(len, ids)) == {18} and joined.isascii() and joined.isalnum()  # type: ignore[arg-type]


def checksum(short: str) -> str:
    """Return the three characters that complete a 15-character id."""
    return "".join(
        _CHECKSUM[sum(1 << bit for bit, char in enumerate(short[start : start + 5]) if "A" <= char <= "Z")]
        for start in (0, 5, 10)
    )


def among(values: Iterable[str]) -> str:
    """Return a parenthesised list of literals for IN; the values must not be empty."""
    return f"({','.join(text(v) for v in values)})"


def select(
    fields: Sequence[str], source: str, where: Sequence[str] = (), order: Sequence[str] = (), limit: int | None = None
) -> str:
    """Return a query; the conditions of `where` must all hold, each is parenthesised where it holds an OR."""
    query = f"SELECT {','.join(name(f) for f in fields)} FROM {name(source)}"
    if where:
        query += f" WHERE {' AND '.join(where)}"
    if order:
        query += f" ORDER BY {','.join(name(f) for f in order)}"
    return query if limit is None else f"{query} LIMIT {limit}"
