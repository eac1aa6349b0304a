"""What one evaluation runs: the statement of each pack, and tables that several of them read, built once for all."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cssync.rules.compiler import Statement, compile_pack, fact_tables, source_passes
from cssync.rules.facts import LINKS
from cssync.rules.freshness import Context, distinct
from cssync.rules.sources import BY_EVENT
from cssync.rules.tree import RuleSet

BY_NUMBER = ("fact_event_lines", "fact_event_ends")
"""Tables of facts with a row for each renewal event."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """tables: name -> SELECT of what several packs need, in order: each reads those before it. statements: by pack."""

    tables: Mapping[str, str]
    statements: Mapping[str, Statement]

    def sql(self) -> Iterator[str]:
        """Yield all that is run."""
        yield from self.tables.values()
        yield from (statement.sql for statement in self.statements.values())


def prepare(rules: RuleSet, contexts: Mapping[str, Context]) -> Prepared:
    """Return what evaluates the packs. contexts: by pack.

    Packs may allow different ages: a table is built when one pack finds it fresh, and the others still see it as stale.
    """
    tables: dict[str, str] = {}
    for context in distinct(contexts.values()):
        more = fact_tables(rules.packs, rules.features, context)
        tables.update((name, sql) for name, sql in more.items() if name not in tables)
    tables |= source_passes(rules.packs, rules.features, contexts)
    return Prepared(
        tables, {p.name: compile_pack(p, rules.features, contexts[p.name], shared=tables) for p in rules.packs}
    )


def build(conn: sqlite3.Connection, tables: Mapping[str, str], ready: Collection[str] = ()) -> None:
    """Build the tables as temporary ones. ready: names of those that stand already."""
    for name, sql in tables.items():
        if name in ready:
            continue
        conn.execute(f"DROP TABLE IF EXISTS temp.{name}")
        conn.execute(f"CREATE TEMP TABLE {name} AS {sql}")
        by_event = ("account_uid", "event") if name in BY_NUMBER or name.endswith(BY_EVENT) else ("account_uid",)
        key = ", ".join(LINKS.get(name, by_event))
        conn.execute(f"CREATE UNIQUE INDEX temp.{name}_key ON {name} ({key})")
