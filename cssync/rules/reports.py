"""The `reports:` block of a pack: tables over all accounts, such as the voice of the customer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from cssync.model import Column
from cssync.rules.catalogue import ACCOUNT, SOURCES, column_type, row_column, source_column, source_columns
from cssync.rules.check import NUMBERS, Scope, expression, typed_lines
from cssync.rules.faults import Mark, did_you_mean
from cssync.rules.nodes import Mapping, Node, Scalar
from cssync.rules.parts import PartReader
from cssync.rules.shape import plain
from cssync.rules.tree import Expr, Lines, Texts, Type, rule_exprs

Form = Literal["count", "distinct", "arr", "sum", "avg", "median_per_month", "share", "ids", "accounts", "quotes"]
PERIODS = ("month", "quarter", "fiscal_quarter")
"""What rows can be grouped by beside columns: the calendar month, quarter or fiscal quarter of their time."""
FORMS: dict[str, str] = {
    "count": "`rows`: the rows of the group",
    "distinct": "`account`: the accounts they are of",
    "arr": "`account`: ARR of those accounts, each once; with `due: 180d` what of it is up for renewal within so long",
    "sum": "a column: its sum; amounts of money in the reporting currency",
    "avg": "a column: its mean",
    "median_per_month": "a number of months, 1 to 12: the median of the rows in each of so many stretches of 30 days "
    "before the last 30 days",
    "share": "another column of the report: its part of all groups together",
    "ids": "how many, at most 20: addresses, else ids, of the newest rows",
    "accounts": "how many, at most 20: names of the accounts, in order",
    "quotes": "a text column, personal ones too: its newest values in their own words, `most: 3` of them, at most 20",
}
NARROWED = ("count", "distinct", "arr", "sum", "avg", "median_per_month", "ids", "accounts", "quotes")
"""Forms that may look at some of the rows only."""
KEYS = ("title", "of", "at", "where", "by", "columns", "keep", "order", "most", "drafts")
DRAFTS = ("one", "each")
"""A draft of a message or an issue a month: one of the whole report, or each of a line."""
MONTH_DAYS = 30
MAX_LISTED = 20
ACCOUNTS = "accounts"
"""The report's source whose rows are the accounts themselves, with their columns and what packs last said of them."""


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """One column. within, ending: the window of the rows it looks at, as of features. size: how many members or months.
    due_days: ARR due within so long only. of: the column whose share it is."""

    name: str
    form: Form
    type: Type
    column: Expr | None = None
    where: Expr | None = None
    within: int | None = None
    ending: int = 0
    size: int = 0
    due_days: int | None = None
    of: str = ""

    @property
    def listed(self) -> bool:
        """Whether its value is a list."""
        return self.form in ("ids", "accounts", "quotes")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What makes a group: a column (of a JSON array each element), one of PERIODS, or an expression or lines."""

    name: str
    rule: Expr | Lines | None
    each: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A table: the rows of a source, in groups. keep: which groups are shown. order: (column, descending). most: how
    many groups are shown; the rest is counted. drafts: one of DRAFTS, "" for none. at: the column that is the time of a
    row here, "" for that of the source."""

    name: str
    title: Texts
    source: str
    where: Expr | None
    by: tuple[Grouping, ...]
    columns: tuple[ReportColumn, ...]
    keep: Expr | None
    order: tuple[tuple[str, bool], ...]
    most: int
    drafts: str = ""
    at: str = ""

    @property
    def exprs(self) -> Iterator[Expr]:
        """Every expression over its rows."""
        yield from (e for e in (self.where,) if e is not None)
        for grouping in self.by:
            yield from rule_exprs(grouping.rule) if grouping.rule is not None else ()
        for column in self.columns:
            yield from (e for e in (column.column, column.where) if e is not None)


def column_types(report: Report) -> dict[str, Type | Literal["list", "share"]]:
    """Return what the columns of a report hold, those it is grouped by first."""
    found: dict[str, Type | Literal["list", "share"]] = {g.name: _type(g) for g in report.by}
    for c in report.columns:
        found[c.name] = "list" if c.listed else "share" if c.form == "share" else c.type
    return found


