"""What a source that falls silent, or loses an input, does to results: pulled, judged, planned and written over HTTP
against all three sandboxes, day after day (promises R17 and R18)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Workspace
from cssync.config.load import load_workspace
from cssync.http.clock import ManualClock
from cssync.model import BANDS
from cssync.plugins import plugins
from cssync.rules import load
from cssync.runs.run import RunReport, run
from cssync.runs.sessions import open_sessions
from cssync.sandbox.make_world import BUSINESS_ZONE, make
from cssync.sandbox.server import Fault, SandboxAnswer, serve
from cssync.sandbox.workspace import CONNECTIONS, write_workspace
from cssync.sandbox.world import record_id
from cssync.store import Store
from cssync.writeback.provision import provision

WORLD = make(40)
DOWN = SandboxAnswer(503, {"error": "maintenance"})
TICKETS = r"GET /api/v2/incremental/tickets"
FIELDS = ("cs_health_score", "cs_health_band", "cs_health_data_status", "cs_health_reasons")
USED = [c for c in WORLD.companies if c.usage and "salesforce" in c.names]
Result = tuple[Any, str]


@dataclass
class Office:
    """A workspace over the three vendors, on a clock by hand. `day(n)` is the run of the n-th day."""

    space: Workspace
    clock: ManualClock
    apps: Mapping[str, Any]
    faults: list[Fault]
    measured: int = 0

    def day(self, number: int) -> RunReport:
        """Let people use the product until yesterday, then run as cron would, with a person behind it."""
        now = WORLD.now + timedelta(days=number, hours=1)
        self.clock.now = now.timestamp()
        for day in range(self.measured, number):
            self.measure(WORLD.now.astimezone(BUSINESS_ZONE).date() + timedelta(days=day))
        self.measured = max(self.measured, number)
        return run(self.space, as_of=now, approved=True, clock=self.clock)

    def measure(self, day: date) -> None:
        """Product usage of a day: that of the same weekday a week before the end of the world's own."""
        for company in USED:
            values = {d.weekday(): users for d, users in company.usage[-7:]}
            self.apps["sales"].insert(
                "Product_Usage__c", Account__c=record_id("salesforce", "account", company.key), Day__c=day.isoformat(),
                Active_Users__c=values[day.weekday()],
            )  # fmt: skip

    def results(self, *names: str) -> dict[str, dict[str, Result]]:
        """Account -> result -> (value, state)."""
        found: dict[str, dict[str, Result]] = {}
        with Store.open(self.space.store, workspace=self.space.name) as store:
            for r in store.query("SELECT account_uid, name, value, state FROM result ORDER BY 1, 2"):
                if not names or r["name"] in names:
                    found.setdefault(r["account_uid"], {})[r["name"]] = json.loads(r["value"]), r["state"]
        return found

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with Store.open(self.space.store, workspace=self.space.name) as store:
            return [tuple(row) for row in store.query(sql, values)]

    def open_work(self) -> set[tuple[str, str]]:
        """(account, rule) of open tasks and signals."""
        return set(self.rows("SELECT account_uid, rule FROM task WHERE status = 'open'")) | set(
            self.rows("SELECT account_uid, name FROM signal WHERE until IS NULL")
        )

    def shown(self) -> dict[str, dict[str, Any]]:
        """What people see of health in the CRM."""
        things = self.apps["crm"].portal.things["companies"].items()
        return {key: {f: t.properties.get(f) or None for f in FIELDS} for key, t in things}


@contextmanager
def office(folder: Path) -> Iterator[Office]:
    clock = ManualClock(WORLD.now.timestamp())
    with ExitStack() as stack:
        connectors = {name: plugins().connector(vendor) for name, vendor in CONNECTIONS.items()}
        apps = {name: c.sandbox(WORLD) for name, c in connectors.items() if c.sandbox}
        apps["crm"].clock = apps["desk"].clock = clock.time
        apps["sales"].clock = lambda: datetime.fromtimestamp(clock.time(), UTC)
        faults: list[Fault] = []
        servers = {name: stack.enter_context(serve(app, faults)) for name, app in apps.items()}
        for server in servers.values():
            server.clock = clock.time
        path = write_workspace(folder, connectors, {name: server.url for name, server in servers.items()})
        text = path.read_text()
        path.write_text(text.replace("      cs_health_as_of: health.as_of\n",
                                     "      cs_health_as_of: health.as_of\n"
                                     "      cs_health_data_status: health.data_status\n", 1))  # fmt: skip
        space = load_workspace(path)
        with (
            Store.open(space.store, workspace=space.name) as store,
            open_sessions(space, store, clock=clock) as sessions,
        ):
            provision(space, sessions, load(space), dry_run=False)
        yield Office(space, clock, apps, faults)


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "work") as made:
        yield made


