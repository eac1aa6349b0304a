"""What a rule may name: sources and their columns, account columns, built-in facts, functions.

Sources are the entity tables under friendly names. Facts are what plain aggregates cannot say: contract terms, ARR,
renewal events, weekly usage. `cssync.rules.facts` computes them in SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from cssync.model import BANDS, ENTITY, TABLE, TRENDS, Column
from cssync.rules.tree import Type


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A column of another entity's row in the same connection and of the same account. key: the column here that holds
    that row's source_id."""

    entity: str
    key: str
    column: str


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A friendly name for an entity. at: the column windows look at. never_seen: an account without any row ever is
    missing rather than 0. borrows: further columns, by name, that come from another entity."""

    entity: str
    at: str
    never_seen: bool = False
    skip_incomplete: bool = False
    borrows: Mapping[str, Borrowed] = field(default_factory=dict)


def _of_ticket(**names: str) -> dict[str, Borrowed]:
    return {name: Borrowed("ticket", "ticket_source_id", column) for name, column in names.items()}


SOURCES: Mapping[str, SourceTable] = {
    "tickets": SourceTable("ticket", "opened_at"),
    "ticket_metrics": SourceTable(
        "ticket_metric",
        "solved_at",
        borrows=_of_ticket(solved_at="solved_at", opened_at="opened_at", priority="priority", category="category"),
    ),
    "surveys": SourceTable(
        "survey_response",
        "responded_at",
        borrows={"contact_role": Borrowed("contact", "contact_source_id", "role"),
                 **_of_ticket(ticket_category="category", ticket_tags="tags")},
    ),
    "usage": SourceTable("usage_metric", "period_start", never_seen=True, skip_incomplete=True),
    "contracts": SourceTable("contract", "start_date", never_seen=True),
    "lines": SourceTable("contract_line", "start_date", never_seen=True),
    "opportunities": SourceTable("opportunity", "close_date"),
    "contacts": SourceTable("contact", "created_at"),
    "invoices": SourceTable("invoice", "due_date"),
    "interactions": SourceTable("interaction", "at"),
    "usage_events": SourceTable("usage_event", "at"),
    "feature_requests": SourceTable("feature_request", "requested_at", borrows=_of_ticket(ticket_subject="subject")),
}  # fmt: skip
RENEWAL_EVENT = "renewal_event"
"""What rules, features and tasks may be for or about, beside the account."""
ALIASES = {("usage", "day"): "period_start"}
"""Column names that read better than the model's."""

MAX_AGE: Mapping[str, int] = {
    "usage_metric": 3,
    "ticket": 2,
    "ticket_metric": 2,
    "survey_response": 2,
    "invoice": 3,
    "contract": 2,
    "contract_line": 2,
    "opportunity": 2,
    "contact": 2,
    "interaction": 2,
    "usage_event": 3,
    "feature_request": 30,
}
"""Days after which a source is stale (domain.md section 7, column "source / max age"); a pack's `max_age` overrides."""

_TYPES: Mapping[str, Type] = {
    "text": "text",
    "integer": "integer",
    "real": "number",
    "bool": "bool",
    "date": "date",
    "instant": "date",
    "money": "money",
}
_HIDDEN = {"domains", "deleted_at", "master_connection"}


def column_type(column: Column) -> Type | None:
    """Return the rule type of a column; None for JSON, which rules cannot read. Instants are read as local dates."""
    return _TYPES.get(column.type)


def row_column(source: str, name: str) -> Column | None:
    """Return a column that rows of a source have, the borrowed ones included; None if they have none of that name."""
    table = SOURCES[source]
    if name in table.borrows:
        of = table.borrows[name]
        found = ENTITY[of.entity].column(of.column)
        return replace(found, name=name) if found else None
    return ENTITY[table.entity].column(ALIASES.get((source, name), name))


