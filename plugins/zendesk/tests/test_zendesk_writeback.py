"""Jobs followed to their end, results matched by id, values in Zendesk's form."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from cssync.connectors import Change, Finding, Outcome, OwnField, Session
from cssync.errors import ConnectionFault
from cssync.http.clock import ManualClock
from cssync_zendesk.check import check
from cssync_zendesk.fields import Definition, definitions, slug, tag_of
from cssync_zendesk.provision import provision
from cssync_zendesk.writeback import BATCH, POLLS, push, read

Open = Callable[..., Session]
MANY = "/api/v2/organizations/update_many"
FIELDS = "/api/v2/organization_fields"
JOB = "/api/v2/job_statuses/V3-1"
DEFINED: list[dict[str, Any]] = [
    {"id": 1, "key": "cs_health_score", "type": "integer", "title": "Health"},
    {
        "id": 2,
        "key": "cs_health_band",
        "type": "dropdown",
        "title": "Band",
        "custom_field_options": [{"name": n, "value": f"cs_health_band_{n}"} for n in ("green", "yellow", "red")],
    },
    {
        "id": 3,
        "key": "cs_upsell_signal",
        "type": "multiselect",
        "title": "Upsell",
        "custom_field_options": [{"name": n, "value": f"cs_upsell_signal_{n.lower()}"} for n in ("U01", "U03")],
    },
    {"id": 4, "key": "cs_renewal_date", "type": "date", "title": "Renewal"},
    {"id": 5, "key": "cs_health_reasons", "type": "textarea", "title": "Reasons"},
    {"id": 6, "key": "cs_flag", "type": "checkbox", "title": "Flag"},
    {"id": 7, "key": "cs_arr", "type": "decimal", "title": "ARR"},
]


def change(number: int, **values: Any) -> Change:
    return Change(f"k{number}", "update", "organizations", str(number), values or {"cs_health_score": 80 + number % 10})


def job(status: str, results: Any = None, name: str = "V3-1") -> httpx.Response:
    held = {"id": name, "status": status, "total": 1, "progress": None, "message": None, "results": results}
    return httpx.Response(200, json={"job_status": held})


def updated(number: int) -> dict[str, Any]:
    return {"action": "update", "id": number, "status": "Updated", "success": True}


@pytest.fixture
def defined(api: respx.MockRouter) -> respx.Route:
    return api.get(FIELDS).respond(json={"organization_fields": DEFINED, "meta": {"has_more": False}})


def outcomes(session: Session, changes: Sequence[Change]) -> dict[str, Outcome]:
    found = list(push(session, changes))
    assert len({o.key for o in found}) == len(found) == len(changes)
    return {o.key: o for o in found}


def body(route: respx.Route) -> Any:
    return json.loads(route.calls.last.request.content)


@pytest.mark.usefixtures("defined")
def test_sends_only_the_changed_keys_in_zendesks_form(api: respx.MockRouter, session: Open) -> None:
    many = api.put(MANY).mock(side_effect=[job("completed", [updated(1), updated(2)])])
    values = {
        "cs_health_score": 82,
        "cs_health_band": "green",
        "cs_upsell_signal": ["U01", "U03"],
        "cs_renewal_date": "2027-03-31",
        "cs_health_reasons": "利用が13%減",
        "cs_flag": True,
        "cs_arr": 12.5,
    }
    found = outcomes(session(), [change(1, **values), change(2, **dict.fromkeys(values))])
    assert body(many) == {
        "organizations": [
            {
                "id": 1,
                "organization_fields": {
                    **values,
                    "cs_health_band": "cs_health_band_green",
                    "cs_upsell_signal": ["cs_upsell_signal_u01", "cs_upsell_signal_u03"],
                },
            },
            {"id": 2, "organization_fields": {**dict.fromkeys(values), "cs_flag": False}},
        ]
    }
    assert {o.state for o in found.values()} == {"verified"}


@pytest.mark.usefixtures("defined")
def test_a_queued_job_is_followed_to_its_end_a_second_apart(
    api: respx.MockRouter, session: Open, clock: ManualClock
) -> None:
    api.put(MANY).mock(side_effect=[job("queued")])
    polled = api.get(JOB).mock(side_effect=[job("queued"), job("working"), job("completed", [updated(1)])])
    started = clock.monotonic()
    assert outcomes(session(), [change(1)])["k1"].state == "verified"
    assert polled.call_count == 3
    assert 3.0 <= clock.monotonic() - started < 4.0


@pytest.mark.usefixtures("defined")
def test_failed_rows_of_a_completed_job_fail_alone_whatever_the_order(api: respx.MockRouter, session: Open) -> None:
    refused = {"index": 1, "id": 2, "error": "OrganizationUpdateFailed", "details": "Name: has already been taken"}
    locked = {"index": 3, "id": 4, "error": "DatabaseConflict", "details": "try again"}
    by_index = {"index": 2, "error": "OrganizationNotFound", "details": "gone"}
    api.put(MANY).mock(side_effect=[job("completed", [locked, refused, by_index, updated(1)])])
    found = outcomes(session(), [change(n) for n in (1, 2, 3, 4, 5)])
    assert {k: o.state for k, o in found.items()} == {
        "k1": "verified",
        "k2": "failed-permanent",
        "k3": "failed-permanent",
        "k4": "failed-retry",
        "k5": "unknown",
    }
    assert "has already been taken" in found["k2"].error
    assert found["k2"].correlation_id == "V3-1"


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize(
    ("results", "status", "state"),
    [
        ({"success": True}, "completed", "sent"),
        ({"success": True}, "failed", "unknown"),
        ([], "completed", "unknown"),
        (None, "failed", "unknown"),
        ([{"id": 1, "status": "Updated"}], "failed", "verified"),
        ([{"id": 1, "status": "Skipped"}], "completed", "failed-permanent"),
    ],
)
def test_only_a_result_that_names_the_record_proves_it(
    api: respx.MockRouter, session: Open, results: Any, status: str, state: str
) -> None:
    api.put(MANY).mock(side_effect=[job(status, results)])
    assert outcomes(session(), [change(1)])["k1"].state == state


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize("answer", [httpx.Response(404, json={"error": "RecordNotFound"}), job("working")])
def test_a_lost_or_endless_job_is_unknown(api: respx.MockRouter, session: Open, answer: httpx.Response) -> None:
    api.put(MANY).mock(side_effect=[job("queued")])
    polled = api.get(JOB).mock(side_effect=lambda _: answer)
    found = outcomes(session(), [change(1)])["k1"]
    assert (found.state, found.correlation_id) == ("unknown", "V3-1")
    assert polled.call_count in (1, POLLS)


@respx.mock(base_url="https://acme.zendesk.com", assert_all_called=False)
def test_a_job_whose_name_is_a_path_is_not_followed(session: Open, respx_mock: respx.MockRouter) -> None:
    api = respx_mock
    api.get(FIELDS).respond(json={"organization_fields": DEFINED})
    api.put(MANY).mock(side_effect=[job("queued", name="V3/users/me")])
    elsewhere = api.route(path__regex=".*users/me").mock(return_value=job("completed", [updated(1)]))
    found = outcomes(session(), [change(1)])["k1"]
    assert (found.state, elsewhere.called) == ("unknown", False)


@pytest.mark.usefixtures("defined")
def test_too_many_jobs_waits_and_then_goes_on(api: respx.MockRouter, session: Open, clock: ManualClock) -> None:
    full = httpx.Response(429, json={"error": "TooManyJobs", "description": "busy", "current_job_ids": ["a"]})
    many = api.put(MANY).mock(side_effect=[full, full, job("completed", [updated(1)])])
    started = clock.monotonic()
    assert outcomes(session(), [change(1)])["k1"].state == "verified"
    assert many.call_count == 3
    assert clock.monotonic() - started >= 20


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize(
    ("answer", "state"),
    [(httpx.Response(429, json={"error": "TooManyJobs"}), "failed-retry"), (httpx.ReadError("cut"), "unknown")],
)
def test_a_batch_that_was_refused_may_be_retried_and_a_lost_one_is_looked_up(
    api: respx.MockRouter, session: Open, answer: Any, state: str
) -> None:
    api.put(MANY).mock(side_effect=answer if isinstance(answer, Exception) else lambda _: answer)
    assert outcomes(session(), [change(1)])["k1"].state == state


@pytest.mark.usefixtures("defined")
def test_a_batch_refused_for_one_row_is_halved_until_that_row_stands_alone(
    api: respx.MockRouter, session: Open
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        numbers = [row["id"] for row in json.loads(request.content)["organizations"]]
        if 3 in numbers:
            return httpx.Response(422, json={"error": "RecordInvalid", "details": {"base": [{"description": "no"}]}})
        return job("completed", [updated(n) for n in numbers])

    api.put(MANY).mock(side_effect=answer)
    found = outcomes(session(), [change(n) for n in range(1, 6)])
    assert [k for k, o in found.items() if o.state != "verified"] == ["k3"]
    assert found["k3"].error == "RecordInvalid; base: no"


@pytest.mark.usefixtures("defined")
def test_batches_hold_a_hundred(api: respx.MockRouter, session: Open) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return job("completed", [updated(row["id"]) for row in json.loads(request.content)["organizations"]])

    many = api.put(MANY).mock(side_effect=answer)
    outcomes(session(), [change(n) for n in range(1, 252)])
    sizes = [len(json.loads(call.request.content)["organizations"]) for call in many.calls]
    assert sizes == [BATCH, BATCH, 51]


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cs_health_band": "purple"}, "has no option 'purple'"),
        ({"cs_health_band": ["green"]}, "cannot hold several values"),
        ({"cs_nothing": 1}, "no organization field 'cs_nothing'"),
        ({"cs_health_score": "many"}, "a number was expected"),
        ({"cs_health_score": 1.5}, "cannot hold a fraction"),
        ({"cs_renewal_date": "soon"}, "YYYY-MM-DD"),
        ({"cs_flag": "yes"}, "true or false"),
    ],
)
def test_a_value_that_does_not_fit_fails_before_it_is_sent(session: Open, values: dict[str, Any], said: str) -> None:
    found = outcomes(session(), [change(1, **values)])["k1"]
    assert found.state == "failed-permanent"
    assert said in found.error


@pytest.mark.usefixtures("defined")
def test_tasks_are_refused_in_words(session: Open) -> None:
    task = Change("t", "create_task", "organizations", None)
    assert "fields of organizations only" in outcomes(session(), [task])["t"].error


@pytest.mark.usefixtures("defined")
def test_a_missing_scope_stops_the_writing_with_its_remedy(api: respx.MockRouter, session: Open) -> None:
    api.put(MANY).respond(403, json={"error": "Forbidden", "description": "You do not have access"})
    with pytest.raises(ConnectionFault) as caught:
        list(push(session(), [change(1)]))
    assert "organizations:write" in caught.value.fix


def without(*keys: str, **changed: Any) -> dict[str, Any]:
    """The definitions as an admin left them: some gone, the band with other properties."""
    held = [{**f, **changed} if f["key"] == "cs_health_band" else f for f in DEFINED if f["key"] not in keys]
    return {"organization_fields": held}


MEANWHILE = {
    "deleted": (without("cs_health_band"), "deleted or switched off"),
    "made anew under its key": (without(id=99), "deleted or switched off"),
    "switched off": (without(active=False), "deleted or switched off"),
    "of another type": (without(type="integer", custom_field_options=[]), "was changed"),
    "without the option": (without(custom_field_options=DEFINED[1]["custom_field_options"][:1]), "was changed"),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_updated_is_no_proof_of_a_field_that_went_while_it_was_written(
    api: respx.MockRouter, session: Open, what: str
) -> None:
    """Zendesk drops values for a key that it does not know, and says `Updated` of the record."""
    after, said = MEANWHILE[what]
    asked = api.get(FIELDS).mock(side_effect=[httpx.Response(200, json=without()), httpx.Response(200, json=after)])
    failed = {"index": 2, "id": 3, "error": "DatabaseConflict", "details": "try again"}
    api.put(MANY).mock(side_effect=[job("completed", [updated(1), updated(2), failed])])
    rows = [change(1, cs_health_band="red", cs_arr=1.5), change(2), change(3, cs_health_band="red")]
    found = outcomes(session(), rows)
    assert {key: o.state for key, o in found.items()} == {
        "k1": "failed-permanent", "k2": "verified", "k3": "failed-retry",
    }  # fmt: skip
    assert said in found["k1"].error
    assert "'cs_health_band'" in found["k1"].error
    assert asked.call_count == 2


def test_a_field_that_was_renamed_or_got_an_option_more_is_proved(api: respx.MockRouter, session: Open) -> None:
    more = [*DEFINED[1]["custom_field_options"], {"name": "blue", "value": "cs_health_band_blue"}]
    after = without(title="Ampel", custom_field_options=more)
    api.get(FIELDS).mock(side_effect=[httpx.Response(200, json=without()), httpx.Response(200, json=after)])
    api.put(MANY).mock(side_effect=[job("completed", [updated(1)])])
    assert outcomes(session(), [change(1, cs_health_band="red")])["k1"].state == "verified"


def test_without_the_proof_nothing_has_an_outcome(api: respx.MockRouter, session: Open) -> None:
    api.get(FIELDS).mock(side_effect=[httpx.Response(200, json=without()), httpx.Response(403, json={"error": "No"})])
    api.put(MANY).mock(side_effect=[job("completed", [updated(1)])])
    with pytest.raises(ConnectionFault):
        list(push(session(), [change(1)]))


def test_a_field_that_is_switched_off_is_not_written(api: respx.MockRouter, session: Open) -> None:
    api.get(FIELDS).respond(json=without(active=False))
    assert "switched off" in outcomes(session(), [change(1, cs_health_band="red")])["k1"].error


def test_definitions_are_asked_once_before_and_once_after_the_jobs(api: respx.MockRouter, session: Open) -> None:
    asked = api.get(FIELDS).respond(json=without())
    api.get("/api/v2/organizations/show_many").respond(json={"organizations": []})
    api.put(MANY).mock(side_effect=lambda _: job("completed", [updated(1)]))
    desk = session()
    for done in (1, 2, 3):
        read(desk, "organizations", ["1"], ["cs_arr"])
        outcomes(desk, [change(1)])
        assert asked.call_count == 1 + done, "the proof of one round opens the next"


def test_reads_live_values_in_canonical_form(api: respx.MockRouter, session: Open, defined: respx.Route) -> None:
    held = {
        "cs_health_band": "cs_health_band_red",
        "cs_upsell_signal": ["cs_upsell_signal_u03", "cs_upsell_signal_u01"],
        "cs_renewal_date": "2027-03-31T00:00:00+00:00",
        "cs_health_score": "82",
        "cs_arr": "12.50",
        "cs_health_reasons": "",
    }
    route = api.get("/api/v2/organizations/show_many").respond(
        json={
            "organizations": [
                {"id": 1, "organization_fields": held},
                {"id": 2, "organization_fields": {}},
                {"id": 4, "organization_fields": held, "deleted_at": "2026-11-20T00:00:00Z"},
            ]
        }
    )
    found = read(session(), "organizations", ["1", "2", "3", "4"], [*held, "absent"])
    assert found == {
        "1": {
            "cs_health_band": "red",
            "cs_upsell_signal": ["U01", "U03"],
            "cs_renewal_date": "2027-03-31",
            "cs_health_score": 82,
            "cs_arr": 12.5,
            "cs_health_reasons": None,
        },
        "2": {},
    }
    assert dict(route.calls.last.request.url.params) == {"ids": "1,2,3,4"}
    assert defined.call_count == 1


# --- options and tags -------------------------------------------------------------------------------------------------


@given(
    options=st.lists(
        st.sampled_from(["green", "red", "U01", "K07", "In Progress", "Gold", "very_low", "none", "高", "A-B", "3"])
        | st.text("abcXYZ 019_-", min_size=1, max_size=12).filter(slug),
        unique_by=slug,
        min_size=1,
    ),
    kind=st.sampled_from(["dropdown", "multiselect"]),
)
def test_every_option_is_led_back_from_its_tag(options: list[str], kind: str) -> None:
    tags = {tag_of("cs_x", option): option for option in options}
    assert len(tags) == len(options)
    assert all(tag == tag.lower() and " " not in tag for tag in tags)
    field = Definition("1", "cs_x", "X", kind, True, tags, True)
    for option in options:
        if kind == "dropdown":
            assert field.decode(field.encode(option)) == option
    if kind == "multiselect":
        assert field.decode(field.encode(options)) == sorted(options)


def test_options_that_an_admin_made_are_understood() -> None:
    theirs = Definition("1", "cs_health_band", "Band", "dropdown", True, {"green": "Green", "red": "Red"}, True)
    ours = {"cs_health_band_green": "Healthy (green)", "cs_health_band_red": "Red"}
    relabelled = Definition("1", "cs_health_band", "Band", "dropdown", True, ours, True)
    assert (theirs.encode("green"), theirs.decode("green")) == ("green", "green")
    assert (relabelled.encode("green"), relabelled.decode("cs_health_band_green")) == ("cs_health_band_green", "green")
    assert relabelled.decode("gone") == "gone"
    shared = {"cs_flags_k01": "K01", "cs_flags__in_progress": "In Progress", "vip": "VIP customer"}
    beside = Definition("1", "cs_flags", "Flags", "multiselect", True, shared, True)
    assert beside.decode([*shared]) == ["In Progress", "K01", "vip"]
    assert sorted(beside.encode(["In Progress", "K01", "vip"])) == sorted(shared)
    mixed = Definition("1", "plan", "Plan", "dropdown", True, {"plan_gold": "Gold", "basic": "Basic"}, True)
    assert mixed.decode("plan_gold") == "plan_gold"


def test_a_list_that_leads_back_to_its_own_page_fails(api: respx.MockRouter, session: Open) -> None:
    page = {"organization_fields": DEFINED, "meta": {"has_more": True, "after_cursor": "a"}}
    route = api.get(FIELDS).respond(json=page)
    with pytest.raises(ConnectionFault, match="already read"):
        definitions(session(), "organization_fields")
    assert [call.request.url.params.get("page[after]") for call in route.calls] == [None, "a"]


def test_a_field_that_is_switched_off_is_an_error_to_check_and_to_provision(
    api: respx.MockRouter, session: Open
) -> None:
    off = {**DEFINED[0], "active": False}
    api.get(FIELDS).respond(json={"organization_fields": [off]})
    api.get("/api/v2/organizations/count").respond(json={"count": {"value": 1}})
    api.get("/api/v2/users/me").respond(json={"user": {"id": 1, "role": "admin"}})
    (found,) = provisioned(session(), OwnField("cs_health_score", "Score", "integer"))
    assert (found.level, "switched off" in found.message) == ("error", True)
    checked = {f.subject: f.level for f in check(session(), {"organizations": ["cs_health_score"]})}
    assert checked["organizations.cs_health_score"] == "error"


# --- provision --------------------------------------------------------------------------------------------------------

BAND = OwnField("cs_health_band", "Health band", "enum", ("green", "yellow", "red", "unknown"), "Made by cssync")
SIGNALS = OwnField("cs_new_signal", "Signals", "multi", ("U01", "In Progress"))


def provisioned(session: Session, *fields: OwnField, dry_run: bool = False) -> list[Finding]:
    return list(provision(session, "organizations", fields, dry_run))


@pytest.mark.usefixtures("defined")
def test_creates_what_is_missing_with_tags_that_are_unique(api: respx.MockRouter, session: Open) -> None:
    made = api.post(FIELDS).respond(201, json={"organization_field": {}})
    (finding,) = provisioned(session(), SIGNALS)
    assert finding.level == "created"
    assert body(made) == {
        "organization_field": {
            "key": "cs_new_signal",
            "type": "multiselect",
            "title": "Signals",
            "active": True,
            "custom_field_options": [
                {"name": "U01", "value": "cs_new_signal_u01"},
                {"name": "In Progress", "value": "cs_new_signal__in_progress"},
            ],
        }
    }


@pytest.mark.usefixtures("defined")
def test_adds_options_and_keeps_the_old_ones(api: respx.MockRouter, session: Open) -> None:
    put = api.put(f"{FIELDS}/2").respond(json={"organization_field": {}})
    (finding,) = provisioned(session(), BAND)
    assert (finding.level, finding.message) == ("created", "options unknown")
    options = body(put)["organization_field"]["custom_field_options"]
    assert [o["value"] for o in options] == [f"cs_health_band_{n}" for n in ("green", "yellow", "red", "unknown")]


@pytest.mark.usefixtures("defined")
def test_a_dry_run_sends_nothing_but_the_question(session: Open) -> None:
    found = provisioned(session(), SIGNALS, BAND, OwnField("cs_health_score", "Score", "integer"), dry_run=True)
    assert [f.level for f in found] == ["would-create", "would-create", "ok"]


@pytest.mark.usefixtures("defined")
def test_a_field_of_another_type_is_reported_and_left(session: Open) -> None:
    (finding,) = provisioned(session(), OwnField("cs_renewal_date", "Renewal", "integer"))
    assert finding.level == "error"
    assert "type date" in finding.message


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize("status", [403, 422])
def test_who_may_not_create_fields_is_told_how_to_add_them_by_hand(
    api: respx.MockRouter, session: Open, status: int
) -> None:
    api.post(FIELDS).respond(status, json={"error": "Forbidden"})
    (finding,) = provisioned(session(), SIGNALS)
    assert finding.level == "error"
    assert "U01 = cs_new_signal_u01" in finding.fix
