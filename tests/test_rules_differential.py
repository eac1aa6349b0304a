"""Generated packs over generated rows give the same answers in SQL and in the reference interpreter."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cssync.model import ENTITY, TABLE
from cssync.rules.catalogue import SOURCES
from cssync.rules.compiler import compile_pack
from cssync.rules.faults import Source
from cssync.rules.freshness import Context, Freshness
from cssync.rules.interpreter import judge
from cssync.rules.memory import REMEMBERED, Memory
from cssync.rules.packs import read_rules
from cssync.rules.percentiles import cuts, judged
from cssync.rules.statement import outcome_of
from cssync.rules.tree import Feature, Pack
from cssync.rules.winsorise import asked
from cssync.store.schema import entity_ddl, table_ddl
from engines import Engine

AS_OF = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
ZONES = [ZoneInfo(z) for z in ("UTC", "Asia/Tokyo", "Europe/Zurich", "Pacific/Kiritimati", "America/St_Johns")]
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: a pack and its rows take minutes to shrink, and the differing column says enough."""
USED = ("tickets", "usage", "surveys", "invoices", "ticket_metrics", "contacts")

# --- packs ------------------------------------------------------------------------------------------------------------

NUMBERS = [
    "n_tickets",
    "n_hours",
    "n_sum",
    "n_avg",
    "n_min",
    "n_last",
    "n_usage",
    "n_peak",
    "n_answers",
    "n_median",
    "n_middle",
    "n_kinds",
    "n_days",
    "n_newest",
    "n_split",
    "n_solved",
    "n_role",
]
CUT = ["w_one", "w_two"]
"""Winsorised features, in groups so small that the median and its neighbours cut."""
DATES = ["d_first", "d_last", "d_use"]  # fmt: skip
WHERE = {
    "tickets": ["status = 'open'", "priority in ('urgent', 'high')", "reopened_count >= 1", "solved_at is missing",
                "days_since(opened_at) between 2 and 9", "not escalated", "starts_with(subject, 'é')",
                "category != 'billing' or contains(category, \"o'o\")", "category in kinds", "category not in none",
                "mentions(category, stems) or mentions(subject, kinds)", "not mentions(subject, none)",
                "mentions(subject, words)"],
    "usage": ["value > 0", "metric = 'active_users'", "product_code is not missing"],
    "surveys": ["kind = 'csat'", "score >= scale_max - 1", "score * 2 > 3"],
    "invoices": ["paid_at is missing", "days_until(due_date) < 3"],
    "ticket_metrics": ["reopens > 0", "priority = 'urgent'", "days_since(solved_at) > 2"],
}  # fmt: skip


@cache
def window() -> st.SearchStrategy[str]:
    return st.builds(
        lambda within, ending, older, least: "".join(
            (
                f", within: {within}d" if within else "",
                f", ending: {ending}d" if within and ending else "",
                f", older_than: {older}" if older else "",
                f", at_least: {least}" if least else "",
            )
        ),
        st.sampled_from([None, 1, 2, 7, 30, 400]),
        st.sampled_from([None, 1, 7]),
        st.sampled_from([None, None, "1h", "48h", "3d"]),
        st.sampled_from([None, None, 1, 2]),
    )


def aggregate(name: str, function: str, target: str, more: str = "") -> st.SearchStrategy[str]:
    source = target.partition(".")[0]
    where = st.sampled_from([None, *WHERE[source]])
    if "of: " in more:  # the lists: one that is empty, too
        return st.builds(
            lambda w, t, of: f"  {name}: {{{function}: {target}" + (f', where: "{_escaped(w)}"' if w else "")
            + f"{t.partition(', at_least')[0]}{more.replace('some', of)}}}",
            where, window(), st.sampled_from(["kinds", "words", "none", *["stems"] * (function == "mentioned")]),
        )  # fmt: skip
    return st.builds(
        lambda w, t: f"  {name}: {{{function}: {target}" + (f', where: "{_escaped(w)}"' if w else "") + f"{t}{more}}}",
        where,
        window(),
    )


