"""A workspace as the stages see it: typed, complete, already validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from cssync.connectors import ConnectionSettings, Connector, Stream

Policy = Literal["ours", "theirs", "unless-edited"]


@dataclass(frozen=True, slots=True)
class Connection:
    """One configured use of a connector.

    streams: the connector's streams and one for each mapped custom object, less `skip_streams`. mapped: stream ->
    {vendor field: `entity.column`, `usage_metric.<metric>` or `interaction.<kind>`} from `fields:`.
    """

    name: str
    connector: Connector
    settings: ConnectionSettings
    streams: tuple[Stream, ...]
    mapped: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def stream(self, name: str) -> Stream | None:
        """Return the stream of that name."""
        return next((s for s in self.streams if s.name == name), None)


OPPORTUNITIES = ("renewal", "upsell")


@dataclass(frozen=True, slots=True)
class Writeback:
    """What is written back over one connection: `fields` maps vendor field to result name (`health.score`)."""

    connection: str
    to: str
    fields: Mapping[str, str] = field(default_factory=dict)
    tasks: bool = False
    policy: Policy = "unless-edited"
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """Per vendor field, where it differs from `policy`."""
    task_owner: str | None = None
    """E-mail address or user id of who gets tasks without a usable owner."""
    opportunities: tuple[str, ...] = ()
    """Types of opportunities (`OPPORTUNITIES`) that cssync makes in the sales pipeline."""
    opportunity_stage: str | None = None
    """The vendor's name of the stage in which they begin; its first open one where None."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Brakes of the write-back and of the pull: a plan beyond them is held for approval.

    changes: largest share of a field's records that may change (0.2), and `changes_count` in absolute numbers.
    share: share of the vendor's daily API allowance that cssync may use. new_tasks: new tasks that one person gets on
    one business day; what is beyond comes as one digest.
    """

    changes: Decimal = Decimal("0.20")
    changes_count: int = 500
    share: Decimal = Decimal("0.50")
    new_tasks: int = 10


@dataclass(frozen=True, slots=True)
class Workspace:
    """One customer-success team: configuration, connections, rules, write-back.

    masters: `entity` or `entity.column` -> connection whose value wins. rules: names of installed sets, or folders
    (absolute paths). path: the file it was read from.
    """

    name: str
    path: Path
    timezone: ZoneInfo
    currency: str
    store: Path
    connections: Mapping[str, Connection]
    masters: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[str | Path, ...] = ("standard",)
    writeback: Mapping[str, Writeback] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    fiscal_year_start: int = 1
    holidays: str | None = None
    closures: tuple[str, ...] = ()
    """Own closing days as `MM-DD` or `YYYY-MM-DD`, beside the public holidays of `holidays` (a country code)."""
    locale: str = "en"
    fx: Path | None = None
    """File of dated exchange rates (`cssync.metrics.fx`); without it money of other currencies cannot be converted."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Options of the key figures that differ from the defaults; `cssync.metrics.options` puts them together."""

    def connection(self, name: str) -> Connection:
        """Return the connection of that name; KeyError if the configuration has none."""
        return self.connections[name]

    def feeds(self) -> list[tuple[str, str, str]]:
        """Return (connection, stream, entity) for everything that is pulled, mapped columns included."""
        found = {
            (c.name, s.name, entity)
            for c in self.connections.values()
            for s in c.streams
            for entity in (
                *(feed.entity for feed in s.feeds),
                *(target.partition(".")[0] for target in c.mapped.get(s.name, {}).values()),
            )
        }
        return sorted(found)
