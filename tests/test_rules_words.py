"""Which words a text mentions: by hand, against regular expressions, and the same on every engine."""

from __future__ import annotations

import random
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cssync.errors import ConfigError
from cssync.model import ENTITY, TABLE
from cssync.rules.catalogue import SOURCES
from cssync.rules.compiler import compile_pack
from cssync.rules.copying import TABLES
from cssync.rules.dialect import SQLITE, Dialect
from cssync.rules.dialects import DIALECTS
from cssync.rules.faults import MAX_WORDS, Source
from cssync.rules.freshness import Context, Freshness
from cssync.rules.lists import MAX_LETTERS, MAX_MEMBERS
from cssync.rules.packs import read_rules
from cssync.rules.packtests import run_tests
from cssync.rules.words import bare, folded, word
from cssync.store.schema import entity_ddl, table_ddl
from engines import Engine

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)

MENTIONED = [
    ("API", "api"), ("API", "API."), ("API", "our API-key"), ("API", "APIが必要"), ("API", "新しいAPI"),
    ("api", "REST/API"), ("API", "rapid API"), ("API", "api_key"), ("API", "rapid\nAPI\n"), ("API", "データ×API"),
    ("API", "🚀API🚀"), ("API", "l'API"), ("API*", "APIs"), ("*API", "RestAPI"), ("*API*", "rapid"),
    ("API*", "rapid apis"), ("*API", "apis of a RestAPI"), ("cancel*", "Cancellation"),
    ("*kündigung*", "Vertragskündigung?"), ("kündig*", "wir kündigen"), ("audit log", "the audit log"),
    ("Ärger", "so viel Ärger!"), ("été", "l'été"), ("отмена", "нужна отмена."), ("отмен*", "нужно отменить"),
    ("解約", "当社は解約します"), ("解約*", "解約"), ("ยกเลิก", "ต้องการยกเลิกบริการ"), ("해지", "구독해지를"),
    ("C++", "C++17"), ("C++", "in c++"), (".net", "asp.net"), ("2FA", "2fa"), ("10", "10%"), ("席2", "空席2件"),
    ("O'O", "o'o"), ("a a", "xa a a"), ("[x]", "a[x]b"), ("a?c", "a?c"), ("a.c", "a.c"), ("^a$", "^a$"),
    ("a\\b", "a\\b"), ("(a|b)", "(a|b)"), ("{a}", "{A}"), ("]a[", "]a["), (" api ", "an api call"),
    ("ａｐｉ", "ｒａｐｉｄ"), ("é", "é"), ("e\u0301", "e\u0301"),
]  # fmt: skip
NOT_MENTIONED = [
    ("API", "rapid"), ("API", "capital rapids"), ("SSO", "crossover"), ("API", "APIs"), ("API", "API2"),
    ("API", "2API"), ("API", ""), ("API", "A P I"), ("API*", "rapid"), ("API*", "RestAPI"), ("*API", "apis"),
    ("terminat*", "to determinate"), ("10", "100"), ("10", "v10"), ("2FA", "12FA"), ("cole", "école"),
    ("cole", "e\u0301cole"), ("caf", "café"), ("cafe", "cafe\u0301"), ("audit log", "audit logs"),
    ("Ärger", "Verärgert"), ("Ärger", "VÄrger"), ("ärger", "Ärger"), ("gr", "größe"), ("ße", "Straße"),
    ("мена", "отмена"), ("отмен", "отмена"), ("λόγ", "λόγος"), ("nguy", "nguyễn"), ("n", "nguyễn"),
    ("C++", "ObjC++"), ("net", ".nets"), ("解約", "解 約"), ("席2", "席20"), ("é", "cé"), ("é", "É"), ("a?c", "abc"),
    ("a.c", "abc"), ("a\\b", "ab"), ("[x]", "x"), ("x_y", "x-y"), ("x%y", "xzy"),
]  # fmt: skip


@pytest.fixture(scope="module")
def store() -> Iterator[sqlite3.Connection]:
    """Every table that engines copy, without a row."""
    conn = sqlite3.connect(":memory:")
    for name in ("history", *TABLES):
        for ddl in table_ddl(TABLE[name]) if name in TABLE else entity_ddl(ENTITY[name]):
            conn.execute(ddl)
    yield conn
    conn.close()


def forms(pairs: Iterable[tuple[str, str]], d: Dialect) -> str:
    """One statement that asks for each (member, text) whether the text mentions the member."""
    found = (d.flag(d.mentions(d.folded(d.text(text)), word(member))) for member, text in pairs)
    return "SELECT " + ", ".join(f"{sql} AS c{n}" for n, sql in enumerate(found))


def on_sqlite(store: sqlite3.Connection, pairs: Iterable[tuple[str, str]]) -> list[bool]:
    return [bool(found) for found in store.execute(forms(pairs, SQLITE)).fetchone()]


