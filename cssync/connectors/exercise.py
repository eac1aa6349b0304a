"""Contract checks against the connector's own sandbox, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from cssync.connectors.contract import (
    Change,
    Connector,
    Finding,
    Identity,
    Outcome,
    OwnField,
    Page,
    PullRequest,
    RemoteTask,
    Stream,
    TaskContent,
)
from cssync.connectors.declared import Faults, sandbox_config
from cssync.connectors.session import Session
from cssync.errors import CssyncError, RecordError
from cssync.http import ProcessLimiter, open_session
from cssync.http.clock import ManualClock
from cssync.sandbox.server import SandboxAnswer, SandboxApp, SandboxRequest, SandboxServer, serve
from cssync.sandbox.world import World
from cssync.sync.normalise import Normaliser
from cssync.writeback.canonical import same

CANARY = "canary-0f3b9c-secret"
MAX_PAGES = 5_000
ZONE = ZoneInfo("Asia/Tokyo")


class _Breakable:
    """A sandbox app that can be told to answer everything with one thing."""

    def __init__(self, app: SandboxApp) -> None:
        self.app = app
        self.answer: SandboxAnswer | None = None

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        return self.answer or self.app.handle(request)


@dataclass(frozen=True, slots=True)
class _Bench:
    """A connector next to its running sandbox."""

    connector: Connector
    app: _Breakable
    server: SandboxServer

    @contextmanager
    def session(self, **given: Any) -> Iterator[Session]:
        """A session with waits on a clock of its own."""
        if self.connector.tasks_setting:
            given = {self.connector.tasks_setting: True, **given}
        settings = sandbox_config(self.connector, base_url=self.server.url, allow_hosts=("127.0.0.1",), **given)
        clock = ManualClock(datetime.now(UTC).timestamp())
        with open_session(
            self.connector, settings, connection="contract", timezone=ZONE, limiter=ProcessLimiter(clock), clock=clock
        ) as session:
            yield session


def sandbox_faults(connector: Connector, own_field: str, world: World) -> Faults:
    """Yield what is wrong with the connector's behaviour against its own sandbox."""
    assert connector.sandbox is not None  # noqa: S101 - asked before
    app = _Breakable(connector.sandbox(world))
    with serve(app) as server:
        bench = _Bench(connector, app, server)
        with bench.session() as session:
            if server.journal:
                yield "vendor: a request was sent before it was needed; opening a session must send nothing"
            yield from _guarded("identity", lambda: _identity_faults(connector, session))
            yield from _guarded("check", lambda: _check_faults(connector, session))
            if connector.push:
                yield from _guarded("push", lambda: _push_faults(connector, session, own_field))
            if connector.tasks:
                yield from _guarded("tasks", lambda: _task_faults(connector, session))
            for stream in connector.streams:
                yield from _guarded(f"stream {stream.name}", partial(_pull_faults, session, stream))
        yield from _garbage_faults(bench)
        yield from _secret_faults(bench)


def _guarded(place: str, check: Callable[[], Faults]) -> Faults:
    """Run a check; what it raises is a fault of that place."""
    try:
        yield from check()
    except CssyncError as error:
        yield f"{place}: failed against the connector's own sandbox: {error.message}"
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        yield f"{place}: raised {type(error).__name__}: {error}; raise a CssyncError for what the vendor can cause"


def _identity_faults(connector: Connector, session: Session) -> Faults:
    found = connector.identity(session)
    if not isinstance(found, Identity) or not found.org_id or not found.name:
        yield "identity: must return an Identity with org_id and name; they guard against the wrong organisation"
    elif found.kind not in ("production", "sandbox"):
        yield f"identity: kind must be production or sandbox, not {found.kind!r}"
    elif connector.identity(session) != found:
        yield "identity: two calls gave two answers"


