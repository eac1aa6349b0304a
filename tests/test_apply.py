from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cssync.config import Limits, Workspace
from cssync.connectors import Change, Outcome
from cssync.errors import (
    ApprovalNeeded,
    ConfigError,
    ConnectionFault,
    LeaseLost,
    Refused,
    TransientFault,
    UnknownOutcome,
)
from cssync.http import SYSTEM
from cssync.http.clock import ManualClock
from cssync.store import Store
from cssync.views.plan import apply_lines
from cssync.writeback import plan as planning
from cssync.writeback.apply import ApplyReport, apply_plan, settle, unfinished
from cssync.writeback.failures import drop, failing, retry, written_for
from cssync.writeback.outbox import JUST_WRITTEN, MAX_ATTEMPTS, TAKEN
from cssync.writeback.plan import Plan, approve_plan, load_plan
from cssync.writeback.send import Work, push
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, task, workspace

BAND = {"cs_health_band": "health.band"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


def make(store: Store, space: Workspace, run: str = "r1") -> Plan:
    rules: Any = None
    return planning.make_plan(store, space, rules, AS_OF, run_id=run)


def apply(store: Store, space: Workspace, plan: Plan, run: str = "r1", **options: Any) -> ApplyReport:
    return apply_plan(store, space, plan.id, options.pop("sessions", None) or sessions(space), run_id=run, **options)


def one(store: Store, tmp_path: Path, crm: Crm, **options: Any) -> Workspace:
    """One account, one field."""
    crm.companies.setdefault("1", {})
    account(store, "a-1")
    result(store, "a-1", "health.band", "red")
    pulled(store, crm)
    return workspace(tmp_path, {"crm": crm}, fields=BAND, **options)


def many(store: Store, tmp_path: Path, crm: Crm, count: int, **options: Any) -> Workspace:
    for n in range(count):
        crm.companies[str(n)] = {}
        account(store, f"a-{n}")
        result(store, f"a-{n}", "health.band", "red")
    pulled(store, crm)
    return workspace(tmp_path, {"crm": crm}, fields=BAND, **options)


def states(store: Store) -> list[str]:
    return [row["state"] for row in store.query("SELECT state FROM outbox ORDER BY run_id, seq")]


# --- the good way -----------------------------------------------------------------------------------------------------


def test_a_plan_is_sent_as_shown_and_the_world_stands_still_afterwards(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = many(store, tmp_path, crm, 450)
    task(store, "a-1")
    report = apply(store, space, plan := make(store, space))
    assert (dict(report.outcomes), report.exit_code) == ({"verified": 451}, 0)
    assert load_plan(store, plan.id).status == "applied"
    assert {c["cs_health_band"] for c in crm.companies.values()} == {"red"}
    assert make(store, space, "r2").changes == ()
    pulled(store, crm)
    assert make(store, space, "r3").changes == ()
    written = len(crm.journal)
    again = apply(store, space, plan, "r4")
    assert (len(crm.journal), again.exit_code, dict(again.outcomes)) == (written, 0, {"verified": 451})


def test_all_fields_of_a_record_go_in_one_change_and_one_read_serves_200_records(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = many(store, tmp_path, crm, 200)
    space = workspace(tmp_path, {"crm": crm})
    for n in range(200):
        result(store, f"a-{n}", "health.score", 40)
    report = apply(store, space, make(store, space))
    assert (len(crm.journal), report.requests) == (200, {"crm": 2})
    assert crm.journal[0][2].keys() == {"cs_health_band", "cs_health_score"}


def test_a_value_that_moved_between_plan_and_apply_is_left_alone(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = many(store, tmp_path, crm, 3)
    plan = make(store, space)
    crm.companies["0"]["cs_health_band"] = "green"
    del crm.companies["1"]
    report = apply(store, space, plan)
    assert (dict(report.outcomes), report.exit_code) == ({"failed-permanent": 1, "refused": 1, "verified": 1}, 3)
    assert [e.error for e in report.open] == [
        "the CRM holds 'green' now, the plan saw nothing",
        "the CRM does not show this record: deleted, merged, or hidden from cssync's user",
    ]
    assert crm.companies["0"]["cs_health_band"] == "green"
    assert make(store, space, "r2").totals["conflict"] == 1


def test_what_the_crm_holds_already_is_verified_without_a_write(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = one(store, tmp_path, crm)
    plan = make(store, space)
    crm.companies["1"]["cs_health_band"] = " red "
    assert (dict(apply(store, space, plan).outcomes), crm.journal) == ({"verified": 1}, [])


def test_a_value_the_vendor_cuts_is_reported_once_and_never_written_again(tmp_path: Path, store: Store) -> None:
    crm = Crm(keep=lambda value: value[:30])
    crm.companies["1"] = {}
    account(store, "a-1")
    result(store, "a-1", "health.reasons", "usage down 13 % (88 vs 101 weekly users); tickets 24 in 30 d")
    space = workspace(tmp_path, {"crm": crm}, fields={"cs_reasons": "health.reasons"})
    pulled(store, crm)
    report = apply(store, space, make(store, space))
    assert report.exit_code == 0
    assert "the CRM keeps it as 'usage down 13 % (88 vs 101 wee'" in report.altered[0].error
    pulled(store, crm)
    assert make(store, space, "r2").changes == ()
    result(store, "a-1", "health.reasons", "all is well")
    assert [c.new for c in make(store, space, "r3").changes] == ["all is well"]


def test_a_held_plan_is_refused_until_it_is_approved(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = many(store, tmp_path, crm, 10)
    apply(store, space, make(store, space))
    for n in range(10):
        result(store, f"a-{n}", "health.band", "green")
    held = make(store, space, "r2")
    before = len(crm.journal)
    with pytest.raises(ApprovalNeeded, match="10 of 10") as stopped:
        apply(store, space, held, "r2")
    assert (stopped.value.exit_code, len(crm.journal)) == (4, before)
    approve_plan(store, held.id)
    assert apply(store, space, held, "r2").exit_code == 0
    make(store, space, "r3")
    with pytest.raises(ConfigError):
        approve_plan(store, held.id)


# --- outcomes ---------------------------------------------------------------------------------------------------------


def test_one_refused_record_blocks_no_other_and_is_not_tried_again_until_its_value_changes(
    tmp_path: Path, store: Store
) -> None:
    def refuse(change: Any, outcome: Outcome) -> Outcome:
        return Outcome(change.key, "failed-permanent", error="INVALID_OPTION red", correlation_id="c-1")

    crm = Crm(answer=lambda c, o: refuse(c, o) if c.source_id == "1" else o)
    space = many(store, tmp_path, crm, 3)
    report = apply(store, space, make(store, space))
    assert (dict(report.outcomes), report.exit_code) == ({"failed-permanent": 1, "verified": 2}, 3)
    assert (report.open[0].error, report.open[0].correlation_id) == ("INVALID_OPTION red", "c-1")
    crm.companies["1"] = {}
    blocked = make(store, space, "r2")
    assert (blocked.changes, blocked.totals["blocked"]) == ((), 1)
    retry(store, [failing(store)[0].key])
    assert [c.source_id for c in make(store, space, "r3").changes] == ["1"]
    apply(store, space, make(store, space, "r3"), "r3")
    crm.companies["1"] = {}
    drop(store, [], "they left us")
    dropped = make(store, space, "r4")
    assert (dropped.changes, dropped.totals["blocked"], dropped.totals["declined"], failing(store)) == ((), 0, 1, [])
    result(store, "a-1", "health.band", "green")
    assert [c.new for c in make(store, space, "r5").changes] == ["green"]
    assert [e.state for e in written_for(store, "a-1")] == ["failed-retry", "dropped"]


def test_one_record_stands_for_all_that_are_refused_in_the_same_words(tmp_path: Path, store: Store) -> None:
    """A field that was retyped meanwhile: the others are written, in a handful of changes more and not one a field."""
    crm = Crm({str(n): {} for n in range(60)})
    for n in range(60):
        account(store, f"a-{n}", source_id=str(n))
        result(store, f"a-{n}", "health.band", "red")
        result(store, f"a-{n}", "health.score", 40)
    space = workspace(
        tmp_path, {"crm": crm}, fields={"cs_health_band": "health.band", "cs_health_score": "health.score"}
    )
    pulled(store, crm)
    tries: list[tuple[str, ...]] = []
    write = crm._write

    def strict(change: Any) -> Outcome:
        tries.append(tuple(sorted(change.values)))
        if "cs_health_band" in change.values:
            return Outcome(change.key, "failed-permanent", error="cs_health_band is a number now")
        return write(change)

    crm._write = strict  # type: ignore[method-assign]
    report = apply(store, space, make(store, space))
    assert dict(report.outcomes) == {"failed-permanent": 60, "verified": 60}
    assert Counter(tries) == {
        ("cs_health_band", "cs_health_score"): 60, ("cs_health_score",): 60, ("cs_health_band",): 1,
    }  # fmt: skip


def test_a_refused_write_is_tried_once_for_each_change_of_its_record(tmp_path: Path, store: Store) -> None:
    tries: list[str] = []

    def refuse(change: Any, outcome: Outcome) -> Outcome:
        tries.append(change.source_id)
        return Outcome(change.key, "failed-permanent", error="a validation rule of the CRM says no")

    crm = Crm(answer=refuse)
    space = many(store, tmp_path, crm, 1)
    for n in range(6):
        if n in (2, 4):
            with store.transaction() as conn:
                seen = f"2099-11-2{n}T00:00:00Z" if n == 2 else "2000-01-01T00:00:00Z"
                store.upsert(conn, "account_source", "crm", [{"source_id": "0", "name": f"Company, {n}"}], seen)
        crm.companies["0"] = {}
        plan = make(store, space, f"r{n}")
        if plan.changes:
            apply(store, space, plan, f"r{n}")
        if n == 2:
            with store.transaction() as conn:  # the pull was before the second try
                conn.execute("UPDATE account_source SET synced_at = '2000-01-01T00:00:00Z'")
    assert tries == ["0", "0"]
    assert [e.error for e in failing(store)] == ["a validation rule of the CRM says no"]


def test_a_passing_fault_is_tried_again_by_later_runs_but_not_for_ever(tmp_path: Path, store: Store) -> None:
    sent: list[str] = []

    def locked(change: Any, outcome: Outcome) -> Outcome:
        crm.companies["1"] = {}
        sent.append(change.key)
        return Outcome(change.key, "failed-retry", error="UNABLE_TO_LOCK_ROW")

    crm = Crm(answer=locked)
    space = one(store, tmp_path, crm)
    for run in range(MAX_ATTEMPTS + 3):
        apply(store, space, make(store, space, f"r{run}"), f"r{run}")
    assert len(sent) == MAX_ATTEMPTS
    assert make(store, space, "r99").totals["blocked"] == 1


@pytest.mark.parametrize("told", ["raised", "for each record"])
def test_an_outage_uses_up_no_attempts(tmp_path: Path, store: Store, told: str) -> None:
    def busy(changes: Any) -> None:
        if told == "raised":
            raise TransientFault("503 for hours")
        crm.keep, crm.answer = lambda value: None, lambda c, o: Outcome(c.key, "failed-retry", error="503 for hours")

    crm = Crm(before_push=busy)
    space = many(store, tmp_path, crm, 3)
    for run in range(MAX_ATTEMPTS + 3):
        begun = unfinished(store)
        if begun:
            apply_plan(store, space, begun, sessions(space), run_id=f"r{run}")
        assert apply(store, space, make(store, space, f"r{run}"), f"r{run}").exit_code == 3
    crm.before_push, crm.keep, crm.answer = lambda changes: None, lambda value: value, lambda change, outcome: outcome
    begun = unfinished(store)
    final = apply_plan(store, space, begun or make(store, space, "r9").id, sessions(space), run_id="r9")
    assert final.outcomes.get("verified") == 3


def test_an_outcome_nobody_told_is_looked_up_at_once(tmp_path: Path, store: Store) -> None:
    crm = Crm(answer=lambda change, outcome: None if change.source_id == "1" else outcome)
    space = many(store, tmp_path, crm, 2)
    task(store, "a-0")
    assert apply(store, space, make(store, space)).exit_code == 0
    assert len(crm.journal) == 3


def test_accepted_is_not_verified(tmp_path: Path, store: Store) -> None:
    crm = Crm(answer=lambda change, outcome: Outcome(change.key, "sent"))
    crm.keep = lambda value: None  # it says yes and does nothing
    space = one(store, tmp_path, crm)
    report = apply(store, space, make(store, space))
    assert (dict(report.outcomes), report.exit_code) == ({"unknown": 1}, 3)
    assert report.open[0].error == TAKEN
    assert store.query("SELECT * FROM written") == []


def test_what_is_accepted_and_never_shown_is_looked_at_for_an_hour_and_not_sent_for_ever(
    tmp_path: Path, store: Store
) -> None:
    crm = Crm(answer=lambda change, outcome: Outcome(change.key, "sent"))
    crm.keep = lambda value: None
    space, clock = one(store, tmp_path, crm), ManualClock()
    sent: list[int] = []
    for n in range(20):
        settle(store, space, sessions(space), clock=clock)
        apply(store, space, make(store, space, f"r{n:02}"), f"r{n:02}", clock=clock)
        sent.append(len(crm.journal))
        clock.sleep(1800)
    assert sent[:4] == [1, 1, 1, 2]
    assert sent[-1] == MAX_ATTEMPTS
    assert make(store, space, "last").totals["blocked"] == 1


def test_a_write_that_a_lagging_read_does_not_show_is_not_repeated_within_the_hour(
    tmp_path: Path, store: Store
) -> None:
    """The vendor said that it wrote; pull and read still give the value of before, under the policy that insists."""
    crm = Crm()
    space, clock = one(store, tmp_path, crm, policy="ours"), ManualClock()
    apply(store, space, make(store, space), clock=clock)
    before: dict[str, dict[str, Any]] = {"1": {"cs_health_band": None}}
    shown, crm.companies = crm.companies, before
    pulled(store, crm)
    clock.sleep(600)
    report = apply(store, space, make(store, space, "r2"), "r2", clock=clock)
    assert (dict(report.outcomes), report.open[0].error) == ({"refused": 1}, JUST_WRITTEN)
    crm.companies = shown
    clock.sleep(600)
    assert apply(store, space, make(store, space, "r3"), "r3", clock=clock).exit_code == 0
    assert len(crm.journal) == 1
    crm.companies["1"] = {"cs_health_band": None}
    pulled(store, crm)
    clock.sleep(3600)
    assert apply(store, space, make(store, space, "r4"), "r4", clock=clock).exit_code == 0
    assert len(crm.journal) == 2, "an hour later it is somebody's edit, and ours goes in"


def test_a_vendor_that_answers_no_write_gets_two_batches_a_run(tmp_path: Path, store: Store) -> None:
    """Reading works, writing does not: the rest waits, and nothing of it counts against a value."""
    crm, rounds = Crm(answer=lambda change, outcome: Outcome(change.key, "unknown", error="503")), list[int]()
    crm.keep = lambda value: None
    crm.before_push = lambda changes: rounds.append(len(changes))
    space = many(store, tmp_path, crm, 700)
    report = apply(store, space, plan := make(store, space))
    assert rounds == [200, 200]
    assert dict(report.outcomes) == {"unknown": 200, "waiting": 500}
    assert "writes are not answered (503)" in report.faults["crm"].message
    assert unfinished(store) == plan.id
    crm.keep, crm.answer = lambda value: value, lambda change, outcome: outcome
    assert dict(apply(store, space, plan, "r2").outcomes) == {"verified": 700}


@pytest.mark.parametrize("lost", [UnknownOutcome("no answer"), TransientFault("busy"), RuntimeError("a bug")])
def test_a_lost_answer_never_creates_a_task_twice(tmp_path: Path, store: Store, lost: Exception) -> None:
    def fail(change: Any, outcome: Outcome) -> Outcome:
        crm.answer = lambda change, outcome: outcome
        raise lost

    crm = Crm({"1": {}}, answer=fail)
    account(store, "a-1")
    task(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={})
    first = apply(store, space, make(store, space))
    if first.exit_code:
        assert make(store, space, "r2").totals["unsettled"] == 1
        assert settle(store, space, sessions(space)) == (1, {})
    assert make(store, space, "r3").changes == ()
    assert (len(crm.tasks), states(store)) == (1, ["verified"])


def test_a_task_that_cannot_be_looked_for_stays_unknown_rather_than_doubled(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}}, answer=lambda change, outcome: None)
    account(store, "a-1")
    task(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={}, connector={"find_tasks": None})
    apply(store, space, make(store, space))
    settle(store, space, sessions(space))
    assert (make(store, space, "r2").changes, states(store)) == ((), ["unknown"])
    pulled(store, crm)
    settle(store, space, sessions(space))
    assert states(store) == ["verified"]


def test_a_task_that_a_person_closed_after_the_plan_is_left_closed(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    task(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={})
    apply(store, space, make(store, space))
    task(store, "a-1", due_on="2027-01-15")
    plan = make(store, space, "r2")
    crm.tasks["T1"]["status"] = "done"
    assert [e.error for e in apply(store, space, plan, "r2").open] == ["a person closed the task meanwhile"]
    assert (crm.tasks["T1"]["due_on"], len(crm.journal)) == ("2026-12-28", 1)


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_connection_that_fails_stops_alone_and_is_resumed(tmp_path: Path, store: Store) -> None:
    down = ConnectionFault("403 on write")

    def refuse(changes: Any) -> None:
        raise down

    crms = {"crm": Crm({"1": {}}), "desk": Crm({"7": {}}, before_push=refuse)}
    for name, source_id in (("crm", "1"), ("desk", "7")):
        account(store, "a-1", crm=name, source_id=source_id)
        pulled(store, crms[name], name)
    result(store, "a-1", "health.band", "red")
    space = workspace(tmp_path, crms, fields=BAND)
    plan = make(store, space)
    report = apply(store, space, plan)
    assert (report.exit_code, report.faults) == (3, {"desk": down})
    assert (crms["crm"].companies["1"], crms["desk"].journal) == ({"cs_health_band": "red"}, [])
    assert unfinished(store) == plan.id
    crms["desk"].before_push = lambda changes: None
    assert apply(store, space, plan, "r2").exit_code == 0
    assert crms["desk"].companies["7"] == {"cs_health_band": "red"}
    assert unfinished(store) is None


def test_a_final_no_leaves_nothing_unknown_and_is_told_once(tmp_path: Path, store: Store) -> None:
    def refuse(changes: Any) -> None:
        raise Refused("403: the key lacks companies.write", fix="add the scope")

    crm = Crm({str(n): {} for n in range(9)}, before_push=refuse)
    for number in range(9):
        account(store, f"a-{number}", source_id=str(number))
        result(store, f"a-{number}", "health.band", "red")
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields=BAND)
    report = apply(store, space, make(store, space))
    assert "unknown" not in report.outcomes
    told = list(apply_lines(report))
    assert sum("the key lacks" in line for line in told) <= 2
    assert any("fix: add the scope" in line for line in told)
    crm.before_push = lambda changes: None
    again = make(store, space, "r2")
    approve_plan(store, again.id)
    assert apply(store, space, again, "r2").exit_code == 0
    assert len(crm.journal) == 9


def test_what_a_person_changed_meanwhile_is_no_failure_to_list(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = one(store, tmp_path, crm)
    plan = make(store, space)
    crm.companies["1"]["cs_health_band"] = "green"
    told = list(apply_lines(apply(store, space, plan)))
    assert told[-1] == "  what was refused was not sent; the next plan looks at it again"
    assert failing(store) == []


def test_a_connection_that_is_down_waits_and_a_newer_plan_takes_over(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = one(store, tmp_path, crm)
    plan = make(store, space)
    report = apply(store, space, plan, sessions={"crm": ConnectionFault("unreachable")})
    assert (dict(report.outcomes), report.open[0].error) == ({"waiting": 1}, "unreachable")
    result(store, "a-1", "health.band", "green")
    newer = make(store, space, "r2")
    apply(store, space, newer, "r2")
    assert crm.journal == [("update", "1", {"cs_health_band": "green"})]
    assert states(store) == ["refused", "verified"]


class Lost:
    """A fence that gives way after some transactions."""

    def __init__(self, good: int) -> None:
        self.good = good

    def check(self, conn: Any) -> None:
        self.good -= 1
        if self.good < 0:
            raise LeaseLost("overtaken")


def test_no_batch_leaves_without_the_lease(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = many(store, tmp_path, crm, 450)
    plan = make(store, space)
    with pytest.raises(LeaseLost):
        apply(store, space, plan, fence=Lost(3))  # enter, first batch marked, first batch recorded
    assert len(crm.journal) == 200
    assert states(store).count("verified") == 200


def test_a_lease_lost_between_two_batches_of_one_push_stops_the_second(tmp_path: Path, store: Store) -> None:
    sent: list[str] = []

    def push(session: Any, changes: Any) -> Iterator[Outcome]:
        for change in changes:
            session.request("POST", f"/companies/{change.source_id}")
            yield Outcome(change.key, "verified")

    crm = Crm()
    space = many(store, tmp_path, crm, 3, connector={"push": push})
    opened: Any = sessions(space)
    opened["crm"].request = lambda method, path, **options: sent.append(path)
    plan = make(store, space)
    with pytest.raises(LeaseLost):
        apply(store, space, plan, sessions=opened, fence=Lost(3))  # enter, mark as sent, first request
    assert sent == ["/companies/0"]
    assert states(store) == ["sent"] * 3  # the run that took over looks before it sends


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs, and no handler catches it."""


POINTS = ("read", "push", "effect", "record")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kills=st.lists(st.tuples(st.sampled_from(POINTS), st.integers(1, 6)), max_size=4),
    records=st.integers(1, 7),
    tasks=st.integers(0, 4),
)
def test_killed_anywhere_any_number_of_times_the_world_is_that_of_an_undisturbed_run(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[str, int]], records: int, tasks: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("kill")
    crm = Crm()
    with Store.open(tmp_path / "store.db") as store:
        space = many(store, tmp_path, crm, records)
        for n in range(min(tasks, records)):
            task(store, f"a-{n}", f"k{n}")
        plan = make(store, space)
        for run, (point, nth) in enumerate((*kills, ("never", 0))):
            left = nth

            def die(at: str, now: str = point) -> None:
                nonlocal left
                if at == now:
                    left -= 1
                    if left == 0:
                        raise Killed

            def answered(change: Any, outcome: Outcome) -> Outcome:
                die("effect")
                return outcome

            crm.before_read = lambda: die("read")
            crm.before_push = lambda changes: die("push")
            crm.answer = answered
            fence = type("Fence", (), {"check": lambda self, conn: die("record")})()
            try:
                apply(store, space, plan, f"r{run}", fence=fence)
            except Killed:
                continue
        assert {c.get("cs_health_band") for c in crm.companies.values()} == {"red"}
        assert sorted(t["key"] for t in crm.tasks.values()) == [f"k{n}" for n in range(min(tasks, records))]
        writes = [w[:2] for w in crm.journal]
        assert len(writes) == len(set(writes)) == records + min(tasks, records)
        assert make(store, space, "last").changes == ()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["red", "green", "unknown", None]), st.sampled_from(["ok", "unknown", "stale"]),
                  st.sampled_from([None, "red", "Green", "green "])),
        min_size=1, max_size=8,
    ),
    st.sampled_from(["ours", "theirs", "unless-edited"]),
)  # fmt: skip
def test_applying_twice_writes_nothing_the_second_time(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, str, Any]], policy: str
) -> None:
    tmp_path = tmp_path_factory.mktemp("twice")
    crm = Crm()
    with Store.open(tmp_path / "store.db") as store:
        for n, (value, state, held) in enumerate(rows):
            crm.companies[str(n)] = {"cs_health_band": held}
            account(store, f"a-{n}")
            result(store, f"a-{n}", "health.band", value, state=state)
        pulled(store, crm)
        space = workspace(tmp_path, {"crm": crm}, fields=BAND, policy=policy, limits=Limits(changes_count=99))
        plan = make(store, space)
        approve_plan(store, plan.id)
        assert apply(store, space, plan).exit_code == 0
        before = len(crm.journal)
        pulled(store, crm)
        assert make(store, space, "r2").changes == ()
        assert apply(store, space, load_plan(store, plan.id), "r2") if plan.changes else True
        assert len(crm.journal) == before == len(plan.changes)


@pytest.mark.parametrize(
    ("asked", "states"),
    [
        (("GET",), ["failed-retry", "failed-retry"]),
        (("PUT",), ["unknown", "unknown"]),
        (("PUT", "proved"), ["failed-retry", "verified"]),
        (("PUT", "proved", "PUT"), ["unknown", "verified"]),
    ],
)
def test_after_a_final_no_only_what_was_taken_and_not_proved_is_unknown(
    tmp_path: Path, store: Store, asked: tuple[str, ...], states: list[str]
) -> None:
    class Taking:
        def request(self, method: str, path: str, **options: Any) -> None:
            pass

    def push_(session: Any, changes: Any) -> Iterator[Outcome]:
        for step in asked:
            if step == "proved":
                yield Outcome("a", "verified")
            else:
                session.request(step, "/x")
        raise Refused("403")

    space = one(store, tmp_path, Crm())
    connection = space.connections["crm"]
    connection = replace(connection, connector=replace(connection.connector, push=push_))
    work = Work(store, connection, cast(Any, Taking()), None, SYSTEM)
    found = push(work, [Change(key, "update", "companies", "1", {"x": 1}) for key in "ab"])
    assert sorted(outcome.state for outcome in found.values()) == states
