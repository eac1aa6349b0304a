"""What rules rest on: entities behind features, what is known and held, who reads a column, why an absent value is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cssync.rules import RuleSet
from cssync.rules.compiler import compile_pack
from cssync.rules.faults import Source
from cssync.rules.feature_rows import absent_because, states
from cssync.rules.freshness import Context, Freshness
from cssync.rules.grounds import entities_of, is_cap_held, is_held, is_known
from cssync.rules.packs import read_rules
from cssync.rules.readers import readers, resting

AS_OF = datetime(2026, 11, 20, 12, tzinfo=UTC)
OK = Freshness("ok", AS_OF)


def stale(days: float) -> Freshness:
    """Stale for so many days; last complete two days before that."""
    turned = AS_OF - timedelta(days=days)
    return Freshness("stale", turned - timedelta(days=2), turned)


def pack(text: str) -> RuleSet:
    return read_rules([Source("p.yaml", f"pack: p\n{text}")])


def feature(text: str) -> set[str]:
    return entities_of(["f"], pack(f"features: {{f: {text}}}\n").features)


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("{count: ticket_metrics}", {"ticket_metric"}),
        ("{count: ticket_metrics, within: 30d}", {"ticket_metric", "ticket"}),  # its time is the ticket's
        ("{count: ticket_metrics, older_than: 3h}", {"ticket_metric", "ticket"}),
        ("{last: ticket_metrics.agent_touches}", {"ticket_metric", "ticket"}),
        ("{count: ticket_metrics, newest_per: ticket_source_id}", {"ticket_metric", "ticket"}),
        ("{count: surveys, where: contact_role = 'admin'}", {"survey_response", "contact"}),
        ("{count: surveys, max_age: 90d}", {"survey_response.@90"}),
        ("{max: usage.value, where: metric = 'logins' and value > 1}", {"usage_metric.logins"}),
        ("{max: usage.value, where: product_code = 'logins'}", {"usage_metric"}),
        ("{max: usage.value, where: metric = 'a' or metric = 'b'}", {"usage_metric"}),
        ("arr / 2", {"contract", "contract_line"}),
    ],
)
def test_entities_behind_a_feature(text: str, entities: set[str]) -> None:
    assert feature(text) == entities


@pytest.mark.parametrize(
    ("fresh", "known"),
    [
        ({"contact": OK, "interaction": OK}, True),
        ({"contact": OK}, True),  # a log of interactions can be done without where there is none
        ({"contact": OK, "interaction": stale(1)}, False),
        ({"contact": OK, "interaction": Freshness("missing")}, False),
        ({"interaction": OK}, False),
        ({"contact": stale(1), "interaction": OK}, False),
    ],
)
def test_what_a_fact_can_do_without(fresh: dict[str, Freshness], known: bool) -> None:
    assert is_known("last_contact_on", Context(AS_OF, fresh=fresh)) is known


MEASURED = """
features: {n: {count: tickets}, m: {avg: surveys.score}}
score:
  bands: {red: 0, yellow: 50, green: 75}
  measures:
    both: {weight: 1, missing: hold 7d, curve: {of: n + m, at: {0: 0, 9: 100}}}
    one: {weight: 1, curve: {of: n, at: {0: 0, 9: 100}}}
  caps: [{at_most: 40, when: n > 3, because: x}]
