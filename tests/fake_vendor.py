"""A vendor in memory: pages of records in a stable order, no HTTP. For tests of the rooms behind a connector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Connection, Workspace, Writeback
from cssync.connectors import (
    ConnectionSettings,
    Connector,
    Feed,
    Field,
    Identity,
    Page,
    PullRequest,
    Session,
    Stream,
    Tombstone,
    Vendor,
    Verdict,
)

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


@dataclass
class FakeSession:
    """Stands in for a Session; time moves one second a page."""

    settings: Any = None
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Tokyo"))
    requests: int = 0
    requests_here: int = 0
    at: datetime = NOW

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


@dataclass
class World:
    """Records of each stream in the order the vendor lists them, and ids deleted since."""

    companies: list[dict[str, Any]] = field(default_factory=list)
    contacts: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[Tombstone] = field(default_factory=list)
    page_size: int = 3
    before_page: Callable[[str, int], None] = lambda stream, number: None

    def pages(self, name: str) -> Callable[[Session, PullRequest], Iterator[Page]]:
        def read(session: Session, request: PullRequest) -> Iterator[Page]:
            records: Sequence[Mapping[str, Any]] = getattr(self, name)
            at = int((request.cursor or {}).get("at", 0))
            number = 0
            while True:
                self.before_page(name, number)
                part = records[at : at + self.page_size]
                at += len(part)
                last = at >= len(records)
                gone = self.deleted if last and name == "companies" else ()
                yield Page(part, {"at": at}, deleted=gone, last=last)
                number += 1
                if last:
                    return

        return read


def connector(world: World, name: str = "fake") -> Connector:
    companies = Stream(
        "companies",
        (
            Feed(
                "account_source",
                {
                    "name": "name",
                    "domains": Field("domain", read=lambda d: [d] if d else []),
                    "external_id": "external",
                    "linked_ids": "linked",
                    "employee_count": "staff",
                    "updated_at": "updated",
                },
            ),
        ),
        world.pages("companies"),
        base="custom",
        writable=True,
    )
    contacts = Stream(
        "contacts",
        (Feed("contact", {"name": "name", "email": "email", "account_source_id": "company"}),),
        world.pages("contacts"),
    )
    return Connector(
        name=name,
        title="Fake",
        config=ConnectionSettings,
        streams=(companies, contacts),
        hosts=r"fake\.example",
        vendor=lambda settings: Vendor("https://fake.example", lambda answer: Verdict("ok")),
        identity=lambda session: Identity("1", "Fake", "sandbox"),
    )


def workspace(tmp_path: Path, **worlds: World) -> Workspace:
    """A workspace with a connection for each world, named like the keyword; vendors are called like connections."""
    connections = {}
    for name, world in worlds.items():
        made = connector(world, name)
        connections[name] = Connection(
            name,
            made,
            ConnectionSettings(connector=name),
            made.streams,
            {
                "companies": {
                    "renews": "contract.end_date",
                    "seats": "contract_line.quantity",
                    "mau": "usage_metric.mau",
                }
            },
        )
    return Workspace(
        name="test",
        path=tmp_path / "cssync.yaml",
        timezone=ZoneInfo("Asia/Tokyo"),
        currency="JPY",
        store=tmp_path / "test.db",
        connections=connections,
        writeback={name: Writeback(name, "companies", {"cs_score": "health.score"}) for name in worlds},
    )


def sessions(space: Workspace) -> dict[str, Any]:
    return {name: FakeSession() for name in space.connections}


def company(number: int, **values: Any) -> dict[str, Any]:
    return {"id": str(number), "name": f"Company {number}", "updated": "2026-11-19T00:00:00Z", **values}
