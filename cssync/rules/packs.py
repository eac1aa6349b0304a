"""Rule files -> checked packs. Every fault of every file is noted before anything stops."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from collections.abc import Mapping as Map

from cssync.model.columns import TIERS
from cssync.rules.actions import ActionReader
from cssync.rules.catalogue import ACCOUNT, MAX_AGE, OUTPUTS, RENEWAL_EVENT, SOURCES
from cssync.rules.check import Scope, expression
from cssync.rules.faults import Enough, Faults, Mark, Source, Stop, did_you_mean
from cssync.rules.features import FeatureReader, account_column
from cssync.rules.nodes import Mapping, Node, Scalar
from cssync.rules.parts import PartReader
from cssync.rules.reader import read
from cssync.rules.reports import ReportReader
from cssync.rules.scores import ScoreReader
from cssync.rules.shape import ID, NAME, Shape
from cssync.rules.testreader import read_tests
from cssync.rules.tiers import OUTPUTS as TIER_OUTPUTS
from cssync.rules.tiers import TIER, read_tiers
from cssync.rules.tree import (
    OF_EVENT,
    Expr,
    Feature,
    Lines,
    Pack,
    Past,
    Place,
    Result,
    RuleSet,
    used_features,
)

KEYS = (
    "pack",
    "version",
    "accounts",
    "for_each",
    "max_age",
    "lists",
    "features",
    "tiers",
    "score",
    "results",
    "signals",
    "signal_list",
    "tasks",
    "reports",
    "tests",
)
SUMMED = ("money", "integer")
"""Types of results that are added up over renewal events."""
RESERVED = ("renewal_event",)
"""Results that the engine itself keeps beside a pack's own."""


def read_rules(sources: Iterable[Source]) -> RuleSet:
    """Read rule files into a rule set; the order of the files does not matter.

    Raises:
        ConfigError: all faults of all files at once.
    """
    faults = Faults()
    try:
        return _read(tuple(sources), faults)
    except Enough:
        faults.raise_any()
        raise


def _read(texts: tuple[Source, ...], faults: Faults) -> RuleSet:
    shape = Shape(faults)
    files: dict[str, tuple[Scalar, Mapping]] = {}
    own_lists: list[Mapping] = []
    for source in texts:
        top = read(source, faults)
        if top is None:
            continue
        _keys(top, faults)
        name = shape.scalar(top.get("pack"), "`pack`")
        if name is None and [key.text for key, _ in top.entries] == ["lists"]:
            own_lists.append(top)
        elif name is None:
            faults.add(top.mark, "a rule file begins with `pack: NAME`, or holds `lists:` alone")
        elif not NAME.fullmatch(name.text):
            faults.add(name.mark, f"{name.text[:60]!r} is not a name: lower-case letters, digits and _")
        elif name.text in files:
            faults.add(name.mark, f"pack {name.text!r} is declared twice, first in {files[name.text][0].mark}")
        else:
            files[name.text] = (name, top)
    features = FeatureReader(shape, {n: top for n, (_, top) in sorted(files.items())}, own_lists)
    readers = {n: _PackReader(shape, features, n, top, tuple(files)) for n, (_, top) in sorted(files.items())}
    features.read(lambda pack, output, mark: readers[pack].reference(output, mark) if pack in readers else None)
    packs = {n: reader.read() for n, reader in readers.items()}
    used = {n: [features.found[f] for f in used_features(pack, features.found)] for n, pack in packs.items()}
    for pack in packs.values():
        for feature in used[pack.name]:
            own = [r for e in _formula(feature) for r in e.names("result") if r.partition(".")[0] == pack.name]
            if own:
                faults.add(feature.mark, f"pack {pack.name!r} uses this feature, which reads {own[0]} of the same pack")
    _one_with_tiers(packs, {n: top for n, (_, top) in files.items()}, faults)
    ordered = _order(packs, used, {n: name.mark for n, (name, _) in files.items()}, faults)
    faults.raise_any()
    found = features.found
    return RuleSet(tuple(dataclasses.replace(p, hash=pack_hash(p, found)) for p in ordered), found, texts)


