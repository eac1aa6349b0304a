"""What is going on at a company: a handful of stories, each a line of numbers, and the daily life they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random

from cssync.sandbox.world import Request


@dataclass(frozen=True, slots=True)
class Story:
    """The traits of a company.

    users: typical share of seats in use on a working day, before anything changes. turns: (days ago, factor) points
    between which usage moves in a straight line, oldest first; it stays at the last one. tickets: mean requests per
    month for ten seats. happy: share of good ratings. urgent: urgent requests open for some days. measured: product
    usage reaches the CRM. contract: there is one. paying: they are a customer at all.
    """

    name: str
    users: tuple[float, float]
    turns: tuple[tuple[int, float], ...] = ()
    tickets: float = 0.9
    happy: float = 0.93
    urgent: int = 0
    measured: bool = True
    contract: bool = True
    paying: bool = True
    months: tuple[int, int] = (8, 40)


STEADY = Story("steady", (0.70, 0.81))
FULL = Story("full", (0.96, 0.99), tickets=0.7, happy=0.95)
GROWING = Story("growing", (0.68, 0.73), ((80, 1.0), (35, 1.05), (20, 1.32)), tickets=0.6, happy=0.96)
SOFTENING = Story("softening", (0.56, 0.64), ((50, 1.0), (15, 0.85)), tickets=2.4, happy=0.74)
DECLINING = Story("declining", (0.60, 0.70), ((40, 1.0), (18, 0.55)), tickets=3.0, happy=0.62)
SILENT = Story("silent", (0.50, 0.60), ((26, 1.0), (25, 0.0)), tickets=0.0)
TROUBLED = Story("troubled", (0.66, 0.74), ((45, 1.0), (12, 0.9)), tickets=4.5, happy=0.45, urgent=2)
NEW = Story("new", (0.55, 0.65), ((32, 0.0), (30, 0.25), (6, 1.0)), tickets=2.0, months=(1, 2))
UNMEASURED = Story("unmeasured", (0.6, 0.7), measured=False)
SELF_SERVE = Story("self_serve", (0.6, 0.7), measured=False, contract=False)
PROSPECT = Story("prospect", (0, 0), tickets=0.0, measured=False, contract=False, paying=False)

DECK = (
    *(14 * [STEADY]), *(3 * [FULL]), *(3 * [GROWING]), *(8 * [SOFTENING]), *(2 * [DECLINING]), SILENT, TROUBLED, NEW,
    UNMEASURED, *(3 * [SELF_SERVE]), *(3 * [PROSPECT]),
)  # fmt: skip
"""Dealt out in shuffled decks: any forty companies in a row hold every story in these proportions."""

DAYS = 90
_WEEK = (0.97, 1.0, 1.0, 0.98, 0.92, 0.16, 0.12)
_MORNING = {"ja-JP": 0, "de-DE": 7, "en-GB": 8, "en-US": 13}
"""UTC hour at which the working day begins."""


def level(story: Story, days_ago: float) -> float:
    """Return usage relative to its beginning, `days_ago` days before the world's now."""
    points = story.turns
    if not points or days_ago >= points[0][0]:
        return points[0][1] if points else 1.0
    for (before, start), (after, end) in pairwise(points):
        if days_ago >= after:
            return start + (end - start) * (before - days_ago) / (before - after)
    return points[-1][1]


def usage(story: Story, seats: int, today: date, random: Random) -> tuple[tuple[date, int], ...]:
    """Return active users for each of the DAYS days before `today`: weekly rhythm, noise, never above the seats."""
    if not story.measured:
        return ()
    base = seats * random.uniform(*story.users)
    days = []
    for ago in range(DAYS, 0, -1):
        day = today - timedelta(days=ago)
        expected = base * level(story, ago) * _WEEK[day.weekday()] * random.gauss(1.0, 0.035)
        days.append((day, max(0, min(seats, round(expected)))))
    return tuple(days)


def contacts(story: Story, now: datetime, random: Random) -> dict[str, datetime]:
    """Return when people last met, called and answered, by the names of Company; what never happened is left out.

    A customer who drifts away is spoken to less; of the new ones some have not had their kickoff yet.
    """
    if not story.paying or (story is NEW and random.random() < 0.5):
        return {}
    usual = {"silent": 80, "declining": 60, "softening": 45, "new": 12}.get(story.name, 25)

    def ago(mean: float) -> datetime:
        return (now - timedelta(days=min(240.0, mean * random.uniform(0.6, 1.6)))).replace(minute=0, second=0)

    found = {"met": ago(usual * 1.6), "called": ago(usual * 1.2), "replied": ago(usual)}
    often = {"met": 0.75, "called": 0.5, "replied": 0.85}
    return {name: at for name, at in found.items() if random.random() < often[name]}


