"""Who is read, whether it can be, and what its columns are."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cssync.connectors import Finding, Identity, RemoteField, Session, Unreadable
from cssync.errors import CssyncError, RecordError
from cssync.model import ENTITY
from cssync.sync.normalise import Normaliser
from cssync_tabular.database import identified
from cssync_tabular.files import named_columns, sampled
from cssync_tabular.position import DAY, NUMBER, position
from cssync_tabular.rows import missing
from cssync_tabular.streams import KEY, Plan, at, delimiter_hint, nesting, record_maker, source_of, stream
from cssync_tabular.values import TIME, instant

SAMPLE = 500
"""Rows looked at; a check must not take as long as a pull."""


def identity(session: Session) -> Identity:
    """Say which folder, file or database is read."""
    return identified(session.settings)


def check(plans: Mapping[str, Plan], session: Session) -> Iterator[Finding]:
    """Yield whether each table can be read, has the columns that are named, and fits where they go."""
    for plan in plans.values():
        if plan.name in session.settings.skip_streams:
            continue
        try:
            yield from _checked(plan, session)
        except CssyncError as error:
            yield Finding(plan.name, "error", error.message, error.fix)


def _checked(plan: Plan, session: Session) -> Iterator[Finding]:
    columns, rows, bad = sample_of(plan, session)
    hint = delimiter_hint(plan.table, columns)
    fix = hint or "correct `tables:` or `fields:`; `cssync fields` lists the columns"
    for name in missing(plan.wanted, columns):
        near = difflib.get_close_matches(name, columns, 1)
        guess = f"; did you mean {near[0]!r}?" if near and not hint else ""
        yield Finding(f"{plan.name}.{name}", "error", f"there is no such column{guess}", fix)
    yield Finding(plan.name, "ok", f"columns: {len(columns)}, rows looked at: {len(rows) + len(bad)}")
    if not plan.mapped:
        yield Finding(
            plan.name, "warning", "no column is mapped", f"map columns under `fields:`, {_entity(plan)}.COLUMN"
        )
    yield from _owner(plan)
    for torn in bad[:3]:
        yield Finding(plan.name, "warning", f"{torn.reason}; it goes into quarantine", "mend it where it is written")
    if not missing(plan.wanted, columns):
        yield from _rows(plan, session, rows)


def _entity(plan: Plan) -> str:
    return "account" if plan.table.entity == "account_source" else plan.table.entity


def _owner(plan: Plan) -> Iterator[Finding]:
    """Rows that belong to an account must say to which."""
    entity = ENTITY[plan.table.entity]
    ways = {"account_source_id", "contract_source_id", "requester_source_id", "ticket_source_id"}
    ways |= {"email"} if entity.name == "contact" else set()
    fed = {target.partition(".")[2] for target in plan.mapped.values()} | set(plan.table.fixed)
    if plan.mapped and entity.column("account_source_id") and not ways & fed:
        yield Finding(
            plan.name,
            "warning",
            "its rows belong to nobody",
            f"map the customer's id to {entity.name}.account_source_id; the customers are a table of entity account",
        )


def _rows(plan: Plan, session: Session, rows: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    """Normalise the sample as a pull would, and say what would not come through."""
    make = record_maker(plan)
    nested = nesting(tuple(rows[0]) if rows else ())
    normalise = Normaliser(
        stream(plan), mapped=plan.mapped, written=(), timezone=session.timezone, currency="USD", today="2026-01-01"
    )
    faults: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    for row in rows:
        made = make(nested(row))
        if isinstance(made, Unreadable):
            faults[made.reason] += 1
            continue
        keys[made[KEY]] += 1
        try:
            normalise(made)
        except RecordError as error:
            faults[error.message] += 1
    zone = "; set `timezone` of the connection" if any("without a time zone" in f for f in faults) else ""
    for fault, count in faults.most_common(10):
        text = f"{fault} ({count} of {len(rows)} rows looked at, they go into quarantine)"
        yield Finding(plan.name, "error" if count == len(rows) else "warning", text, f"correct the column{zone}")
    twice = sum(count - 1 for count in keys.values())
    if twice:
        text = f"{', '.join(plan.table.key)} is the same in {twice} more rows; of those, the last one counts"
        yield Finding(f"{plan.name}.key", "warning", text, "add the columns that tell them apart to `key`")
    if any(isinstance(row.get(k), float) for row in rows for k in plan.table.key):
        yield Finding(f"{plan.name}.key", "error", "is a floating-point number", "write ids as text or whole numbers")
    cursor = plan.table.cursor
    if cursor and plan.table.file and rows and all(position(r.get(cursor), plan.zone) is None for r in rows):
        text = "is neither number nor time: every row is read each time"
        yield Finding(f"{plan.name}.{cursor}", "warning", text, "choose another `cursor`, or leave it out")


def sample_of(plan: Plan, session: Session) -> tuple[tuple[str, ...], list[dict[str, Any]], list[Unreadable]]:
    every = Plan(plan.name, plan.table, {}, plan.zone) if plan.table.file else plan
    with source_of(every, session.settings, page_size=SAMPLE) as source:
        rows, bad = sampled(source, SAMPLE)
        return named_columns(source, rows), rows, bad


# --- describing -------------------------------------------------------------------------------------------------------


def describe(plans: Mapping[str, Plan], session: Session, name: str) -> list[RemoteField]:
    """List a table's columns with the types that their first rows show, and where each seems to belong."""
    plan = plans[name]
    columns, rows, _ = sample_of(plan, session)
    entity = plan.table.entity
    taken = {target.replace("account_source.", "account.") for target in plan.mapped.values()}
    found: list[RemoteField] = []
    for column in _paths(columns, rows):
        kind = kind_of([at(row, column) for row in rows])
        target = "" if column in plan.mapped else propose(column, kind, entity, plan.table.key)
        target = "" if target in taken else target
        taken.add(target)
        found.append(RemoteField(column, column, kind, writable=False, custom=True, proposal=target))
    return found


