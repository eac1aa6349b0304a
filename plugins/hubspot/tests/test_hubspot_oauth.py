"""An OAuth app: its access token lasts half an hour, its refresh token stays, and it may send 110 requests in 10 s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.connectors import Session
from cssync.errors import ConnectionFault
from cssync.http import open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer, serve
from cssync.sandbox.world import World
from cssync_hubspot import HUBSPOT
from cssync_hubspot.client import vendor
from cssync_hubspot.sandbox.app import APP, SandboxHubSpot
from cssync_hubspot.settings import HubSpotSettings
from cssync_hubspot.setup import identity

GIVEN = {"client_id": APP[0], "client_secret": APP[1], "refresh_token": APP[2]}


@contextmanager
def opened(server: SandboxServer, clock: ManualClock, **given: str) -> Iterator[Session]:
    chosen = HUBSPOT.config.model_validate(
        {"connector": "hubspot", "base_url": server.url, "allow_hosts": ["127.0.0.1"], **GIVEN, **given}
    )
    with open_session(HUBSPOT, chosen, connection="crm", timezone=ZoneInfo("UTC"), clock=clock) as session:
        yield session


@pytest.fixture
def app(world: World, clock: ManualClock) -> SandboxHubSpot:
    made = SandboxHubSpot(world)
    made.clock = clock.time
    return made


@pytest.fixture
def server(app: SandboxHubSpot) -> Iterator[SandboxServer]:
    with serve(app) as running:
        yield running


def test_one_token_serves_every_request_until_shortly_before_its_end(server: SandboxServer, clock: ManualClock) -> None:
    with opened(server, clock) as session:
        for _ in range(3):
            assert identity(session).org_id == "4242"
        clock.sleep(1_800 - 61)
        identity(session)
        assert len(server.requests("POST /oauth/2026-09/token")) == 1
        clock.sleep(2)
        identity(session)
    assert len(server.requests("POST /oauth/2026-09/token")) == 2
    assert not [e for e in server.requests("GET ") if e.status == 401]


def test_a_renewal_whose_answer_never_came_is_asked_for_again(server: SandboxServer, clock: ManualClock) -> None:
    """HubSpot's refresh token stays, so that a login whose answer is lost on the way, or in a crash, is repeated."""
    server.faults.append(Fault("POST /oauth/2026-09/token", after=True, drop=True))
    with opened(server, clock) as session:
        assert identity(session).org_id == "4242"
    with opened(server, clock) as session:  # as after a crash: nothing of the first is known
        assert identity(session).org_id == "4242"
    assert len(server.requests("POST /oauth/2026-09/token")) == 3


def test_a_refused_access_token_is_renewed_once(app: SandboxHubSpot, clock: ManualClock) -> None:
    refused = SandboxAnswer(401, {"category": "EXPIRED_AUTHENTICATION", "message": "expired"})
    with serve(app, [Fault("account-info", answer=refused)]) as server, opened(server, clock) as session:
        assert identity(session).org_id == "4242"
        assert len(server.requests("oauth")) == 2


def test_a_withdrawn_grant_says_what_to_do_and_is_asked_for_once(server: SandboxServer, clock: ManualClock) -> None:
    with opened(server, clock, refresh_token="canary-refresh") as session:
        for _ in range(2):
            with pytest.raises(ConnectionFault, match="invalid refresh token") as refused:
                identity(session)
        assert "install the app" in (refused.value.fix or "")
        assert "canary" not in str(refused.value) + str(refused.value.fix)
    assert len(server.requests("oauth")) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no credential"),
        ({"client_id": "a", "client_secret": "b"}, "missing: refresh_token"),
        ({"token": "t", **GIVEN}, "not both"),
        ({"token": "two words"}, "holds a space"),
    ],
)
def test_credentials_are_one_or_the_other(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HubSpotSettings.model_validate({"connector": "hubspot", **given})


def test_an_app_keeps_to_its_own_burst_limit() -> None:
    chosen = HubSpotSettings.model_validate({"connector": "hubspot", **GIVEN, "calls_per_10_seconds": 190})
    assert [(b.calls, b.seconds) for b in vendor(chosen).buckets if b.name == "general"] == [(110, 10.0)]
