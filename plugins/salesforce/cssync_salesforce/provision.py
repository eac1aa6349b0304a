"""Create the fields that cssync writes, and let the execution user see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cssync.connectors import Answer, Finding, OwnField, Session
from cssync.errors import ConnectionFault, TransientFault
from cssync_salesforce import soql
from cssync_salesforce.client import errors, words
from cssync_salesforce.opportunities import OPPORTUNITY_KEY
from cssync_salesforce.settings import SalesforceSettings
from cssync_salesforce.shape import Shape, described
from cssync_salesforce.streams import object_of
from cssync_salesforce.tasks import TASK_KEY, query, user_id

PERMISSION_SET = "cssync"
KINDS: Mapping[str, Mapping[str, Any]] = {
    "integer": {"type": "Number", "precision": 18, "scale": 0},
    "real": {"type": "Number", "precision": 18, "scale": 4},
    "money": {"type": "Currency", "precision": 18, "scale": 2},
    "text": {"type": "LongTextArea", "length": 4000, "visibleLines": 4},
    "date": {"type": "Date"},
    "bool": {"type": "Checkbox", "defaultValue": False},
    "enum": {"type": "Picklist"},
    "multi": {"type": "MultiselectPicklist", "visibleLines": 4},
}
KEYS = (TASK_KEY, OPPORTUNITY_KEY)
KEY_KIND: Mapping[str, Any] = {"type": "Text", "length": 255, "externalId": True, "unique": True}
DESCRIBED = {
    "integer": {"double", "int", "long"},
    "real": {"double", "percent"},
    "money": {"currency", "double"},
    "text": {"string", "textarea"},
    "date": {"date"},
    "bool": {"boolean"},
    "enum": {"picklist", "string", "textarea"},
    "multi": {"multipicklist", "string", "textarea"},
}
"""describe types into which each kind of ours can be written."""


def kind_of(field: OwnField) -> Mapping[str, Any]:
    """Return the field definition for a kind of ours; choices that nobody can list are kept as text."""
    if field in KEYS:
        return KEY_KIND
    return KINDS["text" if field.type in ("enum", "multi") and not field.options else field.type]


def metadata(field: OwnField) -> dict[str, Any]:
    """Return the Metadata of a CustomField. Picklists are not restricted, so that a new band never fails a write."""
    found: dict[str, Any] = {**kind_of(field), "label": field.label[:40]}
    if field.description:
        found["description"] = field.description[:1000]
    if found["type"].lower().endswith("picklist"):
        values = [{"fullName": o, "label": o, "default": False} for o in field.options]
        found["valueSet"] = {"restricted": False, "valueSetDefinition": {"sorted": False, "value": values}}
    return found


def provision(session: Session, stream: str, fields: Sequence[OwnField], dry_run: bool) -> Iterator[Finding]:
    """Yield what exists, what was created, and what a person must do.

    For the stream `tasks` the key field is provided as well. A field created through the API is visible to nobody,
    so the permission set `cssync` grants it and is assigned to the user we run as.
    """
    source = object_of(stream)
    seen = described(session, source)
    wanted = [*fields, *([TASK_KEY] if source == "Task" and all(f.name != TASK_KEY.name for f in fields) else [])]
    missing: list[OwnField] = []
    for field in wanted:
        found = seen.field(field.name)
        if found is None:
            missing.append(field)
        else:
            yield _existing(seen, found, field)
    if dry_run:
        for field in missing:
            yield Finding(
                f"{source}.{field.name}", "would-create", f"{_plain(field)}, with Read and Edit for the execution user"
            )
        return
    by_hand: list[OwnField] = []
    made: list[str] = []
    for field in missing:
        refused = _create(session, source, field)
        if refused is None:
            made += [] if field in KEYS else [field.name]
            yield Finding(f"{source}.{field.name}", "created", _plain(field))
        elif refused:
            by_hand.append(field)
            yield Finding(f"{source}.{field.name}", "error", refused, f"create it by hand: {_plain(field)}")
    if made:
        yield Finding(
            f"{source} page layout",
            "note",
            "a field made through the API is on no page: people do not see it yet",
            f"Setup > Object Manager > {source} > Page Layouts (or the Lightning record page, with dynamic forms): add "
            f"{', '.join(made)}, read-only for people; reports show them at once",
        )
    granted = [f for f in wanted if f not in by_hand]
    if missing and granted:
        yield from _grant(session, source, [f.name for f in granted])
    if by_hand:
        names = "; ".join(f"{f.name} = {_plain(f)}" for f in by_hand)
        yield Finding(
            source,
            "error",
            f"{len(by_hand)} fields are to be created by hand",
            f"Setup > Object Manager > {source} > Fields: {names}; then Read and Edit for the execution user. Or give "
            "that user `Customize Application` and run provision again",
        )


def _plain(field: OwnField) -> str:
    kind = kind_of(field)
    size = f"({kind['precision'] - kind['scale']}, {kind['scale']})" if "scale" in kind else ""
    size = f"({kind['length']})" if "length" in kind else size
    options = f" with {', '.join(field.options)}" if field.options else ""
    return f"{kind['type']}{size} {field.label!r}{options}" + (", external id" if field in KEYS else "")


def _existing(seen: Shape, name: str, field: OwnField) -> Finding:
    described = seen.fields[name]
    subject = f"{seen.object}.{name}"
    if described.get("type") not in DESCRIBED[field.type]:
        return Finding(
            subject, "error", f"exists as {described.get('type')}, cssync writes {field.type}", "map another field name"
        )
    if not described.get("updateable"):
        return Finding(
            subject, "error", "exists but may not be written", "grant the execution user Edit on it (permission set)"
        )
    options = {str(o["value"]) for o in seen.options(name)}
    lacking = [o for o in field.options if o not in options]
    if described.get("type") in ("picklist", "multipicklist") and lacking and described.get("restrictedPicklist"):
        return Finding(
            subject, "error", f"restricted picklist without {', '.join(lacking)}", "add these values to the picklist"
        )
    if described.get("type") in ("picklist", "multipicklist") and lacking:
        told = f"exists, {described.get('type')} without {', '.join(lacking)}; it takes them all the same"
        return Finding(subject, "note", told, "add these values to the picklist, so that people can filter by them")
    length = described.get("length") or 0
    if field not in KEYS and field.type == "text" and described.get("type") in ("string", "textarea") and length < 1000:
        told = f"exists, {described.get('type')}({length}): longer texts are cut between two characters"
        return Finding(subject, "note", told, "make it a long text area to see all of it")
    if field in KEYS and not (described.get("externalId") or described.get("idLookup")):
        return Finding(subject, "warning", "exists but is no external id", "tick External ID in the field's definition")
    return Finding(subject, "ok", f"exists, {described.get('type')}")


def _create(session: Session, source: str, field: OwnField) -> str | None:
    """Create one field; None when done, "" when it exists already but hidden, else why not.

    Fields of tasks belong to Activity, which tasks and events share.
    """
    settings: SalesforceSettings = session.settings
    refused = ""
    for owner in ("Activity", "Task") if source == "Task" else (source,):
        answer = session.request(
            "POST",
            f"{settings.data}/tooling/sobjects/CustomField",
            json={"FullName": f"{owner}.{field.name}", "Metadata": metadata(field)},
            accept=(400, 403, 404),
        )
        if answer.status < 300:
            return None
        found = errors(answer)
        if any(code in ("DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE") for code, _ in found):
            return ""
        refused = words(*found[0]) if found else f"status {answer.status}"
        if answer.status == 403:
            break
    return refused


def _grant(session: Session, source: str, names: Sequence[str]) -> Iterator[Finding]:
    """Give the permission set `cssync` Read and Edit on the fields, and give it to the user we run as."""
    try:
        parent = _permission_set(session)
        condition = [f"ParentId = {soql.text(parent)}", f"SobjectType = {soql.text(source)}"]
        fields = ["Id", "Field", "PermissionsEdit"]
        held = {r["Field"]: r for r in query(session, soql.select(fields, "FieldPermissions", condition))}
        for name in names:
            full = f"{source}.{name}"
            rights = {"PermissionsRead": True, "PermissionsEdit": True}
            if full not in held:
                _insert(
                    session, "FieldPermissions", {"ParentId": parent, "SobjectType": source, "Field": full, **rights}
                )
            elif not held[full].get("PermissionsEdit"):
                _send(session, "PATCH", f"FieldPermissions/{held[full]['Id']}", rights)
        _assign(session, parent)
    except TransientFault:
        raise
    except ConnectionFault as fault:
        yield Finding(
            f"permission set {PERMISSION_SET}",
            "error",
            fault.message,
            f"grant the execution user Read and Edit on {', '.join(f'{source}.{n}' for n in names)}",
        )
        return
    yield Finding(f"permission set {PERMISSION_SET}", "ok", f"grants {len(names)} fields of {source}, and is assigned")


def _permission_set(session: Session) -> str:
    named = [f"Name = {soql.text(PERMISSION_SET)}"]
    for record in query(session, soql.select(["Id"], "PermissionSet", named)):
        return str(record["Id"])
    return _insert(session, "PermissionSet", {"Name": PERMISSION_SET, "Label": PERMISSION_SET})


def _assign(session: Session, parent: str) -> None:
    me = user_id(session)
    pair = [f"PermissionSetId = {soql.text(parent)}", f"AssigneeId = {soql.text(me)}"]
    if not any(query(session, soql.select(["Id"], "PermissionSetAssignment", pair))):
        _insert(session, "PermissionSetAssignment", {"PermissionSetId": parent, "AssigneeId": me})


def _insert(session: Session, kind: str, values: Mapping[str, Any]) -> str:
    return str(_send(session, "POST", kind, values).json()["id"])


def _send(session: Session, method: str, path: str, values: Mapping[str, Any]) -> Answer:
    settings: SalesforceSettings = session.settings
    return session.request(method, f"{settings.data}/sobjects/{path}", json=dict(values))
