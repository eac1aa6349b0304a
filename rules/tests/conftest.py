"""A store with one customer whose sources are fresh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from standard_store import ENTITIES

from cssync.store.sqlite import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "x.db") as opened:
        with opened.transaction() as conn:
            conn.execute("INSERT INTO account (uid, name, status, csm_uid) VALUES ('a', 'Acme', 'active', 'u')")
            conn.executemany("INSERT INTO source_feed VALUES ('crm', ?, ?)", [(e, e) for e in ENTITIES])
            conn.executemany(
                "INSERT INTO source_state (connection, stream, last_success_at, outcome) VALUES ('crm', ?, ?, 'ok')",
                [(e, "2026-11-20T02:00:00Z") for e in ENTITIES],
            )
        yield opened
