from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.config import Limits, Workspace
from cssync.connectors import Outcome
from cssync.errors import ConfigError
from cssync.store import Store
from cssync.views.plan import plan_document, plan_lines
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan
from cssync.writeback.canonical import altered, canonical, same
from cssync.writeback.desired import decide
from cssync.writeback.plan import Plan, approve_plan, load_plan
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, task, user, workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


def make(store: Store, space: Workspace, run: str = "r1", **options: Any) -> Plan:
    rules: Any = None
    return planning.make_plan(store, space, rules, options.pop("as_of", AS_OF), run_id=run, **options)


def apply(store: Store, space: Workspace, plan: Plan, run: str = "r1") -> Any:
    return apply_plan(store, space, plan.id, sessions(space), run_id=run)


def portfolio(store: Store, crm: Crm, count: int, score: int = 80, band: str = "green") -> None:
    for n in range(count):
        crm.companies[str(n)] = {}
        account(store, f"a-{n}", name=f"Company {n:03}")
        result(store, f"a-{n}", "health.score", score)
        result(store, f"a-{n}", "health.band", band)
    pulled(store, crm)


# --- equality ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        ("82.0", 82, "number"),
        ("8.2e1", 82, "number"),
        ("", None, "text"),
        ("  Why\r\nso ", "Why\nso", "text"),
        ("B;A", ["A", "B", "A"], "multi"),
        ([], None, "multi"),
        ("", [], "multi"),
        ("true", True, "bool"),
        (0, False, "bool"),
        ("2026-11-21T00:00:00Z", "2026-11-21", "date"),
        ("1795219200000", "2026-11-21", "date"),
        ("\u30ab\u3099", "\u30ac", "text"),
        (-0.0, 0, "number"),
    ],
)
def test_values_that_mean_the_same_are_the_same(a: Any, b: Any, kind: Any) -> None:
    assert canonical(a, kind) == canonical(b, kind)
    assert same(a, b, kind)


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        ("0123", "123", "text"),
        ("green", "Green", "text"),
        (0, None, "number"),
        ("n/a", 0, "number"),
        (False, None, "bool"),
        ("2026-11-21", "2026-11-22", "date"),
        (["A"], ["A", "B"], "multi"),
        ("1e999999999", 1, "number"),
    ],
)
def test_values_that_differ_stay_different(a: Any, b: Any, kind: Any) -> None:
    assert not same(a, b, kind)


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.decimals(-(10**6), 10**6, places=4).map(float),
    st.text(max_size=30), st.lists(st.text("ABC;", max_size=3), max_size=3), st.dates().map(str),
)  # fmt: skip


@given(_VALUES, st.sampled_from(["number", "text", "date", "bool", "multi", None]))
def test_canonical_form_is_its_own_canonical_form(value: Any, kind: Any) -> None:
    once = canonical(value, kind)
    assert (
        canonical(once, kind or ("multi" if isinstance(once, tuple) else "text" if isinstance(value, str) else kind))
        == once
    )
    assert (
        once is None or once == () or same(value, once, kind if kind else "multi" if isinstance(once, tuple) else None)
    )


@given(st.decimals(-(10**9), 10**9, places=6))
def test_a_number_equals_its_own_spelling(number: Decimal) -> None:
    assert same(float(number), str(float(number)), "number")
    assert same(str(number) + "0", number, "number")


def test_what_a_vendor_makes_of_a_text_is_told_from_another_text() -> None:
    long = "70 (yellow), 82 thirty days ago. -9.4 usage down 13 %"
    assert altered(long, long[:40])
    assert altered("Acme  Ltd ", "ACME Ltd")
    assert altered(3.14159, "3.14", "number")
    assert not altered(long, "70 (green)")
    assert not altered(82, 83)