def _keys(top: Mapping, faults: Faults) -> None:
    for key, _ in top.entries:
        if key.text not in KEYS:
            faults.add(key.mark, f"a pack has no key {key.text!r}{did_you_mean(key.text, KEYS)}")


def _one_with_tiers(packs: Map[str, Pack], tops: Map[str, Mapping], faults: Faults) -> None:
    several = [n for n, pack in packs.items() if pack.tiers is not None]
    for name in several[1:]:
        key = next(k for k, _ in tops[name].entries if k.text == "tiers")
        faults.add(key.mark, f"only one pack has `tiers:`, and {several[0]!r} has it already")


def _formula(feature: Feature) -> tuple[Expr, ...]:
    return (feature.definition,) if isinstance(feature.definition, Expr) else ()


def _order(packs: dict[str, Pack], used: Map[str, list[Feature]], marks: dict[str, Mark], faults: Faults) -> list[Pack]:
    """Packs whose results others read come first; names decide otherwise."""
    needs: dict[str, set[str]] = {}
    for name, pack in packs.items():
        formulas = [e for feature in used[name] for e in _formula(feature)]
        needs[name] = {r.partition(".")[0] for e in (*pack.exprs, *formulas) for r in e.names("result")}
        pasts = (feature.definition for feature in used[name])
        needs[name] |= {p.result.partition(".")[0] for p in pasts if isinstance(p, Past)}
    for name, pack in packs.items():
        needs[name] |= {p.name.partition(".")[0] for t in pack.texts for p in t.parts
                        if isinstance(p, Place) and p.kind == "result"}  # fmt: skip
        formulas = [e for feature in used[name] for e in _formula(feature)]
        if any("touch_tier" in e.names("account") for e in (*pack.exprs, *formulas)):  # which such a pack fills
            needs[name] |= {n for n, other in packs.items() if other.tiers is not None}
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
    bare = dataclasses.replace(pack, file="", tests=(), hash="", features={}, reports=())
    used = [features[name] for name in used_features(pack, features)]
    return hashlib.sha256(repr((bare, [(f.name, f.type, f.definition) for f in used])).encode()).hexdigest()[:16]


