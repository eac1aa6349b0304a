from cssync.connectors.testing import assert_connector_keeps_contract
from cssync.plugins import plugins
from cssync_example import TALLY


def test_the_example_keeps_the_contract() -> None:
    assert_connector_keeps_contract(TALLY)


def test_it_is_found_through_its_entry_point() -> None:
    assert plugins().connectors["tally"] is TALLY
