"""Renewal events: what a renewal task is about, numbered per account and remembered as their dates move.

An account may have several, side by side. Each keeps its number while it shares a contract with what was last known of
it and its end has moved by less than half the term (domain.md section 6). By half the term or more it is another event:
the old one was renewed. One that comes back gets its number again. What was known of them is kept as intervals.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from cssync.rules.dialect import SQLITE
from cssync.rules.results import json_of
from cssync.rules.tree import OF_EVENT, Pack

EVENT = "renewal_event"
"""Result that is the number of an account's next renewal event, in packs with tasks about events."""
RENEWAL = "/renewal/"
"""Stands in the uid of an event between its account's uid and its number."""
NO_TERM_DAYS = 365
"""Length of a term that nobody knows."""


def same_event(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a current renewal event is one seen before: they share a contract, and its end moved by less than half
    the term. Both mappings hold renewal_contracts, term_end and term_days."""
    if before.get("term_end") is None or now.get("term_end") is None:
        return True
    shared = set(str(before["renewal_contracts"]).split()) & set(str(now["renewal_contracts"]).split())
    return bool(shared) and _moved(before, now) * 2 < timedelta(days=before.get("term_days") or NO_TERM_DAYS)


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> timedelta:
    return abs(date.fromisoformat(now["term_end"]) - date.fromisoformat(before["term_end"]))


def matched(known: Iterable[Mapping[str, Any]], current: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Return event -> number for those of an account's current events (`event` 1, 2, ...) that were seen before
    (`number`). Where several fit, those whose end moved least find each other first."""
    fits = sorted(
        (_moved(old, now), old["renewal_contracts"] != now["renewal_contracts"], old["number"], now["event"])
        for old in known for now in current if same_event(old, now)
    )  # fmt: skip
    found: dict[int, int] = {}
    for _, _, number, event in fits:
        if event not in found and number not in found.values():
            found[event] = number
    return found


def event_uid(account_uid: str, number: int) -> str:
    """Return the uid of a renewal event: what tasks about it have as their subject."""
    return f"{account_uid}{RENEWAL}{number}"


def number_of(subject_uid: str) -> int | None:
    """Return the number of the renewal event that a task is about, from its subject; None where it is the account."""
    _, mark, number = subject_uid.rpartition(RENEWAL)
    return int(number) if mark else None


def about_events(pack: Pack) -> bool:
    """Whether a pack is judged for each renewal event, or has tasks about them."""
    return pack.each_event or any(t.once_per in OF_EVENT for t in pack.tasks)


def split(conn: sqlite3.Connection, pack: Pack) -> None:
    """Leave in the temporary table `now` one row per account, that of its next event; the others go to `later`."""
    if not pack.each_event:
        return
    conn.execute("CREATE TEMP TABLE later AS SELECT * FROM now WHERE event > 1")
    conn.execute("CREATE UNIQUE INDEX temp.later_event ON later (uid, event)")
    conn.execute("DELETE FROM now WHERE event > 1")


def number_events(conn: sqlite3.Connection, pack: Pack, as_of: str) -> list[tuple[str, str]]:
    """Note the renewal events of the accounts in the temporary tables `now` and `later`, and which number each has in
    `event_number`; return (account uid, number) of next events whose number is new. The first event of an account is 1.
    An event whose term is unknown is not noted: its account keeps what it had."""
    if not about_events(pack):
        return []
    result = f"{pack.name}.{EVENT}"
    rows = " UNION ALL ".join(_events(table, event) for table, event in
                              (("now", "1"), *((("later", "event"),) if pack.each_event else ())))  # fmt: skip
    conn.execute(f"CREATE TEMP TABLE event_now AS {rows}")
    conn.execute("CREATE UNIQUE INDEX temp.event_now_of ON event_now (uid, event)")
    found = list(_numbered(conn, result, as_of))
    conn.execute(
        "CREATE TEMP TABLE event_number AS SELECT n.uid AS uid, n.event AS event, min(e.number) AS number "
        f"FROM event_now n {_KNOWN} GROUP BY n.uid, n.event"
    )
    conn.execute("CREATE UNIQUE INDEX temp.event_number_of ON event_number (uid, event)")
    return [(uid, str(number)) for uid, number in found]


def _events(table: str, event: str) -> str:
    return (
        f"SELECT uid, {event} AS event, f_renewal_contracts AS renewal_contracts, f_term_end AS term_end, "
        f"f_term_days AS term_days FROM {table} WHERE f_term_end IS NOT NULL"
    )


_KNOWN = (
    "JOIN renewal_event e ON e.account_uid = n.uid AND e.until IS NULL AND e.term_end = n.term_end "
    "AND e.contracts IS n.renewal_contracts AND e.term_days IS n.term_days"
)


def _numbered(conn: sqlite3.Connection, result: str, as_of: str) -> Iterator[tuple[str, int]]:
    moved = conn.execute(
        "SELECT DISTINCT n.uid FROM event_now n LEFT JOIN result r ON r.account_uid = n.uid AND r.name = ? "
        f"LEFT {_KNOWN} WHERE e.number IS NULL OR (n.event = 1 AND r.value IS NOT CAST(e.number AS TEXT)) "
        "ORDER BY n.uid",
        (result,),
    ).fetchall()
    for (uid,) in moved:
        row = conn.execute("SELECT value FROM result WHERE account_uid = ? AND name = ?", (uid, result)).fetchone()
        stored = int(json.loads(row[0]) or 0) if row else 0
        current = conn.execute("SELECT * FROM event_now WHERE uid = ? ORDER BY event", (uid,)).fetchall()
        known = conn.execute(
            "SELECT number, contracts AS renewal_contracts, term_end, term_days FROM renewal_event "
            "WHERE account_uid = ? AND until IS NULL", (uid,)).fetchall()  # fmt: skip
        numbers = matched([dict(e) for e in known], [dict(e) for e in current])
        newest = max((e["number"] for e in known), default=max(stored - 1, 0))
        for row in current:
            if row["event"] not in numbers:
                newest += 1
                numbers[row["event"]] = newest
            _store(conn, dict(row), numbers[row["event"]], as_of)
        if numbers.get(1, stored) != stored:
            yield uid, numbers[1]


def _store(conn: sqlite3.Connection, now: Mapping[str, Any], number: int, as_of: str) -> None:
    same = conn.execute(
        "SELECT 1 FROM renewal_event WHERE account_uid = ? AND number = ? AND until IS NULL AND term_end = ? "
        "AND contracts IS ? AND term_days IS ?",
        (now["uid"], number, now["term_end"], now["renewal_contracts"], now["term_days"]),
    ).fetchone()
    if same:
        return
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


def forget_event_results(conn: sqlite3.Connection, packs: Iterable[str]) -> None:
    """Forget what packs that are not among these said of events."""
    names = [f"{pack}.*" for pack in packs]
    conn.execute(f"DELETE FROM event_result WHERE NOT ({' OR '.join('name GLOB ?' for _ in names) or '0'})", names)


def write_event_results(conn: sqlite3.Connection, pack: Pack, within: str) -> None:
    """Write what a pack says of the events after the next one into `event_result`. within: SQL, to follow a condition:
    that `account_uid` is one of those looked at."""
    if not pack.each_event:
        return
    conn.execute(f"DELETE FROM event_result WHERE name GLOB ?{within}", (f"{pack.name}.*",))
    for result in pack.results:
        value = json_of(f"n.o_{result.name}", result.type, f"n.oc_{result.name}", SQLITE)
        conn.execute(
            "INSERT INTO event_result (account_uid, number, name, value) SELECT n.uid, e.number, ?, "
            f"{value} FROM later n JOIN event_number e ON e.uid = n.uid AND e.event = n.event",
            (f"{pack.name}.{result.name}",),
        )
