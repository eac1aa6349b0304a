"""The edge cases of the domain model (its section 8, in its order), each with the tests that hold it, and the laws of
its section 9. A case without a test, or a test that is gone, fails here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOMAIN = ROOT.parent / "shared" / "design" / "domain.md"
EDGE = "rules/tests/test_rules_edge_cases.py"
REVENUE, RETENTION = "tests/test_metrics_revenue.py", "tests/test_metrics_retention.py"

CASES = {
    "no contract": [f"{EDGE}::test_no_contract_means_no_renewal_and_a_judgement_of_health_all_the_same"],
    "multi-contract, co-term": [
        f"{EDGE}::test_contracts_that_end_together_are_one_renewal_with_one_task",
        f"{EDGE}::test_contracts_that_end_apart_are_renewed_apart",
        "tests/test_rules_renewals.py::test_a_contract_that_joins_the_co_term_group_joins_the_event",
    ],
    "renewal in the past": [
        f"{EDGE}::test_a_renewal_in_the_past_lapses_for_thirty_days_and_is_churn_afterwards",
        f"{REVENUE}::test_a_contract_that_renews_by_itself_rolls_on_and_says_so",
    ],
    "late signature": [
        f"{EDGE}::test_a_late_signature_closes_the_task_and_leaves_no_gap",
        f"{RETENTION}::test_a_late_signature_is_no_churn_and_a_lapse_beyond_grace_is",
    ],
    "month-to-month": [
        f"{EDGE}::test_from_month_to_month_only_alerts_are_raised",
        f"{REVENUE}::test_month_to_month_is_flagged_and_counts",
        "tests/test_metrics_renewals.py::test_month_to_month_and_open_ended_are_never_due_and_multi_year_only_at_its_end",
    ],
    "free tier / trial": [f"{EDGE}::test_a_trial_is_in_no_forecast_and_gets_its_own_signal_only"],
    "mid-term upgrade": [f"{REVENUE}::test_seats_added_in_the_middle_of_a_term"],
    "mid-term downgrade, credit": [f"{REVENUE}::test_a_line_that_ends_early_is_contraction_on_the_day_after"],
    "early renewal": [
        f"{EDGE}::test_an_early_renewal_counts_once_and_closes_its_task",
        f"{REVENUE}::test_early_renewal_counts_the_successor_once_per_day",
    ],
    "multi-year": [f"{EDGE}::test_a_contract_over_years_is_due_at_its_end_only"],
    "merged accounts": [
        "tests/test_link.py::test_the_loser_of_a_merge_and_its_people_follow_the_survivor",
        "tests/test_link.py::test_a_merge_that_is_taken_back_gives_the_loser_its_life_back",
        f"{RETENTION}::test_merged_accounts_have_both_ends_under_the_survivor",
        "tests/test_plan_tasks.py::test_a_merged_accounts_task_serves_the_survivor_and_no_second_one_is_made",
    ],
    "split accounts": [f"{EDGE}::test_lines_that_move_to_another_account_take_their_revenue_along"],
    "parent/child": [
        f"{RETENTION}::test_a_group_of_accounts_is_one_logo_where_asked",
        "tests/test_rules_rollup.py::test_parents_in_a_circle_have_none_and_are_named",
        "tests/test_rules_tiers.py::test_a_group_of_companies_has_the_tier_of_its_whole_arr",
    ],
    "currency change": [
        f"{RETENTION}::test_both_ends_are_at_the_rate_of_the_first_day",
        "tests/test_kpi.py::test_who_cannot_be_measured_is_left_out_and_named",
    ],
    "leap day, month end": ["rules/tests/test_rules_vectors.py::test_month_arithmetic_counts_from_the_anchor"],
    "DST, time zone": [
        "rules/tests/test_rules_vectors.py::test_instants_are_read_as_days_of_the_business_time_zone",
        "tests/test_replay.py::test_a_day_means_its_last_evaluation_even_where_a_day_has_25_hours",
    ],
    "deleted account returns": [
        "tests/test_link.py::test_a_deleted_company_keeps_its_account_and_gets_it_back",
        "plugins/hubspot/tests/test_hubspot_sync.py::test_deletes_merges_and_restores_reach_the_accounts",
    ],
    "mass deletion": [
        "tests/test_sync.py::test_a_full_pass_finds_what_vanished_but_refuses_to_bury_half_the_portfolio"
    ],
    "ticket without organisation": [
        f"{EDGE}::test_a_ticket_that_nobody_can_place_is_counted_and_never_guessed",
        f"{EDGE}::test_more_than_a_fifth_of_tickets_without_an_account_are_said_to_be_of_low_quality",
    ],
    "one contact in two accounts": [
        "plugins/hubspot/tests/test_hubspot_pull.py::"
        "test_the_primary_company_wins_even_on_a_later_page_of_the_nested_list",
        "tests/test_link.py::test_people_without_a_company_go_through_a_domain_of_exactly_one_account",
    ],
    "partial data outage": [
        "tests/test_outages.py::"
        "test_a_ticket_stream_that_is_down_for_three_days_makes_nobody_greener_and_is_said_everywhere",
        f"{EDGE}::test_a_desk_that_falls_silent_lifts_nobody_out_of_a_cap",
        "rules/tests/test_rules_life.py::"
        "test_a_stale_source_keeps_its_measures_a_week_the_score_thirty_days_and_ends_no_signal",
    ],
    "first sync / backfill": [f"{EDGE}::test_the_first_look_at_an_old_customer_raises_nothing_about_the_past"],
    "zero usage, fresh source": [f"{EDGE}::test_zero_use_of_a_fresh_source_is_a_fact"],
    "human edits a cs_ field": ["tests/test_runs_http.py::test_a_persons_edit_survives_every_run"],
    "owner left": [
        "tests/test_plan.py::test_owners_are_found_across_systems_and_the_inactive_replaced_by_their_manager",
        "tests/test_plan_tasks.py::test_tasks_without_a_usable_owner_go_to_the_stand_in",
    ],
    "test/internal account": [
        "rules/tests/test_rules_life.py::test_test_and_deleted_accounts_are_left_out_and_leave_nothing_behind"
    ],
    "seats 0, unlimited": ["rules/cssync_rules/health.yaml::H02 does not apply without seats"],
    "huge spike": [
        f"{EDGE}::test_one_huge_day_moves_neither_the_trend_nor_the_score",
        "rules/tests/test_rules_facts.py::test_weeks_of_spikes_of_one_customer_are_no_reference_for_the_others",
        "rules/cssync_rules/upsell.yaml::U01 one day like no other is no demand",
        "tests/test_rules_winsorise_runs.py::test_the_spike_of_one_moves_no_other_and_is_kept_as_it_is",
    ],
    "rule or model changed": [
        "tests/test_preview.py::test_an_edit_is_told_apart_from_the_data",
        "tests/test_preview.py::test_new_data_are_told_apart_from_the_edit",
    ],
    "holiday season": [
        "rules/tests/test_rules_facts.py::test_usage_growth_drops_the_holiday_week_and_the_outage",
        "tests/test_rules_renewals.py::test_the_vectors_of_an_anchor_at_new_year",
    ],
}

LAWS = {
    "Score in [0,100]; monotone in each measure": "test_a_score_rises_with_each_measure_and_stays_in_its_bounds",
    "independent of measure order; scaling all weights": "test_order_and_scale_change_nothing",
    "a missing measure equals removing it": "test_a_missing_measure_is_one_that_is_not_there_and_lost_points_add_up",
    "lost points sum to 100 - score": "test_a_missing_measure_is_one_that_is_not_there_and_lost_points_add_up",
    "GRR <= min(1, NRR); expansion - contraction": "test_the_laws_of_retention",
    "every due date is a business day": "test_every_due_day_is_a_business_day_and_not_after_its_milestone",
    "same inputs and as_of: identical plan": (
        "test_empty_fields_are_set_in_a_fixed_order_and_the_same_store_gives_the_same_bytes"
    ),
    "second apply of a plan: zero writes": (
        "test_a_plan_sends_no_write_an_approved_run_does_and_a_still_world_gets_none"
    ),
    "no rule fires on stale data": "test_no_rule_of_the_standard_packs_fires_on_stale_data",
    "account order and page size": "test_the_order_of_rows_does_not_matter",
}
"""Section 9, as far as its words go in a line."""


def names_in(path: str) -> set[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    found = r"^ *- (?:name: |\{name: )([^,\n]+)" if path.endswith(".yaml") else r"^def (test_\w+)"
    return {name.strip().strip("\"'") for name in re.findall(found, text, re.MULTILINE)}


@pytest.mark.parametrize("case", CASES)
def test_each_edge_case_has_its_tests(case: str) -> None:
    assert CASES[case]
    for test in CASES[case]:
        path, _, name = test.partition("::")
        assert name in names_in(path), f"{case}: {test}"


def test_each_law_has_its_test() -> None:
    folders = ("tests", "rules/tests")
    every = {name for folder in folders for path in (ROOT / folder).glob("test_*.py")
             for name in names_in(str(path.relative_to(ROOT)))}  # fmt: skip
    assert set(LAWS.values()) <= every


def test_they_are_the_cases_of_the_domain_model() -> None:
    if not DOMAIN.exists():
        pytest.skip("the domain model is not at hand")
    _, _, rest = DOMAIN.read_text(encoding="utf-8").partition("## 8. Edge cases")
    rows = re.findall(r"^\| (.+?) \| .+ \|$", rest.partition("## 9.")[0], re.MULTILINE)
    assert rows[1:] == list(CASES)
    assert len(CASES) == 30
