"""Field definitions, compared each run with those of the run before: what is new, gone, of another type or has other
options.

A field that a mapping or the write-back uses and that is gone or of another type stops that mapping, by name: its
stored values stay, the other mappings go on. It stays stopped until the field is back, the configuration no longer
names it, or a person accepts the change (`cssync fields CONNECTION STREAM --accept`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import msgspec

from cssync.config import Connection, Workspace
from cssync.connectors import Field, RemoteField, Session
from cssync.errors import CssyncError
from cssync.store import Fence, Store
from cssync.sync.cast import stamp

SHOWN = 8
"""Names that one sentence carries."""

Kind = Literal["new", "removed", "retyped", "options"]


@dataclass(frozen=True, slots=True)
class Drift:
    """A field that differs from the last accepted definition. `used`: what is mapped from or written to it, ""
    for nothing; `before` and `after` are types, or options that went and came; `rules` those that read what has
    stopped, as `pack.rule`."""

    connection: str
    stream: str
    field: str
    kind: Kind
    used: str = ""
    before: str = ""
    after: str = ""
    rules: tuple[str, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether the mapping of this field has stopped."""
        return bool(self.used) and self.kind in ("removed", "retyped")

    @property
    def message(self) -> str:
        """What happened, in a sentence for the admin."""
        name = f"{self.connection}.{self.stream}: field {self.field}"
        if self.kind == "options":
            text = f"{name} has other options (gone: {self.before or 'none'}; new: {self.after or 'none'})"
        elif self.kind == "retyped":
            text = f"{name} is now of type {self.after}, it was {self.before}"
        else:
            text = f"{name} is {'gone, or cssync may not see it any more' if self.kind == 'removed' else 'new'}"
        if not self.stops:
            return text
        text = f"{text}; {self.used} has stopped and keeps its stored values"
        return f"{text}, on which rest: {_some(self.rules)}" if self.rules else text

    @property
    def fix(self) -> str:
        """What a person must do; empty where nothing."""
        if not self.stops:
            return ""
        return (
            f"map another field or give this one back; if the change is meant, "
            f"`cssync fields {self.connection} {self.stream} --accept`"
        )

    def as_dict(self) -> dict[str, Any]:
        """The drift for `--json`."""
        return {**asdict(self), "stops": self.stops, "message": self.message, "fix": self.fix}


def uses(workspace: Workspace, connection: Connection, stream: str) -> dict[str, str]:
    """Return vendor field -> what it feeds: a column, a mapping of the admin, or a write-back."""
    found = {field: f"column {column}" for field, column in _declared(connection, stream)}
    found |= {field: f"the mapping to {target}" for field, target in connection.mapped.get(stream, {}).items()}
    back = workspace.writeback.get(connection.name)
    if back is not None and back.to == stream:
        found |= {field: f"the write-back of {result}" for field, result in back.fields.items()}
    return found


def with_rules(workspace: Workspace, drifts: Iterable[Drift]) -> tuple[Drift, ...]:
    """Name with each field that has stopped the rules that read what it feeds; rule packs are only read for that."""
    listed = tuple(drifts)
    if not any(drift.stops for drift in listed):
        return listed
    from cssync.rules.loading import load
    from cssync.rules.readers import readers

    try:
        rules = load(workspace)
    except CssyncError:
        return listed  # `cssync rules check` says what is wrong with them
    return tuple(
        replace(d, rules=tuple(readers(rules, feeds(workspace.connections[d.connection], d.stream, d.field))))
        if d.stops
        else d
        for d in listed
    )


def feeds(connection: Connection, stream: str, field: str) -> list[str]:
    """Return every `entity.column` that a vendor field feeds."""
    found = [column for name, column in _declared(connection, stream) if name == field]
    mapped = connection.mapped.get(stream, {}).get(field)
    return [*found, *([mapped] if mapped else [])]


def _declared(connection: Connection, stream: str) -> Iterator[tuple[str, str]]:
    """Yield the vendor fields that the stream itself needs, each with a column that it feeds."""
    declared = connection.stream(stream)
    for feed in declared.feeds if declared else ():
        for column, field in feed.fields.items():
            source = field.source if isinstance(field, Field) else field
            for path in (source,) if isinstance(source, str) else source:
                name = path.rpartition(".")[2]
                if declared and name in declared.fields_of:
                    yield name, f"{feed.entity}.{column}"


def is_due(connection: Connection, stream: str) -> bool:
    """Whether the definitions are compared: where the admin named fields, and where the pull asks for them anyway."""
    connector = connection.connector
    return connector.describe is not None and bool(connection.mapped.get(stream) or connector.describes_each_pull)


def described(connection: Connection, session: Session, stream: str) -> Sequence[RemoteField]:
    """Ask the vendor for a stream's fields; one that cannot say, or fails, gives none: nothing is compared then."""
    try:
        return tuple(connection.connector.describe(session, stream)) if connection.connector.describe else ()
    except CssyncError:
        return ()
    except Exception:  # noqa: BLE001 - an answer of any shape; the pull itself will tell what is wrong
        return ()


