"""What is pulled from Zendesk: organizations, users and tickets, each by its incremental export.

The exports are ordered by the time Zendesk generated a row (`generated_timestamp`), not by `updated_at`: only the
export's own cursor says where to go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from types import GenericAlias
from typing import Any, TypedDict

from cssync.connectors import Feed, Field, Page, PullRequest, Record, Session, Stream, Tombstone
from cssync.errors import ConnectionFault, Refused, TransientFault
from cssync_zendesk.client import words
from cssync_zendesk.fields import Definition, definitions, needs_definition, plain, records
from cssync_zendesk.task_tickets import SHUT, TAG, is_ours

log = logging.getLogger("cssync.zendesk")

PAGE = 1_000
"""Rows of an export page: the default and the most Zendesk sends."""
SMALLER = (250, 100)
"""Where Zendesk takes too long over a page of an export, it is asked for a smaller one."""
LAG = timedelta(minutes=2)
"""Zendesk withholds the last minute and refuses a start time in it; the second one is for clocks that differ."""
NO_PLACE = (400, 404, 410, 422)
"""How Zendesk may answer to a cursor that it does not know, or no longer."""
STAFF = ("agent", "admin")
IN_BROWSER = ("organizations", "users", "tickets")
"""Records that have a page for people, at the same path below `/agent/`."""


# --- reading ----------------------------------------------------------------------------------------------------------


def _stuck(path: str, how: str) -> ConnectionFault:
    return ConnectionFault(
        f"{path}: {how}",
        kept="pages read before are stored; the checkpoint is the last good one",
        fix="run again; if it stays, lower the load on the account or report it to Zendesk",
    )


CONDITIONS = {
    "organizations": ("deleted_at",),
    "users": ("active", "role"),
    "tickets": ("tags", "external_id", "status", "subject", "description", "organization_id"),
}
"""Keys of a record by which it is told what it is, beside those that become columns."""


def _shape(stream: Stream, fields: Sequence[str]) -> Any:
    """Return the shape of an export's page: of a record only what is read. A ticket has forty keys, and to decode them
    all takes as long as the rest of a pull."""
    declared = [
        field.source if isinstance(field, Field) else field for f in stream.feeds for field in f.fields.values()
    ]
    paths = [path for source in declared for path in ((source,) if isinstance(source, str) else source)]
    mapped = [f"{stream.base}.{field}" if stream.base else field for field in fields]
    keys = {path.partition(".")[0] for path in (*paths, *mapped)} | {"id", *CONDITIONS[stream.name]}
    typed: Any = TypedDict  # made here and now: nothing that a type checker could follow
    record = typed("Record", dict.fromkeys(sorted(keys), Any), total=False)
    beside = dict.fromkeys(("after_cursor", "end_of_stream", "end_time", "metric_sets"), Any)
    return typed("Body", {**beside, stream.name: GenericAlias(list, record)}, total=False)


def _exporter(session: Session, request: PullRequest, path: str, stream: Stream) -> Callable[..., tuple[int, Any]]:
    """Return what reads a page of an export: (rows asked for, body). A page that fails is asked for in a smaller size,
    and so are all that come after it."""
    shape = _shape(stream, request.fields)
    sizes = [PAGE, *(size for size in SMALLER if size < PAGE)]

    def read(**params: Any) -> tuple[int, Any]:
        while True:
            try:
                answer = session.get(path, per_page=sizes[0], accept=NO_PLACE if "cursor" in params else (), **params)
            except TransientFault as fault:
                if fault.resumes_at is not None or len(sizes) == 1:
                    raise
                log.warning("%s: asking for %s rows a page instead of %s", path, sizes[1], sizes[0])
                sizes.pop(0)
                continue
            if answer.status in NO_PLACE:
                raise Refused(
                    f"{path}: Zendesk does not go on from where the last page ended: {answer.status} {words(answer)}",
                    kept="pages read before are stored; the checkpoint stays behind them",
                    fix="run again; if it stays, read the stream from the beginning: "
                    "`cssync sync CONNECTION --stream STREAM --full`",
                )
            return sizes[0], answer.json(shape)

    return read


def _by_cursor(
    session: Session, request: PullRequest, path: str, stream: Stream, **params: Any
) -> Iterator[tuple[Sequence[Mapping[str, Any]], Mapping[str, Any], str | None, bool]]:
    """Yield (rows, body, cursor to commit, end) of each page of a cursor export.

    The first page ever asks for everything (`start_time=0`). An `after_cursor` of null says that nothing is new: it
    yields None, and the checkpoint stays. `end_of_stream` alone ends the stream.
    """
    after: str | None = (request.cursor or {}).get("after")
    seen = {after} if after else set()
    read = _exporter(session, request, path, stream)
    while True:
        place: dict[str, Any] = {"cursor": after} if after else {"start_time": 0}
        _, body = read(**place, **params)
        rows = records(body, stream.name, path)
        following, end = body.get("after_cursor"), _end(body, path)
        yield rows, body, following or None, end
        if end:
            return
        if not following:
            raise _stuck(path, "Zendesk names no next page and does not say that this was the last one")
        if following in seen:
            raise _stuck(path, "Zendesk leads back to a page already read")
        seen.add(following)
        after = following


def _end(body: Mapping[str, Any], path: str) -> bool:
    end = body.get("end_of_stream")
    if not isinstance(end, bool):
        raise _stuck(path, "Zendesk's answer does not say whether the export ends here")
    return end


def organizations(session: Session, request: PullRequest) -> Iterator[Page]:
    """Read the organizations: there is only the time export, whose pages overlap by a second.

    Rows seen on the page before are left out. The checkpoint stays `lag` behind the page's `end_time` and behind the
    vendor's clock at the start, so that a change that shows late is still read; it never moves back.
    """
    path = "/api/v2/incremental/organizations"
    committed = int((request.cursor or {}).get("start_time", 0))
    lag = int(max(request.lag, LAG).total_seconds())
    start = min(committed, max(0, int(session.now().timestamp()) - lag))
    canonical = _canonical(session, request.fields)
    before: set[tuple[str, ...]] = set()
    asked: set[int] = set()
    began: int | None = None
    read = _exporter(session, request, path, ORGANIZATIONS)
    while True:
        asked.add(start)
        size, body = read(start_time=start)
        began = began if began is not None else int(session.now().timestamp())
        rows = records(body, "organizations", path)
        end, end_time = _end(body, path), body.get("end_time")
        fresh = [row for row in rows if _version(row) not in before]
        before = {_version(row) for row in rows}
        safe = min(int(end_time), began) - lag if end_time else 0
        live, gone = _parted(fresh, lambda row: bool(row.get("deleted_at")))
        cursor = {"start_time": safe} if safe > committed else None
        yield Page([canonical(row) for row in live], cursor=cursor, deleted=gone, last=end)
        if end:
            return
        following = int(end_time or 0)
        if following == start and len(rows) > size:
            following += 1  # the page grew beyond its size to hold this whole second: there is no more of it
        if following in asked or not end_time:
            raise _stuck(path, "Zendesk repeats the same end_time and does not say that the export ends here")
        committed, start = max(committed, safe), following


def _version(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("id", "updated_at", "deleted_at"))


def _parted(
    rows: Sequence[Mapping[str, Any]], gone: Callable[[Mapping[str, Any]], bool]
) -> tuple[list[Mapping[str, Any]], list[Tombstone]]:
    """Part live rows from tombstones. A row without an id stays with the live ones, to be quarantined by name."""
    live: list[Mapping[str, Any]] = []
    dead: list[Tombstone] = []
    for row in rows:
        if gone(row) and row.get("id"):
            dead.append(Tombstone(str(row["id"])))
        else:
            live.append(row)
    return live, dead


def _canonical(session: Session, fields: Sequence[str]) -> Callable[[Mapping[str, Any]], Record]:
    """Return a function that puts an organization's custom fields into canonical form.

    The definitions are asked for once, and only when a value that we use cannot be told without them.
    """
    known: dict[str, Definition] | None = None

    def canonical(row: Mapping[str, Any]) -> Record:
        nonlocal known
        held = row.get("organization_fields")
        if not held or not isinstance(held, Mapping):
            return row
        if known is None and any(needs_definition(key, held.get(key)) for key in fields):
            known = definitions(session, "organization_fields")
        used = {key: known[key] for key in fields if key in known} if known else {}
        values = {key: used[key].decode(value) if key in used else plain(value) for key, value in held.items()}
        return {**row, "organization_fields": values}

    return canonical


def users(session: Session, request: PullRequest) -> Iterator[Page]:
    """Read end users, agents and admins out of one export. `active: false` is a deleted user."""
    for rows, _, cursor, end in _by_cursor(session, request, "/api/v2/incremental/users/cursor", USERS):
        live, gone = _parted(rows, lambda row: row.get("active") is False)
        yield Page(live, cursor={"after": cursor} if cursor else None, deleted=gone, last=end)


def tickets(session: Session, request: PullRequest) -> Iterator[Page]:
    """Read tickets with their metrics, which cost no request of their own.

    A deleted ticket comes with status `deleted`, later once more with its content scrubbed: both are tombstones, so
    the null organization of a scrubbed row overwrites nothing.
    """
    params: dict[str, Any] = {"include": "metric_sets"}
    if session.settings.tickets == "all":
        params["support_type_scope"] = "all"
    path = "/api/v2/incremental/tickets/cursor"
    mapped = {name.partition(".")[2] for name in request.fields if name.startswith("custom_fields.")}
    measured = True
    for rows, body, cursor, end in _by_cursor(session, request, path, TICKETS, **params):
        aside = {str(m.get("ticket_id")): m for m in body.get("metric_sets") or () if isinstance(m, Mapping)}
        live, gone = _parted(rows, _is_gone)
        if measured and live and "metric_sets" not in body and not any(row.get("metric_set") for row in live):
            measured = False
            log.warning(
                "%s: Zendesk sends no metrics beside the tickets: times of reply and solution stay unknown", path
            )
        theirs = [_ticket(row, aside, mapped) for row in live if not _is_tagged(row) or is_ours(row)]
        yield Page(theirs, cursor={"after": cursor} if cursor else None, deleted=gone, last=end)


def _is_tagged(row: Mapping[str, Any]) -> bool:
    tags = row.get("tags")
    return isinstance(tags, list) and TAG in tags


def _is_gone(row: Mapping[str, Any]) -> bool:
    if row.get("status") == "deleted":
        return True
    return row.get("subject") == "SCRUBBED" and row.get("description") == "X" and row.get("organization_id") is None


def _ticket(row: Mapping[str, Any], aside: Mapping[Any, Mapping[str, Any]], mapped: Set[str]) -> Record:
    """Join the metrics that stand beside the tickets, and key the custom fields that are mapped by id."""
    found: dict[str, Any] = {}
    if mapped:
        listed = row.get("custom_fields")
        each = [e for e in listed if type(e) is dict] if isinstance(listed, list) else []
        found["custom_fields"] = {i: plain(e.get("value")) for e in each if (i := str(e.get("id"))) in mapped}
    if aside and not row.get("metric_set") and (metrics := aside.get(str(row.get("id")))):
        found["metric_set"] = metrics
    return {**row, **found} if found else row


# --- values -----------------------------------------------------------------------------------------------------------


def _domains(names: Any) -> list[str] | None:
    """Company domains out of `domain_names`, which may hold wildcards, upper case and blanks."""
    if names is None:
        return None
    return sorted({d for name in names if (d := str(name).strip().casefold().lstrip("*@.")) and "." in d})


def _in_browser(url: Any) -> str | None:
    """The page of a record for people, out of its API address."""
    origin, _, rest = str(url or "").rpartition("/api/v2/")
    kind, _, number = rest.removesuffix(".json").partition("/")
    return f"{origin}/agent/{kind}/{number}" if kind in IN_BROWSER and number.isdecimal() else None


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _active(active: Any, suspended: Any) -> bool:
    return active is not False and suspended is not True


def _first_reply(created: Any, minutes: Any) -> Any:
    """The instant of the first public reply: Zendesk gives whole minutes since creation, on the calendar clock."""
    if created is None or minutes is None:
        return None
    try:
        return (datetime.fromisoformat(str(created)).astimezone(UTC) + timedelta(minutes=int(minutes))).isoformat()
    except (TypeError, ValueError, OverflowError):
        raise ValueError("not a point in time and whole minutes after it") from None


def _solved_at(status: Any, solved: Any) -> Any:
    return solved if status in ("solved", "closed") else None


def _good(score: Any) -> int:
    return 1 if str(score).startswith("good") else 0


def _rated(record: Record) -> bool | None:
    """Only an answer is a response: `unoffered` was not asked, `offered` did not answer. None without the rating."""
    if "satisfaction_rating" not in record:
        return None
    rating = record["satisfaction_rating"]
    score = str(rating.get("score")) if isinstance(rating, Mapping) else ""
    return score.startswith(("good", "bad"))


def _measured(record: Record) -> bool | None:
    """Metrics come by a sideload: a ticket without them had none sent."""
    return False if is_ours(record) else bool(record.get("metric_set")) or None


def _responded_at(rated: Any, made: Any, status: Any, solved: Any, updated: Any) -> Any:
    """The rating's own time where the export has it; else when the ticket was solved, which is when it is asked for."""
    return rated or made or _solved_at(status, solved) or updated


