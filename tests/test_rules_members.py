"""Members of a list that rows have, lack or mention: what is shown of them, and what they cost."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from cssync.model import ENTITY, TABLE
from cssync.rules.catalogue import SOURCES
from cssync.rules.compiler import compile_pack
from cssync.rules.faults import Source
from cssync.rules.freshness import Context, Freshness
from cssync.rules.members import listed
from cssync.rules.packs import read_rules
from cssync.rules.packtests import run_tests
from cssync.store.schema import entity_ddl, table_ddl

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
PACK = """pack: p
lists:
  core: [feature:boards, feature:docs, feature:maps, feature:chat]
  words: {en: [Cancel, cancel, quit], ja: [解約]}
  none: []
features:
  used: {present: usage.metric, of: core, where: value > 0, within: 28d, most: 3}
  unused: {absent: usage.metric, of: core, where: value > 0, within: 28d, most: 3}
  first_unused: {absent: usage.metric, of: core, where: value > 0, within: 28d}
  spoken: {mentioned: tickets.subject, of: words, within: 30d, most: 3}
  quiet: {absent: tickets.category, of: core, most: 2}
  nothing: {absent: usage.metric, of: none, most: 2}
tests:
  - name: in the order of the list, and the last day of the window counts
    as_of: 2026-11-20
    rows:
      usage:
        - {metric: "feature:docs", period_start: 2026-10-24, value: 1}
        - {metric: "feature:boards", period_start: 2026-11-19, value: 2}
        - {metric: "feature:maps", period_start: 2026-10-23, value: 1}
        - {metric: "feature:chat", period_start: 2026-11-19, value: 0}
        - {metric: "feature:chat", period_start: 2026-11-18, value: 5, is_complete: false}
      tickets:
        - {subject: "I QUIT, and cancel", opened_at: 2026-11-19}
        - {subject: 解約, opened_at: 2026-10-21}
    then:
      used: "feature:boards, feature:docs"
      unused: "feature:maps, feature:chat"
      first_unused: "feature:maps"
      spoken: "Cancel, quit"
      quiet: "feature:boards, feature:docs, ..."
      nothing: null
  - name: everything is used
    as_of: 2026-11-20
    rows:
      usage:
        - {metric: "feature:docs", value: 1, period_start: 2026-11-19}
        - {metric: "feature:boards", value: 1, period_start: 2026-11-19}
        - {metric: "feature:maps", value: 1, period_start: 2026-11-19}
        - {metric: "feature:chat", value: 1, period_start: 2026-11-19}
    then: {used: "feature:boards, feature:docs, feature:maps, ...", unused: null, first_unused: null}
  - name: use is measured, and none of it is of the list
    as_of: 2026-11-20
    rows: {usage: [{metric: active_users, value: 1, period_start: 2026-11-19}], tickets: []}
    then: {used: null, unused: "feature:boards, feature:docs, feature:maps, ...", spoken: null}
  - name: never measured is missing
    as_of: 2026-11-20
    rows: {usage: []}
    then: {used: null, unused: null, quiet: null}
  - name: a stale source says nothing
    as_of: 2026-11-20
    rows:
      usage: [{metric: "feature:docs", value: 1, period_start: 2026-11-19}]
      tickets: [{subject: cancel, opened_at: 2026-11-19}]
    stale: [usage, tickets]
    then: {used: null, unused: null, spoken: null, quiet: null}
"""


def test_the_same_by_sql_and_by_the_interpreter() -> None:
    assert [(r.name, r.differences) for r in run_tests(read_rules([Source("p.yaml", PACK)])) if r.differences] == []


@pytest.mark.parametrize(
    ("found", "most", "text"),
    [("", 2, None), ("a", 2, "a"), ("ab", 2, "a, b"), ("abc", 2, "a, b, ..."), ("abc", 1, "a"), ("", 1, None)],
)
def test_what_does_not_fit_is_said_to_be_there_and_a_single_one_is_a_value(
    found: str, most: int, text: str | None
) -> None:
    assert listed(list(found), most) == text


def test_a_single_member_has_the_list_as_its_known_values() -> None:
    pack = PACK.replace("features:\n", "features:\n  is_docs: first_unused = 'feature:dosc'\n", 1)
    with pytest.raises(Exception, match="never 'feature:dosc'; did you mean feature:docs"):
        read_rules([Source("p.yaml", pack)])


def test_a_list_of_two_hundred_words_is_a_statement_that_looks_up_an_accounts_use_by_its_index() -> None:
    members = "\n".join(f"    - feature:{n}" for n in range(200))
    text = (
        f"pack: p\nlists:\n  many:\n{members}\nfeatures:\n"
        "  unused: {absent: usage.metric, of: many, within: 28d, most: 5}\n"
        "  spoken: {mentioned: tickets.subject, of: many, most: 5}\n"
    )
    rules = read_rules([Source("p.yaml", text)])
    fresh = {table.entity: Freshness("ok", AS_OF) for table in SOURCES.values()}
    conn = sqlite3.connect(":memory:")
    for ddl in (d for name in ("account", "result", "result_history", "score_state", "feature_row")
                for d in table_ddl(TABLE[name])):  # fmt: skip
        conn.execute(ddl)
    for ddl in (d for table in SOURCES.values() for d in entity_ddl(ENTITY[table.entity])):
        conn.execute(ddl) if "TRIGGER" not in ddl else None
    conn.execute("INSERT INTO account (uid) VALUES ('a')")
    conn.executemany(
        "INSERT INTO usage_metric (connection, source_id, synced_at, account_uid, metric, period_start, value) "
        "VALUES ('x', ?, '', 'a', ?, '2026-11-19', 1)",
        [(str(n), f"feature:{n}") for n in range(190)],
    )
    sql = compile_pack(rules.packs[0], rules.features, Context(AS_OF, fresh=fresh)).sql
    conn.row_factory = sqlite3.Row
    (row,) = conn.execute(sql).fetchall()
    assert row["f_unused"] == "feature:190, feature:191, feature:192, feature:193, feature:194, ..."
    plan = " ".join(r["detail"] for r in conn.execute(f"EXPLAIN QUERY PLAN {sql}"))
    assert "USING COVERING INDEX usage_metric_account_uid_metric_period_start" in plan
    assert "SCAN t" not in plan.replace("SCAN t USING", "")
    conn.close()
