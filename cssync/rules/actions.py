"""The `signals:` and `tasks:` blocks of a pack."""

from __future__ import annotations

from cssync.model.columns import TIERS
from cssync.rules.check import expression
from cssync.rules.faults import did_you_mean
from cssync.rules.nodes import Mapping, Node, Scalar
from cssync.rules.parts import PartReader
from cssync.rules.shape import plain
from cssync.rules.tree import Expr, Lines, Signal, TaskRule, Template

MAX_BUSINESS_DAYS = 60
PRIORITIES = ("high", "normal", "low")
TIMES = ("renewal_event", "event_episode", "month", "quarter", "year", "episode")
NORMAL = Lines(((Expr("text", "text", value="normal"), None),))
COPIED = ("manager",)
OWNERS = ("csm", "owner", "manager")
SIGNAL_KEYS = ("when", "for", "keep", "cooldown", "severity", "because", "label")
TASK_KEYS = (
    *("when", "for", "tiers", "cooldown", "once_per", "title", "body", "due", "owner", "copy", "priority"),
    *("done_when", "closing"),
)


class ActionReader:
    """Reads signals and tasks with the names and texts of their pack."""

    def __init__(self, part: PartReader) -> None:
        self.part = part
        self.shape = part.shape
        self.faults = part.faults

    def signal(self, key: Scalar, node: Node) -> Signal | None:
        what = f"signal {key.text}"
        block = self.shape.block(node, what, SIGNAL_KEYS, ("when", "because"))
        if block is None:
            return None
        when = self.part.expr(block.get("when"), f"`when` of {what}", "bool")
        label = plain(self.shape.texts(block.get("label"), "`label`")) or {"en": Template((key.text,))}
        because = self.part.texts(block.get("because"), "`because`")
        severity = self.part.expr(block.get("severity"), f"`severity` of {what}", "number")
        cooldown = self.shape.days(block.get("cooldown"), f"`cooldown` of {what}") or 0
        if block.get("severity") is not None and not cooldown:
            self.faults.add(block.mark, f"`severity` of {what} is looked at within its `cooldown` only: add one")
        if when is None:
            return None
        return Signal(
            key.text,
            when,
            because,
            label,
            for_days=self.shape.days(block.get("for"), f"`for` of {what}") or 0,
            keep_days=self.shape.days(block.get("keep"), f"`keep` of {what}") or 0,
            cooldown_days=cooldown,
            severity=severity,
        )

    def task(self, key: Scalar, node: Node) -> TaskRule | None:
        what = f"task {key.text}"
        block = self.shape.block(node, what, TASK_KEYS, ("when", "once_per", "title", "due"))
        if block is None:
            return None
        when = self.part.expr(block.get("when"), f"`when` of {what}", "bool")
        when = self.in_tiers(block.get("tiers"), when, what)
        due = self.due(block.get("due"), what)
        done = self.part.expr(block.get("done_when"), f"`done_when` of {what}", "bool")
        rule = TaskRule(
            key.text,
            when or Expr("bool", "bool", value=False),
            self.shape.one_of(block.get("once_per"), "`once_per`", TIMES, "episode"),  # type: ignore[arg-type]
            self.part.texts(block.get("title"), "`title`"),
            self.part.texts(block.get("body"), "`body`"),
            due or Expr("business_days", "date", value=0),
            self.shape.one_of(block.get("owner"), "`owner`", OWNERS, "csm"),  # type: ignore[arg-type]
            self.choice(block.get("priority"), f"priority of {what}", PRIORITIES) or NORMAL,
            done,
            for_days=self.shape.days(block.get("for"), f"`for` of {what}") or 0,
            cooldown_days=self.shape.days(block.get("cooldown"), f"`cooldown` of {what}") or 0,
            copy=self.choice(block.get("copy"), f"copy of {what}", COPIED),
            closing=self.part.texts(block.get("closing"), "`closing`"),
        )
        return rule if when is not None and due is not None else None

    def in_tiers(self, node: Node | None, when: Expr | None, what: str) -> Expr | None:
        """The condition, for accounts of some touch tiers only; an unknown tier is none of them."""
        words = self.shape.words(node, f"`tiers` of {what}")
        packs = self.part.features.tiered
        if words and not packs:
            self.faults.add(words[0].mark, f"`tiers` of {what} needs a pack with a `tiers:` block, and there is none")
        for word in words:
            if word.text not in TIERS:
                self.faults.add(word.mark, f"there is no tier {word.text!r}{did_you_mean(word.text, TIERS)}")
        if when is None or not words or not packs:
            return when
        tier = Expr("result", "text", value=f"{packs[0]}.tier", values=TIERS)
        listed = tuple(Expr("text", "text", value=word.text) for word in words)
        return Expr("and", "bool", (Expr("in", "bool", (tier, *listed)), when))

    def choice(self, node: Node | None, what: str, words: tuple[str, ...]) -> Lines | None:
        """One of some words, or `first:` lines that give one; None when the key is absent."""
        if node is None:
            return None
        first = node.get("first") if isinstance(node, Mapping) else None
        if first is not None:
            self.shape.block(node, what, ("first",))
            return Lines(self.part.lines(first, what, words, None))
        return Lines(((Expr("text", "text", value=self.shape.one_of(node, f"`{what}`", words, words[0])), None),))

    def due(self, node: Node | None, what: str) -> Expr | None:
        """A date expression, or `in N business days` counted from the day the task is raised."""
        scalar = self.shape.scalar(node, f"`due` of {what}")
        words = scalar.text.split() if scalar else []
        if (
            scalar
            and len(words) == 4
            and words[0] == "in"
            and words[2:] == ["business", "days"]
            and words[1].isdecimal()
        ):
            days = int(words[1][:4])
            if days > MAX_BUSINESS_DAYS:
                self.faults.add(scalar.mark, f"`due` of {what} is at most {MAX_BUSINESS_DAYS} business days ahead")
            return Expr("business_days", "date", value=min(days, MAX_BUSINESS_DAYS))
        return expression(scalar, self.part.scope, self.faults, "date") if scalar else None
