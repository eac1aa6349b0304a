"""The audit trail: 400 days for everything, and for good what comparisons rest on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.runs.retention import prune
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan
from cssync.writeback.brakes import first_writes
from cssync.writeback.failures import written_for
from fake_crm import TYPES, Crm, account, pulled, result, sessions, workspace

START = datetime(2026, 1, 1, 20, 30, tzinfo=UTC)


class At:
    """A clock that stands."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def time(self) -> float:
        return self.now.timestamp()

    def monotonic(self) -> float:
        return self.now.timestamp()

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


def test_writes_are_kept_400_days_and_the_last_of_each_place_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)
    crm, rules = Crm({"1": {}}), None
    space = workspace(tmp_path, {"crm": crm}, fields={"cs_health_band": "health.band"})
    with Store.open(tmp_path / "store.db") as store:
        account(store, "a-1")
        pulled(store, crm)
        bands = ("red", "green", "yellow")
        for day, band in zip((0, 100, 200), bands, strict=True):
            now = START + timedelta(days=day)
            result(store, "a-1", "health.band", band)
            made: Any = planning.make_plan(
                store,
                space,
                rules,
                now,
                run_id=f"r-{now:%Y%m%d}",
                clock=At(now),  # type: ignore[arg-type]
            )
            apply_plan(store, space, made.id, sessions(space), run_id=f"r-{now:%Y%m%d}", clock=At(now))
            pulled(store, crm)

        def left() -> list[Any]:
            return [entry.new for entry in written_for(store, "a-1")]

        assert prune(store, START + timedelta(days=400)) == {"writes": 0, "plans": 0}
        assert prune(store, START + timedelta(days=401)) == {"writes": 1, "plans": 1}
        assert left() == ["green", "yellow"]
        assert prune(store, START + timedelta(days=4000)) == {"writes": 1, "plans": 1}
        assert left() == ["yellow"]
        plans = store.query("SELECT count(*) AS n FROM plan")[0]["n"]
        assert (plans, store.query("SELECT count(*) AS n FROM plan_change")[0]["n"]) == (1, 1)
        result(store, "a-1", "health.band", "red")
        found = planning.draft(store, space, TYPES, START)
        assert first_writes(store, found) == ()  # a connection that was written to stays one
