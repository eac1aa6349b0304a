"""The sandbox's routes: requests in, answers out, in the shapes of API version 2026-09."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync.sandbox.world import World, record_id
from cssync_hubspot.sandbox import search
from cssync_hubspot.sandbox.answers import (
    Stop,
    admit,
    error,
    missing_error,
    names,
    no_links,
    refusal,
    token,
    too_many,
    untoken,
    without_status,
)
from cssync_hubspot.sandbox.definitions import KIND_OF, KINDS, definition, options, pipeline_body
from cssync_hubspot.sandbox.portal import Portal, Thing, link_name, name_parts, stamp
from cssync_hubspot.sandbox.writes import Refused, taken
from cssync_hubspot.settings import API_VERSION

APP = ("sandbox-app", "sandbox-app-secret", "sandbox-refresh-token")
"""Client id, client secret and refresh token of an OAuth app that is installed in the account."""
Handler = Callable[..., SandboxAnswer]
_ROUTES: list[tuple[re.Pattern[str], str]] = []


def _route(line: str) -> Callable[[Handler], Handler]:
    """Register a method for `METHOD /path` with `{name}` parts; `{v}` stands for the API version."""

    def register(handler: Handler) -> Handler:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", line.replace("{v}", API_VERSION))
        _ROUTES.append((re.compile(pattern + "$"), handler.__name__))
        return handler

    return register


def _archived(request: SandboxRequest) -> bool:
    """Whether the archived records are asked for; HubSpot's own Python client writes `True`."""
    return request.query.get("archived", "").lower() == "true"


