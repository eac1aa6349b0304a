"""Two stores in which the same happens: one is evaluated as a run does, the other with everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cssync.config import Workspace
from cssync.model import TABLES
from cssync.rules import RuleSet, evaluate
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.store.sqlite import Store

START = datetime(2026, 11, 16, 9, tzinfo=UTC)
FED = (
    *("ticket", "ticket_metric", "survey_response", "user", "feature_request", "contact", "contract", "contract_line"),
)
APART = ("evaluation", "pack_version", "setting", "changed_account", "portfolio_fact", "lease", "run")


def at(day: float) -> str:
    return (START + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pulled(entity: str, day: float) -> str:
    return f"UPDATE source_state SET last_success_at = '{at(day)}' WHERE stream = '{entity}'"


PERSON = "INSERT INTO user (connection, source_id, synced_at, name, manager_source_id) VALUES"
PEOPLE = (
    *(f"INSERT INTO account (uid, name, status, csm_uid) VALUES ('a{n}', 'Nr {n}', 'active', 'x:u1')"
      for n in range(4)),
    *(f"INSERT INTO ticket (connection, source_id, synced_at, account_uid, opened_at, status) "
      f"VALUES ('x', 't{n}', '{at(0)}', 'a{n}', '2026-01-01T00:00:00Z', 'open')" for n in range(3)),
    *(f"INSERT INTO source_feed VALUES ('x', '{e}', '{e}')" for e in FED),
    *(f"INSERT INTO source_state (connection, stream, last_success_at) VALUES ('x', '{e}', '{at(90)}')"
      for e in FED),
    *(f"{PERSON} ('x', '{n}', '{at(0)}', 'Name {n}', {m})"
      for n, m in (("u1", "'m1'"), ("m1", "NULL"), ("m2", "NULL"))),
)  # fmt: skip


class Twins:
    """Two stores in which the same happens. partly: how many accounts each evaluation looked at that did not look at
    all of them. gone_on_with: accounts of each pack that an evaluation of everybody went on with."""

    def __init__(self, stores: list[Store]) -> None:
        self.stores = stores
        self.partly: list[int] = []
        self.gone_on_with: list[int] = []
        self.do(*PEOPLE)

    def do(self, *statements: str) -> None:
        for store in self.stores:
            with store.transaction() as conn:
                for sql in statements:
                    conn.execute(sql)

    def run(self, text: str | RuleSet, day: float, **settings: Any) -> None:
        """Evaluate a day: what evaluations keep is the same in both."""
        rules = text if isinstance(text, RuleSet) else pack(text)
        at = START + timedelta(days=day)
        for store, everybody in zip(self.stores, (False, True), strict=True):
            space = Workspace("w", store.path, ZoneInfo("UTC"), "EUR", store.path, {}, **settings)
            report = evaluate(store, rules, space, at, run_id="r", everybody=everybody)
            self.partly += [report.accounts] if report.partly else []
        some, every = map(content, self.stores)
        for name, rows in every.items():
            assert some[name] == rows, f"{name} on day {day}"

    def all(self, sql: str) -> list[Any]:
        return [row[0] for row in self.stores[0].query(sql)]


def content(store: Store) -> dict[str, list[str]]:
    """Everything that evaluations keep."""
    kept = [t for t in TABLES if t.name not in APART]
    listed = {t.name: ", ".join(f'"{c.name}"' for c in t.columns if c.name != "id") for t in kept}
    return {n: sorted(map(repr, map(tuple, store.query(f'SELECT {c} FROM "{n}"')))) for n, c in listed.items()}


def pack(*texts: str) -> RuleSet:
    return read_rules([Source(f"{n}.yaml", text) for n, text in enumerate(texts)])
