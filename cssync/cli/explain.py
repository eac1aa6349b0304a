"""cssync explain."""

from __future__ import annotations

import click

from cssync.cli.context import Call, example, shared


@click.command(
    epilog=example(
        "cssync explain acme.example", 'cssync explain "Acme K.K." --as-of 2026-11-01', "cssync explain crm:4711 --json"
    )
)
@click.argument("account", help="Account by uid, CONNECTION:ID, domain or name.")
@click.option("--as-of", "day", metavar="DAY", help="As it was at the end of this day (YYYY-MM-DD) instead of now.")
@shared
def explain(call: Call, account: str, day: str | None) -> int:
    """Say why an account has its score.

    Shows every measure with its weight and the points it costs, its inputs with their origin and age, what was left
    out and why, the value before, signals and tasks, and the vendor records that all of it rests on. With --as-of, what
    was on record that day.
    """
    from cssync.cli.when import as_of
    from cssync.link.find import find_account
    from cssync.rules import explain as explained
    from cssync.rules import load
    from cssync.views.explain import explain_document, explain_lines

    workspace = call.workspace(secrets=False)
    rules, moment = load(workspace), as_of(day, workspace)
    with call.store(workspace) as store:
        uid = find_account(store, account)
        present = explained(store, rules, workspace, uid, moment) if day is None else None
        found = explain_document(store, uid, moment, present)
    call.show(found, explain_lines(found, workspace.timezone))
    return 0
