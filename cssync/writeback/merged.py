"""Tasks of accounts that a merge took away: they move to the survivor, and never stand beside a second one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cssync.store import Store


@dataclass(frozen=True, slots=True)
class Orphan:
    """A task in the CRM whose account was merged into `survivor` (uid). `row` is the task as the rules had it, under
    the survivor's name, with a closing note."""

    key: str
    survivor: str
    row: Mapping[str, Any]


def orphans(store: Store, known: Collection[str]) -> list[Orphan]:
    """Return the tasks of merged accounts among those the CRM holds (`known`, by key), earliest due first."""
    if not known:
        return []
    accounts = {row["uid"]: row for row in store.query("SELECT uid, name, merged_into, deleted_at FROM account")}
    found = []
    for row in store.query(
        "SELECT t.* FROM task t JOIN account a ON a.uid = t.account_uid "
        "WHERE a.deleted_at IS NOT NULL AND a.merged_into IS NOT NULL ORDER BY t.due_on, t.key"
    ):
        survivor = _survivor(accounts, row["account_uid"])
        if row["key"] in known and survivor is not None:
            heir = accounts[survivor]["name"] or survivor
            name = accounts[row["account_uid"]]["name"] or row["account_uid"]
            note = f"{name} was merged into {heir}, for which nothing asks for this"
            told = {**dict(row), "account_uid": survivor, "account": heir, "closing_note": note}
            found.append(Orphan(row["key"], survivor, told))
    return found


def adoptions(store: Store, known: Collection[str], orphaned: Collection[Orphan]) -> dict[str, str]:
    """Return key of a survivor's task -> key of the CRM's task that serves for it: the same rule's, of the account that
    was merged in. A survivor's task that the CRM holds already needs none."""
    found: dict[str, str] = {}
    for orphan in orphaned:
        for row in store.query(
            "SELECT key FROM task WHERE account_uid = ? AND pack = ? AND rule = ? AND occurrence IS ? "
            "ORDER BY status = 'open' DESC, created_at DESC, key",
            (orphan.survivor, orphan.row["pack"], orphan.row["rule"], orphan.row["occurrence"]),
        ):
            if row["key"] not in known and row["key"] not in found:
                found[row["key"]] = orphan.key
                break
    return found


def _survivor(accounts: Mapping[str, Any], uid: str) -> str | None:
    """Follow merges to the account that is still there; None when there is none."""
    seen: set[str] = set()
    while uid in accounts and uid not in seen:
        if accounts[uid]["deleted_at"] is None:
            return uid
        seen.add(uid)
        uid = accounts[uid]["merged_into"] or ""
    return None
