"""What must be true of every score: the invariants of domain.md section 9, and that days of evaluation leave what the
interpreter says of the same days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cssync.model import BANDS
from cssync.rules.explain import PackExplanation
from cssync.rules.faults import Source
from cssync.rules.freshness import Context, Freshness
from cssync.rules.interpreter import judge
from cssync.rules.memory import FIRST_DAY, Memory, follow
from cssync.rules.outcome import Outcome
from cssync.rules.packs import read_rules
from cssync.rules.score_days import read_memory
from cssync.rules.texts import lost_points
from cssync.rules.tree import Hysteresis
from cssync.store.sqlite import Store
from score_world import LATE, STREAMS, TOKYO, World, at

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = ("a", "b", "c", "d")
Values = dict[str, int | None]
values = st.fixed_dictionaries({n: st.none() | st.integers(0, 100) for n in NAMES})
weights = st.fixed_dictionaries({n: st.integers(0, 30) for n in NAMES}).filter(lambda w: any(w.values()))


def outcome(
    found: Values, weigh: dict[str, int], *, order: tuple[str, ...] = NAMES, more: str = "", missing: str = "unknown"
) -> Outcome:
    measures = "".join(
        f"    {n}: {{weight: {weigh[n]}, missing: {missing}, curve: {{of: x_{n}, at: {{0: 0, 100: 100}}}}}}\n"
        for n in order
        if n in weigh
    )
    features = "".join(f"  x_{n}: {{count: tickets}}\n" for n in NAMES)
    text = f"pack: p\nfeatures:\n{features}score:\n  coverage: 0%\n  bands: {{red: 0, yellow: 50, green: 75}}\n{more}"
    rules = read_rules([Source("p.yaml", f"{text}  measures:\n{measures}")])
    now = datetime(2026, 11, 20, tzinfo=UTC)
    stated = {f"x_{n}": v for n, v in found.items()}
    return judge(rules.packs[0], rules.features, Context(now), {}, given=stated)


def exact(one: Outcome) -> Fraction | None:
    lost = lost_points(one.weights, one.measures)
    return 100 - sum((x.points for x in lost), Fraction(0)) if lost else None


@QUICK
@given(found=values, weigh=weights, name=st.sampled_from(NAMES), more=st.integers(0, 100))
def test_a_score_rises_with_each_measure_and_stays_in_its_bounds(
    found: Values, weigh: dict[str, int], name: str, more: int
) -> None:
    low = outcome(found, weigh)
    if low.score is None or found[name] is None:
        return
    high = outcome(found | {name: min(100, (found[name] or 0) + more)}, weigh)
    assert high.score is not None
    assert 0 <= low.score <= high.score <= 100
    assert BANDS.index(str(high.band)) <= BANDS.index(str(low.band))


@QUICK
@given(found=values, weigh=weights, order=st.permutations(NAMES), scale=st.integers(1, 30))
def test_order_and_scale_change_nothing(found: Values, weigh: dict[str, int], order: list[str], scale: int) -> None:
    other = outcome(found, {n: w * scale for n, w in weigh.items()}, order=tuple(order))
    assert (other.score, other.coverage, other.band) == ((one := outcome(found, weigh)).score, one.coverage, one.band)
    assert exact(other) == exact(one)


@QUICK
@given(found=values, weigh=weights)
def test_a_missing_measure_is_one_that_is_not_there_and_lost_points_add_up(
    found: Values, weigh: dict[str, int]
) -> None:
    one = outcome(found, weigh)
    there = {n: w for n, w in weigh.items() if found[n] is not None and w}
    if not there:
        assert one.score is None
        return
    alone = outcome(found, there)
    assert (one.score, exact(one)) == (alone.score, exact(alone))
    mean = Fraction(sum(w * (found[n] or 0) for n, w in there.items()), sum(there.values()))
    assert exact(one) == mean
    ignored = outcome(found, weigh, missing="ignore")
    assert (ignored.score, ignored.coverage) == (one.score, 100)


@QUICK
@given(found=values, weigh=weights, cap=st.integers(0, 100))
def test_a_cap_never_lifts_a_score_or_its_band(found: Values, weigh: dict[str, int], cap: int) -> None:
    free = outcome(found, weigh)
    held = outcome(found, weigh, more=f"  caps: [{{at_most: {cap}, when: x_a is missing or x_a >= 0, because: x}}]\n")
    if free.score is not None:
        assert held.score == min(cap, free.score)
        assert BANDS.index(str(held.band)) >= BANDS.index(str(free.band))
        assert (held.raw_score, replace(held.memory, caps="")) == (free.raw_score, free.memory)


BOUNDS = (("green", 75), ("yellow", 50), ("red", 0))


@QUICK
@given(
    series=st.lists(st.none() | st.integers(0, 100), min_size=1, max_size=12),
    margin=st.integers(0, 8),
    confirm=st.integers(1, 4),
    last=st.integers(0, 100),
)
def test_a_band_settles_and_days_without_a_score_are_as_if_they_were_not(
    series: list[int | None], margin: int, confirm: int, last: int
) -> None:
    rules = Hysteresis(margin, confirm)

    def walk(scores: list[int | None]) -> Memory:
        memory = FIRST_DAY
        for score in scores:
            memory = Memory(*follow(memory, score, BOUNDS, rules))
        return memory

    assert walk(series) == walk([s for s in series if s is not None])
    settled = walk([*series, *[last] * confirm])
    assert settled.band == next(name for name, bound in BOUNDS if last >= bound)
    assert (settled.yellow_days, settled.green_days) == (0, 0)


# --- days of evaluation -----------------------------------------------------------------------------------------------

PACK = """
pack: health
features:
  x: {last: surveys.score}
  open: {count: tickets, where: status = 'open'}
  wild: {count: tickets, where: status = 'solved'}
