"""`cssync demo`: the whole job over real HTTP, and what it leaves behind."""

from __future__ import annotations

import io
import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from cssync.cli import main
from cssync.config.load import load_workspace
from cssync.plugins import plugins
from cssync.runs.sessions import open_sessions
from cssync.sandbox.demo import demo
from cssync.sandbox.demo_report import DemoReport
from cssync.sandbox.demo_verify import verify
from cssync.sandbox.make_world import make
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.sandbox.vendors import Requests, Vendor, vendors
from cssync.sandbox.workspace import CONNECTIONS, write_workspace
from cssync.sandbox.world import World
from cssync.store import Store
from cssync.views.demo import screen
from cssync.views.picture import svg
from cssync.views.terminal import console
from cssync.writeback import load_plan

COMPANIES = 40


class Played:
    """A demo that has been run; its vendors are still up."""

    def __init__(self, report: DemoReport, world: World, running: tuple[Vendor, ...], folder: Path) -> None:
        self.report = report
        self.world = world
        self.running = {vendor.connection: vendor for vendor in running}
        self.folder = folder
        self.config = folder / "cssync.yaml"

    def cssync(self, *args: str) -> Result:
        return CliRunner().invoke(main, ["-c", str(self.config), *args])

    def bodies(self, connection: str, route: str) -> list[Any]:
        """Decoded bodies of every request to a vendor that matches."""
        return [json.loads(entry.body) for entry in self.running[connection].server.requests(route)]

    def requests(self) -> Requests:
        return sum((vendor.requests() for vendor in self.running.values()), Requests())


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("demo") / "workspace"
    connectors = {name: plugins().connector(connector) for name, connector in CONNECTIONS.items()}
    now = datetime.now(UTC)
    world = make(COMPANIES, 7, now)
    with vendors(world, connectors) as running:
        path = write_workspace(folder, connectors, {v.connection: v.server.url for v in running})
        report = demo(path, running, companies=COMPANIES, as_of=now, say=lambda line: None)
        yield Played(report, world, running, folder)


def test_everything_is_verified_and_the_second_run_writes_nothing(played: Played) -> None:
    assert played.report.faults == ()
    assert (played.report.second.planned, played.report.second.writes) == (0, 0)
    assert played.report.second.reads > 0


def test_what_was_pulled_is_what_the_vendors_hold(played: Played) -> None:
    streams = {(p.connection, name): n for p in played.report.pulled for name, n in p.streams}
    companies = played.world.companies
    for connection, stream in (("crm", "companies"), ("sales", "accounts"), ("desk", "organizations")):
        assert streams[connection, stream] == sum(CONNECTIONS[connection] in c.names for c in companies)
    ours = 1  # an internal ticket from the days of the trial
    assert streams["desk", "tickets"] == sum(len(c.requests) for c in companies) + ours
    assert streams["sales", "contracts"] == sum(len(c.terms) for c in companies if "salesforce" in c.names)
    assert streams["sales", "Product_Usage__c"] == sum(len(c.usage) for c in companies if "salesforce" in c.names)


def test_what_was_sent_is_what_arrived_at_the_vendors(played: Played) -> None:
    sent = {s.connection: s for s in played.report.sent}
    hubspot = [i["properties"] for b in played.bodies("crm", "POST .*/batch/update") for i in b["inputs"]]
    tasks = [i for b in played.bodies("crm", "POST .*/tasks/batch/create") for i in b["inputs"]]
    salesforce = [r for b in played.bodies("sales", "PATCH .*/composite/sobjects$") for r in b["records"]]
    zendesk = [o for b in played.bodies("desk", "PUT .*/update_many") for o in b["organizations"]]
    assert (sent["crm"].records, sent["crm"].fields, sent["crm"].tasks) == (
        len(hubspot),
        sum(len(properties) for properties in hubspot),
        len(tasks),
    )
    assert (sent["sales"].records, sent["sales"].fields) == (len(salesforce), sum(len(r) - 2 for r in salesforce))
    assert (sent["desk"].records, sent["desk"].fields) == (
        len(zendesk),
        sum(len(o["organization_fields"]) for o in zendesk),
    )
    assert all(s.verified == s.fields + s.tasks > 0 for s in sent.values())


