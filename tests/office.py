"""One vendor's sandbox behind a real workspace and store: for tests that write back over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from cssync.config import Workspace, Writeback
from cssync.config.load import load_workspace
from cssync.config.workspace import Policy
from cssync.connectors.contract import TaskContent
from cssync.http.clock import ManualClock
from cssync.link import link
from cssync.plugins import plugins
from cssync.rules import load_folders
from cssync.runs.sessions import open_sessions
from cssync.sandbox.make_world import make
from cssync.sandbox.server import SandboxAnswer, SandboxRequest, SandboxServer, serve
from cssync.sandbox.workspace import CONNECTIONS, write_workspace
from cssync.store import Fence, Store
from cssync.sync import sync
from cssync.writeback.apply import apply_plan, settle, unfinished
from cssync.writeback.plan import approve_plan, make_plan
from cssync.writeback.provision import provision
from fake_crm import task
from ledger import Ledger, record

WORLD = make(8)
RULES = load_folders([("standard", files("cssync_rules"))])
RESULTS = {
    "health.score": lambda n: 40 + n,
    "health.band": lambda n: ("green", "yellow", "red")[n % 3],
    "health.reasons": lambda n: f"{40 + n}: no use for {n} days; 利用なし",
}
UPDATES = {
    "hubspot": r"POST .*/companies/batch/update",
    "salesforce": r"PATCH .*/composite/sobjects(\?|$)",
    "zendesk": r"PUT .*/organizations/update_many",
}
CREATES = {
    "hubspot": r"POST .*/tasks/batch/create", "salesforce": r"(POST|PATCH) .*/composite/sobjects/Task/",
    "zendesk": r"POST .*/tickets",
}  # fmt: skip
LOOKS = {
    "hubspot": r"POST .*/companies/batch/read",
    "salesforce": r"(GET|POST) .*/(query|composite/sobjects/Account)",
    "zendesk": r"GET .*/organizations/show_many",
}
READS = r"^(GET (?!.*(job_statuses|jobs/ingest))|POST .*/(batch/read|search)\?)"
"""Every request that shows records, of any vendor: looks, searches and pulls."""
POLLS = {"zendesk": r"GET .*/job_statuses"}
IMPATIENT = "timeout: 0.08"
"""Setting of a connection that does not wait for a delay of twice that."""
NO_WRITE = re.compile(r"GET |POST .*/(batch/read|search|oauth2?/tokens?|token)$|POST .*/composite/sobjects/Account$")
"""What changes nothing, though some of it is sent as a POST."""


@dataclass
class Office:
    """One vendor's sandbox with our fields, its accounts in a store, and results that are not written yet."""

    space: Workspace
    store: Store
    server: SandboxServer
    clock: ManualClock
    ledger: Ledger
    runs: int = 0

    def run(self, between: Callable[[], None] = lambda: None, fence: Fence | None = None) -> bool:
        """One run of the write-back as cron would start it; True when nothing is left to do. `between`: what happens
        in the world between planning and sending. `fence`: of a run that holds the lease."""
        self.runs += 1
        run_id = f"r-{self.runs:02}"
        held: dict[str, Any] = {"fence": fence, "clock": self.clock}
        with open_sessions(self.space, self.store, **held) as sessions:
            begun, code = unfinished(self.store), 0
            if begun is not None:
                code = apply_plan(self.store, self.space, begun, sessions, run_id=run_id, **held).exit_code
            else:
                settle(self.store, self.space, sessions, **held)
            plan = make_plan(self.store, self.space, RULES, WORLD.now, run_id=run_id, **held)
            if plan.status == "held":
                approve_plan(self.store, plan.id)
            between()
            done = apply_plan(self.store, self.space, plan.id, sessions, run_id=run_id, **held)
        return code == done.exit_code == 0

    def follow(self, policy: Policy) -> None:
        """Let another policy stand for people's edits."""
        back = {name: replace(found, policy=policy) for name, found in self.space.writeback.items()}
        self.space = replace(self.space, writeback=back)

    def pull(self) -> None:
        """Read what the vendor has, and link it."""
        now = self.clock.time()
        with open_sessions(self.space, self.store, clock=self.clock) as sessions:
            sync(self.store, self.space, sessions, run_id=f"pull-{now}")
        link(self.store, self.space, WORLD.now + timedelta(seconds=now - WORLD.now.timestamp()))

    def world(self) -> Any:
        """What people see at the vendor: our fields of every record, and our tasks."""
        ((name, back),) = self.space.writeback.items()
        connector = self.space.connections[name].connector
        ids = [row["source_id"] for row in self.store.query("SELECT source_id FROM account_source ORDER BY source_id")]
        with open_sessions(self.space, self.store, clock=self.clock) as sessions:
            session: Any = sessions[name]
            assert connector.read is not None
            fields = connector.read(session, back.to, ids, list(back.fields))
            wanted = [
                TaskContent(row["key"], row["source_id"], "", "", "2026-12-28") for row in self.store.query(
                    "SELECT t.key, l.source_id FROM task t JOIN account_link l ON l.account_uid = t.account_uid"
                )
            ]  # fmt: skip
            found = connector.find_tasks(session, wanted) if connector.find_tasks else {}
        tasks = sorted((t.key, t.status, t.subject, t.due_on) for t in found.values())
        return fields, tasks, created(self.server)


