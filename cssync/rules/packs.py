"""Rule files -> checked packs. Every fault of every file is noted before anything stops."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from collections.abc import Mapping as Map

from cssync.rules.catalogue import ACCOUNT, FACTS, MAX_AGE, OUTPUTS, READABLE, SOURCES
from cssync.rules.check import Scope, expression, typed_lines
from cssync.rules.faults import Faults, Mark, Source, Stop, did_you_mean
from cssync.rules.features import FeatureReader, account_column
from cssync.rules.grammar import Syntax, parse
from cssync.rules.packtests import read_tests
from cssync.rules.reader import Mapping, Node, Scalar, read
from cssync.rules.shape import ID, NAME, Shape, places, plain
from cssync.rules.tree import (
    Cap,
    Curve,
    Expr,
    Feature,
    Lines,
    Measure,
    Pack,
    Place,
    Result,
    RuleSet,
    Score,
    Signal,
    TaskRule,
    Template,
    Texts,
    Type,
    used_features,
)

KEYS = (
    "pack",
    "version",
    "accounts",
    "max_age",
    "features",
    "score",
    "results",
    "signals",
    "signal_list",
    "tasks",
    "tests",
)
LATER = frozenset(
    {"for", "models", "hysteresis", "trend", "override", "cooldown", "roll_up", "cadence", "tiers", "hold"}
)
MAX_WEIGHT = 1_000
MAX_BUSINESS_DAYS = 60
RESERVED = ("renewal_event",)
"""Results that the engine itself keeps beside a pack's own."""
PRIORITIES = ("high", "normal", "low")


def read_rules(sources: Iterable[Source]) -> RuleSet:
    """Read rule files into a rule set; the order of the files does not matter.

    Raises:
        ConfigError: all faults of all files at once.
    """
    faults = Faults()
    shape = Shape(faults)
    files: dict[str, tuple[Scalar, Mapping]] = {}
    for source in sources:
        top = read(source, faults)
        if top is None:
            continue
        _keys(top, faults)
        name = shape.scalar(top.get("pack"), "`pack`")
        if name is None:
            faults.add(top.mark, "a rule file begins with `pack: NAME`")
        elif not NAME.fullmatch(name.text):
            faults.add(name.mark, f"{name.text[:60]!r} is not a name: lower-case letters, digits and _")
        elif name.text in files:
            faults.add(name.mark, f"pack {name.text!r} is declared twice, first in {files[name.text][0].mark}")
        else:
            files[name.text] = (name, top)
    features = FeatureReader(shape, {n: top for n, (_, top) in sorted(files.items())})
    packs = {n: _PackReader(shape, features, n, top, tuple(files)).read() for n, (_, top) in sorted(files.items())}
    for pack in packs.values():
        for feature in (features.found[n] for n in used_features(pack, features.found)):
            own = [r for e in _formula(feature) for r in e.names("result") if r.partition(".")[0] == pack.name]
            if own:
                faults.add(feature.mark, f"pack {pack.name!r} uses this feature, which reads {own[0]} of the same pack")
    ordered = _order(packs, features.found, {n: name.mark for n, (name, _) in files.items()}, faults)
    faults.raise_any()
    found = features.found
    return RuleSet(tuple(dataclasses.replace(p, hash=pack_hash(p, found)) for p in ordered), found)


def _keys(top: Mapping, faults: Faults) -> None:
    for key, _ in top.entries:
        if key.text in LATER:
            faults.add(key.mark, f"`{key.text}` is not supported by this version of cssync")
        elif key.text not in KEYS:
            faults.add(key.mark, f"a pack has no key {key.text!r}{did_you_mean(key.text, KEYS)}")


def _formula(feature: Feature) -> tuple[Expr, ...]:
    return (feature.definition,) if isinstance(feature.definition, Expr) else ()