def test_the_screen_agrees_with_the_store(played: Played) -> None:
    with Store.open(played.folder / "cssync.db") as store:
        bands = dict(store.query("SELECT value, count(*) FROM result WHERE name = 'health.band' GROUP BY value"))
        open_tasks = store.query("SELECT count(*) FROM task WHERE status = 'open'")[0][0]
        signals = store.query("SELECT count(*) FROM signal WHERE until IS NULL")[0][0]
        states = dict(store.query("SELECT state, count(*) FROM outbox GROUP BY state"))
    report = played.report
    assert {json.loads(band) or "unknown": n for band, n in bands.items()} == report.bands
    assert sum(t.count for t in report.tasks) == open_tasks > 0
    assert sum(s.count for s in report.signals) == signals > 0
    assert states == {"verified": report.planned.fields + report.planned.tasks + report.planned.lists}


def test_every_open_task_is_in_the_crm_or_waits_or_its_account_is_not_there(played: Played) -> None:
    with Store.open(played.folder / "cssync.db") as store:
        homeless = store.query(
            "SELECT count(*) FROM task t WHERE t.status = 'open' AND NOT EXISTS (SELECT 1 FROM account_link l "
            "WHERE l.account_uid = t.account_uid AND l.connection = 'crm' AND l.status = 'active')"
        )[0][0]
    planned = played.report.planned
    assert sum(t.count for t in played.report.tasks) == planned.tasks + planned.later + homeless


def test_the_stories_of_the_world_come_out_as_bands_and_signals(played: Played) -> None:
    """Who is silent or troubled is red, who is steady is green: the demo tells what its world holds."""
    stories = {name: c.story for c in played.world.companies for name in c.names.values()}
    with Store.open(played.folder / "cssync.db") as store:
        rows = store.query(
            "SELECT DISTINCT s.name, b.value FROM result b JOIN account_source s ON s.account_uid = b.account_uid "
            "WHERE b.name = 'health.band' AND s.connection = 'sales'"
        )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(stories[row["name"]], []).append(json.loads(row["value"]))
    assert found["silent"] == ["red"]
    assert found["troubled"] == ["red"]
    assert set(found["declining"]) <= {"red", "yellow"}
    assert found["steady"].count("green") >= 0.9 * len(found["steady"])
    assert found["unmeasured"] == ["unknown"]


def test_the_card_was_empty_before_and_tells_score_band_and_task_after(played: Played) -> None:
    card = played.report.card
    assert card is not None
    before, after = dict(card.before), dict(card.after)
    own = [label for label in after if label not in ("Name", "Domain")]
    assert own
    assert all(before[label] == "" for label in own)
    assert "red" in after.values()
    assert card.tasks_before == ()
    assert len(card.tasks_after) >= 1


def test_reading_back_notices_what_is_not_there(played: Played) -> None:
    """The proof is worth something only if it fails when a vendor holds something else."""
    workspace = load_workspace(played.config)
    portal = played.running["crm"].server.app.portal  # type: ignore[attr-defined]
    with Store.open(workspace.store, workspace=workspace.name) as store:
        plan = load_plan(store, store.query("SELECT plan_id FROM outbox LIMIT 1")[0]["plan_id"])
        change = next(c for c in plan.changes if c.connection == "crm" and c.field == "cs_health_band")
        thing = portal.things["companies"][change.source_id]
        held = dict(thing.properties)
        thing.properties["cs_health_band"] = "green" if change.new != "green" else "red"
        with open_sessions(workspace, store) as sessions:
            found = verify(workspace, sessions, plan)["crm"]
        thing.properties.update(held)
    assert found.missing == [f"crm companies {change.source_id}: cs_health_band"]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_screen_fits_the_terminal_and_holds_no_control_characters(played: Played, width: int) -> None:
    hostile = replace(played.report.at_risk[0], name="\x1b[31m株式会社\u202eevil\x07", reasons="a\x1b]0;title\x07b")
    report = replace(played.report, at_risk=(hostile, *played.report.at_risk[1:]))
    out = io.StringIO()
    target = console(file=out, width=width)
    target.print(screen(report, width))
    text = out.getvalue()
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not [c for c in text if c != "\n" and (ord(c) < 32 or c in "\x7f\u202e")]
    assert "0 writes sent" in text
    assert all(number in text for number in (f"{played.report.linked.accounts:,}", f"{played.report.planned.fields:,}"))


