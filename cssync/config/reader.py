"""Strict reading of a YAML file: plain data, where each piece stands, and every fault at once.

YAML guesses types: `NO` becomes false, `12:30` 750, `0123` 83, `1.10` 1.1. Here every scalar is text, exactly as
written, and only an empty value, `null` or `~` is None; the model that receives it converts. Tags, anchors, aliases,
doubled keys, keys that are not text and several documents are faults, and so are files beyond MAX_BYTES, MAX_NODES or
MAX_DEPTH.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

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

from cssync.config.scanner import NotYaml, events
from cssync.config.scanner import place as scanned_at
from cssync.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_NODES = 20_000
"""Keys, values and lists of a file; reading more would take seconds."""
MAX_FAULTS = 100
"""Reading stops after so many."""
SHOWN = 50
"""Faults that a message lists; `faults` has all of them."""

Place = tuple[str | int, ...]
"""Way to a piece of the data: keys and list positions from the top."""
Mark = tuple[int, int]
"""Line and column, both from 1."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong with a file, at a place."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"

    def as_dict(self) -> dict[str, str | int]:
        """Return the fault as JSON-able data."""
        return {"file": self.file, "line": self.line, "column": self.column, "message": self.message}


class FaultyFileError(ConfigError):
    """Everything that is wrong with one or several files, by place."""

    def __init__(
        self, faults: Iterable[Fault], *, fix: str = "correct the file; nothing runs until it is right"
    ) -> None:
        self.faults = tuple(sorted(set(faults)))
        files = sorted({fault.file for fault in self.faults})
        head = f"{len(self.faults)} faults in {', '.join(files)}:\n  " if len(self.faults) > 1 else ""
        more = f"\n  and {len(self.faults) - SHOWN} more" if len(self.faults) > SHOWN else ""
        listed = "\n  ".join(map(str, self.faults[:SHOWN]))
        super().__init__(head + listed + more, kept="nothing was read or written", fix=fix)


@dataclass(slots=True)
class Document:
    """A file as read: `data` holds dicts, lists, text and None. `faults` grows as the readers of the data find more."""

    file: str
    data: Any = None
    keys: dict[Place, Mark] = field(default_factory=dict)
    values: dict[Place, Mark] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, place: Place, message: str, *, key: bool = False) -> None:
        """Note a fault at the value of `place` (at its key with `key`), or at the nearest place around it."""
        where = place
        while where and where not in self.values:
            where = where[:-1]
        exact = where == place
        marks = self.keys if key or not exact else self.values
        line, column = marks.get(where) or self.values.get(where) or (1, 1)
        self.faults.append(Fault(self.file, line, column, message))

    def settle(self) -> None:
        """Raise every fault noted so far, if any.

        Raises:
            FaultyFileError: all of them, in order of place.
        """
        if self.faults:
            raise FaultyFileError(self.faults)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known word nearest to `word`, or nothing."""
    by_fold = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return f"; did you mean {by_fold[found[0]]!r}?" if found else ""


def read(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        FaultyFileError: it is no YAML of the kind above. Shape faults are noted on the document instead, so that the
            caller's own findings are told together with them (`Document.settle`).
        ConfigError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        fix = "run `cssync init` to write one, or name it with `--config PATH`"
        raise ConfigError(f"there is no {path}", fix=fix) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", fix="check the path and its permissions"
        ) from error
    return parse(raw, str(path))


def parse(raw: bytes, file: str) -> Document:
    """Read the bytes of a YAML file; see `read`."""
    document = Document(file)
    if len(raw) > MAX_BYTES:
        raise FaultyFileError([Fault(file, 1, 1, f"larger than {MAX_BYTES:,} bytes")])
    try:
        document.data = _Builder(document, events(raw.decode())).build()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FaultyFileError([Fault(file, line, 1, "not UTF-8 text")]) from error
    except _StopError:
        document.settle()
    except NotYaml as error:
        document.faults.append(Fault(file, error.line, error.column, f"not valid YAML: {error.message}"))
        document.settle()
    return document


class _StopError(Exception):
    """The file is refused; reading on would cost more than it tells."""


class _Builder:
    """Builds the data from parser events, noting positions and faults on the way."""

    def __init__(self, document: Document, events: Iterator[Event]) -> None:
        self.document = document
        self.events = events
        self.nodes = 0

    def build(self) -> Any:
        data: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document (`---`); one file holds one", stop=True)
            elif isinstance(event, NodeEvent):
                data = self._node(event, ())
        return data

    def _refuse(self, event: Event, message: str, *, stop: bool = False) -> None:
        line, column = scanned_at(event)
        self.document.faults.append(Fault(self.document.file, line, column, message))
        if stop or len(self.document.faults) >= MAX_FAULTS:
            raise _StopError

    def _node(self, event: Event, place: Place) -> Any:
        if len(place) > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels", stop=True)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._refuse(event, f"more than {MAX_NODES:,} values", stop=True)
        if isinstance(event, AliasEvent):
            self._refuse(event, f"alias *{event.anchor}: write the value out; anchors and aliases are not read")
            return None
        if getattr(event, "anchor", None):
            self._refuse(event, f"anchor &{event.anchor}: anchors and aliases are not read")  # type: ignore[attr-defined]
        if getattr(event, "tag", None):
            self._refuse(event, f"tag {event.tag}: tags are not read")  # type: ignore[attr-defined]
        self.document.values[place] = scanned_at(event)
        if isinstance(event, ScalarEvent):
            if not all(c.isprintable() or c in "\n\t" for c in event.value):
                self._refuse(event, "holds a control or invisible character")
            empty = not event.style and event.value in ("", "~", "null")
            return None if empty else str(event.value)
        if isinstance(event, SequenceStartEvent):
            return [self._node(item, (*place, i)) for i, item in enumerate(self._children())]
        if isinstance(event, MappingStartEvent):
            return self._mapping(place)
        raise AssertionError(f"unexpected YAML event {type(event).__name__}")

    def _children(self) -> Iterator[Event]:
        """Yield what stands in the open collection, up to its end. Each child must be consumed before the next."""
        for event in self.events:
            if isinstance(event, CollectionEndEvent):
                return
            yield event

    def _mapping(self, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        children = self._children()
        for event in children:
            name = self._key(event, place)
            value_event = next(children)
            if name is None or name in found:
                if name is not None:
                    line, _ = self.document.keys[(*place, name)]
                    self._refuse(event, f"key {name!r} is given twice (first in line {line})")
                self._node(value_event, (*place, "\0skipped"))
                continue
            self.document.keys[(*place, name)] = scanned_at(event)
            found[name] = self._node(value_event, (*place, name))
        return found

    def _key(self, event: Event, place: Place) -> str | None:
        if isinstance(event, ScalarEvent):
            if event.anchor or event.tag:
                self._refuse(event, "a key takes no anchor and no tag")
            return str(event.value)
        self._refuse(event, "a key must be text")
        self._node(event, (*place, "\0skipped"))
        return None