score:
  bands: {red: 0, yellow: 50, green: 75}
  coverage: 40%
  measures:
    x: {weight: 6, missing: hold 2d, curve: {of: x, at: {0: 0, 100: 100}}}
    load: {weight: 4, curve: {of: open, at: {0: 100, 4: 0}}}
    extra: {weight: 0, missing: ignore, curve: {of: x, at: {0: 100, 100: 0}}}
  models: {small: {when: segment = 'smb', weights: {extra: 5}, bands: {red: 0, yellow: 40, green: 60}}}
  caps: [{at_most: 45, when: wild > 0, because: wild}]
  hysteresis: {margin: 3, confirm: 2d}
  override: {band: override_band, reason: override_reason, until: override_until}
signals:
  down: {when: health.band = 'red' and health.model = 'standard', because: x}
"""
day = st.fixed_dictionaries(
    {
        "x": st.none() | st.sampled_from([0, 20, 45, 48, 52, 71, 74, 76, 79, 100]),
        "open": st.integers(0, 2),
        "wild": st.integers(0, 1).map(lambda n: n and 1),
        "segment": st.sampled_from([None, None, "smb"]),
        "override_band": st.sampled_from([None, None, None, "green"]),
        "override_until": st.sampled_from([None, "2026-10-03", "2026-10-05"]),
        "fresh": st.booleans(),
        "skip": st.sampled_from([1, 1, 1, 2]),
    }
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(days=st.lists(day, min_size=3, max_size=7))
def test_evaluated_days_leave_what_the_interpreter_says(days: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder, Store.open(Path(folder) / "x.db") as store:
        world = World(store, PACK)
        pack = world.rules.packs[0]
        memory, number, success, known = FIRST_DAY, 0, at(0), {}
        for one in days:
            number += one["skip"]
            columns = {n: one[n] for n in ("segment", "override_band", "override_until")}
            world.account("a", **columns)
            world.answer(one["x"])
            rows = [{"status": "open"}] * one["open"] + [{"status": "solved"}] * one["wild"]
            with store.transaction() as conn:
                conn.execute("DELETE FROM ticket")
            for n, row in enumerate(rows):
                world.put("ticket", "a", str(n), opened_at="2026-09-01T00:00:00Z", **row)
            success = at(number) if one["fresh"] or number == days[0]["skip"] else success
            found = world.run(number, fresh=STREAMS if success == at(number) else LATE)
            turned = success + timedelta(days=2)
            late = Freshness("stale", success, turned) if at(number) > turned else Freshness("ok", success)
            fresh = {s: Freshness("ok", at(number)) for s in STREAMS} | {"survey_response": late}
            answers = [] if one["x"] is None else [{"score": one["x"], "responded_at": "2026-09-01T00:00:00Z"}]
            tickets = [{"opened_at": "2026-09-01T00:00:00Z", **row} for row in rows]
            context = Context(at(number), TOKYO, "JPY", fresh)
            today = date.fromisoformat(at(number).astimezone(TOKYO).date().isoformat())
            stored = read_memory(store, "health", "a", today)
            assert (stored.band, stored.yellow_days, stored.green_days) == (
                memory.band, memory.yellow_days, memory.green_days)  # fmt: skip
            wanted = judge(pack, world.rules.features, context, {"uid": "a", **columns},
                           rows={"surveys": answers, "tickets": tickets},
                           memory=Memory(*(getattr(memory, n) for n in ("band", "yellow_days", "green_days",
                           "override_band", "override_until", "override_since")), measures=known))  # fmt: skip
            assert found["computed_band"] == wanted.computed_band or wanted.score is None
            if wanted.score is not None:
                assert {n: found[n] for n in ("score", "band", "coverage", "model")} == {
                    n: getattr(wanted, n) for n in ("score", "band", "coverage", "model")}  # fmt: skip
                assert (found["data_status"] == "partial") == bool(wanted.held or late.state == "stale")
            memory = wanted.memory
            known = {n: v for n, v in wanted.measures.items() if v is not None}


# --- the vectors of 5.2, as `explain` says them -----------------------------------------------------------------------

TABLE = {
    "usage_growth": (20, 60), "seat_utilisation": (15, 84), "feature_breadth": (10, 70), "login_recency": (10, 100),
    "ticket_load": (10, 40), "resolution_time": (5, 80), "csat": (10, None), "nps": (5, None), "engagement": (10, 50),
    "payment": (5, 100),
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "x.db") as opened:
        yield opened


def explained(store: Store, found: dict[str, int | None], skip: str = "") -> PackExplanation:
    """The table's measures, each the day's value of a metric of its own."""
    text = "pack: health\nscore:\n  bands: {red: 0, yellow: 50, green: 75}\n  measures:\n"
    text += "".join(
        f"    {n}: {{weight: {w}, applies: \"name != '{'a' if n == skip else 'b'}'\", "
        f"curve: {{of: x_{n}, at: {{0: 0, 100: 100}}}}}}\n"
        for n, (w, _) in TABLE.items()
    )
    text += "features:\n" + "".join(f"  x_{n}: {{last: usage.{n}}}\n" for n in TABLE)
    world = World(store, text)
    with store.transaction() as conn:
        conn.execute("INSERT INTO source_feed VALUES ('crm', 'usage', 'usage_metric')")
        conn.execute("INSERT INTO source_state (connection, stream, outcome) VALUES ('crm', 'usage', 'ok')")
    for name, value in found.items():
        if value is not None:
            world.put("usage_metric", "a", name, metric=name, grain="day", period_start="2026-09-30", value=value)
    world.run(0, fresh=(*STREAMS, "usage"))
    return world.explained(0)


BASE = {n: v for n, (_, v) in TABLE.items()}
FEW = ("ticket_load", "resolution_time", "engagement", "payment")


@pytest.mark.parametrize(
    ("found", "skip", "score", "coverage"),
    [
        (BASE, "", "70.12", Fraction(85, 100)),
        (BASE | {"csat": 90, "nps": 20}, "", "69.60", Fraction(1)),
        (BASE, "seat_utilisation", "67.14", Fraction(70, 85)),
        ({n: v if n in FEW else None for n, v in BASE.items()}, "", None, Fraction(30, 100)),
    ],
)
def test_the_worked_example(
    store: Store, found: dict[str, int | None], skip: str, score: str | None, coverage: Fraction
) -> None:
    view = explained(store, found, skip)
    assert view.exact_coverage == coverage
    assert view.exact_score is not None
    if score is None:
        assert (view.score, view.band, f"{float(view.exact_score):.2f}") == (None, "unknown", "60.00")
    else:
        assert f"{float(view.exact_score):.2f}" == score
        assert view.exact_score == 100 - sum((m.lost for m in view.measures if m.lost is not None), Fraction(0))
    lost = {m.name: f"{float(m.lost):.2f}" for m in view.measures if m.lost}
    if found is BASE and not skip:
        assert lost == {"usage_growth": "9.41", "ticket_load": "7.06", "engagement": "5.88", "feature_breadth": "3.53",
                        "seat_utilisation": "2.82", "resolution_time": "1.18"}  # fmt: skip
