"""Rule files are read as YAML 1.2 says, which ruamel's scanner of the whole language is the measure of here."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from cssync.rules.faults import Faults, Source
from cssync.rules.nodes import Mapping, Node, Scalar
from cssync.rules.reader import read

ROOT = Path(__file__).parents[1]
PACKS = sorted((ROOT / "rules" / "cssync_rules").glob("*.yaml"))
EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "rules.md").read_text("utf-8"), re.DOTALL)
NOT_IN_THE_LANGUAGE = ("`?`", "a tab", "directives", "a key is missing", "begins with `:`", "anchors", "tags", "twice")
"""Words of the faults of what YAML has and rule files do not."""
PIECES = (
    *"ab1é-?:,#[]{}&*!|>%@'\"", "b c", "x: ", "y:", "- ", "  ", "    ", "\n", "\n  ", "\n    ", ": ", " :", ", ",
    " # c", "|\n", "&a ", "!t ", ">-\n", "|+\n", ">2\n", '"q: r"', "'s''t'", '"u\\n\\u00e4\\\n  v"', "'w\n\n  x'", "\t",
    "---\n", "...\n",
)  # fmt: skip


def ours(text: str) -> tuple[Any, str]:
    """What the reader makes of a file, or the first fault."""
    faults = Faults()
    top = read(Source("f.yaml", text), faults)
    return (None, str(faults.found[0]).split("\n")[0]) if top is None or faults.found else (_shown(top), "")


def _shown(node: Node) -> Any:
    place = (node.mark.line, node.mark.column)
    if isinstance(node, Scalar):
        return node.text, place if node.text else None
    if isinstance(node, Mapping):
        return [(_shown(key), _shown(value)) for key, value in node.entries], place
    return [_shown(item) for item in node.items], place


def theirs(text: str) -> Any:
    """What ruamel makes of it, None where it is no single mapping without tags, anchors and doubled keys."""
    try:
        nodes = list(YAML(typ="safe", pure=True).compose_all(text))
        return _composed(nodes[0]) if len(nodes) == 1 and isinstance(nodes[0], MappingNode) else None
    except (YAMLError, ValueError):
        return None


def _composed(node: Any) -> Any:
    place = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, ScalarNode):
        return node.value, place if node.value else None
    if isinstance(node, SequenceNode):
        return [_composed(item) for item in node.value], place
    if not all(isinstance(key, ScalarNode) for key, _ in node.value):
        raise ValueError
    return [(_composed(key), _composed(value)) for key, value in node.value], place


@pytest.mark.parametrize("file", PACKS, ids=lambda file: file.stem)
def test_a_standard_pack_is_read_as_ruamel_reads_it(file: Path) -> None:
    text = file.read_text("utf-8")
    assert ours(text) == (theirs(text), "")


def test_the_examples_of_the_manual_are_read_as_ruamel_reads_them() -> None:
    assert len(EXAMPLES) > 4
    for text in EXAMPLES:
        assert ours(text) == (theirs(text), "")


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


def test_what_is_taken_is_what_ruamel_takes_it_for_and_what_is_refused_ruamel_refuses_or_the_language_lacks() -> None:
    chance = random.Random(20261122)
    texts = [*EXAMPLES, *(file.read_text("utf-8") for file in PACKS)]
    taken = refused = 0
    for turn in range(900):
        made = "k: " * chance.randint(0, 1) + "".join(chance.choices(PIECES, k=chance.randint(1, 14))).rstrip() + "\n"
        text = _broken(chance, chance.choice(texts)) if turn % 3 else made
        mine, fault = ours(text)
        known = theirs(text)
        if mine is not None:
            taken += 1
            assert known == mine, text
        elif known is not None and not any(words in fault for words in NOT_IN_THE_LANGUAGE):
            refused += 1
            assert re.search(r"['\"\]}]#|\n *[|>]", text), f"{fault}\n{text}"
    assert taken > 150
    assert refused < 10


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("pack: p\naccounts: a: b\n", "2:12: one `key: value` on a line; put a text with `: ` in quotes"),
        ("pack: p\naccounts: a\n  b: c\n",
         "3:4: a `: ` in the text that begins on line 2: is one missing there, or quotes?"),
        ("pack: p\naccounts a\nversion: 1\n", "2:1: expected `key: value`"),
        ("pack: p\n\tversion: 1\n", "2:1: a tab; YAML takes spaces only"),
        ("pack: p\nversion:\t1\n", "2:9: a tab; YAML takes spaces only"),
        ("pack: p\nlists:\n   a: [x]\n  b: [y]\n", "4:3: indented further than the lines it belongs to"),
        ("  pack: p\nversion: 1\n", "2:1: this belongs to nothing above it: mind how far lines are indented"),
        ("pack: p\nlists: {a: [x, y}\n", "2:17: expected `,` or `]`"),
        ("pack: p\nlists: {a: [x]\nversion: 1\n", "3:1: expected `,` or `}`"),
        ("pack: p\nlists: [a\n", "2:8: this `[` is not closed"),
        ("pack: p\nlists: ]\n", "2:8: there is no `[` that this `]` closes"),
        ("pack: p\naccounts: 'a\nversion: 1\n", "2:11: this text is not closed"),
        ("pack: p\naccounts: 'a' = b\n", "2:15: nothing may follow here; put the whole text in quotes"),
        ('pack: p\naccounts: "a\\d"\n', "2:13: `\\d` means nothing in double quotes"),
        ("pack: p\naccounts: @x\n", "2:11: no text begins with `@`; put it in quotes"),
        ("pack: p\naccounts: - x\n", "2:11: the items of a list begin on a line of their own"),
        ("pack: p\nlists:\n  - a\n  b\n", "4:3: expected `- ` and an item of the list above"),
        ("pack: p\naccounts: |x\n", "2:11: behind `|` the text begins on the next line, indented"),
        ("pack: p\naccounts: a\rb\n", "2:12: the character U+000D cannot stand in a rule file"),
        ("pack: p\n---\npack: q\n", "2:1: a rule file holds one document"),
        ("pack: p\naccounts: &a x\n", "2:11: anchors and aliases (& and *) are not part of the rule language"),
        ("pack: p\naccounts: !!str x\n", "2:11: tags (!) are not part of the rule language"),
        ("? pack\n: p\n", "1:1: keys behind `?` are not part of the rule language"),
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
