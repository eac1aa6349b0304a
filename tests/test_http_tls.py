"""A server that cannot prove its name gets no request."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import cssync
from cssync.connectors import ConnectionSettings, Connector, Identity, Vendor, judge_by_status
from cssync.errors import ConnectionFault, TransientFault
from cssync.http import open_session, wire
from cssync.http.clock import ManualClock
from cssync.sandbox.server import SandboxAnswer, SandboxRequest, SandboxServer


class Records:
    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        return SandboxAnswer(200, {"ok": True})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for `localhost` that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-out", str(files[0]), "-keyout", str(files[1])],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return files


@pytest.fixture
def server(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    running = SandboxServer(Records())
    running._http.socket = context.wrap_socket(running._http.socket, server_side=True, do_handshake_on_connect=False)
    monkeypatch.setattr(running._http, "handle_error", lambda *args: None)
    running.url = running.url.replace("http://127.0.0.1", "https://localhost")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def trusting(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The admin names the certificate's file as an authority of their own."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    wire._tls.cache_clear()
    yield
    wire._tls.cache_clear()


def opening(url: str) -> Any:
    target = Connector(
        name="vendor",
        title="Vendor",
        config=ConnectionSettings,
        streams=(),
        hosts=r"api\.vendor\.example",
        vendor=lambda settings: Vendor("https://api.vendor.example", judge_by_status),
        identity=lambda session: Identity("1", "Vendor", "sandbox"),
    )
    settings = ConnectionSettings(connector="vendor", base_url=url, allow_hosts=("localhost", "127.0.0.1"))
    return open_session(target, settings, connection="crm", timezone=ZoneInfo("UTC"), clock=ManualClock())


def test_a_self_signed_server_is_refused_even_when_its_host_is_allowed(server: SandboxServer) -> None:
    with opening(server.url) as session, pytest.raises(ConnectionFault, match="certificate is not trusted") as fault:
        session.get("/records")
    assert not isinstance(fault.value, TransientFault)
    assert "SSL_CERT_FILE" in fault.value.fix
    assert server.journal == []


@pytest.mark.usefixtures("trusting")
def test_an_authority_of_ones_own_is_accepted(server: SandboxServer) -> None:
    with opening(server.url) as session:
        assert session.get("/records").json() == {"ok": True}


@pytest.mark.usefixtures("trusting")
def test_a_trusted_certificate_for_another_name_is_refused(server: SandboxServer) -> None:
    with (
        opening(server.url.replace("localhost", "127.0.0.1")) as session,
        pytest.raises(ConnectionFault, match="certificate is not trusted"),
    ):
        session.get("/records")
    assert server.journal == []


def test_there_is_no_switch_that_turns_it_off() -> None:
    root = Path(cssync.__file__).parents[1]
    sources = [
        p for folder in ("cssync", "plugins", "rules") for p in (root / folder).rglob("*.py") if "tests" not in p.parts
    ]
    off = re.compile(r"verify\s*=\s*False|CERT_NONE|check_hostname\s*=\s*False|_create_unverified_context")
    assert [p.name for p in sources if off.search(p.read_text(encoding="utf-8"))] == []
