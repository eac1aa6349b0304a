"""Winsorised features: another feature's value, but at most a percentile of it among the accounts of the same group.

So a spike of one customer pulls no comparison with peers (domain.md section 8, huge spike), and the feature it is made
of stays what it was. Only the upper end is cut: a spike is large, and a low value is what a rule is there to see.

The percentile is by nearest rank: the smallest value that at least so many percent of the values of the group do not
exceed. It is one of the values, found by comparing whole numbers, and so the same on every engine. In a group of fewer
than 200 values the 99.5th is the largest, and nothing is cut. The accounts compared are all but test accounts and
deleted ones, whatever `accounts:` of a pack says: a feature means the same in every pack.

In the typed tree it is `first: [percentile if base > percentile, base otherwise]`. The reference `percentile` has the
name of the winsorised feature as its value; its args are the base, the column of account that makes the groups, and
the percentile in hundredths of a percent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cssync.rules.catalogue import ACCOUNT, FACTS, column_type
from cssync.rules.check import NUMBERS
from cssync.rules.dialect import Dialect
from cssync.rules.faults import Stop, did_you_mean
from cssync.rules.nodes import Mapping as Block
from cssync.rules.nodes import Node, Scalar
from cssync.rules.tree import Expr, Feature, Pack, Result, closure

if TYPE_CHECKING:
    from cssync.rules.features import FeatureReader

KEYS = ("winsorised", "at", "per")
OP = "percentile"
WHOLE = 10_000
"""Hundredths of a percent in all."""
LOWEST, USUAL, HIGHEST = 5_000, 9_950, 9_999
"""Percentiles that a feature may be cut at, and the usual one, in hundredths of a percent."""
MOST = 50
"""Winsorised features in all packs together: each is a sort of all accounts."""
GROUPED = "segment"
PORTFOLIO = "portfolio"
"""Link of a statement: a row for each account that is compared."""


# --- reading ----------------------------------------------------------------------------------------------------------


def winsorised(reader: FeatureReader, key: Scalar, node: Block, pack: str) -> Feature | None:
    """Read `{winsorised: FEATURE, at: 99.5, per: segment}`; None when it has a fault (noted)."""
    block = reader.shape.block(node, f"feature {key.text}", KEYS)
    name = reader.shape.scalar(block.get("winsorised"), "`winsorised`") if block else None
    if block is None or name is None:
        return None
    at, per = _at(reader, block.get("at")), _per(reader, block.get("per"))
    try:
        base = reader.reference(name.text, name.mark)
    except Stop:
        return None
    if base is None:
        why = f"there is no feature or fact {name.text[:60]!r}{did_you_mean(name.text, [*reader.names, *FACTS])}"
        if name.text in ACCOUNT or not re.fullmatch(r"\w+", name.text):
            why = f"{name.text[:60]!r} is no feature or fact: make it a feature of its own, and name that"
        reader.faults.add(name.mark, why)
    elif base.type not in NUMBERS:
        kind = "an amount of money, which has no order across currencies" if base.type == "money" else f"a {base.type}"
        reader.faults.add(name.mark, f"only numbers are winsorised, and {name.text} is {kind}")
    elif asked(closure([base.value], reader.found), reader.found):
        reader.faults.add(name.mark, f"{name.text} rests on a winsorised feature: name what that one is made of")
    elif len(asked(reader.found, reader.found)) >= MOST:
        reader.faults.add(key.mark, f"more than {MOST} features are winsorised, and each takes a look at all accounts")
    else:
        return Feature(key.text, base.type, _cut(key.text, base, per, at), pack, key.mark)
    return None


def _at(reader: FeatureReader, node: Node | None) -> int:
    scalar = reader.shape.scalar(node, "`at`")
    if scalar is None:
        return USUAL
    found = re.fullmatch(r"(\d{2})(?:\.(\d{1,2}))?", scalar.text, re.ASCII)
    at = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else 0
    if not LOWEST <= at <= HIGHEST:
        reader.faults.add(
            scalar.mark, f"`at` is a percentile from {LOWEST // 100} to {HIGHEST / 100}, such as {USUAL / 100}"
        )
    return at


def _per(reader: FeatureReader, node: Node | None) -> Expr:
    scalar = reader.shape.scalar(node, "`per`")
    name = scalar.text if scalar else GROUPED
    kinds = {n: column_type(c) for n, c in ACCOUNT.items()}
    texts = [n for n, kind in kinds.items() if kind == "text"]
    if scalar is not None and name not in texts:
        why = f"column of account{did_you_mean(name, texts)}"
        why = f"text, and accounts are grouped by one, such as {GROUPED}" if kinds.get(name) else why
        reader.faults.add(scalar.mark, f"{name[:60]!r} is no {why}")
    return Expr("account", "text", value=name)


def _cut(name: str, base: Expr, per: Expr, at: int) -> Expr:
    most = Expr(OP, base.type, (base, per, Expr("number", "integer", value=at)), name)
    otherwise = Expr("bool", "bool", value=True)
    return Expr("first", base.type, (most, Expr(">", "bool", (base, most)), base, otherwise), 0)


# --- the tree ---------------------------------------------------------------------------------------------------------


def asked(names: Iterable[str], features: Mapping[str, Feature]) -> dict[str, Expr]:
    """Return winsorised feature -> its percentile, of the features named, in order of their names."""
    definitions = (features[n].definition for n in sorted(names) if n in features)
    formulas = (d for d in definitions if isinstance(d, Expr) and d.op == "first")
    return {str(e.value): e for d in formulas for e in d.args if e.op == OP}


def base_of(percentile: Expr) -> str:
    """Return the feature or fact whose percentile it is."""
    return str(percentile.args[0].value)


def group_of(percentile: Expr) -> str:
    """Return the column of account that makes the groups."""
    return str(percentile.args[1].value)


def at_of(percentile: Expr) -> int:
    """Return which percentile it is, in hundredths of a percent."""
    return int(percentile.args[2].value)


def portfolio(percentiles: Mapping[str, Expr]) -> Pack:
    """Return a pack about every account, whose results are what is compared, by name, and the groups."""
    parts = {str(e.value): e for p in percentiles.values() for e in p.args[:2]}
    results = tuple(Result(name, e.type, e, (), name, "") for name, e in sorted(parts.items()))
    return Pack("", 1, "", None, {}, {}, None, results, (), "", (), ())


# --- SQL --------------------------------------------------------------------------------------------------------------


def column(percentile: Expr) -> str:
    """Return the column that holds a percentile, in the link of its groups."""
    return f"p_{percentile.value}"


def link(group: str) -> str:
    """Return the name of the link with the percentiles of each group: `grp`, "" for accounts without one."""
    return f"percentiles_{group}"


def links(percentiles: Mapping[str, Expr], everybody: str, d: Dialect) -> dict[str, str]:
    """Return name -> SELECT of the links of a statement that hold percentiles. everybody: statement of `portfolio`."""
    found = {PORTFOLIO: everybody}
    for group in sorted({group_of(p) for p in percentiles.values()}):
        mine = [p for p in percentiles.values() if group_of(p) == group]
        each = " UNION ALL ".join(_of_base(base, group, mine, d) for base in sorted({base_of(p) for p in mine}))
        columns = (f"max(k.{column(p)}) AS {column(p)}" for p in mine)
        found[link(group)] = f"SELECT k.grp, {', '.join(columns)} FROM ({each}) k GROUP BY k.grp"
    return found


def _of_base(base: str, group: str, percentiles: Iterable[Expr], d: Dialect) -> str:
    """SELECT of the percentiles of one feature, NULL for the others. Windows over several features in one SELECT would
    have engines carry all the columns from one sort to the next."""
    columns = ", ".join(
        f"min(CASE WHEN v.nth * {WHOLE} >= v.many * {at_of(p)} THEN v.value END) AS {column(p)}"
        if base_of(p) == base
        else f"{d.null(p.type)} AS {column(p)}"
        for p in percentiles
    )
    grp = f"coalesce(o.o_{group}, '')"
    ranked = (
        f"SELECT {grp} AS grp, o.o_{base} AS value, row_number() OVER (PARTITION BY {grp} ORDER BY o.o_{base}) AS nth, "
        f"count(*) OVER (PARTITION BY {grp}) AS many FROM {PORTFOLIO} o WHERE o.o_{base} IS NOT NULL"
    )
    return f"SELECT v.grp, {columns} FROM ({ranked}) v GROUP BY v.grp"


def joins(formulas: Iterable[Expr]) -> str:
    """SQL that joins the percentiles in these formulas to the rows `b` of accounts."""
    groups = {group_of(e) for formula in formulas for e in formula.walk() if e.op == OP}
    return "".join(f" LEFT JOIN {link(g)} ON {link(g)}.grp = coalesce(b.a_{g}, '')" for g in sorted(groups))
