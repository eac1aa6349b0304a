"""Touch tiers: how much of a person's time an account gets, from what its group of companies pays.

The tier by ARR is remembered: it moves only when ARR passes a limit by the margin, and at most once in a calendar
quarter of the business time zone. What a person set wins over it; onboarding lifts it by one. ARR of a group is that of
the ultimate parent and all below it, in the currency of the limits at today's rate; a member whose ARR is unknown adds
nothing, and a member whose currency has no rate makes the group's unknown. Unknown ARR never moves a tier. Source:
domain.md section 6.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta

from cssync.metrics.fx import MissingRateError, Rates
from cssync.model import CURRENCY_DECIMALS, decimals
from cssync.model.columns import TIERS
from cssync.rules.calendar import start_of_day
from cssync.rules.freshness import Context
from cssync.rules.nodes import Node
from cssync.rules.parts import PartReader
from cssync.rules.results import Stamp, write_values
from cssync.rules.tree import Expr, Pack, Tiers

TIER = "tier"
BY_ARR = "tier_by_arr"
OUTPUTS = (TIER, BY_ARR)
"""Results of a pack with `tiers:`: the tier in force, and the remembered one that it rests on."""
OF = "arr of the ultimate parent"
AT_MOST = "once per quarter"
KEYS = ("override", "of", "currency", "high", "low", "margin", "at_most", "onboarding", "since")
_LIFT = re.compile(r"(\d{1,4})d one tier up", re.ASCII)
_HIGHER = {"tech": "low", "low": "high", "high": "high"}


# --- reading ----------------------------------------------------------------------------------------------------------


def read_tiers(part: PartReader, node: Node | None) -> Tiers | None:
    """Read the `tiers:` block; faults are noted."""
    shape, faults = part.shape, part.faults
    block = shape.block(node, "`tiers`", KEYS, ("currency", "high", "low"))
    if block is None:
        return None
    shape.one_of(block.get("of"), "`of`", (OF,), OF)
    at_most = shape.one_of(block.get("at_most"), "`at_most`", (AT_MOST,), "")
    code = shape.scalar(block.get("currency"), "`currency`")
    if code is not None and not re.fullmatch(r"[A-Z]{3}", code.text, re.ASCII):
        faults.add(code.mark, "`currency` is an ISO 4217 code such as USD")
    high, low = (shape.whole(block.get(key), f"`{key}`", 1, 999_999_999) for key in ("high", "low"))
    if high is not None and low is not None and low >= high:
        faults.add(block.mark, "`low` lies below `high`")
    lift = shape.scalar(block.get("onboarding"), "`onboarding`")
    days = _LIFT.fullmatch(lift.text) if lift else None
    if lift is not None and days is None:
        faults.add(lift.mark, "`onboarding` is written `90d one tier up`")
    override = part.expr(block.get("override"), "`override`", "text")
    since = block.get("since")
    begun = part.expr(since, "`since`", "date") if since is not None else Expr("account", "date", value=SINCE)
    margin = shape.percent(block.get("margin"), "`margin`") or 0
    if code is None or high is None or low is None:
        return None
    unit = 10 ** decimals(code.text)
    return Tiers(
        override, code.text, high * unit, low * unit, margin, bool(at_most), int(days[1]) if days else 0, begun
    )


SINCE = "first_contract_date"
"""Column of account from which onboarding counts unless `since` says otherwise."""


# --- meaning ----------------------------------------------------------------------------------------------------------


def next_tier(tiers: Tiers, arr: int | None, former: str | None, *, moved: bool) -> str | None:
    """Return the tier by ARR (minor units of the limits' currency). former: the remembered one; moved: it moved in
    this quarter already. The reference of the SQL below."""
    if arr is None or (former is not None and moved and tiers.quarterly):
        return former
    for tier, limit in (("high", tiers.high), ("low", tiers.low)):
        above = former is None or TIERS.index(former) > TIERS.index(tier)
        percent = 100 if former is None else 100 + tiers.margin if above else 100 - tiers.margin
        if arr * 100 >= limit * percent + (0 if above else 1):
            return tier
    return "tech"


def in_force(by_arr: str | None, override: str | None, *, onboarding: bool) -> str | None:
    """Return the tier in force."""
    if override in TIERS:
        return override
    return _HIGHER[by_arr] if by_arr is not None and onboarding else by_arr


def _by_arr(tiers: Tiers) -> str:
    """SQL of `next_tier` over arr, former and moved."""

    def steps(high: str, low: str) -> str:
        return f"CASE WHEN {high} THEN 'high' WHEN {low} THEN 'low' ELSE 'tech' END"

    def up(limit: int) -> str:
        return f"arr * 100 >= {limit * (100 + tiers.margin)}"

    def down(limit: int) -> str:
        return f"arr * 100 > {limit * (100 - tiers.margin)}"

    still = "WHEN moved THEN former " if tiers.quarterly else ""
    return (
        "CASE WHEN arr IS NULL THEN former "
        f"WHEN former IS NULL THEN {steps(f'arr >= {tiers.high}', f'arr >= {tiers.low}')} {still}"
        f"WHEN former = 'high' THEN {steps(down(tiers.high), down(tiers.low))} "
        f"WHEN former = 'low' THEN {steps(up(tiers.high), down(tiers.low))} "
        f"ELSE {steps(up(tiers.high), up(tiers.low))} END"
    )


# --- writing ----------------------------------------------------------------------------------------------------------


def write_tiers(conn: sqlite3.Connection, pack: Pack, c: Context, rates: Rates, stamp: Stamp) -> dict[str, int]:
    """Bring the two results of a pack with `tiers:` and `account.touch_tier` up to date, over the temporary table
    `now`; returns name -> values that changed or are new. Accounts with a difference land in `touched`."""
    tiers = pack.tiers
    if tiers is None:
        return {}
    by_arr, tier = f"{pack.name}.{BY_ARR}", f"{pack.name}.{TIER}"
    day = c.today.isoformat()
    quarter = date(c.today.year, (c.today.month - 1) // 3 * 3 + 1, 1)
    first = start_of_day(quarter, c.zone).strftime("%Y-%m-%dT%H:%M:%SZ")
    newest = (c.today - timedelta(days=tiers.onboarding_days)).isoformat()
    lifted = "(tier_since > ?)" if tiers.onboarding_days else "(0 * length(?))"
    higher = " ".join(f"WHEN '{low}' THEN '{high}'" for low, high in _HIGHER.items())
    rows = conn.execute(
        f"""WITH RECURSIVE {_groups(tiers, rates, c.today)},
        known AS (SELECT n.uid, g.arr, n.tier_override, n.tier_since, b.value AS stored, t.value AS in_force,
            CASE WHEN b.value <> 'null' THEN substr(b.value, 2, length(b.value) - 2) END AS former,
            EXISTS (SELECT 1 FROM result_history h WHERE h.account_uid = n.uid AND h.name = ? AND h.value <> 'null'
                AND h.until >= ?) AS moved
            FROM now n LEFT JOIN grouped g ON g.uid = n.uid
            LEFT JOIN result b ON b.account_uid = n.uid AND b.name = ?
            LEFT JOIN result t ON t.account_uid = n.uid AND t.name = ?),
        told AS (SELECT k.*, {_by_arr(tiers)} AS by_arr, coalesce({lifted}, 0) AS lifted FROM known k),
        final AS (SELECT t.*, CASE WHEN tier_override IN ({", ".join(f"'{x}'" for x in TIERS)}) THEN tier_override
            WHEN lifted THEN CASE by_arr {higher} END ELSE by_arr END AS tier FROM told t)
        SELECT uid, arr, by_arr, tier, lifted, tier_override FROM final
        WHERE coalesce('"' || by_arr || '"', 'null') IS NOT stored
        OR coalesce('"' || tier || '"', 'null') IS NOT in_force ORDER BY uid""",
        (by_arr, first, by_arr, tier, newest),
    ).fetchall()
    bases = [(r["uid"], json.dumps(r["by_arr"]), "ok" if r["by_arr"] else "unknown", "") for r in rows]
    found = [(r["uid"], json.dumps(r["tier"]), "ok" if r["tier"] else "unknown", _why(r, tiers, day)) for r in rows]
    counts = {by_arr: write_values(conn, by_arr, bases, stamp), tier: write_values(conn, tier, found, stamp)}
    bare = "CASE WHEN r.value <> 'null' THEN substr(r.value, 2, length(r.value) - 2) END"
    conn.execute(
        f"UPDATE account SET touch_tier = {bare}, updated_at = max(coalesce(updated_at, ''), ?) FROM result r "
        f"WHERE r.account_uid = account.uid AND r.name = ? AND account.touch_tier IS NOT {bare}"
        f"{c.within('account.uid')}",
        (stamp.as_of, tier),
    )
    leave_to_people(conn, stamp.as_of, c.left("uid"))
    conn.executemany("INSERT OR IGNORE INTO touched VALUES (?)", [(r["uid"],) for r in rows])
    return counts


def leave_to_people(conn: sqlite3.Connection, as_of: str, where: str = "1 = 1") -> None:
    """Leave `account.touch_tier` to what people set, where no rules give accounts a tier. where: SQL, which ones."""
    conn.execute(
        "UPDATE account SET touch_tier = touch_tier_override, updated_at = max(coalesce(updated_at, ''), ?) "
        f"WHERE touch_tier IS NOT touch_tier_override AND {where}",
        (as_of,),
    )


def _groups(tiers: Tiers, rates: Rates, today: date) -> str:
    """SQL of `grouped` (uid, arr): ARR of the group each account belongs to, NULL where it is unknown. Accounts whose
    parents run in a circle are their own group."""
    cases = " ".join(f"WHEN '{code}' THEN {factor!r}" for code, factor in factors(rates, tiers.currency, today))
    value = f"CASE c_arr {cases} END" if cases else "NULL"
    nearest = f"CAST(f_arr * {value} + 0.5 AS INTEGER)"
    return f"""
        chain(uid, top) AS (
            SELECT n.uid, n.uid FROM now n LEFT JOIN now p ON p.uid = n.a_parent_uid WHERE p.uid IS NULL
            UNION SELECT n.uid, c.top FROM chain c JOIN now n ON n.a_parent_uid = c.uid),
        member AS (SELECT n.uid, coalesce(c.top, n.uid) AS top, n.f_arr IS NOT NULL AS priced, {nearest} AS arr
            FROM now n LEFT JOIN chain c ON c.uid = n.uid),
        whole AS (SELECT top, CASE WHEN sum(priced) = count(arr) THEN sum(arr) END AS arr FROM member GROUP BY top),
        grouped AS (SELECT m.uid, w.arr FROM member m JOIN whole w ON w.top = m.top)"""


def unrated(tiers: Tiers | None, rates: Rates, today: date) -> str:
    """Return why no account priced in the reporting currency can have a tier; "" when there is no such reason."""
    if tiers is None or any(code == rates.reporting for code, _ in factors(rates, tiers.currency, today)):
        return ""
    return f"no exchange rate from {rates.reporting} to {tiers.currency}, in which the limits of touch tiers are set"


def factors(rates: Rates, target: str, today: date) -> Iterator[tuple[str, float]]:
    """Minor units of `target` for one minor unit of each currency that has a rate today."""
    codes = {target, rates.reporting, *CURRENCY_DECIMALS, *(code for pair in rates.series for code in pair)}
    for code in sorted(codes):
        try:
            yield code, float(rates.convert(1, code, target, today))
        except MissingRateError:
            continue


def _why(row: sqlite3.Row, tiers: Tiers, day: str) -> str:
    if row["tier_override"] in TIERS:
        return f"set by a person: {row['tier_override']}"
    if row["tier"] is None:
        return "ARR of the group of companies is unknown, or there is no exchange rate for it"
    paid = "unknown" if row["arr"] is None else f"{row['arr'] // 10 ** decimals(tiers.currency):,} {tiers.currency}"
    lifted = f"; one tier up in its first {tiers.onboarding_days} days" if row["lifted"] else ""
    return f"ARR of the group of companies on {day}: {paid}{lifted}"


__all__ = [
    "BY_ARR",
    "OUTPUTS",
    "TIER",
    "in_force",
    "leave_to_people",
    "next_tier",
    "read_tiers",
    "unrated",
    "write_tiers",
]
