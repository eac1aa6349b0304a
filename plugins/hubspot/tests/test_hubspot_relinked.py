"""Associations that changed alone: no modification date moves, and still the store follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.config.workspace import Connection, Workspace
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync_hubspot import HUBSPOT, relinked
from cssync_hubspot.chosen import streams_of
from cssync_hubspot.links import first
from cssync_hubspot.streams import custom_stream

WEEK = 7 * 86400
READ = "associations/2026-09/{}/batch/read"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def pull(rig: Any, store: Store, *, days: int = 7, mapped: Any = None, **options: Any) -> dict[str, StreamReport]:
    settings = rig.session.settings.model_copy(update={"associations_every_days": days, "line_items": True})
    rig.session.settings = settings
    custom = [custom_stream(name, mapped[name]) for name in mapped or {} if HUBSPOT.stream(name) is None]
    space = Workspace(
        name="acme", path=Path("cssync.yaml"), timezone=rig.session.timezone, currency="JPY", store=Path("store.db"),
        connections={"crm": Connection("crm", HUBSPOT, settings, (*streams_of(settings), *custom), mapped or {})},
    )  # fmt: skip
    reports = sync(store, space, {"crm": rig.session}, run_id="r", **options)
    assert [str(r.error) for r in reports if r.error] == []
    return {r.stream: r for r in reports}


def column(store: Store, table: str, name: str, source_id: str) -> Any:
    (row,) = store.query(f"SELECT {name} FROM {table} WHERE source_id = ? AND deleted_at IS NULL", (source_id,))
    return row[0]


def asked(rig: Any, start: str, end: str) -> int:
    return len(rig.server.requests(READ.format(f"{start}/{end}")))


def moved(rig: Any) -> dict[str, tuple[str, str]]:
    """Link a contact, a deal and a ticket to another company than before; (record id, new company) by object type."""
    portal, found = rig.app.portal, {}
    for kind in ("contacts", "deals", "tickets"):
        record = min(i for i in portal.links[kind, "companies"] if portal.live(kind, i))
        old = next(iter(portal.links[kind, "companies"][record]))
        new = next(i for i in sorted(portal.things["companies"]) if i != old)
        portal.unlink(kind, record, "companies", old)
        portal.link(kind, record, "companies", new)
        found[kind] = (record, new)
    return found


TABLES = {"contacts": "contact", "deals": "opportunity", "tickets": "ticket"}


def test_a_record_linked_to_another_company_follows_within_a_week_and_nothing_else_is_read(
    rig: Any, store: Store
) -> None:
    pull(rig, store)
    changes = moved(rig)
    rig.clock.now += WEEK - 60
    before = rig.session.requests
    ordinary = pull(rig, store)
    assert sum(r.changed for r in ordinary.values()) == 0
    assert rig.session.requests - before <= 8 * len(ordinary)
    assert asked(rig, "contacts", "companies") == 0, "an ordinary run compares nothing"
    rig.clock.now += 120
    reports = pull(rig, store)
    for kind, (record, company) in changes.items():
        assert (reports[kind].changed, reports[kind].read) == (1, 1)
        assert column(store, TABLES[kind], "account_source_id", record) == company
    assert asked(rig, "contacts", "companies") == 2, "one for all contacts, one for the contact that is read again"
    assert asked(rig, "tickets", "contacts") == 2
    rig.clock.now += 60
    assert sum(r.read for kind, r in pull(rig, store).items() if kind in TABLES) == 0
    assert asked(rig, "contacts", "companies") == 2, "the next comparison is a week away"


def test_a_link_that_was_taken_away_is_cleared_and_a_requester_is_followed_too(rig: Any, store: Store) -> None:
    pull(rig, store)
    portal = rig.app.portal
    contact = min(portal.links["contacts", "companies"])
    portal.unlink("contacts", contact, "companies", next(iter(portal.links["contacts", "companies"][contact])))
    ticket, requesters = next((t, r) for t, r in sorted(portal.links["tickets", "contacts"].items()) if r)
    other = next(i for i in sorted(portal.things["contacts"]) if i not in requesters)
    portal.unlink("tickets", ticket, "contacts", next(iter(requesters)))
    portal.link("tickets", ticket, "contacts", other)
    rig.clock.now += WEEK
    pull(rig, store)
    assert column(store, "contact", "account_source_id", contact) is None
    assert column(store, "ticket", "requester_source_id", ticket) == other


def test_a_comparison_that_broke_off_goes_on_behind_what_it_had_compared(
    rig: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relinked, "MOST", 10)
    pull(rig, store, stream="contacts")
    contacts = sorted(rig.app.portal.things["contacts"])
    rig.clock.now += WEEK
    real, calls = rig.app.handle, [0]

    def handle(request: Any) -> Any:
        calls[0] += "/contacts/companies/" in request.path
        return SandboxAnswer(403, {"category": "MISSING_SCOPES"}) if calls[0] > 2 else real(request)

    rig.app.handle = handle
    with pytest.raises(AssertionError):
        pull(rig, store, stream="contacts")
    rig.app.handle = real
    rig.clock.now += 60
    pull(rig, store, stream="contacts")
    sent = [
        i["id"] for e in rig.server.requests("/contacts/companies/batch/read") for i in json.loads(e.body)["inputs"]
    ]
    assert sorted(set(sent)) == contacts
    assert len(sent) == len(contacts) + 10, "only the refused ten were asked for again"


def test_links_that_could_not_be_compared_are_looked_at_in_the_next_run_and_stay_till_then(
    rig: Any, store: Store
) -> None:
    pull(rig, store)
    changes = moved(rig)
    contact, company = changes["contacts"]
    old = column(store, "contact", "account_source_id", contact)
    rig.clock.now += WEEK
    rig.faults.append(Fault("contacts/companies/batch/read", times=10_000, answer=SandboxAnswer(503)))
    pull(rig, store)
    assert column(store, "contact", "account_source_id", contact) == old
    assert rig.server.requests("objects/2026-09/contacts/batch/read") == [], "what was not told is not read again yet"
    rig.faults.clear()
    rig.clock.now += 600
    pull(rig, store)
    assert column(store, "contact", "account_source_id", contact) == company


def test_the_lines_of_a_deal_follow_it_to_another_company_and_to_another_deal(rig: Any, store: Store) -> None:
    portal = rig.app.portal
    old, new = (portal.add("companies", {"name": name}).id for name in ("Old", "New"))
    deals = [portal.add("deals", {"dealname": "D", "pipeline": "default", "dealstage": "closedwon"}).id for _ in "12"]
    lines = [portal.add("line_items", {"name": "Seats", "quantity": 5, "amount": "10"}).id for _ in "12"]
    for deal in deals:
        portal.link("deals", deal, "companies", old)
    portal.link("line_items", lines[0], "deals", deals[0])
    portal.link("line_items", lines[1], "deals", deals[0])
    pull(rig, store)
    portal.unlink("deals", deals[1], "companies", old)
    portal.link("deals", deals[1], "companies", new)
    portal.unlink("line_items", lines[1], "deals", deals[0])
    portal.link("line_items", lines[1], "deals", deals[1])
    rig.clock.now += WEEK
    pull(rig, store)
    held = [column(store, "contract_line", "account_source_id", line) for line in lines]
    assert held == [old, new]
    portal.unlink("deals", deals[0], "companies", old)
    portal.link("deals", deals[0], "companies", new)
    rig.clock.now += WEEK
    pull(rig, store)
    assert column(store, "contract_line", "account_source_id", lines[0]) == new


USAGE = "p4242_usage"


@pytest.mark.parametrize("metrics", [1, 2])
def test_usage_of_a_day_follows_its_record_to_another_company(
    rig: Any, store: Store, metrics: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relinked, "MOST", 100)
    names = dict([("active_users", "usage_metric.active_users"), ("company_id", "usage_metric.number")][:metrics])
    mapped = {USAGE: {"usage_day": "usage_metric.period_start", **names}}
    pull(rig, store, mapped=mapped, stream=USAGE)
    portal = rig.app.portal
    record, companies = min(portal.links[USAGE, "companies"].items())
    old = next(iter(companies))
    new = next(i for i in sorted(portal.things["companies"]) if i != old)
    portal.unlink(USAGE, record, "companies", old)
    portal.link(USAGE, record, "companies", new)
    rig.clock.now += WEEK
    before = asked(rig, USAGE, "companies")
    reports = pull(rig, store, mapped=mapped, stream=USAGE)
    found = store.query("SELECT account_source_id FROM usage_metric WHERE source_id LIKE ?", (f"{record}/%",))
    assert [tuple(row) for row in found] == [(new,)] * metrics
    assert (reports[USAGE].read, reports[USAGE].changed) == (1, 1)
    pages = -(-len(portal.things[USAGE]) * metrics // 100)
    assert asked(rig, USAGE, "companies") - before <= pages + 2, "a record of two metrics is asked for once"
    rig.clock.now += 60
    assert pull(rig, store, mapped=mapped, stream=USAGE)[USAGE].read == 0


def test_usage_without_a_day_stays_with_the_company_it_was_counted_for(rig: Any, store: Store) -> None:
    mapped = {USAGE: {"active_users": "usage_metric.active_users"}}
    pull(rig, store, mapped=mapped, stream=USAGE)
    rig.clock.now += WEEK
    before = asked(rig, USAGE, "companies")
    assert pull(rig, store, mapped=mapped, stream=USAGE)[USAGE].read == 0
    assert asked(rig, USAGE, "companies") == before


def test_how_often_is_the_admins_and_links_from_a_mapped_field_are_not_compared(rig: Any, store: Store) -> None:
    pull(rig, store, days=0)
    contact, company = moved(rig)["contacts"]
    rig.clock.now += 90 * 86400
    pull(rig, store, days=0)
    assert asked(rig, "contacts", "companies") == 0
    pull(rig, store, days=1, mapped={"contacts": {"company_id": "contact.account_source_id"}})
    assert asked(rig, "contacts", "companies") == 0
    rig.clock.now += 86400
    pull(rig, store, days=1)
    assert column(store, "contact", "account_source_id", contact) == company


def test_a_full_load_counts_as_a_comparison_and_an_older_checkpoint_is_compared_at_once(rig: Any) -> None:
    cursor = rig.pull("contacts").cursor
    assert cursor["linked"] == cursor["since"]
    rig.clock.now += 60
    assert rig.pull("contacts", {k: v for k, v in cursor.items() if k != "linked"}).cursor["linked"] > cursor["linked"]
    assert "linked" not in rig.pull("companies").cursor


def test_the_order_in_which_links_are_named_decides_nothing() -> None:
    listed = [{"id": "1000", "type": "contact_to_company_unlabeled"}, {"id": "999", "type": "x_unlabeled"}]
    batch = [
        {"toObjectId": i, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 279}]} for i in (999, 1000)
    ]
    assert first(listed) == first(listed[::-1]) == first(batch) == first(batch[::-1]) == "999"
    primary = {"toObjectId": 1000, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 1}]}
    assert first([*batch, primary]) == first([primary, *batch]) == "1000"
    assert first([]) is None
