"""The `score:` block of a pack: measures, caps, bands."""

from __future__ import annotations

from cssync.rules.grammar import Syntax, parse
from cssync.rules.parts import PartReader
from cssync.rules.reader import Mapping, Node, Scalar
from cssync.rules.shape import plain
from cssync.rules.tree import Cap, Curve, Lines, Measure, Score, Template

MAX_WEIGHT = 1_000


class ScoreReader:
    """`score:` block -> Score; faults are noted."""

    def __init__(self, parts: PartReader) -> None:
        self.parts = parts
        self.shape = parts.shape
        self.faults = parts.faults

    def read(self, node: Node | None) -> Score | None:
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
        self.parts.later(node, what)
        block = self.shape.block(node, what, known, ("weight",))
        if block is None:
            return None
        weight = self.shape.whole(block.get("weight"), f"weight of {what}", 1, MAX_WEIGHT)
        curve, first = block.get("curve"), block.get("first")
        if (curve is None) == (first is None):
            self.faults.add(block.mark, f"{what} needs either `curve:` or `first:`")
            return None
        rule = self.curve(curve, what) if curve is not None else self.first(block, first, what)
        applies = self.parts.expr(block.get("applies"), f"`applies` of {what}", "bool")
        missing = self.shape.one_of(block.get("missing"), "`missing`", ("unknown", "ignore"), "unknown")
        label = plain(self.shape.texts(block.get("label"), "`label`")) or {
            "en": Template((key.text.replace("_", " "),))
        }
        if weight is None or rule is None:
            return None
        because = self.parts.texts(block.get("because"), "`because`")
        return Measure(key.text, weight, rule, missing, applies, label, because)  # type: ignore[arg-type]

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


def _number(syntax: Syntax | None) -> float | None:
    sign = -1 if syntax and syntax.op == "negative" else 1
    inner = syntax.args[0] if syntax and syntax.op == "negative" else syntax
    return sign * float(inner.value) if inner is not None and inner.op == "number" else None
