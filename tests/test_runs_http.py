"""The whole job over HTTP against two sandboxes, with the standard rules: what is written, and what never is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Workspace
from cssync.config.load import load_workspace
from cssync.plugins import plugins
from cssync.rules import load
from cssync.runs.run import run
from cssync.runs.sessions import open_sessions
from cssync.sandbox.make_world import make
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer, serve
from cssync.sandbox.workspace import write_workspace
from cssync.store import Store
from cssync.writeback.provision import provision
from cssync_hubspot import HUBSPOT
from cssync_hubspot.sandbox import SandboxHubSpot

WORLD = make(40)
FIELDS = (
    "cs_health_score", "cs_health_band", "cs_health_reasons", "cs_health_coverage", "cs_health_as_of",
    "cs_renewal_date", "cs_upsell_signal", "cs_risk_flags",
)  # fmt: skip
UPDATE, CREATE = r"POST .*/companies/batch/update", r"POST .*/tasks/batch/create"
WRITES = rf"{UPDATE}|{CREATE}|POST .*/tasks/batch/update|PATCH |PUT |DELETE "


@dataclass
class Office:
    """A workspace over two sandboxes: HubSpot, which gets fields and tasks, and Salesforce with contracts and usage."""

    space: Workspace
    hubspot: SandboxHubSpot
    servers: Mapping[str, SandboxServer]

    def writes(self) -> list[Any]:
        return [entry for server in self.servers.values() for entry in server.requests(WRITES)]

    def forget(self) -> None:
        for server in self.servers.values():
            server.journal.clear()


@contextmanager
def office(folder: Path) -> Iterator[Office]:
    """Start both sandboxes, write their cssync.yaml, load it and create the fields."""
    with ExitStack() as stack:
        connectors = {"crm": HUBSPOT, "sales": plugins().connector("salesforce")}
        apps: dict[str, Any] = {name: c.sandbox(WORLD) for name, c in connectors.items() if c.sandbox}
        servers = {name: stack.enter_context(serve(app)) for name, app in apps.items()}
        apps["crm"].clock, apps["sales"].clock = WORLD.now.timestamp, lambda: WORLD.now
        for server in servers.values():
            server.clock = WORLD.now.timestamp
        path = write_workspace(folder, connectors, {name: server.url for name, server in servers.items()})
        space = load_workspace(path)
        with Store.open(space.store, workspace=space.name) as store, open_sessions(space, store) as sessions:
            found = provision(space, sessions, load(space), dry_run=False)
        assert "error" not in {f.level for _, f in found}
        made = Office(space, apps["crm"], servers)
        made.forget()
        yield made


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "work") as made:
        yield made


def go(office: Office, **options: Any) -> Any:
    return run(office.space, as_of=WORLD.now, **options)


def held(hubspot: SandboxHubSpot) -> dict[str, Any]:
    """What people see in the CRM: our fields of every company, and our tasks by key."""
    things = hubspot.portal.things
    companies = {i: {f: t.properties.get(f) or None for f in FIELDS} for i, t in things["companies"].items()}
    tasks = sorted(
        (key[1], thing.properties["hs_task_subject"], thing.properties["hs_task_status"])
        for thing in things["tasks"].values()
        if (key := re.search(r"cssync:(\S+)", str(thing.properties.get("hs_task_body"))))
    )
    return {"companies": companies, "tasks": tasks}


def test_a_plan_sends_no_write_an_approved_run_does_and_a_still_world_gets_none(at_work: Office) -> None:
    first = go(at_work)
    assert (first.exit_code, first.plan.status) == (4, "held")
    assert first.plan.totals["set"] > 100
    assert first.plan.totals["create_task"] > 5
    assert at_work.writes() == []
    assert go(at_work, approved=True).exit_code == 0
    shown = held(at_work.hubspot)
    assert {c["cs_health_band"] for c in shown["companies"].values()} >= {"green", "red"}
    assert len({key for key, _, _ in shown["tasks"]}) == len(shown["tasks"]) == first.plan.totals["create_task"]
    at_work.forget()
    for _ in range(3):
        again = go(at_work)
        assert (again.exit_code, again.plan.changes) == (0, ())
    assert at_work.writes() == []


def test_what_rests_on_a_stream_that_failed_is_held_and_everything_else_is_sent(at_work: Office) -> None:
    broken = Fault(r" .*(/tickets|/0-5)", times=99, answer=SandboxAnswer(400, {"message": "no", "category": "X"}))
    at_work.servers["crm"].faults.append(broken)
    report = go(at_work, approved=True)
    assert {f"{s.connection}.{s.stream}" for s in report.streams if s.outcome == "failed"} == {"crm.tickets"}
    assert (report.exit_code, report.plan.status, report.waiting.status) == (4, "applied", "held")
    assert any("crm.tickets: the latest pull failed" in why for why in report.waiting.held_by)
    sent = {change.result_name.partition(".")[0] for change in report.plan.changes}
    waits = {change.result_name.partition(".")[0] for change in report.waiting.changes}
    assert (sent & {"health", "risk"}, waits & {"health", "risk"}) == (set(), {"health", "risk"})
    assert not sent & waits
    values = held(at_work.hubspot)["companies"].values()
    assert not [v for v in values if v["cs_health_score"] or v["cs_risk_flags"]]
    at_work.forget()
    again = go(at_work)
    assert (again.exit_code, again.plan.id, at_work.writes()) == (4, report.waiting.id, [])
    assert again.as_dict()["plan"]["status"] == "held"


def test_a_persons_edit_survives_every_run(at_work: Office) -> None:
    go(at_work, approved=True)
    portal = at_work.hubspot.portal
    company = next(i for i, c in held(at_work.hubspot)["companies"].items() if c["cs_health_band"] == "red")
    task = next(i for i, t in portal.things["tasks"].items() if "cssync:" in str(t.properties.get("hs_task_body")))
    at_work.hubspot.clock = lambda: WORLD.now.timestamp() + 60
    portal.edit("companies", company, cs_health_band="green")
    portal.edit("tasks", task, hs_task_status="COMPLETED")
    at_work.servers["crm"].clock = lambda: WORLD.now.timestamp() + 120
    at_work.forget()
    for _ in range(2):
        report = go(at_work)
        assert report.exit_code == 0
        conflicts = [(n.connection, n.field) for n in report.plan.notes if n.kind == "conflict"]
        assert conflicts == [("crm", "cs_health_band")]
    assert portal.things["companies"][company].properties["cs_health_band"] == "green"
    assert portal.things["tasks"][task].properties["hs_task_status"] == "COMPLETED"
    assert at_work.writes() == []


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(UPDATE, drop=True), Fault(r"POST .*/companies/batch/read", drop=True)],
        [Fault(CREATE, drop=True), Fault(r"POST .*/associations/.*batch/read", drop=True)],
        [Fault(UPDATE, cut=True), Fault(CREATE, cut=True)],
    ],
    ids=["updates-and-looks-lost", "creates-and-looks-lost", "answers-cut"],
)
def test_lost_and_broken_answers_leave_the_world_of_an_undisturbed_run(
    at_work: Office, faults: list[Fault], tmp_path: Path
) -> None:
    with office(tmp_path / "twin") as calm:
        assert go(calm, approved=True).exit_code == 0
        undisturbed = held(calm.hubspot)
    at_work.servers["crm"].faults.extend(replace(fault) for fault in faults)
    codes = [go(at_work, approved=True).exit_code for _ in range(2)]
    assert codes[-1] == 0
    assert all(fault.seen for fault in at_work.servers["crm"].faults)
    assert held(at_work.hubspot) == undisturbed
    at_work.forget()
    assert go(at_work).plan.changes == ()
    assert at_work.writes() == []
