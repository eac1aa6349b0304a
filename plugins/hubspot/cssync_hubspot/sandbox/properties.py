"""Property definitions and groups: read, created, changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync_hubspot.sandbox.answers import archived, refusal
from cssync_hubspot.sandbox.definitions import definition, options
from cssync_hubspot.sandbox.parts import Parts
from cssync_hubspot.sandbox.routes import route


class Properties(Parts):
    """Routes of property definitions."""

    @route("GET /crm/properties/{v}/{kind}")
    def properties(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Property definitions, live or archived."""
        gone = archived(request)
        held = self.portal.definitions[self._kind(kind, "read")].values()
        return SandboxAnswer(body={"results": [d for d in held if d["archived"] == gone]})

    @route("GET /crm/properties/{v}/{kind}/groups")
    def property_groups(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Property groups."""
        groups = self.portal.groups[self._kind(kind, "read")]
        return SandboxAnswer(
            body={"results": [{"name": n, "label": label, "archived": False} for n, label in groups.items()]}
        )

    @route("POST /crm/properties/{v}/{kind}/groups")
    def create_group(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Create a property group; 409 where it exists."""
        kind, body = self._kind(kind, "schema"), request.json()
        if body["name"] in self.portal.groups[kind]:
            return refusal(409, "CONFLICT", f"Property group {body['name']} already exists")
        self.portal.groups[kind][body["name"]] = body["label"]
        return SandboxAnswer(201, {"name": body["name"], "label": body["label"], "archived": False})

    @route("POST /crm/properties/{v}/{kind}/batch/create")
    def create_properties(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Create properties; one that exists already fails the batch."""
        kind = self._kind(kind, "schema")
        inputs = self._inputs(request.json())
        wrong = next((w for given in inputs if (w := self._bad_definition(kind, given))), None)
        if wrong:
            return refusal(*wrong)
        return self._batch([self._define(kind, given) for given in inputs])

    @route("PATCH /crm/properties/{v}/{kind}/{name}")
    def change_property(self, request: SandboxRequest, kind: str, name: str) -> SandboxAnswer:
        """Change a definition; `options` replaces the whole list."""
        kind = self._kind(kind, "schema")
        held = self.portal.definitions[kind].get(name)
        if held is None or held["archived"]:
            return refusal(404, "OBJECT_NOT_FOUND", f"Property {name} does not exist")
        held.update(request.json())
        return SandboxAnswer(200, held)

    def _bad_definition(self, kind: str, given: Mapping[str, Any]) -> tuple[int, str, str] | None:
        name = str(given.get("name"))
        lacking = [k for k in ("name", "label", "type", "fieldType", "groupName") if not given.get(k)]
        if lacking or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            return 400, "VALIDATION_ERROR", f"Invalid input: {', '.join(lacking) or name}"
        if given["groupName"] not in self.portal.groups[kind]:
            return 400, "VALIDATION_ERROR", f"Property group {given['groupName']} does not exist"
        if name in self.portal.definitions[kind]:
            return 409, "CONFLICT", f"A property named '{name}' already exists."
        if given["type"] in ("enumeration", "bool") and not given.get("options"):
            return 400, "VALIDATION_ERROR", f"Property {name} needs options"
        return None

    def _define(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        line = f"{given['name']}:{given['type']}:{given['fieldType']}"
        made = {**definition(line, own=True), **given}
        made["options"] = [{**o, "displayOrder": n} for n, o in enumerate(given.get("options") or options(()))]
        self.portal.definitions[kind][str(given["name"])] = made
        return made
