"""cssync sync."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.link import LinkReport
    from cssync.sync import StreamReport

SHOWN = 5
"""Ambiguous keys listed for people; --json has all."""


@click.command(epilog=example("cssync sync", "cssync sync crm --stream deals", "cssync sync desk --full"))
@click.argument("connection", required=False, help="Connection of cssync.yaml; all of them by default.")
@click.option("--stream", help="Only this stream of CONNECTION.")
@click.option("--full", is_flag=True, help="Read from the beginning and find what was deleted; checkpoints move on.")
@click.option(
    "--accept-deletions",
    is_flag=True,
    help="With --full and --stream: bury accounts that are gone, however many; else more than 5 % of them are a fault.",
)
@shared
def sync(call: Call, connection: str | None, stream: str | None, full: bool, accept_deletions: bool) -> int:
    """Pull what is new, then link it to accounts.

    Each stream resumes at its checkpoint, which is committed with the rows it stands for: stop it at any time.
    A stream that fails leaves the others alone and its own checkpoint where it was. Exit code 3 when some failed.
    """
    from cssync.cli.choose import chosen, chosen_stream
    from cssync.cli.progress import watched
    from cssync.cli.when import now
    from cssync.cli.work import working
    from cssync.errors import ConfigError
    from cssync.link import link
    from cssync.runs.sessions import open_sessions
    from cssync.sync import sync as pull

    if stream and not connection:
        raise ConfigError("--stream needs a connection", fix=f"write `cssync sync CONNECTION --stream {stream}`")
    if accept_deletions and not (stream and full):
        raise ConfigError(
            "--accept-deletions needs --full and the one stream that it is about",
            fix="write `cssync sync CONNECTION --stream STREAM --full --accept-deletions`",
        )
    with working(call, "sync", secrets=True) as work:
        if connection:
            found = chosen(work.workspace, connection)
            stream = chosen_stream(found, stream) if stream else None
        opened = open_sessions(work.workspace, work.store, only=connection, fence=work.lease)
        with opened as sessions, watched(call) as progress:
            reports = pull(
                work.store,
                work.workspace,
                sessions,
                only=connection,
                stream=stream,
                full=full,
                accept_deletions=accept_deletions,
                run_id=work.run_id,
                fence=work.lease,
                progress=progress,
            )
        linked = link(work.store, work.workspace, now(), fence=work.lease)
        work.record.exit_code = exit_code(reports)
        work.record.summary = document(reports, linked)
    call.show(document(reports, linked), lines(reports, linked))
    complain(call, reports)
    return exit_code(reports)


def exit_code(reports: list[StreamReport]) -> int:
    """0 when every stream was read to its end; 3 when some were not; when none was, 2 if only the configuration or
    credentials are to blame, else 1."""
    from cssync.errors import ConfigError
    from cssync.runs.run import GOOD

    if reports and all(r.outcome == "failed" for r in reports):
        return 2 if all(isinstance(r.error, ConfigError) for r in reports) else 1
    return 0 if all(r.outcome in GOOD for r in reports) else 3


def document(reports: list[StreamReport], linked: LinkReport) -> dict[str, Any]:
    """Return the result as data."""
    streams = [
        {
            **{k: v for k, v in asdict(replace(r, error=None, drift=())).items() if not k.startswith("waiting_")},
            "error": r.error.message if r.error else None,
            "resumes_at": getattr(r.error, "resumes_at", None),
            "drift": [d.as_dict() for d in r.drift],
        }
        for r in reports
    ]
    return {"streams": streams, "link": asdict(linked)}


def lines(reports: list[StreamReport], linked: LinkReport) -> Iterator[str]:
    """Yield the result for people."""
    from cssync.sync.drift import told

    counts = ("read", "new", "changed", "same", "echo", "tombstoned", "incomplete", "quarantined", "requests")
    yield from columns(
        ("STREAM", "OUTCOME", *(c.upper() for c in counts)),
        ((f"{r.connection}.{r.stream}", r.outcome, *(getattr(r, c) for c in counts)) for r in reports),
    )
    yield from told(d for r in reports for d in r.drift)
    if held := sum(r.quarantined for r in reports):
        yield f"records that could not be read: {held:,}; `cssync quarantine list` says which and why"
    methods = ", ".join(f"{count:,} by {method}" for method, count in sorted(linked.by_method.items()))
    yield f"accounts: {linked.accounts:,}" + (f" (records linked: {methods})" if methods else "")
    if linked.suggested:
        yield f"suggested links: {linked.suggested:,}; `cssync link suggest` shows them"
    if linked.ambiguous:
        yield f"keys that several records of one connection share, so they link nothing: {len(linked.ambiguous):,}"
    for key in linked.ambiguous[:SHOWN]:
        yield f"  {key.method} {key.evidence}: {', '.join(':'.join(record) for record in key.records)}"
    if linked.unassigned:
        yield "without account: " + ", ".join(f"{n:,} {entity}" for entity, n in sorted(linked.unassigned.items()))


def complain(call: Call, reports: list[StreamReport]) -> None:
    """Say on stderr why streams and mappings stopped, once for each reason."""
    told: set[str] = set()
    for report in reports:
        for drift in report.drift:
            if drift.stops:
                call.say(drift.message)
                call.say(f"  fix: {drift.fix}")
        if report.error is None or report.error.message in told:
            continue
        told.add(report.error.message)
        call.say(f"{report.connection}.{report.stream}: {report.error.message}")
        resumes = getattr(report.error, "resumes_at", None)
        for label, text in (("kept", report.error.kept), ("resumes", resumes), ("fix", report.error.fix)):
            if text:
                call.say(f"  {label}: {text}")
