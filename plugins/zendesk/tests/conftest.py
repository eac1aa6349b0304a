"""What every Zendesk test starts from: a session on a mocked API, or one on the sandbox over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import respx

from cssync.connectors import Session
from cssync.http import open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.make_world import make
from cssync.sandbox.server import SandboxServer, serve
from cssync.sandbox.world import World
from cssync_zendesk import ZENDESK
from cssync_zendesk.sandbox import ZendeskSandbox

BASE = "https://acme.zendesk.com"
OAUTH = {"client_id": "cssync", "client_secret": "canary-secret-1"}
API_TOKEN = {"email": "ops@acme.example", "token": "canary-token-1"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=BASE, assert_all_called=True) as router:
        yield router


@pytest.fixture
def session(clock: ManualClock) -> Iterator[Callable[..., Session]]:
    """Open a session by API token, so that no login has to be mocked, or by OAuth; keywords are settings."""
    with ExitStack() as stack:

        def opened(*, oauth: bool = False, **given: Any) -> Session:
            credential = OAUTH if oauth else API_TOKEN
            chosen = ZENDESK.config.model_validate({"connector": "zendesk", "subdomain": "acme", **credential, **given})
            zone = ZoneInfo("Asia/Tokyo")
            return stack.enter_context(open_session(ZENDESK, chosen, connection="desk", timezone=zone, clock=clock))

        yield opened


@pytest.fixture(scope="session")
def world() -> World:
    return make(40)


@pytest.fixture
def app(world: World) -> ZendeskSandbox:
    return ZendeskSandbox(world)


@pytest.fixture
def server(app: ZendeskSandbox) -> Iterator[SandboxServer]:
    with serve(app) as running:
        yield running


@pytest.fixture
def live(server: SandboxServer, clock: ManualClock) -> Iterator[Callable[..., Session]]:
    """Open a session on the sandbox, by OAuth; waits pass at once."""
    with ExitStack() as stack:

        def opened(**given: Any) -> Session:
            chosen = ZENDESK.config.model_validate(
                {
                    "connector": "zendesk",
                    "base_url": server.url,
                    "allow_hosts": ["127.0.0.1"],
                    **ZENDESK.sandbox_settings,
                    **given,
                }
            )
            zone = ZoneInfo("Asia/Tokyo")
            return stack.enter_context(open_session(ZENDESK, chosen, connection="desk", timezone=zone, clock=clock))

        yield opened
