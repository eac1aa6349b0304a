"""Bulk API 2.0 queries: a job that Salesforce works off by itself, its rows read as CSV, resumable to the row.

A job costs some ten requests and one for each result page, however many records there are; a query costs one for each
2,000. Its rows come in no order, so a checkpoint can only say which job they come from and how many of them are stored.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cssync.connectors import Answer, ByColumn, Page, Session
from cssync.errors import ConnectionFault, TransientFault
from cssync_salesforce import soql
from cssync_salesforce.client import errors, refusal, words
from cssync_salesforce.columns import Columns
from cssync_salesforce.settings import SalesforceSettings

PAGE_BYTES = 32 * 2**20
"""Aimed size of a result page: what one stream holds in memory."""
PAGE_ROWS = (2_000, 50_000)
"""Fewest and most rows asked for at once."""
JOB_COST = 10
"""Requests of a job beside its results: to start it and to ask how it is, for the usual minutes."""
SHARE_OF_DAY = 0.1
"""A query that would need more than this share of the org's calls left is a job whatever `bulk_from` says."""
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 1.0, 30.0, 1.5
PATIENCE = 3600.0
"""Seconds a run waits for a job; then the next run takes it up."""
WORKING = ("Open", "UploadComplete", "InProgress")
LAST = "null"
"""The locator of the last result page, literally."""

Group = tuple[ByColumn, "Place"]


class Contradiction(ConnectionFault):
    """What came cannot be right: nothing behind the position from which it was asked may count as read."""


class NoJob(Exception):  # noqa: N818 - not a fault: the stream goes on by query
    """The job came to nothing: refused, failed, aborted, deleted or expired. The text says which."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far the results of a job have been read, as the checkpoint keeps it.

    job: its id. query: fingerprint of what was asked. size: rows of a result page. locator: of the page being read,
    "" for the first. skip: rows of that page that are stored. rows: rows of the pages before. newest: latest change
    stamp so far. least: rows that the query had counted behind the position; a job with fewer is not believed.
    """

    job: str
    query: str
    size: int
    locator: str = ""
    skip: int = 0
    rows: int = 0
    newest: str = ""
    least: int = 0

    @classmethod
    def load(cls, held: object) -> Place | None:
        """Read a place out of a committed cursor; None where there is none, or none of ours."""
        try:
            place = cls(**held) if isinstance(held, Mapping) else None
        except TypeError:
            return None
        kinds = {"job": str, "query": str, "size": int, "locator": str, "skip": int, "rows": int, "newest": str,
                 "least": int}  # fmt: skip
        fits = place is not None and all(isinstance(getattr(place, name), kind) for name, kind in kinds.items())
        try:
            fits = fits and place is not None and soql.is_id(place.job) and bool(soql.moment(place.newest))
        except ValueError:
            return None
        return place if fits else None

    def dump(self) -> dict[str, Any]:
        """Return what to commit."""
        return asdict(self)


def fingerprint(query: str) -> str:
    """Return what tells this query from any other: a job for another one is not taken up."""
    return hashlib.blake2b(query.encode(), digest_size=8).hexdigest()


