"""Logging in, and what an answer means."""

from __future__ import annotations

import json
import re

import httpx
import pytest
import respx
from pydantic import ValidationError

from cssync.connectors import Answer, Session
from cssync.errors import ConfigError, ConnectionFault, CssyncError, TransientFault
from cssync.http.clock import ManualClock
from cssync_salesforce.client import daily, judge
from cssync_salesforce.connector import HOSTS
from cssync_salesforce.settings import SalesforceSettings

HOST = "https://acme.my.salesforce.com"
DATA = f"{HOST}/services/data/v66.0"
TOKEN = f"{HOST}/services/oauth2/token"
LIMITS = {"DailyApiRequests": {"Max": 15000, "Remaining": 14000}}


def failure(code: str, message: str = "said so") -> list[dict[str, str]]:
    return [{"message": message, "errorCode": code}]


def test_the_login_is_one_form_and_its_token_goes_with_every_request(api: respx.MockRouter, mocked: Session) -> None:
    limits = api.get(f"{DATA}/limits").respond(json=LIMITS)
    mocked.get("/services/data/v66.0/limits")
    mocked.get("/services/data/v66.0/limits")
    login = api.calls[0].request
    assert dict(httpx.QueryParams(login.content.decode())) == {
        "grant_type": "client_credentials",
        "client_id": "canary-id",
        "client_secret": "canary-secret",
    }
    assert [c.request.url.path for c in api.calls].count("/services/oauth2/token") == 1
    assert limits.calls.last.request.headers["Authorization"] == "Bearer 00D!token-1"


def test_requests_go_where_the_token_says(api: respx.MockRouter, mocked: Session) -> None:
    api.post(TOKEN).respond(json={"access_token": "t", "instance_url": "https://acme2.my.salesforce.com"})
    moved = api.get("https://acme2.my.salesforce.com/services/data/v66.0/limits").respond(json=LIMITS)
    mocked.get("/services/data/v66.0/limits")
    assert moved.called


def test_no_token_leaves_for_a_host_that_is_not_salesforce(api: respx.MockRouter, mocked: Session) -> None:
    api.post(TOKEN).respond(json={"access_token": "t", "instance_url": "https://x.salesforce.com.evil.example"})
    with pytest.raises(ConnectionFault):
        mocked.get("/services/data/v66.0/limits")
    assert {c.request.url.host for c in api.calls} == {"acme.my.salesforce.com"}


def test_a_dead_session_is_renewed_once_and_the_request_repeated(api: respx.MockRouter, mocked: Session) -> None:
    api.post(TOKEN).mock(
        side_effect=[
            httpx.Response(200, json={"access_token": name, "instance_url": HOST}) for name in ("first", "second")
        ]
    )
    route = api.get(f"{DATA}/limits")
    route.side_effect = [
        httpx.Response(401, json=failure("INVALID_SESSION_ID", "Session expired or invalid")),
        httpx.Response(200, json=LIMITS),
    ]
    assert mocked.get("/services/data/v66.0/limits").json() == LIMITS
    assert [c.request.headers["Authorization"] for c in route.calls] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("status", "body", "names"),
    [
        (400, {"error": "invalid_client_id", "error_description": "client identifier invalid"}, "client_id"),
        (400, {"error": "invalid_client", "error_description": "invalid client credentials"}, "client_secret"),
        (400, {"error": "invalid_grant", "error_description": "no client credentials user enabled"}, "execution user"),
        (400, {"error": "inactive_user", "error_description": "user is inactive"}, "execution user"),
        (400, {"error": "unsupported_grant_type", "error_description": "not enabled"}, "client credentials flow"),
        (400, {"error": "something_new", "error_description": "?"}, "policies"),
        (404, None, "instance_url"),
    ],
)
def test_a_refused_login_names_what_to_correct(
    api: respx.MockRouter, mocked: Session, status: int, body: object, names: str
) -> None:
    api.post(TOKEN).respond(status, json=body) if body else api.post(TOKEN).respond(status, html="<html>no</html>")
    with pytest.raises(ConfigError) as refused:
        mocked.get("/services/data/v66.0/limits")
    assert names in refused.value.fix
    assert "canary" not in f"{refused.value.message}{refused.value.fix}{refused.value.kept}"
    assert api.calls.call_count == 1


def test_too_many_logins_are_for_the_next_run(api: respx.MockRouter, mocked: Session) -> None:
    api.post(TOKEN).respond(400, json={"error": "rate_limit_exceeded"})
    with pytest.raises(TransientFault):
        mocked.get("/services/data/v66.0/limits")


