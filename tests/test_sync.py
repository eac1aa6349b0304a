from __future__ import annotations

import dataclasses
import itertools
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cssync.connectors import Feed, Page, Tombstone
from cssync.errors import ConnectionFault, LeaseLost
from cssync.store import Store
from cssync.sync import StreamReport, engine, sync
from cssync.sync.quarantine import Choice, drop, held, link_of, retry
from cssync_hubspot import HUBSPOT
from fake_vendor import NOW, World, company, sessions, workspace


def pull(
    tmp_path: Path, world: World, store: Store, mapped: Mapping[str, str] | None = None, **options: Any
) -> StreamReport:
    space = workspace(tmp_path, crm=world)
    if mapped:
        crm = dataclasses.replace(space.connections["crm"], mapped={"companies": mapped})
        space = dataclasses.replace(space, connections={"crm": crm})
    reports = sync(store, space, sessions(space), run_id=options.pop("run_id", "r1"), **options)
    report = next(r for r in reports if r.stream == options.get("stream", "companies"))
    assert report.read == (report.new + report.changed + report.same + report.echo + report.tombstoned
                           + report.incomplete + report.quarantined)  # fmt: skip
    return report


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def test_every_page_is_stored_and_a_second_run_changes_nothing(tmp_path: Path, store: Store) -> None:
    world = World([company(n, domain=f"c{n}.example") for n in range(10)])
    assert (pull(tmp_path, world, store).new, pull(tmp_path, world, store).read) == (10, 0)
    full = pull(tmp_path, world, store, full=True)
    assert (full.read, full.same, full.new, full.changed) == (10, 10, 0, 0)
    assert (
        store.query("SELECT rows_stored, outcome FROM source_state WHERE stream = 'companies'")[0]["rows_stored"] == 10
    )


def test_mapped_fields_become_rows_of_their_own_entities(tmp_path: Path, store: Store) -> None:
    custom = {"renews": "2027-03-31", "seats": "50", "mau": 41, "cs_score": "82"}
    pull(tmp_path, World([company(1, custom=custom), company(2, custom={"renews": "", "seats": None})]), store)
    (contract,) = store.query("SELECT * FROM contract")
    (line,) = store.query("SELECT * FROM contract_line")
    (usage,) = store.query("SELECT * FROM usage_metric")
    assert (contract["source_id"], contract["end_date"], contract["account_source_id"]) == (
        "companies/1",
        "2027-03-31",
        "1",
    )
    assert (line["quantity"], line["contract_source_id"]) == (50, contract["source_id"])
    assert (usage["metric"], usage["value"], usage["period_start"]) == ("mau", 41.0, "2026-11-20")
    state = store.query("SELECT fields FROM crm_state WHERE source_id = '1'")[0]["fields"]
    assert json.loads(state) == {"cs_score": "82"}


def test_a_mapped_row_goes_when_its_fields_are_emptied(tmp_path: Path, store: Store) -> None:
    pull(tmp_path, World([company(1, custom={"renews": "2027-03-31"})]), store)
    pull(tmp_path, World([company(1, custom={"renews": None})]), store, full=True)
    assert store.query("SELECT deleted_at FROM contract")[0][0] is not None


def test_a_bad_record_is_quarantined_alone_and_released_when_mended(tmp_path: Path, store: Store) -> None:
    world = World([company(1), company(2, staff="5,0"), {"name": "no id"}, company(4)])
    report = pull(tmp_path, world, store)
    assert (report.new, report.quarantined, report.outcome) == (2, 2, "partial")
    listed = {r["source_id"]: r for r in store.query("SELECT * FROM quarantine")}
    assert listed["2"]["field"] == "staff"
    assert "not a number" in listed["2"]["reason"]
    assert json.loads(listed["2"]["raw"])["staff"] == "5,0"
    pull(tmp_path, World([company(2, staff="5")]), store, full=False, run_id="r2")
    world.companies[1]["staff"] = "5"
    pull(tmp_path, world, store, full=True)
    assert "2" not in {r["source_id"] for r in store.query("SELECT source_id FROM quarantine")}