def worth_it(settings: SalesforceSettings, rows: int, left: int | None) -> bool:
    """True when so many rows are better read by a job. left: calls left of the org's day, None if it does not say."""
    pages = -(-rows // 2000)
    scarce = left is not None and pages > JOB_COST and pages > SHARE_OF_DAY * left
    return bool(settings.bulk_from) and (rows >= settings.bulk_from or scarce)


def start(session: Session, query: str, row_bytes: float) -> Place:
    """Create a job; one request. row_bytes: size of a record, for result pages that fit into memory.

    Raises:
        NoJob: Salesforce refuses it.
    """
    answer = session.request(
        "POST", f"{_jobs(session)}", json={"operation": "queryAll", "query": query}, accept=(400, 403, 404)
    )
    if answer.status >= 400:
        raise NoJob(_why(answer))
    job = _told(answer).get("id")
    if not isinstance(job, str) or not soql.is_id(job):
        raise ConnectionFault("Salesforce made a bulk job without an id", kept="the checkpoint is unchanged")
    fewest, most = PAGE_ROWS
    return Place(job, fingerprint(query), max(fewest, min(most, int(PAGE_BYTES / max(row_bytes, 1)))))


def finished(session: Session, place: Place) -> Generator[Page, None, int]:
    """Ask how the job is until it is done, less and less often, and return its number of rows.

    An empty page at each pause lets the core notice that it is to stop, and show that there is progress.

    Raises:
        NoJob: it failed, was aborted, or is gone.
        TransientFault: it takes longer than we wait.
    """
    pause, waited = FIRST_PAUSE, 0.0
    while True:
        answer = session.get(f"{_jobs(session)}/{place.job}", accept=(400, 404))
        if answer.status >= 400:
            raise NoJob(_why(answer))
        told = _told(answer)
        state, rows = told.get("state"), told.get("numberRecordsProcessed")
        if state == "JobComplete":
            if not isinstance(rows, int):
                raise NoJob(f"the job {place.job} does not say how many records it read")
            if rows < place.least:
                raise NoJob(f"the job {place.job} read {rows} records where {place.least} were counted")
            return rows
        if state in ("Failed", "Aborted"):
            reason = words("", str(told.get("errorMessage") or ""))
            raise NoJob(f"the job {place.job} has {'failed' if state == 'Failed' else 'been aborted'}{reason}")
        if state not in WORKING:
            raise Contradiction(
                f"the bulk job {place.job} is in the unknown state {str(state)[:40]!r}",
                kept="the checkpoint is unchanged",
            )
        if waited >= PATIENCE:
            raise TransientFault(
                f"the bulk job {place.job} is still at work after {waited / 60:.0f} minutes",
                kept="it goes on at Salesforce: the next run reads its results",
                fix="run again later; Setup > Bulk Data Load Jobs shows it",
            )
        session.wait(pause)
        waited += pause
        pause = min(LONGEST_PAUSE, pause * GROWTH)
        yield Page(())


def groups(session: Session, place: Place, total: int, columns: Columns) -> Iterator[Group]:
    """Yield records with the place behind them, from `place` to the end of the results.

    Raises:
        NoJob: the results are gone.
        Contradiction: they are not what was asked for, or not as many as the job says.
    """
    passed: set[str] = set()
    while place.locator != LAST:
        if place.locator in passed:
            raise _contradiction(place, "a locator of its results leads back")
        passed.add(place.locator)
        place = yield from _result_page(session, place, columns)
    if place.rows != total:
        raise _contradiction(place, f"it announced {total} rows and gave {place.rows}")


def _result_page(session: Session, place: Place, columns: Columns) -> Generator[Group, None, Place]:
    """Yield the groups of one result page, and return the place of the next; its text is let go before that is read."""
    answer = session.request(
        "GET",
        f"{_jobs(session)}/{place.job}/results",
        params={"maxRecords": place.size, "locator": place.locator or None},
        headers={"Accept": "text/csv"},
        accept=(400, 404),
    )
    if answer.status >= 400:
        raise NoJob(_why(answer))
    try:
        found = place.skip
        for group in columns.records(answer.content, place.skip):
            found += len(group)
            yield group, replace(place, skip=found)
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise _contradiction(place, f"a result page cannot be read ({error})") from None
    stated = answer.headers.get("sforce-numberofrecords", "")
    if stated.isdecimal() and int(stated) != found:
        raise _contradiction(place, f"a result page of {stated} rows had {found}")
    return replace(place, locator=answer.headers.get("sforce-locator", LAST), skip=0, rows=place.rows + found)


def _contradiction(place: Place, why: str) -> Contradiction:
    return Contradiction(
        f"the bulk job {place.job}: {why}",
        kept="what was stored stays; the checkpoint is where it was before the job",
        fix="run again: a new job is made; if it persists, ask Salesforce support about this one",
    )


def _jobs(session: Session) -> str:
    settings: SalesforceSettings = session.settings
    return f"{settings.data}/jobs/query"


def _told(answer: Answer) -> Mapping[str, Any]:
    body = answer.json()
    return body if isinstance(body, Mapping) else {}


def _why(answer: Answer) -> str:
    found = errors(answer)
    return words(*found[0]) if found else refusal(answer, "bulk job").message
