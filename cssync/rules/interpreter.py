"""The reference: what a pack means, one account at a time, in plain Python.

It walks the same typed tree as the compiler and must give the same answers as the SQL; tests hold the two together.
It serves pack tests and explanations. Values are int, float, str, bool or date; None is unknown. Money is in minor
units, its currency beside it under `currency.<feature>`; what a winsorised feature is cut at is given under
`percentile.<feature>`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cssync.model import TABLE
from cssync.rules.calendar import offsets
from cssync.rules.catalogue import FACTS, SOURCES, Borrowed, column_type, row_column
from cssync.rules.expressions import Interpreter, nearest
from cssync.rules.facts import PRESENT
from cssync.rules.freshness import Context
from cssync.rules.grounds import all_known, all_ok
from cssync.rules.members import Membership, members_of
from cssync.rules.memory import FIRST_DAY, Memory
from cssync.rules.outcome import Outcome
from cssync.rules.score_judge import judge_score
from cssync.rules.sources import LISTED, instant_bounds, latest, window
from cssync.rules.tree import (
    OF_EVENT,
    Aggregate,
    Expr,
    Feature,
    Lines,
    Pack,
    used_features,
    used_names,
)

Row = Mapping[str, Any]


def judge(
    pack: Pack,
    features: Mapping[str, Feature],
    context: Context,
    account: Row,
    *,
    rows: Mapping[str, Iterable[Row]] | None = None,
    given: Mapping[str, Any] | None = None,
    results: Mapping[str, Any] | None = None,
    memory: Memory = FIRST_DAY,
    model: str | None = None,
    event: int = 1,
) -> Outcome:
    """Return what a pack says about one account, or about one of its renewal events.

    rows: source -> its rows of this account (columns of the model, instants and dates as stored); given: values of
    features and facts that are known already; both may be mixed, `given` wins. results: `<pack>.<output>` of others.
    memory: where its score stood before today.
    model: judge by that model, whatever the conditions of the models say.
    event: number of the renewal event; rows of opportunities say in `event` whose they are, 1 unless said.
    """
    one = _Judge(pack, features, context, account, rows or {}, given or {}, results or {}, memory, model, event)
    return one.outcome()


def judge_events(
    pack: Pack,
    features: Mapping[str, Feature],
    context: Context,
    account: Row,
    events: Sequence[Mapping[str, Any]],
    *,
    rows: Mapping[str, Iterable[Row]] | None = None,
    given: Mapping[str, Any] | None = None,
    results: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Return what a pack for each renewal event says about an account: one outcome for each of `events`, the values of
    the facts that each has of its own, the next one first."""
    found = {source: list(listed) for source, listed in (rows or {}).items()}
    if "opportunities" in found:
        found["opportunities"] = [{**r, "event": event_of_deal(r, events)} for r in found["opportunities"]]
    outcomes = [
        judge(pack, features, context, account, rows=found, given={**(given or {}), **own}, results=results, event=n)
        for n, own in enumerate(events, 1)
    ]
    add_totals(pack, outcomes)
    return outcomes


def add_totals(pack: Pack, outcomes: Sequence[Outcome]) -> None:
    """Give the outcomes of an account's events the results that are sums over them."""
    totals = {r.name: _total(r.name, outcomes) for r in pack.results if r.summed}
    for outcome in outcomes:
        outcome.totals = totals


def _total(name: str, outcomes: Iterable[Outcome]) -> int | None:
    """The sum of a result over its events; one that is unknown adds nothing, two currencies have no sum."""
    known = [(o.results[name], o.currencies.get(name)) for o in outcomes if o.results[name] is not None]
    return sum(value for value, _ in known) if len({currency for _, currency in known}) == 1 else None


