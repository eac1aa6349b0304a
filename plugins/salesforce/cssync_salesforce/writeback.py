"""Write fields and tasks, 200 records a request or thousands as a job, with one proved outcome for each change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any, Literal

from cssync.connectors import Answer, Change, Outcome, RemoteTask, Session, TaskContent
from cssync.errors import ConnectionFault, Refused, TransientFault, UnknownOutcome
from cssync_salesforce import ingest, soql, tasks
from cssync_salesforce.client import RETRYABLE, errors, refusal, words
from cssync_salesforce.opportunities import OPPORTUNITY_KEY, Pipeline, edited, find_opportunities
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.shape import described
from cssync_salesforce.streams import object_of
from cssync_salesforce.tasks import TASK_KEY, Wording, has_key, marked, query

State = Literal["sent", "verified", "failed-retry", "failed-permanent", "unknown", "moved"]
BATCH = 200
SMALLER = (20, 5, 1)
"""Sizes in which records are sent again that met a lock or a slow trigger: one bad one no longer stops 199. A lock is
met at the first of them or stays for the next run; the others are for a flow that bears no more at once, tried by one
part before the rest."""
READ_CHUNK = 200
"""Ids in one query: 5,400 bytes of URL."""
RETRIEVE = 2_000
"""Ids in one request that names them in its body."""
AGAIN = RETRYABLE | {"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "LIMIT_EXCEEDED", "REQUEST_LIMIT_EXCEEDED",
                     "ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED", "APEX_ERROR"}  # fmt: skip
HEAVY = frozenset(("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "LIMIT_EXCEEDED", "APEX_ERROR"))
"""What a trigger or flow says to more records than it bears."""
DESCRIPTION = 32_000
"""Characters of a task's description."""
REMEDIES = {
    "INVALID_FIELD_FOR_INSERT_UPDATE": "give the execution user Edit on the field (permission set `cssync`)",
    "INVALID_FIELD": "create the field and make it visible to the execution user: `cssync provision`",
    "INSUFFICIENT_ACCESS_OR_READONLY": "give the execution user Edit on the object and the record",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "give the execution user access to the record's parents and owner",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "add the value to the picklist, or map a text field",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "a validation rule of the org refuses it: exempt the execution user",
    "STRING_TOO_LONG": "make the field longer",
    "NUMBER_OUTSIDE_VALID_RANGE": "give the field more digits",
    "INACTIVE_OWNER_OR_USER": "the owner has left: name a fallback owner",
    "ENTITY_IS_DELETED": "the record was deleted; the next sync notices",
    "DUPLICATES_DETECTED": "a duplicate rule of the org refuses it: let it alert instead of block",
}
HEADERS = {
    "Sforce-Auto-Assign": "false",  # our edit must not hand the record to somebody
    "Sforce-Duplicate-Rule-Header": "allowSave=true",  # nor stop at an alert about two similar names
}


