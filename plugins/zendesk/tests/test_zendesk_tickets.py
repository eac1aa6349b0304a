"""Tasks as internal tickets: opt-in, private, made once, guarded by their stamp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.connectors import Change, Outcome, Session, TaskContent
from cssync.errors import ConnectionFault
from cssync.http import open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.make_world import make
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer, serve
from cssync_zendesk import SANDBOX, ZENDESK
from cssync_zendesk.sandbox import ZendeskSandbox
from cssync_zendesk.streams import TICKETS
from cssync_zendesk.task_tickets import find_tickets, is_ours
from cssync_zendesk.writeback import push

WORLD = make(8)
KEY = "f" * 24


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(WORLD.now.timestamp())


@pytest.fixture
def app(clock: ManualClock) -> ZendeskSandbox:
    account = ZendeskSandbox(WORLD)
    account.clock = clock.time
    return account


@pytest.fixture
def server(app: ZendeskSandbox, clock: ManualClock) -> Iterator[SandboxServer]:
    with serve(app) as running:
        running.clock = clock.time
        yield running


@pytest.fixture
def opened(server: SandboxServer, clock: ManualClock) -> Iterator[Callable[..., Session]]:
    with ExitStack() as stack:

        def open_(**given: Any) -> Session:
            settings = ZENDESK.config.model_validate(
                {"connector": "zendesk", "base_url": server.url, "allow_hosts": ["127.0.0.1"], **SANDBOX, **given}
            )
            return stack.enter_context(
                open_session(ZENDESK, settings, connection="desk", timezone=ZoneInfo("Asia/Tokyo"), clock=clock)
            )

        yield open_


@pytest.fixture
def live(opened: Callable[..., Session]) -> Session:
    return opened(task_tickets="true")


def organization(app: ZendeskSandbox) -> str:
    return str(next(iter(app.organizations.records)))


def content(app: ZendeskSandbox, **more: Any) -> TaskContent:
    agent = next(i for i, user in app.users.records.items() if user["role"] == "agent")
    given = {"body": "The term ends soon.", "due_on": "2026-12-28", "owner_source_id": str(agent), **more}
    return TaskContent(KEY, organization(app), given.pop("subject", "Renew"), **given)


def create(task: TaskContent) -> Change:
    return Change("c", "create_task", "organizations", None, task=task)


def made(app: ZendeskSandbox) -> list[dict[str, Any]]:
    return [row for row in app.tickets.records.values() if is_ours(row) and row["external_id"] == KEY]


def only(outcomes: Iterator[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


def test_a_task_becomes_a_private_ticket_and_nobody_is_mailed(app: ZendeskSandbox, live: Session) -> None:
    task = content(app)
    assert only(push(live, [create(task)])).state == "verified"
    (row,) = made(app)
    assert (row["type"], row["external_id"], row["tags"], row["status"]) == ("task", KEY, ["cssync"], "open")
    assert (row["assignee_id"], row["requester_id"]) == (int(task.owner_source_id or 0),) * 2
    assert row["organization_id"] == int(task.account_source_id)
    assert row["due_at"] == "2026-12-28T12:00:00Z"
    assert [c["public"] for c in row["comments"]] == [False]
    found = find_tickets(live, [task])[KEY]
    changed = content(app, subject="Renew sooner", due_on="2026-12-01", note="the end moved")
    update = Change("u", "update_task", "organizations", found.remote_id, task=changed, stamp=found.stamp)
    assert only(push(live, [update])).state == "verified"
    close = Change("x", "close_task", "organizations", found.remote_id, task=changed,
                   stamp=find_tickets(live, [task])[KEY].stamp)  # fmt: skip
    assert only(push(live, [close])).state == "verified"
    (row,) = made(app)
    assert (row["subject"], row["due_at"][:10], row["status"]) == ("Renew sooner", "2026-12-01", "solved")
    assert find_tickets(live, [task])[KEY].status == "done"
    reopen = Change("o", "reopen_task", "organizations", found.remote_id, task=task,
                    stamp=find_tickets(live, [task])[KEY].stamp)  # fmt: skip
    assert only(push(live, [reopen])).state == "verified"
    assert made(app)[0]["status"] == "open"
    assert app.desk.mails == []


def test_somebody_changed_the_ticket_since_it_was_read(app: ZendeskSandbox, clock: ManualClock, live: Session) -> None:
    task = content(app)
    push_ = list(push(live, [create(task)]))
    found = find_tickets(live, [task])[KEY]
    clock.sleep(10)
    app.touch_ticket(int(push_[0].remote_id or 0), status="pending")
    late = Change(
        "u", "update_task", "organizations", found.remote_id, task=content(app, subject="X"), stamp=found.stamp
    )
    assert only(push(live, [late])).state == "moved"
    assert made(app)[0]["subject"] == "Renew"


LOST = {"drop": True, "answer": SandboxAnswer(503, b"")}


@pytest.mark.parametrize("fault", [LOST, {"drop": True, "after": True}, {"cut": True}])
def test_a_create_without_an_answer_is_unknown_and_found_by_its_key(
    app: ZendeskSandbox, server: SandboxServer, live: Session, fault: dict[str, Any]
) -> None:
    server.faults.append(Fault("POST .*/tickets", **fault))
    task = content(app)
    assert only(push(live, [create(task)])).state == "unknown"
    assert len(server.requests("POST .*/tickets")) == 1
    assert len(find_tickets(live, [task])) == len(made(app)) == ("answer" not in fault)


def test_what_zendesk_refuses_is_said_and_the_next_one_goes_on(app: ZendeskSandbox, live: Session) -> None:
    gone = Change("g", "close_task", "organizations", "999", task=content(app))
    found = {o.key: o for o in push(live, [gone, create(content(app))])}
    assert (found["g"].state, found["c"].state) == ("failed-permanent", "verified")
    assert "RecordNotFound" in found["g"].error


def test_by_default_no_ticket_is_ever_written(app: ZendeskSandbox, opened: Callable[..., Session]) -> None:
    session = opened()
    outcome = only(push(session, [create(content(app))]))
    assert outcome.state == "failed-permanent"
    assert "task_tickets: true" in outcome.error
    assert made(app) == []
    assert ZENDESK.tasks_setting == "task_tickets"
    assert "tickets:write" not in session.settings.scope


def test_the_scope_is_asked_for_only_where_it_is_needed(app: ZendeskSandbox, opened: Callable[..., Session]) -> None:
    app.scopes = tuple(scope for scope in app.scopes if scope != "tickets:write")
    session = opened(task_tickets="true")
    with pytest.raises(ConnectionFault):
        list(push(session, [create(content(app))]))
    findings = {f.subject: f for f in ZENDESK.check(session, {})}
    assert "tickets:write" in findings["scopes"].message


def test_our_tickets_are_tasks_and_no_requests_of_customers(app: ZendeskSandbox, live: Session) -> None:
    only(push(live, [create(content(app))]))
    (row,) = made(app)
    taking = [feed.entity for feed in TICKETS.feeds if feed.when is None or feed.when(row)]
    assert taking == ["crm_task"]
    theirs = next(r for r in app.tickets.records.values() if not is_ours(r))
    assert "crm_task" not in [feed.entity for feed in TICKETS.feeds if feed.when is None or feed.when(theirs)]
