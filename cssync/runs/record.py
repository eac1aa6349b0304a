"""The record of a run: one row in table `run`, opened before the first stage and closed after the last."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cssync.errors import ApprovalNeeded, CssyncError, LeaseLost
from cssync.http.clock import SYSTEM, Clock
from cssync.runs.lease import instant
from cssync.store import Fence, Store

OUTCOMES = {0: "ok", 3: "partial", 4: "needs-approval"}
"""Exit code -> outcome of a run; every other code is `failed`."""


def new_run_id(now: datetime) -> str:
    """Return a run id that sorts by time, to the microsecond: `r-20261121T203005.120774Z-9f3a`."""
    return f"r-{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(2)}"


@dataclass(slots=True)
class Record:
    """What a run says of itself when it ends: `exit_code`, and `summary`, counts per stage."""

    run_id: str
    exit_code: int = 0
    summary: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def recorded(
    store: Store, run_id: str, command: str, *, fence: Fence | None = None, clock: Clock = SYSTEM
) -> Iterator[Record]:
    """Keep the run's row for the block: opened now, closed with the Record's exit code or the exception's.

    A run that loses its lease leaves its row to the run that took over, which closed it as `crashed`.
    """
    with store.transaction(fence) as conn:
        conn.execute(
            "INSERT INTO run (id, command, started_at) VALUES (?, ?, ?)", (run_id, command, instant(clock.time()))
        )
    record = Record(run_id)
    try:
        yield record
    except LeaseLost:
        raise
    except ApprovalNeeded as error:
        _end(store, record, error.exit_code, fence, clock)
        raise
    except CssyncError as error:
        record.summary.setdefault("error", error.message)
        _end(store, record, error.exit_code, fence, clock)
        raise
    except BaseException as error:
        record.summary.setdefault("error", type(error).__name__)
        _end(store, record, 1, fence, clock)
        raise
    _end(store, record, record.exit_code, fence, clock)


def _end(store: Store, record: Record, exit_code: int, fence: Fence | None, clock: Clock) -> None:
    summary = json.dumps({"version": 1, **record.summary}, ensure_ascii=False, sort_keys=True)
    with store.transaction(fence) as conn:
        conn.execute(
            "UPDATE run SET ended_at = ?, outcome = ?, exit_code = ?, summary = ? WHERE id = ?",
            (instant(clock.time()), OUTCOMES.get(exit_code, "failed"), exit_code, summary, record.run_id),
        )
