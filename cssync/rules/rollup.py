"""Scores of groups of companies: what the accounts below a parent are together (domain.md 5.8)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from cssync.metrics.fx import MissingRateError, Rates
from cssync.model import BANDS
from cssync.rules.freshness import Context
from cssync.rules.results import Stamp, forget, write_values
from cssync.rules.tree import Pack

OUTPUTS = ("rollup_score", "rollup_coverage", "rollup_worst_band")


@dataclass(frozen=True, slots=True)
class Member:
    """An account of a group. arr: minor units of one currency for all of the group, None when unknown."""

    uid: str
    arr: Fraction | None
    score: int | None
    band: str


@dataclass(frozen=True, slots=True)
class RollUp:
    """A group's score, not rounded; the share (0 to 1) of what it is weighed by that has one; the worst band and the
    account that is in it. why: why there is no score."""

    score: Fraction | None
    coverage: Fraction | None
    worst: str
    worst_uid: str = ""
    why: str = ""


def roll_up(how: str, members: Iterable[Member]) -> RollUp:
    """Return the score of a group. how: `arr_weighted`, where an account without ARR adds nothing, `simple_mean`, or
    `worst`, the lowest score."""
    found = list(members)
    weights = {m.uid: (m.arr or Fraction(0)) if how == "arr_weighted" else Fraction(1) for m in found}
    banded = [m for m in found if m.band != "unknown"]
    worst = max(banded, key=lambda m: (BANDS.index(m.band), -(m.score or 0)), default=None)
    band, uid = (worst.band, worst.uid) if worst else ("unknown", "")
    total = sum(weights.values())
    if not total:
        return RollUp(None, None, band, uid, "the ARR of no account below is known")
    scored = [(weights[m.uid], m.score) for m in found if m.score is not None and weights[m.uid]]
    known = sum((weight for weight, _ in scored), Fraction(0))
    if not known:
        return RollUp(None, Fraction(0), band, uid, "no account below has a score")
    mean = sum((weight * score for weight, score in scored), Fraction(0)) / known
    return RollUp(Fraction(min(s for _, s in scored)) if how == "worst" else mean, known / total, band, uid)


# --- families ---------------------------------------------------------------------------------------------------------


def circles(parents: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield each circle of parents once, from its smallest uid round to it again. parents: account -> its parent."""
    done: set[str] = set()
    for start in sorted(parents):
        path: list[str] = []
        at: str | None = start
        while at is not None and at not in done and at not in path:
            path.append(at)
            at = parents.get(at)
        if at is not None and at in path:
            ring = path[path.index(at) :]
            first = ring.index(min(ring))
            yield (*ring[first:], *ring[: first + 1])
        done.update(path)


def families(parents: Mapping[str, str], closed: set[str]) -> dict[str, list[str]]:
    """Return parent -> every account below it, at any depth. closed: members of circles, which are nobody's parent."""
    below: dict[str, list[str]] = {}
    for uid in sorted(parents):
        above = parents[uid]
        while above and above not in closed:
            below.setdefault(above, []).append(uid)
            above = parents.get(above, "")
    return below


# --- writing ----------------------------------------------------------------------------------------------------------


