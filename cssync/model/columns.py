"""Columns, their types, and what several tables share."""

from __future__ import annotations

from dataclasses import dataclass
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


def col(name: str, type_: ColumnType, doc: str, *values: str, personal: bool = False) -> Column:
    """Declare a column; see Column."""
    return Column(name, type_, doc, values, personal)


STATUS = ("prospect", "onboarding", "active", "notice", "churned", "free", "trial")
TIERS = ("high", "low", "tech")
WRITE_OUTCOMES = (
    *("planned", "waiting", "sent", "verified", "refused"),
    *("failed-retry", "failed-permanent", "unknown", "dropped"),
)
LINK_METHODS = ("explicit", "crm_native", "domain", "name", "manual", "single", "unclear")
BANDS = ("green", "yellow", "red", "unknown")
TRENDS = ("improving", "stable", "declining", "unknown")

PROFILE = (
    col("name", "text", "display name"),
    col("legal_name", "text", "registered name"),
    col("domains", "json", "sorted array of lower-case company domains"),
    col("status", "text", "customer status", *STATUS),
    col("segment", "text", "segment of this company's own scheme"),
    col("touch_tier_override", "text", "touch tier set by a person", *TIERS),
    col("industry", "text", "industry"),
    col("country", "text", "country as the vendor spells it"),
    col("locale", "text", "language tag such as ja-JP"),
    col("employee_count", "integer", "employees"),
    col("first_contract_date", "date", "start of the customer relation"),
    col("lifecycle_stage", "text", "the vendor's lifecycle stage"),
    col("is_test", "bool", "internal or test account: left out everywhere"),
    col("csm_sentiment", "text", "the customer success manager's own judgement", "green", "yellow", "red"),
    col("csm_sentiment_at", "instant", "when it was given"),
    col("csm_sentiment_by", "text", "who gave it"),
    col("success_goals", "text", "what the customer wants to reach with the product, as people wrote it"),
    col("override_band", "text", "band set by a person", "green", "yellow", "red"),
    col("override_reason", "text", "why"),
    col("override_until", "date", "last day it holds"),
)
