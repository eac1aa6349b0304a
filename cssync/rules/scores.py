"""The `score:` block of a pack: measures, models, caps, and how the band follows the score."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from cssync.model import BANDS
from cssync.rules.catalogue import ACCOUNT
from cssync.rules.faults import did_you_mean
from cssync.rules.features import account_column
from cssync.rules.grammar import Syntax, parse
from cssync.rules.nodes import Mapping, Node, Scalar
from cssync.rules.parts import PartReader
from cssync.rules.shape import plain
from cssync.rules.tree import (
    STANDARD,
    Bounds,
    Cap,
    Curve,
    Hysteresis,
    Lines,
    Measure,
    Model,
    Override,
    Score,
    Template,
    Trend,
    Type,
)

KEYS = ("measures", "coverage", "caps", "bands", "models", "hysteresis", "override", "trend", "roll_up")
ROLL_UPS = ("arr_weighted", "simple_mean", "worst")
MAX_WEIGHT = 1_000
MAX_HOLD = 30
MAX_TREND = 365


class ScoreReader:
    """`score:` block -> Score; faults are noted."""

    def __init__(self, parts: PartReader) -> None:
        self.parts = parts
        self.shape = parts.shape
        self.faults = parts.faults

    def read(self, node: Node | None) -> Score | None:
        block = self.shape.block(node, "`score`", KEYS, ("measures", "bands"))
        if block is None:
            return None
        measures = tuple(
            m for k, v in self.shape.named(block.get("measures"), "`measures`") if (m := self.measure(k, v))
        )
        if not measures:
            self.faults.add(block.mark, "a score needs at least one measure")
        caps = tuple(c for n in self.shape.items(block.get("caps"), "`caps`") if (c := self.cap(n)))
        roll_up = self.shape.one_of(block.get("roll_up"), "`roll_up`", ROLL_UPS, "")
        return Score(
            measures,
            self.models(block, measures),
            caps,
            self.hysteresis(block.get("hysteresis")),
            self.override(block.get("override")),
            self.trend(block.get("trend")),
            roll_up or None,  # type: ignore[arg-type]
        )

    # --- models ---

    def models(self, block: Mapping, measures: tuple[Measure, ...]) -> tuple[Model, ...]:
        coverage = self.shape.percent(block.get("coverage"), "`coverage`")
        own = {m.name: m.weight for m in measures}
        declared = [k.text for k, _ in entries(block.get("measures"))]
        standard = Model(STANDARD, None, own, self.bands(block.get("bands")), 50 if coverage is None else coverage)
        if own and not any(own.values()):
            self.faults.add(block.mark, "every measure has weight 0: nothing would count")
        named = self.shape.named(block.get("models"), "`models`")
        return (*(m for k, v in named if (m := self.model(k, v, standard, declared))), standard)

    def model(self, key: Scalar, node: Node, standard: Model, measures: list[str]) -> Model | None:
        what = f"model {key.text}"
        if key.text == STANDARD:
            self.faults.add(key.mark, "`standard` is the model of the measures' own weights; choose another name")
        block = self.shape.block(node, what, ("when", "weights", "bands", "coverage"), ("when",))
        if block is None:
            return None
        when = self.parts.expr(block.get("when"), f"`when` of {what}", "bool")
        weights = dict(standard.weights)
        given = self.shape.mapping(block.get("weights"), f"`weights` of {what}")
        for name, value in given.entries if given else ():
            if name.text not in measures:
                self.faults.add(name.mark, f"there is no measure {name.text!r}{did_you_mean(name.text, measures)}")
            elif (weight := self.weight(value, f"{name.text} in {what}")) is not None and name.text in weights:
                weights[name.text] = weight
        if weights and not any(weights.values()):
            self.faults.add(key.mark, f"every measure has weight 0 in {what}: nothing would count")
        if all(block.get(k) is None for k in ("weights", "bands", "coverage")):
            self.faults.add(key.mark, f"{what} changes nothing: give it `weights:`, `bands:` or `coverage:`")
        bands = self.bands(block.get("bands")) if block.get("bands") is not None else standard.bands
        coverage = self.shape.percent(block.get("coverage"), f"`coverage` of {what}")
        if when is None:
            return None
        return Model(key.text, when, weights, bands, standard.coverage if coverage is None else coverage)

    def bands(self, node: Node | None) -> Bounds:
        block = self.shape.block(node, "`bands`", ("red", "yellow", "green"), ("red", "yellow", "green"))
        bounds = [
            (k.text, v) for k, n in (block.entries if block else ())
            if (v := self.shape.whole(n, f"bound of {k.text}", 0, 100)) is not None
        ]  # fmt: skip
        order = sorted(bounds, key=lambda b: (-b[1], BANDS.index(b[0]) if b[0] in BANDS else 0))
        ascending = len({v for _, v in order}) == 3
        right = ascending and [b[0] for b in order] == ["green", "yellow", "red"] and order[-1][1] == 0
        if block and len(order) == 3 and not right:
            self.faults.add(block.mark, "bands need red: 0 < yellow < green, each its lower bound")
        return tuple(order)

    # --- what follows a score over time ---

    def hysteresis(self, node: Node | None) -> Hysteresis:
        block = self.shape.block(node, "`hysteresis`", ("margin", "confirm"), ("margin", "confirm"))
        if block is None:
            return Hysteresis()
        margin = self.shape.whole(block.get("margin"), "`margin`", 0, 50)
        confirm = self.shape.days(block.get("confirm"), "`confirm`", 60)
        if confirm == 0:
            self.faults.add(block.mark, "`confirm` is at least 1d: the day itself")
        return Hysteresis(margin or 0, confirm or 1)

    def override(self, node: Node | None) -> Override | None:
        kinds: dict[str, Type] = {"band": "text", "reason": "text", "until": "date"}
        block = self.shape.block(node, "`override`", tuple(kinds), tuple(kinds))
        if block is None:
            return None
        found = [self.column(block.get(key), key, kind) for key, kind in kinds.items()]
        return Override(*(name for name in found if name)) if all(found) else None

    def column(self, node: Node | None, key: str, kind: Type) -> str | None:
        """Return the column of account that a part of an override is read from."""
        scalar = self.shape.scalar(node, f"`{key}` of `override`")
        if scalar is None:
            return None
        column = account_column(scalar.text)
        if column is None:
            hint = did_you_mean(scalar.text, ACCOUNT)
            self.faults.add(scalar.mark, f"`{key}` of `override` is a column of account, not {scalar.text!r}{hint}")
        elif column.type != kind:
            self.faults.add(scalar.mark, f"`{key}` of `override` is a {kind}, {scalar.text} is a {column.type}")
        elif key == "band" and not {"red", "yellow", "green"} >= set(column.values) > set():
            self.faults.add(scalar.mark, f"`band` of `override` holds red, yellow or green; {scalar.text} does not")
        else:
            return scalar.text
        return None

    def trend(self, node: Node | None) -> Trend | None:
        keys = ("window", "before", "improving", "declining")
        block = self.shape.block(node, "`trend`", keys, keys)
        if block is None:
            return None
        window = self.shape.days(block.get("window"), "`window`", MAX_TREND)
        before = self.shape.days(block.get("before"), "`before`", MAX_TREND)
        improving = self.shape.whole(block.get("improving"), "`improving`", 1, 100)
        declining = self.points(block.get("declining"))
        if window is None or before is None or improving is None or declining is None:
            return None
        if window < 3:
            self.faults.add(block.mark, "`window` is at least 3d: a median of fewer days says nothing")
        if before < window:
            self.faults.add(block.mark, "`before` is at least as long as `window`, or the two windows share days")
        return Trend(window, before, improving, declining)

    def points(self, node: Node | None) -> int | None:
        scalar = self.shape.scalar(node, "`declining`")
        value = _number(parse(scalar, self.faults)) if scalar else None
        if scalar is not None and (value is None or value != int(value) or not -100 <= value <= -1):
            self.faults.add(scalar.mark, "`declining` is a whole number from -100 to -1")
            return None
        return None if value is None else int(value)

    # --- measures ---

    def weight(self, node: Node | None, what: str) -> int | None:
        return self.shape.whole(node, f"weight of {what}", 0, MAX_WEIGHT)

    def missing(self, node: Node | None) -> tuple[str, int]:
        """`unknown`, `ignore`, or `hold 7d` and its days."""
        scalar = self.shape.scalar(node, "`missing`")
        words = scalar.text.split() if scalar else []
        if scalar is None or len(words) != 2 or words[0] != "hold":
            if words == ["hold"] and scalar is not None:
                self.faults.add(scalar.mark, "`missing: hold` needs its days, such as `hold 7d`")
                return "unknown", 0
            return self.shape.one_of(node, "`missing`", ("unknown", "ignore"), "unknown"), 0
        days = self.shape.days(dataclasses.replace(scalar, text=words[1]), "`hold`", MAX_HOLD)
        if days == 0:
            self.faults.add(scalar.mark, "`hold` is at least 1d")
        return "hold", days or 1

    def measure(self, key: Scalar, node: Node) -> Measure | None:
        what = f"measure {key.text}"
        known = ("weight", "curve", "first", "needs", "missing", "applies", "label", "because")
        block = self.shape.block(node, what, known, ("weight",))
        if block is None:
            return None
        weight = self.weight(block.get("weight"), what)
        curve, first = block.get("curve"), block.get("first")
        if (curve is None) == (first is None):
            self.faults.add(block.mark, f"{what} needs either `curve:` or `first:`")
            return None
        rule = self.curve(curve, what) if curve is not None else self.first(block, first, what)
        applies = self.parts.expr(block.get("applies"), f"`applies` of {what}", "bool")
        missing, hold = self.missing(block.get("missing"))
        label = plain(self.shape.texts(block.get("label"), "`label`")) or {
            "en": Template((key.text.replace("_", " "),))
        }
        if weight is None or rule is None:
            return None
        because = self.parts.texts(block.get("because"), "`because`")
        return Measure(key.text, weight, rule, missing, applies, label, because, hold)  # type: ignore[arg-type]

    def first(self, block: Mapping, node: Node | None, what: str) -> Lines | None:
        if node is None:
            return None
        lines = self.parts.lines(node, f"`first` of {what}", (), "integer")
        for value, _ in lines:
            if value.op != "number" or not 0 <= value.value <= 100:
                self.faults.add(node.mark, f"{what} gives whole numbers from 0 to 100")
        words = self.shape.words(block.get("needs"), f"`needs` of {what}")
        needs = tuple(w.text for w in words if self.parts.feature_name(w.text, w.mark))
        return Lines(lines, needs) if lines else None

    def curve(self, node: Node, what: str) -> Curve | None:
        block = self.shape.block(node, f"curve of {what}", ("of", "at"), ("of", "at"))
        if block is None:
            return None
        of = self.parts.expr(block.get("of"), f"`of` of {what}", "number")
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
        when = self.parts.expr(block.get("when"), "`when`", "bool")
        because = self.parts.texts(block.get("because"), "`because`")
        return Cap(at_most, when, because) if at_most is not None and when is not None else None


def entries(node: Node | None) -> Iterable[tuple[Scalar, Node]]:
    """Entries of a block; none of anything else."""
    return node.entries if isinstance(node, Mapping) else ()


def _number(syntax: Syntax | None) -> float | None:
    sign = -1 if syntax and syntax.op == "negative" else 1
    inner = syntax.args[0] if syntax and syntax.op == "negative" else syntax
    return sign * float(inner.value) if inner is not None and inner.op == "number" else None
