"""What the features of each account were, and why absent ones are: a row of `feature_row` each time that changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from cssync.rules.calendar import local_date
from cssync.rules.compiler import Statement
from cssync.rules.dialect import SQLITE
from cssync.rules.freshness import AGED, Context
from cssync.rules.grounds import entities_of, measure_entities
from cssync.rules.tree import Feature, Pack


def write_feature_rows(
    conn: sqlite3.Connection, pack: Pack, features: Mapping[str, Feature], statement: Statement, c: Context, as_of: str
) -> int:
    """Add a feature row for each account of the temporary table `now` whose features, measures or rules changed, and
    note it in `touched`; returns how many."""
    measures = pack.score.measures if pack.score else ()
    pairs = [
        (name, SQLITE.json_bool(f"n.f_{name}") if kind == "bool" else f"n.f_{name}")
        for name, kind in statement.features.items()
    ]
    pairs += [(f"measure.{m.name}", f"n.m_{m.name}") for m in measures]
    conn.execute(
        "CREATE TEMP TABLE changed AS SELECT * FROM (SELECT n.uid AS uid, "
        f"{SQLITE.json_object(pairs)} AS features, {states(pack, features, statement, c)} AS states, "
        "f.features AS former, f.states AS former_states, f.pack_hash AS former_hash "
        "FROM now n LEFT JOIN feature_row f ON f.account_uid = n.uid AND f.pack = ? AND f.as_of = "
        "(SELECT max(g.as_of) FROM feature_row g WHERE g.account_uid = n.uid AND g.pack = ?)) "
        "WHERE features IS NOT former OR states IS NOT former_states OR former_hash IS NOT ?",
        (pack.name, pack.name, pack.hash),
    )
    count = conn.execute(
        "INSERT INTO feature_row (account_uid, pack, as_of, pack_hash, features, states) "
        "SELECT uid, ?, ?, ?, features, states FROM temp.changed WHERE true ON CONFLICT DO UPDATE SET "
        "pack_hash = excluded.pack_hash, features = excluded.features, states = excluded.states",
        (pack.name, as_of, pack.hash),
    ).rowcount
    conn.execute("INSERT OR IGNORE INTO touched SELECT uid FROM temp.changed")
    return count


def states(pack: Pack, features: Mapping[str, Feature], statement: Statement, c: Context) -> str:
    """SQL of a JSON object that says why each absent feature is absent, over `n`."""
    parts = []
    for name in statement.features:
        text = SQLITE.text(f',"{name}":"{absent_because(name, features, c)}"')
        parts.append(f"CASE WHEN n.f_{name} IS NULL THEN {text} ELSE '' END")
    held = {m: _held(m, pack, features, c) for m in statement.held}
    parts += [f"iif(n.q_{m} = 1, ',\"measure.{m}\":\"held: {why}\"', '')" for m, why in held.items()]
    return f"'{{' || substr({' || '.join(parts)}, 2) || '}}'" if parts else "'{}'"


def _held(measure: str, pack: Pack, features: Mapping[str, Feature], c: Context) -> str:
    """Why a measure keeps its last value."""
    measures = pack.score.measures if pack.score else ()
    entities = sorted(e for m in measures if m.name == measure for e in measure_entities(m, features))
    return "; ".join(why_stale(e, c) for e in entities if c.state(e) == "stale")


def absent_because(name: str, features: Mapping[str, Feature], c: Context) -> str:
    """Return why a feature without a value has none."""
    entities = sorted(entities_of([name], features))
    stale = [e for e in entities if c.state(e) == "stale"]
    if stale:
        return f"stale: {why_stale(stale[0], c)}"
    unconnected = [e for e in entities if c.state(e) == "missing"]
    return f"missing: no source for {unconnected[0].partition(AGED)[0]}" if unconnected else "missing: no data"


def why_stale(entity: str, c: Context) -> str:
    """Say since when an entity is stale."""
    found = c.freshness(entity)
    since = found.as_of if found else None
    return f"{entity.partition(AGED)[0]} was last complete on {local_date(since, c.zone) if since else 'no day'}"
