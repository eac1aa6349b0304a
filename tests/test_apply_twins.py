"""Twin runs: whatever one vendor answers while we write, world and journal end as in the undisturbed run.

The fault plans of the reliability design's section 9, and where their twins are. Every one is for each vendor that can
meet it; world, write journal (`ledger`) and store are compared (`Twin.must_equal`).

any status, headers, body   here: TROUBLE on updates, creates, looks and polls, and at each step of a bulk job
delay                       here: "answered too late" (the work was done), "done too late" (not yet), "given up on"
cut                         here: "answer cut", "half an answer after it arrived"
delayed visibility          test_apply_twins_lag
records bumped in between   test_apply_twins_world: while we look, page by page
rate limits, daily budget   test_apply_twins_world
tokens                      here: "token expired"; test_apply_twins_world: expired for good, rotated; _changed: revoked
batches in part, shuffled   test_apply_twins_batches
locked rows                 test_apply_twins_batches
changed field definitions   test_apply_twins_changed
side effects                test_apply_twins_world: an automation on another field, and on our own
a person editing            test_apply_twins_world: between plan and apply, between sending and reading back
kill or stop at any request test_apply_twins_killed: before and after each request of a run, also of one whose writes
                            are not answered; stopped at each that reads; test_apply_killed: kill -9
the clock                   test_apply_twins_killed: set back while writes are on their way
several processes           test_apply_twins_killed: a second run beside the first, and one that takes over

Those of section 4: R21 (kills) as above; R22 a still world whose modified times move, R23 edits and tags under each
policy, R25 answers without id, R29 another organisation, R31 mails: test_apply_twins_world and _batches; R24 unknown
and clear, R28 brakes and approvals: test_apply_twins_held; R26 classes of errors: test_apply_twins_batches; R27 a
fortnight with a closed task: test_apply_fortnight_vendors; R30 options renamed: test_apply_twins_changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cssync.sandbox.server import Fault, SandboxAnswer
from office import CREATES, IMPATIENT, LOOKS, POLLS, UPDATES
from twins import Twin, come_through

BUSY = SandboxAnswer(503, b"<html>busy</html>", {"content-type": "text/html"})
LIMITED = SandboxAnswer(429, {}, {"retry-after": "2"})
TROUBLE: dict[str, dict[str, Any]] = {
    "lost before it arrived": {"drop": True, "answer": BUSY},
    "lost after it arrived": {"drop": True, "after": True},
    "answer cut": {"cut": True},
    "busy once": {"answer": BUSY},
    "busy for long": {"answer": BUSY, "times": 13},
    "busy after it arrived": {"answer": BUSY, "after": True},
    "limited": {"answer": LIMITED},
    "a web page for an answer": {
        "answer": SandboxAnswer(200, b"<html>back soon</html>", {"content-type": "text/html"})
    },
    "half an answer after it arrived": {
        "answer": SandboxAnswer(200, b'{"results": [', {"content-type": "application/json"}),
        "after": True,
    },
    "a gateway that gave up": {"answer": SandboxAnswer(504, b""), "after": True},
    "answered too late": {"delay": 0.16},
    "done too late": {"late": 6.0},
    "given up on, and done at last": {"delay": 0.16, "late": 1500.0},
    "given up on, and never done": {"delay": 0.16, "answer": BUSY},
    "token expired": {"answer": SandboxAnswer(401, {"message": "expired", "errors": []})},
}
CASES = [
    (vendor, what, trouble)
    for what, routes in (("updates", UPDATES), ("creates", CREATES), ("looks", LOOKS), ("polls", POLLS))
    for vendor in routes
    for trouble in TROUBLE
]
ROUTES = {"updates": UPDATES, "creates": CREATES, "looks": LOOKS, "polls": POLLS}


@pytest.mark.parametrize(("vendor", "what", "trouble"), CASES, ids=[", ".join(case) for case in CASES])
def test_trouble_leaves_the_world_and_the_journal_of_an_undisturbed_run(
    tmp_path: Path, calm: dict[str, Twin], vendor: str, what: str, trouble: str
) -> None:
    settings = IMPATIENT if "delay" in TROUBLE[trouble] else ""
    with calm[vendor].disturbed(tmp_path, settings=settings) as office:
        fault = Fault(ROUTES[what][vendor], **TROUBLE[trouble])
        office.server.faults.append(fault)
        come_through(office, every=900)
        assert fault.seen, "the fault's route was never called"
        calm[vendor].must_equal(office)


@pytest.mark.parametrize("vendor", CREATES)
def test_lost_answers_are_no_fault_when_all_of_it_arrived(tmp_path: Path, calm: dict[str, Twin], vendor: str) -> None:
    with calm[vendor].disturbed(tmp_path) as office:
        office.server.faults += [Fault(route[vendor], drop=True, after=True) for route in (UPDATES, CREATES)]
        assert office.run()
        calm[vendor].must_equal(office)


BULK = {
    "opening": "POST .*/jobs/ingest", "filling": "PUT .*/batches", "closing": "PATCH .*/jobs/ingest/",
    "reading": "GET .*/(successfulResults|failedResults)",
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("step", BULK)
def test_trouble_with_a_bulk_job_leaves_the_world_and_the_journal_of_an_undisturbed_run(
    tmp_path: Path, calm: dict[str, Twin], step: str, trouble: str
) -> None:
    settings = f"bulk_write_from: 3\n    {IMPATIENT if 'delay' in TROUBLE[trouble] else ''}"
    with calm["salesforce"].disturbed(tmp_path, settings=settings) as office:
        fault = Fault(BULK[step], **TROUBLE[trouble])
        office.server.faults.append(fault)
        come_through(office, every=900)
        assert fault.seen, "the fault's route was never called"
        calm["salesforce"].must_equal(office)
