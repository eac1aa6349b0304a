"""cssync undo."""

from __future__ import annotations

import click

from cssync.cli.context import Call, example, shared


@click.command(epilog=example("cssync undo r-20261120T203005.120774Z-9f3a", "cssync undo p-1f0c22ab"))
@click.argument("run", help="Id of the run, as `cssync status` shows it, or of the plan it sent.")
@shared
def undo(call: Call, run: str) -> int:
    """Plan the values back that a run replaced.

    Only what is still as that run left it comes back; what a person or a later run has changed since is listed and
    left alone. Tasks that the run created and nobody has touched are closed. Nothing is sent: the plan waits for
    `cssync apply PLAN`, and brakes hold it as any other (exit code 4).
    """
    from cssync.cli.when import now
    from cssync.cli.work import working
    from cssync.rules import load
    from cssync.views.plan import plan_document, plan_lines
    from cssync.writeback.plan import make_undo

    call.store(call.workspace(secrets=False)).close()
    with working(call, "undo") as work:
        rules = load(work.workspace)
        found = make_undo(work.store, work.workspace, rules, now(), run, run_id=work.run_id, fence=work.lease)
        work.record.exit_code = 4 if found.status == "held" else 0
        work.record.summary = {"undo": run, "plan": found.id, "totals": found.totals}
    call.show(plan_document(found), plan_lines(found))
    if found.changes:
        call.say(f"send it with `cssync {'approve' if found.status == 'held' else 'apply'} {found.id}`")
    return 4 if found.status == "held" else 0
