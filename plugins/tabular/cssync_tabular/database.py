"""Queries to SQLite and PostgreSQL: one SELECT, in a connection that cannot write, read as a stream."""

from __future__ import annotations

import contextlib
import importlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote as urlquote
from urllib.parse import urlsplit

from cssync.connectors import Identity
from cssync.errors import ConfigError, ConnectionFault, TransientFault
from cssync.store.schema import quote
from cssync_tabular.rows import Item, Source, must_be_distinct
from cssync_tabular.settings import TabularSettings
from cssync_tabular.values import plain

CONNECT_SECONDS = 10
BUSY_SECONDS = 10.0
"""Longest wait for an SQLite file that somebody else has locked."""
NAME = "cssync_rows"
_SKIP = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]\n]*\]|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$""", re.DOTALL
)


def only_select(query: str) -> str:
    """Return the query without its final semicolon.

    A first wall, for a clear word before anything is sent; what keeps the database safe is the read-only connection.

    Raises:
        ConfigError: it is not one SELECT (WITH and VALUES are SELECTs too).
    """
    bare = _SKIP.sub(lambda found: " " if found[0][:2] in ("--", "/*") else "''", query)
    ended = bare.rstrip().removesuffix(";").rstrip()
    first = re.match(r"[\s(]*([a-z]+)", ended, re.IGNORECASE)
    if ";" in ended or not first or first[1].lower() not in ("select", "with", "values"):
        raise ConfigError(
            "a query must be one SELECT", kept="it was not sent", fix="write one SELECT; cssync changes nothing"
        )
    if re.search(r"\binto\b", ended, re.IGNORECASE):
        raise ConfigError("a query may not write INTO anything", kept="it was not sent", fix="leave INTO out")
    return query[: query.rindex(";")] if bare.rstrip().endswith(";") else query


@dataclass(frozen=True, slots=True)
class Lower:
    """Rows from a value of the cursor column on, in its order; those without a value are always among them."""

    column: str
    value: Any = None


def statement(query: str, lower: Lower | None, mark: str) -> str:
    """Wrap the query: what is not one SELECT cannot stand in brackets."""
    wrapped = f"SELECT * FROM (\n{only_select(query)}\n) AS {NAME}"
    if lower is None:
        return wrapped
    column = quote(lower.column)
    where = "" if lower.value is None else f" WHERE {column} >= {mark} OR {column} IS NULL"
    return f"{wrapped}{where} ORDER BY {column}"


@contextlib.contextmanager
def queried(settings: TabularSettings, query: str, lower: Lower | None, page_size: int) -> Iterator[Source]:
    """Run a query and yield its rows as a stream.

    Raises:
        ConfigError: not a SELECT, an address that is none, or psycopg is not installed.
        TransientFault: the database could not be reached, or the connection broke.
        ConnectionFault: the database refused the query.
    """
    open_one = _sqlite if settings.sqlite is not None else _postgres
    with open_one(settings, query, lower, page_size) as source:
        must_be_distinct("the query's result", source.columns or ())
        yield source


# --- SQLite -----------------------------------------------------------------------------------------------------------

ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def _read_only(path: Path) -> sqlite3.Connection:
    try:
        file = path.resolve(strict=True)
        if not file.is_file():
            raise OSError(0, "it is not a plain file")
        conn = sqlite3.connect(
            f"file:{urlquote(str(file))}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            check_same_thread=False,
            isolation_level=None,
        )
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConnectionFault(
            f"SQLite file {path} cannot be opened: {why}", kept="nothing was read", fix="check `sqlite`"
        ) from None
    conn.execute("PRAGMA query_only = ON")
    conn.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY)
    return conn


@contextlib.contextmanager
def _sqlite(settings: TabularSettings, query: str, lower: Lower | None, page_size: int) -> Iterator[Source]:
    assert settings.sqlite is not None  # noqa: S101 - chosen by it
    sql = statement(query, lower, "?")
    values = () if lower is None or lower.value is None else (lower.value,)
    with contextlib.closing(_read_only(settings.sqlite)) as conn:
        conn.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
        try:
            cursor = conn.execute(sql, values)
            columns = tuple(c[0] for c in cursor.description or ())
            yield Source(columns, _rows(cursor, columns, page_size))
        except sqlite3.Error as error:
            raise _sqlite_fault(error) from None


def _sqlite_fault(error: sqlite3.Error) -> ConnectionFault:
    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return (TransientFault if busy else ConnectionFault)(
        f"SQLite refused the query: {error}",
        kept="rows read so far are stored; nothing was deleted",
        fix="run again when the file is not locked" if busy else "correct `query` or `cursor` of the table",
    )


def _rows(cursor: Any, columns: tuple[str, ...], page_size: int) -> Iterator[Item]:
    while rows := cursor.fetchmany(page_size):
        for row in rows:
            yield {c: plain(v) for c, v in zip(columns, row, strict=True)}


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _psycopg() -> Any:
    try:
        return importlib.import_module("psycopg")
    except ImportError:
        raise ConfigError("PostgreSQL needs the package psycopg", fix="install cssync[postgres]") from None


@contextlib.contextmanager
def _connected(settings: TabularSettings) -> Iterator[Any]:
    """A connection whose every transaction reads one snapshot and writes nothing; times come in UTC."""
    url = settings.database.get_secret_value() if settings.database else ""
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise ConfigError(
            "`database` is not a PostgreSQL URL",
            fix="write postgresql://user:password@host/name into what it refers to; SQLite has `sqlite: FILE`",
        )
    psycopg = _psycopg()
    options = "-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO -c application_name=cssync"
    try:
        conn = psycopg.connect(url, options=options, connect_timeout=CONNECT_SECONDS)
    except psycopg.Error as error:
        raise _postgres_fault(psycopg, error, "the connection", urlsplit(url).password) from None
    with contextlib.closing(conn):
        conn.read_only = True
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            yield conn
        except psycopg.Error as error:
            raise _postgres_fault(psycopg, error, "the query") from None


@contextlib.contextmanager
def _postgres(settings: TabularSettings, query: str, lower: Lower | None, page_size: int) -> Iterator[Source]:
    sql = statement(query.replace("%", "%%"), lower, "%s")
    # A bound value, if only the limit "none", has the server parse exactly one statement.
    values = (None,) if lower is None or lower.value is None else (lower.value, None)
    with _connected(settings) as conn, conn.cursor(name=NAME) as cursor:
        cursor.itersize = page_size
        cursor.execute(f"{sql} LIMIT %s", values)
        columns = tuple(c.name for c in cursor.description or ())
        yield Source(columns, _rows(cursor, columns, page_size))


def _postgres_fault(psycopg: Any, error: Any, what: str, password: str | None = None) -> ConnectionFault:
    """The server's own words, less those of its messages that can hold data: only the first line, never a DETAIL."""
    passing = isinstance(error, psycopg.OperationalError) and not isinstance(error, psycopg.errors.InvalidPassword)
    words = (error.diag.message_primary or str(error)).splitlines()[0][:300] if error.args else type(error).__name__
    if password:
        words = words.replace(password, "[redacted]")
    return (TransientFault if passing else ConnectionFault)(
        f"PostgreSQL refused {what}: {words}",
        kept="rows read so far are stored; nothing was deleted",
        fix="check that the server is up and `database` is right"
        if passing
        else "correct `query` or the user's rights",
    )


