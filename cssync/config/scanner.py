"""YAML text -> parser events, each with its place; what is no YAML is said in words for admins.

Events and not data, since YAML guesses types (`NO`, `12:30`, `0123`) and data do not say where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
from yaml.events import Event

SCANNER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml; where PyYAML was built without it, its own scanner: the same events, 30 times as slow."""
_FOREIGN = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML 1.2.2 (section 5.1) does not print, and line ends that YAML 1.1 knew beside LF."""
_SAID = {
    "mapping values are not allowed in this context": "one `key: value` on a line; put a text with `: ` in quotes",
    "could not find expected ':'": "expected `key: value`",
    "did not find expected key": "expected `key: value`: mind how far lines are indented, and quotes around texts",
    "did not find expected '-' indicator": "expected `- ` and an item of the list above",
    "block sequence entries are not allowed in this context": "the items of a list begin on a line of their own",
    "did not find expected <document start>": "this belongs to nothing above it: mind how far lines are indented",
    "found a tab character that violates indentation": "a tab; YAML takes spaces only",
    "found character that cannot start any token": "no text begins with a tab or with `%`, `@` or a backtick; "
    "put it in quotes",
    "found unexpected end of stream": "this text is not closed",
    "did not find expected node content": "a value is expected here",
    "did not find expected ',' or ']'": "expected `,` or `]`",
    "did not find expected ',' or '}'": "expected `,` or `}`",
    "did not find expected comment or line break": "behind `|` or `>` the text begins on the next line, indented",
    "found unknown escape character": "this `\\` means nothing in double quotes; single quotes leave it as it is",
}
"""What libyaml calls a problem -> what an admin should do about it; other problems are told in its words."""
_BEGAN = ("could not find expected ':'", "found unexpected end of stream")
"""Problems that libyaml notices late: shown where the text began."""


def place(event: Event) -> tuple[int, int]:
    """Return line and column, both from 1, at which an event begins."""
    mark = event.start_mark
    assert mark is not None  # noqa: S101 - the stubs also describe events that somebody made by hand
    return mark.line + 1, mark.column + 1


def is_long(event: Event) -> bool:
    """Whether an event ends on a later line than it begins."""
    return event.start_mark is not None and event.end_mark is not None and event.start_mark.line < event.end_mark.line


class NotYaml(Exception):  # noqa: N818 - caught by the reader, which knows the file
    """What is wrong, at a line and column from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message


def events(text: str) -> Iterator[Event]:
    """Yield the events of a YAML text, one by one as they are asked for. A byte order mark and Windows' line ends mean
    nothing.

    Raises:
        NotYaml: at the event that cannot be read.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if foreign := _FOREIGN.search(text):
        before = text[: foreign.start()]
        column = len(before) - before.rfind("\n")
        raise NotYaml(before.count("\n") + 1, column, f"the character U+{ord(foreign[0]):04X} cannot stand here")
    try:
        yield from yaml.parse(text, Loader=SCANNER)
    except yaml.MarkedYAMLError as error:
        problem = str(error.problem or error.context or "it cannot be read")
        late = problem in _BEGAN and error.context_mark
        where = late or error.problem_mark or error.context_mark
        line, column = (where.line + 1, where.column + 1) if where else (1, 1)
        raise NotYaml(line, column, _SAID.get(problem, problem)) from error
    except yaml.YAMLError as error:
        raise NotYaml(1, 1, str(error).partition("\n")[0]) from error
