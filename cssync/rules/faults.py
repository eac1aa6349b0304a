"""Faults of rule files: where, what, and what was probably meant. All of them are shown at once."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from cssync.errors import ConfigError

SHOWN = 50
"""Faults after which reading stops: nobody reads more of them, and a file that was made to be wrong has thousands."""
MAX_WORDS = 5_000
"""Words, signs and members of lists in the expressions of one file: three times what the largest standard pack has."""
NEAR = 150
"""Known words that a misspelt one is compared with letter by letter, at most."""


@dataclass(frozen=True, slots=True)
class Source:
    """A rule file as read: `name` is what messages call it."""

    name: str
    text: str = field(repr=False)

    def line(self, number: int) -> str:
        """Return line `number` (from 1), without its end, "" beyond the file."""
        lines = self.text.split("\n", number)
        return lines[number - 1].rstrip("\r") if number <= len(lines) else ""


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    source: Source
    line: int
    column: int

    def right(self, characters: int) -> Mark:
        """Return the place so many characters further on the line."""
        return Mark(self.source, self.line, self.column + characters)

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong."""

    mark: Mark
    message: str

    def __str__(self) -> str:
        column = self.mark.column
        line = self.mark.source.line(self.mark.line).expandtabs(1)
        shift = max(0, column - 90)  # a very long line is shown around its caret
        number = f"{self.mark.line:5} | "
        caret = " " * (len(number) - 2) + "| " + " " * (column - 1 - shift) + "^"
        return f"{self.mark}: {self.message}\n{number}{line[shift : shift + 110]}\n{caret}"


class Stop(Exception):  # noqa: N818 - control flow inside the reader, never seen outside
    """This part of a file cannot be read any further; the fault is already noted."""


class Enough(Exception):  # noqa: N818 - control flow as well
    """As many faults are noted as are shown: reading any further is of no use."""


class Faults:
    """Collects faults of several files; `raise_any` ends with all of them."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.words: Counter[str] = Counter()

    def add(self, mark: Mark, message: str) -> None:
        """Note a fault and go on.

        Raises:
            Enough: there is one more than is shown.
        """
        fault = Fault(mark, message)
        if fault not in self.found:
            self.found.append(fault)
            if len(self.found) > SHOWN:
                raise Enough

    def spend(self, mark: Mark, words: int) -> None:
        """Count the words of an expression, and those of a list wherever one asks for its members.

        Raises:
            Enough: its file has more than any pack needs (noted); going on would take long.
        """
        self.words[mark.source.name] += words
        if self.words[mark.source.name] > MAX_WORDS:
            many = f"the expressions of this file have more than {MAX_WORDS:,} words, members of lists included"
            self.add(mark, f"{many}; make it several packs")
            raise Enough

    def stop(self, mark: Mark, message: str) -> Stop:
        """Note a fault and return the exception that leaves this part of the file."""
        self.add(mark, message)
        return Stop(message)

    def raise_any(self) -> None:
        """Do nothing without faults.

        Raises:
            ConfigError: every fault, in file order, each with its line and a caret.
        """
        if not self.found:
            return
        more = len(self.found) > SHOWN
        found = sorted(self.found[:SHOWN], key=lambda f: (f.mark.source.name, f.mark.line, f.mark.column))
        shown = "\n".join(map(str, found))
        count = "1 fault" if len(found) == 1 else f"more than {SHOWN} faults" if more else f"{len(found)} faults"
        raise ConfigError(
            f"{count} in the rules\n{shown}",
            kept="no rule was run and nothing was written",
            fix="correct the places shown, then run `cssync rules check`",
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?`, or the known words when they are few, or ""."""
    words = sorted(set(known))
    if len(words) > NEAR:
        first, last = word[:1], word[-1:]
        near = (w for w in words if abs(len(w) - len(word)) <= 2 and (w[:1] == first or w[-1:] == last))
        words = sorted(near, key=lambda w: abs(len(w) - len(word)))[:NEAR]
    close = difflib.get_close_matches(word[:60], words, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f" (known: {', '.join(words)})" if 0 < len(words) <= 12 else ""
