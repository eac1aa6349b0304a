"""What a pack may say, and how it is refused: every fault with its place, all at once, fast."""

from __future__ import annotations

import pytest

from cssync.errors import ConfigError
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.packtests import run_tests
from cssync.rules.tree import RuleSet

GOOD = """pack: p
features:
  n: {count: tickets, where: status = 'open', within: 30d}
  r: n / seats
signals:
  S1: {when: r > 50%, because: "{n} of {seats}"}
"""


def rules(text: str) -> RuleSet:
    return read_rules([Source("p.yaml", text)])


def faults(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        rules(text)
    assert error.value.exit_code == 2
    assert error.value.kept
    return error.value.message


def test_a_good_pack_reads() -> None:
    pack = rules(GOOD).packs[0]
    assert [s.name for s in pack.signals] == ["S1"]


def test_the_hash_changes_with_what_is_computed_and_with_nothing_else() -> None:
    before = rules(GOOD).packs[0].hash
    assert rules(GOOD + "# a comment\n").packs[0].hash == before
    assert rules(GOOD.replace("50%", "51%")).packs[0].hash != before
    assert rules(GOOD.replace("within: 30d", "within: 31d")).packs[0].hash != before


def test_every_fault_is_named_at_once_with_its_place() -> None:
    message = faults(
        "pack: p\nfeatures:\n  n: {count: tikets}\n  m: {sum: tickets.reopened_count, wher: status = 'open'}\n"
        "signals:\n  S1: {when: n > 'three', because: x}\n  S2: {when: seets > 3, because: '{nam}'}\n"
    )
    assert message.startswith("4 faults in the rules")
    assert "p.yaml:3:14: there is no source 'tikets'; did you mean tickets?" in message
    assert "p.yaml:4:36: feature m has no key 'wher'; did you mean where?" in message
    assert "p.yaml:7:14: there is no feature or column 'seets'; did you mean seats?" in message
    assert "    7 |   S2: {when: seets > 3, because: '{nam}'}\n      |              ^" in message


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("status = 'actve'", "status is never 'actve'; did you mean active?"),
        ("status = active", "write 'active' in quotes"),
        ("name > 3", "a text cannot be compared with a whole number"),
        ("name < 'x'", "`<` needs numbers, money or dates"),
        ("seats + name > 3", "a number, money or a date is needed here"),
        ("arr > 30000", "an amount of money cannot be compared"),
        ("arr * arr > 0", "`*` cannot join"),
        ("renews_on + 1.5 > renews_on", "`+` cannot join a date and a number"),
        ("seats", "this is a whole number, but yes or no is needed here"),
        ("seats == 3", "write `=`"),
        ("1 < seats < 3", "comparisons do not chain"),
        ("seats > 3 and", "expected a value, found the end"),
        ("(seats > 3", "expected `)`, found the end"),
        ("seats > 3)", "expected an operator or the end"),
        ("sqrt(seats) > 3", "there is no function 'sqrt'"),
        ("days_since(seats) > 3", "a date is needed here"),
        ("min(seats) > 3", "min takes 2 or more values"),
        ("contains(name, name)", "must be written out"),
        ("renews_on > 2026-02-30", "not a date of the calendar"),
        ("seats in (seats, 3)", "values only, no names"),
        ("seats.real > 3", "there is no feature or column 'seats.real'"),
        ("seats > 1e9", "this is not a number"),
        ("round(round(round(round(round(seats))))) > 3", "round is nested more than 4 times"),
        ("min(1, max(2, min(3, max(4, min(5, seats))))) > 3", "min is nested more than 4 times"),
        ("'open", "this text is not closed"),
        ("other.score > 3", "there is no feature or column 'other.score'"),
        ("health.reasons = 'x'", "there is no feature or column"),
        ("seats is 3", "expected `missing`"),
        ("seats ? 3", "'?' is not part of the rule language"),
    ],
)
def test_expressions_are_refused_in_words(expression: str, words: str) -> None:
    quoted = expression.replace("\\", "\\\\").replace('"', '\\"')
    assert words in faults(f'pack: p\nsignals:\n  S1: {{when: "{quoted}", because: x}}\n')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pack: p\npack: q\n", "'pack' stands here twice, first on line 1"),
        ("pack: p\nsignls: {}\n", "a pack has no key 'signls'; did you mean signals?"),
        ("pack: p\ncadence: []\n", "a pack has no key 'cadence'"),
        ("pack: p\nsignals:\n  S1: {when: seats > 3, for: 3, because: x}\n", "`for` of signal S1 is a number of days"),
        ("pack: p\nsignals:\n  S1: {when: seats > 3, kep: 3d, because: x}\n", "no key 'kep'; did you mean keep?"),
        ("pack: p\nsignals:\n  S1: {when: seats > 3, severity: seats, because: x}\n", "within its `cooldown` only"),
        (
            "pack: p\nsignals:\n  S1: {when: seats > 3, cooldown: 1d, severity: name, because: x}\n",
            "this is a text, but a number is needed here",
        ),
        (
            "pack: p\ntasks:\n  T: {when: seats > 3, once_per: month, title: x, due: anchor, owner: boss}\n",
            "`owner` is never 'boss'",
        ),
        (
            "pack: p\ntasks:\n  T: {when: seats > 3, once_per: month, title: x, due: anchor, copy: maneger}\n",
            "is never 'maneger'; did you mean manager?",
        ),
        ("pack: P x\n", "is not a name"),
        ("signals: {}\n", "a rule file begins with `pack: NAME`"),
        ("- pack\n", "a rule file is a block"),
        ("pack: p\nfeatures:\n  seats: 3\n", "'seats' is a built-in fact already"),
        ("pack: p\nfeatures:\n  a: b\n  b: a\n", "depends on itself: a -> b -> a"),
        ("pack: p\nfeatures:\n  a: {count: tickets, sum: tickets.reopened_count}\n", "needs one of count, sum"),
        ("pack: p\nfeatures:\n  a: {count: tickets, ending: 3d}\n", "it needs `within`, too"),
        ("pack: p\nfeatures:\n  a: {count: tickets, within: 3 days}\n", "a number of days such as 30d"),
        ("pack: p\nfeatures:\n  a: {sum: tickets.subject}\n", "sum does not work on tickets.subject"),
        ("pack: p\nfeatures:\n  a: {last: contacts.email}\n", "contacts has no column 'email'"),
        ("pack: p\nscore: {bands: {red: 0, yellow: 50, green: 75}, measures: {}}\n", "at least one measure"),
        ("pack: p\nscore: {bands: {red: 0, yellow: 80, green: 75}, measures: {m: {weight: 1, curve: {of: seats, at: "
         "{0: 0, 1: 100}}}}}\n", "red: 0 < yellow < green"),
        ("pack: p\nscore: {bands: {red: 0, yellow: 5, green: 75}, measures: {m: {weight: 1, curve: {of: seats, at: "
         "{5: 0, 1: 100}}}}}\n", "ascending order"),
        ("pack: p\nresults:\n  a: {options: [x], first: [y otherwise]}\n", "'y' is none of the options"),
        ("pack: p\nresults:\n  a: {options: [x], first: [x otherwise, x if seats > 1]}\n", "never reached"),
        ("pack: p\nscore: {bands: {red: 0, yellow: 50, green: 75}, measures: {m: {weight: 1, needs: [status], "
         "first: [1 if seats > 2, 9 otherwise]}}}\n", "`needs` names features, and status is not one"),
        ("pack: p\nscore: {bands: {red: 0, yellow: 50, green: 75}, measures: {m: {weight: 1, first: "
         "[1 if p.score > 2, 9 otherwise]}}}\n", "p.score is computed from this score"),
        ("pack: p\nsignals:\n  S: {when: seats > 1, because: '{renews_on:percent}'}\n", "cannot be shown as percent"),
        ("pack: p\ntasks:\n  T: {when: seats > 1, once_per: month, title: x, due: in 100 business days}\n",
         "at most 60 business days ahead"),
        ("pack: p\nsignal_list: my list\nsignals:\n  S: {when: seats > 1, because: x}\n", "needs a name of its own"),
        ("pack: p\nresults:\n  renewal_event: {value: seats, label: x}\n", "already an output of pack 'p'"),
        ("pack: p\nsignals:\n  S: {when: seats > 1, because: x}\ntests:\n  - {name: t, as_of: 2026-11-20, given: "
         "{seets: 3}, then: {signals: [S, Q]}}\n", "has no signal 'Q'"),
        ("pack: p\nsignals:\n  S: {when: seats > 1, because: x}\ntests:\n  - {name: t, as_of: 2026-11-20, rows: "
         "{lines: []}, given: {status: active, seats: 3}, then: {signals: [S]}}\n",
         "with `rows:`, 'seats' comes from the rows and cannot be given: state it by rows, or leave `rows:` out"),
    ],
)  # fmt: skip
def test_packs_are_refused_in_words(text: str, words: str) -> None:
    assert words in faults(text)


