"""Looking only at the accounts that changed gives what looking at all of them gives, byte for byte."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Workspace
from cssync.model import TABLES
from cssync.rules import RuleSet, changed, evaluate, judged
from cssync.rules.catalogue import FACTS
from cssync.rules.evaluate import usage_coverage
from cssync.rules.faults import Source
from cssync.rules.kept_usage import same
from cssync.rules.packs import read_rules
from cssync.store.sqlite import Store
from random_rows import ENTITIES, add_account, add_row

START = datetime(2026, 11, 20, 3, tzinfo=UTC)
COUNT = 24
NOT_RESULTS = ("evaluation", "pack_version", "setting", "changed_account", "portfolio_fact", "lease", "run")
MORE = """
pack: more
features:
  old_urgent: {count: tickets, where: priority = 'urgent', older_than: 6h}
  heard: days_since(last_contact_on)
  band_began: {since: risky.band}
  former: {past: risky.score, ago: 1d}
signals:
  S: {when: old_urgent > 0, for: 2d, because: "{old_urgent} old"}
  P: {when: peer_share > 20%, because: "{peer_product}"}
  H: {when: heard > 3 or former < 50 or days_since(band_began) < 2, because: "x {heard}"}
tasks:
  T: {when: old_urgent = 0, once_per: episode, title: "{old_urgent}", due: in 2 business days}
"""
QUIET = """
pack: quiet
features:
  here: {count: tickets}
signals:
  F: {when: here > 2, for: 3d, because: "{here}"}
  K: {when: here > 2, keep: 3d, because: "{here}"}
  C: {when: here = 2, cooldown: 4d, because: "{here}"}
tasks:
  E: {when: here < 3, once_per: episode, title: "{here}", due: in 2 business days, owner: manager}
  M: {when: here > 1, once_per: month, title: "{here}", due: in 2 business days}
  L: {when: here > 2, for: 2d, cooldown: 3d, once_per: episode, title: "{here}", due: in 2 business days}
"""
"""Rows that days alone do not change: what days do beside them has to be found."""
RISKY = """
pack: risky
features:
  many: {count: tickets, within: 90d}
  began: {since: risky.band}
signals:
  N: {when: days_since(began) = 0, because: "new"}
score:
  coverage: 0%
  bands: {red: 0, yellow: 30, green: 50}
  measures:
    load: {weight: 1, missing: hold 7d, curve: {of: many, at: {0: 100, 3: 0}}}
  models: {small: {when: employee_count < 50, bands: {red: 0, yellow: 40, green: 60}}}
  hysteresis: {margin: 3, confirm: 2d}
  override: {band: override_band, reason: override_reason, until: override_until}
  trend: {window: 3d, before: 3d, improving: 1, declining: -1}
  roll_up: arr_weighted
"""


def rules() -> RuleSet:
    standard = [Source(f.name, f.read_text()) for f in files("cssync_rules").iterdir() if f.name.endswith(".yaml")]
    return read_rules([*standard, Source("more.yaml", MORE), Source("risky.yaml", RISKY), Source("quiet.yaml", QUIET)])


RULES = rules()


def workspace(path: Path) -> Workspace:
    return Workspace("w", path, ZoneInfo("Asia/Tokyo"), "JPY", path, {}, holidays="JP")


def state(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that evaluations keep, in an order of its own."""
    found = {}
    for table in TABLES:
        if table.name not in NOT_RESULTS:
            names = ", ".join(f'"{c.name}"' for c in table.columns if c.name != "id")
            found[table.name] = sorted(map(repr, map(tuple, store.query(f'SELECT {names} FROM "{table.name}"'))))
    return found


@contextmanager
def twins(folder: Path, seed: int) -> Iterator[tuple[Store, Store]]:
    """Two equal stores, evaluated yesterday and today."""
    paths = folder / "a.db", folder / "b.db"
    for path in paths:
        path.write_bytes(evaluated_twice(seed))
    with ExitStack() as stack:
        some, every = (stack.enter_context(Store.open(path)) for path in paths)
        yield some, every


