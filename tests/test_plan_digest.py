"""Load limits: ten new tasks for one owner, the rest as one list by ARR at risk; the tech tier as a pool's list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Limits, Workspace
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan
from cssync.writeback.plan import Plan
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, task, user, workspace

N = 14


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


def run(store: Store, space: Workspace, crm: Crm, name: str, *, days: int = 0) -> Plan:
    rules: Any = None
    pulled(store, crm)
    plan = planning.make_plan(store, space, rules, AS_OF + timedelta(days=days), run_id=name)
    assert apply_plan(store, space, plan.id, sessions(space), run_id=name).exit_code == 0
    pulled(store, crm)
    return plan


@pytest.fixture
def crm() -> Crm:
    return Crm({str(n): {} for n in range(N)})


def filled(store: Store, tmp_path: Path, crm: Crm, **options: Any) -> Workspace:
    """One owner with N tasks; account n has n * 1,000 of ARR at risk, the last none that is known."""
    owner = user(store, "u1", "ann@acme.example")
    for n in range(N):
        account(store, f"a-{n}", name=f"Company {n:02}")
        task(store, f"a-{n}", f"k{n:02}", owner_uid=owner)
        if n < N - 1:
            result(store, f"a-{n}", "renewal.arr_at_stake", n * 1000)
    return workspace(tmp_path, {"crm": crm}, fields={}, **options)


def lists(crm: Crm) -> list[dict[str, Any]]:
    return [t for t in crm.tasks.values() if t["key"].startswith("digest-")]


def test_what_is_beyond_the_limit_is_one_list_by_arr_at_risk(tmp_path: Path, store: Store, crm: Crm) -> None:
    plan = run(store, filled(store, tmp_path, crm), crm, "r1")
    assert len(crm.tasks) == 11
    (digest,) = [c for c in plan.changes if c.field.startswith("digest-")]
    assert digest.new["owner_source_id"] == "u1"
    assert digest.new["subject"] == "More tasks, by ARR at risk: 4"
    body = digest.new["body"].splitlines()
    assert [line.split(":")[0] for line in body[2:]] == [
        "1. Company 12", "2. Company 11", "3. Company 10", "4. Company 13",
    ]  # fmt: skip
    assert "ARR at risk 12,000" in body[2]
    assert "cssync put these into one task of 2026-11-21" in body[0]
    assert plan.totals["later"] == 4


def test_amounts_of_other_currencies_are_compared_at_todays_rate(tmp_path: Path, store: Store, crm: Crm) -> None:
    space = filled(store, tmp_path, crm)
    rates = tmp_path / "rates.csv"
    rates.write_text(f"date,from,to,rate\n2026-01-01,USD,{space.currency},150\n")
    with store.transaction() as conn:
        conn.execute(
            "INSERT INTO contract_line (connection, source_id, synced_at, account_uid, currency) "
            "VALUES ('crm', 'l', '2026', 'a-10', 'USD')"
        )
    plan = run(store, replace(space, fx=rates), crm, "r1")
    (digest,) = [c for c in plan.changes if c.field.startswith("digest-")]
    first, second = digest.new["body"].splitlines()[2:4]
    assert first.startswith("1. Company 10")
    assert "ARR at risk 10,000 USD" in first
    assert f"ARR at risk 12,000 {space.currency}" in second


def test_on_the_same_day_nothing_more_comes_and_the_next_days_shrink_the_list(
    tmp_path: Path, store: Store, crm: Crm
) -> None:
    space = filled(store, tmp_path, crm, limits=Limits(new_tasks=5))
    run(store, space, crm, "r1")
    writes = len(crm.journal)
    assert run(store, space, crm, "r2").changes == ()
    assert len(crm.journal) == writes
    run(store, space, crm, "r3", days=1)
    assert [t["subject"] for t in lists(crm)] == ["More tasks, by ARR at risk: 4"]  # 14 = 5 + 5 + 4
    run(store, space, crm, "r4", days=2)
    assert [t["status"] for t in lists(crm)] == ["done"]
    assert len(crm.tasks) == N + 1
    assert [c.new["note"] for c in planning.load_plan(store, crm_plan(store, "r4")).changes if c.action == "close_task"]


def crm_plan(store: Store, run_id: str) -> str:
    return str(store.query("SELECT id FROM plan WHERE run_id = ?", (run_id,))[0]["id"])


def test_a_list_that_a_person_closed_does_not_come_back_in_its_week(tmp_path: Path, store: Store, crm: Crm) -> None:
    space = filled(store, tmp_path, crm, limits=Limits(new_tasks=1))
    run(store, space, crm, "r1")  # a Saturday in Tokyo
    lists(crm)[0]["status"] = "done"
    run(store, space, crm, "r2", days=1)
    assert [t["status"] for t in lists(crm)] == ["done"]
    run(store, space, crm, "r3", days=2)  # Monday
    assert [t["status"] for t in lists(crm)] == ["done", "open"]


def test_last_weeks_list_ends_when_the_new_one_comes(tmp_path: Path, store: Store, crm: Crm) -> None:
    space = filled(store, tmp_path, crm, limits=Limits(new_tasks=1))
    run(store, space, crm, "r1")
    run(store, space, crm, "r2", days=7)
    assert sorted(t["status"] for t in lists(crm)) == ["done", "open"]


def test_a_list_that_a_person_edited_is_left_to_them(tmp_path: Path, store: Store, crm: Crm) -> None:
    space = filled(store, tmp_path, crm, limits=Limits(new_tasks=5))
    run(store, space, crm, "r1")
    lists(crm)[0]["subject"] = "My own order"
    plan = run(store, space, crm, "r2", days=1)
    assert [t["subject"] for t in lists(crm)] == ["My own order"]
    assert plan.totals["conflict"] == 1


def test_accounts_of_the_tech_tier_come_as_the_pools_list(tmp_path: Path, store: Store, crm: Crm) -> None:
    user(store, "pool", "pool@acme.example")
    space = filled(store, tmp_path, crm, task_owner="pool@acme.example")
    with store.transaction() as conn:
        conn.execute("UPDATE account SET touch_tier = 'tech' WHERE uid IN ('a-1', 'a-2')")
    plan = run(store, space, crm, "r1")
    pooled, own = sorted(lists(crm), key=lambda t: str(t["owner"]))
    assert (pooled["owner"], own["owner"]) == ("pool", "u1")
    (digest,) = [c for c in plan.changes if c.new.get("owner_source_id") == "pool"]
    assert [line[:13] for line in digest.new["body"].splitlines()[2:]] == ["1. Company 02", "2. Company 01"]
    assert not {"k01", "k02"} & {t["key"] for t in crm.tasks.values()}


def test_in_japanese(tmp_path: Path, store: Store, crm: Crm) -> None:
    plan = run(store, replace(filled(store, tmp_path, crm), locale="ja"), crm, "r1")
    (digest,) = [c for c in plan.changes if c.field.startswith("digest-")]
    assert digest.new["subject"] == "ほか4件の対応(リスクのあるARR順)"
    assert "cssync" in digest.new["body"]
    assert "リスクのあるARR 12,000" in digest.new["body"]


def test_a_still_world_writes_no_list_twice(tmp_path: Path, store: Store, crm: Crm) -> None:
    space = filled(store, tmp_path, crm)
    run(store, space, crm, "r1")
    for n in range(2, 6):
        writes = len(crm.journal)
        run(store, space, crm, f"r{n}")
        assert len(crm.journal) == writes
