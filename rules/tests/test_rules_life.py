"""The standard packs from one evaluation to the next: results, signals, tasks, and how they are explained."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import pytest
from standard_store import (
    AS_OF,
    DAYS,
    RULES,
    TOKYO,
    contract,
    feed,
    healthy,
    put,
    results,
    run,
    succeed,
    tasks,
    workspace,
)

from cssync.rules import explain
from cssync.rules.texts import language
from cssync.store.sqlite import Store


def test_the_same_instant_twice_writes_nothing_and_money_is_in_major_units(store: Store) -> None:
    healthy(store)
    first = run(store)
    assert first.changed > 10
    found = results(store)
    assert found["health.score"] == (96, "ok")
    assert found["health.as_of"] == ("2026-11-20", "ok")
    assert found["renewal.arr"] == (12000.5, "ok")
    with store.transaction() as conn:
        rows = [tuple(map(tuple, conn.execute(f"SELECT * FROM {t} ORDER BY 1, 2, 3")))
                for t in ("result", "signal", "task", "feature_row", "result_history")]  # fmt: skip
    again = run(store)
    assert again.changed == 0
    with store.transaction() as conn:
        assert rows == [tuple(map(tuple, conn.execute(f"SELECT * FROM {t} ORDER BY 1, 2, 3")))
                        for t in ("result", "signal", "task", "feature_row", "result_history")]  # fmt: skip


def test_a_stale_source_keeps_its_measures_a_week_the_score_thirty_days_and_ends_no_signal(store: Store) -> None:
    healthy(store)
    put(store, "ticket", {"status": "open", "priority": "urgent", "opened_at": "2026-11-10T00:00:00Z"})
    run(store)
    assert results(store)["risk.flags"] == (["K03"], "ok")
    score = results(store)["health.score"][0]
    run(store, AS_OF + timedelta(days=6))
    found = results(store)
    assert (found["health.score"], found["health.data_status"]) == ((score, "ok"), ("partial", "ok"))
    report = run(store, AS_OF + timedelta(days=11))
    found = results(store)
    assert found["health.score"] == (score, "stale")
    assert found["health.band"][1] == "stale"
    assert found["health.data_status"] == ("stale", "ok")
    assert found["risk.flags"] == (["K03"], "ok")
    assert "ticket" in report.stale
    run(store, AS_OF + timedelta(days=33))
    assert results(store)["health.score"] == (None, "unknown")
    assert results(store)["health.band"] == ("unknown", "unknown")


def test_a_former_value_goes_to_history(store: Store) -> None:
    healthy(store)
    run(store)
    put(store, "ticket", *({"status": "open", "opened_at": "2026-11-18T00:00:00Z"} for _ in range(8)))
    run(store, AS_OF + timedelta(hours=1))
    rows = store.query("SELECT value, since, until FROM result_history WHERE name = 'health.score'")
    assert [tuple(r) for r in rows] == [("96", "2026-11-20T03:00:00Z", "2026-11-20T04:00:00Z")]


def test_test_and_deleted_accounts_are_left_out_and_leave_nothing_behind(store: Store) -> None:
    healthy(store)
    run(store, AS_OF + timedelta(days=1))
    assert [t[:2] for t in tasks(store)] == [("R03", "open")]
    with store.transaction() as conn:
        conn.execute("UPDATE account SET is_test = 1")
    run(store, AS_OF + timedelta(days=1, hours=1))
    assert results(store) == {}
    assert [t[:2] for t in tasks(store)] == [("R03", "closed")]


def test_a_renewal_task_is_raised_once_moves_with_its_date_and_closes_when_renewed(store: Store) -> None:
    healthy(store)
    for day in range(1, 6):
        succeed(store, (AS_OF + timedelta(days=day)).isoformat().replace("+00:00", "Z"))
        run(store, AS_OF + timedelta(days=day))
    assert tasks(store) == [("R03", "open", "2026-11-27")]
    key = store.query("SELECT key FROM task")[0]["key"]
    put(
        store,
        "contract",
        {"start_date": "2026-04-01", "end_date": "2027-02-28", "term_months": 12},
        known_at="2026-11-26T00:00:00Z",
    )
    run(store, AS_OF + timedelta(days=6))
    assert tasks(store) == [("R03", "open", "2026-12-01")]
    put(
        store,
        "contract",
        {"start_date": "2026-04-01", "end_date": "2028-02-28", "term_months": 12},
        known_at="2026-11-27T00:00:00Z",
    )
    succeed(store, "2026-11-27T00:00:00Z")
    run(store, AS_OF + timedelta(days=7))
    assert [t[:2] for t in tasks(store)] == [("R03", "closed")]
    assert results(store)["renewal.renewal_event"] == (2, "ok")
    assert store.query("SELECT key FROM task")[0]["key"] == key


def test_a_task_closed_by_a_person_is_not_raised_again_in_its_term(store: Store) -> None:
    healthy(store)
    run(store, AS_OF + timedelta(days=1))
    key = store.query("SELECT key FROM task")[0]["key"]
    put(store, "crm_task", {"task_key": key, "status": "done"})
    run(store, AS_OF + timedelta(days=1, hours=1))
    run(store, AS_OF + timedelta(days=2))
    assert [t[:2] for t in tasks(store)] == [("R03", "done")]


def test_an_episode_ends_on_fresh_data_and_a_new_one_gets_a_new_task(store: Store) -> None:
    run(store)
    assert [t[:2] for t in tasks(store)] == [("R08", "open")]
    contract(store, end_date="2027-10-31")
    run(store, AS_OF + timedelta(hours=1))
    assert [t[:2] for t in tasks(store)] == [("R08", "closed")]
    with store.transaction() as conn:
        store.tombstone(conn, "contract", "crm", ["contract-0"], "2026-11-20T05:00:00Z")
    run(store, AS_OF + timedelta(hours=2))
    assert [t[:2] for t in tasks(store)] == [("R08", "closed"), ("R08", "open")]
    assert len({r["key"] for r in store.query("SELECT key FROM task")}) == 2


def test_missing_contract_data_is_named_as_unknown_and_the_end_date_as_what_it_is(store: Store) -> None:
    put(store, "contract", {"start_date": "2026-04-01"})
    put(store, "contract_line", {"contract_source_id": "contract-0", "quantity": 180, "unit": "seat"})
    run(store)
    assert store.query("SELECT body FROM task")[0]["body"].startswith("End date: unknown. ARR: unknown. Without both")
    put(store, "contract", {"start_date": "2026-04-01", "end_date": "2027-08-31"})
    run(store, AS_OF + timedelta(hours=1))
    bodies = [t["body"] for t in store.query("SELECT body FROM task WHERE rule = 'R08' AND status = 'open'")]
    assert all(body.startswith("End date: 2027-08-31. ARR: unknown.") for body in bodies)
    assert bodies


def test_reasons_are_in_the_language_of_the_workspace_and_stand_still_with_the_day(store: Store) -> None:
    healthy(store)
    run(store, locale="ja-JP")
    text = results(store)["health.reasons"][0]
    assert text.startswith("96点(緑)。")
    assert text.endswith("cssyncが作成。データ時点 2026-11-20。")
    succeed(store, "2026-11-21T02:00:00Z")
    run(store, AS_OF + timedelta(days=1), locale="ja-JP")
    assert results(store)["health.reasons"][0] == text
    assert results(store)["health.as_of"][0] == "2026-11-20"
    assert language("de-CH") == "en"


def test_explain_adds_up_and_names_state_and_source_of_every_input(store: Store) -> None:
    healthy(store)
    put(store, "ticket", *({"status": "open", "opened_at": "2026-11-18T00:00:00Z"} for _ in range(3)))
    with store.transaction() as conn:
        conn.execute("UPDATE contract SET source_url = 'https://crm.example/' || source_id")
        conn.execute("UPDATE ticket SET source_url = 'https://desk.example/' || source_id")
    run(store)
    found = explain(store, RULES, workspace(store), "a", AS_OF)
    health = found.pack("health")
    assert health is not None
    assert health.exact_score is not None
    assert sum((m.lost for m in health.measures if m.lost), Fraction(0)) == 100 - health.exact_score
    assert {m.name: m.state for m in health.measures}["payment"] == "missing"
    inputs = {i.name: i for i in health.inputs}
    assert (inputs["tickets_30d"].value, inputs["tickets_30d"].source, inputs["tickets_30d"].age_days) == (
        3,
        ("tickets",),
        0,
    )
    assert inputs["overdue_days"].reason == "missing: no source for invoice"
    assert inputs["notice_given"].record == "https://crm.example/contract-0"
    assert inputs["tickets_30d"].record is None
    assert health.score == results(store)["health.score"][0]


def test_explain_shows_how_old_the_usage_behind_an_input_is(store: Store) -> None:
    from cssync.views.explain import explain_document, explain_lines

    contract(store)
    feed(store, {}, DAYS[1:])
    run(store)
    found = explain(store, RULES, workspace(store), "a", AS_OF)
    health = found.pack("health")
    assert health is not None
    last = next(i for i in health.inputs if i.name == "last_active_on")
    assert (last.value, last.as_of, last.age_days) == (date(2026, 11, 18), "2026-11-18T14:59:59+00:00", 2)
    shown = "\n".join(explain_lines(explain_document(store, "a", AS_OF, found), TOKYO))
    assert "active_users_28d: 20 (from usage, 2 d old)" in shown or "idle_days: 2 (from usage, 2 d old)" in shown
    assert "(from contracts, lines, of today)" in shown


def test_an_earlier_as_of_never_touches_current_results(store: Store) -> None:
    from cssync.errors import ConfigError

    run(store)
    with pytest.raises(ConfigError, match="lies before"):
        run(store, AS_OF - timedelta(days=1))


def test_reopenings_of_an_old_ticket_count_from_the_day_the_vendors_count_rose(store: Store) -> None:
    """The vendor keeps a running count without dates: what it was when the ticket was first seen counts for nothing."""
    healthy(store)
    old = [{"source_id": f"t{n}", "status": "open", "opened_at": "2026-01-10T00:00:00Z"} for n in range(3)]
    put(store, "ticket", *({**row, "reopened_count": 5} for row in old))
    run(store)
    assert results(store)["risk.flags"] == ([], "ok")
    risen = [{**row, "reopened_count": 6, "updated_at": "2026-11-20T09:00:00Z"} for row in old]
    put(store, "ticket", *risen, known_at="2026-11-20T10:00:00Z")
    run(store, AS_OF + timedelta(hours=8))
    assert results(store)["risk.flags"] == (["K03"], "ok")
    because = store.query("SELECT because FROM signal WHERE name = 'K03'")[0][0]
    assert "tickets reopened in 30 days: 3; newest: t0, t1, t2, the oldest opened on 2026-01-10" in because
    for day, flags in ((29, ["K03"]), (30, [])):
        at = AS_OF + timedelta(days=day)
        succeed(store, at.strftime("%Y-%m-%dT00:00:00Z"))
        run(store, at)
        assert [f for f in results(store)["risk.flags"][0] if f == "K03"] == flags


@pytest.mark.parametrize("goals", [None, "Halve the time\nto invoice"])
def test_a_success_review_names_the_customers_goals_where_they_are_mapped(store: Store, goals: str | None) -> None:
    contract(store, start_date="2025-05-20", end_date="2027-05-18")
    with store.transaction() as conn:
        conn.execute("UPDATE account SET touch_tier_override = 'high'")
    run(store)
    with store.transaction() as conn:
        conn.execute("UPDATE account SET success_goals = ?", (goals,))
    report = run(store, AS_OF + timedelta(hours=1))
    assert report.partly  # the account alone is looked at, and its open task reworded
    body = store.query("SELECT body FROM task WHERE rule = 'R01'")[0][0]
    told = " Goals of the customer: Halve the time to invoice." if goals else ""
    assert f"score unknown.{told} Next: agree" in body


def test_a_fall_names_the_lost_points_of_now_and_of_a_fortnight_before(store: Store) -> None:
    from cssync.writeback.changes import PlannedChange
    from cssync.writeback.evidence import evidence
    from cssync.writeback.plan import Plan

    healthy(store)
    run(store)
    assert results(store)["health.lost_points"] == ("usage trend -4.0", "ok")
    at = AS_OF + timedelta(days=14)
    succeed(store, "2026-12-04T02:00:00Z")
    used = {"metric": "active_users", "value": 10.0}
    again = [{"source_id": f"w{n}", "grain": "week", "period_start": f"2026-11-{n}", **used} for n in (16, 23)]
    put(store, "usage_metric", *again, {"source_id": "e", "grain": "day", "period_start": "2026-12-03", **used})
    put(store, "ticket", *({"status": "solved", "opened_at": "2026-12-03T00:00:00Z"} for _ in range(20)))
    run(store, at)
    now = "ticket load -18.2, usage trend -4.0"
    assert results(store)["health.lost_points"] == (now, "ok")
    (row,) = store.query("SELECT because, evidence FROM signal WHERE name = 'K02'")
    assert f"lost points: {now}; then: usage trend -4.0" in row["because"]
    assert '"lost_before": "usage trend -4.0"' in row["evidence"]
    flags = PlannedChange("crm", "companies", "1", "a", "Acme", "set", "cs_flags", None, ["K02"], "risk.flags", "")
    shown = evidence(
        store, RULES, Plan("p", "2026-12-04T03:00:00Z", "2026-12-04T03:00:00Z", "", "open", (), "", (flags,))
    )
    assert shown["a", "risk.flags"]["K02"]["lost_before"] == "usage trend -4.0"
    assert shown["a", "risk.flags"]["K02"]["lost_now"] == now
    view = explain(store, RULES, workspace(store), "a", at).pack("risk")
    assert view is not None
    inputs = {i.name: i.value for i in view.inputs}
    assert (inputs["lost_before"], inputs["lost_now"]) == ("usage trend -4.0", now)
    run(store, at + timedelta(days=13))  # usage is stale beyond its hold
    assert results(store)["health.lost_points"] == (now, "stale")


@pytest.mark.parametrize(
    ("comment", "told"),
    [
        ("Nobody\n ever\x00 answered.\u202e", " Newest comment: “Nobody ever answered.”."),
        ("長い待ち時間" * 100, f" Newest comment: “{('長い待ち時間' * 50)[:299]}…”."),
        (None, ""),
    ],
    ids=["lines", "long", "none"],
)
def test_an_unhappy_sponsor_is_heard_in_their_own_words(store: Store, comment: str | None, told: str) -> None:
    healthy(store)
    put(store, "contact", {"source_id": "p", "role": "exec_sponsor"})
    bad = {"kind": "csat", "score": 0.0, "contact_source_id": "p", "responded_at": "2026-11-19T00:00:00Z"}
    put(store, "survey_response", {"source_id": "s", "comment": comment, **bad})
    run(store)
    body = store.query("SELECT body FROM task WHERE rule = 'K05'")[0][0]
    assert body.startswith(f"Bad answers of sponsors and administrators in 14 days: 1, the last: csat 0.{told} Newest")
