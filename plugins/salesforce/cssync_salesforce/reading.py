"""Read an object page by page: complete, in order of change, resumable, deletes and merges included.

Every pass begins as a query. Its first answer says how many records there are; when they are many, a bulk job reads
those behind the first page.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from cssync.connectors import ABSENT, Answer, ByColumn, Cursor, Listing, Page, PullRequest, Session, Tombstone
from cssync.errors import ConnectionFault
from cssync_salesforce import bulk, soql
from cssync_salesforce.client import daily, errors, refusal
from cssync_salesforce.columns import Columns, columns
from cssync_salesforce.position import Position
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.shape import OPTIONAL, Convert, Shape, shape
from cssync_salesforce.window import Window

log = logging.getLogger(__name__)

URL_BUDGET = 12_000
"""Bytes of field names in a query: URI and headers together may have 16,384."""
MERGED = "MasterRecordId"
_LOCATOR = re.compile(r"/services/data/v\d+\.0/query(?:All)?/[^/?#\s]+")
"""Where a query goes on: what stands behind the last slash is Salesforce's own affair."""
_NO_COLUMN = re.compile(r"No such column '([^']+)'(?: on (?:entity|sobject of type) '?(\w+))?")
_NO_RELATION = re.compile(r"Didn't understand relationship '([^']+)'")

Adapt = Callable[[dict[str, Any]], None]
"""Changes a record in place before it is handed to the core."""
Only = Callable[[Session, Shape], Sequence[str]]
"""Further conditions on the records of a stream."""


def pages(
    session: Session, request: PullRequest, source: str, only: Only | None = None, adapt: Adapt | None = None
) -> Iterator[Page]:
    """Yield the object's records in order of (change stamp, id), deleted ones as tombstones, a checkpoint each page.

    One query with `queryAll` sees changes, deletes and merges together. A stated total that is not reached, or a
    page link that comes twice, ends the stream as failed with the checkpoint it had. The records of a bulk job come in
    any order; its checkpoints keep the place in its results beside the position that it began from.

    Raises:
        ConnectionFault: the object cannot be read, or the answers contradict themselves.
    """
    position = Position.load(request.cursor)
    seen = shape(session, source)
    yield from _Reader(session, seen, request, only(session, seen) if only else (), adapt).read(position)


@dataclass(frozen=True, slots=True)
class _Batch:
    """One answer to a query. next: path of the following one. size: bytes of the answer. left: calls left today."""

    records: ByColumn
    total: int
    next: str | None
    size: int
    left: int | None


