"""The score part of a pack's statement: measures, model, covered weight, score, caps, band, what to remember.

`h_*` columns are what was remembered before today (`memory.Memory`), `n_*` what is to be remembered after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from cssync.rules.dialect import Dialect
from cssync.rules.emitter import Emitter
from cssync.rules.memory import OVERRIDE_DAYS, SIDES
from cssync.rules.tree import STANDARD, Cap, Lines, Measure, Override, Score

Add = Callable[[str, str, list[str]], str]
"""Adds a link to the chain: its name, the link before it, its further columns; returns the name."""


class ScoreSql:
    """Writes the links of one score. held: measures that keep their last value today, it stands ready as `h_m_*`.
    held_caps: numbers of the caps that stay as they were where nobody can judge them."""

    def __init__(
        self,
        score: Score,
        emitter: Emitter,
        dialect: Dialect,
        held: Collection[str],
        held_caps: Collection[int],
        add: Add,
    ) -> None:
        self.score = score
        self.emitter = emitter
        self.d = dialect
        self.held = held
        self.held_caps = held_caps
        self.add = add

    def links(self, last: str) -> str:
        """Add every link after `last`; returns the name of the final one."""
        last = self.add("measured", last, [self.model(), *(c for m in self.score.measures for c in self.measure(m))])
        last = self.add("weighed", last, self.sums())
        last = self.add("raw", last, self.raw())
        last = self.add("capped", last, [f"{self.capped()} AS score"])
        last = self.add("sided", last, [f"{self.side(name)} AS u_{name}" for name in SIDES])
        last = self.add("banded", last, [self.computed_band(), *self.remembered()])
        return self.add("in_force", last, [f"{self.band()} AS band"])

    # --- models ---

    def model(self) -> str:
        cases = [
            f"WHEN {self.emitter.sql(m.when)} THEN {self.d.text(m.name)}"
            for m in self.score.models
            if m.when is not None
        ]
        value = f"CASE {' '.join(cases)} ELSE {self.d.text(STANDARD)} END" if cases else self.d.text(STANDARD)
        return f"{value} AS model"

    def per_model(self, values: list[int]) -> str:
        """SQL of a number that the models set, in their order."""
        if len(set(values)) == 1:
            return str(values[0])
        *own, standard = zip(self.score.models, values, strict=True)
        cases = " ".join(f"WHEN {self.d.text(m.name)} THEN {v}" for m, v in own)
        return f"(CASE model {cases} ELSE {standard[1]} END)"

    def weight(self, m: Measure) -> str:
        return self.per_model([model.weights[m.name] for model in self.score.models])

    def bound(self, band: str) -> str:
        return self.per_model([dict(model.bands)[band] for model in self.score.models])

    # --- score ---

    def measure(self, m: Measure) -> list[str]:
        if isinstance(m.rule, Lines):
            value = self.emitter.lines(m.rule, tuple(f"f_{n}" for n in m.rule.needs))
        else:
            value = self.emitter.curve(m.rule)
        applies = "1" if m.applies is None else f"CASE WHEN NOT {self.emitter.sql(m.applies)} THEN 0 ELSE 1 END"
        of_use = "" if m.applies is None else f"WHEN NOT {self.emitter.sql(m.applies)} THEN NULL "
        kept = f"coalesce({value}, h_m_{m.name})" if m.name in self.held else value
        columns = [f"{f'CASE {of_use}ELSE {kept} END' if of_use else kept} AS m_{m.name}", f"{applies} AS x_{m.name}"]
        if m.name in self.held:
            old = f"{value} IS NULL AND h_m_{m.name} IS NOT NULL"
            columns.append(f"CASE {of_use}WHEN {old} THEN 1 ELSE 0 END AS q_{m.name}")
        return columns

    def applicable(self, m: Measure) -> str:
        """Condition that the measure's weight counts: it applies, and if its absence is to be ignored it is known."""
        return f"m_{m.name} IS NOT NULL" if m.missing == "ignore" else f"x_{m.name} = 1"

    def sums(self) -> list[str]:
        known = [(self.weight(m), f"m_{m.name}", self.applicable(m)) for m in self.score.measures]
        covered = " + ".join(f"CASE WHEN {m} IS NULL THEN 0 ELSE {w} END" for w, m, _ in known)
        total = " + ".join(f"CASE WHEN {m} IS NULL THEN 0 ELSE {w} * {m} END" for w, m, _ in known)
        applicable = " + ".join(f"CASE WHEN {x} THEN {w} ELSE 0 END" for w, _, x in known)
        return [f"{covered} AS covered", f"{total} AS total", f"{applicable} AS applicable"]

    def raw(self) -> list[str]:
        least = self.per_model([m.coverage for m in self.score.models])
        share = self.d.quotient("(200 * covered + applicable)", "(2 * applicable)")
        enough = f"covered > 0 AND covered * 100 >= {least} * applicable"
        return [
            f"CASE WHEN {enough} THEN {self.d.quotient('(2 * total + covered)', '(2 * covered)')} END AS raw_score",
            f"CASE WHEN applicable > 0 THEN {share} END AS coverage",
            *(column for n, cap in enumerate(self.score.caps) for column in self.cap(n, cap)),
        ]

    def cap(self, number: int, cap: Cap) -> list[str]:
        """k: whether a cap holds (1, 0, NULL); where it may stay as it was also kq: whether it does."""
        value = self.emitter.column(cap.when)
        if number not in self.held_caps:
            return [f"{value} AS k_{number}"]
        said = f"CASE substr(h_caps, {number + 1}, 1) WHEN '1' THEN 1 WHEN '0' THEN 0 END"
        stays = f"CASE WHEN {value} IS NULL AND {said} IS NOT NULL THEN 1 ELSE 0 END"
        return [f"coalesce({value}, {said}) AS k_{number}", f"{stays} AS kq_{number}"]

    def capped(self) -> str:
        order = sorted(enumerate(self.score.caps), key=lambda c: (c[1].at_most, c[0]))
        cases = " ".join(
            f"WHEN {self.d.truth(f'k_{n}')} AND raw_score > {cap.at_most} THEN {cap.at_most}" for n, cap in order
        )
        return f"CASE WHEN raw_score IS NULL THEN NULL {cases} ELSE raw_score END" if order else "raw_score"

    # --- band ---

    def side(self, name: str) -> str:
        """1 when the account stands above the bound of a band after today, 0 below, NULL before any score."""
        bound, rules = self.bound(name), self.score.hysteresis
        was = " OR ".join(f"h_band = '{b}'" for b in SIDES[SIDES.index(name) :])
        return (
            f"CASE WHEN raw_score IS NULL THEN CASE WHEN {was} THEN 1 WHEN h_band IS NOT NULL THEN 0 END "
            f"WHEN h_band IS NULL THEN CASE WHEN raw_score >= {bound} THEN 1 ELSE 0 END "
            f"WHEN {was} THEN CASE WHEN raw_score >= {bound} OR raw_score >= {bound} - {rules.margin} "
            f"AND h_{name}_days + 1 < {rules.confirm} THEN 1 ELSE 0 END "
            f"ELSE CASE WHEN raw_score < {bound} OR raw_score < {bound} + {rules.margin} "
            f"AND h_{name}_days + 1 < {rules.confirm} THEN 0 ELSE 1 END END"
        )

    def computed_band(self) -> str:
        """The band of the score: a score held by a cap has no better band than its own, at once."""
        cases = " ".join(
            f"WHEN u_{name} = 1 AND (score = raw_score OR score >= {self.bound(name)}) THEN '{name}'"
            for name in reversed(SIDES)
        )
        return f"CASE WHEN score IS NULL THEN 'unknown' {cases} ELSE 'red' END AS computed_band"

    def remembered(self) -> list[str]:
        found = ["CASE WHEN u_yellow IS NULL THEN NULL WHEN u_green = 1 THEN 'green' WHEN u_yellow = 1 THEN 'yellow' "
                 "ELSE 'red' END AS n_band"]  # fmt: skip
        for name in SIDES:
            above = f"CASE WHEN raw_score >= {self.bound(name)} THEN 1 ELSE 0 END"
            found.append(
                f"CASE WHEN raw_score IS NULL THEN coalesce(h_{name}_days, 0) WHEN h_band IS NULL "
                f"OR u_{name} = {above} THEN 0 ELSE h_{name}_days + 1 END AS n_{name}_days"
            )
        told = [f"CASE k_{n} WHEN 1 THEN '1' WHEN 0 THEN '0' ELSE '-' END" for n in range(len(self.score.caps))]
        found.append(f"{' || '.join(told)} AS n_caps" if told else "'' AS n_caps")
        override = self.score.override
        if override is not None:
            band, until = f"a_{override.band}", f"a_{override.until}"
            until_same = f"h_override_until = {until} OR h_override_until IS NULL AND {until} IS NULL"
            same = f"h_override_band = {band} AND ({until_same})"
            found.append(f"CASE WHEN {band} IS NULL THEN NULL WHEN {same} THEN h_override_since "
                         f"ELSE {self.emitter.today} END AS n_override_since")  # fmt: skip
        return found

    def band(self) -> str:
        override = self.score.override
        return (
            "computed_band"
            if override is None
            else f"CASE WHEN {self.valid(override)} THEN a_{override.band} ELSE computed_band END"
        )

    def valid(self, override: Override) -> str:
        """Condition that a band set by hand holds today."""
        until, today = f"a_{override.until}", self.emitter.today
        last = self.d.add_days("n_override_since", str(OVERRIDE_DAYS))
        return f"a_{override.band} IS NOT NULL AND ({until} IS NULL OR {until} >= {today}) AND {last} >= {today}"
