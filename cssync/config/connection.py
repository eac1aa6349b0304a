"""`connections:` with their `fields:` -> Connection: connector, settings, secrets, streams, mappings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cssync.config import secrets
from cssync.config.mapping import targets
from cssync.config.reader import Document, Place, suggest
from cssync.config.shape import dotted, is_secret, validate
from cssync.config.workspace import Connection
from cssync.connectors import ConnectionSettings, Connector, Stream
from cssync.errors import ConfigError
from cssync.plugins import Plugins

UNRESOLVED = "not-resolved"
"""Stands for what a reference names where nobody needs it (`Reading.secrets` is False)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading connections needs: the document, the installed plugins, whether to follow references, and from
    which folder."""

    document: Document
    installed: Plugins
    secrets: bool
    folder: Path


def connections(reading: Reading) -> dict[str, Connection]:
    """Return every connection whose connector is installed; what is wrong with it is noted on the document.

    One with wrong settings is among them, with empty settings, so that what refers to it can be checked too.
    """
    data = reading.document.data
    given = _mapping(data.get("connections"))
    fields = _mapping(data.get("fields"))
    for key in fields:
        name, dot, stream = key.partition(".")
        if not (dot and stream):
            reading.document.fault(("fields", key), f"fields.{key}: write `connection.stream`", key=True)
        elif name not in given:
            text = f"fields.{key}: there is no connection {name!r}{suggest(name, given)}"
            reading.document.fault(("fields", key), text, key=True)
    found = ((name, _connection(reading, name, _mapping(settings), fields)) for name, settings in given.items())
    return {name: connection for name, connection in found if connection is not None}


def _connection(reading: Reading, name: str, data: Mapping[str, Any], fields: Mapping[str, Any]) -> Connection | None:
    place: Place = ("connections", name)
    connector = _connector(reading, data, place)
    if connector is None:
        return None
    settings = _settings(reading, connector, data, place)
    own = {key: stream for key in fields for owner, _, stream in (key.partition("."),) if owner == name and stream}
    mapped: dict[str, Mapping[str, str]] = {
        stream: dict(targets(reading.document, ("fields", key), _mapping(fields[key]))) for key, stream in own.items()
    }
    if connector.configured:
        if settings is None:
            return None
        try:
            connector = connector.configured(settings, mapped)
        except ConfigError as error:
            reading.document.fault(place, f"{dotted(place)}: {error.message}")
            return None
    streams = {s.name: s for s in connector.streams}
    for key, stream in own.items():
        _custom_stream(reading, connector, streams, key, mapped[stream])
    if settings is None:
        settings = connector.config.model_construct()
    for i, skipped in enumerate(settings.skip_streams):
        if skipped not in streams:
            text = (
                f"{dotted(place)}.skip_streams: {connector.name} has no stream {skipped!r}{suggest(skipped, streams)}"
            )
            reading.document.fault((*place, "skip_streams", i), text)
    kept = tuple(s for s in streams.values() if s.name not in settings.skip_streams)
    return Connection(name, connector, settings, kept, mapped)


def _connector(reading: Reading, data: Mapping[str, Any], place: Place) -> Connector | None:
    known = reading.installed.connectors
    chosen = data.get("connector")
    if not isinstance(chosen, str):
        text = f"{dotted(place)}: key 'connector' is missing; one of {', '.join(sorted(known))}"
        reading.document.fault((*place, "connector"), text, key=True)
        return None
    try:
        return reading.installed.connector(chosen)
    except ConfigError as error:
        text = f"{dotted(place)}: {error.message}{suggest(chosen, known)}"
        reading.document.fault((*place, "connector"), text)
        return None


def _settings(
    reading: Reading, connector: Connector, data: Mapping[str, Any], place: Place
) -> ConnectionSettings | None:
    before = len(reading.document.faults)
    values = {key: _value(reading, connector, key, value, (*place, key)) for key, value in data.items()}
    settings = validate(
        reading.document,
        connector.config,
        values,
        place,
        ignore=lambda key: values.get(key) == UNRESOLVED,
        folder=reading.folder,
    )
    return settings if len(reading.document.faults) == before else None


def _value(reading: Reading, connector: Connector, key: str, value: Any, place: Place) -> Any:
    """Follow a reference; a secret that stands in the file itself is a fault."""
    secret = is_secret(connector.config, key)
    if not secrets.is_reference(value):
        if secret and isinstance(value, str):
            text = (
                f"{dotted(place)} is a secret: name where it is (env:NAME, file:PATH, cmd:COMMAND or "
                "keyring:SERVICE/USER), never the secret itself; whoever saw this file knows it, so renew it"
            )
            reading.document.fault(place, text)
            return UNRESOLVED
        return value
    if not reading.secrets:
        return UNRESOLVED
    try:
        found = secrets.resolve(value, reading.folder)
    except ConfigError as error:
        reading.document.fault(place, f"{dotted(place)}: {error.message}")
        return UNRESOLVED
    if secret:
        from cssync.http.redaction import install

        install([found])
    return found


_OBJECT = re.compile(r"__|\d")
"""What names of a customer's own objects have (`Feature_Usage__c`, `2-1234567`) and those of streams have not: one that
is like another is no slip of the pen."""


def _custom_stream(
    reading: Reading, connector: Connector, streams: dict[str, Stream], key: str, mapped: Mapping[str, str]
) -> None:
    """Add the stream that a mapping names, where the connector reads objects that it does not declare."""
    name = key.partition(".")[2]
    if name in streams:
        return
    near = "" if _OBJECT.search(name) else suggest(name, [s.name for s in connector.streams])
    if connector.custom_stream is None or near:
        hint = near or f"; it has {', '.join(streams)}"
        text = f"fields.{key}: {connector.name} has no stream {name!r}{hint}"
        reading.document.fault(("fields", key), text, key=True)
        return
    try:
        streams[name] = connector.custom_stream(name, mapped)
    except (ConfigError, ValueError) as error:
        reading.document.fault(("fields", key), f"fields.{key}: {error}", key=True)


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}
