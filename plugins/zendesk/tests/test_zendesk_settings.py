"""The settings say what is missing, and never show a secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cssync_zendesk import ZENDESK


def refused(**given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ZENDESK.config.model_validate({"connector": "zendesk", "subdomain": "acme", **given})
    return str(caught.value)


def test_oauth_or_an_api_token_is_enough() -> None:
    for given in ({"client_id": "c", "client_secret": "s"}, {"email": "a@b.example", "token": "t"}):
        ZENDESK.config.model_validate({"connector": "zendesk", "subdomain": "acme", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no credential: give client_id and client_secret"),
        ({"client_id": "c"}, "client_secret is missing"),
        ({"token": "canary"}, "email is missing"),
        ({"client_id": "c", "client_secret": "canary", "email": "a@b.example", "token": "canary"}, "not both"),
        ({"client_id": "c", "client_secret": "canary", "subdomain": "acme.zendesk.com"}, "subdomain"),
        ({"client_id": "c", "client_secret": "canary", "subdomain": "acme/../x"}, "subdomain"),
        ({"client_id": "c", "client_secret": "canary", "secret": "canary"}, "secret"),
    ],
)
def test_says_what_is_wrong_without_the_secret(given: dict[str, str], said: str) -> None:
    message = refused(**given)
    assert said in message
    assert "canary" not in message
