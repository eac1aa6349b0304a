"""Field changes: rule results against what the CRM holds and what we last saw verified there.

Three sides decide. *want* is the result, *live* what the CRM held at the last pull, *last* what we wrote and saw
verified. want = live: nothing to do. live = last: nobody touched it since, so ours may go in. Otherwise a person did,
and the field's policy decides. Fields of several values are changed by adding and taking out (`choices`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from cssync.config.workspace import Policy, Workspace, Writeback
from cssync.rules.texts import undated
from cssync.store import Store
from cssync.writeback.canonical import KINDS, Canonical, Kind, altered, canonical, kind_of
from cssync.writeback.changes import Note, PlannedChange
from cssync.writeback.choices import choose
from cssync.writeback.fit import Lengths, shortened
from cssync.writeback.outbox import FIGHTS, Failed, failed, last_sent, written_in_vain

Decision = Literal["same", "agree", "write", "keep", "conflict"]

COMPANION = ".as_of"
"""Results whose name ends so are written only together with another field of their pack: a date that moves every day
is no news by itself (domain: never write a value that changes just because a day passed)."""


def decide(policy: Policy, *, want: Any, live: Any, last: Any) -> Decision:
    """Return what to do about one field; all three sides canonical, None is empty or never written.

    ours: our value goes in. unless-edited: it goes in unless the CRM's value is not the one we last wrote; that is a
    conflict, listed until both agree again. theirs: a person's value stays for good and is not listed; an empty field
    is filled.
    """
    if want == live:
        return "same" if last == live or policy == "theirs" else "agree"
    if policy == "ours" or live == last:
        return "write"
    if policy == "theirs":
        return "write" if live is None else "keep"
    return "conflict"


@dataclass(slots=True)
class FieldDiff:
    """Collects what the walk over the records finds."""

    changes: list[PlannedChange]
    notes: list[Note]
    agreed: list[tuple[str, str, str, str, Any]]
    records: Counter[str]
    filled: Counter[tuple[str, str]]


def field_changes(
    store: Store, workspace: Workspace, types: Mapping[str, str], limits: Lengths | None = None
) -> FieldDiff:
    """Compare every mapped field of every linked, live record. `types`: result name -> type of the written field;
    `limits`: what is known of the fields' lengths.

    Reads the store only. A result that is stale or not known (null without being `ok`) changes nothing: the CRM keeps
    what it holds.
    """
    diff = FieldDiff([], [], [], Counter(), Counter())
    failures = failed(store)
    for back in workspace.writeback.values():
        for target in _targets(store, back):
            diff.records[back.connection] += 1
            _compare(store, back, target, types, limits or {}, failures, diff)
    return diff


@dataclass(frozen=True, slots=True)
class _Target:
    source_id: str
    account_uid: str
    account: str
    live: Mapping[str, Any]
    written: Mapping[str, Any]
    results: Mapping[str, tuple[Any, str, str]]


_TARGETS = """
SELECT l.source_id, l.account_uid, coalesce(a.name, l.account_uid) AS account, s.fields,
       (SELECT json_group_object(w.field, json(w.value)) FROM written w
        WHERE w.connection = l.connection AND w.stream = ? AND w.source_id = l.source_id) AS written
FROM account_link l
JOIN account_source r ON r.connection = l.connection AND r.source_id = l.source_id
JOIN account a ON a.uid = l.account_uid
LEFT JOIN crm_state s ON s.connection = l.connection AND s.source_id = l.source_id
WHERE l.connection = ? AND l.status = 'active' AND l.confidence > 0 AND l.valid_to IS NULL AND r.deleted_at IS NULL
  AND r.merged_into IS NULL AND a.deleted_at IS NULL AND a.is_test IS NOT 1 AND (s.stream IS NULL OR s.stream = ?)
ORDER BY l.account_uid, l.source_id
"""


def _targets(store: Store, back: Writeback) -> Iterator[_Target]:
    """Walk records and their accounts' results side by side, both in the order of the account: memory stays flat."""
    names = tuple(dict.fromkeys(back.fields.values()))
    rows = store.reader().execute(_TARGETS, (back.to, back.connection, back.to))
    results = store.reader().execute(  # `+name`: read in the order of the key, so nothing is sorted
        f"SELECT account_uid, name, value, state, because FROM result WHERE +name IN ({','.join('?' * len(names))}) "
        "ORDER BY account_uid, name",
        names,
    )
    ahead = next(results, None)
    account: str | None = None
    found: dict[str, tuple[Any, str, str]] = {}
    for row in rows:
        if row["account_uid"] != account:
            account, found = row["account_uid"], {}
            while ahead is not None and ahead["account_uid"] <= account:
                if ahead["account_uid"] == account:
                    found[ahead["name"]] = (_decode(ahead["value"]), ahead["state"], ahead["because"] or "")
                ahead = next(results, None)
        yield _Target(
            row["source_id"], row["account_uid"], row["account"], _decode(row["fields"]) or {},
            _decode(row["written"]) or {}, found,
        )  # fmt: skip


_NO_RESULT: tuple[Any, str, str] = (None, "unknown", "")


