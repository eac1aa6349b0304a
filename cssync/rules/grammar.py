"""Text of an expression -> syntax tree. A closed grammar: what is not listed here cannot be said.

    or      := and ("or" and)*                     and   := not ("and" not)*          not := "not" not | test
    test    := sum (("="|"!="|"<"|"<="|">"|">=") sum | "between" sum "and" sum
                    | ["not"] "in" ( "(" literal, ... ")" | list ) | "is" ["not"] "missing")?
    sum     := term (("+"|"-") term)*              term  := sign (("*"|"/") sign)*    sign := "-" sign | atom
    atom    := number | number% | 'text' | date | true | false | name | name "(" or, ... ")" | "(" or ")"

A name may be dotted once: `health.score`. Dates are written 2026-11-20. Length, depth and the size of numbers are
bounded; there are no loops, attributes, regular expressions or functions of the user's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from cssync.rules.faults import Faults, Mark, Stop
from cssync.rules.nodes import Scalar

MAX_LENGTH = 1_000
MAX_DEPTH = 40
MAX_LIST = 60
MAX_REPEATED = 4
REPEATED = frozenset({"round", "min", "max", "abs"})
"""Functions whose argument an SQL engine has to be given several times over: nested in each other they would multiply
the statement's length at each step."""
LARGEST = 10**12

_TOKEN = re.compile(
    r"""(?P<space>[ \t\n]+)
      | (?P<date>\d{4}-\d{2}-\d{2}(?![\w.]))
      | (?P<number>\d{1,40}(?:\.\d{1,40})?)(?P<percent>[ ]?%)?(?![\w.])
      | (?P<text>'(?:[^'\\\n]|'')*'|"[^"\\\n]*")
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?)(?![\w.])
      | (?P<sign><=|>=|!=|[-+*/(),=<>])""",
    re.VERBOSE | re.ASCII,
)
_COMPARE = ("=", "!=", "<", "<=", ">", ">=")
_WORDS = frozenset({"and", "or", "not", "between", "in", "is", "missing", "true", "false", "if", "otherwise"})


@dataclass(frozen=True, slots=True)
class Syntax:
    """A node: `op` with its parts; `value` is a literal or a name; `mark` where it stands."""

    op: str
    args: tuple[Syntax, ...] = ()
    value: Any = None
    mark: Mark | None = field(default=None, compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)
    repeated: int = field(default=0, compare=False, repr=False)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _tokens(scalar: Scalar, faults: Faults) -> list[_Token]:
    text = scalar.text
    if len(text) > MAX_LENGTH:
        raise faults.stop(
            scalar.mark, f"an expression has at most {MAX_LENGTH:,} characters; name parts of it as features"
        )
    found: list[_Token] = []
    end = 0
    for match in _TOKEN.finditer(text):
        start = match.start()
        if start != end:
            break
        end = match.end()
        kind = str(match.lastgroup)
        if kind != "space":
            word = match["number"] if kind == "percent" else match[0]
            found.append(_Token("sign" if word in _WORDS else kind, word, start))
    if end < len(text):
        raise faults.stop(scalar.at(end), _no_token(text[end:]))
    found.append(_Token("end", "the end", end))
    faults.spend(scalar.mark, len(found))
    return found


