"""Tasks after a merge, without a usable owner, and beyond the load limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cssync.cli.run import lines
from cssync.config import Workspace
from cssync.runs.run import RunReport
from cssync.store import Store
from cssync.views.plan import plan_lines
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan
from cssync.writeback.plan import Plan
from fake_crm import AS_OF, TYPES, Crm, account, pulled, sessions, task, user, workspace

LATER_TOLD = "its owner got 10 new tasks today; it is in the digest, and comes with the next ones"
LATER = "2026-11-21T00:00:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


def run(store: Store, space: Workspace, name: str) -> Plan:
    rules: Any = None
    plan = planning.make_plan(store, space, rules, AS_OF, run_id=name)
    assert apply_plan(store, space, plan.id, sessions(space), run_id=name).exit_code == 0
    return plan


def two(store: Store, tmp_path: Path, crm: Crm) -> Workspace:
    """Companies Loser and Winner."""
    for uid, name in (("a-L", "Loser"), ("a-W", "Winner")):
        crm.companies[uid.removeprefix("a-")] = {}
        account(store, uid, name=name)
    pulled(store, crm)
    return workspace(tmp_path, {"crm": crm}, fields={})


def merge(store: Store, crm: Crm) -> None:
    """The CRM merges Loser into Winner and hands its tasks over; a pull and the linking follow."""
    del crm.companies["L"]
    for held in crm.tasks.values():
        held["company"] = "W"
    pulled(store, crm)
    with store.transaction() as conn:
        conn.execute(
            "UPDATE account_source SET deleted_at = ?, merged_into = 'W' WHERE source_id = 'L'",
            (LATER,),
        )
        conn.execute("UPDATE account SET deleted_at = ?, merged_into = 'a-W' WHERE uid = 'a-L'", (LATER,))
        conn.execute("UPDATE account_link SET valid_to = ?, status = 'suggested' WHERE source_id = 'L'", (LATER,))
        conn.execute(
            "UPDATE task SET status = 'closed', closing_note = 'the account is no longer looked at' "
            "WHERE account_uid = 'a-L'"
        )


def open_tasks(crm: Crm) -> list[tuple[str, str, str]]:
    return [(t["key"], t["subject"], t["company"]) for t in crm.tasks.values() if t["status"] == "open"]


def test_a_merged_accounts_task_serves_the_survivor_and_no_second_one_is_made(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = two(store, tmp_path, crm)
    task(store, "a-L", "kL", occurrence="term", title="Renew Loser")
    run(store, space, "r1")
    merge(store, crm)
    task(store, "a-W", "kW", occurrence="term", title="Renew Winner")
    plan = run(store, space, "r2")
    assert [(c.action, c.field, c.source_id, c.account) for c in plan.changes] == [("update_task", "kL", "W", "Winner")]
    assert plan.changes[0].new["account_source_id"] == "W"
    assert open_tasks(crm) == [("kL", "Renew Winner", "W")]
    pulled(store, crm)
    assert run(store, space, "r3").changes == ()
    task(store, "a-W", "kW", occurrence="term", title="Renew Winner", status="closed", closing_note="renewed")
    assert [(c.action, c.because) for c in run(store, space, "r4").changes] == [("close_task", "renewed")]
    assert open_tasks(crm) == []


def test_a_task_that_a_person_closed_before_the_merge_does_not_come_back_after_it(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = two(store, tmp_path, crm)
    task(store, "a-L", "kL", occurrence="term")
    run(store, space, "r1")
    crm.tasks["T1"]["status"] = "done"
    merge(store, crm)
    task(store, "a-W", "kW", occurrence="term")
    assert run(store, space, "r2").changes == ()


def test_where_the_survivor_has_its_own_task_the_other_is_closed_with_the_reason(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = two(store, tmp_path, crm)
    task(store, "a-L", "kL", occurrence="term", title="Renew Loser")
    task(store, "a-W", "kW", occurrence="term", title="Renew Winner")
    run(store, space, "r1")
    merge(store, crm)
    plan = run(store, space, "r2")
    assert [(c.action, c.field, c.because) for c in plan.changes] == [
        ("close_task", "kL", "Loser was merged into Winner, for which nothing asks for this")
    ]
    assert open_tasks(crm) == [("kW", "Renew Winner", "W")]


def test_a_merge_inside_one_account_moves_the_task_to_the_record_that_is_left(tmp_path: Path, store: Store) -> None:
    crm = Crm({"L": {}, "W": {}})
    for source_id in ("L", "W"):
        account(store, "a-1", source_id=source_id, name="Acme")
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields={})
    task(store, "a-1")
    run(store, space, "r1")
    merge(store, crm)
    assert run(store, space, "r2").changes == ()
    task(store, "a-1", due_on="2027-01-29")
    (change,) = run(store, space, "r3").changes
    assert (change.action, change.source_id, change.new["account_source_id"]) == ("update_task", "W", "W")


def test_a_task_of_a_merged_account_that_a_person_rewrote_is_left_to_them(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = two(store, tmp_path, crm)
    task(store, "a-L", "kL", occurrence="term")
    run(store, space, "r1")
    crm.tasks["T1"]["subject"] = "Ask Ms Sato first"
    merge(store, crm)
    (comment,) = run(store, space, "r2").changes
    assert (comment.action, comment.new["comment_only"]) == ("update_task", True)
    assert (crm.tasks["T1"]["status"], crm.tasks["T1"]["subject"]) == ("open", "Ask Ms Sato first")
    pulled(store, crm)
    plan = run(store, space, "r3")
    assert (plan.changes, [n.kind for n in plan.notes]) == ((), ["conflict"])


@pytest.mark.parametrize("wanted", ["pool@us.example", "POOL@us.example", "u9"])
def test_tasks_without_a_usable_owner_go_to_the_stand_in(tmp_path: Path, store: Store, wanted: str) -> None:
    crm = Crm({"1": {}, "2": {}, "3": {}})
    user(store, "u9", "Pool@us.example")
    left = user(store, "u1", "bob@us.example", is_active=0)
    for n, owner in enumerate((None, left, "crm:u404"), 1):
        account(store, f"a-{n}")
        task(store, f"a-{n}", f"k{n}", owner_uid=owner)
    plan = run(store, workspace(tmp_path, {"crm": crm}, fields={}, task_owner=wanted), "r1")
    assert {t["owner"] for t in crm.tasks.values()} == {"u9"}
    assert {n.message.partition("; ")[2] for n in plan.notes} == {"it goes to writeback.crm.task_owner"}
    assert plan.totals["unowned"] == 3


def test_a_stand_in_who_left_is_told(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    user(store, "u9", "pool@us.example", is_active=0)
    account(store, "a-1")
    task(store, "a-1")
    plan = run(store, workspace(tmp_path, {"crm": crm}, fields={}, task_owner="pool@us.example"), "r1")
    assert crm.tasks["T1"]["owner"] is None
    assert "writeback.crm.task_owner is nobody active there either" in plan.notes[0].message


def test_tasks_beyond_the_load_limit_are_one_list_in_the_plan_and_in_the_runs_report(
    tmp_path: Path, store: Store
) -> None:
    crm = Crm({str(n): {} for n in range(12)})
    owner = user(store, "u1", "ann@us.example")
    for n in range(12):
        account(store, f"a-{n}", name=f"Company {n:02}")
        task(store, f"a-{n}", f"k{n:02}", owner_uid=owner, title="Call")
    plan = run(store, workspace(tmp_path, {"crm": crm}, fields={}), "r1")
    told = [
        "tasks held back for their owners' sake (2):",
        f"  Company 10, crm: task 'Call': {LATER_TOLD}",
        f"  Company 11, crm: task 'Call': {LATER_TOLD}",
    ]
    assert list(plan_lines(plan))[-3:] == told
    assert [line.removeprefix("  ") for line in lines(RunReport("r", AS_OF, plan=plan))][-3:] == told


@pytest.mark.parametrize(("locale", "end"), [
    ("en-GB", "Written by cssync on data of 2026-11-20; closed by cssync when the reason is gone."),
    ("ja-JP", "cssyncが2026-11-20時点のデータから作成しました。理由がなくなればcssyncが完了にします。")])  # fmt: skip
def test_a_text_too_long_for_a_task_keeps_its_last_line(tmp_path: Path, store: Store, locale: str, end: str) -> None:
    crm = Crm()
    space = replace(two(store, tmp_path, crm), locale=locale)
    task(store, "a-L", body="Why: " + "👩‍👩‍👧" * 6_000)
    (change,) = run(store, space, "r1").changes
    body, last = change.new["body"].split("\n\n")
    assert last == end
    assert body.endswith("👩‍👩‍👧…")
    assert len(body.encode("utf-16-le")) // 2 <= 30_000