_TOPICS = {
    "ja": (
        ("ログインできません", "login"),
        ("CSV取り込みでエラーになります", "import"),
        ("請求書の宛名を変更したい", "billing"),
        ("権限の設定方法を教えてください", "how-to"),
        ("ダッシュボードの表示が遅い", "performance"),
        ("APIの上限について", "api"),
        ("通知メールが届かない", "notification"),
        ("集計結果が合わない", "report"),
        ("二段階認証の再設定", "login"),
    ),
    "en": (
        ("Cannot log in since this morning", "login"),
        ("Import stops at row 4,000", "import"),
        ("Please change our billing contact", "billing"),
        ("How do I share a board with a partner?", "how-to"),
        ("Dashboard takes a minute to load", "performance"),
        ("Rate limit on the export API", "api"),
        ("Mail notifications arrive twice", "notification"),
        ("Totals differ between two reports", "report"),
        ("Reset of two-factor login", "login"),
    ),
}
_URGENT = {"ja": "全社でサービスに接続できません", "en": "Whole site down for all our users"}
_PRAISE = {"ja": ("迅速な対応ありがとうございました", ""), "en": ("Quick and clear, thank you", "")}
_BLAME = {"ja": ("回答まで時間がかかりすぎます", "解決していません"), "en": ("Took far too long", "Not solved at all")}


def requests(
    key: str, story: Story, seats: int, requesters: tuple[str, ...], locale: str, now: datetime, random: Random
) -> tuple[Request, ...]:
    """Return the support requests of the last 120 days, oldest first; 0 to 30 of them, none after `now`."""
    if not requesters:
        return ()
    mean = min(26.0, 4 * story.tickets * (seats / 10) ** 0.7)
    count = min(30 - story.urgent, round(random.triangular(0.4 * mean, 1.6 * mean, mean)))
    ages = sorted((random.uniform(0.3, 120) for _ in range(count)), reverse=True)
    text = "ja" if locale == "ja-JP" else "en"
    found = [_request(f"{key}/r{n}", story, random.choice(requesters), text, locale, now, age, random)
             for n, age in enumerate(ages)]  # fmt: skip
    found += _urgent(key, story, requesters, text, now, random)
    return tuple(sorted(found, key=lambda r: (r.opened, r.key)))


def _request(
    key: str, story: Story, requester: str, text: str, locale: str, now: datetime, age: float, random: Random
) -> Request:
    subject, tag = random.choice(_TOPICS[text])
    day = (now - timedelta(days=age)).date()
    hour = _MORNING.get(locale, 8) + random.randrange(9)
    opened = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour, seconds=random.randrange(3600))
    opened = min(opened, now - timedelta(hours=1))
    slow = 1 + 3 * (1 - story.happy)
    reply = round(random.lognormvariate(3.6, 0.7) * slow)
    solved = opened + timedelta(minutes=reply + round(random.lognormvariate(6.6, 0.9) * slow))
    priority = random.choices(("low", "normal", "high"), (3, 6, 2 * slow))[0]
    tags = (tag, f"lang-{text}")
    if solved > now:
        if opened + timedelta(minutes=reply) > now:
            return Request(key, requester, subject, priority, "new", opened, None, None, tags=tags)
        status = random.choice(("open", "open", "pending", "hold"))
        return Request(key, requester, subject, priority, status, opened, None, reply, tags=tags)
    rating, comment = _rating(story, text, random)
    status = "closed" if now - solved > timedelta(days=4) else "solved"
    reopens = int(random.random() > story.happy + 0.1)
    return Request(key, requester, subject, priority, status, opened, solved, reply, reopens, rating, comment, tags)


def _rating(story: Story, text: str, random: Random) -> tuple[str | None, str]:
    if random.random() < 0.25:
        return None, ""
    if random.random() < 0.4:
        return "offered", ""
    if random.random() < story.happy:
        return "good", random.choice(_PRAISE[text])
    return "bad", random.choice(_BLAME[text])


def _urgent(
    key: str, story: Story, requesters: tuple[str, ...], text: str, now: datetime, random: Random
) -> Iterator[Request]:
    for n in range(story.urgent):
        opened = (now - timedelta(hours=random.uniform(52, 60) + 26 * n)).replace(microsecond=0)
        tags = ("outage", f"lang-{text}")
        yield Request(
            f"{key}/u{n}", requesters[0], _URGENT[text], "urgent", "open", opened, None, 12 + 9 * n, tags=tags
        )