def _check_faults(connector: Connector, session: Session) -> Faults:
    findings = list(connector.check(session, {stream.name: () for stream in connector.streams}))
    for finding in findings:
        if not isinstance(finding, Finding):
            yield "check: must yield Finding objects"
        elif finding.level == "error":
            yield f"check: reports an error in its own sandbox: {finding.subject}: {finding.message}"
    missing = "cssync_no_such_field"
    for stream in (s for s in connector.streams if s.writable):
        named = [f for f in connector.check(session, {stream.name: (missing,)}) if missing in f"{f.subject}{f.message}"]
        if not any(f.level in ("error", "warning") and f.fix for f in named):
            yield f"check: says nothing of a mapped field {stream.name}.{missing} that does not exist, nor what to do"


def _pull(session: Session, stream: Stream, cursor: Mapping[str, Any] | None) -> list[Page]:
    pages = []
    for page in stream.pages(session, PullRequest(cursor, stream.fields_of, stream.lag)):
        pages.append(page)
        if len(pages) > MAX_PAGES:
            raise RuntimeError(f"more than {MAX_PAGES} pages: it does not come to an end")
    return pages


def _pull_faults(session: Session, stream: Stream) -> Faults:
    place = f"stream {stream.name}"
    before = session.now()
    pages = _pull(session, stream, None)
    yield from _page_faults(place, pages)
    yield from _record_faults(place, stream, pages)
    cursors = [page.cursor for page in pages if page.cursor is not None]
    if not cursors:
        return
    try:
        cursor = json.loads(json.dumps(cursors[-1]))
    except (TypeError, ValueError):
        yield f"{place}: its cursor {type(cursors[-1]).__name__} is not JSON; use text and numbers only"
        return
    if cursor != dict(cursors[-1]):
        yield f"{place}: its cursor changes on its way through JSON; use text keys, lists and numbers only"
    again = _pull(session, stream, cursor)
    yield from _page_faults(f"{place} from its cursor", again)
    if stream.cursor_field:
        yield from _overlap_faults(place, stream, pages, again, before)


def _page_faults(place: str, pages: Sequence[Page]) -> Faults:
    if not pages or not pages[-1].last:
        yield f"{place}: must end with a Page(last=True), or its end cannot be told from a failure"
    if any(page.last for page in pages[:-1]):
        yield f"{place}: yields a page after the one marked last"
    if any(not isinstance(t.source_id, str) for page in pages for t in page.deleted):
        yield f"{place}: a Tombstone's source_id must be text"


def _record_faults(place: str, stream: Stream, pages: Sequence[Page]) -> Faults:
    records = [record for page in pages for record in page.records]
    if not records:
        yield f"sandbox of {place}: it holds no record; give it some, so that the stream is exercised"
    normalise = _normaliser(stream)
    fed: dict[str, int] = {feed.entity: 0 for feed in stream.feeds}
    for record in records:
        try:
            rows = normalise(record)
        except RecordError as error:
            yield f"{place}: a record of its sandbox cannot be normalised: {error.message}"
            return
        for entity, _ in rows.rows:
            fed[entity] = fed.get(entity, 0) + 1
    for entity, count in fed.items():
        if records and not count:
            yield f"{place} feed {entity}: no record of the sandbox became a row"


def _normaliser(stream: Stream) -> Normaliser:
    return Normaliser(stream, mapped={}, written=(), timezone=ZONE, currency="USD", today="2026-01-01")


def _times(stream: Stream, pages: Sequence[Page]) -> list[datetime]:
    """The vendor's modification time of each record that the stream feeds one for."""
    normalise = _normaliser(stream)
    records = (record for page in pages for record in page.records)
    rows = (row for record in records for entity, row in normalise(record).rows if entity == stream.entity)
    return [datetime.fromisoformat(row["updated_at"]) for row in rows if row.get("updated_at")]


def _overlap_faults(
    place: str, stream: Stream, first: Sequence[Page], again: Sequence[Page], before: datetime
) -> Faults:
    """What comes twice must be young enough to be explained by the lag, twice over (ours and the vendor's)."""
    times = _times(stream, first)
    if not times:
        return
    bound = min(before, max(times)) - 2 * stream.lag - timedelta(minutes=1)
    late = [t for t in _times(stream, again) if t < bound]
    if late:
        yield (
            f"{place}: read again from its cursor it returns {len(late)} records older than the lag explains "
            f"(the oldest of {min(late):%Y-%m-%d %H:%M}); the cursor must carry on where the last page ended"
        )


