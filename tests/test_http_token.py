"""One token for all threads, renewed in time, and never more logins than needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.connectors import ConnectionSettings, Connector, Identity, Token, Vendor, judge_by_status
from cssync.errors import ConnectionFault, TransientFault
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import Clock, ManualClock
from cssync.http.token import TokenSource
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxRequest, serve


class Guarded:
    """A vendor that takes the newest token only, for as long as it lives."""

    def __init__(self, clock: Clock, life: float | None = None) -> None:
        self.clock = clock
        self.life = life
        self.logins = 0
        self.refusals = 0
        self.born = 0.0
        self.closed = False

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        if request.path == "/token":
            if self.closed:
                return SandboxAnswer(400, {"error": "invalid_client"})
            self.logins += 1
            self.born = self.clock.monotonic()
            return SandboxAnswer(200, {"access_token": f"token-{self.logins}", "expires_in": self.life})
        alive = self.life is None or self.clock.monotonic() < self.born + self.life
        if alive and request.headers.get("authorization") == f"Bearer token-{self.logins}":
            return SandboxAnswer(200, {"ok": True})
        self.refusals += 1
        return SandboxAnswer(401, {"error": "expired"})


def login(send: Callable[..., Any]) -> Token:
    answer = send("POST", "/token", data={"grant_type": "client_credentials"})
    if answer.status != 200:
        raise ConnectionFault(f"login refused: {answer.json()['error']}", fix="check client_secret")
    return Token(answer.json()["access_token"], answer.json()["expires_in"])


def opening(url: str, clock: Clock, **vendor: Any) -> Any:
    target = Connector(
        name="vendor",
        title="Vendor",
        config=ConnectionSettings,
        streams=(),
        hosts=r"api\.vendor\.example",
        vendor=lambda settings: Vendor("https://api.vendor.example", judge_by_status, login=login, **vendor),
        identity=lambda session: Identity("1", "Vendor", "sandbox"),
    )
    settings = ConnectionSettings(connector="vendor", base_url=url, allow_hosts=("127.0.0.1",))
    return open_session(target, settings, connection="crm", timezone=ZoneInfo("UTC"), limiter=UNLIMITED, clock=clock)


def test_six_threads_share_one_login() -> None:
    clock = ManualClock()
    app = Guarded(clock)
    with (
        serve(app, [Fault("POST /token", delay=0.05)]) as server,
        opening(server.url, clock) as session,
        ThreadPoolExecutor(6) as pool,
    ):
        answers = list(pool.map(lambda n: session.get("/records", n=n).json(), range(30)))
    assert answers == [{"ok": True}] * 30
    assert (app.logins, app.refusals) == (1, 0)


def test_a_short_lived_token_is_renewed_before_it_ends() -> None:
    clock = ManualClock()
    app = Guarded(clock, life=5)
    with serve(app) as server, opening(server.url, clock) as session:
        for _ in range(120):
            session.get("/records")
            clock.now += 0.5
    assert app.refusals == 0
    assert 12 <= app.logins <= 16


def test_a_revoked_token_is_renewed_once_by_one_thread_and_the_requests_repeated() -> None:
    clock = ManualClock()
    app = Guarded(clock)
    with serve(app) as server, opening(server.url, clock, concurrency=6) as session:
        session.get("/records")
        app.logins += 1
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda n: session.get("/records", n=n).json(), range(6)))
    assert answers == [{"ok": True}] * 6
    assert app.logins == 3
    assert 1 <= app.refusals <= 6


def test_a_token_refused_twice_ends_the_request_and_says_what_to_do() -> None:
    clock = ManualClock()
    app = Guarded(clock)
    app.life = -1.0
    with serve(app) as server:
        target = opening(server.url, clock)
        with target as session, pytest.raises(ConnectionFault, match=r"GET /records: answered 401") as fault:
            session.get("/records")
    assert "credential" in fault.value.fix
    assert app.refusals <= 2


def test_a_refused_login_is_not_tried_again_by_every_thread() -> None:
    clock = ManualClock()
    app = Guarded(clock)
    app.closed = True

    def attempt(session: Any) -> str:
        with pytest.raises(ConnectionFault) as fault:
            session.get("/records")
        return fault.value.message

    with serve(app) as server, opening(server.url, clock) as session:
        with ThreadPoolExecutor(6) as pool:
            messages = list(pool.map(attempt, [session] * 6))
        assert len(server.requests("POST /token")) == 1
    assert set(messages) == {"connection 'crm': login refused: invalid_client"}


def test_a_busy_login_is_asked_again_and_in_the_end_a_passing_fault() -> None:
    clock = ManualClock()
    app = Guarded(clock)
    busy = SandboxAnswer(503, None, {"Retry-After": "7"})
    with serve(app, [Fault("POST /token", answer=busy)]) as server, opening(server.url, clock) as session:
        assert session.get("/records").json() == {"ok": True}
        assert sum(clock.slept) >= 7
    with (
        serve(app, [Fault("POST /token", answer=busy, times=99)]) as server,
        opening(server.url, clock) as session,
        pytest.raises(TransientFault, match="POST /token: answered 503"),
    ):
        session.get("/records")


def test_the_margin_is_a_minute_or_a_fifth_of_a_short_life() -> None:
    clock = ManualClock(0.0)
    lives = iter([1800.0, 10.0, None])
    source = TokenSource(lambda: Token(f"t{clock.now}", next(lives)), clock)
    first = source.get()
    clock.now = 1739
    assert source.get() is first
    clock.now = 1741
    second = source.get()
    assert second is not first
    clock.now = 1741 + 7.9
    assert source.get() is second
    clock.now = 1741 + 8.1
    third = source.get()
    clock.now = 1e9
    assert source.get() is third


def test_renewing_a_token_that_was_replaced_meanwhile_does_nothing() -> None:
    made: list[Token] = []

    def fetch() -> Token:
        made.append(Token(f"t{len(made)}"))
        return made[-1]

    source = TokenSource(fetch, ManualClock())
    dead = source.get()
    start = threading.Barrier(6)

    def renew() -> None:
        start.wait()
        source.renew(dead)

    threads = [threading.Thread(target=renew) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [t.value for t in made] == ["t0", "t1"]
    assert source.get() is made[1]
