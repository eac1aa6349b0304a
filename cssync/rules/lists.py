"""The `lists:` blocks: words and names that an admin keeps, used as `x in LIST`, `mentions(x, LIST)`, `size(LIST)`.

A pack declares a list with its usual members. A file without `pack:` that holds `lists:` alone replaces members: that
is where a company puts its own words, without a copy of the pack.
"""

from __future__ import annotations

from collections.abc import Mapping as Map

from cssync.rules.faults import did_you_mean
from cssync.rules.nodes import Mapping, Node, Scalar
from cssync.rules.shape import LOCALES, Shape

MAX_MEMBERS = 200
_FOLD = {ord(c): ord(c.lower()) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def folded(text: str) -> str:
    """Return a text with the letters A to Z in lower case: the one case rule that every SQL engine shares."""
    return text.translate(_FOLD)


def read_lists(shape: Shape, packs: Map[str, Mapping], own: list[Mapping]) -> dict[str, tuple[str, ...]]:
    """Return list name -> members, those of an own file before those of a pack; faults are noted."""
    found: dict[str, tuple[str, ...]] = {}
    for top in packs.values():
        for key, node in shape.named(top.get("lists"), "`lists`"):
            if key.text in found:
                shape.faults.add(key.mark, f"list {key.text!r} is declared twice; it is usable in every pack")
            found[key.text] = _members(shape, key, node)
    replaced: set[str] = set()
    for top in own:
        for key, node in shape.named(top.get("lists"), "`lists`"):
            if key.text not in found:
                hint = did_you_mean(key.text, found)
                shape.faults.add(key.mark, f"no pack declares a list {key.text!r} to be replaced{hint}")
            elif key.text in replaced:
                shape.faults.add(key.mark, f"list {key.text!r} is replaced twice")
            else:
                found[key.text] = _members(shape, key, node)
                replaced.add(key.text)
    return found


def _members(shape: Shape, key: Scalar, node: Node) -> tuple[str, ...]:
    """Return the members of a list, or of one list per language."""
    if isinstance(node, Mapping):
        block = shape.block(node, f"list {key.text}", LOCALES)
        words = [w for _, n in (block.entries if block else ()) for w in shape.words(n, f"list {key.text}")]
    else:
        words = list(shape.words(node, f"list {key.text}"))
    for word in words:
        if not word.text.strip():
            shape.faults.add(word.mark, f"a member of list {key.text} is empty: it would be found in every text")
    if len(words) > MAX_MEMBERS:
        shape.faults.add(node.mark, f"a list has at most {MAX_MEMBERS} members")
    return tuple(dict.fromkeys(w.text for w in words[:MAX_MEMBERS] if w.text.strip()))
