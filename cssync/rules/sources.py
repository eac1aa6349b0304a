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
from cssync.rules.rows import complete, live
from cssync.rules.tree import Aggregate, Expr, Feature


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
    """Aggregates of one source over alias `t` of its table."""

    def __init__(self, source: str, features: Iterable[Feature], context: Context, dialect: Dialect) -> None:
        self.source = source
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
        return f"of_{self.source}"

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
        if aggregate.function not in ("sum", "avg"):
            return raw
        return self.d.real(self.d.nearest(f"{raw} * 1000") if aggregate.column.type == "number" else raw)

    def columns(self, feature: Feature) -> list[str]:
        """Columns of the pass for one feature: `v_` its value, `n_` the values behind it, `u_` the rows, `c_` the
        currency."""
        aggregate = definition(feature)
        name, condition, value = feature.name, self.condition(feature), self.value(aggregate)
        counted = f"CASE WHEN {condition} THEN {value} END" if condition else value
        if aggregate.function == "last":
            condition = f"t.place_{name} = 1"
        elif aggregate.function == "median":
            condition = f"2 * t.place_{name} BETWEEN t.many_{name} AND t.many_{name} + 2"
        picked = f"CASE WHEN {condition} THEN {value} END" if condition else value
        found = [f"count({counted}) AS n_{name}"]
        if aggregate.function == "sum":
            total = f"sum({picked})"
            found.append(f"{total} AS v_{name}")
            found.append(
                f"count(CASE WHEN {condition} THEN 1 END) AS u_{name}" if condition else f"count(*) AS u_{name}"
            )
        elif aggregate.function == "avg":
            scale = "1000.0" if aggregate.column and aggregate.column.type == "number" else "1.0"
            found.append(f"sum({picked}) / {scale} / count({picked}) AS v_{name}")
        elif aggregate.function == "median":
            ends = (self.d.real(f"{end}({picked})") for end in ("min", "max"))
            found.append(f"({' + '.join(ends)}) / 2.0 AS v_{name}")
        elif aggregate.function == "distinct":
            found.append(f"count(DISTINCT {picked}) AS v_{name}")
        elif aggregate.function != "count":
            found.append(f"{'max' if aggregate.function == 'last' else aggregate.function}({picked}) AS v_{name}")
        if feature.type == "money":
            money = (
                f"coalesce(t.currency, {self.d.text(self.c.currency)})"
                if self.has_currency
                else self.d.text(self.c.currency)
            )
            present = f"CASE WHEN {condition or '1 = 1'} AND {value} IS NOT NULL THEN {money} END"
            found.append(f"min({present}) AS c_{name}")
            found.append(f"max({present}) AS d_{name}")
        return found

    def places(self, feature: Feature) -> list[str]:
        """Columns that say where a row stands among those that count for a feature: newest first for `last` and
        `newest_per` (the key breaks ties), by value for `median`. Empty for all others."""
        aggregate, at = definition(feature), f"t.{self.d.quoted(self.table.at)}"
        counts = f"({self.filter(aggregate) or '1 = 1'})"
        if aggregate.function == "median":
            counts += f" AND {self.value(aggregate)} IS NOT NULL"
            side = f"PARTITION BY t.account_uid, CASE WHEN {counts} THEN 1 ELSE 0 END"
            place = f"row_number() OVER ({side} ORDER BY {self.value(aggregate)}, t.connection, t.source_id)"
            return [
                f"CASE WHEN {counts} THEN {place} END AS place_{feature.name}",
                f"CASE WHEN {counts} THEN count(*) OVER ({side}) END AS many_{feature.name}",
            ]
        counts += f" AND {at} IS NOT NULL"
        if aggregate.function == "last":
            counts += f" AND {self.value(aggregate)} IS NOT NULL"
            order = f"ORDER BY {at} DESC, t.connection, t.source_id"
            side = f"PARTITION BY t.account_uid, CASE WHEN {counts} THEN 1 ELSE 0 END {order}"
            return [f"CASE WHEN {counts} THEN row_number() OVER ({side}) END AS place_{feature.name}"]
        if aggregate.newest_per is None:
            return []
        of = f"t.{self.d.quoted(aggregate.newest_per)}"
        side = f"PARTITION BY t.account_uid, t.connection, {of}, CASE WHEN {counts} THEN 1 ELSE 0 END"
        place = f"CASE WHEN {of} IS NULL THEN 1 ELSE row_number() OVER ({side} ORDER BY {at} DESC, t.source_id) END"
        return [f"CASE WHEN {counts} THEN {place} END AS place_{feature.name}"]

    def table_with_borrowed(self) -> str:
        """The table under alias `t`, with the columns that some feature borrows."""
        table = self.d.quoted(self.entity.name)
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

    def sql(self) -> str:
        """The SELECT of the pass, one row per account."""
        where = live("t", self.c, self.d)
        if self.table.skip_incomplete:
            where += f" AND {complete('t', self.c, self.d)}"
        windows = [window(definition(f), self.c.today) for f in self.features]
        if windows and all(windows):
            oldest = min(w[0] for w in windows if w)
            bound = instant_bounds((oldest, oldest), self.c)[0] if self.at_type() == "instant" else oldest.isoformat()
            where += f" AND t.{self.d.quoted(self.table.at)} >= {self.d.text(bound)}"
        table = f"{self.table_with_borrowed()} WHERE {where}"
        if places := [c for f in self.features for c in self.places(f)]:
            table = f"(SELECT t.*, {', '.join(places)} FROM {table}) t"
        columns = [c for f in self.features for c in self.columns(f)]
        return f"SELECT t.account_uid, {', '.join(columns)} FROM {table} GROUP BY t.account_uid"

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
            value = v
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
