"""The plan as a value: what would be written, what would not and why."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Action = Literal["set", "clear", "create_task", "update_task", "close_task", "reopen_task"]
Status = Literal["open", "held", "approved", "applied", "superseded", "refused"]
NoteKind = Literal[
    "conflict", "later", "blocked", "declined", "unsettled", "unowned", "kept", "cut", "misfit", "source", "partial"
]
NOTE_KINDS: tuple[NoteKind, ...] = get_args(NoteKind)


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One intended write. `old` is what the CRM holds as far as we know, `new` what we want (canonical values; None is
    an empty field). For a task `field` is its key, `new` its content (`TaskContent` as a dict) and `old` the CRM's
    side (`remote_id`, `status` and what a reader sees of it), None where there is no task yet. An opportunity is a
    task whose content is of another kind."""

    connection: str
    stream: str
    source_id: str
    account_uid: str
    account: str
    action: Action
    field: str
    old: Any
    new: Any
    result_name: str
    because: str

    @property
    def is_task(self) -> bool:
        """Whether it is about a task rather than a field."""
        return self.action.endswith("_task")


@dataclass(frozen=True, slots=True)
class Note:
    """Something the plan leaves alone, and why.

    conflict: a person changed the value since we wrote it. later: over the load limit of its owner. blocked: the vendor
    refused exactly this before. declined: a person took exactly this back, or dropped it. unsettled: an earlier write
    whose outcome is not known yet. unowned: a task that goes to nobody. kept: an undo does not touch it. cut: written,
    but not in full. misfit: the vendor's field does not take it, so that mapping stops. source: results on a stream
    that is too old keep their values. partial: changes on a stream that was not read to its end wait for it, or for a
    person's yes.
    """

    kind: NoteKind
    connection: str
    account_uid: str
    account: str
    field: str
    message: str

    @property
    def is_task(self) -> bool:
        """Whether it is about a task: `field` is its key then, and the message names it."""
        return self.message.startswith("task ")


@dataclass(frozen=True, slots=True)
class Draft:
    """What the diff of one workspace came to, before brakes. `agreed` are values the CRM holds just as we want them,
    though we did not write them: (connection, stream, source_id, field, value)."""

    changes: tuple[PlannedChange, ...]
    notes: tuple[Note, ...]
    agreed: tuple[tuple[str, str, str, str, Any], ...]
    records: Mapping[str, int]
    """Connection -> records that could be written to."""
    filled: Mapping[tuple[str, str], int]
    """(connection, field) -> records in which the field holds a value now."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A frozen list of intended writes; the same inputs give the same `digest`, byte for byte.

    `held_by` are the reasons for which it needs approval. `as_of`, `created_at` and `results_as_of`, the as-of of the
    evaluation whose results it rests on, are UTC instants.
    """

    id: str
    as_of: str
    results_as_of: str
    created_at: str
    status: Status
    held_by: tuple[str, ...]
    digest: str
    changes: tuple[PlannedChange, ...]
    notes: tuple[Note, ...] = ()

    @property
    def totals(self) -> dict[str, int]:
        """Counts for the first line: set (empty before), change, clear, tasks, and what is left alone."""
        return totals(self.changes, self.notes)


def totals(changes: Iterable[PlannedChange], notes: Iterable[Note]) -> dict[str, int]:
    """Count changes and notes by what they are; every name is always there."""
    found = Counter(
        ("change" if change.old is not None else "set") if change.action == "set" else change.action
        for change in changes
    )
    found.update(note.kind for note in notes)
    names = ("set", "change", "clear", "create_task", "update_task", "close_task", "reopen_task")
    return {name: found[name] for name in (*names, *NOTE_KINDS)}


def digest(changes: Iterable[PlannedChange]) -> str:
    """Hash of the changes in their order: 64 hex digits."""
    found = hashlib.sha256()
    for change in changes:
        found.update(dump(asdict(change)).encode() + b"\n")
    return found.hexdigest()


def dump(value: Any) -> str:
    """JSON text with sorted keys: equal values are equal text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def load(text: str | None) -> Any:
    """Decode a JSON column; NULL is None."""
    return None if text is None else json.loads(text)
