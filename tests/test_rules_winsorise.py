"""Winsorised features: cut at a percentile of the accounts of a group, on every engine and wherever rules run."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlglot

from cssync.errors import ConfigError
from cssync.model import TABLE
from cssync.rules import RuleSet
from cssync.rules.compiler import compile_pack, fact_tables, source_passes
from cssync.rules.copying import TABLES
from cssync.rules.dialects import SPARK
from cssync.rules.faults import Source
from cssync.rules.freshness import Context, Freshness
from cssync.rules.interpreter import judge
from cssync.rules.packs import read_rules
from cssync.rules.packtests import run_tests
from cssync.rules.percentiles import cuts, judged, nearest_rank, stored
from cssync.rules.statement import outcome_of
from cssync.rules.winsorise import MOST, asked
from cssync.store.schema import entity_ddl, table_ddl
from engines import Engine
from random_rows import ENTITIES, add

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
OK = {e.name: Freshness("ok", AS_OF) for e in ENTITIES}
FAIR = """
pack: fair
features:
  load: employee_count
  load_fair: {winsorised: load}
"""


def read(text: str) -> RuleSet:
    return read_rules([Source("fair.yaml", text)])


def faults(feature: str) -> str:
    text = f"pack: p\nfeatures:\n  n: {{count: tickets}}\n  day: {{max: tickets.opened_at}}\n  w: {feature}\n"
    with pytest.raises(ConfigError) as error:
        read(text)
    return error.value.message


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    """A store in memory without rows."""
    found = sqlite3.connect(":memory:")
    found.row_factory = sqlite3.Row
    for name in ("history", *(t for t in TABLES if t in TABLE)):
        for ddl in table_ddl(TABLE[name]):
            found.execute(ddl)
    for ddl in (d for e in ENTITIES for d in entity_ddl(e)):
        found.execute(ddl)
    yield found
    found.close()


def put(conn: sqlite3.Connection, values: Iterable[Any], segment: str | None = "s", **more: Any) -> None:
    """Accounts of a segment with these numbers of employees."""
    have = conn.execute("SELECT count(*) FROM account").fetchone()[0]
    for n, value in enumerate(values, have):
        add(conn, "account", {"uid": f"a{n:04}", "segment": segment, "employee_count": value, **more})


def found(conn: sqlite3.Connection, rules: RuleSet, context: Context, engine: Engine | None = None) -> list[Any]:
    """The rows of the first pack of some rules."""
    pack = rules.packs[0]
    if engine is not None:
        return engine.answers(conn, compile_pack(pack, rules.features, context, engine.dialect).sql)
    return [dict(row) for row in conn.execute(compile_pack(pack, rules.features, context).sql)]


def column(conn: sqlite3.Connection, text: str, name: str = "load_fair", **changed: Any) -> list[Any]:
    return [row[f"f_{name}"] for row in found(conn, read(text), replace(Context(AS_OF, fresh=OK), **changed))]


# --- what it is cut at ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "at", "most"),
    [
        (1, "99.5", 1),
        (199, "99.5", 199),  # 198.005: the last one
        (200, "99.5", 199),  # 199: the last but one
        (400, "99.5", 398),
        (401, "99.5", 399),
        (1000, "99.5", 995),
        (1000, "99", 990),
        (1000, "99.99", 1000),
        (1000, "50", 500),
        (3, "66.66", 2),  # 1.9998
        (3, "66.67", 3),  # 2.0001
    ],
)
def test_the_percentile_is_the_value_of_the_nearest_rank(
    conn: sqlite3.Connection, count: int, at: str, most: int
) -> None:
    put(conn, random.Random(count).sample(range(1, count + 1), count))
    wanted = [min(row[0], most) for row in conn.execute("SELECT employee_count FROM account ORDER BY uid")]
    assert column(conn, FAIR.replace("load}", f"load, at: {at}}}")) == wanted
    assert nearest_rank(range(count, 0, -1), round(float(at) * 100)) == most


def test_ties_are_one_value_and_the_low_end_stays(conn: sqlite3.Connection) -> None:
    put(conn, [-1_000_000, *[7] * 250, 9, 10])  # 253 x 0.995 = 251.735: the 252nd
    assert column(conn, FAIR) == [-1_000_000, *[7] * 250, 9, 9]


def test_groups_are_apart_and_accounts_without_one_are_a_group(conn: sqlite3.Connection) -> None:
    for n, segment in enumerate(("smb", "enterprise", None, "")):
        put(conn, [1 + n, 2 + n, 3 + n], segment)
    half = FAIR.replace("load}", "load, at: 50}")
    assert column(conn, half) == [1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4]  # 3 4 5 and 4 5 6 are one group
    assert column(conn, half.replace("at: 50", "at: 50, per: industry")) == [1, 2, 3, 2, 3, 3, 3, 3, 3, 3, 3, 3]


def test_those_that_no_rule_looks_at_and_those_without_a_value_do_not_count(conn: sqlite3.Connection) -> None:
    put(conn, [1, 2, 3, 100])
    put(conn, [5000] * 4, is_test=1)
    put(conn, [5000] * 4, deleted_at="2026-11-01T00:00:00Z")
    put(conn, [None] * 4)
    assert column(conn, FAIR.replace("load}", "load, at: 75}")) == [1, 2, 3, 3, None, None, None, None]


def test_a_pack_about_some_accounts_compares_with_all(conn: sqlite3.Connection) -> None:
    put(conn, [1, 2, 3], status="free")
    put(conn, [4, 5], status="active")
    text = FAIR.replace("load}", "load, at: 60}").replace("\nfeatures", "\naccounts: status = 'active'\nfeatures")
    assert column(conn, text) == [3, 3]
    assert column(conn, text, only="a0004") == [3]


def test_what_is_not_connected_has_no_value_and_no_percentile(conn: sqlite3.Connection) -> None:
    put(conn, [1, 2])
    text = "pack: fair\nfeatures:\n  load: {count: tickets}\n  load_fair: {winsorised: load}\n"
    text += "  gone: load_fair is missing\n"
    assert column(conn, text) == [0, 0]
    assert column(conn, text, fresh={}) == [None, None]
    assert column(conn, text, "gone", fresh={}) == [None, None]


def test_the_median_account_of_each_renewal_pack_is_cut_by_the_next_renewals(conn: sqlite3.Connection) -> None:
    put(conn, [0, 0, 0])
    keys = {"connection": "x", "synced_at": "2026-11-19T00:00:00Z", "status": "active"}
    for n, days in enumerate(([30, 200], [60], [90])):
        for i, ahead in enumerate(days):
            end = (AS_OF + timedelta(days=ahead)).date().isoformat()
            row = {**keys, "source_id": f"{n}-{i}", "account_uid": f"a{n:04}", "start_date": "2026-01-01"}
            add(conn, "contract", {**row, "end_date": end})
    text = "pack: fair\nfor_each: renewal_event\nfeatures:\n  ahead: days_until(renews_on)\n"
    text += "  load_fair: {winsorised: ahead, at: 50}\nresults:\n  r: load_fair\n"
    assert column(conn, text) == [31, 61, 61, 61]


@pytest.mark.parametrize("seed", range(2))
def test_every_engine_and_the_interpreter_cut_alike(
    conn: sqlite3.Connection, engines: tuple[Engine, ...], seed: int
) -> None:
    rng = random.Random(seed)
    text = """
