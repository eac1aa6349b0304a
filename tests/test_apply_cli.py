"""The write-back's commands: what they print, return and leave behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cssync import rules as language
from cssync.cli import main
from cssync.cli.context import Call
from cssync.config import Workspace
from cssync.connectors import Outcome
from cssync.runs import sessions as opening
from cssync.runs.lease import hold_lease
from cssync.store import Store
from cssync.writeback import plan as planning
from fake_crm import TYPES, Crm, FakeSession, account, pulled, result, task, workspace

BAND = {"cs_health_band": "health.band"}


@pytest.fixture
def crm() -> Crm:
    return Crm({str(n): {} for n in range(6)})


@pytest.fixture
def space(tmp_path: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace behind the command line, without HTTP and rules: what the rules want is in the store."""
    made = workspace(tmp_path, {"crm": crm}, fields=BAND)

    @contextmanager
    def fake(*args: Any, **options: Any) -> Iterator[Any]:
        yield FakeSession()

    monkeypatch.setattr(opening, "open_session", fake)
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)
    monkeypatch.setattr(language, "load", lambda space: None)
    monkeypatch.setattr("cssync.writeback.evidence.evidence", lambda store, rules, plan: {})
    monkeypatch.setattr(Call, "workspace", lambda self, *, secrets=True: made)
    with Store.open(made.store, workspace=made.name) as store:
        for n in range(6):
            account(store, f"a-{n}", name=f"Company {n}")
            result(store, f"a-{n}", "health.band", "red", because="no use for 30 days")
        task(store, "a-0", title="Call them")
        pulled(store, crm)
    return made


