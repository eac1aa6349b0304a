"""What a connector is: declared data and a few functions.

The core owns threads, retries, rate limits, checkpoints, normalisation, quarantine, plans and the outbox. A connector
says what its vendor is like. It knows HTTP paths and vendor fields; it knows nothing of SQL or rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from cssync.connectors.session import Session, Vendor

if TYPE_CHECKING:
    from cssync.connectors.settings import ConnectionSettings
    from cssync.sandbox.server import SandboxApp
    from cssync.sandbox.world import World

Record = Mapping[str, Any]
"""One vendor object as decoded from JSON."""
Cursor = Mapping[str, Any]
"""JSON-able position of a stream. Only the connector reads it; the core stores and returns it unchanged."""


# --- Pull -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """Where a column's value comes from.

    `source` is a dotted path into the record, or several whose values `read` takes as positional arguments. The core
    casts the result to the column's declared type (`cssync.model`); `read` is only for what is peculiar to the
    vendor. A path that is absent leaves the stored value alone; an explicit null clears it. `const` is a fixed value.
    """

    source: str | tuple[str, ...] = ""
    read: Callable[..., Any] | None = None
    const: Any = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """Rows of one entity out of the records of a stream.

    key: path of the row's source_id. each: path of a list inside the record, one row per item; then paths in
    `fields` and `key` are looked up in the item first and, where they begin with `^`, in the record. when: False
    leaves a record without such a row, and one that it had is gone; None where the record does not tell. needs:
    columns of which one must have a value; without, the record has no such row, and one that it had is gone. prefix:
    begins the row's source_id, `<stream>/<what>/`, where one record makes several rows of an entity.
    """

    entity: str
    fields: Mapping[str, Field | str]
    key: str = "id"
    each: str | None = None
    when: Callable[[Record], bool | None] | None = None
    needs: tuple[str, ...] = ()
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A record that is gone; `merged_into` is the survivor's source_id when it lost a merge.

    of: a column of the stream's main entity. Then `source_id` is that of a record of another stream, and what is gone
    is every row that holds it there: a vendor does not tell what goes with its parent.
    """

    source_id: str
    merged_into: str | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that the connector itself could not take apart (a torn line of a file): it goes into quarantine.

    source_id: empty where it cannot be told; then nothing is taken for deleted in this pull.
    """

    reason: str
    raw: Any
    source_id: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What one request (or one small group of requests) returned; the unit that commits. Small pages that hold nothing
    but records may be committed together.

    records: dicts, or a `ByColumn`. cursor: the checkpoint to commit with these records, None to leave the checkpoint
    where it is (the source is not ordered by the cursor, so only the last page may move it). incomplete: source_ids
    whose nested lists could not be read; their stored row is kept. unreadable: what did not even become a record. last:
    the stream has been read to its end.
    """

    records: Sequence[Record]
    cursor: Cursor | None = None
    deleted: Sequence[Tombstone] = ()
    incomplete: Sequence[str] = ()
    last: bool = False
    unreadable: Sequence[Unreadable] = ()


Held = tuple[str | None, ...]
"""What the store holds of a record: its source_id, and the columns asked for."""


def _holds_nothing(columns: Sequence[str], after: str, most: int) -> Sequence[Held]:
    return ()


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What the core asks of a stream.

    cursor: the committed checkpoint, None for everything from the beginning. fields: vendor fields to read (declared,
    mapped in cssync.yaml, and those we write back). lag: how far behind the vendor's now the cursor must stay. held:
    what the store holds of the stream's records that are not deleted, up to `most` of them with ids above `after` in
    the order of ids; `columns` are of the main entity. It is for what a vendor does not count as a change.
    """

    cursor: Cursor | None
    fields: tuple[str, ...]
    lag: timedelta
    held: Callable[[Sequence[str], str, int], Sequence[Held]] = _holds_nothing


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of vendor object.

    pages: generator of Page; reads one page ahead of nobody, keeps no buffer; CONNECTION and STREAM in the `fix` of a
    fault become their names. base: path inside a record under which
    vendor fields mapped in cssync.yaml are found (HubSpot `properties`, Zendesk `organization_fields`, Salesforce the
    record itself). fields_of: vendor field names that the declared feeds need, to be requested where the API wants a
    list. deletes: how deletes and merges are seen, for the docs. page_size and requests_per_1000: the vendor's
    maximum and the resulting minimum cost. whole: every pull lists everything there is, and what it no longer lists is
    gone.
    """

    name: str
    feeds: tuple[Feed, ...]
    pages: Callable[[Session, PullRequest], Iterator[Page]]
    fields_of: tuple[str, ...] = ()
    base: str = ""
    cursor_field: str = ""
    lag: timedelta = timedelta(0)
    deletes: str = ""
    scope: str = ""
    page_size: int = 100
    requests_per_1000: float = 10.0
    writable: bool = False
    whole: bool = False

    @property
    def entity(self) -> str:
        """The entity of the main feed."""
        return self.feeds[0].entity


