"""The data of one made-up HubSpot account, and every way in which it changes."""

from __future__ import annotations

import bisect
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cssync.sandbox.world import Company, Request, World, record_id
from cssync_hubspot.sandbox.definitions import (
    DEFAULT_TYPE,
    KIND_OF,
    KINDS,
    OPPOSITE,
    PRIMARY_TYPE,
    SINGULAR,
    property_definitions,
)

PORTAL_ID = 4242
DAY = 86400.0
DEAL_STAGE = {"won": "closedwon", "lost": "closedlost", "qualified": "qualifiedtobuy",
              "proposal": "presentationscheduled", "negotiation": "contractsent"}  # fmt: skip
TICKET_STAGE = {"new": "1", "open": "3", "hold": "3", "pending": "2", "solved": "4", "closed": "4"}
PRIORITY = {"low": "LOW", "normal": "MEDIUM", "high": "HIGH", "urgent": "URGENT"}
LANGUAGE = {"ja-JP": "ja", "de-DE": "de", "en-GB": "en-gb", "en-US": "en-us"}


def stamp(epoch: float) -> str:
    """Epoch seconds -> ISO 8601 with milliseconds and `Z`, as HubSpot writes instants."""
    moment = datetime.fromtimestamp(round(epoch, 3), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(at: datetime | None) -> str | None:
    return None if at is None else stamp(at.timestamp())


@dataclass(slots=True)
class Thing:
    """A record. `indexed`: former states with the time of the change, for an index that lags behind."""

    id: str
    kind: str
    properties: dict[str, str | None]
    created: float
    updated: float
    archived: float | None = None
    indexed: list[tuple[float, dict[str, str | None]]] = field(default_factory=list)


def name_parts(name: str) -> tuple[str, str]:
    """Split a made-up name into (given, family); Japanese names stand family first."""
    one, _, two = name.partition(" ")
    return (one, two) if name.isascii() else (two, one)


Links = dict[str, dict[str, list[int]]]
"""Record id -> linked record id -> association type ids."""


def _calculated(kind: str, held: Mapping[str, str | None]) -> dict[str, str | None]:
    """Properties that HubSpot works out by itself."""
    return {"hs_is_closed_won": str(held.get("dealstage") == DEAL_STAGE["won"]).lower()} if kind == "deals" else {}


class Portal:
    """Records, associations and definitions; `clock` gives epoch seconds."""

    def __init__(self, world: World, clock: Callable[[], float] = time.time) -> None:
        self.world = world
        self.clock = clock
        self.things: dict[str, dict[str, Thing]] = {kind.name: {} for kind in KINDS}
        self.links: dict[tuple[str, str], Links] = {}
        self.definitions = {kind.name: property_definitions(kind.name) for kind in KINDS}
        self.groups: dict[str, dict[str, str]] = {kind.name: {"information": "Information"} for kind in KINDS}
        self.currency = "JPY"
        self.timezone = "Asia/Tokyo"
        self.account_type = "STANDARD"
        self.portal_id = PORTAL_ID
        self._order: dict[str, list[int]] = {}
        self._serial = 900_000_000_000
        self._usage_filled = False
        for company in world.companies:
            if "hubspot" in company.names:
                self._company(company)

    # --- reading ------------------------------------------------------------------------------------------------------

    def kind(self, name: str) -> str | None:
        """Return the canonical name of an object type; fills in usage on first use."""
        found = KIND_OF.get(name)
        if found is None:
            return None
        if found.name == "p4242_usage" and not self._usage_filled:
            self._usage_filled = True
            self._usage()
        return found.name

    def live(self, kind: str, thing_id: str) -> Thing | None:
        """Return a record that is not archived."""
        found = self.things[kind].get(thing_id)
        return found if found is not None and found.archived is None else None

    def after(self, kind: str, last: int, *, archived: bool, limit: int) -> list[Thing]:
        """Return up to `limit` records with an id above `last`, in the order of ids."""
        order = self._order.get(kind)
        if order is None:
            order = self._order[kind] = sorted(int(i) for i in self.things[kind])
        found: list[Thing] = []
        for number in order[bisect.bisect_right(order, last) :]:
            thing = self.things[kind].get(str(number))
            if thing is not None and (thing.archived is not None) == archived:
                found.append(thing)
                if len(found) == limit:
                    break
        return found

    def linked(self, start: str, end: str, thing_id: str) -> list[tuple[str, list[int]]]:
        """Return the live records linked to one, with their association types, in the order of linking."""
        held = self.links.get((start, end), {}).get(thing_id, {})
        return [(other, types) for other, types in held.items() if self.live(end, other)]

    # --- changing -----------------------------------------------------------------------------------------------------

    def add(self, kind: str, properties: Mapping[str, Any], *, thing_id: str = "", at: float | None = None) -> Thing:
        """Create a record, now or `at` some time."""
        if not thing_id:
            self._serial += 1
            thing_id = str(self._serial)
        now = self.clock() if at is None else at
        modified = next(k.modified for k in KINDS if k.name == kind)
        held = {name: None if value is None or value == "" else str(value) for name, value in properties.items()}
        held |= {"hs_object_id": thing_id, "createdate": held.get("createdate") or stamp(now), modified: stamp(now)}
        held |= _calculated(kind, held)
        thing = self.things[kind][thing_id] = Thing(thing_id, kind, held, now, now)
        self._order.pop(kind, None)
        return thing

    def edit(self, kind: str, thing_id: str, **properties: Any) -> Thing:
        """Change a record as a person or another program would: its modification date moves."""
        thing = self.things[kind][thing_id]
        now = self.clock()
        thing.indexed.append((now, dict(thing.properties)))
        thing.properties.update({n: None if v is None or v == "" else str(v) for n, v in properties.items()})
        thing.properties.update(_calculated(kind, thing.properties))
        thing.updated = now
        thing.properties[next(k.modified for k in KINDS if k.name == kind)] = stamp(now)
        return thing

    def archive(self, kind: str, thing_id: str) -> None:
        """Archive a record; nothing happens to one that is not there."""
        thing = self.live(kind, thing_id)
        if thing:
            thing.archived = self.clock()

    def restore(self, kind: str, thing_id: str) -> None:
        """Restore an archived record; its modification date stays."""
        self.things[kind][thing_id].archived = None

    def merge(self, kind: str, survivor: str, loser: str) -> Thing:
        """Merge two records: the loser vanishes without being archived, the survivor lists it."""
        gone = self.things[kind].pop(loser)
        former = [self.things[kind][survivor].properties.get("hs_merged_object_ids"), loser]
        former.append(gone.properties.get("hs_merged_object_ids"))
        for (start, end), links in self.links.items():
            if start == kind and loser in links:
                for other, types in links.pop(loser).items():
                    self.link(kind, survivor, end, other, types)
        return self.edit(kind, survivor, hs_merged_object_ids=";".join(f for f in former if f))

    def link(self, start: str, start_id: str, end: str, end_id: str, types: list[int] | None = None) -> None:
        """Associate two records in both directions; without types as the default, and primary where it is the first."""
        if types is None:
            types = [DEFAULT_TYPE[start, end]]
            if (start, end) in PRIMARY_TYPE and not self.links.get((start, end), {}).get(start_id):
                types.insert(0, PRIMARY_TYPE[start, end])
        for a, a_id, b, b_id, numbers in (
            (start, start_id, end, end_id, types),
            (end, end_id, start, start_id, [OPPOSITE.get(t, t) for t in types]),
        ):
            held = self.links.setdefault((a, b), {}).setdefault(a_id, {}).setdefault(b_id, [])
            held += [n for n in numbers if n not in held]

    def unlink(self, start: str, start_id: str, end: str, end_id: str) -> None:
        """Take an association away, in both directions; neither record counts as changed."""
        for a, a_id, b, b_id in ((start, start_id, end, end_id), (end, end_id, start, start_id)):
            self.links[a, b].get(a_id, {}).pop(b_id, None)

    # --- the world ----------------------------------------------------------------------------------------------------

    def _age(self, key: str, most: int) -> float:
        """A time before the world's now that is the same in every run: 1 to `most` days ago."""
        return self.world.now.timestamp() - DAY * (1 + zlib.crc32(key.encode()) % most) - 0.123

    def _company(self, company: Company) -> None:
        key = company.key
        own_id = record_id("hubspot", "account", key)
        term = company.terms[-1] if company.terms else None
        crm_native = company.linked_by == "crm_native" and "salesforce" in company.names
        self.add(
            "companies",
            {
                "name": company.names["hubspot"],
                "domain": company.domain,
                "country": company.country,
                "industry": company.industry,
                "numberofemployees": company.employees,
                "lifecyclestage": "customer" if company.status == "active" else "opportunity",
                "hubspot_owner_id": record_id("hubspot", "user", company.owner),
                "hs_salesforceaccountid": record_id("salesforce", "account", key) if crm_native else None,
                "customer_number": key if company.linked_by == "explicit" else None,
                "renewal_date": term.end if term and not term.open_ended else None,
                "contract_start": term.start if term else None,
                "seats": term.seats if term else None,
                "segment": company.segment,
                "hs_latest_meeting_activity": _moment(company.met),
                "hs_last_logged_call_date": _moment(company.called),
                "hs_sales_email_last_replied": _moment(company.replied),
            },
            thing_id=own_id,
            at=self._age(key, 60),
        )
        people = {p.key: record_id("hubspot", "contact", p.key) for p in company.people}
        for person in company.people:
            given, family = name_parts(person.name)
            self.add(
                "contacts",
                {
                    "firstname": given,
                    "lastname": family,
                    "email": person.email,
                    "jobtitle": person.title,
                    "hs_language": LANGUAGE.get(company.locale),
                    "customer_role": person.role,
                },
                thing_id=people[person.key],
                at=self._age(person.key, 60),
            )
            self.link("contacts", people[person.key], "companies", own_id)
        for deal in company.deals:
            deal_id = record_id("hubspot", "deal", deal.key)
            self.add(
                "deals",
                {
                    "dealname": deal.name,
                    "dealtype": {"new": "newbusiness"}.get(deal.kind, deal.kind),
                    "pipeline": "default",
                    "dealstage": DEAL_STAGE.get(deal.stage, "qualifiedtobuy"),
                    "amount": deal.amount,
                    "deal_currency_code": deal.currency,
                    "closedate": f"{deal.close.isoformat()}T00:00:00Z",
                    "hubspot_owner_id": record_id("hubspot", "user", company.owner),
                },
                thing_id=deal_id,
                at=self._age(deal.key, 40),
            )
            self.link("deals", deal_id, "companies", own_id)
        if "zendesk" not in company.names:
            self._tickets(company, own_id, people)

    def _tickets(self, company: Company, own_id: str, people: Mapping[str, str]) -> None:
        """Companies that the help desk does not know have their requests here: a few each."""
        for request in company.requests or _few_requests(company, self.world.now):
            ticket_id = record_id("hubspot", "ticket", request.key)
            replied = request.first_reply_minutes
            opened = request.opened.timestamp()
            self.add(
                "tickets",
                {
                    "subject": request.subject,
                    "hs_pipeline": "0",
                    "hs_pipeline_stage": TICKET_STAGE.get(request.status, "3"),
                    "hs_ticket_priority": PRIORITY.get(request.priority),
                    "createdate": stamp(opened),
                    "first_agent_reply_date": None if replied is None else stamp(opened + 60 * replied),
                    "closed_date": stamp(request.solved.timestamp()) if request.solved else None,
                },
                thing_id=ticket_id,
                at=(request.solved or request.opened).timestamp(),
            )
            self.link("tickets", ticket_id, "companies", own_id)
            if request.requester in people:
                self.link("tickets", ticket_id, "contacts", people[request.requester])

    def _usage(self) -> None:
        """One record a company and day, as a product would push it in; made when first asked for."""
        for company, day, value in self._measured():
            company_id = record_id("hubspot", "account", company.key)
            key = f"{company.key}/{day}"
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
            self.add(
                "p4242_usage",
                {"usage_day": day, "active_users": value, "company_id": company_id},
                thing_id=record_id("hubspot", "usage", key),
                at=noon,
            )
            self.link("p4242_usage", record_id("hubspot", "usage", key), "companies", company_id)

    def _measured(self) -> Iterator[tuple[Company, date, int]]:
        for company in self.world.companies:
            if "hubspot" in company.names:
                for day, value in company.usage:
                    yield company, day, value


def _few_requests(company: Company, now: datetime) -> Iterator[Request]:
    """Two requests of a company's first contact: an old one, answered, and a new one."""
    for n, person in enumerate((*company.people[:1], *company.people[:1])):
        opened = (now - timedelta(days=40 - 38 * n, hours=3)).replace(microsecond=0)
        solved = None if n else opened + timedelta(hours=20)
        subject = "契約内容の確認" if company.locale == "ja-JP" else "Question about our contract"
        status = "open" if n else "closed"
        yield Request(f"{company.key}/h{n}", person.key, subject, "normal", status, opened, solved, 45 + 30 * n)


def link_name(start: str, end: str, number: int) -> str:
    """Name an association type as lists do: `deal_to_company`, or with `_unlabeled` for the default one."""
    plain = f"{SINGULAR[start]}_to_{SINGULAR[end]}"
    return plain if PRIMARY_TYPE.get((start, end)) == number else f"{plain}_unlabeled"
