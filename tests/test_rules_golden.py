"""The SQL of the standard packs is what was reviewed last, on every engine."""

from __future__ import annotations

import difflib
from itertools import islice

from golden_sql import FOLDER, golden, lines

AGAIN = "the SQL of the standard packs changed: see how with `python tests/golden_sql.py`, and commit it if it is meant"


def test_the_statements_of_the_standard_packs_are_the_reviewed_ones() -> None:
    texts = dict(golden())
    assert {path.name for path in FOLDER.iterdir()} == texts.keys()
    for name, text in texts.items():
        kept = (FOLDER / name).read_text(encoding="utf-8")
        moved = difflib.unified_diff(kept.splitlines(), text.splitlines(), name, "now", n=0, lineterm="")
        assert kept == text, "\n".join((AGAIN, *islice(moved, 12)))


def test_lines_break_where_a_column_ends_and_never_within_a_text() -> None:
    column = "CASE WHEN a = 'x, AND (y' AND (b OR c) THEN coalesce(first_of_all, second_of_all) END"
    found = list(lines(f"SELECT {column}, {column} AS named, {column}"))
    assert " ".join(found) == f"SELECT {column}, {column} AS named, {column}"
    assert len(found) > 1
    assert all(line.count("'") % 2 == 0 for line in found)