LINK: dict[str, Field | str] = {"source_url": Field("url", read=_in_browser)}
STAMPS: dict[str, Field | str] = {"created_at": "created_at", "updated_at": "updated_at"}

ORGANIZATIONS = Stream(
    name="organizations",
    feeds=(
        Feed(
            "account_source",
            {
                **LINK,
                **STAMPS,
                "name": "name",
                "external_id": "external_id",
                "domains": Field("domain_names", read=_domains),
            },
        ),
    ),
    pages=organizations,
    base="organization_fields",
    cursor_field="start_time",
    lag=LAG,
    deletes="the export carries deleted_at; a merge deletes the loser and does not name the winner",
    scope="read, admin only",
    page_size=PAGE,
    requests_per_1000=1.0,
    writable=True,
)

_PERSON: dict[str, Field | str] = {
    **LINK,
    **STAMPS,
    "name": "name",
    "email": Field("email", read=_lower),
    "is_active": Field(("active", "suspended"), read=_active),
}

USERS = Stream(
    name="users",
    feeds=(
        Feed(
            "contact",
            {**_PERSON, "account_source_id": "organization_id", "locale": "locale"},
            when=lambda record: record.get("role") not in STAFF,
        ),
        Feed(
            "user",
            {**_PERSON, "time_zone": "iana_time_zone"},
            when=lambda record: record.get("role") in STAFF,
        ),
    ),
    pages=users,
    base="user_fields",
    cursor_field="after",
    deletes="the export carries active: false",
    scope="read, admin only",
    page_size=PAGE,
    requests_per_1000=1.0,
)

