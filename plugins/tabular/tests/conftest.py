"""A workspace with one tabular connection `product`, pulled into a store of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Workspace
from cssync.config.load import load_workspace
from cssync.connectors import Finding
from cssync.http import open_session
from cssync.http.clock import ManualClock
from cssync.runs.sessions import check_binding
from cssync.store import Store
from cssync.sync import StreamReport, sync

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
HEAD = "workspace: acme\ntimezone: Asia/Tokyo\ncurrency: JPY\nstore: store.db\n"
COUNTS = ("new", "changed", "same", "echo", "tombstoned", "incomplete", "quarantined")


@dataclass
class Bench:
    """A folder with cssync.yaml; `pull` reads what it names as a run would."""

    folder: Path
    store: Store
    now: datetime = NOW
    text: str = ""

    def config(self, text: str) -> Bench:
        self.text = text
        return self

    def workspace(self) -> Workspace:
        (self.folder / "cssync.yaml").write_text(HEAD + self.text)
        return load_workspace(self.folder / "cssync.yaml")

    def _session(self, stack: ExitStack, space: Workspace, name: str) -> Any:
        found = space.connection(name)
        clock = ManualClock(self.now.timestamp())
        opened = open_session(found.connector, found.settings, connection=name, timezone=space.timezone, clock=clock)
        return stack.enter_context(opened)

    def pull(self, **options: Any) -> StreamReport:
        """Pull every stream and return the report of the first, or of `stream`."""
        space = self.workspace()
        with ExitStack() as stack:
            sessions = {name: self._session(stack, space, name) for name in space.connections}
            reports = sync(self.store, space, sessions, run_id="r", **options)
        for report in reports:
            assert report.read == sum(getattr(report, name) for name in COUNTS)
        return reports[0]

    def bind(self) -> None:
        space = self.workspace()
        with ExitStack() as stack:
            session = self._session(stack, space, "product")
            check_binding(self.store, space.connection("product"), session_identity(space, session))

    def check(self) -> list[Finding]:
        space = self.workspace()
        with ExitStack() as stack:
            session = self._session(stack, space, "product")
            return list(space.connection("product").connector.check(session, {}))

    def describe(self, stream: str) -> dict[str, tuple[str, str]]:
        """Column -> (type, proposal)."""
        space = self.workspace()
        describe = space.connection("product").connector.describe
        assert describe
        with ExitStack() as stack:
            session = self._session(stack, space, "product")
            return {f.name: (f.type, f.proposal) for f in describe(session, stream)}

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def live(self, columns: str, entity: str = "account_source") -> list[tuple[Any, ...]]:
        rows = self.store.query(f"SELECT {columns} FROM {entity} WHERE deleted_at IS NULL ORDER BY source_id")
        return [tuple(row) for row in rows]

    def quarantined(self) -> dict[str, str]:
        return {r["source_id"]: r["reason"] for r in self.store.query("SELECT source_id, reason FROM quarantine")}

    def cursor(self) -> Any:
        rows = self.store.query("SELECT cursor FROM source_state")
        return rows[0]["cursor"] if rows else None


def session_identity(space: Workspace, session: Any) -> Any:
    return space.connection("product").connector.identity(session)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Store.open(tmp_path / "store.db") as store:
        yield Bench(tmp_path, store)


CUSTOMERS = """connections:
  product:
    connector: tabular
    tables:
      customers: {file: %s, entity: account, key: id%s}
fields:
  product.customers: {name: account.name, staff: account.employee_count%s}
"""


@pytest.fixture
def customers(bench: Bench) -> Callable[..., Bench]:
    """Configure a table of customers out of a file; `more` are settings of the table, `mapped` further columns."""

    def configured(file: str = "customers.csv", more: str = "", mapped: str = "") -> Bench:
        return bench.config(CUSTOMERS % (file, f", {more}" if more else "", f", {mapped}" if mapped else ""))

    return configured
