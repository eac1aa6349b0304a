"""What commands that write to the store share: the lease and a run record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cssync.cli.context import Call
from cssync.cli.when import now
from cssync.config import Workspace
from cssync.runs.lease import Lease, hold_lease
from cssync.runs.record import Record, new_run_id, recorded
from cssync.store import Store

__all__ = ["Work", "now", "working"]


@dataclass(frozen=True, slots=True)
class Work:
    """A command at work: it holds the lease and its run is on record."""

    workspace: Workspace
    store: Store
    lease: Lease
    record: Record

    @property
    def run_id(self) -> str:
        """Id of this run, as in table `run`."""
        return self.record.run_id


@contextmanager
def working(call: Call, command: str, *, secrets: bool = False) -> Iterator[Work]:
    """Load the workspace, open its store, take the lease and keep a run record for the block.

    Raises:
        ConfigError: the configuration is wrong, or the store is another workspace's.
        LeaseHeld: another run is at work.
    """
    workspace = call.workspace(secrets=secrets)
    run_id = new_run_id(now())
    with (
        call.store(workspace, create=True) as store,
        hold_lease(store, owner=run_id) as lease,
        recorded(store, run_id, command, fence=lease) as record,
    ):
        yield Work(workspace, store, lease, record)
