"""Undo of a run: only what nobody touched since comes back, and it stays back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.runs.run import RunReport
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import ApplyReport, apply_plan
from cssync.writeback.plan import Plan, make_undo
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, task, workspace

BAND = {"cs_health_band": "health.band"}
NO_RULES: Any = None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


def plan(store: Store, space: Workspace, run: str) -> Plan:
    return planning.make_plan(store, space, NO_RULES, AS_OF, run_id=run)


def undo(store: Store, space: Workspace, undone: str, run: str) -> Plan:
    return make_undo(store, space, NO_RULES, AS_OF, undone, run_id=run)


def apply(store: Store, space: Workspace, made: Plan, run: str) -> ApplyReport:
    return apply_plan(store, space, made.id, sessions(space), run_id=run)


def written(store: Store, tmp_path: Path, crm: Crm, count: int = 4) -> Workspace:
    """`count` records that run r1 took from green to red; company 0 was empty before."""
    for n in range(count):
        crm.companies[str(n)] = {"cs_health_band": "green"} if n else {}
        account(store, f"a-{n}", name=f"Company {n}")
        result(store, f"a-{n}", "health.band", "green" if n else "red")
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields=BAND)
    plan(store, space, "r0")  # takes over what both sides agree on
    for n in range(count):
        result(store, f"a-{n}", "health.band", "red")
    assert apply(store, space, plan(store, space, "r1"), "r1").exit_code == 0
    pulled(store, crm)
    return space


def bands(crm: Crm) -> list[Any]:
    return [company.get("cs_health_band") for company in crm.companies.values()]


def test_only_what_nobody_touched_returns_and_the_others_are_listed(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm)
    crm.companies["2"]["cs_health_band"] = "yellow"
    pulled(store, crm)
    made = undo(store, space, "r1", "r2")
    assert [(c.source_id, c.action, c.old, c.new) for c in made.changes] == [
        ("0", "clear", "red", None),
        ("1", "set", "red", "green"),
        ("3", "set", "red", "green"),
    ]
    assert [(n.kind, n.account, n.message) for n in made.notes] == [
        ("kept", "Company 2", "the CRM holds 'yellow' now, the run left 'red' there")
    ]
    assert dict(apply(store, space, made, "r2").outcomes) == {"verified": 3}
    assert bands(crm) == [None, "green", "yellow", "green"]


def test_an_edit_between_undo_and_apply_is_kept(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm)
    made = undo(store, space, "r1", "r2")
    crm.companies["3"]["cs_health_band"] = "yellow"
    assert dict(apply(store, space, made, "r2").outcomes) == {"refused": 1, "verified": 3}
    assert bands(crm) == [None, "green", "green", "yellow"]


def test_an_undone_value_is_not_written_again_until_the_rules_come_to_another(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm)
    apply(store, space, undo(store, space, "r1", "r2"), "r2")
    pulled(store, crm)
    after = plan(store, space, "r3")
    assert (after.changes, after.totals["declined"], after.totals["blocked"]) == ((), 4, 0)
    assert "a person took this back" in after.notes[0].message
    assert RunReport("r3", AS_OF, plan=after).exit_code == 0, "what a person decided is no fault of the run"
    result(store, "a-1", "health.band", "yellow")
    assert [(c.source_id, c.new) for c in plan(store, space, "r4").changes] == [("1", "yellow")]


def test_an_undo_can_be_undone(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm)
    apply(store, space, undo(store, space, "r1", "r2"), "r2")
    pulled(store, crm)
    again = undo(store, space, "r2", "r3")
    assert dict(apply(store, space, again, "r3").outcomes) == {"verified": 4}
    assert bands(crm) == ["red"] * 4
    pulled(store, crm)
    assert plan(store, space, "r4").changes == ()


def test_what_a_later_run_wrote_stays(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm)
    result(store, "a-1", "health.band", "yellow")
    apply(store, space, plan(store, space, "r2"), "r2")
    pulled(store, crm)
    made = undo(store, space, "r1", "r3")
    assert [c.source_id for c in made.changes] == ["0", "2", "3"]
    assert [n.message for n in made.notes] == ["it was written again since"]


def test_gone_records_and_dropped_mappings_are_listed(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm)
    with store.transaction() as conn:
        store.tombstone(conn, "account_source", "crm", ["3"], "2026-11-20T21:00:00Z")
    made = undo(store, space, "r1", "r2")
    assert ([c.source_id for c in made.changes], [n.message for n in made.notes]) == (
        ["0", "1", "2"],
        ["the record is gone"],
    )
    elsewhere = workspace(tmp_path, {"crm": crm}, fields={"cs_health_score": "health.score"})
    assert undo(store, elsewhere, "r1", "r3").changes == ()


def test_a_large_undo_is_held_like_any_plan(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm, 12)
    made = undo(store, space, made_by(store, "r1"), "r2")
    assert made.status == "held"
    assert "12 of 12 records would change" in made.held_by[0]


def made_by(store: Store, run: str) -> str:
    """A run is known by the plan it sent too."""
    return str(store.query("SELECT DISTINCT plan_id FROM outbox WHERE run_id = ?", (run,))[0]["plan_id"])


def test_tasks_of_the_run_are_closed_with_a_note_unless_touched(tmp_path: Path, store: Store) -> None:
    crm = Crm({str(n): {} for n in range(3)})
    for n in range(3):
        account(store, f"a-{n}", name=f"Company {n}")
        task(store, f"a-{n}", f"k{n}")
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields=BAND)
    apply(store, space, plan(store, space, "r1"), "r1")
    edited = next(t for t in crm.tasks.values() if t["key"] == "k1")
    closed = next(t for t in crm.tasks.values() if t["key"] == "k2")
    edited["subject"], closed["status"] = "Call them first", "done"
    pulled(store, crm)
    made = undo(store, space, "r1", "r2")
    assert [(c.action, c.field) for c in made.changes] == [("close_task", "k0")]
    assert "took back run r1" in made.changes[0].new["note"]
    assert sorted(n.message.partition(": ")[2] for n in made.notes) == [
        "a person changed the task since",
        "the task is closed or gone already",
    ]
    assert apply(store, space, made, "r2").exit_code == 0
    assert [t["status"] for t in sorted(crm.tasks.values(), key=lambda t: str(t["key"]))] == ["done", "open", "done"]
    pulled(store, crm)
    assert plan(store, space, "r3").changes == ()  # never reopened


def tasks_of(crm: Crm) -> list[tuple[str, str, str, str]]:
    return sorted((t["key"], t["subject"], t["due_on"], t["status"]) for t in crm.tasks.values())


def changed_tasks(store: Store, tmp_path: Path, crm: Crm) -> tuple[Workspace, list[Any]]:
    """Three tasks of run r1; run r2 re-dated k0 and k1 and closed k2. Returns what the CRM held before r2."""
    for n in range(3):
        crm.companies[str(n)] = {}
        account(store, f"a-{n}", name=f"Company {n}")
        task(store, f"a-{n}", f"k{n}")
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields=BAND)
    apply(store, space, plan(store, space, "r1"), "r1")
    pulled(store, crm)
    before = tasks_of(crm)
    for n in range(2):
        task(store, f"a-{n}", f"k{n}", title=f"Renew sooner {n}", due_on="2026-12-01", priority="high")
    task(store, "a-2", "k2", status="closed", closing_note="renewed")
    apply(store, space, plan(store, space, "r2"), "r2")
    pulled(store, crm)
    assert tasks_of(crm) != before
    return space, before


def test_updates_and_closings_of_tasks_are_taken_back_and_stay_back(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space, before = changed_tasks(store, tmp_path, crm)
    made = undo(store, space, "r2", "r3")
    assert sorted(c.action for c in made.changes) == ["reopen_task", "update_task", "update_task"]
    assert {c.new["priority"] for c in made.changes} == {"normal"}
    assert apply(store, space, made, "r3").exit_code == 0
    assert tasks_of(crm) == before
    pulled(store, crm)
    again = plan(store, space, "r4")
    assert again.changes == ()  # a person took it back
    assert again.totals["declined"] == 3
    task(store, "a-0", "k0", title="Renew today", due_on="2026-11-24")
    assert [c.field for c in plan(store, space, "r5").changes] == ["k0"]  # the rules came to something else


def test_tasks_that_a_person_changed_after_the_run_are_listed_and_left(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space, _ = changed_tasks(store, tmp_path, crm)
    by_key = {t["key"]: t for t in crm.tasks.values()}
    by_key["k0"]["due_on"] = "2027-02-02"
    by_key["k1"]["status"] = "done"
    by_key["k2"]["status"] = "open"
    pulled(store, crm)
    made = undo(store, space, "r2", "r3")
    assert made.changes == ()
    assert sorted(n.message.partition(": ")[2] for n in made.notes) == [
        "a person changed the task since",
        "a person opened the task again already",
        "the task is closed or gone already",
    ]


def test_a_cleared_field_gets_its_value_back(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm, 2)
    for n in range(2):
        result(store, f"a-{n}", "health.band", None)
    made = plan(store, space, "r2")
    assert [c.action for c in made.changes] == ["clear", "clear"]
    assert apply(store, space, made, "r2").exit_code == 0
    pulled(store, crm)
    back = undo(store, space, "r2", "r3")
    assert [(c.action, c.old, c.new) for c in back.changes] == [("set", None, "red")] * 2
    assert apply(store, space, back, "r3").exit_code == 0
    assert [c["cs_health_band"] for c in crm.companies.values()] == ["red", "red"]
    pulled(store, crm)
    assert plan(store, space, "r4").changes == ()


def test_a_write_whose_fate_is_unknown_is_not_undone(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = written(store, tmp_path, crm, 1)
    with store.transaction() as conn:
        conn.execute("UPDATE outbox SET state = 'unknown'")
    made = undo(store, space, "r1", "r2")
    assert (made.changes, made.totals["unsettled"]) == ((), 1)


def test_a_run_that_wrote_nothing_is_told_the_ones_that_did(tmp_path: Path, store: Store) -> None:
    space = written(store, tmp_path, Crm())
    with pytest.raises(ConfigError, match="r9 wrote nothing") as told:
        undo(store, space, "r9", "r2")
    assert "r1" in told.value.fix
