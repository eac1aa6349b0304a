"""HubSpot through the sync engine into a store: what the rest of cssync sees of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.config.workspace import Connection, Workspace, Writeback
from cssync.connectors import Change, OwnField
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.sandbox.world import record_id
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync_hubspot import HUBSPOT
from cssync_hubspot.setup import provision
from cssync_hubspot.streams import custom_stream
from cssync_hubspot.writeback import push

MAPPED = {
    "companies": {
        "renewal_date": "contract.end_date",
        "seats": "contract_line.quantity",
        "customer_number": "account_source.external_id",
    },
    "p4242_usage": {"usage_day": "usage_metric.period_start", "active_users": "usage_metric.active_users"},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def pull(rig: Any, store: Store, run_id: str = "r1", **options: Any) -> dict[str, StreamReport]:
    reports = sync(store, workspace(rig), {"crm": rig.session}, run_id=run_id, **options)
    assert [(r.stream, str(r.error)) for r in reports if r.error] == []
    for r in reports:
        assert r.read == r.new + r.changed + r.same + r.echo + r.tombstoned + r.incomplete + r.quarantined
        assert r.quarantined == 0
    return {r.stream: r for r in reports}


def workspace(rig: Any) -> Workspace:
    streams = (*HUBSPOT.streams, custom_stream("p4242_usage", MAPPED["p4242_usage"]))
    return Workspace(
        name="acme",
        path=Path("cssync.yaml"),
        timezone=rig.session.timezone,
        currency="JPY",
        store=Path("store.db"),
        connections={"crm": Connection("crm", HUBSPOT, rig.session.settings, streams, MAPPED)},
        writeback={"crm": Writeback("crm", "companies", {"cs_score": "health.score"})},
    )


def one(store: Store, sql: str, *values: Any) -> Any:
    (found,) = store.query(sql, values)
    return found


def test_the_whole_account_lands_in_the_store_and_a_still_world_changes_nothing(rig: Any, store: Store) -> None:
    world = [c for c in rig.app.portal.world.companies if "hubspot" in c.names]
    first = pull(rig, store)
    assert first["companies"].new == len(world)
    assert first["contacts"].new == sum(len(c.people) for c in world)
    assert first["p4242_usage"].new == sum(len(c.usage) for c in world)
    company = next(c for c in world if c.terms and not c.terms[-1].open_ended and c.people and c.domain)
    own_id = record_id("hubspot", "account", company.key)
    account = one(store, "SELECT * FROM account_source WHERE source_id = ?", own_id)
    assert (account["name"], json.loads(account["domains"])) == (company.names["hubspot"], [company.domain])
    assert one(store, "SELECT end_date FROM contract WHERE account_source_id = ?", own_id)[0] == str(
        company.terms[-1].end
    )
    people = store.query("SELECT name, email FROM contact WHERE account_source_id = ?", (own_id,))
    assert {(p["name"], p["email"]) for p in people} == {(p.name, p.email.lower()) for p in company.people}
    owner = one(store, 'SELECT name FROM "user" WHERE source_id = ?', account["owner_source_id"])[0]
    assert owner in {p.name for p in rig.app.portal.world.staff}
    assert one(store, "SELECT count(*) FROM opportunity WHERE account_source_id IS NULL")[0] == 0
    rig.clock.now += 3600
    again = pull(rig, store, "r2")
    assert sum(r.new + r.changed + r.tombstoned for r in again.values()) == 0


@pytest.mark.parametrize("size", [1, 7])
def test_the_store_is_the_same_whatever_the_page_size(rig: Any, store: Store, tmp_path: Path, size: int) -> None:
    pull(rig, store, stream="companies")
    rig.app.list_page, rig.app.association_page = size, 1
    with Store.open(tmp_path / "other.db") as other:
        pull(rig, other, stream="companies")
        pull(rig, other, stream="deals")
        pull(rig, store, stream="deals")
        for table in ("account_source", "contract", "opportunity"):
            sql = f"SELECT * FROM {table} ORDER BY source_id"
            rows = [[{k: r[k] for k in r.keys() if k != "synced_at"} for r in s.query(sql)] for s in (store, other)]  # noqa: SIM118 - a Row is no dict
            assert rows[0] == rows[1]


def test_deletes_merges_and_restores_reach_the_accounts(rig: Any, store: Store) -> None:
    pull(rig, store, stream="companies")
    gone, loser, survivor = sorted(rig.app.portal.things["companies"])[:3]
    rig.clock.now += 3600
    rig.app.portal.archive("companies", gone)
    rig.app.portal.merge("companies", survivor, loser)
    report = pull(rig, store, "r2", stream="companies")["companies"]
    assert report.tombstoned == 2
    rows = {r["source_id"]: r for r in store.query("SELECT * FROM account_source WHERE deleted_at IS NOT NULL")}
    assert {i: r["merged_into"] for i, r in rows.items()} == {gone: None, loser: survivor}
    rig.clock.now += 3600
    rig.app.portal.restore("companies", gone)
    pull(rig, store, "r3", stream="companies")
    assert one(store, "SELECT deleted_at FROM account_source WHERE source_id = ?", gone)[0] is None


def test_our_own_writes_come_back_as_an_echo_and_their_value_as_the_crms_state(rig: Any, store: Store) -> None:
    list(provision(rig.session, "companies", [OwnField("cs_score", "Score", "integer")], dry_run=False))
    pull(rig, store, stream="companies")
    rig.clock.now += 3600
    company = min(rig.app.portal.things["companies"])
    list(push(rig.session, [Change("k", "update", "companies", company, {"cs_score": 82})]))
    rig.clock.now += 60
    report = pull(rig, store, "r2", stream="companies")["companies"]
    assert report.read == 1
    state = one(store, "SELECT fields FROM crm_state WHERE source_id = ?", company)[0]
    assert json.loads(state) == {"cs_score": "82"}


HELD = "SELECT source_id, kind, direction, at FROM interaction WHERE account_source_id = ? AND deleted_at IS NULL"


def test_the_last_meeting_call_and_answer_of_a_company_are_its_contacts(rig: Any, store: Store) -> None:
    """A meeting that is planned leaves the one that was held; what is emptied or archived goes."""
    portal = rig.app.portal
    own_id = portal.add("companies", {"name": "Acme", "hs_latest_meeting_activity": "2026-11-03T05:00:00Z",
                                      "hs_last_logged_call_date": "2026-11-10T05:00:00Z",
                                      "hs_sales_email_last_replied": "2026-11-12T05:00:00Z"}).id  # fmt: skip
    pull(rig, store)

    def held() -> dict[str, tuple[str, str, str]]:
        return {r[0].split("/")[1]: tuple(r)[1:] for r in store.query(HELD, (own_id,))}

    first = {"meeting": ("meeting", "both", "2026-11-03T05:00:00Z"), "call": ("call", "both", "2026-11-10T05:00:00Z"),
             "reply": ("email", "in", "2026-11-12T05:00:00Z")}  # fmt: skip
    assert held() == first
    assert len(store.query("SELECT 1 FROM interaction WHERE deleted_at IS NULL")) == 3 + sum(
        at is not None for c in portal.world.companies if "hubspot" in c.names for at in (c.met, c.called, c.replied)
    )
    rig.clock.now += 3600
    portal.edit("companies", own_id, hs_latest_meeting_activity="2026-12-01T05:00:00Z")
    pull(rig, store, "r2")
    assert held() == {**first, "planned": ("meeting", "both", "2026-12-01T05:00:00Z")}
    rig.clock.now += 30 * 86400
    portal.edit("companies", own_id, hs_last_logged_call_date=None)
    pull(rig, store, "r3")
    assert held() == {"meeting": ("meeting", "both", "2026-12-01T05:00:00Z"), "reply": first["reply"]}
    portal.archive("companies", own_id)
    pull(rig, store, "r4")
    assert held() == {}


def test_a_record_owed_by_the_last_run_may_come_again_in_the_next_window(rig: Any, store: Store) -> None:
    pull(rig, store)
    rig.clock.sleep(3600)
    contact = min(rig.app.portal.things["contacts"])
    rig.app.portal.edit("contacts", contact, jobtitle="Owed")
    rig.faults.append(Fault("contacts/companies/batch/read", times=10_000, answer=SandboxAnswer(503)))
    assert pull(rig, store)["contacts"].incomplete == 1
    rig.faults.clear()
    rig.clock.sleep(60)
    report = pull(rig, store)["contacts"]
    assert (report.outcome, report.changed) == ("ok", 1)


def test_a_full_load_that_hubspot_does_not_go_on_with_says_the_exact_remedy(rig: Any, store: Store) -> None:
    rig.app.list_page = 7
    refusal = SandboxAnswer(400, {"category": "VALIDATION_ERROR", "message": "Invalid after"})
    rig.faults.append(Fault("GET .*/companies.*after=", nth=2, times=99, answer=refusal))
    reports = sync(store, workspace(rig), {"crm": rig.session}, run_id="r1", stream="companies")
    (report,) = (r for r in reports if r.stream == "companies")
    assert report.error is not None
    assert (report.outcome, report.read) == ("failed", 14)
    assert "VALIDATION_ERROR: Invalid after" in report.error.message
    assert report.error.fix.endswith("`cssync sync crm --stream companies --full`")
    rig.faults.clear()
    before = len(rig.app.portal.things["companies"])
    assert pull(rig, store, "r2", stream="companies")["companies"].new == before - 14, "the checkpoint was kept"
