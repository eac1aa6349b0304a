"""`cssync kpi`: a small book of accounts in a store, told to people, scripts and spreadsheets."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cssync.cli import main
from cssync.store import Store

CONFIG = """
workspace: book
timezone: Asia/Tokyo
currency: USD
fiscal_year_start: 4
fx: rates.csv
metrics: {gross_margin: 80%, min_responses: 2, chances: {red: 40%}}
connections: {crm: {connector: hubspot, token: env:HUBSPOT_TOKEN}}
"""
RATES = "date,from,to,rate\n2025-01-01,JPY,USD,0.0070\n2026-07-01,JPY,USD,0.0065\n"
EVIL = "=HYPERLINK(1)\x1b[31m\u202eevil"
DAY = "2026-11-20"


def term(uid: str, start: str, end: str, price: int, currency: str = "USD", **more: Any) -> tuple[Any, ...]:
    return uid, start, end, price, currency, more


BOOK = [
    term("a", "2025-06-01", "2026-05-31", 120_000_00),
    term("a", "2026-06-01", "2027-05-31", 150_000_00),
    term("b", "2025-01-15", "2026-12-14", 60_000_00),
    term("d", "2025-04-01", "2026-03-31", 30_000_00),
    term("j", "2025-01-01", "2027-12-31", 1_000_000, "JPY"),
    term("n", "2026-08-01", "2026-11-30", 70_000_00, status="notice"),
    term("test", "2025-01-01", "2027-12-31", 999_999_00),
    term("lost-rate", "2025-01-01", "2027-12-31", 5_000, "CHF"),
]


def stored(at: str) -> str:
    """Noon of a day in Tokyo, or an instant, as the store writes it."""
    moment = datetime.fromisoformat(at if "T" in at else f"{at}T12:00:00+09:00")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cssync.yaml").write_text(CONFIG)
    (tmp_path / "rates.csv").write_text(RATES)
    learned = {"connection": "crm", "synced_at": "2026-11-01T00:00:00Z"}
    with Store.open(tmp_path / "cssync.db", workspace="book") as store, store.transaction() as conn:

        def add(table: str, **row: Any) -> None:
            conn.execute(
                f'INSERT INTO "{table}" ({", ".join(row)}) VALUES ({", ".join("?" * len(row))})', list(row.values())
            )

        for uid in dict.fromkeys(entry[0] for entry in BOOK):
            add("account", uid=uid, name=EVIL if uid == "a" else uid.upper(), is_test=int(uid == "test"))
        for n, (uid, start, end, price, currency, more) in enumerate(BOOK):
            where = {"source_id": str(n), "account_uid": uid, **learned}
            add("contract", **where, start_date=start, end_date=end, **more)
            add("contract_line", **where, contract_source_id=str(n), amount=price, currency=currency)
        for n, (uid, kind, score, at) in enumerate(
            [
                ("a", "csat", 1, "2026-11-01"),
                ("b", "csat", 0, "2026-10-01T00:30:00+09:00"),
                ("test", "csat", 0, "2026-11-01"),
                (None, "csat", 1, "2026-11-02"),
                ("a", "csat", None, "2026-11-02"),
                ("a", "csat", 0, "2026-09-30T23:59:59+09:00"),
                ("a", "nps", 10, "2026-09-01"),
                ("b", "nps", 3, "2026-09-01"),
                ("b", "nps", 10, "2026-01-01"),
            ]
        ):
            add("survey_response", source_id=str(n), account_uid=uid, kind=kind, score=score,
                responded_at=stored(at), **learned)  # fmt: skip
        for n, (uid, at) in enumerate([("n", "2026-08-11"), ("n", "2026-09-11"), ("zzz", "2025-01-01")]):
            add("usage_metric", source_id=str(n), account_uid=uid, metric="value_event", grain="day", period_start=at,
                value=1, **learned)  # fmt: skip
        add("invoice", source_id="i", account_uid="j", amount=1_000_000, currency="JPY", paid_at="2026-08-01T00:00:00Z",
            **learned)  # fmt: skip
        add("result", account_uid="b", name="health.band", value='"red"', since="2026-10-01T00:00:00Z",
            as_of="2026-11-01T00:00:00Z", state="ok")  # fmt: skip
    return tmp_path


def kpi(*args: str, code: int = 3) -> Result:
    result = CliRunner().invoke(main, ["kpi", "--as-of", DAY, *args])
    assert result.exit_code == code, result.output
    return result


def document(*args: str) -> Any:
    return json.loads(kpi("--json", *args).stdout)


@pytest.mark.usefixtures("here")
def test_the_figures_of_a_year() -> None:
    found = document("--period", "2026")
    value = {name: figure["value"] for name, figure in found["figures"].items()}
    assert (value["arr"], value["mrr"], found["figures"]["arr"]["n"]) == (286_500_00, 23_875_00, 4)
    start, end = 217_000_00, 217_000_00
    assert (value["cohort_start"], value["cohort_end"]) == (start, end)
    assert (value["nrr"], value["grr"], value["logo_churn"]) == (1.0, 0.861751, 0.25)
    assert (value["cohort_expansion"], value["cohort_churn"], value["new_arr"]) == (30_000_00, 30_000_00, 70_000_00)
    assert value["nrr_as_reported"] == 0.997696
    assert found["figures"]["nrr"]["flags"] == ["small_n"]
    assert (value["gross_renewal_rate"], value["net_renewal_rate"], value["renewal_due"]) == (0.8, 1.0, 150_000_00)
    assert (value["forecast_due"], value["forecast"], value["arr_at_risk"]) == (130_000_00, 24_000_00, 130_000_00)
    assert found["period"] == {"label": "2026", "start": "2026-01-01", "last": "2026-12-31", "fiscal": "FY2026 Q3"}
    assert (found["close"], found["currency"]) == (DAY, "USD")


@pytest.mark.usefixtures("here")
def test_satisfaction_value_and_lifetime() -> None:
    found = document("--period", "2026-Q4")["figures"]
    assert (found["csat"]["value"], found["csat"]["n"]) == (0.666667, 3)
    assert (found["nps"]["value"], found["nps"]["n"]) == (0.0, 2)
    assert (found["first_value_reached"]["value"], found["first_value_reached"]["n"]) == (0.2, 5)
    assert found["ltv_simple"]["flags"] == ["capped"]
    assert found["ltv_simple"]["value"] == 5_968_75 * 48
    assert found["ltv_historic"]["value"] == 6_500_00 * 8 // 10
    year = document("--period", "2026")["figures"]["ltv_simple"]
    assert year["flags"] == []
    assert year["note"].startswith("lifetime 42.6 months")


@pytest.mark.usefixtures("here")
def test_who_cannot_be_measured_is_left_out_and_named() -> None:
    found = document()
    assert found["left_out"] == [
        {
            "account": "lost-rate",
            "name": "LOST-RATE",
            "reason": "no exchange rate CHF -> USD on or before 2026-11-01",
        }
    ]
    assert "left out: 1" in kpi().stdout


@pytest.mark.usefixtures("here")
def test_every_report_states_its_options_and_rates() -> None:
    text = kpi("--period", "2026").stdout
    for said in (
        "reactivation point_to_point; logos account; contracted price steps included",
        "gross margin 80%",
        "green 95%, yellow 80%, red 40%, unknown 85%, lapsed 50%, notice 0%",
        "JPY 0.007 of 2025-01-01, JPY 0.0065 of 2026-07-01",
        "as_reported; each end at its own rate: for comparison only",
    ):
        assert said in text


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["nrr", "arr", "renewals", "csat", "nps", "ttfv"])
def test_there_is_a_list_of_accounts_behind_every_figure(name: str) -> None:
    found = document("--period", "2026", "--cohort", name)
    rows = found["cohort"]["rows"]
    assert rows
    assert "test" not in {row["account"] for row in rows}
    assert len(kpi("--period", "2026", "--cohort", name).stdout.splitlines()) > len(rows)
    assert {figure["cohort"] for figure in found["figures"].values()} == {
        "nrr",
        "arr",
        "renewals",
        "csat",
        "nps",
        "ttfv",
    }


@pytest.mark.usefixtures("here")
def test_the_cohort_adds_up_to_its_figures() -> None:
    found = document("--period", "2026", "--cohort", "nrr")
    rows = {row["account"]: row for row in found["cohort"]["rows"]}
    assert {uid: row["class"] for uid, row in rows.items()} == {
        "a": "expansion", "b": "flat", "d": "churn", "j": "flat", "n": "new",
    }  # fmt: skip
    cohort = [row for row in rows.values() if row["class"] != "new"]
    assert sum(row["start"] for row in cohort) == found["figures"]["cohort_start"]["value"]
    assert sum(row["end"] for row in cohort) == found["figures"]["cohort_end"]["value"]


def test_a_spreadsheet_runs_no_customers_name_and_a_terminal_obeys_none(here: Path) -> None:
    kpi("--period", "2026", "--csv", "out.csv")
    with (here / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][2].startswith("name (text that begins with =")
    assert rows[1] == ["USD", "a", "'=HYPERLINK(1)[31mevil", "120000.00", "150000.00", "expansion"]
    text = kpi("--period", "2026", "--cohort", "nrr").stdout
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_csv_that_cannot_be_written_is_said(here: Path) -> None:
    result = kpi("--csv", str(here / "none" / "out.csv"), code=2)
    assert "cannot be written: No such file or directory" in result.stderr


@pytest.mark.usefixtures("here")
def test_a_period_that_has_not_begun_has_a_forecast_only() -> None:
    found = document("--period", "2026-12")["figures"]
    assert found["nrr"]["value"] is found["csat"]["value"] is found["new_arr"]["value"] is None
    assert found["nrr"]["note"] == "not begun"
    assert found["forecast_due"]["value"] == 130_000_00


@pytest.mark.usefixtures("here")
def test_fiscal_periods_follow_the_configuration() -> None:
    assert document("--period", "FY2026")["period"]["start"] == "2026-04-01"
    assert document("--period", "FY2026-Q4")["period"]["last"] == "2027-03-31"
    assert document()["period"]["label"] == "2026-11"


def test_a_faulty_table_of_rates_stops_with_its_place(here: Path) -> None:
    (here / "rates.csv").write_text(RATES + "2026-08-01,JPY,USD,\n")
    result = kpi(code=2)
    assert "rates.csv:4:20: rate: write a number" in result.stderr


def test_a_group_with_an_account_that_is_left_out_is_in_no_retention(here: Path) -> None:
    (here / "cssync.yaml").write_text(CONFIG.replace("metrics: {", "metrics: {logos: ultimate_parent, "))
    with Store.open(here / "cssync.db") as store, store.transaction() as conn:
        conn.execute("UPDATE account SET parent_uid = 'j' WHERE uid = 'lost-rate'")
    found = document("--period", "2026", "--cohort", "nrr")
    assert "j" not in {row["account"] for row in found["cohort"]["rows"]}
    reasons = {entry["account"]: entry["reason"] for entry in found["left_out"]}
    assert reasons["j"] == "of retention: another account of its group is left out"
