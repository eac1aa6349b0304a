"""A Tally in memory, for tests and for `cssync demo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync.sandbox.world import World

TOKEN = "sandbox-tally-token"  # noqa: S105 - a sandbox's token is no secret


@dataclass
class Tally:
    """The service's records, in the order it lists them."""

    now: str
    companies: list[dict[str, Any]]
    usage: list[dict[str, Any]]

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer one request."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return SandboxAnswer(401, {"error": "unknown token"})
        if request.path == "/v1/ping":
            return SandboxAnswer(200, {"now": self.now, "account": "tally-sandbox", "test": True})
        records = {"/v1/companies": self.companies, "/v1/usage": self.usage}.get(request.path)
        if records is None:
            return SandboxAnswer(404, {"error": "no such path"})
        query = request.query
        found = [r for r in records if r["changed_at"] >= query["since"] and r["id"] > query.get("after", "")]
        page = found[: int(query["limit"])]
        return SandboxAnswer(200, {"items": page, "next": page[-1]["id"] if len(page) < len(found) else None})


def sandbox(world: World) -> Tally:
    """Return a Tally that measures the companies of the world."""
    now = world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    companies = [
        {"id": c.key, "name": next(iter(c.names.values())), "domains": [c.domain], "changed_at": "2026-01-01T00:00:00Z"}
        for c in sorted(world.companies, key=lambda c: c.key)
    ]
    usage = [
        {
            "id": f"{c.key}/{day}",
            "company_id": c.key,
            "day": str(day),
            "active_users": users,
            "changed_at": f"{day}T23:59:59Z",
        }
        for c in sorted(world.companies, key=lambda c: c.key)
        for day, users in c.usage
        if users is not None
    ]
    return Tally(now, companies, usage)
