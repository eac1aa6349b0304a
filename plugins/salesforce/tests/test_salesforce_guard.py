"""`If-Unmodified-Since`: a single record that somebody changed after we read it is not written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cssync.connectors import Change, OwnField, Session
from cssync.sandbox.server import Fault, SandboxServer
from cssync_salesforce.provision import provision
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.writeback import push

SCORE = OwnField("CS_Health_Score__c", "Health score", "integer")


@pytest.fixture
def account(org: SalesforceSandbox, live: Session) -> str:
    assert not [f for f in provision(live, "accounts", [SCORE], False) if f.level == "error"]
    return next(iter(org.tables["Account"]))


def update(account: str, value: Any, read_at: Any) -> Change:
    return Change("k", "update", "accounts", account, {"CS_Health_Score__c": value}, read_at=read_at)


def test_a_record_that_stood_still_is_written(
    org: SalesforceSandbox, server: SandboxServer, live: Session, account: str
) -> None:
    (outcome,) = push(live, [update(account, 41, live.now())])
    assert (outcome.state, outcome.remote_id) == ("verified", account)
    assert org.tables["Account"][account]["CS_Health_Score__c"] == 41
    assert len(server.requests("PATCH .*/sobjects/Account/")) == 1


def test_a_record_that_a_person_changed_since_is_left_alone(
    org: SalesforceSandbox, time: Any, live: Session, account: str
) -> None:
    read_at = live.now()
    time.now += timedelta(seconds=5)
    org.edit("Account", account, Industry="Energy")
    (outcome,) = push(live, [update(account, 41, read_at)])
    assert outcome.state == "moved"
    assert org.tables["Account"][account].get("CS_Health_Score__c") is None


def test_a_guarded_write_without_an_answer_is_not_repeated(
    org: SalesforceSandbox, time: Any, server: SandboxServer, live: Session, account: str
) -> None:
    """Its guard would meet what the first try wrote: the core looks."""
    read_at = live.now()
    time.now += timedelta(seconds=5)
    server.faults.append(Fault("PATCH .*/sobjects/Account/", drop=True, after=True))
    (outcome,) = push(live, [update(account, 41, read_at)])
    assert outcome.state == "unknown"
    assert len(server.requests("PATCH .*/sobjects/Account/")) == 1
    assert org.tables["Account"][account]["CS_Health_Score__c"] == 41


@pytest.mark.parametrize(
    ("value", "state", "words"),
    [("many", "failed-permanent", "JSON_PARSER_ERROR"), (10**18, "failed-permanent", "NUMBER_OUTSIDE_VALID_RANGE")],
)
def test_what_is_refused_keeps_the_vendors_words(
    live: Session, account: str, value: Any, state: str, words: str
) -> None:
    (outcome,) = push(live, [update(account, value, live.now())])
    assert (outcome.state, words in outcome.error) == (state, True)


def test_two_records_go_together_without_a_guard(org: SalesforceSandbox, server: SandboxServer, live: Session) -> None:
    list(provision(live, "accounts", [SCORE], False))
    accounts = list(org.tables["Account"])[:2]
    writes = [
        Change(f"k{n}", "update", "accounts", one, {"CS_Health_Score__c": n}, read_at=live.now())
        for n, one in enumerate(accounts)
    ]
    assert {o.state for o in push(live, writes)} == {"verified"}
    assert len(server.requests("PATCH .*/composite/sobjects")) == 1
