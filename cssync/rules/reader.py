"""A rule file -> nodes with positions. Strict: no tags, anchors, doubled keys; size and nesting are capped.

Every scalar stays text: `NO`, `12:30` and `0123` mean what they say, and the language reads numbers by itself. What
YAML has beyond that is refused in words: keys behind `?`, directives, several documents. A scanner of all of YAML that
is written in Python takes ten times as long, which somebody who may hand in rules could use.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from cssync.rules.faults import Faults, Mark, Source, Stop
from cssync.rules.nodes import Mapping, Node, Scalar, Sequence
from cssync.rules.wording import BARE, GAP, Unreadable, at_marker, bare, block, quoted

MAX_BYTES = 200_000
MAX_NODES = 5_000
"""Values in a file, keys among them. What begins a value is counted before the file is scanned, in texts too."""
MAX_LINES = 5_000
SIGNS = (":", ":", ",", "- ", "-\n", "? ", "[", "{")
"""What every value of a YAML file but the first needs one of; a colon stands for a key and its value."""
MAX_DEPTH = 10
MAX_LINE = 2_000
"""Characters in a line."""
_FOREIGN = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML 1.2.2 (section 5.1) does not print."""
_COLON = re.compile(r"[ ]*+:(?=[ \n\t])")
_COLON_IN_BRACKETS = re.compile(r"[ ]*+:")
_DASH = re.compile(r"-(?=[ \n\t])")
_REFUSED = {
    "&": "anchors and aliases (& and *) are not part of the rule language",
    "*": "anchors and aliases (& and *) are not part of the rule language",
    "!": "tags (!) are not part of the rule language",
    "%": "no text begins with `%`; put it in quotes",
    "@": "no text begins with `@`; put it in quotes",
    "`": "no text begins with a backtick; put it in quotes",
    "]": "there is no `[` that this `]` closes",
    "}": "there is no `{` that this `}` closes",
    ",": "no text begins with a comma; put it in quotes",
    "#": "no text begins with `#`; put it in quotes, or a space before a comment",
    "\t": "a tab; YAML takes spaces only",
}


