"""A report of a pack for people: as a table on the terminal, and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cssync.rules.reporting import Table
from cssync.views.kpi import amount
from cssync.views.terminal import line

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$:@=-])")
_LINK = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+", re.ASCII)


def document(table: Table) -> dict[str, Any]:
    """Return the document of `--json`: money in minor units of `currency`, shares as fractions, lists as lists."""
    return {
        "pack": table.pack,
        "report": table.report,
        "title": table.title,
        "as_of": table.as_of,
        "currency": table.currency,
        "columns": [{"name": name, "type": kind} for name, kind in table.columns.items()],
        "rows": [dict(row) for row in table.rows],
        "more": table.more,
        "notes": list(table.notes),
        "state": table.state,
    }


def head(table: Table) -> str:
    """Return the line above a table."""
    return f"{table.report}  {line(table.title)}  ({_about(table)})"


def _about(table: Table) -> str:
    money = f"; money in {table.currency}" if "money" in table.columns.values() else ""
    return f"as of {table.as_of}{money}"


def cells(table: Table) -> Iterator[list[Any]]:
    """Yield the cells of each row: whole numbers stay numbers, everything else is text on one line."""
    for row in table.rows:
        yield [_cell(row[name], kind, table.currency) for name, kind in table.columns.items()]


def _cell(value: Any, kind: str, currency: str) -> Any:
    if value is None:
        return "unknown" if kind == "text" else None
    if kind == "list":
        return "; ".join(line(str(v)) for v in value)
    if kind == "money":
        return amount(value, currency)
    if kind == "share":
        return f"{value * 100:.0f} %"
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return line(str(value)) if isinstance(value, str) else value


def foot(table: Table) -> Iterator[str]:
    """Yield the lines below a table: what is not in it."""
    if not table.rows:
        yield "nothing to report"
    if table.more:
        yield f"and {table.more:,} more"
    yield from (line(note) for note in table.notes)


def markdown(tables: Iterable[Table]) -> Iterator[str]:
    """Yield the lines of a Markdown file. What customers wrote is text in it: no markup, no HTML, links https only."""
    for table in tables:
        yield from (f"## {_escaped(table.title)}", "", f"{_escaped(f'Report {table.report}')}, {_about(table)}.", "")
        if table.rows:
            yield f"| {' | '.join(_escaped(name) for name in table.columns)} |"
            yield f"|{'---|' * len(table.columns)}"
            for row in table.rows:
                shown = (_marked(row, name, kind, table.currency) for name, kind in table.columns.items())
                yield f"| {' | '.join(shown)} |"
            yield ""
        for told in foot(table):
            yield from (_escaped(told), "")


def _marked(row: Mapping[str, Any], name: str, kind: str, currency: str) -> str:
    value = row[name]
    if kind == "list" and value:
        return "<br>".join(_item(line(str(v))) for v in value)
    shown = _cell(value, kind, currency)
    return "" if shown is None else _escaped(str(shown))


def _item(text: str) -> str:
    return f"<{text}>" if _LINK.fullmatch(text) and "|" not in text else _escaped(text)


def _escaped(text: str) -> str:
    """Return text as it reads: every character that Markdown or HTML would take for its own is escaped."""
    return _MARKUP.sub(r"\\\1", line(text)).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")
