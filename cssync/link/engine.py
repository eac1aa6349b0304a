"""Link source records to accounts and write the unified account.

Links are computed afresh from what is live, in order of strength, and compared with what is stored: the same records
in any order give the same accounts, and an account keeps its uid as long as any of its records does.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cssync.config import Workspace
from cssync.link.assign import assign_children
from cssync.link.keys import company_domain, company_name
from cssync.link.unify import write_accounts
from cssync.store import Fence, Store
from cssync.sync.cast import stamp

CONFIDENCE = {
    **{"explicit": 1.0, "crm_native": 0.98, "domain": 0.9, "name": 0.6},
    **{"manual": 1.0, "single": 1.0, "unclear": 0.0},
}
"""0: the account is not to be written to (a key that must be unique is not), until the vendors' data are mended."""

Key = tuple[str, str]
"""(connection, source_id) of a source record."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Two records are the same company, by `method`, because of `evidence`."""

    one: Key
    other: Key
    method: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A key that several records of one connection share: listed, not linked."""

    method: str
    evidence: str
    records: tuple[Key, ...]


@dataclass(slots=True)
class LinkReport:
    """What linking found. `by_method` counts active links, `unassigned` live rows of each entity without account."""

    accounts: int = 0
    by_method: dict[str, int] = field(default_factory=dict)
    suggested: int = 0
    ambiguous: list[Ambiguous] = field(default_factory=list)
    unassigned: dict[str, int] = field(default_factory=dict)
    changed_links: int = 0
    changed_accounts: int = 0


@dataclass(frozen=True, slots=True)
class _Linked:
    account_uid: str
    method: str
    evidence: str


def link(store: Store, workspace: Workspace, now: datetime, fence: Fence | None = None) -> LinkReport:
    """Bring account_link, account and every row's account_uid up to date, in one transaction.

    `now` is aware; it stamps what changes. Nothing is written for what stays as it is.
    """
    rows = [dict(r) for r in store.query("SELECT * FROM account_source ORDER BY connection, source_id")]
    stored = [dict(r) for r in store.query("SELECT * FROM account_link ORDER BY connection, source_id, account_uid")]
    order = {name: n for n, name in enumerate(workspace.connections)}
    rows.sort(key=lambda r: (order.get(r["connection"], len(order)), r["source_id"]))
    live = {(r["connection"], r["source_id"]): r for r in rows if r["deleted_at"] is None}
    report = LinkReport()

    rejected = {(_key(r), r["account_uid"]) for r in stored if r["status"] == "rejected"}
    before = {_key(r): r["account_uid"] for r in stored if r["status"] == "active"}
    manual = [
        Edge(_key(r), anchors_of(before, r["account_uid"], _key(r)), "manual", r["evidence"] or "")
        for r in stored
        if r["status"] == "active" and r["method"] == "manual" and anchors_of(before, r["account_uid"], _key(r))
    ]
    groups, because = _unite(live, itertools.chain(manual, _edges(live, workspace, report)), rejected, before)
    unclear = {
        key: f"{found.method} key {found.evidence} is shared"
        for found in report.ambiguous
        if found.method != "domain"
        for key in found.records
    }
    links = _name_groups(groups, {**{k: ("unclear", why) for k, why in unclear.items()}, **because}, before, order)
    _bury_links(rows, links, before)
    suggestions = _suggest(live, links, rejected)

    with store.transaction(fence) as conn:
        report.changed_links = _write_links(conn, stored, links, suggestions, stamp(now))
        report.changed_accounts = write_accounts(conn, workspace, rows, links_to(links), stamp(now))
        report.unassigned = assign_children(conn)
    report.accounts = len({linked.account_uid for key, linked in links.items() if key in live})
    for key, linked in links.items():
        if key in live:
            report.by_method[linked.method] = report.by_method.get(linked.method, 0) + 1
    report.suggested = len(suggestions)
    return report


def links_to(links: Mapping[Key, _Linked]) -> dict[Key, str]:
    """Return the account uid of each linked record."""
    return {key: linked.account_uid for key, linked in links.items()}


def anchors_of(before: Mapping[Key, str], uid: str, but: Key) -> Any:
    """Return a record other than `but` that already belongs to the account, None if there is none."""
    return next((key for key, held in before.items() if held == uid and key != but), None)


def _key(row: Mapping[str, Any]) -> Key:
    return row["connection"], row["source_id"]


def _edges(live: Mapping[Key, Mapping[str, Any]], workspace: Workspace, report: LinkReport) -> Iterator[Edge]:
    """Yield the evidence in order of strength: explicit keys, CRM-native links, company domains."""
    by_id: dict[str, list[Key]] = defaultdict(list)
    for key in live:
        by_id[key[1]].append(key)
    explicit: dict[str, set[Key]] = defaultdict(set)
    for key, row in live.items():
        if row["external_id"]:
            held = id18(row["external_id"].strip())
            explicit[held].add(key)
            explicit[held].update(k for k in by_id.get(held, ()) if k[0] != key[0])
    yield from _unique(explicit, "explicit", report)

    native: dict[str, set[Key]] = defaultdict(set)
    vendors = {name: c.connector.name for name, c in workspace.connections.items()}
    for key, row in live.items():
        for vendor, held in json.loads(row["linked_ids"] or "{}").items():
            targets = [k for k in by_id.get(id18(str(held)), ()) if vendors.get(k[0]) == vendor]
            for target in targets:
                native[f"{vendor} {target[1]}"] |= {key, target}
    yield from _unique(native, "crm_native", report)

    domains: dict[str, set[Key]] = defaultdict(set)
    for key, row in live.items():
        for domain in json.loads(row["domains"] or "[]"):
            if found := company_domain(domain):
                domains[found].add(key)
    yield from _unique(domains, "domain", report)


def _unique(shared: Mapping[str, set[Key]], method: str, report: LinkReport) -> Iterator[Edge]:
    """Turn keys that name at most one record of each connection into edges; list the others."""
    for evidence, keys in sorted(shared.items()):
        records = sorted(keys)
        connections = [connection for connection, _ in records]
        if 1 < len(set(connections)) < len(connections):
            report.ambiguous.append(Ambiguous(method, evidence, tuple(records)))
            continue
        for other in records[1:] if len(set(connections)) > 1 else ():
            yield Edge(records[0], other, method, evidence)


def id18(value: str) -> str:
    """Return the 18-character form of a 15-character Salesforce id; anything else unchanged.

    The 15-character form is case-sensitive; its checksum says which of each five characters are capitals.
    """
    if not re.fullmatch(r"[0-9]{1}[0-9A-Za-z]{14}", value) or value.isdigit():
        return value
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << n for n, char in enumerate(value[start : start + 5]) if "A" <= char <= "Z")
        suffix += "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits]
    return value + suffix


def _unite(
    live: Mapping[Key, Mapping[str, Any]],
    edges: Iterable[Edge],
    rejected: set[tuple[Key, str]],
    before: Mapping[Key, str],
) -> tuple[list[list[Key]], dict[Key, tuple[str, str]]]:
    """Group records by edges. A group never gets two records of one connection, unless a person said so."""
    group_of: dict[Key, list[Key]] = {key: [key] for key in live}
    because: dict[Key, tuple[str, str]] = {}
    for edge in edges:
        one, other = group_of.get(edge.one), group_of.get(edge.other)
        if one is None or other is None or one is other:
            continue
        refused = any(
            (a, before.get(b, "")) in rejected or (b, before.get(a, "")) in rejected for a in one for b in other
        )
        overlap = {c for c, _ in one} & {c for c, _ in other}
        if edge.method != "manual" and (refused or overlap):
            continue
        for key in (edge.one, edge.other):
            because.setdefault(key, (edge.method, edge.evidence))
        one.extend(other)
        for key in other:
            group_of[key] = one
    distinct = {id(group): group for group in group_of.values()}
    return list(distinct.values()), because


def _name_groups(
    groups: Iterable[list[Key]],
    because: Mapping[Key, tuple[str, str]],
    before: Mapping[Key, str],
    order: Mapping[str, int],
) -> dict[Key, _Linked]:
    """Give every group its account uid: the one its first record had, else one made from that record's key."""
    links: dict[Key, _Linked] = {}
    taken: set[str] = set()
    ordered = [sorted(g, key=lambda k: (order.get(k[0], len(order)), k[1])) for g in groups]
    for group in sorted(ordered, key=lambda g: (order.get(g[0][0], len(order)), g[0][1])):
        held = [before[key] for key in group if key in before and before[key] not in taken]
        uid = held[0] if held else new_uid(group[0])
        taken.add(uid)
        for key in group:
            method, evidence = because.get(key, ("single", ""))
            links[key] = _Linked(uid, method, evidence)
    return links


