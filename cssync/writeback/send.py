"""One batch on its way: marked as sent, pushed, and every change given exactly one outcome."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, cast

from cssync.config.workspace import Connection
from cssync.connectors.contract import Change, Outcome
from cssync.connectors.session import Answer, Session
from cssync.errors import ConnectionFault, CssyncError, LeaseHeld, Refused, UnknownOutcome
from cssync.http.clock import Clock
from cssync.store import Fence, Store
from cssync.writeback.fit import Shape, shortened
from cssync.writeback.outbox import SILENT, Entry

CHUNK = 200
"""Records per round of look, mark, send, settle: the largest batch any of the three vendors takes (HubSpot 100, Zendesk
100, Salesforce 200), so that no vendor's batch is cut short."""

SHOWS = 10.0
"""Seconds within which a vendor shows what it took, from the sending or, where the answer was lost, from that moment. A
look before that is not the last word. No vendor states such a time; none of the routes that we look by is a search,
whose index may lag for minutes."""

T = TypeVar("T")
Look = Callable[..., None]
"""`send_fields.look` or `send_tasks.look`."""


@dataclass(slots=True)
class Work:
    """What every step of an apply on one connection needs. `fault` ends the connection's part of the run; `silent` says
    that nothing of the last round was answered: the next one waits until what became of it is known."""

    store: Store
    connection: Connection
    session: Session
    fence: Fence | None
    clock: Clock
    progress: Callable[[str], None] = field(default=lambda text: None)
    fault: CssyncError | None = None
    locale: str = "en"
    """BCP 47 tag of the language that tasks are written in."""
    silent: str = ""
    lost_at: float = 0.0
    """When, by our clock, an answer was last found to be lost."""
    shape: Shape | None = None
    """What the vendor's fields take, where it says so."""

    def now(self) -> str:
        """UTC instant of our own clock, for the outbox."""
        return stamp(self.clock)

    def read_at(self, before: datetime) -> datetime:
        """The vendor's time at which what was just read was true: the earlier of its time `before` the reading and now,
        since before its first answer that is our own clock's guess."""
        return min(before, self.session.now())

    def fitted(self, field: str, value: Any) -> Any:
        """A text within the length that its field takes; every other value as it is."""
        known = (self.shape or {}).get(field.casefold())
        return shortened(value, known.length) if isinstance(value, str) and known and known.length else value

    def attempt(self, call: Callable[[], T], doing: str) -> T | None:
        """Call the connector; None with `fault` set when it fails. A lost lease is not caught."""
        try:
            return call()
        except LeaseHeld:
            raise
        except CssyncError as fault:
            self.fault = fault
        except Exception as bug:  # noqa: BLE001 - a connector's bug must stop only its own connection
            self.fault = ConnectionFault(
                f"{self.connection.name}: the connector failed with {type(bug).__name__} while {doing}",
                kept="what was sent is in the outbox and will be looked up before anything is sent again",
                fix="report it to the connector's author; `cssync -v` shows where",
            )
            self.fault.__cause__ = bug
        return None


