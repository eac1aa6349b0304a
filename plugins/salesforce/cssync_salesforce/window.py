"""How much of an object one query asks for: everything behind a position, or a span of change stamps where Salesforce
takes longer over that than it allows itself (120 s)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cssync_salesforce import soql

FIRST = datetime(1999, 2, 1, tzinfo=UTC)
"""No record is older than Salesforce itself."""
LEAST = timedelta(seconds=1)
"""Change stamps have whole seconds: a shorter span cannot be asked for."""


@dataclass(frozen=True, slots=True)
class Window:
    """Change stamps from `low` on, None: from the first. high: before which, None: to the present. bound: the
    condition for the lower end."""

    bound: Sequence[str]
    low: datetime | None = None
    high: datetime | None = None

    def conditions(self, stamp: str) -> list[str]:
        """Return what a query asks for."""
        return [*self.bound, *([f"{stamp} < {soql.instant(self.high)}"] if self.high else [])]

    def half(self, now: datetime) -> Window | None:
        """Return the earlier half; None where it is as short as can be."""
        low, high = self.low or FIRST, self.high or now
        span = (high - low) / 2
        if span < LEAST:
            return None
        return Window(self.bound, self.low, (low + span).replace(microsecond=0))

    def following(self, stamp: str, now: datetime) -> Window | None:
        """Return the window behind this one, as long as this one; None where this one reached the present."""
        if self.high is None:
            return None
        high = self.high + (self.high - (self.low or FIRST))
        return Window([f"{stamp} >= {soql.instant(self.high)}"], self.high, high if high < now else None)
