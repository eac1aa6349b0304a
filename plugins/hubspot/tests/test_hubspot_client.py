"""The facts of HubSpot over HTTP: what is sent, and what each kind of refusal makes of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pydantic
import pytest
import respx

from cssync.connectors import Answer, PullRequest, Session
from cssync.errors import ConnectionFault, TransientFault
from cssync.http.clock import ManualClock
from cssync_hubspot import HUBSPOT
from cssync_hubspot.client import Portal, daily, vendor
from cssync_hubspot.settings import HubSpotSettings
from cssync_hubspot.streams import COMPANIES, DEALS, OWNERS

TOKEN = "pat-canary-1"
DATE = "Fri, 20 Nov 2026 20:30:00 GMT"


def page(*records: dict[str, Any], after: str | None = None) -> httpx.Response:
    paging = {"paging": {"next": {"after": after}}} if after else {}
    return httpx.Response(200, json={"results": list(records), **paging}, headers={"date": DATE})


def company(number: int, **properties: Any) -> dict[str, Any]:
    return {"id": str(number), "properties": properties, "updatedAt": "2026-11-20T10:00:00Z", "archived": False}


def refused(status: int, **body: Any) -> httpx.Response:
    return httpx.Response(status, json={"status": "error", **body}, headers={"date": DATE})


def test_what_is_sent_on_a_full_load(api: respx.MockRouter, session: Callable[..., Session]) -> None:
    api.get("/account-info/2026-09/details").respond(json={"portalId": 1}, headers={"date": DATE})
    route = api.get("/crm/objects/2026-09/companies")
    route.side_effect = [page(company(1), after="c2/=&"), page(company(2)), page()]
    pages = list(COMPANIES.pages(session(), PullRequest(None, ("name",), COMPANIES.lag)))
    assert [[r["id"] for r in p.records] for p in pages] == [["1"], ["2"], []]
    assert pages[0].cursor == {
        "phase": "full", "started": "2026-11-20T20:30:00.000Z", "after": "c2/=&", "archived": [],
    }  # fmt: skip
    assert [p.last for p in pages] == [False, False, True]
    first, second, archive = (call.request for call in route.calls)
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert dict(first.url.params) == {"limit": "100", "properties": "name,hs_lastmodifieddate"}
    assert second.url.params["after"] == "c2/=&"
    assert archive.url.params["archived"] == "true"


def test_links_come_with_the_list_and_the_version_is_one_setting(
    api: respx.MockRouter, session: Callable[..., Session]
) -> None:
    held = {"companies": {"results": [{"id": "7", "type": "deal_to_company_unlabeled"},
                                      {"id": "8", "type": "deal_to_company"}]}}  # fmt: skip
    api.get("/account-info/2027-03/details").respond(
        json={"portalId": 1, "companyCurrency": "EUR"}, headers={"date": DATE}
    )
    api.get("/crm/pipelines/2027-03/deals").respond(json={"results": []})
    route = api.get("/crm/objects/2027-03/deals")
    route.side_effect = [page({**company(1), "associations": held}), page()]
    pages = DEALS.pages(session(api_version="2027-03"), PullRequest(None, ("dealname",), DEALS.lag))
    (record,) = next(pages).records
    assert (record["company"], record["currency"]) == ("8", "EUR")
    assert route.calls[0].request.url.params["associations"] == "companies"
    assert list(pages)[-1].last


def test_owners_are_read_live_and_archived(api: respx.MockRouter, session: Callable[..., Session]) -> None:
    route = api.get("/crm/owners/2026-09")
    route.side_effect = [page({"id": "1"}, after="x"), page({"id": "2"}), page({"id": "3", "archived": True})]
    records = [r["id"] for p in OWNERS.pages(session(), PullRequest(None, (), OWNERS.lag)) for r in p.records]
    assert records == ["1", "2", "3"]
    assert [c.request.url.params["archived"] for c in route.calls] == ["false", "false", "true"]


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (refused(429, policyName="TEN_SECONDLY_ROLLING", errorType="RATE_LIMIT", message="slow"), 10.0),
        (refused(429, policyName="SECONDLY", errorType="RATE_LIMIT", message="slow"), 1.0),
        (refused(429, message="You have reached your secondly limit."), 1.0),
        (httpx.Response(429, text="", headers={"retry-after": "17"}), 17.0),
        (httpx.Response(429, text="<html>", headers={"date": DATE}), 10.0),
        (refused(423, message="locked"), 2.0),
    ],
)
def test_limits_and_locks_are_waited_for(
    api: respx.MockRouter, session: Callable[..., Session], clock: ManualClock, answer: httpx.Response, wait: float
) -> None:
    api.get("/crm/owners/2026-09").side_effect = [answer, page()]
    session().get("/crm/owners/2026-09")
    assert wait <= max(clock.slept) <= wait + 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 521, 523, 524])
def test_passing_faults_are_tried_again(
    api: respx.MockRouter, session: Callable[..., Session], clock: ManualClock, status: int
) -> None:
    api.get("/crm/owners/2026-09").side_effect = [httpx.Response(status, text="<html>"), page()]
    assert session().get("/crm/owners/2026-09").status == 200


def test_a_move_between_regions_and_a_spent_day_end_the_run_with_the_time_to_come_back(
    api: respx.MockRouter, session: Callable[..., Session]
) -> None:
    moving = httpx.Response(477, json={}, headers={"date": DATE, "retry-after": "7200"})
    api.get("/crm/owners/2026-09").side_effect = [moving]
    with pytest.raises(TransientFault) as caught:
        session().get("/crm/owners/2026-09")
    assert caught.value.resumes_at is not None
    assert caught.value.resumes_at.startswith("2026-11-20T22:30")


def test_the_day_ends_at_the_accounts_midnight() -> None:
    portal = Portal()
    daily = Answer(429, {"date": DATE}, b'{"policyName": "DAILY"}', "/crm/owners/2026-09")
    assert portal.judge(daily).seconds == 3.5 * 3600  # midnight UTC while nothing else is known
    for zone, hours in (("Asia/Tokyo", 18.5), ("US/Eastern", 8.5), ("No/Where", 3.5)):
        details = Answer(200, {}, json.dumps({"timeZone": zone}).encode(), "/account-info/2026-09/details")
        assert portal.judge(details).kind == "ok"
        verdict = portal.judge(daily)
        assert (verdict.kind, verdict.seconds) == ("stop", hours * 3600)


@pytest.mark.parametrize(
    ("answer", "message", "fix"),
    [
        (refused(401, category="INVALID_AUTHENTICATION", message="Bad", correlationId="c-1"), "c-1", "Service keys"),
        (refused(401, category="EXPIRED_AUTHENTICATION", message="Old"), "EXPIRED_AUTHENTICATION: Old", "Service keys"),
        (
            refused(403, category="MISSING_SCOPES", message="No",
                    errors=[{"message": "x", "context": {"requiredScopes": ["tickets", "crm.objects.deals.read"]}}]),
            "MISSING_SCOPES: No", "add to the key: crm.objects.deals.read, tickets",
        ),
        (refused(403), "no reason given", "scopes listed"),
        (refused(404, category="OBJECT_NOT_FOUND", message="gone"), "gone", "api_version"),
        (httpx.Response(414, text="<html>"), "414", "map fewer fields"),
        (refused(400, message="Invalid", errors=[{"message": "limit too high"}]), "limit too high", ""),
    ],
)  # fmt: skip
def test_refusals_carry_the_vendors_words_and_a_remedy_and_never_the_token(
    api: respx.MockRouter, session: Callable[..., Session], answer: httpx.Response, message: str, fix: str
) -> None:
    api.get("/crm/owners/2026-09").mock(return_value=answer)
    with pytest.raises(ConnectionFault) as caught:
        session().get("/crm/owners/2026-09")
    fault = caught.value
    assert not isinstance(fault, TransientFault)
    assert message in fault.message
    assert fix in fault.fix
    assert TOKEN not in f"{fault.message}{fault.kept}{fault.fix}"


def test_headers_that_show_a_spent_allowance_hold_everybody_back() -> None:
    portal = Portal()
    spent = {"x-hubspot-ratelimit-remaining": "0", "x-hubspot-ratelimit-interval-milliseconds": "10000", "date": DATE}
    assert portal.pause(Answer(200, spent, b"")) == ("general", 10.0)
    assert portal.pause(Answer(200, {**spent, "x-hubspot-ratelimit-remaining": "101"}, b"")) is None
    assert portal.pause(Answer(200, {"x-hubspot-ratelimit-daily-remaining": "0", "date": DATE}, b"")) == (
        "general", 3.5 * 3600,
    )  # fmt: skip
    assert portal.pause(Answer(200, {}, b"")) is None


@pytest.mark.parametrize(
    ("setting", "told", "seconds"), [({}, 190, 20), ({}, 50, 80), ({"calls_per_10_seconds": 100}, 190, 40)]
)
def test_the_pace_is_what_the_account_allows_unless_it_is_set(
    api: respx.MockRouter,
    session: Callable[..., Session],
    clock: ManualClock,
    setting: dict[str, int],
    told: int,
    seconds: int,
) -> None:
    headers = {"x-hubspot-ratelimit-max": str(told), "x-hubspot-ratelimit-interval-milliseconds": "10000"}
    api.get("/account-info/2026-09/details").respond(200, json={"portalId": 1}, headers=headers)
    opened, began = session(**setting), clock.now
    for _ in range(400):
        opened.get("/account-info/2026-09/details")
    assert clock.now - began == pytest.approx(seconds, rel=0.15)


def test_search_has_a_bucket_of_its_own() -> None:
    settings = HubSpotSettings.model_validate({"connector": "hubspot", "token": TOKEN, "calls_per_10_seconds": 190})
    search, general = vendor(settings).buckets
    assert (search.calls, search.seconds, general.calls, general.seconds) == (5, 1.0, 190, 10.0)
    assert re.search(search.paths, "POST /crm/objects/2026-09/companies/search")
    assert not re.search(search.paths, "POST /crm/objects/2026-09/companies/batch/read")


@pytest.mark.parametrize(
    "given", [{"token": "two\nlines"}, {"token": ""}, {"token": TOKEN, "api_version": "v3"}, {"token": TOKEN, "x": 1}]
)
def test_wrong_settings_are_refused_without_showing_the_token(given: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        HubSpotSettings.model_validate({"connector": "hubspot", **given})
    assert "canary" not in str(caught.value)


def test_only_hubspots_own_host_is_ever_called(session: Callable[..., Session]) -> None:
    for url in ("https://api.hubapi.com.evil.example/crm", "https://evil.example/", "http://api.hubapi.com/crm"):
        with pytest.raises(ConnectionFault):
            session().get(url)
    assert HUBSPOT.hosts == r"api\.hubapi\.com"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"x-hubspot-ratelimit-daily": "250000", "x-hubspot-ratelimit-daily-remaining": "1234"}, (1234, 250000)),
        ({"x-hubspot-ratelimit-daily": "250000"}, None),
        ({}, None),
    ],
)
def test_the_days_allowance_is_read_from_the_headers(headers: dict[str, str], told: tuple[int, int] | None) -> None:
    assert daily(Answer(200, headers, b"{}")) == told
