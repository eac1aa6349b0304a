"""Associations that changed alone: HubSpot does not count that as a change of the record.

So the stored links of a stream's records are compared with HubSpot's from time to time, up to a thousand records to a
request, and those that differ are read again. A full load reads all associations and counts as such a comparison.

The cursor carries `linked`, the time of the last one, and inside of one `linking`, the last id compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from cssync.connectors import Feed, Held, Session
from cssync_hubspot.links import COLUMN, MOST, associated, first

HoldsOf = Callable[[Sequence[str], str, int], Sequence[Held]]


def columns(feed: Feed, links: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that hold the links of a record."""
    sources = {source: column for column, source in feed.fields.items() if isinstance(source, str)}
    return tuple(sources[COLUMN[to]] for to in links)


def due(session: Session, linked: str | None) -> bool:
    """Whether associations are to be compared in this run: the last comparison that came to its end is long ago."""
    days = session.settings.associations_every_days
    if not days:
        return False
    return not linked or datetime.fromisoformat(linked) + timedelta(days=days) <= session.now()


def differing(session: Session, kind: str, links: Sequence[str], rows: Sequence[Held]) -> tuple[list[str], set[str]]:
    """Return the ids whose links HubSpot gives in another way than the store holds them, and those that it did not
    tell. One request for each kind of link, for up to MOST rows."""
    stored = {str(row[0]): row[1:] for row in rows}
    moved: dict[str, None] = {}
    failed: set[str] = set()
    for place, to in enumerate(links):
        answer = associated(session, kind, to, stored)
        failed |= answer.failed
        moved.update((i, None) for i, held in stored.items() if first(answer.found[i]) != held[place])
    return [i for i in moved if i not in failed], failed


def compared(
    session: Session, kind: str, links: Sequence[str], held: Sequence[str], holds: HoldsOf, last: str
) -> Iterator[tuple[str, list[str], set[str]]]:
    """Compare what the store holds, from `last` on; yield (last id compared, ids that differ, ids that failed)."""
    while rows := holds(held, last, MOST):
        last = str(rows[-1][0])
        yield last, *differing(session, kind, links, rows)
