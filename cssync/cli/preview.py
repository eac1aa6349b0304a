"""cssync rules preview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.rules.preview import Effect, Preview

SHOWN = 20
"""Accounts and items listed for people, of each kind."""
BANDS = ("green", "yellow", "red", "unknown", "none")


@click.command(epilog=example("cssync rules preview", "cssync rules preview ./rules --json"))
@click.argument(
    "edit",
    required=False,
    type=click.Path(path_type=Path, exists=True),
    metavar="[FILE|FOLDER]",
    help="Edited packs, in place of those of the same name in cssync.yaml.  [default: the packs of cssync.yaml]",
)
@shared
def preview(call: Call, edit: Path | None) -> int:
    """Show what edited rules would change over the whole portfolio, before anything is written.

    Compares the rules that ran last with the edited ones: accounts that change score or band, signals and tasks that
    would start or end, ARR of renewals at risk. What the edit does is told apart from what newer data do by themselves.
    """
    from dataclasses import asdict

    from cssync.cli.when import now
    from cssync.rules import load
    from cssync.rules.loading import load_edited
    from cssync.rules.preview import preview as compare

    workspace = call.workspace(secrets=False)
    rules = load(workspace)
    if edit is not None:
        rules = load_edited(rules.sources, edit)
    with call.store(workspace) as store:
        found = compare(store, rules, workspace, now())
    document = asdict(found)
    del document["arr"]
    call.show(document, _told(found))
    return 0


def _told(found: Preview) -> Iterator[str]:
    yield f"edited: {', '.join(found.edited) or 'nothing, the rules mean what they meant'}"
    if found.data is None or found.edit is None:
        yield f"what the data do by themselves cannot be told apart: {found.why}"
        yield from _effect("edited rules on today's data, against what is stored", found.total)
        return
    yield from _effect("because of the edit", found.edit)
    yield ""
    yield from _effect("because of the data", found.data)


def _effect(title: str, e: Effect) -> Iterator[str]:
    yield f"{title}: {e.changes:,} changes"
    for pack, matrix in e.matrix.items():
        yield from _matrix(pack, matrix)
    moves = [
        (m.name or m.account_uid, m.pack, _scored(m.score_before, m.band_before), _scored(m.score_after, m.band_after))
        for m in e.moves
    ]
    if moves:
        yield from columns(("ACCOUNT", "PACK", "BEFORE", "AFTER"), moves[:SHOWN])
        if len(moves) > SHOWN:
            yield f"and {len(moves) - SHOWN:,} more; --json has them all"
    for label, items in (
        ("signals that start", e.signals_started),
        ("signals that end", e.signals_ended),
        ("tasks raised", e.tasks_raised),
        ("tasks closed", e.tasks_closed),
    ):
        if items:
            more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
            listed = ", ".join(f"{i.rule} {i.name or i.account_uid}" for i in items[:SHOWN])
            yield f"{label}: {len(items):,}: {listed}{more}"
    yield f"ARR at risk: {_money(e.at_risk_before)} -> {_money(e.at_risk_after)}"


def _matrix(pack: str, moves: Mapping[str, int]) -> Iterator[str]:
    """Bands before, down, and after, across; only bands that occur."""
    pairs = {tuple(k.split(" -> ")): n for k, n in moves.items()}
    rows, over = ([b for b in BANDS if any(p[i] == b for p in pairs)] for i in (0, 1))
    yield from columns((f"{pack.upper()} BEFORE", *over), [(b, *(pairs.get((b, a), 0) for a in over)) for b in rows])


def _scored(score: int | None, band: str) -> str:
    return band if score is None else f"{score} {band}"


def _money(sums: Mapping[str, int]) -> str:
    from cssync.rules.texts import WORDS, shown

    return " + ".join(shown(v, WORDS["en"], "", currency, "money") for currency, v in sums.items()) or "none"
