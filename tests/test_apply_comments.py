"""Tasks that people write into: their words stay, and a task that is done is told so, once, and left to them."""

from __future__ import annotations

import copy
import html
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cssync.plugins import plugins
from cssync.runs.sessions import open_sessions
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.writeback.apply import apply_plan
from cssync.writeback.plan import approve_plan, make_undo
from fake_crm import task
from ledger import Row
from office import CREATES, READS, RULES, WORLD, Office, created, furnish, served

KEY = f"{0:024x}"
SAID = "cssync would have closed this task: renewed. A person changed it, so it is theirs to close."
COMMENTED = {
    "hubspot": "POST .*/tasks/batch/update", "salesforce": r"PATCH .*/composite/sobjects|PATCH .*/sobjects/Task/",
    "zendesk": r"PUT .*/tickets/\d+",
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """Each vendor with our tasks in it, and the store beside it."""
    found = {}
    for vendor in CREATES:
        folder = tmp_path_factory.mktemp(vendor)
        make_app = plugins().connector(vendor).sandbox
        assert make_app is not None
        app: Any = make_app(WORLD)
        with served(folder, vendor, app) as office:
            furnish(office)
            assert office.run()
            office.clock.sleep(120)
            office.pull()
            found[vendor] = (copy.deepcopy(app), folder / "cssync.db")
    return found


@pytest.fixture
def office(tmp_path: Path, written: dict[str, tuple[Any, Path]], vendor: str) -> Iterator[Office]:
    with furnished(tmp_path, written[vendor], vendor) as found:
        yield found


@contextmanager
def furnished(folder: Path, before: tuple[Any, Path], vendor: str) -> Iterator[Office]:
    """An office in which our tasks are five minutes old."""
    app, store = before
    shutil.copy(store, folder / "cssync.db")
    with served(folder, vendor, copy.deepcopy(app)) as found:
        found.clock.sleep(300)
        yield found


def remote_id(found: Office) -> str:
    return str(found.store.query("SELECT remote_id FROM written WHERE field = ?", (KEY,))[0]["remote_id"])


def edit(found: Office, subject: str, text: str) -> None:
    """A person gives the task another subject, and writes into it."""
    app: Any = found.server.app
    remote = remote_id(found)
    if hasattr(app, "desk"):
        app.touch_ticket(int(remote), subject=subject, raw_subject=subject)
        app.tickets.records[int(remote)]["comments"].append({"body": text, "public": False})
    elif hasattr(app, "portal"):
        body = app.portal.things["tasks"][remote].properties["hs_task_body"]
        app.portal.edit("tasks", remote, hs_task_subject=subject, hs_task_body=f"{html.escape(text)}<br>{body}")
    else:
        app.edit("Task", remote, Subject=subject, Description=f"{text}\n\n{app.tables['Task'][remote]['Description']}")


def seen(found: Office) -> tuple[str, str, str]:
    """(subject, status, text) of the task as its reader sees them."""
    app: Any = found.server.app
    remote = remote_id(found)
    if hasattr(app, "desk"):
        row = app.tickets.records[int(remote)]
        assert not any(comment.get("public", True) for comment in row["comments"])
        return row["subject"], row["status"], "\n".join(c["body"] for c in row["comments"])
    if hasattr(app, "portal"):
        held = app.portal.things["tasks"][remote].properties
        return held["hs_task_subject"], held["hs_task_status"], html.unescape(held["hs_task_body"])
    row = app.tables["Task"][remote]
    return row["Subject"], row["Status"], row["Description"]


@pytest.mark.parametrize("vendor", list(CREATES))
def test_an_edited_task_that_is_done_gets_one_comment_and_stays_as_it_is(office: Office, vendor: str) -> None:
    edit(office, "Call Ms Sato <first>", "they want 5 < 6 seats & a discount")
    office.clock.sleep(120)
    before = seen(office)
    office.pull()
    (row,) = office.store.query("SELECT account_uid FROM task WHERE key = ?", (KEY,))
    task(office.store, row["account_uid"], KEY, title="Renew 0", status="closed", closing_note="renewed")
    finish(office)
    subject, status, text = seen(office)
    assert (subject, status) == before[:2] == ("Call Ms Sato <first>", before[1])
    assert text.count(SAID) == 1
    assert "they want 5 < 6 seats & a discount" in text
    assert "Why: facts" in text
    office.clock.sleep(120)
    office.pull()
    office.server.journal.clear()
    assert office.run()
    assert not office.server.requests(COMMENTED[vendor])
    assert len(office.store.query("SELECT 1 FROM outbox WHERE field = ? AND action = 'close_task'", (KEY,))) == 0


TROUBLE: dict[str, dict[str, Any]] = {
    "lost before it arrived": {"drop": True, "answer": SandboxAnswer(503)},
    "lost after it arrived": {"drop": True, "after": True},
    "lost twice": {"drop": True, "answer": SandboxAnswer(503), "times": 2},
    "answer cut": {"cut": True},
    "a gateway that gave up": {"answer": SandboxAnswer(504, b""), "after": True},
    "done too late": {"late": 6.0},
    "lost and shown late": {"hides": READS, "lag": 6.0, "drop": True, "after": True},
    "shown late": {"hides": READS, "lag": 600.0},
}


def moves(found: Office) -> None:
    rules_say(found, title="Renew 0 now", due_on="2027-01-05")


def closes(found: Office) -> None:
    rules_say(found, status="closed", closing_note="renewed")


def comments(found: Office) -> None:
    edit(found, "Call Ms Sato <first>", "they want 5 < 6 seats & a discount")
    found.clock.sleep(120)
    found.pull()
    closes(found)


def end(found: Office, doing: Callable[[Office], None], trouble: Fault | None) -> tuple[Any, list[Row]]:
    """The task as its readers see it, and the write journal."""
    doing(found)
    if trouble is not None:
        found.server.faults.append(trouble)
    finish(found)
    assert trouble is None or trouble.seen
    for _ in range(2 if trouble is None or trouble.hides else 0):  # pulls that bring what is shown late
        found.clock.sleep(350)
        found.pull()
        found.run()
    return seen(found), found.ledger.journal


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, written: dict[str, tuple[Any, Path]]) -> dict[Any, Any]:
    """How each of it ends where nothing is in the way."""
    ends = {}
    for doing in (moves, closes, comments):
        for vendor in CREATES:
            with furnished(tmp_path_factory.mktemp(vendor), written[vendor], vendor) as found:
                ends[vendor, doing] = end(found, doing, None)
                journal = ends[vendor, doing][1]
                assert journal, "something was written"
                assert len(journal) == len(set(journal))
    return ends


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("doing", [moves, closes, comments])
@pytest.mark.parametrize("vendor", list(CREATES))
def test_a_task_that_changes_ends_as_undisturbed_and_is_written_once(
    office: Office, undisturbed: dict[Any, Any], vendor: str, doing: Callable[[Office], None], trouble: str
) -> None:
    assert end(office, doing, Fault(COMMENTED[vendor], **TROUBLE[trouble])) == undisturbed[vendor, doing]


