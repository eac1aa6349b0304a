"""What edited rules would change over the whole portfolio, and how much of it the data change by themselves.

Three states are compared: what is stored (the old rules on the data of their day), the old rules on today's data, and
the edited rules on today's data. The step between the first two is *because of the data*, the next one *because of the
edit*. Both evaluations run on private copies; nothing is written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cssync.config import Workspace
from cssync.metrics.fx import MissingRateError, Rates, load_rates, rounded
from cssync.rules.calendar import local_date
from cssync.rules.compiler import compile_pack
from cssync.rules.evaluate import context_for, evaluate
from cssync.rules.event_facts import IDENTIFYING
from cssync.rules.events import EVENT
from cssync.rules.freshness import instant
from cssync.rules.replay import Moment, then
from cssync.rules.tree import RuleSet
from cssync.rules.versions import last_evaluation, rules_of

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

AT_RISK = ("notice", "lapsed")
"""Values of a result `risk` that put a renewal at risk whatever the band (domain.md 6)."""


Renewal = tuple[str, int]
"""An account and the number of one of its renewal events; 1 where none is numbered."""


@dataclass(frozen=True, slots=True)
class State:
    """What rules say about the portfolio. scores: (account, pack) -> score and band; signals: (account, pack, name);
    tasks: key -> (account, pack, rule, title) of open ones; at_risk: renewals at risk, as account and number."""

    scores: Mapping[tuple[str, str], tuple[int | None, str]]
    signals: frozenset[tuple[str, str, str]]
    tasks: Mapping[str, tuple[str, str, str, str]]
    at_risk: frozenset[Renewal]


@dataclass(frozen=True, slots=True)
class Move:
    """An account whose score or band changes."""

    account_uid: str
    name: str | None
    pack: str
    score_before: int | None
    score_after: int | None
    band_before: str
    band_after: str


@dataclass(frozen=True, slots=True)
class Item:
    """A signal or task that starts or ends. what: its id and, of a task, its title."""

    account_uid: str
    name: str | None
    pack: str
    rule: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """One step. matrix: pack -> (`green -> red`) -> accounts, those that stay included; moves: every account whose
    score or band changes. at_risk_before, at_risk_after: currency -> ARR of renewals at risk, in minor units: the
    workspace's currency, at the rates of the day, and beside it whatever has no rate to it."""

    matrix: Mapping[str, Mapping[str, int]]
    moves: tuple[Move, ...]
    signals_started: tuple[Item, ...]
    signals_ended: tuple[Item, ...]
    tasks_raised: tuple[Item, ...]
    tasks_closed: tuple[Item, ...]
    at_risk_before: Mapping[str, int]
    at_risk_after: Mapping[str, int]

    @property
    def changes(self) -> int:
        """Everything that changes, counted."""
        items = (self.moves, self.signals_started, self.signals_ended, self.tasks_raised, self.tasks_closed)
        return sum(map(len, items))


@dataclass(frozen=True, slots=True)
class Preview:
    """What an edit does. edited: packs whose meaning changes, added and removed ones included; total: stored -> edited
    rules on today's data; data and edit: its two steps, None where the rules that ran last cannot be had: `why`."""

    as_of: str
    edited: tuple[str, ...]
    total: Effect
    data: Effect | None
    edit: Effect | None
    why: str = ""
    arr: Mapping[Renewal, tuple[str, int]] = field(default_factory=dict, repr=False)


def preview(store: Store, edited: RuleSet, workspace: Workspace, as_of: datetime) -> Preview:
    """Compare edited rules with those that ran last, at `as_of` (aware); nothing is written."""
    last = last_evaluation(store)
    before = rules_of(store, last) if last else None
    stored = _state(store)
    names = {r["uid"]: r["name"] for r in store.query("SELECT uid, name FROM account")}
    after, arr = _judged(store, edited, workspace, as_of)
    worth = _worth(arr, load_rates(workspace), local_date(as_of, workspace.timezone))
    total = _effect(stored, after, names, worth)
    if before is None:
        why = "no evaluation is on record" if last is None else "this cssync reads the rules that ran last otherwise"
        return Preview(instant(as_of), tuple(p.name for p in edited.packs), total, None, None, why, arr)
    now, _ = _judged(store, before, workspace, as_of)
    old, new = ({p.name: p.hash for p in rules.packs} for rules in (before, edited))
    changed = tuple(n for n in sorted(old.keys() | new.keys()) if old.get(n) != new.get(n))
    data, edit = _effect(stored, now, names, worth), _effect(now, after, names, worth)
    return Preview(instant(as_of), changed, total, data, edit, "", arr)


def _judged(
    store: Store, rules: RuleSet, workspace: Workspace, as_of: datetime
) -> tuple[State, dict[Renewal, tuple[str, int]]]:
    """Run rules on a copy of the store as it is; returns the state and the ARR that each renewal is about."""
    with then(store, Moment(as_of, as_of)) as copy:
        evaluate(copy, rules, workspace, as_of, run_id="preview")
        return _state(copy), _arr(copy, rules, workspace, as_of)