def test_a_record_whose_id_holds_nul_is_listed_by_its_whole_id_until_it_is_dropped(
    tmp_path: Path, store: Store
) -> None:
    """In a full pass, too; up to its NUL it reads like record `a`, which is gone, and like one more of its kind."""
    world = World([company(1), *({**company(2), "id": i} for i in ("a", "a\0b", "a\0c"))])
    pull(tmp_path, world, store)
    del world.companies[1]
    for full in (False, True, True):
        report = pull(tmp_path, world, store, full=full)
        assert (report.quarantined, report.outcome) == ((2, "partial") if full else (0, "empty"))
        listed = {str(r["source_id"]): r for r in held(store, Choice())}
        assert sorted(listed) == ["a\0b", "a\0c"]
        assert listed["a\0b"]["field"] == "id"
        assert listed["a\0b"]["raw"]["id"] == "a\0b"
    assert [r[0] for r in store.query("SELECT source_id FROM account_source WHERE deleted_at IS NULL")] == ["1"]
    assert retry(store, workspace(tmp_path, crm=world), Choice(source_id="a\0b"), NOW).kept == 1
    assert drop(store, Choice(source_id="a\0b")) == 1
    assert [r["source_id"] for r in held(store, Choice())] == ["a\0c"]
    world.companies[1:] = [company(3)]
    pull(tmp_path, world, store, full=True)
    assert held(store, Choice()) == []


def test_deletes_and_merges_leave_tombstones_in_every_entity_of_the_stream(tmp_path: Path, store: Store) -> None:
    world = World([company(n, custom={"renews": "2027-03-31"}) for n in (1, 2)])
    pull(tmp_path, world, store)
    world.deleted = [Tombstone("2", merged_into="1"), Tombstone("77")]
    report = pull(tmp_path, world, store)
    assert (report.tombstoned, report.read) == (1, 2)
    gone = store.query("SELECT source_id, merged_into FROM account_source WHERE deleted_at NOT NULL")
    assert [tuple(r) for r in gone] == [("2", "1")]
    assert [r[0] for r in store.query("SELECT source_id FROM contract WHERE deleted_at NOT NULL")] == ["companies/2"]


def test_a_date_mapped_onto_a_kind_of_contact_is_the_last_of_that_kind_until_it_is_emptied(
    tmp_path: Path, store: Store
) -> None:
    mapped = {"met": "interaction.meeting", "phoned": "interaction.call"}
    both = company(1, custom={"met": "2026-11-01T09:00:00Z", "phoned": "2026-11-05"})
    pull(tmp_path, World([both, company(2, custom={"met": None})]), store, mapped=mapped)
    rows = (
        "SELECT source_id, kind, direction, at, account_source_id FROM interaction WHERE deleted_at IS NULL ORDER BY 1"
    )
    assert [tuple(r) for r in store.query(rows)] == [
        ("companies/call/1", "call", "both", "2026-11-05T00:00:00Z", "1"),
        ("companies/meeting/1", "meeting", "both", "2026-11-01T09:00:00Z", "1"),
    ]
    assert store.query("SELECT count(*) FROM source_feed WHERE entity = 'interaction'")[0][0] == 1
    world = World([company(1, custom={"met": "2026-11-01T09:00:00Z", "phoned": None})])
    pull(tmp_path, world, store, mapped=mapped, full=True)
    assert [r[0] for r in store.query(rows)] == ["companies/meeting/1"]
    world.deleted = [Tombstone("1")]
    pull(tmp_path, world, store, mapped=mapped)
    assert store.query(rows) == []


def test_half_the_portfolio_is_buried_where_a_person_says_that_it_is_gone(tmp_path: Path, store: Store) -> None:
    world = World([company(n) for n in range(40)])
    space = workspace(tmp_path, crm=world)
    sync(store, space, sessions(space), run_id="r1")
    del world.companies[20:]
    refused, *_ = sync(store, space, sessions(space), run_id="r2", full=True)
    assert refused.error is not None
    assert "`cssync sync crm --stream companies --full --accept-deletions`" in refused.error.fix
    believed, *_ = sync(store, space, sessions(space), run_id="r3", full=True, accept_deletions=True)
    assert (believed.outcome, believed.tombstoned) == ("ok", 20)


def test_a_full_pass_finds_what_vanished_but_refuses_to_bury_half_the_portfolio(tmp_path: Path, store: Store) -> None:
    world = World([company(n) for n in range(40)])
    pull(tmp_path, world, store)
    del world.companies[3]
    assert pull(tmp_path, world, store, full=True).tombstoned == 1
    del world.companies[5:]
    report = pull(tmp_path, world, store, full=True)
    assert report.outcome in ("failed", "partial")
    assert report.error is not None
    assert "34 of 39 accounts" in report.error.message
    assert store.query("SELECT count(*) FROM account_source WHERE deleted_at IS NULL")[0][0] == 39