@cache
def evaluated_twice(seed: int) -> bytes:
    """The file of a store that was evaluated yesterday and, changed since, today."""
    with TemporaryDirectory() as folder, Store.open(path := Path(folder) / "store.db") as store:
        rng = random.Random(seed)
        with store.transaction() as conn:
            for n in range(COUNT):
                add_account(conn, rng, n)
            conn.executemany(
                "INSERT INTO source_feed (connection, stream, entity) VALUES (?, 's', ?)",
                [(c, e.name) for e in ENTITIES for c in ("x", "o'o")],
            )
            conn.executemany(
                "INSERT INTO source_state (connection, stream, last_success_at, outcome) VALUES (?, 's', ?, 'ok')",
                [(c, "2026-11-20T02:00:00Z") for c in ("x", "o'o")],
            )
        evaluate(store, RULES, workspace(path), START - timedelta(hours=22), run_id="r")
        change(store, rng)
        evaluate(store, RULES, workspace(path), START, run_id="r")
        store.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def change(store: Store, rng: random.Random) -> None:
    """A few changes of every kind: new, changed, moved and deleted rows, accounts, links, tasks closed by people."""
    with store.transaction() as conn:
        for _ in range(rng.randrange(1, 4)):
            n, entity = rng.randrange(COUNT), rng.choice(ENTITIES).name
            kind = rng.randrange(6)
            if kind <= 2:
                add_row(conn, rng, entity, n, rng.randrange(5), "2026-11-20T04:00:00Z")
            elif kind == 3:
                conn.execute(
                    f"UPDATE {entity} SET account_uid = ? WHERE source_id = ?",
                    (f"a{rng.randrange(COUNT):02}", f"{n}-1"),
                )
            elif kind == 4:
                at = rng.choice((None, "2026-11-20T04:00:00Z"))
                conn.execute(f"UPDATE {entity} SET deleted_at = ? WHERE account_uid = ?", (at, f"a{n:02}"))
            else:
                status = rng.choice(("active", "churned", "free"))
                conn.execute("UPDATE account SET status = ? WHERE uid = ?", (status, f"a{n:02}"))


@pytest.mark.parametrize("seed", range(6))
def test_some_give_what_all_give(tmp_path: Path, seed: int) -> None:
    looked_at: list[int] = []
    with twins(tmp_path, seed) as (some, every):
        assert state(some) == state(every)
        rng = random.Random(seed)
        at = START
        for _ in range(6):
            at += timedelta(minutes=rng.choice((1, 45, 150)))
            once = rng.randrange(10**9)
            for store in (some, every):
                change(store, random.Random(once))
            report = evaluate(some, RULES, workspace(some.path), at, run_id="r")
            evaluate(every, RULES, workspace(every.path), at, run_id="r", everybody=True)
            looked_at.append(report.accounts if report.partly else COUNT)
            before, after = state(some), state(every)
            for name in after:
                assert before[name] == after[name], name
    assert min(looked_at) < COUNT // 2, looked_at


