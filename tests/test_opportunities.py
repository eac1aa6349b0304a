"""Renewals and upsells as opportunities: made once, kept up until a person touches them, never made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cssync.config import Writeback
from cssync.plugins import plugins
from cssync.runs.sessions import open_sessions
from cssync.sandbox.server import Fault, SandboxAnswer
from cssync.store import Store
from cssync.writeback import send_tasks
from cssync.writeback.opportunities import opportunity_rows
from cssync.writeback.plan import make_undo
from cssync.writeback.provision import provision
from fake_crm import KNOWN_AT, task
from office import RULES, WORLD, Office, furnish, served

VENDORS = ("hubspot", "salesforce")
BUSY = SandboxAnswer(503, b"")
CREATE = {"hubspot": "POST .*/deals/batch/create", "salesforce": "(POST|PATCH) .*/composite/sobjects(/Opportunity)?"}


@contextmanager
def office(folder: Path, vendor: str, *, keyed: bool = True) -> Iterator[Office]:
    """An office that writes opportunities only; account 0 renews, account 1 may grow, neither has an open deal."""
    make_app = plugins().connector(vendor).sandbox
    assert make_app is not None
    with served(folder, vendor, make_app(WORLD)) as found:
        furnish(found)
        ((name, back),) = found.space.writeback.items()
        written = Writeback(name, back.to, {}, opportunities=("renewal", "upsell"))
        found.space = replace(found.space, writeback={name: written})
        with open_sessions(found.space, found.store, clock=found.clock) as sessions:
            if keyed:
                assert not [f for _, f in provision(found.space, sessions, RULES, dry_run=False) if f.level == "error"]
        with found.store.transaction() as conn:
            conn.execute("DELETE FROM task")
            conn.execute("DELETE FROM result")
            conn.execute("UPDATE opportunity SET is_closed = 1")
        renews, grows = uids(found.store)
        task(found.store, renews, "f" * 24, rule="R03", title="Prepare", body="The term ends soon.")
        say(found.store, renews, "renewal.date", "2027-02-01")
        say(found.store, renews, "renewal.arr_at_stake", 1_800_000)
        signal(found.store, grows, "U01", "2026-11-18T00:00:00Z")
        say(found.store, grows, "upsell.arr_potential", 36_000.5)
        yield found


def uids(store: Store) -> list[str]:
    return [row["uid"] for row in store.query("SELECT uid FROM account WHERE deleted_at IS NULL ORDER BY uid LIMIT 2")]


def say(store: Store, uid: str, name: str, value: Any) -> None:
    with store.transaction() as conn:
        conn.execute(
            "INSERT OR REPLACE INTO result (account_uid, name, value, state, run_id) VALUES (?, ?, ?, 'ok', 'r')",
            (uid, name, json.dumps(value)),
        )


def signal(store: Store, uid: str, name: str, since: str, until: str | None = None) -> None:
    with store.transaction() as conn:
        conn.execute(
            "INSERT OR REPLACE INTO signal (account_uid, pack, name, since, until, because, run_id) "
            "VALUES (?, 'upsell', ?, ?, ?, 'seats are nearly full', 'r')",
            (uid, name, since, until),
        )


def deals(found: Office) -> list[dict[str, Any]]:
    """Our opportunities at the vendor, by name."""
    app: Any = found.server.app
    if hasattr(app, "portal"):
        rows = [
            {"name": t.properties["dealname"], "stage": t.properties["dealstage"], "amount": t.properties["amount"],
             "closes": t.properties["closedate"][:10], "text": t.properties["description"], "id": t.id}
            for t in app.portal.things["deals"].values() if "cssync:" in (t.properties.get("description") or "")
        ]  # fmt: skip
    else:
        rows = [
            {"name": r["Name"], "stage": r["StageName"], "amount": r["Amount"], "closes": r["CloseDate"],
             "text": r["Description"], "id": r["Id"]}
            for r in app.tables["Opportunity"].values() if "cssync" in (r.get("Description") or "")
        ]  # fmt: skip
    return sorted(rows, key=lambda row: str(row["name"]))


def person(found: Office, deal: dict[str, Any], **values: Any) -> None:
    """A person works on a deal: `stage`, `amount` or `name`."""
    app: Any = found.server.app
    if hasattr(app, "portal"):
        names = {"stage": "dealstage", "amount": "amount", "name": "dealname"}
        app.portal.edit("deals", deal["id"], **{names[n]: str(v) for n, v in values.items()})
    else:
        names = {"stage": "StageName", "amount": "Amount", "name": "Name"}
        app.edit("Opportunity", deal["id"], **{names[n]: v for n, v in values.items()})


@pytest.mark.parametrize("vendor", VENDORS)
def test_one_for_the_renewal_and_one_for_the_upsell_in_the_first_open_stage(tmp_path: Path, vendor: str) -> None:
    with office(tmp_path, vendor) as found:
        assert found.run()
        renewal, upsell = deals(found)
        assert str(renewal["name"]).startswith("Renewal: ")
        assert str(upsell["name"]).startswith("Upsell: ")
        assert {renewal["stage"], upsell["stage"]} <= {"qualifiedtobuy", "Qualification"}
        assert [float(d["amount"]) for d in (renewal, upsell)] == [1_800_000, 36_000.5]
        assert [d["closes"] for d in (renewal, upsell)] == ["2027-02-01", "2027-02-16"]
        assert "Made by cssync on data of 2026-11-20" in renewal["text"]
        assert "seats are nearly full" in upsell["text"]
        writes = len(found.server.requests(CREATE[vendor]))
        assert found.run()
        assert len(found.server.requests(CREATE[vendor])) == writes


@pytest.mark.parametrize("vendor", VENDORS)
def test_amount_and_date_follow_until_a_person_moves_it(tmp_path: Path, vendor: str) -> None:
    with office(tmp_path, vendor) as found:
        found.run()
        renews, grows = uids(found.store)
        say(found.store, renews, "renewal.arr_at_stake", 2_000_000)
        say(found.store, renews, "renewal.date", "2027-03-01")
        assert found.run()
        renewal, upsell = deals(found)
        assert (float(renewal["amount"]), renewal["closes"]) == (2_000_000, "2027-03-01")
        person(found, renewal, stage="contractsent" if vendor == "hubspot" else "Negotiation/Review")
        person(found, upsell, name="My own words")
        say(found.store, renews, "renewal.arr_at_stake", 1)
        say(found.store, grows, "upsell.arr_potential", 2)
        found.run()  # the world moved: both are listed once
        assert found.run()
        say(found.store, renews, "renewal.arr_at_stake", 3)
        say(found.store, grows, "upsell.arr_potential", 4)
        assert found.run()
        assert sorted(float(d["amount"]) for d in deals(found)) == [36_000.5, 2_000_000]
        told = [row["error"] for row in found.store.query("SELECT error FROM outbox WHERE state = 'refused'")]
        assert sorted(text[:30] for text in told) == [
            "a person moved or closed the o",
            "the CRM holds 'My own words' n",
        ]


@pytest.mark.parametrize("vendor", VENDORS)
def test_one_that_a_person_closed_is_not_made_again(tmp_path: Path, vendor: str) -> None:
    with office(tmp_path, vendor) as found:
        found.run()
        for deal in deals(found):
            person(found, deal, stage="closedlost" if vendor == "hubspot" else "Closed Lost")
        renews, _ = uids(found.store)
        say(found.store, renews, "renewal.arr_at_stake", 5)
        for _ in range(3):
            found.run()
        assert len(deals(found)) == 2
        assert {d["stage"] for d in deals(found)} <= {"closedlost", "Closed Lost"}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "trouble",
    [{"drop": True, "answer": BUSY}, {"drop": True, "after": True}, {"cut": True}],
    ids=["before", "after", "cut"],
)
@pytest.mark.parametrize("keyed", [True, False])
def test_a_lost_answer_never_makes_a_second(tmp_path: Path, vendor: str, trouble: dict[str, Any], keyed: bool) -> None:
    with office(tmp_path, vendor, keyed=keyed) as found:
        found.server.faults.append(Fault(CREATE[vendor], **trouble))
        for _ in range(4):
            if found.run():
                break
        assert len(deals(found)) == 2


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("after", [False, True])
def test_a_death_around_the_sending_never_makes_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor: str, after: bool
) -> None:
    with office(tmp_path, vendor) as found:
        send = send_tasks.push

        def dies(*given: Any) -> Any:
            monkeypatch.setattr(send_tasks, "push", send)
            if after:
                send(*given)
            raise Killed

        monkeypatch.setattr(send_tasks, "push", dies)
        with pytest.raises(Killed):
            found.run()
        for _ in range(3):
            if found.run():
                break
        assert len(deals(found)) == 2


def test_an_account_with_an_open_deal_of_the_type_gets_none(tmp_path: Path) -> None:
    with office(tmp_path, "hubspot") as found:
        renews, _ = uids(found.store)
        with found.store.transaction() as conn:
            conn.execute(
                "INSERT INTO opportunity (connection, source_id, synced_at, account_uid, type, is_closed) "
                "VALUES ('x', 'o1', ?, ?, 'renewal', 0)", (KNOWN_AT, renews),
            )  # fmt: skip
        assert found.run()
        assert [d["name"][:6] for d in deals(found)] == ["Upsell"]


def test_stretches_of_signals_are_one_opportunity_each(tmp_path: Path) -> None:
    with office(tmp_path, "hubspot") as found:
        found.run()
        _, grows = uids(found.store)
        signal(found.store, grows, "U03", "2026-11-19T00:00:00Z")
        signal(found.store, grows, "U01", "2026-11-18T00:00:00Z", "2026-11-20T00:00:00Z")  # the other one goes on
        found.run()
        assert len(deals(found)) == 2
        signal(found.store, grows, "U03", "2026-11-19T00:00:00Z", "2026-11-21T00:00:00Z")
        found.run()
        assert len(deals(found)) == 2  # nothing holds: it stays where it is
        signal(found.store, grows, "U01", "2026-12-19T00:00:00Z")
        found.clock.sleep(timedelta(days=30).total_seconds())
        found.run()
        assert len(deals(found)) == 3


@pytest.mark.parametrize(("vendor", "stage"), [("hubspot", "Negotiation"), ("salesforce", "Proposal/Price Quote")])
def test_the_stage_may_be_named(tmp_path: Path, vendor: str, stage: str) -> None:
    with office(tmp_path, vendor) as found:
        ((name, back),) = found.space.writeback.items()
        found.space = replace(found.space, writeback={name: replace(back, opportunity_stage=stage)})
        assert found.run()
        assert {d["stage"] for d in deals(found)} == {"contractsent" if vendor == "hubspot" else stage}
        assert found.run()


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_stage_that_is_not_there_is_said(tmp_path: Path, vendor: str) -> None:
    with office(tmp_path, vendor) as found:
        ((name, back),) = found.space.writeback.items()
        found.space = replace(found.space, writeback={name: replace(back, opportunity_stage="Elsewhere")})
        assert not found.run()
        (words,) = {row["error"] for row in found.store.query("SELECT error FROM outbox")}
        assert "no opportunity stage 'Elsewhere'" in words or "no deal stage 'Elsewhere'" in words
        assert deals(found) == []


def test_an_undo_leaves_opportunities_to_the_sales_team(tmp_path: Path) -> None:
    with office(tmp_path, "salesforce") as found:
        found.run()
        made = make_undo(found.store, found.space, RULES, WORLD.now, "r-01", run_id="r-9")
        assert made.changes == ()
        assert made.totals["kept"] == 2


def test_each_of_several_renewals_has_an_opportunity_of_its_own(tmp_path: Path) -> None:
    with office(tmp_path, "hubspot") as found:
        renews = uids(found.store)[0]
        say(found.store, renews, "renewal.renewal_event", 1)
        with found.store.transaction() as conn:
            conn.execute("UPDATE task SET subject_uid = account_uid || '/renewal/1'")
            conn.executemany(
                "INSERT INTO renewal_event (account_uid, number, contracts, term_end, since) VALUES (?, ?, ?, ?, '')",
                [(renews, 1, "crm:k1", "2027-01-31"), (renews, 2, "crm:k2", "2027-06-30")],
            )
            conn.executemany(
                "INSERT INTO event_result (account_uid, number, name, value) VALUES (?, 2, ?, ?)",
                [(renews, "renewal.date", '"2027-07-01"'), (renews, "renewal.arr_at_stake", "500")],
            )
        task(found.store, renews, "e" * 24, rule="R03", title="Prepare", subject_uid=f"{renews}/renewal/2")

        def asked() -> list[tuple[str, str, bool]]:
            rows = opportunity_rows(found.store, found.space)
            return [(r["due_on"], r["amount"], r["taken"]) for r in rows if r["kind"] == "renewal"]

        assert sorted(asked()) == [("2027-02-01", "1800000.00", False), ("2027-07-01", "500.00", False)]
        with found.store.transaction() as conn:  # a deal of a person's, about the later one
            deal = {"source_id": "d9", "type": "renewal", "close_date": "2027-05-01", "is_closed": 0}
            found.store.upsert(conn, "opportunity", "crm", [deal], KNOWN_AT)
            conn.execute("UPDATE opportunity SET account_uid = ? WHERE source_id = 'd9'", (renews,))
        assert sorted(asked()) == [("2027-02-01", "1800000.00", False), ("2027-07-01", "500.00", True)]
