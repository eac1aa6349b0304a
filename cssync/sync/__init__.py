"""Vendor pages into the store: threads read, one writer commits rows and checkpoint together."""

from cssync.sync.engine import StreamReport, sync

__all__ = ["StreamReport", "sync"]