def _no_token(rest: str) -> str:
    if rest[0] in "'\"":
        return "this text is not closed"
    if rest[0].isdigit():
        return "this is not a number or a date (2026-11-20)"
    if rest[0].isspace():
        return f"this space (U+{ord(rest[0]):04X}) is no plain one"
    return f"{rest[0]!r} is not part of the rule language"


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, scalar: Scalar, faults: Faults) -> None:
        self.scalar = scalar
        self.tokens = _tokens(scalar, faults)
        self.faults = faults
        self.at = 0
        self.nesting = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def sees(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def take(self, *signs: str) -> _Token | None:
        token = self.tokens[self.at]
        if token.kind != "sign" or token.text not in signs:
            return None
        self.at += 1
        return token

    def want(self, sign: str) -> _Token:
        return self.take(sign) or self.fail(f"expected `{sign}`, found {self.seen()}")

    def seen(self) -> str:
        return "the end" if self.token.kind == "end" else f"`{self.token.text[:40]}`"

    def fail(self, message: str, token: _Token | None = None) -> _Token:
        raise self.faults.stop(self.scalar.at((token or self.token).at), message)

    def node(self, op: str, args: tuple[Syntax, ...], token: _Token, value: Any = None) -> Syntax:
        if not args and op != "call":
            return Syntax(op, args, value, self.scalar.at(token.at))
        depth = 1 + max((a.depth for a in args), default=0)
        if depth > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH} steps; name a part of it as a feature", token)
        repeated = max((a.repeated for a in args), default=0) + (op == "call" and value in REPEATED)
        if repeated > MAX_REPEATED:
            self.fail(f"{value} is nested more than {MAX_REPEATED} times; name a part of it as a feature", token)
        return Syntax(op, args, value, self.scalar.at(token.at), depth, repeated)

    def deeper(self) -> None:
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH} steps")

    def any_of(self) -> Syntax:
        return self.chain("or", self.all_of)

    def all_of(self) -> Syntax:
        return self.chain("and", self.negation)

    def chain(self, word: str, part: Any) -> Syntax:
        first = self.token
        parts = [part()]
        while self.take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else self.node(word, tuple(parts), first)

    def negation(self) -> Syntax:
        if token := self.take("not"):
            self.deeper()
            inner = self.negation()
            self.nesting -= 1
            return self.node("not", (inner,), token)
        return self.test()

    def test(self) -> Syntax:
        left = self.sum()
        if token := self.take(*_COMPARE):
            if token.text == "=" and self.sees("="):
                self.fail("`==` is not part of the language; write `=`", token)
            right = self.sum()
            if self.sees(*_COMPARE):
                self.fail("comparisons do not chain; write `a < b and b < c`, or `b between a and c`")
            return self.node(token.text, (left, right), token)
        if token := self.take("between"):
            low = self.sum()
            self.want("and")
            return self.node("between", (left, low, self.sum()), token)
        if token := self.take("is"):
            absent = "present" if self.take("not") else "missing"
            self.want("missing")
            return self.node(absent, (left,), token)
        negated = self.take("not")
        if token := self.take("in"):
            return self.node("not in" if negated else "in", (left, *self.members()), token)
        if negated:
            self.fail("expected `in` after `not`")
        return left

    def members(self) -> list[Syntax]:
        if self.token.kind == "name":
            name = self.token
            self.at += 1
            return [self.node("list", (), name, name.text)]
        self.want("(")
        found = [self.sum()]
        while self.take(","):
            found.append(self.sum())
            if len(found) > MAX_LIST:
                self.fail(f"a list has at most {MAX_LIST} members")
        self.want(")")
        return found

    def sum(self) -> Syntax:
        return self.left("+-", self.term)

    def term(self) -> Syntax:
        return self.left("*/", self.sign)

    def left(self, signs: str, part: Any) -> Syntax:
        left: Syntax = part()
        while token := self.take(*signs):
            left = self.node(token.text, (left, part()), token)
        return left

    def sign(self) -> Syntax:
        if token := self.take("-"):
            self.deeper()
            inner = self.sign()
            self.nesting -= 1
            return self.node("negative", (inner,), token)
        return self.atom()

    def atom(self) -> Syntax:
        token = self.token
        if token.kind in ("number", "percent"):
            self.at += 1
            return self.node("number", (), token, self.number(token))
        if token.kind == "text":
            self.at += 1
            quote = token.text[0]
            return self.node("text", (), token, token.text[1:-1].replace(quote * 2, quote))
        if token.kind == "date":
            self.at += 1
            return self.node("date", (), token, self.date(token))
        if found := self.take("true", "false"):
            return self.node("bool", (), token, found.text == "true")
        if token.kind == "name":
            self.at += 1
            if not self.sees("("):
                return self.node("name", (), token, token.text)
            self.deeper()
            arguments = self.arguments()
            self.nesting -= 1
            return self.node("call", tuple(arguments), token, token.text)
        if self.take("("):
            self.deeper()
            inner = self.any_of()
            self.want(")")
            self.nesting -= 1
            return inner
        self.fail(f"expected a value, found {self.seen()}")
        raise AssertionError("unreachable")

    def arguments(self) -> list[Syntax]:
        self.want("(")
        found: list[Syntax] = []
        while not self.sees(")"):
            found.append(self.any_of())
            if len(found) > MAX_LIST or not self.take(","):
                break
        self.want(")")
        return found

    def number(self, token: _Token) -> int | float:
        value = Decimal(token.text)
        if value > LARGEST or len(token.text) > 20:
            self.fail(f"a number is at most {LARGEST:,}, with at most 20 characters", token)
        if token.kind == "percent":
            return float(value / 100)
        return int(value) if "." not in token.text else float(value)

    def date(self, token: _Token) -> date:
        try:
            return date.fromisoformat(token.text)
        except ValueError:
            self.fail(f"{token.text} is not a date of the calendar", token)
            raise AssertionError("unreachable") from None


def parse(scalar: Scalar, faults: Faults) -> Syntax | None:
    """Return the tree of an expression, None when it has a fault (noted)."""
    found: Syntax | None = _whole(scalar, faults, lambda parser: parser.any_of())
    return found


def _whole(scalar: Scalar, faults: Faults, rule: Any) -> Any:
    try:
        parser = _Parser(scalar, faults)
        if parser.token.kind == "end":
            parser.fail("an expression is expected here")
        found = rule(parser)
        if parser.token.kind != "end":
            parser.fail(f"expected an operator or the end, found {parser.seen()}")
    except Stop:
        return None
    return found


def parse_line(scalar: Scalar, faults: Faults) -> tuple[Syntax, Syntax | None] | None:
    """Return (value, condition) of a line `VALUE if CONDITION`; condition None for `VALUE otherwise`."""

    def line(parser: _Parser) -> tuple[Syntax, Syntax | None]:
        value = parser.sum()
        if parser.take("otherwise"):
            return value, None
        if not parser.take("if"):
            parser.fail(f"expected `if` or `otherwise`, found {parser.seen()}")
        return value, parser.any_of()

    found: tuple[Syntax, Syntax | None] | None = _whole(scalar, faults, line)
    return found
