"""The whole way over real HTTP: sandbox, session, sync, store, and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Connection, Workspace, Writeback
from cssync.connectors import Change, OwnField, Session
from cssync.errors import ConnectionFault
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer
from cssync.sandbox.world import World, record_id
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync_zendesk import ZENDESK
from cssync_zendesk.sandbox import Window, ZendeskSandbox
from cssync_zendesk.task_tickets import is_ours

Open = Callable[..., Session]
FIELDS = {"cs_health_score": "health.score", "cs_health_band": "health.band"}
OWN = [
    OwnField("cs_health_score", "Health score", "integer"),
    OwnField("cs_health_band", "Health band", "enum", ("green", "yellow", "red", "unknown")),
    OwnField("cs_upsell_signal", "Upsell signals", "multi", ("U01", "U03")),
    OwnField("cs_renewal_date", "Renewal", "date"),
]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


class Desk:
    """A workspace with one Zendesk connection, pulled again and again into one store."""

    def __init__(self, store: Store, session: Session, tmp_path: Path) -> None:
        self.store, self.session = store, session
        connection = Connection("desk", ZENDESK, session.settings, ZENDESK.streams)
        self.workspace = Workspace(
            name="test",
            path=tmp_path / "cssync.yaml",
            timezone=ZoneInfo("Asia/Tokyo"),
            currency="JPY",
            store=tmp_path / "store.db",
            connections={"desk": connection},
            writeback={"desk": Writeback("desk", "organizations", FIELDS)},
        )

    def pull(self, **options: Any) -> dict[str, StreamReport]:
        reports = sync(self.store, self.workspace, {"desk": self.session}, run_id="r", **options)
        for r in reports:
            assert r.read == r.new + r.changed + r.same + r.echo + r.tombstoned + r.incomplete + r.quarantined
        return {r.stream: r for r in reports}

    def ids(self, entity: str, where: str = "deleted_at IS NULL") -> set[str]:
        return {row[0] for row in self.store.query(f'SELECT source_id FROM "{entity}" WHERE {where}')}


@pytest.fixture
def desk(store: Store, live: Open, tmp_path: Path) -> Desk:
    return Desk(store, live(), tmp_path)


@pytest.fixture(autouse=True)
def _later(app: ZendeskSandbox) -> None:
    """The world is long past the last minute, and what a test does shows after `pass_a_minute`."""
    app.clock = lambda: app.world.now.timestamp() + 3_600


def pass_a_minute(app: ZendeskSandbox, minutes: int = 5) -> None:
    at = app.clock() + 60 * minutes
    app.clock = lambda: at


def test_the_store_equals_the_world(desk: Desk, world: World, app: ZendeskSandbox) -> None:
    reports = desk.pull()
    assert {name: r.outcome for name, r in reports.items()} == dict.fromkeys(reports, "ok")
    known = [c for c in world.companies if "zendesk" in c.names]
    assert desk.ids("account_source") == {record_id("zendesk", "account", c.key) for c in known}
    assert desk.ids("contact") == {record_id("zendesk", "contact", p.key) for c in known for p in c.people}
    assert desk.ids("ticket") == {record_id("zendesk", "ticket", r.key) for c in known for r in c.requests}
    assert len(desk.ids("user")) == len(world.staff) + 1
    rated = {record_id("zendesk", "ticket", r.key) for c in known for r in c.requests if r.rating in ("good", "bad")}
    assert desk.ids("survey_response") == rated != set()
    assert desk.ids("ticket_metric") == desk.ids("ticket")
    orphans = desk.store.query("SELECT count(*) FROM ticket WHERE account_source_id IS NULL")[0][0]
    assert 0 < orphans < len(desk.ids("ticket")) / 5


def test_a_still_world_costs_one_request_a_stream_and_changes_nothing(desk: Desk, server: SandboxServer) -> None:
    desk.pull()
    before = len(server.journal)
    reports = desk.pull()
    assert [(r.new, r.changed, r.tombstoned) for r in reports.values()] == [(0, 0, 0)] * 3
    assert len(server.journal) - before == 3


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_any_page_size_gives_the_same_store(
    desk: Desk, world: World, app: ZendeskSandbox, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cssync_zendesk.streams.PAGE", size)
    app.limits = {}
    for number, key in enumerate(sorted(app.organizations.generated)):
        app.organizations.generated[key] = 1_700_000_000 + number // 3  # three share each second
    if size == 1:  # the exports of people and tickets would only repeat the same lesson a thousand times
        app.tickets.generated = dict(list(app.tickets.generated.items())[:40])
        app.users.generated = dict(list(app.users.generated.items())[:40])
    desk.pull()
    assert desk.ids("account_source") == {
        record_id("zendesk", "account", c.key) for c in world.companies if "zendesk" in c.names
    }
    theirs = {str(key) for key in app.tickets.generated if not is_ours(app.tickets.records[key])}
    assert desk.ids("ticket") == theirs
    assert desk.ids("crm_task") == {str(key) for key in app.tickets.generated} - theirs


@pytest.mark.parametrize("name", ["organizations", "users", "tickets"])
def test_an_export_that_was_cut_off_goes_on_behind_what_is_stored(
    desk: Desk, app: ZendeskSandbox, server: SandboxServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cssync_zendesk.streams.PAGE", 10)
    app.limits = {}
    lost = Fault(f"GET .*/incremental/{name}", nth=4, times=99, answer=SandboxAnswer(403, {"error": "Forbidden"}))
    server.faults.append(lost)
    report = desk.pull(stream=name)[name]
    assert report.outcome == "failed"
    assert 25 < report.read <= 30
    server.faults.clear()
    server.journal.clear()
    assert desk.pull(stream=name)[name].outcome == "ok"
    first = server.requests(f"GET .*/incremental/{name}")[0]
    assert int(first.query.get("start_time", 1)) > 0, "it does not begin anew"
    kept = {"organizations": "account_source", "users": "contact", "tickets": "ticket"}[name]
    found = desk.ids(kept)
    with Store.open(desk.workspace.path.parent / "whole.db") as whole:
        desk.store = whole
        desk.pull(stream=name)
        assert desk.ids(kept) == found


def test_the_last_minute_is_read_in_the_next_run(desk: Desk, app: ZendeskSandbox) -> None:
    desk.pull()
    ticket, organization = min(app.tickets.records), min(app.organizations.records)
    app.touch_ticket(ticket, subject="Changed")
    app.write(organization, {"name": "改名株式会社"})
    assert [r.changed for r in desk.pull().values()] == [0, 0, 0]
    pass_a_minute(app)
    assert {n: r.changed for n, r in desk.pull().items()} == {"organizations": 1, "users": 0, "tickets": 1}
    assert desk.store.query("SELECT name FROM account_source WHERE source_id = ?", (str(organization),))[0][0] == (
        "改名株式会社"
    )


def test_a_system_change_with_an_old_updated_at_is_seen(desk: Desk, app: ZendeskSandbox) -> None:
    desk.pull()
    ticket = min(app.tickets.records)
    app.tickets.records[ticket]["priority"] = "urgent"
    app.touch_ticket(ticket)
    pass_a_minute(app)
    assert desk.pull()["tickets"].changed == 1


def test_deleted_scrubbed_and_restored_records(desk: Desk, app: ZendeskSandbox) -> None:
    desk.pull()
    rated = int(min(desk.ids("survey_response")))
    others = [t for t, r in app.tickets.records.items() if t != rated and r["organization_id"]]
    scrubbed, restored, organization = others[0], others[1], min(app.organizations.records)
    app.touch_ticket(rated, status="deleted")
    app.scrub_ticket(scrubbed)
    was = app.tickets.records[restored]["status"]
    app.touch_ticket(restored, status="deleted")
    app.delete_organization(organization)
    person = next(u for u, r in app.users.records.items() if r["role"] == "end-user")
    app.users.records[person]["active"] = False
    app.users.generated[person] = int(app.now())
    pass_a_minute(app)
    reports = desk.pull()
    assert [r.tombstoned for r in reports.values()] == [1, 1, 3]
    gone = {str(rated), str(scrubbed), str(restored)}
    assert not gone & desk.ids("ticket")
    assert not gone & desk.ids("ticket_metric")
    assert str(rated) not in desk.ids("survey_response")
    assert (str(organization) in desk.ids("account_source"), str(person) in desk.ids("contact")) == (False, False)
    kept = desk.store.query("SELECT account_source_id, subject FROM ticket WHERE source_id = ?", (str(scrubbed),))[0]
    assert kept["account_source_id"] is not None
    assert kept["subject"] != "SCRUBBED"
    app.touch_ticket(restored, status=was)
    pass_a_minute(app)
    desk.pull()
    assert str(restored) in desk.ids("ticket")


def test_a_row_that_a_record_makes_no_more_is_gone_and_comes_back(desk: Desk, app: ZendeskSandbox) -> None:
    desk.pull()
    rated = int(min(desk.ids("survey_response")))
    rating = app.tickets.records[rated]["satisfaction_rating"]
    person = next(u for u, r in app.users.records.items() if r["role"] == "end-user" and r.get("active", True))
    others = {entity: desk.ids(entity) - {str(rated), str(person)} for entity in ("survey_response", "contact", "user")}
    for role, score, held in (("agent", {"score": "offered"}, False), ("end-user", rating, True)):
        app.users.put({**app.users.records[person], "role": role}, datetime.fromtimestamp(app.now(), UTC))
        app.touch_ticket(rated, satisfaction_rating=score)
        pass_a_minute(app)
        reports = desk.pull()
        assert [r.tombstoned for r in reports.values()] == [0, 0, 0]
        assert reports["users"].new + reports["users"].changed == 1
        assert (str(person) in desk.ids("contact"), str(person) in desk.ids("user")) == (held, not held)
        assert (str(rated) in desk.ids("survey_response")) is held
        for entity, kept in others.items():
            assert desk.ids(entity) - {str(rated), str(person)} == kept
    metrics = desk.ids("ticket_metric")
    app.touch_ticket(rated, subject="no metrics beside it")
    app.tickets.records[rated].pop("satisfaction_rating")
    pass_a_minute(app)
    desk.pull()
    assert str(rated) in desk.ids("survey_response")  # not told is not withdrawn
    assert desk.ids("ticket_metric") == metrics


def test_a_cut_page_and_a_busy_vendor_cost_nothing_but_time(desk: Desk, world: World, server: SandboxServer) -> None:
    busy = SandboxAnswer(429, b"Number of allowed API requests per minute exceeded", {"Content-Type": "text/plain"})
    server.faults += [
        Fault("incremental/tickets", cut=True),
        Fault("incremental/users", answer=busy),
        Fault("incremental/organizations", answer=SandboxAnswer(503, b"<html>", {"Retry-After": "5"})),
    ]
    reports = desk.pull()
    assert {r.outcome for r in reports.values()} == {"ok"}
    assert len(desk.ids("account_source")) == sum("zendesk" in c.names for c in world.companies)


def test_one_stream_that_fails_leaves_the_others_and_its_checkpoint(desk: Desk, server: SandboxServer) -> None:
    desk.pull()
    (before,) = desk.store.query("SELECT cursor FROM source_state WHERE stream = 'tickets'")
    page = SandboxAnswer(200, b"<html>suspended</html>", {"Content-Type": "text/html"})
    server.faults.append(Fault("incremental/tickets", answer=page, times=99))
    reports = desk.pull()
    assert {n: r.outcome for n, r in reports.items()} == {"organizations": "ok", "users": "empty", "tickets": "failed"}
    assert "text/html" in str(reports["tickets"].error)
    assert desk.store.query("SELECT cursor FROM source_state WHERE stream = 'tickets'")[0][0] == before[0]


def test_a_small_limit_is_obeyed_without_a_refusal(
    desk: Desk, app: ZendeskSandbox, server: SandboxServer, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cssync_zendesk.streams.PAGE", 20)
    start = app.clock()
    began = clock.monotonic()
    app.clock = lambda: start + clock.monotonic() - began
    app.limits = {"account": Window(2_500), "incremental-exports": Window(30), "incremental-exports-cursor": Window(60)}
    desk.pull()
    statuses = [entry.status for entry in server.journal]
    assert len(statuses) > 20
    assert 429 not in statuses


# --- back ------------------------------------------------------------------------------------------------------------


def test_fields_go_out_come_back_as_echo_and_are_not_written_again(desk: Desk, app: ZendeskSandbox) -> None:
    session = desk.session
    desk.pull()
    assert {f.level for f in ZENDESK.provision(session, "organizations", OWN, True)} == {"would-create"}
    assert {f.level for f in ZENDESK.provision(session, "organizations", OWN, False)} == {"created"}
    assert {f.level for f in ZENDESK.provision(session, "organizations", OWN, False)} == {"ok"}
    ids = sorted(desk.ids("account_source"))
    app.fail[int(ids[3])] = "Name: has already been taken"
    app.delete_organization(int(ids[4]))
    values = {
        "cs_health_score": 82,
        "cs_health_band": "green",
        "cs_upsell_signal": ["U01"],
        "cs_renewal_date": "2027-03-31",
    }
    changes = [Change(f"k{i}", "update", "organizations", i, values) for i in ids]
    states = {o.key: o.state for o in ZENDESK.push(session, changes)}
    assert {k for k, s in states.items() if s != "verified"} == {f"k{ids[3]}", f"k{ids[4]}"}
    live = ZENDESK.read(session, "organizations", ids, [*values])
    assert live[ids[0]] == values
    assert ids[4] not in live
    assert app.organizations.records[int(ids[0])]["tags"] == ["cs_health_band_green", "cs_upsell_signal_u01"]
    pass_a_minute(app)
    report = desk.pull()["organizations"]
    assert report.tombstoned == 1
    held = desk.store.query("SELECT fields FROM crm_state WHERE source_id = ?", (ids[0],))[0]["fields"]
    assert held == '{"cs_health_band":"green","cs_health_score":82}'
    cleared = [Change("k", "update", "organizations", ids[0], dict.fromkeys(values))]
    assert [o.state for o in ZENDESK.push(session, cleared)] == ["verified"]
    assert ZENDESK.read(session, "organizations", [ids[0]], [*values])[ids[0]] == dict.fromkeys(values)


def test_a_field_whose_answer_was_lost_is_not_created_twice(live: Open, server: SandboxServer) -> None:
    server.faults.append(Fault("POST /api/v2/organization_fields", drop=True))
    found = list(ZENDESK.provision(live(), "organizations", OWN[:1], False))
    assert [f.level for f in found] == ["created"]
    assert len(server.requests("POST /api/v2/organization_fields")) == 2


# --- set-up -----------------------------------------------------------------------------------------------------------


def test_identity_names_the_account(live: Open) -> None:
    found = ZENDESK.identity(live())
    assert (found.org_id, found.kind, found.timezone) == ("sandbox", "sandbox", "Asia/Tokyo")


def levels(session: Session, **mapped: list[str]) -> dict[str, tuple[str, str]]:
    return {f.subject: (f.level, f.fix) for f in ZENDESK.check(session, mapped)}


def test_check_is_content_with_a_good_set_up(live: Open, app: ZendeskSandbox) -> None:
    session = live()
    list(ZENDESK.provision(session, "organizations", OWN, False))
    area = next(f.name for f in ZENDESK.describe(session, "tickets") if f.custom)
    found = levels(session, organizations=["cs_health_score"], tickets=[area])
    assert {level for level, _ in found.values()} == {"ok"}
    assert {"api", "role", "scopes", "quota", f"tickets.{area}"} <= set(found)


def test_check_names_a_missing_scope_a_role_and_a_field(live: Open, app: ZendeskSandbox) -> None:
    app.scopes, app.role = ("read",), "agent"
    found = levels(live(), organizations=["plan"])
    assert found["scopes"][0] == "error"
    assert "organizations:write" in found["scopes"][1]
    assert found["role"][0] == "error"
    assert "admin" in found["role"][1]
    assert found["organizations.plan"][0] == "error"


@pytest.mark.parametrize("lacking", ["organizations:write", "tickets:write"])
def test_check_names_each_scope_that_is_not_granted(live: Open, app: ZendeskSandbox, lacking: str) -> None:
    app.scopes = tuple(scope for scope in app.scopes if scope != lacking)
    found = {f.subject: f for f in ZENDESK.check(live(task_tickets=True), {})}
    assert (found["scopes"].level, found["scopes"].message) == ("error", f"not granted: {lacking}")


def test_check_says_that_api_tokens_end(server: SandboxServer, live: Open) -> None:
    legacy = {"client_id": None, "client_secret": None, "email": "cssync@vendor-team.example"}
    assert levels(live(**legacy, token="sandbox-zendesk-token"))["api"][0] == "ok"
    findings = list(ZENDESK.check(live(**legacy, token="sandbox-zendesk-token"), {}))
    assert findings[0].level == "warning"
    assert "30 April 2027" in findings[0].message
    wrong = list(ZENDESK.check(live(**legacy, token="wrong"), {}))
    assert [f.level for f in wrong] == ["warning", "error"]
    assert "OAuth client" in wrong[1].fix


def test_wrong_credentials_are_named_and_an_anonymous_answer_is_not_taken_for_a_login(
    live: Open, server: SandboxServer
) -> None:
    with pytest.raises(ConnectionFault, match="invalid_client"):
        ZENDESK.identity(live(client_secret="canary-wrong"))
    nobody = SandboxAnswer(200, {"user": {"id": None, "name": "Anonymous user"}})
    server.faults.append(Fault("users/me", answer=nobody, times=9))
    with pytest.raises(ConnectionFault, match="anonymous"):
        ZENDESK.identity(live())


def test_the_fields_of_each_stream_are_described(live: Open, app: ZendeskSandbox) -> None:
    session = live()
    list(ZENDESK.provision(session, "organizations", OWN, False))
    described = {f.name: (f.type, f.options, f.writable) for f in ZENDESK.describe(session, "organizations")}
    assert described["cs_health_band"] == ("text", ("green", "yellow", "red", "unknown"), True)
    assert described["cs_upsell_signal"] == ("json", ("U01", "U03"), True)
    assert described["cs_renewal_date"] == ("date", (), True)
    tickets = {f.name: f.writable for f in ZENDESK.describe(session, "tickets")}
    assert any(name.startswith("custom_fields.") for name in tickets)
    assert not any(tickets.values())
