"""Disconnect explains, forgets only what the connection's own state is, and never touches the vendor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cssync.cli import main
from cssync.cli.context import Call
from cssync.config import Connection, Workspace
from cssync.connectors import ConnectionSettings
from cssync.connectors.contract import Outcome
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, task, workspace


@pytest.fixture
def crm() -> Crm:
    return Crm({"1": {}, "2": {}})


@pytest.fixture
def space(tmp_path: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Connection crm, which was written to, and crm2 beside it."""
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)
    made = workspace(tmp_path, {"crm": crm}, fields={"cs_health_band": "health.band"})
    other = made.connections["crm"].connector
    made = replace(
        made,
        connections={**made.connections, "crm2": Connection("crm2", other, ConnectionSettings(connector="fake"), ())},
        masters={"account.name": "crm"},
    )
    monkeypatch.setattr(Call, "workspace", lambda self, *, secrets=True: made)
    with Store.open(made.store, workspace=made.name) as store:
        for n in "12":
            account(store, f"a-{n}")
            result(store, f"a-{n}", "health.band", "red")
        task(store, "a-1")
        pulled(store, crm)
        crm.answer = lambda change, outcome: Outcome(change.key, "unknown") if change.source_id == "2" else outcome
        crm.before_read = lambda: None
        rules: Any = None
        plan = planning.make_plan(store, made, rules, AS_OF, run_id="r1")
        apply_plan(store, made, plan.id, sessions(made), run_id="r1")
        with store.transaction() as conn:
            for name in made.connections:
                conn.execute(
                    "INSERT INTO source_state (connection, stream, cursor) VALUES (?, 'companies', '1')", (name,)
                )
                conn.execute("INSERT INTO binding (connection, org_id) VALUES (?, '7')", (name,))
                conn.execute("INSERT INTO rate_limit (bucket, tat) VALUES (?, 1.0)", (f"{name}/all",))
    return made


def cssync(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def left(space: Workspace) -> dict[str, list[str]]:
    with Store.open(space.store) as store:
        columns = {"source_state": "connection", "binding": "connection", "rate_limit": "bucket"}
        return {t: [r[0] for r in store.query(f"SELECT {c} FROM {t} ORDER BY 1")] for t, c in columns.items()}


def test_it_explains_and_changes_nothing(space: Workspace, crm: Crm) -> None:
    before, written = left(space), list(crm.journal)
    told = cssync("disconnect", "crm")
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "1. vendor", "2. vendor", "3. vendor", "4. cssync.yaml", "5. store",
    ]  # fmt: skip
    assert "1 open tasks of cssync stay in Fake" in lines[0]
    assert lines[1].endswith("cs_health_band")
    assert "take out connections.crm, writeback.crm, masters.account.name" in lines[3]
    assert (left(space), crm.journal) == (before, written)


def test_with_yes_it_forgets_this_connection_only_and_deletes_nothing_in_the_crm(space: Workspace, crm: Crm) -> None:
    companies, written = json.loads(json.dumps(crm.companies)), list(crm.journal)
    with Store.open(space.store) as store, store.transaction() as conn:
        conn.execute("UPDATE outbox SET state = 'unknown' WHERE source_id = '2'")
    told = json.loads(cssync("disconnect", "crm", "--yes", "--json").stdout)
    assert told["forgotten"] == {"source_state": 1, "binding": 1, "token": 0, "rate_limit": 1, "open writes": 1}
    assert left(space) == {"source_state": ["crm2"], "binding": ["crm2"], "rate_limit": ["crm2/all"]}
    assert (crm.companies, crm.journal) == (companies, written)
    with Store.open(space.store) as store:
        states = {row["source_id"]: row["state"] for row in store.query("SELECT source_id, state FROM outbox")}
        assert (states["2"], states["1"]) == ("refused", "verified")
        assert store.query("SELECT count(*) AS n FROM account_source")[0]["n"] == 2
        assert store.query("SELECT status FROM plan")[0]["status"] != "open"


def test_a_wrong_name_is_told(space: Workspace) -> None:
    assert cssync("disconnect", "crmm").exit_code == 2