class _Reader:
    """One pass over one object."""

    def __init__(
        self, session: Session, seen: Shape, request: PullRequest, only: Sequence[str], adapt: Adapt | None
    ) -> None:
        self.session = session
        self.settings: SalesforceSettings = session.settings
        self.shape = seen
        self.lag = request.lag
        self.before = dict(request.cursor or {})
        self.only = only
        self.adapt = adapt
        self.system = ["Id", seen.stamp, *(f for f in ("IsDeleted", MERGED) if f in seen.fields)]
        asked = {name: found for name in request.fields if (found := self._visible(name))}
        self.spelt = {name: found for name, found in asked.items() if "." not in name and name != found}
        fields = [f for f in dict.fromkeys(asked.values()) if f not in self.system]
        self.fields, self.wide, beyond = _split(fields)
        for field in beyond:
            log.warning(
                "%s.%s is not read: the fields of parents are more than one query can name. Map fewer of them",
                *(self.shape.object, field),
            )
        self.may_begin = True
        self.slow = False
        self.convert: dict[str, Convert] = seen.converters(fields)
        self.listing = _listing(self.system, self.fields)
        self.columns: Columns
        inner = [n if "." in found else f"{found}.{n.partition('.')[2]}" for n, found in asked.items() if "." in n]
        self.inner = [path for path in inner if path not in beyond]

    def _visible(self, asked: str) -> str | None:
        found = self.shape.field(asked)
        if found is None:
            self._without(asked)
        return found

    def _without(self, field: str) -> None:
        log.log(
            logging.INFO if field in OPTIONAL else logging.WARNING,
            "%s.%s does not exist or is hidden from the execution user (field-level security): it is not read",
            self.shape.object,
            field,
        )

    def read(self, position: Position) -> Iterator[Page]:
        """Yield pages from `position` to the end; goes on from the last record when Salesforce drops its cursor."""
        started = (
            position.started if position.record and position.started else self.session.now().replace(microsecond=0)
        )
        newest = position.stamp
        place = self._unfinished(position)
        inherited = place is not None
        onward: Window | None = None
        while True:
            if place and (newest := (yield from self._by_job(position, place))):
                position = Position(newest, None, started)
                yield Page((), cursor=position.dump(), last=not inherited)
                if not inherited:
                    return
                # the rows of a job that an earlier run made are as old as that run: go on to the present
                self.before, inherited = dict(position.dump()), False
                started = self.session.now().replace(microsecond=0)
            newest, place = newest or position.stamp, None
            behind = Window(position.bound(self.shape.stamp, self.lag), position.low(self.lag))
            batch: _Batch | None
            batch, window = self._query(onward or behind)
            onward = None
            received, links = 0, set[str]()
            while batch is not None:
                received += len(batch.records)
                if fault := self._contradiction(batch, received, links):
                    yield Page((), cursor=self.before)  # what may be missing lies behind the checkpoints of this pass
                    raise fault
                records, stamps = self._stamped(batch.records)
                newest = max((*stamps, newest) if newest else stamps, default=None)
                for at, key in zip(reversed(stamps), reversed(records.column("id")), strict=True):
                    if at <= started:  # a record that changed while we read is out of order: no place to resume from
                        position = Position(at, key, started)
                        break
                if self.wide:
                    records = self._widened(records)
                if batch.next is None and (onward := window.following(self.shape.stamp, self.session.now())):
                    yield self._page(records, position.dump() if position.record else None)
                    break
                if batch.next is None:
                    yield self._page(records, Position(newest, None, started).dump(), last=True)
                    return
                links.add(batch.next)
                yield self._page(records, position.dump() if position.record else None)
                if (
                    self.may_begin
                    and newest
                    and position.record
                    and bulk.worth_it(self.settings, batch.total - received, batch.left)
                ):
                    self.may_begin = False
                    if place := self._begin(position, newest, batch, batch.total - received):
                        break
                batch = self._more(batch.next)
            else:
                log.warning("Salesforce dropped its cursor on %s: going on from the last record", self.shape.object)

    # --- by a bulk job ------------------------------------------------------------------------------------------------

    def _job_query(self, position: Position) -> str:
        """Return what a job is asked: the rest behind `position`, all fields, in no order (that would be slower)."""
        self.columns = columns(self.session, self.shape, self.system, [*self.fields, *self.wide])
        bound = position.bound(self.shape.stamp, self.lag)
        return soql.select(self.columns.names, self.shape.object, [*self.only, *bound])

    def _unfinished(self, position: Position) -> bulk.Place | None:
        """Return the place in the job that an earlier run left behind, if it is the one that this run would make."""
        place = bulk.Place.load(self.before.get("job"))
        same = place and position.record and place.query == bulk.fingerprint(self._job_query(position))
        return place if same else None

    def _begin(self, position: Position, newest: datetime, batch: _Batch, least: int) -> bulk.Place | None:
        try:
            place = bulk.start(self.session, self._job_query(position), batch.size / len(batch.records))
        except bulk.NoJob as refused:
            if self._lost(str(refused)):
                return self._begin(position, newest, batch, least)
            self._no_job(refused)
            return None
        log.info("%s: bulk job %s reads the records behind the first page", self.shape.object, place.job)
        return replace(place, newest=soql.instant(newest), least=least)

    def _no_job(self, why: bulk.NoJob) -> None:
        log.warning("no bulk job for %s (%s): going on by query", self.shape.object, why)

    def _by_job(self, position: Position, place: bulk.Place) -> Generator[Page, None, datetime | None]:
        """Yield what a job reads; return the newest change stamp, None when the job came to nothing.

        The empty pages let the core commit the place, notice that it is to stop, and show that there is progress.
        """
        try:
            yield Page((), cursor=_at(position, place))
            total = yield from bulk.finished(self.session, place)
            newest = soql.moment(place.newest)
            for group, behind in bulk.groups(self.session, place, total, self.columns):
                records, stamps = self._stamped(group)
                newest = max(newest, *stamps)
                yield self._page(records, _at(position, replace(behind, newest=soql.instant(newest))))
        except bulk.NoJob as lost:
            self.may_begin = self._lost(str(lost)) or self.may_begin  # without the field, a job may do
            self._no_job(lost)
            return None
        except bulk.Contradiction:
            yield Page((), cursor={**position.dump(), "refused": place.job})
            raise
        return newest

    def _contradiction(self, batch: _Batch, received: int, links: set[str]) -> ConnectionFault | None:
        if batch.next is None and received == batch.total:
            return None
        if batch.next is not None and received < batch.total and batch.next not in links:
            return None
        return ConnectionFault(
            f"Salesforce announced {batch.total} records of {self.shape.object} and gave {received}"
            + (" with a page link that leads back" if batch.next in links else ""),
            kept="the stream will be read again from the checkpoint this run found",
            fix="run again; if it persists, ask Salesforce support about the query cursor",
        )

    def _stamped(self, records: ByColumn) -> tuple[ByColumn, Sequence[datetime]]:
        """Return the records under their ids in the long form, and the change stamp of each."""
        try:
            ids = records.column("Id")
            if not soql.are_long(ids):
                ids = [soql.id18(key) for key in ids]
                if not all(ids):
                    raise ValueError("no id")
            return records.having(Id=ids, id=ids), soql.moments(records.column(self.shape.stamp))
        except (TypeError, ValueError):
            raise bulk.Contradiction(
                f"a record of {self.shape.object} came without a readable Id or {self.shape.stamp}",
                kept="the checkpoint is unchanged",
            ) from None

    def _query(self, window: Window) -> tuple[_Batch, Window]:
        """Send the query. A field that Salesforce does not know after all costs that field, not the stream; where it
        takes too long over the window, half of it is asked for: return which was read."""
        while True:
            self.listing = _listing(self.system, self.fields)
            query = soql.select(
                [*self.system, *self.fields],
                self.shape.object,
                [*self.only, *window.conditions(self.shape.stamp)],
                [self.shape.stamp, "Id"] if self.shape.stamp != "Id" else ["Id"],
            )
            answer = self.session.get(f"{self.settings.data}/queryAll", accept=(400,), q=query)
            if answer.status != 400:
                return self._batch(answer), window
            found = errors(answer)
            half = window.half(self.session.now()) if any(code == "QUERY_TIMEOUT" for code, _ in found) else None
            if half:
                level = logging.INFO if self.slow else logging.WARNING
                self.slow = True
                log.log(level, "Salesforce takes too long over %s: it is read in shorter times", self.shape.object)
            elif not self._lost(" ".join(message for _, message in found)):
                raise refusal(answer, f"query of {self.shape.object}")
            window = half or window

    def _lost(self, message: str) -> bool:
        """Give up, by name, the fields that Salesforce says it does not know; False where it says something else."""
        column, relation = _NO_COLUMN.search(message), _NO_RELATION.search(message)
        lost = self._unknown(column[1], column[2]) if column else []
        if column and not lost and column[1] == MERGED and MERGED in self.system:
            self.system.remove(MERGED)
            lost = [MERGED]
        if relation:
            lost += [f for f in self.fields if relation[1].casefold() in f.casefold().split(".")[:-1]]
        for field in lost:
            self._without(field)
        self.inner = [path for path in self.inner if path not in lost]
        self.fields = [f for f in self.fields if f not in lost]
        self.wide = [f for f in self.wide if f not in lost]
        return bool(lost)

    def _unknown(self, column: str, entity: str | None) -> list[str]:
        """Return the fields that Salesforce means: a parent's field may have the name of one of the object's own."""
        named = [f for f in (*self.fields, *self.wide) if f.rpartition(".")[2].casefold() == column.casefold()]
        if not entity:
            return named
        return [f for f in named if self._is_of(entity.casefold(), f.rpartition(".")[0].casefold())] or named

    def _is_of(self, entity: str, path: str) -> bool:
        """Whether a field reached by this path of relationships may be one of that object; names in lower case."""
        if not path:
            return entity == self.shape.object.casefold()
        described = self.shape.fields.values()
        leads = [f.get("referenceTo") or () for f in described if str(f.get("relationshipName")).casefold() == path]
        return "." in path or entity in {str(o).casefold() for objects in leads for o in objects}

    def _more(self, path: str) -> _Batch | None:
        """Fetch the next batch; None when the vendor's cursor is gone."""
        answer = self.session.get(path, accept=(400, 404))
        if answer.status < 400:
            return self._batch(answer)
        if any(code == "INVALID_QUERY_LOCATOR" for code, _ in errors(answer)):
            return None
        raise refusal(answer, f"next page of {self.shape.object}")

    def _batch(self, answer: Answer) -> _Batch:
        body, found = self.listing.read(answer)
        try:
            records = found if isinstance(found, ByColumn) else ByColumn.of(found)
            total, done, following = body["totalSize"], body["done"], body.get("nextRecordsUrl")
            fits = isinstance(total, int) and isinstance(done, bool)
            fits = fits and (following is None or _LOCATOR.fullmatch(following) is not None)
        except (KeyError, TypeError, AttributeError):
            fits = False
        if not fits or (not done and following is None):
            raise ConnectionFault(
                f"the answer to a query of {self.shape.object} has not the shape of a result",
                kept="the checkpoint is unchanged",
            )
        left = daily(answer)
        return _Batch(records, total, following, len(answer.content), left and left[0])

    def _page(self, records: ByColumn, cursor: Cursor | None, *, last: bool = False) -> Page:
        dead = [deleted is True for deleted in records.column("IsDeleted")]
        gone: list[Tombstone] = []
        if any(dead):
            buried = records.only(dead)
            survivors = (None if key is ABSENT else soql.id18(key) for key in buried.column(MERGED))
            gone = [Tombstone(key, into) for key, into in zip(buried.column("Id"), survivors, strict=True)]
            records = records.only([not is_dead for is_dead in dead])
        columns = {name: values for name, values in records.columns.items() if name != "attributes"}
        columns["_url"] = [f"{self.settings.pages}/{key}" for key in columns["Id"]]
        for name, convert in self.convert.items():
            if name in columns:
                columns[name] = list(map(convert, columns[name]))
        for name, found in self.spelt.items():
            if found in columns:
                columns[name] = columns[found]
        for path in self.inner:
            head, *steps = path.split(".")
            columns[head] = [_null(held, steps) for held in columns.get(head) or [None] * len(records)]
        alive: Sequence[dict[str, Any]] = ByColumn(columns, len(records), whole=records.whole)
        if self.adapt:
            alive = list(alive)
            for record in alive:
                self.adapt(record)
        return Page(alive, cursor=cursor, deleted=gone, last=last)

    def _widened(self, records: ByColumn) -> ByColumn:
        """Read the fields that did not fit into the query; one request a page."""
        keys = records.column("Id")
        ids = [key for key, gone in zip(keys, records.column("IsDeleted"), strict=True) if gone is not True]
        if not ids:
            return records
        what = f"/composite/sobjects/{self.shape.object}"
        while True:
            wanted = {"ids": ids, "fields": ["Id", *self.wide]}
            answer = self.session.request("POST", f"{self.settings.data}{what}", json=wanted, accept=(400,))
            if answer.status != 400:
                break
            if not self._lost(" ".join(message for _, message in errors(answer))):
                raise refusal(answer, f"further fields of {self.shape.object}")
        body = answer.json()
        if not isinstance(body, list) or any(r is not None and not _has_id(r) for r in body):
            raise ConnectionFault(f"the answer of {what} is no list of records", kept="the checkpoint is unchanged")
        found = {r["Id"]: r for r in body if r is not None}
        more = {name: [found.get(key, {}).get(name, ABSENT) for key in keys] for name in self.wide}
        return ByColumn({**records.columns, **more}, len(records), whole=False)


