"""Thirty errors as the vendors word them: each message names connection, stream and request, what the vendor said with
its correlation id, what is safe and what to do, in three lines; and the stream's checkpoint stays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.cli.context import Call
from cssync.cli.sync import complain
from cssync.config import Connection, Workspace
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import ManualClock
from cssync.plugins import plugins
from cssync.sandbox.make_world import make
from cssync.sandbox.server import Fault, SandboxAnswer, serve
from cssync.store import Store
from cssync.sync import sync

WORLD = make(3)
STREAM = {"hubspot": "companies", "salesforce": "accounts", "zendesk": "tickets"}
DATA = {"hubspot": r"GET .*/objects/", "salesforce": r"GET .*/queryAll", "zendesk": r"GET .*/incremental/"}
HTML = b"<!doctype html><title>Login</title>"


@dataclass(frozen=True)
class Row:
    """An answer of a vendor, and what the message must say."""

    vendor: str
    status: int
    body: Any
    says: str
    fix: str = r"\w{4}"
    headers: Mapping[str, str] = ()  # type: ignore[assignment]


def hub(status: int, category: str, words: str, says: str, fix: str = r"\w{4}", **more: Any) -> Row:
    body = {"status": "error", "category": category, "message": words, "correlationId": "c0ffee-1", **more}
    return Row("hubspot", status, body, f"(?s){says}.*c0ffee-1", fix)


def force(status: int, code: str, words: str, says: str, fix: str = r"\w{4}") -> Row:
    return Row("salesforce", status, [{"errorCode": code, "message": words}], says, fix)


def desk(status: int, body: Any, says: str, fix: str = r"\w{4}", **headers: str) -> Row:
    return Row("zendesk", status, body, says, fix, {"x-zendesk-request-id": "dead-beef", **headers})


ROWS = (
    hub(400, "VALIDATION_ERROR", "Property x does not exist", "Property x does not exist"),
    hub(401, "INVALID_AUTHENTICATION", "The token is expired", "The token is expired", "token"),
    hub(401, "EXPIRED_AUTHENTICATION", "expired 3 days ago", "expired 3 days ago", "rotated"),
    hub(403, "MISSING_SCOPES", "requires scopes", "requires scopes", "crm.objects.companies.read",
        errors=[{"message": "One or more", "context": {"requiredGranularScopes": ["crm.objects.companies.read"]}}]),
    hub(403, "BANNED", "This hub is not allowed", "not allowed", "scopes"),
    hub(404, "OBJECT_NOT_FOUND", "Unable to infer object type", "infer object type", "name of the object"),
    hub(405, "METHOD", "not supported", "not supported"),
    hub(409, "CONFLICT", "is being merged", "being merged"),
    hub(414, "URI", "too long", "too long", "fewer fields"),
    Row("hubspot", 429, {"policyName": "DAILY", "message": "You have reached your daily limit."}, "daily allowance",
        "midnight"),
    Row("hubspot", 477, {"message": "moving"}, "another region"),
    Row("hubspot", 502, HTML, r"answered 502"),
    Row("hubspot", 200, HTML, "HTML where JSON was expected", "base_url", {"Content-Type": "text/html"}),
    Row("hubspot", 200, {"unexpected": []}, "no list of results", "base_url"),
    Row("salesforce", 200, b'{"totalSize": 5, "records": [', "not valid JSON"),
    force(400, "INVALID_FIELD", "No such column 'A__c' on entity 'Account'", "INVALID_FIELD", "field-level security"),
    force(400, "INVALID_TYPE", "sObject type 'X' is not supported", "INVALID_TYPE", "read access"),
    force(400, "MALFORMED_QUERY", "unexpected token: x", "MALFORMED_QUERY"),
    force(401, "INVALID_SESSION_ID", "Session expired or invalid", "INVALID_SESSION_ID", "credential"),
    force(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "daily API requests are used up", "later"),
    force(403, "API_CURRENTLY_DISABLED", "API is disabled for this User", "API is disabled", "API Enabled"),
    force(403, "INSUFFICIENT_ACCESS", "insufficient access rights", "INSUFFICIENT_ACCESS", "permission set"),
    force(403, "FUNCTIONALITY_NOT_ENABLED", "not enabled", "FUNCTIONALITY_NOT_ENABLED", "skip_streams"),
    force(404, "NOT_FOUND", "The requested resource does not exist", "NOT_FOUND", "API name"),
    force(410, "UNSUPPORTED_API_VERSION", "retired", "version is retired", "api_version"),
    force(503, "SERVER_UNAVAILABLE", "Too busy", "SERVER_UNAVAILABLE"),
    desk(400, {"error": "BadRequest", "description": "Invalid cursor"}, "Invalid cursor.*dead-beef"),
    desk(401, {"error": "invalid_token", "error_description": "was revoked"}, "was revoked.*dead-beef", "OAuth"),
    desk(402, {"error": "trial expired"}, "trial expired.*dead-beef"),
    desk(403, {"error": {"title": "Forbidden", "message": "You may not do this"}}, "You may not do this", "admin"),
    desk(404, {"error": "InvalidEndpoint", "description": "Not found"}, "InvalidEndpoint.*dead-beef", "skip_streams"),
    desk(422, {"error": "RecordInvalid", "description": "start_time is too recent"}, "too recent.*dead-beef"),
    desk(429, {"error": "APIRateLimitExceeded", "description": "Number of allowed calls"}, "APIRateLimit|allowed calls",
         r"\w{4}", **{"retry-after": "5000"}),
    desk(503, HTML, "maintenance", r"\w{4}", **{"retry-after": "5000"}),
    desk(200, HTML, "instead of JSON", "suspended", **{"Content-Type": "text/html"}),
    desk(200, {"tickets": [], "after_cursor": None}, "does not say whether the export ends"),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{r.vendor}-{r.status}-{n}" for n, r in enumerate(ROWS)])
def test_every_error_says_where_what_and_what_to_do(
    row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connector, stream = plugins().connector(row.vendor), STREAM[row.vendor]
    assert connector.sandbox is not None
    app: Any = connector.sandbox(WORLD)
    clock = ManualClock(WORLD.now.timestamp())
    app.clock = (lambda: WORLD.now) if row.vendor == "salesforce" else clock.time
    answer = SandboxAnswer(row.status, row.body, dict(row.headers))
    with serve(app, [Fault(DATA[row.vendor], answer=answer, times=99)]) as server:
        server.clock = clock.time
        settings = connector.config.model_validate(
            {
                "connector": row.vendor,
                "base_url": server.url,
                "allow_hosts": ["127.0.0.1"],
                **connector.sandbox_settings,
            }
        )
        declared = tuple(s for s in connector.streams if s.name == stream)
        space = Workspace(
            "w", tmp_path, ZoneInfo("UTC"), "USD", tmp_path / "s.db",
            {"crm": Connection("crm", connector, settings, declared)},
        )  # fmt: skip
        with (
            Store.open(tmp_path / "s.db") as store,
            open_session(
                connector, settings, connection="crm", timezone=space.timezone, limiter=UNLIMITED, clock=clock
            ) as session,
        ):
            reports = sync(store, space, {"crm": session}, run_id="r1")
            ((cursor, error),) = store.query("SELECT cursor, error FROM source_state")
    assert reports[0].outcome == "failed"
    assert (reports[0].read, cursor) == (0, None), "an error is never an empty stream"
    complain(Call(), reports)
    written = capsys.readouterr().err.splitlines()
    what, *rest = written
    assert what.startswith(f"crm.{stream}: ")
    assert re.search(row.says, what), what
    assert any(re.match(r"  fix: \w.*" + row.fix, line) or re.search(row.fix, line) for line in rest), written
    assert [line.split(":")[0] for line in rest if line.startswith("  kept")], written
    assert len(written) <= 4, "what, kept, resumes, fix"
    assert "Traceback" not in "".join(written)
    assert error in what
