"""Winsorised features wherever rules run: evaluations, explanations, simulations, trends, days of the past."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.rules import RuleSet, evaluate, explain
from cssync.rules.explain_past import explain_past
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.replay import COMPARED, differences, moment_of, part_of, replay
from cssync.rules.simulate import simulate
from cssync.store import Store
from past_world import BEGIN, COMPANIES, PastWorld
from random_rows import add

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)


def read(text: str) -> RuleSet:
    return read_rules([Source("fair.yaml", text)])


PEERS = """
pack: fair
features:
  load: {count: tickets, within: 90d}
  load_fair: {winsorised: load, at: 75}
signals:
  S: {when: load_fair > 3, because: "{load} tickets, {load_fair} in comparison"}
score:
  bands: {red: 0, yellow: 50, green: 75}
  measures:
    calm: {weight: 1, curve: {of: load_fair, at: {0: 100, 10: 0}}, because: "{load_fair}"}
  trend: {window: 3d, before: 3d, improving: 1, declining: -1}
"""
RULES = read(PEERS)


def space(path: Path) -> Workspace:
    return Workspace("w", path, ZoneInfo("Asia/Tokyo"), "JPY", path, {})


def filled(path: Path, loads: Iterable[int]) -> Store:
    """A store of accounts with so many tickets each."""
    store = Store.open(path)
    with store.transaction() as conn:
        conn.execute("INSERT INTO source_feed (connection, stream, entity) VALUES ('x', 's', 'ticket')")
        conn.execute("INSERT INTO source_state (connection, stream, last_success_at, outcome) "
                     "VALUES ('x', 's', '2026-11-20T02:00:00Z', 'ok')")  # fmt: skip
        for n, _ in enumerate(loads):
            add(conn, "account", {"uid": f"a{n:04}", "segment": "s"})
    raise_to(store, loads)
    return store


def raise_to(store: Store, loads: Iterable[int]) -> None:
    with store.transaction() as conn:
        for n, load in enumerate(loads):
            for i in range(load):
                key = {"connection": "x", "source_id": f"{n}-{i}", "synced_at": "2026-11-19T00:00:00Z"}
                add(conn, "ticket", {**key, "account_uid": f"a{n:04}", "opened_at": "2026-11-18T00:00:00Z"})


def values(store: Store) -> list[Any]:
    return [json.loads(row[0])["load_fair"] for row in store.query(
        "SELECT features FROM feature_row f WHERE as_of = (SELECT max(as_of) FROM feature_row g WHERE "
        "g.account_uid = f.account_uid) ORDER BY account_uid")]  # fmt: skip


def test_the_spike_of_one_moves_no_other_and_is_kept_as_it_is(tmp_path: Path) -> None:
    """domain.md section 8, huge spike: measure inputs are cut for peers, and the raw value is kept."""
    text = PEERS.replace(", at: 75", "").replace("load_fair > 3", "load_fair >= 40")
    with filled(tmp_path / "a.db", [*range(5)] * 40 + [900]) as store:  # 201 accounts: the 200th value cuts
        evaluate(store, read(text), space(store.path), AS_OF, run_id="r")
        assert values(store) == [*range(5)] * 40 + [4]
        (pack,) = explain(store, read(text), space(store.path), "a0200", AS_OF).packs
        assert {i.name: i.value for i in pack.inputs} == {"load": 900, "load_fair": 4}
        assert {i.source for i in pack.inputs} == {("tickets",)}
        assert pack.score == 60
        assert pack.measures[0].text == "4"
        assert store.query("SELECT 1 FROM signal") == []
        plain = read(text.replace("of: load_fair", "of: load"))
        (pack,) = explain(store, plain, space(store.path), "a0200", AS_OF).packs
        assert pack.score == 0


def test_an_account_moves_with_its_peers_between_two_runs_of_a_day(tmp_path: Path) -> None:
    with filled(tmp_path / "a.db", [1, 2, 3, 9]) as some, filled(tmp_path / "b.db", [1, 2, 3, 9]) as every:
        for minutes, loads, wanted in ((0, [], [1, 2, 3, 3]), (1, [0, 0, 6], [1, 2, 6, 6]), (1440, [8], [8, 2, 6, 8])):
            at = AS_OF + timedelta(minutes=minutes)
            for store in (some, every):
                raise_to(store, loads)
            report = evaluate(some, RULES, space(some.path), at, run_id="r")
            evaluate(every, RULES, space(every.path), at, run_id="r", everybody=True)
            assert (report.partly, report.accounts) == (False, 4)
            assert values(some) == wanted
            for table, columns in COMPARED.items():
                names = ", ".join(f'"{c}"' for c in columns)
                one, other = (list(map(tuple, s.query(f"SELECT {names} FROM {table} ORDER BY 1, 2, 3")))
                              for s in (some, every))  # fmt: skip
                assert one == other, table


def test_what_if_cuts_where_the_peers_of_the_segment_do(tmp_path: Path) -> None:
    with filled(tmp_path / "a.db", [1, 2, 3, 9, 5, 5, 5, 5]) as store:
        with store.transaction() as conn:
            conn.execute("UPDATE account SET segment = 't' WHERE uid >= 'a0004'")

        def after(**given: Any) -> Any:
            (one,) = simulate(store, RULES, space(store.path), "a0003", AS_OF, given)
            return one.after["score"]

        assert after() == 70  # cut to 3
        assert after(load=2) == 80
        assert after(load=1000) == 70
        assert after(segment="t") == 50
        assert after(segment="nobody") == 10
        assert after(load_fair=10) == 0


def test_a_former_day_is_judged_again_by_what_was_left_then(tmp_path: Path) -> None:
    steep = read(PEERS.replace("10: 0", "5: 0"))
    with filled(tmp_path / "a.db", [1, 2, 3, 9]) as store:
        for day in range(7):
            with store.transaction() as conn:
                now = (AS_OF + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ")
                conn.execute("UPDATE source_state SET last_success_at = ?", (now,))
            rules = RULES if day < 6 else steep
            evaluate(store, rules, space(store.path), AS_OF + timedelta(days=day), run_id="r")
        again = store.query("SELECT DISTINCT score FROM score_restated WHERE account_uid = 'a0003'")
        assert [row[0] for row in again] == [40]  # 3 of 5, not 9
        other = read(PEERS.replace("10: 0", "5: 0").replace("at: 75", "at: 99"))
        evaluate(store, other, space(store.path), AS_OF + timedelta(days=6, hours=1), run_id="r")
        trend = store.query("SELECT value, because FROM result WHERE account_uid = 'a0003' AND name = 'fair.trend'")
        assert trend[0][0] == '"unknown"'  # another percentile is another feature: those days do not count


class Owning(PastWorld):
    """A world whose accounts have segments and products."""

    def begin(self, now: datetime) -> None:
        super().begin(now)
        ids = [str(n) for n in range(COMPANIES)]
        self.put(now, "account_source", "crm", *(
            {"source_id": i, "name": f"Company {i}", "segment": "smb" if int(i) < 6 else "mid", "status": "active",
             "employee_count": 10 + int(i)}
            for i in ids))  # fmt: skip
        self.put(now, "contract_line", "crm", *(
            {"source_id": f"p{i}", "account_source_id": i, "contract_source_id": f"k{i}", "quantity": 1,
             "product_code": "core" if int(i) % 2 else "more"} for i in ids))  # fmt: skip


def test_a_past_day_is_replayed_and_explained_alike_with_all_and_alone(tmp_path: Path) -> None:
    more = """
