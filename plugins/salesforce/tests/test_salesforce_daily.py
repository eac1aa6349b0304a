"""The org's daily calls: a pull leaves others their share, ends cleanly, and the next one goes on where it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Connection, Workspace
from cssync.connectors import Session
from cssync.errors import TransientFault
from cssync.http import open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.server import Fault, SandboxServer
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.sandbox.org import SalesforceSandbox

Opened = Callable[..., AbstractContextManager[Session]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "s.db") as store:
        yield store


@pytest.fixture
def opened(server: SandboxServer, clock: ManualClock) -> Opened:
    def made(share: str = "1", **given: Any) -> AbstractContextManager[Session]:
        settings = SALESFORCE.config.model_validate(
            {"connector": "salesforce", "base_url": server.url, "allow_hosts": ["127.0.0.1"]}
            | {**SALESFORCE.sandbox_settings, **given}
        )
        zone = ZoneInfo("UTC")
        return open_session(SALESFORCE, settings, connection="sales", timezone=zone, clock=clock, share=Decimal(share))

    return made


def pull(store: Store, session: Session, run_id: str, *names: str) -> dict[str, StreamReport]:
    streams = tuple(s for s in SALESFORCE.streams if s.name in names)
    connection = Connection("sales", SALESFORCE, session.settings, streams)
    place = Path(store.path)
    workspace = Workspace("w", place.parent, ZoneInfo("UTC"), "USD", place, {"sales": connection})
    return {r.stream: r for r in sync(store, workspace, {"sales": session}, run_id=run_id)}


def contacts(store: Store) -> set[str]:
    return {r[0] for r in store.query("SELECT source_id FROM contact WHERE deleted_at IS NULL")}


@pytest.mark.parametrize("bulk_from", [0, 1], ids=["query", "bulk"])
def test_a_pull_leaves_the_others_their_share_of_the_day(
    org: SalesforceSandbox, server: SandboxServer, store: Store, opened: Opened, bulk_from: int
) -> None:
    org.batch = org.jobs.largest = 5
    org.used = org.daily // 2 - (6 if bulk_from else 3)
    with opened("0.5", bulk_from=bulk_from) as session:
        report = pull(store, session, "r1", "contacts")["contacts"]
    assert report.outcome == "partial"
    assert isinstance(report.error, TransientFault)
    assert "50% of them are for people and other tools" in report.error.message
    assert "of the day's 15,000 calls" in report.error.message
    assert "nothing was skipped" in report.error.kept
    assert org.used <= org.daily // 2 + 1
    stored = contacts(store)
    assert 0 < len(stored) < len(org.tables["Contact"])
    org.used = 0  # the next day
    with opened("0.5", bulk_from=bulk_from) as session:
        report = pull(store, session, "r2", "contacts")["contacts"]
    assert (report.outcome, report.new) == ("ok", len(org.tables["Contact"]) - len(stored))
    assert contacts(store) == set(org.tables["Contact"])
    assert len(server.requests("POST .*/jobs/query")) == bulk_from


def test_the_limit_itself_ends_every_stream_with_what_it_has(
    org: SalesforceSandbox, store: Store, server: SandboxServer, opened: Opened
) -> None:
    org.batch = 5
    server.faults.append(Fault(r"GET .*\d/query/", nth=4, act=lambda: setattr(org, "daily", 1)))
    with opened() as session:
        reports = pull(store, session, "r1", "contacts", "accounts", "opportunities")
    failed = [r for r in reports.values() if r.error]
    assert failed
    for report in failed:
        assert isinstance(report.error, TransientFault)
        assert "daily API requests are used up" in report.error.message
    assert any("rolling 24 hours" in r.error.fix for r in failed if r.error)
    refusals = [e for e in server.journal if e.status == 403]
    assert len(refusals) <= 4  # at most those that were on their way; nobody knocks again
    org.daily = 15_000
    server.faults.clear()
    with opened() as session:
        reports = pull(store, session, "r2", "contacts", "accounts", "opportunities")
    assert {r.outcome for r in reports.values()} == {"ok"}
    assert contacts(store) == set(org.tables["Contact"])
    objects = ("Contact", "Account", "Opportunity")
    assert sum(r.read for r in reports.values()) < sum(len(org.tables[name]) for name in objects)
