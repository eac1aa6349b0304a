"""Contract checks that need no vendor: what a connector declares, and how its judge reads answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_args

from pydantic import SecretStr, ValidationError

from cssync.connectors.contract import Connector, Feed, Field, Stream
from cssync.connectors.session import Answer, Verdict
from cssync.connectors.settings import ConnectionSettings
from cssync.http.guard import split
from cssync.model import ENTITY

NAME = re.compile(r"[a-z0-9_-]{1,64}")
SECRETIVE = re.compile(r"(^|_)(secret|password|passphrase|token|key|credential)s?$")

Faults = Iterator[str]
"""Each is `<place>: <what is wrong>; <what to do>`."""


def declaration_faults(connector: Connector) -> Faults:
    """Yield what is wrong with the declarations; nothing is called but `vendor` and `judge`."""
    if not NAME.fullmatch(connector.name):
        yield f"name: {connector.name!r} must be 1 to 64 of a-z, 0-9, _ and -"
    if not connector.title.strip():
        yield "title: give the vendor's name as people write it"
    yield from _config_faults(connector)
    yield from _host_faults(connector)
    yield from _vendor_faults(connector)
    yield from _function_faults(connector)
    connector = _configured(connector)
    if not isinstance(connector.streams, tuple) or not connector.streams:
        yield "streams: declare at least one Stream, in a tuple"
    names = [stream.name for stream in connector.streams]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"stream {name}: the name is used twice"
    for stream in connector.streams:
        yield from _stream_faults(stream)


def _configured(connector: Connector) -> Connector:
    """Return the connector as its sandbox's settings make it, where streams are named in settings."""
    try:
        return connector.configured(sandbox_config(connector), {}) if connector.configured else connector
    except ValidationError:  # told by the checks of config
        return connector


def _config_faults(connector: Connector) -> Faults:
    if not (isinstance(connector.config, type) and issubclass(connector.config, ConnectionSettings)):
        yield "config: must be a subclass of cssync.connectors.ConnectionSettings"
        return
    for name, info in connector.config.model_fields.items():
        secret = _is_secret(info.annotation) or any(_is_secret(a) for a in get_args(info.annotation))
        if name not in ConnectionSettings.model_fields and not secret and not info.description:
            yield f"config {name}: describe it with pydantic's Field(description=...); `cssync init` shows the text"
        if SECRETIVE.search(name) and not secret:
            yield f"config {name}: looks like a secret; type it `Secret`, or rename it if it is none"
    if connector.config.model_config.get("extra") != "forbid":
        yield "config: keep extra='forbid', so that a misspelt setting is an error"
    try:
        sandbox_config(connector)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, e["loc"])) or "config" for e in error.errors())
        yield f"sandbox_settings: they do not make a valid {connector.config.__name__} (see {places})"


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(a) for a in get_args(annotation))


def sandbox_config(connector: Connector, **given: Any) -> ConnectionSettings:
    """Return the connector's settings for its own sandbox.

    Raises:
        ValidationError: `sandbox_settings` do not fit the connector's own model.
    """
    return connector.config.model_validate({"connector": connector.name, **connector.sandbox_settings, **given})


def _host_faults(connector: Connector) -> Faults:
    try:
        pattern = re.compile(connector.hosts)
    except re.error as error:
        yield f"hosts: is not a regular expression ({error})"
        return
    try:
        base = split(connector.vendor(sandbox_config(connector)).base_url)
    except Exception:  # noqa: BLE001 - told by the checks of config and vendor
        return
    if base is None or not pattern.fullmatch(base[0].host):
        yield "hosts: does not match the host of the vendor's own base_url"
        return
    host = base[0].host
    head, _, last = host.rpartition(".")
    domain = head.rpartition(".")[2]
    evil = {
        f"{host}.evil.example", f"evil{domain}.{last}", f"x.evil{domain}.{last}", f"{head}x{last}", f"{domain}x{last}",
        f"{head.removesuffix(domain)[:-1]}x{domain}.{last}" if head != domain else "evil.example",
        f"{host}\n", f"{host}:443", f"user@{host}", f"evil.example/{host}", f"evil.example#{host}", "evil.example",
        "localhost", "127.0.0.1", "169.254.169.254", "[::1]", "",
    }  # fmt: skip
    for name in sorted(e for e in evil if e != host and pattern.fullmatch(e)):
        yield f"hosts: also matches {name!r}; escape the dots and end with the vendor's own domain"


