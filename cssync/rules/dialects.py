"""PostgreSQL, DuckDB and Spark: engines that a store may be copied to, where it outgrows SQLite.

All have conditions of their own, typed columns and literals, and stop a statement at what SQLite answers with NULL or
the largest number: a day after 9999, an integer beyond 64 bits. Each method says the same as SQLite's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from cssync.rules.dialect import SQLITE, Dialect
from cssync.rules.tree import Type
from cssync.rules.words import LETTERS, Word

_COLUMN: Mapping[Type, str] = {
    "bool": "INTEGER",
    "integer": "BIGINT",
    "number": "DOUBLE PRECISION",
    "money": "BIGINT",
    "date": "TEXT",
    "text": "TEXT",
}
_LAST = 3_652_059
"""Days from 1 January 1 to the day after 31 December 9999; those two days stand for every day out of range."""
_FAR = "BETWEEN -24000 AND 120000"
"""Months an engine can add without an error, far more than a contract lasts."""
_SIGNS = "\\^$.|?*+()[]{}"
"""Characters that mean something in a regular expression of every engine; a backslash before them takes that away."""


class Typed(Dialect):
    """An engine whose columns have types. Dates stay texts, and are cast where days are counted."""

    timestamp: str = "TIMESTAMP"
    has_match: str = "regexp_like"
    """The function that looks for a regular expression anywhere in a text."""

    def null(self, kind: Type) -> str:
        return f"CAST(NULL AS {_COLUMN[kind]})"

    def number(self, value: int | float) -> str:
        """Whole numbers of 64 bits, others as doubles: a bare 0.1 is a decimal, a bare 2000000000 + 2000000000 too
        large."""
        if isinstance(value, int):
            return f"(({value})::int8)" if value < 0 else f"{value}::int8"
        return f"'{value!r}'::float8"

    def real(self, value: str) -> str:
        return f"CAST({value} AS DOUBLE PRECISION)"

    def whole(self, value: str) -> str:
        return f"CAST(trunc({value}) AS BIGINT)"  # a cast alone rounds

    def nearest(self, value: str) -> str:
        x, last = f"({value} + 0.5)", 2**63 - 1
        return (
            f"(CASE WHEN {x} >= 9.223372036854775e18 THEN {last} WHEN {x} <= -9.223372036854775e18 THEN {-last} "
            f"ELSE CAST(floor({x}) AS BIGINT) END)"
        )

    def smallest(self, values: Iterable[str]) -> str:
        return _unless_null("LEAST", values)

    def largest(self, values: Iterable[str]) -> str:
        return _unless_null("GREATEST", values)

    def date(self, text: str) -> str:
        """A text in ISO form as the engine's date."""
        return f"CAST({text} AS DATE)"

    @abstractmethod
    def iso(self, day: str) -> str:
        """A date or timestamp of the engine as a text in ISO form."""

    def days_between(self, later: str, earlier: str) -> str:
        return f"({self.date(later)} - {self.date(earlier)})"

    def add_days(self, day: str, days: str) -> str:
        first = "DATE '0001-01-01'"
        number = f"LEAST(GREATEST({self.date(day)} - {first} + {days}, 0), {_LAST})"
        text = self.iso(f"({first} + CAST({number} AS INTEGER))")
        return f"NULLIF(NULLIF({text}, '0001-01-01'), '10000-01-01')"

    @abstractmethod
    def minutes_later(self, instant: str, minutes: int) -> str:
        """A timestamp, shifted."""

    def local_day(self, instant: str, spans: Sequence[tuple[str, int]]) -> str:
        second = f"CAST(substr({instant}, 1, 19) AS {self.timestamp})"
        if len(spans) == 1:
            return self.iso(self.minutes_later(second, spans[0][1]))
        cases = " ".join(f"WHEN {instant} >= '{at}' THEN {self.minutes_later(second, m)}" for at, m in spans)
        return self.iso(f"(CASE {cases} END)")

    def position(self, text: str, letters: str) -> str:
        return f"strpos({text}, {self.text(letters)})"

    def stands_alone(self, text: str, word: Word) -> str:
        letters = "".join("\\" + c if c in _SIGNS else c for c in word.letters)
        other = f"[^{LETTERS}]"
        pattern = (f"(^|{other})" if word.begins else "") + letters + (f"({other}|$)" if word.ends else "")
        return f"{self.has_match}({text}, {self.text(pattern)})"

    def joined_in_order(self, value: str, partition: str) -> str:
        return (
            f"string_agg({value}, ' ') OVER (PARTITION BY {partition} ORDER BY {value} "
            "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
        )


def _unless_null(function: str, values: Iterable[str]) -> str:
    """LEAST and GREATEST leave NULLs out; here one unknown value makes the answer unknown."""
    listed = list(values)
    unknown = " OR ".join(f"{v} IS NULL" for v in listed)
    return f"(CASE WHEN {unknown} THEN NULL ELSE {function}({', '.join(listed)}) END)"