class _Reader:
    """Recursive descent over one file. `at` is the character that is read next; columns count from 0 in here."""

    def __init__(self, source: Source, text: str, faults: Faults) -> None:
        self.source = source
        self.text = text
        self.faults = faults
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self.at = 0
        self.nodes = 0

    def mark(self, at: int) -> Mark:
        line = bisect_right(self.starts, at)
        return Mark(self.source, line, at - self.starts[line - 1] + 1)

    def column(self) -> int:
        return self.at - self.starts[bisect_right(self.starts, self.at) - 1]

    def gap(self) -> bool:
        """Go to the next thing that is no space or comment; say whether it stands on a later line."""
        before = self.at
        found = GAP.match(self.text, before)
        self.at = found.end() if found else before
        if self.text[self.at : self.at + 1] == "\t":
            raise Unreadable(self.at, _REFUSED["\t"])
        return "\n" in self.text[before : self.at]

    def over(self) -> bool:
        return self.at >= len(self.text) or at_marker(self.text, self.at)

    def enter(self, at: int, depth: int) -> Mark:
        mark = self.mark(at)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.faults.stop(mark, f"the file has more than {MAX_NODES:,} values")
        if depth > MAX_DEPTH:
            raise self.faults.stop(mark, f"nested deeper than {MAX_DEPTH} levels")
        return mark

    def refuse(self) -> None:
        """Raise where no value can begin."""
        sign = self.text[self.at]
        if sign in "&*!":
            raise self.faults.stop(self.mark(self.at), _REFUSED[sign])
        if sign in _REFUSED:
            raise Unreadable(self.at, _REFUSED[sign])
        if sign in "?:" and self.text[self.at + 1] in " \n\t":
            what = "keys behind `?` are not part of the rule language" if sign == "?" else "a key is missing here"
            raise Unreadable(self.at, what)

    def document(self) -> Node | None:
        """Read the one node that a file holds, None of an empty file."""
        self.gap()
        if self.text.startswith("%"):
            raise Unreadable(0, "directives (%) are not part of the rule language")
        if self.text.startswith("---", self.at) and at_marker(self.text, self.at):
            self.at += 3
            self.gap()
        if self.over():
            return None
        top = self.node(-1, 1, compact=True)
        self.gap()
        while self.text.startswith("...", self.at) and self.over() and self.at < len(self.text):
            self.at += 3
            self.gap()
        if self.at < len(self.text):
            if self.over():
                raise self.faults.stop(self.mark(self.at), "a rule file holds one document")
            raise Unreadable(self.at, "this belongs to nothing above it: mind how far lines are indented")
        return top

    def node(self, parent: int, depth: int, *, compact: bool) -> Node:
        """Read the node that begins here, within a block at column `parent`; `compact` where a block may begin."""
        text, start = self.text, self.at
        sign = text[start]
        if _DASH.match(text, start):
            if not compact:
                raise Unreadable(start, "the items of a list begin on a line of their own")
            return self.items(parent, depth)
        self.refuse()
        if sign in "|>":
            mark = self.enter(start, depth)
            value, self.at = block(text, start, parent)
            return Scalar(mark, value, block=True)
        if sign not in "[{" and compact and (key := self.key()):
            return self.entries(start, key, depth)
        found = self.brackets(depth) if sign in "[{" else self.scalar(depth, parent)
        if colon := _COLON.match(text, self.at):
            raise self.second_colon(found, colon.end() - 1, compact=compact)
        self.end_line()
        return found

    def second_colon(self, before: Node, at: int, *, compact: bool) -> Exception:
        if not isinstance(before, Scalar) and compact:
            return self.faults.stop(before.mark, "a key must be a single word")
        if isinstance(before, Scalar) and before.block:
            line = before.mark.line
            return Unreadable(at, f"a `: ` in the text that begins on line {line}: is one missing there, or quotes?")
        return Unreadable(at, "one `key: value` on a line; put a text with `: ` in quotes")

    def key(self) -> Scalar | None:
        """Read a key of one line with its colon; None, and nothing is read, where there is none."""
        text, start = self.text, self.at
        inset = int(text[start] in "'\"")
        if inset:
            word, end = quoted(text, start)
        else:
            match = BARE.match(text, start)
            word, end = (match[0], match.end()) if match else ("", start)
        colon = _COLON.match(text, end)
        if colon is None or end == start or "\n" in text[start:end]:
            return None
        self.at = colon.end()
        return Scalar(self.mark(start), word, inset)

    def scalar(self, depth: int, parent: int | None) -> Scalar:
        mark = self.enter(self.at, depth)
        start = self.at
        is_quoted = self.text[start] in "'\""
        value, self.at = quoted(self.text, start) if is_quoted else bare(self.text, start, parent)
        return Scalar(mark, value, int(is_quoted), "\n" in self.text[start : self.at])

    def end_line(self) -> None:
        """Raise when something follows a value on its line."""
        here = self.at
        if not self.gap() and self.at < len(self.text):
            raise Unreadable(self.at, "nothing may follow here; put the whole text in quotes")
        self.at = here

    def value(self, parent: int, depth: int, *, of_list: bool) -> Node:
        """Read what stands behind a `:` or `-` of a block at column `parent`: on this line, or indented below it."""
        behind = self.at
        if not self.gap():
            return self.node(parent, depth, compact=of_list)
        column = self.column()
        level = not of_list and column == parent and _DASH.match(self.text, self.at)
        if not self.over() and (column > parent or level):
            return self.node(parent, depth, compact=True)
        self.at = behind
        return Scalar(self.enter(behind, depth), "")

    def entries(self, start: int, key: Scalar | None, depth: int) -> Mapping:
        """Read a block of `key: value` that begins at `start`; its first key is read."""
        mark = self.enter(start, depth)
        column = mark.column - 1
        found: dict[str, tuple[Scalar, Node]] = {}
        while key:
            self.enter(start, depth + 1)
            self.keep(found, key, self.value(column, depth + 1, of_list=False))
            if not self.another(column):
                break
            self.refuse()
            start = self.at
            key = None if self.text[start] in "[{|>" or _DASH.match(self.text, start) else self.key()
        if key is None:
            raise Unreadable(start, "expected `key: value`")
        return Mapping(mark, tuple(found.values()))

    def items(self, parent: int, depth: int) -> Sequence:
        """Read a block of `- item` whose first item begins here."""
        column = self.column()
        mark = self.enter(self.at, depth)
        found: list[Node] = []
        while True:
            self.at += 1
            found.append(self.value(column, depth + 1, of_list=True))
            if not self.another(column):
                return Sequence(mark, tuple(found))
            if not _DASH.match(self.text, self.at):
                if column == parent:
                    return Sequence(mark, tuple(found))
                raise Unreadable(self.at, "expected `- ` and an item of the list above")

    def another(self, column: int) -> bool:
        """Go to what follows; say whether it belongs to a block at this column."""
        self.gap()
        if self.over() or self.column() < column:
            return False
        if self.column() > column:
            raise Unreadable(self.at, "indented further than the lines it belongs to")
        return True

    def keep(self, found: dict[str, tuple[Scalar, Node]], key: Scalar, value: Node) -> None:
        if key.text in found:
            first = found[key.text][0].mark.line
            self.faults.add(key.mark, f"{key.text!r} stands here twice, first on line {first}")
        else:
            found[key.text] = (key, value)

    def brackets(self, depth: int) -> Node:
        """Read `[...]` or `{...}`."""
        start = self.at
        mark = self.enter(start, depth)
        is_list = self.text[start] == "["
        close = "]" if is_list else "}"
        entries: dict[str, tuple[Scalar, Node]] = {}
        items: list[Node] = []
        self.at += 1
        while True:
            self.inside(start)
            if self.text[self.at] != close:
                first = self.inner(depth + 1)
                pair = self.pair(first, depth + (2 if is_list else 1))
                if not is_list:
                    key = self.as_key(first)
                    self.keep(entries, key, pair or Scalar(self.enter(self.at, depth + 1), ""))
                else:
                    items.append(Mapping(first.mark, ((self.as_key(first), pair),)) if pair else first)
                self.inside(start)
            if self.text[self.at] == ",":
                self.at += 1
                continue
            if self.text[self.at] != close:
                raise Unreadable(self.at, f"expected `,` or `{close}`")
            self.at += 1
            return Sequence(mark, tuple(items)) if is_list else Mapping(mark, tuple(entries.values()))

    def inside(self, start: int) -> None:
        """Go to what follows within brackets that were opened at `start`."""
        self.gap()
        if self.over():
            raise Unreadable(start, f"this `{self.text[start]}` is not closed")

    def inner(self, depth: int) -> Node:
        if self.text[self.at] in "[{":
            return self.brackets(depth)
        self.refuse()
        if self.text[self.at] in "|>:" or _DASH.match(self.text, self.at):
            raise Unreadable(self.at, f"no text within brackets begins with `{self.text[self.at]}`; put it in quotes")
        return self.scalar(depth, None)

    def pair(self, first: Node, depth: int) -> Node | None:
        """Read `: value` behind a key within brackets, None where there is none."""
        colon = _COLON_IN_BRACKETS.match(self.text, self.at)
        if colon is None:
            return None
        self.at = colon.end()
        self.gap()
        if self.over() or self.text[self.at] in ",]}":
            return Scalar(self.enter(self.at, depth), "")
        return self.inner(depth)

    def as_key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar) and not node.block:
            return node
        raise self.faults.stop(node.mark, "a key must be a single word")


