"""Pull streams into the store.

One thread a stream reads pages and normalises them; one writer (the caller's thread) commits each page's rows,
tombstones, quarantine and checkpoint in one transaction, small pages several at a time, behind a queue of a few pages.
A stream that fails stops alone, its checkpoint as its last page left it.
"""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import msgspec

from cssync.config import Connection, Workspace
from cssync.connectors import PullRequest, RemoteField, Session, Stream
from cssync.errors import ConnectionFault, CssyncError, LeaseHeld, TransientFault
from cssync.store import Fence, Store
from cssync.sync import cast, drift, sweep
from cssync.sync.batches import ENOUGH, Batch, batches, is_plain, joined
from cssync.sync.commit import AT_WORK, commit_page, remember_reports, remember_stream
from cssync.sync.drift import Drift
from cssync.sync.held import holding
from cssync.sync.normalise import Normaliser
from cssync.sync.sweep import Listed

log = logging.getLogger("cssync.sync")

YOUNG_OBJECTS = 100_000
"""Containers that may be made before Python looks for cycles among them. A decoded page is a tree of thousands, with no
cycle in it; at the usual 700 a third of the time of a pull went into looking."""
STREAMS_AT_ONCE = 4
"""Streams of one connection that are read side by side."""
TICK = 1.0
"""Seconds after which progress is told, and what has gathered is stored, although nothing came in."""
SOON = 1.0
"""Seconds for which small pages gather, at most, where they come one after the other."""
HANGS = 900.0
"""Seconds without a sign of life, beside twice the connection's patience, after which a stream is given up: the longest
exchange with a vendor takes 600 s."""
LAST_WAIT = 5.0
"""Seconds that all readers together get to end by themselves when a run breaks off."""
PAGES_IN_FLIGHT = 4
"""Pages that wait for the writer, over all streams: what bounds memory."""


@dataclass(slots=True)
class StreamReport:
    """What became of one stream: read = new + changed + same + echo + tombstoned + incomplete + quarantined."""

    connection: str
    stream: str
    entity: str
    outcome: str = "ok"
    read: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    echo: int = 0
    tombstoned: int = 0
    incomplete: int = 0
    quarantined: int = 0
    requests: int = 0
    seconds: float = 0.0
    error: CssyncError | None = None
    drift: tuple[Drift, ...] = ()
    waiting_until: str = ""
    waiting_for: str = ""
    calls_left: int | None = None

    @property
    def failed(self) -> int:
        """Records that were read and could not be stored as they are."""
        return self.quarantined + self.incomplete

    @property
    def rate(self) -> float:
        """Records read in a second so far."""
        return self.read / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class Job:
    """One stream being pulled."""

    connection: Connection
    stream: Stream
    session: Session
    normalise: Normaliser
    without: Callable[[Container[str]], Normaliser]
    used: Mapping[str, str]
    request: PullRequest
    report: StreamReport
    full: bool
    keep: bool
    writes_back: bool
    started_at: str = ""
    began: float = field(default_factory=time.monotonic)
    alive: float = field(default_factory=time.monotonic)
    held: list[Batch] = field(default_factory=list)
    """Small pages that wait to be stored together."""
    stored: float = field(default_factory=time.monotonic)
    asked: int = 0
    at_work: bool = False
    hung: bool = False
    closed: bool = False
    note: Callable[[str], None] = lambda outcome: None
    last_page: list[Sequence[object]] = field(default_factory=list)
    requests_before: int = 0
    cursors: set[bytes] = field(default_factory=set)
    listed: Listed = field(default_factory=Listed)

    @property
    def requests(self) -> int:
        """Requests that the stream has cost so far; told to the thread that reads it."""
        return self.session.requests_here - self.requests_before


@dataclass(frozen=True, slots=True)
class _Message:
    job: Job
    batch: Batch | None = None
    error: CssyncError | None = None
    requests: int = 0
    fields: Sequence[RemoteField] = ()


Progress = Callable[[StreamReport], None]


