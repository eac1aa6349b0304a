"""How complete usage was when the rules last ran, so that explaining one account need not read everybody's rows."""

from __future__ import annotations

import json
import sqlite3
from datetime import date
from typing import TYPE_CHECKING

from cssync.rules.volume import ENTITY, Coverage

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

NAME = "evaluation.usage"
PULLED_SINCE = """
SELECT 1 FROM source_state s JOIN source_feed f ON f.connection = s.connection AND f.stream = s.stream
WHERE f.entity = ? AND s.last_attempt_at > (SELECT known_at FROM evaluation ORDER BY as_of DESC LIMIT 1)
"""


def keep(conn: sqlite3.Connection, found: Coverage, today: date) -> None:
    """Write down what an evaluation of the local day `today` found."""
    document = {
        "today": today.isoformat(),
        "gaps": [[*key, *(d.isoformat() for d in days)] for key, days in sorted(found.gaps.items())],
        "newest": {metric: day.isoformat() for metric, day in sorted(found.newest.items())},
        "weekly": sorted(found.weekly),
    }
    conn.execute(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (NAME, json.dumps(document)),
    )


def kept(store: Store, today: date) -> Coverage | None:
    """Return what the last evaluation of this local day found; None where there was none, or usage was pulled since."""
    text = store.get_setting(NAME)
    document = json.loads(text) if text else {}
    if document.get("today") != today.isoformat() or store.query(PULLED_SINCE, (ENTITY,)):
        return None
    return Coverage(
        {(c, metric): tuple(map(date.fromisoformat, days)) for c, metric, *days in document["gaps"]},
        {metric: date.fromisoformat(day) for metric, day in document["newest"].items()},
        frozenset(document["weekly"]),
    )
