"""cssync rules check | test | sql."""

from __future__ import annotations

import json
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
  - {name: one, as_of: 2026-11-20, rows: {tickets: [{status: open}]}, then: {n: 1, signals: []}}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(list(args))
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(PACK, encoding="utf-8")
    return tmp_path


def test_check_lists_the_packs(run: Run, folder: Path) -> None:
    code, out, _ = run("rules", "check", str(folder), "--json")
    assert code == 0
    assert [(p["pack"], p["tests"]) for p in json.loads(out)["packs"]] == [("p", 2)]


def test_check_shows_every_fault_and_exits_with_two(run: Run, folder: Path) -> None:
    (folder / "q.yaml").write_text("pack: q\nsignals:\n  S: {when: seets > 1, because: x}\n", encoding="utf-8")
    (folder / "r.yaml").write_text("pack: r\nsgnals: {}\n", encoding="utf-8")
    code, out, err = run("rules", "check", str(folder))
    assert code == 2
    assert out == ""
    assert "q.yaml:3:13: there is no feature or column 'seets'; did you mean seats?" in err
    assert "r.yaml:2:1: a pack has no key 'sgnals'; did you mean signals?" in err
    assert "Traceback" not in err


def test_test_passes_and_fails_with_its_exit_code(run: Run, folder: Path) -> None:
    assert run("rules", "test", str(folder))[:2] == (0, "2 passed, 0 failed\n")
    (folder / "p.yaml").write_text(PACK.replace(">= 2", ">= 1"), encoding="utf-8")
    code, out, _ = run("rules", "test", str(folder))
    assert code == 1
    assert "FAILED p: one" in out
    assert "signals: expected [], found [S1] (SQL)" in out
    assert "signals: expected [], found [S1] (interpreter)" in out


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"pack: p\n" + b"x" * 300_000])
def test_a_file_that_is_no_text_or_too_large_is_refused(run: Run, folder: Path, content: bytes) -> None:
    (folder / "z.yaml").write_bytes(content)
    code, _, err = run("rules", "check", str(folder))
    assert code == 2
    assert "z.yaml" in err
    assert "Traceback" not in err


def test_a_folder_without_packs_is_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run("rules", "check", str(tmp_path))
    assert code == 2
    assert "there is no rule pack" in err


def test_sql_prints_one_statement_of_a_workspaces_pack(run: Run, folder: Path) -> None:
    import sqlglot

    config = folder / "cssync.yaml"
    (folder / "own").mkdir()
    (folder / "p.yaml").rename(folder / "own" / "p.yaml")
    config.write_text(
        "workspace: t\ntimezone: Asia/Tokyo\ncurrency: JPY\nrules: [./own]\n"
        "connections:\n  crm: {connector: hubspot, token: env:NOT_SET}\n",
        encoding="utf-8",
    )
    code, out, err = run("-c", str(config), "rules", "sql", "p")
    assert (code, err) == (0, "")
    assert len(sqlglot.parse(out, dialect="sqlite")) == 1
    code, _, err = run("-c", str(config), "rules", "sql", "q")
    assert code == 2
    assert "there is no pack 'q'" in err
