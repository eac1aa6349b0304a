"""A plan, what became of it, and what failed: the words for people, and the documents for `--json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from cssync.views.terminal import line
from cssync.writeback.apply import ApplyReport
from cssync.writeback.changes import Note, Plan, PlannedChange
from cssync.writeback.evidence import Evidence
from cssync.writeback.failures import FAILING, LeftAlone
from cssync.writeback.outbox import Entry

ALIKE = 3
"""Changes with the same fate that are listed one by one; more are one line."""
SIGNS = {"set": "~", "clear": "-", "create_task": "+", "update_task": "~", "close_task": "x", "reopen_task": "+"}
"""First character of a line: `+` something new, `~` another value, `-` emptied, `x` closed."""
WHAT_NOW = {
    "failed-permanent": "not tried again until the value or its field changes; put it right, then "
    "`cssync failures retry KEY`",
    "failed-retry": "the next runs try it again, five times in all; then `cssync failures retry KEY`",
    "unknown": "no answer came; the next run looks in the CRM before anything else is sent",
    "waiting": "its connection was down; the next run sends it",
}
"""State of a write that failed -> what happens next, and what a person can do."""
LONGEST = 160
"""Characters of a value on one line; `--json` has all of it."""
NOTES = 20
"""Notes of a kind listed for people."""
NAMED = ("conflict", "blocked", "declined", "kept", "cut")
"""Kinds of notes about one field."""
HEADINGS = {
    "conflict": "left alone, because a person changed it in the CRM",
    "blocked": "not tried again, because the vendor refused exactly this; `cssync failures retry` once mended",
    "declined": "not written, because a person took it back or dropped it",
    "later": "tasks held back for their owners' sake",
    "unsettled": "waiting to be looked up first",
    "unowned": "tasks without the owner they are meant for",
    "kept": "not taken back, because it is not as the run left it",
    "cut": "too long for its field",
    "misfit": "mappings that stopped, because the vendor's field does not take the value",
    "source": "sources that are too old",
    "partial": "waiting for a source that was not read to its end, or for a yes: a plan of their own, held",
}


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a plan for reading: totals first, then by connection and account, then what is left alone."""
    yield f"Plan {plan.id}: {totals(plan.totals)}. {_sent(plan)}"
    for reason in plan.held_by if plan.status == "held" else ():
        yield f"  held: {line(reason)}"
    for connection, group in groupby(plan.changes, lambda c: (c.connection, c.stream)):
        yield ""
        yield f"{connection[0]}.{connection[1]}"
        for _, changes in groupby(group, lambda c: (c.account_uid, c.source_id)):
            yield from _account(list(changes))
    for kind in HEADINGS:
        listed = list(note_lines(plan, kind))
        yield from ("", *listed) if listed else ()


def note_lines(plan: Plan, kind: str) -> Iterator[str]:
    """Yield what a plan leaves alone for one reason, under its heading; nothing when there is none."""
    notes = [note for note in plan.notes if note.kind == kind]
    if notes:
        yield f"{HEADINGS[kind]} ({len(notes)}):"
        yield from (f"  {_where(note)}: {_cut(note.message)}" for note in notes[:NOTES])
    if len(notes) > NOTES:
        yield f"  and {len(notes) - NOTES:,} more; --json lists all"


def totals(counts: Mapping[str, int]) -> str:
    """Say a plan's size: fields always, tasks and what is left alone only where there are any."""
    told = [f"{counts['set']:,} to set, {counts['change']:,} to change, {counts['clear']:,} to clear"]
    for name, verb in (
        ("create_task", "create"), ("update_task", "update"), ("close_task", "close"), ("reopen_task", "reopen"),
    ):  # fmt: skip
        if counts.get(name):
            told.append(f"{counts[name]:,} task{'' if counts[name] == 1 else 's'} to {verb}")
    if counts["conflict"]:
        told.append(f"{counts['conflict']:,} left as a person set {'it' if counts['conflict'] == 1 else 'them'}")
    if counts["blocked"]:
        told.append(f"{counts['blocked']:,} refused before")
    if counts.get("declined"):
        told.append(f"{counts['declined']:,} that a person took back or dropped")
    if counts.get("kept"):
        told.append(f"{counts['kept']:,} not taken back")
    if counts.get("misfit"):
        told.append(f"{counts['misfit']:,} mapping{'' if counts['misfit'] == 1 else 's'} stopped")
    if counts["later"]:
        told.append(f"{counts['later']:,} task{'' if counts['later'] == 1 else 's'} for later")
    return ", ".join(told)


def plan_document(plan: Plan, stands_on: Evidence | None = None) -> dict[str, Any]:
    """The plan for `--json`: `plan`, `status`, `held_by`, `as_of`, `created_at`, `digest`, `totals`, `changes` (each
    with connection, stream, source_id, account_uid, account, action, field, old, new, result_name, because, evidence)
    and `notes` (kind, connection, account_uid, account, field, message)."""
    known = stands_on or {}
    return {
        "plan": plan.id,
        "status": plan.status,
        "held_by": list(plan.held_by),
        "as_of": plan.as_of,
        "created_at": plan.created_at,
        "digest": plan.digest,
        "totals": plan.totals,
        "changes": [
            {**asdict(c), "evidence": dict(known.get((c.account_uid, c.result_name), {}))} for c in plan.changes
        ],
        "notes": [asdict(note) for note in plan.notes],
    }


