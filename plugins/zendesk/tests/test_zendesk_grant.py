"""A person's grant: both tokens are replaced with each renewal, and the old pair is dead at once."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cssync.cli import main
from cssync.config.load import load_workspace
from cssync.http.clock import ManualClock
from cssync.runs.sessions import open_sessions
from cssync.sandbox.server import Fault, SandboxServer
from cssync.store import Store
from cssync_zendesk.sandbox import CLIENT, REFRESH_TOKEN, ZendeskSandbox
from cssync_zendesk.settings import ZendeskSettings

GIVEN = {"connector": "zendesk", "subdomain": "acme", "client_id": CLIENT[0], "client_secret": CLIENT[1]}


@pytest.fixture
def config(tmp_path: Path, server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DESK_SECRET", CLIENT[1])
    monkeypatch.setenv("DESK_REFRESH", REFRESH_TOKEN)
    path = tmp_path / "cssync.yaml"
    path.write_text(f"""
workspace: acme
timezone: Asia/Tokyo
currency: JPY
store: cssync.db
connections:
  desk:
    connector: zendesk
    subdomain: acme
    client_id: {CLIENT[0]}
    client_secret: env:DESK_SECRET
    refresh_token: env:DESK_REFRESH
    base_url: {server.url}
    allow_hosts: [127.0.0.1]
rules: [standard]
""")
    return path


def run(config: Path, *args: str) -> Result:
    result = CliRunner().invoke(main, ["-c", str(config), *args])
    assert "Traceback" not in result.stderr
    return result


def grants(server: SandboxServer) -> list[str]:
    return [json.loads(e.body)["refresh_token"] for e in server.requests("POST /oauth/tokens")]


def test_the_first_check_keeps_the_next_refresh_token_for_the_first_sync(config: Path, server: SandboxServer) -> None:
    assert "accepted" in run(config, "check").stdout
    assert run(config, "fields", "desk").exit_code == 0
    assert run(config, "sync").exit_code == 0
    assert grants(server) == [REFRESH_TOKEN]  # one token serves them all


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    with Store.open(config.parent / "cssync.db", workspace="acme") as opened:
        yield opened


def test_each_renewal_uses_the_newest_refresh_token_and_none_twice(
    config: Path, store: Store, app: ZendeskSandbox, server: SandboxServer
) -> None:
    clock = ManualClock()
    clock.now = app.now()
    app.clock = clock.time
    for _ in range(3):
        with open_sessions(load_workspace(config), store, clock=clock) as sessions:
            assert not isinstance(sessions["desk"], Exception)
        clock.sleep(90_000)
    used = grants(server)
    assert len(used) == len(set(used)) == 3
    assert used[0] == REFRESH_TOKEN
    whole = (config.parent / "cssync.db").read_bytes() + b"".join(p.read_bytes() for p in config.parent.glob("*-wal"))
    assert not [t for t in (*used, app.refresh_token, *app.tokens) if t.encode() in whole]


def test_a_grant_that_has_ended_says_what_to_do(config: Path, app: ZendeskSandbox) -> None:
    app.refresh_token = "somebody-else-used-it"
    result = run(config, "sync")
    assert result.exit_code in (1, 3)
    assert "invalid_grant" in result.stderr + result.stdout
    assert "consent again" in result.stderr + result.stdout


def test_a_new_consent_takes_the_place_of_what_is_stored(
    config: Path, app: ZendeskSandbox, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(config, "sync").exit_code == 0
    app.refresh_token = "given-by-a-new-consent"
    app.tokens.clear()
    monkeypatch.setenv("DESK_REFRESH", "given-by-a-new-consent")
    assert run(config, "sync").exit_code == 0
    assert grants(server)[-1] == "given-by-a-new-consent"


def test_a_renewal_whose_answer_never_came_asks_for_a_new_consent_and_then_goes_on(
    config: Path, app: ZendeskSandbox, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zendesk has replaced both tokens when the line breaks, or the process ends, before they are stored: nobody has
    the new pair. The dead one is not tried for ever, nothing else is lost, and a consent mends it."""
    server.faults.append(Fault("POST /oauth/tokens", after=True, drop=True))
    result = run(config, "sync")
    assert result.exit_code in (1, 3)
    assert "consent again" in result.stderr + result.stdout
    assert len(grants(server)) <= 3
    assert not server.requests("GET ")
    app.refresh_token = "given-by-a-new-consent"
    monkeypatch.setenv("DESK_REFRESH", "given-by-a-new-consent")
    assert run(config, "sync").exit_code == 0


def killed(config: Path, server: SandboxServer, route: str) -> None:
    """Run `cssync sync` in a process of its own, which is killed when Zendesk has done what this route asks."""
    child: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        child[0].kill()
        child[0].wait()

    server.faults.append(Fault(route, then=kill))
    command = [sys.executable, "-c", "from cssync.cli import main; main()", "-c", str(config), "sync"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        child.append(running)
        assert running.wait(60) == -signal.SIGKILL
    server.faults.clear()


def test_a_process_killed_before_it_stored_the_new_pair_leaves_word_of_what_to_do(
    config: Path, app: ZendeskSandbox, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pair is lost for good: the next run asks once, does not wait for the dead process, and names the remedy."""
    killed(config, server, "POST /oauth/tokens")
    assert app.refresh_token != REFRESH_TOKEN, "Zendesk has replaced it"
    assert not server.requests("GET ")
    waits: list[float] = []

    def sleep(_: object, seconds: float) -> None:
        waits.append(seconds)
        assert len(waits) < 50

    monkeypatch.setattr("cssync.http.clock._System.sleep", sleep)
    result = run(config, "sync")
    said = result.stdout + result.stderr
    assert result.exit_code in (1, 3)
    assert "invalid_grant" in said
    assert "consent again" in said
    assert "refresh_token" in said
    assert grants(server) == [REFRESH_TOKEN] * 2
    assert sum(waits) < 1
    app.refresh_token = "given-by-a-new-consent"
    monkeypatch.setenv("DESK_REFRESH", "given-by-a-new-consent")
    assert run(config, "sync").exit_code == 0


def test_a_process_killed_at_its_first_use_of_the_new_pair_has_stored_it(
    config: Path, app: ZendeskSandbox, server: SandboxServer
) -> None:
    killed(config, server, "GET ")
    assert run(config, "sync").exit_code == 0
    assert grants(server) == [REFRESH_TOKEN], "the stored token is good for the next run"
    app.tokens.clear()  # and when it ends, so is the refresh token that came with it
    assert run(config, "sync").exit_code == 0
    assert grants(server)[1:] != [REFRESH_TOKEN]
    assert len(grants(server)) == 2


def test_a_store_of_another_workspace_is_not_touched(config: Path, store: Store, server: SandboxServer) -> None:
    config.write_text(config.read_text().replace("workspace: acme", "workspace: other"))
    result = run(config, "check")
    assert result.exit_code != 0
    assert grants(server) == []
    with sqlite3.connect(config.parent / "cssync.db") as db:
        assert db.execute("SELECT count(*) FROM token").fetchone()[0] == 0
    db.close()


def test_a_refresh_token_needs_its_client() -> None:
    with pytest.raises(ValueError, match="needs the client_id"):
        ZendeskSettings.model_validate({"connector": "zendesk", "subdomain": "a", "refresh_token": "x"})
    assert ZendeskSettings.model_validate({**GIVEN, "refresh_token": "x"}).refresh_token is not None
