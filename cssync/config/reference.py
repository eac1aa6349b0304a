"""docs/configuration.md, written from the models: `python -m cssync.config.reference > docs/configuration.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cssync.config.mapping import TARGETS
from cssync.config.raw import RawChances, RawLimits, RawMetrics, RawWorkspace, RawWriteback
from cssync.config.shape import is_secret
from cssync.connectors import ConnectionSettings, Connector
from cssync.model import CURRENCY_DECIMALS
from cssync.plugins import plugins

OURS = ("hubspot", "salesforce", "zendesk", "tabular")
"""Connectors of this distribution; others document their settings themselves, and `cssync plugins` lists them."""

SHOWN: dict[tuple[type[BaseModel], str], tuple[str, str]] = {
    (RawLimits, "changes"): ("percentage or whole number", "`20%`"),
    (RawLimits, "share"): ("percentage", "`50%`"),
    (RawWriteback, "policy"): ("word or mapping", "`unless-edited`"),
}
"""Type and default as an admin writes them, where the model's own differ."""

HEAD = """\
# Configuration: cssync.yaml

One file describes a workspace: which systems are read, how their fields are understood, which rules judge, what is
written back. `cssync init` writes one with comments; `cssync check` proves it against the vendors.

The file is read strictly. Unknown, misspelt and doubled keys are errors, every error is told at once with its line and
column, and nothing runs until the file is right. Every value is text as written until its key says what it is: `NO` is
a country and not a false, `0123` keeps its zero. Tags, anchors and aliases are not read.

```yaml
workspace: acme
timezone: Asia/Tokyo
currency: JPY
store: cssync.db
connections:
  crm:
    connector: hubspot
    token: env:HUBSPOT_TOKEN
  sales:
    connector: salesforce
    instance_url: https://acme.my.salesforce.com
    client_id: env:SALESFORCE_CLIENT_ID
    client_secret: file:/run/secrets/salesforce
  desk:
    connector: zendesk
    subdomain: acme
    email: ops@acme.example
    token: env:ZENDESK_TOKEN
fields:
  crm.companies: {renewal_date: contract.end_date, seats: contract_line.quantity}
masters: {account.name: sales, contract: sales}
rules: [standard, ./rules]
writeback:
  crm: {to: companies, fields: {cs_health_score: health.score, cs_health_band: health.band}, tasks: true}
limits: {changes: 20%, share: 50%}
```
"""

SECRETS = """\
## Secrets

A secret never stands in the file, only where it is. A value that is found in the file itself is refused. References
work for other settings of a connection too.

| reference | where |
|---|---|
| `env:NAME` | environment variable NAME |
| `file:PATH` | a file that only its owner can read (mode 0600); a path starts at the folder of cssync.yaml |
| `cmd:COMMAND ARGUMENTS` | what a command prints; no shell, at most 30 seconds, its error output is not shown |
| `keyring:SERVICE/USER` | the operating system's keyring; needs the package `keyring` |

Secrets are kept in memory only, and are taken out of every message, log line and traceback by value.
"""

MAPPING = """\
## Mapping targets

`fields:` says where this company's own vendor fields belong. The left side is a field name as `cssync fields
CONNECTION STREAM` lists it, the right side `entity.column` of this list (`account` is short for `account_source`), or
`usage_metric.<metric>` with a metric name of your own. `interaction.meeting`, `interaction.call` and
`interaction.email` take the date of the last contact of that kind, in both directions. One stream fills a column from
one field at most. An object that the connector does not declare (a custom object) becomes a stream by being named
here, where the connector can read it. A field that is written back cannot be read: rules must not see their own output.
"""


METRICS = """\
## Metrics

Options of [the key figures](metrics.md). What is not set here keeps its default from the file `metrics/defaults.yaml`
of the standard rule set. Every report states the options it was made with.
"""


