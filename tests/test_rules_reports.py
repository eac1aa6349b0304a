"""Reports: groups over all accounts, their windows, medians, ARR, lists, and what reaches a file or a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules import load_folders
from cssync.rules.drafts import drafted
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.packtests import run_tests
from cssync.rules.reporting import Table, chosen, run_report
from cssync.store.sqlite import Store
from cssync.views.report import cells, document, foot, markdown

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
STANDARD = load_folders([("standard", files("cssync_rules"))])
ENTITIES = ("ticket", "survey_response", "contract", "contract_line", "opportunity", "feature_request")


def ago(days: int) -> str:
    return (AS_OF - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "x.db") as opened:
        with opened.transaction() as conn:
            for n in range(8):
                conn.execute("INSERT INTO account (uid, name, status) VALUES (?, ?, 'active')", (f"a{n}", f"Nr {n}"))
            conn.execute("UPDATE account SET is_test = 1 WHERE uid = 'a7'")
            conn.executemany("INSERT INTO source_feed VALUES ('crm', ?, ?)", [(e, e) for e in ENTITIES])
            conn.executemany(
                "INSERT INTO source_state (connection, stream, last_success_at, outcome) VALUES ('crm', ?, ?, 'ok')",
                [(e, ago(0)) for e in ENTITIES],
            )
        yield opened


def put(store: Store, entity: str, *rows: tuple[int, dict[str, Any]]) -> None:
    """Store rows of the accounts with these numbers."""
    with store.transaction() as conn:
        start = conn.execute(f"SELECT count(*) FROM {entity}").fetchone()[0]
        keyed = [{"source_id": f"{start + n:03}", **row} for n, (_, row) in enumerate(rows)]
        store.upsert(conn, entity, "crm", keyed, ago(1))
        for n, (account, _) in enumerate(rows):
            conn.execute(f"UPDATE {entity} SET account_uid = ? WHERE source_id = ?", (f"a{account}", f"{start + n:03}"))


def run(store: Store, name: str = "V01", text: str | None = None, **more: Any) -> Table:
    rules = STANDARD if text is None else read_rules([Source("p.yaml", f"pack: p\nreports:\n  {text}\n")])
    ((pack, report),) = chosen(rules, name)
    workspace = Workspace("t", store.path, ZoneInfo("UTC"), "EUR", store.path, {}, **more)
    return run_report(store, workspace, rules, pack, report, AS_OF)


def pay(store: Store, *amounts: tuple[int, int, str], end: str = "2027-03-31") -> None:
    for account, amount, currency in amounts:
        with store.transaction() as conn:
            n = conn.execute("SELECT count(*) FROM contract").fetchone()[0]
        put(store, "contract", (account, {"start_date": "2026-04-01", "end_date": end}))
        line = {"contract_source_id": f"{n:03}", "amount": amount * 100, "currency": currency, "quantity": 1}
        put(store, "contract_line", (account, line))


# --- V01: a category boils up -----------------------------------------------------------------------------------------


def tickets(category: str, now: int, before: tuple[int, int, int], accounts: int) -> list[tuple[int, dict[str, Any]]]:
    """`now` tickets of the last 30 days and some of each of the three months before."""
    found = [(n % accounts, {"category": category, "opened_at": ago(n % 30)}) for n in range(now)]
    for month, count in enumerate(before, start=1):
        found += [(0, {"category": category, "opened_at": ago(30 * month)}) for _ in range(count)]
    return found


@pytest.mark.parametrize(
    ("now", "before", "accounts", "shown"),
    [
        (6, (3, 3, 9), 5, True),  # twice the median of 3
        (5, (3, 3, 9), 5, False),
        (6, (3, 3, 9), 4, False),  # too few accounts
        (5, (0, 0, 0), 5, True),  # something new
    ],
)
def test_a_category_that_doubles_is_reported(
    store: Store, now: int, before: tuple[int, int, int], accounts: int, shown: bool
) -> None:
    put(store, "ticket", *tickets("billing", now, before, accounts))
    put(store, "ticket", *[(7, {"category": "billing", "opened_at": ago(1)})] * 9)
    found = run(store)
    assert [r["category"] for r in found.rows] == (["billing"] if shown else [])
    if shown:
        median = float(sorted(before)[1])
        assert (found.rows[0]["this_month"], found.rows[0]["before"], found.rows[0]["accounts"]) == (now, median, 5)


def test_a_month_is_thirty_days_and_the_windows_touch(store: Store) -> None:
    put(store, "ticket", *((0, {"category": "c", "opened_at": ago(d)}) for d in (0, 29, 30, 59, 60, 89, 90, 119, 120)))
    text = "R: {of: tickets, by: [category], columns: {now: {count: rows, within: 30d}, m: {median_per_month: 3}, "
    text += "one: {median_per_month: 1}, two: {median_per_month: 2}, all: {count: rows}}}"
    assert run(store, "R", text).rows == ({"category": "c", "now": 2, "m": 2.0, "one": 2.0, "two": 2.0, "all": 9},)


def test_arr_counts_each_account_once_in_the_reporting_currency(store: Store, tmp_path: Path) -> None:
    fx = tmp_path / "fx.csv"
    fx.write_text("date,from,to,rate\n2026-01-01,USD,EUR,0.9\n", encoding="utf-8")
    pay(store, (0, 1000, "EUR"), (1, 1000, "USD"), (2, 500, "GBP"))
    put(store, "ticket", *tickets("billing", 12, (1, 1, 1), 5))
    found = run(store, fx=fx)
    assert found.rows[0]["arr"] == 100_000 + 90_000
    assert found.currency == "EUR"
    assert list(foot(found)) == ["ARR of 3 of the accounts is unknown and in no sum"]


def test_unknown_arr_is_not_zero(store: Store) -> None:
    put(store, "ticket", *tickets("billing", 12, (1, 1, 1), 5))
    assert run(store).rows[0]["arr"] is None


def test_examples_are_the_newest_by_address_or_id(store: Store) -> None:
    put(store, "ticket", *tickets("billing", 10, (1, 1, 1), 5))
    put(store, "ticket", (0, {"category": "billing", "opened_at": ago(0), "source_url": "https://desk.example/1"}))
    assert run(store).rows[0]["examples"] == ["000", "https://desk.example/1", "001", "002", "003"]


# --- the others -------------------------------------------------------------------------------------------------------


def test_requests_are_ranked_by_accounts_then_arr_then_arr_due(store: Store) -> None:
    pay(store, (0, 1000, "EUR"), (1, 900, "EUR"), (2, 1000, "EUR"), (3, 900, "EUR"))
    pay(store, (4, 5000, "EUR"), end="2027-12-31")
    wishes = [(0, "dark"), (0, "dark"), (1, "dark"), (2, "sso"), (3, "sso"), (4, "api"), (5, "done")]
    put(store, "feature_request", *(
        (n, {"topic": topic, "requested_at": ago(3), "status": "shipped" if topic == "done" else "open"})
        for n, topic in wishes))  # fmt: skip
    found = run(store, "V02")
    assert [(r["topic"], r["accounts"], r["arr"], r["arr_due_180d"], r["requests"]) for r in found.rows] == [
        ("dark", 2, 190_000, 190_000, 3), ("sso", 2, 190_000, 190_000, 2), ("api", 1, 500_000, 0, 1)
    ]  # fmt: skip
    assert found.rows[0]["who"] == ["Nr 0", "Nr 1"]
    put(store, "ticket", (0, {"subject": "夜でも見やすく"}))
    put(store, "feature_request", (0, {"topic": "dark", "ticket_source_id": "000"}))
    assert [r["quotes"] for r in run(store, "V02").rows] == [["夜でも見やすく"], [], []]


def test_each_tag_of_a_bad_answer_is_a_group(store: Store) -> None:
    put(store, "ticket", *((0, {"tags": json.dumps(tags)}) for tags in (["slow", "api"], ["slow"], ["slow"], [])))
    answers = ({"kind": "csat", "score": 0, "responded_at": ago(day)} for day in (1, 2, 13, 1))
    of_tickets = ({**a, "ticket_source_id": f"{n:03}", "comment": f"c{n}"} for n, a in enumerate(answers))
    put(store, "survey_response", *((0, answer) for answer in of_tickets))
    found = run(store, "V03")
    assert [(r["ticket_tags"], r["bad"], r["comments"]) for r in found.rows] == [("slow", 3, ["c0", "c1", "c2"])]
    put(store, "survey_response", (0, {"kind": "csat", "score": 1, "ticket_source_id": "000", "responded_at": ago(1)}))
    assert run(store, "V03").rows[0]["bad"] == 3


@pytest.mark.parametrize(("start", "quarters"), [(1, ["FY2026-Q2", "FY2026-Q1"]), (4, ["FY2026-Q1", "FY2025-Q4"])])
def test_lost_renewals_by_fiscal_quarter_show_the_share_without_a_reason(
    store: Store, start: int, quarters: list[str]
) -> None:
    deal = {"type": "renewal", "is_closed": 1, "is_won": 0, "currency": "EUR"}
    put(
        store,
        "opportunity",
        (0, {**deal, "close_date": "2026-03-31", "loss_reason": "price", "amount": 30_000}),
        (1, {**deal, "close_date": "2026-04-01", "loss_reason": None, "amount": 10_000}),
        (2, {**deal, "close_date": "2026-04-01", "is_won": 1, "amount": 99}),
    )
    found = run(store, "V04", fiscal_year_start=start)
    shown = [(r["fiscal_quarter"], r["loss_reason"], r["amount"], r["share"]) for r in found.rows]
    assert shown == [(quarters[0], None, 10_000, 0.25), (quarters[1], "price", 30_000, 0.75)]
    assert next(cells(found))[:6] == [quarters[0], "unknown", 1, 1, "100.00", "25 %"]


def test_contracts_that_ended_without_a_deal_are_counted_in_the_quarter_of_their_end(store: Store) -> None:
    old = {"start_date": "2025-04-01", "end_date": "2026-03-31", "status": "terminated"}
    put(
        store,
        "contract",
        (0, {**old, "notice_received_on": "2026-01-05"}),
        (1, {**old, "end_date": "2026-04-01", "status": "expired"}),
        (1, {**old, "renewed_by_source_id": "004"}),
        (2, {**old, "end_date": "2026-11-20"}),  # its last day
        (3, {**old, "status": "active"}),
    )
    rows = run(store, "V04_contracts", fiscal_year_start=4).rows
    assert [(r["fiscal_quarter"], r["contracts"], r["notice"], r["who"]) for r in rows] == [
        ("FY2026-Q1", 1, 0, ["Nr 1"]), ("FY2025-Q4", 1, 1, ["Nr 0"])
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="contracts has no date 'status'"):
        run(store, "R", "R: {of: contracts, at: status, by: [month], columns: {n: {count: rows}}}")


def test_comments_stay_in_their_language(store: Store) -> None:
    answers = [("ja", "使いにくい", 3), ("ja", "高い", 2), ("en", "fine", 9)]
    put(store, "survey_response", *(
        (n, {"kind": "nps", "score": score, "comment": text, "language": tag, "responded_at": ago(n + 1)})
        for n, (tag, text, score) in enumerate(answers)))  # fmt: skip
    rows = run(store, "V06").rows
    assert [(r["language"], r["mean"], r["quotes"]) for r in rows] == [
        ("ja", 2.5, ["使いにくい", "高い"]), ("en", 9.0, ["fine"])
    ]  # fmt: skip


def test_groups_can_be_made_by_lines_and_the_rest_is_counted(store: Store) -> None:
    put(store, "ticket", *((n, {"subject": s, "opened_at": ago(1)}) for n, s in enumerate(["the price", "a bug", "x"])))
    text = "R: {of: tickets, by: {theme: {first: [\"'price' if contains(subject, 'price')\", "
    text += "\"'bug' if contains(subject, 'bug')\"]}}, columns: {n: {count: rows}}, most: 2}"
    found = run(store, "R", text)
    assert [r["theme"] for r in found.rows] == ["bug", "price"]
    assert list(foot(found)) == ["and 1 more"]


def test_a_report_without_groups_has_one_row_and_without_rows_none(store: Store) -> None:
    text = "R: {of: tickets, columns: {n: {count: rows}, who: {accounts: 3}}}"
    assert run(store, "R", text).rows == ()
    put(store, "ticket", (0, {}), (0, {}), (1, {}))
    assert run(store, "R", text).rows == ({"n": 3, "who": ["Nr 0", "Nr 1"]},)


def test_a_late_source_is_named(store: Store) -> None:
    with store.transaction() as conn:
        conn.execute("UPDATE source_state SET last_success_at = ? WHERE stream = 'ticket'", (ago(9),))
    late = f"tickets is stale, last complete at {ago(9)}: what is newer is not in this report"
    assert run(store).notes == (f"{late}; no draft is written of it",)
    assert run(store, "R", "R: {of: tickets, columns: {n: {count: rows}}}").notes == (late,)


def test_a_source_that_lends_a_column_is_named_too(store: Store) -> None:
    with store.transaction() as conn:
        conn.execute("DELETE FROM source_state WHERE stream = 'ticket'")
    assert [run(store, name).state for name in ("V03", "V04", "V06")] == ["missing", "ok", "missing"]


def test_accounts_are_rows_with_what_packs_say_of_them(store: Store) -> None:
    with store.transaction() as conn:
        conn.execute("UPDATE account SET first_contract_date = '2026-10-05', segment = 'smb' WHERE uid <> 'a1'")
        conn.execute("UPDATE account SET created_at = '2026-07-31T23:30:00Z' WHERE uid = 'a0'")
        for n, (value, state) in enumerate([("60", "ok"), ("70", "ok"), ("80", "stale"), ("null", "unknown")]):
            row = (f"a{n}", value, state, ago(1), ago(1))
            conn.execute("INSERT INTO result (account_uid, name, value, state, since, as_of) "
                         "VALUES (?, 'health.score', ?, ?, ?, ?)", row)  # fmt: skip
    text = "{of: accounts, by: [segment, month], columns: {n: {count: rows}, mean: {avg: health.score}, "
    text += "new: {count: rows, within: 60d}}, where: health.score is not missing}"
    health = next(s for s in STANDARD.sources if s.name.endswith("health.yaml"))
    others = [s for s in STANDARD.sources if s is not health and "voice" not in s.name]
    dated = "{of: accounts, at: created_at, by: [month], columns: {n: {count: rows}, who: {accounts: 3}, "
    dated += "old: {count: rows, where: days_since(created_at) = 111}, all: {quotes: name}}}"
    own = Source("p.yaml", f"pack: p\nreports:\n  R: {text}\n  S: {dated}\n")
    rules = read_rules([health, *others, own])
    workspace = Workspace("t", store.path, ZoneInfo("Asia/Tokyo"), "EUR", store.path, {})
    first, second = (run_report(store, workspace, rules, p, r, AS_OF) for p, r in chosen(rules, "p"))
    assert [(r["segment"], r["month"], r["n"], r["mean"], r["new"]) for r in first.rows] == [
        ("smb", "2026-10", 1, 60.0, 1), (None, None, 1, 70.0, 0)
    ]  # fmt: skip
    assert first.state == "missing"  # no usage is connected here, which the score rests on
    (row,) = (r for r in second.rows if r["month"])
    assert row == {"month": "2026-08", "n": 1, "who": ["Nr 0"], "old": 1, "all": ["Nr 0"]}  # 1 August in Tokyo


# --- what reaches people ----------------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script> | [x](javascript:alert(1)) \x1b[31m`a` **b** \u202edlrow\nhttps://e.example"


def test_a_file_holds_what_customers_wrote_as_text_only(store: Store) -> None:
    urls = ["https://desk.example/1?a=b", "javascript:alert(1)", "https://e.example/|x", "http://e.example", "x"]
    rows = ({"category": HOSTILE, "opened_at": ago(1), "source_url": url} for url in urls)
    put(store, "ticket", *enumerate(rows))
    text = "\n".join(markdown([run(store)]))
    for bad in ("<script", "\x1b", "\u202e", "](", "`a`", "**b**", "<javascript", "<http:", "<https://e.example"):
        assert bad not in text
    assert "<https://desk.example/1?a=b>" in text
    row = next(line for line in text.splitlines() if "desk.example" in line)
    assert row.replace("\\|", "").count("|") == 7


def test_the_document_is_whole(store: Store) -> None:
    put(store, "ticket", *tickets("billing", 10, (1, 1, 1), 5))
    found = document(run(store))
    assert json.loads(json.dumps(found))["rows"][0]["category"] == "billing"
    assert [c["type"] for c in found["columns"]] == ["text", "integer", "number", "integer", "money", "list"]


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("R: {of: tikets, columns: {n: {count: rows}}}", "there is no source 'tikets'; did you mean tickets?"),
        ("R: {of: tickets, columns: {n: {count: row}}}", "write `count: rows`"),
        ("R: {of: tickets, columns: {n: {}}}", "column n needs one of count, distinct"),
        ("R: {of: tickets, columns: {n: {cont: rows}}}", "did you mean count?"),
        ("R: {of: tickets, by: [catgory], columns: {n: {count: rows}}}", "did you mean category?"),
        ("R: {of: tickets, columns: {n: {count: rows, due: 3d}}}", "`due` does not go with `count`"),
        ("R: {of: tickets, columns: {n: {sum: category}}}", "sum does not work on category, which is a text"),
        ("R: {of: surveys, columns: {n: {sum: remark}}}", "surveys has no column 'remark'"),
        ("R: {of: tickets, columns: {n: {count: rows}}, keep: m > 3}", "there is no feature or column 'm'"),
        ("R: {of: tickets, columns: {n: {count: rows}}, keep: n}", "yes or no is needed here"),
        ("R: {of: tickets, columns: {n: {ids: 3}}, keep: n is missing}", "there is no feature or column 'n'"),
        ("R: {of: tickets, columns: {n: {count: rows}}, order: [m desc]}", "no column 'm' to order by"),
        ("R: {of: tickets, columns: {n: {count: rows}}, order: [n down]}", "write `n desc` or `n asc`"),
        ("R: {of: tickets, columns: {n: {share: m}}}", "`share` names a column of numbers above it"),
        ("R: {of: tickets, columns: {n: {ids: 21}}}", "a whole number from 1 to 20"),
        ("R: {of: tickets, by: [category], columns: {category: {count: rows}}}", "two columns 'category'"),
        ("R: {of: tickets, columns: {n: {count: rows, ending: 3d}}}", "it needs `within`, too"),
        ("R: {of: tickets, colums: {}, columns: {n: {count: rows}}}", "did you mean columns?"),
        ("R: {of: accounts, where: p.stage = 'x', columns: {n: {count: rows}}}", "there is no feature or column 'p.st"),
        ("R: {of: accounts, by: [segmnt], columns: {n: {count: rows}}}", "did you mean segment?"),
        ("R: {of: accounts, columns: {n: {sum: name}}}", "sum does not work on name, which is a text"),
    ],
)
def test_faults_of_reports_are_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_rules([Source("p.yaml", f"pack: p\nreports:\n  {text}\n")])
    assert words in error.value.message


def test_a_report_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError) as error:
        chosen(STANDARD, "V09")
    assert "V01" in str(error.value.fix)
    assert [r.name for _, r in chosen(STANDARD, "voice")] == ["V01", "V02", "V03", "V04", "V04_contracts", "V06", "O04"]


REPORTED = """pack: p
reports:
  R: {of: tickets, by: [category], columns: {n: {count: rows}, who: {accounts: 3}, part: {share: n}}, drafts: each}
