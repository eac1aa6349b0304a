"""One token for a whole connection: fetched once, renewed ahead of its end, by one thread of one process while the
others wait.

A connector gives `Vendor.login` (client credentials, a signed assertion) or `Vendor.renew` with the `refresh_token` of
the configuration (a grant whose refresh token changes with each use). Everything else is here: when to renew, who does
it, and that a new refresh token is stored, sealed, before the access token that came with it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from cssync.connectors.session import Token
from cssync.errors import CssyncError, TransientFault
from cssync.http.clock import Clock
from cssync.http.redaction import remember
from cssync.http.seal import Seal

MARGIN = 60.0
SHARE = 0.2
"""A token is renewed so long before its end: 60 s, or a fifth of its life where that is less."""
POLL = 0.1
"""Seconds between two looks whether another process has finished logging in."""


class Vault(Protocol):
    """Where the processes of a workspace keep a connection's token, sealed, and agree on who fetches the next one."""

    def read(self) -> str | None:
        """Return what was last written."""
        ...

    def claim(self) -> bool:
        """Take the right to log in, for a while; False: another process has it."""
        ...

    def write(self, sealed: str) -> None:
        """Keep a new token, durably, and give the right back."""
        ...

    def release(self) -> None:
        """Give the right back without a token."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A token with the instant (epoch seconds) from which it is to be renewed; None: when the vendor refuses it."""

    token: Token
    renew_at: float | None

    def good(self, now: float, dead: str | None) -> bool:
        """Whether to send it now: not due, and not the one that was refused."""
        return self.token.value != dead and (self.renew_at is None or now < self.renew_at)


class TokenSource:
    """The current token of a connection.

    login: fetches a new token, given the newest refresh token ("" without one); may raise a CssyncError. A refusal is
    remembered: the other threads of this session get the same error and do not knock again (a vendor may lock the user
    out). vault, seal: where and how it is shared with other processes; without them it lives in this session only.
    """

    def __init__(
        self, login: Callable[[str], Token], clock: Clock, vault: Vault | None = None, seal: Seal | None = None
    ) -> None:
        self._login = login
        self._clock = clock
        self._vault = vault
        self._seal = seal
        self._lock = threading.Lock()
        self._kept: Kept | None = None
        self._refusal: CssyncError | None = None

    def get(self) -> Token:
        """Return a token that is good for the next request."""
        kept = self._kept
        if kept is not None and kept.good(self._clock.time(), None):
            return kept.token
        with self._lock:
            if self._kept is None or not self._kept.good(self._clock.time(), None):
                self._kept = self._next(None)
            return self._kept.token

    def renew(self, dead: Token) -> None:
        """Replace a token that the vendor refused; does nothing when it was replaced already."""
        with self._lock:
            if self._kept is None or self._kept.token.value == dead.value:
                self._kept = self._next(dead.value)

    def _next(self, dead: str | None) -> Kept:
        """Return the token that another process has fetched meanwhile, or fetch one."""
        if self._refusal is not None:
            known = self._refusal
            raise type(known)(known.message, kept=known.kept, fix=known.fix)
        if self._vault is None:
            return self._fetch(self._kept.token.refresh if self._kept else "")
        while True:
            shared = self._read()
            if shared is not None and shared.good(self._clock.time(), dead):
                return shared
            if self._vault.claim():
                break
            self._clock.sleep(POLL)
        try:
            shared = self._read()  # one that was written between our look and our claim
            if shared is None or not shared.good(self._clock.time(), dead):
                shared = self._fetch(shared.token.refresh if shared else "")
                self._write(shared)
        finally:
            self._vault.release()
        return shared

    def _fetch(self, refresh: str) -> Kept:
        asked_at = self._clock.time()
        try:
            token = self._login(refresh)
        except TransientFault:
            raise
        except CssyncError as refusal:
            self._refusal = refusal
            raise
        life = token.expires_in
        return Kept(token, None if life is None else asked_at + life - min(MARGIN, SHARE * life))

    def _read(self) -> Kept | None:
        sealed = self._vault.read() if self._vault else None
        text = self._seal.open(sealed) if self._seal and sealed else None
        if text is None:
            return None
        kept = msgspec.json.decode(text, type=Kept)
        remember([kept.token.value, kept.token.refresh])
        return kept

    def _write(self, kept: Kept) -> None:
        if self._vault and self._seal:
            self._vault.write(self._seal.seal(msgspec.json.encode(kept).decode()))