@dataclass(frozen=True, slots=True)
class _Write:
    """A change as one record of a collection request."""

    change: Change
    record: Mapping[str, Any]
    id: str | None


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a kind of write goes."""

    method: str
    path: str


_Groups = dict[tuple[_Route, str], list[_Write]]
"""Writes by route and object: a request holds records of one object."""


def push(session: Session, changes: Sequence[Change]) -> Iterator[Outcome]:
    """Yield one outcome for each change. Fields of one object go together, tasks after them.

    Costs one request for 200 records; two more where tasks are among them. Records that meet a lock are sent once
    more in small parts. A request that fails as a whole fails its records and, where it would only happen again,
    those not sent yet.
    """
    settings: SalesforceSettings = session.settings
    collection = f"{settings.data}/composite/sobjects"
    groups: _Groups = {}
    for change in changes:
        if change.action == "update":
            try:
                write = _update(change)
            except (ConnectionFault, ValueError) as error:
                yield Outcome(change.key, "failed-permanent", error=str(error))
                continue
            _sort(groups, _Route("PATCH", collection), write)
    deals = [c for c in changes if c.task is not None and c.task.is_opportunity]
    comments = [c for c in changes if c.task is not None and c.task.comment_only]
    others = [c for c in changes if c.action != "update" and c not in deals and c not in comments]
    for change in comments:
        yield _comment(session, change)
    if others:
        yield from _tasks(session, others, groups)
    if deals:
        yield from _deals(session, deals, groups)
    for (route, _), writes in groups.items():
        if route.method == "PATCH" and route.path == collection and ingest.worth_it(settings, len(writes)):
            yield from _load_all(session, route, writes)
        elif len(writes) == 1 and writes[0].id is not None and writes[0].change.read_at is not None:
            yield _send_one(session, writes[0])
        else:
            yield from _send_all(session, route, writes)


def _load_all(session: Session, route: _Route, writes: Sequence[_Write]) -> Iterator[Outcome]:
    """Write many records of one object as jobs. What a job does not take at all, or does not come to, and rows that met
    a lock, go by collections; so do records that occur twice, and texts that a row cannot say."""
    source = str(writes[0].record["attributes"]["type"])
    by_id = {w.id: w for w in reversed(writes) if w.id and ingest.fits(w.record)}
    rest = [w for w in writes if by_id.get(w.id or "") is not w]
    for ids, content in ingest.parts([w.record for w in by_id.values()]):
        try:
            found = ingest.load(session, source, ids, content)
        except TransientFault as fault:
            yield from (_failed(by_id[one], _state(fault), fault) for one in ids)
            continue
        except ConnectionFault:  # no right to bulk jobs, or the feature is off: the other way is still open
            rest.extend(by_id[one] for one in ids)
            continue
        for one, told in found.items():
            code, _, message = told.words.partition(":")
            if told.state == "written":
                yield Outcome(by_id[one].change.key, "verified", remote_id=one)
            elif told.state == "unknown":
                yield Outcome(by_id[one].change.key, "unknown", remote_id=one, error=told.words)
            elif told.state == "passed over" or code in AGAIN:
                rest.append(by_id[one])
            else:
                said = {"statusCode": code, "message": message}
                yield _outcome(by_id[one], {"success": False, "errors": [said]})
    if rest:
        yield from _send_all(session, route, rest)


def records_at_once(settings: SalesforceSettings, records: int) -> int:
    """Return how many records are written in one round: a job's worth where a job will write them."""
    return ingest.ROWS if ingest.worth_it(settings, records) else BATCH


def drain_jobs(session: Session, stream: str) -> None:
    """Bring jobs of an interrupted run to their end, where jobs are in use."""
    if session.settings.bulk_write_from:
        ingest.drain(session, object_of(stream))


def _send_one(session: Session, write: _Write) -> Outcome:
    """Change one record, unless it changed since it was read: only this form of update knows `If-Unmodified-Since`.
    Collections and jobs have no guard; their records are read right before."""
    settings: SalesforceSettings = session.settings
    values = {name: value for name, value in write.record.items() if name not in ("attributes", "id")}
    read_at = write.change.read_at
    try:
        answer = session.request(
            "PATCH",
            f"{settings.data}/sobjects/{write.record['attributes']['type']}/{write.id}",
            json=values,
            headers={**HEADERS, "If-Unmodified-Since": format_datetime(read_at, usegmt=True)} if read_at else HEADERS,
            accept=(400, 403, 404, 412),
            repeatable=False,
        )
    except ConnectionFault as fault:
        return _failed(write, _state(fault), fault)
    if answer.status == 412:
        return Outcome(write.change.key, "moved", write.id, "the record changed since it was read")
    if answer.status < 300:
        return Outcome(write.change.key, "verified", remote_id=write.id)
    said = [{"statusCode": code, "message": message} for code, message in errors(answer)]
    if not said:
        return _failed(write, "failed-permanent", refusal(answer, "the write was refused"))
    return _outcome(write, {"success": False, "errors": said})


def _sort(groups: _Groups, route: _Route, write: _Write) -> None:
    groups.setdefault((route, write.record["attributes"]["type"]), []).append(write)


def _update(change: Change) -> _Write:
    key = soql.id18(change.source_id)
    if key is None:
        raise ValueError("the change names no record")
    fields = {soql.name(name): _vendor_form(value) for name, value in change.values.items()}
    # `attributes` must be the first key of the object
    return _Write(change, {"attributes": {"type": object_of(change.stream)}, "id": key, **fields}, key)


def _vendor_form(value: Any) -> Any:
    return ";".join(str(v) for v in value) if isinstance(value, (list, tuple)) else value


