"""One token for a whole connection: fetched once, renewed ahead of its end, by one thread while the others wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cssync.connectors.contract import Token
from cssync.errors import CssyncError, TransientFault
from cssync.http.clock import Clock

MARGIN = 60.0
SHARE = 0.2
"""A token is renewed so long before its end: 60 s, or a fifth of its life where that is less."""


class TokenSource:
    """The current token of a connection.

    login: fetches a new token; may raise a CssyncError. A refusal is remembered: the other threads of this session
    get the same error and do not knock again (a vendor may lock the user out).
    """

    def __init__(self, login: Callable[[], Token], clock: Clock) -> None:
        self._login = login
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._renew_at = 0.0
        self._refusal: CssyncError | None = None

    def get(self) -> Token:
        """Return a token that is good for the next request."""
        token = self._token
        if token is not None and self._clock.monotonic() < self._renew_at:
            return token
        with self._lock:
            if self._token is None or self._clock.monotonic() >= self._renew_at:
                self._fetch()
            assert self._token is not None  # noqa: S101 - _fetch sets it or raises
            return self._token

    def renew(self, dead: Token) -> None:
        """Replace a token that the vendor refused; does nothing when another thread has replaced it already."""
        with self._lock:
            if self._token is dead:
                self._fetch()

    def _fetch(self) -> None:
        if self._refusal is not None:
            known = self._refusal
            raise type(known)(known.message, kept=known.kept, fix=known.fix)
        asked_at = self._clock.monotonic()
        try:
            token = self._login()
        except TransientFault:
            raise
        except CssyncError as refusal:
            self._refusal = refusal
            raise
        life = token.expires_in
        self._renew_at = float("inf") if life is None else asked_at + life - min(MARGIN, SHARE * life)
        self._token = token
