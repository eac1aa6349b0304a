"""The rows of each pack's statement as they were last: an evaluation of everybody computes every row, but goes on to
results, signals, tasks and texts only with the accounts whose row differs, or of which more than the row has changed.

Kept in one table per pack, `judged_<pack>`, with the columns of its statement; they are derived, and anything that may
make them say too little has every account gone on with. What the results of an account depend on beside its row is in
the `basis`, or looked for by `_beside`. Private copies of the past keep nothing.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from cssync import __version__
from cssync.config import Workspace
from cssync.rules.changed import EVERYBODY, is_noted
from cssync.rules.compiler import results_behind
from cssync.rules.dialect import quote
from cssync.rules.freshness import Context
from cssync.rules.grounds import entities_of
from cssync.rules.tasks import PERIODS, period
from cssync.rules.tree import Pack, RuleSet, used_names

DIRTY = "dirty"
"""Temporary table (uid) with the accounts to go on with, of those that are looked at."""
SETTING = "evaluation.judged."
"""Begins the names of settings that tell what the kept rows of a pack rest on, of which evaluation they are, and its
local day."""


@dataclass(frozen=True, slots=True)
class Before:
    """The evaluation before this one, as the kept rows have to be of it. at, run_id: None where there was none.
    compare: False has every account gone on with all the same. stale: some pack rests on a stale source, so that
    results of other packs may be held."""

    at: str | None
    run_id: str | None
    compare: bool
    stale: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """The kept rows of a pack. day: local day of the evaluation they are of; None where they are not of the last one,
    or rest on something else. usable: whether an account with the same row has the same results."""

    pack: str
    basis: str
    day: date | None
    usable: bool

    @property
    def table(self) -> str:
        """Name of their table."""
        return table_of(self.pack)


def table_of(pack: str) -> str:
    """Name of the table with the kept rows of a pack, in quotes."""
    return f"main.{quote(f'judged_{pack}')}"


def before(conn: sqlite3.Connection, *, compare: bool, stale: bool) -> Before | None:
    """Return the last evaluation on record; None in a private copy of the past, where nothing is kept."""
    if not is_noted(conn):
        return None
    row = conn.execute("SELECT as_of, run_id FROM evaluation ORDER BY as_of DESC LIMIT 1").fetchone()
    return Before(row["as_of"], row["run_id"], compare, stale) if row else Before(None, None, compare, stale)


def look_up(
    conn: sqlite3.Connection, pack: Pack, rules: RuleSet, workspace: Workspace, c: Context, texts: Iterable[str],
    last: Before,
) -> Kept:  # fmt: skip
    """Return what is kept of a pack. texts: SQL that turns rows into results."""
    parts = [__version__, *(p.hash for p in rules.packs), str(workspace.locale), c.currency, c.zone.key]
    parts += [str(workspace.holidays), repr(sorted(workspace.closures)), *texts]
    parts.append(repr((sorted(c.doubtful), sorted(c.stopped))))
    for entity in sorted({*c.fresh, *entities_of(used_names(pack), rules.features)}):
        fresh = c.freshness(entity)
        since = fresh.as_of.isoformat() if fresh and fresh.state == "stale" and fresh.as_of else ""
        parts.append(f"{entity} {c.state(entity)} {c.held(entity)} {since}")
    basis = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    row = conn.execute("SELECT value FROM setting WHERE name = ?", (SETTING + pack.name,)).fetchone()
    held = json.loads(row[0]) if row else {}
    same = (held.get("basis"), held.get("at"), held.get("run_id")) == (basis, last.at, last.run_id)
    usable = same and last.compare and not _more_than_rows(conn, pack, rules, last)
    return Kept(pack.name, basis, date.fromisoformat(held["day"]) if same else None, usable)


def _more_than_rows(conn: sqlite3.Connection, pack: Pack, rules: RuleSet, last: Before) -> bool:
    """Whether a pack's results rest on what neither its rows nor the basis nor `_beside` tell."""
    staff = any(task.owner == "manager" or task.copy is not None for task in pack.tasks)
    if staff and conn.execute("SELECT 1 FROM changed_account WHERE account_uid = ?", (EVERYBODY,)).fetchone():
        return True
    return last.stale and bool(results_behind(pack.exprs, rules.features))


