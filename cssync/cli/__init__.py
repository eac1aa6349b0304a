"""The command line: `main` is the entry point `cssync`.

COMMANDS names every command, where its code is and its short help, so that `cssync --help` imports nothing but click.
A command is a click command decorated with `@shared` (`cssync.cli.context`): it parses, calls one function, prints,
and returns its exit code (None is 0). Errors are printed here, once, for all of them.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from cssync import __version__
from cssync.cli.context import Group, root_options

COMMANDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Set up": (
        ("demo", "cssync.cli.demo:demo", "Watch the whole job run against sandbox vendors."),
        ("init", "cssync.cli.init:init", "Write a commented cssync.yaml to start from."),
        ("check", "cssync.cli.check:check", "Prove the set-up: credentials, scopes, fields, rules."),
        ("plugins", "cssync.cli.plugins:plugins", "List installed connectors and rule packs."),
        ("fields", "cssync.cli.fields:fields", "List a connection's fields as the vendor describes them."),
        ("provision", "cssync.cli.provision:provision", "Create the vendor fields that the write-back fills."),
        ("disconnect", "cssync.cli.disconnect:disconnect", "Say how a connection is removed, step by step."),
    ),
    "Pull": (
        ("sync", "cssync.cli.sync:sync", "Pull what is new, then link it to accounts."),
        ("verify", "cssync.cli.verify:verify", "Compare the store with the vendors, record by record."),
        ("link", "cssync.cli.link:link", "See and decide which records are one account."),
        ("quarantine", "cssync.cli.quarantine:quarantine", "See, retry or drop records that could not be stored."),
    ),
    "Judge": (
        ("rules", "cssync.cli.rules:rules", "Check, test, try and read the rule packs."),
        ("evaluate", "cssync.cli.evaluate:evaluate", "Compute scores, bands, signals and tasks."),
        ("accounts", "cssync.cli.accounts:accounts", "List accounts with their health and renewal."),
        ("kpi", "cssync.cli.kpi:kpi", "Show revenue, retention, forecast and satisfaction of a period."),
        ("report", "cssync.cli.report:report", "Print the reports of the packs."),
        ("explain", "cssync.cli.explain:explain", "Say why an account has its score."),
    ),
    "Write back": (
        ("plan", "cssync.cli.plan:plan", "Show what would be written, and why."),
        ("apply", "cssync.cli.apply:apply", "Send a plan, exactly as shown."),
        ("approve", "cssync.cli.apply:approve", "Release a plan that a brake holds."),
        ("undo", "cssync.cli.undo:undo", "Plan the values back that a run replaced."),
        ("failures", "cssync.cli.failures:failures", "List, retry or drop writes that failed."),
        ("history", "cssync.cli.failures:history", "List what was written for an account."),
    ),
    "Run": (
        ("run", "cssync.cli.run:run", "Do the whole job once: pull, link, judge, plan, write."),
        ("status", "cssync.cli.status:status", "Show runs, streams, lease and outbox."),
        ("diagnostics", "cssync.cli.diagnostics:diagnostics", "Print a report for support, without secrets."),
    ),
}


class Root(Group):
    """The group `cssync`: grouped help, and one place where errors become messages and exit codes."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by purpose, from the table."""
        width = max(len(name) for entries in COMMANDS.values() for name, _, _ in entries)
        for section, entries in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), short) for name, _, short in entries])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run a command line and exit with its code; never a traceback for bad input."""
        given = list(sys.argv[1:] if args is None else args)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is a person's Ctrl-C
        extra["standalone_mode"] = False
        try:
            code = super().main(given, *rest, **extra)
        except BrokenPipeError:
            code = 1
        except (click.Abort, KeyboardInterrupt):
            click.echo("stopped; what was committed stays, and the next run goes on from there", err=True)
            code = 130
        except Exception as error:  # noqa: BLE001 - the last place that can turn an error into words
            from cssync.cli.complain import complain

            code = complain(error, given)
        sys.exit(code if isinstance(code, int) else 0)


@click.command(
    "cssync",
    cls=Root,
    table={name: (where, short) for entries in COMMANDS.values() for name, where, short in entries},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`cssync COMMAND --help` shows an example of each. Exit codes: 0 ok, 1 failed, 2 bad configuration or "
    "usage, 3 partial, 4 needs approval, 5 another run holds the lease, 130 stopped by a signal.",
)
@click.version_option(__version__, prog_name="cssync", help="Show the version and exit.")
@root_options
def main() -> None:
    """Customer success as code: pull from CRM and support desk, score by rules, write back what you planned."""
