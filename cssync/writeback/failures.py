"""Writes that did not go through, what a person does about them, and what was written for an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cssync.errors import ConfigError
from cssync.http.clock import SYSTEM, Clock
from cssync.store import Fence, Store
from cssync.writeback.outbox import Entry, entries, move
from cssync.writeback.send import stamp

FAILING = ("failed-retry", "failed-permanent", "unknown", "waiting")


def failing(store: Store, keys: Sequence[str] = ()) -> list[Entry]:
    """Return what failed and was not overtaken by a later write to the same place, oldest first.

    `keys` picks by key or by the start of one. Raises ConfigError for a key that picks nothing.
    """
    rows = store.query(
        f"""SELECT o.* FROM outbox o WHERE o.state IN ({",".join("?" * len(FAILING))}) AND NOT EXISTS (
            SELECT 1 FROM outbox n WHERE n.connection = o.connection AND n.source_id = o.source_id
            AND n.stream = o.stream AND n.field = o.field AND n.state <> 'refused'
            AND (n.run_id, n.plan_id, n.seq) > (o.run_id, o.plan_id, o.seq))
            ORDER BY o.run_id, o.plan_id, o.seq""",
        FAILING,
    )
    found = list(entries(rows))
    for key in keys:
        if not any(entry.key.startswith(key) for entry in found):
            raise ConfigError(f"no failed write has a key {key}", fix="`cssync failures` lists them")
    return [entry for entry in found if not keys or any(entry.key.startswith(key) for key in keys)]


def retry(store: Store, keys: Sequence[str], *, fence: Fence | None = None, clock: Clock = SYSTEM) -> list[Entry]:
    """Let the next plan propose failed writes again, with all their attempts; returns them.

    What waits or is not known yet is taken up by itself and stays as it is.
    """
    found = [entry for entry in failing(store, keys) if entry.state.startswith("failed")]
    with store.transaction(fence) as conn:
        for entry in found:
            move(conn, entry, "failed-retry", stamp(clock), error=entry.error, correlation_id=entry.correlation_id)
            conn.execute("UPDATE outbox SET attempts = 0 WHERE key = ?", (entry.key,))
    return found


def lift(store: Store, connection: str, fields: Sequence[str], *, fence: Fence | None = None) -> int:
    """Let writes to fields that were only just created be tried again: their target changed. Returns how many."""
    keys = [e.key for e in failing(store) if e.connection == connection and e.field in fields]
    return len(retry(store, keys, fence=fence)) if keys else 0


def forget(store: Store, connection: str, fields: Sequence[str], *, fence: Fence | None = None) -> None:
    """Forget what was written to fields that were only just created: their emptiness is no person's edit."""
    with store.transaction(fence) as conn:
        conn.executemany("DELETE FROM written WHERE connection = ? AND field = ?", [(connection, f) for f in fields])


def drop(
    store: Store, keys: Sequence[str], reason: str, *, fence: Fence | None = None, clock: Clock = SYSTEM
) -> list[Entry]:
    """Give failed writes up, for as long as the value stays the same; the reason takes the error's place."""
    found = failing(store, keys)
    with store.transaction(fence) as conn:
        for entry in found:
            move(conn, entry, "dropped", stamp(clock), error=reason, correlation_id=entry.correlation_id)
    return found


def written_for(store: Store, account_uid: str) -> list[Entry]:
    """Return every write for an account that left the outbox, oldest first."""
    return list(
        entries(
            store.query(
                "SELECT * FROM outbox WHERE account_uid = ? "
                "ORDER BY coalesce(settled_at, sent_at), run_id, plan_id, seq",
                (account_uid,),
            )
        )
    )


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Something that plans did not write for an account, and why: a person's value that was kept, a value the vendor
    refused before. `first_at` and `last_at` are the plans' instants (UTC), `plans` how many said so."""

    kind: str
    connection: str
    field: str
    message: str
    first_at: str
    last_at: str
    plans: int


def left_alone(store: Store, account_uid: str) -> list[LeftAlone]:
    """Return what plans left alone for an account, oldest first; the same reason on many days is one entry."""
    rows = store.query(
        "SELECT n.value ->> 'kind' AS kind, n.value ->> 'connection' AS connection, n.value ->> 'field' AS field, "
        "n.value ->> 'message' AS message, min(p.created_at) AS first_at, max(p.created_at) AS last_at, "
        "count(*) AS plans FROM plan p, json_each(p.totals, '$.notes') n WHERE n.value ->> 'account_uid' = ? "
        "GROUP BY 1, 2, 3, 4 ORDER BY first_at, connection, field, message",
        (account_uid,),
    )
    return [LeftAlone(**dict(row)) for row in rows]


def record_links(store: Store, found: Sequence[Entry]) -> dict[tuple[str, str], str]:
    """Return (connection, source_id) -> the record's address in the vendor's user interface, where it is known."""
    links: dict[tuple[str, str], str] = {}
    for place in {(entry.connection, entry.source_id) for entry in found}:
        rows = store.query("SELECT source_url FROM account_source WHERE connection = ? AND source_id = ?", place)
        if rows and (rows[0]["source_url"] or "").startswith("https://"):
            links[place] = rows[0]["source_url"]
    return links


def account_names(store: Store) -> dict[str, str]:
    """Account uid -> name."""
    return {row["uid"]: row["name"] or row["uid"] for row in store.query("SELECT uid, name FROM account")}
