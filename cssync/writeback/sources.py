"""Sources in trouble: what rests on a stream that was not read to its end is left out of the plan.

A stream that failed or broke off leaves the store between two states of the vendor: a ticket may be counted whose
closing was on the next page. What rules make of it is not written until the stream was read to its end again or is too
old, or a person approves it: it is a plan of its own, held. Everything else goes on. A source that is too old says
nothing any more: the rules leave it out or keep what it said last, call their results stale, and that is written, so
that the CRM shows it (promise R18). Whoever runs cssync is told once for each stream, not once for each account.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from cssync.store import Store
from cssync.writeback.changes import Draft, Note, NoteKind, PlannedChange

if TYPE_CHECKING:
    from cssync.rules import RuleSet

ACCOUNTS = "account_source"
"""Rests under everything, and is read again before each write: its own stream in trouble stops only its connection."""
TROUBLE = {"failed": "failed", "partial": "broke off"}
"""Outcome of a stream -> how the note puts it."""

_STREAMS = """
SELECT f.connection, f.stream, f.entity, s.outcome, s.last_success_at FROM source_feed f
JOIN source_state s ON s.connection = f.connection AND s.stream = f.stream
WHERE f.entity <> ? ORDER BY f.connection, f.stream, f.entity
"""
_STALE = "SELECT DISTINCT substr(name, 1, instr(name, '.') - 1) AS pack FROM result WHERE state = 'stale'"


@dataclass(frozen=True, slots=True)
class Parted:
    """A draft in two: what may be written, and the changes that wait for a source, with one line for each source."""

    ready: Draft
    waiting: tuple[PlannedChange, ...] = ()
    why: tuple[str, ...] = ()


def parted(store: Store, rules: RuleSet | None, found: Draft, as_of: datetime) -> Parted:
    """Take the changes of packs that rest on a troubled stream out of the draft; one note for each stream that is in
    trouble or too old.

    A pack rests on the entities of its features and, through the results that it reads, on those of other packs.
    """
    from cssync.rules.freshness import read_freshness

    fresh = read_freshness(store, as_of)
    streams = store.query(_STREAMS, (ACCOUNTS,))
    ill = [row for row in streams if row["outcome"] in TROUBLE or fresh[row["entity"]].state == "stale"]
    if not ill or rules is None:
        return Parted(found)
    resting = entities_of_packs(rules)
    stale = {row["pack"] for row in store.query(_STALE)}
    notes: dict[tuple[str, str], Note] = {}
    left_out: set[str] = set()
    for row in ill:
        packs = {pack for pack, entities in resting.items() if row["entity"] in entities}
        counts = Counter(pack for c in found.changes if (pack := _pack(c)) in packs)
        late = fresh[row["entity"]].state == "stale"
        if row["outcome"] in TROUBLE and not late and counts:
            left_out |= packs
            notes[row["connection"], row["stream"]] = _note("partial", row, _waiting(counts))
        elif late and packs & stale:
            kept = f"results of {', '.join(sorted(packs & stale))} are stale and keep their values in the CRM"
            notes.setdefault((row["connection"], row["stream"]), _note("source", row, kept))
        elif late and packs and row["outcome"] in TROUBLE:
            told = f"too old: rules of {', '.join(sorted(packs))} leave it out, or keep what it said last"
            notes.setdefault((row["connection"], row["stream"]), _note("source", row, told))
    return Parted(
        replace(
            found,
            changes=tuple(c for c in found.changes if _pack(c) not in left_out),
            notes=(*found.notes, *notes.values()),
        ),
        tuple(c for c in found.changes if _pack(c) in left_out),
        tuple(f"{n.connection}.{n.field}: {n.message}" for n in notes.values() if n.kind == "partial"),
    )


def held_part(whole: Parted) -> Draft:
    """Return the part that waits as a draft of its own; what holds it is said once, by `Parted.why`."""
    notes = tuple(note for note in whole.ready.notes if note.kind != "partial")
    return replace(whole.ready, changes=whole.waiting, notes=notes, agreed=())


def entities_of_packs(rules: RuleSet) -> Mapping[str, frozenset[str]]:
    """Return pack -> entities that its results, signals and tasks rest on, those of packs that it reads included."""
    from cssync.rules.grounds import entities_of
    from cssync.rules.tree import Expr, closure

    found: dict[str, frozenset[str]] = {}
    for pack in rules.packs:  # one that reads another's results comes after it
        names = {name for e in pack.exprs for name in e.names("feature")}
        exprs = [*pack.exprs]
        for name in closure(names, rules.features):
            feature = rules.features.get(name)
            if feature is not None and isinstance(feature.definition, Expr):
                exprs.append(feature.definition)
        read = {name.partition(".")[0] for e in exprs for name in e.names("result")} - {pack.name}
        own = {entity.partition(".")[0] for entity in entities_of(names, rules.features)}
        found[pack.name] = frozenset(own).union(*(found.get(other, frozenset()) for other in read)) - {ACCOUNTS}
    return found


def _pack(change: PlannedChange) -> str:
    return change.result_name.partition(".")[0]


def _waiting(counts: Mapping[str, int]) -> str:
    return "changes that wait for it: " + ", ".join(f"{count:,} of {pack}" for pack, count in sorted(counts.items()))


def _note(kind: NoteKind, row: sqlite3.Row, effect: str) -> Note:
    since = f"last read to its end {row['last_success_at']}" if row["last_success_at"] else "never read to its end"
    trouble = TROUBLE.get(row["outcome"])
    told = f"the latest pull {trouble}, {since}; {effect}" if trouble else f"{since}; {effect}"
    return Note(kind, row["connection"], "", "", row["stream"], told)
