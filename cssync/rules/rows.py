"""Conditions in SQL: which rows of the sources count."""

from __future__ import annotations

from collections.abc import Iterable

from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context


def live(alias: str, context: Context, dialect: Dialect) -> str:
    """Condition for rows that count: not deleted, assigned, and of the one account looked at, if any."""
    only = f" AND {alias}.account_uid = {dialect.text(context.only)}" if context.only is not None else ""
    return (
        f"{alias}.deleted_at IS NULL AND {alias}.account_uid IS NOT NULL{only}{context.within(f'{alias}.account_uid')}"
    )


def accounts(alias: str, context: Context, dialect: Dialect) -> str:
    """WHERE clause, or nothing: the accounts that are looked at."""
    only = f" AND {alias}.uid = {dialect.text(context.only)}" if context.only is not None else ""
    found = f"{only}{context.within(f'{alias}.uid')}"
    return f" WHERE {found.removeprefix(' AND ')}" if found else ""


def complete(alias: str, context: Context, dialect: Dialect, metrics: Iterable[str] | None = None) -> str:
    """Condition for rows of usage that say something: marked complete, and of a day that is complete for all accounts.

    metrics: those that the rows can be of; None is any.
    """
    found = f"coalesce({alias}.is_complete, 1) = 1"
    for (connection, metric), days in sorted(context.gaps.items()):
        if metrics is None or metric in metrics:
            listed = ", ".join(dialect.day(day) for day in days)
            found += (
                f" AND NOT (coalesce({alias}.metric = {dialect.text(metric)}, FALSE) AND {alias}.connection = "
                f"{dialect.text(connection)} AND coalesce({alias}.period_start IN ({listed}), FALSE))"
            )
    return found


def master_rows(entity: str, context: Context, dialect: Dialect) -> str:
    """Condition over alias `t` that a row is of the entity's master, where the account has a row of the master."""
    if entity not in context.masters:
        return ""
    master = dialect.text(context.masters[entity])
    of_master = (
        f"SELECT 1 FROM {entity} m WHERE m.account_uid = t.account_uid AND m.connection = {master} "
        "AND m.deleted_at IS NULL"
    )
    return f" AND (t.connection = {master} OR NOT EXISTS ({of_master}))"
