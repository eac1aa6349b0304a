"""Products of won opportunities as contract lines: what was sold, from when, and for how much.

A line says nothing of whether its opportunity was won, and does not change when it is. So two things are followed:
lines that changed, and opportunities that changed, whose lines are then read. What belongs to no won opportunity is no
line.

The cursor is {"items": cursor, "deals": cursor}, each that of a pass of `reading.pages`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cssync.connectors import Cursor, Feed, Field, Page, PullRequest, Session, Stream, Tombstone
from cssync.errors import ConnectionFault
from cssync_salesforce import soql
from cssync_salesforce.position import Position
from cssync_salesforce.reading import pages
from cssync_salesforce.shape import Shape, shape
from cssync_salesforce.streams import DELETES, LAG, PAGE_SIZE, REQUESTS, STAMPS

ITEM, DEAL = "OpportunityLineItem", "Opportunity"
COLUMN = "opportunity_source_id"
"""Column by which a line knows its opportunity."""
AT_ONCE = 100
"""Opportunities whose lines one query asks for: 2.7 kB of a URL that may be full of field names."""


def _hidden() -> ConnectionFault:
    return ConnectionFault(
        "Opportunity.IsWon is hidden from the execution user: what was sold cannot be told from what was not",
        kept="the checkpoint is unchanged, and no line was taken for lost",
        fix="grant Read on Opportunity, or set `line_items: false`",
    )


def _won(line: Mapping[str, Any]) -> bool:
    """Whether the line's opportunity is won.

    Raises:
        ConnectionFault: the field became invisible after its description; then nothing is known of any line.
    """
    deal = line.get(DEAL)
    if not isinstance(deal, Mapping) or "IsWon" not in deal:
        raise _hidden()
    return deal["IsWon"] is True and deal.get("IsDeleted") is not True


def _judged(page: Page, cursor: Cursor | None, *, last: bool = False) -> Page:
    """The lines of won opportunities as records, those of others as gone."""
    lost = (Tombstone(r["id"]) for r in page.records if not _won(r))
    return replace(
        page, records=[r for r in page.records if _won(r)], deleted=(*page.deleted, *lost), cursor=cursor, last=last
    )


def _lines_of(session: Session, request: PullRequest, deals: Sequence[str]) -> Iterator[Page]:
    """Read the lines of these opportunities."""
    everything = replace(request, cursor=None)
    for start in range(0, len(deals), AT_ONCE):
        within = f"OpportunityId IN {soql.among(deals[start : start + AT_ONCE])}"

        def only(_: Session, __: Shape, within: str = within) -> Sequence[str]:
            return [within]

        yield from pages(session, everything, ITEM, only=only)


def line_items(session: Session, request: PullRequest) -> Iterator[Page]:
    """Read what changed of the lines, then the lines of opportunities that changed.

    Raises:
        ConnectionFault: an object or `Opportunity.IsWon` cannot be read; without it no line would be one.
    """
    if shape(session, DEAL).field("IsWon") is None:
        raise _hidden()
    cursor = request.cursor or {}
    now = session.now().replace(microsecond=0)
    place = {"items": cursor.get("items"), "deals": cursor.get("deals") or Position(now, None, now).dump()}

    def at(part: str, found: Cursor | None) -> Cursor | None:
        """The checkpoint when one of the two has come so far; None where it has not."""
        if found is None:
            return None
        place[part] = found
        return {key: held for key, held in place.items() if held}

    for page in pages(session, replace(request, cursor=place["items"]), ITEM):
        yield _judged(page, at("items", page.cursor), last=page.last and not cursor)
    if not cursor:
        return  # everything was just read
    yield Page(())  # a line that changed with its opportunity comes again, which is no paging that leads back
    for page in pages(session, PullRequest(place["deals"], ("IsWon",), request.lag), DEAL):
        for lines in _lines_of(session, request, [r["id"] for r in page.records]):
            yield _judged(lines, None)
        gone = [Tombstone(t.source_id, of=COLUMN) for t in page.deleted]
        yield Page((), cursor=at("deals", page.cursor), deleted=gone, last=page.last)


def _either(one: Any, other: Any) -> Any:
    return one or other


LINE_ITEMS = Stream(
    name="line_items",
    feeds=(
        Feed(
            "contract_line",
            {
                **STAMPS,
                "account_source_id": Field("Opportunity.AccountId", read=soql.id18),
                COLUMN: Field("OpportunityId", read=soql.id18),
                "contract_source_id": Field("Opportunity.ContractId", read=soql.id18),
                "product_code": "ProductCode",
                "quantity": "Quantity",
                "amount": Field("TotalPrice", unit="major units, for a billing period of the line"),
                "currency": "CurrencyIsoCode",
                "start_date": Field(("ServiceDate", "Opportunity.CloseDate"), read=_either),
            },
        ),
    ),
    pages=line_items,
    fields_of=(
        "OpportunityId", "ProductCode", "Quantity", "TotalPrice", "CurrencyIsoCode", "ServiceDate", "CreatedDate",
        "Opportunity.AccountId", "Opportunity.CloseDate", "Opportunity.ContractId", "Opportunity.IsWon",
        "Opportunity.IsDeleted",
    ),
    cursor_field="SystemModstamp",
    lag=LAG,
    deletes=f"{DELETES}; lines of an opportunity that is deleted, or no longer won",
    scope=f"{ITEM}: Read; Opportunity: Read and View All",
    page_size=PAGE_SIZE,
    requests_per_1000=REQUESTS,
)  # fmt: skip
