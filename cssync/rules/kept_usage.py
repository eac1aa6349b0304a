"""How complete usage was when the rules last ran, so that explaining one account need not read everybody's rows."""

from __future__ import annotations

import json
import sqlite3
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from cssync.config import Workspace
from cssync.rules.calendar import local_date
from cssync.rules.changed import EVERYBODY, is_noted
from cssync.rules.volume import ENTITY, Coverage

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

NAME = "evaluation.usage"
PULLED_SINCE = """
SELECT 1 FROM source_state s JOIN source_feed f ON f.connection = s.connection AND f.stream = s.stream
WHERE f.entity = ? AND s.last_attempt_at > (SELECT known_at FROM evaluation ORDER BY as_of DESC LIMIT 1)
"""


def keep(conn: sqlite3.Connection, found: Coverage, workspace: Workspace, as_of: datetime) -> None:
    """Write down what an evaluation found."""
    document = {
        "today": local_date(as_of, workspace.timezone).isoformat(),
        "basis": _basis(conn, workspace),
        "gaps": [[*key, *(d.isoformat() for d in days)] for key, days in sorted(found.gaps.items())],
        "newest": {metric: day.isoformat() for metric, day in sorted(found.newest.items())},
        "weekly": sorted(found.weekly),
    }
    conn.execute(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (NAME, json.dumps(document)),
    )


def same(conn: sqlite3.Connection, workspace: Workspace, as_of: datetime) -> Coverage | None:
    """Return what the last evaluation found, where the day, the calendar and the rows of usage are still the same."""
    marks = conn.execute("SELECT 1 FROM changed_account WHERE account_uid IN (?, ?)", (EVERYBODY, f"#{ENTITY}"))
    text = conn.execute("SELECT value FROM setting WHERE name = ?", (NAME,)).fetchone()
    if text is None or marks.fetchone() or not is_noted(conn):
        return None
    document = json.loads(text[0])
    today = local_date(as_of, workspace.timezone).isoformat()
    unchanged = (document["today"], document.get("basis")) == (today, _basis(conn, workspace))
    return _coverage(document) if unchanged else None


def _basis(conn: sqlite3.Connection, workspace: Workspace) -> list[str]:
    feeds = conn.execute("SELECT DISTINCT connection FROM source_feed WHERE entity = ? ORDER BY 1", (ENTITY,))
    return [str(workspace.holidays), *sorted(workspace.closures), "feeds", *(row[0] for row in feeds)]


def kept(store: Store, today: date) -> Coverage | None:
    """Return what the last evaluation of this local day found; None where there was none, or usage was pulled since."""
    text = store.get_setting(NAME)
    document = json.loads(text) if text else {}
    if document.get("today") != today.isoformat() or store.query(PULLED_SINCE, (ENTITY,)):
        return None
    return _coverage(document)


def _coverage(document: dict[str, Any]) -> Coverage:
    return Coverage(
        {(c, metric): tuple(map(date.fromisoformat, days)) for c, metric, *days in document["gaps"]},
        {metric: date.fromisoformat(day) for metric, day in document["newest"].items()},
        frozenset(document["weekly"]),
    )
