"""What `describe` says of an object: which fields there are for this user, and of which kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from cssync.connectors import RemoteField, Session
from cssync.errors import ConnectionFault
from cssync_salesforce import soql
from cssync_salesforce.settings import SalesforceSettings

TYPES = {
    "int": "integer",
    "long": "integer",
    "double": "real",
    "percent": "real",
    "currency": "money",
    "boolean": "bool",
    "date": "date",
    "datetime": "instant",
    "multipicklist": "json",
}
"""describe type -> column type of the model; everything else is text."""
STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
"""Change stamps, best first: only the first moves with automated changes too, but some objects lack it."""
OPTIONAL = frozenset(("CurrencyIsoCode", "ContractId", "CS_Task_Key__c"))
"""Fields that many orgs do not have (one currency, no contracts on deals, not provisioned): no reason to warn."""

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """An object as this user sees it; a field hidden by field-level security is not in it."""

    object: str
    fields: Mapping[str, Mapping[str, Any]]

    def field(self, asked: str) -> str | None:
        """Return the API name of what was asked for, in the vendor's spelling, or None if it cannot be read.

        A dotted name asks for a field of a parent (`Owner.Name`: only the relationship can be checked here) or for a
        part of a compound field (`BillingAddress.city`: the whole is read).
        """
        lower = {n.casefold(): n for n in self.fields}
        head, _, rest = asked.partition(".")
        if head.casefold() in lower:
            return lower[head.casefold()]
        parents = (str(f.get("relationshipName") or "") for f in self.fields.values())
        parent = next((p for p in parents if p and p.casefold() == head.casefold()), None)
        return f"{parent}.{rest}" if rest and parent else None

    def options(self, name: str) -> list[Mapping[str, Any]]:
        """Return the active picklist values of a field, in their order."""
        return [o for o in self.fields.get(name, {}).get("picklistValues") or () if o.get("active", True)]

    @property
    def stamp(self) -> str:
        """The field that tells when a record changed."""
        return next((s for s in STAMPS if s in self.fields), STAMPS[0])

    def converters(self, names: Iterable[str]) -> dict[str, Convert]:
        """Return how to turn the values of these fields into canonical ones, for those that need it."""
        found: dict[str, Convert] = {}
        for name in names:
            kind = self.fields.get(name, {})
            if kind.get("type") == "multipicklist":
                found[name] = _choices
            elif kind.get("type") in ("double", "currency", "percent") and not kind.get("scale"):
                found[name] = _whole
        return found


def _choices(value: Any) -> Any:
    """A multi-select picklist `A;B` -> ["A", "B"]."""
    return value.split(";") if isinstance(value, str) and value else None if value == "" else value


def _whole(value: Any) -> Any:
    """A number without decimals comes as 82.0 -> 82."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


FRESH = timedelta(seconds=60)
"""How long a description is taken for true within a session: the pull begins with one that was just compared."""
_seen: WeakKeyDictionary[Session, dict[str, tuple[datetime, Shape]]] = WeakKeyDictionary()


def shape(session: Session, source: str) -> Shape:
    """Return what the object looks like to this user; one request unless it was asked within a minute.

    Raises:
        ConnectionFault: there is no such object, or the user may not see it.
    """
    asked, held = _seen.get(session, {}).get(source, (None, None))
    if asked is None or held is None or session.now() - asked > FRESH:
        return described(session, source)
    return held


def described(session: Session, source: str) -> Shape:
    """Ask Salesforce what the object looks like to this user; one request.

    Raises:
        ConnectionFault: there is no such object, or the user may not see it.
    """
    settings: SalesforceSettings = session.settings
    answer = session.get(f"{settings.data}/sobjects/{soql.name(source)}/describe", accept=(404,))
    if answer.status == 404:
        raise ConnectionFault(
            f"the object {source} does not exist in this org, or the execution user may not read it",
            kept="the checkpoint is unchanged",
            fix=f"grant the execution user Read and View All on {source}, or skip the stream (`skip_streams`)",
        )
    body = answer.json()
    fields = body.get("fields") if isinstance(body, Mapping) else None
    if not isinstance(fields, list) or not fields:
        raise ConnectionFault(f"the description of {source} has no fields", kept="the checkpoint is unchanged")
    found = Shape(source, {f["name"]: f for f in fields if isinstance(f, Mapping) and f.get("name")})
    _seen.setdefault(session, {})[source] = (session.now(), found)
    return found


def remote_field(described: Mapping[str, Any]) -> RemoteField:
    """Return a field in the core's words."""
    kind = str(described.get("type", "string"))
    whole = kind == "double" and not described.get("scale")
    return RemoteField(
        name=described["name"],
        label=str(described.get("label") or described["name"]),
        type="integer" if whole else TYPES.get(kind, "text"),
        writable=bool(described.get("updateable")),
        options=tuple(str(o["value"]) for o in described.get("picklistValues") or () if o.get("active", True)),
        length=described.get("length") or None,
        custom=bool(described.get("custom")),
        restricted=bool(described.get("restrictedPicklist")),
    )
