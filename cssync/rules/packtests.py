"""The tests of a pack, run.

`given:` states features, facts, account columns and other packs' results; what is not given is missing. `rows:` states
small tables per source instead of features and facts; they are stored, and both the compiled SQL and the interpreter
must give what `then:` expects. A source named in `stale:` is stale since a day ago; with `rows:`, one
without a table is not connected, and usage is as old as its newest row. With `days:` the test walks from day to day,
each with a `given` and `then` of its own, and what rules remember goes along (`cssync.rules.daytests`). A test is about
the account A; rows may be of others, for reports (`cssync.rules.reporttests`) and for what peers do. In a pack for each
renewal event `then` is about the account, and its `events` about them one by one, the next one first.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cssync.model import ENTITY, TABLE
from cssync.rules.catalogue import FACTS, SOURCES
from cssync.rules.freshness import Context, Freshness, with_usage
from cssync.rules.grounds import is_known
from cssync.rules.outcome import Outcome
from cssync.rules.reporttests import reported, split
from cssync.rules.testreader import WRITTEN
from cssync.rules.tree import Expr, Pack, PackTest, RuleSet, used_features
from cssync.rules.volume import coverage, read_series

ACCOUNT_COLUMNS = frozenset(c.name for c in TABLE["account"].columns)


@dataclass(frozen=True, slots=True)
class CaseReport:
    """How one test went; `differences` are (what, expected, found by whom)."""

    pack: str
    name: str
    place: str
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


def run_tests(rules: RuleSet) -> Iterator[CaseReport]:
    """Run every test of every pack, in order."""
    for pack in rules.packs:
        for test in pack.tests:
            yield run_test(pack, rules, test)


def run_test(pack: Pack, rules: RuleSet, test: PackTest) -> CaseReport:
    """Run one test of a pack of `rules`."""
    from cssync.rules.daytests import walked

    walks = test.days or (pack.tiers is not None and "tier" in test.then) or {*WRITTEN} & {*test.then}
    found = walked(pack, rules, test) if walks else _differences(pack, rules, test)
    return CaseReport(pack.name, test.name, str(test.mark), tuple(found))


def context_of(test: PackTest) -> Context:
    """Noon UTC of the test's day; every source is fresh but the stale ones, with rows only those that have a table."""
    as_of = datetime.combine(date.fromisoformat(test.as_of), datetime.min.time(), UTC) + timedelta(hours=12)
    named = SOURCES if test.rows is None else {s: SOURCES[s] for s in (*test.rows, *test.stale)}
    ok, stale = Freshness("ok", as_of), Freshness("stale", as_of - timedelta(days=400), as_of - timedelta(days=1))
    return Context(as_of, fresh={t.entity: stale if s in test.stale else ok for s, t in named.items()})


def _differences(pack: Pack, rules: RuleSet, test: PackTest) -> Iterator[str]:
    own, of_reports = split(pack, test)
    if of_reports:
        yield from reported(pack, rules, test, of_reports, _stored(test))
    if own or not of_reports:
        yield from _of_account(pack, rules, replace(test, then=own))


def _of_account(pack: Pack, rules: RuleSet, test: PackTest) -> Iterator[str]:
    from cssync.rules.expressions import Interpreter
    from cssync.rules.interpreter import account_reader, judge_events

    context = context_of(test)
    columns = ACCOUNT_COLUMNS
    account = {"uid": "A", "name": "A", **{k: v for k, v in test.given.items() if k in columns}}
    results = {k: v for k, v in test.given.items() if "." in k}
    if pack.accounts is not None and Interpreter(context.today, account_reader(account, context)).value(
        pack.accounts
    ) in ((False,) if test.rows is None else (False, None)):
        yield "`accounts:` of the pack leaves this account out, so nothing comes of it: see the account columns given"
        return
    given = {k: v for k, v in test.given.items() if k not in columns and "." not in k}
    if test.rows is None:
        stale = {SOURCES[s].entity for s in test.stale}
        absent = {n: None for n in (*rules.features, *FACTS) if n not in given and not _formula(rules, n)}
        kept = {n: v for n, v in given.items() if not (entities_named(n, rules) & stale)}
        known = {**{n: v for n, v in absent.items() if not (entities_named(n, rules) & stale)}, **kept}
        outcomes = judge_events(pack, rules.features, context, account, [{}], given=known, results=results)
        yield from compared(test, found_in(outcomes), "")
        return
    conn = _stored(test)
    try:
        context = as_old_as_its_rows(context, test, conn)
        named = {*test.then, *(n for event in test.then.get("events", ()) for n in event)}
        stored = [o for uid, o in _by_sql(pack, rules, context, sorted(named & FACTS.keys()), conn) if uid == "A"]
        given |= _percentiles(pack, rules, context, test, conn)
    finally:
        conn.close()
    yield from compared(test, found_in(stored), " (SQL)")
    facts, mine = [_facts(o, context) for o in stored], _rows(test, "A")
    outcomes = judge_events(pack, rules.features, context, account, facts, rows=mine, given=given, results=results)
    for outcome, known in zip(outcomes, facts, strict=True):
        outcome.features = {**known, **outcome.features}
    yield from compared(test, found_in(outcomes), " (interpreter)")


