"""A pull at work: what it says of itself, what another shell sees, and what becomes of a connector that hangs."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from cssync.cli.context import Call
from cssync.cli.progress import watched
from cssync.cli.status import lines, look
from cssync.http.clock import ManualClock
from cssync.runs.record import recorded
from cssync.store import Store
from cssync.sync import StreamReport, engine, sync
from fake_vendor import NOW, World, company, sessions, workspace


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def test_status_in_another_shell_agrees_with_a_run_at_work(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ENOUGH", 3)
    space = workspace(tmp_path, crm=World([company(n) for n in range(9)]))
    seen: list[tuple[int, Any]] = []

    def look_in(report: StreamReport) -> None:
        with Store.open(tmp_path / "store.db") as other:
            found = {r["stream"]: r for r in look(other, space, 5)["at_work"]}
        if report.stream == "companies" and report.outcome == "ok" and report.read:
            seen.append((report.read, found["companies"]["read"]))

    with recorded(store, "r-1", "sync"):
        sync(store, space, sessions(space), run_id="r-1", progress=look_in)
        text = "\n".join(lines(look(store, space, 5), NOW))
        assert "crm.companies: 9 read, 9 new, 0 changed, 0 failed" in text
    assert {told for told, _ in seen} >= {3, 6, 9}
    assert all(told == kept for told, kept in seen)
    assert look(store, space, 5)["at_work"] == [], "the run has ended"


def test_a_stream_that_hangs_is_given_up_by_name_and_the_others_end(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "HANGS", 0.0)
    monkeypatch.setattr(engine, "TICK", 0.02)
    world = World([company(1)], [{"id": "c1", "name": "P"}])
    for_ever = threading.Event()
    world.before_page = lambda stream, number: for_ever.wait() and None if stream == "contacts" else None
    space = workspace(tmp_path, crm=world)
    try:
        companies, contacts = sync(store, space, sessions(space), run_id="r1")
    finally:
        for_ever.set()
    assert (companies.outcome, contacts.outcome) == ("ok", "failed")
    assert contacts.error is not None
    assert "crm.contacts: the connector hangs" in contacts.error.message
    state = store.query("SELECT outcome FROM source_state WHERE stream = 'contacts'")
    assert state[0][0] == "failed"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    made = ManualClock()
    monkeypatch.setattr("time.monotonic", made.monotonic)
    return made


REPORT = StreamReport(
    "crm", "companies", "account_source", read=1200, new=1000, changed=150, quarantined=3, seconds=4.0
)


def test_a_line_a_stream_is_written_every_ten_seconds_and_says_what_it_waits_for(
    clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = dataclasses.replace(
        REPORT, stream="contacts", waiting_until="2026-11-20T03:10:00Z", waiting_for="the vendor (503)",
        calls_left=41_000,
    )  # fmt: skip
    with watched(Call()) as told:
        told(REPORT)
        clock.now += 9
        told(REPORT)
        assert capsys.readouterr().err == ""
        clock.now += 2
        told(waiting)
        written = capsys.readouterr().err.splitlines()
        clock.now += 9
        told(waiting)
        assert capsys.readouterr().err == ""
    assert written == [
        "crm.companies: 1,200 read, 1,000 new, 150 changed, 3 failed, 300 a second",
        "crm.contacts: 1,200 read, 1,000 new, 150 changed, 3 failed, 300 a second, "
        "waiting for the vendor (503) until 2026-11-20T03:10:00Z, 41,000 calls left today",
    ]


def test_json_progress_is_one_object_with_every_stream(clock: ManualClock, capsys: pytest.CaptureFixture[str]) -> None:
    with watched(Call(json=True)) as told:
        clock.now += 11
        told(REPORT)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found["event"] == "progress"
    assert found["streams"][0]["per_second"] == 300.0
    assert {"read", "new", "changed", "failed", "waiting_until", "calls_left"} <= set(found["streams"][0])
