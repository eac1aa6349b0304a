"""What an edit or other facts would change where one account has two renewals side by side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.link import link
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.preview import Effect, preview
from cssync.rules.simulate import given_values, simulate
from cssync.rules.tree import RuleSet
from cssync.store import Store
from past_world import BEGIN, Still

PACK = """pack: p
accounts: name = 'Company 5'
for_each: renewal_event
features:
  deals: {count: opportunities, per: renewal_event}
  calls: {count: tickets}
  days_left: days_until(renews_on)
results:
  date: renews_on
  stake: {value: renewal_arr, sum_over: renewal_events}
  risk:
    options: [none, notice]
    first: [notice if notice_given, none otherwise]
tasks:
  prepare:
    when: days_until(anchor) between 0 and 160 and not notice_given
    once_per: renewal_event
    title: "Prepare {renews_on}, {deals} deals"
    due: anchor - 90
  ask:
    when: deals = 0 and days_left < 200
    once_per: event_episode
    title: "Ask about {renews_on}"
    due: in 5 business days
"""
NOW = BEGIN + timedelta(hours=1)


def rules(*changes: tuple[str, str]) -> RuleSet:
    text = PACK
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return read_rules([Source("p.yaml", text)])


class Two(Still):
    """Company 5 has contracts that end on 2027-01-08 (1,200 a year) and 2027-02-07 (400), the later one with a deal."""

    def begin(self, now: datetime) -> None:
        super().begin(now)
        line = {"quantity": 1, "unit": "seat", "unit_price": 40_000, "currency": "EUR", "billing_period_months": 12}
        self.put(now, "contract_line", "crm", {
            "source_id": "lm5", "account_source_id": "5", "contract_source_id": "m5", **line})  # fmt: skip
        self.put(now, "opportunity", "crm", {
            "source_id": "d", "account_source_id": "5", "contract_source_id": "m5", "type": "renewal"})  # fmt: skip

    @property
    def uid(self) -> str:
        return str(self.store.query("SELECT uid FROM account WHERE name = 'Company 5'")[0][0])

    def change(self, entity: str, **row: Any) -> None:
        """A vendor's change, after what ran and before NOW."""
        self.put(BEGIN + timedelta(minutes=9), entity, "crm", row)
        link(self.store, self.space, BEGIN + timedelta(minutes=9))


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    with Store.open(tmp_path / "store.db") as store:
        lived = Two(store, rules())
        lived.day()
        yield lived


def test_two_renewals_are_two_tasks(two: Two) -> None:
    assert [t["title"] for t in two.store.query("SELECT title FROM task ORDER BY title")] == [
        "Ask about 2027-01-09", "Prepare 2027-01-09, 0 deals", "Prepare 2027-02-08, 1 deals",
    ]  # fmt: skip


# --- what if ----------------------------------------------------------------------------------------------------------


def what_if(two: Two, *pairs: str) -> tuple[Any, Any]:
    (found,) = simulate(two.store, two.rules, two.space, two.uid, NOW, given_values(two.rules, pairs))
    return found.before, found.after


def test_what_is_not_said_stays_for_both(two: Two) -> None:
    before, after = what_if(two)
    assert before == after
    assert [e["tasks"] for e in before["events"]] == [["ask", "prepare"], ["prepare"]]
    assert [e["results"]["date"] for e in before["events"]] == ["2027-01-09", "2027-02-08"]
    assert before["results"]["stake"] == 160_000


def test_what_a_renewal_has_of_its_own_is_given_for_the_next_one_alone(two: Two) -> None:
    _, after = what_if(two, "notice_given=yes", "deals=3")
    assert [e["tasks"] for e in after["events"]] == [[], ["prepare"]]
    assert [e["results"]["risk"] for e in after["events"]] == ["notice", "none"]
    assert after["results"]["risk"] == "notice"


def test_a_formula_over_it_follows_and_a_sum_adds_what_is_given(two: Two) -> None:
    _, after = what_if(two, "renews_on=2027-09-01", "renewal_arr=70000")
    assert [e["tasks"] for e in after["events"]] == [["prepare"], ["prepare"]]  # too far off to ask
    assert after["results"]["stake"] == 110_000
    assert after["results"]["date"] == "2027-09-01"


def test_a_feature_of_the_account_is_given_for_both(two: Two) -> None:
    two.rules = rules(("when: deals = 0", "when: calls = 2"))
    before, after = what_if(two, "calls=2")
    assert [e["tasks"] for e in before["events"]] == [["prepare"], ["prepare"]]
    assert [e["tasks"] for e in after["events"]] == [["ask", "prepare"], ["ask", "prepare"]]


# --- what an edit does ------------------------------------------------------------------------------------------------


def data_and_edit(two: Two, *changes: tuple[str, str]) -> tuple[Effect, Effect]:
    """What the data and what an edit would change; nothing is written."""
    dump = "\n".join(two.store.db.conn.iterdump())
    found = preview(two.store, rules(*changes), two.space, NOW)
    assert "\n".join(two.store.db.conn.iterdump()) == dump
    assert found.data is not None
    assert found.edit is not None
    assert found.edited == (("p",) if changes else ())
    return found.data, found.edit


def test_an_edit_moves_a_task_from_one_renewal_to_the_other(two: Two) -> None:
    data, edit = data_and_edit(two, ("deals = 0 and", "deals = 1 and"))
    assert data.changes == 0
    assert [(t.rule, t.text) for t in edit.tasks_raised] == [("ask", "Ask about 2027-02-08")]
    assert [(t.rule, t.text) for t in edit.tasks_closed] == [("ask", "Ask about 2027-01-09")]


def test_the_arr_at_risk_is_that_of_the_renewal_that_is(two: Two) -> None:
    two.change("contract", source_id="m5", notice_received_on="2026-10-19")
    data, edit = data_and_edit(two)
    assert (data.at_risk_before, data.at_risk_after) == ({}, {"EUR": 40_000})
    assert data.tasks_closed == edit.tasks_closed == ()  # without `done_when` nothing closes them
    _, edit = data_and_edit(two, ("notice if notice_given", "notice if deals = 0"))
    assert (edit.at_risk_before, edit.at_risk_after) == ({"EUR": 40_000}, {"EUR": 120_000})


def test_a_third_renewal_in_the_data_is_not_taken_for_the_edit(two: Two) -> None:
    two.change("contract", source_id="n5", account_source_id="5", start_date="2026-03-11", end_date="2027-03-10",
               term_months=12, status="active")  # fmt: skip
    data, edit = data_and_edit(two, ("  date: renews_on", "  date: anchor"))
    assert (edit.tasks_raised, edit.tasks_closed) == ((), ())
    assert [t.text for t in data.tasks_raised] == ["Ask about 2027-03-11", "Prepare 2027-03-11, 0 deals"]
