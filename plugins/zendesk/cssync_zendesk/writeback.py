"""Write organization fields back: batches of 100 as a job, followed to its end; and read them.

HTTP 200 on the batch means queued. Only the finished job says what became of each row, and rows that failed sit in a
job whose status is `completed`. A row that was `Updated` is no proof of its fields: Zendesk drops keys it does not know
without a word. So the definitions are asked for again when the jobs are done: a value is written where its field is
still the one that it was encoded for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from cssync.connectors import Change, Outcome, Session
from cssync.errors import ConnectionFault, TransientFault, UnknownOutcome
from cssync_zendesk.client import words
from cssync_zendesk.fields import Definition, asked_organization_fields, organization_fields, plain, records
from cssync_zendesk.task_tickets import push_tickets

BATCH = 100
"""Most organizations one update_many or show_many takes."""
POLLS = 120
"""How often a job is asked for, a second apart (bucket `job-statuses`), before its outcome counts as unknown."""
PASSING = re.compile(r"conflict|lock|time.?out|limit|unavailable|internal|database", re.IGNORECASE)
"""Words of row errors that another try may cure."""
WRITTEN = ("Updated", "Created")


def push(session: Session, changes: Sequence[Change]) -> Iterator[Outcome]:
    """Write the organization fields of many changes; yields one outcome each.

    Rows whose value does not fit the field are failed here and leave the others alone. One job is under way at a
    time: an account has 30 for all its integrations. One request more, after the jobs, for the proof.

    Raises:
        ConnectionFault: credentials, scope or role do not allow to write at all, or to ask for the proof; what was
            written before that has no outcome then.
    """
    tickets = [change for change in changes if change.task is not None and session.settings.task_tickets]
    if tickets:
        yield from push_tickets(session, tickets)
        changes = [change for change in changes if change.task is None]
    known = organization_fields(session) if changes else {}
    rows: list[tuple[Change, dict[str, Any]]] = []
    for change in changes:
        try:
            rows.append((change, _row(change, known)))
        except ValueError as error:
            yield Outcome(change.key, "failed-permanent", change.source_id, error=str(error))
    found = [o for start in range(0, len(rows), BATCH) for o in _write(session, rows[start : start + BATCH])]
    if any(outcome.state == "verified" for outcome in found):
        lost = _lost(rows, known, asked_organization_fields(session))
        found = [_dropped(o, lost[o.key]) if o.state == "verified" and o.key in lost else o for o in found]
    yield from found


def _lost(
    rows: Sequence[tuple[Change, dict[str, Any]]], before: Mapping[str, Definition], after: Mapping[str, Definition]
) -> dict[str, str]:
    """Return the keys of changes of which a value may have gone nowhere, with the reason. A field made anew under its
    old key has another id."""
    found: dict[str, str] = {}
    for change, _ in rows:
        for name, value in change.values.items():
            was, now = before[name], after.get(name)
            if now is None or now.id != was.id or not now.active:
                found[change.key] = f"the organization field {name!r} was deleted or switched off while it was written"
            elif now != was and _encoded(now, value) != _encoded(was, value):
                found[change.key] = f"the organization field {name!r} was changed while it was written"
    return found


def _encoded(field: Definition, value: Any) -> Any:
    """The value as the field takes it; the field's complaint where it does not."""
    try:
        return field.encode(value)
    except ValueError as error:
        return error


def _dropped(outcome: Outcome, why: str) -> Outcome:
    said = f"Zendesk took the record, but {why}; `cssync provision` shows what it should be"
    return replace(outcome, state="failed-permanent", error=said)


def _row(change: Change, known: Mapping[str, Definition]) -> dict[str, Any]:
    """Return an organization as update_many takes it: only the keys that change.

    Raises:
        ValueError: not an update of an organization, an unknown field, or a value that does not fit it.
    """
    if change.action != "update" or change.stream != "organizations":
        raise ValueError(
            "Zendesk takes fields of organizations only; tasks belong into the CRM, or need `task_tickets: true`"
        )
    if not change.source_id or not change.source_id.isdecimal():
        raise ValueError("the organization has no usable id")
    values = {}
    for name, value in change.values.items():
        if name not in known:
            raise ValueError(f"Zendesk has no organization field {name!r}; run `cssync provision` to create it")
        if not known[name].active:
            raise ValueError(f"the organization field {name!r} is switched off; activate it in Admin Center")
        values[name] = known[name].encode(value)
    return {"id": int(change.source_id), "organization_fields": values}


