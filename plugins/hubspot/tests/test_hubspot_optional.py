"""Streams that a connection switches on: line items of won deals as contract lines, and answers to surveys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.config.workspace import Connection, Workspace
from cssync.link import link
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.store import Store
from cssync.sync import StreamReport, sync
from cssync_hubspot import HUBSPOT
from cssync_hubspot.chosen import streams_of
from cssync_hubspot.line_items import last_day, months
from cssync_hubspot.settings import HubSpotSettings
from cssync_hubspot.setup import check

YEARLY = {"name": "Seats", "hs_sku": "S-1", "quantity": 50, "amount": "3000.50",
          "recurringbillingfrequency": "annually", "hs_recurring_billing_period": "P12M",
          "hs_recurring_billing_start_date": "2026-04-01"}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def pull(rig: Any, store: Store, run: str = "r1", *, all_well: bool = True) -> dict[str, StreamReport]:
    settings = rig.session.settings.model_copy(update={"line_items": True, "surveys": True})
    space = Workspace(
        name="acme", path=Path("cssync.yaml"), timezone=rig.session.timezone, currency="JPY", store=Path("store.db"),
        connections={"crm": Connection("crm", HUBSPOT, settings, streams_of(settings), {})},
    )  # fmt: skip
    reports = sync(store, space, {"crm": rig.session}, run_id=run)
    assert not all_well or [str(r.error) for r in reports if r.error] == []
    link(store, space, rig.session.now())
    return {r.stream: r for r in reports}


def deal(rig: Any, stage: str, **properties: Any) -> tuple[str, str, str]:
    """A company, its deal and a line item of it; returns their ids."""
    portal = rig.app.portal
    company = portal.add("companies", {"name": "Big", "domain": "big.example"}).id
    sold = portal.add("deals", {"dealname": "D", "pipeline": "default", "dealstage": stage,
                                "closedate": "2026-03-31T15:00:00Z", "deal_currency_code": "EUR"}).id  # fmt: skip
    item = portal.add("line_items", {**YEARLY, **properties}).id
    portal.link("deals", sold, "companies", company)
    portal.link("line_items", item, "deals", sold)
    return company, sold, item


def lines(store: Store) -> list[dict[str, Any]]:
    return [dict(r) for r in store.query("SELECT * FROM contract_line WHERE deleted_at IS NULL ORDER BY source_id")]


def test_a_line_item_of_a_won_deal_is_a_contract_line_of_its_company(rig: Any, store: Store) -> None:
    company, _, item = deal(rig, "closedwon")
    deal(rig, "qualifiedtobuy")
    deal(rig, "closedlost")
    pull(rig, store)
    (line,) = lines(store)
    wanted = {
        "source_id": item, "account_source_id": company, "product_code": "S-1", "quantity": 50, "amount": 300_050,
        "currency": "EUR", "billing_period_months": 12, "is_recurring": 1, "start_date": "2026-04-01",
        "end_date": "2027-03-31",
    }  # fmt: skip
    assert {k: line[k] for k in wanted} == wanted
    assert line["account_uid"]


def test_a_deal_that_is_won_later_brings_its_lines_and_one_that_is_lost_takes_them(rig: Any, store: Store) -> None:
    _, sold, item = deal(rig, "qualifiedtobuy")
    pull(rig, store)
    assert lines(store) == []
    rig.clock.sleep(3600)
    rig.app.portal.edit("deals", sold, dealstage="closedwon")
    pull(rig, store, "r2")
    assert [line["source_id"] for line in lines(store)] == [item]
    rig.clock.sleep(3600)
    rig.app.portal.edit("deals", sold, dealstage="closedlost")
    pull(rig, store, "r3")
    assert lines(store) == []


def test_a_deal_that_does_not_tell_whether_it_is_won_takes_no_line_away(rig: Any, store: Store) -> None:
    _, sold, item = deal(rig, "closedwon")
    pull(rig, store)
    rig.clock.sleep(3600)
    rig.app.portal.edit("deals", sold, amount=5)
    del rig.app.portal.definitions["deals"]["hs_is_closed_won"]
    report = pull(rig, store, "r2", all_well=False)["line_items"]
    assert report.outcome == "failed"
    assert "hs_is_closed_won" in str(report.error)
    assert [line["source_id"] for line in lines(store)] == [item]


def test_a_changed_and_an_archived_line_item_are_followed(rig: Any, store: Store) -> None:
    _, _, item = deal(rig, "closedwon")
    pull(rig, store)
    rig.clock.sleep(3600)
    rig.app.portal.edit("line_items", item, quantity=60)
    assert pull(rig, store, "r2")["line_items"].changed == 1
    assert lines(store)[0]["quantity"] == 60
    rig.clock.sleep(3600)
    still = pull(rig, store, "r3")["line_items"]
    assert still.new == still.changed == still.tombstoned == 0
    rig.app.portal.archive("line_items", item)
    pull(rig, store, "r4")
    assert lines(store) == []


def test_the_lines_of_an_archived_deal_go_and_those_of_a_restored_one_come_back(rig: Any, store: Store) -> None:
    _, sold, item = deal(rig, "closedwon")
    _, _, other = deal(rig, "closedwon")
    for run in ("r1", "r2"):
        pull(rig, store, run)
        rig.clock.sleep(3600)
    rig.app.portal.archive("deals", sold)
    for run in ("r3", "r4"):
        report = pull(rig, store, run)["line_items"]
        assert [line["source_id"] for line in lines(store)] == [other]
        assert report.tombstoned == (1 if run == "r3" else 0)
        rig.clock.sleep(3600)
    rig.app.portal.restore("deals", sold)
    pull(rig, store, "r5")
    assert [line["source_id"] for line in lines(store)] == sorted([item, other])


def test_the_lines_of_a_merged_deal_follow_it(rig: Any, store: Store) -> None:
    _, sold, item = deal(rig, "closedwon")
    _, stays, other = deal(rig, "closedwon")
    pull(rig, store)
    rig.clock.sleep(3600)
    rig.app.portal.merge("deals", stays, sold)
    pull(rig, store, "r2")
    assert {line["source_id"]: line["opportunity_source_id"] for line in lines(store)} == {item: stays, other: stays}


def test_a_company_that_cannot_be_read_leaves_the_line_for_the_next_run(rig: Any, store: Store) -> None:
    deal(rig, "closedwon")
    busy = SandboxAnswer(503, {"message": "busy"})
    fault = Fault("POST /crm/associations/[^/]+/deals/companies", answer=busy, times=1_000)
    rig.faults.append(fault)
    assert pull(rig, store, all_well=False)["line_items"].incomplete == 1
    assert lines(store) == []
    rig.faults.remove(fault)
    pull(rig, store, "r2")
    assert len(lines(store)) == 1


def test_line_items_of_a_deal_that_cannot_be_listed_are_owed(rig: Any, store: Store) -> None:
    _, sold, item = deal(rig, "qualifiedtobuy")
    for run in ("r0", "r1"):
        pull(rig, store, run)
        rig.clock.sleep(3600)
    rig.app.portal.edit("deals", sold, dealstage="closedwon")
    fault = Fault("POST /crm/associations/[^/]+/deals/line_items", answer=SandboxAnswer(503), times=1_000)
    rig.faults.append(fault)
    pull(rig, store, "r2", all_well=False)
    assert lines(store) == []
    rig.faults.remove(fault)
    rig.clock.sleep(3600)
    pull(rig, store, "r3")
    assert [line["source_id"] for line in lines(store)] == [item]


def test_1_762_line_items_of_a_deal_are_read_and_kept_when_a_later_page_of_them_fails(rig: Any, store: Store) -> None:
    _, sold, first = deal(rig, "qualifiedtobuy")
    items = [first, *rig.fill("line_items", 1_761, **YEARLY)]
    for item in items[1:]:
        rig.app.portal.link("line_items", item, "deals", sold)
    pull(rig, store, "r0")
    for run, kept in (("r1", items), ("r2", items)):
        rig.clock.sleep(3600)
        rig.app.portal.edit("deals", sold, dealstage="closedwon", closedate=f"2026-0{run[1]}-01T00:00:00Z")
        if run == "r2":
            rig.faults.append(
                Fault("/deals/line_items/batch/read", nth=3, times=10_000, answer=SandboxAnswer(503, b"busy"))
            )
        pull(rig, store, run, all_well=False)
        assert len(lines(store)) == len(kept)
    rig.faults.clear()
    rig.clock.sleep(3600)
    pull(rig, store, "r3")
    assert {line["source_id"] for line in lines(store)} == set(items)


def test_line_items_cost_the_batch_minimum(rig: Any, store: Store) -> None:
    for _ in range(250):
        deal(rig, "closedwon")
    pull(rig, store)
    assert len(lines(store)) == 250
    asked = [e.path.partition("?")[0] for e in rig.server.requests("line_items|deals/batch/read|deals/companies")]
    assert len(asked) == 3 + 3 + 3 + 1  # pages, their deals, the companies of these, the archive


@pytest.mark.parametrize(("frequency", "wanted"), [(None, None), ("", None), ("monthly", 1), ("per_three_years", 36)])
def test_frequencies(frequency: str | None, wanted: int | None) -> None:
    assert months(frequency) == wanted


def test_a_weekly_price_is_quarantined_and_never_taken_for_a_yearly_one(rig: Any, store: Store) -> None:
    deal(rig, "closedwon", recurringbillingfrequency="weekly")
    assert pull(rig, store)["line_items"].quarantined == 1
    (listed,) = store.query("SELECT * FROM quarantine")
    assert "weekly" in listed["reason"]


@pytest.mark.parametrize(
    ("start", "period", "end", "wanted"),
    [
        ("2026-04-01", "P12M", None, "2027-03-31"),
        ("2026-01-31", "P1M", None, "2026-02-27"),
        ("2024-02-29", "P1Y", None, "2025-02-27"),
        ("2026-04-01", None, "2027-03-31", "2027-03-31"),
        (None, "P12M", None, None),
    ],
)
def test_the_last_day_of_a_term(start: str | None, period: str | None, end: str | None, wanted: str | None) -> None:
    assert last_day(start, period, end) == wanted


def test_an_answer_belongs_to_the_company_of_whoever_gave_it(rig: Any, store: Store) -> None:
    portal = rig.app.portal
    company = portal.add("companies", {"name": "Big", "domain": "big.example"}).id
    person = portal.add("contacts", {"firstname": "P", "email": "p@big.example"}).id
    portal.link("contacts", person, "companies", company)
    for kind, value in (("NPS", "9"), ("CSAT", "4"), ("CUSTOM", "1"), ("CES", "")):
        given = {"hs_survey_type": kind, "hs_value": value, "hs_submission_timestamp": "2026-11-01T10:00:00Z"}
        portal.link("feedback_submissions", portal.add("feedback_submissions", given).id, "contacts", person)
    pull(rig, store)
    found = store.query("SELECT kind, score, scale_max, responded_at, account_uid FROM survey_response ORDER BY kind")
    assert [tuple(r)[:4] for r in found] == [
        ("csat", 4.0, 5, "2026-11-01T10:00:00Z"), ("nps", 9.0, 10, "2026-11-01T10:00:00Z"),
    ]  # fmt: skip
    assert len({r["account_uid"] for r in found}) == 1
    assert found[0]["account_uid"]


def test_an_answer_that_is_taken_back_is_gone(rig: Any, store: Store) -> None:
    portal = rig.app.portal
    given = {"hs_survey_type": "CSAT", "hs_value": "4"}
    taken, kept = (portal.add("feedback_submissions", given).id for _ in range(2))
    pull(rig, store)
    rig.clock.sleep(3600)
    portal.edit("feedback_submissions", taken, hs_value="")
    assert pull(rig, store, "r2")["feedback_submissions"].changed == 1
    assert [r[0] for r in store.query("SELECT source_id FROM survey_response WHERE deleted_at IS NULL")] == [kept]


def test_streams_are_off_until_asked_for_and_checked_when_they_are(rig: Any) -> None:
    def named(**given: bool) -> set[str]:
        settings = HubSpotSettings.model_validate({"connector": "hubspot", "token": "t", **given})
        return {s.name for s in streams_of(settings)} - {s.name for s in HUBSPOT.streams}

    assert (named(), named(line_items=True), named(surveys=True)) == (set(), {"line_items"}, {"feedback_submissions"})
    rig.session.settings = rig.session.settings.model_copy(update={"surveys": True})
    rig.app.scopes = {s.scope for s in HUBSPOT.streams}
    (wrong,) = [f for f in check(rig.session, {}) if f.level == "error"]
    assert wrong.subject == "feedback_submissions"
    assert "crm.objects.feedback_submissions.read" in wrong.fix
