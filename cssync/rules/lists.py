"""The `lists:` blocks: words and names that an admin keeps, used as `x in LIST`, `mentions(x, LIST)`, `size(LIST)`.

A pack declares a list with its usual members. A file without `pack:` that holds `lists:` alone replaces members: that
is where a company puts its own words, without a copy of the pack. What a word is found in: `words`.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Map

from cssync.rules.faults import did_you_mean
from cssync.rules.nodes import Mapping, Node, Scalar
from cssync.rules.shape import LOCALES, Shape
from cssync.rules.words import STAR, bare, folded

MAX_MEMBERS = 200
MAX_LETTERS = 200


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


def compared(members: Iterable[str]) -> str | None:
    """Return what is wrong with a list whose members whole texts are compared with; None where that is nothing."""
    star = next((m for m in members if bare(m) != m), None)
    return f"{star!r} of this list is for `mentions`: a whole text is compared here, its `*` included" if star else None


def _members(shape: Shape, key: Scalar, node: Node) -> tuple[str, ...]:
    """Return the members of a list, or of one list per language."""
    if isinstance(node, Mapping):
        block = shape.block(node, f"list {key.text}", LOCALES)
        words = [w for _, n in (block.entries if block else ()) for w in shape.words(n, f"list {key.text}")]
    else:
        words = list(shape.words(node, f"list {key.text}"))
    written: dict[str, str] = {}
    for word in words:
        if fault := _fault(word.text, written.setdefault(folded(bare(word.text)), word.text)):
            shape.faults.add(word.mark, f"a member of list {key.text} {fault}")
    if len(words) > MAX_MEMBERS:
        shape.faults.add(node.mark, f"a list has at most {MAX_MEMBERS} members")
    return tuple(dict.fromkeys(w.text for w in words[:MAX_MEMBERS] if w.text.strip()))


def _fault(member: str, first: str) -> str | None:
    """Return what is wrong with a member; `first` is the list's first one that differs in stars and case at most."""
    letters = bare(member)
    if not letters.strip():
        return "is empty: it would be found in every text"
    if len(member) > MAX_LETTERS:
        return f"has more than {MAX_LETTERS} characters"
    if STAR in letters or (letters != member and letters != letters.strip()):
        return "has a `*` that touches no end of a word: it lets a word go on, as in `cancel*`"
    if folded(first) != folded(member):
        return f"is {first!r} with other stars: keep the one that finds more"
    return None
