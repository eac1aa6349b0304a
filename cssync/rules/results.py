"""What a pack puts out, as JSON text in SQL, and the set-based diff against `result`.

Over the temporary table `now` (one row per account, the columns of the compiler). A value that is unknown because its
source is stale keeps the last one, marked `stale`, for as long as `freshness.HOLD_DAYS`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cssync.model import CURRENCY_DECIMALS
from cssync.rules.catalogue import OUTPUTS
from cssync.rules.compiler import results_behind
from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context
from cssync.rules.grounds import entities_of, is_held, measure_entities
from cssync.rules.stopping import resting_on_stopped
from cssync.rules.tree import Expr, Feature, Measure, Pack, Score, Type, rule_exprs


@dataclass(frozen=True, slots=True)
class Output:
    """One named output. value: its JSON text in SQL over `n`, never NULL. unknown: SQL condition that it is not
    known. held: SQL condition under which an unknown value keeps the last one."""

    name: str
    value: str
    unknown: str
    held: str = "1 = 0"
    because: str = ""


SCORED: Mapping[str, str] = {
    "score": "n.score IS NULL",
    "band": "n.band = 'unknown'",
    "computed_band": "n.computed_band = 'unknown'",
    "coverage": "n.score IS NULL",
}
"""Outputs of every score that are columns of the statement, and the condition that they are not known."""


def json_of(column: str, kind: Type, currency: str, d: Dialect) -> str:
    """SQL of a column's JSON text; money in major units of its currency."""
    if kind == "money":
        text = _major(column, currency)
    elif kind in ("text", "date"):
        quoted = f"replace(replace({column}, '\\', '\\\\'), '\"', '\\\"')"
        text = f"'\"' || {quoted} || '\"'"
    elif kind == "bool":
        text = f"CASE WHEN {column} THEN 'true' ELSE 'false' END"
    else:
        text = f"CAST({column} AS TEXT)"
    return f"CASE WHEN {column} IS NULL THEN 'null' ELSE {text} END"


def _major(column: str, currency: str) -> str:
    """Minor units as decimal text without trailing zeros: 12000 or 12000.5; whole-number arithmetic only."""

    def scaled(places: int) -> str:
        unit = 10**places
        rest = f"rtrim(substr('000' || abs({column} % {unit}), -{places}), '0')"
        sign = f"CASE WHEN {column} < 0 AND {column} > -{unit} THEN '-' ELSE '' END"
        return f"{sign} || ({column} / {unit}) || CASE WHEN {column} % {unit} = 0 THEN '' ELSE '.' || {rest} END"

    none, three = (_listed(places) for places in (0, 3))
    return (
        f"CASE WHEN {currency} IN ({none}) THEN CAST({column} AS TEXT) "
        f"WHEN {currency} IN ({three}) THEN {scaled(3)} ELSE {scaled(2)} END"
    )


def _listed(places: int) -> str:
    return ", ".join(f"'{code}'" for code, digits in sorted(CURRENCY_DECIMALS.items()) if digits == places)


def score_entities(score: Score, features: Mapping[str, Feature]) -> set[str]:
    """Entities the measures of a score rest on; not those of its caps."""
    return {entity for m in score.measures for entity in measure_entities(m, features)}


def outputs(pack: Pack, features: Mapping[str, Feature], c: Context, d: Dialect) -> list[Output]:
    """Return the outputs that SQL can say: all but texts and the date of the data."""
    found: list[Output] = []
    if pack.score:
        stale = {e for e in score_entities(pack.score, features) if c.state(e) == "stale"}
        held = "1 = 1" if any(c.held(e) for e in stale) else "1 = 0"
        found.extend(
            Output(name, json_of(f"n.{name}", OUTPUTS[name][0], "", d), unknown, held)
            for name, unknown in SCORED.items()
        )
        if pack.score.trend:
            label, points = (f"(SELECT t.{c} FROM trends t WHERE t.uid = n.uid)" for c in ("trend", "points"))
            none = f"coalesce({label}, 'unknown') = 'unknown'"
            found.append(Output("trend", f"'\"' || coalesce({label}, 'unknown') || '\"'", none, held))
            found.append(Output("trend_points", f"coalesce({points}, 'null')", none, held))
        found.append(Output("model", json_of("n.model", "text", "", d), "1 = 0"))
        found.append(Output("data_status", data_status(pack.score, features, c, d), "1 = 0"))
    for result in pack.results:
        names = {n for e in rule_exprs(result.rule) for n in e.names("feature")}
        held = (
            "1 = 1"
            if any(c.held(e) for e in entities_of(names, features))
            else stale_results(rule_exprs(result.rule), pack, features)
        )
        column, money = (f"n.ot_{result.name}", f"n.otc_{result.name}") if result.summed else (
            f"n.o_{result.name}", f"n.oc_{result.name}")  # fmt: skip
        value = json_of(column, result.type, money, d)
        found.append(Output(result.name, value, f"{column} IS NULL", held, result.describe))
    if pack.signals:
        found.append(_signal_list(pack))
    return found


