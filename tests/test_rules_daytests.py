"""`days:` in a pack's tests: what rules remember is tested in the file, by the evaluation itself."""

from __future__ import annotations

import pytest

from cssync.errors import ConfigError
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.packtests import run_tests

PACK = """pack: p
features:
  csat: {last: surveys.score}
  open: {count: tickets, where: status = 'open'}
  ratio: csat / 10
  before: {past: p.level, ago: 2d}
results:
  level: {options: [bad, good], first: [bad if csat < 3, good if csat >= 3]}
signals:
  S: {when: csat < 3, for: 2d, keep: 2d, because: x}
  Q: {when: ratio > 60%, because: x}
  B: {when: before = 'bad' and p.level = 'good', because: x}
  O: {when: other.score > 50, because: x}
tasks:
  T: {when: csat < 3, once_per: episode, title: x, due: in 1 business days, priority: high}
tests:
"""
OTHER = """pack: other
score:
  bands: {red: 0, yellow: 40, green: 50}
  measures: {a: {weight: 1, curve: {of: seats, at: {0: 0, 9: 9}}}}
"""


def differences(tests: str) -> list[str]:
    rules = read_rules([Source("p.yaml", PACK + tests), Source("o.yaml", OTHER)])
    return [d for report in run_tests(rules) for d in report.differences]


def days(*lines: str) -> str:
    return "  - name: walk\n    days:\n" + "".join(f"      - {{on: 2026-11-{line}}}\n" for line in lines)


def test_what_rules_remember_goes_from_day_to_day() -> None:
    assert not differences(
        days(
            "16, given: {csat: 1}, then: {signals: [], tasks: [T], due T: 2026-11-17, priority T: high, level: bad}",
            "17, given: {csat: 1}, then: {signals: []}",
            "18, given: {}, then: {signals: [], level: null, tasks: [T]}",
            "19, given: {csat: 1}, then: {signals: [S], tasks: [T], level: bad}",
            "21, given: {csat: 9}, then: {signals: [B, Q, S], tasks: [], level: good}",
            "23, given: {csat: 9}, then: {signals: [Q]}",
            "24, given: {ratio: 90%, other.score: 51}, then: {signals: [O, Q], ratio: 0.9}",
        )
    )


def test_a_difference_names_its_day() -> None:
    found = differences(days("16, given: {csat: 1}, then: {signals: [S]}", "18, given: {csat: 1}, then: {signals: []}"))
    assert found == [
        "signals: expected [S], found [] on 2026-11-16",
        "signals: expected [], found [S] on 2026-11-18",
    ]


def test_rows_stay_while_the_days_pass() -> None:
    text = days(
        "16, then: {open: 1, signals: []}",
        "18, then: {signals: [S], level: bad}",
        "19, stale: [surveys], then: {csat: null, signals: [S]}",
    )
    rows = "    rows: {tickets: [{status: open}], surveys: [{score: 1, responded_at: 2026-11-10}]}\n"
    assert not differences(text + rows)


def test_what_is_given_for_all_days_is_given_on_each() -> None:
    text = days("16, then: {signals: []}", "18, then: {signals: [S]}", "19, given: {csat: 5}, then: {level: good}")
    assert not differences(text + "    given: {csat: 1}\n")


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (days("16, then: {signals: [X]}"), "pack p has no signal 'X'"),
        (days("16, then: {}", "16, then: {}"), "come one after the other"),
        (days("16, then: {}") + "    as_of: 2026-11-20\n", "says `on` of each day"),
        (days("16, thn: {}"), "a day has no key 'thn'; did you mean then?"),
        ("  - {name: x, then: {signals: []}}\n", "a test needs `as_of:`, or `days:`"),
    ],
)
def test_faults_of_days_are_named(test: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        differences(test)
    assert words in error.value.message
