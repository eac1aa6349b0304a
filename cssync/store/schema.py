"""The store's schema: generated from `cssync.model`, carried forward by migrations.

A migration is never edited after its release. `add_missing` is additive and may run again, so a release that only
adds tables or columns needs no more than a migration that calls it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlite_utils import Database, Migrations

from cssync.model import ENTITIES, SQL_TYPE, TABLE, TABLES, VENDOR_COLUMNS, Column, Entity, Table
from cssync.store.journal import journal_ddl, packed, quote

__all__ = [
    "ABOUT",
    "UNVERSIONED",
    "add_missing",
    "column_names",
    "create",
    "entity_ddl",
    "migrations",
    "quote",
    "table_ddl",
]

migrations = Migrations("cssync")

ABOUT = ("source_url", "created_at", "updated_at")
"""Columns about the record, not of it: a difference in these alone is no change, but a change brings them along."""
UNVERSIONED = ("synced_at", "account_uid")
"""Columns whose change is no new version of a vendor row: our own book-keeping."""
VOLUME = "usage_metric"
"""Vendor table whose rows of all accounts together mean something, too: noted as `#usage_metric`."""
UNJUDGED = ("account_source", "crm_state")
"""Vendor tables that rules never look at."""


def column_names(entity: Entity) -> tuple[str, ...]:
    """Stored columns of a vendor table, in order, without the generated `uid`."""
    return tuple(c.name for c in (*VENDOR_COLUMNS, *entity.columns))


def versioned(entity: Entity) -> tuple[str, ...]:
    """Columns whose change makes a new version, and with it a row of `history`."""
    return tuple(c for c in column_names(entity) if c not in ("connection", "source_id", *ABOUT, *UNVERSIONED))


def _columns(columns: Iterable[Column], not_null: tuple[str, ...]) -> list[str]:
    return [f"{quote(c.name)} {SQL_TYPE[c.type]}{' NOT NULL' if c.name in not_null else ''}" for c in columns]


def entity_ddl(entity: Entity) -> list[str]:
    """Statements that create a vendor table, its indexes and the trigger that keeps former versions."""
    name = entity.name
    body = [
        *_columns((*VENDOR_COLUMNS, *entity.columns), ("connection", "source_id", "synced_at")),
        f"{quote('uid')} TEXT GENERATED ALWAYS AS (connection || ':' || source_id) VIRTUAL",
        "PRIMARY KEY (connection, source_id)",
    ]
    row = packed(c for c in (*VENDOR_COLUMNS, *entity.columns) if c.name not in ("connection", "source_id"))
    watched = ", ".join(quote(c) for c in versioned(entity))
    ddl = [
        f"CREATE TABLE IF NOT EXISTS {quote(name)} ({', '.join(body)}) STRICT",
        f"""CREATE TRIGGER IF NOT EXISTS {quote(name + "_history")} AFTER UPDATE OF {watched} ON {quote(name)}
            BEGIN INSERT INTO history (entity, connection, source_id, known_from, known_to, "row")
            VALUES ('{name}', OLD.connection, OLD.source_id, OLD.synced_at, NEW.synced_at, {row}); END""",
    ]
    for index in entity.indexes:
        listed = ", ".join(quote(c) for c in index)
        ddl.append(f"CREATE INDEX IF NOT EXISTS {quote('_'.join((name, *index[:3])))} ON {quote(name)} ({listed})")
    if entity.column("account_uid") and all(index[0] != "account_uid" for index in entity.indexes):
        ddl.append(f"CREATE INDEX IF NOT EXISTS {quote(name + '_account')} ON {quote(name)} (account_uid)")
    if entity.column("account_source_id"):  # no statement goes by it any more, and each row of a pull paid for it
        ddl.append(f"DROP INDEX IF EXISTS {quote(name + '_source')}")
    return ddl


def changed_ddl(name: str, columns: Iterable[Column], account: str) -> list[str]:
    """Triggers that note the account of each row that is added, changed or removed in `changed_account`; a table
    without a column `account` concerns everybody. A vendor's row comes without an account and concerns nobody until it
    is given one, which is a change: a trigger for its coming would cost each row of a pull a fifth of its upsert."""
    known = [c.name for c in columns if c.name != "synced_at"]
    differs = " OR ".join(f"OLD.{quote(c)} IS NOT NEW.{quote(c)}" for c in known)
    events = {"insert": ("NEW",), "update": ("OLD", "NEW"), "delete": ("OLD",)}
    ddl = [f"DROP TRIGGER IF EXISTS {quote(f'{name}_changed_{e}')}" for e in ("insert", "update")]  # as they once were
    if account == "account_uid" and account in known and name != VOLUME:
        del events["insert"]
    for event, rows in events.items():
        found = [f"{row}.{quote(account)}" for row in rows] if account in known else ["'*'"]
        if "parent_uid" in known and "OLD" in rows:
            found.append('OLD."parent_uid"')  # the family that an account leaves
        if name == VOLUME:
            found.append(f"'#{name}'")
        # OR IGNORE would not do: the conflict clause of the outer statement takes its place.
        news = [
            f"{uid} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM changed_account WHERE account_uid = {uid})"
            for uid in found
        ]
        when = f"({' OR '.join(news)})" + (f" AND ({differs})" if event == "update" else "")
        notes = (f"INSERT INTO changed_account SELECT {uid} WHERE {new};" for uid, new in zip(found, news, strict=True))
        ddl.append(
            f"CREATE TRIGGER IF NOT EXISTS {quote(f'{name}_changed_{event}')} AFTER {event.upper()} ON {quote(name)} "
            f"WHEN {when} BEGIN {' '.join(notes)} END"
        )
    return ddl


def table_ddl(table: Table) -> list[str]:
    """Statements that create one of cssync's own tables and its indexes."""
    sequence = table.key == ("id",) and table.columns[0].type == "integer"
    body = _columns(table.columns[1:] if sequence else table.columns, table.key)
    if sequence:
        body.insert(0, "id INTEGER PRIMARY KEY AUTOINCREMENT")
    else:
        body.append(f"PRIMARY KEY ({', '.join(quote(c) for c in table.key)})")
    return [
        f"CREATE TABLE IF NOT EXISTS {quote(table.name)} ({', '.join(body)}) STRICT",
        *(
            f"CREATE INDEX IF NOT EXISTS {quote('_'.join((table.name, *index)))} "
            f"ON {quote(table.name)} ({', '.join(quote(c) for c in index)})"
            for index in table.indexes
        ),
    ]


