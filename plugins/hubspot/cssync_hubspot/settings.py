"""What an admin writes under `connections:` for HubSpot."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from cssync.connectors import ConnectionSettings, Secret

API_VERSION = "2026-09"
BASE_URL = "https://api.hubapi.com"
APP = ("client_id", "client_secret", "refresh_token")
APP_CALLS = 110
"""Requests that an OAuth app may send in 10 s for each account that installed it."""
FIRST_CALLS = 100
"""Requests that any account allows in 10 s."""


class HubSpotSettings(ConnectionSettings):
    """One HubSpot account. Give a service key, or an OAuth app and the refresh token it got when it was installed."""

    token: Annotated[
        Secret | None, Field(description="Service key, or the token of a private or static-auth project app.")
    ] = None
    client_id: Annotated[str | None, Field(description="Client id of an OAuth app, instead of `token`.")] = None
    client_secret: Annotated[Secret | None, Field(description="Client secret of that app.")] = None
    refresh_token: Annotated[
        Secret | None, Field(description="Refresh token the app got from this account; HubSpot keeps it unchanged.")
    ] = None
    api_version: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$", description="Dated API version, e.g. 2026-09.")] = (
        API_VERSION
    )
    calls_per_10_seconds: Annotated[
        int | None,
        Field(
            ge=10,
            le=250,
            description="Requests this token may send in 10 s. Without it what the account allows, as its answers "
            "tell: 100 on Free and Starter, 190 on Professional and Enterprise, 250 with the capacity pack, 110 for "
            "an OAuth app.",
        ),
    ] = None
    line_items: Annotated[
        bool,
        Field(description="Read the line items of won deals as contract lines. Off where ARR comes from elsewhere."),
    ] = False
    surveys: Annotated[
        bool, Field(description="Read feedback submissions (CSAT, NPS, CES); needs Service Hub Professional.")
    ] = False

    associations_every_days: Annotated[
        int,
        Field(
            ge=0,
            le=90,
            description="Days between two comparisons of all stored associations with HubSpot's, which finds those "
            "that changed alone; one request for each 1,000 records and kind of link. 0: only with --full.",
        ),
    ] = 7

    @field_validator("token", "client_secret", "refresh_token")
    @classmethod
    def _one_line(cls, token: Any) -> Any:
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
            raise ValueError("is empty or holds a space, line break or non-ASCII character")
        return token

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        absent = [name for name in APP if not getattr(self, name)]
        if self.token and len(absent) < len(APP):
            raise ValueError("give either token, or client_id, client_secret and refresh_token, not both")
        if not self.token and len(absent) == len(APP):
            raise ValueError(
                "no credential: give token (Development > Keys > Service keys in HubSpot), or client_id, "
                "client_secret and refresh_token of an OAuth app"
            )
        if not self.token and absent:
            raise ValueError(f"an OAuth app needs {', '.join(APP)}; missing: {', '.join(absent)}")
        return self

    @property
    def burst(self) -> int:
        """Requests that may be sent in 10 s until an answer has told what the account allows."""
        most = FIRST_CALLS if self.token else APP_CALLS
        return (
            most if self.calls_per_10_seconds is None else min(self.calls_per_10_seconds, 250 if self.token else most)
        )
