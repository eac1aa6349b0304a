"""What does a pull cost beyond fetching, decoding and inserting? Run: `uv run benchmarks/pull.py [RECORDS] [CASE]`.

For each case of `pull_pages.py` a server in a process of its own hands out the same pages each time. Measured in this
process, in turn, the least of TURNS:

    fetch          httpx GET of every page, body discarded
    + decode       msgspec (csv for a bulk job); orjson takes as long, 10 % more or less
    + insert       the same values into a plain sqlite3 table, one upsert a page and transaction, WAL: the floor
    cssync         the connector through session, normaliser and store: history, checkpoint, quarantine and all; the
                   store is there, but empty: it is made once, in 40 ms
    cssync again   the same once more over a filled store: nothing changed, every record is looked for and compared

CPU is user and system time of this process with all its threads (a pull reads and writes side by side, the floor one
after the other: that costs a pull 5 % CPU and saves it the wait). The floor is a script as one would write it: every
record whole, one wide row of it with the vendor's values as they came, the id as the only key, Python's own settings.
It has no second row for what cssync keeps in two tables (the times of a ticket, the dates of contact of a company), no
index but the key's, and no address of the record where that can be told from the id. Two things are to our favour
because they are part of the work: the decoder is told which keys of a Zendesk ticket are wanted, and the collector of
cycles leaves pages alone. SQLite waits for the disk at each commit of the floor, as it does by itself; that of a page
of ours does not, since a page that a power cut takes is read again.

Prints CPU seconds, the ratio to the floor, and requests per 1,000 records beside the vendor's minimum; with `--memory`
instead the peak memory of child processes at so many records and at a tenth of it. Aims: at most 1.5 x the floor, and
memory that does not grow (at most 1.15 x).
"""

from __future__ import annotations

import argparse
import http.server
import multiprocessing
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import httpx
from pull_pages import CASES, Answers, Case, Pages

from cssync.config import Connection, Workspace
from cssync.http import UNLIMITED, open_session
from cssync.plugins import plugins
from cssync.store import Store
from cssync.sync import sync

TURNS = 5


def server(case: Case, records: int, ready: Any) -> None:
    """Serve the pages of a case; runs in a process of its own."""
    answers: Answers = dict(case.beside)
    for pages in case.streams:
        answers.update(pages.answers(int(records * pages.share)))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            pass

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            split = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            place = query.get("after") or query.get("cursor") or query.get("locator") or ""
            place = "archived" if query.get("archived") == "true" else place
            body, headers = answers.get((split.path, place)) or answers["", ""]
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - named by the base class

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        ready.put(running.server_address[1])
        running.serve_forever()


@contextmanager
def serving(case: Case, records: int) -> Iterator[str]:
    """Run the server for the duration of the block and give its address."""
    ready: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=server, args=(case, records, ready), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ready.get()}"
    finally:
        process.terminate()


def fetched(url: str, pages: Pages, records: int) -> Iterator[bytes]:
    """Yield the body of every page of a stream."""
    with httpx.Client() as client:
        for path in pages.urls(int(records * pages.share)):
            yield client.get(url + path).content


def decoded(url: str, pages: Pages, records: int) -> Iterator[list[Any]]:
    """Yield the records of every page of a stream."""
    for body in fetched(url, pages, records):
        yield list(pages.records(body))


def inserted(url: str, case: Case, records: int, path: Path) -> None:
    """Put every page into a plain table."""
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = FULL")
    for pages in case.streams:
        conn.execute(f"CREATE TABLE {pages.stream} (id TEXT PRIMARY KEY, {', '.join(c for c in pages.columns)})")
        upsert = (
            f"INSERT INTO {pages.stream} VALUES ({', '.join('?' * (len(pages.columns) + 1))}) ON CONFLICT (id) "
            f"DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in pages.columns)}"
        )
        for found in decoded(url, pages, records):
            conn.execute("BEGIN IMMEDIATE")
            conn.executemany(upsert, map(pages.row, found))
            conn.execute("COMMIT")
    conn.close()


