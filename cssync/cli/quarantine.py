"""cssync quarantine list | retry | drop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cssync.cli.context import Call, Group, columns, example, shared

if TYPE_CHECKING:
    from cssync.sync.quarantine import Choice

Function = TypeVar("Function", bound=Callable[..., Any])


@click.group(cls=Group)
def quarantine() -> None:
    """See, retry or drop records that could not be stored.

    A record that cannot be normalised waits here with its reason; its stored version, if any, is unchanged, and the
    rest of its stream goes on. One that comes through later leaves by itself.
    """


def _choice(function: Function) -> Function:
    connection = click.argument("connection", required=False, help="Only records of this connection.")
    stream = click.option("--stream", help="Only records of this stream.")
    record = click.option("--id", "source_id", help="Only the record with this vendor id.")
    return connection(stream(record(function)))


def _chosen(connection: str | None, stream: str | None, source_id: str | None) -> Choice:
    from cssync.sync.quarantine import Choice

    return Choice(connection, stream, source_id)


@quarantine.command(
    "list", epilog=example("cssync quarantine list", "cssync quarantine list crm --stream deals --json")
)
@_choice
@shared
def list_(call: Call, connection: str | None, stream: str | None, source_id: str | None) -> int:
    """List the records: which field failed, and why.

    --json has each record as it was read.
    """
    from cssync.sync.quarantine import held, link_of

    workspace = call.workspace(secrets=False)
    with call.store(workspace) as store:
        rows = [{**row, "url": link_of(workspace, row)} for row in held(store, _chosen(connection, stream, source_id))]
    table = columns(
        ("RECORD", "FIELD", "REASON", "LAST SEEN", "AT THE VENDOR"),
        (
            (f"{r['connection']}.{r['stream']}:{r['source_id']}", r["field"], r["reason"], r["last_seen_at"], r["url"])
            for r in rows
        ),
    )
    call.show({"quarantine": rows}, table if rows else ["no record is in quarantine"])
    return 0


@quarantine.command(epilog=example("cssync quarantine retry", "cssync quarantine retry crm --stream deals"))
@_choice
@shared
def retry(call: Call, connection: str | None, stream: str | None, source_id: str | None) -> int:
    """Try the records again under the present mapping.

    They are taken as they were read; no vendor is called. Exit code 3 when some fail again.
    """
    from dataclasses import asdict

    from cssync.cli.when import now
    from cssync.cli.work import working
    from cssync.link import link
    from cssync.sync.quarantine import retry as again

    with working(call, "quarantine retry") as work:
        done = again(work.store, work.workspace, _chosen(connection, stream, source_id), now(), work.lease)
        if done.stored:
            link(work.store, work.workspace, now(), fence=work.lease)
        code = 3 if done.kept else 0
        work.record.exit_code, work.record.summary = code, asdict(done)
    told = [f"{done.stored:,} stored, {done.kept:,} stay in quarantine"]
    if done.kept:
        told.append(
            "correct their values at the vendor, and the next sync reads them (`cssync verify --repair` where the "
            "vendor does not count that as a change); or map another field, and retry"
        )
    call.show(asdict(done), told)
    return code


@quarantine.command(
    epilog=example("cssync quarantine drop crm --stream deals --id 1234", "cssync quarantine drop --all")
)
@_choice
@click.option("--all", "everything", is_flag=True, help="Drop without narrowing it down.")
@shared
def drop(call: Call, connection: str | None, stream: str | None, source_id: str | None, everything: bool) -> int:
    """Forget the records. One that changes at the vendor is read again."""
    from cssync.cli.work import working
    from cssync.errors import ConfigError
    from cssync.sync.quarantine import drop as forget

    if not (connection or stream or source_id or everything):
        raise ConfigError("nothing says which records to drop", fix="name a connection, --stream, --id, or --all")
    with working(call, "quarantine drop") as work:
        dropped = forget(work.store, _chosen(connection, stream, source_id), work.lease)
        work.record.summary = {"dropped": dropped}
    call.show({"dropped": dropped}, [f"{dropped:,} dropped"])
    return 0
