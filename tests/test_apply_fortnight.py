"""Fourteen simulated days of daily runs with crashes, edits by people, a closed task, deletions and a down vendor."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.connectors import Change, Outcome
from cssync.errors import ConnectionFault
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan, settle, unfinished
from cssync.writeback.plan import approve_plan
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, task, workspace

ACCOUNTS, DAYS = 12, 14
BANDS = ("green", "yellow", "red")


class Killed(BaseException):
    """Stands for kill -9."""


class Life:
    """One workspace over fourteen days; `trouble` says whether anything goes wrong in it."""

    def __init__(self, folder: Path, seed: int, *, trouble: bool) -> None:
        self.crm = Crm({str(n): {} for n in range(ACCOUNTS)})
        self.facts = random.Random(seed)
        self.luck = random.Random(seed + 1) if trouble else None
        self.space = workspace(folder, {"crm": self.crm}, fields={"cs_health_band": "health.band"})
        self.runs = 0
        self.edited: dict[str, str] = {}

    def live(self, store: Store) -> None:
        for n in range(ACCOUNTS):
            account(store, f"a-{n}")
        for day in range(DAYS):
            self.people(day, store)
            for n in range(ACCOUNTS):
                if day == 0 or self.facts.random() < 0.15:
                    result(store, f"a-{n}", "health.band", self.facts.choice(BANDS))
                if day == n % 7:
                    task(store, f"a-{n}", f"k{n}", due_on="2027-01-15")
                if day == 10 and n % 3 == 0:
                    task(store, f"a-{n}", f"k{n}", due_on="2027-01-15", status="closed", closing_note="renewed")
            while not self.run(store, day):
                pass
            writes = len(self.crm.journal)
            assert self.run(store, day)
            assert len(self.crm.journal) == writes, "a second run on the same day writes nothing"

    def people(self, day: int, store: Store) -> None:
        """What people do in the CRM, the same in either life."""
        if day == 5:
            self.crm.companies["3"]["cs_health_band"] = self.edited["3"] = "by hand"
            done = next(t for t in self.crm.tasks.values() if t["key"] == "k4")
            done["status"] = "done"
        if day == 8:
            del self.crm.companies["7"]
            with store.transaction() as conn:
                store.tombstone(conn, "account_source", "crm", ["7"], "2026-11-28T00:00:00Z")

    def run(self, store: Store, day: int) -> bool:
        """One run as cron would start it; False when it was killed or the vendor failed."""
        self.runs += 1
        self.misfortune()
        rules: Any = None
        run_id = f"r{self.runs:04}"
        opened = sessions(self.space)
        try:
            pulled(store, self.crm)
            begun, code = unfinished(store), 0
            if begun is not None:
                code = apply_plan(store, self.space, begun, opened, run_id=run_id).exit_code
            else:
                settle(store, self.space, opened)
            plan = planning.make_plan(store, self.space, rules, AS_OF + timedelta(days=day), run_id=run_id)
            if plan.status == "held":
                approve_plan(store, plan.id)
            return max(code, apply_plan(store, self.space, plan.id, opened, run_id=run_id).exit_code) == 0
        except Killed:
            return False

    def misfortune(self) -> None:
        """Arrange for the next run to be killed before or after a send, to lose an answer, or to meet a refusal."""
        kind = self.luck.choice(["none", "none", "before", "after", "lost", "down"]) if self.luck else "none"

        def before(changes: Any) -> None:
            if kind == "before":
                raise Killed
            if kind == "down":
                raise ConnectionFault("503")

        def after(change: Change, outcome: Outcome) -> Outcome | None:
            if kind == "after":
                raise Killed
            return None if kind == "lost" else outcome

        self.crm.before_push, self.crm.answer = before, after


@pytest.mark.parametrize("seed", range(6))
def test_a_fortnight_of_trouble_ends_as_a_calm_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)
    ends = []
    for trouble in (False, True):
        life = Life(tmp_path, seed, trouble=trouble)
        with Store.open(tmp_path / f"{trouble}.db") as store:
            life.live(store)
            tasks = sorted((t["key"], t["status"], t["due_on"]) for t in life.crm.tasks.values())
            ends.append((life.crm.companies, tasks))
            created = [key for action, _, key in life.crm.journal if action == "create_task"]
            assert sorted(created) == sorted(f"k{n}" for n in range(ACCOUNTS))
            assert life.crm.companies["3"]["cs_health_band"] == "by hand"
            assert next(t["status"] for t in life.crm.tasks.values() if t["key"] == "k4") == "done"
            states = {row["state"] for row in store.query("SELECT DISTINCT state FROM outbox")}
            assert states <= {"verified", "refused", "failed-retry"}
            assert trouble == (life.runs > 2 * DAYS)
    assert ends[0] == ends[1]
