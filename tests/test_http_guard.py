"""No request and no credential leaves for a host that is not the connection's own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import respx

from cssync.connectors import ConnectionSettings, Connector, Identity, Token, Vendor, judge_by_status
from cssync.errors import ConfigError, ConnectionFault, CssyncError
from cssync.http import open_session
from cssync.http.clock import ManualClock
from cssync.http.guard import is_public
from cssync.sandbox.server import SandboxAnswer, SandboxRequest, serve

BASE = "https://acme.vendor.example"

FOREIGN = [
    "http://169.254.169.254/latest/meta-data",
    "https://169.254.169.254",
    "https://127.0.0.1",
    "https://localhost",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[fe80::1]",
    "https://2130706433",
    "https://0x7f000001",
    "https://0x7f.1",
    "https://017700000001",
    "https://127.1",
    "https://127.0.0.1.",
    "https://evil.example",
    "https://evil.example@acme.vendor.example",
    "https://acme.vendor.example@evil.example",
    "https://user:password@acme.vendor.example",
    "https://acme.vendor.example.evil.example",
    "https://evil-acme.vendor.example.evil.example/acme.vendor.example",
    "https://acme.vendor.example\\@evil.example",
    "https://acme.vendor.example%2f@evil.example",
    "https://acme.vendor.example%00.evil.example",
    "https://acme.vendor.example#@evil.example",
    "https://acme.vendor.example:8443",
    "https://acme.vendor.example:99999",
    "https://аcme.vendor.example",
    "https://acme。vendor。example",
    "http://acme.vendor.example",
    "ftp://acme.vendor.example",
    "file:///etc/passwd",
    "//evil.example/x",
    "https:/acme.vendor.example",
    "https:acme.vendor.example",
    "https://",
    "https:///x",
    " https://acme.vendor.example",
    "https://acme.vendor.example\n",
    "https://acme.vendor.example\r\nHost: evil.example",
    "javascript:alert(1)",
]
ODD_PATHS = [
    "/../admin",
    "/records/../../admin",
    "/records/%2e%2e/admin",
    "/records/.%2E",
    "/records/.",
    "/a b",
    "/a\\b",
    "/a\r\nX: 1",
    "/a#b",
    "/a\x00",
    "records",
    "",
]


def connector(**vendor: Any) -> Connector:
    return Connector(
        name="vendor",
        title="Vendor",
        config=ConnectionSettings,
        streams=(),
        hosts=r"[a-z0-9-]+\.vendor\.example",
        vendor=lambda settings: Vendor(**{"base_url": BASE, "judge": judge_by_status, **vendor}),
        identity=lambda session: Identity("1", "Vendor", "sandbox"),
    )


def opening(target: Connector, **settings: Any) -> Any:
    return open_session(
        target,
        ConnectionSettings(connector="vendor", **settings),
        connection="crm",
        timezone=ZoneInfo("UTC"),
        clock=ManualClock(),
    )


@pytest.fixture
def network() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False, assert_all_mocked=False) as router:
        router.route().respond(json={})
        yield router


@pytest.mark.parametrize("url", FOREIGN)
def test_no_link_leads_away(network: respx.MockRouter, url: str) -> None:
    with opening(connector()) as session, pytest.raises(ConnectionFault, match=r"'crm'.*refused"):
        session.get(url if url.startswith("//") else url.rstrip("/") + "/records")
    assert network.calls.call_count == 0


@pytest.mark.parametrize("url", FOREIGN)
def test_no_configuration_leads_away(network: respx.MockRouter, url: str) -> None:
    with pytest.raises(ConfigError, match="'crm'"), opening(connector(), base_url=url):
        pass
    with pytest.raises(ConfigError, match="'crm'"), opening(connector(base_url=url)):
        pass
    assert network.calls.call_count == 0


@pytest.mark.parametrize("url", FOREIGN)
def test_no_token_answer_leads_away(network: respx.MockRouter, url: str) -> None:
    target = connector(login=lambda send: Token("t-123456", base_url=url))
    with opening(target) as session, pytest.raises(ConnectionFault, match="token answer"):
        session.get("/records")
    assert network.calls.call_count == 0


@pytest.mark.parametrize("url", FOREIGN)
def test_no_login_leads_away(network: respx.MockRouter, url: str) -> None:
    target = connector(login=lambda send: Token(send("POST", url, data={"client_secret": "canary"}).json()["t"]))
    with opening(target) as session, pytest.raises(CssyncError):
        session.get("/records")
    assert network.calls.call_count == 0


@pytest.mark.parametrize("path", ODD_PATHS)
def test_no_path_is_other_than_it_seems(network: respx.MockRouter, path: str) -> None:
    logins: list[int] = []
    target = connector(login=lambda send: logins.append(1) or Token("t-123456"))
    with opening(target) as session, pytest.raises(ConnectionFault):
        session.get(path)
    assert network.calls.call_count == 0
    assert logins == []


@pytest.mark.parametrize(
    "path", ["/records/a%2Fb?next=..%2F..", "/records/.hidden", "/v1/records/1:2,3", f"{BASE}/x?y=1"]
)
def test_honest_paths_and_links_pass(network: respx.MockRouter, path: str) -> None:
    with opening(connector()) as session:
        session.get(path)
    assert network.calls.call_count == 1
    assert network.calls.last.request.url.host == "acme.vendor.example"


def test_a_link_to_another_of_the_vendors_hosts_is_not_the_same_origin(network: respx.MockRouter) -> None:
    with opening(connector()) as session, pytest.raises(ConnectionFault, match="away from"):
        session.get("https://other.vendor.example/records")
    assert network.calls.call_count == 0


def test_requests_go_where_the_token_says_unless_base_url_is_given(network: respx.MockRouter) -> None:
    target = connector(login=lambda send: Token("t-123456", base_url="https://eu.vendor.example/"))
    with opening(target) as session:
        session.get("/records")
    assert str(network.calls.last.request.url) == "https://eu.vendor.example/records"
    with opening(target, base_url="http://127.0.0.1:9/under", allow_hosts=("127.0.0.1",)) as session:
        session.get("/records")
    assert str(network.calls.last.request.url) == "http://127.0.0.1:9/under/records"


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "https://test.lan"]
)
def test_a_named_host_may_be_private_and_plain(network: respx.MockRouter, base: str) -> None:
    host = base.partition("//")[2].rsplit(":8080")[0].strip("[]")
    with opening(connector(), base_url=base, allow_hosts=(host,)) as session:
        session.get("/records")
    assert network.calls.call_count == 1


def test_odd_numbers_stay_refused_even_when_named(network: respx.MockRouter) -> None:
    with pytest.raises(ConfigError), opening(connector(), base_url="http://2130706433", allow_hosts=("2130706433",)):
        pass


class Records:
    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        return SandboxAnswer(200, {"ok": True})


def resolving_to(address: str, port: int) -> Any:
    return lambda *args, **kwargs: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def test_a_vendor_name_that_resolves_to_a_private_address_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(Records()) as server:
        port = int(server.url.rpartition(":")[2])
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to("127.0.0.1", port))
        with opening(connector()) as session, pytest.raises(ConnectionFault, match=r"resolves to 127\.0\.0\.1"):
            session.get("/records")
        assert server.journal == []


def test_a_named_host_is_called_at_its_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(Records()) as server:
        port = int(server.url.rpartition(":")[2])
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to("127.0.0.1", port))
        with opening(connector(), base_url=f"http://test.lan:{port}", allow_hosts=("test.lan",)) as session:
            assert session.get("/records").json() == {"ok": True}


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
     "255.255.255.255", "::", "::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
     "2002:7f00:1::"],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["104.16.1.1", "2606:4700::1", "::ffff:104.16.1.1", "64:ff9b::6810:101"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)
