"""Settings every connection has; a connector's `config` model extends them with its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class ConnectionSettings(BaseModel):
    """One entry of `connections:` in cssync.yaml. Secrets are SecretStr: references are resolved before validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connector: Annotated[str, Field(description="Installed connector, as listed by `cssync plugins`.")]
    base_url: Annotated[
        str | None, Field(description="Where to send requests instead of the vendor's host: a sandbox or test server.")
    ] = None
    allow_hosts: Annotated[
        tuple[str, ...],
        Field(description="Hosts allowed beside the vendor's own; http and private addresses are for these only."),
    ] = ()
    skip_streams: Annotated[
        tuple[str, ...], Field(description="Streams not to pull, e.g. for lack of a licence or permission.")
    ] = ()
    patience: Annotated[
        float, Field(ge=0, le=3600, description="Longest single wait in seconds before a run ends cleanly instead.")
    ] = 300.0
    timeout: Annotated[
        float,
        Field(gt=0, le=600, description="Seconds without a byte of an answer after which it counts as lost."),
    ] = 150.0


Secret = Annotated[SecretStr, Field(json_schema_extra={"secret": True})]
"""Type of a secret setting: a reference in cssync.yaml (env:NAME, file:PATH, cmd:COMMAND), never the secret itself."""
