"""The streams of HubSpot: which properties feed which columns, and what the pipelines say about a stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cssync.connectors import Feed, Field, Page, PullRequest, Record, Session, Stream
from cssync_hubspot import contacted
from cssync_hubspot.client import Paths, account, results
from cssync_hubspot.pull import Enrich, Source, listing, pages
from cssync_hubspot.relinked import columns

LAG = timedelta(minutes=10)
"""How far each window reaches back over the one before. The search index shows a change "a few moments" late; the
cost is that what changed in these minutes is read twice."""
MARKER = re.compile(r"cssync:([^\s<>&\"']+)")
"""How a task of ours carries its key, in the last line of its body."""
DELETES = "archived records by the list of the archive, read each run; merges by hs_merged_object_ids of the survivor"


# --- Reading values ---------------------------------------------------------------------------------------------------


_FAMILY_FIRST = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def full_name(first: str | None, last: str | None) -> str | None:
    """Join the parts of a name that are there; family name first in Japanese, Chinese and Korean script."""
    parts = [part.strip() for part in (first, last) if part and part.strip()]
    return " ".join(reversed(parts) if any(map(_FAMILY_FIRST.search, parts)) else parts) or None


def lower(value: str | None) -> str | None:
    """Lower-case and trim; HubSpot lets invisible characters through."""
    return value.strip().lower() or None if value else None


def domains(main: str | None, additional: str | None) -> list[str] | None:
    """Return the company's domains, sorted; `hs_additional_domains` is a list separated by semicolons."""
    if not additional:
        if main and _PLAIN.fullmatch(main):
            return [main]
        only = _domain(main)
        return [only] if only else None
    found = {d for raw in (main, *additional.split(";")) if (d := _domain(raw))}
    return sorted(found) or None


_BARE = re.compile(r"[a-z0-9.-]+")
_PLAIN = re.compile(r"(?!www\.)[a-z0-9-]+(?:\.[a-z0-9-]+)+")
"""A domain as HubSpot writes it: what the rest of `_domain` would leave as it is."""


def _domain(raw: str | None) -> str:
    """HubSpot normalises a domain in its own forms only; over the API anything may stand there."""
    bare = (raw or "").strip().lower()
    if _BARE.fullmatch(bare):
        return bare.removeprefix("www.").strip(".")
    if "://" in bare:
        bare = bare.partition("://")[2]
    for end in "/:?#":
        bare = bare.partition(end)[0]
    return bare.split(maxsplit=1)[0].removeprefix("www.").strip(".") if bare else ""


def salesforce(first: str | None, second: str | None) -> dict[str, str] | None:
    """Return the Salesforce id that HubSpot's own integration keeps on the record."""
    found = (first or second or "").strip()
    return {"salesforce": found} if found else None


def customer(stage: str | None) -> str | None:
    """A lifecycle stage only tells who is a customer; any other stage says nothing about the contract."""
    return "active" if stage in ("customer", "evangelist") else None


def language(value: str | None) -> str | None:
    """`en-us` -> `en-US`."""
    if not value:
        return None
    head, *rest = value.strip().replace("_", "-").split("-")
    return "-".join([head.lower(), *(part.upper() for part in rest)])


_DEAL_TYPES = {
    "newbusiness": "new", "new": "new", "renewal": "renewal", "upsell": "upsell", "crosssell": "cross_sell",
    "downsell": "downsell",
}  # fmt: skip


def deal_type(value: str | None) -> str | None:
    """HubSpot's `existingbusiness` may be a renewal or an upsell: not known. Own options are taken by their name."""
    return _DEAL_TYPES.get(re.sub(r"[^a-z]", "", (value or "").lower()))


def priority(value: str | None) -> str | None:
    """LOW, MEDIUM, HIGH, URGENT -> ours."""
    return {"low": "low", "medium": "normal", "high": "high", "urgent": "urgent"}.get((value or "").lower())


