"""Records written: one by one, in batches with an outcome for each, merged, archived, associated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync_hubspot.sandbox.answers import error, missing_error, refusal, without_status
from cssync_hubspot.sandbox.definitions import KINDS
from cssync_hubspot.sandbox.parts import Parts
from cssync_hubspot.sandbox.portal import Thing
from cssync_hubspot.sandbox.routes import route
from cssync_hubspot.sandbox.writes import Refused, taken


class Changing(Parts):
    """Routes that write records."""

    @route("POST /crm/objects/{v}/{kind}")
    def create(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Create one record."""
        kind = self._kind(kind, "write")
        made = self._created(kind, request.json())
        if isinstance(made, dict):
            return refusal(400, made.pop("category"), made.pop("message"), **without_status(made))
        return SandboxAnswer(201, self._shown(made, list(made.properties)))

    @route("POST /crm/objects/{v}/{kind}/batch/create")
    def batch_create(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Create up to 100 records; failures one by one only where every input has a trace id."""
        kind = self._kind(kind, "write")
        return self._many(kind, request, self._created, 201)

    @route("POST /crm/objects/{v}/{kind}/batch/update")
    def batch_update(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Update up to 100 records; one id twice fails the batch."""
        kind = self._kind(kind, "write")
        ids = [str(i.get("id")) for i in self._inputs(request.json())]
        if len(set(ids)) < len(ids):
            return refusal(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")
        return self._many(kind, request, self._updated, 200)

    @route("PATCH /crm/objects/{v}/{kind}/{thing_id}")
    def update(self, request: SandboxRequest, kind: str, thing_id: str) -> SandboxAnswer:
        """Update one record."""
        kind = self._kind(kind, "write")
        self._live(kind, thing_id)
        made = self._updated(kind, {**request.json(), "id": thing_id})
        if isinstance(made, dict):
            return refusal(400, made.pop("category"), made.pop("message"), **without_status(made))
        return SandboxAnswer(200, self._shown(made, list(request.json().get("properties") or ())))

    @route("DELETE /crm/objects/{v}/{kind}/{thing_id}")
    def delete(self, request: SandboxRequest, kind: str, thing_id: str) -> SandboxAnswer:
        """Archive one record; 204 also where there is none."""
        self.portal.archive(self._kind(kind, "write"), thing_id)
        return SandboxAnswer(204)

    @route("POST /crm/objects/{v}/{kind}/merge")
    def merge(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Merge two records."""
        kind = self._kind(kind, "write")
        body = request.json()
        survivor, loser = str(body["primaryObjectId"]), str(body["objectIdToMerge"])
        self._live(kind, survivor)
        self._live(kind, loser)
        return SandboxAnswer(200, self._shown(self.portal.merge(kind, survivor, loser), []))

    @route("PUT /crm/objects/{v}/{start}/{start_id}/associations/default/{end}/{end_id}")
    def associate(self, request: SandboxRequest, start: str, start_id: str, end: str, end_id: str) -> SandboxAnswer:
        """Associate two records without a label."""
        start, end = self._kind(start, "write"), self._kind(end, "read")
        self._live(start, start_id)
        self._live(end, end_id)
        self.portal.link(start, start_id, end, end_id)
        return self._batch([])

    def _many(
        self, kind: str, request: SandboxRequest, act: Callable[[str, Mapping[str, Any]], Any], status: int
    ) -> SandboxAnswer:
        inputs = self._inputs(request.json())
        traced = all(i.get("objectWriteTraceId") for i in inputs)
        if not traced:
            wrong = next((w for i in inputs if (w := self._wrong(kind, i)) is not None), None)
            if wrong:
                return refusal(400, wrong["category"], wrong["message"])
        results, errors = [], []
        for given in inputs:
            made = act(kind, given)
            trace = given.get("objectWriteTraceId")
            if isinstance(made, Thing):
                shown = self._shown(made, list(given.get("properties") or ()))
                shown["properties"].update({n: "" for n, v in (given.get("properties") or {}).items() if v == ""})
                results.append({**shown, **({"objectWriteTraceId": trace} if trace else {})})
            else:
                errors.append({**made, "context": {**made["context"], "objectWriteTraceId": [trace]}})
        return self._batch(results, errors, status=status)

    def _wrong(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """The error body of one input, None if it can be written."""
        try:
            properties = taken(self.portal.definitions[kind], given.get("properties") or {})
        except Refused as refused:
            return error("VALIDATION_ERROR", refused.message, refused.code)
        if "id" in given and self.portal.live(kind, str(given["id"])) is None:
            return missing_error([str(given["id"])])
        if "id" not in given and kind == "tasks" and not properties.get("hs_timestamp"):
            return error("VALIDATION_ERROR", "hs_timestamp is required", "REQUIRED_FIELD")
        return None

    def _created(self, kind: str, given: Mapping[str, Any]) -> Thing | dict[str, Any]:
        links = [(str(a["to"]["id"]), a["types"]) for a in given.get("associations") or ()]
        wrong = self._wrong(kind, given)
        targets = [(other, self._holder(other)) for other, _ in links]
        missing = [other for other, held in targets if held is None]
        if wrong is None and missing:
            wrong = missing_error(missing)
        if wrong:
            return wrong
        thing = self.portal.add(kind, taken(self.portal.definitions[kind], given.get("properties") or {}))
        for (other, types), (_, held) in zip(links, targets, strict=True):
            self.portal.link(kind, thing.id, str(held), other, [int(t["associationTypeId"]) for t in types])
        return thing

    def _holder(self, thing_id: str) -> str | None:
        return next((k.name for k in KINDS if self.portal.live(k.name, thing_id)), None)

    def _updated(self, kind: str, given: Mapping[str, Any]) -> Thing | dict[str, Any]:
        wrong = self._wrong(kind, given)
        if wrong:
            return wrong
        properties = taken(self.portal.definitions[kind], given.get("properties") or {})
        return self.portal.edit(kind, str(given["id"]), **properties)
