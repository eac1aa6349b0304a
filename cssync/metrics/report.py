"""Puts the key figures of a period together, with the accounts behind each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

from cssync.metrics.fx import MissingRateError, Quote, load_rates, rounded
from cssync.metrics.lifetime import Onset, first_value, historic_ltv, simple_ltv
from cssync.metrics.measure import ZERO, Measured, Setting, UnknownPriceError, grouped, measure, onset
from cssync.metrics.options import Options, options
from cssync.metrics.periods import Period, fiscal_quarter
from cssync.metrics.portfolio import Portfolio
from cssync.metrics.renewals import UNDECIDED, Renewal, chance, forecast, renewal_rates
from cssync.metrics.retention import retention
from cssync.metrics.voice import Answer, csat, latest, nps
from cssync.rules.calendar import local_date

if TYPE_CHECKING:
    from cssync.config import Workspace
    from cssync.store import Store

Unit = Literal["money", "ratio", "count", "points", "days"]
COHORTS: Mapping[str, str] = {
    "nrr": "who had ARR before the period, and who is new: ARR at both ends and what became of it",
    "arr": "who has ARR at the close, and which part of it is month-to-month, assumed or lapsed",
    "renewals": "what was or is due in the period, its outcome, band and chance",
    "csat": "ratings of the period by account",
    "nps": "answers that count, by account",
    "ttfv": "tenure and days to first value by account",
}
"""Lists of accounts behind the figures."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One key figure. value: money in minor units of the reporting currency, a ratio as fraction; None is unknown or
    not applicable, and `note` says why. n: what it was counted over. cohort: the list behind it."""

    name: str
    value: int | Decimal | None
    unit: Unit
    cohort: str
    n: int
    flags: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An account that is in no figure, and why."""

    account: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """The key figures of a period. close: the day whose close they describe: its last, or today's if that is earlier.
    rows: the accounts of the cohort that was asked for, money in whole minor units."""

    period: Period
    as_of: datetime
    close: date
    fiscal: str
    currency: str
    options: Options
    figures: tuple[Figure, ...]
    rates: tuple[Quote, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...] = field(repr=False)

    def figure(self, name: str) -> Figure:
        """Return the figure of that name; KeyError if there is none."""
        return {f.name: f for f in self.figures}[name]


def kpi(store: Store, workspace: Workspace, period: Period, as_of: datetime, cohort: str | None = None) -> Report:
    """Return the key figures of a period, from what the store holds now, judged as of an instant (aware UTC).

    cohort: the list of COHORTS whose rows the report shall hold.

    Raises:
        ConfigError: the file of exchange rates or the options are wrong.
    """
    today = local_date(as_of, workspace.timezone)
    master = workspace.masters.get("contract")
    portfolio = Portfolio(store, today, workspace.timezone, workspace.currency, master)
    setting = Setting(period, today, options(workspace), load_rates(workspace), portfolio.bands(as_of))
    measured: list[Measured] = []
    left_out: list[LeftOut] = []
    for holding in portfolio.holdings():
        try:
            measured.append(measure(holding, setting))
        except (MissingRateError, UnknownPriceError) as error:
            left_out.append(LeftOut(holding.account.uid, holding.account.name, str(error)))
    making = _Making(setting, portfolio, measured, {entry.account for entry in left_out}, cohort)
    making.revenue()
    making.retention()
    making.renewals()
    making.voice()
    making.lifetime()
    left_out += making.left_out
    year, quarter = fiscal_quarter(setting.close, workspace.fiscal_year_start)
    return Report(
        period,
        as_of,
        setting.close,
        f"FY{year} Q{quarter}",
        workspace.currency,
        setting.options,
        tuple(making.figures),
        tuple(
            sorted({(q.source, q.day): q for q in setting.used.values()}.values(), key=lambda q: (q.source, str(q.day)))
        ),
        tuple(sorted(left_out, key=lambda entry: entry.account)),
        tuple(f"accounts in a ring of parents: {ring}" for ring in portfolio.rings.values()),
        tuple(sorted(making.rows, key=_first)),
    )


