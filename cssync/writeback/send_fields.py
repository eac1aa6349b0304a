"""Field writes: look at the record, write what is still as the plan saw it, prove it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from cssync.connectors.contract import Change, Outcome
from cssync.errors import ConnectionFault
from cssync.writeback.brakes import HANDFUL, VANISHED_SHARE
from cssync.writeback.canonical import altered, kind_of, same
from cssync.writeback.changes import load
from cssync.writeback.outbox import (
    JUST_WRITTEN,
    MAX_ATTEMPTS,
    NOT_SHOWN,
    SILENT,
    Entry,
    Sent,
    State,
    move,
    observe,
    prove,
    written_lately,
)
from cssync.writeback.overrides import ENDED
from cssync.writeback.send import CHUNK, Work, chunks, is_outage, moved_on, push, said

TRIED_APART = 5
"""Records, each refused in words of its own, whose fields are tried one by one in a round."""

Live = Mapping[str, Mapping[str, Any]]


def write_fields(work: Work, entries: Sequence[Entry]) -> None:
    """Carry out field changes of one stream. All fields of a record go in one change; a fault, and a round that was not
    answered at all, end it early."""
    records = [list(group) for _, group in groupby(sorted(entries, key=lambda e: (e.source_id, e.seq)), _record)]
    done = 0
    for chunk in chunks(records, _round(work, len(records))):
        _write(work, chunk)
        if work.fault is not None or work.silent:
            return
        done += len(chunk)
        work.progress(f"{work.connection.name}: {done:,} of {len(records):,} records")


def look(work: Work, entries: Sequence[Entry], *, resume: str | None = None, final: bool = True) -> None:
    """Settle field writes whose outcome is not known, by reading the records.

    Found as wanted: verified. Found as before: it did not arrive; with `final` it fails for now, or is planned again
    when it belongs to the plan `resume`; what was accepted has an hour for that. Found otherwise: somebody else was
    there, so it is refused.
    """
    for stream, group in groupby(sorted(entries, key=lambda e: (e.stream, e.seq)), lambda e: e.stream):
        mine = list(group)
        size = _round(work, len({entry.source_id for entry in mine}))
        if final and not _drained(work, stream, size):
            return
        for chunk in chunks(mine, size):
            live = _read(work, stream, chunk)
            if live is None:
                return
            now = work.now()
            with work.store.transaction(work.fence) as conn:
                observe(conn, work.connection.name, stream, live, now)
                missing = _missing({entry.source_id for entry in chunk}, live)
                for entry in chunk:
                    if entry.source_id not in live:
                        if final:
                            move(conn, entry, missing, now, error=NOT_SHOWN)
                        continue
                    held = live[entry.source_id].get(entry.field)
                    if _is(entry.new, held) or (not _is(entry.old, held) and altered(entry.new, held)):
                        _prove(conn, entry, held, now)
                    elif final and _is(entry.old, held):
                        if entry.is_late(now):
                            continue
                        again = entry.plan_id == resume and entry.attempts < MAX_ATTEMPTS
                        state: State = "planned" if again else "failed-retry"
                        move(conn, entry, state, now, error="it did not arrive", counted=entry.state != "sent")
                    elif final:
                        move(conn, entry, "refused", now, error=moved_on(entry.old, held))


def _round(work: Work, records: int) -> int:
    """Records of one round of look, mark, send, settle."""
    sized = work.connection.connector.round
    return max(CHUNK, sized(work.session.settings, records)) if sized else CHUNK


def _drained(work: Work, stream: str, size: int) -> bool:
    """Have the vendor come to an end with what it does for us in the background: before that, no look is the last.
    Where jobs are only for many records (`Connector.round`), fewer were never in one."""
    drain = work.connection.connector.drain
    if drain is not None and (size > CHUNK or work.connection.connector.round is None):
        work.attempt(lambda: drain(work.session, stream), "waiting for jobs of an earlier run")
    return work.fault is None


def _write(work: Work, records: Sequence[Sequence[Entry]], *, apart: bool = True) -> None:
    """Write one round of records. apart: fields of refused records are tried again, each on its own."""
    entries = [entry for record in records for entry in record]
    stream = entries[0].stream
    before = work.session.now()
    live = _read(work, stream, entries)
    if live is None or _shows_none(work, len(records), live):
        return
    read_at = work.read_at(before)
    changes: list[Change] = []
    sent: dict[str, list[Entry]] = {}
    now = work.now()
    lately = written_lately(work.store, work.connection.name, [r[0].source_id for r in records], now)
    with work.store.transaction(work.fence) as conn:
        observe(conn, work.connection.name, stream, live, now)
        missing = _missing({entry.source_id for entry in entries}, live)
        for record in records:
            source_id, values, mine = record[0].source_id, {}, []
            renewed = any(e.result_name == ENDED and _moved(e, live.get(source_id)) for e in record)
            for entry in record:
                held = live.get(source_id, {}).get(entry.field)
                if source_id not in live:
                    move(conn, entry, missing, now, error=NOT_SHOWN)
                elif _is(entry.new, held):
                    _prove(conn, entry, held, now)
                elif not _is(entry.old, held):
                    move(conn, entry, "refused", now, error=moved_on(entry.old, held))
                elif renewed and entry.result_name == ENDED:
                    move(conn, entry, "refused", now, error="a person changed this override meanwhile")
                elif entry.place in lately and lately[entry.place].awaited:
                    move(conn, entry, "refused", now, error=SILENT)
                elif _just_written(entry, lately):
                    move(conn, entry, "refused", now, error=JUST_WRITTEN)
                else:
                    move(conn, entry, "sent", now)
                    values[entry.field] = work.fitted(entry.field, entry.new)
                    mine.append(entry)
            if mine:
                changes.append(Change(mine[0].key, "update", stream, source_id, values, read_at=read_at))
                sent[mine[0].key] = mine
    if not changes:
        return
    outcomes = push(work, changes)
    several = [key for key, mine in sent.items() if len(mine) > 1 and outcomes[key].state == "failed-permanent"]
    refused = {key: sent.pop(key) for key in several if apart and work.fault is None}
    if sent:
        _settle(work, stream, sent, outcomes)
    if refused:
        _write_apart(work, stream, refused, outcomes)


def _write_apart(work: Work, stream: str, refused: Mapping[str, Sequence[Entry]], outcomes: dict[str, Outcome]) -> None:
    """Send fields of refused records again, so that a field which the vendor does not take holds back no other field
    of its record. The refused request did nothing.

    One record stands for all that were refused in the same words: its fields go one at a time, and what is taken of
    them goes for the others in one change each. Where each record was refused in words of its own, a few are tried.
    """
    alike: dict[str, list[str]] = {}
    for key in refused:
        alike.setdefault(outcomes[key].error, []).append(key)
    for number, (first, *others) in enumerate(alike.values()):
        taken: set[str] = set()
        if number < TRIED_APART and work.fault is None:
            _again(work, refused[first])
            for entry in refused[first]:
                if work.fault is None:
                    _write(work, [[entry]], apart=False)
            taken = _not_refused(work, refused[first])
        else:
            others = [first, *others]
        left = {key: [entry for entry in refused[key] if entry.field not in taken] for key in others}
        _settle(work, stream, {key: mine for key, mine in left.items() if mine}, outcomes)
        more = [mine for key in others if (mine := [entry for entry in refused[key] if entry.field in taken])]
        if more:
            _again(work, [entry for mine in more for entry in mine])
            if work.fault is None:
                _write(work, more, apart=False)


def _again(work: Work, entries: Sequence[Entry]) -> None:
    with work.store.transaction(work.fence) as conn:
        for entry in entries:
            move(conn, entry, "planned", work.now(), counted=False)


def _not_refused(work: Work, entries: Sequence[Entry]) -> set[str]:
    """Return the fields that the vendor did not refuse for good."""
    marks = ", ".join("?" * len(entries))
    rows = work.store.query(
        f"SELECT field FROM outbox WHERE key IN ({marks}) AND state NOT IN ('failed-permanent', 'planned')",
        [entry.key for entry in entries],
    )
    return {row["field"] for row in rows}


def _settle(work: Work, stream: str, sent: Mapping[str, Sequence[Entry]], outcomes: dict[str, Outcome]) -> None:
    """Record one outcome for every change, then look at those that are not proved. What the vendor's guard kept out is
    looked at for good: a repeated request may have met its own first try, else the next plan decides anew."""
    open_: list[Entry] = []
    guarded: list[Entry] = []
    seen: dict[str, dict[str, Any]] = {}
    outage = is_outage(work, outcomes.values())
    now = work.now()
    with work.store.transaction(work.fence) as conn:
        for key, record in sent.items():
            outcome = outcomes[key]
            held = outcome.values or {}
            for entry in record:
                value = held.get(entry.field, entry.new)
                if outcome.state == "verified" and altered(entry.new, value):
                    _prove(conn, entry, value, now)
                    seen.setdefault(entry.source_id, {})[entry.field] = value
                elif outcome.state in ("verified", "sent"):
                    open_.append(entry)
                elif outcome.state == "moved":
                    guarded.append(entry)
                else:
                    words = {"error": outcome.error, "correlation_id": outcome.correlation_id}
                    move(conn, entry, outcome.state, now, **words, counted=not outage)
                    if outcome.state == "unknown":
                        open_.append(entry)
        observe(conn, work.connection.name, stream, seen, now)
    if open_ and work.fault is None:
        look(work, open_, final=False)
    if guarded and work.fault is None:
        look(work, [replace(entry, state="sent") for entry in guarded])


def _shows_none(work: Work, asked: int, live: Live) -> bool:
    """Stop a connection that shows none of several records: a right was withdrawn, or it is somebody else's by now, and
    tasks would go astray, too."""
    if live or asked < HANDFUL:
        return False
    work.fault = ConnectionFault(
        f"{work.connection.name}: none of the {asked} records that were to be written is shown to cssync's user",
        kept="nothing was written to them, and no task was sent",
        fix=f"`cssync check {work.connection.name}`: does the login still lead to your own organisation, "
        "and may its user see your accounts?",
    )
    return True


def _missing(asked: set[str], live: Live) -> State:
    """What becomes of writes to records that the vendor does not show. Whether they are gone is for the pull to say, by
    the vendor's own list of deletions: they may only be hidden from us. The write has failed, until a pull sees the
    record again or the value changes. Many at once are more likely a fault of the look: then the next plan has them."""
    gone = asked - live.keys()
    few = len(gone) < HANDFUL or len(gone) <= VANISHED_SHARE * len(asked)
    return "failed-permanent" if few else "refused"


def _prove(conn: Any, entry: Entry, held: Any, now: str) -> None:
    """Verified; a value that the vendor keeps in a form of its own is remembered, and reported, as it is there."""
    if _is(entry.new, held):
        prove(conn, entry, entry.new, now)
    else:
        prove(conn, entry, held, now, note=f"the CRM keeps it as {said(held)}")


def _read(work: Work, stream: str, entries: Sequence[Entry]) -> Live | None:
    """Live values of the entries' fields; what the last pull saw where the connector cannot look."""
    ids = list(dict.fromkeys(entry.source_id for entry in entries))
    fields = sorted({entry.field for entry in entries})
    read = work.connection.connector.read
    if read is not None:
        return work.attempt(lambda: read(work.session, stream, ids, fields), "reading before the write")
    rows = work.store.query(
        f"SELECT source_id, fields FROM crm_state WHERE connection = ? AND source_id IN ({','.join('?' * len(ids))})",
        (work.connection.name, *ids),
    )
    return {row["source_id"]: load(row["fields"]) or {} for row in rows}


def _is(a: Any, b: Any) -> bool:
    return same(a, b, kind_of(a, b))


def _moved(entry: Entry, live: Mapping[str, Any] | None) -> bool:
    held = (live or {}).get(entry.field)
    return not _is(entry.old, held) and not _is(entry.new, held)


def _just_written(entry: Entry, lately: Mapping[tuple[str, str, str, str], Sent]) -> bool:
    """Whether the last write to this field was the same, from the same value."""
    found = lately.get(entry.place)
    return found is not None and _is(found.old, entry.old) and _is(found.new, entry.new)


def _record(entry: Entry) -> str:
    return entry.source_id
