"""A Zendesk account in memory, for the demo and for tests: it behaves where Zendesk is peculiar.

Exports withhold the last minute, repeat the boundary second and answer a null cursor when nothing is new; updates of
many organizations are jobs that report failed rows as completed; an OAuth scope that does not exist is granted and
then refused; limits are counted and told in headers.
"""

from __future__ import annotations

import re
import time
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync.sandbox.world import World, record_id
from cssync_zendesk.sandbox_answers import Refused, invalid, no, page, per_page, stored
from cssync_zendesk.sandbox_data import SERVICE_USER, Kind, absolute, populate, stamp, ticket_fields
from cssync_zendesk.sandbox_tickets import TicketDesk

CLIENT = ("cssync-sandbox", "sandbox-zendesk-secret")
API_TOKEN = (SERVICE_USER.email, "sandbox-zendesk-token")
REFRESH_TOKEN = "sandbox-refresh-0"  # noqa: S105 - opens nothing but a server on localhost
HIDDEN_SECONDS = 60
MANY = 100
KNOWN_SCOPES = ("read", "write", "organizations:read", "organizations:write", "tickets:read", "tickets:write",
                "users:read")  # fmt: skip
FIELD_TYPES = ("text", "textarea", "checkbox", "date", "integer", "decimal", "regexp", "dropdown", "multiselect")


@dataclass(slots=True)
class Job:
    """A queued update. It is done when it has been asked for twice, or half a second has passed."""

    rows: list[dict[str, Any]]
    due: float
    polls: int = 0
    results: list[dict[str, Any]] | None = None


@dataclass(slots=True)
class Window:
    """Calls counted in a fixed minute."""

    total: int
    began: float = 0.0
    used: int = 0


