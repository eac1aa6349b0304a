"""Reading, against the sandbox over HTTP: nothing lost, nothing skipped, whatever happens between two requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cssync.errors import ConnectionFault, TransientFault
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.sandbox.world import record_id


def sent(rig: Any, route: str) -> list[Any]:
    return [json.loads(e.body) for e in rig.server.requests(route)]


def known(rig: Any) -> set[str]:
    return {record_id("hubspot", "account", c.key) for c in rig.app.portal.world.companies if "hubspot" in c.names}


def test_a_full_load_reads_every_page_with_the_fields_asked_for_and_ends_at_the_vendors_time(rig: Any) -> None:
    rig.app.list_page = 7
    got = rig.pull("companies", None, "seats", "misspelt")
    assert set(got.records) == known(rig)
    assert got.read == len(known(rig))
    assert got.cursor == {"since": "2026-11-20T01:00:00.000Z", "archived": []}
    held = next(iter(got.records.values()))["properties"]
    assert "seats" in held
    assert "misspelt" not in held
    first = rig.server.requests(r"GET /crm/objects/2026-09/companies$")[0]
    assert first.query["limit"] == "100"
    assert "after" not in first.query
    assert {"domain", "hs_merged_object_ids", "hs_lastmodifieddate", "seats"} <= set(
        first.query["properties"].split(",")
    )


def test_a_killed_full_load_goes_on_from_its_last_committed_page_and_misses_no_change(rig: Any) -> None:
    rig.app.list_page = 5
    pages = rig.pages("companies")
    committed, read = None, set()
    for _ in range(3):
        page = next(pages)
        committed = page.cursor
        read |= {r["id"] for r in page.records}
    pages.close()
    assert committed["phase"] == "full"
    rig.clock.now += 900
    touched = min(read)
    rig.app.portal.edit("companies", touched, name="Renamed")
    rest = rig.pull("companies", committed)
    assert read | set(rest.records) == known(rig)
    assert rest.records[touched]["properties"]["name"] == "Renamed", "in the same run: it is not behind by days"
    listed = [e for e in rig.server.requests("GET .*/companies") if "archived" not in e.query]
    assert len(listed) == -(-len(known(rig)) // 5), "no page twice"


def test_an_incremental_run_reads_only_what_changed_in_a_window_with_an_upper_bound(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    rig.clock.now += 3600
    company = min(known(rig))
    rig.app.portal.edit("companies", company, numberofemployees=77)
    rig.clock.now += 60
    got = rig.pull("companies", cursor)
    assert list(got.records) == [company]
    (body,) = sent(rig, "/companies/search")
    assert body["filterGroups"][0]["filters"] == [
        {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "2026-11-20T00:50:00.000Z"},
        {"propertyName": "hs_lastmodifieddate", "operator": "LTE", "value": "2026-11-20T02:01:05.000Z"},
        {"propertyName": "hs_object_id", "operator": "GT", "value": "0"},
    ]
    assert (body["sorts"], body["limit"], body["after"]) == (["hs_object_id"], 200, "0")
    assert got.cursor["since"] == "2026-11-20T02:01:00.000Z"
    assert got.requests == 2  # one search, one look at the archive


def test_contacts_are_searched_by_their_own_modification_property(rig: Any) -> None:
    cursor = rig.pull("contacts").cursor
    rig.pull("contacts", cursor)
    (body,) = sent(rig, "/contacts/search")
    assert {f["propertyName"] for f in body["filterGroups"][0]["filters"]} == {"lastmodifieddate", "hs_object_id"}


def test_more_records_with_one_time_stamp_than_search_returns_are_all_read(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    rig.clock.now += 3600
    made = rig.fill("companies", 450, name="Same second")
    rig.app.search_cap, rig.app.search_page = 200, 40
    got = rig.pull("companies", cursor)
    assert set(got.records) == set(made)
    assert got.read == 450


def test_a_window_that_was_killed_is_finished_with_its_own_bounds(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    rig.clock.now += 3600
    made = rig.fill("companies", 9, name="x")
    rig.app.search_page = 4
    pages = rig.pages("companies", cursor)
    first = next(page for page in pages if page.records)
    pages.close()
    assert first.cursor["phase"] == "window"
    rig.clock.now += 3600
    late = rig.fill("companies", 1, name="after the window")
    rest = rig.pull("companies", first.cursor)
    assert {r["id"] for r in first.records} | set(rest.records) == {*made, *late}, "and what came after its bounds"
    asked = [(f[0]["value"], f[1]["value"]) for b in sent(rig, "/search") for f in [b["filterGroups"][0]["filters"]]]
    assert len(set(asked)) == 2, "the bounds of the window that was killed, then those of a new one"


def test_a_record_that_changes_while_its_window_is_paged_hides_no_other(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    rig.clock.now += 3600
    made = rig.fill("companies", 12, name="x")
    rig.app.search_page = 4

    def touch() -> None:
        rig.clock.now += 30
        for company in made[:3]:
            rig.app.portal.edit("companies", company, name="y")

    rig.faults.append(Fault("companies/search", nth=2, act=touch))
    got = rig.pull("companies", cursor)
    again = rig.pull("companies", got.cursor)
    assert set(got.records) == set(made)
    assert {again.records[i]["properties"]["name"] for i in made[:3]} == {"y"}


def test_a_change_that_the_index_shows_late_is_in_the_next_run(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    rig.app.index_lag = 240.0
    rig.clock.now += 3600
    company = min(known(rig))
    rig.app.portal.edit("companies", company, name="Late")
    rig.clock.now += 5
    got = rig.pull("companies", cursor)
    assert company not in got.records
    rig.clock.now += 600
    assert rig.pull("companies", got.cursor).records[company]["properties"]["name"] == "Late"


def test_archived_records_are_tombstoned_and_restored_ones_come_back_unmodified(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    company = min(known(rig))
    rig.clock.now += 3600
    rig.app.portal.archive("companies", company)
    got = rig.pull("companies", cursor)
    assert got.gone == {company: None}
    rig.clock.now += 3600
    rig.app.portal.restore("companies", company)
    back = rig.pull("companies", got.cursor)
    assert list(back.records) == [company]
    assert back.gone == {}


def test_a_merged_record_leads_to_its_survivor(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    loser, survivor = sorted(known(rig))[:2]
    rig.clock.now += 3600
    rig.app.portal.merge("companies", survivor, loser)
    got = rig.pull("companies", cursor)
    assert got.gone == {loser: survivor}
    assert list(got.records) == [survivor]


@pytest.mark.parametrize("incremental", [False, True])
def test_the_primary_company_wins_even_on_a_later_page_of_the_nested_list(rig: Any, incremental: bool) -> None:
    portal = rig.app.portal
    cursor = rig.pull("deals").cursor if incremental else None
    rig.clock.now += 3600
    companies = sorted(known(rig))[:6]
    deal = portal.add("deals", {"dealname": "many"}).id
    for company in companies[:-1]:
        portal.link("deals", deal, "companies", company, [341])
    portal.link("deals", deal, "companies", companies[-1], [5, 341])
    rig.app.association_page = 2
    assert rig.pull("deals", cursor).records[deal]["company"] == companies[-1]


def test_a_nested_page_that_fails_leaves_the_record_incomplete_until_it_can_be_read(rig: Any) -> None:
    portal = rig.app.portal
    cursor = rig.pull("deals").cursor
    rig.clock.now += 3600
    deals = rig.fill("deals", 3, dealname="x")
    for deal in deals:
        for company in sorted(known(rig))[:3]:
            portal.link("deals", deal, "companies", company, [341])
    rig.app.association_page = 2
    broken = SandboxAnswer(500, {"status": "error", "message": "internal"})
    fault = Fault("associations/.*deals/companies", nth=2, times=99, answer=broken)
    rig.faults.append(fault)
    got = rig.pull("deals", cursor)
    assert got.incomplete == set(deals)
    assert "company" not in got.records[deals[0]]
    rig.faults.clear()
    rig.clock.now += 3600
    healed = rig.pull("deals", got.cursor)
    assert {i: r["company"] for i, r in healed.records.items()} == dict.fromkeys(deals, min(known(rig)))
    assert "redo" not in healed.cursor


def test_a_day_that_ends_in_the_middle_of_the_associations_leaves_no_record_behind(rig: Any) -> None:
    cursor = rig.pull("deals").cursor
    rig.clock.now += 3600
    made = rig.fill("deals", 1_400, dealname="x")
    company = min(known(rig))
    for deal in made:
        rig.app.portal.link("deals", deal, "companies", company)
    spent = SandboxAnswer(429, {"policyName": "DAILY", "message": "You have reached your daily limit."})
    rig.faults.append(Fault("deals/companies/batch/read", nth=2, times=100, answer=spent))
    pages = []
    with pytest.raises(TransientFault, match="daily allowance") as fault:
        pages.extend(rig.pages("deals", cursor))
    assert fault.value.resumes_at
    read = {r["id"]: r for page in pages for r in page.records}
    assert len(read) == 1_000
    assert not any(page.incomplete for page in pages)
    rig.faults.clear()
    rig.clock.now += 86_400
    rig.next_run()
    read |= rig.pull("deals", pages[-1].cursor).records
    assert {i for i, r in read.items() if r["company"] == company} >= set(made)


def test_a_vendor_that_is_busy_for_a_moment_costs_links_and_not_the_stream(rig: Any) -> None:
    cursor = rig.pull("deals").cursor
    rig.clock.now += 3600
    made = rig.fill("deals", 3, dealname="x")
    busy = SandboxAnswer(503, {"message": "busy"}, {"Retry-After": "5"})
    rig.faults.append(Fault("deals/companies/batch/read", times=1_000, answer=busy))
    got = rig.pull("deals", cursor)
    assert got.incomplete == set(made)
    rig.faults.clear()
    assert set(rig.pull("deals", got.cursor).records) >= set(made)


def test_one_record_whose_associations_are_refused_does_not_cost_the_others_theirs(rig: Any) -> None:
    cursor = rig.pull("deals").cursor
    rig.clock.now += 3600
    company = min(known(rig))
    deals = rig.fill("deals", 5, dealname="x")
    for deal in deals:
        rig.app.portal.link("deals", deal, "companies", company)
    real = rig.app.handle

    def handle(request: Any) -> Any:
        if "/associations/" in request.path and deals[3] in request.body.decode():
            return SandboxAnswer(400, {"status": "error", "category": "VALIDATION_ERROR", "message": "no"})
        return real(request)

    rig.app.handle = handle
    got = rig.pull("deals", cursor)
    assert got.incomplete == {deals[3]}
    assert {got.records[d]["company"] for d in deals if d != deals[3]} == {company}


def test_hundreds_of_deals_cost_one_request_for_their_companies(rig: Any) -> None:
    cursor = rig.pull("deals").cursor
    rig.clock.now += 3600
    for deal in rig.fill("deals", 150, dealname="x"):
        rig.app.portal.link("deals", deal, "companies", min(known(rig)))
    rig.pull("deals", cursor)
    assert [len(b["inputs"]) for b in sent(rig, "associations/2026-09/deals/companies/batch/read")] == [150]


def test_one_percent_of_70_000_deals_cost_no_more_than_8_requests(rig: Any) -> None:
    cursor = rig.pull("deals").cursor
    rig.clock.now += 3600
    for deal in rig.fill("deals", 700, dealname="x"):
        rig.app.portal.link("deals", deal, "companies", min(known(rig)))
    got = rig.pull("deals", cursor)
    assert len(got.records) >= 700
    assert all(r["company"] for r in got.records.values() if r["properties"]["dealname"] == "x")
    assert got.requests <= 8


def test_a_portal_that_takes_only_a_hundred_is_asked_for_a_hundred_from_then_on(rig: Any) -> None:
    cursor = rig.pull("deals").cursor
    rig.clock.now += 3600
    for deal in rig.fill("deals", 450, dealname="x"):
        rig.app.portal.link("deals", deal, "companies", min(known(rig)))
    real = rig.app.handle

    def handle(request: Any) -> Any:
        if "/associations/" in request.path and len(request.json()["inputs"]) > 100:
            return SandboxAnswer(400, {"status": "error", "category": "VALIDATION_ERROR", "message": "too many inputs"})
        return real(request)

    rig.app.handle = handle
    for _ in range(2):
        got = rig.pull("deals", cursor)
        assert not got.incomplete
        assert len([r for r in got.records.values() if r["company"]]) >= 450
    asked = [len(b["inputs"]) for b in sent(rig, "associations/2026-09/deals/companies/batch/read")]
    assert [n for n in asked if n > 100] == [max(asked)]


def test_wide_objects_are_read_by_post_and_never_with_a_long_url(rig: Any) -> None:
    rig.app.max_url = 4500
    extra = [f"custom_property_with_a_long_name_{n:03}" for n in range(200)]
    got = rig.pull("companies", None, "seats", *extra)
    assert set(got.records) == known(rig)
    assert all("seats" in r["properties"] and r["url"] for r in got.records.values())
    assert {e.query["properties"] for e in rig.server.requests("GET .*companies$")} == {"hs_object_id"}


def test_stages_and_currency_come_from_the_account(rig: Any) -> None:
    deals = rig.pull("deals").records.values()
    by_stage = {d["properties"]["dealstage"]: d["stage"] for d in deals}
    assert by_stage["closedwon"] == {"label": "Closed Won", "closed": True, "won": True, "probability": 1.0}
    assert by_stage["closedlost"]["won"] is False
    assert by_stage["contractsent"]["closed"] is False
    assert rig.app.portal.add("deals", {"dealname": "x", "dealstage": "gone"}).id
    found = rig.pull("deals").records.values()
    (odd,) = [d for d in found if d["properties"]["dealstage"] == "gone"]
    assert odd["stage"] == {"label": "gone", "closed": None, "won": None, "probability": None}
    assert odd["currency"] == "JPY"


def test_tickets_know_company_requester_and_status(rig: Any) -> None:
    portal = rig.app.portal
    company = next(c for c in portal.world.companies if "hubspot" in c.names and c.people)
    ids = record_id("hubspot", "account", company.key), record_id("hubspot", "contact", company.people[0].key)
    made = {}
    for stage in ("1", "3", "4"):
        ticket = portal.add("tickets", {"subject": "x", "hs_pipeline": "0", "hs_pipeline_stage": stage}).id
        portal.link("tickets", ticket, "companies", ids[0])
        portal.link("tickets", ticket, "contacts", ids[1])
        made[ticket] = {"1": "new", "3": "open", "4": "closed"}[stage]
    got = rig.pull("tickets").records
    assert {i: got[i]["status"] for i in made} == made
    assert {(got[i]["company"], got[i]["contact"]) for i in made} == {ids}


def test_only_tasks_with_our_marker_are_read(rig: Any) -> None:
    due = {"hs_timestamp": "2026-12-01T03:00:00Z"}
    ours = rig.app.portal.add("tasks", {"hs_task_body": "Call.<br>\ncssync:k-1", **due}).id
    rig.app.portal.add("tasks", {"hs_task_body": "buy milk", **due})
    assert list(rig.pull("tasks").records) == [ours]


def test_owners_include_the_deactivated_and_are_known_by_owner_id(rig: Any) -> None:
    got = rig.pull("owners").records
    staff = rig.app.portal.world.staff
    assert {i: not r["archived"] for i, r in got.items()} == {
        record_id("hubspot", "user", p.key): p.is_active for p in staff
    }


def test_a_custom_object_finds_its_company_by_association_or_by_a_mapped_property(rig: Any) -> None:
    mapped = {"usage_day": "usage_metric.period_start", "active_users": "usage_metric.active_users"}
    linked = rig.pull("2-1000001", mapped=mapped).records
    things = rig.app.portal.things["p4242_usage"]
    assert {i: r["company"] for i, r in linked.items()} == {i: t.properties["company_id"] for i, t in things.items()}
    assert len(linked) > 500
    before = len(rig.server.requests("associations"))
    held = rig.pull("2-1000001", mapped={**mapped, "company_id": "usage_metric.account_source_id"})
    assert all("company" not in r for r in held.records.values())
    assert "associations" not in rig.server.requests("GET .*2-1000001")[-2].query
    assert len(rig.server.requests("associations")) == before


@pytest.mark.parametrize(
    "answer",
    [
        SandboxAnswer(200, b"<html>sign in</html>", {"Content-Type": "text/html"}),
        SandboxAnswer(200, b'{"results": [{"id": "1"'),
        SandboxAnswer(200, {"status": "error", "message": "no"}),
        SandboxAnswer(200, {"results": {"id": "1"}}),
        SandboxAnswer(200, ["results"]),
        SandboxAnswer(400, {"status": "error", "category": "VALIDATION_ERROR", "message": "no such type"}),
        SandboxAnswer(207, {"results": [], "numErrors": 1, "errors": [{"category": "INTERNAL", "message": "oops"}]}),
        SandboxAnswer(200, {"results": [], "total": 0, "errors": [{"message": "shard down"}]}),
    ],
)
def test_a_bad_answer_is_an_error_and_never_an_empty_stream(rig: Any, answer: SandboxAnswer) -> None:
    for route, cursor in (
        ("GET .*objects/2026-09/companies", None),
        ("companies/search", {"since": "2026-11-19T00:00:00.000Z"}),
    ):
        rig.faults.append(Fault(route, times=9, answer=answer))
        with pytest.raises(ConnectionFault, match="companies"):
            rig.pull("companies", cursor)
        rig.faults.clear()


def test_a_cut_page_is_asked_for_again(rig: Any) -> None:
    rig.faults.append(Fault("GET .*objects/2026-09/companies", cut=True))
    assert set(rig.pull("companies").records) == known(rig)


def test_a_search_out_of_order_or_short_of_its_own_total_stops_the_stream(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    rows = [{"id": i, "properties": {}, "updatedAt": "x"} for i in ("5", "4")]
    for body, why in (({"total": 2, "results": rows}, "order"), ({"total": 3, "results": []}, "counts more")):
        rig.faults.append(Fault("companies/search", answer=SandboxAnswer(200, body)))
        with pytest.raises(ConnectionFault, match=why):
            rig.pull("companies", cursor)
        rig.faults.clear()


def test_a_list_that_leads_back_to_itself_stops_the_stream(rig: Any) -> None:
    loop = {"results": [], "paging": {"next": {"after": "n1"}}}
    rig.faults.append(Fault("GET .*objects/2026-09/companies", times=9, answer=SandboxAnswer(200, loop)))
    with pytest.raises(ConnectionFault, match="leads back"):
        rig.pull("companies")


@pytest.mark.parametrize("cursor", [{"phase": "tail"}, {"since": 5}, {"phase": "window", "since": "x"}, {"page": 3}])
def test_a_checkpoint_that_cannot_be_read_never_means_starting_again(rig: Any, cursor: Any) -> None:
    with pytest.raises(ConnectionFault, match="checkpoint of companies cannot be read"):
        rig.pull("companies", cursor)
    assert not rig.server.requests("objects")


def test_limits_are_waited_for_as_each_policy_says(rig: Any) -> None:
    rig.app.search_rate, rig.app.burst = 2, 10
    cursor = rig.pull("companies").cursor
    rig.clock.now += 3600
    rig.fill("companies", 20, name="x")
    rig.app.search_page = 2
    got = rig.pull("companies", cursor)
    assert got.read == 20
    refused = [e for e in rig.server.journal if e.status == 429]
    assert refused
    assert min(rig.clock.slept) >= 1.0


def test_a_spent_daily_allowance_ends_the_run_with_the_accounts_midnight(rig: Any) -> None:
    rig.app.portal.timezone = "America/New_York"
    rig.session.get("/account-info/2026-09/details")
    rig.app.daily = 0
    with pytest.raises(TransientFault) as caught:
        rig.pull("owners")
    assert caught.value.resumes_at is not None
    assert caught.value.resumes_at.startswith("2026-11-20T05:00")


def test_the_checkpoint_is_the_beginning_of_a_run_however_long_it_takes(rig: Any) -> None:
    rig.app.list_page = 5
    seen: set[str] = set()

    def hours_later() -> None:
        rig.clock.now += 3 * 3600
        rig.app.portal.edit("companies", min(known(rig)), name="Changed behind the reader")
        rig.clock.now += 3 * 3600

    rig.faults.append(Fault("GET .*objects/2026-09/companies", nth=3, act=hours_later))
    got = rig.pull("companies")
    seen |= set(got.records)
    assert seen == known(rig)
    assert got.cursor["since"] == "2026-11-20T01:00:00.000Z"
    assert rig.pull("companies", got.cursor).records[min(known(rig))]["properties"]["name"].startswith("Changed")


@pytest.mark.parametrize("listed", [True, False])
def test_an_error_about_one_record_inside_a_good_answer_makes_that_record_incomplete(rig: Any, listed: bool) -> None:
    cursor = rig.pull("deals").cursor
    rig.clock.now += 3600
    deals = rig.fill("deals", 3, dealname="x")
    for deal in deals:
        rig.app.portal.link("deals", deal, "companies", min(known(rig)))
    real = rig.app.handle

    def handle(request: Any) -> Any:
        answer = real(request)
        if "/associations/" in request.path:
            answer.body["results"] = [r for r in answer.body["results"] if r["from"]["id"] != deals[1]]
            answer.body["numErrors"] = 1
            answer.body["errors"] = [{"status": "error", "category": "INTERNAL_ERROR", "message": "try later",
                                      "context": {"fromObjectId": [deals[1]]}}] * listed  # fmt: skip
        return answer

    rig.app.handle = handle
    assert rig.pull("deals", cursor).incomplete == {deals[1]}


@pytest.mark.parametrize(
    "told",
    [
        {"errors": [{"status": "error", "category": "INTERNAL_ERROR", "message": "shard down"}]},
        {"numErrors": 2},
    ],
)
def test_a_batch_read_that_reports_a_failure_is_not_taken_for_deleted_records(rig: Any, told: dict[str, Any]) -> None:
    rig.app.max_url = 4500
    body = {"status": "COMPLETE", "results": [], "startedAt": "", "completedAt": "", **told}
    rig.faults.append(Fault("companies/batch/read", answer=SandboxAnswer(200, body)))
    with pytest.raises(ConnectionFault, match="could not read some companies"):
        rig.pull("companies", None, *[f"custom_property_with_a_long_name_{n:03}" for n in range(200)])


def test_a_record_that_a_batch_read_forgets_is_asked_for_again(rig: Any) -> None:
    wide = [f"custom_property_with_a_long_name_{n:03}" for n in range(200)]
    rig.faults.append(Fault("companies/batch/read", answer=SandboxAnswer(200, {"status": "COMPLETE", "results": []})))
    got = rig.pull("companies", None, *wide)
    assert got.records == {}
    assert set(rig.pull("companies", got.cursor, *wide).records) == known(rig)


def test_a_change_in_the_second_of_the_run_itself_is_not_left_for_the_next(rig: Any) -> None:
    cursor = rig.pull("companies").cursor
    rig.clock.now = int(rig.clock.now) + 3600.9
    rig.app.portal.edit("companies", min(known(rig)), name="Just now")
    assert list(rig.pull("companies", cursor).records) == [min(known(rig))]


def test_a_mapped_property_that_the_account_does_not_have_is_named_once(rig: Any, caplog: Any) -> None:
    rig.app.list_page = 9
    rig.pull("companies", None, "seats", "renewel_date")
    (said,) = [r.getMessage() for r in caplog.records if r.name == "cssync.hubspot"]
    assert said.startswith("companies: HubSpot has no property renewel_date;")