def test_a_ticket_stream_that_is_down_for_three_days_makes_nobody_greener_and_is_said_everywhere(
    at_work: Office, tmp_path: Path
) -> None:
    at_work.day(0)
    names = ("health.score", "health.band", "health.data_status")
    before, work = at_work.results(*names), at_work.open_work()
    assert {r["health.band"][0] for r in before.values() if "health.band" in r} >= {"green", "red"}
    at_work.faults.append(Fault(TICKETS, times=10**6, answer=DOWN))
    for number in (1, 3):
        report = at_work.day(number)
        assert report.exit_code == 3
        assert [s.stream for s in report.streams if s.error] == ["tickets"]
    assert report.evaluation is not None
    assert {"ticket", "ticket_metric", "survey_response"} == set(report.evaluation.stale)
    found = at_work.results(*names)
    partial = {uid for uid, r in found.items() if r.get("health.data_status", ("",))[0] == "partial"}
    assert len(partial) >= 20
    for uid in partial:  # the desk is as it was when last seen: what moves is use and time alone
        assert BANDS.index(found[uid]["health.band"][0]) >= BANDS.index(before[uid]["health.band"][0])
        assert (found[uid]["health.score"][0] or 0) <= (before[uid]["health.score"][0] or 0) + 3
    assert {uid for uid, _ in work} >= {uid for uid, r in found.items() if r.get("health.band", ("",))[0] == "red"}
    desk_rules = {"K03", "K05", "O07"}
    assert {w for w in at_work.open_work() if w[1] in desk_rules} == {w for w in work if w[1] in desk_rules}
    assert {rule for _, rule in at_work.open_work() - work} <= {"R01", "R02", "R03", "R04", "R05", "R06", "O01"}
    assert {f["cs_health_data_status"] for f in at_work.shown().values()} >= {"partial"}
    assert any("source is stale" in (f["cs_health_reasons"] or "") for f in at_work.shown().values())

    at_work.faults.clear()
    assert at_work.day(4).exit_code == 0
    assert "partial" not in {r["health.data_status"][0] for r in at_work.results(*names).values()
                             if "health.data_status" in r}  # fmt: skip
    with office(tmp_path / "twin") as twin:  # the same days without an outage end in the same place
        for number in (0, 1, 3, 4):
            twin.day(number)
        told = ("health.reasons", "health.as_of")
        assert {uid: {n: v for n, v in r.items() if n not in told} for uid, r in at_work.results().items()} == {
            uid: {n: v for n, v in r.items() if n not in told} for uid, r in twin.results().items()
        }
        assert at_work.open_work() == twin.open_work()


def test_thirty_accounts_that_lose_their_usage_become_unknown_and_nobodys_task(at_work: Office) -> None:
    at_work.day(0)
    before, work = at_work.results(), at_work.open_work()
    losers = USED[:30]
    keys = {record_id("salesforce", "account", c.key) for c in losers}
    org = at_work.apps["sales"]
    at_work.clock.now += 60
    for key, row in list(org.tables["Product_Usage__c"].items()):
        if row["Account__c"] in keys:
            org.delete("Product_Usage__c", key)
    assert len(losers) == 30
    uids = {r[0] for r in at_work.rows(
        "SELECT account_uid FROM account_source WHERE connection = 'sales' AND source_id IN (SELECT value FROM "
        "json_each(?))", json.dumps(sorted(keys)))}  # fmt: skip
    at_work.clock.now += 3600
    report = run(at_work.space, as_of=datetime.fromtimestamp(at_work.clock.now, UTC), approved=True,
                 clock=at_work.clock)  # fmt: skip
    assert report.exit_code == 0
    after = at_work.results()
    for uid in uids:
        (features,) = at_work.rows("SELECT features, states FROM feature_row WHERE pack = 'health' AND account_uid = ? "
                                   "ORDER BY as_of DESC LIMIT 1", uid)  # fmt: skip
        values, states = map(json.loads, features)
        assert [values[f"measure.{m}"] for m in ("usage_trend", "seat_use", "login_recency")] == [None] * 3
        assert states["usage_growth"].startswith("missing")
        score, band = after[uid]["health.score"][0], after[uid]["health.band"][0]
        assert (band == "unknown") == (score is None)
        assert after[uid]["health.coverage"][0] < before[uid]["health.coverage"][0]
        if before[uid]["health.band"][0] != "red":
            assert band != "red"
    assert sum(after[uid]["health.band"][0] == "unknown" for uid in uids) >= 25
    assert {uid: r for uid, r in after.items() if uid not in uids} == {
        uid: r for uid, r in before.items() if uid not in uids
    }
    assert {w for w in at_work.open_work() - work if w[0] in uids} == set()
