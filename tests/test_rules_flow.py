"""Signals and tasks over several days: how long a condition holds, how long a signal is kept, when it comes again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules import RuleSet, evaluate
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.store.sqlite import Store

TOKYO = ZoneInfo("Asia/Tokyo")
MONDAY = datetime(2026, 11, 16, 0, tzinfo=UTC)
"""09:00 in Tokyo."""
STREAMS = ("ticket", "survey_response", "contract", "contract_line", "opportunity")
STATE = ("signal", "task", "condition", "renewal_event", "result", "result_history", "feature_row")


def rules(*texts: str) -> RuleSet:
    return read_rules([Source(f"{n}.yaml", text) for n, text in enumerate(texts)])


class Days:
    """A store with one account, whose open tickets and csat are set before each evaluation."""

    def __init__(self, store: Store, found: RuleSet) -> None:
        self.store = store
        self.rules = found

    def fresh(self, at: datetime, streams: tuple[str, ...] = STREAMS) -> None:
        with self.store.transaction() as conn:
            conn.executemany(
                "UPDATE source_state SET last_success_at = ?1, last_attempt_at = ?1 WHERE stream = ?2",
                [(at.strftime("%Y-%m-%dT%H:%M:%SZ"), s) for s in streams],
            )

    def rate(self, score: float | None) -> None:
        with self.store.transaction() as conn:
            conn.execute("DELETE FROM survey_response")
            if score is not None:
                row = {"source_id": "s", "kind": "csat", "score": score, "responded_at": "2026-11-01T00:00:00Z"}
                self.store.upsert(conn, "survey_response", "crm", [row], "2026-11-01T00:00:00Z")
                conn.execute("UPDATE survey_response SET account_uid = 'a'")

    def run(self, day: int, hours: float = 0, *, fresh: bool = True, found: RuleSet | None = None) -> None:
        at = MONDAY + timedelta(days=day, hours=hours)
        if fresh:
            self.fresh(at)
        workspace = Workspace("t", self.store.path, TOKYO, "JPY", self.store.path, {})
        evaluate(self.store, found or self.rules, workspace, at, run_id="r")

    def walk(self, scores: list[float | None]) -> list[bool]:
        """Whether the signal is open after each day."""
        opened = []
        for day, score in enumerate(scores):
            self.rate(score)
            self.run(day)
            opened.append(self.open())
        return opened

    def open(self, name: str = "S") -> bool:
        return bool(self.store.query("SELECT 1 FROM signal WHERE name = ? AND until IS NULL", (name,)))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.store.query(sql)]

    def everything(self) -> list[list[tuple[Any, ...]]]:
        return [self.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4") for table in STATE]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "x.db") as opened:
        with opened.transaction() as conn:
            conn.execute(
                "INSERT INTO account (uid, name, status, csm_uid, owner_uid, created_at, updated_at) "
                "VALUES ('a', 'Acme', 'active', 'crm:1', 'crm:2', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')"
            )
            conn.execute(
                "INSERT INTO account_link (connection, source_id, account_uid, status, valid_from) "
                "VALUES ('crm', 'c', 'a', 'active', '2026-01-01T00:00:00Z')"
            )
            conn.executemany("INSERT INTO source_feed VALUES ('crm', ?, ?)", [(e, e) for e in STREAMS])
            conn.executemany(
                "INSERT INTO source_state (connection, stream, last_attempt_at, outcome) VALUES ('crm', ?, ?, 'ok')",
                [(e, "2026-01-01T00:00:00Z") for e in STREAMS],
            )
        yield opened


def pack(signal: str = "", task: str = "") -> RuleSet:
    text = "pack: p\nfeatures:\n  csat: {last: surveys.score}\n"
    text += f"signals:\n  S: {{when: csat < 3, because: 'csat {{csat}}', {signal}}}\n" if signal else ""
    text += f"tasks:\n  T: {{when: csat < 3, title: Call, due: in 2 business days, {task}}}\n" if task else ""
    return rules(text)


X = None

# --- for --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "opened"),
    [
        ([1, 1, 1, 1, 5], "---+-"),  # three days on, it starts; it ends at once
        ([1, 1, 5, 1, 1, 1, 1], "------+"),  # a day on which it did not hold begins anew
        ([1, X, X, 1], "---+"),  # unknown does not begin anew
        ([1, 1, 1, X, 1], "----+"),  # unknown does not start it
        ([X, X, X, 1], "----"),  # and does not count by itself
        ([1, X, 5, 1, 1, 1, 1], "------+"),
    ],
)
def test_a_condition_must_have_held_for_its_days(store: Store, scores: list[float | None], opened: str) -> None:
    assert Days(store, pack("for: 3d")).walk(scores) == [c == "+" for c in opened]


def test_days_count_by_the_calendar_and_not_by_the_hour(store: Store) -> None:
    days = Days(store, pack("for: 1d"))
    days.rate(1)
    days.run(0, 10)
    days.run(0, 14.9)
    assert not days.open()
    days.run(0, 15)  # midnight in Tokyo
    assert days.open()


def test_a_stale_source_neither_starts_nor_resets(store: Store) -> None:
    days = Days(store, pack("for: 5d"))
    days.rate(1)
    days.run(0)
    for day in (3, 5, 6):
        days.run(day, fresh=False)
        assert not days.open()
    days.run(7)
    assert days.open()


def test_a_rule_that_gets_a_for_counts_from_then_on_and_one_that_loses_it_forgets(store: Store) -> None:
    days = Days(store, pack("label: x"))
    days.rate(1)
    days.run(0)
    assert days.open()
    days.rate(5)
    days.run(1)
    days.rate(1)
    days.rules = pack("for: 2d")
    days.run(2)
    days.run(3)
    assert not days.open()
    days.run(4)
    assert days.open()
    days.run(5, found=pack("label: x"))
    assert days.rows("SELECT since, until FROM condition") == [("2026-11-18T00:00:00Z", "2026-11-21T00:00:00Z")]


# --- keep and cooldown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "opened"),
    [
        ([1, 5, 5, 5, 5], "+++--"),  # ended on the 2nd day, open for two more
        ([1, 5, 1, 5, 5, 5], "+++++-"),
        ([1, X, X, X], "+++-"),  # data that is gone ends it, too
        ([1, X, 5, 5], "+++-"),
    ],
)
def test_a_signal_is_kept_for_its_days(store: Store, scores: list[float | None], opened: str) -> None:
    assert Days(store, pack("keep: 2d")).walk(scores) == [c == "+" for c in opened]


def test_a_kept_signal_says_what_it_said(store: Store) -> None:
    days = Days(store, pack("keep: 2d"))
    days.walk([1, 5])
    assert days.rows("SELECT because FROM signal") == [("csat 1",)]


def test_an_account_that_leaves_keeps_nothing(store: Store) -> None:
    days = Days(store, pack("keep: 30d"))
    days.walk([1])
    with store.transaction() as conn:
        conn.execute("UPDATE account SET is_test = 1")
    days.run(1)
    assert not days.open()
    assert days.rows("SELECT until FROM condition") == [("2026-11-17T00:00:00Z",)]


@pytest.mark.parametrize(
    ("scores", "opened"),
    [
        ([2, 5, 2, 2, 2, 2], "+----+"),  # ended on the 2nd day: not before the 6th
        ([2, 5, 1, 5, 2], "+-+--"),  # worse: at once
        ([1, 5, 2, 2, 1], "+----"),  # as bad as the last time is not worse
        ([2, 5, 1, 5, 1, 0], "+-+--+"),  # measured against the last start
    ],
)
def test_within_its_cooldown_a_signal_comes_again_only_if_worse(
    store: Store, scores: list[float | None], opened: str
) -> None:
    assert Days(store, pack("cooldown: 4d, severity: 5 - csat")).walk(scores) == [c == "+" for c in opened]


def test_without_a_severity_nothing_is_worse(store: Store) -> None:
    assert Days(store, pack("cooldown: 3d")).walk([2, 5, 0, 0, 0]) == [True, False, False, False, True]


# --- tasks ------------------------------------------------------------------------------------------------------------


def tasks(days: Days) -> list[tuple[Any, ...]]:
    return days.rows("SELECT status, owner_uid, priority, body, closing_note FROM task ORDER BY created_at")


def test_a_task_waits_for_its_days_and_its_cooldown(store: Store) -> None:
    days = Days(store, pack(task="once_per: episode, for: 1d, cooldown: 3d"))
    found = []
    for day, score in enumerate([1, 1, 5, 1, 1, 1, 1]):
        days.rate(score)
        days.run(day)
        found.append([t[0] for t in tasks(days)])
    assert found == [[], ["open"], *([["closed"]] * 3), ["closed", "open"], ["closed", "open"]]


def staff(store: Store, *, manager: str = "9") -> None:
    with store.transaction() as conn:
        people = [{"source_id": "1", "name": "Csm", "manager_source_id": manager}, {"source_id": "9", "name": "Boss"}]
        store.upsert(conn, "user", "crm", people, "2026-11-01T00:00:00Z")


def test_a_task_can_go_to_the_manager(store: Store) -> None:
    staff(store)
    days = Days(store, pack(task="once_per: month, owner: manager"))
    days.rate(1)
    days.run(0)
    assert tasks(days)[0][1] == "crm:9"


def test_without_a_known_manager_it_goes_to_the_csm(store: Store) -> None:
    staff(store, manager="8")
    days = Days(store, pack(task="once_per: month, owner: manager, copy: manager, body: Why"))
    days.rate(1)
    days.run(0)
    assert tasks(days)[0][1:4] == ("crm:1", "high", "Why")


@pytest.mark.parametrize(
    ("score", "priority", "body"), [(1, "high", "Why\nCopied to the owner's manager: Boss."), (2, "normal", "Why")]
)
def test_the_manager_is_copied_where_a_line_says_so(store: Store, score: float, priority: str, body: str) -> None:
    staff(store)
    days = Days(store, pack(task="once_per: month, body: Why, copy: {first: [manager if csat = 1]}"))
    days.rate(score)
    days.run(0)
    assert tasks(days)[0][1:4] == ("crm:1", priority, body)


def test_a_task_out_of_its_window_goes_to_the_new_csm(store: Store) -> None:
    days = Days(store, pack(task="once_per: month, done_when: csat > 4"))
    days.rate(1)
    days.run(0)
    with store.transaction() as conn:
        conn.execute("UPDATE account SET csm_uid = 'crm:7'")
    days.rate(4)
    days.run(1)
    assert tasks(days)[0][:2] == ("open", "crm:7")


def test_a_closing_note_says_why(store: Store) -> None:
    days = Days(store, pack(task="once_per: month, done_when: csat >= 3, closing: {en: 'csat is {csat} again'}"))
    for day, score in enumerate([1, 4]):
        days.rate(score)
        days.run(day)
    assert tasks(days)[0][0::4] == ("closed", "csat is 4 again")


# --- the same instant, and a crash ------------------------------------------------------------------------------------

ALL = "for: 1d, keep: 2d, cooldown: 3d, severity: 5 - csat"


def test_the_same_instant_again_changes_nothing(store: Store) -> None:
    days = Days(store, pack(ALL, "once_per: episode, for: 1d, cooldown: 1d"))
    for day, score in enumerate([1, 1, 5, X, 1, 1, X, 5, 5, 5, 1, 1]):
        days.rate(score)
        days.run(day)
        before = days.everything()
        days.run(day)
        assert days.everything() == before


def test_more_rows_of_the_same_instant_leave_no_trace_of_the_first_answer(store: Store) -> None:
    days = Days(store, pack(ALL))
    days.rate(1)
    days.run(0)
    days.run(1)
    days.rate(5)
    days.run(2)
    days.rate(1)
    days.run(2)
    assert days.rows("SELECT since, until FROM condition") == [("2026-11-16T00:00:00Z", None)]


def test_a_crash_inside_an_evaluation_leaves_the_state_of_the_last_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cssync.rules import tasks as module

    days = Days(store, pack(ALL, "once_per: episode, for: 1d"))
    days.walk([1, 1])
    before = days.everything()
    days.rate(5)
    with monkeypatch.context() as patched:
        patched.setattr(module.TaskWriter, "close_finished", lambda self: _crash())
        with pytest.raises(RuntimeError):
            days.run(2)
    assert days.everything() == before
    days.run(2)
    assert days.everything() != before


def _crash() -> int:
    raise RuntimeError("the power went")


# --- results that others read -----------------------------------------------------------------------------------------

STAGE = """pack: stage
features:
  csat: {last: surveys.score}
