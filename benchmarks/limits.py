"""How much of what a vendor allows is used, and how often is it refused? Run: `uv run benchmarks/limits.py [CASE]`.

Sessions and limiters are the real ones, the state of the limiters is in a store; only the network and the clock are
simulated, so that hours pass in seconds and a run is the same each time. The server keeps the books: rolling windows
(HubSpot), windows that follow each other and begin when it likes (Zendesk), a day's allowance, requests at a time
(Salesforce). It tells what the vendor's headers tell, in whole seconds, and takes its time to answer.

One process, and two that share a store, ask with as many threads as the connector allows. Printed for each case: the
share of the allowed calls that the server took, over all whole windows but the first; refusals in per cent of calls;
and calls sent by somebody after he was told to wait. Aims: at least 95 %, under 1 %, none.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.errors import CssyncError
from cssync.http import open_session
from cssync.http.wire import Received
from cssync.plugins import plugins
from cssync.store import Store
from cssync.store.limiter import StoreLimiter

BEGIN = 1_795_000_017.3
"""Epoch seconds at which everything begins: within somebody's window."""


@dataclass(frozen=True)
class Case:
    """A limit. calls: in `window` seconds (rolling or fixed), or at a time where `window` is 0.

    takes: seconds to answer. header: which headers tell what is left. share: of the day's allowance that is ours.
    windows: how long it is asked.
    """

    name: str
    connector: str
    settings: Mapping[str, Any]
    request: tuple[str, str]
    calls: int
    window: float
    rolling: bool = False
    header: str = ""
    refusal: tuple[int, str] = (429, "{}")
    retry_after: bool = False
    takes: float = 0.1
    windows: int = 20
    share: str = "1"


HUBSPOT = {"token": "bench"}
ZENDESK = {"subdomain": "bench", "email": "a@b.example", "token": "bench"}
SALESFORCE = {"client_id": "c", "client_secret": "bench"}
TEN = (429, '{"policyName": "TEN_SECONDLY_ROLLING", "message": "slow"}')
SECOND = (429, '{"policyName": "SECONDLY", "message": "slow"}')
DAILY = (429, '{"policyName": "DAILY", "message": "enough"}')
USED_UP = (403, '[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]')
TOO_MANY = (403, '[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentPerOrgLongTxn Limit exceeded."}]')
LIST = ("GET", "/crm/objects/2026-09/companies")
MINUTE = (429, '{"error": "APIRateLimitExceeded", "description": "Number of allowed API requests per minute exceeded"}')
EXPORT = (429, '{"error": "APIRateLimitExceeded", "description": "Number of allowed incremental export API requests"}')
JOBS = (429, '{"error": "TooManyJobs", "description": "too many jobs"}')
QUERY = ("GET", "/services/data/v66.0/queryAll")
DAY = 86_400.0
CASES = (
    Case("HubSpot, 100 in 10 s", "hubspot", HUBSPOT, LIST, 100, 10, True, "hubspot", TEN),
    Case("HubSpot, 190 in 10 s", "hubspot", {**HUBSPOT, "calls_per_10_seconds": 190}, LIST, 190, 10, True, "hubspot",
         TEN),
    Case("HubSpot search, 5 in 1 s", "hubspot", HUBSPOT, ("POST", f"{LIST[1]}/search"), 5, 1, True, "", SECOND,
         windows=200),
    Case("HubSpot day, all of it", "hubspot", HUBSPOT, LIST, 5000, DAY, False, "daily", DAILY, windows=1),
    Case("HubSpot day, 80 % ours", "hubspot", HUBSPOT, LIST, 5000, DAY, False, "daily", DAILY, windows=1, share="0.8"),
    Case("Salesforce day, all of it", "salesforce", SALESFORCE, QUERY, 5000, DAY, False, "sforce", USED_UP, windows=1),
    Case("Salesforce day, 70 % ours", "salesforce", SALESFORCE, QUERY, 5000, DAY, False, "sforce", USED_UP, windows=1,
         share="0.7"),
    Case("Salesforce, 25 long at a time", "salesforce", SALESFORCE, QUERY, 25, 0, refusal=TOO_MANY, takes=25),
    Case("Zendesk account, 400 in 60 s", "zendesk", ZENDESK, ("GET", "/api/v2/organizations"), 400, 60, False,
         "ratelimit", MINUTE, True),
    Case("Zendesk exports, 10 in 60 s", "zendesk", ZENDESK, ("GET", "/api/v2/incremental/tickets/cursor"), 10, 60,
         False, "incremental-exports", EXPORT, True, takes=2.0),
    Case("Zendesk users, 20 in 60 s", "zendesk", ZENDESK, ("GET", "/api/v2/incremental/users/cursor"), 20, 60,
         False, "incremental-exports-cursor", EXPORT, True, takes=2.0),
    Case("Zendesk ticket updates, 100 in 60 s", "zendesk", ZENDESK, ("PUT", "/api/v2/tickets/7"), 100, 60, False,
         "tickets-update", MINUTE, True),
    Case("Zendesk jobs, 30 in 60 s", "zendesk", ZENDESK, ("PUT", "/api/v2/organizations/update_many"), 30, 60, True,
         "inflight-jobs", JOBS),
)  # fmt: skip


