"""cssync provision."""

from __future__ import annotations

from dataclasses import asdict

import click

from cssync.cli.context import Call, columns, example, shared


@click.command(epilog=example("cssync provision --dry-run", "cssync provision crm"))
@click.argument("connection", required=False, help="Connection of cssync.yaml; every one with `writeback:` by default.")
@click.option("--dry-run", is_flag=True, help="Say what would be created, and create nothing.")
@shared
def provision(call: Call, connection: str | None, dry_run: bool) -> int:
    """Create the vendor fields that the write-back fills.

    What exists is left as it is; what differs in type or options, or needs a person, is listed. Nothing is ever
    deleted. Exit code 1 when a field could not be created.
    """
    from cssync.cli.choose import chosen
    from cssync.cli.work import working
    from cssync.rules import load
    from cssync.runs.sessions import open_sessions
    from cssync.writeback.failures import forget, lift
    from cssync.writeback.provision import provision as create

    with working(call, "provision", secrets=True) as work:
        only = chosen(work.workspace, connection).name if connection else None
        rules = load(work.workspace)
        with open_sessions(work.workspace, work.store, only=only, fence=work.lease) as sessions:
            found = create(work.workspace, sessions, rules, dry_run=dry_run, only=only)
        created = [(name, finding.subject.rpartition(".")[2]) for name, finding in found if finding.level == "created"]
        for name in {name for name, _ in created}:
            forget(work.store, name, [field for of, field in created if of == name], fence=work.lease)
            lift(work.store, name, tuple(work.workspace.writeback[name].fields), fence=work.lease)
        code = 1 if any(finding.level == "error" for _, finding in found) else 0
        work.record.exit_code = code
    call.show(
        {"findings": [{"connection": name, **asdict(finding)} for name, finding in found]},
        columns(
            ("CONNECTION", "FIELD", "RESULT", "WHAT"),
            ((n, f.subject, f.level, f.message + (f"; {f.fix}" if f.fix else "")) for n, f in found),
        )
        if found
        else ("nothing is written back: there is no `writeback:` in cssync.yaml",),
    )
    return code