pack: fair
features:
  peak: {sum: usage.active_users, within: 1d, ending: 1d}
  load: {count: tickets, within: 30d}
  of_score: base.score / 2
  peak_fair: {winsorised: peak, at: 60}
  load_fair: {winsorised: load, at: 60}
signals:
  S: {when: peak_fair < 5 or load_fair > 1, because: "{peak_fair} of {peak}, {load_fair} of {load}"}
  P: {when: peer_share > 20%, because: "{peer_product}"}
"""
    base = Source("base.yaml", "pack: base\nfeatures:\n  seen: {sum: usage.active_users, within: 1d, ending: 1d}\n"
                  "score:\n  bands: {red: 0, yellow: 3, green: 6}\n  measures:\n    use: {weight: 1, curve: "
                  "{of: seen, at: {0: 0, 10: 100}}}\n")  # fmt: skip
    for more_of_it in ("", "  score_fair: {winsorised: of_score, at: 60}\n"):
        rules = read_rules([base, Source("fair.yaml", more.replace("signals:", more_of_it + "signals:"))])
        with Store.open(tmp_path / f"{len(more_of_it)}.db") as store:
            world = Owning(store, rules)
            explained = {}
            for n in range(3):
                world.day()
                noon = BEGIN + timedelta(days=n)
                explained[n] = {row["uid"]: explain(store, rules, world.space, row["uid"], noon)
                                for row in store.query("SELECT uid FROM account")}  # fmt: skip
            cut = [i for e in explained[2].values() for p in e.packs for i in p.inputs if i.name == "peak_fair"]
            assert len({i.value for i in cut}) > 1
            assert store.query("SELECT 1 FROM signal WHERE name = 'P'")
            moment = moment_of(store, world.space, BEGIN + timedelta(days=2), None, day=False)
            with replay(store, rules, world.space, moment) as (_, copy):
                assert list(differences(store, copy, moment)) == []
            for uid, wanted in explained[2].items():
                part = part_of(store, rules, uid)
                assert (part is None) == bool(more_of_it)
                assert explain_past(store, rules, world.space, uid, moment) == wanted


def test_a_past_day_of_columns_alone_is_explained_among_all_accounts(tmp_path: Path) -> None:
    rules = read("pack: fair\nfeatures:\n  load: employee_count\n  load_fair: {winsorised: load, at: 50}\n")
    with Store.open(tmp_path / "store.db") as store:
        world = Owning(store, rules)
        world.day()
        (last,) = store.query("SELECT uid FROM account WHERE employee_count = 15")
        wanted = explain(store, rules, world.space, last["uid"], BEGIN)
        assert {i.name: i.value for i in wanted.packs[0].inputs} == {"load": 15, "load_fair": 12}
        moment = moment_of(store, world.space, BEGIN, None, day=False)
        assert explain_past(store, rules, world.space, last["uid"], moment) == wanted
