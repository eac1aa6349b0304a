"""When to try again: a few times, further and further apart, and never beyond patience."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

import tenacity

T = TypeVar("T")

TRIES = 6
"""A request is sent at most so often, and one renewal of the token beside it."""
CONNECT_TRIES = 4
"""Tries to reach a host at all: a wrong host name should be told within seconds."""
UNREADABLE_TRIES = 3
"""Tries to get something readable: a gateway's page passes, a login page that stands before the vendor does not."""
BACKOFF = tenacity.wait_random_exponential(multiplier=0.5, max=30)
"""Full jitter: uniform between 0 and 0.5 s, 1 s, 2 s ... 30 s."""


class Again(Exception):  # noqa: N818 - steers the loop, never reaches a caller
    """Try once more: not before `seconds` (None: by our own backoff), and nobody else on the bucket `hold` either.

    `fault` says what happened and `fix` what a person could do, should this have been the last try. `awaited`:
    what the wait is for. passing: whether the next run may well succeed where this one did not.
    """

    def __init__(
        self,
        fault: str,
        *,
        seconds: float | None = None,
        hold: str | None = None,
        fix: str = "",
        tries: int = TRIES,
        awaited: str = "",
        passing: bool = True,
    ) -> None:
        super().__init__(fault)
        self.fault = fault
        self.seconds = seconds
        self.hold = hold
        self.fix = fix
        self.tries = tries
        self.awaited = awaited
        self.passing = passing


def persist(
    attempt: Callable[[], T],
    *,
    patience: float,
    sleep: Callable[[float, Again], None],
    hold: Callable[[str, float], None],
    give_up: Callable[[Again, int], NoReturn],
) -> T:
    """Call `attempt` until it returns or raises anything but `Again`.

    The wait is the longer of what was asked for and our own backoff; `hold` is told of it before it begins, so that
    the others on the bucket wait too. After the last try, before a single wait longer than `patience` seconds, and
    before one that would bring all waits to more than twice that, `give_up` raises: it gets the last `Again` and the
    number of tries.
    """
    first: Again | None = None
    try:
        return attempt()  # most requests need no more: tenacity's book-keeping would cost each of them 0.1 ms
    except Again as again:
        first = again
    waited = 0.0

    def once() -> T:
        nonlocal first
        if first is not None:
            again, first = first, None
            raise again
        return attempt()

    def wait(state: tenacity.RetryCallState) -> float:
        again = _again(state)
        seconds = max(again.seconds or 0.0, BACKOFF(state))
        if again.hold:
            hold(again.hold, seconds)
        return seconds

    def stop(state: tenacity.RetryCallState) -> bool:
        seconds = state.upcoming_sleep
        return state.attempt_number >= _again(state).tries or seconds > patience or waited + seconds > 2 * patience

    def pause(state: tenacity.RetryCallState) -> None:
        nonlocal waited
        waited += state.upcoming_sleep
        sleep(state.upcoming_sleep, _again(state))

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Again),
        wait=wait,
        stop=stop,
        before_sleep=pause,
        sleep=lambda seconds: None,
        retry_error_callback=lambda state: give_up(_again(state), state.attempt_number),
    )
    return retrying(once)


def _again(state: tenacity.RetryCallState) -> Again:
    assert state.outcome is not None  # noqa: S101 - tenacity asks only after an attempt
    error = state.outcome.exception()
    assert isinstance(error, Again)  # noqa: S101 - the only kind that is retried
    return error