def test_the_picture_is_svg_that_loads_nothing(played: Played) -> None:
    drawn = svg(screen(played.report, 104), "Result <of> the demo")
    root = ElementTree.fromstring(drawn)  # noqa: S314 - we wrote it
    assert root.attrib["aria-label"] == "Result <of> the demo"
    assert "url(" not in drawn
    assert drawn.count("http") == 1  # the namespace


def test_secrets_are_in_files_of_their_own_and_nowhere_else(played: Played) -> None:
    secrets = list((played.folder / "secrets").iterdir())
    assert secrets
    values = [path.read_text().strip() for path in secrets]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secrets)
    for path in played.folder.rglob("*"):
        if path.is_file() and path not in secrets:
            held = path.read_bytes()
            assert not [value for value in values if value.encode() in held], path


@pytest.mark.parametrize(
    "args",
    [
        ("status",),
        ("accounts",),
        ("check",),
        ("plan",),
        ("rules", "check"),
        ("link", "list"),
        ("sync",),
        ("evaluate",),
        ("failures",),
        ("quarantine", "list"),
    ],
    ids=" ".join,
)
def test_every_command_works_on_the_workspace_it_leaves(played: Played, args: tuple[str, ...]) -> None:
    result = played.cssync(*args)
    assert result.exit_code == 0, result.output


def test_explain_and_history_tell_of_the_account_on_the_card(played: Played) -> None:
    card = played.report.card
    assert card is not None
    explained = played.cssync("explain", card.name)
    assert explained.exit_code == 0, explained.output
    assert card.name in explained.output
    assert played.cssync("history", card.name).exit_code == 0


def test_a_third_run_from_the_command_line_writes_nothing_either(played: Played) -> None:
    before = played.requests()
    result = played.cssync("run")
    assert result.exit_code == 0, result.output
    assert played.requests().writes == before.writes


def test_writes_that_a_vendor_refuses_are_faults_of_the_demo(tmp_path: Path) -> None:
    connectors = {name: plugins().connector(connector) for name, connector in CONNECTIONS.items()}
    now = datetime.now(UTC)
    refused = SandboxAnswer(422, {"error": "RecordInvalid", "description": "Record validation errors"})
    with vendors(make(5, 7, now), connectors) as running:
        desk = next(vendor for vendor in running if vendor.connection == "desk")
        desk.server.faults.append(Fault("PUT .*/update_many", times=99, answer=refused))
        path = write_workspace(tmp_path, connectors, {v.connection: v.server.url for v in running})
        report = demo(path, running, companies=5, as_of=now, say=lambda line: None)
    assert any("desk" in fault and "failed-permanent" in fault for fault in report.faults)
    assert any(fault.startswith("desk") and "not what the vendor holds" in fault for fault in report.faults)
    sent = {s.connection: s for s in report.sent}
    assert sent["desk"].verified == 0 < sent["desk"].fields
    assert sent["crm"].verified == sent["crm"].fields + sent["crm"].tasks


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_ends_with_0_and_its_screen(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    result = CliRunner().invoke(main, ["demo", "--companies", "12", "--picture", str(picture)])
    assert result.exit_code == 0, result.output
    assert "0 writes sent" in result.stdout
    assert picture.read_text().startswith("<svg")


def test_the_command_as_json_leaves_its_workspace_where_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--companies", "5", "--json", "--keep", str(tmp_path / "kept")])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["version"] == 1
    assert document["companies"] == 5
    assert document["faults"] == []
    again = CliRunner().invoke(main, ["-c", str(tmp_path / "kept" / "cssync.yaml"), "status"])
    assert again.exit_code == 0, again.output


def test_the_command_touches_no_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    result = CliRunner().invoke(main, ["demo", "--keep", str(tmp_path)])
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["demo", "--companies", "1", "--port", str(port)])
    assert result.exit_code == 2
    assert str(port) in result.stderr
    assert "Traceback" not in result.stderr


def test_serve_keeps_the_vendors_up_until_it_is_asked_to_end(tmp_path: Path) -> None:
    """The kept workspace can be run again, from another process, as long as the vendors are up."""
    command = [sys.executable, "-m", "cssync", "demo", "--companies", "5", "--serve", "--port", "0",
               "--keep", str(tmp_path / "kept")]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for said in process.stderr:
            if "Ctrl-C" in said:
                break
        again = CliRunner().invoke(main, ["-c", str(tmp_path / "kept" / "cssync.yaml"), "run"])
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
    assert again.exit_code == 0, again.output
