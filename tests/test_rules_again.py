"""An instant that is evaluated a second time, after something changed: as if the first time had never been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.rules.explain_past import explain_past
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.replay import differences, moment_of, replay, then
from cssync.store import Store
from past_world import Still
from random_worlds import content

RULES = read_rules([Source("health.yaml", """pack: health
features:
  urgent: {count: tickets, where: status = 'open' and priority = 'urgent'}
  began: {since: health.band}
score:
  measures:
    support: {weight: 10, curve: {of: urgent, at: {0: 100, 5: 0}}}
  bands: {red: 0, yellow: 50, green: 75}
  trend: {window: 3d, before: 3d, improving: 1, declining: -1}
signals:
  S: {when: urgent > 2, for: 1d, because: "{urgent}"}
  T: {when: urgent > 3, because: "{urgent}"}
  N: {when: days_since(began) = 0, because: "since {began}"}
tasks:
  A: {when: urgent > 3, once_per: episode, title: "{urgent}", due: in 2 business days}
""")])  # fmt: skip


@pytest.fixture
def twice(tmp_path: Path) -> Iterator[Still]:
    """A world that was evaluated on a day with one urgent ticket and on the next one with five."""
    with Store.open(tmp_path / "store.db") as store:
        world = Still(store, RULES)
        world.tickets_of_0(1)
        world.day()
        world.tickets_of_0(5)
        world.day()
        yield world


def again(world: Still, tickets: int) -> None:
    """Evaluate the last instant once more, with other tickets."""
    world.n -= 1
    world.tickets_of_0(tickets)
    world.day()


def rows(world: Still, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(r) for r in world.store.query(sql.format(f"account_uid = '{world.uid}'"))]


def test_a_value_that_is_back_has_no_history(twice: Still) -> None:
    assert rows(twice, "SELECT value FROM result WHERE {} AND name = 'health.score'") == [("0",)]
    again(twice, 1)
    since = "2026-10-20T05:30:00Z"
    assert rows(twice, "SELECT value, since FROM result WHERE {} AND name = 'health.score'") == [("80", since)]
    assert rows(twice, "SELECT * FROM result_history WHERE {}") == []
    assert rows(twice, "SELECT DISTINCT features ->> '$.urgent' FROM feature_row WHERE {}") == [(1,)]
    assert rows(twice, "SELECT score, until FROM score_state WHERE {}") == [(80, None)]
    for table in ("signal", "task", "condition"):
        assert rows(twice, f"SELECT * FROM {table} WHERE {{}}") == []
    assert [r["run_id"] for r in twice.store.query("SELECT run_id FROM evaluation ORDER BY as_of")] == [
        "run-0", "run-1"
    ]  # fmt: skip


def test_another_value_follows_the_one_of_the_evaluation_before(twice: Still) -> None:
    again(twice, 2)
    sql = "SELECT value, since < until FROM result_history WHERE {} AND name = 'health.score'"
    assert rows(twice, sql) == [("80", 1)]
    assert rows(twice, "SELECT value FROM result WHERE {} AND name = 'health.score'") == [("60",)]


@pytest.mark.parametrize("tickets", [0, 1, 3, 4, 5])
def test_it_is_what_one_evaluation_would_have_left_and_what_a_replay_gives(twice: Still, tickets: int) -> None:
    again(twice, tickets)
    at = moment_of(twice.store, twice.space, twice.at.replace(day=21), None, day=False)
    with replay(twice.store, RULES, twice.space, at) as (_, copy):
        assert list(differences(twice.store, copy, at)) == []
        assert content(copy)["score_state"] == content(twice.store)["score_state"]
    told = explain_past(twice.store, RULES, twice.space, twice.uid, at)
    assert told is not None
    assert told.packs[0].score == 100 - 20 * tickets


def test_nothing_new_is_no_second_evaluation(twice: Still) -> None:
    before = content(twice.store)
    twice.n -= 1
    report = twice.day()
    assert (report.changed, report.accounts, report.partly) == (0, 0, True)
    assert sum(p.signals_started + p.tasks.created for p in report.packs) == 0
    assert content(twice.store) == before


def test_a_task_that_a_plan_knows_is_closed_and_not_forgotten(twice: Still) -> None:
    key = rows(twice, "SELECT key FROM task WHERE {}")[0][0]
    with twice.store.transaction() as conn:
        conn.execute("INSERT INTO plan_change (plan_id, seq, connection, stream, source_id, action, field) "
                     "VALUES ('p', 1, 'crm', 'tasks', '0', 'create_task', ?)", (key,))  # fmt: skip
        conn.execute("INSERT INTO outbox (key) VALUES ('of no field')")
    again(twice, 1)
    assert rows(twice, "SELECT key, status FROM task WHERE {}") == [(key, "closed")]


def test_a_task_that_nobody_knows_is_forgotten(twice: Still) -> None:
    with twice.store.transaction() as conn:
        conn.execute("INSERT INTO outbox (key) VALUES ('of no field')")
    again(twice, 1)
    assert rows(twice, "SELECT key FROM task WHERE {}") == []


def test_other_rules_at_the_same_instant_leave_what_they_alone_would(twice: Still) -> None:
    text = RULES.sources[0].text.replace("5: 0", "10: 0")
    twice.rules = read_rules([Source("health.yaml", text)])
    again(twice, 5)
    assert rows(twice, "SELECT value FROM result WHERE {} AND name = 'health.score'") == [("50",)]
    assert rows(twice, "SELECT value FROM result_history WHERE {} AND name = 'health.score'") == [("80",)]
    assert twice.rules.packs[0].hash == rows(
        twice, "SELECT DISTINCT pack_hash FROM feature_row WHERE {} AND as_of > '2026-10-21'")[0][0]  # fmt: skip


FIELD = (
    "INSERT OR REPLACE INTO field_definition (connection, stream, name, stopped_at) VALUES ('gone', 'deals', 'x', ?)"
)
STOPPED = "SELECT stopped_at FROM field_definition"


def test_what_others_wrote_since_the_first_time_stays(twice: Still) -> None:
    """Logins, and fields that stopped: the second evaluation finds them, the one before it did not."""
    store = twice.store
    with store.transaction() as conn:
        conn.execute("INSERT INTO token (connection, sealed) VALUES ('crm', 'secret')")
        conn.execute(FIELD, ("2026-10-21T05:33:00Z",))
    again(twice, 2)
    assert [r[0] for r in store.query("SELECT sealed FROM token")] == ["secret"]
    assert store.query("SELECT 1 FROM state_history WHERE name = 'token'") == []
    with store.transaction() as conn:
        conn.execute(FIELD, ("2026-10-21T05:40:00Z",))
    found = []
    for day in (20, 21):
        moment = moment_of(store, twice.space, twice.at.replace(day=day), None, day=False)
        for after in (False, True):
            with then(store, moment, after=after) as copy:
                found.append([r[0] for r in copy.query(STOPPED)])
    assert found == [[], [], ["2026-10-21T05:33:00Z"], ["2026-10-21T05:33:00Z"]]
