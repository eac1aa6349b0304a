"""Bulk API 2.0 ingest: many records of one object as one job, each row with its own outcome.

A job is opened, filled, closed, and worked off by Salesforce. Until it is closed nothing of it happens, so whatever
fails before that changed nothing; a job that is left open is aborted. A complete job may hold failed rows, and rows
that were never looked at: its three files say which, matched by record id.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cssync.connectors import Answer, Session
from cssync.errors import ConnectionFault, TransientFault
from cssync_salesforce import soql
from cssync_salesforce.bulk import FIRST_PAUSE, GROWTH, LONGEST_PAUSE, PATIENCE, WORKING
from cssync_salesforce.client import refusal
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.tasks import user_id

ROWS = 10_000
"""Rows of a job: what Salesforce takes as one internal batch."""
MOST_BYTES = 24 * 2**20
"""Bytes of a job's rows: its results hold them all once more, and stay within what one answer may have."""
NULL = "#N/A"
"""Empties a field; an empty cell leaves it alone."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a row: `written`, `failed` with the vendor's words, `passed over` (never looked at), or `unknown`
    where the job cannot be asked any more."""

    state: str
    words: str = ""


def worth_it(settings: SalesforceSettings, rows: int) -> bool:
    """True when so many records are better written by a job."""
    return bool(settings.bulk_write_from) and rows >= settings.bulk_write_from


def fits(record: Mapping[str, Any]) -> bool:
    """Whether a row can say what the record shall hold: a text that reads `#N/A` would empty its field."""
    return NULL not in record.values()


def parts(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[list[str], bytes]]:
    """Cut records into jobs and yield (record ids, CSV) of each; in the order of the ids, as locks like it."""
    ordered = sorted(records, key=lambda r: str(r["id"]))
    names = sorted({name for record in ordered for name in record if name not in ("attributes", "id")})
    head = line(["Id", *names])
    ids: list[str] = []
    lines = [head]
    size = len(head)
    for record in ordered:
        row = line([str(record["id"]), *(_cell(record, name) for name in names)])
        if ids and (len(ids) >= ROWS or size + len(row) > MOST_BYTES):
            yield ids, b"".join(lines)
            ids, lines, size = [], [head], len(head)
        ids.append(str(record["id"]))
        lines.append(row)
        size += len(row)
    if ids:
        yield ids, b"".join(lines)


