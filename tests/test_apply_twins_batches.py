"""Twin runs in which a batch is answered otherwise than it was sent: in another order, in part, with locked rows and
with refusals. Each is one front between the server and the sandbox; it acts on the first batch, or as long as told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cssync.sandbox.server import Fault, SandboxAnswer, SandboxRequest
from cssync.writeback.failures import retry
from cssync_salesforce.sandbox.writes import Refused as SalesforceRefused
from office import CREATES, UPDATES
from twins import Twin, come_through

ROWS = {"hubspot": "inputs", "salesforce": "records", "zendesk": "organizations"}
"""Where a batch has its rows."""
TOLD = {
    "hubspot": r"POST .*/{}/batch/(update|create)", "salesforce": r"PATCH .*/composite/sobjects(/{}.*)?$",
    "zendesk": r"GET .*/job_statuses/",
}  # fmt: skip
"""The answers that tell what became of the rows, of companies or of tasks."""
KINDS = {"fields": {"hubspot": "companies", "salesforce": "$none"}, "tasks": {"hubspot": "tasks", "salesforce": "Task"}}


@dataclass
class Front:
    """Takes rows out of batches, and changes what is answered about them. `left`: batches yet to meet it."""

    behind: Any
    vendor: str
    what: str
    keep: Callable[[list[Any]], list[Any]] = lambda rows: rows
    answer: Callable[[list[Any], list[Any]], list[Any]] = lambda told, out: told
    left: int = 1
    met: int = 0
    out: list[Any] | None = None

    def handle(self, request: SandboxRequest) -> SandboxAnswer:
        """Answer one request."""
        line = f"{request.method} {request.path}"
        sends = UPDATES[self.vendor] if self.what == "fields" else CREATES[self.vendor]
        if Fault(sends.replace(r"(\?|$)", "$")).hits(line) and self.left:
            self.left -= 1
            self.met += 1
            body = request.json()
            rows = body[ROWS[self.vendor]]
            kept = self.keep(rows)
            self.out = [row for row in rows if row not in kept]
            request = replace(request, body=json.dumps({**body, ROWS[self.vendor]: kept}).encode())
        answer: SandboxAnswer = self.behind.handle(request)
        told = TOLD[self.vendor].format(KINDS[self.what].get(self.vendor))
        if self.out is None or answer.status >= 300 or not Fault(told).hits(line):
            return answer
        out, body = self.out, answer.body
        if self.vendor == "zendesk":
            if body["job_status"]["results"] is None:
                return answer
            job = {**body["job_status"], "results": self.answer(body["job_status"]["results"], out)}
            changed: Any = {"job_status": job}
        elif self.vendor == "hubspot":
            results = self.answer(body["results"], out)
            errors = [row for row in results if "category" in row]
            fine = [row for row in results if row not in errors]
            changed = {**body, "results": fine, **({"errors": errors, "numErrors": len(errors)} if errors else {})}
        else:
            changed = self.answer(body, out)
        self.out = None
        return replace(answer, status=207 if self.vendor == "hubspot" else answer.status, body=changed)


def refusal(vendor: str, row: Any, *, passing: bool, named: bool = True) -> dict[str, Any]:
    """How a vendor says that it did not write a row: because it is locked (passing), or for good."""
    if vendor == "salesforce":
        code = "UNABLE_TO_LOCK_ROW" if passing else "FIELD_CUSTOM_VALIDATION_EXCEPTION"
        return {"success": False, "errors": [{"statusCode": code, "message": "no", "fields": []}]}
    if vendor == "zendesk":
        kind = "DatabaseConflict" if passing else "OrganizationUpdateFailed"
        return {"id": row["id"], "index": 0, "error": kind, "details": "no"}
    ids = {"objectWriteTraceId": [row["objectWriteTraceId"]]} if named else {}
    return {"category": "INTERNAL_ERROR" if passing else "VALIDATION_ERROR", "message": "no", "context": ids}


def in_another_order(vendor: str) -> dict[str, Any]:
    return {"answer": lambda told, out: told[::-1]}


def without_the_last(vendor: str) -> dict[str, Any]:
    return {"answer": lambda told, out: told[:-1]}


def nothing_told(vendor: str) -> dict[str, Any]:
    return {"answer": lambda told, out: []}


def first_locked(vendor: str) -> dict[str, Any]:
    locked: Callable[[Any], Any] = lambda row: refusal(vendor, row, passing=True)  # noqa: E731
    return {"keep": lambda rows: rows[1:], "answer": lambda told, out: [*map(locked, out), *told]}


def errors_without_a_name(vendor: str) -> dict[str, Any]:
    nameless: Callable[[Any], Any] = lambda row: refusal(vendor, row, passing=True, named=False)  # noqa: E731
    return {"keep": lambda rows: rows[2:], "answer": lambda told, out: [*told, *map(nameless, out)]}


def first_not_done_nor_told(vendor: str) -> dict[str, Any]:
    return {"keep": lambda rows: rows[1:]}


def all_locked_three_times(vendor: str) -> dict[str, Any]:
    locked: Callable[[Any], Any] = lambda row: refusal(vendor, row, passing=True)  # noqa: E731
    return {"keep": lambda rows: rows[:1], "answer": lambda told, out: [*told, *map(locked, out)], "left": 3}


ODD = (in_another_order, without_the_last, nothing_told, first_locked, first_not_done_nor_told, all_locked_three_times)
CASES = [(vendor, "fields", odd) for vendor in UPDATES for odd in ODD]
CASES += [(vendor, "tasks", odd) for vendor in ("hubspot", "salesforce") for odd in ODD]
CASES += [("hubspot", what, errors_without_a_name) for what in KINDS]


@pytest.mark.parametrize(
    ("vendor", "what", "odd"), CASES, ids=[f"{v}, {w}, {odd.__name__.replace('_', ' ')}" for v, w, odd in CASES]
)
def test_odd_answers_to_a_batch_leave_the_world_and_the_journal_of_an_undisturbed_run(
    tmp_path: Path, calm: dict[str, Twin], vendor: str, what: str, odd: Callable[[str], dict[str, Any]]
) -> None:
    front: list[Front] = []

    def between(app: Any) -> Front:
        front.append(Front(app, vendor, what, **odd(vendor)))
        return front[0]

    with calm[vendor].disturbed(tmp_path, front=between) as office:
        come_through(office, 8)
        assert front[0].met
        calm[vendor].must_equal(office)


def refuse(app: Any, victim: str, tries: list[str]) -> Callable[[], None]:
    """Have a rule of the vendor's admins refuse every change of one record; returns what lifts it."""

    def wrong(key: Any) -> bool:
        tries.extend([str(key)] * (str(key) == victim))
        return str(key) == victim

    if hasattr(app, "desk"):
        write = app.write
        app.write = lambda key, given: "no" if wrong(key) else write(key, given)
        return lambda: setattr(app, "write", write)
    if hasattr(app, "portal"):
        no = {"category": "VALIDATION_ERROR", "message": "no", "errors": []}
        app._updated = lambda kind, given: (
            {**no, "status": "error", "context": {}} if wrong(given["id"]) else type(app)._updated(app, kind, given)
        )
        return lambda: delattr(app, "_updated")

    def update(source: str, key: str, values: Any) -> Any:
        if wrong(key):
            raise SalesforceRefused("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no")
        return type(app).update(app, source, key, values)

    app.update = update
    return lambda: delattr(app, "update")


