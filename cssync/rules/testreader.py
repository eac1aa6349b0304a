"""The `tests:` block of a pack, read: `cssync.rules.packtests` runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from cssync.model import ENTITY, Column
from cssync.rules.catalogue import ALIASES, OUTPUTS, SOURCES, score_outputs
from cssync.rules.faults import Mark, Stop, did_you_mean
from cssync.rules.grammar import parse
from cssync.rules.nodes import Mapping as Block
from cssync.rules.nodes import Node, Scalar
from cssync.rules.reports import Report, column_types
from cssync.rules.reporttests import told_of
from cssync.rules.shape import ID, Shape
from cssync.rules.tree import Expr, Pack, PackTest, Type

WRITTEN = ("data_status", "trend", "trend_points")
"""Outputs of a score that only an evaluation knows: a test that expects one is walked."""
FIRST, LAST = date(1990, 1, 1), date(2200, 12, 31)
"""Days that a test may be of: windows of many years still begin and end within the calendar."""
Find = Callable[[str, Mark], Expr | None]


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
        known = ("name", "as_of", "given", "accounts", "rows", "stale", "then", "days")
        block = self.shape.block(node, "a test", known, ("name",))
        name = self.shape.scalar(block.get("name"), "`name`") if block else None
        if block is None or name is None:
            return None
        rows = self.rows(block.get("rows")) if block.get("rows") is not None else None
        others = self.others(block.get("accounts"))
        owners = (row.get("account_uid", "A") for found in (rows or {}).values() for row in found)
        others |= {uid: {} for uid in owners if uid not in ("A", *others)}
        if block.get("days") is None:
            for key in ("as_of", "then"):
                if block.get(key) is None:
                    self.faults.add(block.mark, f"a test needs `{key}:`, or `days:`")
                    return None
            if isinstance(then := block.get("then"), Block) and not then.entries:
                self.faults.add(then.mark, "a test that expects nothing proves nothing")
            alone = self.day(block, name.text, "as_of", rows, {})
            return replace(alone, accounts=others) if alone is not None else None
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
        days = tuple(replace(day, accounts=others) for day in found)
        return replace(days[-1], days=days, mark=block.mark) if days else None

    def day(
        self, block: Block, name: str, key: str, rows: Mapping[str, Any] | None, given: Mapping[str, Any]
    ) -> PackTest | None:
        as_of = self.shape.scalar(block.get(key), f"`{key}`")
        stale = tuple(s.text for s in self.shape.words(block.get("stale"), "`stale`") if self.source(s))
        then = self.then(block.get("then")) if block.get("then") is not None else {}
        on = self.value(as_of, "date") if as_of is not None else None
        if as_of is None or then is None or on is None:
            return None
        if not FIRST <= on <= LAST:
            self.faults.add(as_of.mark, f"a test is of a day from {FIRST} to {LAST}")
            return None
        tables = [r for r in self.pack.reports if {r.name, *told_of((r,))} & then.keys()]
        if tables and key == "on":
            self.faults.add(block.mark, "reports are tested on one day: write `as_of`, not `days`")
        elif rows is None and any(r.source in SOURCES for r in tables):
            self.faults.add(block.mark, f"what report {tables[0].name} counts is stated by `rows:`")
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

    def others(self, node: Node | None) -> dict[str, Mapping[str, Any]]:
        """Further accounts, with what is theirs alone of account columns and packs' results."""
        found: dict[str, Mapping[str, Any]] = {}
        for key, value in self.shape.named(node, "`accounts`", ID):
            given = self.given(value, with_rows=True)
            found[key.text] = given
        return found

    def rows(self, node: Node | None) -> dict[str, tuple[Mapping[str, Any], ...]]:
        found: dict[str, tuple[Mapping[str, Any], ...]] = {}
        block = self.shape.mapping(node, "`rows`")
        for key, value in block.entries if block else ():
            if self.source(key):
                items = self.shape.items(value, f"the rows of {key.text}")
                found[key.text] = tuple(row for item in items for row in self.row(key.text, item))
        return found

    def row(self, source: str, node: Node) -> Iterator[dict[str, Any]]:
        """Yield a row for each account that it names; of account A where it names none."""
        entity = ENTITY[SOURCES[source].entity]
        found: dict[str, Any] = {}
        block = self.shape.mapping(node, "a row")
        whose: list[str] = []
        for key, value in block.entries if block else ():
            if key.text == "account":
                whose = [word.text for word in self.shape.words(value, "`account`") if self.is_account(word)]
                continue
            column = entity.column(ALIASES.get((source, key.text), key.text))
            scalar = self.shape.scalar(value, f"the value of {key.text}")
            if column is None:
                hint = did_you_mean(key.text, [c.name for c in entity.columns])
                self.faults.add(key.mark, f"{source} has no column {key.text!r}{hint}")
            elif scalar is not None:
                found[column.name] = self.stored(scalar, column)
        if block is not None and len(whose) > 1 and "source_id" in found:
            self.faults.add(block.mark, "a row of several accounts cannot have one `source_id`")
        yield from ({**found, "account_uid": uid} for uid in whose) if whose else (found,)

    def is_account(self, word: Scalar) -> bool:
        if ID.fullmatch(word.text):
            return True
        self.faults.add(word.mark, f"{word.text[:60]!r} is not a name of an account: letters, digits, _ and -")
        return False

    def stored(self, scalar: Scalar, column: Column) -> Any:
        if column.type == "instant":
            text = scalar.text if "T" in scalar.text else f"{scalar.text}T12:00:00Z"
            try:
                at = datetime.fromisoformat(text)
                at = at.astimezone(UTC) if at.tzinfo else at
            except (ValueError, OverflowError):
                self.faults.add(scalar.mark, "an instant is a date, or 2026-11-20T09:30:00Z")
                return None
            return f"{at.replace(tzinfo=None).isoformat(timespec='seconds')}Z"
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

    def then(self, node: Node | None, *, of_event: bool = False) -> dict[str, Any] | None:
        """What is expected of the account; with `of_event` of one of its renewal events."""
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
        types |= told_of(self.pack.reports)
        tables = {r.name: r for r in self.pack.reports}
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
            if key.text == "events" and self.pack.each_event and not of_event:
                items = self.shape.items(value, "`events`")
                found["events"] = tuple(self.then(item, of_event=True) or {} for item in items)
                continue
            if key.text in tables:
                items = self.shape.items(value, f"the lines of {key.text}")
                found[key.text] = tuple(self.line(tables[key.text], item) for item in items)
                continue
            kind = types.get(key.text)
            ref = None if kind else self.find(key.text, key.mark)
            scalar = self.shape.scalar(value, f"`{key.text}`")
            if kind is None and (ref is None or ref.op != "feature"):
                hint = did_you_mean(key.text, [*types, *lists, *tables, *(("events",) if self.pack.each_event else ())])
                self.faults.add(key.mark, f"pack {self.pack.name} has no output {key.text!r}{hint}")
            elif scalar is not None:
                found[key.text] = self.value(scalar, kind or (ref.type if ref else "text"))
        return found

    def line(self, report: Report, node: Node) -> dict[str, Any]:
        """What a test looks at in one line of a report."""
        types = column_types(report)
        found: dict[str, Any] = {}
        block = self.shape.mapping(node, f"a line of {report.name}")
        for key, value in block.entries if block else ():
            kind = types.get(key.text)
            if kind is None:
                hint = did_you_mean(key.text, types)
                self.faults.add(key.mark, f"report {report.name} has no column {key.text!r}{hint}")
            elif kind == "list":
                found[key.text] = [word.text for word in self.shape.words(value, f"`{key.text}`")]
            elif scalar := self.shape.scalar(value, f"`{key.text}`"):
                found[key.text] = self.value(scalar, "number" if kind == "share" else kind)
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
