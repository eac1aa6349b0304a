"""Log records as lines on stderr."""

from __future__ import annotations

import logging

import click

from cssync.cli.complain import redacted
from cssync.cli.context import plain


class Stderr(logging.Handler):
    """Writes `warning: ...`; with -v also who says it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            who = f" {record.name}:" if logging.getLogger().level < logging.WARNING else ""
            click.echo(plain(redacted(f"{record.levelname.lower()}:{who} {self.format(record)}")), err=True)
        except Exception:  # noqa: BLE001 - a log line must never stop the work
            self.handleError(record)


def start(verbose: int) -> None:
    """Show warnings; with `verbose` 1 what goes on, with 2 what is for developers. Secrets are taken out by value."""
    root = logging.getLogger()
    root.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    if not any(isinstance(handler, Stderr) for handler in root.handlers):
        root.addHandler(Stderr())
