"""kill -9 of a process that writes to Salesforce or Zendesk over HTTP; and a death at each step of a bulk job."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cssync.http.client import HttpSession
from cssync.plugins import plugins
from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync.writeback.plan import approve_plan, make_plan
from office import CREATES, RULES, UPDATES, WORLD, Office, furnish, served

DONE = [
    ("salesforce", UPDATES), ("salesforce", CREATES), ("zendesk", UPDATES), ("zendesk", CREATES),
]  # fmt: skip


@dataclass
class Deadly:
    """A sandbox which at one request kills its client: before it does the work, or after."""

    behind: Any
    route: str = "never"
    after: bool = False
    client: subprocess.Popen[bytes] | None = None
    kills: list[str] = field(default_factory=list)

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        line = f"{request.method} {request.path}"
        if self.client is None or not re.match(self.route, line):
            return self.behind.handle(request)
        answer = self.behind.handle(request) if self.after else SandboxAnswer(503)
        self.kills.append(line)
        client, self.client = self.client, None
        client.kill()
        return answer


def sandbox(vendor: str) -> Any:
    make_app = plugins().connector(vendor).sandbox
    assert make_app is not None
    return make_app(WORLD)


def finish(found: Office) -> None:
    for _ in range(4):
        if found.run():
            return
    pytest.fail("4 runs did not bring it through")


def complete(found: Office) -> None:
    """Every field holds what the rules say, each task exists once, and a further run sends nothing."""
    fields, tasks, count = found.world()
    assert len(fields) > 3
    assert all(value is not None for held in fields.values() for value in held.values())
    assert count == len(tasks) == 3
    found.server.journal.clear()
    assert found.run()
    assert not found.server.requests("PUT|PATCH|POST .*/(tickets|jobs|sobjects)")


@pytest.mark.parametrize("after", [False, True], ids=["before-it-arrives", "before-the-answer"])
@pytest.mark.parametrize(("vendor", "routes"), DONE, ids=["sf-fields", "sf-tasks", "zd-fields", "zd-tickets"])
def test_a_process_killed_while_it_writes_loses_nothing_and_repeats_nothing(
    tmp_path: Path, vendor: str, routes: dict[str, str], after: bool
) -> None:
    deadly = Deadly(sandbox(vendor))
    with served(tmp_path, vendor, deadly.behind, front=lambda app: deadly) as found:
        furnish(found)
        plan = make_plan(found.store, found.space, RULES, WORLD.now, run_id="r-0", clock=found.clock)
        if plan.status == "held":
            approve_plan(found.store, plan.id)
        deadly.route, deadly.after = routes[vendor].replace(r"(\?|$)", "$"), after
        command = [sys.executable, str(Path(__file__).parent / "office_apply.py"), str(tmp_path), vendor, plan.id]
        with subprocess.Popen(command) as child:
            deadly.client = child
            assert child.wait() == -9
        assert len(deadly.kills) == 1
        assert "sent" in {row["state"] for row in found.store.query("SELECT state FROM outbox")}
        found.clock.sleep(3600)  # the dead run's lease ends
        finish(found)
        complete(found)


class Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


STEPS = {
    "opening": "POST .*/jobs/ingest$", "filling": "PUT .*/batches$", "closing": "PATCH .*/jobs/ingest/",
    "asking": "GET .*/jobs/ingest/[^/]+$", "reading": "GET .*/successfulResults$",
}  # fmt: skip


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_death_at_any_step_of_a_bulk_job_is_settled_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    app = sandbox("salesforce")
    with served(tmp_path, "salesforce", app, settings="bulk_write_from: 3") as found:
        furnish(found)
        send = HttpSession.request

        def dies(self: Any, method: str, path: str, **options: Any) -> Any:
            if not re.match(STEPS[step], f"{method} {path}"):
                return send(self, method, path, **options)
            monkeypatch.setattr(HttpSession, "request", send)
            if after:
                send(self, method, path, **options)
            raise Killed

        monkeypatch.setattr(HttpSession, "request", dies)
        with pytest.raises(Killed):
            found.run()
        assert {row["state"] for row in found.store.query("SELECT state FROM outbox WHERE action = 'set'")} == {"sent"}
        finish(found)
        complete(found)
        assert {job.state for job in app.ingest.held.values()} <= {"JobComplete", "Aborted"}
