"""Set-up: which account this is, what the token may do, which fields there are, and the fields of our own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cssync.connectors import Answer, Finding, Identity, OwnField, RemoteField, Session
from cssync.connectors.judging import error_body
from cssync_hubspot.chosen import streams_of
from cssync_hubspot.client import Paths, account, complaint, definitions, done, results, scopes

GROUP = "cssync"
COLUMN_TYPES = {
    "number": "real", "bool": "bool", "date": "date", "datetime": "instant", "json": "json",
}  # fmt: skip
"""HubSpot type -> column type; everything else is text."""
OWN_TYPES: Mapping[str, tuple[str, str]] = {
    "integer": ("number", "number"),
    "real": ("number", "number"),
    "money": ("number", "number"),
    "text": ("string", "textarea"),
    "date": ("date", "date"),
    "bool": ("bool", "booleancheckbox"),
    "enum": ("enumeration", "select"),
    "multi": ("enumeration", "checkbox"),
}
"""Type of a field of ours -> HubSpot type and field type."""
PROBES = {
    "companies": ("crm.objects.companies.write", "write fields of companies"),
    "tasks": ("crm.objects.contacts.write", "create tasks"),
}
"""Streams we may write to -> scope and what it is for."""


def identity(session: Session) -> Identity:
    """Return the HubSpot account behind the token; test accounts and sandboxes count as `sandbox`."""
    found = account(session)
    portal = str(found["portalId"])
    return Identity(
        org_id=portal,
        name=f"HubSpot account {portal}",
        kind="production" if found.get("accountType") == "STANDARD" else "sandbox",
        currency=found.get("companyCurrency"),
        timezone=found.get("timeZone"),
        url=f"https://{found.get('uiDomain') or 'app.hubspot.com'}/contacts/{portal}",
    )


# --- check ------------------------------------------------------------------------------------------------------------


def check(session: Session, mapped: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Prove account, scopes, mapped fields and allowance; nothing is written (a write scope is proved by sending a
    batch without any record in it)."""
    who = identity(session)
    yield Finding("account", "ok", f"{who.name}, {who.kind}, {who.timezone}, {who.currency}")
    last: Answer | None = None
    skipped = set(session.settings.skip_streams)
    declared = {s.name: s for s in streams_of(session.settings)}
    readable = set()
    for name in dict.fromkeys((*declared, *mapped)):
        if name in skipped:
            yield Finding(name, "note", "not pulled (skip_streams)")
            continue
        path = Paths(session).owners if name == "owners" else Paths(session).objects(name)
        last = session.get(path, limit=1, accept=(400, 403, 404))
        if last.status < 300:
            readable.add(name)
            yield Finding(name, "ok", "may be read")
        else:
            yield _refused(name, last, declared[name].scope if name in declared else "crm.objects.custom.read")
    for name in ("deals", "tickets"):
        if name in readable:
            answer = session.get(Paths(session).pipelines(name), accept=(403, 404))
            if answer.status >= 300:
                yield _refused(f"{name} pipelines", answer, declared[name].scope)
    for name in readable - {"owners"}:
        yield from _fields(session, name, mapped.get(name, ()), declared[name].fields_of if name in declared else ())
    for name, (scope, purpose) in PROBES.items():
        if name in readable:
            yield _may_write(session, name, scope, purpose)
    if last is not None:
        yield from _allowance(session, last)


def _refused(subject: str, answer: Answer, scope: str) -> Finding:
    found = error_body(answer)
    found = found if isinstance(found, Mapping) else {}
    words, _ = complaint(found)
    if answer.status == 403:
        missing = ", ".join(scopes(found)) or scope
        return Finding(
            subject,
            "error",
            f"may not be read: the key lacks {missing}",
            f"add {missing} to the key (Development > Keys > Service keys), or name the stream in skip_streams",
        )
    return Finding(subject, "error", f"cannot be read: {words}", "check the object's name, or skip the stream")


