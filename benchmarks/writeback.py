"""Write-back: what does it cost in requests, and in CPU beside the evaluation?

    uv run python benchmarks/writeback.py [--records 1000] [--accounts 20000]

Requests: every account of a sandbox world gets three new values, planned and applied over real HTTP, per vendor. Shown
beside the batch minimum (HubSpot 100 records a request, Salesforce 200, Zendesk 100 a job), and apart from it the
reads that protect people's edits, the polls of jobs, and the one look at the fields. Then the same again on a world
that stands still. Aims: writes at most 5 % over the minimum; a still world sends nothing at all.

CPU: planning with 2 % of the accounts changed against one evaluation by the standard packs. Aim: at most 10 %.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import runpy
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Connection, Workspace, Writeback
from cssync.config.load import load_workspace
from cssync.link import link
from cssync.plugins import plugins
from cssync.rules import RuleSet, evaluate, load, load_folders
from cssync.runs.sessions import open_sessions
from cssync.sandbox.make_world import make
from cssync.sandbox.server import SandboxServer, serve
from cssync.sandbox.workspace import CONNECTIONS, write_workspace
from cssync.store import Store
from cssync.sync import sync
from cssync.writeback.apply import apply_plan
from cssync.writeback.fit import Descriptions
from cssync.writeback.plan import approve_plan, draft, make_plan, written_types
from cssync.writeback.provision import provision

BATCH = {"hubspot": 100, "salesforce": 200, "zendesk": 100}
"""Records per write request, from the vendors' documented limits."""
WRITES = ("POST", "PATCH", "PUT", "DELETE")
READS_BY_POST = ("/batch/read", "/search", "/token", "/composite/sobjects/Account")
VALUES: Mapping[str, object] = {
    "health.score": 41,
    "health.band": "red",
    "health.reasons": "41 (red). No use for 30 days.",
}
CHANGED = 0.02


def cpu(work: Callable[[], object]) -> float:
    """Return CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def kinds(server: SandboxServer) -> Counter[str]:
    """Count the requests of a server's journal: write, read, poll, describe, other."""
    found: Counter[str] = Counter()
    for entry in server.journal:
        if entry.method in WRITES and not any(part in entry.path for part in READS_BY_POST):
            found["write"] += 1
        elif "job_status" in entry.path:
            found["poll"] += 1
        elif any(part in entry.path for part in ("describe", "/properties/", "_fields")):
            found["describe"] += 1
        elif "token" in entry.path:
            found["login"] += 1
        else:
            found["read"] += 1
    server.journal.clear()
    return found


def requests(name: str, vendor: str, records: int, folder: Path) -> None:
    """Print the requests of one vendor."""
    connector = plugins().connector(vendor)
    world = make(records)
    if connector.sandbox is None:
        return
    with ExitStack() as stack:
        server = stack.enter_context(serve(connector.sandbox(world)))
        path = write_workspace(folder, {name: connector}, {name: server.url})
        path.write_text(re.sub("^masters:.*$", "", path.read_text(), flags=re.MULTILINE))  # they name the other vendors
        space = load_workspace(path)
        back = space.writeback[name]
        fields = {field: result for field, result in back.fields.items() if result in VALUES}
        space = Workspace(**{
            **{n: getattr(space, n) for n in Workspace.__dataclass_fields__},
            "writeback": {name: Writeback(name, back.to, fields)},
        })  # fmt: skip
        store = stack.enter_context(Store.open(space.store, workspace=space.name))
        sessions = stack.enter_context(open_sessions(space, store))
        rules = load(space)
        provision(space, sessions, rules, dry_run=False)
        sync(store, space, sessions, run_id="r-0")
        link(store, space, datetime.now(UTC))
        with store.transaction() as conn:
            accounts = [row["uid"] for row in conn.execute("SELECT uid FROM account WHERE deleted_at IS NULL")]
            conn.executemany(
                "INSERT INTO result (account_uid, name, value, state, run_id) VALUES (?, ?, ?, 'ok', 'r-0')",
                [(uid, result, json.dumps(value)) for uid in accounts for result, value in VALUES.items()],
            )
        server.journal.clear()
        for label, run in (("changed", "r-1"), ("still", "r-2")):
            describe = Descriptions(store, space, sessions, None)
            plan = make_plan(store, space, rules, datetime.now(UTC), run_id=run, describe=describe)
            if plan.status == "held":
                plan = approve_plan(store, plan.id)
            report = apply_plan(store, space, plan.id, sessions, run_id=run, describe=describe)
            touched = len({change.source_id for change in plan.changes})
            least = math.ceil(touched / BATCH[vendor])
            seen = kinds(server)
            told = ", ".join(f"{count} {kind}" for kind, count in sorted(seen.items())) or "no request"
            print(f"{vendor}, {label}: {touched:,} records, {dict(report.outcomes)}; minimum {least} writes: {told}")
            assert seen["write"] <= least * 1.05, (vendor, label, seen)
            server.journal.clear()


