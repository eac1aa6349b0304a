"""A program that carries out one plan in an office, and may be killed while it does."""

from __future__ import annotations

import sys
from pathlib import Path

from cssync.http.clock import ManualClock
from cssync.runs.lease import hold_lease
from cssync.runs.sessions import open_sessions
from cssync.store import Store
from cssync.writeback.apply import apply_plan
from office import WORLD, space_of


def main(folder: Path, vendor: str, plan: str) -> int:
    """Apply the plan; the clock stands still, so that nothing waits in real time."""
    space, clock = space_of(folder, vendor), ManualClock(WORLD.now.timestamp())
    with (
        Store.open(space.store, workspace=space.name) as store,
        hold_lease(store, owner="r-x", clock=clock) as lease,
        open_sessions(space, store, fence=lease, clock=clock) as sessions,
    ):
        return apply_plan(store, space, plan, sessions, run_id="r-x", fence=lease, clock=clock).exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