class SandboxHubSpot:
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
        self.list_page = 100
        self.search_page = 200
        self.search_cap = 10_000
        self.association_page = 500
        self.index_lag = 0.0
        self.burst: int | None = None
        self.search_rate: int | None = None
        self.daily: int | None = None
        self.scopes: set[str] | None = None
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
        for pattern, name in _ROUTES:
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

    @_route("GET /account-info/{v}/details")
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

    @_route("GET /crm/owners/{v}")
    def owners(self, request: SandboxRequest) -> SandboxAnswer:
        """Staff; the inactive ones only with `archived=true`."""
        archived = _archived(request)
        self._scope("crm.objects.owners.read")
        staff = [p for p in self.portal.world.staff if p.is_active != archived]
        made = stamp(self.portal.world.now.timestamp() - 300 * 86400)
        found = []
        for person in staff:
            given, family = name_parts(person.name)
            number = int(record_id("hubspot", "user", person.key))
            found.append(
                {"id": str(number), "email": person.email, "type": "PERSON", "firstName": given, "lastName": family,
                 "userId": number % 100_000_000, "createdAt": made, "updatedAt": made, "archived": archived}
            )  # fmt: skip
        return self._slice(request, found)

    @_route("GET /crm/pipelines/{v}/{kind}")
    def pipelines(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Pipelines of deals and tickets."""
        return SandboxAnswer(body=pipeline_body(self._kind(kind, "read")))

    # --- reading records ----------------------------------------------------------------------------------------------

    @_route("GET /crm/objects/{v}/{kind}")
    def list_records(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """A page of records by ascending id."""
        kind = self._kind(kind, "read")
        limit = int(request.query.get("limit") or 10)
        if not 1 <= limit <= 100:
            return refusal(400, "VALIDATION_ERROR", "limit must be between 1 and 100")
        limit = min(limit, self.list_page)
        after = request.query.get("after")
        archived = _archived(request)
        found = self.portal.after(kind, untoken(after) if after else -1, archived=archived, limit=limit + 1)
        wanted = names(request.query.get("properties"))
        targets = [t for t in names(request.query.get("associations")) if t in KIND_OF]
        body: dict[str, Any] = {"results": [self._shown(t, wanted) for t in found[:limit]]}
        for shown, thing in zip(body["results"], found, strict=False):
            held = {t: self._list_links(kind, KIND_OF[t].name, thing.id) for t in targets}
            if any(held.values()):
                shown["associations"] = {t: links for t, links in held.items() if links}
        if len(found) > limit:
            body["paging"] = {"next": {"after": token(found[limit - 1].id), "link": "?after=..."}}
        return SandboxAnswer(body=body)

    @_route("GET /crm/objects/{v}/{kind}/{thing_id}")
    def get_record(self, request: SandboxRequest, kind: str, thing_id: str) -> SandboxAnswer:
        """One record."""
        kind = self._kind(kind, "read")
        return SandboxAnswer(body=self._shown(self._live(kind, thing_id), names(request.query.get("properties"))))

    @_route("POST /crm/objects/{v}/{kind}/batch/read")
    def batch_read(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Records by id; unknown ids stand in `errors`."""
        kind = self._kind(kind, "read")
        body = request.json()
        self._needs(body, "inputs", "properties", "propertiesWithHistory")
        ids = [str(i["id"]) for i in self._inputs(body)]
        found = [self.portal.live(kind, i) for i in dict.fromkeys(ids)]
        gone = [i for i in ids if not self.portal.live(kind, i)]
        errors = [missing_error(gone)] if gone else []
        return self._batch([self._shown(t, body["properties"]) for t in found if t], errors)

    @_route("POST /crm/objects/{v}/{kind}/search")
    def search(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Filter, sort, page; nothing beyond the cap, nothing that the index has not seen."""
        kind = self._kind(kind, "read")
        body = request.json()
        groups = body.get("filterGroups") or []
        limit, start = int(body.get("limit") or 10), int(body.get("after") or 0)
        operators = {f.get("operator") for g in groups for f in g.get("filters") or ()}
        if search.too_many(groups) or not operators <= search.OPERATORS or not 1 <= limit <= 200:
            return refusal(400, "VALIDATION_ERROR", "Invalid search request")
        if len(body.get("sorts") or ()) > 1 or start + limit > self.search_cap:
            return refusal(400, "VALIDATION_ERROR", f"You can only page to {self.search_cap} results with one sort.")
        limit = min(limit, self.search_page)
        until = self.clock() - self.index_lag
        name, descending = search.order(body.get("sorts") or [])
        found = [
            (thing, held)
            for thing in self.portal.things[kind].values()
            if (held := search.indexed(thing, until)) is not None and search.matches(held, groups)
        ]
        found.sort(key=lambda pair: (search.comparable(pair[1].get(name)), int(pair[0].id)), reverse=descending)
        wanted = body.get("properties") or []
        answer: dict[str, Any] = {
            "total": len(found),
            "results": [self._shown(thing, wanted, held) for thing, held in found[start : start + limit]],
        }
        if start + limit < len(found):
            answer["paging"] = {"next": {"after": str(start + limit)}}
        return SandboxAnswer(body=answer)

    @_route("POST /crm/associations/{v}/{start}/{end}/batch/read")
    def read_links(self, request: SandboxRequest, start: str, end: str) -> SandboxAnswer:
        """Associations of many records, each list paged by itself."""
        start, end = self._kind(start, "read"), self._kind(end, "read")
        results, errors = [], []
        for given in self._inputs(request.json(), most=1000):
            thing_id, offset = str(given["id"]), int(given.get("after") or 0)
            links = self.portal.linked(start, end, thing_id)
            if not links:
                errors.append(no_links(start, end, thing_id))
                continue
            page = links[offset : offset + self.association_page]
            item: dict[str, Any] = {
                "from": {"id": thing_id},
                "to": [
                    {
                        "toObjectId": other,
                        "associationTypes": [
                            {"category": "HUBSPOT_DEFINED", "typeId": n, **({"label": "Primary"} if n < 30 else {})}
                            for n in numbers
                        ],
                    }
                    for other, numbers in page
                ],
            }
            if offset + len(page) < len(links):
                item["paging"] = {"next": {"after": str(offset + len(page)), "link": "?after=..."}}
            results.append(item)
        return self._batch(results, errors)

    # --- writing records ----------------------------------------------------------------------------------------------

    @_route("POST /crm/objects/{v}/{kind}")
    def create(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Create one record."""
        kind = self._kind(kind, "write")
        made = self._created(kind, request.json())
        if isinstance(made, dict):
            return refusal(400, made.pop("category"), made.pop("message"), **without_status(made))
        return SandboxAnswer(201, self._shown(made, list(made.properties)))

    @_route("POST /crm/objects/{v}/{kind}/batch/create")
    def batch_create(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Create up to 100 records; failures one by one only where every input has a trace id."""
        kind = self._kind(kind, "write")
        return self._many(kind, request, self._created, 201)

    @_route("POST /crm/objects/{v}/{kind}/batch/update")
    def batch_update(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Update up to 100 records; one id twice fails the batch."""
        kind = self._kind(kind, "write")
        ids = [str(i.get("id")) for i in self._inputs(request.json())]
        if len(set(ids)) < len(ids):
            return refusal(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")
        return self._many(kind, request, self._updated, 200)

    @_route("PATCH /crm/objects/{v}/{kind}/{thing_id}")
    def update(self, request: SandboxRequest, kind: str, thing_id: str) -> SandboxAnswer:
        """Update one record."""
        kind = self._kind(kind, "write")
        self._live(kind, thing_id)
        made = self._updated(kind, {**request.json(), "id": thing_id})
        if isinstance(made, dict):
            return refusal(400, made.pop("category"), made.pop("message"), **without_status(made))
        return SandboxAnswer(200, self._shown(made, list(request.json().get("properties") or ())))

    @_route("DELETE /crm/objects/{v}/{kind}/{thing_id}")
    def delete(self, request: SandboxRequest, kind: str, thing_id: str) -> SandboxAnswer:
        """Archive one record; 204 also where there is none."""
        self.portal.archive(self._kind(kind, "write"), thing_id)
        return SandboxAnswer(204)

    @_route("POST /crm/objects/{v}/{kind}/merge")
    def merge(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Merge two records."""
        kind = self._kind(kind, "write")
        body = request.json()
        survivor, loser = str(body["primaryObjectId"]), str(body["objectIdToMerge"])
        self._live(kind, survivor)
        self._live(kind, loser)
        return SandboxAnswer(200, self._shown(self.portal.merge(kind, survivor, loser), []))

    @_route("PUT /crm/objects/{v}/{start}/{start_id}/associations/default/{end}/{end_id}")
    def associate(self, request: SandboxRequest, start: str, start_id: str, end: str, end_id: str) -> SandboxAnswer:
        """Associate two records without a label."""
        start, end = self._kind(start, "write"), self._kind(end, "read")
        self._live(start, start_id)
        self._live(end, end_id)
        self.portal.link(start, start_id, end, end_id)
        return self._batch([])

    # --- properties ---------------------------------------------------------------------------------------------------

    @_route("GET /crm/properties/{v}/{kind}")
    def properties(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Property definitions, live or archived."""
        archived = _archived(request)
        held = self.portal.definitions[self._kind(kind, "read")].values()
        return SandboxAnswer(body={"results": [d for d in held if d["archived"] == archived]})

    @_route("GET /crm/properties/{v}/{kind}/groups")
    def property_groups(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Property groups."""
        groups = self.portal.groups[self._kind(kind, "read")]
        return SandboxAnswer(
            body={"results": [{"name": n, "label": label, "archived": False} for n, label in groups.items()]}
        )

    @_route("POST /crm/properties/{v}/{kind}/groups")
    def create_group(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Create a property group; 409 where it exists."""
        kind, body = self._kind(kind, "schema"), request.json()
        if body["name"] in self.portal.groups[kind]:
            return refusal(409, "CONFLICT", f"Property group {body['name']} already exists")
        self.portal.groups[kind][body["name"]] = body["label"]
        return SandboxAnswer(201, {"name": body["name"], "label": body["label"], "archived": False})

    @_route("POST /crm/properties/{v}/{kind}/batch/create")
    def create_properties(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Create properties; one that exists already fails the batch."""
        kind = self._kind(kind, "schema")
        inputs = self._inputs(request.json())
        wrong = next((w for given in inputs if (w := self._bad_definition(kind, given))), None)
        if wrong:
            return refusal(*wrong)
        return self._batch([self._define(kind, given) for given in inputs])

    @_route("PATCH /crm/properties/{v}/{kind}/{name}")
    def change_property(self, request: SandboxRequest, kind: str, name: str) -> SandboxAnswer:
        """Change a definition; `options` replaces the whole list."""
        kind = self._kind(kind, "schema")
        held = self.portal.definitions[kind].get(name)
        if held is None or held["archived"]:
            return refusal(404, "OBJECT_NOT_FOUND", f"Property {name} does not exist")
        held.update(request.json())
        return SandboxAnswer(200, held)

    def _bad_definition(self, kind: str, given: Mapping[str, Any]) -> tuple[int, str, str] | None:
        name = str(given.get("name"))
        lacking = [k for k in ("name", "label", "type", "fieldType", "groupName") if not given.get(k)]
        if lacking or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            return 400, "VALIDATION_ERROR", f"Invalid input: {', '.join(lacking) or name}"
        if given["groupName"] not in self.portal.groups[kind]:
            return 400, "VALIDATION_ERROR", f"Property group {given['groupName']} does not exist"
        if name in self.portal.definitions[kind]:
            return 409, "CONFLICT", f"A property named '{name}' already exists."
        if given["type"] in ("enumeration", "bool") and not given.get("options"):
            return 400, "VALIDATION_ERROR", f"Property {name} needs options"
        return None

    def _define(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        line = f"{given['name']}:{given['type']}:{given['fieldType']}"
        made = {**definition(line, own=True), **given}
        made["options"] = [{**o, "displayOrder": n} for n, o in enumerate(given.get("options") or options(()))]
        self.portal.definitions[kind][str(given["name"])] = made
        return made

    # --- parts --------------------------------------------------------------------------------------------------------

    def _scope(self, scope: str) -> None:
        if self.scopes is not None and scope not in self.scopes:
            raise Stop(
                refusal(
                    403,
                    "MISSING_SCOPES",
                    "This app hasn't been granted all required scopes to make this call.",
                    errors=[
                        {
                            "message": "One or more of the following scopes are required.",
                            "context": {"requiredScopes": [scope]},
                        }
                    ],
                )
            )

    def _kind(self, name: str, use: str) -> str:
        kind = self.portal.kind(name)
        if kind is None:
            raise Stop(refusal(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}"))
        declared = next(k for k in KINDS if k.name == kind)
        schema = declared.read_scope.replace("objects", "schemas").replace("read", "write")
        self._scope({"read": declared.read_scope, "write": declared.write_scope, "schema": schema}[use])
        return kind

    def _live(self, kind: str, thing_id: str) -> Thing:
        thing = self.portal.live(kind, thing_id)
        if thing is None:
            raise Stop(refusal(404, "OBJECT_NOT_FOUND", f"Object not found. objectId are usually numeric: {thing_id}"))
        return thing

    def _inputs(self, body: Mapping[str, Any], most: int = 100) -> list[Mapping[str, Any]]:
        inputs = body.get("inputs")
        if not isinstance(inputs, list) or not 1 <= len(inputs) <= most:
            raise Stop(refusal(400, "VALIDATION_ERROR", f"inputs must hold 1 to {most} items"))
        return inputs

    def _needs(self, body: Mapping[str, Any], *keys: str) -> None:
        lacking = [k for k in keys if k not in body]
        if lacking:
            raise Stop(refusal(400, "VALIDATION_ERROR", f"Some required fields were not set: {lacking}"))

    def _shown(
        self, thing: Thing, wanted: Sequence[str], held: Mapping[str, str | None] | None = None
    ) -> dict[str, Any]:
        """A record as an answer holds it: wanted properties (null where empty), those that do not exist left out."""
        kind = next(k for k in KINDS if k.name == thing.kind)
        known = self.portal.definitions[thing.kind]
        names = sorted({"hs_object_id", "createdate", kind.modified, *(n for n in wanted or kind.shown if n in known)})
        properties = {n: (thing.properties if held is None else held).get(n) for n in names}
        shown: dict[str, Any] = {
            "id": thing.id,
            "properties": {n: v or None for n, v in properties.items()},
            "createdAt": properties["createdate"],
            "updatedAt": properties[kind.modified],
            "archived": thing.archived is not None,
            "url": f"https://app.hubspot.com/contacts/{self.portal.portal_id}/record/{kind.type_id}/{thing.id}",
        }
        if thing.archived is not None:
            shown["archivedAt"] = stamp(thing.archived)
        return shown

    def _list_links(self, start: str, end: str, thing_id: str) -> dict[str, Any] | None:
        """The associations inside a listed record: one entry for each type, paged by itself."""
        links = [
            {"id": other, "type": link_name(start, end, n)}
            for other, numbers in self.portal.linked(start, end, thing_id)
            for n in numbers
        ]
        if not links:
            return None
        size = self.association_page
        more = {"paging": {"next": {"after": str(size), "link": "?after=..."}}} if len(links) > size else {}
        return {"results": links[:size], **more}

    def _slice(self, request: SandboxRequest, found: Sequence[Mapping[str, Any]]) -> SandboxAnswer:
        start, limit = int(request.query.get("after") or 0), int(request.query.get("limit") or 100)
        body: dict[str, Any] = {"results": found[start : start + limit]}
        if start + limit < len(found):
            body["paging"] = {"next": {"after": str(start + limit)}}
        return SandboxAnswer(body=body)

    def _many(
        self, kind: str, request: SandboxRequest, act: Callable[[str, Mapping[str, Any]], Any], status: int
    ) -> SandboxAnswer:
        inputs = self._inputs(request.json())
        traced = all(i.get("objectWriteTraceId") for i in inputs)
        if not traced:
            wrong = next((w for i in inputs if (w := self._wrong(kind, i)) is not None), None)
            if wrong:
                return refusal(400, wrong["category"], wrong["message"])
        results, errors = [], []
        for given in inputs:
            made = act(kind, given)
            trace = given.get("objectWriteTraceId")
            if isinstance(made, Thing):
                shown = self._shown(made, list(given.get("properties") or ()))
                shown["properties"].update({n: "" for n, v in (given.get("properties") or {}).items() if v == ""})
                results.append({**shown, **({"objectWriteTraceId": trace} if trace else {})})
            else:
                errors.append({**made, "context": {**made["context"], "objectWriteTraceId": [trace]}})
        return self._batch(results, errors, status=status)

    def _wrong(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """The error body of one input, None if it can be written."""
        try:
            properties = taken(self.portal.definitions[kind], given.get("properties") or {})
        except Refused as refused:
            return error("VALIDATION_ERROR", refused.message, refused.code)
        if "id" in given and self.portal.live(kind, str(given["id"])) is None:
            return missing_error([str(given["id"])])
        if "id" not in given and kind == "tasks" and not properties.get("hs_timestamp"):
            return error("VALIDATION_ERROR", "hs_timestamp is required", "REQUIRED_FIELD")
        return None

    def _created(self, kind: str, given: Mapping[str, Any]) -> Thing | dict[str, Any]:
        links = [(str(a["to"]["id"]), a["types"]) for a in given.get("associations") or ()]
        wrong = self._wrong(kind, given)
        targets = [(other, self._holder(other)) for other, _ in links]
        missing = [other for other, held in targets if held is None]
        if wrong is None and missing:
            wrong = missing_error(missing)
        if wrong:
            return wrong
        thing = self.portal.add(kind, taken(self.portal.definitions[kind], given.get("properties") or {}))
        for (other, types), (_, held) in zip(links, targets, strict=True):
            self.portal.link(kind, thing.id, str(held), other, [int(t["associationTypeId"]) for t in types])
        return thing

    def _holder(self, thing_id: str) -> str | None:
        return next((k.name for k in KINDS if self.portal.live(k.name, thing_id)), None)

    def _updated(self, kind: str, given: Mapping[str, Any]) -> Thing | dict[str, Any]:
        wrong = self._wrong(kind, given)
        if wrong:
            return wrong
        properties = taken(self.portal.definitions[kind], given.get("properties") or {})
        return self.portal.edit(kind, str(given["id"]), **properties)

    def _batch(self, results: Sequence[Any], errors: Sequence[Any] = (), *, status: int = 200) -> SandboxAnswer:
        now = stamp(self.clock())
        body: dict[str, Any] = {"status": "COMPLETE", "results": list(results), "startedAt": now, "completedAt": now}
        if errors:
            body |= {"numErrors": len(errors), "errors": list(errors)}
        return SandboxAnswer(status, body)