TEXTS = [vendor for vendor in CREATES if vendor != "zendesk"]
"""Vendors whose tasks have a text that anybody may change; to a ticket words are only added."""


def rules_say(found: Office, **columns: Any) -> None:
    (row,) = found.store.query("SELECT account_uid FROM task WHERE key = ?", (KEY,))
    task(found.store, row["account_uid"], KEY, **{"title": "Renew 0", **columns})


def finish(found: Office) -> None:
    for _ in range(4):
        if found.run():
            return
    pytest.fail("4 runs did not bring it through")


@pytest.mark.parametrize("vendor", TEXTS)
def test_a_task_that_somebody_only_wrote_into_is_told_and_not_closed(office: Office, vendor: str) -> None:
    """The pull keeps no text of tasks: only the look before the write shows it."""
    subject, status, _ = seen(office)
    edit(office, subject, "they want 5 < 6 seats & a discount")
    office.clock.sleep(120)
    office.pull()
    rules_say(office, status="closed", closing_note="renewed")
    finish(office)
    assert seen(office)[:2] == (subject, status)
    office.clock.sleep(120)
    office.pull()
    office.server.journal.clear()
    rules_say(office, status="closed", closing_note="renewed", due_on="2027-01-05")
    assert office.run()
    text = seen(office)[2]
    assert text.count(SAID) == 1
    assert "they want 5 < 6 seats & a discount" in text
    assert "Why: facts" in text
    assert not office.server.requests(COMMENTED[vendor]), "theirs from here on"
    (row,) = office.store.query("SELECT * FROM outbox WHERE field = ? AND action = 'close_task'", (KEY,))
    assert (row["state"], "a person wrote into this task" in row["error"]) == ("verified", True)


@pytest.mark.parametrize("vendor", TEXTS)
def test_a_task_moves_with_its_rule_and_keeps_what_somebody_wrote_into_it(office: Office, vendor: str) -> None:
    untouched = seen(office)[2]
    rules_say(office, title="Renew 0 now", body="Why: other facts")
    finish(office)
    subject, _, text = seen(office)
    assert subject == "Renew 0 now"
    assert "Why: other facts" in text, "nobody wrote into it: it says what is true now"
    assert "Why: facts" in untouched
    assert "Why: facts" not in text
    edit(office, "Renew 0 now", "they want 5 < 6 seats & a discount")
    office.clock.sleep(120)
    rules_say(office, title="Renew 0 at once", body="Why: no facts")
    finish(office)
    subject, _, text = seen(office)
    assert subject == "Renew 0 at once"
    assert "they want 5 < 6 seats & a discount" in text
    assert "Why: other facts" in text


