"""Prove the set-up: version, org, rights, fields, calls left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from cssync.connectors import Finding, Identity, RemoteField, Session
from cssync.errors import ConfigError, ConnectionFault, TransientFault
from cssync_salesforce import soql
from cssync_salesforce.chosen import streams_of
from cssync_salesforce.settings import API_VERSION, SANDBOX_HOST, SalesforceSettings
from cssync_salesforce.shape import OPTIONAL, Shape, described, remote_field
from cssync_salesforce.streams import object_of
from cssync_salesforce.tasks import TASK_KEY, has_key

LOW_SHARE = 0.1
"""Below this share of the daily requests left, `check` warns."""
FEW, SEEN_SHARE = 20, 0.8
"""Objects of fewer records are not counted; `check` warns when the user sees less than this share of the others."""


def identity(session: Session) -> Identity:
    """Return the org behind the connection: one request, and two more where the user may not see the organization.

    Raises:
        ConfigError: the org does not offer the pinned version.
        ConnectionFault: the org does not say which one it is.
    """
    settings: SalesforceSettings = session.settings
    org = _organization(session)
    user: Mapping[str, Any] = {}
    if not org.get("Id"):
        _version(session)
        answer = session.get("/services/oauth2/userinfo", accept=(403, 404))
        user = answer.json() if answer.status == 200 else {}
    org_id = soql.id18(org.get("Id") or user.get("organization_id"))
    if not org_id:
        raise ConnectionFault(
            "Salesforce does not say which org this is",
            kept="nothing was read or written",
            fix="add the scope `Access the identity URL service (id)` to the External Client App",
        )
    host = urlsplit(str(_instance(user) or settings.origin)).hostname or ""
    sandbox = org.get("IsSandbox") if org.get("IsSandbox") is not None else bool(SANDBOX_HOST.search(host))
    return Identity(
        org_id=org_id,
        name=str(org.get("Name") or host),
        kind="sandbox" if sandbox else "production",
        currency=settings.currency,
        timezone=org.get("TimeZoneSidKey") or user.get("zoneinfo"),
        url=settings.origin,
    )


def _instance(user: Mapping[str, Any]) -> str | None:
    urls = user.get("urls")
    return urls.get("custom_domain") if isinstance(urls, Mapping) else None


def _version(session: Session) -> None:
    settings: SalesforceSettings = session.settings
    offered = [f"v{v['version']}" for v in session.get("/services/data").json() if isinstance(v, Mapping)]
    if settings.api_version not in offered:
        raise ConfigError(
            f"this org does not offer API version {settings.api_version} (it offers "
            f"{f'{offered[0]} to {offered[-1]}' if offered else 'none'})",
            kept="nothing was read or written",
            fix=f"set `api_version` of the connection to one of these; cssync is made for {API_VERSION}",
        )


def _organization(session: Session) -> Mapping[str, Any]:
    settings: SalesforceSettings = session.settings
    query = soql.select(["Id", "Name", "IsSandbox", "TimeZoneSidKey"], "Organization", limit=1)
    answer = session.get(f"{settings.data}/query", accept=(400, 403, 404), q=query)
    if answer.status >= 400:
        return {}
    records = answer.json().get("records") or [{}]
    return records[0] if isinstance(records[0], Mapping) else {}


def check(session: Session, mapped: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield what was found, the exact remedy beside each fault. One request for each stream, six, and a
    count for each object of some size."""
    settings: SalesforceSettings = session.settings
    _version(session)
    org = identity(session)
    yield Finding("org", "ok", f"{org.name} ({org.org_id}), {org.kind}")
    yield Finding("api", "ok", f"{settings.api_version} is offered")
    names = dict.fromkeys([s.name for s in streams_of(settings) if s.name not in settings.skip_streams])
    for stream in (*names, *(s for s in mapped if s not in names and s not in settings.skip_streams)):
        yield from _stream(session, stream, mapped.get(stream, ()))
    yield from _sharing(session, [s for s in names if s != "tasks"])
    yield from _limits(session)