@pytest.mark.parametrize("rows", ["", "rows: {tickets: []}, "])
def test_a_pack_test_says_when_the_pack_is_not_about_its_account(rows: str) -> None:
    text = "pack: p\naccounts: status = 'active'\nsignals:\n  S: {when: tickets_30d = 0, because: x}\n"
    text += "features:\n  tickets_30d: {count: tickets, within: 30d}\ntests:\n"
    text += f"  - {{name: t, as_of: 2026-11-20, {rows}given: {{status: churned}}, then: {{signals: []}}}}\n"
    (report,) = run_tests(read_rules([Source("p.yaml", text)]))
    assert len(report.differences) == 1
    assert "`accounts:` of the pack leaves this account out" in report.differences[0]


def test_two_packs_cannot_give_one_feature_two_meanings() -> None:
    sources = [Source(f"{n}.yaml", f"pack: {n}\nfeatures:\n  x: {{count: tickets}}\n") for n in "ab"]
    with pytest.raises(ConfigError, match=r"feature 'x' is declared twice, first in a\.yaml:3:3"):
        read_rules(sources)


def test_packs_run_after_those_whose_results_they_read_and_never_in_a_circle() -> None:
    bands = "score: {{bands: {{red: 0, yellow: 5, green: 75}}, "
    scored = bands + "measures: {{m: {{weight: 1, curve: {{of: {}, at: {{0: 0, 1: 100}}}}}}}}}}"
    a = Source("a.yaml", "pack: a\n" + scored.format("z.score"))
    z = Source("z.yaml", "pack: z\n" + scored.format("seats"))
    assert [p.name for p in read_rules([a, z]).packs] == ["z", "a"]
    circle = Source("z.yaml", "pack: z\n" + scored.format("a.score"))
    with pytest.raises(ConfigError, match="in a circle: a, z"):
        read_rules([a, circle])