# --- Set-up -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """The organisation behind a connection: the guard against writing test results into production."""

    org_id: str
    name: str
    kind: Literal["production", "sandbox"]
    currency: str | None = None
    timezone: str | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `check` or `provision`: what was looked at, how it is, what a person must do."""

    subject: str
    level: Literal["ok", "note", "warning", "error", "created", "would-create"]
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class RemoteField:
    """A field as the vendor describes it. `type` is one of the model's column types; `proposal` is the
    `entity.column` it seems to belong to, empty where nothing is to be proposed; `restricted`: it takes no value
    beside its options."""

    name: str
    label: str
    type: str
    writable: bool
    options: tuple[str, ...] = ()
    length: int | None = None
    custom: bool = False
    proposal: str = ""
    restricted: bool = True


@dataclass(frozen=True, slots=True)
class OwnField:
    """A field that cssync writes and may create. `name` is the vendor field name as mapped in cssync.yaml."""

    name: str
    label: str
    type: Literal["integer", "real", "text", "date", "bool", "enum", "multi", "money"]
    options: tuple[str, ...] = ()
    description: str = ""


# --- Write-back -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskContent:
    """A task for a person, or an opportunity. `account_source_id` and `owner_source_id` are ids in the same connection;
    the connector writes `key` where `find_tasks` can read it back.

    kind: `renewal` and `upsell` are opportunities (deals) of that type: `subject` is their name, `due_on` the planned
    closing date, `amount` decimal text in major units of `currency`, which is None where it is the org's own; `stage`
    is the vendor's first open stage where None.

    comment_only: a person edited the task, so `note` is added to what it says now and nothing else is touched.
    remote_id: the CRM's id, told to `find_tasks` where it is known: people delete keys from texts.
    """

    key: str
    account_source_id: str
    subject: str
    body: str
    due_on: str
    priority: Literal["high", "normal", "low"] = "normal"
    owner_source_id: str | None = None
    status: Literal["open", "done"] = "open"
    note: str = ""
    kind: Literal["task", "renewal", "upsell"] = "task"
    amount: str | None = None
    currency: str | None = None
    stage: str | None = None
    comment_only: bool = False
    remote_id: str | None = None

    @property
    def is_opportunity(self) -> bool:
        """Whether it belongs into the sales pipeline rather than on somebody's list."""
        return self.kind != "task"


@dataclass(frozen=True, slots=True)
class Change:
    """One write on its way: all changed fields of one record, or one task.

    For `update`: `source_id` is the record and `values` maps vendor field to canonical value (str, int, float, bool,
    list of str for a multi-value, None to clear). For tasks: `task` is the content and, for all but create,
    `source_id` is the CRM task's id. `reopen_task` takes back a closing of ours. `read_at`: the vendor's time (UTC) at
    which the live state was read that this change rests on, for vendors that can guard a write by it; `stamp`: the mark
    that a task carried then (`RemoteTask.stamp`). `leaves_text`: what the task says is not ours any more, or not known
    to be, and must not be replaced.
    """

    key: str
    action: Literal["update", "create_task", "update_task", "close_task", "reopen_task"]
    stream: str
    source_id: str | None
    values: Mapping[str, Any] = field(default_factory=dict)
    task: TaskContent | None = None
    read_at: datetime | None = None
    stamp: str = ""
    leaves_text: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change, matched by `key`, never by position.

    sent: the vendor took it but has not proved it. verified: the answer names the record as written. failed-retry: a
    passing fault. failed-permanent: not until target or value changes. unknown: settle by looking. moved: the vendor's
    guard refused it, because the record changed after `Change.read_at`; it is never forced, the next plan looks anew.
    `values` are the field values as the vendor now holds them, where the answer says so.
    """

    key: str
    state: Literal["sent", "verified", "failed-retry", "failed-permanent", "unknown", "moved"]
    remote_id: str | None = None
    error: str = ""
    correlation_id: str = ""
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RemoteTask:
    """A task of ours as the CRM holds it."""

    key: str
    remote_id: str
    status: Literal["open", "done"]
    subject: str = ""
    due_on: str | None = None
    amount: str | None = None
    stamp: str = ""
    """The vendor's own mark of its last change, for vendors that guard a write by it; comes back as `Change.stamp`."""
    text: str = ""
    """What it says now, plain, our key's line included; "" where only comments are added to it, which replace nothing.
    Asked for at least where the wanted content is `comment_only`."""


