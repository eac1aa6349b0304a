"""A screen as an SVG picture, for documents: no font or style is loaded from anywhere.

Every run of narrow or of wide letters is given its exact length, so that columns stand straight in whatever font the
reader's machine has (Rich's own export counts letters where it should count cells).
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from io import StringIO
from itertools import groupby

from rich.cells import cell_len
from rich.console import RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme

from cssync.views.terminal import console

WIDTH = 104
CELL, LINE, MARGIN = 8.4, 17, 18
"""Pixels: width of a cell, height of a line, margin around the screen."""
THEME = TerminalTheme(
    (20, 25, 33),
    (214, 220, 228),
    [(20, 25, 33), (244, 104, 104), (92, 196, 126), (230, 184, 72), (104, 156, 244), (196, 138, 226), (92, 196, 214),
     (214, 220, 228)],
    [(128, 137, 150)] * 8,
)  # fmt: skip
_FONTS = (
    "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK JP', 'MS Gothic', "
    "IPAGothic, monospace"
)


def svg(screen: RenderableType, title: str, width: int = WIDTH) -> str:
    """Return `screen`, laid out in `width` cells, as an SVG document."""
    target = console(file=StringIO(), width=width)
    lines = target.render_lines(screen, target.options.update(width=width), pad=False)
    while lines and not "".join(s.text for s in lines[-1]).strip():
        lines.pop()
    drawn = "\n".join(part for y, line in enumerate(lines) for part in _line(line, y))
    size = f"{width * CELL + 2 * MARGIN:.0f} {len(lines) * LINE + 2 * MARGIN}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" aria-label="{escape(title)}">\n'
        f"<style>text {{ font: 14px {_FONTS}; white-space: pre }}</style>\n"
        f'<rect width="100%" height="100%" rx="10" fill="{THEME.background_color.hex}"/>\n{drawn}\n</svg>\n'
    )


def _line(line: list[Segment], y: int) -> Iterator[str]:
    x = 0
    for segment in line:
        style = segment.style or Style.null()
        for _, letters in groupby(segment.text, key=lambda letter: cell_len(letter) > 1):
            text = "".join(letters)
            cells = cell_len(text)
            yield from _run(text, x, y, cells, style)
            x += cells


def _run(text: str, x: int, y: int, cells: int, style: Style) -> Iterator[str]:
    front = style.color.get_truecolor(THEME).hex if style.color else THEME.foreground_color.hex
    left, top = MARGIN + x * CELL, MARGIN + y * LINE
    if style.reverse:
        yield f'<rect x="{left:.1f}" y="{top}" width="{cells * CELL:.1f}" height="{LINE}" rx="3" fill="{front}"/>'
        front = THEME.background_color.hex
    if not text.strip():
        return
    look = ' style="font-weight:bold"' if style.bold else ""
    look += ' opacity="0.65"' if style.dim else ""
    spare = len(text) - len(text.lstrip(" "))
    text, left = text[spare:].rstrip(" "), left + spare * CELL
    length = cell_len(text) * CELL
    yield (
        f'<text x="{left:.1f}" y="{top + 13}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs" '
        f'fill="{front}"{look}>{escape(text)}</text>'
    )
