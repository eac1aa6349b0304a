"""The session's promises: what is repeated, how long it waits, what it never sends twice, and what it says."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import respx

from cssync.connectors import (
    Answer,
    Bucket,
    ConnectionSettings,
    Connector,
    Identity,
    Secret,
    Session,
    Vendor,
    Verdict,
    error_body,
    judge_by_status,
)
from cssync.errors import ConfigError, ConnectionFault, TransientFault, UnknownOutcome
from cssync.http import ProcessLimiter, open_session
from cssync.http.clock import ManualClock
from cssync.http.retry import CONNECT_TRIES, TRIES

BASE = "https://api.vendor.example"


class Settings(ConnectionSettings):
    token: Secret


def connector(**vendor: Any) -> Connector:
    facts: dict[str, Any] = {"base_url": BASE, "judge": judge_by_status, **vendor}
    return Connector(
        name="vendor",
        title="Vendor",
        config=Settings,
        streams=(),
        hosts=r"(api|eu)\.vendor\.example",
        vendor=lambda settings: Vendor(
            headers={"Authorization": f"Bearer {settings.token.get_secret_value()}"}, **facts
        ),
        identity=lambda session: Identity("1", "Vendor", "sandbox"),
    )


Open = Callable[..., Session]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=BASE, assert_all_called=True) as router:
        yield router


@pytest.fixture
def session(clock: ManualClock) -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(
            limiter: Any = None, settings: dict[str, Any] | None = None, share: Decimal = Decimal(1), **vendor: Any
        ) -> Session:
            return stack.enter_context(
                open_session(
                    connector(**vendor),
                    Settings.model_validate({"connector": "vendor", "token": "canary-token-1", **(settings or {})}),
                    connection="crm",
                    timezone=ZoneInfo("Asia/Tokyo"),
                    limiter=limiter,
                    clock=clock,
                    share=share,
                )
            )

        yield opened


def test_sends_what_was_asked_and_nothing_that_is_none(api: respx.MockRouter, session: Open) -> None:
    route = api.post("/records").respond(json={"id": 1})
    answer = session().request("POST", "/records", params={"a": True, "b": None, "c": "x y+z"}, json={"名": 1})
    sent = route.calls.last.request
    assert answer.json() == {"id": 1}
    assert str(sent.url) == f"{BASE}/records?a=true&c=x+y%2Bz"
    assert json.loads(sent.content) == {"名": 1}
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"].startswith("cssync/")
    assert sent.headers["authorization"] == "Bearer canary-token-1"


def test_a_nan_is_never_sent_as_null(session: Open) -> None:
    with pytest.raises(ValueError, match="JSON"):
        session().request("PATCH", "/records/1", json={"score": float("nan")})


def test_repeats_a_passing_fault_and_counts_every_request(api: respx.MockRouter, session: Open) -> None:
    route = api.get("/records").mock(
        side_effect=[httpx.Response(503), httpx.ReadError("gone"), httpx.Response(200, json=[1])]
    )
    opened = session()
    assert opened.get("/records").json() == [1]
    assert opened.requests == route.call_count == 3


def test_gives_up_after_bounded_tries_and_says_so(api: respx.MockRouter, session: Open, clock: ManualClock) -> None:
    route = api.get("/records").respond(502, headers={"X-Request-Id": "req-77"})
    with pytest.raises(TransientFault) as fault:
        session().get("/records", secret="person@example.com")
    assert route.call_count == TRIES
    assert sum(clock.slept) < 60
    text = fault.value.message
    assert "'crm': GET /records: answered 502" in text
    assert "req-77" in text
    assert "person" not in text


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_waits_as_long_as_retry_after_asks(api: respx.MockRouter, session: Open, clock: ManualClock, form: str) -> None:
    at = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
    asked = "42" if form == "seconds" else format_datetime(at.replace(second=42), usegmt=True)
    api.get("/records").mock(
        side_effect=[
            httpx.Response(429, headers={"Retry-After": asked, "Date": format_datetime(at, usegmt=True)}),
            httpx.Response(200, json=[]),
        ]
    )
    session().get("/records")
    assert 42 <= sum(clock.slept) < 43


def test_without_retry_after_backs_off_with_full_jitter(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    api.get("/records").mock(side_effect=[httpx.Response(500)] * 5 + [httpx.Response(200, json=[])])
    session().get("/records")
    assert len(clock.slept) == 5
    assert all(0 <= wait <= 0.5 * 2**turn for turn, wait in enumerate(clock.slept))


def test_a_wait_beyond_patience_ends_with_the_time_it_resumes(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    stamp = {"Date": "Sat, 21 Nov 2026 10:00:00 GMT", "Retry-After": "3600"}
    route = api.get("/records").respond(429, headers=stamp)
    opened = session(settings={"patience": 300})
    with pytest.raises(TransientFault) as fault:
        opened.get("/records")
    assert fault.value.resumes_at == "2026-11-21T11:00:00Z"
    assert clock.slept == []
    with pytest.raises(TransientFault, match="not sent"):
        opened.get("/records")
    assert route.call_count == 1


def test_our_own_pace_needs_no_patience_and_the_vendors_does(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    limiter = ProcessLimiter(clock)
    opened = session(limiter, {"patience": 0}, buckets=(Bucket("exports", 10, 60),))
    route = api.get("/export").respond(json=[])
    for _ in range(6):
        opened.get("/export")
    assert sum(clock.slept) == pytest.approx(5 * 61.2 / 10)
    limiter.hold("crm", "exports", 1)
    with pytest.raises(TransientFault, match="not sent"):
        opened.get("/export")
    assert route.call_count == 6


def test_one_refusal_holds_every_session_on_the_bucket(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    limiter = ProcessLimiter(clock)
    buckets = (Bucket("search", 100, 10, paths="POST .*/search$"), Bucket("all", 100, 10))
    first, second = (session(limiter, buckets=buckets) for _ in range(2))
    api.post("/search").mock(
        side_effect=[httpx.Response(429, headers={"Retry-After": "30"}), *[httpx.Response(200, json=[])] * 2]
    )
    api.get("/records").respond(json=[])
    first.request("POST", "/search")
    assert sum(clock.slept) >= 30

    limiter.hold("crm", "search", 20)
    clock.slept.clear()
    second.get("/records")
    assert clock.slept == []
    second.request("POST", "/search")
    assert sum(clock.slept) == pytest.approx(20)


def test_a_refusal_without_a_bucket_of_its_own_holds_the_shared_one(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    limiter = ProcessLimiter(clock)
    opened = session(limiter, buckets=(Bucket("search", 5, 1, r"/search$"), Bucket("account", 400, 60, shared=True)))
    api.get("/records").mock(
        side_effect=[httpx.Response(429, headers={"Retry-After": "30"}), httpx.Response(200, json=[])]
    )
    opened.get("/records")
    assert sum(clock.slept) >= 30
    limiter.hold("crm", "account", 12)
    api.post("/search").respond(json=[])
    clock.slept.clear()
    opened.request("POST", "/search")
    assert sum(clock.slept) == pytest.approx(12)


def test_a_stop_keeps_the_whole_connection_from_calling(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    def judge(answer: Answer) -> Verdict:
        return Verdict("stop", seconds=7200, message="daily limit reached") if answer.status == 403 else Verdict("ok")

    api.get("/records").respond(403)
    other = api.get("/other").respond(json=[])
    api._assert_all_called = False
    limiter = ProcessLimiter(clock)
    opened = session(limiter, judge=judge, buckets=(Bucket("all", 100, 10, shared=True),))
    with pytest.raises(TransientFault, match="daily limit reached") as fault:
        opened.get("/records")
    assert fault.value.resumes_at is not None
    with pytest.raises(TransientFault, match="not sent"):
        opened.get("/other")
    with pytest.raises(TransientFault, match="not sent"):
        session(limiter, judge=judge).get("/other")
    assert other.call_count == 0


def test_a_stop_without_an_end_lasts_for_the_run(api: respx.MockRouter, session: Open) -> None:
    route = api.get("/records").respond(403)
    opened = session(judge=lambda answer: Verdict("stop", message="daily limit reached"))
    for _ in range(3):
        with pytest.raises(TransientFault, match="daily limit reached"):
            opened.get("/records")
    assert route.call_count == 1


def test_pauses_when_the_headers_say_the_allowance_is_used_up(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    def pause(answer: Answer) -> tuple[str, float] | None:
        return ("all", 8.0) if answer.headers.get("x-remaining") == "0" else None

    api.get("/records").respond(json=[], headers={"X-Remaining": "0"})
    opened = session(pause=pause, buckets=(Bucket("all", 100, 10),))
    opened.get("/records")
    assert clock.slept == []
    opened.get("/records")
    assert sum(clock.slept) == pytest.approx(8)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refusal_is_final_and_carries_the_vendors_words(api: respx.MockRouter, session: Open, status: int) -> None:
    def judge(answer: Answer) -> Verdict:
        return Verdict("fail", message=error_body(answer)["message"], fix="grant the scope crm.read")

    route = api.get("/records").respond(status, json={"message": "You lack crm.read"})
    with pytest.raises(ConnectionFault, match=f"GET /records: answered {status}: You lack crm.read") as fault:
        session(judge=judge).get("/records")
    assert fault.value.fix == "grant the scope crm.read"
    assert not isinstance(fault.value, TransientFault)
    assert route.call_count == 1


def test_an_accepted_status_is_an_answer(api: respx.MockRouter, session: Open) -> None:
    api.get("/records/1").respond(404, json={"message": "gone"})
    assert session().get("/records/1", accept=(404,)).status == 404


def test_a_judge_that_calls_a_refusal_ok_is_not_believed(api: respx.MockRouter, session: Open) -> None:
    api.get("/records").respond(404)
    with pytest.raises(ConnectionFault, match="404"):
        session(judge=lambda answer: Verdict("ok")).get("/records")


def test_a_judge_that_trips_over_an_error_page_does_not_hide_the_status(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    api.get("/records").mock(
        side_effect=[httpx.Response(503, html="<h1>maintenance</h1>"), httpx.Response(200, json=[1])]
    )
    opened = session(judge=lambda answer: Verdict("fail") if answer.json() == {} else judge_by_status(answer))
    assert opened.get("/records").json() == [1]


def test_headers_that_cannot_be_read_are_told_once_and_in_words(
    api: respx.MockRouter, session: Open, caplog: pytest.LogCaptureFixture
) -> None:
    api.get("/records").respond(json=[1], headers={"X-Left": "many"})

    def left(answer: Answer) -> Iterator[tuple[str, int, float]]:
        yield "all", int(answer.headers["x-left"]), 1.0

    opened = session(left=left)
    assert [opened.get("/records").json() for _ in range(3)] == [[1]] * 3
    assert len(caplog.messages) == 1
    assert "cannot be read (ValueError); its status decides" in caplog.text
    assert "function" not in caplog.text


def test_a_chain_of_causes_that_leads_back_ends(api: respx.MockRouter, session: Open) -> None:
    def circle(request: httpx.Request) -> httpx.Response:
        error, cause = httpx.ReadError("reset"), OSError("reset by peer")
        cause.__context__ = error
        raise error from cause

    api.get("/records").mock(side_effect=circle)
    with pytest.raises(TransientFault, match="connection broke"):
        session().get("/records")


def test_a_redirect_is_refused_by_name_and_never_followed(api: respx.MockRouter, session: Open) -> None:
    api.get("/records").respond(302, headers={"Location": "https://evil.example/login?next=1"})
    with pytest.raises(ConnectionFault, match=r"redirects to evil\.example; not followed"):
        session().get("/records")


# --- requests that must not be sent twice -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(500),
        httpx.Response(503, headers={"Retry-After": "1"}),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(200, html="<html>"),
        httpx.Response(201, content=b'{"id": "1'),
    ],
    ids=["500", "503", "read-timeout", "reset", "cut", "html", "half-json"],
)
def test_a_create_without_a_readable_answer_is_unknown_and_not_repeated(
    api: respx.MockRouter, session: Open, failure: Any
) -> None:
    route = api.post("/tasks").mock(side_effect=[failure, httpx.Response(201, json={"id": "2"})])
    with pytest.raises(UnknownOutcome, match=r"'crm'.*POST /tasks"):
        session().request("POST", "/tasks", json={}, repeatable=False)
    assert route.call_count == 1


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.Response(429), httpx.Response(423)],
    ids=["refused", "connect-timeout", "429", "locked"],
)
def test_a_create_that_the_vendor_never_took_is_repeated(api: respx.MockRouter, session: Open, failure: Any) -> None:
    def judge(answer: Answer) -> Verdict:
        return Verdict("retry", seconds=2) if answer.status == 423 else judge_by_status(answer)

    route = api.post("/tasks").mock(side_effect=[failure, httpx.Response(201, json={"id": "2"})])
    assert session(judge=judge).request("POST", "/tasks", json={}, repeatable=False).json() == {"id": "2"}
    assert route.call_count == 2


# --- time, network, answers -------------------------------------------------------------------------------------------


def test_tells_the_vendors_time_and_not_the_machines(api: respx.MockRouter, session: Open, clock: ManualClock) -> None:
    opened = session()
    assert opened.now() == datetime.fromtimestamp(clock.now, UTC)
    api.get("/records").respond(json=[], headers={"Date": "Sat, 21 Nov 2026 10:00:00 GMT"})
    opened.get("/records")
    clock.now += 90
    assert opened.now() == datetime(2026, 11, 21, 10, 1, 30, tzinfo=UTC)


def test_an_unreachable_host_is_told_soon_and_by_name(api: respx.MockRouter, session: Open, clock: ManualClock) -> None:
    route = api.get("/records").mock(side_effect=httpx.ConnectError("[Errno 111] Connection refused"))
    with pytest.raises(TransientFault, match=r"'crm': GET /records: no connection.*host api\.vendor\.example"):
        session().get("/records")
    assert route.call_count == CONNECT_TRIES
    assert sum(clock.slept) < 4


def test_a_credential_with_a_line_break_is_explained_and_not_quoted(session: Open) -> None:
    opened = session(settings={"token": "canary-token-2\n"})
    with pytest.raises(ConnectionFault, match="cannot be formed") as fault:
        opened.get("/records")
    assert "line break" in fault.value.fix
    assert "canary" not in "".join(traceback.format_exception(fault.value))


def test_too_many_headers_are_refused(api: respx.MockRouter, session: Open) -> None:
    api.get("/records").respond(json=[], headers={f"X-{n}": "1" for n in range(300)})
    with pytest.raises(ConnectionFault, match="headers"):
        session().get("/records")


def test_logs_no_query_and_no_credential(
    api: respx.MockRouter, session: Open, caplog: pytest.LogCaptureFixture
) -> None:
    api.get("/records").respond(json=[])
    with caplog.at_level(logging.DEBUG):
        session().get("/records", email="person@example.com")
    assert "crm GET /records 200" in caplog.text
    assert "person" not in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("base", ["http://api.vendor.example", "https://evil.example", "nonsense", "https://10.0.0.1"])
def test_a_base_url_that_is_not_the_vendors_is_a_configuration_error(session: Open, base: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        session(settings={"base_url": base})


def test_the_share_of_people_in_the_vendors_day_is_left_to_them(api: respx.MockRouter, session: Open) -> None:
    def daily(answer: Answer) -> tuple[int, int] | None:
        return int(answer.headers["x-left"]), 1000

    opened = session(share=Decimal("0.5"), daily=daily)
    route = api.get("/a")
    route.side_effect = [httpx.Response(200, json={}, headers={"x-left": left}) for left in ("501", "500", "499")]
    for _ in range(3):
        opened.get("/a")
    with pytest.raises(TransientFault, match=r"left 499 of the day's 1,000 calls, and 50% of them are for people"):
        opened.get("/a")
    assert route.call_count == 3


@pytest.mark.parametrize(
    ("status", "awaited"), [(429, "rate limit"), (503, "the vendor (503)")], ids=["limit", "maintenance"]
)
def test_a_wait_is_visible_while_it_lasts_and_says_for_what(
    api: respx.MockRouter, session: Open, clock: ManualClock, status: int, awaited: str
) -> None:
    seen = []
    opened = session()
    sleep = clock.sleep

    def watched(seconds: float) -> None:
        seen.append((opened.waiting_until, opened.waiting_for))
        sleep(seconds)

    clock.sleep = watched  # type: ignore[method-assign]
    busy = httpx.Response(status, headers={"Retry-After": "40"})
    api.get("/records").mock(side_effect=[busy, httpx.Response(200, json=[])])
    opened.get("/records")
    assert {why for until, why in seen if until} == {awaited}
    assert (opened.waiting_until, opened.waiting_for) == ("", "")
