"""Write-back: fields of records and tasks, 100 to a request, one outcome for each.

A batch that HubSpot refuses as a whole, or answers without saying what became of a record, is cut in halves until the
record at fault stands alone: one bad record never blocks another. Nothing is sent twice unless HubSpot said that it was
not done: what became of a request without an answer is looked up first.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from cssync.connectors import Answer, Change, Outcome, RemoteTask, Session, TaskContent
from cssync.connectors.judging import error_body
from cssync.errors import ConnectionFault, TransientFault, UnknownOutcome
from cssync_hubspot.client import Paths, batch_read, chunks, complaint, done
from cssync_hubspot.deals import beginning, find_deals
from cssync_hubspot.deals import properties as deal_properties
from cssync_hubspot.links import associated, linked_id
from cssync_hubspot.streams import task_key, task_status

TO_COMPANY = {"tasks": 192, "deals": 341}
"""Association type that leads from what we create to its company."""
REFUSED = (400, 404, 409)
"""Statuses that reject a batch as a whole: nothing of it was done."""
DUE_AT = time(12)
"""A task's due date is an instant in HubSpot; noon of the business day is the same date for most readers."""
PRIORITY = {"high": "HIGH", "normal": "MEDIUM", "low": "LOW"}
TASK_FIELDS = ("hs_task_subject", "hs_task_body", "hs_task_status", "hs_timestamp")


def push(session: Session, changes: Sequence[Change]) -> Iterator[Outcome]:
    """Send changes; see `Connector.push`. One object type and one kind of request at a time.

    Raises:
        ConnectionFault: the token was refused or lacks a scope: nothing more can be sent on this connection.
        TransientFault: HubSpot stayed busy; every change has its outcome by then.
    """
    creates: dict[str, list[Change]] = {"tasks": [], "deals": []}
    updates: dict[str, list[Change]] = {}
    for change in changes:
        if change.action != "create_task":
            updates.setdefault(_kind(change), []).append(change)
        else:
            creates[_kind(change)].append(change)
    if commented := [c for c in updates.get("tasks", ()) if c.task is not None and c.task.comment_only]:
        updates["tasks"] = [*_upon(session, commented), *(c for c in updates["tasks"] if c not in commented)]
    try:
        creates["deals"] = _staged(session, creates["deals"])
    except TransientFault:
        raise
    except ConnectionFault as fault:  # a stage that is not there is no reason to keep the tasks back
        for change in creates.pop("deals"):
            yield Outcome(change.key, "failed-permanent", error=f"{fault.message}; fix: {fault.fix}")
    batches = [(kind, batch, _update) for kind, wanted in updates.items() for batch in _without_doubles(wanted)]
    batches += [(kind, part, _create) for kind, wanted in creates.items() for part in chunks(wanted)]
    for number, (kind, batch, sender) in enumerate(batches):
        try:
            yield from _send(session, kind, batch, sender)
        except TransientFault as busy:
            unsent = [c for _, later, _ in batches[number + 1 :] for c in later]
            yield from (Outcome(c.key, "failed-retry", error=busy.message) for c in unsent)
            raise


def _upon(session: Session, changes: Sequence[Change]) -> list[Change]:
    """Comments on top of what their tasks say now; a task that is gone keeps its change, which HubSpot will refuse."""
    ids = [c.source_id for c in changes if c.source_id]
    held = {
        str(r["id"]): r["properties"].get("hs_task_body") or "" for r in batch_read(session, "tasks", ids, TASK_FIELDS)
    }
    return [replace(c, task=replace(c.task, body=held.get(c.source_id or "", ""))) for c in changes if c.task]


def _kind(change: Change) -> str:
    if change.task is None:
        return change.stream
    return "deals" if change.task.is_opportunity else "tasks"


def _staged(session: Session, changes: Sequence[Change]) -> list[Change]:
    """New deals with the pipeline and stage they begin in, asked once for each stage."""
    begins = {stage: "/".join(beginning(session, stage)) for stage in {c.task.stage for c in changes if c.task}}
    return [replace(c, task=replace(c.task, stage=begins[c.task.stage])) for c in changes if c.task]