# --- writing ----------------------------------------------------------------------------------------------------------


def _ids(session: Session, stream: Stream, count: int) -> list[str]:
    normalise = _normaliser(stream)
    records = (record for page in _pull(session, stream, None) for record in page.records)
    rows = (row for record in records for entity, row in normalise(record).rows if entity == stream.entity)
    return [row["source_id"] for _, row in zip(range(count), rows, strict=False)]


def _push_faults(connector: Connector, session: Session, own_field: str) -> Faults:
    assert connector.push and connector.read  # noqa: S101, PT018 - asked before
    stream = next(s for s in connector.streams if s.writable)
    own = OwnField(own_field, "cssync contract", "integer", description="Made by cssync's contract suite")
    if connector.provision:
        yield from _provision_faults(connector, session, stream.name, own)
    ids = _ids(session, stream, 3)
    changes = [Change(f"k{n}", "update", stream.name, i, {own_field: 40 + n}) for n, i in enumerate(ids)]
    yield from _write_faults(connector, session, changes, stream.name)
    yield from _write_faults(
        connector, session, [Change("clear", "update", stream.name, ids[0], {own_field: None})], stream.name
    )
    gone = "1" * len(ids[0])
    outcomes = {
        o.key: o for o in connector.push(session, [Change("gone", "update", stream.name, gone, {own_field: 1})])
    }
    if set(outcomes) != {"gone"} or outcomes["gone"].state not in ("failed-permanent", "unknown"):
        yield "push: an update of a record that does not exist must be an Outcome failed-permanent, not an exception"
    if gone in connector.read(session, stream.name, [gone], [own_field]):
        yield "read: returns a record that does not exist; leave it out"
    if list(connector.push(session, [])) or connector.read(session, stream.name, [], [own_field]):
        yield "push: nothing to do must do nothing"


def _provision_faults(connector: Connector, session: Session, stream: str, own: OwnField) -> Faults:
    assert connector.provision  # noqa: S101 - asked before
    for dry_run, allowed, meaning in (
        (True, ("would-create",), "a dry run tells what it would create"),
        (True, ("would-create",), "a dry run creates nothing"),
        (False, ("created",), "a missing field is created"),
        (False, ("ok",), "an existing field is left alone"),
    ):
        levels = {f.level for f in connector.provision(session, stream, [own], dry_run)} - {"note", "warning"}
        if not levels & set(allowed) or levels & {"error", *({"created"} - set(allowed))}:
            yield f"provision: {meaning}: expected a Finding {allowed[0]!r}, got {', '.join(sorted(levels)) or 'none'}"
            return
    if connector.describe:
        field = next((f for f in connector.describe(session, stream) if f.name == own.name), None)
        if field is None or not field.writable:
            yield f"describe: does not show the field {own.name} that provision created, as writable"


def _write_faults(connector: Connector, session: Session, changes: Sequence[Change], stream: str) -> Faults:
    assert connector.push and connector.read  # noqa: S101, PT018 - asked before
    outcomes = list(connector.push(session, changes))
    if sorted(o.key for o in outcomes if isinstance(o, Outcome)) != sorted(c.key for c in changes):
        yield f"push: must yield exactly one Outcome for each Change, with its key ({len(changes)} asked)"
        return
    for outcome in outcomes:
        if outcome.state not in ("verified", "sent"):
            yield f"push: {outcome.key} became {outcome.state}: {outcome.error}"
    fields = sorted({name for change in changes for name in change.values})
    held = connector.read(session, stream, [c.source_id for c in changes if c.source_id], fields)
    for change in changes:
        live = held.get(change.source_id or "", {})
        for name, value in change.values.items():
            if not same(live.get(name), value):
                yield f"read: after writing {value!r} to {name} it shows {live.get(name)!r}; see `Change.values`"


