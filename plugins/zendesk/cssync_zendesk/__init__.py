"""Zendesk Support as a cssync connector: organizations, users and tickets in, organization fields out."""

from __future__ import annotations

from collections.abc import Iterable

from cssync.connectors import Connector
from cssync.hookspecs import hookimpl
from cssync_zendesk.check import check, describe, identity
from cssync_zendesk.client import vendor
from cssync_zendesk.provision import provision
from cssync_zendesk.sandbox import SETTINGS, ZendeskSandbox
from cssync_zendesk.settings import ZendeskSettings
from cssync_zendesk.streams import STREAMS
from cssync_zendesk.writeback import push, read

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
    sandbox=ZendeskSandbox,
    sandbox_settings=SETTINGS,
)


@hookimpl
def cssync_connectors() -> Iterable[Connector]:
    """Offer the Zendesk connector."""
    return (ZENDESK,)
