"""Typed expressions -> SQL text of a dialect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from cssync.rules.dialect import Dialect
from cssync.rules.tree import Curve, Expr, Lines


class Emitter:
    """Writes expressions. ref: SQL of a reference (`feature`, `account`, `column`, `result`). currency: SQL of the
    currency of a money reference. sure: whether everything below an expression comes from connected, fresh sources;
    only then does `is missing` know anything."""

    def __init__(
        self,
        dialect: Dialect,
        today: date,
        ref: Callable[[Expr], str],
        *,
        currency: Callable[[Expr], str | None] = lambda _: None,
        sure: Callable[[Expr], bool] = lambda _: True,
    ) -> None:
        self.d = dialect
        self.today = dialect.day(today)
        self.ref = ref
        self.currency = currency
        self.sure = sure

    def sql(self, e: Expr) -> str:
        """Return the SQL of an expression, safe to stand as an operand."""
        rule = _RULES[e.op]
        return rule(self, e)

    def args(self, e: Expr) -> list[str]:
        return [self.sql(a) for a in e.args]

    def literal(self, e: Expr) -> str:
        if e.op == "bool":
            return self.d.boolean(e.value)
        if e.op == "date":
            return self.d.day(e.value)
        return self.d.text(e.value) if e.op == "text" else self.d.number(e.value)

    def logic(self, e: Expr) -> str:
        return "(" + f" {e.op.upper()} ".join(self.args(e)) + ")"

    def negation(self, e: Expr) -> str:
        return f"(NOT {self.sql(e.args[0])})"

    def compare(self, e: Expr) -> str:
        left, *others = self.args(e)
        if e.op == "between":
            return self.one_currency(e, f"({left} BETWEEN {others[0]} AND {others[1]})")
        if e.op in ("in", "not in") and not others:
            return f"(CASE WHEN {left} IS NOT NULL THEN {self.d.boolean(e.op == 'not in')} END)"
        if e.op in ("in", "not in"):
            return f"({left} {e.op.upper()} ({', '.join(others)}))"
        return self.one_currency(e, f"({left} {'<>' if e.op == '!=' else e.op} {others[0]})")

    def one_currency(self, e: Expr, sql: str) -> str:
        """Money of two currencies is not comparable: unknown."""
        known = sorted({c for a in e.args if a.type == "money" and (c := self.currency_of(a))})
        if len(known) < 2:
            return sql
        same = " AND ".join(f"{known[0]} = {other}" for other in known[1:])
        return f"(CASE WHEN {same} THEN {sql} END)"

    def currency_of(self, e: Expr) -> str | None:
        """SQL of the currency of a money expression; None where it is a plain number."""
        if e.op in ("feature", "column"):
            return self.currency(e)
        return next((c for a in e.args if a.type == "money" and (c := self.currency_of(a))), None)

    def missing(self, e: Expr) -> str:
        if not self.sure(e.args[0]):
            return self.d.unknown
        return f"({self.sql(e.args[0])} IS {'' if e.op == 'missing' else 'NOT '}NULL)"

    def sum(self, e: Expr) -> str:
        left, right = self.args(e)
        return self.one_currency(e, f"({left} {e.op} {right})")

    def date_sum(self, e: Expr) -> str:
        left, right = self.args(e)
        if e.type == "integer":
            return self.d.days_between(left, right)
        return self.d.add_days(left, f"({'-' if e.op == 'date-' else ''}{right})")

    def product(self, e: Expr) -> str:
        left, right = self.args(e)
        return self.one_currency(e, (self.d.multiply if e.op == "*" else self.d.divide)(left, right))

    def reference(self, e: Expr) -> str:
        """A column; conditions are stored as 1 and 0."""
        return self.d.truth(self.ref(e)) if e.type == "bool" else self.ref(e)

    def column(self, e: Expr) -> str:
        """An expression as a column of its own: conditions become 1 and 0."""
        return self.d.flag(self.sql(e)) if e.type == "bool" else self.sql(e)

    def negative(self, e: Expr) -> str:
        return f"(- {self.sql(e.args[0])})"

    def days(self, e: Expr) -> str:
        at = self.sql(e.args[0])
        return self.d.days_between(*((self.today, at) if e.op == "days_since" else (at, self.today)))

    def extreme(self, e: Expr) -> str:
        return self.one_currency(e, (self.d.smallest if e.op == "min" else self.d.largest)(self.args(e)))

    def size(self, e: Expr) -> str:
        return f"abs({self.sql(e.args[0])})"

    def rounded(self, e: Expr) -> str:
        return self.d.nearest(self.sql(e.args[0]))

    def letters(self, e: Expr) -> str:
        test = self.d.starts_with if e.op == "starts_with" else self.d.contains
        return test(self.sql(e.args[0]), e.args[1].value)

    def mentions(self, e: Expr) -> str:
        text = self.sql(e.args[0])
        tests = " OR ".join(self.d.mentions(self.d.folded(text), word) for word in e.value)
        return f"({tests})" if tests else f"(CASE WHEN {text} IS NOT NULL THEN {self.d.boolean(False)} END)"

    def first(self, e: Expr) -> str:
        needs, pairs = e.args[: e.value], e.args[e.value :]
        cases = [f"WHEN {self.sql(n)} IS NULL THEN NULL" for n in needs]
        cases += [f"WHEN {self.sql(c)} THEN {self.sql(v)}" for v, c in zip(pairs[::2], pairs[1::2], strict=True)]
        return f"(CASE {' '.join(cases)} END)"

    def curve(self, rule: Curve) -> str:
        """Whole number 0..100; NULL for an unknown input."""
        x = self.sql(rule.of)
        (first_x, first_y), *rest = rule.points
        cases = [f"WHEN {x} IS NULL THEN NULL", f"WHEN {x} <= {self.d.number(first_x)} THEN {first_y}"]
        low_x, low_y = first_x, first_y
        for high_x, high_y in rest:
            rise, run = self.d.number(float(high_y - low_y)), self.d.number(high_x - low_x)
            line = f"{self.d.number(float(low_y))} + ({x} - {self.d.number(low_x)}) * {rise} / {run}"
            cases.append(f"WHEN {x} < {self.d.number(high_x)} THEN {self.d.nearest(f'({line})')}")
            low_x, low_y = high_x, high_y
        return f"(CASE {' '.join(cases)} ELSE {low_y} END)"

    def lines(self, rule: Lines, missing: tuple[str, ...] = ()) -> str:
        """The first line that is true; `missing` are operands that must not be NULL."""
        cases = [f"WHEN {m} IS NULL THEN NULL" for m in missing]
        otherwise = "NULL"
        for value, condition in rule.lines:
            if condition is None:
                otherwise = self.sql(value)
            else:
                cases.append(f"WHEN {self.sql(condition)} THEN {self.sql(value)}")
        return f"(CASE {' '.join(cases)} ELSE {otherwise} END)" if cases else otherwise


_RULES: dict[str, Callable[[Emitter, Expr], str]] = {
    **dict.fromkeys(("number", "text", "date", "bool"), Emitter.literal),
    **dict.fromkeys(("feature", "account", "column", "result", "percentile"), Emitter.reference),
    **dict.fromkeys(("and", "or"), Emitter.logic),
    "not": Emitter.negation,
    **dict.fromkeys(("=", "!=", "<", "<=", ">", ">=", "between", "in", "not in"), Emitter.compare),
    **dict.fromkeys(("missing", "present"), Emitter.missing),
    **dict.fromkeys(("+", "-"), Emitter.sum),
    **dict.fromkeys(("date+", "date-"), Emitter.date_sum),
    **dict.fromkeys(("*", "/"), Emitter.product),
    "negative": Emitter.negative,
    **dict.fromkeys(("days_since", "days_until"), Emitter.days),
    **dict.fromkeys(("min", "max"), Emitter.extreme),
    "abs": Emitter.size,
    "round": Emitter.rounded,
    **dict.fromkeys(("starts_with", "contains"), Emitter.letters),
    "mentions": Emitter.mentions,
    "first": Emitter.first,
    "business_days": lambda self, e: "NULL",
}
