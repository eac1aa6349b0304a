"""Time as a parameter: waiting and expiry are tested without sleeping."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """`time` is epoch seconds and may jump; `monotonic` never goes back and means nothing outside this process."""

    def time(self) -> float: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class _System:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM: Clock = _System()
"""The machine's clock."""


class ManualClock:
    """A clock for tests: sleeping moves it on at once and is written down in `slept`."""

    def __init__(self, start: float = 1_795_000_000.0) -> None:
        self.now = start
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def time(self) -> float:
        """Epoch seconds, as far as the test has moved them."""
        return self.now

    def monotonic(self) -> float:
        """The same seconds: this clock is never set back by itself."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on by `seconds`."""
        with self._lock:
            self.slept.append(seconds)
            self.now += seconds
