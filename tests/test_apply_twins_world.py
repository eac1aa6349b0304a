"""Twin runs in a world that does not stand still: limits, tokens, people and automations at work while we write.

Where somebody else's change is to stay, the twin's world is that of the undisturbed run but for it, and the journal
says to the row what cssync wrote beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.runs.sessions import WrongOrg
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.writeback.plan import latest_plan
from cssync_salesforce.soql import checksum
from office import CREATES, LOOKS, UPDATES, Office
from twins import Twin, come_through

VENDORS = tuple(UPDATES)
EDITED = {"hubspot": "yellow", "salesforce": "yellow", "zendesk": "cs_health_band_yellow"}
"""The band that people and automations set, as the vendor holds it; as we read it, it is `yellow`."""


@pytest.fixture
def office(tmp_path: Path, calm: dict[str, Twin], vendor: str) -> Iterator[Office]:
    with calm[vendor].disturbed(tmp_path) as found:
        yield found


def edit(office: Office, vendor: str, source_id: str, **values: Any) -> None:
    """A person or an automation changes an account's record. band: our field; any other name is the vendor's own."""
    app: Any = office.server.app
    if vendor == "hubspot":
        app.portal.edit("companies", source_id, **{n.replace("band", "cs_health_band"): v for n, v in values.items()})
    elif vendor == "salesforce":
        app.edit("Account", source_id, **{n.replace("band", "CS_Health_Band__c"): v for n, v in values.items()})
    else:
        fields = {"cs_health_band": values.pop("band")} if "band" in values else {}
        app.write(int(source_id), {**values, "organization_fields": fields})


OTHER = {"hubspot": "industry", "salesforce": "Industry", "zendesk": "notes"}


def records(office: Office) -> list[str]:
    return [row["source_id"] for row in office.store.query("SELECT source_id FROM account_source ORDER BY source_id")]


def someone(calm: dict[str, Twin], vendor: str) -> tuple[str, str]:
    """(record, our field) of an account whose band is green."""
    return next((record, name) for record, name, value in calm[vendor].journal if value.endswith("green"))


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS)
def test_limits_of_a_few_calls_cost_time_and_nothing_else(office: Office, calm: dict[str, Twin], vendor: str) -> None:
    """HubSpot: 4 calls in 10 s; Zendesk: 4 a minute; Salesforce tells of too many at once by a 403."""
    app: Any = office.server.app
    if vendor == "hubspot":
        app.burst, app.search_rate = 4, 1
    elif vendor == "zendesk":
        app.limits["account"].total = 4
    else:
        busy = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentPerOrgLongTxn Limit exceeded."}]
        for route in (UPDATES, CREATES, LOOKS):
            office.server.faults.append(Fault(route[vendor], answer=SandboxAnswer(403, busy), times=2))
    come_through(office, 9, every=120)
    assert any(entry.status in (403, 429) for entry in office.server.journal) or office.clock.slept
    calm[vendor].must_equal(office)


def test_a_queue_of_jobs_that_others_filled_is_waited_for(tmp_path: Path, calm: dict[str, Twin]) -> None:
    with calm["zendesk"].disturbed(tmp_path) as office:
        app: Any = office.server.app
        for number in range(30):
            app.jobs[f"V3-other{number}"] = type(app.jobs.setdefault("x", _job(app)))([], app.now() + 90)
        del app.jobs["x"]
        come_through(office, 5)
        assert office.server.requests("update_many")[0].status == 429
        calm["zendesk"].must_equal(office)


def _job(app: Any) -> Any:
    from cssync_zendesk.sandbox import Job

    return Job([], app.now())


@pytest.mark.parametrize("vendor", ["hubspot", "salesforce"])
@pytest.mark.parametrize("what", [UPDATES, CREATES], ids=["fields", "tasks"])
def test_a_day_whose_allowance_ends_while_we_write_is_finished_on_the_next(
    office: Office, calm: dict[str, Twin], vendor: str, what: dict[str, str]
) -> None:
    """Zendesk has no allowance by the day."""
    app: Any = office.server.app
    allowed = app.daily
    office.server.faults.append(Fault(what[vendor], act=lambda: setattr(app, "daily", 0)))
    assert not office.run()
    before = len(office.server.journal)
    assert not office.run()
    assert len(office.server.journal) - before <= 2, "nobody knocks on a day that is over"
    app.daily, app.used = allowed, 0
    office.clock.now += 90_000
    come_through(office, 3)
    calm[vendor].must_equal(office)


# --- tokens -----------------------------------------------------------------------------------------------------------

LOGIN = {
    "hubspot": {"client_id": "sandbox-app", "client_secret": "sandbox-app-secret",
                "refresh_token": "sandbox-refresh-token"},
    "zendesk": {"subdomain": "sandbox", "client_id": "cssync-sandbox", "client_secret": "sandbox-zendesk-secret",
                "refresh_token": "sandbox-refresh-0"},
    "salesforce": None,
}  # fmt: skip
"""How a connection logs in whose tokens end; Zendesk's refresh token changes with each use."""


