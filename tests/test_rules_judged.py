"""What moves results over night although the rows of the packs' statements stay the same is found all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.config import Workspace
from cssync.rules import RuleSet, judged
from cssync.rules.freshness import Context, Freshness
from cssync.store.sqlite import Store
from twin_stores import FED, START, Twins, at, pack, pulled


@pytest.fixture
def twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    with ExitStack() as stack:
        found = Twins([stack.enter_context(Store.open(tmp_path / f"{n}.db")) for n in "ab"])
        differing = judged.differing

        def counted(conn: Any, *args: Any) -> bool:
            done = differing(conn, *args)
            found.gone_on_with.append(conn.execute("SELECT count(*) FROM now").fetchone()[0])
            return done

        monkeypatch.setattr(judged, "differing", counted)
        yield found


COUNT = "features: {here: {count: tickets}}\n"
ASK = "once_per: year, title: x, due: in 2 business days"


@pytest.mark.parametrize("task", ["{when: here > 0, owner: manager, %s}", "{when: here > 0, copy: manager, %s}"])
def test_a_new_manager(twins: Twins, task: str) -> None:
    rules = pack(f"pack: p\n{COUNT}tasks: {{T: {task % ASK}}}\n")
    twins.run(rules, 0)
    twins.run(rules, 1)
    assert twins.gone_on_with == [0]
    twins.do("UPDATE user SET manager_source_id = 'm2' WHERE source_id = 'u1'")
    twins.run(rules, 2)
    found = twins.all("SELECT coalesce(owner_uid, '') || coalesce(body, '') FROM task")
    assert len(found) == 3
    assert all("m2" in text for text in found)


def test_staff_that_no_task_names_moves_nobody(twins: Twins) -> None:
    rules = pack(f"pack: p\n{COUNT}tasks: {{T: {{when: here > 0, {ASK}}}}}\n")
    twins.run(rules, 0)
    twins.do("UPDATE user SET manager_source_id = 'm2' WHERE source_id = 'u1'")
    twins.run(rules, 1)
    assert twins.gone_on_with == [0]


def test_a_held_result_of_another_pack_that_is_forgotten(twins: Twins) -> None:
    rules = pack(f"pack: a\naccounts: status != 'churned'\n{COUNT}results: {{x: here}}\n",
                 "pack: b\nresults: {y: a.x + 1}\n")  # fmt: skip
    twins.do(pulled("ticket", 0))
    twins.run(rules, 0)
    twins.run(rules, 4)
    assert twins.all("SELECT DISTINCT state FROM result WHERE name = 'b.y' AND account_uid <> 'a3'") == ["stale"]
    twins.do("UPDATE account SET status = 'churned' WHERE uid = 'a1'")
    twins.run(rules, 5)
    assert twins.all("SELECT state FROM result WHERE name = 'b.y' AND account_uid = 'a1'") == ["unknown"]


def test_a_source_that_turns_stale_comes_back_or_was_silent_for_too_long(twins: Twins) -> None:
    rules = pack("""pack: p
features: {mean: {avg: surveys.score}, here: {count: tickets}}
results: {m: mean}
signals: {S: {when: mean > 1 or here > 0, because: "{mean}"}}
tasks:
  T: {when: here > 0 and mean is missing, once_per: episode, title: "{mean}", due: in 2 business days}
