"""A task that is done, but that a person edited: cssync says so in it, once, and leaves the rest to them."""

from __future__ import annotations

import copy
import html
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.link import link
from cssync.plugins import plugins
from cssync.runs.sessions import open_sessions
from cssync.sandbox.server import Fault
from cssync.sync import sync
from fake_crm import task
from office import CREATES, WORLD, Office, furnish, served

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
            pull(office)
            app.clock = None
            found[vendor] = (copy.deepcopy(app), folder / "cssync.db")
    return found


@pytest.fixture
def office(tmp_path: Path, written: dict[str, tuple[Any, Path]], vendor: str) -> Iterator[Office]:
    app, store = written[vendor]
    shutil.copy(store, tmp_path / "cssync.db")
    twin = copy.deepcopy(app)
    if hasattr(twin, "portal"):
        twin.portal.clock = lambda: twin.clock()
    with served(tmp_path, vendor, twin) as found:
        found.clock.sleep(300)
        yield found


def pull(found: Office) -> None:
    with open_sessions(found.space, found.store, clock=found.clock) as sessions:
        sync(found.store, found.space, sessions, run_id=f"pull-{found.clock.time()}")
    link(found.store, found.space, WORLD.now + timedelta(seconds=found.clock.time() - WORLD.now.timestamp()))


def edit(found: Office, subject: str, text: str) -> None:
    """A person gives the task another subject, and writes into it."""
    app: Any = found.server.app
    remote = found.store.query("SELECT remote_id FROM written WHERE field = ?", (KEY,))[0]["remote_id"]
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
    remote = found.store.query("SELECT remote_id FROM written WHERE field = ?", (KEY,))[0]["remote_id"]
    if hasattr(app, "desk"):
        row = app.tickets.records[int(remote)]
        assert not any(comment.get("public", True) for comment in row["comments"])
        return row["subject"], row["status"], "\n".join(c["body"] for c in row["comments"])
    if hasattr(app, "portal"):
        held = app.portal.things["tasks"][remote].properties
        return held["hs_task_subject"], held["hs_task_status"], html.unescape(held["hs_task_body"])
    row = app.tables["Task"][remote]
    return row["Subject"], row["Status"], row["Description"]


@pytest.mark.parametrize("trouble", [None, {"drop": True}, {"drop": True, "after": True}],
                         ids=["calm", "lost before", "lost after"])  # fmt: skip
@pytest.mark.parametrize("vendor", list(CREATES))
def test_an_edited_task_that_is_done_gets_one_comment_and_stays_as_it_is(
    office: Office, vendor: str, trouble: dict[str, Any] | None
) -> None:
    edit(office, "Call Ms Sato <first>", "they want 5 < 6 seats & a discount")
    office.clock.sleep(120)
    before = seen(office)
    pull(office)
    (row,) = office.store.query("SELECT account_uid FROM task WHERE key = ?", (KEY,))
    task(office.store, row["account_uid"], KEY, title="Renew 0", status="closed", closing_note="renewed")
    if trouble:
        office.server.faults.append(Fault(COMMENTED[vendor], times=2, **trouble))
    for _ in range(4):
        if office.run():
            break
    subject, status, text = seen(office)
    assert (subject, status) == before[:2] == ("Call Ms Sato <first>", before[1])
    assert text.count(SAID) == 1
    assert "they want 5 < 6 seats & a discount" in text
    assert "Why: facts" in text
    office.clock.sleep(120)
    pull(office)
    office.server.journal.clear()
    assert office.run()
    assert not office.server.requests(COMMENTED[vendor])
    assert len(office.store.query("SELECT 1 FROM outbox WHERE field = ? AND action = 'close_task'", (KEY,))) == 0
