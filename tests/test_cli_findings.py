"""`check` ends in time, and what a slow vendor has said by then is not lost."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.cli import findings
from cssync.connectors import Finding
from fake_vendor import World, workspace


def test_what_a_vendor_said_before_it_fell_silent_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Event()

    def check(session: Any, fields: Any) -> Iterator[Finding]:
        yield Finding("scope", "error", "missing", "grant it")
        silent.wait()

    def dumb(session: Any) -> Any:
        silent.wait()

    space = workspace(tmp_path, good=World(), slow=World(), dumb=World())
    made = {"slow": {"check": check}, "dumb": {"identity": dumb}}
    connections = {
        name: dataclasses.replace(c, connector=dataclasses.replace(c.connector, **made.get(name, {})))
        for name, c in space.connections.items()
    }
    monkeypatch.setattr(findings, "SECONDS", 0.2)
    told = list(findings.check_connections(dataclasses.replace(space, connections=connections), {}))
    silent.set()
    assert {c.part: [(f.subject, f.level) for f in c.findings] for c in told} == {
        "good": [("credentials", "ok"), ("organisation", "ok")],
        "slow": [("credentials", "ok"), ("organisation", "ok"), ("scope", "error"), ("answer", "error")],
        "dumb": [("answer", "error")],
    }
    assert [c.findings[-1].message for c in told[1:]] == ["nothing more within 0 s", "none within 0 s"]