def _escaped(text: str) -> str:
    return text.replace('"', '\\"')


BASE = st.tuples(
    aggregate("n_tickets", "count", "tickets"),
    aggregate("n_hours", "max", "tickets.reopened_count"),
    aggregate("n_sum", "sum", "tickets.reopened_count"),
    aggregate("n_avg", "avg", "surveys.score"),
    aggregate("n_min", "min", "surveys.score"),
    aggregate("n_last", "last", "surveys.score"),
    aggregate("n_usage", "sum", "usage.value"),
    aggregate("n_peak", "max", "usage.active_users"),
    aggregate("n_answers", "count", "usage"),
    aggregate("n_median", "median", "surveys.score"),
    aggregate("n_middle", "median", "ticket_metrics.agent_touches"),
    aggregate("n_kinds", "distinct", "tickets.category"),
    aggregate("n_days", "distinct", "tickets.opened_at"),
    aggregate("n_newest", "count", "surveys", ", newest_per: contact_source_id"),
    aggregate("n_split", "sum", "surveys.score", ", newest_per: contact_source_id, of_which: score >= 1"),
    aggregate("n_solved", "count", "ticket_metrics"),
    aggregate("n_role", "distinct", "surveys.contact_role"),
    aggregate("d_first", "min", "tickets.opened_at"),
    aggregate("d_last", "max", "invoices.due_date"),
    aggregate("d_use", "last", "usage.day"),
    aggregate("t_listed", "last", "tickets.category", ", most: 3"),
    aggregate("t_common", "most_common", "tickets.category"),
    aggregate("t_commons", "most_common", "tickets.category", ", most: 3"),
    aggregate("t_there", "present", "tickets.category", ", of: some, most: 2"),
    aggregate("t_lacking", "absent", "tickets.category", ", of: some"),
    aggregate("t_unused", "absent", "usage.metric", ", of: metrics, most: 2"),
    aggregate("t_spoken", "mentioned", "tickets.subject", ", of: some, most: 3"),
    aggregate("m_due", "sum", "invoices.amount"),
)
literal = st.sampled_from(["0", "1", "2", "3", "7", "0.5", "12.25", "30%", "100"])


@cache
def numbers(depth: int) -> st.SearchStrategy[str]:
    named = st.sampled_from([*NUMBERS, *CUT, "employee_count"])
    leaf = literal | named | st.sampled_from(DATES).map("days_since({})".format)
    if depth == 0:
        return leaf
    sub = numbers(depth - 1)
    return leaf | st.one_of(
        st.tuples(sub, st.sampled_from("+-*/"), sub).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        sub.map("-({})".format),
        sub.map("abs({})".format),
        sub.map("round({})".format),
        st.tuples(sub, sub).map(lambda t: f"min({t[0]}, {t[1]})"),
        st.tuples(sub, sub).map(lambda t: f"max({t[0]}, {t[1]})"),
        st.tuples(st.sampled_from(DATES), st.sampled_from(DATES)).map(lambda t: f"({t[0]} - {t[1]})"),
        st.tuples(st.sampled_from(DATES), st.integers(0, 400)).map(lambda t: f"days_until({t[0]} + {t[1]})"),
    )


