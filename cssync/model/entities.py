"""The normalised vendor tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cssync.model.columns import PROFILE, Column, col


@dataclass(frozen=True, slots=True)
class Entity:
    """A normalised vendor table. Its key is (connection, source_id); see VENDOR_COLUMNS for what every one has.

    indexes: beside those that every table has; one that begins with account_uid takes the place of the plain one.
    dated: instants that the store itself fills where they are not mapped, each with a count that vendors only keep as
    a running total: an increase is dated by the version that brought it.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    account_bound: bool = True
    indexes: tuple[tuple[str, ...], ...] = ()
    dated: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> Column | None:
        """Return the declared or vendor column of that name, None if there is none."""
        return next((c for c in (*VENDOR_COLUMNS, *self.columns) if c.name == name), None)

    @property
    def writable(self) -> tuple[str, ...]:
        """Columns that a connector's fields or an admin's mapping may fill, in table order."""
        return tuple(c.name for c in (*MAPPED_VENDOR_COLUMNS, *self.columns) if c.name != "account_uid")


MAPPED_VENDOR_COLUMNS = (
    col("source_url", "text", "link to the record in the vendor's user interface"),
    col("created_at", "instant", "vendor's creation time"),
    col("updated_at", "instant", "vendor's modification time of the stored version"),
)
VENDOR_COLUMNS = (
    col("connection", "text", "name of the connection it came through"),
    col("source_id", "text", "the vendor's id; for a row mapped out of another record `<stream>/<id>`"),
    *MAPPED_VENDOR_COLUMNS,
    col("synced_at", "instant", "when this version was learned"),
    col("deleted_at", "instant", "tombstone: when the vendor's deletion, archiving or merge was learned"),
)
ACCOUNT_REF = (
    col("account_source_id", "text", "the vendor's id of the company this row belongs to, in the same connection"),
    col("account_uid", "text", "the unified account; set by the link stage"),
)