def _without_doubles(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Cut into batches in which no record occurs twice: HubSpot refuses one that repeats an id."""
    rest = list(changes)
    while rest:
        now: dict[str | None, Change] = {}
        later = [c for c in rest if now.setdefault(c.source_id, c) is not c]
        yield from chunks(list(now.values()))
        rest = later


Sender = Callable[[Session, str, Sequence[Change]], Answer]


def _send(session: Session, kind: str, batch: Sequence[Change], sender: Sender) -> Iterator[Outcome]:
    """Send a batch and yield an outcome for each change, going on with parts of it where HubSpot leaves some open."""
    try:
        answer = sender(session, kind, batch)
    except UnknownOutcome as lost:
        yield from (Outcome(c.key, "unknown", error=lost.message) for c in batch)
        return
    except TransientFault as busy:
        yield from (Outcome(c.key, "failed-retry", error=busy.message) for c in batch)
        raise
    found = error_body(answer)
    found = found if isinstance(found, Mapping) else {}
    if answer.status in REFUSED:
        if len(batch) == 1:
            yield _failed(batch[0], found, answer)
            return
        middle = len(batch) // 2
        yield from _send(session, kind, batch[:middle], sender)
        yield from _send(session, kind, batch[middle:], sender)
        return
    settled = {o.key: o for o in _settled(session, batch, found, answer)}
    yield from settled.values()
    left = [c for c in batch if c.key not in settled]
    if not left:
        return
    accounted = len(done(answer)) + len(found.get("errors") or ()) >= len(batch)
    if sender is _create and None in _meant(batch, done(answer)):
        made = "HubSpot made records and does not say which"  # to send one of them again could make it twice
        yield from (Outcome(c.key, "unknown", error=made) for c in left)
    elif len(batch) > 1 and accounted:
        size = max(1, len(left) // 2) if len(left) == len(batch) else len(left)
        for part in chunks(left, size):
            yield from _send(session, kind, part, sender)
    elif found.get("errors"):
        yield _failed(left[0], found["errors"][0], answer)
    else:
        yield from (Outcome(c.key, "unknown", error="HubSpot's answer does not mention it") for c in left)


def _settled(session: Session, batch: Sequence[Change], found: Mapping[str, Any], answer: Answer) -> Iterator[Outcome]:
    """The changes an answer is explicit about: matched by record id, our key in the task, or the trace id."""
    for result, change in zip(done(answer), _meant(batch, done(answer)), strict=True):
        if change is not None:
            yield _done(session, change, str(result.get("id")), result.get("properties") or {})
    for error in found.get("errors") or ():
        named = _named(error)
        for change in batch:
            if change.key in named or (change.source_id is not None and change.source_id in named):
                yield _failed(change, error, answer)


def _meant(batch: Sequence[Change], results: Sequence[Mapping[str, Any]]) -> Iterator[Change | None]:
    """Yield the change that each result is about: by record id, by trace id, by our key in a text; else None."""
    named = {name: c for c in batch for name in (c.task.key if c.task else None, c.key, c.source_id) if name}
    for result in results:
        held = result.get("properties") or {}
        key = task_key(held.get("hs_task_body")) or task_key(held.get("description"))
        names = (str(result.get("id")), str(result.get("objectWriteTraceId")), key)
        yield next((named[name] for name in names if name in named), None)


def _named(error: Mapping[str, Any]) -> set[str]:
    """Everything an error names: HubSpot puts ids and trace ids under several keys of `context`, as lists."""
    context = error.get("context")
    values = context.values() if isinstance(context, Mapping) else ()
    return {str(v) for value in values for v in (value if isinstance(value, list) else [value])}


def _done(session: Session, change: Change, remote_id: str, held: Mapping[str, Any]) -> Outcome:
    wanted = properties(session, change)
    proved = all(name in held and same(value, held[name]) for name, value in wanted.items())
    values = {name: held[name] or None for name in change.values if name in held}
    return Outcome(change.key, "verified" if proved else "sent", remote_id=remote_id, values=values or None)


def _failed(change: Change, error: Mapping[str, Any], answer: Answer) -> Outcome:
    words, correlation = complaint(error)
    outer = error_body(answer)
    if not correlation and isinstance(outer, Mapping):
        correlation = str(outer.get("correlationId") or "")
    passing = error.get("category") in ("RATE_LIMITS", "INTERNAL_ERROR") or error.get("errorType") == "RATE_LIMIT"
    return Outcome(
        change.key,
        "failed-retry" if passing else "failed-permanent",
        remote_id=change.source_id,
        error=words,
        correlation_id=correlation or answer.headers.get("x-hubspot-correlation-id", ""),
    )


def _update(session: Session, kind: str, batch: Sequence[Change]) -> Answer:
    inputs = [{"id": c.source_id, "properties": properties(session, c), "objectWriteTraceId": c.key} for c in batch]
    return session.request(
        "POST",
        Paths(session).objects(kind, "/batch/update"),
        json={"inputs": inputs},
        accept=REFUSED,
        repeatable=False,
    )


def _create(session: Session, kind: str, batch: Sequence[Change]) -> Answer:
    inputs = [
        {
            "properties": properties(session, c),
            "associations": [
                {
                    "to": {"id": c.task.account_source_id},
                    "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TO_COMPANY[kind]}],
                }
            ],
            "objectWriteTraceId": c.key,
        }
        for c in batch
        if c.task is not None
    ]
    return session.request(
        "POST",
        Paths(session).objects(kind, "/batch/create"),
        json={"inputs": inputs},
        accept=REFUSED,
        repeatable=False,
    )


# --- Values -----------------------------------------------------------------------------------------------------------


def properties(session: Session, change: Change) -> dict[str, str]:
    """Return the vendor form of what a change writes: strings throughout, "" to clear."""
    if change.task is None:
        return {name: text(value) for name, value in change.values.items()}
    task = change.task
    if task.is_opportunity:
        return deal_properties(session, task, new=change.action == "create_task")
    if task.comment_only:
        return {"hs_task_body": "<br>\n".join((task.body, *_lines([task.note])))}
    closing = change.action == "close_task"
    due = datetime.combine(date.fromisoformat(task.due_on), DUE_AT, session.timezone).astimezone(UTC)
    return {
        "hs_task_subject": task.subject,
        **({} if change.leaves_text else {"hs_task_body": task_body(task)}),
        "hs_task_status": "COMPLETED" if closing or task.status == "done" else "NOT_STARTED",
        **({} if closing else {"hs_timestamp": due.strftime("%Y-%m-%dT%H:%M:%SZ")}),
        **({} if closing else {"hs_task_priority": PRIORITY[task.priority]}),
        **({"hs_task_type": "TODO"} if change.action == "create_task" else {}),  # its plain kind
        **({"hubspot_owner_id": task.owner_source_id} if task.owner_source_id and not closing else {}),
    }


def task_body(task: TaskContent) -> str:
    """Return the body of a task: rich text, so what a customer's name may hold is escaped and lines are broken. The
    last line carries our key."""
    lines = [*task.body.splitlines(), *(["", *task.note.splitlines()] if task.note else []), "", f"cssync:{task.key}"]
    return "<br>\n".join(_lines(lines))


def _lines(lines: Sequence[str]) -> list[str]:
    return [html.escape(line, quote=False) for line in lines]


def text(value: Any) -> str:
    """Canonical value -> property value; a list is the whole set of a multi-checkbox."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (list, tuple)):
        return ";".join(str(v) for v in value)
    return str(value)


def same(sent: str, held: Any) -> bool:
    """Whether a property holds what was sent: HubSpot reforms numbers, instants, dates, sets and rich text."""
    if held is None:
        return sent == ""
    got = str(held)
    if sent == got or _plain(sent) == _plain(got):
        return True
    return any(_equal(read, sent, got) for read in (_number, _moment, _set))


def _equal(read: Callable[[str], Any], sent: str, got: str) -> bool:
    a, b = read(sent), read(got)
    return a is not None and a == b


def _plain(value: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", value)).split())


def _number(value: str) -> Decimal | None:
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _moment(value: str) -> datetime | None:
    """An instant or a date (midnight UTC), as ISO 8601 or epoch milliseconds."""
    if re.fullmatch(r"\d{12,14}", value):
        return datetime.fromtimestamp(int(value) / 1000, UTC)
    if not re.match(r"\d{4}-\d{2}-\d{2}", value):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _set(value: str) -> frozenset[str] | None:
    return frozenset(value.split(";")) if ";" in value else None


# --- Looking ----------------------------------------------------------------------------------------------------------


def read(session: Session, stream: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return live values as HubSpot holds them (text, None where empty); see `Connector.read`."""
    return {
        str(record["id"]): {name: (record.get("properties") or {}).get(name) or None for name in fields}
        for record in batch_read(session, stream, ids, fields)
    }


def find_tasks(session: Session, tasks: Sequence[TaskContent]) -> dict[str, RemoteTask]:
    """Find tasks and deals by our key among those associated with their companies, and by their id where we know it.

    Search is not asked: its index lags, and a task missed here would be created twice.
    """
    deals, tasks = [t for t in tasks if t.is_opportunity], [t for t in tasks if not t.is_opportunity]
    found: dict[str, RemoteTask] = find_deals(session, deals) if deals else {}
    if not tasks:
        return found
    wanted = {t.key for t in tasks}
    companies = associated(session, "companies", "tasks", dict.fromkeys(t.account_source_id for t in tasks))
    if companies.failed:
        raise TransientFault(
            f"HubSpot did not list the tasks of {len(companies.failed)} companies",
            kept="no task was created",
            fix="run again later",
        )
    by_id = {t.remote_id: t.key for t in tasks if t.remote_id}
    ids = [linked_id(item) for items in companies.found.values() for item in items]
    for record in batch_read(session, "tasks", [*by_id, *ids], TASK_FIELDS):
        held = record.get("properties") or {}
        key = by_id.get(str(record.get("id"))) or task_key(held.get("hs_task_body"))
        if key in wanted and key is not None:
            found.setdefault(key, _remote(session, key, record))
    return found


def _remote(session: Session, key: str, record: Mapping[str, Any]) -> RemoteTask:
    held = record["properties"]
    due = _moment(held.get("hs_timestamp") or "")
    return RemoteTask(
        key=key,
        remote_id=str(record["id"]),
        status="done" if task_status(held.get("hs_task_status")) == "done" else "open",
        subject=held.get("hs_task_subject") or "",
        due_on=due.astimezone(session.timezone).date().isoformat() if due else None,
        text=_plain(held.get("hs_task_body") or ""),
    )