@cache
def conditions(depth: int) -> st.SearchStrategy[str]:
    n = numbers(1)
    leaf = st.one_of(
        st.tuples(n, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), n).map(" ".join),
        st.tuples(n, n, n).map(lambda t: f"{t[0]} between {t[1]} and {t[2]}"),
        n.map("({}) in (0, 1, 7)".format),
        n.map("({}) not in (1, 2)".format),
        st.tuples(st.sampled_from([*NUMBERS, *CUT, *DATES, "m_due", "segment"]), st.sampled_from(["", "not "])).map(
            lambda t: f"{t[0]} is {t[1]}missing"
        ),
        st.sampled_from(
            [
                "status = 'active'",
                "segment in ('a', 'ß')",
                "m_due > 0",
                "d_last >= 2026-11-20",
                "is_test",
                "segment not in kinds",
                "mentions(segment, words)",
                "mentions(segment, stems)",
                "size(words) > n_kinds",
            ]
        ),
    )
    if depth == 0:
        return leaf
    sub = conditions(depth - 1)
    return leaf | st.one_of(
        st.tuples(sub, st.sampled_from(["and", "or"]), sub).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        sub.map("not ({})".format),
    )


RANKS = st.sampled_from(["50", "66.66", "66.67", "99.5"])
GROUPS = st.sampled_from(["touch_tier", "touch_tier", "status", "segment"])  # nobody has a touch tier: one group


@st.composite
def packs(draw: st.DrawFn) -> str:
    points = sorted(draw(st.sets(st.integers(-20, 40), min_size=2, max_size=4)))
    ys = [draw(st.integers(0, 100)) for _ in points]
    curve = ", ".join(f'"{x}": {y}' for x, y in zip(points, ys, strict=True))
    lines = [f"{draw(st.integers(0, 100))} if {draw(conditions(1))}" for _ in range(2)]
    missing = draw(st.sampled_from(["unknown", "ignore", "hold 9d"]))
    return "\n".join(
        (
            "pack: made",
            "lists: {kinds: [billing, é], none: [], words: {en: [BILL, o'o], ja: [É]}, "
            'stems: [BILL*, "*o\'o", é], metrics: [active_users, logins, exports]}',
            "features:",
            *draw(BASE),
            f"  f_raw: employee_count{draw(st.sampled_from(['', ' / 3', ' - n_tickets', ' * n_sum']))}",
            f"  w_one: {{winsorised: {draw(st.sampled_from(NUMBERS))}, at: {draw(RANKS)}, per: {draw(GROUPS)}}}",
            f"  w_two: {{winsorised: f_raw, at: {draw(RANKS)}, per: {draw(GROUPS)}}}",
            f'  f_one: "{_escaped(draw(numbers(2)))}"',
            f"  f_two: {{needs: [{draw(st.sampled_from(NUMBERS))}], first: ["
            + f'"f_one if {_escaped(draw(conditions(1)))}", "1.5 otherwise"]}}',
            "score:",
            f"  coverage: {draw(st.sampled_from([0, 34, 50, 100]))}%",
            "  bands: {red: 0, yellow: 40, green: 70}",
            f'  models: {{m: {{when: "{_escaped(draw(conditions(0)))}", coverage: {draw(st.sampled_from([0, 50]))}%, '
            f"weights: {{a: {draw(st.integers(0, 9))}, b: 3}}, bands: {{red: 0, yellow: 30, green: 33}}}}}}",
            f"  hysteresis: {{margin: {draw(st.integers(0, 5))}, confirm: {draw(st.integers(1, 4))}d}}",
            "  override: {band: override_band, reason: override_reason, until: override_until}",
            "  measures:",
            f"    a: {{weight: {draw(st.integers(1, 20))}, curve: {{of: f_two, at: {{{curve}}}}}}}",
            "    b:",
            f"      weight: {draw(st.integers(1, 20))}",
            f"      missing: {missing}",
            f"      needs: [{draw(st.sampled_from(NUMBERS))}]",
            "      first:",
            *(f'        - "{_escaped(line)}"' for line in lines),
            "        - 55 otherwise",
            "    c:",
            f"      weight: {draw(st.integers(1, 20))}",
            f'      applies: "{_escaped(draw(conditions(0)))}"',
            f"      curve: {{of: {draw(st.sampled_from(NUMBERS))}, at: {{{curve}}}}}",
            "  caps:",
            f'    - {{at_most: 30, when: "{_escaped(draw(conditions(1)))}", because: x}}',
            f'    - {{at_most: 60, when: "{_escaped(draw(conditions(1)))}", because: x}}',
            "results:",
            "  half: m_due / 2",
            "  word:",
            "    options: [low, high]",
            "    first:",
            f'      - "low if {_escaped(draw(conditions(1)))}"',
            "      - high if made.band = 'green'",
            "signals:",
            f'  S1: {{when: "{_escaped(draw(conditions(2)))}", because: x}}',
            f"  S2: {{when: \"{_escaped(draw(conditions(2)))} or made.score > 50 or made.word != 'low'\", "
            f'cooldown: 3d, severity: "{_escaped(draw(numbers(1)))}", because: x}}',
            "tasks:",
            f'  T1: {{when: "{_escaped(draw(conditions(1)))}", once_per: month, title: x, due: d_last - 3, '
            f'copy: {{first: ["manager if {_escaped(draw(conditions(0)))}"]}}}}',
        )
    )


