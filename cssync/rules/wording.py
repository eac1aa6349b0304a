"""How YAML writes a text: bare, in quotes, or as an indented block. Each function gives the text and where it ends.

Lines are folded as YAML 1.2.2 says (sections 6.5, 7.3 and 8.1): one line end is a space, each empty line a new line.
Every pattern reads each character a bounded number of times, so that no file takes more than its length.
"""

from __future__ import annotations

import re

GAP = re.compile(r"(?:[ ]*+(?:(?<![^ \n])#[^\n]*+)?+\n)*+[ ]*+")
"""The rest of a line, empty lines and comments, then the indentation of the next line."""
BARE = re.compile(r"(?:[^\n\t :#]|:(?![ \n\t])|(?<![ ])#)++(?:[ ]++(?:[^\n\t :#]|:(?![ \n\t])|(?<![ ])#)++)*+")
BARE_IN_BRACKETS = re.compile(
    r"(?:[^\n\t :#,\[\]{}]|:(?![ \n\t])|(?<![ ])#)++(?:[ ]++(?:[^\n\t :#,\[\]{}]|:(?![ \n\t])|(?<![ ])#)++)*+"
)
_NEXT_LINE = re.compile(r"[ ]*+\n(?:[ ]*+\n)*+(?P<indent>[ ]*+)(?=[^\n#])")
_MARKER = re.compile(r"(?:---|\.\.\.)(?=[ \t\n])")
_SINGLE = re.compile(r"'((?:[^']++|'')*+)'")
_DOUBLE = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_FOLD = re.compile(r"(?<![ \t])[ \t]*+\n((?:[ \t]*+\n)*+)[ \t]*+")
_ESCAPED = re.compile(
    r"\\(\n[ \t]*+|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)"
    r"|[ \t]*+\n((?:[ \t]*+\n)*+)[ \t]*+|[ \t]++",
    re.DOTALL,
)
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_HEADER = re.compile(
    r"[|>](?:(?P<digit>[1-9])?(?P<chomp>[+-])?|(?P<chomp2>[+-])(?P<digit2>[1-9]))[ ]*+(?:(?<=[ ])#[^\n]*)?\n"
)


class Unreadable(Exception):  # noqa: N818 - caught by the reader, which knows the file
    """This is not YAML: what is wrong, and at which character."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


def at_marker(text: str, at: int) -> bool:
    """Say whether a line at `at` parts documents (`---`, `...`)."""
    return (at == 0 or text[at - 1] == "\n") and _MARKER.match(text, at) is not None


def bare(text: str, at: int, parent: int | None) -> tuple[str, int]:
    """Read a text without quotes, with the lines that go on with it.

    `parent` is the column (from 0) that further lines must exceed, None inside brackets, where any will do.
    """
    pattern = BARE_IN_BRACKETS if parent is None else BARE
    match = pattern.match(text, at)
    if match is None:
        raise Unreadable(at, "a value is expected here")
    words = [match[0]]
    while found := _NEXT_LINE.match(text, match.end()):
        inside = parent is None or len(found["indent"]) > parent
        more = pattern.match(text, found.end()) if inside and not at_marker(text, found.end()) else None
        if more is None:
            break
        words.append("\n" * (found[0].count("\n") - 1) or " ")
        words.append(more[0])
        match = more
    return "".join(words), match.end()


def quoted(text: str, at: int) -> tuple[str, int]:
    """Read a text in quotes of either kind."""
    match = (_SINGLE if text[at] == "'" else _DOUBLE).match(text, at)
    if match is None:
        raise Unreadable(at, "this text is not closed")
    inner = match[1]
    if text[at] == "'":
        return (_FOLD.sub(_folded, inner) if "\n" in inner else inner).replace("''", "'"), match.end()
    if "\\" not in inner and "\n" not in inner:
        return inner, match.end()

    def unescaped(found: re.Match[str]) -> str:
        code = found[1]
        if code is None:
            return found[0] if found[2] is None else "\n" * found[2].count("\n") or " "
        if code[0] == "\n":
            return ""
        if len(code) > 1:
            number = int(code[1:], 16)
            if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF:
                return chr(number)
        if code not in _ESCAPES:
            raise Unreadable(match.start(1) + found.start(), f"`\\{code[:1]}` means nothing in double quotes")
        return _ESCAPES[code]

    return _ESCAPED.sub(unescaped, inner), match.end()


def _folded(found: re.Match[str]) -> str:
    return "\n" * found[1].count("\n") or " "


def block(text: str, at: int, parent: int) -> tuple[str, int]:
    """Read `|` or `>` and the lines indented further than `parent`; ends at the begin of the line behind them."""
    head = _HEADER.match(text, at)
    if head is None:
        raise Unreadable(at, f"behind `{text[at]}` the text begins on the next line, indented")
    digit, chomp = head["digit"] or head["digit2"], head["chomp"] or head["chomp2"]
    indent = max(parent, 0) + int(digit) if digit else 0
    lines: list[str] = []
    here = head.end()
    while here < len(text):
        end = text.index("\n", here)
        line = text[here:end]
        depth = len(line) - len(line.lstrip(" "))
        if depth < len(line) and not indent and depth > parent:
            indent = max(depth, 1)
        if depth < len(line) and (not indent or depth < indent):
            break
        lines.append(line[indent:] if indent else "")
        here = end + 1
    kept = len(lines)
    while kept and not lines[kept - 1]:
        kept -= 1
    body = "\n".join(lines[:kept]) if text[at] == "|" else _joined(lines[:kept])
    if chomp == "+":
        return body + "\n" * (len(lines) - kept + (1 if kept else 0)), here
    return body + ("\n" if kept and chomp != "-" else ""), here


def _joined(lines: list[str]) -> str:
    """Fold the lines of `>`: those that are indented further keep their line ends."""
    out: list[str] = []
    before: str | None = None
    empty = 0
    for line in lines:
        if not line:
            empty += 1
            continue
        if before is None:
            out.append("\n" * empty)
        elif before[0] in " \t" or line[0] in " \t":
            out.append("\n" * (empty + 1))
        else:
            out.append("\n" * empty or " ")
        out.append(line)
        before, empty = line, 0
    return "".join(out)