class Simulated:
    """A clock for several threads: when all of them sleep, it moves on to the first that wakes; one runs at a time."""

    def __init__(self) -> None:
        self.now = BEGIN
        self._order = itertools.count()
        self._sleeping: list[tuple[float, int, threading.Event]] = []
        self._lock = threading.Lock()

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        """Let the others go on until so much time has gone by."""
        me = threading.Event()
        with self._lock:
            heapq.heappush(self._sleeping, (self.now + max(0.0, seconds), next(self._order), me))
            self._wake()
        me.wait()

    def join(self) -> None:
        """Be one of the threads: sleep until `start`."""
        me = threading.Event()
        with self._lock:
            heapq.heappush(self._sleeping, (self.now, next(self._order), me))
        me.wait()

    def leave(self) -> None:
        """Let the others go on for good."""
        with self._lock:
            self._wake()

    def _wake(self) -> None:
        if self._sleeping:
            at, _, other = heapq.heappop(self._sleeping)
            self.now = max(self.now, at)
            other.set()


@dataclass
class Server:
    """The vendor's books. taken: when calls were counted; told: until when each thread was asked to wait."""

    case: Case
    clock: Simulated
    taken: list[float] = field(default_factory=list)
    refused: int = 0
    ignored: int = 0
    at_work: int = 0
    most_at_work: int = 0
    closed_until: dict[int, float] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def window(self, at: float) -> float:
        """When the window of an instant began."""
        return at - at % self.case.window

    def left(self, now: float) -> tuple[int, float]:
        """Return how many calls are left and the seconds until there are more."""
        case = self.case
        if not case.window:
            return case.calls - self.at_work, 1.0
        begin = now - case.window if case.rolling else self.window(now)
        inside = list(itertools.takewhile(lambda at: at > begin, reversed(self.taken)))
        over = inside[-1] + case.window - now if case.rolling and inside else begin + case.window - now
        return case.calls - len(inside), over

    def send(self, method: str, url: str, **_: Any) -> Received:
        """Answer after a while, as `Wire.send` does."""
        if url.endswith("/oauth2/token"):
            return Received(200, {}, b'{"access_token": "t"}', url, "crm")
        case, me = self.case, threading.get_ident()
        self.ignored += self.clock.now < self.closed_until.get(me, 0.0) - 1e-6
        self.clock.sleep(self.chance.uniform(0.01, 0.05))
        now = self.clock.now
        fine = self.left(now)[0] > 0
        if fine:
            self.taken.append(now)
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        self.refused += not fine
        headers = self.headers(now)
        self.clock.sleep(self.chance.uniform(0.6, 1.4) * (case.takes if fine else 0.05))
        self.at_work -= fine
        if not fine and "retry-after" in headers:
            self.closed_until[me] = now + float(headers["retry-after"])
        body = b'{"results": []}' if fine else case.refusal[1].encode()
        headers["content-type"] = "application/json"
        return Received(200 if fine else case.refusal[0], headers, body, url, "crm")

    def headers(self, now: float) -> dict[str, str]:
        """What the vendor tells, in whole seconds."""
        case = self.case
        left, over = self.left(now)
        left, seconds = max(0, left), int(over)
        found = {
            "": {},
            "hubspot": {"x-hubspot-ratelimit-max": str(case.calls), "x-hubspot-ratelimit-remaining": str(left),
                        "x-hubspot-ratelimit-interval-milliseconds": "10000"},
            "daily": {"x-hubspot-ratelimit-daily": str(case.calls), "x-hubspot-ratelimit-daily-remaining": str(left)},
            "sforce": {"sforce-limit-info": f"api-usage={case.calls - left}/{case.calls}"},
            "ratelimit": {"ratelimit-limit": str(case.calls), "ratelimit-remaining": str(left),
                          "ratelimit-reset": str(seconds)},
        }.get(case.header, {f"zendesk-ratelimit-{case.header}": f"total={case.calls}; remaining={left}; "
                                                                f"resets={seconds}"})  # fmt: skip
        return {**found, **({"retry-after": str(seconds + 1)} if case.retry_after and not left else {})}


