"""What became of past renewals: renewed within the days of grace, or not. From the contracts as they are known now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from cssync.rules.calendar import EARLIEST, LATEST
from cssync.rules.event_facts import CO_TERM_DAYS, GRACE_DAYS
from cssync.rules.facts import EARLY_DAYS

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

CONTRACTS = """
SELECT c.account_uid, c.connection, c.source_id, c.start_date, c.end_date, c.auto_renew, c.status,
c.notice_received_on, c.renewed_by_source_id FROM contract c JOIN account a ON a.uid = c.account_uid
WHERE c.deleted_at IS NULL AND coalesce(c.status, 'active') <> 'draft' AND coalesce(a.is_test, 0) = 0
ORDER BY c.account_uid, c.end_date, c.connection, c.source_id
"""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A past renewal event. on: renewal date, the day after the term. outcome: `assumed` is renewed by itself, without
    a new contract on record."""

    account_uid: str
    on: date
    contracts: tuple[str, ...]
    outcome: Literal["renewed", "assumed", "churned"]


def past_renewals(store: Store, today: date) -> list[Renewal]:
    """Return every renewal whose days of grace are over on a local day, by account and date.

    Contracts of an account that end within 14 days are one event; it counts as churned when none of them went on.
    Test accounts and drafts are left out.
    """
    by_account: dict[str, list[Mapping[str, Any]]] = {}
    for row in store.query(CONTRACTS):
        by_account.setdefault(row["account_uid"], []).append(dict(row))
    return [event for uid, contracts in by_account.items() for event in _events(uid, contracts, today)]


def _events(uid: str, contracts: list[Mapping[str, Any]], today: date) -> Iterator[Renewal]:
    ends = [(c, date.fromisoformat(c["end_date"])) for c in contracts if c["end_date"]]
    ended = [(c, end + timedelta(days=1)) for c, end in ends if EARLIEST <= end <= LATEST]
    ended = [(c, on) for c, on in ended if on + timedelta(days=GRACE_DAYS) < today]
    while ended:
        first = ended[0][1]
        together = [(c, on) for c, on in ended if on <= first + timedelta(days=CO_TERM_DAYS)]
        ended = ended[len(together) :]
        outcomes = [_outcome(c, on, contracts) for c, on in together]
        best: Literal["renewed", "assumed", "churned"] = (
            "renewed" if "renewed" in outcomes else "assumed" if "assumed" in outcomes else "churned"
        )
        names = tuple(f"{c['connection']}:{c['source_id']}" for c, _ in together)
        yield Renewal(uid, first, names, best)


def _outcome(
    contract: Mapping[str, Any], on: date, contracts: Iterable[Mapping[str, Any]]
) -> Literal["renewed", "assumed", "churned"]:
    """A successor is named by the contract, or begins from a month before the renewal date to the end of its grace and
    lasts longer."""
    if contract["status"] == "renewed" or any(_follows(other, contract, on) for other in contracts):
        return "renewed"
    gone = contract["status"] in ("notice", "terminated", "expired") or contract["notice_received_on"]
    return "assumed" if contract["auto_renew"] and not gone else "churned"


def _follows(other: Mapping[str, Any], contract: Mapping[str, Any], on: date) -> bool:
    if other is contract or other["status"] == "terminated":
        return False
    if other["connection"] == contract["connection"] and other["source_id"] == contract["renewed_by_source_id"]:
        return True
    if not other["start_date"] or (other["end_date"] and other["end_date"] <= contract["end_date"]):
        return False
    begins = date.fromisoformat(other["start_date"])
    later = contract["start_date"] is None or other["start_date"] > contract["start_date"]
    return later and on - timedelta(days=EARLY_DAYS) <= begins <= on + timedelta(days=GRACE_DAYS)
