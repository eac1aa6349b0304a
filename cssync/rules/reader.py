"""A rule file -> nodes with positions. Strict: no tags, anchors, doubled keys; size and nesting are capped.

Every scalar stays text: `NO`, `12:30` and `0123` mean what they say, and the language reads numbers by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent

from cssync.rules.faults import Faults, Mark, Source, Stop

MAX_BYTES = 200_000
MAX_NODES = 5_000
"""Values in a file, keys among them. What begins a value is counted before the file is scanned, in texts too."""
MAX_LINES = 5_000
SIGNS = (":", ":", ",", "- ", "-\n", "? ", "[", "{")
"""What every value of a YAML file but the first needs one of; a colon stands for a key and its value."""
MAX_DEPTH = 10
MAX_LINE = 2_000
"""Characters in a line: keeps the YAML scanner's search for keys short."""


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


class _Composer:
    """Events of one document -> nodes."""

    def __init__(self, source: Source, faults: Faults, events: Iterator[Any]) -> None:
        self.source = source
        self.faults = faults
        self.events = events
        self.nodes = 0

    def mark(self, event: Any) -> Mark:
        return Mark(self.source, event.start_mark.line + 1, event.start_mark.column + 1)

    def node(self, event: Any, depth: int) -> Node:
        mark = self.mark(event)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.faults.stop(mark, f"the file has more than {MAX_NODES:,} values")
        if depth > MAX_DEPTH:
            raise self.faults.stop(mark, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self.faults.stop(mark, "anchors and aliases (& and *) are not part of the rule language")
        if getattr(event, "tag", None) is not None:
            raise self.faults.stop(mark, "tags (!) are not part of the rule language")
        if isinstance(event, ScalarEvent):
            many_lines = event.end_mark.line != event.start_mark.line
            return Scalar(mark, event.value, 1 if event.style in ("'", '"') else 0, many_lines)
        if isinstance(event, SequenceStartEvent):
            return Sequence(mark, tuple(self.node(e, depth + 1) for e in self.until_end()))
        if isinstance(event, MappingStartEvent):
            return self.mapping(mark, depth)
        raise self.faults.stop(mark, "expected a value")

    def until_end(self) -> Iterator[Any]:
        for event in self.events:
            if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
                return
            yield event

    def mapping(self, mark: Mark, depth: int) -> Mapping:
        entries: list[tuple[Scalar, Node]] = []
        seen: dict[str, Mark] = {}
        inner = self.until_end()
        for event in inner:
            key = self.node(event, depth + 1)
            value = self.node(next(inner), depth + 1)
            if not isinstance(key, Scalar):
                raise self.faults.stop(key.mark, "a key must be a single word")
            if key.text in seen:
                self.faults.add(key.mark, f"{key.text!r} stands here twice, first on line {seen[key.text].line}")
                continue
            seen[key.text] = key.mark
            entries.append((key, value))
        return Mapping(mark, tuple(entries))


def read(source: Source, faults: Faults) -> Mapping | None:
    """Return the file's top mapping, None after a fault that makes the rest unreadable (it is noted)."""
    start = Mark(source, 1, 1)
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        faults.add(start, f"the file is larger than {MAX_BYTES:,} bytes")
        return None
    lines = source.text.split("\n")
    if len(lines) > MAX_LINES:
        faults.add(start, f"the file has more than {MAX_LINES:,} lines; make it several packs")
        return None
    if sum(map(source.text.count, SIGNS)) > MAX_NODES:
        faults.add(start, f"the file has more than {MAX_NODES:,} values; make it several packs")
        return None
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            faults.add(Mark(source, number, 1), f"the line is longer than {MAX_LINE:,} characters")
            return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            events = iter(YAML(typ="safe", pure=True).parse(source.text))
            return _document(source, faults, events)
    except MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        mark = Mark(source, where.line + 1, where.column + 1) if where else start
        faults.add(mark, f"this is not YAML: {error.problem or error.context or 'cannot be read'}")
    except (YAMLError, Warning, ValueError, RecursionError) as error:
        faults.add(start, f"this is not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    return None


def _document(source: Source, faults: Faults, events: Iterator[Any]) -> Mapping | None:
    composer = _Composer(source, faults, events)
    top: Node | None = None
    try:
        for event in events:
            name = type(event).__name__
            if name in ("StreamStartEvent", "StreamEndEvent", "DocumentStartEvent", "DocumentEndEvent"):
                continue
            if top is not None:
                raise faults.stop(composer.mark(event), "a rule file holds one document")
            top = composer.node(event, 1)
    except Stop:
        return None
    if not isinstance(top, Mapping):
        faults.add(Mark(source, 1, 1), "a rule file is a block of `key: value`, beginning with `pack:`")
        return None
    return top