def _sharing(session: Session, streams: Sequence[str]) -> Iterator[Finding]:
    """Compare the records that the user sees with those there are: one that may not be seen is simply absent.

    Salesforce's own count is approximate and knows no sharing. One request, and one for each object of some size.
    """
    settings: SalesforceSettings = session.settings
    objects = {object_of(s): s for s in streams}
    answer = session.get(f"{settings.data}/limits/recordCount", accept=(400, 403, 404), sObjects=",".join(objects))
    told = answer.json().get("sObjects") if answer.status == 200 else None
    for entry in told if isinstance(told, list) else ():
        name, there = entry.get("name"), entry.get("count")
        if name not in objects or not isinstance(there, int) or there < FEW:
            continue
        asked = session.get(f"{settings.data}/query", accept=(400, 403, 404), q=f"SELECT COUNT() FROM {name}")
        seen = asked.json().get("totalSize") if asked.status == 200 else None
        if isinstance(seen, int) and seen < SEEN_SHARE * there:
            yield Finding(
                f"{objects[name]} (sharing)",
                "warning",
                f"the execution user sees {seen:,} of about {there:,} records of {name}",
                f"grant View All on {name} in its permission set; what it does not see counts as not there",
            )


def _stream(session: Session, stream: str, mapped: Sequence[str]) -> Iterator[Finding]:
    try:
        seen = described(session, object_of(stream))
    except TransientFault:
        raise
    except ConnectionFault as fault:
        yield Finding(stream, "error", fault.message, fault.fix)
        return
    yield Finding(stream, "ok", f"{seen.object} can be read ({len(seen.fields)} fields)")
    declared = next((s.fields_of for s in streams_of(session.settings) if s.name == stream), ())
    for name in declared:
        if seen.field(name) is None and name not in OPTIONAL:
            yield Finding(f"{stream}.{name}", "warning", "not visible: it is left out", _grant(seen, name))
    for name in mapped:
        yield _field(stream, seen, name)
    settings: SalesforceSettings = session.settings
    if stream == "opportunities" and seen.field("CurrencyIsoCode") is None and settings.currency is None:
        yield Finding(
            f"{stream}.Amount",
            "note",
            "the org has one currency and its records do not name it: amounts are read in the workspace's",
            "set `currency` of the connection, e.g. USD",
        )
    if stream == "tasks" and not has_key(seen):
        yield Finding(
            f"tasks.{TASK_KEY.name}",
            "note",
            "no key field: tasks carry their key in the description, and one whose creation got no answer is looked up",
            f"create {TASK_KEY.name} on Activity: Text(255), external id, unique; Read and Edit for the execution user",
        )


def _field(stream: str, seen: Shape, name: str) -> Finding:
    found = seen.field(name)
    if found is None:
        return Finding(f"{stream}.{name}", "error", "does not exist or is hidden", _grant(seen, name))
    described = seen.fields.get(found)
    if described is None:
        return Finding(
            f"{stream}.{name}",
            "note",
            "field of a parent record: checked when it is read, and read when this record changes, not its parent",
            "map a field of the record itself where the value must be current",
        )
    right = "read and write" if described.get("updateable") else "read only"
    if described.get("calculated"):
        return Finding(
            f"{stream}.{name}",
            "warning",
            f"{described['type']}, {right}, a formula: its changes do not count as changes of the record",
            "map the fields the formula is made of, or let a flow copy it into a plain field",
        )
    return Finding(f"{stream}.{name}", "ok", f"{described['type']}, {right}")


def _grant(seen: Shape, name: str) -> str:
    return f"create {seen.object}.{name}, or grant Read on it in a permission set of the execution user"


def _limits(session: Session) -> Iterator[Finding]:
    settings: SalesforceSettings = session.settings
    answer = session.get(f"{settings.data}/limits", accept=(400, 403, 404))
    daily = answer.json().get("DailyApiRequests") if answer.status == 200 else None
    if not isinstance(daily, Mapping) or not daily.get("Max"):
        yield Finding("quota", "note", "the org does not say how many API requests are left")
        return
    left, most = int(daily["Remaining"]), int(daily["Max"])
    low = left < LOW_SHARE * most
    yield Finding(
        "quota",
        "warning" if low else "ok",
        f"{left:,} of {most:,} API requests left for these 24 hours",
        "find out who uses them (Setup > Company Information), or run cssync less often" if low else "",
    )


def describe(session: Session, stream: str) -> list[RemoteField]:
    """Return the fields of a stream's object that the execution user sees, by name. One request."""
    seen = described(session, object_of(stream))
    return [remote_field(f) for _, f in sorted(seen.fields.items())]
