"""What does a pull cost beyond fetching, decoding and inserting? Run by hand: `uv run benchmarks/pull.py [RECORDS]`.

A server in a process of its own hands out the same HubSpot company pages each time. Measured in this process, in turn:

    fetch          httpx GET of every page, body discarded
    + decode       msgspec
    + insert       the same columns into a plain sqlite3 table, one transaction a page, WAL: the floor
    cssync         the HubSpot connector through session, normaliser and store: history, checkpoint, quarantine and all
    cssync again   the same once more over a filled store: nothing changed

Prints CPU seconds, the ratio to the floor, requests per 1,000 records beside the vendor's minimum, and peak memory at
this number of records and at a tenth of it (measured in child processes). Aims: at most 1.5 x the floor, flat memory.
"""

from __future__ import annotations

import http.server
import json
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import httpx
import msgspec

from cssync.config import Connection, Workspace
from cssync.http import UNLIMITED, open_session
from cssync.plugins import plugins
from cssync.store import Store
from cssync.sync import sync

PAGE = 100
PROPERTIES = (
    "name", "domain", "website", "industry", "country", "numberofemployees", "lifecyclestage", "hubspot_owner_id",
    "createdate", "hs_lastmodifieddate", "hs_object_id", "city", "phone", "description", "annualrevenue", "hs_language",
)  # fmt: skip


def company(number: int) -> dict[str, Any]:
    """Return one company as HubSpot lists it."""
    values = {p: f"{p} of company {number}" for p in PROPERTIES}
    values |= {"domain": f"company-{number}.example", "numberofemployees": str(number % 5000), "hs_language": "en",
               "createdate": "2024-05-01T07:25:37.123Z", "hs_lastmodifieddate": "2026-11-01T07:25:37.123Z",
               "hs_object_id": str(10**9 + number), "hubspot_owner_id": str(number % 40), "lifecyclestage": "customer",
               "website": f"https://company-{number}.example"}  # fmt: skip
    return {"id": str(10**9 + number), "properties": values, "createdAt": values["createdate"],
            "updatedAt": values["hs_lastmodifieddate"], "archived": False,
            "url": f"https://app.hubspot.com/contacts/1/record/0-2/{10**9 + number}"}  # fmt: skip


def server(records: int, ready: Any) -> None:
    """Serve `records` companies as HubSpot would; runs in a process of its own."""
    pages = {}
    for start in range(0, records, PAGE):
        body: dict[str, Any] = {"results": [company(n) for n in range(start, min(start + PAGE, records))]}
        if start + PAGE < records:
            body["paging"] = {"next": {"after": str(start + PAGE)}}
        pages[str(start)] = json.dumps(body).encode()
    account = json.dumps(
        {"portalId": 1, "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "USD"}
    ).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            pass

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            query = parse_qs(split.query)
            body = account
            if "/objects/" in split.path:
                archived = query.get("archived") == ["true"]
                body = b'{"results": []}' if archived else pages[query.get("after", ["0"])[0]]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        ready.put(running.server_address[1])
        running.serve_forever()


def fetched(url: str) -> Iterator[bytes]:
    """Yield the body of every page."""
    after: str | None = "0"
    with httpx.Client() as client:
        while after is not None:
            body = client.get(f"{url}/crm/objects/2026-09/companies", params={"limit": PAGE, "after": after}).content
            yield body
            at = body.rfind(b'"after": "')
            after = body[at + 10 : body.index(b'"', at + 10)].decode() if at > 0 else None


def decoded(url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of every page."""
    for body in fetched(url):
        yield msgspec.json.decode(body)["results"]


def inserted(url: str, path: Path) -> None:
    """Put the same columns into a plain table."""
    columns = ("name", "domain", "industry", "country", "numberofemployees", "lifecyclestage", "hubspot_owner_id",
               "createdate", "hs_lastmodifieddate", "website", "hs_language")  # fmt: skip
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = FULL")
    conn.execute(f"CREATE TABLE t (id TEXT PRIMARY KEY, {', '.join(c + ' TEXT' for c in columns)}, url TEXT)")
    for records in decoded(url):
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(
            f"INSERT INTO t VALUES ({', '.join('?' * (len(columns) + 2))}) ON CONFLICT (id) DO UPDATE SET "
            + ", ".join(f"{c} = excluded.{c}" for c in columns),
            [(r["id"], *(r["properties"][c] for c in columns), r["url"]) for r in records],
        )
        conn.execute("COMMIT")
    conn.close()


def pulled(url: str, path: Path, *, full: bool = False) -> int:
    """Pull through cssync; return the requests used."""
    hubspot = plugins().connector("hubspot")
    settings = hubspot.config.model_validate(
        {"connector": "hubspot", "token": "bench", "base_url": url, "allow_hosts": ["127.0.0.1"]}
    )
    stream = hubspot.stream("companies")
    assert stream is not None
    zone = ZoneInfo("UTC")
    workspace = Workspace("bench", path, zone, "USD", path, {"crm": Connection("crm", hubspot, settings, (stream,))})
    with (
        Store.open(path) as store,
        open_session(hubspot, settings, connection="crm", timezone=zone, limiter=UNLIMITED) as session,
    ):
        (report,) = sync(store, workspace, {"crm": session}, run_id="bench", full=full)
        assert report.error is None, report.error
        return report.requests


def cpu(work: Any) -> tuple[float, Any]:
    """Return the CPU seconds of this process that the work took, and its result."""
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def peak(url: str, folder: str) -> None:
    """Pull once and print the peak resident memory in MiB; runs in a process of its own."""
    pulled(url, Path(folder) / "peak.db")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def started(records: int) -> tuple[multiprocessing.Process, str]:
    """Start the server and return it with its address."""
    ready: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=server, args=(records, ready), daemon=True)
    process.start()
    return process, f"http://127.0.0.1:{ready.get()}"


def memory(records: int) -> float:
    """Return the peak memory in MiB of a pull of so many records, measured in a fresh process."""
    import subprocess

    process, url = started(records)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, "--peak", url, folder], check=True, capture_output=True, text=True
        )
    process.terminate()
    return float(done.stdout)


def main(records: int) -> None:
    """Measure and print."""
    process, url = started(records)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        pulled(url, place / "warm.db")
        figures = {
            "fetch": cpu(lambda: sum(1 for _ in fetched(url)))[0],
            "+ decode": cpu(lambda: sum(1 for _ in decoded(url)))[0],
            "+ insert (floor)": cpu(lambda: inserted(url, place / "plain.db"))[0],
        }
        figures["cssync"], requests = cpu(lambda: pulled(url, place / "cssync.db"))
        figures["cssync again"], _ = cpu(lambda: pulled(url, place / "cssync.db", full=True))
    process.terminate()
    floor = figures["+ insert (floor)"]
    for name, seconds in figures.items():
        print(f"{name:18} {seconds:7.2f} s CPU   {seconds / floor:5.2f} x floor")
    print(f"requests per 1,000 records: {1000 * requests / records:.2f} (vendor's minimum {1000 / PAGE:.0f})")
    small, large = memory(records // 10), memory(records)
    print(f"peak memory: {small:.0f} MiB at {records // 10}, {large:.0f} MiB at {records}: {large / small:.2f} x")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        peak(sys.argv[2], sys.argv[3])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 50_000)
