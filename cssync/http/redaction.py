"""Take secrets out of texts, by value and in the forms they get encoded to.

Every session tells this module its secrets and each token it fetches. `redact` cleans a text that is about to be
shown or stored; `install` makes the standard library's logging clean every record of whatever logger.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import threading
import traceback
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

if TYPE_CHECKING:
    from cssync.connectors.settings import ConnectionSettings

MASK = "[redacted]"
SHORTEST = 4
"""A shorter value is not looked for: masking every `a` would leave nothing to read and hides nothing."""

_lock = threading.Lock()
_known: set[str] = set()
_forms: set[str] = set()
_pattern: re.Pattern[str] | None = None


def forms(secret: str) -> set[str]:
    """Return the secret as it may appear in a text: plain, URL-encoded, in JSON, Python and HTML quotes, in base64.

    In base64 a value looks different by what stands before it (`email/token:SECRET`): the characters that depend on
    the neighbours are cut off, at each of the three alignments.
    """
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    found |= {re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), f) for f in found}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    found |= {json.dumps(secret)[1:-1].replace("/", "\\/"), html.escape(secret)}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        head = (0, 2, 3)[offset]
        tail = len(encoded) if (offset + len(raw)) % 3 == 0 else len(encoded) - 1
        core = encoded[head:tail]
        if len(core) >= 2 * SHORTEST:
            found |= {core, core.replace("+", "-").replace("/", "_")}
    return {f for f in found if len(f) >= SHORTEST}


def credentials(settings: ConnectionSettings, headers: Mapping[str, str]) -> list[str]:
    """Return the secret settings, and the credential in each static header that carries one."""
    named = [v.get_secret_value() for _, v in settings if isinstance(v, SecretStr)]
    carried = [v.split()[-1] for k, v in headers.items() if re.search("auth|key|token|secret", k, re.I) and v.strip()]
    return named + carried


def remember(secrets: Iterable[str]) -> None:
    """Add values that must appear in no text from now on; those under 4 characters are ignored."""
    global _pattern
    new = {s for s in secrets if len(s) >= SHORTEST} - _known
    if not new:
        return
    with _lock:
        _known.update(new)
        for secret in new:
            _forms.update(forms(secret))
        _pattern = re.compile("|".join(re.escape(f) for f in sorted(_forms, key=len, reverse=True)))


def redact(text: str) -> str:
    """Return the text with every known secret, in whatever form, replaced by `[redacted]`."""
    return _pattern.sub(MASK, text) if _pattern else text


def install(secrets: Iterable[str] = ()) -> None:
    """Clean every log record from now on, whoever logs it and whichever handler writes it, tracebacks included.

    Also keeps httpx and httpcore quiet below WARNING: they log whole URLs. Calling it again only adds secrets.
    """
    remember(secrets)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        if _pattern:
            try:
                made.msg, made.args = redact(made.getMessage()), ()
            except (TypeError, ValueError):
                made.msg, made.args = redact(str(made.msg)), ()
            if made.exc_info and made.exc_info[0]:
                made.exc_text = redact("".join(traceback.format_exception(*made.exc_info)).rstrip())
        return made

    record.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)
