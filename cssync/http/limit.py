"""Rate limits kept by ourselves: the arithmetic, and a limiter for one process.

The arithmetic is the generic cell rate algorithm (GCRA, known from ATM networks as the virtual scheduling algorithm):
one number a bucket, the theoretical arrival time (`tat`) of the next call. `cssync.store.limiter` keeps the same
numbers in the store, where several processes share them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Protocol

from cssync.connectors.session import Bucket
from cssync.http.clock import SYSTEM, Clock

MARGIN, JITTER = 1.02, 0.04
"""A window is taken to last so many times longer, and at least so many seconds: a call that was delayed by 40 ms on its
way is then still outside of the next."""
WHOLE = 1.0
"""Seconds that a vendor's window may last longer than its header says: that is cut to whole seconds."""
LOW = 0.1
"""Share of a bucket's calls below which what the vendor says is left slows us down."""


class Limiter(Protocol):
    """Says how long to wait; never sleeps itself. Buckets of different connections never touch each other."""

    def acquire(self, connection: str, bucket: Bucket) -> float:
        """Reserve the next free slot and return the seconds until it."""
        ...

    def hold(self, connection: str, bucket_name: str, seconds: float) -> None:
        """Let nobody call on this bucket for so long: the vendor said so."""
        ...

    def held(self, connection: str, bucket_name: str) -> float:
        """Return the seconds that a hold still lasts, 0.0 without one.

        A caller that waited for its slot asks again before it sends: the hold may be younger than the reservation.
        """
        ...

    def told(self, connection: str, bucket: Bucket, remaining: int, seconds: float | None) -> None:
        """Take note that the vendor has `remaining` calls left on this bucket until `seconds` from now (None: it does
        not say). Somebody else uses them up: the next call waits for its share of that time."""
        ...


