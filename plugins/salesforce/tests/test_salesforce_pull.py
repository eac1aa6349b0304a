"""Reading: complete whatever the page size and whatever happens on the way; deletes and merges followed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import respx

from cssync.connectors import Field, PullRequest, Session
from cssync.errors import ConnectionFault, TransientFault
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer
from cssync_salesforce import reading
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.sandbox.writes import Refused
from cssync_salesforce.streams import custom_stream

HOST = "https://acme.my.salesforce.com"
DATA = f"{HOST}/services/data/v66.0"
USAGE = {
    "Account__c": "usage_metric.account_source_id",
    "Day__c": "usage_metric.period_start",
    "Active_Users__c": "usage_metric.active_users",
}
Replicas = Callable[..., Any]


def alive(org: SalesforceSandbox, source: str) -> dict[str, Any]:
    return {k: r["SystemModstamp"] for k, r in org.tables[source].items() if not r.get("IsDeleted")}


def held(replica: Any) -> dict[str, Any]:
    return {k: r["SystemModstamp"] for k, r in replica.records.items()}


def refused(code: str, message: str = "", status: int = 400) -> SandboxAnswer:
    return SandboxAnswer(status, [{"errorCode": code, "message": message}])


@pytest.mark.parametrize("batch", [1, 7, 200, 2000])
def test_every_page_size_gives_the_same_records(
    org: SalesforceSandbox, live: Session, replica: Replicas, batch: int
) -> None:
    org.batch = batch
    contacts = replica("contacts")
    pages = contacts.pull(live)
    assert held(contacts) == alive(org, "Contact")
    assert len(contacts.records) > 30
    assert [p.last for p in pages].count(True) == 1
    assert pages[-1].last


def test_a_full_load_costs_one_request_a_page_beside_login_and_description(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas
) -> None:
    usage = replica(custom_stream("Product_Usage__c", USAGE), extra=tuple(USAGE))
    org.batch = 500
    usage.pull(live)
    assert held(usage) == alive(org, "Product_Usage__c")
    assert len(server.requests("/query")) == -(-len(usage.records) // 500)
    assert len(server.journal) == len(server.requests("/query")) + 2


def test_the_query_asks_for_what_is_mapped_in_order_of_change(
    server: SandboxServer, live: Session, replica: Replicas
) -> None:
    usage = replica(custom_stream("Product_Usage__c", USAGE), extra=tuple(USAGE))
    usage.pull(live)
    assert server.requests("/queryAll")[0].query["q"] == (
        "SELECT Id,SystemModstamp,IsDeleted,CreatedDate,Account__c,Day__c,Active_Users__c FROM Product_Usage__c "
        "ORDER BY SystemModstamp,Id"
    )


def test_a_second_run_reads_only_what_changed(
    org: SalesforceSandbox, time: Any, server: SandboxServer, live: Session, replica: Replicas
) -> None:
    accounts = replica("accounts")
    accounts.pull(live)
    time.pass_(hours=1)
    changed = next(iter(org.tables["Account"]))
    org.edit("Account", changed, Name="O'Dell & Söhne")
    before = len(server.journal)
    pages = accounts.pull(live)
    assert accounts.records[changed]["Name"] == "O'Dell & Söhne"
    assert sum(len(p.records) for p in pages) <= 2
    assert len(server.journal) - before == 1, "the description is a minute old at most"


def test_an_empty_object_is_read_without_fault(org: SalesforceSandbox, live: Session, replica: Replicas) -> None:
    org.tables["Case"].clear()
    cases = replica("cases")
    assert [p.last for p in cases.pull(live)] == [True]
    org.insert("Case", Subject="First", Status="New")
    cases.pull(live)
    assert len(cases.records) == 1


@pytest.mark.parametrize("killed_after", [1, 2, 3, 9])
def test_many_records_of_one_second_survive_a_crash_between_pages(
    org: SalesforceSandbox, live: Session, replica: Replicas, killed_after: int
) -> None:
    org.batch = 10
    for _ in range(95):
        org.insert("Contact", Name="Same Second")
    contacts = replica("contacts")
    contacts.pull(live, until=killed_after)
    checkpoint = dict(contacts.cursor)
    passed = {k for k, s in held(contacts).items() if (s, k) <= (checkpoint["stamp"], checkpoint["id"])}
    assert passed <= set(contacts.records)
    again = replica("contacts")
    again.cursor, again.records = checkpoint, dict(contacts.records)
    pages = again.pull(live)
    assert held(again) == alive(org, "Contact")
    read = sum(len(p.records) for p in pages)
    assert read == len(again.records) - 10 * killed_after


def test_a_record_that_commits_late_is_found_by_the_next_run(
    org: SalesforceSandbox, time: Any, live: Session, replica: Replicas
) -> None:
    accounts = replica("accounts")
    early = org.insert("Account", Name="Long transaction")
    late = org.tables["Account"].pop(early)
    time.pass_(minutes=4)
    org.insert("Account", Name="Short transaction")
    accounts.pull(live)
    assert early not in accounts.records
    org.tables["Account"][early] = late
    time.pass_(minutes=4)
    accounts.pull(live)
    assert held(accounts) == alive(org, "Account")


def test_records_that_change_while_they_are_read_are_neither_lost_nor_left_old(
    org: SalesforceSandbox, time: Any, server: SandboxServer, live: Session, replica: Replicas
) -> None:
    org.batch = 10
    ids = sorted(org.tables["Contact"], key=lambda k: (org.tables["Contact"][k]["SystemModstamp"], k))

    def bump() -> None:
        time.pass_(minutes=1)
        for key in (ids[3], ids[19], ids[-1]):
            org.edit("Contact", key, Title="Changed")

    server.faults.append(Fault(r"GET .*/query/", nth=1, act=bump))
    contacts = replica("contacts")
    contacts.pull(live, until=2)  # killed right behind a page that ends with a changed record
    contacts.pull(live)
    contacts.pull(live)
    assert held(contacts) == alive(org, "Contact")


def test_deletes_undeletes_and_merges_are_followed(
    org: SalesforceSandbox, time: Any, live: Session, replica: Replicas
) -> None:
    accounts, contacts = replica("accounts"), replica("contacts")
    accounts.pull(live)
    contacts.pull(live)
    winner, loser, gone, *_ = list(accounts.records)
    time.pass_(hours=1)
    org.merge("Account", winner, loser)
    org.delete("Account", gone)
    accounts.pull(live)
    contacts.pull(live)
    assert held(accounts) == alive(org, "Account")
    assert accounts.merged[loser] == winner
    assert accounts.merged[gone] is None
    assert loser not in {r["AccountId"] for r in contacts.records.values()}
    time.pass_(hours=1)
    org.undelete("Account", gone)
    accounts.pull(live)
    assert gone in accounts.records


def test_the_session_may_end_in_the_middle(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas
) -> None:
    org.batch = 10
    server.faults.append(Fault(r"GET .*/query/", nth=2, act=org.expire_tokens))
    contacts = replica("contacts")
    contacts.pull(live)
    assert held(contacts) == alive(org, "Contact")
    assert len(server.requests("oauth2/token")) == 2


def test_the_daily_limit_keeps_the_pages_read_and_the_next_run_goes_on(
    org: SalesforceSandbox, open_live: Callable[..., Session], replica: Replicas
) -> None:
    org.batch = 10
    org.daily = 4
    contacts = replica("contacts")
    with pytest.raises(TransientFault, match="daily API requests"):
        contacts.pull(open_live())
    assert len(contacts.records) == 30
    org.daily = 15_000
    pages = contacts.pull(open_live())
    assert held(contacts) == alive(org, "Contact")
    assert sum(len(p.records) for p in pages) == len(contacts.records) - 30


@pytest.mark.parametrize(
    "fault",
    [
        Fault(r"/query", nth=2, times=1, answer=SandboxAnswer(503, b"<html>maintenance</html>")),
        Fault(r"/query", nth=2, cut=True),
        Fault(r"/query", nth=1, drop=True),
        Fault(r"/query", nth=2, answer=refused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access")),
        Fault(r"/query", nth=2, answer=refused("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit", 403)),
        Fault(r"describe", nth=1, answer=SandboxAnswer(500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "1-2"}])),
    ],
    ids=lambda fault: fault.route + str(fault.answer.status if fault.answer else fault.cut),
)
def test_passing_faults_cost_nothing(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas, fault: Fault
) -> None:
    org.batch = 20
    fault.seen = 0
    server.faults.append(fault)
    contacts = replica("contacts")
    contacts.pull(live)
    assert held(contacts) == alive(org, "Contact")


def test_a_lost_cursor_is_taken_up_from_the_last_record(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas
) -> None:
    org.batch = 10
    server.faults.append(Fault(r"GET .*/query/", nth=2, act=org.locators.clear))
    contacts = replica("contacts")
    pages = contacts.pull(live)
    assert held(contacts) == alive(org, "Contact")
    assert sum(len(p.records) for p in pages) == len(contacts.records)
    assert len(server.requests("queryAll")) == 2


def broken(body: dict[str, Any]) -> SandboxAnswer:
    return SandboxAnswer(200, body)


RECORD = {"Id": "003dM00001vWOXJQA4", "SystemModstamp": "2026-05-01T07:25:37.000+0000", "IsDeleted": False}
LOOP = "/services/data/v66.0/query/0r8x-2000"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"totalSize": 5, "done": True, "records": [RECORD]}, "announced 5 records of Contact and gave 1"),
        ({"totalSize": 0, "done": True, "records": [RECORD]}, "announced 0 records of Contact and gave 1"),
        ({"totalSize": 5, "done": False, "records": [RECORD]}, "shape of a result"),
        ({"totalSize": 5, "done": False, "records": [RECORD], "nextRecordsUrl": "https://evil.example/x"}, "shape"),
        ({"done": True, "records": []}, "shape of a result"),
        ({"totalSize": 1, "done": True, "records": [{"Id": "003dM00001vWOXJQA4"}]}, "readable Id"),
        ({"totalSize": 1, "done": True, "records": [{**RECORD, "Id": "../../x"}]}, "readable Id"),
        ([], "shape of a result"),
        (b"<html>welcome</html>", "JSON"),
    ],
)
def test_an_answer_that_cannot_be_true_is_never_taken_for_the_end(
    server: SandboxServer, live: Session, replica: Replicas, body: Any, says: str
) -> None:
    server.faults.append(Fault(r"/queryAll", answer=broken(body), times=99))
    contacts = replica("contacts")
    contacts.cursor = {"stamp": "2026-01-01T00:00:00Z", "started": "2026-01-01T00:00:00Z"}
    with pytest.raises(ConnectionFault, match=says):
        contacts.pull(live)
    assert contacts.cursor == {"stamp": "2026-01-01T00:00:00Z", "started": "2026-01-01T00:00:00Z"}


def test_a_page_link_that_leads_back_ends_the_stream_and_takes_its_checkpoints_back(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas
) -> None:
    body = {"totalSize": 9000, "done": False, "records": [RECORD], "nextRecordsUrl": LOOP}
    server.faults.append(Fault(r"/query", answer=broken(body), times=99))
    contacts = replica("contacts")
    with pytest.raises(ConnectionFault, match="leads back"):
        contacts.pull(live)
    assert len(server.requests("/query")) == 2
    assert contacts.cursor == {}
    server.faults.clear()
    contacts.pull(live)
    assert alive(org, "Contact").items() <= held(contacts).items()


def test_an_unreadable_cursor_is_not_the_beginning(live: Session, server: SandboxServer, replica: Replicas) -> None:
    for cursor in ({"stamp": "yesterday"}, {"stamp": 5}, {"stamp": "2026-01-01T00:00:00Z", "id": "x"}):
        contacts = replica("contacts")
        contacts.cursor = cursor
        with pytest.raises(ConnectionFault, match="cursor"):
            contacts.pull(live)
    assert server.journal == []


def test_a_hidden_field_costs_that_field_and_is_named(
    org: SalesforceSandbox, live: Session, replica: Replicas, caplog: pytest.LogCaptureFixture
) -> None:
    org.hidden.add("Account.Industry")
    with caplog.at_level(logging.WARNING):
        accounts = replica("accounts", extra=("No_Such__c",))
        accounts.pull(live)
    assert held(accounts) == alive(org, "Account")
    record = next(iter(accounts.records.values()))
    assert "Industry" not in record
    assert "Name" in record
    assert [m.split(" ")[0] for m in caplog.messages] == ["Account.Industry", "Account.No_Such__c"]


def test_a_field_that_vanishes_after_its_description_costs_that_field(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas
) -> None:
    server.faults.append(Fault(r"/queryAll", act=lambda: org.hidden.add("Account.Website")))
    accounts = replica("accounts")
    accounts.pull(live)
    assert held(accounts) == alive(org, "Account")
    assert all("Website" not in r and "Industry" in r for r in accounts.records.values())


def test_an_unknown_field_of_a_parent_costs_that_field(live: Session, replica: Replicas) -> None:
    contracts = replica("contracts", extra=("Account.Nope__c", "Owner.Name"))
    contracts.pull(live)
    record = next(iter(contracts.records.values()))
    assert record["Owner"]["Name"]
    assert "Account" not in record


@pytest.mark.parametrize("bulk_from", [0, 1], ids=["query", "bulk"])
def test_a_hidden_field_of_a_parent_does_not_cost_the_field_of_that_name(
    org: SalesforceSandbox, open_live: Callable[..., Session], replica: Replicas, bulk_from: int
) -> None:
    org.batch = 3
    org.hidden.add("User.Name")
    accounts = replica("accounts", extra=("Owner.Name", "Parent.Name"))
    accounts.pull(open_live(bulk_from=bulk_from))
    wanted = {k: r["Name"] for k, r in org.tables["Account"].items()}
    assert {k: r["Name"] for k, r in accounts.records.items()} == wanted
    assert all("Owner" not in r and "Name" in r["Parent"] for r in accounts.records.values())


def test_an_object_that_may_not_be_read_fails_by_name(org: SalesforceSandbox, live: Session, replica: Replicas) -> None:
    del org.schema["Contract"]
    with pytest.raises(ConnectionFault, match="Contract") as fault:
        replica("contracts").pull(live)
    assert "View All on Contract" in fault.value.fix


def test_more_fields_than_a_query_can_name_are_read_beside_it(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "URL_BUDGET", 60)
    org.batch = 5
    accounts = replica("accounts")
    accounts.pull(live)
    wanted = {k: r["BillingCountry"] for k, r in org.tables["Account"].items()}
    assert {k: r["BillingCountry"] for k, r in accounts.records.items()} == wanted
    assert max(len(e.query.get("q", "")) for e in server.journal) < 200
    assert len(server.requests("POST .*/composite/sobjects/Account")) == len(server.requests("/query"))


def test_parents_fields_other_spellings_and_numbers_arrive_as_they_are_mapped(
    org: SalesforceSandbox, live: Session, replica: Replicas
) -> None:
    contracts = replica("contracts", extra=("Account.Name", "seats__C"))
    contracts.pull(live)
    record = next(iter(contracts.records.values()))
    assert record["Account"]["Name"] == org.tables["Account"][record["AccountId"]]["Name"]
    assert record["seats__C"] == record["Seats__c"]
    assert type(record["Seats__c"]) is int
    assert "attributes" not in record


@pytest.mark.parametrize("bulk_from", [0, 1], ids=["query", "bulk"])
def test_a_field_of_a_parent_or_address_that_a_record_lost_is_null_and_not_absent(
    org: SalesforceSandbox, open_live: Callable[..., Session], replica: Replicas, bulk_from: int
) -> None:
    org.batch = 5
    for row in org.tables["Contract"].values():
        row["AccountId"] = None
    for row in org.tables["Account"].values():
        row["BillingCountry"] = row["BillingCity"] = None
    contracts = replica("contracts", extra=("Account.Name",))
    contracts.pull(open_live(bulk_from=bulk_from))
    assert [r["Account"] for r in contracts.records.values()] == [{"Name": None}] * len(contracts.records)
    accounts = replica("accounts", extra=("BillingAddress.city",))
    accounts.pull(open_live(bulk_from=bulk_from))
    assert {r["BillingAddress"]["city"] for r in accounts.records.values()} == {None}


def test_an_id_in_its_short_form_in_a_text_field_becomes_the_long_one(
    org: SalesforceSandbox, live: Session, replica: Replicas
) -> None:
    row = next(iter(org.tables["Product_Usage__c"].values()))
    account = row["Account__c"]
    row["Account__c"] = account[:15]
    usage = replica(custom_stream("Product_Usage__c", USAGE), extra=tuple(USAGE))
    usage.pull(live)
    assert usage.records[row["Id"]]["Account__c"] == account


@pytest.mark.parametrize("name", ["Product Usage", "x; DROP", "../x", ""])
def test_a_custom_stream_has_the_name_of_an_object(name: str) -> None:
    with pytest.raises(ValueError, match="API name"):
        custom_stream(name, USAGE)


def test_tasks_are_ours_alone(org: SalesforceSandbox, live: Session, replica: Replicas) -> None:
    org.insert("Task", Subject="Call back", Description="not ours")
    other = org.insert("Task", Subject="Copied", Description="text\n\ncssync:k9")
    org.edit("Task", other, CreatedById=next(k for k in org.tables["User"]))
    mine = org.insert("Task", Subject="Renewal", Description="why\r\n\r\ncssync:k1\r\n")
    tasks = replica("tasks")
    tasks.pull(live)
    assert tasks.records[mine]["_task_key"] == "k1"
    assert {r["Subject"] for r in tasks.records.values()} <= {"Renewal", "Copied", "cssync: say hello"}


def test_tasks_whose_key_cannot_be_seen_are_a_fault_and_not_gone(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas
) -> None:
    org.insert("Task", Subject="Renewal", Description="why\n\ncssync:k1")
    server.faults.append(Fault("/queryAll", act=lambda: org.hidden.add("Task.Description")))
    with pytest.raises(ConnectionFault, match="which tasks are ours cannot be told"):
        replica("tasks").pull(live)


def test_what_is_sent_resumes_from_the_checkpoint(api: respx.MockRouter, mocked: Session) -> None:
    described = [{"name": n, "type": "string"} for n in ("Id", "SystemModstamp", "IsDeleted", "Name")]
    api.get(f"{DATA}/sobjects/Account/describe").respond(
        json={"name": "Account", "fields": described}, headers={"Date": "Fri, 20 Nov 2026 12:00:00 GMT"}
    )
    query = api.get(f"{DATA}/queryAll").respond(json={"totalSize": 0, "done": True, "records": []})
    stream = SALESFORCE.stream("accounts")
    assert stream is not None
    cursor = {"stamp": "2026-11-20T11:59:00Z", "started": "2026-11-20T12:00:00Z"}
    (page,) = stream.pages(mocked, PullRequest(cursor, ("Name",), timedelta(minutes=10)))
    assert query.calls.last.request.url.params["q"] == (
        "SELECT Id,SystemModstamp,IsDeleted,Name FROM Account WHERE SystemModstamp >= 2026-11-20T11:50:00Z "
        "ORDER BY SystemModstamp,Id"
    )
    assert json.loads(json.dumps(page.cursor)) == {"stamp": "2026-11-20T11:59:00Z", "started": "2026-11-20T12:00:00Z"}
    list(stream.pages(mocked, PullRequest({**cursor, "id": "001dM00003jU9GxQAK"}, ("Name",), timedelta(minutes=10))))
    assert (
        "WHERE (SystemModstamp > 2026-11-20T11:59:00Z OR (SystemModstamp = 2026-11-20T11:59:00Z AND "
        "Id > '001dM00003jU9GxQAK'))"
    ) in query.calls.last.request.url.params["q"]


def test_every_declared_field_is_asked_for() -> None:
    for stream in SALESFORCE.streams:
        for feed in stream.feeds:
            for declared in feed.fields.values():
                source = declared.source if isinstance(declared, Field) else declared
                for name in (source,) if isinstance(source, str) else source:
                    assert name.startswith("_") or name in ("Id", "SystemModstamp") or name in stream.fields_of


# --- what takes Salesforce too long -----------------------------------------------------------------------------------


def overtaxed(org: SalesforceSandbox, source: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query of this object that finds more than `most` records runs into the limit of time."""
    found = org.matching

    def matching(query: Any, name: str, held: Any) -> Any:
        rows = found(query, name, held)
        if name == source and len(rows) > most:
            raise Refused("QUERY_TIMEOUT", "Your query request was running for too long.")
        return rows

    monkeypatch.setattr(org, "matching", matching)


