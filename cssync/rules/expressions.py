"""The value of an expression of the rule language, in plain Python.

Values are int, float, str, bool or date; None is unknown. Money is in minor units. The emitter says the same in SQL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from cssync.rules.tree import Curve, Expr, Lines
from cssync.rules.words import folded


def nearest(value: float) -> int:
    """floor(x + 0.5)."""
    return math.floor(value + 0.5)


def curve_value(points: Iterable[tuple[float, int]], x: float) -> float:
    """Return the height of a curve at x, not yet rounded; flat outside its points."""
    (low_x, low_y), *rest = points
    if x <= low_x:
        return float(low_y)
    for high_x, high_y in rest:
        if x < high_x:
            return float(low_y) + (x - low_x) * float(high_y - low_y) / (high_x - low_x)
        low_x, low_y = high_x, high_y
    return float(low_y)


class Interpreter:
    """Evaluates expressions over one account. ref: the value of a reference. sure: see the emitter."""

    def __init__(
        self,
        today: date,
        ref: Callable[[Expr], Any],
        *,
        currency: Callable[[Expr], str | None] = lambda _: None,
        sure: Callable[[Expr], bool] = lambda _: True,
    ) -> None:
        self.today = today
        self.ref = ref
        self.currency = currency
        self.sure = sure

    def value(self, e: Expr) -> Any:
        """Return the value of an expression, None when unknown."""
        if e.op in ("number", "text", "date", "bool"):
            return e.value
        if e.op in ("feature", "account", "column", "result", "percentile"):
            return self.ref(e)
        if e.op in ("and", "or"):
            return self.logic(e)
        if e.op in ("missing", "present"):
            known = self.value(e.args[0]) is not None
            return (known == (e.op == "present")) if self.sure(e.args[0]) else None
        if e.op in ("in", "not in"):
            left, *others = (self.value(a) for a in e.args)
            return None if left is None else (left in others) == (e.op == "in")
        if e.op == "first":
            return self.first(e)
        if e.op == "mentions":
            text = self.value(e.args[0])
            return None if text is None else any(word.is_in(folded(text)) for word in e.value)
        values = [self.value(a) for a in e.args]
        if e.op == "between" and not self.two_currencies(e):
            return _between(*values)
        if any(v is None for v in values) or self.two_currencies(e):
            return None
        if e.op == "business_days":
            return None
        return _OPERATORS[e.op](self, values)

    def logic(self, e: Expr) -> bool | None:
        values = [self.value(a) for a in e.args]
        decisive = e.op == "or"
        if any(v is not None and bool(v) is decisive for v in values):
            return decisive
        return None if any(v is None for v in values) else not decisive

    def first(self, e: Expr) -> Any:
        needs, pairs = e.args[: e.value], e.args[e.value :]
        if any(self.value(n) is None for n in needs):
            return None
        return next((self.value(v) for v, c in zip(pairs[::2], pairs[1::2], strict=True) if self.value(c)), None)

    def two_currencies(self, e: Expr) -> bool:
        return len({c for a in e.args if a.type == "money" and (c := self.currency_of(a))}) > 1

    def currency_of(self, e: Expr) -> str | None:
        if e.op in ("feature", "column"):
            return self.currency(e)
        return next((c for a in e.args if a.type == "money" and (c := self.currency_of(a))), None)

    def curve(self, rule: Curve) -> int | None:
        """Return a measure's score on a curve."""
        x = self.value(rule.of)
        return None if x is None else nearest(curve_value(rule.points, x))

    def lines(self, rule: Lines) -> Any:
        """Return the value of the first line that is true."""
        if any(self.ref(Expr("feature", "number", value=n)) is None for n in rule.needs):
            return None
        for value, condition in rule.lines:
            if condition is None or self.value(condition):
                return self.value(value)
        return None


def _between(value: Any, low: Any, high: Any) -> bool | None:
    """One bound that fails decides, even when the other is unknown."""
    if value is None:
        return None
    if (low is not None and value < low) or (high is not None and value > high):
        return False
    return None if low is None or high is None else True


def _divide(_: Interpreter, v: list[Any]) -> float | None:
    return None if v[1] == 0 else _finite(float(v[0]) / v[1])


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _shift(_: Interpreter, v: list[Any], sign: int) -> Any:
    if isinstance(v[1], date):
        return (v[0] - v[1]).days
    try:
        return v[0] + timedelta(days=sign * v[1])
    except OverflowError:
        return None


_OPERATORS: Mapping[str, Callable[[Interpreter, list[Any]], Any]] = {
    "not": lambda _, v: not v[0],
    "=": lambda _, v: v[0] == v[1],
    "!=": lambda _, v: v[0] != v[1],
    "<": lambda _, v: v[0] < v[1],
    "<=": lambda _, v: v[0] <= v[1],
    ">": lambda _, v: v[0] > v[1],
    ">=": lambda _, v: v[0] >= v[1],
    "+": lambda _, v: v[0] + v[1],
    "-": lambda _, v: v[0] - v[1],
    "*": lambda _, v: _finite(float(v[0]) * v[1]),
    "/": _divide,
    "date+": lambda i, v: _shift(i, v, 1),
    "date-": lambda i, v: _shift(i, v, -1),
    "negative": lambda _, v: -v[0],
    "days_since": lambda i, v: (i.today - v[0]).days,
    "days_until": lambda i, v: (v[0] - i.today).days,
    "min": lambda _, v: min(v),
    "max": lambda _, v: max(v),
    "abs": lambda _, v: abs(v[0]),
    "round": lambda _, v: nearest(v[0]),
    "starts_with": lambda _, v: v[0].startswith(v[1]),
    "contains": lambda _, v: v[1] in v[0],
}
