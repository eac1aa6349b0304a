"""The sandbox's search: filters over the state that the index has caught up with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cssync_hubspot.sandbox.portal import Thing

Properties = Mapping[str, str | None]


def indexed(thing: Thing, until: float) -> Properties | None:
    """Return the properties of a record as they were at `until`; None if it did not exist or is archived."""
    if thing.archived is not None or thing.created > until:
        return None
    return next((held for changed, held in thing.indexed if changed > until), thing.properties)


def too_many(groups: list[Mapping[str, Any]]) -> bool:
    """Whether a request has more filters than HubSpot takes: 5 groups, 6 in each, 18 in all."""
    sizes = [len(g.get("filters") or ()) for g in groups]
    return len(sizes) > 5 or any(s > 6 for s in sizes) or sum(sizes) > 18


def matches(held: Properties, groups: list[Mapping[str, Any]]) -> bool:
    """Whether a record passes: all filters of any group; no groups pass everything."""
    return not groups or any(all(_passes(held, f) for f in g.get("filters") or ()) for g in groups)


def order(sorts: list[Any]) -> tuple[str, bool]:
    """Return (property, descending) of the one sort rule, in either form the API takes."""
    rule = sorts[0] if sorts else "hs_object_id"
    if isinstance(rule, Mapping):
        return str(rule.get("propertyName")), rule.get("direction") == "DESCENDING"
    return str(rule).removeprefix("-"), str(rule).startswith("-")


def comparable(value: str | None) -> tuple[int, float, str]:
    """A key that orders numbers and instants by value and everything else as text; empty comes first."""
    if value is None:
        return (0, 0.0, "")
    number = _number(value)
    return (1, number, "") if number is not None else (2, 0.0, value.casefold())


def _number(value: str) -> float | None:
    if re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    if re.match(r"\d{4}-\d{2}-\d{2}", value):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000
    return None


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda a, b: a == b,
    "NEQ": lambda a, b: a != b,
    "GT": lambda a, b: a > b,
    "GTE": lambda a, b: a >= b,
    "LT": lambda a, b: a < b,
    "LTE": lambda a, b: a <= b,
}


def _passes(held: Properties, rule: Mapping[str, Any]) -> bool:
    value = held.get(str(rule.get("propertyName")))
    operator = str(rule.get("operator"))
    if operator == "HAS_PROPERTY":
        return value is not None
    if operator == "NOT_HAS_PROPERTY":
        return value is None
    if value is None:
        return operator in ("NEQ", "NOT_IN")
    if operator in ("IN", "NOT_IN"):
        return (value.casefold() in {str(v).casefold() for v in rule.get("values") or ()}) == (operator == "IN")
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        words = re.split(r"\W+", value.casefold())
        return (str(rule.get("value")).casefold().strip("*") in words) == (operator == "CONTAINS_TOKEN")
    if operator == "BETWEEN":
        low, high = (comparable(str(rule.get(k))) for k in ("value", "highValue"))
        return low <= comparable(value) <= high
    return _COMPARE[operator](comparable(value), comparable(str(rule.get("value"))))


OPERATORS = frozenset(
    {*_COMPARE, "HAS_PROPERTY", "NOT_HAS_PROPERTY", "IN", "NOT_IN", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN", "BETWEEN"}
)
