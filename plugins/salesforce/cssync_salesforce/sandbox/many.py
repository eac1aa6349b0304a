"""Collections of the sandbox org: 200 records a request, one result each, HTTP 200 whatever became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync_salesforce import soql
from cssync_salesforce.sandbox.writes import Refused

if TYPE_CHECKING:
    from cssync_salesforce.sandbox.org import SalesforceSandbox


class Many:
    """Writes and reads of many records at once."""

    def __init__(self, org: SalesforceSandbox) -> None:
        self.org = org

    def _asked(self, request: SandboxRequest) -> list[Mapping[str, Any]]:
        records = request.json().get("records")
        if not isinstance(records, list) or not records:
            raise Refused("INVALID_INPUT", "records is required")
        if len(records) > 200:
            raise Refused(
                "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call"
            )
        for record in records:
            if next(iter(record), "") != "attributes":
                raise Refused("JSON_PARSER_ERROR", "attributes must come before any other fields")
        return records

    def _each(
        self, records: Sequence[Mapping[str, Any]], write: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> SandboxAnswer:
        """Apply one write a record; a refused one does not stop the others."""
        results: list[dict[str, Any]] = []
        keys = [soql.id18(str(r["id"])) if soql.is_id(r.get("id")) else None for r in records]
        for place, record in enumerate(records):
            try:
                if keys[place] and keys.index(keys[place]) != place:
                    raise Refused("DUPLICATE_VALUE", "duplicate id in list", fields=("Id",))
                results.append({**write(record), "success": True, "errors": []})
            except Refused as error:
                said = {"statusCode": error.code, "message": str(error), "fields": list(error.fields)}
                results.append({"success": False, "errors": [said]})
        return SandboxAnswer(200, results)

    def write(self, request: SandboxRequest) -> SandboxAnswer:
        """Create (POST) or change records."""

        def one(record: Mapping[str, Any]) -> dict[str, Any]:
            source = record["attributes"]["type"]
            values = {k: v for k, v in record.items() if k not in ("attributes", "id", "Id")}
            if request.method == "POST":
                return {"id": self.org.create(source, values)}
            return {"id": self.org.update(source, str(record.get("id") or record.get("Id") or ""), values)}

        return self._each(self._asked(request), one)

    def upsert(self, request: SandboxRequest, source: str, field: str) -> SandboxAnswer:
        """Create or change records by an external id."""

        def one(record: Mapping[str, Any]) -> dict[str, Any]:
            values = {k: v for k, v in record.items() if k not in ("attributes", field)}
            if not record.get(field):
                raise Refused("MISSING_ARGUMENT", f"{field} not specified", fields=(field,))
            key, created = self.org.upsert(source, field, record[field], values)
            return {"id": key, "created": created}

        return self._each(self._asked(request), one)

    def delete(self, request: SandboxRequest) -> SandboxAnswer:
        """Put records into the recycle bin."""

        def one(record: Mapping[str, Any]) -> dict[str, Any]:
            key = soql.id18(str(record["id"])) or ""
            source = next((n for n, held in self.org.tables.items() if key in held), None)
            if source is None:
                raise Refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            self.org.delete(source, key)
            return {"id": key}

        return self._each([{"id": i} for i in request.query.get("ids", "").split(",")], one)

    def retrieve(self, request: SandboxRequest, source: str) -> SandboxAnswer:
        """Return records by id, null for those that are gone."""

        body = request.json()
        visible = self.org.visible(source) or {}
        unknown = [f for f in body["fields"] if f.casefold() not in visible]
        if unknown:
            raise Refused("INVALID_FIELD", f"No such column '{unknown[0]}' on entity '{source}'.")
        if len(body["ids"]) > 2000:
            raise Refused("EXCEEDED_ID_LIMIT", "at most 2000 ids")
        base = request.path.split("/composite")[0]
        held = self.org.tables[source]
        alive = [held[i] if i in held and not held[i].get("IsDeleted") else None for i in body["ids"]]
        return SandboxAnswer(200, [row and self.org.record(base, source, row, body["fields"]) for row in alive])
