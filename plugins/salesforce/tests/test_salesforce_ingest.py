"""Bulk 2.0 ingest: one job for thousands of records, each row with its own outcome, nothing written by half a job."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cssync.connectors import Change, Outcome, OwnField, Session
from cssync.errors import ConnectionFault
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer
from cssync_salesforce import ingest
from cssync_salesforce.provision import provision
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.writeback import drain_jobs, push, records_at_once

FIELDS = [
    OwnField("CS_Health_Score__c", "Health score", "integer"),
    OwnField("CS_Health_Reasons__c", "Reasons", "text"),
    OwnField("CS_Health_As_Of__c", "As of", "date"),
    OwnField("CS_Risk_Flags__c", "Flags", "multi", ("K01", "K03")),
    OwnField("CS_Arr__c", "ARR", "money"),
    OwnField("CS_Tech__c", "Tech", "bool"),
]
N = 30
JOB = r".*/jobs/ingest"


@pytest.fixture
def bulk(org: SalesforceSandbox, open_live: Callable[..., Session]) -> Session:
    """A session that writes 20 records and more by a job, on an org with our fields."""
    session = open_live(bulk_write_from="20")
    assert not [f for f in provision(session, "accounts", FIELDS, False) if f.level == "error"]
    return session


@pytest.fixture
def ids(org: SalesforceSandbox) -> list[str]:
    return [org.insert("Account", Name=f"Account {n}") for n in range(N)]


def changes(ids: list[str], **values: Any) -> list[Change]:
    given = values or {"CS_Health_Score__c": 41}
    return [Change(f"k{n}", "update", "accounts", one, given) for n, one in enumerate(ids)]


def states(outcomes: list[Outcome]) -> set[str]:
    return {outcome.state for outcome in outcomes}


def scores(org: SalesforceSandbox, ids: list[str]) -> list[Any]:
    return [org.tables["Account"][one].get("CS_Health_Score__c") for one in ids]


def bodies(server: SandboxServer) -> list[list[list[str]]]:
    uploads = [e.body for e in server.requests(f"PUT {JOB}") if e.status == 201]
    return [list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True)) for body in uploads]


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'say "yes", or no', "two\nlines", "two\r\nlines", "a\rb", " leading and trailing ", "日本語の理由、改善", "😀é",
        "=1+1", "@x", "-5", "+5", "#N/A!", ";", "a,b", '"', "''", "\t",
    ],
)  # fmt: skip
def test_every_text_arrives_byte_equal(org: SalesforceSandbox, bulk: Session, ids: list[str], text: str) -> None:
    assert states(list(push(bulk, changes(ids, CS_Health_Reasons__c=text)))) == {"verified"}
    assert {org.tables["Account"][one]["CS_Health_Reasons__c"] for one in ids} == {text}


def test_rows_end_in_lf_clear_with_na_and_leave_alone_what_is_empty(
    org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str]
) -> None:
    org.edit("Account", ids[0], CS_Health_As_Of__c="2026-11-19", CS_Health_Reasons__c="old")
    org.edit("Account", ids[1], CS_Health_As_Of__c="2026-11-19", CS_Health_Reasons__c="old")
    wanted = changes(ids[2:], CS_Health_Score__c=7)
    wanted.append(Change("clear", "update", "accounts", ids[0], {"CS_Health_As_Of__c": None, "CS_Tech__c": True}))
    several = {"CS_Risk_Flags__c": ["K01", "K03"], "CS_Arr__c": 0.1, "CS_Health_Score__c": 10**15}
    wanted.append(Change("other", "update", "accounts", ids[1], several))
    assert states(list(push(bulk, wanted))) == {"verified"}
    (entry,) = server.requests(f"PUT {JOB}")
    assert b"\r" not in entry.body
    assert entry.body.endswith(b"\n")
    (rows,) = bodies(server)
    assert rows[0] == [
        "Id", "CS_Arr__c", "CS_Health_As_Of__c", "CS_Health_Score__c", "CS_Risk_Flags__c", "CS_Tech__c",
    ]  # fmt: skip
    by_id = {row[0]: row[1:] for row in rows[1:]}
    assert by_id[ids[0]] == ["", ingest.NULL, "", "", "true"]
    assert by_id[ids[1]] == ["0.1", "", "1000000000000000", "K01;K03", ""]
    assert list(by_id) == sorted(by_id)  # locks like it
    first, second = (org.tables["Account"][one] for one in ids[:2])
    assert (first["CS_Health_As_Of__c"], first["CS_Health_Reasons__c"], first["CS_Tech__c"]) == (None, "old", True)
    assert (second["CS_Health_As_Of__c"], second["CS_Arr__c"]) == ("2026-11-19", float(Decimal("0.1")))


def test_a_text_that_would_clear_its_field_goes_the_other_way(
    org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str]
) -> None:
    wanted = [*changes(ids[1:]), Change("x", "update", "accounts", ids[0], {"CS_Health_Reasons__c": "#N/A"})]
    assert states(list(push(bulk, wanted))) == {"verified"}
    assert org.tables["Account"][ids[0]]["CS_Health_Reasons__c"] == "#N/A"
    assert len(server.requests("PATCH .*/composite/sobjects")) == 1


def test_parts_stay_within_rows_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "ROWS", 4)
    monkeypatch.setattr(ingest, "MOST_BYTES", 60)
    records = [{"attributes": {}, "id": f"{n:03}", "X__c": "é" * (n % 3 * 15)} for n in range(10)]
    found = list(ingest.parts(records))
    assert [one for ids, _ in found for one in ids] == [r["id"] for r in records]
    assert all(len(ids) <= 4 and (len(body) <= 60 or len(ids) == 1) for ids, body in found)
    assert all(body.startswith(b"Id,X__c\n") for _, body in found)


# --- outcomes ---------------------------------------------------------------------------------------------------------


def test_requests_of_a_job(org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str]) -> None:
    before = len(server.journal)
    assert len(list(push(bulk, changes(ids)))) == N
    sent = [f"{e.method} {e.path.rpartition('/')[2]}" for e in server.journal[before:]]
    assert [line for line in sent if "7505h" not in line] == [
        "POST ingest", "PUT batches", "GET successfulResults", "GET failedResults", "GET unprocessedrecords",
    ]  # fmt: skip
    assert len(sent) == 5 + 1 + org.ingest.looks  # closing it, and asking how it is
    assert scores(org, ids) == [41] * N


def test_fewer_records_go_by_collections(server: SandboxServer, bulk: Session, ids: list[str]) -> None:
    assert states(list(push(bulk, changes(ids[:19])))) == {"verified"}
    assert not server.requests(JOB)
    assert [records_at_once(bulk.settings, n) for n in (19, 20)] == [200, ingest.ROWS]


def test_failed_rows_of_a_complete_job_fail_alone_in_the_vendors_words(
    org: SalesforceSandbox, bulk: Session, ids: list[str]
) -> None:
    org.ingest.refuse = lambda row: "STRING_TOO_LONG:too large" if row["Id"] == ids[7] else ""
    org.delete("Account", ids[9])
    found = {o.key: o for o in push(bulk, changes(ids))}
    bad = {key: o for key, o in found.items() if o.state != "verified"}
    assert {key: o.state for key, o in bad.items()} == {"k7": "failed-permanent", "k9": "failed-permanent"}
    assert "STRING_TOO_LONG: too large" in bad["k7"].error
    assert "make the field longer" in bad["k7"].error
    assert "ENTITY_IS_DELETED" in bad["k9"].error


def test_locked_rows_and_rows_the_job_did_not_come_to_go_by_collections(
    org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str]
) -> None:
    org.ingest.refuse = lambda row: "UNABLE_TO_LOCK_ROW:unable to obtain" if row["Id"] == sorted(ids)[0] else ""
    org.ingest.most = 25
    assert states(list(push(bulk, changes(ids)))) == {"verified"}
    assert scores(org, ids) == [41] * N
    assert len(server.requests("PATCH .*/composite/sobjects")) == 1


def test_a_job_that_fails_as_a_whole_leaves_its_rows_to_the_other_way(
    org: SalesforceSandbox, bulk: Session, ids: list[str]
) -> None:
    org.ingest.fails = "InternalServerError : try again"
    assert states(list(push(bulk, changes(ids)))) == {"verified"}
    assert scores(org, ids) == [41] * N


def test_a_field_deleted_before_the_job_is_never_verified(
    org: SalesforceSandbox, bulk: Session, ids: list[str]
) -> None:
    del org.schema["Account"]["cs_health_score__c"]
    found = list(push(bulk, changes(ids)))
    assert states(found) == {"failed-permanent"}
    assert all("CS_Health_Score__c" in outcome.error for outcome in found)


def test_an_org_without_bulk_jobs_is_written_by_collections(
    org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str]
) -> None:
    org.ingest.off = True
    assert states(list(push(bulk, changes(ids)))) == {"verified"}
    assert len(server.requests("PATCH .*/composite/sobjects")) == 1


def test_a_row_that_no_file_names_is_unknown(
    org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str]
) -> None:
    body = b'"sf__Id","sf__Created"\n"%s","false"\n' % ids[0].encode()
    server.faults.append(
        Fault(r"GET .*/successfulResults", answer=SandboxAnswer(200, body, {"content-type": "text/csv"}))
    )
    found = {o.key: o.state for o in push(bulk, changes(ids))}
    assert [key for key, state in found.items() if state == "verified"] == ["k0"]
    assert set(found.values()) == {"verified", "unknown"}


@pytest.mark.parametrize("what", ["successfulResults", "failedResults", "unprocessedrecords"])
@pytest.mark.parametrize("fault", [{"cut": True, "times": 30}, {"answer": SandboxAnswer(200, b'"sf__Id"\n"\xff', {})}])
def test_results_that_cannot_be_read_prove_nothing(
    server: SandboxServer, bulk: Session, ids: list[str], what: str, fault: dict[str, Any]
) -> None:
    server.faults.append(Fault(f"GET .*/{what}", **fault))
    assert states(list(push(bulk, changes(ids)))) == {"unknown"}


# --- jobs that are left -----------------------------------------------------------------------------------------------


def test_a_job_that_could_not_be_filled_is_aborted_and_nothing_is_written(
    org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str]
) -> None:
    busy = SandboxAnswer(503, b"<html>busy</html>", {"content-type": "text/html"})
    server.faults.append(Fault(f"PUT {JOB}", answer=busy, times=30))
    assert states(list(push(bulk, changes(ids)))) == {"failed-retry"}
    assert {job.state for job in org.ingest.held.values()} == {"Aborted"}
    assert scores(org, ids) == [None] * N


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_answer_to_the_closing_is_found_out(
    org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str], after: bool
) -> None:
    server.faults.append(Fault(f"PATCH {JOB}", drop=True, after=after))
    assert states(list(push(bulk, changes(ids)))) == {"verified"}
    assert {job.state for job in org.ingest.held.values()} == {"JobComplete"}


def test_what_an_interrupted_run_left_is_aborted_or_waited_for(
    org: SalesforceSandbox, server: SandboxServer, bulk: Session, ids: list[str]
) -> None:
    made = [ingest._opened(bulk, "Account") for _ in range(2)]
    ((_, content),) = ingest.parts([{"id": one, "CS_Health_Score__c": 5} for one in ids])
    for job in made:
        bulk.request(
            "PUT", f"{ingest._jobs(bulk)}/{job}/batches", content=content, headers={"Content-Type": "text/csv"}
        )
    ingest._close(bulk, made[1])
    foreign = ingest._opened(bulk, "Contact")
    drain_jobs(bulk, "accounts")
    assert [org.ingest.held[job].state for job in (*made, foreign)] == ["Aborted", "JobComplete", "Open"]
    assert scores(org, ids) == [5] * N


def test_an_endless_job_stays_unknown_until_it_ends(org: SalesforceSandbox, bulk: Session, ids: list[str]) -> None:
    org.ingest.looks = 10**6
    assert states(list(push(bulk, changes(ids)))) == {"unknown"}
    with pytest.raises(ConnectionFault, match="still at work"):
        drain_jobs(bulk, "accounts")
    org.ingest.looks = 1
    drain_jobs(bulk, "accounts")
    assert scores(org, ids) == [41] * N
