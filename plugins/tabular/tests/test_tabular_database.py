"""SQLite and PostgreSQL for real: read-only, in order, inclusive, resumable."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cssync.config.load import load_workspace
from cssync.errors import ConfigError, CssyncError, TransientFault
from cssync.runs.sessions import WrongOrg
from cssync_tabular.database import only_select, queried
from cssync_tabular.settings import TabularSettings

CONFIG = """connections:
  product:
    connector: tabular
    %s
    timezone: UTC
    page_size: 3
    tables:
      customers: {query: "%s", entity: account, key: id%s}
fields:
  product.customers: {name: account.name, staff: account.employee_count, changed: account.updated_at}
"""
ALL = "SELECT id, name, staff, changed, gone FROM customer"
START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Live:
    """A database with a table `customer`, and the settings that read it."""

    place: str
    run: Callable[..., Any]
    mark: str
    settings: TabularSettings

    def put(self, id_: Any, name: Any, staff: Any = 1, changed: Any = None, gone: Any = False) -> None:
        self.run("DELETE FROM customer WHERE id = {0}", id_)
        self.run("INSERT INTO customer VALUES ({0}, {0}, {0}, {0}, {0})", id_, name, staff, changed, gone)

    def config(self, bench: Any, query: str = ALL, more: str = "") -> Any:
        return bench.config(CONFIG % (self.place, query, f", {more}" if more else ""))


def at(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")


TABLE = "CREATE TABLE customer (id text primary key, name text, staff {number}, changed {time}, gone {truth})"


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Live]:
    path = tmp_path / "product.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as conn:
        conn.execute(TABLE.format(number="integer", time="text", truth="boolean"))

        def run(sql: str, *values: Any) -> Any:
            return conn.execute(sql.format("?"), values)

        chosen = TabularSettings.model_validate(
            {"connector": "tabular", "sqlite": path, "tables": {"t": {"query": ALL, "entity": "account", "key": "id"}}}
        )
        yield Live("sqlite: product.db", run, "?", chosen)


def programs() -> Path | None:
    """The folder that holds both initdb and postgres."""
    on_path = [Path(found).resolve() for found in (shutil.which("initdb"),) if found]
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return next((p.parent for p in (*on_path, *known) if (p.parent / "postgres").exists()), None)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A private PostgreSQL on a Unix socket, under an unprivileged user; gone with the tests."""
    folder = programs()
    if folder is None:
        pytest.skip("no initdb here: PostgreSQL is not installed")
    who = {}
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as home:  # a socket's path must be short
        if who:
            os.chown(home, who["user"], who["group"])
        data = f"{home}/data"
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home, **who}
        init = [folder / "initdb", "-D", data, "-U", "owner", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(init, check=True, **quiet)
        command = [folder / "postgres", "-D", data, "-k", home, "-c", "listen_addresses=", "-c", "fsync=off"]
        process = subprocess.Popen(command, **quiet)
        try:
            yield _ready(home)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def _ready(home: str) -> str:
    from time import sleep

    url = f"postgresql://owner@/postgres?host={home}"
    for _ in range(100):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            sleep(0.1)
        else:
            return url
    pytest.fail("PostgreSQL did not start within 10 s")


@pytest.fixture
def postgres(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS customer")
        conn.execute(TABLE.format(number="integer", time="timestamptz", truth="boolean"))
        conn.execute("SET timezone = 'UTC'")
        monkeypatch.setenv("PRODUCT_URL", server)

        def run(sql: str, *values: Any) -> Any:
            return conn.execute(sql.format("%s"), values)

        tables = {"t": {"query": ALL, "entity": "account", "key": "id"}}
        chosen = TabularSettings.model_validate({"connector": "tabular", "database": server, "tables": tables})
        yield Live("database: env:PRODUCT_URL", run, "%s", chosen)


@pytest.fixture(params=["lite", "postgres"])
def live(request: pytest.FixtureRequest) -> Live:
    found: Live = request.getfixturevalue(request.param)
    return found


def names(bench: Any) -> dict[str, str]:
    return dict(bench.live("source_id, name"))


def test_a_query_is_pulled_whole_and_what_is_gone_is_deleted(bench: Any, live: Live) -> None:
    live.config(bench)
    for n in range(8):
        live.put(f"0{n}", f"C{n}", n, at(n))
    assert (bench.pull().new, bench.pull().same) == (8, 8)
    live.run("DELETE FROM customer WHERE id = {0}", "03")
    assert bench.pull().tombstoned == 1
    assert bench.live("source_id, employee_count, updated_at")[1] == ("01", 1, "2026-11-01T00:01:00Z")


def test_no_row_is_a_fault(bench: Any, live: Live) -> None:
    live.config(bench)
    live.put("1", "Acme")
    bench.pull()
    live.run("DELETE FROM customer")
    error = bench.pull().error
    assert error
    assert "no row" in error.message
    assert names(bench) == {"1": "Acme"}


def test_a_cursor_reads_on_with_ties_and_rows_that_commit_late(bench: Any, live: Live) -> None:
    live.config(bench, more="cursor: changed, lag: 120")
    for n in range(10):
        live.put(f"a{n}", "first", n, at(60))  # more of one moment than a page holds
    live.put("b", "later", 1, at(90))
    live.put("none", "no time", 1, None)
    assert bench.pull().new == 12
    assert bench.pull().read == 2, "the bound is inclusive, and a row without a time is read each time"
    live.put("tie", "same moment", 1, at(90))
    live.put("late", "committed late", 1, at(89))
    live.put("old", "beyond the lag", 1, at(80))
    report = bench.pull()
    assert report.new == 2
    assert {"tie", "late"} <= set(names(bench))
    assert "old" not in names(bench)
    assert bench.pull(full=True).new == 1, "and a full pull finds it"


def test_an_incremental_pull_does_not_grow_with_what_is_stored(bench: Any, live: Live) -> None:
    live.config(bench, more="cursor: changed, lag: 0")
    for n in range(60):
        live.put(f"{n:03}", "C", n, at(n))
    bench.pull()
    live.put("007", "changed", 7, at(100))
    report = bench.pull()
    assert (report.read, report.changed) == (2, 1)


def test_a_time_in_the_future_does_not_hide_what_follows(bench: Any, live: Live) -> None:
    live.config(bench, more="cursor: changed, lag: 0")
    live.put("1", "Acme", 1, at(0))
    live.put("2", "Tomorrow", 1, "2099-01-01 00:00:00")
    bench.now = START + timedelta(minutes=5)
    bench.pull()
    assert "2026-11-01" in bench.cursor()
    live.put("3", "After", 1, at(10))
    bench.now = START + timedelta(minutes=15)
    assert bench.pull().new == 1
    assert "After" in names(bench).values()


def test_a_growing_number_is_a_cursor_too(bench: Any, live: Live) -> None:
    live.config(bench, more="cursor: staff, lag: 2")
    for n in range(20):
        live.put(f"{n:02}", "C", n)
    assert bench.pull().new == 20
    live.put("new", "C", 20)
    assert bench.pull().read == 4
    live.config(bench, more="cursor: changed")
    assert bench.pull().read == 21, "another column: from the beginning"


def test_marked_rows_are_deleted_and_come_back(bench: Any, live: Live) -> None:
    live.config(bench, more="cursor: changed, deleted: gone")
    live.put("1", "Acme", 1, at(0))
    live.put("2", "Bravo", 1, at(0))
    bench.pull()
    live.put("2", "Bravo", 1, at(1), gone=True)
    assert bench.pull().tombstoned == 1
    assert list(names(bench)) == ["1"]
    live.put("2", "Bravo", 1, at(2))
    bench.pull()
    assert list(names(bench)) == ["1", "2"]


def test_a_missing_column_fails_the_table_and_keeps_its_position(bench: Any, live: Live) -> None:
    live.config(bench, more="cursor: changed")
    live.put("1", "Acme", 1, at(0))
    bench.pull()
    before = bench.cursor()
    live.config(bench, "SELECT id, name AS title, staff, changed FROM customer", "cursor: changed")
    error = bench.pull().error
    assert error
    assert "has no column 'name'" in error.message
    live.config(bench, "SELECT * FROM no_such_table", "cursor: changed")
    error = bench.pull().error
    assert error
    assert "refused the query" in error.message
    assert bench.cursor() == before
    assert names(bench) == {"1": "Acme"}


def test_bad_values_are_quarantined_and_the_rest_goes_on(bench: Any, live: Live) -> None:
    query = "SELECT id, name, changed, CASE WHEN id = '2' THEN '5,0' ELSE '5' END AS staff FROM customer"
    live.config(bench, query)
    for n in "1234":
        live.put(n, f"50% of C{n}")
    report = bench.pull()
    assert (report.new, report.quarantined) == (3, 1)
    assert list(bench.quarantined()) == ["2"]


def test_percent_signs_comments_and_semicolons_pass_where_they_mean_nothing(bench: Any, live: Live) -> None:
    live.config(
        bench,
        "SELECT id, name, staff, changed FROM customer WHERE name LIKE 'C%' AND name <> ';'; -- all",
        "cursor: changed",
    )
    live.put("1", "C1", 1, at(1))
    live.put("2", "D1", 1, at(1))
    assert bench.pull().new == 1


def test_postgres_types_keep_their_digits(bench: Any, postgres: Live) -> None:
    bench.config("""connections:
  product:
    connector: tabular
    database: env:PRODUCT_URL
    tables:
      bills:
        query: >-
          SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS id, 12345678901.10::numeric AS total,
          'USD' AS currency, 9007199254740993::bigint AS customer, DATE '2026-12-31' AS due,
          TIMESTAMPTZ '2026-11-01 10:00:00+09' AS paid
        entity: invoice
        key: [id, currency]
fields:
  product.bills: {total: invoice.amount, currency: invoice.currency, customer: invoice.account_source_id,
                  due: invoice.due_date, paid: invoice.paid_at}
""")
    assert bench.pull().quarantined == 0
    assert bench.live("source_id, amount, currency, account_source_id, due_date, paid_at", "invoice") == [
        ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|USD", 1234567890110, "USD", "9007199254740993", "2026-12-31",
         "2026-11-01T01:00:00Z")
    ]  # fmt: skip


def test_a_connection_that_breaks_is_a_passing_fault_and_not_the_end(postgres: Live) -> None:
    query = "SELECT n AS id, repeat('x', 1000) AS name FROM generate_series(1, 100000) AS n"

    def read() -> None:
        with queried(postgres.settings, query, None, 5) as source:
            assert next(source.items) == {"id": 1, "name": "x" * 1000}
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cssync'"
            assert postgres.run(ended).fetchone() == (True,)
            list(source.items)

    with pytest.raises(TransientFault, match="PostgreSQL refused the query"):
        read()


# --- nothing is written -----------------------------------------------------------------------------------------------

NO_SELECT = (
    "DELETE FROM customer", "SELECT 1; DELETE FROM customer", "/* x */ UPDATE customer SET name = 'x'",
    "WITH x AS (SELECT 1) SELECT 1; DROP TABLE customer", "", "COPY customer TO PROGRAM 'cat'", "ATTACH 'x' AS y",
    "SELECT * INTO other FROM customer", "EXPLAIN ANALYZE DELETE FROM customer", "PRAGMA user_version = 5",
    "SELECT ';'; SELECT 2", "-- SELECT\nDROP TABLE customer", "CALL drop_all()", "SET ROLE owner",
)  # fmt: skip


@pytest.mark.parametrize("query", NO_SELECT)
def test_what_is_no_select_is_refused_before_it_is_sent(query: str) -> None:
    with pytest.raises(ConfigError, match=r"SELECT|INTO"):
        only_select(query)


SELECTS = (
    "SELECT 1", " select ';' ;", "WITH x AS (SELECT 1) SELECT * FROM x", "(VALUES (1))", "SELECT $$;$$",
    'SELECT "a;b" FROM t -- ; ', "SELECT arr[1] FROM t;\n-- end",
)  # fmt: skip


@pytest.mark.parametrize("query", SELECTS)
def test_selects_pass(query: str) -> None:
    assert only_select(query) in (query, query.split("\n")[0].removesuffix(";"))


SNEAKY = {
    "lite": (
        "SELECT 1 AS id) AS x; DELETE FROM customer; SELECT * FROM (SELECT 1",
        "WITH x AS (SELECT load_extension('x')) SELECT * FROM x",
        "SELECT writefile('x', 'y')",
    ),
    "postgres": (
        "SELECT 1 AS id) AS x; DELETE FROM customer; SELECT * FROM (SELECT 1",
        "SELECT 1 AS id) AS x; COMMIT; DELETE FROM customer; SELECT * FROM (SELECT 1",
        "WITH x AS (DELETE FROM customer RETURNING id) SELECT * FROM x",
        "SELECT nextval('numbers') AS id",
        "SELECT lo_from_bytea(0, 'x') AS id",
        "SELECT set_config('transaction_read_only', 'off', false) AS id FROM customer_deleted()",
    ),
}


@pytest.mark.parametrize("kind", SNEAKY)
def test_the_connection_itself_cannot_write(
    request: pytest.FixtureRequest, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a query that got past the first wall changes nothing."""
    live: Live = request.getfixturevalue(kind)
    live.put("1", "Acme")
    if kind == "postgres":
        live.run("CREATE SEQUENCE IF NOT EXISTS numbers")
        live.run("""CREATE OR REPLACE FUNCTION customer_deleted() RETURNS SETOF int LANGUAGE sql AS
                    'DELETE FROM customer RETURNING 1'""")
    monkeypatch.setattr("cssync_tabular.database.only_select", lambda query: query)
    for query in SNEAKY[kind]:
        with suppress(CssyncError), queried(live.settings, query, None, 5) as source:
            list(source.items)
            assert "lo_from_bytea" in query, f"{query} was not refused"
        if kind == "postgres":  # releases before 16 let that one through; the transaction is never committed
            assert live.run("SELECT count(*) FROM pg_largeobject_metadata").fetchone()[0] == 0
        assert live.run("SELECT count(*) FROM customer").fetchone()[0] == 1, query


def test_a_query_that_is_no_select_is_a_fault_of_the_configuration(bench: Any, lite: Live) -> None:
    lite.config(bench, "DELETE FROM customer")
    with pytest.raises(ConfigError, match=r"tables\.customers: a query must be one SELECT"):
        bench.workspace()


# --- who, and secrets -------------------------------------------------------------------------------------------------


def test_another_database_behind_the_same_url_stops_the_run(
    bench: Any, postgres: Live, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.config(bench)
    bench.bind()
    bench.bind()
    postgres.run("DROP DATABASE IF EXISTS other")
    postgres.run("CREATE DATABASE other")
    monkeypatch.setenv("PRODUCT_URL", server.replace("/postgres?", "/other?"))
    with pytest.raises(WrongOrg, match="database other"):
        bench.bind()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://owner:canary-7d1@/postgres?host=/nonexistent",
        "postgresql://owner:canary-7d1@127.0.0.1:1/x",
        "postgresql://owner:canary-7d1@/x?canary-7d1",
        "mysql://owner:canary-7d1@host/x",
        "canary-7d1",
    ],
)
def test_a_refused_connection_shows_no_credential(bench: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCT_URL", url)
    bench.config(CONFIG % ("database: env:PRODUCT_URL", ALL, ""))
    error = bench.pull().error
    assert error
    assert "canary" not in f"{error.message} {error.kept} {error.fix}"
    assert error.fix
    assert all("canary" not in f"{f.message} {f.fix}" for f in bench.check())


def test_the_url_never_stands_in_the_file(bench: Any) -> None:
    bench.config(CONFIG % ("database: postgresql://owner:secret@host/x", ALL, ""))
    with pytest.raises(ConfigError, match="is a secret: name where it is") as caught:
        bench.workspace()
    assert "owner:secret" not in caught.value.message


# --- crash, and laws --------------------------------------------------------------------------------------------------

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from zoneinfo import ZoneInfo
    from cssync.config.load import load_workspace
    from cssync.http import open_session
    from cssync.store import Store
    from cssync.sync import engine
    engine.ENOUGH = 1  # a page a transaction, so that it is known what is stored
    commit, pages = engine.commit_page, 0
    def counted(*args, **options):
        global pages
        if pages == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        pages += 1
        return commit(*args, **options)
    engine.commit_page = counted
    space = load_workspace(Path(sys.argv[1]) / "cssync.yaml")
    found = space.connection("product")
    with Store.open(Path(sys.argv[1]) / "store.db") as store, open_session(
        found.connector, found.settings, connection="product", timezone=ZoneInfo("UTC")
    ) as session:
        engine.sync(store, space, {"product": session}, run_id="killed")
"""


@pytest.mark.parametrize("page", [0, 1, 5, 19, 29])
def test_kill_9_loses_nothing_and_the_next_pull_goes_on(bench: Any, live: Live, page: int, tmp_path: Path) -> None:
    live.config(bench, more="cursor: changed, lag: 0")
    for n in range(90):
        live.put(f"{n:03}", "C", n, at(n))
    bench.workspace()
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    done = subprocess.run([sys.executable, script, tmp_path, str(page)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    stored = len(names(bench))
    assert stored == page * 3
    report = bench.pull()
    assert report.new == 90 - stored
    assert report.read <= 90 - stored + 1, "one row again, on the bound"
    assert len(names(bench)) == 90


ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=40)


@settings(max_examples=30, deadline=None)
@given(ROWS, ROWS, st.integers(1, 12), st.sampled_from(["", ", cursor: changed, lag: 0", ", cursor: changed"]))
def test_page_size_repetition_and_cursor_make_no_difference(
    first: list[tuple[int, int]], second: list[tuple[int, int]], size: int, more: str
) -> None:
    """Rows change, each at a later time: whatever the page size and cursor, the store holds what the table holds."""
    from cssync.http import open_session
    from cssync.store import Store
    from cssync.sync import sync

    with tempfile.TemporaryDirectory() as name, closing(sqlite3.connect(f"{name}/product.db")) as conn:
        folder = Path(name)
        conn.execute(TABLE.format(number="integer", time="text", truth="boolean"))
        text = CONFIG % ("sqlite: product.db", ALL, more + ", may_be_empty: true")
        head = f"workspace: acme\ntimezone: UTC\ncurrency: JPY\nstore: {folder}/s.db\n"
        (folder / "cssync.yaml").write_text(head + text.replace("page_size: 3", f"page_size: {size}"))
        space = load_workspace(folder / "cssync.yaml")
        found = space.connection("product")
        with Store.open(folder / "s.db") as store, open_session(
            found.connector, found.settings, connection="product", timezone=space.timezone
        ) as session:  # fmt: skip
            for minute, rows in ((0, first), (5, second), (5, [])):
                for id_, tick in rows:
                    conn.execute("INSERT OR REPLACE INTO customer VALUES (?, ?, ?, ?, 0)",
                                 (f"{id_:02}", f"{minute}/{tick}", tick, at(minute + tick // 3)))  # fmt: skip
                conn.commit()
                reports = sync(store, space, {"product": session}, run_id="r")
                assert reports[0].error is None
            stored = store.query("SELECT source_id, name FROM account_source WHERE deleted_at IS NULL ORDER BY 1")
            table = conn.execute("SELECT id, name FROM customer ORDER BY id").fetchall()
    assert [tuple(row) for row in stored] == table
