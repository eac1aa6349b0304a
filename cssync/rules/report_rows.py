"""The rows that a report counts: those of a source, or the accounts themselves with what packs last said of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from cssync.rules.calendar import offsets
from cssync.rules.catalogue import ACCOUNT, OUTPUTS, SOURCES, SourceTable
from cssync.rules.dialect import SQLITE
from cssync.rules.emitter import Emitter
from cssync.rules.faults import Mark, Source
from cssync.rules.freshness import Context
from cssync.rules.grounds import entities_of
from cssync.rules.reports import ACCOUNTS, Report
from cssync.rules.result_sql import read_json
from cssync.rules.results import score_entities
from cssync.rules.sources import SourcePass
from cssync.rules.tree import Aggregate, Expr, Feature, RuleSet, rule_exprs

STARTED = "first_contract_date"
"""The time of an account as a row, where a report names no other."""


def rows_of(report: Report, context: Context) -> SourcePass:
    """Return the rows of a report, with all that its expressions name."""
    if report.source == ACCOUNTS:
        return AccountRows(report, context)
    nowhere = Mark(Source("", ""), 1, 1)
    features = [
        Feature(name, "text", Aggregate("count", report.source, Expr("column", "text", value=name)), "", nowhere)
        for name in dict.fromkeys(n for e in report.exprs for n in e.names("column"))
    ]
    rows = SourcePass(report.source, features, context, SQLITE)
    rows.table = replace(rows.table, at=report.at or rows.table.at)
    return rows


class AccountRows(SourcePass):
    """Accounts as rows, under alias `t`: columns of the account, and results as columns `<pack>.<output>`. A result
    whose value is held because a source is stale is missing, as it is for rules."""

    def __init__(self, report: Report, context: Context) -> None:
        self.source = ACCOUNTS
        self.table = SourceTable("account", report.at or STARTED)
        self.exprs = tuple(report.exprs)
        self.c = context
        self.d = SQLITE
        self.spans = offsets(context.zone, context.as_of.year + 1)
        self.emitter = Emitter(SQLITE, context.today, self.ref)

    def ref(self, e: Expr) -> str:
        raw = f"t.{self.d.quoted(e.value)}"
        instant = e.op == "account" and ACCOUNT[e.value].type == "instant"
        return self.d.local_day(raw, self.spans) if instant else raw

    def at_type(self) -> str:
        return ACCOUNT[self.table.at].type

    def table_with_borrowed(self) -> str:
        columns, joins = ["a.*", "a.uid AS account_uid", "'' AS connection", "a.uid AS source_id"], []
        columns.append("NULL AS source_url")
        results = {e.value: e.type for whole in self.exprs for e in whole.walk() if e.op == "result"}
        for n, (name, kind) in enumerate(sorted(results.items())):
            known = f"r{n}.value <> 'null' AND r{n}.state <> 'stale'"
            value = read_json(f"r{n}.value", kind, self.d)
            columns.append(f"CASE WHEN {known} THEN {value} END AS {self.d.quoted(name)}")
            joins.append(f"LEFT JOIN result r{n} ON r{n}.account_uid = a.uid AND r{n}.name = {self.d.text(name)}")
        return f"(SELECT {', '.join(columns)} FROM account a {' '.join(joins)}) t"


def rests_on(report: Report, rules: RuleSet) -> Iterator[tuple[str, str]]:
    """Yield (source, entity) of everything whose rows a report counts or reads, the source it is of first."""
    entities = dict.fromkeys(_entities(report, rules))
    friendly = {table.entity: source for source, table in SOURCES.items()}
    for entity in entities:
        yield friendly[entity.partition(".")[0]], entity


def _entities(report: Report, rules: RuleSet) -> Iterable[str]:
    if report.source != ACCOUNTS:
        table = SOURCES[report.source]
        yield table.entity
        names = {n for e in report.exprs for n in e.names("column")}
        yield from sorted({of.entity for name, of in table.borrows.items() if name in names})
        return
    for name in sorted({n for e in report.exprs for n in e.names("result")}):
        of, _, output = name.partition(".")
        pack = next(p for p in rules.packs if p.name == of)
        if output in OUTPUTS and pack.score:
            yield from sorted(score_entities(pack.score, rules.features))
        for result in pack.results:
            if result.name == output:
                named = {n for e in rule_exprs(result.rule) for n in e.names("feature")}
                yield from sorted(entities_of(named, rules.features))
