"""Read the demo's report out of the store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from cssync.rules import RuleSet
from cssync.sandbox.demo_report import AtRisk, Linked, Planned, Raised
from cssync.store import Store
from cssync.writeback import Plan, PlannedChange
from cssync.writeback.digest import PACK as DIGEST

AT_RISK = 8
"""Accounts on the screen."""


def linked(store: Store, titles: Mapping[str, str]) -> Linked:
    """Return how records were linked. `titles`: connection -> vendor's name."""
    methods = store.query(
        "SELECT method, count(*) AS n FROM account_link WHERE status = 'active' AND valid_to IS NULL "
        "GROUP BY method ORDER BY instr('explicit crm_native domain manual single unclear', method)"
    )
    records, accounts = store.query(
        "SELECT count(*), count(DISTINCT account_uid) FROM account_link WHERE status = 'active' AND valid_to IS NULL"
    )[0]
    suggestions = store.query(
        "SELECT l.connection, l.source_id, l.account_uid, s.name FROM account_link l JOIN account_source s "
        "USING (connection, source_id) WHERE l.status = 'suggested' AND l.valid_to IS NULL ORDER BY s.name"
    )
    suggested: tuple[tuple[str, str], ...] = ()
    if suggestions:
        one = suggestions[0]
        other = _spellings(store, one["account_uid"], titles)[:1]
        suggested = ((titles[one["connection"]], one["name"]), *other)
    return Linked(
        records,
        accounts,
        tuple((row["method"], row["n"]) for row in methods),
        len(suggestions),
        _example(store, titles),
        suggested,
    )


