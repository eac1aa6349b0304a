"""Why an account's results are what they are: facts for a screen, the same that the texts in the CRM rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.model import decimals
from cssync.rules.calendar import local_date
from cssync.rules.catalogue import FACTS, SOURCES
from cssync.rules.compiler import Statement, compile_pack
from cssync.rules.dialect import SQLITE
from cssync.rules.evaluate import context_for, reading_of, usage_coverage
from cssync.rules.event_facts import IDENTIFYING
from cssync.rules.events import number_of
from cssync.rules.feature_rows import absent_because
from cssync.rules.freshness import Context
from cssync.rules.grounds import entities_of, measure_entities
from cssync.rules.kept_usage import kept
from cssync.rules.outcome import Outcome
from cssync.rules.statement import outcome_of
from cssync.rules.stopping import resting_on_stopped
from cssync.rules.texts import cap_text, language, lost_points, override_text, reasons, render, signed
from cssync.rules.tree import Aggregate, Feature, Measure, Pack, RuleSet, Score, closure, measure_names
from cssync.rules.trends import Direction, Trends
from cssync.rules.volume import Coverage

if TYPE_CHECKING:
    from cssync.store.sqlite import Store


@dataclass(frozen=True, slots=True)
class Input:
    """A feature or fact. state: ok, missing or stale; reason says why it is not ok. source: friendly names of what it
    rests on; as_of: ISO instant up to which that is complete, None when never; age_days: from its day to today, in the
    business time zone. currency: of money, in minor units.
    record: address of the vendor's record, where all of it is one record."""

    name: str
    value: Any
    state: str
    reason: str
    source: tuple[str, ...]
    as_of: str | None
    age_days: int | None
    currency: str | None = None
    record: str | None = None


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """A measure. weight: under the account's model. state: ok, held (the last value of a stale source), missing, stale
    or not_applicable. lost: points it takes off the unrounded score."""

    name: str
    label: str
    weight: int
    value: int | None
    state: str
    lost: Fraction | None
    text: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CapLine:
    """A cap. holds is None when its condition is unknown."""

    at_most: int
    holds: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class SignalLine:
    """A signal. holds is None when unknown; since: ISO instant of the stored signal that is open."""

    name: str
    holds: bool | None
    text: str
    since: str | None


@dataclass(frozen=True, slots=True)
class EventLine:
    """A renewal event. number: its stored number, None before an evaluation has given it one. contracts: its contracts
    as `<connection>:<source_id>`. results: what the pack says of it, by name; money in major units. tasks: rules whose
    condition is true of it."""

    number: int | None
    renews_on: str | None
    contracts: tuple[str, ...]
    results: Mapping[str, Any]
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A stored open task. event: number of the renewal event that it is about, None where it is about the account."""

    rule: str
    title: str
    body: str
    due_on: str
    status: str
    event: int | None = None


@dataclass(frozen=True, slots=True)
class PackExplanation:
    """One pack's view of the account. exact_score, exact_coverage (0 to 1) are the unrounded ones; the measures' `lost`
    add up to 100 minus the score. computed_band: what the score says; band: the one in force. override: why they
    differ. trend: None where the pack has none. results: stored value, state and since of every output. events: of a
    pack for each renewal event, the next one first; the inputs are those of the next one."""

    pack: str
    covers: bool
    score: int | None = None
    raw_score: int | None = None
    exact_score: Fraction | None = None
    band: str | None = None
    coverage: int | None = None
    text: str = ""
    measures: tuple[MeasureLine, ...] = ()
    caps: tuple[CapLine, ...] = ()
    inputs: tuple[Input, ...] = ()
    signals: tuple[SignalLine, ...] = ()
    tasks: tuple[TaskLine, ...] = ()
    results: tuple[Mapping[str, Any], ...] = ()
    model: str | None = None
    computed_band: str | None = None
    exact_coverage: Fraction | None = None
    override: str = ""
    trend: Direction | None = None
    events: tuple[EventLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything the packs say about one account at `as_of` (ISO instant)."""

    account_uid: str
    name: str | None
    as_of: str
    packs: tuple[PackExplanation, ...]

    def pack(self, name: str) -> PackExplanation | None:
        """Return one pack's view."""
        return next((p for p in self.packs if p.pack == name), None)


