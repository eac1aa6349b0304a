"""Opportunities: renewals and upsells as deals in the sales pipeline, where the admin asked for them.

An opportunity is made once for each renewal event, or for each time that an account shows room to grow, and only where
there is no open one yet: of that type in the account, or about that renewal where the account has several. While it
stands as cssync made it, its amount and closing date follow the rules. From the moment a person moves it to another
stage, closes it or edits it, it is theirs: never touched, never made again. cssync closes none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from cssync.config.workspace import OPPORTUNITIES, Workspace, Writeback
from cssync.rules.events import EVENT, number_of
from cssync.rules.interpreter import event_of_deal
from cssync.store import Store
from cssync.writeback.changes import load

RENEWAL_TASK = ("renewal", "R03")
"""Task that an opportunity goes with (domain, R03: at T-90)."""
UPSELL_PACK = "upsell"
AMOUNT = {"renewal": ("renewal.arr_at_stake", "renewal.arr"), "upsell": ("upsell.arr_potential",)}
"""Type -> results that say the amount; the first that is known counts."""
CLOSES_ON = "renewal.date"
UPSELL_DAYS = 90
"""Days from the first sign to the planned closing of an upsell: a quarter, to be corrected by whoever sells it."""
SAME_TYPE = {"renewal": ("renewal",), "upsell": ("upsell", "cross_sell")}
PREFIX = "deal-"
"""Keys of opportunities begin so."""
TEXTS = {
    "en": {"renewal": "Renewal: {account}", "upsell": "Upsell: {account}",
           "body": "{why}\n\nMade by cssync on data of {day}. It is updated until somebody moves, edits or closes it."},
    "ja": {"renewal": "更新: {account}", "upsell": "アップセル: {account}",
           "body": "{why}\n\n{day}時点のデータからcssyncが作成しました。"
           "担当者が移動・編集・完了するまでは自動で更新されます。"},
}  # fmt: skip

_SIGNALS = """
SELECT s.account_uid, s.since, s.until, s.because, coalesce(a.name, a.uid) AS account, a.owner_uid
FROM signal s JOIN account a ON a.uid = s.account_uid
WHERE s.pack = ? AND a.deleted_at IS NULL AND a.is_test IS NOT 1 ORDER BY s.account_uid, s.since, s.name
"""


def taking_opportunities(workspace: Workspace, kind: str) -> Iterator[Writeback]:
    """Yield what is written back over connections that shall get opportunities of a type, in the configuration's
    order."""
    for name, connection in workspace.connections.items():
        back = workspace.writeback.get(name)
        if back is not None and kind in back.opportunities and connection.connector.opportunities:
            yield back


def opportunity_rows(store: Store, workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Yield the opportunities that the rules ask for, as rows of `task` with `kind`, `amount` and `currency`.

    Those of accounts that already have an open one of the type, made by a person, carry `taken`. Reads the store only.
    """
    wanted = [kind for kind in OPPORTUNITIES if next(taking_opportunities(workspace, kind), None)]
    if not wanted:
        return
    texts = TEXTS["ja" if workspace.locale.startswith("ja") else "en"]
    for kind in wanted:
        amounts, currencies = _results(store, AMOUNT[kind]), _currencies(store)
        taken = _open_in_crm(store, SAME_TYPE[kind])
        several = _events(store) if kind == "renewal" else {}
        for row in _renewals(store) if kind == "renewal" else _upsells(store):
            uid = row["account_uid"]
            amount, is_taken = amounts.get(uid), uid in taken
            event = several.get(uid, {}).get(number_of(row.get("subject_uid") or "") or 0)
            if event is not None:
                is_taken = event["taken"]
                row["due_on"] = event["results"].get(CLOSES_ON) or row["due_on"]
                amount = next((a for n in AMOUNT[kind] if (a := event["results"].get(n)) is not None), None)
            yield {
                **row,
                "title": texts[kind].format(account=row["account"]),
                "body": texts["body"].format(why=row["body"] or "", day=row["created_at"][:10]).strip(),
                "priority": "normal",
                "closing_note": None,
                "kind": kind,
                "amount": None if amount is None else f"{amount:.2f}",
                "currency": currencies.get(uid),
                "taken": is_taken,
            }


def _renewals(store: Store) -> Iterator[dict[str, Any]]:
    days = _values(store, CLOSES_ON)
    for row in store.query(
        "SELECT t.*, coalesce(a.name, a.uid) AS account, a.owner_uid AS seller FROM task t "
        "JOIN account a ON a.uid = t.account_uid WHERE t.pack = ? AND t.rule = ? AND t.status = 'open' "
        "AND a.deleted_at IS NULL AND a.is_test IS NOT 1 ORDER BY t.due_on, account, t.key",
        RENEWAL_TASK,
    ):
        closes = days.get(row["account_uid"]) or row["due_on"]
        yield {
            **dict(row),
            "key": PREFIX + row["key"],
            "due_on": closes,
            "owner_uid": row["seller"] or row["owner_uid"],
        }


