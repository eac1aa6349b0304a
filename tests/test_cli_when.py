from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from cssync.cli import when
from cssync.config import Workspace
from cssync.errors import ConfigError

NOW = datetime(2026, 11, 20, 16, 30, tzinfo=UTC)  # the 21st, 01:30 in Tokyo


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(when, "now", lambda: NOW)


def space(zone: str = "Asia/Tokyo") -> Workspace:
    return cast(Workspace, SimpleNamespace(timezone=ZoneInfo(zone)))


@pytest.mark.parametrize(
    ("text", "zone", "found"),
    [
        (None, "Asia/Tokyo", NOW),
        ("2026-11-21", "Asia/Tokyo", NOW),
        ("2026-11-20", "Asia/Tokyo", datetime(2026, 11, 20, 14, 59, 59, tzinfo=UTC)),
        ("2026-11-20", "UTC", NOW),
        ("2026-10-25", "Europe/Zurich", datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC)),
        ("2026-11-20T09:00+09:00", "UTC", datetime(2026, 11, 20, 0, 0, tzinfo=UTC)),
    ],
)
def test_a_day_means_its_end_in_the_workspace_and_today_means_now(text: Any, zone: str, found: datetime) -> None:
    assert when.as_of(text, space(zone)) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-22", "lies in the future"),
        ("0001-01-01", "lies before 1990-01-01"),
        ("0001-01-01T00:00+09:00", "lies before 1990-01-01"),
        ("2026-13-01", "is no day"),
        ("yesterday", "is no day"),
        ("2026-11-20T09:00", "names no time zone"),
    ],
)
def test_what_is_no_past_moment_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        when.as_of(text, space())


@pytest.mark.parametrize(
    ("age", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_600, "1 h"), (90_000, "25 h"), (172_800, "2 d"), (-5, "0 s")],
)
def test_ages_are_told_in_the_unit_that_fits(age: int, words: str) -> None:
    assert when.ago((NOW - timedelta(seconds=age)).isoformat(), NOW) == words
    assert when.ago(None, NOW) == "-"
