"""The sandboxes of the HTTP connectors, each with the hands of a person who makes, deletes and restores records of any
stream; and a bench that pulls one stream of one of them into a store. Streams are those that the connectors declare."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from cssync.config import Connection, Workspace
from cssync.connectors import Connector, Stream
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import ManualClock
from cssync.plugins import plugins
from cssync.sandbox.make_world import make
from cssync.sandbox.server import SandboxServer, serve
from cssync.store import Store
from cssync.sync import StreamReport, sync

WORLD = make(4)
SWITCHED_ON: dict[str, dict[str, Any]] = {
    "hubspot": {"line_items": True, "surveys": True},
    "salesforce": {"line_items": True},
}
"""Settings that switch on every stream a connector has."""


class Hands(Protocol):
    """What a person does at a vendor. `at` is epoch seconds."""

    def make(self, stream: str, count: int, at: float) -> list[str]:
        """Create records of a stream; none where people cannot."""

    def delete(self, stream: str, key: str) -> bool:
        """Delete one; False where the vendor has no way."""

    def restore(self, stream: str, key: str) -> bool:
        """Bring it back; False where the vendor has no way."""


@dataclass
class HubSpot:
    """HubSpot's sandbox."""

    app: Any

    def make(self, stream: str, count: int, at: float) -> list[str]:
        """Owners are users of the account and cannot be made by the API."""
        portal = self.app.portal
        if stream == "owners":
            return []
        own: dict[str, dict[str, Any]] = {
            "companies": {"name": "Made"},
            "contacts": {"lastname": "Made"},
            "deals": {"dealname": "Made"},
            "tickets": {"subject": "Made"},
            "feedback_submissions": {"hs_survey_type": "CSAT", "hs_value": 4, "hs_content": "Made"},
            "line_items": {"name": "Seats", "hs_sku": "Made", "quantity": 3},
        }
        found = []
        for number in range(count):
            values = own.get(stream) or {"hs_task_subject": "Made", "hs_task_body": f"cssync:k{number}-{at:.0f}"}
            key = portal.add(stream, values, at=at).id
            if stream == "line_items":
                won = {"dealname": "D", "pipeline": "default", "dealstage": "closedwon"}
                portal.link("line_items", key, "deals", portal.add("deals", won, at=at).id)
            found.append(key)
        return found

    def delete(self, stream: str, key: str) -> bool:
        """Put it into the archive."""
        self.app.portal.archive(stream, key)
        return True

    def restore(self, stream: str, key: str) -> bool:
        """Take it out of the archive; that does not move its modification date."""
        self.app.portal.restore(stream, key)
        return True