def on(engine: Engine, store: sqlite3.Connection, pairs: Iterable[tuple[str, str]]) -> list[bool]:
    (row,) = engine.answers(store, forms(pairs, engine.dialect))
    return [bool(found) for found in row.values()]


def in_python(pairs: Iterable[tuple[str, str]]) -> list[bool]:
    return [word(member).is_in(folded(text)) for member, text in pairs]


def wrong(found: Iterable[bool]) -> list[tuple[str, str]]:
    """Return which of the pairs by hand are answered wrongly."""
    pairs = [*((p, True) for p in MENTIONED), *((p, False) for p in NOT_MENTIONED)]
    return [pair for (pair, wanted), got in zip(pairs, found, strict=True) if got != wanted]


def test_by_hand_everywhere(store: sqlite3.Connection, engines: tuple[Engine, ...]) -> None:
    pairs = [*MENTIONED, *NOT_MENTIONED]
    assert wrong(in_python(pairs)) == []
    assert wrong(on_sqlite(store, pairs)) == []
    for engine in engines:
        assert wrong(on(engine, store, pairs)) == [], engine.dialect.name


def test_of_a_missing_text_it_is_unknown_everywhere(store: sqlite3.Connection, engines: tuple[Engine, ...]) -> None:
    def asked(d: Dialect) -> str:
        found = (
            d.flag(d.mentions(d.folded(d.null("text")), word(m))) for m in ("API", "API*", "*API", "*API*", "解約")
        )
        return "SELECT " + ", ".join(f"{sql} AS c{n}" for n, sql in enumerate(found))

    assert set(store.execute(asked(SQLITE)).fetchone()) == {None}
    for engine in engines:
        (row,) = engine.answers(store, asked(engine.dialect))
        assert set(row.values()) == {None}, engine.dialect.name


# --- what a letter is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "letters",
    ["AZaz09", "äöüßÄÖÜẞ", "çœæéèàùÿ", "ñáíóú", "åøæðþ", "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", "čďěňřšťůžđ", "ăâîșț", "ğıİşĞŞ",
     "ơưđễệỹẠ", "абвгґєжиіїщьюяЁё", "αβγςΩΆώᾳ"],
)  # fmt: skip
def test_letters_of_scripts_with_blanks_join_words_in_either_form_of_unicode(
    store: sqlite3.Connection, letters: str
) -> None:
    for letter in letters:
        for form in ("NFC", "NFD"):
            text = unicodedata.normalize(form, letter)
            pairs = [("api", "api" + text), ("api", text + "api")]
            assert in_python(pairs) == on_sqlite(store, pairs) == [False, False], letter


@pytest.mark.parametrize(
    "others", [" \t\n\u00a0\u3000", "-_.,:;!?/'\"()[]*^`", "×÷·…—“”€", "のカ語한ก", "שع", "ＡＺ０９", "😀"]
)
def test_signs_and_letters_of_scripts_without_blanks_do_not(store: sqlite3.Connection, others: str) -> None:
    for sign in others:
        pairs = [("api", f"{sign}api{sign}")]
        assert in_python(pairs) == on_sqlite(store, pairs) == [True], sign


# --- laws -------------------------------------------------------------------------------------------------------------

ALPHABET = "abAB1é×の-*?[^\\.' \n"
members = st.text(ALPHABET.replace("*", ""), min_size=1, max_size=3).filter(str.strip)
stars = st.sampled_from(["", "*"])
texts = st.text(ALPHABET, max_size=12)
LETTER = "[0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]"


def by_regular_expression(before: str, member: str, after: str, text: str) -> bool:
    """The same said another way: looking around, and letting the expression fold A to Z."""
    letter = re.compile(LETTER, re.ASCII | re.IGNORECASE)
    left = f"(?<!{LETTER})" if not before and letter.match(member[0]) else ""
    right = f"(?!{LETTER})" if not after and letter.match(member[-1]) else ""
    return re.search(f"{left}{re.escape(member)}{right}", text, re.ASCII | re.IGNORECASE) is not None


@settings(max_examples=400, deadline=None)
@given(before=stars, member=members, after=stars, text=texts)
@example("", "ab", "", "bab ab")
@example("", "a-a", "", "ba-a-a")
def test_the_interpreter_says_what_regular_expressions_say(before: str, member: str, after: str, text: str) -> None:
    wanted = by_regular_expression(before, member, after, text)
    assert word(before + member + after).is_in(folded(text)) == wanted


def generated() -> Iterator[tuple[str, str]]:
    """Words, and texts that have their letters at no place, one or two, often within other words."""
    rng = random.Random(4)
    for n in range(400):
        member = "".join(rng.choices("abA1éabA1éの-?[\\'.", k=rng.randrange(1, 4)))
        around = ["".join(rng.choices("abé1ABÄ×の- \n", k=rng.randrange(3))) for _ in range(rng.randrange(1, 4))]
        yield "*" * (n % 5 == 0) + member + "*" * (n % 4 == 0), member.join(around)


