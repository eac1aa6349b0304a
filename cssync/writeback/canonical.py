"""One form for equal values, whatever a vendor makes of them on the way.

A value that a vendor returns as `"82.0"` is the 82 we sent; `""` is an empty field; `U01;K03` is the set we sent as a
list. Two values are equal when their canonical forms are; nothing else in the write-back compares values.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from cssync.rules.texts import end_of

Kind = Literal["number", "text", "date", "bool", "multi"]
Canonical = str | tuple[str, ...] | None
"""None is an empty field; a multi-value is a sorted tuple; everything else is text."""

KINDS: dict[str, Kind] = {
    "integer": "number", "real": "number", "money": "number", "number": "number", "percent": "number",
    "text": "text", "enum": "text", "date": "date", "bool": "bool", "multi": "multi",
}  # fmt: skip
"""Type of a written field (`OwnField.type`) -> how its values compare."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TRUE, _FALSE = frozenset(("true", "1", "yes")), frozenset(("false", "0", "no"))


def canonical(value: Any, kind: Kind | None = None) -> Canonical:
    """Return the canonical form of a value; without a `kind` it is guessed from the value (`kind_of`).

    A value that does not fit its kind (a number field that holds `n/a`) compares as trimmed text: it is never equal
    to a proper one, and never an error.
    """
    if value is None:
        return None
    kind = kind or kind_of(value)
    if kind == "multi":
        return _multi(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _multi(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = unicodedata.normalize("NFC", str(value)).replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        return None
    if kind == "number":
        return _number(text)
    if kind == "date":
        return _date(text)
    if kind == "bool":
        folded = text.casefold()
        return "true" if folded in _TRUE else "false" if folded in _FALSE else text
    return text


def kind_of(*values: Any) -> Kind:
    """Guess how values compare from the first one that tells: number, bool, list or `YYYY-MM-DD`; else text."""
    for value in values:
        if isinstance(value, bool):
            return "bool"
        if isinstance(value, (int, float, Decimal)):
            return "number"
        if isinstance(value, (list, tuple, set, frozenset)):
            return "multi"
        if isinstance(value, str) and _DAY.fullmatch(value):
            return "date"
    return "text"


def same(a: Any, b: Any, kind: Kind | None = None) -> bool:
    """Whether two values are one; without a `kind` it is guessed from both."""
    kind = kind or kind_of(a, b)
    return canonical(a, kind) == canonical(b, kind)


def altered(sent: Any, held: Any, kind: Kind | None = None) -> bool:
    """Whether `held` is what a vendor may have made of `sent`: re-cased, re-spaced, rounded or cut off."""
    kind = kind or kind_of(sent, held)
    a, b = canonical(sent, kind), canonical(held, kind)
    if a == b or a is None or b is None or isinstance(a, tuple) or isinstance(b, tuple):
        return a == b
    if kind == "number":
        try:
            exponent = Decimal(b).as_tuple().exponent
            digits = -exponent if isinstance(exponent, int) and exponent < 0 else 0
            return abs(Decimal(a) - Decimal(b)) < Decimal(1).scaleb(-digits)
        except InvalidOperation:
            return False
    end = end_of(a)
    if end and b.endswith(end):  # what we cut to fit keeps its end
        a, b = a.removesuffix(end), b.removesuffix(end)
    left, right = ("".join(text.casefold().split()) for text in (a, b))
    return left == right or (len(right) >= 20 and left.startswith(right.rstrip("….")))


def _number(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > 40:
        return text
    if number == 0:
        return "0"
    return format(number.normalize(), "f")


def _date(text: str) -> str:
    """A date, a midnight as ISO text, or epoch milliseconds -> `YYYY-MM-DD`."""
    if text.lstrip("-").isdigit() and len(text) >= 10:
        try:
            return datetime.fromtimestamp(int(text) / 1000, UTC).date().isoformat()
        except (OverflowError, OSError, ValueError):
            return text
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return text


def _multi(value: Any) -> tuple[str, ...] | None:
    parts: Iterable[Any] = value.split(";") if isinstance(value, str) else value if _many(value) else (value,)
    found = {unicodedata.normalize("NFC", str(part)).strip() for part in parts if part is not None}
    return tuple(sorted(found - {""})) or None


def _many(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset))
