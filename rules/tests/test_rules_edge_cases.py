"""Edge cases of the domain model on a real store: what the packs say day after day, where a test of a part would miss
how the parts play together. Cases of links, write-back and key figures are tested where those live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Workspace
from cssync.link.assign import assign_children
from cssync.rules import evaluate, load_folders
from cssync.store.sqlite import Store

RULES = load_folders([("standard", files("cssync_rules"))])
AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
ENTITIES = (
    *("ticket", "ticket_metric", "survey_response", "usage_metric", "contract", "contract_line", "opportunity"),
    *("contact", "interaction", "invoice", "usage_event", "feature_request"),
)


class Book:
    """A store of accounts whose sources are all fresh. `day` evaluates and returns the results of account a."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known = 0

    def account(self, uid: str = "a", **more: Any) -> None:
        row = {"uid": uid, "name": uid, "status": "active", "csm_uid": "u", "touch_tier_override": "low", **more}
        with self.store.transaction() as conn:
            names = ", ".join(row)
            conn.execute(f"INSERT INTO account ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))

    def put(self, entity: str, *rows: dict[str, Any], uid: str = "a") -> None:
        self.known += 1
        keyed = [{"source_id": f"{uid}-{n}", **row} for n, row in enumerate(rows)]
        with self.store.transaction() as conn:
            self.store.upsert(conn, entity, "crm", keyed, f"2026-11-01T00:{self.known:02}:00Z")
            conn.executemany(
                f"UPDATE {entity} SET account_uid = ? WHERE source_id = ?", [(uid, r["source_id"]) for r in keyed]
            )

    def term(self, end: str, *, seats: int = 10, uid: str = "a", name: str = "C", **more: Any) -> None:
        contract = {"source_id": name, "start_date": "2025-12-01", "end_date": end, "status": "active", **more}
        self.put("contract", contract, uid=uid)
        line = {"source_id": f"{name}-line", "contract_source_id": name, "quantity": seats, "unit": "seat"}
        self.put("contract_line", {**line, "unit_price": 120_000, "currency": "USD"}, uid=uid)

    def use(self, *values: float, until: date = date(2026, 11, 19), uid: str = "a") -> None:
        """Active users of the days up to `until`, oldest first."""
        first = until - timedelta(days=len(values) - 1)
        self.put("usage_metric", *(
            {"source_id": f"{uid}-{first + timedelta(days=n)}", "metric": "active_users", "grain": "day",
             "period_start": (first + timedelta(days=n)).isoformat(), "value": value}
            for n, value in enumerate(values)), uid=uid)  # fmt: skip

    def day(self, days: int = 0, silent: tuple[str, ...] = ()) -> dict[str, Any]:
        """Evaluate so many days after AS_OF; the streams named `silent` bring nothing since their last success."""
        at = AS_OF + timedelta(days=days)
        with self.store.transaction() as conn:
            conn.execute(
                "UPDATE source_state SET last_success_at = ? WHERE stream NOT IN (SELECT value FROM json_each(?))",
                (at.strftime("%Y-%m-%dT%H:%M:%SZ"), json.dumps(silent)),
            )
        workspace = Workspace("t", self.store.path, ZoneInfo("Asia/Tokyo"), "USD", self.store.path, {})
        evaluate(self.store, RULES, workspace, at, run_id="r")
        return self.results()

    def results(self, uid: str = "a") -> dict[str, Any]:
        rows = self.store.query("SELECT name, value FROM result WHERE account_uid = ?", (uid,))
        return {r["name"]: json.loads(r["value"]) for r in rows}

    def tasks(self, status: str = "open", uid: str = "a") -> list[str]:
        rows = self.store.query(
            "SELECT rule FROM task WHERE status = ? AND account_uid = ? ORDER BY rule", (status, uid)
        )
        return [r["rule"] for r in rows]

    def signals(self, uid: str = "a") -> list[str]:
        rows = self.store.query("SELECT name FROM signal WHERE until IS NULL AND account_uid = ? ORDER BY name", (uid,))
        return [r["name"] for r in rows]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Store.open(tmp_path / "x.db") as store:
        with store.transaction() as conn:
            conn.executemany("INSERT INTO source_feed VALUES ('crm', ?, ?)", [(e, e) for e in ENTITIES])
            conn.executemany(
                "INSERT INTO source_state (connection, stream, outcome) VALUES ('crm', ?, 'ok')",
                [(e,) for e in ENTITIES],
            )
        found = Book(store)
        found.account()
        yield found


def healthy(book: Book) -> None:
    book.use(*([6.0] * 84))
    book.put("contact", {"role": "champion", "last_meeting_at": "2026-11-18T00:00:00Z"})


def test_no_contract_means_no_renewal_and_a_judgement_of_health_all_the_same(book: Book) -> None:
    healthy(book)
    found = book.day()
    assert found["renewal.arr"] is None
    assert found["renewal.date"] is None
    assert found["renewal.forecast"] is None
    assert book.tasks() == ["R08"]
    assert found["health.coverage"] > 0
    assert found["health.band"] in ("green", "yellow", "red", "unknown")


def test_a_prospect_without_contract_is_nobodys_task(book: Book) -> None:
    with book.store.transaction() as conn:
        conn.execute("UPDATE account SET status = 'prospect'")
    assert "health.score" not in book.day()
    assert book.tasks() == []


def test_contracts_that_end_together_are_one_renewal_with_one_task(book: Book) -> None:
    healthy(book)
    book.term("2027-02-10", name="C1", seats=5)
    book.term("2027-02-20", name="C2", seats=5)
    found = book.day()
    assert (found["renewal.date"], found["renewal.arr_at_stake"]) == ("2027-02-11", 12_000)
    assert [t for t in book.tasks() if t.startswith("R0")] == ["R03"]
    scores = book.store.query("SELECT count(*) FROM result WHERE name = 'health.score'")
    assert scores[0][0] == 1


def test_contracts_that_end_apart_are_renewed_apart(book: Book) -> None:
    book.term("2027-02-10", name="C1", seats=5)
    book.term("2027-09-30", name="C2", seats=5)
    found = book.day()
    assert (found["renewal.date"], found["renewal.arr"], found["renewal.arr_at_stake"]) == ("2027-02-11", 12_000, 6_000)


def test_a_renewal_in_the_past_lapses_for_thirty_days_and_is_churn_afterwards(book: Book) -> None:
    book.term("2026-11-19", start_date="2025-11-20")
    found = book.day()
    assert (found["renewal.risk"], found["renewal.arr"], found["renewal.arr_at_risk"]) == ("lapsed", 12_000, 12_000)
    assert "R07" in book.tasks()
    found = book.day(31)
    assert found["renewal.arr"] == 0
    assert found["renewal.risk"] != "lapsed"
    assert "R07" in book.tasks("closed")


def test_a_late_signature_closes_the_task_and_leaves_no_gap(book: Book) -> None:
    book.term("2026-11-19", start_date="2025-11-20")
    book.day()
    book.term("2027-11-30", name="C2", start_date="2026-12-01")
    found = book.day(12)
    assert (found["renewal.date"], found["renewal.arr"]) == ("2027-12-01", 12_000)
    assert "R07" in book.tasks("closed")
    assert "R07" not in book.tasks()


def test_from_month_to_month_only_alerts_are_raised(book: Book) -> None:
    healthy(book)
    book.term("2026-11-30", start_date="2026-11-01", term_months=1, auto_renew=True, notice_days=5)
    book.put("ticket", {"status": "open", "priority": "urgent", "opened_at": "2026-11-10T00:00:00Z"})
    found = book.day()
    assert found["renewal.arr"] == 12_000
    assert [t for t in book.tasks() if t.startswith("R")] == []
    assert book.signals() == ["K03"]


def test_a_trial_is_in_no_forecast_and_gets_its_own_signal_only(book: Book) -> None:
    with book.store.transaction() as conn:
        conn.execute("UPDATE account SET status = 'trial'")
    book.use(*([3.0] * 20))
    found = book.day()
    assert "health.score" not in found
    assert found["renewal.forecast"] is None
    assert (book.signals(), book.tasks()) == (["U10"], [])
    with book.store.transaction() as conn:
        conn.execute("UPDATE account SET status = 'active'")
    book.term("2027-11-19", start_date="2026-11-20")
    found = book.day(1)
    assert found["renewal.arr"] == 12_000
    assert "health.coverage" in found


def test_an_early_renewal_counts_once_and_closes_its_task(book: Book) -> None:
    healthy(book)
    book.term("2027-02-17", start_date="2026-02-18")
    book.day()
    assert "R03" in book.tasks()
    book.term("2028-02-29", name="C2", start_date="2027-01-20", seats=12)
    book.put("contract", {"source_id": "C", "start_date": "2026-02-18", "end_date": "2027-02-17", "status": "active",
                          "renewed_by_source_id": "C2"})  # fmt: skip
    found = book.day(62)
    assert (found["renewal.date"], found["renewal.seats"]) == ("2028-03-01", 12)
    assert "R03" in book.tasks("closed")


def test_a_contract_over_years_is_due_at_its_end_only(book: Book) -> None:
    healthy(book)
    book.term("2027-12-31", start_date="2025-01-01", term_months=36, multi_year=True)
    for days in (0, 41, 200, 300):
        assert [t for t in (book.day(days), book.tasks())[1] if t.startswith("R")] == []
    book.day(320)
    assert "R03" in book.tasks()


def test_lines_that_move_to_another_account_take_their_revenue_along(book: Book) -> None:
    book.account("b")
    book.term("2027-06-30", name="C1", seats=6)
    book.term("2027-06-30", name="C2", seats=4)
    assert book.day()["renewal.arr"] == 12_000
    with book.store.transaction() as conn:
        conn.execute("UPDATE contract SET account_uid = 'b' WHERE source_id = 'C2'")
        conn.execute("UPDATE contract_line SET account_uid = 'b' WHERE source_id = 'C2-line'")
    assert book.day(1)["renewal.arr"] == 7_200
    assert book.results("b")["renewal.arr"] == 4_800


def test_a_ticket_that_nobody_can_place_is_counted_and_never_guessed(book: Book) -> None:
    book.term("2027-06-30")
    with book.store.transaction() as conn:
        conn.execute(
            "INSERT INTO account_link (connection, source_id, account_uid, method, status, valid_from) "
            "VALUES ('crm', 'org', 'a', 'manual', 'active', '2026-01-01T00:00:00Z')"
        )
        known = "2026-11-19T00:00:00Z"
        for entity in ("contract", "contract_line"):
            conn.execute(f"UPDATE {entity} SET account_source_id = 'org'")
        book.store.upsert(conn, "contact", "crm", [{"source_id": "p", "account_source_id": "org"}], known)
        at = {"opened_at": "2026-11-19T00:00:00Z", "status": "open"}
        ways = ({"account_source_id": "org"}, {"requester_source_id": "p"}, {"requester_source_id": "nobody"})
        tickets = [{"source_id": f"t{n}", **way, **at} for n, way in enumerate(ways)]
        book.store.upsert(conn, "ticket", "crm", tickets, known)
        assert assign_children(conn) == {"ticket": 1}
    book.day()
    row = book.store.query("SELECT features FROM feature_row WHERE pack = 'health' AND account_uid = 'a'")[0]
    assert json.loads(row["features"])["tickets_30d"] == 2


def test_the_first_look_at_an_old_customer_raises_nothing_about_the_past(book: Book) -> None:
    """Terms, tickets and answers of years ago are history: no alert, no change, and one milestone at most."""
    healthy(book)
    for year in (2022, 2023, 2024):
        book.term(f"{year}-11-30", name=f"C{year}", start_date=f"{year - 1}-12-01", status="renewed")
    book.term("2027-02-03", start_date="2026-02-04")
    book.put("ticket", {"status": "closed", "priority": "urgent", "opened_at": "2024-01-01T00:00:00Z",
                        "solved_at": "2024-02-01T00:00:00Z", "reopened_count": 4})  # fmt: skip
    book.put("survey_response", {"kind": "nps", "score": 0, "responded_at": "2024-01-01T00:00:00Z"})
    book.put("invoice", {"due_date": "2024-01-01", "amount": 5, "currency": "USD", "paid_at": "2024-09-01T00:00:00Z"})
    book.day()
    assert [t for t in book.tasks() if t.startswith(("R", "K"))] == ["R03"]
    assert book.signals() == []


def test_zero_use_of_a_fresh_source_is_a_fact(book: Book) -> None:
    book.account("b")
    book.use(*([5.0] * 40), uid="b")
    book.term("2027-06-30")
    book.use(*([5.0] * 10 + [0.0] * 30))
    book.put("contact", {"last_inbound_at": "2026-09-01T00:00:00Z"})
    book.day()
    assert "K07" in book.signals()
    assert book.signals("b") == []


def test_one_huge_day_moves_neither_the_trend_nor_the_score(book: Book) -> None:
    book.term("2027-06-30")
    book.use(*([9.0] * 83), 9.0)
    before = book.day()
    book.put("usage_metric", {"source_id": "a-2026-11-04", "metric": "active_users", "grain": "day",
                              "period_start": "2026-11-04", "value": 1e9})  # fmt: skip
    after = book.day(0) if before["health.score"] is None else book.day(1)
    assert after["health.score"] >= before["health.score"] - 1
    row = book.store.query("SELECT features FROM feature_row WHERE pack = 'health' ORDER BY as_of DESC LIMIT 1")[0]
    features = json.loads(row["features"])
    assert features["usage_growth"] == 0
    assert features["measure.seat_use"] == 100


def test_terms_of_two_systems_count_once_where_one_of_them_is_the_master(book: Book) -> None:
    book.term("2027-06-30", name="C1")
    with book.store.transaction() as conn:
        conn.execute("INSERT INTO source_feed VALUES ('sales', 'contract', 'contract')")
        conn.execute("INSERT INTO source_state (connection, stream, last_success_at, outcome) "
                     "VALUES ('sales', 'contract', '2026-11-20T02:00:00Z', 'ok')")  # fmt: skip
        row = {"source_id": "S1", "start_date": "2025-12-01", "end_date": "2027-09-30", "status": "active"}
        book.store.upsert(conn, "contract", "sales", [row], "2026-11-19T00:00:00Z")
        conn.execute("UPDATE contract SET account_uid = 'a'")
    workspace = Workspace(
        "t", book.store.path, ZoneInfo("UTC"), "USD", book.store.path, {}, masters={"contract": "sales"}
    )
    with book.store.transaction() as conn:
        conn.execute("UPDATE source_state SET last_success_at = '2026-11-20T02:00:00Z'")
    evaluate(book.store, RULES, workspace, AS_OF, run_id="r")
    assert book.results()["renewal.date"] == "2027-10-01"
    assert "R10" in book.tasks()


def test_what_rests_on_a_held_score_is_held_with_it(book: Book) -> None:
    """Usage comes no more: health keeps its last band, and so do the risk, the forecast and the alert that read it."""
    book.term("2027-06-30")
    book.use(*([10.0] * 84))
    book.put("contact", {"last_meeting_at": "2026-11-18T00:00:00Z"})
    assert book.day()["health.band"] == "green"
    book.use(*([1.0] * 28), until=date(2026, 12, 17))
    before = book.day(28)
    assert before["health.band"] in ("yellow", "red")
    assert "K02" in book.signals()
    after = book.day(39)  # four days of age and seven of holding are over
    states = {r["name"]: r["state"] for r in book.store.query("SELECT name, state FROM result")}
    for name in ("health.band", "renewal.risk", "renewal.forecast", "renewal.arr_at_risk"):
        assert (after[name], states[name]) == (before[name], "stale"), name
    assert "K02" in book.signals()


def test_a_desk_that_falls_silent_lifts_nobody_out_of_a_cap(book: Book) -> None:
    """An urgent ticket holds the score at 49; that nobody can see the ticket any more is no solution."""
    book.term("2027-06-30")
    healthy(book)
    book.put("ticket", {"status": "open", "priority": "urgent", "opened_at": "2026-11-10T00:00:00Z"})
    before = book.day()
    assert (before["health.score"], before["health.band"], before["health.data_status"]) == (49, "red", "ok")
    for days in (3, 4, 8):
        book.use(*([6.0] * days), until=(AS_OF + timedelta(days=days - 1)).date())
        found = book.day(days, silent=("ticket", "ticket_metric"))
        assert (found["health.score"], found["health.band"]) == (49, "red"), days
        assert found["health.data_status"] == "partial"
        assert "when its source was last read" in found["health.reasons"]
    book.put("ticket", {"status": "solved", "priority": "urgent", "opened_at": "2026-11-10T00:00:00Z"})
    book.use(*([6.0] * 9), until=(AS_OF + timedelta(days=8)).date())
    assert book.day(9)["health.band"] == "green"


@pytest.mark.parametrize(("alone", "status"), [(2, "ok"), (3, "partial")])
def test_more_than_a_fifth_of_tickets_without_an_account_are_said_to_be_of_low_quality(
    book: Book, alone: int, status: str
) -> None:
    book.term("2027-06-30")
    healthy(book)
    known = {"status": "closed", "priority": "low", "opened_at": "2026-11-01T00:00:00Z"}
    book.put("ticket", *(known for _ in range(10)))
    book.put("ticket", *({**known, "source_id": f"n{n}"} for n in range(alone)), uid="b")
    with book.store.transaction() as conn:
        conn.execute("UPDATE ticket SET account_uid = NULL WHERE account_uid = 'b'")
    found = book.day()
    assert found["health.data_status"] == status
    assert ("many tickets name no customer: ticket load" in found["health.reasons"]) == (status == "partial")


@pytest.mark.parametrize(("days", "champions", "people_left"), [(10, 1, None), (30, 1, None), (31, None, None)])
def test_a_feature_may_allow_its_source_an_age_of_its_own(
    book: Book, days: int, champions: int | None, people_left: int | None
) -> None:
    """Roles of contacts are good for 30 days, who left for two."""
    book.put("contact", {"role": "champion"})
    book.day()
    book.day(days, silent=("contact",))
    features = {}
    for row in book.store.query("SELECT features FROM feature_row ORDER BY as_of"):
        features |= json.loads(row["features"])
    assert (features["champions"], features["people_left_30d"]) == (champions, people_left)