# --- rows -------------------------------------------------------------------------------------------------------------

days = st.integers(-3, 45).map(lambda n: (date(2026, 11, 20) - timedelta(days=n)).isoformat()) | st.none()
times = st.builds(
    lambda day, clock: f"{day}T{clock}Z" if day else None,
    days,
    st.sampled_from(["00:00:00", "14:59:59.999999", "15:00:00", "22:30:00", "22:30:00.5", "23:00:00"]),
)
counts = st.integers(-2, 12) | st.none() | st.just(10**9)
values = st.sampled_from([None, 0.0, 0.1, 0.2, 0.3, 1.0, 2.0005, 3.4999, 41.0, -0.0015, 1e6])
words = st.sampled_from(
    [
        None,
        "",
        "billing",
        "Billing O'O",
        "o'o",
        "é",
        "É",
        "ß",
        "rebilling",
        "rebilling: Billingの",
        "bill",
        "éÉ é",
        "bo'o",
    ]
)
ROWS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "tickets": st.fixed_dictionaries(
        {
            "status": st.sampled_from([None, "open", "solved"]),
            "priority": st.sampled_from([None, "urgent", "high", "low"]),
            "opened_at": times,
            "solved_at": times,
            "reopened_count": counts,
            "escalated": st.sampled_from([None, 0, 1]),
            "subject": words,
            "category": words,
        }
    ),
    "usage": st.fixed_dictionaries(
        {
            "metric": st.sampled_from(["active_users", "logins"]),
            "period_start": days,
            "value": values,
            "product_code": words,
            "is_complete": st.sampled_from([None, 0, 1]),
        }
    ),
    "surveys": st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["csat", "nps", None]),
            "score": values,
            "scale_max": counts,
            "responded_at": times,
            "contact_source_id": st.sampled_from([None, "0-0", "0-1", "1-0", "none"]),
        }
    ),
    "ticket_metrics": st.fixed_dictionaries(
        {"ticket_source_id": st.sampled_from([None, "0-0", "0-1", "1-0"]), "agent_touches": counts, "reopens": counts}
    ),
    "contacts": st.fixed_dictionaries({"role": st.sampled_from([None, "champion", "admin"])}),
    "invoices": st.fixed_dictionaries(
        {"due_date": days, "amount": counts, "currency": st.sampled_from([None, "JPY", "JPY", "USD"]), "paid_at": times}
    ),
}
accounts = st.fixed_dictionaries(
    {
        "status": st.sampled_from([None, "active", "free"]),
        "segment": words,
        "employee_count": counts,
        "is_test": st.sampled_from([None, 0]),
        "override_band": st.sampled_from([None, "green", "red"]),
        "override_until": st.sampled_from([None, "2026-11-19", "2026-11-20", "2026-11-21", "2027-01-01"]),
    }
)
memories = st.builds(
    Memory,
    st.sampled_from([None, "red", "yellow", "green"]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([None, "green"]),
    st.sampled_from([None, date(2026, 11, 20), date(2027, 1, 1)]),
    st.sampled_from([date(2026, 10, n) for n in (19, 20, 21, 22)] + [date(2026, 11, 1)]),
    st.fixed_dictionaries({}, optional={"a": st.integers(0, 100), "b": st.integers(0, 100)}),
    st.sampled_from([None, "", "1", "0", "-", "01", "10"]),
)
"""Where scores stood the day before."""
customers = st.tuples(accounts, st.fixed_dictionaries({s: st.lists(r, max_size=4) for s, r in ROWS.items()}))


@contextmanager
def stored(found: list[tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]]) -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:")
    conn.row_factory = sqlite3.Row
    try:
        for name in ("account", "result", "result_history", "history", "score_state", "feature_row"):
            for ddl in table_ddl(TABLE[name]):
                conn.execute(ddl)
        for table in SOURCES.values():
            for ddl in entity_ddl(ENTITY[table.entity]):
                conn.execute(ddl)
        for n, (account, rows) in enumerate(found):
            insert(conn, "account", {"uid": f"a{n}", "name": f"Nr {n}", **account})
            for source, lines in rows.items():
                for i, line in enumerate(lines):
                    key = {"connection": "x", "source_id": f"{n}-{i}", "synced_at": "2026-01-01T00:00:00Z"}
                    insert(conn, SOURCES[source].entity, {**key, "account_uid": f"a{n}", **line})
        yield conn
    finally:
        conn.close()


