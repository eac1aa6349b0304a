"""Associations: which company (or contact) a record belongs to, read to the end of their own paging.

A record can have several companies; the primary one wins, else the one with the lowest id: HubSpot promises no order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakSet

from cssync.connectors import Session
from cssync.errors import TransientFault
from cssync_hubspot.client import BATCH, Paths, body, chunks, done, following

MOST = 1_000
"""Records whose associations are asked for at once. HubSpot takes that many as far as is known; where it refuses, it is
asked for BATCH at a time from then on."""
LONG = timedelta(minutes=10)
"""A wait that is about the account, not about some records."""
_SMALL: WeakSet[Session] = WeakSet()
"""Sessions in which a larger batch was refused."""
PRIMARY_TYPES = frozenset({1, 5, 26})
"""HubSpot's own association type ids for the primary company of a contact, a deal and a ticket."""
COLUMN = {"companies": "company", "contacts": "contact", "deals": "deal", "tickets": "ticket"}
"""Key under which a record carries the id of its linked record."""

Item = Mapping[str, Any]


@dataclass(slots=True)
class Associated:
    """`found`: the linked items of each record; `failed`: records whose list could not be read to its end."""

    found: dict[str, list[Item]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


def linked_id(item: Item) -> str:
    """Return the id an association leads to, in either of the two forms HubSpot uses."""
    return str(item["toObjectId"] if "toObjectId" in item else item["id"])


def _is_primary(item: Item) -> bool:
    """A list names types like `deal_to_company` (primary) and `deal_to_company_unlabeled`; a batch read has ids."""
    if "type" in item:
        return re.search(r"(?i)primary|_to_[a-z]+$", str(item["type"])) is not None
    return any(
        (t.get("category") == "HUBSPOT_DEFINED" and t.get("typeId") in PRIMARY_TYPES)
        or str(t.get("label") or "").casefold() == "primary"
        for t in item.get("associationTypes") or ()
    )


def first(items: Sequence[Item]) -> str | None:
    """Return the id of the primary link, else the lowest one, None without any."""
    best = min(((not _is_primary(item), len(held := linked_id(item)), held) for item in items), default=None)
    return None if best is None else best[2]


def associated(session: Session, start: str, end: str, ids: Iterable[str]) -> Associated:
    """Read the associations of many records, up to MOST to a request, each list to its end.

    Raises:
        TransientFault: HubSpot said to come back much later.
        ConnectionFault: the token may not read them.
    """
    answer = Associated({i: [] for i in ids})
    most = BATCH if session in _SMALL else MOST
    todo: list[dict[str, str]] = [{"id": i} for i in answer.found]
    seen: set[tuple[str, str]] = set()
    while todo:
        part, todo = todo[:most], todo[most:]
        for item in _ask(session, start, end, part, answer):
            key = str((item.get("from") or {}).get("id"))
            if key not in answer.found:
                continue
            answer.found[key].extend(item.get("to") or ())
            after = following(item)
            if after and (key, after) in seen:
                answer.failed.add(key)  # a cursor that leads back is no end
            elif after:
                seen.add((key, after))
                todo.append({"id": key, "after": after})
    return answer


def _ask(
    session: Session, start: str, end: str, part: Sequence[dict[str, str]], answer: Associated
) -> Sequence[Mapping[str, Any]]:
    """Send one batch; where it is refused as a whole, cut it in halves until only the guilty record is left."""
    try:
        got = session.request(
            "POST", Paths(session).associations(start, end), json={"inputs": list(part)}, accept=(400, 404)
        )
    except TransientFault as fault:
        if fault.resumes_at and datetime.fromisoformat(fault.resumes_at) > session.now() + LONG:
            raise  # the day's allowance is used up: what comes next would fail, too
        answer.failed.update(i["id"] for i in part)
        return ()
    if got.status >= 400:
        if len(part) > BATCH:
            _SMALL.add(session)
            return [item for some in chunks(part) for item in _ask(session, start, end, some, answer)]
        if len(part) == 1:
            answer.failed.add(part[0]["id"])
            return ()
        middle = len(part) // 2
        return [
            *_ask(session, start, end, part[:middle], answer),
            *_ask(session, start, end, part[middle:], answer),
        ]
    found = done(got)
    there = {str((item.get("from") or {}).get("id")) for item in found}
    if body(got).get("numErrors") and not body(got).get("errors"):  # some failed: any of those that are not there
        answer.failed.update({i["id"] for i in part} - there)
    for error in body(got).get("errors") or ():
        if error.get("category") == "OBJECT_NOT_FOUND" or "NO_ASSOCIATIONS" in str(error.get("subCategory")):
            continue  # HubSpot's way to say that there are none
        named = {str(v) for value in (error.get("context") or {}).values() if isinstance(value, list) for v in value}
        asked = {i["id"] for i in part}
        answer.failed.update((named & asked) or (asked - there))
    return found


def add_listed(session: Session, kind: str, to: str, records: Sequence[dict[str, Any]]) -> set[str]:
    """Set the link of records that came with `associations`; return the ids whose links could not be read.

    A list that goes on is read again from its beginning in the batch form, since the record's own association
    endpoint is gone from the dated API.
    """
    longer = []
    for record in records:
        held = (record.get("associations") or {}).get(to) or {}
        if following(held):
            longer.append(record)
        else:
            record[COLUMN[to]] = first(held.get("results") or ())
    return add_read(session, kind, to, longer) if longer else set()


def add_read(session: Session, kind: str, to: str, records: Sequence[dict[str, Any]]) -> set[str]:
    """Set the link of records that came without associations; return the ids whose links could not be read."""
    answer = associated(session, kind, to, (str(r["id"]) for r in records))
    for record in records:
        if str(record["id"]) not in answer.failed:
            record[COLUMN[to]] = first(answer.found[str(record["id"])])
    return answer.failed