def test_the_daily_limit_ends_the_run_at_once(api: respx.MockRouter, mocked: Session, clock: ManualClock) -> None:
    route = api.get(f"{DATA}/limits").respond(
        403, json=failure("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    )
    with pytest.raises(TransientFault, match="daily API requests are used up"):
        mocked.get("/services/data/v66.0/limits")
    assert route.call_count == 1
    assert clock.slept == []


def test_too_many_long_requests_are_waited_for(api: respx.MockRouter, mocked: Session, clock: ManualClock) -> None:
    route = api.get(f"{DATA}/limits")
    busy = failure("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
    route.side_effect = [httpx.Response(403, json=busy), httpx.Response(200, json=LIMITS)]
    assert mocked.get("/services/data/v66.0/limits").json() == LIMITS
    assert sum(clock.slept) >= 30


def test_a_missing_permission_is_final_and_says_what_to_grant(api: respx.MockRouter, mocked: Session) -> None:
    route = api.get(f"{DATA}/limits").respond(403, json=failure("INSUFFICIENT_ACCESS", "insufficient access"))
    with pytest.raises(ConnectionFault) as refused:
        mocked.get("/services/data/v66.0/limits")
    assert not isinstance(refused.value, TransientFault)
    assert "execution user" in refused.value.fix
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {}, "ok"),
        (304, None, "ok"),
        (401, failure("INVALID_SESSION_ID"), "renew"),
        (403, b"Bad_OAuth_Token", "renew"),
        (403, failure("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), "stop"),
        (403, failure("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."), "wait"),
        (403, failure("API_DISABLED_FOR_ORG"), "fail"),
        (403, b"<html>forbidden</html>", "fail"),
        (400, failure("UNABLE_TO_LOCK_ROW"), "retry"),
        (400, failure("QUERY_TIMEOUT"), "retry"),
        (400, failure("MALFORMED_QUERY"), "fail"),
        (404, failure("NOT_FOUND"), "fail"),
        (410, failure("GONE"), "fail"),
        (414, b"", "fail"),
        (420, b"<html>maintenance</html>", "retry"),
        (429, b"", "wait"),
        (500, failure("UNKNOWN_EXCEPTION"), "retry"),
        (503, b"<html>maintenance</html>", "retry"),
        (520, b"<html>origin unreachable</html>", "retry"),
        (408, b"", "retry"),
        (400, b'{"error":"invalid_grant"}', "fail"),
        (400, b"[]", "fail"),
        (400, b'["odd"]', "fail"),
    ],
)
def test_answers_are_told_apart(status: int, body: object, kind: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert judge(Answer(status, {}, content)).kind == kind


def test_a_refusal_repeats_the_vendors_words_but_not_the_query() -> None:
    message = "\nSELECT Secret__c FROM Account\n       ^\nERROR at Row:1:Column:8\nNo such column 'Secret__c'"
    verdict = judge(Answer(400, {}, json.dumps(failure("INVALID_FIELD", message)).encode()))
    assert verdict.message == "INVALID_FIELD: No such column 'Secret__c'"
    assert "field-level security" in verdict.fix


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("acme.my.salesforce.com", True),
        ("acme--uat.sandbox.my.salesforce.com", True),
        ("acme-dev-ed.develop.my.salesforce.com", True),
        ("acme.scratch.my.salesforce.com", True),
        ("login.salesforce.com", False),
        ("acme.my.salesforce.com.evil.example", False),
        ("evil.example", False),
        ("a.b.my.salesforce.com", False),
        ("-.my.salesforce.com", False),
    ],
)
def test_hosts(host: str, *, ours: bool) -> None:
    assert bool(re.fullmatch(HOSTS, host)) == ours


def test_a_pasted_address_is_cut_to_its_origin() -> None:
    settings = SalesforceSettings(
        connector="salesforce",
        instance_url="https://Acme.my.salesforce.com/lightning/page/home?x=1",
        client_id="a",  # type: ignore[arg-type]
        client_secret="b",  # type: ignore[arg-type]
    )
    assert settings.instance_url == HOST
    assert settings.data == "/services/data/v66.0"


@pytest.mark.parametrize(
    "wrong",
    [
        {"instance_url": None},
        {"instance_url": "acme.my.salesforce.com"},
        {"instance_url": "https://user:pass@acme.my.salesforce.com"},
        {"api_version": "latest"},
        {"client_id": None},
        {"colour": "blue"},
    ],
)
def test_settings_are_strict_and_never_show_a_secret(wrong: dict[str, object]) -> None:
    given = {"connector": "salesforce", "instance_url": HOST, "client_id": "canary-1", "client_secret": "canary-2"}
    with pytest.raises(ValidationError) as refused:
        SalesforceSettings.model_validate({**given, **wrong})
    assert "canary" not in str(refused.value)


def test_an_error_of_ours_is_for_the_admin(api: respx.MockRouter, mocked: Session) -> None:
    api.get(f"{DATA}/limits").respond(400, json=failure("MALFORMED_QUERY", "unexpected token"))
    with pytest.raises(CssyncError, match="limits: answered 400: MALFORMED_QUERY"):
        mocked.get("/services/data/v66.0/limits")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("api-usage=45/15000", (14955, 15000)),
        ("api-usage=25/5000; per-app-api-usage=249/250(appName=cssync)", (4975, 5000)),
        ("per-app-api-usage=249/250(appName=cssync), api-usage=25/5000", (4975, 5000)),
        ("", None),
    ],
)
def test_the_days_allowance_is_read_from_the_header(header: str, told: tuple[int, int] | None) -> None:
    assert daily(Answer(200, {"sforce-limit-info": header}, b"[]")) == told
