"""Errors, named after what happens next.

    CssyncError
    ├── ConfigError      stop before anything is read or written; an admin must act   exit 2
    ├── ConnectionFault  this connection or stream stops; the others go on            exit 1 or 3
    │   ├── TransientFault   the same, and the next run may well succeed              exit 3
    │   ├── Refused          a final no to one request, which did nothing
    │   └── UnknownOutcome   a write got no readable answer: settle it by looking
    ├── RecordError      one record is quarantined; the stream goes on
    ├── ApprovalNeeded   a brake held the plan back                                   exit 4
    └── LeaseHeld        another run works on this store                              exit 5
        └── LeaseLost    this run was overtaken; it must not write any more

A CssyncError is printed without a traceback: what happened and where, what is safe (`kept`), what to do (`fix`).
Anything else that is raised is a bug and shows its traceback.
"""

from __future__ import annotations


class CssyncError(Exception):
    """What happened (`message`), what is safe (`kept`) and what to do (`fix`), for an admin to read.

    No secret, request body or personal data may enter any of the three.
    """

    exit_code = 1

    def __init__(self, message: str, *, kept: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kept = kept
        self.fix = fix


class ConfigError(CssyncError):
    """The configuration, a rule file, a credential or the usage is wrong; nothing was read or written."""

    exit_code = 2


class ConnectionFault(CssyncError):
    """A vendor refused or answered wrongly; this stream or connection stops, its checkpoint untouched."""


class TransientFault(ConnectionFault):
    """The vendor was busy, limited or unreachable beyond our patience.

    `resumes_at` is an ISO instant (UTC) when the vendor said when to come back, else None.
    """

    exit_code = 3

    def __init__(self, message: str, *, kept: str = "", fix: str = "", resumes_at: str | None = None) -> None:
        super().__init__(message, kept=kept, fix=fix)
        self.resumes_at = resumes_at


class Refused(ConnectionFault):
    """The vendor's final no (credentials, scope, permission, bad request): the request it answers changed nothing."""


class UnknownOutcome(ConnectionFault):
    """A write got no readable answer; whether it took effect must be looked up before it is sent again.

    `in_time` is False when we were the ones who stopped waiting: the vendor may still be at it.
    """

    def __init__(self, message: str, *, kept: str = "", fix: str = "", in_time: bool = True) -> None:
        super().__init__(message, kept=kept, fix=fix)
        self.in_time = in_time


class RecordError(CssyncError):
    """One record cannot be normalised: `field` and the raw `value` say where."""

    def __init__(self, message: str, *, field: str = "", value: object = None) -> None:
        super().__init__(message)
        self.field = field
        self.value = value


class ApprovalNeeded(CssyncError):
    """A brake held a plan back; `cssync approve PLAN` releases it."""

    exit_code = 4


class LeaseHeld(CssyncError):
    """Another run holds the lease of this store."""

    exit_code = 5


class LeaseLost(LeaseHeld):
    """This run's lease was taken over while it was stalled; its writes are refused by the fence."""
