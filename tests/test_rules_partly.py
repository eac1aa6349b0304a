"""Within a day, what moves an account beside its own rows is found: rates, hours that pass, a past that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Workspace
from cssync.rules import changed
from cssync.rules.freshness import Context, Freshness
from cssync.rules.prepared import prepare
from cssync.store.sqlite import Store
from twin_stores import START, Twins, at, pack, pulled

KEYS = "connection, source_id, synced_at, account_uid"
MINUTE = 1 / 24 / 60
COUNT = "features: {here: {count: tickets}}\n"
TIERS = "tiers: {of: arr of the ultimate parent, currency: EUR, high: 30000, low: 5000, margin: 0%}\n"


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    with ExitStack() as stack:
        yield Twins([stack.enter_context(Store.open(tmp_path / f"{n}.db")) for n in "ab"])


def line(uid: str, amount: int, currency: str) -> str:
    return (
        f"INSERT INTO contract_line ({KEYS}, amount, currency, billing_period_months, start_date, end_date) "
        f"VALUES ('x', '{uid}', '{at(0)}', '{uid}', {amount}, '{currency}', 12, '2026-01-01', '2027-12-31')"
    )


def test_nobody_is_looked_at_where_nothing_moved(twins: Twins) -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\n")
    for day in (0, MINUTE, 2 * MINUTE):
        twins.run(rules, day)
    assert twins.partly == [0, 0]


@pytest.mark.parametrize(
    "text",
    [
        TIERS,
        f"{COUNT}score:\n  bands: {{red: 0, yellow: 50, green: 75}}\n  roll_up: arr_weighted\n"
        "  measures: {m: {weight: 1, curve: {of: here, at: {0: 0, 9: 100}}}}\n",
    ],
    ids=["tiers", "roll-up"],
)
def test_a_new_rate_concerns_all(twins: Twins, tmp_path: Path, text: str) -> None:
    fx = tmp_path / "fx.csv"
    rules = pack(f"pack: p\n{text}")
    twins.do(line("a0", 3_000_000, "USD"), line("a1", 1_000_000, "EUR"),
             "UPDATE account SET parent_uid = 'a2' WHERE uid IN ('a0', 'a1')",
             f"INSERT INTO ticket ({KEYS}) VALUES ('x', 'more', '', 'a1')")  # fmt: skip
    for n, rate in enumerate(("0.1", "5")):
        fx.write_text(f"date,from,to,rate\n2026-01-01,USD,EUR,{rate}\n", encoding="utf-8")
        twins.run(rules, n * MINUTE, fx=fx)
    assert twins.partly == []
    name = "p.tier_by_arr" if "tiers" in text else "p.rollup_score"
    assert len(twins.all(f"SELECT DISTINCT value FROM result_history WHERE name = '{name}'")) > 0


def test_a_meeting_comes_to_pass(twins: Twins) -> None:
    rules = pack("pack: p\nresults: {met: last_meeting_on, heard: days_since(last_contact_on)}\n")
    insert = f"INSERT INTO contact ({KEYS}, last_meeting_at) VALUES"
    twins.do(
        f"{insert} ('x', 'c0', '', 'a0', '{at(10 * MINUTE)}')", f"{insert} ('x', 'c1', '', 'a1', '{at(20 * MINUTE)}')"
    )
    found = []
    for minute in (0, 5, 10, 15, 20, 21):
        twins.run(rules, minute * MINUTE)
        found.append(twins.all("SELECT account_uid FROM result WHERE name = 'p.met' AND value <> 'null' ORDER BY 1"))
    assert found == [[], [], ["a0"], ["a0"], ["a0", "a1"], ["a0", "a1"]]
    assert twins.partly == [0, 1, 1, 1, 1]  # the hour of a run belongs to it and to the next one


def test_a_ticket_comes_of_age(twins: Twins) -> None:
    rules = pack(
        "pack: p\nfeatures: {old: {count: tickets, where: status = 'new', older_than: 2h}}\nresults: {x: old}\n"
    )
    twins.do(f"UPDATE ticket SET status = 'new', opened_at = '{at(-1 / 24)}' WHERE source_id = 't1'")
    found = []
    for minute in (0, 59, 60, 61, 62):
        twins.run(rules, minute * MINUTE)
        found.append(twins.all("SELECT account_uid FROM result WHERE name = 'p.x' AND value > '0' ORDER BY 1"))
    assert found == [[], [], [], ["a1"], ["a1"]]
    assert max(twins.partly) == 1


def test_an_age_by_a_borrowed_time_looks_at_all(twins: Twins) -> None:
    """The ticket of a metric may be moved with no word about the metric's own account."""
    rules = pack("pack: p\nfeatures: {old: {count: ticket_metrics, older_than: 2h}}\nresults: {x: old}\n")
    twins.do(f"INSERT INTO ticket_metric ({KEYS}, ticket_source_id) VALUES ('x', 'm', '', 'a1', 't1')",
             f"UPDATE ticket SET solved_at = '{at(-1 / 24)}' WHERE source_id = 't1'")  # fmt: skip
    for minute in (0, 61):
        twins.run(rules, minute * MINUTE)
    assert twins.partly == []
    assert twins.all("SELECT account_uid FROM result WHERE name = 'p.x' AND value > '0'") == ["a1"]