def add_missing(db: Database) -> None:
    """Create every table, index and column of the model that the file does not have yet."""
    declared = [
        *((e.name, (*VENDOR_COLUMNS, *e.columns), entity_ddl(e)) for e in ENTITIES),
        *((t.name, t.columns, table_ddl(t)) for t in TABLES),
    ]
    for name, columns, ddl in declared:
        present = {row[1] for row in db.execute(f"PRAGMA table_info({quote(name)})").fetchall()}
        missing = [c for c in columns if present and c.name not in present]
        for column in missing:
            db.execute(f"ALTER TABLE {quote(name)} ADD COLUMN {quote(column.name)} {SQL_TYPE[column.type]}")
        db.execute(f"DROP TRIGGER IF EXISTS {quote(name + '_history')}")
        for statement in ddl:
            db.execute(statement)
    for table in TABLES:
        for statement in journal_ddl(table):
            db.execute(statement)
    judged = [(e.name, (*VENDOR_COLUMNS, *e.columns), "account_uid") for e in ENTITIES if e.name not in UNJUDGED]
    for name, columns, account in (*judged, ("account", TABLE["account"].columns, "uid")):
        for statement in changed_ddl(name, columns, account):
            db.execute(statement)


def create(db: Database) -> None:
    """Give an empty file the schema of today, and note every migration as done: one after the other they would make the
    same file, each going through the whole model again."""
    add_missing(db)
    done = Migrations(migrations.name)
    for migration in migrations.pending(db):
        done(name=migration.name)(_done)
    done.apply(db)


def _done(db: Database) -> None:
    """What the migration adds is there."""


@migrations()
def m001_release_0_1(db: Database) -> None:
    add_missing(db)


@migrations()
def m002_release_0_2(db: Database) -> None:
    add_missing(db)


@migrations()
def m003_release_0_3(db: Database) -> None:
    add_missing(db)
    db.execute("DROP INDEX IF EXISTS result_name_value")


@migrations()
def m004_release_0_4(db: Database) -> None:
    add_missing(db)


@migrations()
def m005_release_0_5(db: Database) -> None:
    add_missing(db)


@migrations()
def m006_release_0_6(db: Database) -> None:
    add_missing(db)
    db.execute("DELETE FROM state_history WHERE name = 'token'")  # a former token is nobody's history
