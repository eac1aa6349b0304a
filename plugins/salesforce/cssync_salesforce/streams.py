"""The objects that cssync reads from Salesforce, and what their fields mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from cssync.connectors import Feed, Field, Page, PullRequest, Session, Stream
from cssync.errors import ConnectionFault
from cssync.model import ENTITY
from cssync_salesforce import soql
from cssync_salesforce.reading import pages
from cssync_salesforce.tasks import TASK_KEY, key_of, ours

LAG = timedelta(minutes=10)
"""Long transactions commit with the stamp at which they began; a request lives ten minutes at most."""
PAGE_SIZE = 2000
REQUESTS = 0.5
DELETES = "queryAll with IsDeleted, for the 15 days of the recycle bin; merges by MasterRecordId"


_PLAIN = re.compile(r"(?:https?://)?(?:www\.)?(?!www\.)((?:[a-z0-9-]+\.)+[a-z0-9-]+)/?")
"""A website as it is mostly written: what the rest of `domains` would make of it, in a tenth of the time."""


def domains(website: str | None) -> list[str] | None:
    """Return the host of a website written in any way, without `www.`; None where there is none."""
    if not website or not website.strip():
        return None
    if plain := _PLAIN.fullmatch(website):
        return [plain[1]]
    try:
        host = urlsplit(website.strip() if "//" in website else f"//{website.strip()}").hostname or ""
    except ValueError:
        return None
    host = host.removeprefix("www.").rstrip(".")
    return [host] if "." in host and " " not in host and "@" not in host else None


def user_id(owner: str | None) -> str | None:
    """Return the id of a user; None for a queue or group (00G), which is nobody."""
    found = soql.id18(owner)
    return found if found and found.startswith("005") else None


def account_id(related: str | None) -> str | None:
    """Return the id of an account; None for anything else a task may be about."""
    found = soql.id18(related)
    return found if found and found.startswith("001") else None


def lower(value: str | None) -> str | None:
    """Return an address in lower case."""
    return value.strip().lower() if value else None


def share(percent: float | None) -> float | None:
    """Return 12.5 (percent) as 0.125."""
    return None if percent is None else percent / 100


def _first(patterns: Mapping[str, str]) -> Any:
    compiled = [(re.compile(pattern, re.IGNORECASE), value) for pattern, value in patterns.items()]

    def read(raw: str | None) -> str | None:
        return next((value for pattern, value in compiled if raw and pattern.search(raw)), None)

    return read


deal_type = _first(
    {
        r"renew|更新": "renewal",
        r"down ?-?(grade|sell)|contraction|ダウン": "downsell",
        r"cross|クロス": "cross_sell",
        r"up ?-?(grade|sell)|expan|add-?on|アップ|追加|増": "upsell",
        r"\bnew\b|新規": "new",
        r"existing business": "upsell",
    }
)
"""Opportunity.Type is free text with a picklist: read what is plain, leave the rest unknown (`... - Replacement`)."""
customer_status = _first(
    {r"former|churn|lost|解約": "churned", r"customer|顧客": "active", r"prospect|見込": "prospect"}
)
contract_status = _first(
    {
        r"terminat|cancel|解約": "terminated",
        r"expire|満了": "expired",
        r"draft|approv": "draft",
        r"activ|有効": "active",
    }
)
_case_status = _first(
    {
        r"closed|完了": "closed",
        r"solved|resolved|解決": "solved",
        r"wait|pending|待": "pending",
        r"hold|保留": "hold",
        r"^new|新規": "new",
    }
)
case_priority = _first(
    {r"urgent|critical|緊急": "urgent", r"high|高": "high", r"medium|normal|中": "normal", r"low|低": "low"}
)


def case_status(status: str | None, is_closed: bool | None) -> str | None:
    """Return the state of a case; `IsClosed` decides where the org's own status says nothing."""
    found = _case_status(status)
    if is_closed:
        return found if found == "solved" else "closed"
    return found if found not in (None, "closed", "solved") else "open" if status else None


