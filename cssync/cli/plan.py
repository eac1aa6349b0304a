"""cssync plan."""

from __future__ import annotations

import click

from cssync.cli.context import Call, example, shared


@click.command(epilog=example("cssync plan", "cssync plan --show p-1f0c22ab", "cssync plan --json"))
@click.option("--show", metavar="PLAN", help="Show a stored plan again instead of making a new one.")
@shared
def plan(call: Call, show: str | None) -> int:
    """Show what would be written, and why. Nothing is sent.

    The plan is stored under its id; `cssync apply PLAN` sends exactly that. It takes the place of an older one that
    was not carried out. Exit code 4 when a brake holds it: then it needs `cssync approve PLAN`.
    """
    from cssync.cli.when import now
    from cssync.cli.work import working
    from cssync.errors import LeaseHeld
    from cssync.rules import load
    from cssync.views.plan import plan_document, plan_lines
    from cssync.writeback.evidence import evidence
    from cssync.writeback.plan import draft_plan, load_plan, make_plan

    workspace = call.workspace(secrets=False)
    if show:
        with call.store(workspace) as store:
            found = load_plan(store, show)
    else:
        rules = load(workspace)
        call.store(workspace).close()
        try:
            with working(call, "plan") as work:
                found = make_plan(work.store, work.workspace, rules, now(), run_id=work.run_id, fence=work.lease)
                work.record.exit_code = 4 if found.status == "held" else 0
                work.record.summary = {"plan": found.id, "totals": found.totals}
        except LeaseHeld as busy:
            call.say(f"{busy.message}; this is a look, the plan is not stored")
            with call.store(workspace) as store:
                found = draft_plan(store, workspace, rules, now())
    if call.json:
        with call.store(workspace) as store:
            call.show(plan_document(found, evidence(store, load(workspace), found)), ())
    else:
        call.show({}, plan_lines(found))
    if show is None and found.id.startswith("p-") and found.changes:
        verb = "approve" if found.status == "held" else "apply"
        call.say(f"send it with `cssync {verb} {found.id}`")
    return 4 if found.status == "held" and show is None else 0
