"""Vendor records -> rows of entities, as the stream's feeds and the admin's mapping say.

A feed is compiled once into getters and casts; a record then costs one pass. Absent paths leave a column out (the
stored value stays), explicit nulls clear it. `Normaliser.page` does a whole page a column at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress, repeat
from typing import Any
from zoneinfo import ZoneInfo

from cssync.connectors import ABSENT, Absent, ByColumn, Feed, Field, Record, Stream
from cssync.errors import RecordError
from cssync.model import ENTITY
from cssync.sync import cast, columnar
from cssync.sync.cells import Cell, cell, path
from cssync.sync.columnar import Column, Gone, Records, Sheet, Unusual

CURRENCY_COLUMNS = ("currency", "billing_currency")

Row = dict[str, Any]
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError)
"""What reading or casting a value raises when the vendor's value is not what it should be."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What one record became: `rows` by entity, `gone`, source_ids of mapped rows that it no longer has, and
    `refused`, of those that its feeds say it has not."""

    key: str
    rows: Sequence[tuple[str, Row]]
    gone: Sequence[tuple[str, str]] = ()
    refused: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Normalised:
    """What the good records of a page became: their keys in order, and their rows.

    first: for each record the row that stands for it, (entity, source_id); None: its row in the first sheet, which has
    one of each. gone: mapped rows that records no longer have. refused: rows that a feed's `when` says they have not.
    """

    keys: Sequence[str]
    sheets: Sequence[Sheet]
    first: Mapping[str, tuple[str, str]] | None
    gone: Sequence[Gone] = ()
    refused: Sequence[Gone] = ()


@dataclass(frozen=True, slots=True)
class _Compiled:
    """`columns` and `money` read one record, `wide` and `wide_money` a page of them."""

    entity: str
    columns: tuple[tuple[str, Cell], ...]
    key: Cell
    each: Cell | None
    when: Callable[[Record], bool | None] | None
    money: tuple[tuple[str, Cell], ...]
    wide: tuple[tuple[str, Column], ...]
    wide_money: tuple[tuple[str, Column], ...]
    key_path: str
    wide_key: Column
    sources: Mapping[str, str]
    currency: str | None
    prefix: str = ""
    needs: tuple[str, ...] = ()
    own: bool = False
    """One row a record, under the record's own id: then its id is known also where `when` refuses it."""

    def refused(self, record: Record) -> bool:
        """Whether the record is known to have no such row."""
        return self.own and self.when is not None and self.when(record) is False


@dataclass(frozen=True, slots=True)
class _Metric:
    """A vendor field that holds a usage value."""

    metric: str
    source: str
    value: Cell


