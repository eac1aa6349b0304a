"""Why a result changed: the data, an edit of the rules, or both; and an account explained as of a past day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cssync.errors import ConfigError
from cssync.rules import RuleSet, explain, load_folders
from cssync.rules.asked import asked
from cssync.rules.changes import Change, last_changes, told
from cssync.rules.explain_past import explain_past
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.replay import moment_of
from cssync.store import Store
from cssync.sync.cast import stamp
from past_world import BEGIN, PastWorld, Still

PACK = """pack: health
features:
  urgent: {count: tickets, where: status = 'open' and priority = 'urgent'}
score:
  measures:
    support: {weight: 10, curve: {of: urgent, at: {0: 100, 100: 0}}}
  bands: {red: 0, yellow: 50, green: 75}
results:
  half: {value: urgent / 2, label: Half, describe: Half of it.}
"""
RULES = read_rules([Source("health.yaml", PACK)])
STEEP = read_rules([Source("health.yaml", PACK.replace("100: 0", "10: 0"))])
STANDARD = load_folders([("standard", files("cssync_rules"))])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as found:
        yield found


class Told(Still):
    """A still world that says how its account 0 changed."""

    def of_0(self, **values: Any) -> None:
        self.put(self.at + timedelta(days=self.n), "account_source", "crm", {"source_id": "0", **values})

    def change(self, name: str = "health.score") -> Change:
        found = last_changes(self.store, self.space, self.uid, stamp(self.at + timedelta(days=self.n)))
        return next(c for c in found if c.name == name)


def lived(store: Store, first: int, second: int, rules: RuleSet) -> Change:
    world = Told(store, RULES)
    world.day()
    world.tickets_of_0(first)
    world.day()
    world.tickets_of_0(second)
    world.rules = rules
    world.day()
    return world.change()


def test_other_data_are_named(store: Store) -> None:
    found = lived(store, 2, 4, RULES)
    assert (found.cause, found.previous, found.value) == ("data", 98, 96)
    assert [(i.name, i.before, i.after) for i in found.inputs] == [("urgent", 2, 4)]
    assert told(found) == "because the data changed: urgent 2 -> 4"


def test_an_edit_is_named(store: Store) -> None:
    found = lived(store, 2, 2, STEEP)
    assert (found.cause, found.previous, found.value, found.inputs) == ("rules", 98, 80, ())
    assert (found.data_alone, found.edit_alone) == (98, 80)
    assert found.rules_before != found.rules_after


def test_data_and_edit_together_are_told_apart(store: Store) -> None:
    found = lived(store, 2, 4, STEEP)
    assert (found.cause, found.previous, found.value) == ("both", 98, 60)
    assert (found.data_alone, found.edit_alone) == (96, 80)
    assert told(found).startswith("because data and rules changed: the data alone give 96, the edit alone 80")


def test_an_edit_that_says_the_same_of_the_data_is_not_blamed(store: Store) -> None:
    edited = read_rules([Source("health.yaml", PACK.replace("at: {0: 100", "at: {0: 100, 9: 91"))])
    found = lived(store, 2, 4, edited)
    assert (found.cause, found.value) == ("data", 96)


def test_the_first_value_has_no_cause_and_a_lost_record_is_told(store: Store) -> None:
    world = Told(store, RULES)
    world.day()
    assert world.change().cause == "first"
    world.tickets_of_0(3)
    world.day()
    with store.transaction() as conn:
        conn.execute("DELETE FROM evaluation")
    assert world.change().cause == "unknown"


def test_an_account_is_explained_as_it_was(store: Store) -> None:
    """Each account on at least one of five days, two a day."""
    world = PastWorld(store, STANDARD, seed=3)
    uids: list[str] = []
    seen: list[dict[str, Any]] = []
    for n in range(5):
        world.day()
        uids = uids or [r["uid"] for r in store.query("SELECT uid FROM account ORDER BY uid")]
        at = BEGIN + timedelta(days=n)
        these = (uids[2 * n % len(uids)], uids[(2 * n + 1) % len(uids)])
        seen.append({uid: explain(store, STANDARD, world.space, uid, at) for uid in these})
    assert {uid for day in seen for uid in day} == {*uids}
    for n, day in enumerate(seen):
        moment = moment_of(store, world.space, BEGIN + timedelta(days=n), None, day=False)
        for uid, then in day.items():
            assert explain_past(store, STANDARD, world.space, uid, moment) == then
    early = moment_of(store, world.space, BEGIN - timedelta(days=1), None, day=True)
    assert explain_past(store, STANDARD, world.space, uids[0], early) is None


def test_a_field_is_a_result_or_what_it_is_written_to(tmp_path: Path) -> None:
    from types import SimpleNamespace
    from typing import cast

    from cssync.config import Workspace

    back = SimpleNamespace(connection="crm", to="companies", fields={"my_health": "health.score"})
    space = cast(Workspace, SimpleNamespace(writeback={"crm": back}))
    for text in ("health.score", "cs_health_score", "my_health", "crm.companies.my_health"):
        found = asked(STANDARD, space, text)
        assert (found.result, found.written_to) == ("health.score", ("crm.companies.my_health",))
    assert "notice_given" in asked(STANDARD, space, "renewal.risk").inputs
    assert "notice_given" not in asked(STANDARD, space, "renewal.arr").inputs
    with pytest.raises(ConfigError, match=r"did you mean health\.score"):
        asked(STANDARD, space, "health.scor")


def test_what_a_person_set_is_named(store: Store) -> None:
    text = PACK + "tiers: {override: touch_tier_override, currency: USD, high: 30000, low: 5000}\n"
    by_hand = "  bands:", "  override: {band: override_band, reason: override_reason, until: override_until}\n  bands:"
    world = Told(store, read_rules([Source("health.yaml", text.replace(*by_hand))]))
    world.day()
    world.tickets_of_0(2)
    world.day()
    world.of_0(override_band="red", touch_tier_override="tech")
    world.day()
    assert told(world.change("health.band")) == (
        "because the data changed: override_band unknown -> red, touch_tier_override low -> tech"
    )
    assert "touch_tier_override low -> tech" in told(world.change("health.tier"))


def test_a_group_of_companies_is_what_tiers_and_roll_ups_rest_on(store: Store) -> None:
    text = PACK.replace("bands:", "roll_up: simple_mean\n  bands:")
    tiers = "tiers: {of: arr of the ultimate parent, currency: EUR, high: 2000, low: 500}\n"
    world = Told(store, read_rules([Source("health.yaml", text + tiers)]))
    world.day()
    now = world.at + timedelta(days=1)
    world.put(now, "account_source", "crm", {"source_id": "1", "parent_source_id": "0"})
    world.day()
    assert told(world.change("health.tier")) == (
        "because the data changed: companies Company 0 -> Company 0, Company 1"
    )
    assert world.change("health.rollup_score").cause == "first"
    world.put(now, "ticket", "desk", {"source_id": "y", "account_source_id": "o1", "status": "open",
                                      "priority": "urgent", "opened_at": "2026-10-01T00:00:00Z"})  # fmt: skip
    world.put(now, "contract_line", "crm", {"source_id": "l1", "quantity": 30})
    world.day()
    assert told(world.change("health.rollup_score")) == (
        "because the data changed: arr of Company 1 120000 -> 360000, health.score of Company 1 100 -> 99"
    )


def test_what_peers_own_is_explained_as_it_was(store: Store) -> None:
    peers = "results: {mine: products_owned, theirs: peer_product}\n"
    rules = read_rules([Source("p.yaml", f"pack: p\n{peers}")])
    world = Told(store, rules)
    world.begin(world.at)
    for n in range(5):
        world.put(world.at, "account_source", "crm", {"source_id": str(n), "segment": "smb"})
        world.put(world.at, "contract_line", "crm", {"source_id": f"l{n}", "product_code": "AB"[n > 0]})
    world.vendors = lambda now: world.pulled(now)  # type: ignore[method-assign]
    world.day()
    told_now = explain(store, rules, world.space, world.uid, BEGIN)
    assert {i.name: i.value for i in told_now.packs[0].inputs}["peer_product"] == "B"
    moment = moment_of(store, world.space, BEGIN, None, day=False)
    assert explain_past(store, rules, world.space, world.uid, moment) == told_now
