"""Rules: the packs' SQL against hand-written SQL for the same answers, and a whole evaluation.

    uv run python benchmarks/rules.py [--accounts 20000] [--keep FILE]

Prints CPU seconds and ratios. The packs are those of `benchmarks/packs`, kept as they were when the statements of
`by_hand.py` were written; the answers of both are compared cell by cell before anything is measured.
"""

from __future__ import annotations

import argparse
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules import EvaluationReport, RuleSet, evaluate, explain, load_folders
from cssync.rules.changed import BASIS
from cssync.rules.evaluate import context_for, usage_coverage
from cssync.rules.faults import Source
from cssync.rules.freshness import parse_instant
from cssync.rules.packs import read_rules
from cssync.rules.prepared import build, prepare
from cssync.rules.volume import series_sql
from cssync.store.sqlite import Store

sys.path.insert(0, str(Path(__file__).parent))
from by_hand import ANSWERS, PACKS, TABLES

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
TODAY = date(2026, 11, 20)
KNOWN = "2026-11-20T02:00:00Z"
DAYS = 91
FED = (
    "ticket", "contract", "contract_line", "usage_metric", "contact", "opportunity", "survey_response", "invoice",
    "feature_request",
)  # fmt: skip


def fill(store: Store, accounts: int) -> None:
    """Fill a store: per account a contract, a line, a contact, 20 tickets, 4 answers, a request and 91 days of usage.

    One account of ten began in the last 100 days, has a checklist and may have reached first value; one of fifty has
    not been used for 45 days.
    """
    rng = random.Random(7)

    def ago(days: int) -> str:
        return (TODAY - timedelta(days=days)).isoformat()

    def is_new(a: int) -> bool:
        return a % 10 == 3

    def begun(a: int) -> int:
        return a // 10 % 100

    def key(entity: str, n: int) -> tuple[str, str, str]:
        return "crm", f"{entity}{n}", KNOWN

    def usage() -> Iterator[tuple[object, ...]]:
        for a in range(accounts):
            level = rng.randrange(1, 60)
            for d in range(DAYS):
                if (TODAY - timedelta(days=d)).weekday() > 3:
                    continue
                values = {"active_users": 0 if a % 50 == 13 and d < 45 else level + d % 5}
                if is_new(a) and d < 41:
                    stands = a % 20 == 3
                    values |= {"checklist_items": 8, "checklist_done": 3 if stands else (41 - d) // 6}
                    values["value_event"] = int(a % 40 == 33 and d < 20)
                for n, (metric, value) in enumerate(values.items()):
                    yield *key("u", (a * DAYS + d) * 4 + n), f"a{a:07}", metric, "day", ago(d), float(value)

    def tickets() -> Iterator[tuple[object, ...]]:
        for n in range(accounts * 20):
            opened = f"{ago(rng.randrange(400))}T08:00:00Z"
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
        (
            "account",
            "uid, name, status",
            ((f"a{a:07}", f"Acme {a}", "onboarding" if is_new(a) else "active") for a in range(accounts)),
        ),
        (
            "contract",
            "connection, source_id, synced_at, account_uid, start_date, end_date, status, auto_renew, notice_days",
            (
                (
                    *key("c", a),
                    f"a{a:07}",
                    *((ago(begun(a)), ago(begun(a) - 364)) if is_new(a) else ("2025-12-01", rng.choice(ends))),
                    "active",
                    a % 2,
                    30,
                )
                for a in range(accounts)
            ),
        ),
        (
            "contact",
            "connection, source_id, synced_at, account_uid, last_meeting_at",
            ((*key("p", a), f"a{a:07}", f"{ago(a % 120)}T02:00:00Z" if a % 3 else None) for a in range(accounts)),
        ),
        (
            "feature_request",
            "connection, source_id, synced_at, account_uid, topic, status, requested_at, shipped_at",
            (
                (
                    *key("f", n),
                    f"a{n // 2 * 2:07}",
                    f"topic {n % 40}",
                    *(
                        ("open", f"{ago(n % 300)}T01:00:00Z", None)
                        if n % 3
                        else ("shipped", f"{ago(100 + n % 200)}T01:00:00Z", f"{ago(n % 70)}T20:00:00Z")
                    ),
                )
                for n in range(accounts)
            ),
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
    rules = load_folders([("benchmark", Path(__file__).parent / "packs")])
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder) / "bench.db"
        there = path.exists()
        workspace = Workspace("bench", path, ZoneInfo("Asia/Tokyo"), "JPY", path, {}, holidays="JP")
        with Store.open(path) as store:
            if not there:
                print(f"fill: {cpu(lambda: fill(store, arguments.accounts)):.1f} s")
            measure(store, workspace, rules)
            print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        standard(workspace)


def measure(store: Store, workspace: Workspace, rules: RuleSet) -> None:
    """Print the ratios of one store."""
    newest = store.query("SELECT max(as_of) FROM evaluation")[0][0]
    if newest is None:
        first = cpu(lambda: evaluate(store, rules, workspace, AS_OF, run_id="bench"))
        print(f"first evaluation, everything is new: {first:.2f} s")
    if different := list(differences(compiled(store, workspace, rules), by_hand(store))):
        print("\n".join(different[:20]))
        raise SystemExit("the answers differ")
    ours = min(cpu(lambda: drain(compiled(store, workspace, rules))) for _ in range(2))
    floor = min(cpu(lambda: drain(by_hand(store))) for _ in range(2))
    print(f"the same answers: compiled {ours:.2f} s, by hand {floor:.2f} s, ratio {ours / floor:.2f}")
    at = parse_instant(newest) if newest else AS_OF
    whole = narrowed = 0.0
    for part, label in ((None, "all compared anew"), (0.0, "nothing"), (0.02, "2 %"), (0.01, "1 %")):
        changed = touch(store, part or 0.0)
        at += timedelta(minutes=1)
        if part in (0.0, 0.02):
            as_on_another_day(store)
        reports: list[EvaluationReport] = []
        total = cpu(
            lambda at=at, reports=reports, part=part: reports.append(
                evaluate(store, rules, workspace, at, run_id="bench", everybody=part is None)
            )
        )
        whole, narrowed = (total, 0.0) if part is None else (whole, narrowed if part == 0.01 else total)
        note = f"{(total - ours) / total:.0%} of it writing"
        if part == 0.01:
            note = f"{total / whole:.1%} of all compared anew, {total / narrowed:.1%} of a pass that looks at all"
        print(
            f"{label} changed ({changed} tickets), {reports[0].accounts} accounts looked at: {total:.2f} s, {note}, "
            f"{reports[0].changed} results changed"
        )
    at += timedelta(days=1)
    print(f"a day later: {cpu(lambda: evaluate(store, rules, workspace, at, run_id='bench')):.2f} s")
    took = cpu(lambda: explain(store, rules, workspace, "a0000011", at))
    print(f"explain one account: {took:.2f} s")


def as_on_another_day(store: Store) -> None:
    """Have the next evaluation look at every account, as the first one of a day does."""
    with store.transaction() as conn:
        conn.execute("DELETE FROM setting WHERE name = ?", (BASIS,))


def touch(store: Store, part: float) -> int:
    """Open one more urgent ticket for a share of the accounts; returns how many."""
    ((accounts, stored),) = store.query("SELECT (SELECT count(*) FROM account), (SELECT max(rowid) FROM ticket)")
    chosen = range(0, accounts, round(1 / part)) if part else ()
    rows = [(f"n{stored}-{n}", KNOWN, "open", "urgent", "2026-11-10T08:00:00Z") for n in chosen]
    accounts_of = [(f"a{n:07}", f"n{stored}-{n}") for n in chosen]
    with store.transaction() as conn:
        conn.executemany(
            "INSERT INTO ticket (connection, source_id, synced_at, status, priority, opened_at) "
            "VALUES ('crm', ?, ?, ?, ?, ?)",
            rows,
        )
        conn.executemany("UPDATE ticket SET account_uid = ? WHERE connection = 'crm' AND source_id = ?", accounts_of)
    return len(rows)


Answers = Iterator[tuple[str, list[str], sqlite3.Cursor]]


def compiled(store: Store, workspace: Workspace, rules: RuleSet) -> Answers:
    """Yield pack, columns and rows of what an evaluation computes, before it writes anything."""
    usage = usage_coverage(store, workspace, AS_OF)
    contexts = {p.name: context_for(store, workspace, p, AS_OF, usage=usage) for p in rules.packs}
    with closing(sqlite3.connect(store.path)) as conn:
        prepared = prepare(rules, contexts)
        build(conn, prepared.tables)
        for name, statement in prepared.statements.items():
            found = conn.execute(statement.sql)
            yield name, [c[0] for c in found.description], found


def by_hand(store: Store) -> Answers:
    """Yield the same of the hand-written statements."""
    with closing(sqlite3.connect(store.path)) as conn:
        list(conn.execute(series_sql(TODAY - timedelta(weeks=16), TODAY)))  # the volume guard needs what it needs
        for name, sql in TABLES.items():
            conn.execute(f"CREATE TEMP TABLE {name} AS {sql}")
            key = "connection, source_id" if name == "k" else "account_uid"
            conn.execute(f"CREATE UNIQUE INDEX temp.{name}_key ON {name} ({key})")
        for name, sql in PACKS.items():
            yield name, ANSWERS[name].split(), conn.execute(sql)


def differences(ours: Answers, theirs: Answers) -> Iterator[str]:
    """Yield every answer that is not the same; NULL is told from 0."""
    wanted = {}
    for pack, columns, rows in theirs:
        wanted[pack] = columns, [tuple(row) for row in rows]
    for pack, columns, rows in ours:
        names, answers = wanted[pack]
        at = [columns.index(name) for name in names]
        count = 0
        for row, answer in zip(rows, answers, strict=True):
            count += 1
            mine = tuple(row[n] for n in at)
            if mine != answer:
                yield f"{pack}: " + ", ".join(
                    f"{n} {m} {a}" for n, m, a in zip(names, mine, answer, strict=True) if m != a
                )
        print(f"{pack}: {count} rows of {len(names)} answers compared")


def drain(answers: Answers) -> int:
    """Read every row without keeping any."""
    return sum(1 for _, _, rows in answers for _ in rows)


def standard(workspace: Workspace) -> None:
    """Print what checking the packs that ship takes."""
    took = min(cpu(lambda: load_folders([("standard", files("cssync_rules"))])) for _ in range(2))
    print(f"reading and checking the standard packs: {took:.2f} s")
    lines = "".join(f"  f{n}: seats + {n}\n" for n in range(2_400))
    took = min(cpu(lambda: _refused(f"pack: p\nfeatures:\n{lines}accounts: zz\n")) for _ in range(2))
    print(f"refusing a file of 4,800 values for a fault at its end: {took:.2f} s")


def _refused(text: str) -> None:
    with suppress(ConfigError):
        read_rules([Source("p.yaml", text)])


if __name__ == "__main__":
    main()
