"""The JWT bearer flow: signed as the org expects, refused with the remedy, and nothing of the key in any message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import ValidationError

from cssync.connectors import Session
from cssync.errors import ConfigError
from cssync.sandbox.server import SandboxServer
from cssync_salesforce.check import identity
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.sandbox.rows import ORG_ID
from cssync_salesforce.settings import SalesforceSettings

HOST = "https://acme.my.salesforce.com"
USER = "cssync@vendor-team.example"


def pem(key: Any, encryption: Any = None) -> str:
    kind = PrivateFormat.PKCS8
    return key.private_bytes(Encoding.PEM, kind, encryption or NoEncryption()).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def bearer(org: SalesforceSandbox, key: rsa.RSAPrivateKey, open_live: Callable[..., Session]) -> Callable[..., Session]:
    """Open a session by JWT bearer on an org that has our certificate."""
    org.public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return lambda **given: open_live(**{"client_secret": None, "username": USER, "private_key": pem(key), **given})


def test_a_signed_assertion_logs_us_in_without_a_secret(bearer: Callable[..., Session], server: SandboxServer) -> None:
    assert identity(bearer()).org_id == ORG_ID
    (login,) = server.requests("oauth2/token")
    assert b"client_secret" not in login.body
    assert b"PRIVATE" not in login.body


def test_the_orgs_clock_counts_and_not_ours(bearer: Callable[..., Session], time: Any) -> None:
    time.pass_(days=400)
    assert identity(bearer()).org_id == ORG_ID


def test_a_key_with_escaped_line_ends_is_read(bearer: Callable[..., Session], key: rsa.RSAPrivateKey) -> None:
    assert identity(bearer(private_key=pem(key).replace("\n", "\\n"))).org_id == ORG_ID


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ({"username": "nobody@x.example"}, "pre-authorise"),
        ({"client_id": "another"}, "client_id"),
        ({"audience": "https://evil.example"}, "audience"),
        ({"private_key": "another"}, "certificate"),
    ],
)
def test_a_refusal_names_the_remedy(bearer: Callable[..., Session], given: dict[str, str], fix: str) -> None:
    if given.get("private_key"):
        given = {"private_key": pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))}
    with pytest.raises(ConfigError) as refused:
        identity(bearer(**given))
    assert fix in refused.value.fix


@pytest.mark.parametrize("kind", ["text", "locked", "elliptic", "public"])
def test_what_is_no_usable_key_is_said_without_showing_it(
    bearer: Callable[..., Session], key: rsa.RSAPrivateKey, kind: str
) -> None:
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    given = {
        "text": "canary-key",
        "locked": pem(key, BestAvailableEncryption(b"pass")),
        "elliptic": pem(ec.generate_private_key(ec.SECP256R1())),
        "public": public,
    }[kind]
    with pytest.raises(ConfigError, match="private_key") as refused:
        identity(bearer(private_key=given))
    assert given.splitlines()[-1] not in str(refused.value)
    assert "BEGIN PRIVATE KEY" in refused.value.fix


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "give client_secret .* or username and private_key"),
        ({"username": USER}, "private_key missing"),
        ({"private_key": "canary-key"}, "username missing"),
        ({"audience": "https://login.salesforce.com"}, "username and private_key missing"),
        (
            {"client_secret": "canary-secret", "username": USER},
            "two flows at once: leave out client_secret, or username",
        ),
        ({"username": USER, "private_key": "canary-key", "audience": "login"}, "audience"),
    ],
)
def test_settings_say_what_is_missing(given: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as refused:
        SalesforceSettings.model_validate({"connector": "salesforce", "instance_url": HOST, "client_id": "id", **given})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "audience"),
    [
        (HOST, "https://login.salesforce.com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
    ],
)
def test_the_audience_follows_the_org(host: str, audience: str) -> None:
    given = {"connector": "salesforce", "instance_url": host, "client_id": "id", "username": USER, "private_key": "x"}
    assert SalesforceSettings.model_validate(given).token_audience == audience
