"""Who gets a task, and at which record it hangs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cssync.config.workspace import Workspace, Writeback
from cssync.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Home:
    """Where an account's tasks go."""

    connection: str
    stream: str
    source_id: str


class People:
    """Staff of every connection, to find an owner where a task goes."""

    def __init__(self, store: Store, workspace: Workspace) -> None:
        self.by_uid: dict[str, sqlite3.Row] = {}
        self.by_mail: dict[tuple[str, str], sqlite3.Row] = {}
        self.stand_ins = {back.connection: back.task_owner for back in workspace.writeback.values() if back.task_owner}
        for row in store.query('SELECT * FROM "user" WHERE deleted_at IS NULL ORDER BY connection, source_id'):
            self.by_uid[row["uid"]] = row
            if row["email"] and row["is_active"] != 0:
                self.by_mail.setdefault((row["connection"], row["email"].casefold()), row)

    def owner(self, uid: str | None, connection: str) -> tuple[str | None, str]:
        """Return (user id in `connection`, trouble): the person themselves by id or e-mail, else their manager, else
        the connection's `task_owner`."""
        person = self.by_uid.get(uid or "")
        if person is None:
            return self._stand_in(connection, "no owner is known" if uid is None else "its owner is no longer known")
        if found := self._here(person, connection):
            return found, ""
        manager = self.by_uid.get(f"{person['connection']}:{person['manager_source_id']}")
        if manager is not None and (found := self._here(manager, connection)):
            return found, "its owner is inactive or absent there; it goes to their manager"
        return self._stand_in(connection, "its owner is inactive or absent there, and so is their manager")

    def pool(self, connection: str) -> str | None:
        """Return the active user whom `task_owner` names, for what belongs to nobody in particular."""
        return self._stand_in(connection, "")[0]

    def _stand_in(self, connection: str, trouble: str) -> tuple[str | None, str]:
        wanted = self.stand_ins.get(connection)
        if wanted is None:
            return None, trouble
        setting = f"writeback.{connection}.task_owner"
        person = self.by_uid.get(f"{connection}:{wanted}") or self.by_mail.get((connection, wanted.casefold()))
        if person is None or person["is_active"] == 0:
            return None, f"{trouble}; {setting} is nobody active there either"
        return str(person["source_id"]), f"{trouble}; it goes to {setting}"

    def _here(self, person: sqlite3.Row, connection: str) -> str | None:
        if person["is_active"] == 0:
            return None
        if person["connection"] == connection:
            return str(person["source_id"])
        match = self.by_mail.get((connection, (person["email"] or "").casefold()))
        return str(match["source_id"]) if match else None


def homes(store: Store, backs: Iterable[Writeback]) -> dict[str, Home]:
    """Account -> the one record its tasks go to: the first of `backs` that knows the account; its first record there by
    id."""
    found: dict[str, Home] = {}
    for back in backs:
        for row in store.query(
            "SELECT l.account_uid, min(l.source_id) AS source_id FROM account_link l "
            "JOIN account_source r ON r.connection = l.connection AND r.source_id = l.source_id "
            "WHERE l.connection = ? AND l.status = 'active' AND l.confidence > 0 AND l.valid_to IS NULL "
            "AND r.deleted_at IS NULL AND r.merged_into IS NULL GROUP BY l.account_uid",
            (back.connection,),
        ):
            found.setdefault(row["account_uid"], Home(back.connection, back.to, row["source_id"]))
    return found


def taking_tasks(workspace: Workspace) -> Iterator[Writeback]:
    """Yield what is written back over connections that take tasks, in the order of the configuration."""
    for name, connection in workspace.connections.items():
        back = workspace.writeback.get(name)
        if back is not None and back.tasks and connection.connector.tasks:
            yield back
