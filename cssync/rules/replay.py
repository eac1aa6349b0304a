"""Evaluate a day of the past again: the same rules over the same knowledge give the same results, byte for byte.

The work is done on a private copy (`cssync.store.past`); the store itself is only read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cssync.config import Workspace
from cssync.link.assign import assign_children, ways
from cssync.model import TABLE
from cssync.rules.calendar import calendar_of, local_date, start_of_day
from cssync.rules.catalogue import FACTS
from cssync.rules.evaluate import EvaluationReport, evaluate
from cssync.rules.freshness import instant
from cssync.rules.grounds import entities_of
from cssync.rules.tree import Expr, Past, RuleSet, closure, used_names
from cssync.rules.versions import Evaluated, evaluations, rules_of
from cssync.rules.volume import ENTITY as USAGE
from cssync.rules.volume import Coverage, coverage, read_series
from cssync.rules.winsorise import asked, base_of
from cssync.store.past import Cut, Part, known_rows, past

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

__all__ = ["Difference", "Moment", "content", "differences", "instant", "moment_of", "replay", "rules_then", "then"]

COMPARED: Mapping[str, tuple[str, ...]] = {
    name: (*TABLE[name].key, *(c.name for c in TABLE[name].columns if c.name not in (*TABLE[name].key, "run_id")))
    for name in ("result", "signal", "task", "feature_row")
}
"""What a replay must give again, key first: all of it but the run that wrote it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A day to evaluate again. as_of, known_at: aware UTC. on_record: the evaluation of exactly that as_of, if any."""

    as_of: datetime
    known_at: datetime
    on_record: Evaluated | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that the replay gives otherwise than it is on record. table; key: its key values; now, then: the other
    values by column, None where there is no such row."""

    table: str
    key: tuple[Any, ...]
    then: Mapping[str, Any] | None
    now: Mapping[str, Any] | None


def moment_of(store: Store, workspace: Workspace, as_of: datetime, known_at: datetime | None, *, day: bool) -> Moment:
    """Return what to evaluate again for an as_of (aware). With `day`, the last evaluation on record up to it on its
    local day is meant, where there is one. Without known_at it is what that evaluation knew, else what was known at
    as_of."""
    at = instant(as_of)
    first = at
    if day:
        first = instant(start_of_day(local_date(as_of, workspace.timezone), workspace.timezone))
    found = evaluations(store, first, at)
    if not found:
        return Moment(as_of, known_at or as_of)
    last = found[-1]
    return Moment(aware(last.as_of), known_at or aware(last.known_at), last)


def aware(stored: str) -> datetime:
    """Return a stored instant as an aware datetime."""
    return datetime.fromisoformat(stored.replace("Z", "+00:00")).astimezone(UTC)


@contextmanager
def then(store: Store, moment: Moment, *, after: bool = False, part: Part | None = None) -> Iterator[Store]:
    """Give the store as it was before (or after) the evaluation of a moment, with every row at its account."""
    with past(store, Cut(instant(moment.as_of), instant(moment.known_at), after=after), part) as copy:
        with copy.transaction() as conn:
            assign_children(conn)
            if part is not None and not part.whole:  # the others were needed to tell whose mail domain is whose
                listed = json.dumps(sorted(part.accounts))
                conn.execute("DELETE FROM account WHERE uid NOT IN (SELECT value FROM json_each(?))", (listed,))
        yield copy


def part_of(store: Store, rules: RuleSet, account_uid: str) -> Part | None:
    """Return what it takes to judge one account alone: its children, too, and the rows of all that rules compare
    accounts by. None where they compare results of packs: that takes everything."""
    below = store.query(
        "WITH RECURSIVE below(uid) AS (VALUES (?) UNION SELECT a.uid FROM account a JOIN below b "
        "ON a.parent_uid = b.uid) SELECT uid FROM below",
        (account_uid,),
    )
    used = {n for p in rules.packs for n in closure(used_names(p), rules.features)}
    compared = entities_of((n for n in used if n in FACTS and FACTS[n].group == "peers"), rules.features)
    bases = {base_of(p) for p in asked(used, rules.features).values()}
    definitions = [rules.features[n].definition for n in closure(bases, rules.features) if n in rules.features]
    if any(isinstance(d, Past) or (isinstance(d, Expr) and d.names("result")) for d in definitions):
        return None
    compared |= entities_of(bases, rules.features) or ({"account_source"} if bases else set())
    return Part(frozenset(r["uid"] for r in below), frozenset(ways(e.partition(".")[0] for e in compared)))


