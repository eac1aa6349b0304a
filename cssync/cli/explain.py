"""cssync explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, example, shared

if TYPE_CHECKING:
    from cssync.rules import Explanation


@click.command(
    epilog=example(
        "cssync explain acme.example",
        'cssync explain "Acme K.K." --as-of 2026-11-01',
        "cssync explain crm:4711 --field cs_health_score --json",
    )
)
@click.argument("account", help="Account by uid, CONNECTION:ID, domain or name.")
@click.option("--field", metavar="FIELD", help="Only this result (health.score) or field of the CRM (cs_health_score).")
@click.option("--as-of", "day", metavar="DAY", help="As it was at the end of this day (YYYY-MM-DD) instead of now.")
@shared
def explain(call: Call, account: str, field: str | None, day: str | None) -> int:
    """Say why an account has its score.

    Shows every measure with its weight and the points it costs, its inputs with their origin and age, what was left
    out and why, signals and tasks, and the vendor records that all of it rests on. Beside each value stands the one
    before, and whether it was the data or an edit of the rules that changed it. With --as-of all of it as it was that
    day, by the rules of that day.
    """
    from cssync.cli.when import as_of
    from cssync.link.find import find_account
    from cssync.rules import explain as explained
    from cssync.rules import load
    from cssync.rules.asked import asked
    from cssync.rules.changes import last_changes
    from cssync.rules.explain_past import explain_past
    from cssync.rules.replay import moment_of
    from cssync.sync.cast import stamp
    from cssync.views.explain import explain_document, explain_lines

    workspace = call.workspace(secrets=False)
    rules, at = load(workspace), as_of(day, workspace)
    only = asked(rules, workspace, field) if field else None
    with call.store(workspace) as store:
        uid = find_account(store, account)
        if day is None:
            view: Explanation | None = explained(store, rules, workspace, uid, at)
        else:
            moment = moment_of(store, workspace, at, None, day=len(day) == len("2026-11-20"))
            at = moment.as_of
            view = explain_past(store, rules, workspace, uid, moment)
        changes = last_changes(store, workspace, uid, stamp(at))
        found = explain_document(store, uid, at, view, changes, only)
    call.show(found, explain_lines(found, workspace.timezone))
    return 0