class Postgres(Typed):
    """PostgreSQL 15 and later. Texts must be compared by code point: columns or database with collation "C"."""

    name = "postgres"

    def text(self, value: str) -> str:
        if "\\" not in value:
            return super().text(value)
        # What a bare backslash means is a setting of the server; in this form it is always itself when doubled.
        return "E" + super().text(value).replace("\\", "\\\\")

    def json_integer(self, document: str, key: str) -> str:
        return f"CAST(CAST({document} AS json) ->> {self.text(key)} AS BIGINT)"

    def iso(self, day: str) -> str:
        return f"to_char({day}, 'YYYY-MM-DD')"

    def minutes_later(self, instant: str, minutes: int) -> str:
        return f"({instant} + INTERVAL '{minutes} minutes')"

    def add_months(self, day: str, months: str) -> str:
        moved = (
            f"{self.date(day)} + make_interval(months => CAST(CASE WHEN {months} {_FAR} THEN {months} END AS INTEGER))"
        )
        return f"substring({self.iso(moved)} FROM '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$')"


class DuckDB(Typed):
    """DuckDB 1.4 and later."""

    name = "duckdb"
    has_match = "regexp_matches"

    def quotient(self, left: str, right: str) -> str:
        return f"({left} // {right})"

    def json_integer(self, document: str, key: str) -> str:
        path = self.text(f'$."{key}"')
        return f"CAST(json_extract_string({document}, {path}) AS BIGINT)"

    def iso(self, day: str) -> str:
        return f"strftime({day}, '%Y-%m-%d')"

    def minutes_later(self, instant: str, minutes: int) -> str:
        return f"({instant} + INTERVAL ({minutes}) MINUTE)"

    def add_months(self, day: str, months: str) -> str:
        moved = f"{self.date(day)} + to_months(CAST(CASE WHEN {months} {_FAR} THEN {months} END AS INTEGER))"
        return f"NULLIF(regexp_extract({self.iso(moved)}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$'), '')"


class Spark(Typed):
    """Spark SQL 4 and later, with the settings it comes with. A backslash in a literal escapes what follows."""

    name = "spark"
    once = ""
    unknown = "CAST(NULL AS BOOLEAN)"
    timestamp = "TIMESTAMP_NTZ"  # without a zone: Spark's other kind counts in that of the session

    def quoted(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def text(self, value: str) -> str:
        return "'" + value.replace("\0", "").replace("\\", "\\\\").replace("'", "\\'") + "'"

    def null(self, kind: Type) -> str:
        return f"CAST(NULL AS {_SPARK.get(_COLUMN[kind], _COLUMN[kind])})"

    def number(self, value: int | float) -> str:
        written = f"{value!r}L" if isinstance(value, int) else f"{value!r}D"
        return f"({written})" if value < 0 else written

    def real(self, value: str) -> str:
        return f"CAST({value} AS DOUBLE)"

    def whole(self, value: str) -> str:
        return f"CAST({value} AS BIGINT)"  # towards zero

    def quotient(self, left: str, right: str) -> str:
        return f"({left} DIV {right})"

    def position(self, text: str, letters: str) -> str:
        return f"instr({text}, {self.text(letters)})"

    def json_integer(self, document: str, key: str) -> str:
        path = self.text(f"$['{key}']")
        return f"CAST(get_json_object({document}, {path}) AS BIGINT)"

    def days_between(self, later: str, earlier: str) -> str:
        return f"datediff({self.date(later)}, {self.date(earlier)})"

    def iso(self, day: str) -> str:
        return f"CAST(CAST({day} AS DATE) AS STRING)"

    def add_days(self, day: str, days: str) -> str:
        first = "DATE '0001-01-01'"
        number = f"LEAST(GREATEST(datediff({self.date(day)}, {first}) + {days}, 0), {_LAST})"
        text = self.iso(f"date_add({first}, CAST({number} AS INTEGER))")
        return f"NULLIF(NULLIF({text}, '0001-01-01'), '+10000-01-01')"

    def add_months(self, day: str, months: str) -> str:
        number = f"CAST(CASE WHEN {months} {_FAR} THEN {months} END AS INTEGER)"
        moved = self.iso(f"add_months({self.date(day)}, {number})")
        return f"NULLIF(regexp_extract({moved}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$', 0), '')"

    def minutes_later(self, instant: str, minutes: int) -> str:
        return f"({instant} + INTERVAL '{minutes}' MINUTE)"

    def joined_in_order(self, value: str, partition: str) -> str:
        return f"array_join(sort_array(collect_list({value}) OVER (PARTITION BY {partition})), ' ')"


_SPARK: Mapping[str, str] = {"DOUBLE PRECISION": "DOUBLE", "TEXT": "STRING"}

POSTGRES, DUCKDB, SPARK = Postgres(), DuckDB(), Spark()
DIALECTS: dict[str, Dialect] = {d.name: d for d in (SQLITE, POSTGRES, DUCKDB, SPARK)}
