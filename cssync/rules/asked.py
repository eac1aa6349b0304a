"""Which result a person means by a field, and what that result rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cssync.config import Workspace
from cssync.errors import ConfigError
from cssync.rules.catalogue import OUTPUTS
from cssync.rules.faults import did_you_mean
from cssync.rules.tree import Expr, Pack, Place, RuleSet, Texts, closure, rule_exprs
from cssync.rules.written import written_fields


@dataclass(frozen=True, slots=True)
class Asked:
    """A field. result: `<pack>.<output>`; inputs: features and facts it rests on; written_to: `connection.stream.field`
    of every place that the result is written to."""

    result: str
    pack: str
    inputs: frozenset[str]
    written_to: tuple[str, ...]


def asked(rules: RuleSet, workspace: Workspace, text: str) -> Asked:
    """Return what is meant by a result (`health.score`), a field of the CRM that one is written to, or such a field's
    usual name (`cs_health_score`).

    Raises:
        ConfigError: nothing of that name.
    """
    usual = written_fields(rules)
    places = [
        (f"{w.connection}.{w.to}.{field}", field, result)
        for w in workspace.writeback.values()
        for field, result in w.fields.items()
    ]
    known: dict[str, str] = {field.name: result for result, field in usual.items()}
    for place, field, result in places:
        known |= {field: result, place: result}
    known |= {result: result for result in usual}
    meant = known.get(text, "")
    pack = rules.pack(meant.partition(".")[0])
    if pack is None:
        raise ConfigError(
            f"there is no field or result {text!r}{did_you_mean(text, known)}",
            fix="name a result such as health.score, or a field of `writeback:`",
        )
    written = tuple(sorted(place for place, _, to in places if to == meant))
    return Asked(meant, pack.name, frozenset(_inputs(rules, pack, meant.partition(".")[2])), written)


def _inputs(rules: RuleSet, pack: Pack, output: str) -> set[str]:
    names = {n for e in _exprs(pack, output) for n in e.names("feature")}
    names |= {p.name for t in _texts(pack, output) for template in t.values() for p in template.parts
              if isinstance(p, Place) and p.kind == "feature"}  # fmt: skip
    return closure(names, rules.features)


def _exprs(pack: Pack, output: str) -> Iterator[Expr]:
    if output in OUTPUTS and pack.score is not None:
        yield from pack.score.exprs
    elif output == pack.signal_list:
        yield from (s.when for s in pack.signals)
    else:
        yield from (e for r in pack.results if r.name == output for e in rule_exprs(r.rule))


def _texts(pack: Pack, output: str) -> Iterator[Texts]:
    if output in OUTPUTS and pack.score is not None:
        yield from (m.because for m in pack.score.measures)
        yield from (c.because for c in pack.score.caps)
    elif output == pack.signal_list:
        yield from (s.because for s in pack.signals)
