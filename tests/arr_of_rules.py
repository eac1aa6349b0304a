"""ARR as the rules' SQL computes it: the oracle for the key figures."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from cssync.rules import facts
from cssync.rules.dialect import SQLITE
from cssync.rules.freshness import Context


def arr_facts(
    conn: sqlite3.Connection, as_of: datetime, zone: ZoneInfo, currency: str, masters: Mapping[str, str] | None = None
) -> dict[str, int | None]:
    """Account -> the built-in fact `arr`, in minor units of the account's currency."""
    context = Context(as_of, zone, currency, masters=masters or {})
    chain = {**facts.terms(context, SQLITE), **facts.lines(context, SQLITE)}
    with_ = ", ".join(f"{name} AS ({sql})" for name, sql in chain.items())
    return {row["account_uid"]: row["arr"] for row in conn.execute(f"WITH {with_} SELECT * FROM fact_lines")}
