"""How Zendesk answers: login, what an answer means, and the rate limits in its headers."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from cssync.connectors import Answer, Bucket, Token, Vendor, Verdict
from cssync.connectors.judging import error_body, judge_by_status, retry_after
from cssync.errors import ConnectionFault
from cssync_zendesk.settings import SCOPE, ZendeskSettings

TOKEN_SECONDS = 86_400
"""Life asked for an access token; Zendesk allows 300 s to 2 days. It is renewed before, by asking again."""
REFRESH_SECONDS = 7_776_000
"""Life asked for a refresh token: 90 days, the most Zendesk allows, so that a pause in the schedule ends no grant."""
DEFAULT_WAIT = 60.0
"""Seconds to wait after a 429 that says nothing: every documented bucket is counted by the minute."""
JOB_WAIT = 10.0
"""Seconds to wait when 30 jobs of the account are under way."""
RATE_PREFIXES = ("zendesk-ratelimit-", "zendesk-rate-limit-")
ACCOUNT_PREFIXES = ("x-rate-limit", "ratelimit", "rate-limit")

RENEW_OAUTH = (
    "in Admin Center > Apps and integrations > APIs > OAuth clients check that the client is active, confidential and "
    "tied to an admin; put its current identifier and secret into client_id and client_secret"
)
RENEW_API = (
    "check email and token of the connection; a lost or switched-off API token cannot be replaced since 27 October "
    "2026: make an OAuth client and give client_id and client_secret instead"
)
CONSENT = (
    "the grant has ended: it does after 90 days without a run, when another program uses its refresh token, or when "
    "somebody withdraws it. Let an admin consent again, and put the new refresh token into refresh_token"
)
ADMIN = "tie the OAuth client to an admin user: exports and organization fields are for admins only"
SCOPES = f"allow the OAuth client the scopes `{SCOPE}`; `cssync check` lists what was granted"


def vendor(settings: ZendeskSettings) -> Vendor:
    """Return the HTTP facts of one account.

    Limits: 400 requests a minute is the middle plan (200 to 700; the headers hold us back on smaller ones), exports
    10 a minute, the users export 20, changes of tickets 100; three times that with the High Volume add-on.
    """
    more = 3 if settings.high_volume else 1
    oauth = settings.client_id is not None
    return Vendor(
        base_url=settings.origin,
        headers={} if oauth else {"Authorization": _basic(settings)},
        login=_login(settings) if oauth and not settings.refresh_token else None,
        renew=_renew(settings) if settings.refresh_token else None,
        refresh_token=settings.refresh_token.get_secret_value() if settings.refresh_token else "",
        judge=_judge(oauth),
        pause=pause,
        left=lambda answer: allowances(answer.headers),
        allowed=lambda answer: plan(answer.headers),
        buckets=(
            Bucket("incremental-exports-cursor", 20 * more, 60, r"GET .*/incremental/users/cursor", windowed=True),
            Bucket("incremental-exports", 10 * more, 60, r"GET .*/incremental/", windowed=True),
            Bucket("tickets-update", 100 * more, 60, r"PUT .*/tickets/\d+"),
            Bucket("inflight-jobs", 30, 60, r"PUT .*/update_many"),
            # A job takes about a second for 100 rows: asking more often only costs requests.
            Bucket("job-statuses", 1, 1, r"GET .*/job_statuses/"),
            Bucket("account", 2_500 if settings.high_volume else 400, 60, shared=True),
        ),
        concurrency=3,
    )


BUCKETS = (
    "account", "incremental-exports-cursor", "incremental-exports", "tickets-update", "inflight-jobs", "job-statuses",
)  # fmt: skip


def _basic(settings: ZendeskSettings) -> str:
    token = settings.token.get_secret_value() if settings.token else ""
    pair = f"{settings.email}/token:{token}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _login(settings: ZendeskSettings) -> Callable[[Callable[..., Answer]], Token]:
    def login(send: Callable[..., Answer]) -> Token:
        return _token(send("POST", f"{settings.origin}/oauth/tokens", json=grant(settings, TOKEN_SECONDS)), RENEW_OAUTH)

    return login


def _renew(settings: ZendeskSettings) -> Callable[[Callable[..., Answer], str], Token]:
    """Return how the grant of a person is renewed. Zendesk replaces both tokens, and the old ones are dead at once."""

    def renew(send: Callable[..., Answer], refresh: str) -> Token:
        asked = {
            **grant(settings, TOKEN_SECONDS),
            "grant_type": "refresh_token",
            "refresh_token": refresh,
            "refresh_token_expires_in": REFRESH_SECONDS,
        }
        return _token(send("POST", f"{settings.origin}/oauth/tokens", json=asked), CONSENT)

    return renew


def _token(answer: Answer, remedy: str) -> Token:
    """Read the answer of the token endpoint.

    Raises:
        ConnectionFault: refused, or granted without the scope to read.
    """
    body = error_body(answer)
    if not 200 <= answer.status < 300 or not isinstance(body, Mapping) or not body.get("access_token"):
        said = words(answer)
        raise ConnectionFault(
            f"Zendesk refused the OAuth client (HTTP {answer.status}{f', {said}' if said else ''})",
            kept="nothing was read; store and checkpoints are unchanged",
            fix=SCOPES if "invalid_scope" in said else remedy,
        )
    if missing := missing_scopes(body.get("scope"), "read"):
        raise ConnectionFault(f"Zendesk granted a token without the scope {', '.join(missing)}", fix=SCOPES)
    expires = body.get("expires_in")
    return Token(
        str(body["access_token"]), float(expires) if expires else None, refresh=str(body.get("refresh_token") or "")
    )


def grant(settings: ZendeskSettings, seconds: int) -> dict[str, Any]:
    """Return the body that asks for an access token of `seconds` life (client credentials)."""
    secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
    return {
        "grant_type": "client_credentials",
        "client_id": settings.client_id,
        "client_secret": secret,
        "scope": settings.scope,
        "expires_in": seconds,
    }


def missing_scopes(granted: object, wanted: str = SCOPE) -> list[str]:
    """Return the wanted scopes that are not granted. `write` covers `organizations:write`.

    Zendesk hands out a token for a scope it does not know, and refuses every call made with it.
    """
    if not isinstance(granted, str):
        return []
    held = set(granted.replace(",", " ").split())
    return [scope for scope in wanted.split() if not {scope, scope.rpartition(":")[2]} & held]


def _judge(oauth: bool) -> Callable[[Answer], Verdict]:
    def judge(answer: Answer) -> Verdict:
        status, path = answer.status, urlsplit(answer.url).path
        if status < 300:
            return _readable(answer)
        said = words(answer)
        usual = judge_by_status(answer)
        match status:
            case 401 if oauth:
                return Verdict("renew", message=said or "the access token was refused", fix=RENEW_OAUTH)
            case 401:
                return Verdict("fail", message=said or "the API token was refused", fix=RENEW_API)
            case 402:
                return replace(usual, message=said or "the account is suspended or expired")
            case 403:
                guarded = "/incremental/" in path or "_fields" in path
                return Verdict("fail", message=said or "forbidden", fix=f"{ADMIN}; {SCOPES}" if guarded else SCOPES)
            case 404 if "InvalidEndpoint" in said:
                fix = "the account's plan has no such API: name the stream in skip_streams"
                return Verdict("fail", message=said, fix=fix)
            case 404:
                return Verdict("fail", message=said or "RecordNotFound", fix="check `subdomain` and the id")
            case 409 if "UpdateConflict" not in said:
                return Verdict("retry", message=said or "conflict")
            case 429:
                full = "TooManyJobs" in said
                return Verdict("wait", _wait(answer) or (JOB_WAIT if full else DEFAULT_WAIT), message=said)
            case 503 if (seconds := retry_after(answer)) is not None:
                return Verdict("wait", seconds, message=said or "Zendesk is in maintenance")
        return replace(usual, message=said or usual.message)

    return judge


def _readable(answer: Answer) -> Verdict:
    """A suspended or renamed account answers 200 with a web page: that is not data."""
    kind = answer.headers.get("content-type", "")
    if answer.status == 204 or not answer.content or "json" in kind or answer.content.lstrip()[:1] in b"{[":
        return Verdict("ok")
    return Verdict(
        "fail",
        message=f"Zendesk answered with {kind.partition(';')[0] or 'something else'} instead of JSON",
        fix="open the account in a browser: it may be suspended, expired or renamed; check `subdomain`",
    )


# --- rate limits ------------------------------------------------------------------------------------------------------


def pause(answer: Answer) -> tuple[str, float] | None:
    """Return (bucket, seconds) to hold back when a header says an allowance is used up; the longest wait of all.

    A 429 that is about neither an export nor a job is about the whole account. A job that was just queued is not
    asked for within its first second.
    """
    if answer.status == 200 and urlsplit(answer.url).path.endswith("/update_many"):
        return "job-statuses", 1.0
    used_up = [
        (name, seconds) for name, remaining, seconds in allowances(answer.headers) if remaining <= 0 and seconds > 0
    ]
    if answer.status == 429 and not used_up and not re.search("incremental export|TooManyJobs", words(answer)):
        return "account", retry_after(answer) or _reset(answer.headers) or DEFAULT_WAIT
    return max(used_up, key=lambda found: found[1], default=None)


def allowances(headers: Mapping[str, str]) -> Iterator[tuple[str, int, float]]:
    """Yield (bucket, calls left, seconds to the reset) of every rate-limit header, in each of its spellings.

    An endpoint's header (`zendesk-ratelimit-<name>: total=10; remaining=9; resets=60`) whose name is not one of our
    buckets counts for the whole account: slower than need be, and never too fast.
    """
    for header, value in headers.items():
        prefix = next((p for p in RATE_PREFIXES if header.startswith(p)), None)
        if prefix is None:
            continue
        parts = dict(part.strip().partition("=")[::2] for part in value.split(";"))
        if (left := _number(parts.get("remaining"))) is not None:
            name = header.removeprefix(prefix)
            resets = _number(parts.get("resets"))  # 0: within the second
            yield name if name in BUCKETS else "account", int(left), DEFAULT_WAIT if resets is None else resets
    for prefix in ACCOUNT_PREFIXES:
        if (left := _number(headers.get(f"{prefix}-remaining"))) is not None:
            resets = _reset(headers)
            yield "account", int(left), DEFAULT_WAIT if resets is None else resets


def plan(headers: Mapping[str, str]) -> Iterator[tuple[str, int, float]]:
    """Yield (bucket, calls, 60 seconds) of the limits that the headers tell: the plan's, add-ons included."""
    for header, value in headers.items():
        name = next((header.removeprefix(p) for p in RATE_PREFIXES if header.startswith(p)), "")
        total = _number(dict(part.strip().partition("=")[::2] for part in value.split(";")).get("total"))
        if name in BUCKETS and name != "job-statuses" and total is not None:
            yield name, int(total), 60.0
    for header in ("x-rate-limit", "ratelimit-limit"):
        if (total := _number(headers.get(header))) is not None:
            yield "account", int(total), 60.0
            return


