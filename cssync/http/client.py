"""The session a connector works with: every answer judged, what is worth repeating repeated, limits kept."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from cssync.connectors.contract import Connector
from cssync.connectors.judging import BUSY, http_date, judge_by_status, retry_after
from cssync.connectors.session import Answer, Bucket, Session, Token, Verdict
from cssync.connectors.settings import ConnectionSettings
from cssync.errors import ConfigError, ConnectionFault, CssyncError, Refused, TransientFault, UnknownOutcome
from cssync.http.call import Call, call
from cssync.http.clock import SYSTEM, Clock
from cssync.http.guard import Guard, Origin, split
from cssync.http.limit import Limiter, ProcessLimiter
from cssync.http.redaction import credentials, install, redact, remember
from cssync.http.retry import CONNECT_TRIES, TRIES, UNREADABLE_TRIES, Again, persist
from cssync.http.seal import Seal
from cssync.http.token import TokenSource, Vault
from cssync.http.wire import Interrupted, Received, Wire

log = logging.getLogger("cssync.http")

ANY = Bucket("any", calls=0, seconds=0.0)
"""Charged by requests that match no bucket of the vendor: no pace of our own, but a hold stops them too."""
LIMIT = "rate limit"
"""What a request waits for that keeps to a pace, ours or the vendor's."""
LONGEST = 600
"""Characters of a vendor's words that a message carries."""
FIX = "check the settings of the connection; if they are right, report this with the vendor's words and request id"


