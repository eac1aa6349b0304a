"""Results of packs as rules read them: SQL of values out of `result` and of what it held before."""

from __future__ import annotations

from datetime import timedelta

from cssync.rules.calendar import offsets
from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context
from cssync.rules.tree import Past, Type


def past_rows(past: Past, context: Context, dialect: Dialect) -> str:
    """SELECT of account_uid and value: JSON text of the result at that time, or the day its present value began."""
    name, here = dialect.text(past.result), context.within("account_uid")
    if past.ago is None:
        spans = offsets(context.zone, context.as_of.year + 1)
        return (
            f"SELECT account_uid, {dialect.local_day('since', spans)} AS value FROM result "
            f"WHERE name = {name} AND value <> 'null' AND state <> 'stale'{here}"
        )
    plus = "+" if context.among else ""  # by account, where those are few, and not by instant
    at = context.as_of - timedelta(days=past.ago)
    then = dialect.text(at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return (
        f"SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = {name} "
        f"AND {plus}since <= {then}{here} UNION ALL SELECT account_uid, value FROM result_history WHERE name = {name} "
        f"AND {plus}since <= {then} AND {plus}until > {then}{here}) p WHERE value <> 'null' GROUP BY account_uid"
    )


def read_json(value: str, kind: Type, dialect: Dialect) -> str:
    """SQL of a result's value out of its JSON text, as rules see it."""
    if kind in ("integer", "number"):
        return dialect.parsed(value) if kind == "integer" else dialect.real(value)
    if kind == "bool":
        return f"CASE {value} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
    bare = f"substr({value}, 2, length({value}) - 2)"
    if kind == "date":
        return bare
    escaped, plain, two, one = map(dialect.text, ('\\"', '"', "\\\\", "\\"))
    return f"replace(replace({bare}, {escaped}, {plain}), {two}, {one})"
