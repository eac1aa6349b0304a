"""Random worlds: looking at some is looking at all, a day done again gives the same bytes, and what is explained adds
up, whatever came between two evaluations."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from cssync.model import TABLE, TABLES
from cssync.rules import RuleSet, evaluate, explain
from cssync.rules.changes import last_changes, results
from cssync.rules.explain import Explanation, PackExplanation
from cssync.rules.explain_past import explain_past
from cssync.rules.replay import differences, instant, moment_of, replay, rules_then
from cssync.rules.texts import undated
from cssync.store import Store
from random_worlds import RandomWorld, Step, content, saved

GOES_BACK = (*(t for t in TABLES if t.past.clock == "evaluation"), TABLE["account"], TABLE["account_link"])


@dataclass
class Life:
    """A world, and what was seen after each of its evaluations, by as_of: a second one takes the first one's place."""

    world: RandomWorld
    folder: Path
    steps: list[Step] = field(default_factory=list)
    after: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    told: dict[str, Explanation] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    explained: bool = True

    def step(self) -> None:
        world = self.world
        world.pass_time()
        world.happen()
        before = saved(world.store, self.folder / f"before-{world.n}.db")
        step = world.judge()
        at = instant(step.as_of)
        if at in self.after:
            self.twice.add(at)
        self.same_with_everybody(before, step)
        self.steps.append(step)
        self.after[at] = content(world.store, GOES_BACK)
        if not self.explained:
            return
        uid = world.chance.choice(world.store.query("SELECT uid FROM account ORDER BY uid"))["uid"]
        self.told[at] = explain(world.store, step.rules, world.space, uid, step.as_of)
        self.adds_up(self.told[at])
        if step.number % 2:
            self.cause_is_right(uid)

    def begin(self, step: Step) -> None:
        """Go on from a step that was not looked at."""
        self.steps.append(step)
        self.after[instant(step.as_of)] = content(self.world.store, GOES_BACK)

    def before(self, step: Step) -> Path:
        """The file of the store as it was before a step."""
        return self.folder / f"before-{step.number}.db"

    def everybody(self, path: Path, step: Step, rules: RuleSet | None = None) -> Store:
        """Evaluate a step again, looking at everybody."""
        copy = Path(f"{path}.again")
        copy.write_bytes(path.read_bytes())
        store = Store.open(copy)
        evaluate(store, rules or step.rules, self.world.space, step.as_of, run_id=f"run-{step.number}",
                 known_at=step.known_at, everybody=True)  # fmt: skip
        return store

    def same_with_everybody(self, before: Path, step: Step) -> None:
        with self.everybody(before, step) as every:
            wanted = content(every)
        found = content(self.world.store)
        for table, rows in wanted.items():
            assert found[table] == rows, f"incremental: {table} {unlike(found[table], rows)}"

    # --- again ---

    def days_again(self) -> None:
        """Do every evaluation again, and explain it again."""
        world = self.world
        for step in self.steps:
            at, last = instant(step.as_of), step is self.steps[-1]
            moment = moment_of(world.store, world.space, step.as_of, None, day=False)
            rules, same = rules_then(world.store, moment, world.rules)
            assert same
            with replay(world.store, rules, world.space, moment) as (_, copy):
                again = content(copy, GOES_BACK)
                found = list(differences(world.store, copy, moment)) if last else []
            for table, rows in self.after[at].items():
                assert again[table] == rows, f"replay: {table} {at} {unlike(again[table], rows)}"
            assert not found, f"differences: {found[:3]}"
            if at not in self.told or (step.number % 3 and not last):
                continue
            told = self.told[at]
            past = explain_past(world.store, rules, world.space, told.account_uid, moment)
            assert past == told, f"explain_past: {unlike(parts(past), parts(told))}"

    # --- explained ---

    def adds_up(self, told: Explanation) -> None:
        sql = "SELECT name, value FROM result WHERE account_uid = ? AND state <> 'stale'"
        held = {r["name"]: json.loads(r["value"]) for r in self.world.store.query(sql, (told.account_uid,))}
        for view in told.packs:
            if view.covers and view.measures:
                score_adds_up(view, held)

    def cause_is_right(self, uid: str) -> None:
        """What changed since the evaluation before, and whether data or an edit changed it."""
        world, step = self.world, self.steps[-1]
        at = instant(step.as_of)
        now = results(world.store, uid)
        changes = {c.name: c for c in last_changes(world.store, world.space, uid, at)}
        assert changes.keys() == now.keys(), "changes: names"
        others = [s for s in self.steps if s.as_of < step.as_of]
        if not others:
            lived = world.n > len(self.steps)  # days that were not looked at
            assert lived or {c.cause for c in changes.values()} <= {"first"}, "changes: first"
            return
        before = others[-1]
        was = values(self.after[instant(before.as_of)]["result"], uid)
        alone: dict[str, Any] = {}
        seen = not {at, instant(before.as_of)} & self.twice and self.before(before).exists()
        for name, change in changes.items():
            moved = name not in was or was[name] != now[name]
            assert (change.since == at) == moved, f"changes: since {name} {change}"
            if not moved:
                continue
            if name not in was:
                assert change.cause == "first", f"changes: not first {change}"
                continue
            assert (change.previous, change.value) == (was[name], now[name]), f"changes: {change}"
            assert change.before_as_of == instant(before.as_of), f"changes: before {change}"
            if change.rules_before == change.rules_after:
                assert change.cause in ("data", "days"), f"changes: cause {change}"
                if change.cause == "days" and seen and not name.endswith(".as_of"):  # a day of pulls, not of data
                    alone = alone or self.days_alone(before, step, uid)
                    assert alone.get(name) != was[name], f"changes: days {change}"
            elif seen:
                with self.everybody(self.before(step), step, before.rules) as store:
                    data = results(store, uid).get(name)
                with self.everybody(self.before(before), before, step.rules) as store:
                    rules = results(store, uid).get(name)
                assert (change.data_alone, change.edit_alone) == (data, rules), (
                    f"changes: split {change} {data} {rules}"
                )

    def days_alone(self, before: Step, step: Step, uid: str) -> dict[str, Any]:
        """What the results of an account would be, had nothing happened but that days went by."""
        with self.everybody(self.before(before), before) as store:
            evaluate(store, step.rules, self.world.space, step.as_of, run_id="days", known_at=before.known_at)
            return results(store, uid)


