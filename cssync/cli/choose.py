"""Names given on the command line -> what the configuration calls so, with a suggestion where it does not."""

from __future__ import annotations

from cssync.cli.context import did_you_mean
from cssync.config import Connection, Workspace
from cssync.errors import ConfigError


def chosen(workspace: Workspace, connection: str) -> Connection:
    """Return the connection of that name. Raises ConfigError with the names there are."""
    if connection in workspace.connections:
        return workspace.connections[connection]
    raise ConfigError(
        f"there is no connection {connection!r}{did_you_mean(connection, workspace.connections)}",
        fix=f"one of {', '.join(workspace.connections)}",
    )


def chosen_stream(connection: Connection, stream: str) -> str:
    """Return the name of a stream that is pulled. Raises ConfigError with the names there are."""
    names = [s.name for s in connection.streams]
    if stream in names:
        return stream
    raise ConfigError(
        f"connection {connection.name} has no stream {stream!r}{did_you_mean(stream, names)}",
        fix=f"one of {', '.join(names)}",
    )
