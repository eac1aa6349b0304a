"""The sizes that others met HubSpot's limits at: 25,300 contacts of one time stamp behind a cap of 10,000, a company
with 1,762 deals."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Connection, Workspace
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.server import SandboxAnswer, SandboxRequest, serve
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync_hubspot import HUBSPOT

CAP = 10_000
STAMP = "2026-11-20T00:00:00.000Z"
COMPANY = "4242"
UTC = ZoneInfo("UTC")


class Flood:
    """An account whose contacts all have one time stamp; search refuses to page beyond its cap, and counts to it."""

    def __init__(self, count: int) -> None:
        self.ids = [7_000_000 + 3 * n for n in range(count)]
        self.touched: set[int] = set()
        self.pages = 0
        self.on_page: Callable[[int], None] = lambda number: None

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer a search, a batch of associations, or that the archive is empty."""
        if request.path.startswith("/account-info/"):
            return SandboxAnswer(200, {"portalId": 1, "timeZone": "UTC", "companyCurrency": "EUR"})
        if "/associations/" in request.path:
            to = [{"toObjectId": COMPANY, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 1}]}]
            ids = [i["id"] for i in request.json()["inputs"]]
            return SandboxAnswer(200, {"results": [{"from": {"id": i}, "to": to} for i in ids]})
        return self._search(request.json()) if request.path.endswith("/search") else SandboxAnswer(200, {"results": []})

    def _search(self, asked: dict[str, Any]) -> SandboxAnswer:
        self.pages += 1
        self.on_page(self.pages)
        start, limit = int(asked["after"]), asked["limit"]
        if start + limit > CAP or limit > 200:
            return SandboxAnswer(400, {"message": "no more than 10,000", "category": "VALIDATION_ERROR"})
        held = {f["operator"]: f["value"] for f in asked["filterGroups"][0]["filters"]}
        later = held["LTE"] < "2026-11-20T13"  # what a person touched at 13:00 lies behind the window
        at = bisect_right(self.ids, int(held["GT"])) + start
        left = [i for i in self.ids[at:] if not (later and i in self.touched)] if self.touched else self.ids[at:]
        records = [self._record(i) for i in left[:limit]]
        more = {"paging": {"next": {"after": str(start + limit)}}} if len(left) > limit else {}
        return SandboxAnswer(200, {"total": min(len(left) + start, CAP), "results": records, **more})

    def _record(self, key: int) -> dict[str, Any]:
        at = "2026-11-20T13:00:00.000Z" if key in self.touched else STAMP
        name = "Touched" if key in self.touched else "Same second"
        held = {"lastmodifieddate": at, "lastname": name}
        return {"id": str(key), "properties": held, "createdAt": STAMP, "updatedAt": at}


def test_25_300_contacts_of_one_second_are_read_behind_a_cap_of_10_000_while_people_work(tmp_path: Path) -> None:
    app, clock = Flood(25_300), ManualClock(1_795_176_000.0)  # noon
    app.on_page = lambda number: app.touched.update(app.ids[100 * number : 100 * number + 3])
    with serve(app) as server, Store.open(tmp_path / "s.db") as store:
        server.clock = clock.time
        given = {"connector": "hubspot", "base_url": server.url, "allow_hosts": ["127.0.0.1"]}
        settings = HUBSPOT.config.model_validate({**given, **HUBSPOT.sandbox_settings})
        streams = tuple(s for s in HUBSPOT.streams if s.name == "contacts")
        space = Workspace("w", tmp_path, UTC, "EUR", tmp_path / "s.db",
                          {"crm": Connection("crm", HUBSPOT, settings, streams)})  # fmt: skip
        with store.transaction() as conn:
            conn.execute("INSERT INTO source_state (connection, stream, cursor) VALUES ('crm', 'contacts', ?)",
                         (json.dumps({"since": "2026-11-19T12:00:00.000Z"}),))  # fmt: skip

        def run() -> StreamReport:
            with open_session(
                HUBSPOT, settings, connection="crm", timezone=UTC, limiter=UNLIMITED, clock=clock
            ) as session:
                (report,) = sync(store, space, {"crm": session}, run_id="r")
            assert report.error is None, report.error
            return report

        run()
        clock.now += 2 * 3600
        app.on_page = lambda number: None
        run()
        rows = store.query("SELECT source_id, name, account_source_id FROM contact WHERE deleted_at IS NULL")
        assert {int(r["source_id"]) for r in rows} == set(app.ids)
        assert {r["account_source_id"] for r in rows} == {COMPANY}
        assert {int(r["source_id"]) for r in rows if r["name"] == "Touched"} == app.touched


@pytest.mark.parametrize("incremental", [False, True], ids=["full", "incremental"])
def test_a_company_with_1_762_deals_has_them_all(rig: Any, incremental: bool) -> None:
    cursor = rig.pull("deals").cursor if incremental else None
    rig.clock.now += 3600
    company = rig.app.portal.add("companies", {"name": "Big"}).id
    deals = rig.fill("deals", 1_762, dealname="One of many")
    for deal in deals:
        rig.app.portal.link("deals", deal, "companies", company)
    got = rig.pull("deals", cursor)
    assert {i for i, r in got.records.items() if r["company"] == company} == set(deals)
