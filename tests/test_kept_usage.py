"""What an evaluation found about usage serves later explanations of the day, until usage is pulled again."""

from __future__ import annotations

from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

from cssync.rules import explain, load_folders
from cssync.rules.evaluate import usage_coverage
from cssync.rules.kept_usage import kept
from cssync.store import Store
from past_world import BEGIN, PastWorld

RULES = load_folders([("standard", files("cssync_rules"))])
DAY = date(2026, 10, 20)


def test_it_is_what_the_evaluation_found_and_ends_with_the_next_pull(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store:
        world = PastWorld(store, RULES)
        assert kept(store, DAY) is None
        world.day()
        found = kept(store, DAY)
        assert found == usage_coverage(store, world.space, BEGIN)
        assert found is not None
        assert found.newest
        assert kept(store, DAY + timedelta(days=1)) is None
        world.pulled(BEGIN + timedelta(hours=2))
        assert kept(store, DAY) is None


def test_an_explanation_needs_no_look_at_all_rows(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store:
        world = PastWorld(store, RULES)
        world.day()
        uid = store.query("SELECT uid FROM account ORDER BY uid LIMIT 1")[0][0]
        seen: list[str] = []
        store.reader().set_trace_callback(seen.append)
        explain(store, RULES, world.space, uid, BEGIN)
        assert not [
            sql for sql in seen if "FROM usage_metric WHERE deleted_at IS NULL AND account_uid IS NOT NULL" in sql
        ]
        store.reader().set_trace_callback(None)
