"""Where each account's score stood on each day: the tables `score_state` and `score_day`."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from cssync.rules.freshness import Context
from cssync.rules.memory import FIRST_DAY, Memory
from cssync.rules.tree import Expr, Feature, Model, Pack, Score, closure, measure_exprs, measure_names
from cssync.rules.winsorise import asked

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

_STATE: Mapping[str, str] = {
    "model": "n.model",
    "score": "n.score",
    "band": "n.n_band",
    "yellow_days": "n.n_yellow_days",
    "green_days": "n.n_green_days",
    "caps": "n.n_caps",
}


def write_state(conn: sqlite3.Connection, pack: Pack, c: Context, as_of: str) -> None:
    """Bring `score_state` up to date with the temporary table `now`; a second evaluation of a day replaces the first.

    An account's row ends where it differs today, or where the pack no longer looks at it.
    """
    override = pack.score.override if pack.score else None
    columns = {
        **_STATE,
        "override_band": f"n.a_{override.band}" if override else "NULL",
        "override_until": f"CASE WHEN n.n_override_since IS NOT NULL THEN n.a_{override.until} END"
        if override
        else "NULL",
        "override_since": "n.n_override_since" if override else "NULL",
    }
    names, put = ", ".join(columns), ", ".join(f"{name} = excluded.{name}" for name in columns)
    day, here = {"pack": pack.name, "day": c.today.isoformat(), "as_of": as_of}, c.within("account_uid")
    conn.execute("DROP TABLE IF EXISTS temp.state")
    conn.execute(
        "CREATE TEMP TABLE state AS SELECT n.uid AS uid, s.since AS former, "
        f"s.account_uid IS NULL OR {_differs('s', columns)} AS moved, "
        f"{', '.join(f'{value} AS {name}' for name, value in columns.items())} FROM now n "
        "LEFT JOIN score_state s ON s.account_uid = n.uid AND s.pack = :pack AND s.since < :day "
        "AND (s.until IS NULL OR s.until >= :day)",
        day,
    )
    conn.execute("CREATE UNIQUE INDEX temp.state_uid ON state (uid)")
    # what an earlier evaluation of this day wrote and this one does not
    conn.execute(
        "DELETE FROM score_state WHERE pack = :pack AND since = :day "
        f"AND account_uid NOT IN (SELECT uid FROM state WHERE moved){here}",
        day,
    )
    conn.execute(
        "UPDATE score_state SET until = NULL WHERE pack = :pack AND until = :day "
        "AND account_uid IN (SELECT uid FROM state WHERE NOT moved)",
        day,
    )
    conn.execute(
        "UPDATE score_state SET until = :day WHERE pack = :pack AND until IS NULL AND since < :day "
        f"AND account_uid NOT IN (SELECT uid FROM state WHERE NOT moved){here}",
        day,
    )
    conn.execute(
        f"INSERT INTO score_state (account_uid, pack, since, {names}, as_of) "
        f"SELECT uid, :pack, :day, {names}, :as_of FROM state n WHERE moved "
        f"ON CONFLICT (account_uid, pack, since) DO UPDATE SET {put}, as_of = excluded.as_of "
        f"WHERE {_differs('excluded', {name: f'score_state.{name}' for name in columns})}",
        day,
    )


def _differs(alias: str, columns: Mapping[str, str]) -> str:
    return " OR ".join(f"{alias}.{name} IS NOT {value}" for name, value in columns.items())


def read_memory(store: Store, pack: str, account_uid: str, today: date) -> Memory:
    """Return where an account stood before a day; held measures are not in it."""
    rows = store.query(
        "SELECT * FROM score_state WHERE account_uid = ? AND pack = ? AND since < ? AND (until IS NULL OR until >= ?)",
        (account_uid, pack, today.isoformat(), today.isoformat()),
    )
    if not rows:
        return FIRST_DAY
    row = rows[0]

    def day(text: str | None) -> date | None:
        return date.fromisoformat(text) if text else None

    return Memory(
        row["band"],
        row["yellow_days"],
        row["green_days"],
        row["override_band"],
        day(row["override_until"]),
        day(row["override_since"]),
        caps=row["caps"],
    )


# --- versions ---------------------------------------------------------------------------------------------------------


def _leaning_on(score: Score, model: Model, features: Mapping[str, Feature]) -> list[str]:
    """Features and facts below the weighed measures and the caps, sorted."""
    names = {n for m in score.measures if model.weights[m.name] for n in measure_names(m)}
    names |= {n for c in score.caps for n in c.when.names("feature")}
    return sorted(closure(names, features))


def inputs_of(score: Score, model: Model, features: Mapping[str, Feature]) -> dict[str, str]:
    """Return feature or fact -> hash of its definition ("" for a fact), of all that scores under a model rest on and
    that cannot be computed from others."""
    found = {}
    names = _leaning_on(score, model, features)
    cut = asked(names, features)
    for name in names:
        definition = features[name].definition if name in features else None
        if name in cut:  # the values of others that it rests on are not kept: its own is
            behind = sorted(closure([name], features) & features.keys())
            found[name] = _hash([features[n].definition for n in behind])
        elif not isinstance(definition, Expr):
            found[name] = _hash(definition) if definition else ""
    return found


def beside_features(score: Score, features: Mapping[str, Feature]) -> list[Expr]:
    """Return references to the columns of account and the results of other packs that scores rest on, by name."""
    exprs = [*(e for m in score.measures for e in measure_exprs(m)), *(c.when for c in score.caps)]
    for model in score.models:
        below = (features[n].definition for n in _leaning_on(score, model, features) if n in features)
        exprs.extend(d for d in below if isinstance(d, Expr))
    found = {e.value: e for whole in exprs for e in whole.walk() if e.op in ("account", "result")}
    return [found[name] for name in sorted(found)]


def version_of(score: Score, model: Model, features: Mapping[str, Feature]) -> str:
    """Return a hash of all that decides scores under a model: weighed measures, caps, coverage, the features below.

    Texts, bands, and whom the model is for do not: they say nothing about a customer that the score did not.
    """
    weighed = [m for m in score.measures if model.weights[m.name]]
    parts = [(m.name, model.weights[m.name], m.rule, m.missing, m.hold, m.applies) for m in weighed]
    used = [(n, features[n].definition) for n in _leaning_on(score, model, features) if n in features]
    return _hash((model.name, model.coverage, parts, [(c.at_most, c.when) for c in score.caps], used))


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def write_day(conn: sqlite3.Connection, pack: Pack, features: Mapping[str, Feature], today: date, as_of: str) -> None:
    """Record which versions judge the accounts today."""
    score = pack.score
    models = score.models if score else ()
    day = today.isoformat()
    names = ", ".join("?" * len(models))
    conn.execute(
        f"DELETE FROM score_day WHERE pack = ? AND day = ? AND model NOT IN ({names})",
        (pack.name, day, *(m.name for m in models)),
    )
    conn.executemany(
        "INSERT INTO score_day (pack, day, model, as_of, version, inputs) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET as_of = excluded.as_of, version = excluded.version, inputs = excluded.inputs",
        [
            (pack.name, day, m.name, as_of, version_of(score, m, features), json.dumps(inputs_of(score, m, features)))
            for m in models
            if score
        ],
    )