def test_a_stream_that_fails_keeps_its_last_good_page_and_lets_the_others_go_on(tmp_path: Path, store: Store) -> None:
    world = World([company(n) for n in range(9)], [{"id": "c1", "name": "P", "company": "1"}])

    def stop(stream: str, number: int) -> None:
        if stream == "companies" and number == 2:
            raise ConnectionFault("crm.companies: 500", fix="wait")

    world.before_page = stop
    report = pull(tmp_path, world, store)
    assert (report.outcome, report.new) == ("failed", 6)
    assert store.query("SELECT count(*) FROM contact")[0][0] == 1
    (state,) = store.query("SELECT cursor, last_success_at, error FROM source_state WHERE stream = 'companies'")
    assert (json.loads(state["cursor"]), state["last_success_at"], state["error"]) == (
        {"at": 6},
        None,
        "crm.companies: 500",
    )
    world.before_page = lambda stream, number: None
    assert pull(tmp_path, world, store).new == 3


def test_a_connectors_bug_stops_only_its_stream_and_is_named(tmp_path: Path, store: Store) -> None:
    world = World([company(1)], [{"id": "c1"}])
    world.before_page = lambda stream, number: 1 / 0 if stream == "contacts" else None  # type: ignore[assignment,return-value]
    space = workspace(tmp_path, crm=world)
    companies, contacts = sync(store, space, sessions(space), run_id="r")
    assert companies.outcome == "ok"
    assert contacts.error is not None
    assert "crm.contacts: the connector failed with ZeroDivisionError" in contacts.error.message


@pytest.mark.parametrize("cursor", [None, {"at": 1}, {"after": "x" * 200}])
def test_paging_that_does_not_move_fails_instead_of_running_for_ever(tmp_path: Path, store: Store, cursor: Any) -> None:
    world = World()
    space = workspace(tmp_path, crm=world)

    def endless(session: Any, request: Any) -> Any:
        for number in itertools.count():
            yield Page([company(number if cursor else 1)], cursor)

    stream = space.connections["crm"].streams[0]
    object.__setattr__(stream, "pages", endless)
    report = sync(store, space, sessions(space), run_id="r", stream="companies")[0]
    assert report.error is not None
    assert "does not advance" in report.error.message


def test_a_stream_that_ends_without_saying_so_is_no_success(tmp_path: Path, store: Store) -> None:
    space = workspace(tmp_path, crm=World())
    object.__setattr__(space.connections["crm"].streams[0], "pages", lambda s, r: iter([Page([company(1)])]))
    report = sync(store, space, sessions(space), run_id="r", stream="companies")[0]
    assert report.error is not None
    assert store.query("SELECT last_success_at FROM source_state")[0][0] is None


def test_a_connection_that_could_not_open_fails_its_streams_only(tmp_path: Path, store: Store) -> None:
    space = workspace(tmp_path, crm=World([company(1)]), desk=World([company(2)]))
    opened: dict[str, Any] = {**sessions(space), "crm": ConnectionFault("crm: refused the token", fix="renew it")}
    outcomes = {(r.connection, r.stream): r.outcome for r in sync(store, space, opened, run_id="r")}
    assert outcomes == {("crm", "companies"): "failed", ("crm", "contacts"): "failed",
                        ("desk", "companies"): "ok", ("desk", "contacts"): "empty"}  # fmt: skip


def test_a_page_behind_the_fence_is_refused_and_nothing_of_it_stays(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ENOUGH", 3)

    class Overtaken:
        calls = 0

        def check(self, conn: Any) -> None:
            self.calls += 1
            if self.calls > 3:
                raise LeaseLost("another run took over")

    world = World([company(n) for n in range(30)])
    with pytest.raises(LeaseLost):
        pull(tmp_path, world, store, fence=Overtaken(), stream="companies")
    assert store.query("SELECT count(*) FROM account_source")[0][0] in (3, 6)


def test_a_record_that_comes_back_only_because_we_wrote_it_is_an_echo(tmp_path: Path, store: Store) -> None:
    world = World([company(1, custom={"cs_score": "82"}), company(2, custom={"cs_score": None})])
    pull(tmp_path, world, store)
    with store.transaction() as conn:
        conn.execute("INSERT INTO written VALUES ('crm', 'companies', '1', 'cs_score', '82', NULL, 'x')")
    for record in world.companies:
        record["updated"] = "2026-11-20T09:00:00Z"
    report = pull(tmp_path, world, store, full=True)
    assert (report.echo, report.same, report.changed) == (1, 1, 0)
    assert store.query("SELECT count(*) FROM history")[0][0] == 0


def dump(store: Store) -> list[tuple[Any, ...]]:
    tables = {"account_source": "source_id, name, employee_count", "contact": "source_id, name, account_source_id",
              "contract": "source_id, end_date"}  # fmt: skip
    return [tuple(r) for t, c in tables.items() for r in store.query(f"SELECT {c} FROM {t} ORDER BY 1")]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.randoms(use_true_random=False))
