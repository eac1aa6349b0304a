"""Tables of the settings -> streams: rows in pages, with an id, a position and what is peculiar to their columns."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any

from cssync.connectors import Feed, Field, Page, PullRequest, Session, Stream, Tombstone, Unreadable
from cssync.errors import ConfigError, ConnectionFault
from cssync_tabular.database import Lower, only_select, queried
from cssync_tabular.files import opened
from cssync_tabular.position import before, capped, lower, position, stored
from cssync_tabular.rows import Item, Source, must_have, torn
from cssync_tabular.settings import Table, TabularSettings
from cssync_tabular.values import Reading, reading, truth

NAME = re.compile(r"[a-z0-9_-]{1,64}")
KEY = "#"
"""Where a record carries its id, made of the columns of `key`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A table of the settings with the columns mapped from it (column -> `entity.column`)."""

    name: str
    table: Table
    mapped: Mapping[str, str]
    zone: tzinfo | None

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every column that the configuration names."""
        extra = (c for c in (self.table.cursor, self.table.deleted) if c)
        return tuple(dict.fromkeys((*self.table.key, *extra, *self.mapped)))

    def readings(self) -> dict[str, Reading]:
        """What is peculiar about the values of each mapped column."""
        found = {column: reading(target, self.zone) for column, target in self.mapped.items()}
        return {column: read for column, read in found.items() if read is not None}


def plans(settings: TabularSettings, mapped: Mapping[str, Mapping[str, str]]) -> dict[str, Plan]:
    """Return every table of the settings with its mapping.

    Raises:
        ConfigError: two tables of one entity, a query that is no SELECT, a column name that cannot be followed.
    """
    owner: dict[str, str] = {}
    for name, table in settings.tables.items():
        entity = table.entity
        if entity in owner:
            raise ConfigError(
                f"tables {owner[entity]} and {name} both hold {entity}, and a row missing in one looks deleted: join "
                "them (UNION ALL), or make a second connection"
            )
        owner[entity] = name
        if table.query is not None:
            try:
                only_select(table.query)
            except ConfigError as error:
                raise ConfigError(f"tables.{name}: {error.message}; {error.fix}") from None
        if not NAME.fullmatch(name):
            raise ConfigError(f"tables: {name!r} is no name; a name is 1 to 64 of a-z, 0-9, _ and -")
        odd = [c for c in (*table.key, *mapped.get(name, {})) if c.startswith("^") or c == KEY]
        if odd:
            raise ConfigError(f"tables.{name}: a column cannot be called {odd[0]!r}; rename it (`AS` in a query)")
    return {n: Plan(n, table, mapped.get(n, {}), settings.zone) for n, table in settings.tables.items()}


def stream(plan: Plan) -> Stream:
    """Return the stream of a table; what `fields:` maps from it comes on top of what is declared here."""
    table = plan.table
    own = {target.partition(".")[2]: column for column, target in plan.mapped.items() if _of(target) == table.entity}
    fields: dict[str, Field | str] = {} if table.entity != "usage_metric" else {"grain": Field(const="day")}
    fields.update({column: Field(const=value) for column, value in table.fixed.items()})
    fields.update({c: source for c, source in own.items() if c in _columns(table.entity)})
    return Stream(
        name=plan.name,
        feeds=(Feed(table.entity, fields, key=KEY),),
        pages=lambda session, request: pages(plan, session, request),
        fields_of=plan.wanted,
        cursor_field=table.cursor or "",
        lag=timedelta(seconds=table.lag if table.cursor else 0),
        deletes=(f"`{table.deleted}` marks them; " if table.deleted else "")
        + ("and `sync --full` finds the others" if table.cursor else "a row that is no longer there is deleted"),
        scope=f"read {table.file}" if table.file else "SELECT on the tables of the query",
        whole=table.cursor is None,
    )


def _of(target: str) -> str:
    return target.partition(".")[0]


def _columns(entity: str) -> tuple[str, ...]:
    from cssync.model import ENTITY

    return ENTITY[entity].writable


def source_of(
    plan: Plan, settings: TabularSettings, bound: Lower | None = None, page_size: int | None = None
) -> AbstractContextManager[Source]:
    """Open the table's file, or run its query from `bound` on."""
    size = page_size or settings.page_size
    if plan.table.query is not None:
        return queried(settings, plan.table.query, bound, size)
    return opened(settings.folder or Path(), plan.table, plan.wanted, size)


def pages(plan: Plan, session: Session, request: PullRequest) -> Iterator[Page]:
    """Read the table, a page of rows at a time.

    A query in the order of its cursor moves the position with each page; a file is in no order, so its last page does.

    Raises:
        ConnectionFault: a column of the configuration is not there, or there is no row at all.
    """
    table, settings = plan.table, session.settings
    where = f"table {plan.name}"
    now = session.now()
    value = stored(where, request.cursor, table.cursor) if table.cursor else None
    ordered = table.cursor is not None and table.query is not None
    bound = Lower(table.cursor, None if value is None else lower(value, table.lag)) if ordered else None  # type: ignore[arg-type]
    newest = _Newest(value, plan.zone, keep_order=ordered)
    seen: set[str] = set()
    rows = 0
    with source_of(plan, settings, bound) as source:
        if source.columns is not None:
            must_have(where, plan.wanted, source.columns, delimiter_hint(table, source.columns))
        nested = nesting(source.columns)
        make = record_maker(plan)
        items: Iterator[Item] = _from(source.items, plan, value) if not ordered else source.items
        for part in _parts(items, settings.page_size):
            records: list[Mapping[str, Any]] = []
            gone: list[Tombstone] = []
            bad: list[Unreadable] = []
            for item in part:
                if isinstance(item, Unreadable):
                    bad.append(item)
                    continue
                if source.columns is None and len(seen) < len(plan.wanted):
                    seen.update(c for c in plan.wanted if c not in seen and _holds(item, c))
                if table.cursor:
                    newest.see(item.get(table.cursor))
                made = make(nested(item))
                if isinstance(made, Unreadable):
                    bad.append(made)
                elif table.deleted and truth(at(item, table.deleted)):
                    gone.append(Tombstone(made[KEY]))
                else:
                    records.append(made)
            rows += len(part)
            yield Page(records, newest.moved(table, now) if ordered else None, gone, unreadable=bad)
    if source.columns is None and rows:
        must_have(where, plan.wanted, seen)
    if not rows and table.cursor is None and not table.may_be_empty:
        raise ConnectionFault(
            f"{where}: there is no row in it",
            kept="nothing was deleted",
            fix="look at the export or query; where no row is an answer, set `may_be_empty: true`",
        )
    yield Page([], newest.cursor(table, now), last=True)


