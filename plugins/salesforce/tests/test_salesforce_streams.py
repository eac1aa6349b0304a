"""What the fields of Salesforce mean, and the whole way into the store."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config.workspace import Connection, Workspace
from cssync.connectors import PullRequest, Session
from cssync.sandbox.server import SandboxServer
from cssync.store import Store
from cssync.sync.engine import sync
from cssync.sync.normalise import Normaliser
from cssync_salesforce import streams
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.streams import custom_stream

USAGE = {
    "Account__c": "usage_metric.account_source_id",
    "Day__c": "usage_metric.period_start",
    "Active_Users__c": "usage_metric.active_users",
}
CONTRACTS = {
    "Seats__c": "contract_line.quantity",
    "Seat_Price__c": "contract_line.unit_price",
    "CurrencyIsoCode": "contract_line.currency",
    "Auto_Renew__c": "contract.auto_renew",
    "Notice_Days__c": "contract.notice_days",
}


@pytest.mark.parametrize(
    ("website", "expected"),
    [
        ("https://www.Aoba.co.jp/about?x=1", ["aoba.co.jp"]),
        ("aoba.co.jp", ["aoba.co.jp"]),
        ("http://aoba.co.jp.:8080", ["aoba.co.jp"]),
        ("www.aoba.co.jp", ["aoba.co.jp"]),
        ("日本語.jp", ["日本語.jp"]),
        ("n/a", None),
        ("none yet", None),
        ("info@aoba.co.jp", ["aoba.co.jp"]),
        ("http://[bad", None),
        ("", None),
        (None, None),
    ],
)
def test_a_website_in_any_spelling_is_a_domain_or_nothing(website: str | None, expected: list[str] | None) -> None:
    assert streams.domains(website) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Renewal", "renewal"),
        ("New Business", "new"),
        ("New Customer", "new"),
        ("Existing Customer - Upgrade", "upsell"),
        ("Existing Business", "upsell"),
        ("Existing Customer - Downgrade", "downsell"),
        ("Existing Customer - Replacement", None),
        ("Cross-Sell", "cross_sell"),
        ("Add-On", "upsell"),
        ("更新", "renewal"),
        ("新規", "new"),
        ("アップセル", "upsell"),
        ("Newsletter", None),
        (None, None),
    ],
)
def test_the_type_of_a_deal_is_read_or_left_unknown(text: str | None, expected: str | None) -> None:
    assert streams.deal_type(text) == expected


@pytest.mark.parametrize(
    ("status", "closed", "expected"),
    [
        ("New", False, "new"),
        ("Working", False, "open"),
        ("Escalated", False, "open"),
        ("Waiting on Customer", False, "pending"),
        ("On Hold", False, "hold"),
        ("Closed", True, "closed"),
        ("Erledigt", True, "closed"),
        ("Resolved", True, "solved"),
        ("Closed", False, "open"),
        (None, None, None),
    ],
)
def test_the_state_of_a_case_follows_is_closed(status: str | None, closed: bool | None, expected: str | None) -> None:
    assert streams.case_status(status, closed) == expected


def test_a_queue_is_nobody_and_only_an_account_is_an_account() -> None:
    assert streams.user_id("00GdM00000vfgTuUAI") is None
    assert streams.user_id("005dM00000aYf0q") == "005dM00000aYf0qQAC"
    assert streams.account_id("006dM00000Mw7VtQAJ") is None
    assert streams.account_id("001dM00003jU9GxQAK") == "001dM00003jU9GxQAK"


def test_percent_is_a_share_and_null_is_not_zero() -> None:
    assert streams.share(12.5) == 0.125
    assert streams.share(0) == 0
    assert streams.share(None) is None
    assert streams.minutes("2026-05-01T07:25:37.000+0000", "2026-05-01T08:26:36.000+0000") == 60
    assert streams.minutes("2026-05-01T07:25:37.000+0000", None) is None
    assert streams.longer_than_a_year(24) is True
    assert streams.longer_than_a_year(None) is None


@pytest.fixture
def pull(server: SandboxServer, live: Session, tmp_path: Path) -> Callable[[str], tuple[Store, list[Any]]]:
    """Pull everything into a store, as a run does."""
    custom = SALESFORCE.custom_stream
    assert custom is not None
    mapped = {"Product_Usage__c": USAGE, "contracts": CONTRACTS}
    declared = (*SALESFORCE.streams, custom("Product_Usage__c", USAGE))
    connection = Connection("sales", SALESFORCE, live.settings, declared, mapped)
    path = tmp_path / "x.db"
    workspace = Workspace("acme", tmp_path, ZoneInfo("Asia/Tokyo"), "JPY", path, {"sales": connection})
    store = Store.open(path)

    def run(run_id: str) -> tuple[Store, list[Any]]:
        return store, sync(store, workspace, {"sales": live}, run_id=run_id)

    yield run  # type: ignore[misc]
    store.close()


def test_the_store_holds_what_the_org_holds(
    org: SalesforceSandbox, time: Any, pull: Callable[[str], tuple[Store, list[Any]]]
) -> None:
    store, reports = pull("run-1")
    assert [(r.stream, r.error, r.quarantined) for r in reports if r.error or r.quarantined] == []
    for entity, source in (
        ("account_source", "Account"),
        ("contact", "Contact"),
        ("contract", "Contract"),
        ("contract_line", "Contract"),
        ("opportunity", "Opportunity"),
        ("usage_metric", "Product_Usage__c"),
        ("user", "User"),
        ("ticket", "Case"),
    ):
        (count,) = store.query(f'SELECT count(*) AS n FROM "{entity}"')
        assert (entity, count["n"]) == (entity, len(org.tables[source]))
    row = next(r for r in org.tables["Contract"].values() if r["EndDate"] and r["CurrencyIsoCode"] == "USD")
    (contract,) = store.query("SELECT * FROM contract WHERE source_id = ?", (row["Id"],))
    assert contract["end_date"] == row["EndDate"]
    assert contract["account_source_id"] == row["AccountId"]
    assert contract["notice_days"] == row["Notice_Days__c"]
    (line,) = store.query("SELECT * FROM contract_line WHERE contract_source_id = ?", (row["Id"],))
    assert (line["quantity"], line["unit_price"], line["currency"]) == (
        row["Seats__c"],
        row["Seat_Price__c"] * 100,
        "USD",
    )
    used = next(iter(org.tables["Product_Usage__c"].values()))
    (metric,) = store.query("SELECT * FROM usage_metric WHERE source_id = ?", (f"{used['Id']}/active_users",))
    assert (metric["account_source_id"], metric["period_start"], metric["value"]) == (
        used["Account__c"],
        used["Day__c"],
        used["Active_Users__c"],
    )


def test_a_still_org_changes_nothing_and_a_merge_moves_the_children(
    org: SalesforceSandbox, time: Any, pull: Callable[[str], tuple[Store, list[Any]]]
) -> None:
    store, _ = pull("run-1")
    time.pass_(hours=1)
    _, reports = pull("run-2")
    assert [(r.stream, r.new, r.changed) for r in reports if r.new or r.changed] == []
    winner, loser = list(org.tables["Account"])[:2]
    moved = {k for k, r in org.tables["Contact"].items() if r["AccountId"] == loser}
    org.merge("Account", winner, loser)
    time.pass_(hours=1)
    pull("run-3")
    (row,) = store.query("SELECT deleted_at, merged_into FROM account_source WHERE source_id = ?", (loser,))
    assert row["deleted_at"]
    assert row["merged_into"] == winner
    now = {r["source_id"] for r in store.query("SELECT source_id FROM contact WHERE account_source_id = ?", (winner,))}
    assert moved <= now


def test_assets_become_contract_lines_as_the_readme_maps_them(org: SalesforceSandbox, live: Session) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^  sales\.Asset:.*\n((?:    .*\n)+)", readme, re.MULTILINE)
    mapped = dict(re.findall(r"^    (\S+): (contract_line\.\w+)", block, re.MULTILINE))
    account = next(iter(org.tables["Account"]))
    key = org.insert(
        "Asset", Name="Seats", AccountId=account, ProductCode="PRO", Quantity=40.0, Price=30.5,
        InstallDate="2026-01-01", UsageEndDate="2026-12-31", CurrencyIsoCode="USD",
    )  # fmt: skip
    stream = custom_stream("Asset", mapped)
    (page,) = stream.pages(live, PullRequest(None, (*stream.fields_of, *mapped), stream.lag))
    zone = ZoneInfo("Asia/Tokyo")
    make = Normaliser(stream, mapped=mapped, written=(), timezone=zone, currency="JPY", today="2026-11-21")
    ((entity, row),) = make(page.records[0]).rows
    assert (entity, row["source_id"], row["account_source_id"]) == ("contract_line", key, account)
    assert {n: row[n] for n in ("product_code", "quantity", "unit_price", "currency", "start_date", "end_date")} == {
        "product_code": "PRO", "quantity": 40, "unit_price": 3050, "currency": "USD", "start_date": "2026-01-01",
        "end_date": "2026-12-31",
    }  # fmt: skip


def test_events_say_when_a_customer_was_met_as_the_readme_maps_them(org: SalesforceSandbox, live: Session) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^  sales\.Event:\n((?:    .*\n)+)", readme, re.MULTILINE)
    mapped = dict(re.findall(r"^    (\S+): (interaction\.\w+)", block, re.MULTILINE))
    account = next(iter(org.tables["Account"]))
    key = org.insert("Event", Subject="QBR", AccountId=account, EndDateTime="2026-11-03T01:00:00.000+0000")
    stream = custom_stream("Event", mapped)
    (page,) = stream.pages(live, PullRequest(None, (*stream.fields_of, *mapped), stream.lag))
    zone = ZoneInfo("Asia/Tokyo")
    make = Normaliser(stream, mapped=mapped, written=(), timezone=zone, currency="JPY", today="2026-11-21")
    ((entity, row),) = make(page.records[0]).rows
    assert (entity, row["source_id"], row["account_source_id"]) == ("interaction", key, account)
    assert (row["kind"], row["direction"], row["at"]) == ("meeting", "both", "2026-11-03T01:00:00Z")