class ZendeskSandbox:
    """The app. `limits` may be changed or emptied, `clock` replaced, `scopes` of the OAuth client narrowed, and
    `fail` filled with organization ids whose update is to fail inside its job."""

    def __init__(self, world: World, client: tuple[str, str] = CLIENT) -> None:
        self.world = world
        self.client = client
        self.clock: Callable[[], float] = time.time
        self.organizations, self.users, self.tickets = Kind("organizations"), Kind("users"), Kind("tickets")
        populate(world, self.organizations, self.users, self.tickets)
        self.fields: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, Job] = {}
        self.tokens: dict[str, tuple[str, float]] = {}
        self.refresh_token = REFRESH_TOKEN
        self._of_grant: set[str] = set()
        self.scopes = KNOWN_SCOPES
        self.role = "admin"
        self.fail: dict[int, str] = {}
        self.limits = {"account": Window(2_500), "incremental-exports": Window(30),
                       "incremental-exports-cursor": Window(60)}  # fmt: skip
        self._serial = count(1)
        self.desk = TicketDesk(self)
        self._deleted: set[int] = set()

    # --- one request --------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Epoch seconds: the clock, but never before the world's own now."""
        return max(self.clock(), self.world.now.timestamp())

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer one request."""
        path = request.path.removesuffix(".json")
        headers: dict[str, str] = {}
        self._work()
        try:
            if (request.method, path) == ("POST", "/oauth/tokens"):
                return self._grant(request)
            scopes = self._authorized(request)
            headers = self._counted(path)
            for method, pattern, scope, act in self._routes():
                if method == request.method and (found := re.fullmatch(f"/api/v2/{pattern}", path)):
                    self._allowed(scopes, scope, path)
                    answer = act(request, *found.groups())
                    return SandboxAnswer(answer.status, answer.body, {**headers, **answer.headers})
            raise no(404, "InvalidEndpoint", "Not found")
        except Refused as refused:
            return SandboxAnswer(refused.answer.status, refused.answer.body, {**headers, **refused.answer.headers})

    def _routes(self) -> tuple[tuple[str, str, str, Callable[..., SandboxAnswer]], ...]:
        return (
            ("GET", "incremental/(tickets|users)/cursor", "read", self._cursor_export),
            ("GET", "incremental/organizations", "read", self._time_export),
            ("GET", "organizations/count", "read", self._count),
            ("GET", "organizations/show_many", "read", self._show_many),
            ("PUT", "organizations/update_many", "organizations:write", self._update_many),
            ("PUT", r"organizations/(\d+)", "organizations:write", self._update_one),
            ("DELETE", r"organizations/(\d+)", "organizations:write", self._delete_organization),
            ("GET", r"job_statuses/([\w-]+)", "read", self._job),
            ("GET", "job_statuses", "read", self._jobs),
            ("GET", "tickets", "read", self.desk.listed),
            ("POST", "tickets", "tickets:write", self.desk.create),
            ("GET", r"tickets/(\d+)", "read", self.desk.shown),
            ("PUT", r"tickets/(\d+)", "tickets:write", self.desk.update),
            ("GET", r"tickets/(\d+)/comments", "read", self.desk.comments),
            (
                "GET",
                "organization_fields",
                "read",
                lambda request: page("organization_fields", [*self.fields.values()]),
            ),
            ("POST", "organization_fields", "organizations:write", self._create_field),
            ("PUT", r"organization_fields/(\d+)", "organizations:write", self._update_field),
            ("GET", "ticket_fields", "read", lambda request: page("ticket_fields", ticket_fields())),
            ("GET", "user_fields", "read", lambda request: page("user_fields", [])),
            ("GET", "users/me", "", self._me),
            ("GET", "account/settings", "read", self._settings),
        )

    # --- who may what -------------------------------------------------------------------------------------------------

    def _grant(self, request: SandboxRequest) -> SandboxAnswer:
        asked = request.json()
        if (asked.get("client_id"), asked.get("client_secret")) != self.client:
            raise Refused(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        if asked.get("grant_type") not in ("client_credentials", "refresh_token"):
            raise Refused(400, {"error": "unsupported_grant_type", "error_description": "Unsupported grant type"})
        refresh = asked.get("refresh_token") if asked["grant_type"] == "refresh_token" else None
        if asked["grant_type"] == "refresh_token" and refresh != self.refresh_token:
            raise Refused(400, {"error": "invalid_grant", "error_description": "The refresh token is invalid"})
        life = int(asked.get("expires_in") or 172_800)
        if not 300 <= life <= 172_800:
            raise Refused(400, {"error": "invalid_request", "error_description": "expires_in is out of range"})
        granted = " ".join(s for s in str(asked.get("scope") or "read").split() if s in self.scopes or ":" not in s)
        token = f"sandbox-token-{next(self._serial)}"
        body = {"access_token": token, "token_type": "bearer", "scope": granted, "expires_in": life}
        if refresh:
            self.tokens = {t: held for t, held in self.tokens.items() if t not in self._of_grant}
            self.refresh_token = f"sandbox-refresh-{next(self._serial)}"
            self._of_grant = {token}
            body |= {"refresh_token": self.refresh_token,
                     "refresh_token_expires_in": int(asked.get("refresh_token_expires_in") or 2_592_000)}  # fmt: skip
        self.tokens[token] = (granted, self.now() + life)
        return SandboxAnswer(201, body)

    def _authorized(self, request: SandboxRequest) -> str:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            if b64decode(value).decode() != f"{API_TOKEN[0]}/token:{API_TOKEN[1]}":
                raise Refused(401, {"error": "Couldn't authenticate you"})
            return "read write"
        if not scheme and request.path.startswith("/api/v2/users/me"):
            return "anonymous"
        granted, until = self.tokens.get(value, ("", 0.0))
        if self.now() >= until:
            raise Refused(
                401, {"error": "invalid_token", "error_description": "The access token is invalid or expired"}
            )
        return granted

    def _allowed(self, scopes: str, wanted: str, path: str) -> None:
        held = set(scopes.split())
        if wanted and not {wanted, wanted.rpartition(":")[2]} & held:
            raise no(403, "Forbidden", "You do not have access to this page. Please contact the account owner.")
        if self.role != "admin" and ("/incremental/" in path or wanted.endswith(":write")):
            raise Refused(403, {"error": {"title": "Forbidden", "message": "You do not have access to this page."}})

    def _counted(self, path: str) -> dict[str, str]:
        names = ["account"]
        if "/incremental/" in path:
            names.append("incremental-exports-cursor" if "users/cursor" in path else "incremental-exports")
        headers: dict[str, str] = {}
        now = self.now()
        for name in names:
            window = self.limits.get(name)
            if window is None:
                continue
            if now - window.began >= 60:
                window.began, window.used = now, 0
            window.used += 1
            left, resets = window.total - window.used, int(60 - (now - window.began)) + 1
            if name == "account":
                headers |= {"x-rate-limit": str(window.total), "x-rate-limit-remaining": str(max(0, left)),
                            "ratelimit-limit": str(window.total), "ratelimit-remaining": str(max(0, left)),
                            "ratelimit-reset": str(resets)}  # fmt: skip
            else:
                headers[f"zendesk-ratelimit-{name}"] = (
                    f"total={window.total}; remaining={max(0, left)}; resets={resets}"
                )
            if left < 0:
                kind = "API" if name == "account" else "incremental export API"
                text = f"Number of allowed {kind} requests per minute exceeded"
                raise Refused(429, {"error": "APIRateLimitExceeded", "description": text},
                              **{"Retry-After": str(resets)}, **headers)  # fmt: skip
        return headers

    # --- exports ------------------------------------------------------------------------------------------------------

    def _rows(self, kind: Kind) -> list[tuple[int, int]]:
        """What the export shows now: (second generated, id), in its order."""
        return sorted((at, key) for key, at in kind.generated.items() if at <= self.now() - HIDDEN_SECONDS)

    def _start(self, request: SandboxRequest) -> int:
        try:
            start = int(request.query["start_time"])
        except (KeyError, ValueError):
            raise no(400, "InvalidValue", "start_time is missing or no number") from None
        if start > self.now() - HIDDEN_SECONDS:
            raise no(422, "StartTimeTooRecent", "Too recent start_time. Use a start_time older than 60 seconds")
        return start

    def _cursor_export(self, request: SandboxRequest, name: str) -> SandboxAnswer:
        kind = self.tickets if name == "tickets" else self.users
        rows = self._rows(kind)
        if cursor := request.query.get("cursor"):
            try:
                at, key = (int(part) for part in urlsafe_b64decode(cursor).split(b"|"))
            except ValueError:
                raise no(400, "InvalidCursor", "The cursor is not valid") from None
            rows = [row for row in rows if row > (at, key)]
        else:
            start = self._start(request)
            rows = [row for row in rows if row[0] >= start]
        size = per_page(request)
        page, more = rows[:size], len(rows) > size
        after = urlsafe_b64encode(b"%d|%d" % page[-1]).decode() if page else None
        sideloads = request.query.get("include", "").split(",")
        return SandboxAnswer(body={
            name: [self._exported(kind, key, request.origin, sideloads) for _, key in page],
            "after_url": f"{request.origin}/api/v2/incremental/{name}/cursor.json?cursor={after}" if after else None,
            "after_cursor": after,
            "before_url": None,
            "before_cursor": None,
            "end_of_stream": not more,
        })  # fmt: skip

    def _time_export(self, request: SandboxRequest) -> SandboxAnswer:
        start, size = self._start(request), per_page(request)
        rows = [row for row in self._rows(self.organizations) if row[0] >= start]
        cut = min(size, len(rows))
        while 0 < cut < len(rows) and rows[cut][0] == rows[cut - 1][0]:
            cut += 1  # a page never ends inside a second: the next one would begin with the same rows for ever
        page = rows[:cut]
        end_time = page[-1][0] if page else None
        query = f"per_page={size}&start_time={end_time}"
        return SandboxAnswer(body={
            "organizations": [self._exported(self.organizations, key, request.origin, []) for _, key in page],
            "next_page": f"{request.origin}/api/v2/incremental/organizations.json?{query}" if page else None,
            "count": len(page),
            "end_of_stream": cut == len(rows),
            "end_time": end_time,
        })  # fmt: skip

    def _exported(self, kind: Kind, key: int, origin: str, sideloads: list[str]) -> dict[str, Any]:
        record = absolute(kind.records[key], origin)
        if kind is self.tickets:
            record["generated_timestamp"] = kind.generated[key]
            if "metric_sets" not in sideloads:
                record.pop("metric_set", None)
        return {"deleted_at": None, **record} if kind is self.organizations else record

    # --- organizations ------------------------------------------------------------------------------------------------

    def _live(self, key: int) -> dict[str, Any]:
        record = self.organizations.records.get(key)
        if record is None or key in self._deleted:
            raise no(404, "RecordNotFound", "Not found")
        return record

    def _count(self, request: SandboxRequest) -> SandboxAnswer:
        live = len(self.organizations.records) - len(self._deleted)
        return SandboxAnswer(body={"count": {"value": live, "refreshed_at": self._stamp()}})

    def _show_many(self, request: SandboxRequest) -> SandboxAnswer:
        asked = [int(i) for i in request.query.get("ids", "").split(",") if i.isdigit()]
        if len(asked) > MANY:
            raise no(400, "TooManyValues", "Too many values", max_count=MANY)
        found = [
            absolute(self.organizations.records[key], request.origin)
            for key in asked
            if key in self.organizations.records and key not in self._deleted
        ]
        return SandboxAnswer(
            body={"organizations": found, "next_page": None, "previous_page": None, "count": len(found)}
        )

    def _update_one(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        self._live(int(key))
        error = self.write(int(key), request.json().get("organization") or {})
        if error:
            raise invalid("base", error)
        return SandboxAnswer(body={"organization": absolute(self._live(int(key)), request.origin)})

    def _delete_organization(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        self._live(int(key))
        self.delete_organization(int(key))
        return SandboxAnswer(204)

    def _update_many(self, request: SandboxRequest) -> SandboxAnswer:
        rows = request.json().get("organizations")
        if not isinstance(rows, list):
            raise no(400, "InvalidValue", "organizations is missing")
        if len(rows) > MANY:
            raise no(400, "TooManyValues", "Too many values", max_count=MANY)
        running = [name for name, job in self.jobs.items() if job.results is None]
        if len(running) >= 30:
            raise no(429, "TooManyJobs", "Too many jobs are queued or running", current_job_ids=running)
        name = f"V3-{next(self._serial):032x}"
        self.jobs[name] = Job(rows, self.now() + 0.5)
        left = {"zendesk-ratelimit-inflight-jobs": f"total=30; remaining={29 - len(running)}; resets=60"}
        return SandboxAnswer(body={"job_status": self._status(name, request.origin)}, headers=left)

    def _job(self, request: SandboxRequest, name: str) -> SandboxAnswer:
        if name not in self.jobs:
            raise no(404, "RecordNotFound", "Not found")
        self.jobs[name].polls += 1
        self._work()
        return SandboxAnswer(body={"job_status": self._status(name, request.origin)})

    def _jobs(self, request: SandboxRequest) -> SandboxAnswer:
        self._work()
        return page("job_statuses", [self._status(name, request.origin) for name in list(self.jobs)[-100:]])

    def _status(self, name: str, origin: str) -> dict[str, Any]:
        job = self.jobs[name]
        done = job.results is not None
        state = "completed" if done else "working" if job.polls else "queued"
        message = f"Completed at {self._stamp()}" if done else None
        return {
            "id": name,
            "url": f"{origin}/api/v2/job_statuses/{name}.json",
            "total": len(job.rows),
            "progress": len(job.rows) if done else None,
            "status": state,
            "message": message,
            "results": job.results,
        }

    def _work(self) -> None:
        """Finish the jobs that are due. Results come in another order than the rows."""
        for job in self.jobs.values():
            if job.results is None and (job.polls >= 2 or self.now() >= job.due):
                job.results = [self._result(index, row) for index, row in enumerate(job.rows)][::-1]

    def _result(self, index: int, row: dict[str, Any]) -> dict[str, Any]:
        key = int(row.get("id") or 0)
        if key not in self.organizations.records or key in self._deleted:
            return {"index": index, "id": key, "error": "OrganizationNotFound", "details": "Organization not found"}
        error = self.fail.get(key) or self.write(key, row)
        if error:
            return {"index": index, "id": key, "error": "OrganizationUpdateFailed", "details": error}
        return {"action": "update", "id": key, "status": "Updated", "success": True}

    def write(self, key: int, given: Mapping[str, Any]) -> str:
        """Change an organization as a person or a program would; returns why not, "" when done.

        Custom fields that do not exist are ignored, as Zendesk does.
        """
        record = self.organizations.records[key]
        values: dict[str, Any] = {}
        for name, value in (given.get("organization_fields") or {}).items():
            if name in self.fields:
                error, values[name] = stored(self.fields[name], value)
                if error:
                    return error
        rest = {
            k: v for k, v in given.items() if k in ("name", "notes", "details", "domain_names", "external_id", "tags")
        }
        changed = {**record, **rest, "organization_fields": {**record["organization_fields"], **values}}
        changed["tags"] = self._tags(changed)
        changed["updated_at"] = self._stamp()
        self.organizations.put(changed, datetime.fromtimestamp(self.now(), UTC))
        return ""

    def _tags(self, record: Mapping[str, Any]) -> list[str]:
        """An organization's tags follow its dropdowns."""
        of_options = {o["value"] for f in self.fields.values() for o in f.get("custom_field_options", ())}
        held: set[str] = set()
        for value in record["organization_fields"].values():
            held.update(v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str))
        return sorted({t for t in record["tags"] if t not in of_options} | (held & of_options))

    # --- fields -------------------------------------------------------------------------------------------------------

    def _create_field(self, request: SandboxRequest) -> SandboxAnswer:
        given = request.json().get("organization_field") or {}
        key, kind = str(given.get("key") or ""), given.get("type") or "text"
        if not re.fullmatch(r"(?!\d+$)\w+", key, re.ASCII):
            raise invalid("key", "Key: may only contain letters, numbers and underscores")
        if key in self.fields:
            raise invalid("key", f"Key: {key} has already been taken", "DuplicateValue")
        if kind not in FIELD_TYPES or not given.get("title"):
            raise invalid("type" if given.get("title") else "title", "is not valid")
        field_id = int(record_id("zendesk", "organization_field", key))
        made = {"id": field_id, "url": f"/api/v2/organization_fields/{field_id}.json", "key": key, "type": kind,
                "title": given["title"], "raw_title": given["title"], "description": given.get("description") or "",
                "raw_description": given.get("description") or "", "position": 9999, "active": True, "system": False,
                "regexp_for_validation": None, "created_at": self._stamp(), "updated_at": self._stamp()}  # fmt: skip
        if kind in ("dropdown", "multiselect"):
            made["custom_field_options"] = self._options(key, given.get("custom_field_options") or [])
        self.fields[key] = made
        return SandboxAnswer(201, {"organization_field": absolute(made, request.origin)})

    def _update_field(self, request: SandboxRequest, field_id: str) -> SandboxAnswer:
        held = next((f for f in self.fields.values() if f["id"] == int(field_id)), None)
        if held is None:
            raise no(404, "RecordNotFound", "Not found")
        given = request.json().get("organization_field") or {}
        if "custom_field_options" in given:
            held["custom_field_options"] = self._options(held["key"], given["custom_field_options"])
        held["title"] = given.get("title", held["title"])
        return SandboxAnswer(body={"organization_field": absolute(held, request.origin)})

    def _options(self, key: str, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        taken = {o["value"] for k, f in self.fields.items() if k != key for o in f.get("custom_field_options", ())}
        tags = [str(o.get("value")) for o in given]
        if not given:
            raise invalid("custom_field_options", "Custom field options: cannot be blank")
        if len(set(tags)) < len(tags) or taken & set(tags) or any(t != t.lower() or " " in t for t in tags):
            raise invalid("custom_field_options", "Tag is already used by another field or holds invalid characters")
        return [
            {"id": n, "name": o["name"], "raw_name": o["name"], "value": o["value"]} for n, o in enumerate(given, 1)
        ]

    # --- the account --------------------------------------------------------------------------------------------------

    def _me(self, request: SandboxRequest) -> SandboxAnswer:
        if "authorization" not in request.headers:
            return SandboxAnswer(body={"user": {"id": None, "name": "Anonymous user", "role": "end-user"}})
        user = self.users.records[int(record_id("zendesk", "user", SERVICE_USER.key))]
        return SandboxAnswer(body={"user": {**absolute(user, request.origin), "role": self.role}})

    def _settings(self, request: SandboxRequest) -> SandboxAnswer:
        features = {"user_org_fields": True, "customer_satisfaction": True, "sandbox": False}
        return SandboxAnswer(body={"settings": {"active_features": features, "tickets": {"tagging": True}}})

    def next_id(self) -> int:
        """A number that no record has yet."""
        return 46_000_000_000_000 + next(self._serial)

    def stamped(self) -> str:
        """Now, as records carry it."""
        return self._stamp()

    def _stamp(self) -> str:
        return stamp(datetime.fromtimestamp(self.now(), UTC))

    # --- what people do, for tests ------------------------------------------------------------------------------------

    def delete_organization(self, key: int) -> None:
        """Delete an organization; the export shows it with `deleted_at`."""
        self._deleted.add(key)
        gone = {**self.organizations.records[key], "deleted_at": self._stamp()}
        self.organizations.put(gone, datetime.fromtimestamp(self.now(), UTC))

    def touch_ticket(self, key: int, **values: Any) -> None:
        """Change a ticket. Without values it is a change by the system, which leaves `updated_at` as it was."""
        record = {**self.tickets.records[key], **values}
        if values:
            record["updated_at"] = self._stamp()
        self.tickets.put(record, datetime.fromtimestamp(self.now(), UTC))

    def scrub_ticket(self, key: int) -> None:
        """Delete a ticket for good: it comes once more, emptied, with its old `updated_at`."""
        text = {"subject": "SCRUBBED", "raw_subject": "SCRUBBED", "description": "X"}
        updated_at = self.tickets.records[key]["updated_at"]
        self.touch_ticket(key, **text, status="deleted", tags=[], organization_id=None)
        self.tickets.records[key]["updated_at"] = updated_at
