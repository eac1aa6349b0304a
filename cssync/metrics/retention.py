"""Net and gross revenue retention, logo churn, expansion and contraction of a period (domain.md section 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Class = Literal["expansion", "flat", "contraction", "churn", "new"]
Reactivation = Literal["point_to_point", "new"]
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Position:
    """One customer at both ends of a period: minor units of the reporting currency, not rounded.

    start, end: ARR at the close of the day before the period and of its last day, both at the rate of the first day.
    end_reported: the latter at the rate of the end. steps: growth agreed before the period. interrupted: there was a
    day in between on which it had no ARR. An end below zero (more credits than lines) counts as zero.
    """

    account: str
    name: str
    start: Decimal
    end: Decimal
    end_reported: Decimal
    steps: Decimal = ZERO
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """A row of the cohort: what became of a customer. `end` is the E that counts, after the options."""

    account: str
    name: str
    start: Decimal
    end: Decimal
    kind: Class


@dataclass(frozen=True, slots=True)
class Retention:
    """The figures of a cohort; ratios are None where it is empty. Money: minor units, not rounded.

    new: ARR at the end of customers without any at the start; outside every ratio. as_reported: NRR with each end at
    its own rate, for comparison only. moves: the cohort and the new ones, as they came.
    """

    accounts: int
    start: Decimal
    end: Decimal
    expansion: Decimal
    contraction: Decimal
    churn: Decimal
    churned: int
    new: Decimal
    nrr: Decimal | None
    grr: Decimal | None
    logo_churn: Decimal | None
    as_reported: Decimal | None
    moves: tuple[Move, ...]


def retention(
    positions: Iterable[Position],
    *,
    reactivation: Reactivation = "point_to_point",
    exclude_contracted_steps: bool = False,
) -> Retention:
    """Return the retention figures.

    The cohort is who had ARR at the start. reactivation: a customer that left and is back by the end counts by its two
    ends, or (`new`) as churned, its ARR at the end as new. exclude_contracted_steps: price steps that were agreed
    before the period are no expansion.
    """
    moves: list[Move] = []
    start = end = gross = expansion = contraction = churn = new = reported = ZERO
    churned = accounts = 0
    for position in positions:
        before, after, reported_end = position.start, max(ZERO, position.end), max(ZERO, position.end_reported)
        if exclude_contracted_steps and before > 0:
            after = max(min(after, before), after - position.steps)
        if before > 0 and after > 0 and reactivation == "new" and position.interrupted:
            new += after
            moves.append(Move(position.account, position.name, ZERO, after, "new"))
            after = reported_end = ZERO
        if before <= 0:
            if after > 0:
                new += after
                moves.append(Move(position.account, position.name, ZERO, after, "new"))
            continue
        kind = classify(before, after)
        moves.append(Move(position.account, position.name, before, after, kind))
        accounts += 1
        churned += kind == "churn"
        start, end, reported = start + before, end + after, reported + reported_end
        gross += min(before, after)
        expansion += max(ZERO, after - before)
        contraction += before - after if kind == "contraction" else ZERO
        churn += before - after if kind == "churn" else ZERO
    return Retention(
        accounts,
        start,
        end,
        expansion,
        contraction,
        churn,
        churned,
        new,
        nrr=end / start if accounts else None,
        grr=gross / start if accounts else None,
        logo_churn=Decimal(churned) / accounts if accounts else None,
        as_reported=reported / start if accounts else None,
        moves=tuple(moves),
    )


def classify(start: Decimal, end: Decimal) -> Class:
    """Return what became of ARR `start` (above 0) that is `end` now (0 or more)."""
    if end == 0:
        return "churn"
    if end == start:
        return "flat"
    return "expansion" if end > start else "contraction"