def stale_results(exprs: Iterable[Expr], pack: Pack, features: Mapping[str, Feature]) -> str:
    """SQL condition over `n` that some other pack's result which these read is held: a source of it is stale."""
    read = results_behind(exprs, features)
    names = ", ".join(f"'{name}'" for name in sorted(read) if name.partition(".")[0] != pack.name)
    held = f"SELECT 1 FROM result h WHERE h.account_uid = n.uid AND h.name IN ({names}) AND h.state = 'stale'"
    return f"EXISTS ({held})" if names else "1 = 0"


def data_status(score: Score, features: Mapping[str, Feature], c: Context, d: Dialect) -> str:
    """`stale`: no score because of a stale source; `partial`: a measure is missing or held for that reason, or rests on
    rows of which too many have no account, or on a field that stopped in the account's source; else `ok`.

    Measures without weight under the account's model do not count.
    """
    late = [m for m in score.measures if any(c.state(e) == "stale" for e in measure_entities(m, features))]
    unsure = resting_on_stopped(score, features, c, d)
    unsure |= {m.name: "1 = 1" for m in score.measures if measure_entities(m, features) & c.doubtful}
    if not late and not unsure:
        return "'\"ok\"'"
    weighed = {m.name: _weighed(m, score, d) for m in score.measures}
    absent = " OR ".join(f"(n.m_{m.name} IS NULL AND n.x_{m.name} = 1 AND {weighed[m.name]})" for m in late) or "1 = 0"
    low = " OR ".join(f"(n.m_{m} IS NOT NULL AND {weighed[m]} AND {of})" for m, of in unsure.items()) or "1 = 0"
    kept = " OR ".join(f"(n.q_{m.name} = 1 AND {weighed[m.name]})" for m in late if is_held(m, features, c)) or "1 = 0"
    partial = f"{absent} OR {kept} OR {low}"
    return (
        f"""CASE WHEN n.score IS NULL AND ({absent}) THEN '"stale"' WHEN {partial} THEN '"partial"' ELSE '"ok"' END"""
    )


def _weighed(m: Measure, score: Score, d: Dialect) -> str:
    """Condition that a measure has weight under the account's model."""
    models = [model.name for model in score.models if model.weights[m.name]]
    return f"n.model IN ({', '.join(map(d.text, models))})" if models else "1 = 0"


