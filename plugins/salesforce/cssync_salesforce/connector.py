"""The Salesforce connector, declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cssync.connectors import Connector
from cssync.sandbox.server import SandboxApp
from cssync.sandbox.world import World
from cssync_salesforce.check import check, describe, identity
from cssync_salesforce.chosen import streams_of
from cssync_salesforce.client import vendor
from cssync_salesforce.opportunities import OPPORTUNITY_KEY
from cssync_salesforce.provision import provision
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.streams import STREAMS, custom_stream
from cssync_salesforce.tasks import TASK_KEY
from cssync_salesforce.writeback import drain_jobs, find_tasks, push, read, records_at_once

HOSTS = (
    r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.(?:sandbox|develop|scratch|trailblaze|patch|demo|free))?\.my\.salesforce\.com"
)
"""My Domain hosts: production, sandboxes (`acme--uat.sandbox`), developer editions, scratch and trial orgs."""
CLIENT = {"client_id": "sandbox-salesforce-id", "client_secret": "sandbox-salesforce-secret"}
SANDBOX = {"instance_url": "https://cssync-demo.my.salesforce.com", **CLIENT}


def sandbox(world: World) -> SandboxApp:
    """Return an org in memory that holds what Salesforce would know of the world."""
    from cssync_salesforce.sandbox.org import SalesforceSandbox

    return SalesforceSandbox(world, **CLIENT)


def _configured(settings: Any, mapped: Mapping[str, Mapping[str, str]]) -> Connector:
    """The connector with the streams that this connection has switched on."""
    return replace(SALESFORCE, streams=streams_of(settings))


SALESFORCE = Connector(
    name="salesforce",
    title="Salesforce",
    config=SalesforceSettings,
    streams=STREAMS,
    hosts=HOSTS,
    vendor=vendor,
    identity=identity,
    check=check,
    describe=describe,
    describes_each_pull=True,
    custom_stream=custom_stream,
    configured=_configured,
    provision=provision,
    read=read,
    push=push,
    round=records_at_once,
    drain=drain_jobs,
    find_tasks=find_tasks,
    tasks=True,
    task_fields=(TASK_KEY,),
    opportunities=True,
    opportunity_fields=(OPPORTUNITY_KEY,),
    revoke="in Salesforce, Setup > External Client App Manager: delete cssync's app, then deactivate its execution "
    "user",
    sandbox=sandbox,
    sandbox_settings=SANDBOX,
)