def differing(conn: sqlite3.Connection, pack: Pack, kept: Kept, c: Context) -> bool:
    """Fill the temporary tables `dirty`, with the accounts to go on with, and `now`, with their rows of `whole`; False
    where the kept rows have other columns, so that `now` has everybody's."""
    names = _columns(conn, "temp", "whole")
    keys = _keys(pack)
    if names != _columns(conn, "main", f"judged_{pack.name}"):
        conn.execute("CREATE TEMP TABLE now AS SELECT * FROM whole")
        conn.execute(f"CREATE UNIQUE INDEX temp.now_uid ON now ({keys})")
        return False
    mine, theirs = (", ".join(f"{alias}.{quote(n)}" for n in names) for alias in "nk")
    conn.execute("DROP TABLE IF EXISTS temp.dirty")
    conn.execute("CREATE TEMP TABLE dirty (uid TEXT PRIMARY KEY) WITHOUT ROWID")
    conn.execute(
        f"INSERT OR IGNORE INTO dirty SELECT n.uid FROM whole n LEFT JOIN {kept.table} k ON k.uid = n.uid"
        f"{' AND k.event = n.event' if pack.each_event else ''} WHERE ({mine}) IS NOT ({theirs})"
    )
    here = f"({keys}) NOT IN (SELECT {keys} FROM whole){c.within('uid')}"
    conn.execute(f"INSERT OR IGNORE INTO dirty SELECT uid FROM {kept.table} WHERE {here}")
    for sql, params in _beside(pack, c, kept.day or c.today):
        conn.execute(f"INSERT OR IGNORE INTO dirty {sql}", params)
    conn.execute("CREATE TEMP TABLE now AS SELECT * FROM whole WHERE uid IN (SELECT uid FROM dirty)")
    conn.execute(f"CREATE UNIQUE INDEX temp.now_uid ON now ({keys})")
    return True


def _keys(pack: Pack) -> str:
    """Columns by which a row of a pack's statement is known."""
    return "uid, event" if pack.each_event else "uid"


def _columns(conn: sqlite3.Connection, schema: str, table: str) -> list[str]:
    return [row[1] for row in conn.execute(f"PRAGMA {schema}.table_info({quote(table)})")]


def _beside(pack: Pack, c: Context, day: date) -> Iterator[tuple[str, tuple[str, ...]]]:
    """SELECTs of accounts that the days since `day` may have moved, though their row is the same."""
    firing: list[str] = []
    names: list[str] = []
    for n, signal in enumerate(pack.signals):  # `for`, `cooldown`: true, but not started yet
        open_one = "s.account_uid = n.uid AND s.pack = ? AND s.name = ? AND s.until IS NULL"
        firing.append(f"n.s_{n} = 1 AND NOT EXISTS (SELECT 1 FROM signal s WHERE {open_one})")
        names += [pack.name, signal.name]
    for n, task in enumerate(pack.tasks):
        raised = "k.account_uid = n.uid AND k.status = 'open' AND k.pack = ? AND k.rule = ?"
        if pack.each_event:  # a task of one event says nothing of another one's
            raised += " AND NOT EXISTS (SELECT 1 FROM whole m WHERE m.uid = n.uid AND m.event = 2)"
        new = int(task.once_per in PERIODS and period(task.once_per, c.today) != period(task.once_per, day))
        firing.append(
            f"n.t_{n} = 1 AND n.t_{n}_done IS NOT 1 AND ({new} OR NOT EXISTS (SELECT 1 FROM task k WHERE {raised}))"
        )
        names += [pack.name, task.name]
    if firing:
        yield f"SELECT n.uid FROM whole n WHERE {' OR '.join(f'({f})' for f in firing)}", tuple(names)
    lasting = [(n, signal) for n, signal in enumerate(pack.signals) if signal.keep_days]
    if lasting:  # `keep`: not true any more, but not ended yet
        over = " OR ".join(f"s.name = ? AND n.s_{n} IS NOT 1" for n, _ in lasting)
        yield (
            "SELECT s.account_uid FROM signal s JOIN whole n ON n.uid = s.account_uid "
            f"WHERE s.pack = ? AND s.until IS NULL AND ({over}){c.within('s.account_uid')}",
            (pack.name, *(signal.name for _, signal in lasting)),
        )


