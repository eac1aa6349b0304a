"""cssync accounts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from cssync.cli.context import Call, columns, example, shared

ACCOUNTS = """
SELECT a.uid, a.name, a.domains, a.status, a.segment, a.touch_tier, u.name AS csm
FROM account a LEFT JOIN "user" u ON u.uid = coalesce(a.csm_uid, a.owner_uid)
WHERE a.deleted_at IS NULL ORDER BY a.name, a.uid
"""
NAME_CELLS = 40
"""Terminal cells of a name; --json has all of it."""
RESULTS = "SELECT account_uid, name, value, state FROM result"
TASKS = "SELECT account_uid, count(*) AS n FROM task WHERE status = 'open' GROUP BY account_uid"


@click.command(epilog=example("cssync accounts --band red", "cssync accounts --limit 20 --json"))
@click.option(
    "--band", type=click.Choice(["green", "yellow", "red", "unknown"]), help="Only accounts in this health band."
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many.")
@shared
def accounts(call: Call, band: str | None, limit: int | None) -> int:
    """List accounts with their health and renewal, lowest score first; those without a score come last.

    --json has every result of every rule pack.
    """
    workspace = call.workspace(secrets=False)
    with call.store(workspace) as store:
        results: dict[str, dict[str, Any]] = {}
        for row in store.query(RESULTS):
            value = json.loads(row["value"]) if row["value"] is not None else None
            results.setdefault(row["account_uid"], {})[row["name"]] = value
        tasks = {row["account_uid"]: row["n"] for row in store.query(TASKS)}
        listed = [
            {
                **dict(row),
                "domains": json.loads(row["domains"] or "[]"),
                "open_tasks": tasks.get(row["uid"], 0),
                "results": results.get(row["uid"], {}),
            }
            for row in store.query(ACCOUNTS)
        ]
    chosen = sorted((a for a in listed if band in (None, _band(a))), key=_order)[:limit]
    call.show({"accounts": chosen, "total": len(listed)}, _lines(chosen, len(listed)))
    return 0


def _band(account: Mapping[str, Any]) -> str:
    return account["results"].get("health.band") or "unknown"


def _order(account: Mapping[str, Any]) -> tuple[bool, float]:
    score = account["results"].get("health.score")
    return score is None, score or 0


def _lines(chosen: Iterable[Mapping[str, Any]], total: int) -> Iterator[str]:
    from cssync.views.terminal import fit

    rows = [
        (
            fit(a["name"] or a["uid"], NAME_CELLS),
            a["uid"],
            _band(a),
            a["results"].get("health.score"),
            a["results"].get("renewal.date"),
            a["open_tasks"],
            a["csm"],
        )
        for a in chosen
    ]
    if rows:
        yield from columns(("ACCOUNT", "UID", "HEALTH", "SCORE", "RENEWAL", "TASKS", "CSM"), rows)
    yield f"{len(rows):,} of {total:,} accounts"
