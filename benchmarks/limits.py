"""How much of what a vendor allows does a pull use, and how often is it refused? Run: `uv run benchmarks/limits.py`.

For each limit a server enforces it as the vendor does (HubSpot: any ten seconds, any second for search; Zendesk: each
minute, for the account and for exports, told in headers), with time running SPEED times as fast. Then one process, and
two that share a store, ask as fast as they may. Salesforce has no rate, only its day's allowance.

Prints the share of the allowed calls that was used, refusals (429) in per cent of calls, and calls sent although a
refusal had asked to wait. Aims: at least 95 %, under 1 %, none.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cssync.errors import TransientFault
from cssync.http import open_session
from cssync.plugins import plugins
from cssync.store import Store
from cssync.store.limiter import StoreLimiter

SPEED = 6.0
SECONDS = 30.0
"""How long each case asks."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A limit of a vendor: `calls` in `window` seconds, rolling or fixed; `header` tells what is left."""

    name: str
    connector: str
    settings: dict[str, Any]
    request: tuple[str, str]
    calls: int
    window: float
    rolling: bool
    header: str = ""
    refusal: tuple[bytes, bool] = (b"{}", False)


HUBSPOT = {"token": "bench"}
ZENDESK = {"subdomain": "bench", "email": "a@b.example", "token": "bench"}
CASES = (
    Case("HubSpot, 100 in 10 s", "hubspot", HUBSPOT, ("GET", "/crm/objects/2026-09/companies"), 100, 10, True,
         refusal=(b'{"policyName": "TEN_SECONDLY_ROLLING", "message": "slow"}', False)),
    Case("HubSpot, 190 in 10 s", "hubspot", {**HUBSPOT, "calls_per_10_seconds": 190},
         ("GET", "/crm/objects/2026-09/companies"), 190, 10, True,
         refusal=(b'{"policyName": "TEN_SECONDLY_ROLLING", "message": "slow"}', False)),
    Case("HubSpot search, 5 in 1 s", "hubspot", HUBSPOT, ("POST", "/crm/objects/2026-09/companies/search"), 5, 1, True,
         refusal=(b'{"policyName": "SECONDLY", "message": "slow"}', False)),
    Case("Zendesk account, 400 in 60 s", "zendesk", ZENDESK, ("GET", "/api/v2/organizations"), 400, 60, False,
         "ratelimit", (b'{"error": "APIRateLimitExceeded"}', True)),
    Case("Zendesk export, 10 in 60 s", "zendesk", ZENDESK, ("GET", "/api/v2/incremental/tickets/cursor"), 10, 60,
         False, "zendesk-ratelimit-incremental-exports", (b'{"error": "APIRateLimitExceeded"}', True)),
)  # fmt: skip


def server(case: Case, speed: float, ready: Any, tally: Any) -> None:
    """Enforce one limit; `tally` counts calls taken, refused, and sent while everybody was asked to wait."""
    window, lock = case.window / speed, threading.Lock()
    taken: deque[float] = deque()
    state = {"began": 0.0, "closed_until": 0.0}

    def admit(now: float) -> tuple[bool, int, float]:
        if case.rolling:
            while taken and taken[0] <= now - window:
                taken.popleft()
            reset = window if not taken else taken[0] + window - now
        else:
            if now >= state["began"] + window:
                state["began"] = now - (now % window)
                taken.clear()
            reset = state["began"] + window - now
        if len(taken) >= case.calls:
            return False, 0, reset
        taken.append(now)
        return True, case.calls - len(taken), reset

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            pass

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                now = time.monotonic()
                fine, left, reset = admit(now)
                tally[0 if fine else 1] += 1
                tally[2] += now < state["closed_until"] - 0.01
                if not fine and case.refusal[1]:
                    state["closed_until"] = now + reset
            body = b'{"results": []}' if fine else case.refusal[0]
            self.send_response(200 if fine else 429)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if case.header == "ratelimit":
                self.send_header("ratelimit-remaining", str(left))
                self.send_header("ratelimit-reset", f"{reset:.3f}")
            elif case.header:
                self.send_header(case.header, f"total={case.calls}; remaining={left}; resets={reset:.3f}")
            if not fine and case.refusal[1]:
                self.send_header("Retry-After", f"{reset:.3f}")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - named by the base class

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        ready.put(running.server_address[1])
        running.serve_forever()


def ask(case: Case, speed: float, url: str, store: str, seconds: float) -> None:
    """Ask as fast as the limiter lets us, for so long; runs in a process of its own."""
    connector = plugins().connector(case.connector)
    fields = {**case.settings, "connector": case.connector, "base_url": url, "allow_hosts": ["127.0.0.1"]}
    settings = connector.config.model_validate(fields)
    real = connector.vendor(settings)
    buckets = tuple(dataclasses.replace(b, seconds=b.seconds / speed) for b in real.buckets)
    faster = dataclasses.replace(connector, vendor=lambda _: dataclasses.replace(real, buckets=buckets))
    method, path = case.request
    with (
        StoreLimiter(Path(store)) as limiter,
        open_session(faster, settings, connection="crm", timezone=ZoneInfo("UTC"), limiter=limiter) as session,
        ThreadPoolExecutor(4) as pool,
    ):
        end = time.monotonic() + seconds

        def one() -> None:
            while time.monotonic() < end:
                try:
                    session.request(method, path, json={} if method == "POST" else None)
                except TransientFault as fault:
                    print(fault.message, file=sys.stderr)

        for worker in [pool.submit(one) for _ in range(4)]:
            worker.result()


def measured(case: Case, processes: int, speed: float, seconds: float) -> dict[str, float]:
    """Return share used, refusals in per cent and waits ignored, for one case."""
    ready: Any = multiprocessing.Queue()
    tally = multiprocessing.Array("q", 3, lock=False)
    running = multiprocessing.Process(target=server, args=(case, speed, ready, tally), daemon=True)
    running.start()
    url = f"http://127.0.0.1:{ready.get()}"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.db"
        Store.open(store).close()
        asking = [
            multiprocessing.Process(target=ask, args=(case, speed, url, str(store), seconds)) for _ in range(processes)
        ]
        began = time.monotonic()
        for process in asking:
            process.start()
        time.sleep(seconds)
        taken, refused, ignored = list(tally)
        spent = time.monotonic() - began
        for process in asking:
            process.join()
    running.terminate()
    allowed = case.calls / (case.window / speed) * spent
    return {
        "used_percent": round(100 * taken / allowed, 1),
        "refused_percent": round(100 * refused / max(1, taken + refused), 2),
        "waits_ignored": ignored,
    }


def main() -> None:
    """Measure and print each case with one process and with two."""
    only = sys.argv[1] if sys.argv[1:] else ""
    for case in CASES:
        for processes in (1, 2) if only in case.name else ():
            speed = 1.0 if case.window < 5 else SPEED
            found = measured(case, processes, speed, SECONDS)
            print(f"{case.name:30} {processes} process(es)  {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
