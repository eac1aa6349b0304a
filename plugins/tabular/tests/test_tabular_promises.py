"""Promises of the pull that are not about one kind of source: position, memory, isolation, proof."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cssync.cli import main
from cssync.connectors import PullRequest
from cssync.http import open_session
from cssync_tabular import TABULAR
from cssync_tabular.files import LONGEST_LINE
from cssync_tabular.position import before, capped, lower, position

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


# --- position ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "lag", "bound"),
    [
        (100, 5, 95),
        ("2026-11-20", 0, "2026-11-20"),
        ("2026-11-20", 1, "2026-11-19"),
        ("2026-11-20 00:01:00", 120, "2026-11-19 23:59:00"),
        ("2026-11-20T00:01:00.123+02:00", 60, "2026-11-20T00:00:00"),
        ("01HZX", 300, "01HZX"),
        ("0099", 300, "0099"),
    ],
)
def test_the_bound_is_in_the_sources_own_spelling(value: Any, lag: int, bound: Any) -> None:
    assert lower(value, lag) == bound


@given(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)), st.integers(0, 100_000),  # noqa: DTZ001
       st.sampled_from(["", "Z", "+02:00", ".5", ".123456Z"]), st.sampled_from(" T"))  # fmt: skip
def test_no_text_within_the_lag_sorts_before_the_bound(at: datetime, lag: int, ending: str, gap: str) -> None:
    """As text, which is how SQLite compares them, and in one spelling, as a column has them."""
    newest = at.replace(microsecond=0).isoformat(sep=gap) + ending
    within = (at.replace(microsecond=0) - timedelta(seconds=lag)).isoformat(sep=gap) + ending
    assert lower(newest, lag) <= within


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("2026-11-20T08:59:59Z", "2026-11-20T08:59:59Z"),
        ("2099-01-01T00:00:00Z", "2026-11-20T09:00:00Z"),
        ("2099-01-01 00:00:00.5", "2026-11-20 18:00:00"),
        ("2099-01-01T00:00:00+0200", "2026-11-20T11:00:00+0200"),
        ("2099-01-01", "2026-11-20"),
        (10**12, 10**12),
        ("text", "text"),
    ],
)
def test_the_future_is_stored_as_now(value: Any, stored: Any) -> None:
    assert capped(value, NOW, ZoneInfo("Asia/Tokyo")) == stored


def test_positions_compare_within_their_kind() -> None:
    assert position("9", None) < position("10", None)  # type: ignore[operator]
    assert position("2026-11-20", None) == position("2026-11-20T02:00:00+02:00", None)
    assert position("x", None) is position(None, None) is position(True, None) is None
    assert before(("number", 5), 2) == ("number", 3)


def test_a_file_with_a_cursor_is_read_from_where_it_was(bench: Any, customers: Any) -> None:
    customers(more="cursor: seen, lag: 60", mapped="seen: account.updated_at")
    head = "id,name,staff,seen\n"
    rows = ["3,C,1,2026-11-20T10:03:00+02:00", "1,A,1,2026-11-20T08:01:00Z", "2,B,1,", "4,D,1,soon"]
    bench.write("customers.csv", head + "\n".join(rows))
    assert (bench.pull().new, bench.cursor()) == (3, '{"column":"seen","value":"2026-11-20T10:03:00+02:00"}')
    rows += ["5,E,1,2026-11-20T08:02:00Z", "6,F,1,2026-11-20T08:01:59Z"]
    bench.write("customers.csv", head + "\n".join(rows))
    report = bench.pull()
    assert (report.new, report.read) == (1, 4), "the newest, one within the lag, the one without and the one unreadable"
    assert bench.pull(full=True).new == 1


def test_an_unreadable_position_never_means_from_the_beginning(bench: Any, customers: Any) -> None:
    customers(more="cursor: staff")
    bench.write("customers.csv", "id,name,staff\n1,A,1\n")
    bench.pull()
    with bench.store.transaction() as conn:
        conn.execute("""UPDATE source_state SET cursor = '{"page": 5}'""")
    error = bench.pull().error
    assert error
    assert "cannot be read" in error.message
    assert bench.cursor() == '{"page": 5}'


# --- whole files, crashes ---------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("page", [0, 3, 9])
def test_kill_9_in_a_file_deletes_nothing_and_the_next_pull_is_whole(
    bench: Any, customers: Any, page: int, tmp_path: Path
) -> None:
    customers()
    bench.text = bench.text.replace("connector: tabular", "connector: tabular\n    page_size: 10")
    bench.write("customers.csv", "id,name,staff\n" + "".join(f"{n},old,1\n" for n in range(95)))
    bench.pull()
    bench.write("customers.csv", "id,name,staff\n" + "".join(f"{n},new,1\n" for n in range(93)))
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    done = subprocess.run([sys.executable, script, tmp_path, str(page)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(bench.live("1")) == 95
    assert sum(name == "new" for (name,) in bench.live("name")) == page * 10
    report = bench.pull()
    assert (report.changed, report.tombstoned) == (93 - page * 10, 2)
    assert {name for (name,) in bench.live("name")} == {"new"}


def test_a_pull_that_breaks_off_leaves_no_trace_for_the_next(bench: Any, customers: Any, tmp_path: Path) -> None:
    """What a broken pass saw must not stand for what the next one sees."""
    customers(file="customers.jsonl")
    line = '{"id": "%s", "name": "A", "staff": 1}\n'
    bench.write("customers.jsonl", "".join(line % n for n in range(4)))
    bench.pull()
    bench.write("customers.jsonl", "".join(f'{{"id": "{n}", "staff": 1}}\n' for n in range(4)))
    assert bench.pull().error
    bench.write("customers.jsonl", "".join(line % n for n in range(3)))
    assert bench.pull().tombstoned == 1


def test_one_bad_table_leaves_the_others_alone(bench: Any) -> None:
    bench.config("""connections:
  product:
    connector: tabular
    tables:
      gone: {file: gone.csv, entity: contract, key: id}
      customers: {file: customers.csv, entity: account, key: id}
