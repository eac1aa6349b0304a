"""Records read: by list, by id, by search, and their associations."""

from __future__ import annotations

from typing import Any

from cssync.sandbox.server import SandboxAnswer, SandboxRequest
from cssync_hubspot.sandbox import search
from cssync_hubspot.sandbox.answers import archived, missing_error, names, no_links, refusal, token, untoken
from cssync_hubspot.sandbox.definitions import KIND_OF
from cssync_hubspot.sandbox.parts import Parts
from cssync_hubspot.sandbox.portal import link_name
from cssync_hubspot.sandbox.routes import route


class Reading(Parts):
    """Routes that read records."""

    list_page = 100
    search_page = 200
    search_cap = 10_000
    association_page = 500
    index_lag = 0.0

    @route("GET /crm/objects/{v}/{kind}")
    def list_records(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """A page of records by ascending id."""
        kind = self._kind(kind, "read")
        limit = int(request.query.get("limit") or 10)
        if not 1 <= limit <= 100:
            return refusal(400, "VALIDATION_ERROR", "limit must be between 1 and 100")
        limit = min(limit, self.list_page)
        after = request.query.get("after")
        gone = archived(request)
        found = self.portal.after(kind, untoken(after) if after else -1, archived=gone, limit=limit + 1)
        wanted = names(request.query.get("properties"))
        targets = [t for t in names(request.query.get("associations")) if t in KIND_OF]
        body: dict[str, Any] = {"results": [self._shown(t, wanted) for t in found[:limit]]}
        for shown, thing in zip(body["results"], found, strict=False):
            held = {t: self._list_links(kind, KIND_OF[t].name, thing.id) for t in targets}
            if any(held.values()):
                shown["associations"] = {t: links for t, links in held.items() if links}
        if len(found) > limit:
            body["paging"] = {"next": {"after": token(found[limit - 1].id), "link": "?after=..."}}
        return SandboxAnswer(body=body)

    @route("GET /crm/objects/{v}/{kind}/{thing_id}")
    def get_record(self, request: SandboxRequest, kind: str, thing_id: str) -> SandboxAnswer:
        """One record."""
        kind = self._kind(kind, "read")
        return SandboxAnswer(body=self._shown(self._live(kind, thing_id), names(request.query.get("properties"))))

    @route("POST /crm/objects/{v}/{kind}/batch/read")
    def batch_read(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Records by id; unknown ids stand in `errors`."""
        kind = self._kind(kind, "read")
        body = request.json()
        self._needs(body, "inputs", "properties", "propertiesWithHistory")
        ids = [str(i["id"]) for i in self._inputs(body)]
        found = [self.portal.live(kind, i) for i in dict.fromkeys(ids)]
        gone = [i for i in ids if not self.portal.live(kind, i)]
        errors = [missing_error(gone)] if gone else []
        return self._batch([self._shown(t, body["properties"]) for t in found if t], errors)

    @route("POST /crm/objects/{v}/{kind}/search")
    def search(self, request: SandboxRequest, kind: str) -> SandboxAnswer:
        """Filter, sort, page; nothing beyond the cap, nothing that the index has not seen."""
        kind = self._kind(kind, "read")
        body = request.json()
        groups = body.get("filterGroups") or []
        limit, start = int(body.get("limit") or 10), int(body.get("after") or 0)
        operators = {f.get("operator") for g in groups for f in g.get("filters") or ()}
        if search.too_many(groups) or not operators <= search.OPERATORS or not 1 <= limit <= 200:
            return refusal(400, "VALIDATION_ERROR", "Invalid search request")
        if len(body.get("sorts") or ()) > 1 or start + limit > self.search_cap:
            return refusal(400, "VALIDATION_ERROR", f"You can only page to {self.search_cap} results with one sort.")
        limit = min(limit, self.search_page)
        until = self.clock() - self.index_lag
        name, descending = search.order(body.get("sorts") or [])
        found = [
            (thing, held)
            for thing in self.portal.things[kind].values()
            if (held := search.indexed(thing, until)) is not None and search.matches(held, groups)
        ]
        found.sort(key=lambda pair: (search.comparable(pair[1].get(name)), int(pair[0].id)), reverse=descending)
        wanted = body.get("properties") or []
        answer: dict[str, Any] = {
            "total": len(found),
            "results": [self._shown(thing, wanted, held) for thing, held in found[start : start + limit]],
        }
        if start + limit < len(found):
            answer["paging"] = {"next": {"after": str(start + limit)}}
        return SandboxAnswer(body=answer)

    @route("POST /crm/associations/{v}/{start}/{end}/batch/read")
    def read_links(self, request: SandboxRequest, start: str, end: str) -> SandboxAnswer:
        """Associations of many records, each list paged by itself."""
        start, end = self._kind(start, "read"), self._kind(end, "read")
        results, errors = [], []
        for given in self._inputs(request.json(), most=1000):
            thing_id, offset = str(given["id"]), int(given.get("after") or 0)
            links = self.portal.linked(start, end, thing_id)
            if not links:
                errors.append(no_links(start, end, thing_id))
                continue
            page = links[offset : offset + self.association_page]
            item: dict[str, Any] = {
                "from": {"id": thing_id},
                "to": [
                    {
                        "toObjectId": other,
                        "associationTypes": [
                            {"category": "HUBSPOT_DEFINED", "typeId": n, **({"label": "Primary"} if n < 30 else {})}
                            for n in numbers
                        ],
                    }
                    for other, numbers in page
                ],
            }
            if offset + len(page) < len(links):
                item["paging"] = {"next": {"after": str(offset + len(page)), "link": "?after=..."}}
            results.append(item)
        return self._batch(results, errors)

    def _list_links(self, start: str, end: str, thing_id: str) -> dict[str, Any] | None:
        """The associations inside a listed record: one entry for each type, paged by itself."""
        links = [
            {"id": other, "type": link_name(start, end, n)}
            for other, numbers in self.portal.linked(start, end, thing_id)
            for n in numbers
        ]
        if not links:
            return None
        size = self.association_page
        more = {"paging": {"next": {"after": str(size), "link": "?after=..."}}} if len(links) > size else {}
        return {"results": links[:size], **more}
