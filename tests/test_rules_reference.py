"""docs/rules.md says what the rule language knows, and its example packs pass their own tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cssync.rules import load_folders
from cssync.rules.catalogue import ACCOUNT, FACTS, FUNCTIONS, SOURCES
from cssync.rules.faults import Source
from cssync.rules.grammar import MAX_DEPTH, MAX_LENGTH, MAX_LIST
from cssync.rules.packs import KEYS, read_rules
from cssync.rules.packtests import run_tests
from cssync.rules.reference import BEGIN, END, reference

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
PACKS = re.findall(r"^```yaml\n(pack:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_tables_are_what_the_code_generates() -> None:
    before, _, rest = PAGE.partition(f"{BEGIN}\n")
    assert before
    assert rest == "\n" + "\n".join(reference()).rstrip() + f"\n\n{END}\n", "python -m cssync.rules.reference"


def test_nothing_a_rule_may_name_is_left_out() -> None:
    tables = "\n".join(reference())
    for name in (*SOURCES, *FACTS, *FUNCTIONS):
        assert f"\n| `{name}` |" in tables
    (account,) = re.findall(r"^## Account columns\n(.*?)(?=^##)", tables, re.MULTILINE | re.DOTALL)
    assert all(f"`{name}` " in account for name in ACCOUNT)


def test_every_rule_of_the_standard_packs_is_listed() -> None:
    tables = "\n".join(reference())
    for pack in load_folders([("standard", ROOT / "rules" / "cssync_rules")]).packs:
        names = [m.name for m in pack.score.measures] if pack.score else []
        names += [rule.name for rule in (*pack.signals, *pack.tasks, *pack.reports)]
        (section,) = re.findall(rf"^### {pack.name}\n(.*?)(?=^##|\Z)", tables, re.MULTILINE | re.DOTALL)
        assert names or "\nTiers: `" in section
        assert all(f"\n| `{name}` |" in section for name in names)


def test_every_key_of_a_pack_is_explained() -> None:
    (table,) = re.findall(r"\| key of a pack \|.*?\n\n", PAGE, re.DOTALL)
    assert all(f"`{key}`" in table for key in KEYS)


def test_the_limits_are_those_in_force() -> None:
    assert f"{MAX_LENGTH:,} characters, {MAX_DEPTH} levels and {MAX_LIST} list members" in PAGE


@pytest.mark.parametrize("text", PACKS, ids=lambda text: text.split()[1])
def test_the_packs_of_the_page_pass_their_own_tests(text: str) -> None:
    rules = read_rules([Source("rules.md", text)])
    assert [r.differences for r in run_tests(rules) if not r.ok] == []


def test_the_first_pack_shows_tests_of_both_kinds() -> None:
    tests = read_rules([Source("rules.md", PACKS[0])]).packs[0].tests
    assert {t.rows is None for t in tests} == {True, False}
