"""Answers of the sandbox in HubSpot's shapes, and the small rules around them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest


class Stop(Exception):  # noqa: N818 - carries an answer out of a handler
    """Answer this instead."""

    def __init__(self, answer: SandboxAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def refusal(status: int, category: str, message: str, **more: Any) -> SandboxAnswer:
    """Return an error answer; `more` are further fields of its body."""
    return SandboxAnswer(
        status, {"status": "error", "message": message, "correlationId": "c0ffee-0001", "category": category, **more}
    )


def admit(sent: deque[float], now: float, seconds: float, most: int) -> bool:
    """Count a request unless `most` were counted in the last `seconds`; says whether it may pass."""
    while sent and sent[0] <= now - seconds:
        sent.popleft()
    if len(sent) >= most:
        return False
    sent.append(now)
    return True


def too_many(policy: str, message: str) -> SandboxAnswer:
    """Return a 429 as HubSpot words it."""
    body = {"status": "error", "message": message, "errorType": "RATE_LIMIT", "policyName": policy,
            "correlationId": "c0ffee-0429"}  # fmt: skip
    return SandboxAnswer(429, body)


def error(category: str, message: str, code: str, **context: Any) -> dict[str, Any]:
    """Return one item of a batch's `errors`."""
    return {
        "status": "error",
        "category": category,
        "message": message,
        "errors": [{"message": message, "code": code}],
        "context": context,
        "links": {},
    }


def missing_error(ids: Sequence[str]) -> dict[str, Any]:
    """Return the error that names ids nobody knows."""
    message = "Could not get some objects, they may be deleted or not exist. Check that ids are valid."
    return error("OBJECT_NOT_FOUND", message, "NOT_FOUND", ids=list(ids))


def no_links(start: str, end: str, thing_id: str) -> dict[str, Any]:
    """Return the error by which HubSpot says that a record has no associations."""
    found = error(
        "OBJECT_NOT_FOUND", f"No {end} is associated with {start} {thing_id}.", "NOT_FOUND", fromObjectId=[thing_id]
    )
    return {**found, "subCategory": {"name": "crm.associations.NO_ASSOCIATIONS_FOUND"}}


def without_status(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rest of an error for a body of its own."""
    return {k: v for k, v in given.items() if k not in ("status", "links")}


def names(listed: str | None) -> list[str]:
    """Read a list separated by commas."""
    return [n for n in (listed or "").split(",") if n]


def token(thing_id: str) -> str:
    """An opaque cursor."""
    return f"n{int(thing_id):x}"


def untoken(after: str) -> int:
    """Read a cursor of ours; anything else is a 400."""
    if not re.fullmatch(r"n[0-9a-f]+", after):
        raise Stop(refusal(400, "VALIDATION_ERROR", "Invalid paging cursor"))
    return int(after[1:], 16)


def archived(request: SandboxRequest) -> bool:
    """Whether the archived records are asked for; HubSpot's own Python client writes `True`."""
    return request.query.get("archived", "").lower() == "true"
