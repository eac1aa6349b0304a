"""Random rows of the model's tables, around the day 20 November 2026; the same for the same seed."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from cssync.model import ENTITY, TABLE, Column
from cssync.rules.copying import TABLES

TODAY = date(2026, 11, 20)
KNOWN = "2026-11-19T00:00:00Z"
ENTITIES = [ENTITY[name] for name in TABLES if name in ENTITY]
WORDS = (None, "", "a", "é", "É", "ß", "o'o", 'q"q', "back\\slash", "\\'", "line\nbreak", "日本", "%", "--", "/*")


def some_value(rng: random.Random, kind: str, values: tuple[str, ...]) -> Any:
    """A value of a column's type, absent now and then; days lie around today, some on the calendar's edges."""
    if rng.random() < 0.15:
        return None
    day = rng.choice((TODAY + timedelta(days=rng.randrange(-450, 450)), date(2027, 1, 31), date(2024, 2, 29)))
    return {
        "text": lambda: rng.choice(values or WORDS),
        "integer": lambda: rng.choice((0, 1, 2, 3, 12, 30, 90, 5_000_000)),
        "money": lambda: rng.choice((0, 1, 99_999, 12_000_000, -300)),
        "real": lambda: rng.choice((0.0, 0.1, 0.3, 1.0, 2.5, 9.0, 41.0)),
        "bool": lambda: rng.randrange(2),
        "date": lambda: "9999-12-31" if rng.random() < 0.03 else day.isoformat(),
        "instant": lambda: f"{day}T{rng.choice(('00:00:00', '14:59:59', '15:00:00', '23:30:00'))}Z",
        "json": lambda: "[]",
    }[kind]()


def some_row(rng: random.Random, columns: Iterable[Column], **fixed: Any) -> dict[str, Any]:
    """A row with random values, but for those given."""
    return {c.name: some_value(rng, c.type, c.values) for c in columns} | fixed


def add(conn: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    """Insert a row, or put it in the place of the one with its key. A vendor's row is given its account afterwards."""
    held = {name: value for name, value in row.items() if name != "account_uid"} if table in ENTITY else row
    names = ", ".join(f'"{name}"' for name in held)
    marks = ", ".join("?" * len(held))
    added = conn.execute(f'INSERT OR REPLACE INTO "{table}" ({names}) VALUES ({marks})', tuple(held.values()))
    if held.keys() < row.keys():
        conn.execute(f'UPDATE "{table}" SET account_uid = ? WHERE rowid = ?', (row["account_uid"], added.lastrowid))


def add_account(conn: sqlite3.Connection, rng: random.Random, n: int) -> None:
    """An account with random rows of every entity; every other one has a term, seats and three months of usage."""
    uid = f"a{n:02}"
    add(conn, "account", some_row(rng, TABLE["account"].columns, uid=uid, name=f"Nr {n}", deleted_at=None, is_test=0,
                                  parent_uid=f"a{n // 8 * 8:02}" if n % 8 == 1 else None))  # fmt: skip
    for entity in ENTITIES:
        for i in range(rng.randrange(4)):
            add_row(conn, rng, entity.name, n, i)
    if n % 2:
        end = TODAY + timedelta(days=rng.randrange(-40, 200))
        key = {"connection": "x", "synced_at": KNOWN, "account_uid": uid}
        add(conn, "contract", {**key, "source_id": f"t{n}", "status": "active", "start_date": "2025-08-31",
                               "end_date": end.isoformat(), "auto_renew": n % 3 == 0, "notice_days": 30})  # fmt: skip
        add(conn, "contract_line", {**key, "source_id": f"t{n}", "contract_source_id": f"t{n}", "quantity": n,
                                    "unit": "seat", "unit_price": 120_050, "currency": "JPY",
                                    "billing_period_months": rng.choice((0, 1, 7, 12))})  # fmt: skip
        for d in range(100):
            if rng.random() < 0.9:
                day = (TODAY - timedelta(days=d)).isoformat()
                add(conn, "usage_metric", {**key, "source_id": f"t{n}-{d}", "metric": "active_users", "grain": "day",
                                           "period_start": day, "value": float(rng.randrange(n + 1))})  # fmt: skip


def add_row(conn: sqlite3.Connection, rng: random.Random, entity: str, n: int, i: int, synced_at: str = KNOWN) -> None:
    """A random row of an account's, linked with others of that account at random, or of the next one."""
    columns = ENTITY[entity].columns
    links = {c.name: f"{n + (rng.random() < 0.3)}-{rng.randrange(3)}" for c in columns if c.name.endswith("source_id")}
    keys = {"connection": rng.choice(("x", "o'o")), "source_id": f"{n}-{i}", "synced_at": synced_at}
    add(conn, entity, some_row(rng, columns, **keys, **links, account_uid=f"a{n:02}", deleted_at=None))