pack: fair
features:
  n: {count: tickets, where: priority = 'urgent', within: 30d}
  peak: {max: usage.active_users}
  ratio: (n + employee_count) / 3
  n_fair: {winsorised: n}
  n_most: {winsorised: n, at: 95.55}
  ratio_fair: {winsorised: ratio, at: 97, per: country}
  peak_fair: {winsorised: peak, at: 90}
  far: ratio - ratio_fair
signals:
  S: {when: n > n_fair or far > 0, because: x}
"""
    rules = read(text)
    for segment, size in (("big", 230), ("one", 1), (None, 15), ("", 5)):
        put(conn, [rng.choice((None, 0, 1, 3, 7, 1000)) for _ in range(size)], segment, country=rng.choice(("CH", "é")))
    accounts = [dict(row) for row in conn.execute("SELECT * FROM account ORDER BY uid")]
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for account in accounts:
        uid = account["uid"]
        day = (AS_OF - timedelta(days=rng.randrange(40))).date().isoformat()
        key = {"connection": "x", "synced_at": "2026-11-19T00:00:00Z", "account_uid": uid}
        rows[uid] = {
            "tickets": [{**key, "source_id": f"{uid}-{n}", "priority": rng.choice(("urgent", "low")),
                         "opened_at": f"{day}T12:00:00Z"} for n in range(min(rng.choices(range(40), k=3)))],
            "usage": [{**key, "source_id": f"{uid}-{n}", "metric": "active_users", "grain": "day",
                       "period_start": day, "value": rng.choice((0.1, 0.2, 1e6))} for n in range(rng.randrange(3))],
        }  # fmt: skip
        for table, source in (("ticket", "tickets"), ("usage_metric", "usage")):
            for row in rows[uid][source]:
                add(conn, table, row)
    context = Context(AS_OF, ZoneInfo("Asia/Tokyo"), "JPY", OK)
    wanted = asked(rules.features, rules.features)
    peers = judged(wanted, rules.features, context, ((a, rows[a["uid"]], {}, {}) for a in accounts))
    statement = compile_pack(rules.packs[0], rules.features, context)
    here = conn.execute(statement.sql).fetchall()
    cut: dict[str, set[str]] = {}
    for row, account in zip(here, accounts, strict=True):
        given = cuts(wanted, peers, account)
        assert given == stored(lambda *q: conn.execute(*q), rules.packs[0], rules.features, context, account)
        outcome = judge(rules.packs[0], rules.features, context, account, rows=rows[account["uid"]], given=given)
        assert outcome_of(rules.packs[0], statement, row) == outcome
        f = outcome.features
        for name, raw in (("n_fair", "n"), ("n_most", "n"), ("ratio_fair", "ratio")):
            if f[raw] is not None and f[name] < f[raw]:
                cut.setdefault(name, set()).add(account["uid"])
    assert cut["n_fair"] < cut["n_most"], cut
    assert cut["ratio_fair"]
    for engine in engines:
        assert found(conn, rules, context, engine) == [dict(row) for row in here], engine.dialect.name
    sqlglot.parse_one(compile_pack(rules.packs[0], rules.features, context, SPARK).sql, dialect="spark")
    shared = fact_tables(rules.packs, rules.features, context)
    shared |= source_passes(rules.packs, rules.features, {"fair": context})
    for name, sql in shared.items():
        conn.execute(f"CREATE TEMP TABLE {name} AS {sql}")
    shorter = compile_pack(rules.packs[0], rules.features, context, shared=tuple(shared)).sql
    assert [tuple(row) for row in conn.execute(shorter)] == [tuple(row) for row in here]


# --- what may be written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feature", "place", "words"),
    [
        ("{winsorised: seets}", "5:19", "there is no feature or fact 'seets'; did you mean seats?"),
        ("{winsorized: n}", "5:7", "feature w has no key 'winsorized'; did you mean winsorised?"),
        ("{winsorised: n, att: 99}", "5:22", "feature w has no key 'att'; did you mean at?"),
        ("{winsorised: day}", "5:19", "only numbers are winsorised, and day is a date"),
        ("{winsorised: peer_product}", "5:19", "only numbers are winsorised, and peer_product is a text"),
        ("{winsorised: arr}", "5:19", "only numbers are winsorised, and arr is an amount of money"),
        ("{winsorised: employee_count}", "5:19", "'employee_count' is no feature or fact: make it a feature of its"),
        ("{winsorised: n / 2}", "5:19", "'n / 2' is no feature or fact: make it a feature of its"),
        ("{winsorised: [n]}", "5:19", "`winsorised` is a single value"),
        ("{winsorised: n, at: 49.99}", "5:26", "`at` is a percentile from 50 to 99.99, such as 99.5"),
        ("{winsorised: n, at: 100}", "5:26", "`at` is a percentile from 50 to 99.99"),
        ("{winsorised: n, at: 99.5%}", "5:26", "`at` is a percentile from 50 to 99.99"),
        ("{winsorised: n, at: 99.123}", "5:26", "`at` is a percentile from 50 to 99.99"),
        ("{winsorised: n, per: segmnt}", "5:27", "'segmnt' is no column of account; did you mean segment?"),
        ("{winsorised: n, per: employee_count}", "5:27", "'employee_count' is no text, and accounts are grouped by"),
        ("{winsorised: w}", "5:19", "this feature depends on itself: w -> w"),
        ("{winsorised: v}\n  v: w + 1", "6:6", "this feature depends on itself: v -> w -> v"),
        ("{winsorised: n}\n  v: {winsorised: w}", "6:19", "w rests on a winsorised feature: name what that one is"),
        ("{winsorised: n}\n  u: w / 2\n  v: {winsorised: u}", "7:19", "u rests on a winsorised feature"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(feature: str, place: str, words: str) -> None:
    message = faults(feature)
    assert any(f"fair.yaml:{place}: {words}" in line for line in message.splitlines()), message


def test_the_hash_follows_the_percentile_and_the_group() -> None:
    hashes = {
        read(FAIR.replace("load}", f"load{more}}}")).packs[0].hash
        for more in ("", ", at: 99.5", ", per: segment", ", at: 99.4", ", per: industry")
    }
    assert len(hashes) == 3


def test_many_of_them_are_one_join_for_each_group_and_too_many_are_refused(conn: sqlite3.Connection) -> None:
    put(conn, [1, 2, 3])
    text = "pack: fair\nfeatures:\n"
    for n in range(MOST):
        group = ("segment", "industry", "status")[n % 3]
        text += f"  b{n}: employee_count * {n}\n  w{n}: {{winsorised: b{n}, at: 50, per: {group}}}\n"
    row = found(conn, read(text), Context(AS_OF, fresh=OK))[2]
    assert [row[f"f_w{n}"] for n in range(MOST)] == [2 * n for n in range(MOST)]
    with pytest.raises(ConfigError, match="more than 50 features are winsorised"):
        read(text + "  more: {winsorised: b1}\n")


PACK_TESTS = """
pack: fair
features:
  load: {count: tickets}
  deep: load + seats
  load_fair: {winsorised: load, at: 60}
  deep_fair: {winsorised: deep, at: 60, per: industry}
  scaled: {first: [load_fair if load > load_fair, 0 otherwise]}
