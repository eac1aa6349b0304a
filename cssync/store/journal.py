"""Former rows: triggers that keep what a row was before it changed, so that any day can be put together again.

Vendor rows go to `history`, tables of our own to `state_history`; `Table.past` says which clock stamps them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from cssync.model import Column, Table

EVENTS = ("insert", "update", "delete")


def quote(name: str) -> str:
    """Return an SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def packed(columns: Iterable[Column], alias: str = "OLD") -> str:
    """SQL of a row as a JSON object. Measured numbers with 17 digits: json_object alone rounds them to 15."""

    def value(column: Column) -> str:
        held = f"{alias}.{quote(column.name)}"
        if column.type != "real":
            return held
        exact = "'%!.17g'"
        return f"CASE WHEN {held} IS NOT NULL THEN json(printf({exact}, {held})) END"

    pairs = ", ".join(f"'{c.name}', {value(c)}" for c in columns)
    return f"json_object({pairs})"


def key_of(table: Table, alias: str) -> str:
    """SQL of a row's key as a JSON array."""
    values = ", ".join(f"{alias}.{quote(k)}" for k in table.key)
    return f"json_array({values})"


def journaled(table: Table) -> bool:
    """Whether changes of a table are kept by triggers."""
    return table.past.clock in ("evaluation", "between", "known") and not table.past.grows


def _keep(table: Table, event: str) -> str:
    """The INSERT that keeps a row's former state, the first of each instant only: later ones are halves of a change. So
    is what becomes of a row in the instant in which it was written."""
    alias = "NEW" if event == "insert" else "OLD"
    row = "NULL" if event == "insert" else packed(table.columns)
    until = "(SELECT max(as_of) FROM evaluation)"
    if table.past.clock == "known":
        stamps = ", ".join(f"NEW.{quote(c)}" for c in table.past.stamp)
        until = f"coalesce({stamps}, '')"
    older = f"{alias}.{quote(table.past.born)} IS NOT {until}" if table.past.born else "true"
    return (
        f'INSERT INTO state_history (name, "key", until, "row") SELECT \'{table.name}\', {key_of(table, alias)}, '
        f"coalesce({until}, ''), {row} WHERE {older} ON CONFLICT DO NOTHING"
    )


def trigger_name(table: str, event: str) -> str:
    """Name of a journal trigger."""
    return quote(f"{table}_past_{event}")


def journal_ddl(table: Table) -> list[str]:
    """Statements that create the triggers of a table, or drop those it had; those of the clock `known` never delete
    rows unstamped."""
    wanted = {"update"} | ({"delete"} if table.past.clock != "known" else set())
    wanted |= set() if table.past.born else {"insert"}
    wanted = wanted if journaled(table) else set()
    found = []
    for event in EVENTS:
        found.append(f"DROP TRIGGER IF EXISTS {trigger_name(table.name, event)}")
        if event in wanted:
            watched = ", ".join(map(quote, table.past.watch))
            of = f" OF {watched}" if event == "update" and watched else ""
            found.append(
                f"CREATE TRIGGER {trigger_name(table.name, event)} AFTER {event.upper()}{of} ON {quote(table.name)} "
                f"BEGIN {_keep(table, event)}; END"
            )
    return found


def keep_deleted(conn: sqlite3.Connection, table: Table, where: str, params: tuple[Any, ...], until: str) -> None:
    """Keep rows that are about to be deleted from a table of the clock `known`; `where` is a condition over alias `t`,
    `until` the ISO instant of the deletion."""
    conn.execute(
        f'INSERT INTO state_history (name, "key", until, "row") SELECT \'{table.name}\', {key_of(table, "t")}, ?, '
        f"{packed(table.columns, 't')} FROM {quote(table.name)} t WHERE {where} ON CONFLICT DO NOTHING",
        (until, *params),
    )
