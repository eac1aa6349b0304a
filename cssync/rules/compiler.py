"""A checked pack -> one SELECT: a row per account with features, measures, score, results, signals and tasks.

Columns: `uid`; `a_<column>` of account; `f_<feature>` and `c_<feature>` (currency of money); `r_<pack>_<output>` of
other packs; `model`, `m_<measure>` 0..100, `x_<measure>` 1 where it applies, `q_<measure>` 1 where it is held;
`covered`, `applicable`, `raw_score`, `score`, `coverage`, `computed_band`, `band`, `k_<n>` the caps; `h_*` what was
remembered of the score before today, `n_*` what is to be remembered after it; `o_<result>` and `oc_<result>`; `s_<n>`
the signals, `s_<n>_severity` how grave they are; `t_<n>`, `t_<n>_done`, `t_<n>_due`, `t_<n>_priority`, `t_<n>_copy` the
tasks; `tier_override`, `tier_since` of a pack with tiers. Conditions are 1, 0 or NULL for unknown.

A pack for each renewal event has a row per account and event: `event` counts them, 1 is the next one and always there.
`f_` of what an event has of its own, `o_` and `t_` are of the row's event; `ot_<result>` and `otc_<result>` are the sum
over all of the account's events, the same in each of its rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from cssync.rules import winsorise
from cssync.rules.catalogue import FACTS, OUTPUTS, SOURCES
from cssync.rules.chain import behind, chained, of_group
from cssync.rules.dialect import SQLITE, Dialect
from cssync.rules.emitter import Emitter
from cssync.rules.event_facts import EVENT_ARR, EVENT_ENDS, EVENT_FACTS, IDENTIFYING, event_deals, event_ends
from cssync.rules.facts import GROUPS, LINKS, PRESENT
from cssync.rules.freshness import Context, instant
from cssync.rules.grounds import all_known, all_ok, is_cap_held, is_held, is_known
from cssync.rules.listing import is_listed, list_of, listed_value, listing
from cssync.rules.memory import REMEMBERED
from cssync.rules.result_sql import past_rows, read_json
from cssync.rules.score_sql import ScoreSql
from cssync.rules.sources import SourcePass
from cssync.rules.tree import (
    OF_EVENT,
    Aggregate,
    Expr,
    Feature,
    Lines,
    Pack,
    Past,
    Place,
    Type,
    closure,
    used_features,
    used_names,
)

ALWAYS = ("name", "locale", "owner_uid", "csm_uid")
"""Columns of account that every statement carries, for texts and task owners."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One SELECT of a day and what its feature columns are: name -> type, declared features first, then facts.
    held: measures that keep their last value on that day. held_caps: numbers of the caps that may stay as they were."""

    sql: str
    features: Mapping[str, Type]
    accounts: tuple[str, ...]
    today: date
    held: tuple[str, ...]
    held_caps: tuple[int, ...] = ()


def results_behind(exprs: Iterable[Expr], features: Mapping[str, Feature]) -> set[str]:
    """Results `<pack>.<output>` that expressions and the features in them read."""
    found = [*exprs]
    names = closure({n for e in found for n in e.names("feature")}, features)
    found += [d for n in names if n in features and isinstance(d := features[n].definition, Expr)]
    return {name for e in found for name in e.names("result")}


def compile_pack(
    pack: Pack,
    features: Mapping[str, Feature],
    context: Context,
    dialect: Dialect = SQLITE,
    *,
    also: tuple[str, ...] = (),
    shared: Collection[str] = (),
    stated: Mapping[str, Any] | None = None,
) -> Statement:
    """Return the pack's statement for a day. Same arguments, same bytes.

    also: further facts to carry. shared: names of tables that stand ready: `fact_tables`, `source_passes`. stated:
    values of facts and features, in place of what the rows of the sources say; those that are not named have none.
    """
    return _Compiler(pack, features, context, dialect, also, shared, stated).statement()


def fact_tables(
    rules: Iterable[Pack], features: Mapping[str, Feature], context: Context, dialect: Dialect = SQLITE
) -> dict[str, str]:
    """Return name -> SELECT of the tables of facts that these packs use and that `context` knows, in order: each reads
    those before it.

    An evaluation runs each once, instead of once per pack.
    """
    listed = list(rules)
    used = {n for p in listed for n in (*closure(used_names(p), features), *IDENTIFYING)}
    found: dict[str, str] = {}

    def add(name: str, ctes: Mapping[str, str]) -> None:
        if name not in found:
            found[name] = f"{dialect.chain} {chained(behind(name, ctes, found), dialect)} SELECT * FROM {name}"

    for group in GROUPS:
        if any(is_known(n, context) for n in used if n in FACTS and FACTS[n].group == group):
            ctes = of_group(group, context, dialect)
            each = ("fact_event_lines",) if group == "lines" and any(p.each_event for p in listed) else ()
            for name in (*(n for n in LINKS if n in ctes), f"fact_{group}", *each):
                add(name, ctes)
            if group == "terms" and any(_per_event(f) for f in features.values()):
                add("event_deal", {**ctes, **event_deals(context, dialect)})
            if group == "ends" and any(p.each_event for p in listed):
                add("fact_event_ends", {**of_group("terms", context, dialect), **event_ends(context, dialect)})
    return found


def _per_event(feature: Feature) -> bool:
    return isinstance(feature.definition, Aggregate) and feature.definition.per_event


def source_passes(
    rules: Iterable[Pack], features: Mapping[str, Feature], contexts: Mapping[str, Context], dialect: Dialect = SQLITE
) -> dict[str, str]:
    """Return name -> SELECT of the passes over sources, each for all the features that some pack finds fresh.

    An evaluation runs each once, instead of once per pack.
    """
    wanted: dict[tuple[str, bool], dict[str, Feature]] = {}
    context: Context | None = None
    for pack in rules:
        context = contexts[pack.name]
        for name in used_features(pack, features):
            definition = features[name].definition
            if isinstance(definition, Aggregate) and all_ok(definition, context):
                wanted.setdefault((definition.source, definition.per_event), {})[name] = features[name]
    listed = {
        name: features[name] for found in wanted.values() for name in found if is_listed(_aggregate(features[name]))
    }
    wanted = {key: {n: f for n, f in found.items() if n not in listed} for key, found in wanted.items()}
    passes = (SourcePass(source, wanted[source, per].values(), context, dialect, per) for source in SOURCES
              for per in (False, True) if context is not None and wanted.get((source, per)))  # fmt: skip
    return {
        **{one.name: one.sql() for one in passes},
        **{list_of(f): listing(f, context, dialect) for f in listed.values() if context is not None},
    }


def _aggregate(feature: Feature) -> Aggregate:
    assert isinstance(feature.definition, Aggregate)  # noqa: S101 - passes are of aggregates
    return feature.definition


def result_column(pack: Pack, name: str) -> str:
    """Return the column of a pack's statement that holds a named result, its own or another pack's."""
    of, _, output = name.partition(".")
    if of != pack.name:
        return f"r_{of}_{output}"
    return output if output in OUTPUTS and pack.score else f"o_{output}"


class _Compiler:
    def __init__(
        self,
        pack: Pack,
        features: Mapping[str, Feature],
        context: Context,
        dialect: Dialect,
        also: tuple[str, ...],
        shared: Collection[str],
        stated: Mapping[str, Any] | None = None,
    ) -> None:
        self.shared = frozenset(shared)
        self.stated = stated
        self.pack = pack
        self.all = features
        self.c = context
        self.d = dialect
        self.names = used_features(pack, features)
        wanted = {*used_names(pack), *also}
        if pack.each_event or any(t.once_per in OF_EVENT for t in pack.tasks):
            wanted.update(IDENTIFYING)
        wanted = closure(wanted, features)
        self.facts = tuple(n for n in FACTS if n in wanted)
        measures = pack.score.measures if pack.score else ()
        self.held = tuple(m.name for m in measures if is_held(m, features, context))
        caps = pack.score.caps if pack.score else ()
        self.held_caps = tuple(n for n, cap in enumerate(caps) if is_cap_held(cap, features, context))
        self.ctes: dict[str, str] = {}
        self.emitter = Emitter(dialect, context.today, self.ref, currency=lambda e: f"c_{e.value}", sure=self.is_sure)
        self.accounts = tuple(sorted({*ALWAYS, *self.account_columns()}))

    # --- references ---

    def ref(self, e: Expr) -> str:
        if e.op == "result":
            return result_column(self.pack, e.value)
        if e.op == "percentile":
            return winsorise.column(e)
        return f"{'a' if e.op == 'account' else 'f'}_{e.value}"

    def is_sure(self, e: Expr) -> bool:
        return all_known(e.names("feature"), self.all, self.c)

    def account_columns(self) -> set[str]:
        found = {name for e in self.exprs() for name in e.names("account")}
        if self.pack.score and (override := self.pack.score.override):
            found |= {override.band, override.reason, override.until}
        return found | {
            p.name for t in self.pack.texts for p in t.parts if isinstance(p, Place) and p.kind == "account"
        }

    def exprs(self) -> Iterable[Expr]:
        yield from self.pack.exprs
        for name in self.names:
            definition = self.all[name].definition
            if isinstance(definition, Expr):
                yield definition

    def named_results(self) -> dict[str, Type]:
        """Results that expressions and texts name, with their types."""
        found = {e.value: e.type for whole in self.exprs() for e in whole.walk() if e.op == "result"}
        places = (p for t in self.pack.texts for p in t.parts if isinstance(p, Place) and p.kind == "result")
        return dict(sorted({**{p.name: p.type for p in places}, **found}.items()))

    # --- the chain ---

    def statement(self) -> Statement:
        last = self.derived(self.base())
        if self.pack.score:
            last = ScoreSql(self.pack.score, self.emitter, self.d, self.held, self.held_caps, self.add).links(last)
        results, totals = list(self.results()), list(self.totals())
        if totals or any(
            r.partition(".")[0] == self.pack.name and r.partition(".")[2] not in OUTPUTS for r in self.named_results()
        ):
            last, results = self.add("resulted", last, results), []
        extra = [*results, *totals, *self.signals(), *self.tasks(), *self.tiers()]
        order = "b.uid, b.event" if self.pack.each_event else "b.uid"
        select = f"SELECT {', '.join(['b.*', *extra])} FROM {last} b ORDER BY {order}"
        types: dict[str, Type] = {n: self.all[n].type for n in self.names}
        types.update((n, FACTS[n].type) for n in self.facts)
        return Statement(
            f"{self.d.chain} {chained(self.ctes, self.d)}\n{select}",
            types,
            self.accounts,
            self.c.today,
            self.held,
            self.held_caps,
        )

    def base(self) -> str:
        columns = ["a.uid AS uid", *(f"a.{self.d.quoted(n)} AS a_{n}" for n in self.accounts)]
        joins: list[str] = []
        if self.pack.each_event:
            columns.insert(1, f"{self.event} AS event")
        self.add_facts(columns, joins)
        self.add_sources(columns, joins)
        self.add_past(columns, joins)
        named = self.named_results()
        for n, name in enumerate(r for r in named if r.partition(".")[0] != self.pack.name):
            pack, _, output = name.partition(".")
            value = f"r{n}.value"
            known = f"{value} <> 'null' AND r{n}.state <> 'stale'"
            columns.append(f"CASE WHEN {known} THEN {read_json(value, named[name], self.d)} END AS r_{pack}_{output}")
            joins.append(f"LEFT JOIN result r{n} ON r{n}.account_uid = a.uid AND r{n}.name = {self.d.text(name)}")
        if self.pack.score:
            self.add_memory(columns, joins)
        where = ["a.deleted_at IS NULL", "coalesce(a.is_test, 0) = 0"]
        if self.c.only is not None:
            where.append(f"a.uid = {self.d.text(self.c.only)}")
        if self.c.among:
            where.append(self.c.within("a.uid").removeprefix(" AND "))
        if self.pack.accounts is not None:
            of_account = Emitter(self.d, self.c.today, lambda e: f"a.{self.d.quoted(e.value)}")
            where.append(of_account.sql(self.pack.accounts))
        columns = [self.as_stated(c) for c in columns] if self.stated is not None else columns
        self.ctes["base"] = f"SELECT {', '.join(columns)} FROM account a {' '.join(joins)} WHERE {' AND '.join(where)}"
        return "base"

    def as_stated(self, column: str) -> str:
        """A column `... AS f_<name>` with the value that was stated; the past of results is what it was."""
        name = column.rpartition(" AS f_")[2]
        stated = self.stated or {}
        definition = self.all[name].definition if name in self.all else None
        if name not in stated and (isinstance(definition, Past) or not (name in FACTS or name in self.all)):
            return column
        kind = FACTS[name].type if name in FACTS else self.all[name].type
        value = stated.get(name)
        if value is None:
            return f"{self.d.null(kind)} AS f_{name}"
        if isinstance(value, bool):
            return f"{int(value)} AS f_{name}"
        if isinstance(value, date):
            return f"{self.d.day(value)} AS f_{name}"
        return f"{self.d.text(value) if isinstance(value, str) else self.d.number(value)} AS f_{name}"

    def add_facts(self, columns: list[str], joins: list[str]) -> None:
        for group in GROUPS:
            facts = [n for n in self.facts if FACTS[n].group == group]
            if not facts:
                continue
            ready = any(is_known(n, self.c) for n in facts)
            if ready:
                self.join(f"fact_{group}", of_group(group, self.c, self.d), "", joins)
            if ready and self.pack.each_event and group == "terms":
                self.join("fact_events", of_group(group, self.c, self.d), "", joins)
            by_event = ready and self.pack.each_event and EVENT_ARR in facts and is_known(EVENT_ARR, self.c)
            if by_event:
                event = f" AND fact_event_lines.event = {self.event}"
                self.join("fact_event_lines", of_group(group, self.c, self.d), event, joins)
            if ready and self.pack.each_event and group == "ends":
                event = f" AND fact_event_ends.event = {self.event}"
                ctes = {**of_group("terms", self.c, self.d), **event_ends(self.c, self.d)}
                self.join("fact_event_ends", ctes, event, joins)
            for name in facts:
                known = is_known(name, self.c)
                value = f"fact_{group}.{name}" if known else self.d.null(FACTS[name].type)
                if known and self.pack.each_event and name in EVENT_FACTS:
                    value = f"CASE WHEN fact_events.event IS NULL THEN {value} ELSE fact_events.{name} END"
                if known and self.pack.each_event and name in EVENT_ENDS:
                    none = "0" if name == EVENT_ENDS[0] else self.d.null("text")
                    value = f"CASE WHEN {value} IS NOT NULL THEN coalesce(fact_event_ends.{name}, {none}) END"
                money = f"fact_{group}.currency"
                if by_event and name == EVENT_ARR:
                    value, money = (
                        f"CASE WHEN {self.event} = 1 THEN {of} ELSE fact_event_lines.{n} END"
                        for n, of in ((name, value), ("currency", money))
                    )
                if known and name in PRESENT:
                    value = f"coalesce({value}, {PRESENT[name]})"
                columns.append(f"{value} AS f_{name}")
                if FACTS[name].type == "money":
                    default = self.d.text(self.c.currency)
                    columns.append(f"{f'coalesce({money}, {default})' if known else default} AS c_{name}")

    @property
    def event(self) -> str:
        """SQL of the number of a row's renewal event; 1 where there is none, or nobody knows."""
        ready = any(n in EVENT_FACTS and is_known(n, self.c) for n in self.facts)
        return "coalesce(fact_events.event, 1)" if self.pack.each_event and ready else "1"

    def join(self, name: str, ctes: Mapping[str, str], more: str, joins: list[str]) -> None:
        """Join a table to the accounts, with the expressions behind it where it does not stand ready."""
        if name not in self.shared:
            self.ctes.update(behind(name, ctes, self.shared))
        joins.append(f"LEFT JOIN {name} ON {name}.account_uid = a.uid{more}")

    def add_memory(self, columns: list[str], joins: list[str]) -> None:
        """What was remembered of the score at the end of the last evaluated day, and measures that are held."""
        today, pack = self.d.day(self.c.today), self.d.text(self.pack.name)
        columns.extend(f"h.{name} AS h_{name}" for name in REMEMBERED)
        joins.append(
            f"LEFT JOIN score_state h ON h.account_uid = a.uid AND h.pack = {pack} AND h.since < {today} "
            f"AND (h.until IS NULL OR h.until >= {today})"
        )
        if self.held:
            values = ", ".join(f"{self.d.json_integer('f.features', f'measure.{m}')} AS h_m_{m}" for m in self.held)
            self.ctes["held"] = (
                f"SELECT f.account_uid, {values} FROM feature_row f WHERE f.pack = {pack} AND f.as_of = "
                f"(SELECT max(g.as_of) FROM feature_row g WHERE g.account_uid = f.account_uid AND g.pack = {pack} "
                f"AND g.as_of < {self.d.text(instant(self.c.as_of))})"
            )
            joins.append("LEFT JOIN held ON held.account_uid = a.uid")
            columns.extend(f"held.h_m_{m} AS h_m_{m}" for m in self.held)

    def add_sources(self, columns: list[str], joins: list[str]) -> None:
        aggregates = [self.all[n] for n in self.names if isinstance(self.all[n].definition, Aggregate)]
        for source, per in ((s, per) for s in SOURCES for per in (False, True)):
            here = [f for f in aggregates if isinstance(a := f.definition, Aggregate)
                    and (a.source, a.per_event) == (source, per)]  # fmt: skip
            if not here:
                continue
            late = [f for f in here if isinstance(a := f.definition, Aggregate) and not all_ok(a, self.c)]
            columns.extend(f"{self.d.null(f.type)} AS f_{f.name}" for f in late)
            columns.extend(f"{self.d.text(self.c.currency)} AS c_{f.name}" for f in late if f.type == "money")
            listed = [f for f in here if f not in late and is_listed(_aggregate(f))]
            if per and "event_deal" not in self.shared and any(f not in late for f in here):
                ctes = {**of_group("terms", self.c, self.d), **event_deals(self.c, self.d)}
                self.ctes.update(behind("event_deal", ctes, self.shared))
            for f in listed:
                name, event = list_of(f), f" AND {list_of(f)}.event = {self.event}" if per else ""
                self.join(name, {name: listing(f, self.c, self.d)}, event, joins)
                columns.append(f"{listed_value(f, self.c, self.d)} AS f_{f.name}")
            here = [f for f in here if f not in late and f not in listed]
            if not here:
                continue
            one = SourcePass(source, here, self.c, self.d, per)
            self.join(one.name, {one.name: one.sql()}, f" AND {one.name}.event = {self.event}" if per else "", joins)
            columns.extend(f"{one.result(f)} AS f_{f.name}" for f in here)
            columns.extend(f"{one.currency(f)} AS c_{f.name}" for f in here if f.type == "money")

    def add_past(self, columns: list[str], joins: list[str]) -> None:
        """Former values of results, from those in force and those replaced."""
        for n, name in enumerate(self.names):
            past = self.all[name].definition
            if not isinstance(past, Past):
                continue
            link, kind = f"past_{n}", self.all[name].type
            self.ctes[link] = past_rows(past, self.c, self.d)
            value = f"{link}.value" if past.ago is not None else f"'\"' || {link}.value || '\"'"
            columns.append(f"{read_json(value, kind, self.d)} AS f_{name}")
            joins.append(f"LEFT JOIN {link} ON {link}.account_uid = a.uid")

    def derived(self, last: str) -> str:
        """Formulas, one common table expression per depth of dependency."""
        formulas = {n: d for n in self.names if isinstance(d := self.all[n].definition, Expr)}
        if percentiles := winsorise.asked(formulas, self.all):
            pack, whole = winsorise.portfolio(percentiles), replace(self.c, only=None, among="")
            everybody = _Compiler(pack, self.all, whole, self.d, (), self.shared, self.stated).statement()
            self.ctes.update(winsorise.links(percentiles, everybody.sql, self.d))
        done: set[str] = set()
        level = 0
        while len(done) < len(formulas):
            level += 1
            ready = [n for n, d in formulas.items() if n not in done
                     and all(r in done or r not in formulas for r in d.names("feature"))]  # fmt: skip
            columns: list[str] = []
            for name in ready:
                expr = formulas[name]
                column = f"{self.emitter.column(expr)} AS f_{name}"
                columns.append(self.as_stated(column) if self.stated and name in self.stated else column)
                if expr.type == "money":
                    columns.append(f"{self.emitter.currency_of(expr) or self.d.text(self.c.currency)} AS c_{name}")
            last = self.add(f"formula_{level}", last, columns, winsorise.joins(formulas[n] for n in ready))
            done.update(ready)
        return last

    def add(self, name: str, last: str, columns: list[str], joins: str = "") -> str:
        """Add a link to the chain: everything so far and these columns."""
        self.ctes[name] = f"SELECT b.*, {', '.join(columns)} FROM {last} b{joins}"
        return name

    # --- outputs ---

    def results(self) -> Iterable[str]:
        for r in self.pack.results:
            first = r.rule.lines[0][0] if isinstance(r.rule, Lines) else r.rule
            value = self.emitter.lines(r.rule) if isinstance(r.rule, Lines) else self.emitter.sql(r.rule)
            value = self.d.flag(value) if r.type == "bool" else value
            yield f"{self.d.nearest(value) if r.type == 'money' else value} AS o_{r.name}"
            if r.type == "money":
                yield f"{self.emitter.currency_of(first) or self.d.text(self.c.currency)} AS oc_{r.name}"

    def totals(self) -> Iterable[str]:
        """Sums over an account's renewal events. An event whose value is unknown adds nothing; two currencies have no
        sum."""
        for r in self.pack.results:
            if not r.summed:
                continue
            of, over = f"b.o_{r.name}", "OVER (PARTITION BY b.uid)"
            total = self.d.whole(f"sum({of}) {over}")
            if r.type == "money":
                currency = f"CASE WHEN {of} IS NOT NULL THEN b.oc_{r.name} END"
                total = f"CASE WHEN min({currency}) {over} = max({currency}) {over} THEN {total} END"
                yield f"coalesce(min({currency}) {over}, b.oc_{r.name}) AS otc_{r.name}"
            yield f"{total} AS ot_{r.name}"

    def tiers(self) -> Iterable[str]:
        tiers = self.pack.tiers
        if tiers is not None:
            yield f"{self.emitter.sql(tiers.override) if tiers.override else self.d.null('text')} AS tier_override"
            yield f"{self.emitter.sql(tiers.since) if tiers.since else self.d.null('date')} AS tier_since"

    def signals(self) -> Iterable[str]:
        for n, signal in enumerate(self.pack.signals):
            yield f"{self.emitter.column(signal.when)} AS s_{n}"
            if signal.severity is not None:
                yield f"{self.emitter.sql(signal.severity)} AS s_{n}_severity"

    def tasks(self) -> Iterable[str]:
        for n, task in enumerate(self.pack.tasks):
            yield f"{self.emitter.column(task.when)} AS t_{n}"
            yield f"{self.emitter.column(task.done_when) if task.done_when else self.d.null('bool')} AS t_{n}_done"
            yield f"{self.emitter.sql(task.due)} AS t_{n}_due"
            yield f"{self.emitter.lines(task.priority)} AS t_{n}_priority"
            if task.copy is not None:
                yield f"{self.emitter.lines(task.copy)} AS t_{n}_copy"
