"""What a full pass no longer lists: the stream's live rows whose records did not come, and nobody else's.

Several streams may feed one entity (two objects with usage, contracts and a package's subscriptions), and a row does
not say which of them it came from. So they are swept together, when the last of them has been read whole in the same
run.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from cssync.connectors import Tombstone
from cssync.errors import ConnectionFault
from cssync.store.schema import quote

if TYPE_CHECKING:
    from cssync.sync.engine import Job

log = logging.getLogger(__name__)

OWN_ROWS = """NOT EXISTS (SELECT 1 FROM source_feed f WHERE f.connection = r.connection
    AND substr(r.source_id, 1, length(f.stream) + 1) = f.stream || '/')"""
"""Rows that a stream feeds under the record's own id; the id of a row mapped out of another begins `<stream>/`."""
WIDE_ROWS = "substr(r.source_id, -length(r.metric) - 1) = '/' || r.metric"
"""Rows `<id>/<metric>` of a usage record with several metrics."""
MASS_DELETION = (50, 0.05)
"""More accounts than this, or than this share, vanishing in one full pass is taken for a fault, not for the truth."""


@dataclass(slots=True)
class Listed:
    """What a full pass knows of itself.

    marked: its table of ids is there. doubled: records whose id had come before in it. believed: however many accounts
    it misses, they are gone: a person said so. nameless: a record without an id was quarantined, which may be any of
    those that seem to be gone. through: it has come to its end. kin: see `join`.
    """

    marked: bool = False
    doubled: int = 0
    believed: bool = False
    nameless: bool = False
    through: bool = False
    kin: Sequence[Job] = ()


def join(jobs: Sequence[Job]) -> None:
    """Tell each job which streams feed the entity that it feeds, itself among them; none where one of them is not read
    whole in this run: what is missing might be in that one."""
    for job in jobs:
        entity, name = job.stream.entity, job.connection.name
        kin = [j for j in jobs if j.connection.name == name and j.stream.entity == entity]
        every = {stream.name for stream in job.connection.streams if stream.entity == entity}
        whole = {j.stream.name for j in kin if j.full} >= every
        job.listed.kin = kin if whole else []


def mark(conn: sqlite3.Connection, job: Job, ids: Sequence[str]) -> None:
    """Take note of the records that a page of a full pass has listed."""
    if not job.listed.marked:  # what a pass that broke off has left behind
        conn.execute(f"DROP TABLE IF EXISTS {_seen(job)}")
        job.listed.marked = True
    conn.execute(f"CREATE TABLE IF NOT EXISTS {_seen(job)} (source_id PRIMARY KEY) WITHOUT ROWID")
    odd = [(i,) for i in ids if "\0" in i]  # of quarantined records: no other id may hold one. SQLite's JSON ends there
    plain = [i for i in ids if "\0" not in i] if odd else ids
    marked = conn.execute(
        f"INSERT OR IGNORE INTO {_seen(job)} SELECT value FROM json_each(?)", (msgspec.json.encode(plain).decode(),)
    ).rowcount
    marked += conn.executemany(f"INSERT OR IGNORE INTO {_seen(job)} VALUES (?)", odd).rowcount if odd else 0
    job.listed.doubled += len(ids) - marked


def unlisted(conn: sqlite3.Connection, job: Job) -> Iterator[tuple[Job, list[Tombstone]]]:
    """After a full pass: yield what the vendor no longer lists, with the job whose rows it may be, and forget the
    stream's quarantined records that are gone. A pass with a record that has no id proves nothing: it may be any of
    them.

    Raises:
        ConnectionFault: an implausible share of the accounts would be deleted.
    """
    job.listed.through = True
    if not job.listed.nameless:
        conn.execute(
            f"DELETE FROM quarantine WHERE connection = ? AND stream = ? AND NOT EXISTS "
            f"(SELECT 1 FROM {_seen(job)} s WHERE s.source_id = quarantine.source_id)",
            (job.connection.name, job.stream.name),
        )
    if not job.listed.kin:
        log.warning(
            "%s.%s: other streams hold %s, too: what is gone is found when all of them are read whole "
            "(`cssync verify`, or --full without --stream)",
            *(job.connection.name, job.stream.name, job.stream.entity),
        )
    elif all(kin.listed.through and not kin.listed.nameless for kin in job.listed.kin):
        for kin in job.listed.kin:
            missed = _missed(conn, kin)
            _plausible(conn, kin, len(missed))
            yield kin, missed
        for kin in job.listed.kin:
            conn.execute(f"DROP TABLE {_seen(kin)}")


def _seen(job: Job) -> str:
    """The temporary table of the ids that a full pass has listed so far."""
    return f"temp.{quote(f'seen {job.connection.name}.{job.stream.name}')}"


def rows_of_usage(*, wide: bool) -> tuple[str, str]:
    """Return SQL for the id of the record that a row `r` of usage came from, and for which rows it holds. wide: of
    records with columns of metrics, `<id>/<metric>`."""
    if wide:
        return "substr(r.source_id, 1, length(r.source_id) - length(r.metric) - 1)", f"{OWN_ROWS} AND {WIDE_ROWS}"
    return "r.source_id", f"{OWN_ROWS} AND ({WIDE_ROWS}) IS NOT 1"


def _missed(conn: sqlite3.Connection, job: Job) -> list[Tombstone]:
    usage = job.stream.entity == "usage_metric"
    key, own = rows_of_usage(wide=bool(job.normalise.metrics)) if usage else ("r.source_id", OWN_ROWS)
    unseen = [f"NOT EXISTS (SELECT 1 FROM {_seen(kin)} s WHERE s.source_id = {key})" for kin in job.listed.kin]
    rows = conn.execute(
        f"SELECT DISTINCT {key} FROM {quote(job.stream.entity)} r WHERE r.connection = ? AND r.deleted_at IS NULL "
        f"AND {' AND '.join(unseen)} AND {own}",
        (job.connection.name,),
    )
    return [Tombstone(row[0]) for row in rows]


def _plausible(conn: sqlite3.Connection, job: Job, missed: int) -> None:
    if job.stream.entity != "account_source" or not missed or any(kin.listed.believed for kin in job.listed.kin):
        return
    live = "SELECT count(*) FROM account_source r WHERE r.connection = ? AND r.deleted_at IS NULL"
    total = conn.execute(f"{live} AND {OWN_ROWS}", (job.connection.name,)).fetchone()[0]
    if missed > MASS_DELETION[0] or missed > max(2, MASS_DELETION[1] * total):
        raise ConnectionFault(
            f"{job.connection.name}.{job.stream.name}: {missed} of {total} accounts are no longer listed by the vendor",
            kept="nothing was deleted",
            fix="check the credentials' permissions (a record that may not be seen looks deleted); if they are "
            "really gone: `cssync sync CONNECTION --stream STREAM --full --accept-deletions`",
        )
