"""Brakes: reasons for which a plan is held until a person approves it.

A rule with a typo, a mapping to the wrong field or a vendor that suddenly shows half of its records all look the same
from here: far more changes than a day brings. A held plan costs one look; a wrong one costs the team's trust.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime

from cssync.config.workspace import Limits, Workspace
from cssync.store import Store
from cssync.writeback.canonical import same
from cssync.writeback.changes import Draft
from cssync.writeback.outbox import failed

HANDFUL = 5
"""Fewer records than this never hold a plan by their share: in a portfolio of 12, three moved bands are an ordinary
Monday, and whoever reads the plan sees each of them."""
VANISHED_SHARE, VANISHED_COUNT = 0.05, 50
"""More account records than this gone since the last applied plan is taken for a fault (domain, mass deletion)."""


def first_writes(store: Store, draft: Draft) -> tuple[str, ...]:
    """Return the connections of the draft that nothing was ever sent to: their first plan is for a person to read."""
    touched = sorted({change.connection for change in draft.changes})
    known = "SELECT 1 FROM outbox WHERE connection = ? LIMIT 1"
    return tuple(name for name in touched if not store.query(known, (name,)))


def reasons(store: Store, workspace: Workspace, draft: Draft, as_of: datetime) -> tuple[str, ...]:
    """Return why the draft needs approval, one line each; empty when it does not.

    The first fill of a connection is not measured by its size: it touches every record by nature, and `first_writes`
    puts it before a person anyway.
    """
    first = first_writes(store, draft)
    return (
        *_too_many(workspace.limits, draft, first, _tried(store, draft)),
        *_too_empty(workspace.limits, draft),
        *_vanished(store, workspace, draft, as_of),
    )


def _tried(store: Store, draft: Draft) -> set[int]:
    """Return which changes of the draft, by number, were sent before in vain: their plan was held by no brake, or
    approved by a person, and the same values need no second yes."""
    last = failed(store)
    return {
        number
        for number, c in enumerate(draft.changes)
        if (word := last.get((c.connection, c.stream, c.source_id, c.field))) is not None
        and word.entry.state == "failed-retry"
        and word.entry.action == c.action
        and (word.entry.new == c.new or (not c.is_task and same(word.entry.new, c.new)))
    }


def _too_many(limits: Limits, draft: Draft, first: Iterable[str], tried: Collection[int]) -> Iterable[str]:
    counts = Counter(
        (c.connection, "tasks" if c.is_task else c.field)
        for number, c in enumerate(draft.changes)
        if c.connection not in first and number not in tried
    )
    for (connection, what), count in sorted(counts.items()):
        records = draft.records.get(connection, 0)
        allowed = math.floor(limits.changes * records)
        if what != "tasks" and count >= HANDFUL and count > allowed:
            yield (
                f"{connection}.{what}: {count} of {records} records would change, "
                f"the limit is {limits.changes:.0%} (limits.changes)"
            )
        elif count > limits.changes_count:
            limit = f"the limit is {limits.changes_count} (limits.changes_count)"
            yield f"{connection}.{what}: {count} would change, {limit}"


def _too_empty(limits: Limits, draft: Draft) -> Iterable[str]:
    counts = Counter((c.connection, c.field) for c in draft.changes if c.action == "clear")
    for (connection, field), count in sorted(counts.items()):
        filled = draft.filled.get((connection, field), 0)
        if count >= HANDFUL and count > math.floor(limits.changes * filled):
            yield f"{connection}.{field}: {count} of {filled} filled records would be emptied"


def _vanished(store: Store, workspace: Workspace, draft: Draft, as_of: datetime) -> Iterable[str]:
    """Account records deleted since the last plan that was carried out. Nothing to write is nothing to hold."""
    last = store.query("SELECT max(created_at) AS at FROM plan WHERE status = 'applied'")[0]["at"]
    if last is None or not draft.changes:
        return
    for connection in workspace.connections:
        row = store.query(
            "SELECT count(*) FILTER (WHERE deleted_at IS NULL OR deleted_at > ?) AS before, "
            "count(*) FILTER (WHERE deleted_at > ? AND merged_into IS NULL) AS gone "
            "FROM account_source WHERE connection = ?",
            (last, last, connection),
        )[0]
        gone, before = row["gone"], row["before"]
        if gone > VANISHED_COUNT or (gone >= HANDFUL and gone > VANISHED_SHARE * before):
            yield f"{connection}: {gone} of {before} account records vanished since the last plan that was carried out"
