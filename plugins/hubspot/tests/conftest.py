"""What every HubSpot test starts from: a session on a mocked API, or a sandbox over real HTTP with a clock by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import respx

from cssync.connectors import Page, PullRequest, Session
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.make_world import make
from cssync.sandbox.server import Fault, SandboxServer, serve
from cssync.sandbox.world import World
from cssync_hubspot import HUBSPOT
from cssync_hubspot.sandbox import SandboxHubSpot
from cssync_hubspot.streams import custom_stream

BASE = "https://api.hubapi.com"
TOKEN = "pat-canary-1"
TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=BASE, assert_all_called=True) as router:
        yield router


@pytest.fixture
def session(clock: ManualClock) -> Iterator[Callable[..., Session]]:
    """Open a session on the mocked API; keywords are settings."""
    with ExitStack() as stack:

        def opened(**given: Any) -> Session:
            settings = HUBSPOT.config.model_validate({"connector": "hubspot", "token": TOKEN, **given})
            return stack.enter_context(open_session(HUBSPOT, settings, connection="crm", timezone=TOKYO, clock=clock))

        yield opened


@pytest.fixture(scope="session")
def world() -> World:
    return make(40)


@dataclass
class Rig:
    """A sandbox being served, a session on it, and the clock that both go by."""

    app: SandboxHubSpot
    server: SandboxServer
    session: Session
    clock: ManualClock
    faults: list[Fault] = field(default_factory=list)
    opened: Callable[[], Session] | None = None

    def next_run(self) -> None:
        """Open another session, as the next run does."""
        assert self.opened is not None
        self.session = self.opened()

    def pages(
        self, stream: str, cursor: Any = None, *extra: str, mapped: dict[str, str] | None = None
    ) -> Iterator[Page]:
        """Read a stream's pages one by one."""
        declared = HUBSPOT.stream(stream) or custom_stream(stream, mapped or {})
        fields = (*declared.fields_of, *extra, *(mapped or {}))
        return declared.pages(self.session, PullRequest(cursor, fields, declared.lag))

    def pull(self, stream: str, cursor: Any = None, *extra: str, mapped: dict[str, str] | None = None) -> Pull:
        """Read a stream to its end."""
        before = self.session.requests
        found = Pull()
        for page in self.pages(stream, cursor, *extra, mapped=mapped):
            found.add(page)
        found.requests = self.session.requests - before
        return found

    def fill(self, kind: str, count: int, **properties: Any) -> list[str]:
        """Add records, all at one instant."""
        return [self.app.portal.add(kind, properties).id for _ in range(count)]


@dataclass
class Pull:
    """What a run over a stream brought."""

    records: dict[str, Any] = field(default_factory=dict)
    read: int = 0
    gone: dict[str, str | None] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)
    cursor: Any = None
    requests: int = 0

    def add(self, page: Page) -> None:
        """Take in one page."""
        self.read += len(page.records)
        self.records |= {r["id"]: r for r in page.records}
        self.gone |= {t.source_id: t.merged_into for t in page.deleted}
        self.incomplete |= set(page.incomplete)
        self.cursor = page.cursor or self.cursor


@pytest.fixture
def rig(world: World, clock: ManualClock) -> Iterator[Rig]:
    """A sandbox of 40 companies; the clock stands an hour after the world's now."""
    clock.now = world.now.timestamp() + 3600
    app = SandboxHubSpot(world)
    app.clock = clock.time
    faults: list[Fault] = []
    with serve(app, faults) as server:
        server.clock = clock.time
        settings = HUBSPOT.config.model_validate(
            {
                "connector": "hubspot",
                "base_url": server.url,
                "allow_hosts": ["127.0.0.1"],
                "patience": 60,
                **HUBSPOT.sandbox_settings,
            }
        )
        with ExitStack() as stack:

            def opened() -> Session:
                return stack.enter_context(
                    open_session(HUBSPOT, settings, connection="crm", timezone=TOKYO, limiter=UNLIMITED, clock=clock)
                )

            yield Rig(app, server, opened(), clock, faults, opened)