def sync(
    store: Store,
    workspace: Workspace,
    sessions: Mapping[str, Session | CssyncError],
    *,
    only: str | None = None,
    stream: str | None = None,
    full: bool = False,
    keep: bool = True,
    accept_deletions: bool = False,
    run_id: str,
    fence: Fence | None = None,
    progress: Progress | None = None,
) -> list[StreamReport]:
    """Pull every stream of every connection (or of connection `only`, or its one `stream`) into the store.

    A connection whose session is an error fails its streams with that error. `full` reads from the beginning and
    tombstones what is no longer there, with `accept_deletions` also an implausible share of the accounts. `keep=False`
    looks only: the counts say what would change, and nothing is stored. Returns a report for each stream, in
    configuration order.

    Raises:
        LeaseLost: another run took over; what was committed before stays.
    """
    remember_feeds(store, workspace, fence)
    jobs, reports = _jobs(store, workspace, sessions, only=only, stream=stream, full=full, keep=keep)
    for job in jobs:
        job.listed.believed = accept_deletions
        if keep:
            job.note = partial(remember_reports, store, (job.report,), run_id, fence)
    inbox: queue.Queue[_Message] = queue.Queue(maxsize=PAGES_IN_FLIGHT)
    stop = threading.Event()
    open_jobs = len(jobs)
    gates = {name: threading.Semaphore(STREAMS_AT_ONCE) for name in workspace.connections}
    readers = [
        threading.Thread(
            target=_read, args=(store, job, inbox, stop, gates[job.connection.name]), name=job.stream.name, daemon=True
        )  # a daemon: a connector that hangs must not keep the process
        for job in jobs
    ]
    commit = partial(_commit, store, run_id=run_id, fence=fence)
    collecting = gc.get_threshold()
    gc.set_threshold(max(YOUNG_OBJECTS, collecting[0]) if collecting[0] else 0, *collecting[1:])
    for reader in readers:
        reader.start()
    try:
        while open_jobs:
            try:
                message = inbox.get(timeout=TICK)
            except queue.Empty:
                for job in jobs:
                    commit(job)
                    if _hangs(job):
                        open_jobs -= 1
                        gates[job.connection.name].release()
                        _close(store, job, _hanging(job), fence)
                    if progress and not job.closed:
                        progress(_live(job))
                continue
            job = message.job
            if job.closed:
                continue  # a stream that was given up came back to life
            job.alive = time.monotonic()
            if message.fields:
                _note_fields(store, job, message.fields, fence)
            elif message.batch is None:
                open_jobs -= 1
                commit(job)
                job.report.requests = message.requests
                _close(store, job, message.error, fence)
            else:
                if not is_plain(message.batch):
                    commit(job)
                job.held.append(message.batch)
                if not is_plain(message.batch) or sum(len(b.good.keys) for b in job.held) >= ENOUGH:
                    commit(job)
            for waiting in jobs:
                if waiting.held and time.monotonic() - waiting.stored > SOON:
                    commit(waiting)
            if progress:
                progress(_live(job))
    finally:
        gc.set_threshold(*collecting)
        stop.set()
        end = time.monotonic() + LAST_WAIT
        for job, reader in zip(jobs, readers, strict=True):
            reader.join(0.0 if job.hung else max(0.0, end - time.monotonic()))
    for report in reports:
        report.drift = drift.with_rules(workspace, report.drift)
    if keep:
        remember_reports(store, reports, run_id, fence)
    return reports


def _commit(store: Store, job: Job, *, run_id: str, fence: Fence | None) -> None:
    """Store what has gathered of a stream; one that failed to store stores no more."""
    held, job.held, job.stored = job.held, [], time.monotonic()
    for batch in joined(held):
        if job.report.error is None:
            try:
                commit_page(store, job, batch, run_id=run_id, fence=fence)
            except LeaseHeld:
                raise
            except CssyncError as error:
                job.report.error = error