def _order(packs: dict[str, Pack], features: Map[str, Feature], marks: dict[str, Mark], faults: Faults) -> list[Pack]:
    """Packs whose results others read come first; names decide otherwise."""
    needs: dict[str, set[str]] = {}
    for name, pack in packs.items():
        formulas = [e for n in used_features(pack, features) for e in _formula(features[n])]
        needs[name] = {r.partition(".")[0] for e in (*pack.exprs, *formulas) for r in e.names("result")}
    for name, pack in packs.items():
        needs[name] |= {p.name.partition(".")[0] for t in pack.texts for p in t.parts
                        if isinstance(p, Place) and p.kind == "result"}  # fmt: skip
        needs[name].discard(name)
    done: list[Pack] = []
    while len(done) < len(packs):
        names = {p.name for p in done}
        ready = next((n for n in sorted(packs) if n not in names and needs[n] <= names), None)
        if ready is None:
            circle = sorted(set(packs) - names)
            faults.add(marks[circle[0]], f"packs read each other's results in a circle: {', '.join(circle)}")
            return []
        done.append(packs[ready])
    return done


def pack_hash(pack: Pack, features: Map[str, Feature]) -> str:
    """Return 16 hex digits that change when the pack, or a feature it uses, computes something else."""
    bare = dataclasses.replace(pack, file="", tests=(), hash="", features={})
    used = [features[name] for name in used_features(pack, features)]
    return hashlib.sha256(repr((bare, [(f.name, f.type, f.definition) for f in used])).encode()).hexdigest()[:16]


