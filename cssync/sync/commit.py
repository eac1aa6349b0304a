"""Commit a page: rows, tombstones, quarantine, checkpoint and counts in one transaction."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from cssync.connectors import Tombstone
from cssync.store import Fence, Store
from cssync.store.schema import ABOUT, quote
from cssync.sync import cast, sweep
from cssync.sync.columnar import Gone, Sheet, without

if TYPE_CHECKING:
    from cssync.sync.batches import Batch
    from cssync.sync.engine import Job, StreamReport

AT_WORK = "at work"
"""Outcome of a stream that is being read."""
COUNTS = ("read", "new", "changed", "same", "echo", "tombstoned", "incomplete", "quarantined")
_NOTE = f"""INSERT OR REPLACE INTO run_stream (run_id, connection, stream, outcome, {", ".join(COUNTS)},
            requests, seconds, error) VALUES ({", ".join("?" * (len(COUNTS) + 7))})"""


class _OnlyLooking(Exception):  # noqa: N818 - rolls a page back whose outcomes were all that was wanted
    pass


def commit_page(store: Store, job: Job, batch: Batch, *, run_id: str, fence: Fence | None) -> None:
    """Store one page of a stream and add its outcomes to the job's report; a job that only looks is rolled back.

    Raises:
        LeaseLost: refused by the fence; nothing of the page is stored.
        ConnectionFault: a full pass would delete an implausible share of the accounts.
    """
    name, page, report = job.connection.name, batch.page, job.report
    known_at = cast.stamp(job.session.now())
    if job.full:
        with store.transaction(fence, lasting=False) as conn:
            sweep.mark(conn, job, [*batch.good.keys, *(b.source_id for b in batch.bad)])
    with contextlib.suppress(_OnlyLooking), store.transaction(fence, lasting=False) as conn:
        new, changed = _upsert(store, conn, job, batch, known_at)
        echoes = (
            _echoes(conn, job, batch, new | changed) if job.writes_back or job.stream.entity == "crm_task" else set()
        )
        gone = _bury(store, conn, job, page.deleted, known_at)
        _quarantine(conn, job, batch, known_at)
        if job.full and page.last:
            for swept, missed in sweep.unlisted(conn, job):
                gone |= _bury(store, conn, swept, missed, known_at)
        if page.cursor is not None:
            conn.execute(
                """INSERT INTO source_state (connection, stream, cursor, last_attempt_at) VALUES (?, ?, ?, ?)
                   ON CONFLICT (connection, stream) DO UPDATE SET cursor = excluded.cursor""",
                (name, job.stream.name, msgspec.json.encode(page.cursor).decode(), known_at),
            )
        _count(job, batch, new, changed, echoes, gone)
        report.requests = batch.requests
        if not job.keep:
            raise _OnlyLooking
        note_run(conn, run_id, report, AT_WORK)


def _upsert(store: Store, conn: sqlite3.Connection, job: Job, batch: Batch, known_at: str) -> tuple[set[str], set[str]]:
    """Store every row of the page; return the records that are new and those that changed."""
    name, good, incomplete = job.connection.name, batch.good, frozenset(batch.page.incomplete)
    new: set[str] = set()
    changed: set[str] = set()
    for number, sheet in enumerate(good.sheets):
        kept = without(sheet, incomplete)
        result = store.upsert_rows(conn, sheet.entity, name, kept.columns, kept.values, known_at)
        if good.first is None and len(result.new) == len(kept.ids):
            (changed if number else new).update(kept.owners)
        elif result.new or result.changed:
            for owner, source_id in zip(kept.owners, kept.ids, strict=True):
                stands = not number if good.first is None else good.first.get(owner) == (sheet.entity, source_id)
                if source_id in result.new and stands:
                    new.add(owner)
                elif source_id in result.new or source_id in result.changed:
                    changed.add(owner)
        if number == 0:
            unheard = result.new if sheet.entity == job.stream.entity else frozenset[str]()  # have no rows to lose
            changed |= _lost(store, conn, name, good.gone, incomplete | unheard, known_at)
    if not good.sheets:
        changed |= _lost(store, conn, name, good.gone, incomplete, known_at)
    changed |= _lost(store, conn, name, good.refused, incomplete, known_at)
    return new, changed - new


def _lost(
    store: Store,
    conn: sqlite3.Connection,
    connection: str,
    gone: Sequence[Gone],
    spared: frozenset[str],
    known_at: str,
) -> set[str]:
    """Tombstone mapped rows that records no longer have, but for some records; return the records that lost one."""
    lost: set[str] = set()
    for rows in gone:
        owners = {i: o for i, o in zip(rows.ids, rows.owners, strict=True) if o not in spared}
        lost.update(owners[i] for i in store.tombstone(conn, rows.entity, connection, owners, known_at))
    return lost


def _echoes(conn: sqlite3.Connection, job: Job, batch: Batch, moved: set[str]) -> set[str]:
    """Records that came back only because we wrote them: nothing changed but what the vendor says about the record."""
    about = {
        source_id: about
        for sheet in batch.good.sheets
        if sheet.entity == job.stream.entity
        for owner, source_id, about in zip(sheet.owners, sheet.ids, _about(sheet), strict=True)
        if owner not in moved
    }
    if not about:
        return set()
    ours = (
        "w.remote_id = r.source_id" if job.stream.entity == "crm_task" else "w.stream = ? AND w.source_id = r.source_id"
    )
    found = conn.execute(
        f"""SELECT r.source_id FROM {quote(job.stream.entity)} r JOIN json_each(?) given ON given.key = r.source_id
            WHERE r.connection = ? AND r.updated_at IS NOT given.value ->> 2
            AND EXISTS (SELECT 1 FROM written w WHERE w.connection = r.connection AND {ours})""",
        (
            msgspec.json.encode(about).decode(),
            job.connection.name,
            *(() if job.stream.entity == "crm_task" else (job.stream.name,)),
        ),
    ).fetchall()
    echoes = {row[0] for row in found}
    conn.executemany(
        f"UPDATE {quote(job.stream.entity)} SET {', '.join(f'{c} = ?' for c in ABOUT)}"
        " WHERE connection = ? AND source_id = ?",
        [(*about[i], job.connection.name, i) for i in echoes],
    )
    return echoes


def _about(sheet: Sheet) -> list[list[Any]]:
    """The ABOUT columns of each row, None where it has none."""
    held = dict(zip(sheet.columns, sheet.values, strict=True))
    missing = [None] * len(sheet.ids)
    return [list(row) for row in zip(*(held.get(column, missing) for column in ABOUT), strict=True)]


def _bury(store: Store, conn: sqlite3.Connection, job: Job, deleted: Iterable[Tombstone], known_at: str) -> set[str]:
    """Tombstone deleted records in every entity the stream feeds; remember the survivor of a merge."""
    deleted = list(deleted)
    deleted = [*(t for t in deleted if not t.of), *_with_parents(conn, job, [t for t in deleted if t.of])]
    if not deleted:
        return set()
    name, ids = job.connection.name, [t.source_id for t in deleted]
    gone = store.tombstone(conn, job.stream.entity, name, ids, known_at)
    others = {e for c, s, e in _feeds(conn, job) if e != job.stream.entity}
    for entity in sorted(others):
        gone |= store.tombstone(conn, entity, name, ids, known_at) if entity != "crm_state" else set()
        store.tombstone(conn, entity, name, [f"{job.stream.name}/{i}" for i in ids], known_at)
    for feed in job.normalise.derived:
        store.tombstone(conn, feed.entity, name, [f"{feed.prefix}{i}" for i in ids], known_at)
    if job.stream.entity == "usage_metric":
        wide = [f"{i}/{metric.metric}" for i in ids for metric in job.normalise.metrics]
        gone |= {i.rpartition("/")[0] for i in store.tombstone(conn, "usage_metric", name, wide, known_at)}
    if job.stream.entity == "account_source":
        conn.executemany(
            "UPDATE account_source SET merged_into = ? WHERE connection = ? AND source_id = ? AND merged_into IS NOT ?",
            [(t.merged_into, name, t.source_id, t.merged_into) for t in deleted if t.merged_into],
        )
    return gone & set(ids)


def _with_parents(conn: sqlite3.Connection, job: Job, parents: Sequence[Tombstone]) -> Iterator[Tombstone]:
    """The rows that are gone because the record they belong to is."""
    for column in sorted({t.of for t in parents}):
        ids = msgspec.json.encode([t.source_id for t in parents if t.of == column]).decode()
        found = conn.execute(
            f"SELECT source_id FROM {quote(job.stream.entity)} WHERE connection = ? AND deleted_at IS NULL "
            f"AND {quote(column)} IN (SELECT value FROM json_each(?))",
            (job.connection.name, ids),
        )
        yield from [Tombstone(row[0]) for row in found]


def _feeds(conn: sqlite3.Connection, job: Job) -> list[tuple[str, str, str]]:
    rows = conn.execute(
        "SELECT connection, stream, entity FROM source_feed WHERE connection = ? AND stream = ?",
        (job.connection.name, job.stream.name),
    )
    return [tuple(row) for row in rows]


def _quarantine(conn: sqlite3.Connection, job: Job, batch: Batch, known_at: str) -> None:
    """List bad records, and strike those off the list that came through this time."""
    place = (job.connection.name, job.stream.name)
    conn.executemany(
        """INSERT INTO quarantine (connection, stream, source_id, field, reason, raw, first_seen_at, last_seen_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (connection, stream, source_id) DO UPDATE SET
           field = excluded.field, reason = excluded.reason, raw = excluded.raw,
           last_seen_at = excluded.last_seen_at""",
        [(*place, bad.source_id, bad.field, bad.reason, bad.raw, known_at, known_at) for bad in batch.bad],
    )
    held = conn.execute("SELECT source_id FROM quarantine WHERE connection = ? AND stream = ?", place).fetchall()
    if len(held) > len(batch.bad):
        well = {*batch.good.keys} | {t.source_id for t in batch.page.deleted if not t.of}
        conn.executemany(
            "DELETE FROM quarantine WHERE connection = ? AND stream = ? AND source_id = ?",
            [(*place, row[0]) for row in held if row[0] in well],
        )


def _count(job: Job, batch: Batch, new: set[str], changed: set[str], echoes: set[str], gone: set[str]) -> None:
    report, page = job.report, batch.page
    incomplete = frozenset(page.incomplete)
    deleted = {t.source_id for t in page.deleted if not t.of}
    report.incomplete += sum(key in incomplete for key in batch.good.keys) if incomplete else 0
    report.new += len(new)
    report.changed += len(changed)
    report.echo += len(echoes)
    report.tombstoned += len(gone)
    report.quarantined += len(batch.bad)
    report.read += len(batch.good.keys) + len(batch.bad) + sum(not t.of for t in page.deleted) + len(gone - deleted)
    report.same = report.read - (
        report.new + report.changed + report.echo + report.tombstoned + report.incomplete + report.quarantined
    )


def remember_reports(
    store: Store, reports: Sequence[StreamReport], run_id: str, fence: Fence | None, outcome: str | None = None
) -> None:
    """Write one `run_stream` row for each report, with an outcome of its own or this one."""
    with store.transaction(fence, lasting=outcome is None) as conn:
        for report in reports:
            note_run(conn, run_id, report, outcome or report.outcome)


def note_run(conn: sqlite3.Connection, run_id: str, report: StreamReport, outcome: str) -> None:
    """Write what the run has done with a stream so far."""
    values = (
        *(run_id, report.connection, report.stream, outcome, *(getattr(report, name) for name in COUNTS)),
        *(report.requests, report.seconds, report.error.message if report.error else None),
    )
    conn.execute(_NOTE, values)


def remember_stream(store: Store, job: Job, *, complete: bool, fence: Fence | None) -> None:
    """Write the stream's state after its last page; a failed try leaves checkpoint and last success as they were."""
    report, name = job.report, job.connection.name
    with store.transaction(fence) as conn:
        rows = conn.execute(
            f"SELECT count(*) FROM {quote(job.stream.entity)} WHERE connection = ? AND deleted_at IS NULL", (name,)
        ).fetchone()[0]
        conn.execute(
            """INSERT INTO source_state (
               connection, stream, last_attempt_at, last_success_at, outcome, error, rows_stored)
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (connection, stream) DO UPDATE SET
               last_attempt_at = excluded.last_attempt_at, outcome = excluded.outcome, error = excluded.error,
               last_success_at = coalesce(excluded.last_success_at, last_success_at),
               rows_stored = excluded.rows_stored""",
            (
                name,
                job.stream.name,
                job.started_at,
                job.started_at if complete else None,
                report.outcome,
                report.error.message if report.error else None,
                rows,
            ),
        )
