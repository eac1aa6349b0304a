"""What both kinds of bulk jobs of the sandbox org say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from cssync.sandbox.server import SandboxAnswer
from cssync_salesforce.sandbox.rows import RUNNING_USER, stamp

ENDED = ("JobComplete", "Failed", "Aborted")
"""States in which a job stays."""


class AnyJob(Protocol):
    """A query or an ingest job."""

    id: str
    operation: str
    source: str
    created: datetime
    state: str


Held = TypeVar("Held", bound=AnyJob)


def told(job: AnyJob) -> dict[str, Any]:
    """Return the part of a job's description that does not depend on its kind."""
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.source,
        "createdById": RUNNING_USER,
        "createdDate": stamp(job.created),
        "systemModstamp": stamp(job.created),
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 66.0,
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }


def listing(jobs: Iterable[Held], describe: Callable[[Held], dict[str, Any]] = told) -> SandboxAnswer:
    """Answer with all jobs on one page."""
    return SandboxAnswer(200, {"done": True, "records": [describe(job) for job in jobs], "nextRecordsUrl": None})