class ReportReader:
    """Reads reports with the names and lists of their pack."""

    def __init__(self, part: PartReader) -> None:
        self.part = part
        self.shape = part.shape
        self.faults = part.faults

    def report(self, key: Scalar, node: Node) -> Report | None:
        what = f"report {key.text}"
        block = self.shape.block(node, what, KEYS, ("of", "columns"))
        source = self.shape.scalar(block.get("of"), f"`of` of {what}") if block else None
        if block is None or source is None:
            return None
        if source.text not in (*SOURCES, ACCOUNTS):
            hint = did_you_mean(source.text, (*SOURCES, ACCOUNTS))
            self.faults.add(source.mark, f"there is no source {source.text!r}{hint}")
            return None
        rows = Scope(
            lambda n, mark: self.named(source.text, n, mark), lambda: _names(source.text), self.part.features.lists
        )
        before = len(self.faults.found)
        where = self.condition(block.get("where"), f"`where` of {what}", rows)
        at = self.shape.scalar(block.get("at"), "`at`")
        timed = _column(source.text, at.text) if at is not None else None
        if at is not None and (timed is None or timed.type != "date"):
            self.faults.add(at.mark, f"{source.text} has no date {at.text!r}")
        by = tuple(self.groupings(block.get("by"), source.text, rows, what))
        columns = tuple(self.columns(block.get("columns"), source.text, rows, what))
        taken = [g.name for g in by]
        for column in columns:
            if column.name in taken:
                self.faults.add(block.mark, f"{what} has two columns {column.name!r}")
        known = {c.name: Expr("column", c.type, value=c.name) for c in columns if not c.listed}
        known |= {g.name: Expr("column", _type(g), value=g.name) for g in by}
        shown = Scope(lambda n, _: known.get(n), lambda: list(known))
        keep = self.condition(block.get("keep"), f"`keep` of {what}", shown)
        order = tuple(self.order(block.get("order"), known, what))
        title = plain(self.shape.texts(block.get("title"), "`title`"))
        most = self.shape.whole(block.get("most"), "`most`", 1, 1_000) or 100
        drafts = self.shape.scalar(block.get("drafts"), "`drafts`")
        if drafts is not None and drafts.text not in DRAFTS:
            self.faults.add(drafts.mark, f"`drafts` is one of {', '.join(DRAFTS)}{did_you_mean(drafts.text, DRAFTS)}")
        if len(self.faults.found) > before:
            return None
        kept = drafts.text if drafts else ""
        return Report(
            key.text, title, source.text, where, by, columns, keep, order, most, kept, timed.value if timed else ""
        )

    def named(self, source: str, name: str, mark: Mark) -> Expr | None:
        """A column of the source; of accounts also what a pack says of them, such as `health.band`."""
        if source == ACCOUNTS and "." in name:
            return self.part.features.result(name, mark)
        return _column(source, name)

    def condition(self, node: Node | None, what: str, scope: Scope) -> Expr | None:
        scalar = self.shape.scalar(node, what)
        return expression(scalar, scope, self.faults, "bool") if scalar else None

    def groupings(self, node: Node | None, source: str, rows: Scope, what: str) -> Iterable[Grouping]:
        """`by`: a list of columns and periods, or a block of names with an expression or `first:` lines each."""
        if not isinstance(node, Mapping):
            for word in self.shape.words(node, f"`by` of {what}"):
                column = _row_column(source, word.text)
                if word.text in PERIODS:
                    yield Grouping(word.text, None)
                elif column is not None and column.type == "json":
                    yield Grouping(word.text, Expr("column", "text", value=column.name), each=True)
                elif (found := _column(source, word.text)) is not None:
                    yield Grouping(word.text, found)
                else:
                    hint = did_you_mean(word.text, [*PERIODS, *_names(source)])
                    self.faults.add(word.mark, f"{source} has no column {word.text!r}{hint}")
            return
        for key, value in self.shape.named(node, f"`by` of {what}"):
            first = value.get("first") if isinstance(value, Mapping) else None
            if first is not None:
                self.shape.block(value, what, ("first",))
                yield Grouping(key.text, Lines(typed_lines(self.shape.items(first, "`first`"), rows, self.faults)))
            elif scalar := self.shape.scalar(value, f"`by` of {what}"):
                found = expression(scalar, rows, self.faults)
                if found is not None:
                    yield Grouping(key.text, found)

    def columns(self, node: Node | None, source: str, rows: Scope, what: str) -> Iterable[ReportColumn]:
        names: dict[str, Type] = {}
        for key, value in self.shape.named(node, f"`columns` of {what}"):
            column = self.column(key, value, source, rows, names)
            if column is not None:
                names[column.name] = column.type
                yield column

    def column(self, key: Scalar, node: Node, source: str, rows: Scope, before: dict[str, Type]) -> ReportColumn | None:
        what = f"column {key.text}"
        block = self.shape.block(node, what, (*FORMS, "where", "within", "ending", "due", "most"))
        forms = [k.text for k, _ in block.entries if k.text in FORMS] if block else []
        if block is None or len(forms) != 1:
            if block is not None:
                self.faults.add(block.mark, f"{what} needs one of {', '.join(FORMS)}")
            return None
        form = forms[0]
        target = self.shape.scalar(block.get(form), f"`{form}`")
        if target is None:
            return None
        allowed = {"where", "within", "ending"} if form in NARROWED else set()
        allowed -= {"within", "ending"} if form == "median_per_month" else set()
        allowed |= {"due"} if form == "arr" else {"most"} if form == "quotes" else set()
        for k, _ in block.entries:
            if k.text in ("where", "within", "ending", "due", "most") and k.text not in allowed:
                self.faults.add(k.mark, f"`{k.text}` does not go with `{form}`")
        read = self.target(form, target, source, before)
        if read is None:
            return None
        column, size, kind = read
        within = self.shape.days(block.get("within"), "`within`")
        ending = self.shape.days(block.get("ending"), "`ending`") or 0
        if ending and within is None:
            self.faults.add(block.mark, "`ending` shifts a window: it needs `within`, too")
        if form == "quotes":
            size = self.shape.whole(block.get("most"), "`most`", 1, MAX_LISTED) or 3
        return ReportColumn(
            key.text,
            form,  # type: ignore[arg-type]
            kind,
            column,
            self.condition(block.get("where"), f"`where` of {what}", rows),
            within,
            ending,
            size,
            self.shape.days(block.get("due"), "`due`"),
            target.text if form == "share" else "",
        )

    def target(
        self, form: str, target: Scalar, source: str, before: dict[str, Type]
    ) -> tuple[Expr | None, int, Type] | None:
        """Return (column, size, type) of what a form is of; None when that is a fault."""
        fixed = {"count": "rows", "distinct": "account", "arr": "account"}
        if form in fixed:
            if target.text != fixed[form]:
                self.faults.add(target.mark, f"write `{form}: {fixed[form]}`")
                return None
            return None, 0, "money" if form == "arr" else "integer"
        if form in ("median_per_month", "ids", "accounts"):
            size = self.shape.whole(target, f"`{form}`", 1, 12 if form == "median_per_month" else MAX_LISTED)
            return None if size is None else (None, size, "number" if form == "median_per_month" else "text")
        if form == "share":
            if before.get(target.text) not in ("integer", "number", "money"):
                hint = did_you_mean(target.text, before)
                self.faults.add(target.mark, f"`share` names a column of numbers above it{hint}")
                return None
            return None, 0, "number"
        found = self.quoted(source, target.text) if form == "quotes" else None
        found = found or self.named(source, target.text, target.mark)
        wanted = ("text",) if form == "quotes" else (*NUMBERS, "money") if form == "sum" else NUMBERS
        if found is None:
            hint = did_you_mean(target.text, _names(source))
            self.faults.add(target.mark, f"{source} has no column {target.text!r}{hint}")
            return None
        if found.type not in wanted:
            self.faults.add(target.mark, f"{form} does not work on {target.text}, which is a {found.type}")
            return None
        return found, 0, "number" if form == "avg" else found.type

    @staticmethod
    def quoted(source: str, name: str) -> Expr | None:
        """A column for quotes: people's own words, too."""
        raw = _row_column(source, name)
        kind = column_type(raw) if raw is not None else None
        op = "account" if source == ACCOUNTS else "column"
        return Expr(op, kind, value=raw.name) if raw is not None and kind is not None else None

    def order(self, node: Node | None, known: dict[str, Expr], what: str) -> Iterable[tuple[str, bool]]:
        for word in self.shape.words(node, f"`order` of {what}"):
            name, _, way = word.text.partition(" ")
            if name not in known:
                self.faults.add(word.mark, f"{what} has no column {name!r} to order by{did_you_mean(name, known)}")
            elif way.strip() not in ("", "asc", "desc"):
                self.faults.add(word.mark, f"write `{name} desc` or `{name} asc`")
            else:
                yield name, way.strip() == "desc"


def _row_column(source: str, name: str) -> Column | None:
    return ACCOUNT.get(name) if source == ACCOUNTS else row_column(source, name)


def _names(source: str) -> list[str]:
    return [*ACCOUNT] if source == ACCOUNTS else source_columns(source)


def _column(source: str, name: str) -> Expr | None:
    column = ACCOUNT.get(name) if source == ACCOUNTS else source_column(source, name)
    kind = column_type(column) if column else None
    op = "account" if source == ACCOUNTS else "column"
    return Expr(op, kind, value=column.name, values=column.values) if column and kind else None


def _type(grouping: Grouping) -> Type:
    rule = grouping.rule
    if isinstance(rule, Lines):
        return rule.lines[0][0].type if rule.lines else "text"
    return rule.type if rule is not None else "text"