def _reset(headers: Mapping[str, str]) -> float | None:
    return next((s for p in ACCOUNT_PREFIXES if (s := _number(headers.get(f"{p}-reset"))) is not None), None)


def _wait(answer: Answer) -> float | None:
    """Seconds that a refused request must wait: Retry-After, else the reset of what is used up."""
    asked = retry_after(answer)
    if asked is not None:
        return asked
    held = pause(answer)
    return held[1] if held else _reset(answer.headers)


def _number(raw: str | None) -> float | None:
    try:
        found = None if raw is None else float(raw)
    except ValueError:
        return None
    return found if found is not None and isfinite(found) else None


# --- words ------------------------------------------------------------------------------------------------------------


def words(answer: Answer) -> str:
    """Return what Zendesk says was wrong, from any of its error bodies; "" for none. At most 300 characters."""
    body = error_body(answer)
    if not isinstance(body, Mapping):
        kind = answer.headers.get("content-type", "")
        return answer.content[:200].decode(errors="replace").strip() if kind.startswith("text/plain") else ""
    return "; ".join(dict.fromkeys(part for part in _parts(body) if part))[:300]


def _parts(body: Mapping[str, Any]) -> Iterator[str]:
    error = body.get("error")
    if isinstance(error, Mapping):
        yield from (str(error.get(name) or "") for name in ("code", "title", "message"))
    elif error:
        yield str(error)
    yield str(body.get("error_description") or body.get("description") or "")
    for each in body.get("errors") or ():
        if isinstance(each, Mapping):
            yield ": ".join(str(each[name]) for name in ("code", "detail") if each.get(name)) or str(
                each.get("title", "")
            )
    details = body.get("details")
    for name, faults in details.items() if isinstance(details, Mapping) else ():
        for fault in faults if isinstance(faults, list) else [faults]:
            text = fault.get("description") or fault.get("error") if isinstance(fault, Mapping) else fault
            yield f"{name}: {text}"
