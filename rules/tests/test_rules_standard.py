"""The standard packs: their own tests, and what every rule and text of them has."""

from __future__ import annotations

import pytest
from standard_store import RULES

from cssync.rules import written_fields
from cssync.rules.facts import GROUPS
from cssync.rules.packtests import run_test
from cssync.rules.tree import Pack, PackTest

TESTS = [(pack, test) for pack in RULES.packs for test in pack.tests]


@pytest.mark.parametrize(("pack", "test"), TESTS, ids=[f"{pack.name}: {test.name}" for pack, test in TESTS])
def test_the_packs_own_tests(pack: Pack, test: PackTest) -> None:
    assert run_test(pack, RULES, test).differences == ()


RULE_IDS = [f"{letter}{n:02}" for letter, last in (("H", 12), ("R", 11), ("U", 10), ("O", 7), ("K", 9), ("V", 6))
            for n in range(1, last + 1)]  # fmt: skip


@pytest.mark.parametrize("rule", RULE_IDS)
def test_every_rule_of_the_catalogue_has_tests_of_its_boundary_and_of_stale_data(rule: str) -> None:
    own = [f"{t.name} {' '.join(t.stale)}" for p in RULES.packs for t in p.tests if rule in t.name.split()]
    assert len(own) >= 3
    assert any(name.count("stale") for name in own)


def test_every_text_is_there_in_english_and_japanese() -> None:
    for pack in RULES.packs:
        texts = [t for task in pack.tasks for t in (task.title, task.body)] + [s.because for s in pack.signals]
        texts += [m.because for m in pack.score.measures] + [c.because for c in pack.score.caps] if pack.score else []
        assert all(set(t) == {"en", "ja"} for t in texts)


def test_written_fields_name_every_result_and_their_options() -> None:
    fields = written_fields(RULES)
    assert fields["health.score"].type == "integer"
    assert fields["health.band"].options == ("green", "yellow", "red", "unknown")
    assert fields["risk.flags"].type == "multi"
    assert fields["risk.flags"].options == tuple(f"K{n:02}" for n in range(1, 10))
    assert fields["renewal.arr"].type == "money"
    assert fields["renewal.risk"].options == ("none", "low", "medium", "high", "notice", "lapsed")
    assert fields["renewal.date"].name == "cs_renewal_date"


def test_every_row_of_the_written_field_dictionary_has_a_result_and_is_offered_by_a_new_configuration() -> None:
    from cssync.cli.init import TEMPLATE

    wanted = {
        *(f"cs_health_{n}" for n in ("score", "band", "trend_30d", "reasons", "coverage", "data_status", "as_of")),
        *("cs_renewal_date", "cs_notice_deadline", "cs_renewal_risk", "cs_renewal_forecast", "cs_arr_at_risk"),
        *("cs_arr", "cs_touch_tier", "cs_upsell_signal", "cs_upsell_arr_potential", "cs_onboarding_stage"),
        *("cs_onboarding_risk", "cs_first_value_date", "cs_risk_flags"),
    }
    named = {field.name: result for result, field in written_fields(RULES).items()}
    assert wanted <= set(named)
    assert all(f"{name}: {named[name]}" in TEMPLATE for name in wanted)


def test_every_group_of_facts_is_built_for_a_whole_evaluation() -> None:
    assert set(GROUPS) == {"terms", "lines", "usage", "weeks", "deals", "contact", "burn", "ends", "peers", "products"}


def test_an_unknown_score_reads_as_unknown_in_japanese() -> None:
    """A renewal task comes for accounts without a score, too: 不明点 would read as open questions."""
    renewal = next(p for p in RULES.packs if p.name == "renewal")
    told = [text["ja"] for task in renewal.tasks for text in (task.title, task.body)]
    assert len(told) > 10
    shown = ["".join(p if isinstance(p, str) else "不明" for p in text.parts) for text in told]
    assert not [text for text in shown if "不明点" in text]
