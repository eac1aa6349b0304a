"""Values fit their field before they are sent: lengths, types, options, rights; one field has one source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.config import Workspace, Writeback
from cssync.connectors import RemoteField
from cssync.errors import ConfigError, ConnectionFault
from cssync.rules.cutting import cut
from cssync.rules.texts import end_of, same_but_date, signed, unsigned
from cssync.store import Store
from cssync.writeback import plan as planning
from cssync.writeback.apply import apply_plan
from cssync.writeback.fit import Descriptions, misfit, shortened
from cssync.writeback.plan import Plan
from fake_crm import AS_OF, TYPES, Crm, account, pulled, result, sessions, workspace

MAPPING = {"cs_health_band": "health.band", "cs_health_reasons": "health.reasons", "cs_health_score": "health.score"}
FITTING = (
    RemoteField("cs_health_band", "Band", "text", True, ("green", "yellow", "red")),
    RemoteField("cs_health_reasons", "Reasons", "text", True, length=30),
    RemoteField("CS_Health_Score", "Score", "real", True),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "written_types", lambda rules: TYPES)


class Vendor:
    """Describes its fields, and counts how often it is asked."""

    def __init__(self, *fields: RemoteField) -> None:
        self.fields, self.asked = fields or FITTING, 0

    def describe(self, session: Any, stream: str) -> tuple[RemoteField, ...]:
        self.asked += 1
        return self.fields


def office(store: Store, tmp_path: Path, crm: Crm, vendor: Vendor, **options: Any) -> Workspace:
    for n, band in enumerate(("red", "green")):
        crm.companies[str(n)] = {}
        account(store, f"a-{n}", name=f"Company {n}")
        result(store, f"a-{n}", "health.band", band)
        result(store, f"a-{n}", "health.score", 40 + n)
        result(store, f"a-{n}", "health.reasons", "usage down 13 % against the weeks before")
    pulled(store, crm)
    options = {"fields": MAPPING, "connector": {"describe": vendor.describe}, **options}
    return workspace(tmp_path, {"crm": crm}, **options)


def run(store: Store, space: Workspace, name: str) -> tuple[Plan, Any]:
    """Plan and apply with one look at the fields, as `cssync run` does."""
    opened = sessions(space)
    describe = Descriptions(store, space, opened, None)
    rules: Any = None
    plan = planning.make_plan(store, space, rules, AS_OF, run_id=name, describe=describe)
    return plan, apply_plan(store, space, plan.id, opened, run_id=name, describe=describe)


def test_a_list_of_options_that_is_not_binding_takes_any_value() -> None:
    open_list = replace(FITTING[0], restricted=False)
    assert misfit(FITTING[0], "blue").startswith("has no option 'blue'")
    assert misfit(open_list, "blue") == ""


def test_a_long_text_is_cut_once_told_once_and_no_difference_the_next_day(tmp_path: Path, store: Store) -> None:
    crm, vendor = Crm(), Vendor()
    space = office(store, tmp_path, crm, vendor)
    plan, report = run(store, space, "r1")
    assert crm.companies["0"]["cs_health_reasons"] == "usage down 13 % against the w…"
    assert [n.message for n in plan.notes if n.kind == "cut"] == [
        "40 characters are too many for this field; 30 of them are written"
    ] * 2
    assert (vendor.asked, report.exit_code) == (1, 0)
    pulled(store, crm)
    plan, _ = run(store, space, "r2")
    assert (plan.changes, plan.notes, vendor.asked) == ((), (), 1)  # a still world is not even asked for its fields


def test_an_apply_of_a_plan_made_before_anybody_looked_cuts_too(tmp_path: Path, store: Store) -> None:
    crm = Crm()
    space = office(store, tmp_path, crm, Vendor())
    rules: Any = None
    plan = planning.make_plan(store, space, rules, AS_OF, run_id="r1")
    report = apply_plan(store, space, plan.id, sessions(space), run_id="r1")
    assert crm.companies["0"]["cs_health_reasons"] == "usage down 13 % against the w…"
    assert (report.exit_code, len(report.altered)) == (0, 2)
    pulled(store, crm)
    assert planning.make_plan(store, space, rules, AS_OF, run_id="r2").changes == ()


SIGNED = {"en": " Written by cssync. Data to 2026-11-20.", "ja": "cssyncが作成。データ時点 2026-11-20。"}


@pytest.mark.parametrize("lang", SIGNED)
@pytest.mark.parametrize("asked", [True, False], ids=["field known", "field not known"])
def test_a_cut_takes_neither_the_date_nor_who_wrote_it_off_a_text(
    tmp_path: Path, store: Store, lang: str, asked: bool
) -> None:
    crm, longest = Crm(), 90
    vendor = Vendor(FITTING[0], replace(FITTING[1], length=longest), FITTING[2])
    space = office(store, tmp_path, crm, vendor)
    body = {"en": "49 (red). -9.4 usage down. ", "ja": "49点(赤)。-9.4 利用が減少。"}[lang] * 4
    result(store, "a-0", "health.reasons", signed(body.strip(), AS_OF.date(), lang))
    rules: Any = None
    if asked:
        _, report = run(store, space, "r1")
    else:  # nobody looked at the field before the plan: the write itself cuts
        plan = planning.make_plan(store, space, rules, AS_OF, run_id="r1")
        report = apply_plan(store, space, plan.id, sessions(space), run_id="r1")
    held = crm.companies["0"]["cs_health_reasons"]
    assert held.startswith(body[:20])
    assert held.endswith("…" + SIGNED[lang])
    assert len(held) <= longest
    assert (report.exit_code, set(report.outcomes)) == (0, {"verified"})
    pulled(store, crm)
    result(store, "a-0", "health.reasons", signed(body.strip(), date(2026, 11, 25), lang))
    assert planning.make_plan(store, space, rules, AS_OF, run_id="r2").changes == ()  # of another day alone
    result(store, "a-0", "health.reasons", signed("48" + body[2:].strip(), date(2026, 11, 25), lang))
    (change,) = planning.make_plan(store, space, rules, AS_OF, run_id="r3").changes
    assert change.new.endswith("2026-11-25" + SIGNED[lang][-1])


@given(st.text(max_size=60), st.sampled_from(sorted(SIGNED)), st.integers(0, 120))
def test_a_signed_text_fits_any_field_and_is_known_again(body: str, lang: str, length: int) -> None:
    text = signed(body, AS_OF.date(), lang)
    found = shortened(text, length)
    assert len(found.encode("utf-16-le", "surrogatepass")) // 2 <= length
    assert found.endswith(SIGNED[lang]) or length < 2 * len(SIGNED[lang])
    assert end_of(text) == SIGNED[lang]
    assert unsigned(text) == body + SIGNED[lang].replace(" Written by cssync.", "").replace("cssyncが作成。", "")
    assert same_but_date(body, text)
    assert same_but_date(body, signed(body, None, lang))
    assert not same_but_date(body + "x", text)
    assert not same_but_date(body, unsigned(text)), "texts of before the signature are written once more, as planned"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ((replace(FITTING[0], options=("green", "yellow", "RED")), *FITTING[1:]), "has no option 'red'"),
        ((replace(FITTING[0], writable=False), *FITTING[1:]), "is read-only"),
        ((replace(FITTING[0], type="real", options=()), *FITTING[1:]), "is a number, and 'red' is none"),
        (FITTING[1:], "is not there"),
    ],
    ids=["option renamed", "read-only", "retyped", "removed"],
)
def test_a_field_that_does_not_take_its_values_stops_that_mapping_only(
    tmp_path: Path, store: Store, fields: tuple[RemoteField, ...], told: str
) -> None:
    crm = Crm()
    space = office(store, tmp_path, crm, Vendor(*fields))
    plan, report = run(store, space, "r1")
    (note,) = [n for n in plan.notes if n.kind == "misfit"]
    assert f"crm.cs_health_band {told}" in note.message
    assert "2 values of health.band not written" in note.message
    assert report.exit_code == 0
    assert {tuple(sorted(c)) for c in crm.companies.values()} == {("cs_health_reasons", "cs_health_score")}


def test_an_option_renamed_between_plan_and_apply_refuses_the_mapping_as_a_whole(tmp_path: Path, store: Store) -> None:
    crm, vendor = Crm(), Vendor()
    space = office(store, tmp_path, crm, vendor)
    rules: Any = None
    plan = planning.make_plan(store, space, rules, AS_OF, run_id="r1")
    vendor.fields = (replace(FITTING[0], options=("green", "RED")), *FITTING[1:])
    report = apply_plan(store, space, plan.id, sessions(space), run_id="r1")
    assert dict(report.outcomes) == {"refused": 2, "verified": 4}
    assert {e.error.partition(" (")[0] for e in report.open} == {"the field has no option 'red'"}
    assert "cs_health_band" not in crm.companies["1"]  # green still exists, but half a mapping is none
    vendor.fields = FITTING
    assert {c.new for c in run(store, space, "r2")[0].changes} == {"red", "green"}


def test_a_vendor_that_cannot_describe_its_fields_is_written_to_as_before(tmp_path: Path, store: Store) -> None:
    def fails(session: Any, stream: str) -> Any:
        raise ConnectionFault("no")

    crm = Crm()
    space = office(store, tmp_path, crm, Vendor(), connector={"describe": fails})
    assert run(store, space, "r1")[1].exit_code == 0
    assert crm.companies["0"]["cs_health_band"] == "red"


def test_two_results_for_one_field_are_refused_and_both_are_named(tmp_path: Path, store: Store) -> None:
    twice = {"CS_Band__c": "health.band", "cs_band__C": "health.score"}
    space = office(store, tmp_path, Crm(), Vendor(), fields=twice)
    with pytest.raises(ConfigError, match=r"crm\.CS_Band__c: health\.band and crm\.cs_band__C: health\.score"):
        run(store, space, "r1")


def test_two_connections_to_one_organisation_may_not_fill_one_field_differently(tmp_path: Path, store: Store) -> None:
    space = workspace(tmp_path, {"crm": Crm(), "sales": Crm()}, fields={"cs_band": "health.band"})
    other = Writeback("sales", "companies", {"cs_band": "health.score"})
    space = replace(space, writeback={**space.writeback, "sales": other})
    run(store, space, "r1")  # two organisations, as far as we know
    with store.transaction() as conn:
        for name in space.connections:
            conn.execute("INSERT INTO binding (connection, org_id, org_kind) VALUES (?, '7', 'sandbox')", (name,))
    with pytest.raises(ConfigError, match=r"crm\.cs_band: health\.band and sales\.cs_band: health\.score"):
        run(store, space, "r2")


@given(st.text(), st.integers(1, 40))
def test_cut_texts_fit_and_are_beginnings(text: str, length: int) -> None:
    short = cut(text, length)
    assert len(short.encode("utf-16-le")) // 2 <= length
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@pytest.mark.parametrize(
    ("text", "length", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("cafe\u0301 noir", 5, "caf…"),  # the accent stays with its letter, or goes with it
        ("ok 👩‍👩‍👧 fine", 8, "ok…"),  # joined emoji stay whole
        ("go 🇯🇵🇨🇭 team", 9, "go 🇯🇵…"),
        ("解約のリスク", 4, "解約の…"),
    ],
)
def test_a_cut_never_splits_a_character(text: str, length: int, short: str) -> None:
    assert cut(text, length) == short


def test_what_a_field_takes() -> None:
    number = RemoteField("f", "F", "real", True)
    assert [misfit(number, v) for v in (1, "2.5", None)] == ["", "", ""]
    assert "is a number" in misfit(number, True)
    assert "is a date" in misfit(RemoteField("f", "F", "date", True), "soon")
    assert misfit(RemoteField("f", "F", "bool", True, ("true", "false")), True) == ""
    assert "'U02'" in misfit(RemoteField("f", "F", "json", True, ("U01",)), ["U01", "U02"])
