"""A row of a compiled statement -> the Outcome it stands for."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from cssync.rules.compiler import Statement
from cssync.rules.memory import Memory, override_end
from cssync.rules.outcome import Outcome
from cssync.rules.tree import OF_EVENT, Pack, Score, Type


def typed_value(raw: Any, kind: Type) -> Any:
    """Return a value of the statement as the interpreter would: dates as date, conditions as bool. A day before the
    year 1, to which SQLite counts, is none."""
    if raw is None:
        return None
    if kind == "date":
        return date.fromisoformat(raw) if raw >= "0001" else None
    return bool(raw) if kind == "bool" else raw


def _condition(raw: Any) -> bool | None:
    return None if raw is None else bool(raw)


Row = sqlite3.Row | Mapping[str, Any]
"""Columns by name."""


def outcome_of(pack: Pack, statement: Statement, row: Row) -> Outcome:
    """Read one row of the statement."""
    found = Outcome(features={n: typed_value(row[f"f_{n}"], kind) for n, kind in statement.features.items()})
    if pack.score:
        found.measures = {m.name: row[f"m_{m.name}"] for m in pack.score.measures}
        found.applies = {
            m.name: bool(row[f"x_{m.name}"]) and not (m.missing == "ignore" and row[f"m_{m.name}"] is None)
            for m in pack.score.measures
        }
        found.held = frozenset(m for m in statement.held if row[f"q_{m}"])
        found.model, found.computed_band = row["model"], row["computed_band"]
        found.weights = pack.score.model(row["model"]).weights
        _remembered(pack.score, statement, row, found)
        found.raw_score, found.score = row["raw_score"], row["score"]
        found.coverage, found.band = row["coverage"], row["band"]
        found.caps = [_condition(row[f"k_{n}"]) for n in range(len(pack.score.caps))]
        found.held_caps = frozenset(n for n in statement.held_caps if row[f"kq_{n}"])
    found.event = row["event"] if pack.each_event else 1
    found.results = {r.name: typed_value(row[f"o_{r.name}"], r.type) for r in pack.results}
    found.totals = {r.name: row[f"ot_{r.name}"] for r in pack.results if r.summed}
    found.signals = {s.name: _condition(row[f"s_{n}"]) for n, s in enumerate(pack.signals)}
    found.severity = {s.name: row[f"s_{n}_severity"] for n, s in enumerate(pack.signals) if s.severity is not None}
    for n, task in enumerate(pack.tasks):
        mine = found.event == 1 or task.once_per in OF_EVENT
        found.tasks[task.name] = _condition(row[f"t_{n}"]) if mine else None
        found.done[task.name] = _condition(row[f"t_{n}_done"])
        found.due[task.name] = typed_value(row[f"t_{n}_due"], "date")
        found.priority[task.name] = row[f"t_{n}_priority"]
        found.copy[task.name] = row[f"t_{n}_copy"] if task.copy is not None else None
    return found


def _remembered(score: Score, statement: Statement, row: Row, found: Outcome) -> None:
    found.memory = Memory(row["n_band"], row["n_yellow_days"], row["n_green_days"], caps=row["n_caps"])
    if score.override is None or (since := typed_value(row["n_override_since"], "date")) is None:
        return
    band, until = row[f"a_{score.override.band}"], typed_value(row[f"a_{score.override.until}"], "date")
    found.memory = replace(found.memory, override_band=band, override_until=until, override_since=since)
    end = override_end(until, since)
    found.override_end = end if end >= statement.today else None
