"""cssync fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import click

from cssync.cli.context import Call, columns, example, shared

SHOWN = 3


@click.command(
    epilog=example("cssync fields crm", "cssync fields crm deals --json", "cssync fields crm deals --accept")
)
@click.argument("connection", help="Connection of cssync.yaml, e.g. crm.")
@click.argument("stream", required=False, help="Stream of it, e.g. deals; the one that is written back by default.")
@click.option("--accept", is_flag=True, help="Take changed definitions for right: mappings that stopped go on.")
@shared
def fields(call: Call, connection: str, stream: str | None, accept: bool) -> int:
    """List a connection's fields as the vendor describes them.

    The names in the first column are what `fields:` and `writeback:` of cssync.yaml take. A field that is mapped
    already shows where it goes, and how many of the stored records have a value in it; `?` is a proposal for one that
    is not mapped. Each run compares the definitions with those
    it saw last: a mapped field that is gone or of another type stops its mapping until it is back, or accepted.
    """
    from dataclasses import asdict

    from cssync.cli.choose import chosen, chosen_stream
    from cssync.errors import ConfigError
    from cssync.runs.lease import hold_lease
    from cssync.runs.sessions import looking
    from cssync.sync.drift import accept as take
    from cssync.views.fields import filled, proposed

    workspace = call.workspace()
    found = chosen(workspace, connection)
    connector = found.connector
    if connector.describe is None:
        raise ConfigError(f"connector {connector.name} cannot list fields", fix="look them up at the vendor")
    name = chosen_stream(found, stream) if stream else _default(found.streams)
    with looking(workspace, found) as session:
        described = connector.describe(session, name)
        if accept:
            with call.store(workspace) as store, hold_lease(store, owner=f"fields {connection}") as lease:
                take(store, connection, name, described, session, lease)
    listed = sorted(proposed(found, name, described), key=lambda f: (not f.custom, f.name))
    back = workspace.writeback.get(connection)
    goes = dict(found.mapped.get(name, {}))
    comes = dict(back.fields) if back and back.to == name else {}
    full: dict[str, float] = {}
    if workspace.store.exists():
        with call.store(workspace) as store:
            full = filled(store, found, next(s for s in found.streams if s.name == name), comes)

    def lines() -> Iterator[str]:
        yield from columns(
            ("FIELD", "TYPE", "OPTIONS", "WRITABLE", "FILLED", "LABEL", "MAPPED"),
            (
                (
                    f.name,
                    f.type,
                    _listed(f.options),
                    "yes" if f.writable else "no",
                    f"{full[f.name]:.0%}" if f.name in full else None,
                    f.label,
                    f"-> {goes[f.name]}"
                    if f.name in goes
                    else f"<- {comes[f.name]}"
                    if f.name in comes
                    else f"? {f.proposal}"
                    if f.proposal
                    else None,
                )
                for f in listed
            ),
        )
        offered = {f.name: f.proposal for f in listed if f.proposal and f.name not in goes | comes}
        if offered:
            shown = ", ".join(f"{_key(field)}: {target}" for field, target in offered.items())
            yield "? is a proposal; where it is right, write under `fields:` of cssync.yaml:"
            yield f"  {connection}.{name}: {{{shown}}}"
        others = [s.name for s in found.streams if s.name != name]
        if not stream and others:
            yield f"other streams of {connection}: {', '.join(others)}"

    document = [
        {
            **asdict(f),
            "mapped_to": goes.get(f.name),
            "written_from": comes.get(f.name),
            "filled": full.get(f.name),
        }
        for f in listed
    ]
    call.show({"connection": connection, "stream": name, "fields": document}, lines())
    return 0


def _listed(options: tuple[str, ...]) -> str | None:
    """The first options; --json has them all."""
    more = f", and {len(options) - SHOWN} more" if len(options) > SHOWN else ""
    return ", ".join(options[:SHOWN]) + more if options else None


def _key(field: str) -> str:
    """A field's name as a key of YAML's short form."""
    return field if re.fullmatch(r"[A-Za-z_][\w.-]*", field) else json.dumps(field, ensure_ascii=False)


def _default(streams: tuple[object, ...]) -> str:
    names: list[str] = [s.name for s in streams if s.writable] or [s.name for s in streams]  # type: ignore[attr-defined]
    return names[0]
