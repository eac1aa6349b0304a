"""HubSpot over HTTP: login, limits, what an answer means, and the requests that everything else is made of.

All property values are strings or null. A batch answers 200, 201 or 207 alike and lists its failures as `errors` in
the body, so whoever reads one looks there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from cssync.connectors import Answer, Bucket, Session, Token, Vendor, Verdict
from cssync.connectors.judging import error_body, http_date, retry_after
from cssync.errors import ConnectionFault
from cssync_hubspot.settings import BASE_URL, HubSpotSettings

BATCH = 100
"""Inputs of one batch request (read, create, update; associations kept to the same)."""

REINSTALL = (
    "check client_id and client_secret; if they are right the grant was withdrawn: install the app in this account "
    "again and put its new refresh token into refresh_token"
)

Item = TypeVar("Item")


class Paths:
    """Where things are, under the connection's API version."""

    def __init__(self, session: Session) -> None:
        self.version: str = session.settings.api_version

    def objects(self, kind: str, tail: str = "") -> str:
        """Path of an object type; `tail` begins with `/`."""
        return f"/crm/objects/{self.version}/{quote(kind, safe='')}{tail}"

    def associations(self, start: str, end: str) -> str:
        """Path that reads associations of many records at once."""
        return f"/crm/associations/{self.version}/{quote(start, safe='')}/{quote(end, safe='')}/batch/read"

    def properties(self, kind: str, tail: str = "") -> str:
        """Path of property definitions."""
        return f"/crm/properties/{self.version}/{quote(kind, safe='')}{tail}"

    def pipelines(self, kind: str) -> str:
        """Path of the pipelines of deals or tickets."""
        return f"/crm/pipelines/{self.version}/{kind}"

    @property
    def owners(self) -> str:
        """Path of the owners."""
        return f"/crm/owners/{self.version}"

    @property
    def account(self) -> str:
        """Path that says which account the token belongs to."""
        return f"/account-info/{self.version}/details"


def chunks(items: Sequence[Item], size: int = BATCH) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


# --- What an answer means ---------------------------------------------------------------------------------------------


def body(answer: Answer) -> Mapping[str, Any]:
    """Decode an answer that must be a JSON object.

    Raises:
        ConnectionFault: it is not.
    """
    found = answer.json()
    if not isinstance(found, Mapping):
        raise _misshapen(answer, "is not a JSON object")
    return found


def results(answer: Answer) -> Sequence[Mapping[str, Any]]:
    """Return the `results` of an answer that must hold all that was asked for; raises as `whole` does."""
    return whole(answer, body(answer))


def done(answer: Answer) -> Sequence[Mapping[str, Any]]:
    """Return what a batch did; what it failed to do stands in its `errors`, where the caller looks.

    Raises:
        ConnectionFault: no list of objects there.
    """
    return listed(answer, body(answer))


