"""A request as it was asked for, before anybody knows which host and credential it goes out with."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Call:
    """`form` is a form-encoded body, `content` one in bytes. `login`: sent without credential, judged by status."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accept: frozenset[int] = frozenset()
    repeatable: bool = True
    login: bool = False

    @property
    def name(self) -> str:
        """Method and path without host and query, as it may stand in a message."""
        return f"{self.method} {urlsplit(self.path).path or '/'}"


def call(
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    content: bytes | None = None,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Call:
    """Build a Call: parameters that are None are left out, `json` is encoded and its content type named.

    Raises:
        ValueError: the JSON holds a NaN or an infinity; it would reach the vendor as null and clear a field.
    """
    if json is not None:
        content = jsonlib.dumps(json, allow_nan=False, separators=(",", ":"), default=_plain).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
    given = {name: value for name, value in (params or {}).items() if value is not None}
    return Call(method.upper(), path, given, content, form, dict(headers or {}), **more)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
