from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from cssync.connectors import Tombstone
from cssync.link import LinkReport, link
from cssync.link.engine import id18
from cssync.link.keys import company_domain, company_name
from cssync.store import Store
from cssync.sync import sync
from fake_vendor import NOW, World, company, sessions, workspace


def linked(tmp_path: Path, store: Store, **worlds: World) -> tuple[LinkReport, dict[str, str]]:
    """Pull and link; return the report and the account of each `connection:id`."""
    space = workspace(tmp_path, **worlds)
    sync(store, space, sessions(space), run_id="r", full=True)
    report = link(store, space, NOW)
    rows = store.query("SELECT * FROM account_link WHERE status = 'active' AND valid_to IS NULL")
    return report, {f"{r['connection']}:{r['source_id']}": r["account_uid"] for r in rows}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def test_each_method_links_in_order_of_strength_and_names_only_suggest(tmp_path: Path, store: Store) -> None:
    crm = World([
        company(1, name="Explicit"), company(2, name="Native", linked={"sales": "0012M6pGqPk9UraQUE"}),
        company(3, name="Domain", domain="https://www.three.example/"), company(4, name="株式会社青葉"), company(5),
    ])  # fmt: skip
    sales = World([company(0, id="0012M6pGqPk9UraQUE", name="Other spelling")])
    desk = World([
        company(11, name="x", external="1"), company(13, name="y", domain="three.example"),
        company(14, name="(株)青葉"),
    ])  # fmt: skip
    report, uid = linked(tmp_path, store, crm=crm, sales=sales, desk=desk)
    assert uid["crm:1"] == uid["desk:11"]
    assert uid["crm:2"] == uid["sales:0012M6pGqPk9UraQUE"]
    assert uid["crm:3"] == uid["desk:13"]
    assert uid["crm:4"] != uid["desk:14"]
    assert (report.accounts, report.suggested) == (6, 1)
    assert report.by_method == {"explicit": 2, "crm_native": 2, "domain": 2, "single": 3}
    (suggestion,) = store.query("SELECT * FROM account_link WHERE status = 'suggested'")
    assert (suggestion["source_id"], suggestion["account_uid"], suggestion["method"]) == ("14", uid["crm:4"], "name")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"domain": "gmail.com"}, {"domain": "gmail.com"}),
        ({"domain": ""}, {"domain": None}),
        ({"external": "C-1"}, {"external": "c-1"}),
        ({"linked": {"elsewhere": "9"}}, {}),
    ],
)
def test_what_identifies_nobody_links_nobody(tmp_path: Path, store: Store, ours: Any, theirs: Any) -> None:
    _, uid = linked(
        tmp_path, store, crm=World([company(1, name="A", **ours)]), desk=World([company(9, name="B", **theirs)])
    )
    assert uid["crm:1"] != uid["desk:9"]


@pytest.mark.parametrize("key", ["domain", "external"])
def test_a_key_shared_by_two_records_of_one_system_is_listed_not_linked(tmp_path: Path, store: Store, key: str) -> None:
    shared = {key: "shared.example"}
    crm = World([company(1, name="A", **shared), company(2, name="B", **shared)])
    report, uid = linked(tmp_path, store, crm=crm, desk=World([company(9, name="C", **shared)]))
    assert len(set(uid.values())) == 3
    assert [len(a.records) for a in report.ambiguous] == [3]
    written = [r[0] > 0 for r in store.query("SELECT confidence FROM account_link WHERE status = 'active'")]
    assert written == [key == "domain"] * 3


def test_a_domain_that_only_sister_companies_of_one_system_share_is_no_question(tmp_path: Path, store: Store) -> None:
    crm = World([company(1, name="A", domain="shared.example"), company(2, name="B", domain="shared.example")])
    report, uid = linked(tmp_path, store, crm=crm, desk=World([company(9, name="C", domain="other.example")]))
    assert (len(set(uid.values())), report.ambiguous) == (3, [])


def test_order_of_records_does_not_matter(tmp_path: Path) -> None:
    found = []
    for seed in range(5):
        crm = World([company(n, domain=f"d{n}.example") for n in range(20)])
        desk = World([company(100 + n, domain=f"d{n}.example") for n in range(20)])
        random.Random(seed).shuffle(crm.companies)
        random.Random(seed + 9).shuffle(desk.companies)
        with Store.open(tmp_path / f"{seed}.db") as store:
            found.append(linked(tmp_path, store, crm=crm, desk=desk)[1])
    assert all(f == found[0] for f in found)
    assert len(set(found[0].values())) == 20


def test_a_second_link_over_a_still_world_writes_nothing(tmp_path: Path, store: Store) -> None:
    worlds = {"crm": World([company(1, domain="a.example")]), "desk": World([company(2, domain="a.example")])}
    linked(tmp_path, store, **worlds)
    report, _ = linked(tmp_path, store, **worlds)
    assert (report.changed_links, report.changed_accounts) == (0, 0)


def test_an_account_keeps_its_uid_when_a_stronger_system_joins_later(tmp_path: Path, store: Store) -> None:
    crm, desk = World(), World([company(7, domain="a.example")])
    _, first = linked(tmp_path, store, crm=crm, desk=desk)
    crm.companies.append(company(1, domain="a.example"))
    _, second = linked(tmp_path, store, crm=crm, desk=desk)
    assert second == {"crm:1": first["desk:7"], "desk:7": first["desk:7"]}


