"""The key figures for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from cssync.metrics.report import Figure, Report
from cssync.model import decimals
from cssync.views.terminal import fit, line

NAME_CELLS = 40
MONEY = ("arr", "month_to_month", "assumed", "lapsed", "start", "end", "due", "renewed")
"""Columns of the lists of accounts that hold money."""
LEFT_OUT = 20
"""Accounts that are named when they are left out; --json names all."""


def amount(minor: int, currency: str, *, grouped: bool = True) -> str:
    """Return minor units in major units, e.g. 650959 USD as 6,509.59."""
    digits = decimals(currency)
    value = Decimal(minor).scaleb(-digits)
    return f"{value:,.{digits}f}" if grouped else f"{value:.{digits}f}"


def shown(figure: Figure, currency: str) -> str:
    """Return a figure's value as people read it; a dash where there is none."""
    if figure.value is None:
        return "-"
    if figure.unit == "money":
        return amount(int(figure.value), currency)
    if figure.unit == "ratio":
        return f"{figure.value * 100:.2f} %"
    return f"{figure.value:+}" if figure.unit == "points" else f"{figure.value:,}"


def head(report: Report) -> str:
    """Return the line that says what the figures are of."""
    period = report.period
    until = f", close of {report.close}" if report.close != period.last else ""
    return f"{period.label}: {period.start} to {period.last}{until} ({report.fiscal}); money in {report.currency}"


def figures(report: Report) -> Iterator[tuple[str, str, int, str]]:
    """Yield (figure, value, counted over, flags and note)."""
    for figure in report.figures:
        said = "; ".join(filter(None, (", ".join(figure.flags), figure.note)))
        yield figure.name, shown(figure, report.currency).rjust(18), figure.n, said


def foot(report: Report) -> Iterator[str]:
    """Yield what the figures rest on, and who is left out."""
    asked = report.options
    chances = ", ".join(f"{name} {value:.0%}" for name, value in asked.chances.items())
    margin = "not set" if asked.gross_margin is None else f"{asked.gross_margin:.0%}"
    steps = "excluded" if asked.exclude_contracted_steps else "included"
    yield f"options: reactivation {asked.reactivation}; logos {asked.logos}; contracted price steps {steps};"
    yield f"  gross margin {margin}; longest lifetime {asked.max_lifetime_months} months;"
    yield f"  small_n under {asked.small_cohort} accounts; csat and nps from {asked.min_responses} answers;"
    yield f"  first value {line(asked.value_metric)} within {asked.value_days} days; nps over {asked.nps_days} days;"
    yield f"  chance of renewal: {chances}, notice 0%"
    rates = ", ".join(f"{q.source} {q.value.normalize():f} of {q.day}" for q in report.rates if q.day is not None)
    yield f"rates to {report.currency}: {rates or 'none needed'}; NRR, GRR: those of {report.period.start}"
    yield from report.notes
    if report.left_out:
        yield f"left out: {len(report.left_out):,}"
    for entry in report.left_out[:LEFT_OUT]:
        yield f"  {fit(entry.name, NAME_CELLS)} ({entry.account}): {entry.reason}"
    if len(report.left_out) > LEFT_OUT:
        yield f"  and {len(report.left_out) - LEFT_OUT:,} more; --json names all"


def accounts(rows: Iterable[Mapping[str, Any]], currency: str, *, grouped: bool = True) -> Iterator[Mapping[str, Any]]:
    """Yield a list of accounts with money in major units."""
    for row in rows:
        yield {
            name: amount(value, currency, grouped=grouped) if name in MONEY and value is not None else value
            for name, value in row.items()
        }
