"""The tokens of connections, shared by the processes of a workspace: a sealed row each, and who fetches the next."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from cssync.errors import TransientFault
from cssync.http.clock import SYSTEM, Clock
from cssync.store.owner import gone, me

BUSY = 30.0
"""Seconds to wait for the store's write lock."""
CLAIM = 120.0
"""Seconds that a process may take to log in, repetitions included; after that it is taken for dead. One of this machine
that is gone is not waited for."""


class TokenVaults:
    """Hands out the vault of each connection; use it as a context manager. It has a connection of its own to the store
    and waits for the disk: a refresh token that a power cut loses is lost for good."""

    def __init__(self, path: Path, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = FULL")
        self._owner = me(secrets.token_hex(8))

    def __enter__(self) -> TokenVaults:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def of(self, connection: str) -> StoreVault:
        """Return the vault of one connection."""
        return StoreVault(self, connection)

    @contextmanager
    def transaction(self) -> Iterator[tuple[sqlite3.Connection, float]]:
        """BEGIN IMMEDIATE; yields the connection and the time (epoch seconds) read inside it.

        Raises:
            TransientFault: another process kept the store locked for longer than BUSY seconds.
        """
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise TransientFault(
                    f"the store stayed locked for {BUSY:.0f} s: no token could be kept ({error})",
                    kept="nothing was sent",
                    fix="look for a program that keeps the store open for writing, and run again",
                ) from error
            try:
                yield self._db, self._clock.time()
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @property
    def owner(self) -> str:
        """Who we are in a claim."""
        return self._owner


class StoreVault:
    """See `cssync.http.token.Vault`."""

    def __init__(self, vaults: TokenVaults, connection: str) -> None:
        self._vaults = vaults
        self._connection = connection

    def read(self) -> str | None:
        """See `Vault.read`."""
        with self._vaults.transaction() as (db, _):
            row = db.execute("SELECT sealed FROM token WHERE connection = ?", (self._connection,)).fetchone()
        return row[0] if row else None

    def claim(self) -> bool:
        """See `Vault.claim`."""
        with self._vaults.transaction() as (db, now):
            held = db.execute("SELECT claimed_by FROM token WHERE connection = ?", (self._connection,)).fetchone()
            if held and held[0] and gone(held[0]):
                db.execute("UPDATE token SET claimed_until = NULL WHERE connection = ?", (self._connection,))
            return bool(
                db.execute(
                    """INSERT INTO token (connection, claimed_by, claimed_until) VALUES (?1, ?2, ?3)
                       ON CONFLICT (connection) DO UPDATE SET claimed_by = ?2, claimed_until = ?3
                       WHERE claimed_until IS NULL OR claimed_until <= ?4 OR claimed_until > ?4 + ?5""",
                    (self._connection, self._vaults.owner, now + CLAIM, now, 2 * CLAIM),
                ).rowcount
            )

    def write(self, sealed: str) -> None:
        """See `Vault.write`."""
        with self._vaults.transaction() as (db, now):
            stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            db.execute(
                """INSERT INTO token (connection, sealed, updated_at) VALUES (?1, ?2, ?3) ON CONFLICT (connection)
                   DO UPDATE SET sealed = ?2, updated_at = ?3, claimed_by = NULL, claimed_until = NULL""",
                (self._connection, sealed, stamp),
            )

    def release(self) -> None:
        """See `Vault.release`."""
        with self._vaults.transaction() as (db, _):
            db.execute(
                "UPDATE token SET claimed_by = NULL, claimed_until = NULL WHERE connection = ? AND claimed_by = ?",
                (self._connection, self._vaults.owner),
            )
