"""Files and databases as a cssync connector: CSV, JSON Lines, Parquet, SQLite and PostgreSQL, in and never out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cssync.connectors import Connector, Finding, RemoteField, Session, Vendor, judge_by_status
from cssync.hookspecs import hookimpl
from cssync_tabular.check import check, describe, identity
from cssync_tabular.settings import TabularSettings
from cssync_tabular.streams import plans, stream

NOWHERE = "tabular.invalid"
"""A host that never exists (RFC 6761): the core opens a session for every connection, and this one sends nothing."""
EXAMPLE = {"tables": {"customers": {"file": "customers.csv", "entity": "account", "key": "id"}}}


def _configured(settings: Any, mapped: Mapping[str, Mapping[str, str]]) -> Connector:
    """Return the connector with a stream for each table of the settings."""
    tables = plans(settings, mapped)

    def checked(session: Session, named: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
        return check(tables, session)

    def described(session: Session, name: str) -> Sequence[RemoteField]:
        return describe(tables, session, name)

    streams = tuple(stream(plan) for plan in tables.values())
    return replace(TABULAR, streams=streams, check=checked, describe=described)


TABULAR = Connector(
    name="tabular",
    title="Files and databases",
    config=TabularSettings,
    streams=(),
    hosts=NOWHERE.replace(".", r"\."),
    vendor=lambda settings: Vendor(f"https://{NOWHERE}", judge_by_status),
    identity=identity,
    configured=_configured,
    sandbox_settings=EXAMPLE,
)


@hookimpl
def cssync_connectors() -> Iterable[Connector]:
    """Offer the tabular connector."""
    return (TABULAR,)
