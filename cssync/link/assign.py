"""Give every row its account: through its company, its requester, its parent row, or a unique mail domain."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable

from cssync.link.keys import company_domain
from cssync.model import account_bound
from cssync.store.schema import quote

BY_COMPANY = """(SELECT l.account_uid FROM account_link l WHERE l.connection = r.connection
    AND l.source_id = r.account_source_id AND l.status = 'active' AND l.valid_to IS NULL)"""

THROUGH: dict[str, str] = {
    "contract_line": """(SELECT p.account_uid FROM contract p WHERE p.connection = r.connection
        AND p.source_id = r.contract_source_id)""",
    "ticket": """(SELECT p.account_uid FROM contact p WHERE p.connection = r.connection
        AND p.source_id = r.requester_source_id)""",
    "ticket_metric": """(SELECT p.account_uid FROM ticket p WHERE p.connection = r.connection
        AND p.source_id = r.ticket_source_id)""",
    "survey_response": """coalesce((SELECT p.account_uid FROM ticket p WHERE p.connection = r.connection
        AND p.source_id = r.ticket_source_id), (SELECT p.account_uid FROM contact p
        WHERE p.connection = r.connection AND p.source_id = r.contact_source_id))""",
    "feature_request": """(SELECT p.account_uid FROM ticket p WHERE p.connection = r.connection
        AND p.source_id = r.ticket_source_id)""",
}
"""Where a row whose company is not known looks next. A ticket goes through its requester, an answer through its ticket
or whoever gave it."""


def ways(entities: Iterable[str]) -> set[str]:
    """Return these entities and those through whose rows theirs may get their account."""
    found: set[str] = set()
    todo = [*entities]
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo.extend(re.findall(r"FROM (\w+)", THROUGH.get(name, "")))
    return found


ORDER = ("contact", "contract", "contract_line", "ticket", "ticket_metric", "survey_response")


def assign_children(conn: sqlite3.Connection) -> dict[str, int]:
    """Set account_uid on every account-bound row whose account changed; return live rows left without, by entity."""
    conn.execute(
        """UPDATE account_source AS r SET account_uid = l.account_uid FROM account_link l
           WHERE l.connection = r.connection AND l.source_id = r.source_id AND l.status = 'active'
           AND l.valid_to IS NULL AND r.account_uid IS NOT l.account_uid"""
    )
    _contacts_by_domain(conn)
    names = [e.name for e in account_bound()]
    unassigned: dict[str, int] = {}
    for name in sorted(names, key=lambda n: ORDER.index(n) if n in ORDER else len(ORDER)):
        found = f"coalesce({BY_COMPANY}, {THROUGH[name]})" if name in THROUGH else BY_COMPANY
        if name == "contact":
            found = f"""coalesce({BY_COMPANY}, (SELECT d.account_uid FROM temp.domain_account d
                JOIN temp.contact_domain c ON c.domain = d.domain WHERE c.uid = r.uid))"""
        conn.execute(f"UPDATE {quote(name)} AS r SET account_uid = {found} WHERE account_uid IS NOT {found}")
        rows = conn.execute(f"SELECT count(*) FROM {quote(name)} WHERE account_uid IS NULL AND deleted_at IS NULL")
        if count := rows.fetchone()[0]:
            unassigned[name] = count
    return unassigned


def _contacts_by_domain(conn: sqlite3.Connection) -> None:
    """Prepare the way through a mail domain: only for contacts without a company, only domains of one account."""
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS domain_account (domain TEXT PRIMARY KEY, account_uid TEXT)")
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS contact_domain (uid TEXT PRIMARY KEY, domain TEXT)")
    conn.execute("DELETE FROM temp.domain_account")
    conn.execute("DELETE FROM temp.contact_domain")
    owners: dict[str, set[str]] = {}
    for uid, domains in conn.execute("SELECT uid, domains FROM account WHERE deleted_at IS NULL AND domains NOT NULL"):
        for domain in json.loads(domains):
            if found := company_domain(domain):
                owners.setdefault(found, set()).add(uid)
    conn.executemany(
        "INSERT INTO temp.domain_account VALUES (?, ?)",
        [(domain, next(iter(uids))) for domain, uids in owners.items() if len(uids) == 1],
    )
    alone = conn.execute(
        "SELECT uid, email FROM contact WHERE account_source_id IS NULL AND email NOT NULL AND deleted_at IS NULL"
    ).fetchall()
    found_domains = ((uid, company_domain(email)) for uid, email in alone)
    conn.executemany("INSERT INTO temp.contact_domain VALUES (?, ?)", [(u, d) for u, d in found_domains if d])
