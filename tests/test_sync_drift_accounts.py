"""A field that stopped in one connection makes partial the scores of those accounts alone that it fed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Workspace
from cssync.connectors import RemoteField
from cssync.link import link
from cssync.rules.evaluate import evaluate
from cssync.rules.explain import explain
from cssync.rules.packs import Source, read_rules
from cssync.store import Store
from cssync.sync import sync
from fake_vendor import NOW, World, company, sessions, workspace

RULES = """
pack: own
version: 1
features:
  chairs: {sum: lines.quantity}
  users: {sum: usage.value, where: metric = 'mau', within: 90d}
score:
  bands: {red: 0, yellow: 40, green: 75}
  measures:
    size: {weight: 1, curve: {of: chairs, at: {0: 0, 100: 100}}}
    staff: {weight: 1, curve: {of: employee_count, at: {0: 0, 100: 100}}}
    use: {weight: 1, curve: {of: users, at: {0: 0, 100: 100}}}
"""
MAPPED = {"seats": "contract_line.quantity", "heads": "account.employee_count", "mau": "usage_metric.mau"}
TYPES = {"seats": "integer", "heads": "integer", "mau": "real", "cs_score": "integer"}
HELD = {"seats": "50", "heads": "50", "mau": "50"}


@dataclasses.dataclass
class Both:
    """Two connections: company 1 is in crm alone, 2 in sales alone, 3 in both."""

    space: Workspace
    store: Store
    gone: set[str]

    def pull(self) -> None:
        sync(self.store, self.space, sessions(self.space), run_id="r", full=True)

    def judged(self, hour: int) -> dict[str, tuple[str, bool]]:
        """Account name -> (data status, whether its reasons speak of old values), after a pull and an evaluation."""
        self.pull()
        at = NOW + timedelta(hours=hour)
        link(self.store, self.space, at)
        rules = read_rules([Source("own.yaml", RULES)])
        evaluate(self.store, rules, self.space, at, run_id=f"r{hour}")
        found = {}
        for uid, name in self.store.query("SELECT uid, name FROM account"):
            status, why = (
                json.loads(
                    self.store.query("SELECT value FROM result WHERE account_uid = ? AND name = ?", (uid, f"own.{n}"))[
                        0
                    ][0]
                )
                for n in ("data_status", "reasons")
            )
            if name == "Company 3":
                (told,) = explain(self.store, rules, self.space, uid, at).packs
                assert ("Old values" in told.text) == ("Old values" in why)
            found[name] = status, "Old values" in why
        return found


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    named = {n: {"domain": f"c{n}.example", "custom": dict(HELD)} for n in (1, 2, 3)}
    crm = World([company(1, **named[1]), company(3, **named[3])])
    sales = World([company(2, **named[2]), company(3, **named[3])])
    space = workspace(tmp_path, crm=crm, sales=sales)
    gone: set[str] = set()

    def describer(name: str) -> Any:
        def describe(session: Any, stream: str) -> list[RemoteField]:
            shown = {f: kind for f, kind in TYPES.items() if name != "crm" or f not in gone}
            return (
                [RemoteField(f, f, kind, writable=True) for f, kind in shown.items()] if stream == "companies" else []
            )

        return describe

    connections = {
        name: dataclasses.replace(
            held,
            connector=dataclasses.replace(held.connector, describe=describer(name)),
            mapped={"companies": MAPPED},
        )
        for name, held in space.connections.items()
    }
    with Store.open(tmp_path / "store.db") as store:
        yield Both(dataclasses.replace(space, connections=connections, rules=()), store, gone)


OK, OLD = ("ok", False), ("partial", True)


@pytest.mark.parametrize("field", ["seats", "heads", "mau"])
def test_accounts_that_the_connection_does_not_feed_stay_as_they_were(both: Both, field: str) -> None:
    assert set(both.judged(0).values()) == {OK}
    both.gone.add(field)
    assert both.judged(1) == {"Company 1": OLD, "Company 2": OK, "Company 3": OLD}
    both.gone.clear()
    assert set(both.judged(2).values()) == {OK}


@pytest.mark.parametrize(
    ("field", "what"), [("seats", "contract_line"), ("heads", "account"), ("heads", "account.employee_count")]
)
def test_where_another_connection_is_the_master_a_stopped_field_does_not_count(
    both: Both, field: str, what: str
) -> None:
    both.space = dataclasses.replace(both.space, masters={what: "sales"})
    both.pull()
    both.gone.add(field)
    assert both.judged(1) == {"Company 1": OLD, "Company 2": OK, "Company 3": OK}


def test_the_master_of_something_else_is_none_of_this(both: Both) -> None:
    both.space = dataclasses.replace(both.space, masters={"account.name": "sales", "contract": "sales"})
    both.pull()
    both.gone.update(("seats", "heads"))
    assert both.judged(1) == {"Company 1": OLD, "Company 2": OK, "Company 3": OLD}
