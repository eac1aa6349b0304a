"""How Salesforce logs us in and what its answers mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cssync.connectors import Answer, Token, Vendor, Verdict
from cssync.connectors.judging import http_date, retry_after
from cssync.errors import ConfigError, ConnectionFault, TransientFault
from cssync_salesforce.bearer import GRANT, assertion
from cssync_salesforce.settings import SalesforceSettings

CONCURRENCY_PAUSE = 30.0
"""Seconds to hold back when the org runs too many long requests (limit: 25 of 20 s or longer)."""

LOGIN_FIXES = {
    "invalid_client_id": "copy the Consumer Key of the External Client App into `client_id`",
    "invalid_client": "copy the Consumer Secret of the External Client App into `client_secret`; "
    "rotating it kills the old one at once",
    "invalid_grant": "in the External Client App's policies enable the client credentials flow and name the "
    "execution user (Run As); `instance_url` must be the My Domain of that org",
    "unsupported_grant_type": "enable the client credentials flow in the External Client App's OAuth settings",
    "invalid_request": "`instance_url` must be the org's My Domain URL; login.salesforce.com refuses this flow",
    "invalid_scope": "add the scope `Manage user data via APIs (api)` to the External Client App",
    "invalid_app_access": "in the External Client App's policies permit the execution user, e.g. by permission set",
    "inactive_user": "activate the execution user of the External Client App, or name another one (Run As)",
    "inactive_org": "the org is locked or expired: ask its administrator",
    "org_locked": "the org is locked or expired: ask its administrator",
}
BEARER_FIXES = {
    "invalid_grant": "in the External Client App's policies pre-authorise the user (by permission set or profile); its "
    "certificate must be that of `private_key`, `username` a user of this org, and `audience` "
    "https://test.salesforce.com for a sandbox",
    "invalid_client": "enable the JWT bearer flow in the External Client App and upload the certificate of "
    "`private_key` to it",
    "unsupported_grant_type": "enable the JWT bearer flow in the External Client App's OAuth settings",
}
FIXES = {
    "API_CURRENTLY_DISABLED": "give the execution user the permission `API Enabled`",
    "API_DISABLED_FOR_ORG": "the org's edition has no API: enable it, or have it enabled",
    "INSUFFICIENT_ACCESS": "grant the execution user access to the object, best through its permission set",
    "INSUFFICIENT_ACCESS_OR_READONLY": "grant the execution user edit access to the object and record",
    "INVALID_TYPE": "grant the execution user read access to the object, or correct its API name",
    "INVALID_FIELD": "correct the field's API name, or make it visible to the execution user (field-level security)",
    "NOT_FOUND": "check the object's API name and the execution user's access to it",
    "FUNCTIONALITY_NOT_ENABLED": "enable the feature in the org, or skip the stream (`skip_streams`)",
    "UNSUPPORTED_API_VERSION": "set `api_version` to one the org offers",
}
TOO_SLOW = "map fewer fields of this object; formulas and fields of parents are what takes long"
RETRYABLE = frozenset(("UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"))
_ECHO = re.compile(r"^.*ERROR at Row:\d+:Column:\d+\s*", re.DOTALL)


def errors(answer: Answer) -> list[tuple[str, str]]:
    """Return (errorCode, message) pairs of a failed answer: an array, an OAuth object, or nothing for HTML."""
    try:
        body: Any = json.loads(answer.content or b"null")
    except ValueError:
        return []
    if isinstance(body, Mapping):
        body = [{"errorCode": body.get("error", body.get("errorCode")), **body}]
    if not isinstance(body, list):
        return []
    return [
        (
            str(e.get("errorCode") or e.get("statusCode") or ""),
            str(e.get("message") or e.get("error_description") or ""),
        )
        for e in body
        if isinstance(e, Mapping)
    ]


def words(code: str, message: str) -> str:
    """Return the vendor's words on one line, short enough for a message; a query that it echoes is left out."""
    line = " ".join(_ECHO.sub("", message).split())
    return f"{code}: {line[:200]}" if line else code


