"""Writing: one outcome for each change, nothing twice, one bad record never in another's way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cssync.connectors import Change, Outcome, OwnField, TaskContent
from cssync.errors import ConnectionFault, TransientFault
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync_hubspot.setup import provision
from cssync_hubspot.writeback import find_tasks, properties, push, read, same, task_body, text

FIELDS = [
    OwnField("cs_score", "Score", "integer"),
    OwnField("cs_band", "Band", "enum", ("green", "yellow", "red")),
    OwnField("cs_signals", "Signals", "multi", ("U01", "K03")),
    OwnField("cs_renewal", "Renewal", "date"),
    OwnField("cs_stale", "Stale", "bool"),
    OwnField("cs_reasons", "Reasons", "text"),
]


@pytest.fixture
def ready(rig: Any) -> Any:
    """A rig whose account has our fields."""
    list(provision(rig.session, "companies", FIELDS, dry_run=False))
    return rig


def update(company: str, key: str = "", **values: Any) -> Change:
    return Change(key or f"k{company}", "update", "companies", company, values)


def outcomes(rig: Any, changes: list[Change]) -> dict[str, Outcome]:
    found = list(push(rig.session, changes))
    assert sorted(o.key for o in found) == sorted(c.key for c in changes)
    return {o.key: o for o in found}


def states(rig: Any, changes: list[Change]) -> dict[str, str]:
    return {key: o.state for key, o in outcomes(rig, changes).items()}


def sent(rig: Any, route: str) -> list[Any]:
    return [json.loads(e.body)["inputs"] for e in rig.server.requests(route)]


def test_all_kinds_of_values_arrive_are_proved_and_read_back(ready: Any) -> None:
    (company,) = ready.fill("companies", 1, name="x")
    values = {
        "cs_score": 82, "cs_band": "green", "cs_signals": ["U01", "K03"], "cs_renewal": "2027-03-31",
        "cs_stale": False, "cs_reasons": "利用が減少 <20 %>\n=1+1",
    }  # fmt: skip
    got = outcomes(ready, [update(company, **values)])[f"k{company}"]
    assert (got.state, got.remote_id) == ("verified", company)
    (inputs,) = sent(ready, "companies/batch/update")
    assert inputs[0]["properties"] == {
        "cs_score": "82", "cs_band": "green", "cs_signals": "U01;K03", "cs_renewal": "2027-03-31",
        "cs_stale": "false", "cs_reasons": "利用が減少 <20 %>\n=1+1",
    }  # fmt: skip
    held = read(ready.session, "companies", [company, "404"], list(values))
    assert held == {company: inputs[0]["properties"]}
    cleared = outcomes(ready, [update(company, cs_score=None)])[f"k{company}"]
    assert (cleared.state, cleared.values) == ("verified", {"cs_score": None})
    assert sent(ready, "companies/batch/update")[1][0]["properties"] == {"cs_score": ""}
    assert read(ready.session, "companies", [company], ["cs_score"]) == {company: {"cs_score": None}}


def test_250_records_cost_three_requests_and_none_is_verified_without_its_id(ready: Any) -> None:
    companies = ready.fill("companies", 250, name="x")
    assert set(states(ready, [update(c, cs_score=1) for c in companies]).values()) == {"verified"}
    assert [len(i) for i in sent(ready, "companies/batch/update")] == [100, 100, 50]


def test_a_record_that_occurs_twice_goes_into_two_batches(ready: Any) -> None:
    a, b = ready.fill("companies", 2, name="x")
    changes = [update(a, "1", cs_score=1), update(b, "2", cs_score=1), update(a, "3", cs_band="red")]
    assert set(states(ready, changes).values()) == {"verified"}
    assert [[i["id"] for i in inputs] for inputs in sent(ready, "companies/batch/update")] == [[a, b], [a]]


def test_partial_errors_in_a_200_body_fail_only_their_records_in_the_vendors_words(ready: Any) -> None:
    a, b, c = ready.fill("companies", 3, name="x")
    got = outcomes(ready, [update(a, cs_score=1), update(b, cs_band="purple"), update("12345", cs_score=1), update(c)])
    assert {k: o.state for k, o in got.items()} == {
        f"k{a}": "verified", f"k{b}": "failed-permanent", "k12345": "failed-permanent", f"k{c}": "verified",
    }  # fmt: skip
    assert "purple was not one of the allowed options" in got[f"k{b}"].error
    assert "VALIDATION_ERROR" in got[f"k{b}"].error
    assert "OBJECT_NOT_FOUND" in got["k12345"].error
    assert len(ready.server.requests("batch/update")) == 1


def test_a_400_without_names_is_bisected_down_to_the_guilty_record(ready: Any) -> None:
    companies = ready.fill("companies", 16, name="x")
    real = ready.app.handle

    def handle(request: Any) -> Any:
        if request.path.endswith("batch/update") and companies[11] in request.body.decode():
            return SandboxAnswer(
                400,
                {"status": "error", "category": "VALIDATION_ERROR", "message": "portal rule", "correlationId": "c-9"},
            )
        return real(request)

    ready.app.handle = handle
    got = outcomes(ready, [update(c, cs_score=5) for c in companies])
    bad = got.pop(f"k{companies[11]}")
    assert (bad.state, bad.error, bad.correlation_id) == ("failed-permanent", "VALIDATION_ERROR: portal rule", "c-9")
    assert {o.state for o in got.values()} == {"verified"}
    assert len(ready.server.requests("batch/update")) == 9


def test_errors_that_name_nobody_are_settled_by_sending_the_rest_again(ready: Any) -> None:
    companies = ready.fill("companies", 4, name="x")
    real = ready.app.handle

    def handle(request: Any) -> Any:
        answer = real(request)
        for error in answer.body.get("errors", ()) if isinstance(answer.body, dict) else ():
            error["context"] = {}
        return answer

    ready.app.handle = handle
    changes = [update(c, cs_score="many" if n in (1, 2) else 1) for n, c in enumerate(companies)]
    got = states(ready, changes)
    assert [got[c.key] for c in changes] == ["verified", "failed-permanent", "failed-permanent", "verified"]


def test_results_in_another_order_are_matched_by_id(ready: Any) -> None:
    companies = ready.fill("companies", 3, name="x")
    real = ready.app.handle

    def handle(request: Any) -> Any:
        answer = real(request)
        if request.path.endswith("batch/update"):
            answer.body["results"].reverse()
            for result in answer.body["results"]:
                result.pop("objectWriteTraceId")
        return answer

    ready.app.handle = handle
    got = outcomes(ready, [update(c, cs_score=n) for n, c in enumerate(companies)])
    assert {o.remote_id: o.values for o in got.values()} == {c: {"cs_score": str(n)} for n, c in enumerate(companies)}


def test_an_answer_that_shows_another_value_is_sent_but_not_verified(ready: Any) -> None:
    (company,) = ready.fill("companies", 1, name="x")
    shown = {"id": company, "properties": {"cs_score": "7"}, "createdAt": "", "updatedAt": "", "archived": False}
    answer = SandboxAnswer(200, {"status": "COMPLETE", "results": [shown], "startedAt": "", "completedAt": ""})
    ready.faults.append(Fault("batch/update", answer=answer))
    got = outcomes(ready, [update(company, cs_score=8)])[f"k{company}"]
    assert (got.state, got.values) == ("sent", {"cs_score": "7"})


def test_a_property_deleted_meanwhile_fails_its_record_and_no_answer_without_it_is_a_proof(ready: Any) -> None:
    first, second = ready.fill("companies", 2)
    silent = {"status": "COMPLETE", "results": [{"id": first, "properties": {"cs_band": "red"}}]}
    ready.server.faults.append(Fault("POST .*/batch/update", answer=SandboxAnswer(200, silent)))
    assert states(ready, [update(first, cs_score=41, cs_band="red")]) == {f"k{first}": "sent"}
    del ready.app.portal.definitions["companies"]["cs_score"]
    found = outcomes(ready, [update(first, cs_score=41), update(second, cs_band="red")])
    assert (found[f"k{first}"].state, "cs_score" in found[f"k{first}"].error) == ("failed-permanent", True)
    assert found[f"k{second}"].state == "verified"


def test_a_limited_vendor_leaves_every_change_for_a_retry(ready: Any) -> None:
    companies = ready.fill("companies", 150, name="x")
    ready.faults.append(Fault("batch/update", times=99, answer=SandboxAnswer(429, {"message": "no"})))
    found: list[Outcome] = []
    with pytest.raises(TransientFault):
        found.extend(push(ready.session, [update(c, cs_score=1) for c in companies]))
    assert len(found) == 150
    assert {o.state for o in found} == {"failed-retry"}
    assert {json.loads(e.body)["inputs"][0]["id"] for e in ready.server.requests("batch/update")} == {companies[0]}


@pytest.mark.parametrize("after", [False, True])
def test_an_update_without_an_answer_is_not_sent_again(ready: Any, after: bool) -> None:
    companies = ready.fill("companies", 150, name="x")
    ready.faults.append(Fault("batch/update", after=after, answer=SandboxAnswer(503, {"message": "no"})))
    found = list(push(ready.session, [update(c, cs_score=1) for c in companies]))
    assert [o.state for o in found] == ["unknown"] * 100 + ["verified"] * 50
    assert len(ready.server.requests("batch/update")) == 2


def test_a_record_that_the_answer_does_not_mention_is_not_sent_again(ready: Any) -> None:
    first, second = ready.fill("companies", 2, name="x")
    told = {"results": [{"id": first, "properties": {"cs_score": "1"}}]}
    ready.faults.append(Fault("batch/update", after=True, answer=SandboxAnswer(200, told)))
    found = {o.key: o.state for o in push(ready.session, [update(c, cs_score=1) for c in (first, second)])}
    assert sorted(found.values()) == ["unknown", "verified"]
    assert len(ready.server.requests("batch/update")) == 1


def test_a_missing_scope_stops_the_connection_and_names_it(ready: Any) -> None:
    (company,) = ready.fill("companies", 1, name="x")
    ready.app.scopes = {"crm.objects.companies.read"}
    with pytest.raises(ConnectionFault) as caught:
        list(push(ready.session, [update(company, cs_score=1)]))
    assert "crm.objects.companies.write" in caught.value.fix


# --- tasks ------------------------------------------------------------------------------------------------------------


def content(company: str, key: str = "R03-abc", **given: Any) -> TaskContent:
    return TaskContent(**{"key": key, "account_source_id": company, "subject": "Prepare renewal",
                          "body": "Ends 2027-03-31.\nA & B <Inc>", "due_on": "2026-12-28", "priority": "high",
                          **given})  # fmt: skip


def create(task: TaskContent) -> Change:
    return Change(f"create/{task.key}", "create_task", "tasks", None, task=task)


def test_a_task_is_created_with_its_company_and_found_again_by_its_key(ready: Any) -> None:
    (company,) = ready.fill("companies", 1, name="x")
    got = outcomes(ready, [create(content(company, owner_source_id="77"))])["create/R03-abc"]
    assert got.state == "verified"
    ((made,),) = sent(ready, "tasks/batch/create")
    assert made["properties"] == {
        "hs_task_subject": "Prepare renewal",
        "hs_task_body": "Ends 2027-03-31.<br>\nA &amp; B &lt;Inc&gt;<br>\n<br>\ncssync:R03-abc",
        "hs_task_status": "NOT_STARTED",
        "hs_timestamp": "2026-12-28T03:00:00Z",
        "hs_task_priority": "HIGH",
        "hs_task_type": "TODO",  # its plain kind
        "hubspot_owner_id": "77",
    }
    assert made["associations"] == [
        {"to": {"id": company}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 192}]}
    ]
    found = find_tasks(ready.session, [content(company), content(company, "other")])
    assert list(found) == ["R03-abc"]
    task = found["R03-abc"]
    assert (task.remote_id, task.status, task.subject, task.due_on) == (
        got.remote_id, "open", "Prepare renewal", "2026-12-28",
    )  # fmt: skip
    assert not ready.server.requests("tasks/search")


def test_an_existing_task_is_found_among_many_and_read_to_the_end_of_the_list(ready: Any) -> None:
    (company,) = ready.fill("companies", 1, name="x")
    outcomes(ready, [create(content(company, f"k{n}")) for n in range(30)])
    ready.app.association_page = 7
    assert set(find_tasks(ready.session, [content(company, f"k{n}") for n in range(30)])) == {
        f"k{n}" for n in range(30)
    }


def test_tasks_are_updated_and_closed_in_place(ready: Any) -> None:
    (company,) = ready.fill("companies", 1, name="x")
    remote = outcomes(ready, [create(content(company))])["create/R03-abc"].remote_id
    moved = content(company, due_on="2027-01-29", subject="Moved")
    assert states(ready, [Change("u", "update_task", "tasks", remote, task=moved)]) == {"u": "verified"}
    done = content(company, note="Renewal was won.")
    assert states(ready, [Change("c", "close_task", "tasks", remote, task=done)]) == {"c": "verified"}
    held = ready.app.portal.things["tasks"][remote].properties
    assert (held["hs_task_status"], held["hs_timestamp"][:10]) == ("COMPLETED", "2027-01-29")
    assert held["hs_task_body"].endswith("Renewal was won.<br>\n<br>\ncssync:R03-abc")
    assert find_tasks(ready.session, [moved])["R03-abc"].status == "done"
    assert len(ready.app.portal.things["tasks"]) == 1


@pytest.mark.parametrize("fault", [{"drop": True}, {"cut": True}, {"after": True, "answer": SandboxAnswer(502, b"")}])
def test_a_create_without_a_readable_answer_is_unknown_and_never_repeated(ready: Any, fault: dict[str, Any]) -> None:
    (company,) = ready.fill("companies", 1, name="x")
    ready.faults.append(Fault("tasks/batch/create", times=9, **fault))
    assert states(ready, [create(content(company))]) == {"create/R03-abc": "unknown"}
    assert len(ready.server.requests("tasks/batch/create")) == 1
    assert list(find_tasks(ready.session, [content(company)])) == ["R03-abc"]


def test_one_task_that_cannot_be_created_does_not_stop_the_others(ready: Any) -> None:
    a, b = ready.fill("companies", 2, name="x")
    tasks = [content(a, "k1"), content("999", "k2"), content(b, "k3")]
    got = outcomes(ready, [create(t) for t in tasks])
    assert [got[f"create/{k}"].state for k in ("k1", "k2", "k3")] == ["verified", "failed-permanent", "verified"]
    assert len(ready.app.portal.things["tasks"]) == 2


def test_a_batch_of_tasks_refused_as_a_whole_is_cut_and_nothing_is_created_twice(ready: Any) -> None:
    companies = ready.fill("companies", 5, name="x")
    real = ready.app.handle

    def handle(request: Any) -> Any:
        if request.path.endswith("tasks/batch/create") and "cssync:k3" in request.body.decode():
            return SandboxAnswer(400, {"status": "error", "category": "VALIDATION_ERROR", "message": "needs a queue"})
        return real(request)

    ready.app.handle = handle
    got = outcomes(ready, [create(content(c, f"k{n}")) for n, c in enumerate(companies)])
    assert [got[f"create/k{n}"].state for n in range(5)] == [*(["verified"] * 3), "failed-permanent", "verified"]
    assert len(ready.app.portal.things["tasks"]) == 4


def test_when_tasks_cannot_be_listed_nothing_is_said_about_them(ready: Any) -> None:
    (company,) = ready.fill("companies", 1, name="x")
    ready.faults.append(Fault("associations/", times=99, answer=SandboxAnswer(500, {"message": "no"})))
    with pytest.raises(TransientFault, match="did not list the tasks"):
        find_tasks(ready.session, [content(company)])


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "form"),
    [(None, ""), (True, "true"), (0, "0"), (82.0, "82.0"), (1e-7, "0.0000001"), (1e21, "1000000000000000000000"),
     (["b", "a"], "b;a"), ("=cmd", "=cmd")],
)  # fmt: skip
def test_values_become_text(value: Any, form: str) -> None:
    assert text(value) == form


@pytest.mark.parametrize(
    ("given", "held", "equal"),
    [
        ("82", "82.0", True), ("82", "83", False), ("", None, True), ("", "", True), ("x", None, False),
        ("2027-03-31", "2027-03-31T00:00:00Z", True), ("2027-03-31", "1806451200000", True),
        ("2027-03-31", "2027-04-01", False), ("a;b", "b;a", True), ("a;b", "a", False),
        ("2026-12-28T03:00:00Z", "2026-12-28T03:00:00.000Z", True), ("a<br>\nb", "<p>a</p><p>b</p>", True),
        ("00123", "00123", True),
    ],
)  # fmt: skip
def test_what_the_vendor_reforms_counts_as_written(given: str, held: str | None, equal: bool) -> None:
    assert same(given, held) is equal


def test_a_task_without_an_owner_leaves_the_property_alone(ready: Any) -> None:
    change = create(content("1"))
    assert "hubspot_owner_id" not in properties(ready.session, change)
    assert task_body(content("1", body="")).splitlines()[-1] == "cssync:R03-abc"


def test_a_task_that_an_answer_leaves_out_is_looked_for_and_not_created_again(ready: Any) -> None:
    a, b = ready.fill("companies", 2, name="x")
    real = ready.app.handle

    def handle(request: Any) -> Any:
        answer = real(request)
        if request.path.endswith("tasks/batch/create"):
            answer.body["results"].pop()
        return answer

    ready.app.handle = handle
    got = outcomes(ready, [create(content(a, "k1")), create(content(b, "k2"))])
    assert [got["create/k1"].state, got["create/k2"].state] == ["verified", "unknown"]
    assert len(ready.app.portal.things["tasks"]) == 2


@pytest.mark.parametrize("left", [("id",), ("id", "properties")])
def test_tasks_that_are_made_without_saying_which_are_looked_for_and_not_created_again(
    ready: Any, left: tuple[str, ...]
) -> None:
    companies = ready.fill("companies", 3, name="x")
    real = ready.app.handle

    def handle(request: Any) -> Any:
        answer = real(request)
        if request.path.endswith("tasks/batch/create"):
            answer.body["results"] = [{name: r[name] for name in left} for r in reversed(answer.body["results"])]
        return answer

    ready.app.handle = handle
    contents = [content(c, f"k{n}") for n, c in enumerate(companies)]
    got = outcomes(ready, [create(c) for c in contents])
    assert {o.state for o in got.values()} == {"verified" if "properties" in left else "unknown"}
    assert len(ready.app.portal.things["tasks"]) == 3
    assert sorted(find_tasks(ready.session, contents)) == ["k0", "k1", "k2"]
