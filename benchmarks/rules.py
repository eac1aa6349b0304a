"""Rules: the standard packs' SQL against hand-written SQL for the same answers, and a whole evaluation.

    uv run python benchmarks/rules.py [--accounts 20000] [--keep FILE]

Prints CPU seconds and ratios. The hand-written statements answer health's measures and score and renewal's dates, ARR
and tasks, each in one pass per table, as one would write them for this one file. They know less: no successors and
roll-overs, incomplete weeks, other currencies or unknown inputs, so the ratio is what those cost, too.
"""

from __future__ import annotations

import argparse
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.rules import evaluate, load_folders
from cssync.rules.compiler import compile_pack
from cssync.rules.evaluate import context_for
from cssync.store.sqlite import Store

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
TODAY = date(2026, 11, 20)
KNOWN = "2026-11-20T02:00:00Z"
DAYS = 91
FED = ("ticket", "contract", "contract_line", "usage_metric", "contact", "opportunity", "survey_response", "invoice")


def fill(store: Store, accounts: int) -> None:
    """Fill a store: per account one contract, one line, 20 tickets, 4 answers, 91 days of usage."""
    rng = random.Random(7)

    def key(entity: str, n: int) -> tuple[str, str, str]:
        return "crm", f"{entity}{n}", KNOWN

    def usage() -> Iterator[tuple[object, ...]]:
        for a in range(accounts):
            level = rng.randrange(1, 60)
            for d in range(DAYS):
                day = TODAY - timedelta(days=d)
                if day.weekday() < 4:
                    yield (
                        *key("u", a * DAYS + d),
                        f"a{a:07}",
                        "active_users",
                        "day",
                        day.isoformat(),
                        float(level + d % 5),
                    )

    def tickets() -> Iterator[tuple[object, ...]]:
        for n in range(accounts * 20):
            opened = (TODAY - timedelta(days=rng.randrange(400))).isoformat() + "T08:00:00Z"
            state = rng.choice(("open", "solved", "solved", "closed"))
            yield (
                *key("t", n),
                f"a{n // 20:07}",
                state,
                rng.choice(("urgent", "normal", "low", "low")),
                opened,
                n % 9 == 0,
            )

    ends = [(TODAY + timedelta(days=n)).isoformat() for n in range(-20, 345)]
    tables: tuple[tuple[str, str, Iterator[tuple[object, ...]]], ...] = (
        ("account", "uid, name, status", ((f"a{a:07}", f"Acme {a}", "active") for a in range(accounts))),
        (
            "contract",
            "connection, source_id, synced_at, account_uid, start_date, end_date, status, auto_renew, notice_days",
            ((*key("c", a), f"a{a:07}", "2025-12-01", rng.choice(ends), "active", a % 2, 30) for a in range(accounts)),
        ),
        (
            "contract_line",
            "connection, source_id, synced_at, account_uid, contract_source_id, quantity, unit, unit_price, currency",
            ((*key("l", a), f"a{a:07}", f"c{a}", 5 + a % 60, "seat", 1200000, "JPY") for a in range(accounts)),
        ),
        (
            "survey_response",
            "connection, source_id, synced_at, account_uid, kind, score, responded_at",
            (
                (*key("s", n), f"a{n // 4:07}", "csat", float(n % 3 > 0), "2026-10-10T00:00:00Z")
                for n in range(accounts * 4)
            ),
        ),
        (
            "usage_metric",
            "connection, source_id, synced_at, account_uid, metric, grain, period_start, value",
            usage(),
        ),
        (
            "ticket",
            "connection, source_id, synced_at, account_uid, status, priority, opened_at, reopened_count",
            tickets(),
        ),
    )
    with store.transaction() as conn:
        for table, columns, rows in tables:
            marks = ", ".join("?" * (columns.count(",") + 1))
            conn.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        conn.executemany("INSERT INTO source_feed VALUES ('crm', 's', ?)", [(e,) for e in FED])
        conn.execute(
            "INSERT INTO source_state (connection, stream, last_success_at, outcome) VALUES ('crm', 's', ?, 'ok')",
            (KNOWN,),
        )


