"""The contract, as a test: one call tells a connector's author everything that is not yet right, and what to do.

    from cssync.connectors.testing import assert_connector_keeps_contract

    def test_contract() -> None:
        assert_connector_keeps_contract(TALLY)

The declarations are read first (`declared`); a connector with a sandbox is then exercised against it over HTTP
(`exercise`): every stream read to its end and again from its cursor, a write proved by reading it back, tasks found
again, refusals and garbage told as errors. No test sleeps: waits are counted on a clock of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from cssync.connectors.contract import Connector
from cssync.connectors.declared import declaration_faults
from cssync.connectors.exercise import sandbox_faults
from cssync.sandbox.make_world import make
from cssync.sandbox.world import World

__all__ = ["assert_connector_keeps_contract", "declaration_faults", "sandbox_faults"]


def assert_connector_keeps_contract(
    connector: Connector,
    *,
    own_field: str = "cssync_contract",
    exempt: Mapping[str, str] | None = None,
    world: World | None = None,
) -> None:
    """Check a connector and fail with the list of everything that is wrong.

    own_field: name of a number field that the suite may create and write in the sandbox, in the vendor's spelling.
    exempt: place of a fault (the part before its first colon) -> why it is all right here; one that excuses nothing
    is a fault itself. world: what the sandbox starts from; 20 companies by default.

    Raises:
        AssertionError: lists each fault with its place and its remedy.
    """
    found = list(declaration_faults(connector))
    if connector.sandbox and not found:
        found = list(sandbox_faults(connector, own_field, world or make(20, now=datetime.now(UTC))))
    excused = exempt or {}
    left = [fault for fault in found if fault.partition(":")[0] not in excused]
    used = {fault.partition(":")[0] for fault in found}
    left += [
        f"{place}: exempt ({why}) but nothing is wrong; drop it" for place, why in excused.items() if place not in used
    ]
    if left:
        lines = "".join(f"\n  - {fault}" for fault in left)
        raise AssertionError(f"connector {connector.name!r} does not keep the contract in {len(left)} places:{lines}")
