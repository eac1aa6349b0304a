from __future__ import annotations

import json
import sqlite3
import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from cssync.errors import ConfigError
from cssync.model import ENTITIES, TABLES
from cssync.store import Store
from cssync.store.schema import migrations

AT = "2026-11-20T00:00:00Z"
LATER = "2026-11-21T00:00:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def put(store: Store, *rows: dict[str, Any], at: str = AT, entity: str = "contact") -> tuple[set[str], set[str]]:
    with store.transaction() as conn:
        result = store.upsert(conn, entity, "crm", rows, at)
    return set(result.new), set(result.changed)


def test_every_declared_table_is_there_strict_and_the_file_is_private(store: Store) -> None:
    tables = {r["name"]: r["sql"] for r in store.query("SELECT name, sql FROM sqlite_master WHERE type = 'table'")}
    for declared in (*ENTITIES, *TABLES):
        assert tables[declared.name].endswith("STRICT")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store.query("PRAGMA journal_mode")[0][0] == "wal"


def test_upsert_tells_new_from_changed_from_same(store: Store) -> None:
    assert put(store, {"source_id": "1", "name": "A"}, {"source_id": "2", "name": "B"}) == ({"1", "2"}, set())
    rows = ({"source_id": "1", "name": "A"}, {"source_id": "2", "name": "C"}, {"source_id": "3", "name": "D"})
    assert put(store, *rows, at=LATER) == ({"3"}, {"2"})
    assert put(store, *rows, at=LATER) == (set(), set())


def test_an_absent_column_keeps_its_value_and_an_explicit_none_clears_it(store: Store) -> None:
    put(store, {"source_id": "1", "name": "A", "email": "a@x.example"}, {"source_id": "2", "email": "b@x.example"})
    put(store, {"source_id": "1", "name": "A2"}, {"source_id": "2", "email": None, "name": "B"}, at=LATER)
    rows = store.query("SELECT name, email FROM contact ORDER BY source_id")
    assert [tuple(r) for r in rows] == [("A2", "a@x.example"), ("B", None)]


def test_a_rising_count_is_dated_by_the_version_that_brought_it(store: Store) -> None:
    """Vendors say how often a ticket was reopened, not when: what was counted before it was first seen has no date."""

    def reopened(count: int | None, updated: str | None, seen: str, **more: Any) -> str | None:
        row = {"source_id": "1", "reopened_count": count, **({"updated_at": updated} if updated else {}), **more}
        put(store, row, at=seen, entity="ticket")
        return str(store.query("SELECT reopened_at FROM ticket")[0][0])

    days = [f"2026-11-2{n}T00:00:00Z" for n in range(9)]
    assert reopened(3, days[0], days[1]) == "None"
    assert reopened(3, days[2], days[3], status="open") == "None"
    assert reopened(4, days[3], days[4]) == days[3]
    assert reopened(4, days[4], days[5], status="solved") == days[3]
    assert reopened(2, days[4], days[5]) == days[3]  # a count that falls is a correction
    assert reopened(5, None, days[6]) == days[6]
    assert reopened(None, days[6], days[7]) == days[6]
    assert reopened(7, days[7], days[8]) == days[6]  # from not known to 7: of old or of new, nobody knows
    with_own = [{"source_id": "1", "reopened_count": 8, "reopened_at": days[2]}]
    put(store, *with_own, at=days[8], entity="ticket")  # a vendor that says when
    assert store.query("SELECT reopened_at FROM ticket")[0][0] == days[2]
    former = [json.loads(r[0]).get("reopened_at") for r in store.query('SELECT "row" FROM history ORDER BY id')]
    assert former[:3] == [None, None, days[3]]


def test_a_moved_modification_time_alone_is_no_change(store: Store) -> None:
    put(store, {"source_id": "1", "name": "A", "updated_at": AT})
    assert put(store, {"source_id": "1", "name": "A", "updated_at": LATER}, at=LATER) == (set(), set())
    assert store.query("SELECT count(*) FROM history")[0][0] == 0


def test_a_former_version_goes_to_history_with_the_time_it_was_known(store: Store) -> None:
    put(store, {"source_id": "1", "name": "A"})
    put(store, {"source_id": "1", "name": "B"}, at=LATER)
    (former,) = store.query("SELECT * FROM history")
    assert (former["known_from"], former["known_to"], json.loads(former["row"])["name"]) == (AT, LATER, "A")


def test_a_deleted_row_stays_and_comes_back_when_the_vendor_restores_it(store: Store) -> None:
    put(store, {"source_id": "1", "name": "A"})
    with store.transaction() as conn:
        assert store.tombstone(conn, "contact", "crm", ["1", "unknown"], LATER) == {"1"}
        assert store.tombstone(conn, "contact", "crm", ["1"], LATER) == set()
    assert store.query("SELECT deleted_at FROM contact")[0][0] == LATER
    assert put(store, {"source_id": "1", "name": "A"}, at=LATER) == (set(), {"1"})
    assert store.query("SELECT deleted_at FROM contact")[0][0] is None


