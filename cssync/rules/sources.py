"""One aggregate pass per source: the `features:` that look at its rows, as one common table expression."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from cssync.model import ENTITY
from cssync.rules.calendar import offsets, start_of_day
from cssync.rules.catalogue import SOURCES, row_column
from cssync.rules.dialect import Dialect
from cssync.rules.emitter import Emitter
from cssync.rules.freshness import Context
from cssync.rules.rows import accounts, complete, live
from cssync.rules.tree import Aggregate, Expr, Feature
from cssync.rules.volume import ENTITY as USAGE

BY_EVENT = "_by_event"
"""Ends the names of passes with a row for each renewal event."""
LISTED = ", "
"""Between the values that `most` lists, in any language: they are ids and names, not words."""


def window(aggregate: Aggregate, today: date) -> tuple[date, date] | None:
    """Return the first and last day of an aggregate's window; None without one."""
    if aggregate.within is None:
        return None
    last = today - timedelta(days=aggregate.ending)
    return last - timedelta(days=aggregate.within - 1), last


def instant_bounds(days: tuple[date, date], context: Context) -> tuple[str, str]:
    """Return a window as texts that stored instants compare with: from the first, before the second.

    Without the final Z, so that fractions of a second of the bound itself fall on its right side.
    """
    first, last = days
    bounds = (start_of_day(day, context.zone) for day in (first, last + timedelta(days=1)))
    low, high = (b.strftime("%Y-%m-%dT%H:%M:%S") for b in bounds)
    return low, high


def latest(aggregate: Aggregate, context: Context) -> tuple[str, date] | None:
    """Return the newest instant (text) and day that `older_than` still lets in; None without one."""
    if aggregate.older_hours is None:
        return None
    at = context.as_of - timedelta(hours=aggregate.older_hours, seconds=1)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ"), context.today - timedelta(days=-(-aggregate.older_hours // 24))