def test_all_engines_say_what_the_interpreter_says(store: sqlite3.Connection, engines: tuple[Engine, ...]) -> None:
    pairs = list(generated())
    wanted = in_python(pairs)
    held = sum(folded(bare(member)) in folded(text) for member, text in pairs)
    assert 100 < sum(wanted) < held - 60  # many are there as letters alone
    assert on_sqlite(store, pairs) == wanted
    for engine in engines:
        assert on(engine, store, pairs) == wanted, engine.dialect.name


@given(member=members, text=texts)
@settings(max_examples=60, deadline=None)
def test_stars_on_both_sides_find_the_letters_anywhere(member: str, text: str) -> None:
    assert word(f"*{member}*").is_in(folded(text)) == (folded(member) in folded(text))


# --- in packs ---------------------------------------------------------------------------------------------------------


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as found:
        read_rules([Source("p.yaml", text)])
    return found.value.message


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ("a*b", "has a `*` that touches no end of a word"), ("a *", "has a `*` that touches no end"),
        ("'* a'", "has a `*` that touches no end"), ("a**", "has a `*` that touches no end"),
        ("'*'", "is empty: it would be found in every text"), ("'* *'", "is empty"),
        ("'**'", "is empty"), ("x" * (MAX_LETTERS + 1), "has more than 200 characters"),
        ("Cancel, cancel*", "is 'Cancel' with other stars: keep the one that finds more"),
        ("*cancel", "aliases (& and *) are not part of the rule language"),
    ],
)  # fmt: skip
def test_a_star_elsewhere_is_refused_where_it_stands(members: str, fault: str) -> None:
    message = refused(f"pack: p\nlists: {{words: [x, {members}]}}\n")
    assert fault in message
    assert "p.yaml:2:" in message


@pytest.mark.parametrize(
    "feature",
    [
        "{present: usage.metric, of: words}",
        "{absent: usage.metric, of: words, most: 2}",
        "name in words",
        "name not in words",
    ],
)
def test_a_star_is_refused_where_whole_texts_are_compared(feature: str) -> None:
    message = refused(f"pack: p\nlists: {{words: [x, limit*]}}\nfeatures:\n  n: {feature}\n")
    assert "'limit*' of this list is for `mentions`: a whole text is compared here" in message
    assert "p.yaml:4:" in message


def test_words_in_either_case_and_their_stars_are_asked_for_and_shown_once() -> None:
    text = """pack: p
lists: {words: [Cancel*, cancel*, API, "*sign-on"]}
features:
  n: {count: tickets, where: "mentions(subject, words)"}
  spoken: {mentioned: tickets.subject, of: words, most: 4}
  first: {mentioned: tickets.subject, of: words}
  is_it: first = 'Cancel'
tests:
  - name: without stars
    as_of: 2026-11-20
    rows:
      tickets: [{subject: cancelled}, {subject: rapid}, {subject: singlesign-on with api}, {subject: no cancellation}]
    then: {n: 3, spoken: "Cancel, API, sign-on", first: Cancel, is_it: true}
"""
    (result,) = run_tests(read_rules([Source("p.yaml", text)]))
    assert result.differences == ()
    assert "never 'Cancel*'; did you mean Cancel?" in refused(text.replace("= 'Cancel'", "= 'Cancel*'"))


# --- size -------------------------------------------------------------------------------------------------------------


def large(uses: int, members: int = MAX_MEMBERS, letters: int = MAX_LETTERS) -> str:
    """A pack that looks `uses` times for as many words, as long, as a list may have."""
    words = "".join(f"    - {n:0{letters}}\n" for n in range(members))
    features = "".join(f'  f{n}: {{count: tickets, where: "mentions(subject, many)"}}\n' for n in range(uses))
    names = "  names: {mentioned: tickets.subject, of: many, most: 5}\n"
    return f"pack: p\nlists:\n  many:\n{words}features:\n{names}{features}"


def test_the_words_of_lists_are_counted_each_time_that_they_are_looked_for() -> None:
    assert read_rules([Source("p.yaml", large(20))])
    fault = f"have more than {MAX_WORDS:,} words, members of lists included"
    assert fault in refused(large(25))
    names = "".join(f"  m{n}: {{mentioned: tickets.subject, of: many}}\n" for n in range(25))
    assert fault in refused(large(0) + names)


def test_the_largest_statement_is_bounded_and_sqlite_takes_it(store: sqlite3.Connection) -> None:
    rules = read_rules([Source("p.yaml", large(20))])
    context = Context(AS_OF, fresh={table.entity: Freshness("ok", AS_OF) for table in SOURCES.values()})
    found = {d.name: compile_pack(rules.packs[0], rules.features, context, d).sql for d in DIALECTS.values()}
    assert max(map(len, found.values())) < 3_500_000
    assert store.execute(found["sqlite"]).fetchall() == []
