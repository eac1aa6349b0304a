"""Tickets that are written in the sandbox account: created once per idempotency key, guarded by their stamp, and mailed
to the requester where a comment is public."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync.sandbox.world import record_id
from cssync_zendesk.sandbox_answers import invalid
from cssync_zendesk.sandbox_data import SERVICE_USER, absolute

if TYPE_CHECKING:
    from cssync_zendesk.sandbox import ZendeskSandbox

KNOWN = ("subject", "type", "status", "priority", "due_at", "assignee_id", "requester_id", "organization_id", "tags",
         "external_id", "custom_fields")  # fmt: skip


class TicketDesk:
    """mails: (ticket id, text) that the account's triggers sent to customers."""

    def __init__(self, account: ZendeskSandbox) -> None:
        self.account = account
        self.mails: list[tuple[int, str]] = []
        self.answered: dict[str, tuple[Any, int]] = {}

    def listed(self, request: SandboxRequest) -> SandboxAnswer:
        """Tickets with an external id."""
        wanted = request.query.get("external_id")
        rows = [
            absolute(row, request.origin)
            for row in self.account.tickets.records.values()
            if row["status"] != "deleted" and (wanted is None or row.get("external_id") == wanted)
        ]
        meta = {"has_more": False, "after_cursor": None, "before_cursor": None}
        return SandboxAnswer(body={"tickets": rows[:100], "meta": meta, "links": {"prev": None, "next": None}})

    def shown(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        """One ticket."""
        row = self.account.tickets.records.get(int(key))
        if row is None or row["status"] == "deleted":
            return SandboxAnswer(404, {"error": "RecordNotFound", "description": "Not found"})
        return SandboxAnswer(body={"ticket": self._shown(int(key), request.origin)})

    def create(self, request: SandboxRequest) -> SandboxAnswer:
        """Create a ticket; the same idempotency key gives the first answer again."""
        given = request.json().get("ticket") or {}
        key = request.headers.get("idempotency-key")
        if key in self.answered:
            body, ticket_id = self.answered[str(key)]
            if body != given:
                return SandboxAnswer(400, {"error": "IdempotentRequestError", "description": "another body"})
            headers = {"x-idempotency-lookup": "hit"}
            return SandboxAnswer(201, {"ticket": self._shown(ticket_id, request.origin)}, headers)
        comment = given.get("comment") or {}
        if not comment.get("body"):
            raise invalid("base", "Description: cannot be blank")
        ticket_id = self.account.next_id()
        now = self.account.stamped()
        me = int(record_id("zendesk", "user", SERVICE_USER.key))
        row = {
            "id": ticket_id, "url": f"/api/v2/tickets/{ticket_id}.json", "external_id": None, "created_at": now,
            "updated_at": now, "type": None, "subject": "", "raw_subject": given.get("subject"), "priority": None,
            "status": "new", "requester_id": me, "submitter_id": me, "assignee_id": None, "organization_id": None,
            "due_at": None, "tags": [], "custom_fields": [], "fields": [], "description": comment["body"],
            "satisfaction_rating": {"score": "unoffered"}, "is_public": comment.get("public", True),
            "via": {"channel": "api"}, "support_type": "agent", "metric_set": None,
        }  # fmt: skip
        row.update({name: given[name] for name in KNOWN if name in given})
        row["comments"] = [dict(comment)]
        self._mail(ticket_id, comment)
        self.account.tickets.put(row, datetime.fromtimestamp(self.account.now(), UTC))
        if key:
            self.answered[key] = (given, ticket_id)
        return SandboxAnswer(201, {"ticket": self._shown(ticket_id, request.origin)})

    def update(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        """Change a ticket, unless it changed after the stamp that came along."""
        row = self.account.tickets.records.get(int(key))
        if row is None or row["status"] == "deleted":
            return SandboxAnswer(404, {"error": "RecordNotFound", "description": "Not found"})
        given = request.json().get("ticket") or {}
        if row["status"] == "closed":
            raise invalid("status", "closed prevents ticket update")
        if given.get("safe_update") and str(row["updated_at"]) > str(given.get("updated_stamp")):
            return SandboxAnswer(409, {"error": "UpdateConflict", "description": "Safe Update prevented the update"})
        comment = given.get("comment")
        changed = {
            **row,
            **{name: given[name] for name in KNOWN if name in given},
            "updated_at": self.account.stamped(),
        }
        if comment:
            changed["comments"] = [*row.get("comments", []), dict(comment)]
            self._mail(int(key), comment)
        self.account.tickets.put(changed, datetime.fromtimestamp(self.account.now(), UTC))
        return SandboxAnswer(body={"ticket": self._shown(int(key), request.origin), "audit": {}})

    def comments(self, request: SandboxRequest, key: str) -> SandboxAnswer:
        """The comments of a ticket."""
        row = self.account.tickets.records.get(int(key))
        if row is None or row["status"] == "deleted":
            return SandboxAnswer(404, {"error": "RecordNotFound", "description": "Not found"})
        meta = {"has_more": False, "after_cursor": None, "before_cursor": None}
        return SandboxAnswer(body={"comments": row.get("comments", []), "meta": meta, "links": {}})

    def _mail(self, ticket_id: int, comment: dict[str, Any]) -> None:
        if comment.get("public", True):
            self.mails.append((ticket_id, str(comment.get("body"))))

    def _shown(self, ticket_id: int, origin: str) -> dict[str, Any]:
        shown = absolute(self.account.tickets.records[ticket_id], origin)
        return {name: value for name, value in shown.items() if name not in ("comments", "metric_set")}