def explain(
    store: Store,
    rules: RuleSet,
    workspace: Workspace,
    account_uid: str,
    as_of: datetime,
    usage: Coverage | None = None,
) -> Explanation:
    """Explain an account from the store as it is now; nothing is written.

    usage: `usage_coverage`, if the store does not hold all of it. Raises:
        ConfigError: there is no such account.
    """
    rows = store.query("SELECT uid, name FROM account WHERE uid = ?", (account_uid,))
    if not rows:
        raise ConfigError(f"there is no account {account_uid!r}", fix="`cssync accounts` lists them")
    today = local_date(as_of, workspace.timezone)
    usage = usage or kept(store, today) or usage_coverage(store, workspace, as_of)
    views = tuple(
        _pack(store, p, rules, context_for(store, workspace, p, as_of, account_uid, usage), language(workspace.locale))
        for p in rules.packs
        if p.judges
    )
    return Explanation(account_uid, rows[0]["name"], as_of.isoformat(), views)


def _pack(store: Store, pack: Pack, rules: RuleSet, context: Context, lang: str) -> PackExplanation:
    account_uid = str(context.only)
    statement = compile_pack(pack, rules.features, context)
    found = store.query(statement.sql)
    stored = _stored(store, pack, account_uid)
    if not found:
        return PackExplanation(pack.name, False, results=stored)
    row = found[0]
    outcome, lookup = reading_of(pack, statement, row, context)
    score, urls = pack.score, _urls(store, account_uid)
    measures: tuple[MeasureLine, ...] = ()
    caps: tuple[CapLine, ...] = ()
    text, exact, trend = "", None, None
    if score:
        lost = {x.measure: x.points for x in lost_points(outcome.weights, outcome.measures)}
        measures = tuple(
            MeasureLine(
                m.name,
                render(m.label, lang, lookup),
                outcome.weights[m.name],
                outcome.measures[m.name],
                _state(m, outcome, rules.features, context),
                lost.get(m.name),
                render(m.because, lang, lookup),
                tuple(sorted(measure_names(m))),
            )
            for m in score.measures
        )
        caps = tuple(
            CapLine(c.at_most, outcome.caps[n], cap_text(c, n, outcome, lang, lookup)) for n, c in enumerate(score.caps)
        )
        trend = Trends(store.query, pack, rules.features, context).one(account_uid) if score.trend else None
        late = [m.name for m in measures if m.state == "stale"]
        stored_day = next((r["value"] for r in stored if r["name"] == f"{pack.name}.as_of"), None)
        day = datetime.fromisoformat(stored_day).date() if stored_day else None
        unsure = [m.name for m in score.measures if measure_entities(m, rules.features) & context.doubtful]
        stopped = {
            m
            for m, rests in resting_on_stopped(score, rules.features, context, SQLITE).items()
            if store.query(f"SELECT 1 FROM (SELECT ? AS uid) n WHERE {rests}", (account_uid,))
        }
        text = signed(reasons(score, outcome, lang, lookup, late, trend, unsure, stopped), day, lang)
        exact = 100 - sum(lost.values(), Fraction(0)) if lost else None
    since = {r["name"]: r["since"] for r in store.query(
        "SELECT name, since FROM signal WHERE account_uid = ? AND pack = ? AND until IS NULL", (account_uid, pack.name)
    )}  # fmt: skip
    return PackExplanation(
        pack.name,
        True,
        outcome.score,
        outcome.raw_score,
        exact,
        outcome.band,
        outcome.coverage,
        text,
        tuple(sorted(measures, key=lambda m: -(m.lost or 0))),
        caps,
        tuple(_input(n, v, row, rules.features, context, urls) for n, v in outcome.features.items()),
        tuple(
            SignalLine(s.name, outcome.signals[s.name], render(s.because, lang, lookup), since.get(s.name))
            for s in pack.signals
        ),
        tuple(
            TaskLine(r["rule"], r["title"], r["body"], r["due_on"], r["status"], number_of(r["subject_uid"]))
            for r in store.query(
                "SELECT * FROM task WHERE account_uid = ? AND pack = ? AND status = 'open' ORDER BY due_on, rule",
                (account_uid, pack.name),
            )
        ),
        stored,
        outcome.model,
        outcome.computed_band,
        _coverage(score, outcome) if score else None,
        override_text(score, outcome, lang, lookup) if score else "",
        trend,
        tuple(_event(store, pack, statement, r, context) for r in found) if pack.each_event else (),
    )


