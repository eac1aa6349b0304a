"""The promises of the pull, for every stream of every connector that speaks HTTP: a new stream is covered by itself."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cssync.sandbox.server import Fault, SandboxAnswer, SandboxRequest
from vendor_hands import bench, every_stream

STREAMS = every_stream()
YEAR_2009 = datetime(2009, 1, 5, 9, tzinfo=UTC).timestamp()
each_stream = pytest.mark.parametrize(("vendor", "stream"), STREAMS, ids=[".".join(pair) for pair in STREAMS])


def test_every_stream_is_covered() -> None:
    assert len(STREAMS) >= 18


@each_stream
def test_a_world_since_2009_is_read_whole_under_the_default_configuration(
    vendor: str, stream: str, tmp_path: Path
) -> None:
    with bench(vendor, stream, tmp_path) as b:
        made = b.hands.make(stream, 3, YEAR_2009) + b.hands.make(stream, 2, YEAR_2009 + 5 * 365 * 86400)
        assert b.pull().outcome in ("ok", "empty")
        assert set(made) <= b.live()
        old = b.store.query(f'SELECT count(*) FROM "{b.entity}" WHERE created_at < ?', ("2010",))[0][0]
        assert old == (3 if made else 0)


@each_stream
def test_twelve_rows_removed_and_nine_gone_stale_behind_our_back_are_all_found_and_repaired(
    vendor: str, stream: str, tmp_path: Path
) -> None:
    with bench(vendor, stream, tmp_path) as b:
        b.hands.make(stream, 24, b.clock.now - 7200)
        b.pull()
        before, ids = b.held(), sorted(b.live())
        removed, stale = (ids[:12], ids[12:21]) if len(ids) >= 21 else (ids[:1], ids[1:2])
        assert removed, "the sandbox has nothing of this stream"
        assert stale
        (column,) = {"name", "subject", "comment", "product_code"} & set(b.stream.feeds[0].fields)
        with b.store.transaction() as conn:
            conn.executemany(f'DELETE FROM "{b.entity}" WHERE source_id = ?', [(i,) for i in removed])
            conn.executemany(f'UPDATE "{b.entity}" SET "{column}" = ? WHERE source_id = ?', [("x", i) for i in stale])
        damaged = b.held()
        for keep in (False, True):
            found = b.pull(full=True, keep=keep)
            assert (found.new, found.changed, found.tombstoned) == (len(removed), len(stale), 0)
            assert b.held() == (before if keep else damaged)
        again = b.pull(full=True, keep=False)
        assert (again.new, again.changed, again.tombstoned) == (0, 0, 0)


@each_stream
def test_a_deleted_record_is_followed_and_a_restored_one_comes_back(vendor: str, stream: str, tmp_path: Path) -> None:
    with bench(vendor, stream, tmp_path) as b:
        made = b.hands.make(stream, 3, b.clock.now - 7200)
        if not made:
            pytest.skip("people cannot make records of this stream")
        b.pull()
        before = b.live()
        for key in made[:2]:
            b.sleep(600)
            if not b.hands.delete(stream, key):
                pytest.skip("the vendor deletes no records of this stream")
        b.sleep(600)
        assert b.pull().tombstoned == 2
        assert b.live() == before - set(made[:2])
        b.sleep(600)
        back = b.hands.restore(stream, made[0])
        b.sleep(600)
        b.pull()
        assert b.live() == before - {made[1], *([] if back else [made[0]])}
        full = b.pull(full=True)
        assert (full.new, full.changed, full.tombstoned) == (0, 0, 0)


class Spoiled:
    """A vendor that gives some records a time of creation that is none."""

    def __init__(self, app: Any, ids: Sequence[str]) -> None:
        self.app, self.ids = app, set(ids)

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        answer: SandboxAnswer = self.app.handle(request)
        if isinstance(answer.body, dict):
            for name in ("results", "records", "tickets", "users", "organizations"):
                answer.body[name] = [self.spoil(r) for r in found] if (found := answer.body.get(name)) else found
                if found is None:
                    del answer.body[name]
        return answer

    def spoil(self, record: Any) -> Any:
        if not isinstance(record, dict) or str(record.get("id", record.get("Id"))) not in self.ids:
            return record
        times = {"createdAt", "CreatedDate", "created_at"} & record.keys()
        return {**record, **dict.fromkeys(times, "soon")}


@each_stream
def test_random_bad_records_are_set_aside_each_with_its_raw_value_and_the_sums_agree(
    vendor: str, stream: str, tmp_path: Path
) -> None:
    """The sums of each pull are asserted by the bench."""
    with bench(vendor, stream, tmp_path) as b:
        b.hands.make(stream, 12, b.clock.now - 7200)
        b.pull()
        before = b.held()
        live = sorted(b.live())
        bad = random.Random(stream).sample(live, min(len(live), 4))
        assert bad
        b.server.app = Spoiled(b.app, bad)
        report = b.pull(full=True)
        assert (report.quarantined, report.new, report.changed, report.tombstoned) == (len(bad), 0, 0, 0)
        listed = {r["source_id"]: r for r in b.store.query("SELECT * FROM quarantine")}
        assert set(listed) == set(bad)
        assert all("soon" in row["raw"] and row["field"] and row["reason"] for row in listed.values())
        assert b.held() == before
        b.server.app = b.app
        assert b.pull(full=True).quarantined == 0
        assert (b.store.query("SELECT count(*) FROM quarantine")[0][0], b.held()) == (0, before)


BAD = {
    "forbidden": SandboxAnswer(403, {"message": "no", "category": "MISSING_SCOPES"}),
    "gone": SandboxAnswer(404, {"message": "nothing here"}),
    "page": SandboxAnswer(200, b"<!doctype html><title>Login</title>", {"Content-Type": "text/html"}),
    "torn": SandboxAnswer(200, b'{"results": [{"id": "1"', {"Content-Type": "application/json"}),
    "empty": SandboxAnswer(200, b"", {"Content-Type": "application/json"}),
    "other": SandboxAnswer(200, {"ok": True}),
    "list": SandboxAnswer(200, []),
    "null": SandboxAnswer(200, dict.fromkeys(("results", "records", "tickets", "users", "organizations"))),
    "busy": SandboxAnswer(503, b"", {"Retry-After": "1"}),
}


@each_stream
def test_no_bad_answer_on_any_route_is_taken_for_no_records(vendor: str, stream: str, tmp_path: Path) -> None:
    """Each route that a full or an incremental pull asks, answered wrong in each way, one at a time."""
    with bench(vendor, stream, tmp_path) as b:
        b.hands.make(stream, 2, b.clock.now - 60)
        routes: dict[bool, list[str]] = {}
        for full in (True, False):
            b.server.journal.clear()
            b.pull(full=full)
            lines = [f"{e.method} {e.path}" + ("?archived" if "archived" in e.query else "") for e in b.server.journal]
            routes[full] = [line for line in dict.fromkeys(lines) if "/token" not in line]
        before, cursor = b.held(), b.cursor()
        for number, (full, line) in enumerate((f, r) for f in (True, False) for r in routes[f]):
            for kind in list(BAD) if number == 0 else [list(BAD)[(number * 2 + n) % len(BAD)] for n in range(2)]:
                path, _, archive = line.partition("?")
                route = re.escape(path) + (r"\?.*archived" if archive else r"(\?(?!.*archived)|$)")
                fault = Fault(route, answer=BAD[kind], times=10_000)
                b.server.faults[:] = [fault]
                b.put_cursor(cursor)
                report = b.pull(full=full)
                assert fault.seen, line
                where = f"{line} answered {kind}, full={full}: {report.outcome}"
                assert report.outcome in ("failed", "partial"), where
                assert report.error is not None or report.incomplete, where
                assert b.held() == before, where
                assert b.cursor() == cursor or report.read, where
        b.server.faults.clear()
        assert b.pull(full=True).error is None
        assert b.held() == before


SMALL_PAGES = (
    "cssync_hubspot.pull.LIST_PAGE",
    "cssync_hubspot.pull.SEARCH_PAGE",
    "cssync_zendesk.streams.PAGE",
)


class Circle:
    """A vendor whose paging leads back: from the third page of a list on it gives the second one again."""

    def __init__(self, app: Any, route: str) -> None:
        self.app, self.route = app, route
        self.pages: list[SandboxAnswer] = []

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer as the vendor would, but for the pages."""
        answer: SandboxAnswer = self.app.handle(request)
        if not re.search(self.route, f"{request.method} {request.path}"):
            return answer
        self.pages.append(answer)
        return answer if len(self.pages) < 3 else self.pages[1]