def new_uid(key: Key) -> str:
    """Return the uid of an account first seen through this record: the same in every store."""
    return "acc-" + hashlib.blake2b("\0".join(key).encode(), digest_size=6).hexdigest()


def _bury_links(rows: Iterable[Mapping[str, Any]], links: dict[Key, _Linked], before: Mapping[Key, str]) -> None:
    """A deleted record keeps its account (it may come back); the loser of a merge follows the survivor, and the
    survivor's survivor where that lost another one."""
    gone = {_key(row): row["merged_into"] for row in rows if row["deleted_at"] is not None}
    uids = {key: link.account_uid for key, link in links.items()}
    for key, survivor in gone.items():
        heir, seen = key, {key}
        while gone.get(heir) and (heir := (key[0], gone[heir])) not in seen:
            seen.add(heir)
        uid = uids.get(heir) or before.get(heir)
        if survivor and uid and heir != key:
            links[key] = _Linked(uid, "crm_native", f"merged into {survivor}")
        elif key in before:
            links[key] = _Linked(before[key], "single", "deleted at the vendor")


def _suggest(
    live: Mapping[Key, Mapping[str, Any]], links: Mapping[Key, _Linked], rejected: set[tuple[Key, str]]
) -> dict[tuple[Key, str], str]:
    """Pairs of accounts whose names agree: for a person to accept or reject, never linked by themselves."""
    by_name: dict[str, list[Key]] = defaultdict(list)
    for key, row in live.items():
        if row["name"] and (name := company_name(row["name"])):
            by_name[name].append(key)
    connections: dict[str, set[str]] = defaultdict(set)
    for key in live:
        connections[links[key].account_uid].add(key[0])
    found: dict[tuple[Key, str], str] = {}
    for name, keys in sorted(by_name.items()):
        for key, other in itertools.combinations(keys, 2):
            uid = links[key].account_uid
            theirs = links[other].account_uid
            if uid != theirs and not connections[uid] & connections[theirs] and (other, uid) not in rejected:
                found[other, uid] = f"both are called {name!r} without company form"
    return found