@pytest.mark.parametrize("what", [UPDATES, CREATES, LOOKS], ids=["fields", "tasks", "looks"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_token_that_ends_while_we_write_is_renewed_in_the_same_run(
    tmp_path: Path, calm: dict[str, Twin], vendor: str, what: dict[str, str]
) -> None:
    with calm[vendor].disturbed(tmp_path, login=LOGIN[vendor]) as office:
        app: Any = office.server.app

        def end() -> None:
            (app._granted if vendor == "hubspot" else app.tokens).clear()

        office.server.faults.append(Fault(what[vendor], act=end))
        assert office.run()
        assert any(entry.status == 401 for entry in office.server.journal)
        calm[vendor].must_equal(office)


# --- people -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["ours", "theirs", "unless-edited"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_an_edit_between_plan_and_apply_is_seen_before_the_write(
    office: Office, calm: dict[str, Twin], vendor: str, policy: Any
) -> None:
    record, name = someone(calm, vendor)
    office.follow(policy)
    assert not office.run(lambda: edit(office, vendor, record, band=EDITED[vendor], **{OTHER[vendor]: "Energy"}))
    office.clock.sleep(120)
    come_through(office, 3, pull=True)
    if policy == "ours":
        calm[vendor].must_equal(office)
        return
    with_row = office.ledger.journal
    theirs = next(row for row in calm[vendor].journal if row[:2] == (record, name))
    assert sorted([*with_row, theirs]) == calm[vendor].journal
    kept = {**calm[vendor].world[0][record], field_of(calm, vendor, record, name): "yellow"}
    assert office.world()[0] == {**calm[vendor].world[0], record: kept}
    plan = latest_plan(office.store, ("applied", "open"))
    assert plan is not None
    assert [n.kind for n in plan.notes] == (["conflict"] if policy == "unless-edited" else [])


def field_of(calm: dict[str, Twin], vendor: str, record: str, name: str) -> str:
    return next(field for field in calm[vendor].world[0][record] if field.casefold() == name.casefold())


@pytest.mark.parametrize("policy", ["ours", "unless-edited"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_an_edit_between_sending_and_reading_back_is_a_persons(
    office: Office, calm: dict[str, Twin], vendor: str, policy: Any
) -> None:
    """The answer to the write is lost, so it is looked for: what is found there is not what was sent."""
    record, name = someone(calm, vendor)
    row = next(row for row in calm[vendor].journal if row[:2] == (record, name))
    office.follow(policy)
    fault = Fault(UPDATES[vendor], drop=True, after=True)
    if vendor == "zendesk":  # its write is a job: the person is there once that is through
        fault = Fault("GET .*/job_statuses/", times=6, answer=SandboxAnswer(500), after=True)
    fault.then = lambda: edit(office, vendor, record, band=EDITED[vendor])
    office.server.faults.append(fault)
    office.run()
    (entry,) = office.store.query("SELECT state, error FROM outbox WHERE source_id = ? AND field = ?",
                                  (record, field_of(calm, vendor, record, name)))  # fmt: skip
    assert entry["state"] == "refused"
    assert "the CRM holds 'yellow' now" in entry["error"]
    office.clock.sleep(120)
    come_through(office, 4, pull=True)
    kept = {record: {field_of(calm, vendor, record, name): "yellow"}}
    calm[vendor].must_equal(office, but={} if policy == "ours" else kept, more=[row] if policy == "ours" else [])


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_tag_or_other_field_that_a_person_sets_meanwhile_stays(
    office: Office, calm: dict[str, Twin], vendor: str
) -> None:
    record, _ = someone(calm, vendor)
    app: Any = office.server.app

    def person() -> None:
        edit(office, vendor, record, **({"tags": ["vip"]} if vendor == "zendesk" else {OTHER[vendor]: "Energy"}))

    office.server.faults.append(Fault(UPDATES[vendor], act=person))
    come_through(office, 3, pull=True)
    calm[vendor].must_equal(office)
    if vendor == "zendesk":
        assert set(app.organizations.records[int(record)]["tags"]) == {"vip", "cs_health_band_green"}
    elif vendor == "hubspot":
        assert app.portal.things["companies"][record].properties["industry"] == "Energy"
    else:
        assert app.tables["Account"][record]["Industry"] == "Energy"


# --- automations, and a world in which everything moves ---------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_automation_that_answers_our_write_with_a_change_of_its_own_starts_nothing(
    office: Office, calm: dict[str, Twin], vendor: str
) -> None:
    """It sets another field of every record we wrote: our writes come back changed, and nothing is written again."""

    def automation() -> None:
        for record in calm[vendor].world[0]:
            edit(office, vendor, record, **{OTHER[vendor]: f"seen {office.clock.time()}"})

    office.server.faults.append(Fault(UPDATES[vendor], times=99, then=automation))
    come_through(office, 2)
    for _ in range(4):
        office.clock.sleep(3600)
        office.pull()
        assert office.run()
    calm[vendor].must_equal(office)


@pytest.mark.parametrize("policy", ["ours", "unless-edited"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_an_automation_that_sets_our_own_field_back_is_seen_and_not_fought_for_ever(
    office: Office, calm: dict[str, Twin], vendor: str, policy: Any
) -> None:
    record, name = someone(calm, vendor)
    row = next(row for row in calm[vendor].journal if row[:2] == (record, name))
    office.follow(policy)

    def automation() -> None:
        edit(office, vendor, record, band=EDITED[vendor])

    done = {**UPDATES, "zendesk": "GET .*/job_statuses/.*"}[vendor]
    single = r"|PATCH .*/sobjects/Account/|PATCH .*/companies/\d+$"
    office.server.faults.append(Fault(done + single, times=99, then=automation))
    for _ in range(5):
        office.run()
        office.clock.sleep(7200)
        office.pull()
    plan = latest_plan(office.store, ("applied", "open"))
    assert plan is not None
    (note,) = plan.notes
    assert (note.kind, note.field.casefold()) == ("conflict", name.casefold())
    assert ("look for an automation" in note.message) == (policy == "ours")
    kept = {record: {field_of(calm, vendor, record, name): "yellow"}}
    calm[vendor].must_equal(office, but=kept, more=[row] * 2 if policy == "ours" else [])


@pytest.mark.parametrize("vendor", VENDORS)
def test_ten_runs_over_a_world_in_which_every_record_is_touched_at_every_look_write_once(
    office: Office, calm: dict[str, Twin], vendor: str
) -> None:
    """Records are bumped while we look and between the pages of what we read."""
    app: Any = office.server.app
    app.batch = app.association_page = app.list_page = app.search_page = 2

    def bump() -> None:
        office.clock.now += 1
        for record in calm[vendor].world[0]:
            edit(office, vendor, record, **{OTHER[vendor]: str(office.clock.time())})

    office.server.faults.append(Fault(r"^GET|/batch/read|/search", times=10_000, act=bump))
    for number in range(10):
        if number % 3 == 1:
            office.pull()
        office.run()
        assert office.ledger.journal == calm[vendor].journal
        office.clock.sleep(3600)
    calm[vendor].must_equal(office)


def other_organisation(app: Any) -> Callable[[], None]:
    """Let another organisation answer behind the same credentials; returns what brings ours back. Zendesk numbers no
    account: it is the address that it gives its user."""
    if hasattr(app, "desk"):
        elsewhere = {"url": "https://other.zendesk.com/api/v2/users/1.json", "id": 1, "role": "admin"}
        app._me = lambda request: SandboxAnswer(body={"user": elsewhere})
        return lambda: delattr(app, "_me")
    if hasattr(app, "portal"):
        app.portal.portal_id += 1
        return lambda: setattr(app.portal, "portal_id", app.portal.portal_id - 1)
    held = app.tables["Organization"]
    (org,) = held.values()
    other = "00D5g0000099999" + checksum("00D5g0000099999")
    app.tables["Organization"] = {other: {**org, "Id": other}}
    return lambda: app.tables.update(Organization=held)


@pytest.mark.parametrize("what", [UPDATES, CREATES], ids=["fields", "tasks"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_another_organisation_behind_the_token_gets_nothing_from_the_next_run_on(
    office: Office, calm: dict[str, Twin], vendor: str, what: dict[str, str]
) -> None:
    """The credentials are exchanged while a write is on its way, which is lost."""
    back: list[Callable[[], None]] = []

    def exchange() -> None:
        back.append(other_organisation(office.server.app))
        office.server.faults.append(Fault(".", times=99, answer=SandboxAnswer(503)))

    office.server.faults.append(Fault(what[vendor], act=exchange, drop=True, answer=SandboxAnswer(503)))
    office.run()
    before = list(office.ledger.rows)
    office.server.faults.clear()
    with pytest.raises(WrongOrg):
        office.run()
    assert office.ledger.rows == before
    (restore,) = back
    restore()
    come_through(office, 3)
    calm[vendor].must_equal(office)


def test_another_zendesk_account_under_the_same_address_shows_no_record_of_ours_and_gets_nothing(
    tmp_path: Path, calm: dict[str, Twin]
) -> None:
    """An account that was given up, and its name taken by somebody else: nothing in an answer tells it from ours but
    that it holds none of our records."""
    with calm["zendesk"].disturbed(tmp_path) as office:
        app: Any = office.server.app
        kinds = (app.organizations, app.users, app.tickets)
        ours = [dict(kind.records) for kind in kinds]

        def taken() -> None:
            for kind in kinds:
                kind.records = {key + 1: {**row, "id": key + 1} for key, row in kind.records.items()}

        office.run(taken)
        assert office.ledger.rows == []
        for kind, held in zip(kinds, ours, strict=True):
            kind.records = held
        come_through(office, 3)
        calm["zendesk"].must_equal(office)
