"""The `tests:` block of a pack: read it, run it.

`given:` states features, facts, account columns and other packs' results; what is not given is missing. `rows:` states
small tables per source instead of features and facts; they are stored, and both the compiled SQL and the interpreter
must give what `then:` expects. A source named in `stale:` is stale since a day ago; with `rows:`, one
without a table is not connected, and usage is as old as its newest row. With `days:` the test walks from day to day,
each with a `given` and `then` of its own, and what rules remember goes along (`cssync.rules.daytests`).
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cssync.model import ENTITY, TABLE, Column
from cssync.rules.catalogue import ALIASES, FACTS, OUTPUTS, SOURCES, score_outputs
from cssync.rules.faults import Mark, Stop, did_you_mean
from cssync.rules.freshness import Context, Freshness, with_usage
from cssync.rules.grammar import parse
from cssync.rules.reader import Mapping as Block
from cssync.rules.reader import Node, Scalar
from cssync.rules.shape import Shape
from cssync.rules.tree import Expr, Pack, PackTest, RuleSet, Type
from cssync.rules.volume import coverage, read_series

WRITTEN = ("data_status", "trend", "trend_points")
"""Outputs of a score that only an evaluation knows: a test that expects one is walked."""
Find = Callable[[str, Mark], Expr | None]


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


# --- reading ----------------------------------------------------------------------------------------------------------


def read_tests(top: Block, pack: Pack, shape: Shape, find: Find) -> tuple[PackTest, ...]:
    """Read a pack's tests; faults are noted and the test is left out."""
    reader = _Reader(top, pack, shape, find)
    return tuple(t for n in shape.items(top.get("tests"), "`tests`") if (t := reader.whole_test(n)))


