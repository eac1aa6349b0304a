"""cssync kpi."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.metrics.report import Report

NAMES = ("nrr", "arr", "renewals", "csat", "nps", "ttfv")


@click.command(
    epilog=example(
        "cssync kpi --period 2026-Q4",
        "cssync kpi --period FY2026 --cohort nrr",
        "cssync kpi --period 2026-01-01..2026-12-31 --as-of 2026-12-31 --cohort renewals --csv due.csv",
    )
)
@click.option(
    "--period",
    metavar="PERIOD",
    help="2026-11, 2026-Q4, 2026 (calendar), FY2026, FY2026-Q4 (fiscal) or two days as FIRST..LAST.  "
    "[default: this month]",
)
@click.option("--as-of", "day", metavar="DAY", help="Judge as of the end of this day (YYYY-MM-DD) instead of now.")
@click.option("--known-as-of", "known", metavar="DAY", help="With what was known at the end of this day.")
@click.option("--cohort", type=click.Choice(NAMES), help="Show the accounts behind figures of this family.")
@click.option(
    "--csv",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write those accounts to this file (nrr without --cohort).",
)
@shared
def kpi(
    call: Call, period: str | None, day: str | None, known: str | None, cohort: str | None, file: Path | None
) -> int:
    """Show revenue, retention, forecast and satisfaction of a period.

    Money is in the reporting currency at the dated rates of `fx:`. Every report states its options and rates; an
    account that cannot be measured is left out and named. Exit code 3 when there is one.

    --as-of says which day is today, --known-as-of how much was known: without it all that the store holds now.
    """
    from cssync.cli.when import as_of
    from cssync.metrics.periods import parse_period
    from cssync.metrics.report import document
    from cssync.metrics.report import kpi as measured
    from cssync.rules.calendar import local_date

    workspace = call.workspace(secrets=False)
    moment = as_of(day, workspace)
    asked = period or local_date(moment, workspace.timezone).strftime("%Y-%m")
    found = parse_period(asked, workspace.fiscal_year_start)
    cohort = cohort or ("nrr" if file else None)
    with call.store(workspace) as store:
        if known is None:
            report = measured(store, workspace, found, moment, cohort)
        else:
            from cssync.rules.replay import Moment, then

            with then(store, Moment(moment, as_of(known, workspace)), after=True) as copy:
                report = measured(copy, workspace, found, moment, cohort)
    if file and cohort:
        call.say(f"wrote {_write(report, cohort, file):,} accounts to {file}")
    call.show(document(report, cohort), _lines(report, cohort))
    return 3 if report.left_out else 0


def _write(report: Report, cohort: str, file: Path) -> int:
    from cssync.views.kpi import accounts
    from cssync.views.spreadsheet import write_csv

    names = ["currency", *HEADERS[cohort]]
    rows = accounts(report.rows, report.currency, grouped=False)
    return write_csv(file, names, ({"currency": report.currency, **row} for row in rows))


def _lines(report: Report, cohort: str | None) -> Iterator[str]:
    from cssync.views import kpi as view
    from cssync.views.terminal import fit

    yield view.head(report)
    if cohort is None:
        yield from columns(("FIGURE", "VALUE".rjust(18), "N", "NOTE"), view.figures(report))
    else:
        headers = HEADERS[cohort]
        rows = [
            [fit(str(row[h]), view.NAME_CELLS) if h == "name" else row[h] for h in headers]
            for row in view.accounts(report.rows, report.currency)
        ]
        yield from columns([h.upper().replace("_", " ") for h in headers], rows)
        yield f"{len(rows):,} rows"
    yield from view.foot(report)


HEADERS = {
    "nrr": ("account", "name", "start", "end", "class"),
    "arr": ("account", "name", "arr", "month_to_month", "assumed", "lapsed"),
    "renewals": ("account", "name", "on", "outcome", "due", "renewed", "band", "chance", "assumed"),
    "csat": ("account", "name", "satisfied", "rated", "unanswered"),
    "nps": ("account", "name", "promoters", "detractors", "answers"),
    "ttfv": ("account", "name", "tenure_days", "first_value_days"),
}
"""Columns of each list of accounts."""
