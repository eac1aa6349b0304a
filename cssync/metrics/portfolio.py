"""Reads what the key figures need from the store, one account at a time; memory does not grow with lines.

Test accounts are left out. What belongs to an account that was merged into another one is read as the survivor's, so
that both ends of a period see the same customers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cssync.metrics.revenue import Contract, Key, Line, Term, terms
from cssync.metrics.voice import Answer
from cssync.rules.calendar import EARLIEST, LATEST, local_date, start_of_day
from cssync.rules.freshness import parse_instant

if TYPE_CHECKING:
    from cssync.store import Store

_CONTRACTS = """
SELECT account_uid, connection, source_id, start_date, end_date, term_months, auto_renew,
    coalesce(status, 'active') AS status, notice_received_on, renewed_by_source_id,
    coalesce(updated_at, synced_at) AS changed_at
FROM contract WHERE deleted_at IS NULL AND account_uid IS NOT NULL {only} ORDER BY account_uid
"""
_LINES = """
SELECT l.account_uid, l.connection, l.source_id, l.contract_source_id, coalesce(l.amount, l.quantity * l.unit_price)
    AS price, coalesce(l.currency, k.billing_currency, :currency) AS currency,
    coalesce(l.billing_period_months, 12) AS months, l.start_date, l.end_date, coalesce(l.is_recurring, 1) AS recurring,
    l.product_code, l.quantity, l.created_at, k.source_id IS NOT NULL AS known, k.account_uid AS contract_account
