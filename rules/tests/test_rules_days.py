"""What people read in the CRM does not change because a day went by: it holds dates, and no counts of days."""

from __future__ import annotations

from importlib.resources import files

from cssync.rules import load_folders, written_fields
from cssync.rules.tree import Expr, Place, closure

RULES = load_folders([("standard", files("cssync_rules"))])
COUNTING = frozenset({"days_since", "days_until"})


def counts_days(expr: Expr) -> bool:
    """Whether an expression is another number tomorrow with the same data: one that shows a count of days."""
    names = closure(expr.names("feature"), RULES.features)
    formulas = [d for n in names if n in RULES.features and isinstance(d := RULES.features[n].definition, Expr)]
    counted = (e for e in (expr, *formulas) if e.type in ("integer", "number"))
    return any(part.op in COUNTING for e in counted for part in e.walk())


def test_no_text_shows_a_number_of_days() -> None:
    shown = {
        f"{pack.name}: {place.name}"
        for pack in RULES.packs
        for text in pack.texts
        for place in text.parts
        if isinstance(place, Place)
        and place.kind == "feature"
        and counts_days(Expr("feature", place.type, value=place.name))
    }
    assert shown == set()


def test_no_written_number_is_a_count_of_days() -> None:
    written = set(written_fields(RULES))
    counts = {
        f"{pack.name}.{result.name}"
        for pack in RULES.packs
        for result in pack.results
        if f"{pack.name}.{result.name}" in written
        and result.type in ("integer", "number")
        and any(counts_days(e) for e in values(result.rule))
    }
    assert counts == set()


def values(rule: object) -> list[Expr]:
    """The expressions that give a result its value; its conditions decide between them and are no part of it."""
    if isinstance(rule, Expr):
        return [rule]
    return [value for value, _ in rule.lines]  # type: ignore[attr-defined]


def test_the_test_sees_a_count_of_days() -> None:
    assert counts_days(Expr("feature", "integer", value="idle_days"))
    assert not counts_days(Expr("feature", "date", value="last_active_on"))
