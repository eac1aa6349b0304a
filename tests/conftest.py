"""Engines for the tests that compare answers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import duckdb
import psycopg
import pytest

from engines import Engine, OnDuckDB, OnPostgres, postgres_bin, postgres_server


@pytest.fixture(scope="session")
def duck() -> Iterator[Engine]:
    """DuckDB in memory."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        yield OnDuckDB(connection)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Engine | None]:
    """A private PostgreSQL; None where none is installed, which a CI must not overlook."""
    programs = postgres_bin()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL (initdb) is not installed: install postgresql, or the engines are not compared")
        yield None
        return
    with postgres_server(programs) as conninfo, psycopg.connect(conninfo) as connection:
        yield OnPostgres(connection)


@pytest.fixture(scope="session")
def engines(duck: Engine, postgres: Engine | None) -> tuple[Engine, ...]:
    """Every engine beside SQLite that is at hand."""
    return (duck, postgres) if postgres is not None else (duck,)
