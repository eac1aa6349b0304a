"""What we send and what the sandbox answers, against the vendor's own description of its API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from cssync.connectors import Change, OwnField, PullRequest, Session, TaskContent
from cssync.sandbox.server import SandboxAnswer, SandboxRequest, SandboxServer
from cssync_zendesk import ZENDESK
from cssync_zendesk.sandbox import ZendeskSandbox

SPEC = Path(__file__).parents[4] / "shared" / "vendors" / "specs" / "zendesk-support.json"
pytestmark = pytest.mark.skipif(not SPEC.exists(), reason="the vendor's description is not part of the product")
NOT_DESCRIBED = {"PUT /api/v2/organization_fields/{id}", "DELETE /api/v2/organizations/{id}"}
"""Documented by the vendor, and absent from the subset that the file holds."""


@cache
def spec() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SPEC.read_text().replace('"#/components', '"urn:zendesk#/components'))
    return found


@cache
def registry() -> Registry[Any]:
    return Registry().with_resource("urn:zendesk", Resource(contents=spec(), specification=DRAFT4))


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    validator = OAS30Validator(schema, registry=registry())
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(value)]


def operation(method: str, path: str) -> dict[str, Any] | None:
    """The operation a request belongs to; a literal path goes before one with a parameter."""
    plain = path.removesuffix(".json")
    templates = sorted(spec()["paths"], key=lambda t: t.count("{"))
    for template in templates:
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), plain):
            found: dict[str, Any] | None = spec()["paths"][template].get(method.lower())
            if found:
                return found
    return None


class Recorder:
    """Stands before the sandbox and keeps every exchange."""

    def __init__(self, app: ZendeskSandbox) -> None:
        self.app = app
        self.exchanges: list[tuple[SandboxRequest, SandboxAnswer]] = []

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        answer = self.app.handle(request)
        self.exchanges.append((request, answer))
        return answer


@pytest.fixture
def exchanges(server: SandboxServer, app: ZendeskSandbox, live: Callable[..., Session]) -> Any:
    """Everything the connector does, once."""
    recorder = Recorder(app)
    server.app = recorder
    session = live()
    ZENDESK.identity(session)
    own = [OwnField("cs_band", "Band", "enum", ("green", "red")), OwnField("cs_score", "Score", "integer")]
    list(ZENDESK.provision(session, "organizations", own, False))
    list(ZENDESK.check(session, {"organizations": ["cs_band"], "tickets": ["custom_fields.1"], "users": ["x"]}))
    for stream in ZENDESK.streams:
        pages = list(stream.pages(session, PullRequest(None, ("cs_band",), timedelta(0))))
        cursor = next(p.cursor for p in reversed(pages) if p.cursor)
        list(stream.pages(session, PullRequest(cursor, ("cs_band",), timedelta(0))))
    ids = [str(key) for key in list(app.organizations.records)[:3]]
    app.fail[int(ids[0])] = "Name: has already been taken"
    values = {"cs_band": "red", "cs_score": 12}
    list(ZENDESK.push(session, [Change(i, "update", "organizations", i, values) for i in ids]))
    ZENDESK.read(session, "organizations", ids, ["cs_band"])
    assert ZENDESK.drain is not None
    ZENDESK.drain(session, "organizations")
    tickets(live(task_tickets="true"), ids[0])
    return recorder.exchanges


def tickets(session: Session, organization: str) -> None:
    """Make an internal ticket, change it, solve it and open it again; once with a stamp that is too old."""
    assert ZENDESK.push is not None
    assert ZENDESK.find_tasks is not None
    task = TaskContent("f" * 24, organization, "Renew", "Because.", "2026-12-28", "high", "360001", note="moved")
    list(ZENDESK.push(session, [Change("c", "create_task", "organizations", None, task=task)]))
    for action in ("update_task", "close_task", "reopen_task"):
        held = ZENDESK.find_tasks(session, [task])[task.key]
        change = Change("u", action, "organizations", held.remote_id, task=task, stamp=held.stamp)  # type: ignore[arg-type]
        assert [o.state for o in ZENDESK.push(session, [change])] == ["verified"]
    comment = replace(task, note="It is done; yours to close.", comment_only=True)
    held = ZENDESK.find_tasks(session, [task])[task.key]
    change = Change("m", "update_task", "organizations", held.remote_id, task=comment, stamp=held.stamp)
    assert [o.state for o in ZENDESK.push(session, [change])] == ["verified"]
    assert "yours to close" in ZENDESK.find_tasks(session, [comment])[task.key].text
    keyless = replace(task, key="e" * 24, remote_id=held.remote_id)
    assert ZENDESK.find_tasks(session, [keyless])[keyless.key].remote_id == held.remote_id
    late = Change("l", "update_task", "organizations", held.remote_id, task=task, stamp="2020-01-01T00:00:00Z")
    assert [o.state for o in ZENDESK.push(session, [late])] == ["moved"]


def test_every_request_and_every_answer_fits_the_description(exchanges: Any) -> None:
    seen = set()
    for request, answer in exchanges:
        line = re.sub(r"/(\d+|V3-\w+)(?=/|$)", "/{id}", f"{request.method} {request.path}")
        described = operation(request.method, request.path)
        assert described is not None or line in NOT_DESCRIBED, line
        seen.add(line)
        if described is None:
            continue
        for parameter in (p for p in described.get("parameters", ()) if p["in"] == "query"):
            value = request.query.get(parameter["name"])
            assert value is not None or not parameter.get("required"), f"{line}: {parameter['name']} is missing"
            if value is not None:
                number = parameter["schema"].get("type") == "integer"
                assert faults(parameter["schema"], int(value) if number else value) == [], line
        known = {p["name"] for p in described.get("parameters", ())}
        paging = {"page[size]", "page[after]"}
        assert set(request.query) <= known | paging, f"{line}: {set(request.query) - known}"
        if request.body:
            if "requestBody" in described:
                assert (
                    faults(described["requestBody"]["content"]["application/json"]["schema"], request.json()) == []
                ), line
            else:  # the description of creating a ticket forgets its body
                ticket = spec()["components"]["schemas"]["TicketObject"]
                assert set(request.json()["ticket"]) <= {*ticket["properties"], "comment"}, line
                assert faults(ticket, request.json()["ticket"]) == [], line
        declared = described["responses"].get(str(answer.status)) or described["responses"]["4XX"]
        body = json.loads(json.dumps(answer.body))
        assert faults(declared["content"]["application/json"]["schema"], body) == [], line
    assert {line for line in seen if line.startswith(("PUT", "POST"))} == {
        "POST /oauth/tokens",
        "POST /api/v2/organization_fields",
        "PUT /api/v2/organizations/update_many",
        "POST /api/v2/tickets",
        "PUT /api/v2/tickets/{id}",
    }
    assert len(seen) == 19


def test_the_sandbox_refuses_in_the_vendors_words(app: ZendeskSandbox) -> None:
    def ask(method: str, path: str, body: Any = None, token: str = "", **query: str) -> SandboxAnswer:
        headers = {"authorization": f"Bearer {token}"}
        raw = json.dumps(body or {}).encode()
        return app.handle(SandboxRequest(method, path, query, headers, raw, "http://x"))

    def granted(scope: str) -> str:
        client = {"client_id": "cssync-sandbox", "client_secret": "sandbox-zendesk-secret"}
        body = {"grant_type": "client_credentials", "scope": scope, **client}
        return str(ask("POST", "/oauth/tokens", body).body["access_token"])

    both, strange = granted("read organizations:write"), granted("reed")
    field = {"organization_field": {"key": "a", "title": "A", "type": "dropdown", "custom_field_options": []}}
    many = {"organizations": [{"id": n} for n in range(101)]}
    refusals = [
        (401, "invalid_token", ask("GET", "/api/v2/organizations/count")),
        (403, "Forbidden", ask("GET", "/api/v2/organizations/count", token=strange)),
        (
            422,
            "StartTimeTooRecent",
            ask("GET", "/api/v2/incremental/organizations", token=both, start_time="99999999999"),
        ),
        (400, "TooManyValues", ask("PUT", "/api/v2/organizations/update_many", many, token=both)),
        (422, "RecordInvalid", ask("POST", "/api/v2/organization_fields", field, token=both)),
        (404, "RecordNotFound", ask("GET", "/api/v2/job_statuses/V3-1", token=both)),
        (404, "InvalidEndpoint", ask("GET", "/api/v2/nothing", token=both)),
    ]
    for status, error, answer in refusals:
        assert (answer.status, answer.body["error"]) == (status, error)
        assert faults(spec()["components"]["schemas"]["ZendeskError"], answer.body) == []
    app.jobs.clear()
    many = {"organizations": [{"id": 1}]}
    statuses = [ask("PUT", "/api/v2/organizations/update_many", many, token=both).status for _ in range(31)]
    assert statuses == [200] * 30 + [429]
