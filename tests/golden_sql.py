"""The SQL of the standard packs as it is kept for review: `python tests/golden_sql.py` writes it anew.

`tests/golden/` holds what an evaluation runs, per engine: the tables that packs share, then a statement per pack, lines
broken where a column or condition ends. Of DuckDB, which nearly speaks PostgreSQL, only what differs is kept.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

from cssync.rules.catalogue import SOURCES
from cssync.rules.compiler import compile_pack, fact_tables, source_passes
from cssync.rules.dialects import DIALECTS
from cssync.rules.freshness import Context, Freshness
from cssync.rules.loading import load_folders

FOLDER = Path(__file__).parent / "golden"
WHOLE = ("sqlite", "postgres", "spark")
AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
LATE = datetime(2026, 11, 17, 12, tzinfo=UTC)
"""Invoices and surveys are stale, so that what is held is in the statements, too."""


def context() -> Context:
    """Tokyo, a day of usage that is incomplete for all, a contract master: everything that puts words into the SQL."""
    fresh = {t.entity: Freshness("ok", AS_OF) for t in SOURCES.values()}
    stale = dict.fromkeys(("invoice", "survey_response"), Freshness("stale", LATE, LATE))
    gaps = {("crm", "active_users"): (date(2026, 11, 3),)}
    return Context(AS_OF, ZoneInfo("Asia/Tokyo"), "JPY", {**fresh, **stale}, gaps=gaps, masters={"contract": "crm"})


def statements(dialect: str) -> Iterator[tuple[str, str]]:
    """Yield (name, SQL) of all that an evaluation of the standard packs runs on an engine."""
    rules, c, d = load_folders([("standard", files("cssync_rules"))]), context(), DIALECTS[dialect]
    shared = fact_tables(rules.packs, rules.features, c, d)
    shared |= source_passes(rules.packs, rules.features, {p.name: c for p in rules.packs}, d)
    yield from shared.items()
    for pack in rules.packs:
        yield pack.name, compile_pack(pack, rules.features, c, d, shared=tuple(shared)).sql


def lines(sql: str) -> Iterator[str]:
    """Break a statement where one column or condition ends, so that a change of one is a line of a diff."""
    line, depth, quoted = "", 0, False
    for letter in " ".join(sql.split()):
        quoted ^= letter == "'"
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        line += letter
        if not quoted and depth <= 1 and line.endswith((", ", " AND ", " OR ")) and len(line) > 60:
            yield line.rstrip()
            line = ""
    yield line


def whole(dialect: str) -> list[str]:
    """Return the lines of an engine's file."""
    return [f"{line}\n" for name, sql in statements(dialect) for line in (f"-- {name}", *lines(sql), ";", "")]


def golden() -> Iterator[tuple[str, str]]:
    """Yield (file name, text) of every file."""
    texts = {dialect: whole(dialect) for dialect in DIALECTS}
    for dialect in WHOLE:
        yield f"{dialect}.sql", "".join(texts[dialect])
    found = difflib.unified_diff(texts["postgres"], texts["duckdb"], "postgres.sql", "duckdb.sql", n=0)
    yield "duckdb.diff", "".join(found)


if __name__ == "__main__":
    for name, text in golden():
        (FOLDER / name).write_text(text, encoding="utf-8")
