"""Why a result is no longer what it was: other data, edited rules, or both. Told apart by doing the day again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

from cssync.config import Workspace
from cssync.model import ENTITY
from cssync.rules.evaluate import evaluate
from cssync.rules.group_changes import group_changes, parents_at, rests_on_group, result_at
from cssync.rules.replay import Moment, aware, part_of, then, usage_then
from cssync.rules.tree import Expr, Pack, RuleSet, closure, used_names
from cssync.rules.versions import Evaluated, evaluations, last_evaluation, rules_of

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

Cause = Literal["first", "data", "rules", "both", "days", "unknown"]

BY_PEOPLE = frozenset(c.name for c in ENTITY["account_source"].columns)
"""Columns of account that vendors and people fill; the others are cssync's own."""


@dataclass(frozen=True, slots=True)
class InputChange:
    """An input that was otherwise: a feature, a fact, a column of the account, or a result of another pack."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of a result. since: as_of from which the value holds; before_as_of: of the evaluation before.

    cause: `data`, `rules`, `both`; `first`, there was none before; `days`, nothing it rests on changed but what rules
    remember from day to day; `unknown`, and `why`. data_alone: what the former rules say of the new data, and
    edit_alone what the new rules say of the former data, where the rules were edited in between. rules_before,
    rules_after: hashes of the pack.
    """

    name: str
    since: str
    value: Any
    previous: Any
    cause: Cause
    before_as_of: str | None = None
    inputs: tuple[InputChange, ...] = ()
    rules_before: str | None = None
    rules_after: str | None = None
    data_alone: Any = None
    edit_alone: Any = None
    why: str = ""


def last_changes(store: Store, workspace: Workspace, account_uid: str, at: str) -> Iterator[Change]:
    """Yield the last change of every result of an account that was in force at a stored instant, by name."""
    again = _Again(store, workspace, account_uid)
    for row in store.query(
        "SELECT name, value, since FROM result WHERE account_uid = :uid AND since <= :at UNION ALL "
        "SELECT name, value, since FROM result_history WHERE account_uid = :uid AND since <= :at AND until > :at "
        "ORDER BY name",
        {"uid": account_uid, "at": at},
    ):
        yield again.change(row["name"], row["since"], row["value"])


