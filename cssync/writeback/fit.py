"""Values that fit their field: what the vendor's fields take, asked at most once per connection and run.

A text that is too long is cut before values are compared, so that it is no difference the next day. A value that the
field does not take at all (a renamed option, another type, no right to write) stops that mapping, by name; the other
mappings go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from itertools import groupby
from typing import Any

from cssync.config.workspace import Workspace
from cssync.connectors.contract import RemoteField
from cssync.connectors.session import Session
from cssync.errors import ConfigError, CssyncError
from cssync.rules.cutting import cut, units
from cssync.rules.texts import end_of
from cssync.store import Fence, Store
from cssync.writeback.changes import Draft, Note, PlannedChange, dump, load
from cssync.writeback.choices import added

Shape = Mapping[str, RemoteField]
"""Vendor field, case-folded -> the field as the vendor describes it."""
Lengths = Mapping[tuple[str, str], int]
"""(connection, vendor field) -> longest text it takes, in UTF-16 code units."""
Describe = Callable[[str], Shape | None]
"""Connection -> its fields; None where the vendor cannot say, or did not answer."""

NUMBERS = ("integer", "real", "number", "money", "percent")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Descriptions:
    """The fields of each connection, asked when first needed and then kept for the run."""

    def __init__(
        self, store: Store, workspace: Workspace, sessions: Mapping[str, Session | CssyncError], fence: Fence | None
    ) -> None:
        self._store, self._workspace, self._sessions, self._fence = store, workspace, sessions, fence
        self._found: dict[str, Shape | None] = {}

    def __call__(self, connection: str) -> Shape | None:
        """Return what the fields of the connection's written stream take. A vendor that fails here is not at fault
        for the plan: the write itself will tell."""
        if connection not in self._found:
            self._found[connection] = self._ask(connection)
        return self._found[connection]

    def _ask(self, name: str) -> Shape | None:
        back, session = self._workspace.writeback.get(name), self._sessions.get(name)
        describe = self._workspace.connections[name].connector.describe if name in self._workspace.connections else None
        if back is None or describe is None or session is None or isinstance(session, CssyncError):
            return None
        try:
            shape = {field.name.casefold(): field for field in describe(session, back.to)}
        except CssyncError:
            return None
        keep_lengths(self._store, name, back.to, back.fields, shape, self._fence)
        return shape


def keep_lengths(
    store: Store, connection: str, stream: str, fields: Collection[str], shape: Shape, fence: Fence | None
) -> None:
    """Remember how long texts may be, for plans that are made without asking the vendor."""
    known = {field: shape[field.casefold()].length for field in sorted(fields) if field.casefold() in shape}
    text = dump({field: length for field, length in known.items() if length})
    name = f"lengths:{connection}.{stream}"
    if (store.get_setting(name) or "{}") != text:
        with store.transaction(fence) as conn:
            conn.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, text))


def lengths(store: Store, workspace: Workspace) -> Lengths:
    """Return what is remembered of every mapped field's length."""
    return {
        (back.connection, field): length
        for back in workspace.writeback.values()
        for field, length in (load(store.get_setting(f"lengths:{back.connection}.{back.to}")) or {}).items()
    }


def shortened(text: str, length: int) -> str:
    """Return `text` within `length` as `cut` does, but leave the end of a text of ours whole: that cssync wrote it, and
    the date of its data. Only where there is room for little more than that, it is cut like any other."""
    end = end_of(text)
    room = length - units(end)
    if units(text) <= length or room < units(end):
        return cut(text, length)
    return cut(text.removesuffix(end), room) + end


def misfit(field: RemoteField | None, value: Any) -> str:
    """Say why a field does not take a value, in words that follow its name; empty when it does. None always fits."""
    if field is None:
        return "is not there, or cssync may not see it"
    if not field.writable:
        return "is read-only for cssync"
    if value is None:
        return ""
    if field.type in NUMBERS and not _is_number(value):
        return f"is a number, and {value!r} is none"
    if field.type == "date" and not (isinstance(value, str) and _DAY.fullmatch(value)):
        return f"is a date, and {value!r} is none"
    if field.type == "bool":
        return "" if isinstance(value, bool) else f"is a checkbox, and {value!r} is neither true nor false"
    missing = [v for v in _options(value) if v not in field.options] if field.options and field.restricted else []
    if missing:
        return f"has no option {', '.join(map(repr, missing))} (it has {', '.join(map(repr, field.options))})"
    return ""


def fitting(found: Draft, describe: Describe) -> Draft:
    """Take every mapping out of the draft whose field refuses one of its values, and name it; asks only connections
    with field changes."""
    values = ((c.connection, c.field, added(c.old, c.new)) for c in found.changes if not c.is_task)
    stopped = refusals(values, describe)
    if not stopped:
        return found
    kept = tuple(c for c in found.changes if c.is_task or (c.connection, c.field) not in stopped)
    notes = tuple(_stop(place, words, found.changes) for place, words in sorted(stopped.items()))
    return replace(found, changes=kept, notes=(*found.notes, *notes))


def refusals(values: Iterable[tuple[str, str, Any]], describe: Describe) -> dict[tuple[str, str], str]:
    """Return (connection, field) -> why it does not take one of the `values` (connection, field, value)."""
    found: dict[tuple[str, str], str] = {}
    for connection, group in groupby(sorted(values, key=lambda v: v[:2]), lambda v: v[0]):
        shape = describe(connection)
        for _, field, value in group if shape is not None else ():
            why = "" if (connection, field) in found else misfit((shape or {}).get(field.casefold()), value)
            if why:
                found[connection, field] = why
    return found


def must_have_one_source(workspace: Workspace, store: Store | None = None) -> None:
    """Refuse two results for one field: under two spellings of its name, or over two connections to one organisation.

    Raises:
        ConfigError: naming both.
    """
    orgs = {row["connection"]: row["org_id"] for row in store.query("SELECT * FROM binding")} if store else {}
    seen: dict[tuple[str, str, str, str], tuple[str, str, str]] = {}
    for name, back in workspace.writeback.items():
        connector = workspace.connections[name].connector.name if name in workspace.connections else name
        for field, result in back.fields.items():
            place = (connector, orgs.get(name) or f"connection {name}", back.to, field.casefold())
            other = seen.setdefault(place, (name, field, result))
            if other[:2] != (name, field) and (other[0] == name or other[2] != result):
                raise ConfigError(
                    f"writeback: {other[0]}.{other[1]}: {other[2]} and {name}.{field}: {result} are one field of "
                    f"{back.to}, which can hold only one of them",
                    kept="nothing was created, planned or written",
                    fix="take one of the two out of `writeback:`",
                )


def _stop(place: tuple[str, str], words: str, changes: Iterable[PlannedChange]) -> Note:
    connection, field = place
    mine = [c for c in changes if (c.connection, c.field) == place]
    told = (
        f"{connection}.{field} {words}: {len(mine)} value{'' if len(mine) == 1 else 's'} of {mine[0].result_name} "
        "not written; put the field right in the CRM (`cssync provision` shows what it should be)"
    )
    return Note("misfit", connection, "", mine[0].stream, field, told)


def _options(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]


def _is_number(value: Any) -> bool:
    if isinstance(value, (bool, list, tuple)):
        return False
    try:
        return Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False
