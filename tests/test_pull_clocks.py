"""A local clock that is wrong costs nothing: what the vendor changed is in the next run, over HTTP for each vendor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Connection, Workspace
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import ManualClock
from cssync.plugins import plugins
from cssync.sandbox.make_world import make
from cssync.sandbox.server import serve
from cssync.store import Store
from cssync.sync import StreamReport, sync

WORLD = make(5)


def contact(app: Any, text: str) -> str:
    key = next(iter(app.portal.things["contacts"]))
    app.portal.edit("contacts", key, jobtitle=text)
    return str(key)


def person(app: Any, text: str) -> str:
    key = next(iter(app.tables["Contact"]))
    app.edit("Contact", key, Title=text)
    return str(key)


def ticket(app: Any, text: str) -> str:
    key = next(iter(app.tickets.records))
    app.touch_ticket(key, subject=text)
    return str(key)


VENDORS: dict[str, tuple[str, str, str, Callable[[Any, str], str]]] = {
    "hubspot": ("contacts", "contact", "title", contact),
    "salesforce": ("contacts", "contact", "title", person),
    "zendesk": ("tickets", "ticket", "subject", ticket),
}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("skew", [-420.0, 420.0], ids=["slow", "fast"])
def test_a_local_clock_that_is_seven_minutes_wrong_loses_no_change(vendor: str, skew: float, tmp_path: Path) -> None:
    name, entity, column, change = VENDORS[vendor]
    connector = plugins().connector(vendor)
    assert connector.sandbox is not None
    app: Any = connector.sandbox(WORLD)
    there, here = ManualClock(WORLD.now.timestamp() + 3600), ManualClock(WORLD.now.timestamp() + 3600 + skew)
    app.clock = there.time
    if vendor == "salesforce":
        app.clock = lambda: WORLD.now + timedelta(seconds=there.now - WORLD.now.timestamp())
    with serve(app) as server, Store.open(tmp_path / "s.db") as store:
        server.clock = there.time
        given = {"connector": vendor, "base_url": server.url, "allow_hosts": ["127.0.0.1"]}
        settings = connector.config.model_validate({**given, **connector.sandbox_settings})
        streams = tuple(s for s in connector.streams if s.name == name)
        connections = {"crm": Connection("crm", connector, settings, streams)}
        space = Workspace("w", tmp_path, ZoneInfo("UTC"), "USD", tmp_path / "s.db", connections)

        def pull() -> StreamReport:
            with open_session(
                connector, settings, connection="crm", timezone=space.timezone, limiter=UNLIMITED, clock=here
            ) as session:
                (report,) = sync(store, space, {"crm": session}, run_id="r")
            assert report.error is None, report.error
            return report

        def pass_(seconds: float) -> None:
            there.now += seconds
            here.now += seconds

        assert pull().new > 0
        for seconds in (1, 30, 200):  # right behind the run, and later
            pass_(seconds)
            key = change(app, f"{seconds} s later")
            pass_(120)  # an export withholds its last minute
            pull()
            ((held,),) = store.query(f"SELECT {column} FROM {entity} WHERE source_id = ?", (key,))
            assert held == f"{seconds} s later"
            ((deleted,),) = store.query(f"SELECT count(*) FROM {entity} WHERE deleted_at IS NOT NULL")
            assert deleted == 0
