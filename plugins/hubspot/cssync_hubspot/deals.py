"""Opportunities of ours as HubSpot deals: made in one stage, known by a marker in their description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from cssync.connectors import RemoteTask, Session, TaskContent
from cssync.errors import ConnectionFault, TransientFault
from cssync_hubspot.client import Paths, batch_read, results
from cssync_hubspot.links import associated, linked_id
from cssync_hubspot.streams import task_key

FIELDS = ("dealname", "description", "pipeline", "dealstage", "amount", "closedate")
CLOSES_AT = time(12)
"""A closing date is an instant; noon of the business day is the same date for most readers."""


def beginning(session: Session, wanted: str | None) -> tuple[str, str]:
    """Return (pipeline id, stage id) in which our deals begin: the stage of that id or label, else the first open one
    of the first pipeline. One request.

    Raises:
        ConnectionFault: there is none.
    """
    pipelines = sorted(results(session.get(Paths(session).pipelines("deals"))), key=lambda p: p.get("displayOrder", 0))
    for pipeline in pipelines:
        for stage in sorted(pipeline.get("stages") or (), key=lambda s: s.get("displayOrder", 0)):
            closed = str((stage.get("metadata") or {}).get("isClosed")).lower() == "true"
            named = wanted in (stage.get("id"), stage.get("label"))
            if named if wanted else not closed:
                return str(pipeline["id"]), str(stage["id"])
    raise ConnectionFault(
        f"HubSpot has no deal stage {wanted!r}" if wanted else "HubSpot has no open deal stage",
        kept="no opportunity was created",
        fix="set `opportunity_stage` to the id or label of a stage of a deal pipeline",
    )


def properties(session: Session, task: TaskContent, *, new: bool) -> dict[str, str]:
    """Return the properties of a deal; `task.stage` is `pipeline/stage` where it is new."""
    closes = datetime.combine(date.fromisoformat(task.due_on), CLOSES_AT, session.timezone).astimezone(UTC)
    found = {"dealname": task.subject, "closedate": closes.strftime("%Y-%m-%dT%H:%M:%SZ")}
    if task.amount is not None:
        found["amount"] = task.amount
    if new:
        pipeline, _, stage = (task.stage or "").partition("/")
        found |= {"pipeline": pipeline, "dealstage": stage, "dealtype": "existingbusiness",
                  "description": f"{task.body}\n\ncssync:{task.key}"}  # fmt: skip
        found |= {"hubspot_owner_id": task.owner_source_id} if task.owner_source_id else {}
        found |= {"deal_currency_code": task.currency} if task.currency else {}
    return found


def find_deals(session: Session, wanted: Sequence[TaskContent]) -> dict[str, RemoteTask]:
    """Find deals by our key among those associated with their companies; `done` once somebody moved or closed one.

    Search is not asked: its index lags, and a deal missed here would be made twice.
    """
    companies = associated(session, "companies", "deals", dict.fromkeys(t.account_source_id for t in wanted))
    if companies.failed:
        raise TransientFault(
            f"HubSpot did not list the deals of {len(companies.failed)} companies",
            kept="no opportunity was created",
            fix="run again later",
        )
    ids = list(dict.fromkeys(linked_id(item) for items in companies.found.values() for item in items))
    stages = {content.key: content.stage for content in wanted}
    begins: dict[str | None, tuple[str, str]] = {}
    found: dict[str, RemoteTask] = {}
    by_id = {content.remote_id: content.key for content in wanted if content.remote_id}
    for record in batch_read(session, "deals", [*by_id, *ids], FIELDS):
        held = record.get("properties") or {}
        key = by_id.get(str(record.get("id"))) or task_key(held.get("description"))
        if key is None or key not in stages:
            continue
        stage = stages[key]
        if stage not in begins:
            begins[stage] = _begun(session, stage)
        found.setdefault(key, _remote(session, key, str(record["id"]), held, begins[stage]))
    return found


def _begun(session: Session, stage: str | None) -> tuple[str, str]:
    """The stage in which ours began; nothing where it is gone: whatever a deal is in now, a person decided it."""
    try:
        return beginning(session, stage)
    except TransientFault:
        raise
    except ConnectionFault:
        return "", ""


def _remote(session: Session, key: str, remote_id: str, held: Mapping[str, Any], begins: tuple[str, str]) -> RemoteTask:
    closes = held.get("closedate")
    day = datetime.fromisoformat(closes).astimezone(session.timezone).date().isoformat() if closes else None
    return RemoteTask(
        key,
        remote_id,
        "open" if (held.get("pipeline"), held.get("dealstage")) == begins else "done",
        held.get("dealname") or "",
        day,
        held.get("amount") or None,
    )
