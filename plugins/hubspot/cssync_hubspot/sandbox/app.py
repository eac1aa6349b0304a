"""The sandbox: who asks, what is limited, and which route answers; in the shapes of API version 2026-09."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync.sandbox.world import World, record_id
from cssync_hubspot.sandbox.answers import (
    Stop,
    admit,
    archived,
    refusal,
    too_many,
)
from cssync_hubspot.sandbox.changing import Changing
from cssync_hubspot.sandbox.definitions import pipeline_body
from cssync_hubspot.sandbox.portal import Portal, name_parts, stamp
from cssync_hubspot.sandbox.properties import Properties
from cssync_hubspot.sandbox.reading import Reading
from cssync_hubspot.sandbox.routes import ROUTES, route
from cssync_hubspot.settings import API_VERSION

APP = ("sandbox-app", "sandbox-app-secret", "sandbox-refresh-token")
"""Client id, client secret and refresh token of an OAuth app that is installed in the account."""


class SandboxHubSpot(Reading, Changing, Properties):
    """A HubSpot account made from a world.

    Attributes to set in tests: `list_page`, `search_page`, `search_cap`, `association_page` (sizes), `index_lag`
    (seconds that search runs behind), `burst` (requests in 10 s), `search_rate` (a second), `daily` (requests left
    today), `token_life` (seconds), `scopes` (None: all), `max_url`, `clock` (epoch seconds). `portal` holds the data
    and the ways to change it as a person would: `add`, `edit`, `archive`, `restore`, `merge`, `link`.
    """

    def __init__(self, world: World, *, token: str = "sandbox-hubspot-token") -> None:  # noqa: S107 - opens nothing
        self.token = token
        self.app = APP
        self.token_life = 1800
        self._granted: dict[str, float] = {}
        self.clock: Callable[[], float] = time.time
        self.portal = Portal(world, lambda: self.clock())
        self.burst: int | None = None
        self.search_rate: int | None = None
        self.daily: int | None = None
        self.max_url = 8000
        self._sent: deque[float] = deque()
        self._searched: deque[float] = deque()

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer one request."""
        if (request.method, request.path) == ("POST", f"/oauth/{API_VERSION}/token"):
            return self._grant(request.form())
        if not self._known(request.headers.get("authorization", "").removeprefix("Bearer ")):
            return refusal(401, "INVALID_AUTHENTICATION", "Authentication credentials not found or not valid.")
        if sum(len(k) + len(v) + 2 for k, v in request.query.items()) > self.max_url:
            return SandboxAnswer(414, b"<html>URI Too Long</html>", {"Content-Type": "text/html"})
        limited = self._limit(request)
        if limited:
            return limited
        line = f"{request.method} {request.path}"
        for pattern, name in ROUTES:
            found = pattern.match(line)
            if found:
                try:
                    parts = {key: unquote(value) for key, value in found.groupdict().items()}
                    answer: SandboxAnswer = getattr(self, name)(request, **parts)
                except Stop as stop:
                    answer = stop.answer
                return self._with_headers(request, answer)
        return refusal(404, "OBJECT_NOT_FOUND", f"No such resource: {request.path}")

    # --- who asks ---

    def _known(self, token: str) -> bool:
        return token == self.token or self._granted.get(token, 0.0) > self.clock()

    def _grant(self, asked: Mapping[str, str]) -> SandboxAnswer:
        """Give an installed app an access token; its refresh token stays as it is."""
        given = tuple(asked.get(name, "") for name in ("client_id", "client_secret", "refresh_token"))
        if asked.get("grant_type") != "refresh_token" or given != self.app:
            words = "missing or invalid refresh token" if given[:2] == self.app[:2] else "missing or unknown client id"
            return SandboxAnswer(400, {"status": "BAD_REFRESH_TOKEN", "message": words, "error": "invalid_grant"})
        token = f"sandbox-access-{len(self._granted)}"
        self._granted[token] = self.clock() + self.token_life
        body = {"token_type": "bearer", "access_token": token, "refresh_token": given[2], "expires_in": self.token_life}
        return SandboxAnswer(200, body)

    # --- limits -------------------------------------------------------------------------------------------------------

    def _limit(self, request: SandboxRequest) -> SandboxAnswer | None:
        now = self.clock()
        if self.daily is not None:
            self.daily -= 1
            if self.daily < 0:
                return too_many("DAILY", "You have reached your daily limit.")
        if request.path.endswith("/search"):
            if self.search_rate is not None and not admit(self._searched, now, 1.0, self.search_rate):
                return too_many("SECONDLY", "You have reached your secondly limit.")
        elif self.burst is not None and not admit(self._sent, now, 10.0, self.burst):
            return too_many("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit.")
        return None

    def _with_headers(self, request: SandboxRequest, answer: SandboxAnswer) -> SandboxAnswer:
        """Add the rate-limit headers; search answers carry none."""
        if request.path.endswith("/search"):
            return answer
        most = self.burst or 250
        daily = 650_000 if self.daily is None else self.daily
        headers = {
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(most - len(self._sent) if self.burst else most - 1),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Daily": "650000",
            "X-HubSpot-RateLimit-Daily-Remaining": str(daily),
        }
        return SandboxAnswer(answer.status, answer.body, {**headers, **answer.headers})

    # --- who and what -------------------------------------------------------------------------------------------------

    @route("GET /account-info/{v}/details")
    def account(self, request: SandboxRequest) -> SandboxAnswer:
        """The account behind the token."""
        return SandboxAnswer(
            body={
                "portalId": self.portal.portal_id,
                "accountType": self.portal.account_type,
                "timeZone": self.portal.timezone,
                "companyCurrency": self.portal.currency,
                "additionalCurrencies": ["USD", "EUR"],
                "utcOffset": "+09:00",
                "utcOffsetMilliseconds": 32_400_000,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }
        )

    @route("GET /crm/owners/{v}")
    def owners(self, request: SandboxRequest) -> SandboxAnswer:
        """Staff; the inactive ones only with `archived=true`."""
        gone = archived(request)
        self._scope("crm.objects.owners.read")
        staff = [p for p in self.portal.world.staff if p.is_active != gone]
        made = stamp(self.portal.world.now.timestamp() - 300 * 86400)
        found = []
        for person in staff:
            given, family = name_parts(person.name)
            number = int(record_id("hubspot", "user", person.key))
            found.append(
                {"id": str(number), "email": person.email, "type": "PERSON", "firstName": given, "lastName": family,
                 "userId": number % 100_000_000, "createdAt": made, "updatedAt": made, "archived": gone}
            )  # fmt: skip
        return self._slice(request, found)

    @route("GET /crm/pipelines/{v}/{kind}")
    def pipelines(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Pipelines of deals and tickets."""
        return SandboxAnswer(body=pipeline_body(self._kind(kind, "read")))

    def _slice(self, request: SandboxRequest, found: Sequence[Mapping[str, Any]]) -> SandboxAnswer:
        start, limit = int(request.query.get("after") or 0), int(request.query.get("limit") or 100)
        body: dict[str, Any] = {"results": found[start : start + limit]}
        if start + limit < len(found):
            body["paging"] = {"next": {"after": str(start + limit)}}
        return SandboxAnswer(body=body)