def test_page_size_and_repetition_do_not_matter(size: int, times: int, shuffle: Any) -> None:
    import tempfile

    records = [company(n, staff=str(n), custom={"renews": "2027-01-31" if n % 3 else None}) for n in range(20)]
    people = [{"id": f"p{n}", "name": f"P{n}", "company": str(n % 20)} for n in range(25)]
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for step, rounds in ((7, 1), (size, times)):
            with Store.open(Path(folder) / f"{step}-{rounds}-{len(found)}.db") as store:
                world = World(list(records), list(people), page_size=step)
                if found:
                    shuffle.shuffle(world.companies)
                for number in range(rounds):
                    space = workspace(Path(folder), crm=world)
                    sync(store, space, sessions(space), run_id=f"r{number}", full=bool(number))
                found.append(dump(store))
    assert found[0] == found[1]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from fake_vendor import World, company, sessions, workspace
    from cssync.store import Store
    from cssync.sync import engine, sync
    engine.ENOUGH = 6
    world = World([company(n) for n in range(90)])
    def maybe(stream, number):
        if stream == "companies" and number == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    world.before_page = maybe
    folder = Path(sys.argv[1])
    with Store.open(folder / "store.db") as store:
        space = workspace(folder, crm=world)
        sync(store, space, sessions(space), run_id="killed", stream="companies")
