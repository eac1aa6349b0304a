"""Engines for the tests that compare answers; the undisturbed twin of the runs that meet a fault."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import duckdb
import psycopg
import pytest

from engines import Engine, OnDuckDB, OnPostgres, OnSpark, postgres_bin, postgres_server

if TYPE_CHECKING:
    from twins import Twin


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
def spark() -> Iterator[Engine | None]:
    """Spark in this process, where somebody asks for it by CSSYNC_SPARK=1 and has installed pyspark and Java."""
    if not os.environ.get("CSSYNC_SPARK"):
        yield None
        return
    from pyspark.sql import SparkSession

    # A few rows in long statements: nearly all the time goes into planning and compiling them.
    small = {"shuffle.partitions": "1", "adaptive.enabled": "false", "codegen.wholeStage": "false"}
    small |= {"codegen.factoryMode": "NO_CODEGEN", "autoBroadcastJoinThreshold": "-1"}
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    for name, value in small.items():
        builder = builder.config(f"spark.sql.{name}", value)
    session = builder.getOrCreate()
    yield OnSpark(session)
    session.stop()


@pytest.fixture(scope="session")
def engines(duck: Engine, postgres: Engine | None, spark: Engine | None) -> tuple[Engine, ...]:
    """Every engine beside SQLite that is at hand."""
    return tuple(engine for engine in (duck, postgres, spark) if engine is not None)


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Twin]:
    """The undisturbed run of each vendor."""
    from twins import all_undisturbed

    return all_undisturbed(tmp_path_factory.mktemp)
