"""What the sandbox checks before it takes a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from cssync_salesforce import soql
from cssync_salesforce.sandbox.schema import Described

if TYPE_CHECKING:
    from cssync_salesforce.sandbox.org import SalesforceSandbox

REQUIRED = {"Account": ("Name",), "Opportunity": ("Name", "StageName", "CloseDate"), "Contact": ("Name",)}


class Refused(Exception):  # noqa: N818 - the vendor's answer, not our failure
    """A record or request that Salesforce would refuse, with its code and the fields at fault."""

    def __init__(self, code: str, message: str, *, fields: Sequence[str] = (), status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.fields = tuple(fields)
        self.status = status


def checked(
    org: SalesforceSandbox, source: str, fields: Mapping[str, Described], values: Mapping[str, Any], *, new: bool
) -> dict[str, Any]:
    """Return the values as they are stored.

    Raises:
        Refused: a field that is unknown, hidden or read-only, or a value that does not fit it.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        described = fields.get(name.casefold())
        if described is None:
            raise Refused("INVALID_FIELD", f"No such column '{name}' on sobject of type {source}", fields=(name,))
        if not described["createable" if new else "updateable"]:
            raise Refused(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {name}. Please check the security settings of this field and verify "
                "that it is read/write for your profile or permission set.",
                fields=(name,),
            )
        found[described["name"]] = _fitting(org, described, value)
    lacking = [f for f in REQUIRED.get(source, ()) if new and not found.get(f)]
    if lacking:
        raise Refused("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(lacking)}]", fields=lacking)
    return found


def _fitting(org: SalesforceSandbox, described: Described, value: Any) -> Any:
    name, kind = described["name"], described["type"]
    if value is None or value == "":
        if kind == "boolean":
            raise Refused("INVALID_FIELD", f"{name}: a checkbox cannot be null", fields=(name,))
        return None
    if kind == "boolean":
        if not isinstance(value, bool):
            raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize instance of boolean: {name}", fields=(name,))
        return value
    if kind in ("double", "currency", "percent", "int"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize instance of {kind}: {name}", fields=(name,))
        if abs(value) >= 10 ** (described["precision"] - described["scale"] or 18):
            raise Refused("NUMBER_OUTSIDE_VALID_RANGE", f"{name}: value outside of valid range", fields=(name,))
        return int(value) if kind == "int" else float(value)
    if not isinstance(value, str):
        raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize instance of {kind}: {name}", fields=(name,))
    if kind == "date":
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise Refused("JSON_PARSER_ERROR", f"Cannot deserialize instance of date: {name}", fields=(name,)) from None
    if kind == "reference":
        return _referred(org, described, value)
    if described["restrictedPicklist"]:
        options = {o["value"] for o in described["picklistValues"]}
        if not set(value.split(";") if kind == "multipicklist" else [value]) <= options:
            raise Refused(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"{name}: bad value for restricted picklist field: {value}",
                fields=(name,),
            )
    if described["length"] and len(value) > described["length"]:
        raise Refused(
            "STRING_TOO_LONG", f"{name}: data value too large (max length={described['length']})", fields=(name,)
        )
    return value


def _referred(org: SalesforceSandbox, described: Described, value: str) -> str:
    name = described["name"]
    if not soql.is_id(value):
        raise Refused("MALFORMED_ID", f"{name}: id value of incorrect type: {value}", fields=(name,))
    full = soql.id18(value) or ""
    target = org.tables.get(described["referenceTo"][0], {}).get(full) if described["referenceTo"] else {}
    if target is None or target.get("IsDeleted"):
        raise Refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=(name,))
    if name == "OwnerId" and not target.get("IsActive", True):
        raise Refused("INACTIVE_OWNER_OR_USER", "operation performed with inactive user", fields=(name,))
    return full