tests:
  - {name: t, as_of: 2026-11-20, %s}
"""
TWO = "rows: {tickets: [{account: [A, B], category: x, opened_at: 2026-11-19}]}"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("{R: [{category: x, n: 2, who: [A, B], part: 100%}], state R: ok, drafts R: 1}", ()),
        ("{R: [{n: 3, part: 0.9}]}", ("R, line 1, n: expected 3, found 2", "R, line 1, part: expected 0.9, found 1.0")),
        ("{state R: stale, drafts R: 0}", ("state R: expected stale, found ok", "drafts R: expected 0, found 1")),
        ("{R: []}", ("R: expected 0 lines, found 1: [{'category': 'x', 'n': 2, 'who': ['A', 'B'], 'part': 1.0}]",)),
    ],
)  # fmt: skip
def test_a_pack_tests_its_reports_line_by_line(wanted: str, told: tuple[str, ...]) -> None:
    (found,) = run_tests(read_rules([Source("p.yaml", REPORTED % f"{TWO}, then: {wanted}")]))
    assert found.differences == told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("then: {R: []}", "what report R counts is stated by `rows:`"),
        (f"{TWO}, then: {{R: [{{m: 1}}]}}", "report R has no column 'm'"),
        (f"{TWO}, then: {{Q: []}}", "pack p has no output 'Q'"),
        ("rows: {tickets: [{account: a b}]}, then: {R: []}", "'a b' is not a name of an account"),
        ("rows: {tickets: [{account: [A, B], source_id: x}]}, then: {R: []}", "cannot have one `source_id`"),
        (f"{TWO}, accounts: {{B: {{segmnt: x}}}}, then: {{R: []}}", "there is no feature or column 'segmnt'"),
    ],
)
def test_faults_in_tests_of_reports_are_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_rules([Source("p.yaml", REPORTED % text)])
    assert words in error.value.message


def test_reports_are_tested_on_one_day() -> None:
    days = REPORTED.replace("as_of: 2026-11-20, %s", f"{TWO}, days: [{{on: 2026-11-20, then: {{R: []}}}}]")
    with pytest.raises(ConfigError, match="write `as_of`, not `days`"):
        read_rules([Source("p.yaml", days)])


def test_a_pack_test_is_about_account_a_whatever_others_do() -> None:
    text = """pack: p
