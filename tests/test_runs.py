from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cssync import rules as language
from cssync.config import Workspace
from cssync.connectors import Connector, Identity
from cssync.errors import ConfigError, ConnectionFault, LeaseHeld
from cssync.runs import sessions as opening
from cssync.runs.lease import hold_lease
from cssync.runs.run import RunReport, run
from cssync.runs.sessions import WrongOrg, open_sessions
from cssync.store import Store
from cssync.sync import StreamReport
from cssync.writeback import plan as planning
from cssync.writeback.plan import approve_plan, load_plan
from fake_crm import AS_OF, TYPES, Crm, FakeSession, result, workspace

BAND = {"cs_health_band": "health.band"}


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Rules that want one band for every account; the band can be changed."""
    wanted = {"band": "red"}

    def evaluate(store: Store, rules: Any, space: Workspace, as_of: Any, **_: Any) -> None:
        for row in store.query("SELECT uid FROM account"):
            result(store, row["uid"], "health.band", wanted["band"])

    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)
    monkeypatch.setattr(language, "load", lambda space: None)
    monkeypatch.setattr(language, "evaluate", evaluate, raising=False)
    return wanted


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """Sessions without HTTP; connections named here fail to open."""
    broken: dict[str, Exception] = {}

    @contextmanager
    def fake(connector: Connector, settings: Any, *, connection: str, **options: Any) -> Iterator[Any]:
        if connection in broken:
            raise broken[connection]
        yield FakeSession()

    monkeypatch.setattr(opening, "open_session", fake)
    return broken


def space_of(tmp_path: Path, crms: dict[str, Crm], **options: Any) -> Workspace:
    return workspace(tmp_path, crms, fields=BAND, **options)


def last_run(space: Workspace) -> dict[str, Any]:
    with Store.open(space.store) as store:
        row = store.query("SELECT * FROM run ORDER BY started_at DESC, id DESC LIMIT 1")[0]
        return {**dict(row), "summary": json.loads(row["summary"])}


def test_the_first_run_plans_the_approved_plan_is_sent_and_then_the_world_stands_still(
    tmp_path: Path, rules: dict[str, str]
) -> None:
    crm = Crm({str(n): {} for n in range(8)})
    space = space_of(tmp_path, {"crm": crm})
    first = run(space, as_of=AS_OF)
    assert (first.exit_code, crm.journal) == (4, [])
    assert first.plan is not None
    assert first.plan.held_by == ("crm: first write to this connection",)
    assert last_run(space)["outcome"] == "needs-approval"
    with Store.open(space.store) as store:
        approve_plan(store, first.plan.id)
    second = run(space, as_of=AS_OF)  # an approved plan that nobody applied yet is carried out by the next run
    assert (second.exit_code, len(crm.journal)) == (0, 8)
    for _ in range(2):
        third = run(space, as_of=AS_OF)
        assert third.plan is not None
        assert (third.exit_code, third.plan.changes, third.plan.status, len(crm.journal)) == (0, (), "applied", 8)
    rules["band"] = "green"
    assert run(space, as_of=AS_OF).exit_code == 4
    assert run(space, as_of=AS_OF, approved=True).exit_code == 0
    assert {c["cs_health_band"] for c in crm.companies.values()} == {"green"}
    summary = last_run(space)
    assert (summary["outcome"], summary["summary"]["applied"]["outcomes"]) == ("ok", {"verified": 8})


def test_one_connection_down_stops_no_other(tmp_path: Path, opened: dict[str, Exception]) -> None:
    crm, desk = Crm({"1": {}}), Crm({"7": {}})
    space = space_of(tmp_path, {"crm": crm, "desk": desk})
    opened["desk"] = ConnectionFault("desk.example cannot be reached")
    report = run(space, as_of=AS_OF, approved=True)
    assert (report.exit_code, len(crm.journal), desk.journal) == (3, 1, [])
    assert report.faults["desk"] is opened["desk"]
    assert last_run(space)["outcome"] == "partial"
    del opened["desk"]
    assert run(space, as_of=AS_OF, approved=True).exit_code == 0
    assert desk.companies["7"] == {"cs_health_band": "red"}


@pytest.mark.parametrize(("error", "code"), [(ConnectionFault("down"), 1), (ConfigError("wrong token"), 2)])
def test_when_nothing_could_be_pulled_the_run_failed(
    tmp_path: Path, opened: dict[str, Exception], error: Exception, code: int
) -> None:
    opened["crm"] = error
    report = run(space := space_of(tmp_path, {"crm": Crm({"1": {}})}), as_of=AS_OF)
    assert (report.exit_code, report.plan) == (code, None)
    assert (last_run(space)["outcome"], last_run(space)["exit_code"]) == ("failed", code)


@pytest.mark.parametrize("other", [Identity("2", "Fake", "sandbox"), Identity("1", "Fake", "production")])
def test_another_organisation_behind_the_credentials_stops_before_anything_is_read(
    tmp_path: Path, other: Identity
) -> None:
    crm = Crm({"1": {}})
    run(space_of(tmp_path, {"crm": crm}), as_of=AS_OF)
    swapped = space_of(tmp_path, {"crm": crm, "desk": Crm({"7": {}})}, connector={"identity": lambda session: other})
    crm.before_read = lambda: pytest.fail("nothing may be read")
    with pytest.raises(WrongOrg, match="holds data of Fake") as stopped:
        run(swapped, as_of=AS_OF)
    assert stopped.value.exit_code == 2
    assert last_run(swapped)["exit_code"] == 2


def test_a_connectors_own_bug_is_a_fault_of_its_connection(tmp_path: Path) -> None:
    def broken(session: Any) -> Identity:
        raise KeyError("portalId")

    space = space_of(tmp_path, {"crm": Crm()}, connector={"identity": broken})
    with Store.open(space.store) as store, open_sessions(space, store) as found:
        assert isinstance(found["crm"], ConnectionFault)
        assert "KeyError" in found["crm"].message


def test_a_second_run_leaves_at_once(tmp_path: Path) -> None:
    space = space_of(tmp_path, {"crm": Crm({"1": {}})})
    with Store.open(space.store) as store, hold_lease(store, owner="r-1"), pytest.raises(LeaseHeld) as refused:
        run(space, as_of=AS_OF)
    assert refused.value.exit_code == 5


def test_a_run_takes_up_what_a_killed_one_had_begun(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def die(changes: Any) -> None:
        if len(crm.journal) >= 200:
            raise Killed

    crm = Crm({str(n): {} for n in range(250)}, before_push=die)
    space = space_of(tmp_path, {"crm": crm})
    with pytest.raises(Killed):
        run(space, as_of=AS_OF, approved=True)
    crm.before_push = lambda changes: None
    report = run(space, as_of=AS_OF)  # nobody has to approve the rest of it again
    assert report.exit_code == 0
    assert report.resumed is not None
    assert dict(report.resumed.outcomes) == {"verified": 250}
    assert (len(crm.journal), {c.get("cs_health_band") for c in crm.companies.values()}) == (250, {"red"})
    with Store.open(space.store) as store:
        assert load_plan(store, report.resumed.plan_id).status == "applied"


def test_exit_codes_of_a_report() -> None:
    ok = StreamReport("crm", "companies", "account_source")
    report = RunReport("r", AS_OF, streams=[ok, replace(ok, outcome="empty")])
    assert report.exit_code == 0
    report.streams.append(replace(ok, outcome="partial"))
    assert report.exit_code == 3
    assert json.dumps(report.as_dict())