def test_a_past_that_is_gone_is_gone_a_day_later(twins: Twins) -> None:
    rules = pack(f"pack: a\naccounts: status != 'churned'\n{COUNT}results: {{x: here}}\n",
                 "pack: b\nfeatures: {was: {past: a.x, ago: 1d}}\nresults: {y: was}\n")  # fmt: skip
    twins.run(rules, 0)
    twins.do("UPDATE account SET status = 'churned' WHERE uid = 'a1'", "UPDATE ticket SET status = 'new'")
    twins.run(rules, 0.1)
    found = []
    for day in (1.0, 1.05, 1.1, 1.15):
        twins.run(rules, day)
        found.append(twins.all("SELECT count(*) FROM result WHERE name = 'b.y' AND value <> 'null'")[0])
    assert found == [4, 4, 3, 3]
    assert twins.partly == [3, 4, 1, 1]  # at 1.0 a new day began


def test_a_value_that_is_held_no_more_has_its_day_again_in_the_next_evaluation(twins: Twins) -> None:
    """Of a result that a stale source kept, `since` says nothing; it says its old day once the source is back."""
    rules = pack(f"pack: p\n{COUNT[:-2]}, began: {{since: p.x}}}}\nresults: {{x: here, y: began}}\n")
    twins.run(rules, 0)
    twins.run(rules, 1)
    twins.do(pulled("ticket", -1))
    found = []
    for day in (2.0, 2.1):
        twins.run(rules, day)
    twins.do(pulled("ticket", 2.2))
    for day in (2.2, 2.3):
        twins.run(rules, day)
        found.append(twins.all("SELECT count(*) FROM feature_row WHERE features ->> '$.began' IS NOT NULL "
                               f"AND as_of = '{at(day)}'")[0])  # fmt: skip
    assert found == [0, 4]
    assert twins.partly[-1] == 4


def test_what_people_closed_in_the_crm_is_noticed_within_the_day(twins: Twins) -> None:
    rules = pack(
        f"pack: p\n{COUNT}tasks: {{T: {{when: here > 0, once_per: year, title: x, due: in 2 business days}}}}\n"
    )
    twins.run(rules, 0)
    (key,) = twins.all("SELECT key FROM task WHERE account_uid = 'a1'")
    twins.do("INSERT INTO crm_task (connection, source_id, synced_at, status, task_key) "
             f"VALUES ('x', 'c', '', 'done', '{key}')")  # fmt: skip
    twins.run(rules, MINUTE)
    assert twins.all("SELECT account_uid FROM task WHERE status = 'done'") == ["a1"]
    assert twins.partly == [1]


def test_children_are_looked_at_with_their_parent(twins: Twins) -> None:
    rules = pack(
        "pack: p\ntiers: {of: arr of the ultimate parent, currency: EUR, high: 30000, low: 5000, margin: 0%}\n"
    )
    twins.do(line("a0", 100_000, "EUR"), "UPDATE account SET parent_uid = 'a0' WHERE uid = 'a1'",
             "UPDATE account SET parent_uid = 'a1' WHERE uid = 'a2'")  # fmt: skip
    twins.run(rules, 0)
    twins.do("UPDATE contract_line SET amount = 9000000")
    twins.run(rules, MINUTE)
    assert twins.partly == [3]
    assert twins.all("SELECT account_uid FROM result WHERE name = 'p.tier' AND value = '\"high\"' ORDER BY 1") == [
        "a0", "a1", "a2"
    ]  # fmt: skip


def test_a_source_that_is_late_concerns_all(twins: Twins) -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\n")
    twins.do(pulled("ticket", -1.99))
    for minute in (0, 10, 20, 30):
        twins.run(rules, minute * MINUTE)
    assert twins.partly == [0, 0]  # all were looked at when it turned stale
    assert twins.all("SELECT DISTINCT state FROM result WHERE name = 'p.x'") == ["stale"]