def usage_then(store: Store, copy: Store, workspace: Workspace, moment: Moment) -> Coverage:
    """Return how complete the usage source was, as known then: of all accounts, where a copy holds some of them."""
    today = local_date(moment.as_of, workspace.timezone)
    feeds = {r[0] for r in copy.query("SELECT connection FROM source_feed WHERE entity = ?", (USAGE,))}
    with closing(known_rows(store, USAGE, instant(moment.known_at))) as conn:
        series = [s for s in read_series(conn.execute, today) if s.connection in feeds] if feeds else []
    return coverage(series, today, calendar_of(workspace))


def rules_then(store: Store, moment: Moment, present: RuleSet) -> tuple[RuleSet, bool]:
    """Return the rules of the evaluation on record and True; the present ones and False where they cannot be had."""
    found = rules_of(store, moment.on_record) if moment.on_record else None
    return (found, True) if found else (present, False)


@contextmanager
def replay(
    store: Store, rules: RuleSet, workspace: Workspace, moment: Moment
) -> Iterator[tuple[EvaluationReport, Store]]:
    """Evaluate a moment again; gives the report and the copy with its results. The store is only read."""
    run_id = moment.on_record.run_id if moment.on_record else "replay"
    with then(store, moment) as copy:
        yield evaluate(copy, rules, workspace, moment.as_of, run_id=run_id, known_at=moment.known_at), copy


def differences(store: Store, copy: Store, moment: Moment) -> Iterator[Difference]:
    """Yield every row of COMPARED that the copy holds otherwise than the store did after that moment."""
    stored = _rows_after(store, moment)
    for table, columns in COMPARED.items():
        listed = ", ".join(f'"{c}"' for c in columns)
        size = len(TABLE[table].key)
        was = stored[table]
        now = {tuple(r)[:size]: tuple(r)[size:] for r in copy.query(f"SELECT {listed} FROM {table}")}
        names = columns[size:]
        for key in sorted(was.keys() | now.keys(), key=repr):
            if was.get(key) != now.get(key):
                yield Difference(table, key, _named(names, was.get(key)), _named(names, now.get(key)))


def _named(names: tuple[str, ...], values: tuple[Any, ...] | None) -> dict[str, Any] | None:
    return None if values is None else dict(zip(names, values, strict=True))


def _rows_after(store: Store, moment: Moment) -> dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]:
    with past(store, Cut(instant(moment.as_of), "~", after=True), rows=False) as copy:
        return {
            table: {
                tuple(r)[: len(TABLE[table].key)]: tuple(r)[len(TABLE[table].key) :]
                for r in copy.query(f"SELECT {', '.join(columns)} FROM {table}")
            }
            for table, columns in COMPARED.items()
        }


def content(copy: Store) -> dict[str, list[dict[str, Any]]]:
    """Return the results, open signals and open tasks of a replay, ordered by account and name."""
    results = copy.query("SELECT account_uid, name, value, state, because, since FROM result ORDER BY 1, 2")
    signals = copy.query(
        "SELECT account_uid, pack, name, since, because FROM signal WHERE until IS NULL ORDER BY 1, 2, 3, 4"
    )
    tasks = copy.query(
        "SELECT key, account_uid, pack, rule, title, body, due_on, owner_uid, priority, created_at FROM task "
        "WHERE status = 'open' ORDER BY account_uid, pack, rule, key"
    )
    return {
        "results": [{**dict(r), "value": json.loads(r["value"])} for r in results],
        "signals": [dict(r) for r in signals],
        "tasks": [dict(r) for r in tasks],
    }