def _compare(
    store: Store,
    back: Writeback,
    target: _Target,
    types: Mapping[str, str],
    limits: Lengths,
    failures: Mapping[tuple[str, str, str, str], Failed],
    diff: FieldDiff,
) -> None:
    found: list[PlannedChange] = []
    for field, name in back.fields.items():
        if field in target.written and field not in target.live:
            continue  # the field is gone or hidden: nobody can have edited what was not read
        value, state, because = target.results.get(name, _NO_RESULT)
        held = target.live.get(field)
        if held is not None and (held == value or held == str(value)) and target.written.get(field) == value:
            diff.filled[back.connection, field] += 1
            continue  # the way of nearly all: nobody changed anything
        if held is None and (value is None or value == [] or value == "") and target.written.get(field) in (None, []):
            continue  # nothing is said, held or ever was: the way of most lists
        if canonical(held) is not None:
            diff.filled[back.connection, field] += 1
        if state == "stale" or (value is None and state != "ok"):
            continue
        want_value = whole = vendor_value(value)
        if isinstance(whole, str) and (longest := limits.get((back.connection, field))) is not None:
            want_value = shortened(whole, longest)
        kind = KINDS.get(types.get(name, "")) or kind_of(want_value, held)
        want, live = canonical(want_value, kind), canonical(held, kind)
        last = canonical(target.written.get(field), kind)
        if (
            isinstance(want_value, str)
            and isinstance(held, str)
            and live == last
            and undated(want_value) == undated(held)
        ):
            continue  # our own text, of another day: a source that was away and came back
        policy = back.policies.get(field, back.policy)
        place = (back.connection, back.to, target.source_id, field)
        if kind == "multi":
            chosen = choose(policy, want=want, live=live, owned=last, first=field not in target.written)
            want_value = whole = chosen.value
            want = canonical(want_value, kind)
            if canonical(chosen.owned, kind) != last:
                diff.agreed.append((*place, chosen.owned))
            if chosen.missed and policy == "unless-edited":
                told = f"a person took {', '.join(chosen.missed)} out, which cssync still has: it stays out"
                diff.notes.append(_note("conflict", back, target, field, told))
            decision: Decision = "same" if want == live else "write"
        else:
            decision = decide(policy, want=want, live=live, last=last)
        if decision == "agree":
            diff.agreed.append((*place, want_value))
        if decision == "conflict":
            mine = "never wrote it" if field not in target.written else f"last wrote {_said(last)}"
            diff.notes.append(_note("conflict", back, target, field,
                f"the CRM holds {_said(live)}, cssync {mine} and now has {_said(want)}: a person's value is kept",
            ))  # fmt: skip
        if decision != "write" or (last is not None and live == last and _took(store, place, want, live, kind)):
            continue
        if want == last and written_in_vain(store, place, want_value, kind):
            diff.notes.append(_note("conflict", back, target, field,
                f"cssync wrote {_said(want)} {FIGHTS} times, and each time somebody set it back, now to {_said(live)}: "
                "look for an automation of the CRM that writes this field; cssync's next value goes in again",
            ))  # fmt: skip
            continue
        refused = failures.get(place)
        if refused is not None and refused.blocks(want_value, kind, live):
            diff.notes.append(_note(refused.kind, back, target, field, refused.told))
            continue
        if want_value != whole:
            told = f"{len(whole)} characters are too many for this field; {len(want_value)} of them are written"
            diff.notes.append(_note("cut", back, target, field, told))
        found.append(
            PlannedChange(
                back.connection,
                back.to,
                target.source_id,
                target.account_uid,
                target.account,
                "clear" if want is None else "set",
                field,
                _plain(live, kind),
                want_value,
                name,
                because,
            )
        )
    moved = {change.result_name.rpartition(".")[0] for change in found if not change.result_name.endswith(COMPANION)}
    diff.changes.extend(
        c for c in found if not c.result_name.endswith(COMPANION) or c.result_name.removesuffix(COMPANION) in moved
    )


def vendor_value(value: Any) -> Any:
    """A result as the value a connector takes: empty texts and lists as None; money is in major units already."""
    if isinstance(value, (list, tuple)):
        return sorted({str(item) for item in value}) or None
    if isinstance(value, str):
        return value.strip() or None
    return value


def _took(store: Store, place: tuple[str, str, str, str], want: Any, live: Any, kind: Kind) -> bool:
    """Whether exactly this value was sent last and the vendor keeps it in a form of its own (trimmed, cut, rounded)."""
    sent = last_sent(store, place)
    return sent is not None and canonical(sent[0], kind) == want and altered(sent[0], live, kind)


def _note(
    kind: Literal["conflict", "blocked", "declined", "cut"], back: Writeback, target: _Target, field: str, message: str
) -> Note:
    return Note(kind, back.connection, target.account_uid, target.account, field, message)


def _plain(value: Canonical, kind: Kind) -> Any:
    """A canonical value as JSON has it, so that its kind can be told from it again."""
    if kind == "number" and isinstance(value, str):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return value
        return int(number) if number == number.to_integral_value() else float(number)
    if kind == "bool" and value in ("true", "false"):
        return value == "true"
    return list(value) if isinstance(value, tuple) else value


def _said(value: Any) -> str:
    return "nothing" if value is None else ", ".join(value) if isinstance(value, tuple) else repr(value)


def _decode(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
