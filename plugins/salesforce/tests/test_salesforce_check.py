"""The set-up, proved: which org, which version, what can be read and written, what is left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cssync.connectors import Finding, Session
from cssync.connectors.testing import assert_connector_keeps_contract
from cssync.errors import ConfigError, ConnectionFault
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer
from cssync_salesforce.check import check, describe, identity
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.sandbox.rows import ORG_ID
from cssync_salesforce.streams import object_of


def by_subject(found: list[Finding]) -> dict[str, Finding]:
    return {f.subject: f for f in found}


def test_the_contract_is_kept() -> None:
    assert_connector_keeps_contract(SALESFORCE, own_field="CS_Contract__c")


def test_identity_is_the_orgs(live: Session) -> None:
    found = identity(live)
    assert (found.org_id, found.kind, found.timezone) == (ORG_ID, "sandbox", "Asia/Tokyo")


def test_production_is_told_from_sandbox_by_the_org_then_by_the_host(
    org: SalesforceSandbox, server: SandboxServer, open_live: Callable[..., Session]
) -> None:
    org.edit("Organization", ORG_ID, IsSandbox=False)
    assert identity(open_live()).kind == "production"
    hidden = SandboxAnswer(403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}])
    urls = {"custom_domain": "https://acme--uat.sandbox.my.salesforce.com"}
    user = SandboxAnswer(200, {"user_id": "005dM00000awSFJQA2", "organization_id": ORG_ID[:15], "urls": urls})
    server.faults += [Fault("/query", answer=hidden), Fault("userinfo", answer=user)]
    found = identity(open_live())
    assert (found.org_id, found.kind) == (ORG_ID, "sandbox")


def test_an_org_that_does_not_say_who_it_is_is_refused(server: SandboxServer, live: Session) -> None:
    hidden = SandboxAnswer(403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}])
    server.faults += [Fault("/query", answer=hidden), Fault("userinfo", answer=hidden)]
    with pytest.raises(ConnectionFault, match="which org") as fault:
        identity(live)
    assert "(id)" in fault.value.fix


def test_a_version_the_org_does_not_offer_stops_everything(org: SalesforceSandbox, live: Session) -> None:
    org.versions = ("70.0", "71.0")
    with pytest.raises(ConfigError, match=r"v66\.0 \(it offers v70\.0 to v71\.0\)"):
        identity(live)


def test_the_version_can_be_overridden(org: SalesforceSandbox, open_live: Callable[..., Session]) -> None:
    org.versions = ("67.0",)
    assert identity(open_live(api_version="v67.0")).org_id == ORG_ID


def test_check_names_each_field_and_the_remedy(org: SalesforceSandbox, live: Session) -> None:
    org.hidden.add("Account.Segment__c")
    org.hidden.add("Account.Website")
    org.schema["Contract"]["seats__c"]["updateable"] = False
    org.schema["Contract"]["notice_days__c"]["calculated"] = True
    mapped = {
        "accounts": ["Segment__c"],
        "contracts": ["Seats__c", "Notice_Days__c", "Owner.Name"],
        "Nope__c": ["X__c"],
    }
    found = by_subject(list(check(live, mapped)))
    assert found["accounts.Segment__c"].level == "error"
    assert "permission set" in found["accounts.Segment__c"].fix
    assert found["accounts.Website"].level == "warning"
    assert found["contracts.Seats__c"].message == "double, read only"
    assert found["contracts.Notice_Days__c"].level == "warning"
    assert found["contracts.Owner.Name"].level == "note"
    assert found["Nope__c"].level == "error"
    assert found["tasks.CS_Task_Key__c"].level == "note"
    assert found["quota"].level == "ok"


def test_check_warns_when_few_requests_are_left(org: SalesforceSandbox, live: Session) -> None:
    org.used = 14_000
    found = by_subject(list(check(live, {})))
    assert found["quota"].level == "warning"
    assert "Company Information" in found["quota"].fix


def test_check_warns_of_records_that_are_not_shared_with_the_user(org: SalesforceSandbox, live: Session) -> None:
    assert not [f for f in check(live, {}) if "sharing" in f.subject]
    contacts = list(org.tables["Contact"])
    org.private = {*contacts[: len(contacts) // 2], *list(org.tables["Account"])[:2]}
    (found,) = [f for f in check(live, {}) if "sharing" in f.subject]
    assert (found.subject, found.level) == ("contacts (sharing)", "warning")
    assert f"sees {len(contacts) - len(contacts) // 2} of about {len(contacts)}" in found.message
    assert "View All on Contact" in found.fix


def test_an_org_that_does_not_count_is_no_fault(server: SandboxServer, live: Session) -> None:
    server.faults.append(
        Fault("recordCount", answer=SandboxAnswer(403, [{"errorCode": "X", "message": "no"}]), times=9)
    )
    assert "quota" in by_subject(list(check(live, {})))


def test_skipped_streams_are_not_looked_at(server: SandboxServer, open_live: Callable[..., Session]) -> None:
    found = by_subject(list(check(open_live(skip_streams=("contracts",)), {"contracts": ["Seats__c"]})))
    assert not any(s.startswith("contracts") for s in found)
    assert not server.requests("Contract/describe")


@pytest.mark.parametrize("stream", ["accounts", "contacts", "opportunities", "contracts", "cases", "users", "tasks",
                                    "line_items"])  # fmt: skip
def test_an_object_that_may_not_be_read_is_named_alone(
    org: SalesforceSandbox, open_live: Callable[..., Session], stream: str
) -> None:
    del org.schema[object_of(stream)]
    wrong = [f for f in check(open_live(line_items=True), {}) if f.level == "error"]
    assert [f.subject for f in wrong] == [stream]
    assert f"Read and View All on {object_of(stream)}" in wrong[0].fix


def test_describe_speaks_the_models_types(live: Session) -> None:
    fields = {f.name: f for f in describe(live, "contracts")}
    assert {n: fields[n].type for n in ("StartDate", "Seats__c", "Seat_Price__c", "Auto_Renew__c", "Status")} == {
        "StartDate": "date", "Seats__c": "real", "Seat_Price__c": "money", "Auto_Renew__c": "bool", "Status": "text",
    } | {"Seats__c": "integer"}  # fmt: skip
    assert fields["Status"].options[2] == "Activated"
    assert fields["Seats__c"].custom
    assert not fields["CreatedDate"].writable


def test_the_currency_of_an_org_with_only_one_comes_from_the_configuration(
    org: SalesforceSandbox, open_live: Callable[..., Session]
) -> None:
    del org.schema["Opportunity"]["currencyisocode"]
    assert by_subject(list(check(open_live(), {})))["opportunities.Amount"].level == "note"
    live = open_live(currency="USD")
    assert identity(live).currency == "USD"
    assert "opportunities.Amount" not in by_subject(list(check(live, {})))
