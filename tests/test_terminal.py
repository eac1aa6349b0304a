"""Safe and aligned text on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from cssync.views.terminal import bar, console, fit, line, plain


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Aoba Systems", "Aoba Systems"),
        ("株式会社　青葉", "株式会社　青葉"),
        ("red \x1b[31malert\x1b[0m", "red [31malert[0m"),
        ("title\x1b]0;owned\x07", "title]0;owned"),
        ("c1 \x9b31m", "c1 31m"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("line\u2028break", "linebreak"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("back\rspace\b", "backspace"),
        ("Zoë Müller — “ok”", "Zoë Müller — “ok”"),
    ],
)
def test_plain_keeps_words_and_drops_what_could_steer_a_terminal(given: str, shown: str) -> None:
    assert plain(given) == shown


def test_line_is_one_line_with_single_blanks() -> None:
    assert line("Oxbowl,  Ltd\n\t　next") == "Oxbowl, Ltd next"


@pytest.mark.parametrize("width", range(4, 24))
def test_fit_never_takes_more_cells_than_given_also_for_wide_characters(width: int) -> None:
    assert cell_len(fit("株式会社青葉システムズ Aoba", width)) <= width


def test_fit_leaves_what_fits_and_marks_what_it_cut() -> None:
    assert fit("株式会社青葉", 12) == "株式会社青葉"
    assert fit("株式会社青葉", 11).endswith("…")


def test_bar_shows_something_for_little_and_nothing_for_nothing() -> None:
    assert bar(0, 20, "red").plain == ""
    assert bar(0.0001, 20, "red").plain != ""
    assert cell_len(bar(1, 20, "red").plain) == 20
    assert bar(0.5, 10, "red", ascii_only=True).plain == "#####"


def test_console_writes_no_escape_sequences_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    console(file=out).print("alert", style="bold red")
    assert out.getvalue() == "alert\n"
