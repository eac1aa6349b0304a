"""How fresh each entity is at as_of: the difference between "nothing happened" and "we do not know"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple
from zoneinfo import ZoneInfo

from cssync.rules.calendar import Calendar, local_date, monday, start_of_day
from cssync.rules.catalogue import MAX_AGE
from cssync.rules.volume import ENTITY as USAGE
from cssync.rules.volume import Coverage

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

HOLD_DAYS = 30
"""Days for which results that rest on a stale source keep their last value (domain.md 5.2)."""


DESK = ("ticket", "ticket_metric", "survey_response")
UNASSIGNED_OF = 5
"""One row of so many may be without an account."""
AGED = ".@"


def aged(entity: str, days: int) -> str:
    """Return the name of an entity for features that allow it to be so old."""
    return f"{entity}{AGED}{days}"


@dataclass(frozen=True, slots=True)
class Freshness:
    """state: ok, stale (the oldest feeding stream last succeeded before the allowed age) or missing (no stream feeds
    the entity, or one never succeeded). as_of: instant of that last success, None when never. turned: when it became
    stale; None stands for as_of."""

    state: Literal["ok", "stale", "missing"]
    as_of: datetime | None = None
    turned: datetime | None = None


class Stopped(NamedTuple):
    """A field that is gone or of another type in its source: `entity.column` and the connection that fed it."""

    target: str
    connection: str


@dataclass(frozen=True)
class Context:
    """Everything outside the rows that a statement depends on; each becomes a literal in it.

    as_of: aware UTC. fresh: entity -> Freshness; an entity that is not in it is missing. `usage_metric.<metric>` stands
    for one metric, and for all of usage where that metric is not in it. gaps: (connection, metric) -> days of usage
    that are incomplete for every account. only: one account's uid, to look at that account alone. among: name of the
    temporary table with the accounts to look at alone; "" for all accounts. masters: entity -> connection whose rows
    alone count for an account that has any of it. doubtful: entities of which so many rows have
    no account that what is counted of them is of low quality. stopped: fields that no longer come, so that stored
    values get old. account_masters: column of an account -> connection that wins it, "" for all columns.
    """

    as_of: datetime
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    currency: str = "USD"
    fresh: Mapping[str, Freshness] = field(default_factory=dict)
    calendar: Calendar = field(default_factory=Calendar)
    only: str | None = None
    gaps: Mapping[tuple[str, str], tuple[date, ...]] = field(default_factory=dict)
    masters: Mapping[str, str] = field(default_factory=dict)
    among: str = ""
    doubtful: frozenset[str] = frozenset()
    stopped: frozenset[Stopped] = frozenset()
    account_masters: Mapping[str, str] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """The as-of day in the business time zone."""
        return local_date(self.as_of, self.zone)

    def within(self, account: str) -> str:
        """SQL, to follow a condition: that an account is one of those looked at."""
        return f" AND {account} IN (SELECT uid FROM temp.{self.among})" if self.among else ""

    def left(self, account: str) -> str:
        """SQL condition that an account is looked at, but not by this pack any more (temporary table `now`)."""
        return f"({account} NOT IN (SELECT uid FROM now){self.within(account)})"

    def ok(self, entity: str) -> bool:
        """Whether an entity is connected and fresh."""
        return self.state(entity) == "ok"

    def state(self, entity: str) -> Literal["ok", "stale", "missing"]:
        """State of an entity."""
        found = self.freshness(entity)
        return found.state if found else "missing"

    def freshness(self, entity: str) -> Freshness | None:
        """Freshness of an entity, of one metric of usage, or of an entity that may be older (`aged`); None when nothing
        feeds it."""
        name, _, days = entity.partition(AGED)
        found = self.fresh.get(name) or self.fresh.get(name.partition(".")[0])
        if not days or found is None or found.as_of is None:
            return found
        turned = found.as_of + timedelta(days=int(days))
        return Freshness("stale", found.as_of, turned) if self.as_of > turned else Freshness("ok", found.as_of)

    def gap_days(self, metrics: Iterable[str]) -> list[date]:
        """Days on which some connection's usage of one of these metrics is incomplete, oldest first."""
        wanted = set(metrics)
        return sorted({day for (_, metric), days in self.gaps.items() if metric in wanted for day in days})

    @cached_property
    def dropped_weeks(self) -> tuple[int, ...]:
        """Which of the last 12 complete ISO weeks (1 is the last one) are full of holidays, or have a day that is
        incomplete for every account."""
        start = monday(self.today)
        begins = {n: start - timedelta(weeks=n) for n in range(1, 13)}
        late = {monday(day) for day in self.gap_days(("active_users",))}
        return tuple(n for n, day in begins.items() if day in late or self.calendar.full_of_holidays(day))

    def stale_for(self, entity: str) -> timedelta | None:
        """How long an entity has been stale; None when it is not, or never was anything else."""
        found = self.freshness(entity)
        if found is None or found.state != "stale" or found.as_of is None:
            return None
        return self.as_of - (found.turned or found.as_of)

    def held(self, entity: str) -> bool:
        """Whether an entity is stale, but for at most HOLD_DAYS: results keep their last value."""
        found = self.freshness(entity)
        if found is None or found.state != "stale" or found.as_of is None:
            return False
        return self.as_of - found.as_of <= timedelta(days=HOLD_DAYS)


