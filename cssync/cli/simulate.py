"""cssync rules simulate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.rules.simulate import Simulated


@click.command(
    epilog=example(
        "cssync rules simulate acme.example urgent_open=2", "cssync rules simulate crm:4711 csat=2.5 nps=missing --json"
    )
)
@click.argument("account", help="Account by uid, CONNECTION:ID, domain or name.")
@click.argument("given", nargs=-1, required=True, metavar="NAME=VALUE...", help="Facts as they might be.")
@shared
def simulate(call: Call, account: str, given: tuple[str, ...]) -> int:
    """Show what the rules would say of an account if some of its facts were otherwise.

    NAME is a feature, a built-in fact or a column of account, VALUE a number, percent (40%), yes or no, a day, a text
    or `missing`; money is in minor units. Everything else stays as it is now. A band goes on from where it stood; for
    how long a condition has held plays no part.
    """
    from cssync.cli.when import now
    from cssync.link.find import find_account
    from cssync.rules import load
    from cssync.rules.simulate import given_values
    from cssync.rules.simulate import simulate as judged

    workspace = call.workspace(secrets=False)
    rules = load(workspace)
    values = given_values(rules, given)
    with call.store(workspace) as store:
        uid = find_account(store, account)
        found = judged(store, rules, workspace, uid, now(), values)
    packs = [{"pack": s.pack, "before": s.before, "after": s.after, "changed": s.changed} for s in found]
    call.show({"account": uid, "given": values, "packs": packs}, _told(found))
    return 0


def _told(found: list[Simulated]) -> Iterator[str]:
    if not found:
        yield "no rule pack is about this account"
    for pack in found:
        yield f"{pack.pack}: " + ("" if pack.changed else "nothing changes")
        if pack.changed:
            rows = [(n, _shown(b), _shown(a)) for n, b, a in _pairs(pack) if b != a]
            yield from columns(("", "BEFORE", "AFTER"), rows)


def _pairs(pack: Simulated) -> Iterator[tuple[str, Any, Any]]:
    for name, before in pack.before.items():
        after = pack.after[name]
        if isinstance(before, dict):
            yield from ((f"{name[:-1]} {n}", v, after[n]) for n, v in before.items())
        else:
            yield name, before, after


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
