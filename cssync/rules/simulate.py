"""What if: the rules on one account with some of its facts given otherwise. The reference interpreter, one day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules import percentiles
from cssync.rules.calendar import EARLIEST, LATEST, local_date
from cssync.rules.catalogue import ACCOUNT, FACTS, OUTPUTS, column_type
from cssync.rules.compiler import compile_pack, result_column
from cssync.rules.evaluate import context_for, reading_of, usage_coverage
from cssync.rules.event_facts import EVENT_ARR, EVENT_ENDS, EVENT_FACTS
from cssync.rules.faults import did_you_mean
from cssync.rules.freshness import Context
from cssync.rules.grounds import entities_of
from cssync.rules.interpreter import add_totals, judge
from cssync.rules.kept_usage import kept
from cssync.rules.memory import FIRST_DAY, Memory
from cssync.rules.outcome import Outcome
from cssync.rules.statement import typed_value
from cssync.rules.tree import Aggregate, Expr, Pack, RuleSet, Type, used_features

if TYPE_CHECKING:
    from cssync.store.sqlite import Store


@dataclass(frozen=True, slots=True)
class Simulated:
    """One pack before and after. signals and tasks: names that are true; results and measures: by name; events: the
    same of each renewal event, where the account has several."""

    pack: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def changed(self) -> bool:
        """Whether anything comes out otherwise."""
        return self.before != self.after


def given_values(rules: RuleSet, pairs: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` pairs; names are features, facts, or columns of account. `missing` stands for no value.

    Raises:
        ConfigError: no such name, or not a value of its type.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = (part.strip() for part in pair.partition("="))
        if not sign:
            raise ConfigError(f"{pair!r} gives no value", fix="write NAME=VALUE, such as urgent_open=3")
        kind = _type(rules, name)
        if kind is None:
            known = [*rules.features, *FACTS, *ACCOUNT]
            raise ConfigError(
                f"there is no feature, fact or account column {name!r}{did_you_mean(name, known)}",
                fix="`cssync explain ACCOUNT` shows the inputs of an account by name",
            )
        found[name] = None if text in ("missing", "") else _value(name, text, kind)
    return found


def _type(rules: RuleSet, name: str) -> Type | None:
    if name in rules.features:
        return rules.features[name].type
    return FACTS[name].type if name in FACTS else column_type(ACCOUNT[name]) if name in ACCOUNT else None


def _value(name: str, text: str, kind: Type) -> Any:
    try:
        if kind == "bool":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if kind == "date":
            day = date.fromisoformat(text)
            if EARLIEST <= day <= LATEST:
                return day
            raise ValueError(text)
        if kind in ("integer", "money"):
            return int(text)
        if kind == "number":
            number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
            if abs(number) <= 1e12:  # not for nan, either
                return number
            raise ValueError(text)
    except (ValueError, KeyError, OverflowError):
        forms = {"bool": "yes or no", "date": "a day such as 2026-11-20", "integer": "a whole number",
                 "money": "a whole number of minor units", "number": "a number"}  # fmt: skip
        raise ConfigError(f"{name} takes {forms[kind]}, not {text[:40]!r}", fix=f"correct {name}=") from None
    return text


def simulate(
    store: Store, rules: RuleSet, workspace: Workspace, account_uid: str, as_of: datetime, given: Mapping[str, Any]
) -> list[Simulated]:
    """Return what each pack that looks at the account says now, and with the values given; nothing is written.

    Facts that are not given stay as they are, features that are formulas follow. A later pack reads the simulated
    results of an earlier one. Bands go on from where they stood; for how long a condition has held plays no part. What
    a renewal event has of its own is given for the next one alone. Winsorised features are cut where they are now.
    """
    usage = kept(store, local_date(as_of, workspace.timezone)) or usage_coverage(store, workspace, as_of)
    found = []
    results: dict[str, Any] = {}
    for pack in rules.packs:
        context = context_for(store, workspace, pack, as_of, account_uid, usage)
        statement = compile_pack(pack, rules.features, context)
        rows = store.query(statement.sql)
        if not rows:
            continue
        columns = set(rows[0].keys())
        account = dict(store.query("SELECT * FROM account WHERE uid = ?", (account_uid,))[0])
        changed = {n: v.isoformat() if isinstance(v, date) else v for n, v in given.items() if n in ACCOUNT}
        cut = percentiles.stored(store.query, pack, rules.features, context, {**account, **changed})
        before, after = [], []
        for n, row in enumerate(rows, 1):
            known, _ = reading_of(pack, statement, row, context)
            stated = {f: v for f, v in given.items() if f not in ACCOUNT and (n == 1 or not _own(rules, f))}
            before.append(known)
            after.append(
                judge(
                    pack,
                    rules.features,
                    context,
                    {**account, **changed},
                    given={**_raw(rules, context, known, row, columns), **cut, **stated},
                    results={**_others(pack, rules, columns, row), **results},
                    memory=_memory(pack, columns, row),
                    event=n,
                )
            )
        add_totals(pack, after)
        results |= {f"{pack.name}.{n}": v for n, v in after[0].results.items()}
        if pack.score:
            results |= {f"{pack.name}.{n}": getattr(after[0], n) for n in OUTPUTS if hasattr(after[0], n)}
        found.append(Simulated(pack.name, _told_of_all(pack, before), _told_of_all(pack, after)))
    return found


def _raw(rules: RuleSet, context: Context, known: Outcome, row: Any, columns: set[str]) -> dict[str, Any]:
    """What an outcome rests on that is no formula, with the currencies of money. What is absent from a stale source is
    not known to be absent."""
    raw = {
        n: v
        for n, v in known.features.items()
        if not _formula(rules, n) and (v is not None or all(map(context.ok, entities_of([n], rules.features))))
    }
    return {**raw, **{f"currency.{n}": row[f"c_{n}"] for n in raw if f"c_{n}" in columns and row[f"c_{n}"]}}


def _own(rules: RuleSet, name: str) -> bool:
    """Whether each renewal event has a fact or feature of its own."""
    definition = rules.features[name].definition if name in rules.features else None
    return name in (*EVENT_FACTS, *EVENT_ENDS, EVENT_ARR) or (
        isinstance(definition, Aggregate) and definition.per_event
    )


def _told_of_all(pack: Pack, outcomes: list[Outcome]) -> dict[str, Any]:
    """What a pack says of an account; with its events where there are several."""
    whole = told(pack, outcomes[0])
    whole["results"] |= outcomes[0].totals
    return {**whole, "events": [told(pack, o) for o in outcomes]} if len(outcomes) > 1 else whole


def _formula(rules: RuleSet, name: str) -> bool:
    return name in rules.features and isinstance(rules.features[name].definition, Expr)


def _others(pack: Pack, rules: RuleSet, columns: set[str], row: Any) -> dict[str, Any]:
    """Results of other packs, as the statement read them."""
    used = (rules.features[n].definition for n in used_features(pack, rules.features))
    exprs = (*pack.exprs, *(d for d in used if isinstance(d, Expr)))
    read = {e.value: e.type for whole in exprs for e in whole.walk() if e.op == "result"}
    return {
        name: typed_value(row[column], kind)
        for name, kind in read.items()
        if name.partition(".")[0] != pack.name and (column := result_column(pack, name)) in columns
    }


def _memory(pack: Pack, columns: set[str], row: Any) -> Memory:
    """What the score remembers from the days before, as the statement read it."""
    if pack.score is None or "h_band" not in columns:
        return FIRST_DAY
    days = {name: typed_value(row[f"h_{name}"], "date") for name in ("override_until", "override_since")}
    held = {m.name: row[f"h_m_{m.name}"] for m in pack.score.measures if f"h_m_{m.name}" in columns}
    return Memory(
        row["h_band"],
        row["h_yellow_days"] or 0,
        row["h_green_days"] or 0,
        row["h_override_band"],
        days["override_until"],
        days["override_since"],
        {name: value for name, value in held.items() if value is not None},
        row["h_caps"],
    )


def told(pack: Pack, outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain data."""
    scored = {} if pack.score is None else {
        "score": outcome.score, "band": outcome.band, "coverage": outcome.coverage, "measures": dict(outcome.measures),
    }  # fmt: skip
    return {
        **scored,
        "results": {n: v.isoformat() if isinstance(v, date) else v for n, v in outcome.results.items()},
        "signals": sorted(n for n, true in outcome.signals.items() if true),
        "tasks": sorted(n for n, true in outcome.tasks.items() if true),
    }
