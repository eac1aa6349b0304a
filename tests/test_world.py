"""The sandboxes' world: always the same, and its stories are what they claim to be."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from cssync.sandbox.make_world import BUSINESS_ZONE, FREE_MAIL, make
from cssync.sandbox.names import SYSTEMS
from cssync.sandbox.stories import DAYS, DECK
from cssync.sandbox.world import Company, World

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
TODAY = NOW.astimezone(BUSINESS_ZONE).date()


@pytest.fixture(scope="module")
def world() -> World:
    return make(300, 7, NOW)


def told(world: World, *stories: str) -> list[Company]:
    found = [c for c in world.companies if c.story in stories]
    assert found
    return found


def growth(company: Company) -> float:
    """Median of the last four whole weeks against the eight before, less one: `usage growth` of the domain model."""
    weeks: dict[tuple[int, int], list[int]] = {}
    for day, users in company.usage:
        weeks.setdefault(day.isocalendar()[:2], []).append(users)
    sums = [sum(days) for _, days in sorted(weeks.items()) if len(days) == 7]
    assert len(sums) >= 12
    return median(sums[-4:]) / median(sums[-12:-4]) - 1


def utilisation(company: Company) -> float:
    return max(users for _, users in company.usage[-28:]) / company.terms[-1].seats


def test_same_seed_and_now_give_the_same_world_and_another_seed_does_not(world: World) -> None:
    assert make(300, 7, NOW) == world
    assert make(300, 8, NOW) != world


def test_a_company_is_the_same_in_a_world_of_any_size(world: World) -> None:
    assert make(40, 7, NOW).companies == world.companies[:40]


def test_a_small_world_holds_every_story() -> None:
    assert Counter(c.story for c in make(40, 3, NOW).companies) == Counter(s.name for s in DECK)


def test_now_must_be_aware() -> None:
    with pytest.raises(ValueError, match="aware"):
        make(1, 7, datetime(2026, 11, 20))  # noqa: DTZ001 - the point of the test


def test_systems_hold_about_the_shares_that_a_company_of_this_kind_has(world: World) -> None:
    share = {system: sum(system in c.names for c in world.companies) / len(world.companies) for system in SYSTEMS}
    assert 0.85 < share["hubspot"] < 0.95
    assert 0.65 < share["salesforce"] < 0.90
    assert 0.70 < share["zendesk"] < 0.85


def test_every_way_of_linking_occurs_and_is_possible(world: World) -> None:
    assert {c.linked_by for c in world.companies} == {"explicit", "crm_native", "domain", "name"}
    for company in world.companies:
        if company.linked_by == "explicit":
            assert "zendesk" in company.names
            assert len(company.names) > 1
        if company.linked_by == "crm_native":
            assert {"hubspot", "salesforce"} <= set(company.names)
        if company.linked_by == "name":
            assert company.domain == ""


def test_some_domains_are_shared_and_some_are_free_mail(world: World) -> None:
    domains = Counter(c.domain for c in world.companies if c.domain)
    assert any(n > 1 and domain.endswith(".example") for domain, n in domains.items())
    assert set(FREE_MAIL) <= set(domains)
    assert all(domain.endswith(".example") or domain in FREE_MAIL for domain in domains)


def test_keys_and_addresses_are_unique(world: World) -> None:
    for things in (
        [c.key for c in world.companies],
        [p.key for c in world.companies for p in c.people],
        [p.email for c in world.companies for p in c.people],
        [t.key for c in world.companies for t in c.terms],
        [d.key for c in world.companies for d in c.deals],
        [r.key for c in world.companies for r in c.requests],
    ):
        assert len(things) == len(set(things))


def test_one_company_is_spelt_differently_in_its_systems(world: World) -> None:
    several = [c for c in world.companies if len(c.names) > 1]
    assert sum(len(set(c.names.values())) > 1 for c in several) > 0.9 * len(several)


def test_owners_are_staff_and_the_one_who_left_still_owns_somebody(world: World) -> None:
    assert {c.owner for c in world.companies} == {p.key for p in world.staff}
    assert [p.is_active for p in world.staff].count(False) == 1


def test_usage_is_one_value_a_day_up_to_yesterday_and_never_above_the_seats(world: World) -> None:
    for company in world.companies:
        if company.usage:
            days = [day for day, _ in company.usage]
            assert days == [TODAY - timedelta(days=ago) for ago in range(DAYS, 0, -1)]
            assert all(0 <= users <= company.terms[-1].seats for _, users in company.usage)


def test_the_full_use_nearly_all_seats_for_two_months(world: World) -> None:
    for company in told(world, "full"):
        seats = company.terms[-1].seats
        for weeks in (company.usage[-28:], company.usage[-56:-28]):
            assert max(users for _, users in weeks) >= 0.9 * seats


def test_growers_grow_decliners_decline_and_the_steady_do_neither(world: World) -> None:
    assert all(growth(c) >= 0.20 for c in told(world, "growing") if c.terms[-1].seats >= 20)
    assert all(utilisation(c) >= 0.85 for c in told(world, "growing") if c.terms[-1].seats >= 20)
    assert all(growth(c) <= -0.28 for c in told(world, "declining") if c.terms[-1].seats >= 20)
    assert all(abs(growth(c)) < 0.08 for c in told(world, "steady") if c.terms[-1].seats >= 20)


def test_the_silent_have_a_measured_zero_for_25_days_and_ask_nothing(world: World) -> None:
    for company in told(world, "silent"):
        assert all(users == 0 for _, users in company.usage[-25:])
        assert any(users > 0 for _, users in company.usage[:-26])
        assert company.requests == ()


def test_nobody_measures_the_unmeasured(world: World) -> None:
    assert all(c.usage == () for c in told(world, "unmeasured", "self_serve", "prospect"))


def test_requests_lie_in_the_last_120_days_and_their_times_are_in_order(world: World) -> None:
    for company in world.companies:
        assert len(company.requests) <= 30
        for request in company.requests:
            assert NOW - timedelta(days=121) <= request.opened <= NOW
            if request.solved is not None:
                assert request.opened <= request.solved <= NOW
                assert request.status in ("solved", "closed")
            else:
                assert request.status in ("new", "open", "pending", "hold")
                assert request.rating is None
            assert request.requester in {p.key for p in company.people}


def test_the_troubled_wait_more_than_72_hours_for_an_urgent_request(world: World) -> None:
    for company in told(world, "troubled"):
        if "zendesk" in company.names:
            ages = [NOW - r.opened for r in company.requests if r.priority == "urgent" and r.solved is None]
            assert min(ages) > timedelta(hours=48)
            assert max(ages) > timedelta(hours=72)


def test_ratings_of_the_satisfied_are_better_than_those_of_the_troubled(world: World) -> None:
    def good(story: str) -> float:
        given = Counter(r.rating for c in told(world, story) for r in c.requests)
        return given["good"] / (given["good"] + given["bad"])

    assert good("steady") > 0.88
    assert good("troubled") < 0.6
    assert {r.rating for c in world.companies for r in c.requests} == {"good", "bad", "offered", None}


def test_terms_fall_due_in_each_of_the_next_months_and_some_have_lapsed_or_no_end(world: World) -> None:
    last = [c.terms[-1] for c in world.companies if c.terms]
    due = Counter((t.end - TODAY).days // 30 for t in last)
    assert all(due[month] >= 5 for month in range(4))
    assert any(t.end < TODAY for t in last)
    assert any(t.open_ended for t in last)
    assert any(t.auto_renew and t.notice_days for t in last)
    assert {t.currency for t in last} == {"JPY", "USD", "EUR"}


def test_terms_of_a_company_follow_each_other_in_one_currency(world: World) -> None:
    for company in world.companies:
        assert len({t.currency for t in company.terms}) <= 1
        assert all(t.start < t.end for t in company.terms)
        for before, after in zip(company.terms, company.terms[1:], strict=False):
            assert before.end + timedelta(days=1) == after.start


def test_some_of_those_due_soon_have_an_open_renewal_and_some_have_not(world: World) -> None:
    soon = [c for c in world.companies if c.terms and 0 <= (c.terms[-1].end - TODAY).days <= 90]
    opened = [c for c in soon if any(d.kind == "renewal" and d.won is None for d in c.deals)]
    assert 0.2 < len(opened) / len(soon) < 0.8
