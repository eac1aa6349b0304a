"""Bulk API 2.0 query jobs of the sandbox org: they take time, their rows come in no order, and results expire."""

from __future__ import annotations

import csv
import io
import itertools
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync_salesforce import soql
from cssync_salesforce.sandbox.job import ENDED, listing, told
from cssync_salesforce.sandbox.soql import Query, SoqlError, parse
from cssync_salesforce.sandbox.writes import Refused

if TYPE_CHECKING:
    from cssync_salesforce.sandbox.org import SalesforceSandbox

KEPT = timedelta(days=7)
"""How long results can be fetched."""
STEP = 7919
"""What hides the place in a locator."""


@dataclass(slots=True)
class Job:
    """A query at work. `looks`: how often it was asked for; its rows are those of the moment in which it ran."""

    id: str
    operation: str
    text: str
    query: Query
    source: str
    created: datetime
    state: str = "UploadComplete"
    looks: int = 0
    rows: list[list[Any]] = field(default_factory=list)
    error: str = ""


class Jobs:
    """looks: how often a job must be asked for before it is done. fails: message with which every job fails. off:
    refuse every job. largest: rows of a result page, whatever `maxRecords` says."""

    def __init__(self, org: SalesforceSandbox) -> None:
        self.org = org
        self.held: dict[str, Job] = {}
        self.looks = 3
        self.fails = ""
        self.off = False
        self.largest = 50_000
        self._numbers = itertools.count(1)

    def create(self, request: SandboxRequest) -> SandboxAnswer:
        """Take a query in."""
        body = request.json()
        if self.off:
            raise Refused("FEATURENOTENABLED", "Bulk API is not enabled for this organization")
        if body.get("operation") not in ("query", "queryAll"):
            raise Refused("INVALIDJOB", "Operation is not valid for this job")
        if not body.get("query"):
            raise Refused("INVALIDJOB", "No query specified")
        try:
            query = parse(body["query"], self.org.visible)
        except SoqlError as error:
            raise Refused("API_ERROR", f"{error.code}: {error.message}") from None
        source = next(n for n in self.org.tables if n.casefold() == query.source.casefold())
        kinds = {f["name"]: f["type"] for f in self.org.schema[source].values()}
        if not query.fields or query.offset:
            raise Refused("API_ERROR", "Aggregate functions and OFFSET are not supported in bulk queries")
        if any(kinds.get(name) in ("address", "location", "base64") for name in query.fields):
            raise Refused("FUNCTIONALITY_NOT_ENABLED", "Selecting compound data not supported in Bulk Query")
        number = f"7505g{next(self._numbers):010d}"
        job = Job(number + soql.checksum(number), body["operation"], body["query"], query, source, self.org.clock())
        self.held[job.id] = job
        return SandboxAnswer(200, told(job))

    def state(self, _: SandboxRequest, key: str) -> SandboxAnswer:
        """Tell how a job is; being asked is what makes time pass for it."""
        job = self._job(key)
        if job.state not in ENDED:
            job.looks += 1
            job.state = "InProgress"
            if self.fails:
                job.state, job.error = "Failed", self.fails
            elif job.looks >= self.looks:
                self._run(job)
        return SandboxAnswer(200, {**told(job), **self._outcome(job)})

    def _run(self, job: Job) -> None:
        table = self.org.tables[job.source].values()
        held = [r for r in table if job.operation == "queryAll" or not r.get("IsDeleted")]
        found = self.org.matching(job.query, job.source, held)
        if not job.query.order:
            random.Random(job.id).shuffle(found)  # noqa: S311 - an order that nobody may rely on
        job.rows = [[self._value(job.source, row, name) for name in job.query.fields] for row in found]
        job.state = "JobComplete"

    def _value(self, source: str, row: Any, name: str) -> Any:
        head, _, rest = name.partition(".")
        if not rest:
            value, kind = row.get(name), self.org.schema[source][name.casefold()]["type"]
            return value.replace("+0000", "Z") if kind == "datetime" and value else value
        parent = self.org.parent(source, row, head)
        return parent.get(rest) if parent else None

    def abort(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        """Stop a job."""
        job = self._job(key)
        if request.json().get("state") != "Aborted" or job.state in ENDED:
            raise Refused("INVALIDJOBSTATE", f"Invalid job state: {job.state}")
        job.state = "Aborted"
        return SandboxAnswer(200, told(job))

    def delete(self, _: SandboxRequest, key: str) -> SandboxAnswer:
        """Forget a job and its results."""
        job = self._job(key)
        if job.state not in ENDED:
            raise Refused("INVALIDJOBSTATE", "A job at work cannot be deleted")
        del self.held[job.id]
        return SandboxAnswer(204)

    def listed(self, _: SandboxRequest) -> SandboxAnswer:
        """List the jobs."""
        return listing(self.held.values())

    def results(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        """Return one page of rows as CSV; every cell is quoted, null is an empty one."""
        job = self._job(key)
        if job.state != "JobComplete":
            raise Refused("INVALIDJOBSTATE", f"Results are not available in the state {job.state}")
        most = min(int(request.query.get("maxRecords") or self.largest), self.largest)
        locator = request.query.get("locator", "")
        start = int(locator.partition("x")[2] or "0", 16) // STEP
        if locator and locator != self._locator(job, start):
            raise Refused("INVALID_QUERY_LOCATOR", "invalid locator")
        page = job.rows[start : start + most]
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(job.query.fields)
        writer.writerows([[_cell(value) for value in row] for row in page])
        end = start + len(page)
        headers = {
            "Content-Type": "text/csv",
            "Sforce-NumberOfRecords": str(len(page)),
            "Sforce-Locator": self._locator(job, end) if end < len(job.rows) else "null",
        }
        return SandboxAnswer(200, text.getvalue().encode(), headers)

    def _locator(self, job: Job, place: int) -> str:
        return f"{job.id[-6:]}x{place * STEP:x}"

    def _job(self, key: str) -> Job:
        job = self.held.get(soql.id18(key) or "" if soql.is_id(key) else "")
        if job is None or self.org.clock() - job.created > KEPT:
            raise Refused("NOT_FOUND", "The requested resource does not exist", status=404)
        return job

    def _outcome(self, job: Job) -> dict[str, Any]:
        outcome: dict[str, Any] = {
            "jobType": "V2Query",
            "numberRecordsProcessed": len(job.rows),
            "retries": 0,
            "totalProcessingTime": 100 * job.looks,
            "isPkChunkingSupported": True,
        }
        return {**outcome, "errorMessage": job.error} if job.error else outcome


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