def _write_links(
    conn: sqlite3.Connection,
    stored: Iterable[Mapping[str, Any]],
    links: Mapping[Key, _Linked],
    suggestions: Mapping[tuple[Key, str], str],
    now: str,
) -> int:
    wanted: dict[tuple[Key, str], tuple[str, str, str]] = {
        (key, uid): ("name", "suggested", evidence) for (key, uid), evidence in suggestions.items()
    }
    wanted |= {(key, link.account_uid): (link.method, "active", link.evidence) for key, link in links.items()}
    changed = 0
    for row in stored:
        pair = (_key(row), row["account_uid"])
        state = (row["method"], row["status"], row["evidence"])
        if row["status"] == "rejected" or row["valid_to"]:
            if row["status"] == "rejected":
                wanted.pop(pair, None)
            continue
        if row["status"] == "active" and row["method"] == "manual" and pair in wanted:
            wanted[pair] = state
        if wanted.get(pair) == state:
            del wanted[pair]
        elif pair not in wanted:
            changed += 1
            conn.execute(
                "UPDATE account_link SET status = 'suggested', valid_to = ? WHERE connection = ? AND source_id = ?"
                " AND account_uid = ?",
                (now, *pair[0], pair[1]),
            )
    conn.executemany(
        """INSERT INTO account_link VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)
           ON CONFLICT (connection, source_id, account_uid) DO UPDATE SET method = excluded.method,
           confidence = excluded.confidence, status = excluded.status, evidence = excluded.evidence,
           valid_from = excluded.valid_from, valid_to = NULL""",
        [
            (*key, uid, method, CONFIDENCE[method], status, evidence, now)
            for (key, uid), (method, status, evidence) in sorted(wanted.items())
        ],
    )
    return changed + len(wanted)
