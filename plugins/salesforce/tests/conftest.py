"""What every Salesforce test starts from: a mocked org, or one in memory over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import respx

from cssync.connectors import Page, PullRequest, Session, Stream
from cssync.http import open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.make_world import make
from cssync.sandbox.server import SandboxServer, serve
from cssync_salesforce.connector import CLIENT, SALESFORCE
from cssync_salesforce.sandbox.org import SalesforceSandbox

HOST = "https://acme.my.salesforce.com"
DATA = f"{HOST}/services/data/v66.0"
LAG = timedelta(minutes=10)


class OrgTime:
    """The clock of the org: begins at the time of the made-up world, moved on by the tests alone."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        """Move on."""
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    """A mocked org whose token endpoint works."""
    with respx.mock(assert_all_called=False) as router:
        router.post(f"{HOST}/services/oauth2/token").respond(
            json={"access_token": "00D!token-1", "instance_url": HOST, "token_type": "Bearer"}
        )
        yield router


@pytest.fixture
def mocked(clock: ManualClock) -> Iterator[Session]:
    """A session on the mocked org."""
    settings = SALESFORCE.config.model_validate(
        {"connector": "salesforce", "instance_url": HOST, "client_id": "canary-id", "client_secret": "canary-secret"}
    )
    with open_session(
        SALESFORCE, settings, connection="sales", timezone=ZoneInfo("Asia/Tokyo"), clock=clock
    ) as session:
        yield session


@pytest.fixture
def time() -> OrgTime:
    return OrgTime(datetime(2026, 11, 20, 12, tzinfo=UTC))


@pytest.fixture
def org(time: OrgTime) -> SalesforceSandbox:
    """An org of 20 companies that lives in its own time."""
    app = SalesforceSandbox(make(20, now=time.now), **CLIENT)
    app.clock = time
    return app


@pytest.fixture
def server(org: SalesforceSandbox, time: OrgTime) -> Iterator[SandboxServer]:
    with serve(org) as running:
        running.clock = lambda: time.now.timestamp()
        yield running


@pytest.fixture
def open_live(server: SandboxServer, clock: ManualClock) -> Iterator[Callable[..., Session]]:
    """Open a session on the org in memory; waits pass at once."""
    with ExitStack() as stack:

        def opened(**given: Any) -> Session:
            settings = SALESFORCE.config.model_validate(
                {
                    "connector": "salesforce",
                    "base_url": server.url,
                    "allow_hosts": ["127.0.0.1"],
                    **SALESFORCE.sandbox_settings,
                    **given,
                }
            )
            zone = ZoneInfo("Asia/Tokyo")
            return stack.enter_context(
                open_session(SALESFORCE, settings, connection="sales", timezone=zone, clock=clock)
            )

        yield opened


@pytest.fixture
def live(open_live: Callable[..., Session]) -> Session:
    return open_live()


class Replica:
    """A store in miniature: the live records of one stream, kept by its pages alone."""

    def __init__(self, stream: Stream, *, extra: tuple[str, ...] = ()) -> None:
        self.stream = stream
        self.fields = (*stream.fields_of, *extra)
        self.records: dict[str, Any] = {}
        self.merged: dict[str, str | None] = {}
        self.cursor: Any = None

    def pull(self, session: Session, *, until: int | None = None) -> list[Page]:
        """Pull to the end, or give up after so many pages as a killed process would."""
        pages: list[Page] = []
        for page in self.stream.pages(session, PullRequest(self.cursor, self.fields, self.stream.lag)):
            pages.append(page)
            self.records.update((r["id"], dict(r)) for r in page.records)
            for gone in page.deleted:
                self.records.pop(gone.source_id, None)
                self.merged[gone.source_id] = gone.merged_into
            if page.cursor is not None:
                self.cursor = page.cursor
            if until is not None and len(pages) == until:
                break
        return pages


def stream(name: str) -> Stream:
    """Return a declared stream."""
    found = SALESFORCE.stream(name)
    assert found is not None
    return found


@pytest.fixture
def replica() -> Callable[..., Replica]:
    """Make a Replica of a stream, declared or given."""

    def made(of: str | Stream, **how: Any) -> Replica:
        return Replica(stream(of) if isinstance(of, str) else of, **how)

    return made
