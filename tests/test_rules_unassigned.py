"""Which entities of the desk have too many rows without an account: more than one in five, deleted ones left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cssync.rules.freshness import read_doubtful
from cssync.store.sqlite import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "x.db") as opened:
        yield opened


def put(store: Store, entity: str, assigned: int, alone: int, *, deleted: bool = False) -> None:
    """Store rows, so many of them with an account."""
    gone = "2026-11-20T00:00:00Z" if deleted else None
    with store.transaction() as conn:
        start = conn.execute(f"SELECT count(*) FROM {entity}").fetchone()[0]
        conn.executemany(
            f"INSERT INTO {entity} (connection, source_id, synced_at, account_uid, deleted_at) "
            "VALUES ('x', ?, '', ?, ?)",
            [(str(start + n), "a" if n < assigned else None, gone) for n in range(assigned + alone)],
        )


@pytest.mark.parametrize("entity", ["ticket", "ticket_metric", "survey_response"])
def test_one_in_five_is_no_doubt_yet(store: Store, entity: str) -> None:
    put(store, "contact", 0, 9)
    for assigned, alone, doubtful in ((5, 0, 0), (4, 1, 0), (3, 1, 1), (8, 2, 0), (7, 2, 1), (0, 1, 1)):
        with store.transaction() as conn:
            conn.execute(f"DELETE FROM {entity}")
        assert read_doubtful(store) == frozenset()
        put(store, entity, assigned, alone)
        assert read_doubtful(store) == ({entity} if doubtful else set()), (assigned, alone)


def test_deleted_rows_count_on_neither_side(store: Store) -> None:
    put(store, "ticket", 8, 2)
    put(store, "ticket", 0, 90, deleted=True)
    assert read_doubtful(store) == frozenset()
    put(store, "survey_response", 7, 2)
    put(store, "survey_response", 90, 0, deleted=True)
    assert read_doubtful(store) == {"survey_response"}


def test_a_few_of_many_are_found_to_be_few_without_reading_the_many(store: Store) -> None:
    def steps() -> int:
        counted = 0

        def note() -> int:
            nonlocal counted
            counted += 1
            return 0

        conn = store.reader()
        conn.set_progress_handler(note, 1)
        try:
            assert read_doubtful(store) == frozenset()
        finally:
            conn.set_progress_handler(None, 0)
        return counted

    put(store, "ticket", 995, 5)
    few = steps()
    put(store, "ticket", 3_000, 0)
    assert steps() <= few + 20
