"""Rule files as people really leave them: each oddity is read, or refused at its place in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cssync.cli import main

PACK = """pack: p
features:
  n: {count: tickets}
signals:
  S1: {when: n >= 2, because: "{n} tickets"}
tests:
  - {name: two, as_of: 2026-11-20, given: {n: 2}, then: {signals: [S1]}}
"""
TEST = "given: {n: 2}, then: {signals: [S1]}"
Rules = Callable[..., tuple[int, str]]


@pytest.fixture
def rules(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Rules:
    """Write files and run `rules test` over them; returns the exit code and all that was said."""

    def call(command: str = "test", **texts: str | bytes) -> tuple[int, str]:
        for name, text in texts.items():
            file = tmp_path / f"{name}.yaml"
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SystemExit) as end:
            main(["rules", command, str(tmp_path)])
        shown = capsys.readouterr()
        return int(end.value.code or 0), (shown.out + shown.err).replace(f"{tmp_path}/", "")

    return call


@pytest.mark.parametrize(
    "text",
    [
        PACK.replace("\n", "\r\n"),
        "\ufeff" + PACK,
        ("\ufeff" + PACK).replace("\n", "\r\n"),
        PACK.rstrip("\n"),
        f"---\n{PACK}...\n",
        PACK.replace("n >= 2", '"n\t>=  2"'),
        PACK.replace(
            TEST, "rows: {tickets: [{opened_at: '2026-11-20T03:00:00+09:00'}, {}]}, then: {n: 2, signals: S1}"
        ),
    ],
)
def test_it_reads_as_it_is_meant(rules: Rules, text: str) -> None:
    assert rules(a=text) == (0, "1 passed, 0 failed\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PACK.replace("n >= 2", "seets >= 2").replace("\n", "\r\n"),
         "a.yaml:5:14: there is no feature or column 'seets'"),
        ("\ufeffpakc: p\n", "a.yaml:1:1: a pack has no key 'pakc'; did you mean pack?"),
        (PACK.replace("  n:", "\tn:"), "a.yaml:3:1: this is not YAML: no text begins with a tab"),
        (PACK.replace("n >= 2", "n\xa0>= 2"), "a.yaml:5:15: this space (U+00A0) is no plain one"),
        (PACK.replace("signals:\n", "<<<<<<< HEAD\nsignals:\n", 1),
         "a.yaml:4:1: this is not YAML: expected `key: value`"),
        (PACK.replace("pack: p", "pack:p"), "a.yaml:2:9: this is not YAML: one `key: value` on a line"),
        (PACK[: PACK.index("  - {")], "a.yaml:6:7: `tests` is a list, and nothing stands here: leave the key out"),
        (PACK.replace("  n: {count: tickets}\n", ""),
         "a.yaml:2:10: `features` is a block of `key: value`, and nothing"),
        (PACK.replace("given: {", "givn: {"), "a.yaml:7:36: a test has no key 'givn'; did you mean given?"),
        (PACK.replace("as_of", "asof"), "a.yaml:7:5: a test needs `as_of:`"),
        (PACK.replace("[S1]}}", "[S9]}}"), "a.yaml:7:68: pack p has no signal 'S9'"),
        (PACK.replace("{signals: [S1]}", "{}"), "a.yaml:7:57: a test that expects nothing proves nothing"),
        (PACK.replace("2026-11-20", "0001-01-01"), "a.yaml:7:24: a test is of a day from 1990-01-01 to 2200-12-31"),
        (PACK.replace("2026-11-20", "9999-12-31"), "a.yaml:7:24: a test is of a day from 1990-01-01 to 2200-12-31"),
        (PACK.replace(TEST, "rows: {tickets: [{opened_at: '0001-01-01T00:00:00+09:00'}]}, then: {n: 1}"),
         "a.yaml:7:65: an instant is a date, or 2026-11-20T09:30:00Z"),
        (PACK.encode("utf-16"), "a.yaml is not UTF-8 text"),
        (PACK.encode() + b"\0", "a.yaml:8:1: this is not YAML: the character U+0000 cannot stand here"),
        ("", "a.yaml:1:1: a rule file is a block of `key: value`"),
        ("pack: p\n" + "k: x\n" * 80, "more than 50 faults in the rules\na.yaml:3:1: 'k' stands here twice"),
    ],
)  # fmt: skip
def test_it_is_refused_at_its_place(rules: Rules, text: str | bytes, said: str) -> None:
    for command in ("check", "test"):
        code, out = rules(command, a=text)
        assert code == 2
        assert said in out
        assert "Traceback" not in out


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Honolulu"])
def test_a_day_is_that_day_whatever_the_time_zone_of_this_computer(
    rules: Rules, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    text = (
        "pack: p\nfeatures: {asked: csm_sentiment_at}\ntests:\n"
        "  - {name: day, as_of: 2026-11-20, given: {csm_sentiment_at: 2026-08-22}, then: {asked: 2026-08-22}}\n"
    )
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert rules(a=text) == (0, "1 passed, 0 failed\n")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_pack_that_two_files_hold_names_both(rules: Rules) -> None:
    code, out = rules("check", a=PACK, b=PACK)
    assert code == 2
    assert "b.yaml:1:7: pack 'p' is declared twice, first in a.yaml:1:7" in out


def test_a_file_whose_ending_is_in_capitals_is_a_rule_file(rules: Rules, tmp_path: Path) -> None:
    (tmp_path / "B.YAML").write_text("pack: p\n", encoding="utf-8")
    assert rules("check", a=PACK)[0] == 2


def config(folder: Path, named: str) -> list[str]:
    (folder / "own").mkdir()
    (folder / "own" / "p.yaml").write_text(PACK, encoding="utf-8")
    (folder / "cssync.yaml").write_text(
        f"workspace: t\ntimezone: Asia/Tokyo\ncurrency: JPY\nrules: {named}\n"
        "connections:\n  crm: {connector: hubspot, token: env:NOT_SET}\n",
        encoding="utf-8",
    )
    return ["-c", str(folder / "cssync.yaml"), "rules"]


@pytest.mark.parametrize(
    ("named", "command", "said"),
    [
        ("[./own, ./own]", ["check"], "own' twice"),
        ("[standard, standard]", ["check"], "`rules:` names 'standard' twice"),
        ("[]", ["sql", "p"], "there is no pack 'p'\n  fix: loaded packs: none"),
        ("[./own]", ["sql", "p", "--dialect", "oracle"], "there is no dialect 'oracle'"),
        ("[./own]", ["preview", "{folder}/many.yaml"], "many.yaml:3:1: 'k' stands here twice"),
    ],
)
def test_a_command_says_what_it_was_given(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, named: str, command: list[str], said: str
) -> None:
    (tmp_path / "many.yaml").write_text("pack: p\n" + "k: x\n" * 80, encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main([*config(tmp_path, named), *(word.format(folder=tmp_path) for word in command)])
    err = capsys.readouterr().err
    assert end.value.code == 2
    assert said in err
    assert "Traceback" not in err