def _vendor_faults(connector: Connector) -> Faults:
    try:
        vendor = connector.vendor(sandbox_config(connector))
    except ValidationError:
        return
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        yield f"vendor: raised {type(error).__name__} for the sandbox's settings; it must only declare facts"
        return
    if vendor.concurrency < 1:
        yield "vendor: concurrency must be at least 1"
    names = [bucket.name for bucket in vendor.buckets]
    for bucket in vendor.buckets:
        if names.count(bucket.name) > 1 or bucket.calls < 1 or bucket.seconds <= 0:
            yield f"bucket {bucket.name}: needs a name of its own, calls >= 1 and seconds > 0"
        try:
            re.compile(bucket.paths)
        except re.error as error:
            yield f"bucket {bucket.name}: paths is not a regular expression ({error})"
    for answer, allowed in _ANSWERS:
        place = f"judge on {answer.status}"
        try:
            verdict = vendor.judge(answer)
            vendor.pause(answer)
        except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
            kind = answer.headers.get("content-type", "no content type")
            yield f"{place}: judge or pause raised {type(error).__name__} on {kind}; use `error_body` to read bodies"
            continue
        if not isinstance(verdict, Verdict):
            yield f"{place}: must return a Verdict"
        elif verdict.kind not in allowed:
            yield f"{place}: says {verdict.kind!r}, expected one of {', '.join(allowed)}; start from `judge_by_status`"
        elif verdict.kind == "wait" and "retry-after" in answer.headers and (verdict.seconds or 0) < 7:
            yield f"{place}: does not wait as long as Retry-After asks; use `retry_after(answer)`"


_REFUSED, _BUSY = ("fail",), ("wait", "retry", "stop")
_ANSWERS: tuple[tuple[Answer, tuple[str, ...]], ...] = tuple(
    (Answer(status, headers, body, "https://vendor.example/records"), allowed)
    for status, allowed in (
        (200, ("ok",)), (201, ("ok",)), (400, _REFUSED), (401, ("renew", "fail")), (403, _REFUSED), (404, _REFUSED),
        (422, _REFUSED), (429, _BUSY), (500, _BUSY), (502, _BUSY), (503, _BUSY),
    )
    for headers, body in (
        ({"content-type": "application/json", "retry-after": "7"}, b"{}"),
        ({"content-type": "application/json"}, b"[]"),
        ({"content-type": "application/json"}, b'{"error": null, "errors": null, "message": 5}'),
        *([] if status < 300 else [({"content-type": "text/html"}, b"<h1>no</h1>"), ({}, b""), ({}, b"\xff\x00")]),
    )
)  # fmt: skip


def _function_faults(connector: Connector) -> Faults:
    writable = [stream.name for stream in connector.streams if stream.writable]
    if writable and not (connector.push and connector.read):
        yield f"push: stream {writable[0]} is writable, so push and read are needed"
    if connector.push and not writable:
        yield "push: there is a push but no stream is marked writable"
    if connector.tasks and not (connector.push and connector.find_tasks):
        yield "tasks: tasks=True needs push and find_tasks, or a task could be created twice"
    if connector.find_tasks and not connector.tasks:
        yield "tasks: there is a find_tasks, so set tasks=True"


def _stream_faults(stream: Stream) -> Faults:
    place = f"stream {stream.name}"
    if not NAME.fullmatch(stream.name):
        yield f"{place}: the name must be 1 to 64 of a-z, 0-9, _ and -"
    if not isinstance(stream.feeds, tuple) or not stream.feeds:
        yield f"{place}: declare at least one Feed, in a tuple"
    if not isinstance(stream.fields_of, tuple):
        yield f"{place}: fields_of must be a tuple"
    if stream.page_size <= 0 or stream.requests_per_1000 <= 0:
        yield f"{place}: page_size and requests_per_1000 must be above 0"
    if stream.lag < timedelta(0):
        yield f"{place}: lag cannot be negative"
    if not stream.scope.strip():
        yield f"{place}: say in `scope` what the credential needs, in the vendor's words; `cssync check` prints it"
    if not stream.deletes.strip():
        yield f"{place}: say in `deletes` how deleted and merged records are seen, or that they are not"
    for feed in stream.feeds:
        yield from _feed_faults(f"{place} feed {feed.entity}", feed)


def _feed_faults(place: str, feed: Feed) -> Faults:
    entity = ENTITY.get(feed.entity)
    if entity is None:
        yield f"{place}: there is no such entity; choose one of {', '.join(sorted(ENTITY))}"
        return
    if not feed.key:
        yield f"{place}: key must say where the id is"
    if entity.account_bound and entity.column("account_source_id") and "account_source_id" not in feed.fields:
        yield f"{place}: feed account_source_id, or its rows belong to nobody"
    for name, declared in feed.fields.items():
        column = entity.column(name)
        if column is None or name not in entity.writable:
            near = ", ".join(entity.writable)
            yield f"{place}.{name}: is not a column a connector may fill; those are {near}"
            continue
        source = Field(declared) if isinstance(declared, str) else declared
        if not source.source and source.const is None:
            yield f"{place}.{name}: needs a source or a const"
        if isinstance(source.source, tuple) and source.read is None:
            yield f"{place}.{name}: several sources need a `read` that takes them"
        if column.values and source.const is not None and source.const not in column.values:
            yield f"{place}.{name}: {source.const!r} is not one of {', '.join(column.values)}"