fields:
  product.customers: {name: account.name}
""")
    bench.write("customers.csv", "id,name\n1,Acme\n")
    report = bench.pull()
    assert report.outcome == "failed"
    assert bench.live("name") == [("Acme",)]


# --- memory -----------------------------------------------------------------------------------------------------------


def peak(folder: Path, name: str, rows: int) -> int:
    """Bytes that reading takes at most, less what is there before."""
    table = {"file": name, "entity": "contact", "key": "id"}
    settings = TABULAR.config.model_validate({"connector": "tabular", "folder": folder, "tables": {"t": table}})
    assert TABULAR.configured
    (stream,) = TABULAR.configured(settings, {"t": {"name": "contact.name"}}).streams
    with open_session(TABULAR, settings, connection="product", timezone=ZoneInfo("UTC")) as session:
        tracemalloc.start()
        try:
            read = sum(len(page.records) for page in stream.pages(session, PullRequest(None, (), timedelta(0))))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert read == rows


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    peaks = []
    for rows in (3_000, 30_000):
        with (tmp_path / name).open("w") as file:
            if name.endswith("csv"):
                file.write("id,name\n")
                file.writelines(f"{n},Name {n}\n" for n in range(10_000, 10_000 + rows))
            else:
                file.writelines(f'{{"id": "{n}", "name": "Name {n}"}}\n' for n in range(10_000, 10_000 + rows))
        peaks.append(peak(tmp_path, name, rows))
    assert peaks[1] <= peaks[0] * 1.15, peaks


def test_a_line_without_end_is_cut_and_quarantined(bench: Any, customers: Any) -> None:
    customers()
    with (bench.folder / "customers.csv").open("w") as file:
        file.write("id,name,staff\n1,Acme,5\n2,")
        file.write("x" * (2 * LONGEST_LINE + 7))
        file.write(",5\n3,Cello,7\n")
    report = bench.pull()
    assert (report.new, report.quarantined) == (2, 1)
    (raw,) = bench.store.query("SELECT raw FROM quarantine")
    assert len(raw["raw"]) < 20_000


# --- proof ------------------------------------------------------------------------------------------------------------


def test_verify_finds_and_mends_what_the_store_has_lost(bench: Any, customers: Any) -> None:
    customers()
    bench.write("customers.csv", "id,name,staff\n" + "".join(f"{n},C{n},{n}\n" for n in range(20)))
    bench.workspace()
    config = ["--config", str(bench.folder / "cssync.yaml")]
    assert CliRunner().invoke(main, [*config, "sync", "product"]).exit_code == 0
    with bench.store.transaction() as conn:
        conn.execute("DELETE FROM account_source WHERE source_id IN ('3', '4')")
        conn.execute("UPDATE account_source SET name = 'stale' WHERE source_id = '5'")
    result = CliRunner().invoke(main, [*config, "verify", "product", "--json"])
    (found,) = json.loads(result.output)["streams"]
    assert (found["missing"], found["stale"], found["gone"]) == (2, 1, 0)
    assert CliRunner().invoke(main, [*config, "sync", "product"]).exit_code == 0
    assert {n for (n,) in bench.live("name")} == {f"C{n}" for n in range(20)}


def test_objects_are_described_by_what_is_in_them(bench: Any, customers: Any) -> None:
    customers(file="customers.jsonl")
    bench.write("customers.jsonl", '{"id": 1, "name": "A", "staff": 1, "plan": {"tier": "gold", "seats": 5}}\n')
    found = bench.describe("customers")
    assert found["plan.tier"] == ("text", "")
    assert found["plan.seats"][0] == "integer"


def test_a_locked_database_is_a_passing_fault(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cssync_tabular.database.BUSY_SECONDS", 0.0)
    path = bench.folder / "product.db"
    bench.config("""connections:
  product:
    connector: tabular
    sqlite: product.db
    tables: {t: {query: SELECT id FROM t, entity: account, key: id}}
""")
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE t (id)")
        conn.execute("INSERT INTO t VALUES (1)")
        assert bench.pull().new == 1
        conn.execute("BEGIN EXCLUSIVE")
        report = bench.pull()
        conn.execute("ROLLBACK")
    assert report.error
    assert "locked" in report.error.message
    assert report.error.exit_code == 3
