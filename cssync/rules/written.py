"""The fields that results are written to: what `cssync provision` creates in a CRM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from cssync.connectors import OwnField
from cssync.model.columns import TIERS
from cssync.rules.catalogue import OUTPUTS, score_outputs
from cssync.rules.tiers import TIER
from cssync.rules.tree import Pack, RuleSet, Type

Kind = Literal["integer", "real", "text", "date", "bool", "enum", "multi", "money"]
_KIND: Mapping[Type, Kind] = {
    "bool": "bool",
    "integer": "integer",
    "number": "real",
    "money": "money",
    "date": "date",
    "text": "text",
}
_SCORE: Mapping[str, tuple[str, str]] = {
    "score": ("score", "0 to 100, higher is healthier; empty when too little is known."),
    "band": ("band", "Band of the score; unknown when too little is known."),
    "coverage": ("coverage", "Percent of the measures' weight that is known."),
    "reasons": ("reasons", "What takes points off, largest first, with the numbers behind it; signed and dated."),
    "lost_points": ("lost points", "The measures that take most points off, with the points; - where none does."),
    "as_of": ("data as of", "Day up to which the data behind the score is complete."),
    "data_status": ("data status", "ok; partial: a source is late; stale: the last score is shown."),
    "model": ("model", "Which model judged the account."),
    "computed_band": ("computed band", "Band that the score says, whatever was set by hand."),
    "trend": ("trend", "Direction of the score over the last weeks; unknown when too few days are comparable."),
    "trend_points": ("trend points", "Median score of the last days minus that of as many days before."),
    "rollup_score": ("roll-up score", "Score over this account's subsidiaries."),
    "rollup_coverage": (
        "roll-up coverage",
        "Percent of the subsidiaries, by their weight, that have a score.",
    ),
    "rollup_worst_band": ("worst band", "Worst band among the subsidiaries."),
}
WrittenField = OwnField
"""A field that a result is written to, as the connectors take it."""
NOTE = " Written by cssync: do not edit."


def written_fields(rules: RuleSet) -> dict[str, OwnField]:
    """Return result name -> field declaration, in the order of the packs.

    `name` is the usual field name (`cs_health_score`); the name in cssync.yaml wins. Multi-values have one option per
    signal, enumerations their known values.
    """
    return {name: field for pack in rules.packs for name, field in _of(pack)}


def _of(pack: Pack) -> list[tuple[str, OwnField]]:
    title = pack.name.replace("_", " ")
    found: list[tuple[str, OwnField]] = []

    def add(output: str, label: str, kind: Kind, options: tuple[str, ...], describe: str, field: str = "") -> None:
        days = f"_{pack.score.trend.before}d" if output == "trend" and pack.score and pack.score.trend else ""
        name = field or f"cs_{pack.name}_{output}{days}"
        found.append((f"{pack.name}.{output}", OwnField(name, label, kind, options, describe + NOTE)))

    for output in score_outputs(pack.score.keys) if pack.score else ():
        kind, options = OUTPUTS[output]
        if output == "model" and pack.score:
            options = tuple(model.name for model in pack.score.models)
        words, describe = _SCORE[output]
        add(output, f"{title} {words}".capitalize(), "enum" if options else _KIND[kind], options, describe)
    if pack.tiers is not None:
        add(TIER, "Touch tier", "enum", TIERS, "How much of a person's time the account gets.")
    for result in pack.results:
        shown = "enum" if result.options else _KIND[result.type]
        add(result.name, result.label, shown, result.options, result.describe, result.field)
    if pack.signals:
        listed = "; ".join(f"{s.name}: {_words(s.label['en'].parts)}" for s in pack.signals)
        options = tuple(sorted(s.name for s in pack.signals))
        add(pack.signal_list, f"{title} {pack.signal_list}".capitalize(), "multi", options, f"{listed}.")
    return found


def _words(parts: tuple[object, ...]) -> str:
    return "".join(p for p in parts if isinstance(p, str))