class _Again:
    """Evaluates one account again, each pair of rules and moment once."""

    def __init__(self, store: Store, workspace: Workspace, account_uid: str) -> None:
        self.store = store
        self.workspace = workspace
        self.uid = account_uid
        self.done: dict[tuple[str, str], dict[str, Any]] = {}
        self.read: dict[tuple[tuple[str, str], ...], RuleSet | None] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.parents = cache(partial(parents_at, store))

    def change(self, name: str, since: str, value: str) -> Change:
        """Return how a result came to its value at `since`."""
        found = self.store.query(
            "SELECT value FROM result_history WHERE account_uid = ? AND name = ? AND until = ? ORDER BY id DESC",
            (self.uid, name, since),
        )
        if not found:
            return Change(name, since, json.loads(value), None, "first")
        previous = json.loads(found[0]["value"])
        now, before = next(iter(evaluations(self.store, since, since)), None), last_evaluation(self.store, since)
        if now is None or before is None:
            why = "the evaluations are from before they were put on record"
            return Change(name, since, json.loads(value), previous, "unknown", why=why)
        pack = name.partition(".")[0]
        inputs = (*self.inputs(pack, before, now), *self.of_group(name, before, now))
        old, new = before.packs.get(pack), now.packs.get(pack)
        same = Change(
            name, since, json.loads(value), previous, "data" if inputs else "days", before.as_of, inputs, old, new
        )
        return same if old == new else self.split(same, before, now)

    def inputs(self, pack: str, before: Evaluated, now: Evaluated) -> Iterator[InputChange]:
        """Yield columns of the account, features, and results of other packs, that differ between two evaluations."""
        rules = self.rules(now)
        its = rules.pack(pack) if rules else None
        if rules is not None and its is not None and (columns := account_columns(rules, its)):
            held, holds = (self.account(rules, e) for e in (before, now))
            for name in columns:
                if held.get(name) != holds.get(name):
                    yield InputChange(name, held.get(name), holds.get(name))
        was, found = (self.features(pack, e.as_of) for e in (before, now))
        for name in sorted(was.keys() & found.keys()):
            if was[name] != found[name] and not name.startswith("measure."):
                yield InputChange(name, was[name], found[name])
        others = {n for e in (its.exprs if its else ()) for n in e.names("result")}
        for name in sorted(n for n in others if n.partition(".")[0] != pack):
            one, other = (self.result(name, e.as_of) for e in (before, now))
            if one != other:
                yield InputChange(name, one, other)

    def of_group(self, name: str, before: Evaluated, now: Evaluated) -> Iterator[InputChange]:
        """Yield what differs in the group of companies that a result is about."""
        pack, _, output = name.partition(".")
        its = rules.pack(pack) if rests_on_group(output) and (rules := self.rules(now)) else None
        if its is not None and (its.tiers is not None or its.score is not None):
            for one in group_changes(self.store, its, output, self.uid, before, now, self.parents):
                yield InputChange(*one)

    def rules(self, evaluated: Evaluated) -> RuleSet | None:
        if evaluated.files not in self.read:
            self.read[evaluated.files] = rules_of(self.store, evaluated)
        return self.read[evaluated.files]

    def account(self, rules: RuleSet, evaluated: Evaluated) -> dict[str, Any]:
        """Return the account as an evaluation found it; what was merged away or not known yet is empty."""
        if evaluated.as_of not in self.accounts:
            moment = Moment(aware(evaluated.as_of), aware(evaluated.known_at), evaluated)
            with then(self.store, moment, part=part_of(self.store, rules, self.uid)) as copy:
                rows = copy.query("SELECT * FROM account WHERE uid = ?", (self.uid,))
                self.accounts[evaluated.as_of] = dict(rows[0]) if rows else {}
        return self.accounts[evaluated.as_of]

    def features(self, pack: str, at: str) -> dict[str, Any]:
        rows = self.store.query(
            "SELECT features FROM feature_row WHERE account_uid = ? AND pack = ? AND as_of <= ? "
            "ORDER BY as_of DESC LIMIT 1",
            (self.uid, pack, at),
        )
        return dict(json.loads(rows[0]["features"])) if rows else {}

    def result(self, name: str, at: str) -> Any:
        return result_at(self.store, self.uid, name, at)

    def split(self, change: Change, before: Evaluated, now: Evaluated) -> Change:
        """Tell the edit's part from the data's: each alone, on the other's day."""
        old, new = self.rules(before), self.rules(now)
        if old is None or new is None:
            why = "the rules were edited, and this version of cssync reads the former ones otherwise"
            return replace(change, cause="unknown", why=why)
        data = self.judged(old, "old", now).get(change.name)
        edit = self.judged(new, "new", before).get(change.name)
        moved = (data != change.previous, edit != change.previous)
        causes: dict[tuple[bool, bool], Cause] = {(True, False): "data", (False, True): "rules", (True, True): "both"}
        return replace(change, cause=causes.get(moved, "both"), data_alone=data, edit_alone=edit)

    def judged(self, rules: RuleSet, label: str, evaluated: Evaluated) -> dict[str, Any]:
        """Return the results of the account by other rules than those of the day."""
        key = (label, evaluated.as_of)
        if key not in self.done:
            moment = Moment(aware(evaluated.as_of), aware(evaluated.known_at), evaluated)
            with then(self.store, moment, part=part_of(self.store, rules, self.uid)) as copy:
                usage = usage_then(self.store, copy, self.workspace, moment)
                evaluate(copy, rules, self.workspace, moment.as_of, run_id="explain", usage=usage)
                self.done[key] = results(copy, self.uid)
        return self.done[key]


def account_columns(rules: RuleSet, pack: Pack) -> list[str]:
    """Return the columns of account that a pack reads and that vendors and people fill."""
    used = closure(used_names(pack), rules.features)
    definitions = (f.definition for n, f in rules.features.items() if n in used)
    found = {n for e in (*pack.exprs, *(d for d in definitions if isinstance(d, Expr))) for n in e.names("account")}
    if pack.score and (override := pack.score.override):
        found |= {override.band, override.until}
    return sorted(found & BY_PEOPLE)


def results(store: Store, account_uid: str) -> dict[str, Any]:
    """Return the present results of an account by name."""
    rows = store.query("SELECT name, value FROM result WHERE account_uid = ?", (account_uid,))
    return {r["name"]: json.loads(r["value"]) for r in rows}


def told(change: Change, shown: Iterable[InputChange] | None = None) -> str:
    """Return the cause of a change as a sentence."""
    listed = list(change.inputs if shown is None else shown)
    moved = ", ".join(f"{i.name} {_text(i.before)} -> {_text(i.after)}" for i in listed[:4])
    moved += f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    if change.cause == "first":
        return "first judged then"
    if change.cause == "data":
        return f"because the data changed: {moved}" if moved else "because the data changed"
    if change.cause == "rules":
        return "because the rules were edited; the data alone would have left it"
    if change.cause == "both":
        parts = f"the data alone give {_text(change.data_alone)}, the edit alone {_text(change.edit_alone)}"
        return f"because data and rules changed: {parts}" + (f" ({moved})" if moved else "")
    if change.cause == "days":
        return "nothing it rests on changed: days that the rules count went by"
    return f"why cannot be told: {change.why}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
