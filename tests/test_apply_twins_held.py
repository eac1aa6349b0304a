"""Twin runs over a vendor that we filled before: what is not known clears nothing (R24), and what a typo would do waits
for a person (R28): a vendor on whom any write is an error gets none, an approval sends that plan and no other."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cssync.errors import ApprovalNeeded, ConfigError
from cssync.plugins import plugins
from cssync.rules import load
from cssync.runs.run import RunReport, run
from cssync.runs.sessions import open_sessions
from cssync.sandbox.make_world import make
from cssync.sandbox.server import Fault
from cssync.writeback.apply import ApplyReport, apply_plan
from cssync.writeback.canonical import kind_of, same
from cssync.writeback.plan import Plan, approve_plan, latest_plan, load_plan, make_plan
from cssync.writeback.provision import provision
from office import RULES, UPDATES, WORLD, Glass, Office, served
from test_apply_twins import TROUBLE
from test_apply_twins_world import EDITED, edit
from twins import Twin, come_through

# --- R24: unknown never clears ----------------------------------------------------------------------------------------

EMPTY = {"hubspot": "", "salesforce": "None", "zendesk": "None"}
"""How each vendor is told to empty a field, as the journal has it."""
NOT_KNOWN: tuple[Callable[[Office, str], None], ...] = (
    lambda office, uid: say(office, uid, None, "unknown"),
    lambda office, uid: say(office, uid, None, "stale"),
    lambda office, uid: unsay(office, uid),
)
"""Ways of not knowing: an input that is missing, one that is too old, and rules that say nothing at all any more."""


def say(office: Office, uid: str, value: Any, state: str) -> None:
    """Let the rules come to another band."""
    with office.store.transaction() as conn:
        conn.execute("UPDATE result SET value = ?, state = ? WHERE account_uid = ? AND name = 'health.band'",
                     (json.dumps(value), state, uid))  # fmt: skip


def unsay(office: Office, uid: str) -> None:
    """Let the rules come to nothing."""
    with office.store.transaction() as conn:
        conn.execute("DELETE FROM result WHERE account_uid = ?", (uid,))


@pytest.mark.parametrize("trouble", ["none", "lost before it arrived", "lost after it arrived", "answer cut"])
@pytest.mark.parametrize("vendor", UPDATES)
def test_of_three_unknown_results_and_one_explicit_empty_the_journal_holds_one_clear(
    tmp_path: Path, calm: dict[str, Twin], vendor: str, trouble: str
) -> None:
    twin = calm[vendor]
    with twin.disturbed(tmp_path) as office:
        assert office.run()
        written = office.ledger.journal
        rows = office.store.query("SELECT account_uid, source_id FROM account_link ORDER BY account_uid")
        cleared, *unknown = (row["account_uid"] for row in rows[:4])
        for uid, forget in zip(unknown, NOT_KNOWN, strict=True):
            forget(office, uid)
        say(office, cleared, None, "ok")
        if trouble != "none":
            office.server.faults.append(Fault(f"{UPDATES[vendor]}|PATCH .*/Account/", **TROUBLE[trouble]))
        runs = 0
        for _ in range(3):
            runs += come_through(office, 4, pull=True)
        record = rows[0]["source_id"]
        ((band, _),) = [row[1:] for row in written if row[0] == record and "band" in row[1].casefold()]
        one = (record, band, EMPTY[vendor])
        assert Counter(office.ledger.journal) - Counter(written) == Counter([one])
        held = next(name for name in twin.world[0][record] if name.casefold() == band.casefold())
        twin.must_equal(office, but={record: {held: None}}, more=[one])
        plans = office.store.query("SELECT action, field, account_uid FROM plan_change WHERE action = 'clear'")
        assert {tuple(row) for row in plans} == {("clear", held, cleared)}, "the plan says that it clears"


# --- R28: brakes ------------------------------------------------------------------------------------------------------

PACK = """
pack: health
features: {people: {count: contacts}}
score:
  bands: {red: 0, yellow: 40, green: 70}
  measures: {people: {weight: 1, curve: {of: people, at: {0: 10, 1: 30, 12: 95}}}}
