"""cssync.yaml -> Workspace, or every fault of the file at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from cssync.config.connection import Reading, connections
from cssync.config.mapping import masters
from cssync.config.raw import EVERY_FIELD, RawLimits, RawWorkspace, RawWriteback
from cssync.config.reader import Document, Place, read, suggest
from cssync.config.shape import dotted, validate
from cssync.config.workspace import Connection, Limits, Workspace, Writeback
from cssync.plugins import Plugins, plugins

RESULT = re.compile(r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_.-]*")


def load_workspace(path: Path, *, secrets: bool = True, installed: Plugins | None = None) -> Workspace:
    """Read cssync.yaml.

    With `secrets=False` references are not followed and the settings hold placeholders: for commands that call no
    vendor. Every secret that is followed is told to `cssync.http.redaction`. `installed` stands in for the plugins
    of this environment.

    Raises:
        FaultyFileError: a ConfigError with all faults, each at its line and column.
        ConfigError: the file cannot be opened.
    """
    document = read(path)
    path = path.absolute()
    installed = installed or plugins()
    if not isinstance(document.data, dict):
        document.fault((), "must be a mapping of keys such as `workspace:`; `cssync init` writes one")
        document.settle()
    raw = validate(document, RawWorkspace, document.data)
    found = connections(Reading(document, installed, secrets, path.parent))
    given = document.data.get("connections")
    names = given if isinstance(given, dict) else {}
    targets = _writeback(document, names, found)
    winners = masters(document, document.data.get("masters"), names)
    packs = _rules(document, installed, path.parent)
    store = _store(document, path.parent)
    document.settle()
    if raw is None:
        raise AssertionError("a file that does not fit its model has faults")
    return Workspace(
        name=raw.workspace,
        path=path,
        timezone=ZoneInfo(raw.timezone),
        currency=raw.currency,
        store=store,
        connections=found,
        masters=winners,
        rules=packs,
        writeback=targets,
        limits=_limits(raw.limits),
        fiscal_year_start=raw.fiscal_year_start,
        holidays=raw.holidays,
        closures=raw.closures,
        locale=raw.locale,
        fx=path.parent / raw.fx if raw.fx else None,
        metrics=raw.metrics.model_dump(exclude_none=True),
    )


def _limits(raw: RawLimits) -> Limits:
    tasks = raw.max_new_tasks_per_owner_per_run
    if isinstance(raw.changes, int):
        return Limits(Decimal(1), raw.changes, raw.share, tasks)
    return Limits(raw.changes, raw.changes_count, raw.share, tasks)


def _store(document: Document, folder: Path) -> Path:
    given = document.data.get("store", RawWorkspace.model_fields["store"].default)
    if not isinstance(given, str):
        return folder
    if "://" in given:
        document.fault(("store",), "store: only an SQLite file is possible yet; PostgreSQL is not built")
    elif not given.strip() or (folder / given).is_dir():
        document.fault(("store",), f"store: {given!r} is a folder; name a file such as cssync.db")
    return folder / given


def _rules(document: Document, installed: Plugins, folder: Path) -> tuple[str | Path, ...]:
    """Return set names as they are and folders as absolute paths. A folder's files are read with the rules."""
    given = document.data.get("rules", RawWorkspace.model_fields["rules"].default)
    found: list[str | Path] = []
    for i, item in enumerate(given if isinstance(given, list | tuple) else ()):
        if not isinstance(item, str):
            continue
        if item.startswith(".") or "/" in item or "\\" in item:
            found.append(folder / item)
        elif item in installed.rule_packs:
            found.append(item)
        else:
            known = ", ".join(sorted(installed.rule_packs)) or "none"
            near = suggest(item, installed.rule_packs)
            text = f"rules: no rule set {item!r} is installed (installed: {known}); write a folder as ./{item}{near}"
            document.fault(("rules", i), text)
    return tuple(found)


def _writeback(document: Document, names: Mapping[str, Any], found: Mapping[str, Connection]) -> dict[str, Writeback]:
    given = document.data.get("writeback")
    result: dict[str, Writeback] = {}
    for name, data in (given if isinstance(given, dict) else {}).items():
        place: Place = ("writeback", name)
        if name not in names:
            text = f"writeback: there is no connection {name!r}{suggest(name, names)}"
            document.fault(place, text, key=True)
            continue
        try:
            raw = RawWriteback.model_validate(data)
        except ValidationError:  # told with the shape of the whole file; what can be read is checked all the same
            to, fields = (data.get(key) if isinstance(data, dict) else None for key in ("to", "fields"))
            if name in found and isinstance(to, str) and isinstance(fields, dict):
                texts = {field: text for field, text in fields.items() if isinstance(text, str)}
                _check_target(document, place, RawWriteback(to=to, fields=texts), found[name])
            continue
        if name in found:
            _check_target(document, place, raw, found[name])
        default = raw.policy.get(EVERY_FIELD, "unless-edited")
        policies = {field: word for field, word in raw.policy.items() if field != EVERY_FIELD}
        result[name] = Writeback(
            name, raw.to, raw.fields, raw.tasks, default, policies, raw.task_owner, raw.opportunities,
            raw.opportunity_stage,
        )  # fmt: skip
    return result


def _check_target(document: Document, place: Place, raw: RawWriteback, connection: Connection) -> None:
    connector = connection.connector
    writable = [s.name for s in connector.streams if s.writable]
    if raw.to not in writable:
        hint = suggest(raw.to, writable) or f"; it can write {', '.join(writable) or 'nothing'}"
        text = f"{dotted(place)}.to: {connector.name} cannot write {raw.to!r}{hint}"
        document.fault((*place, "to"), text)
    if raw.tasks and not connector.tasks:
        text = f"{dotted(place)}.tasks: {connector.name} takes no tasks; leave it out"
        document.fault((*place, "tasks"), text)
    elif raw.tasks and connector.tasks_setting and not getattr(connection.settings, connector.tasks_setting, False):
        setting = f"connections.{connection.name}.{connector.tasks_setting}"
        text = f"{dotted(place)}.tasks: {connector.name} takes tasks only with `{setting}: true`; read its page first"
        document.fault((*place, "tasks"), text)
    if raw.opportunities and not connector.opportunities:
        text = f"{dotted(place)}.opportunities: {connector.name} takes no opportunities; leave it out"
        document.fault((*place, "opportunities"), text)
    for field, result in raw.fields.items():
        where = (*place, "fields", field)
        if not RESULT.fullmatch(result):
            text = f"{dotted(where)}: {result!r} is no result; write `pack.output`, e.g. health.score"
            document.fault(where, text)
        if field in connection.mapped.get(raw.to, {}):
            source = f"fields: {connection.name}.{raw.to}"
            text = f"{dotted(where)}: also read under `{source}`; rules must not read what they write"
            document.fault(where, text, key=True)
    for field in raw.policy:
        if field != EVERY_FIELD and field not in raw.fields:
            text = f"{dotted(place)}.policy: {field!r} is not written{suggest(field, raw.fields)}"
            document.fault((*place, "policy", field), text, key=True)
