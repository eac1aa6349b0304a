"""Tasks as internal tickets, where the connection allows them (`task_tickets`): no comment is ever public.

Zendesk has no task on an organization. A ticket of type task stands in for one: assigned to whoever shall act, tagged
`cssync`, known by its `external_id`. It counts in Zendesk's own ticket reports; our own pull keeps it apart by the tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cssync.connectors import Answer, Change, Outcome, RemoteTask, Session, TaskContent
from cssync.errors import TransientFault, UnknownOutcome
from cssync_zendesk.client import words
from cssync_zendesk.fields import records

TAG = "cssync"
"""Marks tickets that cssync made: work for a colleague, not a request of the customer."""
PATH = "/api/v2/tickets"
PRIORITY = {"high": "high", "normal": "normal", "low": "low"}
STATUS = {"create_task": "open", "reopen_task": "open", "close_task": "solved"}
"""Never `closed`: Zendesk takes it and lets nobody change the ticket again."""
SHUT = ("solved", "closed", "deleted")


def push_tickets(session: Session, changes: Sequence[Change]) -> Iterator[Outcome]:
    """Create and change internal tickets, one request each; yields one outcome each.

    A create carries an `Idempotency-Key` and is still never sent twice by us unless it was looked for. An update
    carries the stamp of the ticket as it was read, so that it fails where anybody changed it since (`safe_update`).
    """
    for number, change in enumerate(changes):
        try:
            yield _push(session, change)
        except TransientFault as fault:
            yield Outcome(change.key, "failed-retry", change.source_id, error=fault.message)
            if fault.resumes_at:
                yield from (Outcome(c.key, "failed-retry", error=fault.message) for c in changes[number + 1 :])
                return


def _push(session: Session, change: Change) -> Outcome:
    task = change.task
    if task is None or not str(task.account_source_id).isdecimal():
        return Outcome(change.key, "failed-permanent", error="the task has no usable organization")
    if task.is_opportunity:
        return Outcome(change.key, "failed-permanent", error="Zendesk has no opportunities")
    new = change.action == "create_task"
    if not new and not (change.source_id or "").isdecimal():
        return Outcome(change.key, "failed-permanent", error="the change names no ticket")
    try:
        answer = session.request(
            "POST" if new else "PUT",
            PATH if new else f"{PATH}/{change.source_id}",
            json={"ticket": _new(task) if new else _changed(change, task)},
            headers={"Idempotency-Key": f"cssync-{task.key}"} if new else None,
            accept=(400, 404, 409, 422),
            repeatable=False,
        )
    except UnknownOutcome as lost:
        return Outcome(change.key, "unknown", change.source_id, error=lost.message)
    return _outcome(change, answer)


def _new(task: TaskContent) -> dict[str, Any]:
    return {
        "type": "task",
        "external_id": task.key,
        "organization_id": int(task.account_source_id),
        "tags": [TAG],
        "status": STATUS["create_task"],
        "comment": {"body": "\n\n".join(t for t in (task.body, task.note) if t) or task.subject, "public": False},
        **_shown(task),
        **_person("requester_id", task),
    }


def _changed(change: Change, task: TaskContent) -> dict[str, Any]:
    status = {"status": STATUS[change.action]} if change.action in STATUS else {}
    return {
        **({} if change.action == "close_task" or task.comment_only else _shown(task)),
        **status,
        **({"comment": {"body": task.note, "public": False}} if task.note else {}),
        **({"safe_update": True, "updated_stamp": change.stamp} if change.stamp else {}),
    }


def _shown(task: TaskContent) -> dict[str, Any]:
    return {
        "subject": task.subject,
        "due_at": f"{task.due_on}T12:00:00Z",
        "priority": PRIORITY[task.priority],
        **_person("assignee_id", task),
    }


def _outcome(change: Change, answer: Answer) -> Outcome:
    if answer.status == 409:
        said = words(answer)
        passing = "DatabaseConflict" in said
        return Outcome(change.key, "failed-retry" if passing else "moved", change.source_id, error=said or "409")
    if answer.status >= 400:
        return Outcome(change.key, "failed-permanent", change.source_id, error=words(answer) or f"HTTP {answer.status}")
    ticket = answer.json().get("ticket")
    named = str(ticket.get("id") or "") if isinstance(ticket, Mapping) else ""
    proved = named and (named == change.source_id or (change.task and ticket.get("external_id") == change.task.key))
    return Outcome(change.key, "verified" if proved else "sent", remote_id=named or change.source_id)


def find_tickets(session: Session, wanted: Sequence[TaskContent]) -> dict[str, RemoteTask]:
    """Return those of the wanted tasks that Zendesk holds, by key; one request each, as search lags behind, and one
    more for a ticket that lost its key."""
    found: dict[str, RemoteTask] = {}
    for task in wanted:
        rows = records(session.get(PATH, external_id=task.key).json(), "tickets", PATH)
        mine = [row for row in rows if str(row.get("external_id")) == task.key and row.get("status") != "deleted"]
        mine = mine or _by_id(session, task.remote_id or "")
        for row in sorted(mine, key=lambda row: (row.get("status") in SHUT, row.get("id"))):
            found.setdefault(task.key, _remote(task.key, row))
        if task.comment_only and task.key in found:
            found[task.key] = replace(found[task.key], text=_said(session, found[task.key].remote_id))
    return found


def _by_id(session: Session, ticket: str) -> list[Mapping[str, Any]]:
    """The ticket of an id, unless it is gone; one request."""
    if not ticket.isdecimal():
        return []
    answer = session.get(f"{PATH}/{ticket}", accept=(404,))
    row = answer.json().get("ticket") if answer.status == 200 else None
    return [row] if isinstance(row, Mapping) and row.get("id") and row.get("status") != "deleted" else []


def _said(session: Session, ticket: str) -> str:
    """All comments of a ticket; one request."""
    path = f"{PATH}/{ticket}/comments"
    return "\n".join(str(row.get("body") or "") for row in records(session.get(path).json(), "comments", path))


def _remote(key: str, row: Mapping[str, Any]) -> RemoteTask:
    return RemoteTask(
        key,
        str(row["id"]),
        "done" if row.get("status") in SHUT else "open",
        str(row.get("subject") or ""),
        str(row["due_at"])[:10] if row.get("due_at") else None,
        stamp=str(row.get("updated_at") or ""),
    )


def is_ours(record: Mapping[str, Any]) -> bool:
    """Whether a ticket is a task that cssync made, and no request of a customer."""
    tags = record.get("tags")
    return isinstance(tags, list) and TAG in tags and bool(record.get("external_id"))


def _person(name: str, task: TaskContent) -> dict[str, int]:
    """The owner under the name of a ticket's property; without one Zendesk takes the user we act as."""
    owner = task.owner_source_id or ""
    return {name: int(owner)} if owner.isdecimal() else {}
