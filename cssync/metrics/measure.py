"""One account's part in the key figures of a period, in the reporting currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from cssync.metrics.fx import Quote, Rates
from cssync.metrics.options import Options
from cssync.metrics.periods import Period
from cssync.metrics.portfolio import Account, Holding
from cssync.metrics.renewals import Renewal, events
from cssync.metrics.retention import Position
from cssync.metrics.revenue import Span, contracted_steps, covered, interrupted, on, spans, terms

ZERO = Decimal(0)
Cover = tuple[tuple[date, date], ...]


class UnknownPriceError(Exception):
    """An account has active lines, but none with a price: its ARR is not known, and that is not zero."""

    def __init__(self, day: date) -> None:
        super().__init__(f"no line active on {day} has a price")


@dataclass(frozen=True, slots=True)
class Setting:
    """What every account of a report is measured by. close: last day of the period, but not after `today`."""

    period: Period
    today: date
    options: Options
    rates: Rates
    bands: Mapping[str, str]
    used: dict[tuple[str, date], Quote] = field(default_factory=dict)
    factors: dict[tuple[str, date], Decimal] = field(default_factory=dict)

    @property
    def close(self) -> date:
        """The day whose close is the end of the report."""
        return min(self.period.last, self.today)

    @property
    def opening(self) -> date:
        """The day before the period."""
        return self.period.start - timedelta(days=1)

    @property
    def started(self) -> bool:
        """Whether the period has begun."""
        return self.period.start <= self.today

    def factor(self, currency: str, day: date) -> Decimal:
        """Return minor units of the reporting currency for one of `currency`, and note the rate as used.

        Raises:
            MissingRateError: there is none.
        """
        found = self.factors.get((currency, day))
        if found is None:
            self.used[currency, day] = self.rates.quote(currency, self.rates.reporting, day)
            found = self.factors[currency, day] = self.rates.convert(1, currency, self.rates.reporting, day)
        return found

    def total(self, amounts: Iterable[tuple[str, Decimal]], day: date) -> Decimal:
        """Return the sum of (currency, minor units) in the reporting currency, not rounded. Raises MissingRateError."""
        found, reporting = ZERO, self.rates.reporting
        for currency, amount in amounts:
            found += amount if currency == reporting else amount * self.factor(currency, day)
        return found


@dataclass(frozen=True, slots=True)
class Revenue:
    """ARR of one account at the close: minor units of the reporting currency, not rounded; the last three are parts of
    it. month_to_month: ends any month. assumed: renewed by itself, no new record. lapsed: only in its days of grace."""

    account: str
    name: str
    arr: Decimal
    month_to_month: Decimal = ZERO
    assumed: Decimal = ZERO
    lapsed: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything about one account. position: None before the period begins. cover: days of the period with ARR, only
    where the option `reactivation: new` asks for them. since: first day of the first contract."""

    account: Account
    revenue: Revenue
    position: Position | None
    cover: Cover
    renewals: tuple[Renewal, ...]
    since: date | None


def measure(holding: Holding, setting: Setting) -> Measured:
    """Return an account's part.

    Raises:
        MissingRateError: an amount cannot be converted.
        UnknownPriceError: its ARR is not known.
    """
    account, close = holding.account, setting.close
    known = {**holding.elsewhere, **terms(holding.contracts, setting.today, apart=holding.apart)}
    found = spans(holding.lines, known, holding.silent)
    own = {key: term for key, term in known.items() if key not in holding.elsewhere}
    due = events(own, found, setting.period.start, setting.period.end, setting.today)
    band = setting.bands.get(account.uid, "unknown")
    renewals = tuple(
        Renewal(
            account.uid,
            account.name,
            event.on,
            event.outcome,
            setting.total(event.due, close),
            setting.total(event.renewed, close),
            band,
            event.assumed,
        )
        for event in due
    )
    starts = [c.start for c in holding.contracts if c.start and c.status != "draft"]
    since = min((day for day in (account.since, *starts) if day), default=None)
    position, cover = _position(account, found, setting) if setting.started else (None, ())
    return Measured(account, _revenue(account, found, setting), position, cover, renewals, since)


def _amounts(found: Iterable[Span], day: date) -> list[tuple[str, Decimal]]:
    active = on(found, day)
    priced = [(span.line.currency, span.arr) for span in active if span.arr is not None]
    if active and not priced:
        raise UnknownPriceError(day)
    return priced


def _revenue(account: Account, found: list[Span], setting: Setting) -> Revenue:
    close = setting.close
    total = setting.total(_amounts(found, close), close)
    if not total:
        return Revenue(account.uid, account.name, total)
    active = [span for span in on(found, close) if span.arr is not None]

    def part(chosen: Iterable[Span]) -> Decimal:
        return setting.total(((s.line.currency, s.arr) for s in chosen if s.arr is not None), close)

    return Revenue(
        account.uid,
        account.name,
        total,
        part(s for s in active if s.month_to_month),
        part(s for s in active if s.assumed_from <= close),
        part(s for s in active if s.grace_from <= close),
    )


def _position(account: Account, found: list[Span], setting: Setting) -> tuple[Position, Cover]:
    first, close, options = setting.period.start, setting.close, setting.options
    after = _amounts(found, close)
    steps = contracted_steps(found, first, close) if options.exclude_contracted_steps else ()
    cover: Cover = tuple(covered(found, first, close)) if options.reactivation == "new" else ()
    return Position(
        account.uid,
        account.name,
        setting.total(_amounts(found, setting.opening), first),
        setting.total(after, first),
        setting.total(after, close),
        setting.total(steps, first),
        options.reactivation == "new" and interrupted(cover, first, close),
    ), cover


def grouped(measured: Iterable[Measured], names: Mapping[str, Account], setting: Setting) -> list[Position]:
    """Return one position per ultimate parent: the sums of its accounts. A day counts if any of them has ARR on it."""
    of: dict[str, list[Measured]] = {}
    for one in measured:
        of.setdefault(one.account.root, []).append(one)
    found = []
    for root, members in of.items():
        parts = [one.position for one in members if one.position is not None]
        cover = [span for one in members for span in one.cover]
        found.append(
            Position(
                root,
                names[root].name if root in names else root,
                sum((p.start for p in parts), ZERO),
                sum((p.end for p in parts), ZERO),
                sum((p.end_reported for p in parts), ZERO),
                sum((p.steps for p in parts), ZERO),
                setting.options.reactivation == "new" and interrupted(cover, setting.period.start, setting.close),
            )
        )
    return found


def onset(since: date | None, close: date, first: date | None) -> tuple[int, int | None] | None:
    """Return (tenure, days to first value or None) as of the close; None for who has not started by then."""
    if since is None or since > close:
        return None
    reached = None if first is None or first > close else max(0, (first - since).days)
    return (close - since).days, reached
