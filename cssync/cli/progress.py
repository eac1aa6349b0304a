"""What people and scripts see of a pull while it is at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cssync.cli.context import Call
    from cssync.sync import StreamReport


@contextmanager
def watched(call: Call) -> Iterator[Callable[[StreamReport], None]]:
    """Yield a function that takes the report of a stream as often as it changes, and shows all of them so far.

    A terminal shows them in place. Otherwise a line a stream is written to stderr every ten seconds, with `--json` one
    JSON object with all of them.
    """
    import json

    seen: dict[tuple[str, str], StreamReport] = {}
    with call.progress() as show:

        def told(report: StreamReport) -> None:
            seen[report.connection, report.stream] = report
            if call.json:
                show(lambda: json.dumps({"event": "progress", "streams": [document(r) for r in seen.values()]}))
            else:
                show(lambda: "\n".join(line(r) for r in seen.values()))

        yield told


def document(report: StreamReport) -> dict[str, Any]:
    """Return the state of a stream as data."""
    return {
        "connection": report.connection,
        "stream": report.stream,
        "read": report.read,
        "new": report.new,
        "changed": report.changed,
        "failed": report.failed,
        "per_second": round(report.rate, 1),
        "waiting_until": report.waiting_until or None,
        "waiting_for": report.waiting_for or None,
        "calls_left": report.calls_left,
    }


def line(report: StreamReport) -> str:
    """Return the state of a stream for people."""
    text = (
        f"{report.connection}.{report.stream}: {report.read:,} read, {report.new:,} new, {report.changed:,} changed, "
        f"{report.failed:,} failed, {report.rate:,.0f} a second"
    )
    if report.waiting_until:
        text += f", waiting for {report.waiting_for or 'rate limit'} until {report.waiting_until}"
    return text if report.calls_left is None else f"{text}, {report.calls_left:,} calls left today"
