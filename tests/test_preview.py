"""What an edit would change, told apart from what the data change; and what other facts would change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from cssync.errors import ConfigError
from cssync.link import link
from cssync.rules import RuleSet, load_folders
from cssync.rules.faults import Source
from cssync.rules.loading import load_edited
from cssync.rules.packs import read_rules
from cssync.rules.preview import preview
from cssync.rules.simulate import given_values, simulate
from cssync.store import Store
from past_world import BEGIN, PastWorld, Still

RULES = load_folders([("standard", files("cssync_rules"))])


def edited(*changes: tuple[str, str]) -> RuleSet:
    found = []
    for source in RULES.sources:
        text = source.text
        for old, new in changes:
            text = text.replace(old, new)
        found.append(Source(source.name, text))
    assert any(a.text != b.text for a, b in zip(found, RULES.sources, strict=True))
    return read_rules(found)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> PastWorld:
    """Three days; each test goes on in a copy."""
    with Store.open(tmp_path_factory.mktemp("lived") / "store.db") as store:
        world = PastWorld(store, RULES)
        for _ in range(3):
            world.day()
        return world


@pytest.fixture
def world(tmp_path: Path, lived: PastWorld) -> Iterator[PastWorld]:
    path = shutil.copy(lived.store.path, tmp_path / "store.db")
    with Store.open(path) as store:
        yield lived.on(store)


def test_an_edit_is_told_apart_from_the_data(world: PastWorld) -> None:
    now = BEGIN + timedelta(days=2, minutes=30)
    before = "\n".join(world.store.db.conn.iterdump())
    found = preview(world.store, edited(("green: 75", "green: 100")), world.space, now)
    assert "health" in found.edited
    assert found.edit is not None
    assert found.data is not None
    assert found.data.moves == ()  # minutes later, nothing new
    left = {m.band_before for m in found.edit.moves}
    assert left == {"green"}
    assert all(m.score_before == m.score_after for m in found.edit.moves)
    assert found.edit.matrix["health"]["green -> yellow"] == len(found.edit.moves) > 0
    assert "\n".join(world.store.db.conn.iterdump()) == before


def test_new_data_are_told_apart_from_the_edit(world: PastWorld) -> None:
    now = BEGIN + timedelta(days=3)
    world.put(now, "contract", "crm", {"source_id": "k5", "notice_received_on": "2026-10-22"})
    link(world.store, world.space, now)
    found = preview(world.store, RULES, world.space, now)
    assert found.edited == ()
    assert found.edit is not None
    assert found.edit.changes == 0
    assert found.edit.at_risk_before == found.edit.at_risk_after
    assert found.data is not None
    assert found.data.changes > 0
    assert found.data.at_risk_after["EUR"] - found.data.at_risk_before.get("EUR", 0) == 120_000
    assert found.total == found.data
    rates = world.space.path.parent / "rates.csv"
    rates.write_text("date,from,to,rate\n2020-01-01,EUR,JPY,160\n")
    yen = preview(world.store, RULES, replace(world.space, currency="JPY", fx=rates), now).data
    assert yen is not None
    assert yen.at_risk_after == {"JPY": found.data.at_risk_after["EUR"] * 160 // 100}


def test_signals_and_tasks_that_would_start_or_end(world: PastWorld) -> None:
    now = BEGIN + timedelta(days=2, minutes=30)
    open_ = {r[0] for r in world.store.query("SELECT rule FROM task WHERE status = 'open'")}
    assert "R03" in open_
    found = preview(world.store, edited(("R03", "R93")), world.space, now).edit
    assert found is not None
    assert {t.rule for t in found.tasks_closed} == {"R03"}
    assert {t.rule for t in found.tasks_raised} == {"R93"}


def test_without_the_rules_that_ran_last_the_split_is_not_claimed(world: PastWorld) -> None:
    with world.store.transaction() as conn:
        conn.execute("DELETE FROM pack_version")
    found = preview(world.store, RULES, world.space, BEGIN + timedelta(days=3))
    assert (found.data, found.edit) == (None, None)
    assert "otherwise" in found.why


def test_an_edited_file_takes_the_place_of_its_pack(tmp_path: Path) -> None:
    health = next(s for s in RULES.sources if "pack: health" in s.text)
    (tmp_path / "mine.yaml").write_text(health.text.replace("green: 75", "green: 80"), encoding="utf-8")
    for edit in (tmp_path, tmp_path / "mine.yaml"):
        found = load_edited(RULES.sources, edit)
        assert [p.name for p in found.packs] == [p.name for p in RULES.packs]
        assert found.pack("health") != RULES.pack("health")


NEAR = """pack: health
features:
  urgent: {count: tickets, where: status = 'open' and priority = 'urgent'}
score:
  measures:
    m: {weight: 10, curve: {of: urgent, at: {0: 60, 1: 76, 2: 90}}}
  bands: {red: 0, yellow: 50, green: 75}
  hysteresis: {margin: 3, confirm: 3d}
"""


def test_a_band_goes_on_from_where_it_stood(tmp_path: Path) -> None:
    rules = read_rules([Source("health.yaml", NEAR)])
    with Store.open(tmp_path / "store.db") as store:
        world = Still(store, rules)
        world.day()
        world.tickets_of_0(1)  # 76 is above the bound of green, but not by the margin
        world.day()
        now = BEGIN + timedelta(days=1)
        for given, band in (({}, "yellow"), ({"urgent": 2}, "green")):
            (found,) = simulate(store, rules, world.space, world.uid, now, given)
            assert (found.before["score"], found.before["band"], found.after["band"]) == (76, "yellow", band)


# --- what if ----------------------------------------------------------------------------------------------------------


def test_what_if_facts_were_otherwise(world: PastWorld) -> None:
    now = BEGIN + timedelta(days=2, minutes=30)
    for row in world.store.query("SELECT account_uid FROM result WHERE name = 'health.score' AND value <> 'null'"):
        given = given_values(RULES, ["last_active_on=2026-01-01", "notice_received_on=2026-10-01", "notice_given=yes"])
        found = {s.pack: s for s in simulate(world.store, RULES, world.space, row["account_uid"], now, given)}
        assert found["health"].after["score"] == 0
        assert found["health"].after["band"] == "red"
        assert found["renewal"].after["results"]["risk"] == "notice"
        same = simulate(world.store, RULES, world.space, row["account_uid"], now, {})
        assert [s.pack for s in same if s.changed] == []


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("seets=3", "did you mean seats"),
        ("seats=many", "seats takes a whole number"),
        ("seats", "gives no value"),
        ("renews_on=soon", "a day such as"),
        ("renews_on=0001-01-01", "a day such as"),
        ("usage_growth=nan", "usage_growth takes a number"),
    ],
)
def test_a_wrong_what_if_is_refused(pair: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        given_values(RULES, [pair])


def test_values_are_read_by_their_type() -> None:
    assert given_values(RULES, ["usage_growth=-20%", "notice_given=no", "seats=missing", "status=churned"]) == {
        "usage_growth": -0.2, "notice_given": False, "seats": None, "status": "churned",
    }  # fmt: skip
