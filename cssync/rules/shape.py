"""Strict shapes of YAML nodes: which keys a block may have and what their values look like."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cssync.rules.faults import Faults, Mark, did_you_mean
from cssync.rules.nodes import Mapping, Node, Scalar, Sequence
from cssync.rules.tree import Place, Template, Texts

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,47}", re.ASCII)
LOCALES = ("en", "ja")
MAX_TEXT = 1_000
_PLACE = re.compile(r"\{([^{}]*)\}")
_OPTIONAL = re.compile(r"\{\?((?:[^{}]|\{[^{}]*\})*)\}")
_DURATION = re.compile(r"(\d{1,5})d", re.ASCII)
_HOURS = re.compile(r"(\d{1,5})([dh])", re.ASCII)


class Shape:
    """Reads values out of nodes and notes what does not fit. A value with a fault reads as None."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def block(self, node: Node | None, what: str, known: tuple[str, ...], need: tuple[str, ...] = ()) -> Mapping | None:
        """Return the node as a block whose keys are all known; unknown keys are noted and skipped."""
        found = self.mapping(node, what)
        if found is None:
            return None
        for key, _ in found.entries:
            if key.text not in known:
                self.faults.add(key.mark, f"{what} has no key {key.text!r}{did_you_mean(key.text, known)}")
        for key_name in need:
            if found.get(key_name) is None:
                self.faults.add(found.mark, f"{what} needs `{key_name}:`")
                return None
        return found

    def mapping(self, node: Node | None, what: str) -> Mapping | None:
        """Return the node as a block with free keys."""
        if node is None:
            return None
        if isinstance(node, Mapping):
            return node
        self.faults.add(node.mark, f"{what} is a block of `key: value`{_empty(node)}")
        return None

    def named(self, node: Node | None, what: str, pattern: re.Pattern[str] = NAME) -> Iterator[tuple[Scalar, Node]]:
        """Yield the entries of a block whose keys are names."""
        found = self.mapping(node, what)
        for key, value in found.entries if found else ():
            if pattern.fullmatch(key.text):
                yield key, value
            else:
                self.faults.add(key.mark, f"{key.text[:60]!r} is not a name: letters, digits and _, at most 48")

    def scalar(self, node: Node | None, what: str) -> Scalar | None:
        """Return the node as a single value."""
        if node is None or isinstance(node, Scalar):
            return node
        self.faults.add(node.mark, f"{what} is a single value")
        return None

    def items(self, node: Node | None, what: str) -> tuple[Node, ...]:
        """Return the members of a list."""
        if node is None:
            return ()
        if isinstance(node, Sequence):
            return node.items
        self.faults.add(node.mark, f"{what} is a list{_empty(node)}")
        return ()

    def words(self, node: Node | None, what: str) -> tuple[Scalar, ...]:
        """Return the members of a list of single values; a single value counts as a list of one."""
        if isinstance(node, Scalar):
            return (node,)
        return tuple(s for item in self.items(node, what) if (s := self.scalar(item, f"a member of {what}")))

    def one_of(self, node: Node | None, what: str, known: tuple[str, ...], default: str) -> str:
        """Return one of the known words, `default` when the key is absent."""
        scalar = self.scalar(node, what)
        if scalar is None:
            return default
        if scalar.text not in known:
            self.faults.add(scalar.mark, f"{what} is never {scalar.text!r}{did_you_mean(scalar.text, known)}")
            return default
        return scalar.text

    def whole(self, node: Node | None, what: str, low: int, high: int) -> int | None:
        """Return a whole number between two bounds."""
        scalar = self.scalar(node, what)
        if scalar is None:
            return None
        if re.fullmatch(r"\d{1,9}", scalar.text, re.ASCII) and low <= int(scalar.text) <= high:
            return int(scalar.text)
        self.faults.add(scalar.mark, f"{what} is a whole number from {low} to {high}")
        return None

    def percent(self, node: Node | None, what: str) -> int | None:
        """Return a whole percentage 0..100 written `50%`."""
        scalar = self.scalar(node, what)
        if scalar is None:
            return None
        if re.fullmatch(r"\d{1,3} ?%", scalar.text, re.ASCII) and int(scalar.text.rstrip("% ")) <= 100:
            return int(scalar.text.rstrip("% "))
        self.faults.add(scalar.mark, f"{what} is a whole percentage such as 50%")
        return None

    def days(self, node: Node | None, what: str, high: int = 3_660) -> int | None:
        """Return days written `30d`."""
        scalar = self.scalar(node, what)
        if scalar is None:
            return None
        match = _DURATION.fullmatch(scalar.text)
        if match and int(match[1]) <= high:
            return int(match[1])
        self.faults.add(scalar.mark, f"{what} is a number of days such as 30d, at most {high}d")
        return None

    def hours(self, node: Node | None, what: str) -> int | None:
        """Return hours, written `48h` or `2d`."""
        scalar = self.scalar(node, what)
        if scalar is None:
            return None
        match = _HOURS.fullmatch(scalar.text)
        if match:
            return int(match[1]) * (24 if match[2] == "d" else 1)
        self.faults.add(scalar.mark, f"{what} is a duration such as 48h or 2d")
        return None

    def texts(self, node: Node | None, what: str) -> tuple[tuple[str, Scalar], ...]:
        """Return (locale, text) pairs: one text stands for every locale, a block gives one for each."""
        if isinstance(node, Scalar):
            found: tuple[tuple[str, Scalar], ...] = (("en", node),)
        else:
            block = self.block(node, what, LOCALES, ("en",))
            found = tuple((k.text, s) for k, v in (block.entries if block else ()) if (s := self.scalar(v, what)))
        for _, scalar in found:
            if len(scalar.text) > MAX_TEXT:
                self.faults.add(scalar.mark, f"{what} has at most {MAX_TEXT:,} characters")
        return found


def stretches(scalar: Scalar) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, optional) of a text's stretches: `{?...}` is one that may be left out."""
    at = 0
    for match in _OPTIONAL.finditer(scalar.text):
        yield at, match.start(), False
        yield match.start(1), match.end(1), True
        at = match.end()
    yield at, len(scalar.text), False


def places(scalar: Scalar, start: int = 0, end: int | None = None) -> Iterator[tuple[str, str, str, Mark]]:
    """Yield (text before, name, format, mark) of each `{name}` or `{name:format}` between two places of a text; last
    with an empty name."""
    at, end = start, len(scalar.text) if end is None else end
    for match in _PLACE.finditer(scalar.text, start, end):
        name, _, form = match[1].partition(":")
        yield scalar.text[at : match.start()], name.strip(), form.strip(), scalar.at(match.start())
        at = match.end()
    yield scalar.text[at:end], "", "", scalar.at(at)


def plain(texts: tuple[tuple[str, Scalar], ...]) -> Texts:
    """Texts without places."""
    return {locale: Template((scalar.text,)) for locale, scalar in texts}


__all__ = ["ID", "LOCALES", "NAME", "Place", "Shape", "places", "plain", "stretches"]


def _empty(node: Node) -> str:
    """What to do about a key without a value."""
    return ", and nothing stands here: leave the key out" if isinstance(node, Scalar) and not node.text else ""