def _fields(session: Session, name: str, mapped: Sequence[str], declared: Sequence[str]) -> Iterator[Finding]:
    """Compare fields with the definitions: HubSpot ignores a misspelt one in silence, and it would read as empty."""
    answer = session.get(Paths(session).properties(name), accept=(403, 404))
    if answer.status >= 300:
        refused = _refused(f"{name} properties", answer, f"crm.schemas.{name}.read")
        yield refused if mapped else replace(refused, level="note", fix="")  # records may be readable all the same
        return
    there = {str(p.get("name")): p for p in results(answer)}
    for field in mapped:
        subject = f"{name}.{field}"
        if field not in there:
            near = [n for n in there if n.replace("_", "") == field.lower().replace("_", "")]
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Finding(subject, "error", f"does not exist{hint}", "correct the mapping, or run `cssync provision`")
        else:
            found = remote_field(there[field])
            how = "writable" if found.writable else "read-only"
            yield Finding(subject, "ok", f"{there[field].get('type')} ({how})")
    absent = [f for f in declared if f not in there and f not in OPTIONAL]
    if absent:
        yield Finding(name, "note", f"not in this account, stays unknown: {', '.join(absent)}")


OPTIONAL = frozenset(
    {
        "hs_salesforceaccountid", "salesforceaccountid", "deal_currency_code", "hs_merged_object_ids", "hs_language",
        "first_agent_reply_date", "closed_lost_reason",
    }
)  # fmt: skip
"""Properties that exist only with some feature (the Salesforce integration, several currencies): no news if absent."""


def _may_write(session: Session, name: str, scope: str, purpose: str) -> Finding:
    answer = session.request(
        "POST", Paths(session).objects(name, "/batch/update"), json={"inputs": []}, accept=(400, 403, 404)
    )
    if answer.status == 403:
        return Finding(
            f"{name} write-back", "warning", f"the key lacks {scope}", f"add it to the key to {purpose}; reading works"
        )
    return Finding(f"{name} write-back", "ok", f"may {purpose}")


def _allowance(session: Session, answer: Answer) -> Iterator[Finding]:
    """What the rate-limit headers of an ordinary answer say."""
    daily, left = (answer.headers.get(f"x-hubspot-ratelimit-daily{tail}") for tail in ("", "-remaining"))
    if daily and left:
        level: Any = "warning" if daily.isdigit() and left.isdigit() and int(left) < int(daily) // 10 else "ok"
        fix = "" if level == "ok" else "find the other user of the allowance, or run less often"
        yield Finding("daily requests", level, f"{left} of {daily} left", fix)
    most = answer.headers.get("x-hubspot-ratelimit-max", "")
    own = session.settings.calls_per_10_seconds
    if own is None and most.isdigit():
        yield Finding("burst limit", "ok", f"{most} requests in 10 s")
    elif most.isdigit() and int(most) < own:
        yield Finding(
            "burst limit",
            "warning",
            f"the account allows {most} requests in 10 s, calls_per_10_seconds is {own}",
            "take calls_per_10_seconds away: the account tells what it allows",
        )
    elif most.isdigit() and int(most) > own:
        yield Finding("burst limit", "note", f"the account allows {most} requests in 10 s, {own} are used")


# --- describe ---------------------------------------------------------------------------------------------------------


def describe(session: Session, stream: str) -> Sequence[RemoteField]:
    """Return the fields of a stream's objects as HubSpot defines them; owners have none."""
    if stream == "owners":
        return ()
    return [remote_field(p) for p in definitions(session, stream).values()]


def remote_field(found: Mapping[str, Any]) -> RemoteField:
    """Read one property definition."""
    read_only = bool((found.get("modificationMetadata") or {}).get("readOnlyValue")) or bool(found.get("calculated"))
    return RemoteField(
        name=str(found["name"]),
        label=str(found.get("label") or found["name"]),
        type=COLUMN_TYPES.get(str(found.get("type")), "text"),
        writable=not read_only,
        options=tuple(str(o.get("value")) for o in found.get("options") or ()),
        length=65536 if found.get("type") == "string" else None,
        custom=not found.get("hubspotDefined", False),
    )


# --- provision --------------------------------------------------------------------------------------------------------


def provision(session: Session, stream: str, fields: Sequence[OwnField], dry_run: bool) -> Iterator[Finding]:
    """Create the fields of ours that are missing, in a group of their own, and add missing options.

    What exists is read first and never changed otherwise: not retyped, not renamed, not deleted.
    """
    there = definitions(session, stream)
    missing = [f for f in fields if f.name not in there]
    for field in fields:
        if field.name in there:
            yield from _compared(session, stream, field, there[field.name], dry_run)
    if missing and dry_run:
        yield from (Finding(f"{stream}.{f.name}", "would-create", _words(f)) for f in missing)
    elif missing:
        _group(session, stream)
        yield from _created(session, stream, missing)


