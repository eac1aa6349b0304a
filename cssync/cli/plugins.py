"""cssync plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from cssync.cli.context import Call, columns, example, shared


@click.command(epilog=example("cssync plugins", "cssync plugins --json"))
@shared
def plugins(call: Call) -> int:
    """List installed connectors and rule packs.

    A plugin that cannot be loaded is named with its error; the others work all the same. Plugins run inside cssync:
    install only those you trust.
    """
    from cssync.plugins import Plugin
    from cssync.plugins import plugins as found

    def lines(installed: Iterable[Plugin]) -> Iterator[str]:
        yield from columns(
            ("PLUGIN", "DISTRIBUTION", "CONNECTORS", "RULE SETS", "STATE"),
            (
                (
                    p.name,
                    f"{p.distribution} {p.version}",
                    ", ".join(p.connectors) or None,
                    ", ".join(p.rule_packs) or None,
                    f"broken: {p.error}" if p.error else "ok",
                )
                for p in installed
            ),
        )

    installed = found()
    document = [
        {
            "name": p.name,
            "module": p.value,
            "distribution": p.distribution,
            "distribution_version": p.version,
            "connectors": [
                {"name": name, "title": c.title, "streams": [s.name for s in c.streams]}
                for name in p.connectors
                if (c := installed.connectors.get(name))
            ],
            "rule_sets": list(p.rule_packs),
            "error": p.error or None,
        }
        for p in installed.installed
    ]
    call.show({"plugins": document}, lines(installed.installed))
    return 0
