"""Run the packs over a store: results, signals, tasks and feature rows; only differences are written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.metrics.fx import Rates, load_rates
from cssync.rules import changed, judged, kept_usage
from cssync.rules.calendar import calendar_of, local_date
from cssync.rules.catalogue import MAX_AGE, REASONS, score_outputs
from cssync.rules.compiler import Statement, result_column
from cssync.rules.dialect import SQLITE
from cssync.rules.events import EVENT, about_events, forget_event_results, number_events, split, write_event_results
from cssync.rules.feature_rows import states, write_feature_rows
from cssync.rules.freshness import Context, Stopped, instant, read_doubtful, read_freshness, with_usage
from cssync.rules.grounds import entities_of, measure_entities
from cssync.rules.lost import OUTPUT as LOST
from cssync.rules.lost import lost_rows, most_lost
from cssync.rules.outcome import Outcome
from cssync.rules.prepared import build, prepare
from cssync.rules.results import (
    SCORED,
    Output,
    Stamp,
    forget,
    forget_others,
    outputs,
    score_entities,
    write_outputs,
    write_several,
    write_values,
)
from cssync.rules.rollup import write_rollups
from cssync.rules.score_days import write_day, write_state
from cssync.rules.signals import Reading, write_signals
from cssync.rules.statement import outcome_of, typed_value
from cssync.rules.stopping import account_masters, resting_on_stopped
from cssync.rules.tasks import TaskCounts, TaskWriter
from cssync.rules.texts import WORDS, language, reasons, render, same_but_date, signed, unsigned
from cssync.rules.tiers import OUTPUTS as TIER_OUTPUTS
from cssync.rules.tiers import leave_to_people, unrated, write_tiers
from cssync.rules.tree import Feature, Pack, Place, RuleSet, Score, Signal, Texts, used_names
from cssync.rules.trends import read_trends, write_trends
from cssync.rules.versions import record
from cssync.rules.volume import ENTITY as USAGE
from cssync.rules.volume import Coverage, coverage, read_series
from cssync.store.retract import retract

if TYPE_CHECKING:
    from cssync.store.sqlite import Fence, Store


EXPLAINED = (*SCORED, "model", "trend", "trend_points")
"""Outputs of a score whose reason is the text behind the score."""


@dataclass(frozen=True, slots=True)
class PackReport:
    """What one pack did. results: name -> values that changed or are new. circles: accounts that are each other's
    parents, as paths of names: they have no roll-up."""

    pack: str
    accounts: int
    features_changed: int
    results: Mapping[str, int]
    signals_started: int
    signals_ended: int
    tasks: TaskCounts
    forgotten: int = 0
    circles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """One evaluation. stale and missing: entities whose source is too old or not connected, that rules look at.
    bands: band -> accounts, of the first pack with a score. partly: only accounts of which something changed were
    looked at. unrated: why accounts have no touch tier, so that tasks for some tiers are not raised; "" for no reason.
    """

    as_of: str
    packs: tuple[PackReport, ...]
    stale: tuple[str, ...]
    missing: tuple[str, ...]
    bands: Mapping[str, int] = field(default_factory=dict)
    partly: bool = False
    unrated: str = ""

    @property
    def changed(self) -> int:
        """Result values that changed or are new."""
        return sum(n for p in self.packs for n in p.results.values())

    @property
    def accounts(self) -> int:
        """Accounts looked at by the widest pack."""
        return max((p.accounts for p in self.packs), default=0)


def usage_coverage(store: Store, workspace: Workspace, as_of: datetime) -> Coverage:
    """Return how complete the usage source is: one pass over all accounts' usage, the same for every pack.

    Rows of a connection that no longer feeds usage are not looked at. Raises:
        ConfigError: no holiday calendar for the workspace's country.
    """
    feeds = {r[0] for r in store.query("SELECT DISTINCT connection FROM source_feed WHERE entity = ?", (USAGE,))}
    today = local_date(as_of, workspace.timezone)
    series = [s for s in read_series(store.query, today) if s.connection in feeds] if feeds else []
    return coverage(series, today, calendar_of(workspace))


def context_for(
    store: Store,
    workspace: Workspace,
    pack: Pack,
    as_of: datetime,
    only: str | None = None,
    usage: Coverage | None = None,
) -> Context:
    """Return what a pack's statement depends on beside the rows. usage: `usage_coverage`, if it is known already.

    Raises:
        ConfigError: no holiday calendar for the workspace's country.
    """
    from cssync.sync.drift import stopped  # sync names the rules that rest on a field, and so knows this package

    known = usage or usage_coverage(store, workspace, as_of)
    fresh = read_freshness(store, as_of, pack.max_age)
    fresh = with_usage(fresh, known, as_of, workspace.timezone, pack.max_age.get(USAGE, MAX_AGE[USAGE]))
    return Context(
        as_of, workspace.timezone, workspace.currency, fresh, calendar_of(workspace), only, known.gaps,
        {entity: winner for entity, winner in workspace.masters.items() if "." not in entity},
        doubtful=read_doubtful(store) if pack.score else frozenset(),
        stopped=frozenset(Stopped(*found) for found in stopped(store, workspace)) if pack.score else frozenset(),
        account_masters=account_masters(workspace),
    )  # fmt: skip


def evaluate(
    store: Store,
    rules: RuleSet,
    workspace: Workspace,
    as_of: datetime,
    *,
    run_id: str,
    fence: Fence | None = None,
    known_at: datetime | None = None,
    usage: Coverage | None = None,
    everybody: bool = False,
) -> EvaluationReport:
    """Evaluate every pack at `as_of` (aware) and write what changed, in one transaction.

    Only accounts of which something changed since the last evaluation are looked at, as long as nothing else did
    (`changed`); `everybody` looks at all of them, with the same results.

    The same inputs and as_of again change no result; with other inputs the second evaluation of an as_of takes the
    first one's place, as if that had never been. known_at (aware, `as_of` by default) is when this runs: it is kept so
    that a replay knows what was known. usage: `usage_coverage`, if the store does not hold all of it. Raises:
        ConfigError: `as_of` lies before an evaluation that is stored already, or the holiday calendar is unknown.
        LeaseLost: the fence refused.
    """
    newest = store.query("SELECT coalesce((SELECT max(as_of) FROM evaluation), (SELECT max(as_of) FROM result)) AS at")[
        0
    ][0]
    at = instant(as_of)
    if newest is not None and at < newest:
        raise ConfigError(
            f"results of {newest} are stored already, {at} lies before it",
            kept="the results are unchanged",
            fix="evaluate at a later time",
        )
    with store.transaction(fence) as conn:
        usage = usage or kept_usage.same(conn, workspace, as_of) or usage_coverage(store, workspace, as_of)
        contexts = {p.name: context_for(store, workspace, p, as_of, usage=usage) for p in rules.packs}
        rests_on = ((p.name, e) for p in rules.packs for e in entities_of(used_names(p), rules.features))
        stale = any(contexts[name].state(entity) == "stale" for name, entity in rests_on)
        among = {name: replace(c, among=changed.LOOKED_AT) for name, c in contexts.items()}
        prepared = prepare(rules, among)
        basis = changed.basis(rules, contexts, workspace, prepared) + changed.of_all(conn, rules)
        same = not everybody and changed.nothing_new(conn, rules, basis, at)
        again = at == newest and not same and changed.is_noted(conn) and retract(conn, at)
        last = judged.before(conn, compare=not (everybody or again), stale=stale)
        record(conn, rules, at, instant(known_at or as_of), run_id)
        ready = changed.portfolio(prepared)
        build(conn, ready)
        if same:
            changed.nobody(conn)
        partly = same or (not (everybody or again) and changed.gather(conn, rules, contexts, basis))
        if partly:
            contexts = among
        else:
            prepared = prepare(rules, contexts)
        build(conn, prepared.tables, ready)
        judging = [p for p in rules.packs if p.judges]
        reports = [
            PackEvaluation(conn, p, rules, workspace, contexts[p.name], run_id, prepared.statements[p.name], last).run()
            for p in judging
        ]
        if not partly:
            if not any(p.tiers for p in rules.packs):
                leave_to_people(conn, at)
            forget_others(conn, {p.name for p in rules.packs}, at)
            forget_event_results(conn, (p.name for p in rules.packs if p.each_event))
            judged.drop_others(conn, (p.name for p in judging))
        changed.settle(conn, basis, at)
        kept_usage.keep(conn, usage, workspace, as_of)
        scored = next((p.name for p in rules.packs if p.score), None)
        bands = conn.execute(
            "SELECT value, count(*) FROM result WHERE name = ? GROUP BY value", (f"{scored}.band",)
        ).fetchall()
        _drop(conn, *prepared.tables)
    looked_at = {e for p in rules.packs for e in _entities(p, rules.features)}
    states = {(e.partition(".")[0], contexts[p.name].state(e)) for p in rules.packs for e in looked_at}
    today = local_date(as_of, workspace.timezone)
    return EvaluationReport(
        at,
        tuple(reports),
        tuple(sorted(e for e, s in states if s == "stale")),
        tuple(sorted(e for e, s in states if s == "missing")),
        {json.loads(value): count for value, count in bands},
        partly,
        next((why for p in rules.packs if p.tiers and (why := unrated(p.tiers, load_rates(workspace), today))), ""),
    )


def _entities(pack: Pack, features: Mapping[str, Feature]) -> set[str]:
    return entities_of({n for e in pack.exprs for n in e.names("feature")}, features)


def _drop(conn: sqlite3.Connection, *more: str) -> None:
    for table in (
        "now",
        "later",
        "whole",
        "event_now",
        "event_number",
        "changed",
        "touched",
        "given",
        "delta",
        "state",
        "trends",
        *more,
    ):
        conn.execute(f"DROP TABLE IF EXISTS temp.{table}")


def reading_of(pack: Pack, statement: Statement, row: sqlite3.Row, c: Context) -> Reading:
    """Return an account's outcome and the way its texts look up values."""
    columns = dict(zip(row.keys(), row, strict=True))  # a row of SQLite looks for a name among all of its names
    outcome = outcome_of(pack, statement, columns)

    def lookup(place: Place) -> tuple[Any, str]:
        if place.kind == "account":
            return columns[f"a_{place.name}"], ""
        if place.kind == "result":
            value = typed_value(columns[result_column(pack, place.name)], place.type)
            return (unsigned(value) if value and place.name.endswith(f".{REASONS}") else value), ""
        currency = columns.get(f"c_{place.name}", c.currency)
        return outcome.features.get(place.name), str(currency or c.currency)

    return outcome, lookup


