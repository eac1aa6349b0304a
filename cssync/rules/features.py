"""The `features:` blocks of all packs: one namespace, resolved on demand so that order does not matter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Map

from cssync.rules import members
from cssync.rules.catalogue import (
    ACCOUNT,
    FACTS,
    OUTPUTS,
    READABLE,
    RENEWAL_EVENT,
    SOURCES,
    column_type,
    score_outputs,
    source_column,
    source_columns,
)
from cssync.rules.check import NUMBERS, Scope, expression, typed_lines
from cssync.rules.faults import Mark, Stop, did_you_mean
from cssync.rules.lists import compared, read_lists
from cssync.rules.nodes import Mapping, Node, Scalar, Sequence
from cssync.rules.shape import Shape
from cssync.rules.tree import STANDARD, Aggregate, Expr, Feature, Past, Type
from cssync.rules.winsorise import winsorised

AGGREGATES = ("count", "sum", "avg", "min", "max", "last", "median", "distinct", "most_common", *members.FUNCTIONS)
_BESIDE = (
    *("where", "within", "ending", "older_than", "at_least", "newest_per", "of_which", "max_age", "most", "per", "of"),
)
_LISTING = ("last", "most_common", *members.FUNCTIONS)
MAX_NESTED = 120
"""Levels of an expression together with the features in it: what evaluates one walks down them."""
MAX_CIRCLE = 12
"""Features of a circle that are named."""
MOST_LISTED = 5
"""Values that a feature lists; a sentence with more is not read."""
_NEEDS: Map[str, tuple[str, ...]] = {
    "sum": (*NUMBERS, "money"),
    "avg": NUMBERS,
    "median": NUMBERS,
    "min": (*NUMBERS, "date"),
    "max": (*NUMBERS, "date"),
    **dict.fromkeys(("most_common", *members.FUNCTIONS), ("text",)),
}


class FeatureReader:
    """Reads every feature once, those a formula refers to first; a circle is a fault that names its members."""

    def __init__(self, shape: Shape, tops: Map[str, Mapping], own_lists: list[Mapping] | None = None) -> None:
        self.shape = shape
        self.lists = read_lists(shape, tops, own_lists or [])
        self.faults = shape.faults
        self.tops = tops
        self.declared: dict[str, tuple[Scalar, Node, str]] = {}
        self.found: dict[str, Feature] = {}
        self.failed: set[str] = set()
        self.open: list[str] = []
        self.depth: dict[str, int] = {}
        self.output: Callable[[str, str, Mark], Expr | None] = lambda pack, output, mark: None
        for pack, top in tops.items():
            for key, node in shape.named(top.get("features"), "`features`"):
                self.declare(key, node, pack)

    def read(self, output: Callable[[str, str, Mark], Expr | None]) -> None:
        """Read every feature. output: the reference to a result that a pack declares itself, None if it has none."""
        self.output = output
        for name in self.in_order():
            try:
                self.resolve(name)
            except RecursionError:  # a circle of expressions, each of them nested
                self.open.clear()
                self.failed.add(name)
                self.faults.add(self.declared[name][0].mark, "this feature depends on itself, by way of many others")

    def in_order(self) -> Iterator[str]:
        """Yield the declared features, each after those that it names, so that a chain of thousands is no deep one."""
        names = {n: [w for w in _words(node) if w in self.declared] for n, (_, node, _) in self.declared.items()}
        seen: set[str] = set()
        for first in sorted(self.declared):
            todo = [] if first in seen else [(first, iter(names[first]))]
            seen.add(first)
            while todo:
                name, rest = todo[-1]
                below = next((n for n in rest if n not in seen), None)
                if below is None:
                    todo.pop()
                    yield name
                else:
                    seen.add(below)
                    todo.append((below, iter(names[below])))

    @property
    def names(self) -> list[str]:
        """Every declared feature."""
        return list(self.declared)

    def readable(self, pack: str) -> list[str]:
        """Outputs of a pack's score that expressions may read; none without a score."""
        score = self.tops[pack].get("score") if pack in self.tops else None
        if not isinstance(score, Mapping):
            return []
        found = score_outputs([key.text for key, _ in score.entries])
        return [name for name in READABLE if name in found]

    def models(self, pack: str) -> tuple[str, ...]:
        """Names of the models of a pack's score."""
        score = self.tops[pack].get("score")
        block = score.get("models") if isinstance(score, Mapping) else None
        named = block.entries if isinstance(block, Mapping) else ()
        return (*(key.text for key, _ in named), STANDARD)

    def declared_results(self) -> list[str]:
        """Names of the results that packs declare."""
        blocks = ((pack, top.get("results")) for pack, top in self.tops.items())
        named = [f"{pack}.{key.text}" for pack, b in blocks if isinstance(b, Mapping) for key, _ in b.entries]
        return [*named, *(f"{pack}.tier" for pack in self.tiered)]

    @property
    def tiered(self) -> list[str]:
        """Packs that put out the touch tier; one at most in a sound rule set."""
        return [pack for pack, top in self.tops.items() if top.get("tiers") is not None]

    def declare(self, key: Scalar, node: Node, pack: str) -> None:
        kind = "a built-in fact" if key.text in FACTS else "a column of account" if key.text in ACCOUNT else ""
        if kind:
            self.faults.add(key.mark, f"{key.text!r} is {kind} already; choose another name")
        elif key.text in self.declared:
            first = self.declared[key.text][0].mark
            self.faults.add(
                key.mark, f"feature {key.text!r} is declared twice, first in {first}; it is usable in every pack"
            )
        else:
            self.declared[key.text] = (key, node, pack)

    def reference(self, name: str, mark: Mark) -> Expr | None:
        """Return a reference to a feature or fact, None if there is none. A faulty feature reads as a number."""
        if name in FACTS:
            return Expr("feature", FACTS[name].type, value=name)
        if name not in self.declared:
            return None
        if name in self.open:
            around = self.open[self.open.index(name) :]
            at = around.index(min(around))
            around = [*around[at:], *around[:at]]
            shown = around if len(around) <= MAX_CIRCLE else [*around[:MAX_CIRCLE], "..."]
            raise self.faults.stop(mark, f"this feature depends on itself: {' -> '.join((*shown, around[0]))}")
        found = self.resolve(name)
        if found is None:
            raise Stop(name)  # its own fault is noted
        return Expr("feature", found.type, value=name, values=found.values)

    def resolve(self, name: str) -> Feature | None:
        if name in self.found or name in self.failed:
            return self.found.get(name)
        key, node, pack = self.declared[name]
        self.open.append(name)
        before = len(self.faults.found)
        feature = self.formula(key, node, pack) if isinstance(node, Scalar) else self.aggregate(key, node, pack)
        self.open.pop()
        if feature is not None and isinstance(feature.definition, Expr):
            self.depth[name] = self.nested(feature.definition)
            if self.depth[name] > MAX_NESTED:
                self.faults.add(
                    key.mark, f"with the features in it, this one is nested deeper than {MAX_NESTED} levels"
                )
        if feature is None or len(self.faults.found) > before:
            self.failed.add(name)
            return None
        self.found[name] = feature
        return feature

    def nested(self, e: Expr) -> int:
        """Levels of an expression, those of the features in it included."""
        own = self.depth.get(e.value, 0) if e.op == "feature" else 0
        return 1 + max((own, *map(self.nested, e.args)))

    def formula(self, key: Scalar, node: Scalar, pack: str) -> Feature | None:
        scope = Scope(self.lookup, lambda: [*self.declared, *FACTS, *ACCOUNT], self.lists)
        expr = expression(node, scope, self.faults)
        return Feature(key.text, expr.type, expr, pack, key.mark, expr.values) if expr else None

    def conditional(self, key: Scalar, node: Mapping, pack: str) -> Feature | None:
        """`first:` lines as a feature: one expression whose args are what it needs, then value and condition pairs."""
        what = f"feature {key.text}"
        block = self.shape.block(node, what, ("first", "needs"))
        scope = Scope(self.lookup, lambda: [*self.declared, *FACTS, *ACCOUNT], self.lists)
        lines = typed_lines(self.shape.items(block.get("first") if block else None, "`first`"), scope, self.faults)
        words = self.shape.words(block.get("needs") if block else None, "`needs`")
        needs = [expression(word, scope, self.faults) for word in words]
        if not lines:
            return None
        kinds = {value.type for value, _ in lines}
        if not (len(kinds) == 1 or kinds == set(NUMBERS)):
            self.faults.add(node.mark, f"the lines of {what} give values of different types")
        kind: Type = "number" if kinds == set(NUMBERS) else lines[0][0].type
        pairs = [e for value, condition in lines for e in (value, condition or Expr("bool", "bool", value=True))]
        known = [n for n in needs if n is not None]
        return Feature(key.text, kind, Expr("first", kind, (*known, *pairs), len(known)), pack, key.mark)

    def past(self, key: Scalar, node: Mapping, pack: str) -> Feature | None:
        """`{past: health.score, ago: 14d}` or `{since: health.band}`."""
        what = f"feature {key.text}"
        block = self.shape.block(node, what, ("past", "ago", "since"))
        past, since = (self.shape.scalar(block.get(k), f"`{k}`") if block else None for k in ("past", "since"))
        name = past or since
        if block is None or name is None:
            return None
        ago = self.shape.days(block.get("ago"), "`ago`", 390)
        try:
            known = since is not None and name.text in self.declared_results()
            found = Expr("result", "date", value=name.text) if known else self.result(name.text, name.mark)
        except Stop:
            return None  # noted where the result stands
        if found is None:
            self.faults.add(name.mark, f"there is no result {name.text!r}; results are called `PACK.NAME`")
        elif found.type == "money":
            self.faults.add(name.mark, f"{name.text} is money: the past of an amount is not kept with its currency")
        elif (past is None) == (since is None) or (past is None) != (ago is None):
            self.faults.add(block.mark, "write `{past: PACK.NAME, ago: 14d}` or `{since: PACK.NAME}`")
        else:
            kind: Type = found.type if past else "date"
            return Feature(key.text, kind, Past(name.text, ago), pack, key.mark, found.values if past else ())
        return None

    def lookup(self, name: str, mark: Mark) -> Expr | None:
        return self.reference(name, mark) or account_column(name) or self.result(name, mark)

    def result(self, name: str, mark: Mark) -> Expr | None:
        """Return a reference to an output `<pack>.<output>`, None if there is none."""
        pack, _, output = name.partition(".")
        if output not in self.readable(pack):
            return self.output(pack, output, mark)
        kind, values = OUTPUTS[output]
        values = self.models(pack) if output == "model" else values
        return Expr("result", kind, value=name, values=values)

    def aggregate(self, key: Scalar, node: Node, pack: str) -> Feature | None:
        what = f"feature {key.text}"
        if isinstance(node, Mapping) and node.get("first") is not None:
            return self.conditional(key, node, pack)
        if isinstance(node, Mapping) and (node.get("past") is not None or node.get("since") is not None):
            return self.past(key, node, pack)
        if isinstance(node, Mapping) and node.get("winsorised") is not None:
            return winsorised(self, key, node, pack)
        block = self.shape.block(node, what, (*AGGREGATES, *_BESIDE, "winsorised"))
        if block is None:
            return None
        functions = [(k, v) for k, v in block.entries if k.text in AGGREGATES]
        if len(functions) != 1:
            self.faults.add(block.mark, f"{what} needs one of {', '.join(AGGREGATES)}")
            return None
        function, target = functions[0][0].text, self.shape.scalar(functions[0][1], f"`{functions[0][0].text}`")
        if target is None:
            return None
        source, dot, column = target.text.partition(".")
        if source not in SOURCES:
            self.faults.add(target.mark, f"there is no source {source!r}{did_you_mean(source, SOURCES)}")
            return None
        if bool(dot) == (function == "count"):
            wanted = f"count: {source}" if function == "count" else f"{function}: {source}.COLUMN"
            self.faults.add(target.mark, f"write `{wanted}`")
            return None
        value, metric = self.column(source, column, target) if dot else (None, None)
        if dot and value is None:
            return None
        if value is not None and function in _NEEDS and value.type not in _NEEDS[function]:
            self.faults.add(target.mark, f"{function} does not work on {target.text}, which is a {value.type}")
            return None
        where = self.where(source, block.get("where"), "`where`", metric)
        newest, of_which = self.newest(source, function, block), self.where(source, block.get("of_which"), "`of_which`")
        within = self.shape.days(block.get("within"), "`within`")
        ending = self.shape.days(block.get("ending"), "`ending`")
        if ending is not None and within is None:
            self.faults.add(block.mark, "`ending` shifts a window: it needs `within`, too")
        older = self.shape.hours(block.get("older_than"), "`older_than`")
        at_least = self.shape.whole(block.get("at_least"), "`at_least`", 1, 1_000_000)
        age = self.shape.days(block.get("max_age"), "`max_age`")
        if age is not None and source == "usage":
            self.faults.add(
                block.mark, "usage is as old as its newest day for every feature: set `max_age` of the pack"
            )
        most, per = self.most(function, value, block), self.per_event(source, block)
        of_list = self.of_list(function, block)
        definition = Aggregate(
            function, source, value, where, within, ending or 0, older, at_least or 0, newest, of_which, age, most, per,  # type: ignore[arg-type]
        )  # fmt: skip
        values = _values(function, value) if most == 1 else ()
        if of_list is not None:
            definition = found = members.asked(definition, of_list)
            values = found.members if most == 1 else ()
        return Feature(key.text, _type(function, value), definition, pack, key.mark, values)

    def column(self, source: str, name: str, target: Scalar) -> tuple[Expr | None, str | None]:
        """Return the column to aggregate, and for `usage.<metric>` the metric its rows must have."""
        column = source_column(source, name)
        if column is not None:
            kind = column_type(column)
            return (Expr("column", kind, value=column.name, values=column.values) if kind else None), None
        if source == "usage":
            return Expr("column", "number", value="value"), name
        hint = did_you_mean(name, source_columns(source))
        self.faults.add(target.at(len(source) + 1), f"{source} has no column {name!r}{hint}")
        return None, None

    def most(self, function: str, value: Expr | None, block: Mapping) -> int:
        """Return how many values `last` or `most_common` lists."""
        node = block.get("most")
        if node is not None and (function not in _LISTING or value is None or value.type != "text"):
            names = f"{', '.join(_LISTING[:-1])} or {_LISTING[-1]}"
            self.faults.add(node.mark, f"`most` lists values of a text: write it beside `{names}: SOURCE.COLUMN`")
        return self.shape.whole(node, "`most`", 2, MOST_LISTED) or 1

    def of_list(self, function: str, block: Mapping) -> tuple[str, ...] | None:
        """Return the members that a membership asks for; None for every other aggregate."""
        name = self.shape.scalar(block.get("of"), "`of`")
        if function not in members.FUNCTIONS:
            if name is not None:
                self.faults.add(name.mark, f"`of: LIST` goes with {', '.join(members.FUNCTIONS)}")
            return None
        for key in ("at_least", "newest_per"):
            if block.get(key) is not None:
                self.faults.add(block.mark, f"`{key}` does not go with {function}")
        if name is None:
            self.faults.add(block.mark, f"{function} asks for the members of a list: write `of: LIST` beside it")
        elif name.text not in self.lists:
            hint = did_you_mean(name.text, self.lists)
            self.faults.add(name.mark, f"there is no list {name.text!r}{hint}; declare it in `lists:`")
        found = self.lists.get(name.text, ()) if name else ()
        if name and function != "mentioned" and (fault := compared(found)):
            self.faults.add(name.mark, fault)
        self.faults.spend(block.mark, len(found))
        return found

    def per_event(self, source: str, block: Mapping) -> bool:
        """Whether only the rows of one renewal event count."""
        node = block.get("per")
        if node is not None and source != "opportunities":
            self.faults.add(
                node.mark, f"`per: {RENEWAL_EVENT}` goes with opportunities: {source} have no event of theirs"
            )
        return self.shape.one_of(node, "`per`", (RENEWAL_EVENT,), "") == RENEWAL_EVENT

    def newest(self, source: str, function: str, block: Mapping) -> str | None:
        """Return the column of `newest_per`, under its name in the model."""
        name = self.shape.scalar(block.get("newest_per"), "`newest_per`")
        if name is None:
            if block.get("of_which") is not None:
                self.faults.add(block.mark, "`of_which` looks at the rows that `newest_per` leaves; write `where`")
            return None
        if function in ("last", "median", "most_common"):
            self.faults.add(name.mark, f"`newest_per` does not go with {function}")
        column = source_column(source, name.text)
        if column is None:
            hint = did_you_mean(name.text, source_columns(source))
            self.faults.add(name.mark, f"{source} has no column {name.text!r}{hint}")
        return column.name if column else None

    def where(self, source: str, node: Node | None, what: str, metric: str | None = None) -> Expr | None:
        def find(name: str, _: Mark) -> Expr | None:
            column = source_column(source, name)
            kind = column_type(column) if column else None
            return Expr("column", kind, value=column.name, values=column.values) if column and kind else None

        scalar = self.shape.scalar(node, what)
        scope = Scope(find, lambda: source_columns(source), self.lists)
        where = expression(scalar, scope, self.faults, "bool") if scalar else None
        if metric is None:
            return where
        only = Expr("=", "bool", (Expr("column", "text", value="metric"), Expr("text", "text", value=metric)))
        return only if where is None else Expr("and", "bool", (only, where))


def account_column(name: str) -> Expr | None:
    """Reference to a column of account that rules may read."""
    column = ACCOUNT.get(name)
    kind = column_type(column) if column else None
    return Expr("account", kind, value=name, values=column.values) if column and kind else None


def _type(function: str, column: Expr | None) -> Type:
    if function in ("count", "distinct") or column is None:
        return "integer"
    return "number" if function in ("avg", "median") else column.type


def _values(function: str, column: Expr | None) -> tuple[str, ...]:
    return column.values if column is not None and function != "distinct" else ()


def _words(node: Node) -> list[str]:
    """Words of a feature's texts, which may be names of others."""
    if isinstance(node, Scalar):
        return re.findall(r"\w+", node.text)
    nodes = node.items if isinstance(node, Sequence) else [value for _, value in node.entries]
    return [word for inner in nodes for word in _words(inner)]