def _arr(store: Store, rules: RuleSet, workspace: Workspace, as_of: datetime) -> dict[Renewal, tuple[str, int]]:
    """Renewal -> currency and minor units of the ARR that it is about; of the next one else all ARR of its account."""
    packs = sorted(rules.packs, key=lambda p: (not p.each_event, p.score is None))
    if not packs:
        return {}
    context = context_for(store, workspace, packs[0], as_of)
    sql = compile_pack(packs[0], rules.features, context, also=("renewal_arr", "arr", *IDENTIFYING)).sql
    numbers = {(r["account_uid"], r["contracts"], r["term_end"]): r["number"] for r in store.query(
        "SELECT account_uid, contracts, term_end, number FROM renewal_event WHERE until IS NULL")}  # fmt: skip
    found = {}
    for row in store.query(sql):
        number = numbers.get((row["uid"], row["f_renewal_contracts"], row["f_term_end"]), 1)
        is_next = not packs[0].each_event or row["event"] == 1
        for fact in ("renewal_arr", "arr") if is_next else ("renewal_arr",):
            if row[f"f_{fact}"] is not None:
                found[row["uid"], number] = (str(row[f"c_{fact}"] or workspace.currency), int(row[f"f_{fact}"]))
                break
    return found


def _state(store: Store) -> State:
    scores: dict[tuple[str, str], list[Any]] = {}
    numbers: dict[str, set[int]] = {}
    for row in store.query("SELECT DISTINCT account_uid, number FROM event_result"):
        numbers.setdefault(row["account_uid"], set()).add(row["number"])
    following = {r["account_uid"]: int(json.loads(r["value"]) or 1) for r in store.query(
        "SELECT account_uid, value FROM result WHERE name GLOB ?", (f"*.{EVENT}",))}  # fmt: skip
    at_risk = {
        (row["account_uid"], row["number"])
        for row in store.query("SELECT account_uid, number, value FROM event_result WHERE name GLOB '*.risk'")
        if json.loads(row["value"]) in AT_RISK
    }
    for row in store.query(
        "SELECT account_uid, name, value FROM result WHERE name GLOB '*.score' OR name GLOB '*.band' "
        "OR name GLOB '*.risk'"
    ):
        pack, _, output = row["name"].partition(".")
        value = json.loads(row["value"])
        if output in ("score", "band"):
            scores.setdefault((row["account_uid"], pack), [None, "unknown"])[output == "band"] = value
        uid = row["account_uid"]
        if (output == "band" and value == "red") or (output == "risk" and value in AT_RISK):
            at_risk.add((uid, following.get(uid, 1)))
        if output == "band" and value == "red":
            at_risk.update((uid, number) for number in numbers.get(uid, ()))
    signals = store.query("SELECT account_uid, pack, name FROM signal WHERE until IS NULL")
    tasks = store.query("SELECT key, account_uid, pack, rule, title FROM task WHERE status = 'open'")
    return State(
        {key: (score, band or "unknown") for key, (score, band) in scores.items()},
        frozenset((r["account_uid"], r["pack"], r["name"]) for r in signals),
        {r["key"]: (r["account_uid"], r["pack"], r["rule"], r["title"] or "") for r in tasks},
        frozenset(at_risk),
    )


Worth = Mapping[Renewal, tuple[str, Decimal]]
"""Renewal -> currency and minor units, not rounded."""


def _worth(arr: Mapping[Renewal, tuple[str, int]], rates: Rates, day: date) -> Worth:
    """ARR in the reporting currency; in its own where there is no rate."""

    def of(currency: str, minor: int) -> tuple[str, Decimal]:
        try:
            return rates.reporting, rates.convert(minor, currency, rates.reporting, day)
        except MissingRateError:
            return currency, Decimal(minor)

    return {renewal: of(*amount) for renewal, amount in arr.items()}


def _effect(before: State, after: State, names: Mapping[str, str | None], arr: Worth) -> Effect:
    matrix: dict[str, Counter[str]] = {}
    moves = []
    for uid, pack in sorted(before.scores.keys() | after.scores.keys()):
        was, now = (s.scores.get((uid, pack), (None, "none")) for s in (before, after))
        matrix.setdefault(pack, Counter())[f"{was[1]} -> {now[1]}"] += 1
        if was != now:
            moves.append(Move(uid, names.get(uid), pack, was[0], now[0], was[1], now[1]))

    def signals(one: State, other: State) -> tuple[Item, ...]:
        found = sorted(one.signals - other.signals)
        return tuple(Item(uid, names.get(uid), pack, name) for uid, pack, name in found)

    def tasks(one: State, other: State) -> tuple[Item, ...]:
        found = sorted(task for key, task in one.tasks.items() if key not in other.tasks)
        return tuple(Item(uid, names.get(uid), pack, rule, title) for uid, pack, rule, title in found)

    return Effect(
        {pack: dict(sorted(counts.items())) for pack, counts in matrix.items()},
        tuple(moves),
        signals(after, before),
        signals(before, after),
        tasks(after, before),
        tasks(before, after),
        _sums(before.at_risk, arr),
        _sums(after.at_risk, arr),
    )


def _sums(renewals: frozenset[Renewal], arr: Worth) -> dict[str, int]:
    sums: dict[str, Decimal] = {}
    for renewal in sorted(renewals & arr.keys()):
        currency, amount = arr[renewal]
        sums[currency] = sums.get(currency, Decimal(0)) + amount
    return {currency: rounded(total) for currency, total in sorted(sums.items())}
