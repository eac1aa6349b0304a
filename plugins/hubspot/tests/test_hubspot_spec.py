"""Everything we send, and everything our sandbox answers, against HubSpot's own description of version 2026-09."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from cssync.connectors import Change, OwnField
from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync_hubspot.setup import check, describe, provision
from cssync_hubspot.writeback import find_tasks, push, read

SPEC = Path(__file__).resolve().parents[4] / "shared" / "vendors" / "specs" / "hubspot-2026-09.json"
HOST = "https://api.hubapi.com"


@pytest.fixture(scope="module")
def spec() -> Any:
    if not SPEC.exists():
        pytest.skip("the vendors' specifications are not beside this checkout")
    document = json.loads(SPEC.read_text())
    for schema in document["components"]["schemas"].values():
        _nullable(schema)
    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                operation.pop("security", None)
    return OpenAPI.from_dict(document)


def _nullable(schema: dict[str, Any]) -> None:
    """The description does not say that property values may be null; recorded answers of the real API hold many."""
    values = schema.get("properties", {}).get("properties", {}).get("additionalProperties")
    if isinstance(values, dict):
        values["nullable"] = True


@pytest.fixture
def traffic(rig: Any) -> list[tuple[SandboxRequest, SandboxAnswer]]:
    """What goes over the wire from here on."""
    seen: list[tuple[SandboxRequest, SandboxAnswer]] = []
    real = rig.app.handle

    def handle(request: SandboxRequest) -> SandboxAnswer:
        answer = real(request)
        seen.append((request, answer))
        return answer

    rig.app.handle = handle
    return seen


def everything(rig: Any) -> None:
    """Use every request that the connector has."""
    portal = rig.app.portal
    companies = sorted(portal.things["companies"])
    for stream in ("companies", "contacts", "deals", "tickets", "tasks", "owners", "p4242_usage"):
        cursor = rig.pull(stream).cursor
        if stream == "deals":
            rig.clock.now += 3600
            for deal in sorted(portal.things["deals"])[:5]:
                portal.edit("deals", deal, amount=5)
            portal.archive("deals", sorted(portal.things["deals"])[6])
        rig.pull(stream, cursor)
    list(check(rig.session, {"companies": ["seats"]}))
    describe(rig.session, "companies")
    fields = [OwnField("cs_score", "Score", "integer"), OwnField("cs_band", "Band", "enum", ("green", "red"))]
    list(provision(rig.session, "companies", fields, dry_run=False))
    wider = [fields[0], OwnField("cs_band", "Band", "enum", ("green", "red", "yellow"))]
    list(provision(rig.session, "companies", wider, dry_run=False))
    from cssync.connectors import TaskContent

    task = TaskContent("k-1", companies[0], "Subject", "Body", "2026-12-28")
    changes = [
        Change("1", "update", "companies", companies[0], {"cs_score": 82, "cs_band": None}),
        Change("2", "update", "companies", "404", {"cs_score": 82}),
        Change("3", "create_task", "tasks", None, task=task),
    ]
    assert {o.state for o in push(rig.session, changes)} == {"verified", "failed-permanent"}
    read(rig.session, "companies", companies[:2], ["cs_score"])
    found = find_tasks(rig.session, [task])
    list(push(rig.session, [Change("4", "close_task", "tasks", found["k-1"].remote_id, task=task)]))
    deal = TaskContent("k-2", companies[0], "Upsell", "Body", "2027-02-01", kind="upsell", amount="12.50")
    assert [o.state for o in push(rig.session, [Change("5", "create_task", "tasks", None, task=deal)])] == ["verified"]
    made = find_tasks(rig.session, [deal])["k-2"]
    assert (made.status, made.amount) == ("open", "12.50")
    list(push(rig.session, [Change("6", "update_task", "tasks", made.remote_id, task=deal)]))


def test_requests_and_answers_keep_to_the_description(rig: Any, traffic: Any, spec: Any) -> None:
    rig.app.list_page, rig.app.association_page = 20, 2
    everything(rig)
    seen: Counter[str] = Counter()
    for request, answer in traffic:
        sent = MockRequest(
            HOST,
            request.method.lower(),
            request.path,
            args=dict(request.query),
            data=request.body or None,
            content_type="application/json",
        )
        try:
            spec.validate_request(sent)
            if answer.status < 300:
                body = b"" if answer.body is None else json.dumps(answer.body).encode()
                spec.validate_response(
                    sent, MockResponse(body, status_code=answer.status, content_type="application/json")
                )
        except OpenAPIError as error:
            line = f"{request.method} {request.path} {dict(request.query)} -> {answer.status}"
            pytest.fail(f"{line}: {error!r} {error.__cause__!r} {getattr(error.__cause__, 'schema_errors', '')}"[:3000])
        seen[f"{request.method} {request.path}"] += 1
    assert len(seen) >= 30
    assert any("batch/create" in line for line in seen)
