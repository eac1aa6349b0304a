"""What a Salesforce connection needs in cssync.yaml."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from cssync.connectors import ConnectionSettings, Secret

API_VERSION = "v66.0"
"""Spring '26. A version lives three years at least; orgs move to new ones on different weekends, so it is pinned."""

SANDBOX_HOST = re.compile(r"\.(sandbox|scratch)\.my\.salesforce\.com$")


class SalesforceSettings(ConnectionSettings):
    """An External Client App, reached over the org's My Domain: client credentials, or JWT bearer with a key pair."""

    instance_url: Annotated[
        str | None,
        Field(description="My Domain URL of the org, e.g. https://acme.my.salesforce.com (not login.salesforce.com)."),
    ] = None
    client_id: Annotated[str, Field(description="Consumer key of the External Client App.")]
    client_secret: Annotated[
        Secret | None, Field(description="Consumer secret of the External Client App: client credentials flow.")
    ] = None
    username: Annotated[
        str | None, Field(description="User to run as, pre-authorised for the External Client App: JWT bearer flow.")
    ] = None
    private_key: Annotated[
        Secret | None,
        Field(description="RSA private key (PEM) whose certificate the External Client App has: JWT bearer flow."),
    ] = None
    audience: Annotated[
        str | None,
        Field(
            pattern=r"^https://[a-z0-9.-]+$",
            description="Login host that the JWT names; by default https://login.salesforce.com, or "
            "https://test.salesforce.com for a sandbox.",
        ),
    ] = None
    api_version: Annotated[
        str, Field(pattern=r"^v\d{2,3}\.0$", description="REST API version; the org must offer it.")
    ] = API_VERSION
    currency: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Z]{3}$",
            description="Currency of an org that has only one (ISO 4217): its records name none, and the API neither.",
        ),
    ] = None

    line_items: Annotated[
        bool,
        Field(description="Read products of won opportunities as contract lines. Off where ARR comes from elsewhere."),
    ] = False
    bulk_from: Annotated[
        int,
        Field(
            ge=0,
            description="Read this many records and more by a Bulk API 2.0 job instead of page by page; 0 for never. "
            "When calls are scarce a job is used earlier.",
        ),
    ] = 20_000
    bulk_write_from: Annotated[
        int,
        Field(
            ge=0,
            description="Write this many records of one object and more by a Bulk API 2.0 job instead of 200 a "
            "request; 0 for never.",
        ),
    ] = 2_000

    @field_validator("instance_url", "base_url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        """Keep the origin only: people paste the address of the page they look at."""
        if value is None:
            return None
        split = urlsplit(value.strip())
        if split.scheme not in ("https", "http") or not split.hostname or split.username or split.password:
            raise ValueError("must be a URL such as https://acme.my.salesforce.com")
        return f"{split.scheme}://{split.netloc.lower()}"

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not (self.instance_url or self.base_url):
            raise ValueError("instance_url is missing: the My Domain URL of the org")
        if fault := self._credential():
            raise ValueError(fault)
        return self

    def _credential(self) -> str:
        """Return what is missing or too much for one of the two flows; "" when all is well."""
        bearer = {"username": self.username, "private_key": self.private_key}
        if not any((self.client_secret, self.audience, *bearer.values())):
            return (
                "no credential: give client_secret (client credentials flow), or username and private_key (JWT bearer)"
            )
        if self.client_secret:
            extra = [n for n, given in {**bearer, "audience": self.audience}.items() if given]
            return f"two flows at once: leave out client_secret, or {' and '.join(extra)}" if extra else ""
        missing = [n for n, given in bearer.items() if not given]
        return f"{' and '.join(missing)} missing: the JWT bearer flow needs username and private_key" if missing else ""

    @property
    def origin(self) -> str:
        """Where the token is asked for; `base_url` wins."""
        return self.base_url or self.instance_url or ""

    @property
    def token_audience(self) -> str:
        """The login host that an assertion is made out to."""
        sandbox = SANDBOX_HOST.search(urlsplit(self.pages).hostname or "")
        return self.audience or f"https://{'test' if sandbox else 'login'}.salesforce.com"

    @property
    def pages(self) -> str:
        """Where people look at records."""
        return self.instance_url or self.base_url or ""

    @property
    def data(self) -> str:
        """Path that every data request begins with."""
        return f"/services/data/{self.api_version}"
