"""Fourteen days on each vendor's sandbox over HTTP: deaths, lost answers, a merge, edits and a closed task."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cssync.plugins import plugins
from cssync.sandbox.server import Fault
from cssync.writeback import send_fields, send_tasks
from fake_crm import task
from office import CREATES, UPDATES, WORLD, Office, furnish, name_of, served

DAYS = 14
BANDS = ("green", "yellow", "red")


class Killed(BaseException):
    """Stands for kill -9."""


def say(found: Office, uid: str, band: str) -> None:
    with found.store.transaction() as conn:
        conn.execute(
            "UPDATE result SET value = ? WHERE account_uid = ? AND name = 'health.band'", (json.dumps(band), uid)
        )


def merge(found: Office, winner: str, loser: str) -> None:
    app: Any = found.server.app
    if hasattr(app, "desk"):
        app.delete_organization(int(loser))  # Zendesk does not name the winner
    elif hasattr(app, "portal"):
        app.portal.merge("companies", winner, loser)
    else:
        app.merge("Account", winner, loser)


def close_by_hand(found: Office, key: str) -> None:
    remote = found.store.query("SELECT remote_id FROM written WHERE field = ?", (key,))[0]["remote_id"]
    app: Any = found.server.app
    if hasattr(app, "desk"):
        app.touch_ticket(int(remote), status="solved")
    elif hasattr(app, "portal"):
        app.portal.edit("tasks", remote, hs_task_status="COMPLETED")
    else:
        app.edit("Task", remote, Status="Completed")


def misfortune(found: Office, vendor: str, luck: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run dies before or after a send, or an answer is lost."""
    kind = luck.choice(("none", "none", "dies", "dies after", "lost"))
    if kind == "lost":
        route = luck.choice((UPDATES, CREATES))[vendor]
        found.server.faults.append(Fault(route, drop=True, after=luck.random() < 0.5))
    elif kind.startswith("dies"):
        room = luck.choice((send_fields, send_tasks))
        send: Callable[..., Any] = room.push

        def dies(*given: Any) -> Any:
            monkeypatch.setattr(room, "push", send)
            if kind == "dies after":
                send(*given)
            raise Killed

        monkeypatch.setattr(room, "push", dies)


@pytest.mark.parametrize("vendor", list(UPDATES))
def test_a_fortnight_of_trouble(tmp_path: Path, vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_app = plugins().connector(vendor).sandbox
    assert make_app is not None
    facts, luck = random.Random(7), random.Random(8)
    with served(tmp_path, vendor, make_app(WORLD)) as found:
        furnish(found)
        connection = name_of(vendor)
        homes = {
            row["account_uid"]: row["source_id"] for row in found.store.query(
                "SELECT account_uid, source_id FROM account_link WHERE connection = ? AND status = 'active'",
                (connection,),
            )
        }  # fmt: skip
        uids = sorted(homes)
        winner, loser = uids[-2], uids[-1]
        for day in range(DAYS):
            for uid in uids:
                if facts.random() < 0.2:
                    say(found, uid, facts.choice(BANDS))
            if day in (2, 4, 6):
                number = 2 + day // 2
                task(found.store, uids[day // 2 - 1], f"{number:024x}", title=f"Renew {number}")
            if day == 5:
                close_by_hand(found, f"{0:024x}")
            if day == 8:
                merge(found, homes[winner], homes[loser])
            if day == 9:
                task(found.store, uids[1], f"{1:024x}", title="Renew 1", status="closed", closing_note="renewed")
            found.clock.sleep(86_400)
            misfortune(found, vendor, luck, monkeypatch)
            for _ in range(6):
                found.pull()
                try:
                    if found.run():
                        break
                except Killed:
                    continue
            else:
                pytest.fail(f"day {day} did not come through")
            found.pull()
            found.server.faults.clear()
            found.server.journal.clear()
            assert found.run()
            assert not found.server.requests(f"{UPDATES[vendor]}|{CREATES[vendor]}"), "a second run writes nothing"
        alive = {uid: homes[uid] for uid in uids if uid != loser}
        fields, tasks, count = found.world()
        for uid, source_id in alive.items():
            wanted = json.loads(found.store.query(
                "SELECT value FROM result WHERE account_uid = ? AND name = 'health.band'", (uid,)
            )[0]["value"])  # fmt: skip
            assert wanted in fields[source_id].values()
        assert count == len(tasks) == 6
        status = {key: state for key, state, *_ in tasks}
        assert (status[f"{0:024x}"], status[f"{1:024x}"], status[f"{2:024x}"]) == ("done", "done", "open")
        states = {row["state"] for row in found.store.query("SELECT DISTINCT state FROM outbox")}
        assert states <= {"verified", "refused", "failed-retry"}
