"""Disconnect: how a person takes cssync out of a vendor again, and what this store then forgets.

Nothing is deleted at the vendor, ever: fields may hold what people built reports on, and tasks are people's work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cssync.config.workspace import Connection, Workspace
from cssync.http.clock import SYSTEM, Clock
from cssync.model import TABLE
from cssync.store import Fence, Store
from cssync.store.journal import keep_deleted
from cssync.writeback.outbox import move, pending
from cssync.writeback.plan import ALIVE
from cssync.writeback.send import stamp

FORGOTTEN = ("source_state", "binding", "token")
"""Tables of which the connection's rows go: checkpoints, which organisation it was, and its sealed token."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the removal. `where`: vendor, cssync.yaml, or store."""

    where: str
    text: str


def steps(store: Store, workspace: Workspace, connection: Connection) -> Iterator[Step]:
    """Yield what a person does to remove a connection, in order; the last step is what `wipe` does."""
    name, title = connection.name, connection.connector.title
    back = workspace.writeback.get(name)
    tasks = store.query(
        "SELECT count(DISTINCT w.field) AS n FROM written w LEFT JOIN crm_task t ON t.connection = w.connection "
        "AND t.source_id = w.remote_id WHERE w.connection = ? AND w.remote_id IS NOT NULL "
        "AND coalesce(t.status, 'open') = 'open' AND t.deleted_at IS NULL",
        (name,),
    )[0]["n"]
    if tasks:
        yield Step(
            "vendor", f"{tasks:,} open tasks of cssync stay in {title}: close them, or leave them to their owners"
        )
    written = [row["field"] for row in store.query(
        "SELECT DISTINCT field FROM written WHERE connection = ? AND remote_id IS NULL ORDER BY field", (name,)
    )]  # fmt: skip
    fields = sorted({*written, *(back.fields if back else ())})
    if fields:
        stream = back.to if back else "its records"
        yield Step(
            "vendor",
            f"delete these fields of {stream} in {title} if nobody reports on them (their values go with them): "
            + ", ".join(fields),
        )
    where = connection.connector.revoke or f"take back the credentials that cssync used in {title}"
    yield Step("vendor", f"revoke: {where}")
    sections = [f"connections.{name}", *(f"fields.{name}.{stream}" for stream in sorted(connection.mapped))]
    sections += [f"writeback.{name}"] if back else []
    sections += [f"masters.{key}" for key, winner in workspace.masters.items() if winner == name]
    yield Step("cssync.yaml", f"take out {', '.join(sections)}, and delete the secrets they name")
    forget = f"forget where {name} stood: `cssync disconnect {name} --yes`"
    yield Step("store", f"{forget}; what was pulled and written stays on record")


def wipe(store: Store, connection: str, *, fence: Fence | None = None, clock: Clock = SYSTEM) -> dict[str, int]:
    """Forget the connection's checkpoints, binding, field lengths and rate limits, in one transaction.

    Writes to it that are still open are refused, and a plan that waits is superseded. Records, history and the audit
    trail stay. Returns how many rows went, by table.
    """
    now = stamp(clock)
    gone: dict[str, int] = {}
    open_ = [entry for entry in pending(store) if entry.connection == connection]
    with store.transaction(fence) as conn:
        for entry in open_:
            move(conn, entry, "refused", now, error="the connection was removed")
        keep_deleted(conn, TABLE["source_state"], "t.connection = ?", (connection,), now)
        for table in FORGOTTEN:
            gone[table] = conn.execute(f"DELETE FROM {table} WHERE connection = ?", (connection,)).rowcount
        gone["rate_limit"] = conn.execute(
            "DELETE FROM rate_limit WHERE bucket >= ? || '/' AND bucket < ? || '0'", (connection, connection)
        ).rowcount
        conn.execute(
            "DELETE FROM setting WHERE name >= 'lengths:' || ? || '.' AND name < 'lengths:' || ? || '/'",
            (connection, connection),
        )
        conn.execute(f"UPDATE plan SET status = 'superseded' WHERE status IN ({','.join('?' * len(ALIVE))})", ALIVE)
    return {**gone, "open writes": len(open_)}
