"""Exchange rates: which one is in force, what is derived, and what a faulty file is told."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cssync.config.reader import FaultyFileError
from cssync.errors import ConfigError
from cssync.metrics.fx import MissingRateError, Quote, Rate, Rates, read_rates, rounded

NEW_YEAR, SPRING, SUMMER = date(2026, 1, 1), date(2026, 4, 1), date(2026, 7, 1)


def rates(*rows: tuple[date, str, str, str], reporting: str = "USD") -> Rates:
    return Rates.of((Rate(day, source, target, Decimal(value)) for day, source, target, value in rows), reporting)


YEN = rates((NEW_YEAR, "JPY", "USD", "0.0070"), (SUMMER, "JPY", "USD", "0.0065"))


def faults(tmp_path: Path, text: str | bytes) -> list[str]:
    path = tmp_path / "rates.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FaultyFileError) as caught:
        read_rates(path)
    return [f"{f.line}:{f.column}: {f.message}" for f in caught.value.faults]


def test_the_rate_in_force_is_the_latest_on_or_before_the_day() -> None:
    found = [YEN.quote("JPY", "USD", day).value for day in (NEW_YEAR, date(2026, 6, 30), SUMMER, date(2030, 1, 1))]
    assert [str(value) for value in found] == ["0.0070", "0.0070", "0.0065", "0.0065"]
    assert YEN.quote("JPY", "USD", date(2026, 6, 30)).day == NEW_YEAR


def test_before_the_first_row_there_is_no_rate() -> None:
    with pytest.raises(MissingRateError, match="JPY -> USD on or before 2025-12-31"):
        YEN.quote("JPY", "USD", date(2025, 12, 31))


def test_minor_units_follow_each_currency() -> None:
    assert YEN.convert(12_000_000, "JPY", "USD", NEW_YEAR) == 8_400_000  # 84,000.00 USD
    dinar = rates((NEW_YEAR, "KWD", "JPY", "500"))
    assert dinar.convert(1_500, "KWD", "JPY", NEW_YEAR) == 750  # 1.500 KWD
    assert rounded(dinar.convert(1_000, "JPY", "KWD", NEW_YEAR)) == 2_000


def test_a_currency_against_itself_needs_no_file() -> None:
    assert Rates("USD").convert(Decimal("1.5"), "JPY", "JPY", NEW_YEAR) == Decimal("1.5")
    assert Rates("USD").quote("JPY", "JPY", NEW_YEAR) == Quote("JPY", "JPY", Decimal(1), None)


def test_the_inverse_counts_and_the_newest_row_of_either_direction_wins() -> None:
    both = rates((NEW_YEAR, "USD", "EUR", "0.8"), (SPRING, "EUR", "USD", "1.6"))
    assert both.quote("EUR", "USD", NEW_YEAR).value == Decimal("1.25")
    assert both.quote("USD", "EUR", SPRING).value == Decimal("0.625")


def test_on_one_day_the_direct_row_wins_over_the_inverse() -> None:
    spread = rates((NEW_YEAR, "USD", "EUR", "0.8"), (NEW_YEAR, "EUR", "USD", "1.2"))
    assert spread.quote("USD", "EUR", NEW_YEAR).value == Decimal("0.8")
    assert spread.quote("EUR", "USD", NEW_YEAR).value == Decimal("1.2")


def test_a_pair_without_rows_crosses_over_the_reporting_currency_only() -> None:
    rows = ((NEW_YEAR, "EUR", "USD", "1.25"), (SPRING, "JPY", "USD", "0.008"))
    crossed = rates(*rows).quote("EUR", "JPY", SUMMER)
    assert (crossed.value, crossed.day) == (Decimal("156.25"), NEW_YEAR)
    with pytest.raises(MissingRateError):
        rates(*rows, reporting="CHF").quote("EUR", "JPY", SUMMER)
    with pytest.raises(MissingRateError):
        rates(*rows).quote("EUR", "JPY", NEW_YEAR)


@pytest.mark.parametrize(("amount", "minor"), [("2.5", 3), ("-2.5", -2), ("2.4999", 2), ("-2.51", -3)])
def test_halves_are_rounded_up(amount: str, minor: int) -> None:
    assert rounded(Decimal(amount)) == minor


@given(st.lists(st.tuples(st.dates(NEW_YEAR, SUMMER), st.decimals("0.0001", "9999", places=4)), min_size=1))
def test_the_order_of_rows_of_different_days_does_not_matter(found: list[tuple[date, Decimal]]) -> None:
    rows = [Rate(day, "JPY", "USD", value) for day, value in dict(found).items()]
    assert Rates.of(rows, "USD") == Rates.of(reversed(rows), "USD")


def test_a_file_is_read_with_a_byte_order_mark_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_bytes(b"\xef\xbb\xbfdate,from,to,rate\r\n2026-01-01,JPY,USD,0.0070\r\n\r\n")
    assert read_rates(path) == (Rate(NEW_YEAR, "JPY", "USD", Decimal("0.0070")),)


def test_every_fault_is_told_at_its_line_and_column(tmp_path: Path) -> None:
    text = """date,from,to,rate
2026-13-01,JPY,USD,0.0070
20260101,JPY,USD,0.0070
2026-01-01,jpy,US,0.0070
2026-01-01,JPY,JPY,1
2026-01-01,JPY,USD,0
2026-01-01,JPY,USD,-1
2026-01-01,JPY,USD,"0,0070"
2026-01-01,JPY,USD,1e3
2026-01-01,JPY,USD
2026-01-01,EUR,USD,1.1
2026-01-01,EUR,USD,1.2
"""
    assert faults(tmp_path, text) == [
        "2:1: date: write a day as YYYY-MM-DD",
        "3:1: date: write a day as YYYY-MM-DD",
        "4:12: from: write an ISO 4217 code of three capitals such as JPY",
        "4:16: to: write an ISO 4217 code of three capitals such as JPY",
        "5:16: to: the same currency as `from`",
        *(f"{n}:20: rate: write a number above 0 such as 0.0070, without grouping" for n in (6, 7, 8, 9)),
        "10:1: 3 values where date,from,to,rate are 4",
        "12:1: EUR -> USD has a rate for 2026-01-01 already in line 11",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: empty; the header must be date,from,to,rate"),
        ("day,from,to,rate\n", "1:1: the header must be date,from,to,rate"),
        (b"date,from,to,rate\n2026-01-01,JPY,USD,\xff\n", "2:1: not UTF-8 text"),
        ('date,from,to,rate\n2026-01-01,"JPY"x,USD,1\n', "2:1: not readable as CSV: ',' expected after '\"'"),
    ],
)
def test_what_is_no_table_of_rates_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert faults(tmp_path, text) == [said]


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_rates(tmp_path / "rates.csv")
