"""Zendesk's custom fields: their definitions, and how a value looks there and here.

A dropdown or multiselect holds tags, which must be unique in the account. cssync's own options therefore carry the
field's key: `green` of `cs_health_band` is the tag `cs_health_band_green`; an option that is not plain lower case, such
as `In Progress`, is the tag `<key>__in_progress` and is known by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from cssync.connectors import RemoteField, Session
from cssync.errors import ConnectionFault

LIST_PAGE = 100
"""Most records a page of a Zendesk list holds."""
TAGGED = ("dropdown", "tagger", "multiselect")
TYPES = {
    "integer": "integer",
    "decimal": "real",
    "checkbox": "bool",
    "date": "date",
    "multiselect": "json",
}
"""Zendesk's field type -> column type of the model; everything else is text."""
MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)T00:00:00(?:\.0+)?(?:Z|\+00:?00)")
NUMERIC = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Definition:
    """A custom field of organizations, tickets or users. `options` maps tag -> option name, in the account's order."""

    id: str
    key: str
    title: str
    type: str
    active: bool
    options: Mapping[str, str]
    custom: bool

    @property
    def ours(self) -> bool:
        """Every option's tag begins with the field's key, or one is just the tag that cssync makes of its name, beside
        which an admin may have put others: the tag without the key is the value people mean."""
        made = any(tag == tag_of(self.key, name) for tag, name in self.options.items())
        return made or (bool(self.options) and all(tag.startswith(f"{self.key}_") for tag in self.options))

    def remote(self, name: str, *, writable: bool) -> RemoteField:
        """Return the field as `cssync fields` shows it."""
        options = tuple(self.option(tag) for tag in self.options)
        return RemoteField(name, self.title, TYPES.get(self.type, "text"), writable, options, custom=self.custom)

    def decode(self, value: Any) -> Any:
        """Return the canonical value of one read: int, float, bool, text, `YYYY-MM-DD`, sorted list of text, None."""
        value = plain(value)
        if value is None:
            return None
        if self.type in TAGGED:
            tags = value if isinstance(value, list) else [value]
            options = [self.option(str(tag)) for tag in tags]
            return sorted(options) if self.type == "multiselect" else options[0]
        if self.type in ("integer", "decimal") and isinstance(value, str) and NUMERIC.fullmatch(value.strip()):
            number = float(value)
            return int(value) if self.type == "integer" and "." not in value else number
        return value

    def option(self, tag: str) -> str:
        """Return the option that a tag stands for."""
        if not self.ours or not tag.startswith(f"{self.key}_"):
            return tag
        rest, name = tag.removeprefix(f"{self.key}_"), self.options.get(tag, "")
        if rest.startswith("_"):
            return name or rest[1:]
        return name if name.isupper() and slug(name) == rest else rest

    def encode(self, value: Any) -> Any:
        """Return what to send for a canonical value.

        Raises:
            ValueError: the value does not fit the field's type, or the field has no such option; says which.
        """
        if self.type == "checkbox":
            if value is not None and not isinstance(value, bool):
                raise ValueError(f"{self.key} is a checkbox in Zendesk: true or false was expected")
            return bool(value)
        if value is None:
            return None
        if isinstance(value, (list, tuple)):
            if self.type != "multiselect":
                raise ValueError(f"{self.key} is of type {self.type} in Zendesk and cannot hold several values")
            return [self._tag(str(each)) for each in value]
        if self.type == "multiselect":
            return [self._tag(str(value))]
        if self.type in TAGGED:
            return self._tag(str(value))
        if self.type in ("integer", "decimal"):
            if isinstance(value, bool) or not NUMERIC.fullmatch(str(value)):
                raise ValueError(f"{self.key} is of type {self.type} in Zendesk: a number was expected")
            if self.type == "integer" and float(value) != int(float(value)):
                raise ValueError(f"{self.key} is an integer in Zendesk and cannot hold a fraction")
            return int(float(value)) if self.type == "integer" else value
        if self.type == "date" and not re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)):
            raise ValueError(f"{self.key} is a date in Zendesk: YYYY-MM-DD was expected")
        return value if isinstance(value, str) else str(value)

    def _tag(self, option: str) -> str:
        found = next((tag for tag in self.options if self.option(tag) == option), None)
        if found is None:
            raise ValueError(f"{self.key} has no option {option!r} in Zendesk; run `cssync provision` to add it")
        return found


