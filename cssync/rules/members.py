"""Which members of a list the rows of an account have, lack or mention: names behind a number, for sentences.

`present` and `absent` ask for rows whose text is the member, `mentioned` for rows whose text mentions it as a word, A
to Z in either case. What is shown are the first members in the list's own order; more than fit end in MORE.

In SQL: the different texts of the rows that count, then one mark 0 or 1 for each member, then the first places of the
wanted mark. So a row costs one look into the list, and the length of the list counts for different texts alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context
from cssync.rules.rows import live
from cssync.rules.sources import LISTED, SourcePass, definition
from cssync.rules.tree import Aggregate, Feature
from cssync.rules.volume import ENTITY as USAGE
from cssync.rules.words import Word, bare, folded, word

FUNCTIONS = ("present", "absent", "mentioned")
MORE = f"{LISTED}..."
"""After the members that are shown, where there are others."""


@dataclass(frozen=True, slots=True)
class Membership(Aggregate):
    """An aggregate over the texts of a source that answers with members of a list; `most` of them at most. words: what
    to look for in texts, of `mentioned` alone: one for each member, which then is shown without its stars."""

    members: tuple[str, ...] = ()
    words: tuple[Word, ...] = ()


def asked(a: Aggregate, members: Sequence[str]) -> Membership:
    """Return an aggregate as the membership of a list. Of words that differ in case alone `mentioned` needs one."""
    words: dict[Word, str] = {}
    if a.function == "mentioned":
        for member in members:
            words.setdefault(word(member), bare(member))
        members = tuple(words.values())
    return Membership(**{f.name: getattr(a, f.name) for f in fields(a)}, members=tuple(members), words=tuple(words))


def listed(found: Sequence[str], most: int) -> str | None:
    """Return the first members in one text; None where there are none. A single one stands alone."""
    more = MORE if len(found) > most > 1 else ""
    return LISTED.join(found[:most]) + more if found else None


def members_of(a: Membership, texts: Iterable[str]) -> str | None:
    """Return what a membership says of an account whose rows that count have these texts."""
    if a.function == "mentioned":
        there = {folded(text) for text in texts}
        pairs = zip(a.members, a.words, strict=True)
        return listed([m for m, looked_for in pairs if any(map(looked_for.is_in, there))], a.most)
    found = set(texts)
    return listed([m for m in a.members if (m in found) != (a.function == "absent")], a.most)


# --- SQL --------------------------------------------------------------------------------------------------------------


def membership(feature: Feature, one: SourcePass, counts: Iterable[str], dialect: Dialect) -> str:
    """The SELECT of a feature's pass: `account_uid` (and `event`) and `value`, a row for each account with a row that
    has or mentions some member; its value is NULL where none is wanted. counts: conditions on a row `t`."""
    a = of(feature)
    value = one.value(a)
    if not a.members:
        nobody = dialect.boolean(False)
        return f"SELECT {one.of}, {dialect.null('text')} AS value FROM {one.table_with_borrowed()} WHERE {nobody}"
    text = dialect.folded(value) if a.function == "mentioned" else value
    any_of = f"{value} IN ({', '.join(map(dialect.text, a.members))})"
    if a.function == "mentioned":
        any_of = f"({' OR '.join(_has(a, text, dialect))})"
    rows = one.table_with_borrowed()
    where = " AND ".join((*counts, any_of))
    key = one.of
    if dialect.seeks and one.entity.name == USAGE:  # an index leads from an account to its days of each metric
        rows, where, key = f"account a CROSS JOIN {rows}", f"t.account_uid = a.uid AND {where}", "a.uid AS account_uid"
    texts = f"SELECT DISTINCT {key}, {text} AS value FROM {rows} WHERE {where}"
    outer = one.of.replace("t.", "v.")
    marks = [f"max(CASE WHEN {has} THEN '1' ELSE '0' END)" for has in _has(a, "v.value", dialect)]
    marked = f"SELECT {outer}, {' || '.join(marks)} AS marks FROM ({texts}) v GROUP BY {outer}"
    return f"SELECT {one.of.replace('t.', 'p.')}, {_first(a, dialect)} AS value FROM {_placed(a, marked, dialect)} p"


def value_of(feature: Feature, table: str, context: Context, dialect: Dialect) -> str:
    """SQL of a membership's value in the base, over its joined pass `table` and account `a`. Who has no row there lacks
    every member, if the source knows the account at all."""
    a = of(feature)
    every = listed(a.members, a.most)
    if a.function != "absent" or every is None:
        return f"{table}.value"
    none = dialect.text(every)
    one = SourcePass(a.source, [feature], context, dialect)
    if one.table.never_seen:
        alive = live("e", context, dialect).replace("e.account_uid IS NOT NULL", "e.account_uid = a.uid")
        none = f"CASE WHEN EXISTS (SELECT 1 FROM {dialect.quoted(one.entity.name)} e WHERE {alive}) THEN {none} END"
    return f"CASE WHEN {table}.account_uid IS NULL THEN {none} ELSE {table}.value END"


def of(feature: Feature) -> Membership:
    """Return the membership behind a feature that is one."""
    found = definition(feature)
    assert isinstance(found, Membership)  # noqa: S101 - asked of memberships only
    return found


def _has(a: Membership, text: str, dialect: Dialect) -> list[str]:
    """SQL conditions that a text, folded where that is asked for, has or mentions a member, one for each."""
    if a.function == "mentioned":
        return [dialect.mentions(text, looked_for) for looked_for in a.words]
    return [f"{text} = {dialect.text(member)}" for member in a.members]


def _placed(a: Membership, marked: str, dialect: Dialect) -> str:
    """The marks with the places of the first wanted ones, one link for each: `p1`, `p2`, ...; beyond the list where
    there are no more."""
    wanted = "0" if a.function == "absent" else "1"
    ends = dialect.text(wanted * (a.most + 1))
    found = f"(SELECT m.*, m.marks || {ends} AS ended FROM ({marked}) m)"
    for n in range(1, a.most + 2):
        after = f"p.p{n - 1}" if n > 1 else "0"
        next_one = dialect.position(f"substr(p.ended, {after} + 1)", wanted)
        found = f"(SELECT p.*, {after} + {next_one} AS p{n} FROM {found} p)"
    return found


def _first(a: Membership, dialect: Dialect) -> str:
    """SQL of the members at those places in one text."""
    names = " ".join(f"WHEN {n} THEN {dialect.text(m)}" for n, m in enumerate(a.members, 1))
    nth = [f"CASE p.p{n} {names} END" for n in range(1, a.most + 1)]
    parts = [nth[0], *(f"coalesce({dialect.text(LISTED)} || {other}, '')" for other in nth[1:])]
    if a.most > 1:
        parts.append(f"CASE WHEN p.p{a.most + 1} <= {len(a.members)} THEN {dialect.text(MORE)} ELSE '' END")
    return " || ".join(parts)
