"""What winsorised features are cut at, outside a pack's statement: for one account that is simulated or tested.

The interpreter looks at one account and takes the percentiles as given, under `percentile.<feature>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cssync.rules.chain import chained
from cssync.rules.compiler import compile_pack
from cssync.rules.dialect import SQLITE
from cssync.rules.freshness import Context
from cssync.rules.interpreter import Row, judge_events
from cssync.rules.outcome import Outcome
from cssync.rules.tree import Expr, Feature, Pack, used_features
from cssync.rules.winsorise import OP, WHOLE, asked, at_of, base_of, column, group_of, link, links, portfolio

Query = Callable[[str, tuple[Any, ...]], Iterable[Any]]
"""Runs a SELECT; rows by column name."""
Everybody = Iterable[tuple[Row, Mapping[str, Iterable[Row]], Mapping[str, Any], Mapping[str, Any]]]
"""Each account with its rows by source, the values given of its features and facts, and results of other packs."""


def nearest_rank(values: Sequence[float], at: int) -> float | None:
    """Return the smallest value that at least `at` hundredths of a percent of them do not exceed; None of none."""
    return sorted(values)[-(-len(values) * at // WHOLE) - 1] if values else None


def stored(
    query: Query, pack: Pack, features: Mapping[str, Feature], context: Context, account: Row
) -> dict[str, float | None]:
    """Return what the interpreter has to be given to judge an account of the store as the pack's statement does."""
    found: dict[str, float | None] = {}
    wanted = asked(used_features(pack, features), features)
    if not wanted:
        return found
    everybody = compile_pack(portfolio(wanted), features, replace(context, only=None, among="")).sql
    chain = chained(links(wanted, everybody, SQLITE), SQLITE)
    for group in sorted({group_of(p) for p in wanted.values()}):
        rows = list(query(f"WITH {chain} SELECT * FROM {link(group)} WHERE grp = ?", (account.get(group) or "",)))
        mine = {name: p for name, p in wanted.items() if group_of(p) == group}
        found |= {f"{OP}.{name}": rows[0][column(p)] if rows else None for name, p in mine.items()}
    return found


def judged(
    wanted: Mapping[str, Expr], features: Mapping[str, Feature], context: Context, everybody: Everybody
) -> list[Outcome]:
    """Return what the interpreter finds of each account that is compared, for `cuts`."""
    pack = portfolio(wanted)
    return [
        judge_events(pack, features, context, account, [{}], rows=rows, given=given, results=results)[0]
        for account, rows, given, results in everybody
        if not account.get("is_test") and account.get("deleted_at") is None
    ]


def cuts(wanted: Mapping[str, Expr], outcomes: Sequence[Outcome], account: Row) -> dict[str, float | None]:
    """Return what `stored` returns, from what the interpreter found of everybody."""

    def values(p: Expr) -> list[float]:
        mine = (o.results for o in outcomes if (o.results[group_of(p)] or "") == (account.get(group_of(p)) or ""))
        return [value for r in mine if (value := r[base_of(p)]) is not None]

    return {f"{OP}.{name}": nearest_rank(values(p), at_of(p)) for name, p in wanted.items()}
