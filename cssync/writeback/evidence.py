"""What each change of a plan stands on: the features behind its result, as they were when it was judged.

It is read from the feature rows of the evaluation that the plan rests on: a later one has rows of its own, even in the
second in which the plan was made. The plan itself holds the sentence (`because`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cssync.rules.tree import Pack, Place, Texts, closure, measure_exprs, rule_exprs
from cssync.writeback.changes import Plan

if TYPE_CHECKING:
    from cssync.rules import RuleSet
    from cssync.store import Store

Evidence = Mapping[tuple[str, str], Mapping[str, Any]]
"""(account uid, result or rule) -> feature -> value; of a list of signals: signal -> its inputs."""


def evidence(store: Store, rules: RuleSet, plan: Plan) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the evidence of every change. A result that no loaded pack has any more has none."""
    wanted = {(change.account_uid, change.result_name) for change in plan.changes}
    uids = json.dumps(sorted({uid for uid, _ in wanted}))
    rows = {
        (r["account_uid"], r["pack"]): json.loads(r["features"])
        for r in store.query(
            "SELECT account_uid, pack, features, max(as_of) FROM feature_row WHERE as_of <= ? AND account_uid IN "
            "(SELECT value FROM json_each(?)) GROUP BY account_uid, pack",
            (plan.results_as_of, uids),
        )
    }
    names = {result: _names(rules, result) for result in {result for _, result in wanted}}
    lists = {result: _signals(rules, result) for result in names}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for change in plan.changes:
        uid, result = change.account_uid, change.result_name
        row = rows.get((uid, result.partition(".")[0]), {})
        signals = lists[result]
        if signals is None:
            found[uid, result] = _of(row, names[result])
        else:
            listed = change.new if isinstance(change.new, list) else []
            found[uid, result] = {name: _of(row, signals[name]) for name in listed if name in signals}
    return found


def _of(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in sorted(names) if name in row}


def _signals(rules: RuleSet, result: str) -> dict[str, set[str]] | None:
    """Signal -> features it looks at, for a result that lists signals; None for any other."""
    name, _, output = result.partition(".")
    pack = rules.pack(name)
    if pack is None or not pack.signals or output != pack.signal_list:
        return None
    return {s.name: closure(s.when.names("feature") | _shown((s.because,)), rules.features) for s in pack.signals}


def _names(rules: RuleSet, result: str) -> set[str]:
    """Features that a result, or a rule for a task, rests on."""
    name, _, output = result.partition(".")
    pack = rules.pack(name)
    if pack is None:
        return set()
    task = next((t for t in pack.tasks if t.name == output), None)
    own = next((r for r in pack.results if r.name == output), None)
    if task is not None:
        direct = task.when.names("feature") | task.due.names("feature") | _shown((task.title, task.body))
    elif own is not None:
        direct = {n for e in rule_exprs(own.rule) for n in e.names("feature")}
    else:
        direct = _of_score(pack)
    return closure(direct, rules.features)


def _of_score(pack: Pack) -> set[str]:
    if pack.score is None:
        return set()
    exprs = [e for m in pack.score.measures for e in measure_exprs(m)] + [c.when for c in pack.score.caps]
    return {n for e in exprs for n in e.names("feature")} | _shown(m.because for m in pack.score.measures)


def _shown(texts: Iterable[Texts]) -> set[str]:
    """Features that these texts show."""
    places = (p for each in texts for template in each.values() for p in template.parts if isinstance(p, Place))
    return {p.name for p in places if p.kind == "feature"}