def reference() -> Iterator[str]:
    """Yield the page, piece by piece."""
    yield HEAD
    yield "## Keys\n"
    yield from _table(RawWorkspace)
    yield f"\n{SECRETS}"
    yield "## Connections\n\nEvery connection has these settings and those of its connector.\n"
    yield from _table(ConnectionSettings)
    for name in OURS:
        yield from _connector(plugins().connector(name))
    yield f"\n{MAPPING}"
    yield from _targets()
    yield "\n## Write-back\n"
    yield from _table(RawWriteback)
    yield "\n## Limits\n"
    yield from _table(RawLimits)
    yield f"\n{METRICS}"
    yield from _table(RawMetrics)
    yield "\n**Chances of renewal** (`chances`)\n"
    yield from _table(RawChances)


def _connector(connector: Connector) -> Iterator[str]:
    yield f"\n### {connector.title}: `connector: {connector.name}`\n"
    own = {k: f for k, f in connector.config.model_fields.items() if k not in ConnectionSettings.model_fields}
    yield from _table(connector.config, own)
    for key, info in own.items():
        for model in nested(info.annotation):
            yield f"\nEach of `{key}`:\n"
            yield from _table(model)
    if connector.configured:
        yield "\nStreams: those of the settings. Can be written: none."
        return
    streams = ", ".join(f"`{s.name}`" for s in connector.streams)
    writable = ", ".join(f"`{s.name}`" for s in connector.streams if s.writable)
    only = f", with `{connector.tasks_setting}`" if connector.tasks_setting else ""
    tasks = f", and tasks{only}" if connector.tasks else ""
    yield f"\nStreams: {streams}. Can be written: {writable or 'none'}{tasks}."


def _table(model: type[BaseModel], fields: dict[str, FieldInfo] | None = None) -> Iterator[str]:
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    for key, info in (model.model_fields if fields is None else fields).items():
        kind, default = SHOWN.get((model, key)) or _standing(model, key) or (_kind(info.annotation), _default(info))
        kind = "secret reference" if is_secret(model, key) else kind
        yield f"| `{key}` | {kind} | {default} | {' '.join((info.description or '').split())} |"


def _standing(model: type[BaseModel], key: str) -> tuple[str, str] | None:
    """Return type and default of a key of `metrics:`, whose defaults stand in a file."""
    if model not in (RawMetrics, RawChances) or key == "chances":
        return None
    from cssync.metrics.options import defaults

    value = (defaults() if model is RawMetrics else defaults()["chances"]).get(key)
    if isinstance(value, Decimal) or key == "gross_margin":
        return "percentage", "-" if value is None else f"`{value:.0%}`"
    return _kind(model.model_fields[key].annotation), f"`{str(value).lower() if isinstance(value, bool) else value}`"


def nested(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a setting is made of, for settings that are mappings of their own."""
    for part in get_args(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part
        yield from nested(part)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.get_default()
    if value is None or value == {} or value == () or isinstance(value, BaseModel):
        return "-"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in parts)
    if origin in (dict, tuple):
        return "mapping" if origin is dict else "list"
    if parts:
        return _kind(next(part for part in parts if part is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return {bool: "true or false", int: "whole number", float: "number"}.get(annotation, "text")


def _targets() -> Iterator[str]:
    for entity in TARGETS.values():
        yield f"\n**`{entity.name}`**: {entity.doc}\n"
        yield "| column | type | meaning |\n|---|---|---|"
        for name in entity.writable:
            column = entity.column(name)
            if column is not None:
                values = f" ({', '.join(f'`{v}`' for v in column.values)})" if column.values else ""
                yield f"| `{name}` | {column.type} | {column.doc}{values} |"
    zero = ", ".join(sorted(c for c, digits in CURRENCY_DECIMALS.items() if digits == 0))
    yield f"\nMoney is kept in whole minor units of its row's currency ({zero} have none, most others two digits)."


if __name__ == "__main__":
    sys.stdout.write("\n".join(reference()) + "\n")
