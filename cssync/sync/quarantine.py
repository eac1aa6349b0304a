"""Records that could not be normalised: try them again, or drop them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cssync.config import Connection, Workspace
from cssync.connectors import Field, Stream
from cssync.errors import ConfigError, RecordError
from cssync.store import Fence, Store
from cssync.sync.cast import stamp, text
from cssync.sync.cells import cell
from cssync.sync.normalise import UNREADABLE, Normaliser


@dataclass(frozen=True, slots=True)
class Choice:
    """Which quarantined records are meant; None means all."""

    connection: str | None = None
    stream: str | None = None
    source_id: str | None = None

    def where(self) -> tuple[str, tuple[str, ...]]:
        """Return the SQL condition and its values."""
        given = {"connection": self.connection, "stream": self.stream, "source_id": self.source_id}
        chosen = {column: value for column, value in given.items() if value is not None}
        return " AND ".join(f"{column} = ?" for column in chosen) or "1 = 1", tuple(chosen.values())


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of a retry: records stored now, and those that stay with their reason."""

    stored: int
    kept: int
    changed: int


def held(store: Store, choice: Choice) -> list[dict[str, object]]:
    """Return the chosen records, newest failure first; `raw` is the record as the vendor sent it."""
    where, values = choice.where()
    rows = store.query(
        f"SELECT * FROM quarantine WHERE {where} ORDER BY last_seen_at DESC, connection, stream, source_id", values
    )
    return [{**dict(row), "raw": json.loads(row["raw"] or "null")} for row in rows]


def drop(store: Store, choice: Choice, fence: Fence | None = None) -> int:
    """Forget the chosen records and return how many. One that changes at the vendor is read again."""
    where, values = choice.where()
    with store.transaction(fence) as conn:
        return conn.execute(f"DELETE FROM quarantine WHERE {where}", values).rowcount


def retry(store: Store, workspace: Workspace, choice: Choice, now: datetime, fence: Fence | None = None) -> Retried:
    """Normalise the chosen records again, as they were read, under the present mapping; no vendor is called.

    What comes through is stored and leaves the quarantine; what fails again stays, with the new reason. `now` is
    aware.

    Raises:
        ConfigError: a record's connection or stream is no longer configured.
    """
    known_at = stamp(now)
    today = now.astimezone(workspace.timezone).date().isoformat()
    normalisers: dict[tuple[str, str], Normaliser] = {}
    stored = kept = changed = 0
    for row in held(store, choice):
        place = (str(row["connection"]), str(row["stream"]))
        if place not in normalisers:
            normalisers[place] = _normaliser(store, workspace, *_configured(workspace, *place), today)
        raw = row["raw"]
        try:
            if not isinstance(raw, Mapping):
                raise RecordError("the record is no JSON object")
            rows = normalisers[place](raw)
        except RecordError as error:
            kept += 1
            with store.transaction(fence) as conn:
                conn.execute(
                    "UPDATE quarantine SET field = ?, reason = ?, last_seen_at = ? "
                    "WHERE connection = ? AND stream = ? AND source_id = ?",
                    (error.field, str(error), known_at, *place, row["source_id"]),
                )
            continue
        stored += 1
        with store.transaction(fence) as conn:
            for entity, values in rows.rows:
                result = store.upsert(conn, entity, place[0], [values], known_at)
                changed += len(result.new) + len(result.changed)
            for entity, source_id in (*rows.gone, *rows.refused):
                store.tombstone(conn, entity, place[0], [source_id], known_at)
            conn.execute(
                "DELETE FROM quarantine WHERE connection = ? AND stream = ? AND source_id = ?",
                (*place, row["source_id"]),
            )
    return Retried(stored, kept, changed)


def _configured(workspace: Workspace, connection: str, stream: str) -> tuple[Connection, Stream]:
    found = workspace.connections.get(connection)
    declared = found.stream(stream) if found else None
    if found is None or declared is None:
        raise ConfigError(
            f"{connection}.{stream} is no longer configured",
            kept="its records stay in quarantine",
            fix=f"configure it again, or `cssync quarantine drop {connection}`",
        )
    return found, declared


def link_of(workspace: Workspace, row: Mapping[str, object]) -> str | None:
    """Return the page of a quarantined record at the vendor, where the record as it was read names it."""
    connection = workspace.connections.get(str(row["connection"]))
    stream = connection.stream(str(row["stream"])) if connection else None
    source = stream.feeds[0].fields.get("source_url") if stream else None
    raw = row["raw"]
    if source is None or not isinstance(raw, Mapping):
        return None
    try:
        found = cell(Field(source) if isinstance(source, str) else source, text)(raw)
    except UNREADABLE:
        return None
    return found if isinstance(found, str) and found.startswith("https://") else None


def _normaliser(store: Store, workspace: Workspace, connection: Connection, stream: Stream, today: str) -> Normaliser:
    bound = store.query("SELECT currency FROM binding WHERE connection = ?", (connection.name,))
    back = workspace.writeback.get(connection.name)
    return Normaliser(
        stream,
        mapped=connection.mapped.get(stream.name, {}),
        written=tuple(back.fields) if back and back.to == stream.name else (),
        timezone=workspace.timezone,
        currency=(bound[0]["currency"] if bound else None) or workspace.currency,
        today=today,
    )