class Fenced:
    """A session that asks for the lease before each request that may write: a connector sends several batches in one
    `push`, and waits for rate limits between them. `unproved`: a request that may have written was taken, and the
    connector has reported no outcome since. `in_time`: none was left waiting for its answer."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.unproved = False
        self.in_time = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work.session, name)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._work.session

    def __hash__(self) -> int:
        """It is its session to whoever remembers something by it."""
        return hash(self._work.session)

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """See `Session.request`. Raises LeaseLost when another run has taken over; nothing is sent then."""
        if method != "GET" and self._work.fence is not None:
            self._work.fence.check(self._work.store.reader())
        try:
            answer = self._work.session.request(method, path, **options)
        except UnknownOutcome as lost:
            self.in_time = self.in_time and lost.in_time
            raise
        self.unproved = self.unproved or method != "GET"
        return answer


def stamp(clock: Clock) -> str:
    """The clock's time as the store writes an instant."""
    return datetime.fromtimestamp(clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Cut a sequence into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def push(work: Work, changes: Sequence[Change]) -> dict[str, Outcome]:
    """Send changes that are marked as sent, and return one Outcome for each, by key.

    What the connector says nothing about (it stopped, or forgot) is `unknown`: it may have arrived. After the vendor's
    final no it is `failed-retry`, unless a request before it was taken and not proved yet (a job whose state may not be
    asked for): the refused request itself did nothing, and none was sent after it. What we stopped waiting for is
    `unknown` as `SILENT`: no look tells it from what the vendor is still at.
    """
    found: dict[str, Outcome] = {}
    wanted = {change.key for change in changes}
    send = work.connection.connector.push
    if send is None:
        work.fault = ConnectionFault(
            f"{work.connection.name}: connector {work.connection.connector.name} cannot write",
            kept="nothing was sent",
            fix="take this connection out of `writeback:`",
        )
        return {key: Outcome(key, "failed-permanent", error="this connector cannot write") for key in wanted}

    fenced = Fenced(work)

    def collect() -> None:
        for outcome in send(cast(Session, fenced), changes):
            fenced.unproved = False
            if outcome.key in wanted:
                found.setdefault(outcome.key, outcome)

    work.attempt(collect, "writing")
    silence = work.fault.message if work.fault else "the connector reported no outcome"
    if isinstance(work.fault, UnknownOutcome):
        work.fault = None  # the connection works, only this answer was lost: look for what became of it
    nothing_written = isinstance(work.fault, Refused) and not fenced.unproved
    state: Literal["failed-retry", "unknown"] = "failed-retry" if nothing_written else "unknown"
    told = {key: found.get(key) or Outcome(key, state, error=silence) for key in wanted}
    lost = [change for change in changes if told[change.key].state == "unknown"]
    if not fenced.in_time:
        told |= {c.key: replace(told[c.key], error=SILENT) for c in lost}
    if lost:
        work.lost_at = work.clock.time()
    if lost and len(lost) == len(told):
        work.silent = told[lost[0].key].error
    return told


def look_until_shown(
    work: Work, left: Callable[[], Sequence[Entry]], look: Look, *, resume: str | None, seconds: float = SHOWS
) -> None:
    """Look at writes whose outcome is not known (`left`: those that still are), again and again, until each is proved
    or `seconds` have passed since it was sent, or its answer lost: that look is the last word, and what it does not
    find did not arrive.

    Waits at most `seconds`, by the session's clock; `work.fault` ends it early.
    """
    waited = pause = 0.0
    while work.fault is None and (flying := left()):
        sent = max(datetime.fromisoformat(entry.sent_at).timestamp() for entry in flying if entry.sent_at)
        since = max(sent, work.lost_at)
        early = min(since + seconds - work.clock.time(), seconds - waited)  # a clock that was set back changes nothing
        step = max(0.0, min(pause, early))
        if step:
            work.session.wait(step)
        waited += step
        look(work, flying, resume=resume, final=early <= step)
        if early <= step:
            return
        pause = 2 * pause or 1.0


def is_outage(work: Work, outcomes: Collection[Outcome]) -> bool:
    """Whether a batch failed for a reason that is not its records': the connection stopped, or every one of several
    records met the same passing fault, or got the same answer that settles nothing."""
    if work.fault is not None:
        return True
    errors = {outcome.error for outcome in outcomes}
    passing = all(outcome.state in ("failed-retry", "unknown") for outcome in outcomes)
    return len(outcomes) > 1 and len(errors) == 1 and passing


def moved_on(old: Any, held: Any) -> str:
    """Say that the world moved between plan and apply."""
    return f"the CRM holds {said(held)} now, the plan saw {said(old)}"


def said(value: Any) -> str:
    """A value for a message; long texts are cut."""
    if value is None:
        return "nothing"
    text = ", ".join(str(v) for v in value) if isinstance(value, (list, tuple)) else str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")
