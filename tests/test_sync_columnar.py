"""A page done a column at a time gives what the same records give one by one, or is handed back as unusual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.connectors import Feed, Field, Stream
from cssync.errors import RecordError
from cssync.sync.columnar import Gone, Unusual
from cssync.sync.normalise import Normalised, Normaliser, gathered

STREAM = Stream(
    "companies",
    (
        Feed(
            "account_source",
            {
                "name": "p.name",
                "domains": Field(("p.domain", "p.more"), read=lambda a, b: sorted(filter(None, (a, b))) or None),
                "employee_count": "p.staff",
                "created_at": "made",
                "status": Field("p.stage", read=lambda v: {"customer": "active"}.get(v)),
                "country": Field(const="CH"),
                "industry": "deep.er.still",
            },
        ),
        Feed(
            "opportunity",
            {"name": "name", "amount": "amount", "currency": "^p.currency", "close_date": "on", "is_won": "won"},
            each="deals",
        ),
        Feed("contact", {"name": "p.name", "email": "p.mail"}, when=lambda record: bool(record.get("person"))),
    ),
    lambda session, request: iter(()),
    base="p",
)


def normaliser() -> Normaliser:
    return Normaliser(
        STREAM,
        mapped={"renews": "contract.end_date", "fee": "contract_line.amount", "mau": "usage_metric.mau"},
        written=("score",),
        timezone=ZoneInfo("Asia/Tokyo"),
        currency="JPY",
        today="2026-11-20",
    )


def rows(found: Normalised) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    return {
        (sheet.entity, str(row[0])): (owner, dict(zip(sheet.columns, row, strict=True)))
        for sheet in found.sheets
        for owner, row in zip(sheet.owners, zip(*sheet.values, strict=True), strict=True)
    }


TEXT = st.sampled_from(["", "a", "b", "x\0y", "customer", "12", "5,0", None, 7, True])
DEAL = st.fixed_dictionaries(
    {"id": st.uuids().map(str), "name": TEXT, "amount": st.sampled_from([None, "", "10.5", 3])},
    optional={"on": st.sampled_from(["2026-01-31", None, "2026-02-30"]), "won": st.sampled_from([True, "no", None])},
)
INNER = {
    "name": TEXT, "domain": st.sampled_from(["a.example", None]), "more": st.just("b.example"), "staff": TEXT,
    "stage": TEXT, "mail": TEXT, "currency": st.sampled_from(["EUR", None]),
    "renews": st.sampled_from(["", "2027-01-01"]),
    "fee": st.sampled_from(["9.99", None]), "mau": st.sampled_from(["3", None, ""]), "score": TEXT,
}  # fmt: skip
RECORD = st.fixed_dictionaries(
    {
        "p": st.fixed_dictionaries({"name": TEXT}, optional={k: v for k, v in INNER.items() if k != "name"})
        | st.fixed_dictionaries(INNER)
        | st.none(),
        "made": st.sampled_from(["2024-05-01T07:25:37.123Z", "2024-05-01T09:25:37+02:00", None, "soon"]),
        "person": st.booleans(),
    },
    optional={"deals": st.lists(DEAL, max_size=3), "deep": st.just({"er": {"still": "x"}})},
)
ALIKE = st.fixed_dictionaries(
    {
        "p": st.fixed_dictionaries({**INNER, "staff": st.sampled_from(["5", "", None])}),
        "made": st.sampled_from(["2024-05-01T07:25:37.123Z", "2024-05-01T09:25:37+02:00", None]),
        "person": st.booleans(),
    }
)
IDS = st.lists(st.sampled_from(["1", "2", "3", "4", "5", 6, "", None]), max_size=6)


def test_what_no_record_has_of_two_fields_clears_nothing_where_the_other_is_not_told() -> None:
    records = [{"id": "1", "p": {"name": "a", "domain": "a.example"}}, {"id": "2", "p": {"name": "b"}}]
    found = {key[1]: row for key, (_, row) in rows(normaliser().page(records)).items() if key[0] == "account_source"}
    assert found["1"]["domains"] == '["a.example"]'
    assert "domains" not in found["2"]


@given(
    IDS | st.permutations("123456"), st.lists(RECORD, min_size=6, max_size=6) | st.lists(ALIKE, min_size=6, max_size=6)
)
def test_a_page_gives_what_its_records_give(ids: list[Any], found: list[dict[str, Any]]) -> None:
    records = [{**record, "id": i} for i, record in zip(ids, found, strict=False)]
    normalise = normaliser()
    try:
        page = normalise.page(records)
    except Unusual:
        return
    one_by_one = gathered([normalise(record) for record in records])
    assert rows(page) == rows(one_by_one)
    assert list(page.keys) == list(one_by_one.keys)
    assert standing(page) == standing(one_by_one)
    assert flat(page.gone) == flat(one_by_one.gone)
    assert flat(page.refused) == flat(one_by_one.refused)


def standing(page: Normalised) -> dict[str, tuple[str, str]]:
    """For each record the row that stands for it."""
    if page.first is not None:
        return dict(page.first)
    main = page.sheets[0]
    return {owner: (main.entity, source_id) for owner, source_id in zip(main.owners, main.ids, strict=True)}


def flat(parts: Sequence[Gone]) -> list[tuple[str, str, str]]:
    """Each row that a record does not have."""
    return sorted((o, rows.entity, i) for rows in parts for o, i in zip(rows.owners, rows.ids, strict=True))


def usual(number: int, **inner: Any) -> dict[str, Any]:
    held = {"name": f"N{number}", "domain": None, "more": None, "staff": "5", "stage": "customer",
            "mail": "m@x.example", "currency": "EUR", "renews": "2027-01-01", "fee": "9.99",
            "mau": "3", "score": None}  # fmt: skip
    deal = {"id": f"d{number}", "name": "Deal", "amount": "10.5", "on": "2026-01-31", "won": True}
    return {"id": str(number), "p": held | inner, "made": None, "person": number % 2, "deals": [deal]}


def test_an_ordinary_page_takes_the_fast_way_and_keeps_money_in_its_currency() -> None:
    page = normaliser().page([usual(n) for n in range(1, 4)])
    found = rows(page)
    assert found["opportunity", "d2"] == (
        "2",
        {"source_id": "d2", "name": "Deal", "close_date": "2026-01-31", "is_won": 1, "currency": "EUR", "amount": 1050},
    )
    assert sorted(key for entity, key in found if entity == "contact") == ["1", "3"]
    assert {entity for entity, _ in found} == {
        "account_source", "opportunity", "contact", "contract", "contract_line", "usage_metric",
        "crm_state",
    }  # fmt: skip


def test_rows_that_hold_other_columns_are_a_sheet_of_their_own_and_keep_what_they_do_not_hold() -> None:
    found = normaliser().page([usual(1), {**usual(2), "p": {"name": "only"}}, usual(3)])
    companies = [sheet for sheet in found.sheets if sheet.entity == "account_source"]
    assert [list(sheet.ids) for sheet in companies] == [["1", "3"], ["2"]]
    assert "employee_count" in companies[0].columns
    assert companies[1].columns == ("source_id", "name", "created_at", "country")


@pytest.mark.parametrize(
    "records",
    [
        [usual(1), usual(2, staff="5,0")],
        [usual(1), usual(1)],
        [usual(1), {"p": {}}],
    ],
    ids=["unreadable value", "one id twice", "no id"],
)
def test_a_page_with_anything_unusual_is_taken_record_by_record(records: list[Any]) -> None:
    with pytest.raises(Unusual):
        normaliser().page(records)


def test_a_bad_record_is_still_named_with_its_field() -> None:
    with pytest.raises(RecordError, match=r"p\.staff -> account_source\.employee_count: not a number"):
        normaliser()(usual(2, staff="5,0"))