features: {n: {count: tickets}}
signals: {S: {when: n >= 2, because: x}, P: {when: peer_share >= 50%, because: y}}
tests:
  - name: others
    as_of: 2026-11-20
    given: {segment: smb}
    accounts: {D: {segment: big}}
    rows:
      tickets: [{account: [A, B, B, B]}]
      contracts: [{account: [A, B, C, D]}]
      lines: [{account: [A, B, C, D], product_code: core}, {account: [B, D], product_code: more}]
    then: {n: 1, signals: [], peer_accounts: 3, peer_product: more}
  - name: others on days
    given: {segment: smb}
    rows: {tickets: [{account: [A, B, B]}]}
    days: [{on: 2026-11-20, then: {n: 1, signals: []}}]
"""
    assert [c.differences for c in run_tests(read_rules([Source("p.yaml", text)]))] == [(), ()]


def test_drafts_are_one_message_or_an_issue_for_each_line_once_a_month(store: Store) -> None:
    bad = {"kind": "csat", "score": 0, "scale_max": 1, "responded_at": ago(3)}
    put(store, "ticket", *((n % 3, {"tags": f'["{tag}"]', "opened_at": ago(4)}) for n, tag in
                           enumerate(["login", "login", "login", "請求/../x", "請求/../x", "請求/../x"])))  # fmt: skip
    put(store, "survey_response", *((n % 3, {**bad, "ticket_source_id": f"{n:03}"}) for n in range(6)))
    ((_, report),) = chosen(STANDARD, "V03")
    found = dict(drafted(report, run(store, "V03")))
    assert len(found) == 2
    assert all(re.fullmatch(r"V03-(login-|x-)?[0-9a-f]{8}-2026-11\.md", name) for name in found), found
    assert {len(table.rows) for table in found.values()} == {1}
    assert any("login" in "\n".join(markdown([table])) for table in found.values())
    ((_, whole),) = chosen(STANDARD, "V01")
    assert list(drafted(whole, run(store, "V01"))) == []
    put(store, "ticket", *((n, {"category": "billing", "opened_at": ago(2)}) for n in range(5)))
    assert [name for name, _ in drafted(whole, run(store, "V01"))] == ["V01-2026-11.md"]
