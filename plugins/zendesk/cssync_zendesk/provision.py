"""Create the organization fields that cssync writes. Nothing is ever deleted or retyped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cssync.connectors import Finding, OwnField, Session
from cssync_zendesk.client import ADMIN, words
from cssync_zendesk.fields import Definition, definitions, tag_of

TYPE = {
    "integer": "integer",
    "real": "decimal",
    "money": "decimal",
    "text": "textarea",
    "date": "date",
    "bool": "checkbox",
    "enum": "dropdown",
    "multi": "multiselect",
}
"""Our type -> Zendesk's."""
AS_GOOD = {"integer": ("decimal",), "textarea": ("text",), "dropdown": ("text", "textarea")}
"""Types that hold the same values, where an admin made the field first."""
PATH = "/api/v2/organization_fields"


def provision(session: Session, stream: str, fields: Sequence[OwnField], dry_run: bool) -> Iterator[Finding]:
    """Create what is missing; for admins only. Yields one finding per field, `would-create` with `dry_run`.

    Options added to a rule later are added to the field: the whole list is sent, since Zendesk deletes options, and
    their values, that an update leaves out.
    """
    if stream != "organizations":
        yield Finding(stream, "error", "cssync writes to Zendesk organizations only", "set `to: organizations`")
        return
    known = definitions(session, "organization_fields")
    for field in fields:
        held = known.get(field.name)
        if held is None:
            yield _create(session, field, dry_run)
        else:
            yield _compare(session, field, held, dry_run)


def _create(session: Session, field: OwnField, dry_run: bool) -> Finding:
    subject, kind = f"organizations.{field.name}", TYPE[field.type]
    if dry_run:
        return Finding(subject, "would-create", f"organization field of type {kind}")
    body: dict[str, Any] = {"key": field.name, "type": kind, "title": field.label, "active": True}
    if field.description:
        body["description"] = field.description
    if kind in ("dropdown", "multiselect"):
        body["custom_field_options"] = [{"name": o, "value": tag_of(field.name, o)} for o in field.options]
    answer = session.request("POST", PATH, json={"organization_field": body}, accept=(403, 422))
    if answer.status == 403:
        return Finding(subject, "error", f"not allowed to create fields ({words(answer)})", _by_hand(field, body))
    # A lost answer is asked for again, and then the key is taken: by us.
    if answer.status == 422 and field.name not in definitions(session, "organization_fields"):
        return Finding(subject, "error", f"Zendesk refused the field: {words(answer)}", _by_hand(field, body))
    return Finding(subject, "created", f"organization field of type {kind}")


def _by_hand(field: OwnField, body: Mapping[str, Any]) -> str:
    """How an admin makes the field, where the scope or role of the OAuth client does not allow us to."""
    options = ", ".join(f"{o['name']} = {o['value']}" for o in body.get("custom_field_options", ()))
    return (
        f"{ADMIN} and allow the scope `write` for this one run, or add it in Admin Center > People > Organization "
        f"fields: key {field.name}, type {body['type']}{f', options (name = tag) {options}' if options else ''}"
    )


def _compare(session: Session, field: OwnField, held: Definition, dry_run: bool) -> Finding:
    subject, kind = f"organizations.{field.name}", TYPE[field.type]
    if not held.active:
        return Finding(
            subject, "error", "the field is switched off in Zendesk", "activate it under Organization fields"
        )
    if held.type != kind and held.type not in AS_GOOD.get(kind, ()):
        return Finding(
            subject,
            "error",
            f"the field is of type {held.type} in Zendesk, {kind} is needed; a type cannot be changed",
            f"map another field name to this result, or delete the field in Zendesk if nobody else uses {field.name}",
        )
    have = {held.option(tag) for tag in held.options}
    lacking = [option for option in field.options if option not in have]
    if held.type not in ("dropdown", "multiselect") or not lacking:
        return Finding(subject, "ok", f"organization field of type {held.type}")
    if dry_run:
        return Finding(subject, "would-create", f"options {', '.join(lacking)}")
    options = [{"name": name, "value": tag} for tag, name in held.options.items()]
    options += [{"name": option, "value": tag_of(field.name, option)} for option in lacking]
    answer = session.request(
        "PUT", f"{PATH}/{held.id}", json={"organization_field": {"custom_field_options": options}}, accept=(403, 422)
    )
    if answer.status != 200:
        return Finding(subject, "error", f"Zendesk refused the options: {words(answer)}", "add them by hand")
    return Finding(subject, "created", f"options {', '.join(lacking)}")
