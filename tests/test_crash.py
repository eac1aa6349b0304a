"""A connector that takes the interpreter along: the next run, and `status` before it, name what was being read."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from cssync.cli.status import lines, look
from cssync.runs.lease import hold_lease
from cssync.store import Store
from fake_vendor import NOW, World, company, workspace

PROGRAM = """
import os, sys, time
from pathlib import Path
from cssync.runs.lease import hold_lease
from cssync.runs.record import recorded
from cssync.store import Store
from cssync.sync import sync
from fake_vendor import World, company, sessions, workspace

def crash(stream, number):
    if (stream, number) == ("contacts", int(sys.argv[2])):
        while not store.query("SELECT 1 FROM run_stream WHERE stream = 'companies' AND outcome = 'ok'"):
            time.sleep(0.01)
        os.abort()

world = World([company(n) for n in range(4)], [{"id": str(n), "company": "1"} for n in range(9)], before_page=crash)
space = workspace(Path(sys.argv[1]), crm=world)
with Store.open(Path(sys.argv[1]) / "store.db") as store, hold_lease(store, owner="r-1") as lease:
    with recorded(store, "r-1", "run", fence=lease):
        sync(store, space, sessions(space), run_id="r-1", fence=lease)
"""


@pytest.mark.parametrize("page", [0, 2], ids=["at its first page", "at a later one"])
def test_the_stream_that_was_being_read_when_the_process_died_is_named(
    tmp_path: Path, page: int, caplog: pytest.LogCaptureFixture
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(page)], cwd=Path(__file__).parent, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == -6, done.stderr
    space = workspace(tmp_path, crm=World([company(1)]))
    with Store.open(tmp_path / "store.db") as store:
        before = "\n".join(lines(look(store, space, 5), NOW))
        assert "crashed: the process died while it read crm.contacts\n" in before, "and not what it had read already"
        with caplog.at_level(logging.WARNING), hold_lease(store, owner="r-2"):
            pass
        assert [r.getMessage() for r in caplog.records if "died while it read crm.contacts;" in r.getMessage()]
        (run,) = look(store, space, 5)["runs"]
        assert (run["outcome"], run["exit_code"]) == ("crashed", 1)
        assert run["summary"]["error"] == "the process died while it read crm.contacts"
        told = [tuple(r) for r in store.query("SELECT stream, outcome, error FROM run_stream ORDER BY 1")]
        assert told == [("companies", "ok", None), ("contacts", "failed", run["summary"]["error"])]
        assert "crashed: the process died while it read crm.contacts\n" in "\n".join(lines(look(store, space, 5), NOW))


def test_a_run_that_died_at_something_else_names_no_stream(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(tmp_path / "store.db") as store:
        with store.transaction() as conn:
            conn.execute("INSERT INTO run (id, command, started_at) VALUES ('r-1', 'apply', '2026-11-20T03:00:00Z')")
            conn.execute(
                "INSERT INTO lease VALUES ('workspace', 'elsewhere pid 1 r-1', 1, '2026-11-20T03:00:01Z', 'x')"
            )
            conn.execute("UPDATE lease SET expires_at = '2026-11-20T03:00:02Z'")
        with hold_lease(store, owner="r-2"):
            (run,) = look(store, workspace(tmp_path, crm=World()), 5)["runs"]
    assert (run["outcome"], run["summary"]["error"]) == ("crashed", "the process died")
    assert caplog.records == []