def _listing(system: Sequence[str], fields: Sequence[str]) -> Listing:
    """Return the shape of an answer to a query of these fields; those of a parent come inside it."""
    names = dict.fromkeys(field.partition(".")[0] for field in (*system, *fields))
    return Listing("records", tuple(names), ("totalSize", "done", "nextRecordsUrl"))


def _at(position: Position, place: bulk.Place) -> Cursor:
    return {**position.dump(), "job": place.dump()}


def _null(parent: Any, path: Sequence[str]) -> Any:
    """Return what a record holds of its parent, with null, not nothing, for a field that the parent does not have."""
    held = {} if parent is None or parent is ABSENT else parent
    if type(held) is not dict:
        return held
    name, *rest = path
    return {**held, name: _null(held.get(name), rest) if rest else held.get(name)}


def _has_id(record: object) -> bool:
    return isinstance(record, Mapping) and isinstance(record.get("Id"), str)


def _split(fields: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Divide fields into those that fit into a query's URL, those that are read beside it, and parents' fields that
    do not fit either: nothing but a query can read those."""
    inside: list[str] = []
    wide: list[str] = []
    beyond: list[str] = []
    length = 0
    for field in sorted(fields, key=lambda f: "." not in f):
        size = len(quote(field)) + 3  # a comma is three bytes once encoded
        if length + size <= URL_BUDGET:
            inside.append(field)
            length += size
        else:
            (beyond if "." in field else wide).append(field)
    return inside, wide, beyond