def test_the_loser_of_a_merge_and_its_people_follow_the_survivor(tmp_path: Path, store: Store) -> None:
    crm = World([company(1), company(2)], [{"id": "p", "name": "P", "company": "2"}])
    linked(tmp_path, store, crm=crm)
    del crm.companies[1]
    crm.deleted = [Tombstone("2", merged_into="1")]
    _, uid = linked(tmp_path, store, crm=crm)
    assert store.query("SELECT account_uid FROM contact")[0][0] == uid["crm:1"] == uid["crm:2"]
    gone = store.query("SELECT merged_into FROM account WHERE deleted_at NOT NULL")
    assert [r[0] for r in gone] == [uid["crm:1"]]


@pytest.mark.parametrize("ids", [("1", "2", "3"), ("3", "2", "1"), ("2", "3", "1")])
def test_a_chain_of_merges_leads_to_the_record_that_is_left(tmp_path: Path, store: Store, ids: Any) -> None:
    first, second, last = ids
    crm = World([company(int(i)) for i in ids], [{"id": "p", "name": "P", "company": first}])
    linked(tmp_path, store, crm=crm)
    for loser, winner in ((first, second), (second, last)):
        crm.companies = [c for c in crm.companies if c["id"] != loser]
        crm.deleted = [Tombstone(loser, merged_into=winner)]
        _, uid = linked(tmp_path, store, crm=crm)
    assert uid[f"crm:{first}"] == uid[f"crm:{second}"] == uid[f"crm:{last}"]
    assert store.query("SELECT account_uid FROM contact")[0][0] == uid[f"crm:{last}"]
    gone = {r["uid"]: r["merged_into"] for r in store.query("SELECT uid, merged_into FROM account")}
    assert gone[uid[f"crm:{last}"]] is None
    crm.deleted = [Tombstone(last, merged_into=first)]  # a vendor that contradicts itself
    crm.companies = []
    linked(tmp_path, store, crm=crm)


def test_a_merge_that_is_taken_back_gives_the_loser_its_life_back(tmp_path: Path, store: Store) -> None:
    crm = World([company(1), company(2)])
    linked(tmp_path, store, crm=crm)
    loser = crm.companies.pop()
    crm.deleted = [Tombstone("2", merged_into="1")]
    linked(tmp_path, store, crm=crm)
    crm.deleted, crm.companies = [], [*crm.companies, loser]
    _, uid = linked(tmp_path, store, crm=crm)
    assert uid["crm:1"] != uid["crm:2"]
    assert [tuple(r) for r in store.query("SELECT deleted_at, merged_into FROM account_source")] == [(None, None)] * 2
    assert [tuple(r) for r in store.query("SELECT deleted_at, merged_into FROM account")] == [(None, None)] * 2


def test_a_deleted_company_keeps_its_account_and_gets_it_back(tmp_path: Path, store: Store) -> None:
    crm = World([company(1), company(2), company(3)])
    _, before = linked(tmp_path, store, crm=crm)
    crm.deleted = [Tombstone("2")]
    kept = crm.companies.pop(1)
    linked(tmp_path, store, crm=crm)
    assert [r[0] for r in store.query("SELECT uid FROM account WHERE deleted_at NOT NULL")] == [before["crm:2"]]
    crm.deleted = []
    crm.companies.append(kept)
    _, after = linked(tmp_path, store, crm=crm)
    assert after == before
    assert store.query("SELECT count(*) FROM account WHERE deleted_at NOT NULL")[0][0] == 0


def test_people_without_a_company_go_through_a_domain_of_exactly_one_account(tmp_path: Path, store: Store) -> None:
    crm = World(
        [company(1, domain="one.example"), company(2, domain="two.example"), company(3, domain="two.example")],
        [
            {"id": "a", "email": "x@one.example"},
            {"id": "b", "email": "x@two.example"},
            {"id": "c", "email": "x@gmail.com"},
        ],
    )
    report, uid = linked(tmp_path, store, crm=crm)
    found = {r["source_id"]: r["account_uid"] for r in store.query("SELECT * FROM contact")}
    assert found == {"a": uid["crm:1"], "b": None, "c": None}
    assert report.unassigned["contact"] == 2


def test_the_master_wins_where_two_systems_disagree(tmp_path: Path, store: Store) -> None:
    worlds = {"crm": World([company(1, name="From CRM", domain="a.example", staff="5")]),
              "sales": World([company(2, name="From sales", domain="a.example")])}  # fmt: skip
    space = workspace(tmp_path, **worlds)
    object.__setattr__(space, "masters", {"account.name": "sales"})
    sync(store, space, sessions(space), run_id="r")
    link(store, space, NOW)
    (account,) = store.query("SELECT name, employee_count, domains FROM account")
    assert tuple(account) == ("From sales", 5, '["a.example"]')


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        ("https://www.Foo.co.jp/x?y", "foo.co.jp"), ("x@mail.acme.example", "acme.example"), ("gmail.com", None),
        ("*.acme.com", "acme.com"), ("localhost", None), ("10.0.0.1", None), ("foo.github.io", None), ("", None),
    ],
)  # fmt: skip
def test_company_domain(value: str, domain: str | None) -> None:
    assert company_domain(value) == domain


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("株式会社青葉システムズ", "㈱青葉システムズ", True), ("Aoba Systems Inc.", "AOBA systems, Co., Ltd.", True),
        ("Café GmbH", "cafe\u0301", True), ("Coca Cola", "Cola", False), ("Inc", "Ltd", False),
    ],
)  # fmt: skip
def test_company_name(one: str, other: str, same: bool) -> None:
    assert (company_name(one) == company_name(other)) is same


def test_a_15_character_salesforce_id_gets_its_checksum_and_nothing_else_does() -> None:
    assert id18("001dM00003kS5tZ") == "001dM00003kS5tZQAS"
    assert id18("001dM00003kS5tz") != id18("001dM00003kS5tZ")
    assert id18("123456789012345") == "123456789012345"
    assert id18("C-42") == "C-42"