# --- hostile files ----------------------------------------------------------------------------------------------------

SIGNAL = "pack: p\nsignals:\n  S1:\n    because: x\n    when: "
HOSTILE = {
    "python tag": "pack: !!python/object/apply:os.system [id]",
    "any tag": "pack: !x p",
    "alias bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "merge key": "pack: p\n<<: {signals: {}}\n",
    "50,000 brackets": "pack: p\nx: " + "[" * 50_000,
    "brackets on lines": "pack: p\nx:\n" + " [\n" * 20_000,
    "50,000 braces": "{" * 50_000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(3_000)),
    "many keys": "pack: p\n" + "".join(f"k{n}: 1\n" for n in range(15_000)),
    "5,000-digit number": SIGNAL + "seats > " + "9" * 5_000,
    "long line": SIGNAL + "seats > 1 or " * 5_000,
    "parentheses": SIGNAL + "(" * 900,
    "negatives": SIGNAL + "- " * 480 + "1",
    "nots": SIGNAL + "not " * 240 + "is_test",
    "sums": SIGNAL + "+".join(["1"] * 400),
    "power": SIGNAL + "9**9**9 > 1",
    "attribute": SIGNAL + "name.__class__ = 'x'",
    "call": SIGNAL + "__import__('os')",
    "lambda": SIGNAL + "(lambda: 1)()",
    "injection": SIGNAL + "seats > 1; drop table account",
    "comment": SIGNAL + "seats > 1 -- x",
    "subscript": SIGNAL + "name[0] = 'x'",
    "backslash": SIGNAL + "name = 'a\\' or 1=1'",
    "nul": "pack: p\0",
    "binary": "\x01\x02\x03",
    "huge": "# x\n" * 100_000,
    "two documents": "pack: p\n---\npack: q\n",
    "quotes": "pack: " + "'" * 1_501,
    "unicode digits": SIGNAL + "seats > ١٢",
    "template": "pack: p\nsignals:\n  S1: {when: seats > 1, because: '{seats.__class__}'}",
    "format": "pack: p\nsignals:\n  S1: {when: seats > 1, because: '{seats:>99999999}'}",
    "surrogate": "pack: \ud800",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_words(name: str) -> None:
    message = faults(HOSTILE[name])
    assert message.startswith(("1 fault", "2 faults", "50", "14", "15"))
    assert len(message) < 20_000


