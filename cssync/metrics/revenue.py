"""Recurring revenue: from contracts and lines to the spans of days on which each line counts (domain.md 3 and 8).

The figures of one day are those of the built-in fact `arr` of the rules, which is the oracle where both can answer: the
as-of day, one currency. Beyond it, this module answers for past days with today's knowledge. There a contract that
lapsed and was never renewed ends at its renewal date (no days of grace), and one that was signed late has no gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from cssync.metrics.fx import rounded
from cssync.rules.calendar import add_months
from cssync.rules.event_facts import GRACE_DAYS
from cssync.rules.facts import EARLY_DAYS

Key = tuple[str, str]
"""(connection, source_id)"""
ONE_DAY = timedelta(days=1)
NEVER, ALWAYS = date.min, date.max
LONGEST_TERM = 1200
"""Months; a longer term is a mistake and taken as not known."""


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract as stored; see entity `contract`. end: last day covered. changed_on: day of the vendor's last change,
    the best known day of a termination before `end`."""

    key: Key
    start: date | None = None
    end: date | None = None
    term_months: int | None = None
    auto_renew: bool = False
    status: str = "active"
    notice_received_on: date | None = None
    renewed_by: str | None = None
    changed_on: date | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A priced position as stored; see entity `contract_line`. price: minor units per billing period of `months`
    months, for the whole line; months 0: for its whole term. contract: None when the line names none."""

    key: Key
    price: int | None
    currency: str
    contract: Key | None = None
    months: int = 12
    start: date | None = None
    end: date | None = None
    recurring: bool = True
    product: str | None = None
    quantity: int | None = None
    created_on: date | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """A contract with what follows from it as of a day.

    renews: day after the term that runs, None when open-ended; where it renews by itself that is today's term, or the
    one in which notice came. months: length of a term. covered_to: last day on which its lines count. successor: key of
    the contract that takes over. assumed: it renewed by itself without a new record. lapsed: past its renewal date,
    within grace, undecided.
    """

    contract: Contract
    months: int
    renews: date | None
    covered_to: date
    successor: Key | None = None
    successor_on: date | None = None
    noticed: bool = False
    assumed: bool = False
    lapsed: bool = False

    @property
    def renewal(self) -> date | None:
        """The first renewal date, as the record says."""
        return None if self.contract.end is None else self.contract.end + ONE_DAY

    @property
    def month_to_month(self) -> bool:
        """Whether it runs from month to month."""
        return self.contract.end is not None and self.months == 1


@dataclass(frozen=True, slots=True)
class Span:
    """Days `first` to `last` (inclusive) on which a line counts. arr: minor units of `currency` per year, not rounded;
    None where the line has no price. own_end: it ends before its contract. assumed_from, grace_from: from this day on
    it counts only because the contract renews by itself, or because grace runs."""

    line: Line
    first: date
    last: date
    arr: Decimal | None
    month_to_month: bool = False
    own_end: bool = False
    assumed_from: date = ALWAYS
    grace_from: date = ALWAYS

    def on(self, day: date) -> bool:
        """Whether it counts on a day."""
        return self.first <= day <= self.last


def mrr(price: int | Decimal, months: int) -> Decimal:
    """Return monthly recurring revenue of a price per `months` months, in its own unit, not rounded."""
    return Decimal(price) / months


def annual(line: Line, contract: Contract | None = None) -> Decimal | None:
    """Return the ARR of a line: 12 x MRR, or price / days x 365 where the price is that of the whole term.

    None where the price, or the days of the term, are not known. Minor units, not rounded.
    """
    if line.price is None:
        return None
    if line.months:
        return line.price * 12 / Decimal(line.months)
    start = line.start or (contract.start if contract else None)
    end = line.end or (contract.end if contract else None)
    days = (end - start).days + 1 if start and end else 0
    return line.price * 365 / Decimal(days) if days > 0 else None


def pro_rata(annual_price: int | Decimal, first: date, last: date) -> int:
    """Return the invoice for days `first` to `last` (inclusive) of an annual price: price x days / 365, rounded."""
    return rounded(Decimal(annual_price) * ((last - first).days + 1) / 365)


def terms(contracts: Iterable[Contract], today: date, *, apart: bool = False) -> dict[Key, Term]:
    """Return what follows from the contracts of one account as of a day; drafts say nothing.

    apart: a contract's successor is of the same connection.
    """
    listed = [c for c in contracts if c.status != "draft"]
    return {c.key: _term(c, [o for o in listed if not apart or o.key[0] == c.key[0]], today) for c in listed}


def _term(contract: Contract, others: Sequence[Contract], today: date) -> Term:
    months, renewal = _months(contract), contract.end + ONE_DAY if contract.end else None
    told = contract.notice_received_on is not None and contract.notice_received_on <= today
    noticed = contract.status == "notice" or told
    successor_on, successor = min(_successors(contract, others), default=(None, None))
    replaced = _ended(contract) or successor_on is not None
    reached = contract.notice_received_on if told else today if contract.status == "active" else None
    rolls = contract.auto_renew and contract.status in ("active", "notice") and not replaced
    assumed = rolls and renewal is not None and reached is not None and renewal <= reached
    renews = _next(renewal, months, reached) if assumed and renewal and reached else renewal
    covered_to, lapsed = ALWAYS, False
    if contract.status == "terminated":
        covered_to = _terminated(contract, today)
    elif renews is not None:
        after = renews + timedelta(days=GRACE_DAYS)
        lapsed = not (replaced or noticed) and renews <= today < after
        if successor_on is not None and successor_on <= after:
            covered_to = successor_on - ONE_DAY
        else:
            covered_to = (after if lapsed else renews) - ONE_DAY
    return Term(contract, months, renews, covered_to, successor, successor_on, noticed, assumed, lapsed)


def _ended(contract: Contract) -> bool:
    """Whether the record itself says that something else stands in its place."""
    return contract.status in ("renewed", "terminated") or contract.renewed_by is not None


def _next(renewal: date, months: int, today: date) -> date:
    """Return the first renewal date after a day, counted from the first one in whole terms."""
    turns = ((today.year - renewal.year) * 12 + today.month - renewal.month) // months
    rolled = add_months(renewal, turns * months)
    return rolled if rolled > today else add_months(renewal, (turns + 1) * months)


def _months(contract: Contract) -> int:
    if contract.term_months and 0 < contract.term_months <= LONGEST_TERM:
        return contract.term_months
    if contract.start and contract.end and contract.end >= contract.start:
        return max(1, int(((contract.end - contract.start).days + 1) / 30.4375 + 0.5))
    return 12


def _terminated(contract: Contract, today: date) -> date:
    """Its last day: the end of its term, but not beyond the day on which the vendor last changed it, and past."""
    known = [day for day in (contract.end, contract.changed_on) if day is not None]
    return min([*known, today]) - (ONE_DAY if not known or min(known) >= today else timedelta(0))


def _successors(contract: Contract, others: Iterable[Contract]) -> Iterator[tuple[date, Key]]:
    renewal = contract.end + ONE_DAY if contract.end else None
    for other in others:
        if other.key == contract.key or other.status == "terminated":
            continue
        named = other.key == (contract.key[0], contract.renewed_by)
        if not named:
            if renewal is None or contract.end is None or contract.start is None or other.start is None:
                continue
            later = other.start > contract.start and (other.end is None or other.end > contract.end)
            early, late = renewal - timedelta(days=EARLY_DAYS), renewal + timedelta(days=GRACE_DAYS)
            if not (later and early <= other.start <= late):
                continue
        begins = other.start or renewal
        if begins is not None:
            yield begins, other.key


def spans(lines: Iterable[Line], known: Mapping[Key, Term], silent: frozenset[Key] = frozenset()) -> list[Span]:
    """Return when each recurring line counts. `silent`: contracts that exist but say nothing (drafts, deleted ones)."""
    return [found for line in lines if line.recurring and (found := _span(line, known, silent)) is not None]


def _span(line: Line, known: Mapping[Key, Term], silent: frozenset[Key]) -> Span | None:
    term = known.get(line.contract) if line.contract else None
    if term is None:
        if line.contract in silent:
            return None
        return Span(line, line.start or NEVER, line.end or ALWAYS, annual(line))
    contract = term.contract
    first = line.start or contract.start or NEVER
    own_end = line.end is not None and (contract.end is None or line.end < contract.end)
    last = line.end if own_end and line.end is not None else term.covered_to
    month_to_month = term.month_to_month or (contract.end is None and not contract.term_months and line.months == 1)
    grace = term.renews if term.lapsed and term.renews and not own_end else ALWAYS
    rolled = term.renewal if term.assumed and term.renewal and not own_end else ALWAYS
    return Span(line, first, last, annual(line, contract), month_to_month, own_end, rolled, grace)


def on(found: Iterable[Span], day: date) -> list[Span]:
    """Return the spans that count on a day."""
    return [span for span in found if span.on(day)]


def covered(found: Iterable[Span], first: date, last: date) -> list[tuple[date, date]]:
    """Return the spans of days from `first` to `last` on which priced lines count; they may overlap."""
    return [(max(s.first, first), min(s.last, last)) for s in found if s.arr and s.first <= last and s.last >= first]


def interrupted(cover: Iterable[tuple[date, date]], first: date, last: date) -> bool:
    """Whether spans of days leave one out from `first` to `last`."""
    free = first
    for begins, ends in sorted(cover):
        if begins > free:
            return True
        if ends >= last:
            return False
        free = max(free, ends + ONE_DAY)
    return free <= last


def contracted_steps(found: Sequence[Span], first: date, day: date) -> list[tuple[str, Decimal]]:
    """Return (currency, growth) of price steps that took effect from `first` to `day` and were agreed before.

    A step is a line that follows another of the same contract, product and quantity without a gap, at a higher price,
    and was created before `first` (or at a time not known).
    """
    ended = {(s.line.contract, s.line.product, s.line.quantity, s.last): s for s in found}
    steps: list[tuple[str, Decimal]] = []
    for span in found:
        line = span.line
        if not (first <= span.first <= day <= span.last) or (line.created_on is not None and line.created_on >= first):
            continue
        before = ended.get((line.contract, line.product, line.quantity, span.first - ONE_DAY))
        if before and before.arr is not None and span.arr is not None and span.arr > before.arr:
            steps.append((line.currency, span.arr - before.arr))
    return steps
