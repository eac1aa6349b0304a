"""When somebody last spoke with a company, by what HubSpot works out from logged meetings, calls and mails."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cssync.connectors import Feed, Field, Session
from cssync_hubspot.pull import Enrich

MEETING = "hs_latest_meeting_activity"
"""Date of the latest meeting, held or planned: the account may show one that is still to come."""
CALL = "hs_last_logged_call_date"
REPLY = "hs_sales_email_last_replied"
"""When somebody there last answered a mail. Dates of mails that went out say nothing about the customer."""
PROPERTIES = (MEETING, CALL, REPLY)


def meetings(session: Session) -> Enrich:
    """Part a company's latest meeting, by HubSpot's clock, into `held` and `planned`.

    While one is planned, `held` is left out of the record, so that the stored one stays.
    """
    now = session.now()

    def enrich(record: dict[str, Any]) -> None:
        properties: Mapping[str, Any] = record.get("properties") or {}
        if MEETING not in properties:
            return
        at = properties[MEETING] or None
        if at is not None and _later(at, now):
            record["planned"] = at
        else:
            record["held"], record["planned"] = at, None

    return enrich


def _later(at: str, now: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return False  # the cast of the column says what is wrong with it
    return moment.tzinfo is not None and moment > now


def _feed(what: str, at: str, kind: str, direction: str = "both") -> Feed:
    columns: dict[str, Field | str] = {
        "account_source_id": "id",
        "kind": Field(const=kind),
        "direction": Field(const=direction),
        "at": at,
    }
    return Feed("interaction", columns, needs=("at",), prefix=f"companies/{what}/")


FEEDS = (
    _feed("meeting", "held", "meeting"),
    _feed("planned", "planned", "meeting"),
    _feed("call", f"properties.{CALL}", "call"),
    _feed("reply", f"properties.{REPLY}", "email", "in"),
)
"""Rows of a company: at most one for each kind of contact, with the date of the last."""