@dataclass
class Salesforce:
    """Salesforce's sandbox."""

    app: Any

    def _object(self, stream: str) -> str:
        from cssync_salesforce.streams import object_of

        return object_of(stream)

    def make(self, stream: str, count: int, at: float) -> list[str]:
        """Create records as they would have been left since `at`."""
        stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        old = {"CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp}
        text = {"tasks": {"Description": "Do it\n\ncssync:k", "Subject": "Made"}, "cases": {"Subject": "Made"},
                "contacts": {"LastName": "Made", "Name": "Made"}, "contracts": {"ContractNumber": "Made"},
                "line_items": {"Name": "Seats", "ProductCode": "Made"}}  # fmt: skip
        values = text.get(stream, {"Name": "Made"})
        made = []
        for number in range(count):
            own = {k: v + f"{number}-{at:.0f}" if k == "Description" else v for k, v in values.items()}
            if stream == "line_items":
                own["OpportunityId"] = self.app.insert("Opportunity", Name="D", IsWon=True, IsClosed=True, **old)
            made.append(self.app.insert(self._object(stream), **own, **old))
        return made

    def delete(self, stream: str, key: str) -> bool:
        """Into the recycle bin; users are deactivated, never deleted."""
        if stream != "users":
            self.app.delete(self._object(stream), key)
        return stream != "users"

    def restore(self, stream: str, key: str) -> bool:
        """Out of the recycle bin."""
        self.app.undelete(self._object(stream), key)
        return True


@dataclass
class Zendesk:
    """Zendesk's sandbox."""

    app: Any

    def make(self, stream: str, count: int, at: float) -> list[str]:
        """Copies of what is there, under ids of their own."""
        kind = getattr(self.app, stream)
        like = next(r for r in kind.records.values() if r.get("role", "end-user") == "end-user")
        when = datetime.fromtimestamp(at, UTC)
        found = []
        for _ in range(count):
            key = self.app.next_id()
            url = f"https://acme.zendesk.com/api/v2/{stream}/{key}.json"
            stamp = when.strftime("%Y-%m-%dT%H:%M:%SZ")
            text = {"subject": "Made"} if stream == "tickets" else {"name": "Made"}
            kind.put({**like, "id": key, "url": url, "created_at": stamp, "updated_at": stamp, **text}, when)
            found.append(str(key))
        return found

    def delete(self, stream: str, key: str) -> bool:
        """Each kind says it in its own way."""
        if stream == "organizations":
            self.app.delete_organization(int(key))
        elif stream == "users":
            self.app.users.put({**self.app.users.records[int(key)], "active": False},
                               datetime.fromtimestamp(self.app.now(), UTC))  # fmt: skip
        else:
            self.app.touch_ticket(int(key), status="deleted")
        return True

    def restore(self, stream: str, key: str) -> bool:
        """Tickets alone can be undeleted."""
        if stream == "tickets":
            self.app.touch_ticket(int(key), status="open")
        return stream == "tickets"


HANDS: dict[str, type[Any]] = {"hubspot": HubSpot, "salesforce": Salesforce, "zendesk": Zendesk}


def declared(connector: Connector) -> tuple[Stream, ...]:
    """Every stream that a connector has, those that its settings switch on included."""
    given = {"connector": connector.name, **connector.sandbox_settings, **SWITCHED_ON.get(connector.name, {})}
    settings = connector.config.model_validate(given)
    return (connector.configured(settings, {}) if connector.configured else connector).streams


def every_stream() -> list[tuple[str, str]]:
    """(connector, stream) of every connector that speaks HTTP; one without hands fails the test that asks."""
    found = [c for c in plugins().connectors.values() if c.sandbox is not None]
    return [(c.name, s.name) for c in found for s in declared(c)]


@dataclass
class Bench:
    """One stream of one vendor, its sandbox and a store. The clock is everybody's."""

    connector: Connector
    stream: Stream
    app: Any
    hands: Hands
    server: SandboxServer
    store: Store
    clock: ManualClock
    space: Workspace

    @property
    def entity(self) -> str:
        """The entity of the stream's main feed."""
        return self.stream.entity

    def pull(self, **how: Any) -> StreamReport:
        """Pull the stream in a session of its own, as a run does."""
        connection = self.space.connections["crm"]
        with open_session(
            self.connector, connection.settings, connection="crm", timezone=self.space.timezone, limiter=UNLIMITED,
            clock=self.clock,
        ) as session:  # fmt: skip
            (report,) = sync(self.store, self.space, {"crm": session}, run_id="r", **how)
        sums = (report.new, report.changed, report.same, report.echo, report.tombstoned, report.incomplete)
        assert report.read == sum(sums) + report.quarantined
        return report

    def sleep(self, seconds: float) -> None:
        """Time passes for everybody."""
        self.clock.now += seconds

    def live(self) -> set[str]:
        """Ids of the stored records of the main entity."""
        return {r[0] for r in self.store.query(f'SELECT source_id FROM "{self.entity}" WHERE deleted_at IS NULL')}

    def held(self) -> list[tuple[Any, ...]]:
        """Every stored row of the stream's entities, without the times at which they were learned."""
        entities = sorted({feed.entity for feed in self.stream.feeds})
        rows = (dict(r) for e in entities for r in self.store.query(f'SELECT * FROM "{e}" ORDER BY source_id'))
        return [tuple(v for name, v in row.items() if name not in ("synced_at", "uid")) for row in rows]

    def cursor(self) -> str | None:
        """The committed checkpoint."""
        rows = self.store.query("SELECT cursor FROM source_state")
        return rows[0]["cursor"] if rows else None

    def put_cursor(self, cursor: str | None) -> None:
        """Set the checkpoint back."""
        with self.store.transaction() as conn:
            conn.execute("UPDATE source_state SET cursor = ?", (cursor,))


@contextlib.contextmanager
def bench(vendor: str, stream: str, path: Path, faults: Sequence[Any] = ()) -> Iterator[Bench]:
    """Run a vendor's sandbox, an hour after the world's now, with one stream connected."""
    connector = plugins().connector(vendor)
    assert connector.sandbox is not None
    app: Any = connector.sandbox(WORLD)
    clock = ManualClock(WORLD.now.timestamp() + 3600)
    app.clock = clock.time
    if vendor == "salesforce":
        app.clock = lambda: WORLD.now + timedelta(seconds=clock.now - WORLD.now.timestamp())
    with serve(app, list(faults)) as server, Store.open(path / "s.db") as store:
        server.clock = clock.time
        given = {"connector": vendor, "base_url": server.url, "allow_hosts": ["127.0.0.1"], "patience": 5}
        settings = connector.config.model_validate(
            {**given, **connector.sandbox_settings, **SWITCHED_ON.get(vendor, {})}
        )
        (one,) = (s for s in declared(connector) if s.name == stream)
        own = dataclasses.replace(connector, streams=(one,), describe=None)
        space = Workspace("w", path, ZoneInfo("Asia/Tokyo"), "JPY", path / "s.db",
                          {"crm": Connection("crm", own, settings, (one,))})  # fmt: skip
        yield Bench(connector, one, app, HANDS[vendor](app), server, store, clock, space)
