"""Renewal events: what a renewal task is about, numbered per account and remembered as their dates move.

An event keeps its number while it shares a contract with what was last known of it and its end has moved by less than
half the term (domain.md section 6). By half the term or more it is another event: the old one was renewed. An account
that comes back to an event seen before gets its number again. What was known of them is kept as intervals.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from cssync.rules.tree import Pack

EVENT = "renewal_event"
"""Result that numbers the renewal events of an account, in packs with a task `once_per: renewal_event`."""
NO_TERM_DAYS = 365
"""Length of a term that nobody knows."""


def same_event(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the current renewal event is the one seen before: it shares a contract, and its end moved by less than
    half the term. Both mappings hold renewal_contracts, term_end and term_days."""
    if before.get("term_end") is None or now.get("term_end") is None:
        return True
    shared = set(str(before["renewal_contracts"]).split()) & set(str(now["renewal_contracts"]).split())
    return bool(shared) and _moved(before, now) * 2 < timedelta(days=before.get("term_days") or NO_TERM_DAYS)


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> timedelta:
    return abs(date.fromisoformat(now["term_end"]) - date.fromisoformat(before["term_end"]))


def event_numbers(conn: sqlite3.Connection, pack: Pack, as_of: str) -> list[tuple[str, str]]:
    """Note the current renewal event of every account, over the temporary table `now`; return (account uid, number)
    where the number is new. The first event of an account is 1. An account whose term is unknown keeps its event."""
    if not any(t.once_per == EVENT for t in pack.tasks):
        return []
    return [(uid, str(number)) for uid, number in list(_numbers(conn, f"{pack.name}.{EVENT}", as_of))]


def _numbers(conn: sqlite3.Connection, result: str, as_of: str) -> Iterator[tuple[str, int]]:
    rows = conn.execute(
        "SELECT n.uid AS uid, n.f_renewal_contracts AS renewal_contracts, n.f_term_end AS term_end, "
        "n.f_term_days AS term_days, r.value AS value FROM now n "
        "LEFT JOIN result r ON r.account_uid = n.uid AND r.name = ? LEFT JOIN renewal_event e ON "
        "e.account_uid = n.uid AND e.until IS NULL AND e.number = CAST(r.value AS INTEGER) "
        "WHERE n.f_term_end IS NOT NULL AND (e.number IS NULL OR e.term_end IS NOT n.f_term_end "
        "OR e.contracts IS NOT n.f_renewal_contracts OR e.term_days IS NOT n.f_term_days) ORDER BY n.uid",
        (result,),
    ).fetchall()
    for row in rows:
        now = dict(row)
        stored = int(json.loads(row["value"]) or 0) if row["value"] else 0
        known = [dict(e) for e in conn.execute(
            "SELECT number, contracts AS renewal_contracts, term_end, term_days FROM renewal_event "
            "WHERE account_uid = ? AND until IS NULL ORDER BY number DESC", (row["uid"],))]  # fmt: skip
        same = [e for e in known if same_event(e, now)]
        if same:
            number = int(min(same, key=lambda e: _moved(e, now))["number"])
        else:
            number = max((e["number"] for e in known), default=max(stored - 1, 0)) + 1
        _store(conn, now, number, as_of)
        if number != stored:
            yield row["uid"], number


def _store(conn: sqlite3.Connection, now: Mapping[str, Any], number: int, as_of: str) -> None:
    conn.execute(
        "UPDATE renewal_event SET until = ? WHERE account_uid = ? AND number = ? AND until IS NULL AND since < ?",
        (as_of, now["uid"], number, as_of),
    )
    conn.execute(
        "INSERT INTO renewal_event (account_uid, number, contracts, term_end, term_days, since, until) "
        "VALUES (?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET contracts = excluded.contracts, "
        "term_end = excluded.term_end, term_days = excluded.term_days, until = NULL",
        (now["uid"], number, now["renewal_contracts"], now["term_end"], now["term_days"], as_of),
    )