def distinct(contexts: Iterable[Context]) -> list[Context]:
    """Return each context once: packs that allow the same ages share theirs."""
    found: list[Context] = []
    for context in contexts:
        if context not in found:
            found.append(context)
    return found


def instant(at: datetime) -> str:
    """Return an aware datetime as a stored instant, in whole seconds: they are compared as texts."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """Return the aware UTC datetime of a stored instant."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def read_freshness(store: Store, as_of: datetime, max_age: Mapping[str, int] = MAX_AGE) -> dict[str, Freshness]:
    """Return the freshness of every entity that some stream feeds, at `as_of`; `max_age` in days per entity.

    With several streams the oldest counts. Entities without an age of their own may be 2 days old.
    """
    rows = store.query(
        "SELECT f.entity AS entity, count(*) AS streams, count(s.last_success_at) AS seen, "
        "min(s.last_success_at) AS oldest FROM source_feed f "
        "LEFT JOIN source_state s ON s.connection = f.connection AND s.stream = f.stream GROUP BY f.entity"
    )
    found: dict[str, Freshness] = {}
    for row in rows:
        if row["seen"] < row["streams"]:
            found[row["entity"]] = Freshness("missing")
            continue
        oldest = parse_instant(row["oldest"])
        turned = oldest + timedelta(days=max_age.get(row["entity"], 2))
        stale = as_of > turned
        found[row["entity"]] = Freshness("stale", oldest, turned) if stale else Freshness("ok", oldest)
    return found


def read_doubtful(store: Store) -> frozenset[str]:
    """Return the entities of the desk of which more than one row in UNASSIGNED_OF has no account (domain.md section 8,
    ticket without organisation): they are missing somewhere, and nobody knows where."""
    return frozenset(entity for entity in DESK if _is_doubtful(store, entity))


def _is_doubtful(store: Store, entity: str) -> bool:
    """An index knows how many rows have no account, those that are deleted among them; only where they could be too
    many is more read than it takes to see that they are not."""

    def count(rows: str) -> int:
        return int(store.query(f"SELECT count(*) FROM {rows}")[0][0])

    unassigned = f'"{entity}" WHERE account_uid IS NULL'
    most = count(unassigned)
    enough = most * UNASSIGNED_OF
    if not most or count(f'(SELECT 1 FROM "{entity}" WHERE deleted_at IS NULL LIMIT {enough})') == enough:
        return False
    alone = count(f"{unassigned} AND deleted_at IS NULL")
    return alone * UNASSIGNED_OF > count(f'"{entity}" WHERE deleted_at IS NULL')


def with_usage(
    fresh: Mapping[str, Freshness], found: Coverage, as_of: datetime, zone: ZoneInfo, max_age: int = MAX_AGE[USAGE]
) -> dict[str, Freshness]:
    """Return the freshness bounded by the usage rows themselves: a feed that runs, but brings nothing new, is stale.

    Each metric is as old as its newest complete day, and usage as a whole as the newest of them. `max_age` in days; a
    metric measured by the week may be a week older.
    """
    whole = fresh.get(USAGE)
    if whole is None or whole.as_of is None or not found.newest:
        return dict(fresh)
    today = local_date(as_of, zone)
    of: dict[str, Freshness] = {}
    for metric, day in found.newest.items():
        end = start_of_day(day + timedelta(days=1), zone) - timedelta(seconds=1)
        last = day + timedelta(days=max_age + (7 if metric in found.weekly else 0))
        turned = min(t for t in (whole.turned, start_of_day(last + timedelta(days=1), zone)) if t)
        late = today > last or whole.state == "stale"
        of[metric] = Freshness("stale" if late else "ok", min(whole.as_of, end), turned if late else None)
    best = min(of.values(), key=lambda f: (f.state != "ok", -(f.as_of or as_of).timestamp()))
    return {**fresh, USAGE: best, **{f"{USAGE}.{metric}": f for metric, f in of.items()}}
