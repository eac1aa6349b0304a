"""Find plugins, and keep a broken one from stopping the others."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

import pluggy

from cssync import hookspecs
from cssync.connectors import Connector
from cssync.errors import ConfigError

T = TypeVar("T")

GROUP = "cssync"
SECONDS = 10.0
"""Longest that one plugin may take to be imported and to answer its hooks; then it is named and left out."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin: what it offers, or why it is out."""

    name: str
    value: str
    distribution: str
    version: str
    connectors: tuple[str, ...] = ()
    rule_packs: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Plugins:
    """Everything the installed plugins offer, by name, and the account of each plugin."""

    installed: tuple[Plugin, ...]
    connectors: dict[str, Connector]
    rule_packs: dict[str, Traversable]

    def connector(self, name: str) -> Connector:
        """Return an installed connector.

        Raises:
            ConfigError: none of that name; lists what is installed and names plugins that failed to load.
        """
        if name in self.connectors:
            return self.connectors[name]
        broken = "".join(f"; plugin {p.name!r} failed to load: {p.error}" for p in self.installed if p.error)
        raise ConfigError(
            f"connector {name!r} is not installed (installed: {', '.join(sorted(self.connectors)) or 'none'}){broken}",
            fix="correct the name, or install the distribution that offers it; `cssync plugins` lists what was found",
        )


class Broken(Exception):  # noqa: N818 - its text is what `cssync plugins` prints
    """A plugin is left out, and why."""


def _offers(module: Any) -> tuple[list[Connector], list[tuple[str, Traversable]]]:
    """Call one plugin's hooks through a manager of its own, so that one that raises loses only its own results."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
    connectors = [c for offered in manager.hook.cssync_connectors() for c in offered]
    for connector in connectors:
        if not isinstance(connector, Connector):
            raise TypeError(f"cssync_connectors returned {type(connector).__name__}, not a Connector")
    packs = [pack for offered in manager.hook.cssync_rule_packs() for pack in offered]
    for pack in packs:
        if not (isinstance(pack, tuple) and len(pack) == 2 and isinstance(pack[0], str)):
            raise TypeError("cssync_rule_packs must return (name, folder) pairs")
    return connectors, packs


def _offered(point: EntryPoint) -> tuple[list[Connector], list[tuple[str, Traversable]]]:
    return _offers(point.load())


def _in_time(work: Callable[[], T]) -> T:
    """Return the result of `work`, done in a thread of its own: one that hangs is left behind till the process ends.

    Raises:
        Broken: it raised anything, an exit included, or took longer than SECONDS.
    """
    done: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            raised.append(error)

    thread = threading.Thread(target=run, name="plugin", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if done:
        return done[0]
    if raised and isinstance(raised[0], Broken):
        raise raised[0]
    if raised:
        raise Broken(f"{type(raised[0]).__name__}: {raised[0]}") from raised[0]
    raise Broken(f"TimeoutError: it did not answer within {SECONDS:g} s")


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """Make `os._exit` raise in this process for the block: it would end the command without a word of which plugin
    did. A plugin that crashes the interpreter itself cannot be held."""
    leave, here = os._exit, os.getpid()

    def stay(status: int) -> None:
        if os.getpid() != here:
            leave(status)  # a process of the plugin's own
        raise Broken(f"SystemExit: it ends the process (os._exit({status}))")

    os._exit = stay  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = leave


@_staying()
def load(points: Iterable[EntryPoint]) -> Plugins:
    """Load the given entry points. Never raises: a plugin that fails is listed with its error and left out.

    Two plugins that offer the same name: the one first by entry-point name keeps it, the other is left out whole.
    """
    installed: list[Plugin] = []
    connectors: dict[str, Connector] = {}
    packs: dict[str, Traversable] = {}
    for point in sorted(points, key=lambda p: (p.name, p.value)):
        dist = point.dist
        about = (point.name, point.value, dist.name if dist else "?", dist.version if dist else "?")
        try:
            offered, sets = _in_time(functools.partial(_offered, point))
            taken = [n for n in (c.name for c in offered) if n in connectors] + [n for n, _ in sets if n in packs]
            if taken:
                raise Broken(f"ValueError: offers {', '.join(taken)}, which another plugin already offers")
        except Broken as error:
            installed.append(Plugin(*about, error=str(error)))
            continue
        connectors.update((c.name, c) for c in offered)
        packs.update(sets)
        installed.append(Plugin(*about, tuple(c.name for c in offered), tuple(n for n, _ in sets)))
    return Plugins(tuple(installed), connectors, packs)


@functools.cache
def plugins() -> Plugins:
    """Return what the installed distributions offer in the entry-point group `cssync`."""
    return load(entry_points(group=GROUP))