"""
RIGHT, TYPO = "{0: 10, 1: 30, 12: 95}", "{0: 95, 1: 80, 12: 10}"
"""More people at work with a product is good; the typo has it the other way round."""


@dataclass(frozen=True)
class Held:
    """A vendor and a store right after the run that met the typo. `twin`: what an approval nobody disturbs makes of
    them; its journal holds the approved plan and nothing else."""

    report: RunReport
    plan: Plan
    touched: tuple[str, ...]
    scores: tuple[int, int]
    """(how many scores the typo flips, how many there are)"""
    twin: Twin

    def space(self, office: Office) -> Any:
        """The workspace with the company's own rules."""
        return replace(office.space, rules=(self.twin.store.parent / "own",))


def hold(folder: Path, vendor: str) -> Held:
    """Fill a vendor by its rules, have somebody make the typo, and run."""
    make_app = plugins().connector(vendor).sandbox
    assert make_app is not None
    app: Any = make_app(make(24))
    glass = Glass(app)
    (folder / "own").mkdir()
    pack = folder / "own" / "health.yaml"
    pack.write_text(PACK)
    with served(folder, vendor, app, front=lambda _: glass) as office:
        space = replace(office.space, rules=(pack.parent,))
        with open_sessions(space, office.store, clock=office.clock) as sessions:
            provision(space, sessions, load(space), dry_run=False)
        assert run(space, as_of=WORLD.now, approved=True, clock=office.clock).exit_code == 0
        before = dict(office.store.query("SELECT account_uid, value FROM result WHERE name = 'health.score'"))
        pack.write_text(PACK.replace(RIGHT, TYPO))
        glass.shut = True
        office.clock.sleep(86_400)
        report = run(space, as_of=WORLD.now, clock=office.clock)
        glass.shut = False
        after = dict(office.store.query("SELECT account_uid, value FROM result WHERE name = 'health.score'"))
        assert report.plan is not None
        flipped = sum(after[uid] != value for uid, value in before.items())
    app.clock = None
    if vendor == "hubspot":
        app.portal.clock = None
    kept = pickle.dumps(app, -1)
    shutil.copy(folder / "cssync.db", folder / "before.db")
    with served(folder, vendor, app) as office:
        assert approve(office, report.plan.id).exit_code == 0
        done = Twin(vendor, kept, folder / "before.db", office.world(), office.ledger.journal, ())
    return Held(report, report.plan, tuple(glass.touched), (flipped, len(before)), done)


def approve(office: Office, plan: str) -> ApplyReport:
    """`cssync approve`."""
    approve_plan(office.store, plan)
    with open_sessions(office.space, office.store, clock=office.clock) as sessions:
        return apply_plan(office.store, office.space, plan, sessions, run_id="r-approved", clock=office.clock)


@pytest.fixture(scope="module")
def typos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Held]:
    """The typo's run at each vendor."""
    return {vendor: hold(tmp_path_factory.mktemp(vendor), vendor) for vendor in UPDATES}


@pytest.fixture
def typo(typos: dict[str, Held], vendor: str) -> Held:
    return typos[vendor]


@pytest.fixture
def office(tmp_path: Path, typo: Held) -> Iterator[Office]:
    with typo.twin.disturbed(tmp_path) as found:
        yield found


def rows(plan: Plan) -> list[tuple[str, str]]:
    """The places that a plan writes to, as the journal names them."""
    return sorted((change.source_id, change.field.casefold()) for change in plan.changes)


def places(office: Office) -> list[tuple[str, str]]:
    return sorted((record, name.casefold()) for record, name, _ in office.ledger.rows)


