"""`plan` on each vendor's sandbox: whatever it looks at, it asks for nothing to be written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cssync.plugins import plugins
from cssync.runs.sessions import open_sessions
from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync.writeback.fit import Descriptions
from cssync.writeback.plan import make_plan
from office import RULES, UPDATES, WORLD, furnish, served

READS = re.compile(r"GET |POST .*/(batch/read|search|oauth2?/tokens?|token)$|POST .*/composite/sobjects/Account$")
"""What reads, though it is sent as a POST."""


@dataclass
class Glass:
    """A sandbox behind glass, once it is shut: it can be looked at, and a write is an error of the test."""

    behind: Any
    shut: bool = False
    touched: list[str] = field(default_factory=list)

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        line = f"{request.method} {request.path}"
        if self.shut and not READS.match(line):
            self.touched.append(line)
            return SandboxAnswer(500)
        return self.behind.handle(request)


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