def source_column(source: str, name: str) -> Column | None:
    """Return a column of a source that rules may read, by its model or friendly name; None if there is none."""
    found = row_column(source, name)
    return None if found is None or found.personal or column_type(found) is None else found


def source_columns(source: str) -> list[str]:
    """Names a `where` over this source may use."""
    table = SOURCES[source]
    friendly = [alias for (of, alias) in ALIASES if of == source]
    own = [c.name for c in ENTITY[table.entity].columns if source_column(source, c.name)]
    return [
        *own,
        "source_id",
        "created_at",
        "updated_at",
        *(n for n in table.borrows if source_column(source, n)),
        *friendly,
    ]


ACCOUNT: Mapping[str, Column] = {
    c.name: c for c in TABLE["account"].columns if column_type(c) is not None and c.name not in _HIDDEN
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A built-in feature: type, what it means, the group that computes it, the entities it rests on (one metric of
    usage as `usage_metric.<metric>`) and those it can do without where nothing feeds them."""

    type: Type
    doc: str
    group: str
    entities: tuple[str, ...]
    spare: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """The entities without metrics."""
        return tuple(dict.fromkeys(e.partition(".")[0] for e in self.entities))


_TERMS = ("contract",)
_LINES = ("contract", "contract_line")
_CONTACT = ("contact", "interaction")
_PEOPLE = ("usage_metric.active_users", "usage_metric.active_users_28d")
_WEEKS = ("usage_metric.active_users",)
USE = ("active_users", "logins", "events")
"""Metrics of usage that say an account was used on a day."""
_USED = tuple(f"usage_metric.{metric}" for metric in USE)

FACTS: Mapping[str, Fact] = {
    "renews_on": Fact("date", "day after the current term; the latest passed one when lapsed", "terms", _TERMS),
    "term_end": Fact("date", "last day of the current term", "terms", _TERMS),
    "notice_deadline": Fact("date", "last day on which notice can be served", "terms", _TERMS),
    "anchor": Fact("date", "notice deadline when the term renews by itself, else the renewal date", "terms", _TERMS),
    "auto_renew": Fact("bool", "the current term renews by itself", "terms", _TERMS),
    "term_days": Fact("integer", "length of the current term in days", "terms", _TERMS),
    "renewal_assumed": Fact("bool", "auto-renewed without a new contract record", "terms", _TERMS),
    "notice_received_on": Fact("date", "when the customer gave notice", "terms", _TERMS),
    "notice_given": Fact("bool", "notice was received for the current term", "terms", _TERMS),
    "lapsed_on": Fact("date", "renewal date that passed without a successor or another term", "terms", _TERMS),
    "has_contract": Fact("bool", "a contract that is not a draft is known", "terms", _TERMS),
    "end_date_missing": Fact("bool", "a live contract has no end date", "terms", _TERMS),
    "renewal_contracts": Fact("text", "contracts of the current renewal event", "terms", _TERMS),
    "term_start": Fact("date", "first day of the current term", "terms", _TERMS),
    "seats": Fact("integer", "seats of the contract lines active today", "lines", _LINES, _TERMS),
    "arr": Fact("money", "annual recurring revenue of the lines active today, one currency", "lines", _LINES, _TERMS),
    "renewal_arr": Fact("money", "ARR of the lines of the current renewal event", "lines", _LINES),
    "seat_price": Fact("money", "ARR per seat of the seat lines", "lines", _LINES, _TERMS),
    "credits": Fact("integer", "credits of the contract lines active today", "lines", _LINES, _TERMS),
    "credits_used": Fact("number", "credits used since the current term began: metric credits", "burn",
                         ("contract", "usage_metric.credits")),
    "active_users_28d": Fact("number", "active users in the last 28 complete days: metric active_users_28d, else the "
                             "peak of daily active_users", "usage", _PEOPLE),
    "last_active_on": Fact("date", "last day with any active user; missing while too many days since then are "
                           "incomplete", "usage", _USED),
    "usage_recent": Fact("number", "median weekly usage of the last 4 complete weeks", "weeks", _WEEKS),
    "usage_before": Fact("number", "median weekly usage of the 8 weeks before", "weeks", _WEEKS),
    "usage_growth": Fact("number", "usage_recent / usage_before - 1; base at least 5", "weeks", _WEEKS),
    "weeks_left_out": Fact("integer", "weeks of the 12 not complete or full of holidays", "weeks", _WEEKS),
    "has_open_renewal_opportunity": Fact("bool", "a renewal opportunity is open", "deals", ("opportunity",)),
    "last_contact_on": Fact("date", "last contact in both directions: mail from the customer, meeting or call",
                            "contact", _CONTACT, ("interaction",)),
    "last_meeting_on": Fact("date", "last meeting or call", "contact", _CONTACT, ("interaction",)),
    "meetings_recorded": Fact("bool", "a meeting or call is on record for any account at all", "contact", _CONTACT,
                              ("interaction",)),
    "term_ends_apart": Fact("integer", "days by which connections differ on the end of the term", "ends", _TERMS),
    "term_ends": Fact("text", "end of the term by connection, such as crm:2027-03-31 sales:2027-05-15", "ends", _TERMS),
    "product_list": Fact("text", "codes of the products of the lines in force, in ascending order", "products", _LINES,
                         _TERMS),
    "products_owned": Fact("integer", "different products of the lines in force", "peers", _LINES, _TERMS),
    "peer_product": Fact("text", "product that most accounts of the same segment own, and this one does not", "peers",
                         _LINES, _TERMS),
    "peer_share": Fact("number", "share of the accounts of the segment that own it", "peers", _LINES, _TERMS),
    "peer_accounts": Fact("integer", "accounts of the same segment that own any product", "peers", _LINES, _TERMS),
}  # fmt: skip

FUNCTIONS: Mapping[str, str] = {
    "days_since": "days from a date to today",
    "days_until": "days from today to a date",
    "min": "smallest of its arguments; unknown when one is",
    "max": "largest of its arguments; unknown when one is",
    "abs": "size without sign",
    "round": "nearest whole number, halves up",
    "starts_with": "text begins with the given letters",
    "contains": "text contains the given letters",
    "mentions": "text holds one of a list's words as a whole word; A to Z in either case; `*` lets a word go on there",
    "size": "number of members of a list",
}

OUTPUTS: Mapping[str, tuple[Type, tuple[str, ...]]] = {
    "score": ("integer", ()),
    "band": ("text", BANDS),
    "coverage": ("integer", ()),
    "reasons": ("text", ()),
    "lost_points": ("text", ()),
    "as_of": ("date", ()),
    "data_status": ("text", ("ok", "partial", "stale")),
    "model": ("text", ()),
    "computed_band": ("text", BANDS),
    "trend": ("text", TRENDS),
    "trend_points": ("number", ()),
    "rollup_score": ("number", ()),
    "rollup_coverage": ("integer", ()),
    "rollup_worst_band": ("text", BANDS),
}
"""What packs with a `score` put out, with its known values."""
ON_REQUEST: Mapping[str, str] = {
    **dict.fromkeys(("trend", "trend_points"), "trend"),
    **dict.fromkeys(("rollup_score", "rollup_coverage", "rollup_worst_band"), "roll_up"),
}
"""Output -> the key of `score:` that it needs; the others are there with every score."""
READABLE = ("score", "band", "coverage", "trend", "model", "computed_band", "lost_points")
"""Score outputs that expressions may read."""
LATE = ("trend", "lost_points")
"""Those that are known only after the pack itself has run."""
REASONS = "reasons"
"""The output of a score that texts of other packs may hold."""


def score_outputs(keys: Collection[str]) -> list[str]:
    """Return what a pack puts out whose `score:` has these keys."""
    return [name for name in OUTPUTS if name not in ON_REQUEST or ON_REQUEST[name] in keys]