@pytest.mark.parametrize("vendor", UPDATES)
def test_a_record_refused_for_good_is_tried_once_and_holds_back_no_other(
    tmp_path: Path, calm: dict[str, Twin], vendor: str
) -> None:
    """Five days; then the rule is lifted and a person says `retry`."""
    twin, tries = calm[vendor], list[str]()
    victim = twin.row(0, "band")[0]
    with twin.disturbed(tmp_path) as office:
        lift = refuse(office.server.app, victim, tries)
        counts = []
        for _ in range(5):
            office.run()
            office.pull()
            counts.append(len(tries))
            office.clock.sleep(86_400)
        stuck = office.store.query("SELECT DISTINCT source_id, state, error FROM outbox WHERE state <> 'verified'")
        assert [(row["source_id"], row["state"]) for row in stuck] == [(victim, "failed-permanent")]
        assert "no" in stuck[0]["error"]
        assert counts == [1 + 3] * 5, "the record, and each of its fields on its own"
        assert office.ledger.journal == [row for row in twin.journal if row[0] != victim]
        lift()
        retry(office.store, ())
        come_through(office, 3)
        twin.must_equal(office)


@pytest.mark.parametrize("vendor", UPDATES)
@pytest.mark.parametrize("what", ["creates", "updates"])
def test_a_right_that_is_missing_for_a_while_needs_a_person_and_then_nothing_else(
    tmp_path: Path, calm: dict[str, Twin], vendor: str, what: str
) -> None:
    """403 on one kind of request: told once a run, one request each, and nothing is lost when the right is back."""
    body: Any = {"message": "no", "category": "MISSING_SCOPES", "errors": []}
    body = [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}] if vendor == "salesforce" else body
    body = {"error": {"title": "Forbidden", "message": "no"}} if vendor == "zendesk" else body
    route = (CREATES if what == "creates" else UPDATES)[vendor]
    with calm[vendor].disturbed(tmp_path) as office:
        fault = Fault(route, times=99, answer=SandboxAnswer(403, body))
        office.server.faults.append(fault)
        for number in range(3):
            assert not office.run()
            assert fault.seen <= number + 3, "one request a run, and no more for each record"
        office.server.faults.clear()
        retry(office.store, ())
        come_through(office, 3)
        calm[vendor].must_equal(office)
