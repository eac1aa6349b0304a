"""The store's tables that rules read, copied into PostgreSQL, DuckDB or Parquet files, which a cluster reads: where a
portfolio outgrows one file.

The copy has the store's own texts, whole numbers and doubles; the SELECT that `cssync rules sql --dialect` prints runs
on it and gives the same cells. Nothing is written back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from cssync.model import ENTITY, SQL_TYPE, TABLE, VENDOR_COLUMNS, Column
from cssync.rules.catalogue import SOURCES
from cssync.rules.dialect import quote

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    import psycopg
    import pyarrow as pa  # type: ignore[import-untyped]

TABLES = (
    *("account", "result", "result_history", "score_state", "feature_row"),
    *dict.fromkeys(source.entity for source in SOURCES.values()),
)
"""Tables that a statement may read."""
BATCH = 50_000
_POSTGRES = {"TEXT": 'TEXT COLLATE "C"', "INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION"}
_DUCKDB = {"TEXT": "TEXT", "INTEGER": "BIGINT", "REAL": "DOUBLE"}


def columns_of(table: str) -> tuple[Column, ...]:
    """Return the stored columns of a table of the model."""
    return (*VENDOR_COLUMNS, *ENTITY[table].columns) if table in ENTITY else TABLE[table].columns


def _ddl(table: str, types: Mapping[str, str]) -> str:
    columns = ", ".join(f"{quote(c.name)} {types[SQL_TYPE[c.type]]}" for c in columns_of(table))
    return f"CREATE TABLE IF NOT EXISTS {quote(table)} ({columns})"


def _rows(store: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    names = ", ".join(quote(c.name) for c in columns_of(table))
    for row in store.execute(f"SELECT {names} FROM {quote(table)}"):
        yield tuple(row)


def copy_to_postgres(store: sqlite3.Connection, to: psycopg.Connection[Any], tables: Iterable[str] = TABLES) -> None:
    """Create the tables where they are missing and add every row of the store, in the caller's transaction.

    Texts lose their NUL characters, which PostgreSQL cannot hold. Raises:
        psycopg.Error: the server refused.
    """
    with to.cursor() as cursor:
        for table in tables:
            cursor.execute(_ddl(table, _POSTGRES).encode())
            with cursor.copy(f"COPY {quote(table)} FROM STDIN".encode()) as copy:
                for row in _rows(store, table):
                    copy.write_row([v.replace("\0", "") if isinstance(v, str) else v for v in row])


def _batches(store: sqlite3.Connection, table: str) -> Iterator[pa.Table]:
    """Yield the rows of a table of the store, column by column, at most BATCH at a time and at least once."""
    import pyarrow as pa

    arrow = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64()}
    schema = pa.schema([(c.name, arrow[SQL_TYPE[c.type]]) for c in columns_of(table)])
    yield schema.empty_table()
    found = _rows(store, table)
    while rows := list(islice(found, BATCH)):
        columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)]
        yield pa.Table.from_arrays(columns, schema=schema)


def copy_to_duckdb(store: sqlite3.Connection, to: duckdb.DuckDBPyConnection, tables: Iterable[str] = TABLES) -> None:
    """Create the tables where they are missing and add every row of the store, in the caller's transaction.

    Raises:
        ImportError: the extra `parquet` is not installed.
        duckdb.Error: the engine refused.
    """
    for table in tables:
        to.execute(_ddl(table, _DUCKDB))
        for batch in _batches(store, table):
            to.register("batch_of_rows", batch)
            to.execute(f"INSERT INTO {quote(table)} SELECT * FROM batch_of_rows")
            to.unregister("batch_of_rows")


def copy_to_parquet(store: sqlite3.Connection, folder: Path, tables: Iterable[str] = TABLES) -> None:
    """Write one file a table into a folder, which is made where it is missing: what a cluster reads. Files that are
    there are replaced.

    Raises:
        ImportError: the extra `parquet` is not installed.
        OSError: the folder cannot be written.
    """
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        batches = _batches(store, table)
        empty = next(batches)
        with pq.ParquetWriter(folder / f"{table}.parquet", empty.schema) as writer:
            for batch in batches:
                writer.write_table(batch)
