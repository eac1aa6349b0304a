"""Overrides that people set in the CRM are left alone until their last day is over, and then cleared once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Workspace
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan
from cssync.writeback.plan import Plan
from fake_crm import AS_OF, KNOWN_AT, TYPES, Crm, account, pulled, sessions, workspace

MAPPED = {
    "cs_override_band": "account_source.override_band",
    "cs_override_reason": "account_source.override_reason",
    "cs_override_until": "account_source.override_until",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


def office(store: Store, tmp_path: Path, crm: Crm, until: str | None, mapped: dict[str, str] = MAPPED) -> Workspace:
    crm.companies["1"] = {"cs_override_band": "green", "cs_override_reason": "new sponsor", "cs_override_until": until}
    account(store, "a-1")
    row = {target.rpartition(".")[2]: crm.companies["1"][field] for field, target in MAPPED.items()}
    with store.transaction() as conn:
        store.upsert(conn, "account_source", "crm", [{"source_id": "1", **row}], KNOWN_AT)
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields={})
    crm_ = replace(space.connections["crm"], mapped={"companies": mapped})
    return replace(space, connections={"crm": crm_})


def plan(store: Store, space: Workspace, run: str, days: int = 0) -> Plan:
    rules: Any = None
    return planning.make_plan(store, space, rules, AS_OF + timedelta(days=days), run_id=run)


def test_an_override_is_cleared_the_day_after_its_last_in_the_business_time_zone(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = office(store, tmp_path, crm, "2026-11-21")  # AS_OF is the morning of 21 November in Tokyo
    assert plan(store, space, "r1").changes == ()
    made = plan(store, space, "r2", days=1)
    assert [(c.action, c.field, c.old, c.new) for c in made.changes] == [
        ("clear", "cs_override_band", "green", None),
        ("clear", "cs_override_reason", "new sponsor", None),
        ("clear", "cs_override_until", "2026-11-21", None),
    ]
    assert {c.because for c in made.changes} == {"the override held until 2026-11-21"}
    assert apply_plan(store, space, made.id, sessions(space), run_id="r2").exit_code == 0
    assert set(crm.companies["1"].values()) == {None}


def test_an_override_that_a_person_renewed_meanwhile_stays(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = office(store, tmp_path, crm, "2026-11-01")
    made = plan(store, space, "r1")
    crm.companies["1"]["cs_override_until"] = "2027-01-31"
    report = apply_plan(store, space, made.id, sessions(space), run_id="r1")
    assert list(crm.companies["1"].values()) == ["green", "new sponsor", "2027-01-31"]
    assert dict(report.outcomes) == {"refused": 3}


def test_an_override_without_an_end_or_without_a_mapping_is_never_touched(tmp_path: Path, store: Store) -> None:
    assert plan(store, office(store, tmp_path, Crm(), None), "r1").changes == ()


def test_fields_that_are_not_mapped_are_not_cleared(tmp_path: Path, store: Store) -> None:
    space = office(store, tmp_path, Crm(), "2026-11-01", {k: v for k, v in MAPPED.items() if "reason" not in k})
    assert [c.field for c in plan(store, space, "r1").changes] == ["cs_override_band", "cs_override_until"]
