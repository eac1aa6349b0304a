"""Renewals of a period: what was due, what came of it, and what is to be expected (domain.md sections 3 and 6).

Renewal rates are a family of their own: their denominator is the ARR due, not the ARR of all customers. They are never
called GRR or NRR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from cssync.metrics.revenue import Key, Span, Term
from cssync.rules.calendar import add_months
from cssync.rules.event_facts import CO_TERM_DAYS, GRACE_DAYS

Outcome = Literal["renewed", "lost", "open", "notice", "lapsed", "unclear"]
UNDECIDED: tuple[Outcome, ...] = ("open", "notice", "lapsed")
Amounts = tuple[tuple[str, Decimal], ...]
"""(currency, minor units per year), not rounded."""


@dataclass(frozen=True, slots=True)
class Due:
    """Contracts of one account that end within 14 days: one renewal event.

    on: the renewal date of the first of them. due: their ARR on the last day of the term. renewed: ARR of what took
    over (for `renewed`; else nothing). assumed: it renewed by itself, without a new record. `unclear`: the CRM says
    renewed, but no contract that took over is known.
    """

    on: date
    contracts: tuple[Key, ...]
    outcome: Outcome
    due: Amounts
    renewed: Amounts = ()
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewal event in the reporting currency: minor units, not rounded. band: the account's health band."""

    account: str
    name: str
    on: date
    outcome: Outcome
    due: Decimal
    renewed: Decimal
    band: str = "unknown"
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Rates:
    """gross = sum min(renewed, due) / sum due; net = sum renewed / sum due; None where nothing decided was due."""

    due: Decimal
    gross: Decimal | None
    net: Decimal | None
    events: int
    undecided: Decimal


@dataclass(frozen=True, slots=True)
class Forecast:
    """due: ARR of undecided renewals. expected: sum P x ARR. at_risk: ARR of red, notice and lapsed ones, unweighted.
    weighted: sum (1 - P) x ARR. Minor units, not rounded; upsell is not in it."""

    due: Decimal
    expected: Decimal
    at_risk: Decimal
    weighted: Decimal
    events: int


def events(known: Mapping[Key, Term], found: Sequence[Span], first: date, end: date, today: date) -> Iterator[Due]:
    """Yield the renewal events of one account with a renewal date from `first` up to, not including, `end`.

    Month-to-month, open-ended and early terminated contracts are never due; a multi-year contract only at its end.
    """
    occurrences = sorted(
        (day, term.contract.key, term)
        for term in known.values()
        if not term.month_to_month
        for day in _renewal_dates(term, first, end, today)
    )  # a key is unique in an account, so terms are never compared
    of: dict[Key, list[Span]] = {}
    for span in found if occurrences else ():
        if span.line.contract is not None:
            of.setdefault(span.line.contract, []).append(span)
    group: list[tuple[date, Key, Term]] = []
    for entry in occurrences:
        if group and not _together(group, entry):
            yield _event(group, of, today)
            group = []
        group.append(entry)
    if group:
        yield _event(group, of, today)


def _together(group: Sequence[tuple[date, Key, Term]], entry: tuple[date, Key, Term]) -> bool:
    near = entry[0] - group[0][0] <= timedelta(days=CO_TERM_DAYS)
    same = entry[2].successor is not None and any(entry[2].successor == term.successor for _, _, term in group)
    return (near or same) and all(key != entry[1] for _, key, _ in group)


def _renewal_dates(term: Term, first: date, end: date, today: date) -> Iterator[date]:
    if term.renewal is None or term.renews is None:
        return
    if term.contract.status == "terminated" and term.covered_to < term.renewal - timedelta(days=1):
        return
    if not term.assumed:
        if first <= term.renewal < end:
            yield term.renewal
        return
    months = (first.year - term.renewal.year) * 12 + first.month - term.renewal.month
    for turn in range(max(0, months // term.months - 1), 10_000):
        day = add_months(term.renewal, turn * term.months)
        if day > term.renews or day >= end:
            return
        if day >= first:
            yield day


def _event(group: Sequence[tuple[date, Key, Term]], of: Mapping[Key, Sequence[Span]], today: date) -> Due:
    outcomes = {_outcome(term, day, today) for day, _, term in group}
    worst: tuple[Outcome, ...] = ("notice", "lapsed", "open", "unclear", "renewed", "lost")
    outcome = next(o for o in worst if o in outcomes)
    if outcomes == {"renewed", "lost"}:
        outcome = "renewed"
    due: list[tuple[str, Decimal]] = []
    renewed: list[tuple[str, Decimal]] = []
    successors: dict[Key, date] = {}
    for day, key, term in group:
        lines = of.get(key, ())
        due += _amounts(s for s in lines if _runs(s, day - timedelta(days=1)))
        if outcome != "renewed":
            continue
        if term.successor is not None and term.successor_on is not None:
            successors.setdefault(term.successor, max(day, term.successor_on))
        elif term.assumed and term.renews is not None and term.renews > day:
            renewed += _amounts(s for s in lines if _runs(s, day))
    for key, day in successors.items():
        renewed += _amounts(s for s in of.get(key, ()) if _runs(s, day))
    assumed = any(term.assumed for _, _, term in group)
    return Due(group[0][0], tuple(key for _, key, _ in group), outcome, tuple(due), tuple(renewed), assumed)


def _runs(span: Span, day: date) -> bool:
    """Whether a line covers a day as far as its contract does; an early successor does not shorten what is due."""
    return span.first <= day and (not span.own_end or span.last >= day)


def _amounts(found: Iterable[Span]) -> list[tuple[str, Decimal]]:
    return [(span.line.currency, span.arr) for span in found if span.arr is not None]


def _outcome(term: Term, day: date, today: date) -> Outcome:
    if term.successor is not None:
        return "renewed"
    if term.assumed and term.renews is not None and day < term.renews:
        return "renewed"
    if term.contract.status == "renewed" or term.contract.renewed_by is not None:
        return "unclear"
    if term.contract.status == "terminated":
        return "lost"
    if day > today:
        return "notice" if term.noticed else "open"
    if not term.noticed and today < day + timedelta(days=GRACE_DAYS):
        return "lapsed"
    return "lost"


def renewal_rates(found: Iterable[Renewal], today: date) -> Rates:
    """Return the renewal rates of events whose renewal date has come and whose outcome is known."""
    due = kept = renewed = undecided = Decimal(0)
    events = 0
    for event in found:
        if event.outcome in ("renewed", "lost") and event.on <= today:
            events += 1
            due += event.due
            kept += min(event.renewed, event.due)
            renewed += event.renewed
        elif event.on <= today:
            undecided += event.due
    return Rates(due, kept / due if due else None, renewed / due if due else None, events, undecided)


def forecast(found: Iterable[Renewal], probability: Mapping[str, Decimal]) -> Forecast:
    """Return what is to be expected of undecided renewals. probability: band, or `lapsed`, -> P; notice is 0."""
    due = expected = at_risk = Decimal(0)
    events = 0
    for event in found:
        if event.outcome not in UNDECIDED:
            continue
        events += 1
        due += event.due
        expected += event.due * chance(event, probability)
        if event.outcome in ("notice", "lapsed") or event.band == "red":
            at_risk += event.due
    return Forecast(due, expected, at_risk, due - expected, events)


def chance(event: Renewal, probability: Mapping[str, Decimal]) -> Decimal:
    """Return the probability that an undecided renewal comes."""
    if event.outcome == "notice":
        return Decimal(0)
    return probability["lapsed" if event.outcome == "lapsed" else event.band]
