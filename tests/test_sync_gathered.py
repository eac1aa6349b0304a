"""Small pages are stored together, and it makes no difference but to the time it takes."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cssync.connectors import Page, Tombstone
from cssync.errors import ConnectionFault
from cssync.store import Store
from cssync.sync import StreamReport, engine, sync
from fake_vendor import World, company, sessions, workspace

SHOWN = {
    "account_source": "source_id, name, employee_count, updated_at, deleted_at IS NULL",
    "contract": "source_id, end_date, deleted_at IS NULL",
    "usage_metric": "source_id, value, deleted_at IS NULL",
    "quarantine": "source_id, field, reason",
    "crm_state": "source_id, fields, deleted_at IS NULL",
}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each transaction took."""
    sizes: list[int] = []
    commit = engine.commit_page

    def counted(store: Store, job: Any, batch: Any, **how: Any) -> None:
        sizes.append(len(batch.good.keys))
        commit(store, job, batch, **how)

    monkeypatch.setattr(engine, "commit_page", counted)
    return sizes


def pull(folder: Path, store: Store, pages: list[Page] | Any, full: bool = False) -> StreamReport:
    space = workspace(folder, crm=World())
    object.__setattr__(space.connections["crm"].streams[0], "pages", lambda session, request: iter(pages))
    return sync(store, space, sessions(space), run_id="r", stream="companies", full=full)[0]


def test_small_pages_are_stored_together_and_the_last_one_by_itself(
    tmp_path: Path, store: Store, commits: list[int]
) -> None:
    space = workspace(tmp_path, crm=World([company(n) for n in range(30)]))
    report = sync(store, space, sessions(space), run_id="r", stream="companies")[0]
    assert (report.new, report.outcome) == (30, "ok")
    assert commits == [27, 3]
    assert store.query("SELECT cursor FROM source_state")[0][0] == '{"at":30}'


def test_a_page_that_is_large_enough_waits_for_nothing(
    tmp_path: Path, store: Store, commits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ENOUGH", 6)
    space = workspace(tmp_path, crm=World([company(n) for n in range(30)]))
    sync(store, space, sessions(space), run_id="r", stream="companies")
    assert commits == [6, 6, 6, 6, 3, 3]


def test_what_gathered_is_stored_when_the_stream_breaks_off(tmp_path: Path, store: Store, commits: list[int]) -> None:
    def broken() -> Any:
        for n in range(4):
            yield Page([company(n)], {"at": n + 1})
        raise ConnectionFault("crm.companies: 500")

    report = pull(tmp_path, store, broken())
    assert (report.outcome, report.new, commits) == ("failed", 4, [4])
    assert store.query("SELECT cursor FROM source_state")[0][0] == '{"at":4}'


def test_what_gathered_is_stored_although_nothing_more_comes(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TICK", 0.02)
    seen = threading.Event()
    space = workspace(tmp_path, crm=World())

    def slow(session: Any, request: Any) -> Any:
        yield Page([company(1)], {"at": 1})
        assert seen.wait(20), "the first page was not stored while the second one was waited for"
        yield Page([company(2)], {"at": 2}, last=True)

    object.__setattr__(space.connections["crm"].streams[0], "pages", slow)

    def look(report: StreamReport) -> None:
        if store.query("SELECT count(*) FROM account_source")[0][0]:
            seen.set()

    report = sync(store, space, sessions(space), run_id="r", stream="companies", progress=look)[0]
    assert (report.outcome, report.new) == ("ok", 2)


def test_a_tombstone_holds_from_its_place_on(tmp_path: Path, store: Store) -> None:
    pull(tmp_path, store, [Page([company(1), company(2)], {"at": 1}, last=True)])
    pages = [
        Page([company(3)], {"at": 2}, deleted=[Tombstone("1"), Tombstone("2")]),
        Page([company(1, name="Back")], {"at": 3}),
        Page([company(4)], {"at": 4}, last=True),
    ]
    pull(tmp_path, store, pages)
    rows = store.query("SELECT source_id, name, deleted_at IS NULL FROM account_source ORDER BY 1")
    assert [tuple(r) for r in rows] == [
        ("1", "Back", 1), ("2", "Company 2", 0), ("3", "Company 3", 1), ("4", "Company 4", 1),
    ]  # fmt: skip


CUSTOM = st.fixed_dictionaries(
    {},
    optional={
        "renews": st.sampled_from(["2027-01-31", "2028-01-31", None, ""]),
        "mau": st.sampled_from(["3", "4", None]),
        "cs_score": st.sampled_from(["82", None]),
    },
)
RECORD = st.builds(
    company,
    st.integers(0, 7),
    name=st.sampled_from(["A", "B", None, "x\0y", ""]),
    staff=st.sampled_from(["5", "6", "7", "8", None, "5,0"]),
    custom=CUSTOM,
)
PAGES = st.lists(st.lists(RECORD, min_size=1, max_size=4), min_size=2, max_size=8)


@settings(max_examples=15, deadline=None)
@given(PAGES)
def test_gathered_or_not_the_store_is_the_same(pages: list[list[dict[str, Any]]]) -> None:
    """Also where a record comes twice, is torn, or lacks fields that others have."""
    stepwise = [Page(part, {"at": n}, last=n == len(pages)) for n, part in enumerate(pages, 1)]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for enough in (1, 1_000):
            with pytest.MonkeyPatch.context() as patch, Store.open(Path(folder) / f"{enough}.db") as store:
                patch.setattr(engine, "ENOUGH", enough)
                reports = [pull(Path(folder), store, stepwise, full) for full in (False, True)]
                counts = [(r.read, r.new, r.changed, r.same, r.quarantined, r.tombstoned) for r in reports]
                shown = {
                    table: [tuple(r) for r in store.query(f"SELECT {columns} FROM {table} ORDER BY 1, 2")]
                    for table, columns in SHOWN.items()
                }
                former = store.query("SELECT entity, source_id FROM history ORDER BY 1, 2, id")
                found.append((counts, shown, [tuple(r) for r in former]))
    assert found[0] == found[1]