def _words(field: OwnField) -> str:
    kind, form = OWN_TYPES[field.type]
    return f"{field.label}: {kind} ({form})" + (f", options {', '.join(field.options)}" if field.options else "")


def _compared(
    session: Session, stream: str, field: OwnField, found: Mapping[str, Any], dry_run: bool
) -> Iterator[Finding]:
    subject = f"{stream}.{field.name}"
    kind, form = OWN_TYPES[field.type]
    multiple = kind == "enumeration" and (form == "checkbox") != (found.get("fieldType") == "checkbox")
    if found.get("type") != kind or multiple:
        yield Finding(
            subject,
            "error",
            f"exists as {found.get('type')} ({found.get('fieldType')}), {kind} ({form}) is needed",
            "map another field name, or rename the existing property in HubSpot",
        )
    elif not remote_field(found).writable:
        yield Finding(subject, "error", "exists and is read-only", "map another field name")
    else:
        held = list(found.get("options") or ())
        lacking = [o for o in field.options if o not in {str(h.get("value")) for h in held}]
        if kind == "enumeration" and lacking:
            if not dry_run:
                _extend(session, stream, field.name, held, lacking)
            level: Any = "would-create" if dry_run else "created"
            yield Finding(subject, level, f"options added: {', '.join(lacking)}")
        else:
            yield Finding(subject, "ok", f"exists: {kind} ({found.get('fieldType')})")


def _extend(
    session: Session, stream: str, name: str, held: Sequence[Mapping[str, Any]], lacking: Sequence[str]
) -> None:
    """Send the whole list of options: a PATCH replaces it."""
    kept = [
        {
            "label": str(o.get("label")),
            "value": str(o.get("value")),
            "hidden": bool(o.get("hidden", False)),
            "displayOrder": int(o.get("displayOrder", n)),
        }
        for n, o in enumerate(held)
    ]
    start = max((int(str(o["displayOrder"])) for o in kept), default=-1) + 1
    session.request(
        "PATCH",
        Paths(session).properties(stream, f"/{name}"),
        json={"options": [*kept, *_options(lacking, start)]},
    )


def _options(values: Sequence[str], start: int = 0) -> list[dict[str, Any]]:
    return [
        {"label": v.replace("_", " ").capitalize() if v.islower() else v, "value": v, "hidden": False,
         "displayOrder": start + n}
        for n, v in enumerate(values)
    ]  # fmt: skip


def _group(session: Session, stream: str) -> None:
    """Create our property group unless it is there; 409 means that it came into being meanwhile."""
    path = Paths(session).properties(stream, "/groups")
    if any(g.get("name") == GROUP for g in results(session.get(path))):
        return
    session.request("POST", path, json={"name": GROUP, "label": "Customer success (cssync)"}, accept=(409,))


def _created(session: Session, stream: str, fields: Sequence[OwnField]) -> Iterator[Finding]:
    answer = session.request(
        "POST",
        Paths(session).properties(stream, "/batch/create"),
        json={"inputs": [_definition(f) for f in fields]},
        accept=(400, 409),
    )
    if answer.status >= 300 and len(fields) > 1:
        for field in fields:
            yield from _created(session, stream, [field])
        return
    made = {str(r.get("name")) for r in done(answer)} if answer.status < 300 else set()
    found = error_body(answer)
    found = found if isinstance(found, Mapping) else {}
    for field in fields:
        if field.name in made:
            yield Finding(f"{stream}.{field.name}", "created", _words(field))
        else:
            said = [e for e in found.get("errors") or () if field.name in str(e.get("message", ""))]
            words, _ = complaint(said[0] if said else found)
            yield Finding(
                f"{stream}.{field.name}",
                "error",
                f"could not be created: {words}",
                "an archived property of this name blocks it: restore it in HubSpot, Settings > Properties > "
                "Archived, or map another name",
            )


def _definition(field: OwnField) -> dict[str, Any]:
    kind, form = OWN_TYPES[field.type]
    options = ("true", "false") if field.type == "bool" else field.options
    return {
        "name": field.name,
        "label": field.label,
        "type": kind,
        "fieldType": form,
        "groupName": GROUP,
        "description": field.description,
        "formField": False,
        **({"options": _options(options)} if options else {}),
    }
