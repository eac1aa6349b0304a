"""Host a vendor's sandbox app on 127.0.0.1 over real HTTP, with a journal of requests and planned faults."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """A request as the app sees it. Header names are lower case; `query` keeps the last value of a repeated name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    origin: str

    def json(self) -> Any:
        """Decode the body; an empty one is {}."""
        return json.loads(self.body or b"{}")

    def form(self) -> dict[str, str]:
        """Decode a form-encoded body."""
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True, slots=True)
class SandboxAnswer:
    """An answer of the app: `body` is JSON-encoded unless it is bytes; None is an empty body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class SandboxApp(Protocol):
    """A vendor in memory. `handle` is called by one thread at a time."""

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer one request; the state of the vendor changes as the real one's would."""
        ...


@dataclass(slots=True)
class Fault:
    """What to do with the n-th request (from 1) that matches `route`, a regex on `METHOD path?query`.

    answer: send this instead of asking the app. after: the app does its work first, then the answer is lost or
    replaced. cut: send only half of the body, then close. drop: close without an answer. delay: seconds to wait
    before answering. late: close without an answer, and have the app do its work only so many seconds later by the
    server's clock. act: called before the app, to change the world (a person's edit, a moved clock); then: called after
    the app (an automation). hides: a regex on requests that for `lag` seconds, by the server's clock, are answered from
    the world as it was before this one. times: on how many matching requests in a row.
    """

    route: str
    nth: int = 1
    times: int = 1
    answer: SandboxAnswer | None = None
    after: bool = False
    cut: bool = False
    drop: bool = False
    delay: float = 0.0
    late: float = 0.0
    act: Callable[[], None] | None = None
    then: Callable[[], None] | None = None
    hides: str = ""
    lag: float = 0.0
    seen: int = 0

    def hits(self, line: str) -> bool:
        """Count a matching request; True when it is this fault's turn."""
        if not re.search(self.route, line):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. status: 0 when the request waits for its time (`Fault.late`)."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    status: int


WRITES = ("POST", "PUT", "PATCH", "DELETE")


class SandboxServer:
    """A running sandbox. `url` is its origin; use `serve` to start and stop it."""

    def __init__(self, app: SandboxApp, faults: list[Fault] | None = None, port: int = 0) -> None:
        self.app = app
        self.faults = faults if faults is not None else []
        self.journal: list[Entry] = []
        self.clock: Callable[[], float] = time.time
        self._late: list[tuple[float, SandboxRequest]] = []
        self._past: list[tuple[float, str, SandboxApp]] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._http.shutdown()
        self._http.server_close()

    def requests(self, route: str) -> list[Entry]:
        """Journal entries whose `METHOD path` matches the regex."""
        return [e for e in self.journal if re.search(route, f"{e.method} {e.path}")]

    def answer(self, request: SandboxRequest) -> tuple[SandboxAnswer, Fault | None]:
        """Ask the app under the lock, journal it, and apply the fault whose turn it is."""
        line = f"{request.method} {request.path}?{'&'.join(f'{k}={v}' for k, v in request.query.items())}"
        with self._lock:
            self._catch_up()
            fault = next((f for f in self.faults if f.hits(line)), None)
            if fault and fault.act:
                fault.act()
            if fault and fault.hides:
                self._past.append((self.clock() + fault.lag, fault.hides, copy.deepcopy(self.app)))
            if fault and fault.late:
                self._late.append((self.clock() + fault.late, request))
                answer = SandboxAnswer(0)
            elif fault and fault.answer and not fault.after:
                answer = fault.answer
            else:
                answer = self._shown(line).handle(request)
                if fault and fault.answer:
                    answer = fault.answer
            if fault and fault.then:
                fault.then()
            self._note(request, answer)
        if fault and fault.delay:
            time.sleep(fault.delay)
        return answer, fault

    def _catch_up(self) -> None:
        """Do the work of requests whose time has come."""
        due = [item for item in self._late if item[0] <= self.clock()]
        for item in due:
            self._late.remove(item)
            self._note(item[1], self.app.handle(item[1]))

    def _shown(self, line: str) -> SandboxApp:
        """The app, or its past where a lag hides what it took since."""
        hidden = [past for until, route, past in self._past if self.clock() < until and re.search(route, line)]
        return hidden[0] if hidden else self.app

    def _note(self, request: SandboxRequest, answer: SandboxAnswer) -> None:
        self.journal.append(Entry(request.method, request.path, request.query, request.body, answer.status))


def _encoded(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return b"" if body is None else json.dumps(body, ensure_ascii=False).encode()


def _handler(server: SandboxServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            """Say nothing: the journal is the log."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(server.clock() if timestamp is None else timestamp, usegmt=True)

        def _serve(self) -> None:
            with contextlib.suppress(ConnectionError):  # a client that was killed, or did not wait
                self._exchange()

        def _exchange(self) -> None:
            split = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer, fault = server.answer(
                SandboxRequest(
                    self.command,
                    split.path,
                    dict(parse_qsl(split.query, keep_blank_values=True)),
                    {k.lower(): v for k, v in self.headers.items()},
                    body,
                    server.url,
                )
            )
            if fault and (fault.drop or fault.late):
                self._hang_up()
                return
            raw = _encoded(answer.body)
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json;charset=utf-8", **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            if fault and fault.cut:
                self.wfile.write(raw[: len(raw) // 2])
                self._hang_up()
                return
            self.wfile.write(raw)

        def _hang_up(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - named by the base class

    return Handler


@contextlib.contextmanager
def serve(app: SandboxApp, faults: list[Fault] | None = None, port: int = 0) -> Iterator[SandboxServer]:
    """Run a sandbox for the duration of the block."""
    server = SandboxServer(app, faults, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()
