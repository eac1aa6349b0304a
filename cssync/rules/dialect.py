"""How each SQL engine says what the compiler needs. One object per engine; the compiler knows none of them.

Traps and the reason for each form: rules.md section 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Protocol

from cssync.rules.tree import Type
from cssync.rules.words import LETTERS, Word


def quote(name: str) -> str:
    """Return an identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


class Dialect(Protocol):
    """What the compiler needs, with the forms that most engines share.

    Columns are those of the store on every engine: texts, whole numbers, doubles; dates and instants are texts in ISO
    form, conditions 1, 0 or NULL. Inside an expression a condition is whatever the engine has for one.
    """

    name: str = ""
    once: str = "MATERIALIZED "
    """What asks for a link of the statement to be computed once; "" where an engine has no word for it."""

    chain: str = "WITH RECURSIVE"
    """What begins a chain of expressions, one of which may read itself."""

    unknown: str = "NULL"
    """A condition that is neither true nor false."""

    seeks: bool = False
    """Whether an account's rows of large tables are found through an index: then a lookup per account and week reads
    less than grouping all rows does."""

    def quoted(self, name: str) -> str:
        """Return an identifier as the engine quotes it."""
        return quote(name)

    def text(self, value: str) -> str:
        """Return a text literal."""
        return "'" + value.replace("\0", "").replace("'", "''") + "'"

    def day(self, value: date) -> str:
        """Return a date literal."""
        return self.text(value.isoformat())

    def number(self, value: int | float) -> str:
        """Return a number literal; negative ones in parentheses, so that `- -1` never opens a comment."""
        return f"({value!r})" if value < 0 else repr(value)

    def boolean(self, value: bool) -> str:
        """A condition that is always or never true."""
        return "TRUE" if value else "FALSE"

    def truth(self, column: str) -> str:
        """A column of 1, 0 or NULL as a condition."""
        return f"({column} <> 0)"

    def flag(self, condition: str) -> str:
        """A condition as a column of 1, 0 or NULL."""
        return f"CAST({condition} AS INTEGER)"

    def null(self, kind: Type) -> str:
        """NULL as a column of a type."""
        ...

    def divide(self, left: str, right: str) -> str:
        """Real division; by zero gives NULL."""
        return f"({self.real(left)} / NULLIF({right}, 0))"

    def multiply(self, left: str, right: str) -> str:
        """Product as a double: whole numbers would overflow."""
        return f"({self.real(left)} * {right})"

    def quotient(self, left: str, right: str) -> str:
        """Quotient of two whole numbers without its rest; the divisor is never 0."""
        return f"({left} / {right})"

    def real(self, value: str) -> str: ...

    def whole(self, value: str) -> str:
        """A number without its fraction, as an integer."""
        ...

    def parsed(self, text: str) -> str:
        """A text of digits as an integer."""
        return f"CAST({text} AS BIGINT)"

    def nearest(self, value: str) -> str:
        """floor(x + 0.5) as an integer."""
        ...

    def days_between(self, later: str, earlier: str) -> str: ...

    def add_days(self, day: str, days: str) -> str: ...

    def add_months(self, day: str, months: str) -> str: ...

    def local_day(self, instant: str, spans: Sequence[tuple[str, int]]) -> str: ...

    def starts_with(self, text: str, letters: str) -> str:
        return f"(substr({text}, 1, {len(letters)}) = {self.text(letters)})"

    def position(self, text: str, letters: str) -> str:
        """Place of the first letters in a text, counted from 1; 0 where they are not."""
        ...

    def contains(self, text: str, letters: str) -> str:
        return f"({self.position(text, letters)} > 0)"

    def mentions(self, text: str, word: Word) -> str:
        """Whether a folded text mentions a word. Where its letters are in the text at all, a second look asks what
        stands around them, at whichever place: a CASE, since DuckDB works out both sides of an AND for every row."""
        if not (word.begins or word.ends):
            return self.contains(text, word.letters)
        absent = f"{self.position(text, word.letters)} = 0"
        return f"(CASE WHEN {absent} THEN {self.boolean(False)} ELSE {self.stands_alone(text, word)} END)"

    def stands_alone(self, text: str, word: Word) -> str:
        """Whether some place of a word in a folded text has no letter or digit at the ends where none may be."""
        ...

    def folded(self, text: str) -> str:
        """The text with A to Z in lower case, and no other letter changed."""
        upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        return f"translate({text}, '{upper}', '{upper.lower()}')"

    def smallest(self, values: Iterable[str]) -> str: ...

    def largest(self, values: Iterable[str]) -> str: ...

    def joined_in_order(self, value: str, partition: str) -> str:
        """All values of a partition in ascending order, joined by a blank; a window function."""
        ...

    def json_integer(self, document: str, key: str) -> str:
        """A whole number out of a JSON object in a text column; NULL where it is null or absent."""
        ...


