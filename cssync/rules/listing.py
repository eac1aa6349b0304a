"""Passes of their own for what is listed: the newest values of a text in one, and its most common ones.

Only the rows that count are put in order, few of all that a source has, so that a list of evidence costs little more
than looking at them once. Ties: the newest rows are told apart by their key, values that are equally common by code
point, the smallest first.
"""

from __future__ import annotations

from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context
from cssync.rules.members import Membership, membership, value_of
from cssync.rules.sources import BY_EVENT, LISTED, SourcePass, definition, window
from cssync.rules.tree import Aggregate, Feature


def is_listed(aggregate: Aggregate) -> bool:
    """Whether an aggregate has a pass of its own."""
    return aggregate.most > 1 or aggregate.function == "most_common" or isinstance(aggregate, Membership)


def list_of(feature: Feature) -> str:
    """Name of the common table expression of a feature's pass."""
    return f"list_{feature.name}{BY_EVENT if definition(feature).per_event else ''}"


def listed_value(feature: Feature, context: Context, dialect: Dialect) -> str:
    """SQL of a feature's value in the base, over its joined pass and account `a`."""
    table = list_of(feature)
    if isinstance(definition(feature), Membership):
        return value_of(feature, table, context, dialect)
    return f"{table}.value"


def listing(feature: Feature, context: Context, dialect: Dialect) -> str:
    """The SELECT of a feature's pass: `account_uid` and `value`, a row for each account that has one; with `per` one
    for each renewal event, `event`."""
    aggregate = definition(feature)
    one = SourcePass(aggregate.source, [feature], context, dialect, aggregate.per_event)
    value = one.value(aggregate)
    own = one.filter(aggregate)
    if own and window(aggregate, context.today) is None:
        own = f"CASE WHEN {own} THEN 1 ELSE 0 END = 1"  # an index on the time alone would lead to nearly all rows
    conditions = [p for p in (one.rows(), own, f"{value} IS NOT NULL") if p]
    if isinstance(aggregate, Membership):
        return membership(feature, one, conditions, dialect)
    counts = " AND ".join(conditions)
    of = one.of.replace("t.", "p.")
    first = f"p.place <= {aggregate.most}"
    enough = f" AND p.many >= {aggregate.at_least}" if aggregate.at_least else ""
    if aggregate.function == "most_common":
        each = f"SELECT {one.of}, {value} AS value, count(*) AS times FROM {one.table_with_borrowed()} WHERE {counts} "
        inner = of.replace("p.", "c.")
        order = f"row_number() OVER (PARTITION BY {inner} ORDER BY c.times DESC, c.value) AS place"
        many = f"sum(c.times) OVER (PARTITION BY {inner}) AS many, " if enough else ""
        placed = f"SELECT c.*, {many}{order} FROM ({each}GROUP BY {one.of}, {value}) c"
        return f"SELECT {of}, {_joined(aggregate, dialect)} FROM ({placed}) p WHERE {first}{enough} GROUP BY {of}"
    at = f"t.{dialect.quoted(one.table.at)}"
    dated = f"CASE WHEN {at} IS NULL THEN 0 ELSE 1 END"
    order = f"row_number() OVER (PARTITION BY {one.of}, {dated} ORDER BY {at} DESC, t.connection, t.source_id) AS place"
    many = f"count(*) OVER (PARTITION BY {one.of}) AS many, " if enough else ""
    placed = (
        f"SELECT {one.of}, {value} AS value, {dated} AS dated, {many}{order} "
        f"FROM {one.table_with_borrowed()} WHERE {counts}"
    )
    newest = f"p.dated = 1 AND {first}{enough}"
    return f"SELECT {of}, {_joined(aggregate, dialect)} FROM ({placed}) p WHERE {newest} GROUP BY {of}"


def _joined(aggregate: Aggregate, dialect: Dialect) -> str:
    """Column `value`: the values of a group's rows `p` in one text, by their place."""
    nth = [f"max(CASE WHEN p.place = {n} THEN p.value END)" for n in range(1, aggregate.most + 1)]
    more = (f"coalesce({dialect.text(LISTED)} || {other}, '')" for other in nth[1:])
    return f"{' || '.join((nth[0], *more))} AS value"
