"""What Salesforce would know of the made-up world, as rows of its objects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cssync.sandbox.world import Company, Deal, Person, Term, World, record_id

Row = dict[str, Any]
RUNNING_USER = record_id("salesforce", "user", "integration")
ORG_ID = "00D5g0000012345EAA"
_KINDS = {
    "new": "New Business",
    "renewal": "Renewal",
    "upsell": "Existing Customer - Upgrade",
    "cross_sell": "Cross-sell",
    "downsell": "Existing Customer - Downgrade",
}
_STAGES = {
    "qualified": ("Qualification", 10),
    "proposal": ("Proposal/Price Quote", 60),
    "negotiation": ("Negotiation/Review", 80),
    "won": ("Closed Won", 100),
    "lost": ("Closed Lost", 0),
}
"""Stage of the world -> the vendor's, with its probability in percent."""


def stamp(moment: datetime) -> str:
    """Write an instant as Salesforce does: whole seconds, an offset without a colon."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _id(kind: str, key: str) -> str:
    return record_id("salesforce", kind, key)


def _row(key: str, created: datetime, changed: datetime, **values: Any) -> Row:
    return {
        "Id": key,
        "CreatedDate": stamp(min(created, changed)),
        "CreatedById": RUNNING_USER,
        "LastModifiedDate": stamp(changed),
        "LastModifiedById": RUNNING_USER,
        "SystemModstamp": stamp(changed),
        "IsDeleted": False,
        **values,
    }


def rows(world: World) -> Iterator[tuple[str, Row]]:
    """Yield (object, row) for the whole org, parents before children."""
    now = world.now
    old = now - timedelta(days=400)
    yield "Organization", _row(
        ORG_ID, old, old, Name="cssync sandbox org", IsSandbox=True, TimeZoneSidKey="Asia/Tokyo",
        OrganizationType="Developer Edition",
    )  # fmt: skip
    for n, (label, closed) in enumerate(
        (("Not Started", False), ("In Progress", False), ("Completed", True), ("Deferred", False))
    ):
        key = _id("task_status", label)
        yield "TaskStatus", _row(key, old, old, MasterLabel=label, ApiName=label, IsClosed=closed, IsDefault=n == 0)
    for n, (label, _) in enumerate(_STAGES.values()):
        key = _id("opportunity_stage", label)
        closed = label.startswith("Closed")
        yield (
            "OpportunityStage",
            _row(key, old, old, MasterLabel=label, ApiName=label, IsActive=True, IsClosed=closed, SortOrder=n + 1),
        )
    yield "User", _user(Person("integration", "cssync Integration", "cssync@vendor-team.example"), RUNNING_USER, old)
    for person in world.staff:
        yield "User", _user(person, _id("user", person.key), old)
    held = [c for c in world.companies if "salesforce" in c.names]
    for number, company in enumerate(held):
        changed = now - timedelta(days=1 + number % 60, seconds=number)
        yield from _company(company, now, changed)
        if number % 20 == 6:
            yield "Case", _case(company, changed)
    if held:
        yield "Task", _task(held[0], now - timedelta(days=30))


def _user(person: Person, key: str, at: datetime) -> Row:
    return _row(
        key, at, at, Name=person.name, Email=person.email, Username=person.email, IsActive=person.is_active,
        UserType="Standard", ManagerId=None, TimeZoneSidKey="Asia/Tokyo",
    )  # fmt: skip


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _company(company: Company, now: datetime, changed: datetime) -> Iterator[tuple[str, Row]]:
    account, owner = _id("account", company.key), _id("user", company.owner)
    currency = company.terms[-1].currency if company.terms else "USD"
    created = _midnight(company.terms[0].start) if company.terms else changed
    yield "Account", _row(
        account, created, changed,
        Name=company.names["salesforce"],
        Type="Customer - Direct" if company.terms else "Prospect",
        Website=f"https://www.{company.domain}/" if company.domain else None,
        Industry=company.industry, BillingCountry=company.country, NumberOfEmployees=company.employees,
        AccountNumber=company.key if company.linked_by == "explicit" else None,
        ParentId=None, OwnerId=owner, Segment__c=company.segment, CurrencyIsoCode=currency, MasterRecordId=None,
    )  # fmt: skip
    for person in company.people:
        yield "Contact", _row(
            _id("contact", person.key), created, changed, Name=person.name, Email=person.email, Title=person.title,
            AccountId=account, EmailBouncedDate=None if person.is_active else stamp(changed),
            Role__c=person.role or None, OwnerId=owner, MasterRecordId=None,
        )  # fmt: skip
    for number, term in enumerate(company.terms):
        yield "Contract", _contract(term, account, owner, changed, f"{company.key[1:]}{number}", now.date())
    for deal in company.deals:
        yield "Opportunity", _deal(deal, account, owner, changed)
    for day, users in company.usage:
        loaded = min(_midnight(day) + timedelta(days=1, hours=2), now - timedelta(hours=1))
        yield "Product_Usage__c", _row(
            _id("usage", f"{company.key}/{day}"), loaded, loaded, Name=f"PU-{day}", Account__c=account,
            Day__c=day.isoformat(), Active_Users__c=float(users),
        )  # fmt: skip


def _contract(term: Term, account: str, owner: str, changed: datetime, number: str, today: date) -> Row:
    status = "Activated" if term.open_ended or term.end >= today - timedelta(days=60) else "Expired"
    months = round((term.end - term.start).days / 30.44)
    return _row(
        _id("contract", term.key), _midnight(term.start), changed, ContractNumber=number.zfill(8), AccountId=account,
        StartDate=term.start.isoformat(), EndDate=None if term.open_ended else term.end.isoformat(),
        ContractTerm=None if term.open_ended else months, Status=status, OwnerId=owner, Seats__c=float(term.seats),
        Seat_Price__c=float(term.seat_price), Auto_Renew__c=term.auto_renew, Notice_Days__c=float(term.notice_days),
        CurrencyIsoCode=term.currency,
    )  # fmt: skip


def _case(company: Company, changed: datetime) -> Row:
    """An enquiry that reached the sales team; the support desk has the others."""
    opened = changed - timedelta(days=3)
    return {
        **_row(_id("ticket", f"{company.key}/case"), opened, changed),
        "CaseNumber": company.key[1:].zfill(8),
        "AccountId": _id("account", company.key),
        "ContactId": _id("contact", company.people[0].key) if company.people else None,
        "Subject": "Copy of the signed order form",
        "Status": "Closed",
        "Priority": "Medium",
        "Type": "Question",
        "Reason": "Contract",
        "IsClosed": True,
        "IsEscalated": False,
        "ClosedDate": stamp(changed),
        "OwnerId": _id("user", company.owner),
    }


def _task(company: Company, at: datetime) -> Row:
    """A task from the days of the trial, done long ago."""
    return {
        **_row(_id("task", company.key), at, at),
        "Subject": "cssync: say hello",
        "WhatId": _id("account", company.key),
        "AccountId": _id("account", company.key),
        "Status": "Completed",
        "IsClosed": True,
        "Priority": "Normal",
        "ActivityDate": at.date().isoformat(),
        "Description": "The connection works.\n\ncssync:hello",
        "OwnerId": _id("user", company.owner),
    }


def _deal(deal: Deal, account: str, owner: str, changed: datetime) -> Row:
    stage, probability = _STAGES.get(deal.stage, (deal.stage, 50))
    return _row(
        _id("deal", deal.key), _midnight(deal.close) - timedelta(days=90), changed, Name=deal.name, AccountId=account,
        StageName=stage, Type=_KINDS.get(deal.kind), Amount=float(deal.amount), CloseDate=deal.close.isoformat(),
        Probability=float(probability), IsClosed=deal.won is not None, IsWon=deal.won is True, ContractId=None,
        OwnerId=owner, CurrencyIsoCode=deal.currency,
    )  # fmt: skip