results:
  stage: {options: [early, late], first: [early if csat < 3, late otherwise]}
  word: 'name'
  half: csat / 2
  day: first_contract_date
  low: csat < 3
signals:
  own: {when: stage.stage = 'early' and stage.low, because: "{stage.stage}, {stage.half}, {stage.low}"}
"""
READER = """pack: a_reader
results:
  all: {options: [yes], first: [yes if stage.stage = 'early' and stage.half = 0.5 and stage.low and stage.word != '']}
  word: stage.word
  day: stage.day + 1
signals:
  S: {when: stage.day = 2026-01-31, because: "{stage.stage} {stage.word} {stage.day}"}
"""


def test_results_of_every_type_are_read_by_later_packs_and_by_the_own_signals(store: Store) -> None:
    with store.transaction() as conn:
        conn.execute("UPDATE account SET first_contract_date = '2026-01-31', name = ?", ('A "q" \\ b',))
    days = Days(store, rules(READER, STAGE))
    assert [p.name for p in days.rules.packs] == ["stage", "a_reader"]
    days.rate(1)
    days.run(0)
    found = dict(days.rows("SELECT name, value FROM result WHERE name GLOB 'a_reader.*'"))
    assert found["a_reader.all"] == '"yes"'
    assert found["a_reader.day"] == '"2026-02-01"'
    assert found["a_reader.word"] == '"A \\"q\\" \\\\ b"'
    said = dict(days.rows("SELECT name, because FROM signal"))
    assert said == {"own": "early, 0.5, yes", "S": 'early A "q" \\ b 2026-01-31'}


SCORED = """
pack: health
features: {csat: {last: surveys.score}}
score:
  bands: {red: 0, yellow: 50, green: 75}
  measures: {c: {weight: 1, curve: {of: csat, at: {0: 0, 5: 100}}, because: "csat {csat}"}}
