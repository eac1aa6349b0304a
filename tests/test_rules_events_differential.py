"""Generated contracts and deals: each engine, the interpreter and a plain reading of domain.md section 6 see the same
renewal events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cssync.rules.catalogue import FACTS, SOURCES
from cssync.rules.compiler import compile_pack
from cssync.rules.event_facts import EVENT_ARR, EVENT_ENDS, EVENT_FACTS
from cssync.rules.faults import Source
from cssync.rules.freshness import Context, Freshness
from cssync.rules.interpreter import judge_events
from cssync.rules.packs import read_rules
from cssync.rules.statement import outcome_of
from engines import Engine
from test_rules_differential import AS_OF, QUICK, same_everywhere, stored

TODAY = date(2026, 11, 20)
PACK = """
pack: p
for_each: renewal_event
features:
  deals: {count: opportunities, per: renewal_event}
  stage: {last: opportunities.stage, per: renewal_event, where: not is_won}
  won_on: {max: opportunities.close_date, per: renewal_event, where: is_won}
  all_deals: {count: opportunities}
  apart: {median: opportunities.probability, per: renewal_event}
  answers: {count: tickets}
results:
  risk:
    options: [notice, lapsed, none]
    first: [notice if notice_given, lapsed if renews_on = lapsed_on, none otherwise]
  stake: {value: renewal_arr * 0.5, sum_over: renewal_events}
  ahead: {value: deals, sum_over: renewal_events}
tasks:
  T1: {when: days_until(anchor) < 90 and p.risk = 'none', once_per: renewal_event, title: x, due: anchor - 60,
       done_when: won_on is not missing}
  T2: {when: arr is missing, once_per: episode, title: x, due: notice_deadline}
"""
RULES = read_rules([Source("p.yaml", PACK)])
KEY = st.integers(0, 5)
offsets = st.integers(-50, 60) | st.integers(300, 320)
contracts = st.lists(
    st.tuples(offsets, st.sampled_from([None, None, -3, 40]), st.sampled_from(["x", "x", "y"])), max_size=6
)
"""Days from today to the renewal date, and to the day on which notice came, if it did; and the connection."""
lines = st.lists(st.tuples(KEY | st.none(), st.integers(0, 900), st.sampled_from(["EUR", "EUR", "JPY"])), max_size=4)
deals = st.lists(
    st.fixed_dictionaries({
        "contract_source_id": st.none() | KEY.map("0-{}".format),
        "close_date": st.none() | offsets.map(lambda n: (TODAY + timedelta(days=n)).isoformat()),
        "is_won": st.sampled_from([0, 1]),
        "stage": st.sampled_from(["a", "b"]),
        "probability": st.sampled_from([None, 0.25, 0.5]),
    }),
    max_size=4,
)  # fmt: skip


def by_hand(days: Iterable[tuple[date, str]]) -> list[tuple[date, list[str]]]:
    """Renewal date and contracts of each event, the next one first. days: renewal date and key of each contract."""
    listed = sorted(days)
    live = [d for d in listed if d[0] >= TODAY - timedelta(days=30)]
    if not live:
        live = [d for d in listed if d[0] >= listed[-1][0] - timedelta(days=14)]
        groups = [live] if live else []
    else:
        groups = []
        for day in live:
            if not groups or day[0] > groups[-1][0][0] + timedelta(days=14):
                groups.append([])
            groups[-1].append(day)
    events = []
    for group in groups:
        ahead = [on for on, _ in group if on > TODAY]
        events.append((min(ahead) if ahead else max(on for on, _ in group), sorted(key for _, key in group)))
    return sorted(events, key=lambda e: (e[0] <= TODAY, abs((e[0] - TODAY).days)))


@settings(max_examples=12, deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
@example(
    found=[(14, None, "x"), (28, None, "x"), (29, None, "y"), (43, None, "y")],
    priced=[(0, 900, "EUR"), (3, 5, "EUR")],
    sold=[],
)
@example(found=[(-30, None, "x"), (-31, None, "x"), (1, None, "y")], priced=[], sold=[])
@given(found=contracts, priced=lines, sold=deals)
def test_every_engine_sees_the_same_events(
    found: list[tuple[int, int | None, str]],
    priced: list[tuple[int | None, int, str]],
    sold: list[dict[str, Any]],
    engines: tuple[Engine, ...],
) -> None:
    terms = [
        {"connection": connection, "end_date": (TODAY + timedelta(days=ahead - 1)).isoformat(), "auto_renew": n % 2,
         "notice_days": 10 * n, "status": "expired",
         "notice_received_on": notice and (TODAY + timedelta(days=notice)).isoformat()}
        for n, (ahead, notice, connection) in enumerate(found)
    ]  # fmt: skip
    prices = [
        {"contract_source_id": None if of is None else f"0-{of}", "unit_price": price, "quantity": 1, "currency": code}
        for of, price, code in priced
    ]
    rows: dict[str, list[dict[str, Any]]] = {"contracts": terms, "lines": prices, "opportunities": sold}
    context = Context(AS_OF, currency="EUR", fresh={t.entity: Freshness("ok", AS_OF) for t in SOURCES.values()})
    pack = RULES.packs[0]
    statement = compile_pack(pack, RULES.features, context, also=(*EVENT_FACTS, *EVENT_ENDS, EVENT_ARR))
    with stored([({}, rows)]) as conn:
        answers = conn.execute(statement.sql).fetchall()
        same_everywhere(conn, engines, pack, RULES.features, context)
    days = [(TODAY + timedelta(days=ahead), f"{connection}:0-{n}") for n, (ahead, _, connection) in enumerate(found)]
    outcomes = [outcome_of(pack, statement, row) for row in answers]
    seen = [(o.features["renews_on"], str(o.features["renewal_contracts"]).split()) for o in outcomes]
    assert seen == (by_hand(days) or [(None, ["None"])])
    facts = [
        {**{n: v for n, v in o.features.items() if n in FACTS}, "currency.renewal_arr": row["c_renewal_arr"]}
        for o, row in zip(outcomes, answers, strict=True)
    ]
    keyed = {s: [{"connection": "x", "source_id": f"0-{n}", **r} for n, r in enumerate(rs)] for s, rs in rows.items()}
    wanted = judge_events(pack, RULES.features, context, {}, facts, rows=keyed)
    for outcome, judged in zip(outcomes, wanted, strict=True):
        known = {n: v for n, v in outcome.features.items() if n in judged.features}
        outcome.features = known
        assert outcome == judged
