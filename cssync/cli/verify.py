"""cssync verify."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.sync import StreamReport


@click.command(epilog=example("cssync verify", "cssync verify crm --stream companies --repair"))
@click.argument("connection", required=False, help="Connection of cssync.yaml; all of them by default.")
@click.option("--stream", help="Only this stream of CONNECTION.")
@click.option("--repair", is_flag=True, help="Store what is missing or stale, and bury what is gone.")
@shared
def verify(call: Call, connection: str | None, stream: str | None, repair: bool) -> int:
    """Compare the store with the vendors, record by record.

    Reads every stream from the beginning and counts what the store lacks, holds in an old version, or holds though
    the vendor no longer lists it. Without --repair nothing is stored. Exit code 1 when differences were found and
    left, 3 when a stream could not be read to its end.
    """
    from cssync.cli.choose import chosen, chosen_stream
    from cssync.cli.progress import watched
    from cssync.cli.sync import complain, exit_code
    from cssync.cli.when import now
    from cssync.cli.work import working
    from cssync.errors import ConfigError
    from cssync.link import link
    from cssync.runs.sessions import open_sessions
    from cssync.sync import sync

    if stream and not connection:
        raise ConfigError("--stream needs a connection", fix=f"write `cssync verify CONNECTION --stream {stream}`")
    with working(call, "verify", secrets=True) as work:
        if connection:
            found = chosen(work.workspace, connection)
            stream = chosen_stream(found, stream) if stream else None
        opened = open_sessions(work.workspace, work.store, only=connection, fence=work.lease)
        with opened as sessions, watched(call) as progress:
            reports = sync(
                work.store,
                work.workspace,
                sessions,
                only=connection,
                stream=stream,
                full=True,
                keep=repair,
                run_id=work.run_id,
                fence=work.lease,
                progress=progress,
            )
        if repair:
            link(work.store, work.workspace, now(), fence=work.lease)
        read = exit_code(reports)
        found_any = any(r.new or r.changed or r.tombstoned for r in reports)
        code = read or (1 if found_any and not repair else 0)
        work.record.exit_code = code
        work.record.summary = document(reports, repair=repair)
    call.show(document(reports, repair=repair), lines(reports, repair=repair))
    complain(call, reports)
    return code


def document(reports: list[StreamReport], *, repair: bool) -> dict[str, Any]:
    """Return the result as data."""
    return {
        "repaired": repair,
        "streams": [
            {
                "connection": r.connection,
                "stream": r.stream,
                "outcome": r.outcome,
                "compared": r.read,
                "missing": r.new,
                "stale": r.changed,
                "gone": r.tombstoned,
                "unread": r.failed,
                "error": r.error.message if r.error else None,
            }
            for r in reports
        ],
    }


def lines(reports: list[StreamReport], *, repair: bool) -> Iterator[str]:
    """Yield the result for people."""
    yield from columns(
        ("STREAM", "OUTCOME", "COMPARED", "MISSING", "STALE", "GONE"),
        ((f"{r.connection}.{r.stream}", r.outcome, r.read, r.new, r.changed, r.tombstoned) for r in reports),
    )
    found = sum(r.new + r.changed + r.tombstoned for r in reports)
    unread = sum(r.failed for r in reports)
    beside = f", beside {unread:,} records that could not be read (`cssync quarantine list`)" if unread else ""
    if not found:
        yield f"the store holds what the vendors hold{beside}"
    elif repair:
        yield f"{found:,} differences were repaired{beside}"
    else:
        yield f"{found:,} differences; `cssync verify --repair` repairs them{beside}"
