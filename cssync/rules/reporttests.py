"""What the `tests:` of a pack say of its reports: a report's lines, the state of what it rests on, how many drafts.

`then` names a report for its lines, in their order, each with the columns that are looked at; `state NAME` and
`drafts NAME` beside it. Rows of several accounts say whose they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.rules.reports import Report
from cssync.rules.tree import Pack, PackTest, RuleSet, Type

WORKSPACE = Workspace("test", Path("test.db"), ZoneInfo("UTC"), "USD", Path(), {})


def told_of(reports: tuple[Report, ...]) -> dict[str, Type]:
    """Names of `then` that are about a report and hold one value, with its type."""
    found: dict[str, Type] = {}
    for report in reports:
        found |= {f"state {report.name}": "text", f"drafts {report.name}": "integer"}
    return found


def split(pack: Pack, test: PackTest) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a test expects of the account, and what of reports."""
    names = {*(r.name for r in pack.reports), *told_of(pack.reports)}
    of_reports = {k: v for k, v in test.then.items() if k in names}
    return {k: v for k, v in test.then.items() if k not in names}, of_reports


def reported(
    pack: Pack, rules: RuleSet, test: PackTest, wanted: Mapping[str, Any], conn: sqlite3.Connection
) -> Iterator[str]:
    """Yield what is not as the test expects of the reports of a pack. conn: the test's rows; it is closed."""
    from cssync.rules.drafts import drafted
    from cssync.rules.packtests import as_old_as_its_rows, context_of
    from cssync.rules.reporting import tabled

    with closing(conn):
        context = as_old_as_its_rows(context_of(test), test, conn)
        for report in pack.reports:
            names = (report.name, *told_of((report,)))
            if not wanted.keys() & {*names}:
                continue
            table = tabled(conn.execute, WORKSPACE, rules, pack, report, context)
            lines = [{k: _plain(v) for k, v in row.items()} for row in table.rows]
            found = (lines, table.state, len(list(drafted(report, table))))
            for name, value in zip(names, found, strict=True):
                if name in wanted:
                    yield from _unlike(name, wanted[name], value)


def _plain(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _unlike(name: str, wanted: Any, found: Any) -> Iterator[str]:
    if not isinstance(found, list):
        if wanted != found:
            yield f"{name}: expected {wanted}, found {found}"
        return
    if len(wanted) != len(found):
        yield f"{name}: expected {len(wanted)} lines, found {len(found)}: {found}"
        return
    for n, (line, row) in enumerate(zip(wanted, found, strict=True), 1):
        for column, value in line.items():
            if _plain(value) != row[column]:
                yield f"{name}, line {n}, {column}: expected {value}, found {row[column]}"