class SourcePass:
    """Aggregates of one source over alias `t` of its table. per_event: one row for each renewal event (`event`), over
    the rows that `event_deal` says are its own."""

    def __init__(
        self, source: str, features: Iterable[Feature], context: Context, dialect: Dialect, per_event: bool = False
    ) -> None:
        self.source = source
        self.of = "t.account_uid, t.event" if per_event else "t.account_uid"
        self.per_event = per_event
        self.table = SOURCES[source]
        self.entity = ENTITY[self.table.entity]
        self.features = tuple(features)
        self.c = context
        self.d = dialect
        self.spans = offsets(context.zone, context.as_of.year + 1)
        self.emitter = Emitter(dialect, context.today, self.ref, currency=lambda _: "t.currency")
        self.has_currency = self.entity.column("currency") is not None

    @property
    def name(self) -> str:
        """Name of the common table expression."""
        return f"of_{self.source}{BY_EVENT if self.per_event else ''}"

    def ref(self, e: Expr) -> str:
        column = row_column(self.source, e.value)
        raw = f"t.{self.d.quoted(e.value)}"
        return self.d.local_day(raw, self.spans) if column and column.type == "instant" else raw

    def at_type(self) -> str:
        column = row_column(self.source, self.table.at)
        return column.type if column else "date"

    def condition(self, feature: Feature) -> str:
        """SQL condition that a row counts for a feature; "" when every row does."""
        aggregate = definition(feature)
        if aggregate.newest_per is None:
            return self.filter(aggregate)
        rest = f" AND {self.emitter.sql(aggregate.of_which)}" if aggregate.of_which is not None else ""
        return f"t.place_{feature.name} = 1{rest}"

    def filter(self, aggregate: Aggregate) -> str:
        """SQL condition on a row alone: window and `where`."""
        parts: list[str] = []
        at, instant = f"t.{self.d.quoted(self.table.at)}", self.at_type() == "instant"
        if days := window(aggregate, self.c.today):
            if instant:
                low, high = instant_bounds(days, self.c)
                parts.append(f"{at} >= {self.d.text(low)} AND {at} < {self.d.text(high)}")
            else:
                parts.append(f"{at} BETWEEN {self.d.day(days[0])} AND {self.d.day(days[1])}")
        if newest := latest(aggregate, self.c):
            parts.append(f"{at} <= {self.d.text(newest[0]) if instant else self.d.day(newest[1])}")
        if aggregate.where is not None:
            parts.append(self.emitter.sql(aggregate.where))
        return " AND ".join(parts)

    def value(self, aggregate: Aggregate) -> str:
        """SQL of the aggregated column: doubles that hold whole numbers for sums, so that order cannot matter."""
        if aggregate.column is None:
            return "1"
        raw = self.ref(aggregate.column)
        if self.of_instants(aggregate):
            return f"t.{self.d.quoted(aggregate.column.value)}"
        if aggregate.function not in ("sum", "avg"):
            return raw
        return self.d.real(self.d.nearest(f"{raw} * 1000") if aggregate.column.type == "number" else raw)

    def of_instants(self, aggregate: Aggregate) -> bool:
        """Whether the first or last of some instants is asked for: that one is turned into a day, and not each."""
        if aggregate.function not in ("min", "max") or aggregate.column is None:
            return False
        column = row_column(self.source, aggregate.column.value)
        return column is not None and column.type == "instant"

    def columns(self, feature: Feature) -> dict[str, tuple[str, str]]:
        """Columns of the pass that `result` and `currency` read, with their aggregate and the condition on its rows.

        `n_` the values behind a feature, `u_` the rows, `v_` its value, `c_` and `d_` its currency. Each function in an
        aggregate is followed by `{}`, where an engine says which rows it is of.
        """
        aggregate = definition(feature)
        name, function, condition, value = (
            feature.name,
            aggregate.function,
            self.condition(feature),
            self.value(aggregate),
        )
        found = {}
        if function == "count" or aggregate.at_least:
            found[f"n_{name}"] = f"count({value}){{}}" if aggregate.column else "count(*){}", condition
        if function == "last":
            condition = f"t.place_{name} = 1"
        elif function == "median":
            condition = f"2 * t.place_{name} BETWEEN t.many_{name} AND t.many_{name} + 2"
        if function == "sum":
            found[f"v_{name}"] = f"sum({value}){{}}", condition
            found[f"u_{name}"] = "count(*){}", condition
        elif function == "avg":
            scale = "1000.0" if aggregate.column and aggregate.column.type == "number" else "1.0"
            found[f"v_{name}"] = f"sum({value}){{}} / {scale} / count({value}){{}}", condition
        elif function == "median":
            ends = (self.d.real(f"{end}({value}){{}}") for end in ("min", "max"))
            found[f"v_{name}"] = f"({' + '.join(ends)}) / 2.0", condition
        elif function == "distinct":
            found[f"v_{name}"] = f"count(DISTINCT {value}){{}}", condition
        elif function != "count":
            found[f"v_{name}"] = f"{'max' if function == 'last' else function}({value}){{}}", condition
        if feature.type == "money":
            default = self.d.text(self.c.currency)
            money = f"coalesce(t.currency, {default})" if self.has_currency else default
            present = f"{value} IS NOT NULL" if not condition else f"{condition} AND {value} IS NOT NULL"
            found[f"c_{name}"] = f"min({money}){{}}", present
            found[f"d_{name}"] = f"max({money}){{}}", present
        return found

    def places(self, feature: Feature) -> list[str]:
        """Columns that say where a row stands among those that count for a feature: newest first for `last` and
        `newest_per` (the key breaks ties), by value for `median`. Empty for all others."""
        aggregate, at = definition(feature), f"t.{self.d.quoted(self.table.at)}"
        counts = f"({self.filter(aggregate) or '1 = 1'})"
        if aggregate.function == "median":
            counts += f" AND {self.value(aggregate)} IS NOT NULL"
            side = f"PARTITION BY {self.of}, CASE WHEN {counts} THEN 1 ELSE 0 END"
            place = f"row_number() OVER ({side} ORDER BY {self.value(aggregate)}, t.connection, t.source_id)"
            return [
                f"CASE WHEN {counts} THEN {place} END AS place_{feature.name}",
                f"CASE WHEN {counts} THEN count(*) OVER ({side}) END AS many_{feature.name}",
            ]
        counts += f" AND {at} IS NOT NULL"
        if aggregate.function == "last":
            counts += f" AND {self.value(aggregate)} IS NOT NULL"
            order = f"ORDER BY {at} DESC, t.connection, t.source_id"
            side = f"PARTITION BY {self.of}, CASE WHEN {counts} THEN 1 ELSE 0 END {order}"
            return [f"CASE WHEN {counts} THEN row_number() OVER ({side}) END AS place_{feature.name}"]
        if aggregate.newest_per is None:
            return []
        of = f"t.{self.d.quoted(aggregate.newest_per)}"
        side = f"PARTITION BY {self.of}, t.connection, {of}, CASE WHEN {counts} THEN 1 ELSE 0 END"
        place = f"CASE WHEN {of} IS NULL THEN 1 ELSE row_number() OVER ({side} ORDER BY {at} DESC, t.source_id) END"
        return [f"CASE WHEN {counts} THEN {place} END AS place_{feature.name}"]

    def table_with_borrowed(self) -> str:
        """The table under alias `t`, with the columns that some feature borrows, and with the event of each row."""
        table = self.d.quoted(self.entity.name)
        if self.per_event:
            return (
                f"(SELECT t.*, coalesce(d.event, 1) AS event FROM {table} t LEFT JOIN event_deal d "
                "ON d.connection = t.connection AND d.source_id = t.source_id) t"
            )
        used = {n for f in self.features for n in definition(f).columns} | {self.table.at}
        borrowed = {n: of for n, of in self.table.borrows.items() if n in used}
        if not borrowed:
            return f"{table} t"
        joins = {(of.entity, of.key): f"j{n}" for n, of in enumerate(borrowed.values())}
        quoted = self.d.quoted
        columns = (f"{joins[of.entity, of.key]}.{quoted(of.column)} AS {quoted(n)}" for n, of in borrowed.items())
        parts = (
            f"LEFT JOIN {quoted(entity)} {j} ON {j}.connection = t.connection AND {j}.source_id = t.{quoted(key)} "
            f"AND {j}.deleted_at IS NULL AND {j}.account_uid = t.account_uid"
            for (entity, key), j in joins.items()
        )
        return f"(SELECT t.*, {', '.join(columns)} FROM {table} t {' '.join(parts)}) t"

    def rows(self) -> str:
        """SQL condition that a row says something, whatever the feature."""
        where = live("t", self.c, self.d)
        return f"{where} AND {complete('t', self.c, self.d)}" if self.table.skip_incomplete else where

    def sql(self) -> str:
        """The SELECT of the pass, one row per account.

        Where an index leads to an account's days of a metric, each feature of usage is looked up by itself.
        """
        where = self.rows()
        places = [c for f in self.features for c in self.places(f)]
        columns = {name: found for f in self.features for name, found in self.columns(f).items()}
        if self.d.seeks and self.entity.name == USAGE and not places:
            rows = f"{self.table_with_borrowed()} WHERE t.account_uid = a.uid AND {where}"
            listed = (
                f"(SELECT {of.replace('{}', '')} FROM {rows}{f' AND {condition}' if condition else ''}) AS {name}"
                for name, (of, condition) in columns.items()
            )
            return f"SELECT a.uid AS account_uid, {', '.join(listed)} FROM account a{accounts('a', self.c, self.d)}"
        windows = [window(definition(f), self.c.today) for f in self.features]
        if windows and all(windows):
            oldest = min(w[0] for w in windows if w)
            bound = instant_bounds((oldest, oldest), self.c)[0] if self.at_type() == "instant" else oldest.isoformat()
            where += f" AND t.{self.d.quoted(self.table.at)} >= {self.d.text(bound)}"
        table = f"{self.table_with_borrowed()} WHERE {where}"
        if places:
            table = f"(SELECT t.*, {', '.join(places)} FROM {table}) t"
        counted = (
            f"{of.replace('{}', f' FILTER (WHERE {condition})' if condition else '')} AS {name}"
            for name, (of, condition) in columns.items()
        )
        return f"SELECT {self.of}, {', '.join(counted)} FROM {table} GROUP BY {self.of}"

    def result(self, feature: Feature) -> str:
        """SQL of a feature's value in the base, over alias `of_<source>` and account `a`."""
        aggregate = definition(feature)
        name, at_least = feature.name, aggregate.at_least
        n, v, u = (f"{self.name}.{letter}_{name}" for letter in "nvu")
        if aggregate.function in ("count", "distinct"):
            value = f"coalesce({n if aggregate.function == 'count' else v}, 0)"
        elif aggregate.function == "sum":
            total = f"{v} / 1000.0" if feature.type == "number" else self.d.whole(v)
            value = f"CASE WHEN coalesce({u}, 0) = 0 THEN 0 ELSE {total} END"
            if feature.type == "number":
                value = f"CASE WHEN coalesce({u}, 0) = 0 THEN 0.0 ELSE {total} END"
        else:
            value = self.d.local_day(v, self.spans) if self.of_instants(aggregate) else v
        conditions = [f"{n} >= {at_least}"] if at_least else []
        if feature.type == "money":
            conditions.append(f"({self.name}.c_{name} IS NULL OR {self.name}.c_{name} = {self.name}.d_{name})")
        if self.table.never_seen and aggregate.function in ("count", "sum", "distinct"):
            alive = live("e", self.c, self.d).replace("e.account_uid IS NOT NULL", "e.account_uid = a.uid")
            conditions.append(f"EXISTS (SELECT 1 FROM {self.d.quoted(self.entity.name)} e WHERE {alive})")
        return f"CASE WHEN {' AND '.join(conditions)} THEN {value} END" if conditions else value

    def currency(self, feature: Feature) -> str:
        """SQL of a money feature's currency."""
        return f"coalesce({self.name}.c_{feature.name}, {self.d.text(self.c.currency)})"


def definition(feature: Feature) -> Aggregate:
    """Return the aggregate behind a feature that is one."""
    found = feature.definition
    assert isinstance(found, Aggregate)  # noqa: S101 - the compiler groups aggregates only
    return found
