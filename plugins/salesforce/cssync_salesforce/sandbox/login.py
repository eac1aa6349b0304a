"""Whom the sandbox org lets in: the client credentials flow, and JWT bearer for users of the org."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cssync.sandbox.server import SandboxRequest
from cssync_salesforce.bearer import GRANT
from cssync_salesforce.sandbox.rows import Row

LONGEST = 300
"""Seconds that an assertion may still have to live."""
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
Refusal = tuple[str, str]


def refused(
    request: SandboxRequest, client: tuple[str, str], public_key: bytes, users: Mapping[str, Row], now: datetime
) -> Refusal | None:
    """Return error and description for a token request that is refused; None for a good one."""
    form = request.form()
    if form.get("grant_type") == GRANT:
        return _assertion(form.get("assertion", ""), client[0], public_key, users, now)
    if form.get("grant_type") != "client_credentials":
        return "unsupported_grant_type", "grant type not supported"
    client_id, client_secret = _basic(request) or (form.get("client_id"), form.get("client_secret"))
    if client_id != client[0]:
        return "invalid_client_id", "client identifier invalid"
    if client_secret != client[1]:
        return "invalid_client", "invalid client credentials"
    return None


def _basic(request: SandboxRequest) -> tuple[str, str] | None:
    """Return the client's credential where it stands in the header instead of the form."""
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.casefold() != "basic":
        return None
    client_id, _, secret = base64.b64decode(text).decode().partition(":")
    return client_id, secret


def _assertion(
    assertion: str, client_id: str, public_key: bytes, users: Mapping[str, Row], now: datetime
) -> Refusal | None:
    try:
        head, body, signature = assertion.split(".")
        algorithm, claims = _part(head).get("alg"), _part(body)
        signed = _signed(f"{head}.{body}".encode(), base64.urlsafe_b64decode(signature + "=="), public_key)
        left = int(claims.get("exp", 0)) - now.timestamp()
    except ValueError:
        return "invalid_grant", "invalid assertion"
    if claims.get("iss") != client_id:
        return "invalid_client_id", "client identifier invalid"
    if algorithm != "RS256" or not signed:
        return "invalid_grant", "invalid assertion"
    if claims.get("aud") not in AUDIENCES:
        return "invalid_grant", "audience is invalid"
    if not 0 < left <= LONGEST:
        return "invalid_grant", "expired authorization code"
    if not any(u["Username"] == claims.get("sub") and u["IsActive"] for u in users.values()):
        return "invalid_grant", "user hasn't approved this consumer"
    return None


def _part(text: str) -> dict[str, Any]:
    found = json.loads(base64.urlsafe_b64decode(text + "=="))
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _signed(text: bytes, signature: bytes, public_key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(public_key)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    try:
        key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
