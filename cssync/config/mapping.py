"""`fields:` and `masters:`: which columns an admin may name, and what is said about those that do not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cssync.config.reader import Document, Place, suggest
from cssync.config.shape import dotted
from cssync.model import ENTITY, Entity

OWN_STATE = ("crm_task", "crm_state")
"""Entities that hold what cssync itself wrote: not for mapping."""
TARGETS: Mapping[str, Entity] = {name: entity for name, entity in ENTITY.items() if name not in OWN_STATE}
SYNONYM = "account"
"""What an admin may write for `account_source`."""
METRIC = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_:.-]{0,63}")
KINDS = ("meeting", "call", "email")
"""What a date may be mapped onto, as `interaction.meeting`: the last contact of that kind."""


def targets(document: Document, place: Place, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (vendor field, canonical target) of one `fields:` entry at `place`; note what is wrong.

    A target is `entity.column`, `usage_metric.<metric>` with any metric name that is no column, or
    `interaction.<kind>`. Two vendor fields may not fill the same target. Values that are no text are left to the check
    of the file's shape.
    """
    taken: dict[str, str] = {}
    for field, given in fields.items():
        if not isinstance(given, str):
            continue
        target, wrong = _target(given)
        if not wrong and target in taken:
            wrong = f"{given!r} is already filled by {taken[target]!r}"
        if wrong:
            document.fault((*place, field), f"{dotted((*place, field))}: {wrong}")
            continue
        taken[target] = field
        yield field, target


def masters(document: Document, data: Any, connections: Mapping[str, Any]) -> dict[str, str]:
    """Return `masters:`, keyed by `account` (never `account_source`), `contract`, `account.name` and the like; note
    what is wrong."""
    found: dict[str, str] = {}
    for key, connection in (data if isinstance(data, dict) else {}).items():
        name, dot, column = str(key).partition(".")
        entity = TARGETS.get(_canonical(name))
        place: Place = ("masters", key)
        if entity is None:
            text = f"masters: there is no entity {name!r}{suggest(name, (SYNONYM, *TARGETS))}"
            document.fault(place, text, key=True)
        elif dot and column not in entity.writable:
            text = f"masters: {name} has no column {column!r}{suggest(column, entity.writable)}"
            document.fault(place, text, key=True)
        elif isinstance(connection, str) and connection not in connections:
            text = f"masters.{key}: there is no connection {connection!r}{suggest(connection, connections)}"
            document.fault(place, text)
        elif isinstance(connection, str):
            unified = SYNONYM if entity.name == "account_source" else entity.name
            found[f"{unified}{dot}{column}"] = connection
    return found


def _canonical(entity: str) -> str:
    return "account_source" if entity == SYNONYM else entity


def _target(given: str) -> tuple[str, str]:
    """Return (canonical target, what is wrong with it or nothing)."""
    name, dot, column = given.partition(".")
    entity = TARGETS.get(_canonical(name))
    if not dot or not column:
        homes = [f"{e.name}.{given}" for e in TARGETS.values() if given in e.writable]
        hint = f"; did you mean {homes[0]!r}?" if homes else ""
        return "", f"{given!r} is no target; write `entity.column`{hint}"
    if entity is None:
        return "", f"there is no entity {name!r}{suggest(name, (SYNONYM, *TARGETS))}"
    if column in entity.writable:
        return f"{entity.name}.{column}", ""
    if entity.name == "usage_metric" and METRIC.fullmatch(column):
        return f"{entity.name}.{column}", ""
    kinds = KINDS if entity.name == "interaction" else ()
    if column in kinds:
        return f"{entity.name}.{column}", ""
    return "", f"{name} has no column {column!r}{suggest(column, (*kinds, *entity.writable))}"
