"""What does a run cost after 1 % of the records changed? Run: `uv run benchmarks/incremental.py [COMPANIES ...]`.

For each vendor a sandbox holds the contacts or tickets of so many made-up companies (1,000 and 4,000, or the numbers
given). After a first pull every hundredth record of one kind is changed, and the stream of that kind is pulled again,
as `cssync sync CONNECTION --stream S` does it: organisation, definitions, changes, deletes, links.

Prints the requests of that run, of one over a still world, and of all streams over a still world. Aims: at most 8
(HubSpot), 4 (Salesforce), 4 (Zendesk) for the changed kind, whatever is stored; beyond it only one request for each
further page of changes and, at HubSpot, for the links of each further 100 changed records.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Connection, Workspace
from cssync.http.clock import ManualClock
from cssync.plugins import plugins
from cssync.runs.sessions import open_sessions
from cssync.sandbox.make_world import make
from cssync.sandbox.server import SandboxServer, serve
from cssync.store import Store
from cssync.sync import sync


def hubspot(app: Any) -> int:
    """Change every hundredth contact; return how many."""
    chosen = list(app.portal.things["contacts"])[::100]
    for key in chosen:
        app.portal.edit("contacts", key, jobtitle="Head of Buying")
    return len(chosen)


def salesforce(app: Any) -> int:
    """Change every hundredth contact; return how many."""
    chosen = list(app.tables["Contact"])[::100]
    for key in chosen:
        app.edit("Contact", key, Title="Head of Buying")
    return len(chosen)


def zendesk(app: Any) -> int:
    """Change every hundredth ticket; return how many."""
    chosen = list(app.tickets.records)[::100]
    for key in chosen:
        app.touch_ticket(key, priority="high")
    return len(chosen)


KINDS: dict[str, tuple[str, Callable[[Any], int], str, int]] = {
    "hubspot": ("contacts", hubspot, r"contacts", 8),
    "salesforce": ("contacts", salesforce, r"contacts", 4),
    "zendesk": ("tickets", zendesk, r"tickets", 4),
}


@contextmanager
def running(name: str, companies: int, folder: Path) -> Iterator[tuple[Any, SandboxServer, ManualClock, Workspace]]:
    """Start a sandbox with so many companies, and make a workspace over it."""
    connector, world = plugins().connector(name), make(companies)
    assert connector.sandbox is not None
    app: Any = connector.sandbox(world)
    clock = ManualClock(world.now.timestamp())
    app.clock = clock.time
    if name == "salesforce":
        app.clock = lambda: world.now + timedelta(seconds=clock.time() - world.now.timestamp())
    with serve(app) as server:
        server.clock = clock.time
        settings = connector.config.model_validate(
            {"connector": name, "base_url": server.url, "allow_hosts": ["127.0.0.1"], **connector.sandbox_settings}
        )
        connections = {"crm": Connection("crm", connector, settings, connector.streams)}
        yield app, server, clock, Workspace("bench", folder, ZoneInfo("UTC"), "USD", folder / "bench.db", connections)


def measured(name: str, companies: int) -> dict[str, int]:
    """Return stored and changed records, and the requests of each run."""
    stream, change, _, _ = KINDS[name]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(name, companies, Path(folder)) as (app, server, clock, workspace),
    ):

        def pulled(only: str | None) -> int:
            server.journal.clear()
            clock.now += 3600
            with (
                Store.open(workspace.store, workspace=workspace.name) as store,
                open_sessions(workspace, store, clock=clock) as sessions,
            ):
                for report in sync(store, workspace, sessions, only="crm", stream=only, run_id="bench"):
                    assert report.error is None, report.error
            return len(server.journal)

        pulled(None)
        with Store.open(workspace.store) as store:
            entity = next(s.entity for s in workspace.connections["crm"].streams if s.name == stream)
            ((stored,),) = store.query(f"SELECT count(*) FROM {entity}")
        every, still = pulled(None), pulled(stream)
        clock.now += 60
        changed = change(app)
        after = pulled(stream)
        told = [f"{e.method} {re.sub(r'[0-9]{6,}', '*', e.path)}" for e in server.journal]
    if "-v" in sys.argv:
        print("\n".join(f"    {line}" for line in told))
    return {"stored": stored, "changed": changed, "after": after, "still": still, "all streams, still": every}


def main() -> None:
    """Measure and print."""
    sizes = [int(a) for a in sys.argv[1:] if a.isdigit()] or [1000, 4000]
    for name, (stream, _, _, aim) in KINDS.items():
        for companies in sizes:
            print(f"{name:11} {stream:9} (aim {aim}) {measured(name, companies)}", flush=True)


if __name__ == "__main__":
    main()
