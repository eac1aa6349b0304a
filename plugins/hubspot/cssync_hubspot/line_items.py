"""Line items of won deals as contract lines: what was sold, from when, and for how much a period.

A line item says nothing of whether its deal was won, and does not change when it is. So two things are followed: line
items that changed, and deals that changed, whose line items are then read. What belongs to no won deal is no line: an
archived deal names its line items no more, so those that are stored with it go, and come back when it is restored.

The cursor is {"items": cursor, "deals": cursor, "redo": ids of line items whose deal could not be read, "redo_deals":
ids of deals whose line items could not, "linked" and "linking": see `relinked`}.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from cssync.connectors import Cursor, Feed, Field, Page, PullRequest, Record, Session, Stream, Tombstone
from cssync.errors import ConnectionFault
from cssync_hubspot.client import batch_read
from cssync_hubspot.links import MOST, associated, first, linked_id
from cssync_hubspot.pull import REMEMBER, Source, greet, iso, pages
from cssync_hubspot.relinked import differing, due
from cssync_hubspot.streams import LAG, STAMPS

MONTHS = {
    "monthly": 1, "quarterly": 3, "per_six_months": 6, "annually": 12, "per_two_years": 24, "per_three_years": 36,
    "per_four_years": 48, "per_five_years": 60,
}  # fmt: skip
"""Billing frequency of a line item -> months that one price covers."""

ITEMS = Source(
    "line_items",
    fields=(
        "name", "hs_sku", "quantity", "amount", "hs_line_item_currency_code", "recurringbillingfrequency",
        "hs_recurring_billing_period", "hs_recurring_billing_start_date", "hs_recurring_billing_end_date",
    ),
    links=("deals",),
)  # fmt: skip
DEALS = Source("deals", fields=("hs_is_closed_won", "deal_currency_code", "closedate"), links=("companies",))
DEAL = "opportunity_source_id"
"""Column by which a line knows its deal."""


@dataclass(slots=True)
class _Reader:
    """One run over the line items."""

    session: Session
    request: PullRequest
    items: Cursor | None
    deals: Cursor
    redo: list[str] = field(default_factory=list)
    redo_deals: list[str] = field(default_factory=list)
    linked: str | None = None
    linking: str | None = None
    done: set[str] = field(default_factory=set)
    """Line items read in this run already, outside of a full load: windows overlap."""

    def cursor(self) -> Cursor:
        """The checkpoint: both places, and what is still owed."""
        if max(len(self.redo), len(self.redo_deals)) > REMEMBER:
            raise ConnectionFault(
                f"HubSpot did not give the associations of more than {REMEMBER} line items or deals",
                kept="what was stored before is unchanged, also its links",
                fix="run again later; if it stays, check that the key may read deals and companies",
            )
        place = {"items": self.items, "deals": self.deals, "redo": self.redo, "redo_deals": self.redo_deals,
                 "linked": self.linked, "linking": self.linking}  # fmt: skip
        return {key: held for key, held in place.items() if held}

    def page(self, items: Sequence[Record], before: Page | None = None, *, full: bool = False) -> Page:
        """Complete line items with their deal and its company; those of no won deal are gone."""
        records: list[Record] = []
        gone: list[Tombstone] = []
        failed: list[str] = []
        if not full:
            items = [i for i in items if str(i["id"]) not in self.done]
            self.done.update(str(i["id"]) for i in items)
        deals = {str(d["id"]): d for d in self.deals_of(items)}
        won = {i for i, d in deals.items() if _is_won(d)}
        companies = associated(self.session, "deals", "companies", sorted(won))
        for item in items:
            deal = item.get("deal")
            if "deal" not in item or deal in companies.failed:
                failed.append(str(item["id"]))
                records.append(item)
            elif deal in won:
                held = {"deal": deals[deal]["properties"], "company": first(companies.found[deal])}
                records.append({**item, **held, "deal_id": deal})
            else:
                gone.append(Tombstone(str(item["id"])))
        owed = [i for i in failed if before is None or i not in before.incomplete]
        self.redo += sorted(set(owed) - set(self.redo))
        deleted = (*(before.deleted if before else ()), *gone)
        return Page(records, deleted=deleted, incomplete=tuple(failed))

    def deals_of(self, items: Sequence[Record]) -> Iterator[Record]:
        ids = dict.fromkeys(str(i["deal"]) for i in items if i.get("deal"))
        yield from batch_read(self.session, "deals", list(ids), DEALS.fields)

    def lines_of(self, deals: Sequence[Record]) -> list[Record]:
        """Read the line items of these deals."""
        found = associated(self.session, "deals", "line_items", [str(d["id"]) for d in deals])
        self.redo_deals += sorted(found.failed - set(self.redo_deals))
        deal_of = {linked_id(line): deal for deal, lines in found.found.items() for line in lines}
        read = batch_read(self.session, "line_items", list(deal_of), self.request.fields)
        return [{**line, "deal": deal_of[str(line["id"])]} for line in read]

    def again(self) -> Iterator[Page]:
        """Read once more what could not be completed last time."""
        ids, self.redo = self.redo, []
        deals, self.redo_deals = self.redo_deals, []
        if deals:
            yield self.page(self.lines_of([{"id": i} for i in deals]))
        if ids:
            deal_of = associated(self.session, "line_items", "deals", ids)
            read = batch_read(self.session, "line_items", ids, self.request.fields)
            found = [(str(line["id"]), line) for line in read]
            yield self.page([r if i in deal_of.failed else {**r, "deal": first(deal_of.found[i])} for i, r in found])

    def compared(self) -> Iterator[Page]:
        """Read again the lines whose deal, or whose deal's company, changed alone."""
        begun = iso(self.session.now())
        while rows := self.request.held((DEAL, "account_source_id"), self.linking or "", MOST):
            self.linking = str(rows[-1][0])
            items, owed = differing(self.session, ITEMS.kind, ITEMS.links, [row[:2] for row in rows])
            of_deals = list(dict.fromkeys(row[1:] for row in rows if row[1]))
            deals, owed_deals = differing(self.session, DEALS.kind, DEALS.links, of_deals)
            self.redo += sorted({*items, *owed} - set(self.redo))
            self.redo_deals += sorted({*deals, *owed_deals} - set(self.redo_deals))
            yield from self.again()
            yield Page((), cursor=self.cursor())
        self.linked, self.linking = begun, None


