"""Values from a vendor's JSON to the store: ids, codes and money keep their bytes, days stay days in every zone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cssync.store import Store
from cssync.sync import StreamReport, sync
from fake_vendor import World, company, sessions, workspace


def pulled(tmp_path: Path, records: list[dict[str, Any]], *, zone: str = "Asia/Tokyo", **mapped: str) -> StreamReport:
    """Pull these companies with these custom fields mapped; the store stays at `s.db`."""
    space = workspace(tmp_path, crm=World(records))
    crm = dataclasses.replace(space.connections["crm"], mapped={"companies": mapped})
    space = dataclasses.replace(space, connections={"crm": crm}, timezone=ZoneInfo(zone), writeback={})
    with Store.open(tmp_path / "s.db") as store:
        report = sync(store, space, sessions(space), run_id="r")[0]
    assert report.read == sum(
        getattr(report, n) for n in ("new", "changed", "same", "echo", "tombstoned", "incomplete", "quarantined")
    )
    return report


def column(tmp_path: Path, sql: str) -> list[Any]:
    with Store.open(tmp_path / "s.db") as store:
        return [row[0] if len(row) == 1 else tuple(row) for row in store.query(sql)]


ODD = ["00123", "12E5", "9007199254740993", "5,0", "  ", "NULL", "1e400", "\u202e7", "O'Dell\\'; --"]


def test_ids_and_codes_arrive_byte_for_byte(tmp_path: Path) -> None:
    records = [{"id": code, "name": code, "external": code} for code in ODD]
    assert pulled(tmp_path, records).new == len(ODD)
    stored = column(tmp_path, "SELECT source_id, name, external_id FROM account_source ORDER BY rowid")
    assert stored == [(code, code, code) for code in ODD]


def test_whole_numbers_beyond_a_double_are_exact_and_text_that_is_none_is_set_aside(tmp_path: Path) -> None:
    records = [
        company(1, custom={"seats": "9007199254740993"}),
        company(2, custom={"seats": 9007199254740993}),
        company(3, custom={"seats": "5,0"}),
        company(4, custom={"seats": "12E5"}),
    ]
    report = pulled(tmp_path, records, seats="contract_line.quantity")
    assert (report.new, report.quarantined) == (3, 1)
    found = column(tmp_path, "SELECT quantity FROM contract_line ORDER BY source_id")
    assert found == [9007199254740993, 9007199254740993, 1200000]
    assert column(tmp_path, "SELECT source_id, field FROM quarantine") == [("3", "custom.seats")]


def test_money_of_several_currencies_is_in_minor_units_of_each(tmp_path: Path) -> None:
    records = [
        company(n, custom={"fee": fee, "code": code})
        for n, (fee, code) in enumerate(
            [("19.99", "USD"), ("1999", "JPY"), ("1.999", "KWD"), ("90071992547409.93", "EUR"), (None, "USD"), ("", "")]
        )
    ]
    pulled(tmp_path, records, fee="contract_line.amount", code="contract_line.currency")
    assert column(tmp_path, "SELECT amount, currency FROM contract_line ORDER BY source_id") == [
        (1999, "USD"), (1999, "JPY"), (1999, "KWD"), (9007199254740993, "EUR"), (None, "USD"),
    ]  # fmt: skip


def test_money_that_64_bits_do_not_hold_is_set_aside_alone(tmp_path: Path) -> None:
    fees = [123456789012345678, "99999999999999999999999999999", "-92233720368547758.08", "92233720368547758.08", 5]
    records = [company(n, custom={"fee": fee, "code": "USD"}) for n, fee in enumerate(fees)]
    report = pulled(tmp_path, records, fee="contract_line.amount", code="contract_line.currency")
    assert (report.new, report.quarantined) == (2, 3)
    assert column(tmp_path, "SELECT amount FROM contract_line ORDER BY source_id") == [-(2**63), 500]
    reasons = set(column(tmp_path, "SELECT reason FROM quarantine"))
    assert reasons == {"custom.fee -> contract_line.amount: not an amount of usable size"}


def test_the_ends_of_the_calendar_are_days_too(tmp_path: Path) -> None:
    """Some write "for ever" as the last second that there is, which has no morrow in Tokyo."""
    ends = ["9999-12-31T23:59:59Z", "9999-12-31", "0001-01-01T00:00:00+09:00", "\u00b2" * 10]
    report = pulled(tmp_path, [company(n, custom={"end": e}) for n, e in enumerate(ends)], end="contract.end_date")
    assert (report.new, report.quarantined) == (2, 2)
    assert column(tmp_path, "SELECT end_date FROM contract") == ["9999-12-31"] * 2
    reasons = set(column(tmp_path, "SELECT reason FROM quarantine"))
    assert reasons == {"custom.end -> contract.end_date: not a point in time"}


def test_an_instant_of_long_ago_keeps_its_form(tmp_path: Path) -> None:
    pulled(tmp_path, [company(1, custom={"at": "0300-05-06T01:02:03+00:30"})], at="contract.created_at")
    assert column(tmp_path, "SELECT created_at FROM contract") == ["0300-05-06T00:32:03Z"]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Tokyo", "UTC"])
def test_a_day_is_that_day_in_every_zone(tmp_path: Path, zone: str) -> None:
    """UTC+14 to UTC-11: as a date, and as the midnight in UTC that some vendors make of it."""
    records = [
        company(1, custom={"renews": "2027-03-31"}),
        company(2, custom={"renews": "2027-03-31T00:00:00Z"}),
        company(3, custom={"renews": "2027-03-31T00:00:00.000+00:00"}),
        company(4, custom={"renews": "1806451200000"}),
    ]
    pulled(tmp_path, records, zone=zone, renews="contract.end_date")
    assert column(tmp_path, "SELECT end_date FROM contract ORDER BY source_id") == ["2027-03-31"] * 4


def test_absent_is_not_null_within_one_page(tmp_path: Path) -> None:
    both = [company(1, domain="a.example", staff=5), company(2, domain="b.example", staff=6)]
    pulled(tmp_path, both)
    absent, null = company(1), company(2, domain=None, staff=None)
    space = workspace(tmp_path, crm=World([absent, null]))
    with Store.open(tmp_path / "s.db") as store:
        sync(store, space, sessions(space), run_id="r2", full=True)
    assert column(tmp_path, "SELECT employee_count FROM account_source ORDER BY source_id") == [5, None]
