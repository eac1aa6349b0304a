"""What the `score:` block takes and refuses."""

from __future__ import annotations

import pytest

from cssync.errors import ConfigError
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.packtests import run_tests

HEAD = (
    "pack: p\nscore:\n  bands: {red: 0, yellow: 50, green: 75}\n"
    "  measures: {use: {weight: 1, missing: hold 7d, curve: {of: seats, at: {0: 0, 100: 100}}}, "
    "zero: {weight: 0, first: [5 otherwise]}}\n"
)


def faults(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_rules([Source("p.yaml", text)])
    return str(caught.value)


@pytest.mark.parametrize(
    ("block", "place", "words"),
    [
        ("modles: {}", "5:3", "no key 'modles'; did you mean models?"),
        ("models: {m: {weights: {use: 2}}}", "5:15", "model m needs `when:`"),
        ("models: {m: {when: seats > 1, weights: {usee: 2}}}", "5:43", "no measure 'usee'; did you mean use?"),
        ("models: {m: {when: seats > 1, weights: {use: -2}}}", "5:48", "a whole number from 0 to 1000"),
        ("models: {m: {when: seats > 1, weights: {use: 0}}}", "5:12", "every measure has weight 0 in model m"),
        ("models: {m: {when: seats, coverage: 10%}}", "5:22", "yes or no is needed here"),
        ("models: {m: {when: seets > 1, coverage: 10%}}", "5:22", "no feature or column 'seets'; did you mean seats?"),
        ("models: {m: {when: seats > 1}}", "5:12", "model m changes nothing"),
        ("models: {m: {when: seats > 1, coverage: half}}", "5:43", "a whole percentage such as 50%"),
        ("models: {m: {when: seats > 1, bands: {red: 0, yellow: 80, green: 75}}}", "5:40", "red: 0 < yellow < green"),
        ("models: {m: {when: seats > 1, bands: {red: 0, yellow: 75, green: 75}}}", "5:40", "red: 0 < yellow < green"),
        ("models: {standard: {when: seats > 1, coverage: 10%}}", "5:12", "`standard` is the model of the measures"),
        ("models: {m: {when: p.score > 1, coverage: 10%}}", "5:22", "cannot rest on itself"),
        ("hysteresis: {margn: 3, confirm: 3d}", "5:16", "no key 'margn'; did you mean margin?"),
        ("hysteresis: {margin: 3}", "5:15", "`hysteresis` needs `confirm:`"),
        ("hysteresis: {margin: 3, confirm: 3}", "5:36", "a number of days such as 30d"),
        ("hysteresis: {margin: 3, confirm: 0d}", "5:15", "`confirm` is at least 1d"),
        ("hysteresis: {margin: 99, confirm: 3d}", "5:24", "from 0 to 50"),
        ("override: {band: override_bnd, reason: override_reason, until: override_until}", "5:20",
         "not 'override_bnd'; did you mean override_band?"),
        ("override: {band: override_reason, reason: override_reason, until: override_until}", "5:20",
         "holds red, yellow or green; override_reason does not"),
        ("override: {band: override_band, reason: override_reason, until: override_reason}", "5:67",
         "`until` of `override` is a date, override_reason is a text"),
        ("override: {band: override_band, reason: override_reason}", "5:13", "`override` needs `until:`"),
        ("trend: {window: 7d, before: 30d, improving: 5}", "5:10", "`trend` needs `declining:`"),
        ("trend: {window: 7d, before: 30d, improving: 5, declining: 5}", "5:61", "from -100 to -1"),
        ("trend: {window: 2d, before: 30d, improving: 5, declining: -5}", "5:10", "`window` is at least 3d"),
        ("trend: {window: 30d, before: 7d, improving: 5, declining: -5}", "5:10", "share days"),
        ("trend: {window: 7d, before: 30d, improving: 5, declining: -5, windw: 7d}", "5:65", "no key 'windw'"),
        ("roll_up: arr_wieghted", "5:12", "never 'arr_wieghted'; did you mean arr_weighted?"),
    ],
)  # fmt: skip
def test_faults_are_named_with_their_place(block: str, place: str, words: str) -> None:
    found = faults(f"{HEAD}  {block}\n")
    assert words in found
    assert f"p.yaml:{place}: " in found


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("hold", "`missing: hold` needs its days, such as `hold 7d`"),
        ("hold 7", "a number of days such as 30d"),
        ("hold 99d", "at most 30d"),
        ("hold 0d", "`hold` is at least 1d"),
        ("hodl 7d", "never 'hodl 7d'"),
    ],
)
def test_missing_takes_three_forms(missing: str, words: str) -> None:
    assert words in faults(HEAD.replace("hold 7d", missing))


def test_a_trend_is_for_other_packs() -> None:
    trend = "  trend: {window: 7d, before: 30d, improving: 5, declining: -5}\n"
    own = "signals:\n  S: {when: p.trend = 'declining', because: x}\n"
    assert "known only after this pack has run" in faults(HEAD + trend + own)
    assert "no feature or column 'p.trend'" in faults(HEAD + own)
    other = "pack: q\nsignals:\n  S: {when: p.trend = 'declining' and p.model = 'standard', because: x}\n"
    assert read_rules([Source("p.yaml", HEAD + trend), Source("q.yaml", other)]).pack("q") is not None
    with pytest.raises(ConfigError, match=r"p\.model is never 'standart'; did you mean standard"):
        read_rules([Source("p.yaml", HEAD + trend), Source("q.yaml", other.replace("standard", "standart"))])


def test_hostile_blocks_are_refused() -> None:
    many = ", ".join(f"m{n}: {{when: seats > {n}, weights: {{use: {n}}}}}" for n in range(3_000))
    assert faults(f"{HEAD}  models: {{{many}}}\n")
    assert faults(f"{HEAD}  models: {'[' * 500}\n")
    assert faults(f"{HEAD}  hysteresis: {{margin: {'9' * 1_500}, confirm: 3d}}\n")
    assert faults(f"{HEAD}  override: {{band: '; DROP TABLE account', reason: a, until: b}}\n")


CASES = """
  hysteresis: {margin: 3, confirm: 3d}
  trend: {window: 3d, before: 3d, improving: 5, declining: -5}
tests:
  - name: a band follows after three days, and the trend with it
    days:
      - {on: 2026-11-14, given: {seats: 80}, then: {band: green}}
      - {on: 2026-11-15, given: {seats: 80}}
      - {on: 2026-11-16, given: {seats: 80}, then: {trend: unknown, trend_points: null}}
      - {on: 2026-11-17, given: {seats: 74}, then: {band: green}}
      - {on: 2026-11-18, given: {seats: 74}, then: {band: green, trend: unknown}}
      - {on: 2026-11-19, given: {seats: 74}, then: {band: yellow, trend: declining, trend_points: -6}}
  - name: a late source holds
    days:
      - {on: 2026-11-18, given: {seats: 74}, then: {use: 74, data_status: ok}}
      - {on: 2026-11-19, stale: [lines], then: {use: 74, score: 74, data_status: partial}}
"""


def test_a_packs_tests_walk_through_bands_trends_and_held_values() -> None:
    reports = list(run_tests(read_rules([Source("p.yaml", HEAD + CASES)])))
    assert [r.differences for r in reports] == [()] * 2