@pytest.mark.parametrize("seed", range(2))
def test_a_day_goes_on_only_with_those_whose_row_is_another(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over two weeks and the end of a month, with sources that go stale, new staff, tasks that people close."""
    kept: list[tuple[int, int]] = []
    differing = judged.differing

    def counted(conn: sqlite3.Connection, *args: Any) -> bool:
        done = differing(conn, *args)
        kept.append(tuple(conn.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("now", "whole")))
        return done

    monkeypatch.setattr(judged, "differing", counted)
    with twins(tmp_path, seed) as (some, every):
        rng = random.Random(seed)
        at = START
        for hours in rng.sample((3, 20, 24, 24, 24, 24, 24, 24, 30, 96), 10):
            at += timedelta(hours=hours)
            once = rng.randrange(10**9)
            for store in (some, every):
                change_over_night(store, random.Random(once), at)
            evaluate(some, RULES, workspace(some.path), at, run_id="r")
            evaluate(every, RULES, workspace(every.path), at, run_id="r", everybody=True)
            before, after = state(some), state(every)
            for name in after:
                assert before[name] == after[name], (name, at)
    assert any(0 < few < all_of_them // 2 for few, all_of_them in kept), kept
    assert any(few == 0 < all_of_them for few, all_of_them in kept), kept


def change_over_night(store: Store, rng: random.Random, at: datetime) -> None:
    """What `change` does, on some nights; most sources are pulled, staff comes and goes, tasks are closed."""
    now = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    if rng.random() < 0.5:
        change(store, rng)
    with store.transaction() as conn:
        for n in rng.sample(range(COUNT), 3):
            gone = rng.choice((None, now))
            conn.execute("UPDATE ticket SET deleted_at = ? WHERE source_id = ?", (gone, f"{n}-{rng.randrange(2)}"))
        status = rng.choice(("active", "churned"))
        conn.execute("UPDATE account SET status = ? WHERE uid = ?", (status, f"a{rng.randrange(COUNT):02}"))
        if rng.random() < 0.85:
            conn.execute("UPDATE source_state SET last_success_at = ?, last_attempt_at = ?", (now, now))
        if rng.random() < 0.1:
            conn.execute("INSERT INTO user (connection, source_id, synced_at) VALUES ('x', ?, ?)", (now, now))
        for (key,) in conn.execute("SELECT key FROM task WHERE status = 'open' ORDER BY key").fetchall():
            if rng.random() < 0.05:
                conn.execute(
                    "INSERT OR IGNORE INTO crm_task (connection, source_id, synced_at, status, task_key) "
                    "VALUES ('x', ?, ?, 'done', ?)",
                    (f"crm-{key}", now, key),
                )


_KEYS = "connection, source_id, synced_at, account_uid"
LINE = f"INSERT INTO contract_line ({_KEYS}, contract_source_id, product_code, quantity)"
TICKET = f"INSERT INTO ticket ({_KEYS}, opened_at)"
FEATURES = "SELECT account_uid, features FROM feature_row WHERE pack = '{}' AND as_of = '2026-11-20T03:02:00Z'"


@pytest.mark.parametrize(
    ("before", "change", "moved", "by"),
    [
        pytest.param(
            ["UPDATE account SET segment = 'smb'", "UPDATE contract_line SET product_code = 'common'",
             f"{LINE} VALUES ('x', 'p', 'T', 'a05', NULL, 'rare', 1)",
             "UPDATE contract_line SET product_code = 'rare' WHERE account_uid = 'a05'"],
            "UPDATE contract_line SET product_code = 'rare' WHERE account_uid = 'a03'",
            "a05", "more", id="what peers own"),
        pytest.param(
            [f"{LINE} VALUES ('x', 'p', 'T', 'a04', 't3', NULL, 77)",
             "UPDATE contract SET end_date = '2027-06-30', start_date = '2025-07-01', status = 'active', "
             "deleted_at = NULL, account_uid = 'a03' WHERE source_id = 't3'",
             "UPDATE account SET status = 'active', is_test = 0, deleted_at = NULL WHERE uid = 'a04'"],
            "UPDATE contract SET status = 'terminated' WHERE source_id = 't3'",
            "a04", "health", id="a contract of another account"),
        pytest.param(
            ["UPDATE account SET parent_uid = 'a02' WHERE uid = 'a03'"],
            "UPDATE account SET status = 'churned' WHERE uid = 'a02'",
            "", "", id="a parent"),
        pytest.param(
            ["UPDATE account SET parent_uid = 'a02' WHERE uid IN ('a03', 'a04')"],
            "UPDATE account SET parent_uid = NULL WHERE uid = 'a03'",
            "", "", id="a parent left behind"),
    ],
)  # fmt: skip
def test_what_another_account_moves_is_looked_at(
    tmp_path: Path, before: list[str], change: str, moved: str, by: str
) -> None:
    with twins(tmp_path, 3) as (some, every):
        for minutes, statements in ((1, before), (2, [change])):
            for store in (some, every):
                with store.transaction() as conn:
                    for statement in statements:
                        conn.execute(statement)
            both(some, every, minutes)
        if by:
            assert moved in {r["account_uid"] for r in every.query(FEATURES.format(by))}


def test_what_peers_own_is_compared_row_by_row(tmp_path: Path) -> None:
    """Comparing each account with all former rows took half a minute over 20,000 accounts."""
    with twins(tmp_path, 3) as (store, _):
        conn = store.db.conn
        names = ", ".join(sorted(n for n in FACTS if FACTS[n].group == "peers"))
        conn.execute(f"CREATE TEMP TABLE fact_peers (account_uid, {names})")
        plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {changed._differing('peers')}")]
        assert plan[plan.index("SCAN f") + 1].startswith("SEARCH b USING INDEX"), plan


def test_what_an_evaluation_changed_is_the_past_of_the_next_one(tmp_path: Path) -> None:
    with twins(tmp_path, 3) as (some, every):
        ((uid,), *_) = some.query(
            "SELECT r.account_uid FROM result r JOIN account a ON a.uid = r.account_uid WHERE r.name = 'risky.band' "
            "AND r.value = '\"green\"' AND a.override_band IS NULL ORDER BY 1"
        )
        for store in (some, every):
            with store.transaction() as conn:
                for n in range(5):
                    conn.execute(f"{TICKET} VALUES ('x', 'new{n}', 'T', NULL, '2026-11-19T08:00:00Z')")
                conn.execute("UPDATE ticket SET account_uid = ? WHERE source_id GLOB 'new*'", (uid,))
        both(some, every, 1)
        band = some.query("SELECT value FROM result WHERE account_uid = ? AND name = 'risky.band'", (uid,))
        assert band[0][0] == '"red"'
        both(some, every, 2)
        assert some.query("SELECT 1 FROM signal WHERE account_uid = ? AND name = 'N' AND until IS NULL", (uid,))


def both(some: Store, every: Store, minutes: int) -> None:
    """Evaluate the one in part and the other as a whole: nothing differs."""
    at = START + timedelta(minutes=minutes)
    evaluate(some, RULES, workspace(some.path), at, run_id="r")
    evaluate(every, RULES, workspace(every.path), at, run_id="r", everybody=True)
    before, after = state(some), state(every)
    for name in after:
        assert before[name] == after[name], name


def test_the_volume_of_usage_is_read_again_only_where_some_usage_changed(tmp_path: Path) -> None:
    with twins(tmp_path, 4) as (store, _):
        w, at = workspace(store.path), START + timedelta(minutes=1)
        whole = usage_coverage(store, w, at)
        assert same(store.db.conn, w, at) == whole
        assert same(store.db.conn, replace(w, closures=("11-19",)), at) is None
        assert same(store.db.conn, w, at + timedelta(days=1)) is None
        with store.transaction() as conn:
            conn.execute("UPDATE ticket SET status = 'closed' WHERE account_uid = 'a03'")
        assert same(store.db.conn, w, at) == whole
        with store.transaction() as conn:
            conn.execute("UPDATE usage_metric SET value = 0 WHERE source_id = 't3-5'")
        assert same(store.db.conn, w, at) is None


def test_nothing_changed_looks_at_nobody_but_those_whose_hour_came(tmp_path: Path) -> None:
    with twins(tmp_path, 1) as (store, _):
        evaluate(store, RULES, workspace(store.path), START, run_id="r")
        report = evaluate(store, RULES, workspace(store.path), START + timedelta(seconds=1), run_id="r")
        assert (report.partly, report.accounts, report.changed) == (True, 0, 0)


def _day(store: Store, at: datetime, w: Workspace) -> Any:
    return evaluate(store, RULES, w, at + timedelta(days=1), run_id="r")


def _config(store: Store, at: datetime, w: Workspace) -> Any:
    return evaluate(store, RULES, replace(w, closures=("11-23",)), at, run_id="r")


def _rule(store: Store, at: datetime, w: Workspace) -> Any:
    packs = tuple(replace(p, hash="other") for p in RULES.packs)
    return evaluate(store, replace(RULES, packs=packs), w, at, run_id="r")


def _stale(store: Store, at: datetime, w: Workspace) -> Any:
    with store.transaction() as conn:
        conn.execute("UPDATE source_state SET last_success_at = '2026-11-01T00:00:00Z' WHERE connection = 'x'")
    return evaluate(store, RULES, w, at, run_id="r")


def _user(store: Store, at: datetime, w: Workspace) -> Any:
    with store.transaction() as conn:
        conn.execute(
            "INSERT INTO user (connection, source_id, synced_at, name) VALUES ('x', 'u', '2026-11-20T04:00:00Z', 'N')"
        )
    return evaluate(store, RULES, w, at, run_id="r")


@pytest.mark.parametrize("what", [_day, _config, _rule, _stale, _user])
def test_what_concerns_all_is_looked_at_for_all(
    tmp_path: Path, what: Callable[[Store, datetime, Workspace], Any]
) -> None:
    with twins(tmp_path, 2) as (store, _):
        assert not what(store, START + timedelta(minutes=1), workspace(store.path)).partly
