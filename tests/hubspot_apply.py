"""A workspace over one HubSpot sandbox; as a program it applies a plan and may be killed while it does."""

from __future__ import annotations

import sys
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from cssync.config import Connection, Workspace, Writeback
from cssync.http import open_session
from cssync.http.clock import ManualClock
from cssync.runs.lease import hold_lease
from cssync.store import Store
from cssync.writeback.apply import apply_plan
from cssync_hubspot import HUBSPOT, SANDBOX_TOKEN
from cssync_hubspot.settings import HubSpotSettings

FIELDS = {"cs_health_score": "health.score", "cs_health_band": "health.band"}


def workspace(folder: Path, url: str) -> Workspace:
    settings = HubSpotSettings(
        connector="hubspot", base_url=url, allow_hosts=("127.0.0.1",), token=SecretStr(SANDBOX_TOKEN)
    )
    return Workspace(
        name="killed",
        path=folder / "cssync.yaml",
        timezone=ZoneInfo("Asia/Tokyo"),
        currency="JPY",
        store=folder / "store.db",
        connections={"crm": Connection("crm", HUBSPOT, settings, HUBSPOT.streams)},
        writeback={"crm": Writeback("crm", "companies", FIELDS, tasks=True)},
    )


def apply(folder: Path, url: str, plan_id: str) -> int:
    space, clock = workspace(folder, url), ManualClock()
    crm = space.connections["crm"]
    with (
        Store.open(space.store) as store,
        hold_lease(store, owner="r-x") as lease,
        open_session(crm.connector, crm.settings, connection="crm", timezone=space.timezone, clock=clock) as session,
    ):
        return apply_plan(store, space, plan_id, {"crm": session}, run_id="r-x", fence=lease, clock=clock).exit_code


if __name__ == "__main__":
    sys.exit(apply(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