@each_stream
@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_paging_that_leads_back_ends_the_stream_by_name_and_costs_nothing(
    vendor: str, stream: str, full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SMALL_PAGES:
        monkeypatch.setattr(name, 2)
    with bench(vendor, stream, tmp_path) as b:
        b.app.batch, b.app.limits = 2, {}
        b.pull()
        b.sleep(3600)
        made = [key for second in range(9) for key in b.hands.make(stream, 1, b.clock.now - second)]
        b.sleep(300)
        if not made:
            pytest.skip("people cannot make records of this stream")
        kind = r"line_items" if stream == "line_items" else r""
        b.server.app = Circle(b.app, rf"(GET|POST) .*({kind}/search$|objects/[^/]+/{kind}\w*$|query|incremental)")
        b.server.journal.clear()
        report = b.pull(full=full)
        assert report.outcome in ("failed", "partial")
        assert report.error is not None
        assert len(b.server.journal) < 20
        b.server.app = b.app
        b.pull(full=full)
        assert set(made) <= b.live()


def test_10_250_organisations_are_read_past_any_wall_of_a_hundred_pages(tmp_path: Path) -> None:
    with bench("zendesk", "organizations", tmp_path) as b:
        made = b.hands.make("organizations", 10_250, b.clock.now - 86_400)
        b.pull()
        assert set(made) <= b.live()
        assert [e.status for e in b.server.journal if "incremental" in e.path].count(200) <= 12