def event_of_deal(deal: Row, events: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of the renewal event that an opportunity is about: that of its contract, else the one whose
    renewal date lies nearest to the closing date."""
    contract = f"{deal.get('connection')}:{deal.get('contract_source_id')}"
    for n, event in enumerate(events, 1):
        if contract in str(event.get("renewal_contracts") or "").split():
            return n
    days = [event["renews_on"] for event in events if event.get("renews_on") is not None]
    if not days or deal.get("close_date") is None:
        return 1
    closes = date.fromisoformat(str(deal["close_date"]))
    return min(range(len(days)), key=lambda n: (abs((closes - days[n]).days), n)) + 1


def judge_past(
    pack: Pack,
    features: Mapping[str, Feature],
    context: Context,
    account: Row,
    results: Mapping[str, Any],
    given: Mapping[str, Any],
    model: str,
) -> Outcome:
    """Return what a model would have said of an account on a past day: its score alone, from features known then."""
    found = Outcome()
    one = _Judge(pack, features, context, account, {}, given, results, FIRST_DAY, model)
    if pack.score:
        judge_score(pack.score, features, context, one.i, FIRST_DAY, found, model)
    return found


class _Judge:
    def __init__(
        self,
        pack: Pack,
        features: Mapping[str, Feature],
        context: Context,
        account: Row,
        rows: Mapping[str, Iterable[Row]],
        given: Mapping[str, Any],
        results: Mapping[str, Any],
        memory: Memory,
        model: str | None,
        event: int = 1,
    ) -> None:
        self.event = event
        self.memory = memory
        self.model = model
        self.pack = pack
        self.all = features
        self.c = context
        self.account = account
        self.rows = with_borrowed(rows)
        self.known: dict[str, Any] = dict(given)
        self.stated = frozenset(given)
        self.results = results
        self.own: dict[str, Any] = {}
        self.i = Interpreter(context.today, self.ref, currency=self.currency, sure=self.is_sure)

    def is_sure(self, e: Expr) -> bool:
        return all(self.sure_of(n) for n in e.names("feature"))

    def sure_of(self, name: str) -> bool:
        """Whether a feature was stated, or everything it rests on is fresh: only then is its absence known."""
        definition = self.all[name].definition if name in self.all else None
        if name in self.stated or not isinstance(definition, Expr):
            return name in self.stated or self.fresh(name)
        return all(self.sure_of(n) for n in definition.names("feature"))

    def fresh(self, name: str) -> bool:
        return all_known([name], self.all, self.c)

    def currency(self, e: Expr) -> str | None:
        self.feature(e.value)
        return str(self.known.get(f"currency.{e.value}", self.c.currency))

    def ref(self, e: Expr) -> Any:
        if e.op == "account":
            return account_reader(self.account, self.c)(e)
        if e.op == "result":
            pack, _, output = str(e.value).partition(".")
            return self.own.get(output) if pack == self.pack.name else self.results.get(e.value)
        return self.known.get(f"percentile.{e.value}") if e.op == "percentile" else self.feature(e.value)

    def feature(self, name: str) -> Any:
        if name in self.known:
            return self.known[name]
        value: Any = None
        if name in self.all:
            definition = self.all[name].definition
            if isinstance(definition, Aggregate):
                value, money = aggregate(definition, self.rows, self.c, self.event)
                self.known[f"currency.{name}"] = money or self.c.currency
            elif isinstance(definition, Expr):
                value = self.i.value(definition)
                if definition.type == "money":
                    self.known[f"currency.{name}"] = self.i.currency_of(definition) or self.c.currency
        elif name in PRESENT and self.fresh(name):
            value = False
        self.known[name] = value
        return value

    def outcome(self) -> Outcome:
        pack, found = self.pack, Outcome(event=self.event)
        direct = used_names(pack)
        names = (*used_features(pack, self.all), *(n for n in FACTS if n in direct))
        found.features = {n: self.feature(n) for n in names}
        if pack.score:
            self.own = judge_score(pack.score, self.all, self.c, self.i, self.memory, found, self.model)
        for result in pack.results:
            value = self.i.lines(result.rule) if isinstance(result.rule, Lines) else self.i.value(result.rule)
            if result.summed and result.type == "money":
                first = result.rule.lines[0][0] if isinstance(result.rule, Lines) else result.rule
                found.currencies[result.name] = self.i.currency_of(first) or self.c.currency
            value = nearest(value) if result.type == "money" and value is not None else value
            found.results[result.name] = self.own[result.name] = value
        for signal in pack.signals:
            found.signals[signal.name] = self.i.value(signal.when)
            if signal.severity is not None:
                found.severity[signal.name] = self.i.value(signal.severity)
        for task in pack.tasks:
            mine = self.event == 1 or task.once_per in OF_EVENT
            found.tasks[task.name] = self.i.value(task.when) if mine else None
            found.done[task.name] = self.i.value(task.done_when) if task.done_when else None
            found.due[task.name] = self.i.value(task.due)
            found.priority[task.name] = self.i.lines(task.priority)
            found.copy[task.name] = self.i.lines(task.copy) if task.copy is not None else None
        return found


# --- rows -------------------------------------------------------------------------------------------------------------


def stored_value(kind: str, raw: Any, context: Context) -> Any:
    """Return a stored value as rules see it: dates as date, instants as local date, bool as bool."""
    if raw is None:
        return None
    if kind == "instant":
        return _local_day(str(raw), context)
    if kind == "date":
        return date.fromisoformat(str(raw))
    return bool(raw) if kind == "bool" else raw


def _local_day(instant: str, context: Context) -> date:
    """The day of the business time zone; a day without a time, as tests and simulations give it, is that day."""
    if "T" not in instant:
        return date.fromisoformat(instant)
    minutes = next(m for start, m in offsets(context.zone, context.as_of.year + 1) if instant >= start)
    at = datetime.fromisoformat(instant.replace("Z", "+00:00")).astimezone(UTC)
    return (at + timedelta(minutes=minutes)).date()


_ACCOUNT = {c.name: c.type for c in TABLE["account"].columns}


def account_reader(account: Row, context: Context) -> Callable[[Expr], Any]:
    """Return how a reference to a column of account is looked up."""
    return lambda e: stored_value(_ACCOUNT.get(e.value, "text"), account.get(e.value), context)


def with_borrowed(rows: Mapping[str, Iterable[Row]]) -> dict[str, list[Row]]:
    """Return the rows of each source with the columns that they borrow from others' rows."""
    listed = {source: list(found) for source, found in rows.items()}
    friendly = {table.entity: source for source, table in SOURCES.items()}
    by_key = {
        (SOURCES[source].entity, str(row.get("connection")), str(row.get("source_id"))): row
        for source, found in listed.items()
        for row in found
    }

    def borrowed(row: Row, of: Borrowed) -> Any:
        return by_key.get((of.entity, str(row.get("connection")), str(row.get(of.key))), {}).get(of.column)

    for source, found in listed.items():
        borrows = {n: of for n, of in SOURCES[source].borrows.items() if friendly[of.entity] in listed}
        if borrows:
            listed[source] = [{**row, **{n: borrowed(row, of) for n, of in borrows.items()}} for row in found]
    return listed


def aggregate(a: Aggregate, rows: Mapping[str, list[Row]], context: Context, event: int = 1) -> tuple[Any, str | None]:
    """Return an aggregate's value over one account's rows, and the currency of money. event: whose rows count, where it
    is about one renewal event."""
    table = SOURCES[a.source]
    if not all_ok(a, context):
        return None, None
    present = [r for r in rows.get(a.source, []) if not a.per_event or r.get("event", 1) == event]
    counted = [
        r for r in present if _in_time(a, r, context) and (a.where is None or _holds(a.where, r, a.source, context))
    ]
    if table.skip_incomplete:
        counted = [r for r in counted if _complete(r, context)]
    if a.newest_per is not None:
        counted = _newest(a.newest_per, counted, table.at)
        counted = [r for r in counted if a.of_which is None or _holds(a.of_which, r, a.source, context)]
    if table.never_seen and not present and a.function in ("count", "sum", "distinct", "absent"):
        return None, None
    if a.column is None:
        return (len(counted) if len(counted) >= a.at_least else None), None
    column = row_column(a.source, a.column.value)
    assert column is not None  # noqa: S101 - the reader found it
    kind = column_type(column)
    values = [(r, v) for r in counted if (v := stored_value(column.type, r.get(column.name), context)) is not None]
    if len(values) < a.at_least:
        return None, None
    currencies = {str(r.get("currency") or context.currency) for r, _ in values} if kind == "money" else set()
    if len(currencies) > 1:
        return None, None
    return _fold(a, kind or "text", values, bool(counted), table.at), next(iter(currencies), None)


def _newest(column: str, rows: list[Row], at: str) -> list[Row]:
    """Those rows with a time that are the newest of their value of a column; rows without a value all stay."""
    dated = sorted((r for r in rows if r.get(at) is not None), key=lambda r: str(r.get("source_id", "")), reverse=True)
    best = {(r.get("connection"), r[column]): r for r in sorted(dated, key=lambda r: str(r[at])) if r.get(column)
            is not None}  # fmt: skip
    return [r for r in dated if r.get(column) is None] + list(best.values())


def _complete(row: Row, context: Context) -> bool:
    if row.get("is_complete") is not None and not row["is_complete"]:
        return False
    gaps = context.gaps.get((str(row.get("connection")), str(row.get("metric"))), ())
    return str(row.get("period_start")) not in {day.isoformat() for day in gaps}


def _fold(a: Aggregate, kind: str, values: list[tuple[Row, Any]], any_row: bool, at: str) -> Any:
    if isinstance(a, Membership):
        return members_of(a, (v for _, v in values))
    if a.function == "sum" and not any_row:
        return 0
    if a.function == "distinct":
        return len({v for _, v in values})
    if not values:
        return None
    if a.function in ("min", "max"):
        end = min if a.function == "min" else max
        if kind == "date" and a.column is not None:  # the day of the first or last instant
            name = str(a.column.value)
            return end(values, key=lambda pair: str(pair[0][name]))[1]
        return end(v for _, v in values)
    if a.function == "most_common":
        times = Counter(v for _, v in values)
        return LISTED.join(sorted(times, key=lambda v: (-times[v], v))[: a.most])
    if a.function == "last":
        dated = [(r, v) for r, v in values if r.get(at) is not None]
        order = sorted(dated, key=lambda p: (str(p[0].get("connection", "")), str(p[0].get("source_id", ""))))
        newest = [v for _, v in sorted(order, key=lambda p: str(p[0][at]), reverse=True)[: a.most]]
        return (LISTED.join(newest) if a.most > 1 else newest[0]) if newest else None
    if a.function == "median":
        ordered = sorted(float(v) for _, v in values)
        return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2.0
    scale = 1000 if kind == "number" else 1
    total = float(sum(nearest(v * scale) if scale == 1000 else v for _, v in values))
    if a.function == "avg":
        return total / float(scale) / len(values)
    return total / 1000.0 if scale == 1000 else int(total)


def _in_time(a: Aggregate, row: Row, context: Context) -> bool:
    table = SOURCES[a.source]
    days, newest = window(a, context.today), latest(a, context)
    if days is None and newest is None:
        return True
    at = row.get(table.at)
    if at is None:
        return False
    column = row_column(a.source, table.at)
    if column is not None and column.type == "instant":
        low, high = instant_bounds(days, context) if days else ("", "~")
        return low <= str(at) < high and (newest is None or str(at) <= newest[0])
    day = date.fromisoformat(str(at))
    return (days is None or days[0] <= day <= days[1]) and (newest is None or day <= newest[1])


def _holds(where: Expr, row: Row, source: str, context: Context) -> bool:
    def ref(e: Expr) -> Any:
        column = row_column(source, e.value)
        return stored_value(column.type if column else "text", row.get(e.value), context)

    return bool(Interpreter(context.today, ref).value(where))