class _PackReader:
    """One file's block -> Pack."""

    def __init__(self, shape: Shape, features: FeatureReader, name: str, top: Mapping, packs: tuple[str, ...]) -> None:
        self.shape = shape
        self.faults = shape.faults
        self.features = features
        self.name = name
        self.top = top
        self.packs = packs
        self.has_score = top.get("score") is not None
        self.scoring = False
        self.scope = Scope(self.find, self.known)

    # --- names ---

    def find(self, name: str, mark: Mark) -> Expr | None:
        if self.scoring and name.partition(".")[0] == self.name and "." in name:
            raise self.faults.stop(mark, f"{name} is computed from this score, which cannot rest on itself")
        return self.features.lookup(name, mark)

    def known(self) -> list[str]:
        return [
            *self.features.names,
            *FACTS,
            *ACCOUNT,
            *(f"{p}.{o}" for p in self.packs if self.features.scored(p) for o in READABLE),
        ]

    def known_name(self, name: str, mark: Mark) -> Expr | None:
        """Resolve a name outside an expression; an unknown one is noted, a faulty feature was noted already."""
        try:
            found = self.find(name, mark)
        except Stop:
            return None
        if found is None:
            self.faults.add(mark, f"there is no feature or column {name!r}{did_you_mean(name, self.known())}")
        return found

    def feature_name(self, name: str, mark: Mark) -> bool:
        """Whether the name is a feature or fact; what is neither is noted."""
        found = self.known_name(name, mark)
        if found is not None and found.op in ("account", "result"):
            self.faults.add(
                mark, f"`needs` names features, and {name} is not one; make it one: `my_{found.op}: {name}`"
            )
            return False
        return found is not None

    # --- parts ---

    def read(self) -> Pack:
        top, shape = self.top, self.shape
        version = shape.whole(top.get("version"), "`version`", 1, 999_999)
        accounts = shape.scalar(top.get("accounts"), "`accounts`")
        only_account = Scope(lambda name, _: account_column(name), lambda: list(ACCOUNT))
        self.scoring = True
        score = self.score(top.get("score"))
        self.scoring = False
        results = tuple(r for k, v in shape.named(top.get("results"), "`results`") if (r := self.output(k, v)))
        signals = tuple(s for k, v in shape.named(top.get("signals"), "`signals`", ID) if (s := self.signal(k, v)))
        listed = shape.scalar(top.get("signal_list"), "`signal_list`")
        pack = Pack(
            name=self.name,
            version=version or 1,
            file=top.mark.source.name,
            accounts=expression(accounts, only_account, self.faults, "bool") if accounts else None,
            max_age=self.max_age(top.get("max_age")),
            features={n: f for n, f in self.features.found.items() if f.pack == self.name},
            score=score,
            results=results,
            signals=signals,
            signal_list=listed.text if listed else "signals",
            tasks=tuple(t for k, v in shape.named(top.get("tasks"), "`tasks`", ID) if (t := self.task(k, v))),
            tests=(),
        )
        outputs = {*(OUTPUTS if score else ()), *RESERVED}
        if listed and (not NAME.fullmatch(listed.text) or listed.text in outputs):
            self.faults.add(listed.mark, f"`signal_list` needs a name of its own, and {listed.text!r} is none")
        taken = {*outputs, *((pack.signal_list,) if signals else ())}
        for result in results:
            if result.name in taken:
                self.faults.add(top.mark, f"result {result.name!r} is already an output of pack {self.name!r}")
        return dataclasses.replace(pack, tests=read_tests(self.top, pack, self.shape, self.find))

    def max_age(self, node: Node | None) -> dict[str, int]:
        found: dict[str, int] = {}
        block = self.shape.block(node, "`max_age`", tuple(SOURCES))
        for key, value in block.entries if block else ():
            if key.text in SOURCES and (days := self.shape.days(value, f"max_age of {key.text}")):
                found[SOURCES[key.text].entity] = days
        return {**MAX_AGE, **found}

    def texts(self, node: Node | None, what: str) -> Texts:
        return {locale: Template(tuple(self.parts(scalar))) for locale, scalar in self.shape.texts(node, what)}

    def parts(self, scalar: Scalar) -> Iterable[str | Place]:
        for before, name, form, mark in places(scalar):
            if before:
                yield before
            if not name:
                continue
            found = self.known_name(name, mark)
            if found is None:
                continue
            if form not in ("", "percent"):
                self.faults.add(mark, f"there is no format {form!r}; known: percent")
            elif form == "percent" and found.type not in ("integer", "number"):
                self.faults.add(mark, f"{name} is no number, so it cannot be shown as percent")
            else:
                kind = {"account": "account", "result": "result"}.get(found.op, "feature")
                yield Place(name, found.type, form, kind)  # type: ignore[arg-type]

    def expr(self, node: Node | None, what: str, want: Type | None) -> Expr | None:
        scalar = self.shape.scalar(node, what)
        return expression(scalar, self.scope, self.faults, want) if scalar else None

    def lines(
        self, node: Node, what: str, words: tuple[str, ...], want: Type | None
    ) -> tuple[tuple[Expr, Expr | None], ...]:
        return typed_lines(self.shape.items(node, what), self.scope, self.faults, words, want)

    # --- score ---

    def score(self, node: Node | None) -> Score | None:
        block = self.shape.block(node, "`score`", ("measures", "coverage", "caps", "bands"), ("measures", "bands"))
        if block is None:
            return None
        measures = tuple(
            m for k, v in self.shape.named(block.get("measures"), "`measures`") if (m := self.measure(k, v))
        )
        if not measures:
            self.faults.add(block.mark, "a score needs at least one measure")
        caps = tuple(c for n in self.shape.items(block.get("caps"), "`caps`") if (c := self.cap(n)))
        coverage = self.shape.percent(block.get("coverage"), "`coverage`")
        return Score(measures, 50 if coverage is None else coverage, caps, self.bands(block.get("bands")))

    def bands(self, node: Node | None) -> tuple[tuple[str, int], ...]:
        block = self.shape.block(node, "`bands`", ("red", "yellow", "green"), ("red", "yellow", "green"))
        bounds = [
            (k.text, v) for k, n in (block.entries if block else ())
            if (v := self.shape.whole(n, f"bound of {k.text}", 0, 100)) is not None
        ]  # fmt: skip
        order = sorted(bounds, key=lambda b: -b[1])
        if block and len(order) == 3 and ([b[0] for b in order] != ["green", "yellow", "red"] or order[-1][1] != 0):
            self.faults.add(block.mark, "bands need red: 0 < yellow < green, each its lower bound")
        return tuple(order)

    def measure(self, key: Scalar, node: Node) -> Measure | None:
        what = f"measure {key.text}"
        known = ("weight", "curve", "first", "needs", "missing", "applies", "label", "because")
        self.later(node, what)
        block = self.shape.block(node, what, known, ("weight",))
        if block is None:
            return None
        weight = self.shape.whole(block.get("weight"), f"weight of {what}", 1, MAX_WEIGHT)
        curve, first = block.get("curve"), block.get("first")
        if (curve is None) == (first is None):
            self.faults.add(block.mark, f"{what} needs either `curve:` or `first:`")
            return None
        rule = self.curve(curve, what) if curve is not None else self.first(block, first, what)
        applies = self.expr(block.get("applies"), f"`applies` of {what}", "bool")
        missing = self.shape.one_of(block.get("missing"), "`missing`", ("unknown", "ignore"), "unknown")
        label = plain(self.shape.texts(block.get("label"), "`label`")) or {
            "en": Template((key.text.replace("_", " "),))
        }
        if weight is None or rule is None:
            return None
        because = self.texts(block.get("because"), "`because`")
        return Measure(key.text, weight, rule, missing, applies, label, because)  # type: ignore[arg-type]

    def first(self, block: Mapping, node: Node | None, what: str) -> Lines | None:
        if node is None:
            return None
        lines = self.lines(node, f"`first` of {what}", (), "integer")
        for value, _ in lines:
            if value.op != "number" or not 0 <= value.value <= 100:
                self.faults.add(node.mark, f"{what} gives whole numbers from 0 to 100")
        words = self.shape.words(block.get("needs"), f"`needs` of {what}")
        needs = tuple(w.text for w in words if self.feature_name(w.text, w.mark))
        return Lines(lines, needs) if lines else None

    def curve(self, node: Node, what: str) -> Curve | None:
        block = self.shape.block(node, f"curve of {what}", ("of", "at"), ("of", "at"))
        if block is None:
            return None
        of = self.expr(block.get("of"), f"`of` of {what}", "number")
        at = self.shape.mapping(block.get("at"), f"`at` of {what}")
        points: list[tuple[float, int]] = []
        for key, value in at.entries if at else ():
            x = _number(parse(key, self.faults))
            y = self.shape.whole(value, "a score", 0, 100)
            if x is None:
                self.faults.add(key.mark, "a point of a curve is `number: score`")
            elif points and x <= points[-1][0]:
                self.faults.add(key.mark, "points of a curve stand in ascending order")
            elif y is not None:
                points.append((x, y))
        if at is not None and len(points) < 2:
            self.faults.add(at.mark, "a curve needs at least two points")
            return None
        return Curve(of, tuple(points)) if of is not None else None

    def cap(self, node: Node) -> Cap | None:
        block = self.shape.block(node, "a cap", ("at_most", "when", "because"), ("at_most", "when", "because"))
        if block is None:
            return None
        at_most = self.shape.whole(block.get("at_most"), "`at_most`", 0, 100)
        when = self.expr(block.get("when"), "`when`", "bool")
        because = self.texts(block.get("because"), "`because`")
        return Cap(at_most, when, because) if at_most is not None and when is not None else None

    # --- results, signals, tasks ---

    def later(self, node: Node, what: str) -> None:
        """Name keys of a coming version instead of calling them unknown."""
        for key, _ in node.entries if isinstance(node, Mapping) else ():
            if key.text in LATER:
                self.faults.add(key.mark, f"`{key.text}` of {what} is not supported by this version of cssync")

    def output(self, key: Scalar, node: Node) -> Result | None:
        what = f"result {key.text}"
        if isinstance(node, Scalar):
            value = self.expr(node, what, None)
            return Result(key.text, value.type, value, value.values, key.text, "") if value else None
        block = self.shape.block(node, what, ("value", "first", "options", "label", "describe"))
        if block is None:
            return None
        options = tuple(s.text for s in self.shape.words(block.get("options"), "`options`"))
        label = self.shape.scalar(block.get("label"), "`label`")
        describe = self.shape.scalar(block.get("describe"), "`describe`")
        about = (label.text if label else key.text, describe.text if describe else "")
        value, first = self.expr(block.get("value"), what, None), block.get("first")
        if (block.get("value") is None) == (first is None):
            self.faults.add(block.mark, f"{what} needs either `value:` or `first:`")
        if value is not None:
            return Result(key.text, value.type, value, options or value.values, *about)
        if first is None:
            return None
        lines = self.lines(first, what, options, None)
        if len({v.type for v, _ in lines}) > 1:
            self.faults.add(first.mark, f"the lines of {what} give values of different types")
        return Result(key.text, lines[0][0].type, Lines(lines), options, *about) if lines else None

    def signal(self, key: Scalar, node: Node) -> Signal | None:
        what = f"signal {key.text}"
        self.later(node, what)
        known = ("when", "because", "label", *(k for k in LATER if isinstance(node, Mapping) and node.get(k)))
        block = self.shape.block(node, what, known, ("when", "because"))
        if block is None:
            return None
        when = self.expr(block.get("when"), f"`when` of {what}", "bool")
        label = plain(self.shape.texts(block.get("label"), "`label`")) or {"en": Template((key.text,))}
        because = self.texts(block.get("because"), "`because`")
        return Signal(key.text, when, because, label) if when is not None else None

    def task(self, key: Scalar, node: Node) -> TaskRule | None:
        what = f"task {key.text}"
        self.later(node, what)
        known = ("when", "once_per", "title", "body", "due", "owner", "priority", "done_when")
        block = self.shape.block(node, what, (*known, *(k for k in LATER if isinstance(node, Mapping) and node.get(k))),
                                 ("when", "once_per", "title", "due"))  # fmt: skip
        if block is None:
            return None
        times = ("renewal_event", "month", "quarter", "year", "episode")
        when = self.expr(block.get("when"), f"`when` of {what}", "bool")
        due = self.due(block.get("due"), what)
        priority = block.get("priority")
        first = priority.get("first") if isinstance(priority, Mapping) else None
        if first is not None:
            lines = Lines(self.lines(first, f"priority of {what}", PRIORITIES, None))
        else:
            word = self.shape.one_of(priority, "`priority`", PRIORITIES, "normal")
            lines = Lines(((Expr("text", "text", value=word), None),))
        once = self.shape.one_of(block.get("once_per"), "`once_per`", times, "episode")
        owner = self.shape.one_of(block.get("owner"), "`owner`", ("csm", "owner"), "csm")
        done = self.expr(block.get("done_when"), f"`done_when` of {what}", "bool")
        title, body = self.texts(block.get("title"), "`title`"), self.texts(block.get("body"), "`body`")
        if when is None or due is None:
            return None
        return TaskRule(key.text, when, once, title, body, due, owner, lines, done)  # type: ignore[arg-type]

    def due(self, node: Node | None, what: str) -> Expr | None:
        """A date expression, or `in N business days` counted from the day the task is raised."""
        scalar = self.shape.scalar(node, f"`due` of {what}")
        words = scalar.text.split() if scalar else []
        if (
            scalar
            and len(words) == 4
            and words[0] == "in"
            and words[2:] == ["business", "days"]
            and words[1].isdecimal()
        ):
            days = int(words[1][:4])
            if days > MAX_BUSINESS_DAYS:
                self.faults.add(scalar.mark, f"`due` of {what} is at most {MAX_BUSINESS_DAYS} business days ahead")
            return Expr("business_days", "date", value=min(days, MAX_BUSINESS_DAYS))
        return expression(scalar, self.scope, self.faults, "date") if scalar else None


def _number(syntax: Syntax | None) -> float | None:
    sign = -1 if syntax and syntax.op == "negative" else 1
    inner = syntax.args[0] if syntax and syntax.op == "negative" else syntax
    return sign * float(inner.value) if inner is not None and inner.op == "number" else None
