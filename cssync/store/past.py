"""The store as it was: a private copy for a replay, in a temporary file that nobody else can read and that goes again.

Every table goes back as `Table.past` declares: vendor rows and links to what was known at an instant, the state of
evaluations to what it was before (or after) one of them. The store itself is only read, in one snapshot.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cssync.model import ENTITIES, ENTITY, TABLES, VENDOR_COLUMNS, Entity, Table
from cssync.store.journal import key_of, quote
from cssync.store.sqlite import Store

UID = "account_uid"
LINKED = (UID,)
"""Columns of vendor rows that are our own book-keeping: they are worked out again from the links of the day."""


BY_KEY = ("crm_task",)
"""Entities that evaluations look up by our own key, whether or not their rows have an account."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the past ends; stored instants.

    as_of: the state of evaluations is what it was before the one of this as_of, with `after` what it was after it.
    known_at: what was learned later is not there; nor is anything that an evaluation which ran later has written.
    """

    as_of: str
    known_at: str
    after: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Some accounts alone: what belongs to them, and to accounts that once held one of their records. whole: entities
    that come along whole, and with them every account and its links."""

    accounts: frozenset[str]
    whole: frozenset[str] = frozenset()


@contextmanager
def past(store: Store, cut: Cut, part: Part | None = None, *, rows: bool = True) -> Iterator[Store]:
    """Give the store as it was at `cut`, as a store of its own that may be written to and is deleted at the end.

    rows: with the vendor rows; without them it is the state of evaluations alone.
    """
    with tempfile.TemporaryDirectory(prefix="cssync-past-") as folder, Store.open(Path(folder) / "past.db") as copy:
        conn = copy.db.conn
        conn.execute("PRAGMA synchronous = OFF")
        conn.execute("ATTACH DATABASE ? AS live", (str(store.path),))
        try:
            with copy.transaction() as writing:
                _fill(writing, cut, part, rows=rows)
        finally:
            conn.execute("DETACH DATABASE live")
        yield copy


