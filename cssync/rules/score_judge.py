"""The score of one account, as the interpreter sees it. `score_sql` says the same in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cssync.model import BANDS
from cssync.rules.freshness import Context
from cssync.rules.grounds import is_cap_held, is_held
from cssync.rules.memory import Memory, caps_told, follow, override_end
from cssync.rules.outcome import Outcome
from cssync.rules.tree import Bounds, Curve, Expr, Feature, Measure, Model, Override, Score

if TYPE_CHECKING:
    from cssync.rules.expressions import Interpreter


def judge_score(
    score: Score,
    features: Mapping[str, Feature],
    context: Context,
    i: Interpreter,
    memory: Memory,
    found: Outcome,
    forced: str | None = None,
) -> dict[str, Any]:
    """Judge the account that `i` looks at into `found`; returns the outputs that rules of the pack may read.

    forced: judge by that model, whatever the conditions of the models say.
    """
    own = (m for m in score.models if m.when is None or i.value(m.when))
    model = score.model(forced) if forced else next(own)
    found.model, found.weights = model.name, model.weights
    covered = total = applicable = 0
    for m in score.measures:
        value, counts = _measure(m, i)
        if value is None and counts and is_held(m, features, context):
            value = memory.measures.get(m.name)
            found.held |= {m.name} if value is not None else frozenset()
        found.measures[m.name], found.applies[m.name] = value, counts
        weight = model.weights[m.name]
        applicable += weight if counts else 0
        if value is not None:
            covered, total = covered + weight, total + weight * value
    if covered and covered * 100 >= model.coverage * applicable:
        found.raw_score = (2 * total + covered) // (2 * covered)
    if applicable:
        found.coverage = (200 * covered + applicable) // (2 * applicable)
    found.caps = [i.value(c.when) for c in score.caps]
    for n, cap in enumerate(score.caps):
        if found.caps[n] is None and is_cap_held(cap, features, context):
            found.caps[n] = memory.cap(n)
            found.held_caps |= {n} if found.caps[n] is not None else frozenset()
    limits = [c.at_most for c, true in zip(score.caps, found.caps, strict=True) if true]
    found.score = None if found.raw_score is None else min([found.raw_score, *limits])
    _band(score, model, memory, found)
    if score.override is not None:
        _override(score.override, i, memory, found)
    return {name: getattr(found, name) for name in ("score", "coverage", "band", "computed_band", "model")}


def _measure(m: Measure, i: Interpreter) -> tuple[int | None, bool]:
    """Value of a measure, and whether its weight counts."""
    if m.applies is not None and i.value(m.applies) is False:
        return None, False
    value = i.curve(m.rule) if isinstance(m.rule, Curve) else i.lines(m.rule)
    return value, value is not None or m.missing != "ignore"


def _band(score: Score, model: Model, memory: Memory, found: Outcome) -> None:
    """A score held by a cap has no better band than its own, at once: caps skip the hysteresis."""
    band, yellow_days, green_days = follow(memory, found.raw_score, model.bands, score.hysteresis)
    found.computed_band = band_of(found.score, model.bands)
    if found.score is not None and band is not None:
        capped = found.score != found.raw_score
        found.computed_band = max(band, found.computed_band, key=BANDS.index) if capped else band
    found.band = found.computed_band
    found.memory = Memory(band, yellow_days, green_days, caps=caps_told(found.caps))


def _override(by: Override, i: Interpreter, memory: Memory, found: Outcome) -> None:
    """Let a band that a person set hold until it ends."""
    band = i.ref(Expr("account", "text", value=by.band))
    until = i.ref(Expr("account", "date", value=by.until))
    if band is None:
        return
    same = (memory.override_band, memory.override_until) == (band, until)
    since = memory.override_since if same and memory.override_since else i.today
    found.memory = replace(found.memory, override_band=band, override_until=until, override_since=since)
    end = override_end(until, since)
    if end >= i.today:
        found.band, found.override_end = band, end


def band_of(score: int | None, bounds: Bounds) -> str:
    """Return the band of an integer score; lower bounds are inclusive, no score is `unknown`."""
    if score is None:
        return "unknown"
    return next(name for name, bound in bounds if score >= bound)
