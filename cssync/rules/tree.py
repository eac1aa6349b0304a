"""The typed tree: what packs become once every name, type and known value has been checked.

Compiler, interpreter, explanation and tests all walk these values; nothing else is known about a pack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from cssync.rules.faults import Mark, Source

if TYPE_CHECKING:
    from cssync.rules.reports import Report

Type = Literal["bool", "integer", "number", "money", "date", "text"]
Texts = Mapping[str, "Template"]
"""Locale -> template. Every text has `en`."""


@dataclass(frozen=True, slots=True)
class Expr:
    """A typed expression.

    op: an operator, a function, a literal (number, text, date, bool) or a reference: `feature` (an aggregate, a formula
    or a built-in fact), `account` (a column of account), `column` (of the row a `where` looks at), `result` (of
    another pack, or score, band and coverage of the own one; `percentile` of a feature among accounts, see
    `winsorise`). value: the literal or the name. values: the known values of an enumeration.
    """

    op: str
    type: Type
    args: tuple[Expr, ...] = ()
    value: Any = None
    values: tuple[str, ...] = field(default=(), compare=False)

    def walk(self) -> Iterator[Expr]:
        """Yield this node and all below it, each before those below it."""
        todo = [self]
        while todo:
            node = todo.pop()
            yield node
            todo.extend(reversed(node.args))

    def names(self, op: str) -> set[str]:
        """Names referred to by nodes of that op."""
        return {e.value for e in self.walk() if e.op == op}


class Edge(Enum):
    """Ends of a stretch of a text that is left out where one of its places has no value."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places: str parts and (name, type, format) places; `format` is "" or `percent`."""

    parts: tuple[str | Place | Edge, ...]

    @property
    def names(self) -> set[str]:
        """Names of the features and account columns it shows."""
        return {p.name for p in self.parts if isinstance(p, Place)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value goes in a text."""

    name: str
    type: Type
    format: str = ""
    kind: Literal["feature", "account", "result"] = "feature"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A feature over the rows of a source.

    column: what is aggregated, None for count. where: condition on a row. within, ending: days; the window is the
    `within` calendar days (business time zone) that end `ending` days before today, today included when 0.
    older_hours: only rows whose time lies more than so many hours before as_of. at_least: fewer rows give missing.
    newest_per: of the rows that count so far only the newest for each value of this column; rows without one all stay.
    of_which: condition on those that are left. max_age: days after which its source is stale for this feature alone.
    most: of those that give texts, how many values are listed; 1 is the value itself.
    per_event: only the rows of one renewal event.
    """

    function: Literal[
        "count", "sum", "avg", "min", "max", "last", "median", "distinct", "most_common",
        "present", "absent", "mentioned",
    ]  # fmt: skip
    source: str
    column: Expr | None = None
    where: Expr | None = None
    within: int | None = None
    ending: int = 0
    older_hours: int | None = None
    at_least: int = 0
    newest_per: str | None = None
    of_which: Expr | None = None
    max_age: int | None = None
    most: int = 1
    per_event: bool = False

    @property
    def columns(self) -> set[str]:
        """Names of the columns it reads, without the time of the row."""
        exprs = (e for e in (self.column, self.where, self.of_which) if e is not None)
        return {n for e in exprs for n in e.names("column")} | ({self.newest_per} if self.newest_per else set())


@dataclass(frozen=True, slots=True)
class Past:
    """A result `<pack>.<output>` as it was: its value `ago` days before, or with None the day since which it has had
    its present value."""

    result: str
    ago: int | None


@dataclass(frozen=True, slots=True)
class Feature:
    """A named fact: an aggregate, a formula over other features, or a result's past."""

    name: str
    type: Type
    definition: Aggregate | Expr | Past
    pack: str
    mark: Mark = field(compare=False, repr=False)
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """Straight lines between (x, score) points, flat outside them; x ascending."""

    of: Expr
    points: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """The first line whose condition is true gives its value; a last line without condition always does."""

    lines: tuple[tuple[Expr, Expr | None], ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """A judgement of 0..100. applies: where it is false the measure counts on neither side. missing: `unknown` lowers
    the coverage, `ignore` leaves both sides, `hold` is `unknown` that keeps the last value for `hold` days after the
    source turned stale. weight 0: shown, and counted only by a model that gives it weight."""

    name: str
    weight: int
    rule: Curve | Lines
    missing: Literal["unknown", "ignore", "hold"]
    applies: Expr | None
    label: Texts
    because: Texts
    hold: int = 0


@dataclass(frozen=True, slots=True)
class Cap:
    """An upper limit of the score while a condition is true."""

    at_most: int
    when: Expr
    because: Texts


Bounds = tuple[tuple[str, int], ...]
"""(band, lower bound), highest first."""
STANDARD = "standard"
"""The model of every account that no other model is for: the measures' own weights."""


@dataclass(frozen=True, slots=True)
class Model:
    """A way to weigh the measures. when: whom it is for; None for the standard one. weights: measure -> weight, of
    every measure. coverage: percent of the applicable weight that must be known."""

    name: str
    when: Expr | None
    weights: Mapping[str, int]
    bands: Bounds
    coverage: int


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """How a band follows its score: at once beyond a bound by `margin` points, else after `confirm` days in a row on
    the other side (domain.md 5.4)."""

    margin: int = 0
    confirm: int = 1


@dataclass(frozen=True, slots=True)
class Override:
    """Columns of account by which a person sets the band."""

    band: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class Trend:
    """Median of the `window` last days against that of as many days `before` days earlier (domain.md 5.6)."""

    window: int
    before: int
    improving: int
    declining: int


@dataclass(frozen=True, slots=True)
class Score:
    """models: the first that is true of an account judges it; the last is the standard one."""

    measures: tuple[Measure, ...]
    models: tuple[Model, ...]
    caps: tuple[Cap, ...]
    hysteresis: Hysteresis = Hysteresis()
    override: Override | None = None
    trend: Trend | None = None
    roll_up: Literal["arr_weighted", "simple_mean", "worst"] | None = None

    @property
    def exprs(self) -> Iterator[Expr]:
        """Every expression the score rests on."""
        for measure in self.measures:
            yield from measure_exprs(measure)
        yield from (c.when for c in self.caps)
        yield from (m.when for m in self.models if m.when is not None)

    @property
    def keys(self) -> list[str]:
        """Keys of the block that ask for further outputs (`catalogue.score_outputs`)."""
        asked = {"trend": self.trend, "roll_up": self.roll_up}
        return [key for key, value in asked.items() if value is not None]

    def model(self, name: str | None) -> Model:
        """Return the model of that name; the standard one where there is none."""
        return next((m for m in self.models if m.name == name), self.models[-1])


@dataclass(frozen=True, slots=True)
class Signal:
    """Something true of an account while `when` is.

    for_days: `when` must have held so many days before it starts. keep_days: it stays open so long after `when` ended.
    cooldown_days: within so many days after it ended it starts again only with a greater `severity`.
    """

    name: str
    when: Expr
    because: Texts
    label: Texts
    for_days: int = 0
    keep_days: int = 0
    cooldown_days: int = 0
    severity: Expr | None = None


OF_EVENT = ("renewal_event", "event_episode")
"""Kinds of tasks that are about a renewal event."""


@dataclass(frozen=True, slots=True)
class TaskRule:
    """Something to do. once_per: what makes an occurrence; `event_episode` is one of a renewal event. due: the wanted
    day, moved to a business day before it.

    for_days: `when` must have held so many days before it is raised. cooldown_days: none is raised within so many days
    after the last one of the rule was closed. copy: `manager` where the owner's manager is named in it; such a task is
    urgent.
    closing: the note it is closed with once `done_when` is true.
    """

    name: str
    when: Expr
    once_per: Literal["renewal_event", "event_episode", "month", "quarter", "year", "episode"]
    title: Texts
    body: Texts
    due: Expr
    owner: Literal["csm", "owner", "manager"]
    priority: Lines
    done_when: Expr | None
    for_days: int = 0
    cooldown_days: int = 0
    copy: Lines | None = None
    closing: Texts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tiers:
    """How touch tiers are found. high, low: least ARR, in minor units of `currency`. margin: percent by which ARR must
    pass a limit. quarterly: a tier moves at most once per quarter. onboarding_days: one tier up for so long after
    `since`; 0: never. override: the tier a person set."""

    override: Expr | None
    currency: str
    high: int
    low: int
    margin: int
    quarterly: bool
    onboarding_days: int
    since: Expr | None

    @property
    def exprs(self) -> Iterator[Expr]:
        """Everything it rests on."""
        yield from (e for e in (self.override, self.since) if e is not None)
        yield Expr("feature", "money", value="arr")
        yield Expr("account", "text", value="parent_uid")


@dataclass(frozen=True, slots=True)
class Result:
    """A further named output of a pack. summed: of an account it is the sum over its renewal events, else the next
    one's."""

    name: str
    type: Type
    rule: Expr | Lines
    options: tuple[str, ...]
    label: str
    describe: str
    field: str = ""
    summed: bool = False


@dataclass(frozen=True, slots=True)
class PackTest:
    """A case that must hold, of an account A. given: feature -> value. rows: source -> rows. then: what is expected, by
    name. days: the days of a case that walks several; as_of and then are those of the last one. accounts: others than
    A, with what is given of each alone."""

    name: str
    as_of: str
    given: Mapping[str, Any]
    rows: Mapping[str, tuple[Mapping[str, Any], ...]] | None
    stale: tuple[str, ...]
    then: Mapping[str, Any]
    mark: Mark = field(compare=False, repr=False)
    days: tuple[PackTest, ...] = ()
    accounts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pack:
    """One rule file, checked. `hash` identifies what it computes: it changes with any feature it uses, too. each_event:
    its rules are judged for each renewal event of an account, with the event's own facts, instead of once."""

    name: str
    version: int
    file: str
    accounts: Expr | None
    max_age: Mapping[str, int]
    features: Mapping[str, Feature]
    score: Score | None
    results: tuple[Result, ...]
    signals: tuple[Signal, ...]
    signal_list: str
    tasks: tuple[TaskRule, ...]
    tests: tuple[PackTest, ...]
    hash: str = ""
    tiers: Tiers | None = None
    reports: tuple[Report, ...] = ()
    each_event: bool = False

    @property
    def judges(self) -> bool:
        """Whether it says anything about an account; a pack may hold reports alone."""
        return bool(self.score or self.tiers or self.results or self.signals or self.tasks or self.features)

    @property
    def exprs(self) -> Iterator[Expr]:
        """Every expression outside the features, those of the accounts filter included."""
        if self.accounts is not None:
            yield self.accounts
        if self.score is not None:
            yield from self.score.exprs
        if self.tiers is not None:
            yield from self.tiers.exprs
        for result in self.results:
            yield from rule_exprs(result.rule)
        for signal in self.signals:
            yield from (signal.when, *((signal.severity,) if signal.severity is not None else ()))
        for task in self.tasks:
            yield from (task.when, task.due)
            yield from rule_exprs(task.priority)
            yield from rule_exprs(task.copy) if task.copy is not None else ()
            if task.done_when is not None:
                yield task.done_when

    @property
    def texts(self) -> Iterator[Template]:
        """Every text."""
        measures = self.score.measures if self.score else ()
        caps = self.score.caps if self.score else ()
        for texts in (
            *(m.because for m in measures),
            *(c.because for c in caps),
            *(s.because for s in self.signals),
            *(t.title for t in self.tasks),
            *(t.body for t in self.tasks),
            *(t.closing for t in self.tasks),
        ):
            yield from texts.values()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Packs in the order they run: one that reads another's results comes after it. sources: their files."""

    packs: tuple[Pack, ...]
    features: Mapping[str, Feature] = field(default_factory=dict)
    sources: tuple[Source, ...] = field(default=(), compare=False, repr=False)

    def pack(self, name: str) -> Pack | None:
        """Return the pack of that name."""
        return next((p for p in self.packs if p.name == name), None)


def rule_exprs(rule: Expr | Lines | Curve) -> Iterator[Expr]:
    """Expressions of a rule, whatever its form."""
    if isinstance(rule, Expr):
        yield rule
    elif isinstance(rule, Curve):
        yield rule.of
    else:
        for value, condition in rule.lines:
            yield value
            if condition is not None:
                yield condition


def measure_exprs(measure: Measure) -> Iterator[Expr]:
    """Expressions a measure rests on, those it needs to apply included."""
    yield from rule_exprs(measure.rule)
    if measure.applies is not None:
        yield measure.applies


def measure_names(measure: Measure) -> set[str]:
    """Features and facts a measure refers to, directly."""
    needs = measure.rule.needs if isinstance(measure.rule, Lines) else ()
    return {*needs, *(n for e in measure_exprs(measure) for n in e.names("feature"))}


def used_names(pack: Pack) -> set[str]:
    """Features and facts a pack's rules and texts refer to, directly."""
    found = {name for e in pack.exprs for name in e.names("feature")} | set(pack.features)
    for measure in pack.score.measures if pack.score else ():
        found |= measure_names(measure)
    if pack.score and pack.score.roll_up == "arr_weighted":
        found.add("arr")
    places = (p for t in pack.texts for p in t.parts if isinstance(p, Place))
    return found | {p.name for p in places if p.kind == "feature"}


def closure(names: Iterable[str], features: Mapping[str, Feature]) -> set[str]:
    """Those names and every feature or fact they rest on."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        feature = features.get(name)
        if feature is not None and isinstance(feature.definition, Expr):
            todo.extend(feature.definition.names("feature"))
    return found


def used_features(pack: Pack, features: Mapping[str, Feature]) -> tuple[str, ...]:
    """Names of the declared features a pack computes, sorted: its own and all that its rules rest on."""
    return tuple(sorted(n for n in closure(used_names(pack), features) if n in features))