def _event(store: Store, pack: Pack, statement: Statement, row: Any, c: Context) -> EventLine:
    outcome = outcome_of(pack, statement, row)
    own = {n: outcome.features[n] for n in IDENTIFYING}
    stored = store.query(
        "SELECT number FROM renewal_event WHERE account_uid = ? AND until IS NULL AND contracts IS ? AND term_end IS ?",
        (row["uid"], row["f_renewal_contracts"], row["f_term_end"]),
    )
    results = {}
    for result in pack.results:
        value = outcome.results[result.name]
        if result.type == "money" and value is not None:
            value = Decimal(value).scaleb(-decimals(str(row[f"oc_{result.name}"] or c.currency)))
            value = int(value) if value == value.to_integral_value() else float(value)
        results[result.name] = value.isoformat() if isinstance(value, date) else value
    return EventLine(
        stored[0]["number"] if stored else None,
        (own["term_end"] + timedelta(days=1)).isoformat() if own["term_end"] else None,
        tuple(str(own["renewal_contracts"] or "").split()),
        results,
        tuple(name for name, true in outcome.tasks.items() if true),
    )


def _coverage(score: Score, outcome: Outcome) -> Fraction | None:
    """Known weight over applicable weight."""
    applicable = sum(outcome.weights[m.name] for m in score.measures if outcome.applies[m.name])
    known = sum(outcome.weights[m.name] for m in score.measures if outcome.measures[m.name] is not None)
    return Fraction(known, applicable) if applicable else None


def _stored(store: Store, pack: Pack, account_uid: str) -> tuple[Mapping[str, Any], ...]:
    import json

    rows = store.query(
        "SELECT name, value, state, because, since, as_of FROM result "
        "WHERE account_uid = ? AND name GLOB ? ORDER BY name",
        (account_uid, f"{pack.name}.*"),
    )
    return tuple({**dict(r), "value": json.loads(r["value"])} for r in rows)


def _state(m: Measure, outcome: Outcome, features: Mapping[str, Feature], c: Context) -> str:
    if outcome.measures[m.name] is not None:
        return "held" if m.name in outcome.held else "ok"
    if not outcome.applies[m.name]:
        return "not_applicable"
    return "stale" if any(c.state(e) == "stale" for e in measure_entities(m, features)) else "missing"


def _urls(store: Store, account_uid: str) -> dict[str, set[str]]:
    """Return source -> addresses of the account's records in it; two stand for many."""
    return {
        source: {r[0] for r in store.query(
            f'SELECT DISTINCT source_url FROM "{table.entity}" '
            "WHERE account_uid = ? AND deleted_at IS NULL AND source_url IS NOT NULL LIMIT 2", (account_uid,))}
        for source, table in SOURCES.items()
    }  # fmt: skip


def _input(
    name: str, value: Any, row: Any, features: Mapping[str, Feature], c: Context, urls: Mapping[str, set[str]]
) -> Input:
    sources = tuple(sorted(_sources(name, features)))
    behind = {url for source in sources for url in urls[source]}
    entities = sorted(entities_of([name], features))
    ends = [f.as_of for e in entities if (f := c.freshness(e)) and f.as_of]
    oldest = min(ends) if ends else None
    reason = "" if value is not None else absent_because(name, features, c)
    return Input(
        name,
        value,
        "ok" if value is not None else reason.partition(":")[0],
        reason,
        sources,
        oldest.isoformat() if oldest else None,
        (c.today - local_date(oldest, c.zone)).days if oldest else None,
        row[f"c_{name}"] if f"c_{name}" in row.keys() else None,  # noqa: SIM118 - sqlite3.Row has no `in`
        min(behind) if len(behind) == 1 and value is not None else None,
    )


def _sources(name: str, features: Mapping[str, Feature]) -> set[str]:
    friendly = {table.entity: source for source, table in SOURCES.items()}
    found: set[str] = set()
    for n in closure([name], features):
        if n in FACTS:
            found.update(friendly[e] for e in FACTS[n].tables)
        elif n in features and isinstance(definition := features[n].definition, Aggregate):
            found.add(definition.source)
    return found
