"""Feedback submissions: answers to HubSpot's own CSAT, NPS and CES surveys."""

from __future__ import annotations

from typing import Any

from cssync.connectors import Feed, Field, Record, Stream
from cssync_hubspot.pull import Source, pages
from cssync_hubspot.streams import DELETES, LAG, STAMPS

SCALE = {"nps": 10, "csat": 5, "ces": 7}
"""Kind of survey -> highest answer possible. A custom survey has no scale that is known, and gives no answer."""

SOURCE = Source(
    "feedback_submissions",
    fields=("hs_survey_type", "hs_value", "hs_content", "hs_submission_timestamp", "hs_merged_object_ids"),
    links=("contacts", "tickets"),
    held=("contact_source_id", "ticket_source_id"),
)


def kind(value: Any) -> str | None:
    """`NPS` -> `nps`; None for a kind of survey that has no scale."""
    found = str(value or "").lower()
    return found if found in SCALE else None


def _scale(value: Any) -> int | None:
    return SCALE.get(kind(value) or "")


def _answered(record: Record) -> bool | None:
    held = record.get("properties") or {}
    if not {"hs_survey_type", "hs_value"} <= held.keys():
        return None
    return kind(held.get("hs_survey_type")) is not None and held.get("hs_value") not in (None, "")


SURVEYS = Stream(
    name=SOURCE.kind,
    feeds=(
        Feed(
            "survey_response",
            {
                **STAMPS,
                "kind": Field("properties.hs_survey_type", read=kind),
                "scale_max": Field("properties.hs_survey_type", read=_scale),
                "score": "properties.hs_value",
                "comment": "properties.hs_content",
                "responded_at": "properties.hs_submission_timestamp",
                "contact_source_id": "contact",
                "ticket_source_id": "ticket",
            },
            when=_answered,
        ),
    ),
    pages=pages(SOURCE),
    fields_of=SOURCE.fields,
    base="properties",
    cursor_field=SOURCE.modified,
    lag=LAG,
    deletes=DELETES,
    scope="crm.objects.feedback_submissions.read",
)
