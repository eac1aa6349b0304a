"""Write the unified account: each value from its master connection, else from the first connection that has one."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from cssync.config import Workspace
from cssync.model import TABLE

Key = tuple[str, str]

OWN = ("uid", "created_at", "updated_at", "deleted_at", "merged_into", "touch_tier")
"""Columns of `account` that do not come from one source record."""
REFERENCES = {"owner_uid": "owner_source_id", "csm_uid": "csm_source_id"}


def write_accounts(
    conn: sqlite3.Connection,
    workspace: Workspace,
    rows: Iterable[Mapping[str, Any]],
    uids: Mapping[Key, str],
    now: str,
) -> int:
    """Insert, change and tombstone accounts; return how many really changed.

    `rows` are all source records in order of preference, deleted ones too; `uids` says whose they are.
    """
    records: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        key = (row["connection"], row["source_id"])
        if key in uids:
            records[uids[key]].append(row)
    stored = {row["uid"]: dict(row) for row in conn.execute("SELECT * FROM account")}
    moved = {row[0]: row[1] for row in conn.execute(
        "SELECT former.account_uid, present.account_uid FROM account_link former JOIN account_link present "
        "ON present.connection = former.connection AND present.source_id = former.source_id "
        "AND present.status = 'active' AND present.account_uid <> former.account_uid WHERE former.valid_to IS NOT NULL"
    )}  # fmt: skip
    changed = 0
    columns = [c.name for c in TABLE["account"].columns]
    for uid in sorted(records.keys() | stored.keys()):
        old = stored.get(uid)
        new = _unified(uid, records.get(uid, []), uids, workspace, old, now)
        if uid not in records:
            new["merged_into"] = moved.get(uid, (old or {}).get("merged_into"))
        if old is not None and all(old[c] == new[c] for c in columns if c != "updated_at"):
            continue
        changed += 1
        conn.execute(
            f"INSERT INTO account ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
            f"ON CONFLICT (uid) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns if c != 'uid')}",
            [new[c] for c in columns],
        )
    return changed


def _unified(
    uid: str,
    records: list[Mapping[str, Any]],
    uids: Mapping[Key, str],
    workspace: Workspace,
    old: Mapping[str, Any] | None,
    now: str,
) -> dict[str, Any]:
    live = [r for r in records if r["deleted_at"] is None]
    known = live or records
    if not known and old is not None:
        return {**old, "deleted_at": old["deleted_at"] or now, "updated_at": now}
    account: dict[str, Any] = {
        "uid": uid,
        "created_at": old["created_at"] if old else now,
        "updated_at": now,
        "deleted_at": None if live else (old or {}).get("deleted_at") or now,
        "merged_into": None,
    }
    for column in TABLE["account"].columns:
        name = column.name
        if name in OWN:
            continue
        if name == "master_connection":
            account[name] = _ranked(known, "account", workspace)[0]["connection"]
        elif name == "domains":
            found = {d for r in known for d in json.loads(r["domains"] or "[]")}
            account[name] = json.dumps(sorted(found), ensure_ascii=False, separators=(",", ":")) if found else None
        elif name == "parent_uid":
            parents = [uids.get((r["connection"], r["parent_source_id"])) for r in known if r["parent_source_id"]]
            account[name] = next((p for p in parents if p and p != uid), None)
        elif name in REFERENCES:
            account[name] = next(
                (
                    f"{r['connection']}:{r[REFERENCES[name]]}"
                    for r in _ranked(known, f"account.{name}", workspace)
                    if r[REFERENCES[name]]
                ),
                None,
            )
        else:
            account[name] = next(
                (r[name] for r in _ranked(known, f"account.{name}", workspace) if r[name] is not None), None
            )
    override = account["touch_tier_override"]  # what rules made of the rest stays until they say otherwise
    account["touch_tier"] = old["touch_tier"] if old and old["touch_tier_override"] == override else override
    return account


def _ranked(records: list[Mapping[str, Any]], what: str, workspace: Workspace) -> list[Mapping[str, Any]]:
    """Order records by who wins for `what` (`account.name`): its master first, then the account's, then as given."""
    masters = workspace.masters
    master = masters.get(what) or masters.get(what.replace("account.", "account_source.")) or masters.get("account")
    return sorted(records, key=lambda r: r["connection"] != master) if master else records
