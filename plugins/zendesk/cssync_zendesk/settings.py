"""What an admin writes under `connections:` for Zendesk."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cssync.connectors import ConnectionSettings, Secret

SCOPE = "read organizations:write"
"""What cssync asks for: all reads, and writing organizations. Users are never written, tickets only where allowed."""
TICKET_SCOPE = "tickets:write"


class ZendeskSettings(ConnectionSettings):
    """One Zendesk Support account. Give an OAuth client, or (until 30 April 2027) an e-mail and API token."""

    subdomain: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="The `acme` of acme.zendesk.com; not a host-mapped name."
        ),
    ]
    client_id: Annotated[str | None, Field(description="Identifier of a confidential OAuth client of the account.")] = (
        None
    )
    client_secret: Annotated[Secret | None, Field(description="Secret of that OAuth client.")] = None
    refresh_token: Annotated[
        Secret | None,
        Field(
            description="Refresh token that a person's consent gave the client; without it the client acts by itself. "
            "Zendesk replaces it with each use: the newest is kept in the store, sealed, so one store only."
        ),
    ] = None
    email: Annotated[str | None, Field(description="Address of the admin an API token acts as (legacy).")] = None
    token: Annotated[Secret | None, Field(description="API token (legacy; Zendesk ends them on 30 April 2027).")] = None
    tickets: Annotated[
        Literal["agent", "all"],
        Field(description="`agent`: tickets a person works on; `all`: also conversations that only an AI agent saw."),
    ] = "agent"
    high_volume: Annotated[
        bool, Field(description="The account has the High Volume API add-on: higher limits on exports and requests.")
    ] = False

    task_tickets: Annotated[
        bool,
        Field(
            description="Allow tasks as internal tickets (with `tasks: true` under `writeback`): private "
            "comments only, tagged `cssync`. Asks for the scope `tickets:write` too."
        ),
    ] = False

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        oauth = (self.client_id, self.client_secret)
        api_token = (self.email, self.token)
        if any(oauth) and any(api_token):
            raise ValueError("give either client_id and client_secret, or email and token, not both")
        if self.refresh_token and not any(oauth):
            raise ValueError(
                "a refresh_token needs the client_id and client_secret of the OAuth client it was given to"
            )
        if any(oauth) and not all(oauth):
            raise ValueError(f"OAuth needs client_id and client_secret: {_absent(self, 'client_id', 'client_secret')}")
        if any(api_token) and not all(api_token):
            raise ValueError(f"an API token needs email and token: {_absent(self, 'email', 'token')}")
        if not any(oauth) and not any(api_token):
            raise ValueError(
                "no credential: give client_id and client_secret of an OAuth client (Admin Center > Apps and "
                "integrations > APIs > OAuth clients), or email and token of an API token made before 27 October 2026"
            )
        return self

    @property
    def scope(self) -> str:
        """The scopes that an access token is asked with."""
        return f"{SCOPE} {TICKET_SCOPE}" if self.task_tickets else SCOPE

    @property
    def origin(self) -> str:
        """Scheme and host that requests go to, without a slash at the end."""
        return (self.base_url or f"https://{self.subdomain}.zendesk.com").rstrip("/")


def _absent(settings: ZendeskSettings, *names: str) -> str:
    return ", ".join(f"{name} is missing" for name in names if not getattr(settings, name))
