"""What every block of a pack is read with: its names, expressions and texts."""

from __future__ import annotations

from collections.abc import Iterator

from cssync.rules.catalogue import ACCOUNT, FACTS, LATE, REASONS
from cssync.rules.check import Scope, expression, typed_lines
from cssync.rules.faults import Mark, Stop, did_you_mean
from cssync.rules.features import FeatureReader
from cssync.rules.nodes import Node, Scalar
from cssync.rules.shape import Shape, places, stretches
from cssync.rules.tree import Edge, Expr, Place, Template, Texts, Type


class PartReader:
    """Reads expressions and texts of one pack. scoring: whether a score is being read, which cannot rest on itself."""

    def __init__(self, shape: Shape, features: FeatureReader, name: str, packs: tuple[str, ...]) -> None:
        self.shape = shape
        self.faults = shape.faults
        self.features = features
        self.name = name
        self.packs = packs
        self.scoring = False
        self.scope = Scope(self.find, self.known, features.lists)

    def find(self, name: str, mark: Mark) -> Expr | None:
        if self.scoring and name.partition(".")[0] == self.name and "." in name:
            raise self.faults.stop(mark, f"{name} is computed from this score, which cannot rest on itself")
        pack, _, output = name.partition(".")
        if pack == self.name and output in LATE and output in self.features.readable(pack):
            raise self.faults.stop(mark, f"{name} is known only after this pack has run: read it in another pack")
        return self.features.lookup(name, mark)

    def known(self) -> list[str]:
        return [
            *self.features.names,
            *FACTS,
            *ACCOUNT,
            *(f"{p}.{o}" for p in self.packs for o in self.features.readable(p)),
            *self.features.declared_results(),
        ]

    def known_name(self, name: str, mark: Mark) -> Expr | None:
        """Resolve a name outside an expression; an unknown one is noted, a faulty feature was noted already."""
        try:
            found = self.find(name, mark)
        except Stop:
            return None
        if found is None:
            self.faults.add(mark, f"there is no feature or column {name!r}{did_you_mean(name, self.known())}")
        return found

    def feature_name(self, name: str, mark: Mark) -> bool:
        """Whether the name is a feature or fact; what is neither is noted."""
        found = self.known_name(name, mark)
        if found is not None and found.op in ("account", "result"):
            self.faults.add(
                mark, f"`needs` names features, and {name} is not one; make it one: `my_{found.op}: {name}`"
            )
            return False
        return found is not None

    def texts(self, node: Node | None, what: str) -> Texts:
        return {locale: Template(tuple(self.parts(scalar))) for locale, scalar in self.shape.texts(node, what)}

    def parts(self, scalar: Scalar) -> Iterator[str | Place | Edge]:
        for start, end, optional in stretches(scalar):
            found = list(self.stretch(scalar, start, end))
            if not optional:
                yield from found
                continue
            if not any(isinstance(part, Place) for part in found):
                self.faults.add(scalar.at(start), "`{?...}` is left out where a place in it has no value: name one")
            yield from (Edge.OPEN, *found, Edge.CLOSE)

    def stretch(self, scalar: Scalar, start: int, end: int) -> Iterator[str | Place]:
        for before, name, form, mark in places(scalar, start, end):
            if "{?" in before:
                self.faults.add(mark, "`{?` is not closed, or holds another one: write `{?text with a {name}}`")
            if before:
                yield before
            if not name:
                continue
            found = self.sentence(name) or self.known_name(name, mark)
            if found is None:
                continue
            if form not in ("", "percent"):
                self.faults.add(mark, f"there is no format {form!r}; known: percent")
            elif form == "percent" and found.type not in ("integer", "number"):
                self.faults.add(mark, f"{name} is no number, so it cannot be shown as percent")
            else:
                kind = {"account": "account", "result": "result"}.get(found.op, "feature")
                yield Place(name, found.type, form, kind)  # type: ignore[arg-type]

    def sentence(self, name: str) -> Expr | None:
        """The reasons behind the score of another pack, which texts may hold and expressions may not read."""
        pack, _, output = name.partition(".")
        told = output == REASONS and pack != self.name and bool(self.features.readable(pack))
        return Expr("result", "text", value=name) if told else None

    def expr(self, node: Node | None, what: str, want: Type | None) -> Expr | None:
        scalar = self.shape.scalar(node, what)
        return expression(scalar, self.scope, self.faults, want) if scalar else None

    def lines(
        self, node: Node, what: str, words: tuple[str, ...], want: Type | None
    ) -> tuple[tuple[Expr, Expr | None], ...]:
        return typed_lines(self.shape.items(node, what), self.scope, self.faults, words, want)