DAY = 86_400.0
"""Seconds that a bucket is held at most: no vendor's allowance is renewed more rarely. A reset that was written as an
epoch would otherwise shut the connection for decades."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A bucket as GCRA sees it: one call each `interval` seconds, `burst` of them at once after a pause.

    Any half-open window of `bucket.seconds` then holds at most burst + ceil(seconds / interval) - 1 calls, and the
    interval is chosen so that this is `bucket.calls`: the vendor's limit is not exceeded, whether it counts fixed or
    sliding windows. The price is the share (burst - 1) / calls of the steady rate, so the burst is a fiftieth of the
    calls; MARGIN and JITTER are for calls that arrive a little earlier or later than they were sent. At least 96 % of
    what is allowed in windows of a second and more is used by whoever has enough to ask for.
    """

    interval: float
    burst: int

    @classmethod
    def of(cls, bucket: Bucket) -> Pace:
        """Return the pace of a bucket; `calls` of 0 means that only holds apply."""
        if bucket.calls <= 0:
            return cls(0.0, 1)
        burst = max(1, bucket.calls // 50)
        seconds = max(MARGIN * bucket.seconds, bucket.seconds + JITTER)
        return cls(seconds / (bucket.calls - burst + 1), burst)


@dataclass(frozen=True, slots=True)
class Level:
    """The state of a bucket, in seconds of one clock. `blocked_until` ends a hold. Where the vendor counts windows,
    `tat` is the end of the present one (or of the one that callers queue for) and `taken` its calls so far."""

    tat: float = 0.0
    blocked_until: float = 0.0
    taken: int = 0


QUEUE = 200
"""No more callers than this queue for one bucket; a `tat` further ahead means that the clock was
set back."""


def reserve(level: Level, pace: Pace, now: float) -> tuple[Level, float]:
    """Take the next slot: return the new state and the seconds to wait for it."""
    start = max(now, level.blocked_until)
    tat = min(level.tat, start + pace.interval * (pace.burst + QUEUE))
    slot = max(start, tat - (pace.burst - 1) * pace.interval)
    return replace(level, tat=max(tat, slot) + pace.interval), slot - now


def take(level: Level, bucket: Bucket, now: float) -> tuple[Level, float]:
    """Take the next slot of a bucket: return the new state and the seconds to wait for it."""
    if not bucket.windowed:
        return reserve(level, Pace.of(bucket), now)
    start, ends, taken = max(now, level.blocked_until), level.tat, level.taken
    if not 0.0 < ends <= start + bucket.seconds * (2 + QUEUE / bucket.calls):
        ends, taken = start + bucket.seconds, 0
    elif start >= ends:
        ends, taken = ends + bucket.seconds * ((start - ends) // bucket.seconds + 1), 0
    elif taken >= bucket.calls:
        ends, taken = ends + bucket.seconds, 0
    return replace(level, tat=ends, taken=taken + 1), max(start, ends - bucket.seconds) - now


def block(level: Level, seconds: float, now: float) -> Level:
    """Hold the bucket for `seconds`, a day at most; a hold that lasts longer already stays."""
    return replace(level, blocked_until=max(level.blocked_until, now + min(seconds, DAY)))


def noted(level: Level, bucket: Bucket, remaining: int, seconds: float | None, now: float) -> Level:
    """Take over what the vendor says is left for so many seconds.

    A window is set to end when the vendor's does; calls that we took and that it has not seen yet stay counted. A paced
    bucket spreads the few that are left over the time until there are new ones, where our pace would use them up.
    """
    if seconds is None or bucket.calls <= 0:
        return level
    seconds = min(seconds, DAY)
    if bucket.windowed:
        ends = now + seconds + WHOLE
        ahead = round((level.tat - ends) / bucket.seconds)  # windows that callers queue for already
        if ahead > 0:
            return replace(level, tat=ends + ahead * bucket.seconds)
        return replace(level, tat=ends, taken=max(level.taken, bucket.calls - remaining))
    if not 0 < remaining < LOW * bucket.calls or remaining * Pace.of(bucket).interval >= seconds:
        return level
    return block(level, seconds / (remaining + 1), now)


class ProcessLimiter:
    """Buckets in memory, shared by the threads of this process."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: dict[tuple[str, str], Level] = {}

    def acquire(self, connection: str, bucket: Bucket) -> float:
        """See `Limiter.acquire`."""
        key = (connection, bucket.name)
        if bucket.calls <= 0:
            return self.held(connection, bucket.name)
        with self._lock:
            level, wait = take(self._levels.get(key, Level()), bucket, self._clock.monotonic())
            self._levels[key] = level
        return wait

    def hold(self, connection: str, bucket_name: str, seconds: float) -> None:
        """See `Limiter.hold`."""
        key = (connection, bucket_name)
        with self._lock:
            self._levels[key] = block(self._levels.get(key, Level()), seconds, self._clock.monotonic())

    def held(self, connection: str, bucket_name: str) -> float:
        """See `Limiter.held`."""
        with self._lock:
            level = self._levels.get((connection, bucket_name), Level())
        return max(0.0, level.blocked_until - self._clock.monotonic())

    def told(self, connection: str, bucket: Bucket, remaining: int, seconds: float | None) -> None:
        """See `Limiter.told`."""
        key = (connection, bucket.name)
        with self._lock:
            level = self._levels.get(key, Level())
            self._levels[key] = noted(level, bucket, remaining, seconds, self._clock.monotonic())


class _Unlimited:
    def acquire(self, connection: str, bucket: Bucket) -> float:
        return 0.0

    def hold(self, connection: str, bucket_name: str, seconds: float) -> None:
        pass

    def held(self, connection: str, bucket_name: str) -> float:
        return 0.0

    def told(self, connection: str, bucket: Bucket, remaining: int, seconds: float | None) -> None:
        pass


UNLIMITED: Limiter = _Unlimited()
"""Keeps no limit: for benchmarks and tests against a vendor of our own. Answers of the vendor are still obeyed."""
