"""Options of the key figures: defaults from a file of the standard rule set, changed by `metrics:` of cssync.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any

from cssync.config import Workspace
from cssync.config.raw import RawMetrics
from cssync.config.reader import parse
from cssync.config.shape import validate
from cssync.metrics.retention import Reactivation
from cssync.plugins import plugins

FILE = ("metrics", "defaults.yaml")


@dataclass(frozen=True, slots=True)
class Options:
    """What the figures of a report rest on; the keys of `metrics:` in docs/configuration.md."""

    reactivation: Reactivation
    logos: str
    exclude_contracted_steps: bool
    small_cohort: int
    max_lifetime_months: int
    min_responses: int
    nps_days: int
    value_metric: str
    value_days: int
    chances: Mapping[str, Decimal]
    gross_margin: Decimal | None = None


def options(workspace: Workspace) -> Options:
    """Return the options in force.

    Raises:
        FaultyFileError: the file of defaults is damaged.
    """
    given = dict(workspace.metrics)
    known = defaults()
    return Options(**{**known, **given, "chances": {**known["chances"], **given.get("chances", {})}})


@cache
def defaults() -> Mapping[str, Any]:
    """Return the defaults as key -> value; see `options` for what is raised."""
    file: Traversable = plugins().rule_packs["standard"]
    for part in FILE:
        file = file / part
    document = parse(file.read_bytes(), f"standard/{'/'.join(FILE)}")
    raw = validate(document, RawMetrics, document.data)
    document.settle()
    if raw is None:
        raise AssertionError("a file that does not fit its model has faults")
    return raw.model_dump(exclude_none=True)
