"""Where connectors stand on the ladder: nothing is called done without a test that proves it, or words that say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from cssync.connectors.quality import LADDER, page, standing

ROOT = Path(__file__).parents[1]
FILES = sorted(ROOT.glob("plugins/*/quality.toml"))

CONTRACT = "tests/test_connector_contract.py::test_keeps_the_contract"
HUBSPOT, SALESFORCE, TABULAR, ZENDESK = (
    f"plugins/{name}/tests/test_{name}" for name in ("hubspot", "salesforce", "tabular", "zendesk")
)
PROOFS: Mapping[str, str | Mapping[str, str]] = {
    "contract-checks-pass": CONTRACT,
    "fields-have-source-and-unit": "tests/test_connector_contract.py::test_notices_a_wrong_declaration",
    "scopes-listed": {
        "hubspot": f"{HUBSPOT}_setup.py::test_one_missing_scope_is_named_with_the_streams_it_costs",
        "salesforce": f"{SALESFORCE}_check.py::test_an_object_that_may_not_be_read_is_named_alone",
        "tabular": f"{TABULAR}_database.py::test_the_connection_itself_cannot_write",
        "zendesk": f"{ZENDESK}_loop.py::test_check_names_each_scope_that_is_not_granted",
    },
    "tokens-never-logged": {
        "hubspot": f"{HUBSPOT}_client.py::test_refusals_carry_the_vendors_words_and_a_remedy_and_never_the_token",
        "salesforce": f"{SALESFORCE}_client.py::test_settings_are_strict_and_never_show_a_secret",
        "tabular": f"{TABULAR}_database.py::test_a_refused_connection_shows_no_credential",
        "zendesk": "tests/test_http_redaction.py::test_an_answer_that_echoes_a_credential_is_not_passed_on",
    },
    "resumes-after-crash": {
        "hubspot": "tests/test_pull_killed.py::test_a_pull_killed_at_random_requests_ends_as_one_that_was_not",
        "salesforce": f"{SALESFORCE}_pull.py::test_many_records_of_one_second_survive_a_crash_between_pages",
        "tabular": f"{TABULAR}_database.py::test_kill_9_loses_nothing_and_the_next_pull_goes_on",
        "zendesk": f"{ZENDESK}_loop.py::test_an_export_that_was_cut_off_goes_on_behind_what_is_stored",
    },
    "honours-retry-after": {
        "hubspot": f"{HUBSPOT}_client.py::test_limits_and_locks_are_waited_for",
        "salesforce": f"{SALESFORCE}_client.py::test_too_many_long_requests_are_waited_for",
        "zendesk": f"{ZENDESK}_client.py::test_a_429_waits_as_it_says_else_for_the_reset_else_a_minute",
    },
    "deletes-are-seen": {
        "tabular": f"{TABULAR}_database.py::test_marked_rows_are_deleted_and_come_back",
        "": "tests/test_pull_every_stream.py::test_a_deleted_record_is_followed_and_a_restored_one_comes_back",
    },
    "merges-are-seen": {
        "hubspot": f"{HUBSPOT}_sync.py::test_deletes_merges_and_restores_reach_the_accounts",
        "salesforce": f"{SALESFORCE}_pull.py::test_deletes_undeletes_and_merges_are_followed",
    },
    "bad-records-are-quarantined": {
        "tabular": f"{TABULAR}_database.py::test_bad_values_are_quarantined_and_the_rest_goes_on",
        "": "tests/test_pull_every_stream.py::"
        "test_random_bad_records_are_set_aside_each_with_its_raw_value_and_the_sums_agree",
    },
    "login-failure-says-how-to-renew": {
        "hubspot": f"{HUBSPOT}_client.py::test_refusals_carry_the_vendors_words_and_a_remedy_and_never_the_token",
        "salesforce": f"{SALESFORCE}_client.py::test_a_refused_login_names_what_to_correct",
        "tabular": f"{TABULAR}_database.py::test_a_refused_connection_shows_no_credential",
        "zendesk": f"{ZENDESK}_client.py::test_a_refused_login_says_which_credential_and_how_to_renew_it",
    },
    "writes-are-idempotent": {
        "hubspot": "tests/test_apply_killed.py::test_killed_while_it_writes_nothing_is_lost_and_nothing_twice",
        "": "tests/test_apply_killed_all.py::test_a_process_killed_while_it_writes_loses_nothing_and_repeats_nothing",
    },
    "calls-per-thousand-measured": {
        "hubspot": f"{HUBSPOT}_pull.py::test_one_percent_of_70_000_deals_cost_no_more_than_8_requests",
        "salesforce": f"{SALESFORCE}_pull.py::test_a_full_load_costs_one_request_a_page_beside_login_and_description",
        "zendesk": f"{ZENDESK}_streams.py::test_every_stream_costs_one_request_a_thousand_records",
    },
    "custom-fields-discovered": {
        "hubspot": f"{HUBSPOT}_setup.py::test_fields_are_described_as_the_vendor_defines_them",
        "salesforce": f"{SALESFORCE}_check.py::test_describe_speaks_the_models_types",
        "tabular": f"{TABULAR}_promises.py::test_objects_are_described_by_what_is_in_them",
        "zendesk": f"{ZENDESK}_loop.py::test_the_fields_of_each_stream_are_described",
    },
    "diagnostics-command": "tests/test_diagnostics.py::test_a_report_holds_no_customer_and_no_secret",
    "sandbox-tested": CONTRACT,
    "driven-by-foreign-client": {
        "hubspot": f"{HUBSPOT}_foreign_client.py::test_it_pages_through_every_company",
        "salesforce": f"{SALESFORCE}_foreign_client.py::test_it_follows_locators_to_the_end",
        "zendesk": f"{ZENDESK}_foreign_client.py::test_its_cursor_export_reads_every_ticket_once_with_its_metrics",
    },
    "real-account-tested": {"tabular": f"{TABULAR}_database.py::test_postgres_types_keep_their_digits"},
}
"""Rule -> the test that proves it, of all connectors or by connector ("": the others)."""
WORDS: Mapping[str, tuple[str, ...]] = {
    "setup-and-removal-documented": (r"^## Set[- ]up$", r"^## Remov(e|al)$"),
    "known-limits-documented": (r"^## Known limits$",),
    "has-an-owner": (r"^Owned by ",),
}
"""Rule -> what the connector's page must hold."""
DONE = [(p.parent.name, rule) for p in FILES for rule, stands in standing(p).items() if stands == "done"]


