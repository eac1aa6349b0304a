"""Lifetime value, and how long customers take to their first value (domain.md sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Ltv:
    """Lifetime value in the unit of the revenue given, not rounded. capped: the longest lifetime was taken."""

    value: Decimal
    months: Decimal
    capped: bool


def simple_ltv(arpa: Decimal, gross_margin: Decimal, monthly_churn: Decimal | None, longest_months: int = 60) -> Ltv:
    """Return ARPA per month x gross margin / monthly logo churn.

    The lifetime 1 / churn is at most `longest_months`, also where churn is 0 or unknown: otherwise one customer more
    or less in a small cohort would move the value without bound.
    """
    longest = Decimal(longest_months)
    capped = not monthly_churn or 1 / monthly_churn > longest
    if capped or not monthly_churn:
        return Ltv(arpa * gross_margin * longest, longest, capped=True)
    return Ltv(arpa * gross_margin / monthly_churn, 1 / monthly_churn, capped=False)


def historic_ltv(paid: Iterable[Decimal], gross_margin: Decimal) -> Decimal | None:
    """Return the mean gross margin earned to date of customers that paid so much each; None without any."""
    amounts = list(paid)
    return sum(amounts, Decimal(0)) * gross_margin / len(amounts) if amounts else None


@dataclass(frozen=True, slots=True)
class Onset:
    """One customer's way to first value: days from contract start. tenure: days since then. reached: None while it is
    not reached: censored at its tenure, never dropped."""

    account: str
    name: str
    tenure: int
    reached: int | None


@dataclass(frozen=True, slots=True)
class FirstValue:
    """share = reached by the day / accounts with that tenure, None without any. median_days: Kaplan-Meier, so that
    customers who are still on their way count; None while fewer than half have arrived."""

    share: Decimal | None
    reached: int
    base: int
    median_days: int | None


def first_value(found: Iterable[Onset], by_day: int = 30) -> FirstValue:
    """Return the portfolio's time to first value."""
    onsets = list(found)
    base = [o for o in onsets if o.tenure >= by_day]
    reached = sum(o.reached is not None and o.reached <= by_day for o in base)
    return FirstValue(Decimal(reached) / len(base) if base else None, reached, len(base), _median(onsets))


def _median(onsets: Sequence[Onset]) -> int | None:
    arrived: dict[int, int] = {}
    gone: dict[int, int] = {}
    for onset in onsets:
        day = onset.tenure if onset.reached is None else onset.reached
        gone[day] = gone.get(day, 0) + 1
        arrived[day] = arrived.get(day, 0) + (onset.reached is not None)
    at_risk, still = len(onsets), Decimal(1)
    for day in sorted(gone):
        still *= 1 - Decimal(arrived[day]) / at_risk
        if still <= Decimal("0.5"):
            return day
        at_risk -= gone[day]
    return None
