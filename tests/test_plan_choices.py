"""Fields of several values: ours are added and taken out, everybody else's stay, under each policy."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.config import Writeback
from cssync.config.load import load_workspace
from cssync.config.workspace import Policy
from cssync.plugins import plugins
from cssync.runs.sessions import open_sessions
from cssync.sync import sync
from cssync.writeback.apply import apply_plan
from cssync.writeback.choices import choose, owned_after, same_step, taken_back
from cssync.writeback.plan import approve_plan, make_plan, make_undo
from office import RULES, UPDATES, WORLD, Office, furnish, name_of, served

POLICIES: tuple[Policy, ...] = ("unless-edited", "ours", "theirs")
SETS = st.sets(st.sampled_from(["K01", "K02", "K03", "VIP"]))

# --- laws -------------------------------------------------------------------------------------------------------------


@given(st.sampled_from(POLICIES), SETS, SETS, SETS)
def test_nothing_that_is_not_ours_is_ever_taken_out(
    policy: Policy, want: set[str], live: set[str], owned: set[str]
) -> None:
    for first in (False, True):
        mine = (want & live) if first else owned
        chosen = choose(policy, want=sorted(want), live=sorted(live), owned=sorted(owned), first=first)
        value = set(chosen.value or ())
        assert live - value == (mine - want) & live
        assert value - live <= want
        assert set(chosen.owned) <= want | live
        assert set(chosen.missed) == want - value
        if policy == "ours":
            assert want <= value


@given(st.sampled_from(POLICIES), SETS, SETS, SETS, st.booleans())
def test_what_was_written_is_not_written_again_and_is_ours_to_take_out(
    policy: Policy, want: set[str], live: set[str], owned: set[str], first: bool
) -> None:
    chosen = choose(policy, want=sorted(want), live=sorted(live), owned=sorted(owned), first=first)
    kept = owned_after(chosen.owned, sorted(live), chosen.value)
    again = choose(policy, want=sorted(want), live=chosen.value, owned=kept, first=False)
    assert again.value == chosen.value
    end = choose(policy, want=[], live=chosen.value, owned=kept, first=False)
    assert set(end.value or ()) == set(chosen.value or ()) - set(kept)


@given(SETS, SETS, SETS)
def test_a_write_is_taken_back_whatever_others_put_in_since(old: set[str], new: set[str], more: set[str]) -> None:
    live = new | (more - old)
    back = set(taken_back(sorted(live), sorted(old), sorted(new)) or ())
    assert back == (old | ((more - old) - (new - old)))
    assert same_step(sorted(old), sorted(new), sorted(old), sorted(new))


# --- three vendors ----------------------------------------------------------------------------------------------------


@contextmanager
def flagged(folder: Path, vendor: str, policy: Policy = "unless-edited") -> Iterator[Office]:
    """A vendor's sandbox into which `risk.flags` are written; its field has an option of the admin's beside ours."""
    make_app = plugins().connector(vendor).sandbox
    assert make_app is not None
    with served(folder, vendor, make_app(WORLD)) as found:
        name = name_of(vendor)
        back = load_workspace(folder / "cssync.yaml").writeback[name]
        fields = {field: result for field, result in back.fields.items() if result == "risk.flags"}
        found.space = replace(found.space, writeback={name: Writeback(name, back.to, fields, policy=policy)})
        furnish(found)
        options(found).append(copy.deepcopy(options(found)[0]) | {"value": "vip", "label": "VIP", "name": "VIP"})
        say(found, "K01", "K03")
        assert found.run()
        yield found


def options(found: Office) -> list[dict[str, Any]]:
    app: Any = found.server.app
    if hasattr(app, "desk"):
        held = app.fields["cs_risk_flags"]["custom_field_options"]
    elif hasattr(app, "portal"):
        held = app.portal.definitions["companies"]["cs_risk_flags"]["options"]
    else:
        held = app.schema["Account"]["cs_risk_flags__c"]["picklistValues"]
    assert isinstance(held, list)
    return held


def say(found: Office, *flags: str) -> None:
    """What the rules want of every account."""
    with found.store.transaction() as conn:
        conn.execute("DELETE FROM result")
        conn.execute("DELETE FROM task")
        conn.execute(
            "INSERT INTO result (account_uid, name, value, state, run_id) "
            "SELECT uid, 'risk.flags', ?, 'ok', 'r' FROM account WHERE deleted_at IS NULL", (json.dumps(list(flags)),)
        )  # fmt: skip


def first(found: Office) -> str:
    rows = found.store.query("SELECT source_id FROM account_source WHERE deleted_at IS NULL ORDER BY source_id")
    return str(rows[0]["source_id"])


def held(found: Office) -> set[str]:
    """The flags of the first record, as cssync reads them."""
    (values,) = [values for key, values in found.world()[0].items() if key == first(found)]
    (value,) = values.values()
    return set(value.split(";") if isinstance(value, str) else value or ())


def person(found: Office, *flags: str) -> None:
    """A person sets the flags of the first record; the next pull sees it."""
    app: Any = found.server.app
    found.clock.sleep(300)
    if hasattr(app, "desk"):
        tags = [f"cs_risk_flags_{flag.lower()}" if flag != "vip" else flag for flag in flags]
        assert not app.write(int(first(found)), {"organization_fields": {"cs_risk_flags": tags}})
    elif hasattr(app, "portal"):
        app.portal.edit("companies", first(found), cs_risk_flags=";".join(flags))
    else:
        app.edit("Account", first(found), CS_Risk_Flags__c=";".join(flags) or None)
    found.clock.sleep(300)
    pull(found)


def pull(found: Office) -> None:
    with open_sessions(found.space, found.store, clock=found.clock) as sessions:
        sync(found.store, found.space, sessions, run_id=f"pull-{found.clock.time()}")


def still(found: Office) -> None:
    found.clock.sleep(300)
    pull(found)
    found.server.journal.clear()
    assert found.run()
    assert not found.server.requests(UPDATES[name_and_vendor(found)])


def name_and_vendor(found: Office) -> str:
    ((_, connection),) = found.space.connections.items()
    return connection.connector.name


@pytest.mark.parametrize("vendor", list(UPDATES))
def test_a_value_that_a_person_adds_stays_and_ours_come_and_go_beside_it(tmp_path: Path, vendor: str) -> None:
    with flagged(tmp_path, vendor) as found:
        assert held(found) == {"K01", "K03"}
        person(found, "K01", "K03", "K07", "vip")
        still(found)
        say(found, "K03", "K05")
        assert found.run()
        assert held(found) == {"K03", "K05", "K07", "vip"}
        still(found)
        say(found, "K07")
        assert found.run()
        assert held(found) == {"K07", "vip"}
        say(found)
        assert found.run()
        assert held(found) == {"K07", "vip"}, "K07 was the person's before it was ours"
        still(found)
        bodies = [entry.body for entry in found.server.requests("PUT|PATCH|POST")]
        assert not any(b'"tags"' in body for body in bodies)


@pytest.mark.parametrize(
    ("vendor", "policy", "left", "later"),
    [("hubspot", "unless-edited", {"K03", "vip"}, {"K03", "K05", "vip"}),
     ("salesforce", "ours", {"K01", "K03", "vip"}, {"K01", "K03", "K05", "vip"}),
     ("zendesk", "theirs", {"K03", "vip"}, {"K03", "K05", "vip"})],
)  # fmt: skip
def test_a_value_that_a_person_takes_out_comes_back_by_policy_only(
    tmp_path: Path, vendor: str, policy: Policy, left: set[str], later: set[str]
) -> None:
    with flagged(tmp_path, vendor, policy) as found:
        person(found, "K03", "vip")
        assert found.run()
        assert held(found) == left
        plan = make_plan(found.store, found.space, RULES, WORLD.now, run_id="look", clock=found.clock)
        told = [note.message for note in plan.notes if note.kind == "conflict"]
        assert [("K01" in text) for text in told] == ([True] if policy == "unless-edited" else [])
        say(found, "K01", "K03", "K05")
        assert found.run()
        assert held(found) == later
        say(found, "K05")
        assert found.run()
        say(found, "K01", "K05")
        assert found.run()
        assert held(found) == {"K01", "K05", "vip"}, "the rules came to K01 again"


@pytest.mark.parametrize("vendor", ["salesforce"])
def test_an_undo_takes_out_what_the_run_added_and_nothing_else(tmp_path: Path, vendor: str) -> None:
    with flagged(tmp_path, vendor) as found:
        say(found, "K03", "K05")
        assert found.run()
        run = found.store.query("SELECT max(run_id) AS newest FROM outbox")[0]["newest"]
        person(found, "K03", "K05", "vip")
        plan = make_undo(found.store, found.space, RULES, WORLD.now, run, run_id="undo", clock=found.clock)
        approve_plan(found.store, plan.id)
        with open_sessions(found.space, found.store, clock=found.clock) as sessions:
            assert (
                apply_plan(found.store, found.space, plan.id, sessions, run_id="undo", clock=found.clock).exit_code == 0
            )
        assert held(found) == {"K01", "K03", "vip"}
        person(found, "K01", "K03", "K09", "vip")
        still(found)
        assert held(found) == {"K01", "K03", "K09", "vip"}, "not done again, whatever people put in"
        say(found, "K05", "K08")
        assert found.run()
        assert held(found) == {"K05", "K08", "K09", "vip"}


@pytest.mark.parametrize("vendor", ["zendesk"])
def test_a_field_that_people_filled_before_us_is_added_to(tmp_path: Path, vendor: str) -> None:
    with flagged(tmp_path, vendor) as found:
        with found.store.transaction() as conn:
            conn.execute("DELETE FROM written")
        person(found, "K01", "vip")
        assert found.run()
        assert held(found) == {"K01", "K03", "vip"}
        say(found)
        assert found.run()
        assert held(found) == {"vip"}, "what agreed with the rules at first sight is theirs to take out"
