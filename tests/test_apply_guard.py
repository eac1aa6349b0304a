"""The vendor's own guard: what it keeps out is looked at, never forced, and planned anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.connectors import Change, Outcome
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import ApplyReport, apply_plan
from cssync.writeback.failures import failing
from cssync.writeback.outbox import NOT_SHOWN
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, task, workspace

BAND = {"cs_health_band": "health.band"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


def run(store: Store, tmp_path: Path, crm: Crm, name: str) -> ApplyReport:
    rules: Any = None
    space = workspace(tmp_path, {"crm": crm}, fields=BAND)
    pulled(store, crm)
    plan = planning.make_plan(store, space, rules, AS_OF, run_id=name)
    return apply_plan(store, space, plan.id, sessions(space), run_id=name)


def guarded(change: Change, outcome: Outcome) -> Outcome:
    return Outcome(change.key, "moved", error="412")


def blocks(crm: Crm, edit: Any) -> None:
    """The guard keeps every write out, after `edit` happened between our look and the write."""

    def refuse(change: Change) -> Outcome:
        edit()
        return Outcome(change.key, "moved", error="412")

    crm.__dict__["_write"] = refuse


def test_a_persons_edit_between_look_and_write_is_kept_and_listed(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    result(store, "a-1", "health.band", "red")
    blocks(crm, lambda: crm.companies["1"].update(cs_health_band="green"))
    report = run(store, tmp_path, crm, "r1")
    assert dict(report.outcomes) == {"refused": 1}
    assert "the CRM holds 'green' now" in report.open[0].error
    del crm.__dict__["_write"]
    report = run(store, tmp_path, crm, "r2")  # planned anew: now it is a conflict
    assert report.outcomes == {}
    assert crm.companies["1"]["cs_health_band"] == "green"


def test_another_field_of_the_record_moved_so_the_next_run_writes_ours(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    result(store, "a-1", "health.band", "red")
    blocks(crm, lambda: crm.companies["1"].update(industry="Energy"))
    assert dict(run(store, tmp_path, crm, "r1").outcomes) == {"failed-retry": 1}
    assert store.query("SELECT attempts FROM outbox")[0]["attempts"] == 0  # the value is not to blame
    del crm.__dict__["_write"]
    assert dict(run(store, tmp_path, crm, "r2").outcomes) == {"verified": 1}
    assert crm.companies["1"]["cs_health_band"] == "red"


def test_the_guard_against_our_own_first_try_is_proved_by_looking(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    crm.answer = guarded
    account(store, "a-1")
    result(store, "a-1", "health.band", "red")
    task(store, "a-1")
    assert dict(run(store, tmp_path, crm, "r1").outcomes) == {"verified": 2}
    assert len(crm.journal) == 2


def test_a_record_not_shown_is_listed_once_and_written_when_a_pull_sees_it_again(tmp_path: Path, store: Store) -> None:
    """It may be gone, or only hidden from our user: that is for the vendor's list of deletions to say."""
    crm = Crm({str(n): {} for n in range(4)})
    for n in range(4):
        account(store, f"a-{n}")
        result(store, f"a-{n}", "health.band", "red")
    space = workspace(tmp_path, {"crm": crm}, fields=BAND)
    pulled(store, crm)
    rules: Any = None
    plan = planning.make_plan(store, space, rules, AS_OF, run_id="r1")
    gone = crm.companies.pop("1")
    report = apply_plan(store, space, plan.id, sessions(space), run_id="r1")
    assert dict(report.outcomes) == {"failed-permanent": 1, "verified": 3}
    for n in range(2, 5):
        again = planning.make_plan(store, space, rules, AS_OF, run_id=f"r{n}")
        assert again.changes == ()
        assert ["hidden from cssync's user" in note.message for note in again.notes] == [True]
    assert [entry.error for entry in failing(store)] == [NOT_SHOWN]
    assert store.query("SELECT count(*) AS n FROM account_source WHERE deleted_at IS NOT NULL")[0]["n"] == 0
    crm.companies["1"] = gone
    with store.transaction() as conn:
        row = {"source_id": "1", "name": "back"}
        store.upsert(conn, "account_source", "crm", [row], "2099-11-21T00:00:00Z")
    last = planning.make_plan(store, space, rules, AS_OF, run_id="r6")
    assert [c.source_id for c in last.changes] == ["1"]
    assert dict(apply_plan(store, space, last.id, sessions(space), run_id="r6").outcomes) == {"verified": 1}


def test_a_new_value_is_tried_on_a_record_that_was_not_shown(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}, "2": {}})
    for n in (1, 2):
        account(store, f"a-{n}")
        result(store, f"a-{n}", "health.band", "red")
    space = workspace(tmp_path, {"crm": crm}, fields=BAND)
    pulled(store, crm)
    rules: Any = None
    plan = planning.make_plan(store, space, rules, AS_OF, run_id="r1")
    gone = crm.companies.pop("1")
    apply_plan(store, space, plan.id, sessions(space), run_id="r1")
    crm.companies["1"] = gone
    result(store, "a-1", "health.band", "yellow")
    plan = planning.make_plan(store, space, rules, AS_OF, run_id="r2")
    assert dict(apply_plan(store, space, plan.id, sessions(space), run_id="r2").outcomes) == {"verified": 1}


def test_a_look_that_shows_next_to_nothing_is_no_word_on_any_record(tmp_path: Path, store: Store) -> None:
    crm = Crm({str(n): {} for n in range(20)})
    for n in range(20):
        account(store, f"a-{n}")
        result(store, f"a-{n}", "health.band", "red")
    space = workspace(tmp_path, {"crm": crm}, fields=BAND)
    pulled(store, crm)
    rules: Any = None
    plan = planning.make_plan(store, space, rules, AS_OF, run_id="r1")
    shown, crm.companies = crm.companies, {"0": {}}
    report = apply_plan(store, space, plan.id, sessions(space), run_id="r1")
    assert dict(report.outcomes) == {"refused": 19, "verified": 1}
    crm.companies = shown
    assert len(planning.make_plan(store, space, rules, AS_OF, run_id="r2").changes) == 19