def _paths(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the columns, and for one that holds objects what is in them."""
    for column in columns:
        inner = dict.fromkeys(str(k) for row in rows if isinstance(row.get(column), dict) for k in row[column])
        yield from (f"{column}.{name}" for name in inner) if inner else (column,) if column else ()


def kind_of(values: Sequence[Any]) -> str:
    """Return the type of the model that all values fit, `text` where there is none."""
    kinds = {_kind(value) for value in values if value is not None and value != ""}
    if kinds <= {"integer", "real"} and kinds:
        return "real" if "real" in kinds else "integer"
    if kinds <= {"date", "instant"} and kinds:
        return "instant" if "instant" in kinds else "date"
    return kinds.pop() if len(kinds) == 1 else "text"


def _kind(value: Any) -> str:
    if isinstance(value, bool) or str(value).lower() in ("true", "false"):
        return "bool"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "real"
    if isinstance(value, (dict, list)):
        return "json"
    text = str(value).strip()
    if NUMBER.fullmatch(text) and not (len(text) > 1 and text[0] == "0" and text[1] != "."):
        return "real" if "." in text else "integer"
    if DAY.fullmatch(text):
        return "date"
    return "instant" if TIME.fullmatch(text) and instant(text) else "text"


WORDS: Mapping[str, tuple[str, ...]] = {
    "account_source_id": ("account", "customer", "company", "organization", "tenant"),
    "contract_source_id": ("contract",),
    "contract_id": ("contract",),
    "ticket_source_id": ("ticket",),
    "contact_source_id": ("contact",),
    "external_id": ("crm", "hubspot", "salesforce"),
    "domains": ("domain", "website"),
    "period_start": ("day", "date", "week", "period"),
    "start_date": ("start", "starts", "begin", "begins"),
    "end_date": ("end", "ends", "expires", "expiry"),
    "updated_at": ("updated", "changed", "modified"),
    "created_at": ("created",),
    "quantity": ("seats", "licenses", "quantity"),
    "product_code": ("product", "sku"),
    "currency": ("currency",),
    "billing_currency": ("currency",),
    "due_date": ("due",),
    "paid_at": ("paid",),
    "responded_at": ("answered", "responded"),
    "score": ("rating", "score"),
    "at": ("when", "at"),
}
"""Words in a column's name that speak for a column of the model."""
SKIPPED = ("id", "at", "on", "date", "name", "source", "code", "number", "uid")


def propose(column: str, kind: str, entity: str, key: Sequence[str]) -> str:
    """Return the `entity.column` that a column's name and type speak for, "" where none does."""
    model = ENTITY[entity]
    shown = "account" if entity == "account_source" else entity
    plain = column.strip().lower().replace(" ", "_").replace("-", "_").rpartition(".")[2]
    fits = {c: model.column(c) for c in model.writable}
    if plain in fits:
        return f"{shown}.{plain}"
    words = [w for w in plain.split("_") if w and w not in SKIPPED] or plain.split("_")
    for name, meant in WORDS.items():
        if (
            name in fits
            and any(w in meant for w in words)
            and not (name.endswith("_id") and kind in ("date", "instant"))
        ):
            return f"{shown}.{name}"
    if entity == "usage_metric" and kind in ("integer", "real") and column not in key:
        return f"usage_metric.{plain}"
    return ""
