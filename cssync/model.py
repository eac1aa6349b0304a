"""Every table of the store, declared once.

Store schema, `docs/store.md`, the mapping targets of `cssync.yaml` and the names a rule may use are generated from
these declarations. Column types:

======== ======================================================== =============
type     meaning                                                  SQLite
======== ======================================================== =============
text     text, NUL-free; ids are always text                      TEXT
integer  whole number                                             INTEGER
real     measured number                                          REAL
bool     0 or 1                                                   INTEGER
date     calendar date `YYYY-MM-DD`, no zone                      TEXT
instant  UTC, `YYYY-MM-DDTHH:MM:SSZ`, whole seconds                TEXT
money    whole minor units (JPY 0, USD 2, KWD 3 decimals) in the  INTEGER
         row's `currency`
json     JSON text                                                TEXT
======== ======================================================== =============

NULL means *not known*. It is never zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

ColumnType = Literal["text", "integer", "real", "bool", "date", "instant", "money", "json"]

SQL_TYPE: dict[ColumnType, str] = {
    "text": "TEXT",
    "integer": "INTEGER",
    "real": "REAL",
    "bool": "INTEGER",
    "date": "TEXT",
    "instant": "TEXT",
    "money": "INTEGER",
    "json": "TEXT",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it holds, and for enumerations which values."""

    name: str
    type: ColumnType
    doc: str
    values: tuple[str, ...] = ()
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Entity:
    """A normalised vendor table. Its key is (connection, source_id); see VENDOR_COLUMNS for what every one has."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    account_bound: bool = True

    def column(self, name: str) -> Column | None:
        """Return the declared or vendor column of that name, None if there is none."""
        return next((c for c in (*VENDOR_COLUMNS, *self.columns) if c.name == name), None)

    @property
    def writable(self) -> tuple[str, ...]:
        """Columns that a connector's fields or an admin's mapping may fill, in table order."""
        return tuple(c.name for c in (*MAPPED_VENDOR_COLUMNS, *self.columns) if c.name != "account_uid")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of cssync's own state or results; `key` is its primary key."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = field(default=())


def _c(name: str, type_: ColumnType, doc: str, *values: str, personal: bool = False) -> Column:
    return Column(name, type_, doc, values, personal)


MAPPED_VENDOR_COLUMNS = (
    _c("source_url", "text", "link to the record in the vendor's user interface"),
    _c("created_at", "instant", "vendor's creation time"),
    _c("updated_at", "instant", "vendor's modification time of the stored version"),
)
VENDOR_COLUMNS = (
    _c("connection", "text", "name of the connection it came through"),
    _c("source_id", "text", "the vendor's id; for a row mapped out of another record `<stream>/<id>`"),
    *MAPPED_VENDOR_COLUMNS,
    _c("synced_at", "instant", "when this version was learned"),
    _c("deleted_at", "instant", "tombstone: when the vendor's deletion, archiving or merge was learned"),
)
ACCOUNT_REF = (
    _c("account_source_id", "text", "the vendor's id of the company this row belongs to, in the same connection"),
    _c("account_uid", "text", "the unified account; set by the link stage"),
)

STATUS = ("prospect", "onboarding", "active", "notice", "churned", "free", "trial")
TIERS = ("high", "low", "tech")
WRITE_OUTCOMES = (
    *("planned", "waiting", "sent", "verified", "refused"),
    *("failed-retry", "failed-permanent", "unknown", "dropped"),
)
BANDS = ("green", "yellow", "red", "unknown")

_PROFILE = (
    _c("name", "text", "display name"),
    _c("legal_name", "text", "registered name"),
    _c("domains", "json", "sorted array of lower-case company domains"),
    _c("status", "text", "customer status", *STATUS),
    _c("segment", "text", "segment of this company's own scheme"),
    _c("touch_tier_override", "text", "touch tier set by a person", *TIERS),
    _c("industry", "text", "industry"),
    _c("country", "text", "country as the vendor spells it"),
    _c("locale", "text", "language tag such as ja-JP"),
    _c("employee_count", "integer", "employees"),
    _c("first_contract_date", "date", "start of the customer relation"),
    _c("lifecycle_stage", "text", "the vendor's lifecycle stage"),
    _c("is_test", "bool", "internal or test account: left out everywhere"),
    _c("csm_sentiment", "text", "the customer success manager's own judgement", "green", "yellow", "red"),
    _c("csm_sentiment_at", "instant", "when it was given"),
    _c("csm_sentiment_by", "text", "who gave it"),
    _c("override_band", "text", "band set by a person", "green", "yellow", "red"),
    _c("override_reason", "text", "why"),
    _c("override_until", "date", "last day it holds"),
)

ENTITIES: tuple[Entity, ...] = (
    Entity(
        "account_source",
        "The vendor's own company, account or organization record.",
        (
            *_PROFILE,
            _c("external_id", "text", "explicit key held here: our customer number, or the id in another system"),
            _c(
                "linked_ids", "json", 'ids in other systems that the vendor itself keeps, e.g. {"salesforce": "001..."}'
            ),
            _c("parent_source_id", "text", "parent company in the same connection"),
            _c("owner_source_id", "text", "owner (user) in the same connection"),
            _c("csm_source_id", "text", "customer success manager (user) in the same connection"),
            _c("merged_into", "text", "source_id of the survivor, when this record lost a merge"),
            _c("account_uid", "text", "the unified account; set by the link stage"),
        ),
    ),
    Entity(
        "contact",
        "A person at a customer.",
        (
            *ACCOUNT_REF,
            _c("name", "text", "full name", personal=True),
            _c("email", "text", "lower-cased address", personal=True),
            _c("title", "text", "job title", personal=True),
            _c("role", "text", "role", "champion", "exec_sponsor", "admin", "user", "billing"),
            _c("is_active", "bool", "0 once deactivated at the vendor"),
            _c("left_company_at", "instant", "when they left or their mail bounced for good"),
            _c("last_inbound_at", "instant", "last message from them"),
            _c("last_meeting_at", "instant", "last meeting or call held"),
            _c("locale", "text", "language tag"),
        ),
    ),
    Entity(
        "contract",
        "A term of service. `end_date` is inclusive: the last day covered.",
        (
            *ACCOUNT_REF,
            _c("name", "text", "contract name or number"),
            _c("start_date", "date", "first day covered"),
            _c("end_date", "date", "last day covered, inclusive; NULL: open-ended or not known"),
            _c("term_months", "integer", "length of a term"),
            _c("auto_renew", "bool", "renews by itself"),
            _c("notice_days", "integer", "notice period in days"),
            _c("notice_months", "integer", "notice period in months; wins over days"),
            _c("notice_received_on", "date", "when the customer gave notice"),
            _c("status", "text", "state", "draft", "active", "notice", "renewed", "expired", "terminated"),
            _c("billing_currency", "text", "ISO 4217"),
            _c("renewed_by_source_id", "text", "successor contract in the same connection"),
            _c("multi_year", "bool", "term longer than a year"),
        ),
    ),
    Entity(
        "contract_line",
        "A priced position of a contract. Lines without dates follow their contract's.",
        (
            *ACCOUNT_REF,
            _c("contract_source_id", "text", "contract in the same connection"),
            _c("product_code", "text", "product"),
            _c("quantity", "integer", "seats or units"),
            _c("unit", "text", "what is counted", "seat", "credit", "flat"),
            _c("unit_price", "money", "price of one unit per billing period"),
            _c("amount", "money", "price of the whole line per billing period; wins over quantity x unit_price"),
            _c("currency", "text", "ISO 4217"),
            _c("billing_period_months", "integer", "months one price covers; NULL: 12; 0: the whole term of the line"),
            _c("start_date", "date", "first day"),
            _c("end_date", "date", "last day, inclusive"),
            _c("is_recurring", "bool", "NULL counts as recurring"),
        ),
    ),
    Entity(
        "opportunity",
        "A deal in the sales pipeline.",
        (
            *ACCOUNT_REF,
            _c("name", "text", "deal name"),
            _c("type", "text", "kind", "new", "renewal", "upsell", "cross_sell", "downsell"),
            _c("stage", "text", "the vendor's stage"),
            _c("is_closed", "bool", "won or lost"),
            _c("is_won", "bool", "won"),
            _c("amount", "money", "deal value"),
            _c("currency", "text", "ISO 4217"),
            _c("close_date", "date", "closing date, planned or actual"),
            _c("contract_source_id", "text", "contract it renews or creates"),
            _c("probability", "real", "0..1"),
            _c("loss_reason", "text", "why it was lost"),
            _c("owner_source_id", "text", "owner (user) in the same connection"),
        ),
    ),
    Entity(
        "ticket",
        "A support request. `account_uid` NULL: unassigned, counted, never guessed.",
        (
            *ACCOUNT_REF,
            _c("requester_source_id", "text", "contact in the same connection"),
            _c("subject", "text", "subject"),
            _c("status", "text", "state", "new", "open", "pending", "hold", "solved", "closed"),
            _c("priority", "text", "priority", "urgent", "high", "normal", "low", "none"),
            _c("type", "text", "problem, incident, question, task"),
            _c("category", "text", "category of this company's own scheme"),
            _c("tags", "json", "array of tags"),
            _c("opened_at", "instant", "when the customer opened it"),
            _c("first_reply_at", "instant", "first public reply of an agent"),
            _c("solved_at", "instant", "when it was solved, NULL while open"),
            _c("reopened_count", "integer", "times reopened"),
            _c("escalated", "bool", "escalated"),
            _c("product_code", "text", "product"),
        ),
    ),
    Entity(
        "ticket_metric",
        "Service times of a ticket; source_id is the ticket's. Calendar and business clocks are kept apart.",
        (
            _c("ticket_source_id", "text", "ticket in the same connection"),
            *ACCOUNT_REF,
            _c("first_reply_minutes", "integer", "calendar minutes to the first reply"),
            _c("first_reply_business_minutes", "integer", "business minutes to the first reply"),
            _c("full_resolution_minutes", "integer", "calendar minutes to the last resolution"),
            _c("full_resolution_business_minutes", "integer", "business minutes to the last resolution"),
            _c("agent_touches", "integer", "agent replies"),
            _c("reopens", "integer", "times reopened"),
        ),
    ),
    Entity(
        "survey_response",
        "An answer to a satisfaction question. For csat `score` is 1 good, 0 bad unless `scale_max` says otherwise.",
        (
            *ACCOUNT_REF,
            _c("kind", "text", "question", "csat", "nps", "ces"),
            _c("scale_max", "integer", "highest answer possible"),
            _c("score", "real", "the answer"),
            _c("comment", "text", "free text", personal=True),
            _c("contact_source_id", "text", "contact in the same connection"),
            _c("ticket_source_id", "text", "ticket in the same connection"),
            _c("responded_at", "instant", "when answered"),
            _c("language", "text", "language tag"),
        ),
    ),
    Entity(
        "usage_metric",
        "One measured value of one metric for one account and period.",
        (
            *ACCOUNT_REF,
            _c("product_code", "text", "product"),
            _c("metric", "text", "active_users, logins, events, credits, value_event, feature:<name> or your own"),
            _c("grain", "text", "length of the period", "day", "week"),
            _c("period_start", "date", "first day of the period"),
            _c("value", "real", "measured value"),
            _c("is_complete", "bool", "0: the source was not complete; NULL counts as complete"),
        ),
    ),
    Entity(
        "invoice",
        "A bill sent to a customer.",
        (
            *ACCOUNT_REF,
            _c("due_date", "date", "due"),
            _c("amount", "money", "amount"),
            _c("currency", "text", "ISO 4217"),
            _c("paid_at", "instant", "paid"),
        ),
    ),
    Entity(
        "interaction",
        "A meeting, call or mail with a customer.",
        (
            *ACCOUNT_REF,
            _c("kind", "text", "meeting, call, email, note"),
            _c("direction", "text", "direction", "in", "out", "both"),
            _c("at", "instant", "when"),
        ),
    ),
    Entity(
        "user",
        "Staff: owners, customer success managers, agents.",
        (
            _c("name", "text", "full name", personal=True),
            _c("email", "text", "lower-cased address", personal=True),
            _c("is_active", "bool", "0 once deactivated"),
            _c("manager_source_id", "text", "manager (user) in the same connection"),
            _c("time_zone", "text", "IANA name"),
        ),
        account_bound=False,
    ),
    Entity(
        "crm_task",
        "A task in the CRM that cssync created, as the CRM holds it now.",
        (
            *ACCOUNT_REF,
            _c("task_key", "text", "our stable key, read from the CRM task's marker"),
            _c("subject", "text", "subject"),
            _c("status", "text", "state", "open", "done"),
            _c("due_on", "date", "due"),
            _c("owner_source_id", "text", "owner (user) in the same connection"),
        ),
    ),
    Entity(
        "crm_state",
        "What the CRM holds now in the fields that cssync writes; source_id is the company's.",
        (
            _c("stream", "text", "stream of the target record, e.g. companies"),
            _c("fields", "json", "object: vendor field -> value as read, null where empty"),
        ),
        account_bound=False,
    ),
)
ENTITY: dict[str, Entity] = {e.name: e for e in ENTITIES}

RUN_ID = _c("run_id", "text", "run that wrote it")
SINCE = _c("since", "instant", "as_of at which this value first held")

TABLES: tuple[Table, ...] = (
    Table(
        "account",
        "The unified customer.",
        (
            _c("uid", "text", "ours, stable"),
            *_PROFILE,
            _c("touch_tier", "text", "tier in force", *TIERS),
            _c("parent_uid", "text", "parent account"),
            _c("owner_uid", "text", "uid of the owner (user)"),
            _c("csm_uid", "text", "uid of the customer success manager (user)"),
            _c("master_connection", "text", "connection whose values win"),
            _c("created_at", "instant", "when the account was first linked"),
            _c("updated_at", "instant", "when a unified value last changed"),
            _c("deleted_at", "instant", "every source record is deleted, or the account was merged into another"),
            _c("merged_into", "text", "uid of the account that took this one over"),
        ),
        ("uid",),
    ),
    Table(
        "account_link",
        "Which source record belongs to which account, and why. At most one active link per source record.",
        (
            _c("connection", "text", "connection of the source record"),
            _c("source_id", "text", "source record"),
            _c("account_uid", "text", "account"),
            _c("method", "text", "how it was found", "explicit", "crm_native", "domain", "name", "manual", "single"),
            _c("confidence", "real", "0..1"),
            _c("status", "text", "state", "active", "suggested", "rejected"),
            _c("evidence", "text", "the key, domain or names that matched"),
            _c("valid_from", "instant", "from"),
            _c("valid_to", "instant", "until; NULL: now"),
        ),
        ("connection", "source_id", "account_uid"),
        (("account_uid", "status"),),
    ),
    Table(
        "source_state",
        "How far each stream has come. `cursor` is the checkpoint, committed with the rows it stands for.",
        (
            _c("connection", "text", "connection"),
            _c("stream", "text", "stream"),
            _c("cursor", "json", "where the next run resumes"),
            _c("last_attempt_at", "instant", "last try"),
            _c("last_success_at", "instant", "last complete pull"),
            _c("outcome", "text", "of the last try", "ok", "empty", "partial", "failed", "skipped-by-config"),
            _c("error", "text", "why it failed"),
            _c("rows_stored", "integer", "live rows of the stream's entity"),
        ),
        ("connection", "stream"),
    ),
    Table(
        "source_feed",
        "Which stream feeds which entity under the present configuration: rules read freshness through it.",
        (
            _c("connection", "text", "connection"),
            _c("stream", "text", "stream"),
            _c("entity", "text", "entity"),
        ),
        ("connection", "stream", "entity"),
    ),
    Table(
        "history",
        "Former versions of vendor rows: what was known from `known_from` to `known_to`.",
        (
            _c("id", "integer", "sequence"),
            _c("entity", "text", "table"),
            _c("connection", "text", "connection"),
            _c("source_id", "text", "record"),
            _c("known_from", "instant", "learned"),
            _c("known_to", "instant", "replaced"),
            _c("row", "json", "the former row"),
        ),
        ("id",),
        (("entity", "connection", "source_id", "known_to"),),
    ),
    Table(
        "quarantine",
        "Records that could not be normalised; their stored version, if any, is unchanged.",
        (
            _c("connection", "text", "connection"),
            _c("stream", "text", "stream"),
            _c("source_id", "text", "record, or a digest where it has no id"),
            _c("field", "text", "vendor field"),
            _c("reason", "text", "what was wrong"),
            _c("raw", "json", "the record as read"),
            _c("first_seen_at", "instant", "first failure"),
            _c("last_seen_at", "instant", "last failure"),
        ),
        ("connection", "stream", "source_id"),
    ),
    Table(
        "run",
        "One row per run.",
        (
            _c("id", "text", "run id, sortable by time"),
            _c("command", "text", "what was run"),
            _c("started_at", "instant", "start"),
            _c("ended_at", "instant", "end"),
            _c("outcome", "text", "ok, partial, failed, crashed, needs-approval"),
            _c("exit_code", "integer", "exit code"),
            _c("summary", "json", "counts per stage"),
        ),
        ("id",),
    ),
    Table(
        "run_stream",
        "What a run did with each stream: read = new + changed + same + echo + tombstoned + incomplete + quarantined.",
        (
            _c("run_id", "text", "run"),
            _c("connection", "text", "connection"),
            _c("stream", "text", "stream"),
            _c("outcome", "text", "stream outcome"),
            *(
                _c(n, "integer", f"{n} records")
                for n in ("read", "new", "changed", "same", "echo", "tombstoned", "incomplete", "quarantined")
            ),
            _c("requests", "integer", "API requests used"),
            _c("seconds", "real", "duration"),
            _c("error", "text", "why it failed"),
        ),
        ("run_id", "connection", "stream"),
    ),
    Table(
        "lease",
        "Who may write. Every writing transaction checks `fence`.",
        (
            _c("name", "text", "always 'workspace'"),
            _c("owner", "text", "host, process and run that holds it"),
            _c("fence", "integer", "grows with every take-over"),
            _c("heartbeat_at", "instant", "last sign of life"),
            _c("expires_at", "instant", "after this another run may take over"),
        ),
        ("name",),
    ),
    Table(
        "rate_limit",
        "One row per vendor account and bucket, shared by threads and processes.",
        (
            _c("bucket", "text", "connection and endpoint family"),
            _c("tat", "real", "theoretical arrival time (GCRA), epoch seconds"),
            _c("blocked_until", "real", "nobody calls before this, epoch seconds"),
            _c("remaining", "integer", "calls left as the vendor last said"),
            _c("updated_at", "instant", "when"),
        ),
        ("bucket",),
    ),
    Table(
        "binding",
        "The vendor organisation behind each connection; another one behind the same credentials stops the run.",
        (
            _c("connection", "text", "connection"),
            _c("org_id", "text", "portal, org or subdomain id"),
            _c("org_name", "text", "name"),
            _c("org_kind", "text", "production or sandbox"),
            _c("currency", "text", "the organisation's own currency, for money that names none"),
            _c("bound_at", "instant", "when"),
        ),
        ("connection",),
    ),
    Table(
        "setting",
        "Facts about this store: workspace name, created_at.",
        (_c("name", "text", "name"), _c("value", "text", "value")),
        ("name",),
    ),
    Table(
        "feature_row",
        "The features of an account on a day; a new row only when a value changed.",
        (
            _c("account_uid", "text", "account"),
            _c("pack", "text", "rule pack"),
            _c("as_of", "instant", "as-of instant"),
            _c("pack_hash", "text", "version of the rules"),
            _c("features", "json", "feature -> value; null is missing"),
            _c("states", "json", "feature -> stale or missing, with the reason; only those not ok"),
        ),
        ("account_uid", "pack", "as_of"),
    ),
    Table(
        "result",
        "Current value of every named result, e.g. health.score.",
        (
            _c("account_uid", "text", "account"),
            _c("name", "text", "<pack>.<output>"),
            _c("value", "json", "the value; null is unknown; money in major units of the account's currency"),
            _c("state", "text", "ok, unknown or stale"),
            _c("because", "text", "sentence for people"),
            SINCE,
            _c("as_of", "instant", "as-of of the evaluation that set it"),
            _c("pack_hash", "text", "version of the rules"),
            RUN_ID,
        ),
        ("account_uid", "name"),
        (("name", "value"),),
    ),
    Table(
        "result_history",
        "Former values of `result`, valid from `since` to `until`.",
        (
            _c("id", "integer", "sequence"),
            _c("account_uid", "text", "account"),
            _c("name", "text", "<pack>.<output>"),
            _c("value", "json", "the value"),
            _c("state", "text", "ok, unknown or stale"),
            _c("because", "text", "sentence for people"),
            SINCE,
            _c("until", "instant", "as_of at which it was replaced"),
            _c("pack_hash", "text", "version of the rules"),
        ),
        ("id",),
        (("account_uid", "name"),),
    ),
    Table(
        "signal",
        "Something true of an account.",
        (
            _c("account_uid", "text", "account"),
            _c("pack", "text", "rule pack"),
            _c("name", "text", "signal id, e.g. K07"),
            SINCE,
            _c("until", "instant", "as_of at which it ended; NULL: still true"),
            _c("because", "text", "sentence for people"),
            _c("evidence", "json", "inputs"),
            RUN_ID,
        ),
        ("account_uid", "pack", "name", "since"),
    ),
    Table(
        "task",
        "Something a person must do. `key` is stable: rule, account, occurrence.",
        (
            _c("key", "text", "identity, carried in the CRM task"),
            _c("account_uid", "text", "account"),
            _c("pack", "text", "rule pack"),
            _c("rule", "text", "rule id, e.g. R03"),
            _c("subject_uid", "text", "what it is about, e.g. a contract uid"),
            _c("occurrence", "text", "which time: term, month"),
            _c("title", "text", "title"),
            _c("body", "text", "why, numbers, next step"),
            _c("due_on", "date", "due, a business day"),
            _c("owner_uid", "text", "uid of the owner (user)"),
            _c("priority", "text", "priority", "high", "normal", "low"),
            _c("status", "text", "state", "open", "done", "closed"),
            _c("closing_note", "text", "why it was closed"),
            _c("created_at", "instant", "as_of at which it was raised"),
            _c("closed_at", "instant", "when it was closed"),
            RUN_ID,
        ),
        ("key",),
        (("account_uid", "status"),),
    ),
    Table(
        "plan",
        "A frozen list of intended writes.",
        (
            _c("id", "text", "plan id"),
            _c("created_at", "instant", "when"),
            _c("as_of", "instant", "as-of of the results it rests on"),
            _c("status", "text", "state", "open", "held", "approved", "applied", "superseded", "refused"),
            _c("held_by", "text", "which brake and why"),
            _c("digest", "text", "hash of the changes: same inputs, same digest"),
            _c("totals", "json", "counts"),
            RUN_ID,
        ),
        ("id",),
    ),
    Table(
        "plan_change",
        "One intended write of a plan: a field of a record, or a task.",
        (
            _c("plan_id", "text", "plan"),
            _c("seq", "integer", "order"),
            _c("connection", "text", "connection"),
            _c("stream", "text", "target stream"),
            _c("source_id", "text", "target record (the company)"),
            _c("account_uid", "text", "account"),
            _c("action", "text", "what", "set", "clear", "create_task", "update_task", "close_task"),
            _c("field", "text", "vendor field; for a task the task key"),
            _c("old", "json", "what the CRM holds"),
            _c("new", "json", "what we want; for a task its whole content"),
            _c("result_name", "text", "result or rule it comes from"),
            _c("because", "text", "why"),
        ),
        ("plan_id", "seq"),
        (("account_uid",),),
    ),
    Table(
        "outbox",
        "Changes on their way; a change is done only when the vendor's answer or a read-back proves it.",
        (
            _c("key", "text", "stable key of the change"),
            _c("plan_id", "text", "plan"),
            _c("seq", "integer", "order in the plan"),
            _c("connection", "text", "connection"),
            _c("stream", "text", "target stream"),
            _c("source_id", "text", "target record"),
            _c("account_uid", "text", "account"),
            _c("action", "text", "what"),
            _c("field", "text", "vendor field or task key"),
            _c("old", "json", "before"),
            _c("new", "json", "after"),
            _c("result_name", "text", "result or rule"),
            _c("because", "text", "why"),
            _c("state", "text", "write outcome", *WRITE_OUTCOMES),
            _c("attempts", "integer", "times sent"),
            _c("error", "text", "the vendor's words"),
            _c("correlation_id", "text", "the vendor's id of the failed call"),
            _c("remote_id", "text", "id of what was created"),
            _c("sent_at", "instant", "last sent"),
            _c("settled_at", "instant", "when the state became final"),
            RUN_ID,
        ),
        ("key",),
        (("state",), ("account_uid",), ("connection", "source_id")),
    ),
    Table(
        "written",
        "What we last wrote and saw verified, per field: the third side of the three-way comparison.",
        (
            _c("connection", "text", "connection"),
            _c("stream", "text", "stream"),
            _c("source_id", "text", "record"),
            _c("field", "text", "vendor field or task key"),
            _c("value", "json", "verified value"),
            _c("remote_id", "text", "id of a created task"),
            _c("verified_at", "instant", "when"),
        ),
        ("connection", "stream", "source_id", "field"),
    ),
)
TABLE: dict[str, Table] = {t.name: t for t in TABLES}

_WITHOUT_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
CURRENCY_DECIMALS: dict[str, int] = {
    **dict.fromkeys(_WITHOUT_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}


def decimals(currency: str) -> int:
    """Digits after the point of a currency's minor unit (ISO 4217); 2 unless listed in CURRENCY_DECIMALS."""
    return CURRENCY_DECIMALS.get(currency, 2)


def account_bound() -> Iterator[Entity]:
    """Entities whose rows belong to an account through `account_source_id`, in declaration order."""
    return (e for e in ENTITIES if e.account_bound and e.column("account_source_id") is not None)
