"""The exports as Zendesk runs them: cursors that are null, seconds that come twice, tickets that are gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import respx

from cssync.connectors import Page, PullRequest, Session
from cssync.errors import ConnectionFault, Refused, TransientFault
from cssync_zendesk.streams import ORGANIZATIONS, TICKETS, USERS, organizations, tickets, users

Open = Callable[..., Session]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
DATE = {"date": format_datetime(NOW, usegmt=True)}
ORGS, USERS_AT, TICKETS_AT = (
    f"/api/v2/incremental/{name}" for name in ("organizations", "users/cursor", "tickets/cursor")
)


def request(cursor: dict[str, Any] | None = None, *fields: str) -> PullRequest:
    return PullRequest(cursor, fields, timedelta(minutes=2))


def org(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "updated_at": f"2026-11-20T00:00:{number:02d}Z", "deleted_at": None, **values}


def ticket(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "status": "open", "subject": "Help", "description": "Help!", "organization_id": 7, **values}


def org_page(*rows: dict[str, Any], end_time: int | None, end: bool) -> httpx.Response:
    body = {"organizations": rows, "count": len(rows), "end_time": end_time, "end_of_stream": end, "next_page": "x"}
    return httpx.Response(200, json=body, headers=DATE)


def cursor_page(name: str, *rows: dict[str, Any], after: str | None, end: bool, **more: Any) -> httpx.Response:
    body = {name: rows, "after_cursor": after, "after_url": "https://evil.example/x", "end_of_stream": end, **more}
    return httpx.Response(200, json=body, headers=DATE)


def ids(page: Page) -> list[int]:
    return [record["id"] for record in page.records]


def sent(route: respx.Route) -> list[dict[str, str]]:
    return [dict(call.request.url.params) for call in route.calls]


# --- cursor exports ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_cursor_that_zendesk_does_not_know_any_more_never_means_the_beginning(
    api: respx.MockRouter, session: Open, status: int
) -> None:
    said = {"error": "InvalidCursor", "description": "The cursor has expired"}
    api.get(TICKETS_AT).respond(status, json=said, headers=DATE)
    with pytest.raises(Refused, match="InvalidCursor; The cursor has expired") as fault:
        list(tickets(session(), request({"after": "c9"})))
    assert "`cssync sync CONNECTION --stream STREAM --full`" in fault.value.fix


def test_reads_everything_first_and_then_only_by_cursor(api: respx.MockRouter, session: Open) -> None:
    route = api.get(USERS_AT)
    route.side_effect = [
        cursor_page("users", {"id": 1}, after="c1", end=False),
        cursor_page("users", {"id": 2}, after="c2", end=True),
    ]
    pages = list(users(session(), request()))
    assert [(ids(p), p.cursor, p.last) for p in pages] == [([1], {"after": "c1"}, False), ([2], {"after": "c2"}, True)]
    assert sent(route) == [{"start_time": "0", "per_page": "1000"}, {"cursor": "c1", "per_page": "1000"}]


def test_a_page_that_takes_too_long_is_asked_for_in_a_smaller_size(api: respx.MockRouter, session: Open) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if int(request.url.params["per_page"]) > 100:
            return httpx.Response(504, text="<html>Gateway timeout</html>")
        last = "cursor" in request.url.params
        return cursor_page("users", {"id": 2 if last else 1}, after="c2" if last else "c1", end=last)

    route = api.get(USERS_AT).mock(side_effect=answer)
    pages = list(users(session(), request()))
    assert [ids(p) for p in pages] == [[1], [2]]
    sizes = [int(each["per_page"]) for each in sent(route)]
    assert sorted(set(sizes), reverse=True) == [1000, 250, 100]
    assert sizes[-2:] == [100, 100]  # and it stays with what worked


def test_a_vendor_that_is_down_is_not_asked_for_ever(api: respx.MockRouter, session: Open) -> None:
    route = api.get(ORGS).mock(return_value=httpx.Response(503, headers={"retry-after": "86400"}))
    with pytest.raises(TransientFault):
        list(organizations(session(), request()))
    assert {each["per_page"] for each in sent(route)} == {"1000"}  # a limit is no reason for smaller pages


@pytest.mark.parametrize(("read", "name", "path"), [(users, "users", USERS_AT), (tickets, "tickets", TICKETS_AT)])
def test_a_null_cursor_never_becomes_the_checkpoint(
    api: respx.MockRouter, session: Open, read: Callable[..., Any], name: str, path: str
) -> None:
    route = api.get(path)
    route.side_effect = [cursor_page(name, after=None, end=True)]
    (page,) = read(session(), request({"after": "c9"}))
    assert (page.records, page.cursor, page.last) == ([], None, True)
    assert sent(route)[0]["cursor"] == "c9"
    assert "start_time" not in sent(route)[0]


@pytest.mark.parametrize(
    ("after", "end", "said"),
    [
        ("c0", False, "already read"),
        ("c1", False, "already read"),
        (None, False, "names no next page"),
        ("c2", None, "does not say whether"),
    ],
)
def test_an_export_that_leads_nowhere_fails_the_stream(
    api: respx.MockRouter, session: Open, after: str | None, end: Any, said: str
) -> None:
    api.get(TICKETS_AT).side_effect = [
        cursor_page("tickets", ticket(1), after="c1", end=False),
        cursor_page("tickets", ticket(2), after=after, end=end),
    ]
    with pytest.raises(ConnectionFault, match=said):
        list(tickets(session(), request({"after": "c0"})))


def test_the_end_is_the_end_also_with_a_next_page(api: respx.MockRouter, session: Open) -> None:
    route = api.get(USERS_AT)
    route.side_effect = [cursor_page("users", {"id": 1}, after="c1", end=True)]
    assert len(list(users(session(), request({"after": "c1"})))) == 1
    assert route.call_count == 1


@pytest.mark.parametrize("body", [{}, {"tickets": None}, {"tickets": [1]}, {"error": "x"}, []])
def test_an_answer_of_another_shape_is_never_no_tickets(api: respx.MockRouter, session: Open, body: Any) -> None:
    api.get(TICKETS_AT).respond(json=body)
    with pytest.raises(ConnectionFault, match="no list of tickets"):
        list(tickets(session(), request()))


def test_deleted_users_are_tombstones(api: respx.MockRouter, session: Open) -> None:
    api.get(USERS_AT).side_effect = [
        cursor_page("users", {"id": 1, "active": True}, {"id": 2, "active": False}, after="c", end=True)
    ]
    (page,) = users(session(), request())
    assert (ids(page), [t.source_id for t in page.deleted]) == ([1], ["2"])


# --- tickets ----------------------------------------------------------------------------------------------------------


def test_metrics_come_with_the_tickets_wherever_zendesk_puts_them(api: respx.MockRouter, session: Open) -> None:
    inside, aside = {"ticket_id": 1, "reopens": 1}, {"ticket_id": 2, "reopens": 2}
    route = api.get(TICKETS_AT)
    route.side_effect = [
        cursor_page(
            "tickets", ticket(1, metric_set=inside), ticket(2), ticket(3), after="c", end=True, metric_sets=[aside]
        )
    ]
    (page,) = tickets(session(), request())
    assert [r.get("metric_set", {}).get("reopens") for r in page.records] == [1, 2, None]
    assert sent(route)[0]["include"] == "metric_sets"
    assert "support_type_scope" not in sent(route)[0]


def test_tickets_without_any_metrics_beside_them_are_told_once(
    api: respx.MockRouter, session: Open, caplog: pytest.LogCaptureFixture
) -> None:
    api.get(TICKETS_AT).side_effect = [
        cursor_page("tickets", ticket(1, status="deleted"), after="a", end=False),
        cursor_page("tickets", ticket(2), after="b", end=False),
        cursor_page("tickets", ticket(3), after="c", end=True),
    ]
    seen = [(ids(page), len(caplog.messages)) for page in tickets(session(), request())]
    assert seen == [([], 0), ([2], 1), ([3], 1)]
    assert "sends no metrics beside the tickets" in caplog.text


def test_ai_agent_tickets_come_only_when_asked_for(api: respx.MockRouter, session: Open) -> None:
    route = api.get(TICKETS_AT)
    route.side_effect = [cursor_page("tickets", after=None, end=True)]
    list(tickets(session(tickets="all"), request()))
    assert sent(route)[0]["support_type_scope"] == "all"


def test_deleted_and_scrubbed_tickets_are_tombstones_and_ours_are_left_out(
    api: respx.MockRouter, session: Open
) -> None:
    api.get(TICKETS_AT).side_effect = [
        cursor_page(
            "tickets",
            ticket(1),
            ticket(2, status="deleted"),
            ticket(3, status="closed", subject="SCRUBBED", description="X", organization_id=None, tags=[]),
            ticket(4, tags=["cssync", "vip"]),
            ticket(5, subject="SCRUBBED"),
            after="c",
            end=True,
        )
    ]
    (page,) = tickets(session(), request())
    assert (ids(page), [t.source_id for t in page.deleted]) == ([1, 5], ["2", "3"])


def test_custom_fields_are_found_by_id(api: respx.MockRouter, session: Open) -> None:
    held = [{"id": 46406130043793, "value": "area_api"}, {"id": 2, "value": ""}, {"id": 3, "value": "x"}]
    api.get(TICKETS_AT).side_effect = [cursor_page("tickets", ticket(1, custom_fields=held), after="c", end=True)]
    (page,) = tickets(session(), request(None, "custom_fields.46406130043793", "custom_fields.2"))
    assert page.records[0]["custom_fields"] == {"46406130043793": "area_api", "2": None}


@pytest.mark.parametrize(
    "odd",
    [
        {"tags": 5, "custom_fields": {"id": 1}, "satisfaction_rating": "good", "metric_set": [1]},
        {"tags": None, "custom_fields": [None, 3], "satisfaction_rating": None},
        {"id": None, "status": "deleted"},
    ],
)
def test_an_odd_ticket_does_not_stop_the_stream(api: respx.MockRouter, session: Open, odd: dict[str, Any]) -> None:
    api.get(TICKETS_AT).side_effect = [cursor_page("tickets", ticket(1, **odd), ticket(2), after="c", end=True)]
    (page,) = tickets(session(), request())
    assert len(page.records) == 2
    for record in page.records:
        for feed in TICKETS.feeds:
            assert feed.when is None or feed.when(record) in (True, False, None)


# --- organizations ----------------------------------------------------------------------------------------------------


def test_the_boundary_second_is_read_twice_and_stored_once(api: respx.MockRouter, session: Open) -> None:
    route = api.get(ORGS)
    route.side_effect = [
        org_page(org(1), org(2), end_time=EPOCH - 9_000, end=False),
        org_page(org(2), org(3), org(4, deleted_at="2026-11-20T01:00:00Z"), end_time=EPOCH - 8_000, end=True),
    ]
    first, second = organizations(session(), request())
    assert (ids(first), ids(second), [t.source_id for t in second.deleted]) == ([1, 2], [3], ["4"])
    assert (first.cursor, second.cursor) == ({"start_time": EPOCH - 9_120}, {"start_time": EPOCH - 8_120})
    assert sent(route) == [
        {"start_time": "0", "per_page": "1000"},
        {"start_time": str(EPOCH - 9_000), "per_page": "1000"},
    ]


def test_a_row_that_changed_in_the_boundary_second_is_read_again(api: respx.MockRouter, session: Open) -> None:
    changed = org(2, name="New", updated_at="2026-11-20T00:00:03Z")
    api.get(ORGS).side_effect = [
        org_page(org(1), org(2, name="Old"), end_time=EPOCH - 9_000, end=False),
        org_page(changed, end_time=EPOCH - 8_000, end=True),
    ]
    assert [ids(page) for page in organizations(session(), request())] == [[1, 2], [2]]


def test_the_same_end_time_twice_fails_instead_of_looping(api: respx.MockRouter, session: Open) -> None:
    route = api.get(ORGS)
    route.mock(side_effect=lambda _: org_page(org(1), end_time=EPOCH - 9_000, end=False))
    with pytest.raises(ConnectionFault, match="same end_time"):
        list(organizations(session(), request()))
    assert route.call_count == 2


def test_a_second_that_fills_more_than_a_page_is_left_behind_complete(
    api: respx.MockRouter, session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cssync_zendesk.streams.PAGE", 2)
    crowd, at = [org(1), org(2), org(3)], EPOCH - 9_000
    route = api.get(ORGS)
    route.side_effect = [
        org_page(*crowd, end_time=at, end=False),
        org_page(*crowd, end_time=at, end=False),
        org_page(org(4), end_time=at + 50, end=True),
    ]
    assert [ids(page) for page in organizations(session(), request())] == [[1, 2, 3], [], [4]]
    assert [int(query["start_time"]) for query in sent(route)] == [0, at, at + 1]


def test_the_checkpoint_stays_behind_the_vendors_clock_and_never_moves_back(
    api: respx.MockRouter, session: Open
) -> None:
    route = api.get(ORGS)
    route.side_effect = [
        org_page(org(1), end_time=EPOCH - 61, end=True),
        org_page(org(1), end_time=EPOCH - 61, end=True),
        org_page(end_time=None, end=True),
    ]
    opened = session()
    (page,) = organizations(opened, request({"start_time": 5}))
    assert page.cursor == {"start_time": EPOCH - 181}
    (page,) = organizations(opened, request(page.cursor))
    assert page.cursor is None
    (page,) = organizations(opened, request({"start_time": EPOCH - 10}))
    assert page.cursor is None
    assert int(sent(route)[-1]["start_time"]) <= EPOCH - 60


def test_used_dropdowns_lose_their_prefix_and_dates_their_midnight(api: respx.MockRouter, session: Open) -> None:
    values = {
        "cs_health_band": "cs_health_band_green",
        "cs_health_score": "82",
        "cs_renewal_date": "2027-03-31T00:00:00+00:00",
        "note": "",
        "other": "other_x",
    }
    definitions = api.get("/api/v2/organization_fields").respond(
        json={
            "organization_fields": [
                field("cs_health_band", "dropdown", green="cs_health_band_green", red="cs_health_band_red"),
                field("cs_health_score", "integer"),
                field("other", "dropdown", X="other_x"),
            ]
        }
    )
    api.get(ORGS).side_effect = [
        org_page(
            org(1, organization_fields=values), org(2, organization_fields=values), end_time=EPOCH - 9_000, end=True
        )
    ]
    (page,) = organizations(session(), request(None, "cs_health_band", "cs_health_score", "cs_renewal_date"))
    assert page.records[1]["organization_fields"] == {
        "cs_health_band": "green",
        "cs_health_score": 82,
        "cs_renewal_date": "2027-03-31",
        "note": None,
        "other": "other_x",
    }
    assert definitions.call_count == 1


def test_definitions_are_not_asked_for_without_need(api: respx.MockRouter, session: Open) -> None:
    api.get(ORGS).side_effect = [
        org_page(org(1, organization_fields={"cs_health_score": 82, "note": "a_b"}), end_time=EPOCH - 9_000, end=True)
    ]
    (page,) = organizations(session(), request(None, "cs_health_score", "note"))
    assert page.records[0]["organization_fields"]["cs_health_score"] == 82


def field(key: str, kind: str, **options: str) -> dict[str, Any]:
    listed = [{"name": name, "value": tag} for name, tag in options.items()]
    return {"id": 1, "key": key, "type": kind, "title": key, "custom_field_options": listed}


def test_every_stream_costs_one_request_a_thousand_records() -> None:
    assert [(s.page_size, s.requests_per_1000) for s in (ORGANIZATIONS, USERS, TICKETS)] == [(1_000, 1.0)] * 3