def minutes(opened: str | None, closed: str | None) -> int | None:
    """Return whole calendar minutes between two stamps; None while one is missing."""
    return int((soql.moment(closed) - soql.moment(opened)).total_seconds() // 60) if opened and closed else None


def longer_than_a_year(term_months: float | None) -> bool | None:
    """True for a term of more than twelve months."""
    return None if term_months is None else term_months > 12


STAMPS: dict[str, Field | str] = {"source_url": "_url", "created_at": "CreatedDate", "updated_at": "SystemModstamp"}
OWNER = Field("OwnerId", read=user_id)
ACCOUNT = Field("AccountId", read=soql.id18)


def _needs(feeds: Sequence[Feed]) -> tuple[str, ...]:
    """Return the vendor fields that the feeds read, in order, each once."""
    sources = (f if isinstance(f, str) else f.source for feed in feeds for f in feed.fields.values())
    flat = (s for source in sources for s in ((source,) if isinstance(source, str) else source))
    return tuple(dict.fromkeys(s for s in flat if s and not s.startswith("_")))


def _stream(name: str, source: str, *feeds: Feed, writable: bool = False, **how: Any) -> Stream:
    return Stream(
        name=name,
        feeds=feeds,
        pages=partial(pages, source=source, **how),
        fields_of=_needs(feeds),
        cursor_field="SystemModstamp",
        lag=LAG,
        deletes=DELETES,
        scope=f"{source}: Read and View All" + (", Edit" if writable else ""),
        page_size=PAGE_SIZE,
        requests_per_1000=REQUESTS,
        writable=writable,
    )


def _task_pages(session: Session, request: PullRequest) -> Iterator[Page]:
    """Only tasks that cssync made: by the key field where the org has it, else those of the execution user."""

    def mark(record: dict[str, Any]) -> None:
        if record.keys().isdisjoint((TASK_KEY.name, "Description")):
            raise ConnectionFault(
                "Task.Description is hidden from the execution user: which tasks are ours cannot be told",
                kept="the checkpoint is unchanged, and no task was taken for deleted",
                fix="grant Read on Task.Description, or run `cssync provision` for the tasks' key field",
            )
        record["_task_key"] = key_of(record)

    for page in pages(session, request, "Task", only=ours, adapt=mark):
        yield Page([r for r in page.records if r["_task_key"]], page.cursor, page.deleted, page.incomplete, page.last)


_CUSTOMER = (
    _stream(
        "accounts",
        "Account",
        Feed(
            "account_source",
            {
                **STAMPS,
                "name": "Name",
                "domains": Field("Website", read=domains),
                "status": Field("Type", read=customer_status),
                "lifecycle_stage": "Type",
                "industry": "Industry",
                "country": "BillingCountry",
                "employee_count": "NumberOfEmployees",
                "external_id": "AccountNumber",
                "parent_source_id": Field("ParentId", read=soql.id18),
                "owner_source_id": OWNER,
            },
        ),
        writable=True,
    ),
    _stream(
        "contacts",
        "Contact",
        Feed(
            "contact",
            {
                **STAMPS,
                "account_source_id": ACCOUNT,
                "name": "Name",
                "email": Field("Email", read=lower),
                "title": "Title",
                "left_company_at": "EmailBouncedDate",
            },
        ),
    ),
    _stream(
        "opportunities",
        "Opportunity",
        Feed(
            "opportunity",
            {
                **STAMPS,
                "account_source_id": ACCOUNT,
                "name": "Name",
                "type": Field("Type", read=deal_type),
                "stage": "StageName",
                "is_closed": "IsClosed",
                "is_won": "IsWon",
                "amount": Field("Amount", unit="major units"),
                "currency": "CurrencyIsoCode",
                "close_date": "CloseDate",
                "contract_source_id": Field("ContractId", read=soql.id18),
                "probability": Field("Probability", read=share, unit="percent"),
                "owner_source_id": OWNER,
            },
        ),
    ),
    _stream(
        "contracts",
        "Contract",
        Feed(
            "contract",
            {
                **STAMPS,
                "account_source_id": ACCOUNT,
                "name": "ContractNumber",
                "start_date": "StartDate",
                "end_date": Field("EndDate", unit="last day covered"),
                "term_months": "ContractTerm",
                "multi_year": Field("ContractTerm", read=longer_than_a_year),
                "status": Field("Status", read=contract_status),
                "billing_currency": "CurrencyIsoCode",
            },
        ),
    ),
    _stream(
        "cases",
        "Case",
        Feed(
            "ticket",
            {
                **STAMPS,
                "account_source_id": ACCOUNT,
                "requester_source_id": Field("ContactId", read=soql.id18),
                "subject": "Subject",
                "status": Field(("Status", "IsClosed"), read=case_status),
                "priority": Field("Priority", read=case_priority),
                "type": "Type",
                "category": "Reason",
                "opened_at": "CreatedDate",
                "solved_at": "ClosedDate",
                "escalated": "IsEscalated",
            },
        ),
        Feed(
            "ticket_metric",
            {
                "updated_at": "SystemModstamp",
                "ticket_source_id": "Id",
                "account_source_id": ACCOUNT,
                "full_resolution_minutes": Field(("CreatedDate", "ClosedDate"), read=minutes),
            },
        ),
    ),
    _stream(
        "users",
        "User",
        Feed(
            "user",
            {
                **STAMPS,
                "name": "Name",
                "email": Field("Email", read=lower),
                "is_active": "IsActive",
                "manager_source_id": Field("ManagerId", read=soql.id18),
                "time_zone": "TimeZoneSidKey",
            },
        ),
    ),
)

TASKS = Stream(
    name="tasks",
    feeds=(
        Feed(
            "crm_task",
            {
                **STAMPS,
                "account_source_id": Field("WhatId", read=account_id),
                "task_key": "_task_key",
                "subject": "Subject",
                "status": Field("IsClosed", read={True: "done", False: "open"}.get),
                "due_on": "ActivityDate",
                "owner_source_id": OWNER,
            },
        ),
    ),
    pages=_task_pages,
    fields_of=(
        TASK_KEY.name, "Description", "WhatId", "Subject", "IsClosed", "ActivityDate", "OwnerId", "CreatedDate",
    ),
    cursor_field="SystemModstamp",
    lag=LAG,
    deletes=DELETES,
    scope="Task: Read, Create, Edit",
    page_size=PAGE_SIZE,
    requests_per_1000=REQUESTS,
)  # fmt: skip

STREAMS: tuple[Stream, ...] = (*_CUSTOMER, TASKS)
OBJECTS = {
    "accounts": "Account", "contacts": "Contact", "opportunities": "Opportunity", "contracts": "Contract",
    "cases": "Case", "users": "User", "tasks": "Task", "line_items": "OpportunityLineItem",
}  # fmt: skip


def object_of(stream: str) -> str:
    """Return the object that a stream reads; a stream that is not declared is named after its object."""
    return soql.name(OBJECTS.get(stream, stream))


def _nothing(_: Mapping[str, Any]) -> bool:
    return False


def custom_stream(name: str, mapped: Mapping[str, str]) -> Stream:
    """Build the stream of any other object, e.g. `Product_Usage__c`, out of what cssync.yaml maps from it.

    The feed carries the mapped columns, so that values of usage metrics find their account and day. Where metrics
    are mapped the record itself is no row.

    Raises:
        ValueError: `name` is no object name, or nothing is mapped.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} is not the API name of a Salesforce object, such as Product_Usage__c")
    columns: dict[str, dict[str, Field | str]] = {}
    for source, target in mapped.items():
        entity, _, column = target.partition(".")
        columns.setdefault("account_source" if entity == "account" else entity, {})[column] = source
    if not columns:
        raise ValueError("no field of the object is mapped")
    main, fields = next(iter(columns.items()))
    known = {c: f for c, f in fields.items() if main not in ENTITY or ENTITY[main].column(c)}
    wide = main == "usage_metric" and len(known) < len(fields)
    references = tuple(s for s, target in mapped.items() if target.endswith("_source_id"))

    def complete(record: dict[str, Any]) -> None:
        """A text field may hold an id in its short form."""
        for source in references:
            value = record.get(source)
            if isinstance(value, str) and len(value) == 15 and soql.is_id(value):
                record[source] = soql.id18(value)

    return Stream(
        name=name,
        feeds=(Feed(main, {**STAMPS, **known}, when=_nothing if wide else None),),
        pages=partial(pages, source=name, adapt=complete),
        fields_of=_needs((Feed(main, STAMPS),)),
        cursor_field="SystemModstamp",
        lag=LAG,
        deletes=DELETES,
        scope=f"{name}: Read and View All",
        page_size=PAGE_SIZE,
        requests_per_1000=REQUESTS,
    )