def pulled(url: str, case: Case, path: Path, *, full: bool = False) -> int:
    """Pull through cssync; return the requests used."""
    connector = plugins().connector(case.connector)
    settings = connector.config.model_validate(
        {**case.settings, "connector": case.connector, "base_url": url, "allow_hosts": ["127.0.0.1"]}
    )
    streams = tuple(s for s in connector.streams if s.name in {pages.stream for pages in case.streams})
    zone = ZoneInfo("UTC")
    connection = Connection("crm", connector, settings, streams)
    workspace = Workspace("bench", path, zone, "USD", path, {"crm": connection})
    with (
        Store.open(path) as store,
        open_session(connector, settings, connection="crm", timezone=zone, limiter=UNLIMITED) as session,
    ):
        reports = sync(store, workspace, {"crm": session}, run_id="bench", full=full)
    for report in reports:
        assert report.outcome == "ok", (report.outcome, report.error)
    return sum(report.requests for report in reports)


def cpu(work: Callable[[Path], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of this process that the work took in a folder of its own, with an empty store in it, and
    its result."""
    with tempfile.TemporaryDirectory() as folder:
        Store.open(Path(folder) / "cssync.db").close()
        before = time.process_time()
        result = work(Path(folder))
        return time.process_time() - before, result


def measured(case: Case, url: str, records: int) -> tuple[dict[str, float], int]:
    """Return the least CPU seconds of each way to do it, and the requests of a first pull."""
    figures: dict[str, float] = {}
    requests = 0
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "again.db"
        pulled(url, case, store)
        ways: dict[str, Callable[[Path], Any]] = {
            "fetch": lambda _: [sum(1 for _ in fetched(url, pages, records)) for pages in case.streams],
            "+ decode": lambda _: [sum(1 for _ in decoded(url, pages, records)) for pages in case.streams],
            "+ insert (floor)": lambda place: inserted(url, case, records, place / "plain.db"),
            "cssync": lambda place: pulled(url, case, place / "cssync.db"),
            "cssync again": lambda _: pulled(url, case, store, full=True),
        }
        for _ in range(TURNS):
            for name, work in ways.items():
                seconds, found = cpu(work)
                figures[name] = min(seconds, figures.get(name, seconds))
                requests = found if name == "cssync" else requests
    return figures, requests


def memory(case: Case, records: int) -> float:
    """Return the peak memory in MiB of a pull of so many records, measured in a fresh process."""
    with serving(case, records) as url, tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, "--peak", url, folder, case.name], check=True, capture_output=True, text=True
        )
    return float(done.stdout)


def main() -> None:
    """Measure and print what was asked for."""
    asked = argparse.ArgumentParser(description="What a pull costs beyond fetching, decoding and inserting")
    asked.add_argument("records", type=int, nargs="?", default=50_000)
    asked.add_argument("case", nargs="?", default="", help="cases whose name holds this")
    asked.add_argument("--memory", action="store_true")
    given = asked.parse_args()
    for case in (c for c in CASES if given.case in c.name):
        if given.memory:
            small, large = memory(case, given.records // 10), memory(case, given.records)
            print(f"{case.name}: peak memory {small:.0f} MiB at {given.records // 10:,}, {large:.0f} MiB at "
                  f"{given.records:,}: {large / small:.2f} x", flush=True)  # fmt: skip
            continue
        with serving(case, given.records) as url:
            figures, requests = measured(case, url, given.records)
        floor = figures["+ insert (floor)"]
        per = 1000 * requests / given.records
        print(f"{case.name}: {per:.2f} requests per 1,000 records (vendor's minimum {case.minimum:g})")
        for name, seconds in figures.items():
            print(f"  {name:18} {seconds:7.2f} s CPU   {seconds / floor:5.2f} x floor", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        address, place, named = sys.argv[2:]
        pulled(address, next(c for c in CASES if c.name == named), Path(place) / "peak.db")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main()
