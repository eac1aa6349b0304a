"""The connector contract's own suite."""

from __future__ import annotations

from cssync.connectors.testing import assert_connector_keeps_contract
from cssync_zendesk import ZENDESK


def test_zendesk_keeps_the_connector_contract() -> None:
    assert_connector_keeps_contract(ZENDESK)
