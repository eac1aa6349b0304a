"""What a customer success manager reads: why, with numbers, as of when, written by whom; within its field."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Limits, Workspace
from cssync.errors import ConfigError
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.texts import render
from cssync.rules.tree import Place, Template
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.plan import Plan
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, task, user, workspace

FAMILY = "👨‍👩‍👧"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


def planned(store: Store, space: Workspace) -> Plan:
    assert sessions(space)
    rules: Any = None
    return planning.make_plan(store, space, rules, AS_OF, run_id="r1")


def everything(store: Store, tmp_path: Path, locale: str, title: str = "Renew") -> list[dict[str, Any]]:
    """The content of a task, a digest, a renewal and an upsell."""
    crm = Crm({str(n): {} for n in range(3)})
    owner = user(store, "u1", "ann@acme.example")
    for n in range(3):
        account(store, f"a-{n}", name=f"{title} {n}")
        task(store, f"a-{n}", f"k{n}", title=f"{title} {n}", owner_uid=owner, rule="R03", body="ARR 1,800,000.")
        result(store, f"a-{n}", "renewal.arr_at_stake", 1_800_000)
        result(store, f"a-{n}", "upsell.arr_potential", 36_000)
    with store.transaction() as conn:
        conn.execute(
            "INSERT INTO signal (account_uid, pack, name, since, because, run_id) VALUES "
            "('a-0', 'upsell', 'U01', '2026-11-18T00:00:00Z', '48 of 50 seats in use', 'r')"
        )
    pulled(store, crm)
    space = workspace(
        tmp_path, {"crm": crm}, fields={}, limits=Limits(new_tasks=1), opportunities=("renewal", "upsell"),
        connector={"opportunities": True},
    )  # fmt: skip
    return [change.new for change in planned(store, replace(space, locale=locale)).changes]


def kind(content: dict[str, Any]) -> str:
    return "digest" if content["key"].startswith("digest-") else str(content["kind"])


@pytest.mark.parametrize("locale", ["en", "ja"])
def test_every_text_says_why_with_numbers_as_of_when_and_that_cssync_wrote_it(
    tmp_path: Path, store: Store, locale: str
) -> None:
    found = everything(store, tmp_path, locale)
    assert {kind(content) for content in found} == {"task", "digest", "renewal", "upsell"}
    for content in found:
        body = content["body"]
        assert "cssync" in body, body
        assert any(day in body for day in ("2026-11-18", "2026-11-20", "2026-11-21")), body
        assert any(number in body for number in ("1,800,000", "48 of 50")), body
        assert content["subject"]
        assert "{" not in content["subject"] + body
        assert len(body) < 31_000
    japanese = [c for c in found if any("HIRAGANA" in unicodedata.name(ch, "") for ch in c["body"])]
    assert len(japanese) == (len(found) if locale == "ja" else 0)


@pytest.mark.parametrize("unit", ["x", "é", "e\u0301", "語", "😀", FAMILY, "🇯🇵", "が"])
def test_subjects_are_cut_between_two_characters(tmp_path: Path, store: Store, unit: str) -> None:
    for content in everything(store, tmp_path, "en", title=unit * 300):
        limit = 255 if content["kind"] == "task" else 120
        subject = content["subject"]
        assert len(subject.encode("utf-16-le")) // 2 <= limit
        subject.encode()  # no half of a pair
        if kind(content) != "digest":
            assert subject.endswith("…")
            kept = subject.removesuffix("…").rpartition(": ")[2].strip()
            assert kept == unit * (len(kept) // len(unit))


def test_the_last_line_is_no_reason_to_write_a_task_again(tmp_path: Path, store: Store) -> None:
    crm = Crm({"1": {}})
    account(store, "a-1")
    task(store, "a-1")
    space = workspace(tmp_path, {"crm": crm}, fields={})
    pulled(store, crm)
    planning.approve_plan(store, planned(store, space).id)
    from cssync.writeback.apply import apply_plan

    plan = planning.latest_plan(store, ("approved",))
    assert plan is not None
    apply_plan(store, space, plan.id, sessions(space), run_id="r1")
    pulled(store, crm)
    task(store, "a-1", created_at="2026-11-25T00:00:00Z")
    assert planned(store, replace(space, locale="ja")).changes == ()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Acme \x1b[31mGmbH\u202e.exe", "Acme [31mGmbH.exe"),
        ("line\none\x00", "line one"),
        ("株式会社\u3000みなも", "株式会社 みなも"),
        (f"Familie {FAMILY}", f"Familie {FAMILY}"),
        ("O'Dell & Söhne", "O'Dell & Söhne"),
    ],
)
def test_a_customers_name_cannot_steer_the_sentence_it_stands_in(name: str, shown: str) -> None:
    text = {"en": Template(("Renewal of ", Place("name", "text", kind="account")))}
    assert render(text, "en", lambda place: (name, "")) == f"Renewal of {shown}"


@pytest.mark.parametrize(
    ("goals", "shown"),
    [
        (None, "Health ok. Next: call."),
        ("", "Health ok. Next: call."),
        ("\u200e \n", "Health ok. Next: call."),
        ("grow\n- in {Asia}", "Health ok. Goals: grow - in {Asia}. Next: call."),
        ("x" * 301, f"Health ok. Goals: {'x' * 299}…. Next: call."),
    ],
)
def test_a_stretch_of_a_text_is_left_out_where_a_place_in_it_has_no_value(goals: str | None, shown: str) -> None:
    pack = (
        "pack: p\ntasks: {T: {when: is_test, once_per: year, title: x, due: in 2 business days, "
        'body: "Health ok. {?Goals: {success_goals}. }Next: call."}}\n'
    )
    body = read_rules([Source("p.yaml", pack)]).packs[0].tasks[0].body
    assert render(body, "en", lambda place: (goals, "")) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{?no place}", "is left out where a place in it has no value: name one"),
        ("a {?{name} and {?{uid}}}", "`{?` is not closed, or holds another one"),
        ("a {?never closed {name}", "`{?` is not closed"),
        ("{?{nam}}", "there is no feature or column 'nam'"),
    ],
)
def test_a_stretch_that_may_be_left_out_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_rules([Source("p.yaml", f"pack: p\nsignals: {{S: {{when: is_test, because: '{text}'}}}}\n")])
    assert words in error.value.message
