"""How an object type is read: a full load by list, then keyset windows of search, and the archive each time.

A window's upper bound is fixed before its first request and its records are taken by ascending id, each request
beginning after the last id of the one before. So 10,000 records with one time stamp, a record that changes while it is
being paged over, and search's cap of 10,000 results a query are all the same to it.

The cursor is one of
    {"phase": "full", "started": T, "after": token}          inside a full load
    {"phase": "window", "since": T, "until": T, "id": id}    inside a window
    {"since": T}                                             at rest
and carries `redo` (records whose links could not be read) and `archived` (so that a restored record is noticed); see
`relinked` for `linked` and `linking`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast

from cssync.connectors import Cursor, Page, PullRequest, Record, Session, Tombstone
from cssync.errors import ConnectionFault, Refused
from cssync_hubspot import links, relinked
from cssync_hubspot.client import Paths, account, batch_read, body, complaint, following, whole

log = logging.getLogger("cssync.hubspot")

LIST_PAGE = 100
SEARCH_PAGE = 200
URL_BUDGET = 4000
"""Characters of `properties=` beyond which records are read by POST: long URLs are refused with 414."""
SLACK = timedelta(seconds=5)
"""How far a window reaches beyond HubSpot's time as its `Date` header tells it: that is cut to whole seconds, so a
change made in this very second would seem to lie in the future. The checkpoint stays at the time itself."""
REMEMBER = 1000
"""Ids kept in the cursor at most, for each of `redo` and `archived`."""

Enrich = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Source:
    """An object type.

    fields: properties that its feeds need. links: object types whose primary record is looked up for each record.
    held: for each of them the column in which the store holds it, to find associations that changed alone. enrich: made
    once a run, adds to a record what other tables know (stages). keep: which records are of interest. archive: whether
    what is gone is looked for, too.
    """

    kind: str
    fields: tuple[str, ...] = ()
    modified: str = "hs_lastmodifieddate"
    links: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    enrich: Callable[[Session], Enrich] | None = None
    keep: Callable[[Record], bool] | None = None
    archive: bool = True


@dataclass(slots=True)
class _Reader:
    """One run over one object type."""

    session: Session
    source: Source
    fields: tuple[str, ...]
    enrich: Enrich | None
    redo: list[str]
    archived: list[str]
    linked: str | None = None
    linking: str | None = None
    compared: bool = False

    def _compare(self, held: Mapping[str, Any]) -> None:
        """Say once a run which mapped properties the account does not have: HubSpot leaves them out in silence."""
        self.compared = True
        absent = sorted(set(self.fields) - set(self.source.fields) - set(held))
        if absent:
            log.warning(
                "%s: HubSpot has no property %s; what is mapped from it keeps its stored value. Correct the mapping, "
                "or run `cssync provision` if it is one of ours",
                self.source.kind,
                ", ".join(absent),
            )

    def cursor(self, **position: Any) -> Cursor:
        if len(self.redo) > REMEMBER:
            raise ConnectionFault(
                f"HubSpot did not give the associations of more than {REMEMBER} {self.source.kind}",
                kept="what was stored before is unchanged, also its links",
                fix="run again later; if it stays, check that the key may read companies",
            )
        carried = {"redo": self.redo, "linked": self.linked, "linking": self.linking}
        return {**position, **{k: v for k, v in carried.items() if v}, "archived": self.archived}

    def page(self, found: Sequence[Mapping[str, Any]], *, listed: bool) -> Page:
        """Complete records with their links and stages; says which survived a merge and whose links failed."""
        keep = self.source.keep
        if found and not self.compared:
            self._compare(found[0].get("properties") or {})
        records = cast("list[dict[str, Any]]", [r for r in found if keep(r)] if keep else list(found))
        failed: set[str] = set()
        add = links.add_listed if listed else links.add_read
        for to in self.source.links:
            if records:
                failed |= add(self.session, self.source.kind, to, records)
        for record in records:
            record.pop("associations", None)
            if self.enrich:
                self.enrich(record)
        self.redo += sorted(failed - set(self.redo))
        return Page(records, deleted=tuple(_merged(records)), incomplete=tuple(sorted(failed)))


def greet(session: Session) -> None:
    """Ask something small before the first request: from here on session.now() is HubSpot's clock."""
    if not session.requests:
        account(session)