def _tasks(session: Session, changes: Sequence[Change], groups: _Groups) -> Iterator[Outcome]:
    """Sort tasks into requests; what cannot even be written down fails here."""
    settings: SalesforceSettings = session.settings
    collection = f"{settings.data}/composite/sobjects"
    try:
        seen = described(session, "Task")
    except ConnectionFault as fault:
        state = _state(fault)
        for change in changes:
            yield Outcome(change.key, "failed-retry" if state == "unknown" else state, error=str(fault))
        return
    keyed = has_key(seen)
    wording = Wording(session, seen)
    create = _Route("PATCH", f"{collection}/Task/{TASK_KEY.name}") if keyed else _Route("POST", collection)
    for change in changes:
        task = change.task
        try:
            if task is None:
                raise ValueError("the change has no task")
            if change.action == "create_task":
                _sort(groups, create, _Write(change, _new_task(task, wording, keyed=keyed), None))
                continue
            key = soql.id18(change.source_id)
            if key is None:
                raise ValueError("the change names no task")
            fields = {"Status": wording.closed} if change.action == "close_task" else _edited(task, wording)
            if change.action == "reopen_task":
                fields["Status"] = wording.opened
            if not change.leaves_text:
                fields["Description"] = _body(task, keyed=keyed)
            record = {"attributes": {"type": "Task"}, "id": key, **fields}
            _sort(groups, _Route("PATCH", collection), _Write(change, record, key))
        except TransientFault as fault:
            yield Outcome(change.key, "failed-retry", error=str(fault))
        except (ConnectionFault, ValueError) as error:
            yield Outcome(change.key, "failed-permanent", error=str(error))


def _deals(session: Session, changes: Sequence[Change], groups: _Groups) -> Iterator[Outcome]:
    """Sort opportunities into requests; what cannot even be written down fails here."""
    settings: SalesforceSettings = session.settings
    collection = f"{settings.data}/composite/sobjects"
    try:
        pipeline = Pipeline(session)
        create = _Route("POST", collection)
        if pipeline.keyed:
            create = _Route("PATCH", f"{collection}/Opportunity/{OPPORTUNITY_KEY.name}")
        for change in changes:
            if change.task is None:
                continue
            key = soql.id18(change.source_id)
            if change.action == "create_task":
                _sort(groups, create, _Write(change, pipeline.new(change.task), None))
            elif key is not None:
                record = {"attributes": {"type": "Opportunity"}, "id": key, **edited(change.task)}
                _sort(groups, _Route("PATCH", collection), _Write(change, record, key))
    except ConnectionFault as fault:
        for place in [p for p in groups if p[1] == "Opportunity"]:
            del groups[place]
        state = _state(fault)
        for change in changes:
            yield Outcome(change.key, "failed-retry" if state == "unknown" else state, error=str(fault))


def _new_task(task: TaskContent, wording: Wording, *, keyed: bool) -> dict[str, Any]:
    """A task to create. Without a status: the org's default for a new one, and an upsert never reopens."""
    about = soql.id18(task.account_source_id)
    return {
        "attributes": {"type": "Task"},
        **({TASK_KEY.name: task.key} if keyed else {}),
        "WhatId": about,
        **_edited(task, wording),
        "Description": _body(task, keyed=keyed),
    }


def _edited(task: TaskContent, wording: Wording) -> dict[str, Any]:
    priority, owner = wording.priority(task.priority), soql.id18(task.owner_source_id)
    return {
        "Subject": task.subject[:255],
        "ActivityDate": task.due_on,
        **({"Priority": priority} if priority else {}),
        **({"OwnerId": owner} if owner else {}),
    }


def _comment(session: Session, change: Change) -> Outcome:
    """Write a comment under what a task says now, one task at a time: so it is guarded, and what a person writes into
    the task at that moment stays. Two requests."""
    key, note = soql.id18(change.source_id), change.task.note if change.task else ""
    try:
        if key is None:
            raise ValueError("the change names no task")
        record = {"attributes": {"type": "Task"}, "id": key, "Description": _upon(session, key, note)}
    except TransientFault as fault:
        return Outcome(change.key, "failed-retry", error=str(fault))
    except (ConnectionFault, ValueError) as error:
        return Outcome(change.key, "failed-permanent", error=str(error))
    return _send_one(session, _Write(change, record, key))


