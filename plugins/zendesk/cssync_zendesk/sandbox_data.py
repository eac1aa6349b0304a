"""The records of a Zendesk account, made from the world's companies; shapes as the API answers them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cssync.sandbox.world import Company, Person, Request, World, record_id

SERVICE_USER = Person("zendesk-service", "cssync integration", "cssync@vendor-team.example")
SETTLED = timedelta(minutes=5)
"""Everything in the world is at least so old at its `now`: nothing hides in the export's last minute."""
SYSTEM_TICKET_FIELDS = ("subject", "description", "status", "tickettype", "priority", "group", "assignee")
AREA_FIELD = int(record_id("zendesk", "ticket_field", "product_area"))


@dataclass(slots=True)
class Kind:
    """One kind of record: the records by id, and the second each was last generated for the export."""

    path: str
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    generated: dict[int, int] = field(default_factory=dict)

    def put(self, record: dict[str, Any], at: datetime) -> None:
        """Add or replace a record, generated at that time."""
        self.records[record["id"]] = record
        self.generated[record["id"]] = int(at.timestamp())


def stamp(at: datetime) -> str:
    """Write an instant as Zendesk does."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def share(key: str, parts: int) -> bool:
    """Tell whether a key falls into one of `parts` equal parts; the same for the same key, always."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "big") % parts == 0


def populate(world: World, organizations: Kind, users: Kind, tickets: Kind) -> None:
    """Fill an account with what Zendesk knows of the world."""
    since = world.now - timedelta(days=800)
    for number, colleague in enumerate((SERVICE_USER, *world.staff)):
        role = "admin" if number == 0 else "agent"
        users.put(_user(colleague, role, None, "ja-JP", since), since + timedelta(seconds=number))
    for number, company in enumerate(world.companies):
        if "zendesk" not in company.names:
            continue
        organization_id = int(record_id("zendesk", "account", company.key))
        made = since + timedelta(hours=number)
        organizations.put(_organization(company, organization_id, made), made)
        for person in company.people:
            users.put(_user(person, "end-user", organization_id, company.locale, made), made)
        for request in company.requests:
            record, touched = _ticket(request, organization_id, world)
            tickets.put(record, touched)
    if organizations.records:
        hello = _hello(next(iter(organizations.records)), world.now - timedelta(days=30))
        tickets.put(hello, world.now - timedelta(days=30))


def _organization(company: Company, organization_id: int, made: datetime) -> dict[str, Any]:
    crm = next((system for system in ("hubspot", "salesforce") if system in company.names), None)
    explicit = company.linked_by == "explicit" and crm is not None
    by_domain = company.linked_by in ("explicit", "domain", "crm_native") and company.domain
    return {
        "url": f"/api/v2/organizations/{organization_id}.json",
        "id": organization_id,
        "name": company.names["zendesk"],
        "shared_tickets": False,
        "shared_comments": False,
        "external_id": record_id(crm or "", "account", company.key) if explicit else None,
        "created_at": stamp(made),
        "updated_at": stamp(made),
        "domain_names": [company.domain] if by_domain and not explicit else [],
        "details": None,
        "notes": None,
        "group_id": None,
        "tags": [],
        "organization_fields": {},
    }


def _user(person: Person, role: str, organization_id: int | None, locale: str, made: datetime) -> dict[str, Any]:
    kind = "contact" if role == "end-user" else "user"
    user_id = int(record_id("zendesk", kind, person.key))
    return {
        "id": user_id,
        "url": f"/api/v2/users/{user_id}.json",
        "name": person.name,
        "email": person.email,
        "created_at": stamp(made),
        "updated_at": stamp(made),
        "time_zone": "Tokyo",
        "iana_time_zone": "Asia/Tokyo",
        "phone": None,
        "shared_phone_number": None,
        "photo": None,
        "locale_id": 67 if locale.startswith("ja") else 1,
        "locale": locale,
        "organization_id": organization_id,
        "role": role,
        "verified": True,
        "external_id": None,
        "tags": [],
        "alias": None,
        "active": True,
        "shared": False,
        "suspended": not person.is_active,
        "last_login_at": None,
        "details": None,
        "notes": None,
        "user_fields": {},
    }


