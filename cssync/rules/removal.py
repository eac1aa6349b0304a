"""What was taken out of the rules or renamed since they last ran, and what still needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules.catalogue import OUTPUTS
from cssync.rules.faults import Source, did_you_mean
from cssync.rules.loading import sources_of
from cssync.rules.nodes import Mapping as Block
from cssync.rules.nodes import Scalar
from cssync.rules.packs import read_rules
from cssync.rules.reader import glance
from cssync.rules.tree import Expr, Feature, Pack, Past, Place, RuleSet
from cssync.rules.versions import last_evaluation, rules_of
from cssync.rules.written import written_fields

if TYPE_CHECKING:
    from cssync.store.sqlite import Store

Name = tuple[str, str]
"""Kind (pack, feature, result, signal, task) and name; that of results, signals and tasks begins with the pack's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Removed:
    """Something the rules that ran last had, and these have not. used_by: what of the rules that are left refers to it;
    fields: places of `writeback:` that it fills; ends: open signals or tasks of it, which the next evaluation ends."""

    kind: str
    name: str
    pack: str
    used_by: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    ends: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" (pack {self.pack})" if self.kind == "feature" else "")


def check_rules(workspace: Workspace, store: Store | None) -> tuple[RuleSet, list[Removed]]:
    """Read the workspace's rules and compare them with those that ran last on the store, where there is one.

    Returns the rules and what was removed without anything depending on it. Raises:
        ConfigError: all faults of all files at once; beside them, what was removed or renamed and is still needed, each
            with all that needs it.
    """
    sources = sources_of(workspace)
    gone = list(_removed(store, workspace, sources)) if store is not None else []
    needed = [r for r in gone if r.used_by or r.fields]
    listed = "".join(f"\n  {r} is still needed by {', '.join((*r.used_by, *r.fields))}" for r in needed)
    listed = f"\nremoved or renamed since the rules last ran:{listed}" if needed else ""
    try:
        rules = read_rules(sources)
    except ConfigError as error:
        raise ConfigError(error.message + listed, kept=error.kept, fix=error.fix) from None
    needed = [r for r in needed if r.fields]
    if needed:
        raise ConfigError(
            f"{len(needed)} of the results that are written to a CRM were removed{listed}",
            kept="no rule was run and nothing was written",
            fix="put them back under their names, or change `writeback:` in cssync.yaml",
        )
    return rules, gone


def _removed(store: Store, workspace: Workspace, sources: Sequence[Source]) -> Iterator[Removed]:
    last = last_evaluation(store)
    before = rules_of(store, last) if last else None
    if before is None or any(glance(source) is None for source in sources):  # nobody knows what such a file declares
        return
    had, have = declared(before), set(sketched(sources))
    for (kind, name), pack in had.items():
        if (kind, name) in have:
            continue
        used = tuple(text for owner, text in _users(before, kind, name) if owner in have)
        fields = tuple(
            f"writeback.{back.connection}.fields.{field}"
            for back in workspace.writeback.values()
            for field, result in back.fields.items()
            if kind == "result" and result == name
        )
        yield Removed(kind, name, pack, used, fields, _open(store, kind, name))


def declared(rules: RuleSet) -> dict[Name, str]:
    """Return everything that rules declare by name, with its pack."""
    found: dict[Name, str] = {}
    for pack in rules.packs:
        found["pack", pack.name] = pack.name
        found |= {("feature", n): pack.name for n in pack.features}
        found |= {("signal", f"{pack.name}.{s.name}"): pack.name for s in pack.signals}
        found |= {("task", f"{pack.name}.{t.name}"): pack.name for t in pack.tasks}
    return found | {("result", n): n.partition(".")[0] for n in written_fields(rules)}


