"""Fields that stopped in their source, and for which accounts that matters: where another connection alone fills the
column, nothing gets old."""

from __future__ import annotations

from collections.abc import Mapping

from cssync.config import Workspace
from cssync.model import ENTITY
from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context, Stopped
from cssync.rules.readers import resting
from cssync.rules.rows import master_rows
from cssync.rules.tree import Feature, Score

ACCOUNT = ("account", "account_source")


def resting_on_stopped(score: Score, features: Mapping[str, Feature], c: Context, d: Dialect) -> dict[str, str]:
    """Return the measures that rest on a stopped field, each with the SQL condition over alias `n` (its `uid` is the
    account) for which accounts."""
    found: dict[str, list[str]] = {}
    for field in sorted(c.stopped):
        condition = _fed(field, c, d)
        for measure in sorted(resting(score, features, [field.target])):
            found.setdefault(measure, []).append(condition)
    return {measure: f"({' OR '.join(conditions)})" for measure, conditions in found.items()}


def _fed(field: Stopped, c: Context, d: Dialect) -> str:
    """Condition that the account has something from that connection there, and that it counts."""
    entity, _, column = field.target.partition(".")
    own = f"t.account_uid = n.uid AND t.connection = {d.text(field.connection)} AND t.deleted_at IS NULL"
    if entity not in ACCOUNT:
        metric = ENTITY[entity].column(column) is None
        only = f" AND t.metric = {d.text(column)}" if metric else ""
        return f"EXISTS (SELECT 1 FROM {entity} t WHERE {own}{only}{master_rows(entity, c, d)})"
    master = c.account_masters.get(column) or c.account_masters.get("")
    better = ""
    if master and master != field.connection and ENTITY["account_source"].column(column):
        of_master = f"m.account_uid = n.uid AND m.connection = {d.text(master)} AND m.deleted_at IS NULL"
        better = f" AND NOT EXISTS (SELECT 1 FROM account_source m WHERE {of_master} AND m.{column} IS NOT NULL)"
    return f"EXISTS (SELECT 1 FROM account_source t WHERE {own}{better})"


def account_masters(workspace: Workspace) -> dict[str, str]:
    """Return column of an account -> the connection that wins it, as `masters` of cssync.yaml say; "" for the rest."""
    named = {what.partition("."): winner for what, winner in workspace.masters.items()}
    found = {"": named["account", "", ""]} if ("account", "", "") in named else {}
    for entity in reversed(ACCOUNT):  # `account.name` goes before `account_source.name`
        found |= {column: winner for (of, dot, column), winner in named.items() if dot and of == entity}
    return found