def _live(job: Job) -> StreamReport:
    """Return the report as it stands: time gone by, a wait that is on, what the vendor says is left of the day."""
    if not job.closed:
        job.report.seconds = round(time.monotonic() - job.began, 3)
        job.report.waiting_until = getattr(job.session, "waiting_until", "")
        job.report.waiting_for = getattr(job.session, "waiting_for", "")
    job.report.calls_left = getattr(job.session, "calls_left", None)
    return job.report


def _hangs(job: Job) -> bool:
    """Whether a stream at work has given no sign of life, neither page nor request, for longer than it may."""
    if job.closed or not job.at_work:
        return False
    if job.session.requests != job.asked:
        job.asked, job.alive = job.session.requests, time.monotonic()
    return time.monotonic() - job.alive > HANGS + 2 * getattr(job.session.settings, "patience", 0.0)


def _hanging(job: Job) -> ConnectionFault:
    job.hung = True
    return ConnectionFault(
        f"{job.connection.name}.{job.stream.name}: the connector hangs: no page and no request for a long time",
        kept="pages read so far are stored; other streams are not affected",
        fix="run again; if it stays, report it to the connector's author",
    )


def _jobs(
    store: Store,
    workspace: Workspace,
    sessions: Mapping[str, Session | CssyncError],
    *,
    only: str | None,
    stream: str | None,
    full: bool,
    keep: bool,
) -> tuple[list[Job], list[StreamReport]]:
    jobs: list[Job] = []
    reports: list[StreamReport] = []
    for connection in workspace.connections.values():
        if only is not None and connection.name != only:
            continue
        session = sessions[connection.name]
        for declared in connection.streams:
            if stream is not None and declared.name != stream:
                continue
            report = StreamReport(connection.name, declared.name, declared.entity)
            reports.append(report)
            if isinstance(session, CssyncError):
                report.outcome, report.error = "failed", session
                continue
            jobs.append(_job(store, workspace, connection, declared, session, report, full=full, keep=keep))
    sweep.join(jobs)
    return jobs, reports


def _job(
    store: Store,
    workspace: Workspace,
    connection: Connection,
    stream: Stream,
    session: Session,
    report: StreamReport,
    *,
    full: bool,
    keep: bool,
) -> Job:
    mapped = connection.mapped.get(stream.name, {})
    back = workspace.writeback.get(connection.name)
    written = tuple(back.fields) if back and back.to == stream.name else ()
    rows = store.query(
        "SELECT cursor FROM source_state WHERE connection = ? AND stream = ?", (connection.name, stream.name)
    )
    cursor = msgspec.json.decode(rows[0]["cursor"]) if rows and rows[0]["cursor"] and not full else None
    bound = store.query("SELECT currency FROM binding WHERE connection = ?", (connection.name,))
    currency = bound[0]["currency"] if bound and bound[0]["currency"] else workspace.currency
    fields = tuple(dict.fromkeys((*stream.fields_of, *mapped, *written)))
    now = session.now()
    normaliser = partial(
        Normaliser,
        stream,
        timezone=workspace.timezone,
        currency=currency,
        today=now.astimezone(workspace.timezone).date().isoformat(),
    )
    return Job(
        connection=connection,
        stream=stream,
        session=session,
        normalise=normaliser(mapped=mapped, written=written),
        without=lambda stopped: normaliser(
            mapped={f: target for f, target in mapped.items() if f not in stopped},
            written=[f for f in written if f not in stopped],
        ),
        used=drift.uses(workspace, connection, stream.name),
        request=PullRequest(cursor, fields, stream.lag or timedelta(0), holding(store, connection, stream)),
        report=report,
        full=full or stream.whole,
        keep=keep,
        writes_back=bool(written),
        started_at=cast.stamp(now),
    )


