"""The store on SQLite: one file, WAL, one writer at a time, readers that never wait.

sqlite-utils opens the file and owns schema and migrations. Records are written by the statement in `upsert`, because
`upsert_all` sets absent columns to NULL and calls every row changed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Any, Protocol

import msgspec
from sqlite_utils import Database

from cssync.errors import ConfigError, CssyncError
from cssync.model import ENTITY
from cssync.store.schema import ABOUT, UNVERSIONED, create, migrations, quote

BUSY_TIMEOUT_MS = 30_000
CACHE_KIB = 16_384
"""Pages kept in memory by a connection: rows of a large pull land all over the indexes."""
ROWS_AT_ONCE = (50, 10, 1)
"""Rows of one upsert: more save nothing, and the statement of each number of rows is parsed and kept for itself."""
KEYS = ("connection", "synced_at")
"""What every row begins with: the same for all rows of a statement, and bound once."""
_LAST_FORMER = "SELECT coalesce(max(id), 0) FROM history"


class Fence(Protocol):
    """Checked at the start of every writing transaction of a run."""

    def check(self, conn: sqlite3.Connection) -> None:
        """Raise LeaseLost when the lease is no longer ours."""
        ...


@dataclass(frozen=True, slots=True)
class Upserted:
    """source_ids that a page really changed: `new` were not stored before, `changed` differ from what was."""

    new: frozenset[str]
    changed: frozenset[str]


class Store:
    """One workspace's store. Writing goes through `transaction`; `query` reads the last commit from any thread."""

    def __init__(self, path: Path, db: Database) -> None:
        self.path = path
        self.db = db
        self._write = threading.RLock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []

    @classmethod
    def open(cls, path: Path | str, *, workspace: str | None = None, create: bool = True) -> Store:
        """Open or create the file and bring its schema up to date.

        Raises:
            ConfigError: not there and `create` is False, not a store, made by a newer cssync, or another workspace's.
        """
        path = Path(path)
        if path.is_symlink():
            raise ConfigError(f"{path} is a symbolic link", fix="name the store file itself under `store:`")
        if not path.exists():
            if not create:
                raise ConfigError(f"there is no store at {path}", fix="run `cssync sync` first, or correct `store:`")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            except OSError as error:
                raise ConfigError(
                    f"the store {path} cannot be created: {error.strerror}", fix="correct `store:`"
                ) from None
        try:
            db = Database(_connect(path))
        except sqlite3.Error as error:
            raise ConfigError(
                f"{path} is not a cssync store ({error})", fix="correct `store:` in cssync.yaml"
            ) from None
        store = cls(path, db)
        try:
            store._migrate()
            if workspace is not None:
                store._belongs_to(workspace)
        except sqlite3.DatabaseError as error:
            store.close()
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise CssyncError(f"the store {path} stayed locked by another process", fix="try again") from None
            raise ConfigError(
                f"{path} is not a cssync store ({error})", fix="correct `store:` in cssync.yaml"
            ) from None
        except BaseException:
            store.close()
            raise
        return store

    def _migrate(self) -> None:
        known = {m.name for m in migrations._migrations}
        newer = [m.name for m in migrations.applied(self.db) if m.name not in known]
        if newer:
            raise ConfigError(
                f"the store {self.path} was made by a newer cssync (it has {newer[-1]})",
                kept="the store is unchanged",
                fix="upgrade cssync, or name another file under `store:`",
            )
        if migrations.pending(self.db):
            with self.transaction():
                bring_up = migrations.apply if self.db.table_names() else create
                bring_up(self.db)

    def _belongs_to(self, workspace: str) -> None:
        owner = self.get_setting("workspace")
        if owner is None:
            self.put_setting("workspace", workspace)
        elif owner != workspace:
            raise ConfigError(
                f"the store {self.path} belongs to workspace {owner!r}, not to {workspace!r}",
                kept="the store is unchanged",
                fix="correct `workspace:` or `store:` in cssync.yaml",
            )

    def close(self) -> None:
        """Close every connection of this process to the file."""
        for reader in self._readers:
            reader.close()
        self.db.conn.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reading ---

    def reader(self) -> sqlite3.Connection:
        """This thread's read-only connection; it sees the last commit and never waits for the writer."""
        conn: sqlite3.Connection | None = getattr(self._local, "conn", None)
        if conn is None:
            conn = self._local.conn = _connect(self.path)
            conn.execute("PRAGMA query_only = ON")
            self._readers.append(conn)
        return conn

    def query(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """Run a SELECT and return its rows, addressable by column name."""
        return self.reader().execute(sql, params).fetchall()

    def get_setting(self, name: str) -> str | None:
        """Return a fact about this store, None when not set."""
        rows = self.query("SELECT value FROM setting WHERE name = ?", (name,))
        return rows[0]["value"] if rows else None

    # --- writing ---

    @contextlib.contextmanager
    def transaction(self, fence: Fence | None = None, *, lasting: bool = True) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE, check the fence, commit at the end or roll back on any exception.

        lasting: whether the commit waits for the disk. Without, a power cut may take it, and whatever was committed
        behind it, never a part of it. No network call belongs inside. Raises LeaseLost when the fence refuses.
        """
        conn = self.db.conn
        with self._write:
            if not lasting:
                conn.execute("PRAGMA synchronous = NORMAL")
            try:
                conn.execute("BEGIN IMMEDIATE")
                try:
                    if fence is not None:
                        fence.check(conn)
                    yield conn
                    conn.execute("COMMIT")
                except BaseException:
                    if conn.in_transaction:  # SQLite rolls back by itself where the disk is full
                        conn.execute("ROLLBACK")
                    raise
            finally:
                if not lasting:
                    conn.execute("PRAGMA synchronous = FULL")

    def put_setting(self, name: str, value: str) -> None:
        """Remember a fact about this store."""
        with self.transaction() as conn:
            conn.execute("INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                         (name, value))  # fmt: skip

    def upsert(
        self,
        conn: sqlite3.Connection,
        entity: str,
        connection: str,
        rows: Iterable[Mapping[str, Any]],
        known_at: str,
    ) -> Upserted:
        """Store rows (each with `source_id`) and return the keys that really changed.

        A column absent from a row keeps its stored value, an explicit None clears it; the last of a doubled key wins
        column by column. A change of `ABOUT` columns alone is no change. A tombstoned row that comes back is undeleted.
        Former versions go to `history`. `known_at` is an ISO instant (UTC).
        """
        joined: dict[str, Mapping[str, Any]] = {}
        for row in rows:
            held = joined.get(row["source_id"])
            joined[row["source_id"]] = row if held is None else {**held, **row}
        alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for row in joined.values():
            alike.setdefault(("source_id", *(k for k in row if k != "source_id")), []).append(row)
        new: set[str] = set()
        changed: set[str] = set()
        for columns, group in alike.items():
            values = [[row[column] for row in group] for column in columns]
            result = self.upsert_rows(conn, entity, connection, columns, values, known_at)
            new |= result.new
            changed |= result.changed
        return Upserted(frozenset(new), frozenset(changed))

    def upsert_rows(
        self,
        conn: sqlite3.Connection,
        entity: str,
        connection: str,
        columns: Sequence[str],
        values: Sequence[Sequence[Any]],
        known_at: str,
    ) -> Upserted:
        """Store rows that have the same columns and each its own id, as `upsert` does.

        `columns` begins with `source_id`; `values` holds the values of each column, row by row.
        """
        cursor = conn.cursor()
        cursor.row_factory = None  # plain tuples
        last_row = f"SELECT coalesce(max(rowid), 0) FROM {quote(entity)}"
        before, former = (cursor.execute(last).fetchone()[0] for last in (last_row, _LAST_FORMER))
        rows, start, written = len(values[0]), 0, 0
        alike = tuple(rows > ROWS_AT_ONCE[0] and _is_one_value(column) for column in values)
        once = [column[0] for column, same in zip(values, alike, strict=True) if same]
        each = [column for column, same in zip(values, alike, strict=True) if not same]
        for step in ROWS_AT_ONCE:
            upsert = _upsert_sql(entity, tuple(columns), step, alike)
            while rows - start >= step:
                part = chain.from_iterable(zip(*(column[start : start + step] for column in each), strict=True))
                written += cursor.execute(upsert, [connection, known_at, *once, *part]).rowcount
                start += step
        if not written:
            return Upserted(frozenset(), frozenset())
        if cursor.execute(last_row).fetchone()[0] - before == rows:
            return Upserted(frozenset(values[0]), frozenset())
        new = cursor.execute(f"SELECT source_id FROM {quote(entity)} WHERE rowid > ?", (before,)).fetchall()
        changed = cursor.execute("SELECT source_id FROM history WHERE id > ?", (former,)).fetchall()
        return Upserted(frozenset(i for (i,) in new), frozenset(i for (i,) in changed))

    def tombstone(
        self, conn: sqlite3.Connection, entity: str, connection: str, source_ids: Iterable[str], known_at: str
    ) -> set[str]:
        """Mark live rows as deleted and return the keys that were live. Rows stay; unknown ids are ignored."""
        ids = [i for i in dict.fromkeys(source_ids) if "\0" not in i]  # no stored id has a NUL
        table = quote(entity)
        if (
            not ids
            or not conn.execute(  # most ids that are asked for were never there
                f"SELECT 1 FROM {table} WHERE connection = ? AND source_id BETWEEN ? AND ? LIMIT 1",
                (connection, min(ids), max(ids)),
            ).fetchone()
        ):
            return set()
        live = [
            row[0]
            for row in conn.execute(
                f"SELECT r.source_id FROM json_each(?) given CROSS JOIN {table} r ON r.connection = ? "
                "AND r.source_id = given.value WHERE r.deleted_at IS NULL",
                (msgspec.json.encode(ids).decode(), connection),
            )
        ]
        conn.executemany(
            f"UPDATE {table} SET deleted_at = ?1, synced_at = ?1 WHERE connection = ?2 AND source_id = ?3",
            [(known_at, connection, source_id) for source_id in live],
        )
        return set(live)


def _connect(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False)
    conn.row_factory = sqlite3.Row
    conn.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = FULL")
    conn.execute("PRAGMA foreign_keys = ON")
    conn.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return conn


def _is_one_value(column: Sequence[Any]) -> bool:
    return column[0] == column[-1] and column.count(column[0]) == len(column)


@lru_cache(maxsize=256)
def _upsert_sql(entity: str, columns: tuple[str, ...], rows: int, alike: tuple[bool, ...]) -> str:
    """Return the statement that stores so many rows. Its parameters: `KEYS`, each column that is `alike` in all rows
    (nobody fills every field of a vendor, and to bind a value takes as long as to store it), then the others, row by
    row."""
    declared = {c.name for c in ENTITY[entity].columns} | set(ABOUT)
    stored = columns[1:]
    unknown = set(stored) - declared
    if unknown:
        raise ValueError(f"{entity} has no column {', '.join(sorted(unknown))}")
    table, every = quote(entity), (*KEYS, *columns)
    compared = [quote(c) for c in stored if c not in (*ABOUT, *UNVERSIONED)]
    differs = " OR ".join((*(f"{table}.{c} IS NOT excluded.{c}" for c in compared), f"{table}.deleted_at IS NOT NULL"))
    risen = {at: n for at, n in ENTITY[entity].dated.items() if n in stored and at not in stored}
    seen_at = "coalesce(excluded.updated_at, excluded.synced_at)" if "updated_at" in stored else "excluded.synced_at"
    dates = (
        f"{quote(at)} = CASE WHEN excluded.{quote(n)} > {table}.{quote(n)} THEN {seen_at} ELSE {table}.{quote(at)} END"
        for at, n in risen.items()
    )
    assigned = ", ".join((*(f"{quote(c)} = excluded.{quote(c)}" for c in ("synced_at", *stored)), *dates))
    alive = "deleted_at = NULL" + (", merged_into = NULL" if "merged_into" in declared else "")
    once, each = count(len(KEYS) + 1), count(len(KEYS) + 1 + sum(alike))
    fixed = [next(once) if same else None for same in alike]
    values = ", ".join(f"(?1, ?2, {', '.join(f'?{at or next(each)}' for at in fixed)})" for _ in range(rows))
    return (
        f"INSERT INTO {table} ({', '.join(quote(c) for c in every)}) VALUES {values} "
        f"ON CONFLICT (connection, source_id) DO UPDATE SET {assigned}, {alive} WHERE {differs}"
    )
