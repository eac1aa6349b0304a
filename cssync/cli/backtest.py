"""cssync rules backtest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cssync.cli.context import Call, columns, example, shared

if TYPE_CHECKING:
    from cssync.rules.backtest import Backtest
    from cssync.rules.prediction import Interval


@click.command(epilog=example("cssync rules backtest", "cssync rules backtest ./rules --ahead 60 --json"))
@click.argument(
    "edit",
    required=False,
    type=click.Path(path_type=Path, exists=True),
    metavar="[FILE|FOLDER]",
    help="Edited packs, in place of those of the same name in cssync.yaml.  [default: the packs of cssync.yaml]",
)
@click.option("--pack", help="Pack whose score is looked at.  [default: the first with a score]")
@click.option("--ahead", type=click.IntRange(1, 365), default=90, show_default=True, help="Days before the renewal.")
@click.option("--tune", is_flag=True, help="Suggest weights from what each measure told; needs 30 churned renewals.")
@shared
def backtest(call: Call, edit: Path | None, pack: str | None, ahead: int, tune: bool) -> int:
    """Show what scores would have told of past renewals.

    Every renewal whose days of grace are over is judged as of 90 days before its date, with nothing but what the store
    had learned by then, and compared with what became of it. Nothing is written, and no weight is ever changed.
    """
    from dataclasses import asdict

    from cssync.cli.when import now
    from cssync.rules import load
    from cssync.rules.backtest import backtest as look_back
    from cssync.rules.calendar import local_date
    from cssync.rules.loading import load_edited

    workspace = call.workspace(secrets=False)
    rules = load(workspace)
    if edit is not None:
        rules = load_edited(rules.sources, edit)
    today = local_date(now(), workspace.timezone)
    with call.store(workspace) as store, call.progress() as progress:
        found = look_back(store, rules, workspace, today, pack=pack, ahead_days=ahead, tune=tune, tell=progress)
    document: dict[str, Any] = asdict(found)
    call.show({**document, "verdict": _verdict(found)}, _told(found))
    return 0


def _told(found: Backtest) -> Iterator[str]:
    p = found.prediction
    when = f"{found.ahead_days} days before" + (", each on the Monday before its day" if found.weekly else "")
    yield f"{found.pack}: {len(found.cases):,} past renewals, judged {when}: {found.days} days evaluated again"
    if found.unscored:
        yield f"without a score then: {found.unscored:,} (not known yet, or too little of them); left out"
    if found.assumed:
        yield f"renewed by themselves, without a new contract on record: {found.assumed:,}"
    yield from columns(
        ("BAND", "RENEWALS", "CHURNED", "RATE", "95 % INTERVAL"),
        [(b.band, b.n, b.churned, _percent(b.rate), _range(b.interval)) for b in p.bands],
    )
    yield f"churned of all: {_percent(p.base)}"
    yield f"of the red ones churned (precision): {_percent(p.precision)}, 95 % {_range(p.precision_interval)}"
    yield f"of the churned ones were red (recall): {_percent(p.recall)}, 95 % {_range(p.recall_interval)}"
    yield f"lift of red: {'-' if p.lift is None else f'{p.lift:.1f}'}; green but churned: {_percent(p.green_churned)}"
    yield _verdict(found)
    if found.tuning:
        yield from columns(
            ("MEASURE", "WEIGHT", "JUDGED", "AUC", "95 % INTERVAL", "SUGGESTED"),
            [(m.name, m.weight, m.n, "-" if m.auc is None else f"{m.auc:.3f}", _range(m.interval, percent=False),
              m.suggested) for m in found.tuning],
        )  # fmt: skip
        yield "suggestions only: preview them with `cssync rules preview`"


def _verdict(found: Backtest) -> str:
    p = found.prediction
    if p.auc is None or p.auc_interval is None:
        return "whether the score predicts cannot be said: it takes both churned and renewed ones that had a score"
    auc = f"AUC {p.auc:.3f}, 95 % {_range(p.auc_interval, percent=False)}"
    if p.predicts:
        return f"the score predicts: {auc}"
    if p.auc_interval[1] < 0.5:
        return f"the score predicts the wrong way round: {auc}; lower scores renewed more often"
    return f"the score does not predict: {auc}, which spans 0.5, as a coin would"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _range(interval: Interval | None, *, percent: bool = True) -> str:
    if interval is None:
        return "-"
    low, high = interval
    return f"{100 * low:.1f} % to {100 * high:.1f} %" if percent else f"{low:.3f} to {high:.3f}"
