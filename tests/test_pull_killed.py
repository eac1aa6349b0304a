"""kill -9 at random requests of a long pull over HTTP: nothing is lost, and a checkpoint covers only what is stored."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from cssync.sandbox.server import Fault, serve
from cssync.sandbox.world import World
from cssync.store import Store
from cssync_hubspot.sandbox import SandboxHubSpot
from cssync_hubspot.sandbox.answers import untoken

PAGES, KILLS = 30, 8
PROGRAM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo
from cssync.config import Connection, Workspace
from cssync.http import UNLIMITED, open_session
from cssync.store import Store
from cssync.sync import sync
from cssync_hubspot import HUBSPOT

store, url = Path(sys.argv[1]), sys.argv[2]
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
"""


def test_a_pull_killed_at_random_requests_ends_as_one_that_was_not(tmp_path: Path) -> None:
    app = SandboxHubSpot(World(now=_now(), staff=()))
    ids = {app.portal.add("contacts", {"email": f"c{n}@acme.example"}).id for n in range(PAGES * 100)}
    path = tmp_path / "s.db"
    chance = random.Random(20261121)
    alive: list[subprocess.Popen[bytes]] = []
    fault = Fault("GET .*/contacts", nth=1, act=lambda: alive[-1].kill())
    seen: list[int] = []

    def run() -> int:
        alive.append(subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), server.url], stderr=subprocess.PIPE))
        alive[-1].communicate(timeout=60)
        return alive[-1].returncode

    with serve(app, [fault]) as server:
        for _ in range(KILLS):
            fault.seen, fault.nth = 0, chance.randint(1, 4)
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
    assert len(seen) >= 5
    assert seen == sorted(seen), "no kill takes anything away"
    with Store.open(path) as store:
        assert {row[0] for row in store.query("SELECT source_id FROM contact WHERE deleted_at IS NULL")} == ids
        assert store.query("SELECT count(*) FROM history")[0][0] == 0, "read again is not changed"


def _now() -> datetime:

    return datetime.now(UTC)
