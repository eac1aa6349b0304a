"""The moment a command speaks of; the one place where the command line reads the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from cssync.errors import ConfigError

if TYPE_CHECKING:
    from cssync.config import Workspace


EARLIEST = date(1990, 1, 1)
"""Nothing is on record of a day before this, and windows of many years still begin within the calendar."""


def now() -> datetime:
    """This moment (UTC)."""
    return datetime.now(UTC)


def as_of(text: str | None, workspace: Workspace) -> datetime:
    """Return the instant that `--as-of` means: now without it; for a day its end in the workspace's time zone, but
    never later than now; for an ISO instant with offset just that.

    Raises:
        ConfigError: neither a day nor an instant, before EARLIEST or in the future.
    """
    moment = now()
    if text is None:
        return moment
    try:
        if len(text) == len("2026-11-20"):
            day = date.fromisoformat(text)
            found = datetime.combine(day, time(23, 59, 59), workspace.timezone)
            if day == moment.astimezone(workspace.timezone).date():
                return moment
        else:
            found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--as-of {text!r} is no day", fix="write YYYY-MM-DD") from None
    if found.tzinfo is None:
        raise ConfigError(
            f"--as-of {text!r} names no time zone", fix="write a day, or an instant such as 2026-11-20T09:00Z"
        )
    if found.date() < EARLIEST:
        raise ConfigError(f"--as-of {text} lies before {EARLIEST}, of which nothing is on record")
    if found > moment:
        raise ConfigError(f"--as-of {text} lies in the future")
    return found.astimezone(UTC)


def ago(instant: str | None, moment: datetime) -> str:
    """Say how long ago an instant of the store was: `5 min`, `3 h`, `12 d`; a dash for none."""
    if not instant:
        return "-"
    seconds = max(0, int((moment - datetime.fromisoformat(instant)).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
