"""Products of won opportunities as contract lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config.workspace import Connection, Workspace
from cssync.connectors import Session
from cssync.sandbox.server import Fault, SandboxServer
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync_salesforce.chosen import streams_of
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.line_items import AT_ONCE
from cssync_salesforce.sandbox.org import SalesforceSandbox

Pull = Callable[..., StreamReport]


@pytest.fixture(params=["query", "bulk"])
def live(request: pytest.FixtureRequest, open_live: Callable[..., Session]) -> Session:
    return open_live(line_items=True, bulk_from=1 if request.param == "bulk" else 0)


@pytest.fixture
def pulled(live: Session, time: Any, tmp_path: Path) -> Iterator[tuple[Store, Pull]]:
    streams = tuple(s for s in streams_of(live.settings) if s.name == "line_items")  # type: ignore[arg-type]
    mapped = {"line_items": {"Quantity": "contract_line.quantity"}}
    connection = Connection("sales", SALESFORCE, live.settings, streams, mapped)
    path = tmp_path / "x.db"
    space = Workspace("acme", tmp_path, ZoneInfo("Asia/Tokyo"), "JPY", path, {"sales": connection})

    def pull(*, full: bool = False) -> StreamReport:
        time.pass_(hours=1)
        (report,) = sync(store, space, {"sales": live}, run_id=f"r{time.now.timestamp()}", full=full)
        assert report.error is None
        assert report.quarantined == 0
        return report

    with Store.open(path) as store:
        yield store, pull


def sell(org: SalesforceSandbox, stage: str, **values: Any) -> tuple[str, str]:
    """An opportunity with one product; returns both ids."""
    account, contract = next(iter(org.tables["Account"])), next(iter(org.tables["Contract"]))
    won = {"StageName": stage, "IsClosed": stage.startswith("Closed"), "IsWon": stage == "Closed Won"}
    deal = org.insert("Opportunity", Name="D", AccountId=account, CloseDate="2026-03-31", ContractId=contract, **won)
    given = {"ProductCode": "PRO", "Quantity": 40.0, "TotalPrice": 3000.5, "CurrencyIsoCode": "USD"}
    return deal, org.insert("OpportunityLineItem", OpportunityId=deal, **given, **values)


def lines(store: Store) -> dict[str, dict[str, Any]]:
    rows = store.query("SELECT * FROM contract_line WHERE deleted_at IS NULL ORDER BY source_id")
    return {row["source_id"]: dict(row) for row in rows}


def test_only_lines_of_won_opportunities_are_contract_lines(org: SalesforceSandbox, pulled: tuple[Store, Pull]) -> None:
    store, pull = pulled
    org.batch = 2
    deal, line = sell(org, "Closed Won", ServiceDate="2026-04-01")
    _, other = sell(org, "Closed Won")
    for stage in ("Negotiation/Review", "Closed Lost") * 3:
        sell(org, stage)
    pull()
    found = lines(store)
    assert set(found) == {line, other}
    sold = org.tables["Opportunity"][deal]
    wanted = {
        "account_source_id": sold["AccountId"], "opportunity_source_id": deal, "contract_source_id": sold["ContractId"],
        "product_code": "PRO", "quantity": 40, "amount": 300_050, "currency": "USD", "start_date": "2026-04-01",
        "end_date": None, "is_recurring": None, "billing_period_months": None,
    }  # fmt: skip
    assert {column: found[line][column] for column in wanted} == wanted
    assert found[other]["start_date"] == "2026-03-31"
    assert pull(full=True).changed == 0
    assert set(lines(store)) == {line, other}


def test_lines_follow_what_becomes_of_their_opportunity(org: SalesforceSandbox, pulled: tuple[Store, Pull]) -> None:
    store, pull = pulled
    deal, line = sell(org, "Negotiation/Review")
    _, other = sell(org, "Closed Won")
    pull()
    assert set(lines(store)) == {other}
    for values, expected in (
        ({"IsWon": True, "IsClosed": True}, {line, other}),
        ({"IsWon": False, "IsClosed": True}, {other}),
        ({"IsWon": True}, {line, other}),
        ({"IsDeleted": True}, {other}),
        ({"IsDeleted": False}, {line, other}),
    ):
        org.edit("Opportunity", deal, **values)
        pull()
        assert set(lines(store)) == expected, values
    still = pull()
    assert (still.new, still.changed, still.tombstoned) == (0, 0, 0)


def test_a_changed_and_a_deleted_line_are_followed(org: SalesforceSandbox, pulled: tuple[Store, Pull]) -> None:
    store, pull = pulled
    deal, line = sell(org, "Closed Won")
    pull()
    org.edit("OpportunityLineItem", line, Quantity=60.0)
    org.edit("Opportunity", deal, Name="changed at the same moment")
    assert pull().changed == 1
    assert lines(store)[line]["quantity"] == 60
    org.delete("OpportunityLineItem", line)
    assert pull().tombstoned == 1
    assert lines(store) == {}
    org.undelete("OpportunityLineItem", line)
    pull()
    org.edit("Opportunity", deal, IsDeleted=True)
    org.edit("OpportunityLineItem", line, Quantity=70.0)  # it goes with its opportunity, whatever else changes of it
    pull()
    assert lines(store) == {}


def test_many_opportunities_that_change_cost_a_request_a_hundred(
    org: SalesforceSandbox, pulled: tuple[Store, Pull], server: Any
) -> None:
    store, pull = pulled
    sold = [sell(org, "Negotiation/Review") for _ in range(AT_ONCE + 1)]
    pull()
    for deal, _ in sold:
        org.edit("Opportunity", deal, IsWon=True)
    server.journal.clear()
    pull()
    assert set(lines(store)) == {line for _, line in sold}
    asked = [e for e in server.journal if e.path.endswith("/queryAll")]
    assert len(asked) == 4  # lines that changed, opportunities that changed, the lines of 100 and of one


def test_without_the_setting_there_is_no_such_stream(open_live: Callable[..., Session]) -> None:
    assert "line_items" not in {s.name for s in streams_of(open_live().settings)}  # type: ignore[arg-type]
    assert SALESFORCE.stream("line_items") is None


@pytest.mark.parametrize("field", ["Opportunity.IsWon", "OpportunityLineItem.OpportunityId"])
def test_a_field_that_vanishes_while_lines_are_read_takes_no_line_away(
    org: SalesforceSandbox, server: SandboxServer, live: Session, pulled: tuple[Store, Pull], field: str
) -> None:
    store, pull = pulled
    _, line = sell(org, "Closed Won")
    pull()
    server.faults.append(Fault("/queryAll", act=lambda: org.hidden.add(field)))
    with pytest.raises(AssertionError, match="hidden"):
        pull(full=True)
    assert list(lines(store)) == [line]
    server.faults.clear()
    org.hidden.clear()
    pull(full=True)
    assert list(lines(store)) == [line]
