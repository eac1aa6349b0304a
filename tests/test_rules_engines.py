"""The standard packs and every trap of the engines give the same cells on SQLite, PostgreSQL and DuckDB."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlglot

from cssync.model import ENTITY, TABLE
from cssync.rules.catalogue import SOURCES
from cssync.rules.compiler import compile_pack, fact_tables
from cssync.rules.copying import TABLES
from cssync.rules.dialect import SQLITE, Dialect
from cssync.rules.dialects import DUCKDB, POSTGRES, SPARK
from cssync.rules.facts import LINKS
from cssync.rules.faults import Source
from cssync.rules.freshness import Context, Freshness
from cssync.rules.loading import load_folders
from cssync.rules.packs import read_rules
from cssync.rules.volume import newest_sql, series_sql
from cssync.store.schema import entity_ddl, table_ddl
from engines import Engine
from random_rows import ENTITIES, KNOWN, TODAY, add, add_account

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
RULES = load_folders([("standard", files("cssync_rules"))])
OK = {table.entity: Freshness("ok", AS_OF) for table in SOURCES.values()}
GAPS = {
    ("x", "active_users"): (date(2026, 11, 3), date(2026, 9, 14), date(2026, 9, 15)),
    ("o'o", "logins"): (TODAY,),
}


@pytest.fixture(scope="module")
def store() -> Iterator[sqlite3.Connection]:
    """Eighty accounts with random rows."""
    rng = random.Random(11)
    conn = sqlite3.connect(":memory:")
    conn.row_factory = sqlite3.Row
    for name in ("history", *(t for t in TABLES if t in TABLE)):
        for ddl in table_ddl(TABLE[name]):
            conn.execute(ddl)
    for entity in ENTITIES:
        for ddl in entity_ddl(entity):
            conn.execute(ddl)
    for n in range(80):
        add_account(conn, rng, n)
        for pack in RULES.packs:
            for name, value in (("score", str(n)), ("coverage", "80"), ("band", rng.choice(('"red"', "null")))):
                row = {"account_uid": f"a{n:02}", "name": f"{pack.name}.{name}", "value": value, "because": ""}
                stamp = {"since": "2026-11-01T00:00:00Z", "as_of": KNOWN, "pack_hash": "", "run_id": ""}
                add(conn, "result", {**row, "state": rng.choice(("ok", "stale")), **stamp})
    for change, nth in (("is_complete = 0", 12), ("value = NULL", 25), ("value = 0", 7), ("grain = 'week'", 15),
                        ("metric = 'logins'", 9), ("metric = 'active_users_28d'", 40)):  # fmt: skip
        conn.execute(f"UPDATE usage_metric SET {change} WHERE rowid % {nth} = 3")
    yield conn
    conn.close()


def cells(conn: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(sql)]


def contexts() -> Iterator[tuple[str, Context]]:
    whole = Context(AS_OF, ZoneInfo("Asia/Tokyo"), "JPY", OK)
    yield "everything fresh", whole
    yield "incomplete days", replace(whole, gaps=GAPS, zone=ZoneInfo("Europe/Zurich"))
    yield "nothing connected", replace(whole, fresh={})
    stale = Freshness("stale", AS_OF - timedelta(days=9))
    for entity in ("ticket", "contract_line", "usage_metric", "survey_response"):
        yield f"{entity} stale", replace(whole, fresh={**OK, entity: stale})
    yield "another day", replace(whole, as_of=datetime(2027, 1, 31, 23, 30, tzinfo=UTC))


@pytest.mark.parametrize("context", [pytest.param(c, id=name) for name, c in contexts()])
def test_the_standard_packs_give_the_same_cells(
    store: sqlite3.Connection, engines: tuple[Engine, ...], context: Context
) -> None:
    for engine in engines:
        with engine.holding(store) as ask:
            for pack in RULES.packs:
                wanted = cells(store, compile_pack(pack, RULES.features, context).sql)
                assert len(wanted) > 5
                sql = compile_pack(pack, RULES.features, context, engine.dialect).sql
                assert ask(sql) == wanted, (pack.name, engine.dialect.name)


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRES, DUCKDB], ids=lambda d: d.name)
def test_a_parser_that_is_none_of_theirs_reads_the_standard_packs_too(dialect: Dialect) -> None:
    for fresh in (OK, {}):
        context = Context(AS_OF, ZoneInfo("Asia/Tokyo"), "JPY", fresh)
        for pack in RULES.packs:
            sql = compile_pack(pack, RULES.features, context, dialect).sql
            assert len(sqlglot.parse(sql, dialect=dialect.name)) == 1


def test_the_standard_packs_are_statements_of_spark() -> None:
    """Without Spark itself, whose answers are compared where CSSYNC_SPARK=1 is set: docs/engines.md."""
    context = Context(AS_OF, ZoneInfo("Asia/Tokyo"), "JPY", OK, gaps=GAPS)
    for pack in RULES.packs:
        sql = compile_pack(pack, RULES.features, context, SPARK).sql
        (statement,) = sqlglot.parse(sql, dialect="spark")
        foreign = {"MATERIALIZED", "::", '"', "strpos", "to_char", "string_agg", "DOUBLE PRECISION"}
        outside = re.sub(r"'(?:[^'\\]|\\.)*'", "''", sql)
        assert statement is not None
        assert [word for word in foreign if word in outside] == []


def test_shared_facts_and_volumes_give_the_same_cells(store: sqlite3.Connection, engines: tuple[Engine, ...]) -> None:
    context = Context(AS_OF, ZoneInfo("Asia/Tokyo"), "JPY", OK, gaps=GAPS)

    def statements(d: Dialect) -> dict[str, str]:
        tables = fact_tables(RULES.packs, RULES.features, context, d)
        chain = ", ".join(f"{name} AS ({sql})" for name, sql in tables.items())  # each reads those before it
        ordered = {
            name: f"WITH {chain} SELECT * FROM {name} ORDER BY {', '.join(LINKS.get(name, ('account_uid',)))}"
            for name in tables
        }
        series = f"SELECT * FROM ({series_sql(TODAY - timedelta(weeks=16), TODAY, d)}) f ORDER BY 1, 2, 3"
        return {**ordered, "series": series, "newest": newest_sql(TODAY, d)}

    wanted = {name: [tuple(r) for r in store.execute(sql)] for name, sql in statements(SQLITE).items()}
    empty = {name for name, rows in wanted.items() if not rows}
    assert empty == {"fact_burn", "event_deal", "fact_event_lines"}  # nobody uses credits or has a deal of a contract
    for engine in engines:
        with engine.holding(store) as ask:
            for name, sql in statements(engine.dialect).items():
                assert [tuple(row.values()) for row in ask(sql)] == wanted[name], (name, engine.dialect.name)


# --- traps ------------------------------------------------------------------------------------------------------------

_TRAPS: dict[str, tuple[str, Any]] = {
    "a whole quotient keeps its fraction": ("seven / 2", 3.5),
    "nothing is divided by zero": ("seven / (seven - 7)", None),
    "halves round up": ("round(2.5) * 100 + round(seven / 2) * 10 + round(0 - 2.5)", 338.0),
    "a fraction is never cut off": ("round(2.7)", 3),
    "decimals are doubles": ("0.1 + 0.2", 0.1 + 0.2),
    "large literals do not overflow": ("2000000000 + 2000000000", 4_000_000_000),
    "large products are doubles": ("3000000000 * 4000000000 * seven", 8.4e19),
    "the largest whole number is an end": ("round(3000000000 * 4000000000 * seven)", 2**63 - 1),
    "the larger of an unknown value is unknown": ("max(seven, absent)", None),
    "the smaller of an unknown value is unknown": ("min(seven, absent)", None),
    "a date less a date is a number of days": ("2026-03-01 - opened", 365),
    "a date and days is a date": ("opened + 365", "2026-03-01"),
    "a day after 9999 is unknown": ("9999-12-31 + 1", None),
    "the last day of all is known": ("9999-12-30 + 1", "9999-12-31"),
    "so many days are too many": ("opened + 1000000000000", None),
    "a negative number opens no comment": ("seven - -1 - -seven", 15),
    "yes and no become 1 and 0": ("seven = 7 and not is_odd", 0),
    "a condition that is unknown stays unknown": ("absent > 1 or seven = 8", None),
    "an unknown one decides nothing, another does": ("absent > 1 or seven = 7", 1),
    "yes is compared with yes": ("is_odd = true", 1),
    "an average divides by the number of rows": ("average", 1.5),
    "a median of two is between them": ("middle", 1.5),
    "the newest are listed in order, ties by their id": ("listed", "0, 1, 2"),
    "a list of fewer ends there": ("lone", "4"),
    "members that are there, in the list's order": ("there", "6, 0"),
    "the first member stands alone": ("one_there", "6"),
    "members that are not there, and that there are more": ("lacking", "9, x, ..."),
    "nobody is seen to lack what was never asked": ("never_asked", None),
    "whoever has no row that counts lacks every member": ("lacking_all", "6, 9, ..."),
    "words in a text, in either case, and of longer ones where a star says so": ("spoken", "O'O, ä, ..."),
    "capital letters differ": ("starts_with(name, 'Ä')", 0),
    "letters outside ASCII are letters": ("starts_with(name, 'ä')", 1),
    "a wild card is a letter": ("contains(name, '%')", 0),
}  # fmt: skip


@pytest.mark.parametrize(("formula", "wanted"), _TRAPS.values(), ids=_TRAPS)
def test_trap(formula: str, wanted: Any, engines: tuple[Engine, ...]) -> None:
    pack = (
        "pack: p\nfeatures:\n  seven: {count: tickets}\n  absent: {max: tickets.reopened_count, where: escalated}\n"
        "  opened: {min: tickets.opened_at}\n  average: {avg: surveys.score}\n  middle: {median: surveys.score}\n"
        "  listed: {last: tickets.source_id, most: 3}\n"
        "  lone: {last: tickets.source_id, where: source_id = '4', most: 3}\n"
        "  there: {present: tickets.source_id, of: ids, most: 3}\n  one_there: {present: tickets.source_id, of: ids}\n"
        "  lacking: {absent: tickets.source_id, of: ids, most: 2}\n"
        "  never_asked: {absent: usage.metric, of: ids, most: 2}\n"
        "  lacking_all: {absent: tickets.source_id, of: ids, where: escalated, most: 2}\n"
        "  spoken: {mentioned: tickets.subject, of: words, most: 2}\n"
        f'  is_odd: "seven != 8"\n  asked: "{formula}"\n'
        "lists: {ids: ['6', '9', x, '0', é], words: [none, O'O, o'o, stra, ä, \"*ß*\"]}\n"
    )
    with one_account({"name": "äbc"}) as conn:
        for n in range(7):
            conn.execute(
                "INSERT INTO ticket (connection, source_id, synced_at, account_uid, opened_at, subject) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                ("x", str(n), "2026-01-01T00:00:00Z", "a", "2025-03-01T00:00:00Z", "Straße, o'O ä" if n else "Ä"),
            )
        for n in (1, 2):
            conn.execute(
                "INSERT INTO survey_response (connection, source_id, synced_at, account_uid, score) "
                "VALUES ('x', ?, '2026-01-01T00:00:00Z', 'a', ?)",
                (str(n), float(n)),
            )
        answers = ask_all(conn, pack, engines)
    assert [row["f_asked"] for row in answers.values()] == [wanted] * len(answers)


@pytest.mark.parametrize(
    "text", ["o'o", "''", "\\", "\\'", "a\\' OR 1=1 --", "; DROP TABLE account;", "$$", "%s ? :a {}"]
)
def test_hostile_text_is_text(text: str, engines: tuple[Engine, ...]) -> None:
    written = text.replace("'", "''")
    with one_account({"name": text, "industry": "x"}) as conn:
        for column, truth in (("name", 1), ("industry", 0)):
            literal = f'"{text}"' if "'" in text and '"' not in text else f"'{written}'"
            if "\\" in text:  # the grammar refuses it; the dialect must not depend on that
                for engine in (None, *engines):
                    d = engine.dialect if engine else SQLITE
                    sql = f"SELECT {d.flag(f'{column} = {d.text(text)}')} AS found FROM account"
                    rows = cells(conn, sql) if engine is None else engine.answers(conn, sql)
                    assert rows == [{"found": truth}], d.name
                continue
            pack = f"pack: p\nfeatures:\n  asked: >-\n    {column} = {literal}\n"
            assert {row["f_asked"] for row in ask_all(conn, pack, engines).values()} == {truth}


def test_a_nul_character_never_reaches_a_statement_or_ends_one(engines: tuple[Engine, ...]) -> None:
    for d in (SQLITE, *(engine.dialect for engine in engines)):
        assert d.text("a\0'b") == d.text("a'b")
    with one_account({"name": "a\0b"}) as conn:
        for engine in engines:
            rows = engine.answers(conn, "SELECT length(name) AS n FROM account")
            assert rows == [{"n": 2 if engine.dialect.name == "postgres" else 3}]


def test_postgresql_is_among_the_engines(postgres: Engine | None) -> None:
    if postgres is None:
        pytest.skip("no initdb on this machine")


_FORMS: dict[str, tuple[Callable[[Dialect], str], Any]] = {
    "a whole quotient has no fraction": (lambda d: d.quotient("(3 + 4)", "2"), 3),
    "nor is it rounded": (lambda d: d.quotient("(2 * 1 + 3)", "(2 * 3)"), 0),
    "a fraction is cut off": (lambda d: d.whole(d.number(2.7)), 2),
    "a sum of whole numbers is one": (lambda d: d.whole("sum(40000000000)"), 40_000_000_000),
    "digits are read": (lambda d: d.parsed("'85'"), 85),
    "a month has its own end": (lambda d: d.add_months("'2026-01-31'", "(1 * 1)"), "2026-02-28"),
    "back over a leap day": (lambda d: d.add_months("'2024-02-29'", "(- 12)"), "2023-02-28"),
    "years of months": (lambda d: d.add_months("'2026-11-20'", "36"), "2029-11-20"),
    "a month after 9999": (lambda d: d.add_months("'9999-12-01'", "1"), None),
    "an unknown number of months": (lambda d: d.add_months("'2026-11-20'", d.null("integer")), None),
    "an unknown day": (lambda d: d.add_days(d.null("date"), "1"), None),
    "an evening in Tokyo": (lambda d: d.local_day("'2026-11-20T15:00:00Z'", [("0000", 540)]), "2026-11-21"),
    "fractions of a second": (lambda d: d.local_day("'2026-11-20T14:59:59.999999Z'", [("0000", 540)]), "2026-11-20"),
    "summer and winter": (
        lambda d: d.local_day("'2026-10-25T23:30:00Z'", [("2026-10-25T01:00:00", 60), ("0000", 120)]),
        "2026-10-26",
    ),
}


@pytest.mark.parametrize(("form", "wanted"), _FORMS.values(), ids=_FORMS)
def test_form(form: Callable[[Dialect], str], wanted: Any, engines: tuple[Engine, ...]) -> None:
    with one_account({}) as conn:
        assert cells(conn, f"SELECT {form(SQLITE)} AS found") == [{"found": wanted}]
        for engine in engines:
            assert engine.answers(conn, f"SELECT {form(engine.dialect)} AS found") == [{"found": wanted}]


# --- asking -----------------------------------------------------------------------------------------------------------


class one_account:  # noqa: N801 - a context manager, used like a function
    """A store in memory with the account `a`."""

    def __init__(self, account: dict[str, Any]) -> None:
        self.conn = sqlite3.connect(":memory:")
        self.conn.row_factory = sqlite3.Row
        for name in ("history", *(t for t in TABLES if t in TABLE)):
            for ddl in table_ddl(TABLE[name]):
                self.conn.execute(ddl)
        for table in TABLES:
            for ddl in entity_ddl(ENTITY[table]) if table in ENTITY else ():
                self.conn.execute(ddl)
        names = ", ".join(("uid", *account))
        marks = ", ".join("?" * (len(account) + 1))
        self.conn.execute(f"INSERT INTO account ({names}) VALUES ({marks})", ("a", *account.values()))

    def __enter__(self) -> sqlite3.Connection:
        return self.conn

    def __exit__(self, *_: object) -> None:
        self.conn.close()


def ask_all(conn: sqlite3.Connection, pack: str, engines: tuple[Engine, ...]) -> dict[str, dict[str, Any]]:
    """Return engine -> the one row of a pack's statement."""
    rules = read_rules([Source("p.yaml", pack)])
    context = Context(AS_OF, currency="JPY", fresh=OK)
    found = {"sqlite": cells(conn, compile_pack(rules.packs[0], rules.features, context).sql)[0]}
    for engine in engines:
        sql = compile_pack(rules.packs[0], rules.features, context, engine.dialect).sql
        found[engine.dialect.name] = engine.answers(conn, sql)[0]
    return found