def _parts(items: Iterator[Item], size: int) -> Iterator[Sequence[Item]]:
    part: list[Item] = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _from(items: Iterator[Item], plan: Plan, value: Any) -> Iterator[Item]:
    """Leave out rows of a file that lie before the stored position less the lag. One without a readable position, or
    of another kind, is read each time."""
    start = position(value, plan.zone)
    if plan.table.cursor is None or start is None:
        yield from items
        return
    kind, bound = before(start, plan.table.lag)
    for item in items:
        here = None if isinstance(item, Unreadable) else position(item.get(plan.table.cursor), plan.zone)
        if here is None or here[0] != kind or here[1] >= bound:
            yield item


class _Newest:
    """The newest value of the cursor column: the last of a query in its order, the greatest of a file."""

    def __init__(self, value: Any, zone: tzinfo | None, *, keep_order: bool) -> None:
        self.value = value
        self.zone = zone
        self.keep_order = keep_order
        self.told: Any = None

    def see(self, value: Any) -> None:
        """Look at a row's value. A query that begins before the stored value (its lag) does not take it back."""
        if value is None or value == "" or not isinstance(value, (str, int, float)) or isinstance(value, bool):
            return
        here, held = position(value, self.zone), position(self.value, self.zone)
        if self.keep_order and isinstance(value, str) and (here is None or here[0] == "number"):
            self.value = value  # text without a lag: the query's own order is the order
        elif here is None:
            return
        elif self.value is None or held is None or here[0] != held[0] or here[1] >= held[1]:
            self.value = value

    def cursor(self, table: Table, now: Any) -> dict[str, Any] | None:
        """The position to store, None where there is none."""
        if table.cursor is None or self.value is None:
            return None
        return {"column": table.cursor, "value": capped(self.value, now, self.zone)}

    def moved(self, table: Table, now: Any) -> dict[str, Any] | None:
        """The position to store when it is another one than the last time; rows may share theirs over many pages."""
        found = self.cursor(table, now)
        if found is None or found["value"] == self.told:
            return None
        self.told = found["value"]
        return found


# --- records ----------------------------------------------------------------------------------------------------------


def record_maker(plan: Plan) -> Callable[[dict[str, Any]], dict[str, Any] | Unreadable]:
    """Return a function that gives a row its id and reads what is peculiar; in place, the row is ours."""
    keys = [k.split(".") if "." in k else [k] for k in plan.table.key]
    readings = [(column, column.split("."), read) for column, read in plan.readings().items()]

    def make(row: dict[str, Any]) -> dict[str, Any] | Unreadable:
        parts = [_walk(row, steps) for steps in keys]
        if any(p is None or p == "" or isinstance(p, (dict, list, bool)) for p in parts):
            return torn(f"key {', '.join(plan.table.key)}", "is empty or no single value", row)
        row[KEY] = key = _joined(parts)
        for column, steps, read in readings:
            holder = _walk(row, steps[:-1])
            if type(holder) is dict and steps[-1] in holder:
                try:
                    holder[steps[-1]] = read(holder[steps[-1]])
                except ValueError as error:
                    return Unreadable(f"{column}: {error}", row, key)
        return row

    return make


def _joined(parts: Sequence[Any]) -> str:
    """Return one id for the values of the key. Several are parted by `|`, so theirs is escaped."""
    if len(parts) == 1:
        return str(parts[0])
    return "|".join(str(p).replace("\\", "\\\\").replace("|", "\\|") for p in parts)


def _walk(row: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        row = row.get(step) if type(row) is dict else None
    return row


def at(row: Mapping[str, Any], column: str) -> Any:
    return row[column] if column in row else _walk(row, column.split("."))


def _holds(row: Mapping[str, Any], column: str) -> bool:
    held: Any = row
    for step in column.split("."):
        if type(held) is not dict or step not in held:
            return False
        held = held[step]
    return True


def nesting(columns: tuple[str, ...] | None) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A dot in a header stands for a step inside, as it does in `fields:`."""
    dotted = [c for c in columns or () if "." in c.strip(".")]
    if not dotted:
        return lambda row: row if type(row) is dict else dict(row)

    def nest(row: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(row)
        for column in dotted:
            held: Any = found
            *steps, last = column.split(".")
            for step in steps:
                inner = held.get(step)
                held[step] = inner = inner if type(inner) is dict else {}
                held = inner
            held[last] = row[column]
        return found

    return nest


def delimiter_hint(table: Table, columns: Sequence[str]) -> str:
    """One column that holds another delimiter is a file read with the wrong one."""
    if table.file is None or len(columns) != 1:
        return ""
    with contextlib.suppress(StopIteration):
        other = next(d for d in ";\t|," if d in columns[0])
        return f"set `delimiter: {'tab' if other == chr(9) else repr(other)}` of the table"
    return ""
