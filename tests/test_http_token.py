"""One token for all threads, renewed in time, and never more logins than needed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from cssync.connectors import ConnectionSettings, Connector, Identity, Token, Vendor, judge_by_status
from cssync.errors import ConnectionFault, TransientFault
from cssync.http import UNLIMITED, open_session
from cssync.http.clock import Clock, ManualClock
from cssync.http.seal import Seal
from cssync.http.token import TokenSource
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxRequest, serve
from cssync.store import Store
from cssync.store.tokens import CLAIM, TokenVaults


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


class Rotating:
    """A vendor whose refresh token changes with each use; one that comes twice revokes everything."""

    def __init__(self, life: float, uses: int) -> None:
        self.life, self.uses = life, uses
        self.refresh, self.number, self.left = "refresh-configured", 0, 0
        self.revoked = False
        self.refusals = 0

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        if request.path == "/token":
            if self.revoked or request.form().get("refresh_token") != self.refresh:
                self.revoked = True
                return SandboxAnswer(400, {"error": "invalid_grant"})
            self.number += 1
            self.left = self.uses
            self.refresh = f"refresh-token-{self.number}"
            return SandboxAnswer(
                200, {"access_token": f"access-{self.number}", "expires_in": self.life, "refresh_token": self.refresh}
            )
        self.left -= 1
        if self.revoked or self.left < 0 or request.headers.get("authorization") != f"Bearer access-{self.number}":
            self.refusals += 1
            return SandboxAnswer(401, {"error": "expired"})
        return SandboxAnswer(200, {"ok": True})


class Credential(ConnectionSettings):
    refresh_token: SecretStr


def renewed(send: Callable[..., Any], refresh: str) -> Token:
    answer = send("POST", "/token", data={"grant_type": "refresh_token", "refresh_token": refresh})
    if answer.status != 200:
        raise ConnectionFault(f"login refused: {answer.json()['error']}", fix="authorise the app again")
    told = answer.json()
    return Token(told["access_token"], told["expires_in"], refresh=told["refresh_token"])


def rotating(url: str, configured: str = "refresh-configured", **more: Any) -> Any:
    """Open a session of a connection whose grant rotates."""
    settings = Credential(
        connector="vendor", base_url=url, allow_hosts=("127.0.0.1",), refresh_token=SecretStr(configured)
    )
    target = Connector(
        name="vendor",
        title="Vendor",
        config=Credential,
        streams=(),
        hosts=r"api\.vendor\.example",
        vendor=lambda s: Vendor(
            "https://api.vendor.example", judge_by_status, renew=renewed,
            refresh_token=s.refresh_token.get_secret_value(), concurrency=6,
        ),
        identity=lambda session: Identity("1", "Vendor", "sandbox"),
    )  # fmt: skip
    return open_session(target, settings, connection="crm", timezone=ZoneInfo("UTC"), limiter=UNLIMITED, **more)


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
    source = TokenSource(lambda refresh: Token(f"t{clock.now}", next(lives)), clock)
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

    def fetch(refresh: str) -> Token:
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


# --- several processes ------------------------------------------------------------------------------------------------

PROCESS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_http_token import rotating
from cssync.store.tokens import TokenVaults

sys.stdin.readline()
with (
    TokenVaults(Path(sys.argv[1])) as vaults,
    rotating(sys.argv[2], vault=vaults.of("crm")) as session,
    ThreadPoolExecutor(6) as pool,
):
    print(sum(pool.map(lambda n: session.get("/records", n=n).json()["ok"], range(120))))
"""


def test_two_processes_of_six_threads_share_a_rotating_grant(tmp_path: Path) -> None:
    """Access tokens of a second and slow answers: each refresh token is used once, and nothing is revoked.

    A vendor that took back one token after the other within a moment would refuse a request twice, which ends it; so
    tokens here last as long as a loaded machine needs for one request.
    """
    app = Rotating(life=1.0, uses=10_000)
    store = tmp_path / "s.db"
    Store.open(store).close()
    with serve(app, [Fault("GET /records", delay=0.05, times=10_000)]) as server:
        command = [sys.executable, "-c", PROCESS, str(store), server.url, str(Path(__file__).parent)]
        running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in "ab"]
        for process in running:  # both are there before either begins
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0].strip() for process in running]
    assert answers == ["120", "120"]
    assert not app.revoked
    assert app.number >= 2
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"refresh-" not in held
    assert b"access-" not in held


def test_a_rotated_refresh_token_is_stored_before_its_access_token_is_used(tmp_path: Path) -> None:
    app = Rotating(life=60.0, uses=1000)
    store = tmp_path / "s.db"
    Store.open(store).close()
    lost = Fault("GET /records", drop=True, times=99)
    clock = ManualClock()
    with serve(app, [lost]) as server, TokenVaults(store, clock) as vaults:
        with rotating(server.url, vault=vaults.of("crm"), clock=clock) as session, pytest.raises(TransientFault):
            session.get("/records")
        lost.times = 0
        clock.now += 120
        with rotating(server.url, vault=vaults.of("crm"), clock=clock) as session:
            assert session.get("/records").json() == {"ok": True}
    assert (app.number, app.revoked) == (2, False)


def test_a_run_takes_over_the_token_that_the_one_before_it_fetched(tmp_path: Path) -> None:
    app = Rotating(life=600.0, uses=1000)
    Store.open(tmp_path / "s.db").close()
    clock = ManualClock()
    with serve(app) as server, TokenVaults(tmp_path / "s.db", clock) as vaults:
        for _ in range(3):
            with rotating(server.url, vault=vaults.of("crm"), clock=clock) as session:
                session.get("/records")
    assert app.number == 1


def test_a_new_credential_starts_anew_and_leaves_nothing_readable(tmp_path: Path) -> None:
    app = Rotating(life=600.0, uses=1000)
    Store.open(tmp_path / "s.db").close()
    clock = ManualClock()
    with serve(app) as server, TokenVaults(tmp_path / "s.db", clock) as vaults:
        with rotating(server.url, vault=vaults.of("crm"), clock=clock) as session:
            session.get("/records")
        app.refresh = "refresh-authorised-again"
        with rotating(server.url, "refresh-authorised-again", vault=vaults.of("crm"), clock=clock) as session:
            session.get("/records")
    assert (app.number, app.revoked) == (2, False)


def test_a_process_that_died_while_it_logged_in_is_waited_for_no_longer_than_its_claim(tmp_path: Path) -> None:
    app = Rotating(life=600.0, uses=1000)
    Store.open(tmp_path / "s.db").close()
    clock = ManualClock()
    with serve(app) as server, TokenVaults(tmp_path / "s.db", clock) as vaults:
        with TokenVaults(tmp_path / "s.db", clock) as dead:
            assert dead.of("crm").claim()
        with rotating(server.url, vault=vaults.of("crm"), clock=clock) as session:
            session.get("/records")
    assert CLAIM <= sum(clock.slept) < CLAIM + 1


def test_what_is_sealed_opens_only_with_the_same_credential_and_connection() -> None:
    sealed = Seal("crm", ["one", "two"]).seal("the token")
    assert Seal("crm", ["two", "one"]).open(sealed) == "the token"
    assert "token" not in sealed
    for other in (Seal("crm", ["one"]), Seal("desk", ["one", "two"])):
        assert other.open(sealed) is None
    assert Seal("crm", ["one", "two"]).open(sealed[:-4] + "AAAA") is None
    assert Seal("crm", ["one", "two"]).open("damaged") is None