def score_adds_up(view: PackExplanation, held: dict[str, Any]) -> None:
    """Lost points are what is missing from 100, and the view says what the results say."""
    lost = [m.lost for m in view.measures if m.lost is not None]
    if view.exact_score is not None:
        assert sum(lost, Fraction(0)) == 100 - view.exact_score, "explain: lost points"
        assert view.raw_score is None or abs(view.raw_score - view.exact_score) <= Fraction(1, 2), "explain: rounded"
    trend = view.trend.trend if view.trend else None
    said = {"score": view.score, "band": view.band, "computed_band": view.computed_band, "model": view.model,
            "coverage": view.coverage, "trend": trend, "reasons": view.text}  # fmt: skip
    if view.score is None:
        del said["coverage"]
    for name, value in said.items():
        stored = held.get(f"{view.pack}.{name}", value)
        if name == "reasons":  # the date in the text is that of its last change
            stored, value = undated(stored), undated(str(value))
        assert stored == value, f"explain: {name} {stored!r} {value!r}"


def values(rows: list[str], uid: str) -> dict[str, Any]:
    """The results of an account in rows that `content` wrote."""
    found = (ast.literal_eval(row) for row in rows)
    return {row[1]: json.loads(row[2]) for row in found if row[0] == uid}


def unlike(found: list[str], wanted: list[str]) -> str:
    return f"found {sorted({*found} - {*wanted})[:4]} wanted {sorted({*wanted} - {*found})[:4]}"


def parts(told: Explanation | None) -> list[str]:
    views = told.packs if told else ()
    return [f"{v.pack} {n} {getattr(v, n)}" for v in views for n in PackExplanation.__dataclass_fields__]


def live(folder: Path, seed: int, days: int, steps: int, *, explained: bool) -> Life:
    """Live one world through all its checks. days: for which it lives before, so that there is a past; explained: False
    leaves out what is explained, the larger half."""
    with Store.open(folder / "store.db") as store:
        life = Life(RandomWorld(store, seed), folder, explained=explained)
        if days:
            life.begin(life.world.days(days))
        for _ in range(steps):
            life.step()
        life.days_again()
        return life


@pytest.mark.parametrize(("seed", "days", "explained"), [(0, 0, True), (1, 8, False)])
def test_a_world_is_the_same_however_it_is_looked_at(tmp_path: Path, seed: int, days: int, explained: bool) -> None:
    live(tmp_path, seed, days, 5, explained=explained)