"""


def test_a_text_holds_the_reasons_behind_another_packs_score_and_follows_them_alone(store: Store) -> None:
    task = "tasks: {T: {when: health.score < 90, once_per: episode, due: in 2 business days, title: Call, body: BODY}}"
    days = Days(store, rules("pack: a\n" + task.replace("BODY", "'Why: {health.reasons} Next: call.'"), SCORED))
    told = "Why: {} (red). -{} csat {}. Coverage 100 %. Data to 2026-11-{}. Next: call."
    for day, score, wanted in ((0, 1, (20, "80.0", 1, 16)), (1, 1, (20, "80.0", 1, 16)), (2, 2, (40, "60.0", 2, 18))):
        days.rate(score)
        days.run(day)
        assert [t[3] for t in tasks(days)] == [told.format(*wanted)]
    with pytest.raises(ConfigError, match="there is no feature or column"):
        rules(SCORED + task.replace("BODY", "'{health.reasons}'"))


def test_a_result_that_is_not_known_reads_as_unknown(store: Store) -> None:
    days = Days(store, rules(READER, STAGE))
    days.run(0)
    assert days.rows("SELECT value, state FROM result WHERE name = 'a_reader.all'") == [("null", "unknown")]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("pack: a\nresults: {x: seats, y: a.x + 1}\n",), "a result cannot rest on a.x, of its own pack"),
        (("pack: a\nresults: {x: b.y}\n", "pack: b\nresults: {y: a.x}\n"), "a result cannot rest on"),
        (("pack: a\nresults: {x: b.y, z: seats}\n", "pack: b\nresults: {y: seats, w: a.z}\n"), "in a circle: a, b"),
        (("pack: a\nresults: {x: arr}\nsignals: {S: {when: a.x > 0, because: x}}\n",), "money without its currency"),
        (("pack: a\nresults: {stage: seats}\nsignals: {S: {when: a.stge > 0, because: x}}\n",), "did you mean a.stage"),
        (("pack: a\nresults: {x: {options: [u], first: [u if is_test]}}\n"
          "signals: {S: {when: a.x = 'v', because: x}}\n",), "a.x is never 'v'"),
    ],
)  # fmt: skip
def test_a_result_that_cannot_be_read_is_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        rules(*texts)
    assert words in error.value.message


# --- a day of the past again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [2, 4, 5, 7, 9])
def test_a_past_day_is_done_again_with_what_was_remembered_then(store: Store, day: int) -> None:
    from cssync.rules.replay import differences, moment_of, replay

    days = Days(store, pack(ALL, "once_per: episode, for: 1d, cooldown: 1d"))
    for n, score in enumerate([1, 1, 5, X, 1, 1, X, 5, 5, 5, 1, 1]):
        at = MONDAY + timedelta(days=n)
        with store.transaction() as conn:
            row = {"source_id": "s", "account_source_id": "c", "kind": "csat", "score": score}
            store.upsert(
                conn,
                "survey_response",
                "crm",
                [{**row, "responded_at": "2026-11-01T00:00:00Z"}],
                at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
            conn.execute("UPDATE survey_response SET account_uid = 'a'")
        days.run(n)
    workspace = Workspace("t", store.path, TOKYO, "JPY", store.path, {})
    moment = moment_of(store, workspace, MONDAY + timedelta(days=day), None, day=False)
    assert moment.on_record
    with replay(store, days.rules, workspace, moment) as (_, copy):
        assert list(differences(store, copy, moment)) == []
