"""What a rule file holds before it means anything: words, lists and blocks, each with its place."""

from __future__ import annotations

from dataclasses import dataclass

from cssync.rules.faults import Mark


@dataclass(frozen=True, slots=True)
class Scalar:
    """A word, number or text. `inset` is how far its first character lies behind `mark` (1 inside quotes)."""

    mark: Mark
    text: str
    inset: int = 0
    block: bool = False

    def at(self, offset: int) -> Mark:
        """Return the place of a character of the text; the scalar's begin where the text was folded."""
        return self.mark if self.block else self.mark.right(self.inset + offset)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A block of `key: value`, in file order, keys unique."""

    mark: Mark
    entries: tuple[tuple[Scalar, Node], ...]

    def get(self, key: str) -> Node | None:
        """Return the value under a key, None if it is not there."""
        return next((value for name, value in self.entries if name.text == key), None)


Node = Scalar | Sequence | Mapping
