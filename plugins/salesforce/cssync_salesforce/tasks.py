"""Tasks of ours in Salesforce: how they carry their key, and how they are found again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cssync.connectors import OwnField, RemoteTask, Session, TaskContent
from cssync.errors import ConnectionFault
from cssync_salesforce import soql
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.shape import Shape, shape

TASK_KEY = OwnField(
    "CS_Task_Key__c", "cssync task key", "text", description="Written by cssync: identity of a task it created."
)
"""External id field of Task: an upsert on it is the one create that may be repeated."""
_MARKER = re.compile(r"^cssync:(\S+)\s*$", re.MULTILINE)
CHUNK = 100
"""Keys or accounts in one query: their text must fit into a URL."""


def key_of(record: Mapping[str, Any]) -> str | None:
    """Return our key of a Task record: from the key field, else from the last line of its description."""
    held = record.get(TASK_KEY.name)
    if held:
        return str(held)
    found = markers(record.get("Description"))
    return found[-1] if found else None


def markers(text: Any) -> list[str]:
    """Return the keys that a description carries."""
    return _MARKER.findall(str(text or "").replace("\r\n", "\n"))


def marked(body: str, key: str) -> str:
    """Return a description that carries the key in a line of its own."""
    return f"{body.rstrip()}\n\ncssync:{key}"


def has_key(seen: Shape) -> bool:
    """True when Task has our key field as an external id that this user sees."""
    field = seen.fields.get(TASK_KEY.name, {})
    return bool(field.get("externalId") or field.get("idLookup"))


def user_id(session: Session) -> str:
    """Return the id of the user we run as; one request."""
    body = session.get("/services/oauth2/userinfo").json()
    found = soql.id18(body.get("user_id")) if isinstance(body, Mapping) else None
    if not found:
        raise ConnectionFault("Salesforce does not say whom we run as (userinfo has no user_id)")
    return found


def ours(session: Session, seen: Shape) -> Sequence[str]:
    """Return the condition that keeps other people's tasks out; descriptions cannot be filtered."""
    if has_key(seen):
        return [f"{TASK_KEY.name} != null"]
    return [f"CreatedById = {soql.text(user_id(session))}"]


def find_tasks(session: Session, wanted: Sequence[TaskContent]) -> dict[str, RemoteTask]:
    """Return those of the wanted tasks that Salesforce holds, archived ones included, by key; one that lost its key by
    the id that we know, for a request more."""
    if not wanted:
        return {}
    seen = shape(session, "Task")
    by_key = has_key(seen)
    texts = sorted({t.key if by_key else t.account_source_id for t in wanted})
    keys = {t.key for t in wanted}
    by_id = {soql.id18(t.remote_id): t.key for t in wanted}
    fields = ["Id", "Subject", "IsClosed", "ActivityDate", "Description", *([TASK_KEY.name] if by_key else [])]
    found: dict[str, RemoteTask] = {}

    def look(column: str, values: Sequence[str]) -> None:
        for start in range(0, len(values), CHUNK):
            condition = f"{column} IN {soql.among(values[start : start + CHUNK])}"
            statement = soql.select(fields, "Task", ["IsDeleted = false", condition], ["Id"])
            for record in query(session, statement, all_=True):
                key = by_id.get(soql.id18(record["Id"])) or key_of(record)
                if key in keys and key is not None and (key not in found or found[key].status == "done"):
                    found[key] = _remote(key, record)  # the open one, should there be two

    look(TASK_KEY.name if by_key else "WhatId", texts)
    look("Id", sorted(one for one, key in by_id.items() if one and key not in found))
    return found


def _remote(key: str, record: Mapping[str, Any]) -> RemoteTask:
    return RemoteTask(
        key,
        soql.id18(record["Id"]) or "",
        "done" if record.get("IsClosed") else "open",
        str(record.get("Subject") or ""),
        record.get("ActivityDate"),
        text=str(record.get("Description") or ""),
    )


def query(session: Session, text: str, *, all_: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the records of a small query, all its pages; `all_` includes deleted and archived ones."""
    settings: SalesforceSettings = session.settings
    answer = session.get(f"{settings.data}/query{'All' if all_ else ''}", q=text)
    links: set[str] = set()
    while True:
        body = answer.json()
        records = body.get("records") if isinstance(body, Mapping) else None
        if not isinstance(records, list):
            raise ConnectionFault("the answer to a query has not the shape of a result", kept="nothing was changed")
        yield from records
        link = body.get("nextRecordsUrl")
        if not link:
            return
        if link in links:
            raise ConnectionFault("a page link of a query leads back", kept="nothing was changed")
        links.add(link)
        answer = session.get(link)


class Wording:
    """The org's own words for the state and priority of a task, read once a push and only when needed."""

    def __init__(self, session: Session, seen: Shape) -> None:
        self._session = session
        self._shape = seen
        self._closed: str | None = None

    def priority(self, wanted: str) -> str | None:
        """Return the picklist value for high, normal or low; None to leave it to the org's default."""
        values = [str(o["value"]) for o in self._shape.options("Priority")]
        same = [v for v in values if v.casefold() == wanted]
        return next(iter(same or [v for v in values if wanted in v.casefold()]), None)

    @property
    def closed(self) -> str:
        """The status of a task that is done.

        Raises:
            ConnectionFault: the org has none.
        """
        if self._closed is None:
            options = self._shape.options("Status")
            names = self._closed_names()
            known = [str(o["value"]) for o in options if o.get("value") in names or o.get("label") in names]
            if not known:
                raise ConnectionFault(
                    "no status of a task counts as closed for the execution user",
                    kept="no task was closed",
                    fix="make a closed Task status available in Setup, and to the execution user",
                )
            self._closed = known[0]
        return self._closed

    @property
    def opened(self) -> str:
        """The status of a task that is to be done: the org's default, else the first that does not count as closed."""
        options = [o for o in self._shape.options("Status") if o.get("value") != self.closed]
        default = [o for o in options if o.get("defaultValue")]
        return str((default or options or [{"value": "Not Started"}])[0]["value"])

    def _closed_names(self) -> set[str]:
        settings: SalesforceSettings = self._session.settings
        answer = self._session.get(
            f"{settings.data}/query",
            accept=(400, 403, 404),
            q=soql.select(["MasterLabel"], "TaskStatus", ["IsClosed = true"]),
        )
        if answer.status >= 400:
            return {"Completed"}
        return {str(r.get("MasterLabel")) for r in answer.json().get("records", ())}
