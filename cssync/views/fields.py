"""The fields of a stream for people: how full they are, as far as the store knows them, and what to map them to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cssync.connectors.proposing import proposals
from cssync.model import ENTITY
from cssync.store.journal import quote

if TYPE_CHECKING:
    from cssync.config.workspace import Connection
    from cssync.connectors import RemoteField, Stream
    from cssync.store import Store


def proposed(connection: Connection, stream: str, described: Iterable[RemoteField]) -> list[RemoteField]:
    """Return the fields with a proposal for each that speaks for a column which no stream of the connection feeds."""
    listed = list(described)
    fed = {f"{feed.entity}.{column}" for s in connection.streams for feed in s.feeds for column in feed.fields}
    fed |= {target for mapped in connection.mapped.values() for target in mapped.values()}
    own = connection.mapped.get(stream, {})
    declared = connection.stream(stream)
    found = proposals((f for f in listed if f.name not in own), declared.entity if declared else "", fed)
    return [replace(f, proposal=f.proposal or found.get(f.name, "")) for f in listed]


def filled(store: Store, connection: Connection, stream: Stream, written: Mapping[str, str]) -> dict[str, float]:
    """Return vendor field -> share (0..1) of the stream's live records that have a value in it.

    A field that nobody reads is not in it: the store does not know it. written: fields that are written back.
    """
    name = connection.name
    live = f"FROM {quote(stream.entity)} WHERE connection = ? AND deleted_at IS NULL"
    records = store.query(f"SELECT count(*) {live}", (name,))[0][0]
    if not records:
        return {}
    found: dict[str, float] = {}
    for field, target in connection.mapped.get(stream.name, {}).items():
        entity, _, column = target.partition(".")
        if entity in ENTITY and ENTITY[entity].column(column):
            sql = f"SELECT count({quote(column)}) FROM {quote(entity)} WHERE connection = ? AND deleted_at IS NULL"
            found[field] = min(1.0, store.query(sql, (name,))[0][0] / records)
    for field in written:
        sql = """SELECT count(json_extract(fields, '$."' || ? || '"')) FROM crm_state
            WHERE connection = ? AND stream = ? AND deleted_at IS NULL"""
        found[field] = min(1.0, store.query(sql, (field, name, stream.name))[0][0] / records)
    return found
