"""Values in queries: nothing a record holds can become part of a query; ids have one form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.errors import ConnectionFault
from cssync_salesforce import soql
from cssync_salesforce.sandbox.schema import field
from cssync_salesforce.sandbox.soql import SoqlError, parse, run

RECORDED = Path(__file__).parents[4] / "shared" / "vendors" / "recorded" / "salesforce.json"
FIELDS = {f["name"].casefold(): f for f in (field("Id:id"), field("Name"), field("N:number"), field("At:datetime"))}
PLAIN = st.text(
    st.characters(exclude_categories=("Cs",), min_codepoint=1).filter(lambda c: c.isprintable() or c in "\n\t")
)


def ask(where: str, *rows: dict[str, object]) -> list[object]:
    query = parse(f"SELECT Id FROM Account WHERE {where}", lambda name: FIELDS if name == "Account" else None)
    return [row["Id"] for row in run(query, rows)]


@pytest.mark.parametrize("name", ["O'Dell", "a\\' OR Name != '", "\\", "100 %_", "㈱ 青葉\n", "' OR Id != '", '"'])
def test_a_name_is_found_as_itself_and_finds_nothing_else(name: str) -> None:
    rows = [{"Id": 1, "Name": name}, {"Id": 2, "Name": "other"}, {"Id": 3, "Name": None}]
    assert ask(f"Name = {soql.text(name)}", *rows) == [1]


@given(PLAIN, PLAIN)
def test_a_literal_stands_for_exactly_its_characters(wanted: str, other: str) -> None:
    rows = [{"Id": 1, "Name": wanted}, {"Id": 2, "Name": other}]
    expected = [1, 2] if wanted.casefold() == other.casefold() else [1]
    assert ask(f"Name = {soql.text(wanted)}", *rows) == expected


@pytest.mark.parametrize("value", ["\0", "a\x1b[31m", "\x7f"])
def test_a_control_character_is_refused_before_anything_is_sent(value: str) -> None:
    with pytest.raises(ConnectionFault, match="control character"):
        soql.text(value)


@pytest.mark.parametrize("name", ["Name FROM User--", "a b", "", "1a", "x'); DELETE", "Owner..Name", "é"])
def test_only_names_are_names(name: str) -> None:
    with pytest.raises(ConnectionFault, match="not a Salesforce field or object name"):
        soql.select([name], "Account")


def test_the_short_form_of_an_id_becomes_the_long_one_by_its_capitals() -> None:
    assert soql.id18("001dM00003jU9Gx") == "001dM00003jU9GxQAK"
    assert soql.id18("001dM00003ju9Gx") != "001dM00003jU9GxQAK"
    assert soql.id18("001dM00003jU9GxQAK") == "001dM00003jU9GxQAK"
    assert soql.id18(None) is None
    assert soql.id18("") is None


@pytest.mark.parametrize("value", ["../../x", "1?y=2", "1,2", "001dM00003jU9G", "001dM00003jU9GxQA"])
def test_what_is_no_id_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="record id"):
        soql.id18(value)


@pytest.mark.skipif(not RECORDED.exists(), reason="recorded responses are not here")
def test_the_checksum_is_that_of_every_recorded_id() -> None:
    found = 0
    for entry in json.loads(RECORDED.read_text()):
        body = entry["body"]
        for record in body.get("records", []) if isinstance(body, dict) else []:
            for key in (record["Id"], record.get("AccountId"), record.get("OwnerId")):
                if key:
                    assert soql.id18(key[:15]) == key
                    found += 1
    assert found > 400


def test_instants_are_written_in_utc_and_read_back() -> None:
    moment = soql.moment("2026-05-01T07:25:37.000+0000")
    assert soql.instant(moment) == "2026-05-01T07:25:37Z"
    assert soql.moment(soql.instant(moment.replace(microsecond=120_000))) == moment.replace(microsecond=120_000)
    assert soql.moment("2026-05-01T16:25:37.000+0900") == datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("N = 1 AND N = 2 OR N = 3", "MALFORMED_QUERY"),
        ("Nope = 1", "INVALID_FIELD"),
        ("Name = 'open", "MALFORMED_QUERY"),
        ("Name", "MALFORMED_QUERY"),
        ("Owner.Name = 'x'", "INVALID_FIELD"),
    ],
)
def test_the_sandbox_refuses_what_salesforce_refuses(where: str, code: str) -> None:
    with pytest.raises(SoqlError) as refused:
        ask(where)
    assert refused.value.code == code


def test_the_sandbox_compares_as_salesforce_does() -> None:
    rows = [
        {"Id": 1, "Name": "Acme", "N": 1.0, "At": "2026-05-01T00:00:00.000+0000"},
        {"Id": 2, "Name": "ACME", "N": None, "At": "2026-05-01T00:00:01.000+0000"},
        {"Id": 3, "Name": None, "N": 3.0, "At": None},
    ]
    assert ask("Name = 'acme'", *rows) == [1, 2]
    assert ask("Name != 'acme'", *rows) == [3]
    assert ask("N = null", *rows) == [2]
    assert ask("N != null", *rows) == [1, 3]
    assert ask("N IN (1, 3) AND NOT (N = 3)", *rows) == [1]
    assert ask("Name LIKE 'a_m%'", *rows) == [1, 2]
    assert ask("Name LIKE 'a\\_m%'", *rows) == []
    assert ask("At > 2026-05-01T00:00:00Z", *rows) == [2]
    assert ask("(At = 2026-05-01T00:00:00Z AND Id > 0) OR At > 2026-05-01T00:00:00Z", *rows) == [1, 2]