FROM contract_line l LEFT JOIN contract k ON k.connection = l.connection AND k.source_id = l.contract_source_id
WHERE l.deleted_at IS NULL AND l.account_uid IS NOT NULL {only} ORDER BY l.account_uid
"""
_MERGED = "AND {column} IN (SELECT uid FROM account WHERE merged_into IS NOT NULL)"
_ELSEWHERE = """AND account_uid IN (SELECT k.account_uid FROM contract_line l JOIN contract k
ON k.connection = l.connection AND k.source_id = l.contract_source_id WHERE k.account_uid <> l.account_uid)"""
_ANSWERS = """
SELECT account_uid, connection, contact_source_id, score, scale_max, responded_at FROM survey_response
WHERE kind = ? AND deleted_at IS NULL AND responded_at >= ? AND responded_at < ?
ORDER BY responded_at, connection, source_id
"""
_FIRST_VALUE = """
SELECT account_uid, min(CASE WHEN grain = 'week' THEN date(period_start, '+6 days') ELSE period_start END) AS day
FROM usage_metric WHERE metric = ? AND value > 0 AND deleted_at IS NULL AND account_uid IS NOT NULL GROUP BY account_uid
"""
_BANDS = """
SELECT account_uid, value FROM result WHERE name = 'health.band' AND since <= :moment
UNION ALL SELECT account_uid, value FROM result_history
WHERE name = 'health.band' AND since <= :moment AND until > :moment
"""
_PAID = """
SELECT account_uid, amount, currency, paid_at FROM invoice
WHERE deleted_at IS NULL AND account_uid IS NOT NULL AND amount IS NOT NULL AND paid_at < ?
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a row belongs to. root: uid of the ultimate parent, its own where it has none or the chain runs in a ring."""

    uid: str
    name: str
    root: str
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """The contracts and lines of one account. elsewhere: terms of contracts of other accounts that its lines name.
    silent: contracts that its lines name and that say nothing. apart: connections have no successors in each other."""

    account: Account
    contracts: tuple[Contract, ...]
    lines: tuple[Line, ...]
    elsewhere: Mapping[Key, Term] = field(default_factory=dict)
    silent: frozenset[Key] = frozenset()
    apart: bool = False


class Portfolio:
    """The rows of one workspace's store, as of `today` (business time zone).

    master: connection whose contracts count where an account has some of it (`masters: {contract: ...}`). `rings`:
    accounts that are their own ancestors, each with the chain that shows it.
    """

    def __init__(self, store: Store, today: date, zone: ZoneInfo, currency: str, master: str | None = None) -> None:
        self.store, self.today, self.zone, self.currency, self.master = store, today, zone, currency, master
        rows = store.query("SELECT uid, name, parent_uid, merged_into, is_test, first_contract_date FROM account")
        self._survivor = {r["uid"]: r["merged_into"] for r in rows if r["merged_into"]}
        self._test = {r["uid"] for r in rows if r["is_test"] and not r["merged_into"]}
        parent = {r["uid"]: self.survivor(r["parent_uid"]) for r in rows if r["parent_uid"]}
        self.rings: dict[str, str] = {}
        self.accounts = {
            r["uid"]: Account(
                r["uid"], r["name"] or r["uid"], self._root(r["uid"], parent), _day(r["first_contract_date"])
            )
            for r in rows
            if not r["merged_into"] and not r["is_test"]
        }

    def survivor(self, uid: str) -> str:
        """Return who an account is now, after merges."""
        for _ in range(len(self._survivor)):
            if uid not in self._survivor:
                break
            uid = self._survivor[uid]
        return uid

    def account(self, uid: str | None) -> Account | None:
        """Return the account that a row belongs to now; None for test accounts and rows of nobody."""
        return self.accounts.get(self.survivor(uid)) if uid else None

    def is_test(self, uid: str | None) -> bool:
        """Whether a row belongs to a test account."""
        return uid is not None and self.survivor(uid) in self._test

    def _root(self, uid: str, parent: Mapping[str, str]) -> str:
        chain = [uid]
        while (above := parent.get(chain[-1])) and above != chain[-1]:
            if above in chain:
                self.rings[uid] = " -> ".join([*chain, above])
                return uid
            chain.append(above)
        return chain[-1]

    def holdings(self) -> Iterator[Holding]:
        """Yield every account that has a contract or a line, merged accounts last."""
        elsewhere = self._elsewhere()
        extra: dict[str, tuple[list[sqlite3.Row], list[sqlite3.Row]]] = {}
        for row in self._select(_CONTRACTS, _MERGED.format(column="account_uid")):
            extra.setdefault(self.survivor(row["account_uid"]), ([], []))[0].append(row)
        for row in self._select(_LINES, _MERGED.format(column="l.account_uid")):
            extra.setdefault(self.survivor(row["account_uid"]), ([], []))[1].append(row)
        for uid, contracts, lines in _joined(self._select(_CONTRACTS), self._select(_LINES)):
            if uid in self._survivor:
                continue
            more = extra.pop(uid, ((), ()))
            if uid in self.accounts:
                yield self._holding(self.accounts[uid], [*contracts, *more[0]], [*lines, *more[1]], elsewhere)
        for uid, (contracts, lines) in extra.items():
            if uid in self.accounts:
                yield self._holding(self.accounts[uid], contracts, lines, elsewhere)

    def _select(self, sql: str, only: str = "") -> Iterator[sqlite3.Row]:
        yield from self.store.reader().execute(sql.format(only=only), {"currency": self.currency})

    def _elsewhere(self) -> dict[Key, Term]:
        found: dict[Key, Term] = {}
        for _, rows in groupby(self._select(_CONTRACTS, _ELSEWHERE), lambda row: row["account_uid"]):
            found.update(terms(self._counted(rows), self.today, apart=self.master is not None))
        return found

    def _counted(self, rows: Iterable[sqlite3.Row]) -> tuple[Contract, ...]:
        listed = list(rows)
        if self.master is not None and any(row["connection"] == self.master for row in listed):
            listed = [row for row in listed if row["connection"] == self.master]
        return tuple(map(self._contract, listed))

    def _holding(
        self, account: Account, contracts: list[sqlite3.Row], lines: list[sqlite3.Row], elsewhere: Mapping[Key, Term]
    ) -> Holding:
        own = self._counted(contracts)
        keys = {c.key for c in own if c.status != "draft"}
        named = {(row["connection"], row["contract_source_id"]) for row in lines if row["known"]} - keys
        others = {key: elsewhere[key] for key in named if key in elsewhere}
        silent = frozenset(named - others.keys())
        return Holding(account, own, tuple(map(self._line, lines)), others, silent, self.master is not None)

    def _contract(self, row: sqlite3.Row) -> Contract:
        stopped = row["status"] == "terminated" and row["changed_at"]
        return Contract(
            (row["connection"], row["source_id"]),
            _day(row["start_date"]),
            _day(row["end_date"]),
            row["term_months"],
            bool(row["auto_renew"]),
            row["status"],
            _day(row["notice_received_on"]),
            row["renewed_by_source_id"],
            local_date(parse_instant(row["changed_at"]), self.zone) if stopped else None,
        )

    def _line(self, row: sqlite3.Row) -> Line:
        contract = row["contract_source_id"]
        return Line(
            (row["connection"], row["source_id"]),
            None if row["price"] is None else int(row["price"]),
            row["currency"],
            (row["connection"], contract) if contract else None,
            row["months"],
            _day(row["start_date"]),
            _day(row["end_date"]),
            bool(row["recurring"]),
            row["product_code"],
            row["quantity"],
            local_date(parse_instant(row["created_at"]), self.zone)
            if row["created_at"] and row["start_date"]
            else None,
        )

    def answers(self, kind: str, first: date, last: date) -> Iterator[Answer]:
        """Yield the answers to one kind of question from `first` to `last`, oldest first."""
        for row in self.store.reader().execute(_ANSWERS, (kind, self._begin(first), self._begin(last, 1))):
            if self.is_test(row["account_uid"]):
                continue
            account = self.account(row["account_uid"])
            contact = (row["connection"], row["contact_source_id"]) if row["contact_source_id"] else None
            yield Answer(account.uid if account else "", row["score"], row["responded_at"], row["scale_max"], contact)

    def first_values(self, metric: str) -> tuple[date | None, dict[str, date]]:
        """Return the first day on which a usage metric was measured at all, and account -> first day above 0."""
        begin = self.store.query(
            "SELECT min(period_start) AS day FROM usage_metric WHERE metric = ? AND deleted_at IS NULL", (metric,)
        )[0]["day"]
        found: dict[str, date] = {}
        for row in self.store.reader().execute(_FIRST_VALUE, (metric,)):
            uid, day = self.survivor(row["account_uid"]), _day(row["day"])
            if day is not None:
                found[uid] = min(day, found.get(uid, day))
        return _day(begin), found

    def bands(self, as_of: datetime) -> dict[str, str]:
        """Return account -> health band as of an instant, without those that have none."""
        moment = as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = self.store.reader().execute(_BANDS, {"moment": moment})
        return {row["account_uid"]: row["value"].strip('"') for row in rows if row["value"] not in (None, "null")}

    def paid(self, until: date) -> Iterator[tuple[str, int, str, date]]:
        """Yield (account, minor units, currency, day) of every invoice paid by the end of a day."""
        for row in self.store.reader().execute(_PAID, (self._begin(until, 1),)):
            if account := self.account(row["account_uid"]):
                day = local_date(parse_instant(row["paid_at"]), self.zone)
                yield account.uid, row["amount"], row["currency"] or self.currency, day

    def _begin(self, day: date, plus: int = 0) -> str:
        return start_of_day(day + timedelta(days=plus), self.zone).strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(text: Any) -> date | None:
    if not text:
        return None
    day = date.fromisoformat(text)
    return day if EARLIEST <= day <= LATEST else None


def _joined(
    contracts: Iterable[sqlite3.Row], lines: Iterable[sqlite3.Row]
) -> Iterator[tuple[str, list[sqlite3.Row], list[sqlite3.Row]]]:
    """Join two runs of rows, each in order of account_uid, account by account."""
    left = ((uid, list(rows)) for uid, rows in groupby(contracts, lambda row: str(row["account_uid"])))
    right = ((uid, list(rows)) for uid, rows in groupby(lines, lambda row: str(row["account_uid"])))
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        uid = min(pair[0] for pair in (one, other) if pair is not None)
        found: tuple[list[sqlite3.Row], list[sqlite3.Row]] = ([], [])
        if one is not None and one[0] == uid:
            found[0].extend(one[1])
            one = next(left, None)
        if other is not None and other[0] == uid:
            found[1].extend(other[1])
            other = next(right, None)
        yield uid, *found
