"""Several renewals of one account, side by side: domain.md sections 6 and 8, on a store, day after day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cssync.rules import explain
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.tasks import task_key
from cssync.views.explain import explain_document, explain_lines
from renewal_days import Renewals, world

PACK = """
pack: p
for_each: renewal_event
features:
  won: {count: opportunities, per: renewal_event, where: is_won}
results:
  date: renews_on
  at_stake: {value: renewal_arr, sum_over: renewal_events}
  worth: renewal_arr
tasks:
  T90: {when: days_until(anchor) between 31 and 97 and not notice_given, once_per: renewal_event,
        title: "90 days to {renews_on}", due: anchor - 90, done_when: notice_given or won > 0}
  T30: {when: days_until(anchor) between 0 and 37 and not notice_given, once_per: renewal_event,
        title: "30 days to {renews_on}", due: anchor - 30, done_when: notice_given or won > 0}
  lapsed: {when: lapsed_on is not missing, once_per: renewal_event, title: "lapsed on {lapsed_on}",
           due: in 2 business days}
  notice: {when: notice_given, once_per: event_episode, title: "notice on {notice_received_on}",
           due: in 2 business days, done_when: not notice_given}
  prices: {when: arr is missing, once_per: episode, title: no prices, due: in 5 business days}
"""
RULES = read_rules([Source("p.yaml", PACK)])


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Renewals]:
    """Two contracts, of 1,000 and 500, whose terms end 51 days apart."""
    with world(tmp_path, RULES, "contract_line", "opportunity") as found:
        found.contract("2027-03-10", "C1", start="2026-03-11")
        found.contract("2027-04-30", "C2", start="2026-05-01")
        found.line("C1", 100_000)
        found.line("C2", 50_000)
        yield found


def open_tasks(renewals: Renewals) -> dict[tuple[str, str], str]:
    rows = renewals.store.query("SELECT rule, subject_uid, due_on FROM task WHERE status = 'open'")
    return {(r["rule"], r["subject_uid"].removeprefix("a/renewal/")): r["due_on"] for r in rows}


def events(renewals: Renewals) -> dict[int, tuple[str, str]]:
    rows = renewals.store.query("SELECT number, contracts, term_end FROM renewal_event WHERE until IS NULL")
    return {r["number"]: (r["contracts"], r["term_end"]) for r in rows}


def result(renewals: Renewals, name: str) -> object:
    rows = renewals.store.query("SELECT value FROM result WHERE name = ?", (f"p.{name}",))
    return json.loads(rows[0]["value"])


def later(renewals: Renewals) -> dict[tuple[int, str], object]:
    rows = renewals.store.query("SELECT number, name, value FROM event_result")
    return {(r["number"], r["name"]): json.loads(r["value"]) for r in rows}


def test_both_have_their_tasks_on_the_same_day_each_with_its_own_date(two: Renewals) -> None:
    two.run("2026-12-07")
    assert open_tasks(two) == {("T90", "1"): "2026-12-11"}
    two.run("2027-01-25")
    assert open_tasks(two) == {("T90", "1"): "2026-12-11", ("T90", "2"): "2027-01-29"}
    two.run("2027-02-05")
    assert open_tasks(two) == {
        ("T90", "1"): "2026-12-11",
        ("T30", "1"): "2027-02-09",
        ("T90", "2"): "2027-01-29",
    }
    titles = {r["title"] for r in two.store.query("SELECT title FROM task")}
    assert titles == {"90 days to 2027-03-11", "30 days to 2027-03-11", "90 days to 2027-05-01"}
    keys = {r["key"] for r in two.store.query("SELECT key FROM task")}
    assert len(keys) == 3


def test_the_account_has_the_date_of_the_next_one_and_the_sum_of_both(two: Renewals) -> None:
    two.run("2026-06-01")
    assert (result(two, "date"), result(two, "worth"), result(two, "at_stake")) == ("2027-03-11", 1000, 1500)
    assert later(two) == {(2, "p.date"): "2027-05-01", (2, "p.worth"): 500, (2, "p.at_stake"): 500}
    two.gone("C2")
    two.run("2026-06-02")
    assert result(two, "at_stake") == 1000
    assert later(two) == {}


def test_a_pack_that_has_results_alone_numbers_the_events(two: Renewals) -> None:
    two.rules = read_rules([Source("p.yaml", PACK.partition("tasks:")[0])])
    two.run("2026-06-01")
    assert result(two, "renewal_event") == 1
    assert later(two) == {(2, "p.date"): "2027-05-01", (2, "p.worth"): 500, (2, "p.at_stake"): 500}


def test_an_event_whose_price_is_unknown_adds_nothing_and_two_currencies_have_no_sum(two: Renewals) -> None:
    two.contract("2027-09-30", "C3")
    two.run("2026-06-01")
    assert result(two, "at_stake") == 1500
    two.line("C3", 50_000, currency="JPY")
    two.run("2026-06-02")
    assert result(two, "at_stake") is None


def test_what_is_won_closes_the_tasks_of_its_own_event_alone(two: Renewals) -> None:
    two.run("2027-01-25")
    two.deal("D2", contract_source_id="C2", is_won=1, close_date="2027-01-26")
    two.run("2027-01-26")
    assert set(open_tasks(two)) == {("T90", "1")}
    two.deal("D1", is_won=1, close_date="2027-03-01")  # names no contract: the nearest renewal is the first
    two.run("2027-01-27")
    assert open_tasks(two) == {}


def test_notice_of_one_leaves_the_other_as_it_is_and_may_come_again(two: Renewals) -> None:
    two.run("2027-01-25")
    two.contract("2027-04-30", "C2", start="2026-05-01", notice_received_on="2027-01-26")
    two.run("2027-01-26")
    assert set(open_tasks(two)) == {("T90", "1"), ("notice", "2")}
    two.contract("2027-04-30", "C2", start="2026-05-01", notice_received_on=None)
    two.run("2027-01-27")
    assert set(open_tasks(two)) == {("T90", "1")}
    two.contract("2027-04-30", "C2", start="2026-05-01", notice_received_on="2027-01-28")
    two.run("2027-01-28")
    assert set(open_tasks(two)) == {("T90", "1"), ("notice", "2")}
    assert len(two.store.query("SELECT DISTINCT key FROM task WHERE rule = 'notice'")) == 2


def test_a_successor_closes_the_tasks_of_its_own_event_alone(two: Renewals) -> None:
    two.run("2027-01-25")
    two.contract("2028-03-10", "C3", start="2027-03-11")
    two.run("2027-01-26")
    assert set(open_tasks(two)) == {("T90", "2")}
    closed = two.store.query("SELECT rule, closing_note FROM task WHERE status = 'closed'")
    assert [tuple(r) for r in closed] == [("T90", "the term was renewed or replaced")]
    assert two.number() == "2"  # the next one now
    assert events(two)[3] == ("crm:C3", "2028-03-10")


def test_each_keeps_its_uid_as_their_dates_move_past_each_other(two: Renewals) -> None:
    two.run("2027-01-25")
    assert events(two) == {1: ("crm:C1", "2027-03-10"), 2: ("crm:C2", "2027-04-30")}
    two.contract("2027-06-10", "C1", start="2026-03-11")
    two.run("2027-01-26")
    assert events(two) == {1: ("crm:C1", "2027-06-10"), 2: ("crm:C2", "2027-04-30")}
    assert two.number() == "2"
    assert open_tasks(two) == {("T90", "1"): "2027-03-12", ("T90", "2"): "2027-01-29"}


def test_a_contract_that_joins_leaves_the_event_its_uid_and_its_tasks(two: Renewals) -> None:
    two.run("2027-01-25")
    keys = {r["subject_uid"]: r["key"] for r in two.store.query("SELECT subject_uid, key FROM task")}
    two.contract("2027-03-22", "C2", start="2026-04-05")  # 12 days after the first
    two.run("2027-01-26")
    assert events(two)[1] == ("crm:C1 crm:C2", "2027-03-10")
    assert set(open_tasks(two)) == {("T90", "1")}
    closed = two.store.query("SELECT closing_note FROM task WHERE status = 'closed'")
    assert [r["closing_note"] for r in closed] == ["its contracts renew together with others now"]
    two.contract("2027-04-30", "C2", start="2026-05-01")  # and parts again
    two.run("2027-01-27")
    assert events(two) == {1: ("crm:C1", "2027-03-10"), 2: ("crm:C2", "2027-04-30")}
    assert keys["a/renewal/1"] == two.store.query("SELECT key FROM task WHERE status = 'open'")[0]["key"]


def test_a_record_rolled_forward_renews_its_own_event(two: Renewals) -> None:
    two.run("2027-01-25")
    two.contract("2028-03-10", "C1", start="2026-03-11")
    two.run("2027-01-26")
    assert events(two)[3] == ("crm:C1", "2028-03-10")
    assert set(open_tasks(two)) == {("T90", "2")}


def test_found_late_each_gets_its_latest_milestone_alone(tmp_path: Path) -> None:
    with world(tmp_path, RULES, "contract_line", "opportunity") as found:
        found.contract("2027-03-10", "C1")
        found.contract("2027-05-05", "C2")
        found.run("2027-02-20")
        assert set(open_tasks(found)) == {("T30", "1"), ("T90", "2"), ("prices", "a")}


def test_one_lapses_while_the_other_goes_on_and_ends_with_the_days_of_grace(two: Renewals) -> None:
    two.run("2027-03-10")
    assert ("lapsed", "1") not in open_tasks(two)
    two.run("2027-03-11")
    assert two.number() == "2"
    assert set(open_tasks(two)) == {("T30", "1"), ("lapsed", "1"), ("T90", "2")}
    two.run("2027-04-10")
    assert set(open_tasks(two)) == {("T30", "1"), ("lapsed", "1"), ("T90", "2"), ("T30", "2")}
    two.run("2027-04-11")
    assert set(open_tasks(two)) == {("T90", "2"), ("T30", "2")}
    notes = {r["closing_note"] for r in two.store.query("SELECT closing_note FROM task WHERE subject_uid LIKE '%/1'")}
    assert notes == {"the term ended, and no renewal came within 30 days"}


def test_in_a_group_of_two_nothing_is_lapsed_before_the_last_one_is(tmp_path: Path) -> None:
    with world(tmp_path, RULES) as found:
        found.contract("2027-03-10", "C1")
        found.contract("2027-03-20", "C2")
        found.run("2027-03-01")
        found.run("2027-03-15")
        assert result(found, "date") == "2027-03-21"
        assert events(found) == {1: ("crm:C1 crm:C2", "2027-03-20")}
        found.run("2027-03-21")
        assert events(found) == {1: ("crm:C1 crm:C2", "2027-03-20")}


def test_a_stale_source_neither_moves_nor_closes_either(two: Renewals) -> None:
    two.run("2027-01-25")
    before = open_tasks(two)
    two.contract("2028-03-10", "C1", start="2026-03-11")
    two.run("2027-02-05", fresh=False)
    assert open_tasks(two) == before
    assert events(two) == {1: ("crm:C1", "2027-03-10"), 2: ("crm:C2", "2027-04-30")}


def test_a_task_that_a_person_closed_stays_closed_for_its_event(two: Renewals) -> None:
    two.run("2027-01-25")
    key = two.store.query("SELECT key FROM task WHERE subject_uid = 'a/renewal/2'")[0]["key"]
    with two.store.transaction() as conn:
        row = {"source_id": "t", "task_key": key, "status": "done"}
        two.store.upsert(conn, "crm_task", "crm", [row], "2027-01-04T04:00:00Z")
    two.run("2027-01-26")
    two.run("2027-01-27")
    assert set(open_tasks(two)) == {("T90", "1")}


def test_what_is_about_the_account_is_raised_once(tmp_path: Path) -> None:
    with world(tmp_path, RULES, "contract_line") as found:
        found.contract("2027-03-10", "C1")
        found.contract("2027-06-04", "C2")
        assert [t[0] for t in found.run("2026-06-01")] == ["prices"]
        assert [t[0] for t in found.run("2026-06-02")] == ["prices"]


@pytest.mark.parametrize("at", ["2027-01-25T09:00:00", "2027-01-26"])
def test_an_evaluation_of_what_changed_sees_every_event(two: Renewals, at: str) -> None:
    """On the same day somebody's rows changed; on the next one rows are compared with those that were kept."""
    two.run("2027-01-25")
    two.contract("2027-05-15", "C2", start="2026-05-01")
    two.run(at)
    assert open_tasks(two)["T90", "2"] == "2027-02-15"
    assert later(two)[2, "p.date"] == "2027-05-16"


