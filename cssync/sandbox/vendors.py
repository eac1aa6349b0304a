"""Run the vendors of the demo on localhost, and tell what was sent to them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cssync.connectors import Connector
from cssync.errors import ConfigError
from cssync.sandbox.server import WRITES, SandboxServer, serve
from cssync.sandbox.world import World

LOOKING = re.compile(r"POST .*(/search|/batch/read|/tokens?|/composite/sobjects/\w+)$")
"""Requests that change nothing although their method is POST: searches, reads of many ids, logins."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests counted by what they do at the vendor."""

    reads: int = 0
    writes: int = 0

    def __sub__(self, other: Requests) -> Requests:
        return Requests(self.reads - other.reads, self.writes - other.writes)

    def __add__(self, other: Requests) -> Requests:
        return Requests(self.reads + other.reads, self.writes + other.writes)


@dataclass(frozen=True, slots=True)
class Vendor:
    """A sandbox at work for one connection."""

    connection: str
    connector: Connector
    server: SandboxServer

    def requests(self) -> Requests:
        """Count the journal: everything that ever arrived, whoever sent it."""
        lines = [f"{e.method} {e.path}" for e in self.server.journal]
        writes = sum(line.startswith(WRITES) and not LOOKING.fullmatch(line) for line in lines)
        return Requests(len(lines) - writes, writes)


@contextlib.contextmanager
def vendors(world: World, connectors: Mapping[str, Connector], port: int = 0) -> Iterator[tuple[Vendor, ...]]:
    """Run a sandbox for each connection (name -> connector) for the block, on `port` and the ones after it (0: any).

    Raises:
        ConfigError: a port is taken.
    """
    with contextlib.ExitStack() as running:
        found: list[Vendor] = []
        for number, (name, connector) in enumerate(connectors.items()):
            if connector.sandbox is None:
                continue
            at = port + number if port else 0
            try:
                server = running.enter_context(serve(connector.sandbox(world), port=at))
            except OSError as error:
                raise ConfigError(
                    f"port {at} on 127.0.0.1 cannot be used: {error.strerror or 'it is taken'}",
                    kept="nothing was started",
                    fix="end what uses it, or choose another with --port",
                ) from error
            found.append(Vendor(name, connector, server))
        yield tuple(found)