def _fill(conn: sqlite3.Connection, cut: Cut, part: Part | None, *, rows: bool) -> None:
    triggers = conn.execute("SELECT name FROM main.sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:  # what is put back is no news, and what a replay changes is nobody's history
        conn.execute(f"DROP TRIGGER main.{quote(name)}")
    later = conn.execute("SELECT min(as_of) FROM live.evaluation WHERE known_at > ?", (cut.known_at,)).fetchone()[0]
    early = later is not None and later <= cut.as_of
    state = Cut(later if early else cut.as_of, cut.known_at, after=cut.after and not early)
    if part is not None:
        _name_parts(conn, part)
    for entity in ENTITIES if rows else ():
        in_part = part is not None and entity.name not in (*part.whole, *BY_KEY)
        if not in_part or entity.column("account_uid"):
            _rows(conn, entity, cut.known_at, in_part=in_part)
    for table in TABLES:
        if table.past.clock in ("evaluation", "between", "known"):
            everybody = ("account", "account_link") if part is not None and part.whole else ("account",)
            in_part = part is not None and table.name not in everybody and any(c.name == UID for c in table.columns)
            if (rows and (part is None or table.name != "history")) or table.past.clock != "known":
                _table(conn, table, state, in_part=in_part)
    _feeds(conn, cut.known_at)


def _name_parts(conn: sqlite3.Connection, part: Part) -> None:
    """Fill the temporary tables `kept` (the accounts) and `held` (those whose rows may have been theirs)."""
    conn.execute("CREATE TEMP TABLE kept (uid TEXT PRIMARY KEY)")
    conn.executemany("INSERT INTO kept VALUES (?)", [(uid,) for uid in sorted(part.accounts)])
    conn.execute("CREATE TEMP TABLE held (uid TEXT PRIMARY KEY)")
    conn.execute(
        "INSERT OR IGNORE INTO held SELECT uid FROM kept UNION SELECT now.account_uid FROM live.account_link once "
        "JOIN live.account_link now ON now.connection = once.connection AND now.source_id = once.source_id "
        "WHERE once.account_uid IN (SELECT uid FROM kept)"
    )


def _rows(conn: sqlite3.Connection, entity: Entity, known_at: str, *, in_part: bool) -> None:
    """Vendor rows: the stored version when it was known already, else the former version that was in force."""
    theirs = " AND t.account_uid IN (SELECT uid FROM temp.held)" if in_part else ""
    source = f"live.history h JOIN live.{quote(entity.name)} t USING (connection, source_id)" if in_part else ""
    columns = [c.name for c in (*VENDOR_COLUMNS, *entity.columns)]
    name, listed = quote(entity.name), ", ".join(map(quote, columns))
    now = ", ".join("NULL" if c in LINKED else f"t.{quote(c)}" for c in columns)
    then = ", ".join(
        f"h.{c}" if c in ("connection", "source_id") else "NULL" if c in LINKED else _of_row(c) for c in columns
    )
    conn.execute(
        f"INSERT INTO main.{name} ({listed}) SELECT {now} FROM live.{name} t WHERE t.synced_at <= ?{theirs} "
        "ORDER BY t.rowid",
        (known_at,),
    )
    conn.execute(
        f"INSERT INTO main.{name} ({listed}) SELECT {then} FROM {source or 'live.history h'} WHERE h.entity = ? "
        f"AND h.known_from <= ? AND h.known_to > ?{theirs} ORDER BY h.id DESC ON CONFLICT DO NOTHING",
        (entity.name, known_at, known_at),
    )


def _of_row(column: str) -> str:
    """SQL of a column of a former row."""
    return f"h.\"row\" ->> '$.{column}'"


def _table(conn: sqlite3.Connection, table: Table, cut: Cut, *, in_part: bool) -> None:
    """One of our own tables: rows that nothing touched since, and former rows of those that something did."""
    evaluated = table.past.clock != "known"
    at = cut.as_of if evaluated else cut.known_at
    after = cut.after and table.past.clock != "between"  # what bears its stamp came when it was over
    later, before = (">=", "<") if evaluated and not after else (">", "<=")
    names = [c.name for c in table.columns]
    listed = ", ".join(map(quote, names))
    born = f"t.{quote(table.past.born)} {before} :at" if table.past.born else "1 = 1"
    touched = (
        f"EXISTS (SELECT 1 FROM live.state_history h WHERE h.name = '{table.name}' AND h.key = {key_of(table, 't')} "
        f"AND h.until {later} :at)"
    )
    accounts = "temp.held" if table.name == "account_link" else "temp.kept"
    mine = f" AND t.{UID} IN (SELECT uid FROM {accounts})" if in_part else ""
    keys = f' AND "key" IN (SELECT {key_of(table, "t")} FROM live.{quote(table.name)} t WHERE 1 = 1{mine})'
    if in_part and table.key[0] == UID:  # rows that are gone, too
        span = "i.name = :name AND i.\"key\" >= '[\"' || k.uid || '\"' AND i.\"key\" < '[\"' || k.uid || '#'"
        keys = f' AND "key" IN (SELECT i."key" FROM temp.kept k JOIN live.state_history i ON {span})'
    keys = keys if in_part else ""
    present = ", ".join(f"t.{quote(n)}" for n in names)
    conn.execute(
        f"INSERT INTO main.{quote(table.name)} ({listed}) SELECT {present} FROM live.{quote(table.name)} t "
        f"WHERE {born} AND NOT {touched}{mine} ORDER BY t.rowid",
        {"at": at},
    )
    former = ", ".join(map(_of_row, names))
    then = f"AND {_of_row(table.past.born)} {before} :at" if table.past.born else ""
    conn.execute(
        f"INSERT INTO main.{quote(table.name)} ({listed}) SELECT {former} FROM live.state_history h JOIN "
        f'(SELECT "key" AS k, min(until) AS u FROM live.state_history WHERE name = :name AND until {later} :at{keys} '
        f'GROUP BY "key") f ON f.k = h.key AND f.u = h.until WHERE h.name = :name AND h."row" IS NOT NULL {then} '
        "ORDER BY h.key",
        {"at": at, "name": table.name},
    )


def _feeds(conn: sqlite3.Connection, known_at: str) -> None:
    """Which stream fed which entity: as the last evaluation saw it that had run by then, else as it is configured."""
    seen = conn.execute(
        "SELECT feeds FROM live.evaluation WHERE known_at <= ? ORDER BY as_of DESC LIMIT 1", (known_at,)
    ).fetchone()
    if seen is None:
        conn.execute("INSERT INTO main.source_feed SELECT * FROM live.source_feed")
    else:
        conn.execute(
            "INSERT INTO main.source_feed (connection, stream, entity) "
            "SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
            (seen[0],),
        )


def known_rows(store: Store, entity: str, known_at: str) -> sqlite3.Connection:
    """Open a connection to the store on which a vendor table shows the rows as they were known at an instant; the
    caller closes it. For what has to look at all of them once."""
    conn = sqlite3.connect(f"{store.path.absolute().as_uri()}?mode=ro", uri=True)
    columns = [c.name for c in (*VENDOR_COLUMNS, *ENTITY[entity].columns)]
    at = "'" + known_at.replace("'", "''") + "'"
    now = ", ".join(quote(c) for c in columns)
    then = ", ".join(f"h.{c}" if c in ("connection", "source_id") else f"{_of_row(c)} AS {quote(c)}" for c in columns)
    conn.execute(
        f"CREATE TEMP VIEW {quote(entity)} AS SELECT {now} FROM main.{quote(entity)} WHERE synced_at <= {at} "
        f"UNION ALL SELECT {then} FROM main.history h WHERE h.entity = '{entity}' "
        f"AND h.known_from <= {at} AND h.known_to > {at}"
    )
    return conn
