"""Would the score have told? The score 90 days before every past renewal, from nothing but what was known then."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules.calendar import monday
from cssync.rules.evaluate import evaluate
from cssync.rules.outcomes import Renewal, past_renewals
from cssync.rules.prediction import MIN_CHURNS, Interval, Prediction, auc, auc_interval, predict
from cssync.rules.replay import Moment, then
from cssync.rules.tree import Pack, RuleSet

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

AHEAD_DAYS = 90
MAX_DAYS = 40
"""Days evaluated again one by one; with more of them each renewal is judged on the Monday before its day."""


@dataclass(frozen=True, slots=True)
class Case:
    """One renewal and how it was judged. day: the local day of the judgement, on or before T-90. score None: the
    account was not known then, or too little of it. measures: their values then."""

    renewal: Renewal
    day: date
    score: int | None
    band: str
    measures: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MeasureWorth:
    """What a measure alone tells. auc of its values; suggested: its share of the pack's whole weight, 0 where it is not
    shown to tell anything."""

    name: str
    weight: int
    n: int
    auc: float | None
    interval: Interval | None
    suggested: int


@dataclass(frozen=True, slots=True)
class Backtest:
    """A back-test of one pack. weekly: judged on Mondays. unscored: renewals without a score at the time; assumed:
    renewals of which no new contract tells. tuning: only when asked for, and allowed."""

    pack: str
    ahead_days: int
    days: int
    weekly: bool
    cases: tuple[Case, ...]
    unscored: int
    assumed: int
    prediction: Prediction
    tuning: tuple[MeasureWorth, ...] = ()


def backtest(
    store: Store,
    rules: RuleSet,
    workspace: Workspace,
    today: date,
    *,
    pack: str | None = None,
    ahead_days: int = AHEAD_DAYS,
    tune: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Judge every past renewal `ahead_days` before its date with these rules; the store is only read.

    Each day is evaluated on a copy that holds what was learned by its end, and nothing later. What became of the
    renewals is read from the contracts as they are today. Raises:
        ConfigError: no pack with a score, no such pack, no past renewal, or tuning asked for on too few churns.
    """
    scored = _scored(rules, pack)
    events = past_renewals(store, today)
    if not events:
        raise ConfigError("no past renewal is on record", fix="back-test when contracts have come to their end")
    days = {event: event.on - timedelta(days=ahead_days) for event in events}
    weekly = len(set(days.values())) > MAX_DAYS
    if weekly:
        days = {event: monday(day) for event, day in days.items()}
    by_day: dict[date, list[Renewal]] = defaultdict(list)
    for event, day in days.items():
        by_day[day].append(event)
    cases: list[Case] = []
    for n, (day, found) in enumerate(sorted(by_day.items()), 1):
        tell(f"day {n} of {len(by_day)}: {day}")
        cases.extend(_judged(store, rules, workspace, scored, day, found))
    prediction = predict((c.band, c.score, c.renewal.outcome == "churned") for c in cases if c.score is not None)
    if tune and not prediction.tunable:
        raise ConfigError(
            f"{prediction.churned} judged renewals churned; below {MIN_CHURNS} nothing can be learned from them",
            kept="nothing was changed",
            fix="look at the rates and their intervals without --tune",
        )
    return Backtest(
        scored.name,
        ahead_days,
        len(by_day),
        weekly,
        tuple(sorted(cases, key=lambda c: (c.renewal.on, c.renewal.account_uid))),
        sum(c.score is None for c in cases),
        sum(c.renewal.outcome == "assumed" for c in cases),
        prediction,
        _worth(scored, cases) if tune else (),
    )


def _scored(rules: RuleSet, name: str | None) -> Pack:
    packs = [p for p in rules.packs if p.score and name in (None, p.name)]
    if not packs:
        known = ", ".join(p.name for p in rules.packs if p.score) or "none"
        raise ConfigError(f"there is no pack {name or ''!r} with a score", fix=f"packs with a score: {known}")
    return packs[0]


def _judged(
    store: Store, rules: RuleSet, workspace: Workspace, pack: Pack, day: date, events: Iterable[Renewal]
) -> list[Case]:
    """Evaluate the end of a local day with what was known by then."""
    end = datetime.combine(day, time(23, 59, 59), workspace.timezone).astimezone(UTC)
    with then(store, Moment(end, end)) as copy:
        known = copy.query("SELECT 1 FROM account LIMIT 1")
        if not known:
            return [Case(event, day, None, "unknown") for event in events]
        evaluate(copy, rules, workspace, end, run_id="backtest")
        values = {
            (r["account_uid"], r["name"].partition(".")[2]): json.loads(r["value"])
            for r in copy.query(
                "SELECT account_uid, name, value FROM result WHERE name IN (?, ?) AND state <> 'stale'",
                (f"{pack.name}.score", f"{pack.name}.band"),
            )
        }
        measures = {
            r["account_uid"]: {
                n.partition(".")[2]: v for n, v in json.loads(r["features"]).items() if n.startswith("measure.")
            }
            for r in copy.query(
                "SELECT account_uid, features, max(as_of) FROM feature_row WHERE pack = ? GROUP BY account_uid",
                (pack.name,),
            )
        }
    return [
        Case(
            event,
            day,
            values.get((event.account_uid, "score")),
            values.get((event.account_uid, "band")) or "unknown",
            measures.get(event.account_uid, {}),
        )
        for event in events
    ]


def _worth(pack: Pack, cases: Iterable[Case]) -> tuple[MeasureWorth, ...]:
    """Weigh each measure by how far above chance it tells, keeping the whole weight of the pack."""
    listed = list(cases)
    measures = pack.score.measures if pack.score else ()
    found = []
    for m in measures:
        values = [(v, c.renewal.outcome == "churned") for c in listed if (v := c.measures.get(m.name)) is not None]
        churned, renewed = [float(v) for v, gone in values if gone], [float(v) for v, gone in values if not gone]
        value = auc(churned, renewed)
        interval = None if value is None else auc_interval(value, len(churned), len(renewed))
        found.append((m, len(values), value, interval))
    told = {m.name: value - 0.5 if value and interval and interval[0] > 0.5 else 0.0 for m, _, value, interval in found}
    whole, total = sum(m.weight for m in measures), sum(told.values())
    return tuple(
        MeasureWorth(m.name, m.weight, n, value, interval, round(whole * told[m.name] / total) if total else 0)
        for m, n, value, interval in found
    )
