"""What rests on a source that was not read to its end is not written, and one line says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cssync.cli.run import lines as run_lines
from cssync.errors import ApprovalNeeded
from cssync.rules import RuleSet, load_folders
from cssync.runs.run import RunReport
from cssync.store import Store
from cssync.views.plan import plan_lines
from cssync.writeback.apply import apply_plan
from cssync.writeback.plan import Plan, approve_plan, draft_plan, make_plan
from cssync.writeback.sources import entities_of_packs
from fake_crm import AS_OF, KNOWN_AT, Crm, account, pulled, result, sessions, task, workspace

HEALTH = """
pack: health
version: 1
features: {unpaid: {count: invoices}}
score:
  bands: {red: 0, yellow: 50, green: 75}
  measures:
    payment: {weight: 1, curve: {of: unpaid, at: {0: 100, 5: 0}}, label: {en: pay}, because: {en: "{unpaid} unpaid"}}
"""
RENEWAL = """
pack: renewal
version: 1
results: {arr: {value: health.score + 1, label: ARR, describe: Rests on health.}}
"""
RISK = """
pack: risk
version: 1
features: {people: {count: contacts}, calls: {count: tickets}}
results: {flags: {value: people + calls, label: Flags, describe: Rests on two entities.}}
"""
FIELDS = {"cs_health_score": "health.score", "cs_arr": "renewal.arr", "cs_risk_flags": "risk.flags"}
N = 30


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    folder = tmp_path_factory.mktemp("rules")
    for name, text in (("health", HEALTH), ("renewal", RENEWAL), ("risk", RISK)):
        (folder / f"{name}.yaml").write_text(text)
    return load_folders([("own", folder)])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        for n in range(N):
            account(opened, f"a-{n}")
            result(opened, f"a-{n}", "health.score", n)
            result(opened, f"a-{n}", "renewal.arr", n)
            result(opened, f"a-{n}", "risk.flags", 7)
        task(opened, "a-1", pack="renewal")
        task(opened, "a-2", "k2", pack="risk")
        yield opened


def feed(store: Store, stream: str, entity: str, outcome: str, at: str = KNOWN_AT) -> None:
    with store.transaction() as conn:
        conn.execute("INSERT INTO source_feed VALUES ('desk', ?, ?)", (stream, entity))
        conn.execute(
            "INSERT INTO source_state (connection, stream, outcome, last_success_at) VALUES ('desk', ?, ?, ?)",
            (stream, outcome, at),
        )


def plan(store: Store, tmp_path: Path, crm: Crm, rules: RuleSet) -> Plan:
    pulled(store, crm)
    return make_plan(store, workspace(tmp_path, {"crm": crm}, fields=FIELDS), rules, AS_OF, run_id="r1")


def written(plan: Plan) -> set[str]:
    return {change.result_name.partition(".")[0] for change in plan.changes}


@pytest.fixture
def crm() -> Crm:
    return Crm({str(n): {} for n in range(N)})


@pytest.mark.parametrize(
    ("entity", "outcome", "left"),
    [
        ("contact", "failed", {"health", "renewal"}),
        ("contact", "partial", {"health", "renewal"}),
        ("invoice", "partial", {"risk"}),  # health reads it, and renewal reads health
        ("contact", "ok", {"health", "renewal", "risk"}),
        ("contact", "empty", {"health", "renewal", "risk"}),
        ("account_source", "failed", {"health", "renewal", "risk"}),
    ],
)
def test_packs_on_a_troubled_stream_wait_and_the_others_go_on(
    tmp_path: Path, store: Store, crm: Crm, rules: RuleSet, entity: str, outcome: str, left: set[str]
) -> None:
    feed(store, "things", entity, outcome)
    made = plan(store, tmp_path, crm, rules)
    assert written(made) == left
    notes = [note for note in made.notes if note.kind == "partial"]
    assert len(notes) == (left != {"health", "renewal", "risk"})
    assert made.totals["partial"] == len(notes)


def test_a_pack_rests_on_what_the_packs_that_it_reads_rest_on(rules: RuleSet) -> None:
    assert entities_of_packs(rules) == {
        "health": {"invoice"}, "renewal": {"invoice"}, "risk": {"contact", "ticket"},
    }  # fmt: skip


def test_one_line_for_each_stream_whatever_the_number_of_accounts(
    tmp_path: Path, store: Store, crm: Crm, rules: RuleSet
) -> None:
    feed(store, "people", "contact", "partial")
    made = plan(store, tmp_path, crm, rules)
    (line,) = [line for line in plan_lines(made) if "desk.people" in line]
    assert "broke off" in line
    assert f"{N + 1} of risk" in line
    assert KNOWN_AT in line
    assert f"  {line}" in run_lines(RunReport("r1", AS_OF, plan=made))  # a run for cron says it, too


def test_once_it_was_read_to_its_end_what_waited_is_planned(
    tmp_path: Path, store: Store, crm: Crm, rules: RuleSet
) -> None:
    feed(store, "people", "contact", "failed")
    made = plan(store, tmp_path, crm, rules)
    space = workspace(tmp_path, {"crm": crm}, fields=FIELDS)
    apply_plan(store, space, made.id, sessions(space), run_id="r1")
    with store.transaction() as conn:
        conn.execute("UPDATE source_state SET outcome = 'ok'")
    pulled(store, crm)
    assert written(make_plan(store, space, rules, AS_OF, run_id="r2")) == {"risk"}


def test_a_source_that_is_too_old_is_told_once(tmp_path: Path, store: Store, crm: Crm, rules: RuleSet) -> None:
    feed(store, "calls", "ticket", "ok", "2026-11-10T00:00:00Z")
    for n in range(N):
        result(store, f"a-{n}", "risk.flags", 3, state="stale")
    made = plan(store, tmp_path, crm, rules)
    assert not [c for c in made.changes if c.field == "cs_risk_flags"]
    (note,) = [note for note in made.notes if note.kind == "source"]
    assert "2026-11-10" in note.message
    assert "risk are stale and keep their values" in note.message


def test_a_look_at_the_plan_leaves_the_same_out(tmp_path: Path, store: Store, crm: Crm, rules: RuleSet) -> None:
    feed(store, "people", "contact", "failed")
    pulled(store, crm)
    seen = draft_plan(store, workspace(tmp_path, {"crm": crm}, fields=FIELDS), rules, AS_OF)
    assert written(seen) == {"health", "renewal"}


def test_what_waits_is_a_plan_of_its_own_that_only_a_person_lets_go(
    tmp_path: Path, store: Store, crm: Crm, rules: RuleSet
) -> None:
    feed(store, "people", "contact", "partial")
    ready = plan(store, tmp_path, crm, rules)
    assert (ready.status, ready.held_by) == ("open", ())
    space = workspace(tmp_path, {"crm": crm}, fields=FIELDS)
    apply_plan(store, space, ready.id, sessions(space), run_id="r1")
    held = make_plan(store, space, rules, AS_OF, run_id="r1", waiting=True)
    assert (written(held), held.status) == ({"risk"}, "held")
    why, *_ = held.held_by  # its size may hold it, too
    assert why.startswith("desk.people: the latest pull broke off")
    assert f"{N + 1} of risk" in why
    assert not [note for note in held.notes if note.kind == "partial"]
    with pytest.raises(ApprovalNeeded):
        apply_plan(store, space, held.id, sessions(space), run_id="r2")
    pulled(store, crm)
    assert make_plan(store, space, rules, AS_OF, run_id="r3").id == held.id  # nothing else to do: it is the one to read
    approve_plan(store, held.id)
    assert apply_plan(store, space, held.id, sessions(space), run_id="r4").exit_code == 0
    assert all("cs_risk_flags" in values for values in crm.companies.values())


def test_a_plan_with_nothing_but_what_waits_is_held_at_once(
    tmp_path: Path, store: Store, crm: Crm, rules: RuleSet
) -> None:
    feed(store, "people", "contact", "failed")
    feed(store, "bills", "invoice", "failed")
    made = plan(store, tmp_path, crm, rules)
    assert written(made) == {"health", "renewal", "risk"}
    assert made.status == "held"
    assert len(made.held_by) == 2
    report = RunReport("r1", AS_OF, plan=made)
    assert (report.exit_code, report.held) == (4, made)
