"""Which rules ran when: every evaluation leaves a row, every rule file its text, so that it can be read back."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cssync.errors import ConfigError
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules
from cssync.rules.tree import RuleSet

if TYPE_CHECKING:
    from cssync.store.sqlite import Store


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation on record. as_of, known_at: stored instants; packs: pack -> hash of its rules; files: rule file ->
    digest of its text."""

    as_of: str
    known_at: str
    packs: Mapping[str, str]
    files: tuple[tuple[str, str], ...]
    run_id: str


def digest_of(text: str) -> str:
    """Return 16 hex digits that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def record(conn: sqlite3.Connection, rules: RuleSet, as_of: str, known_at: str, run_id: str) -> None:
    """Note an evaluation before it writes anything: the journal stamps what changes with its `as_of`."""
    texts = {source.name: source.text for source in rules.sources}
    found = [
        {"pack": p.name, "version": p.version, "hash": p.hash, "file": p.file, "text": digest_of(texts[p.file])}
        for p in rules.packs
        if p.file in texts
    ]
    packs = {p.file for p in rules.packs}  # a file of lists alone is no pack, but it changes what packs compute
    found += [{"pack": "", "file": name, "text": digest_of(text)} for name, text in texts.items() if name not in packs]
    conn.executemany(
        "INSERT INTO pack_version (digest, text, first_run_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(digest_of(text), text, as_of) for text in texts.values()],
    )
    feeds = conn.execute("SELECT connection, stream, entity FROM source_feed ORDER BY 1, 2, 3").fetchall()
    conn.execute(
        "INSERT INTO evaluation (as_of, known_at, rules, feeds, run_id) VALUES (?, ?, ?, ?, ?) ON CONFLICT (as_of) "
        "DO UPDATE SET known_at = excluded.known_at, rules = excluded.rules, feeds = excluded.feeds, "
        "run_id = excluded.run_id",
        (as_of, known_at, json.dumps(found), json.dumps([list(f) for f in feeds]), run_id),
    )


def _evaluated(row: sqlite3.Row) -> Evaluated:
    rules = json.loads(row["rules"])
    return Evaluated(
        row["as_of"],
        row["known_at"],
        {r["pack"]: r["hash"] for r in rules if r["pack"]},
        tuple((r["file"], r["text"]) for r in rules),
        row["run_id"],
    )


def evaluations(store: Store, first: str, last: str) -> list[Evaluated]:
    """Return the evaluations on record from one as-of to another (stored instants, both inclusive), oldest first."""
    sql = "SELECT * FROM evaluation WHERE as_of BETWEEN ? AND ? ORDER BY as_of"
    return [_evaluated(row) for row in store.query(sql, (first, last))]


def last_evaluation(store: Store, before: str | None = None) -> Evaluated | None:
    """Return the newest evaluation on record, or the newest before an as-of; None when there is none."""
    sql = "SELECT * FROM evaluation WHERE as_of < ? ORDER BY as_of DESC LIMIT 1"
    rows = store.query(sql, (before or "~",))
    return _evaluated(rows[0]) if rows else None


def rules_of(store: Store, evaluated: Evaluated) -> RuleSet | None:
    """Return the rules of an evaluation as they were; None when this version of cssync reads their text otherwise, or
    the store does not hold it."""
    held = {
        row["digest"]: row["text"]
        for row in store.query(
            "SELECT digest, text FROM pack_version WHERE digest IN (SELECT value FROM json_each(?))",
            (json.dumps([digest for _, digest in evaluated.files]),),
        )
    }
    if not evaluated.files or any(digest not in held for _, digest in evaluated.files):
        return None
    try:
        rules = read_rules(_sources(evaluated.files, held))
    except ConfigError:
        return None
    return rules if {p.name: p.hash for p in rules.packs} == dict(evaluated.packs) else None


def _sources(files: Iterable[tuple[str, str]], texts: Mapping[str, str]) -> list[Source]:
    return [Source(name, texts[digest]) for name, digest in files]
