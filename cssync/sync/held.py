"""What the store holds of a stream's records, for connectors that compare it with the vendor's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cssync.config import Connection
from cssync.connectors import Held, Stream
from cssync.model import ENTITY
from cssync.store import Store
from cssync.store.schema import quote
from cssync.sync.sweep import OWN_ROWS, rows_of_usage

BEHIND = "/\U0010ffff"
"""Behind an id, what is behind all rows `<id>/<metric>` of it."""


def holding(
    store: Store, connection: Connection, stream: Stream
) -> Callable[[Sequence[str], str, int], Sequence[Held]]:
    """Return `PullRequest.held` of a stream.

    A column that cssync.yaml feeds from another field than the declared one says nothing about what the connector
    would find: then nothing is held. Nor is usage of several objects, whose rows do not say which they came from, and
    usage without a day of its own, which stays with the account it was counted for.
    """
    mapped = {target.partition(".")[2] for target in connection.mapped.get(stream.name, {}).values()}
    usage = stream.entity == "usage_metric"
    alone = sum(other.entity == stream.entity for other in connection.streams) == 1
    wide = usage and any(ENTITY["usage_metric"].column(name) is None for name in mapped)
    key, own = rows_of_usage(wide=wide) if usage else ("r.source_id", OWN_ROWS)

    def held(columns: Sequence[str], after: str, most: int) -> Sequence[Held]:
        if mapped.intersection(columns) or (usage and not alone):
            return ()
        rows = store.query(
            f"""SELECT {key}, {", ".join(map(quote, columns))} FROM {quote(stream.entity)} r
                WHERE connection = ? AND source_id > ? AND deleted_at IS NULL AND {own} ORDER BY source_id LIMIT ?""",
            (connection.name, f"{after}{BEHIND}" if wide and after else after, most),
        )
        return list(dict.fromkeys(tuple(row) for row in rows))

    return held
