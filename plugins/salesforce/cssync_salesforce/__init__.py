"""Salesforce for cssync: accounts, contacts, opportunities, contracts, cases and any custom object, and back."""

from __future__ import annotations

from collections.abc import Iterable

from cssync.connectors import Connector
from cssync.hookspecs import hookimpl


@hookimpl
def cssync_connectors() -> Iterable[Connector]:
    """Offer the connector `salesforce`."""
    from cssync_salesforce.connector import SALESFORCE

    return (SALESFORCE,)