def line(cells: Sequence[str]) -> bytes:
    r"""Return one line of CSV, ended by \n. Cells with either line break are quoted, which Python does only for those
    of its own line end; hence the detour."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()[:-2].encode() + b"\n"


def _cell(record: Mapping[str, Any], name: str) -> str:
    if name not in record:
        return ""
    value = record[name]
    if value is None or value == "":
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)


def load(session: Session, source: str, ids: Sequence[str], content: bytes) -> dict[str, Told]:
    """Have one job update records, and return what became of each, by id.

    Raises:
        ConnectionFault: the job was not begun, so nothing was written; it is aborted where it was opened.
    """
    job = _opened(session, source)
    try:
        session.request("PUT", f"{_jobs(session)}/{job}/batches", content=content, headers={"Content-Type": "text/csv"})
        _close(session, job)
    except ConnectionFault as fault:
        if _given_up(session, job):
            raise
        return dict.fromkeys(ids, Told("unknown", f"job {job}: {fault.message}"))
    try:
        state, words = _ended(session, job)
        if state != "JobComplete":
            return _results(session, job, ids, Told("passed over", f"job {job} ended as {state} {words}".strip()))
        return _results(session, job, ids, Told("unknown", f"job {job} does not name this record"))
    except ConnectionFault as fault:
        return dict.fromkeys(ids, Told("unknown", f"job {job} was handed over: {fault.message}"))


def drain(session: Session, source: str) -> None:
    """End what an interrupted run left at work: abort our open jobs for an object, wait for those that were closed.

    Only jobs of the user we run as, which is cssync's own. One request where there are none.

    Raises:
        ConnectionFault: they cannot be asked for, or take too long.
    """
    left = [job for job in _listed(session) if job.get("object") == source and job.get("state") in WORKING]
    if not left:
        return
    me = user_id(session)
    for job in left:
        if soql.id18(str(job.get("createdById"))) != me or not soql.is_id(job.get("id")):
            continue
        if job["state"] != "Open" or not _given_up(session, str(job["id"])):
            _ended(session, str(job["id"]))


def _listed(session: Session) -> Iterator[Mapping[str, Any]]:
    path: str | None = _jobs(session)
    seen: set[str] = set()
    while path and path not in seen:
        seen.add(path)
        answer = session.get(path, accept=(400, 403, 404))
        if answer.status >= 400:
            return  # no bulk jobs for this user: then none of ours is at work
        body = answer.json()
        yield from (job for job in body.get("records") or () if isinstance(job, Mapping))
        path = body.get("nextRecordsUrl")


def _opened(session: Session, source: str) -> str:
    asked = {
        "object": source,
        "operation": "update",
        "contentType": "CSV",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    job = session.request("POST", _jobs(session), json=asked).json().get("id")
    if not isinstance(job, str) or not soql.is_id(job):
        raise ConnectionFault("Salesforce made a bulk job without an id", kept="nothing was written")
    return job


def _close(session: Session, job: str) -> None:
    """Hand the rows over. A repeated request may find that the first one arrived."""
    answer = session.request("PATCH", f"{_jobs(session)}/{job}", json={"state": "UploadComplete"}, accept=(400,))
    if answer.status == 400 and _told(session, job).get("state") == "Open":
        raise refusal(answer, f"bulk job {job}")


def _given_up(session: Session, job: str) -> bool:
    """Abort a job, and tell whether it is certain that nothing of it happens: it was open until then."""
    try:
        state = _told(session, job).get("state")
        if state == "Open":
            session.request("PATCH", f"{_jobs(session)}/{job}", json={"state": "Aborted"})
        return state in ("Open", "Aborted")
    except ConnectionFault:
        return False


def _ended(session: Session, job: str) -> tuple[str, str]:
    """Ask how a job is until it has ended, less and less often; return its state and the vendor's words.

    Raises:
        TransientFault: it takes longer than we wait; the next run finds out.
    """
    pause, waited = FIRST_PAUSE, 0.0
    while True:
        told = _told(session, job)
        state = str(told.get("state"))
        if state not in WORKING:
            return state, " ".join(str(told.get("errorMessage") or "").split())[:200]
        if waited >= PATIENCE:
            raise TransientFault(
                f"the bulk job {job} is still at work after {waited / 60:.0f} minutes",
                kept="what it wrote is looked up before anything is sent again",
                fix="run again later; Setup > Bulk Data Load Jobs shows it",
            )
        session.wait(pause)
        waited += pause
        pause = min(LONGEST_PAUSE, pause * GROWTH)


def _results(session: Session, job: str, ids: Sequence[str], missing: Told) -> dict[str, Told]:
    """Read the three files of an ended job; `missing` is said of a row that none of them names."""
    found: dict[str, Told] = {}
    for row in _rows(session, job, "successfulResults"):
        found[_key(row, "sf__Id")] = Told("written")
    for row in _rows(session, job, "failedResults"):
        found[_key(row, "sf__Id") or _key(row, "Id")] = Told("failed", row.get("sf__Error") or "refused without words")
    for row in _rows(session, job, "unprocessedrecords"):
        found[_key(row, "Id")] = Told("passed over", f"job {job} did not come to this record")
    return {one: found.get(one, missing) for one in ids}


def _key(row: Mapping[str, str | None], name: str) -> str:
    held = row.get(name)
    return soql.id18(held) or "" if soql.is_id(held) else ""


def _rows(session: Session, job: str, what: str) -> Iterator[Mapping[str, str | None]]:
    answer: Answer = session.request("GET", f"{_jobs(session)}/{job}/{what}", headers={"Accept": "text/csv"})
    try:
        yield from csv.DictReader(io.StringIO(answer.content.decode(), newline=""), strict=True)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConnectionFault(
            f"the {what} of bulk job {job} cannot be read ({error})", kept="it is looked up"
        ) from None


def _told(session: Session, job: str) -> Mapping[str, Any]:
    body = session.get(f"{_jobs(session)}/{job}").json()
    return body if isinstance(body, Mapping) else {}


def _jobs(session: Session) -> str:
    settings: SalesforceSettings = session.settings
    return f"{settings.data}/jobs/ingest"