def cssync(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def plan_id() -> str:
    found: str = json.loads(cssync("plan", "--json").stdout)["plan"]
    return found


def test_plan_shows_and_apply_sends_it(space: Workspace, crm: Crm) -> None:
    shown = cssync("plan")
    assert shown.exit_code == 0
    assert "6 to set, 0 to change, 0 to clear, 1 task to create. Nothing was sent." in shown.stdout
    assert "~ Company 0  cs_health_band: (empty) -> red\n" in shown.stdout
    assert "because no use for 30 days" in shown.stdout
    assert (crm.journal, crm.reads) == ([], 0)
    plan = plan_id()
    assert f"cssync apply {plan}" in cssync("plan").stderr
    done = cssync("apply", plan)
    assert (done.exit_code, done.stdout) == (0, f"Plan {plan}: 7 verified.\n")
    assert "It was carried out." in cssync("plan", "--show", plan).stdout
    document = json.loads(cssync("plan", "--json").stdout)
    assert (document["version"], document["changes"], document["totals"]["set"]) == (1, [], 0)


def test_a_held_plan_needs_approve_and_a_wrong_id_is_told_the_right_one(space: Workspace, crm: Crm) -> None:
    cssync("apply", plan_id())
    with Store.open(space.store) as store:
        for n in range(6):
            result(store, f"a-{n}", "health.band", "green")
    held = cssync("plan")
    assert held.exit_code == 4
    assert "held: crm.cs_health_band: 6 of 6 records would change" in held.stdout
    plan = json.loads(cssync("plan", "--json").stdout)["plan"]
    refused = cssync("apply", plan)
    assert (refused.exit_code, "cssync approve" in refused.stderr) == (4, True)
    wrong = cssync("approve", "p-nope")
    assert (wrong.exit_code, plan in wrong.stderr) == (2, True)
    assert {c["cs_health_band"] for c in crm.companies.values()} == {"red"}
    assert cssync("approve", plan).exit_code == 0
    assert {c["cs_health_band"] for c in crm.companies.values()} == {"green"}
    with Store.open(space.store) as store:
        runs = [tuple(row) for row in store.query("SELECT command, exit_code FROM run")]
    assert ("approve", 0) in runs
    assert ("apply", 4) in runs


def test_plan_never_waits_for_a_run(space: Workspace) -> None:
    with Store.open(space.store) as store, hold_lease(store, owner="r-other"):
        shown = cssync("plan")
    assert shown.exit_code == 0
    assert "6 to set" in shown.stdout
    assert "this is a look, the plan is not stored" in shown.stderr
    with Store.open(space.store) as store:
        assert store.query("SELECT * FROM plan") == []


def test_failures_are_listed_retried_and_dropped(space: Workspace, crm: Crm) -> None:
    with Store.open(space.store) as store, store.transaction() as conn:
        conn.execute("UPDATE account_source SET source_url = 'https://crm.example/companies/' || source_id")
    crm.answer = lambda change, outcome: (
        Outcome(change.key, "failed-permanent", error="INVALID_OPTION", correlation_id="c-7")
        if change.source_id == "3"
        else outcome
    )
    assert cssync("failures").stdout == "no write has failed\n"
    plan = plan_id()
    done = cssync("apply", plan)
    assert (done.exit_code, "failed-permanent crm.companies/3 cs_health_band: INVALID_OPTION" in done.stdout) == (
        3,
        True,
    )
    listed = cssync("failures").stdout
    assert "Company 3" in listed
    assert "INVALID_OPTION (request id c-7), tried 1 time\n    https://crm.example/companies/3\n" in listed
    assert "failed-permanent: not tried again until the value or its field changes" in listed
    assert "waiting:" not in listed
    crm.companies["3"] = {}
    assert json.loads(cssync("plan", "--json").stdout)["totals"]["blocked"] == 1
    key = json.loads(cssync("failures", "--json").stdout)["failures"][0]["key"]
    assert cssync("failures", "retry", key).stdout == f"{key}: will be in the next plan\n"
    assert json.loads(cssync("plan", "--json").stdout)["totals"]["set"] == 1
    assert cssync("failures", "drop", "--all").exit_code == 2
    assert cssync("failures", "retry", "p-nope/1").exit_code == 2
    assert cssync("failures", "drop", "--all", "--reason", "they left").exit_code == 0
    assert cssync("failures").stdout == "no write has failed\n"
    story = json.loads(cssync("history", "Company 3", "--json").stdout)
    assert [(w["state"], w["error"]) for w in story["writes"]] == [("dropped", "they left")]


def test_history_tells_what_was_written_and_why(space: Workspace) -> None:
    cssync("apply", plan_id())
    told = cssync("history", "Company 0").stdout
    assert "cs_health_band: (empty) -> red" in told
    assert "create 'Call them' (due 2026-12-28)" in told
    assert "because no use for 30 days" in told
    assert cssync("history", "Nobody").exit_code == 2


def test_undo_plans_the_values_back_and_apply_sends_it(space: Workspace, crm: Crm) -> None:
    with Store.open(space.store) as store:
        for n in range(3, 6):
            result(store, f"a-{n}", "health.band", None, state="unknown")
    cssync("apply", plan_id())
    with Store.open(space.store) as store:
        (run,) = (row["run_id"] for row in store.query("SELECT DISTINCT run_id FROM outbox"))
    crm.companies["0"]["cs_health_band"] = "yellow"
    with Store.open(space.store) as store:
        pulled(store, crm)
    shown = cssync("undo", run)
    assert shown.exit_code == 0
    assert "0 to set, 0 to change, 2 to clear, 1 task to close, 1 not taken back. Nothing was sent." in shown.stdout
    assert "not taken back, because it is not as the run left it (1):" in shown.stdout
    assert cssync("apply", json.loads(cssync("undo", run, "--json").stdout)["plan"]).exit_code == 0
    assert [c.get("cs_health_band") for c in crm.companies.values()] == ["yellow", *[None] * 5]
    assert "undo of r-" in cssync("history", "Company 1").stdout
    assert (cssync("undo", "r-nope").exit_code, "wrote nothing" in cssync("undo", "r-nope").stderr) == (2, True)


def test_history_tells_what_was_left_alone_since_when(space: Workspace, crm: Crm) -> None:
    crm.companies["4"]["cs_health_band"] = "green"
    with Store.open(space.store) as store:
        pulled(store, crm)
    cssync("apply", plan_id())
    with Store.open(space.store) as store:
        result(store, "a-5", "health.band", "yellow")
    cssync("plan")
    told = cssync("history", "Company 4").stdout
    assert told.startswith("nothing was written for this account\nleft alone:\n    conflict  ")
    assert ", 2 plans  crm cs_health_band: the CRM holds 'green', cssync never wrote it" in told
    (item,) = json.loads(cssync("history", "Company 4", "--json").stdout)["left_alone"]
    assert (item["kind"], item["field"], item["plans"]) == ("conflict", "cs_health_band", 2)
