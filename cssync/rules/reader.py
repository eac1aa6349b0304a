"""A rule file -> nodes with positions. Strict: no tags, anchors, doubled keys; size and nesting are capped.

Every scalar stays text: `NO`, `12:30` and `0123` mean what they say, and the language reads numbers by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from cssync.config.scanner import NotYaml, events, is_long, place
from cssync.rules.faults import Enough, Faults, Mark, Source, Stop
from cssync.rules.nodes import Mapping, Node, Scalar, Sequence

MAX_BYTES = 200_000
MAX_NODES = 5_000
"""Values in a file, keys among them. What begins a value is counted before the file is scanned, in texts too."""
MAX_LINES = 5_000
SIGNS = (":", ":", ",", "- ", "-\n", "? ", "[", "{")
"""What every value of a YAML file but the first needs one of; a colon stands for a key and its value."""
MAX_DEPTH = 10
MAX_LINE = 2_000
"""Characters in a line: keeps the YAML scanner's search for keys short."""


class _Composer:
    """Events of one document -> nodes."""

    def __init__(self, source: Source, faults: Faults, found: Iterator[Event]) -> None:
        self.source = source
        self.faults = faults
        self.events = found
        self.nodes = 0

    def mark(self, event: Event) -> Mark:
        return Mark(self.source, *place(event))

    def document(self) -> Node | None:
        """Read the one node that a file holds, None of an empty file."""
        top: Node | None = None
        documents = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.faults.stop(self.mark(event), "a rule file holds one document")
            elif isinstance(event, NodeEvent):
                top = self.node(event, 1)
        return top

    def node(self, event: Event, depth: int) -> Node:
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
            return Scalar(mark, event.value, 1 if event.style in ("'", '"') else 0, is_long(event))
        if isinstance(event, SequenceStartEvent):
            return Sequence(mark, tuple(self.node(e, depth + 1) for e in self.until_end()))
        if isinstance(event, MappingStartEvent):
            return self.mapping(mark, depth)
        raise AssertionError(f"unexpected YAML event {type(event).__name__}")

    def until_end(self) -> Iterator[Event]:
        for event in self.events:
            if isinstance(event, CollectionEndEvent):
                return
            yield event

    def mapping(self, mark: Mark, depth: int) -> Mapping:
        found: dict[str, tuple[Scalar, Node]] = {}
        inner = self.until_end()
        for event in inner:
            key = self.node(event, depth + 1)
            value = self.node(next(inner), depth + 1)
            if not isinstance(key, Scalar) or key.block:
                raise self.faults.stop(key.mark, "a key must be a single word")
            if key.text in found:
                first = found[key.text][0].mark.line
                self.faults.add(key.mark, f"{key.text!r} stands here twice, first on line {first}")
                continue
            found[key.text] = (key, value)
        return Mapping(mark, tuple(found.values()))


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
        top = _Composer(source, faults, events(source.text)).document()
    except NotYaml as fault:
        faults.add(Mark(source, fault.line, fault.column), f"this is not YAML: {fault.message}")
        return None
    except Stop:
        return None
    if not isinstance(top, Mapping):
        faults.add(start, "a rule file is a block of `key: value`, beginning with `pack:`")
        return None
    return top


def glance(source: Source) -> Mapping | None:
    """Return what can be read of a file whose faults are told elsewhere; None where that is nothing."""
    try:
        return read(source, Faults())
    except Enough:
        return None