# --- who --------------------------------------------------------------------------------------------------------------


def identified(settings: TabularSettings) -> Identity:
    """Say which place the connection reads: a database by its system's own number and name, a file by its name."""
    if settings.database is not None:
        with _connected(settings) as conn:
            name = str(conn.execute("SELECT current_database()").fetchone()[0])
            number = _attempt(
                conn, lambda: conn.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
            )
            host = conn.info.host or "local"
        place = str(number[0]) if number else host
        return Identity(f"postgresql:{place}/{name}", f"database {name}", "production")
    if settings.sqlite is not None:
        with contextlib.closing(_read_only(settings.sqlite)) as conn:
            try:
                conn.execute("SELECT 1 FROM sqlite_master").fetchone()
            except sqlite3.Error as error:
                raise _sqlite_fault(error) from None
        return Identity(f"sqlite:{settings.sqlite.name}", f"file {settings.sqlite.name}", "production")
    folder = settings.folder or Path()
    if not folder.is_dir():
        raise ConnectionFault(f"there is no folder {folder}", kept="nothing was read", fix="correct `folder`")
    name = folder.name if "folder" in settings.model_fields_set else "beside cssync.yaml"
    return Identity(f"folder:{name}", f"folder {name}", "production")


def _attempt(conn: Any, ask: Callable[[], Any]) -> Any:
    """Ask what the user may have no right to; the transaction is over either way."""
    try:
        return ask()
    except _psycopg().Error:
        return None
    finally:
        conn.rollback()