MOMENT = {"hubspot": "POST .*/tasks/batch/read", "salesforce": "PATCH .*/sobjects/Task/", "zendesk": r"PUT .*/tickets/"}
"""The last request before a comment is in: HubSpot guards no write, so the text is read again right before it."""


@pytest.mark.parametrize("vendor", list(CREATES))
def test_what_a_person_writes_at_the_moment_of_our_comment_stays(office: Office, vendor: str) -> None:
    edit(office, "Call Ms Sato", "first words")
    office.clock.sleep(120)
    office.pull()
    rules_say(office, status="closed", closing_note="renewed")

    def writes() -> None:
        office.clock.sleep(5)
        edit(office, "Call Ms Sato", "last words")

    office.server.faults.append(Fault(MOMENT[vendor], nth=2 if vendor == "hubspot" else 1, act=writes))
    finish(office)
    if SAID not in seen(office)[2]:  # what the guard kept out is for the next plan
        finish(office)
    subject, _, text = seen(office)
    assert subject == "Call Ms Sato"
    assert "first words" in text
    assert "last words" in text
    assert text.count(SAID) == 1


def without_key(found: Office) -> None:
    """A person takes our key out of the task."""
    app: Any = found.server.app
    remote = remote_id(found)
    if hasattr(app, "desk"):
        app.touch_ticket(int(remote), external_id=None)
    elif hasattr(app, "portal"):
        body = app.portal.things["tasks"][remote].properties["hs_task_body"]
        app.portal.edit("tasks", remote, hs_task_body=re.sub(r"cssync:\w+", "", body))
    else:
        app.edit("Task", remote, CS_Task_Key__c=None)


def is_open(found: Office) -> bool:
    return seen(found)[1] not in ("COMPLETED", "Completed", "solved")


@pytest.mark.parametrize("vendor", list(CREATES))
def test_a_task_that_lost_our_key_stays_the_same_task(office: Office, vendor: str) -> None:
    before = created(office.server)
    without_key(office)
    office.clock.sleep(120)
    office.pull()
    office.server.journal.clear()
    assert office.run()
    assert not office.server.requests(f"{CREATES[vendor]}|{COMMENTED[vendor]}"), "nothing changed for anybody"
    rules_say(office, title="Renew 0", due_on="2027-01-05")
    finish(office)
    assert created(office.server) == before
    office.clock.sleep(120)
    office.pull()
    without_key(office)
    assert is_open(office)
    rules_say(office, due_on="2027-01-05", status="closed", closing_note="renewed")
    finish(office)
    assert not is_open(office)
    assert created(office.server) == before


@pytest.mark.parametrize("vendor", list(CREATES))
def test_a_task_without_our_key_that_a_person_closed_is_let_alone(office: Office, vendor: str) -> None:
    before = created(office.server)
    without_key(office)
    app: Any = office.server.app
    remote = remote_id(office)
    if hasattr(app, "desk"):
        app.touch_ticket(int(remote), status="solved")
    elif hasattr(app, "portal"):
        app.portal.edit("tasks", remote, hs_task_status="COMPLETED")
    else:
        app.edit("Task", remote, Status="Completed", IsClosed=True)
    office.clock.sleep(120)
    office.pull()
    rules_say(office, due_on="2027-01-05")
    office.run()
    office.server.journal.clear()
    assert office.run(), "learned once, not refused each day"
    assert not office.server.requests(f"{CREATES[vendor]}|{COMMENTED[vendor]}")
    assert not is_open(office)
    assert created(office.server) == before


@pytest.mark.parametrize("vendor", TEXTS)
def test_an_undo_closes_no_task_that_somebody_wrote_into(office: Office, vendor: str) -> None:
    edit(office, "Renew 0", "they want 5 < 6 seats & a discount")
    run = office.store.query("SELECT max(run_id) AS newest FROM outbox")[0]["newest"]
    made = make_undo(office.store, office.space, RULES, WORLD.now, run, run_id="undo", clock=office.clock)
    approve_plan(office.store, made.id)
    with open_sessions(office.space, office.store, clock=office.clock) as sessions:
        done = apply_plan(office.store, office.space, made.id, sessions, run_id="undo", clock=office.clock)
    assert done.exit_code == 0
    assert [entry.field for entry in done.altered] == [KEY]
    text = seen(office)[2]
    assert is_open(office)
    assert "they want 5 < 6 seats & a discount" in text
    assert text.count(f"cssync would have closed this task: undo of {run}, which created it. A person") == 1
