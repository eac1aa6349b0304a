"""Take an evaluation back: what it wrote goes, and what it changed is again what it was before, from the journal.

For one that is done once more at the very same as_of: the second one must leave what it would have left alone.
"""

from __future__ import annotations

import sqlite3

from cssync.model import TABLES, Table
from cssync.store.journal import key_of, quote

EVALUATION = "evaluation"
KNOWN_OUTSIDE = (
    "SELECT field FROM (SELECT field FROM written UNION ALL SELECT field FROM outbox UNION ALL "
    "SELECT field FROM plan_change) WHERE field IS NOT NULL"
)
"""Keys of tasks that a CRM or a plan may know: such a task is not forgotten, but closed if it has to be."""


def retract(conn: sqlite3.Connection, as_of: str) -> bool:
    """Take the evaluation of a stored instant back; False where there is none. It has to be the newest one."""
    if not conn.execute("SELECT 1 FROM evaluation WHERE as_of = ?", (as_of,)).fetchone():
        return False
    for table in TABLES:
        if table.past.clock == "evaluation" and table.name != EVALUATION:
            _back(conn, table, as_of)
        elif table.past.clock == "between":  # what changed since then was there for the evaluation that comes now
            last = "coalesce((SELECT max(as_of) FROM evaluation WHERE as_of < ?1), '')"
            here = "WHERE name = ?2 AND until = ?1"
            conn.execute(f"UPDATE OR IGNORE state_history SET until = {last} {here}", (as_of, table.name))
            conn.execute(f"DELETE FROM state_history {here}", (as_of, table.name))
    conn.execute("DELETE FROM evaluation WHERE as_of = ?", (as_of,))  # last: the journal stamps with the newest one
    return True


def _back(conn: sqlite3.Connection, table: Table, as_of: str) -> None:
    name, past = quote(table.name), table.past
    kept = f' AND "key" NOT IN ({KNOWN_OUTSIDE})' if table.name == "task" else ""
    if past.born:
        conn.execute(f"DELETE FROM {name} WHERE {quote(past.born)} = ?", (as_of,))
    else:
        conn.execute(
            f"DELETE FROM {name} WHERE {key_of(table, name)} IN "
            f'(SELECT h."key" FROM state_history h WHERE h.name = ? AND h.until = ? AND h."row" IS NULL){kept}',
            (table.name, as_of),
        )
    if past.grows:
        return
    columns = [c.name for c in table.columns]
    listed, keys = ", ".join(map(quote, columns)), ", ".join(map(quote, table.key))
    former = ", ".join(f"h.\"row\" ->> '$.{c}'" for c in columns)
    put = ", ".join(f"{quote(c)} = excluded.{quote(c)}" for c in columns if c not in table.key)
    conn.execute(
        f"INSERT INTO {name} ({listed}) SELECT {former} FROM state_history h WHERE h.name = ? AND h.until = ? "
        f'AND h."row" IS NOT NULL ON CONFLICT ({keys}) DO UPDATE SET {put}',
        (table.name, as_of),
    )
    conn.execute(
        'DELETE FROM state_history WHERE name = ? AND until = ? AND ("row" IS NOT NULL OR "key" NOT IN '
        f"(SELECT {key_of(table, name)} FROM {name}))",
        (table.name, as_of),
    )
