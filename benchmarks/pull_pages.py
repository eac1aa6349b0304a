"""What three vendors send for one pull, and how a script by hand would store it: the material of `pull.py`.

Records have the size and the nesting of real ones (a Zendesk ticket 2.5 kB with its metrics, most of it not used). For
each stream there is the cheapest table that holds what cssync keeps of it: one wide row a record, values as they came.
Where cssync makes two rows of a record (a ticket and its times, a company and its dates of contact), the values of both
stand in that one row: a script by hand needs no second table, and pays for none.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cssync_salesforce.settings import API_VERSION
from cssync_salesforce.streams import STREAMS as SALESFORCE

Record = dict[str, Any]
Answers = dict[tuple[str, str], tuple[bytes, dict[str, str]]]
"""(path, place in the paging) -> body and headers."""
MADE, CHANGED = "2024-05-01T07:25:37", "2026-11-01T07:25:37"
SALES = f"/services/data/{API_VERSION}"
DECODE = msgspec.json.decode


@dataclass(frozen=True)
class Pages:
    """A stream. answers: what the server says, for so many records. urls: the requests of a script by hand.

    records: out of a body. columns: of the plain table. row: its values. share: of the case's records.
    """

    stream: str
    page: int
    answers: Callable[[int], Answers]
    urls: Callable[[int], Iterable[str]]
    records: Callable[[bytes], Iterable[Any]]
    columns: Sequence[str]
    row: Callable[[Any], tuple[Any, ...]]
    share: float = 1.0


@dataclass(frozen=True)
class Case:
    """Streams of one connection that are pulled together. minimum: the vendor's requests for 1,000 records."""

    name: str
    connector: str
    settings: Mapping[str, Any]
    streams: Sequence[Pages]
    minimum: float
    beside: Answers = field(default_factory=dict)


def told(body: Any, **headers: str) -> tuple[bytes, dict[str, str]]:
    """Return an answer of JSON."""
    return json.dumps(body).encode(), {"Content-Type": "application/json", **headers}


def starts(records: int, page: int) -> range:
    """Return where each page begins."""
    return range(0, records, page)


# --- HubSpot ----------------------------------------------------------------------------------------------------------


def _object(number: int, kind: int, values: Mapping[str, Any], links: Mapping[str, str]) -> Record:
    held = {"createdate": f"{MADE}.123Z", "hs_lastmodifieddate": f"{CHANGED}.123Z", "hs_object_id": str(number)}
    found: Record = {
        "id": str(number), "properties": {**held, **values}, "createdAt": f"{MADE}.123Z",
        "updatedAt": f"{CHANGED}.123Z", "archived": False,
        "url": f"https://app.hubspot.com/contacts/1/record/0-{kind}/{number}",
    }  # fmt: skip
    if links:
        found["associations"] = {
            to: {"results": [{"id": i, "type": f"x_to_{to}"}, {"id": i, "type": f"x_to_{to}_unlabeled"}]}
            for to, i in links.items()
        }
    return found


def _company(n: int) -> Record:
    plain = ("name", "industry", "country", "city", "phone", "description", "annualrevenue")
    values = {p: f"{p} of company {n}" for p in plain} | {
        "domain": f"company-{n}.example", "website": f"https://company-{n}.example", "hs_language": "en",
        "numberofemployees": str(n % 5000), "hubspot_owner_id": str(n % 40), "lifecyclestage": "customer",
        "hs_latest_meeting_activity": None if n % 5 else "2024-06-01T07:25:37.123Z",
        "hs_additional_domains": None, "hs_parent_company_id": None, "hs_merged_object_ids": None,
        "hs_last_logged_call_date": None, "hs_sales_email_last_replied": None if n % 7 else "2024-06-02T07:25:37.123Z",
    }  # fmt: skip
    return _object(10**9 + n, 2, values, {})