def add_turned(conn: sqlite3.Connection, pack: Pack) -> None:
    """Add the accounts to `dirty` and `now` whose direction in the temporary table `trends` is not the stored one."""
    told = {
        "trend": "'\"' || coalesce(t.trend, 'unknown') || '\"'",
        "trend_points": "coalesce(t.points, 'null')",
    }
    joins = " ".join(
        f"LEFT JOIN result {name} ON {name}.account_uid = n.uid AND {name}.name = '{pack.name}.{name}'" for name in told
    )
    turned = " OR ".join(f"{name}.value IS NOT {value}" for name, value in told.items())
    conn.execute(
        "INSERT INTO now SELECT n.* FROM whole n WHERE n.uid NOT IN (SELECT uid FROM dirty) AND n.uid IN "
        f"(SELECT n.uid FROM whole n LEFT JOIN trends t ON t.uid = n.uid {joins} WHERE {turned})"
    )
    conn.execute("INSERT OR IGNORE INTO dirty SELECT uid FROM now")


def keep(conn: sqlite3.Connection, pack: Pack, kept: Kept, c: Context, at: str, run_id: str) -> None:
    """Keep the rows of the temporary tables `now` and `later`: all of them, or those of the accounts that `c` looks at
    alone."""
    name = SETTING + kept.pack
    alike = kept.day and _columns(conn, "temp", "now") == _columns(conn, "main", f"judged_{pack.name}")
    if c.among and not alike:  # there is nothing whole to add to
        conn.execute("DELETE FROM setting WHERE name = ?", (name,))
        return
    if c.among:
        keys = _keys(pack)
        tables = ("now", "later") if pack.each_event else ("now",)
        rows = " UNION ALL ".join(f"SELECT {keys} FROM {table}" for table in tables)
        conn.execute(f"DELETE FROM {kept.table} WHERE ({keys}) NOT IN ({rows}){c.within('uid')}")
    else:
        columns = ", ".join(quote(name) for name in _columns(conn, "temp", "now") if name != "uid")
        conn.execute(f"DROP TABLE IF EXISTS {kept.table}")
        conn.execute(f"CREATE TABLE {kept.table} (uid TEXT, {columns}, PRIMARY KEY ({_keys(pack)})) WITHOUT ROWID")
    conn.execute(f"INSERT OR REPLACE INTO {kept.table} SELECT * FROM now")
    if pack.each_event:
        conn.execute(f"INSERT OR REPLACE INTO {kept.table} SELECT * FROM later")
    document = {"basis": kept.basis, "at": at, "run_id": run_id, "day": c.today.isoformat()}
    conn.execute(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, json.dumps(document)),
    )


def drop_others(conn: sqlite3.Connection, packs: Iterable[str]) -> None:
    """Drop what is kept of packs that are not among these."""
    here = {SETTING + pack for pack in packs}
    found = conn.execute("SELECT name FROM setting WHERE name GLOB ?", (f"{SETTING}*",)).fetchall()
    for name in sorted({row[0] for row in found} - here):
        conn.execute(f"DROP TABLE IF EXISTS {table_of(name.removeprefix(SETTING))}")
        conn.execute("DELETE FROM setting WHERE name = ?", (name,))
