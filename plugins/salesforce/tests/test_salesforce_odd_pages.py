"""A page decoded by column gives the rows, and the quarantine, that it gives decoded whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cssync.connectors import Answer, ByColumn, Listing, PullRequest
from cssync.errors import ConnectionFault
from cssync.sync.batches import _normalised
from cssync.sync.normalise import Normaliser
from cssync_salesforce import reading
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.shape import Shape
from cssync_salesforce.streams import STREAMS

CASES = next(s for s in STREAMS if s.name == "cases")
FIELDS = (
    "Subject",
    "Status",
    "IsClosed",
    "Priority",
    "CreatedDate",
    "ClosedDate",
    "AccountId",
    "IsEscalated",
    "Seats__c",
    "ContactId",
    "Type",
    "Reason",
    "Owner.Name",
)
SHAPE = Shape(
    "Case",
    {n: {"name": n, "type": "double" if n == "Seats__c" else "string", "scale": 0}
     for n in ("Id", "SystemModstamp", "IsDeleted", *FIELDS) if "." not in n}
    | {"OwnerId": {"name": "OwnerId", "relationshipName": "Owner", "referenceTo": ["User"]}},
)  # fmt: skip
STAMP = "2026-11-01T07:25:37.000+0000"


class Session:
    """Answers a query with one body."""

    settings = SalesforceSettings.model_validate(
        {"connector": "salesforce", "client_id": "c", "client_secret": "s", "base_url": "https://x.example"}
    )

    def __init__(self, body: bytes) -> None:
        self.body = body

    def now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC)

    def get(self, path: str, **params: Any) -> Answer:
        return Answer(200, {}, self.body, path)


def record(number: int, **values: Any) -> dict[str, Any]:
    usual = {
        "attributes": {"type": "Case", "url": "/x"}, "Id": f"500{number:012d}AAA", "SystemModstamp": STAMP,
        "IsDeleted": False, "Subject": "It hurts", "Status": "New", "IsClosed": False, "Priority": "High",
        "CreatedDate": STAMP, "ClosedDate": None, "AccountId": "001000000000001AAA", "IsEscalated": True,
        "ContactId": None, "Type": "Problem", "Reason": "Other",
        "Seats__c": 5.0, "Owner": {"attributes": {"type": "User"}, "Name": "Ada"},
    }  # fmt: skip
    return {**usual, **values}


def body(records: list[Any]) -> bytes:
    return json.dumps({"totalSize": len(records), "done": True, "records": records}).encode()


def read(content: bytes) -> Any:
    """Return what a page becomes, or the words of what it raises."""
    session: Any = Session(content)
    made = Normaliser(
        CASES, mapped={"Seats__c": "usage_metric.seats", "Owner.Name": "ticket.category"}, written=("Subject",),
        timezone=ZoneInfo("Asia/Tokyo"), currency="USD", today="2026-11-20",
    )  # fmt: skip
    job: Any = SimpleNamespace(stream=CASES, normalise=made, requests=1, listed=SimpleNamespace(nameless=False))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "shape", lambda session, source: SHAPE)
            pages = list(reading.pages(session, PullRequest(None, FIELDS, timedelta(0)), "Case"))
    except ConnectionFault as fault:
        return fault.message
    found = []
    for page in pages:
        batch = _normalised(job, page)
        rows = sorted(
            (sheet.entity, owner, tuple(zip(sheet.columns, map(repr, row), strict=True)))
            for sheet in batch.good.sheets
            for owner, row in zip(sheet.owners, zip(*sheet.values, strict=True), strict=True)
        )
        bad = [(b.source_id, b.field, b.reason, json.loads(b.raw)) for b in batch.bad]
        found.append((batch.good.keys, rows, bad, page.deleted, page.cursor, job.listed.nameless))
    return found


def whole(listing: Listing, answer: Answer) -> tuple[Any, Any]:
    """Read as if no body had the usual shape."""
    found = answer.json()
    return found, found["records"]


def both(content: bytes) -> tuple[Any, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Listing, "read", whole)
        exact = read(content)
    return read(content), exact


def test_a_usual_page_is_read_by_column() -> None:
    listing = reading._listing(["Id"], ["Subject", "Owner.Name"])
    beside, records = listing.read(Answer(200, {}, body([record(1), record(2)])))
    assert isinstance(records, ByColumn)
    assert beside == {"totalSize": 2, "done": True}
    assert records.columns["Id"] == [record(1)["Id"], record(2)["Id"]]
    assert records[0] == {"Id": record(1)["Id"], "Subject": "It hurts", "Owner": record(1)["Owner"]}


ODD: dict[str, Any] = {
    "an id that is missing": {"Id": None},
    "a short id": {"Id": "500000000000001"},
    "an id of another type": {"Id": 7},
    "no stamp": {"SystemModstamp": None},
    "a NUL": {"Subject": "a\0b"},
    "a number where text is expected": {"Subject": 12.5, "Status": 3, "Priority": 4},
    "a list where text is expected": {"Subject": ["a"]},
    "an object where text is expected": {"Status": {"a": 1}},
    "a huge integer": {"Subject": 10**40, "Seats__c": 10**25},
    "a number with more digits than a float holds": {"Seats__c": 0.1},
    "text where a number is expected": {"Seats__c": "many"},
    "text where a truth is expected": {"IsEscalated": "perhaps"},
    "no point in time": {"CreatedDate": "2026-13-01T00:00:00.000+0000"},
    "another zone": {"CreatedDate": "2026-11-01T09:25:37.000+0200"},
    "nulls": dict.fromkeys(("Subject", "Status", "IsClosed", "CreatedDate", "Owner", "Seats__c")),
    "further keys": {"Nobody__c": {"deep": [1, 2]}},
    "deleted": {"IsDeleted": True},
    "an odd parent": {"Owner": "Ada"},
    "an account of another kind": {"AccountId": "nonsense"},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("company", [[], [record(8), record(9)]], ids=["alone", "among others"])
def test_an_odd_record_becomes_the_same(odd: dict[str, Any], company: list[Any]) -> None:
    by_column, exact = both(body([*company, record(1, **odd)]))
    if "Nobody__c" in odd:  # what was not asked for is not decoded, and so not in what is quarantined
        by_column, exact = ([(p[:2], p[3:]) for p in found] for found in (by_column, exact))
    assert by_column == exact


@pytest.mark.parametrize("gone", ["Id", "SystemModstamp", "IsDeleted", "Subject", "Owner", "Seats__c", "attributes"])
def test_a_key_that_one_record_lacks_is_absent_not_null(gone: str) -> None:
    torn = {name: value for name, value in record(1).items() if name != gone}
    by_column, exact = both(body([torn, record(2)]))
    assert by_column == exact
    if gone == "Subject":
        ((_, rows, *_),) = by_column
        (ticket,) = (dict(row) for entity, owner, row in rows if (entity, owner) == ("ticket", record(1)["Id"]))
        assert "subject" not in ticket


@pytest.mark.parametrize("records", [[1], ["x"], [None], [[]], [record(1), 7], {}, None, "x"], ids=repr)
def test_what_is_no_list_of_records_is_a_fault_and_never_nothing(records: Any) -> None:
    told = read(json.dumps({"totalSize": 1, "done": True, "records": records}).encode())
    assert isinstance(told, str)


@pytest.mark.parametrize("content", [b"", b"<html>", body([record(1)])[:-40], b"[]", b"null", b"7", b'{"records":[]}'])
def test_a_body_that_is_none_is_a_fault(content: bytes) -> None:
    assert isinstance(read(content), str)


def test_the_last_of_a_doubled_key_counts_and_half_a_character_is_replaced() -> None:
    text = body([record(1), record(2)]).decode()
    doubled = text.replace('"Subject": "It hurts"', '"Subject": "first", "Subject": "second"', 1)
    by_column, exact = both(doubled.encode())
    assert by_column == exact
    assert "second" in str(by_column)
    by_column, exact = both(text.replace("It hurts", "\\ud83d cut", 1).encode())
    assert by_column == exact
    assert "\ufffd cut" in str(by_column)


def test_one_id_twice_is_taken_record_by_record_and_the_last_one_wins() -> None:
    by_column, exact = both(body([record(1, Subject="old"), record(1, Subject="new")]))
    assert by_column == exact
    assert "'old'" not in str(by_column)


VALUE = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6), st.just(STAMP), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)  # fmt: skip
OTHER = [name for name in record(0) if name not in ("Id", "SystemModstamp")]
CHANGES = st.dictionaries(st.sampled_from(OTHER), VALUE, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=4), st.sets(st.sampled_from(list(record(0))), max_size=2))
@example([{"Subject": "a"}, {"Subject": None}], {"Status"})
def test_whatever_comes_becomes_the_same(changes: list[dict[str, Any]], without: set[str]) -> None:
    records = [record(n, **change) for n, change in enumerate(changes)]
    records[0] = {name: value for name, value in records[0].items() if name not in without}
    by_column, exact = both(body(records))
    assert by_column == exact