TICKETS = Stream(
    name="tickets",
    feeds=(
        Feed(
            "ticket",
            {
                **LINK,
                **STAMPS,
                "account_source_id": "organization_id",
                "requester_source_id": "requester_id",
                "subject": "subject",
                "status": "status",
                "priority": Field("priority", read=lambda value: value or "none"),
                "type": "type",
                "tags": "tags",
                "opened_at": "created_at",
                "first_reply_at": Field(("created_at", "metric_set.reply_time_in_minutes.calendar"), read=_first_reply),
                "solved_at": Field(("status", "metric_set.solved_at"), read=_solved_at),
                "reopened_count": "metric_set.reopens",
            },
            when=lambda record: not is_ours(record),
        ),
        Feed(
            "crm_task",
            {
                **LINK,
                **STAMPS,
                "account_source_id": "organization_id",
                "task_key": "external_id",
                "subject": "subject",
                "status": Field("status", read=lambda value: "done" if value in SHUT else "open"),
                "due_on": Field("due_at", read=lambda value: str(value)[:10] if value else None),
                "owner_source_id": "assignee_id",
            },
            when=is_ours,
        ),
        Feed(
            "ticket_metric",
            {
                "ticket_source_id": "id",
                "account_source_id": "organization_id",
                "created_at": "metric_set.created_at",
                "updated_at": "metric_set.updated_at",
                "first_reply_minutes": Field("metric_set.reply_time_in_minutes.calendar", unit="min"),
                "first_reply_business_minutes": Field("metric_set.reply_time_in_minutes.business", unit="min"),
                "full_resolution_minutes": Field("metric_set.full_resolution_time_in_minutes.calendar", unit="min"),
                "full_resolution_business_minutes": Field(
                    "metric_set.full_resolution_time_in_minutes.business", unit="min"
                ),
                "agent_touches": Field("metric_set.replies", unit="replies"),
                "reopens": Field("metric_set.reopens", unit="times"),
            },
            when=_measured,
        ),
        Feed(
            "survey_response",
            {
                **LINK,
                "kind": Field(const="csat"),
                "scale_max": Field(const=1),
                "score": Field("satisfaction_rating.score", read=_good),
                "comment": "satisfaction_rating.comment",
                "ticket_source_id": "id",
                "contact_source_id": "requester_id",
                "account_source_id": "organization_id",
                "responded_at": Field(
                    (
                        "satisfaction_rating.updated_at",
                        "satisfaction_rating.created_at",
                        "status",
                        "metric_set.solved_at",
                        "updated_at",
                    ),
                    read=_responded_at,
                ),
            },
            when=_rated,
        ),
    ),
    pages=tickets,
    cursor_field="after",
    deletes="the export carries status deleted, and scrubbed rows after the permanent deletion",
    scope="read, admin only",
    page_size=PAGE,
    requests_per_1000=1.0,
)

STREAMS = (ORGANIZATIONS, USERS, TICKETS)