def whole(answer: Answer, decoded: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the `results` of an answer that is decoded already: one without such a list, or with errors beside it, is
    a fault, never "nothing found".

    Raises:
        ConnectionFault: no list of objects there, or only a part of it.
    """
    found = listed(answer, decoded)
    if decoded.get("errors") or decoded.get("numErrors"):
        words, _ = complaint(next(iter(decoded.get("errors") or ()), None))
        raise _misshapen(answer, f"is not complete: {words}")
    return found


def listed(answer: Answer, decoded: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the `results` of an answer that is decoded already, all or a part of it; raises as `done` does."""
    found = decoded.get("results")
    if not isinstance(found, list) or not all(type(r) is dict for r in found):
        raise _misshapen(answer, "has no list of results")
    return found


def _misshapen(answer: Answer, how: str) -> ConnectionFault:
    place = urlsplit(answer.url).path or "a request"
    return ConnectionFault(
        f"HubSpot's answer to {place} {how} (status {answer.status})",
        kept="nothing of this answer was used",
        fix="try again; if it stays, something else answers in HubSpot's place: check base_url",
    )


def following(found: Mapping[str, Any]) -> str | None:
    """Return the cursor of the next page, None on the last one."""
    after = ((found.get("paging") or {}).get("next") or {}).get("after")
    return None if after in (None, "") else str(after)


def complaint(found: Any) -> tuple[str, str]:
    """Return (the vendor's words with category, correlation id) of an error body or of one item of `errors`.

    Every field is optional. Words are cut at 400 characters.
    """
    if not isinstance(found, Mapping):
        return "no reason given", ""
    words = str(found.get("message") or "").strip() or "no reason given"
    details = [str(e["message"]) for e in found.get("errors") or () if isinstance(e, Mapping) and e.get("message")]
    words = "; ".join(dict.fromkeys([words, *details]))
    category = str(found.get("category") or found.get("errorType") or "")
    correlation = str(found.get("correlationId") or found.get("id") or "")
    return (f"{category}: {words}" if category else words)[:400], correlation


def scopes(found: Mapping[str, Any]) -> list[str]:
    """Return the scopes that a 403 body names as missing, sorted."""
    contexts = [found.get("context"), *(e.get("context") for e in found.get("errors") or () if isinstance(e, Mapping))]
    named: set[str] = set()
    for context in contexts:
        if isinstance(context, Mapping):
            for key in ("requiredScopes", "requiredGranularScopes", "missingScopes"):
                value = context.get(key) or ()
                named.update(str(v) for v in ([value] if isinstance(value, str) else value))
    return sorted(named)


def _date(answer: Answer) -> datetime:
    """The vendor's time of an answer; the local clock only where it sends none."""
    return http_date(answer.headers.get("date", "")) or datetime.now(UTC)


class Portal:
    """Reads every answer of one connection. Remembers the account's time zone, because the daily allowance is
    counted from the account's midnight. app: an OAuth app, whose access token can be renewed."""

    def __init__(self, *, app: bool = False) -> None:
        self.app = app
        self.zone: ZoneInfo | None = None

    def judge(self, answer: Answer) -> Verdict:
        """Say what an answer means; see section 7 of the API's facts in the README for the waits."""
        status = answer.status
        if 200 <= status < 300:
            if "/account-info/" in answer.url:
                self._learn(answer)
            return Verdict("ok")
        decoded = error_body(answer)
        found = decoded if isinstance(decoded, Mapping) else {}
        if status == 429:
            return self._limited(answer, found)
        if status == 477:
            return Verdict(
                "stop", retry_after(answer) or 24 * 3600.0, "HubSpot is moving this account to another region (477)"
            )
        if status == 423:
            return Verdict("retry", max(2.0, retry_after(answer) or 0.0), "the record is locked (423)")
        if status >= 500 or status == 408:
            return Verdict("retry", retry_after(answer), f"HubSpot could not answer (status {status})")
        words, correlation = complaint(found)
        message = f"{words} (correlation id {correlation})" if correlation else words
        if status == 401 and self.app:
            return Verdict("renew", None, message, REINSTALL)
        return Verdict("fail", None, message, _fix(status, found))

    def pause(self, answer: Answer) -> tuple[str, float] | None:
        """Hold back when the headers say that the allowance is used up. Search answers carry no such headers."""
        if answer.headers.get("x-hubspot-ratelimit-daily-remaining") == "0":
            return "general", self._until_midnight(answer)
        if answer.headers.get("x-hubspot-ratelimit-remaining") == "0":
            interval = answer.headers.get("x-hubspot-ratelimit-interval-milliseconds", "")
            return "general", int(interval) / 1000 if interval.isdecimal() else 10.0
        return None

    def _limited(self, answer: Answer, found: Mapping[str, Any]) -> Verdict:
        policy = str(found.get("policyName") or "").upper()
        words = str(found.get("message") or "").lower()
        if policy == "DAILY" or (not policy and "daily" in words):
            return Verdict(
                "stop",
                retry_after(answer) or self._until_midnight(answer),
                "HubSpot's daily allowance of requests is used up",
                "the next run continues after the account's midnight; see the account's API usage for who used it",
            )
        by_policy = 1.0 if policy == "SECONDLY" or (not policy and "you have reached your secondly" in words) else 10.0
        return Verdict("wait", retry_after(answer) or by_policy, f"HubSpot asks to slow down ({policy or '429'})")

    def _learn(self, answer: Answer) -> None:
        try:
            self.zone = ZoneInfo(str(body(answer).get("timeZone")))
        except (ConnectionFault, ValueError, KeyError, OSError):
            self.zone = None  # an alias that no zone database here knows

    def _until_midnight(self, answer: Answer) -> float:
        """Seconds to the account's midnight; UTC's where the zone is not known."""
        now = _date(answer).astimezone(self.zone or UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def _fix(status: int, found: Mapping[str, Any]) -> str:
    if status == 401:
        return (
            "the token is wrong, expired or was rotated: copy the current one from Development > Keys > Service keys "
            "in HubSpot"
        )
    if status == 403:
        missing = ", ".join(scopes(found))
        return (
            f"add to the key: {missing}" if missing else "give the key the scopes listed in the connector's README"
        ) + "; if it has them, the account's plan lacks the feature: name the stream in skip_streams"
    if status == 414:
        return "map fewer fields of this stream"
    if status == 404:
        return "check the name of the object or property, and api_version"
    return ""


def vendor(settings: HubSpotSettings) -> Vendor:
    """Return the HTTP facts of a connection.

    Search has its own limit of 5 a second for the whole account; the rest shares the burst limit of the token.
    """
    portal = Portal(app=settings.token is None)
    key = f"Bearer {settings.token.get_secret_value()}" if settings.token else None
    return Vendor(
        base_url=BASE_URL,
        judge=portal.judge,
        headers={"Accept": "application/json", **({"Authorization": key} if key else {})},
        login=None if key else _login(settings),
        buckets=(
            Bucket("search", 5, 1.0, r"POST .*/crm/objects/[^/]+/[^/]+/search$"),
            Bucket("general", settings.burst, 10.0),
        ),
        pause=portal.pause,
        daily=daily,
        left=left,
        allowed=allowed if settings.calls_per_10_seconds is None else lambda answer: (),
        concurrency=4,
    )


def _login(settings: HubSpotSettings) -> Callable[[Callable[..., Answer]], Token]:
    """Return how an OAuth app gets an access token (30 minutes): by its refresh token, which stays as it is."""
    secrets = (settings.client_secret, settings.refresh_token)
    secret, refresh = (s.get_secret_value() if s else "" for s in secrets)
    url = f"{(settings.base_url or BASE_URL).rstrip('/')}/oauth/{settings.api_version}/token"
    grant = {"grant_type": "refresh_token", "client_id": settings.client_id, "client_secret": secret,
             "refresh_token": refresh}  # fmt: skip

    def login(send: Callable[..., Answer]) -> Token:
        answer = send("POST", url, data=grant)
        found = error_body(answer)
        if answer.status != 200 or not isinstance(found, Mapping) or not found.get("access_token"):
            words, _ = complaint(found)
            raise ConnectionFault(
                f"HubSpot refused the OAuth app (HTTP {answer.status}, {words})",
                kept="nothing was read; store and checkpoints are unchanged",
                fix=REINSTALL,
            )
        expires = found.get("expires_in")
        return Token(str(found["access_token"]), float(expires) if expires else None)

    return login


def daily(answer: Answer) -> tuple[int, int] | None:
    """Return the calls left and in all of the account's day; OAuth apps and searches are not told."""
    told = [answer.headers.get(f"x-hubspot-ratelimit-daily{end}", "") for end in ("-remaining", "")]
    return (int(told[0]), int(told[1])) if all(number.isdecimal() for number in told) else None


def allowed(answer: Answer) -> Iterator[tuple[str, int, float]]:
    """Yield the burst limit of the account's plan."""
    told = [answer.headers.get(f"x-hubspot-ratelimit-{end}", "") for end in ("max", "interval-milliseconds")]
    if all(number.isdecimal() for number in told) and int(told[1]):
        yield "general", int(told[0]), int(told[1]) / 1000


def left(answer: Answer) -> Iterator[tuple[str, int, None]]:
    """Yield what is left of the token's ten seconds. They are rolling: when there are more is not told."""
    told = answer.headers.get("x-hubspot-ratelimit-remaining", "")
    if told.isdecimal():
        yield "general", int(told), None


# --- Requests used in several places ----------------------------------------------------------------------------------


def account(session: Session) -> Mapping[str, Any]:
    """Return what HubSpot says of the account behind the token.

    Raises:
        ConnectionFault: refused, or something else answers: without this check a deal would lose its currency.
    """
    answer = session.get(Paths(session).account)
    found = body(answer)
    if not found.get("portalId"):
        raise _misshapen(answer, "names no account")
    return found


def batch_read(session: Session, kind: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Read live records by id, 100 a request. Ids that are gone are absent.

    Raises:
        ConnectionFault: HubSpot refused, or reported an error other than "not found".
    """
    for part in chunks(list(dict.fromkeys(ids))):
        answer = session.request(
            "POST",
            Paths(session).objects(kind, "/batch/read"),
            json={"inputs": [{"id": i} for i in part], "properties": list(fields), "propertiesWithHistory": []},
        )
        found = body(answer)
        yield from listed(answer, found)
        for error in found.get("errors") or ([{}] if found.get("numErrors") else []):  # counted, and not listed
            if error.get("category") != "OBJECT_NOT_FOUND":
                words, _ = complaint(error)
                raise ConnectionFault(
                    f"HubSpot could not read some {kind}: {words}",
                    kept="what was stored before; the checkpoint stays before these records",
                    fix="run again; if it stays, give HubSpot's support the words above",
                )


def definitions(session: Session, kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the property definitions of an object type by name."""
    return {str(p["name"]): p for p in results(session.get(Paths(session).properties(kind))) if "name" in p}
