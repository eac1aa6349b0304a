"""Fields of several values (multi-selects, tags): ours are added and taken out, everybody else's stay.

Such a field belongs to nobody alone. What we keep of it in `written` is therefore not what the field holds but what of
it is ours, and a plan changes the field by the difference between that and what the rules want.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cssync.config.workspace import Policy
from cssync.writeback.canonical import canonical


@dataclass(frozen=True, slots=True)
class Choice:
    """value: what the field shall hold, sorted; None for nothing. owned: what is ours before anything is written,
    without what neither the rules want nor the field holds any more. missed: what the rules want and a person took
    out."""

    value: list[str] | None
    owned: list[str]
    missed: list[str]


def choose(policy: Policy, *, want: Any, live: Any, owned: Any, first: bool) -> Choice:
    """Return what a field of several values shall hold: what it holds (`live`), with what the rules `want` anew, and
    without what they want no more, of what is ours (`owned`).

    unless-edited: what a person took out stays out, until the rules drop it and come to it again. theirs: the same, but
    an empty field is filled. ours: what a person took out comes back. Under each, what a person put in stays; it
    becomes ours only where a field of which nothing is known (`first`) holds what the rules want.
    """
    wanted, held, mine = _set(want), _set(live), _set(owned)
    if first:
        mine = wanted & held
    again = policy == "ours" or (policy == "theirs" and not held)
    value = (held | (wanted if again else wanted - mine)) - (mine - wanted)
    return Choice(sorted(value) or None, sorted(mine & (wanted | held)), sorted(wanted - value))


def owned_after(owned: Any, old: Any, new: Any) -> list[str]:
    """Return what is ours after a write that made `new` of `old`: what it added, and no more what it took out."""
    before, after = _set(old), _set(new)
    return sorted((_set(owned) | (after - before)) - (before - after))


def taken_back(live: Any, old: Any, new: Any) -> list[str] | None:
    """Return what a field shall hold that takes a write back, which made `new` of `old`; None for nothing."""
    before, after = _set(old), _set(new)
    return sorted((_set(live) - (after - before)) | (before - after)) or None


def same_step(old: Any, new: Any, live: Any, want: Any) -> bool:
    """Whether going from `live` to `want` adds and takes out just what going from `old` to `new` does."""
    before, after, held, wanted = _set(old), _set(new), _set(live), _set(want)
    return (after - before, before - after) == (wanted - held, held - wanted)


def added(old: Any, new: Any) -> Any:
    """Return what of a value its field has yet to take: of several values those that are new, else the value."""
    return sorted(_set(new) - _set(old)) or None if isinstance(new, (list, tuple)) else new


def _set(value: Any) -> frozenset[str]:
    found: Iterable[str] | None = canonical(value, "multi")
    return frozenset(found or ())
