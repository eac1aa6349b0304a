"""cssync link list | suggest | accept | reject."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cssync.cli.context import Call, Group, columns, example, shared

if TYPE_CHECKING:
    from cssync.store import Fence, Store

LINKS = """
SELECT l.account_uid AS account, a.name AS account_name, l.connection, l.source_id, s.name, s.source_url, l.method,
       l.confidence, l.evidence, l.valid_from
FROM account_link l
LEFT JOIN account a ON a.uid = l.account_uid
LEFT JOIN account_source s ON s.connection = l.connection AND s.source_id = l.source_id
WHERE l.status = ? AND l.valid_to IS NULL AND s.deleted_at IS NULL
"""


@click.group(cls=Group)
def link() -> None:
    """See and decide which records are one account.

    Records are linked by keys that both systems hold, by the CRM's own links and by company domains that are unique;
    equal names only suggest. What a person decides here stays decided.
    """


@link.command("list", epilog=example("cssync link list", 'cssync link list "Acme K.K."'))
@click.argument("account", required=False, help="Account by uid, CONNECTION:ID, domain or name; all by default.")
@shared
def list_(call: Call, account: str | None) -> int:
    """List which records belong to which account, and why."""
    from cssync.link.find import find_account

    workspace = call.workspace(secrets=False)
    with call.store(workspace) as store:
        only, values = (" AND l.account_uid = ?", (find_account(store, account),)) if account else ("", ())
        rows = store.query(
            f"{LINKS}{only} ORDER BY a.name, l.account_uid, l.connection, l.source_id", ("active", *values)
        )
    _show(call, [dict(row) for row in rows])
    return 0


@link.command(epilog=example("cssync link suggest"))
@shared
def suggest(call: Call) -> int:
    """List pairs that may be one customer.

    A person accepts or rejects them; nothing is linked before.
    """
    workspace = call.workspace(secrets=False)
    with call.store(workspace) as store:
        rows = store.query(f"{LINKS} ORDER BY a.name, l.connection, l.source_id", ("suggested",))
    _show(call, [dict(row) for row in rows])
    return 0


@link.command(epilog=example("cssync link accept desk:360001 acc-1f2e3d4c5b6a"))
@click.argument("record", help="Company record as CONNECTION:ID.")
@click.argument("account", help="Account that it belongs to: uid, CONNECTION:ID, domain or name.")
@shared
def accept(call: Call, record: str, account: str) -> int:
    """Tie a company record to an account, for good."""
    from cssync.link.decide import accept as decide

    return _decide(call, "link accept", record, account, decide)


@link.command(epilog=example("cssync link reject desk:360001 acc-1f2e3d4c5b6a"))
@click.argument("record", help="Company record as CONNECTION:ID.")
@click.argument("account", help="Account that it does not belong to: uid, CONNECTION:ID, domain or name.")
@shared
def reject(call: Call, record: str, account: str) -> int:
    """Part a company record from an account, for good."""
    from cssync.link.decide import reject as decide

    return _decide(call, "link reject", record, account, decide)


Decision = Callable[["Store", tuple[str, str], str, str, "Fence | None"], bool]


def _decide(call: Call, command: str, record: str, account: str, decide: Decision) -> int:
    from cssync.cli.when import now
    from cssync.cli.work import working
    from cssync.link import link as relink
    from cssync.link.decide import record_of
    from cssync.link.find import find_account
    from cssync.sync.cast import stamp

    with working(call, command) as work:
        key, uid = record_of(work.store, record), find_account(work.store, account)
        changed = decide(work.store, key, uid, stamp(now()), work.lease)
        if changed:
            relink(work.store, work.workspace, now(), fence=work.lease)
        rows = work.store.query(f"{LINKS} AND l.connection = ? AND l.source_id = ?", ("active", *key))
    _show(call, [dict(row) for row in rows], changed=changed)
    return 0


def _show(call: Call, rows: list[dict[str, Any]], **more: object) -> None:
    table = columns(
        ("ACCOUNT", "NAME", "RECORD", "RECORD NAME", "METHOD", "CONFIDENCE", "BECAUSE"),
        (
            (
                r["account"],
                r["account_name"],
                f"{r['connection']}:{r['source_id']}",
                r["name"],
                r["method"],
                f"{r['confidence']:.2f}",
                r["evidence"] or None,
            )
            for r in rows
        ),
    )
    call.show({"links": rows, **more}, table if rows else ["none"])
