"""The made-up companies that the sandboxes hold, before any vendor's way of putting things.

`make(companies, seed, today)` gives the same world for the same arguments. Each connector's sandbox takes from it
what its vendor would know, under the spelling that vendor has (`Company.names`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A contact at a company, or a member of staff. `key` is unique in the world."""

    key: str
    name: str
    email: str
    title: str = ""
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Term:
    """A contract: `seats` at `seat_price` (major units per seat and year). `end` is inclusive."""

    key: str
    start: date
    end: date
    seats: int
    seat_price: int
    currency: str
    auto_renew: bool
    notice_days: int


@dataclass(frozen=True, slots=True)
class Deal:
    """A sales opportunity."""

    key: str
    name: str
    kind: str
    stage: str
    amount: int
    currency: str
    close: date
    won: bool | None


@dataclass(frozen=True, slots=True)
class Request:
    """A support ticket; `rating` good, bad, offered (asked, no answer) or None (not asked)."""

    key: str
    requester: str
    subject: str
    priority: str
    status: str
    opened: datetime
    solved: datetime | None
    first_reply_minutes: int | None
    reopens: int = 0
    rating: str | None = None
    comment: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Company:
    """A customer. `names` maps system ("hubspot", "salesforce", "zendesk") to the spelling there; a system not in it
    does not know the company. `usage` is (day, active users) for each day, oldest first; None where not measured.
    `linked_by` says how the systems can be matched: explicit, crm_native, domain or name."""

    key: str
    names: dict[str, str]
    domain: str
    country: str
    locale: str
    industry: str
    employees: int
    segment: str
    linked_by: str
    owner: str
    status: str = "active"
    people: tuple[Person, ...] = ()
    terms: tuple[Term, ...] = ()
    deals: tuple[Deal, ...] = ()
    requests: tuple[Request, ...] = ()
    usage: tuple[tuple[date, int], ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """Everything the sandboxes start from. `now` is aware UTC."""

    now: datetime
    staff: tuple[Person, ...]
    companies: tuple[Company, ...] = field(default=())