class PackEvaluation:
    """One pack in one transaction. Temporary tables: `now` the statement's rows that are gone on with, out of `whole`
    where those are not all, `changed` accounts with a new feature row, `touched` accounts whose texts are made anew."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        pack: Pack,
        rules: RuleSet,
        workspace: Workspace,
        c: Context,
        run_id: str,
        statement: Statement,
        last: judged.Before | None = None,
    ) -> None:
        self.conn = conn
        self.pack = pack
        self.rules = rules
        self.features = rules.features
        self.workspace = workspace
        self.c = c
        self.last = last
        self.run_id = run_id
        rated = pack.tiers is not None or (pack.score is not None and pack.score.roll_up is not None)
        self.rates = load_rates(workspace) if rated else Rates(workspace.currency)
        self.circles: tuple[str, ...] = ()
        self.lang = language(workspace.locale)
        self.stamp = Stamp(instant(c.as_of), pack.hash, run_id)
        self.statement = statement

    def run(self) -> PackReport:
        conn, pack = self.conn, self.pack
        _drop(conn)
        found = outputs(pack, self.features, self.c, SQLITE)
        kept = self.kept(found)
        over = "whole" if kept and kept.usable else "now"
        conn.execute(f"CREATE TEMP TABLE {over} AS {self.statement.sql}")
        keys, first = ("uid, event", " WHERE event = 1") if pack.each_event else ("uid", "")
        conn.execute(f"CREATE UNIQUE INDEX temp.{over}_uid ON {over} ({keys})")
        accounts = conn.execute(f"SELECT count(*) FROM {over}{first}").fetchone()[0]
        everybody = self.c
        if kept and over == "whole" and judged.differing(conn, pack, kept, self.c):
            self.c = replace(self.c, among=judged.DIRTY)
        split(conn, pack)
        conn.execute("CREATE TEMP TABLE touched (uid TEXT PRIMARY KEY)")
        changed = write_feature_rows(conn, pack, self.features, self.statement, self.c, self.stamp.as_of)
        counts: dict[str, int] = {}
        numbers = number_events(conn, pack, self.stamp.as_of)
        if numbers:
            rows = [(uid, n, "ok", "") for uid, n in numbers]
            counts[f"{pack.name}.{EVENT}"] = write_values(conn, f"{pack.name}.{EVENT}", rows, self.stamp)
        if pack.score:
            write_state(conn, pack, self.c, self.stamp.as_of)
            write_day(conn, pack, self.features, self.c.today, self.stamp.as_of)
            if pack.score.trend:
                write_trends(conn, pack, self.features, self.c, over)
                if self.c is not everybody:
                    judged.add_turned(conn, pack)
        started, ended = write_signals(
            conn, pack, self.features, self.c, self.stamp.as_of, self.run_id, self.read, self.say_signal
        )
        if pack.tiers is not None:
            counts |= write_tiers(conn, pack, self.c, self.rates, self.stamp)
        counts |= write_outputs(conn, pack, found, self.stamp)
        write_event_results(conn, pack, self.c.within("account_uid"))
        if pack.score:
            counts |= self.score_texts()
            counts |= self.roll_up(pack.score, everybody, over)
        if pack.signals:
            self.signal_reasons()
        tasks = TaskWriter(
            conn, pack, self.features, self.c, self.stamp.as_of, self.run_id, self.read, self.say, WORDS[self.lang]
        ).write()
        gone = self.leave()
        if kept:
            judged.keep(conn, pack, kept, self.c, self.stamp.as_of, self.run_id)
        return PackReport(pack.name, accounts, changed, counts, started, ended, tasks, gone, self.circles)

    def kept(self, found: list[Output]) -> judged.Kept | None:
        """What is kept of the rows of the last evaluation; None where nothing is to be kept."""
        if self.last is None or self.pack.tiers is not None:  # tiers rest on whole groups, rates and quarters
            return None
        texts = [repr(output) for output in found]
        texts.append(states(self.pack, self.features, self.statement, self.c))
        return judged.look_up(self.conn, self.pack, self.rules, self.workspace, self.c, texts, self.last)

    def read(self, row: sqlite3.Row) -> Reading:
        return reading_of(self.pack, self.statement, row, self.c)

    def say(self, texts: Texts, reading: Reading) -> str:
        return render(texts, self.lang, reading[1])

    def say_signal(self, signal: Signal, reading: Reading) -> str:
        return self.say(signal.because, reading)

    def roll_up(self, score: Score, c: Context, over: str) -> dict[str, int]:
        """Write the roll-ups of everybody in the temporary table `over`: groups stay together."""
        if score.roll_up is None:
            return {}
        held = any(c.held(e) for e in score_entities(score, self.features))
        counts, self.circles = write_rollups(
            self.conn, self.pack, c, self.rates, self.stamp, WORDS[self.lang], over, held=held
        )
        return counts

    # --- texts ---

    def score_texts(self) -> dict[str, int]:
        """Write `reasons` and `lost_points` of touched accounts; `as_of` where another output of the score changed."""
        score = self.pack.score
        assert score is not None  # noqa: S101 - called for packs with a score only
        late = {
            m.name
            for m in score.measures
            if any(self.c.state(e) == "stale" for e in measure_entities(m, self.features))
        }
        unsure = [m.name for m in score.measures if measure_entities(m, self.features) & self.c.doubtful]
        stopped = {
            m: {r[0] for r in self.conn.execute(
                f"SELECT n.uid FROM touched t JOIN now n ON n.uid = t.uid WHERE {rests}")}
            for m, rests in resting_on_stopped(score, self.features, self.c, SQLITE).items()
        }  # fmt: skip
        day = self.data_day()
        prefix = f"{self.pack.name}."
        held = {r[0] for r in self.conn.execute(
            f"SELECT account_uid FROM result WHERE name = ? AND state = 'stale'{self.c.within('account_uid')}",
            (f"{prefix}score",))}  # fmt: skip
        before = {r[0]: (r[1], r[2]) for r in self.conn.execute(
            "SELECT r.account_uid, r.value, r.state FROM touched t CROSS JOIN result r ON r.account_uid = t.uid "
            "AND r.name = ?",
            (f"{prefix}reasons",))}  # fmt: skip
        heading = read_trends(self.conn) if score.trend else {}
        texts, dated, lost, kept = [], [], {}, []
        for row in self.conn.execute("SELECT n.* FROM touched t JOIN now n ON n.uid = t.uid ORDER BY n.uid"):
            uid = row["uid"]
            if uid in held and uid in before:
                texts.append((uid, before[uid][0], "stale", json.loads(before[uid][0])))
                kept.append(uid)
                continue
            outcome, lookup = self.read(row)
            lost[uid] = most_lost(score, outcome, self.lang, lookup)
            old_in = {m for m, uids in stopped.items() if uid in uids}
            body = reasons(score, outcome, self.lang, lookup, late, heading.get(uid), unsure, old_in)
            old = json.loads(before[uid][0]) if uid in before else ""
            same = same_but_date(body, old or "")
            text = old if same else signed(body, day, self.lang)
            texts.append((uid, json.dumps(text, ensure_ascii=False), "ok", text))
            if not same:
                dated.append(uid)
        told = [prefix + n for n in score_outputs(score.keys) if n in EXPLAINED]
        marks = ", ".join("?" * len(told))
        self.conn.executemany(
            f"UPDATE result SET because = ? WHERE account_uid = ? AND name IN ({marks}) AND because IS NOT ?",
            [(why := unsigned(text), uid, *told, why) for uid, _, _, text in texts],
        )
        moved = self.conn.execute(  # +: by what is new at this instant, not by account
            f"SELECT DISTINCT account_uid FROM result WHERE name IN ({marks}, ?) AND since = ? AND state <> 'stale'"
            f"{self.c.within('+account_uid')}",
            (*told, f"{prefix}data_status", self.stamp.as_of),
        ).fetchall()
        fresh = sorted({*dated, *(r[0] for r in moved)} - held)
        value = json.dumps(day.isoformat() if day else None)
        named = {
            f"{prefix}{REASONS}": texts,
            f"{prefix}{LOST}": lost_rows(self.conn, f"{prefix}{LOST}", lost, kept),
            f"{prefix}as_of": [(uid, value, "ok" if day else "unknown", "") for uid in fresh],
        }
        return write_several(self.conn, named, self.stamp)

    def data_day(self) -> date | None:
        """The local date up to which the data behind the score is complete: the oldest of its fresh sources."""
        score = self.pack.score
        used = score_entities(score, self.features) if score else set()
        ends = [f.as_of for e in used if (f := self.c.freshness(e)) and f.state == "ok" and f.as_of]
        return local_date(min(ends), self.c.zone) if ends else None

    def signal_reasons(self) -> None:
        """The list of signals carries the sentences of the open ones."""
        name = f"{self.pack.name}.{self.pack.signal_list}"
        texts: dict[str, list[str]] = {}
        for row in self.conn.execute(
            "SELECT t.uid AS uid, s.name AS name, s.because AS because FROM touched t LEFT JOIN signal s "
            "ON s.account_uid = t.uid AND s.pack = ? AND s.until IS NULL ORDER BY t.uid, s.name",
            (self.pack.name,),
        ):
            texts.setdefault(row["uid"], []).extend([f"{row['name']}: {row['because']}"] if row["name"] else [])
        self.conn.executemany(
            "UPDATE result SET because = ? WHERE account_uid = ? AND name = ? AND because IS NOT ?",
            [(text := "; ".join(found), uid, name, text) for uid, found in texts.items()],
        )

    # --- leaving ---

    def leave(self) -> int:
        """Forget results of accounts the pack no longer looks at, and of outputs it no longer has: these were all
        forgotten already where only some accounts are gone on with, as that is for the same packs as before."""
        mine = f"{self.pack.name}.*"
        if self.c.among:
            gone = f"r.account_uid IN (SELECT uid FROM temp.{self.c.among} EXCEPT SELECT uid FROM now)"
            return forget(self.conn, f"r.name GLOB ? AND {gone}", (mine,), self.stamp.as_of)
        names = [f"{self.pack.name}.{n}" for n in output_names(self.pack)]
        marks = ", ".join("?" * len(names))
        here = f"{self.c.left('r.account_uid')} OR r.name NOT IN ({marks})"
        return forget(self.conn, f"r.name GLOB ? AND ({here})", (mine, *names), self.stamp.as_of)


def output_names(pack: Pack) -> list[str]:
    """Names of everything a pack puts out, without the pack's own."""
    scored = score_outputs(pack.score.keys) if pack.score else ()
    event = (EVENT,) if about_events(pack) else ()
    tiers = TIER_OUTPUTS if pack.tiers is not None else ()
    return [*scored, *tiers, *(r.name for r in pack.results), *((pack.signal_list,) if pack.signals else ()), *event]


__all__ = ["EvaluationReport", "Outcome", "PackReport", "context_for", "evaluate", "output_names"]