def _write(session: Session, rows: Sequence[tuple[Change, dict[str, Any]]]) -> Iterator[Outcome]:
    changes = [change for change, _ in rows]
    try:
        answer = session.request(
            "PUT",
            "/api/v2/organizations/update_many",
            json={"organizations": [row for _, row in rows]},
            accept=(400, 413, 422),
            repeatable=False,
        )
    except (TransientFault, UnknownOutcome) as fault:
        # Limited or not reached, it was not taken. Without an answer it may have been queued: looking settles that.
        state: Literal["failed-retry", "unknown"] = "unknown" if isinstance(fault, UnknownOutcome) else "failed-retry"
        yield from (Outcome(c.key, state, c.source_id, error=fault.message) for c in changes)
        return
    if answer.status >= 400:
        if len(rows) > 1:  # one bad row must not take the others with it
            half = len(rows) // 2
            yield from _write(session, rows[:half])
            yield from _write(session, rows[half:])
        else:
            yield Outcome(changes[0].key, "failed-permanent", changes[0].source_id, error=words(answer))
        return
    job = answer.json().get("job_status") or {}
    try:
        yield from _outcomes(changes, _followed(session, job))
    except ConnectionFault as fault:
        error = f"job {job.get('id')} was queued; what became of it is not known: {fault.message}"
        yield from (Outcome(c.key, "unknown", c.source_id, error, str(job.get("id") or "")) for c in changes)


def drain(session: Session, _: str) -> None:
    """Wait for update jobs that are still under way: an interrupted run may have left one. Jobs do not name who queued
    them, so those of other integrations are waited for as well, 30 at most.

    Raises:
        ConnectionFault: they have not ended in time.
    """
    answer = session.get("/api/v2/job_statuses", accept=(403, 404))
    if answer.status >= 400:
        return
    listed = answer.json().get("job_statuses")
    for job in listed if isinstance(listed, list) else ():
        if isinstance(job, Mapping) and job.get("status") in ("queued", "working"):
            _followed(session, job)


def _followed(session: Session, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask for a job until it has ended, and return its last state.

    Raises:
        ConnectionFault: it cannot be found (Zendesk keeps the last 100 for an hour), or has not ended in time.
    """
    for _ in range(POLLS):
        if job.get("status") not in ("queued", "working"):
            return job
        name = str(job.get("id") or "")
        if not re.fullmatch(r"[\w-]+", name):
            raise ConnectionFault("Zendesk named no job")
        job = session.get(f"/api/v2/job_statuses/{name}").json().get("job_status") or {}
    raise ConnectionFault("it had not ended when we stopped asking")


def _outcomes(changes: Sequence[Change], job: Mapping[str, Any]) -> Iterator[Outcome]:
    """Match the results of a finished job to the changes: by record id, else by index; never by position."""
    job_id, results = str(job.get("id") or ""), job.get("results")
    listed = [r for r in results if isinstance(r, Mapping)] if isinstance(results, list) else []
    by_id: dict[str, Mapping[str, Any]] = {}
    by_index: dict[int, Mapping[str, Any]] = {}
    for result in listed:
        if result.get("id"):
            by_id[str(result["id"])] = result
        elif isinstance(result.get("index"), int):
            by_index[result["index"]] = result
    vouched = isinstance(results, Mapping) and results.get("success") is True
    for index, change in enumerate(changes):
        if named := by_id.get(change.source_id or "") or by_index.get(index):
            yield _outcome(change, named, job_id)
        elif vouched and job.get("status") == "completed":
            # It succeeded as a whole and names no record: read back before it counts as proved.
            yield Outcome(change.key, "sent", change.source_id, correlation_id=job_id)
        else:
            said = f"job {job.get('status')} without a result for this record {job.get('message') or ''}".strip()
            yield Outcome(change.key, "unknown", change.source_id, said, job_id)


def _outcome(change: Change, result: Mapping[str, Any], job_id: str) -> Outcome:
    error = ": ".join(str(result[name]) for name in ("error", "details") if result.get(name))[:300]
    if not error and (result.get("success") is True or result.get("status") in WRITTEN):
        return Outcome(change.key, "verified", change.source_id, correlation_id=job_id)
    passing = PASSING.search(str(result.get("error") or ""))
    said = error or f"Zendesk says {result.get('status') or 'nothing'}"
    return Outcome(change.key, "failed-retry" if passing else "failed-permanent", change.source_id, said, job_id)


def read(session: Session, stream: str, source_ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the live canonical values of some organizations; those that are gone are absent.

    One request per 100 organizations, and one for the field definitions unless they were asked within a minute.
    """
    if stream != "organizations" or not source_ids:
        return {}
    known = organization_fields(session)
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(source_ids), BATCH):
        path, ids = "/api/v2/organizations/show_many", ",".join(source_ids[start : start + BATCH])
        for row in records(session.get(path, ids=ids).json(), "organizations", path):
            if row.get("deleted_at"):
                continue
            held = row.get("organization_fields") or {}
            found[str(row.get("id"))] = {
                name: known[name].decode(held[name]) if name in known else plain(held[name])
                for name in fields
                if name in held
            }
    return found
