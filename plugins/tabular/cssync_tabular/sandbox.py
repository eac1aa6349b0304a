"""The made-up world as a customer's exports and product database would show it: files, and tables of an SQLite file.

No server: the connector speaks no HTTP. `write` leaves a folder that `cssync.yaml` can stand in.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from cssync.sandbox.world import World, record_id

CONFIG = """\
connections:
  exports:
    connector: tabular
    timezone: UTC
    tables:
      customers: {file: customers.csv, entity: account, key: number}
      contracts: {file: contracts.jsonl, entity: contract, key: id}
  product:
    connector: tabular
    sqlite: product.db
    tables:
      tenants: {query: "SELECT id, crm_id FROM tenant", entity: account, key: id}
      usage:
        query: SELECT tenant, day, active FROM usage_daily
        entity: usage_metric
        key: [tenant, day]
        cursor: day
fields:
  exports.customers: {name: account.name, website: account.domains, staff: account.employee_count}
  exports.contracts:
    customer: contract.account_source_id
    term.from: contract.start_date
    term.until: contract.end_date
  product.tenants: {crm_id: account.external_id}
  product.usage:
    tenant: usage_metric.account_source_id
    day: usage_metric.period_start
    active: usage_metric.active_users
"""
"""Connections that read what `write` writes."""


def write(world: World, folder: Path) -> None:
    """Write customers.csv, contracts.jsonl and product.db into the folder; what is there is replaced.

    A tenant's `crm_id` is the company's id in the HubSpot sandbox of the same world.

    Raises:
        OSError: the folder cannot be written.
    """
    customers = [
        (f"{number:05}", next(iter(company.names.values()), company.key), company.domain, company.employees)
        for number, company in enumerate(world.companies)
    ]
    _csv(folder / "customers.csv", ("number", "name", "website", "staff"), customers)
    with (folder / "contracts.jsonl").open("w", encoding="utf-8") as file:
        for number, company in enumerate(world.companies):
            for term in company.terms:
                span = {"from": term.start.isoformat(), "until": None if term.open_ended else term.end.isoformat()}
                line = {"id": term.key, "customer": f"{number:05}", "term": span}
                file.write(json.dumps(line) + "\n")
    path = folder / "product.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE TABLE tenant (id TEXT PRIMARY KEY, crm_id TEXT)")
        conn.execute("CREATE TABLE usage_daily (tenant TEXT, day TEXT, active INTEGER, PRIMARY KEY (tenant, day))")
        conn.executemany(
            "INSERT INTO tenant VALUES (?, ?)",
            [(c.key, record_id("hubspot", "account", c.key)) for c in world.companies],
        )
        conn.executemany(
            "INSERT INTO usage_daily VALUES (?, ?, ?)",
            [(c.key, day.isoformat(), active) for c in world.companies for day, active in c.usage],
        )


def _csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
