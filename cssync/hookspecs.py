"""The whole plugin contract.

A plugin is an entry point in the group `cssync`; the module it names implements any of these hooks. Plugins are found
in no other way. They run inside this process: install only plugins you trust.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from cssync.connectors import Connector

hookspec = pluggy.HookspecMarker("cssync")
hookimpl = pluggy.HookimplMarker("cssync")


@hookspec
def cssync_connectors() -> Iterable[Connector]:
    """Return the connectors this plugin offers.

    Called once per process, before any connection is opened: it must be cheap and must not touch the network, the
    store or the environment.
    """
    return ()


@hookspec
def cssync_rule_packs() -> Iterable[tuple[str, Traversable]]:
    """Return (name, folder) of each set of rule packs this plugin offers, e.g. `("standard", files("cssync_rules"))`.

    Every `*.yaml` directly in the folder is a pack. `rules:` in cssync.yaml names the set. Called when rules are
    loaded; it must not read the files.
    """
    return ()