"""


@pytest.mark.parametrize("page", [0, 1, 4, 17, 29])
def test_kill_9_at_any_page_loses_nothing_and_the_checkpoint_covers_only_what_is_stored(
    tmp_path: Path, page: int
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED.format(tests=str(Path(__file__).parent))))
    done = subprocess.run([sys.executable, str(script), str(tmp_path), str(page)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with Store.open(tmp_path / "store.db") as store:
        stored = store.query("SELECT count(*) FROM account_source")[0][0]
        cursor = store.query("SELECT cursor FROM source_state WHERE stream = 'companies'")
        assert (json.loads(cursor[0]["cursor"])["at"] if cursor else 0) == stored <= page * 3
        report = pull(tmp_path, World([company(n) for n in range(90)]), store)
        assert report.new == 90 - stored
        assert store.query("SELECT count(*) FROM account_source")[0][0] == 90
        assert store.query("SELECT count(*) FROM history")[0][0] == 0


def test_money_without_a_currency_is_in_the_organisations_own(tmp_path: Path, store: Store) -> None:
    with store.transaction() as conn:
        conn.execute("INSERT INTO binding (connection, org_id, currency) VALUES ('crm', '1', 'USD')")
    space = workspace(tmp_path, crm=World([company(1, custom={"price": "12.50"})]))
    object.__setattr__(space.connections["crm"], "mapped", {"companies": {"price": "contract_line.unit_price"}})
    sync(store, space, sessions(space), run_id="r")
    assert tuple(store.query("SELECT unit_price, currency FROM contract_line")[0]) == (1250, "USD")


def test_a_deleted_record_of_wide_usage_takes_each_of_its_metrics_with_it(tmp_path: Path, store: Store) -> None:
    day = {"id": "u1", "company": "1", "day": "2026-11-19", "users": 5, "logins": 9}
    world = World([day])
    space = workspace(tmp_path, crm=world)
    usage = Feed("usage_metric", {"account_source_id": "company", "period_start": "day"})
    stream = dataclasses.replace(space.connections["crm"].streams[0], name="usage", feeds=(usage,), base="")
    mapped = {"usage": {"users": "usage_metric.active_users", "logins": "usage_metric.logins"}}
    object.__setattr__(space.connections["crm"], "streams", (stream,))
    object.__setattr__(space.connections["crm"], "mapped", mapped)
    sync(store, space, sessions(space), run_id="r1")
    rows = store.query("SELECT source_id, metric, value, period_start FROM usage_metric ORDER BY 1")
    assert [tuple(r) for r in rows] == [
        ("u1/active_users", "active_users", 5.0, "2026-11-19"),
        ("u1/logins", "logins", 9.0, "2026-11-19"),
    ]
    world.companies, world.deleted = [], [Tombstone("u1")]
    object.__setattr__(stream, "pages", world.pages("companies"))
    (report,) = sync(store, space, sessions(space), run_id="r2")
    assert (report.tombstoned, report.read) == (1, 1)
    assert store.query("SELECT count(*) FROM usage_metric WHERE deleted_at IS NULL")[0][0] == 0


@pytest.mark.parametrize("keep", [False, True])
def test_verify_finds_what_was_damaged_behind_our_back_and_repairs_it_when_asked(
    tmp_path: Path, store: Store, keep: bool
) -> None:
    world = World([company(n) for n in range(60)], page_size=7)
    pull(tmp_path, world, store, stream="companies")
    with store.transaction() as conn:
        conn.execute("DELETE FROM account_source WHERE CAST(source_id AS INTEGER) < 12")
        conn.execute("UPDATE account_source SET name = 'stale' WHERE CAST(source_id AS INTEGER) BETWEEN 20 AND 28")
        conn.execute("INSERT INTO account_source (connection, source_id, synced_at) VALUES ('crm', 'ghost', 'x')")
    cursor = store.query("SELECT cursor FROM source_state")[0][0]
    found = pull(tmp_path, world, store, stream="companies", full=True, keep=keep)
    assert (found.new, found.changed, found.tombstoned) == (12, 9, 1)
    after = pull(tmp_path, world, store, stream="companies", full=True, keep=False)
    assert (after.new, after.changed, after.tombstoned) == ((0, 0, 0) if keep else (12, 9, 1))
    assert store.query("SELECT cursor FROM source_state")[0][0] == cursor
    assert store.query("SELECT count(*) FROM account_source WHERE name = 'stale'")[0][0] == (0 if keep else 9)


def test_a_usage_value_that_is_cleared_at_the_vendor_is_buried(tmp_path: Path, store: Store) -> None:
    world = World([company(1, custom={"mau": 41})])
    pull(tmp_path, world, store)
    world.companies[0]["custom"] = {}
    assert pull(tmp_path, world, store, full=True).changed == 0
    world.companies[0]["custom"] = {"mau": None}
    assert pull(tmp_path, world, store, full=True).changed == 1
    assert store.query("SELECT deleted_at FROM usage_metric")[0][0] is not None


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ({"id": "7", "url": "https://app.hubspot.com/contacts/1/record/0-2/7"}, "https://app.hubspot.com/contacts/1/record/0-2/7"),
        ({"id": "7", "url": "javascript:alert(1)"}, None),
        ({"id": "7"}, None),
        ("torn", None),
    ],
)  # fmt: skip
def test_a_quarantined_record_has_its_link_at_the_vendor(tmp_path: Path, raw: Any, url: str | None) -> None:
    space = workspace(tmp_path, crm=World())
    crm = dataclasses.replace(space.connections["crm"], streams=HUBSPOT.streams)
    space = dataclasses.replace(space, connections={"crm": crm})
    assert link_of(space, {"connection": "crm", "stream": "companies", "raw": raw}) == url
    assert link_of(space, {"connection": "gone", "stream": "companies", "raw": raw}) is None


def test_a_retried_record_has_its_money_in_the_organisations_currency(tmp_path: Path, store: Store) -> None:
    """The workspace counts in yen, which has no cents; the organisation in dollars."""
    space = workspace(tmp_path, crm=World([company(1, custom={"fee": "9.99", "seats": "many"})]))
    mapped = {"companies": {"fee": "contract_line.amount", "seats": "contract_line.quantity"}}
    crm = dataclasses.replace(space.connections["crm"], mapped=mapped)
    space = dataclasses.replace(space, connections={"crm": crm})
    with store.transaction() as conn:
        conn.execute(
            "INSERT INTO binding (connection, org_id, org_kind, currency) VALUES ('crm', '1', 'sandbox', 'USD')"
        )
    (report, _) = sync(store, space, sessions(space), run_id="r1")
    assert report.quarantined == 1
    mended = dataclasses.replace(crm, mapped={"companies": {"fee": "contract_line.amount"}})
    done = retry(store, dataclasses.replace(space, connections={"crm": mended}), Choice(), NOW)
    assert (done.stored, done.kept) == (1, 0)
    assert [tuple(r) for r in store.query("SELECT amount, currency FROM contract_line")] == [(999, "USD")]
