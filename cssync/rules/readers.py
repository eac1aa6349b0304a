"""Which rules rest on a column of the store: who has to know when it is no longer filled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache

from cssync.model import ENTITY
from cssync.rules.catalogue import ACCOUNT, ALIASES, FACTS, SOURCES
from cssync.rules.dialect import SQLITE
from cssync.rules.facts import GROUPS
from cssync.rules.freshness import Context
from cssync.rules.reports import ACCOUNTS, Report
from cssync.rules.tree import (
    Aggregate,
    Expr,
    Feature,
    Pack,
    RuleSet,
    Score,
    closure,
    measure_exprs,
    measure_names,
    rule_exprs,
)

PRICED = ("arr", "renewal_arr", "renews_on")
"""Facts behind the ARR of a report."""


def readers(rules: RuleSet, targets: Iterable[str]) -> list[str]:
    """Return the rules and reports (`pack.rule`, sorted) that read one of these `entity.column`, directly or through
    features.

    What reads the result of another rule is not named: that one is.
    """
    wanted = _split(targets)
    found = {
        f"{pack.name}.{name}"
        for pack in rules.packs
        for name, exprs, features in _rules(pack)
        if any(_rests(rules.features, exprs, features, entity, column) for entity, column in wanted)
    }
    found |= {
        f"{pack.name}.{report.name}"
        for pack in rules.packs
        for report in pack.reports
        if any(_counts(report, entity, column) for entity, column in wanted)
    }
    return sorted(found)


def resting(score: Score, features: Mapping[str, Feature], targets: Iterable[str]) -> set[str]:
    """Return the measures that read one of these `entity.column`."""
    wanted = _split(targets)
    return {
        m.name
        for m in score.measures
        if any(_rests(features, tuple(measure_exprs(m)), measure_names(m), *target) for target in wanted)
    }


def _split(targets: Iterable[str]) -> list[tuple[str, str]]:
    return [(entity, column) for entity, _, column in (target.partition(".") for target in targets)]


def _rules(pack: Pack) -> Iterator[tuple[str, tuple[Expr, ...], set[str]]]:
    """Yield (name, expressions, features they name) of each rule of a pack."""
    if pack.accounts is not None:
        yield "accounts", (pack.accounts,), _named((pack.accounts,))
    for measure in pack.score.measures if pack.score else ():
        yield measure.name, tuple(measure_exprs(measure)), measure_names(measure)
    if pack.score:
        for name, exprs in (
            ("caps", tuple(c.when for c in pack.score.caps)),
            ("models", tuple(m.when for m in pack.score.models if m.when is not None)),
        ):
            yield name, exprs, _named(exprs)
    if pack.tiers is not None:
        exprs = tuple(pack.tiers.exprs)
        yield "tiers", exprs, _named(exprs)
    for result in pack.results:
        exprs = tuple(rule_exprs(result.rule))
        yield result.name, exprs, _named(exprs)
    for signal in pack.signals:
        exprs = tuple(e for e in (signal.when, signal.severity) if e is not None)
        yield signal.name, exprs, _named(exprs)
    for task in pack.tasks:
        lines = (*rule_exprs(task.priority), *(rule_exprs(task.copy) if task.copy else ()))
        exprs = tuple(e for e in (task.when, task.due, task.done_when, *lines) if e is not None)
        yield task.name, exprs, _named(exprs)


def _named(exprs: Iterable[Expr]) -> set[str]:
    return {name for e in exprs for name in e.names("feature")}


def _rests(known: Mapping[str, Feature], exprs: tuple[Expr, ...], named: set[str], entity: str, column: str) -> bool:
    names = closure(named, known)
    definitions = [known[n].definition for n in names if n in known]
    formulas = (*exprs, *(d for d in definitions if isinstance(d, Expr)))
    if entity in ("account", "account_source"):
        asked = {n for e in formulas for n in e.names("account")}
        return column in asked and column in ACCOUNT
    if any(isinstance(d, Aggregate) and _reads(d, entity, column) for d in definitions):
        return True
    return any(_fact_reads(n, entity, column) for n in names if n in FACTS)


def _counts(report: Report, entity: str, column: str) -> bool:
    """Whether a report looks at that column: of its rows, of accounts, or behind the ARR in it."""
    if any(c.form == "arr" for c in report.columns) and any(_fact_reads(n, entity, column) for n in PRICED):
        return True
    if report.source == ACCOUNTS:
        asked = {report.at, *(n for e in report.exprs for n in e.names("account"))}
        return entity in ("account", "account_source") and column in asked
    named = {report.at or SOURCES[report.source].at, *(n for e in report.exprs for n in e.names("column"))}
    return _looks_at(report.source, named, report.where, entity, column)


def _reads(aggregate: Aggregate, entity: str, column: str) -> bool:
    """Whether a feature over rows looks at that column: its own, a borrowed one, or the metric it counts."""
    named = {*aggregate.columns, SOURCES[aggregate.source].at}
    return _looks_at(aggregate.source, named, aggregate.where, entity, column)


def _looks_at(source: str, names: set[str], where: Expr | None, entity: str, column: str) -> bool:
    table = SOURCES[source]
    named = {ALIASES.get((source, name), name) for name in names}
    borrowed = {table.borrows[n] for n in named if n in table.borrows}
    if any((b.entity, b.column) == (entity, column) for b in borrowed):
        return True
    if table.entity != entity:
        return False
    if _is_metric(entity, column):
        metrics = {e.value for e in (where or Expr("and", "bool")).walk() if e.op == "text"}
        return column in metrics or not metrics
    own = {n for n in named if n not in table.borrows} | {b.key for b in borrowed} | {"account_source_id"}
    return column in own


def _is_metric(entity: str, column: str) -> bool:
    """Whether a target such as `usage_metric.active_users` names a metric and no column."""
    return entity == "usage_metric" and ENTITY[entity].column(column) is None


def _fact_reads(name: str, entity: str, column: str) -> bool:
    fact = FACTS[name]
    if entity not in fact.tables:
        return False
    if _is_metric(entity, column):
        return {entity, f"{entity}.{column}"} & set(fact.entities) != set()
    return column == "account_source_id" or re.search(rf"\b{re.escape(column)}\b", _sql(fact.group)) is not None


@cache
def _sql(group: str) -> str:
    """The statements that compute a group of facts."""
    return " ".join(GROUPS[group](Context(datetime(2026, 1, 1, tzinfo=UTC)), SQLITE).values())