def _signal_list(pack: Pack) -> Output:
    open_one = (
        "SELECT 1 FROM signal s WHERE s.account_uid = n.uid AND s.pack = '{}' AND s.name = '{}' AND s.until IS NULL"
    )
    names = sorted((s.name, f"n.s_{i}") for i, s in enumerate(pack.signals))
    parts = [f"CASE WHEN EXISTS ({open_one.format(pack.name, s)}) THEN ',\"{s}\"' ELSE '' END" for s, _ in names]
    listed = f"'[' || substr({' || '.join(parts)}, 2) || ']'"
    unknown = " AND ".join(f"{column} IS NULL" for _, column in names)
    empty = f"{unknown} AND {listed} = '[]'"
    return Output(pack.signal_list, f"CASE WHEN {empty} THEN 'null' ELSE {listed} END", empty)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every written row carries."""

    as_of: str
    pack_hash: str
    run_id: str


def write_outputs(conn: sqlite3.Connection, pack: Pack, found: Iterable[Output], stamp: Stamp) -> dict[str, int]:
    """Bring `result` up to date; accounts with any difference land in the temporary table `touched`. Returns name ->
    rows whose value changed or is new.

    Account by account, and not output by output: what is known of an account lies together.
    """
    outputs = list(found)
    if not outputs:
        return {}
    values, states = [], []
    for n, output in enumerate(outputs):
        keep = f"({output.held}) AND ({output.unknown}) AND coalesce(r.value, 'null') NOT IN ('null', '\"unknown\"')"
        values.append(f"WHEN {n} THEN CASE WHEN {keep} THEN r.value ELSE {output.value} END")
        states.append(f"WHEN {n} THEN CASE WHEN {keep} THEN 'stale' WHEN {output.unknown} THEN 'unknown' ELSE 'ok' END")
    named = ", ".join(f"({n}, ?, ?)" for n in range(len(outputs)))
    conn.execute("DROP TABLE IF EXISTS temp.delta")
    conn.execute(
        f"CREATE TEMP TABLE delta AS WITH o(n, name, because) AS (VALUES {named}) SELECT * FROM (SELECT n.uid AS uid, "
        f"o.name AS name, CASE o.n {' '.join(values)} END AS value, CASE o.n {' '.join(states)} END AS state, "
        "o.because AS because, r.value AS former, r.state AS former_state FROM now n CROSS JOIN o "
        "LEFT JOIN result r ON r.account_uid = n.uid AND r.name = o.name) "
        "WHERE value IS NOT former OR state IS NOT former_state",
        [text for output in outputs for text in (f"{pack.name}.{output.name}", output.because)],
    )
    write_delta(conn, stamp, "CASE WHEN excluded.because = '' THEN result.because ELSE excluded.because END")
    conn.execute("INSERT OR IGNORE INTO touched SELECT uid FROM temp.delta")
    return {f"{pack.name}.{output.name}": 0 for output in outputs} | _changed(conn)


def write_delta(conn: sqlite3.Connection, stamp: Stamp, because: str = "excluded.because") -> None:
    """Write the temporary table `delta` (uid, name, value, state, because, former) into `result` and the former values
    into `result_history`. because: SQL of that of a row which is there already."""
    conn.execute(
        "INSERT INTO result_history (account_uid, name, value, state, because, since, until, pack_hash) "
        "SELECT r.account_uid, r.name, r.value, r.state, r.because, r.since, ?, r.pack_hash FROM temp.delta d "
        "CROSS JOIN result r ON r.account_uid = d.uid AND r.name = d.name "
        "WHERE d.value IS NOT d.former AND r.since < ?",
        (stamp.as_of, stamp.as_of),
    )
    conn.execute(
        "INSERT INTO result (account_uid, name, value, state, because, since, as_of, pack_hash, run_id) "
        "SELECT uid, name, value, state, because, ?, ?, ?, ? FROM temp.delta WHERE true "
        f"ON CONFLICT (account_uid, name) DO UPDATE SET value = excluded.value, state = excluded.state, "
        f"because = {because}, since = CASE WHEN result.value IS NOT excluded.value THEN excluded.since "
        "ELSE result.since END, as_of = excluded.as_of, pack_hash = excluded.pack_hash, run_id = excluded.run_id",
        (stamp.as_of, stamp.as_of, stamp.pack_hash, stamp.run_id),
    )


Row = tuple[str, str, str, str]
"""Account uid, JSON value, state, because: a result built in Python."""


def write_values(conn: sqlite3.Connection, name: str, rows: Iterable[Row], stamp: Stamp) -> int:
    """Write the rows of one result; only differences count. Returns how many values changed or are new."""
    return write_several(conn, {name: rows}, stamp)[name]


def write_several(conn: sqlite3.Connection, named: Mapping[str, Iterable[Row]], stamp: Stamp) -> dict[str, int]:
    """Write the rows of several results, account by account; returns name -> values that changed or are new."""
    conn.execute("DROP TABLE IF EXISTS temp.given")
    conn.execute(
        "CREATE TEMP TABLE given (uid TEXT, name TEXT, value TEXT, state TEXT, because TEXT, PRIMARY KEY (uid, name)) "
        "WITHOUT ROWID"
    )
    given = ((uid, name, *rest) for name, rows in named.items() for uid, *rest in rows)
    conn.executemany("INSERT INTO given VALUES (?, ?, ?, ?, ?)", given)
    conn.execute("DROP TABLE IF EXISTS temp.delta")
    conn.execute(
        "CREATE TEMP TABLE delta AS SELECT g.uid, g.name, g.value, g.state, g.because, r.value AS former "
        "FROM temp.given g LEFT JOIN result r ON r.account_uid = g.uid AND r.name = g.name "
        "WHERE g.value IS NOT r.value OR g.state IS NOT r.state ORDER BY g.uid, g.name"
    )
    write_delta(conn, stamp)
    return dict.fromkeys(named, 0) | _changed(conn)


def _changed(conn: sqlite3.Connection) -> dict[str, int]:
    """Name -> values of the temporary table `delta` that changed or are new."""
    found = conn.execute("SELECT name, count(*) FROM temp.delta WHERE value IS NOT former GROUP BY name")
    return dict(map(tuple, found.fetchall()))


def forget(conn: sqlite3.Connection, where: str, params: tuple[object, ...], as_of: str) -> int:
    """Move results that nobody computes any more into history; `where` is a condition over alias `r`."""
    conn.execute("DROP TABLE IF EXISTS temp.gone")
    conn.execute(f"CREATE TEMP TABLE gone AS SELECT r.rowid AS id FROM result r WHERE {where} ORDER BY r.rowid", params)
    conn.execute(
        "INSERT INTO result_history (account_uid, name, value, state, because, since, until, pack_hash) "
        "SELECT account_uid, name, value, state, because, since, ?, pack_hash FROM temp.gone g "
        "JOIN result r ON r.rowid = g.id ORDER BY g.id",
        (as_of,),
    )
    return conn.execute("DELETE FROM result WHERE rowid IN (SELECT id FROM temp.gone)").rowcount


def forget_others(conn: sqlite3.Connection, packs: Collection[str], as_of: str) -> None:
    """Forget the results of packs that are not among these."""
    names = [row[0] for row in conn.execute(_NAMES)]
    for name in names:
        if name.partition(".")[0] not in packs:
            forget(conn, "r.name = ?", (name,), as_of)


_NAMES = """WITH RECURSIVE found(name) AS (SELECT min(name) FROM result
    UNION ALL SELECT (SELECT min(r.name) FROM result r WHERE r.name > found.name) FROM found WHERE name IS NOT NULL)
SELECT name FROM found WHERE name IS NOT NULL"""
"""Every name of a result, one step along the index for each."""
