"""Pack tests that walk several days: the real evaluation, day after day, over a store in memory.

So what rules remember (since when a condition holds, signals that are kept, bands, tiers, tasks) is tested as it runs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.model import ENTITIES, TABLES
from cssync.rules.catalogue import SOURCES
from cssync.rules.compiler import compile_pack
from cssync.rules.evaluate import PackEvaluation
from cssync.rules.packtests import (
    ACCOUNT_COLUMNS,
    as_old_as_its_rows,
    compared,
    context_of,
    entities_named,
    found_in,
    put_accounts,
    put_rows,
)
from cssync.rules.statement import outcome_of
from cssync.rules.testreader import WRITTEN
from cssync.rules.tiers import OUTPUTS as TIER_OUTPUTS
from cssync.rules.tree import Pack, PackTest, RuleSet
from cssync.store.schema import entity_ddl, table_ddl

WORKSPACE = Workspace("test", Path("test.db"), ZoneInfo("UTC"), "USD", Path(), {})


def walked(pack: Pack, rules: RuleSet, test: PackTest) -> Iterator[str]:
    """Yield what is not as the test expects, with the day where it has several."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.row_factory = sqlite3.Row
        for ddl in (d for t in TABLES for d in table_ddl(t)):
            conn.execute(ddl)
        for ddl in (d for e in ENTITIES for d in entity_ddl(e)):
            conn.execute(ddl)
        put_rows(conn, test.rows or {})
        for day in test.days or (test,):
            by = f" on {day.as_of}" if test.days else ""
            yield from compared(day, _day(conn, pack, rules, day), by)


def _day(conn: sqlite3.Connection, pack: Pack, rules: RuleSet, day: PackTest) -> dict[str, Any]:
    """Evaluate a day; returns what it gave, by the names of `then`."""
    conn.execute("DELETE FROM account")
    put_accounts(conn, day, f"{day.as_of}T12:00:00Z")
    context = as_old_as_its_rows(context_of(day), day, conn)
    stated = None
    if day.rows is None:
        stale = {SOURCES[s].entity for s in day.stale}
        given = {k: v for k, v in day.given.items() if k not in ACCOUNT_COLUMNS and "." not in k}
        stated = {n: v for n, v in given.items() if not entities_named(n, rules) & stale}
    statement = compile_pack(pack, rules.features, context, stated=stated)
    one = PackEvaluation(conn, pack, rules, WORKSPACE, context, "test", statement)
    one.run()
    rows = "(SELECT * FROM now UNION ALL SELECT * FROM later)" if pack.each_event else "now"
    judged = conn.execute(f"SELECT * FROM {rows} WHERE uid = 'A' ORDER BY {'event' if pack.each_event else 'uid'}")
    outcomes = [outcome_of(pack, one.statement, row) for row in judged]
    found = found_in(outcomes) if outcomes else {}
    found |= {
        name: json.loads(value)
        for name, value in conn.execute("SELECT substr(name, ?), value FROM result WHERE account_uid = 'A' "
                                        "AND name GLOB ?",
                                        (len(pack.name) + 2, f"{pack.name}.*"))
        if name in (*TIER_OUTPUTS, *WRITTEN)
    }  # fmt: skip
    tasks = conn.execute(
        "SELECT rule, due_on, priority, subject_uid FROM task WHERE account_uid = 'A' AND status = 'open' ORDER BY rule"
    ).fetchall()
    if pack.each_event:
        numbers = dict(conn.execute("SELECT event, number FROM temp.event_number WHERE uid = 'A'").fetchall())
        for event, values in enumerate(found.get("events", ()), 1):
            about = f"A/renewal/{numbers.get(event)}"
            values["tasks"] = [t["rule"] for t in tasks if t["subject_uid"] == about]
            values |= {f"due {t['rule']}": date.fromisoformat(t["due_on"]) for t in tasks if t["subject_uid"] == about}
    found |= {f"due {t['rule']}": date.fromisoformat(t["due_on"]) for t in tasks}
    found |= {f"priority {t['rule']}": t["priority"] for t in tasks}
    signals = conn.execute("SELECT name FROM signal WHERE account_uid = 'A' AND until IS NULL ORDER BY name").fetchall()
    return {**found, "signals": [s["name"] for s in signals], "tasks": sorted(t["rule"] for t in tasks)}
