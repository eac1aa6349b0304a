"""cssync status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.config import Workspace
    from cssync.store import Store


@click.command(epilog=example("cssync status", "cssync status --json"))
@click.option("--runs", type=click.IntRange(min=1, max=1000), default=5, show_default=True, help="Runs to list.")
@shared
def status(call: Call, runs: int) -> int:
    """Show runs, streams, lease and outbox.

    It only looks: it never waits for a run that is at work, and another shell sees what that run has committed.
    """
    from cssync.cli.when import now

    workspace = call.workspace(secrets=False)
    moment = now()
    with call.store(workspace) as store:
        found = look(store, workspace, runs)
    call.show(found, lines(found, moment))
    return 0


def look(store: Store, workspace: Workspace, runs: int) -> dict[str, Any]:
    """Return everything that `status` tells. Instants are UTC."""
    from cssync.runs.crash import READING
    from cssync.runs.lease import holder

    states = {(r["connection"], r["stream"]): dict(r) for r in store.query("SELECT * FROM source_state")}
    held = {
        (r["connection"], r["stream"]): r["n"]
        for r in store.query("SELECT connection, stream, count(*) AS n FROM quarantine GROUP BY 1, 2")
    }
    streams = [
        _stream(states.get((c.name, s.name), {}), held.get((c.name, s.name), 0), c.name, s.name)
        for c in workspace.connections.values()
        for s in c.streams
    ]
    return {
        "workspace": workspace.name,
        "store": str(store.path),
        "lease": holder(store),
        "runs": [
            {**dict(r), "summary": json.loads(r["summary"]) if r["summary"] else None}
            for r in store.query("SELECT * FROM run ORDER BY started_at DESC, id DESC LIMIT ?", (runs,))
        ],
        "at_work": [
            {name: row[name] for name in row.keys() if name not in ("run_id", "outcome", "error")}  # noqa: SIM118
            for row in store.query(
                """SELECT s.* FROM run_stream s JOIN run r ON r.id = s.run_id WHERE r.ended_at IS NULL
                   AND s.run_id = (SELECT max(id) FROM run) ORDER BY s.connection, s.stream"""
            )
        ],
        "reading": [
            name
            for (run_id,) in store.query("SELECT max(id) FROM run WHERE ended_at IS NULL")
            for (name,) in store.query(READING, (run_id,))
        ],
        "streams": streams,
        "accounts": _counts(store, "SELECT 'all', count(*) FROM account WHERE deleted_at IS NULL").get("all", 0),
        "bands": _counts(
            store,
            """SELECT coalesce(json_extract(r.value, '$'), 'unknown'), count(*) FROM result r
               JOIN account a ON a.uid = r.account_uid AND a.deleted_at IS NULL
               WHERE r.name = 'health.band' GROUP BY 1""",
        ),
        "tasks": _counts(store, "SELECT status, count(*) FROM task GROUP BY 1"),
        "plans": _counts(store, "SELECT status, count(*) FROM plan GROUP BY 1"),
        "outbox": _counts(store, "SELECT state, count(*) FROM outbox GROUP BY 1"),
        "quarantine": sum(held.values()),
    }


def _stream(state: dict[str, Any], held: int, connection: str, stream: str) -> dict[str, Any]:
    known = ("outcome", "last_success_at", "last_attempt_at", "rows_stored", "error")
    return {
        "connection": connection,
        "stream": stream,
        **{name: state.get(name) for name in known},
        "has_cursor": state.get("cursor") is not None,
        "quarantined": held,
    }


def _counts(store: Store, sql: str) -> dict[str, int]:
    return {str(row[0]): row[1] for row in store.query(f"{sql} ORDER BY 1")}


def lines(found: dict[str, Any], moment: datetime) -> Iterator[str]:
    """Yield what `look` found for people; ages count back from `moment`."""
    from cssync.cli.when import ago

    yield f"workspace {found['workspace']}, store {found['store']}"
    yield f"at work now: {found['lease'] or 'nobody'}"
    for s in found["at_work"]:
        rate = s["read"] / s["seconds"] if s["seconds"] else 0
        yield (
            f"  {s['connection']}.{s['stream']}: {s['read']:,} read, {s['new']:,} new, {s['changed']:,} changed, "
            f"{s['quarantined'] + s['incomplete']:,} failed, {rate:,.0f} a second"
        )
    yield ""
    yield from columns(
        ("STREAM", "OUTCOME", "COMPLETE", "TRIED", "ROWS", "QUARANTINE", "ERROR"),
        (
            (
                f"{s['connection']}.{s['stream']}",
                s["outcome"] or "never read",
                ago(s["last_success_at"], moment),
                ago(s["last_attempt_at"], moment),
                s["rows_stored"],
                s["quarantined"],
                (s["error"] or "").partition("\n")[0] or None,
            )
            for s in found["streams"]
        ),
    )
    yield ""
    yield from columns(
        ("RUN", "COMMAND", "STARTED", "OUTCOME"),
        ((r["id"], r["command"], f"{ago(r['started_at'], moment)} ago", _fate(r, found)) for r in found["runs"]),
    )
    yield ""
    yield f"accounts: {found['accounts']:,}{_tail(found['bands'])}"
    for name in ("tasks", "plans", "outbox"):
        yield f"{name}: {sum(found[name].values()):,}{_tail(found[name])}"
    yield f"quarantine: {found['quarantine']:,}"


def _fate(run: dict[str, Any], found: dict[str, Any]) -> str:
    """What became of a run; of one that died, also what it was reading. A dead one is closed by the next."""
    from cssync.runs.crash import died

    if run["outcome"] == "crashed":
        return f"crashed: {(run['summary'] or {}).get('error', 'the process died')}"
    if run["outcome"] is None and found["lease"] is None:
        return f"crashed: {died(found['reading'])}"
    return run["outcome"] or "at work"


def _tail(counts: dict[str, int]) -> str:
    return f" ({', '.join(f'{n:,} {name}' for name, n in counts.items())})" if counts else ""