@pytest.mark.parametrize("vendor", UPDATES)
def test_a_typo_that_flips_95_of_100_scores_is_held_and_no_write_is_tried(
    typo: Held, office: Office, vendor: str
) -> None:
    flipped, scores = typo.scores
    assert flipped >= 0.95 * scores >= 15
    assert (typo.report.exit_code, typo.plan.status, typo.touched) == (4, "held", ())
    assert typo.report.applied is None
    told = [why for why in typo.plan.held_by if "cs_health_score" in why.casefold()]
    assert [f"{flipped} of {scores} records would change, the limit is 20%" in why for why in told] == [True]
    with open_sessions(office.space, office.store, clock=office.clock) as sessions:
        with pytest.raises(ApprovalNeeded) as stopped:
            apply_plan(office.store, office.space, typo.plan.id, sessions, run_id="r-2", clock=office.clock)
        assert stopped.value.exit_code == 4
    again = run(typo.space(office), as_of=WORLD.now, clock=office.clock)
    assert (again.exit_code, again.plan and again.plan.id) == (4, typo.plan.id), "it waits, as long as it takes"
    assert office.ledger.rows == []


@pytest.mark.parametrize("trouble", ["none", "lost before it arrived", "lost after it arrived", "busy for long"])
@pytest.mark.parametrize("vendor", UPDATES)
def test_an_approval_sends_exactly_that_plan(typo: Held, office: Office, vendor: str, trouble: str) -> None:
    if trouble != "none":
        office.server.faults.append(Fault(UPDATES[vendor], **TROUBLE[trouble]))
    approve(office, typo.plan.id)
    come_through(office)
    assert places(office) == rows(typo.plan)
    fields = office.world()[0]
    for change in typo.plan.changes:
        assert same(fields[change.source_id][change.field], change.new, kind_of(change.new))
    typo.twin.must_equal(office)


@pytest.mark.parametrize("vendor", UPDATES)
def test_an_approval_is_refused_once_the_typo_is_put_right(
    tmp_path: Path, typo: Held, office: Office, vendor: str
) -> None:
    """The next run comes to the values that are in the CRM already: its plan, which is empty, took the place."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "health.yaml").write_text(PACK)
    space = replace(office.space, rules=(tmp_path / "own",))
    assert run(space, as_of=WORLD.now, clock=office.clock).exit_code == 0
    with pytest.raises(ConfigError, match="overtaken by a newer plan"):
        approve(office, typo.plan.id)
    assert office.ledger.rows == []
    assert load_plan(office.store, typo.plan.id).status == "superseded"


@pytest.mark.parametrize("vendor", UPDATES)
def test_an_approval_leaves_alone_what_moved_and_is_refused_where_everything_did(
    typo: Held, office: Office, vendor: str
) -> None:
    """People set every band; then the approval of a plan that changes bands alone has nothing left to do."""
    office.follow("unless-edited")
    bands = {change.source_id: change for change in typo.plan.changes if "band" in change.field.casefold()}
    moved = sorted(key for key, change in bands.items() if "yellow" not in (change.old, change.new))
    assert len(moved) > 5
    only, *others = moved
    edit(office, vendor, only, band=EDITED[vendor])
    report = approve(office, typo.plan.id)
    assert report.outcomes == {"verified": len(typo.plan.changes) - 1, "refused": 1}
    assert report.exit_code == 3
    (left,) = report.open
    assert (left.source_id, left.field) == (only, bands[only].field)
    assert "the CRM holds 'yellow' now" in left.error
    missing = (only, bands[only].field.casefold())
    assert places(office) == [row for row in rows(typo.plan) if row != missing]

    with office.store.transaction() as conn:  # the bands of before, as a second slip would bring them back
        for key in others:
            conn.execute("UPDATE result SET value = ? WHERE account_uid = ? AND name = 'health.band'",
                         (json.dumps(bands[key].old), bands[key].account_uid))  # fmt: skip
    second = make_plan(office.store, office.space, RULES, WORLD.now, run_id="r-3", clock=office.clock)
    assert (second.status, sorted(change.source_id for change in second.changes)) == ("held", others)
    before = list(office.ledger.rows)
    for key in others:
        edit(office, vendor, key, band=EDITED[vendor])
    assert dict(approve(office, second.id).outcomes) == {"refused": len(others)}
    assert load_plan(office.store, second.id).status == "refused"
    assert office.ledger.rows == before
    assert latest_plan(office.store, ("open", "held", "approved")) is None
