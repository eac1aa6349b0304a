"""Fields that become invisible between their description and the read, and more of them than a query can name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cssync.connectors import Session
from cssync.errors import ConnectionFault
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer
from cssync_salesforce import reading
from cssync_salesforce.sandbox.org import SalesforceSandbox

Replicas = Callable[..., Any]


def alive(org: SalesforceSandbox, source: str) -> set[str]:
    return {k for k, r in org.tables[source].items() if not r.get("IsDeleted")}


def held(replica: Any) -> set[str]:
    return set(replica.records)


def test_a_wide_field_that_vanishes_after_its_description_costs_that_field(
    org: SalesforceSandbox,
    server: SandboxServer,
    live: Session,
    replica: Replicas,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(reading, "URL_BUDGET", 60)
    hide = lambda: org.hidden.update(("Account.BillingCountry", "Account.AccountNumber"))  # noqa: E731
    server.faults.append(Fault(r"POST .*/composite/sobjects/Account", act=hide))
    accounts = replica("accounts")
    accounts.pull(live)
    assert held(accounts) == alive(org, "Account")
    record = next(iter(accounts.records.values()))
    assert not {"BillingCountry", "AccountNumber"} & record.keys()
    assert "NumberOfEmployees" in record, "the other wide fields are read"
    assert {m.split(" ")[0] for m in caplog.messages} == {"Account.BillingCountry", "Account.AccountNumber"}


@pytest.mark.parametrize("answer", [{}, [5], [{"Name": "x"}], "no"])
def test_wide_fields_that_cannot_be_read_are_a_fault_and_not_absent(
    server: SandboxServer, live: Session, replica: Replicas, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    monkeypatch.setattr(reading, "URL_BUDGET", 60)
    server.faults.append(Fault(r"POST .*/composite/sobjects/Account", answer=SandboxAnswer(200, answer)))
    with pytest.raises(ConnectionFault, match="no list of records"):
        replica("accounts").pull(live)


def test_a_lookup_that_vanishes_after_its_description_costs_the_fields_behind_it(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.append(Fault(r"/queryAll", act=lambda: org.hidden.add("Contract.OwnerId")))
    contracts = replica("contracts", extra=("Owner.Name", "Owner.Email", "Account.Name"))
    contracts.pull(live)
    assert held(contracts) == alive(org, "Contract")
    record = next(iter(contracts.records.values()))
    assert record["Account"]["Name"]
    assert not {"Owner", "OwnerId"} & record.keys()
    lost = {m.split(" ")[0].removeprefix("Contract.") for m in caplog.messages}
    assert lost >= {"Owner.Name", "Owner.Email"}


def test_parents_fields_beyond_what_a_query_can_name_are_left_out_by_name(
    org: SalesforceSandbox, live: Session, replica: Replicas, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(reading, "URL_BUDGET", 30)
    contracts = replica("contracts", extra=("Owner.Name", "Account.Industry", "Account.Name"))
    contracts.pull(live)
    assert held(contracts) == alive(org, "Contract")
    record = next(iter(contracts.records.values()))
    assert "StartDate" in record
    assert record["Owner"]["Name"]
    assert [m.split(" ")[0] for m in caplog.messages] == ["Contract.Account.Industry"]
    assert record["Account"].keys() >= {"Name"}
    assert "Industry" not in record["Account"]