def apply_lines(report: ApplyReport) -> Iterator[str]:
    """Yield what became of a plan: counts, then every change that did not go through, with the vendor's words."""
    counts = ", ".join(f"{n:,} {state}" for state, n in report.outcomes.items()) or "nothing to do"
    yield f"Plan {report.plan_id}: {counts}."
    if report.settled:
        yield f"  {report.settled:,} writes of an interrupted run were looked up first"
    for name, fault in report.faults.items():
        yield f"  {name} stopped: {line(fault.message)}"
        if fault.fix:
            yield f"    fix: {line(fault.fix)}"
    for entry in report.altered:
        yield f"  {_place(entry)}: {line(entry.error)}"
    alike: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in report.open:
        alike.setdefault((entry.connection, entry.state, entry.error), []).append(entry)
    for (connection, state, error), entries in alike.items():
        told = _cut(error) or "no reason given"
        if len(entries) <= ALIKE:
            yield from (f"  {state} {_place(entry)}: {told}" for entry in entries)
        else:
            yield f"  {len(entries):,} {state} on {connection}: {told}"
    if any(entry.state == "refused" for entry in report.open):
        yield "  what was refused was not sent; the next plan looks at it again"
    if any(entry.state in FAILING for entry in report.open):
        yield "  `cssync failures` lists them; `cssync failures retry --all` tries again what a person has mended"


def failure_lines(
    entries: Sequence[Entry], names: Mapping[str, str], links: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    """Yield failed writes: which, in which record, the vendor's words, and what to do about each kind."""
    yield from entry_lines(entries, names, links)
    states = {entry.state for entry in entries}
    if states:
        yield ""
        yield from (f"{state}: {hint}" for state, hint in WHAT_NOW.items() if state in states)


def entry_lines(
    entries: Sequence[Entry], names: Mapping[str, str], links: Mapping[tuple[str, str], str] | None = None
) -> Iterator[str]:
    """Yield rows of the outbox, a few lines each; `names`: account uid -> name; `links`: (connection, source_id) -> the
    record at the vendor."""
    for number, entry in enumerate(entries):
        at = entry.settled_at or entry.sent_at or "not sent yet"
        yield f"{entry.key}  {entry.state}  {at}  {line(names.get(entry.account_uid, entry.account_uid))}"
        yield f"    {_place(entry)}: {_move(entry.action, entry.old, entry.new)}"
        follows = entries[number + 1] if number + 1 < len(entries) else None
        if entry.because and not (follows and (follows.source_id, follows.because) == (entry.source_id, entry.because)):
            yield f"    because {_cut(entry.because)}"
        if entry.error:
            told = f" (request id {line(entry.correlation_id)})" if entry.correlation_id else ""
            yield f"    {_cut(entry.error)}{told}, tried {entry.attempts} time{'' if entry.attempts == 1 else 's'}"
        if link := (links or {}).get((entry.connection, entry.source_id)):
            yield f"    {line(link)}"


def left_lines(items: Sequence[LeftAlone]) -> Iterator[str]:
    """Yield what plans did not write for an account, a line each."""
    if items:
        yield "left alone:"
    for item in items:
        since = item.first_at if item.plans == 1 else f"{item.first_at} .. {item.last_at}, {item.plans:,} plans"
        where = f" {line(item.field)}" if item.kind in NAMED else ""
        yield f"    {item.kind}  {since}  {item.connection}{where}: {_cut(item.message)}"


def entry_document(entry: Entry) -> dict[str, Any]:
    """A row of the outbox for `--json`: its columns (`docs/store.md`)."""
    return asdict(entry)


def _sent(plan: Plan) -> str:
    if plan.status == "applied":
        return "It was carried out."
    return "Nothing was sent." if plan.status != "superseded" else "Nothing was sent; a newer plan took its place."


def _account(changes: Sequence[PlannedChange]) -> Iterator[str]:
    """The changes of one record; a reason that several fields share is told once, after the last of them, with the
    results or rules that it is of."""
    rules: list[str] = []
    for number, change in enumerate(changes):
        what = f"{line(change.account)}  {_kind(change)}"
        yield f"{SIGNS[change.action]} {what}: {_move(change.action, change.old, change.new)}"
        rules.append(line(change.result_name))
        follows = changes[number + 1].because if number + 1 < len(changes) else None
        if change.because != follows:
            of = ", ".join(rules)
            yield f"      because {_cut(change.because)} ({of})" if change.because else f"      by {of}"
            rules = []


def _kind(change: PlannedChange) -> str:
    if not change.is_task:
        return line(change.field)
    return "opportunity" if (change.new or {}).get("kind", "task") != "task" else "task"


def _move(action: str, old: Any, new: Any) -> str:
    if action == "create_task":
        return f"create {_task(new)}"
    if action == "update_task" and new.get("comment_only"):
        return f"comment on {_task(old)}: {_cut(new['note'])}"
    if action == "update_task":
        return f"update {_task(old)} -> {_task(new)}"
    if action == "reopen_task":
        return f"reopen {_task(new)}"
    if action == "close_task":
        return f"close {_task(new)}" + (f", {_cut(new['note'])}" if new.get("note") else "")
    return f"{_value(old)} -> {_value(new)}"


def _task(task: Mapping[str, Any] | None) -> str:
    task = task or {}
    due = f" (due {line(str(task['due_on']))})" if task.get("due_on") else ""
    return f"{_cut(str(task.get('subject') or '?'))!r}{due}"


def _value(value: Any) -> str:
    if value is None or value == []:
        return "(empty)"
    return _cut(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _cut(text: str) -> str:
    text = line(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _where(note: Note) -> str:
    if note.kind in ("source", "partial"):
        return line(f"{note.connection}.{note.field}")
    field = f".{note.field}" if note.kind in NAMED and not note.is_task else ""
    return line(f"{note.account}, {note.connection}{field}")


def _place(entry: Entry) -> str:
    return line(f"{entry.connection}.{entry.stream}/{entry.source_id} {'task' if entry.is_task else entry.field}")
