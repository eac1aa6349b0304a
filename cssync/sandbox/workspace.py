"""Write the demo's workspace: a real cssync.yaml whose connections point at sandbox vendors on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from cssync.config.shape import is_secret
from cssync.connectors import Connector

CONNECTIONS = {"crm": "hubspot", "sales": "salesforce", "desk": "zendesk"}
"""Connection -> connector of the demo, in the order of the data's way."""

_HEAD = """\
# Written by `cssync demo`: a workspace like any other, only that its vendors live on this machine.
# {vendors}
workspace: demo
timezone: Asia/Tokyo
currency: JPY
holidays: JP
fx: rates.csv
metrics: {{gross_margin: 80%}}
store: cssync.db

connections:
"""

_FIELDS = {
    "crm": """\
  crm.companies: {segment: account.segment}
  crm.contacts: {customer_role: contact.role}
""",
    "sales": """\
  sales.contracts:                       # the company's own fields of a contract
    Seats__c: contract_line.quantity
    Seat_Price__c: contract_line.unit_price
    CurrencyIsoCode: contract_line.currency
    Auto_Renew__c: contract.auto_renew
    Notice_Days__c: contract.notice_days
  sales.Product_Usage__c:                # daily active users, a custom object
    Account__c: usage_metric.account_source_id
    Day__c: usage_metric.period_start
    Active_Users__c: usage_metric.active_users
""",
}

_TAIL = """\
masters: {account.name: sales, contract: sales}

rules: [standard, ./rules]               # ./rules/lists.yaml: this company's own words

writeback:
"""

_LISTS = """\
# The words of this company, in place of the standard packs' own.
lists:
  add_ons: [SSO, API, audit log*]
"""

_RESULTS = (
    ("health_score", "health.score"),
    ("health_band", "health.band"),
    ("health_reasons", "health.reasons"),
    ("health_coverage", "health.coverage"),
    ("health_as_of", "health.as_of"),
    ("renewal_date", "renewal.date"),
    ("renewal_risk", "renewal.risk"),
    ("touch_tier", "touch.tier"),
    ("onboarding_stage", "onboarding.stage"),
    ("upsell_signal", "upsell.signal"),
    ("risk_flags", "risk.flags"),
)
_TARGETS = {"crm": ("companies", "cs_{}", True), "sales": ("accounts", "CS_{}__c", False),
            "desk": ("organizations", "cs_{}", False)}  # fmt: skip


RATES = """\
date,from,to,rate
2015-01-01,USD,JPY,120.00
2015-01-01,EUR,JPY,135.00
2024-01-01,USD,JPY,141.00
2024-01-01,EUR,JPY,155.70
2026-01-01,USD,JPY,150.00
2026-01-01,EUR,JPY,160.25
2026-07-01,USD,JPY,147.50
2026-07-01,EUR,JPY,165.00
"""
"""Invented rates for the world's currencies."""


def write_workspace(
    folder: Path,
    connectors: Mapping[str, Connector],
    urls: Mapping[str, str],
    vendors: str = "They are up while the program runs that wrote it.",
) -> Path:
    """Write cssync.yaml, exchange rates and secrets (0600) into `folder` and return the file's path.

    connectors and urls: by connection. vendors: a sentence on whether the vendors are up, for the file's head.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = [_HEAD.format(vendors=vendors)]
    for name, connector in connectors.items():
        text.append(f"  {name}:\n    connector: {connector.name}\n    base_url: {urls[name]}\n")
        text.append("    allow_hosts: [127.0.0.1]\n")
        for key, value in connector.sandbox_settings.items():
            text.append(f"    {key}: {_setting(folder, name, connector, key, value)}\n")
    mapped = [_FIELDS[name] for name in connectors if name in _FIELDS]
    text += ["\nfields:\n", *mapped, "\n"] if mapped else ["\n"]
    text.append(_TAIL)
    for name in connectors:
        stream, form, tasks = _TARGETS[name]
        text.append(f"  {name}:\n    to: {stream}\n    tasks: {json.dumps(tasks)}\n    fields:\n")
        text += [f"      {_field(form, field)}: {result}\n" for field, result in _RESULTS]
    (folder / "rates.csv").write_text(RATES, encoding="utf-8")
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "lists.yaml").write_text(_LISTS, encoding="utf-8")
    path = folder / "cssync.yaml"
    path.write_text("".join(text), encoding="utf-8")
    return path


def _field(form: str, name: str) -> str:
    return form.format(name if form.islower() else "_".join(part.capitalize() for part in name.split("_")))


def _setting(folder: Path, connection: str, connector: Connector, key: str, value: str) -> str:
    """Return what the file says for a setting: a secret goes into a file of its own, readable by its owner only."""
    if not is_secret(connector.config, key):
        return json.dumps(value)
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    path = secrets / f"{connection}-{key}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(value + "\n")
    return f"file:secrets/{path.name}"