def slug(option: str) -> str:
    """Return an option in the characters of a tag: lower case, digits, underscores; other scripts are kept."""
    return re.sub(r"[^\w]+", "_", option.casefold()).strip("_")


def tag_of(key: str, option: str) -> str:
    """Return the tag of an option of ours; `Definition.decode` leads back to the option."""
    plain_word = option == slug(option) or (option.isupper() and option.lower() == slug(option))
    return f"{key}_{'' if plain_word else '_'}{slug(option)}"


def plain(value: Any) -> Any:
    """Return a value as far as it can be told without its definition: "" and [] are None, midnight is a date."""
    if value == "" or value == []:
        return None
    if isinstance(value, str) and (found := MIDNIGHT.fullmatch(value)):
        return found[1]
    return value


def needs_definition(key: str, value: Any) -> bool:
    """Tell whether only the field's definition says what this value means: a tag, or digits in a string."""
    if isinstance(value, str):
        return value.startswith(f"{key}_") or NUMERIC.fullmatch(value) is not None
    return isinstance(value, list) and bool(value)


def definitions(session: Session, of: str) -> dict[str, Definition]:
    """Return the custom fields by key; ticket fields, which have none, by `custom_fields.<id>` or system type.

    `of` is `organization_fields`, `user_fields` or `ticket_fields`. One request per 100 fields.
    """
    found = {}
    for raw in listing(session, f"/api/v2/{of}", of):
        custom = raw.get("removable", True) is not False if of == "ticket_fields" else not raw.get("system", False)
        key = str(raw.get("key") or (f"custom_fields.{raw.get('id')}" if custom else raw.get("type")))
        options = {str(o.get("value")): str(o.get("name")) for o in raw.get("custom_field_options") or ()}
        found[key] = Definition(
            str(raw.get("id")),
            key,
            str(raw.get("title") or key),
            str(raw.get("type") or "text"),
            raw.get("active") is not False,
            options,
            custom,
        )
    return found


FRESH = timedelta(seconds=60)
"""How long definitions are taken for true within a session; a write asks again before it counts as proved."""
_seen: WeakKeyDictionary[Session, tuple[datetime, dict[str, Definition]]] = WeakKeyDictionary()


def organization_fields(session: Session) -> dict[str, Definition]:
    """Return the definitions that organizations are read and written by; asked unless that was within a minute."""
    asked, held = _seen.get(session, (None, None))
    if asked is None or held is None or session.now() - asked > FRESH:
        return asked_organization_fields(session)
    return held


def asked_organization_fields(session: Session) -> dict[str, Definition]:
    """Ask for the definitions of organization fields, whatever is remembered."""
    found = definitions(session, "organization_fields")
    _seen[session] = (session.now(), found)
    return found


def listing(session: Session, path: str, key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the records of a list, page by page with Zendesk's cursor.

    Raises:
        ConnectionFault: an answer without the list, or a page that leads back to one already read.
    """
    after: str | None = None
    seen: set[str] = set()
    while True:
        body = session.request("GET", path, params={"page[size]": LIST_PAGE, "page[after]": after}).json()
        yield from records(body, key, path)
        meta = body.get("meta") or {}
        if not meta.get("has_more"):
            return
        after = meta.get("after_cursor")
        if not after or after in seen:
            raise ConnectionFault(
                f"{path}: Zendesk says there is more and leads back to a page already read",
                kept="nothing of this list was used",
                fix="run again; if it stays, report it to Zendesk",
            )
        seen.add(after)


def records(body: Any, key: str, path: str) -> Sequence[Mapping[str, Any]]:
    """Return the list under `key` of a decoded answer.

    Raises:
        ConnectionFault: it is not there: a wrong answer is never taken for "no records".
    """
    found = body.get(key) if isinstance(body, Mapping) else None
    if not isinstance(found, list) or not set(map(type, found)) <= {dict}:
        raise ConnectionFault(
            f"{path}: Zendesk's answer holds no list of {key}",
            kept="nothing of this answer was used; the checkpoint is unchanged",
            fix="run again; if it stays, open the account in a browser: it may be suspended or renamed",
        )
    return found