@dataclass
class Glass:
    """A sandbox behind glass, once it is shut: it can be looked at, and a write is an error of the test (`touched`)."""

    behind: Any
    shut: bool = False
    touched: list[str] = field(default_factory=list)

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer one request."""
        line = f"{request.method} {request.path}"
        if self.shut and not NO_WRITE.match(line):
            self.touched.append(line)
            return SandboxAnswer(500)
        answer: SandboxAnswer = self.behind.handle(request)
        return answer


def created(server: SandboxServer) -> int:
    """Tasks of ours that exist at the vendor, doubles included."""
    app: Any = getattr(server.app, "behind", server.app)
    if hasattr(app, "desk"):
        subjects = [row["subject"] for row in app.tickets.records.values()]
    elif hasattr(app, "portal"):
        subjects = [thing.properties.get("hs_task_subject") for thing in app.portal.things["tasks"].values()]
    else:
        subjects = [row.get("Subject") for row in getattr(app, "tables", {}).get("Task", {}).values()]
    return sum(bool(re.fullmatch(r"Renew \d", str(subject))) for subject in subjects)


@contextmanager
def served(
    folder: Path,
    vendor: str,
    app: Any,
    *,
    settings: str = "",
    front: Callable[[Any], Any] = lambda app: app,
    login: Mapping[str, str] | None = None,
) -> Iterator[Office]:
    """Serve a sandbox, and open the workspace in `folder` that leads to it. `settings`: more lines of the connection.
    `front` stands between the server and the app. `login`: settings in place of the sandbox's own."""
    clock, ledger = ManualClock(WORLD.now.timestamp()), record(app)
    app.clock = (lambda: datetime.fromtimestamp(clock.time(), UTC)) if vendor == "salesforce" else lambda: clock.time()
    if vendor == "hubspot":
        app.portal.clock = app.clock
    with ExitStack() as stack:
        server = stack.enter_context(serve(front(app)))
        server.clock = clock.time
        write(folder, vendor, server.url, settings, login)
        space = at(_space(folder, vendor, settings, login), folder, server.url)
        store = stack.enter_context(Store.open(space.store, workspace=space.name))
        yield Office(space, store, server, clock, ledger)


def write(folder: Path, vendor: str, url: str, settings: str = "", login: Mapping[str, str] | None = None) -> None:
    """Write the workspace of one vendor."""
    name, connector = name_of(vendor), plugins().connector(vendor)
    connector = replace(connector, sandbox_settings=login or connector.sandbox_settings)
    path = write_workspace(folder, {name: connector}, {name: url})
    text = re.sub("^masters:.*$", "", path.read_text(), flags=re.MULTILINE)
    allowed = f"{connector.tasks_setting}: true\n    " if connector.tasks_setting else ""
    path.write_text(text.replace(f"connector: {vendor}\n", f"connector: {vendor}\n    {allowed}{settings}\n"))


def space_of(folder: Path, vendor: str) -> Workspace:
    """The workspace in a folder: three fields and tasks, over whatever people do."""
    space, name = load_workspace(folder / "cssync.yaml"), name_of(vendor)
    back = space.writeback[name]
    fields = {field: result for field, result in back.fields.items() if result in RESULTS}
    tasks = space.connections[name].connector.tasks
    return replace(space, writeback={name: Writeback(name, back.to, fields, tasks, "ours")})


_SPACES: dict[tuple[object, ...], Workspace] = {}


def _space(folder: Path, vendor: str, settings: str, login: Mapping[str, str] | None) -> Workspace:
    """The workspace in a folder, read once for all offices that are alike: reading it costs half a run."""
    key = (vendor, settings, *(login or {}).items())
    if key not in _SPACES:
        _SPACES[key] = space_of(folder, vendor)
    return _SPACES[key]


def at(space: Workspace, folder: Path, url: str) -> Workspace:
    """A workspace with its store in another folder and its vendor at another place."""
    connections = {
        name: replace(found, settings=found.settings.model_copy(update={"base_url": url}))
        for name, found in space.connections.items()
    }
    return replace(space, path=folder / space.path.name, store=folder / space.store.name, connections=connections)


def name_of(vendor: str) -> str:
    """The connection that leads to a vendor."""
    return next(n for n, v in CONNECTIONS.items() if v == vendor)


def furnish(office: Office) -> None:
    """Create our fields, pull the accounts, and say what the rules want of them."""
    space, store = office.space, office.store
    with open_sessions(space, store, clock=office.clock) as sessions:
        assert not [f for _, f in provision(space, sessions, RULES, dry_run=False) if f.level == "error"]
        sync(store, space, sessions, run_id="r-0")
    link(store, space, WORLD.now)
    uids = [row["uid"] for row in store.query("SELECT uid FROM account WHERE deleted_at IS NULL ORDER BY uid")]
    assert len(uids) > 3
    with store.transaction() as conn:
        conn.executemany(
            "INSERT INTO result (account_uid, name, value, state, run_id) VALUES (?, ?, ?, 'ok', 'r-0')",
            [(uid, name, json.dumps(value(n))) for n, uid in enumerate(uids) for name, value in RESULTS.items()],
        )
    (connection,) = space.connections.values()
    for n, uid in enumerate(uids[:3] if connection.connector.tasks else ()):
        task(store, uid, f"{n:024x}", title=f"Renew {n}")
