"""`plan` on each vendor's sandbox: whatever it looks at, it asks for nothing to be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from cssync.plugins import plugins
from cssync.runs.sessions import open_sessions
from cssync.writeback.fit import Descriptions
from cssync.writeback.plan import make_plan
from office import RULES, UPDATES, WORLD, Glass, furnish, served


@pytest.mark.parametrize("vendor", list(UPDATES))
def test_a_plan_writes_nothing(tmp_path: Path, vendor: str) -> None:
    make_app = plugins().connector(vendor).sandbox
    assert make_app is not None
    glass = Glass(make_app(WORLD))
    with served(tmp_path, vendor, glass.behind, front=lambda app: glass) as found:
        furnish(found)
        glass.shut = True
        with open_sessions(found.space, found.store, clock=found.clock) as sessions:
            describe = Descriptions(found.store, found.space, sessions, None)
            plan = make_plan(
                found.store, found.space, RULES, WORLD.now, run_id="r-1", describe=describe, clock=found.clock
            )
        assert len(plan.changes) > 12
        assert {change.is_task for change in plan.changes} == {True, False}
        assert glass.touched == []
