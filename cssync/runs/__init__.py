"""A run: one lease, one record, the stages in order."""

from cssync.runs.lease import Lease, hold_lease
from cssync.runs.record import new_run_id, recorded
from cssync.runs.run import RunReport, run
from cssync.runs.sessions import open_sessions

__all__ = ["Lease", "RunReport", "hold_lease", "new_run_id", "open_sessions", "recorded", "run"]
