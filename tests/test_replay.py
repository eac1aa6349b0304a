"""A day of the past, evaluated again: the same results byte for byte, and the store untouched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import cssync.rules
from cssync.link import link
from cssync.model import TABLES
from cssync.rules import RuleSet, evaluate, load_folders
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.replay import COMPARED, Moment, differences, moment_of, part_of, replay, rules_then, then, usage_then
from cssync.rules.versions import last_evaluation, rules_of
from cssync.store import Store
from past_world import BEGIN, PastWorld

DAYS = 13
RULES_FOLDER = Path(cssync.rules.__file__).parent
RULES = load_folders([("standard", files("cssync_rules"))])
STATE = tuple(t for t in TABLES if t.past.clock == "evaluation" and t.name not in ("evaluation",))
KNOWN = ("account", "account_link")


def dump(store: Store, table: str, but: tuple[str, ...] = ("run_id", "id")) -> list[tuple[Any, ...]]:
    names = [c.name for t in TABLES if t.name == table for c in t.columns if c.name not in but]
    listed = ", ".join(f'"{n}"' for n in names)
    return sorted((tuple(r) for r in store.query(f"SELECT {listed} FROM {table}")), key=repr)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PastWorld, list[dict[str, Any]]]]:
    """A world that has lived DAYS days, and what its tables held after each."""
    with Store.open(tmp_path_factory.mktemp("past") / "store.db") as store:
        world = PastWorld(store, RULES)
        days = []
        for _ in range(DAYS):
            world.day()
            days.append({t: dump(store, t) for t in (*(s.name for s in STATE), *KNOWN)})
        yield world, days


def moment(world: PastWorld, n: int) -> Moment:
    return moment_of(world.store, world.space, BEGIN + timedelta(days=n), None, day=False)


def test_the_world_is_worth_replaying(lived: tuple[PastWorld, list[Mapping[str, Any]]]) -> None:
    world, days = lived
    assert len({repr(d["result"]) for d in days}) == DAYS
    assert {r["status"] for r in world.store.query("SELECT status FROM task")} == {"open", "done", "closed"}
    ended = world.store.query("SELECT count(*) FROM signal WHERE until IS NOT NULL")[0][0]
    merged = world.store.query("SELECT count(*) FROM account_link WHERE evidence = 'merged into 6'")[0][0]
    assert ended >= 2
    assert len(world.store.query("SELECT DISTINCT number FROM renewal_event WHERE account_uid IN "
                                 "(SELECT account_uid FROM event_result)")) == 2  # fmt: skip
    assert merged == 1
    dated = world.store.query("SELECT count(DISTINCT reopened_at) FROM ticket")[0][0]
    assert dated >= 3
    assert world.store.query("SELECT 1 FROM result WHERE state = 'stale'") or any(
        "stale" in repr(d["result"]) for d in days
    )


@pytest.mark.parametrize("n", range(DAYS))
def test_every_day_gives_the_same_bytes_again(lived: tuple[PastWorld, list[Mapping[str, Any]]], n: int) -> None:
    world, days = lived
    before = "\n".join(world.store.db.conn.iterdump())
    with replay(world.store, RULES, world.space, moment(world, n)) as (report, copy):
        assert list(differences(world.store, copy, moment(world, n))) == []
        for table in (*(s.name for s in STATE), *KNOWN):
            assert dump(copy, table) == days[n][table], table
        assert report.accounts > 0
    assert "\n".join(world.store.db.conn.iterdump()) == before


def test_a_day_means_its_last_evaluation_even_where_a_day_has_25_hours(lived: tuple[PastWorld, Any]) -> None:
    world, _ = lived
    end = datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC)
    found = moment_of(world.store, world.space, end, None, day=True)
    assert found.as_of == BEGIN + timedelta(days=5)
    assert found.known_at == found.as_of + timedelta(minutes=3)


def test_what_was_learned_later_is_not_there(lived: tuple[PastWorld, Any]) -> None:
    world, days = lived
    at = BEGIN + timedelta(days=6)
    early = Moment(at, BEGIN + timedelta(days=2, hours=1))
    with then(world.store, early) as copy:
        assert copy.query("SELECT max(synced_at) FROM ticket")[0][0] <= "2026-10-22T06:30:00Z"
        assert dump(copy, "task") == days[2]["task"]  # nor is what an evaluation wrote that ran later
        assert dump(copy, "account") == days[2]["account"]
    with replay(world.store, RULES, world.space, early) as (report, _):
        assert "ticket" in report.stale


def test_a_difference_is_told(lived: tuple[PastWorld, Any]) -> None:
    world, _ = lived
    text = next(s for s in RULES.sources if s.name.endswith("health.yaml"))
    others = [s for s in RULES.sources if s is not text]
    edited = read_rules([*others, Source(text.name, text.text.replace("green: 75", "green: 90"))])
    with replay(world.store, edited, world.space, moment(world, 4)) as (_, copy):
        found = list(differences(world.store, copy, moment(world, 4)))
    assert {d.key[1] for d in found if d.table == "result" and d.then and d.now and d.then["value"] != d.now["value"]} \
        >= {"health.band"}  # fmt: skip


def test_the_rules_of_then_are_read_back_from_the_store(lived: tuple[PastWorld, Any]) -> None:
    world, _ = lived
    then_, same = rules_then(world.store, moment(world, 3), RuleSet(()))
    assert same
    assert then_ == RULES
    last = last_evaluation(world.store)
    assert last is not None
    assert rules_of(world.store, replace(last, packs={**last.packs, "health": "0" * 16})) is None


def test_every_table_says_how_it_goes_back() -> None:
    """A new table goes back with the evaluations. Rules must never look at one that is `apart`: add it here then."""
    apart = {t.name for t in TABLES if t.past.clock == "apart"}
    assert apart == {
        "quarantine", "run", "run_stream", "lease", "rate_limit", "binding", "setting", "plan", "plan_change", "outbox",
        "written", "pack_version", "state_history", "changed_account", "portfolio_fact", "score_restated",
        "event_result", "token",
    }  # fmt: skip
    assert {t.name for t in TABLES if t.past.clock == "between"} == {"field_definition"}
    for table in TABLES:
        names = {c.name for c in table.columns}
        assert {table.past.born, *table.past.stamp, *table.past.watch} - {""} <= names, table.name
        writes = any(table.name in file.read_text() for file in RULES_FOLDER.glob("*.py"))
        assert table.past.clock != "evaluation" or writes, f"{table.name} is put back when an evaluation is retracted"
        assert table.past.clock != "known" or (table.past.born and (table.past.stamp or table.past.grows)), table.name
    assert set(COMPARED) <= {t.name for t in STATE}


def test_the_copy_is_private_and_goes_again(lived: tuple[PastWorld, Any]) -> None:
    world, _ = lived
    with then(world.store, moment(world, 1)) as copy:
        path = copy.path
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not Path(path).exists()
    assert not path.parent.exists()


def test_a_second_run_of_a_day_which_looks_at_changes_alone_gives_the_same_again(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store:
        world = PastWorld(store, RULES, seed=5)
        seen = []
        for n in range(5):
            world.day()
            noon = BEGIN + timedelta(days=n, hours=6)
            world.desk(noon)
            world.sales(noon)
            link(store, world.space, noon)
            report = evaluate(store, RULES, world.space, noon, run_id="noon", known_at=noon)
            seen.append((noon, {t.name: dump(store, t.name) for t in STATE}))
            assert report.partly
        for noon, state in seen:
            at = moment_of(store, world.space, noon + timedelta(hours=1), None, day=True)
            assert at.as_of == noon
            with replay(store, RULES, world.space, at) as (_, copy):
                assert {t.name: dump(copy, t.name) for t in STATE} == state


@pytest.mark.parametrize("n", [3, 6, 11])
def test_one_account_alone_gives_what_it_gives_among_all(lived: tuple[PastWorld, list[Any]], n: int) -> None:
    world, days = lived
    at = moment(world, n)
    for row in world.store.query("SELECT uid FROM account ORDER BY uid"):
        part = part_of(world.store, RULES, row["uid"])
        with then(world.store, at, part=part) as copy:
            usage = usage_then(world.store, copy, world.space, at)
            evaluate(copy, RULES, world.space, at.as_of, run_id="r", known_at=at.known_at, usage=usage)
            for table in ("result", "signal", "task", "feature_row"):
                alone = [r for r in dump(copy, table) if row["uid"] in r]
                assert alone == [r for r in days[n][table] if row["uid"] in r], (row["uid"], table)