class Normaliser:
    """Turns the records of one stream into rows; made once per stream and run.

    mapped: vendor field -> `entity.column`, `usage_metric.<metric>` or `interaction.<kind>`. written: vendor fields
    that cssync writes, to be kept in `crm_state`. currency: for money whose record names none. today: business date,
    for usage values that carry no date of their own.
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
        dated: list[Feed] = []
        for vendor_field, target in mapped.items():
            entity, _, column = target.partition(".")
            entity = "account_source" if entity == "account" else entity
            source = Field(self._vendor_path(vendor_field))
            if entity == "usage_metric" and ENTITY[entity].column(column) is None:
                metrics.append(_Metric(column, vendor_field, cell(source, cast.real)))
            elif entity == "interaction" and ENTITY[entity].column(column) is None:
                columns = {"kind": Field(const=column), "direction": Field(const="both"), "at": source}
                if stream.feeds[0].entity == entity:
                    extra.setdefault(entity, {}).update(columns)
                else:
                    dated.append(self._dated(column, columns))
            else:
                extra.setdefault(entity, {})[column] = source
        self.metrics = tuple(metrics)
        wide = next((f for f in stream.feeds if f.entity == "usage_metric"), None) if metrics else None
        usage = {**(wide.fields if wide else self._account_ref("usage_metric")), **extra.get("usage_metric", {})}
        self.usage = self._compile(Feed("usage_metric", usage, key=stream.feeds[0].key), {})
        if metrics:
            extra.pop("usage_metric", None)
        whole = [feed for feed in stream.feeds if feed is not wide and not feed.needs]
        self.feeds = [self._compile(feed, extra.pop(feed.entity, {})) for feed in whole]
        self.derived = [self._compile(feed, {}) for feed in (*(f for f in stream.feeds if f.needs), *dated)]
        self.derived += [self._derived(entity, fields, "contract" in extra) for entity, fields in extra.items()]
        self.key = path(stream.feeds[0].key)
        self.wide_key = columnar.picked(stream.feeds[0].key)

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

    def _dated(self, kind: str, columns: Mapping[str, Field | str]) -> Feed:
        """A feed for a date, mapped onto `interaction.<kind>`, of the last contact of that kind."""
        main = self.stream.feeds[0]
        fields = {**self._account_ref("interaction"), **columns}
        return Feed(
            "interaction", fields, main.key, when=main.when, needs=("at",), prefix=f"{self.stream.name}/{kind}/"
        )

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
        prefix = f"{self.stream.name}/"
        return self._compile(Feed(entity, columns, main.key, when=main.when, needs=tuple(fields), prefix=prefix), {})

    def _compile(self, feed: Feed, extra: Mapping[str, Field]) -> _Compiled:
        entity = ENTITY[feed.entity]
        columns: list[tuple[str, Cell]] = []
        money: list[tuple[str, Cell]] = []
        wide: list[tuple[str, Column]] = []
        wide_money: list[tuple[str, Column]] = []
        sources: dict[str, str] = {}
        for name, declared in {**feed.fields, **extra}.items():
            field = Field(declared) if isinstance(declared, str) else declared
            column = entity.column(name)
            if column is None:
                raise ValueError(f"stream {self.stream.name} feeds {feed.entity}.{name}, which does not exist")
            sources[name] = field.source if isinstance(field.source, str) else ", ".join(field.source)
            if column.type == "money":
                money.append((name, cell(field, cast.number)))
                wide_money.append((name, columnar.column(field, cast.number)))
            else:
                to_type = partial(cast.day, zone=self.timezone) if column.type == "date" else cast.SIMPLE[column.type]
                columns.append((name, cell(field, to_type, frozenset(column.values))))
                wide.append((name, columnar.column(field, to_type, frozenset(column.values))))
        currency = next((c for c in CURRENCY_COLUMNS if entity.column(c)), None)
        return _Compiled(
            feed.entity,
            tuple(columns),
            path(feed.key),
            path(feed.each) if feed.each else None,
            feed.when,
            tuple(money),
            tuple(wide),
            tuple(wide_money),
            feed.key,
            columnar.picked(feed.key),
            sources,
            currency,
            feed.prefix,
            feed.needs,
            feed.each is None and feed.key == self.stream.feeds[0].key,
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
            rows.append(("crm_state", self._state(key, record)))
        every = (*self.feeds, *self.derived)
        return Rows(key, rows, gone, [(f.entity, f.prefix + key) for f in every if f.refused(record)])

    def page(self, records: Sequence[Record]) -> Normalised:
        """Return the rows of a page of records.

        Raises:
            Unusual: it must be done record by record; nothing else is raised for what a vendor sends.
        """
        page = Records(records)
        try:
            keys = columnar.keys(self.wide_key(page))
            gone: list[Gone] = []
            refused: list[Gone] = []
            feeds = (*self.feeds, *self.derived)
            sheets = [sheet for feed in feeds for sheet in self._sheets(feed, page, keys, gone, refused)]
            sheets += self._extra(records, keys, gone)
        except (*UNREADABLE, RecordError) as error:
            raise Unusual from error
        kept = [sheet for sheet in sheets if sheet.ids]
        if kept and kept[0].owners == keys:
            return Normalised(keys, kept, None, gone, refused)
        first: dict[str, tuple[str, str]] = {}
        for sheet in reversed(kept):
            first.update(zip(sheet.owners, zip(repeat(sheet.entity), sheet.ids, strict=False), strict=True))
        return Normalised(keys, kept, first, gone, refused)

    def _sheets(
        self,
        feed: _Compiled,
        page: Records,
        owners: Sequence[str],
        gone: list[Gone],
        refused: list[Gone],
    ) -> Iterator[Sheet]:
        """Yield the rows that one feed makes out of a page; rows that hold the same columns are together."""
        if feed.when is not None:
            told = [feed.when(record) for record in page.records]
            if feed.own:
                without = list(compress(owners, [has is False for has in told]))
                refused.append(Gone(feed.entity, [feed.prefix + owner for owner in without], without))
            page, owners = _kept(page, owners, [bool(has) for has in told])
        if feed.needs and page.records:
            needed = [get(page) for name, get in (*feed.wide, *feed.wide_money) if name in feed.needs]
            kinds = set[type]().union(*(map(type, values) for values in needed))
            if kinds == {type(None)}:
                gone.append(Gone(feed.entity, self._ids(feed, page, owners), owners))
                return
            if not kinds.isdisjoint((type(None), Absent)):
                full = _any([value is not None and value is not ABSENT for value in values] for values in needed)
                gone += self._without(feed, page, owners, full, needed)
                page, owners = _kept(page, owners, full)
        if feed.each is not None:
            each = feed.each
            items = [
                ({**item, "^": record}, owner)
                for record, owner in zip(page.records, owners, strict=True)
                if isinstance(found := each(record), Sequence) and not isinstance(found, str)
                for item in found
            ]
            page, owners = Records([r for r, _ in items]), [o for _, o in items]
        if not page.records:
            return
        ids = self._ids(feed, page, owners)
        held = {name: get(page) for name, get in feed.wide}
        if feed.wide_money:
            self._money(feed, page, held)
        for places, names in columnar.parted(list(held.items())) if page.torn else [(None, list(held))]:
            sheet = Sheet(feed.entity, ("source_id", *names), (ids, *(held[name] for name in names)), owners)
            yield sheet if places is None else columnar.at(sheet, places)

    def _ids(self, feed: _Compiled, page: Records, owners: Sequence[str]) -> Sequence[str]:
        if feed.each is not None or feed.key_path != self.stream.feeds[0].key:
            return columnar.keys(feed.wide_key(page), feed.prefix)
        return [feed.prefix + owner for owner in owners] if feed.prefix else owners

    def _without(
        self,
        feed: _Compiled,
        page: Records,
        owners: Sequence[str],
        full: Sequence[bool],
        needed: Sequence[Sequence[Any]],
    ) -> Iterator[Gone]:
        """Yield the rows whose needed columns the records hold, all of them empty."""
        there = _any([value is not ABSENT for value in values] for values in needed)
        empty = [t and not f for t, f in zip(there, full, strict=True)]
        if any(empty):
            page, owners = _kept(page, owners, empty)
            yield Gone(feed.entity, self._ids(feed, page, owners), owners)

    def _money(self, feed: _Compiled, page: Records, held: dict[str, list[Any]]) -> None:
        """Add the columns of money, and the currency of every row that has some."""
        amounts = {name: get(page) for name, get in feed.wide_money}
        own = held.get(feed.currency) if feed.currency else None
        before = own or [ABSENT] * len(page.records)
        currencies = [self.currency if c is ABSENT else c or self.currency for c in before]
        for name, values in amounts.items():
            held[name] = [v if v is ABSENT else cast.minor_units(v, c) for v, c in zip(values, currencies, strict=True)]
        if feed.currency:
            page.torn = page.torn or own is None
            paid = [any(v is not None and v is not ABSENT for v in row) for row in zip(*amounts.values(), strict=True)]
            held[feed.currency] = [c if p else b for c, p, b in zip(currencies, paid, before, strict=True)]

    def _extra(self, records: Sequence[Record], keys: Sequence[str], gone: list[Gone]) -> list[Sheet]:
        """Rows of mapped metrics, and of fields that we write: each record has its own set of them."""
        if not self.metrics and not self.written:
            return []
        rows: list[tuple[str, str, Row]] = []
        cleared: list[tuple[str, str, str]] = []
        for key, record in zip(keys, records, strict=True):
            if self.metrics:
                for row in self._usage(key, record):
                    if row["value"] is None:
                        cleared.append((key, "usage_metric", row["source_id"]))
                    else:
                        rows.append((key, "usage_metric", row))
            if self.written:
                rows.append((key, "crm_state", self._state(key, record)))
        gone += _gone_of(cleared)
        return sheets_of(rows)

    def _state(self, key: str, record: Record) -> Row:
        held = {name: value for name, get in self.written if (value := get(record)) is not ABSENT}
        fields = cast.jsontext({n: None if v == "" else v for n, v in held.items()})
        return {"source_id": key, "stream": self.stream.name, "fields": fields}

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
            raise RecordError(f"{source} -> {feed.entity}.{name}: {_why(error)}", field=source) from None
        return row

    def _usage(self, key: str, record: Record) -> Iterator[Row]:
        """A row for each mapped metric that the record holds; `value` None: it was cleared."""
        base = self._row(self.usage, record, "")
        dated = base.get("period_start") is not None
        for metric in self.metrics:
            try:
                number = metric.value(record)
            except UNREADABLE as error:
                raise RecordError(f"{metric.source} -> usage_metric: {_why(error)}", field=metric.source) from None
            if number is ABSENT:
                continue
            row = {"grain": "day", **base, "metric": metric.metric, "value": number}
            if dated:
                row["source_id"] = f"{key}/{metric.metric}"
            else:
                row["period_start"] = self.today
                row["source_id"] = f"{self.stream.name}/{key}/{metric.metric}/{self.today}"
            yield row


def _why(error: Exception) -> str:
    """Return what is wrong with a value: a cast says it in words; what Python says would name types and values."""
    return str(error) if isinstance(error, ValueError) else "a value of another kind was expected"


def gathered(records: Sequence[Rows]) -> Normalised:
    """Return the rows of records that were normalised one by one; the last of a doubled id wins, column by column."""
    joined: dict[tuple[str, str], tuple[str, Row]] = {}
    for record in records:
        for entity, row in record.rows:
            held = joined.get((entity, row["source_id"]))
            joined[entity, row["source_id"]] = (record.key, row if held is None else {**held[1], **row})
    return Normalised(
        [record.key for record in records],
        sheets_of((owner, entity, row) for (entity, _), (owner, row) in joined.items()),
        {r.key: (r.rows[0][0], str(r.rows[0][1]["source_id"])) for r in records if r.rows},
        _gone_of((r.key, entity, source_id) for r in records for entity, source_id in r.gone),
        _gone_of((r.key, entity, source_id) for r in records for entity, source_id in r.refused),
    )


def _gone_of(rows: Iterable[tuple[str, str, str]]) -> list[Gone]:
    """Group rows that are gone, (owner, entity, source_id), by entity."""
    found: dict[str, list[tuple[str, str]]] = {}
    for owner, entity, source_id in rows:
        found.setdefault(entity, []).append((source_id, owner))
    return [Gone(entity, [i for i, _ in pairs], [o for _, o in pairs]) for entity, pairs in found.items()]


def sheets_of(rows: Iterable[tuple[str, str, Row]]) -> list[Sheet]:
    """Group rows (owner, entity, row) by entity and columns. Each (entity, source_id) may be there once."""
    alike: dict[tuple[str, ...], list[tuple[str, Row]]] = {}
    for owner, entity, row in rows:
        alike.setdefault((entity, *row), []).append((owner, row))
    return [
        Sheet(
            entity,
            ("source_id", *(c for c in columns if c != "source_id")),
            tuple([row[c] for _, row in group] for c in ("source_id", *(c for c in columns if c != "source_id"))),
            [owner for owner, _ in group],
        )
        for (entity, *columns), group in alike.items()
    ]


def _kept(page: Records, owners: Sequence[str], keep: Sequence[bool]) -> tuple[Records, Sequence[str]]:
    if all(keep):
        return page, owners
    records = page.records
    kept = records.only(keep) if isinstance(records, ByColumn) else list(compress(records, keep))
    return Records(kept), list(compress(owners, keep))


def _any(columns: Iterable[Sequence[bool]]) -> Sequence[bool]:
    """Return for each row whether one of the columns is true."""
    first, *more = columns
    return [any(row) for row in zip(first, *more, strict=True)] if more else first


def _prefixed(prefix: str, value: Any) -> str:
    return f"{prefix}{_key(value)}"


def _key(value: Any) -> str:
    found = "" if value is ABSENT or value is None or isinstance(value, (Mapping, list, bool)) else str(value)
    if not found or "\0" in found:
        raise RecordError("the record has no usable id", field="id")
    return found
