"""The one HTTP client: everything that leaves this process for a vendor goes through a session opened here."""

from cssync.http.client import open_session
from cssync.http.clock import SYSTEM, Clock
from cssync.http.limit import UNLIMITED, Limiter, ProcessLimiter
from cssync.http.redaction import install, redact

__all__ = ["SYSTEM", "UNLIMITED", "Clock", "Limiter", "ProcessLimiter", "install", "open_session", "redact"]