def _read(
    store: Store, job: Job, inbox: queue.Queue[_Message], stop: threading.Event, gate: threading.Semaphore
) -> None:
    """Read one stream to its end; runs in a thread of its own and always ends with a message without a batch."""
    error: CssyncError | None = None
    where = f"{job.connection.name}.{job.stream.name}"
    job.requests_before = job.session.requests_here  # a pool's thread may have served another stream
    try:
        with gate:
            if not stop.is_set():
                job.note(AT_WORK)  # the last word of a process that its connector takes along
            ended, job.at_work, job.alive = False, True, time.monotonic()
            _look_for_drift(store, job, inbox, stop)
            for batch in batches(job, where):
                ended = batch.page.last
                if stop.is_set() or not _put(inbox, _Message(job, batch), stop):
                    return
            if not ended:
                error = ConnectionFault(
                    f"{where}: the connector stopped before the stream's end",
                    kept="pages read so far are stored; the next run goes on from there",
                    fix="run again; if it stays, report it to the connector's author",
                )
    except CssyncError as fault:
        error = fault
    except Exception as bug:  # noqa: BLE001 - a connector's bug must stop only its own stream
        error = ConnectionFault(
            f"{where}: the connector failed with {type(bug).__name__}: {bug}",
            kept="pages read so far are stored; other streams are not affected",
            fix="report it to the connector's author; `cssync -v` shows where",
        )
        error.__cause__ = bug
    _put(inbox, _Message(job, error=error, requests=job.requests), stop)


def _look_for_drift(store: Store, job: Job, inbox: queue.Queue[_Message], stop: threading.Event) -> None:
    """Compare the vendor's field definitions with those of the last run; what is gone or retyped is not read."""
    if not job.keep or not drift.is_due(job.connection, job.stream.name):
        return
    fields = drift.described(job.connection, job.session, job.stream.name)
    found = drift.compare(store, job.connection.name, job.stream.name, fields, job.used)
    stopped = {d.field for d in found if d.stops}
    if stopped:
        job.normalise = job.without(stopped)
        wanted = tuple(f for f in job.request.fields if f not in stopped or f in job.stream.fields_of)
        job.request = replace(job.request, fields=wanted)
    job.report.drift = tuple(found)
    if fields:
        _put(inbox, _Message(job, fields=fields), stop)


def _note_fields(store: Store, job: Job, fields: Sequence[RemoteField], fence: Fence | None) -> None:
    name, stream, at = job.connection.name, job.stream.name, cast.stamp(job.session.now())
    drift.remember(store, name, stream, fields, job.report.drift, at=at, fence=fence)


def _put(inbox: queue.Queue[_Message], message: _Message, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            inbox.put(message, timeout=0.2)
        except queue.Full:
            continue
        return True
    return False


def _close(store: Store, job: Job, error: CssyncError | None, fence: Fence | None) -> None:
    report = job.report
    job.closed = True
    report.waiting_until = report.waiting_for = ""
    report.error = report.error or error
    if report.error is not None:
        for word, name in (("CONNECTION", report.connection), ("STREAM", report.stream)):
            report.error.fix = report.error.fix.replace(word, name)
    report.seconds = round(time.monotonic() - job.began, 3)
    failed = report.error is not None
    report.outcome = (
        ("partial" if report.read and isinstance(report.error, TransientFault) else "failed")
        if failed
        else "partial"
        if report.quarantined or report.incomplete or any(d.stops for d in report.drift)
        else "ok"
        if report.read
        else "empty"
    )
    if job.listed.doubled and job.stream.whole:
        log.warning(
            "%s.%s: %s rows have an id that another row of the table has, too; of those, the last one counts. Add "
            "columns to its key until no two rows share one",
            *(report.connection, report.stream, f"{job.listed.doubled:,}"),
        )
    if job.keep:
        remember_stream(store, job, complete=not failed, fence=fence)
        job.note(report.outcome)


def remember_feeds(store: Store, workspace: Workspace, fence: Fence | None) -> None:
    """Write down which stream feeds which entity, so that rules can tell unknown from zero."""
    feeds = workspace.feeds()
    if [tuple(r) for r in store.query("SELECT connection, stream, entity FROM source_feed ORDER BY 1, 2, 3")] == feeds:
        return
    with store.transaction(fence) as conn:
        conn.execute("DELETE FROM source_feed")
        conn.executemany("INSERT INTO source_feed VALUES (?, ?, ?)", feeds)
