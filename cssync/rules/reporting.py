"""A report of a pack -> one SQLite statement -> its rows.

Common table expressions: `item` the rows of the source, one per group they are in, with 1 or 0 for each column whether
they count (`w_<n>`, for medians `w_<n>_<month>`) and the column's value (`v_<n>`); `main` the counts and sums of each
group; `paid_<n>` ARR of the accounts of a group, each once; `list_<n>` listed members with their place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.metrics.fx import MissingRateError, Rates, load_rates
from cssync.model import CURRENCY_DECIMALS
from cssync.rules.dialect import SQLITE, quote
from cssync.rules.emitter import Emitter
from cssync.rules.evaluate import context_for
from cssync.rules.event_facts import EVENT_ARR
from cssync.rules.facts import GROUPS, NEEDS
from cssync.rules.freshness import Context, instant
from cssync.rules.grounds import is_known
from cssync.rules.report_rows import rests_on, rows_of
from cssync.rules.reports import MONTH_DAYS, Grouping, Report, ReportColumn
from cssync.rules.rows import live
from cssync.rules.texts import language, render
from cssync.rules.tree import Aggregate, Expr, Lines, Pack, RuleSet

if TYPE_CHECKING:
    from cssync.store.sqlite import Store


@dataclass(frozen=True, slots=True)
class Table:
    """A report's answer. columns: name -> type, those it is grouped by first. rows: their values; money in minor units
    of `currency`, shares and means as they are, lists as lists. more: groups that `most` left out. notes: what a reader
    must know: sources that are late or missing, accounts without ARR. state: that of what it rests on: ok, stale or
    missing. unpriced: accounts whose ARR is unknown."""

    pack: str
    report: str
    title: str
    as_of: str
    currency: str
    columns: Mapping[str, str]
    rows: tuple[Mapping[str, Any], ...]
    more: int
    notes: tuple[str, ...]
    state: str = "ok"
    unpriced: int = 0


def chosen(rules: RuleSet, name: str | None) -> list[tuple[Pack, Report]]:
    """Return the reports of a name, or of a pack of that name; all of them without one.

    Raises:
        ConfigError: there is none.
    """
    every = [(pack, report) for pack in rules.packs for report in pack.reports]
    found = [(p, r) for p, r in every if name is None or name in (p.name, r.name, f"{p.name}.{r.name}")]
    if not found:
        known = ", ".join(dict.fromkeys(n for p, r in every for n in (p.name, r.name))) or "none"
        message = "no pack has a report" if name is None else f"there is no report {name!r}"
        raise ConfigError(message, fix=f"known: {known}; reports stand under `reports:` of a pack")
    return found


def run_report(
    store: Store, workspace: Workspace, rules: RuleSet, pack: Pack, report: Report, as_of: datetime
) -> Table:
    """Compute a report over the store as it is; nothing is written. `as_of` is aware.

    Raises:
        ConfigError: the file of exchange rates, or the country of the holidays, is not right.
    """
    context = context_for(store, workspace, pack, as_of)
    return tabled(store.query, workspace, rules, pack, report, context)


def tabled(
    query: Callable[[str], Iterable[sqlite3.Row]],
    workspace: Workspace,
    rules: RuleSet,
    pack: Pack,
    report: Report,
    context: Context,
) -> Table:
    """Compute a report of what `query` gives (rows with the names of their columns), as `context` sees it."""
    statement = _Query(pack, report, context, load_rates(workspace), workspace.fiscal_year_start)
    notes, states = [], {"ok"}
    for name, entity in rests_on(report, rules):
        state = context.state(entity)
        if state != "ok":
            found = context.freshness(entity)
            since = f", last complete at {instant(found.as_of)}" if found and found.as_of else ""
            held = "; no draft is written of it" if report.drafts else ""
            notes.append(f"{name} is {state}{since}: what is newer is not in this report{held}")
        states.add(state)
    found_rows = [*query(statement.sql())]
    rows = [statement.row(row) for row in found_rows]
    more = max(0, found_rows[0]["groups_"] - len(rows)) if rows else 0
    unpriced = found_rows[0]["unpriced_"] if rows else 0
    if unpriced:
        notes.append(f"ARR of {unpriced:,} of the accounts is unknown and in no sum")
    return Table(
        pack.name,
        report.name,
        render(report.title, language(workspace.locale), lambda place: (None, "")) or report.name,
        instant(context.as_of),
        workspace.currency,
        statement.types(),
        tuple(rows),
        more,
        tuple(notes),
        next(state for state in ("stale", "missing", "ok") if state in states),
        unpriced,
    )


class _Query:
    def __init__(self, pack: Pack, report: Report, c: Context, rates: Rates, fiscal_start: int) -> None:
        self.pack = pack
        self.report = report
        self.c = c
        self.rates = rates
        self.fiscal_start = fiscal_start
        self.source = rows_of(report, c)
        self.groups = [f"g_{g.name}" for g in report.by]

    def types(self) -> dict[str, str]:
        found = {g.name: "text" for g in self.report.by}
        kinds = {c.name: "list" if c.listed else "share" if c.form == "share" else c.type for c in self.report.columns}
        return {**found, **kinds}

    # --- the statement ---

    def sql(self) -> str:
        ctes = {"item": self.item(), **self.priced(), "main": self.main()}
        joins, columns = [], [f"m.{g} AS {quote(g[2:])}" for g in self.groups]
        for n, column in enumerate(self.report.columns):
            same = " AND ".join((*(f"x{n}.{g} IS m.{g}" for g in self.groups), "1 = 1"))
            if column.form == "arr":
                ctes[f"paid_{n}"] = self.paid(n, column)
                joins.append(f"LEFT JOIN paid_{n} x{n} ON {same}")
            elif column.listed:
                ctes[f"list_{n}"] = self.listed(n, column)
                joins.append(f"LEFT JOIN list_{n} x{n} ON {same}")
            if column.form != "share":
                columns.append(f"{self.value(n, column)} AS {quote(column.name)}")
        table = f"SELECT {', '.join(columns)} FROM main m {' '.join(joins)}"
        shares = [
            f"CAST({quote(c.of)} AS REAL) / nullif(sum({quote(c.of)}) OVER (), 0) AS {quote(c.name)}"
            for c in self.report.columns
            if c.form == "share"
        ]
        keep = ""
        if self.report.keep is not None:
            emitter = Emitter(SQLITE, self.c.today, lambda e: f"b.{quote(e.value)}")
            keep = f" WHERE {emitter.sql(self.report.keep)}"
        order = [f"{quote(name)} {'DESC' if down else 'ASC'} NULLS LAST" for name, down in self.report.order]
        order += [f"{quote(g[2:])} ASC NULLS LAST" for g in self.groups]
        unpriced = "(SELECT count(*) FROM priced WHERE arr IS NULL)" if "priced" in ctes else "0"
        chain = ",\n".join(f"{name} AS ({text})" for name, text in ctes.items())
        return (
            f"WITH {chain}\nSELECT b.*, count(*) OVER () AS groups_, {unpriced} AS unpriced_ FROM "
            f"(SELECT t.*{''.join(f', {s}' for s in shares)} FROM ({table}) t) b{keep} "
            f"ORDER BY {', '.join(order or ['1'])} LIMIT {self.report.most}"
        )

    def item(self) -> str:
        """One row per row of the source and group; of a JSON array each element is a group."""
        at = f"t.{quote(self.source.table.at)}"
        day = SQLITE.local_day(at, self.source.spans) if self.source.at_type() == "instant" else at
        columns = [f"{self.group(g, n, day)} AS g_{g.name}" for n, g in enumerate(self.report.by)]
        for n, column in enumerate(self.report.columns):
            columns += self.counted(n, column)
        each = " ".join(
            f"JOIN json_each(coalesce(t.{quote(g.rule.value)}, '[]')) e{n}"
            for n, g in enumerate(self.report.by)
            if g.each and isinstance(g.rule, Expr)
        )
        where = [live("t", self.c, SQLITE), "a.deleted_at IS NULL", "coalesce(a.is_test, 0) = 0"]
        if self.pack.accounts is not None:
            of_account = Emitter(SQLITE, self.c.today, lambda e: f"a.{quote(e.value)}")
            where.append(of_account.sql(self.pack.accounts))
        if self.report.where is not None:
            where.append(self.source.emitter.sql(self.report.where))
        known = ["t.connection", "t.source_id", "coalesce(t.source_url, t.source_id) AS record", "t.account_uid"]
        known += ["coalesce(a.name, a.uid) AS account", f"{at} AS at"]
        return (
            f"SELECT {', '.join((*known, *columns))} FROM {self.source.table_with_borrowed()} "
            f"JOIN account a ON a.uid = t.account_uid {each} WHERE {' AND '.join(where)}"
        )

    def group(self, grouping: Grouping, n: int, day: str) -> str:
        rule = grouping.rule
        if grouping.each:
            return f"e{n}.value"
        if isinstance(rule, Lines):
            return self.source.emitter.lines(rule)
        if rule is not None:
            return self.source.emitter.column(rule)
        year, month = (f"CAST(substr({day}, {a}, {b}) AS INTEGER)" for a, b in ((1, 4), (6, 2)))
        if grouping.name == "month":
            return f"substr({day}, 1, 7)"
        if grouping.name == "quarter":
            return f"({year} || '-Q' || (({month} + 2) / 3))"
        first = self.fiscal_start
        began = f"({year} - CASE WHEN {month} < {first} THEN 1 ELSE 0 END)"
        return f"('FY' || {began} || '-Q' || (({month} + {12 - first}) % 12 / 3 + 1))"

    def counted(self, n: int, column: ReportColumn) -> Iterator[str]:
        """Whether a row counts for a column, and what it is worth."""
        whole = Aggregate("count", self.report.source, None, column.where, column.within, column.ending)
        if column.form == "median_per_month":
            for month in range(1, column.size + 1):
                window = replace(whole, within=MONTH_DAYS, ending=MONTH_DAYS * month)
                yield f"CASE WHEN {self.source.filter(window)} THEN 1 ELSE 0 END AS w_{n}_{month}"
            return
        yield f"CASE WHEN {self.source.filter(whole) or '1 = 1'} THEN 1 ELSE 0 END AS w_{n}"
        if column.column is not None:
            raw = self.source.ref(column.column)
            if column.type == "money":
                raw = f"CAST(floor({raw} * {self.factor('t.currency')} + 0.5) AS INTEGER)"
            yield f"{raw} AS v_{n}"

    def main(self) -> str:
        """Counts and sums of every group."""
        columns = list(self.groups)
        for n, column in enumerate(self.report.columns):
            counts = f"w_{n} = 1"
            if column.form == "count":
                columns.append(f"sum(w_{n}) AS c_{n}")
            elif column.form == "distinct":
                columns.append(f"count(DISTINCT CASE WHEN {counts} THEN account_uid END) AS c_{n}")
            elif column.form == "sum":
                columns.append(f"sum(CASE WHEN {counts} THEN v_{n} END) AS c_{n}")
            elif column.form == "avg":
                columns.append(f"avg(CASE WHEN {counts} THEN v_{n} END) AS c_{n}")
            elif column.form == "median_per_month":
                columns += [f"sum(w_{n}_{month}) AS c_{n}_{month}" for month in range(1, column.size + 1)]
        grouped = f" GROUP BY {', '.join(self.groups)}" if self.groups else " HAVING count(*) > 0"
        return f"SELECT {', '.join(columns) or '1 AS one'} FROM item{grouped}"

    def value(self, n: int, column: ReportColumn) -> str:
        if column.form == "arr":
            return f"x{n}.arr"
        if column.listed:
            return f"coalesce(x{n}.found, '[]')"
        if column.form != "median_per_month":
            return f"m.c_{n}"
        months = " UNION ALL ".join(f"SELECT m.c_{n}_{month} AS v" for month in range(1, column.size + 1))
        half, many = (column.size - 1) // 2, 2 - column.size % 2
        return f"(SELECT avg(v) FROM (SELECT v FROM ({months}) ORDER BY v LIMIT {many} OFFSET {half}))"

    def priced(self) -> dict[str, str]:
        """ARR of every account in the report and of its next renewal, and what is due at each renewal: `due_event`."""
        if not any(c.form == "arr" for c in self.report.columns):
            return {}
        accounts = "(SELECT DISTINCT account_uid FROM item) i"
        if not is_known("arr", self.c):
            return {
                "priced": f"SELECT i.account_uid, NULL AS arr, NULL AS due FROM {accounts}",
                "due_event": f"SELECT i.account_uid, NULL AS renews_on, NULL AS due FROM {accounts}",
            }
        ctes: dict[str, str] = {}
        for group in (*NEEDS["lines"], "lines"):
            ctes.update(GROUPS[group](self.c, SQLITE))

        def nearest(lines: str, column: str) -> str:
            return f"CAST(floor({lines}.{column} * {self.factor(f'{lines}.currency')} + 0.5) AS INTEGER)"

        ctes["priced"] = (
            f"SELECT i.account_uid, {nearest('l', 'arr')} AS arr, {nearest('l', EVENT_ARR)} AS due "
            f"FROM {accounts} LEFT JOIN fact_lines l ON l.account_uid = i.account_uid"
        )
        ctes["due_event"] = (
            f"SELECT v.account_uid, v.renews_on, "
            f"CASE WHEN v.event = 1 THEN {nearest('l', EVENT_ARR)} ELSE {nearest('f', EVENT_ARR)} END AS due "
            "FROM fact_events v LEFT JOIN fact_lines l ON l.account_uid = v.account_uid "
            "LEFT JOIN fact_event_lines f ON f.account_uid = v.account_uid AND f.event = v.event"
        )
        return ctes

    def factor(self, currency: str) -> str:
        """SQL of minor units of the reporting currency for one of a row's currency; NULL without a rate today."""
        codes = {self.c.currency, *CURRENCY_DECIMALS, *(code for pair in self.rates.series for code in pair)}
        found = []
        for code in sorted(codes):
            try:
                found.append((code, float(self.rates.convert(1, code, self.c.currency, self.c.today))))
            except MissingRateError:
                continue
        cases = " ".join(f"WHEN {SQLITE.text(code)} THEN {factor!r}" for code, factor in found)
        return f"CASE coalesce({currency}, {SQLITE.text(self.c.currency)}) {cases} END"

    def paid(self, n: int, column: ReportColumn) -> str:
        """ARR of the accounts of each group, each once."""
        value, due = "p.arr", ""
        if column.due_days is not None:
            days = SQLITE.days_between("v.renews_on", SQLITE.day(self.c.today))
            soon = f"sum(CASE WHEN {days} BETWEEN 0 AND {column.due_days} THEN v.due END) AS soon"
            events = f"SELECT v.account_uid, sum(v.due) AS known, {soon} FROM due_event v GROUP BY v.account_uid"
            due = f" LEFT JOIN ({events}) d ON d.account_uid = p.account_uid"
            value = "CASE WHEN p.due IS NULL AND d.known IS NULL THEN NULL ELSE coalesce(d.soon, 0) END"
        keys = ", ".join(("account_uid", *self.groups))
        grouped = f" GROUP BY {', '.join(self.groups)}" if self.groups else ""
        grouping = "".join(f"{g}, " for g in self.groups)
        return (
            f"SELECT {grouping}sum({value}) AS arr FROM (SELECT DISTINCT {keys} FROM item "
            f"WHERE w_{n} = 1) i JOIN priced p ON p.account_uid = i.account_uid{due}{grouped}"
        )

    def listed(self, n: int, column: ReportColumn) -> str:
        """The first members of a list, each with its place: the newest rows, or accounts by name."""
        value = {"ids": "record", "accounts": "account"}.get(column.form, f"v_{n}")
        order = "account, account_uid" if column.form == "accounts" else "at DESC, connection, source_id"
        inner = (
            f"SELECT DISTINCT account, account_uid{''.join(f', {g}' for g in self.groups)} FROM item WHERE w_{n} = 1"
        )
        rows = f"({inner})" if column.form == "accounts" else f"(SELECT * FROM item WHERE w_{n} = 1)"
        side = f"PARTITION BY {', '.join(self.groups)} " if self.groups else ""
        keys = "".join(f"{g}, " for g in self.groups)
        grouped = f" GROUP BY {', '.join(self.groups)}" if self.groups else ""
        return (
            f"SELECT {keys}json_group_array(json_array(place, value)) AS found FROM (SELECT {keys}{value} AS value, "
            f"row_number() OVER ({side}ORDER BY {order}) AS place FROM {rows} WHERE coalesce({value}, '') <> '')"
            f" WHERE place <= {column.size}{grouped}"
        )

    # --- the answer ---

    def row(self, row: sqlite3.Row) -> dict[str, Any]:
        found = dict(row)
        for column in self.report.columns:
            if column.listed:
                found[column.name] = [value for _, value in sorted(json.loads(found[column.name]))]
        return {name: found[name] for name in self.types()}


__all__ = ["Table", "chosen", "run_report"]