"""


@pytest.mark.parametrize(
    ("ticket", "survey", "held"),
    [(0.0, 6.9, True), (0.0, 7.0, True), (0.0, 7.1, False), (7.1, 1.0, False), (0.0, 0.0, False)],
)
def test_a_measure_is_held_while_none_of_its_sources_is_late_for_too_long(
    ticket: float, survey: float, held: bool
) -> None:
    rules = pack(MEASURED)
    (one,) = rules.packs
    assert one.score
    fresh = {"ticket": stale(ticket) if ticket else OK, "survey_response": stale(survey) if survey else OK}
    c = Context(AS_OF, fresh=fresh)
    assert [is_held(m, rules.features, c) for m in one.score.measures] == [held, False]
    assert is_cap_held(one.score.caps[0], rules.features, c) is (ticket > 0)


def test_a_cap_is_not_held_for_ever() -> None:
    rules = pack(MEASURED)
    score = rules.packs[0].score
    assert score
    late = Context(AS_OF, fresh={"ticket": Freshness("stale", AS_OF - timedelta(days=31), AS_OF - timedelta(days=29))})
    assert not is_cap_held(score.caps[0], rules.features, late)


# --- why a value is absent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fresh", "why"),
    [
        ({"ticket": OK, "survey_response": OK}, "missing: no data"),
        ({"ticket": OK}, "missing: no source for survey_response"),
        ({"ticket": stale(1)}, "stale: ticket was last complete on 2026-11-17"),
        ({"ticket": OK, "survey_response": Freshness("stale")}, "stale: survey_response was last complete on no day"),
    ],
)
def test_why_a_feature_has_no_value(fresh: dict[str, Freshness], why: str) -> None:
    rules = pack("features: {n: {count: tickets}, m: {avg: surveys.score}, f: n + m}\n")
    assert absent_because("f", rules.features, Context(AS_OF, fresh=fresh)) == why


def test_a_held_measure_names_the_late_source_alone() -> None:
    rules = pack(MEASURED)
    c = Context(AS_OF, fresh={"ticket": OK, "survey_response": stale(1)})
    sql = states(rules.packs[0], rules.features, compile_pack(rules.packs[0], rules.features, c), c)
    assert '"measure.both":"held: survey_response was last complete on 2026-11-17"' in sql
    assert "held: ticket" not in sql


# --- who reads a column -----------------------------------------------------------------------------------------------

READING = """
accounts: status != 'churned'
features:
  open_now: {count: tickets, where: status = 'open'}
  roles: {count: surveys, where: contact_role = 'admin'}
  logins: {max: usage.logins}
  any_use: {max: usage.value}
score:
  bands: {red: 0, yellow: 50, green: 75}
  models: {big: {when: employee_count > 50, coverage: 10%}}
  measures: {load: {weight: 1, applies: segment = 'smb', curve: {of: open_now, at: {0: 0, 9: 100}}}}
  caps: [{at_most: 40, when: csm_sentiment = 'red', because: x}]
results: {r: {first: [1 if country = 'JP', 2 otherwise]}}
signals:
  S: {when: roles > 1, cooldown: 9d, severity: open_now, because: x}
  L: {when: logins > 1, because: x}
  A: {when: any_use > 1, because: x}
tasks:
  T:
    when: is_test
    once_per: year
    title: x
    due: renews_on - 5
    done_when: has_open_renewal_opportunity
    priority: {first: [high if industry = 'x', normal otherwise]}
    copy: {first: [manager if locale = 'ja']}
reports:
  R:
    of: tickets
    where: category is not missing
    by: [tags]
    columns: {n: {count: rows, where: product_code = 'x'}, q: {quotes: subject}}
  B: {of: surveys, by: [ticket_category], columns: {n: {arr: account, within: 30d}}}
  C: {of: accounts, where: p.band = 'red', by: [lifecycle_stage], columns: {n: {count: rows}}}
"""


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("account.status", ["p.accounts"]),
        ("account.employee_count", ["p.models"]),
        ("account.segment", ["p.load"]),
        ("account.csm_sentiment", ["p.caps"]),
        ("account.country", ["p.r"]),
        ("account.industry", ["p.T"]),
        ("account.locale", ["p.T"]),
        ("account_source.industry", ["p.T"]),
        ("account.lifecycle_stage", ["p.C"]),
        ("account.nothing", []),
        ("ticket.status", ["p.S", "p.load"]),
        ("ticket.category", ["p.B", "p.R"]),
        ("ticket.tags", ["p.R"]),
        ("ticket.product_code", ["p.R"]),
        ("ticket.subject", ["p.R"]),
        ("ticket.opened_at", ["p.R", "p.S", "p.load"]),
        ("ticket.account_source_id", ["p.R", "p.S", "p.load"]),
        ("survey_response.contact_source_id", ["p.S"]),
        ("survey_response.ticket_source_id", ["p.B"]),
        ("contact.role", ["p.S"]),
        ("usage_metric.logins", ["p.A", "p.L"]),
        ("usage_metric.other", ["p.A"]),
        ("contract.end_date", ["p.B", "p.T"]),
        ("contract.account_source_id", ["p.B", "p.T"]),
        ("opportunity.type", ["p.T"]),
    ],
)
def test_rules_that_read_a_column(column: str, names: list[str]) -> None:
    assert readers(pack(READING), [column]) == names


def test_measures_that_read_a_column() -> None:
    rules = pack(READING)
    score: Any = rules.packs[0].score
    assert resting(score, rules.features, ["ticket.status"]) == {"load"}
    assert resting(score, rules.features, ["account.segment"]) == {"load"}
    assert resting(score, rules.features, ["contact.role", "account.country"]) == set()
