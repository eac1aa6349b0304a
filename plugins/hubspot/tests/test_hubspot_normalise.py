"""Records -> rows: what HubSpot really answered goes through every normaliser, and made-up records show each rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.connectors import Stream
from cssync.sync.normalise import Normaliser, Rows
from cssync_hubspot import HUBSPOT
from cssync_hubspot.streams import (
    COMPANIES,
    CONTACTS,
    DEALS,
    OWNERS,
    TASKS,
    TICKETS,
    custom_stream,
    deal_type,
    domains,
    full_name,
    language,
    minutes,
    task_key,
)

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "vendors" / "recorded" / "hubspot.json"


def normalised(stream: Stream, record: dict[str, Any], **mapped: str) -> Rows:
    convert = Normaliser(
        stream, mapped=mapped, written=("cs_score",), timezone=ZoneInfo("Asia/Tokyo"), currency="JPY",
        today="2026-11-20",
    )  # fmt: skip
    return convert(record)


def row(stream: Stream, record: dict[str, Any], entity: str = "", **mapped: str) -> dict[str, Any]:
    found = normalised(stream, record, **mapped)
    return next(r for name, r in found.rows if name == (entity or stream.entity))


def recorded(*paths: str) -> list[dict[str, Any]]:
    if not RECORDED.exists():
        pytest.skip("the vendors' recorded responses are not beside this checkout")
    found: list[dict[str, Any]] = []
    for answer in json.loads(RECORDED.read_text()):
        if answer["path"].split("?")[0].removeprefix("/crm/v3/") in paths:
            body = answer["body"]
            found += body.get("results", [body])
    assert found
    return found


@pytest.mark.parametrize(
    ("stream", "paths", "count"),
    [
        (COMPANIES, ("objects/companies", "objects/companies/batch/create", "objects/companies/batch/update"), 50),
        (CONTACTS, ("objects/contacts",), 20),
        (DEALS, ("objects/deals", "objects/deals/search"), 20),
        (TICKETS, ("objects/tickets",), 20),
        (TASKS, ("objects/tasks",), 1),
        (OWNERS, ("owners",), 2),
    ],
)
def test_every_recorded_record_becomes_a_row(stream: Stream, paths: tuple[str, ...], count: int) -> None:
    records = recorded(*paths)
    assert len(records) >= count
    for record in records:
        main = row(stream, record)
        assert main["source_id"] == record["id"]
        assert main["updated_at"] == record["updatedAt"][:19] + "Z"


def test_a_recorded_company_and_deal_keep_their_values() -> None:
    company = row(COMPANIES, next(r for r in recorded("objects/companies") if r["id"] == "406260751575"))
    assert (company["name"], company["domains"], company["country"]) == (
        "Test Company Batch Updated - Dryrun", '["testcompany.com"]', "United States",
    )  # fmt: skip
    assert company["source_url"].endswith("/record/0-2/406260751575")
    deal = next(r for r in recorded("objects/deals") if r["properties"]["amount"] == "5000.00")
    assert row(DEALS, {**deal, "currency": "USD"})["amount"] == 500_000


def test_a_company_gives_domains_links_and_status() -> None:
    record = {
        "id": "5",
        "properties": {
            "name": "株式会社 青空", "domain": "HTTPS://www.Aozora.example/ja", "lifecyclestage": "customer",
            "hs_additional_domains": "aozora.co.jp;;aozora.example", "numberofemployees": "5000.00",
            "hs_salesforceaccountid": "0015g00000Abcde", "hs_parent_company_id": "407218578642", "cs_score": "",
            "tier": "high", "customer_number": "00123",
        },
    }  # fmt: skip
    got = row(COMPANIES, record, tier="account.touch_tier_override", customer_number="account_source.external_id")
    assert got["domains"] == '["aozora.co.jp","aozora.example"]'
    assert (got["linked_ids"], got["status"]) == ('{"salesforce":"0015g00000Abcde"}', "active")
    assert (got["employee_count"], got["parent_source_id"]) == (5000, "407218578642")
    assert (got["touch_tier_override"], got["external_id"]) == ("high", "00123")
    assert row(COMPANIES, record, "crm_state")["fields"] == '{"cs_score":null}'
    assert "industry" not in got  # not in the record: the stored value stays
    assert row(COMPANIES, {"id": "6", "properties": {"lifecyclestage": "lead", "domain": None}})["status"] is None


def test_links_that_could_not_be_read_leave_the_stored_one_alone() -> None:
    assert "account_source_id" not in row(DEALS, {"id": "1", "properties": {}})
    assert row(DEALS, {"id": "1", "properties": {}, "company": None})["account_source_id"] is None


def test_a_deal_closes_on_the_day_people_see() -> None:
    def closing(value: str) -> Any:
        return row(DEALS, {"id": "1", "properties": {"closedate": value}})["close_date"]

    assert closing("2026-12-31T00:00:00Z") == "2026-12-31"
    assert closing("2026-12-30T20:30:00.123Z") == "2026-12-31"


def test_a_tickets_service_times_are_calendar_minutes() -> None:
    record = {
        "id": "9", "status": "closed", "company": "5", "contact": None,
        "properties": {"createdate": "2026-11-01T10:00:00Z", "first_agent_reply_date": "2026-11-01T10:42:59Z",
                       "closed_date": "2026-11-02T10:00:00Z", "hs_ticket_priority": "MEDIUM"},
    }  # fmt: skip
    ticket, metric = row(TICKETS, record), row(TICKETS, record, "ticket_metric")
    assert (ticket["priority"], ticket["status"], ticket["solved_at"]) == ("normal", "closed", "2026-11-02T10:00:00Z")
    assert (metric["first_reply_minutes"], metric["full_resolution_minutes"]) == (42, 1440)


def test_a_task_of_ours_is_known_by_its_key_and_due_on_the_business_day() -> None:
    body = {"hs_task_body": "<p>Call</p><p>cssync:R03/ab-1</p>", "hs_task_status": "WAITING",
            "hs_timestamp": "2026-12-27T16:00:00Z"}  # fmt: skip
    got = row(TASKS, {"id": "3", "company": "5", "properties": body})
    assert (got["task_key"], got["status"], got["due_on"]) == ("R03/ab-1", "open", "2026-12-28")


def test_an_owner_is_a_user_with_the_owner_id_and_maybe_no_address() -> None:
    got = row(OWNERS, {"id": "44", "userId": 9, "firstName": "Aoi", "lastName": "Mori", "archived": True})
    assert (got["source_id"], got["name"], got["is_active"]) == ("44", "Aoi Mori", 0)
    assert "email" not in got
    assert row(OWNERS, {"id": "44", "email": " Aoi@Example.COM", "archived": False})["email"] == "aoi@example.com"


def test_usage_of_a_custom_object_becomes_one_row_a_metric() -> None:
    mapped = {"day": "usage_metric.period_start", "mau": "usage_metric.active_users", "ev": "usage_metric.events"}
    stream = custom_stream("2-55", mapped)
    record = {"id": "8", "company": "5", "properties": {"day": "2026-11-19", "mau": "42", "ev": "0"}}
    rows = [r for name, r in normalised(stream, record, **mapped).rows if name == "usage_metric"]
    assert [(r["source_id"], r["metric"], r["value"], r["period_start"], r["account_source_id"]) for r in rows] == [
        ("8/active_users", "active_users", 42.0, "2026-11-19", "5"), ("8/events", "events", 0.0, "2026-11-19", "5"),
    ]  # fmt: skip
    by_property = {**mapped, "company_id": "usage_metric.account_source_id"}
    record["properties"]["company_id"] = "77"  # type: ignore[index]
    found = normalised(custom_stream("2-55", by_property), record, **by_property)
    assert {r["account_source_id"] for name, r in found.rows if name == "usage_metric"} == {"77"}


def test_small_readings() -> None:
    assert full_name("葵", "西村") == "西村 葵"
    assert (full_name("Maya", " Quinn "), full_name(None, "X"), full_name(None, " ")) == ("Maya Quinn", "X", None)
    assert domains(None, None) is None
    assert (language("en-us"), language("ja"), language(None)) == ("en-US", "ja", None)
    assert [deal_type(v) for v in ("newbusiness", "existingbusiness", "Cross-sell", None)] == [
        "new", None, "cross_sell", None,
    ]  # fmt: skip
    assert minutes("2026-11-02T10:00:00Z", "2026-11-01T10:00:00Z") is None
    for odd in ("2026-02-30T10:00:00Z", "1770000000000", "2026-11-02T10:00:00"):
        with pytest.raises(ValueError, match=r"^not two points in time$"):
            minutes("2026-11-02T10:00:00Z", odd)
    assert (task_key("cssync:a then cssync:b"), task_key("cssync: x"), task_key(None)) == ("b", None, None)


def test_every_declared_property_is_requested() -> None:
    for stream in HUBSPOT.streams:
        used = {
            source.removeprefix("properties.")
            for feed in stream.feeds
            for field in feed.fields.values()
            for source in ([field] if isinstance(field, str) else [field.source] if isinstance(field.source, str)
                           else field.source)
            if source.startswith("properties.")
        }  # fmt: skip
        assert used - {"createdate"} <= set(stream.fields_of)
