"""The lease: who may write to a workspace, so that a dead run never blocks and a stalled one never interferes.

The row lives in the store and carries a fencing number that grows with every take-over. Each writing transaction and
each outgoing batch compares it (`Lease.check`): a run that was stopped for longer than its lease finds the number
changed and is refused, whatever it believes of itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cssync.errors import LeaseHeld, LeaseLost
from cssync.http.clock import SYSTEM, Clock
from cssync.runs.crash import close_dead
from cssync.store import Store
from cssync.store.owner import gone, me

NAME = "workspace"
SECONDS = 60.0
"""How long a lease lasts without a sign of life: the longest a crash on another machine can delay the next run."""
HEARTBEAT = 15.0
"""Seconds between two signs of life; three may be lost before the lease is."""


@dataclass(slots=True)
class Lease:
    """A held lease: the fence of every transaction of this run."""

    store: Store
    owner: str
    fence: int
    clock: Clock
    seconds: float
    lost: threading.Event = field(default_factory=threading.Event)

    def check(self, conn: sqlite3.Connection) -> None:
        """Raise LeaseLost when another run holds the lease now; call it inside a transaction."""
        row = conn.execute("SELECT owner, fence FROM lease WHERE name = ?", (NAME,)).fetchone()
        if row is None or (row["owner"], row["fence"]) != (self.owner, self.fence):
            self.lost.set()
            raise LeaseLost(
                "this run was stalled for longer than its lease, and another run took over",
                kept="everything up to the take-over is stored; nothing was written after it",
                fix="nothing to do: the run that took over does the work",
            )

    def beat(self) -> None:
        """Give a sign of life. Raises LeaseLost as `check` does."""
        with self.store.transaction(self) as conn:
            now = self.clock.time()
            conn.execute(
                "UPDATE lease SET heartbeat_at = ?, expires_at = ? WHERE name = ?",
                (instant(now), instant(now + self.seconds), NAME),
            )


@contextlib.contextmanager
def hold_lease(
    store: Store,
    *,
    owner: str,
    clock: Clock = SYSTEM,
    seconds: float = SECONDS,
    heartbeat: float = HEARTBEAT,
) -> Iterator[Lease]:
    """Hold the workspace's lease for the block. `owner` says what for, normally the run id.

    A free or expired lease is taken at once, and so is one whose process on this machine is dead; a run left open by
    it is closed as `crashed` at its last sign of life. A thread renews the lease every `heartbeat` seconds.

    Raises:
        LeaseHeld: another run is alive; says which, and since when.
    """
    seen = store.query("SELECT * FROM lease WHERE name = ?", (NAME,))
    if seen and _alive(seen[0], instant(clock.time())):
        raise _held(store.reader(), seen[0])  # said at once, without waiting for a transaction of that run
    lease = _take(store, me(owner), clock, seconds)
    done = threading.Event()
    thread = threading.Thread(target=_beat, args=(lease, done, heartbeat), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        done.set()
        thread.join()
        _release(lease)


def holder(store: Store, clock: Clock = SYSTEM) -> str | None:
    """Say who holds the lease now; None when nobody does. For `status`: a look, no promise."""
    rows = store.query("SELECT * FROM lease WHERE name = ?", (NAME,))
    return rows[0]["owner"] if rows and _alive(rows[0], instant(clock.time())) else None


def instant(seconds: float) -> str:
    """Epoch seconds -> UTC instant with a fixed number of digits, so that text order is time order."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _take(store: Store, owner: str, clock: Clock, seconds: float) -> Lease:
    with store.transaction() as conn:
        now = instant(clock.time())
        row = conn.execute("SELECT * FROM lease WHERE name = ?", (NAME,)).fetchone()
        if row is not None and _alive(row, now):
            raise _held(conn, row)
        if row is not None:
            close_dead(conn, row["heartbeat_at"])
        fence = 1 if row is None else row["fence"] + 1
        conn.execute(
            "INSERT OR REPLACE INTO lease (name, owner, fence, heartbeat_at, expires_at) VALUES (?, ?, ?, ?, ?)",
            (NAME, owner, fence, now, instant(clock.time() + seconds)),
        )
    return Lease(store, owner, fence, clock, seconds)


def _held(conn: sqlite3.Connection, row: sqlite3.Row) -> LeaseHeld:
    """Say who holds the lease, and since when."""
    run = conn.execute("SELECT id, command, started_at FROM run WHERE ended_at IS NULL ORDER BY id DESC").fetchone()
    since = f" since {run['started_at']} (cssync {run['command']})" if run and run["id"] in row["owner"] else ""
    return LeaseHeld(
        f"another run is at work: {row['owner']}{since}, last sign of life {row['heartbeat_at']}",
        kept="nothing was read or written",
        fix=f"wait for it; if its machine died, the lease ends by itself at {row['expires_at']}",
    )


def _alive(row: sqlite3.Row, now: str) -> bool:
    """Whether somebody holds this row. A process of this machine that is gone needs no waiting for."""
    if not row["owner"] or row["expires_at"] <= now:
        return False
    return not gone(row["owner"])


def _beat(lease: Lease, done: threading.Event, heartbeat: float) -> None:
    while not done.wait(heartbeat):
        try:
            lease.beat()
        except LeaseLost:
            return  # the next check in the working thread says so
        except sqlite3.OperationalError:
            continue  # the store was busy; the next beat is in time


def _release(lease: Lease) -> None:
    with contextlib.suppress(LeaseLost), lease.store.transaction(lease) as conn:
        now = instant(lease.clock.time())
        conn.execute("UPDATE lease SET owner = '', heartbeat_at = ?, expires_at = ? WHERE name = ?", (now, now, NAME))
