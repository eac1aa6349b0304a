"""What the sandbox takes as a write: known, writable properties with values that fit their definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any


class Refused(Exception):  # noqa: N818 - an answer on its way, not a fault of the program
    """A value that HubSpot would not take; `code` as in the body's `errors`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def taken(definitions: Mapping[str, Mapping[str, Any]], properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties as they will be stored.

    Raises:
        Refused: unknown or read-only property, an unknown option, a value of the wrong type.
    """
    return {name: _fits(definitions.get(name), name, value) for name, value in properties.items()}


def _fits(definition: Mapping[str, Any] | None, name: str, given: Any) -> str:
    if definition is None:
        raise Refused(f'Property "{name}" does not exist', "PROPERTY_DOESNT_EXIST")
    if definition["modificationMetadata"]["readOnlyValue"]:
        raise Refused(f'"{name}" is a read only property; its value cannot be set.', "READ_ONLY_VALUE")
    if given is None or given == "":
        return ""
    value = "true" if given is True else "false" if given is False else str(given)
    kind = definition["type"]
    if kind == "number" and not re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", value):
        raise Refused(f'"{value}" was not a valid number.', "INVALID_DOUBLE")
    if kind == "date":
        return _day(value)
    if kind == "datetime" and not re.fullmatch(r"-?\d+|\d{4}-\d{2}-\d{2}T.+", value):
        raise Refused(f'"{value}" was not a valid long.', "INVALID_LONG")
    if kind == "datetime" and value.isdigit():
        return datetime.fromtimestamp(int(value) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if kind == "bool" and value not in ("true", "false"):
        raise Refused(f'"{value}" was not one of the allowed options: [true, false]', "INVALID_OPTION")
    if kind == "enumeration":
        allowed = [o["value"] for o in definition["options"]]
        parts = value.split(";") if definition["fieldType"] == "checkbox" else [value]
        wrong = next((p for p in parts if p not in allowed), None)
        if wrong is not None:
            raise Refused(f"{wrong} was not one of the allowed options: {allowed}", "INVALID_OPTION")
    if len(value) > 65536:
        raise Refused(f'"{name}" is longer than 65536 characters', "PROPERTY_VALUE_TOO_LONG")
    return value


def _day(value: str) -> str:
    """A date is midnight UTC, as `YYYY-MM-DD` or epoch milliseconds."""
    if re.fullmatch(r"-?\d+", value):
        if int(value) % 86_400_000:
            raise Refused(f"{value} is not midnight UTC.", "INVALID_DATE")
        return datetime.fromtimestamp(int(value) / 1000, UTC).date().isoformat()
    try:
        return date.fromisoformat(value.removesuffix("T00:00:00Z").removesuffix("T00:00:00.000Z")).isoformat()
    except ValueError:
        raise Refused(f"{value} is not a valid date.", "INVALID_DATE") from None
