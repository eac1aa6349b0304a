"""A Salesforce org in memory: it keeps state, checks what it is sent, and refuses in the vendor's words.

For the demo and the tests. `edit`, `delete`, `undelete`, `merge` and `insert` act as a person in the user interface.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync.sandbox.world import World
from cssync_salesforce import soql
from cssync_salesforce.sandbox.ingest import Ingest
from cssync_salesforce.sandbox.jobs import Jobs
from cssync_salesforce.sandbox.login import refused
from cssync_salesforce.sandbox.many import Many
from cssync_salesforce.sandbox.routes import ROUTES
from cssync_salesforce.sandbox.rows import ORG_ID, RUNNING_USER, Row, rows, stamp
from cssync_salesforce.sandbox.schema import PREFIXES, Described, custom_field, objects
from cssync_salesforce.sandbox.soql import Query, SoqlError, parse, run
from cssync_salesforce.sandbox.writes import Refused, checked

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
Handler = Callable[..., SandboxAnswer]


def _error(status: int, code: str, message: str, fields: Sequence[str] = ()) -> SandboxAnswer:
    return SandboxAnswer(status, [{"message": message, "errorCode": code, **({"fields": [*fields]} if fields else {})}])


class SalesforceSandbox:
    """The org. batch: rows in an answer to a query. daily: API requests allowed. customize: may the user create
    fields. hidden: `Object.Field` that nobody may see unless a permission set grants it. private: ids of records that
    are not shared with the user. public_key: PEM of the app's certificate. versions: what it offers."""

    def __init__(self, world: World, client_id: str, client_secret: str) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.client = (client_id, client_secret)
        self.schema = objects()
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in self.schema}
        self.hidden: set[str] = set()
        self.private: set[str] = set()
        self.public_key = b""
        self.tokens: set[str] = set()
        self.locators: dict[str, tuple[Query, list[Row], int]] = {}
        self.jobs = Jobs(self)
        self.ingest = Ingest(self)
        self.many = Many(self)
        self.batch = 2000
        self.daily = 15_000
        self.used = 0
        self.customize = True
        self.versions = ("64.0", "65.0", "66.0", "67.0")
        self._numbers = itertools.count(1)
        for source, row in rows(world):
            self._add(source, row)

    # --- as a person in the user interface ----------------------------------------------------------------------------

    def insert(self, source: str, **values: Any) -> str:
        """Create a record and return its id."""
        key = self._new_id(source)
        now = stamp(self.clock())
        row = {"Id": key, "CreatedDate": now, "CreatedById": RUNNING_USER, "IsDeleted": False}
        row.update(LastModifiedDate=now, LastModifiedById=RUNNING_USER, SystemModstamp=now)
        defaults = {
            f["name"]: False if f["type"] == "boolean" else f["picklistValues"][0]["value"]
            for f in self.schema[source].values()
            if f["name"] not in row and (f["type"] == "boolean" or (source == "Task" and f["picklistValues"]))
        }
        self._add(source, {**row, **defaults, **values})
        self._derive(source, self.tables[source][key])
        return key

    def edit(self, source: str, key: str, **values: Any) -> None:
        """Change a record."""
        row = self.tables[source][key]
        row.update(values)
        self._touch(source, row)

    def delete(self, source: str, key: str) -> None:
        """Put a record into the recycle bin."""
        self.edit(source, key, IsDeleted=True)

    def undelete(self, source: str, key: str) -> None:
        """Take a record out of the recycle bin."""
        self.edit(source, key, IsDeleted=False)

    def merge(self, source: str, winner: str, loser: str) -> None:
        """Merge one record into another; what belonged to the loser belongs to the winner."""
        self.edit(source, loser, IsDeleted=True, MasterRecordId=winner)
        for child, fields in self.schema.items():
            for field in fields.values():
                if source in field["referenceTo"]:
                    for row in list(self.tables[child].values()):
                        if row.get(field["name"]) == loser:
                            self.edit(child, row["Id"], **{field["name"]: winner})

    def expire_tokens(self) -> None:
        """End every session."""
        self.tokens.clear()

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer one request."""
        path = request.path
        if path == "/services/oauth2/token":
            return self._token(request) if request.method == "POST" else SandboxAnswer(405, b"")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if path == "/services/data":
            return SandboxAnswer(200, [self._version(v) for v in self.versions])
        if path == "/services/oauth2/userinfo":
            if bearer not in self.tokens:
                return SandboxAnswer(403, b"Bad_OAuth_Token", {"Content-Type": "text/html"})
            return self._userinfo(request)
        if bearer not in self.tokens:
            return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if len(request.path) + sum(len(k) + len(v) for k, v in request.query.items()) > 16_384:
            return SandboxAnswer(414, b"URI Too Long", {"Content-Type": "text/html"})
        self.used += 1
        if self.used > self.daily:
            return _error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        found = re.fullmatch(r"/services/data/v(\d+\.\d)(/.+)", path)
        if not found or found[1] not in self.versions:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        try:
            answer = self._route(request, found[2].rstrip("/"))
        except SoqlError as error:
            answer = _error(400, error.code, error.message)
        except Refused as error:
            answer = _error(error.status, error.code, str(error), error.fields)
        except json.JSONDecodeError:
            answer = _error(400, "JSON_PARSER_ERROR", "The HTTP entity body could not be read")
        return SandboxAnswer(
            answer.status, answer.body, {**answer.headers, "Sforce-Limit-Info": f"api-usage={self.used}/{self.daily}"}
        )

    def _route(self, request: SandboxRequest, path: str) -> SandboxAnswer:
        for method, pattern, name in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                handler: Handler = attrgetter(name)(self)
                return handler(request, *(unquote(part or "") for part in found.groups()))
        return _error(404, "NOT_FOUND", "The requested resource does not exist")

    def _token(self, request: SandboxRequest) -> SandboxAnswer:
        refusal = refused(request, self.client, self.public_key, self.tables["User"], self.clock())
        if refusal:
            return SandboxAnswer(400, {"error": refusal[0], "error_description": refusal[1]})
        token = f"{ORG_ID[:15]}!sandbox.{next(self._numbers):08d}"
        self.tokens.add(token)
        return SandboxAnswer(
            200,
            {
                "access_token": token,
                "instance_url": request.origin,
                "id": f"{request.origin}/id/{ORG_ID}/{RUNNING_USER}",
                "token_type": "Bearer",
                "issued_at": str(int(self.clock().timestamp() * 1000)),
                "signature": "c2FuZGJveA==",
                "scope": "api id",
            },
        )

    def _userinfo(self, request: SandboxRequest) -> SandboxAnswer:
        me = self.tables["User"][RUNNING_USER]
        return SandboxAnswer(
            200,
            {
                "sub": f"{request.origin}/id/{ORG_ID}/{RUNNING_USER}",
                "user_id": RUNNING_USER,
                "organization_id": ORG_ID,
                "preferred_username": me["Username"],
                "name": me["Name"],
                "email": me["Email"],
                "zoneinfo": "Asia/Tokyo",
                "urls": {"rest": f"{request.origin}/services/data/v{{version}}/", "custom_domain": request.origin},
            },
        )

    def _version(self, version: str) -> dict[str, str]:
        return {"label": f"Release {version}", "url": f"/services/data/v{version}", "version": version}

    def _limits(self, _: SandboxRequest) -> SandboxAnswer:
        left = max(0, self.daily - self.used)
        return SandboxAnswer(200, {"DailyApiRequests": {"Max": self.daily, "Remaining": left}})

    def _counts(self, request: SandboxRequest) -> SandboxAnswer:
        names = [n for n in request.query.get("sObjects", "").split(",") if n in self.tables]
        return SandboxAnswer(200, {"sObjects": [{"name": n, "count": len(self._alive(n))} for n in names]})

    def _describe_all(self, _: SandboxRequest) -> SandboxAnswer:
        found = [{"name": n, "label": n, "queryable": True, "custom": n.endswith("__c")} for n in self.schema]
        return SandboxAnswer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": found})

    def _describe(self, _: SandboxRequest, source: str) -> SandboxAnswer:
        visible = self.visible(source)
        if visible is None:
            raise Refused("NOT_FOUND", "The requested resource does not exist", status=404)
        return SandboxAnswer(
            200,
            {
                "name": source,
                "label": source,
                "keyPrefix": PREFIXES.get(source),
                "custom": source.endswith("__c"),
                "queryable": True,
                "createable": True,
                "updateable": True,
                "deletable": "isdeleted" in visible,
                "replicateable": True,
                "fields": list(visible.values()),
            },
        )

    # --- queries ------------------------------------------------------------------------------------------------------

    def visible(self, source: str) -> dict[str, Described] | None:
        """Return the fields that the execution user sees, by lower-case name; None for an unknown object."""
        if source not in self.schema:
            source = next((n for n in self.schema if n.casefold() == source.casefold()), source)
        if source not in self.schema:
            return None
        rights = self._rights()
        found: dict[str, Described] = {}
        for key, field in self.schema[source].items():
            name = f"{source}.{field['name']}"
            if name not in self.hidden:
                found[key] = field
            elif name in rights:
                found[key] = {**field, "updateable": field["updateable"] and rights[name]}
        return found

    def _rights(self) -> dict[str, bool]:
        """Field -> may it be edited, for the fields that the execution user's permission sets grant."""
        mine = {
            r["PermissionSetId"]
            for r in self.tables["PermissionSetAssignment"].values()
            if r["AssigneeId"] == RUNNING_USER
        }
        granted = [r for r in self.tables["FieldPermissions"].values() if r["ParentId"] in mine]
        return {r["Field"]: bool(r.get("PermissionsEdit")) for r in granted if r.get("PermissionsRead")}

    def _alive(self, source: str) -> list[Row]:
        return [r for r in self.tables[source].values() if not r.get("IsDeleted")]

    def _query(self, request: SandboxRequest, every: str) -> SandboxAnswer:
        query = parse(request.query.get("q", ""), self.visible)
        source = next(n for n in self.tables if n.casefold() == query.source.casefold())
        held: Iterable[Row] = self.tables[source].values() if every else self._alive(source)
        found = self.matching(query, source, held)
        if not query.fields:
            return SandboxAnswer(200, {"totalSize": len(found), "done": True, "records": []})
        locator = f"0r8sandbox{next(self._numbers):08d}"
        self.locators[locator] = (query, [self.tables[source][r["Id"]] for r in found], len(found))
        return self._slice(request.path.split("/query")[0], source, locator, 0)

    def matching(self, query: Query, source: str, held: Iterable[Row]) -> list[Mapping[str, Any]]:
        """Return those of the rows that a query asks for, in its order."""
        shared = held if not self.private else [r for r in held if r["Id"] not in self.private]
        return run(query, [_Resolving(row, self, source) for row in shared])

    def _more(self, request: SandboxRequest, _: str, locator: str, place: str) -> SandboxAnswer:
        if locator not in self.locators:
            raise Refused("INVALID_QUERY_LOCATOR", "invalid query locator")
        source = next(n for n in self.tables if n.casefold() == self.locators[locator][0].source.casefold())
        return self._slice(request.path.split("/query")[0], source, locator, int(place))

    def _slice(self, base: str, source: str, locator: str, start: int) -> SandboxAnswer:
        query, found, total = self.locators[locator]
        end = start + self.batch
        records = [self.record(base, source, row, query.fields) for row in found[start:end]]
        body: dict[str, Any] = {"totalSize": total, "done": end >= total}
        if end < total:
            body["nextRecordsUrl"] = f"{base}/query/{locator}-{end}"
        else:
            self.locators.pop(locator)
        return SandboxAnswer(200, {**body, "records": records})

    def record(self, base: str, source: str, row: Row, fields: Sequence[str]) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": {"type": source, "url": f"{base}/sobjects/{source}/{row['Id']}"}}
        for field in fields:
            head, _, rest = field.partition(".")
            if not rest:
                record[field] = self.value(source, row, field)
                continue
            parent = self.parent(source, row, head)
            if parent is None:
                record[head] = None
            else:
                record.setdefault(head, {"attributes": {"type": head}})[rest] = parent.get(rest)
        return record

    def value(self, source: str, row: Row, field: str) -> Any:
        """Return the value of a field; an address is made of its parts, and null where all of them are."""
        if self.schema[source].get(field.casefold(), {}).get("type") != "address":
            return row.get(field)
        stem = field.removesuffix("Address")
        names = [f["name"] for f in self.schema[source].values() if f["compoundFieldName"] == field]
        found = {n.removeprefix(stem)[0].lower() + n.removeprefix(stem)[1:]: row.get(n) for n in names}
        return found if any(v is not None for v in found.values()) else None

    def parent(self, source: str, row: Row, relation: str) -> Row | None:
        """Return the record that a relationship of a row leads to."""
        for field in self.schema[source].values():
            if field["relationshipName"] == relation and field["referenceTo"]:
                return self.tables[field["referenceTo"][0]].get(row.get(field["name"]) or "")
        return None

    # --- writes -------------------------------------------------------------------------------------------------------

    def _add(self, source: str, row: Row) -> None:
        self.tables[source][row["Id"]] = row

    def _new_id(self, source: str) -> str:
        number, digits = next(self._numbers), ""
        while len(digits) < 12:
            number, digit = divmod(number, 62)
            digits = _BASE62[digit] + digits
        short = PREFIXES.get(source, "a0X") + digits
        return short + soql.checksum(short)

    def _touch(self, source: str, row: Row) -> None:
        row["SystemModstamp"] = row["LastModifiedDate"] = stamp(self.clock())
        self._derive(source, row)

    def _derive(self, source: str, row: Row) -> None:
        """Set what Salesforce computes by itself."""
        if source == "Task":
            closed = {r["MasterLabel"] for r in self.tables["TaskStatus"].values() if r["IsClosed"]}
            row["IsClosed"] = row.get("Status") in closed
            about = str(row.get("WhatId") or "")
            row["AccountId"] = about if about.startswith("001") else None
        if source == "Case":
            row["IsClosed"] = row.get("Status") == "Closed"
            row["ClosedDate"] = (row.get("ClosedDate") or stamp(self.clock())) if row["IsClosed"] else None

    def create(self, source: str, values: Mapping[str, Any]) -> str:
        """Create a record as the API does; Refused if it is not allowed."""
        fields = self.visible(source)
        if fields is None or source not in self.tables:
            raise Refused("INVALID_TYPE", f"sObject type '{source}' is not supported.")
        return self.insert(source, **checked(self, source, fields, values, new=True))

    def update(self, source: str, key: str, values: Mapping[str, Any]) -> str:
        """Change a record as the API does; Refused if it is not allowed."""
        fields = self.visible(source) or {}
        if not soql.is_id(key):
            raise Refused("MALFORMED_ID", f"{source} ID: id value of incorrect type: {key}", fields=("Id",))
        full = soql.id18(key) or ""
        row = self.tables.get(source, {}).get(full)
        if row is None:
            raise Refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if row.get("IsDeleted"):
            raise Refused("ENTITY_IS_DELETED", "entity is deleted", status=404)
        self.edit(source, full, **checked(self, source, fields, values, new=False))
        return full

    def upsert(self, source: str, field: str, value: Any, values: Mapping[str, Any]) -> tuple[str, bool]:
        """Create or change the record that holds an external id; return its id and whether it was created."""
        described = (self.visible(source) or {}).get(field.casefold())
        if described is None or not described["externalId"]:
            raise Refused("NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field}")
        name = described["name"]
        found = [r for r in self._alive(source) if str(r.get(name) or "").casefold() == str(value).casefold()]
        if len(found) > 1:
            raise Refused("DUPLICATE_EXTERNAL_ID", f"{name}: more than one record found", status=300)
        if found:
            return self.update(source, found[0]["Id"], values), False
        return self.create(source, {**values, name: value}), True

    def _single(self, request: SandboxRequest, source: str, key: str = "") -> SandboxAnswer:
        if request.method == "POST":
            return SandboxAnswer(201, {"id": self.create(source, request.json()), "success": True, "errors": []})
        row = self.tables.get(source, {}).get(soql.id18(key) or "" if soql.is_id(key) else "")
        if row is None or (row.get("IsDeleted") and request.method != "PATCH"):
            raise Refused("NOT_FOUND", "The requested resource does not exist", status=404)
        if request.method == "PATCH":
            since = request.headers.get("if-unmodified-since")
            if since and datetime.strptime(row["LastModifiedDate"], "%Y-%m-%dT%H:%M:%S.%f%z") > parsedate_to_datetime(
                since
            ):
                raise Refused("PRECONDITION_FAILED", "The record was changed since then", status=412)
            self.update(source, key, request.json())
            return SandboxAnswer(204)
        if request.method == "DELETE":
            self.delete(source, row["Id"])
            return SandboxAnswer(204)
        asked = [f for f in request.query.get("fields", "").split(",") if f]
        names = asked or [f["name"] for f in (self.visible(source) or {}).values()]
        return SandboxAnswer(200, self.record(request.path.split("/sobjects")[0], source, row, names))

    def _single_by_key(self, request: SandboxRequest, source: str, field: str, value: str) -> SandboxAnswer:
        key, created = self.upsert(source, field, value, request.json())
        return SandboxAnswer(201 if created else 200, {"id": key, "success": True, "errors": [], "created": created})

    def _create_field(self, request: SandboxRequest) -> SandboxAnswer:
        if not self.customize:
            raise Refused("INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id", status=403)
        body = request.json()
        owner, _, name = str(body.get("FullName", "")).partition(".")
        source = {"Activity": "Task", "Task": ""}.get(owner, owner)
        if source not in self.schema:
            raise Refused("FIELD_INTEGRITY_EXCEPTION", f"Entity Enumeration Or ID: bad value: {owner}")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}__c", name):
            raise Refused("INVALID_FIELD", f"The name {name} is not a custom field's")
        if name.casefold() in self.schema[source]:
            raise Refused("DUPLICATE_DEVELOPER_NAME", f"There is already a field named {name} on {source}.")
        try:
            made = custom_field(name, body.get("Metadata") or {})
        except ValueError as error:
            raise Refused("FIELD_INTEGRITY_EXCEPTION", str(error)) from None
        self.schema[source][name.casefold()] = made
        self.hidden.add(f"{source}.{name}")
        return SandboxAnswer(201, {"id": self._new_id("CustomField"), "success": True, "errors": [], "warnings": []})


class _Resolving(dict[str, Any]):
    """A row whose parents can be asked for: `row["^"]("Account")`."""

    def __init__(self, row: Row, org: SalesforceSandbox, source: str) -> None:
        super().__init__(row)
        self["^"] = lambda relation: org.parent(source, row, relation)
