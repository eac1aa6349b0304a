"""The rate limit that all threads and processes of a workspace share: one row per connection and bucket."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from cssync.connectors.session import Bucket
from cssync.errors import TransientFault
from cssync.http.clock import SYSTEM, Clock
from cssync.http.limit import LOW, Level, block, noted, take

BUSY = 30.0
"""Seconds to wait for the store's write lock; a page's transaction takes a few milliseconds."""
_READ = "SELECT tat, blocked_until, taken FROM rate_limit WHERE bucket = ?"
TOLD_EVERY = 1.0
"""Seconds between two notes of what is left, while plenty is: it is for people to see, not for the pace."""
_LEFT = """
INSERT INTO rate_limit (bucket, remaining, updated_at) VALUES (?, ?, ?)
ON CONFLICT (bucket) DO UPDATE SET remaining = excluded.remaining, updated_at = excluded.updated_at
"""
_WRITE = """
INSERT INTO rate_limit (bucket, tat, blocked_until, taken, updated_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (bucket) DO UPDATE
   SET tat = excluded.tat, blocked_until = excluded.blocked_until, taken = excluded.taken,
       updated_at = excluded.updated_at
"""


class StoreLimiter:
    """A `cssync.http.Limiter` over the table `rate_limit` of an existing store; use it as a context manager.

    It has a connection of its own, so that a slot can be taken while the writer of a page has a transaction open for
    a moment, and does not wait for the disk (`synchronous=NORMAL`): a slot lost in a power cut costs one call too
    many, and the vendor's 429 corrects it. Times are epoch seconds, the only clock that processes share.
    """

    def __init__(self, path: Path, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = NORMAL")

    def __enter__(self) -> StoreLimiter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the state stays in the store."""
        self._db.close()

    def usable(self) -> bool:
        """Whether the file holds the table of limits."""
        try:
            self._level("")
        except sqlite3.Error:
            return False
        return True

    def acquire(self, connection: str, bucket: Bucket) -> float:
        """Reserve the next free slot over all processes and return the seconds until it."""
        key = f"{connection}/{bucket.name}"
        if bucket.calls <= 0:
            return self.held(connection, bucket.name)
        with self._transaction() as now:
            level, wait = take(self._level(key), bucket, now)
            self._save(key, level, now)
        return wait

    def hold(self, connection: str, bucket_name: str, seconds: float) -> None:
        """Stop everybody, in whatever process, from calling on this bucket for so long."""
        key = f"{connection}/{bucket_name}"
        with self._transaction() as now:
            self._save(key, block(self._level(key), seconds, now), now)

    def held(self, connection: str, bucket_name: str) -> float:
        """Return the seconds that a hold still lasts, 0.0 without one."""
        with self._lock:
            level = self._level(f"{connection}/{bucket_name}")
        return max(0.0, level.blocked_until - self._clock.time())

    def told(self, connection: str, bucket: Bucket, remaining: int, seconds: float | None) -> None:
        """Keep what the vendor says is left, and spread it over the time until there is more."""
        key = f"{connection}/{bucket.name}"
        matters = bucket.windowed or remaining < LOW * bucket.calls
        if not matters and self._clock.time() < self._told.get(key, 0.0) + TOLD_EVERY:
            return
        with self._transaction() as now:
            self._told[key] = now
            if matters and (level := self._level(key)) != (held := noted(level, bucket, remaining, seconds, now)):
                self._save(key, held, now)
            self._db.execute(_LEFT, (key, remaining, _stamp(now))).close()

    def _level(self, key: str) -> Level:
        with closing(self._db.execute(_READ, (key,))) as cursor:
            row = cursor.fetchone()
        return Level(row[0] or 0.0, row[1] or 0.0, row[2] or 0) if row else Level()

    def _save(self, key: str, level: Level, now: float) -> None:
        self._db.execute(_WRITE, (key, level.tat, level.blocked_until, level.taken, _stamp(now))).close()

    @contextmanager
    def _transaction(self) -> Iterator[float]:
        """BEGIN IMMEDIATE, so that reading and writing are one step; yields the time read inside it.

        Raises:
            TransientFault: another process kept the store locked for longer than BUSY seconds.
        """
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE").close()
            except sqlite3.OperationalError as error:
                raise TransientFault(
                    f"the store stayed locked for {BUSY:.0f} s: no request could be counted ({error})",
                    kept="nothing was sent",
                    fix="look for a program that keeps the store open for writing, and run again",
                ) from error
            try:
                yield self._clock.time()
            except BaseException:
                self._db.execute("ROLLBACK").close()
                raise
            self._db.execute("COMMIT").close()


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