def _facts(outcome: Outcome, context: Context) -> dict[str, Any]:
    """The facts of an outcome, with the currencies of money: the interpreter is given them."""
    found = {n: v for n, v in outcome.features.items() if n in FACTS and is_known(n, context)}
    return found | {f"currency.{n}": v for n, v in outcome.currencies.items()}


def _rows(test: PackTest, uid: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of an account, by source, with the keys that they are stored under."""
    return {
        source: [{"connection": "test", "source_id": f"{n:04}", **row}
                 for n, row in enumerate(rows) if row.get("account_uid", "A") == uid]
        for source, rows in (test.rows or {}).items()
    }  # fmt: skip


def _percentiles(
    pack: Pack, rules: RuleSet, context: Context, test: PackTest, conn: sqlite3.Connection
) -> dict[str, float | None]:
    """What the winsorised features of account A are cut at, by the interpreter; the facts of all accounts by SQL."""
    from cssync.rules.percentiles import cuts, judged
    from cssync.rules.winsorise import asked, portfolio

    wanted = asked(used_features(pack, rules.features), rules.features)
    if not wanted:
        return {}
    accounts = {row["uid"]: dict(row) for row in conn.execute("SELECT * FROM account")}
    everybody = []
    for uid, outcome in _by_sql(portfolio(wanted), rules, context, (), conn):
        given = {**test.given, **test.accounts.get(uid, {})}
        results = {n: v for n, v in given.items() if "." in n}
        everybody.append((accounts[uid], _rows(test, uid), _facts(outcome, context), results))
    return cuts(wanted, judged(wanted, rules.features, context, everybody), accounts["A"])


def _formula(rules: RuleSet, name: str) -> bool:
    return name in rules.features and isinstance(rules.features[name].definition, Expr)


def entities_named(name: str, rules: RuleSet) -> set[str]:
    """Return the entities that a feature or fact rests on, without metrics."""
    from cssync.rules.grounds import entities_of

    return {e.partition(".")[0] for e in entities_of([name], rules.features)}


def found_in(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return what a pack says about an account, or about each of its renewal events, by the names of `then`."""
    each = [_named(o, o.results) for o in outcomes]
    whole = _named(outcomes[0], {**outcomes[0].results, **outcomes[0].totals})
    return {**whole, "tasks": sorted(t for found in each for t in found["tasks"]), "events": each}


def _named(outcome: Outcome, results: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **results,
        **outcome.measures,
        "features": outcome.features,
        "score": outcome.score,
        "raw_score": outcome.raw_score,
        "band": outcome.band,
        "computed_band": outcome.computed_band,
        "model": outcome.model,
        "coverage": outcome.coverage,
        "signals": sorted(n for n, true in outcome.signals.items() if true),
        "tasks": sorted(n for n, true in outcome.tasks.items() if true),
        **{f"due {n}": due for n, due in outcome.due.items()},
        **{f"priority {n}": p for n, p in outcome.priority.items()},
    }


def as_old_as_its_rows(context: Context, test: PackTest, conn: sqlite3.Connection) -> Context:
    """Return the context with usage as old as its newest row."""
    if "usage" in test.stale or not (test.rows or {}).get("usage"):
        return context
    found = coverage(read_series(conn.execute, context.today), context.today, context.calendar)
    return replace(context, fresh=with_usage(context.fresh, found, context.as_of, context.zone), gaps=found.gaps)


def _stored(test: PackTest) -> sqlite3.Connection:
    """Return a store in memory with the test's accounts, results of other packs, and rows; the caller closes it."""
    from cssync.store.schema import entity_ddl, table_ddl

    conn = sqlite3.connect(":memory:")
    conn.row_factory = sqlite3.Row
    for name in ("account", "result", "result_history", "history", "score_state", "feature_row"):
        for ddl in table_ddl(TABLE[name]):
            conn.execute(ddl)
    for table in SOURCES.values():
        for ddl in entity_ddl(ENTITY[table.entity]):
            conn.execute(ddl)
    put_accounts(conn, test, "")
    put_rows(conn, test.rows or {})
    return conn


def put_accounts(conn: sqlite3.Connection, test: PackTest, at: str) -> None:
    """Store the accounts of a test: what is given of columns and of other packs' results is so of each of them, unless
    it has its own. at: when a result was written."""
    for uid, own in {"A": {}, **test.accounts}.items():
        given = {**test.given, **own}
        put_row(conn, "account", {"uid": uid, "name": uid, **{k: v for k, v in given.items() if k in ACCOUNT_COLUMNS}})
        for name, value in ((k, v) for k, v in given.items() if "." in k):
            conn.execute("DELETE FROM result WHERE account_uid = ? AND name = ?", (uid, name))
            stored = {"value": json.dumps(value, default=str), "state": "ok", "since": at, "as_of": at}
            put_row(conn, "result", {"account_uid": uid, "name": name, **stored})


def _by_sql(
    pack: Pack, rules: RuleSet, context: Context, also: Sequence[str], conn: sqlite3.Connection
) -> Iterator[tuple[str, Outcome]]:
    """Yield each account with what the pack's statement says of it, or of each of its renewal events."""
    from cssync.rules.compiler import compile_pack
    from cssync.rules.statement import outcome_of

    statement = compile_pack(pack, rules.features, context, also=tuple(also))
    money = [n for n, kind in statement.features.items() if kind == "money" and n in FACTS]
    for row in conn.execute(statement.sql):
        outcome = outcome_of(pack, statement, row)
        outcome.currencies = {n: row[f"c_{n}"] for n in money}
        yield row["uid"], outcome


def put_rows(conn: sqlite3.Connection, rows: Mapping[str, tuple[Mapping[str, Any], ...]]) -> None:
    """Store the rows of a test, source by source."""
    for source, found in rows.items():
        for n, row in enumerate(found):
            keys = {"connection": "test", "source_id": f"{n:04}", "synced_at": "2026-01-01T00:00:00Z"}
            put_row(conn, SOURCES[source].entity, {**keys, "account_uid": "A", **row})


def put_row(conn: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    """Insert one row; days as they are stored."""
    values = [v.isoformat() if isinstance(v, date) else v for v in row.values()]
    columns = ", ".join(f'"{c}"' for c in row)
    conn.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({", ".join("?" * len(row))})', values)


def compared(test: PackTest, found: Mapping[str, Any], by: str) -> Iterator[str]:
    """Yield what is not as `then` says; `by` tells who found it, or on which day."""
    wanted, events = test.then.get("events"), found.get("events", ())
    if wanted is not None and len(wanted) != len(events):
        yield f"events: expected {len(wanted)}, found {len(events)}{by}"
    elif wanted is not None:
        for n, (one, event) in enumerate(zip(wanted, events, strict=True), 1):
            yield from _unlike(one, event, f" in event {n}{by}")
    yield from _unlike({n: v for n, v in test.then.items() if n != "events"}, found, by)


def _unlike(then: Mapping[str, Any], found: Mapping[str, Any], by: str) -> Iterator[str]:
    features = found.get("features", {})
    for name, wanted in then.items():
        value = found[name] if name in found else features.get(name)
        same = (
            abs(value - wanted) < 5e-4
            if isinstance(value, float) and isinstance(wanted, int | float)
            else value == wanted
        )
        if not same:
            yield f"{name}: expected {_shown(wanted)}, found {_shown(value)}{by}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(value) + "]"
    return "null" if value is None else str(value)


__all__ = ["CaseReport", "context_of", "run_test", "run_tests"]