@pytest.mark.parametrize("text", ["'; drop table account; --", "x\\", "' or ''=''", "a\u0000b", "%s {0} $1"])
def test_texts_reach_sql_as_texts(text: str) -> None:
    import sqlite3
    from datetime import UTC, datetime

    from cssync.rules.compiler import compile_pack
    from cssync.rules.dialect import SQLITE
    from cssync.rules.freshness import Context

    literal = SQLITE.text(text)
    conn = sqlite3.connect(":memory:")
    assert conn.execute(f"SELECT {literal}").fetchone()[0] == text.replace("\0", "")
    conn.close()
    safe = text.replace("\0", "").replace("\\", "").replace("'", "''").replace('"', "")
    found = rules(f"pack: p\nsignals:\n  S1:\n    because: x\n    when: \"name = '{safe}'\"\n")
    sql = compile_pack(found.packs[0], found.features, Context(datetime(2026, 11, 20, tzinfo=UTC))).sql
    assert f"'{safe}'" in sql


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("features: {n: {median: tickets.subject}}", "median does not work on tickets.subject"),
        ("features: {n: {last: surveys.score, most: 3}}", "`most` lists values of a text"),
        ("features: {n: {count: tickets, most: 3}}", "`most` lists values of a text"),
        ("features: {n: {last: tickets.subject, most: 6}}", "`most`"),
        ("features: {n: {count: surveys, of_which: score > 8}}", "`of_which` looks at the rows that `newest_per`"),
        ("features: {n: {last: surveys.score, newest_per: kind}}", "`newest_per` does not go with last"),
        ("features: {n: {count: surveys, newest_per: contact}}", "surveys has no column 'contact'"),
        ("features: {n: {count: tickets, where: subject in wrds}}\nlists: {words: [a]}", "did you mean words?"),
        ("features: {n: {count: tickets, where: 'mentions(subject, seats)'}}", "there is no list 'seats'"),
        ("features: {n: size(1)}", "there is no list '...'"),
        ("features: {n: mentions(name)}", "write `mentions(TEXT, LIST)`"),
        ("features: {n: seats in words}\nlists: {words: [a]}", "a text before a list is needed here"),
        ("lists: {words: [a, ' ']}", "is empty: it would be found in every text"),
        ("features: {n: {absent: usage.metric}}", "write `of: LIST` beside it"),
        ("features: {n: {absent: usage.metric, of: wrds}}\nlists: {words: [a]}", "no list 'wrds'; did you mean words?"),
        ("features: {n: {absent: usage.value, of: words}}\nlists: {words: [a]}", "absent does not work on usage.value"),
        ("features: {n: {last: usage.metric, of: words}}\nlists: {words: [a]}", "goes with present, absent, mentioned"),
        (
            "features: {n: {present: usage.metric, of: words, at_least: 2}}\nlists: {words: [a]}",
            "`at_least` does not go",
        ),
        (
            "features: {n: {present: usage.metric, of: words, newest_per: metric}}\nlists: {words: [a]}",
            "`newest_per` does",
        ),
        ("features: {n: {past: p.score}}", "there is no result 'p.score'"),
        ("features: {n: {past: p.score, ago: 3d}}", "there is no result 'p.score'"),
    ],
)
def test_faults_of_lists_aggregates_and_pasts(text: str, words: str) -> None:
    assert words in faults(f"pack: p\n{text}\n")


def test_an_own_file_replaces_the_members_of_a_packs_list_and_of_no_other() -> None:
    pack = "pack: p\nlists: {words: [a, b]}\nfeatures: {n: size(words)}\n"
    own = Source("own.yaml", "lists: {words: [c]}\n")
    assert str(read_rules([Source("p.yaml", pack)]).features["n"].definition).count("value=2")
    assert str(read_rules([own, Source("p.yaml", pack)]).features["n"].definition).count("value=1")
    with pytest.raises(ConfigError, match="no pack declares a list 'wrds' to be replaced; did you mean words"):
        read_rules([Source("own.yaml", "lists: {wrds: [c]}\n"), Source("p.yaml", pack)])
    with pytest.raises(ConfigError, match="replaced twice"):
        read_rules([own, Source("p.yaml", pack), Source("other.yaml", "lists: {words: [c]}\n")])


def test_a_test_that_names_a_faulty_feature_adds_no_fault_of_its_own() -> None:
    text = (
        "pack: p\nfeatures: {n: {count: tikets}}\ntests: [{name: x, as_of: 2026-11-20, given: {n: 3}, then: {n: 3}}]\n"
    )
    assert "1 fault" in faults(text)
