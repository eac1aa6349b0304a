"""A connector for Tally, a made-up product analytics service.

`GET /v1/{companies,usage}?since=&after=&limit=` lists records by (changed_at, id); `next` is the id to go on after and
null at the end. A company that is gone has `deleted: true`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from cssync.connectors import (
    ConnectionSettings,
    Connector,
    Feed,
    Field,
    Identity,
    Page,
    PullRequest,
    Secret,
    Session,
    Stream,
    Tombstone,
    Vendor,
    judge_by_status,
)
from cssync.hookspecs import hookimpl
from cssync_example.sandbox import TOKEN, sandbox

PAGE_SIZE = 200


class TallySettings(ConnectionSettings):
    """Settings of a Tally connection."""

    token: Secret


def listed(kind: str) -> Callable[[Session, PullRequest], Iterator[Page]]:
    """Return the generator of pages for one endpoint."""

    def pages(session: Session, request: PullRequest) -> Iterator[Page]:
        cursor = dict(request.cursor or {"since": "1970-01-01T00:00:00Z", "after": ""})
        started = session.get("/v1/ping").json()["now"]
        while True:
            found = session.get(
                f"/v1/{kind}", since=cursor["since"], after=cursor["after"] or None, limit=PAGE_SIZE
            ).json()
            last = found["next"] is None
            cursor = (
                {"since": behind(started, request.lag), "after": ""} if last else {**cursor, "after": found["next"]}
            )
            yield Page(
                [r for r in found["items"] if not r.get("deleted")],
                cursor,
                deleted=[Tombstone(r["id"]) for r in found["items"] if r.get("deleted")],
                last=last,
            )
            if last:
                return

    return pages


def behind(instant: str, lag: timedelta) -> str:
    """Return the instant less the lag: what Tally may still show late is asked for again."""
    return (datetime.fromisoformat(instant) - lag).isoformat().replace("+00:00", "Z")


COMPANIES = Stream(
    name="companies",
    feeds=(Feed("account_source", {"name": "name", "domains": "domains", "updated_at": "changed_at"}),),
    pages=listed("companies"),
    lag=timedelta(minutes=2),
    deletes="a flag on the record",
    scope="companies:read",
    page_size=PAGE_SIZE,
    requests_per_1000=5,
)
USAGE = Stream(
    name="usage",
    feeds=(
        Feed(
            "usage_metric",
            {
                "account_source_id": "company_id",
                "metric": Field(const="active_users"),
                "grain": Field(const="day"),
                "period_start": "day",
                "value": "active_users",
            },
        ),
    ),
    pages=listed("usage"),
    lag=timedelta(minutes=2),
    deletes="never deleted",
    scope="usage:read",
    page_size=PAGE_SIZE,
    requests_per_1000=5,
)


def vendor(settings: TallySettings) -> Vendor:
    """Say where Tally is and how to authenticate."""
    return Vendor(
        base_url="https://api.tally.example",
        headers={"Authorization": f"Bearer {settings.token.get_secret_value()}"},
        judge=judge_by_status,
    )


def identity(session: Session) -> Identity:
    """Ask Tally whose account this is."""
    me = session.get("/v1/ping").json()
    return Identity(me["account"], me["account"], "sandbox" if me["test"] else "production")


TALLY = Connector(
    name="tally",
    title="Tally",
    config=TallySettings,
    streams=(COMPANIES, USAGE),
    hosts=r"api\.tally\.example",
    vendor=vendor,
    identity=identity,
    sandbox=sandbox,
    sandbox_settings={"token": TOKEN},
)


@hookimpl
def cssync_connectors() -> tuple[Connector, ...]:
    """Offer the connector to cssync."""
    return (TALLY,)
