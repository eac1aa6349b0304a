"""Names and types of expressions, before any data is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cssync.rules.catalogue import FUNCTIONS
from cssync.rules.faults import Faults, Mark, Stop, did_you_mean
from cssync.rules.grammar import Syntax, parse, parse_line
from cssync.rules.lists import compared
from cssync.rules.nodes import Node, Scalar
from cssync.rules.tree import Expr, Type
from cssync.rules.words import word

NUMBERS = ("integer", "number")
_ORDERED = (*NUMBERS, "money", "date")
_WORD = {
    "bool": "yes or no",
    "integer": "a whole number",
    "number": "a number",
    "money": "an amount of money",
    "date": "a date",
    "text": "a text",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The names an expression may use. find: the reference for a name or None. known: names, for suggestions. lists:
    the members of every list."""

    find: Callable[[str, Mark], Expr | None]
    known: Callable[[], list[str]]
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def expression(scalar: Scalar, scope: Scope, faults: Faults, want: Type | None = None) -> Expr | None:
    """Parse and type an expression; None when it has a fault (noted). `want` is the type it must have."""
    syntax = parse(scalar, faults)
    return None if syntax is None else typed(syntax, scope, faults, want)


def typed(syntax: Syntax, scope: Scope, faults: Faults, want: Type | None = None) -> Expr | None:
    """Type a syntax tree; None when it has a fault (noted)."""
    try:
        found = _Checker(scope, faults).expr(syntax)
        if want is not None and not fits(found.type, want):
            raise faults.stop(_mark(syntax), f"this is {_WORD[found.type]}, but {_WORD[want]} is needed here")
    except Stop:
        return None
    return found


def typed_lines(
    items: Iterable[Node], scope: Scope, faults: Faults, words: tuple[str, ...] = (), want: Type | None = None
) -> tuple[tuple[Expr, Expr | None], ...]:
    """Type lines `VALUE if CONDITION` and `VALUE otherwise`; a bare word out of `words` is a text."""
    found: list[tuple[Expr, Expr | None]] = []
    for item in items:
        if not isinstance(item, Scalar):
            faults.add(item.mark, "a line is `VALUE if CONDITION` or `VALUE otherwise`")
            continue
        line = parse_line(item, faults)
        if line is None:
            continue
        if found and found[-1][1] is None:
            faults.add(item.mark, "this line is never reached: it follows `otherwise`")
        is_word = words and line[0].op in ("name", "text")
        value = _word(line[0], words, faults) if is_word else typed(line[0], scope, faults, want)
        condition = typed(line[1], scope, faults, "bool") if line[1] else None
        if value is not None and (line[1] is None or condition is not None):
            found.append((value, condition))
    return tuple(found)


def _word(syntax: Syntax, words: tuple[str, ...], faults: Faults) -> Expr | None:
    if syntax.value in words:
        return Expr("text", "text", value=syntax.value, values=words)
    faults.add(_mark(syntax), f"{syntax.value!r} is none of the options{did_you_mean(syntax.value, words)}")
    return None


def fits(found: Type, want: Type) -> bool:
    """Whether a value of one type may stand where another is wanted."""
    return found == want or (found == "integer" and want == "number")


def _mark(syntax: Syntax) -> Mark:
    assert syntax.mark is not None  # noqa: S101 - the parser marks every node
    return syntax.mark


