"""Since when the conditions of rules hold, for those rules that ask: `for:` and `keep:`.

Over the temporary table `now`. A stretch of the table `condition` begins when a condition is first found true and ends
when it is found false. While it is unknown the stretch neither begins nor ends: for want of data it is `paused`, and
goes on where the condition is next found true; behind a stale source it just stands. Durations are counted in days of
the business time zone, so that it does not matter at which hour of a day the rules run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from cssync.rules.calendar import start_of_day
from cssync.rules.freshness import Context
from cssync.rules.grounds import entities_of
from cssync.rules.tree import Feature, Pack, Signal, TaskRule

Kind = Literal["signal", "task"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A rule whose stretches are kept, with its column in `now`."""

    kind: Kind
    rule: Signal | TaskRule
    column: str


def watched(pack: Pack) -> Iterator[Watched]:
    """Yield the rules of a pack that ask how long their condition holds, or since when it does not."""
    for n, signal in enumerate(pack.signals):
        if signal.for_days or signal.keep_days:
            yield Watched("signal", signal, f"s_{n}")
    for n, task in enumerate(pack.tasks):
        if task.for_days:
            yield Watched("task", task, f"t_{n}")


def days_ago(c: Context, days: int) -> str:
    """Return an instant (text) for comparing: what is stored before it lies at least `days` local days back."""
    return start_of_day(c.today - timedelta(days=days - 1), c.zone).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_held(rule: Signal | TaskRule, features: Mapping[str, Feature], c: Context) -> bool:
    """Whether an unknown condition may be unknown because a source is stale: then nothing ends."""
    return any(c.state(entity) == "stale" for entity in entities_of(rule.when.names("feature"), features))


def note_conditions(
    conn: sqlite3.Connection, pack: Pack, features: Mapping[str, Feature], c: Context, as_of: str
) -> None:
    """Bring the stretches of a pack's conditions up to `as_of`; the same rows at the same instant change nothing."""
    rules = list(watched(pack))
    listed = ", ".join("(?, ?)" for _ in rules) or "('', '')"
    conn.execute(
        "UPDATE condition SET until = ?, paused = 0 WHERE pack = ? AND (until IS NULL OR paused = 1) "
        f"AND ((kind, rule) NOT IN (VALUES {listed}) OR {c.left('account_uid')})",
        (as_of, pack.name, *(value for w in rules for value in (w.kind, w.rule.name))),
    )
    for one in rules:
        _note(conn, pack, one, is_held(one.rule, features, c), as_of)
    conn.execute("DELETE FROM condition WHERE pack = ? AND since = until AND paused = 0", (pack.name,))


def _note(conn: sqlite3.Connection, pack: Pack, one: Watched, held: bool, as_of: str) -> None:
    here = (pack.name, one.kind, one.rule.name)
    mine = "k.pack = ? AND k.kind = ? AND k.rule = ?"

    def found(condition: str) -> str:
        return f"EXISTS (SELECT 1 FROM now n WHERE n.uid = k.account_uid AND {condition.format(f'n.{one.column}')})"

    conn.execute(
        f"UPDATE condition AS k SET until = coalesce(until, ?), paused = 0 WHERE {mine} "
        f"AND (until IS NULL OR paused = 1) AND {found('{} = 0')}",
        (as_of, *here),
    )
    if not held:
        conn.execute(
            f"UPDATE condition AS k SET until = ?, paused = 1 WHERE {mine} AND until IS NULL AND {found('{} IS NULL')}",
            (as_of, *here),
        )
    # What ended at this very instant goes on: the rules ran again after more rows of the same instant came in.
    conn.execute(
        f"UPDATE condition AS k SET until = NULL, paused = 0 WHERE {mine} AND (paused = 1 OR until = ?) "
        f"AND {found('{} = 1')}",
        (*here, as_of),
    )
    conn.execute(
        "INSERT INTO condition (account_uid, pack, kind, rule, since, until, paused) "
        f"SELECT n.uid, ?, ?, ?, ?, NULL, 0 FROM now n WHERE n.{one.column} = 1 AND NOT EXISTS "
        f"(SELECT 1 FROM condition k WHERE k.account_uid = n.uid AND {mine} AND k.until IS NULL)",
        (*here, as_of, *here),
    )


def held_long_enough(kind: Kind, account: str) -> str:
    """SQL condition that a rule's condition has held for its days; takes (pack, rule, `days_ago`)."""
    return (
        f"EXISTS (SELECT 1 FROM condition k WHERE k.account_uid = {account} AND k.pack = ? AND k.kind = '{kind}' "
        "AND k.rule = ? AND k.until IS NULL AND k.since < ?)"
    )


def ended_lately(kind: Kind, account: str) -> str:
    """SQL condition that a rule's condition holds, or held less than its days ago; takes (pack, rule, `days_ago`)."""
    return (
        f"EXISTS (SELECT 1 FROM condition k WHERE k.account_uid = {account} AND k.pack = ? AND k.kind = '{kind}' "
        "AND k.rule = ? AND (k.until IS NULL OR k.until >= ?))"
    )
