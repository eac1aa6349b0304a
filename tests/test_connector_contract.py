"""Every installed connector keeps the contract; and the suite notices one that does not."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from typing import Any

import pytest

from cssync.connectors import (
    Answer,
    Bucket,
    Change,
    Connector,
    Feed,
    Field,
    Finding,
    Identity,
    Outcome,
    Page,
    PullRequest,
    RemoteTask,
    Session,
    Stream,
    TaskContent,
    Verdict,
    judge_by_status,
)
from cssync.connectors.declared import declaration_faults
from cssync.connectors.testing import assert_connector_keeps_contract
from cssync.errors import ConnectionFault, CssyncError
from cssync.plugins import load, plugins
from cssync.sandbox.make_world import make

OWN_FIELD = {"salesforce": "CSSync_Contract__c"}


@pytest.mark.parametrize("connector", plugins().connectors.values(), ids=lambda c: c.name)
def test_keeps_the_contract(connector: Connector) -> None:
    assert_connector_keeps_contract(connector, own_field=OWN_FIELD.get(connector.name, "cssync_contract"))


def test_the_hooks_of_installed_plugins_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("a hook went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    found = load(entry_points(group="cssync"))
    assert [plugin.error for plugin in found.installed if plugin.error] == []
    assert sorted(found.connectors) == sorted(plugins().connectors)


# --- a connector that does not ----------------------------------------------------------------------------------------

GOOD = replace(plugins().connectors["zendesk"], tasks=False, find_tasks=None, tasks_setting="")
TASKED = plugins().connectors["hubspot"]
FIRST, *OTHERS = GOOD.streams
WORLD = make(8, now=datetime.now(UTC))


class Careless(GOOD.config):  # type: ignore[name-defined,misc]
    """Settings with a secret in the open and a value nobody explains."""

    api_key: str = ""
    region: str = ""


class Lenient(GOOD.config, extra="allow"):  # type: ignore[name-defined,misc,call-arg]
    """Settings that swallow a misspelt name."""


def with_stream(**changed: Any) -> Connector:
    return replace(GOOD, streams=(replace(FIRST, **changed), *OTHERS))


def with_feed(**changed: Any) -> Connector:
    return with_stream(feeds=(replace(FIRST.feeds[0], **changed),))


def with_field(**columns: Any) -> Connector:
    return with_feed(fields={**FIRST.feeds[0].fields, **columns})


def with_vendor(**changed: Any) -> Connector:
    return replace(GOOD, vendor=lambda settings: replace(GOOD.vendor(settings), **changed))


def trusting(answer: Answer) -> Verdict:
    return Verdict("ok") if answer.json()["results"] else judge_by_status(answer)


DECLARED: dict[str, tuple[Connector, str]] = {
    "name": (replace(GOOD, name="Zen Desk"), "name: 'Zen Desk' must be"),
    "title": (replace(GOOD, title=" "), "title: give"),
    "open secret": (replace(GOOD, config=Careless), "config api_key: looks like a secret"),
    "no description": (replace(GOOD, config=Careless), "config region: describe it"),
    "extra settings": (replace(GOOD, config=Lenient), "config: keep extra='forbid'"),
    "no settings": (replace(GOOD, config=dict), "config: must be a subclass"),  # type: ignore[arg-type]
    "sandbox settings": (replace(GOOD, sandbox_settings={"colour": "red"}), "sandbox_settings: they do not make"),
    "any host": (replace(GOOD, hosts=".*"), "also matches '127.0.0.1'"),
    "unescaped dot": (replace(GOOD, hosts=r"[a-z0-9-]+\.zendesk.com"), ".zendeskxcom'"),
    "open end": (replace(GOOD, hosts=r"[a-z0-9-]+\.zendesk\.com.*"), ".evil.example'"),
    "open start": (replace(GOOD, hosts=r".*zendesk\.com"), "also matches 'evilzendesk.com'"),
    "other host": (replace(GOOD, hosts=r"api\.other\.example"), "does not match the host of the vendor's own"),
    "bad pattern": (replace(GOOD, hosts="("), "hosts: is not a regular expression"),
    "judge trusts": (with_vendor(judge=lambda answer: Verdict("ok")), "judge on 403: says 'ok'"),
    "judge trips": (with_vendor(judge=trusting), "judge or pause raised"),
    "judge hurries": (with_vendor(judge=lambda a: Verdict("wait", 1.0) if a.status == 429 else judge_by_status(a)),
                      "judge on 429: does not wait as long as Retry-After asks"),
    "judge silent": (with_vendor(judge=lambda answer: None), "judge on 200: must return a Verdict"),
    "concurrency": (with_vendor(concurrency=0), "concurrency must be at least 1"),
    "bucket": (with_vendor(buckets=(Bucket("all", 0, 1.0),)), "bucket all: needs"),
    "bucket pattern": (with_vendor(buckets=(Bucket("all", 1, 1.0, "("),)), "bucket all: paths"),
    "vendor raises": (replace(GOOD, vendor=lambda settings: 1 / 0), "vendor: raised ZeroDivisionError"),
    "no push": (replace(GOOD, push=None), "push: stream organizations is writable"),
    "no target": (replace(GOOD, streams=tuple(replace(s, writable=False) for s in GOOD.streams)), "push: there is"),
    "no find_tasks": (replace(GOOD, tasks=True), "tasks: tasks=True needs push and find_tasks"),
    "no streams": (replace(GOOD, streams=(), push=None), "streams: declare at least one"),
    "same name": (replace(GOOD, streams=(*GOOD.streams, FIRST)), "stream organizations: the name is used twice"),
    "stream name": (with_stream(name="../x"), "stream ../x: the name must be"),
    "no feed": (with_stream(feeds=()), "stream organizations: declare at least one Feed"),
    "page size": (with_stream(page_size=0), "page_size and requests_per_1000 must be above 0"),
    "lag": (with_stream(lag=timedelta(seconds=-1)), "lag cannot be negative"),
    "scope": (with_stream(scope=""), "say in `scope`"),
    "deletes": (with_stream(deletes=""), "say in `deletes`"),
    "entity": (with_feed(entity="acount"), "feed acount: there is no such entity"),
    "key": (with_feed(key=""), "key must say where the id is"),
    "column": (with_field(nmae="name"), "account_source.nmae: is not a column a connector may fill"),
    "own column": (with_field(account_uid="id"), "account_source.account_uid: is not a column"),
    "no source": (with_field(name=Field()), "account_source.name: needs a source or a const"),
    "two sources": (with_field(name=Field(("name", "id"))), "account_source.name: several sources need a `read`"),
    "value": (with_field(status=Field(const="happy")), "account_source.status: 'happy' is not one of"),
    "no account": (with_feed(entity="contact", fields={"name": "name"}), "feed contact: feed account_source_id"),
}  # fmt: skip


@pytest.mark.parametrize(("connector", "words"), DECLARED.values(), ids=DECLARED.keys())
def test_notices_a_wrong_declaration(connector: Connector, words: str) -> None:
    assert any(words in fault for fault in declaration_faults(connector))


Pages = Callable[[Session, PullRequest], Iterator[Page]]


def endless(session: Session, request: PullRequest) -> Iterator[Page]:
    while True:
        yield Page(())


def without_end(session: Session, request: PullRequest) -> Iterator[Page]:
    for page in FIRST.pages(session, request):
        yield replace(page, last=False)


def beyond_the_end(session: Session, request: PullRequest) -> Iterator[Page]:
    yield from FIRST.pages(session, request)
    yield Page((), last=True)


def from_the_beginning(session: Session, request: PullRequest) -> Iterator[Page]:
    yield from FIRST.pages(session, replace(request, cursor=None))


def odd_cursor(session: Session, request: PullRequest) -> Iterator[Page]:
    for page in FIRST.pages(session, replace(request, cursor=None)):
        yield replace(page, cursor={"at": datetime.now(UTC)})


def without_ids(session: Session, request: PullRequest) -> Iterator[Page]:
    for page in FIRST.pages(session, request):
        yield replace(page, records=[{k: v for k, v in r.items() if k != "id"} for r in page.records])


def nothing(session: Session, request: PullRequest) -> Iterator[Page]:
    session.get("/api/v2/users/me")
    yield Page((), last=True)


def swallowing(session: Session, request: PullRequest) -> Iterator[Page]:
    try:
        yield from FIRST.pages(session, request)
    except CssyncError:
        yield Page((), last=True)


def buggy(session: Session, request: PullRequest) -> Iterator[Page]:
    yield Page([{"id": session.get("/api/v2/users/me").json()["nobody"]}])


def forgetful(session: Session, changes: Sequence[Change]) -> Iterator[Outcome]:
    assert GOOD.push
    yield from list(GOOD.push(session, changes))[:-1]


def boastful(session: Session, changes: Sequence[Change]) -> Iterator[Outcome]:
    yield from (Outcome(change.key, "verified", change.source_id) for change in changes)


def talkative(session: Session) -> Identity:
    try:
        return GOOD.identity(session)
    except ConnectionFault as fault:
        secret = session.settings.client_secret or session.settings.token
        raise ConnectionFault(f"refused {secret.get_secret_value()}") from fault


def moody(session: Session) -> Identity:
    return replace(GOOD.identity(session), org_id=str(session.requests))


def unlocked(session: Session) -> Identity:
    return Identity("1", "Anybody", "sandbox")


def silent(session: Session, mapped: Any) -> Iterator[Finding]:
    yield Finding("everything", "ok", "fine")


def duplicating(session: Session, tasks: Sequence[TaskContent]) -> dict[str, RemoteTask]:
    return {}


BEHAVING: dict[str, tuple[Connector, str]] = {
    "endless": (with_stream(pages=endless), "it does not come to an end"),
    "no end": (with_stream(pages=without_end), "must end with a Page(last=True)"),
    "after the end": (with_stream(pages=beyond_the_end), "yields a page after the one marked last"),
    "ignores its cursor": (with_stream(pages=from_the_beginning), "older than the lag explains"),
    "cursor": (with_stream(pages=odd_cursor), "its cursor dict is not JSON"),
    "ids": (with_stream(pages=without_ids), "cannot be normalised: the record has no usable id"),
    "no records": (with_stream(pages=nothing), "sandbox of stream organizations: it holds no record"),
    "swallows errors": (with_stream(pages=swallowing), "organizations on a refusal (403): took it for 0 records"),
    "bug": (with_stream(pages=buggy), "stream organizations: raised KeyError"),
    "wrong type": (with_field(employee_count="name"), "cannot be normalised: name -> account_source.employee_count"),
    "lost outcome": (replace(GOOD, push=forgetful), "push: must yield exactly one Outcome for each Change"),
    "unwritten": (replace(GOOD, push=boastful), "read: after writing 40 to cssync_contract it shows None"),
    "secret": (replace(GOOD, identity=talkative), "secrets: the error for a 401 shows a credential"),
    "two identities": (replace(GOOD, identity=moody), "identity: two calls gave two answers"),
    "no identity": (replace(GOOD, identity=unlocked), "identity: succeeds although the vendor answers 401"),
    "check": (replace(GOOD, check=silent), "check: says nothing of a mapped field"),
    "tasks": (replace(TASKED, find_tasks=duplicating), "find_tasks: does not find the one task that was created"),
}  # fmt: skip


@pytest.mark.parametrize(("connector", "words"), BEHAVING.values(), ids=BEHAVING.keys())
def test_notices_wrong_behaviour(connector: Connector, words: str) -> None:
    with pytest.raises(AssertionError) as failure:
        assert_connector_keeps_contract(connector, world=WORLD)
    assert words in str(failure.value)


def test_names_the_connector_the_number_of_faults_and_each_of_them() -> None:
    broken = replace(with_stream(scope="", deletes=""), title="")
    with pytest.raises(AssertionError) as failure:
        assert_connector_keeps_contract(broken)
    head, *faults = str(failure.value).splitlines()
    assert head == "connector 'zendesk' does not keep the contract in 3 places:"
    assert len(faults) == 3


def test_an_exemption_excuses_its_place_only_and_must_be_needed() -> None:
    broken = with_stream(scope="", name="Organizations")
    with pytest.raises(AssertionError, match="title"):
        assert_connector_keeps_contract(
            replace(broken, title=""), exempt={"stream Organizations": "as the vendor has it"}
        )
    with pytest.raises(AssertionError, match=r"stream users: exempt \(no reason\) but nothing is wrong"):
        assert_connector_keeps_contract(
            broken, exempt={"stream Organizations": "as the vendor has it", "stream users": "no reason"}
        )


def test_a_connector_without_a_sandbox_is_checked_by_its_declarations() -> None:
    plain = Stream(
        name="companies",
        feeds=(Feed("account_source", {"name": "name"}),),
        pages=nothing,
        deletes="not seen",
        scope="read",
    )
    assert_connector_keeps_contract(replace(GOOD, streams=(plain,), push=None, read=None, provision=None, sandbox=None))