def write_rollups(
    conn: sqlite3.Connection,
    pack: Pack,
    c: Context,
    rates: Rates,
    stamp: Stamp,
    words: Mapping[str, str],
    over: str = "now",
    *,
    held: bool,
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Bring the roll-ups of every parent in the temporary table `over` up to date; returns name -> values that changed
    or are new, and each circle of parents as a path of names.

    held: a source of the scores is stale, so a group without a score keeps its last one.
    """
    how = (pack.score.roll_up if pack.score else None) or ""
    conn.execute("DROP TABLE IF EXISTS temp.related")
    conn.execute(
        "CREATE TEMP TABLE related AS SELECT parent_uid AS uid FROM account WHERE deleted_at IS NULL "
        "AND parent_uid IS NOT NULL UNION SELECT uid FROM account WHERE deleted_at IS NULL AND parent_uid IS NOT NULL"
    )
    rows = conn.execute(
        "SELECT a.uid, a.parent_uid, a.name FROM temp.related r JOIN account a ON a.uid = r.uid "
        "WHERE a.deleted_at IS NULL ORDER BY a.uid"
    ).fetchall()
    names = {r["uid"]: r["name"] or r["uid"] for r in rows}
    parents = {r["uid"]: r["parent_uid"] for r in rows if r["parent_uid"] in names}
    rings = list(circles(parents))
    closed = {uid for ring in rings for uid in ring}
    weight = "f_arr, c_arr" if how == "arr_weighted" else "NULL AS f_arr, NULL AS c_arr"
    judged = {
        r["uid"]: r
        for r in conn.execute(
            f"SELECT uid, score, band, {weight} FROM {over} WHERE uid IN (SELECT uid FROM temp.related)"
        )
    }
    found: dict[str, tuple[RollUp, int]] = {}
    for uid, below in families(parents, closed).items():
        if uid in judged:
            found[uid] = _family(how, [judged[b] for b in below if b in judged], judged[uid], c, rates)
    for ring in rings:
        path = " -> ".join(names[uid] for uid in ring)
        nothing = RollUp(None, None, "unknown", "", f"the parents run in a circle: {path}")
        found.update({uid: (nothing, 0) for uid in ring if uid in judged})
    counts = {}
    for output in OUTPUTS:
        name = f"{pack.name}.{output}"
        stored = f"SELECT account_uid, value FROM result WHERE name = ?{c.within('account_uid')}"
        before = {r[0]: r[1] for r in conn.execute(stored, (name,))}
        values = (
            _row(uid, _json(output, one), before.get(uid), _because(one, count, how, words, names), held=held)
            for uid, (one, count) in sorted(found.items())
        )
        counts[name] = write_values(conn, name, values, stamp)
        gone = sorted(before.keys() - found.keys())
        for uid in gone:
            forget(conn, "r.account_uid = ? AND r.name = ?", (uid, name), stamp.as_of)
    return counts, tuple(" -> ".join(names[uid] for uid in ring) for ring in rings)


def _family(how: str, below: list[sqlite3.Row], parent: sqlite3.Row, c: Context, rates: Rates) -> tuple[RollUp, int]:
    """The roll-up of a parent and how many accounts it is of; with ARR of its own the parent is one of them."""
    rows = [*below, parent] if how == "arr_weighted" and (parent["f_arr"] or 0) > 0 else below
    currency = next((r["c_arr"] for r in rows if r["f_arr"]), c.currency)
    try:
        members = [Member(r["uid"], _arr(r, str(currency), c, rates), r["score"], r["band"]) for r in rows]
    except MissingRateError as error:
        return RollUp(None, None, "unknown", "", str(error)), len(rows)
    return roll_up(how, members), len(rows)


def _arr(row: sqlite3.Row, currency: str, c: Context, rates: Rates) -> Fraction | None:
    """ARR in a currency, at the rate of the day."""
    if row["f_arr"] is None or row["f_arr"] <= 0:
        return None
    return Fraction(rates.convert(row["f_arr"], str(row["c_arr"]), currency, c.today))


def _json(output: str, one: RollUp) -> str:
    """Scores with at most two decimals, coverage in whole percent; halves up."""
    if output == "rollup_worst_band":
        return json.dumps(one.worst)
    value, scale = (one.score, 100) if output == "rollup_score" else (one.coverage, 100)
    if value is None:
        return "null"
    whole = (value * scale * 2 + 1) // 2
    return str(whole) if output == "rollup_coverage" else json.dumps(whole // 100 if whole % 100 == 0 else whole / 100)


def _row(uid: str, value: str, before: str | None, because: str, *, held: bool) -> tuple[str, str, str, str]:
    unknown = value in ("null", '"unknown"')
    if unknown and held and before not in (None, "null", '"unknown"'):
        return uid, str(before), "stale", because
    return uid, value, "unknown" if unknown else "ok", because


def _because(one: RollUp, count: int, how: str, words: Mapping[str, str], names: Mapping[str, str]) -> str:
    if one.why:
        return one.why
    band = words.get(one.worst, one.worst)
    return words[f"rollup_{how}"].format(count=count, name=names.get(one.worst_uid, ""), band=band)
