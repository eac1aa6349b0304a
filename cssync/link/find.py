"""Find the account that a person means."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cssync.errors import ConfigError
from cssync.link.keys import company_domain, company_name
from cssync.store import Store

SHOWN = 5
"""Candidates that an error lists."""


@dataclass(frozen=True, slots=True)
class _Known:
    uid: str
    name: str
    names: frozenset[str]
    domains: frozenset[str]
    sources: frozenset[str]

    def __str__(self) -> str:
        where = sorted(self.domains)[:1] or sorted(self.sources)[:1]
        return f"{self.name} ({', '.join((self.uid, *where))})"


def find_account(store: Store, text: str) -> str:
    """Return the uid of the account that `text` means.

    Looked at in this order, and the first that fits decides: account uid, `connection:id` of a source record, a
    domain, a name as one of the systems spells it (NFKC, case-folded), a name without company form and spaces.

    Raises:
        ConfigError: nothing fits, or several do; lists the candidates.
    """
    known = list(_accounts(store))
    folded = fold(text)
    ways = (
        [a for a in known if a.uid == text.strip()],
        [a for a in known if text.strip() in a.sources],
        [a for a in known if folded in a.domains or (company_domain(text) or "") in a.domains],
        [a for a in known if folded in a.names],
        [a for a in known if company_name(text) in {company_name(n) for n in a.names}],
    )
    for found in ways:
        if len(found) == 1:
            return found[0].uid
        if found:
            raise _unclear(f"{text!r} means {len(found)} accounts", found)
    near = _near(folded, known)
    if not known:
        raise ConfigError("the store holds no account yet", fix="run `cssync sync` first")
    raise _unclear(f"there is no account {text!r}", near)


def fold(text: str) -> str:
    """Return a text for comparison: NFKC, case-folded, runs of blanks made one."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _unclear(what: str, candidates: Iterable[_Known]) -> ConfigError:
    listed = list(candidates)
    shown = "".join(f"\n    {account}" for account in listed[:SHOWN])
    more = f"\n    and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ConfigError(
        f"{what}{'; did you mean one of' if listed else ''}{shown}{more}",
        fix="give a uid, `connection:id`, a domain or a name; `cssync accounts` lists them",
    )


def _accounts(store: Store) -> Iterator[_Known]:
    rows = store.query(
        """SELECT a.uid, a.name, a.domains, s.connection, s.source_id, s.name AS source_name FROM account a
           LEFT JOIN account_source s ON s.account_uid = a.uid
           WHERE a.deleted_at IS NULL ORDER BY a.name, a.uid, s.connection, s.source_id"""
    )
    parts: dict[str, tuple[str, set[str], set[str], set[str]]] = {}
    for row in rows:
        domains = set(json.loads(row["domains"] or "[]"))
        _, names, _, sources = parts.setdefault(row["uid"], (row["name"] or row["uid"], set(), domains, set()))
        names.update(fold(name) for name in (row["name"], row["source_name"]) if name)
        if row["source_id"]:
            sources.add(f"{row['connection']}:{row['source_id']}")
    for uid, (name, names, domains, sources) in parts.items():
        yield _Known(uid, name, frozenset(names), frozenset(domains), frozenset(sources))


def _near(folded: str, known: Iterable[_Known]) -> list[_Known]:
    """Return the accounts whose name holds the text or resembles it, nearest first."""
    from rapidfuzz import fuzz

    bare = company_name(folded)
    scored = []
    for account in known:
        score = max((fuzz.ratio(bare, company_name(name)) for name in account.names), default=0.0)
        if any(folded in name for name in account.names):
            score = 100.0
        if score >= 65:
            scored.append((-score, account.name, account))
    return [account for _, _, account in sorted(scored, key=lambda s: s[:2])]
