"""Memory of a pull over HTTP: as much after sixty pages as after twenty, whichever vendor, endpoint and way of reading.

The vendors here make each answer when it is asked for, so that what grows is ours. Measured is what Python holds when a
page has been stored and the next was not asked for yet.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Connection, Workspace
from cssync.connectors import Connector, Page, PullRequest
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import ManualClock
from cssync.http.wire import Received, Wire
from cssync.store import Store
from cssync.sync import StreamReport, engine, sync
from cssync_hubspot import HUBSPOT
from cssync_salesforce import bulk, soql
from cssync_salesforce.connector import SALESFORCE
from cssync_zendesk import ZENDESK

PAGE, PAGES = 50, 60
TOTAL = PAGE * PAGES
MOST = 16 * TOTAL * 2 // 3 + 49_152
"""Bytes that may be held more behind the last page than behind the first third: less than 16 for each record between,
and what caches of a fixed size fill up with. An id kept of each record would cost 60."""
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
WHEN = "2026-11-01T00:00:00"

Answer = Callable[[str, str, Mapping[str, str], Any], Any]
"""Method, path, query and decoded body -> JSON, or (body, headers)."""


def hubspot(method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
    def contact(number: int) -> dict[str, Any]:
        held = {"firstname": f"N{number}", "email": f"n{number}@x.example", "lastmodifieddate": f"{WHEN}.000Z"}
        linked = {"companies": {"results": [{"id": "7", "type": "contact_to_company"}]}}
        return {"id": str(number), "properties": held, "updatedAt": f"{WHEN}.000Z", "associations": linked}

    if path.endswith("/details"):
        return {"portalId": 1, "timeZone": "UTC"}
    if "/associations/" in path:
        to = [{"toObjectId": 7, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 1}]}]
        return {"results": [{"from": {"id": i["id"]}, "to": to} for i in body["inputs"]]}
    if query.get("archived") == "true":
        return {"results": []}
    if path.endswith("/search"):
        last = int(body["filterGroups"][0]["filters"][2]["value"])
        found = range(last + 1, min(last + PAGE, TOTAL) + 1)
        return {"total": TOTAL - last, "results": [contact(n) for n in found]}
    first = int(query.get("after", 0))
    more = {"paging": {"next": {"after": str(first + PAGE)}}} if first + PAGE < TOTAL else {}
    return {"results": [contact(first + n + 1) for n in range(PAGE)], **more}


def salesforce(method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
    names = ("Id", "SystemModstamp", "IsDeleted", "MasterRecordId", "Name", "Email", "AccountId")

    def sid(number: int) -> str:
        short = f"003{number:012d}"
        return short + soql.checksum(short)

    def contact(number: int) -> dict[str, Any]:
        stamp = (datetime.fromisoformat(WHEN) + timedelta(seconds=number)).isoformat()
        return {"Id": sid(number), "SystemModstamp": f"{stamp}.000+0000", "IsDeleted": False, "MasterRecordId": None,
                "Name": f"N{number}", "Email": f"n{number}@x.example", "AccountId": None}  # fmt: skip

    if path.endswith("/token"):
        return {"access_token": "t"}
    if path.endswith("/describe"):
        return {"fields": [{"name": n, "type": "string"} for n in names]}
    if path.endswith("/results"):
        first = PAGE + int(query.get("locator", 0))
        rows = [contact(n) for n in range(first, min(first + PAGE, TOTAL))]
        text = "\n".join([",".join(names), *(",".join(_cell(r[n]) for n in names) for r in rows), ""])
        locator = str(first) if first + PAGE < TOTAL else "null"
        return text.encode(), {"sforce-locator": locator, "sforce-numberofrecords": str(len(rows))}
    if "/jobs/query" in path:
        return {"id": sid(1), "state": "JobComplete", "numberRecordsProcessed": TOTAL - PAGE}
    first = int(path.rpartition("-")[2]) if "/query/" in path else 0
    end = first + PAGE >= TOTAL
    more = {} if end else {"nextRecordsUrl": f"/services/data/v66.0/query/0r8-{first + PAGE}"}
    return {"totalSize": TOTAL, "done": end, "records": [contact(first + n) for n in range(PAGE)], **more}


def _cell(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def zendesk(method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
    if path.endswith("/tokens"):
        return {"access_token": "t", "token_type": "bearer", "expires_in": 172_800, "scope": "read"}
    kind = path.split("/")[4].removesuffix(".json")
    first = int(query.get("cursor") or max(0, int(query.get("start_time", 0)) - 1_000_000))
    rows = [
        {"id": first + n + 1, "name": f"N{first + n}", "updated_at": f"{WHEN}Z", "status": "open", "subject": "Help",
         "email": f"n{first + n}@x.example", "role": "end-user", "active": True, "organization_id": None, "tags": [],
         "metric_set": {"id": 1, "ticket_id": first + n + 1, "reply_time_in_minutes": {"calendar": 5}}}
        for n in range(PAGE)
    ]  # fmt: skip
    end = first + PAGE >= TOTAL
    place = {"end_time": 1_000_000 + first + PAGE} if kind == "organizations" else {"after_cursor": str(first + PAGE)}
    return {kind: rows, "end_of_stream": end, "count": PAGE, **place}


@dataclasses.dataclass(frozen=True)
class Case:
    connector: Connector
    stream: str
    answer: Answer
    settings: Mapping[str, Any]
    cursor: Mapping[str, Any] | None = None


HUB = {"token": "t"}
SALES = {"instance_url": "https://a.my.salesforce.com", "client_id": "c", "client_secret": "s"}
DESK = {"subdomain": "acme", "client_id": "c", "client_secret": "s"}
CASES = {
    "hubspot list": Case(HUBSPOT, "contacts", hubspot, HUB),
    "hubspot search": Case(HUBSPOT, "contacts", hubspot, HUB, {"since": "2026-11-19T00:00:00Z"}),
    "salesforce query": Case(SALESFORCE, "contacts", salesforce, {**SALES, "bulk_from": 0}),
    "salesforce bulk": Case(SALESFORCE, "contacts", salesforce, {**SALES, "bulk_from": 1}),
    "zendesk tickets": Case(ZENDESK, "tickets", zendesk, DESK),
    "zendesk organizations": Case(ZENDESK, "organizations", zendesk, DESK),
}


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Case], list[int]]:
    """Return what pulls a case through the engine into a store: bytes held behind a third of the records, and all."""

    def measured(case: Case) -> list[int]:
        def send(wire: Any, method: str, url: str, **given: Any) -> Received:
            asked = {**{k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}, **(given.get("params") or {})}
            body = json.loads(given["content"]) if given.get("content") else None
            found = case.answer(method, urlsplit(url).path, {k: str(v) for k, v in asked.items()}, body)
            content, more = found if isinstance(found, tuple) else (json.dumps(found).encode(), {})
            created = 201 if url.endswith("/oauth/tokens") else 200
            return Received(created, {"date": "Fri, 20 Nov 2026 03:00:00 GMT", **more}, content, url.partition("?")[0])

        monkeypatch.setattr(Wire, "send", send)
        monkeypatch.setattr(bulk, "PAGE_ROWS", (PAGE, PAGE))
        monkeypatch.setattr(engine, "ENOUGH", 1)  # a page that gathers with the next would be waited for
        seen: list[int] = []
        stored, told = [0], threading.Event()

        def progress(report: StreamReport) -> None:
            stored[0] = report.read
            told.set()

        def counted(session: Any, request: PullRequest) -> Iterator[Page]:
            given = 0
            for page in streams[case.stream].pages(session, request):
                given += len(page.records)
                full = bool(page.records)
                yield page
                del page
                while stored[0] < given and told.wait(10):
                    told.clear()
                if full and given in (TOTAL // 3, TOTAL):
                    gc.collect()
                    seen.append(tracemalloc.get_traced_memory()[0])

        settings = case.connector.config.model_validate({"connector": case.connector.name, **case.settings})
        streams = {s.name: s for s in case.connector.streams}
        stream = dataclasses.replace(streams[case.stream], pages=counted)
        space = Workspace(
            name="acme", path=tmp_path / "cssync.yaml", timezone=ZoneInfo("UTC"), currency="EUR",
            store=tmp_path / "s.db", connections={"c": Connection("c", case.connector, settings, (stream,), {})},
        )  # fmt: skip
        clock = ManualClock()
        clock.now = NOW.timestamp()
        with (
            Store.open(space.store) as store,
            open_session(
                case.connector, settings, connection="c", timezone=space.timezone, limiter=UNLIMITED, clock=clock
            ) as session,
        ):
            if case.cursor:
                with store.transaction() as conn:
                    place = ("c", case.stream, json.dumps(case.cursor), "2026-11-19T00:00:00Z")
                    conn.execute(
                        "INSERT INTO source_state (connection, stream, cursor, last_attempt_at) VALUES (?, ?, ?, ?)",
                        place,
                    )
            tracemalloc.start()
            try:
                (report,) = sync(store, space, {"c": session}, run_id="r", progress=progress)
            finally:
                tracemalloc.stop()
            assert report.error is None
            assert report.new == TOTAL
        return seen

    return measured


def grown(seen: list[int]) -> int:
    """Bytes held more at the second reading than at the first."""
    first, last = seen
    return last - first


@pytest.mark.parametrize("name", CASES)
def test_memory_does_not_grow_with_the_number_of_records(held: Callable[[Case], list[int]], name: str) -> None:
    seen = held(CASES[name])
    assert grown(seen) < MOST


def test_what_a_connector_keeps_of_each_record_would_be_noticed(held: Callable[[Case], list[int]]) -> None:
    case = dataclasses.replace(CASES["zendesk tickets"], stream="users")
    kept: list[Any] = []

    def hoarding(session: Any, request: PullRequest) -> Any:
        for page in ZENDESK.streams[1].pages(session, request):
            kept.extend(str(r["id"]) for r in page.records)
            yield page

    streams = tuple(dataclasses.replace(s, pages=hoarding) if s.name == "users" else s for s in ZENDESK.streams)
    seen = held(dataclasses.replace(case, connector=dataclasses.replace(ZENDESK, streams=streams)))
    assert grown(seen) > MOST
