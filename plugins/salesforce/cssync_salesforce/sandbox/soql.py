"""The SOQL that the sandbox understands: enough to be honest about what it does not.

SELECT fields | COUNT() FROM object [WHERE ...] [ORDER BY ...] [LIMIT n] [OFFSET n], with parent fields one level up.
AND and OR may not be mixed without parentheses, as in the real one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

Row = Mapping[str, Any]
Test = Callable[[Row], bool]
Describe = Callable[[str], Mapping[str, Mapping[str, Any]] | None]
"""Object name -> its visible fields by lower-case name, or None if there is no such object."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')
      |(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))
      |(?P<day>\d{4}-\d\d-\d\d)
      |(?P<number>[+-]?\d+(?:\.\d+)?)
      |(?P<word>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*)
      |(?P<mark><=|>=|!=|<>|[=<>(),]))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}


class SoqlError(Exception):
    """A query that Salesforce would refuse, with its error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `fields` is empty for COUNT(); each is (name, parent's relationship name or "")."""

    source: str
    fields: tuple[str, ...]
    test: Test
    order: tuple[tuple[str, bool], ...]
    limit: int | None
    offset: int


class _Parser:
    def __init__(self, text: str, describe: Describe) -> None:
        self.text = text
        self.describe = describe
        self.tokens: list[tuple[str, str, int]] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if not found:
                raise SoqlError("MALFORMED_QUERY", self._at(place, f"unexpected token: {text[place : place + 1]!r}"))
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind], found.start(kind)))
            place = found.end()
        self.place = 0
        self.visible: Mapping[str, Mapping[str, Any]] = {}
        self.source = ""

    def _at(self, place: int, why: str) -> str:
        return f"\n{self.text[:80]}\n{' ' * min(place, 79)}^\nERROR at Row:1:Column:{place + 1}\n{why}"

    def _peek(self) -> tuple[str, str, int]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "<EOF>", len(self.text))

    def _fail(self) -> NoReturn:
        _, text, at = self._peek()
        raise SoqlError("MALFORMED_QUERY", self._at(at, f"unexpected token: '{text}'"))

    def _take(self, *kinds: str) -> str:
        kind, text, _ = self._peek()
        if kind not in kinds:
            self._fail()
        self.place += 1
        return text

    def _word(self, *words: str) -> bool:
        """Take these words if they come next."""
        ahead = self.tokens[self.place : self.place + len(words)]
        if len(ahead) < len(words) or any(
            t[0] != "word" or t[1].upper() != w for t, w in zip(ahead, words, strict=True)
        ):
            return False
        self.place += len(words)
        return True

    def _mark(self, mark: str) -> bool:
        if self._peek()[:2] == ("mark", mark):
            self.place += 1
            return True
        return False

    def query(self) -> Query:
        if not self._word("SELECT"):
            self._fail()
        named: list[tuple[str, int]] = []
        count = False
        if self._peek()[1].upper() == "COUNT" and self.tokens[self.place + 1 : self.place + 2] == [
            ("mark", "(", self._peek()[2] + 5)
        ]:
            self.place += 2
            count = self._mark(")") or self._fail()
        else:
            named.append((self._peek()[1], self._peek()[2]))
            self._take("word")
            while self._mark(","):
                named.append((self._peek()[1], self._peek()[2]))
                self._take("word")
        if not self._word("FROM"):
            self._fail()
        at = self._peek()[2]
        self.source = self._take("word")
        visible = self.describe(self.source)
        if visible is None:
            raise SoqlError("INVALID_TYPE", self._at(at, f"sObject type '{self.source}' is not supported."))
        self.visible = visible
        fields = tuple(self._field(name, place) for name, place in named)
        test = self._either() if self._word("WHERE") else _always
        order: list[tuple[str, bool]] = []
        if self._word("ORDER", "BY"):
            order.append(self._ordering())
            while self._mark(","):
                order.append(self._ordering())
        limit = int(self._take("number")) if self._word("LIMIT") else None
        offset = int(self._take("number")) if self._word("OFFSET") else 0
        if offset > 2000:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        if self._peek()[0] != "end":
            self._fail()
        return Query(self.source, () if count else fields, test, tuple(order), limit, offset)

    def _field(self, name: str, at: int) -> str:
        """Return the field in the vendor's spelling; `Account.Name` asks the parent's description."""
        head, _, rest = name.partition(".")
        if rest:
            for field in self.visible.values():
                if str(field.get("relationshipName") or "").casefold() == head.casefold():
                    parent = self.describe(field["referenceTo"][0]) or {}
                    if rest.casefold() in parent:
                        return f"{field['relationshipName']}.{parent[rest.casefold()]['name']}"
                    raise SoqlError("INVALID_FIELD", self._at(at, self._no_column(rest, field["referenceTo"][0])))
            raise SoqlError("INVALID_FIELD", self._at(at, f"Didn't understand relationship '{head}' in field path."))
        if name.casefold() not in self.visible:
            raise SoqlError("INVALID_FIELD", self._at(at, self._no_column(name, self.source)))
        return str(self.visible[name.casefold()]["name"])

    def _no_column(self, name: str, source: str) -> str:
        return (
            f"No such column '{name}' on entity '{source}'. If you are attempting to use a custom field, be sure to "
            "append the '__c' after the custom field name."
        )

    def _ordering(self) -> tuple[str, bool]:
        at = self._peek()[2]
        field = self._field(self._take("word"), at)
        down = self._word("DESC")
        if not down:
            self._word("ASC")
        if self._word("NULLS"):
            self._take("word")
        return field, down

    def _either(self) -> Test:
        """A row of conditions joined by AND only, or by OR only."""
        tests = [self._condition()]
        joint = "AND" if self._peek()[1].upper() == "AND" else "OR"
        while self._word(joint):
            tests.append(self._condition())
        if self._peek()[1].upper() in ("AND", "OR"):
            self._fail()
        together = all if joint == "AND" else any
        return tests[0] if len(tests) == 1 else lambda row: together(test(row) for test in tests)

    def _condition(self) -> Test:
        if self._word("NOT"):
            inner = self._condition()
            return lambda row: not inner(row)
        if self._mark("("):
            inner = self._either()
            if not self._mark(")"):
                self._fail()
            return inner
        at = self._peek()[2]
        field = self._field(self._take("word"), at)
        described = self.visible.get(field.casefold(), {})
        if described.get("filterable") is False:
            raise SoqlError("INVALID_FIELD", self._at(at, f"field '{field}' can not be filtered in a query call"))
        fold = described.get("type") not in ("id", "reference")
        if self._word("NOT", "IN"):
            found = self._list(fold)
            return lambda row: _plain(_get(row, field), fold) not in found
        if self._word("IN"):
            found = self._list(fold)
            return lambda row: _plain(_get(row, field), fold) in found
        if self._word("LIKE"):
            pattern = _pattern(self._take("text"))
            return lambda row: bool(pattern.fullmatch(str(_get(row, field) or "")))
        operator = self._take("mark")
        value = _plain(self._literal(), fold)
        compare = _COMPARE.get(operator) or self._fail()
        if value is None:
            return lambda row: compare(_get(row, field) is not None, False) if operator in ("=", "!=", "<>") else False
        stamped = isinstance(value, datetime)

        def test(row: Row) -> bool:
            held = _get(row, field)
            if held is None:
                return operator in ("!=", "<>")
            return compare(datetime.fromisoformat(held) if stamped else _plain(held, fold), value)

        return test

    def _list(self, fold: bool) -> set[Any]:
        if not self._mark("("):
            self._fail()
        found = {_plain(self._literal(), fold)}
        while self._mark(","):
            found.add(_plain(self._literal(), fold))
        if not self._mark(")"):
            self._fail()
        return found

    def _literal(self) -> Any:
        kind, text, _ = self._peek()
        self._take("text", "stamp", "day", "number", "word")
        if kind == "text":
            return _unescape(text)
        if kind == "stamp":
            return datetime.fromisoformat(text).astimezone(UTC)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "word":
            constants = {"null": None, "true": True, "false": False}
            if text.lower() not in constants:
                self.place -= 1
                self._fail()
            return constants[text.lower()]
        return text


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _always(_: Row) -> bool:
    return True