class _Checker:
    def __init__(self, scope: Scope, faults: Faults) -> None:
        self.scope = scope
        self.faults = faults

    def stop(self, syntax: Syntax, message: str) -> Stop:
        return self.faults.stop(_mark(syntax), message)

    def expr(self, syntax: Syntax) -> Expr:
        rule = _RULES.get(syntax.op)
        return rule(self, syntax) if rule else self.compare(syntax)

    def literal(self, s: Syntax) -> Expr:
        if s.op == "number":
            return Expr("number", "integer" if isinstance(s.value, int) else "number", value=s.value)
        kind: Type = {"text": "text", "date": "date", "bool": "bool"}[s.op]  # type: ignore[assignment]
        return Expr(s.op, kind, value=s.value)

    def name(self, s: Syntax) -> Expr:
        found = self.scope.find(s.value, _mark(s))
        if found is None:
            hint = did_you_mean(s.value, self.scope.known())
            raise self.stop(s, f"there is no feature or column {s.value!r}{hint}")
        return found

    def condition(self, s: Syntax) -> Expr:
        return self.wanted(s, ("bool",), "a condition")

    def wanted(self, s: Syntax, types: tuple[str, ...], what: str) -> Expr:
        found = self.expr(s)
        if found.type not in types:
            raise self.stop(s, f"{what} is needed here, this is {_WORD[found.type]}")
        return found

    def logic(self, s: Syntax) -> Expr:
        return Expr(s.op, "bool", tuple(self.condition(a) for a in s.args))

    def missing(self, s: Syntax) -> Expr:
        return Expr(s.op, "bool", (self.expr(s.args[0]),))

    def compare(self, s: Syntax) -> Expr:
        """`=`, `<` ..., between, in and not in: the first operand against each of the others."""
        if s.args[-1].op == "list":
            return self.in_list(s)
        left, others = self.sides(s)
        for syntax, other in others:
            self.comparable(s, left, other, syntax)
        if s.op in ("in", "not in") and any(e.op not in ("number", "text", "date") for _, e in others):
            raise self.stop(s, "the list after `in` holds values only, no names")
        return Expr(s.op, "bool", (left, *(e for _, e in others)))

    def in_list(self, s: Syntax) -> Expr:
        left = self.wanted(s.args[0], ("text",), "a text before a list")
        members = self.members(s.args[1])
        if fault := compared(members):
            raise self.stop(s.args[1], fault)
        return Expr(s.op, "bool", (left, *(Expr("text", "text", value=member) for member in members)))

    def members(self, s: Syntax) -> tuple[str, ...]:
        if s.op not in ("list", "name") or s.value not in self.scope.lists:
            name = str(s.value) if s.op in ("list", "name") else "..."
            hint = did_you_mean(name, self.scope.lists)
            raise self.stop(s, f"there is no list {name!r}{hint}; declare it in `lists:`")
        found = self.scope.lists[s.value]
        self.faults.spend(_mark(s), len(found))
        return found

    def list_call(self, s: Syntax) -> Expr:
        """`mentions(text, LIST)` and `size(LIST)`."""
        wanted = 2 if s.value == "mentions" else 1
        if len(s.args) != wanted:
            raise self.stop(s, f"write `{'mentions(TEXT, LIST)' if wanted == 2 else 'size(LIST)'}`")
        members = self.members(s.args[-1])
        if s.value == "size":
            return Expr("number", "integer", value=len(members))
        text = self.wanted(s.args[0], ("text",), "a text")
        return Expr("mentions", "bool", (text,), tuple(dict.fromkeys(map(word, members))))

    def sides(self, s: Syntax) -> tuple[Expr, list[tuple[Syntax, Expr]]]:
        known: tuple[str, ...] = ()
        typed_args: list[Expr | None] = []
        for arg in s.args:
            if arg.op == "name" and self.scope.find(arg.value, _mark(arg)) is None:
                typed_args.append(None)
                continue
            typed_args.append(self.expr(arg))
            known = known or (typed_args[-1].values if typed_args[-1] else ())
        for arg, found in zip(s.args, typed_args, strict=True):
            if found is None and arg.value in known:
                raise self.stop(arg, f"write '{arg.value}' in quotes: it is a value, not a name")
            if found is None:
                self.name(arg)
        full = [e for e in typed_args if e is not None]
        return full[0], list(zip(s.args[1:], full[1:], strict=True))

    def comparable(self, s: Syntax, left: Expr, right: Expr, at: Syntax) -> None:
        numbers = left.type in NUMBERS and right.type in NUMBERS
        zero = "money" in (left.type, right.type) and any(e.op == "number" and e.value == 0 for e in (left, right))
        if not (numbers or zero or left.type == right.type):
            raise self.stop(at, f"{_WORD[left.type]} cannot be compared with {_WORD[right.type]}")
        if s.op in ("<", "<=", ">", ">=", "between") and left.type not in _ORDERED:
            raise self.stop(s, f"`{s.op}` needs numbers, money or dates, not {_WORD[left.type]}")
        for known, literal in ((left, right), (right, left)):
            if known.values and literal.op == "text" and literal.value not in known.values:
                hint = did_you_mean(literal.value, known.values)
                raise self.stop(at, f"{known.value} is never {literal.value!r}{hint}")

    def plus_minus(self, s: Syntax) -> Expr:
        left, right = (self.wanted(a, _ORDERED, "a number, money or a date") for a in s.args)
        kinds = (left.type, right.type)
        if left.type in NUMBERS and right.type in NUMBERS:
            kind: Type = "integer" if kinds == ("integer", "integer") else "number"
        elif kinds == ("money", "money"):
            kind = "money"
        elif kinds == ("date", "integer"):
            kind = "date"
        elif kinds == ("date", "date") and s.op == "-":
            kind = "integer"
        else:
            raise self.stop(s, f"`{s.op}` cannot join {_WORD[left.type]} and {_WORD[right.type]}")
        return Expr("date" + s.op if left.type == "date" else s.op, kind, (left, right))

    def times(self, s: Syntax) -> Expr:
        left, right = (self.wanted(a, (*NUMBERS, "money"), "a number or money") for a in s.args)
        money = (left.type == "money", right.type == "money")
        if (money == (True, True) and s.op == "*") or (money == (False, True) and s.op == "/"):
            raise self.stop(s, f"`{s.op}` cannot join {_WORD[left.type]} and {_WORD[right.type]}")
        kind: Type = "money" if money in ((True, False), (False, True)) else "number"
        return Expr(s.op, kind, (left, right))

    def negative(self, s: Syntax) -> Expr:
        inner = self.wanted(s.args[0], (*NUMBERS, "money"), "a number or money")
        if inner.op == "number":
            return Expr("number", inner.type, value=-inner.value)
        return Expr("negative", inner.type, (inner,))

    def call(self, s: Syntax) -> Expr:
        if s.value in ("mentions", "size"):
            return self.list_call(s)
        rule = _CALLS.get(s.value)
        if rule is None:
            raise self.stop(s, f"there is no function {s.value!r}{did_you_mean(s.value, FUNCTIONS)}")
        types, count, result = rule
        if not count[0] <= len(s.args) <= count[1]:
            wanted = str(count[0]) if count[0] == count[1] else f"{count[0]} or more"
            raise self.stop(s, f"{s.value} takes {wanted} value{'s' if wanted != '1' else ''}, here are {len(s.args)}")
        args = tuple(self.wanted(a, types, _of(types)) for a in s.args)
        if s.value in ("starts_with", "contains") and args[1].op != "text":
            raise self.stop(s.args[1], "the letters to look for must be written out, in quotes")
        if s.value in ("min", "max"):
            kinds = {a.type for a in args}
            if not (kinds <= set(NUMBERS) or len(kinds) == 1):
                raise self.stop(s, f"{s.value} needs values of one type")
            return Expr(s.value, "number" if kinds == set(NUMBERS) else args[0].type, args)
        return Expr(s.value, result or args[0].type, args)


def _of(types: tuple[str, ...]) -> str:
    return " or ".join(_WORD[t] for t in types if t != "integer" or "number" not in types)


_CALLS: Mapping[str, tuple[tuple[str, ...], tuple[int, int], Type | None]] = {
    "days_since": (("date",), (1, 1), "integer"),
    "days_until": (("date",), (1, 1), "integer"),
    "min": (_ORDERED, (2, 60), None),
    "max": (_ORDERED, (2, 60), None),
    "abs": (NUMBERS, (1, 1), None),
    "round": (NUMBERS, (1, 1), "integer"),
    "starts_with": (("text",), (2, 2), "bool"),
    "contains": (("text",), (2, 2), "bool"),
}
_RULES: Mapping[str, Callable[[_Checker, Syntax], Expr]] = {
    **dict.fromkeys(("number", "text", "date", "bool"), _Checker.literal),
    **dict.fromkeys(("and", "or", "not"), _Checker.logic),
    **dict.fromkeys(("missing", "present"), _Checker.missing),
    **dict.fromkeys(("+", "-"), _Checker.plus_minus),
    **dict.fromkeys(("*", "/"), _Checker.times),
    "negative": _Checker.negative,
    "name": _Checker.name,
    "call": _Checker.call,
}
