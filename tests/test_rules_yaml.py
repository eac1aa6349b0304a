"""How YAML is read: what is wrong stands where it is, and PyYAML's own scanner can stand in for libyaml."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

from cssync.config import scanner
from cssync.rules.faults import Faults, Source
from cssync.rules.nodes import Mapping, Node, Scalar
from cssync.rules.reader import read

ROOT = Path(__file__).parents[1]
PACKS = sorted((ROOT / "rules" / "cssync_rules").glob("*.yaml"))
EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "rules.md").read_text("utf-8"), re.DOTALL)
PIECES = (
    *"ab1é-?:,#[]{}&*!|>%@'\"", "b c", "x: ", "y:", "- ", "  ", "    ", "\n", "\n  ", "\n    ", ": ", " :", ", ",
    " # c", "|\n", "&a ", "!t ", ">-\n", "|+\n", ">2\n", '"q: r"', "'s''t'", '"u\\n\\u00e4\\\n  v"', "'w\n\n  x'",
    "---\n", "...\n",
)  # fmt: skip
"""Without tabs: the two scanners do not agree where those are allowed."""


def ours(text: str) -> tuple[object, str]:
    """What the reader makes of a file, or the first fault."""
    source, faults = Source("f.yaml", text), Faults()
    top = read(source, faults)
    return (None, str(faults.found[0]).split("\n")[0]) if top is None or faults.found else (_shown(top), "")


def _shown(node: Node) -> object:
    """The texts of a node with their places."""
    place = (node.mark.line, node.mark.column)
    if isinstance(node, Scalar):
        return node.text, node.block, place
    if isinstance(node, Mapping):
        return [(_shown(key), _shown(value)) for key, value in node.entries], place
    return [_shown(item) for item in node.items], place


def _broken(chance: random.Random, text: str) -> str:
    """Some lines of a file, with pieces put in and letters taken out."""
    lines = text.split("\n")
    first = chance.randrange(len(lines))
    lines = lines[first : first + chance.randint(1, 12)]
    inset = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    text = "\n".join(line[inset:] for line in lines) + "\n"
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        at = chance.randint(0, len(text))
        text = text[:at] + chance.choice(("", chance.choice(PIECES))) + text[at + chance.choice((0, 1, 2)) :]
    return text.rstrip("\n") + "\n"


def test_without_libyaml_files_are_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scanner.SCANNER is yaml.CSafeLoader
    chance = random.Random(20261122)
    whole = [*EXAMPLES, *(file.read_text("utf-8") for file in PACKS)]
    assert len(whole) > 12
    made = [
        _broken(chance, chance.choice(whole)) if turn % 3
        else "k: " * chance.randint(0, 1) + "".join(chance.choices(PIECES, k=chance.randint(1, 14))) + "\n"
        for turn in range(600)
    ]  # fmt: skip
    by_libyaml = [ours(text)[0] for text in (*whole, *made)]
    monkeypatch.setattr(scanner, "SCANNER", yaml.SafeLoader)
    by_python = [ours(text)[0] for text in (*whole, *made)]
    assert by_libyaml[: len(whole)] == by_python[: len(whole)]
    assert None not in by_libyaml[: len(whole)]
    both = [pair for pair in zip(by_libyaml, by_python, strict=True) if None not in pair]
    assert len(both) > 150
    assert all(one == other for one, other in both)
    assert sum((one is None) != (other is None) for one, other in zip(by_libyaml, by_python, strict=True)) < 15


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("pack: p\naccounts: a: b\n", "2:12: one `key: value` on a line; put a text with `: ` in quotes"),
        ("pack: p\naccounts: a\n  b: c\n",
         "3:4: one `key: value` on a line; put a text with `: ` in quotes"),
        ("pack: p\naccounts a\nversion: 1\n", "2:1: expected `key: value`"),
        ("pack: p\n\tversion: 1\n", "2:1: a tab; YAML takes spaces only"),
        ("pack: p\nlists:\n   a: [x]\n  b: [y]\n",
         "4:3: expected `key: value`: mind how far lines are indented, and quotes around texts"),
        ("  pack: p\nversion: 1\n", "2:1: this belongs to nothing above it: mind how far lines are indented"),
        ("pack: p\nlists: {a: [x, y}\n", "2:17: expected `,` or `]`"),
        ("pack: p\nlists: {a: [x]\nversion: 1\n", "3:1: expected `,` or `}`"),
        ("pack: p\nlists: [a\n", "3:1: expected `,` or `]`"),
        ("pack: p\nlists: ]\n", "2:8: a value is expected here"),
        ("pack: p\naccounts: 'a\nversion: 1\n", "2:11: this text is not closed"),
        ("pack: p\naccounts: 'a' = b\n",
         "2:15: expected `key: value`: mind how far lines are indented, and quotes around texts"),
        ('pack: p\naccounts: "a\\d"\n',
         "2:13: this `\\` means nothing in double quotes; single quotes leave it as it is"),
        ("pack: p\naccounts: @x\n", "2:11: no text begins with a tab or with `%`, `@` or a backtick; put it in quotes"),
        ("pack: p\naccounts: - x\n", "2:11: the items of a list begin on a line of their own"),
        ("pack: p\nlists:\n  - a\n  b\n", "4:3: expected `key: value`"),
        ("pack: p\naccounts: |x\n", "2:12: behind `|` or `>` the text begins on the next line, indented"),
        ("pack: p\naccounts: a\rb\n", "2:12: the character U+000D cannot stand here"),
        ("pack: p\n---\npack: q\n", "2:1: a rule file holds one document"),
        ("pack: p\naccounts: &a x\n", "2:11: anchors and aliases (& and *) are not part of the rule language"),
        ("pack: p\naccounts: !!str x\n", "2:11: tags (!) are not part of the rule language"),
        ("[pack]: p\n", "1:1: a key must be a single word"),
        ("pack: p\nlists: {[a]: b}\n", "2:9: a key must be a single word"),
    ],
)  # fmt: skip
def test_a_fault_is_shown_where_it_stands(text: str, fault: str) -> None:
    nothing, said = ours(text)
    assert nothing is None
    assert said.replace("this is not YAML: ", "") == f"f.yaml:{fault}"


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    text = PACKS[0].read_text("utf-8")
    assert ours("\ufeff" + text.replace("\n", "\r\n")) == ours(text)
