"""Pages as they come in -> batches to commit: normalised, and small pages joined.

A transaction costs as much as fifty records, whatever is in it. So where a vendor's pages are small, several are stored
together; what makes a page more than a list of records (tombstones, torn records, the end) keeps it by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from cssync.connectors import ByColumn, Page, Record
from cssync.errors import ConnectionFault, RecordError
from cssync.sync.columnar import Sheet, Unusual, gone_of, sheet_of
from cssync.sync.normalise import Normalised, Rows, gathered

if TYPE_CHECKING:
    from cssync.sync.engine import Job

ENOUGH = 1_000
"""Records that are worth a transaction of their own."""
VERSION_FIELDS = ("updatedAt", "updated_at", "SystemModstamp")
"""Where the vendors we know keep a record's modification time: a page with the same ids and times is the same page."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that could not be normalised."""

    source_id: str
    field: str
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A page, or small ones that came one after the other, normalised and ready to commit."""

    page: Page
    good: Normalised
    bad: Sequence[Bad]
    requests: int = 0


def batches(job: Job, where: str) -> Iterator[Batch]:
    """Read a stream and yield its pages, normalised.

    Raises:
        ConnectionFault: the vendor's paging does not advance; and whatever the connector raises.
    """
    for page in job.stream.pages(job.session, job.request):
        _must_move(job, page, where)
        yield _normalised(job, page)


def is_plain(batch: Batch) -> bool:
    """Whether a batch is but records: what else a page tells holds from its place on, so it is stored by itself."""
    page = batch.page
    return not (batch.bad or page.deleted or page.incomplete or page.last) and bool(batch.good.keys)


def joined(batches: Sequence[Batch]) -> Sequence[Batch]:
    """Return plain batches as one; as they are where one row is in two of them."""
    if len(batches) < 2:
        return batches
    sheets: dict[tuple[str, ...], list[Sheet]] = {}
    for batch in batches:
        for sheet in batch.good.sheets:
            sheets.setdefault((sheet.entity, *sheet.columns), []).append(sheet)
    ids: dict[str, list[str]] = {}
    for alike in sheets.values():
        ids.setdefault(alike[0].entity, []).extend(chain.from_iterable(sheet.ids for sheet in alike))
    keys = [key for batch in batches for key in batch.good.keys]
    if any(len(set(some)) < len(some) for some in (keys, *ids.values())):
        return batches
    good = Normalised(
        keys,
        [sheet_of(alike) for alike in sheets.values()],
        _first(batches),
        gone_of(gone for batch in batches for gone in batch.good.gone),
        gone_of(gone for batch in batches for gone in batch.good.refused),
    )
    cursor = next((b.page.cursor for b in reversed(batches) if b.page.cursor is not None), None)
    return [Batch(Page((), cursor), good, (), batches[-1].requests)]


def _first(batches: Sequence[Batch]) -> Mapping[str, tuple[str, str]] | None:
    """Return what `Normalised.first` is for all of these."""
    told = [batch.good.first for batch in batches]
    leading = {(batch.good.sheets[0].entity, *batch.good.sheets[0].columns) for batch in batches if batch.good.sheets}
    if len(leading) == 1 and all(first is None for first in told):
        return None
    found: dict[str, tuple[str, str]] = {}
    for batch, first in zip(batches, told, strict=True):
        if first is None:
            sheet = batch.good.sheets[0]
            first = {owner: (sheet.entity, key) for owner, key in zip(sheet.owners, sheet.ids, strict=True)}
        found.update(first)
    return found


def _normalised(job: Job, page: Page) -> Batch:
    rows: list[Rows] = []
    bad: list[Bad] = []
    for torn in page.unreadable:
        raw = msgspec.json.encode(torn.raw, enc_hook=str)
        job.listed.nameless = job.listed.nameless or not torn.source_id
        bad.append(Bad(torn.source_id or hashlib.sha256(raw).hexdigest()[:16], "", torn.reason, raw.decode()))
    told = replace(page, records=())  # the rows are made of them, and the next page may have their memory
    with contextlib.suppress(Unusual):
        return Batch(told, job.normalise.page(page.records), bad, job.requests)
    for record in page.records:
        try:
            rows.append(job.normalise(record))
        except RecordError as error:
            raw = msgspec.json.encode(record, enc_hook=str)
            known = record.get(job.stream.feeds[0].key)
            named = isinstance(known, (str, int)) and known != ""
            job.listed.nameless = job.listed.nameless or not named
            name = str(known) if named else hashlib.sha256(raw).hexdigest()[:16]
            bad.append(Bad(name, error.field, str(error), raw.decode()))
    return Batch(told, gathered(rows), bad, job.requests)


def _versions(records: Sequence[Record], names: Sequence[str]) -> list[Sequence[object]]:
    if isinstance(records, ByColumn):
        return [records.columns[name] for name in names if name in records.columns]
    return [[record.get(name) for record in records] for name in names if records and name in records[0]]


def _must_move(job: Job, page: Page, where: str) -> None:
    """Stop a stream whose pages repeat: a vendor's cursor that does not advance would never end."""
    versions = _versions(page.records, (job.stream.feeds[0].key, *VERSION_FIELDS))
    place = b"" if page.cursor is None else msgspec.json.encode(page.cursor)
    cursor = hashlib.blake2b(place, digest_size=8).digest()
    if (page.records and versions == job.last_page) or (place and cursor in job.cursors and not page.last):
        prints = hashlib.blake2b(repr(versions).encode(), digest_size=8).hexdigest()
        raise ConnectionFault(
            f"{where}: the vendor's paging does not advance (page {prints} came twice)",
            kept="the checkpoint is the last good page's",
            fix="run again; if it stays, ask the vendor's support with the fingerprint above",
        )
    job.last_page = versions
    if place:
        job.cursors.add(cursor)