@given(
    st.lists(
        st.fixed_dictionaries(
            {"source_id": st.sampled_from("abc")},
            optional={"name": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
                      "email": st.none() | st.sampled_from(["x", "y"])},
        ),
        max_size=12,
    ),
    st.integers(1, 12),
)  # fmt: skip
def test_the_store_does_not_depend_on_how_rows_fall_into_pages(rows: list[dict[str, Any]], size: int) -> None:
    def filled(step: int) -> list[tuple[Any, ...]]:
        import tempfile

        with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "p.db") as store:
            for start in range(0, len(rows), step):
                put(store, *rows[start : start + step])
            assert put(store, *rows[-1:]) == (set(), set())
            return [tuple(r) for r in store.query("SELECT source_id, name, email FROM contact ORDER BY 1")]

    assert filled(size) == filled(100)


def test_ids_and_odd_text_keep_their_bytes(store: Store) -> None:
    odd = ["00123", "12E5", "9007199254740993", "NO", "'; drop table contact; --", "\u202eRTL", "e\u0301\U0001f600"]
    put(store, *({"source_id": v, "name": v} for v in odd))
    assert {(r["source_id"], r["name"]) for r in store.query("SELECT * FROM contact")} == {(v, v) for v in odd}


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as conn:  # noqa: PT012 - the block is the transaction
        store.upsert(conn, "contact", "crm", [{"source_id": "1"}], AT)
        raise RuntimeError
    assert store.query("SELECT count(*) FROM contact")[0][0] == 0


def test_readers_see_the_last_commit_while_a_transaction_is_open(store: Store) -> None:
    put(store, {"source_id": "1"})
    with store.transaction() as conn:
        store.upsert(conn, "contact", "crm", [{"source_id": "2"}], AT)
        assert store.query("SELECT count(*) FROM contact")[0][0] == 1


def test_a_commit_waits_for_the_disk_unless_a_power_cut_may_take_it(store: Store) -> None:
    def waits(**how: bool) -> bool:
        with store.transaction(**how) as conn:
            return int(conn.execute("PRAGMA synchronous").fetchone()[0]) == 2

    assert waits()
    assert not waits(lasting=False)
    with pytest.raises(KeyError), store.transaction(lasting=False):
        raise KeyError
    assert waits()


NEWEST = ("m006_release_0_6", "f7f1f5a45bd3")
"""The newest migration, and the file it makes."""


def test_stores_of_earlier_versions_get_what_the_model_gained(store: Store) -> None:
    """A migration that ran once never runs again. Where this fails: was the newest one released? Then add one that
    calls `add_missing`, and put its name here; in either case put the new digest here."""
    made = store.query("SELECT sql FROM sqlite_master WHERE name NOT GLOB '_sqlite_*' AND sql <> '' ORDER BY 1")
    digest = sha256("\n".join(row["sql"] for row in made).encode()).hexdigest()[:12]
    names = [row["name"] for row in store.query("SELECT name FROM _sqlite_migrations ORDER BY name")]
    assert (names[-1], digest) == NEWEST


def test_a_new_store_is_what_one_of_the_first_release_becomes(store: Store) -> None:
    grown = Database(memory=True)
    migrations.apply(grown)
    for made in ("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2",
                 "SELECT migration_set, name FROM _sqlite_migrations ORDER BY id"):  # fmt: skip
        assert [tuple(row) for row in store.query(made)] == grown.execute(made).fetchall()


def test_a_column_of_the_model_reaches_a_store_that_lacks_it(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    Store.open(path).close()
    with sqlite3.connect(path) as conn:
        conn.execute("ALTER TABLE rate_limit DROP COLUMN taken")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = ?", NEWEST[:1])
    conn.close()
    with Store.open(path) as opened:
        assert "taken" in {row["name"] for row in opened.query("PRAGMA table_info(rate_limit)")}


def test_an_unknown_column_is_refused_before_any_sql_is_built(store: Store) -> None:
    with pytest.raises(ValueError, match="has no column"):
        put(store, {"source_id": "1", 'x" int); --': 1})


@pytest.mark.parametrize("broken", ["other workspace", "newer", "no store", "link", "absent"])
def test_a_store_that_is_not_ours_is_refused_in_words(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "s.db"
    if broken == "no store":
        path.write_text("hello " * 500)
    elif broken != "absent":
        Store.open(path, workspace="acme").close()
    if broken == "newer":
        with sqlite3.connect(path) as conn:
            conn.execute(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('cssync', 'm999', '')"
            )
        conn.close()
    if broken == "link":
        (tmp_path / "l.db").symlink_to(path)
        path = tmp_path / "l.db"
    with pytest.raises(ConfigError) as caught:
        Store.open(path, workspace="beta", create=False)
    assert caught.value.fix
    assert str(path) in caught.value.message
