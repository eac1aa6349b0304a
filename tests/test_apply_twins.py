"""Twin runs: whatever one vendor does wrong while we write, the world ends as in the undisturbed run, nothing twice."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cssync.plugins import plugins
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.writeback import send_fields, send_tasks
from office import CREATES, LOOKS, POLLS, UPDATES, WORLD, furnish, served

BUSY = SandboxAnswer(503, b"<html>busy</html>", {"content-type": "text/html"})
LIMITED = SandboxAnswer(429, {}, {"retry-after": "2"})
TROUBLE: dict[str, dict[str, Any]] = {
    "lost before it arrived": {"drop": True, "answer": BUSY},
    "lost after it arrived": {"drop": True, "after": True},
    "answer cut": {"cut": True},
    "busy once": {"answer": BUSY},
    "busy for long": {"answer": BUSY, "times": 30},
    "busy after it arrived": {"answer": BUSY, "after": True},
    "limited": {"answer": LIMITED},
    "a web page for an answer": {
        "answer": SandboxAnswer(200, b"<html>back soon</html>", {"content-type": "text/html"})
    },
    "half an answer after it arrived": {
        "answer": SandboxAnswer(200, b'{"results": [', {"content-type": "application/json"}),
        "after": True,
    },
    "a gateway that gave up": {"answer": SandboxAnswer(504, b""), "after": True},
    "token expired": {"answer": SandboxAnswer(401, {"message": "expired", "errors": []})},
}
CASES = [
    (vendor, what, trouble)
    for what, routes in (("updates", UPDATES), ("creates", CREATES), ("looks", LOOKS), ("polls", POLLS))
    for vendor in routes
    for trouble in TROUBLE
]
ROUTES = {"updates": UPDATES, "creates": CREATES, "looks": LOOKS, "polls": POLLS}


@dataclass
class Twin:
    """A vendor before our first write (`app`, and the store beside it), and its world after an undisturbed run."""

    app: Any
    store: Path
    world: Any


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Twin]:
    ends = {}
    for vendor in UPDATES:
        folder = tmp_path_factory.mktemp(vendor)
        make_app = plugins().connector(vendor).sandbox
        assert make_app is not None
        app: Any = make_app(WORLD)
        with served(folder, vendor, app) as undisturbed:
            furnish(undisturbed)
            app.clock = None
            before = copy.deepcopy(app)
        shutil.copy(folder / "cssync.db", folder / "before.db")
        with served(folder, vendor, app) as undisturbed:
            assert undisturbed.run()
            fields, tasks, count = world = undisturbed.world()
        assert len(fields) > 3
        assert all(value is not None for held in fields.values() for value in held.values())
        assert count == len(tasks) == 3
        ends[vendor] = Twin(before, folder / "before.db", world)
    return ends


@pytest.mark.parametrize(("vendor", "what", "trouble"), CASES, ids=[", ".join(case) for case in CASES])
def test_trouble_leaves_the_world_of_an_undisturbed_run(
    tmp_path: Path, calm: dict[str, Twin], vendor: str, what: str, trouble: str
) -> None:
    shutil.copy(calm[vendor].store, tmp_path / "cssync.db")
    with served(tmp_path, vendor, copy.deepcopy(calm[vendor].app)) as disturbed:
        fault = Fault(ROUTES[what][vendor], **TROUBLE[trouble])
        disturbed.server.faults.append(fault)
        for _ in range(33):
            if disturbed.run():
                break
        else:
            pytest.fail("33 runs did not bring it through")
        assert fault.seen, "the fault's route was never called"
        disturbed.server.faults.clear()
        assert disturbed.world() == calm[vendor].world
        disturbed.server.journal.clear()
        assert disturbed.run()
        assert disturbed.server.journal == [] or not disturbed.server.requests("PUT|PATCH|update|create")


BULK = {
    "opening": "POST .*/jobs/ingest", "filling": "PUT .*/batches", "closing": "PATCH .*/jobs/ingest/",
    "reading": "GET .*/(successfulResults|failedResults)",
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("step", BULK)
def test_trouble_with_a_bulk_job_leaves_the_world_of_an_undisturbed_run(
    tmp_path: Path, calm: dict[str, Twin], step: str, trouble: str
) -> None:
    shutil.copy(calm["salesforce"].store, tmp_path / "cssync.db")
    app = copy.deepcopy(calm["salesforce"].app)
    with served(tmp_path, "salesforce", app, settings="bulk_write_from: 3") as disturbed:
        fault = Fault(BULK[step], **TROUBLE[trouble])
        disturbed.server.faults.append(fault)
        for _ in range(33):
            if disturbed.run():
                break
        else:
            pytest.fail("33 runs did not bring it through")
        assert fault.seen, "the fault's route was never called"
        assert disturbed.world() == calm["salesforce"].world


class Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "before it is recorded"])
@pytest.mark.parametrize(
    ("vendor", "room"),
    [("hubspot", send_fields), ("salesforce", send_fields), ("zendesk", send_fields),
     ("hubspot", send_tasks), ("salesforce", send_tasks), ("zendesk", send_tasks)],
    ids=["hubspot, fields", "salesforce, fields", "zendesk, fields", "hubspot, tasks", "salesforce, tasks",
         "zendesk, tasks"],
)  # fmt: skip
def test_a_death_around_the_sending_leaves_the_world_of_an_undisturbed_run(
    tmp_path: Path, calm: dict[str, Twin], monkeypatch: pytest.MonkeyPatch, vendor: str, room: Any, after: bool
) -> None:
    shutil.copy(calm[vendor].store, tmp_path / "cssync.db")
    with served(tmp_path, vendor, copy.deepcopy(calm[vendor].app)) as disturbed:
        send = room.push

        def dies(*args: Any) -> Any:
            monkeypatch.setattr(room, "push", send)
            if after:
                send(*args)
            raise Killed

        monkeypatch.setattr(room, "push", dies)
        with pytest.raises(Killed):
            disturbed.run()
        assert "sent" in {row["state"] for row in disturbed.store.query("SELECT state FROM outbox")}
        for _ in range(3):
            if disturbed.run():
                break
        assert disturbed.world() == calm[vendor].world
        sent = len(disturbed.server.requests(UPDATES[vendor] if room is send_fields else CREATES[vendor]))
        once = 3 if (vendor, room) == ("zendesk", send_tasks) else 1  # a ticket is a request
        assert sent == once, "what had arrived was found by looking"


class Odd:
    """Answers batches otherwise than they were sent: HubSpot in another order, Salesforce with the first record locked
    by somebody else (once). Zendesk's sandbox always tells of a job's rows in another order."""

    def __init__(self, behind: Any) -> None:
        self.behind = behind
        self.odd = 0

    def handle(self, request: Any) -> SandboxAnswer:
        shuffled = request.path.endswith("/batch/update")
        locked = request.method == "PATCH" and request.path.endswith("/composite/sobjects") and not self.odd
        if not shuffled and not locked:
            plain: SandboxAnswer = self.behind.handle(request)
            return plain
        self.odd += 1
        if shuffled:
            answer = self.behind.handle(request)
            return replace(answer, body={**answer.body, "results": answer.body["results"][::-1]})
        body = request.json()
        first, *rest = body["records"]
        answer = self.behind.handle(replace(request, body=json.dumps({**body, "records": rest}).encode()))
        error = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access", "fields": []}
        return replace(answer, body=[{"id": first["Id"], "success": False, "errors": [error]}, *answer.body])


@pytest.mark.parametrize("vendor", ["hubspot", "salesforce"])
def test_odd_answers_to_a_batch_leave_the_world_of_an_undisturbed_run(
    tmp_path: Path, calm: dict[str, Twin], vendor: str
) -> None:
    shutil.copy(calm[vendor].store, tmp_path / "cssync.db")
    with served(tmp_path, vendor, copy.deepcopy(calm[vendor].app), front=Odd) as disturbed:
        for _ in range(5):
            if disturbed.run():
                break
        front: Any = disturbed.server.app
        assert front.odd
        assert disturbed.world() == calm[vendor].world


@pytest.mark.parametrize("vendor", ["hubspot", "salesforce"])
def test_a_day_whose_allowance_ends_while_we_write_is_finished_on_the_next(
    tmp_path: Path, calm: dict[str, Twin], vendor: str
) -> None:
    shutil.copy(calm[vendor].store, tmp_path / "cssync.db")
    app = copy.deepcopy(calm[vendor].app)
    with served(tmp_path, vendor, app) as disturbed:
        allowed = app.daily
        disturbed.server.faults.append(Fault(UPDATES[vendor], act=lambda: setattr(app, "daily", 0)))
        assert not disturbed.run()
        before = len(disturbed.server.journal)
        assert not disturbed.run()
        assert len(disturbed.server.journal) - before <= 2, "nobody knocks on a day that is over"
        app.daily, app.used = allowed, 0
        disturbed.clock.now += 90_000
        for _ in range(3):
            if disturbed.run():
                break
        assert disturbed.world() == calm[vendor].world