HAND = {
    "health": """
WITH t AS (SELECT account_uid, sum(opened_at >= '2026-10-21T15:00:00') AS n30,
        sum(priority = 'urgent' AND status IN ('new', 'open', 'pending', 'hold')
            AND opened_at <= '2026-11-17T03:00:00Z') AS urgent FROM ticket WHERE deleted_at IS NULL GROUP BY 1),
    s AS (SELECT account_uid, count(score) AS n, sum(score) AS good FROM survey_response
        WHERE kind = 'csat' AND deleted_at IS NULL AND responded_at >= '2026-08-22T15:00:00' GROUP BY 1),
    u AS (SELECT account_uid, max(CASE WHEN value > 0 THEN period_start END) AS last_on, min(period_start) AS first_on,
        max(CASE WHEN period_start BETWEEN '2026-10-23' AND '2026-11-19' THEN value END) AS peak
        FROM usage_metric WHERE metric = 'active_users' AND deleted_at IS NULL GROUP BY 1),
    w AS (SELECT account_uid, CAST((julianday('2026-11-16') - julianday(period_start) + 6) / 7 AS INTEGER) AS week,
        avg(value) AS value FROM usage_metric WHERE metric = 'active_users' AND deleted_at IS NULL
        AND period_start >= '2026-08-24' AND period_start < '2026-11-16' GROUP BY 1, 2),
    r AS (SELECT account_uid, week <= 4 AS recent, value,
        row_number() OVER (PARTITION BY account_uid, week <= 4 ORDER BY value) AS place,
        count(*) OVER (PARTITION BY account_uid, week <= 4) AS n FROM w WHERE week <> 9),
    g AS (SELECT account_uid,
        avg(CASE WHEN recent THEN value END) / avg(CASE WHEN NOT recent THEN value END) - 1 AS growth
        FROM r WHERE place IN ((n + 1) / 2, (n + 2) / 2) GROUP BY 1),
    k AS (SELECT l.account_uid, sum(l.quantity) AS seats FROM contract_line l JOIN contract c
        ON c.connection = l.connection AND c.source_id = l.contract_source_id
        WHERE l.deleted_at IS NULL AND c.start_date <= '2026-11-20' AND date(c.end_date, '+30 days') >= '2026-11-20'
        GROUP BY 1),
    m AS (SELECT a.uid, max(0, min(100, (g.growth + 0.4) / 0.45 * 100)) AS m1,
        max(0, min(100, (u.peak / k.seats - 0.3) / 0.55 * 100)) AS m2,
        max(0, min(100, (30 - (julianday('2026-11-20') - julianday(u.last_on))) / 27 * 100)) AS m3,
        max(0, min(100, 100 - 10.0 * coalesce(t.n30, 0) / k.seats / 8 * 100)) AS m4,
        CASE WHEN s.n >= 3 THEN max(0, min(100, (s.good / s.n - 0.5) / 0.45 * 100)) END AS m5, t.urgent
        FROM account a LEFT JOIN t ON t.account_uid = a.uid LEFT JOIN s ON s.account_uid = a.uid
        LEFT JOIN u ON u.account_uid = a.uid LEFT JOIN g ON g.account_uid = a.uid LEFT JOIN k ON k.account_uid = a.uid
        WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0)
SELECT uid, m1, m2, m3, m4, m5, min(CASE WHEN urgent > 0 THEN 49 ELSE 100 END,
    (20 * m1 + 15 * m2 + 10 * m3 + 10 * m4 + coalesce(10 * m5, 0)) / (55 + 10 * (m5 IS NOT NULL))) AS score
FROM m ORDER BY uid""",
    "renewal": """
WITH c AS (SELECT account_uid, date(end_date, '+1 day') AS renewal, auto_renew, connection, source_id, start_date,
        date(end_date, '+1 day', '-' || (notice_days + 1) || ' days') AS deadline, end_date
        FROM contract WHERE deleted_at IS NULL AND coalesce(status, 'active') <> 'draft'),
    e AS (SELECT account_uid, min(renewal) AS renewal,
        min(CASE WHEN auto_renew THEN deadline ELSE renewal END) AS anchor
        FROM c GROUP BY 1),
    l AS (SELECT l.account_uid, sum(l.quantity * l.unit_price) AS arr FROM contract_line l JOIN c
        ON c.connection = l.connection AND c.source_id = l.contract_source_id WHERE l.deleted_at IS NULL
        AND c.start_date <= '2026-11-20' AND date(c.end_date, '+30 days') >= '2026-11-20' GROUP BY 1)
SELECT a.uid, e.renewal, e.anchor, l.arr, julianday(e.anchor) - julianday('2026-11-20') BETWEEN 68 AND 97 AS r03,
    julianday(e.anchor) - julianday('2026-11-20') BETWEEN 38 AND 67 AS r04, e.renewal <= '2026-11-20' AS r07,
    l.arr IS NULL OR e.renewal IS NULL AS r08 FROM account a LEFT JOIN e ON e.account_uid = a.uid
    LEFT JOIN l ON l.account_uid = a.uid WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 ORDER BY a.uid""",
}


def cpu(work: Callable[[], object]) -> float:
    """Return CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--keep", type=Path, help="keep the store here, and use it when it is there")
    arguments = parser.parse_args()
    rules = load_folders([("standard", files("cssync_rules"))])
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder) / "bench.db"
        there = path.exists()
        workspace = Workspace("bench", path, ZoneInfo("Asia/Tokyo"), "JPY", path, {}, holidays="JP")
        with Store.open(path) as store:
            if not there:
                print(f"fill: {cpu(lambda: fill(store, arguments.accounts)):.1f} s")
            measure(store, replace(workspace), rules)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def measure(store: Store, workspace: Workspace, rules: object) -> None:
    """Print the ratios of one store."""
    from cssync.rules.tree import RuleSet

    assert isinstance(rules, RuleSet)
    ours_all = floor_all = evaluated = 0.0
    for pack in rules.packs:
        sql = compile_pack(pack, rules.features, context_for(store, workspace, pack, AS_OF)).sql
        ours = min(cpu(lambda sql=sql: drain(store.reader(), sql)) for _ in range(2))
        evaluated += ours
        if pack.name in HAND:
            floor = min(cpu(lambda name=pack.name: drain(store.reader(), HAND[name])) for _ in range(2))
            ours_all, floor_all = ours_all + ours, floor_all + floor
            print(f"{pack.name}: compiled {ours:.2f} s, by hand {floor:.2f} s, ratio {ours / floor:.2f}")
        else:
            print(f"{pack.name}: compiled {ours:.2f} s")
    print(f"compiled against by hand: ratio {ours_all / floor_all:.2f}")
    at = AS_OF
    for label in ("first evaluation, everything is new", "again, nothing changed", "a day later"):
        total = cpu(lambda at=at: evaluate(store, rules, workspace, at, run_id="bench"))
        print(f"{label}: {total:.2f} s, {total / evaluated:.2f} x the packs' SQL")
        at = AS_OF + timedelta(days=1) if label.startswith("again") else AS_OF


def drain(conn: sqlite3.Connection, sql: str) -> int:
    """Read every row without keeping any."""
    return sum(1 for _ in conn.execute(sql))


if __name__ == "__main__":
    main()
