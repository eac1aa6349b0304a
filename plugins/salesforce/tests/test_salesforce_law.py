"""The law of the pull: whatever the page size, wherever it is killed, whatever people do meanwhile, it catches up."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from cssync.connectors import Answer, PullRequest
from cssync.sandbox.server import SandboxRequest
from cssync.sandbox.world import World
from cssync_salesforce.connector import CLIENT, SALESFORCE
from cssync_salesforce.sandbox.org import SalesforceSandbox

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BASE = "https://acme.my.salesforce.com"


class Direct:
    """A session that asks the org without HTTP; `before` is called ahead of each request."""

    def __init__(self, org: SalesforceSandbox, before: Any, bulk_from: int) -> None:
        self.org = org
        self.before = before
        self.timezone = ZoneInfo("UTC")
        self.requests = 0
        self.settings = SALESFORCE.config.model_validate(
            {"connector": "salesforce", "instance_url": BASE, "bulk_from": bulk_from, **CLIENT}
        )
        org.tokens.add("t")

    def now(self) -> datetime:
        return self.org.clock()

    def wait(self, seconds: float) -> None:
        """Time passes only when people do something."""

    def get(self, path: str, *, accept: Sequence[int] = (), **params: Any) -> Answer:
        return self.request("GET", path, params=params, accept=accept)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        accept: Sequence[int] = (),
        json: Any = None,
        headers: Any = None,
    ) -> Answer:
        self.requests += 1
        self.before()
        given_ = {k: str(v) for k, v in (params or {}).items() if v is not None}
        body = jsonlib.dumps(json).encode() if json else b""
        got = self.org.handle(SandboxRequest(method, path, given_, {"authorization": "Bearer t"}, body, BASE))
        assert got.status < 300 or got.status in accept
        content = got.body if isinstance(got.body, bytes) else jsonlib.dumps(got.body).encode()
        return Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, content)


EDIT = st.tuples(
    st.integers(0, 12),  # ahead of which request
    st.sampled_from(["edit", "insert", "delete", "undelete", "drop cursors", "drop jobs"]),
    st.integers(0, 30),  # which record
    st.integers(0, 700),  # seconds that pass before it
)


@settings(max_examples=120, deadline=None)
@given(
    batch=st.integers(1, 12),
    seconds=st.lists(st.integers(0, 3), min_size=0, max_size=30),
    edits=st.lists(EDIT, max_size=8),
    kills=st.lists(st.integers(1, 5), max_size=4),
    bulk_from=st.sampled_from([0, 1, 8]),
    largest=st.integers(1, 9),
)
def test_a_clean_run_after_any_history_holds_what_the_org_holds(
    batch: int,
    seconds: list[int],
    edits: list[tuple[int, str, int, int]],
    kills: list[int],
    bulk_from: int,
    largest: int,
) -> None:
    org = SalesforceSandbox(World(NOW, ()), **CLIENT)
    clock = [NOW]
    org.clock = lambda: clock[0]
    org.batch = batch
    org.jobs.largest = largest
    for number, gap in enumerate(seconds):
        clock[0] += timedelta(seconds=gap)
        org.insert("Account", Name=f"A{number}")
    clock[0] += timedelta(seconds=1)
    waiting = sorted(edits, reverse=True)
    session = Direct(org, lambda: live(org, clock, session, waiting), bulk_from)
    stream = SALESFORCE.stream("accounts")
    assert stream is not None
    held: dict[str, str] = {}
    cursor: Any = None
    for limit in (*kills, None, None):
        if limit is None:
            waiting.clear()  # the world stands still
        request = PullRequest(cursor, stream.fields_of, stream.lag)
        for count, page in enumerate(stream.pages(session, request), 1):
            held.update((r["id"], r["SystemModstamp"][:19]) for r in page.records)
            for gone in page.deleted:
                held.pop(gone.source_id, None)
            cursor = page.cursor if page.cursor is not None else cursor
            if count == limit:
                break
    assert held == {k: r["SystemModstamp"][:19] for k, r in org.tables["Account"].items() if not r["IsDeleted"]}


def live(
    org: SalesforceSandbox, clock: list[datetime], session: Direct, waiting: list[tuple[int, str, int, int]]
) -> None:
    """Do what people do ahead of this request."""
    while waiting and waiting[-1][0] < session.requests:
        _, what, which, gap = waiting.pop()
        clock[0] += timedelta(seconds=gap)
        ids = sorted(org.tables["Account"])
        if what == "drop cursors":
            org.locators.clear()
        elif what == "drop jobs":
            org.jobs.held.clear()
        elif what == "insert":
            org.insert("Account", Name="New")
        elif ids:
            key = ids[which % len(ids)]
            if what == "edit":
                org.edit("Account", key, Name=f"Edited {session.requests}")
            else:
                org.edit("Account", key, IsDeleted=what == "delete")
