"""Answers of the sandbox account: errors in its shapes, pages, and what a custom field takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest


class Refused(Exception):  # noqa: N818 - becomes an answer, is no fault of this program
    """An error answer."""

    def __init__(self, status: int, body: Any, **headers: str) -> None:
        super().__init__(status)
        self.answer = SandboxAnswer(status, body, headers)


def no(status: int, error: str, description: str, **more: Any) -> Refused:
    return Refused(status, {"error": error, "description": description, **more})


def per_page(request: SandboxRequest) -> int:
    given = request.query.get("per_page", "")
    return max(1, min(1_000, int(given))) if given.isdigit() else 1_000


def page(name: str, rows: list[dict[str, Any]]) -> SandboxAnswer:
    return SandboxAnswer(body={name: rows, "meta": {"has_more": False, "after_cursor": None, "before_cursor": None},
                               "links": {"prev": None, "next": None}})  # fmt: skip


def invalid(name: str, text: str, error: str = "InvalidValue") -> Refused:
    return no(422, "RecordInvalid", "Record validation errors", details={name: [{"description": text, "error": error}]})


def stored(definition: Mapping[str, Any], value: Any) -> tuple[str, Any]:
    """Return (why not, value as it is kept) of a custom field."""
    kind, name = definition["type"], definition["title"]
    tags = {o["value"] for o in definition.get("custom_field_options", ())}
    wrong = f"{name}: is not valid"
    if kind == "checkbox":
        return "", bool(value)
    if value is None or value == "":
        return "", None
    match kind:
        case "dropdown":
            return ("" if value in tags else wrong), value
        case "multiselect":
            fits = isinstance(value, list) and set(value) <= tags
            return ("" if fits else wrong), value
        case "integer" | "decimal":
            fits = re.fullmatch(r"-?\d+(\.\d+)?" if kind == "decimal" else r"-?\d+", str(value)) is not None
            return ("" if fits else wrong), value
        case "date":
            fits = re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)) is not None
            return ("" if fits else wrong), f"{value}T00:00:00+00:00"
    return ("" if isinstance(value, str) else wrong), value
