"""The last screen of `cssync demo`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cssync.config import Limits
from cssync.sandbox.demo_report import AtRisk, Card, DemoReport, Linked, Planned, Pulled, Raised, Sent
from cssync.views.terminal import BAND_STYLE, bar, fit, line

METHODS = {
    "explicit": "a key that both systems hold",
    "crm_native": "the CRM's own link to the other",
    "domain": "a company domain, unique on both sides",
    "manual": "a person said so",
    "single": "known to one system only",
    "unclear": "a key that must be unique is not: nothing is written",
}
_WIDE = 100
"""From this width on, what belongs side by side stands side by side."""


def screen(report: DemoReport, width: int) -> RenderableType:
    """Return the screen for `width` cells; it fits 80 columns and can be read without colours."""
    parts: list[RenderableType] = [_title(report)]
    for number, (heading, summary, body) in enumerate(_sections(report, width), 1):
        title = Text.assemble((f" {number} ", "reverse cyan"), (f" {heading}  ", "bold cyan"), summary)
        parts += [Text(), title, *(Padding(part, (0, 0, 0, 3)) for part in body)]
    return Group(*parts, Text(), _verdict(report))


def _title(report: DemoReport) -> RenderableType:
    text = Text.assemble(
        ("cssync demo", "bold"),
        f"   {report.companies:,} invented companies · {len(report.pulled)} vendors on localhost, real HTTP · "
        f"{report.as_of:%Y-%m-%d} {report.timezone}",
    )
    return Panel(text, box=box.HEAVY, border_style="cyan")


def _sections(report: DemoReport, width: int) -> Iterator[tuple[str, str, list[RenderableType]]]:
    """Yield (heading, summary, body) from left to right of the data's way."""
    room = width - 3
    records, requests = sum(p.records for p in report.pulled), sum(p.requests for p in report.pulled)
    yield "Pulled", f"{records:,} records in {requests:,} API requests", [_pulled(report.pulled)]
    companies = f"{report.linked.records:,} company records are {report.linked.accounts:,} accounts"
    yield "Linked", companies, list(_linked(report.linked, room))
    yield "Judged", f"health of {sum(report.bands.values()):,} accounts", list(_bands(report.bands, room))
    if report.at_risk:
        yield (
            "At risk",
            "red, the next renewals first, and where the points were lost",
            [_at_risk(report.at_risk, room)],
        )
    tasks, signals = sum(t.count for t in report.tasks), sum(s.count for s in report.signals)
    yield "Raised", f"{tasks:,} tasks for people, {signals:,} signals", list(_raised(report, room))
    plan = report.planned
    yield "Planned", f"{plan.fields:,} fields and {plan.tasks:,} tasks to write", list(_planned(plan, tasks, room))
    yield "Written back", "sent just as planned, then read back", [_sent(report.sent)]
    if report.card is not None:
        yield "One record", f"in {report.card.vendor}, as its reader sees it", [_card(report.card, room)]
    again = report.second
    yield "Second pass", f"the same run again, nothing has changed meanwhile ({again.seconds:.1f} s)", [_second(report)]


def _table(*columns: tuple[JustifyMethod, int | None]) -> Table:
    """Return a table without lines; a column with a ratio takes what is left and wraps, the others never do."""
    table = Table.grid(padding=(0, 2), expand=any(ratio for _, ratio in columns))
    for justify, ratio in columns:
        table.add_column(justify=justify, ratio=ratio, no_wrap=ratio is None, overflow="fold" if ratio else "ellipsis")
    return table


def _pulled(pulled: tuple[Pulled, ...]) -> RenderableType:
    table = _table(("left", None), ("left", 1), ("right", None), ("right", None), ("right", None))
    for p in pulled:
        streams = [Text.assemble((f"{n:,}", "bold"), f"\u00a0{line(name)}") for name, n in p.streams if n]
        found = Text(", ").join(streams)
        table.add_row(Text(p.vendor, "bold"), found, f"{p.records:,}", f"{p.requests:,} requests", f"{p.seconds:.1f} s")
    return table