def asking(case: Case, server: Server, clock: Simulated, store: Path, stack: ExitStack) -> Iterator[threading.Thread]:
    """Yield the threads of one process; they ask until time is up or the session has had enough."""
    connector = plugins().connector(case.connector)
    fields = {
        **case.settings,
        "connector": case.connector,
        "base_url": "https://127.0.0.1",
        "allow_hosts": ["127.0.0.1"],
    }
    settings = connector.config.model_validate(fields)
    session: Any = stack.enter_context(
        open_session(
            connector, settings, connection="crm", timezone=ZoneInfo("UTC"), clock=clock, share=Decimal(case.share),
            limiter=stack.enter_context(StoreLimiter(store, clock)),
        )
    )  # fmt: skip
    session._wire.send = server.send
    end = BEGIN + (case.window or 60) * (case.windows + 2)
    method, path = case.request

    def ask() -> None:
        clock.join()
        try:
            while clock.now < end:
                session.request(method, path, json={} if method == "POST" else None)
        except CssyncError:
            pass  # the day's allowance, or our share of it, is used up
        finally:
            clock.leave()

    for _ in range(connector.vendor(settings).concurrency):
        yield threading.Thread(target=ask)


def measured(case: Case, processes: int) -> dict[str, float]:
    """Return share used, refusals in per cent and waits ignored, for one case."""
    clock = Simulated()
    server = Server(case, clock)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = Path(folder) / "bench.db"
        Store.open(store).close()
        threads = [t for _ in range(processes) for t in asking(case, server, clock, store, stack)]
        for thread in threads:
            thread.start()
        while len(clock._sleeping) < len(threads):
            threading.Event().wait(0.01)
        clock.leave()
        for thread in threads:
            thread.join()
    calls = len(server.taken) + server.refused
    if not case.window:
        used = 100 * server.most_at_work / (4 * processes)
    elif case.windows == 1:
        used = 100 * len(server.taken) / (case.calls * float(case.share))
    else:
        first = (BEGIN if case.rolling else server.window(BEGIN)) + case.window
        inside = sum(first <= at < first + case.windows * case.window for at in server.taken)
        used = 100 * inside / (case.calls * case.windows)
    refused = round(100 * server.refused / calls, 2)
    return {"used_percent": round(used, 1), "refused_percent": refused, "waits_ignored": server.ignored}


def main() -> None:
    """Measure and print each case with one process and with two."""
    for case in CASES:
        for processes in (1, 2) if (sys.argv[1] if sys.argv[1:] else "") in case.name else ():
            print(f"{case.name:36} {processes} process(es)  {json.dumps(measured(case, processes))}", flush=True)


if __name__ == "__main__":
    main()
