"""How answers are read: logins, errors in every shape, limits in every spelling."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable

import httpx
import pytest
import respx

from cssync.connectors import Answer, Session
from cssync.errors import ConnectionFault, TransientFault
from cssync.http.clock import ManualClock
from cssync_zendesk.client import allowances, missing_scopes, pause, plan, vendor, words
from cssync_zendesk.settings import ZendeskSettings

API_TOKEN = ZendeskSettings.model_validate(
    {"connector": "zendesk", "subdomain": "acme", "email": "ops@acme.example", "token": "canary-token-1"}
)
Open = Callable[..., Session]
COUNT = "/api/v2/organizations/count"
TOKEN = {"access_token": "canary-access-1", "token_type": "bearer", "scope": "read organizations:write"}


def answer(status: int = 200, body: object = None, path: str = COUNT, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": "application/json", **named}, raw, f"https://acme.zendesk.com{path}")


# --- login ------------------------------------------------------------------------------------------------------------


def test_oauth_asks_for_the_scopes_and_sends_the_token(api: respx.MockRouter, session: Open) -> None:
    grant = api.post("/oauth/tokens").respond(201, json={**TOKEN, "expires_in": 86400})
    count = api.get(COUNT).respond(json={"count": {"value": 3}})
    session(oauth=True).get(COUNT)
    assert json.loads(grant.calls.last.request.content) == {
        "grant_type": "client_credentials",
        "client_id": "cssync",
        "client_secret": "canary-secret-1",
        "scope": "read organizations:write",
        "expires_in": 86400,
    }
    assert "authorization" not in grant.calls.last.request.headers
    assert count.calls.last.request.headers["authorization"] == "Bearer canary-access-1"


def test_an_api_token_is_sent_as_basic(api: respx.MockRouter, session: Open) -> None:
    count = api.get(COUNT).respond(json={"count": {"value": 3}})
    session().get(COUNT)
    expected = b64encode(b"ops@acme.example/token:canary-token-1").decode()
    assert count.calls.last.request.headers["authorization"] == f"Basic {expected}"


def test_a_dead_oauth_token_is_replaced_once(api: respx.MockRouter, session: Open) -> None:
    grant = api.post("/oauth/tokens").mock(
        side_effect=[httpx.Response(201, json={**TOKEN, "access_token": f"canary-access-{n}"}) for n in (1, 2)]
    )
    dead = httpx.Response(401, json={"error": "invalid_token", "error_description": "The access token expired"})
    count = api.get(COUNT).mock(side_effect=[dead, httpx.Response(200, json={"count": {"value": 3}})])
    session(oauth=True).get(COUNT)
    assert grant.call_count == 2
    assert count.calls.last.request.headers["authorization"] == "Bearer canary-access-2"


@pytest.mark.parametrize(
    ("status", "body", "said", "fix"),
    [
        (
            401,
            {"error": "invalid_client", "error_description": "Client authentication failed"},
            "invalid_client",
            "OAuth",
        ),
        (400, {"error": "invalid_scope", "error_description": "not allowed"}, "invalid_scope", "organizations:write"),
        (201, {**TOKEN, "scope": "organizations:write"}, "without the scope read", "allow the OAuth client"),
        (200, b"<html>login</html>", "refused the OAuth client", "client_secret"),
    ],
)
def test_a_refused_login_says_which_credential_and_how_to_renew_it(
    api: respx.MockRouter, session: Open, status: int, body: object, said: str, fix: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    api.post("/oauth/tokens").respond(status, content=content)
    with pytest.raises(ConnectionFault) as caught:
        session(oauth=True).get(COUNT)
    assert said in caught.value.message
    assert fix in caught.value.fix
    assert "canary" not in caught.value.message + caught.value.fix


def test_a_scope_is_held_by_itself_or_by_a_broader_one() -> None:
    assert missing_scopes("read organizations:write") == []
    assert missing_scopes("read write") == []
    assert missing_scopes("read") == ["organizations:write"]
    assert missing_scopes("organizations:read organizations:write", "read") == ["read"]
    assert missing_scopes(None) == []


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, {"error": "RecordNotFound", "description": "Not found"}, "RecordNotFound; Not found"),
        (403, {"error": {"title": "Forbidden", "message": "You may not"}}, "Forbidden; You may not"),
        (400, {"errors": [{"code": "InvalidPaginationDepth", "detail": "10000"}]}, "InvalidPaginationDepth: 10000"),
        (401, {"error": "Couldn't authenticate you"}, "Couldn't authenticate you"),
        (401, {"error": "invalid_token", "error_description": "expired"}, "invalid_token; expired"),
        (
            422,
            {
                "error": "RecordInvalid",
                "description": "Record validation errors",
                "details": {
                    "name": [{"description": "Name: taken", "error": "DuplicateValue"}],
                    "base": [{"description": "no"}],
                },
            },
            "RecordInvalid; Record validation errors; name: Name: taken; base: no",
        ),
        (404, b"", ""),
        (500, [1], ""),
        (400, {"error": None, "errors": None, "details": {"base": ["plain"]}}, "base: plain"),
    ],
)
def test_words_of_every_error_shape(status: int, body: object, said: str) -> None:
    assert words(answer(status, body)) == said


def test_a_plain_text_refusal_has_words_too() -> None:
    text = b"Number of allowed API requests per minute exceeded"
    assert words(answer(429, text, content_type="text/plain; charset=utf-8")) == text.decode()


@pytest.mark.parametrize(
    ("status", "body", "path", "kind", "fix"),
    [
        (401, {"error": "Couldn't authenticate you"}, COUNT, "fail", "email and token"),
        (402, {}, COUNT, "fail", "account"),
        (403, {"error": "Forbidden"}, "/api/v2/incremental/tickets/cursor", "fail", "admin user"),
        (403, {"error": "Forbidden"}, "/api/v2/organizations/update_many", "fail", "organizations:write"),
        (404, {"error": "InvalidEndpoint", "description": "Not found"}, COUNT, "fail", "skip_streams"),
        (404, {"error": "RecordNotFound"}, COUNT, "fail", "subdomain"),
        (409, {"error": "DatabaseConflict"}, COUNT, "retry", ""),
        (409, {"error": "UpdateConflict"}, COUNT, "fail", ""),
        (500, {}, COUNT, "retry", ""),
        (503, b"<html>", COUNT, "retry", ""),
    ],
)
def test_each_refusal_has_its_consequence_and_its_remedy(
    status: int, body: object, path: str, kind: str, fix: str
) -> None:
    verdict = vendor(API_TOKEN).judge(answer(status, body, path))
    assert verdict.kind == kind
    assert fix in verdict.fix


def test_data_that_is_called_plain_text_is_data(api: respx.MockRouter, session: Open) -> None:
    api.get(COUNT).respond(200, content=b' {"count": {"value": 3}}', headers={"content-type": "text/plain"})
    assert session().get(COUNT).json() == {"count": {"value": 3}}


@pytest.mark.parametrize("odd", ["nan", "inf", "1e400", "many", ""])
def test_a_header_without_a_number_says_nothing(odd: str) -> None:
    headers = {"x-rate-limit": odd, "x-rate-limit-remaining": odd, "ratelimit-reset": odd}
    headers["zendesk-ratelimit-incremental-exports"] = f"total={odd}; remaining={odd}; resets={odd}"
    assert list(allowances(headers)) == []
    assert list(plan(headers)) == []


def test_a_web_page_with_status_200_is_not_data(api: respx.MockRouter, session: Open) -> None:
    api.get(COUNT).respond(200, content=b"<html>suspended</html>", headers={"content-type": "text/html"})
    with pytest.raises(ConnectionFault) as caught:
        session().get(COUNT)
    assert "text/html instead of JSON" in caught.value.message
    assert "suspended" in caught.value.fix


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "93"}, {"error": "APIRateLimitExceeded"}, 93),
        ({"zendesk-ratelimit-incremental-exports": "total=10; remaining=0; resets=17"}, {}, 17),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "23"}, {}, 23),
        ({}, {"error": "APIRateLimitExceeded"}, 60),
        ({}, {"error": "TooManyJobs", "description": "x", "current_job_ids": ["a"]}, 10),
    ],
)
def test_a_429_waits_as_it_says_else_for_the_reset_else_a_minute(
    api: respx.MockRouter, session: Open, clock: ManualClock, headers: dict[str, str], body: object, seconds: int
) -> None:
    path = "/api/v2/incremental/tickets/cursor"
    good = httpx.Response(200, json={"tickets": []})
    api.get(path).mock(side_effect=[httpx.Response(429, headers=headers, json=body), good])
    started = clock.monotonic()
    session().get(path)
    assert clock.monotonic() - started == pytest.approx(seconds, abs=1.0)


def test_a_limit_that_never_ends_is_reported_with_the_time_to_come_back(api: respx.MockRouter, session: Open) -> None:
    api.get(COUNT).respond(429, headers={"retry-after": "900"})
    with pytest.raises(TransientFault) as caught:
        session().get(COUNT)
    assert caught.value.resumes_at is not None


@pytest.mark.parametrize(
    ("headers", "held"),
    [
        ({"zendesk-ratelimit-incremental-exports": "total=10; remaining=0; resets=60"}, ("incremental-exports", 60.0)),
        (
            {"zendesk-rate-limit-incremental-exports-cursor": "total=20;remaining=0;resets=9"},
            ("incremental-exports-cursor", 9.0),
        ),
        ({"zendesk-ratelimit-inflight-jobs": "total=30; remaining=0; resets=60"}, ("inflight-jobs", 60.0)),
        ({"zendesk-ratelimit-search-index": "total=100; remaining=0; resets=5"}, ("account", 5.0)),
        ({"x-rate-limit": "400", "x-rate-limit-remaining": "0", "ratelimit-reset": "12"}, ("account", 12.0)),
        ({"rate-limit-remaining": "0", "rate-limit-reset": "8"}, ("account", 8.0)),
        ({"x-rate-limit-remaining": "0"}, ("account", 60.0)),
        ({"x-rate-limit-remaining": "1", "zendesk-ratelimit-x": "total=10; remaining=9; resets=60"}, None),
        ({"zendesk-ratelimit-x": "nonsense"}, None),
    ],
)
def test_a_used_up_allowance_holds_its_bucket(headers: dict[str, str], held: tuple[str, float] | None) -> None:
    assert pause(Answer(200, headers, b"{}", "https://acme.zendesk.com/api/v2/x")) == held


def test_every_bucket_named_by_a_header_is_one_we_keep() -> None:
    kept = {bucket.name for bucket in vendor(API_TOKEN).buckets}
    named = {name for name, _, _ in allowances({"zendesk-ratelimit-whatever": "total=1; remaining=1; resets=1"})}
    assert named <= kept
    assert kept == {
        "incremental-exports", "incremental-exports-cursor", "tickets-update", "inflight-jobs", "job-statuses",
        "account",
    }  # fmt: skip


def test_the_headers_tell_the_limits_of_the_plan_in_each_spelling() -> None:
    told = {
        "x-rate-limit": "700", "zendesk-ratelimit-incremental-exports": "total=30; remaining=9; resets=60",
        "zendesk-rate-limit-incremental-exports-cursor": "total=60; remaining=1; resets=5",
        "zendesk-ratelimit-tickets-index": "total=100; remaining=99; resets=60", "zendesk-ratelimit-job-statuses": "x",
    }  # fmt: skip
    wanted = [("incremental-exports", 30, 60.0), ("incremental-exports-cursor", 60, 60.0), ("account", 700, 60.0)]
    assert list(plan(told)) == wanted
    assert list(plan({"ratelimit-limit": "200", "x-rate-limit-remaining": "3"})) == [("account", 200, 60.0)]
    assert list(plan({})) == []