def _linked(linked: Linked, room: int) -> Iterator[RenderableType]:
    most = max((n for _, n in linked.methods), default=1)
    table = _table(("left", None), ("right", None), ("left", None), ("left", None))
    for method, count in linked.methods:
        told = Text(METHODS.get(method, ""), "dim")
        table.add_row(method, f"{count:,}", bar(count / most, room // 4, "cyan"), told)
    yield table
    if linked.example:
        yield _spellings("one account:", linked.example)
    if linked.suggestions:
        pairs = Text(f"{linked.suggestions:,} more pairs share only a name: suggested, and left for a person to decide")
        yield pairs
    if linked.suggested:
        yield _spellings("is it one?", linked.suggested)


def _spellings(label: str, spellings: tuple[tuple[str, str], ...]) -> RenderableType:
    text = Text(f"{label} ", "dim")
    for index, (vendor, name) in enumerate(spellings):
        text.append("  =  " if index else "", "dim")
        text.append(fit(name, 40), "bold")
        text.append(f"\u00a0in\u00a0{vendor}", "dim")
    return text


def _bands(bands: Mapping[str, int], room: int) -> Iterator[RenderableType]:
    total = sum(bands.values()) or 1
    table = _table(("left", None), ("right", None), ("right", None), ("left", None))
    for band, style in BAND_STYLE.items():
        share = bands.get(band, 0) / total
        told = (Text(band, style), f"{bands.get(band, 0):,}", f"{100 * share:.0f} %")
        table.add_row(*told, bar(share, room - 26, style))
    yield table
    if bands.get("unknown"):
        yield Text("unknown: too little data to judge, which is never taken for healthy", "dim")


def _at_risk(accounts: tuple[AtRisk, ...], room: int) -> RenderableType:
    name = min(30, room // 4)
    table = _table(("left", None), ("right", None), ("left", None), ("left", 1))
    table.show_header = True
    for column, title in zip(table.columns, ("account", "score", "renewal", "points lost"), strict=True):
        column.header, column.header_style = title, "dim"
    for a in accounts:
        score = Text("?" if a.score is None else str(a.score), f"bold {BAND_STYLE.get(a.band, '')}")
        table.add_row(fit(a.name, name), score, a.renewal_on or "-", line(a.reasons))
    return table


def _raised(report: DemoReport, room: int) -> Iterator[RenderableType]:
    """Tasks, then signals: one line per rule with one of its cases."""
    for kind, raised, share in (("task", report.tasks, 3), ("signal", report.signals, 2)):
        table = _table(("right", None), ("left", None), ("left", share), ("left", 3))
        for r in raised:
            title = Text(line(r.title), no_wrap=True, overflow="ellipsis")
            table.add_row(Text(f"{r.count:,}", "bold"), Text(f"{kind} {r.rule}", "cyan"), title, _case(r, room // 4))
        if raised:
            yield table


def _case(raised: Raised, room: int) -> Text:
    told = Text(no_wrap=True, overflow="ellipsis")
    if raised.account:
        told.append(f"{fit(raised.account, room)}  ", "bold")
    return told.append(line(raised.example))


def _planned(planned: Planned, raised: int, room: int) -> Iterator[RenderableType]:
    table = _table(("left", None), ("left", None), ("left", 1))
    for account, field, change, because in planned.examples:
        told = Text.assemble((line(change), "bold"), "  ", (line(because), "dim"))
        told.no_wrap, told.overflow = True, "ellipsis"
        table.add_row(fit(account, room // 4), fit(field, 24), told)
    yield table
    homeless = raised - planned.tasks - planned.later
    if planned.later:
        share = f"nobody gets more than {Limits().new_tasks} new ones a day"
        yield Text(f"{planned.later:,} more tasks come as a list for each of {planned.lists} owners: {share}", "dim")
    if homeless > 0:
        yield Text(
            f"{homeless:,} more are only in the store: the CRM that takes tasks does not know the account", "dim"
        )
    if planned.held_by:
        reasons = "; ".join(map(line, planned.held_by))
        yield Text.assemble(("held  ", "yellow"), reasons)
        yield Text.assemble(("then  ", "green"), "approved, as a person does after reading it: cssync approve")


def _sent(sent: tuple[Sent, ...]) -> RenderableType:
    table = _table(("left", None), *((("right", None),) * 5))
    table.show_header = True
    for column, title in zip(
        table.columns, ("", "records", "fields", "tasks", "requests", "read back equal"), strict=True
    ):
        column.header, column.header_style = title, "dim"
    for s in sent:
        wanted = s.fields + s.tasks
        proof = Text(f"{s.verified:,} of {wanted:,} {'✓' if s.verified == wanted else '✗'}")
        proof.stylize("green" if s.verified == wanted else "bold red")
        table.add_row(Text(s.vendor, "bold"), *(f"{n:,}" for n in (s.records, s.fields, s.tasks, s.requests)), proof)
    return table


def _card(card: Card, room: int) -> RenderableType:
    side = room >= _WIDE - 3
    half = (room - 2) // 2 if side else room
    before = _face(card, "before", card.before, card.tasks_before, half, "bright_black")
    after = _face(card, "after", card.after, card.tasks_after, half, "cyan")
    if not side:
        return Group(before, after)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row(before, after)
    return table


def _face(
    card: Card, when: str, fields: tuple[tuple[str, str], ...], tasks: tuple[str, ...], width: int, style: str
) -> RenderableType:
    known = dict(card.before)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for label, value in fields:
        new = when == "after" and known.get(label) != value
        table.add_row(line(label), Text(line(value) or "-", _value_style(value, new=new)))
    for task in tasks:
        table.add_row("task", Text(f"☐ {line(task)}", "bold"))
    if not tasks:
        table.add_row("task", "-")
    title = Text(f"{fit(card.name, width - 24)} · {when}")
    return Panel(table, title=title, title_align="left", box=box.ROUNDED, border_style=style, width=width)


def _value_style(value: str, *, new: bool) -> str:
    if not new:
        return ""
    return f"bold {BAND_STYLE[value]}" if value in BAND_STYLE else "bold"


def _second(report: DemoReport) -> RenderableType:
    again = report.second
    still = not (again.writes or again.planned)
    return Text.assemble(
        f"{again.reads:,} requests looked, {again.planned:,} changes planned, ",
        (f"{again.writes:,} writes sent {'✓' if still else '✗'}", "bold green" if still else "bold red"),
    )


def _verdict(report: DemoReport) -> RenderableType:
    text = Text()
    if report.faults:
        text.append("\n".join(f"✗ {line(fault)}" for fault in report.faults))
    else:
        text.append("✓ all of it verified", "bold green")
        text.append(f" in {report.seconds:.1f} s: what was planned was sent, what was sent was read back equal")
    if report.kept:
        text.append("\n" + report.kept)
    return Panel(text, box=box.HEAVY, border_style="red" if report.faults else "green")