ENTITIES: tuple[Entity, ...] = (
    Entity(
        "account_source",
        "The vendor's own company, account or organization record.",
        (
            *PROFILE,
            col("external_id", "text", "explicit key held here: our customer number, or the id in another system"),
            col(
                "linked_ids", "json", 'ids in other systems that the vendor itself keeps, e.g. {"salesforce": "001..."}'
            ),
            col("parent_source_id", "text", "parent company in the same connection"),
            col("owner_source_id", "text", "owner (user) in the same connection"),
            col("csm_source_id", "text", "customer success manager (user) in the same connection"),
            col("merged_into", "text", "source_id of the survivor, when this record lost a merge"),
            col("account_uid", "text", "the unified account; set by the link stage"),
        ),
    ),
    Entity(
        "contact",
        "A person at a customer.",
        (
            *ACCOUNT_REF,
            col("name", "text", "full name", personal=True),
            col("email", "text", "lower-cased address", personal=True),
            col("title", "text", "job title", personal=True),
            col("role", "text", "role", "champion", "exec_sponsor", "admin", "user", "billing"),
            col("is_active", "bool", "0 once deactivated at the vendor"),
            col("left_company_at", "instant", "when they left or their mail bounced for good"),
            col("last_inbound_at", "instant", "last message from them"),
            col("last_meeting_at", "instant", "last meeting or call held"),
            col("locale", "text", "language tag"),
        ),
    ),
    Entity(
        "contract",
        "A term of service. `end_date` is inclusive: the last day covered.",
        (
            *ACCOUNT_REF,
            col("name", "text", "contract name or number"),
            col("start_date", "date", "first day covered"),
            col("end_date", "date", "last day covered, inclusive; NULL: open-ended or not known"),
            col("term_months", "integer", "length of a term"),
            col("auto_renew", "bool", "renews by itself"),
            col("notice_days", "integer", "notice period in days"),
            col("notice_months", "integer", "notice period in months; wins over days"),
            col("notice_received_on", "date", "when the customer gave notice"),
            col("status", "text", "state", "draft", "active", "notice", "renewed", "expired", "terminated"),
            col("billing_currency", "text", "ISO 4217"),
            col("renewed_by_source_id", "text", "successor contract in the same connection"),
            col("multi_year", "bool", "term longer than a year"),
        ),
    ),
    Entity(
        "contract_line",
        "A priced position of a contract. Lines without dates follow their contract's.",
        (
            *ACCOUNT_REF,
            col("contract_source_id", "text", "contract in the same connection"),
            col("opportunity_source_id", "text", "deal in which it was sold, in the same connection"),
            col("product_code", "text", "product"),
            col("quantity", "integer", "seats or units"),
            col("unit", "text", "what is counted", "seat", "credit", "flat"),
            col("unit_price", "money", "price of one unit per billing period"),
            col("amount", "money", "price of the whole line per billing period; wins over quantity x unit_price"),
            col("currency", "text", "ISO 4217"),
            col("billing_period_months", "integer", "months one price covers; NULL: 12; 0: the whole term of the line"),
            col("start_date", "date", "first day"),
            col("end_date", "date", "last day, inclusive"),
            col("is_recurring", "bool", "NULL counts as recurring"),
        ),
        indexes=(("contract_source_id",),),
    ),
    Entity(
        "opportunity",
        "A deal in the sales pipeline.",
        (
            *ACCOUNT_REF,
            col("name", "text", "deal name"),
            col("type", "text", "kind", "new", "renewal", "upsell", "cross_sell", "downsell"),
            col("stage", "text", "the vendor's stage"),
            col("is_closed", "bool", "won or lost"),
            col("is_won", "bool", "won"),
            col("amount", "money", "deal value"),
            col("currency", "text", "ISO 4217"),
            col("close_date", "date", "closing date, planned or actual"),
            col("contract_source_id", "text", "contract it renews or creates"),
            col("probability", "real", "0..1"),
            col("loss_reason", "text", "why it was lost"),
            col("owner_source_id", "text", "owner (user) in the same connection"),
        ),
    ),
    Entity(
        "ticket",
        "A support request. `account_uid` NULL: unassigned, counted, never guessed.",
        (
            *ACCOUNT_REF,
            col("requester_source_id", "text", "contact in the same connection"),
            col("subject", "text", "subject"),
            col("status", "text", "state", "new", "open", "pending", "hold", "solved", "closed"),
            col("priority", "text", "priority", "urgent", "high", "normal", "low", "none"),
            col("type", "text", "problem, incident, question, task"),
            col("category", "text", "category of this company's own scheme"),
            col("tags", "json", "array of tags"),
            col("opened_at", "instant", "when the customer opened it"),
            col("first_reply_at", "instant", "first public reply of an agent"),
            col("solved_at", "instant", "when it was solved, NULL while open"),
            col("reopened_count", "integer", "times reopened"),
            col(
                "reopened_at",
                "instant",
                "when it was last reopened; unless mapped, when the first stored version with a higher reopened_count "
                "was modified",
            ),
            col("escalated", "bool", "escalated"),
            col("product_code", "text", "product"),
        ),
        # Tickets that came of age since the last evaluation are found by it.
        indexes=(("opened_at",),),
        dated={"reopened_at": "reopened_count"},
    ),
    Entity(
        "ticket_metric",
        "Service times of a ticket; source_id is the ticket's. Calendar and business clocks are kept apart.",
        (
            col("ticket_source_id", "text", "ticket in the same connection"),
            *ACCOUNT_REF,
            col("first_reply_minutes", "integer", "calendar minutes to the first reply"),
            col("first_reply_business_minutes", "integer", "business minutes to the first reply"),
            col("full_resolution_minutes", "integer", "calendar minutes to the last resolution"),
            col("full_resolution_business_minutes", "integer", "business minutes to the last resolution"),
            col("agent_touches", "integer", "agent replies"),
            col("reopens", "integer", "times reopened"),
        ),
    ),
    Entity(
        "survey_response",
        "An answer to a satisfaction question. For csat `score` is 1 good, 0 bad unless `scale_max` says otherwise.",
        (
            *ACCOUNT_REF,
            col("kind", "text", "question", "csat", "nps", "ces"),
            col("scale_max", "integer", "highest answer possible"),
            col("score", "real", "the answer"),
            col("comment", "text", "what the person added, in their own words"),
            col("contact_source_id", "text", "contact in the same connection"),
            col("ticket_source_id", "text", "ticket in the same connection"),
            col("responded_at", "instant", "when answered"),
            col("language", "text", "language tag"),
        ),
    ),
    Entity(
        "usage_metric",
        "One measured value of one metric for one account and period.",
        (
            *ACCOUNT_REF,
            col("product_code", "text", "product"),
            col("metric", "text", "active_users, logins, events, credits, value_event, feature:<name> or your own"),
            col("grain", "text", "length of the period", "day", "week"),
            col("period_start", "date", "first day of the period"),
            col("value", "real", "measured value"),
            col("is_complete", "bool", "0: the source was not complete; NULL counts as complete"),
        ),
        # The rules read usage from these alone: one account's in the order of its days, and all accounts' by day.
        indexes=(
            ("account_uid", "metric", "period_start", "value", "is_complete", "deleted_at", "grain", "connection"),
            ("connection", "metric", "period_start", "value", "is_complete", "deleted_at", "grain", "account_uid"),
        ),
    ),
    Entity(
        "invoice",
        "A bill sent to a customer.",
        (
            *ACCOUNT_REF,
            col("due_date", "date", "due"),
            col("amount", "money", "amount"),
            col("currency", "text", "ISO 4217"),
            col("paid_at", "instant", "paid"),
        ),
    ),
    Entity(
        "interaction",
        "A meeting, call or mail with a customer.",
        (
            *ACCOUNT_REF,
            col("kind", "text", "meeting, call, email, note"),
            col("direction", "text", "direction", "in", "out", "both"),
            col("at", "instant", "when"),
        ),
    ),
    Entity(
        "usage_event",
        "Something that happened in the product: one row per occurrence.",
        (
            *ACCOUNT_REF,
            col("name", "text", "what happened, such as limit_reached or bulk_export"),
            col("at", "instant", "when"),
            col("actor", "text", "who did it: an id or a digest, never a name or an address"),
            col("actor_role", "text", "role of that user in the product, such as admin"),
            col("product_code", "text", "product"),
        ),
    ),
    Entity(
        "feature_request",
        "A wish for the product, noted for a customer.",
        (
            *ACCOUNT_REF,
            col("topic", "text", "what is wished for, in this company's own words"),
            col("status", "text", "state", "open", "planned", "shipped", "declined"),
            col("requested_at", "instant", "when the customer asked"),
            col("shipped_at", "instant", "when it was marked shipped"),
            col("ticket_source_id", "text", "ticket it came from, in the same connection"),
            col("opportunity_source_id", "text", "deal it came from, in the same connection"),
            col("arr", "money", "revenue that depends on it"),
            col("currency", "text", "ISO 4217"),
        ),
    ),
    Entity(
        "user",
        "Staff: owners, customer success managers, agents.",
        (
            col("name", "text", "full name", personal=True),
            col("email", "text", "lower-cased address", personal=True),
            col("is_active", "bool", "0 once deactivated"),
            col("manager_source_id", "text", "manager (user) in the same connection"),
            col("time_zone", "text", "IANA name"),
        ),
        account_bound=False,
    ),
    Entity(
        "crm_task",
        "A task in the CRM that cssync created, as the CRM holds it now.",
        (
            *ACCOUNT_REF,
            col("task_key", "text", "our stable key, read from the CRM task's marker"),
            col("subject", "text", "subject"),
            col("status", "text", "state", "open", "done"),
            col("due_on", "date", "due"),
            col("owner_source_id", "text", "owner (user) in the same connection"),
        ),
    ),
    Entity(
        "crm_state",
        "What the CRM holds now in the fields that cssync writes; source_id is the company's.",
        (
            col("stream", "text", "stream of the target record, e.g. companies"),
            col("fields", "json", "object: vendor field -> value as read, null where empty"),
        ),
        account_bound=False,
    ),
)
ENTITY: dict[str, Entity] = {e.name: e for e in ENTITIES}


def account_bound() -> Iterator[Entity]:
    """Entities whose rows belong to an account through `account_source_id`, in declaration order."""
    return (e for e in ENTITIES if e.account_bound and e.column("account_source_id") is not None)
