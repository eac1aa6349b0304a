"""U09: tickets and requests that name a paid add-on, and which of them a sentence names."""

from __future__ import annotations

from typing import Any

import pytest
from standard_store import RULES, healthy, put, run, succeed

from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.store.sqlite import Store

WITH_ADD_ONS = read_rules([*RULES.sources, Source("lists.yaml", "lists: {add_ons: [SSO, API, 監査ログ]}\n")])


def day(n: int) -> str:
    return f"2026-11-{n:02}T01:00:00Z"


def ticket(source_id: str, subject: str, opened_at: str) -> dict[str, Any]:
    return {"source_id": source_id, "subject": subject, "opened_at": opened_at, "status": "open"}


def request(source_id: str, topic: str, requested_at: str) -> dict[str, Any]:
    return {"source_id": source_id, "topic": topic, "requested_at": requested_at, "status": "open"}


@pytest.fixture
def asked(store: Store) -> Store:
    """An account that is well, whose requests somebody collects, too."""
    healthy(store)
    with store.transaction() as conn:
        conn.execute("INSERT INTO source_feed VALUES ('crm', 'feature_request', 'feature_request')")
        conn.execute("INSERT INTO source_state (connection, stream, outcome) VALUES ('crm', 'feature_request', 'ok')")
    succeed(store, "2026-11-20T02:30:00Z")
    succeed(store, "2026-11-20T02:30:00Z", "feature_request")
    return store


def sentences(store: Store) -> list[str]:
    run(store, rules=WITH_ADD_ONS)
    found = store.query("SELECT because FROM signal WHERE name = 'U09' AND until IS NULL AND account_uid = 'a'")
    return [row["because"] for row in found]


def test_the_newest_three_tickets_are_named(asked: Store) -> None:
    put(asked, "ticket", *(ticket(str(700 + n), f"SSO please, no {n}", day(n)) for n in (3, 9, 5, 7)),
        ticket("800", "printer", day(19)), ticket("1", "sso long ago", "2026-08-01T01:00:00Z"))  # fmt: skip
    assert sentences(asked) == ["add-ons named in 60 days: 4 tickets, 0 requests; newest: 709, 707, 705"]


def test_requests_are_named_where_no_ticket_names_an_add_on(asked: Store) -> None:
    put(asked, "ticket", ticket("800", "printer", day(19)))
    put(asked, "feature_request", request("R1", "監査ログの出力", day(2)), request("R2", "SSO", day(4)))
    assert sentences(asked) == ["add-ons named in 60 days: 0 tickets, 2 requests; newest: R2, R1"]


def test_a_ticket_and_a_request_name_the_ticket(asked: Store) -> None:
    put(asked, "ticket", ticket("T1", "when is SSO included?", day(1)))
    put(asked, "feature_request", request("R1", "SSO", day(18)))
    assert sentences(asked) == ["add-ons named in 60 days: 1 tickets, 1 requests; newest: T1"]


def test_requests_that_hold_its_letters_alone_are_none(asked: Store) -> None:
    put(asked, "ticket", ticket("800", "SSO", day(19)))
    put(asked, "feature_request", request("R1", "rapid import", day(2)), request("R2", "crossover report", day(4)))
    assert sentences(asked) == []


def test_tickets_of_one_moment_are_named_by_their_id(asked: Store) -> None:
    put(asked, "ticket", *(ticket(i, "SSO", day(9)) for i in ("20", "9", "100")))
    assert sentences(asked) == ["add-ons named in 60 days: 3 tickets, 0 requests; newest: 100, 20, 9"]


@pytest.mark.parametrize(
    "subject", ["APIが必要です", "our api-key", "a rapid API.", "新しいAPIと監査ログ", "crossover to sso"]
)
def test_a_word_counts_where_it_stands_alone_at_some_place(asked: Store, subject: str) -> None:
    put(asked, "ticket", *(ticket(str(n), subject, day(9)) for n in range(2)))
    assert sentences(asked) == ["add-ons named in 60 days: 2 tickets, 0 requests; newest: 0, 1"]


@pytest.mark.parametrize(
    "subject", ["single sign-on", "SS O", "監査 ログ", "rapid crossover", "capital of Lassonde", "APIs"]
)
def test_what_only_looks_like_it_is_none(asked: Store, subject: str) -> None:
    put(asked, "ticket", *(ticket(str(n), subject, day(9)) for n in range(4)))
    assert sentences(asked) == []