def _get(row: Row, field: str) -> Any:
    """Return a field of the row; a parent's field through the row's resolver."""
    head, _, rest = field.partition(".")
    if not rest:
        return row.get(field)
    parent = row["^"](head)
    return parent.get(rest) if parent else None


def _plain(value: Any, fold: bool) -> Any:
    return value.casefold() if fold and isinstance(value, str) else value


def _unescape(literal: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), literal[1:-1], flags=re.DOTALL)


def _pattern(literal: str) -> re.Pattern[str]:
    """Compile a LIKE literal: `%` any text, `_` one character, each escaped by a backslash."""
    parts = re.findall(r"\\.|.", literal[1:-1], flags=re.DOTALL)
    wild = {"%": ".*", "_": "."}
    text = "".join(wild.get(p) or re.escape(_ESCAPES.get(p[1], p[1]) if len(p) == 2 else p) for p in parts)
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def parse(text: str, describe: Describe) -> Query:
    """Parse a query against what the user may see.

    Raises:
        SoqlError: MALFORMED_QUERY, INVALID_TYPE or INVALID_FIELD.
    """
    return _Parser(text, describe).query()


def run(query: Query, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that match, in order; nulls come first, as they do in Salesforce."""
    found = [row for row in rows if query.test(row)]
    for field, down in reversed(query.order):
        found.sort(key=lambda row: (_get(row, field) is not None, _get(row, field) or 0), reverse=down)
    found = found[query.offset :]
    return found if query.limit is None else found[: query.limit]
