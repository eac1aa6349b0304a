"""Touch tiers: override, the group's ARR in one currency, the margin, once per quarter, onboarding."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.link import link
from cssync.rules import RuleSet, evaluate, written_fields
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.tiers import in_force, next_tier
from cssync.rules.tree import Tiers
from cssync.store.sqlite import Store
from past_world import Still

BLOCK = (Path(__file__).parents[1] / "rules" / "cssync_rules" / "touch.yaml").read_text(encoding="utf-8")
TASKS = """pack: care
tasks:
  T: {when: seats >= 0 or seats is missing, tiers: [high, low], once_per: month, title: x, due: in 1 business days}
"""
AS_OF = datetime(2026, 10, 5, 3, tzinfo=UTC)
STREAMS = ("contract", "contract_line")


def rules(*texts: str) -> RuleSet:
    return read_rules([Source(f"{n}.yaml", text) for n, text in enumerate(texts)])


class World:
    """Accounts with one line each."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.fx = folder / "fx.csv"
        self.rules = rules(TASKS, BLOCK)
        self.pay: dict[str, tuple[int, str] | None] = {}

    def account(self, uid: str, pays: tuple[int, str] | None = None, **columns: Any) -> None:
        self.pay[uid] = pays
        with self.store.transaction() as conn:
            conn.execute("DELETE FROM account WHERE uid = ?", (uid,))
            row = {"uid": uid, "name": uid, "status": "active", **columns}
            marks = ", ".join("?" * len(row))
            conn.execute(f"INSERT INTO account ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
            conn.execute("DELETE FROM contract_line")
            for owner, line in self.pay.items():
                if line is not None:
                    found = {"source_id": owner, "quantity": 1, "amount": line[0] * 100, "currency": line[1]}
                    found |= {"amount": line[0]} if line[1] == "JPY" else {}
                    self.store.upsert(conn, "contract_line", "crm", [found], "2026-01-01T00:00:00Z")
            conn.execute("UPDATE contract_line SET account_uid = source_id")

    def run(self, at: datetime = AS_OF, *, fresh: bool = True) -> dict[str, str | None]:
        with self.store.transaction() as conn:
            if fresh:
                conn.execute("UPDATE source_state SET last_success_at = ?", (at.strftime("%Y-%m-%dT%H:%M:%SZ"),))
        fx = self.fx if self.fx.exists() else None
        workspace = Workspace("t", self.store.path, ZoneInfo("UTC"), "EUR", self.store.path, {}, fx=fx)
        evaluate(self.store, self.rules, workspace, at, run_id="r")
        return self.tiers()

    def tiers(self) -> dict[str, str | None]:
        rows = self.store.query("SELECT account_uid, value ->> '$' AS tier FROM result WHERE name = 'touch.tier'")
        found = {r["account_uid"]: r["tier"] for r in rows}
        stored = {r["uid"]: r["touch_tier"] for r in self.store.query("SELECT uid, touch_tier FROM account")}
        assert stored == found
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(tmp_path / "x.db") as opened:
        with opened.transaction() as conn:
            conn.executemany("INSERT INTO source_feed VALUES ('crm', ?, ?)", [(e, e) for e in STREAMS])
            conn.executemany(
                "INSERT INTO source_state (connection, stream, last_success_at, outcome) VALUES ('crm', ?, '', 'ok')",
                [(e,) for e in STREAMS],
            )
        yield World(opened, tmp_path)


@pytest.mark.parametrize(
    ("arr", "tier"), [(30_000, "high"), (29_999, "low"), (5_000, "low"), (4_999, "tech"), (0, "tech")]
)
def test_the_first_tier_follows_the_limits(world: World, arr: int, tier: str) -> None:
    world.account("a", (arr, "USD"))
    assert world.run() == {"a": tier}


@pytest.mark.parametrize(
    ("before", "after", "tier"),
    [
        (10_000, 32_999, "low"),  # beyond the limit, not by the margin
        (10_000, 33_000, "high"),
        (40_000, 27_001, "high"),
        (40_000, 27_000, "low"),
        (40_000, 4_600, "low"),  # below both limits, by the margin of the upper one only
        (40_000, 4_500, "tech"),
        (1_000, 31_000, "low"),
        (1_000, 5_499, "tech"),
        (1_000, 33_000, "high"),
    ],
)
def test_a_tier_moves_only_when_a_limit_is_passed_by_the_margin(
    world: World, before: int, after: int, tier: str
) -> None:
    world.account("a", (before, "USD"))
    world.run()
    world.account("a", (after, "USD"))
    assert world.run(AS_OF + timedelta(days=1))["a"] == tier


def test_it_moves_at_most_once_per_quarter(world: World) -> None:
    found = []
    for month, arr in ((10, 40_000), (11, 4_000), (12, 40_000), (13, 40_000), (15, 4_000), (16, 4_000)):
        world.account("a", (arr, "USD"))
        at = AS_OF.replace(year=2026 + (month > 12), month=(month - 1) % 12 + 1)
        found.append(world.run(at)["a"])
        again = world.store.query("SELECT * FROM result ORDER BY name, account_uid")
        world.run(at)
        assert [tuple(r) for r in world.store.query("SELECT * FROM result ORDER BY name, account_uid")] == [
            tuple(r) for r in again
        ]
    # The first tier is no move; the one in November is, so December waits for January; that move holds until April.
    assert found == ["high", "tech", "tech", "high", "high", "tech"]


def test_what_a_person_set_wins_and_leaves_the_remembered_tier_alone(world: World) -> None:
    world.account("a", (40_000, "USD"), touch_tier_override="tech")
    assert world.run()["a"] == "tech"
    world.account("a", (31_000, "USD"))
    assert world.run(AS_OF + timedelta(days=1))["a"] == "high"


@pytest.mark.parametrize(
    ("days", "arr", "tier"), [(0, 10_000, "high"), (89, 1_000, "low"), (90, 1_000, "tech"), (1, 90_000, "high")]
)
def test_onboarding_is_one_tier_up_for_its_days(world: World, days: int, arr: int, tier: str) -> None:
    world.account("a", (arr, "USD"), first_contract_date=(AS_OF - timedelta(days=days)).date().isoformat())
    assert world.run()["a"] == tier


def test_a_group_of_companies_has_the_tier_of_its_whole_arr(world: World) -> None:
    world.account("top", None)
    world.account("mid", (20_000, "USD"), parent_uid="top")
    world.account("low", (12_000, "USD"), parent_uid="mid")
    world.account("other", (12_000, "USD"))
    assert world.run() == {"top": "high", "mid": "high", "low": "high", "other": "low"}


def test_parents_in_a_circle_stand_alone(world: World) -> None:
    world.account("a", (20_000, "USD"), parent_uid="b")
    world.account("b", (4_000, "USD"), parent_uid="a")
    world.account("c", (1_000, "USD"), parent_uid="a")
    assert world.run() == {"a": "low", "b": "tech", "c": "tech"}


def test_other_currencies_are_converted_at_the_rate_of_the_day(world: World) -> None:
    world.fx.write_text("date,from,to,rate\n2026-01-01,JPY,USD,0.0070\n2026-12-01,JPY,USD,0.0050\n", encoding="utf-8")
    world.account("a", (4_500_000, "JPY"))
    world.account("b", (10_000, "USD"))
    assert world.run() == {"a": "high", "b": "low"}
    assert world.run(AS_OF.replace(month=12))["a"] == "low"  # 22,500 USD


def test_without_a_rate_a_tier_is_unknown_and_its_tasks_do_not_fire(world: World) -> None:
    world.account("a", (40_000, "GBP"))
    world.account("b", (40_000, "USD"), parent_uid="a")
    world.account("c", (40_000, "USD"))
    world.account("d", None)
    assert world.run() == {"a": None, "b": None, "c": "high", "d": None}
    assert [r[0] for r in world.store.query("SELECT account_uid FROM task")] == ["c"]


def test_unknown_arr_moves_no_tier(world: World) -> None:
    world.account("a", (40_000, "USD"))
    world.run()
    assert world.run(AS_OF + timedelta(days=9), fresh=False) == {"a": "high"}
    world.account("a", None)
    assert world.run(AS_OF + timedelta(days=10)) == {"a": "high"}


def test_tasks_are_for_the_tiers_they_name(world: World) -> None:
    for uid, arr in (("h", 40_000), ("l", 10_000), ("t", 1_000)):
        world.account(uid, (arr, "USD"))
    world.run()
    assert [r[0] for r in world.store.query("SELECT account_uid FROM task ORDER BY 1")] == ["h", "l"]
    assert [p.name for p in world.rules.packs] == ["touch", "care"]


def test_the_tier_is_a_field_with_its_three_values() -> None:
    field = written_fields(rules(BLOCK))["touch.tier"]
    assert (field.name, field.type, field.options) == ("cs_touch_tier", "enum", ("high", "low", "tech"))


@given(
    arr=st.none() | st.integers(0, 5_000_000),
    former=st.sampled_from([None, "high", "low", "tech"]),
    moved=st.booleans(),
    margin=st.integers(0, 100),
)
def test_sql_equals_the_reference(arr: int | None, former: str | None, moved: bool, margin: int) -> None:
    import sqlite3

    from cssync.rules.tiers import _by_arr

    tiers = Tiers(None, "USD", 3_000_000, 500_000, margin, moved, 90, None)
    conn = sqlite3.connect(":memory:")
    sql = f"SELECT {_by_arr(tiers)} FROM (SELECT ? AS arr, ? AS former, ? AS moved)"
    found = conn.execute(sql, (arr, former, moved)).fetchone()[0]
    conn.close()
    assert found == next_tier(tiers, arr, former, moved=moved)
    assert in_force(found, None, onboarding=False) == found


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ((BLOCK, BLOCK.replace("pack: touch", "pack: other")), "only one pack has `tiers:`"),
        ((TASKS,), "needs a pack with a `tiers:` block"),
        ((BLOCK, TASKS.replace("[high, low]", "[hihg]")), "there is no tier 'hihg'; did you mean high?"),
        ((BLOCK.replace("low: 5000", "low: 50000"),), "`low` lies below `high`"),
        ((BLOCK.replace("90d one tier up", "90d two tiers up"),), "`onboarding` is written `90d one tier up`"),
        ((BLOCK.replace("currency: USD", "currency: dollars"),), "ISO 4217"),
        ((BLOCK.replace("touch_tier_override", "seats"),), "a text is needed here"),
        ((BLOCK.replace("margin", "margn"),), "did you mean margin?"),
        ((BLOCK.replace("arr of the ultimate parent", "arr"),), "`of` is never 'arr'"),
        ((BLOCK + "results: {tier: seats}\n",), "result 'tier' is already an output"),
    ],
)  # fmt: skip
def test_faults_of_tiers_are_named(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        rules(*texts)
    assert words in error.value.message


def test_linking_leaves_the_tier_that_rules_gave_until_they_give_none(tmp_path: Path) -> None:
    """Else every account would count as changed in every run."""
    block = BLOCK.replace("USD", "EUR").replace("version: 1", "accounts: status != 'churned'")
    own = {"source_id": "0", "touch_tier_override": None}
    with Store.open(tmp_path / "store.db") as store:
        world = Still(store, rules(block))

        def tier() -> str | None:
            row = store.query("SELECT touch_tier FROM account WHERE uid = ?", (world.uid,))[0]
            return None if row[0] is None else str(row[0])

        def put(**columns: Any) -> None:
            now = world.at + timedelta(days=world.n)
            world.put(now, "account_source", "crm", {**own, **columns})
            link(store, world.space, now)

        world.day()
        put()
        assert tier() is None  # what a person set is gone
        world.day()
        assert tier() == "tech"
        assert link(store, world.space, world.at + timedelta(days=9)).changed_accounts == 0
        assert store.query("SELECT 1 FROM changed_account") == []
        put(touch_tier_override="high")
        assert tier() == "high"
        put()
        world.day()
        assert tier() == "tech"
        put(status="churned")
        world.day()
        assert tier() is None
        put(status="active")
        world.day()
        assert tier() == "tech"
        world.rules = rules(TASKS.replace("tiers: [high, low], ", ""))
        world.day()
        assert tier() is None