def remember(conn: sqlite3.Connection, uid: str, memory: Memory) -> None:
    own = {n: v.isoformat() if isinstance(v, date) else v for n in REMEMBERED for v in (getattr(memory, n),)}
    insert(conn, "score_state", {"account_uid": uid, "pack": "made", "since": "2026-11-01", **own})
    features = json.dumps({"n_tickets": 1.5, **{f"measure.{n}": v for n, v in memory.measures.items()}})
    for day, text in (("2026-11-02", "{}"), ("2026-11-18", features), ("2026-12-01", "{}")):
        insert(conn, "feature_row", {"account_uid": uid, "pack": "made", "as_of": f"{day}T00:00:00Z", "features": text,
                                     "pack_hash": "", "states": "{}"})  # fmt: skip


def insert(conn: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{c}"' for c in row)
    conn.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(row))})', tuple(row.values()))


def same_everywhere(
    conn: sqlite3.Connection, engines: tuple[Engine, ...], pack: Pack, features: Mapping[str, Feature], c: Context
) -> None:
    """Every engine gives the cells that SQLite gives."""
    wanted = [dict(row) for row in conn.execute(compile_pack(pack, features, c).sql)]
    for engine in engines:
        sql = compile_pack(pack, features, c, engine.dialect).sql
        assert engine.answers(conn, sql) == wanted, engine.dialect.name