tests:
  - name: among the accounts of rows
    as_of: 2026-11-20
    given: {industry: x}
    accounts: {B: {segment: smb}, C: {}, D: {}, E: {is_test: true}, F: {industry: y}}
    rows:
      tickets: [{account: [A, A, A, B, B, B, B, B, C, D, D, E, E, E, E]}]
      contracts: [{account: [A, C, D], source_id: k}]
      lines: [{account: [A, C, D], contract_source_id: k, quantity: 2, unit: seat}]
    then: {load: 3, load_fair: 2, deep_fair: 4, scaled: 2}
  - name: one account alone has no peers
    as_of: 2026-11-20
    given: {load: 3}
    then: {load_fair: 3, scaled: 0}
  - name: or is given what is left
    as_of: 2026-11-20
    given: {load: 3, load_fair: 1}
    then: {scaled: 1}
  - name: day by day
    given: {load: 9}
    days:
      - {on: 2026-11-19, then: {load_fair: 9}}
      - {on: 2026-11-20, given: {load_fair: 4}, then: {load: 9, scaled: 4}}
"""


def test_packs_test_them_by_rows_of_several_accounts_and_by_what_is_given() -> None:
    text = PACK_TESTS.replace(", source_id: k}", "}").replace(", contract_source_id: k", "")
    reports = list(run_tests(read(text)))
    assert [(r.name, r.differences) for r in reports if not r.ok] == []
    wrong = next(run_tests(read(text.replace("load_fair: 2,", "load_fair: 3,"))))
    assert [d.rpartition(" ")[2] for d in wrong.differences] == ["(SQL)", "(interpreter)"]