def _ticket(request: Request, organization_id: int, world: World) -> tuple[dict[str, Any], datetime]:
    ticket_id = int(record_id("zendesk", "ticket", request.key))
    replied = request.opened + timedelta(minutes=request.first_reply_minutes or 0)
    touched = min(max(replied, request.solved or request.opened), world.now - SETTLED)
    orphan = share(request.key, 12)  # a requester's ticket that nobody filed under the organization
    requester = int(record_id("zendesk", "contact", request.requester))
    record = {
        "url": f"/api/v2/tickets/{ticket_id}.json",
        "id": ticket_id,
        "external_id": None,
        "via": {"channel": "email", "source": {"from": {}, "to": {}, "rel": None}},
        "created_at": stamp(request.opened),
        "updated_at": stamp(touched),
        "generated_timestamp": int(touched.timestamp()),
        "type": "question",
        "subject": request.subject,
        "raw_subject": request.subject,
        "description": request.subject,
        "priority": request.priority if request.priority != "none" else None,
        "status": request.status,
        "recipient": None,
        "requester_id": requester,
        "submitter_id": requester,
        "assignee_id": None,
        "organization_id": None if orphan else organization_id,
        "group_id": None,
        "collaborator_ids": [],
        "follower_ids": [],
        "email_cc_ids": [],
        "problem_id": None,
        "has_incidents": False,
        "is_public": True,
        "due_at": None,
        "tags": list(request.tags),
        "custom_fields": [{"id": AREA_FIELD, "value": None}],
        "fields": [{"id": AREA_FIELD, "value": None}],
        "satisfaction_rating": _rating(request),
        "support_type": "agent",
        "metric_set": _metrics(request, ticket_id, touched),
    }
    return record, touched


def _hello(organization_id: int, at: datetime) -> dict[str, Any]:
    """An internal ticket of cssync from the days of the trial, done long ago."""
    ticket_id, me = int(record_id("zendesk", "ticket", "hello")), int(record_id("zendesk", "user", SERVICE_USER.key))
    return {
        "url": f"/api/v2/tickets/{ticket_id}.json", "id": ticket_id, "external_id": "hello", "via": {"channel": "api"},
        "created_at": stamp(at), "updated_at": stamp(at), "generated_timestamp": int(at.timestamp()), "type": "task",
        "subject": "cssync: say hello", "raw_subject": "cssync: say hello", "description": "The connection works.",
        "priority": "normal", "status": "solved", "requester_id": me, "submitter_id": me, "assignee_id": me,
        "organization_id": organization_id, "group_id": None, "is_public": False,
        "due_at": f"{stamp(at)[:10]}T12:00:00Z",
        "tags": ["cssync"], "custom_fields": [], "fields": [], "satisfaction_rating": {"score": "unoffered"},
        "support_type": "agent", "metric_set": None,
    }  # fmt: skip


def _rating(request: Request) -> dict[str, Any]:
    if request.rating in ("good", "bad"):
        rating_id = int(record_id("zendesk", "rating", request.key))
        return {"id": rating_id, "score": request.rating, "comment": request.comment}
    return {"score": request.rating or "unoffered"}


def _metrics(request: Request, ticket_id: int, touched: datetime) -> dict[str, Any]:
    resolution = None if request.solved is None else int((request.solved - request.opened).total_seconds() // 60)
    replies = 0 if request.first_reply_minutes is None else 1 + request.reopens
    return {
        "url": f"/api/v2/ticket_metrics/{ticket_id + 1}.json",
        "id": ticket_id + 1,
        "ticket_id": ticket_id,
        "created_at": stamp(request.opened),
        "updated_at": stamp(touched),
        "group_stations": 1,
        "assignee_stations": 1,
        "reopens": request.reopens,
        "replies": replies,
        "solved_at": stamp(request.solved) if request.solved else None,
        "reply_time_in_minutes": _clocks(request.first_reply_minutes),
        "full_resolution_time_in_minutes": _clocks(resolution),
    }


def _clocks(minutes: int | None) -> dict[str, int | None]:
    """Both clocks; the made-up team works a third of the day."""
    return {"calendar": minutes, "business": None if minutes is None else minutes // 3}


def ticket_fields() -> list[dict[str, Any]]:
    """Return the account's ticket fields: the system's own and one dropdown."""
    system = [
        {"id": int(record_id("zendesk", "ticket_field", kind)), "type": kind, "title": kind, "active": True,
         "removable": False}
        for kind in SYSTEM_TICKET_FIELDS
    ]  # fmt: skip
    options = [{"id": n, "name": name, "value": f"area_{name.lower()}"} for n, name in enumerate(("Reports", "API"), 1)]
    area = {"id": AREA_FIELD, "type": "tagger", "title": "Product area", "active": True, "removable": True}
    return [*system, {**area, "custom_field_options": options}]


def absolute(record: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return a record with its own address on this host, as a client sees it."""
    found = {**record, "url": f"{origin}{record['url']}"} if "url" in record else dict(record)
    if isinstance(found.get("metric_set"), dict):
        found["metric_set"] = absolute(found["metric_set"], origin)
    return found
