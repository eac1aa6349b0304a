"""Twin runs in a world whose admins change things meanwhile: definitions of our fields, and credentials.

What the changed field does not take is listed with its reason, everything else is written; once it is put right, the
world and journal are those of the run that nobody disturbed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.sandbox.server import Fault
from cssync.writeback.failures import retry
from office import CREATES, POLLS, UPDATES, Office
from twins import Twin, come_through

Change = Callable[[Any], None]


@pytest.fixture
def office(tmp_path: Path, calm: dict[str, Twin], vendor: str) -> Iterator[Office]:
    with calm[vendor].disturbed(tmp_path) as found:
        yield found


def fields_of(app: Any) -> tuple[dict[str, dict[str, Any]], str]:
    """The vendor's definitions of fields by name, and the name of ours for the band."""
    if hasattr(app, "desk"):
        return app.fields, "cs_health_band"
    if hasattr(app, "portal"):
        return app.portal.definitions["companies"], "cs_health_band"
    return app.schema["Account"], "cs_health_band__c"


def band(app: Any) -> dict[str, Any]:
    held, name = fields_of(app)
    return held[name]


def without_red(app: Any) -> None:
    for name in ("options", "picklistValues", "custom_field_options"):
        if name in band(app):
            band(app)[name] = [o for o in band(app)[name] if "red" not in o["value"]]
    band(app)["restrictedPicklist"] = True


def deleted(app: Any) -> None:
    held, name = fields_of(app)
    del held[name]


def retyped(app: Any) -> None:
    number = {"options": "number", "picklistValues": "double", "custom_field_options": "integer"}
    kind = next(word for name, word in number.items() if name in band(app))
    band(app).update(type=kind, fieldType="number", options=[], picklistValues=[], precision=18, scale=2)


def read_only(app: Any) -> None:
    band(app)["modificationMetadata"] = {"archivable": True, "readOnlyDefinition": False, "readOnlyValue": True}
    band(app)["updateable"] = False


def hidden(app: Any) -> None:
    """Field-level security is withdrawn."""
    app.hidden.add("Account.CS_Health_Band__c")
    for row in app.tables["FieldPermissions"].values():
        row["PermissionsRead"] = row["PermissionsEdit"] = row["PermissionsRead"] and "Band" not in row["Field"]


EVERYWHERE: dict[str, Change] = {"option removed": without_red, "field deleted": deleted, "field retyped": retyped}
CASES = [
    *((vendor, what, change) for vendor in UPDATES for what, change in EVERYWHERE.items()),
    ("hubspot", "made read-only", read_only), ("salesforce", "made read-only", read_only),
    ("salesforce", "hidden from us", hidden),
]  # fmt: skip


MOMENTS = ("between plan and apply", "when the write arrives")
CHANGED = [(*case, moment) for case in CASES for moment in MOMENTS]


@pytest.mark.parametrize(
    ("vendor", "what", "change", "moment"), CHANGED, ids=[f"{v}, {what}, {moment}" for v, what, _, moment in CHANGED]
)
def test_a_field_changed_meanwhile_stops_its_own_values_alone(
    office: Office, calm: dict[str, Twin], vendor: str, what: str, change: Change, moment: str
) -> None:
    twin, app = calm[vendor], office.server.app
    held, _ = fields_of(app)
    right = copy.deepcopy(held)
    rights = copy.deepcopy((app.hidden, app.tables["FieldPermissions"])) if hasattr(app, "hidden") else None
    if moment == MOMENTS[0]:
        assert not office.run(lambda: change(app))
    else:
        office.server.faults.append(Fault(UPDATES[vendor], act=lambda: change(app)))
        office.run()
    stuck = list(office.store.query("SELECT * FROM outbox WHERE state NOT IN ('verified', 'planned')"))
    assert {row["field"].casefold() for row in stuck} <= {"cs_health_band", "cs_health_band__c"}, "others are written"
    assert stuck
    assert all(row["error"] for row in stuck)
    fields, _, count = twin.world
    assert (
        office.store.query("SELECT count(*) AS n FROM outbox WHERE state = 'verified'")[0]["n"]
        >= 2 * len(fields) + count
    )
    before = len(office.server.requests(UPDATES[vendor]))
    office.run()
    office.run()
    sent = len(office.server.requests(UPDATES[vendor])) - before
    assert sent <= 1, "the vendor's no is not asked for each day"
    held.clear()
    held.update(right)
    if rights is not None:
        app.hidden, app.tables["FieldPermissions"] = rights
    retry(office.store, ())
    come_through(office, 3)
    twin.must_equal(office)


def test_a_field_made_shorter_meanwhile_gets_the_text_cut(tmp_path: Path, calm: dict[str, Twin]) -> None:
    """Of the three vendors only Salesforce has lengths that an admin sets."""
    with calm["salesforce"].disturbed(tmp_path) as office:
        reasons = office.server.app.schema["Account"]["cs_health_reasons__c"]
        assert office.run(lambda: reasons.update(length=20))
        fields, *others = office.world()
        wanted, *undisturbed = copy.deepcopy(calm["salesforce"].world)
        assert others == undisturbed
        for key, values in fields.items():
            text = wanted[key].pop("CS_Health_Reasons__c")
            held = values.pop("CS_Health_Reasons__c")
            assert len(held) <= 20
            assert text.startswith(held.removesuffix("…"))
        assert fields == wanted
        where = [(record, name) for record, name, _ in calm["salesforce"].journal]
        assert [(record, name) for record, name, _ in office.ledger.journal] == where, "each field once"
        assert office.run()
        assert len(office.ledger.rows) == len(where)


def revoke(app: Any) -> Callable[[], None]:
    """End every token of ours and change the secret; returns what gives us back our right."""
    if hasattr(app, "portal"):
        held, app.token = app.token, "another"
        return lambda: setattr(app, "token", held)
    app.tokens.clear()
    held, app.client = app.client, (app.client[0], "another")
    return lambda: setattr(app, "client", held)


REVOKED = [(vendor, what, route) for what, routes in (("updates", UPDATES), ("creates", CREATES), ("polls", POLLS))
           for vendor, route in routes.items()]  # fmt: skip


@pytest.mark.parametrize(("vendor", "what", "route"), REVOKED, ids=[f"{v}, {w}" for v, w, _ in REVOKED])
def test_credentials_revoked_while_we_write_lose_nothing_and_repeat_nothing(
    office: Office, calm: dict[str, Twin], vendor: str, what: str, route: str
) -> None:
    twin, app = calm[vendor], office.server.app
    back: list[Callable[[], None]] = []
    office.server.faults.append(Fault(route, act=lambda: back.append(revoke(app))))
    assert not office.run()
    (restore,) = back
    assert not office.run(), "with credentials that are not taken nothing can be done"
    left = office.store.query(
        "SELECT DISTINCT state FROM outbox WHERE state <> 'verified' AND error NOT LIKE 'a newer plan took its place%'"
    )
    assert {row["state"] for row in left} <= {"waiting", "unknown", "sent", "failed-retry"}
    restore()
    come_through(office, 3)
    twin.must_equal(office)
