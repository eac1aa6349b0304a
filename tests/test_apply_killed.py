"""kill -9 of a real process while it writes to a HubSpot sandbox over HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cssync.connectors import OwnField
from cssync.http import open_session
from cssync.sandbox.make_world import make
from cssync.sandbox.server import SandboxAnswer, SandboxRequest, SandboxServer, serve
from cssync.sandbox.world import record_id
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync_hubspot import HUBSPOT
from cssync_hubspot.sandbox import SandboxHubSpot
from fake_crm import AS_OF, TYPES, account, result, task
from hubspot_apply import FIELDS, apply, workspace

COMPANIES, TASKS = 12, 5
UPDATE, CREATE = r"POST .*/companies/batch/update", r"POST .*/tasks/batch/create"
WORLD = make(60)


@dataclass
class Deadly:
    """The sandbox, which at one request kills its client: before it does the work, or after."""

    app: SandboxHubSpot
    route: str = "never"
    after: bool = False
    client: subprocess.Popen[bytes] | None = None
    kills: list[str] = field(default_factory=list)

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        line = f"{request.method} {request.path}"
        if self.client is None or not re.match(self.route, line):
            return self.app.handle(request)
        answer = self.app.handle(request) if self.after else SandboxAnswer(503)
        self.kills.append(line)
        client, self.client = self.client, None
        client.kill()
        return answer


@contextmanager
def planned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Deadly, SandboxServer, str]]:
    """A sandbox with our fields, a store that wants to write them and some tasks, and the plan to do so."""
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)
    deadly = Deadly(SandboxHubSpot(WORLD))
    with serve(deadly) as server:
        space = workspace(folder, server.url)
        crm = space.connections["crm"]
        own = [
            OwnField("cs_health_score", "Score", "integer"),
            OwnField("cs_health_band", "Band", "enum", ("green", "yellow", "red", "unknown")),
        ]
        with open_session(crm.connector, crm.settings, connection="crm", timezone=space.timezone) as session:
            assert HUBSPOT.provision is not None
            assert {f.level for f in HUBSPOT.provision(session, "companies", own, False)} == {"created"}
        with Store.open(space.store) as store:
            for n, source_id in enumerate(companies()):
                account(store, f"a-{n}", source_id=source_id)
                result(store, f"a-{n}", "health.score", 40 + n)
                result(store, f"a-{n}", "health.band", "red")
                if n < TASKS:
                    task(store, f"a-{n}", f"k{n}")
            rules: Any = None
            plan = planning.make_plan(store, space, rules, AS_OF, run_id="r1")
        assert (plan.status, len(plan.changes)) == ("open", 2 * COMPANIES + TASKS)
        server.journal.clear()
        yield deadly, server, plan.id


def companies() -> list[str]:
    known = [c for c in WORLD.companies if "hubspot" in c.names]
    return [record_id("hubspot", "account", c.key) for c in known[:COMPANIES]]


def fields(deadly: Deadly) -> dict[str, tuple[Any, ...]]:
    return {i: tuple(deadly.app.portal.things["companies"][i].properties.get(f) for f in FIELDS) for i in companies()}


def marks(deadly: Deadly) -> list[str]:
    bodies = [str(t.properties.get("hs_task_body")) for t in deadly.app.portal.things["tasks"].values()]
    return sorted(found[1] for body in bodies if (found := re.search(r"cssync:(\w+)", body)))


@pytest.mark.parametrize("after", [False, True], ids=["before-it-arrives", "before-the-answer"])
@pytest.mark.parametrize("route", [UPDATE, CREATE], ids=["fields", "tasks"])
def test_killed_while_it_writes_nothing_is_lost_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str, after: bool
) -> None:
    with planned(tmp_path, monkeypatch) as (deadly, server, plan):
        deadly.route, deadly.after = route, after
        command = [sys.executable, str(Path(__file__).parent / "hubspot_apply.py"), str(tmp_path), server.url, plan]
        with subprocess.Popen(command) as child:
            deadly.client = child
            assert child.wait() == -9
        assert len(deadly.kills) == 1
        with Store.open(tmp_path / "store.db") as store:
            flying = store.query("SELECT state, count(*) AS n FROM outbox WHERE state = 'sent' GROUP BY 1")
        assert flying[0]["n"] == (2 * COMPANIES if route == UPDATE else TASKS)
        assert apply(tmp_path, server.url, plan) == 0
        assert fields(deadly) == {i: (str(40 + n), "red") for n, i in enumerate(companies())}
        assert marks(deadly) == [f"k{n}" for n in range(TASKS)]
        done = [entry for entry in server.requests(route) if entry.status < 300]
        assert len(done) == 1  # what had arrived was found by looking
        with Store.open(tmp_path / "store.db") as store:
            assert {row["state"] for row in store.query("SELECT state FROM outbox")} == {"verified"}
            rules: Any = None
            still = planning.make_plan(store, workspace(tmp_path, server.url), rules, AS_OF, run_id="r2")
        assert still.changes == ()
