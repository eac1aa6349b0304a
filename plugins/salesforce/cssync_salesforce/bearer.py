"""The assertion of the JWT bearer flow: who we are, signed with the private key; no secret goes over the wire."""

from __future__ import annotations

import base64
import json
from datetime import datetime

from cssync.errors import ConfigError
from cssync_salesforce.settings import SalesforceSettings

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE = 180
"""Seconds for which an assertion holds: Salesforce accepts about three minutes."""


def assertion(settings: SalesforceSettings, now: datetime) -> str:
    """Return the signed assertion (RS256). now: the vendor's time.

    Raises:
        ConfigError: `private_key` is no RSA key in PEM, or is locked by a passphrase.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = settings.private_key.get_secret_value() if settings.private_key else ""
    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError):  # the library's own text may quote the key
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(
            "`private_key` is not an RSA private key in PEM without a passphrase",
            kept="nothing was read or written",
            fix="let it name the file that begins with -----BEGIN PRIVATE KEY-----, whose certificate was uploaded to "
            "the External Client App",
        )
    claims = {
        "iss": settings.client_id,
        "sub": settings.username,
        "aud": settings.token_audience,
        "exp": int(now.timestamp()) + LIFE,
    }
    signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_text(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _part(value: object) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
