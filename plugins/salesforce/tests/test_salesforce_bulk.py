"""Bulk jobs: the same records as by query, resumed to the row, and never fewer than the job says."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Connection, Workspace
from cssync.connectors import PullRequest, Session, Stream
from cssync.errors import ConnectionFault, TransientFault
from cssync.http.clock import ManualClock
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer
from cssync.store import Store
from cssync.sync import sync
from cssync.sync.normalise import Normaliser
from cssync_salesforce import bulk, columns, reading
from cssync_salesforce.columns import number
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.streams import custom_stream

Replicas = Callable[..., Any]
Opened = Callable[..., Session]
USAGE = {
    "Account__c": "usage_metric.account_source_id",
    "Day__c": "usage_metric.period_start",
    "Active_Users__c": "usage_metric.active_users",
}
JOBS = "/services/data/v66.0/jobs/query"
RESULTS = r"GET .*/results"


def alive(org: SalesforceSandbox, source: str) -> dict[str, Any]:
    return {k: r["SystemModstamp"][:19] for k, r in org.tables[source].items() if not r.get("IsDeleted")}


def held(replica: Any) -> dict[str, Any]:
    return {k: r["SystemModstamp"][:19] for k, r in replica.records.items()}


def rows(stream: Stream, records: dict[str, Any], mapped: dict[str, str]) -> list[Any]:
    made = Normaliser(
        stream, mapped=mapped, written=(), timezone=ZoneInfo("Asia/Tokyo"), currency="USD", today="2026-11-20"
    )
    return [made(record).rows for _, record in sorted(records.items())]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, org: SalesforceSandbox) -> None:
    """Result pages of 25 rows, handed on in groups of 10; queries of 10."""
    org.batch = 10
    org.jobs.largest = 25
    monkeypatch.setattr(columns, "AT_ONCE", 10)


@pytest.mark.parametrize("name", ["accounts", "contacts", "opportunities", "contracts", "users", "Product_Usage__c"])
def test_a_job_gives_the_same_rows_as_a_query(
    org: SalesforceSandbox, open_live: Opened, replica: Replicas, small: None, name: str
) -> None:
    for number_, row in enumerate(org.tables["Account"].values()):
        row["BillingCity"] = f'"Bern", {number_}\nSüd' if number_ % 3 else None
        if number_ % 4 == 0:
            row["Website"] = row["BillingCountry"] = None
    mapped = {"Owner.Name": "account.notes", "BillingAddress.city": "account.city"} if name == "accounts" else {}
    extra: dict[str, str] = {"Owner.IsActive": "", "Account.Name": "", **mapped} if name != "users" else {}
    declared = custom_stream(name, USAGE) if name.endswith("__c") else name
    by_query, by_job = (replica(declared, extra=(*extra, *USAGE)) for _ in range(2))
    by_query.pull(open_live(bulk_from=0))
    assert not org.jobs.held
    by_job.pull(open_live(bulk_from=1))
    assert len(org.jobs.held) == 1
    assert len(by_job.records) > 10
    for key, record in by_query.records.items():
        other = dict(by_job.records[key])
        for field, value in record.items():
            if isinstance(value, str) and value.endswith("+0000"):
                assert str(other[field]).replace("Z", "+0000") == value
            elif isinstance(value, dict):
                assert {k: v for k, v in value.items() if k != "attributes"}.items() <= other[field].items()
            else:
                assert (other[field], type(other[field])) == (value, type(value)), field
    assert set(by_query.records) == set(by_job.records)
    shown = {k: v for k, v in USAGE.items() if name.endswith("__c")}
    assert rows(by_query.stream, by_query.records, shown) == rows(by_job.stream, by_job.records, shown)


def test_a_job_costs_its_result_pages_and_a_handful_of_requests(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, replica: Replicas
) -> None:
    for _ in range(5000):
        org.insert("Contact", Name="Many")
    contacts = replica("contacts")
    org.jobs.largest = 1000
    contacts.pull(open_live(bulk_from=2000))
    assert held(contacts) == alive(org, "Contact")
    left = len(contacts.records) - 2000
    assert len(server.requests("/queryAll")) == 1
    assert len(server.requests("POST .*/jobs/query")) == 1
    assert len(server.requests(rf"GET {JOBS}/\w+$")) == org.jobs.looks
    assert len(server.requests("/results")) == -(-left // 1000)
    assert not server.requests(r"GET .*\d/query/")


def test_rows_of_a_result_page_are_limited_by_their_size(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    org.batch = 10
    monkeypatch.setattr(bulk, "PAGE_ROWS", (3, 50_000))
    monkeypatch.setattr(bulk, "PAGE_BYTES", 6000)
    replica("contacts").pull(open_live(bulk_from=1))
    (most,) = {int(e.query["maxRecords"]) for e in server.requests("/results")}
    assert 3 < most < 30


@pytest.mark.parametrize("killed_after", range(1, 12))
def test_a_killed_run_goes_on_in_the_results_where_it_stopped(
    org: SalesforceSandbox,
    server: SandboxServer,
    open_live: Opened,
    replica: Replicas,
    small: None,
    killed_after: int,
) -> None:
    for _ in range(60):
        org.insert("Contact", Name="Same Second")
    contacts = replica("contacts")
    contacts.pull(open_live(bulk_from=1), until=killed_after)
    stored = len(contacts.records)
    again = replica("contacts")
    again.cursor, again.records = contacts.cursor, dict(contacts.records)
    pages = again.pull(open_live(bulk_from=1))
    assert held(again) == alive(org, "Contact")
    twice = sum(len(p.records) for p in pages) - (len(again.records) - stored)
    assert twice in (0, 60), "at most those of the last ten minutes, by the query that follows the job"
    asked = [e.body for e in server.requests("POST .*/jobs/query")]
    assert len(set(asked)) == len(asked) <= 2, "no job is made twice; `bulk_from: 1` makes one of what follows, too"
    assert "job" not in again.cursor
    assert "id" not in again.cursor


def test_a_job_that_is_taken_up_a_day_later_is_followed_by_what_changed_since(
    org: SalesforceSandbox, time: Any, server: SandboxServer, open_live: Opened, replica: Replicas, small: None
) -> None:
    contacts = replica("contacts")
    contacts.pull(open_live(bulk_from=1), until=4)
    assert "job" in contacts.cursor
    time.pass_(days=1)
    changed, deleted, *_ = org.tables["Contact"]
    org.edit("Contact", changed, Title="Changed overnight")
    org.delete("Contact", deleted)
    made = org.insert("Contact", Name="Made overnight")
    time.pass_(minutes=1)
    contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert contacts.records[changed]["Title"] == "Changed overnight"
    assert made in contacts.records
    assert len(server.requests("POST .*/jobs/query")) == 1
    assert "job" not in contacts.cursor


def test_the_checkpoint_moves_on_only_at_the_end_of_the_job(
    org: SalesforceSandbox, time: Any, open_live: Opened, replica: Replicas, small: None
) -> None:
    contacts = replica("contacts")
    request = PullRequest(None, contacts.fields, timedelta(0))
    seen = [page.cursor for page in contacts.stream.pages(open_live(bulk_from=1), request)]
    places = {(c["stamp"], c["id"]) for c in seen[:-1] if c is not None}
    assert len(places) == 1
    assert seen[-1] == {
        "stamp": max(alive(org, "Contact").values()) + "Z",
        "started": time.now.isoformat().replace("+00:00", "Z"),
    }


def test_changes_deletes_and_merges_while_the_job_runs_are_found(
    org: SalesforceSandbox, time: Any, server: SandboxServer, open_live: Opened, replica: Replicas, small: None
) -> None:
    ids = sorted(org.tables["Contact"], key=lambda k: (org.tables["Contact"][k]["SystemModstamp"], k))

    def meanwhile() -> None:
        time.pass_(minutes=1)
        org.edit("Contact", ids[2], Title="Changed")
        org.delete("Contact", ids[-1])
        org.merge("Contact", ids[-2], ids[-3])

    server.faults += [Fault(rf"GET {JOBS}/\w+\?", act=meanwhile), Fault(RESULTS, nth=2, act=meanwhile)]
    contacts = replica("contacts")
    contacts.pull(open_live(bulk_from=1))
    assert contacts.merged[ids[-3]] == ids[-2]
    contacts.pull(open_live(bulk_from=0))
    assert held(contacts) == alive(org, "Contact")


@pytest.mark.parametrize("how", ["refused", "failed", "aborted", "deleted"])
def test_a_job_that_comes_to_nothing_is_replaced_by_a_query(
    org: SalesforceSandbox,
    server: SandboxServer,
    open_live: Opened,
    replica: Replicas,
    small: None,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    org.jobs.off = how == "refused"
    org.jobs.fails = "InternalServerError: Retried more than 15 times" if how == "failed" else ""

    def end() -> None:
        for job in org.jobs.held.values():
            job.state = "Aborted"
        if how == "deleted":
            org.jobs.held.clear()

    if how in ("aborted", "deleted"):
        server.faults.append(Fault(rf"GET {JOBS}/\w+\?", nth=2, act=end))
    contacts = replica("contacts")
    with caplog.at_level(logging.WARNING):
        contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert len(server.requests("POST .*/jobs/query")) == 1
    assert "going on by query" in caplog.text


def test_a_job_that_reads_fewer_records_than_the_query_counted_is_not_believed(
    org: SalesforceSandbox,
    server: SandboxServer,
    open_live: Opened,
    replica: Replicas,
    small: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = org.jobs._run

    def short(job: Any) -> None:
        run(job)
        del job.rows[-1]

    monkeypatch.setattr(org.jobs, "_run", short)
    contacts = replica("contacts")
    with caplog.at_level(logging.WARNING):
        contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert "were counted): going on by query" in caplog.text
    assert not server.requests("/results")


def test_a_job_that_does_not_say_its_number_of_records_is_not_believed(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, replica: Replicas, small: None
) -> None:
    told = SandboxAnswer(200, {"id": "7505g0000000001AAA", "state": "JobComplete"})
    server.faults.append(Fault(rf"GET {JOBS}/\w+\?", answer=told, times=9))
    contacts = replica("contacts")
    contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert not server.requests("/results")


def test_results_that_expired_between_runs_are_asked_for_again(
    org: SalesforceSandbox, time: Any, server: SandboxServer, open_live: Opened, replica: Replicas, small: None
) -> None:
    contacts = replica("contacts")
    contacts.pull(open_live(bulk_from=1), until=6)
    time.pass_(days=8)
    contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert len(server.requests("POST .*/jobs/query")) == 2


def test_a_job_that_asked_for_other_fields_is_not_taken_up(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, replica: Replicas, small: None
) -> None:
    contacts = replica("contacts")
    contacts.pull(open_live(bulk_from=1), until=6)
    more = replica("contacts", extra=("Role__c",))
    more.cursor, more.records = contacts.cursor, dict(contacts.records)
    pages = more.pull(open_live(bulk_from=1))
    assert held(more) == alive(org, "Contact")
    assert all("Role__c" in r for p in pages for r in p.records)
    assert len(server.requests("POST .*/jobs/query")) == 2


def wrong(text: str, locator: str = "null", count: int | None = None) -> SandboxAnswer:
    headers = {"Content-Type": "text/csv", "Sforce-Locator": locator}
    return SandboxAnswer(
        200, text.encode(), headers | ({"Sforce-NumberOfRecords": str(count)} if count is not None else {})
    )


HEADER = "Id,SystemModstamp,IsDeleted,MasterRecordId,CreatedDate,AccountId,Name,Email,Title,EmailBouncedDate\n"
ROW = "003dM00001vWOXJQA4,2026-05-01T07:25:37.000Z,false,,2026-05-01T07:25:37.000Z,,A,a@b.example,,\n"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (wrong(HEADER + ROW), r"announced \d+ rows and gave 1"),
        (wrong(HEADER), r"announced \d+ rows and gave 0"),
        (wrong(HEADER + ROW, count=2), "page of 2 rows had 1"),
        (wrong(HEADER + ROW[:30]), "cannot be read"),
        (wrong(HEADER + '003,"open'), "cannot be read"),
        (wrong("<html>maintenance</html>"), "cannot be read"),
        (wrong(HEADER.replace("Title", "Nope") + ROW), "columns"),
        (wrong(HEADER + ROW, locator="abc"), "leads back"),
        (wrong(HEADER + ROW.replace("2026", "soon")), "SystemModstamp"),
    ],
)
def test_results_that_contradict_the_job_end_the_stream_and_the_next_run_makes_a_new_job(
    org: SalesforceSandbox,
    server: SandboxServer,
    open_live: Opened,
    replica: Replicas,
    small: None,
    answer: SandboxAnswer,
    says: str,
) -> None:
    server.faults.append(Fault(RESULTS, answer=answer, times=99))
    contacts = replica("contacts")
    with pytest.raises(ConnectionFault, match=says) as fault:
        contacts.pull(open_live(bulk_from=1))
    assert "@b.example" not in str(fault.value)
    assert "job" not in contacts.cursor
    server.faults.clear()
    contacts.pull(open_live(bulk_from=1))
    assert alive(org, "Contact").items() <= held(contacts).items()
    assert len(server.requests("POST .*/jobs/query")) == 2


def test_a_job_is_asked_for_less_and_less_often(
    org: SalesforceSandbox, clock: ManualClock, open_live: Opened, replica: Replicas, small: None
) -> None:
    org.jobs.looks = 12
    contacts = replica("contacts")
    contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert clock.slept == sorted(clock.slept)
    assert len(clock.slept) == 11
    assert (clock.slept[0], clock.slept[-1]) == (1.0, 30.0)


def test_a_job_that_takes_too_long_is_left_at_work_and_taken_up_by_the_next_run(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, replica: Replicas, small: None
) -> None:
    org.jobs.looks = 10**6
    contacts = replica("contacts")
    with pytest.raises(TransientFault, match="still at work after 60 minutes"):
        contacts.pull(open_live(bulk_from=1))
    assert len(server.requests(rf"GET {JOBS}/\w+$")) < 140
    org.jobs.looks = 1
    contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert len(server.requests("POST .*/jobs/query")) == 1


def test_the_daily_limit_in_the_middle_of_the_results_keeps_them(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, replica: Replicas, small: None
) -> None:
    contacts = replica("contacts")
    server.faults.append(Fault(RESULTS, nth=2, act=lambda: setattr(org, "daily", 1)))
    with pytest.raises(TransientFault, match="daily API requests"):
        contacts.pull(open_live(bulk_from=1))
    stored = len(contacts.records)
    assert stored == 35
    org.daily = 15_000
    pages = contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert sum(len(p.records) for p in pages if "job" in (p.cursor or {})) == len(contacts.records) - stored


@pytest.mark.parametrize(
    "fault",
    [
        Fault(RESULTS, nth=2, cut=True),
        Fault(RESULTS, nth=1, drop=True),
        Fault(RESULTS, nth=2, answer=SandboxAnswer(503, b"<html>maintenance</html>")),
        Fault(rf"GET {JOBS}/\w+\?", nth=2, answer=SandboxAnswer(500, b"")),
        Fault(r"POST .*/jobs/query", drop=True),
    ],
    ids=lambda fault: fault.route + str(fault.nth),
)
def test_passing_faults_cost_nothing(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, replica: Replicas, small: None, fault: Fault
) -> None:
    fault.seen = 0
    server.faults.append(fault)
    contacts = replica("contacts")
    contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")


def test_fields_that_no_query_can_name_come_with_the_job(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, replica: Replicas, small: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(reading, "URL_BUDGET", 40)
    for row in org.tables["Account"].values():
        row["BillingCity"] = "Basel"
    accounts = replica("accounts", extra=("BillingAddress.city",))
    accounts.pull(open_live(bulk_from=1))
    assert held(accounts) == alive(org, "Account")
    assert {r["BillingAddress"]["city"] for r in accounts.records.values()} == {"Basel"}
    assert len(server.requests("POST .*/composite")) == 1


def test_tasks_of_ours_alone_come_with_a_job(
    org: SalesforceSandbox, open_live: Opened, replica: Replicas, small: None
) -> None:
    for n in range(30):
        org.insert("Task", Subject=f"Renewal {n}", Description=f"why\r\n\r\ncssync:k{n}\r\n")
        org.insert("Task", Subject="Call back", Description="not ours")
    tasks = replica("tasks")
    tasks.pull(open_live(bulk_from=1))
    assert len(org.jobs.held) == 1
    assert {r["_task_key"] for r in tasks.records.values()} == {f"k{n}" for n in range(30)} | {"hello"}


def test_few_calls_left_call_for_a_job(org: SalesforceSandbox) -> None:
    settings = SalesforceSettings.model_validate(
        {"connector": "salesforce", "instance_url": "https://a.my.salesforce.com", "client_id": "x"}
        | {"client_secret": "y"}
    )
    assert not bulk.worth_it(settings, 19_999, 15_000)
    assert bulk.worth_it(settings, 20_000, 15_000)
    assert not bulk.worth_it(settings.model_copy(update={"bulk_from": 100_000}), 90_000, 15_000)
    assert bulk.worth_it(settings.model_copy(update={"bulk_from": 100_000}), 90_000, 400)
    assert not bulk.worth_it(settings.model_copy(update={"bulk_from": 0}), 10**7, 400)


@pytest.mark.parametrize(
    ("written", "read"),
    [("82", 82), ("82.0", 82.0), ("-3.5", -3.5), ("1.5E7", 1.5e7), ("9007199254740993", 9007199254740993),
     ("n/a", "n/a"), ("1,5", "1,5"), ("NaN", "NaN")],
)  # fmt: skip
def test_numbers_are_read_as_json_would(written: str, read: Any) -> None:
    assert (number(written), type(number(written))) == (read, type(read))


def test_money_with_more_digits_than_a_float_holds_keeps_them() -> None:
    assert str(number("12345678901234567.89")) == "12345678901234567.89"


def test_rows_are_read_some_at_a_time() -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["Id"], *([f"{n}"] for n in range(5000))])
    groups = columns.Columns(("Id",), {}, {}, frozenset(("Id",))).records(text.getvalue().encode(), 7)
    assert next(iter(next(groups))) == {"Id": "7"}
    assert [len(group) for group in groups] == [columns.AT_ONCE, 5000 - 7 - 2 * columns.AT_ONCE]


@pytest.mark.parametrize("fault", [None, Fault(RESULTS, nth=2, answer=wrong(HEADER), times=1)], ids=["clean", "bad"])
def test_the_core_stores_a_job_like_any_pull(
    org: SalesforceSandbox, server: SandboxServer, open_live: Opened, small: None, tmp_path: Path, fault: Fault | None
) -> None:
    if fault:
        fault.seen = 0
        server.faults.append(fault)
    session = open_live(bulk_from=1)
    stream = SALESFORCE.stream("contacts")
    assert stream is not None
    connection = Connection("sales", SALESFORCE, session.settings, (stream,))
    workspace = Workspace("w", tmp_path, ZoneInfo("UTC"), "USD", tmp_path / "s.db", {"sales": connection})
    with Store.open(tmp_path / "s.db") as store:
        (report,) = sync(store, workspace, {"sales": session}, run_id="r1")
        if fault:
            assert report.outcome == "failed"
            assert report.error is not None
            assert "bulk job" in report.error.message
            (report,) = sync(store, workspace, {"sales": session}, run_id="r2")
        assert (report.outcome, report.error) == ("ok", None)
        ids = {r[0] for r in store.query("SELECT source_id FROM contact WHERE deleted_at IS NULL")}
        assert ids == set(alive(org, "Contact"))
        (report,) = sync(store, workspace, {"sales": session}, run_id="r3")
        asked = [e.path.partition("/v66.0")[2].partition("?")[0] for e in server.journal][-2:]
        assert (report.new, report.changed, report.requests) == (0, 0, 2)
        assert asked == ["/sobjects/Contact/describe", "/queryAll"]  # what is there to read, and what changed


@pytest.mark.parametrize("bulk_from", [0, 1], ids=["query", "bulk"])
def test_what_was_deleted_for_good_is_found_by_a_full_pull(
    org: SalesforceSandbox, time: Any, open_live: Opened, small: None, tmp_path: Path, bulk_from: int
) -> None:
    session = open_live(bulk_from=bulk_from)
    stream = SALESFORCE.stream("contacts")
    assert stream is not None
    connection = Connection("sales", SALESFORCE, session.settings, (stream,))
    workspace = Workspace("w", tmp_path, ZoneInfo("UTC"), "USD", tmp_path / "s.db", {"sales": connection})
    with Store.open(tmp_path / "s.db") as store:
        sync(store, workspace, {"sales": session}, run_id="r1")
        for key in list(org.tables["Contact"])[3::9]:
            del org.tables["Contact"][key]
        time.pass_(hours=1)
        (report,) = sync(store, workspace, {"sales": session}, run_id="r2")
        assert report.tombstoned == 0
        (report,) = sync(store, workspace, {"sales": session}, run_id="r3", full=True)
        assert (report.outcome, report.tombstoned > 3) == ("ok", True)
        ids = {r[0] for r in store.query("SELECT source_id FROM contact WHERE deleted_at IS NULL")}
        assert ids == set(org.tables["Contact"])


@pytest.mark.parametrize("when", ["before the job", "while it runs"])
def test_a_field_that_vanishes_before_or_in_a_job_costs_that_field_and_not_the_job(
    org: SalesforceSandbox,
    server: SandboxServer,
    open_live: Opened,
    replica: Replicas,
    small: None,
    when: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def hide() -> None:
        org.hidden.add("Contact.Title")

    def fail() -> None:
        hide()
        org.jobs.fails = (
            "InvalidBatch: Failed to process query: INVALID_FIELD: No such column 'Title' on entity 'Contact'."
        )

    def work() -> None:
        org.jobs.fails = ""

    first, second = Fault(rf"POST {JOBS}", act=hide), Fault(rf"POST {JOBS}", nth=2, act=work)
    server.faults += [first] if when == "before the job" else [Fault(rf"GET {JOBS}/\w+\?", act=fail), second]
    contacts = replica("contacts")
    with caplog.at_level(logging.WARNING):
        contacts.pull(open_live(bulk_from=1))
    assert held(contacts) == alive(org, "Contact")
    assert "Contact.Title does not exist or is hidden" in caplog.text
    assert len(server.requests(f"POST {JOBS}")) == 2
    assert len(org.jobs.held) == (1 if when == "before the job" else 2)
    assert len(server.requests("/results")) > 1, "the second job is read to its end"
    assert server.requests(r"GET .*\d/query/") == []
