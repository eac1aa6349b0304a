"""Which streams a connection pulls: the usual ones, and those its settings switch on."""

from __future__ import annotations

from cssync.connectors import Stream
from cssync_salesforce.line_items import LINE_ITEMS
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.streams import STREAMS


def streams_of(settings: SalesforceSettings) -> tuple[Stream, ...]:
    """Return the declared streams of a connection. Products of opportunities would count revenue twice where contracts
    or assets hold it: they are read on request."""
    return (*STREAMS, LINE_ITEMS) if settings.line_items else STREAMS
