"""Writing: 200 records a request, one proved outcome each; tasks that are never made twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import respx

from cssync import rules
from cssync.config import Connection, Workspace, Writeback
from cssync.connectors import Change, OwnField, Session, TaskContent
from cssync.sandbox.server import Fault, SandboxAnswer, SandboxServer
from cssync.writeback.provision import provision as provision_all
from cssync_salesforce.connector import SALESFORCE
from cssync_salesforce.provision import provision
from cssync_salesforce.sandbox.org import SalesforceSandbox
from cssync_salesforce.tasks import find_tasks
from cssync_salesforce.writeback import push, read

HOST = "https://acme.my.salesforce.com"
DATA = f"{HOST}/services/data/v66.0"
MANY = f"{DATA}/composite/sobjects"
SCORE = OwnField("CS_Health_Score__c", "Health score", "integer")
BAND = OwnField("CS_Health_Band__c", "Health band", "enum", ("green", "yellow", "red", "unknown"))
FLAGS = OwnField("CS_Risk_Flags__c", "Risk flags", "multi", ("K01", "K03", "K07"))
A, B = "001dM00003jU9GxQAK", "001dM00003jU9H2QAK"


def update(key: str, source_id: str, **values: Any) -> Change:
    return Change(key, "update", "accounts", source_id, values)


def sent(route: respx.Route, call: int = -1) -> Any:
    return json.loads(route.calls[call].request.content)


def result(source_id: str | None = None, *codes: str) -> dict[str, Any]:
    errors = [{"statusCode": c, "message": f"{c} it is", "fields": []} for c in codes]
    return {"id": source_id, "success": True, "errors": []} if not codes else {"success": False, "errors": errors}


@pytest.fixture
def provided(org: SalesforceSandbox, live: Session) -> SalesforceSandbox:
    """The org with our fields, visible."""
    assert not [f for f in provision(live, "accounts", [SCORE, BAND, FLAGS], False) if f.level == "error"]
    return org


def test_what_is_sent_is_a_collection_with_the_type_first(api: respx.MockRouter, mocked: Session) -> None:
    route = api.patch(MANY).respond(json=[result(A), result(B)])
    found = list(push(mocked, [update("k1", A[:15], CS__c=82, Flags__c=["a", "b"]), update("k2", B, CS__c=None)]))
    assert sent(route) == {
        "allOrNone": False,
        "records": [
            {"attributes": {"type": "Account"}, "id": A, "CS__c": 82, "Flags__c": "a;b"},
            {"attributes": {"type": "Account"}, "id": B, "CS__c": None},
        ],
    }
    assert [next(iter(r)) for r in sent(route)["records"]] == ["attributes", "attributes"]
    assert route.calls.last.request.headers["Sforce-Auto-Assign"] == "false"
    assert [(o.key, o.state, o.remote_id) for o in found] == [("k1", "verified", A), ("k2", "verified", B)]


def test_nothing_to_write_sends_nothing(api: respx.MockRouter, mocked: Session) -> None:
    assert list(push(mocked, [])) == []
    assert read(mocked, "accounts", [], ["Name"]) == {}
    assert find_tasks(mocked, []) == {}
    assert api.calls.call_count == 0


def test_records_go_in_parts_of_200(provided: SalesforceSandbox, server: SandboxServer, live: Session) -> None:
    ids = [provided.insert("Account", Name=f"A{n}") for n in range(401)]
    outcomes = list(push(live, [update(i, i, CS_Health_Score__c=n % 100) for n, i in enumerate(ids)]))
    assert {o.key: o.state for o in outcomes} == dict.fromkeys(ids, "verified")
    assert len(server.requests("PATCH /services/data/v66.0/composite/sobjects$")) == 3
    assert provided.tables["Account"][ids[42]]["CS_Health_Score__c"] == 42


def test_one_bad_record_never_blocks_the_others(provided: SalesforceSandbox, live: Session) -> None:
    good, deleted, *_ = list(provided.tables["Account"])
    provided.delete("Account", deleted)
    changes = [
        update("deleted", deleted, CS_Health_Score__c=1),
        update("unknown field", good, No_Such__c=1),
        update("good", good, CS_Health_Score__c=55),
        update("nobody", "001000000000000AAA", CS_Health_Score__c=1),
        update("bad id", "../../x", CS_Health_Score__c=1),
        update("bad field", good, **{"Name, Industry": 1}),
    ]
    outcomes = {o.key: o for o in push(live, changes)}
    assert len(outcomes) == 6
    assert {k: o.state for k, o in outcomes.items() if k != "good"} == dict.fromkeys(
        ("deleted", "unknown field", "nobody", "bad id", "bad field"), "failed-permanent"
    )
    assert outcomes["good"].state == "verified"
    assert "ENTITY_IS_DELETED" in outcomes["deleted"].error
    assert "cssync provision" in outcomes["unknown field"].error
    assert provided.tables["Account"][good]["CS_Health_Score__c"] == 55


def test_results_are_matched_by_id_where_they_come_in_another_order(api: respx.MockRouter, mocked: Session) -> None:
    api.patch(MANY).respond(json=[result(B), result(A), result(None, "STRING_TOO_LONG")])
    found = {
        o.key: o for o in push(mocked, [update("a", A, X__c=1), update("b", B, X__c=2), update("c", A[:-6] + "zzzAAA")])
    }
    assert {k: o.state for k, o in found.items()} == {"a": "verified", "b": "verified", "c": "unknown"}


@pytest.mark.parametrize("body", [[], [{"id": A, "success": True, "errors": []}], {"error": "odd"}, ["x", "y"]])
def test_a_record_the_answer_does_not_name_is_unknown(api: respx.MockRouter, mocked: Session, body: Any) -> None:
    api.patch(MANY).respond(json=body)
    found = {o.key: o.state for o in push(mocked, [update("a", A, X__c=1), update("b", B, X__c=2)])}
    assert found["b"] == "unknown"
    assert set(found) == {"a", "b"}


def test_a_success_for_another_record_proves_nothing(api: respx.MockRouter, mocked: Session) -> None:
    api.patch(MANY).respond(json=[result(B)])
    assert [o.state for o in push(mocked, [update("a", A, X__c=1)])] == ["unknown"]


def test_locked_records_are_sent_once_more_in_small_parts(api: respx.MockRouter, mocked: Session) -> None:
    ids = [A[:12] + f"{n:03d}AAA" for n in range(50)]
    route = api.patch(MANY)
    route.side_effect = [
        httpx.Response(200, json=[result(i, *(["UNABLE_TO_LOCK_ROW"] if n % 2 else [])) for n, i in enumerate(ids)]),
        httpx.Response(200, json=[result(i) for i in ids[1:40:2]]),
        httpx.Response(200, json=[result(i, "UNABLE_TO_LOCK_ROW") for i in ids[41::2]]),
    ]
    found = {o.key: o.state for o in push(mocked, [update(i, i, X__c=1) for i in ids])}
    assert [len(sent(route, n)["records"]) for n in range(3)] == [50, 20, 5]
    assert {found[i] for i in ids[41::2]} == {"failed-retry"}
    assert {found[i] for i in ids if i not in ids[41::2]} == {"verified"}


HEAVY = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"


@pytest.mark.parametrize(
    ("bears", "asked", "states"),
    [
        (200, [47], {"verified"}),
        (30, [47, 20, 20, 7], {"verified"}),
        (7, [47, 20, 20, 7, *[5] * 8], {"verified"}),  # the 7 were taken at once
        (1, [47, 20, 20, 7, 5, *[1] * 47], {"verified"}),
        (0, [47, 20, 20, 7, 5, 1], {"failed-retry"}),
    ],
)
def test_a_flow_that_bears_few_records_gets_few_at_once(
    api: respx.MockRouter, mocked: Session, bears: int, asked: list[int], states: set[str]
) -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        ids = [r["id"] for r in json.loads(request.content)["records"]]
        return httpx.Response(200, json=[result(i, *([HEAVY] if len(ids) > bears else [])) for i in ids])

    route = api.patch(MANY).mock(side_effect=answered)
    ids = [A[:12] + f"{n:03d}AAA" for n in range(47)]
    found = list(push(mocked, [update(i, i, X__c=1) for i in ids]))
    assert [len(sent(route, n)["records"]) for n in range(route.call_count)] == asked
    assert sorted(o.key for o in found) == ids
    assert {o.state for o in found} == states


def test_a_part_without_an_answer_does_not_lose_the_parts_that_wait_for_it(
    api: respx.MockRouter, mocked: Session
) -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        ids = [r["id"] for r in json.loads(request.content)["records"]]
        if len(ids) == 5:
            raise httpx.ReadError("reset")
        return httpx.Response(200, json=[result(i, *([HEAVY] if len(ids) > 5 else [])) for i in ids])

    api.patch(MANY).mock(side_effect=answered)
    ids = [A[:12] + f"{n:03d}AAA" for n in range(12)]
    found = {o.key: o.state for o in push(mocked, [update(i, i, X__c=1) for i in ids])}
    assert [found[i] for i in ids] == [*["unknown"] * 10, *["verified"] * 2]


def test_one_record_twice_goes_into_two_requests(api: respx.MockRouter, mocked: Session) -> None:
    route = api.patch(MANY).respond(json=[result(A)])
    found = list(push(mocked, [update("a", A, X__c=1), update("b", A[:15], Y__c=2)]))
    assert [len(sent(route, n)["records"]) for n in range(2)] == [1, 1]
    assert [o.state for o in found] == ["verified", "verified"]


def test_one_unreadable_record_is_found_by_halving(api: respx.MockRouter, mocked: Session) -> None:
    ids = [A[:12] + f"{n:03d}AAA" for n in range(8)]

    def answer(request: httpx.Request) -> httpx.Response:
        records = json.loads(request.content)["records"]
        if any(r["id"] == ids[5] for r in records):
            return httpx.Response(400, json=[{"errorCode": "JSON_PARSER_ERROR", "message": "Cannot deserialize"}])
        return httpx.Response(200, json=[result(r["id"]) for r in records])

    api.patch(MANY).mock(side_effect=answer)
    found = {o.key: o for o in push(mocked, [update(i, i, X__c=1) for i in ids])}
    assert found[ids[5]].state == "failed-permanent"
    assert "JSON_PARSER_ERROR" in found[ids[5]].error
    assert [k for k, o in found.items() if o.state == "verified"] == [i for i in ids if i != ids[5]]


def test_the_daily_limit_leaves_the_rest_for_the_next_run(api: respx.MockRouter, mocked: Session) -> None:
    ids = [A[:12] + f"{n:03d}AAA" for n in range(450)]
    route = api.patch(MANY)
    limit = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    route.side_effect = [httpx.Response(200, json=[result(i) for i in ids[:200]]), httpx.Response(403, json=limit)]
    found = {o.key: o.state for o in push(mocked, [update(i, i, X__c=1) for i in ids])}
    assert route.call_count == 2
    assert [found[i] for i in ids] == ["verified"] * 200 + ["failed-retry"] * 250


def test_read_gives_canonical_values_and_leaves_out_what_is_gone(provided: SalesforceSandbox, live: Session) -> None:
    one, two, gone, *_ = list(provided.tables["Account"])
    list(
        push(live, [update("k", one, CS_Health_Score__c=82, CS_Risk_Flags__c=["K01", "K07"], CS_Health_Band__c="red")])
    )
    provided.delete("Account", gone)
    fields = ["CS_Health_Score__c", "CS_Risk_Flags__c", "CS_Health_Band__c", "No_Such__c"]
    found = read(live, "accounts", [one[:15], two, gone], fields)
    assert found == {
        one: {"CS_Health_Score__c": 82, "CS_Risk_Flags__c": ["K01", "K07"], "CS_Health_Band__c": "red"},
        two: {"CS_Health_Score__c": None, "CS_Risk_Flags__c": None, "CS_Health_Band__c": None},
    }
    assert type(found[one]["CS_Health_Score__c"]) is int


def test_reading_many_costs_a_request_for_2000(
    provided: SalesforceSandbox, server: SandboxServer, live: Session
) -> None:
    ids = [provided.insert("Account", Name=f"A{n}") for n in range(401)]
    before = len(server.requests("/query"))
    provided.delete("Account", ids[0])
    held = read(live, "accounts", ids, ["Name"])
    assert held == {one: {"Name": f"A{n}"} for n, one in enumerate(ids) if n}
    assert len(server.requests("/query")) == before
    assert len(server.requests("POST .*/composite/sobjects/Account")) == 1
    assert set(read(live, "accounts", ids[:200], ["Name"])) == set(ids[1:200])
    assert len(server.requests("/query")) == before + 1


# --- fields -----------------------------------------------------------------------------------------------------------


def test_provision_creates_shows_and_assigns(org: SalesforceSandbox, server: SandboxServer, live: Session) -> None:
    assert "cs_health_score__c" not in (org.visible("Account") or {})
    planned = list(provision(live, "accounts", [SCORE, BAND], True))
    assert [f.level for f in planned] == ["would-create", "would-create"]
    assert not server.requests("POST .*(sobjects|tooling)/")
    levels = [f.level for f in provision(live, "accounts", [SCORE, BAND], False)]
    assert levels == ["created", "created", "note", "ok"]
    field = (org.visible("Account") or {})["cs_health_score__c"]
    assert (field["type"], field["scale"], field["updateable"]) == ("double", 0, True)
    writes = len(server.requests("POST"))
    assert [f.level for f in provision(live, "accounts", [SCORE, BAND], False)] == ["ok", "ok"]
    assert len(server.requests("POST")) == writes


def test_choices_that_nobody_can_list_are_kept_as_text(org: SalesforceSandbox, live: Session) -> None:
    signals = OwnField("CS_Signals__c", "Signals", "multi")
    assert [f.level for f in provision(live, "accounts", [signals], False)] == ["created", "note", "ok"]
    assert [f.level for f in provision(live, "accounts", [signals], False)] == ["ok"]
    account = next(iter(org.tables["Account"]))
    assert [o.state for o in push(live, [update("k", account, CS_Signals__c=["U01", "U03"])])] == ["verified"]
    assert read(live, "accounts", [account], ["CS_Signals__c"])[account] == {"CS_Signals__c": "U01;U03"}


def test_a_field_that_exists_but_is_hidden_is_granted(org: SalesforceSandbox, live: Session) -> None:
    list(provision(live, "accounts", [SCORE], False))
    org.tables["FieldPermissions"].clear()
    assert [f.level for f in provision(live, "accounts", [SCORE], False)] == ["ok"]
    assert "cs_health_score__c" in (org.visible("Account") or {})


def test_without_the_right_to_create_fields_the_list_is_printed(org: SalesforceSandbox, live: Session) -> None:
    org.customize = False
    found = list(provision(live, "accounts", [SCORE, BAND], False))
    assert {f.level for f in found} == {"error"}
    assert all(word in found[-1].fix for word in ("CS_Health_Score__c", "Number(18, 0)", "green, yellow, red"))


def test_a_field_of_another_kind_is_told_not_changed(org: SalesforceSandbox, live: Session) -> None:
    list(provision(live, "accounts", [OwnField(SCORE.name, "x", "date")], False))
    (finding,) = provision(live, "accounts", [SCORE], False)
    assert finding.level == "error"
    assert "exists as date" in finding.message


def test_an_invisible_field_is_a_failure_with_its_remedy(provided: SalesforceSandbox, live: Session) -> None:
    for row in provided.tables["FieldPermissions"].values():
        row["PermissionsEdit"] = False
    account = next(iter(provided.tables["Account"]))
    (outcome,) = push(live, [update("k", account, CS_Health_Score__c=1)])
    assert outcome.state == "failed-permanent"
    assert "INVALID_FIELD_FOR_INSERT_UPDATE" in outcome.error
    assert "permission set" in outcome.error


# --- tasks ------------------------------------------------------------------------------------------------------------


def content(key: str, account: str, **more: Any) -> TaskContent:
    return TaskContent(key, account, f"Renewal {key}", "because of the date", "2026-12-01", **more)


def create(task: TaskContent) -> Change:
    return Change(task.key, "create_task", "tasks", None, task=task)


@pytest.fixture(params=["with a key field", "by a marker"])
def tasking(request: pytest.FixtureRequest, org: SalesforceSandbox, live: Session) -> SalesforceSandbox:
    """The org, once with our key field on Task and once without."""
    if request.param == "with a key field":
        assert [f.level for f in provision(live, "tasks", [], False)] == ["created", "ok"]
    return org


def test_a_task_is_created_found_changed_and_closed(tasking: SalesforceSandbox, live: Session) -> None:
    account = next(iter(tasking.tables["Account"]))
    owner = next(k for k, u in tasking.tables["User"].items() if u["IsActive"])
    task = content("r03-1", account, priority="high", owner_source_id=owner)
    assert find_tasks(live, [task]) == {}
    (made,) = push(live, [create(task)])
    assert made.state == "verified"
    row = tasking.tables["Task"][made.remote_id or ""]
    assert (row["WhatId"], row["ActivityDate"], row["Priority"], row["Status"], row["OwnerId"]) == (
        account, "2026-12-01", "High", "Not Started", owner,
    )  # fmt: skip
    assert "because of the date" in row["Description"]
    found = find_tasks(live, [task])["r03-1"]
    assert (found.remote_id, found.status, found.due_on) == (made.remote_id, "open", "2026-12-01")
    moved = TaskContent("r03-1", account, "Renewal moved", "because", "2027-01-15", note="the end date moved")
    (changed,) = push(live, [Change("u", "update_task", "tasks", made.remote_id, task=moved)])
    assert changed.state == "verified"
    assert find_tasks(live, [task])["r03-1"].due_on == "2027-01-15"
    (closed,) = push(live, [Change("c", "close_task", "tasks", made.remote_id, task=moved)])
    assert closed.state == "verified"
    assert row["Status"] == "Completed"
    assert find_tasks(live, [task])["r03-1"].status == "done"
    assert "the end date moved" in row["Description"]
    (opened,) = push(live, [Change("o", "reopen_task", "tasks", made.remote_id, task=task)])
    assert (opened.state, row["Status"], row["ActivityDate"]) == ("verified", "Not Started", "2026-12-01")


def test_two_hundred_tasks_are_one_request(tasking: SalesforceSandbox, server: SandboxServer, live: Session) -> None:
    account = next(iter(tasking.tables["Account"]))
    tasks = [content(f"k{n}", account) for n in range(200)]
    writes = len(server.requests("(POST|PATCH) .*composite"))
    assert {o.state for o in push(live, [create(t) for t in tasks])} == {"verified"}
    assert len(server.requests("(POST|PATCH) .*composite")) - writes == 1
    assert set(find_tasks(live, tasks)) == {t.key for t in tasks}


def test_a_task_made_twice_by_its_key_is_one_task_and_stays_closed(org: SalesforceSandbox, live: Session) -> None:
    list(provision(live, "tasks", [], False))
    account = next(iter(org.tables["Account"]))
    (first,) = push(live, [create(content("k", account))])
    org.edit("Task", first.remote_id or "", Status="Completed")
    (second,) = push(live, [create(content("k", account))])
    assert second.remote_id == first.remote_id
    assert org.tables["Task"][first.remote_id or ""]["Status"] == "Completed"


def test_a_create_without_a_key_field_is_never_repeated(
    org: SalesforceSandbox, server: SandboxServer, live: Session
) -> None:
    account = next(iter(org.tables["Account"]))
    task = content("k", account)
    server.faults.append(Fault(r"POST .*/composite/sobjects", drop=True, after=True))
    (outcome,) = push(live, [create(task)])
    assert outcome.state == "unknown"
    assert len(server.requests("POST .*/composite/sobjects")) == 1
    assert find_tasks(live, [task])["k"].status == "open"


def test_an_upsert_that_got_no_answer_is_looked_for(
    org: SalesforceSandbox, server: SandboxServer, live: Session
) -> None:
    list(provision(live, "tasks", [], False))
    before = len(org.tables["Task"])
    task = content("k", next(iter(org.tables["Account"])))
    server.faults.append(Fault(r"PATCH .*/composite/sobjects/Task", drop=True, after=True))
    (outcome,) = push(live, [create(task)])
    assert outcome.state == "unknown"
    assert find_tasks(live, [task])["k"].subject == task.subject
    assert len(server.requests("PATCH .*/composite/sobjects/Task")) == 1
    assert len(org.tables["Task"]) == before + 1


def test_an_owner_who_has_left_fails_that_task_only(tasking: SalesforceSandbox, live: Session) -> None:
    account = next(iter(tasking.tables["Account"]))
    left = next(k for k, u in tasking.tables["User"].items() if not u["IsActive"])
    found = {
        o.key: o
        for o in push(live, [create(content("a", account, owner_source_id=left)), create(content("b", account))])
    }
    assert found["a"].state == "failed-permanent"
    assert "fallback owner" in found["a"].error
    assert found["b"].state == "verified"


def test_the_orgs_own_words_are_used_for_priority_and_closing(org: SalesforceSandbox, live: Session) -> None:
    words = org.schema["Task"]
    words["priority"]["picklistValues"] = [{"value": v, "label": v, "active": True} for v in ("P1 - High", "P2")]
    words["status"]["picklistValues"] = [{"value": v, "label": v, "active": True} for v in ("Offen", "Erledigt")]
    done = next(r for r in org.tables["TaskStatus"].values() if r["IsClosed"])
    done["MasterLabel"] = "Erledigt"
    account = next(iter(org.tables["Account"]))
    (made,) = push(live, [create(content("k", account, priority="high"))])
    row = org.tables["Task"][made.remote_id or ""]
    assert row["Priority"] == "P1 - High"
    list(push(live, [Change("c", "close_task", "tasks", made.remote_id, task=content("k", account))]))
    assert (row["Status"], row["IsClosed"]) == ("Erledigt", True)


def test_a_person_without_access_to_tasks_gets_a_failure_for_each(
    org: SalesforceSandbox, server: SandboxServer, open_live: Callable[..., Session]
) -> None:
    del org.schema["Task"]
    found = list(push(open_live(), [create(content("a", A)), create(content("b", A))]))
    assert [o.state for o in found] == ["failed-permanent", "failed-permanent"]
    server.faults.append(Fault("describe", answer=SandboxAnswer(503, b""), times=99))
    assert [o.state for o in push(open_live(), [create(content("a", A))])] == ["failed-retry"]


def test_provision_of_a_connection_with_tasks_makes_their_creation_an_upsert(
    org: SalesforceSandbox, server: SandboxServer, live: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = SimpleNamespace(type="integer", options=(), label="Health", description="Set by cssync.")
    monkeypatch.setattr(rules, "written_fields", lambda _: {"health.score": written})
    space = Workspace(
        "w", tmp_path, ZoneInfo("UTC"), "USD", tmp_path / "s.db",
        {"sales": Connection("sales", SALESFORCE, live.settings, SALESFORCE.streams)},
        writeback={"sales": Writeback("sales", "accounts", {SCORE.name: "health.score"}, tasks=True)},
    )  # fmt: skip
    loaded: Any = None
    found = {f.subject: f.level for _, f in provision_all(space, {"sales": live}, loaded, dry_run=False)}
    assert (found["Account.CS_Health_Score__c"], found["Task.CS_Task_Key__c"]) == ("created", "created")
    account = next(iter(org.tables["Account"]))
    task = TaskContent("k1", account, "Renewal", "because", "2026-12-01")
    (outcome,) = push(live, [Change("c", "create_task", "tasks", None, task=task)])
    assert outcome.state == "verified"
    assert len(server.requests("PATCH .*/composite/sobjects/Task/CS_Task_Key__c")) == 1
