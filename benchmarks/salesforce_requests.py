"""What does a pull from Salesforce cost of the org's day? Run: `uv run benchmarks/salesforce_requests.py [RECORDS]`.

The sandbox org holds so many contacts (50,000, or the number given). Measured, each into a store of its own:

    query      page by page: the vendor's minimum is one request for 2,000 records, 0.5 for 1,000
    bulk       one page, then a job: one request for each result page, and a handful to start it and ask how it is
    still      the same again, nothing changed
    1 %        the same again after every hundredth record changed

Prints requests, requests per 1,000 records, and of them those that carry records beside the vendor's minimum.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cssync.config import Connection, Workspace
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.server import SandboxServer, serve
from cssync.sandbox.world import World
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync_salesforce.connector import CLIENT, SALESFORCE
from cssync_salesforce.sandbox.org import SalesforceSandbox

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ROWS = r"GET .*(/queryAll|/query/[^/]+|/results)$"
POLL = r"GET .*/jobs/query/\w+$"


def filled(records: int) -> SalesforceSandbox:
    """Return an org with so many contacts, changed over the last year."""
    org = SalesforceSandbox(World(NOW, ()), **CLIENT)
    org.daily = 5_000_000
    for number in range(records):
        at = NOW - timedelta(days=365) + number * timedelta(days=364) / records
        org.clock = lambda at=at: at  # type: ignore[misc]
        org.insert(
            "Contact", Name=f"Contact {number}", Email=f"c{number}@company-{number % 5000}.example", Title="Buyer"
        )
    org.clock = lambda: NOW
    return org


def pulled(server: SandboxServer, path: Path, bulk_from: int) -> tuple[StreamReport, int, int]:
    """Pull the contacts; return the report, the requests that carried records and those that asked for the job."""
    settings = SALESFORCE.config.model_validate(
        {"connector": "salesforce", "base_url": server.url, "allow_hosts": ["127.0.0.1"], "bulk_from": bulk_from}
        | dict(SALESFORCE.sandbox_settings)
    )
    stream = SALESFORCE.stream("contacts")
    assert stream is not None
    zone = ZoneInfo("UTC")
    workspace = Workspace("bench", path, zone, "USD", path, {"crm": Connection("crm", SALESFORCE, settings, (stream,))})
    server.journal.clear()
    with (
        Store.open(path) as store,
        open_session(
            SALESFORCE, settings, connection="crm", timezone=zone, limiter=UNLIMITED, clock=ManualClock()
        ) as session,
    ):
        (report,) = sync(store, workspace, {"crm": session}, run_id="bench")
    assert report.error is None, report.error
    polls = len(server.requests(POLL))
    return report, len(server.requests(ROWS)) - polls, polls


def main(records: int) -> None:
    """Measure and print."""
    org = filled(records)
    org.jobs.looks = 8
    print(f"{'':8} {'records':>9} {'requests':>9} {'per 1,000':>10} {'with rows':>10} {'minimum':>8} {'job polls':>10}")
    with serve(org) as server, tempfile.TemporaryDirectory() as folder:
        server.clock = lambda: org.clock().timestamp()

        def row(name: str, path: str, bulk_from: int, minimum: int) -> None:
            report, rows, polls = pulled(server, Path(folder) / path, bulk_from)
            per = f"{1000 * report.requests / report.read:.3f}" if report.read else "-"
            print(f"{name:8} {report.read:9,} {report.requests:9,} {per:>10} {rows:10,} {minimum:8,} {polls:10,}")

        row("query", "query.db", 0, -(-records // 2000))
        row("bulk", "bulk.db", 20_000, 1 + -(-(records - 2000) // 50_000))
        org.clock = lambda: NOW + timedelta(hours=1)
        row("still", "bulk.db", 20_000, 1)
        for key in list(org.tables["Contact"])[::100]:
            org.edit("Contact", key, Title="Head of Buying")
        org.clock = lambda: NOW + timedelta(hours=2)
        row("1 %", "bulk.db", 20_000, max(1, -(-records // 200_000)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 50_000)
