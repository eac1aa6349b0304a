"""Tokens at rest: what the store holds of them can be read only by whoever has the connection's credential."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

VERSION = "1"


class Seal:
    """Seals texts with a key derived from the secrets of a connection (HKDF-SHA256, a salt for each text; Fernet).

    The store alone reveals nothing, and a credential that was changed leaves nothing readable behind.
    """

    def __init__(self, connection: str, secrets: Sequence[str]) -> None:
        self._info = f"cssync token of {connection}".encode()
        self._secret = "\0".join(sorted(secrets)).encode()

    def seal(self, text: str) -> str:
        """Return the text, unreadable."""
        salt = os.urandom(16)
        box = self._box(salt).encrypt(text.encode()).decode()
        return ":".join((VERSION, base64.urlsafe_b64encode(salt).decode(), box))

    def open(self, sealed: str) -> str | None:
        """Return the text again; None when it was sealed under another credential, or is damaged."""
        from cryptography.fernet import InvalidToken

        version, _, rest = sealed.partition(":")
        salt, _, box = rest.partition(":")
        if version != VERSION:
            return None
        try:
            return self._box(base64.urlsafe_b64decode(salt)).decrypt(box.encode()).decode()
        except (InvalidToken, ValueError):
            return None

    def _box(self, salt: bytes) -> Fernet:
        from cryptography.fernet import Fernet
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        key = HKDF(algorithm=SHA256(), length=32, salt=salt, info=self._info).derive(self._secret)
        return Fernet(base64.urlsafe_b64encode(key))
