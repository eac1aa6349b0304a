"""Make up a world: the same companies for the same seed and now, whoever asks and in whatever size.

Company number n is the same in a world of 40 and of 4,000, so a test may use a small one.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random
from zoneinfo import ZoneInfo

from cssync.sandbox import names, stories
from cssync.sandbox.stories import Story
from cssync.sandbox.world import Company, Deal, Person, Term, World

BUSINESS_ZONE = ZoneInfo("Asia/Tokyo")
STAFF = 12
FREE_MAIL = ("gmail.com", "yahoo.co.jp", "outlook.com")
_DUE = (24, 310, 57, 145, 88, 205, 33, 262, 71, 118, 340, 52, 176, 95, 229, 44, 290, 116, 62, 160)
"""Days until terms end, dealt out in turn: some in each of the next 30, 60, 90 and 120 days."""
_PRICES = {"JPY": (24_000, 30_000, 36_000, 48_000, 60_000), "USD": (240, 300, 420, 540), "EUR": (220, 300, 390)}
_TITLES = {
    "ja": (("情報システム部長", "exec_sponsor"), ("業務改革推進室 室長", "champion"), ("システム管理者", "admin"),
           ("営業企画", "user"), ("経理部", "billing")),
    "en": (("VP Operations", "exec_sponsor"), ("Head of Business Systems", "champion"),
           ("System Administrator", "admin"), ("Operations Analyst", "user"), ("Accounts Payable", "billing")),
}  # fmt: skip


def make(companies: int = 300, seed: int = 7, now: datetime | None = None) -> World:
    """Return a world of that many companies as seen at `now` (aware; UTC midnight of 2026-11-20 if None).

    Raises:
        ValueError: `now` is naive, or `companies` is negative.
    """
    now = now or datetime(2026, 11, 20, tzinfo=UTC)
    if now.tzinfo is None or companies < 0:
        raise ValueError("make needs an aware `now` and a number of companies that is not negative")
    now = now.astimezone(UTC).replace(microsecond=0)
    staff = tuple(_colleague(n, seed) for n in range(STAFF))
    made: list[Company] = []
    for number in range(companies):
        made.append(_company(number, seed, now, staff, made[-1] if made else None))
    return World(now, staff, tuple(made))


def _colleague(number: int, seed: int) -> Person:
    random = Random(f"{seed}/staff/{number}")  # noqa: S311 - invented data
    name, email = names.person("ja-JP" if number % 2 else "en-US", "vendor-team.example", number, random)
    return Person(f"s{number}", name, email, "Customer Success Manager", is_active=number != STAFF - 1)


@lru_cache(maxsize=256)
def _deck(seed: int, turn: int) -> tuple[Story, ...]:
    cards = list(stories.DECK)
    Random(f"{seed}/deck/{turn}").shuffle(cards)  # noqa: S311 - invented data
    return tuple(cards)


def _company(number: int, seed: int, now: datetime, staff: tuple[Person, ...], neighbour: Company | None) -> Company:
    key = f"c{number:04d}"
    random = Random(f"{seed}/{key}")  # noqa: S311 - invented data
    turn, card = divmod(number, len(stories.DECK))
    story = _deck(seed, turn)[card]
    systems = _systems(story, number)
    linked_by = _linked_by(systems, number)
    naming = names.naming(number, matching=linked_by == "name", random=random)
    slug = naming.slug
    domain = "" if linked_by == "name" else f"{slug}.example"
    if number % 100 == 19 and neighbour is not None and neighbour.domain.endswith(".example"):
        domain, linked_by = neighbour.domain, "domain"  # a subsidiary that uses its parent's domain
    elif number % 75 == 7:
        domain, linked_by = FREE_MAIL[number // 75 % len(FREE_MAIL)], "domain"
    seats = max(5, round(random.lognormvariate(3.7, 0.8)) // 5 * 5)
    today = now.astimezone(BUSINESS_ZONE).date()
    people = _people(key, naming.locale, domain or FREE_MAIL[number % 3], random) if story.paying else ()
    terms = _terms(key, story, number, seats, naming.country, today, random)
    return Company(
        key=key,
        names={system: naming.names[system] for system in systems},
        domain=domain,
        country=naming.country,
        locale=naming.locale,
        industry=naming.industry,
        employees=seats * random.randrange(2, 12),
        segment="enterprise" if seats >= 120 else "mid-market" if seats >= 40 else "smb",
        linked_by=linked_by,
        owner=staff[number % STAFF if number % 24 == STAFF - 1 else number % (STAFF - 1)].key,
        status="active" if story.paying else "prospect",
        people=people,
        terms=terms,
        deals=_deals(key, story, naming.names["hubspot"], terms, today, random),
        requests=stories.requests(key, story, seats, tuple(p.key for p in people), naming.locale, now, random)
        if "zendesk" in systems
        else (),
        usage=stories.usage(story, seats, today, random),
        **stories.contacts(story, now, Random(f"{seed}/{key}/contacts")),  # noqa: S311 - invented data
        story=story.name,
    )


def _systems(story: Story, number: int) -> tuple[str, ...]:
    """Prospects live in HubSpot; who never signed is not in Salesforce; some customers are missing here or there."""
    if not story.paying:
        return ("hubspot",)
    if not story.contract:
        return ("hubspot", "zendesk")
    if number % 11 == 5:
        return ("salesforce", "zendesk")
    if number % 7 == 3:
        return ("hubspot", "salesforce")
    if number % 29 == 11:
        return ("salesforce",)
    return names.SYSTEMS


def _linked_by(systems: tuple[str, ...], number: int) -> str:
    if number % 60 == 13:
        return "name"
    wanted = ("explicit", "domain", "crm_native", "domain", "explicit", "crm_native", "domain", "explicit")[number % 8]
    if wanted == "explicit" and "zendesk" not in systems:
        wanted = "crm_native"
    if wanted == "crm_native" and not {"hubspot", "salesforce"} <= set(systems):
        wanted = "domain"
    return wanted


def _people(key: str, locale: str, domain: str, random: Random) -> tuple[Person, ...]:
    text = "ja" if locale == "ja-JP" else "en"
    count = random.randrange(1, 6)
    titles = random.sample(_TITLES[text], count)
    people = []
    for n, (title, role) in enumerate(titles):
        private = role == "user" and random.random() < 0.2
        name, email = names.person(locale, random.choice(FREE_MAIL) if private else domain, n, random)
        if not domain.endswith(".example") or private:
            email = email.replace("@", f".{key}@")  # an address nobody is likely to have
        people.append(Person(f"{key}/p{n}", name, email, title, random.random() > 0.06, role))
    return tuple(people)


def _months_before(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _terms(
    key: str, story: Story, number: int, seats: int, country: str, today: date, random: Random
) -> tuple[Term, ...]:
    """Return the terms, oldest first: the one in force, and for some the one before it, with fewer seats."""
    if not story.contract:
        return ()
    currency = {"Japan": "JPY", "Germany": "EUR"}.get(country, "USD")
    price = random.choice(_PRICES[currency])
    auto = random.random() < 0.35
    notice = random.choice((30, 30, 60, 90)) if auto else 0
    length = 24 if number % 9 == 4 else 12
    due = _DUE[(number * 3 + number // 20) % len(_DUE)]
    if story is stories.NEW:
        length, due = 12, 325 + number % 10
    elif number % 31 == 17:
        due, auto = -9 - number % 7, False  # lapsed: nobody has renewed it
    end = today + timedelta(days=due)
    start = _months_before(end + timedelta(days=1), length)
    term = Term(f"{key}/t1", start, end, seats, price, currency, auto, notice, open_ended=number % 37 == 10)
    if story is stories.NEW or number % 5 > 1:
        return (term,)
    before = Term(
        f"{key}/t0", _months_before(start, 12), start - timedelta(days=1), max(5, seats * 4 // 5 // 5 * 5), price,
        currency, auto, notice,
    )  # fmt: skip
    return (before, term)


def _deals(key: str, story: Story, name: str, terms: tuple[Term, ...], today: date, random: Random) -> tuple[Deal, ...]:
    """Return the deals, oldest first: how they came, an open renewal for half of those due soon, some upsells."""
    if not terms:
        stage, won = random.choice((("qualified", None), ("proposal", None), ("lost", False)))
        close = today + timedelta(days=random.randrange(10, 80) if won is None else -random.randrange(5, 60))
        return (Deal(f"{key}/d0", f"{name} - New", "new", stage, random.randrange(3, 60) * 10_000, "JPY", close, won),)
    term = terms[-1]
    first = terms[0]
    deals = [_deal(f"{key}/d0", f"{name} - New", "new", "won", first, first.seats, first.start, won=True)]
    if len(terms) > 1:
        deals.append(_deal(f"{key}/d1", f"{name} - Renewal", "renewal", "won", term, term.seats, term.start, won=True))
    if not term.open_ended and -30 <= (term.end - today).days <= 120 and random.random() < 0.5:
        stage = random.choice(("qualified", "proposal", "negotiation"))
        close = max(term.end, today)
        deals.append(_deal(f"{key}/d2", f"{name} - Renewal", "renewal", stage, term, term.seats, close, won=None))
    if story is stories.GROWING and random.random() < 0.3:
        close = today + timedelta(days=random.randrange(15, 60))
        deals.append(
            _deal(f"{key}/d3", f"{name} - Seats", "upsell", "proposal", term, term.seats // 4, close, won=None)
        )
    elif story is stories.DECLINING and random.random() < 0.4:
        close = today - timedelta(days=random.randrange(10, 50))
        deals.append(_deal(f"{key}/d3", f"{name} - Add-on", "upsell", "lost", term, term.seats // 5, close, won=False))
    return tuple(deals)


def _deal(key: str, name: str, kind: str, stage: str, term: Term, seats: int, close: date, *, won: bool | None) -> Deal:
    return Deal(key, name, kind, stage, seats * term.seat_price, term.currency, close, won)
