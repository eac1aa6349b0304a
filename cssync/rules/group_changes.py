"""What changed in the group of companies behind a touch tier or a roll-up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cssync.rules import rollup, tiers
from cssync.rules.tree import Pack
from cssync.rules.versions import Evaluated

if TYPE_CHECKING:
    from cssync.store.sqlite import Store


class GroupChange(NamedTuple):
    """Something of a group that was otherwise. name: what, and of which company."""

    name: str
    before: Any
    after: Any


def rests_on_group(output: str) -> bool:
    """Whether an output of a pack is about an account's group of companies."""
    return output in (*tiers.OUTPUTS, *rollup.OUTPUTS)


def group_changes(
    store: Store,
    pack: Pack,
    output: str,
    account_uid: str,
    before: Evaluated,
    now: Evaluated,
    parents: Callable[[str], Mapping[str, str]],
) -> Iterator[GroupChange]:
    """Yield what differs in the group behind an output between two evaluations: its members, and of those that stayed
    the ARR and, for a roll-up, the score and band. parents: `parents_at` of a stored instant."""
    was, found = (_group(store, pack, output, account_uid, e, parents(e.known_at)) for e in (before, now))
    listed = (json.dumps(sorted(was | found)),)
    rows = store.query(
        "SELECT uid, coalesce(name, uid) FROM account WHERE uid IN (SELECT value FROM json_each(?))", listed
    )
    names = {row[0]: row[1] for row in rows}
    if was != found:
        yield GroupChange("companies", *(sorted(names[uid] for uid in members) for members in (was, found)))
    results = [f"{pack.name}.{n}" for n in ("score", "band")] if output in rollup.OUTPUTS else []
    for uid in sorted((was & found) - {account_uid}, key=lambda uid: (names[uid], uid)):
        arr = [_arr(store, pack.name, uid, e.as_of) for e in (before, now)]
        pairs = [("arr", *arr), *((n, *(result_at(store, uid, n, e.as_of) for e in (before, now))) for n in results)]
        for name, one, other in pairs:
            if one != other:
                yield GroupChange(f"{name} of {names[uid]}", one, other)


def parents_at(store: Store, known_at: str) -> dict[str, str]:
    """Return account -> its parent, as they were known at a stored instant."""
    now = "SELECT uid, parent_uid FROM account WHERE parent_uid IS NOT NULL AND created_at <= ?"
    found = {r["uid"]: r["parent_uid"] for r in store.query(now, (known_at,))}
    for row in store.query(  # the earliest change after that instant holds what was
        "SELECT \"row\" ->> '$.uid' AS uid, \"row\" ->> '$.parent_uid' AS parent FROM state_history "
        "WHERE name = 'account' AND until > ? ORDER BY until DESC",
        (known_at,),
    ):
        found[row["uid"]] = row["parent"]
    return {uid: parent for uid, parent in found.items() if parent}


def _group(
    store: Store, pack: Pack, output: str, uid: str, evaluated: Evaluated, parents: Mapping[str, str]
) -> set[str]:
    """Return an account and all below it that a pack looked at; for a tier those below its ultimate parent, as far as
    the pack looked at each on the way."""
    whole = output in tiers.OUTPUTS
    judged = f"{pack.name}.{tiers.TIER if whole else 'score'}"

    def there(one: str) -> bool:
        return result_at(store, one, judged, evaluated.as_of, absent=...) is not ...

    top, seen = uid, {uid}
    while whole and (above := parents.get(top)) and above not in seen and there(above):
        seen.add(top := above)
    below: dict[str, list[str]] = {}
    for child, above in parents.items():
        below.setdefault(above, []).append(child)
    found, todo, seen = {uid}, [top], {top}
    while todo:
        one = todo.pop()
        looked_at = there(one)
        found |= {one} if looked_at else set()
        if looked_at or not whole:
            todo += (new := [child for child in below.get(one, ()) if child not in seen])
            seen.update(new)
    return found


def _arr(store: Store, pack: str, uid: str, at: str) -> Any:
    rows = store.query(
        "SELECT features ->> '$.arr' AS arr FROM feature_row WHERE account_uid = ? AND pack = ? AND as_of <= ? "
        "ORDER BY as_of DESC LIMIT 1",
        (uid, pack, at),
    )
    return rows[0]["arr"] if rows else None


def result_at(store: Store, uid: str, name: str, at: str, absent: Any = None) -> Any:
    """Return the value that a result of an account had at a stored instant; `absent` where there was no such result."""
    rows = store.query(
        "SELECT value FROM result WHERE account_uid = :uid AND name = :name AND since <= :at UNION ALL SELECT value "
        "FROM result_history WHERE account_uid = :uid AND name = :name AND since <= :at AND until > :at",
        {"uid": uid, "name": name, "at": at},
    )
    return json.loads(rows[0]["value"]) if rows else absent
