"""The output `lost_points` of a score: the measures that take most points off, in a few words.

It is kept as every result is, so that other packs can say what it was some days ago (`{past: health.lost_points, ago:
14d}`): what weighed then, under the rules of that day.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping
from typing import Any

from cssync.rules.outcome import Outcome
from cssync.rules.results import Row
from cssync.rules.texts import REASONS, WORDS, lost_points, render, tenths
from cssync.rules.tree import Place, Score

OUTPUT = "lost_points"
NOTHING = "-"
"""Where there is a score, and nothing takes a tenth of a point off it."""


def most_lost(score: Score, outcome: Outcome, lang: str, lookup: Callable[[Place], tuple[Any, str]]) -> str | None:
    """Return the measures that take most points off a score, by their labels; None without a score."""
    if outcome.score is None:
        return None
    labels = {m.name: m.label for m in score.measures}
    lost = ((x.measure, tenths(x.points)) for x in lost_points(outcome.weights, outcome.measures, REASONS))
    named = [f"{render(labels[measure], lang, lookup)} -{points}" for measure, points in lost if points != "0.0"]
    return WORDS[lang]["join"].join(named) or NOTHING


def lost_rows(conn: sqlite3.Connection, name: str, found: Mapping[str, str | None], held: Collection[str]) -> list[Row]:
    """Return the rows of the result `name`, out of account uid -> text. held: accounts that keep their last one, marked
    stale, because their score is kept."""
    rows = [
        (uid, json.dumps(text, ensure_ascii=False), "unknown" if text is None else "ok", "")
        for uid, text in found.items()
    ]
    if held:
        kept = conn.execute(
            "SELECT account_uid, value FROM result WHERE name = ? AND account_uid IN (SELECT value FROM json_each(?))",
            (name, json.dumps(sorted(held))),
        )
        rows += [(row[0], row[1], "stale", "") for row in kept.fetchall()]
    return rows
