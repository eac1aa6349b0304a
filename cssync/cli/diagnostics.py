"""cssync diagnostics."""

from __future__ import annotations

import click

from cssync.cli.context import Call, example, shared


@click.command(epilog=example("cssync diagnostics", "cssync diagnostics > report.json"))
@shared
def diagnostics(call: Call) -> int:
    """Print a report for support, without secrets or customers.

    Versions, plugins, the outline of the configuration, and how streams, runs and writes are doing, as JSON. It holds
    no secret, no name, value or id of a customer's record; quoted parts of errors are masked. Read it before you send
    it. It calls no vendor.
    """
    import json
    from contextlib import nullcontext

    from cssync.plugins import plugins
    from cssync.views.diagnostics import diagnostics as report

    workspace = call.workspace(secrets=False)
    with call.store(workspace) if workspace.store.exists() else nullcontext() as store:
        click.echo(json.dumps({"version": 1, **report(workspace, store, plugins())}, indent=2, default=str))
    return 0
