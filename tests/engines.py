"""PostgreSQL, DuckDB and Spark beside SQLite, for tests: a private server on a Unix socket, and engines in memory."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg
import pytest

from cssync.rules.copying import copy_to_duckdb, copy_to_parquet, copy_to_postgres
from cssync.rules.dialect import Dialect
from cssync.rules.dialects import DUCKDB, POSTGRES, SPARK

Rows = list[dict[str, Any]]


Ask = Callable[[str], Rows]


class Engine(Protocol):
    """An engine that answers statements, one at a time, over a copy of a store's tables."""

    dialect: Dialect

    @contextmanager
    def holding(self, store: sqlite3.Connection) -> Iterator[Ask]:
        """Copy the tables in a transaction that is rolled back at the end."""
        ...

    def answers(self, store: sqlite3.Connection, sql: str) -> Rows:
        """Return the rows of one statement."""
        with self.holding(store) as ask:
            return ask(sql)


class OnPostgres(Engine):
    dialect: Dialect = POSTGRES

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    @contextmanager
    def holding(self, store: sqlite3.Connection) -> Iterator[Ask]:
        def ask(sql: str) -> Rows:
            cursor = self.connection.execute(sql.encode())
            names = [c.name for c in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
            assert not cursor.nextset(), "more than one statement"
            return rows

        try:
            copy_to_postgres(store, self.connection)
            yield ask
        finally:
            self.connection.rollback()


class OnDuckDB(Engine):
    dialect: Dialect = DUCKDB

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    @contextmanager
    def holding(self, store: sqlite3.Connection) -> Iterator[Ask]:
        def ask(sql: str) -> Rows:
            (statement,) = self.connection.extract_statements(sql)
            found = self.connection.execute(statement)
            names = [c[0] for c in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        self.connection.execute("BEGIN")
        try:
            copy_to_duckdb(store, self.connection)
            yield ask
        finally:
            self.connection.execute("ROLLBACK")


class OnSpark(Engine):
    """Spark on this machine, over Parquet files. `session`: a SparkSession of pyspark, which the project does not
    install."""

    dialect: Dialect = SPARK

    def __init__(self, session: Any) -> None:
        self.session = session

    @contextmanager
    def holding(self, store: sqlite3.Connection) -> Iterator[Ask]:
        def ask(sql: str) -> Rows:
            return [row.asDict() for row in self.session.sql(sql).collect()]

        with tempfile.TemporaryDirectory() as folder:
            copy_to_parquet(store, Path(folder))
            for file in Path(folder).iterdir():
                self.session.read.parquet(str(file)).createOrReplaceTempView(file.stem)
            yield ask


def postgres_bin() -> Path | None:
    """Return the folder of `initdb` and `postgres`; None where there is none."""
    found = [Path(p).resolve() for p in (shutil.which("initdb"),) if p]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return next((p.parent for p in found if (p.parent / "postgres").exists()), None)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG: a killed test run leaves no server behind


def _unprivileged() -> dict[str, Any]:
    """Arguments of subprocess that drop root's rights, which PostgreSQL refuses to run with."""
    if os.geteuid() != 0:
        return {}
    known = {u.pw_name: u for u in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def postgres_server(programs: Path) -> Iterator[str]:
    """A server with an empty data folder that only this machine's socket reaches; yields its conninfo."""
    rights = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    data = folder / "data"
    try:
        if rights:
            os.chown(folder, rights["user"], rights["group"])
        made = subprocess.run(
            [programs / "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            capture_output=True, text=True, check=False, cwd=folder, **rights,
        )  # fmt: skip
        if made.returncode:
            pytest.fail(f"initdb: {made.stderr}")
        quiet = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "jit=off", "-c", "max_connections=8"]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, "-k", folder, *quiet],
                stdout=log, stderr=log, cwd=folder, preexec_fn=_die_with_parent, **rights,
            )  # fmt: skip
        try:
            yield _wait_for(server, folder)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(server: subprocess.Popen[bytes], folder: Path) -> str:
    conninfo = f"host={folder} user=tests dbname=postgres"
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            psycopg.connect(conninfo).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return conninfo
    raise AssertionError(f"no PostgreSQL server: {(folder / 'log').read_text()}")
