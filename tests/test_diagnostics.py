"""The report for support: enough to find a fault, and nothing of a customer or a secret in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cssync.cli import main
from cssync.plugins import plugins
from cssync.sandbox.make_world import make
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.sandbox.vendors import vendors
from cssync.sandbox.workspace import CONNECTIONS, write_workspace
from cssync.store import Store
from cssync.views.diagnostics import masked

PRIVATE = (
    ("name", "account"), ("uid", "account"), ("email", "contact"), ("name", "contact"), ("source_id", "account_source"),
    ("subject", "ticket"), ("key", "task"),
)  # fmt: skip
NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def test_a_report_holds_no_customer_and_no_secret(tmp_path: Path) -> None:
    connectors = {name: plugins().connector(vendor) for name, vendor in CONNECTIONS.items()}
    world = make(12, now=NOW)
    with vendors(world, connectors) as running:
        path = write_workspace(tmp_path, connectors, {v.connection: v.server.url for v in running})
        name = str(path)
        desk = next(v for v in running if v.connection == "desk")
        said = SandboxAnswer(403, {"error": "Forbidden", "description": f"'{world.companies[0].key}' is closed"})
        desk.server.faults.append(Fault("incremental/organizations", answer=said, times=100))
        for command in (["sync"], ["evaluate"], ["plan"]):
            CliRunner().invoke(main, ["-c", name, *command])
        with Store.open(tmp_path / "cssync.db", create=False) as store:
            private = {
                str(row[0])
                for column, table in PRIVATE
                for row in store.query(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
            }
    settings = {str(v) for c in connectors.values() for v in c.sandbox_settings.values() if len(str(v)) > 7}
    result = CliRunner().invoke(main, ["-c", name, "diagnostics"])
    assert result.exit_code == 0, result.stderr
    assert len(private) > 100
    assert [p for p in private if len(p) > 5 and p in result.stdout] == []
    assert [s for s in settings if s in result.stdout] == []
    assert world.companies[0].key not in result.stdout
    report = json.loads(result.stdout)
    (refused,) = [s for s in report["store"]["streams"] if s["error"]]
    assert (refused["connection"], refused["stream"]) == ("desk", "organizations")
    assert "Forbidden" in refused["error"]
    assert report["store"]["rows"]["contact"] > 0
    assert [r["command"] for r in report["store"]["runs"]] == ["plan", "evaluate", "sync"]
    desk_outline = report["workspace"]["connections"]["desk"]
    assert "client_secret" in desk_outline["secrets"]
    assert desk_outline["streams"] == ["organizations", "users", "tickets"]


def test_before_the_first_run_there_is_a_report_too(tmp_path: Path) -> None:
    connectors = {name: plugins().connector(vendor) for name, vendor in CONNECTIONS.items()}
    path = write_workspace(tmp_path, connectors, dict.fromkeys(connectors, "http://127.0.0.1:9"))
    result = CliRunner().invoke(main, ["-c", str(path), "diagnostics"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["store"] is None
    assert not (tmp_path / "cssync.db").exists()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Name: 'Acme GmbH' has already been taken", "Name: *** has already been taken"),
        ('owner "Yamada" of 900000000123 is inactive', "owner *** of *** is inactive"),
        ("ask ops@acme.example, see https://acme.example/x?y", "ask *** see ***"),
        ("record 001xx000003DGb2AAG is locked\nTraceback: secret", "record *** is locked"),
        ("HTTP 503 after 5 tries", "HTTP 503 after 5 tries"),
        ("", None),
    ],
)
def test_what_may_tell_of_a_customer_is_masked(said: str, shown: str | None) -> None:
    assert masked(said) == shown