def test_explain_names_each_event_and_which_one_a_task_is_about(two: Renewals) -> None:
    two.run("2027-01-25")
    at = datetime(2027, 1, 25, 3, tzinfo=UTC)
    found = explain(two.store, RULES, two.workspace, "a", at)
    pack = found.pack("p")
    assert pack is not None
    assert [(e.number, e.renews_on, e.contracts, e.tasks) for e in pack.events] == [
        (1, "2027-03-11", ("crm:C1",), ("T90",)),
        (2, "2027-05-01", ("crm:C2",), ("T90",)),
    ]
    assert [e.results["worth"] for e in pack.events] == [1000, 500]
    assert [t.event for t in pack.tasks] == [1, 2]
    lines = list(explain_lines(explain_document(two.store, "a", at, found), ZoneInfo("UTC")))
    assert "  renewal 2 on 2027-05-01 (crm:C2): date: 2027-05-01, at_stake: 500, worth: 500" in lines
    assert "  task T90 (renewal 2) due 2027-01-29: 90 days to 2027-05-01" in lines


def test_a_task_from_when_its_rule_was_about_the_account_goes_on(two: Renewals) -> None:
    two.contract("2027-03-10", "C1", start="2026-03-11", notice_received_on="2027-01-20")
    two.run("2027-01-25")
    key = task_key("p", "notice", "a", "a", "1")
    with two.store.transaction() as conn:
        conn.execute("UPDATE task SET subject_uid = 'a', occurrence = '1', key = ? WHERE rule = 'notice'", (key,))
    two.run("2027-01-26")
    assert [r["key"] for r in two.store.query("SELECT key FROM task WHERE rule = 'notice'")] == [key]
    two.contract("2027-03-10", "C1", start="2026-03-11", notice_received_on=None)
    two.run("2027-01-27")
    assert ("notice", "a") not in open_tasks(two)
    two.contract("2027-03-10", "C1", start="2026-03-11", notice_received_on="2027-01-28")
    two.run("2027-01-28")
    assert ("notice", "1") in open_tasks(two)
