"""Chains of common table expressions: which of them a statement needs, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from cssync.rules.dialect import Dialect
from cssync.rules.facts import GROUPS, NEEDS
from cssync.rules.freshness import Context

ONCE = (
    *("base", "measured", "weighed", "capped", "sided", "term_end", "usage_seen", "week_value", "week_both"),
    "portfolio",
)
"""Links that are computed once: engines would otherwise write their expressions into every place that names them."""


def of_group(group: str, context: Context, dialect: Dialect) -> dict[str, str]:
    """Return name -> SELECT of a group of facts, with those of the groups it needs before it."""
    ctes: dict[str, str] = {}
    for part in (*NEEDS.get(group, ()), group):
        ctes.update(GROUPS[part](context, dialect))
    return ctes


def behind(last: str, ctes: Mapping[str, str], ready: Collection[str]) -> dict[str, str]:
    """Return the expressions that one of them reads, and itself, without those that stand ready as tables."""
    wanted = {last}
    for name in reversed([n for n in ctes if n not in ready]):
        if name in wanted:
            wanted.update(re.findall(r"\w+", ctes[name]))
    return {name: sql for name, sql in ctes.items() if name in wanted and name not in ready}


def chained(ctes: Mapping[str, str], dialect: Dialect) -> str:
    """Return the expressions as they follow WITH."""
    once = dict.fromkeys(ONCE, dialect.once)
    return ",\n".join(f"{name} AS {once.get(name, '')}({sql})" for name, sql in ctes.items())