def sketched(sources: Iterable[Source]) -> Iterator[Name]:
    """Yield what rule files declare, by their keys alone: for files that may be full of faults."""
    for source in sources:
        top = glance(source)
        name = top.get("pack") if top else None
        if top is None or not isinstance(name, Scalar):
            continue
        pack, listed = name.text, top.get("signal_list")
        yield "pack", pack
        yield from (("feature", key) for key in _keys(top, "features"))
        yield from (("result", f"{pack}.{key}") for key in _keys(top, "results"))
        for kind in ("signal", "task"):
            yield from ((kind, f"{pack}.{key}") for key in _keys(top, f"{kind}s"))
        if _keys(top, "signals"):
            yield "result", f"{pack}.{listed.text if isinstance(listed, Scalar) else 'signals'}"
        if top.get("score") is not None:
            yield from (("result", f"{pack}.{output}") for output in OUTPUTS)
        if top.get("tiers") is not None:
            yield "result", f"{pack}.tier"


def _keys(top: Block, block: str) -> list[str]:
    node = top.get(block)
    return [key.text for key, _ in node.entries] if isinstance(node, Block) else []


def _users(rules: RuleSet, kind: str, name: str) -> Iterator[tuple[Name, str]]:
    """Yield what refers to a feature or result: the name under which a person finds it, and the words for it."""
    if kind not in ("feature", "result"):
        return
    for pack in rules.packs:
        for owner, label, part in _parts(pack):
            if owner != (kind, name) and name in set(references(part)):
                yield owner, f"{label} of pack {pack.name}"


def _parts(pack: Pack) -> Iterator[tuple[Name, str, Any]]:
    whole = ("pack", pack.name)
    for name, feature in pack.features.items():
        yield ("feature", name), f"feature {name}", feature.definition
    if pack.score is not None:
        for m in pack.score.measures:
            yield whole, f"measure {m.name}", m
        for cap in pack.score.caps:
            yield whole, f"the cap at {cap.at_most}", cap
        for model in pack.score.models:
            yield whole, f"model {model.name}", model
    for result in pack.results:
        yield ("result", f"{pack.name}.{result.name}"), f"result {result.name}", result
    for signal in pack.signals:
        yield ("signal", f"{pack.name}.{signal.name}"), f"signal {signal.name}", signal
    for task in pack.tasks:
        yield ("task", f"{pack.name}.{task.name}"), f"task {task.name}", task
    for report in pack.reports:
        yield whole, f"report {report.name}", report


def references(part: Any) -> Iterator[str]:
    """Yield every feature, fact and result that a part of the tree refers to, in expressions, texts or `needs`."""
    if isinstance(part, Feature):
        return
    if isinstance(part, Expr) and part.op in ("feature", "result"):
        yield str(part.value)
    if isinstance(part, Past):
        yield part.result
    if isinstance(part, Place) and part.kind in ("feature", "result"):
        yield part.name
    if dataclasses.is_dataclass(part):
        needs = getattr(part, "needs", ())
        yield from needs
        for field in dataclasses.fields(part):
            yield from references(getattr(part, field.name))
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from references(value)
    elif isinstance(part, tuple | list):
        for value in part:
            yield from references(value)


def _open(store: Store, kind: str, name: str) -> int:
    """Open signals or tasks of a rule."""
    pack, _, rule = name.partition(".")
    sql = {
        "signal": "SELECT count(*) FROM signal WHERE pack = ? AND name = ? AND until IS NULL",
        "task": "SELECT count(*) FROM task WHERE pack = ? AND rule = ? AND status = 'open'",
    }.get(kind)
    return int(store.query(sql, (pack, rule))[0][0]) if sql else 0


def told(gone: Iterable[Removed], rules: RuleSet) -> Iterator[str]:
    """Yield a line for each removal, with the name it may have got instead."""
    names = declared(rules)
    for r in gone:
        new = [n for k, n in names if k == r.kind]
        ends = f": {r.ends} open end with the next evaluation" if r.ends else ""
        yield f"removed since the rules last ran: {r}{did_you_mean(r.name, new) if len(new) > 12 else ''}{ends}"
