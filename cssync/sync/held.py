"""What the store holds of a stream's records, for connectors that compare it with the vendor's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cssync.config import Connection
from cssync.connectors import Held, Stream
from cssync.store import Store
from cssync.store.schema import quote
from cssync.sync.sweep import OWN_ROWS


def holding(
    store: Store, connection: Connection, stream: Stream
) -> Callable[[Sequence[str], str, int], Sequence[Held]]:
    """Return `PullRequest.held` of a stream.

    A column that cssync.yaml feeds from another field than the declared one says nothing about what the connector
    would find: then nothing is held.
    """
    mapped = {target.partition(".")[2] for target in connection.mapped.get(stream.name, {}).values()}

    def held(columns: Sequence[str], after: str, most: int) -> Sequence[Held]:
        if mapped.intersection(columns):
            return ()
        rows = store.query(
            f"""SELECT source_id, {", ".join(map(quote, columns))} FROM {quote(stream.entity)} r
                WHERE connection = ? AND source_id > ? AND deleted_at IS NULL AND {OWN_ROWS}
                ORDER BY source_id LIMIT ?""",
            (connection.name, after, most),
        )
        return [tuple(row) for row in rows]

    return held
