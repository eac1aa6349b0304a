"""Zendesk Support as a cssync connector: organizations, users and tickets in, organization fields out."""

from __future__ import annotations

from collections.abc import Iterable

from cssync.connectors import Connector
from cssync.hookspecs import hookimpl
from cssync.sandbox.server import SandboxApp
from cssync.sandbox.world import World
from cssync_zendesk.check import check, describe, identity
from cssync_zendesk.client import vendor
from cssync_zendesk.provision import provision
from cssync_zendesk.settings import ZendeskSettings
from cssync_zendesk.streams import STREAMS
from cssync_zendesk.task_tickets import find_tickets
from cssync_zendesk.writeback import drain, push, read

SANDBOX = {
    "subdomain": "sandbox",
    "client_id": "cssync-sandbox",
    "client_secret": "sandbox-zendesk-secret",
    "high_volume": "true",
}
"""Settings that log in to the sandbox; they open nothing but a server on localhost."""


def _sandbox(world: World) -> SandboxApp:
    from cssync_zendesk.sandbox import ZendeskSandbox

    return ZendeskSandbox(world, client=(SANDBOX["client_id"], SANDBOX["client_secret"]))


ZENDESK = Connector(
    name="zendesk",
    title="Zendesk Support",
    config=ZendeskSettings,
    streams=STREAMS,
    hosts=r"[a-z0-9-]+\.zendesk\.com",
    vendor=vendor,
    identity=identity,
    check=check,
    describe=describe,
    provision=provision,
    read=read,
    push=push,
    drain=drain,
    revoke="in Zendesk, Admin Center > Apps and integrations > APIs: delete the API token or OAuth client that cssync "
    "used",
    find_tasks=find_tickets,
    tasks=True,
    tasks_setting="task_tickets",
    sandbox=_sandbox,
    sandbox_settings=SANDBOX,
)


@hookimpl
def cssync_connectors() -> Iterable[Connector]:
    """Offer the Zendesk connector."""
    return (ZENDESK,)
