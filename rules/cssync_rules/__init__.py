"""The standard rule packs: health, renewal, upsell, risk."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable

from cssync.hookspecs import hookimpl


@hookimpl
def cssync_rule_packs() -> Iterable[tuple[str, Traversable]]:
    """Offer the set `standard`."""
    return (("standard", files("cssync_rules")),)
