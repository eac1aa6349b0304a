"""Signals: start when their condition is true (`for`: and has been for days), end when it is false on fresh data
(`keep`: and has been for days), and within their `cooldown` start again only when it is worse."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from cssync.rules.conditions import days_ago, ended_lately, held_long_enough, is_held, note_conditions
from cssync.rules.freshness import Context
from cssync.rules.outcome import Outcome
from cssync.rules.results import stale_results
from cssync.rules.tree import Feature, Pack, Place, Signal, Template

Reading = tuple[Outcome, Callable[[Place], tuple[Any, str]]]
"""An account's outcome and how its texts look up values."""


def evidence(signal: Signal, outcome: Outcome) -> str:
    """Return the inputs of a signal as JSON."""
    names = signal.when.names("feature") | {
        p.name for t in signal.because.values() if isinstance(t, Template)
        for p in t.parts if isinstance(p, Place) and p.kind == "feature"
    }  # fmt: skip
    values = {n: outcome.features.get(n) for n in sorted(names)}
    return json.dumps(values, ensure_ascii=False, default=lambda v: v.isoformat() if isinstance(v, date) else str(v))


def write_signals(
    conn: sqlite3.Connection,
    pack: Pack,
    features: Mapping[str, Feature],
    c: Context,
    as_of: str,
    run_id: str,
    read: Callable[[sqlite3.Row], Reading],
    say: Callable[[Signal, Reading], str],
) -> tuple[int, int]:
    """Bring `signal` up to date; accounts of started, ended or reworded signals land in `touched`.

    Returns (started, ended). A condition that turned unknown because of a stale source ends nothing.
    """
    note_conditions(conn, pack, features, c, as_of)
    started = ended = 0
    for n, signal in enumerate(pack.signals):
        held = "1 = 1" if is_held(signal, features, c) else stale_results([signal.when], pack, features)
        gone = _end(conn, pack, signal, n, held, c, as_of, run_id)
        fresh = _starting(conn, pack, signal, n, c)
        for row in fresh:
            reading = read(row)
            conn.execute(
                "INSERT INTO signal (account_uid, pack, name, since, until, because, evidence, severity, run_id) "
                "VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET until = NULL, "
                "because = excluded.because, evidence = excluded.evidence, severity = excluded.severity, "
                "run_id = excluded.run_id",
                (row["uid"], pack.name, signal.name, as_of, say(signal, reading), evidence(signal, reading[0]),
                 row[f"s_{n}_severity"] if signal.severity is not None else None, run_id),
            )  # fmt: skip
        reworded = _reword(conn, pack, signal, n, run_id, read, say)
        marks = [(r["uid"],) for r in fresh] + [(r[0],) for r in gone] + reworded
        conn.executemany("INSERT OR IGNORE INTO touched VALUES (?)", marks)
        started, ended = started + len(fresh), ended + len(gone)
    return started, ended


def _end(
    conn: sqlite3.Connection, pack: Pack, signal: Signal, n: int, held: str, c: Context, as_of: str, run_id: str
) -> list[tuple[str]]:
    """End the open ones whose condition is gone, and has been for the days they are kept. held: SQL condition under
    which one that is unknown may be so for want of fresh data, which ends nothing."""
    over = f"(n.s_{n} = 0 OR (n.s_{n} IS NULL AND NOT {held}))"
    params: tuple[str, ...] = ()
    if signal.keep_days:
        over += f" AND NOT {ended_lately('signal', 'n.uid')}"
        params = (pack.name, signal.name, days_ago(c, signal.keep_days))
    return conn.execute(
        "UPDATE signal AS s SET until = ?, run_id = ? WHERE s.pack = ? AND s.name = ? AND s.until IS NULL AND "
        f"({c.left('s.account_uid')} OR EXISTS (SELECT 1 FROM now n "
        f"WHERE n.uid = s.account_uid AND {over})){c.within('s.account_uid')} RETURNING account_uid",
        (as_of, run_id, pack.name, signal.name, *params),
    ).fetchall()


def _starting(conn: sqlite3.Connection, pack: Pack, signal: Signal, n: int, c: Context) -> list[sqlite3.Row]:
    """Return the rows of `now` for which the signal starts: true, for long enough, and not within its cooldown."""
    here = "s.account_uid = n.uid AND s.pack = ? AND s.name = ?"
    where = f"n.s_{n} = 1 AND NOT EXISTS (SELECT 1 FROM signal s WHERE {here} AND s.until IS NULL)"
    params: tuple[str, ...] = (pack.name, signal.name)
    if signal.for_days:
        where += f" AND {held_long_enough('signal', 'n.uid')}"
        params += (pack.name, signal.name, days_ago(c, signal.for_days))
    if signal.cooldown_days:
        worse = f"coalesce(n.s_{n}_severity > s.severity, 0)" if signal.severity is not None else "0"
        last = "(SELECT max(l.since) FROM signal l WHERE l.account_uid = n.uid AND l.pack = s.pack AND l.name = s.name)"
        again = f"SELECT 1 FROM signal s WHERE {here} AND s.since = {last} AND s.until >= ? AND NOT {worse}"
        where += f" AND NOT EXISTS ({again})"
        params += (pack.name, signal.name, days_ago(c, signal.cooldown_days))
    return conn.execute(f"SELECT n.* FROM now n WHERE {where} ORDER BY n.uid", params).fetchall()


def _reword(
    conn: sqlite3.Connection,
    pack: Pack,
    signal: Signal,
    n: int,
    run_id: str,
    read: Callable[[sqlite3.Row], Reading],
    say: Callable[[Signal, Reading], str],
) -> list[tuple[str]]:
    """Update the text of open signals whose account changed."""
    found = []
    for row in conn.execute(
        f"SELECT n.*, s.because AS old_because FROM touched t CROSS JOIN now n ON n.uid = t.uid CROSS JOIN signal s "
        f"ON s.account_uid = n.uid AND s.pack = ? AND s.name = ? AND s.until IS NULL WHERE n.s_{n} = 1",
        (pack.name, signal.name),
    ).fetchall():
        reading = read(row)
        text = say(signal, reading)
        if text != row["old_because"]:
            conn.execute(
                "UPDATE signal SET because = ?, evidence = ?, run_id = ? "
                "WHERE account_uid = ? AND pack = ? AND name = ? AND until IS NULL",
                (text, evidence(signal, reading[0]), run_id, row["uid"], pack.name, signal.name),
            )
            found.append((row["uid"],))
    return found
