"""How far a stream has been read: the checkpoint that the core stores and hands back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cssync.connectors import Cursor
from cssync.errors import ConnectionFault
from cssync_salesforce import soql


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream has been read.

    stamp: change stamp of the last record passed, None before the first. record: its id while a pass is under way,
    so that the next run goes on right behind it. started: the vendor's time at which the pass began.
    """

    stamp: datetime | None = None
    record: str | None = None
    started: datetime | None = None

    @classmethod
    def load(cls, cursor: Cursor | None) -> Position:
        """Read a committed cursor; {} and None are the beginning.

        Raises:
            ConnectionFault: it is not one of ours; it is never taken for the beginning.
        """
        if not cursor:
            return cls()
        try:
            stamp, record, started = (cursor.get(n) for n in ("stamp", "id", "started"))
            return cls(
                soql.moment(stamp) if stamp else None, soql.id18(record), soql.moment(started) if started else None
            )
        except (AttributeError, TypeError, ValueError):
            raise ConnectionFault(
                "the stored cursor of this stream cannot be read",
                kept="nothing was changed",
                fix="read the stream again from the beginning: `cssync sync CONNECTION --stream STREAM --full`",
            ) from None

    def dump(self) -> dict[str, str]:
        """Return the cursor to commit."""
        held = {
            "stamp": self.stamp and soql.instant(self.stamp),
            "id": self.record,
            "started": self.started and soql.instant(self.started),
        }
        return {name: value for name, value in held.items() if value}

    def bound(self, stamp: str, lag: timedelta) -> list[str]:
        """Return the condition for what is still to be read.

        Between passes: everything from the last stamp on, but from `lag` before the last pass began where that is
        earlier. A transaction shorter than `lag` cannot appear behind that bound; a stamp older than it is complete.
        """
        low = self.low(lag)
        if low is None:
            return []
        at = soql.instant(low)
        if self.record:
            return [f"({stamp} > {at} OR ({stamp} = {at} AND Id > {soql.text(self.record)}))"]
        return [f"{stamp} >= {at}"]

    def low(self, lag: timedelta) -> datetime | None:
        """Return the earliest stamp that is still to be read, None for the first there is."""
        if self.stamp is None or self.record or self.started is None:
            return self.stamp
        return min(self.stamp, self.started - lag)