def planning(accounts: int, folder: Path) -> None:
    """Print the CPU of planning beside that of the evaluation."""
    bench = runpy.run_path(str(Path(__file__).with_name("rules.py")))
    rules: RuleSet = load_folders([("standard", files("cssync_rules"))])
    connector = plugins().connector("hubspot")
    fields = {
        "cs_health_score": "health.score", "cs_health_band": "health.band", "cs_health_reasons": "health.reasons",
        "cs_health_coverage": "health.coverage", "cs_health_as_of": "health.as_of", "cs_renewal_date": "renewal.date",
        "cs_upsell_signal": "upsell.signal", "cs_risk_flags": "risk.flags",
    }  # fmt: skip
    space = Workspace(
        "bench", folder, ZoneInfo("Asia/Tokyo"), "JPY", folder / "bench.db",
        {"crm": Connection("crm", connector, connector.config.model_construct(), connector.streams)},
        writeback={"crm": Writeback("crm", "companies", fields)}, holidays="JP",
    )  # fmt: skip
    with Store.open(space.store) as store:
        bench["fill"](store, accounts)
        judged = cpu(lambda: evaluate(store, rules, space, bench["AS_OF"], run_id="bench"))
        agree(store, fields)
        types = written_types(rules)
        still = draft(store, space, types, bench["AS_OF"])
        assert not any(not change.is_task for change in still.changes), still.changes[:3]
        bench["as_on_another_day"](store)
        again = cpu(lambda: evaluate(store, rules, space, bench["AS_OF"], run_id="bench2"))
        with store.transaction() as conn:
            conn.execute(
                "UPDATE result SET value = '3' WHERE name = 'health.score' AND CAST(substr(account_uid, 2) AS INTEGER) "
                f"% {round(1 / CHANGED)} = 0"
            )
        found: list[Any] = []
        took = cpu(lambda: found.append(draft(store, space, types, bench["AS_OF"])))
        changed = sum(not change.is_task for change in found[0].changes)
        print(
            f"{accounts:,} accounts, {len(fields)} fields, {changed:,} changes: planning {took:.2f} s, "
            f"{took / again:.1%} of an evaluation that finds little new ({again:.2f} s), "
            f"{took / judged:.1%} of a first one ({judged:.2f} s)"
        )


def agree(store: Store, fields: Mapping[str, str]) -> None:
    """Make up a CRM that holds what the rules want, all of it written by us; tasks are left out."""
    wanted = ", ".join(f"'{name}'" for name in fields.values())
    rows = store.reader().execute(
        "SELECT a.uid, r.name, r.value FROM account a LEFT JOIN result r ON r.account_uid = a.uid AND r.state = 'ok' "
        f"AND r.name IN ({wanted}) ORDER BY a.uid"
    )
    with store.transaction() as conn:
        conn.execute("DELETE FROM task")
        for uid, found in groupby(rows, key=lambda row: row["uid"]):
            results = {row["name"]: json.loads(row["value"]) for row in found if row["name"]}
            held = {field: results.get(name) for field, name in fields.items()}
            held = {field: (value if value not in ("", []) else None) for field, value in held.items()}
            conn.execute(
                "INSERT INTO account_source (connection, source_id, synced_at, name) VALUES ('crm', ?, '2026', ?)",
                (uid, uid),
            )
            conn.execute(
                "INSERT INTO account_link (connection, source_id, account_uid, method, confidence, status, valid_from) "
                "VALUES ('crm', ?, ?, 'single', 1.0, 'active', '2026')",
                (uid, uid),
            )
            conn.execute(
                "INSERT INTO crm_state (connection, source_id, synced_at, stream, fields) "
                "VALUES ('crm', ?, '2026', 'companies', ?)",
                (uid, json.dumps(held)),
            )
            conn.executemany(
                "INSERT INTO written (connection, stream, source_id, field, value, verified_at) "
                "VALUES ('crm', 'companies', ?, ?, ?, '2026')",
                [(uid, field, json.dumps(value)) for field, value in held.items() if value is not None],
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        planning(arguments.accounts, Path(folder))
        for name, vendor in CONNECTIONS.items():
            requests(name, vendor, arguments.records, Path(folder) / name)


if __name__ == "__main__":
    main()
