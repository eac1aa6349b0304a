"""What every view on a terminal shares: safe text, cells of the right width, bars."""

from __future__ import annotations

import sys
import unicodedata
from typing import IO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

BAND_STYLE = {"green": "green", "yellow": "yellow", "red": "red", "unknown": "bright_black"}
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Unicode categories that can steer a terminal, turn a line around, hide in it or break it."""


def plain(text: str) -> str:
    """Return `text` without control, direction and other invisible characters; newline and tab stay.

    Vendor text reaches a terminal only through here: an escape sequence in a company's name must not steer it.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _UNSAFE)


def line(text: str) -> str:
    """Return `text` safe and on one line, runs of blanks (also wide ones) made one."""
    return " ".join(plain(text).split())


def fit(text: str, width: int) -> str:
    """Return `text` on one line in at most `width` terminal cells, cut with an ellipsis."""
    text = line(text)
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def bar(share: float, width: int, style: str, *, ascii_only: bool = False) -> Text:
    """Return a bar of `share` (0..1) of `width` cells, in eighths of a cell; something is never drawn as nothing."""
    if ascii_only:
        return Text("#" * max(round(share * width), int(share > 0)), style)
    eighths = max(round(share * width * 8), int(share > 0))
    whole, rest = divmod(eighths, 8)
    return Text("█" * whole + " ▏▎▍▌▋▊▉"[rest].strip(), style)


def console(*, file: IO[str] | None = None, width: int | None = None, record: bool = False) -> Console:
    """Return a console for people: 80 to 120 cells wide, without colours where the output is no terminal."""
    target = file or sys.stdout
    found = Console(file=target, width=width, record=record, highlight=False, emoji=False, markup=False)
    if width is None:
        found.width = min(max(found.width, 80), 120) if found.is_terminal else 100
    return found