# --- the law ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
@given(
    pack=packs(),
    found=st.lists(customers, min_size=1, max_size=3),
    zone=st.sampled_from(ZONES),
    late=st.sets(st.sampled_from([*(SOURCES[s].entity for s in USED), "usage_metric.active_users"]), max_size=1),
    gaps=st.dictionaries(
        st.tuples(st.sampled_from(["x", "y"]), st.sampled_from(["active_users", "logins", "o'o"])),
        st.lists(st.integers(0, 9).map(lambda n: date(2026, 11, 20) - timedelta(days=n)), min_size=1).map(tuple),
    ),
    absent=st.sets(st.sampled_from(USED), max_size=1),
    before=st.lists(memories, min_size=3, max_size=3),
)
def test_sql_equals_the_interpreter(
    pack: str,
    found: list[tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]],
    zone: ZoneInfo,
    late: set[str],
    gaps: dict[tuple[str, str], tuple[date, ...]],
    absent: set[str],
    before: list[Memory],
    engines: tuple[Engine, ...],
) -> None:
    rules = read_rules([Source("made.yaml", pack)])
    made = rules.packs[0]
    old = Freshness("stale", AS_OF - timedelta(days=9))
    fresh = {SOURCES[s].entity: Freshness("ok", AS_OF) for s in SOURCES if s not in absent} | dict.fromkeys(late, old)
    context = Context(AS_OF, zone, "JPY", fresh, gaps=gaps)
    statement = compile_pack(made, rules.features, context)
    with stored(found) as conn:
        for n in range(len(found)):
            remember(conn, f"a{n}", before[n])
        rows = conn.execute(statement.sql).fetchall()
        same_everywhere(conn, engines, made, rules.features, context)
    assert len(rows) == len(found)
    keyed = [
        {s: [{"connection": "x", "source_id": f"{n}-{i}", **r} for i, r in enumerate(rs)] for s, rs in lines.items()}
        for n, (_, lines) in enumerate(found)
    ]
    cut = asked(CUT, rules.features)
    peers = judged(cut, rules.features, context, ((a, k, {}, {}) for (a, _), k in zip(found, keyed, strict=True)))
    for n, (row, (account, _)) in enumerate(zip(rows, found, strict=True)):
        known = cuts(cut, peers, account)
        wanted = judge(made, rules.features, context, account, rows=keyed[n], given=known, memory=before[n])
        assert outcome_of(made, statement, row) == wanted


@settings(max_examples=15, deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
@given(found=st.lists(customers, min_size=2, max_size=4), data=st.data())
def test_the_order_of_rows_does_not_matter(
    found: list[tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]], data: st.DataObject
) -> None:
    rules = read_rules([Source("made.yaml", data.draw(packs()))])
    fresh = {table.entity: Freshness("ok", AS_OF) for table in SOURCES.values()}
    statement = compile_pack(rules.packs[0], rules.features, Context(AS_OF, currency="JPY", fresh=fresh))
    answers = []
    for turn in (1, -1):
        with stored(found) as conn:
            if turn == -1:
                conn.execute("PRAGMA reverse_unordered_selects = ON")
            answers.append([tuple(r) for r in conn.execute(statement.sql)])
    assert answers[0] == answers[1]


def test_only_one_account_gives_the_same_row_as_all() -> None:
    text = (
        "pack: p\nfeatures:\n  n: {count: tickets}\n  u: {sum: usage.value}\nsignals:\n  S: {when: n > u, because: x}"
    )
    rules = read_rules([Source("p.yaml", text)])
    fresh = {table.entity: Freshness("ok", AS_OF) for table in SOURCES.values()}
    rows = {"tickets": [{"status": "open"}], "usage": [{"value": 0.5, "metric": "logins"}]}
    with stored([({}, rows), ({}, {"tickets": [{}, {}]})]) as conn:
        every = [
            tuple(r)
            for r in conn.execute(compile_pack(rules.packs[0], rules.features, Context(AS_OF, fresh=fresh)).sql)
        ]
        one = compile_pack(rules.packs[0], rules.features, Context(AS_OF, fresh=fresh, only="a1"))
        assert [tuple(r) for r in conn.execute(one.sql)] == every[1:]


@pytest.mark.parametrize("name", ["health", "renewal", "risk", "touch", "upsell"])
@pytest.mark.parametrize("connected", [True, False])
def test_every_statement_of_the_standard_packs_is_sql(name: str, connected: bool) -> None:
    from importlib.resources import files

    from cssync.rules.loading import load_folders

    rules = load_folders([("standard", files("cssync_rules"))])
    pack = rules.pack(name)
    assert pack is not None
    fresh = {table.entity: Freshness("ok", AS_OF) for table in SOURCES.values()} if connected else {}
    sql = compile_pack(pack, rules.features, Context(AS_OF, ZONES[2], "EUR", fresh)).sql
    with stored([({}, {})]) as conn:
        assert len(conn.execute(sql).fetchall()) == 1
