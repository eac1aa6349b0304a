"""What a HubSpot account looks like before anybody's data: object types, properties, pipelines, associations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

USAGE_TYPE = "2-1000001"


@dataclass(frozen=True, slots=True)
class Kind:
    """An object type. `shown`: properties in an answer to a request that names none."""

    name: str
    type_id: str
    modified: str = "hs_lastmodifieddate"
    shown: tuple[str, ...] = ()
    read_scope: str = ""
    write_scope: str = ""
    aliases: tuple[str, ...] = ()


KINDS = (
    Kind("companies", "0-2", shown=("name", "domain"), read_scope="crm.objects.companies.read",
         write_scope="crm.objects.companies.write", aliases=("company",)),
    Kind("contacts", "0-1", "lastmodifieddate", ("firstname", "lastname", "email"), "crm.objects.contacts.read",
         "crm.objects.contacts.write", ("contact",)),
    Kind("deals", "0-3", shown=("dealname", "amount", "dealstage", "pipeline", "closedate"),
         read_scope="crm.objects.deals.read", write_scope="crm.objects.deals.write", aliases=("deal",)),
    Kind("tickets", "0-5", shown=("subject", "content", "hs_pipeline", "hs_pipeline_stage"), read_scope="tickets",
         write_scope="tickets", aliases=("ticket",)),
    Kind("tasks", "0-27", read_scope="crm.objects.contacts.read", write_scope="crm.objects.contacts.write",
         aliases=("task",)),
    Kind("line_items", "0-8", shown=("name", "quantity", "price", "amount"), read_scope="crm.objects.line_items.read",
         write_scope="crm.objects.line_items.write", aliases=("line_item",)),
    Kind("feedback_submissions", "0-19", read_scope="crm.objects.feedback_submissions.read",
         aliases=("feedback_submission",)),
    Kind("p4242_usage", USAGE_TYPE, read_scope="crm.objects.custom.read", write_scope="crm.objects.custom.write",
         aliases=("usage", "p_usage")),
)  # fmt: skip
KIND_OF = {alias: kind for kind in KINDS for alias in (kind.name, kind.type_id, *kind.aliases)}
SINGULAR = {"companies": "company", "contacts": "contact", "deals": "deal", "tickets": "ticket", "tasks": "task",
            "line_items": "line_item", "feedback_submissions": "feedback_submission",
            "p4242_usage": "p4242_usage"}  # fmt: skip

DEFAULT_TYPE = {
    ("contacts", "companies"): 279, ("companies", "contacts"): 280, ("deals", "companies"): 341,
    ("companies", "deals"): 342, ("deals", "contacts"): 3, ("contacts", "deals"): 4, ("tickets", "companies"): 339,
    ("companies", "tickets"): 340, ("tickets", "contacts"): 16, ("contacts", "tickets"): 15,
    ("tasks", "companies"): 192, ("companies", "tasks"): 191, ("tasks", "contacts"): 204, ("contacts", "tasks"): 203,
    ("tasks", "deals"): 216, ("deals", "tasks"): 215, ("line_items", "deals"): 20, ("deals", "line_items"): 19,
    ("feedback_submissions", "contacts"): 98, ("contacts", "feedback_submissions"): 97,
    ("feedback_submissions", "tickets"): 100, ("tickets", "feedback_submissions"): 99,
    ("p4242_usage", "companies"): 27,
    ("companies", "p4242_usage"): 28,
}  # fmt: skip
PRIMARY_TYPE = {("contacts", "companies"): 1, ("deals", "companies"): 5, ("tickets", "companies"): 26,
                ("companies", "contacts"): 2, ("companies", "deals"): 6, ("companies", "tickets"): 25}  # fmt: skip
OPPOSITE = {
    number: DEFAULT_TYPE[end, start] for (start, end), number in DEFAULT_TYPE.items()
} | {number: PRIMARY_TYPE[end, start] for (start, end), number in PRIMARY_TYPE.items()}  # fmt: skip

_STANDARD = "hs_object_id:number:number:ro createdate:datetime:date:ro hs_merged_object_ids:enumeration:checkbox:ro"
_PROPERTIES = {
    "companies": "name domain hs_additional_domains:enumeration:checkbox:ro industry country numberofemployees:number"
    " lifecyclestage:enumeration:radio hs_parent_company_id:number hubspot_owner_id hs_salesforceaccountid"
    " hs_latest_meeting_activity:datetime:date:ro hs_last_logged_call_date:datetime:date:ro"
    " hs_sales_email_last_replied:datetime:date:ro"
    " hs_lastmodifieddate:datetime:date:ro description:string:textarea",
    "contacts": "firstname lastname email jobtitle hs_language lastmodifieddate:datetime:date:ro hubspot_owner_id",
    "deals": "dealname dealtype:enumeration:radio pipeline dealstage amount:number deal_currency_code"
    " closedate:datetime:date closed_lost_reason:string:textarea hubspot_owner_id description:string:textarea"
    " hs_is_closed_won:bool:booleancheckbox:ro hs_lastmodifieddate:datetime:date:ro",
    "tickets": "subject content:string:textarea hs_pipeline hs_pipeline_stage hs_ticket_priority:enumeration:select"
    " hs_ticket_category:enumeration:checkbox first_agent_reply_date:datetime:date closed_date:datetime:date"
    " hubspot_owner_id hs_lastmodifieddate:datetime:date:ro",
    "tasks": "hs_task_subject hs_task_body:string:html hs_task_status:enumeration:select"
    " hs_task_priority:enumeration:select hs_task_type:enumeration:select hs_timestamp:datetime:date"
    " hubspot_owner_id hs_lastmodifieddate:datetime:date:ro",
    "line_items": "name hs_sku quantity:number price:number amount:number:number:ro hs_line_item_currency_code"
    " recurringbillingfrequency:enumeration:select hs_recurring_billing_period"
    " hs_recurring_billing_start_date:date:date hs_recurring_billing_end_date:date:date:ro"
    " hs_lastmodifieddate:datetime:date:ro",
    "feedback_submissions": "hs_survey_type:enumeration:select hs_value:number hs_content:string:textarea"
    " hs_submission_timestamp:datetime:date hs_lastmodifieddate:datetime:date:ro",
    "p4242_usage": "hs_lastmodifieddate:datetime:date:ro",
}
_OWN = {
    "companies": "customer_number renewal_date:date:date contract_start:date:date seats:number"
    " segment:enumeration:select",
    "contacts": "customer_role",
    "p4242_usage": "usage_day:date:date active_users:number company_id",
}
"""Custom properties that this made-up company has given itself."""
OPTIONS = {
    "lifecyclestage": ("subscriber", "lead", "opportunity", "customer", "evangelist", "other"),
    "dealtype": ("newbusiness", "existingbusiness", "renewal", "upsell", "cross_sell"),
    "hs_ticket_priority": ("LOW", "MEDIUM", "HIGH", "URGENT"),
    "hs_ticket_category": ("PRODUCT_ISSUE", "BILLING_ISSUE", "FEATURE_REQUEST", "GENERAL_INQUIRY"),
    "hs_task_status": ("NOT_STARTED", "IN_PROGRESS", "WAITING", "DEFERRED", "COMPLETED"),
    "hs_task_priority": ("NONE", "LOW", "MEDIUM", "HIGH"),
    "hs_task_type": ("TODO", "CALL", "EMAIL"),
    "segment": ("smb", "mid-market", "enterprise"),
}


def property_definitions(kind: str) -> dict[str, dict[str, Any]]:
    """Return the property definitions of an object type, by name."""
    lines = f"{_STANDARD} {_PROPERTIES[kind]}".split()
    found = [definition(line, own=False) for line in lines] + [
        definition(line, own=True) for line in _OWN.get(kind, "").split()
    ]
    return {d["name"]: d for d in found}


def definition(line: str, *, own: bool) -> dict[str, Any]:
    """Read `name[:type[:fieldType[:ro]]]`; a type alone has the field type of the same name."""
    name, *rest = line.split(":")
    kind = rest[0] if rest else "string"
    form = rest[1] if len(rest) > 1 else "text" if kind == "string" else kind
    read_only = rest[2:] == ["ro"]
    return {
        "name": name,
        "label": name.removeprefix("hs_").replace("_", " ").capitalize(),
        "type": kind,
        "fieldType": form,
        "groupName": "own" if own else "information",
        "description": "",
        "options": options(OPTIONS.get(name, ())),
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": False,
        "hidden": False,
        "hubspotDefined": not own,
        "formField": False,
        "displayOrder": -1,
        "archived": False,
        "modificationMetadata": {
            "archivable": own,
            "readOnlyDefinition": not own,
            "readOnlyValue": read_only,
        },
    }


def options(values: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return an enumeration's options."""
    return [
        {"label": v.replace("_", " ").capitalize(), "value": v, "displayOrder": n, "hidden": False}
        for n, v in enumerate(values)
    ]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline: stages as (id, label, metadata)."""

    id: str
    label: str
    stages: tuple[tuple[str, str, dict[str, str]], ...] = field(default=())


def _deal(stage: str, label: str, probability: str) -> tuple[str, str, dict[str, str]]:
    closed = "true" if probability in ("0.0", "1.0") else "false"
    return stage, label, {"isClosed": closed, "probability": probability}


def _ticket(stage: str, label: str, state: str) -> tuple[str, str, dict[str, str]]:
    return stage, label, {"ticketState": state, "isClosed": "true" if state == "CLOSED" else "false"}


PIPELINES = {
    "deals": Pipeline(
        "default",
        "Sales Pipeline",
        (
            _deal("qualifiedtobuy", "Qualified To Buy", "0.4"),
            _deal("presentationscheduled", "Proposal", "0.6"),
            _deal("contractsent", "Negotiation", "0.9"),
            _deal("closedwon", "Closed Won", "1.0"),
            _deal("closedlost", "Closed Lost", "0.0"),
        ),
    ),
    "tickets": Pipeline(
        "0",
        "Support Pipeline",
        (
            _ticket("1", "New", "OPEN"),
            _ticket("2", "Waiting on contact", "OPEN"),
            _ticket("3", "Waiting on us", "OPEN"),
            _ticket("4", "Closed", "CLOSED"),
        ),
    ),
}


def pipeline_body(kind: str) -> dict[str, Any]:
    """Return the answer that lists the pipelines of deals or tickets."""
    born = {"createdAt": "1970-01-01T00:00:00Z", "updatedAt": "1970-01-01T00:00:00Z", "archived": False}
    pipeline = PIPELINES[kind]
    stages = [
        {"label": label, "displayOrder": n, "metadata": meta, "id": stage,
         "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT", **born}
        for n, (stage, label, meta) in enumerate(pipeline.stages)
    ]  # fmt: skip
    return {"results": [{"label": pipeline.label, "displayOrder": 0, "id": pipeline.id, "stages": stages, **born}]}
