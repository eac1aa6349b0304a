"""Vendor records -> rows of entities, as the stream's feeds and the admin's mapping say.

A feed is compiled once into getters and casts; a record then costs one pass. Absent paths leave a column out (the
stored value stays), explicit nulls clear it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from cssync.connectors import Feed, Field, Record, Stream
from cssync.errors import RecordError
from cssync.model import ENTITY
from cssync.sync import cast
from cssync.sync.cells import ABSENT, Cell, cell, path

CURRENCY_COLUMNS = ("currency", "billing_currency")

Row = dict[str, Any]
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError)
"""What reading or casting a value raises when the vendor's value is not what it should be."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What one record became: `rows` by entity, and `gone`, source_ids of mapped rows that it no longer has."""

    key: str
    rows: Sequence[tuple[str, Row]]
    gone: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class _Compiled:
    entity: str
    columns: tuple[tuple[str, Cell], ...]
    key: Cell
    each: Cell | None
    when: Callable[[Record], bool] | None
    money: tuple[tuple[str, Cell], ...]
    sources: Mapping[str, str]
    currency: str | None
    prefix: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Metric:
    """A vendor field that holds a usage value."""

    metric: str
    source: str
    value: Cell


class Normaliser:
    """Turns the records of one stream into rows; made once per stream and run.

    mapped: vendor field -> `entity.column` or `usage_metric.<metric>`. written: vendor fields that cssync writes, to
    be kept in `crm_state`. currency: for money whose record names none. today: business date, for usage values that
    carry no date of their own.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        mapped: Mapping[str, str],
        written: Sequence[str],
        timezone: ZoneInfo,
        currency: str,
        today: str,
    ) -> None:
        self.stream = stream
        self.timezone = timezone
        self.currency = currency
        self.today = today
        self.written = tuple((name, path(self._vendor_path(name))) for name in written)
        extra: dict[str, dict[str, Field]] = {}
        metrics: list[_Metric] = []
        for vendor_field, target in mapped.items():
            entity, _, column = target.partition(".")
            entity = "account_source" if entity == "account" else entity
            source = Field(self._vendor_path(vendor_field))
            if entity == "usage_metric" and ENTITY[entity].column(column) is None:
                metrics.append(_Metric(column, vendor_field, cell(source, cast.real)))
            else:
                extra.setdefault(entity, {})[column] = source
        self.metrics = tuple(metrics)
        wide = next((f for f in stream.feeds if f.entity == "usage_metric"), None) if metrics else None
        usage = {**(wide.fields if wide else self._account_ref("usage_metric")), **extra.get("usage_metric", {})}
        self.usage = self._compile(Feed("usage_metric", usage, key=stream.feeds[0].key), {})
        if metrics:
            extra.pop("usage_metric", None)
        self.feeds = [self._compile(feed, extra.pop(feed.entity, {})) for feed in stream.feeds if feed is not wide]
        self.derived = [self._derived(entity, fields, "contract" in extra) for entity, fields in extra.items()]
        self.key = path(stream.feeds[0].key)

    def _vendor_path(self, vendor_field: str) -> str:
        return f"{self.stream.base}.{vendor_field}" if self.stream.base else vendor_field

    def _account_ref(self, entity: str) -> dict[str, Field | str]:
        """How a row mapped out of this stream's record finds its account."""
        if ENTITY[entity].column("account_source_id") is None:
            return {}
        main = self.stream.feeds[0]
        if main.entity == "account_source":
            return {"account_source_id": main.key}
        return {"account_source_id": main.fields["account_source_id"]} if "account_source_id" in main.fields else {}

    def _derived(self, entity: str, fields: Mapping[str, Field], with_contract: bool) -> _Compiled:
        """A feed for columns mapped onto an entity that the stream does not declare; its ids are `<stream>/<id>`."""
        main = self.stream.feeds[0]
        columns: dict[str, Field | str] = {**self._account_ref(entity), **fields}
        if entity == "contract_line" and "contract_source_id" not in columns:
            if main.entity == "contract":
                columns["contract_source_id"] = main.key
            elif with_contract:
                columns["contract_source_id"] = Field(main.key, read=partial(_prefixed, f"{self.stream.name}/"))
        currency = next((main.fields[c] for c in CURRENCY_COLUMNS if c in main.fields), None)
        own = next((c for c in CURRENCY_COLUMNS if ENTITY[entity].column(c)), None)
        if currency and own and own not in columns:
            columns[own] = currency
        compiled = self._compile(Feed(entity, columns, key=main.key, when=main.when), {})
        return _Compiled(
            **{n: getattr(compiled, n) for n in compiled.__dataclass_fields__ if n not in ("prefix", "needs")},
            prefix=f"{self.stream.name}/",
            needs=tuple(fields),
        )

    def _compile(self, feed: Feed, extra: Mapping[str, Field]) -> _Compiled:
        entity = ENTITY[feed.entity]
        columns: list[tuple[str, Cell]] = []
        money: list[tuple[str, Cell]] = []
        sources: dict[str, str] = {}
        for name, declared in {**feed.fields, **extra}.items():
            field = Field(declared) if isinstance(declared, str) else declared
            column = entity.column(name)
            if column is None:
                raise ValueError(f"stream {self.stream.name} feeds {feed.entity}.{name}, which does not exist")
            sources[name] = field.source if isinstance(field.source, str) else ", ".join(field.source)
            if column.type == "money":
                money.append((name, cell(field, cast.number)))
            else:
                to_type = partial(cast.day, zone=self.timezone) if column.type == "date" else cast.SIMPLE[column.type]
                columns.append((name, cell(field, to_type, frozenset(column.values))))
        currency = next((c for c in CURRENCY_COLUMNS if entity.column(c)), None)
        return _Compiled(
            feed.entity,
            tuple(columns),
            path(feed.key),
            path(feed.each) if feed.each else None,
            feed.when,
            tuple(money),
            sources,
            currency,
        )

    def __call__(self, record: Record) -> Rows:
        """Return the rows of one record.

        Raises:
            RecordError: no id, or a value that cannot be read; names the vendor field, column and reason.
        """
        key = _key(self.key(record))
        rows: list[tuple[str, Row]] = []
        gone: list[tuple[str, str]] = []
        for feed in self.feeds:
            if feed.each is None:
                if feed.when is None or feed.when(record):
                    rows.append((feed.entity, self._row(feed, record, feed.prefix)))
            else:
                rows.extend((feed.entity, row) for row in self._items(feed, feed.each, record))
        for feed in self.derived:
            if feed.when and not feed.when(record):
                continue
            row = self._row(feed, record, feed.prefix)
            if any(row.get(c) is not None for c in feed.needs):
                rows.append((feed.entity, row))
            elif any(c in row for c in feed.needs):
                gone.append((feed.entity, row["source_id"]))
        if self.metrics:
            for row in self._usage(key, record):
                if row["value"] is None:
                    gone.append(("usage_metric", row["source_id"]))
                else:
                    rows.append(("usage_metric", row))
        if self.written:
            held = {name: value for name, get in self.written if (value := get(record)) is not ABSENT}
            fields = cast.jsontext({n: None if v == "" else v for n, v in held.items()})
            rows.append(("crm_state", {"source_id": key, "stream": self.stream.name, "fields": fields}))
        return Rows(key, rows, gone)

    def _items(self, feed: _Compiled, each: Cell, record: Record) -> Iterator[Row]:
        """A row for each item of a list inside the record."""
        if feed.when and not feed.when(record):
            return
        items = each(record)
        for item in items if isinstance(items, Sequence) and not isinstance(items, str) else ():
            yield self._row(feed, {**item, "^": record}, feed.prefix)

    def _row(self, feed: _Compiled, record: Record, prefix: str) -> Row:
        row: Row = {"source_id": prefix + _key(feed.key(record))}
        name = ""
        try:
            for name, get in feed.columns:
                value = get(record)
                if value is not ABSENT:
                    row[name] = value
            if feed.money:
                currency = (row.get(feed.currency) if feed.currency else None) or self.currency
                for name, get in feed.money:
                    value = get(record)
                    if value is not ABSENT:
                        row[name] = cast.minor_units(value, currency)
                        if value is not None and feed.currency:
                            row[feed.currency] = currency
        except UNREADABLE as error:
            source = feed.sources[name]
            raise RecordError(f"{source} -> {feed.entity}.{name}: {error}", field=source) from None
        return row

    def _usage(self, key: str, record: Record) -> Iterator[Row]:
        """A row for each mapped metric that the record holds; `value` None: it was cleared."""
        base = self._row(self.usage, record, "")
        dated = base.get("period_start") is not None
        for metric in self.metrics:
            try:
                number = metric.value(record)
            except UNREADABLE as error:
                raise RecordError(f"{metric.source} -> usage_metric: {error}", field=metric.source) from None
            if number is ABSENT:
                continue
            row = {"grain": "day", **base, "metric": metric.metric, "value": number}
            if dated:
                row["source_id"] = f"{key}/{metric.metric}"
            else:
                row["period_start"] = self.today
                row["source_id"] = f"{self.stream.name}/{key}/{metric.metric}/{self.today}"
            yield row


def _prefixed(prefix: str, value: Any) -> str:
    return f"{prefix}{_key(value)}"


def _key(value: Any) -> str:
    if type(value) is str and value:
        return value
    if value is ABSENT or value is None or value == "" or isinstance(value, (Mapping, list, bool)):
        raise RecordError("the record has no usable id", field="id")
    return str(value)