def _is_won(deal: Record) -> bool:
    held = deal.get("properties") or {}
    if "hs_is_closed_won" not in held:
        raise ConnectionFault(
            "HubSpot does not tell which deals are won (hs_is_closed_won)",
            kept="the checkpoint is unchanged, and no line was taken for lost",
            fix="give the key the right to read deals and their properties, or set `line_items: false`",
        )
    return bool(held["hs_is_closed_won"] == "true")


def line_items(session: Session, request: PullRequest) -> Iterator[Page]:
    """Read what changed of the line items, then the line items of deals that changed."""
    greet(session)
    cursor = request.cursor or {}
    deals = cursor.get("deals") or {"since": iso(session.now())}
    owed, owed_deals = (list(cursor.get(key) or ()) for key in ("redo", "redo_deals"))
    reader = _Reader(session, request, cursor.get("items"), deals, owed, owed_deals)
    reader.linked, reader.linking = cursor.get("linked"), cursor.get("linking")
    if not cursor:
        reader.linked = iso(session.now())
    yield from reader.again()
    full = not cursor or (reader.items or {}).get("phase") == "full"
    for page in pages(ITEMS)(session, replace(request, cursor=reader.items)):
        reader.items = page.cursor or reader.items
        done = reader.page(page.records, page, full=full) if page.records else Page((), deleted=page.deleted)
        yield replace(done, cursor=reader.cursor() if page.cursor else None, last=page.last and not cursor)
    if not cursor:
        return  # everything was just read
    if due(session, reader.linked):
        yield from reader.compared()
    changed = PullRequest(reader.deals, (*DEALS.fields, DEALS.modified), request.lag)
    for page in pages(DEALS)(session, changed):
        lines = reader.lines_of(page.records) if page.records else []
        reader.deals = page.cursor or reader.deals
        gone = tuple(Tombstone(t.source_id, of=DEAL) for t in page.deleted if not t.merged_into)
        done = reader.page(lines, Page((), deleted=gone)) if lines else Page((), deleted=gone)
        yield replace(done, cursor=reader.cursor() if page.cursor else None, last=page.last)


# --- values -----------------------------------------------------------------------------------------------------------


def months(frequency: str | None) -> int | None:
    """Months that one price covers; None for a price that is paid once.

    Raises:
        ValueError: a frequency that is no whole number of months, such as weekly.
    """
    if not frequency:
        return None
    if frequency not in MONTHS:
        raise ValueError(f"billing frequency {frequency!r} is no whole number of months")
    return MONTHS[frequency]


def last_day(start: str | None, period: str | None, end: str | None) -> str | None:
    """The last day covered: the term's length (ISO 8601, `P12M` or `P1Y`) from its first day, else the end that
    HubSpot names. Month ends are clamped: 31 January + 1 month ends on 27 February."""
    found = re.fullmatch(r"P(\d{1,3})([MY])", period or "")
    if not start or not found:
        return end[:10] if end else None
    first_day = date.fromisoformat(start[:10])
    count = first_day.month - 1 + int(found[1]) * (12 if found[2] == "Y" else 1)
    year, month = first_day.year + count // 12, count % 12 + 1
    day = min(first_day.day, monthrange(year, month)[1])
    return (date(year, month, day) - timedelta(days=1)).isoformat()


def _either(one: Any, other: Any) -> Any:
    return one or other


LINE_ITEMS = Stream(
    name="line_items",
    feeds=(
        Feed(
            "contract_line",
            {
                **STAMPS,
                "account_source_id": "company",
                DEAL: "deal_id",
                "product_code": "properties.hs_sku",
                "quantity": "properties.quantity",
                "amount": "properties.amount",
                "currency": Field(("properties.hs_line_item_currency_code", "deal.deal_currency_code"), read=_either),
                "billing_period_months": Field("properties.recurringbillingfrequency", read=months, unit="months"),
                "is_recurring": Field("properties.recurringbillingfrequency", read=bool),
                "start_date": Field(("properties.hs_recurring_billing_start_date", "deal.closedate"), read=_either),
                "end_date": Field(
                    (
                        "properties.hs_recurring_billing_start_date",
                        "properties.hs_recurring_billing_period",
                        "properties.hs_recurring_billing_end_date",
                    ),
                    read=last_day,
                ),
            },
        ),
    ),
    pages=line_items,
    fields_of=ITEMS.fields,
    base="properties",
    cursor_field=ITEMS.modified,
    lag=LAG,
    deletes="archived line items by the list of the archive; those of a deal that is archived, or no longer won",
    scope="crm.objects.line_items.read",
)
