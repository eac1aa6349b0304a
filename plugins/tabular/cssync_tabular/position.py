"""Where an incremental pull begins: the newest value seen of a column that grows, less a lag.

The stored cursor is `{"column": ..., "value": ...}`, the value as the source spells it: a number or text. A time in
the future is stored as the time of the pull, so that one wrong row does not hide all that come after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from cssync.errors import ConnectionFault

NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*")

Position = tuple[str, Any]
"""Kind (number or time) and a value that compares within its kind."""


def stored(where: str, cursor: Mapping[str, Any] | None, column: str) -> Any:
    """Return the value of a stored cursor; None without one, or when another column has become the cursor since.

    Raises:
        ConnectionFault: it is none of ours; nothing is read from the beginning by mistake.
    """
    if cursor is None:
        return None
    value = cursor.get("value")
    if type(value) not in (str, int, float) or not isinstance(cursor.get("column"), str):
        raise ConnectionFault(
            f"{where}: the stored position cannot be read",
            kept="it is unchanged",
            fix="read the stream again from the beginning: `cssync sync CONNECTION --stream STREAM --full`",
        )
    return value if cursor["column"] == column else None


def position(value: Any, zone: tzinfo | None) -> Position | None:
    """Return what a value of the cursor column compares by; None where it has no place in an order."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return "number", Decimal(str(value))
    text = str(value).strip()
    if NUMBER.fullmatch(text):
        return "number", Decimal(text)
    if DAY.fullmatch(text) or TIME.fullmatch(text):
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return None
        return "time", found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=zone or UTC).astimezone(UTC)
    return None


def before(place: Position, lag: int) -> Position:
    """Go back by the lag."""
    kind, value = place
    return kind, value - (timedelta(seconds=lag) if kind == "time" else lag)


def lower(value: Any, lag: int) -> Any:
    """Return the value, in the source's spelling, from which a query reads: at most the stored one less the lag.

    Times as text are cut to whole seconds without zone: shorter text comes first in any order of text.
    """
    if isinstance(value, (int, float)):
        return value - lag
    if DAY.fullmatch(value):
        days = -(-lag // 86_400)
        return (date.fromisoformat(value) - timedelta(days=days)).isoformat()
    if TIME.fullmatch(value):
        try:
            wall = datetime.fromisoformat(value[:19])
        except ValueError:
            return value
        return (wall - timedelta(seconds=lag)).isoformat(sep=value[10])
    return value


def capped(value: Any, now: datetime, zone: tzinfo | None) -> Any:
    """Return the value, or the time `now` (aware) in its spelling when it lies in the future."""
    place = position(value, zone)
    if not isinstance(value, str) or place is None or place[0] != "time" or place[1] <= now:
        return value
    if DAY.fullmatch(value.strip()):
        return now.astimezone(zone or UTC).date().isoformat()
    offset = datetime.fromisoformat(value.strip()).tzinfo or zone or UTC
    wall = now.astimezone(offset).replace(tzinfo=None, microsecond=0).isoformat(sep=value.strip()[10])
    ending = re.search(r"(Z|[+-]\d\d:?\d\d)$", value.strip())
    return wall + (ending[0] if ending else "")