@pytest.mark.parametrize("batch", [5, 2000])
def test_what_takes_too_long_is_read_in_shorter_times(
    org: SalesforceSandbox,
    time: Any,
    server: SandboxServer,
    live: Session,
    replica: Replicas,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    org.batch = batch
    for _ in range(30):
        time.pass_(hours=7)
        org.insert("Contact", Name="One by one")
    overtaxed(org, "Contact", 12, monkeypatch)
    contacts = replica("contacts")
    pages = contacts.pull(live)
    assert held(contacts) == alive(org, "Contact")
    assert sum(len(p.records) for p in pages) == len(contacts.records), "no record is read twice"
    assert [p.last for p in pages].count(True) == 1
    assert len(server.requests("/queryAll")) < 60
    time.pass_(hours=1)
    org.edit("Contact", next(iter(org.tables["Contact"])), Title="Changed")
    contacts.pull(live)
    assert held(contacts) == alive(org, "Contact")


@pytest.mark.parametrize("killed_after", [1, 4])
def test_a_pull_in_shorter_times_goes_on_behind_its_checkpoint(
    org: SalesforceSandbox,
    time: Any,
    live: Session,
    replica: Replicas,
    monkeypatch: pytest.MonkeyPatch,
    killed_after: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(30):
        time.pass_(hours=7)
        org.insert("Contact", Name="One by one")
    overtaxed(org, "Contact", 12, monkeypatch)
    contacts = replica("contacts")
    contacts.pull(live, until=killed_after)
    before = [m for m in caplog.messages if "it is read in shorter times" in m]
    contacts.pull(live)
    assert held(contacts) == alive(org, "Contact")
    assert before == ["Salesforce takes too long over Contact: it is read in shorter times"], "told once a pull"


def test_too_many_changes_of_one_second_end_the_stream_and_not_in_a_circle(
    org: SalesforceSandbox, server: SandboxServer, live: Session, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(30):
        org.insert("Contact", Name="Same second")
    overtaxed(org, "Contact", 12, monkeypatch)
    with pytest.raises(ConnectionFault, match="QUERY_TIMEOUT") as caught:
        replica("contacts").pull(live)
    assert "map fewer fields" in caught.value.fix
    assert len(server.requests("/queryAll")) < 120


@pytest.mark.parametrize("locator", ["01gxx==-2000", "0r8.a~1", "a%2Bb", "eyJ+YSI6MX0="])
def test_a_page_link_may_look_as_it_likes(api: respx.MockRouter, mocked: Session, locator: str) -> None:
    link = f"/services/data/v66.0/query/{locator}"
    first, second = (
        {"Id": f"00300000000000{n}AAA", "SystemModstamp": f"2026-05-0{n}T07:25:37.000+0000"} for n in (1, 2)
    )
    api.get(f"{DATA}/sobjects/Contact/describe").respond(json={"fields": [{"name": "SystemModstamp"}]})
    api.get(f"{DATA}/queryAll").respond(
        json={"totalSize": 2, "done": False, "nextRecordsUrl": link, "records": [first]}
    )
    onward = api.get(f"{HOST}{link}").respond(json={"totalSize": 2, "done": True, "records": [second]})
    request = PullRequest(cursor=None, fields=(), lag=timedelta(0))
    pages = list(reading.pages(mocked, request, "Contact"))
    assert sum(len(p.records) for p in pages) == 2
    assert onward.calls[0].request.url.raw_path.decode() == link


def test_merges_that_queries_do_not_know_cost_the_merges_and_not_the_stream(
    org: SalesforceSandbox, live: Session, replica: Replicas, server: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    words = "No such column 'MasterRecordId' on entity 'Account'. If you are attempting to use a custom field, ..."
    server.faults.append(Fault(r"GET .*/queryAll", nth=1, answer=refused("INVALID_FIELD", words)))
    accounts = replica("accounts")
    accounts.pull(live)
    assert held(accounts) == alive(org, "Account")
    assert "MasterRecordId" not in server.requests("/queryAll")[-1].query["q"]
    assert "Account.MasterRecordId does not exist or is hidden" in caplog.text
