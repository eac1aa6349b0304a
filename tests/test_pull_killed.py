"""kill -9 at random requests of a long pull over HTTP: nothing is lost, and a checkpoint covers only what is stored."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cssync.sandbox.server import Fault, serve
from cssync.sandbox.world import World
from cssync.store import Store
from cssync_hubspot.sandbox import SandboxHubSpot
from cssync_hubspot.sandbox.answers import untoken

PAGES, KILLS = 60, 20
PROGRAM = """
import os, sys, traceback
from pathlib import Path
from zoneinfo import ZoneInfo
from cssync.config import Connection, Workspace
from cssync.http import UNLIMITED, open_session
from cssync.store import Store
from cssync.sync import engine, sync
from cssync_hubspot import HUBSPOT

engine.ENOUGH = 200  # as it is, most kills would come before the first transaction

def pull(store, url):
    settings = HUBSPOT.config.model_validate(
        {"connector": "hubspot", "base_url": url, "allow_hosts": ["127.0.0.1"], **HUBSPOT.sandbox_settings}
    )
    streams = tuple(s for s in HUBSPOT.streams if s.name == "contacts")
    space = Workspace("w", store, ZoneInfo("UTC"), "USD", store, {"crm": Connection("crm", HUBSPOT, settings, streams)})
    with (
        Store.open(store) as opened,
        open_session(HUBSPOT, settings, connection="crm", timezone=space.timezone, limiter=UNLIMITED) as session,
    ):
        (report,) = sync(opened, space, {"crm": session}, run_id="r")
        assert report.error is None, report.error

for line in sys.stdin:  # a process for each pull, made from one that has imported everything already
    child = os.fork()
    if not child:
        try:
            pull(Path(sys.argv[1]), line.strip())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def pulls(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "s.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()


def test_a_pull_killed_at_random_requests_ends_as_one_that_was_not(
    tmp_path: Path, pulls: subprocess.Popen[str]
) -> None:
    app = SandboxHubSpot(World(now=datetime.now(UTC), staff=()))
    ids = {app.portal.add("contacts", {"email": f"c{n}@acme.example"}).id for n in range(PAGES * 100)}
    path = tmp_path / "s.db"
    chance = random.Random(20261121)
    alive: list[int] = []
    known = threading.Event()
    seen: list[int] = []

    def kill() -> None:
        assert known.wait(10)
        os.kill(alive[-1], signal.SIGKILL)

    fault = Fault("GET .*/contacts", nth=1, act=kill)

    def run() -> int:
        known.clear()
        assert pulls.stdin is not None
        assert pulls.stdout is not None
        pulls.stdin.write(f"{server.url}\n")
        pulls.stdin.flush()
        alive.append(int(pulls.stdout.readline()))
        known.set()
        return int(pulls.stdout.readline())

    with serve(app, [fault]) as server:
        for _ in range(KILLS):
            idle = sum(1 for n in seen if n == seen[-1])  # kills that left it where it was: let it go on for longer
            fault.seen, fault.nth = 0, chance.choice((1, 2, 3)) + 2 * idle
            if run() == 0:
                break  # the last page was nearer than the request it was to be killed at
            with Store.open(path) as store:
                held = {row[0] for row in store.query("SELECT source_id FROM contact")}
                rows = store.query("SELECT cursor FROM source_state")
                after = json.loads(rows[0]["cursor"]).get("after") if rows and rows[0]["cursor"] else None
                covered = {i for i in ids if int(i) < untoken(after)} if after else set()
                assert covered <= held <= ids, "the checkpoint covers only rows that are stored"
                seen.append(len(held))
        server.faults.clear()
        assert run() == 0
    assert seen == sorted(seen), "no kill takes anything away"
    assert len(seen) >= KILLS - 5
    assert len(set(seen)) >= 5
    with Store.open(path) as store:
        assert {row[0] for row in store.query("SELECT source_id FROM contact WHERE deleted_at IS NULL")} == ids
        assert store.query("SELECT count(*) FROM history")[0][0] == 0, "read again is not changed"