# --- three sides ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("want", "live", "last", "ours", "edited", "theirs"),
    [
        ("80", None, None, "write", "write", "write"),
        ("80", "70", "70", "write", "write", "write"),
        ("80", "80", "80", "same", "same", "same"),
        ("80", "80", "70", "agree", "agree", "same"),
        ("80", "75", "70", "write", "conflict", "keep"),
        ("80", "75", None, "write", "conflict", "keep"),
        ("80", None, "70", "write", "conflict", "write"),
        (None, "70", "70", "write", "write", "write"),
        (None, "75", "70", "write", "conflict", "keep"),
    ],
)
def test_policy_decides_only_where_a_person_was(
    want: Any, live: Any, last: Any, ours: str, edited: str, theirs: str
) -> None:
    found = [decide(policy, want=want, live=live, last=last) for policy in ("ours", "unless-edited", "theirs")]
    assert found == [ours, edited, theirs]


def test_empty_fields_are_set_in_a_fixed_order_and_the_same_store_gives_the_same_bytes(
    tmp_path: Path, store: Store
) -> None:
    crm = Crm()
    portfolio(store, crm, 3)
    space = workspace(tmp_path, {"crm": crm})
    first, again = make(store, space), planning.draft_plan(store, space, None, AS_OF)  # type: ignore[arg-type]
    assert [(c.account, c.field, c.old, c.new) for c in first.changes][:3] == [
        ("Company 000", "cs_health_band", None, "green"),
        ("Company 000", "cs_health_score", None, 80),
        ("Company 001", "cs_health_band", None, "green"),
    ]
    assert first.digest == again.digest
    assert first.changes == again.changes == load_plan(store, first.id).changes
    assert (crm.journal, crm.reads) == ([], 0)


def test_what_the_crm_holds_in_another_form_is_not_written_again(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {"cs_health_score": "80.0", "cs_health_band": " green "}})
    account(store, "a-1")
    result(store, "a-1", "health.score", 80)
    result(store, "a-1", "health.band", "green")
    pulled(store, crm)
    assert make(store, workspace(tmp_path, {"crm": crm})).changes == ()


def test_unknown_and_stale_never_clear_and_only_an_explicit_empty_does(tmp_path: Path, store: Store) -> None:
    crm = Crm({str(n): {} for n in range(5)})
    for n in range(5):
        account(store, f"a-{n}")
        result(store, f"a-{n}", "health.band", "green")
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields={"cs_health_band": "health.band"})
    apply(store, space, make(store, space))
    result(store, "a-0", "health.band", None, state="unknown")
    result(store, "a-1", "health.band", "red", state="stale")
    result(store, "a-2", "health.band", None, state="ok")
    result(store, "a-3", "health.band", "unknown", state="unknown")
    found = make(store, space, "r2")
    assert [(c.account_uid, c.action, c.old, c.new) for c in found.changes] == [
        ("a-2", "clear", "green", None),
        ("a-3", "set", "green", "unknown"),
    ]
    apply(store, space, found, "r2")
    assert [crm.companies[str(n)]["cs_health_band"] for n in range(5)] == ["green", "green", None, "unknown", "green"]


def test_a_persons_value_is_kept_listed_and_ours_again_once_both_agree(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1", name="Acme")
    result(store, "a-1", "health.band", "green")
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields={"cs_health_band": "health.band"})
    apply(store, space, make(store, space))
    crm.companies["1"]["cs_health_band"] = "yellow"
    pulled(store, crm)
    result(store, "a-1", "health.band", "red")
    found = make(store, space, "r2")
    assert found.changes == ()
    (note,) = found.notes
    assert (note.kind, note.account, note.field) == ("conflict", "Acme", "cs_health_band")
    assert all(word in note.message for word in ("yellow", "green", "red"))
    result(store, "a-1", "health.band", "yellow")
    assert make(store, space, "r3").notes == ()
    result(store, "a-1", "health.band", "green")
    assert [(c.old, c.new) for c in make(store, space, "r4").changes] == [("yellow", "green")]


