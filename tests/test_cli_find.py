"""Accounts as a person names them, and what a person decides about links."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssync.errors import ConfigError
from cssync.link import link
from cssync.link.decide import accept, record_of, reject
from cssync.link.find import find_account
from cssync.store import Store
from cssync.sync import sync
from cssync.sync.cast import stamp
from fake_vendor import NOW, World, company, sessions, workspace

LATER = stamp(NOW)


@pytest.fixture
def space(tmp_path: Path) -> Any:
    crm = World([
        company(1, name="星見電機株式会社", domain="hoshimi.example"),
        company(2, name="Acme Corporation", domain="acme.example"),
        company(3, name="Acme Corp.", domain="acme-west.example"),
        company(4, name="Zebra", domain="zebra.example"),
    ])  # fmt: skip
    desk = World([company(11, name="Hoshimi Electric", domain="hoshimi.example")])
    return workspace(tmp_path, crm=crm, desk=desk)


@pytest.fixture
def store(tmp_path: Path, space: Any) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        sync(opened, space, sessions(space), run_id="r1")
        link(opened, space, NOW)
        yield opened


def uid(store: Store, record: str) -> str:
    connection, _, source_id = record.partition(":")
    rows = store.query(
        "SELECT account_uid FROM account_source WHERE connection = ? AND source_id = ?", (connection, source_id)
    )
    return str(rows[0]["account_uid"])


@pytest.mark.parametrize(
    "text",
    [
        "crm:1",
        "desk:11",
        "hoshimi.example",
        "https://www.HOSHIMI.example/about",
        "someone@hoshimi.example",
        "星見電機株式会社",
        "星見電機（株）",
        "㈱星見電機",
        "HOSHIMI  ELECTRIC",
        "ｈｏｓｈｉｍｉ electric",
    ],
)
def test_an_account_is_found_by_whatever_names_it(store: Store, text: str) -> None:
    assert find_account(store, text) == uid(store, "crm:1")
    assert find_account(store, uid(store, "crm:1")) == uid(store, "crm:1")


def test_an_exact_name_wins_over_a_like_one(store: Store) -> None:
    assert find_account(store, "acme corporation") == uid(store, "crm:2")
    assert find_account(store, "ACME CORP.") == uid(store, "crm:3")


@pytest.mark.parametrize(("text", "words"), [("acme", "means 2 accounts"), ("Zebbra", "there is no account 'Zebbra'")])
def test_what_is_not_clear_lists_who_may_be_meant(store: Store, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_account(store, text)
    assert words in caught.value.message
    assert "did you mean one of" in caught.value.message
    assert ("acme.example" if text == "acme" else "zebra.example") in caught.value.message


def test_an_unknown_account_suggests_nobody_without_likeness(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no account 'qqqq'$"):
        find_account(store, "qqqq")
    with Store.open(tmp_path / "empty.db") as empty, pytest.raises(ConfigError, match="holds no account yet"):
        find_account(empty, "x")


def relink(store: Store, space: Any) -> None:
    link(store, space, NOW)


def test_a_rejected_link_parts_the_record_for_good(store: Store, space: Any) -> None:
    together = uid(store, "desk:11")
    assert reject(store, ("desk", "11"), together, LATER)
    relink(store, space)
    relink(store, space)
    assert uid(store, "crm:1") == together
    assert uid(store, "desk:11") != together


def test_rejecting_the_record_that_named_the_account_parts_the_others_from_it(store: Store, space: Any) -> None:
    together = uid(store, "crm:1")
    assert reject(store, ("crm", "1"), together, LATER)
    relink(store, space)
    assert uid(store, "crm:1") == together
    assert uid(store, "desk:11") not in (together, "None")


def test_the_only_record_of_an_account_cannot_leave_it(store: Store) -> None:
    with pytest.raises(ConfigError, match="only record"):
        reject(store, ("crm", "4"), uid(store, "crm:4"), LATER)


def test_an_accepted_link_joins_what_nothing_else_would(store: Store, space: Any) -> None:
    target = uid(store, "crm:4")
    assert accept(store, ("desk", "11"), target, LATER)
    assert not accept(store, ("desk", "11"), target, LATER)
    relink(store, space)
    relink(store, space)
    assert uid(store, "desk:11") == target
    active = store.query("SELECT method FROM account_link WHERE source_id = '11' AND status = 'active'")
    assert [row["method"] for row in active] == ["manual"]


def test_a_record_is_named_by_connection_and_id(store: Store) -> None:
    assert record_of(store, "crm:4") == ("crm", "4")
    with pytest.raises(ConfigError, match="there is no company record 'crm:99'"):
        record_of(store, "crm:99")
