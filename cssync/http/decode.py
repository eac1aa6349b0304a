"""JSON from bytes, exactly: integers of any size, decimals that survive, and no body in any message."""

from __future__ import annotations

import json
import logging
import re
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from cssync.errors import ConnectionFault

if TYPE_CHECKING:
    from cssync.connectors.session import Answer

log = logging.getLogger("cssync.http")

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character beyond the first 65,536, as JSON writes it: alone where a vendor cut a text within an emoji."""
SHORT = 16
"""A number written in so many characters has at most 15 digits, and a binary double keeps every decimal of 15 digits:
`Decimal(repr(float(text))) == Decimal(text)`."""


def _number(text: str) -> float | Decimal:
    """Return a float where it keeps what was written, else a Decimal."""
    value = float(text)
    if (len(text) <= SHORT or repr(value) == text) and isfinite(value):
        return value
    exact = Decimal(text)
    return value if Decimal(repr(value)) == exact else exact


@lru_cache(maxsize=64)
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape, float_hook=_number)


def decode(answer: Answer, shape: Any = Any) -> Any:
    """Decode the JSON body of an answer, or what of it has a place in `shape`; see `Answer.json`.

    Integers keep all digits. A number with a fraction or exponent is a float whose `repr` gives the written decimals
    back; one with more digits than a float can hold (a 17-digit amount of money) is a Decimal. Half a
    character is U+FFFD, since no text of ours could hold it.

    An answer to a read that is none of that is asked for again before it is given up.

    Raises:
        ConnectionFault: not JSON (HTML, cut off, empty) or nested too deep; names path and status, never the body.
    """
    try:
        try:
            return _decoder(shape).decode(answer.content)
        except msgspec.ValidationError:
            return _decoder(Any).decode(answer.content)
    except RecursionError:
        why = "answered with JSON that is nested too deep"
    except (msgspec.DecodeError, ValueError, ArithmeticError):
        if _HALF.search(answer.content) or answer.content[:3] == _MARK:
            try:
                return _repaired(answer)
            except (ValueError, ArithmeticError, RecursionError):
                pass
        why = _what_it_is(answer)
    again = getattr(answer, "again", None)
    if again is not None:
        return decode(again(), shape)
    place = urlsplit(answer.url).path or "a request"
    connection = getattr(answer, "connection", "")
    raise ConnectionFault(
        f"{f'connection {connection!r}: ' if connection else ''}{place} {why} (status {answer.status})",
        kept="nothing of this answer was used",
        fix="try again; if it stays, a proxy or login page may answer in the vendor's place: check base_url",
    )


_MARK = b"\xef\xbb\xbf"
"""The byte order mark, which a parser may ignore (RFC 8259, 8.1)."""


def _repaired(answer: Answer) -> Any:
    """Decode an answer that holds half a character; slower, and only where the usual way fails."""
    found = _characters(
        json.loads(answer.content.decode("utf-8-sig"), parse_float=_number, parse_constant=_no_constant)
    )
    if _HALF.search(answer.content):
        log.warning("%s: half characters were replaced by \ufffd", urlsplit(answer.url).path or "an answer")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_characters(item) for item in value]
    if isinstance(value, dict):
        return {_characters(key): _characters(item) for key, item in value.items()}
    return value


def _what_it_is(answer: Answer) -> str:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not answer.content:
        return "answered with an empty body where JSON was expected"
    if kind == "text/html" or answer.content[:200].lstrip()[:1] == b"<":
        return "answered with HTML where JSON was expected"
    return f"answered with {len(answer.content)} bytes that are not valid JSON"
