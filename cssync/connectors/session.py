"""HTTP as a connector sees it: the session it is given, and the facts of its vendor that the session goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str = ""

    def json(self, shape: Any = Any) -> Any:
        """Decode the body.

        shape: a TypedDict, not total, of what is wanted (`Listing` has one for flat records); what stands there beside
        it is not decoded. A body of another shape is decoded whole: nothing is to be taken for granted.

        Raises:
            ConnectionFault: the body is not JSON (HTML, cut off, too deep); names the path and status, never the body.
        """
        from cssync.http.decode import decode

        return decode(self, shape)


class Session(Protocol):
    """One authenticated HTTP session of one connection; safe to use from several threads.

    It retries what is worth retrying, waits for rate limits (its own, other processes' and the vendor's), renews
    tokens, refuses hosts outside the connection, and counts requests.
    """

    settings: Any
    """The connection's validated settings (the connector's `config` model)."""
    timezone: ZoneInfo
    """Business time zone of the workspace."""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
        repeatable: bool = True,
    ) -> Answer:
        """Send one request and return its 2xx answer, or one whose status is in `accept`.

        `path` starts with `/` (relative to the vendor's base URL) or is an absolute URL of the same origin.
        `repeatable=False` marks a write of `push`: without an answer it is not sent again before somebody looked.

        Raises:
            TransientFault: the vendor stayed busy, limited or unreachable beyond the connection's patience.
            UnknownOutcome: a request that is not repeatable got no readable answer.
            ConnectionFault: refused (401, 403, other 4xx, redirect, foreign host).
        """
        ...

    def get(self, path: str, *, accept: Sequence[int] = (), **params: Any) -> Answer:
        """Short for a GET; parameters that are None are left out."""
        ...

    def now(self) -> datetime:
        """The vendor's time (UTC) by its last `Date` header; the local clock only before the first answer."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait for work that the vendor does in the background, such as a job, before asking for it again."""
        ...

    @property
    def requests(self) -> int:
        """Requests sent so far, retries included."""
        ...

    @property
    def requests_here(self) -> int:
        """Those of them that the calling thread sent: what one stream cost."""
        ...


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `expires_in` in seconds, None when the vendor does not say; `base_url` where the vendor
    names the host to call; `refresh` is the refresh token to use next, where the grant gives one."""

    value: str
    expires_in: float | None = None
    base_url: str | None = None
    scheme: str = "Bearer"
    refresh: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A rate limit that we keep by ourselves: `calls` per `seconds` for requests matching `paths` (a regex on
    `METHOD path`). The first bucket that matches is charged, and so is every one marked `shared`.

    cssync paces the calls so that no window, whenever it begins, holds more than `calls`. windowed: the vendor counts
    windows that follow each other, and its headers tell what is left of the present one and for how long
    (`Vendor.left`): then all calls of a window may go at its beginning.
    """

    name: str
    calls: int
    seconds: float
    paths: str = ".*"
    shared: bool = False
    windowed: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means.

    ok: use it. wait: not now, come back after `seconds` (for everybody on the bucket). retry: a passing fault.
    renew: the token is dead. stop: this run must end here, `seconds` says when it may resume (a daily limit).
    fail: final; `message` and `fix` are for the admin.
    """

    kind: Literal["ok", "wait", "retry", "renew", "stop", "fail"]
    seconds: float | None = None
    message: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Vendor:
    """The HTTP facts of one connection.

    base_url: where requests go unless the token or the connection's `base_url` says otherwise.
    login: fetches a token through a bare `send(method, url, **kwargs) -> Answer` (no auth, no retry judged); None
        with static `headers`.
    renew: fetches a token out of a refresh token, through the same `send`; used instead of `login` while there is one.
        A vendor that changes the refresh token with each use returns the new one in `Token.refresh`: it is stored,
        sealed with the connection's credential, before the access token is used, and shared by all processes.
    refresh_token: the one the admin configured, for the first time and whenever none is stored.
    judge: reads status, headers and body of every answer.
    pause: seconds to hold back after this answer because its headers say the allowance is used up, with the name of
        the bucket to hold; None for no pause.
    allowed: (bucket, calls, seconds) of every limit that this answer's headers tell: what the account's plan allows
        takes the place of what the bucket was declared with.
    daily: calls left and calls in all of the vendor's daily allowance, where the answer's headers tell.
    """

    base_url: str
    judge: Callable[[Answer], Verdict]
    headers: Mapping[str, str] = field(default_factory=dict)
    login: Callable[[Callable[..., Answer]], Token] | None = None
    renew: Callable[[Callable[..., Answer], str], Token] | None = None
    refresh_token: str = ""
    buckets: tuple[Bucket, ...] = ()
    pause: Callable[[Answer], tuple[str, float] | None] = lambda answer: None
    daily: Callable[[Answer], tuple[int, int] | None] = lambda answer: None
    left: Callable[[Answer], Iterable[tuple[str, int, float | None]]] = lambda answer: ()
    allowed: Callable[[Answer], Iterable[tuple[str, int, float]]] = lambda answer: ()
    concurrency: int = 4