class _PackReader(PartReader):
    """One file's block -> Pack."""

    def __init__(self, shape: Shape, features: FeatureReader, name: str, top: Mapping, packs: tuple[str, ...]) -> None:
        super().__init__(shape, features, name, packs)
        self.top = top
        self.outputs: dict[str, Result | None] = {}
        self.reading = False

    def read(self) -> Pack:
        top, shape = self.top, self.shape
        version = shape.whole(top.get("version"), "`version`", 1, 999_999)
        accounts = shape.scalar(top.get("accounts"), "`accounts`")
        only_account = Scope(lambda name, _: account_column(name), lambda: list(ACCOUNT))
        self.scoring = True
        score = ScoreReader(self).read(top.get("score"))
        self.scoring = False
        results = tuple(r for k, v in shape.named(top.get("results"), "`results`") if (r := self.resolve(k, v)))
        each = shape.one_of(top.get("for_each"), "`for_each`", ("account", RENEWAL_EVENT), "account") == RENEWAL_EVENT
        actions, tables = ActionReader(self), ReportReader(self)
        signals = tuple(s for k, v in shape.named(top.get("signals"), "`signals`", ID) if (s := actions.signal(k, v)))
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
            tasks=tuple(a for k, v in shape.named(top.get("tasks"), "`tasks`", ID) if (a := actions.task(k, v))),
            tests=(),
            tiers=read_tiers(self, top.get("tiers")),
            reports=tuple(t for k, v in shape.named(top.get("reports"), "`reports`", ID) if (t := tables.report(k, v))),
            each_event=each,
        )
        self.check_events(pack)
        outputs = {*(OUTPUTS if score else ()), *RESERVED, *(TIER_OUTPUTS if pack.tiers else ())}
        if listed and (not NAME.fullmatch(listed.text) or listed.text in outputs):
            self.faults.add(listed.mark, f"`signal_list` needs a name of its own, and {listed.text!r} is none")
        taken = {*outputs, *((pack.signal_list,) if signals else ())}
        for result in results:
            if result.name in taken:
                self.faults.add(top.mark, f"result {result.name!r} is already an output of pack {self.name!r}")
        return dataclasses.replace(pack, tests=read_tests(self.top, pack, self.shape, self.find))

    def check_events(self, pack: Pack) -> None:
        """Note what does not go with the events of the pack, or with their absence."""
        for result in (r for r in pack.results if r.summed):
            if not pack.each_event:
                why = f"needs a pack with `for_each: {RENEWAL_EVENT}`"
            elif result.type in SUMMED:
                continue
            else:
                why = f"adds up money and whole numbers, and this is a {result.type}"
            self.faults.add(self.top.mark, f"`sum_over` of result {result.name} {why}")
        if not pack.each_event:
            return
        for key in ("score", "signals", "tiers"):
            if self.top.get(key) is not None:
                why = "says something of an account as a whole: put it into a pack without `for_each`"
                self.faults.add(self.top.mark, f"`{key}:` {why}")
        for task in pack.tasks:
            if task.for_days and task.once_per in OF_EVENT:
                why = (
                    "is raised for each renewal event, of which nobody keeps how long its `when` holds: it has no `for`"
                )
                self.faults.add(self.top.mark, f"task {task.name} {why}")

    def max_age(self, node: Node | None) -> dict[str, int]:
        found: dict[str, int] = {}
        block = self.shape.block(node, "`max_age`", tuple(SOURCES))
        for key, value in block.entries if block else ():
            if key.text in SOURCES and (days := self.shape.days(value, f"max_age of {key.text}")):
                found[SOURCES[key.text].entity] = days
        return {**MAX_AGE, **found}

    # --- results ---

    def reference(self, output: str, mark: Mark) -> Expr | None:
        """Return a reference to a result of this pack, None if it declares none of that name."""
        if output == TIER and self.top.get("tiers") is not None:
            return Expr("result", "text", value=f"{self.name}.{TIER}", values=TIERS)
        block = self.top.get("results")
        key = next((k for k, _ in block.entries if k.text == output), None) if isinstance(block, Mapping) else None
        node = block.get(output) if isinstance(block, Mapping) else None
        if key is None or node is None:
            return None
        if self.reading:
            hint = "name a feature that both rest on"
            raise self.faults.stop(mark, f"a result cannot rest on {self.name}.{output}, of its own pack: {hint}")
        found = self.resolve(key, node)
        if found is None:
            raise Stop(output)  # its own fault is noted
        if found.type == "money":
            raise self.faults.stop(mark, f"{self.name}.{output} is money without its currency: name what it comes from")
        return Expr("result", found.type, value=f"{self.name}.{output}", values=found.options)

    def resolve(self, key: Scalar, node: Node) -> Result | None:
        """Read a result once, wherever it is first named."""
        if key.text not in self.outputs:
            scoring, self.scoring, self.reading = self.scoring, False, True
            before = len(self.faults.found)
            found = self.output(key, node)
            self.outputs[key.text] = found if len(self.faults.found) == before else None
            self.scoring, self.reading = scoring, False
        return self.outputs[key.text]

    def output(self, key: Scalar, node: Node) -> Result | None:
        what = f"result {key.text}"
        if isinstance(node, Scalar):
            value = self.expr(node, what, None)
            return Result(key.text, value.type, value, value.values, key.text, "") if value else None
        block = self.shape.block(node, what, ("value", "first", "options", "label", "describe", "field", "sum_over"))
        if block is None:
            return None
        options = tuple(s.text for s in self.shape.words(block.get("options"), "`options`"))
        label = self.shape.scalar(block.get("label"), "`label`")
        describe = self.shape.scalar(block.get("describe"), "`describe`")
        field = self.shape.scalar(block.get("field"), "`field`")
        if field is not None and not NAME.fullmatch(field.text):
            self.faults.add(field.mark, f"{field.text[:60]!r} is no name of a field: lower-case letters, digits and _")
        summed = self.shape.one_of(block.get("sum_over"), "`sum_over`", ("renewal_events",), "") != ""
        about = (
            label.text if label else key.text,
            describe.text if describe else "",
            field.text if field else "",
            summed,
        )
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
