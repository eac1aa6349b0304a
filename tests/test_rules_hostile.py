"""Hostile rule files are refused in words, with little work and little memory.

Work is counted in calls and returns, so that the test says the same on every machine. The costliest file of the corpus
takes 60,000, a few ms of CPU; the costliest within all limits 675,000, and none of those took 50 ms of CPU on a machine
with six times the load that it has cores for.
"""

from __future__ import annotations

import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cssync.errors import ConfigError
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.reader import MAX_LINES, MAX_NODES, SIGNS
from hostile_rules import GROWING, corpus

CORPUS = dict(corpus())
MOST_CALLS = 60_000
MOST_CALLS_OF_A_LARGE_FILE = 750_000
MOST_BYTES = 8_000_000


class TooMuchWork(BaseException):
    """Not an Exception: nothing on the way may swallow it."""


@contextmanager
def counted(most: int) -> Iterator[Callable[[], int]]:
    """Stop after so many calls; gives how many there were."""
    calls = 0

    def note(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > most:
            sys.setprofile(None)
            raise TooMuchWork

    sys.setprofile(note)
    try:
        yield lambda: calls
    finally:
        sys.setprofile(None)


def test_there_are_more_than_200() -> None:
    assert len(CORPUS) == len(list(corpus())) > 200
    assert len(set(CORPUS.values())) == len(CORPUS)


@pytest.mark.parametrize("name", CORPUS)
def test_it_is_refused_in_words_and_at_once(name: str) -> None:
    source = Source("h.yaml", CORPUS[name])
    with pytest.raises(ConfigError) as refused, counted(MOST_CALLS):
        read_rules([source])
    assert " in the rules\nh.yaml:" in refused.value.message
    assert len(refused.value.message) < 10_000
    assert "Traceback" not in refused.value.message


def test_all_of_them_together_leave_memory_flat() -> None:
    tracemalloc.start()
    try:
        for name, text in CORPUS.items():
            with pytest.raises(ConfigError):
                read_rules([Source(name, text)])
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def work(text: str) -> int:
    """Calls that it takes to refuse a file."""
    with counted(10_000_000) as calls, pytest.raises(ConfigError) as refused:
        read_rules([Source("h.yaml", text)])
    assert len(refused.value.message) < 20_000
    return calls()


@pytest.mark.parametrize("name", GROWING)
def test_four_times_the_file_is_no_more_than_four_times_the_work(name: str) -> None:
    file = GROWING[name]
    assert work(file(480)) < 4.4 * work(file(120))


@pytest.mark.parametrize("name", GROWING)
def test_the_largest_file_within_the_limits_is_refused_in_words(name: str) -> None:
    large = max((GROWING[name](n) for n in (800, 1_200, 1_600)), key=lambda text: len(text) if within(text) else 0)
    with pytest.raises(ConfigError) as refused, counted(MOST_CALLS_OF_A_LARGE_FILE):
        read_rules([Source("h.yaml", large)])
    assert not re.search("more than 5,000 (values|lines)", refused.value.message)
    assert refused.value.message.count("h.yaml:") <= 50


def within(text: str) -> bool:
    """Whether a file has no more lines and values than are read."""
    return sum(map(text.count, SIGNS)) <= MAX_NODES and text.count("\n") < MAX_LINES


def test_the_words_of_a_files_expressions_are_counted_and_those_of_others_are_not() -> None:
    def file(name: str, lines: int) -> Source:
        sums = (f"  {name}{n}: {'+'.join(['seats'] * 30)}\n" for n in range(lines))
        return Source(f"{name}.yaml", f"pack: {name}\nfeatures:\n" + "".join(sums))

    assert len(read_rules([file("a", 80), file("b", 80)]).features) == 160
    with pytest.raises(
        ConfigError, match=r"b\.yaml:\d+:\d+: the expressions of this file have more than 5,000 words, "
    ):
        read_rules([file("a", 80), file("b", 85)])


def test_the_counter_stops_what_goes_on_for_ever() -> None:
    with pytest.raises(TooMuchWork), counted(1_000):
        sorted(range(1_001), key=lambda n: -n)