def minutes(start: str | None, end: str | None) -> int | None:
    """Whole calendar minutes from one instant to another, None unless both are there in that order."""
    if not start or not end:
        return None
    try:
        seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (TypeError, ValueError):  # no point in time, or only one of them with a time zone
        raise ValueError("not two points in time") from None
    return None if seconds < 0 else int(seconds // 60)


def task_key(text: str | None) -> str | None:
    """Return our key out of a task's body, None for a task that is not ours."""
    found = MARKER.findall(text or "")
    return found[-1] if found else None


def task_status(value: str | None) -> str:
    """Every status but COMPLETED (NOT_STARTED, WAITING, DEFERRED, IN_PROGRESS) is open."""
    return "done" if value == "COMPLETED" else "open"


# --- Stages -----------------------------------------------------------------------------------------------------------


def _stages(session: Session, kind: str) -> dict[str, tuple[Mapping[str, Any], int]]:
    """Return the stages of all pipelines by id, each with its place in its pipeline."""
    found: dict[str, tuple[Mapping[str, Any], int]] = {}
    for pipeline in results(session.get(Paths(session).pipelines(kind))):
        ordered = sorted(pipeline.get("stages") or (), key=lambda s: s.get("displayOrder", 0))
        found.update((f"{pipeline.get('id')}/{stage.get('id')}", (stage, n)) for n, stage in enumerate(ordered))
    return found


def deal_stages(session: Session) -> Enrich:
    """Add `stage` (label, closed, won, probability) and `currency` to a deal. Stages are told apart by id and
    pipeline, since labels are renamed; a stage that no pipeline has any more leaves everything but its id unknown."""
    stages = _stages(session, "deals")
    own = account(session).get("companyCurrency")

    def enrich(record: dict[str, Any]) -> None:
        held = record.get("properties") or {}
        stage, _ = _stage(stages, held.get("pipeline"), held.get("dealstage"))
        meta = stage.get("metadata") or {}
        closed = _truth(meta.get("isClosed"))
        chance = float(meta["probability"]) if _is_number(meta.get("probability")) else None
        won = None if closed is None or (closed and chance is None) else closed and chance == 1.0
        record["stage"] = {
            "label": stage.get("label") or held.get("dealstage"),
            "closed": closed,
            "won": won,
            "probability": chance,
        }
        record["currency"] = held.get("deal_currency_code") or own

    return enrich


def ticket_stages(session: Session) -> Enrich:
    """Add `status` to a ticket: the pipeline's first stage is `new`, a closed one `closed`, all others `open`."""
    stages = _stages(session, "tickets")

    def enrich(record: dict[str, Any]) -> None:
        held = record.get("properties") or {}
        stage, place = _stage(stages, held.get("hs_pipeline"), held.get("hs_pipeline_stage"))
        meta = stage.get("metadata") or {}
        closed = _truth(meta.get("isClosed")) or str(meta.get("ticketState")).upper() == "CLOSED"
        record["status"] = None if not stage else "closed" if closed else "new" if place == 0 else "open"

    return enrich


def _stage(
    stages: Mapping[str, tuple[Mapping[str, Any], int]], pipeline: str | None, stage: str | None
) -> tuple[Mapping[str, Any], int]:
    if pipeline:
        return stages.get(f"{pipeline}/{stage}", ({}, 0))
    same = [held for key, held in stages.items() if key.endswith(f"/{stage}")]
    return same[0] if len(same) == 1 else ({}, 0)


def _truth(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(str(value).lower())


def _is_number(value: Any) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", str(value)) is not None


# --- Streams ----------------------------------------------------------------------------------------------------------


def _p(name: str) -> str:
    return f"properties.{name}"


def _stream(
    source: Source, *, feeds: tuple[Feed, ...], scope: str, writable: bool = False, deletes: str = DELETES
) -> Stream:
    """Declare a stream of CRM records: what they all have in common stands here."""
    return Stream(
        name=source.kind,
        feeds=feeds,
        pages=pages(replace(source, held=columns(feeds[0], source.links))),
        fields_of=source.fields,
        base="properties",
        cursor_field=source.modified,
        lag=LAG,
        deletes=deletes,
        scope=scope,
        writable=writable,
    )


STAMPS: dict[str, Field | str] = {"source_url": "url", "created_at": "createdAt", "updated_at": "updatedAt"}

COMPANIES = _stream(
    Source(
        "companies",
        fields=(
            "name", "domain", "hs_additional_domains", "industry", "country", "numberofemployees",
            "lifecyclestage", "hs_parent_company_id", "hubspot_owner_id", "hs_salesforceaccountid",
            "salesforceaccountid", "hs_merged_object_ids", *contacted.PROPERTIES,
        ),
        enrich=contacted.meetings,
    ),
    feeds=(
        Feed(
            "account_source",
            {
                **STAMPS,
                "name": _p("name"),
                "domains": Field((_p("domain"), _p("hs_additional_domains")), read=domains),
                "industry": _p("industry"),
                "country": _p("country"),
                "employee_count": _p("numberofemployees"),
                "lifecycle_stage": _p("lifecyclestage"),
                "status": Field(_p("lifecyclestage"), read=customer),
                "parent_source_id": _p("hs_parent_company_id"),
                "owner_source_id": _p("hubspot_owner_id"),
                "linked_ids": Field((_p("hs_salesforceaccountid"), _p("salesforceaccountid")), read=salesforce),
            },
        ),
        *contacted.FEEDS,
    ),
    scope="crm.objects.companies.read",
    writable=True,
)  # fmt: skip

CONTACTS = _stream(
    Source(
        "contacts",
        fields=("firstname", "lastname", "email", "jobtitle", "hs_language", "hs_merged_object_ids"),
        modified="lastmodifieddate",
        links=("companies",),
    ),
    feeds=(
        Feed(
            "contact",
            {
                **STAMPS,
                "account_source_id": "company",
                "name": Field((_p("firstname"), _p("lastname")), read=full_name),
                "email": Field(_p("email"), read=lower),
                "title": _p("jobtitle"),
                "locale": Field(_p("hs_language"), read=language),
            },
        ),
    ),
    scope="crm.objects.contacts.read",
)

DEALS = _stream(
    Source(
        "deals",
        fields=(
            "dealname", "dealtype", "pipeline", "dealstage", "amount", "deal_currency_code", "closedate",
            "closed_lost_reason", "hubspot_owner_id", "hs_merged_object_ids",
        ),
        links=("companies",),
        enrich=deal_stages,
    ),
    feeds=(
        Feed(
            "opportunity",
            {
                **STAMPS,
                "account_source_id": "company",
                "name": _p("dealname"),
                "type": Field(_p("dealtype"), read=deal_type),
                "stage": "stage.label",
                "is_closed": "stage.closed",
                "is_won": "stage.won",
                "probability": "stage.probability",
                "amount": _p("amount"),
                "currency": "currency",
                "close_date": _p("closedate"),
                "loss_reason": _p("closed_lost_reason"),
                "owner_source_id": _p("hubspot_owner_id"),
            },
        ),
    ),
    scope="crm.objects.deals.read",
)  # fmt: skip

REPLIED = (_p("createdate"), _p("first_agent_reply_date"))
CLOSED = (_p("createdate"), _p("closed_date"))

TICKETS = _stream(
    Source(
        "tickets",
        fields=(
            "subject", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority", "hs_ticket_category",
            "createdate", "first_agent_reply_date", "closed_date", "hs_merged_object_ids",
        ),
        links=("companies", "contacts"),
        enrich=ticket_stages,
    ),
    feeds=(
        Feed(
            "ticket",
            {
                **STAMPS,
                "account_source_id": "company",
                "requester_source_id": "contact",
                "subject": _p("subject"),
                "status": "status",
                "priority": Field(_p("hs_ticket_priority"), read=priority),
                "category": _p("hs_ticket_category"),
                "opened_at": _p("createdate"),
                "first_reply_at": _p("first_agent_reply_date"),
                "solved_at": _p("closed_date"),
            },
        ),
        Feed(
            "ticket_metric",
            {
                "ticket_source_id": "id",
                "account_source_id": "company",
                "updated_at": "updatedAt",
                "first_reply_minutes": Field(REPLIED, read=minutes, unit="min"),
                "full_resolution_minutes": Field(CLOSED, read=minutes, unit="min"),
            },
        ),
    ),
    scope="tickets",
)  # fmt: skip


def _is_ours(record: Record) -> bool:
    return task_key((record.get("properties") or {}).get("hs_task_body")) is not None


TASKS = _stream(
    Source(
        "tasks",
        fields=("hs_task_body", "hs_task_subject", "hs_task_status", "hs_timestamp", "hubspot_owner_id"),
        links=("companies",),
        keep=_is_ours,
    ),
    feeds=(
        Feed(
            "crm_task",
            {
                **STAMPS,
                "account_source_id": "company",
                "task_key": Field(_p("hs_task_body"), read=task_key),
                "subject": _p("hs_task_subject"),
                "status": Field(_p("hs_task_status"), read=task_status),
                "due_on": _p("hs_timestamp"),
                "owner_source_id": _p("hubspot_owner_id"),
            },
        ),
    ),
    scope="crm.objects.contacts.read",
    deletes="archived tasks by the list of the archive, read each run",
)


def _owners(session: Session, request: PullRequest) -> Iterator[Page]:
    """Owners are few: read whole each run. People who were deactivated stand in the archive and stay users."""
    for archived in ("false", "true"):
        for found in listing(session, Paths(session).owners, archived=archived):
            yield Page(found["results"])
    yield Page((), cursor={"read": session.now().isoformat()}, last=True)


OWNERS = Stream(
    name="owners",
    feeds=(
        Feed(
            "user",
            {
                "created_at": "createdAt",
                "updated_at": "updatedAt",
                "name": Field(("firstName", "lastName"), read=full_name),
                "email": Field("email", read=lower),
                "is_active": Field("archived", read=lambda archived: not archived),
            },
        ),
    ),
    pages=_owners,
    deletes="deactivated owners are kept with is_active 0; `id` is the owner's id, never the userId",
    scope="crm.objects.owners.read",
)

STREAMS = (COMPANIES, CONTACTS, DEALS, TICKETS, OWNERS, TASKS)


def custom_stream(name: str, mapped: Mapping[str, str]) -> Stream:
    """Build the stream of a custom object (`2-123456`, or its fully qualified name) out of what is mapped from it.

    Its records belong to the company they are associated with, unless a mapped property holds the company's id
    (`...account_source_id`); that saves a request for each 100 records.
    """
    targets = [target.partition(".") for target in mapped.values()]
    entities = [entity for entity, _, _ in targets]
    entity = "usage_metric" if "usage_metric" in entities or not entities else entities[0]
    holds_company = any(column == "account_source_id" for _, _, column in targets)
    links: tuple[str, ...] = () if holds_company else ("companies",)
    return _stream(
        Source(name, links=links),
        feeds=(Feed(entity, {**STAMPS, **({} if holds_company else {"account_source_id": "company"})}),),
        scope="crm.objects.custom.read",
        deletes="archived records by the list of the archive, read each run",
    )