def read(source: Source, faults: Faults) -> Mapping | None:
    """Return the file's top mapping, None after a fault that makes the rest unreadable (it is noted)."""
    start = Mark(source, 1, 1)
    text = source.text.removeprefix("\ufeff").replace("\r\n", "\n")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        faults.add(start, f"the file is larger than {MAX_BYTES:,} bytes")
        return None
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        faults.add(start, f"the file has more than {MAX_LINES:,} lines; make it several packs")
        return None
    if sum(map(text.count, SIGNS)) > MAX_NODES:
        faults.add(start, f"the file has more than {MAX_NODES:,} values; make it several packs")
        return None
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            faults.add(Mark(source, number, 1), f"the line is longer than {MAX_LINE:,} characters")
            return None
    reader = _Reader(source, text if text.endswith("\n") else text + "\n", faults)
    try:
        if foreign := _FOREIGN.search(text):
            raise Unreadable(foreign.start(), f"the character U+{ord(foreign[0]):04X} cannot stand in a rule file")
        top = reader.document()
    except Unreadable as fault:
        faults.add(reader.mark(min(fault.at, len(text))), f"this is not YAML: {fault.message}")
        return None
    except Stop:
        return None
    if not isinstance(top, Mapping):
        faults.add(start, "a rule file is a block of `key: value`, beginning with `pack:`")
        return None
    return top
