"""What every route of the sandbox rests on: scopes, object types, inputs, and how a record is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cssync.sandbox.server import SandboxAnswer
from cssync_hubspot.sandbox.answers import Stop, refusal
from cssync_hubspot.sandbox.definitions import KINDS
from cssync_hubspot.sandbox.portal import Portal, Thing, stamp


class Parts:
    """The account and its rules. scopes: those the token has, None for all."""

    portal: Portal
    clock: Callable[[], float]
    scopes: set[str] | None = None

    def _scope(self, scope: str) -> None:
        if self.scopes is not None and scope not in self.scopes:
            raise Stop(
                refusal(
                    403,
                    "MISSING_SCOPES",
                    "This app hasn't been granted all required scopes to make this call.",
                    errors=[
                        {
                            "message": "One or more of the following scopes are required.",
                            "context": {"requiredScopes": [scope]},
                        }
                    ],
                )
            )

    def _kind(self, name: str, use: str) -> str:
        kind = self.portal.kind(name)
        if kind is None:
            raise Stop(refusal(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}"))
        declared = next(k for k in KINDS if k.name == kind)
        schema = declared.read_scope.replace("objects", "schemas").replace("read", "write")
        self._scope({"read": declared.read_scope, "write": declared.write_scope, "schema": schema}[use])
        return kind

    def _live(self, kind: str, thing_id: str) -> Thing:
        thing = self.portal.live(kind, thing_id)
        if thing is None:
            raise Stop(refusal(404, "OBJECT_NOT_FOUND", f"Object not found. objectId are usually numeric: {thing_id}"))
        return thing

    def _inputs(self, body: Mapping[str, Any], most: int = 100) -> list[Mapping[str, Any]]:
        inputs = body.get("inputs")
        if not isinstance(inputs, list) or not 1 <= len(inputs) <= most:
            raise Stop(refusal(400, "VALIDATION_ERROR", f"inputs must hold 1 to {most} items"))
        return inputs

    def _needs(self, body: Mapping[str, Any], *keys: str) -> None:
        lacking = [k for k in keys if k not in body]
        if lacking:
            raise Stop(refusal(400, "VALIDATION_ERROR", f"Some required fields were not set: {lacking}"))

    def _shown(
        self, thing: Thing, wanted: Sequence[str], held: Mapping[str, str | None] | None = None
    ) -> dict[str, Any]:
        """A record as an answer holds it: wanted properties (null where empty), those that do not exist left out."""
        kind = next(k for k in KINDS if k.name == thing.kind)
        known = self.portal.definitions[thing.kind]
        names = sorted({"hs_object_id", "createdate", kind.modified, *(n for n in wanted or kind.shown if n in known)})
        properties = {n: (thing.properties if held is None else held).get(n) for n in names}
        shown: dict[str, Any] = {
            "id": thing.id,
            "properties": {n: v or None for n, v in properties.items()},
            "createdAt": properties["createdate"],
            "updatedAt": properties[kind.modified],
            "archived": thing.archived is not None,
            "url": f"https://app.hubspot.com/contacts/{self.portal.portal_id}/record/{kind.type_id}/{thing.id}",
        }
        if thing.archived is not None:
            shown["archivedAt"] = stamp(thing.archived)
        return shown

    def _batch(self, results: Sequence[Any], errors: Sequence[Any] = (), *, status: int = 200) -> SandboxAnswer:
        now = stamp(self.clock())
        body: dict[str, Any] = {"status": "COMPLETE", "results": list(results), "startedAt": now, "completedAt": now}
        if errors:
            body |= {"numErrors": len(errors), "errors": list(errors)}
        return SandboxAnswer(status, body)
