"""Renewal events and their tasks as dates move: domain.md section 6, on a store, day after day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.rules.calendar import Calendar
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.tasks import due_date
from cssync.rules.tree import Expr
from renewal_days import Renewals, world

DAYS = (180, 120, 90, 60, 30)
TASK = """  T{days}:
    when: days_until(anchor) between 0 and {first} and not notice_given
    once_per: renewal_event
    title: "{days} days to {{renews_on}}"
    due: anchor - {days}
    done_when: notice_given or won > 0
    closing: notice was received on {{notice_received_on}}
"""
HEAD = "pack: p\nfeatures: {won: {count: opportunities, where: is_won}}\ntasks:\n"
"""Nothing feeds opportunities: that is no reason to keep a task open."""
TASKS = "".join(TASK.format(days=d, first=d + 7) for d in DAYS)


@pytest.fixture(params=["account", "renewal_event"])
def renewals(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Renewals]:
    """One account with one renewal: there it is the same whether a pack is for accounts or for each event."""
    rules = read_rules([Source("p.yaml", f"for_each: {request.param}\n{HEAD}{TASKS}")])
    with world(tmp_path, rules) as found:
        yield found


# --- due days ---------------------------------------------------------------------------------------------------------


def test_the_vectors_of_an_anchor_at_new_year(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    for day in ("2026-11-25", "2026-12-25", "2027-01-25", "2027-02-23"):
        renewals.run(day)
    assert renewals.tasks() == [
        ("T120", "open", "2026-12-02"),
        ("T90", "open", "2026-12-28"),
        ("T60", "open", "2027-01-29"),
        ("T30", "open", "2027-03-02"),
    ]


def test_the_vectors_of_an_anchor_before_the_notice_deadline(renewals: Renewals) -> None:
    renewals.contract("2027-03-31", auto_renew=1, notice_days=30)
    for day in ("2026-10-26", "2026-12-25"):
        renewals.run(day)
    assert renewals.tasks() == [("T120", "open", "2026-10-30"), ("T60", "open", "2026-12-28")]


def test_less_than_half_a_term_is_the_same_event(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    renewals.run("2026-12-28")
    renewals.contract("2027-05-15")
    assert renewals.run("2026-12-30") == [("T90", "open", "2027-02-15")]
    assert renewals.number() == "1"


@given(
    anchor=st.dates(date(2024, 1, 1), date(2030, 12, 31)),
    before=st.integers(0, 200),
    ahead=st.integers(0, 40),
    closures=st.sets(st.dates(date(2024, 1, 1), date(2024, 12, 31)).map(lambda d: d.strftime("%m-%d")), max_size=30),
    country=st.sampled_from([None, "JP", "US"]),
)
def test_every_due_day_is_a_business_day_and_not_after_its_milestone(
    anchor: date, before: int, ahead: int, closures: set[str], country: str | None
) -> None:
    calendar = Calendar(country, frozenset(closures))
    wanted = anchor - timedelta(days=before)
    raised = wanted - timedelta(days=ahead)
    due = due_date(Expr("date-", "date"), wanted, raised, calendar)
    assert calendar.is_business_day(due)
    late = calendar.on_or_before(wanted) < raised
    assert due == calendar.after(raised, 2) if late else raised <= due <= wanted


# --- late discovery ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first_seen", "found"),
    [
        ("2027-01-16", [("T90", "2027-01-19")]),  # T-75: the latest that has passed, in two business days
        ("2026-10-01", [("T180", "2026-10-02")]),  # T-182; T-180 is a Saturday
        ("2026-09-20", []),
        ("2027-03-25", [("T30", "2027-03-29")]),  # T-7
        ("2026-10-07", [("T180", "2026-10-09")]),
        ("2026-11-30", [("T120", "2026-12-02")]),  # T-122: T-180 is not made up for two days before the next one
    ],
)
def test_of_milestones_found_late_only_the_latest_is_raised(
    renewals: Renewals, first_seen: str, found: list[tuple[str, str]]
) -> None:
    renewals.contract("2027-03-31")
    assert [(rule, due) for rule, _, due in renewals.run(first_seen)] == found
    again = (date.fromisoformat(first_seen) + timedelta(days=1)).isoformat()
    assert [(rule, due) for rule, _, due in renewals.run(again)] == found


def test_those_passed_over_do_not_come_back_when_a_person_is_done_with_the_latest(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    renewals.run("2027-01-16")
    key = renewals.store.query("SELECT key FROM task")[0]["key"]
    with renewals.store.transaction() as conn:
        renewals.store.upsert(
            conn, "crm_task", "crm", [{"source_id": "t", "task_key": key, "status": "done"}], "2027-01-16T04:00:00Z"
        )
    assert renewals.run("2027-01-17") == [("T90", "done", "2027-01-19")]
    assert renewals.run("2027-01-18") == [("T90", "done", "2027-01-19")]


# --- one event, as its dates move -------------------------------------------------------------------------------------


def test_an_open_task_moves_with_its_term_and_says_so(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    renewals.run("2026-12-28")
    renewals.run("2027-01-10")
    renewals.contract("2027-04-30")
    assert renewals.run("2027-01-11") == [("T90", "open", "2027-01-29")]
    task = renewals.store.query("SELECT title, body FROM task")[0]
    assert tuple(task) == ("90 days to 2027-05-01", "Due moved from 2026-12-28 to 2027-01-29.")
    assert renewals.number() == "1"
    assert renewals.run("2027-01-12") == [("T90", "open", "2027-01-29")]
    renewals.contract("2027-05-04")
    renewals.run("2027-02-01")
    assert renewals.store.query("SELECT body FROM task")[0][0] == "Due moved from 2027-01-29 to 2027-02-04."


def test_half_the_term_or_more_is_a_new_event_and_closes_the_old_tasks(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    renewals.run("2026-12-28")
    renewals.contract("2028-03-31")
    assert renewals.run("2026-12-30") == [("T90", "closed", "2026-12-28")]
    assert renewals.store.query("SELECT closing_note FROM task")[0][0] == "the term was renewed or replaced"
    assert renewals.number() == "2"
    assert [t[0] for t in renewals.run("2027-12-27")] == ["T90", "T90"]


def test_a_contract_that_joins_the_co_term_group_joins_the_event(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    first = renewals.run("2026-12-28")
    renewals.contract("2027-03-20", "C2")
    moved = renewals.run("2026-12-30")
    assert [t[:2] for t in moved] == [t[:2] for t in first]
    assert renewals.number() == "1"
    rows = renewals.store.query("SELECT number, contracts, term_end, until FROM renewal_event ORDER BY since")
    assert [tuple(r) for r in rows] == [
        (1, "crm:C1", "2027-03-31", "2026-12-30T03:00:00Z"),
        (1, "crm:C1 crm:C2", "2027-03-20", None),
    ]


def test_an_event_that_comes_back_keeps_its_number_and_its_tasks(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    renewals.run("2026-12-28")
    renewals.contract("2027-03-01", "C2")  # another one, outside of the co-term window, comes first
    renewals.run("2026-12-29")
    assert renewals.number() == "2"
    renewals.gone("C2")
    renewals.run("2026-12-30")
    assert renewals.number() == "1"
    assert len(renewals.store.query("SELECT 1 FROM renewal_event WHERE until IS NULL")) == 2


def test_a_stale_source_neither_moves_nor_closes_anything(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    before = renewals.run("2026-12-28")
    renewals.contract("2028-03-31")
    assert renewals.run("2027-01-10", fresh=False) == before
    assert renewals.number() == "1"


def test_small_steps_stay_one_event(renewals: Renewals) -> None:
    for n, end in enumerate(("2027-03-31", "2027-07-31", "2027-11-30", "2028-02-28")):
        renewals.contract(end)
        renewals.run(f"2026-06-{n + 1:02}")
    assert renewals.number() == "1"


def test_notice_closes_with_its_own_note(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    renewals.run("2026-12-28")
    renewals.contract("2027-03-31", notice_received_on="2026-12-29")
    assert [t[1] for t in renewals.run("2026-12-30")] == ["closed"]
    assert renewals.store.query("SELECT closing_note FROM task")[0][0] == "notice was received on 2026-12-29"


def test_an_upgraded_store_goes_on_with_the_number_it_had(renewals: Renewals) -> None:
    renewals.contract("2027-03-31")
    renewals.run("2026-12-28")
    with renewals.store.transaction() as conn:
        conn.execute("DELETE FROM renewal_event")
        conn.execute("UPDATE result SET value = '3' WHERE name = 'p.renewal_event'")
    renewals.run("2026-12-29")
    assert renewals.number() == "3"
