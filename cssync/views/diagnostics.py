"""What support needs to know of a workspace, and nothing of its customers: no names, values, record ids or secrets."""

from __future__ import annotations

import json
import platform
import re
import sqlite3
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from cssync import __version__
from cssync.config.shape import is_secret
from cssync.model import ENTITIES, TABLES

if TYPE_CHECKING:
    from cssync.config import Workspace
    from cssync.plugins import Plugins
    from cssync.store import Store

PACKAGES = ("httpx", "httpcore", "tenacity", "sqlite-utils", "click", "pluggy", "pydantic", "msgspec", "PyYAML")
"""Packages whose version explains most reports."""
_PRIVATE = re.compile(
    r"'[^']*'|\"[^\"]*\"|`[^`]*`|“[^”]*”"  # what somebody quoted: values, names
    r"|[^\s@]+@[^\s@]+"
    r"|https?://\S+"
    r"|\b(?=\w*\d)[\w-]{8,}\b"  # ids of records and of calls
)
RUNS = 20


def masked(text: str | None) -> str | None:
    """Return an error's first line without what may tell of a customer: quoted parts, addresses, links, ids."""
    return _PRIVATE.sub("***", text.partition("\n")[0])[:300] if text else None


def diagnostics(workspace: Workspace, store: Store | None, installed: Plugins) -> dict[str, Any]:
    """Return the report: versions, plugins, the configuration's outline, and how stream, run and write are doing.

    Counts and states only; errors are masked. Instants are UTC.
    """
    return {
        "cssync": __version__,
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _version(name) for name in PACKAGES},
        "plugins": [
            {"name": p.name, "version": f"{p.distribution} {p.version}", "error": masked(p.error) if p.error else None}
            for p in installed.installed
        ],
        "workspace": {
            "timezone": str(workspace.timezone),
            "currency": workspace.currency,
            "connections": {name: _connection(workspace, name) for name in workspace.connections},
        },
        "store": _store(store) if store is not None else None,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _connection(workspace: Workspace, name: str) -> Mapping[str, Any]:
    """A connection's outline: which settings are given (never what they say), streams, and how much is mapped."""
    connection = workspace.connections[name]
    given = sorted(connection.settings.model_fields_set - {"connector"})
    writeback = workspace.writeback.get(name)
    return {
        "connector": connection.connector.name,
        "settings": [key for key in given if not is_secret(connection.connector.config, key)],
        "secrets": [key for key in given if is_secret(connection.connector.config, key)],
        "streams": [s.name for s in connection.streams],
        "mapped_fields": {stream: len(fields) for stream, fields in connection.mapped.items()},
        "written_fields": len(writeback.fields) if writeback else 0,
    }


def _store(store: Store) -> Mapping[str, Any]:
    def rows(sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in store.query(sql)]

    names = [*(e.name for e in ENTITIES), *(t.name for t in TABLES)]
    return {
        "bytes": store.path.stat().st_size,
        "rows": {name: store.query(f'SELECT count(*) FROM "{name}"')[0][0] for name in names},
        "streams": [
            {**row, "error": masked(row["error"])}
            for row in rows(
                "SELECT connection, stream, outcome, last_attempt_at, last_success_at, rows_stored, error, "
                "cursor IS NOT NULL AS has_cursor FROM source_state ORDER BY 1, 2"
            )
        ],
        "organisations": rows("SELECT connection, org_kind, bound_at FROM binding ORDER BY 1"),
        "runs": [
            {**row, "summary": sorted(json.loads(row["summary"] or "{}"))}
            for row in rows(
                "SELECT id, command, started_at, ended_at, outcome, exit_code, summary FROM run "
                f"ORDER BY started_at DESC, id DESC LIMIT {RUNS}"
            )
        ],
        "stream_runs": [
            {**row, "error": masked(row["error"])}
            for row in rows(
                "SELECT * FROM run_stream WHERE run_id IN "
                f"(SELECT id FROM run ORDER BY started_at DESC, id DESC LIMIT {RUNS}) ORDER BY run_id, 2, 3"
            )
        ],
        "quarantine": [
            {**row, "reason": masked(row["reason"])}
            for row in rows(
                "SELECT connection, stream, field, min(reason) AS reason, count(*) AS records FROM quarantine "
                "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            )
        ],
        "outbox": [
            {**row, "error": masked(row["error"])}
            for row in rows(
                "SELECT connection, stream, action, field, state, min(error) AS error, count(*) AS writes, "
                "max(attempts) AS attempts FROM outbox WHERE action IN ('set', 'clear') GROUP BY 1, 2, 3, 4, 5 "
                "UNION ALL SELECT connection, stream, action, NULL, state, min(error), count(*), max(attempts) "
                "FROM outbox WHERE action NOT IN ('set', 'clear') GROUP BY 1, 2, 3, 5 ORDER BY 1, 2, 3, 4, 5"
            )
        ],
        "plans": rows("SELECT status, count(*) AS plans FROM plan GROUP BY 1 ORDER BY 1"),
        "rate_limits": rows("SELECT bucket, remaining, blocked_until, updated_at FROM rate_limit ORDER BY 1"),
    }
