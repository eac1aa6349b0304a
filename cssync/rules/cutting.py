"""Texts cut to a length, never inside what a reader takes for one character."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

ELLIPSIS = "…"
_JOINER = "\u200d"


def cut(text: str, length: int) -> str:
    """Return `text` within `length` UTF-16 code units (the strictest way vendors count), ending in `…` where it was
    cut; never inside a character: a letter keeps its accents, an emoji its parts."""
    if 2 * len(text) <= length or units(text) <= length:
        return text
    room, kept = length - 1, ""
    for character in _characters(text):
        room -= units(character)
        if room < 0:
            break
        kept += character
    return kept.rstrip() + ELLIPSIS if length > 0 else ""


def units(text: str) -> int:
    """Return the length of a text in UTF-16 code units."""
    return len(text) if text.isascii() else len(text) + sum(ord(c) > 0xFFFF for c in text)


def _characters(text: str) -> Iterator[str]:
    """Yield what a reader takes for one character: a base with its marks, joined emoji, pairs of flag letters."""
    character = ""
    for c in text:
        flag = "\U0001f1e6" <= c <= "\U0001f1ff"
        extends = unicodedata.category(c) in ("Mn", "Me", "Mc") or c == _JOINER or "\U0001f3fb" <= c <= "\U0001f3ff"
        half = flag and len(character) == 1 and "\U0001f1e6" <= character <= "\U0001f1ff"
        if character and not (extends or character.endswith(_JOINER) or half):
            yield character
            character = ""
        character += c
    if character:
        yield character
