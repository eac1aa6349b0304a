"""Set-up: identity, one missing scope at a time, fields as they are defined, and fields of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cssync.connectors import OwnField
from cssync.sandbox.server import SandboxAnswer
from cssync_hubspot import HUBSPOT
from cssync_hubspot.sandbox.definitions import KINDS
from cssync_hubspot.setup import check, describe, identity, provision

SCORE = OwnField("cs_score", "Health score", "integer", description="0 to 100")
BAND = OwnField("cs_band", "Health band", "enum", ("green", "yellow", "red"))
SIGNALS = OwnField("cs_signals", "Signals", "multi", ("U01",))
READ = {k.read_scope for k in KINDS} | {"crm.objects.owners.read"}


def writes(rig: Any) -> list[Any]:
    return [
        (e.method, e.path, json.loads(e.body)) for e in rig.server.requests("^(POST|PATCH|PUT|DELETE) .*properties")
    ]


def test_identity_says_which_account_and_whether_it_is_real(rig: Any) -> None:
    who = identity(rig.session)
    assert (who.org_id, who.kind, who.currency, who.timezone) == ("4242", "production", "JPY", "Asia/Tokyo")
    for kind in ("SANDBOX", "DEVELOPER_TEST", "APP_DEVELOPER"):
        rig.app.portal.account_type = kind
        assert identity(rig.session).kind == "sandbox"


def test_a_key_with_every_scope_has_nothing_to_complain_about(rig: Any) -> None:
    found = list(check(rig.session, {"companies": ["seats", "renewal_date"]}))
    assert {f.level for f in found} <= {"ok", "note"}
    assert {f.subject for f in found} >= {s.name for s in HUBSPOT.streams} | {"companies.seats", "daily requests"}
    assert all(e.status == 400 for e in rig.server.requests("batch/update"))  # empty: nothing can have been written


@pytest.mark.parametrize(
    ("lacking", "streams"),
    [
        ("crm.objects.companies.read", {"companies"}),
        ("crm.objects.contacts.read", {"contacts", "tasks"}),
        ("crm.objects.deals.read", {"deals"}),
        ("tickets", {"tickets"}),
        ("crm.objects.owners.read", {"owners"}),
    ],
)
def test_one_missing_scope_is_named_with_the_streams_it_costs(rig: Any, lacking: str, streams: set[str]) -> None:
    rig.app.scopes = READ - {lacking}
    wrong = [f for f in check(rig.session, {}) if f.level == "error"]
    assert {f.subject for f in wrong} == streams
    assert all(lacking in f.message and lacking in f.fix for f in wrong)


def test_a_key_that_may_only_read_is_warned_about(rig: Any) -> None:
    rig.app.scopes = READ
    warned = {f.subject: f.message for f in check(rig.session, {}) if f.level == "warning"}
    assert "crm.objects.companies.write" in warned["companies write-back"]
    assert "crm.objects.contacts.write" in warned["tasks write-back"]


def test_mapped_fields_are_compared_with_the_definitions(rig: Any) -> None:
    found = {f.subject: f for f in check(rig.session, {"companies": ["seats", "Renewal_Date", "gone", "createdate"]})}
    assert found["companies.seats"].level == "ok"
    assert "did you mean renewal_date?" in found["companies.Renewal_Date"].message
    assert (found["companies.gone"].level, found["companies.gone"].message) == ("error", "does not exist")
    assert "read-only" in found["companies.createdate"].message


def test_a_custom_object_that_is_mapped_is_checked_and_a_missing_one_is_told(rig: Any) -> None:
    found = {f.subject: f for f in check(rig.session, {"p_usage": ["active_users", "x"], "2-99": ["y"]})}
    assert (found["p_usage.active_users"].level, found["p_usage.x"].level) == ("ok", "error")
    assert (found["2-99"].level, "cannot be read" in found["2-99"].message) == ("error", True)


def test_skipped_streams_are_not_asked_for(rig: Any) -> None:
    object.__setattr__(rig.session, "settings", rig.session.settings.model_copy(update={"skip_streams": ("tickets",)}))
    found = {f.subject: f.message for f in check(rig.session, {})}
    assert found["tickets"] == "not pulled (skip_streams)"
    assert not rig.server.requests("tickets")


def test_the_burst_limit_of_the_account_is_compared_with_the_setting(rig: Any) -> None:
    rig.app.burst = 50
    (found,) = [f for f in check(rig.session, {}) if f.subject == "burst limit"]
    assert found.level == "warning"
    assert "take calls_per_10_seconds away" in found.fix
    chosen = rig.session.settings.model_copy(update={"calls_per_10_seconds": None})
    object.__setattr__(rig.session, "settings", chosen)
    (found,) = [f for f in check(rig.session, {}) if f.subject == "burst limit"]
    assert (found.level, found.message) == ("ok", "50 requests in 10 s")


def test_fields_are_described_as_the_vendor_defines_them(rig: Any) -> None:
    fields = {f.name: f for f in describe(rig.session, "companies")}
    assert (fields["seats"].type, fields["seats"].writable, fields["seats"].custom) == ("real", True, True)
    assert (fields["renewal_date"].type, fields["hs_lastmodifieddate"].type) == ("date", "instant")
    assert fields["segment"].options == ("smb", "mid-market", "enterprise")
    assert not fields["createdate"].writable
    assert describe(rig.session, "owners") == ()


def test_missing_fields_are_created_once_in_a_group_of_their_own(rig: Any) -> None:
    dry = list(provision(rig.session, "companies", [SCORE, BAND], dry_run=True))
    assert [f.level for f in dry] == ["would-create"] * 2
    assert writes(rig) == []
    assert [f.level for f in provision(rig.session, "companies", [SCORE, BAND], dry_run=False)] == ["created"] * 2
    group, made = writes(rig)
    assert group[1:] == (
        "/crm/properties/2026-09/companies/groups", {"name": "cssync", "label": "Customer success (cssync)"},
    )  # fmt: skip
    assert made[2]["inputs"][1] == {
        "name": "cs_band", "label": "Health band", "type": "enumeration", "fieldType": "select", "groupName": "cssync",
        "description": "", "formField": False,
        "options": [{"label": v.capitalize(), "value": v, "hidden": False, "displayOrder": n}
                    for n, v in enumerate(("green", "yellow", "red"))],
    }  # fmt: skip
    assert [f.level for f in provision(rig.session, "companies", [SCORE, BAND], dry_run=False)] == ["ok"] * 2
    assert len(writes(rig)) == 2


def test_missing_options_are_added_and_none_is_lost(rig: Any) -> None:
    list(provision(rig.session, "companies", [SIGNALS], dry_run=False))
    held = rig.app.portal.definitions["companies"]["cs_signals"]["options"]
    held.append({"label": "By hand", "value": "own", "displayOrder": 7, "hidden": True})
    wider = OwnField("cs_signals", "Signals", "multi", ("U01", "K03"))
    assert [f.level for f in provision(rig.session, "companies", [wider], dry_run=True)] == ["would-create"]
    (found,) = provision(rig.session, "companies", [wider], dry_run=False)
    assert (found.level, found.message) == ("created", "options added: K03")
    now = rig.app.portal.definitions["companies"]["cs_signals"]["options"]
    assert [(o["value"], o["hidden"]) for o in now] == [("U01", False), ("own", True), ("K03", False)]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (OwnField("seats", "Seats", "text"), "string (textarea) is needed"),
        (OwnField("segment", "Segment", "multi", ("smb",)), "enumeration (checkbox) is needed"),
        (OwnField("createdate", "Created", "date"), "date (date) is needed"),
        (OwnField("hs_object_id", "Id", "integer"), "read-only"),
    ],
)
def test_a_field_that_exists_in_another_form_is_reported_and_left_alone(rig: Any, field: OwnField, words: str) -> None:
    (found,) = provision(rig.session, "companies", [field], dry_run=False)
    assert found.level == "error"
    assert words in found.message
    assert writes(rig) == []


def test_one_field_that_cannot_be_created_does_not_stop_the_others(rig: Any) -> None:
    held = rig.app.portal.definitions["companies"]
    held["cs_band"] = {**held["segment"], "name": "cs_band", "archived": True}
    found = {f.subject: f for f in provision(rig.session, "companies", [SCORE, BAND, SIGNALS], dry_run=False)}
    assert [found[f"companies.{n}"].level for n in ("cs_score", "cs_band", "cs_signals")] == [
        "created", "error", "created",
    ]  # fmt: skip
    assert "already exists" in found["companies.cs_band"].message
    assert "archived" in found["companies.cs_band"].fix


def test_definitions_that_may_not_be_read_matter_only_where_something_is_mapped(rig: Any) -> None:
    real = rig.app.handle

    def handle(request: Any) -> Any:
        if "/properties/" in request.path:
            return SandboxAnswer(403, {"status": "error", "category": "MISSING_SCOPES", "message": "no"})
        return real(request)

    rig.app.handle = handle
    found = {f.subject: f for f in check(rig.session, {"deals": ["x"]})}
    assert (found["deals properties"].level, found["contacts properties"].level) == ("error", "note")
    assert "crm.schemas.deals.read" in found["deals properties"].fix