class HttpSession:
    """See `cssync.connectors.Session` for what a connector may rely on."""

    def __init__(
        self,
        connector: Connector,
        settings: ConnectionSettings,
        *,
        connection: str,
        timezone: ZoneInfo,
        limiter: Limiter,
        clock: Clock,
        share: Decimal,
        vault: Vault | None = None,
    ) -> None:
        self.settings: Any = settings
        self.timezone = timezone
        self._connection = connection
        self._limiter = limiter
        self._share = share
        self._clock = clock
        self._vendor = vendor = connector.vendor(settings)
        secrets = credentials(settings, vendor.headers)
        install(secrets)
        self._guard = Guard(connection, connector.hosts, settings.allow_hosts)
        try:
            where = "base_url" if settings.base_url else "the vendor's address as configured"
            self._base = self._guard.base(settings.base_url or vendor.base_url, where)
        except ConnectionFault as fault:
            raise ConfigError(fault.message, kept=fault.kept, fix=fault.fix) from None
        self._buckets = vendor.buckets
        self._patterns = tuple(re.compile(b.paths) for b in self._buckets)
        self._wire = Wire(self._guard, vendor.concurrency, clock, settings.timeout)
        seal = Seal(connection, secrets) if secrets else None  # without a credential nothing could be sealed
        self._tokens = (
            TokenSource(self._login, clock, vault if seal else None, seal) if vendor.login or vendor.renew else None
        )
        self._lock = threading.Lock()
        self._requests = 0
        self._here = threading.local()
        self._stopped = ""
        self._misread = False
        self._waits: dict[int, tuple[str, str]] = {}
        self._closed: dict[str, str] = {}
        self.calls_left: int | None = None
        self._date: tuple[datetime, float] | None = None

    # --- what a connector calls ---------------------------------------------------------------------------------------

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
        """Send one request; see `cssync.connectors.Session.request`."""
        wanted = call(
            method,
            path,
            params=params,
            json=json,
            content=content,
            headers=headers,
            accept=frozenset(accept),
            repeatable=repeatable,
        )
        self._guard.screen(path)
        answer = self._try(wanted)
        if answer.status >= 300:
            return answer
        if repeatable:
            return replace(answer, again=partial(self._again, wanted, UNREADABLE_TRIES - 1))
        if answer.content:
            self._readable(wanted, answer)
        return answer

    def get(self, path: str, *, accept: Sequence[int] = (), **params: Any) -> Answer:
        """Send a GET; see `cssync.connectors.Session.get`."""
        return self.request("GET", path, params=params, accept=accept)

    def now(self) -> datetime:
        """Return the vendor's time, UTC: its last `Date` header and the time gone by since."""
        seen = self._date
        if seen is None:
            return datetime.fromtimestamp(self._clock.time(), UTC)
        return seen[0] + timedelta(seconds=self._clock.monotonic() - seen[1])

    def wait(self, seconds: float) -> None:
        """Wait by this session's clock; see `cssync.connectors.Session.wait`."""
        self._clock.sleep(seconds)

    @property
    def requests_here(self) -> int:
        """Requests sent so far by the calling thread."""
        return int(getattr(self._here, "requests", 0))

    @property
    def requests(self) -> int:
        """Requests sent so far: repetitions and logins included."""
        return self._requests

    @property
    def waiting_until(self) -> str:
        """Until when (ISO instant, UTC) requests wait for a limit or a busy vendor just now; "" when none does."""
        return max(list(self._waits.values()), default=("", ""))[0]

    @property
    def waiting_for(self) -> str:
        """What the request waits for that waits longest just now; "" when none does."""
        return max(list(self._waits.values()), default=("", ""))[1]

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    # --- one request, several tries -----------------------------------------------------------------------------------

    def _try(self, wanted: Call) -> Received:
        """Send until the answer is final, within the limits of tries and patience."""
        renewed = False

        def give_up(again: Again, tries: int) -> NoReturn:
            words = self._say(wanted, again.fault + (f" ({tries} tries)" if tries > 1 else ""))
            if not again.passing:
                raise ConnectionFault(words, kept="what is stored stays", fix=redact(again.fix) or FIX)
            raise TransientFault(
                words,
                kept="what is stored stays; nothing was skipped",
                fix=redact(again.fix) or "nothing to do if the next run succeeds",
                resumes_at=None if again.seconds is None else self._in(again.seconds),
            )

        def attempt() -> Received:
            nonlocal renewed
            token = self._ready(wanted)
            answer = self._send(wanted, token)
            verdict = self._verdict(wanted, answer)
            if verdict.kind == "renew" and self._tokens and token and not renewed:
                renewed = True
                self._tokens.renew(token)
                token = self._tokens.get()
                answer = self._send(wanted, token)
                verdict = self._verdict(wanted, answer)
            return self._settle(wanted, answer, verdict)

        return persist(
            attempt,
            patience=float(self.settings.patience),
            sleep=lambda seconds, again: self._sleep(wanted, seconds, again.awaited),
            hold=lambda bucket, seconds: self._limiter.hold(self._connection, bucket, seconds),
            give_up=give_up,
        )

    def _again(self, wanted: Call, tries: int) -> Received:
        """Ask again for what could not be read: a proxy's page, half a body. At most `tries` times."""
        self._sleep(wanted, 2.0 ** (UNREADABLE_TRIES - tries), "an answer that can be read")
        answer = self._try(wanted)
        return replace(answer, again=partial(self._again, wanted, tries - 1)) if tries > 1 else answer

    def _ready(self, wanted: Call) -> Token | None:
        """Wait for a slot in each bucket that this request is charged to, then return the token to use.

        Patience is for what the vendor asks; our own pace is waited for anyway, up to the length of a bucket.
        """
        if self._stopped:
            raise TransientFault(
                self._say(wanted, f"not sent: an earlier request of this run {self._stopped}"),
                kept="what is stored stays; nothing was skipped",
                fix="run again when the vendor's allowance is renewed",
            )
        if wanted.login:
            return None
        buckets = self._charged(wanted)
        seconds = max(self._limiter.acquire(self._connection, bucket) for bucket in buckets)
        window = max(bucket.seconds for bucket in buckets)
        while seconds > 0:
            held = self._held(buckets)
            if held > self.settings.patience or seconds > max(self.settings.patience, held + window):
                raise TransientFault(
                    self._say(wanted, f"not sent: the vendor's limit is used up for another {seconds:.0f} s"),
                    kept="what is stored stays; nothing was skipped",
                    fix="run again after that time; a longer `patience` of the connection waits instead",
                    resumes_at=self._in(seconds),
                )
            self._sleep(wanted, seconds, self._closed.get(buckets[0].name, LIMIT) if held else LIMIT)
            seconds = self._held(buckets)
        return self._tokens.get() if self._tokens else None

    def _held(self, buckets: Sequence[Bucket]) -> float:
        return max(self._limiter.held(self._connection, bucket.name) for bucket in buckets)

    def _charged(self, wanted: Call) -> list[Bucket]:
        """Return the buckets of a request, its own before the shared ones: a 429 holds the first."""
        matching = [b for b, p in zip(self._buckets, self._patterns, strict=True) if p.search(wanted.name)]
        own = [b for b in matching if not b.shared][:1]
        return own + [b for b in matching if b.shared] or [ANY]

    def _send(self, wanted: Call, token: Token | None) -> Received:
        """Send once; what the network did is turned into what to do."""
        origin, prefix = self._where(wanted, token)
        url = self._guard.target(wanted.path, origin, prefix)
        headers = dict(wanted.headers) if wanted.login else {**self._vendor.headers, **wanted.headers}
        if token:
            headers["Authorization"] = f"{token.scheme} {token.value}"
        with self._lock:
            self._requests += 1
            self._here.requests = self.requests_here + 1
        started = self._clock.monotonic()
        try:
            answer = self._wire.send(
                wanted.method, url, params=wanted.params, content=wanted.content, form=wanted.form, headers=headers
            )
        except Interrupted as lost:
            log.debug("%s %s: %s", self._connection, wanted.name, lost.reason)
            words = f"{lost.reason}, host {origin.host}"
            if lost.sent and not wanted.repeatable:
                raise self._unknown(wanted, words, in_time=lost.in_time) from lost
            if lost.passing:
                tries = TRIES if lost.sent else CONNECT_TRIES
                fix = "check that the host can be reached from this machine"
                raise Again(words, fix=fix, tries=tries, awaited=f"{origin.host} ({lost.reason})") from lost
            raise ConnectionFault(
                self._say(wanted, words), kept="nothing of this answer was used", fix=redact(lost.fix)
            ) from lost
        ended = self._clock.monotonic()
        log.debug("%s %s %d %.0f ms", self._connection, wanted.name, answer.status, 1000 * (ended - started))
        date = http_date(answer.headers.get("date", ""))
        if date:
            self._date = (date, ended)
        return answer

    def _where(self, wanted: Call, token: Token | None) -> tuple[Origin, str]:
        """Return origin and path prefix: the connection's base_url, else the token's, else the vendor's."""
        if self.settings.base_url:
            return self._base
        if token and token.base_url:
            return self._guard.base(token.base_url, "the address in the vendor's token answer")
        found = split(wanted.path) if wanted.login else None
        return self._guard.base(str(found[0]), "the login address") if found else self._base

    def _verdict(self, wanted: Call, answer: Received) -> Verdict:
        """Ask the vendor's judge, and hold back where its headers say so."""
        self._leave_some(answer)
        self._take_note(answer)
        paused = self._asked(self._vendor.pause, answer)
        if paused:
            self._limiter.hold(self._connection, *paused)
        if 300 <= answer.status < 400 and answer.status not in wanted.accept:
            target = split(answer.headers.get("location", ""))
            return Verdict(
                "fail",
                message=f"it redirects to {target[0].host if target else 'another address'}; not followed",
                fix="if the vendor renamed this account, put its new address into the configuration",
            )
        if wanted.login:
            busy = answer.status in BUSY or answer.status >= 500
            return Verdict("retry" if busy else "ok", retry_after(answer), "the login is busy")
        verdict = self._asked(self._vendor.judge, answer) or judge_by_status(answer)
        if verdict.kind == "ok" and not 200 <= answer.status < 300 and answer.status not in wanted.accept:
            return judge_by_status(answer)
        return verdict

    def _leave_some(self, answer: Received) -> None:
        """End this session's work when what is left of the vendor's day is the share of people and other tools."""
        left = self._asked(self._vendor.daily, answer)
        self.calls_left = left[0] if left else self.calls_left
        if left and left[0] < (1 - self._share) * left[1]:
            self._stopped = (
                f"left {left[0]:,} of the day's {left[1]:,} calls, and {1 - self._share:.0%} of them are for people "
                "and other tools (limits.share)"
            )

    def _take_note(self, answer: Received) -> None:
        """Take over the limits that the headers tell, and hand what they say is left to the limiter, for whom it
        concerns in whatever process."""
        said = self._asked(lambda found: list(self._vendor.allowed(found)), answer) or ()
        told = {name: {"calls": calls, "seconds": seconds} for name, calls, seconds in said if calls > 0}
        self._buckets = tuple(replace(b, **told.get(b.name, {})) for b in self._buckets)
        for name, remaining, seconds in self._asked(lambda found: list(self._vendor.left(found)), answer) or ():
            bucket = next((b for b in self._buckets if b.name == name), None)
            if bucket is not None:
                self._limiter.told(self._connection, bucket, remaining, seconds)

    def _settle(self, wanted: Call, answer: Received, verdict: Verdict) -> Received:
        """Return the answer, or raise what its verdict means."""
        if verdict.kind == "ok" or (verdict.kind in ("fail", "renew") and answer.status in wanted.accept):
            return answer
        words = (
            f"answered {answer.status}: {verdict.message or 'no reason given'}{answer.named_beside(verdict.message)}"
        )
        passing = verdict.kind in ("wait", "retry")
        hold = self._charged(wanted)[0].name if verdict.kind == "wait" else None
        if passing and answer.status >= 500 and not wanted.repeatable:
            if hold and verdict.seconds:
                self._limiter.hold(self._connection, hold, verdict.seconds)
            raise self._unknown(wanted, words)
        if passing:
            limit = verdict.kind == "wait" and answer.status < 500
            awaited = LIMIT if limit else f"the vendor ({answer.status})"
            if hold:
                self._closed[hold] = awaited
            raise Again(words, seconds=verdict.seconds, hold=hold, fix=verdict.fix, awaited=awaited)
        if verdict.kind == "stop":
            self._stopped = words
            if verdict.seconds:
                for bucket in (*self._buckets, ANY):
                    self._limiter.hold(self._connection, bucket.name, verdict.seconds)
            raise TransientFault(
                self._say(wanted, words),
                kept="what is stored stays; nothing was skipped",
                fix=redact(verdict.fix) or "run again when the vendor's allowance is renewed",
                resumes_at=None if verdict.seconds is None else self._in(verdict.seconds),
            )
        if answer.status < 300 and wanted.repeatable and not wanted.login:
            raise Again(
                words, fix=verdict.fix, tries=UNREADABLE_TRIES, passing=False, awaited="an answer that can be read"
            )
        no = Refused if answer.status >= 400 else ConnectionFault  # a web page with 200 is no word on what was done
        raise no(self._say(wanted, words), kept="what is stored stays", fix=redact(verdict.fix) or FIX)

    # --- logging in ---------------------------------------------------------------------------------------------------

    def _login(self, refresh: str) -> Token:
        """Fetch a token through the vendor's `renew` or `login`; whatever it returns is a secret from here on."""
        renew, login, refresh = self._vendor.renew, self._vendor.login, refresh or self._vendor.refresh_token
        try:
            if renew and (refresh or not login):
                token = renew(self._bare, refresh)
            else:
                assert login is not None  # noqa: S101 - no TokenSource without either
                token = login(self._bare)
        except CssyncError as error:
            named = self._connection in error.message
            error.message = redact(error.message if named else f"connection {self._connection!r}: {error.message}")
            error.kept, error.fix = redact(error.kept), redact(error.fix)
            error.args = (error.message,)
            raise
        except Exception as error:  # noqa: BLE001 - an answer of any shape; the error's text may quote it
            raise ConnectionFault(
                f"connection {self._connection!r}: the login answer could not be read ({type(error).__name__})",
                kept="nothing was read",
                fix="check base_url and the credential of this connection",
            ) from None
        remember([token.value, token.refresh])
        if token.base_url and not self.settings.base_url:
            self._guard.base(token.base_url, "the address in the vendor's token answer")
        return token

    def _bare(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send without a credential and return any answer; only a busy vendor is asked again. `data` is a form."""
        wanted = call(method, url, params=params, json=json, content=content, form=data, headers=headers, login=True)
        self._guard.screen(url)
        return self._try(wanted)

    # --- words --------------------------------------------------------------------------------------------------------

    def _asked(self, ask: Callable[[Answer], Any], answer: Received) -> Any:
        """Ask a connector's function about an answer; one that trips over an odd answer must not hide its status."""
        try:
            return ask(answer)
        except Exception as error:  # noqa: BLE001 - hostile answers reach this code; the status decides instead
            if not self._misread:
                self._misread = True
                log.warning(
                    "%s: rate limits or another header of an answer cannot be read (%s); its status decides",
                    *(self._connection, type(error).__name__),
                )
            return None

    def _readable(self, wanted: Call, answer: Received) -> None:
        try:
            answer.json()
        except ConnectionFault as fault:
            raise self._unknown(wanted, f"the answer {answer.status} cannot be read") from fault

    def _unknown(self, wanted: Call, words: str, *, in_time: bool = True) -> UnknownOutcome:
        return UnknownOutcome(
            self._say(wanted, f"{words}; whether it took effect is not known"),
            kept="it was not sent a second time",
            fix="the next run looks it up at the vendor before anything is sent again",
            in_time=in_time,
        )

    def _say(self, wanted: Call, words: str) -> str:
        return redact(f"connection {self._connection!r}: {wanted.name}: {words[:LONGEST]}")

    def _in(self, seconds: float) -> str:
        return (self.now() + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")

    def _sleep(self, wanted: Call, seconds: float, awaited: str) -> None:
        if seconds < 1:
            self._clock.sleep(seconds)
            return
        until, here = self._in(seconds), threading.get_ident()
        log.info(
            "%s: waiting %.0f s for %s before %s, until %s", self._connection, seconds, awaited, wanted.name, until
        )
        self._waits[here] = until, redact(awaited)
        try:
            self._clock.sleep(seconds)
        finally:
            del self._waits[here]


@contextlib.contextmanager
def open_session(
    connector: Connector,
    settings: ConnectionSettings,
    *,
    connection: str,
    timezone: ZoneInfo,
    limiter: Limiter | None = None,
    clock: Clock = SYSTEM,
    share: Decimal = Decimal(1),
    vault: Vault | None = None,
) -> Iterator[Session]:
    """Open a session for the duration of the block; nothing is sent before the first request.

    limiter: shared with other sessions and processes of this connection, e.g. `cssync.store.limiter.StoreLimiter`;
    without one the session keeps the vendor's limits by itself. share: of the vendor's daily allowance that may be used
    up, by whomever, before this session stops; 1 for all of it. vault: where the token is shared with other processes,
    e.g. of `cssync.store.tokens.TokenVaults`; without one each session logs in.

    Raises:
        ConfigError: the base URL is not one this connection may call.
    """
    session = HttpSession(
        connector,
        settings,
        connection=connection,
        timezone=timezone,
        limiter=limiter or ProcessLimiter(clock),
        clock=clock,
        share=share,
        vault=vault,
    )
    try:
        yield session
    finally:
        session.close()
