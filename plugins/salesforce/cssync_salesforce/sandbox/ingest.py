"""Bulk API 2.0 ingest jobs of the sandbox org: Open until told that the upload is complete, done after a few looks,
with three files of results. A job that is complete may still hold failed rows."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync_salesforce import soql
from cssync_salesforce.sandbox.job import ENDED, listing, told
from cssync_salesforce.sandbox.writes import Refused

if TYPE_CHECKING:
    from cssync_salesforce.sandbox.org import SalesforceSandbox

MOST_BYTES = 100_000_000
NULL = "#N/A"

Row = Mapping[str, str]


@dataclass(slots=True)
class Load:
    """A job. `looks`: how often it was asked for since its upload was complete."""

    id: str
    source: str
    operation: str
    ending: str
    created: datetime
    state: str = "Open"
    content: bytes | None = None
    looks: int = 0
    names: Sequence[str] = ()
    done: list[tuple[str, Row]] = field(default_factory=list)
    failed: list[tuple[str, Row]] = field(default_factory=list)
    unprocessed: list[Row] = field(default_factory=list)
    error: str = ""


class Ingest:
    """looks: how often a job must be asked for before it is done. refuse: why a row fails, "" to let it in. most: rows
    that a job works off before it stops. fails: message with which every job fails. off: refuse every job."""

    def __init__(self, org: SalesforceSandbox) -> None:
        self.org = org
        self.held: dict[str, Load] = {}
        self.looks = 2
        self.refuse: Callable[[Row], str] | None = None
        self.most: int | None = None
        self.fails = ""
        self.off = False
        self._numbers = itertools.count(1)

    def create(self, request: SandboxRequest) -> SandboxAnswer:
        """Open a job."""
        body = request.json()
        if self.off:
            raise Refused("FEATURENOTENABLED", "Bulk API is not enabled for this organization")
        if body.get("operation") != "update":
            raise Refused("INVALIDJOB", "Only the operation update is known here")
        if self.org.visible(str(body.get("object"))) is None:
            raise Refused("INVALIDJOB", f"Unable to find object: {body.get('object')}")
        number = f"7505h{next(self._numbers):010d}"
        key = number + soql.checksum(number)
        job = Load(key, body["object"], body["operation"], body.get("lineEnding", "LF"), self.org.clock())
        self.held[key] = job
        return SandboxAnswer(200, _told(job))

    def upload(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        """Take the rows in: once, and only while the job is open."""
        job = self._job(key)
        if job.state != "Open" or job.content is not None:
            raise Refused("INVALIDJOBSTATE", f"Data cannot be uploaded in the state {job.state}, or a second time")
        if not request.headers.get("content-type", "").startswith("text/csv"):
            raise Refused("INVALIDCONTENTTYPE", "content must be text/csv", status=415)
        if len(request.body) > MOST_BYTES:
            raise Refused("EXCEEDED_SIZE_LIMIT", "Request entity too large", status=413)
        job.content = request.body
        return SandboxAnswer(201)

    def move(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        """Close or abort a job."""
        job, wanted = self._job(key), request.json().get("state")
        if wanted == "UploadComplete" and job.state == "Open":
            job.state = "UploadComplete"
        elif wanted == "Aborted" and job.state not in ENDED:
            job.state = "Aborted"
        else:
            raise Refused("INVALIDJOBSTATE", f"Job state changes not allowed: {job.state} to {wanted}")
        return SandboxAnswer(200, _told(job))

    def state(self, _: SandboxRequest, key: str) -> SandboxAnswer:
        """Tell how a job is; being asked is what makes time pass for it."""
        job = self._job(key)
        if job.state in ("UploadComplete", "InProgress"):
            job.looks += 1
            job.state = "InProgress"
            if self.fails:
                job.state, job.error = "Failed", self.fails
            elif job.looks >= self.looks:
                self.work(job)
        counts = {"numberRecordsProcessed": len(job.done) + len(job.failed), "numberRecordsFailed": len(job.failed)}
        return SandboxAnswer(200, {**_told(job), **counts, **({"errorMessage": job.error} if job.error else {})})

    def work(self, job: Load) -> None:
        """Work a job off, row by row; what one row meets does not stop the others."""
        text = (job.content or b"").decode()
        if job.ending == "LF" and "\r\n" in text.partition("\n")[0] + "\n":
            job.state, job.error = "Failed", "InvalidBatch : LineEnding is invalid on user data"
            return
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        job.names = tuple(rows.fieldnames or ())
        for number, row in enumerate(rows):
            if self.most is not None and number >= self.most:
                job.unprocessed.append(row)
                continue
            try:
                why = self.refuse(row) if self.refuse else ""
                if why:
                    raise Refused(*why.split(":", 1))
                values = {name: self._value(job.source, name, cell) for name, cell in row.items()
                          if name != "Id" and cell != ""}  # fmt: skip
                job.done.append((self.org.update(job.source, row["Id"], values), row))
            except Refused as error:
                job.failed.append((f"{error.code}:{error}:{' '.join(error.fields) or '--'}", row))
        job.state = "JobComplete"

    def _value(self, source: str, name: str, cell: str) -> Any:
        described = (self.org.visible(source) or {}).get(name.casefold())
        kind = described["type"] if described else "string"
        if cell == NULL:
            return None
        if kind == "boolean":
            return cell.lower() == "true"
        if kind in ("double", "currency", "percent", "int"):
            try:
                return float(cell)
            except ValueError:
                return cell
        return cell

    def results(self, _: SandboxRequest, key: str, what: str) -> SandboxAnswer:
        """Return one of the three files; rows come in another order than they went."""
        job = self._job(key)
        if job.state not in ENDED:
            raise Refused("INVALIDJOBSTATE", f"Results are not available in the state {job.state}")
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        if what.casefold() == "unprocessedrecords":
            writer.writerow(job.names)
            writer.writerows([[row[name] for name in job.names] for row in job.unprocessed])
        elif what == "successfulResults":
            writer.writerow(["sf__Id", "sf__Created", *job.names])
            writer.writerows([[key, "false", *(row[name] for name in job.names)] for key, row in job.done[::-1]])
        else:
            writer.writerow(["sf__Id", "sf__Error", *job.names])
            writer.writerows([[row["Id"], why, *(row[name] for name in job.names)] for why, row in job.failed[::-1]])
        return SandboxAnswer(200, text.getvalue().encode(), {"Content-Type": "text/csv"})

    def listed(self, _: SandboxRequest) -> SandboxAnswer:
        """List the jobs."""
        return listing(self.held.values(), _told)

    def delete(self, _: SandboxRequest, key: str) -> SandboxAnswer:
        """Forget a job."""
        if self._job(key).state not in ENDED:
            raise Refused("INVALIDJOBSTATE", "A job at work cannot be deleted")
        del self.held[self._job(key).id]
        return SandboxAnswer(204)

    def _job(self, key: str) -> Load:
        job = self.held.get(soql.id18(key) or "" if soql.is_id(key) else "")
        if job is None:
            raise Refused("NOT_FOUND", "The requested resource does not exist", status=404)
        return job


def _told(job: Load) -> dict[str, Any]:
    own = {"externalIdFieldName": None, "contentUrl": f"services/data/v66.0/jobs/ingest/{job.id}/batches"}
    return {**told(job), **own, "lineEnding": job.ending, "jobType": "V2Ingest"}
