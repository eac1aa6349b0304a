"""Which streams a connection pulls: the usual ones, and those its settings switch on."""

from __future__ import annotations

from cssync.connectors import Stream
from cssync_hubspot.line_items import LINE_ITEMS
from cssync_hubspot.settings import HubSpotSettings
from cssync_hubspot.streams import STREAMS
from cssync_hubspot.surveys import SURVEYS


def streams_of(settings: HubSpotSettings) -> tuple[Stream, ...]:
    """Return the declared streams of a connection. Line items would count revenue twice where another system holds the
    contracts, and surveys need a plan that has them: both are read on request."""
    asked = ((LINE_ITEMS, settings.line_items), (SURVEYS, settings.surveys))
    return (*STREAMS, *(stream for stream, wanted in asked if wanted))
