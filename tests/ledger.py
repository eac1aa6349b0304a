"""The write journal of a sandbox: what the vendor took, in its own hands, whatever request it came in.

A row is (record, field, value): one for each value that a request made the vendor store, in a record of ours or in a
task of ours; ("created", ...) for each task that it made. Written down where the sandbox changes its data, so that a
collection, a single update, a job and a repeated request are all the same: a write whose answer was lost counts once,
one that the vendor never took does not count, and the same value taken twice stands there twice. What people and
automations do to the sandbox is no request of ours, and is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync_hubspot.streams import task_key

Row = tuple[str, str, str]


@dataclass
class Ledger:
    """Rows in the order in which the vendor took them; `asked` while it works on a request."""

    rows: list[Row] = field(default_factory=list)
    asked: bool = False

    @property
    def journal(self) -> list[Row]:
        """The rows in an order of their own: in which batch a value went is nobody's business."""
        return sorted(self.rows)

    def took(self, record: str, values: Mapping[str, Any]) -> None:
        """Values of a record that is there."""
        if self.asked:
            self.rows += [(record, name, str(value)) for name, value in values.items()]

    def made(self, key: str | None, values: Mapping[str, Any]) -> None:
        """A task."""
        if self.asked:
            self.rows.append(("created", str(key), json.dumps(values, sort_keys=True, default=str)))


def record(app: Any) -> Ledger:
    """Begin a journal of one sandbox app. A deep copy of the app writes one of its own."""
    ledger = Ledger()
    app.handle = partial(_asked, app, ledger)
    if hasattr(app, "desk"):
        app.write = partial(_zendesk_write, app, ledger)
        app.desk.create = partial(_zendesk_create, app.desk, ledger)
        app.desk.update = partial(_zendesk_update, app.desk, ledger)
    elif hasattr(app, "portal"):
        app.portal.add = partial(_hubspot_add, app.portal, ledger)
        app.portal.edit = partial(_hubspot_edit, app.portal, ledger)
    else:
        app.insert = partial(_salesforce_insert, app, ledger)
        app.edit = partial(_salesforce_edit, app, ledger)
    return ledger


def _asked(app: Any, ledger: Ledger, request: SandboxRequest) -> SandboxAnswer:
    ledger.asked = True
    try:
        answer: SandboxAnswer = type(app).handle(app, request)
        return answer
    finally:
        ledger.asked = False


def _hubspot_add(portal: Any, ledger: Ledger, kind: str, properties: Mapping[str, Any], **more: Any) -> Any:
    if kind == "tasks":
        ledger.made(task_key(str(properties.get("hs_task_body"))), properties)
    return type(portal).add(portal, kind, properties, **more)


def _hubspot_edit(portal: Any, ledger: Ledger, kind: str, thing_id: str, **properties: Any) -> Any:
    if kind in ("companies", "tasks"):
        ledger.took(thing_id, properties)
    return type(portal).edit(portal, kind, thing_id, **properties)


def _salesforce_insert(org: Any, ledger: Ledger, source: str, **values: Any) -> Any:
    if source == "Task":
        ledger.made(values.get("CS_Task_Key__c"), values)
    return type(org).insert(org, source, **values)


def _salesforce_edit(org: Any, ledger: Ledger, source: str, key: str, **values: Any) -> None:
    if source in ("Account", "Task"):
        ledger.took(key, values)
    type(org).edit(org, source, key, **values)


def _zendesk_write(app: Any, ledger: Ledger, key: int, given: Mapping[str, Any]) -> Any:
    refused = type(app).write(app, key, given)
    if not refused:  # unknown fields are passed over
        values = given.get("organization_fields") or {}
        ledger.took(str(key), {name: value for name, value in values.items() if name in app.fields})
    return refused


def _zendesk_create(desk: Any, ledger: Ledger, request: SandboxRequest) -> Any:
    before = len(desk.account.tickets.records)
    answer = type(desk).create(desk, request)
    if len(desk.account.tickets.records) > before:
        given = request.json()["ticket"]
        ledger.made(given["external_id"], given)
    return answer


def _zendesk_update(desk: Any, ledger: Ledger, request: SandboxRequest, key: str) -> Any:
    answer = type(desk).update(desk, request, key)
    if answer.status < 300:
        given = request.json()["ticket"]
        ledger.took(key, {name: value for name, value in given.items() if name not in ("safe_update", "updated_stamp")})
    return answer
