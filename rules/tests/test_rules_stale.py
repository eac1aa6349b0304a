"""No rule of the standard packs fires on stale data, whatever the data said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files

import pytest

from cssync.rules import load_folders
from cssync.rules.catalogue import SOURCES
from cssync.rules.packtests import run_tests
from cssync.rules.tree import Pack, PackTest, Past

RULES = load_folders([("standard", files("cssync_rules"))])
PASTS = {name for name, feature in RULES.features.items() if isinstance(feature.definition, Past)}
"""Features that read former results; of those, and of other packs' results, a stale one counts as unknown."""


def firing() -> Iterator[tuple[Pack, PackTest]]:
    """Every test of the packs on whose day something fires."""
    for pack in RULES.packs:
        for test in pack.tests:
            if not test.days and (test.then.get("signals") or test.then.get("tasks")):
                yield pack, test


def test_no_rule_of_the_standard_packs_fires_on_stale_data() -> None:
    tests = list(firing())
    assert {name for pack, t in tests for name in (*t.then.get("signals", ()), *t.then.get("tasks", ()))} == {
        rule.name for pack in RULES.packs for rule in (*pack.signals, *pack.tasks)
    }
    for pack, test in tests:
        given = {n: v for n, v in test.given.items() if n == "touch.tier" or ("." not in n and n not in PASTS)}
        silent = replace(test, given=given, stale=tuple(SOURCES), then={"signals": [], "tasks": []})
        (report,) = run_tests(replace(RULES, packs=(replace(pack, tests=(silent,)),)))
        assert report.differences == (), f"{pack.name}: {test.name}"


@pytest.mark.parametrize("rule", [r.name for p in RULES.packs for r in (*p.signals, *p.tasks)])
def test_every_rule_has_a_test_in_which_it_does_not_fire(rule: str) -> None:
    quiet = [t for p in RULES.packs for t in p.tests if rule in t.name.split() and rule not in
             (*t.then.get("signals", ()), *t.then.get("tasks", ()))]  # fmt: skip
    assert quiet or rule == "talk-about-more"
