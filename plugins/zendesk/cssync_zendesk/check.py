"""Who is behind a connection, whether it may do what we ask of it, and which fields there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from cssync.connectors import Finding, Identity, RemoteField, Session
from cssync.errors import ConnectionFault
from cssync_zendesk.client import ADMIN, RENEW_API, RENEW_OAUTH, SCOPES, allowances, grant, missing_scopes
from cssync_zendesk.fields import asked_organization_fields, definitions

API_TOKENS_END = "30 April 2027"
FIELDS_OF = {"organizations": "organization_fields", "users": "user_fields", "tickets": "ticket_fields"}
SANDBOX = re.compile(r"sandbox|[a-z]\d{9,}$")
"""A Zendesk sandbox has its production's name with digits at the end (`acme1234567890`); there is no flag to read."""


def identity(session: Session) -> Identity:
    """Return the account behind the credentials, by its own address of the user we act as.

    Zendesk answers `/users/me` with an anonymous user, and 200, where credentials count for nothing.

    Raises:
        ConnectionFault: nobody is logged in.
    """
    user = _me(session)
    if user.get("id") is None:
        raise ConnectionFault(
            "Zendesk treats us as an anonymous visitor: the credentials were not accepted",
            kept="nothing was read; store and checkpoints are unchanged",
            fix=_renew(session),
        )
    host = urlsplit(str(user.get("url") or "")).hostname or ""
    account = host.removesuffix(".zendesk.com") if host.endswith(".zendesk.com") else session.settings.subdomain
    kind: Literal["sandbox", "production"] = "sandbox" if SANDBOX.search(account) else "production"
    return Identity(account, account, kind, timezone=user.get("iana_time_zone"), url=f"https://{account}.zendesk.com")


def _me(session: Session) -> Mapping[str, Any]:
    body = session.get("/api/v2/users/me").json()
    user = body.get("user") if isinstance(body, Mapping) else None
    return user if isinstance(user, Mapping) else {}


def _renew(session: Session) -> str:
    return RENEW_OAUTH if session.settings.client_id else RENEW_API


def check(session: Session, mapped: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield what was found about credentials, scopes, role, the mapped fields and the calls left.

    Costs 4 requests and one per 100 custom fields of each mapped stream; well under 30 s.
    """
    if not session.settings.client_id:
        yield Finding(
            "credentials",
            "warning",
            f"the API token works until {API_TOKENS_END}; Zendesk then ends all API tokens, unused ones sooner",
            "make an OAuth client in Admin Center and give client_id and client_secret instead of email and token",
        )
    try:
        counted = session.get("/api/v2/organizations/count")
    except ConnectionFault as fault:
        yield Finding("credentials", "error", fault.message, fault.fix or _renew(session))
        return
    total = ((counted.json() or {}).get("count") or {}).get("value")
    yield Finding("api", "ok", f"answers; about {total} organizations")
    user = _me(session)
    if user.get("id") is None:
        yield Finding("role", "error", "Zendesk treats us as an anonymous visitor", _renew(session))
    elif user.get("role") != "admin":
        yield Finding(
            "role", "error", f"we act as a user of role {user.get('role')}; exports are for admins only", ADMIN
        )
    else:
        yield Finding("role", "ok", "we act as an admin")
    if session.settings.refresh_token:
        text = "those of the grant; what it lacks shows below, and at the first write"
        yield Finding("scopes", "note", text)  # asking for another token would use up the refresh token
    elif session.settings.client_id:
        yield _scopes(session)
    for stream, names in mapped.items():
        yield from _fields(session, stream, names)
    yield _quota(counted.headers)


def _scopes(session: Session) -> Finding:
    """Ask for a token of 10 minutes only to see its scopes: an unknown scope is granted in silence and then refused."""
    try:
        answer = session.request("POST", "/oauth/tokens", json=grant(session.settings, 600))
    except ConnectionFault as fault:
        return Finding("scopes", "error", fault.message, fault.fix or SCOPES)
    granted = (answer.json() or {}).get("scope")
    if missing := missing_scopes(granted, session.settings.scope):
        return Finding("scopes", "error", f"not granted: {', '.join(missing)}", SCOPES)
    return Finding("scopes", "ok", f"granted: {granted or 'not stated'}")


def _fields(session: Session, stream: str, names: Sequence[str]) -> Iterator[Finding]:
    if stream not in FIELDS_OF or not names:
        return
    try:
        known = definitions(session, FIELDS_OF[stream])
    except ConnectionFault as fault:
        yield Finding(f"{stream} fields", "error", fault.message, fault.fix or ADMIN)
        return
    for name in names:
        held, subject = known.get(name), f"{stream}.{name}"
        if held is None and stream == "tickets" and not name.startswith("custom_fields."):
            yield Finding(subject, "note", "a system property of tickets; Zendesk describes none of these")
        elif held is None:
            near = ", ".join(sorted(k for k in known if known[k].custom)[:10]) or "none"
            yield Finding(
                subject,
                "error",
                "Zendesk has no such field",
                f"correct the name under `fields` (custom fields there: {near}), or run `cssync provision` if cssync "
                "writes it",
            )
        elif not held.active:
            yield Finding(subject, "error", "the field is switched off in Zendesk", "activate it in Admin Center")
        else:
            yield Finding(subject, "ok", f"{held.type}, {held.title}")


def _quota(headers: Mapping[str, str]) -> Finding:
    left = [calls for bucket, calls, _ in allowances(headers) if bucket == "account"]
    limit = headers.get("x-rate-limit") or headers.get("ratelimit-limit") or headers.get("rate-limit")
    if not left:
        return Finding("quota", "note", "Zendesk states no rate limit here")
    of = f" of {limit}" if limit else ""
    level: Literal["ok", "warning"] = "ok" if min(left) > 0 else "warning"
    return Finding("quota", level, f"{min(left)}{of} calls left in this minute")


def describe(session: Session, stream: str) -> Sequence[RemoteField]:
    """Return the custom fields of a stream; ticket fields as `custom_fields.<id>`, which is how they are mapped."""
    if stream not in FIELDS_OF:
        return ()
    known = asked_organization_fields(session) if stream == "organizations" else definitions(session, FIELDS_OF[stream])
    return [
        held.remote(name, writable=stream == "organizations" and held.custom)
        for name, held in known.items()
        if held.active
    ]
