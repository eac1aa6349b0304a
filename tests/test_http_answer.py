"""Bodies: exact numbers, and an end to the ones that are no JSON, cut off, too deep or too large."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.connectors import Answer, ConnectionSettings, Connector, Identity, Session, Vendor, judge_by_status
from cssync.errors import ConnectionFault, TransientFault, UnknownOutcome
from cssync.http import open_session, wire
from cssync.http.clock import ManualClock
from cssync.http.decode import decode
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxRequest, serve


class App:
    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        self.answer = SandboxAnswer(200, body, headers)

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        return self.answer


@contextmanager
def vendor(
    body: bytes, *faults: Fault, clock: ManualClock | None = None, **headers: str
) -> Iterator[tuple[Session, Any]]:
    target = Connector(
        name="vendor",
        title="Vendor",
        config=ConnectionSettings,
        streams=(),
        hosts=r"api\.vendor\.example",
        vendor=lambda settings: Vendor("https://api.vendor.example", judge_by_status),
        identity=lambda session: Identity("1", "Vendor", "sandbox"),
    )
    with serve(App(body, {k.replace("_", "-"): v for k, v in headers.items()}), list(faults)) as server:
        settings = ConnectionSettings(connector="vendor", base_url=server.url, allow_hosts=("127.0.0.1",))
        with open_session(
            target, settings, connection="crm", timezone=ZoneInfo("UTC"), clock=clock or ManualClock()
        ) as session:
            yield session, server


class Wanted(TypedDict, total=False):
    rows: list[Row]


class Row(TypedDict, total=False):
    id: Any
    share: Any


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (
            b'{"rows": [{"id": 1, "name": {"x": []}, "share": 12.10}, {}], "more": [1]}',
            {"rows": [{"id": 1, "share": 12.1}, {}]},
        ),
        (b'{"rows": [{"id": [1]}, null], "more": 1}', {"rows": [{"id": [1]}, None], "more": 1}),
        (b'{"rows": {"id": 1}}', {"rows": {"id": 1}}),
        (b"[]", []),
    ],
    ids=["what is wanted", "a row that is none", "no list", "no object"],
)
def test_only_what_is_wanted_is_decoded_and_a_body_of_another_shape_whole(body: bytes, value: Any) -> None:
    assert Answer(200, {}, body).json(Wanted) == value


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"9007199254740993", 9007199254740993),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"12.10", Decimal("12.1")),
        (b"0.1", Decimal("0.1")),
        (b"9999999999999.99", Decimal("9999999999999.99")),
        (b"12345678901234567.89", Decimal("12345678901234567.89")),
        (b"1.2E7", Decimal(12_000_000)),
        (b"1e999", Decimal("1e999")),
        (b"-123456789012.345", Decimal("-123456789012.345")),
        (b'"\\ud83d\\ude00 \xe6\xa0\xaa"', "😀 株"),
    ],
)
def test_values_arrive_exactly(body: bytes, value: object) -> None:
    found = decode(Answer(200, {}, body))
    assert (Decimal(str(found)) if isinstance(found, float) else found) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=4))
def test_no_decimal_loses_a_digit(amount: Decimal) -> None:
    found = decode(Answer(200, {}, format(amount, "f").encode()))
    assert Decimal(str(found)) == amount


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_decodes_what_the_standard_library_encodes(value: object) -> None:
    assert decode(Answer(200, {}, json.dumps(value).encode())) == value


BAD = {
    "html": (b"<!doctype html><h1>Canary</h1>", {"content-type": "text/html; charset=utf-8"}, "HTML"),
    "html without a type": (b"\n  <html>Canary", {}, "HTML"),
    "cut": (b'{"name": "Canary", "x": [1, 2', {"content-type": "application/json"}, "not valid JSON"),
    "empty": (b"", {}, "empty body"),
    "deep": (b"[" * 200_000 + b'"Canary"' + b"]" * 200_000, {}, "nested too deep"),
    "not utf-8": (b'{"name": "Canary\xff"}', {}, "not valid JSON"),
    "nan": (b'{"Canary": NaN}', {}, "not valid JSON"),
    "two values": (b'{"Canary": 1}{}', {}, "not valid JSON"),
    "endless number": (b"1" * 100_000, {}, "not valid JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "words"), BAD.values(), ids=BAD.keys())
def test_what_is_no_json_is_named_and_never_quoted(body: bytes, headers: dict[str, str], words: str) -> None:
    with pytest.raises(ConnectionFault, match=words) as fault:
        Answer(200, headers, body, "https://api.vendor.example/records?email=Canary").json()
    assert "/records" in fault.value.message
    assert "200" in fault.value.message
    assert "Canary" not in f"{fault.value.message}{fault.value.fix}{fault.value.kept}"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'{"a": "Gr\ud83d", "b": 1.10}', {"a": "Gr\ufffd", "b": 1.1}),
        (rb'["\udc00x", "\ud83d\ude00", "\\ud83d"]', ["\ufffdx", "\U0001f600", "\\ud83d"]),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    ],
)  # fmt: skip
def test_a_text_that_was_cut_within_a_character_costs_that_character_and_not_the_page(body: bytes, value: Any) -> None:
    found = decode(Answer(200, {}, body))
    assert found == value
    assert json.dumps(found, default=str).encode()
    assert str(found).encode(), "nothing is left that cannot be stored"


@pytest.mark.parametrize(
    "body", [rb'["\ud83d", NaN]', rb'{"a": "\ud83d"', b"\xef\xbb\xbf", b'["\xff"', rb'["\ud83d" 1]']
)
def test_what_is_no_json_beside_that_stays_none(body: bytes) -> None:
    with pytest.raises(ConnectionFault, match="JSON"):
        decode(Answer(200, {}, body))


def test_html_with_status_200_names_connection_and_path() -> None:
    with vendor(b"<html>sign in</html>", content_type="text/html") as (session, _):
        answer = session.get("/records")
        with pytest.raises(ConnectionFault, match="connection 'crm': /records answered with HTML"):
            answer.json()


@pytest.mark.parametrize(
    "body", [b"", b'{"records": [1', b"<html>back soon</html>"], ids=["empty", "torn", "a web page"]
)
@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_that_cannot_be_read_is_asked_for_again(body: bytes, times: int) -> None:
    fault = Fault("GET /records", answer=SandboxAnswer(200, body), times=times)
    with vendor(b'{"records": [1, 2, 3]}', fault) as (session, server):
        assert session.get("/records").json() == {"records": [1, 2, 3]}
        assert len(server.journal) == times + 1


def test_what_can_never_be_read_is_asked_for_three_times_and_a_write_once() -> None:
    with vendor(b'{"records": [1') as (session, server):
        with pytest.raises(ConnectionFault, match="not valid JSON"):
            session.get("/records").json()
        assert len(server.journal) == 3
        with pytest.raises(UnknownOutcome):
            session.request("POST", "/records", json={}, repeatable=False)
        assert len(server.journal) == 4


def test_a_cut_body_is_asked_for_again() -> None:
    with vendor(b'{"records": [1, 2, 3]}', Fault("GET /records", cut=True)) as (session, server):
        assert session.get("/records").json() == {"records": [1, 2, 3]}
        assert len(server.journal) == 2


def test_a_body_that_is_always_cut_ends_as_a_passing_fault() -> None:
    with (
        vendor(b'{"records": [1, 2, 3]}', Fault("GET /records", cut=True, times=99)) as (session, _),
        pytest.raises(TransientFault, match="the connection broke before the whole answer was there"),
    ):
        session.get("/records")


def test_reads_gzip_and_asks_for_it() -> None:
    body = json.dumps({"records": list(range(1000))}).encode()
    with vendor(gzip.compress(body), content_encoding="gzip") as (session, _):
        assert session.get("/records").content == body


def test_an_empty_answer_may_claim_to_be_packed() -> None:
    with vendor(b"", content_encoding="gzip") as (session, _):
        assert session.get("/records").content == b""


def test_members_of_gzip_one_after_the_other_are_one_answer_and_half_a_last_one_is_none() -> None:
    """As a server sends that packs pieces by themselves; what stood behind the first was lost."""
    whole = json.dumps({"records": list(range(20_000))}).encode()
    pieces = [gzip.compress(whole[at : at + 7000]) for at in range(0, len(whole), 7000)]
    with vendor(b"".join(pieces) + b"\0" * 512, content_encoding="gzip") as (session, _):
        assert session.get("/records").content == whole
    for broken in (b"".join(pieces)[:-9], b"".join(pieces) + b"more"):
        with vendor(broken, content_encoding="gzip") as (session, _), pytest.raises(TransientFault):
            session.get("/records")


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-20], lambda packed: packed[:30] + b"\0\0\0\0" + packed[34:]]
)
def test_damaged_gzip_is_never_half_an_answer(damage: Callable[[bytes], bytes]) -> None:
    packed = damage(gzip.compress(json.dumps(list(range(1000))).encode()))
    with vendor(packed, content_encoding="gzip") as (session, _), pytest.raises(TransientFault):
        session.get("/records")


def test_a_packing_that_was_not_asked_for_is_refused() -> None:
    with (
        vendor(zlib.compress(b"{}"), content_encoding="br") as (session, _),
        pytest.raises(ConnectionFault, match="packed"),
    ):
        session.get("/records")


def test_a_huge_body_is_stopped_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_BODY", 2**16)
    with vendor(b" " * (2**16 + 1)) as (session, server), pytest.raises(ConnectionFault, match="too large"):
        session.get("/records")
    assert len(server.journal) == 1


def test_a_gzip_bomb_is_stopped_before_it_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "RATIO_FROM", 2**20)
    seen: list[int] = []
    inflated = wire._inflated

    def counted(chunks: Any) -> Iterator[bytes]:
        for piece in inflated(chunks):
            seen.append(len(piece))
            yield piece

    monkeypatch.setattr(wire, "_inflated", counted)
    bomb = gzip.compress(b"\0" * 64 * 2**20)
    with vendor(bomb, content_encoding="gzip") as (session, _), pytest.raises(ConnectionFault, match="too large"):
        session.get("/records")
    assert sum(seen) <= 18 * 2**20
    assert max(seen) <= wire.PIECE


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    raw = wire._Counted.__iter__

    def dripping(self: Any) -> Iterator[bytes]:
        for chunk in raw(self):
            clock.now += wire.MAX_SECONDS + 1
            yield chunk

    monkeypatch.setattr(wire._Counted, "__iter__", dripping)
    with vendor(b"[]", clock=clock) as (session, _), pytest.raises(TransientFault, match="took longer than 600 s"):
        session.get("/records")
