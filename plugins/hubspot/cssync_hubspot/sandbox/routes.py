"""How the sandbox's parts declare which requests they answer."""

from __future__ import annotations

import re
from collections.abc import Callable

from cssync.sandbox.server import SandboxAnswer
from cssync_hubspot.settings import API_VERSION

Handler = Callable[..., SandboxAnswer]
ROUTES: list[tuple[re.Pattern[str], str]] = []
"""Pattern of `METHOD /path` and the name of the method that answers it."""


def route(line: str) -> Callable[[Handler], Handler]:
    """Register a method for `METHOD /path` with `{name}` parts; `{v}` stands for the API version."""

    def register(handler: Handler) -> Handler:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", line.replace("{v}", API_VERSION))
        ROUTES.append((re.compile(pattern + "$"), handler.__name__))
        return handler

    return register
