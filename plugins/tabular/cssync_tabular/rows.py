"""What every source gives: columns, then rows one after another, none of them kept."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cssync.connectors import Unreadable
from cssync.errors import ConnectionFault

Row = Mapping[str, Any]
Item = Row | Unreadable


@dataclass(frozen=True, slots=True)
class Source:
    """An open file or result. columns: those of the header, None where each row names its own (JSON Lines)."""

    columns: tuple[str, ...] | None
    items: Iterator[Item]


def torn(place: str, why: str, text: object) -> Unreadable:
    """A row that cannot be taken apart; `text` is what is seen of it, cut to 10,000 characters."""
    shown = str(text)[:10_000].encode("utf-8", "backslashreplace").decode()
    return Unreadable(f"{place}: {why}", {"place": place, "text": shown})


def missing(wanted: Iterable[str], columns: Iterable[str]) -> list[str]:
    """Return the wanted columns that are not there."""
    there = set(columns)
    return [name for name in dict.fromkeys(wanted) if name not in there and name.split(".")[0] not in there]


def must_have(where: str, wanted: Iterable[str], columns: Iterable[str], hint: str = "") -> None:
    """Hold a header against the columns that the configuration names.

    Raises:
        ConnectionFault: one is not there; names it, and the one that was perhaps meant.
    """
    columns = list(columns)
    gone = missing(wanted, columns)
    if not gone:
        return
    near = difflib.get_close_matches(gone[0], columns, 1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise ConnectionFault(
        f"{where}: has no column {', '.join(map(repr, gone))}{guess} (it has {', '.join(columns[:30]) or 'none'})",
        kept="nothing was read or deleted",
        fix=hint or "put the column back, or change `fields:`, `key`, `cursor` or `deleted` of the table",
    )


def must_be_distinct(where: str, columns: Iterable[str]) -> None:
    """Refuse a header in which a name stands twice.

    Raises:
        ConnectionFault: names it.
    """
    names = [c for c in columns if c]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConnectionFault(
            f"{where}: column {twice[0]!r} is there twice",
            kept="nothing was read or deleted",
            fix="give each column a name of its own (`AS` in a query)",
        )