def judge(answer: Answer) -> Verdict:
    """Tell limits from locks from permissions: Salesforce says all three with 400 and 403, never with 429."""
    status = answer.status
    if status < 300 or status == 304:
        return Verdict("ok")
    found = errors(answer)
    code, message = found[0] if found else ("", "")
    said = words(code, message) if code else f"status {status} without a readable error"
    if status == 401 or code == "INVALID_SESSION_ID" or answer.content.strip() == b"Bad_OAuth_Token":
        return Verdict("renew", message=said, fix="check the credential and the execution user")
    if code == "REQUEST_LIMIT_EXCEEDED":
        if "concurrent" in message.casefold():
            return Verdict("wait", CONCURRENCY_PAUSE, f"too many long requests in the org ({said})")
        return Verdict(
            "stop",
            message=f"the org's daily API requests are used up ({said})",
            fix="run again later (the allowance is a rolling 24 hours), or raise it; "
            "Setup > Company Information shows who used it",
        )
    if code == "QUERY_TIMEOUT" and urlsplit(answer.url).path.endswith("/queryAll"):
        return Verdict("fail", message=said, fix=TOO_SLOW)  # the same once more takes as long: a stream asks for less
    if code in RETRYABLE or status in (408, 420) or status >= 500:
        return Verdict("retry", retry_after(answer), said)
    if status == 429:
        return Verdict("wait", retry_after(answer), said)
    if status == 410:
        return Verdict("fail", message=f"the API version is retired ({said})", fix=FIXES["UNSUPPORTED_API_VERSION"])
    if status in (414, 431):
        return Verdict("fail", message="the query is longer than Salesforce accepts", fix="map fewer fields")
    if 300 <= status < 400 and status != 300:
        return Verdict("fail", message="the org has moved", fix="set `instance_url` to the org's present My Domain URL")
    fix = next((FIXES[c] for c, _ in found if c in FIXES), "")
    if status == 403 and not fix:
        fix = FIXES["INSUFFICIENT_ACCESS"]
    return Verdict("fail", message=said, fix=fix)


def refusal(answer: Answer, what: str) -> ConnectionFault:
    """Return the fault for a failed answer that was accepted for a closer look."""
    verdict = judge(answer)
    return ConnectionFault(f"{what}: {verdict.message}", kept="the checkpoint is unchanged", fix=verdict.fix)


def vendor(settings: SalesforceSettings) -> Vendor:
    """Return the HTTP facts of one org. There is no limit per second: the daily one is the vendor's to count."""

    def login(send: Callable[..., Answer]) -> Token:
        secret = settings.client_secret
        form = (
            {
                "grant_type": "client_credentials",
                "client_id": settings.client_id,
                "client_secret": secret.get_secret_value(),
            }
            if secret
            else {"grant_type": GRANT, "assertion": assertion(settings, _time(send, settings.origin))}
        )
        answer = send(
            "POST", f"{settings.origin}/services/oauth2/token", data=form, headers={"Accept": "application/json"}
        )
        if answer.status != 200:
            raise _refused_login(answer, bearer=secret is None)
        body = answer.json()
        if not isinstance(body, Mapping) or not body.get("access_token"):
            raise ConnectionFault("the token endpoint answered without a token", fix="check `instance_url`")
        return Token(str(body["access_token"]), base_url=str(body.get("instance_url") or "") or None)

    return Vendor(
        base_url=settings.origin,
        judge=judge,
        headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
        login=login,
        daily=daily,
        concurrency=4,
    )


def daily(answer: Answer) -> tuple[int, int] | None:
    """Return the calls left and in all of the rolling 24 hours, out of `Sforce-Limit-Info: api-usage=45/15000`; an
    org may tell beside it what one app has used (`per-app-api-usage`)."""
    told = re.search(r"(?<!-app-)api-usage=(\d+)/(\d+)", answer.headers.get("sforce-limit-info", ""))
    return (int(told[2]) - int(told[1]), int(told[2])) if told else None


def _time(send: Callable[..., Answer], origin: str) -> datetime:
    """Ask the org what time it is; one request that does not count. Ours may be wrong, an assertion lives 3 minutes."""
    said = send("GET", f"{origin}/services/data", headers={"Accept": "application/json"}).headers.get("date", "")
    return http_date(said) or datetime.now(UTC)


def _refused_login(answer: Answer, bearer: bool) -> ConnectionFault | ConfigError:
    code, message = (errors(answer) or [("", "")])[0]
    kept = "nothing was read or written"
    if answer.status >= 500 or answer.status in (420, 429) or code in ("rate_limit_exceeded", "server_error"):
        return TransientFault(
            f"Salesforce gives no token just now (status {answer.status}{', ' + code if code else ''})",
            kept=kept,
            fix="run again later; a user may log in 3,600 times an hour",
        )
    if not code:
        return ConfigError(
            f"no Salesforce token endpoint answers at this address (status {answer.status})",
            kept=kept,
            fix="set `instance_url` to the org's My Domain URL (Setup > My Domain)",
        )
    return ConfigError(
        f"Salesforce refused the login ({words(code, message)})",
        kept=kept,
        fix=(BEARER_FIXES if bearer and code in BEARER_FIXES else LOGIN_FIXES).get(
            code, "check the credential and the External Client App's policies"
        ),
    )