def test_why_a_value_is_absent_is_kept_although_none_is_there(twins: Twins) -> None:
    rules = pack("pack: p\nfeatures: {mean: {avg: surveys.score}}\nresults: {m: mean}\n")
    twins.run(rules, 0)
    twins.do(pulled("survey_response", -3))
    twins.run(rules, MINUTE)
    assert twins.all("SELECT DISTINCT states FROM feature_row ORDER BY as_of") == [
        '{"mean":"missing: no data"}', '{"mean":"stale: survey_response was last complete on 2026-11-13"}'
    ]  # fmt: skip


def test_what_everybodys_results_rest_on_beside_the_rows() -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\nsignals: {{S: {{when: here > 0, because: x}}}}\n")
    silent = Freshness("stale", START - timedelta(days=28), START - timedelta(days=26))

    def basis(fresh: Freshness, hours: float = 0, space: dict[str, Any] | None = None, **more: Any) -> str:
        workspace = Workspace("w", Path(), ZoneInfo("UTC"), "EUR", Path(), {}, **(space or {}))
        c = Context(START + timedelta(hours=hours), fresh={"ticket": fresh}, **more)
        return changed.basis(rules, {"p": c}, workspace, prepare(rules, {"p": c}))

    ok = Freshness("ok", START)
    assert basis(ok) == basis(Freshness("ok", START - timedelta(hours=5)), 5)
    assert basis(silent) == basis(silent, 5)
    different = [
        basis(ok), basis(silent), basis(Freshness("missing")), basis(ok, 24),
        basis(replace(silent, as_of=START - timedelta(days=29))),
        basis(replace(silent, turned=START - timedelta(days=31), as_of=START - timedelta(days=33))),
        basis(silent, 14, zone=ZoneInfo("Asia/Tokyo")), basis(ok, doubtful=frozenset({"ticket"})),
        basis(ok, stopped=frozenset({"ticket.status"})), basis(ok, space={"locale": "ja-JP"}),
        basis(ok, space={"closures": ("12-29",)}), basis(ok, space={"holidays": "JP"}),
    ]  # fmt: skip
    assert len(set(different)) == len(different)


def test_a_source_that_was_silent_for_too_long_is_held_no_more() -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\n")
    silent = Freshness("stale", START - timedelta(days=30) + timedelta(minutes=5), START - timedelta(days=28))
    workspace = Workspace("w", Path(), ZoneInfo("UTC"), "EUR", Path(), {})
    contexts = ({"p": Context(START + timedelta(minutes=m), fresh={"ticket": silent})} for m in (0, 10))
    first, later = (changed.basis(rules, c, workspace, prepare(rules, c)) for c in contexts)
    assert first != later


def test_the_first_meeting_of_all_concerns_all(twins: Twins) -> None:
    rules = pack("pack: p\nresults: {known: {value: meetings_recorded}}\n")
    twins.run(rules, 0)
    twins.do(f"INSERT INTO contact (connection, source_id, synced_at, last_meeting_at) "
             f"VALUES ('x', 'c', '{at(0)}', '{at(-1)}')", "UPDATE contact SET account_uid = 'a1'")  # fmt: skip
    twins.run(rules, MINUTE)
    assert twins.all("SELECT DISTINCT value FROM result WHERE name = 'p.known'") == ["true"]


def test_a_task_that_people_closed_is_done_whether_or_not_the_row_differs(twins: Twins) -> None:
    rules = pack(f"""pack: p
{COUNT}tasks:
  E: {{when: here > 0, once_per: episode, title: x, due: in 2 business days}}
  M: {{when: here > 0, once_per: month, title: x, due: in 2 business days}}
  D: {{when: here > 0, done_when: here > 1, once_per: year, title: x, due: in 2 business days}}
""")
    twins.run(rules, 0)
    for minute, (key, rule, uid) in enumerate(
        tuple(r) for r in twins.stores[0].query("SELECT key, rule, account_uid FROM task ORDER BY rule, account_uid")
    ):
        if uid == "a0" or rule == "M":
            twins.do("INSERT INTO crm_task (connection, source_id, synced_at, status, task_key) "
                     f"VALUES ('x', 'crm-{key}', '{at(0)}', 'done', '{key}')")  # fmt: skip
            twins.run(rules, (minute + 1) * MINUTE)
    assert twins.all("SELECT status FROM task WHERE account_uid = 'a0' ORDER BY rule") == ["done"] * 3
    twins.do("UPDATE ticket SET account_uid = 'a1' WHERE source_id = 't0'")
    for minute in (20, 30):
        twins.run(rules, minute * MINUTE)
    twins.run(rules, 1)
