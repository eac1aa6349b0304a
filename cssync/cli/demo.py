"""cssync demo."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, example, shared

if TYPE_CHECKING:
    from cssync.sandbox.vendors import Vendor

SEED = 7
PORT = 8471
UP = "They are up as long as `cssync demo --serve` runs. After that, what needs no vendor still works."
DOWN = (
    "They are gone by now: status, accounts, explain, plan, history and rules still work.\n"
    "# `cssync demo --keep FOLDER --serve` keeps them up, so that sync, apply and run work too."
)


@click.command(epilog=example("cssync demo", "cssync demo --keep ./demo --serve"))
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Leave the workspace in a new folder.")
@click.option("--serve", is_flag=True, help="Keep the vendors up afterwards, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65_000), help=f"First of the vendors' ports; else {PORT} with --serve.")
@click.option("--companies", type=click.IntRange(1, 5_000), default=300, show_default=True, help="Invented companies.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the screen as an SVG file too.")
@shared
def demo(call: Call, keep: Path | None, serve: bool, port: int | None, companies: int, picture: Path | None) -> int:
    """Watch the whole job run against sandbox vendors.

    Starts HubSpot, Salesforce and Zendesk sandboxes on this machine and runs the pipeline of a real workspace over
    HTTP: pull, link, judge, plan, apply, read back, and the same again to show that nothing is written when nothing
    changed. Needs no account and no network. Exit code 0 when all of it was verified.
    """
    from cssync.cli.when import now
    from cssync.plugins import plugins
    from cssync.sandbox.demo import demo as run
    from cssync.sandbox.make_world import make
    from cssync.sandbox.vendors import vendors
    from cssync.sandbox.workspace import CONNECTIONS, write_workspace
    from cssync.views.demo import screen
    from cssync.views.terminal import console

    installed = plugins()
    connectors = {name: installed.connector(connector) for name, connector in CONNECTIONS.items()}
    moment = now()
    with _folder(keep, serve=serve) as folder:
        call.say(f"starting {len(connectors)} vendors with {companies:,} invented companies")
        with vendors(make(companies, SEED, moment), connectors, port if port is not None else PORT * serve) as running:
            urls = {vendor.connection: vendor.server.url for vendor in running}
            path = write_workspace(folder, connectors, urls, UP if serve else DOWN)
            report = run(path, running, companies=companies, as_of=moment, say=call.say)
            if call.json:
                call.show(asdict(report), ())
            else:
                target = console()
                target.print(screen(report, target.width))
            if picture:
                from cssync.views.picture import WIDTH, svg

                picture.write_text(svg(screen(report, WIDTH), "Result of cssync demo"), encoding="utf-8")
            if serve:
                _serve(call, path, running)
        if keep and not call.json:
            call.say(f"kept: {path} (look with `cssync -c {path} status`)")
    return 1 if report.faults else 0


@contextlib.contextmanager
def _folder(keep: Path | None, *, serve: bool) -> Iterator[Path]:
    """Yield the workspace's folder: `keep`, which must be new or empty, or one that is gone afterwards.

    Raises:
        ConfigError: something is there already.
    """
    from cssync.errors import ConfigError

    if keep is None:
        with tempfile.TemporaryDirectory(prefix="cssync-demo-") as name:
            yield Path(name)
        return
    if keep.exists() and any(keep.iterdir()):
        raise ConfigError(f"{keep} is not empty", kept="nothing in it was touched", fix="name a new folder with --keep")
    yield keep


def _serve(call: Call, path: Path, running: tuple[Vendor, ...]) -> None:
    """Keep the vendors up until Ctrl-C, or until the process is asked to end."""
    import signal
    import threading

    for vendor in running:
        call.say(f"{vendor.connector.title} is at {vendor.server.url}")
    call.say(f"try another terminal: `cssync -c {path} run`; Ctrl-C ends the vendors")
    ended = threading.Event()
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, lambda *_: ended.set())
    ended.wait()
