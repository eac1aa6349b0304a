"""HubSpot, API version 2026-09: companies, contacts, deals, tickets, owners, tasks, custom objects; write-back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cssync.connectors import Connector
from cssync.hookspecs import hookimpl
from cssync.sandbox.server import SandboxApp
from cssync.sandbox.world import World
from cssync_hubspot.chosen import streams_of
from cssync_hubspot.client import vendor
from cssync_hubspot.settings import HubSpotSettings
from cssync_hubspot.setup import check, describe, identity, provision
from cssync_hubspot.streams import STREAMS, custom_stream
from cssync_hubspot.writeback import find_tasks, push, read

SANDBOX_TOKEN = "sandbox-hubspot-token"  # noqa: S105 - opens nothing but a server on localhost


def _sandbox(world: World) -> SandboxApp:
    from cssync_hubspot.sandbox import SandboxHubSpot

    return SandboxHubSpot(world, token=SANDBOX_TOKEN)


def _configured(settings: Any, mapped: Mapping[str, Mapping[str, str]]) -> Connector:
    """The connector with the streams that this connection has switched on."""
    return replace(HUBSPOT, streams=streams_of(settings))


HUBSPOT = Connector(
    name="hubspot",
    title="HubSpot",
    config=HubSpotSettings,
    streams=STREAMS,
    hosts=r"api\.hubapi\.com",
    vendor=vendor,
    identity=identity,
    check=check,
    describe=describe,
    custom_stream=custom_stream,
    configured=_configured,
    provision=provision,
    read=read,
    push=push,
    find_tasks=find_tasks,
    tasks=True,
    opportunities=True,
    revoke="in HubSpot, Development > Keys: delete the service key (or the private app) that cssync used",
    sandbox=_sandbox,
    sandbox_settings={"token": SANDBOX_TOKEN, "calls_per_10_seconds": "250"},
)


@hookimpl
def cssync_connectors() -> Iterable[Connector]:
    """Offer the connector `hubspot`."""
    return (HUBSPOT,)