def pages(source: Source) -> Callable[[Session, PullRequest], Iterator[Page]]:
    """Return the page generator of an object type."""

    def read(session: Session, request: PullRequest) -> Iterator[Page]:
        cursor = request.cursor or {}
        _readable(cursor, source)
        greet(session)
        now = session.now()
        reader = _Reader(
            session,
            source,
            tuple(dict.fromkeys((*request.fields, source.modified))),
            source.enrich(session) if source.enrich else None,
            list(cursor.get("redo") or ()),
            list(cursor.get("archived") or ()),
            cursor.get("linked"),
            cursor.get("linking"),
        )
        phase, since = cursor.get("phase"), str(cursor.get("since") or "")
        if not cursor or phase == "full":
            since = str(cursor.get("started") or iso(now))
            yield from _full(reader, cursor.get("after"), since)
            reader.linked = since if source.held else None
        elif phase == "window":
            until = str(cursor["until"])
            yield from _window(reader, since, until, str(cursor["id"]), request)
            since = iso(datetime.fromisoformat(until) - SLACK)
        else:
            yield from _again(reader)
        if cursor:  # also behind what an earlier run had begun: it may be days old
            yield Page(())  # a window reaches back and may begin with the very records that came last: no circle
            yield from _window(reader, since, iso(now + SLACK), "0", request)
            since = iso(now)
        if source.held and relinked.due(session, reader.linked):
            yield from _relinked(reader, request, since)
        if source.archive:
            yield from _archive(reader)
        yield Page((), cursor=reader.cursor(since=since), last=True)

    return read


def _readable(cursor: Cursor, source: Source) -> None:
    """Raise unless the cursor is one of ours: an unreadable one must never mean "start again"."""
    wanted = {"full": ("started",), "window": ("since", "until", "id"), None: ("since",)}.get(cursor.get("phase"))
    if cursor and (wanted is None or not all(isinstance(cursor.get(k), str) for k in wanted)):
        raise ConnectionFault(
            f"the checkpoint of {source.kind} cannot be read",
            kept="nothing was read and the checkpoint was left as it is",
            fix="read the stream again from the beginning: `cssync sync CONNECTION --stream STREAM --full`",
        )


def iso(moment: datetime) -> str:
    """Return an instant in milliseconds of UTC, as HubSpot's filters take it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _merged(records: Sequence[Record]) -> Iterator[Tombstone]:
    """The ids that the survivors of merges list: they vanish without ever being archived."""
    for record in records:
        listed = (record.get("properties") or {}).get("hs_merged_object_ids")
        if not listed:
            continue
        for loser in str(listed).split(";"):
            if loser.strip() and loser.strip() != record["id"]:
                yield Tombstone(loser.strip(), merged_into=str(record["id"]))


# --- Full load --------------------------------------------------------------------------------------------------------


def listing(session: Session, path: str, after: str | None = None, **params: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the bodies of a list's pages to its end.

    Raises:
        ConnectionFault: refused, misshapen, or a paging cursor came back a second time.
    """
    seen = {after}
    while True:
        answer = session.get(path, limit=LIST_PAGE, after=after, accept=(400,) if after else (), **params)
        found = body(answer)
        if answer.status == 400:
            raise Refused(
                f"HubSpot does not go on with the list at {path} from where it was left: {complaint(found)[0]}",
                kept="the pages read so far; the checkpoint stays behind them",
                fix="run again; if it stays, read the stream from the beginning: "
                "`cssync sync CONNECTION --stream STREAM --full`",
            )
        whole(answer, found)
        yield found
        after = following(found)
        if after is None:
            return
        if after in seen:
            raise ConnectionFault(
                f"HubSpot's list at {path} leads back to a page that was already read",
                kept="the pages read so far; the checkpoint stays before them",
                fix="run again; if it stays, report it with the time of this run",
            )
        seen.add(after)


def _full(reader: _Reader, after: str | None, started: str) -> Iterator[Page]:
    source, wanted = reader.source, ",".join(reader.fields)
    wide = len(wanted) > URL_BUDGET
    for found in listing(
        reader.session,
        Paths(reader.session).objects(source.kind),
        after,
        properties="hs_object_id" if wide else wanted,
        associations=",".join(source.links) or None,
    ):
        records = found["results"]
        page = reader.page(_widened(reader, records) if wide else records, listed=True)
        onward = following(found)
        yield Page(
            page.records,
            cursor=reader.cursor(phase="full", started=started, after=onward) if onward else None,
            deleted=page.deleted,
            incomplete=page.incomplete,
        )