def _events(store: Store) -> dict[str, dict[int, dict[str, Any]]]:
    """Account -> number -> what is known of each renewal event of accounts that have several: `results`, and whether an
    open opportunity is about it already, `taken`."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in store.query(
        "SELECT account_uid, value FROM result WHERE name = ? "
        "AND account_uid IN (SELECT account_uid FROM event_result)",
        (f"{RENEWAL_TASK[0]}.{EVENT}",),
    ):
        found[row["account_uid"]] = {int(load(row["value"]) or 1): {"results": {}, "taken": False}}
    for name in (CLOSES_ON, *AMOUNT["renewal"]):
        for uid, value in _values(store, name).items():
            for event in found.get(uid, {}).values():
                event["results"][name] = value
    for row in store.query(
        "SELECT account_uid, number, name, value FROM event_result ORDER BY account_uid, number, name"
    ):
        event = found.setdefault(row["account_uid"], {}).setdefault(row["number"], {"results": {}, "taken": False})
        event["results"][row["name"]] = load(row["value"])
    for uid, deals in groupby(store.query(_OPEN_DEALS), key=lambda row: row["account_uid"]):
        events = [
            {"number": row["number"], "renewal_contracts": row["contracts"],
             "renews_on": date.fromisoformat(row["term_end"]) + timedelta(days=1)}
            for row in store.query(
                "SELECT number, contracts, term_end FROM renewal_event WHERE account_uid = ? AND until IS NULL "
                "ORDER BY term_end", (uid,))
            if row["number"] in found.get(uid, {})
        ]  # fmt: skip
        for deal in deals if events else ():
            found[uid][events[event_of_deal(dict(deal), events) - 1]["number"]]["taken"] = True
    return found


_OPEN_DEALS = """
SELECT account_uid, connection, contract_source_id, close_date FROM opportunity WHERE deleted_at IS NULL
AND is_closed IS NOT 1 AND type = 'renewal' AND account_uid IN (SELECT account_uid FROM event_result)
ORDER BY account_uid
"""


def _upsells(store: Store) -> Iterator[dict[str, Any]]:
    """One for each stretch of time in which at least one signal of the pack held, of those that go on."""
    current: dict[str, Any] = {}
    for row in (*store.query(_SIGNALS, (UPSELL_PACK,)), None):
        if row is None or row["account_uid"] != current.get("account_uid"):
            if current and current["until"] is None:
                yield _upsell(current)
            current = {**dict(row), "why": []} if row is not None else {}
        elif current["until"] is not None and row["since"] > current["until"]:
            current = {**dict(row), "why": []}  # a stretch without any signal lies between
        elif current["until"] is not None and (row["until"] is None or row["until"] > current["until"]):
            current["until"] = row["until"]
        if row is not None and row["until"] is None and row["because"]:
            current["why"].append(row["because"])


def _upsell(stretch: Mapping[str, Any]) -> dict[str, Any]:
    text = f"{UPSELL_PACK}\x1f{stretch['account_uid']}\x1f{stretch['since']}"
    return {
        "key": PREFIX + hashlib.blake2b(text.encode(), digest_size=12).hexdigest(),
        "account_uid": stretch["account_uid"],
        "account": stretch["account"],
        "pack": UPSELL_PACK,
        "rule": "signals",
        "body": "\n".join(stretch["why"]),
        "due_on": (date.fromisoformat(stretch["since"][:10]) + timedelta(days=UPSELL_DAYS)).isoformat(),
        "owner_uid": stretch["owner_uid"],
        "status": "open",
        "created_at": stretch["since"],
    }


def _open_in_crm(store: Store, types: tuple[str, ...]) -> set[str]:
    """Accounts with an open opportunity of one of the types."""
    marks = ",".join("?" * len(types))
    rows = store.query(
        f"SELECT DISTINCT account_uid FROM opportunity WHERE deleted_at IS NULL AND is_closed IS NOT 1 "
        f"AND account_uid IS NOT NULL AND type IN ({marks})",
        types,
    )
    return {row["account_uid"] for row in rows}


def _currencies(store: Store) -> dict[str, str]:
    """Account -> the one currency of its contract lines, where it is one."""
    rows = store.query(
        "SELECT account_uid, max(currency) AS currency FROM contract_line WHERE deleted_at IS NULL "
        "AND account_uid IS NOT NULL AND currency IS NOT NULL GROUP BY account_uid HAVING count(DISTINCT currency) = 1"
    )
    return {row["account_uid"]: row["currency"] for row in rows}


def _results(store: Store, names: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in reversed(names):
        found.update({uid: value for uid, value in _values(store, name).items() if isinstance(value, (int, float))})
    return found


def _values(store: Store, name: str) -> dict[str, Any]:
    rows = store.query("SELECT account_uid, value FROM result WHERE name = ? AND state = 'ok'", (name,))
    return {row["account_uid"]: value for row in rows if (value := load(row["value"])) is not None}
