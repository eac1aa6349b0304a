"""A store of one customer, and what the standard packs make of it: for their tests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.rules import RuleSet, evaluate, load_folders
from cssync.rules.compiler import compile_pack
from cssync.rules.evaluate import context_for
from cssync.store.sqlite import Store

RULES = load_folders([("standard", files("cssync_rules"))])
TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YEAR = frozenset({"12-29", "12-30", "12-31", "01-01", "01-02", "01-03"})
AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
ENTITIES = ("ticket", "contract", "contract_line", "usage_metric", "contact", "opportunity", "survey_response")


def workspace(store: Store, **more: Any) -> Workspace:
    return Workspace("t", store.path, TOKYO, "JPY", store.path, {}, **more)


def put(store: Store, entity: str, *rows: dict[str, Any], known_at: str = "2026-11-20T02:00:00Z") -> None:
    with store.transaction() as conn:
        keyed = [{"source_id": f"{entity}-{n}", **row} for n, row in enumerate(rows)]
        store.upsert(conn, entity, "crm", keyed, known_at)
        conn.execute(f"UPDATE {entity} SET account_uid = 'a'")


def succeed(store: Store, at: str, *streams: str) -> None:
    with store.transaction() as conn:
        conn.executemany(
            "UPDATE source_state SET last_success_at = ? WHERE stream = ?", [(at, s) for s in streams or ENTITIES]
        )


def facts(store: Store, as_of: datetime = AS_OF, **more: Any) -> dict[str, Any]:
    from cssync.rules.catalogue import FACTS

    pack = RULES.packs[0]
    ws = workspace(store, **more)
    statement = compile_pack(pack, RULES.features, context_for(store, ws, pack, as_of), also=tuple(FACTS))
    row = store.query(statement.sql)[0]
    return {n: row[f"f_{n}"] for n in FACTS}


def weeks(values: list[float | None]) -> list[dict[str, Any]]:
    """Weekly values, oldest first, the last one of the week before 2026-11-16; None is an outage."""
    start = date(2026, 11, 16) - timedelta(weeks=len(values))
    return [
        {"metric": "active_users", "grain": "week", "period_start": (start + timedelta(weeks=n)).isoformat(),
         "value": value or 0.0, "is_complete": 0 if value is None else 1}
        for n, value in enumerate(values)
    ]  # fmt: skip


DAYS = [date(2026, 11, 19) - timedelta(days=n) for n in range(84)]


def feed(store: Store, volume: dict[str, float], days: list[date] = DAYS, accounts: str = "abcde") -> None:
    """Daily users of five accounts, 20 each; `volume` gives the share of a day."""
    rows = [
        {"source_id": f"{a}{d}", "metric": "active_users", "grain": "day", "period_start": d.isoformat(),
         "value": 20 * volume.get(d.isoformat(), 1)} for a in accounts for d in days
    ]  # fmt: skip
    put(store, "usage_metric", *rows)
    with store.transaction() as conn:
        conn.execute("UPDATE usage_metric SET account_uid = substr(source_id, 1, 1)")


def run(store: Store, as_of: datetime = AS_OF, rules: RuleSet = RULES, **more: Any) -> Any:
    return evaluate(store, rules, workspace(store, **more), as_of, run_id="r")


def results(store: Store) -> dict[str, tuple[Any, str]]:
    import json

    rows = store.query("SELECT name, value, state FROM result WHERE account_uid = 'a'")
    return {r["name"]: (json.loads(r["value"]), r["state"]) for r in rows}


def tasks(store: Store) -> list[tuple[str, str, str]]:
    return [(r["rule"], r["status"], r["due_on"]) for r in
            store.query("SELECT * FROM task WHERE pack <> 'upsell' ORDER BY created_at, rule")]  # fmt: skip


def contract(store: Store, **more: Any) -> None:
    put(store, "contract", {"start_date": "2026-04-01", "end_date": "2027-02-25", "term_months": 12, **more})
    put(store, "contract_line", {"contract_source_id": "contract-0", "amount": 1200050, "currency": "USD",
                                 "quantity": 10, "unit": "seat"})  # fmt: skip


def healthy(store: Store) -> None:
    contract(store)
    put(store, "usage_metric", *weeks([10] * 12), {"source_id": "d", "metric": "active_users", "grain": "day",
                                                   "period_start": "2026-11-19", "value": 10})  # fmt: skip