def _widened(reader: _Reader, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Fetch by POST the properties that would not fit into a URL. A record that is left out was archived meanwhile, or
    was forgotten: the next run asks for it once more."""
    ids = [str(r["id"]) for r in records]
    read = {str(r["id"]): r for r in batch_read(reader.session, reader.source.kind, ids, reader.fields)}
    reader.redo += [i for i in ids if i not in read and i not in reader.redo]
    return [{**r, **read[str(r["id"])]} for r in records if str(r["id"]) in read]


# --- What changed -----------------------------------------------------------------------------------------------------


def _window(reader: _Reader, since: str, until: str, last: str, request: PullRequest) -> Iterator[Page]:
    source = reader.source
    low = iso(datetime.fromisoformat(since) - request.lag)
    held: list[Mapping[str, Any]] = []
    while True:
        answer = reader.session.request(
            "POST",
            Paths(reader.session).objects(source.kind, "/search"),
            json={
                "filterGroups": [
                    {
                        "filters": [
                            {"propertyName": source.modified, "operator": "GTE", "value": low},
                            {"propertyName": source.modified, "operator": "LTE", "value": until},
                            {"propertyName": "hs_object_id", "operator": "GT", "value": last},
                        ]
                    }
                ],
                "sorts": ["hs_object_id"],
                "properties": list(reader.fields),
                "limit": SEARCH_PAGE,
                "after": "0",
            },
        )
        found = body(answer)
        records = whole(answer, found)
        more = int(found.get("total") or 0) > len(records) or following(found) is not None
        if records:
            _ascending(records, last, source.kind)
            last = str(records[-1]["id"])
            held.extend(records)
        elif more:
            raise ConnectionFault(
                f"HubSpot's search of {source.kind} counts more records than it returns",
                kept="the pages read so far; the next run reads this window again",
                fix="run again in some minutes: the search index may be catching up",
            )
        if held and (not more or not source.links or len(held) >= links.MOST):  # one request links them all
            page = reader.page(held, listed=False)
            held = []
            yield Page(
                page.records,
                cursor=reader.cursor(phase="window", since=since, until=until, id=last),
                deleted=page.deleted,
                incomplete=page.incomplete,
            )
        if not more:
            return


def _ascending(records: Sequence[Mapping[str, Any]], last: str, kind: str) -> None:
    """Raise unless ids rise: a page in another order would make the next one skip records."""
    try:
        ids = [int(last), *(int(r["id"]) for r in records)]
    except (KeyError, ValueError, TypeError):
        ids = [1, 0]
    if any(a >= b for a, b in pairwise(ids)):
        raise ConnectionFault(
            f"HubSpot's search of {kind} did not return records in order of their ids",
            kept="the pages read so far; nothing of this one was used",
            fix="run again; if it stays, report it and read the stream from the beginning: "
            "`cssync sync CONNECTION --stream STREAM --full`",
        )


def _again(reader: _Reader) -> Iterator[Page]:
    """Read once more the records whose links could not be read last time."""
    ids, reader.redo = reader.redo, []
    if ids:
        yield reader.page(list(batch_read(reader.session, reader.source.kind, ids, reader.fields)), listed=False)


def _relinked(reader: _Reader, request: PullRequest, since: str) -> Iterator[Page]:
    """Read again the records whose associations changed alone."""
    source, begun = reader.source, iso(reader.session.now())
    yield Page(())  # what was just read may differ still, where it waits to be stored: no circle
    for last, moved, failed in relinked.compared(
        reader.session, source.kind, source.links, source.held, request.held, reader.linking or ""
    ):
        reader.linking = last
        reader.redo += sorted(failed - set(reader.redo))
        page = reader.page(list(batch_read(reader.session, source.kind, moved, reader.fields)), listed=False)
        yield replace(page, cursor=reader.cursor(since=since))
    reader.linked, reader.linking = begun, None


# --- What is gone -----------------------------------------------------------------------------------------------------


def _archive(reader: _Reader) -> Iterator[Page]:
    """Yield a tombstone for each archived record (HubSpot keeps them 90 days) and read again those that left the
    archive since the last run: they were restored, or purged, and a restored one need not look modified."""
    path = Paths(reader.session).objects(reader.source.kind)
    there: dict[str, str] = {}
    for found in listing(reader.session, path, archived="true", properties="hs_object_id"):
        there.update((str(r["id"]), str(r.get("archivedAt") or "")) for r in found["results"])
        if found["results"]:
            yield Page((), deleted=tuple(Tombstone(str(r["id"])) for r in found["results"]))
    restored = [i for i in reader.archived if i not in there]
    reader.archived = sorted(sorted(there, key=lambda i: there[i], reverse=True)[:REMEMBER])
    if restored:
        back = list(batch_read(reader.session, reader.source.kind, restored, reader.fields))
        if back:
            yield reader.page(back, listed=False)
