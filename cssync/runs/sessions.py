"""Sessions of a run: one per connection, each bound to the organisation the store knows.

A connection that cannot be opened is its error, in its session's place: the others go on. Another organisation behind
the same credentials is different: then nothing at all is read or written.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cssync.config.workspace import Connection, Workspace
from cssync.connectors.contract import Identity
from cssync.connectors.session import Session
from cssync.connectors.settings import ConnectionSettings
from cssync.errors import ConfigError, ConnectionFault, CssyncError
from cssync.http import open_session
from cssync.http.clock import SYSTEM, Clock
from cssync.runs.lease import instant
from cssync.store import Fence, Store
from cssync.store.limiter import StoreLimiter
from cssync.store.tokens import TokenVaults


class WrongOrg(ConfigError):  # noqa: N818 - named after what happened, as in cssync.errors
    """The credentials lead to another organisation than the one this store holds."""


@contextlib.contextmanager
def looking(
    workspace: Workspace, connection: Connection, settings: ConnectionSettings | None = None
) -> Iterator[Session]:
    """Open a session for a command that only looks (`check`, `fields`), without the lease.

    It counts against the budget that all processes share, and uses the token they share, where there is a store. A
    grant whose refresh token changes with each use has nowhere else to keep the next one: for it the store is made.
    settings: instead of the connection's own.

    Raises:
        CssyncError: the connection cannot be opened, or the store belongs to another workspace.
    """
    chosen = settings or connection.settings
    if connection.connector.vendor(chosen).renew is not None:
        Store.open(workspace.store, workspace=workspace.name).close()
    with contextlib.ExitStack() as stack:
        usable = _usable(workspace.store)
        limiter = stack.enter_context(StoreLimiter(workspace.store)) if usable else None
        vaults = stack.enter_context(TokenVaults(workspace.store, SYSTEM)) if usable else None
        yield stack.enter_context(
            open_session(
                connection.connector, chosen, connection=connection.name, timezone=workspace.timezone, limiter=limiter,
                share=workspace.limits.share, vault=vaults.of(connection.name) if vaults else None,
            )
        )  # fmt: skip


def _usable(path: Path) -> bool:
    """Whether there is a store that this version of cssync can share; another one's users are not ours to count."""
    try:
        if not path.exists():
            return False
        with StoreLimiter(path) as limiter:
            return limiter.usable()
    except sqlite3.Error:
        return False


@contextlib.contextmanager
def open_sessions(
    workspace: Workspace,
    store: Store,
    *,
    only: str | None = None,
    fence: Fence | None = None,
    clock: Clock = SYSTEM,
    bind: bool = True,
) -> Iterator[dict[str, Session | CssyncError]]:
    """Open a session for every connection (or for `only`), and close them after the block.

    Each is asked who it is: the first answer is remembered in table `binding`, a later one must be the same.
    `bind=False` leaves that out (for `check`, which reports it).

    Raises:
        WrongOrg: before anything was read.
    """
    sessions: dict[str, Session | CssyncError] = {}
    with contextlib.ExitStack() as stack:
        limiter = stack.enter_context(StoreLimiter(store.path, clock))
        vaults = stack.enter_context(TokenVaults(store.path, clock))
        for connection in workspace.connections.values():
            if only is not None and connection.name != only:
                continue
            try:
                session = stack.enter_context(
                    open_session(
                        connection.connector, connection.settings, connection=connection.name,
                        timezone=workspace.timezone, limiter=limiter, clock=clock, share=workspace.limits.share,
                        vault=vaults.of(connection.name),
                    )
                )  # fmt: skip
                if bind:
                    check_binding(store, connection, identify(connection, session), fence=fence, clock=clock)
            except WrongOrg:
                raise
            except CssyncError as error:
                sessions[connection.name] = error
            else:
                sessions[connection.name] = session
        yield sessions


def identify(connection: Connection, session: Session) -> Identity:
    """Ask the vendor whose data this is; a connector's own bug becomes a ConnectionFault."""
    try:
        return connection.connector.identity(session)
    except CssyncError:
        raise
    except Exception as bug:
        raise ConnectionFault(
            f"{connection.name}: the connector failed with {type(bug).__name__} while asking who it is connected to",
            kept="nothing was read from this connection",
            fix="report it to the connector's author; `cssync -v` shows where",
        ) from bug


def check_binding(
    store: Store, connection: Connection, identity: Identity, *, fence: Fence | None = None, clock: Clock = SYSTEM
) -> None:
    """Remember the organisation behind a connection, or compare it with the one remembered.

    Raises:
        WrongOrg: another organisation, or its sandbox instead of production (or the reverse).
    """
    rows = store.query("SELECT org_id, org_name, org_kind FROM binding WHERE connection = ?", (connection.name,))
    if not rows:
        with store.transaction(fence) as conn:
            conn.execute(
                "INSERT OR IGNORE INTO binding (connection, org_id, org_name, org_kind, currency, bound_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    connection.name,
                    identity.org_id,
                    identity.name,
                    identity.kind,
                    identity.currency,
                    instant(clock.time()),
                ),
            )
        return
    bound = rows[0]
    if (bound["org_id"], bound["org_kind"]) != (identity.org_id, identity.kind):
        raise WrongOrg(
            f"connection {connection.name} leads to {identity.name} ({identity.kind}, {identity.org_id}), "
            f"but this store holds data of {bound['org_name']} ({bound['org_kind']}, {bound['org_id']})",
            kept="nothing was read or written",
            fix="correct the credentials, or give the other organisation a workspace with a store of its own",
        )
