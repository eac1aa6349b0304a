"""The made-up companies that the sandboxes hold, before any vendor's way of putting things.

`cssync.sandbox.make_world.make(companies, seed, now)` gives the same world for the same arguments. Each connector's
sandbox takes from it what its vendor would know, under the spelling that vendor has (`Company.names`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A contact at a company, or a member of staff. `key` is unique in the world; `role` is a role of
    `contact.role`, empty where nobody has filled it in."""

    key: str
    name: str
    email: str
    title: str = ""
    is_active: bool = True
    role: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """A contract: `seats` at `seat_price` (major units per seat and year). `end` is inclusive; `open_ended` says that
    the vendor holds no end date (and no term) for it, whatever `end` says."""

    key: str
    start: date
    end: date
    seats: int
    seat_price: int
    currency: str
    auto_renew: bool
    notice_days: int
    open_ended: bool = False


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
    does not know the company. `usage` is (day, active users) for each day, oldest first; a day that is not there was
    not measured. `domain` is empty where nobody entered one. `linked_by` says how the systems can be matched: explicit,
    crm_native, domain or name. `met`, `called` and `replied`: the last meeting and call, and when somebody there last
    answered a mail. `story` says what is going on there, for tests."""

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
    met: datetime | None = None
    called: datetime | None = None
    replied: datetime | None = None
    story: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """Everything the sandboxes start from. `now` is aware UTC."""

    now: datetime
    staff: tuple[Person, ...]
    companies: tuple[Company, ...] = field(default=())


_BASE62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def record_id(system: str, kind: str, key: str) -> str:
    """Return the id under which `system` holds the thing `key` of a `kind` (account, contact, user, contract, deal,
    ticket, usage, ...): one rule for all sandboxes, so that one vendor's record can name another's.

    HubSpot: 12 digits. Zendesk: 14 digits. Salesforce: 18 characters with the object's prefix and checksum.
    """
    number = int.from_bytes(hashlib.blake2b(f"{kind}/{key}".encode(), digest_size=8).digest(), "big")
    if system == "hubspot":
        return str(100_000_000_000 + number % 900_000_000_000)
    if system == "zendesk":
        return str(10_000_000_000_000 + number % 90_000_000_000_000)
    digits = ""
    while len(digits) < 12:
        number, digit = divmod(number, 62)
        digits += (_BASE62[26:52] + _BASE62[:26] + _BASE62[52:])[digit]
    short = SALESFORCE_PREFIX.get(kind, "a00") + digits
    return short + salesforce_suffix(short)


SALESFORCE_PREFIX = {
    "account": "001", "contact": "003", "user": "005", "deal": "006", "contract": "800", "ticket": "500", "task": "00T",
    "usage": "a01",
}  # fmt: skip


def salesforce_suffix(short: str) -> str:
    """Return the 3 checksum characters that turn a 15-character Salesforce id into its 18-character form."""
    return "".join(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[sum(1 << bit for bit, char in enumerate(short[i : i + 5]) if char.isupper())]
        for i in (0, 5, 10)
    )
