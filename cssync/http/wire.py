"""One exchange over the network: httpx lives here and nowhere else."""

from __future__ import annotations

import functools
import re
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from cssync import __version__
from cssync.connectors.session import Answer
from cssync.http.clock import Clock
from cssync.http.guard import Guard, GuardedNetwork

MAX_BODY = 256 * 2**20
"""Largest body in bytes after decompression; the largest honest answers are Salesforce bulk results."""
MAX_RATIO, RATIO_FROM = 250, 16 * 2**20
"""A body beyond 16 MiB that was packed more than 250 : 1 is a bomb; JSON records pack 5 to 30 : 1."""
MAX_HEADERS = 200
MAX_SECONDS = 600.0
"""Longest exchange: Salesforce itself gives up after 10 minutes."""
TIMEOUT = httpx.Timeout(connect=10.0, read=150.0, write=60.0, pool=60.0)
"""150 s without a byte: a SOQL query may take 120 s before its first one. A connection's `timeout` takes its place."""
PIECE = 2**20
REQUEST_IDS = ("x-hubspot-correlation-id", "x-zendesk-request-id", "x-request-id", "x-sfdc-request-id", "cf-ray")
_HEADER = re.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Received(Answer):
    """An answer that knows its connection, for messages. `url` is without the query. `again` asks once more for what
    cannot be read; None where that would be a second write, or was done."""

    connection: str = ""
    again: Callable[[], Answer] | None = field(default=None, compare=False, repr=False)

    def named_beside(self, words: str) -> str:
        """Return ` (request id ID)` to put behind the vendor's words; "" where they name it, or there is none."""
        found = next((self.headers[name] for name in REQUEST_IDS if name in self.headers), "")
        return f" (request id {found[:80]})" if found and found not in words else ""


class Interrupted(Exception):  # noqa: N818 - the session turns it into an error with a name
    """No readable answer.

    sent: the request may have reached the vendor. passing: trying again may help. in_time: the vendor, or the network,
    ended it; else we stopped waiting.
    """

    def __init__(
        self, reason: str, *, sent: bool = True, passing: bool = True, fix: str = "", in_time: bool = True
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.passing = passing
        self.fix = fix
        self.in_time = in_time


@functools.cache
def _tls() -> ssl.SSLContext:
    """Certificates of certifi, or those of the file that SSL_CERT_FILE names. Cached: building it takes 20 ms."""
    return httpx.create_ssl_context()


class _Transport(httpx.HTTPTransport):
    """httpx's transport with its connection pool on our guarded network; httpx has no parameter for that."""

    def __init__(self, guard: Guard, connections: int) -> None:
        super().__init__(verify=_tls(), trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30.0,
            network_backend=GuardedNetwork(guard),
        )


class Wire:
    """Sends requests of one connection, at most `concurrency` at a time.

    It uses httpx's transport without httpx's client around it: the client's cookies, redirects, environment and
    encodings are what must not happen here, and cost a third of the time of a request.
    """

    def __init__(self, guard: Guard, concurrency: int, clock: Clock, timeout: float | None = TIMEOUT.read) -> None:
        self._timed = {"timeout": {**TIMEOUT.as_dict(), "read": timeout}}
        self._connection = guard.connection
        self._clock = clock
        self._room = threading.BoundedSemaphore(concurrency)
        self._transport = _Transport(guard, concurrency)
        self._usual = {
            "user-agent": f"cssync/{__version__}",
            "accept": "application/json",
            "accept-encoding": "gzip",
            "connection": "keep-alive",
        }

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Received:
        """Send once and read the whole answer, whatever its status.

        Raises:
            Interrupted: no readable answer.
        """
        try:
            if not all(_HEADER.fullmatch(value) for value in (headers or {}).values()):
                raise UnicodeError
            request = httpx.Request(
                method,
                f"{url}?{httpx.QueryParams(params)}" if params and "?" not in url else url,
                params=params if params and "?" in url else None,
                content=content,
                data=form,
                headers={**self._usual, **{name.lower(): value for name, value in (headers or {}).items()}},
                extensions=self._timed,
            )
            with self._room:
                started = self._clock.monotonic()
                response = self._transport.handle_request(request)
                try:
                    body = b"".join(self._body(response, started))
                finally:
                    response.close()
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError):
            # The library's own text quotes the header, and with it the token.
            raise Interrupted(
                "the request cannot be formed: its URL or a header holds a character that is not allowed",
                sent=False,
                passing=False,
                fix="look for a line break or a character beyond ASCII in the credential",
            ) from None
        except httpx.TransportError as error:
            raise _interruption(error) from error
        return Received(
            response.status_code,
            dict(response.headers.items()),
            body,
            url.partition("?")[0],
            self._connection,
        )

    def _body(self, response: httpx.Response, started: float) -> Iterator[bytes]:
        if len(response.headers) > MAX_HEADERS:
            raise Interrupted(f"the answer has more than {MAX_HEADERS} headers", passing=False)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip"):
            raise Interrupted("the answer is packed in a way that was not asked for", passing=False)
        counted = _Counted(_stream(response))
        size = 0
        for piece in _inflated(counted) if "gzip" in encoding else counted:
            size += len(piece)
            if size > MAX_BODY or (size > RATIO_FROM and size > MAX_RATIO * counted.size):
                raise Interrupted(f"the answer is too large ({size >> 20} MiB and more)", passing=False)
            if self._clock.monotonic() - started > MAX_SECONDS:
                raise Interrupted(f"the answer took longer than {MAX_SECONDS:.0f} s", in_time=False)
            yield piece


def _stream(response: httpx.Response) -> Iterable[bytes]:
    assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 - the transport is not an asynchronous one
    return response.stream


class _Counted:
    """Chunks as they come in, with the number of their bytes so far."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            yield chunk


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack gzip in pieces of at most 1 MiB, so that a bomb is noticed before it has grown.

    It may be several members one after the other (RFC 1952, 2.2); zeros behind the last one are padding.
    """
    engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
    fed = False
    try:
        for chunk in chunks:
            while chunk:
                if engine.eof:
                    chunk = chunk.lstrip(b"\0")
                    engine = zlib.decompressobj(zlib.MAX_WBITS | 16) if chunk else engine
                    continue
                fed = True
                yield engine.decompress(chunk, PIECE)
                chunk = engine.unused_data if engine.eof else engine.unconsumed_tail
        yield engine.flush()
    except zlib.error:
        raise Interrupted("the answer's compression is damaged") from None
    if fed and not engine.eof:
        raise Interrupted("the answer was cut off")


def _interruption(error: httpx.TransportError) -> Interrupted:
    """Say in our words what went wrong on the way; only connecting happens before anything is sent."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:  # a chain of causes may lead back
        seen.append(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Interrupted(
                f"the server's certificate is not trusted ({cause.verify_message})",
                sent=False,
                passing=False,
                fix="check base_url; for a certificate authority of your own set SSL_CERT_FILE to its file",
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        late = isinstance(error, httpx.TimeoutException)
        return Interrupted("no connection in time" if late else f"no connection ({error})", sent=False)
    if isinstance(error, httpx.TimeoutException):
        return Interrupted("no answer in time", in_time=False)
    return Interrupted("the connection broke before the whole answer was there")
