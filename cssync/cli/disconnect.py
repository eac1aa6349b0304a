"""cssync disconnect."""

from __future__ import annotations

from dataclasses import asdict

import click

from cssync.cli.context import Call, example, shared


@click.command(epilog=example("cssync disconnect crm", "cssync disconnect crm --yes"))
@click.argument("connection", help="Connection of cssync.yaml.")
@click.option("--yes", is_flag=True, help="Forget the connection's checkpoints and binding in the store.")
@shared
def disconnect(call: Call, connection: str, yes: bool) -> int:
    """Say how a connection is removed, step by step.

    Nothing is ever deleted in the CRM: fields, values and tasks are yours. With --yes this store forgets where the
    connection stood and which organisation it was; what was pulled and written stays on record. A later run of a
    connection that is still in cssync.yaml starts from the beginning.
    """
    from cssync.cli.choose import chosen
    from cssync.cli.work import working
    from cssync.runs.disconnect import steps, wipe

    workspace = call.workspace(secrets=False)
    found = chosen(workspace, connection)
    gone: dict[str, int] | None = None
    with call.store(workspace) as store:
        listed = list(steps(store, workspace, found))
    if yes:
        with working(call, "disconnect") as work:
            gone = wipe(work.store, found.name, fence=work.lease)
            work.record.summary = {"connection": found.name, "gone": gone}
    told = [f"{number}. {step.where}: {step.text}" for number, step in enumerate(listed, 1)]
    if gone is not None:
        told[-1] = f"{len(listed)}. store: forgotten: " + ", ".join(f"{count} {what}" for what, count in gone.items())
    call.show({"connection": found.name, "steps": [asdict(step) for step in listed], "forgotten": gone}, told)
    return 0