# --- The connector ----------------------------------------------------------------------------------------------------


def _no_findings(*_: Any, **__: Any) -> Iterable[Finding]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Connector:
    """A vendor, declared. Functions take a Session; optional ones default to "this vendor has no such thing".

    hosts: regex that a host name must match in full (https is enforced beside it).
    custom_stream: builds a stream for an object that is not declared, when cssync.yaml maps one (a custom object);
        gets the object's name and the columns mapped from it (vendor field -> `entity.column`).
    configured: the connector as the settings of one connection make it, for one whose streams are named there (tables
        of a database, files); gets the settings and, by stream, the columns mapped from it. It may raise ConfigError.
    describes_each_pull: reading a stream needs its description anyway (one seconds old will do); then definitions
        are compared for every stream, otherwise only where the admin mapped fields (one request each).
    check: yields findings about scopes, mapped fields (stream -> vendor fields) and quota. A missing write right is a
        warning about `<stream> write-back`; where cssync.yaml writes there, the core makes it an error.
    read: live values `{source_id: {field: value}}` of some records; ids that are gone are absent.
    push: yields one Outcome per Change, in any order, batched at the vendor's size; never raises for one record.
    round: records that are looked at, marked and pushed together, given the settings and how many there are to write;
        for vendors that take many at once as a job. Several batches of the vendor's, where None.
    drain: brings what the vendor still does for us in the background to its end (a job that an interrupted run left),
        for a stream; called before what became of unproved writes is looked up. It raises where that cannot be done:
        then they stay unknown.
    find_tasks: looks for tasks by their keys, given the account each belongs to; one that lost its key is still the
        one with `TaskContent.remote_id`.
    tasks_setting: setting of a connection that must be on before it takes tasks, where a vendor has no tasks of its own
        and what stands in for them has side effects.
    task_fields: fields of the vendor's tasks by which the connector tells its own; `provision` gets them with the
        stream of tasks.
    opportunities: `push` and `find_tasks` take TaskContent of the kinds `renewal` and `upsell`. A RemoteTask of one is
        `done` from the moment a person moved it out of the stage in which it was made. `opportunity_fields` are to
        opportunities what `task_fields` are to tasks.
    revoke: where in the vendor's user interface a person takes our credentials back, for `cssync disconnect`.
    written: vendor form -> canonical value and back are the connector's business: `push` and `read` speak canonical
        values (see Change.values).
    """

    name: str
    title: str
    config: type[ConnectionSettings]
    streams: tuple[Stream, ...]
    hosts: str
    vendor: Callable[[Any], Vendor]
    identity: Callable[[Session], Identity]
    check: Callable[[Session, Mapping[str, Sequence[str]]], Iterable[Finding]] = _no_findings
    describe: Callable[[Session, str], Sequence[RemoteField]] | None = None
    describes_each_pull: bool = False
    custom_stream: Callable[[str, Mapping[str, str]], Stream] | None = None
    configured: Callable[[Any, Mapping[str, Mapping[str, str]]], Connector] | None = None
    provision: Callable[[Session, str, Sequence[OwnField], bool], Iterable[Finding]] | None = None
    read: Callable[[Session, str, Sequence[str], Sequence[str]], dict[str, dict[str, Any]]] | None = None
    push: Callable[[Session, Sequence[Change]], Iterator[Outcome]] | None = None
    round: Callable[[Any, int], int] | None = None
    drain: Callable[[Session, str], None] | None = None
    find_tasks: Callable[[Session, Sequence[TaskContent]], dict[str, RemoteTask]] | None = None
    tasks: bool = False
    tasks_setting: str = ""
    task_fields: tuple[OwnField, ...] = ()
    opportunities: bool = False
    opportunity_fields: tuple[OwnField, ...] = ()
    revoke: str = ""
    sandbox: Callable[[World], SandboxApp] | None = None
    sandbox_settings: Mapping[str, Any] = field(default_factory=dict)

    def stream(self, name: str) -> Stream | None:
        """Return the declared stream of that name."""
        return next((s for s in self.streams if s.name == name), None)