def _upon(session: Session, key: str, note: str) -> str:
    """A comment under what a task says now; one request. ValueError when there is no room for it."""
    found = list(query(session, soql.select(["Id", "Description"], "Task", [f"Id = {soql.text(key)}"])))
    text = "\n\n".join(part for part in (str((found or [{}])[0].get("Description") or "").rstrip(), note) if part)
    if not found or len(text) > DESCRIPTION:
        raise ValueError("the task has no room for a comment" if found else "the task is gone")
    return text


def _body(task: TaskContent, *, keyed: bool) -> str:
    """The text of a task, at most 32,000 characters with its marker."""
    body = "\n\n".join(t for t in (task.body, task.note) if t)[:31_000]
    return body if keyed else marked(body, task.key)


def _send_all(session: Session, route: _Route, writes: Sequence[_Write]) -> Iterator[Outcome]:
    waiting = [list(part) for part in _parts(writes, BATCH)]
    spared: list[list[_Write]] = []  # parts that wait for how the first of their size fares
    tired: list[_Write] = []
    told: dict[str, Mapping[str, Any] | None] = {}
    sizes, again = iter(SMALLER), AGAIN
    while waiting:
        part = waiting.pop(0)
        answer = _collection(session, route, part)
        worn: list[_Write] = []
        if isinstance(answer, ConnectionFault):
            state = _state(answer)
            left = [] if state == "unknown" else [*tired, *(w for later in (*waiting, *spared) for w in later)]
            yield from (_failed(w, state, answer) for w in (*part, *left))
            if state != "unknown":
                return
        elif answer.status == 400 and len(part) > 1:  # one record that cannot be read spoils the request: find it
            half = len(part) // 2
            waiting[:0] = [part[:half], part[half:]]
        elif answer.status == 400:
            yield _failed(part[0], "failed-permanent", refusal(answer, "the write was refused"))
        else:
            for write, result in _matched(part, answer):
                told[write.change.key] = result
                if result is not None and _codes(result) & again:
                    worn.append(write)
                else:
                    yield _outcome(write, result)
        tired += worn
        if spared and not waiting:
            waiting = [] if len(worn) == len(part) else spared
            tired += [] if waiting else [w for later in spared for w in later]
            spared = []
        if tired and not waiting and (size := next(sizes, 0)):
            again, parts = HEAVY, [list(p) for p in _parts(tired, size)]
            tired, most = [], len(parts) if size == SMALLER[0] else 1
            waiting, spared = parts[:most], parts[most:]
    yield from (_outcome(write, told[write.change.key]) for write in tired)


def _collection(session: Session, route: _Route, part: Sequence[_Write]) -> Answer | ConnectionFault:
    """Send one request. Raises Refused where there is no right to write here at all: each record would meet the same,
    and nothing was done."""
    try:
        return session.request(
            route.method,
            route.path,
            json={"allOrNone": False, "records": [w.record for w in part]},
            headers=HEADERS,
            accept=(400,),
            repeatable=False,
        )
    except Refused:
        raise
    except ConnectionFault as fault:
        return fault


def _parts(writes: Sequence[_Write], size: int) -> Iterator[Sequence[_Write]]:
    """Cut into parts; a record that comes twice goes into a later part (the vendor refuses duplicates)."""
    rest = list(writes)
    while rest:
        part: list[_Write] = []
        seen: set[str] = set()
        later: list[_Write] = []
        for write in rest:
            key = write.record.get(TASK_KEY.name) or write.record.get(OPPORTUNITY_KEY.name)
            mark = write.id or str(key or write.change.key)
            if len(part) < size and mark not in seen:
                seen.add(mark)
                part.append(write)
            else:
                later.append(write)
        yield part
        rest = later


def _matched(part: Sequence[_Write], answer: Answer) -> Iterator[tuple[_Write, Mapping[str, Any] | None]]:
    """Pair each write with its result: by place, and by the id where the places do not agree with the ids."""
    body = answer.json()
    results = [r for r in body if isinstance(r, Mapping)] if isinstance(body, list) else []
    named = {_id(r): r for r in results if _id(r)}
    in_order = len(results) == len(part) and all(
        w.id is None or _id(r) in (None, w.id) for w, r in zip(part, results, strict=True)
    )
    for place, write in enumerate(part):
        yield write, results[place] if in_order else named.get(write.id) if write.id else None


