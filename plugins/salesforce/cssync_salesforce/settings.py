"""What a Salesforce connection needs in cssync.yaml."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from cssync.connectors import ConnectionSettings, Secret

API_VERSION = "v66.0"
"""Spring '26. A version lives three years at least; orgs move to new ones on different weekends, so it is pinned."""


class SalesforceSettings(ConnectionSettings):
    """An External Client App with the client credentials flow, reached over the org's My Domain."""

    instance_url: Annotated[
        str | None,
        Field(description="My Domain URL of the org, e.g. https://acme.my.salesforce.com (not login.salesforce.com)."),
    ] = None
    client_id: Annotated[str, Field(description="Consumer key of the External Client App.")]
    client_secret: Annotated[Secret, Field(description="Consumer secret of the External Client App.")]
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

    bulk_from: Annotated[
        int,
        Field(
            ge=0,
            description="Read this many records and more by a Bulk API 2.0 job instead of page by page; 0 for never. "
            "When calls are scarce a job is used earlier.",
        ),
    ] = 20_000

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
        return self

    @property
    def origin(self) -> str:
        """Where the token is asked for; `base_url` wins."""
        return self.base_url or self.instance_url or ""

    @property
    def pages(self) -> str:
        """Where people look at records."""
        return self.instance_url or self.base_url or ""

    @property
    def data(self) -> str:
        """Path that every data request begins with."""
        return f"/services/data/{self.api_version}"