def test_deleted_merged_test_and_unlinked_records_get_no_write(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    portfolio(store, crm, 6)
    with store.transaction() as conn:
        conn.execute("UPDATE account_source SET deleted_at = '2026-11-20T00:00:00Z' WHERE source_id = '0'")
        conn.execute("UPDATE account_source SET merged_into = '5' WHERE source_id = '1'")
        conn.execute("UPDATE account SET is_test = 1 WHERE uid = 'a-2'")
        conn.execute("UPDATE account_link SET status = 'suggested' WHERE source_id = '3'")
        conn.execute("UPDATE account SET deleted_at = '2026-11-20T00:00:00Z' WHERE uid = 'a-4'")
    assert {c.source_id for c in make(store, workspace(tmp_path, {"crm": crm})).changes} == {"5"}


def test_a_date_that_only_moves_with_time_is_written_together_with_news(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={"cs_band": "health.band", "cs_as_of": "health.as_of"})
    result(store, "a-1", "health.band", "green")
    result(store, "a-1", "health.as_of", "2026-11-20")
    pulled(store, crm)
    apply(store, space, make(store, space))
    result(store, "a-1", "health.as_of", "2026-11-21")
    assert make(store, space, "r2").changes == ()
    result(store, "a-1", "health.band", "red")
    assert {(c.field, c.new) for c in make(store, space, "r3").changes} == {
        ("cs_band", "red"),
        ("cs_as_of", "2026-11-21"),
    }


@pytest.mark.parametrize("arr", [1234.56, 10800])
def test_lists_are_sets_and_money_is_in_major_units(tmp_path: Path, store: Store, arr: float) -> None:
    crm = Crm({"1": {"cs_signals": "U03;U01"}})
    account(store, "a-1")
    fields = {"cs_arr": "renewal.arr", "cs_signals": "upsell.signal"}
    result(store, "a-1", "renewal.arr", arr)
    result(store, "a-1", "upsell.signal", ["U01", "U03"])
    pulled(store, crm)
    found = make(store, workspace(tmp_path, {"crm": crm}, fields=fields))
    assert [(c.field, c.new) for c in found.changes] == [("cs_arr", arr)]


# --- brakes -----------------------------------------------------------------------------------------------------------


def settled(tmp_path: Path, store: Store, crm: Crm, count: int, **options: Any) -> Workspace:
    """A portfolio whose first plan was carried out."""
    portfolio(store, crm, count)
    space = workspace(tmp_path, {"crm": crm}, **options)
    apply(store, space, make(store, space))
    return space


def test_a_first_plan_is_open_to_a_person_and_held_without_one(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    portfolio(store, crm, 30)
    space = workspace(tmp_path, {"crm": crm})
    alone = make(store, space, attended=False)
    assert (alone.status, alone.held_by) == ("held", ("crm: first write to this connection",))
    assert make(store, space, "r2").status == "open"


def test_a_share_beyond_the_limit_holds_the_plan_and_a_handful_does_not(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = settled(tmp_path, store, crm, 20)
    for n in range(4):
        result(store, f"a-{n}", "health.score", 10)
    assert make(store, space, "r2").status == "open"
    result(store, "a-4", "health.score", 10)
    found = make(store, space, "r3")
    assert found.status == "held"
    assert found.held_by == ("crm.cs_health_score: 5 of 20 records would change, the limit is 20% (limits.changes)",)
    small = workspace(tmp_path, {"crm": crm}, limits=Limits(Decimal("0.9"), changes_count=4))
    assert "the limit is 4" in make(store, small, "r4").held_by[0]


def test_what_a_person_approved_and_a_passing_fault_stopped_needs_no_second_yes(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = settled(tmp_path, store, crm, 20)
    for n in range(10):
        result(store, f"a-{n}", "health.score", 10)
    plan = make(store, space, "r2")
    assert plan.status == "held"
    crm.__dict__["_write"] = lambda change: Outcome(change.key, "failed-retry", error=f"busy {change.source_id}")
    assert dict(apply(store, space, approve_plan(store, plan.id), "r2").outcomes) == {"failed-retry": 10}
    del crm.__dict__["_write"]
    pulled(store, crm)
    again = make(store, space, "r3")
    assert (again.status, len(again.changes)) == ("open", 10)
    for n in range(10):
        result(store, f"a-{n}", "health.score", 5)
    assert make(store, space, "r4").status == "held", "other values are another matter"


def test_mass_clearing_and_vanished_accounts_hold_the_plan(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = settled(tmp_path, store, crm, 40, limits=Limits(Decimal(1)))
    result(store, "a-1", "health.score", 20)
    with store.transaction() as conn:
        conn.execute(
            "UPDATE account_source SET deleted_at = '2099-01-01T00:00:00Z' "
            "WHERE source_id IN ('30', '31', '32', '33', '34')"
        )
    (why,) = make(store, space, "r2").held_by
    assert why.startswith("crm: 5 of 40 account records vanished")
    with store.transaction() as conn:
        conn.execute("UPDATE account_source SET deleted_at = NULL")
    tight = workspace(tmp_path, {"crm": crm}, limits=Limits(Decimal("0.2")))
    for n in range(9):
        result(store, f"a-{n}", "health.score", None)
    reasons = make(store, tight, "r3").held_by
    assert "crm.cs_health_score: 9 of 40 filled records would be emptied" in reasons


def test_a_waiting_plan_keeps_its_id_while_nothing_changes_and_gives_way_when_something_does(
    tmp_path: Path, store: Store
) -> None:
    crm = Crm()
    portfolio(store, crm, 6)
    space = workspace(tmp_path, {"crm": crm})
    held = make(store, space, attended=False)
    assert make(store, space, "r2", attended=False).id == held.id
    approve_plan(store, held.id)
    assert make(store, space, "r3", attended=False).status == "approved"
    result(store, "a-0", "health.score", 11)
    newer = make(store, space, "r4", attended=False)
    assert newer.id != held.id
    assert load_plan(store, held.id).status == "superseded"
    with pytest.raises(ConfigError, match="overtaken") as refused:
        approve_plan(store, held.id)
    assert newer.id in refused.value.fix


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_a_task_is_created_once_updated_while_open_and_closed_with_its_note(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    task(store, "a-1", owner_uid=user(store, "u1", "ann@us.example"))
    space = workspace(tmp_path, {"crm": crm}, fields={})
    apply(store, space, make(store, space))
    assert [(t["subject"], t["owner"], t["status"]) for t in crm.tasks.values()] == [("Renew a-1", "u1", "open")]
    pulled(store, crm)
    task(store, "a-1", owner_uid="crm:u1", body="Why: other numbers")
    assert make(store, space, "r2").changes == ()
    task(store, "a-1", owner_uid="crm:u1", due_on="2027-01-29")
    apply(store, space, make(store, space, "r3"), "r3")
    task(store, "a-1", owner_uid="crm:u1", due_on="2027-01-29", status="closed", closing_note="renewed")
    closing = make(store, space, "r4")
    assert [(c.action, c.because) for c in closing.changes] == [("close_task", "renewed")]
    apply(store, space, closing, "r4")
    assert make(store, space, "r5").changes == ()
    assert [w[0] for w in crm.journal] == ["create_task", "update_task", "close_task"]


@pytest.mark.parametrize("gone", ["done", "deleted"])
def test_a_task_that_a_person_closed_or_deleted_never_comes_back(tmp_path: Path, store: Store, gone: str) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    task(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={})
    apply(store, space, make(store, space))
    crm.tasks["T1"]["status"] = "done"
    pulled(store, crm)
    if gone == "deleted":
        with store.transaction() as conn:
            store.tombstone(conn, "crm_task", "crm", ["T1"], "2026-11-21T00:00:00Z")
    task(store, "a-1", title="Renew now", due_on="2027-02-01")
    assert make(store, space, "r2").changes == ()


def test_a_task_that_a_person_rewrote_is_theirs(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    task(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={})
    apply(store, space, make(store, space))
    crm.tasks["T1"]["subject"] = "Call Ms Sato first"
    pulled(store, crm)
    task(store, "a-1", title="Renew now")
    found = make(store, space, "r2")
    assert (found.changes, [n.kind for n in found.notes]) == ((), ["conflict"])
    task(store, "a-1", status="closed", closing_note="renewed")
    told = "cssync would have closed this task: renewed. A person changed it, so it is theirs to close."
    commenting = make(store, space, "r3")
    (line,) = [line for line in plan_lines(commenting) if "comment" in line]
    assert line.startswith(
        "~ Company a-1  task: comment on 'Call Ms Sato first' (due 2026-12-28): cssync would have closed"
    )
    assert apply(store, space, commenting, "r3").exit_code == 0
    assert (crm.tasks["T1"]["status"], crm.tasks["T1"]["notes"]) == ("open", [told])
    pulled(store, crm)
    found = make(store, space, "r4")
    assert (found.changes, [n.kind for n in found.notes]) == ((), ["conflict"])
    japanese = replace(space, locale="ja-JP")
    task(store, "a-1", status="closed", closing_note="契約が更新された")
    (change,) = make(store, japanese, "r5").changes
    assert change.new["note"].startswith("cssyncはこのタスクを完了にするところでした(契約が更新された)。")


def test_an_edited_task_that_its_person_closed_gets_no_comment(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    task(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={})
    apply(store, space, make(store, space))
    crm.tasks["T1"]["subject"] = "Call Ms Sato first"
    pulled(store, crm)
    task(store, "a-1", status="closed", closing_note="renewed")
    commenting = make(store, space, "r2")
    crm.tasks["T1"]["status"] = "done"  # between plan and apply
    assert dict(apply(store, space, commenting, "r2").outcomes) == {"refused": 1}
    pulled(store, crm)
    assert make(store, space, "r3").changes == ()
    assert "notes" not in crm.tasks["T1"]


def test_tasks_of_a_store_that_was_lost_are_known_by_their_key(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    task(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={})
    apply(store, space, make(store, space))
    with Store.open(tmp_path / "again.db") as again:
        account(again, "a-1")
        pulled(again, crm)
        task(again, "a-1")
        assert make(again, space).changes == ()
        task(again, "a-1", due_on="2027-02-01")
        assert [n.kind for n in make(again, space, "r2").notes] == ["conflict"]
        task(again, "a-1", status="done", closing_note="renewed")
        closing = make(again, space, "r3")
        assert [c.action for c in closing.changes] == ["close_task"]
        assert apply(again, space, closing, "r3").exit_code == 0
    assert [w[0] for w in crm.journal] == ["create_task", "close_task"]


def test_owners_are_found_across_systems_and_the_inactive_replaced_by_their_manager(
    tmp_path: Path, store: Store
) -> None:
    crms = {"crm": Crm({"1": {}, "2": {}, "3": {}, "4": {}})}
    for n in range(1, 5):
        account(store, f"a-{n}")
    desk_ann = user(store, "d1", "ann@us.example", crm="desk")
    user(store, "u1", "ann@us.example")
    left = user(store, "u2", "bob@us.example", is_active=0, manager_source_id="u3")
    user(store, "u3", "eve@us.example")
    alone = user(store, "u4", "joe@us.example", is_active=0)
    for n, owner in enumerate((desk_ann, left, alone, None), 1):
        task(store, f"a-{n}", f"k{n}", owner_uid=owner)
    found = make(store, workspace(tmp_path, crms, fields={}))
    assert [c.new["owner_source_id"] for c in found.changes] == ["u1", "u3", None, None]
    assert sorted(n.account_uid for n in found.notes if n.kind == "unowned") == ["a-2", "a-3", "a-4"]


def test_an_owner_gets_ten_new_tasks_a_day_and_the_rest_the_next(tmp_path: Path, store: Store) -> None:
    crm = Crm({str(n): {} for n in range(13)})
    owner = user(store, "u1", "ann@us.example")
    for n in range(13):
        account(store, f"a-{n}")
        task(store, f"a-{n}", f"k{n:02}", owner_uid=owner, due_on=f"2026-12-{28 - n:02}")
    space = workspace(tmp_path, {"crm": crm}, fields={})
    first = make(store, space)
    single = [c for c in first.changes if not c.field.startswith("digest-")]
    assert (len(first.changes), len(single), first.totals["later"]) == (11, 10, 3)
    assert {c.new["due_on"] for c in single} == {f"2026-12-{d:02}" for d in range(16, 26)}
    apply(store, space, first)
    assert make(store, space, "r2").changes == ()
    tomorrow = make(store, space, "r3", as_of=AS_OF + timedelta(days=1))
    assert sorted(c.action for c in tomorrow.changes) == ["close_task", "create_task", "create_task", "create_task"]


def test_each_accounts_tasks_go_to_the_first_connection_that_knows_it(tmp_path: Path, store: Store) -> None:
    space = workspace(tmp_path, {"sales": Crm(), "crm": Crm()}, fields={})
    account(store, "a-1", crm="crm")
    account(store, "a-1", crm="sales", source_id="001")
    account(store, "a-2", crm="crm")
    task(store, "a-1", "k1")
    task(store, "a-2", "k2")
    found = make(store, space)
    assert {(c.account_uid, c.connection) for c in found.changes} == {("a-1", "sales"), ("a-2", "crm")}


# --- for people -------------------------------------------------------------------------------------------------------


def test_the_plan_reads_totals_first_and_cannot_steer_the_terminal(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}, "2": {"cs_health_band": "green"}})
    account(store, "a-1", name="Acme \x1b[31mLtd\u202e")
    account(store, "a-2", name="Brio")
    for uid in ("a-1", "a-2"):
        result(store, uid, "health.band", "red", because="69 seats this week, 100.0 on average before")
    pulled(store, crm)
    task(store, "a-2", title="Renewal of Brio")
    space = workspace(tmp_path, {"crm": crm}, fields={"cs_health_band": "health.band"}, policy="ours")
    lines = list(plan_lines(found := make(store, space)))
    assert lines == [
        f"Plan {found.id}: 1 to set, 1 to change, 0 to clear, 1 task to create. Nothing was sent.",
        "",
        "crm.companies",
        "~ Acme [31mLtd  cs_health_band: (empty) -> red",
        "      because 69 seats this week, 100.0 on average before (health.band)",
        "~ Brio  cs_health_band: green -> red",
        "      because 69 seats this week, 100.0 on average before (health.band)",
        "+ Brio  task: create 'Renewal of Brio' (due 2026-12-28)",
        "      because Why: facts (renewal.R03)",
        "",
        "tasks without the owner they are meant for (1):",
        "  Brio, crm: task 'Renewal of Brio': no owner is known",
    ]
    document = plan_document(found)
    assert json.loads(json.dumps(document))["changes"][1]["old"] == "green"


def test_a_plan_without_changes_is_stored_too(tmp_path: Path, store: Store) -> None:
    found = make(store, workspace(tmp_path, {"crm": Crm()}))
    assert load_plan(store, found.id) == replace(found)
    with pytest.raises(ConfigError, match="there is no plan p-nope") as error:
        load_plan(store, "p-nope")
    assert found.id in error.value.fix


def test_a_mapping_to_a_result_that_no_pack_has_is_refused(tmp_path: Path, store: Store) -> None:
    space = workspace(tmp_path, {"crm": Crm()}, fields={"cs_a": "health.skore", "cs_b": "health.score", "cs_c": "x.y"})
    with pytest.raises(ConfigError, match=r"crm\.cs_a: health\.skore, crm\.cs_c: x\.y") as refused:
        make(store, space)
    assert "health.score" in refused.value.fix


@pytest.mark.parametrize(("said", "later"), [
    (" Written by cssync. Data to 2026-11-20.", " Written by cssync. Data to 2026-11-23."),
    ("cssyncが作成。データ時点 2026-11-20。", "cssyncが作成。データ時点 2026-11-23。")])  # fmt: skip
def test_a_text_of_ours_that_differs_in_the_date_of_its_data_alone_stays(
    tmp_path: Path, store: Store, said: str, later: str
) -> None:
    """After an outage the rules come back to the same words, of a later day."""
    crm = Crm({"1": {}})
    account(store, "a-1")
    result(store, "a-1", "health.reasons", f"49 (red). Held at 49.{said}")
    pulled(store, crm)
    space = workspace(tmp_path, {"crm": crm}, fields={"cs_health_reasons": "health.reasons"})
    apply(store, space, make(store, space))
    pulled(store, crm)
    result(store, "a-1", "health.reasons", f"49 (red). Held at 49.{later}")
    assert make(store, space, "r2").changes == ()
    result(store, "a-1", "health.reasons", f"48 (red). Held at 48.{later}")
    assert len(make(store, space, "r3").changes) == 1