class SQLite(Dialect):
    """SQLite 3.40 and later; needs none of its optional functions."""

    name = "sqlite"
    chain = "WITH"
    seeks = True

    def boolean(self, value: bool) -> str:
        return "1" if value else "0"

    def truth(self, column: str) -> str:
        return column

    def flag(self, condition: str) -> str:
        return condition

    def null(self, kind: Type) -> str:
        return "NULL"

    def parsed(self, text: str) -> str:
        return f"CAST({text} AS INTEGER)"

    def real(self, value: str) -> str:
        return f"CAST({value} AS REAL)"

    def whole(self, value: str) -> str:
        return f"CAST({value} AS INTEGER)"

    def nearest(self, value: str) -> str:
        x = f"({value} + 0.5)"
        return f"(CAST({x} AS INTEGER) - ({x} < CAST({x} AS INTEGER)))"

    def days_between(self, later: str, earlier: str) -> str:
        return f"CAST(julianday({later}) - julianday({earlier}) AS INTEGER)"

    def add_days(self, day: str, days: str) -> str:
        return f"date({day}, CAST({days} AS TEXT) || ' days')"

    def add_months(self, day: str, months: str) -> str:
        # SQLite carries 31 February into March; the last day of the wanted month is then the smaller one.
        end = f"date({day}, 'start of month', CAST({months} + 1 AS TEXT) || ' months', '-1 day')"
        return f"min(date({day}, CAST({months} AS TEXT) || ' months'), {end})"

    def local_day(self, instant: str, spans: Sequence[tuple[str, int]]) -> str:
        second = f"substr({instant}, 1, 19)"  # SQLite rounds fractions up, 23:59:59.9999 into the next day
        if len(spans) == 1:
            return f"date({second}, '{spans[0][1]:+d} minutes')"
        cases = " ".join(f"WHEN {instant} >= '{start}' THEN date({second}, '{m:+d} minutes')" for start, m in spans)
        return f"(CASE {cases} END)"

    def position(self, text: str, letters: str) -> str:
        return f"instr({text}, {self.text(letters)})"

    def stands_alone(self, text: str, word: Word) -> str:
        # With a blank at each end of the text there is a character beside every place of the word.
        other = f"[^{LETTERS}]"
        letters = "".join(f"[{c}]" if c in "*?[" else c for c in word.letters)
        pattern = f"*{other if word.begins else ''}{letters}{other if word.ends else ''}*"
        return f"(' ' || {text} || ' ' GLOB {self.text(pattern)})"

    def folded(self, text: str) -> str:
        return f"lower({text})"  # of ASCII letters only, unless somebody loads ICU

    def smallest(self, values: Iterable[str]) -> str:
        return f"min({', '.join(values)})"

    def largest(self, values: Iterable[str]) -> str:
        return f"max({', '.join(values)})"

    def joined_in_order(self, value: str, partition: str) -> str:
        return (
            f"group_concat({value}, ' ') OVER (PARTITION BY {partition} ORDER BY {value} "
            "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
        )

    def json_object(self, pairs: Iterable[tuple[str, str]]) -> str:
        """A JSON object as text, keys in the given order."""
        # A function takes at most 127 arguments: longer objects are joined from several.
        found = [f"{self.text(k)}, {v}" for k, v in pairs]
        parts = [f"json_object({', '.join(found[n : n + 60])})" for n in range(0, len(found), 60)]
        if len(parts) < 2:
            return parts[0] if parts else "'{}'"
        inner = " || ',' || ".join(f"substr({part}, 2, length({part}) - 2)" for part in parts)
        return f"('{{' || {inner} || '}}')"

    def json_bool(self, value: str) -> str:
        """0, 1 or NULL as a JSON value."""
        return f"CASE WHEN {value} = 1 THEN json('true') WHEN {value} = 0 THEN json('false') END"

    def json_integer(self, document: str, key: str) -> str:
        path = self.text(f'$."{key}"')
        return f"json_extract({document}, {path})"


SQLITE = SQLite()