def _first(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row["account"]), str(row.get("on", ""))


class _Making:
    """The figures as they come together; each method adds those of one family."""

    def __init__(
        self, setting: Setting, portfolio: Portfolio, measured: list[Measured], failed: set[str], cohort: str | None
    ) -> None:
        self.setting, self.portfolio, self.measured, self.failed = setting, portfolio, measured, failed
        self.figures: list[Figure] = []
        self.cohort = cohort
        self.rows: list[Mapping[str, Any]] = []
        self.left_out: list[LeftOut] = []
        self.arpa: Decimal | None = None
        self.churn: Decimal | None = None

    def keep(self, cohort: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep the rows of a cohort if it is the one that was asked for."""
        if cohort == self.cohort:
            self.rows.extend(rows)

    def money(self, name: str, value: Decimal | None, cohort: str, n: int, *flags: str, note: str = "") -> None:
        self.figures.append(Figure(name, None if value is None else rounded(value), "money", cohort, n, flags, note))

    def ratio(self, name: str, value: Decimal | None, cohort: str, n: int, *flags: str, note: str = "") -> None:
        self.figures.append(Figure(name, _fraction(value), "ratio", cohort, n, flags, note))

    def revenue(self) -> None:
        found = [m.revenue for m in self.measured if m.revenue.arr]
        total = sum((r.arr for r in found), ZERO)
        paying = sum(r.arr > 0 for r in found)
        self.money("arr", total, "arr", paying)
        self.money("mrr", total / 12, "arr", paying)
        self.arpa = total / 12 / paying if paying else None
        self.money("arpa", self.arpa, "arr", paying, note="per month and account with ARR")
        for name, label in (("month_to_month", "m2m"), ("assumed", "assumed"), ("lapsed", "lapsed")):
            parts = [part for r in found if (part := getattr(r, name))]
            self.money(f"arr_{name}", sum(parts, ZERO), "arr", len(parts), label, note="part of ARR")
        self.keep(
            "arr",
            (
                {
                    "account": r.account,
                    "name": r.name,
                    "arr": rounded(r.arr),
                    "month_to_month": rounded(r.month_to_month),
                    "assumed": rounded(r.assumed),
                    "lapsed": rounded(r.lapsed),
                }
                for r in found
            ),
        )

    def retention(self) -> None:
        asked, parents = self.setting.options, self.setting.options.logos == "ultimate_parent"
        if parents:
            roots = {self.portfolio.accounts[uid].root for uid in self.failed if uid in self.portfolio.accounts}
            whole = [m for m in self.measured if m.account.root not in roots]
            reason = "another account of its group is left out"
            self.left_out += [
                LeftOut(m.account.uid, m.account.name, f"of retention: {reason}")
                for m in self.measured
                if m.account.root in roots
            ]
            positions = grouped(whole, self.portfolio.accounts, self.setting)
        else:
            positions = [m.position for m in self.measured if m.position is not None]
        found = retention(
            positions if self.setting.started else (),
            reactivation=asked.reactivation,
            exclude_contracted_steps=asked.exclude_contracted_steps,
        )
        n = found.accounts
        flags = ("small_n",) if n < asked.small_cohort else ()
        empty = "" if n else ("nobody had ARR before the period" if self.setting.started else "not begun")
        self.churn = found.logo_churn
        self.ratio("nrr", found.nrr, "nrr", n, *flags, note=empty)
        self.ratio("grr", found.grr, "nrr", n, *flags, note=empty)
        self.ratio("logo_churn", found.logo_churn, "nrr", n, *flags, note=empty)
        labelled = "each end at its own rate: for comparison only"
        self.ratio("nrr_as_reported", found.as_reported, "nrr", n, *flags, "as_reported", note=empty or labelled)
        for name in ("start", "end", "expansion", "contraction", "churn"):
            self.money(f"cohort_{name}", getattr(found, name) if n else None, "nrr", n, *flags, note=empty)
        self.money(
            "new_arr", found.new if self.setting.started else None, "nrr", sum(m.kind == "new" for m in found.moves)
        )
        self.keep(
            "nrr",
            (
                {
                    "account": m.account,
                    "name": m.name,
                    "start": rounded(m.start),
                    "end": rounded(m.end),
                    "class": m.kind,
                }
                for m in found.moves
            ),
        )

    def renewals(self) -> None:
        found = [event for m in self.measured for event in m.renewals]
        rates = renewal_rates(found, self.setting.today)
        note = "" if rates.gross is not None else "nothing was due and decided"
        self.ratio("gross_renewal_rate", rates.gross, "renewals", rates.events, note=note)
        self.ratio("net_renewal_rate", rates.net, "renewals", rates.events, note=note)
        self.money("renewal_due", rates.due, "renewals", rates.events, note="decided")
        late = sum(e.on <= self.setting.today and e.outcome not in ("renewed", "lost") for e in found)
        self.money("renewal_undecided", rates.undecided, "renewals", late, note="past its date, outcome not known")
        chances = self.setting.options.chances
        ahead = forecast(found, chances)
        note = "" if ahead.events else "nothing is due and undecided"
        self.money("forecast_due", ahead.due, "renewals", ahead.events, note=note)
        self.money("forecast", ahead.expected, "renewals", ahead.events, note=note)
        self.ratio(
            "forecast_share", ahead.expected / ahead.due if ahead.due else None, "renewals", ahead.events, note=note
        )
        self.money("arr_at_risk", ahead.at_risk, "renewals", ahead.events, note=note)
        self.money("arr_at_risk_weighted", ahead.weighted, "renewals", ahead.events, note=note)
        self.keep("renewals", (_renewal_row(event, chances) for event in found))

    def voice(self) -> None:
        asked, close = self.setting.options, self.setting.close
        rated = list(self.portfolio.answers("csat", self.setting.period.start, close)) if self.setting.started else []
        good = csat(rated, asked.min_responses)
        few = f"fewer than {asked.min_responses} answers"
        self.ratio("csat", good.value, "csat", good.rated, note="" if good.value is not None else few)
        first = close - timedelta(days=asked.nps_days - 1)
        counted = latest(self.portfolio.answers("nps", first, close))
        score = nps(counted, asked.min_responses)
        value = None if score.value is None else score.value.quantize(Decimal("0.1"), ROUND_HALF_UP)
        note = few if value is None else f"answers of the {asked.nps_days} days to the close"
        self.figures.append(Figure("nps", value, "points", "nps", score.answers, (), note))
        self.keep("csat", (self._ratings(*entry) for entry in _by_account(rated)))
        self.keep("nps", (self._answers(*entry) for entry in _by_account(counted)))

    def _ratings(self, account: str, answers: Sequence[Answer]) -> Mapping[str, Any]:
        one = csat(answers, 1)
        return {**self._who(account), "satisfied": one.satisfied, "rated": one.rated, "unanswered": one.unanswered}

    def _answers(self, account: str, answers: Sequence[Answer]) -> Mapping[str, Any]:
        one = nps(answers, 1)
        return {
            **self._who(account),
            "promoters": one.promoters,
            "detractors": one.detractors,
            "answers": one.answers,
        }

    def lifetime(self) -> None:
        asked, margin = self.setting.options, self.setting.options.gross_margin
        n = self.figures[0].n
        if margin is None:
            note = "set `metrics: {gross_margin: ...}` in cssync.yaml"
            self.money("ltv_simple", None, "arr", n, note=note)
        elif self.arpa is None:
            self.money("ltv_simple", None, "arr", n, note="nobody has ARR")
        else:
            elapsed = Period("", self.setting.period.start, self.setting.close + timedelta(days=1))
            monthly = self.churn / elapsed.months if self.churn is not None and self.setting.started else None
            found = simple_ltv(self.arpa, margin, monthly, asked.max_lifetime_months)
            note = f"lifetime {_fraction(found.months, '0.1')} months"
            self.money("ltv_simple", found.value, "arr", n, *(("capped",) if found.capped else ()), note=note)
        if margin is not None:
            self._historic(margin)
        self._first_value()

    def _historic(self, margin: Decimal) -> None:
        paid: dict[str, Decimal] = defaultdict(Decimal)
        for account, amount, currency, day in self.portfolio.paid(self.setting.close):
            if account in self.failed:
                continue
            try:
                paid[account] += self.setting.total([(currency, Decimal(amount))], day)
            except MissingRateError as error:
                self.failed.add(account)
                paid.pop(account, None)
                self.left_out.append(LeftOut(account, self.portfolio.accounts[account].name, f"of ltv: {error}"))
        value = historic_ltv(paid.values(), margin)
        note = "gross margin of paid invoices to date, per account" if paid else "no paid invoices are known"
        self.money("ltv_historic", value, "arr", len(paid), note=note)

    def _first_value(self) -> None:
        asked, close = self.setting.options, self.setting.close
        begin, first = self.portfolio.first_values(asked.value_metric)
        found: list[Onset] = []
        before = 0
        for m in self.measured:
            days = onset(m.since, close, first.get(m.account.uid))
            if begin is None or days is None or m.since is None:
                continue
            if m.since < begin:
                before += 1
                continue
            found.append(Onset(m.account.uid, m.account.name, *days))
        known = first_value(found, asked.value_days)
        within = f"within {asked.value_days} days"
        note = within if begin else f"no usage metric {asked.value_metric!r} is known"
        if before:
            note += f"; {before:,} accounts began before the first measured day {begin} and are left out"
        self.ratio("first_value_reached", known.share, "ttfv", known.base, note=note)
        self.figures.append(Figure("first_value_days", known.median_days, "days", "ttfv", len(found), (), "median"))
        self.keep(
            "ttfv",
            (
                {"account": o.account, "name": o.name, "tenure_days": o.tenure, "first_value_days": o.reached}
                for o in found
            ),
        )

    def _who(self, uid: str) -> dict[str, str]:
        known = self.portfolio.accounts.get(uid)
        return {"account": uid or "-", "name": known.name if known else "(unassigned)"}


def _renewal_row(event: Renewal, chances: Mapping[str, Decimal]) -> Mapping[str, Any]:
    open_ = event.outcome in UNDECIDED
    return {
        "account": event.account,
        "name": event.name,
        "on": event.on.isoformat(),
        "outcome": event.outcome,
        "due": rounded(event.due),
        "renewed": rounded(event.renewed),
        "band": event.band,
        "chance": float(chance(event, chances)) if open_ else None,
        "assumed": event.assumed,
    }


def _by_account(answers: Iterable[Answer]) -> Iterable[tuple[str, list[Answer]]]:
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        found.setdefault(answer.account, []).append(answer)
    return found.items()


def _fraction(value: Decimal | None, step: str = "0.000001") -> Decimal | None:
    return None if value is None else value.quantize(Decimal(step), ROUND_HALF_UP)


def document(report: Report, cohort: str | None = None) -> dict[str, Any]:
    """Return the report as JSON-able data; money in minor units, ratios as fractions; with one cohort's rows."""
    return {
        "period": {
            "label": report.period.label,
            "start": report.period.start.isoformat(),
            "last": report.period.last.isoformat(),
            "fiscal": report.fiscal,
        },
        "as_of": report.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "close": report.close.isoformat(),
        "currency": report.currency,
        "options": {
            **asdict(report.options),
            "gross_margin": _number(report.options.gross_margin),
            "chances": {name: _number(value) for name, value in report.options.chances.items()},
        },
        "figures": {
            f.name: {
                "value": _number(f.value),
                "unit": f.unit,
                "n": f.n,
                "flags": list(f.flags),
                "note": f.note,
                "cohort": f.cohort,
            }
            for f in report.figures
        },
        "rates": [
            {"from": q.source, "to": q.target, "rate": str(q.value), "date": q.day.isoformat() if q.day else None}
            for q in report.rates
        ],
        "left_out": [asdict(entry) for entry in report.left_out],
        "notes": list(report.notes),
        "cohort": {"name": cohort, "rows": list(report.rows)} if cohort else None,
    }


def _number(value: int | Decimal | None) -> int | float | None:
    return float(value) if isinstance(value, Decimal) else value