class _Reader:
    def __init__(self, top: Block, pack: Pack, shape: Shape, find: Find) -> None:
        self.top = top
        self.pack = pack
        self.shape = shape
        self.faults = shape.faults
        self.find = find

    def whole_test(self, node: Node) -> PackTest | None:
        """Read a test; None also where it names a feature whose own fault was noted."""
        try:
            return self.test(node)
        except Stop:
            return None

    def test(self, node: Node) -> PackTest | None:
        known = ("name", "as_of", "given", "rows", "stale", "then", "days")
        block = self.shape.block(node, "a test", known, ("name",))
        name = self.shape.scalar(block.get("name"), "`name`") if block else None
        if block is None or name is None:
            return None
        rows = self.rows(block.get("rows")) if block.get("rows") is not None else None
        if block.get("days") is None:
            for key in ("as_of", "then"):
                if block.get(key) is None:
                    self.faults.add(block.mark, f"a test needs `{key}:`, or `days:`")
                    return None
            return self.day(block, name.text, "as_of", rows, {})
        for key in ("as_of", "then", "stale"):
            if block.get(key) is not None:
                named = "`on`" if key == "as_of" else f"`{key}`"
                self.faults.add(
                    block.mark, f"a test with `days` says {named} of each day, and has no `{key}` of its own"
                )
        given = self.given(block.get("given"), with_rows=rows is not None)
        found: list[PackTest] = []
        for item in self.shape.items(block.get("days"), "`days`"):
            one = self.shape.block(item, "a day", ("on", "given", "stale", "then"), ("on",))
            day = self.day(one, name.text, "on", rows, given) if one else None
            if day is not None and found and day.as_of <= found[-1].as_of:
                self.faults.add(day.mark, "the days of a test come one after the other")
            found += [day] if day is not None else []
        return dataclasses.replace(found[-1], days=tuple(found), mark=block.mark) if found else None

    def day(
        self, block: Block, name: str, key: str, rows: Mapping[str, Any] | None, given: Mapping[str, Any]
    ) -> PackTest | None:
        as_of = self.shape.scalar(block.get(key), f"`{key}`")
        stale = tuple(s.text for s in self.shape.words(block.get("stale"), "`stale`") if self.source(s))
        then = self.then(block.get("then")) if block.get("then") is not None else {}
        if as_of is None or then is None or self.value(as_of, "date") is None:
            return None
        here = self.given(block.get("given"), with_rows=rows is not None)
        return PackTest(name, as_of.text, {**given, **here}, rows, stale, then, block.mark)

    def source(self, word: Scalar) -> bool:
        if word.text in SOURCES:
            return True
        self.faults.add(word.mark, f"there is no source {word.text!r}{did_you_mean(word.text, SOURCES)}")
        return False

    def given(self, node: Node | None, *, with_rows: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        block = self.shape.mapping(node, "`given`")
        for key, value in block.entries if block else ():
            scalar = self.shape.scalar(value, f"the value of {key.text}")
            ref = self.find(key.text, key.mark)
            if ref is None:
                self.faults.add(key.mark, f"there is no feature or column {key.text!r}")
            elif with_rows and ref.op == "feature":
                hint = "state it by rows, or leave `rows:` out"
                self.faults.add(key.mark, f"with `rows:`, {key.text!r} comes from the rows and cannot be given: {hint}")
            elif scalar is not None:
                found[key.text] = self.value(scalar, ref.type)
        return found

    def rows(self, node: Node | None) -> dict[str, tuple[Mapping[str, Any], ...]]:
        found: dict[str, tuple[Mapping[str, Any], ...]] = {}
        block = self.shape.mapping(node, "`rows`")
        for key, value in block.entries if block else ():
            if self.source(key):
                items = self.shape.items(value, f"the rows of {key.text}")
                found[key.text] = tuple(self.row(key.text, item) for item in items)
        return found

    def row(self, source: str, node: Node) -> dict[str, Any]:
        entity = ENTITY[SOURCES[source].entity]
        found: dict[str, Any] = {}
        block = self.shape.mapping(node, "a row")
        for key, value in block.entries if block else ():
            column = entity.column(ALIASES.get((source, key.text), key.text))
            scalar = self.shape.scalar(value, f"the value of {key.text}")
            if column is None:
                hint = did_you_mean(key.text, [c.name for c in entity.columns])
                self.faults.add(key.mark, f"{source} has no column {key.text!r}{hint}")
            elif scalar is not None:
                found[column.name] = self.stored(scalar, column)
        return found

    def stored(self, scalar: Scalar, column: Column) -> Any:
        if column.type == "instant":
            text = scalar.text if "T" in scalar.text else f"{scalar.text}T12:00:00Z"
            try:
                datetime.fromisoformat(text.replace("Z", "+00:00"))
            except ValueError:
                self.faults.add(scalar.mark, "an instant is a date, or 2026-11-20T09:30:00Z")
            return text
        kinds: dict[str, Type] = {
            "integer": "integer",
            "money": "integer",
            "real": "number",
            "bool": "bool",
            "date": "date",
        }
        value = self.value(scalar, kinds.get(column.type, "text"))
        if column.values and value not in (None, *column.values):
            self.faults.add(scalar.mark, f"{column.name} is never {value!r}{did_you_mean(str(value), column.values)}")
        if isinstance(value, date):
            return value.isoformat()
        return int(value) if isinstance(value, bool) else value

    def then(self, node: Node | None) -> dict[str, Any] | None:
        block = self.shape.mapping(node, "`then`")
        if block is None:
            return None
        types: dict[str, Type] = {}
        lists = {
            n: {k.text for k, _ in b.entries} if isinstance(b := self.top.get(n), Block) else set()
            for n in ("signals", "tasks")
        }
        if self.pack.score:
            types |= {n: OUTPUTS[n][0] for n in ("score", "band", "coverage", "model", "computed_band")}
            types |= {n: OUTPUTS[n][0] for n in WRITTEN if n in score_outputs(self.pack.score.keys)}
            types["raw_score"] = "integer"
            types |= {m.name: "integer" for m in self.pack.score.measures}
        types.update((f"due {t.name}", "date") for t in self.pack.tasks)
        types.update((f"priority {t.name}", "text") for t in self.pack.tasks)
        types |= {r.name: r.type for r in self.pack.results}
        types |= dict.fromkeys(("tier", "tier_by_arr"), "text") if self.pack.tiers else {}
        found: dict[str, Any] = {}
        for key, value in block.entries:
            if key.text in lists:
                words = self.shape.words(value, f"`{key.text}`")
                for word in words:
                    if word.text not in lists[key.text]:
                        hint = did_you_mean(word.text, lists[key.text])
                        self.faults.add(word.mark, f"pack {self.pack.name} has no {key.text[:-1]} {word.text!r}{hint}")
                found[key.text] = sorted(w.text for w in words)
                continue
            kind = types.get(key.text)
            ref = None if kind else self.find(key.text, key.mark)
            scalar = self.shape.scalar(value, f"`{key.text}`")
            if kind is None and (ref is None or ref.op != "feature"):
                hint = did_you_mean(key.text, [*types, *lists])
                self.faults.add(key.mark, f"pack {self.pack.name} has no output {key.text!r}{hint}")
            elif scalar is not None:
                found[key.text] = self.value(scalar, kind or (ref.type if ref else "text"))
        return found

    def value(self, scalar: Scalar, kind: Type) -> Any:
        """Return a scalar as a value of a type; `null` is missing."""
        if scalar.text in ("null", "") and not scalar.inset:
            return None
        if kind == "text":
            return scalar.text
        syntax = parse(scalar, self.faults)
        if syntax is None:
            return None
        sign = -1 if syntax.op == "negative" else 1
        literal = syntax.args[0] if syntax.op == "negative" else syntax
        op = {"integer": "number", "money": "number"}.get(kind, kind)
        if literal.op != op or (kind in ("integer", "money") and not isinstance(literal.value, int)):
            self.faults.add(scalar.mark, f"{scalar.text[:40]!r} is not a value of type {kind}")
            return None
        return sign * literal.value if op == "number" else literal.value


# --- running ----------------------------------------------------------------------------------------------------------


def run_tests(rules: RuleSet) -> Iterator[CaseReport]:
    """Run every test of every pack, in order."""
    for pack in rules.packs:
        for test in pack.tests:
            from cssync.rules.daytests import walked

            walks = test.days or (pack.tiers is not None and "tier" in test.then) or {*WRITTEN} & {*test.then}
            found = walked(pack, rules, test) if walks else _differences(pack, rules, test)
            yield CaseReport(pack.name, test.name, str(test.mark), tuple(found))


def context_of(test: PackTest) -> Context:
    """Noon UTC of the test's day; every source is fresh but the stale ones, with rows only those that have a table."""
    as_of = datetime.combine(date.fromisoformat(test.as_of), datetime.min.time(), UTC) + timedelta(hours=12)
    named = SOURCES if test.rows is None else {s: SOURCES[s] for s in (*test.rows, *test.stale)}
    ok, stale = Freshness("ok", as_of), Freshness("stale", as_of - timedelta(days=400), as_of - timedelta(days=1))
    return Context(as_of, fresh={t.entity: stale if s in test.stale else ok for s, t in named.items()})


def _differences(pack: Pack, rules: RuleSet, test: PackTest) -> Iterator[str]:
    from cssync.rules.grounds import is_known
    from cssync.rules.interpreter import Interpreter, account_reader, judge

    context = context_of(test)
    columns = {c.name for c in TABLE["account"].columns}
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
        yield from compared(
            test, found_in(judge(pack, rules.features, context, account, given=known, results=results)), ""
        )
        return
    conn = _stored(test, account, results)
    try:
        context = as_old_as_its_rows(context, test, conn)
        stored = _by_sql(pack, rules, context, test, conn)
    finally:
        conn.close()
    yield from compared(test, stored, " (SQL)")
    facts = {n: v for n, v in stored["features"].items() if n in FACTS and is_known(n, context)}
    outcome = judge(pack, rules.features, context, account, rows=test.rows, given={**facts, **given}, results=results)
    found = found_in(outcome)
    yield from compared(test, {**found, "features": {**facts, **found["features"]}}, " (interpreter)")


def _formula(rules: RuleSet, name: str) -> bool:
    return name in rules.features and isinstance(rules.features[name].definition, Expr)


def entities_named(name: str, rules: RuleSet) -> set[str]:
    """Return the entities that a feature or fact rests on, without metrics."""
    from cssync.rules.grounds import entities_of

    return {e.partition(".")[0] for e in entities_of([name], rules.features)}


def found_in(outcome: Any) -> dict[str, Any]:
    """Return an outcome by the names of `then`."""
    return {
        **outcome.results,
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


def _stored(test: PackTest, account: dict[str, Any], results: dict[str, Any]) -> sqlite3.Connection:
    """Return a store in memory with the test's account, results of other packs, and rows; the caller closes it."""
    import json

    from cssync.store.schema import entity_ddl, table_ddl

    conn = sqlite3.connect(":memory:")
    conn.row_factory = sqlite3.Row
    for name in ("account", "result", "result_history", "history", "score_state", "feature_row"):
        for ddl in table_ddl(TABLE[name]):
            conn.execute(ddl)
    for table in SOURCES.values():
        for ddl in entity_ddl(ENTITY[table.entity]):
            conn.execute(ddl)
    put_row(conn, "account", account)
    for name, value in results.items():
        put_row(
            conn, "result", {"account_uid": "A", "name": name, "value": json.dumps(value, default=str), "state": "ok"}
        )
    put_rows(conn, test.rows or {})
    return conn


def _by_sql(pack: Pack, rules: RuleSet, context: Context, test: PackTest, conn: sqlite3.Connection) -> dict[str, Any]:
    from cssync.rules.compiler import compile_pack
    from cssync.rules.statement import outcome_of

    statement = compile_pack(pack, rules.features, context, also=tuple(n for n in test.then if n in FACTS))
    return found_in(outcome_of(pack, statement, conn.execute(statement.sql).fetchone()))


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
    features = found.get("features", {})
    for name, wanted in test.then.items():
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


__all__ = ["Block", "CaseReport", "context_of", "read_tests", "run_tests"]
