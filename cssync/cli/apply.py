"""cssync apply and approve."""

from __future__ import annotations

from collections.abc import Callable

import click

from cssync.cli.context import Call, example, shared


@click.command(epilog=example("cssync apply p-1f0c22ab"))
@click.argument("plan", help="Id of the plan, as `cssync plan` shows it.")
@shared
def apply(call: Call, plan: str) -> int:
    """Send a plan, exactly as shown.

    Each record is read again right before it is written; what has changed since the plan was made is left alone and
    listed. Interrupted, apply it again: what may have arrived is looked up first and nothing is sent twice.
    Exit code 3 when some changes did not go through, 4 when a brake holds the plan.
    """
    return _carry_out(call, plan, "apply", approve=False)


@click.command(epilog=example("cssync approve p-1f0c22ab"))
@click.argument("plan", help="Id of the held plan, as `cssync plan` or `cssync run` shows it.")
@shared
def approve(call: Call, plan: str) -> int:
    """Release a plan that a brake holds, and send it.

    Read it first: `cssync plan --show PLAN`. Exactly that plan is sent; what has changed in the CRM since is left
    alone and listed. Exit code 3 when some changes did not go through.
    """
    return _carry_out(call, plan, "approve", approve=True)


def _carry_out(call: Call, plan: str, command: str, *, approve: bool) -> int:
    from cssync.cli.work import working
    from cssync.runs.sessions import open_sessions
    from cssync.views.plan import apply_lines
    from cssync.writeback.apply import apply_plan
    from cssync.writeback.plan import approve_plan, load_plan

    release: Callable[..., object] = approve_plan if approve else load_plan
    call.store(call.workspace(secrets=False)).close()
    with working(call, command, secrets=True) as work:
        release(work.store, plan, **({"fence": work.lease} if approve else {}))
        with open_sessions(work.workspace, work.store, fence=work.lease) as sessions, call.progress() as tell:
            report = apply_plan(
                work.store, work.workspace, plan, sessions, run_id=work.run_id, fence=work.lease, progress=tell
            )
        work.record.exit_code, work.record.summary = report.exit_code, report.as_dict()
    call.show(report.as_dict(), apply_lines(report))
    return report.exit_code
