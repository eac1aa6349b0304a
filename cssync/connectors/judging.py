"""What an HTTP answer means where the vendor follows the usual rules; a vendor's own judge starts from here."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from cssync.connectors.session import Answer, Verdict
from cssync.errors import ConnectionFault

BUSY = (408, 425, 429)
DAY = 86_400.0


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that `Retry-After` asks for, None without a usable one.

    It is a number of seconds or an HTTP date (RFC 9110, 10.2.3); a date is measured against the answer's own `Date`
    header, never against the local clock. More than a day is taken for a day: whoever asks then is told again.
    """
    value = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        due, sent = http_date(value), http_date(answer.headers.get("date", ""))
        return min(DAY, max(0.0, (due - sent).total_seconds())) if due and sent else None
    return min(DAY, seconds) if 0 <= seconds < float("inf") else None


def http_date(value: str) -> datetime | None:
    """Read an HTTP date as an aware UTC instant; None when it is none."""
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def error_body(answer: Answer) -> Any:
    """Decode the body of a refusal, None when it is not JSON (an HTML error page, an empty body)."""
    try:
        return answer.json()
    except ConnectionFault:
        return None


def judge_by_status(answer: Answer) -> Verdict:
    """Judge by the status code alone.

    2xx ok; 401 renew; 408, 425, 429 wait as `Retry-After` says; 5xx retry, likewise; everything else fails.
    """
    status = answer.status
    if 200 <= status < 300:
        return Verdict("ok")
    if status == 401:
        return Verdict(
            "renew",
            message="the vendor did not accept the credential",
            fix="check the credential of this connection: it may be revoked, expired or of another organisation",
        )
    if status in BUSY:
        return Verdict("wait", seconds=retry_after(answer), message="too many requests" if status == 429 else "busy")
    if status >= 500:
        return Verdict("retry", seconds=retry_after(answer), message="the vendor has a problem of its own")
    return _FAILS.get(status) or Verdict("fail", message="the vendor refused the request")


_FAILS = {
    400: Verdict("fail", message="the vendor calls the request wrong"),
    402: Verdict("fail", message="the vendor wants the account's subscription settled", fix="check the vendor account"),
    403: Verdict(
        "fail",
        message="the credential may not do this",
        fix="grant the missing scope or permission; `cssync check` names it",
    ),
    404: Verdict("fail", message="there is no such thing", fix="check base_url, the object's name and its permission"),
    410: Verdict("fail", message="the vendor has withdrawn this address", fix="update cssync"),
    422: Verdict("fail", message="the vendor found the values invalid"),
}
