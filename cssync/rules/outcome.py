"""What a pack says about one account: the same from the SQL and from the interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from cssync.rules.memory import FIRST_DAY, Memory


@dataclass
class Outcome:
    """Everything a pack says about one account, by the names of the compiler's columns.

    held: measures that keep their last value. held_caps: numbers of the caps that do. weights: of the model that
    judged it. override_end: last day of the override in force, None when there is none. memory: what the next day
    starts from. event: which of the account's renewal events it is about; tasks that are not about one are judged with
    the next one, 1, alone. totals: results that are sums over them.
    currencies: of the money among those; only the interpreter tells.
    """

    event: int = 1

    features: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, int | None] = field(default_factory=dict)
    applies: dict[str, bool] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    model: str | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    raw_score: int | None = None
    score: int | None = None
    coverage: int | None = None
    computed_band: str | None = None
    band: str | None = None
    override_end: date | None = None
    memory: Memory = FIRST_DAY
    caps: list[bool | None] = field(default_factory=list)
    held_caps: frozenset[int] = frozenset()
    results: dict[str, Any] = field(default_factory=dict)
    totals: dict[str, int | None] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict, compare=False)
    signals: dict[str, bool | None] = field(default_factory=dict)
    severity: dict[str, float | None] = field(default_factory=dict)
    tasks: dict[str, bool | None] = field(default_factory=dict)
    done: dict[str, bool | None] = field(default_factory=dict)
    due: dict[str, date | None] = field(default_factory=dict)
    priority: dict[str, str | None] = field(default_factory=dict)
    copy: dict[str, str | None] = field(default_factory=dict)
