"""Real answers through the normaliser; our requests and the sandbox's answers against the machine-readable contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import respx

from cssync.connectors import Change, OwnField, PullRequest, Session, TaskContent
from cssync.sandbox.server import SandboxAnswer, SandboxRequest, SandboxServer
from cssync.sync.normalise import Normaliser
from cssync_salesforce import soql
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.opportunities import OPPORTUNITY_KEY
from cssync_salesforce.reading import pages
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.streams import custom_stream, object_of

VENDORS = Path(__file__).parents[4] / "shared" / "vendors"
RECORDED = VENDORS / "recorded" / "salesforce.json"
SPEC = VENDORS / "specs" / "salesforce-rest.json"
ACCOUNT = VENDORS / "specs" / "salesforce-describe-Account.sample.json"
HOST = "https://acme.my.salesforce.com"
DATA = f"{HOST}/services/data/v66.0"

recorded = pytest.mark.skipif(not RECORDED.exists(), reason="recorded responses are not here")
specified = pytest.mark.skipif(not SPEC.exists(), reason="the specification is not here")


def entry(origin: str) -> dict[str, Any]:
    return next(e for e in json.loads(RECORDED.read_text()) if e["origin"] == origin)


def normaliser(stream: str, **mapped: str) -> Normaliser:
    found = SALESFORCE.stream(stream)
    assert found is not None
    zone = ZoneInfo("Asia/Tokyo")
    return Normaliser(found, mapped=mapped, written=(), timezone=zone, currency="USD", today="2026-11-21")


def replay(api: respx.MockRouter, session: Session, stream: str, recorded_page: dict[str, Any]) -> list[dict[str, Any]]:
    """Let the connector read a recorded page, as if the org had just those fields; return the rows."""
    body = recorded_page["body"]
    names = [n for n in body["records"][0] if n != "attributes"]
    fields = [{"name": n, "type": "string"} for n in dict.fromkeys([*names, "SystemModstamp"])]
    source = object_of(stream)
    api.get(f"{DATA}/sobjects/{source}/describe").respond(
        json={"name": source, "fields": fields}, headers={"Date": recorded_page["headers"]["date"]}
    )
    api.get(f"{DATA}/queryAll").respond(json=body)
    declared = SALESFORCE.stream(stream)
    assert declared is not None
    (page,) = declared.pages(session, PullRequest(None, declared.fields_of, declared.lag))
    assert page.last
    make = normaliser(stream)
    return [row for record in page.records for _, row in make(record).rows]


@recorded
def test_recorded_cases(api: respx.MockRouter, mocked: Session) -> None:
    rows = replay(api, mocked, "cases", entry("cases.test.json"))
    tickets = [r for r in rows if "subject" in r]
    assert len(tickets) == 26
    assert tickets[0] == {
        "source_id": "500dM00003F2OMjQAN",
        "source_url": f"{HOST}/500dM00003F2OMjQAN",
        "created_at": "2026-05-01T07:25:37Z",
        "updated_at": "2026-05-01T07:25:37Z",
        "account_source_id": "001dM00003jU9H2QAK",
        "requester_source_id": tickets[0]["requester_source_id"],
        "subject": "Performance inadequate for second consecutive week",
        "status": "closed",
        "priority": "high",
        "type": "Electrical",
        "category": "Performance",
        "opened_at": "2026-05-01T07:25:37Z",
        "solved_at": tickets[0]["solved_at"],
        "escalated": 0,
    }
    assert {t["status"] for t in tickets} <= {"new", "open", "closed"}
    assert {t["priority"] for t in tickets} <= {"high", "normal", "low"}
    times = [r for r in rows if "full_resolution_minutes" in r]
    assert len(times) == 26


@recorded
def test_recorded_contacts_and_opportunities(api: respx.MockRouter, mocked: Session) -> None:
    contacts = replay(api, mocked, "contacts", entry("contacts.test.json"))
    assert len(contacts) == 213
    assert contacts[0]["email"] == "person278@example.net"
    assert contacts[0]["account_source_id"] == "001dM00003jU9GxQAK"
    api.reset()
    deals = replay(api, mocked, "opportunities", entry("opportunities.test.json"))
    assert len(deals) == 31
    assert (deals[0]["amount"], deals[0]["currency"], deals[0]["close_date"]) == (1_500_000, "USD", "2026-03-08")


@recorded
def test_recorded_user_versions_and_limits_prove_the_set_up(api: respx.MockRouter, mocked: Session) -> None:
    api.get(f"{HOST}/services/data").respond(json=entry("list-available-resources.test.json")["body"])
    api.get(f"{HOST}/services/oauth2/userinfo").respond(json=entry("get-current-user.test.json")["body"])
    api.get(f"{DATA}/query").respond(403, json=[{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}])
    api.get(f"{DATA}/limits/recordCount").respond(json={"sObjects": [{"name": "Account", "count": 12}]})
    api.get(f"{DATA}/limits").respond(json=entry("get-limits.test.json")["body"])
    api.get(url__regex=rf"{DATA}/sobjects/\w+/describe").respond(json=entry("describe-sobject.test.json")["body"])
    found = {f.subject: f for f in SALESFORCE.check(mocked, {"accounts": ["NumberofLocations__c"]})}
    assert found["org"].message.startswith("agentforce") or "00DdM00000vfgTuUAI" in found["org"].message
    assert found["quota"].level == "ok"
    assert found["accounts.NumberofLocations__c"].level == "ok"


@recorded
def test_a_recorded_last_page_ends_the_stream(api: respx.MockRouter, mocked: Session) -> None:
    last = entry("retrieve-query-more.test.json")["body"]
    stamped = [{**r, "SystemModstamp": "2026-05-06T11:57:44.000+0000"} for r in last["records"]]
    first = [{**r, "Id": f"{r['Id'][:9]}{n:06d}AAA"} for n, r in enumerate(stamped * 24)][:2000]
    api.get(f"{DATA}/sobjects/Account/describe").respond(
        json={"fields": [{"name": n, "type": "string"} for n in ("Id", "Name", "SystemModstamp")]}
    )
    link = "/services/data/v66.0/query/0r8xx5R2sM3DgWhASK-2000"
    api.get(f"{DATA}/queryAll").respond(
        json={"totalSize": 2086, "done": False, "nextRecordsUrl": link, "records": first}
    )
    api.get(f"{HOST}{link}").respond(json={**last, "records": stamped})
    stream = SALESFORCE.stream("accounts")
    assert stream is not None
    found = list(pages(mocked, PullRequest(None, ("Name",), stream.lag), "Account"))
    assert [len(p.records) for p in found] == [2000, 86]


@pytest.mark.skipif(not ACCOUNT.exists(), reason="the sample of a description is not here")
def test_a_real_description_of_account_is_read(api: respx.MockRouter, mocked: Session) -> None:
    api.get(f"{DATA}/sobjects/Account/describe").respond(json=json.loads(ACCOUNT.read_text()))
    assert SALESFORCE.describe is not None
    fields = {f.name: f for f in SALESFORCE.describe(mocked, "accounts")}
    assert len(fields) == 70
    assert (fields["Name"].type, fields["Name"].length, fields["Name"].writable) == ("text", 255, True)
    assert fields["Type"].options[0] == "Prospect"
    assert fields["AnnualRevenue"].type == "money"
    assert fields["NumberOfEmployees"].type == "integer"
    stream = SALESFORCE.stream("accounts")
    assert stream is not None
    assert set(stream.fields_of) - {"CurrencyIsoCode"} <= set(fields)


class Listening:
    """A sandbox app that keeps what it was asked and what it answered."""

    def __init__(self, app: SalesforceSandbox) -> None:
        self.app = app
        self.heard: list[tuple[SandboxRequest, SandboxAnswer]] = []

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        answer = self.app.handle(request)
        self.heard.append((request, answer))
        return answer


@specified
def test_requests_and_answers_keep_to_the_specification(
    org: SalesforceSandbox, server: SandboxServer, open_live: Callable[..., Session]
) -> None:
    openapi_core = pytest.importorskip("openapi_core")
    from openapi_core.testing import MockRequest, MockResponse

    listening = Listening(org)
    server.app = listening
    work_through(org, open_live())
    org.batch = 10
    contacts = SALESFORCE.stream("contacts")
    assert contacts is not None
    list(contacts.pages(open_live(bulk_from=1), PullRequest(None, contacts.fields_of, contacts.lag)))
    write_through(org, open_live(bulk_write_from=5))
    config = openapi_core.Config(extra_media_type_deserializers={"text/csv": bytes.decode})
    spec = openapi_core.OpenAPI.from_dict(json.loads(SPEC.read_text()), config=config)
    seen: set[str] = set()
    for request, answer in listening.heard:
        asked = MockRequest(
            "https://example.my.salesforce.com",
            request.method.lower(),
            request.path,
            args=dict(request.query),
            headers={"Authorization": request.headers.get("authorization", "Bearer none-yet")},
            data=request.body or None,
            content_type=request.headers.get("content-type", "application/json"),
        )
        spec.validate_request(asked)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        kind = answer.headers.get("Content-Type", "application/json")
        spec.validate_response(asked, MockResponse(body, status_code=answer.status, content_type=kind))
        seen.add(f"{request.method} {request.path.rsplit('/', 1)[-1]} {answer.status}")
    assert {"POST token 200", "GET userinfo 200", "GET describe 200", "GET queryAll 200", "PATCH sobjects 200"} <= seen
    assert {"POST CustomField 201", "PATCH CS_Task_Key__c 200", "GET describe 404"} <= seen
    assert {"POST query 200", "GET results 200"} <= seen
    assert {"POST ingest 200", "PUT batches 201", "GET successfulResults 200", "GET failedResults 200"} <= seen
    assert {"GET unprocessedrecords 200", "GET ingest 200", "POST Account 200"} <= seen
    assert {"PATCH CS_Opportunity_Key__c 200", f"PATCH {soql.id18(ALONE[0])} 204"} <= seen


ALONE: list[str] = []


def write_through(org: SalesforceSandbox, live: Session) -> None:
    """Use every way of writing: a job, a collection, a guarded record, an opportunity; and what a job leaves."""
    assert SALESFORCE.provision is not None
    assert SALESFORCE.drain is not None
    assert SALESFORCE.read is not None
    push = SALESFORCE.push
    assert push is not None
    list(SALESFORCE.provision(live, "accounts", [OwnField("CS_Bulk__c", "Bulk", "integer")], False))
    list(SALESFORCE.provision(live, "opportunities", [OPPORTUNITY_KEY], False))
    ids = [org.insert("Account", Name=f"Bulk {n}") for n in range(201)]
    ALONE[:] = ids[:1]
    changes = [Change(one, "update", "accounts", one, {"CS_Bulk__c": 1}, read_at=live.now()) for one in ids]
    assert {o.state for o in push(live, changes)} == {"verified"}
    assert {o.state for o in push(live, changes[:1])} == {"verified"}
    assert len(SALESFORCE.read(live, "accounts", ids, ["CS_Bulk__c"])) == 201
    deal = TaskContent("d", ids[0], "Upsell", "Because.", "2027-02-01", kind="upsell", amount="12.50")
    assert {o.state for o in push(live, [Change("d", "create_task", "accounts", None, task=deal)])} == {"verified"}
    assert SALESFORCE.find_tasks is not None
    assert set(SALESFORCE.find_tasks(live, [deal])) == {"d"}
    SALESFORCE.drain(live, "accounts")


def work_through(org: SalesforceSandbox, live: Session) -> None:
    """Use every part of the connector once, refusals included."""
    org.batch = 300
    usage = {"Account__c": "usage_metric.account_source_id", "Active_Users__c": "usage_metric.active_users"}
    assert SALESFORCE.identity(live).org_id
    list(SALESFORCE.check(live, {"accounts": ["Segment__c"], "Nope__c": ["X__c"]}))
    for stream in (*SALESFORCE.streams, custom_stream("Product_Usage__c", usage)):
        list(stream.pages(live, PullRequest(None, (*stream.fields_of, *usage), stream.lag)))
    assert SALESFORCE.provision
    assert SALESFORCE.push
    assert SALESFORCE.read
    assert SALESFORCE.find_tasks
    list(SALESFORCE.provision(live, "accounts", [OwnField("CS_Score__c", "Score", "integer")], False))
    list(SALESFORCE.provision(live, "tasks", [], False))
    account = next(iter(org.tables["Account"]))
    task = TaskContent("k1", account, "Renewal", "because", "2026-12-01")
    changes = [
        Change("a", "update", "accounts", account, {"CS_Score__c": 82}),
        Change("b", "update", "accounts", "001000000000000AAA", {"CS_Score__c": 82}),
        Change("c", "create_task", "tasks", None, task=task),
    ]
    assert {o.key: o.state for o in SALESFORCE.push(live, changes)} == {
        "a": "verified",
        "b": "failed-permanent",
        "c": "verified",
    }
    assert SALESFORCE.read(live, "accounts", [account], ["CS_Score__c"]) == {account: {"CS_Score__c": 82}}
    assert SALESFORCE.find_tasks(live, [task])