def compare(
    store: Store, connection: str, stream: str, fields: Iterable[RemoteField], used: Mapping[str, str]
) -> list[Drift]:
    """Return what differs from the accepted definitions, by name; nothing the first time."""
    now = {field.name: field for field in fields}
    before = {
        row["name"]: (row["type"], msgspec.json.decode(row["options"] or "[]"))
        for row in store.query(
            "SELECT name, type, options FROM field_definition WHERE connection = ? AND stream = ?", (connection, stream)
        )
    }
    if not now or not before:
        return []
    found = [Drift(connection, stream, name, "new", used.get(name, "")) for name in sorted(now.keys() - before.keys())]
    for name, (kind, options) in sorted(before.items()):
        use = used.get(name, "")
        if name not in now:
            found.append(Drift(connection, stream, name, "removed", use, kind))
        elif now[name].type != kind:
            found.append(Drift(connection, stream, name, "retyped", use, kind, now[name].type))
        elif use and set(options) != set(now[name].options):
            gone, came = (", ".join(sorted(a - b)) for a, b in _both_ways(options, now[name].options))
            found.append(Drift(connection, stream, name, "options", use, gone, came))
    return found


def _both_ways(old: Iterable[str], new: Iterable[str]) -> list[tuple[set[str], set[str]]]:
    return [(set(old), set(new)), (set(new), set(old))]


def remember(
    store: Store,
    connection: str,
    stream: str,
    fields: Sequence[RemoteField],
    drifts: Sequence[Drift],
    *,
    at: str,
    fence: Fence | None,
) -> None:
    """Keep the definitions for the next comparison; those that stopped a mapping stay as they were accepted, and are
    marked as stopped.

    `at` is an ISO instant (UTC).
    """
    place = (connection, stream)
    known = store.query(
        "SELECT 1 FROM field_definition WHERE connection = ? AND stream = ? LIMIT 1", (connection, stream)
    )
    marked = store.query(
        "SELECT 1 FROM field_definition WHERE connection = ? AND stream = ? AND stopped_at IS NOT NULL LIMIT 1", place
    )
    if not fields or (known and not drifts and not marked):
        return
    held = {drift.field for drift in drifts if drift.stops}
    rows = [
        (connection, stream, f.name, f.type, msgspec.json.encode(f.options).decode(), at)
        for f in fields
        if f.name not in held
    ]
    with store.transaction(fence) as conn:
        gone = [(d.connection, d.stream, d.field) for d in drifts if d.kind == "removed" and d.field not in held]
        conn.executemany("DELETE FROM field_definition WHERE connection = ? AND stream = ? AND name = ?", gone)
        conn.executemany(
            """INSERT INTO field_definition (connection, stream, name, type, options, seen_at)
               VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (connection, stream, name) DO UPDATE SET
               type = excluded.type, options = excluded.options, seen_at = excluded.seen_at, stopped_at = NULL""",
            rows,
        )
        conn.executemany(
            "UPDATE field_definition SET stopped_at = ? "
            "WHERE connection = ? AND stream = ? AND name = ? AND stopped_at IS NULL",
            [(at, *place, name) for name in sorted(held)],
        )


def stopped(store: Store, workspace: Workspace) -> frozenset[tuple[str, str]]:
    """Return every (`entity.column`, connection) whose field has stopped: what is stored of it is of that day."""
    return frozenset(
        (target, row["connection"])
        for row in store.query("SELECT connection, stream, name FROM field_definition WHERE stopped_at IS NOT NULL")
        if row["connection"] in workspace.connections
        for target in feeds(workspace.connections[row["connection"]], row["stream"], row["name"])
    )


def accept(
    store: Store, connection: str, stream: str, fields: Sequence[RemoteField], session: Session, fence: Fence | None
) -> None:
    """Take the vendor's present definitions for right: what had stopped goes on."""
    with store.transaction(fence) as conn:
        conn.execute("DELETE FROM field_definition WHERE connection = ? AND stream = ?", (connection, stream))
    remember(store, connection, stream, fields, (), at=stamp(session.now()), fence=fence)


def told(drifts: Iterable[Drift]) -> list[str]:
    """Return the sentences for people: one for each field that matters, new ones of a stream together."""
    listed = list(drifts)
    found = [drift.message for drift in listed if drift.used]
    for kind, words in (("new", "new fields"), ("removed", "fields that are gone")):
        for place in sorted({(d.connection, d.stream) for d in listed if d.kind == kind and not d.used}):
            names = [d.field for d in listed if d.kind == kind and not d.used and (d.connection, d.stream) == place]
            found.append(f"{'.'.join(place)}: {words}: {_some(names)}")
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
