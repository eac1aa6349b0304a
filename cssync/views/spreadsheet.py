"""CSV files for people: text that a spreadsheet would run as a formula is made harmless, and the header says so.

Only for files that people open. What goes to a vendor must arrive byte for byte and never passes here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cssync.errors import ConfigError
from cssync.views.terminal import line

TOLD = "text that begins with = + - @ is written with a leading '"
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Also the wide forms, which some spreadsheets in Japanese take for the narrow ones."""
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def cell(value: Any) -> str:
    """Return a value as one cell: on one line, without control characters, never a formula; None is empty."""
    text = "" if value is None else line(str(value))
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows to a new or existing UTF-8 file (with byte order mark, as spreadsheets want it); return their number.

    Raises:
        ConfigError: the file cannot be written.
    """
    count = 0
    try:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([f"{name} ({TOLD})" if name == "name" else name for name in columns])
            for row in rows:
                writer.writerow([cell(row[name]) for name in columns])
                count += 1
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", fix="name another file") from None
    return count