""")
    score = "INSERT INTO survey_response (connection, source_id, synced_at, account_uid, score, responded_at) VALUES "
    twins.do(pulled("survey_response", 0), f"{score} ('x', 's', '{at(0)}', 'a2', 5, '{at(0)}')")
    for day in (0, 1, 3, 4, 29, 31, 32):  # stale from day 3 on, held to day 30
        twins.run(rules, day)
    twins.do(pulled("survey_response", 33))
    twins.run(rules, 33)
    twins.do("DELETE FROM source_feed WHERE entity = 'survey_response'")
    twins.run(rules, 34)
    assert 0 in twins.gone_on_with


OK = Freshness("ok", START)
STALE = Freshness("stale", START - timedelta(days=9), START - timedelta(days=3))


def test_what_is_kept_rests_on_the_state_of_each_source(twins: Twins) -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\n")
    for before, after, other in (
        (OK, STALE, True),
        (OK, Freshness("missing"), True),
        (OK, replace(OK, as_of=START - timedelta(hours=1)), False),  # a newer pull alone says nothing new
        (STALE, replace(STALE, as_of=START - timedelta(days=10)), True),  # another day in the texts
        (STALE, replace(STALE, as_of=START - timedelta(days=60), turned=START - timedelta(days=50)), True),
    ):
        assert (basis(twins, rules, {"ticket": before}) != basis(twins, rules, {"ticket": after})) is other


def test_a_source_held_no_longer_is_another_basis(twins: Twins) -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\n")
    silent = {"ticket": Freshness("stale", START - timedelta(days=28), START - timedelta(days=26))}
    first, later = (basis(twins, rules, silent, day) for day in (0, 3))
    assert basis(twins, rules, silent, 1) == first != later


def test_what_else_is_kept_with_the_rows(twins: Twins) -> None:
    rules, other = (pack(f"pack: p\n{COUNT}results: {{x: {formula}}}\n") for formula in ("here", "here + 1"))
    first = basis(twins, rules, {"ticket": OK})
    assert basis(twins, rules, {"ticket": OK}, 1) == first
    assert basis(twins, other, {"ticket": OK}) != first
    assert basis(twins, rules, {"ticket": OK}, texts=("SELECT 1",)) != first
    for more in ({"locale": "ja-JP"}, {"holidays": "JP"}, {"closures": ("12-29",)}):
        assert basis(twins, rules, {"ticket": OK}, **more) != first
    for changed in ({"currency": "JPY"}, {"zone": ZoneInfo("Asia/Tokyo")}, {"doubtful": frozenset({"ticket"})},
                    {"stopped": frozenset({"ticket.status"})}):  # fmt: skip
        assert basis(twins, rules, {"ticket": OK}, context=changed) != first


def basis(
    twins: Twins, rules: RuleSet, fresh: dict[str, Freshness], day: int = 0, *, texts: tuple[str, ...] = (),
    context: dict[str, Any] | None = None, **settings: Any,
) -> str:  # fmt: skip
    """What is kept of the one pack would rest on."""
    store = twins.stores[0]
    c = replace(Context(START + timedelta(days=day), fresh=fresh), **(context or {}))
    space = Workspace("w", store.path, ZoneInfo("UTC"), "EUR", store.path, {}, **settings)
    last = judged.Before(None, None, compare=True, stale=False)
    return judged.look_up(store.db.conn, rules.packs[0], rules, space, c, texts, last).basis


def test_rows_of_another_evaluation_are_not_compared_with(twins: Twins) -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\n")
    store = twins.stores[0]
    twins.run(rules, 0)
    c = Context(START + timedelta(days=1), currency="EUR", fresh=dict.fromkeys(FED, OK))
    space = Workspace("w", store.path, ZoneInfo("UTC"), "EUR", store.path, {})
    row = store.query("SELECT value FROM setting WHERE name = 'evaluation.judged.p'")
    assert row
    known = judged.before(store.db.conn, compare=True, stale=False)
    assert known is not None

    def kept(last: judged.Before) -> judged.Kept:
        of = judged.look_up(store.db.conn, rules.packs[0], rules, space, c, (), last)
        with store.transaction() as conn:  # as if the rows were of this basis
            conn.execute("UPDATE setting SET value = json_set(value, '$.basis', ?) WHERE name = 'evaluation.judged.p'",
                         (of.basis,))  # fmt: skip
        return judged.look_up(store.db.conn, rules.packs[0], rules, space, c, (), last)

    assert kept(known).usable
    assert kept(known).day == START.date()
    for other in (replace(known, run_id="other"), replace(known, at=at(0.5))):
        assert kept(other).day is None
        assert not kept(other).usable
    assert not kept(replace(known, compare=False)).usable


def test_packs_that_are_gone_keep_no_rows(twins: Twins) -> None:
    both = [f"pack: {name}\n{COUNT if name == 'a' else ''}results: {{x: here}}\n" for name in "ab"]
    twins.run(pack(*both), 0)
    twins.run(pack(both[0]), 1)
    tables = twins.all("SELECT name FROM sqlite_master WHERE name GLOB 'judged_*' ORDER BY 1")
    assert tables == ["judged_a"]
    assert twins.all("SELECT name FROM setting WHERE name GLOB 'evaluation.judged.*'") == ["evaluation.judged.a"]


def test_an_account_that_leaves_within_the_day_keeps_no_row(twins: Twins) -> None:
    rules = pack(f"pack: p\naccounts: status != 'churned'\n{COUNT}results: {{x: here}}\n")
    twins.run(rules, 0)
    twins.do("UPDATE account SET status = 'churned' WHERE uid = 'a1'", "UPDATE account SET name = 'B' WHERE uid = 'a2'")
    twins.run(rules, 0.1)
    assert twins.all("SELECT uid || a_name FROM judged_p ORDER BY uid") == ["a0Nr 0", "a2B", "a3Nr 3"]
    assert twins.gone_on_with == [1]
    twins.run(rules, 1)
    assert twins.gone_on_with == [1, 0]


def test_an_account_that_changed_in_what_no_rule_sees_is_looked_at_and_not_gone_on_with(twins: Twins) -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\n", "pack: q\nresults: {y: industry}\n")
    twins.run(rules, 0)
    twins.do("UPDATE account SET industry = 'retail' WHERE uid = 'a1'")
    twins.run(rules, 0.1)
    assert (twins.partly, twins.gone_on_with) == ([1], [0, 1])
    twins.run(rules, 1)
    assert twins.gone_on_with == [0, 1, 0, 0]


def test_a_result_of_another_pack_that_is_held_has_all_gone_on_with_that_are_looked_at(twins: Twins) -> None:
    rules = pack(f"pack: a\naccounts: status != 'churned'\n{COUNT}results: {{x: here}}\n",
                 "pack: b\nresults: {y: a.x + 1}\n")  # fmt: skip
    twins.do(pulled("ticket", 0))
    twins.run(rules, 0)
    twins.run(rules, 4)
    twins.do("UPDATE account SET status = 'churned' WHERE uid = 'a1'", "UPDATE account SET name = 'B' WHERE uid = 'a2'")
    twins.run(rules, 4.01)
    assert twins.partly == [2]
    assert twins.all("SELECT state FROM result WHERE name = 'b.y' AND account_uid = 'a1'") == ["unknown"]


def test_rows_of_an_older_version_are_not_added_to(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = pack(f"pack: p\n{COUNT}results: {{x: here}}\n")
    twins.run(rules, 0)
    monkeypatch.setattr(judged, "__version__", "another")
    twins.do("UPDATE account SET name = 'B' WHERE uid = 'a2'")
    twins.run(rules, 0.1)
    assert twins.all("SELECT name FROM setting WHERE name GLOB 'evaluation.judged.*'") == []
    twins.run(rules, 1)
    assert twins.gone_on_with == []
    twins.run(rules, 2)
    assert twins.gone_on_with == [0]