def _contact(n: int) -> Record:
    values = {
        "firstname": "Ada", "lastname": f"Person {n}", "email": f"Person.{n}@company-{n // 10}.example",
        "jobtitle": "Head of Buying", "hs_language": "en", "hs_merged_object_ids": None,
        "lastmodifieddate": f"{CHANGED}.123Z",
    }  # fmt: skip
    return _object(2 * 10**9 + n, 1, values, {"companies": str(10**9 + n // 10)})


def _deal(n: int) -> Record:
    values = {
        "dealname": f"Deal {n}", "dealtype": "newbusiness", "pipeline": "p", "dealstage": "s2",
        "amount": f"{n % 90_000}.50", "deal_currency_code": "EUR", "closedate": "2026-12-24T00:00:00Z",
        "closed_lost_reason": None, "hubspot_owner_id": str(n % 40), "hs_merged_object_ids": None,
    }  # fmt: skip
    return _object(3 * 10**9 + n, 3, values, {"companies": str(10**9 + n // 10)})


def _hubspot_ticket(n: int) -> Record:
    values = {
        "subject": f"Ticket {n}: it does not work", "hs_pipeline": "p", "hs_pipeline_stage": "s2",
        "hs_ticket_priority": "HIGH", "hs_ticket_category": "PRODUCT_ISSUE", "hs_merged_object_ids": None,
        "first_agent_reply_date": "2024-05-01T09:25:37.123Z", "closed_date": "2024-05-03T09:25:37.123Z",
    }  # fmt: skip
    links = {"companies": str(10**9 + n // 20), "contacts": str(2 * 10**9 + n // 2)}
    return _object(4 * 10**9 + n, 5, values, links)


def _hubspot(
    kind: str, make: Callable[[int], Record], columns: str, links: Sequence[str] = (), share: float = 1.0
) -> Pages:
    names, path = columns.split(), f"/crm/objects/2026-09/{kind}"
    asked = f"limit=100&properties={','.join(names)}"  # HubSpot sends few others unasked

    def answers(records: int) -> Answers:
        found: Answers = {(path, "archived"): told({"results": []})}
        for start in starts(records, 100):
            end = min(start + 100, records)
            body: Record = {"results": [make(n) for n in range(start, end)]}
            if end < records:
                body["paging"] = {"next": {"after": str(end), "link": f"https://api.hubapi.com{path}?after={end}"}}
            found[path, str(start) if start else ""] = told(body)
        return found

    def row(record: Record) -> tuple[Any, ...]:
        held = record["properties"]
        linked = (record["associations"][to]["results"][0]["id"] for to in links)
        return (record["id"], record["url"], *[held[c] for c in names], *linked)

    return Pages(
        kind, 100, answers,
        lambda records: (f"{path}?{asked}" + (f"&after={s}" if s else "") for s in starts(records, 100)),
        lambda body: DECODE(body)["results"], ("url", *names, *links), row, share,
    )  # fmt: skip


_STAGES = [{"id": f"s{n}", "label": f"Stage {n}", "displayOrder": n,
            "metadata": {"isClosed": "false", "probability": "0.4"}} for n in range(5)]  # fmt: skip
_PIPELINES = told({"results": [{"id": "p", "label": "Pipeline", "stages": _STAGES}]})
_PORTAL = {("", ""): told({"portalId": 1, "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "USD"})} | {
    (f"/crm/pipelines/2026-09/{kind}", ""): _PIPELINES for kind in ("deals", "tickets")
}
COMPANIES = _hubspot(
    "companies",
    _company,
    "name domain hs_additional_domains industry country numberofemployees lifecyclestage hs_parent_company_id "
    "hubspot_owner_id createdate hs_lastmodifieddate hs_latest_meeting_activity hs_last_logged_call_date "
    "hs_sales_email_last_replied",
)
_MIXED = (
    _hubspot("companies", _company, " ".join(COMPANIES.columns[1:]), share=0.05),
    _hubspot("contacts", _contact, "firstname lastname email jobtitle hs_language createdate lastmodifieddate",
             ("companies",), 0.4),
    _hubspot("deals", _deal, "dealname dealtype pipeline dealstage amount deal_currency_code closedate hubspot_owner_id"
             " createdate hs_lastmodifieddate", ("companies",), 0.15),
    _hubspot("tickets", _hubspot_ticket, "subject hs_pipeline_stage hs_ticket_priority hs_ticket_category createdate "
             "first_agent_reply_date closed_date hs_lastmodifieddate", ("companies", "contacts"), 0.4),
)  # fmt: skip

# --- Salesforce -------------------------------------------------------------------------------------------------------

_KINDS = {"NumberOfEmployees": ("int", 0), "IsDeleted": ("boolean", 0), "IsClosed": ("boolean", 0),
          "IsEscalated": ("boolean", 0)}  # fmt: skip


def _id(prefix: str, number: int) -> str:
    return f"{prefix}{number:012d}AAA"


def _sales_values(n: int) -> Record:
    return {
        "CreatedDate": f"{MADE}.000+0000", "SystemModstamp": f"2026-11-01T07:{n // 60 % 60:02d}:{n % 60:02d}.000+0000",
        "IsDeleted": False, "MasterRecordId": None, "OwnerId": _id("005", n % 40), "Name": f"Company {n}",
        "Website": f"https://www.company-{n}.example", "Type": "Customer - Direct", "Industry": "Manufacturing",
        "BillingCountry": "Japan", "NumberOfEmployees": n % 5000, "AccountNumber": f"A-{n}", "ParentId": None,
        "AccountId": _id("001", n // 20), "ContactId": _id("003", n // 2), "Subject": f"Case {n}: it does not work",
        "Status": "Closed", "IsClosed": True, "Priority": "High", "Reason": "Installation", "IsEscalated": False,
        "ClosedDate": "2024-05-03T09:25:37.000+0000",
    }  # fmt: skip


def _cell(value: Any) -> Any:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def _salesforce(stream: str, source: str, prefix: str, *, bulk: bool = False) -> Pages:
    declared = next(s for s in SALESFORCE if s.name == stream)
    names = [f for f in dict.fromkeys((*declared.fields_of, "SystemModstamp")) if f in _sales_values(0) or f == "Id"]
    system = ["IsDeleted", *(["MasterRecordId"] if stream == "accounts" else [])]
    every = list(dict.fromkeys(["Id", "SystemModstamp", *system, *names]))
    job = _id("750", 1)
    described = [
        {"name": f, "label": f, "type": _KINDS.get(f, ("string", 0))[0], "scale": 0, "updateable": True} for f in every
    ]

    def answers(records: int) -> Answers:
        found: Answers = {(f"{SALES}/sobjects/{source}/describe", ""): told({"name": source, "fields": described})}
        for start in starts(2000 if bulk else records, 2000):
            rows = []
            for n in range(start, min(start + 2000, records)):
                key, held = _id(prefix, n), _sales_values(n)
                about = {"type": source, "url": f"{SALES}/sobjects/{source}/{key}"}
                rows.append({"attributes": about, "Id": key, **{f: held[f] for f in every if f != "Id"}})
            body: Record = {"totalSize": records, "done": start + 2000 >= records, "records": rows}
            if not body["done"]:
                body["nextRecordsUrl"] = f"{SALES}/query/{_id('0r8', 1)}-{start + 2000}"
            found[f"{SALES}/query/{_id('0r8', 1)}-{start}" if start else f"{SALES}/queryAll", ""] = told(body)
        if bulk:
            found[f"{SALES}/jobs/query", ""] = told({"id": job})
            done = {"state": "JobComplete", "numberRecordsProcessed": records - 2000}
            found[f"{SALES}/jobs/query/{job}", ""] = told(done)
            for start in starts(records - 2000, 50_000):
                text, end = io.StringIO(), min(start + 50_000, records - 2000)
                out = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
                out.writerow(every)
                for n in range(2000 + start, 2000 + end):
                    held = {**_sales_values(n), "Id": _id(prefix, n)}
                    out.writerow(_cell(held[f]) for f in every)
                locator = str(end) if end < records - 2000 else "null"
                found[f"{SALES}/jobs/query/{job}/results", str(start) if start else ""] = (
                    text.getvalue().encode(),
                    {"Content-Type": "text/csv", "Sforce-Locator": locator, "Sforce-NumberOfRecords": str(end - start)},
                )
        return found

    def urls(records: int) -> Iterator[str]:
        yield f"{SALES}/queryAll"
        if bulk:
            path = f"{SALES}/jobs/query/{job}/results"
            yield from (f"{path}?locator={s}" if s else path for s in starts(records - 2000, 50_000))
        else:
            yield from (f"{SALES}/query/{_id('0r8', 1)}-{s}" for s in starts(records, 2000)[1:])

    def found(body: bytes) -> Iterable[Any]:
        return DECODE(body)["records"] if body[:1] == b"{" else csv.DictReader(io.StringIO(body.decode()))

    kept = [f for f in names if f not in ("Id", *system)]
    return Pages(stream, 2000, answers, urls, found, kept, lambda r: (r["Id"], *[r[f] for f in kept]))


_TOKEN = {("/services/oauth2/token", ""): told({"access_token": "bench"})}

# --- Zendesk ----------------------------------------------------------------------------------------------------------


def _zendesk_ticket(n: int) -> Record:
    custom = [{"id": 46_406_130_043_793 + i, "value": f"area_{n % 9}" if i < 3 else None} for i in range(13)]
    minutes = {"calendar": 120, "business": 40}
    return {
        "url": f"https://bench.zendesk.com/api/v2/tickets/{n + 1}.json", "id": n + 1, "external_id": None,
        "via": {"channel": "email", "source": {"from": {"address": f"p{n}@company.example", "name": "Ada"},
                "to": {"name": "Acme", "address": "help@acme.example"}, "rel": None}},
        "created_at": f"{MADE}Z", "updated_at": f"{CHANGED}Z", "generated_timestamp": 1_793_000_000 + n,
        "type": "question", "subject": f"Ticket {n}: it does not work", "raw_subject": f"Ticket {n}: it does not work",
        "description": "Hello, since the update on Monday the export does not work any more. " * 4, "priority": "high",
        "status": "solved", "recipient": "help@acme.example", "requester_id": 7_000_000_000 + n // 2,
        "submitter_id": 7_000_000_000 + n // 2, "assignee_id": 8_000_000_000 + n % 40,
        "organization_id": 9_000_000_000 + n // 20, "group_id": 5, "collaborator_ids": [], "follower_ids": [],
        "email_cc_ids": [], "problem_id": None, "has_incidents": False, "is_public": True, "due_at": None,
        "tags": ["export", "update"], "custom_fields": custom, "fields": custom, "ticket_form_id": 46_406_146_302_353,
        "satisfaction_rating": {"score": "offered"} if n % 5 else {"score": "good", "comment": "Thank you", "id": n},
        "sharing_agreement_ids": [], "custom_status_id": 46_406_158_222_353, "encoded_id": "93E76R-EM7YR",
        "followup_ids": [], "brand_id": 46_406_158_162_961, "allow_channelback": False, "allow_attachments": True,
        "from_messaging_channel": False, "support_type": "agent",
        "metric_set": {
            "url": f"https://bench.zendesk.com/api/v2/ticket_metrics/{n}.json", "id": n, "ticket_id": n + 1,
            "created_at": f"{MADE}Z", "updated_at": f"{CHANGED}Z", "group_stations": 1, "assignee_stations": 1,
            "reopens": n % 3, "replies": 2, "assignee_updated_at": f"{CHANGED}Z", "requester_updated_at": f"{MADE}Z",
            "status_updated_at": f"{CHANGED}Z", "initially_assigned_at": f"{MADE}Z", "assigned_at": f"{MADE}Z",
            "solved_at": "2024-05-03T09:25:37Z", "latest_comment_added_at": f"{MADE}Z",
            "reply_time_in_minutes": minutes, "first_resolution_time_in_minutes": minutes,
            "full_resolution_time_in_minutes": minutes, "agent_wait_time_in_minutes": minutes,
            "requester_wait_time_in_minutes": minutes, "on_hold_time_in_minutes": {"calendar": 0, "business": 0},
        },
    }  # fmt: skip


def _zendesk_user(n: int) -> Record:
    return {
        "id": 7_000_000_000 + n, "url": f"https://bench.zendesk.com/api/v2/users/{7_000_000_000 + n}.json",
        "name": f"Person {n}", "email": f"p{n}@company-{n // 10}.example", "created_at": f"{MADE}Z",
        "updated_at": f"{CHANGED}Z", "time_zone": "Tokyo", "iana_time_zone": "Asia/Tokyo", "phone": None,
        "shared_phone_number": None, "photo": None, "locale_id": 67, "locale": "ja",
        "organization_id": 9_000_000_000 + n // 10, "role": "end-user", "verified": True, "external_id": None,
        "tags": [], "alias": "", "active": True, "shared": False, "shared_agent": False, "last_login_at": f"{CHANGED}Z",
        "two_factor_auth_enabled": None, "signature": None, "details": "", "notes": "", "role_type": None,
        "custom_role_id": None, "moderator": False, "ticket_restriction": "requested", "only_private_comments": False,
        "restricted_agent": True, "suspended": False, "default_group_id": None, "report_csv": False,
        "user_fields": {"plan": "gold", "seats": 5},
    }  # fmt: skip


def _zendesk(kind: str, make: Callable[[int], Record], row: Callable[[Any], tuple[Any, ...]], share: float) -> Pages:
    path, width = f"/api/v2/incremental/{kind}/cursor", len(row(make(0))) - 1

    def answers(records: int) -> Answers:
        found: Answers = {}
        for start in starts(records, 1000):
            end = min(start + 1000, records)
            body = {kind: [make(n) for n in range(start, end)], "after_cursor": str(end), "count": end - start,
                    "after_url": f"https://bench.zendesk.com{path}?cursor={end}", "end_of_stream": end == records,
                    "before_cursor": None, "before_url": None}  # fmt: skip
            found[path, str(start) if start else ""] = told(body)
        return found

    return Pages(
        kind, 1000, answers,
        lambda records: (f"{path}?per_page=1000&cursor={s}" if s else f"{path}?start_time=0" for s in
                         starts(records, 1000)),
        lambda body: DECODE(body)[kind], [f"c{n}" for n in range(width)], row, share,
    )  # fmt: skip


def _ticket_row(r: Record) -> tuple[Any, ...]:
    metrics, rating = r["metric_set"], r["satisfaction_rating"]
    timed = [metrics[f"{name}_time_in_minutes"] for name in ("reply", "full_resolution", "requester_wait")]
    minutes = [clocks[kind] for clocks in timed for kind in ("calendar", "business")]
    return (r["id"], r["url"], r["created_at"], r["updated_at"], r["organization_id"], r["requester_id"], r["subject"],
            r["status"], r["priority"], r["type"], json.dumps(r["tags"]), metrics["solved_at"], metrics["reopens"],
            metrics["replies"], *minutes, rating["score"], rating.get("comment"))  # fmt: skip


def _user_row(r: Record) -> tuple[Any, ...]:
    return (r["id"], r["url"], r["created_at"], r["updated_at"], r["name"], r["email"], r["organization_id"],
            r["locale"], r["active"], r["suspended"])  # fmt: skip


CASES = (
    Case("HubSpot companies", "hubspot", {"token": "bench"}, (COMPANIES,), 10, _PORTAL),
    Case("HubSpot, linked", "hubspot", {"token": "bench"}, _MIXED, 10, _PORTAL),
    Case("Salesforce accounts", "salesforce", {"client_id": "c", "client_secret": "bench", "bulk_from": 0},
         (_salesforce("accounts", "Account", "001"),), 0.5, _TOKEN),
    Case("Salesforce cases", "salesforce", {"client_id": "c", "client_secret": "bench", "bulk_from": 0},
         (_salesforce("cases", "Case", "500"),), 0.5, _TOKEN),
    Case("Salesforce bulk", "salesforce", {"client_id": "c", "client_secret": "bench", "bulk_from": 1},
         (_salesforce("accounts", "Account", "001", bulk=True),), 0.02, _TOKEN),
    Case("Zendesk tickets", "zendesk", {"subdomain": "bench", "email": "a@b.example", "token": "bench"},
         (_zendesk("tickets", _zendesk_ticket, _ticket_row, 1.0),), 1),
    Case("Zendesk users", "zendesk", {"subdomain": "bench", "email": "a@b.example", "token": "bench"},
         (_zendesk("users", _zendesk_user, _user_row, 1.0),), 1),
)  # fmt: skip
