"""cssync check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, example, shared

if TYPE_CHECKING:
    from cssync.cli.findings import Checked

MARK = {"ok": "ok     ", "note": "note   ", "warning": "WARNING", "error": "ERROR  "}


@click.command(epilog=example("cssync check", "cssync check --json"))
@click.argument("connection", required=False, help="Only this connection; everything by default.")
@shared
def check(call: Call, connection: str | None) -> int:
    """Prove the set-up: credentials, scopes, fields, rules.

    Asks every vendor who it is, whether each scope is granted, and whether each field of cssync.yaml can be read or
    written; opens the store and loads the rules. Changes nothing and takes less than 30 seconds. Exit code 1 when
    something must be put right; each such line says how.
    """
    from dataclasses import asdict, replace

    from cssync.cli.choose import chosen
    from cssync.cli.findings import check_connections, check_fx, check_limits, check_rules, check_store

    workspace = call.workspace()
    store, bound = check_store(workspace)
    if connection:
        workspace = replace(workspace, connections={connection: chosen(workspace, connection)})
        parts = list(check_connections(workspace, bound))
    else:
        parts = [*check_connections(workspace, bound), store, check_rules(workspace)]
        parts += [*check_fx(workspace), check_limits(workspace)]
    failed = any(part.failed for part in parts)
    document = [
        {
            "part": part.part,
            "ok": not part.failed,
            "organisation": asdict(part.identity) if part.identity else None,
            "findings": [asdict(finding) for finding in part.findings],
        }
        for part in parts
    ]
    call.show({"workspace": workspace.name, "ok": not failed, "parts": document}, lines(parts))
    return 1 if failed else 0


def lines(parts: Iterable[Checked]) -> Iterator[str]:
    """Yield the findings for people, by part."""
    errors = 0
    for part in parts:
        yield part.part
        for finding in part.findings:
            errors += finding.level == "error"
            yield f"  {MARK.get(finding.level, finding.level)} {finding.subject}: {finding.message}"
            if finding.fix and finding.level in ("warning", "error"):
                yield f"          fix: {finding.fix}"
    yield "ready" if not errors else f"{errors} to put right"