def _task_faults(connector: Connector, session: Session) -> Faults:
    assert connector.push and connector.find_tasks  # noqa: S101, PT018 - asked before
    feeds = [(s, f) for s in connector.streams for f in s.feeds if f.entity == "account_source"]
    if not feeds:
        yield "tasks: a task belongs to an account, but no stream feeds account_source"
        return
    (account,) = _ids(session, feeds[0][0], 1)
    task = TaskContent("contract/once", account, "Call them", "Ask how it goes.\nThen listen.", "2027-01-15")
    other = TaskContent("contract/never", account, "Not made", "", "2027-01-15")
    if connector.find_tasks(session, [task, other]):
        yield "find_tasks: finds a task that was never created"
    (made,) = list(connector.push(session, [Change("t", "create_task", feeds[0][0].name, None, task=task)]))
    if made.state not in ("verified", "sent") or not made.remote_id:
        yield f"push: create_task became {made.state} without a usable remote_id: {made.error}"
        return
    found = connector.find_tasks(session, [task, other])
    if set(found) != {task.key} or found[task.key].remote_id != made.remote_id or found[task.key].status != "open":
        yield f"find_tasks: does not find the one task that was created, by its key ({_shown(found)})"
        return
    done = Change("c", "close_task", feeds[0][0].name, made.remote_id, task=task)
    (closed,) = list(connector.push(session, [done]))
    after = connector.find_tasks(session, [task])
    if closed.state not in ("verified", "sent") or after.get(task.key, found[task.key]).status != "done":
        yield f"push: close_task became {closed.state}, and the task shows {_shown(after)}, not done"


def _shown(found: Mapping[str, RemoteTask]) -> str:
    return ", ".join(f"{key}: {task.status}" for key, task in found.items()) or "none found"


# --- bad answers ------------------------------------------------------------------------------------------------------

_JSON = {"Content-Type": "application/json"}
GARBAGE: Mapping[str, SandboxAnswer] = {
    "a refusal (403)": SandboxAnswer(403, {"message": "no"}),
    "a web page with status 200": SandboxAnswer(200, b"<html>sign in</html>", {"Content-Type": "text/html"}),
    "JSON cut in half": SandboxAnswer(200, b'{"results": [{"id": "1", "na', _JSON),
    "an empty body": SandboxAnswer(200, b"", _JSON),
    "an empty object": SandboxAnswer(200, b"{}", _JSON),
    "an empty list": SandboxAnswer(200, b"[]", _JSON),
    "null": SandboxAnswer(200, b"null", _JSON),
    "a text": SandboxAnswer(200, b'"ok"', _JSON),
}


def _garbage_faults(bench: _Bench) -> Faults:
    """An answer of the wrong shape fails the stream: it is never taken for the end.

    Whatever is raised does: the core names stream and connector. A ConnectionFault says it better than a KeyError.
    """
    for what, answer in GARBAGE.items():
        for stream in bench.connector.streams:
            place = f"stream {stream.name} on {what}"
            with bench.session() as session:
                bench.connector.identity(session)
                bench.app.answer = answer
                try:
                    pages = _pull(session, stream, None)
                except Exception:  # noqa: BLE001, S112 - whatever it raises fails the stream
                    continue
                finally:
                    bench.app.answer = None
                yield f"{place}: took it for {sum(len(p.records) for p in pages)} records and the end; raise instead"


def _secret_faults(bench: _Bench) -> Faults:
    """Credentials that the vendor refuses, and echoes, appear in no message."""
    settings = sandbox_config(bench.connector)
    secrets = {name: CANARY for name, value in settings if isinstance(value, SecretStr)}
    if not secrets:
        return
    for status in (400, 401, 403, 500):
        bench.app.answer = SandboxAnswer(status, {"error": CANARY, "message": f"bad {CANARY}"})
        try:
            with bench.session(**secrets) as session:
                bench.connector.identity(session)
            yield f"identity: succeeds although the vendor answers {status} to everything"
        except CssyncError as error:
            texts = f"{error.message} {error.kept} {error.fix} {error}"
            if CANARY in texts:
                yield f"secrets: the error for a {status} shows a credential"
        except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
            yield f"identity: raised {type(error).__name__} on a {status}; raise a CssyncError"
        finally:
            bench.app.answer = None
