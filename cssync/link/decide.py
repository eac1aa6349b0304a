"""What a person decides about links: which record belongs to which account. Decisions outlive every computed link."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from cssync.errors import ConfigError
from cssync.link.engine import CONFIDENCE, new_uid
from cssync.store import Fence, Store


def record_of(store: Store, text: str) -> tuple[str, str]:
    """Return (connection, source_id) of the company record `connection:id`.

    Raises:
        ConfigError: there is no such record.
    """
    connection, _, source_id = text.partition(":")
    found = store.query("SELECT 1 FROM account_source WHERE connection = ? AND source_id = ?", (connection, source_id))
    if not found:
        raise ConfigError(
            f"there is no company record {text!r} in the store",
            fix="write CONNECTION:ID as `cssync link list` shows it",
        )
    return connection, source_id


def accept(store: Store, record: tuple[str, str], account_uid: str, now: str, fence: Fence | None = None) -> bool:
    """Tie a record to an account by hand; False when it already was. `now` is an ISO instant (UTC).

    The caller runs `link` afterwards: what belongs to the record moves with it.
    """
    with store.transaction(fence) as conn:
        held = conn.execute(
            "SELECT 1 FROM account_link WHERE connection = ? AND source_id = ? AND account_uid = ? "
            "AND status = 'active' AND method = 'manual' AND valid_to IS NULL",
            (*record, account_uid),
        ).fetchone()
        if held:
            return False
        conn.execute(
            "UPDATE account_link SET status = 'suggested', valid_to = ? WHERE connection = ? AND source_id = ? "
            "AND status = 'active' AND account_uid <> ?",
            (now, *record, account_uid),
        )
        _put(conn, [(record, account_uid)], "manual", "active", now)
    return True


def reject(store: Store, record: tuple[str, str], account_uid: str, now: str, fence: Fence | None = None) -> bool:
    """Say that a record does not belong to an account; False when that was said before.

    The account keeps the uid that was made from its first record. When that very record is to leave, the account's
    other records are parted from it instead. The caller runs `link` afterwards.

    Raises:
        ConfigError: it is the account's only record.
    """
    with store.transaction(fence) as conn:
        rows = conn.execute(
            "SELECT connection, source_id, status FROM account_link WHERE account_uid = ? AND valid_to IS NULL",
            (account_uid,),
        ).fetchall()
        status = {(row["connection"], row["source_id"]): row["status"] for row in rows}
        if status.get(record) == "rejected":
            return False
        others = [key for key, state in status.items() if state == "active" and key != record]
        if status.get(record) == "active" and not others:
            raise ConfigError(f"{':'.join(record)} is the only record of account {account_uid}", kept="nothing changed")
        leaving = others if new_uid(record) == account_uid else [record]
        _put(conn, [(key, account_uid) for key in leaving], "manual", "rejected", now)
    return True


def _put(
    conn: sqlite3.Connection, pairs: Iterable[tuple[tuple[str, str], str]], method: str, status: str, now: str
) -> None:
    conn.executemany(
        """INSERT INTO account_link (
           connection, source_id, account_uid, method, confidence, status, evidence, valid_from, valid_to)
           VALUES (?, ?, ?, ?, ?, ?, 'decided by a person', ?, NULL)
           ON CONFLICT (connection, source_id, account_uid) DO UPDATE SET method = excluded.method,
           confidence = excluded.confidence, status = excluded.status, evidence = excluded.evidence,
           valid_from = excluded.valid_from, valid_to = NULL""",
        [(*key, uid, method, CONFIDENCE[method], status, now) for key, uid in pairs],
    )
