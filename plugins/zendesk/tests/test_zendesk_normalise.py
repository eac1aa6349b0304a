"""Zendesk's records as rows: small ones made here, and those recorded from real accounts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.connectors import Answer, PullRequest, Stream
from cssync.sync.normalise import Normaliser
from cssync_zendesk import ZENDESK
from cssync_zendesk.streams import ORGANIZATIONS, TICKETS, USERS, _is_gone, _is_tagged, _shape, _ticket

RECORDED = Path(__file__).parents[4] / "shared" / "vendors" / "recorded"


def rows(stream: Stream, record: dict[str, Any], **mapped: str) -> dict[str, dict[str, Any]]:
    normalise = Normaliser(
        stream, mapped=mapped, written=(), timezone=ZoneInfo("Asia/Tokyo"), currency="JPY", today="2026-11-21"
    )
    ids = {field.removeprefix("custom_fields.") for field in mapped}
    return dict(normalise(_ticket(record, {}, ids) if stream is TICKETS else record).rows)


def test_an_organization_is_an_account_source() -> None:
    record = {
        "id": 46406146527249,
        "url": "https://acme.zendesk.com/api/v2/organizations/46406146527249.json",
        "name": "株式会社青葉",
        "external_id": "00123",
        "domain_names": ["*.Aoba.Example ", "aoba.example", "", "localhost"],
        "organization_fields": {"plan": "gold"},
        "created_at": "2026-05-06T07:45:46Z",
        "updated_at": "2026-05-06T07:45:46Z",
    }
    row = rows(ORGANIZATIONS, record, plan="account.segment")["account_source"]
    assert row == {
        "source_id": "46406146527249",
        "source_url": "https://acme.zendesk.com/agent/organizations/46406146527249",
        "name": "株式会社青葉",
        "external_id": "00123",
        "domains": '["aoba.example"]',
        "segment": "gold",
        "created_at": "2026-05-06T07:45:46Z",
        "updated_at": "2026-05-06T07:45:46Z",
    }


def test_one_export_gives_contacts_and_staff() -> None:
    person = {"id": 1, "name": "A", "email": " A@B.Example", "active": True, "suspended": False, "organization_id": 7}
    contact = rows(USERS, {**person, "role": "end-user"})
    staff = rows(USERS, {**person, "role": "agent", "suspended": True, "iana_time_zone": "Asia/Tokyo"})
    assert set(contact) == {"contact"}
    assert (contact["contact"]["email"], contact["contact"]["account_source_id"]) == ("a@b.example", "7")
    assert set(staff) == {"user"}
    assert (staff["user"]["is_active"], staff["user"]["time_zone"]) == (0, "Asia/Tokyo")


TICKET: dict[str, Any] = {
    "id": 9,
    "status": "solved",
    "subject": "CSV?",
    "priority": None,
    "created_at": "2026-11-01T00:00:00Z",
    "updated_at": "2026-11-09T00:00:00Z",
    "requester_id": 5,
    "organization_id": None,
    "custom_fields": [{"id": 77, "value": "area_api"}],
    "tags": ["b", "a"],
    "satisfaction_rating": {"id": 3, "score": "bad", "comment": "slow"},
    "metric_set": {
        "ticket_id": 9,
        "reopens": 1,
        "replies": 4,
        "solved_at": "2026-11-03T10:00:00Z",
        "reply_time_in_minutes": {"calendar": 90, "business": 30},
        "full_resolution_time_in_minutes": {"calendar": 3480, "business": 900},
    },
}


def test_a_ticket_gives_its_metrics_and_its_rating() -> None:
    found = rows(TICKETS, TICKET, **{"custom_fields.77": "ticket.category"})
    ticket, metric, answer = found["ticket"], found["ticket_metric"], found["survey_response"]
    assert (ticket["account_source_id"], ticket["requester_source_id"]) == (None, "5")
    assert (ticket["priority"], ticket["category"], ticket["reopened_count"]) == ("none", "area_api", 1)
    assert (ticket["first_reply_at"], ticket["solved_at"]) == ("2026-11-01T01:30:00Z", "2026-11-03T10:00:00Z")
    assert (metric["source_id"], metric["first_reply_minutes"], metric["full_resolution_business_minutes"]) == (
        "9",
        90,
        900,
    )
    assert (answer["source_id"], answer["kind"], answer["score"], answer["comment"]) == ("9", "csat", 0.0, "slow")
    assert (answer["contact_source_id"], answer["responded_at"]) == ("5", "2026-11-03T10:00:00Z")


def test_a_reopened_ticket_is_not_solved() -> None:
    assert rows(TICKETS, {**TICKET, "status": "open"})["ticket"]["solved_at"] is None


@pytest.mark.parametrize("score", ["offered", "unoffered", None])
def test_a_question_without_an_answer_is_no_response(score: str | None) -> None:
    assert "survey_response" not in rows(TICKETS, {**TICKET, "satisfaction_rating": {"score": score}})
    assert "survey_response" not in rows(TICKETS, {**TICKET, "satisfaction_rating": None})


@pytest.mark.parametrize(("score", "value"), [("good", 1.0), ("goodwithcomment", 1.0), ("badwithcomment", 0.0)])
def test_every_answer_is_good_or_bad(score: str, value: float) -> None:
    answer = rows(TICKETS, {**TICKET, "satisfaction_rating": {"score": score}})["survey_response"]
    assert answer["score"] == value


def test_a_rating_keeps_its_own_time_where_the_export_has_it() -> None:
    rated = {"score": "good", "updated_at": "2026-11-05T00:00:00Z"}
    assert rows(TICKETS, {**TICKET, "satisfaction_rating": rated})["survey_response"]["responded_at"] == (
        "2026-11-05T00:00:00Z"
    )


# --- recorded ---------------------------------------------------------------------------------------------------------


def recorded() -> list[tuple[str, dict[str, Any]]]:
    """(kind, record) of every organization, user and ticket in the recorded answers."""
    found = []
    for name in ("zendesk.json", "zendesk-cassettes.json"):
        for entry in json.loads((RECORDED / name).read_text()):
            body = entry["body"] if isinstance(entry["body"], dict) else {}
            for kind in ("organization", "user", "ticket"):
                found += [(kind, one) for one in [body.get(kind), *body.get(f"{kind}s", ())] if one]
    return found


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded answers are not part of the product")
def test_every_recorded_record_is_read() -> None:
    streams = {"organization": ORGANIZATIONS, "user": USERS, "ticket": TICKETS}
    counts = dict.fromkeys(streams, 0)
    for kind, record in recorded():
        found = rows(streams[kind], record)
        answer = Answer(200, {}, json.dumps({f"{kind}s": [record]}).encode())
        (needed,) = answer.json(_shape(streams[kind], ()))[f"{kind}s"]
        assert rows(streams[kind], needed) == found
        assert (_is_gone(needed), _is_tagged(needed)) == (_is_gone(record), _is_tagged(record))
        assert len(needed) < len(record)
        counts[kind] += 1
        first = next(iter(found.values()))
        assert first["source_id"] == str(record["id"])
        assert first["created_at"] == record["created_at"]
        if kind == "ticket":
            assert first["subject"] == record["subject"]
            assert first["source_url"].endswith(f".zendesk.com/agent/tickets/{record['id']}")
        if kind == "organization":
            assert first["name"] == record["name"]
    assert counts["organization"] >= 10
    assert counts["user"] >= 15
    assert counts["ticket"] >= 12


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded answers are not part of the product")
def test_the_recorded_export_is_read_page_by_page(session: Any, api: Any) -> None:
    export = next(
        e for e in json.loads((RECORDED / "zendesk.json").read_text()) if "/incremental/organizations" in e["path"]
    )
    api.get("/api/v2/incremental/organizations").respond(
        json=export["body"], headers={"date": export["headers"]["date"]}
    )
    (page,) = ZENDESK.streams[0].pages(session(), PullRequest(None, (), ORGANIZATIONS.lag))
    assert len(page.records) == export["body"]["count"]
    assert page.last
    assert page.cursor == {"start_time": export["body"]["end_time"] - 120}