@pytest.mark.parametrize(("connector", "rule"), DONE, ids=["-".join(pair) for pair in DONE])
def test_what_is_called_done_has_its_proof(connector: str, rule: str) -> None:
    if rule in WORDS:
        told = (ROOT / "plugins" / connector / "README.md").read_text(encoding="utf-8")
        assert [w for w in WORDS[rule] if not re.search(w, told, re.MULTILINE)] == []
        return
    proof = PROOFS[rule]
    path, _, name = (proof if isinstance(proof, str) else proof.get(connector) or proof[""]).partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), f"{path}::{name}"


@pytest.mark.parametrize("path", FILES, ids=[p.parent.name for p in FILES])
def test_every_connector_says_where_it_stands(path: Path) -> None:
    assert set(standing(path)) == {rule for rules in LADDER.values() for rule in rules}


def test_every_connector_of_ours_has_such_a_file() -> None:
    assert [p.parent for p in FILES] == sorted(p for p in (ROOT / "plugins").iterdir() if p.is_dir())


@pytest.mark.parametrize("wrong", ['invented = "done"', 'scopes-listed = "maybe"', 'scopes-listed = { exempt = " " }'])
def test_unknown_rules_and_bare_exemptions_are_refused(tmp_path: Path, wrong: str) -> None:
    rules = {rule: f'{rule} = "done"' for level in LADDER.values() for rule in level}
    rules[wrong.partition(" ")[0]] = wrong
    (tmp_path / "quality.toml").write_text("\n".join(rules.values()), encoding="utf-8")
    with pytest.raises(ValueError, match=r"unknown|exemption with its reason"):
        standing(tmp_path / "quality.toml")


def test_the_page_is_generated_from_the_files() -> None:
    assert (ROOT / "docs" / "connectors.md").read_text(encoding="utf-8") == "\n".join(page(FILES)) + "\n"