def _example(store: Store, titles: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the spellings of the account that is written in most ways, in Japanese and English if there is one."""
    rows = store.query(
        "SELECT l.account_uid AS uid FROM account_link l JOIN account_source s USING (connection, source_id) "
        "WHERE l.status = 'active' GROUP BY l.account_uid HAVING count(DISTINCT s.name) > 1 "
        "ORDER BY count(DISTINCT s.name) DESC, "
        "max(unicode(s.name) > 255) + max(unicode(s.name) BETWEEN 65 AND 90) DESC, l.account_uid LIMIT 1"
    )
    return _spellings(store, rows[0]["uid"], titles) if rows else ()


def _spellings(store: Store, uid: str, titles: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    rows = store.query(
        "SELECT l.connection, s.name FROM account_link l JOIN account_source s USING (connection, source_id) "
        "WHERE l.account_uid = ? AND l.status = 'active' AND s.deleted_at IS NULL",
        (uid,),
    )
    order = list(titles)
    ordered = sorted(rows, key=lambda row: (order.index(row["connection"]), row["name"]))
    return tuple((titles[row["connection"]], row["name"] or "") for row in ordered)


def bands(store: Store) -> dict[str, int]:
    """Return accounts per health band."""
    rows = store.query("SELECT value, count(*) AS n FROM result WHERE name = 'health.band' GROUP BY value")
    counts: dict[str, int] = {}
    for row in rows:
        band = json.loads(row["value"]) if row["value"] else None
        counts[band or "unknown"] = counts.get(band or "unknown", 0) + row["n"]
    return counts


def at_risk(store: Store) -> tuple[AtRisk, ...]:
    """Return accounts in the red, those whose next renewal comes soonest first."""
    rows = store.query(
        "SELECT a.uid, a.name, s.value AS score, d.value AS renewal, r.value AS reasons "
        "FROM result b JOIN account a ON a.uid = b.account_uid "
        "JOIN result s ON s.account_uid = a.uid AND s.name = 'health.score' "
        "LEFT JOIN result r ON r.account_uid = a.uid AND r.name = 'health.reasons' "
        "LEFT JOIN result d ON d.account_uid = a.uid AND d.name = 'renewal.date' "
        "WHERE b.name = 'health.band' AND b.value = '\"red\"' "
        "ORDER BY coalesce(d.value, 'null') = 'null', d.value, CAST(s.value AS REAL), a.uid LIMIT ?",
        (AT_RISK,),
    )
    return tuple(
        AtRisk(row["uid"], row["name"] or row["uid"], "red", _whole(row["score"]), _text(row["renewal"]) or None,
               _lost_points(_text(row["reasons"])))
        for row in rows
    )  # fmt: skip


def _whole(value: str | None) -> int | None:
    found = json.loads(value) if value else None
    return None if found is None else round(found)


def _lost_points(reasons: str) -> str:
    """Return where most points were lost, without what the table shows beside it: score, band, coverage and date."""
    told = re.sub(r"^\d+ \(\w+\)\. | (Left out for lack|Coverage) .*$", "", reasons)
    return " ".join(re.split(r" (?=-\d+\.\d )", told)[:2])


def _text(value: str | None) -> str:
    found = json.loads(value) if value else None
    return "; ".join(map(str, found)) if isinstance(found, list) else "" if found is None else str(found)


def tasks(store: Store) -> tuple[Raised, ...]:
    """Return the open tasks by rule, with the one that is due first."""
    rows = store.query(
        "SELECT t.rule, count(*) AS n, min(t.due_on || ' ' || t.key) AS first FROM task t WHERE t.status = 'open' "
        "GROUP BY t.rule ORDER BY t.rule"
    )
    found = []
    for row in rows:
        due, _, key = row["first"].partition(" ")
        title = store.query("SELECT title FROM task WHERE key = ?", (key,))[0]["title"]
        found.append(Raised(row["rule"], title, row["n"], example=f"due {due}"))
    return tuple(found)


def signals(store: Store, rules: RuleSet) -> tuple[Raised, ...]:
    """Return the signals that hold now, by name, each with its label in English, one account and why."""
    labels = {(pack.name, s.name): _words(s.label["en"].parts) for pack in rules.packs for s in pack.signals}
    rows = store.query(
        "SELECT s.pack, s.name, count(*) AS n, min(s.account_uid) AS uid FROM signal s WHERE s.until IS NULL "
        "GROUP BY s.pack, s.name ORDER BY s.name"
    )
    found = []
    for row in rows:
        one = store.query(
            "SELECT a.name, s.because FROM signal s LEFT JOIN account a ON a.uid = s.account_uid "
            "WHERE s.account_uid = ? AND s.pack = ? AND s.name = ? AND s.until IS NULL",
            (row["uid"], row["pack"], row["name"]),
        )[0]
        label = labels.get((row["pack"], row["name"]), row["pack"])
        found.append(Raised(row["name"], label, row["n"], one["name"] or "", one["because"] or ""))
    return tuple(found)


def _words(parts: tuple[object, ...]) -> str:
    """Return the fixed words of a text; a label has no others."""
    return "".join(part for part in parts if isinstance(part, str))


def planned(plan: Plan) -> Planned:
    """Return the plan in short: what it comes to, what held it, and a few of its changes, each of another account."""
    fields = [c for c in plan.changes if not c.is_task]
    tasks = [c for c in plan.changes if c.is_task]
    telling = sorted(fields, key=lambda c: (c.new != "red", c.result_name != "health.score", len(c.account)))
    picked: dict[str, PlannedChange] = {}
    for change in (*telling, *tasks):
        place = f"{change.connection} {change.is_task}"
        if place not in picked and change.account_uid not in {c.account_uid for c in picked.values()}:
            picked[place] = change
    later = sum(note.kind == "later" for note in plan.notes)
    lists = sum(c.result_name.startswith(f"{DIGEST}.") for c in tasks)
    examples = tuple(_shown(c) for c in picked.values())
    return Planned(len(fields), len(tasks) - lists, later, lists, plan.held_by, examples)


def _shown(change: PlannedChange) -> tuple[str, str, str, str]:
    if change.is_task:
        return change.account, f"{change.connection} task", str(change.new.get("subject", "")), change.because
    moved = f"{_value(change.old)} -> {_value(change.new)}"
    return change.account, f"{change.connection}.{change.field}", moved, change.because


def _value(value: object) -> str:
    return (
        "(empty)" if value in (None, "", []) else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    )
