"""Two streams of one connection feed one entity: what is missing in one of them is not gone, it may be in the other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cssync.connectors import Feed, Stream
from cssync.store import Store
from cssync.sync import StreamReport, sync
from fake_vendor import World, company, sessions, workspace

MAPPED = {"mau": "usage_metric.active_users", "day": "usage_metric.period_start"}


class Two:
    """A vendor with two objects of one kind, `companies` and `others`."""

    def __init__(self, tmp_path: Path, store: Store, entity: str) -> None:
        self.store, self.worlds = store, (World(), World())
        space = workspace(tmp_path, crm=self.worlds[0])
        feed = {"account_source_id": "account", **({} if entity == "usage_metric" else {"name": "name"})}
        streams = tuple(
            Stream(name, (Feed(entity, feed),), world.pages("companies"), base="custom")
            for name, world in zip(("companies", "others"), self.worlds, strict=True)
        )
        mapped = dict.fromkeys(("companies", "others"), MAPPED) if entity == "usage_metric" else {}
        crm = dataclasses.replace(space.connections["crm"], streams=streams, mapped=mapped)
        self.space = dataclasses.replace(space, connections={"crm": crm}, writeback={})
        self.entity = entity
        for number, world in enumerate(self.worlds):
            world.companies = [self.record(10 * number + n) for n in range(5)]

    def record(self, number: int) -> dict[str, Any]:
        return company(number, account="1", name="x", custom={"mau": 7, "day": "2026-11-01"})

    def pull(self, **options: Any) -> list[StreamReport]:
        reports = sync(self.store, self.space, sessions(self.space), run_id="r", **options)
        assert [r.error for r in reports if r.error and "broke" not in r.error.message] == []
        return reports

    def live(self) -> set[str]:
        rows = self.store.query(f"SELECT source_id FROM {self.entity} WHERE deleted_at IS NULL")
        return {row[0].partition("/")[0] for row in rows}


@pytest.fixture(params=["usage_metric", "contract"])
def two(request: Any, tmp_path: Path) -> Any:
    with Store.open(tmp_path / "s.db") as store:
        made = Two(tmp_path, store, request.param)
        made.pull()
        assert len(made.live()) == 10
        yield made


@pytest.mark.parametrize("keep", [True, False])
def test_a_full_pass_of_one_buries_nothing_of_the_other_and_says_why(
    two: Two, keep: bool, caplog: pytest.LogCaptureFixture
) -> None:
    del two.worlds[0].companies[0]
    (report,) = two.pull(stream="companies", full=True, keep=keep)
    assert (report.tombstoned, len(two.live())) == (0, 10)
    assert f"crm.companies: other streams hold {two.entity}, too" in caplog.text


def test_what_is_missing_in_both_is_gone_when_both_were_read_whole(two: Two) -> None:
    del two.worlds[0].companies[0]
    del two.worlds[1].companies[4]
    reports = two.pull(full=True)
    assert two.live() == {"1", "2", "3", "4", "10", "11", "12", "13"}
    assert sum(r.tombstoned for r in reports) == 2
    assert all(r.read == r.same + r.tombstoned for r in reports)
    assert sum(r.tombstoned for r in two.pull(full=True)) == 0


def test_one_that_breaks_off_spares_what_the_other_misses(two: Two) -> None:
    del two.worlds[0].companies[0]

    def broken(stream: str, number: int) -> None:
        if number == 1:
            raise RuntimeError("broke")

    two.worlds[1].before_page = broken
    two.pull(full=True)
    assert len(two.live()) == 10
    two.worlds[1].before_page = lambda stream, number: None
    two.pull(full=True)
    assert len(two.live()) == 9