def _id(result: Mapping[str, Any]) -> str | None:
    held = result.get("id")
    return soql.id18(held) if soql.is_id(held) else None


def _codes(result: Mapping[str, Any]) -> set[str]:
    if result.get("success") is True:
        return set()
    return {
        str(e.get("statusCode") or e.get("errorCode")) for e in result.get("errors") or () if isinstance(e, Mapping)
    }


def _outcome(write: _Write, result: Mapping[str, Any] | None) -> Outcome:
    if result is None:
        return Outcome(write.change.key, "unknown", error="the answer does not name this record")
    named = _id(result)
    if result.get("success") is True:
        proved = named is not None and (write.id is None or named == write.id)
        return Outcome(write.change.key, "verified" if proved else "sent", remote_id=named or write.id)
    codes = _codes(result)
    said = [
        words(str(e.get("statusCode") or e.get("errorCode") or ""), str(e.get("message") or ""))
        + (f" [{', '.join(map(str, e['fields']))}]" if e.get("fields") else "")
        for e in result.get("errors") or ()
        if isinstance(e, Mapping)
    ]
    remedy = next((REMEDIES[c] for c in sorted(codes) if c in REMEDIES), "")
    state: State = "failed-retry" if codes and codes <= AGAIN else "failed-permanent"
    return Outcome(
        write.change.key,
        state,
        remote_id=write.id,
        error="; ".join([*said, *([f"fix: {remedy}"] if remedy else [])]) or "refused without a reason",
    )


def _state(fault: ConnectionFault) -> State:
    if isinstance(fault, UnknownOutcome):
        return "unknown"
    return "failed-retry" if isinstance(fault, TransientFault) else "failed-permanent"


def _failed(write: _Write, state: State, fault: ConnectionFault) -> Outcome:
    text = f"{fault.message}; fix: {fault.fix}" if fault.fix else fault.message
    return Outcome(write.change.key, state, remote_id=write.id, error=text)


def find_tasks(session: Session, wanted: Sequence[TaskContent]) -> dict[str, RemoteTask]:
    """Return those of the wanted tasks and opportunities that Salesforce holds, by key."""
    deals = [t for t in wanted if t.is_opportunity]
    found = tasks.find_tasks(session, [t for t in wanted if not t.is_opportunity])
    return {**found, **(find_opportunities(session, deals) if deals else {})}


def read(session: Session, stream: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the live values of some records in canonical form; deleted records are absent, and so are fields that
    the execution user cannot see. One request, and one for up to 200 records, or for each 2,000."""
    wanted = sorted({found for i in ids if (found := soql.id18(i))})
    if not wanted:
        return {}
    seen = described(session, object_of(stream))
    known = {asked: found for asked in fields if (found := seen.field(asked))}
    convert = seen.converters(known.values())
    held: dict[str, dict[str, Any]] = {}
    columns = list(dict.fromkeys(["Id", *known.values()]))
    for chunk in _chunks(wanted, RETRIEVE):
        for record in _records(session, seen.object, columns, chunk):
            held[soql.id18(record["Id"]) or ""] = {
                asked: convert.get(found, _same)(record.get(found)) for asked, found in known.items()
            }
    return held


def _records(session: Session, source: str, columns: Sequence[str], ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield some records that are still there: by query, or by the request that takes more ids than a URL."""
    if len(ids) <= READ_CHUNK or any("." in column for column in columns):
        for chunk in _chunks(ids, READ_CHUNK):
            yield from query(session, soql.select(columns, source, [f"Id IN {soql.among(chunk)}"]))
        return
    settings: SalesforceSettings = session.settings
    body = session.request(
        "POST", f"{settings.data}/composite/sobjects/{soql.name(source)}", json={"ids": list(ids), "fields": columns}
    ).json()
    if not isinstance(body, list):
        raise ConnectionFault("the answer to a retrieval of records is no list", kept="nothing was changed")
    yield from (record for record in body if isinstance(record, Mapping))


def _same(value: Any) -> Any:
    return value


def _chunks(values: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (values[i : i + size] for i in range(0, len(values), size))
