"""Twin runs that are ended, or met by another run, at any request: what is left is taken up by the next one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cssync.errors import LeaseHeld, LeaseLost
from cssync.http.wire import Wire
from cssync.runs.lease import SECONDS, hold_lease
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.store import Store
from office import CREATES, IMPATIENT, UPDATES, Office
from twins import Twin, come_through


class Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


def at_request(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None], *, after: bool = False) -> None:
    """Call `act` before this process sends its n-th request from now on (from 0), or after its answer, if any."""
    send, sent = Wire.send, 0

    def counted(self: Any, *given: Any, **options: Any) -> Any:
        nonlocal sent
        mine, sent = sent == number, sent + 1
        if mine and not after:
            act()
        try:
            return send(self, *given, **options)
        finally:
            if mine and after:
                act()

    monkeypatch.setattr(Wire, "send", counted)


def die() -> None:
    raise Killed


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "before it is recorded"])
@pytest.mark.parametrize("vendor", UPDATES)
def test_a_death_at_any_request_leaves_the_world_and_the_journal_of_an_undisturbed_run(
    tmp_path: Path, calm: dict[str, Twin], monkeypatch: pytest.MonkeyPatch, vendor: str, after: bool
) -> None:
    assert len(calm[vendor].requests) > 5
    for number in range(len(calm[vendor].requests)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with calm[vendor].disturbed(folder) as office:
            with monkeypatch.context() as patched:
                at_request(patched, number, die, after=after)
                with pytest.raises(Killed):
                    office.run()
            assert come_through(office, 2) <= 2
            calm[vendor].must_equal(office)


UNANSWERED: dict[str, dict[str, Any]] = {
    "arrived": {"drop": True, "after": True}, "not arrived": {"drop": True, "answer": SandboxAnswer(503)},
    "given up on, and done at last": {"delay": 0.16, "late": 1500.0},
}  # fmt: skip


@pytest.mark.parametrize("fate", UNANSWERED)
@pytest.mark.parametrize("vendor", UPDATES)
def test_a_death_at_any_request_of_a_run_whose_writes_are_not_answered(
    tmp_path: Path, calm: dict[str, Twin], monkeypatch: pytest.MonkeyPatch, vendor: str, fate: str
) -> None:
    """The first update and the first create get no answer, so this run looks for them, and sends what is not there once
    more; it is ended at each of its requests, before it is sent and before its answer is recorded by turns. One that
    was given up on is left alone for an hour: there each third request stands for all, and none is ended while it
    waits, which is a connection that broke."""
    late = "delay" in UNANSWERED[fate]
    number, died = 0, True
    while died:
        folder = tmp_path / str(number)
        folder.mkdir()
        with calm[vendor].disturbed(folder, settings=IMPATIENT if late else "") as office:
            faults = [Fault(route[vendor], **UNANSWERED[fate]) for route in (UPDATES, CREATES)]
            office.server.faults += faults
            with monkeypatch.context() as patched:
                at_request(patched, number, die, after=bool(number % 2) and not late)
                try:
                    office.run()
                    died = False
                except Killed:
                    died = True
            come_through(office, 12, every=600 if late else 60)
            calm[vendor].must_equal(office)
        number += 3 if late else 1
    assert all(fault.seen for fault in faults)
    assert late or number > len(calm[vendor].requests) + 2, "it looked, and died looking"


@pytest.mark.parametrize("vendor", UPDATES)
def test_dying_again_and_again_while_the_last_death_is_made_good(
    tmp_path: Path, calm: dict[str, Twin], monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    """Each run comes one request further than the one before, and dies there: a machine that is out of memory."""
    with calm[vendor].disturbed(tmp_path) as office:
        for number in range(2 * len(calm[vendor].requests)):
            with monkeypatch.context() as patched:
                at_request(patched, number, die, after=bool(number % 2))
                try:
                    office.run()
                except Killed:
                    continue
            break
        come_through(office, 3)
        calm[vendor].must_equal(office)


def beside(office: Office) -> Office:
    """Another process on the same workspace."""
    store = Store.open(office.space.store, workspace=office.space.name)
    return Office(office.space, store, office.server, office.clock, office.ledger, runs=50)


@pytest.mark.parametrize("vendor", UPDATES)
def test_a_second_run_at_any_request_of_the_first_leaves_at_once(
    tmp_path: Path, calm: dict[str, Twin], monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    refused: list[int] = []
    with calm[vendor].disturbed(tmp_path) as office:
        other = beside(office)

        def second() -> None:
            with pytest.raises(LeaseHeld) as held, hold_lease(other.store, owner="r-51", clock=office.clock):
                pytest.fail("two runs at once")
            refused.append(held.value.exit_code)

        send = Wire.send
        monkeypatch.setattr(Wire, "send", lambda *given, **options: (second(), send(*given, **options))[1])
        with hold_lease(office.store, owner="r-01", clock=office.clock, heartbeat=999) as lease:
            assert office.run(fence=lease)
        monkeypatch.undo()
        other.store.close()
        assert refused == [5] * len(calm[vendor].requests)
        calm[vendor].must_equal(office)


@pytest.mark.parametrize("vendor", UPDATES)
def test_a_run_that_was_stopped_for_longer_than_its_lease_writes_no_more(
    tmp_path: Path, calm: dict[str, Twin], monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    """Stopped at each request that reads, while another run does all the work; then it goes on."""
    reads = [
        number for number, line in enumerate(calm[vendor].requests)
        if line.startswith("GET") or line.endswith("/batch/read")
    ]  # fmt: skip
    for number in reads:
        folder = tmp_path / str(number)
        folder.mkdir()
        with calm[vendor].disturbed(folder) as office:
            other = beside(office)

            def overtake(office: Office = office, other: Office = other) -> None:
                office.clock.sleep(SECONDS + 1)
                assert leased(other) or leased(other)

            with monkeypatch.context() as patched:
                at_request(patched, number, overtake)
                with pytest.raises(LeaseLost):
                    leased(office)
            other.store.close()
            calm[vendor].must_equal(office)


def leased(office: Office) -> bool:
    """One run as `cssync run` would be: with the lease."""
    with hold_lease(office.store, owner="r-x", clock=office.clock, heartbeat=999) as lease:
        done = office.run(fence=lease)
        lease.check(office.store.reader())
    return done


@pytest.mark.parametrize("what", [UPDATES, CREATES], ids=["fields", "tasks"])
@pytest.mark.parametrize("vendor", UPDATES)
@pytest.mark.parametrize("seconds", [-420, 86_400 * 40], ids=["back", "far ahead"])
def test_a_clock_that_is_set_while_writes_are_on_their_way_does_no_harm(
    tmp_path: Path, calm: dict[str, Twin], vendor: str, what: dict[str, str], seconds: int
) -> None:
    with calm[vendor].disturbed(tmp_path) as office:

        def jump() -> None:
            office.clock.now += seconds

        office.server.faults.append(Fault(what[vendor], act=jump, drop=True, after=True))
        come_through(office, 3)
        calm[vendor].must_equal(office)
