"""Twin runs at a vendor whose reads lag: what it took is not shown for a while, whichever way we look.

With the vendor's answer, a write is proved and never repeated, however long the lag. What is not answered in time is
not repeated for an hour. Where the connection broke instead, a lag within the time for which a run looks (`SHOWS`,
10 s) is waited for; where it is longer, no look can tell the write from one that never arrived: it is sent again, which
is why nothing is looked up by a search.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cssync.sandbox.server import Fault
from office import CREATES, IMPATIENT, READS, UPDATES, Office
from twins import Twin, come_through

ROUTES = {"fields": UPDATES, "tasks": CREATES}
LAGS = {"some seconds": 6.0, "some minutes": 1500.0}


@pytest.fixture
def office(tmp_path: Path, calm: dict[str, Twin], vendor: str) -> Iterator[Office]:
    with calm[vendor].disturbed(tmp_path) as found:
        yield found


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("what", ROUTES)
@pytest.mark.parametrize("vendor", UPDATES)
def test_what_is_shown_late_is_written_once(
    office: Office, calm: dict[str, Twin], vendor: str, what: str, lag: str
) -> None:
    """Pulls go on meanwhile and bring back the values of before, and the policy is the one that insists."""
    office.server.faults.append(Fault(ROUTES[what][vendor], hides=READS, lag=LAGS[lag]))
    come_through(office, pull=True, every=400)
    seen = len(office.ledger.rows)
    for _ in range(int(1 + LAGS[lag] // 400)):
        office.clock.sleep(400)
        office.pull()
        office.run()
    assert len(office.ledger.rows) == seen
    calm[vendor].must_equal(office)


@pytest.mark.parametrize("what", ROUTES)
@pytest.mark.parametrize("vendor", UPDATES)
def test_what_is_shown_late_after_a_lost_answer_is_waited_for(
    office: Office, calm: dict[str, Twin], vendor: str, what: str
) -> None:
    route = ROUTES[what][vendor]
    office.server.faults.append(Fault(route, hides=READS, lag=LAGS["some seconds"], drop=True, after=True))
    assert office.run()
    calm[vendor].must_equal(office)


@pytest.mark.parametrize("vendor", UPDATES)
def test_a_yes_that_proves_nothing_is_listed_until_the_vendor_shows_the_write(
    office: Office, calm: dict[str, Twin], vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's answer names no record as written (`sent`), and its reads lag for minutes."""
    from dataclasses import replace

    from cssync.writeback import send_fields

    push = send_fields.push

    def vague(*given: object) -> object:
        return {k: replace(o, state="sent", values=None) for k, o in push(*given).items()}  # type: ignore[arg-type]

    monkeypatch.setattr(send_fields, "push", vague)
    office.server.faults.append(Fault(UPDATES[vendor], hides=READS, lag=LAGS["some minutes"]))
    for _ in range(3):
        assert not office.run()
        unknown = office.store.query("SELECT count(*) AS n FROM outbox WHERE state = 'unknown'")[0]["n"]
        assert unknown == sum(map(len, calm[vendor].world[0].values())), "listed, not sent again"
        office.clock.sleep(300)
    office.clock.sleep(900)
    come_through(office)
    calm[vendor].must_equal(office)


@pytest.mark.parametrize("vendor", UPDATES)
def test_a_newer_value_waits_for_the_vendor_to_be_done_with_the_one_before(
    tmp_path: Path, calm: dict[str, Twin], vendor: str
) -> None:
    """Else the old one, done at last, would take its place and look like a person's edit."""
    with calm[vendor].disturbed(tmp_path, settings=IMPATIENT) as office:
        office.server.faults.append(Fault(UPDATES[vendor], delay=0.16, late=1500.0))
        assert not office.run()
        with office.store.transaction() as conn:
            conn.execute("UPDATE result SET value = '77' WHERE name = 'health.score'")
        sent = len(office.server.journal)
        assert not office.run()
        assert not [e for e in office.server.journal[sent:] if re.search(UPDATES[vendor], f"{e.method} {e.path}?")]
        office.clock.sleep(1500)
        come_through(office)
        held = [str(value) for fields in office.world()[0].values() for value in fields.values()]
        assert sum(value in ("77", "77.0") for value in held) == len(office.world()[0])
