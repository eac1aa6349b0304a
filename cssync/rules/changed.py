"""Which accounts an evaluation has to look at: between two runs of a business day, those of which something changed.

Triggers of the store note the account of every row that comes to it, changes, moves or is removed in `changed_account`,
and `*` for a row that concerns all. What depends on other accounts or on the hour is added here. All else that a result
depends on (day, packs, state of each source, incomplete days, calendar, language) is in the `basis`: where it differs
from that of the last evaluation, every account is looked at.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from cssync import __version__
from cssync.config import Workspace
from cssync.metrics.fx import load_rates
from cssync.rules.catalogue import FACTS, SOURCES
from cssync.rules.dialect import SQLITE
from cssync.rules.facts import OF_ALL, TIMED
from cssync.rules.freshness import Context, parse_instant
from cssync.rules.prepared import Prepared
from cssync.rules.tiers import factors
from cssync.rules.tree import Aggregate, Past, RuleSet, closure, used_names
from cssync.rules.winsorise import asked

EVERYBODY = "*"
LOOKED_AT = "looked_at"
"""Temporary table (uid) with the accounts to look at, where those are not all."""
BASIS = "evaluation.basis"
LAST = "evaluation.as_of"
PORTFOLIO = ("peers",)
"""Groups of facts that look at other accounts, too: an account counts as changed when its row of them did."""


def basis(rules: RuleSet, contexts: Mapping[str, Context], workspace: Workspace, prepared: Prepared) -> str:
    """Return a digest of everything results depend on beside the rows and the hour. prepared: what runs where only
    some accounts are looked at; of all of them it is the same."""
    parts: list[str] = [__version__, str(workspace.locale), repr(sorted(workspace.closures)), str(workspace.holidays)]
    parts += map(_without_instants, prepared.sql())
    for pack in rules.packs:
        c = contexts[pack.name]
        parts += [str(c.today), c.zone.key, pack.hash]
        if pack.tiers is not None:
            parts.append(repr(list(factors(load_rates(workspace), pack.tiers.currency, c.today))))
        if pack.score is not None and pack.score.roll_up is not None:
            parts.append(repr(list(factors(load_rates(workspace), workspace.currency, c.today))))
        parts.append(repr((sorted(c.doubtful), sorted(c.stopped))))
        for entity, fresh in sorted(c.fresh.items()):
            since = fresh.as_of.isoformat() if fresh.state == "stale" and fresh.as_of else ""
            parts.append(f"{entity} {fresh.state} {c.held(entity)} {since}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def of_all(conn: sqlite3.Connection, rules: RuleSet) -> str:
    """Return what facts say of every account alike: as much a part of the basis."""
    used = _groups(rules)
    return "".join(f" {group} {conn.execute(f'SELECT {sql}').fetchone()[0]}" for group, sql in OF_ALL.items()
                   if group in used)  # fmt: skip


def portfolio(prepared: Prepared) -> dict[str, str]:
    """Return the tables of facts that `gather` and `settle` read: they look at other accounts, too."""
    return {name: sql for group in PORTFOLIO if (sql := prepared.tables.get(name := f"fact_{group}"))}


def _without_instants(sql: str) -> str:
    """A statement without the literals that move with the hour; `_passing` finds the rows that they let in."""
    return re.sub(r"'\d{4}-\d\d-\d\dT[0-9:]{8}Z?'", "?", sql)


def gather(conn: sqlite3.Connection, rules: RuleSet, contexts: Mapping[str, Context], now: str) -> bool:
    """Fill the temporary table `looked_at` with the accounts to look at; False when that is every account, as in a
    private copy of the past, where nothing is noted.

    now: the `basis` of this evaluation.
    """
    known = _known(conn, rules, now)
    if known is None:
        return False
    nobody(conn)
    conn.execute(f"INSERT INTO {LOOKED_AT} SELECT account_uid FROM changed_account")
    for past in _pasts(rules):
        if past.ago is None:  # what the last evaluation changed is the past of this one; a value held no more, too
            moved = f"INSERT OR IGNORE INTO {LOOKED_AT} SELECT account_uid FROM result WHERE name = ? AND as_of = ?"
            conn.execute(moved, (past.result, known))
    since = parse_instant(known)
    for context in list(contexts.values())[:1]:
        for sql in _passing(rules, since, context):
            conn.execute(f"INSERT OR IGNORE INTO {LOOKED_AT} {sql}")
    for group in _portfolio(conn):
        conn.execute(f"INSERT OR IGNORE INTO {LOOKED_AT} SELECT account_uid FROM ({_differing(group)})")
    conn.execute(f"INSERT OR IGNORE INTO {LOOKED_AT} {_CLOSED_BY_PEOPLE}")
    while conn.execute(_RELATED).rowcount > 0:
        pass
    return True


def nobody(conn: sqlite3.Connection) -> None:
    """Have the temporary table `looked_at` name no account."""
    conn.execute(f"DROP TABLE IF EXISTS temp.{LOOKED_AT}")
    conn.execute(f"CREATE TEMP TABLE {LOOKED_AT} (uid TEXT PRIMARY KEY) WITHOUT ROWID")


def nothing_new(conn: sqlite3.Connection, rules: RuleSet, now: str, as_of: str) -> bool:
    """Whether nothing at all changed since the last evaluation, which was of this very instant. now: the `basis` of
    this evaluation."""
    news = f"SELECT account_uid FROM changed_account UNION ALL {_CLOSED_BY_PEOPLE}"
    return _known(conn, rules, now) == as_of and not conn.execute(news).fetchone()


def _known(conn: sqlite3.Connection, rules: RuleSet, now: str) -> str | None:
    """As-of of the last evaluation, where it is known which accounts changed since then and that all else did not."""
    known = dict(conn.execute("SELECT name, value FROM setting WHERE name IN (?, ?)", (BASIS, LAST)).fetchall())
    everybody = conn.execute("SELECT 1 FROM changed_account WHERE account_uid = ?", (EVERYBODY,)).fetchone()
    tells = known.get(BASIS) == now and not everybody and is_noted(conn) and _can_tell(rules)
    return known[LAST] if tells else None


def settle(conn: sqlite3.Connection, now: str, as_of: str) -> None:
    """Note that everything is evaluated up to `as_of`."""
    conn.execute(f"DROP TABLE IF EXISTS temp.{LOOKED_AT}")
    conn.execute("DELETE FROM changed_account")
    for group in _portfolio(conn):
        conn.execute(
            "INSERT INTO portfolio_fact (account_uid, fact_group, value) SELECT account_uid, ?, value FROM "
            f"({_differing(group)}) WHERE true ON CONFLICT DO UPDATE SET value = excluded.value",
            (group,),
        )
    _put(conn, {BASIS: now, LAST: as_of})


def is_noted(conn: sqlite3.Connection) -> bool:
    """Whether the triggers are there."""
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = 'account_changed_update'"
    return conn.execute(sql).fetchone() is not None


def _put(conn: sqlite3.Connection, values: Mapping[str, str]) -> None:
    conn.executemany(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        values.items(),
    )


_CLOSED_BY_PEOPLE = (
    "SELECT account_uid FROM task WHERE status = 'open' AND key IN "
    "(SELECT task_key FROM crm_task WHERE status = 'done' AND deleted_at IS NULL)"
)
_RELATED = f"""INSERT OR IGNORE INTO {LOOKED_AT}
    SELECT k.account_uid FROM {LOOKED_AT} d CROSS JOIN contract_line l ON l.account_uid = d.uid
        CROSS JOIN contract k ON k.connection = l.connection AND k.source_id = l.contract_source_id
        WHERE k.account_uid <> d.uid
    UNION SELECT l.account_uid FROM {LOOKED_AT} d CROSS JOIN contract k ON k.account_uid = d.uid
        CROSS JOIN contract_line l ON l.contract_source_id = k.source_id AND l.connection = k.connection
        WHERE l.account_uid <> d.uid
    UNION SELECT a.parent_uid FROM {LOOKED_AT} d CROSS JOIN account a ON a.uid = d.uid WHERE a.parent_uid IS NOT NULL
    UNION SELECT a.uid FROM account a JOIN {LOOKED_AT} d ON d.uid = a.parent_uid"""
"""One step from the accounts looked at to those that share a contract or a parent with them."""


def _can_tell(rules: RuleSet) -> bool:
    """Whether every age in hours is counted from a column of the row itself, as a borrowed one may move unnoticed, and
    no feature is winsorised: any account's value may then move any other's."""
    return not asked(rules.features, rules.features) and not any(
        isinstance(a := f.definition, Aggregate) and a.older_hours is not None
        and SOURCES[a.source].at in SOURCES[a.source].borrows for f in rules.features.values()
    )  # fmt: skip


def _passing(rules: RuleSet, since: datetime, c: Context) -> Iterator[str]:
    """SELECTs of accounts with a row that came of age between two evaluations, or has a past that did."""

    def between(column: str, hours: float) -> str:
        low, high = (
            (at - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S")
            for at in (since, c.as_of + timedelta(seconds=1))
        )
        return f"{column} >= {SQLITE.text(low)} AND {column} < {SQLITE.text(high)}"

    ages: dict[str, set[float]] = {}
    for f in rules.features.values():
        if isinstance(a := f.definition, Aggregate) and a.older_hours is not None:
            ages.setdefault(a.source, set()).add(a.older_hours)
    for source, hours in sorted(ages.items()):
        table = SOURCES[source]
        came = " OR ".join(f"{between(table.at, h)}" for h in sorted(hours))
        yield f"SELECT account_uid FROM {table.entity} WHERE ({came}) AND account_uid IS NOT NULL"
    timed: dict[str, set[str]] = {}
    for entity, column in (of for group in _groups(rules) for of in TIMED.get(group, ())):
        timed.setdefault(entity, set()).add(between(column, 0))
    for entity, came_true in sorted(timed.items()):
        yield f"SELECT account_uid FROM {entity} WHERE ({' OR '.join(sorted(came_true))}) AND account_uid IS NOT NULL"
    for name, days in sorted({(p.result, p.ago) for p in _pasts(rules) if p.ago is not None}):
        for kept, column in (("result", "since"), ("result_history", "since"), ("result_history", "until")):
            yield f"SELECT account_uid FROM {kept} WHERE name = {SQLITE.text(name)} AND {between(column, 24 * days)}"


def _pasts(rules: RuleSet) -> list[Past]:
    return [f.definition for f in rules.features.values() if isinstance(f.definition, Past)]


def _groups(rules: RuleSet) -> set[str]:
    used = {n for p in rules.packs for n in closure(used_names(p), rules.features)}
    return {FACTS[n].group for n in used if n in FACTS}


def _portfolio(conn: sqlite3.Connection) -> list[str]:
    """Groups of `PORTFOLIO` of which the table stands ready: some pack uses it, and its source is fresh."""
    found = {row[0] for row in conn.execute("SELECT name FROM temp.sqlite_master WHERE type = 'table'")}
    return [group for group in PORTFOLIO if f"fact_{group}" in found]


def _differing(group: str) -> str:
    """SELECT of account_uid and value of the rows of a group that are not those of the last evaluation."""
    names = sorted(n for n in FACTS if FACTS[n].group == group)
    value = f"json_array({', '.join(f'f.{n}' for n in names)})"
    here, mine = f"temp.fact_{group}", f"b.fact_group = {SQLITE.text(group)}"
    return (  # a FULL JOIN would read all former rows for each row
        f"SELECT f.account_uid AS account_uid, {value} AS value FROM {here} f "
        f"LEFT JOIN portfolio_fact b ON b.account_uid = f.account_uid AND {mine} WHERE {value} IS NOT b.value "
        f"UNION ALL SELECT b.account_uid, NULL FROM portfolio_fact b WHERE {mine} AND b.value IS NOT NULL "
        f"AND b.account_uid NOT IN (SELECT account_uid FROM {here})"
    )
