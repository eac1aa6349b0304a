"""What the demo has to tell, as data: out of the store and the sandboxes' journals, drawn by `cssync.views.demo`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came over one connection: live records per stream, API requests and seconds."""

    connection: str
    vendor: str
    streams: tuple[tuple[str, int], ...]
    requests: int
    seconds: float

    @property
    def records(self) -> int:
        """Records of all streams."""
        return sum(n for _, n in self.streams)


@dataclass(frozen=True, slots=True)
class Linked:
    """How source records became accounts. `methods`: active links per method; `suggestions`: pairs that wait for a
    person; `example`: the spellings of one account, or of a suggested pair, as (vendor, spelling)."""

    records: int
    accounts: int
    methods: tuple[tuple[str, int], ...]
    suggestions: int
    example: tuple[tuple[str, str], ...] = ()
    suggested: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AtRisk:
    """An account in the red, or about to be. `score` 0..100, None when unknown; `renewal_on` an ISO date."""

    uid: str
    name: str
    band: str
    score: int | None
    renewal_on: str | None
    reasons: str


@dataclass(frozen=True, slots=True)
class Raised:
    """Tasks or signals of one rule: how many, what it is called, and one of them."""

    rule: str
    title: str
    count: int
    account: str = ""
    example: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan, shown before anything is sent. `later`: tasks beyond what their owners get in a day; they come in
    `lists`, one for each owner. `held_by`: why a person had to approve it. `examples`: (account, field, old -> new,
    because)."""

    fields: int
    tasks: int
    later: int
    lists: int
    held_by: tuple[str, ...]
    examples: tuple[tuple[str, str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """What was written over one connection and how much of it was read back equal."""

    connection: str
    vendor: str
    records: int
    fields: int
    tasks: int
    verified: int
    requests: int


@dataclass(frozen=True, slots=True)
class Card:
    """One record of a vendor before and after: (label, value) as its reader sees it, and the subjects of its tasks."""

    vendor: str
    stream: str
    source_id: str
    name: str
    before: tuple[tuple[str, str], ...]
    after: tuple[tuple[str, str], ...]
    tasks_before: tuple[str, ...] = ()
    tasks_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecondPass:
    """The same run again over a still world: requests that read, changes planned, requests that write."""

    reads: int
    planned: int
    writes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Everything the last screen shows. `faults` is empty if all that was promised was seen to be true."""

    as_of: datetime
    timezone: str
    companies: int
    pulled: tuple[Pulled, ...]
    linked: Linked
    bands: Mapping[str, int]
    at_risk: tuple[AtRisk, ...]
    tasks: tuple[Raised, ...]
    signals: tuple[Raised, ...]
    planned: Planned
    sent: tuple[Sent, ...]
    card: Card | None
    second: SecondPass
    seconds: float
    faults: tuple[str, ...] = ()
    kept: str = ""
